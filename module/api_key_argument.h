/* API keys as words of a command: APIKEY digest [SCOPE s] becomes struct api_key_claim.
 *
 *     APIKEY 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 SCOPE write
 *
 * A digest is the SHA-256 of a key in 64 hexadecimal digits: the key itself never reaches the server. */
#pragma once

#include "argument.h"
#include "quota/decide/api_key.h"

/* What the rows below read, and the digest in bytes. */
struct api_key_argument {
    struct bytes digits, scope; /* no data = not given */
    char digest[API_KEY_DIGEST_BYTES];
};

/* Two rows of a request whose field `field_` is a struct api_key_argument. */
/* NOLINTBEGIN(bugprone-macro-parentheses): it is the name of a member */
#define API_KEY_ROWS(type_, field_)                                                                                    \
    FIELD(ARGUMENT_TEXT, "digest", "APIKEY", type_, field_.digits, 0, 0, ARGUMENT_OPTIONAL,                            \
          "The SHA-256 of the client's API key, 64 hexadecimal digits: it has to be a live one of the account."),      \
        FIELD(ARGUMENT_TEXT, "scope", "SCOPE", type_, field_.scope, 0, 0, ARGUMENT_OPTIONAL,                           \
              "A scope that the API key needs to have.")
/* NOLINTEND(bugprone-macro-parentheses) */

/* 64 hex digits as bytes, which stand in `digest`; on false the client has its error, which names `what`. */
bool api_key_digest_or_reply(RedisModuleCtx *ctx, const char *what, struct bytes digits,
                             char digest[API_KEY_DIGEST_BYTES]);

/* 8 to 64 hex digits, the first of a key's; else the client has its error. */
bool api_key_digits_or_reply(RedisModuleCtx *ctx, const char *what, struct bytes digits);

/* Reads the digest of what was given; on false the client has its error. */
bool api_key_fits_or_reply(RedisModuleCtx *ctx, struct api_key_argument *argument);

/* What was given and fits, as a claim, which borrows from `argument`. */
struct api_key_claim api_key_claim(const struct api_key_argument *argument);

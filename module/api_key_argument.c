/* Reads API keys; see api_key_argument.h. */
#include "api_key_argument.h"
#include "reply.h"

#define DIGITS       ((size_t)2 * API_KEY_DIGEST_BYTES)
#define DIGITS_LEAST 8

static int hex_value(char letter)
{
    if (letter >= '0' && letter <= '9') return letter - '0';
    if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
    return letter >= 'A' && letter <= 'F' ? letter - 'A' + 10 : -1;
}

/* Not even a part of what was given is shown: it may be the key itself, sent by mistake. */
static bool reply_bad(RedisModuleCtx *ctx, const char *what, const char *wanted)
{
    reply_error(ctx, "ERR %s is not %s of a key's SHA-256", what, wanted);
    return false;
}

bool api_key_digits_or_reply(RedisModuleCtx *ctx, const char *what, struct bytes digits)
{
    bool are_digits = digits.size >= DIGITS_LEAST && digits.size <= DIGITS;
    for (size_t i = 0; are_digits && i < digits.size; i++) are_digits = hex_value(digits.data[i]) >= 0;
    return are_digits || reply_bad(ctx, what, "8 to 64 hexadecimal digits");
}

bool api_key_digest_or_reply(RedisModuleCtx *ctx, const char *what, struct bytes digits,
                             char digest[API_KEY_DIGEST_BYTES])
{
    if (digits.size != DIGITS) return reply_bad(ctx, what, "the 64 hexadecimal digits");
    for (size_t i = 0; i < API_KEY_DIGEST_BYTES; i++) {
        int high = hex_value(digits.data[2 * i]), low = hex_value(digits.data[2 * i + 1]);
        if (high < 0 || low < 0) return reply_bad(ctx, what, "the 64 hexadecimal digits");
        digest[i] = (char)(high << 4 | low);
    }
    return true;
}

bool api_key_fits_or_reply(RedisModuleCtx *ctx, struct api_key_argument *argument)
{
    if (argument->digits.data) return api_key_digest_or_reply(ctx, "APIKEY", argument->digits, argument->digest);
    if (argument->scope.data) reply_error(ctx, "ERR SCOPE is what an API key needs to have: it comes with APIKEY");
    return !argument->scope.data;
}

struct api_key_claim api_key_claim(const struct api_key_argument *argument)
{
    struct api_key_claim claim = {.digest = {"", 0}, .scope = {"", 0}};
    if (argument->digits.data) claim.digest = (struct bytes){argument->digest, API_KEY_DIGEST_BYTES};
    if (argument->digits.data && argument->scope.data) claim.scope = argument->scope;
    return claim;
}

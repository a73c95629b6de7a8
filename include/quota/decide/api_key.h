/* Decides about API keys: who may spend.
 *
 *     SET     a key is made, or a live one gets other settings      ROTATE   a new key inherits all, the old one ends
 *     REVOKE  it ends now                                           verify   unknown, revoked, rotated, expired, scope
 *
 * Every request that brings a key is verified, retries of an id and dry runs included. */
#pragma once

#include "quota/decide/operate.h"

/* What a request brings; no digest = none. */
struct api_key_claim {
    struct bytes digest; /* API_KEY_DIGEST_BYTES */
    struct bytes scope;  /* empty = none is needed */
};

/* May the bearer spend from the account at `now_us`? *found: the key, where it is known. `account` may be NULL. */
enum account_fault api_key_verify(const struct account *account, const struct api_key_claim *claim, int64_t now_us,
                                  const struct stored_api_key **found);

/* Notes the hour in which a key is charged, where it is another one than before. */
void api_key_emit_used(const struct stored_api_key *stored, int64_t now_us, struct sink *changes);

struct api_key_request {
    struct bytes digest, name, scopes, rules; /* as in struct api_key */
    struct moment expires;                    /* MOMENT_NONE = never */
};

/* Makes a key, or gives a live one other settings; one that was revoked or rotated does not come back. */
void api_key_set_decide(const struct account *account, const struct account_host *host,
                        const struct api_key_request *request, const struct admin_action *action,
                        struct account_decision *decision);

/* `old`: its digest, or 4 or more leading bytes of it in hex digits (`old_digits`), that one key alone has. The result
 * is when the old one ends: expires_us. */
void api_key_rotate_decide(const struct account *account, const struct account_host *host, struct bytes old_digits,
                           struct bytes digest, int64_t grace_us, const struct admin_action *action,
                           struct account_decision *decision);

/* The result: revoked. */
void api_key_revoke_decide(const struct account *account, const struct account_host *host, struct bytes digits,
                           const struct admin_action *action, struct account_decision *decision);

/* Why an operator or a verification meets no account that lives; the view is begun in any case. */
void api_key_verify_decide(const struct account *account, const struct account_host *host,
                           const struct api_key_claim *claim, int64_t now_us, struct account_decision *decision);

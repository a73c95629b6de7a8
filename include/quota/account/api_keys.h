/* The API keys of an account: who may spend from it, for what, how fast.
 *
 *     the caller makes a key ──▶ SHA-256 ──▶ digest ──▶ here           no secret ever reaches the server
 *
 *     by digest    hash index ─▶ key     every request: one look, then a comparison in constant time
 *     by number    [ 1 │ 2 │ 5 │ … ]     in the order in which they were made; changes name a key by its number
 *
 * A key that has ended (revoked, rotated, expired) is remembered for a while, so that the answer says what became of
 * it; it does not count towards the bound of live ones. */
#pragma once

#include "quota/base/buffer.h"
#include "quota/base/hash_index.h"
#include "quota/rate/limiter.h"

#define API_KEYS_MAX         1000 /* live ones of an account */
#define API_KEYS_STORED_MAX  2000 /* with those that have ended: beyond it the one goes that ended first */
#define API_KEY_DIGEST_BYTES 32
#define API_KEY_NAME_MAX     128
#define API_KEY_SCOPES_MAX   64
#define API_KEY_SCOPE_MAX    128

/* Part of the stored encoding. */
enum api_key_end {
    API_KEY_LIVES = 0, /* unless it expires */
    API_KEY_REVOKED = 1,
    API_KEY_ROTATED = 2, /* another one has taken its place */
    API_KEY_ENDS_COUNT,
};

/* Spans are borrowed. */
struct api_key {
    struct bytes digest; /* API_KEY_DIGEST_BYTES */
    struct bytes name;   /* may be empty */
    struct bytes scopes; /* scope_next reads them; empty = all */
    struct bytes rules;  /* its own RATEs: an entitlement (entitlement_encode) of nothing else; empty = none */
    int64_t number;      /* >= 1, rising */
    int64_t created_us;
    int64_t expires_us; /* INSTANT_MAX_US = never */
    int64_t ended_us;   /* when it was revoked, or its grace after a rotation ends; 0 = neither */
    int64_t kept_us;    /* for so long after its end it is remembered */
    int64_t used_us;    /* the beginning of the hour in which it was last charged; 0 = never */
    uint8_t end;        /* enum api_key_end */
};

struct stored_api_key {
    struct hash_link by_digest;
    struct api_key key; /* its spans stand behind it */
    struct limiter *rates;
    size_t bytes;
};

/* All zero = none. Open to readers. */
struct api_keys {
    struct stored_api_key **by_number; /* count of them */
    struct hash_index by_digest;
    uint32_t count, capacity;
    int64_t made; /* the highest number */
    size_t bytes; /* on the heap, all included */
};

/* When it ends, or has ended. */
int64_t api_key_ends_us(const struct api_key *key);

/* How many live at `now_us`. O(keys). */
uint32_t api_keys_live(const struct api_keys *keys, int64_t now_us);

/* The key of this digest, compared in constant time; and of this number. NULL = there is none. */
const struct stored_api_key *api_keys_find(const struct api_keys *keys, struct bytes digest);
const struct stored_api_key *api_keys_numbered(const struct api_keys *keys, int64_t number);

/* The next scope of a list; false at the end, and where the bytes are not sound. */
bool scope_next(struct cursor *cursor, struct bytes *scope);

/* Is it a list of scopes: each of 1 … API_KEY_SCOPE_MAX bytes, 0 … API_KEY_SCOPES_MAX of them? */
bool scopes_fit(struct bytes scopes);

/* Has the key this scope? One without a list has them all. */
bool api_key_has_scope(const struct api_key *key, struct bytes scope);

/* Could it be a key's: sizes, scopes, rules, instants? */
bool api_key_fits(const struct api_key *key);

/* A key's bytes: as a change says it and as an account stores it; decoding sets bad where they are not sound. */
void api_key_encode(const struct api_key *key, struct sink *sink);
void api_key_decode(struct cursor *cursor, struct api_key *key); /* its spans are borrowed */

/* ---- for the account's writer alone ---- */

/* Adds a key, whose number is the highest; or gives the key of this digest other settings. What has ended long enough
 * ago, or first of too many, goes. */
void api_keys_put(struct api_keys *keys, const struct api_key *key, int64_t now_us);

/* Changes of one key; nothing where there is none of this number. */
void api_keys_end(struct api_keys *keys, int64_t number, enum api_key_end end, int64_t ended_us);
void api_keys_use(struct api_keys *keys, int64_t number, int64_t used_us);
void api_keys_rate(struct api_keys *keys, int64_t number, struct bytes effects);

/* For the codec: the rates of a key that was put. */
void api_keys_adopt_rates(struct api_keys *keys, int64_t number, struct limiter *rates);

/* Frees all of them. */
void api_keys_free(struct api_keys *keys);

/* API keys by digest and by number; see api_keys.h. */
#include "quota/account/api_keys.h"
#include "quota/account/entitlement_codec.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/rate/limiter_codec.h"
#include "quota/time/calendar.h"

int64_t api_key_ends_us(const struct api_key *key)
{
    return key->end == API_KEY_LIVES ? key->expires_us : min_i64(key->expires_us, key->ended_us);
}

uint32_t api_keys_live(const struct api_keys *keys, int64_t now_us)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < keys->count; i++) live += now_us < api_key_ends_us(&keys->by_number[i]->key);
    return live;
}

/* ---- scopes ---------------------------------------------------------------------------------------------- */

bool scope_next(struct cursor *cursor, struct bytes *scope)
{
    if (cursor->bad || cursor_done(cursor)) return false;
    *scope = cursor_bytes(cursor);
    if (scope->size == 0 || scope->size > API_KEY_SCOPE_MAX) cursor->bad = true;
    return !cursor->bad;
}

bool scopes_fit(struct bytes scopes)
{
    struct cursor cursor = cursor_init(scopes);
    struct bytes scope;
    uint32_t count = 0;
    while (scope_next(&cursor, &scope)) count++;
    return cursor_done(&cursor) && count <= API_KEY_SCOPES_MAX;
}

bool api_key_has_scope(const struct api_key *key, struct bytes scope)
{
    struct cursor cursor = cursor_init(key->scopes);
    struct bytes own;
    bool has = key->scopes.size == 0;
    while (scope_next(&cursor, &own)) has = has || bytes_equal(own, scope);
    return has;
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

/* RATEs and nothing else. */
static bool rules_fit(struct bytes rules)
{
    struct entitlement entitlement;
    struct cursor cursor = cursor_init(rules);
    if (rules.size == 0) return true;
    entitlement_decode(&cursor, &entitlement);
    bool fit = cursor_done(&cursor) && entitlement.rules_count > 0 && !entitlement.credits && entitlement.cost == 1 &&
               entitlement.as.size == 0;
    for (uint32_t i = 0; fit && i < entitlement.rules_count; i++) {
        const struct quota_rule *rule = &entitlement.rules[i];
        fit = rule->kind == QUOTA_RATE && rule->rule.initial == rule->rule.capacity;
    }
    return fit;
}

bool api_key_fits(const struct api_key *key)
{
    bool sizes = key->digest.size == API_KEY_DIGEST_BYTES && key->name.size <= API_KEY_NAME_MAX;
    bool ends = key->end < API_KEY_ENDS_COUNT && (key->end == API_KEY_LIVES) == (key->ended_us == 0);
    return sizes && ends && scopes_fit(key->scopes) && rules_fit(key->rules);
}

void api_key_encode(const struct api_key *key, struct sink *sink)
{
    sink_bytes(sink, key->digest);
    sink_bytes(sink, key->name);
    sink_bytes(sink, key->scopes);
    sink_bytes(sink, key->rules);
    sink_number(sink, key->number);
    sink_number(sink, key->created_us);
    sink_number(sink, key->expires_us);
    sink_number(sink, key->kept_us);
    sink_number(sink, key->used_us);
    sink_byte(sink, key->end);
    if (key->end != API_KEY_LIVES) sink_number(sink, key->ended_us);
}

void api_key_decode(struct cursor *cursor, struct api_key *key)
{
    key->digest = cursor_bytes(cursor);
    key->name = cursor_bytes(cursor);
    key->scopes = cursor_bytes(cursor);
    key->rules = cursor_bytes(cursor);
    key->number = cursor_number_between(cursor, 1, INT64_MAX);
    key->created_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    key->expires_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    key->kept_us = cursor_number_between(cursor, 0, DURATION_MAX_US);
    key->used_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    key->end = cursor_byte(cursor);
    key->ended_us = key->end == API_KEY_LIVES ? 0 : cursor_number_between(cursor, 1, INSTANT_MAX_US);
    if (cursor->bad || !api_key_fits(key)) cursor->bad = true;
}

/* ---- finding --------------------------------------------------------------------------------------------- */

/* Every byte is looked at, whatever the first ones are. */
static bool equal_in_constant_time(struct bytes left, struct bytes right)
{
    volatile unsigned char difference = 0;
    for (size_t i = 0; i < API_KEY_DIGEST_BYTES; i++)
        difference = (unsigned char)(difference | ((unsigned char)left.data[i] ^ (unsigned char)right.data[i]));
    return difference == 0;
}

/* The index compares a keyed hash, which says nothing about the digest; then the whole digest is compared. */
const struct stored_api_key *api_keys_find(const struct api_keys *keys, struct bytes digest)
{
    if (digest.size != API_KEY_DIGEST_BYTES) return NULL;
    uint32_t hash = linear_hash(digest);
    for (struct hash_link *link = hash_index_chain(&keys->by_digest, hash); link; link = link->next) {
        if (link->hash != hash) continue;
        const struct stored_api_key *stored = HASH_RECORD(link, const struct stored_api_key, by_digest);
        if (equal_in_constant_time(stored->key.digest, digest)) return stored;
    }
    return NULL;
}

static uint32_t place_of(const struct api_keys *keys, int64_t number)
{
    uint32_t low = 0, high = keys->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (keys->by_number[middle]->key.number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct stored_api_key *numbered(const struct api_keys *keys, int64_t number)
{
    uint32_t at = place_of(keys, number);
    return at < keys->count && keys->by_number[at]->key.number == number ? keys->by_number[at] : NULL;
}

const struct stored_api_key *api_keys_numbered(const struct api_keys *keys, int64_t number)
{
    return numbered(keys, number);
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static char *copy_behind(char *at, struct bytes *span)
{
    if (span->size > 0) memcpy(at, span->data, span->size);
    span->data = at;
    return at + span->size;
}

static struct stored_api_key *stored_copy(const struct api_key *key)
{
    size_t size = key->digest.size + key->name.size + key->scopes.size + key->rules.size;
    struct stored_api_key *stored = memory_alloc(sizeof(*stored) + size);
    *stored = (struct stored_api_key){.key = *key, .bytes = sizeof(*stored) + size};
    char *at = (char *)(stored + 1);
    at = copy_behind(at, &stored->key.digest);
    at = copy_behind(at, &stored->key.name);
    at = copy_behind(at, &stored->key.scopes);
    (void)copy_behind(at, &stored->key.rules);
    return stored;
}

/* The bytes of its rates change with them: they leave the sum before each change and come back after it. */
static size_t bytes_of(const struct stored_api_key *stored)
{
    return stored->bytes + (stored->rates ? limiter_bytes(stored->rates) : 0);
}

static void take_out(struct api_keys *keys, uint32_t place)
{
    struct stored_api_key *stored = keys->by_number[place];
    keys->bytes -= bytes_of(stored);
    hash_index_remove(&keys->by_digest, &stored->by_digest);
    memmove(keys->by_number + place, keys->by_number + place + 1,
            (--keys->count - place) * sizeof(struct stored_api_key *));
    limiter_free(stored->rates);
    memory_free(stored);
}

static void insert(struct api_keys *keys, struct stored_api_key *stored, uint32_t place)
{
    if (keys->count == keys->capacity) {
        keys->capacity = keys->capacity > 0 ? 2 * keys->capacity : 4;
        keys->by_number = memory_realloc(keys->by_number, keys->capacity * sizeof(struct stored_api_key *));
    }
    memmove(keys->by_number + place + 1, keys->by_number + place,
            (keys->count++ - place) * sizeof(struct stored_api_key *));
    keys->by_number[place] = stored;
    hash_index_add(&keys->by_digest, &stored->by_digest, linear_hash(stored->key.digest));
    keys->bytes += bytes_of(stored);
}

/* Those that are remembered no more, and of too many the one that ended first. */
static void sweep(struct api_keys *keys, int64_t now_us)
{
    uint32_t first = 0;
    for (uint32_t i = keys->count; i-- > 0;) {
        const struct api_key *key = &keys->by_number[i]->key;
        int64_t ends_us = api_key_ends_us(key);
        if (ends_us < now_us && add_clamped(ends_us, key->kept_us) <= now_us) take_out(keys, i);
    }
    if (keys->count < API_KEYS_STORED_MAX) return;
    for (uint32_t i = 1; i < keys->count; i++) {
        if (api_key_ends_us(&keys->by_number[i]->key) < api_key_ends_us(&keys->by_number[first]->key)) first = i;
    }
    take_out(keys, first);
}

void api_keys_put(struct api_keys *keys, const struct api_key *key, int64_t now_us)
{
    struct stored_api_key *stored = stored_copy(key);
    const struct stored_api_key *before = api_keys_find(keys, key->digest);
    if (before) { /* other settings: what its rates remember passes to them with the next request */
        uint32_t place = place_of(keys, before->key.number);
        stored->rates = key->rules.size > 0 ? keys->by_number[place]->rates : NULL;
        if (stored->rates) {
            keys->bytes -= limiter_bytes(stored->rates);
            keys->by_number[place]->rates = NULL;
        }
        take_out(keys, place);
        insert(keys, stored, place);
        return;
    }
    sweep(keys, now_us);
    keys->made = max_i64(keys->made, key->number);
    insert(keys, stored, place_of(keys, key->number));
}

void api_keys_end(struct api_keys *keys, int64_t number, enum api_key_end end, int64_t ended_us)
{
    struct stored_api_key *stored = numbered(keys, number);
    if (!stored) return;
    stored->key.end = (uint8_t)end;
    stored->key.ended_us = ended_us;
}

void api_keys_use(struct api_keys *keys, int64_t number, int64_t used_us)
{
    struct stored_api_key *stored = numbered(keys, number);
    if (stored) stored->key.used_us = used_us;
}

void api_keys_rate(struct api_keys *keys, int64_t number, struct bytes effects)
{
    struct rule rules[RULES_MAX];
    struct decision decision;
    bool no_expire;
    struct stored_api_key *stored = numbered(keys, number);
    if (!stored || !effects_decode(effects, rules, &decision, &no_expire)) return;
    if (!limiter_accepts(stored->rates, &decision)) return;
    keys->bytes -= bytes_of(stored);
    stored->rates = limiter_apply(stored->rates, &decision);
    keys->bytes += bytes_of(stored);
}

void api_keys_adopt_rates(struct api_keys *keys, int64_t number, struct limiter *rates)
{
    struct stored_api_key *stored = numbered(keys, number);
    keys->bytes -= bytes_of(stored);
    stored->rates = rates;
    keys->bytes += bytes_of(stored);
}

void api_keys_free(struct api_keys *keys)
{
    hash_index_clear(&keys->by_digest);
    for (uint32_t i = 0; i < keys->count; i++) {
        limiter_free(keys->by_number[i]->rates);
        memory_free(keys->by_number[i]);
    }
    memory_free(keys->by_number);
    *keys = (struct api_keys){0};
}

/* A list in the order of the last denials, and a hash index over it; see violations.h. */
#include "violations.h"
#include "actor.h"
#include "config.h"
#include "quota/base/checked.h"
#include "quota/base/hash_index.h"
#include "quota/base/memory.h"
#include "quota/time/duration.h"

/* Looking up the user behind a client costs more than all the rest: for so long it counts as the same one. */
#define ACTOR_KEPT_US MICROS_PER_SECOND
#define ACTORS_KEPT   1024 /* clients whose user is known, by what is left of their ids */

/* The name of a user; entries and clients share it. */
struct user {
    uint32_t uses;
    uint32_t size;
    char name[];
};

static struct known_client {
    unsigned long long id; /* 0 = none */
    int64_t since_us;
    struct user *user;
} known_clients[ACTORS_KEPT];

struct entry {
    struct hash_link link;
    struct entry *newer, *older;
    uint64_t shape;
    int64_t count, cost, wait_us, first_us, last_us;
    struct user *actor; /* of the last denial */
    struct sink text;
    enum violation_kind kind;
    int database;
    int32_t rule;
    size_t key_size, resource_size; /* as given; names[] has at most VIOLATION_NAME_MAX of each */
    char names[];                   /* key, resource */
};

static struct hash_index index_of_all;
static struct entry *newest, *oldest;

static size_t kept(size_t size)
{
    return size < VIOLATION_NAME_MAX ? size : VIOLATION_NAME_MAX;
}

/* ---- finding --------------------------------------------------------------------------------------------- */

static uint64_t secret; /* of this process; 0 = not chosen yet */

static uint64_t fold(uint64_t left, uint64_t right)
{
    unsigned __int128 product = (unsigned __int128)left * right;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t word_at(const char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    return word;
}

/* Folded multiplications under a secret, at a quarter of what the keyed hash of linear_hash.h costs, for that alone
 * would be a third of what a denial may cost here. A client that finds names of one chain all the same makes a walk of
 * quota.violations-max entries, and no more. */
static uint64_t hash_bytes(uint64_t hash, struct bytes bytes)
{
    const uint64_t odd = UINT64_C(0xa0761d6478bd642f);
    const char *data = bytes.data;
    size_t left = bytes.size;
    hash = fold(hash ^ secret, bytes.size ^ odd);
    for (; left > 16; data += 16, left -= 16) hash = fold(word_at(data) ^ secret, word_at(data + 8) ^ hash);
    if (left >= 8) return fold(word_at(data) ^ secret, word_at(data + left - 8) ^ hash);
    uint64_t tail = 0;
    for (size_t i = 0; i < left; i++) tail = tail << 8 | (unsigned char)data[i];
    return fold(tail ^ secret, hash ^ odd);
}

static uint32_t hash_of(const struct violation *violation, struct bytes key)
{
    if (secret == 0) RedisModule_GetRandomBytes((unsigned char *)&secret, sizeof(secret));
    uint64_t hash = hash_bytes((uint32_t)violation->rule, key);
    if (violation->resource.size > 0) hash = hash_bytes(hash, violation->resource);
    return (uint32_t)hash;
}

static bool is_same(const struct entry *entry, const struct violation *violation, struct bytes key, int database)
{
    if (entry->rule != violation->rule || entry->kind != violation->kind || entry->database != database) return false;
    if (entry->key_size != key.size || entry->resource_size != violation->resource.size) return false;
    struct bytes kept_key = {entry->names, kept(key.size)};
    struct bytes kept_resource = {entry->names + kept_key.size, kept(entry->resource_size)};
    return bytes_equal(kept_key, (struct bytes){key.data, kept_key.size}) &&
           bytes_equal(kept_resource, (struct bytes){violation->resource.data, kept_resource.size});
}

static struct entry *find(const struct violation *violation, struct bytes key, uint32_t hash, int database)
{
    struct hash_link *link = hash_index_chain(&index_of_all, hash);
    for (; link; link = link->next) {
        struct entry *entry = HASH_RECORD(link, struct entry, link);
        if (link->hash == hash && is_same(entry, violation, key, database)) return entry;
    }
    return NULL;
}

/* ---- who it was ------------------------------------------------------------------------------------------- */

static void release(struct user *user)
{
    if (user && --user->uses == 0) memory_free(user);
}

static struct user *look_up(RedisModuleCtx *ctx)
{
    struct actor actor = actor_of(ctx);
    struct user *user = memory_alloc(sizeof(*user) + actor.name.size);
    *user = (struct user){.uses = 1, .size = (uint32_t)actor.name.size};
    if (actor.name.size > 0) memcpy(user->name, actor.name.data, actor.name.size);
    actor_forget(ctx, &actor);
    return user;
}

/* A script has a client of its own, of any user: that user is looked up each time. */
static struct user *find_user(RedisModuleCtx *ctx, unsigned long long id, struct known_client *known, int64_t now_us)
{
    bool in_script = RedisModule_GetContextFlags(ctx) & REDISMODULE_CTX_FLAGS_LUA;
    release(known->user);
    *known = (struct known_client){.id = in_script ? 0 : id, .since_us = now_us, .user = look_up(ctx)};
    return known->user;
}

static void note_actor(RedisModuleCtx *ctx, struct entry *entry, int64_t now_us)
{
    unsigned long long id = RedisModule_GetClientId(ctx);
    struct known_client *known = &known_clients[id % ACTORS_KEPT];
    bool is_known = id == known->id && id != 0 && (uint64_t)(now_us - known->since_us) < ACTOR_KEPT_US;
    struct user *user = is_known ? known->user : find_user(ctx, id, known, now_us);
    if (user == entry->actor) return;
    release(entry->actor);
    user->uses++;
    entry->actor = user;
}

/* ---- the list -------------------------------------------------------------------------------------------- */

static void unlink_entry(struct entry *entry)
{
    *(entry->newer ? &entry->newer->older : &newest) = entry->older;
    *(entry->older ? &entry->older->newer : &oldest) = entry->newer;
}

static void put_first(struct entry *entry)
{
    entry->newer = NULL;
    entry->older = newest;
    *(newest ? &newest->newer : &oldest) = entry;
    newest = entry;
}

static void forget(struct entry *entry)
{
    unlink_entry(entry);
    hash_index_remove(&index_of_all, &entry->link);
    release(entry->actor);
    sink_free(&entry->text);
    memory_free(entry);
}

/* The setting may have become smaller since the last one came. */
static void keep_at_most(int64_t most)
{
    while (oldest && index_of_all.count > most) forget(oldest);
}

/* ---- a denial -------------------------------------------------------------------------------------------- */

static struct entry *begin(const struct violation *violation, struct bytes key, uint32_t hash, int database)
{
    size_t key_bytes = kept(key.size), resource_bytes = kept(violation->resource.size);
    struct entry *entry = memory_alloc(sizeof(*entry) + key_bytes + resource_bytes);
    *entry = (struct entry){.kind = violation->kind,
                            .first_us = violation->now_us,
                            .database = database,
                            .rule = violation->rule,
                            .key_size = key.size,
                            .resource_size = violation->resource.size};
    memcpy(entry->names, key.data, key_bytes);
    if (resource_bytes > 0) memcpy(entry->names + key_bytes, violation->resource.data, resource_bytes);
    hash_index_add(&index_of_all, &entry->link, hash);
    put_first(entry);
    return entry;
}

static void write_text(struct entry *entry, const struct violation *violation)
{
    entry->shape = violation->shape;
    sink_free(&entry->text);
    violation->write_rule(violation, &entry->text);
}

void violations_add(RedisModuleCtx *ctx, const struct violation *violation)
{
    int64_t most = config_violations_max();
    if (most == 0) return;
    struct bytes key = string_bytes(violation->key);
    uint32_t hash = hash_of(violation, key);
    int database = RedisModule_GetSelectedDb(ctx);
    struct entry *entry = find(violation, key, hash, database);
    bool is_new = !entry;
    if (is_new) {
        entry = begin(violation, key, hash, database);
        keep_at_most(most);
    } else if (entry != newest) {
        unlink_entry(entry);
        put_first(entry);
    }
    if (is_new || entry->shape != violation->shape) write_text(entry, violation);
    entry->count++;
    entry->cost = add_clamped(entry->cost, violation->cost);
    entry->wait_us = violation->wait_us;
    entry->last_us = violation->now_us;
    note_actor(ctx, entry, violation->now_us);
}

/* ---- for readers ----------------------------------------------------------------------------------------- */

int64_t violations_count(void)
{
    return index_of_all.count;
}

void violations_reset(void)
{
    keep_at_most(0);
}

void violations_each(bool (*visit)(const struct violation_entry *entry, void *context), void *context)
{
    static const char *const kinds[] = {[VIOLATION_ACCOUNT] = "account",
                                        [VIOLATION_RATE] = "rate",
                                        [VIOLATION_POLICY] = "policy",
                                        [VIOLATION_LEASE] = "lease",
                                        [VIOLATION_BREAKER] = "breaker"};
    bool goes_on = true;
    keep_at_most(config_violations_max());
    for (const struct entry *at = newest; at && goes_on; at = at->older) {
        struct violation_entry shown = {.kind = kinds[at->kind],
                                        .key = {at->names, kept(at->key_size)},
                                        .resource = {at->names + kept(at->key_size), kept(at->resource_size)},
                                        .text = sink_content(&at->text),
                                        .actor = {at->actor->name, at->actor->size},
                                        .database = at->database,
                                        .rule = at->rule,
                                        .count = at->count,
                                        .cost = at->cost,
                                        .wait_us = at->wait_us,
                                        .first_us = at->first_us,
                                        .last_us = at->last_us};
        goes_on = visit(&shown, context);
    }
}

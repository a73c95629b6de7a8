/* Value types: one per kind of value. What the spine does to a key is written once, here and in transaction.c;
 * a value type only says how its kind is applied, encoded and timed.
 *
 *     RDB, DUMP, AOF rewrite, COPY, DEBUG DIGEST, MEMORY, free ──▶ value_type.c ──▶ struct value_type ──▶ src/
 *
 * Every value and every run of effects begins with a head (quota/base/head.h) that names its kind and its encoding, so
 * RL._DO and RL._PUT serve all. The formats of the value types are the table that leads from a head to its decoder.
 *
 * Opening creates nothing: a missing key opens as a handle without a value, and only a transaction stores one. */
#pragma once

#include "quota/base/head.h"
#include "redis.h"
#include <stdatomic.h>

struct value_type {
    const char *type_name;                /* nine characters, as TYPE shows it; part of every RDB file: permanent */
    RedisModuleType *type;                /* set by value_type_register */
    const struct format *format;          /* of values and of effects: the kind, and a decoder of each encoding */
    atomic_llong held_values, held_bytes; /* in all databases together: for INFO */
    /* The value with a decision applied; may move, NULL in = a new one. */
    void *(*apply)(void *value, const void *decision);
    bool (*has_effects)(const void *decision);
    /* Does this decision make a record inside a value: an id, a subject, a lease, a reservation? NULL = none does. */
    bool (*adds_record)(const void *decision);
    void (*effects_encode)(const void *decision, bool no_expire, struct sink *sink);
    /* Several decisions of one value as one run of effects: what begins it, then each of them; NULL = each has a run of
     * its own. */
    void (*effects_begin)(int64_t now_us, bool no_expire, struct sink *sink);
    void (*effects_add)(const void *decision, struct sink *sink);
    /* Applies effects that came as bytes. False, and nothing touched, when they are none or do not fit the value. */
    bool (*replay)(void **value, struct bytes effects, bool *no_expire);
    void (*encode)(const void *value, struct sink *sink);
    int64_t (*deadline_us)(const void *value);
    int64_t (*ttl_granularity_us)(
        const void *value);    /* how finely the time to live follows, a power of two; NULL = 1 */
    void (*free)(void *value); /* any thread */
    size_t (*bytes)(const void *value);
    /* After each apply and each replay that was done: takes the events that it has made; NULL = it makes none. Effects
     * without what they say of events. */
    void (*happened)(RedisModuleCtx *ctx, RedisModuleString *name);
    void (*effects_without_events)(struct bytes effects, struct sink *without);
    const char *event; /* the keyspace event of a change where no command runs: a client has waited */
    /* Hooks of clients that wait (waiting.h); NULL as long as none has. After a transaction has changed the value; when
     * a value leaves its key: deleted, overwritten, renamed, expired, evicted; not FLUSHALL. */
    void (*changed)(const struct value_type *value_type, RedisModuleCtx *ctx, RedisModuleString *name);
    void (*unlinked)(const struct value_type *value_type, RedisModuleKeyOptCtx *where);
};

/* A kind's own functions carry its own types; these carry them as void pointers. A value type's file writes
 * VALUE_TYPE_FUNCTIONS(leases), has_effects, encode_effects and replay, and fills its row with VALUE_TYPE_ROW. */
#define VALUE_TYPE_FUNCTIONS(prefix_)                                                                                  \
    static void *apply(void *value, const void *decision)                                                              \
    {                                                                                                                  \
        return prefix_##_apply(value, decision);                                                                       \
    }                                                                                                                  \
    static void encode(const void *value, struct sink *sink)                                                           \
    {                                                                                                                  \
        prefix_##_encode(value, sink);                                                                                 \
    }                                                                                                                  \
    static int64_t deadline_us(const void *value)                                                                      \
    {                                                                                                                  \
        return prefix_##_deadline_us(value);                                                                           \
    }                                                                                                                  \
    static void free_value(void *value)                                                                                \
    {                                                                                                                  \
        prefix_##_free(value);                                                                                         \
    }                                                                                                                  \
    static size_t bytes_of(const void *value)                                                                          \
    {                                                                                                                  \
        return prefix_##_bytes(value);                                                                                 \
    }
#define VALUE_TYPE_ROW                                                                                                 \
    .apply = apply, .has_effects = has_effects, .effects_encode = encode_effects, .replay = replay, .encode = encode,  \
    .deadline_us = deadline_us, .free = free_value, .bytes = bytes_of

extern struct value_type limiter_type;
extern struct value_type lease_type;
extern struct value_type breaker_type;
extern struct value_type adaptive_type;
extern struct value_type account_type;
extern struct value_type table_type;

/* A value came (+1), went (-1) or changed its size (0). Any thread. */
void value_type_count(struct value_type *value_type, long long values, long long bytes);

/* Every value type, NULL at the end. */
extern struct value_type *const value_types[];

/* The value type of this kind, or NULL. */
struct value_type *value_type_of(uint8_t kind);

/* Calls `begins` in a child that rewrites the AOF without preamble, in front of every value. */
void value_types_rewrite_hook(void (*begins)(RedisModuleIO *aof));

/* Creates the data types; only in OnLoad. */
int value_types_register(RedisModuleCtx *ctx);

struct handle {
    struct value_type *value_type;
    RedisModuleKey *key;
    RedisModuleString *name;
    void *value; /* NULL = nothing is stored */
};

/* Opens a key for a change outside any command; false where the key holds another type. */
bool handle_open(RedisModuleCtx *ctx, struct value_type *value_type, RedisModuleString *name, struct handle *handle);

/* Opens a key for a command that may write. On false the client has its WRONGTYPE; else close it. */
bool handle_open_or_reply(RedisModuleCtx *ctx, struct value_type *value_type, RedisModuleString *name,
                          struct handle *handle);

/* The same for a command that only reads: allowed on replicas. Without _or_reply the client has no answer yet. */
bool handle_read(RedisModuleCtx *ctx, struct value_type *value_type, RedisModuleString *name, struct handle *handle);
bool handle_read_or_reply(RedisModuleCtx *ctx, struct value_type *value_type, RedisModuleString *name,
                          struct handle *handle);

/* Every opened handle is closed; nothing is signalled. */
void handle_close(struct handle *handle);

/* The keeper of rate-limit keys: data type `rl-bucket`, opened here and nowhere else.
 *
 *     RDB, DUMP, AOF rewrite, COPY, DEBUG DIGEST ──▶ one codec (quota/limiter_codec.h) ──▶ struct limiter
 *
 * Opening creates nothing: a missing key opens as a handle without a value, and only commit stores one. */
#pragma once

#include "quota/limiter.h"
#include "redis.h"

struct limiter_handle {
    RedisModuleKey *key;
    RedisModuleString *name;
    struct limiter *value; /* NULL = nothing is stored */
};

extern RedisModuleType *limiter_type;

/* Creates the data type; only in OnLoad. */
int limiter_type_register(RedisModuleCtx *ctx);

/* Opens a key for a command that may write. On false the client has its WRONGTYPE; else close it. */
bool limiter_open_or_reply(RedisModuleCtx *ctx, RedisModuleString *name, struct limiter_handle *handle);

/* The same for a command that only reads: allowed on replicas. */
bool limiter_read_or_reply(RedisModuleCtx *ctx, RedisModuleString *name, struct limiter_handle *handle);

/* Every opened handle is closed; nothing is signalled. */
void limiter_close(struct limiter_handle *handle);

/* Applies, stores, expires, replicates, signals: in that order and only here; see commit.h. */
#include "commit.h"
#include "clock.h"
#include "quota/limiter_codec.h"

#define EFFECTS_BYTES_USUAL 256

static void store(struct limiter_handle *handle, const struct decision *decision)
{
    struct limiter *before = handle->value;
    handle->value = limiter_apply(before, decision);
    if (!before) {
        RedisModule_ModuleTypeSetValue(handle->key, limiter_type, handle->value);
    } else if (handle->value != before) { /* it has moved; swapping keeps the time to live */
        RedisModule_ModuleTypeReplaceValue(handle->key, limiter_type, handle->value, NULL);
    }
}

/* Whole ms, rounded up: the server forgets the key when the state is as good as new, never before. */
static void expire(struct limiter_handle *handle, bool lasting)
{
    int64_t deadline_us = limiter_deadline_us(handle->value);
    RedisModule_SetAbsExpire(handle->key, lasting ? REDISMODULE_NO_EXPIRE : millis_ceil(deadline_us));
}

static void replicate_effects(RedisModuleCtx *ctx, struct limiter_handle *handle, const struct decision *decision,
                              bool lasting)
{
    char lent[EFFECTS_BYTES_USUAL];
    struct sink effects = sink_over(lent, sizeof(lent));
    effects_encode(decision, lasting, &effects);
    RedisModule_Replicate(ctx, "RL._DO", "sb", handle->name, effects.data, effects.size);
    sink_free(&effects);
}

static void forget(RedisModuleCtx *ctx, struct limiter_handle *handle)
{
    RedisModule_DeleteKey(handle->key);
    handle->value = NULL;
    RedisModule_Replicate(ctx, "DEL", "s", handle->name);
    RedisModule_NotifyKeyspaceEvent(ctx, REDISMODULE_NOTIFY_GENERIC, "del", handle->name);
}

void commit(RedisModuleCtx *ctx, struct limiter_handle *handle, const struct decision *decision, int64_t now_us)
{
    if (decision->effects_count == 0) return;
    bool lasting = clock_is_frozen();
    store(handle, decision);
    if (limiter_deadline_us(handle->value) <= now_us) {
        forget(ctx, handle);
    } else {
        expire(handle, lasting);
        replicate_effects(ctx, handle, decision, lasting);
    }
    RedisModule_SignalModifiedKey(ctx, handle->name);
}

void commit_replayed(RedisModuleCtx *ctx, struct limiter_handle *handle, const struct decision *decision, bool lasting)
{
    store(handle, decision);
    expire(handle, lasting);
    RedisModule_SignalModifiedKey(ctx, handle->name);
}

/* Applies, stores, expires, replicates, signals: in that order and only here; see commit.h. */
#include "commit.h"
#include "clock.h"
#include "quota/time/duration.h"

#define EFFECTS_BYTES_USUAL 256

static long long value_bytes(const struct handle *handle)
{
    return handle->value ? (long long)handle->value_type->bytes(handle->value) : 0;
}

/* Puts the value that apply left where it belongs; swapping one that has moved keeps the time to live. */
static void store(struct handle *handle, void *before, long long before_bytes)
{
    value_type_count(handle->value_type, before ? 0 : 1,
                     (long long)handle->value_type->bytes(handle->value) - before_bytes);
    if (!before) {
        RedisModule_ModuleTypeSetValue(handle->key, handle->value_type->type, handle->value);
    } else if (handle->value != before) {
        RedisModule_ModuleTypeReplaceValue(handle->key, handle->value_type->type, handle->value, NULL);
    }
}

static int64_t deadline_us(const struct handle *handle)
{
    return handle->value ? handle->value_type->deadline_us(handle->value) : INSTANT_MAX_US;
}

/* The server forgets a value when it is as good as new, or up to a grain later, never before. It is told only what it
 * does not know: a time to live follows from the value, so where that instant has not moved it stands already. (But
 * under a test clock, which takes it away while frozen, always.) */
static void expire(struct handle *handle, int64_t before_us, int64_t after_us, bool lasting)
{
    int64_t grain_us = handle->value_type->grain_us ? handle->value_type->grain_us(handle->value) : 1;
    bool told = (((before_us - 1) ^ (after_us - 1)) & -grain_us) == 0;
    if (told && !clock_test_is_allowed()) return;
    bool stays = lasting || after_us >= INSTANT_MAX_US - grain_us; /* a forced breaker has no end */
    int64_t expiry_us = (after_us + grain_us - 1) & -grain_us;
    RedisModule_SetAbsExpire(handle->key, stays ? REDISMODULE_NO_EXPIRE : millis_ceil(expiry_us));
}

static void replicate_effects(RedisModuleCtx *ctx, struct handle *handle, const void *decision, bool lasting)
{
    char stack_buffer[EFFECTS_BYTES_USUAL];
    struct sink effects = sink_init(stack_buffer, sizeof(stack_buffer));
    handle->value_type->effects_encode(decision, lasting, &effects);
    if (handle->batch) {
        struct batch *batch = handle->batch;
        batch->words[batch->count++] = handle->name;
        batch->words[batch->count++] = RedisModule_CreateString(NULL, effects.data, effects.size);
    } else {
        RedisModule_Replicate(ctx, "RL._DO", "sb", handle->name, effects.data, effects.size);
    }
    sink_free(&effects);
}

void batch_replicate(RedisModuleCtx *ctx, struct batch *batch)
{
    if (batch->count > 0) RedisModule_Replicate(ctx, "RL._DO", "v", batch->words, batch->count);
    for (size_t i = 1; i < batch->count; i += 2) RedisModule_FreeString(NULL, batch->words[i]);
    batch->count = 0;
}

static void forget(RedisModuleCtx *ctx, struct handle *handle)
{
    RedisModule_DeleteKey(handle->key);
    handle->value = NULL;
    if (handle->batch) batch_replicate(ctx, handle->batch); /* what was done before is repeated before */
    RedisModule_Replicate(ctx, "DEL", "s", handle->name);
    RedisModule_NotifyKeyspaceEvent(ctx, REDISMODULE_NOTIFY_GENERIC, "del", handle->name);
}

void commit(RedisModuleCtx *ctx, struct handle *handle, const void *decision, int64_t now_us)
{
    if (!handle->value_type->has_effects(decision)) return;
    void *before = handle->value;
    long long before_bytes = value_bytes(handle);
    int64_t before_us = deadline_us(handle);
    bool lasting = clock_is_frozen();
    handle->value = handle->value_type->apply(before, decision);
    store(handle, before, before_bytes);
    int64_t after_us = deadline_us(handle);
    if (after_us <= now_us) {
        forget(ctx, handle);
    } else {
        expire(handle, before_us, after_us, lasting);
        replicate_effects(ctx, handle, decision, lasting);
    }
    RedisModule_SignalModifiedKey(ctx, handle->name);
}

bool commit_replayed(RedisModuleCtx *ctx, struct handle *handle, struct bytes effects)
{
    void *before = handle->value;
    long long before_bytes = value_bytes(handle);
    int64_t before_us = deadline_us(handle);
    bool lasting;
    if (!handle->value_type->replay(&handle->value, effects, &lasting)) return false;
    store(handle, before, before_bytes);
    expire(handle, before_us, deadline_us(handle), lasting);
    RedisModule_SignalModifiedKey(ctx, handle->name);
    return true;
}

void commit_catalogue(RedisModuleCtx *ctx, const char *command, struct bytes name, struct bytes effects)
{
    RedisModule_Replicate(ctx, command, "bb", name.data, name.size, effects.data, effects.size);
}

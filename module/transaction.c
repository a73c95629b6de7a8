/* Applies, stores, expires, notifies, replicates, signals: in that order and only here; see transaction.h. */
#include "transaction.h"
#include "clock.h"
#include "memory_limit.h"
#include "quota/time/duration.h"

#define EFFECTS_BYTES_USUAL 256
#define EVENT_BYTES_MAX     32

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

/* The server forgets a value when it is fully replenished, or up to a granule later, never before. It gets only what
 * it does not know: a time to live follows from the value, so where that instant has not moved it stands already. (But
 * under a test clock, which takes it away while frozen, always.) */
static void expire(struct handle *handle, int64_t before_us, int64_t after_us, bool no_expire)
{
    int64_t ttl_granularity_us =
        handle->value_type->ttl_granularity_us ? handle->value_type->ttl_granularity_us(handle->value) : 1;
    bool stays_the_same = (((before_us - 1) ^ (after_us - 1)) & -ttl_granularity_us) == 0;
    if (stays_the_same && !clock_test_is_allowed()) return;
    bool stays = no_expire || after_us >= INSTANT_MAX_US - ttl_granularity_us; /* a forced breaker has no end */
    int64_t expiry_us = (after_us + ttl_granularity_us - 1) & -ttl_granularity_us;
    RedisModule_SetAbsExpire(handle->key, stays ? REDISMODULE_NO_EXPIRE : millis_ceil(expiry_us));
}

/* The name of one of our commands in lower case, without a subcommand; NULL where the server runs one of its own, which
 * have no dot in their names. The same command comes again and again, so the last one is remembered by the address of
 * its name. */
static const char *event_of_command(const char *name)
{
    static const char *last_name, *last_event;
    static char event[EVENT_BYTES_MAX];
    if (name == last_name) return last_event;
    size_t size = 0;
    bool ours = false;
    for (; size < sizeof(event) - 1 && name[size] && name[size] != '|'; size++) {
        ours = ours || name[size] == '.';
        event[size] = name[size] >= 'A' && name[size] <= 'Z' ? (char)(name[size] + ('a' - 'A')) : name[size];
    }
    event[size] = '\0';
    last_name = name;
    last_event = ours ? event : NULL;
    return last_event;
}

/* An event of class `d` (notify-keyspace-events KEd), named like the command. Where no command of ours runs, a client
 * has waited. */
static void notify(RedisModuleCtx *ctx, const struct handle *handle)
{
    const char *name = RedisModule_GetCurrentCommandName(ctx);
    const char *event = name ? event_of_command(name) : NULL;
    if (!event) event = handle->value_type->event;
    RedisModule_NotifyKeyspaceEvent(ctx, REDISMODULE_NOTIFY_MODULE, event, handle->name);
}

struct transaction transaction_begin(RedisModuleCtx *ctx, RedisModuleString **words, int64_t now_us)
{
    return (struct transaction){.ctx = ctx, .now_us = now_us, .words = words};
}

/* The run of effects of one key ends. */
static void end_joined(struct transaction *transaction)
{
    if (!transaction->joined_name) return;
    transaction->words[transaction->count++] = transaction->joined_name;
    transaction->words[transaction->count++] =
        RedisModule_CreateString(NULL, transaction->joined.data, transaction->joined.size);
    sink_free(&transaction->joined);
    transaction->joined_name = NULL;
}

static void join(struct transaction *transaction, const struct handle *handle, const void *decision)
{
    bool same =
        transaction->joined_name && bytes_equal(string_bytes(transaction->joined_name), string_bytes(handle->name));
    if (!same) {
        end_joined(transaction);
        transaction->joined_name = RedisModule_HoldString(NULL, handle->name);
        handle->value_type->effects_begin(transaction->now_us, clock_is_frozen(), &transaction->joined);
    }
    handle->value_type->effects_add(decision, &transaction->joined);
}

void transaction_replicate(struct transaction *transaction)
{
    end_joined(transaction);
    if (transaction->count > 0)
        RedisModule_Replicate(transaction->ctx, "RL._DO", "v", transaction->words, transaction->count);
    for (size_t i = 0; i < transaction->count; i++) RedisModule_FreeString(NULL, transaction->words[i]);
    transaction->count = 0;
}

static void forget(struct transaction *transaction, struct handle *handle)
{
    RedisModule_DeleteKey(handle->key);
    handle->value = NULL;
    transaction_replicate(transaction); /* what was done before is repeated before */
    RedisModule_Replicate(transaction->ctx, "DEL", "s", handle->name);
    RedisModule_NotifyKeyspaceEvent(transaction->ctx, REDISMODULE_NOTIFY_GENERIC, "del", handle->name);
}

/* Applies a decision that has effects, stores, expires, notifies, signals. True where effects are left to replicate. */
static bool make_true(struct transaction *transaction, struct handle *handle, const void *decision)
{
    void *before = handle->value;
    long long before_bytes = value_bytes(handle);
    int64_t before_us = deadline_us(handle);
    handle->value = handle->value_type->apply(before, decision);
    if (handle->value_type->happened) handle->value_type->happened(transaction->ctx, handle->name);
    store(handle, before, before_bytes);
    int64_t after_us = deadline_us(handle);
    bool stays = after_us > transaction->now_us;
    if (stays) expire(handle, before_us, after_us, clock_is_frozen());
    bool is_known = transaction->changed == handle->name && stays;
    transaction->changed = stays ? handle->name : NULL;
    if (!is_known) notify(transaction->ctx, handle);
    if (!stays) forget(transaction, handle);
    if (!is_known) RedisModule_SignalModifiedKey(transaction->ctx, handle->name);
    if (handle->value_type->changed) handle->value_type->changed(handle->value_type, transaction->ctx, handle->name);
    return stays;
}

void transaction_add(struct transaction *transaction, struct handle *handle, const void *decision)
{
    if (!handle->value_type->has_effects(decision)) return;
    char stack_buffer[EFFECTS_BYTES_USUAL];
    struct sink effects = sink_init(stack_buffer, sizeof(stack_buffer));
    if (!make_true(transaction, handle, decision)) return;
    if (handle->value_type->effects_add) {
        join(transaction, handle, decision);
        return;
    }
    handle->value_type->effects_encode(decision, clock_is_frozen(), &effects);
    transaction->words[transaction->count++] = RedisModule_HoldString(NULL, handle->name);
    transaction->words[transaction->count++] = RedisModule_CreateString(NULL, effects.data, effects.size);
    sink_free(&effects);
}

void transaction_commit(RedisModuleCtx *ctx, struct handle *handle, const void *decision, int64_t now_us)
{
    if (!handle->value_type->has_effects(decision)) return;
    char stack_buffer[EFFECTS_BYTES_USUAL];
    struct sink effects = sink_init(stack_buffer, sizeof(stack_buffer));
    struct transaction transaction = transaction_begin(ctx, NULL, now_us);
    if (!make_true(&transaction, handle, decision)) return;
    handle->value_type->effects_encode(decision, clock_is_frozen(), &effects);
    RedisModule_Replicate(ctx, "RL._DO", "sb", handle->name, effects.data, effects.size);
    sink_free(&effects);
}

bool transaction_fits_or_reply(RedisModuleCtx *ctx, const struct handle *handle, const void *decision)
{
    const struct value_type *value_type = handle->value_type;
    if (!value_type->has_effects(decision)) return true;
    bool grows = !handle->value || (value_type->adds_record && value_type->adds_record(decision));
    return !grows || memory_limit_permits_or_reply(ctx);
}

bool transaction_commit_or_reply(RedisModuleCtx *ctx, struct handle *handle, const void *decision, int64_t now_us)
{
    if (!transaction_fits_or_reply(ctx, handle, decision)) return false;
    transaction_commit(ctx, handle, decision, now_us);
    return true;
}

bool transaction_repeat(RedisModuleCtx *ctx, struct handle *handle, struct bytes effects)
{
    void *before = handle->value;
    long long before_bytes = value_bytes(handle);
    int64_t before_us = deadline_us(handle);
    bool no_expire;
    if (!handle->value_type->replay(&handle->value, effects, &no_expire)) return false;
    if (handle->value_type->happened) handle->value_type->happened(ctx, handle->name);
    store(handle, before, before_bytes);
    expire(handle, before_us, deadline_us(handle), no_expire);
    RedisModule_SignalModifiedKey(ctx, handle->name);
    return true;
}

void transaction_replicate_configuration(RedisModuleCtx *ctx, const char *command, struct bytes name,
                                         struct bytes effects, struct bytes event)
{
    if (event.size > 0) {
        RedisModule_Replicate(ctx, command, "bbb", name.data, name.size, effects.data, effects.size, event.data,
                              event.size);
    } else {
        RedisModule_Replicate(ctx, command, "bb", name.data, name.size, effects.data, effects.size);
    }
}

/* The effects without what they say of events; these of other kinds as they are. */
static RedisModuleString *without_events(RedisModuleString *effects)
{
    struct bytes bytes = string_bytes(effects);
    const struct value_type *value_type = value_type_of(head_of(bytes).kind);
    struct sink without = {0};
    if (!value_type || !value_type->effects_without_events) return RedisModule_HoldString(NULL, effects);
    value_type->effects_without_events(bytes, &without);
    RedisModuleString *made = RedisModule_CreateString(NULL, without.data, without.size);
    sink_free(&without);
    return made;
}

void transaction_pass_on(RedisModuleCtx *ctx, RedisModuleString **words, size_t count)
{
    RedisModuleString **passed = RedisModule_Alloc(count * sizeof(RedisModuleString *));
    for (size_t i = 0; i < count; i++) passed[i] = i % 2 ? without_events(words[i]) : words[i];
    RedisModule_Replicate(ctx, "RL._DO", "v", passed, count);
    for (size_t i = 1; i < count; i += 2) RedisModule_FreeString(NULL, passed[i]);
    RedisModule_Free(passed);
}

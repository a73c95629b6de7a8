/* RL.MALLOW: many keys in one call, one set of rules for all of them or one for each.
 *
 *     RL.MALLOW numkeys key [key ...] WITH rule [rule ...] | POLICY name [WITH ...] [ALL] [COST n] [PEEK] [TERSE]
 *
 *     each for itself   key 0 ─ decide ─ commit │ key 1 ─ decide ─ commit │ …      verdicts in order
 *     ALL               look at every key ── all admit? ──▶ decide and commit each of them
 *                                        └── else ────────▶ nothing is charged, every verdict says granted 0
 *
 * The keys stand in one cluster slot: the server itself refuses others. A key that cannot be decided (another type,
 * overflow) is an error in its place; with ALL it is the error of the whole call. */
#include "allow_waiting.h"
#include "clock.h"
#include "command.h"
#include "memory_limit.h"
#include "reply.h"
#include "transaction.h"

/* Bounds the time of one call: about a microsecond a key. */
#define KEYS_MAX 1000

struct mallow_request {
    struct keys_argument keys;
    struct sets_argument with;
    int64_t cost, mode, all, terse, now_us;
};

static const struct argument with_arguments[] = {
    RULES_OR_POLICY(struct set_argument, rules),
    POLICY_NAME(struct set_argument, policy),
    {0},
};

static const struct argument arguments[] = {
    FIELD(ARGUMENT_INTEGER, "numkeys", NULL, struct mallow_request, keys.count, 1, KEYS_MAX, 0,
          "How many keys follow, 1 to 1000."),
    {.kind = ARGUMENT_KEYS,
     .name = "key",
     .offset = offsetof(struct mallow_request, keys),
     .summary = "The keys whose limits are checked; in a cluster all of one slot."},
    {.kind = ARGUMENT_SETS,
     .name = "rules",
     .token = "WITH",
     .offset = offsetof(struct mallow_request, with),
     .rows = with_arguments,
     .summary = "The rules or the policy, as in RL.ALLOW: once for all keys, or once for each key in order."},
    {.kind = ARGUMENT_FLAG,
     .name = "all",
     .token = "ALL",
     .offset = offsetof(struct mallow_request, all),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Every key admits, or none is charged."},
    FIELD(ARGUMENT_INTEGER, "cost", "COST", struct mallow_request, cost, 1, INT64_MAX, ARGUMENT_OPTIONAL,
          "Units requested of each key, 1 or more (default 1)."),
    {.kind = ARGUMENT_FLAG,
     .name = "peek",
     .token = "PEEK",
     .offset = offsetof(struct mallow_request, mode),
     .lowest = MODE_PEEK,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Dry run: take nothing, replicate nothing."},
    TERSE_ROW(struct mallow_request, terse),
    {0},
};

/* What is decided of one key. */
struct key_call {
    struct handle handle;
    struct rule_source source;
    struct limiter_request limit;
    struct decision decision;
    enum cause cause;
    struct bytes policy;
};

/* Opens key `i` and decides its request. False when its error stands in the reply already; else the handle is open. */
static bool decide_or_reply(RedisModuleCtx *ctx, const struct mallow_request *request, int64_t i,
                            enum request_mode mode, struct key_call *call)
{
    struct set_argument *set = &request->with.sets[request->with.count == 1 ? 0 : i];
    struct handle *handle = &call->handle;
    call->limit = (struct limiter_request){.cost = request->cost, .now_us = request->now_us, .mode = mode};
    call->policy = set->policy;
    if (set->policy.size > 0) set->rules.count = 0; /* found before, for another key */
    if (!rule_source_find_or_reply(ctx, &set->rules, set->policy, (struct bytes){NULL, 0}, (struct bytes){NULL, 0},
                                   request->now_us, &call->source)) {
        return false;
    }
    if (!handle_open_or_reply(ctx, &limiter_type, request->keys.names[i], handle)) return false;
    call->cause = allow_decide(ctx, handle, &call->source, &call->limit, &call->decision);
    if (call->decision.fault == FAULT_NONE) return true;
    handle_close(handle);
    reply_fault(ctx, call->decision.fault);
    return false;
}

static void count(RedisModuleCtx *ctx, const struct key_call *call)
{
    rule_source_count(ctx, call->handle.name, &call->source, call->policy, &call->limit, call->cause,
                      &call->decision.verdict);
}

static void take_each(RedisModuleCtx *ctx, const struct mallow_request *request)
{
    RedisModuleString *words[2 * KEYS_MAX];
    struct transaction transaction = transaction_begin(ctx, words, request->now_us);
    RedisModule_ReplyWithArray(ctx, request->keys.count);
    for (int64_t i = 0; i < request->keys.count; i++) {
        struct key_call call;
        if (!decide_or_reply(ctx, request, i, (enum request_mode)request->mode, &call)) continue;
        bool fits = transaction_fits_or_reply(ctx, &call.handle, &call.decision);
        if (fits) transaction_add(&transaction, &call.handle, &call.decision);
        handle_close(&call.handle);
        if (!fits) continue;
        if (request->mode != MODE_PEEK) count(ctx, &call);
        reply_verdict_as(ctx, &call.decision.verdict, request->terse);
    }
    transaction_replicate(&transaction);
}

/* A key given twice would be looked at twice before it is charged once. */
static bool keys_are_distinct(const struct keys_argument *keys)
{
    bool distinct = true;
    RedisModuleDict *seen = RedisModule_CreateDict(NULL);
    for (int64_t i = 0; i < keys->count && distinct; i++) {
        struct bytes name = string_bytes(keys->names[i]);
        distinct = RedisModule_DictSetC(seen, (void *)name.data, name.size, NULL) == REDISMODULE_OK;
    }
    RedisModule_FreeDict(NULL, seen);
    return distinct;
}

/* Looks at every key. False when the client has the error of one of them, or there is no memory for a new one. */
static bool peek_all_or_reply(RedisModuleCtx *ctx, const struct mallow_request *request, struct verdict *verdicts,
                              bool *admitted)
{
    bool creates = false;
    *admitted = true;
    for (int64_t i = 0; i < request->keys.count; i++) {
        struct key_call call;
        if (!decide_or_reply(ctx, request, i, MODE_PEEK, &call)) return false;
        creates = creates || (!call.handle.value && call.decision.verdict.rule >= 0); /* a list stores nothing */
        handle_close(&call.handle);
        verdicts[i] = call.decision.verdict;
        *admitted = *admitted && call.decision.verdict.granted > 0;
    }
    bool stores = *admitted && creates && request->mode != MODE_PEEK;
    return !stores || memory_limit_permits_or_reply(ctx);
}

/* A denial stores what its rules have taken over, or begun: the keys that refuse are decided once more, for real, and
 * counted. While memory is full none of them is made anew. */
static void store_denials(RedisModuleCtx *ctx, const struct mallow_request *request, const struct verdict *verdicts)
{
    RedisModuleString *words[2 * KEYS_MAX];
    struct transaction transaction = transaction_begin(ctx, words, request->now_us);
    for (int64_t i = 0; i < request->keys.count; i++) {
        struct key_call call;
        if (verdicts[i].granted > 0) continue;
        if (!decide_or_reply(ctx, request, i, MODE_ALL, &call)) continue; /* it was just now */
        bool room = call.handle.value || !(RedisModule_GetContextFlags(ctx) & REDISMODULE_CTX_FLAGS_OOM);
        if (room) transaction_add(&transaction, &call.handle, &call.decision);
        handle_close(&call.handle);
        count(ctx, &call);
    }
    transaction_replicate(&transaction);
}

static void take_all(RedisModuleCtx *ctx, const struct mallow_request *request)
{
    size_t size = (size_t)request->keys.count * sizeof(struct verdict);
    struct verdict *verdicts = RedisModule_Alloc(size);
    bool admitted;
    if (peek_all_or_reply(ctx, request, verdicts, &admitted)) {
        if (admitted && request->mode != MODE_PEEK) {
            take_each(ctx, request); /* the same instant, distinct keys: every one admits */
        } else {
            if (request->mode != MODE_PEEK) store_denials(ctx, request, verdicts);
            RedisModule_ReplyWithArray(ctx, request->keys.count);
            for (int64_t i = 0; i < request->keys.count; i++) {
                if (!admitted) verdicts[i].granted = 0;
                reply_verdict_as(ctx, &verdicts[i], request->terse);
            }
        }
    }
    RedisModule_Free(verdicts);
}

/* Redis 7.0 routes a cluster's commands by this answer; later servers read the key specification. */
static int reply_key_positions(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    int64_t count;
    if (argc < 2 || !bytes_integer(string_bytes(argv[1]), &count)) return REDISMODULE_OK;
    for (int at = 2; at < argc && at - 2 < count; at++) RedisModule_KeyAtPosWithFlags(ctx, at, KEY_WRITE);
    return REDISMODULE_OK;
}

static int mallow(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (RedisModule_IsKeysPositionRequest(ctx)) return reply_key_positions(ctx, argv, argc);
    struct mallow_request request = {.cost = 1, .mode = MODE_ALL, .now_us = clock_now_us()};

    if (arguments_parse_or_reply(ctx, arguments, argv, argc, &request)) {
        if (request.with.count != 1 && request.with.count != request.keys.count) {
            reply_error(ctx, "ERR WITH is given once for all keys, or once for each of them");
        } else if (!request.all) {
            take_each(ctx, &request);
        } else if (!keys_are_distinct(&request.keys)) {
            reply_error(ctx, "ERR ALL: a key is given twice");
        } else {
            take_all(ctx, &request);
        }
    }
    sets_argument_free(&request.with);
    return REDISMODULE_OK;
}

const struct command rl_mallow_command = {
    .name = "RL.MALLOW",
    .summary = "Checks the rate limits of many keys in one call, each for itself or all or none; replies an array of "
               "verdicts.",
    .complexity = "O(keys x rules)",
    .since = "1.0.0",
    .flags = "write fast getkeys-api",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .counted_keys = true,
    .handler = mallow,
    .arguments = arguments,
};

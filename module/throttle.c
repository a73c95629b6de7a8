/* CL.THROTTLE and RL.THROTTLE: drop-in for redis-cell, over the same exact GCRA as RL.ALLOW.
 *
 *     CL.THROTTLE user:7 15 30 60 1
 *                        │  │  │  └ quantity     (default 1; 0 looks, below 0 gives back)
 *                        │  └──┴─── 30 per 60 seconds
 *                        └ max_burst: capacity is one more, 16
 *
 *     ──▶ *5  0 allowed | 1 limited,  capacity,  remaining,  retry_after s (-1),  reset_after s
 *
 * Same integers, its rounding of seconds included. Different only where redis-cell is broken: foreign types answer
 * WRONGTYPE, overflow is an error, a refund past full clamps, quantity 0 writes nothing, intervals are exact. */
#include "allow_waiting.h"
#include "clock.h"
#include "command.h"
#include "reply.h"
#include "transaction.h"

struct throttle_request {
    int64_t max_burst, count, period_s, quantity;
};

#define PERIOD_S_MAX (DURATION_MAX_US / MICROS_PER_SECOND)

static const struct argument arguments[] = {
    KEY("key", "The key whose limit is checked."),
    FIELD(ARGUMENT_INTEGER, "max_burst", NULL, struct throttle_request, max_burst, INT64_MIN + 1, INT64_MAX, 0,
          "Units beyond the first that may come at once."),
    FIELD(ARGUMENT_INTEGER, "count", NULL, struct throttle_request, count, -INT64_MAX, INT64_MAX, 0,
          "Units per period."),
    FIELD(ARGUMENT_INTEGER, "period", NULL, struct throttle_request, period_s, -PERIOD_S_MAX, PERIOD_S_MAX, 0,
          "The period in seconds, up to 288230376151."),
    FIELD(ARGUMENT_INTEGER, "quantity", NULL, struct throttle_request, quantity, -INT64_MAX, INT64_MAX,
          ARGUMENT_OPTIONAL, "Units requested (default 1); 0 only looks, a negative number gives back."),
    {0},
};

/* redis-cell's seconds: whole ones, and one more when at least a whole ms is left over. */
static int64_t seconds_up(int64_t duration_us)
{
    if (duration_us == NEVER_US) return -1;
    return duration_us / MICROS_PER_SECOND + (duration_us % MICROS_PER_SECOND >= MICROS_PER_MILLI);
}

static int reply_five(RedisModuleCtx *ctx, bool limited, int64_t limit, int64_t remaining, int64_t retry_us,
                      int64_t reset_us)
{
    RedisModule_ReplyWithArray(ctx, 5);
    RedisModule_ReplyWithLongLong(ctx, limited);
    RedisModule_ReplyWithLongLong(ctx, limit);
    RedisModule_ReplyWithLongLong(ctx, remaining);
    RedisModule_ReplyWithLongLong(ctx, limited ? seconds_up(retry_us) : -1);
    return RedisModule_ReplyWithLongLong(ctx, seconds_up(reset_us));
}

/* Takes, looks or gives back; the verdict afterwards in `decision`. False when there is no memory for a new key and
 * the client has its error. */
static bool throttle_or_reply(RedisModuleCtx *ctx, struct handle *handle, struct rule *rule, int64_t quantity,
                              struct decision *decision)
{
    struct limiter_request limit_request = {.cost = quantity, .now_us = clock_now_us(), .keeps_debt = true};
    if (quantity < 0) {
        limiter_decide_refund(handle->value, -quantity, 0, TAKEN_NEWEST, limit_request.now_us, decision);
        transaction_commit(ctx, handle, decision, limit_request.now_us);
        limit_request.cost = 0;
    }
    const struct limiter *judge = allow_judge(ctx, handle);
    limiter_decide(judge, rule, 1, &limit_request, decision);
    if (allow_must_decide_again(ctx, handle, judge, decision, limit_request.now_us)) {
        limiter_decide(handle->value, rule, 1, &limit_request, decision);
    }
    return decision->fault != FAULT_NONE || transaction_commit_or_reply(ctx, handle, decision, limit_request.now_us);
}

static int throttle(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct throttle_request request = {.quantity = 1};
    struct handle handle;
    struct decision decision;

    if (!arguments_parse_or_reply(ctx, arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (request.count == 0 || request.period_s == 0) return reply_error(ctx, "ERR zero rates are not supported");
    if (request.max_burst == INT64_MAX) return reply_fault(ctx, FAULT_OVERFLOW);
    if (!handle_open_or_reply(ctx, &limiter_type, argv[1], &handle)) return REDISMODULE_OK;

    bool backwards = (request.count < 0) != (request.period_s < 0); /* redis-cell: denies everything */
    int64_t capacity = request.max_burst + 1;
    if (backwards || capacity < 1) {
        handle_close(&handle);
        return reply_five(ctx, true, capacity, 0, NEVER_US, 0);
    }
    struct rule rule = {.algorithm = RULE_GCRA,
                        .limit = request.count < 0 ? -request.count : request.count,
                        .period_us = (request.period_s < 0 ? -request.period_s : request.period_s) * MICROS_PER_SECOND,
                        .capacity = capacity,
                        .initial = capacity};
    bool fits = throttle_or_reply(ctx, &handle, &rule, request.quantity, &decision);
    handle_close(&handle);
    if (!fits) return REDISMODULE_OK;
    if (decision.fault != FAULT_NONE) return reply_fault(ctx, decision.fault);
    const struct verdict *verdict = &decision.verdict;
    bool limited = verdict->wait_us != 0;
    struct limiter_request counted = {.cost = request.quantity, .now_us = clock_now_us()};
    if (request.quantity > 0) rules_count(ctx, argv[1], &rule, BYTES(""), &counted, verdict);
    return reply_five(ctx, limited, capacity, verdict->remaining, verdict->wait_us, verdict->reset_us);
}

#define THROTTLE_RECORD(name_)                                                                                         \
    {                                                                                                                  \
        .name = (name_), .summary = "Drop-in for redis-cell: checks one GCRA limit, replies the same five integers.",  \
        .complexity = "O(1)", .since = "1.0.0", .flags = "write fast", .categories = "write fast",                     \
        .key_flags = KEY_WRITE, .handler = throttle, .arguments = arguments,                                           \
    }

const struct command cl_throttle_command = THROTTLE_RECORD("CL.THROTTLE");
const struct command rl_throttle_command = THROTTLE_RECORD("RL.THROTTLE");

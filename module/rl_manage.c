/* RL.REFUND, RL.BLOCK, RL.INFO: everything done to a rate-limit key besides requests. */
#include "allow_waiting.h"
#include "clock.h"
#include "command.h"
#include "quota/rate/algorithm.h"
#include "quota/rate/limiter.h"
#include "quota/rate/rule_codec.h"
#include "quota/rate/sliding_log.h"
#include "quota/rate/table.h"
#include "reply.h"
#include "transaction.h"

/* ---- RL.REFUND key amount [[RULE] index] [AGE duration] -------------------------------------------------- */

struct refund_request {
    int64_t units, index, age_us;
};

static const struct argument refund_arguments[] = {
    KEY("key", "The rate-limit key."),
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct refund_request, units, 1, INT64_MAX, 0,
          "Units to give back, 1 or more."),
    FIELD(ARGUMENT_INTEGER, "index", "RULE", struct refund_request, index, 0, VERDICT_PART *VERDICT_PART - 1,
          ARGUMENT_OPTIONAL | ARGUMENT_BARE,
          "Only to this rule, from 0, or as a verdict numbers it (default: to all of them)."),
    FIELD(ARGUMENT_DURATION, "age", "AGE", struct refund_request, age_us, 0, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "The units were taken that long ago: what has left its window since is not given back (default: as if taken "
          "just now)."),
    {0},
};

/* Gives units back, clamped at full; answers the units returned (with several rules: the most one took back). */
static int refund(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct refund_request request = {.index = -1, .age_us = NOT_GIVEN};
    struct handle handle;
    struct decision decision;

    if (!arguments_parse_or_reply(ctx, refund_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!handle_open_or_reply(ctx, &limiter_type, argv[1], &handle)) return REDISMODULE_OK;

    int64_t now_us = clock_now_us();
    const struct limiter *limiter = handle.value;
    /* Of a policy the rules in force are the key's: their part needs no place of its own. */
    if (request.index >= 0) request.index %= VERDICT_PART;
    bool known = request.index < 0 || !limiter || request.index < limiter->set->count;
    int64_t returned = 0;
    if (known) {
        struct taken_when taken = TAKEN_NEWEST;
        if (request.age_us != NOT_GIVEN) taken = (struct taken_when){.at_us = now_us - request.age_us, .about = true};
        returned = limiter_decide_refund(limiter, request.units, (int32_t)request.index, taken, now_us, &decision);
        transaction_commit(ctx, &handle, &decision, now_us);
    }
    handle_close(&handle);
    if (!known) return reply_error(ctx, "ERR index: the key has no rule with that number");
    return RedisModule_ReplyWithLongLong(ctx, returned);
}

/* ---- RL.BLOCK key duration ------------------------------------------------------------------------------- */

struct block_request {
    int64_t block_us;
};

static const struct argument block_arguments[] = {
    KEY("key", "The rate-limit key; created if need be."),
    FIELD(ARGUMENT_DURATION, "duration", NULL, struct block_request, block_us, 0, DURATION_MAX_US, 0,
          "How long everything is refused; 0 ends a block."),
    {0},
};

static int block(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct block_request request;
    struct handle handle;
    struct decision decision;

    if (!arguments_parse_or_reply(ctx, block_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!handle_open_or_reply(ctx, &limiter_type, argv[1], &handle)) return REDISMODULE_OK;

    int64_t now_us = clock_now_us();
    limiter_decide_block(handle.value, request.block_us > 0 ? now_us + request.block_us : 0, &decision);
    bool fits = transaction_commit_or_reply(ctx, &handle, &decision, now_us);
    handle_close(&handle);
    return fits ? RedisModule_ReplyWithSimpleString(ctx, "OK") : REDISMODULE_OK;
}

/* ---- RL.INFO key ----------------------------------------------------------------------------------------- */

static const struct argument info_arguments[] = {KEY("key", "The rate-limit key, or a limiter table."), {0}};

/* What a rule is: the first five fields of its map. */
static void reply_rule_facts(RedisModuleCtx *ctx, const struct rule *rule)
{
    char stack_buffer[128];
    struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
    rule_write(rule, &text);
    reply_field_text(ctx, "rule", (struct bytes){text.data, text.size});
    reply_field_text(ctx, "algorithm", (struct bytes){algorithm_of(rule)->name, strlen(algorithm_of(rule)->name)});
    reply_field_integer(ctx, "limit", rule->limit);
    reply_field_integer(ctx, "period_us", rule->period_us);
    reply_field_integer(ctx, "capacity", rule->capacity);
    sink_free(&text);
}

static void reply_rule(RedisModuleCtx *ctx, const struct limiter *limiter, uint32_t index, int64_t now_us)
{
    struct verdict verdict;
    struct state state;

    limiter_look(limiter, index, now_us, &state, &verdict);
    RedisModule_ReplyWithMap(ctx, 9);
    reply_rule_facts(ctx, &limiter->set->rules[index]);
    reply_field_integer(ctx, "remaining", verdict.remaining);
    reply_field_integer(ctx, "wait_ms", millis_ceil(verdict.wait_us));
    reply_field_integer(ctx, "reset_ms", millis_ceil(verdict.reset_us));
    reply_field_name(ctx, "state");
    RedisModule_ReplyWithMap(ctx, 4);
    reply_field_integer(ctx, "when_us", state.when_us);
    reply_field_integer(ctx, "amount", state.amount);
    reply_field_integer(ctx, "rest", state.rest);
    reply_field_integer(ctx, "entries", sliding_log_entries(state.log));
}

static void reply_table(RedisModuleCtx *ctx, const struct table *table)
{
    RedisModule_ReplyWithMap(ctx, 5);
    reply_field_name(ctx, "rules");
    RedisModule_ReplyWithArray(ctx, table->set->count);
    for (uint32_t i = 0; i < table->set->count; i++) {
        RedisModule_ReplyWithMap(ctx, 5);
        reply_rule_facts(ctx, &table->set->rules[i]);
    }
    reply_field_integer(ctx, "since", millis_ceil(table->rules_us));
    reply_field_integer(ctx, "subjects", table->subjects);
    reply_field_integer(ctx, "segments", table->segments);
    reply_field_integer(ctx, "bytes", (int64_t)table->bytes);
}

/* Rules as a newcomer finds them, behind those that wait; what is kept is what is stored. */
static void reply_limiter(RedisModuleCtx *ctx, const struct handle *handle)
{
    const struct limiter *stored = handle->value, *judge = allow_judge(ctx, handle);
    int64_t now_us = clock_now_us();
    int64_t blocked_us = limiter_blocked_until_us(stored) - now_us, taken_us = limiter_taken_until_us(judge) - now_us;
    RedisModule_ReplyWithMap(ctx, 5);
    reply_field_name(ctx, "rules");
    RedisModule_ReplyWithArray(ctx, judge->set->count);
    for (uint32_t i = 0; i < judge->set->count; i++) reply_rule(ctx, judge, i, now_us);
    reply_field_integer(ctx, "blocked_ms", millis_ceil(max_i64(blocked_us, 0)));
    reply_field_integer(ctx, "taken_ms", millis_ceil(max_i64(taken_us, 0)));
    reply_field_integer(ctx, "waiting", allow_waiting_count(ctx, handle->name));
    reply_field_integer(ctx, "deadline", millis_ceil(limiter_deadline_us(stored)));
}

static int info(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct handle handle;

    if (!arguments_parse_or_reply(ctx, info_arguments, argv, argc, NULL)) return REDISMODULE_OK;
    bool is_table = handle_read(ctx, &table_type, argv[1], &handle) && handle.value;
    if (is_table) reply_table(ctx, handle.value);
    handle_close(&handle);
    if (is_table) return REDISMODULE_OK;
    if (!handle_read_or_reply(ctx, &limiter_type, argv[1], &handle)) return REDISMODULE_OK;
    if (!handle.value) {
        handle_close(&handle);
        return RedisModule_ReplyWithNull(ctx);
    }
    reply_limiter(ctx, &handle);
    handle_close(&handle);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command rl_refund_command = {
    .name = "RL.REFUND",
    .summary = "Gives units back to a key's rules, clamped at full; replies the units returned.",
    .complexity = "O(rules); with LOG also O(entries)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = refund,
    .arguments = refund_arguments,
};

const struct command rl_block_command = {
    .name = "RL.BLOCK",
    .summary = "Refuses everything on a key for a while; 0 ends that. Replies OK.",
    .complexity = "O(rules)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = block,
    .arguments = block_arguments,
};

const struct command rl_info_command = {
    .name = "RL.INFO",
    .summary =
        "Shows every rule of a key: algorithm, state, remaining, reset; replies a map, null when nothing is stored.",
    .complexity = "O(rules); with LOG also O(entries that have left the window)",
    .since = "1.0.0",
    .flags = "readonly fast",
    .categories = "read fast",
    .key_flags = KEY_READ,
    .handler = info,
    .arguments = info_arguments,
};

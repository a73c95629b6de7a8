/* RL.ALLOW: may this key have `cost` more units under all of these rules? One command, one atomic step.
 *
 *     RL.ALLOW key rule [rule ...] [COST n] [UPTO | PEEK | FORCE] [WAIT duration] [BLOCK duration]
 *     RL.ALLOW key POLICY name [SUBJECT s] [ADDRESS ip] [COST n] [...]
 *
 * Parse, open, decide, commit, reply: the decision itself is quota/limiter.h. A place that is still to come keeps the
 * client waiting (allow_waiting.h). */
#include "allow_waiting.h"
#include "clock.h"
#include "command.h"
#include "reply.h"
#include "transaction.h"

struct allow_arguments {
    struct rules_argument rules;
    struct bytes policy, subject, address;
    int64_t cost, mode, wait_us, block_us;
};

static const struct argument arguments[] = {
    KEY("key", "Whose limits these are."),
    RULES_OR_POLICY(struct allow_arguments, rules),
    POLICY_NAME(struct allow_arguments, policy),
    FIELD(ARGUMENT_TEXT, "subject", "SUBJECT", struct allow_arguments, subject, 0, 0, ARGUMENT_OPTIONAL,
          "With POLICY: the client or customer in question; lists and overrides name subjects."),
    FIELD(ARGUMENT_TEXT, "address", "ADDRESS", struct allow_arguments, address, 0, 0, ARGUMENT_OPTIONAL,
          "With POLICY: from where, an IPv4 or IPv6 address; lists know ranges."),
    FIELD(ARGUMENT_INTEGER, "cost", "COST", struct allow_arguments, cost, 1, INT64_MAX, ARGUMENT_OPTIONAL,
          "Units asked for, 1 or more (default 1)."),
    REQUEST_MODE(struct allow_arguments, mode),
    FIELD(ARGUMENT_DURATION, "wait", "WAIT", struct allow_arguments, wait_us, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "Wait in line for a place that comes within so long, and answer when its moment has come; 1us or more."),
    FIELD(ARGUMENT_DURATION, "block", "BLOCK", struct allow_arguments, block_us, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "After a denial refuse everything on the key for so long, 1us or more."),
    {0},
};

/* In line or at once. Nothing is refused in shadow, so nothing waits there. */
static int decide_and_reply(RedisModuleCtx *ctx, RedisModuleString *name, struct allow_request *request)
{
    struct handle handle;
    struct decision decision;
    if (!handle_open_or_reply(ctx, &limiter_type, name, &handle)) return REDISMODULE_OK;
    if (request->source.choice.shadow) request->limit.wait_us = 0;
    bool may_wait = request->limit.wait_us > 0 && request->limit.mode == MODE_ALL && waiting_is_possible(ctx);
    if (may_wait && allow_waiting_begin(ctx, &handle, request)) {
        handle_close(&handle);
        return REDISMODULE_OK;
    }
    allow_decide(ctx, &handle, &request->source, &request->limit, &decision);
    if (decision.fault == FAULT_NONE) transaction_commit(ctx, &handle, &decision, request->limit.now_us);
    handle_close(&handle);
    if (decision.fault != FAULT_NONE) return reply_fault(ctx, decision.fault);
    return reply_verdict(ctx, &decision.verdict);
}

static int allow(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct allow_arguments given;

    given.rules.count = 0; /* the rest of that array is filled in as rules come */
    given.policy = given.subject = given.address = (struct bytes){"", 0};
    given.cost = 1;
    given.mode = MODE_ALL;
    given.wait_us = given.block_us = 0;
    if (!arguments_parse_or_reply(ctx, arguments, argv, argc, &given)) return REDISMODULE_OK;
    if (given.wait_us > 0 && (given.mode == MODE_UPTO || given.mode == MODE_FORCE)) {
        return reply_error(ctx, "ERR WAIT does not go with UPTO or FORCE");
    }
    struct allow_request request = {.policy = given.policy, .subject = given.subject, .address = given.address};
    request.limit = (struct limiter_request){.cost = given.cost,
                                             .block_us = given.block_us,
                                             .wait_us = given.wait_us,
                                             .now_us = clock_now_us(),
                                             .mode = (enum request_mode)given.mode};
    if (!rule_source_find_or_reply(ctx, &given.rules, given.policy, given.subject, given.address, request.limit.now_us,
                                   &request.source)) {
        return REDISMODULE_OK;
    }
    return decide_and_reply(ctx, argv[1], &request);
}

const struct command rl_allow_command = {
    .name = "RL.ALLOW",
    .summary = "Asks one or several rate limits on a key: all admit the cost or none is charged.",
    .complexity = "O(rules); with LOG also O(entries that have left the window)",
    .since = "1.0.0",
    .flags = "write deny-oom fast blocking",
    .categories = "write fast blocking",
    .key_flags = KEY_WRITE,
    .handler = allow,
    .arguments = arguments,
};

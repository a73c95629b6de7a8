/* RL.ALLOW and RL.PEEK: may this key have `cost` more units under all of these rules? One command, one atomic step.
 *
 *     RL.ALLOW key rule [rule ...] [COST n [n ...]] [UPTO | PEEK | FORCE]
 *         [WAIT duration] [BLOCK duration]
 *     RL.ALLOW key POLICY name [SUBJECT s] [ADDRESS ip] [COST n [n ...]] [...]
 *
 *     RL.PEEK  key rule [rule ...] | POLICY name [...] [COST n [n ...]]      the same answer, nothing taken
 *
 * Parse, open, decide, commit, reply: the decision itself is quota/limiter.h. A place that is still to come keeps the
 * client waiting (allow_waiting.h). */
#include "allow_call.h"
#include "allow_waiting.h"
#include "clock.h"
#include "command.h"
#include "reply.h"
#include "transaction.h"

/* Finds the rules of a call and its costs; `call` lives as long as they do. False when the client has its error. */
static bool request_or_reply(RedisModuleCtx *ctx, struct allow_call *call, struct allow_request *request)
{
    request->policy = call->policy;
    request->subject = call->subject;
    request->address = call->address;
    request->limit = (struct limiter_request){.block_us = call->block_us,
                                              .wait_us = call->wait_us,
                                              .now_us = clock_now_us(),
                                              .mode = (enum request_mode)call->mode};
    return rule_source_find_or_reply(ctx, &call->rules, call->policy, call->subject, call->address,
                                     request->limit.now_us, &request->source) &&
           rule_source_cost_or_reply(ctx, &request->source, &call->costs, &request->limit);
}

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
    enum cause cause = allow_decide(ctx, &handle, &request->source, &request->limit, &decision);
    bool fits =
        decision.fault != FAULT_NONE || transaction_commit_or_reply(ctx, &handle, &decision, request->limit.now_us);
    handle_close(&handle);
    if (!fits) return REDISMODULE_OK;
    if (decision.fault != FAULT_NONE) return reply_fault(ctx, decision.fault);
    if (request->limit.mode != MODE_PEEK) {
        rule_source_count(ctx, name, &request->source, request->policy, &request->limit, cause, &decision.verdict);
    }
    return reply_verdict(ctx, &decision.verdict);
}

static int allow(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct allow_call call;
    struct allow_request request;

    if (!allow_call_or_reply(ctx, argv, argc, &call) || !request_or_reply(ctx, &call, &request)) return REDISMODULE_OK;
    return decide_and_reply(ctx, argv[1], &request);
}

/* PEEK as a command that only reads: replicas answer it, too. */
static int peek(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct allow_call call;
    struct allow_request request;
    struct handle handle;
    struct decision decision;

    if (!peek_call_or_reply(ctx, argv, argc, &call) || !request_or_reply(ctx, &call, &request)) return REDISMODULE_OK;
    if (!handle_read_or_reply(ctx, &limiter_type, argv[1], &handle)) return REDISMODULE_OK;
    allow_decide(ctx, &handle, &request.source, &request.limit, &decision);
    handle_close(&handle);
    return decision.fault != FAULT_NONE ? reply_fault(ctx, decision.fault) : reply_verdict(ctx, &decision.verdict);
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command rl_allow_command = {
    .name = "RL.ALLOW",
    .summary =
        "Checks one or several rate limits on a key: all admit the cost or none is charged; replies the verdict.",
    .complexity = "O(rules); with LOG also O(entries that have left the window); for the first newcomer after a client "
                  "has left a line: O(clients in it)",
    .since = "1.0.0",
    .flags = "write fast blocking",
    .categories = "write fast blocking",
    .key_flags = KEY_WRITE,
    .handler = allow,
    .arguments = allow_arguments,
};

const struct command rl_peek_command = {
    .name = "RL.PEEK",
    .summary = "Shows what RL.ALLOW would reply, and changes nothing; replies the verdict.",
    .complexity = "O(rules); with LOG also O(entries that have left the window)",
    .since = "1.0.0",
    .flags = "readonly fast",
    .categories = "read fast",
    .key_flags = KEY_READ,
    .handler = peek,
    .arguments = peek_arguments,
};

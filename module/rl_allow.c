/* RL.ALLOW and RL.PEEK: may this key have `cost` more units under all of these rules? One command, one atomic step.
 *
 *     RL.ALLOW key rule [rule ...] [COST n [n ...]] [UPTO | PEEK | FORCE]
 *         [WAIT duration] [BLOCK duration]
 *     RL.ALLOW key POLICY name [SUBJECT s] [ADDRESS ip] [COST n [n ...]] [...]
 *
 *     RL.PEEK  key rule [rule ...] | POLICY name [...] [COST n [n ...]]      the same answer, nothing taken
 *
 * Parse, open, decide, commit, reply: the decision itself is quota/limiter.h. A place that is still to come keeps the
 * client waiting (waiting.h). */
#include "clock.h"
#include "command.h"
#include "metrics.h"
#include "quota/rate/limiter.h"
#include "reply.h"
#include "rule_source.h"
#include "transaction.h"
#include "waiting.h"

struct allow_request {
    struct rules_argument rules;
    struct bytes policy, subject, address;
    struct costs_argument costs;
    int64_t mode, wait_us, block_us;
};

#define REQUEST_ROWS                                                                                                   \
    KEY("key", "Whose limits these are."), RULES_OR_POLICY(struct allow_request, rules),                               \
        POLICY_NAME(struct allow_request, policy),                                                                     \
        FIELD(ARGUMENT_TEXT, "subject", "SUBJECT", struct allow_request, subject, 0, 0, ARGUMENT_OPTIONAL,             \
              "With POLICY: the client or customer in question; lists and overrides name subjects."),                  \
        FIELD(ARGUMENT_TEXT, "address", "ADDRESS", struct allow_request, address, 0, 0, ARGUMENT_OPTIONAL,             \
              "With POLICY: from where, an IPv4 or IPv6 address; lists know ranges."),                                 \
        COSTS(struct allow_request, costs)

static const struct argument allow_arguments[] = {
    REQUEST_ROWS,
    REQUEST_MODE(struct allow_request, mode),
    FIELD(ARGUMENT_DURATION, "wait", "WAIT", struct allow_request, wait_us, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "Take a place that comes within so long, and answer when its moment has come; 1us or more."),
    FIELD(ARGUMENT_DURATION, "block", "BLOCK", struct allow_request, block_us, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "After a denial refuse everything on the key for so long, 1us or more."),
    {0},
};

static const struct argument peek_arguments[] = {REQUEST_ROWS, {0}};

/* Reads a call, finds its rules and its costs; `request` lives as long as they do. False when the client has its
 * error. */
static bool request_or_reply(RedisModuleCtx *ctx, const struct argument *rows, RedisModuleString **argv, int argc,
                             struct allow_request *request, struct rule_source *source,
                             struct limiter_request *limit_request)
{
    request->rules.count = 0; /* the rest of that array is filled in as rules come */
    request->costs.count = 0; /* likewise */
    request->policy = request->subject = request->address = (struct bytes){NULL, 0};
    request->wait_us = request->block_us = 0;
    if (!arguments_parse_or_reply(ctx, rows, argv, argc, request)) return false;
    if (request->wait_us > 0 && (request->mode == MODE_UPTO || request->mode == MODE_FORCE)) {
        reply_error(ctx, "ERR WAIT does not go with UPTO or FORCE");
        return false;
    }
    *limit_request = (struct limiter_request){.block_us = request->block_us,
                                              .wait_us = request->wait_us,
                                              .now_us = clock_now_us(),
                                              .mode = (enum request_mode)request->mode};
    return rule_source_find_or_reply(ctx, &request->rules, request->policy, request->subject, request->address,
                                     limit_request->now_us, source) &&
           rule_source_cost_or_reply(ctx, source, &request->costs, limit_request);
}

static int allow(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct allow_request request;
    struct limiter_request limit_request;
    struct handle handle;
    struct decision decision;
    struct rule_source source;

    request.mode = MODE_ALL;
    if (!request_or_reply(ctx, allow_arguments, argv, argc, &request, &source, &limit_request)) return REDISMODULE_OK;
    if (!handle_open_or_reply(ctx, &limiter_type, argv[1], &handle)) return REDISMODULE_OK;
    enum cause cause = rule_source_decide(&source, handle.value, limit_request, &decision);
    bool fits =
        decision.fault != FAULT_NONE || transaction_commit_or_reply(ctx, &handle, &decision, limit_request.now_us);
    handle_close(&handle);
    if (!fits) return REDISMODULE_OK;
    if (decision.fault != FAULT_NONE) return reply_fault(ctx, decision.fault);
    if (limit_request.mode != MODE_PEEK) metrics_count(cause);
    bool waits = decision.effects_count > 0 && decision.verdict.granted > 0 && decision.verdict.wait_us > 0 &&
                 decision.verdict.wait_us <= limit_request.wait_us;
    if (waits && waiting_begin(ctx, argv[1], &decision.verdict, &limit_request, source.rules->count)) {
        return REDISMODULE_OK;
    }
    return reply_verdict(ctx, &decision.verdict);
}

/* PEEK as a command that only reads: replicas answer it, too. */
static int peek(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct allow_request request;
    struct limiter_request limit_request;
    struct handle handle;
    struct decision decision;
    struct rule_source source;

    request.mode = MODE_PEEK;
    if (!request_or_reply(ctx, peek_arguments, argv, argc, &request, &source, &limit_request)) return REDISMODULE_OK;
    if (!handle_read_or_reply(ctx, &limiter_type, argv[1], &handle)) return REDISMODULE_OK;
    rule_source_decide(&source, handle.value, limit_request, &decision);
    handle_close(&handle);
    return decision.fault != FAULT_NONE ? reply_fault(ctx, decision.fault) : reply_verdict(ctx, &decision.verdict);
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command rl_allow_command = {
    .name = "RL.ALLOW",
    .summary = "Asks one or several rate limits on a key: all admit the cost or none is charged.",
    .complexity = "O(rules); with LOG also O(entries that have left the window)",
    .since = "1.0.0",
    .flags = "write fast blocking",
    .categories = "write fast blocking",
    .key_flags = KEY_WRITE,
    .handler = allow,
    .arguments = allow_arguments,
};

const struct command rl_peek_command = {
    .name = "RL.PEEK",
    .summary = "Shows what RL.ALLOW would answer; takes nothing and changes nothing.",
    .complexity = "O(rules); with LOG also O(entries that have left the window)",
    .since = "1.0.0",
    .flags = "readonly fast",
    .categories = "read fast",
    .key_flags = KEY_READ,
    .handler = peek,
    .arguments = peek_arguments,
};

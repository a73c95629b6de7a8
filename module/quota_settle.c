/* QUOTA.SETTLE: writes down what time has done to an account.
 *
 *     QUOTA.SETTLE account        how much it was: cycles, overrides, plans, reservations, grants
 *
 * One change sweeps a bounded number of reservations: where more have ended, one change follows another. */
#include "accounts.h"
#include "command.h"
#include "quota/decide/settle.h"
#include "reply.h"

static const struct argument settle_arguments[] = {
    KEY("account", "The customer's account."),
    {0},
};

static bool settle_or_reply(RedisModuleCtx *ctx, struct account_call *call)
{
    account_decision_end(&call->decision);
    settle_decide(account_of(call), &call->host, call->now_us, &call->decision);
    return accounts_commit_or_reply(ctx, call);
}

static int settle(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, settle_arguments, argv, argc, NULL)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;
    bool done = settle_or_reply(ctx, &call);
    int64_t settled = call.decision.result.settled;
    while (done && settle_remains(account_of(&call), call.now_us)) done = settle_or_reply(ctx, &call);
    if (done) RedisModule_ReplyWithLongLong(ctx, settled);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_settle_command = {
    .name = "QUOTA.SETTLE",
    .summary =
        "Writes down what time has done to an account: cycles that have closed, reservations and grants that have "
        "ended, plans that have come; replies how many of them.",
    .complexity = "O(resources x rules + reservations and grants that have ended)",
    .since = "1.0.0",
    .flags = "write",
    .categories = "write slow",
    .key_flags = KEY_WRITE,
    .handler = settle,
    .arguments = settle_arguments,
};

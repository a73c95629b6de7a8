/* QUOTA.OPEN, SWITCH, SUSPEND, RESUME, CLOSE, OVERRIDE, SET, RESET: an account's life, in operators' hands.
 *
 *     QUOTA.OPEN account plan [ANCHOR instant] [ZONE iana] [EXPIRES instant]          opens or renews: OK
 *     QUOTA.SWITCH account plan [PRORATE | FULL | END]                                OK
 *     QUOTA.SUSPEND account   QUOTA.RESUME account   QUOTA.CLOSE account              OK
 *     QUOTA.OVERRIDE account resource [rules …] [EX duration]                         OK; no rules: lifted
 *     QUOTA.SET account resource used   QUOTA.RESET account [resource]                OK
 *
 * Parse, open, decide, commit, reply: the decisions are quota/admin.h. Who did it is noted in the account. */
#include "accounts.h"
#include "actor.h"
#include "command.h"
#include "entitlement_argument.h"
#include "quota/base/checked.h"
#include "quota/decide/admin.h"
#include "reply.h"
#include "zones.h"

/* ---- common ---------------------------------------------------------------------------------------------- */

/* One operator's command, from its words to its end. */
struct operator_call {
    struct account_call account;
    struct actor actor;
    struct operation operation;
};

static bool operate_begin_or_reply(RedisModuleCtx *ctx, RedisModuleString *name, struct operator_call *call)
{
    if (!accounts_begin_or_reply(ctx, name, true, &call->account)) return false;
    call->actor = actor_of(ctx);
    call->operation = (struct operation){.now_us = call->account.now_us, .actor = call->actor.name};
    return true;
}

static int operate_end(RedisModuleCtx *ctx, struct operator_call *call)
{
    if (accounts_commit_or_reply(ctx, &call->account)) RedisModule_ReplyWithSimpleString(ctx, "OK");
    actor_forget(ctx, &call->actor);
    accounts_end(&call->account);
    return REDISMODULE_OK;
}

/* ---- OPEN ------------------------------------------------------------------------------------------------ */

struct open_request {
    struct bytes plan, zone;
    int64_t anchor_us, expires_us;
};

static const struct argument open_arguments[] = {
    KEY("account", "The customer's account: any key."),
    FIELD(ARGUMENT_TEXT, "plan", NULL, struct open_request, plan, 0, 0, 0, "The plan, as QUOTA.PLAN SET named it."),
    FIELD(ARGUMENT_INSTANT, "anchor", "ANCHOR", struct open_request, anchor_us, -INSTANT_MAX_US, INSTANT_MAX_US,
          ARGUMENT_OPTIONAL, "Where its cycles are counted from (default: now)."),
    FIELD(ARGUMENT_TEXT, "zone", "ZONE", struct open_request, zone, 0, 0, ARGUMENT_OPTIONAL,
          "Its IANA time zone, like Europe/Berlin (default: UTC)."),
    FIELD(ARGUMENT_INSTANT, "expires", "EXPIRES", struct open_request, expires_us, 1, INSTANT_MAX_US, ARGUMENT_OPTIONAL,
          "When the plan ends, to the microsecond (default: never)."),
    {0},
};

/* UTC needs no file, on no server; it is written in capitals from here on. */
static bool zone_known_or_reply(RedisModuleCtx *ctx, struct bytes *zone)
{
    if (bytes_is_word(*zone, "UTC")) *zone = BYTES("UTC");
    if (zones_ask(*zone)) return true;
    reply_error(ctx, "ERR zone '%s' is not known here (looked for in %s)", printable(*zone).text, zones_folder());
    return false;
}

static bool expiry_fits_or_reply(RedisModuleCtx *ctx, const struct open_request *request, int64_t now_us)
{
    if (request->expires_us == NOT_GIVEN) return true;
    int64_t after_us = request->anchor_us == NOT_GIVEN ? now_us : max_i64(now_us, request->anchor_us);
    if (request->expires_us > after_us) return true;
    reply_error(ctx, "ERR expires lies before the account would begin, or in the past");
    return false;
}

static int open_account(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct open_request request = {.anchor_us = NOT_GIVEN, .expires_us = NOT_GIVEN};
    struct operator_call call;

    if (!arguments_parse_or_reply(ctx, open_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (request.zone.data && !zone_known_or_reply(ctx, &request.zone)) return REDISMODULE_OK;
    if (!operate_begin_or_reply(ctx, argv[1], &call)) return REDISMODULE_OK;
    struct open_ask ask = {
        .plan = request.plan, .anchor_us = request.anchor_us, .expires_us = request.expires_us, .zone = request.zone};
    if (expiry_fits_or_reply(ctx, &request, call.operation.now_us)) {
        open_decide(account_of(&call.account), &call.account.host, &ask, &call.operation, &call.account.decision);
        return operate_end(ctx, &call);
    }
    actor_forget(ctx, &call.actor);
    accounts_end(&call.account);
    return REDISMODULE_OK;
}

/* ---- SWITCH ---------------------------------------------------------------------------------------------- */

struct switch_request {
    struct bytes plan;
    int64_t mode;
};

static const struct argument switch_choice[] = {
    FLAG_VALUE("PRORATE", SWITCH_PRORATE, "Move running limits by the share of the cycle that is left (the default)."),
    FLAG_VALUE("FULL", SWITCH_FULL, "The new limits now."),
    FLAG_VALUE("END", SWITCH_END, "When the longest of the running cycles ends."),
    {0},
};

static const struct argument switch_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "plan", NULL, struct switch_request, plan, 0, 0, 0, "The plan to move to."),
    {.kind = ARGUMENT_CHOICE,
     .name = "mode",
     .offset = offsetof(struct switch_request, mode),
     .flags = ARGUMENT_OPTIONAL,
     .rows = switch_choice,
     .summary = "How running cycles follow."},
    {0},
};

static int switch_plan(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct switch_request request = {.mode = SWITCH_PRORATE};
    struct operator_call call;

    if (!arguments_parse_or_reply(ctx, switch_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!operate_begin_or_reply(ctx, argv[1], &call)) return REDISMODULE_OK;
    switch_decide(account_of(&call.account), &call.account.host, request.plan, (enum switch_mode)request.mode,
                  &call.operation, &call.account.decision);
    return operate_end(ctx, &call);
}

/* ---- SUSPEND, RESUME, CLOSE ------------------------------------------------------------------------------ */

static const struct argument account_arguments[] = {KEY("account", "The customer's account."), {0}};

static int change_state(RedisModuleCtx *ctx, RedisModuleString **argv, enum account_state state)
{
    struct operator_call call;
    if (!operate_begin_or_reply(ctx, argv[1], &call)) return REDISMODULE_OK;
    state_decide(account_of(&call.account), &call.account.host, state, &call.operation, &call.account.decision);
    return operate_end(ctx, &call);
}

static int suspend(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    (void)argc;
    return change_state(ctx, argv, ACCOUNT_SUSPENDED);
}

static int resume(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    (void)argc;
    return change_state(ctx, argv, ACCOUNT_ACTIVE);
}

static int close_account(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    (void)argc;
    return change_state(ctx, argv, ACCOUNT_CLOSED);
}

/* ---- OVERRIDE -------------------------------------------------------------------------------------------- */

struct override_request {
    struct bytes resource;
    struct entitlement_argument entitlement;
    int64_t ex_us;
};

static const struct argument refunds_rows[] = ENTITLEMENT_REFUNDS_ROWS(struct override_request);
static const struct argument holds_rows[] = ENTITLEMENT_HOLDS_ROWS(struct override_request);

static const struct argument override_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct override_request, resource, 0, 0, 0, "What gets rules of its own."),
    ENTITLEMENT_ROWS(struct override_request, refunds_rows, holds_rows),
    FIELD(ARGUMENT_DURATION, "ex", "EX", struct override_request, ex_us, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "For so long, 1us or more (default: until it is lifted)."),
    {0},
};

static int override_entitlement(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct override_request request = {.entitlement.entitlement = entitlement_none(BYTES(""))};
    struct operator_call call;

    if (!arguments_parse_or_reply(ctx, override_arguments, argv, argc, &request)) return REDISMODULE_OK;
    bool lifts = argc == 3;
    if (!lifts && !entitlement_finish_or_reply(ctx, &request.entitlement, request.resource)) return REDISMODULE_OK;
    if (!operate_begin_or_reply(ctx, argv[1], &call)) return REDISMODULE_OK;
    const struct account *account = account_of(&call.account); /* its time never steps back */
    int64_t from_us = max_i64(call.operation.now_us, account ? account->settled_us : 0);
    int64_t until_us = request.ex_us > 0 ? min_i64(from_us + request.ex_us, INSTANT_MAX_US) : 0;
    override_decide(account, &call.account.host, request.resource, lifts ? NULL : &request.entitlement.entitlement,
                    until_us, &call.operation, &call.account.decision);
    return operate_end(ctx, &call);
}

/* ---- SET and RESET --------------------------------------------------------------------------------------- */

struct correct_request {
    struct bytes resource;
    int64_t used;
};

static const struct argument set_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct correct_request, resource, 0, 0, 0, "What is corrected."),
    FIELD(ARGUMENT_INTEGER, "used", NULL, struct correct_request, used, 0, INT64_MAX, 0,
          "Units that every running cycle has used from now on, 0 or more."),
    {0},
};

static const struct argument reset_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct correct_request, resource, 0, 0, ARGUMENT_OPTIONAL,
          "What begins anew (default: everything)."),
    {0},
};

static int set_used(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct correct_request request;
    struct operator_call call;

    if (!arguments_parse_or_reply(ctx, set_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!operate_begin_or_reply(ctx, argv[1], &call)) return REDISMODULE_OK;
    set_decide(account_of(&call.account), &call.account.host, request.resource, request.used, &call.operation,
               &call.account.decision);
    return operate_end(ctx, &call);
}

static int reset(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct correct_request request = {.resource = {"", 0}};
    struct operator_call call;

    if (!arguments_parse_or_reply(ctx, reset_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!operate_begin_or_reply(ctx, argv[1], &call)) return REDISMODULE_OK;
    reset_decide(account_of(&call.account), &call.account.host, request.resource, &call.operation,
                 &call.account.decision);
    return operate_end(ctx, &call);
}

/* ---- records --------------------------------------------------------------------------------------------- */

#define OPERATOR_COMMAND(variable_, name_, summary_, complexity_, flags_, handler_, arguments_)                        \
    const struct command variable_ = {                                                                                 \
        .name = (name_),                                                                                               \
        .summary = (summary_),                                                                                         \
        .complexity = (complexity_),                                                                                   \
        .since = "1.0.0",                                                                                              \
        .flags = (flags_),                                                                                             \
        .categories = "write slow",                                                                                    \
        .key_flags = KEY_WRITE,                                                                                        \
        .handler = (handler_),                                                                                         \
        .arguments = (arguments_),                                                                                     \
    }

OPERATOR_COMMAND(quota_open_command, "QUOTA.OPEN",
                 "Opens an account on a plan; harmless where it is open, or renews it.", "O(resources)",
                 "write deny-oom", open_account, open_arguments);
OPERATOR_COMMAND(quota_switch_command, "QUOTA.SWITCH", "Moves an account to another plan; nothing is minted by it.",
                 "O(resources)", "write deny-oom", switch_plan, switch_arguments);
OPERATOR_COMMAND(quota_suspend_command, "QUOTA.SUSPEND", "Lets an account answer SUSPENDED until it is resumed.",
                 "O(resources)", "write", suspend, account_arguments);
OPERATOR_COMMAND(quota_resume_command, "QUOTA.RESUME", "Lets a suspended account go on.", "O(resources)", "write",
                 resume, account_arguments);
OPERATOR_COMMAND(quota_close_command, "QUOTA.CLOSE", "Ends an account; what it has used and answered is kept.",
                 "O(resources)", "write", close_account, account_arguments);
OPERATOR_COMMAND(quota_override_command, "QUOTA.OVERRIDE",
                 "Gives one resource of an account rules of its own, or lifts them.", "O(resources)", "write deny-oom",
                 override_entitlement, override_arguments);
OPERATOR_COMMAND(quota_set_command, "QUOTA.SET", "Sets what the running cycles of a resource have used.",
                 "O(resources)", "write deny-oom", set_used, set_arguments);
OPERATOR_COMMAND(quota_reset_command, "QUOTA.RESET",
                 "Lets the running cycles of a resource, or of all, be as if nobody had used anything.", "O(resources)",
                 "write", reset, reset_arguments);

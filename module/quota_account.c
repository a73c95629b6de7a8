/* QUOTA.OPEN, SWITCH, SUSPEND, RESUME, CLOSE, OVERRIDE, SET, RESET: an account's life, in operators' hands.
 *
 *     QUOTA.OPEN account plan [ANCHOR instant] [ZONE iana] [EXPIRES moment [THEN plan]] [PARENT key]   opens: OK
 *     QUOTA.SWITCH account plan [PRORATE | FULL | END] [AT instant] [RESTART] [CHECK]             OK
 *     QUOTA.SUSPEND account [EX duration]   QUOTA.RESUME account   QUOTA.CLOSE account            OK
 *     QUOTA.OVERRIDE account resource [ONLY] rules … [EX moment] [CHECK]   … resource LIFT        OK
 *     QUOTA.SET account resource used [PERIOD p]   QUOTA.RESET account [resource [PERIOD p]]      OK
 *
 * Each takes REASON text, which the audit trail keeps with who did it. CHECK answers the account as it would be and
 * changes nothing. Parse, open, decide, commit, reply: the decisions are quota/decide/admin.h. */
#include "account_info.h"
#include "accounts.h"
#include "actor.h"
#include "command.h"
#include "entitlement_argument.h"
#include "moment_argument.h"
#include "parents.h"
#include "quota/base/checked.h"
#include "quota/decide/admin.h"
#include "reply.h"
#include "zones.h"

/* ---- common ---------------------------------------------------------------------------------------------- */

#define REASON_ROW(type_)                                                                                              \
    FIELD(ARGUMENT_TEXT, "reason", "REASON", type_, reason, 0, 0, ARGUMENT_OPTIONAL,                                   \
          "The reason, for the audit trail; at most 256 bytes.")
#define CHECK_ROW(type_)                                                                                               \
    {                                                                                                                  \
        .kind = ARGUMENT_FLAG, .name = "check", .token = "CHECK", .offset = offsetof(type_, check), .lowest = 1,       \
        .flags = ARGUMENT_OPTIONAL,                                                                                    \
        .summary = "Dry run: reply the account as it would be (QUOTA.INFO), change nothing."                           \
    }

/* One operator's command, from its arguments to its end. */
struct operator_call {
    struct account_call account;
    struct actor actor;
    struct admin_action action;
};

static bool operate_begin_or_reply(RedisModuleCtx *ctx, RedisModuleString *name, struct bytes reason,
                                   struct operator_call *call)
{
    if (reason.size > REASON_BYTES_MAX) {
        reply_error(ctx, "ERR reason has more than %d bytes", REASON_BYTES_MAX);
        return false;
    }
    if (!accounts_begin_or_reply(ctx, name, true, &call->account)) return false;
    call->actor = actor_of(ctx);
    call->action = (struct admin_action){.now_us = call->account.now_us, .actor = call->actor.name, .reason = reason};
    return true;
}

static void operate_close(RedisModuleCtx *ctx, struct operator_call *call)
{
    actor_forget(ctx, &call->actor);
    accounts_end(&call->account);
}

static int operate_end(RedisModuleCtx *ctx, struct operator_call *call)
{
    if (accounts_commit_or_reply(ctx, &call->account)) RedisModule_ReplyWithSimpleString(ctx, "OK");
    operate_close(ctx, call);
    return REDISMODULE_OK;
}

/* The same of a command that gives the account a parent (NULL = none), or takes it out of the one it has. */
static int end_below(RedisModuleCtx *ctx, struct operator_call *call, RedisModuleString *parent, bool leaves)
{
    struct parent_calls parents;
    if (parents_open_or_reply(ctx, &call->account, parent, leaves, &parents)) {
        bool done = parents_commit_or_reply(ctx, &call->account, &call->action, &parents);
        if (done) RedisModule_ReplyWithSimpleString(ctx, "OK");
    }
    parents_close(&parents);
    operate_close(ctx, call);
    return REDISMODULE_OK;
}

/* A dry run: the account as it would be. */
static int operate_check(RedisModuleCtx *ctx, struct operator_call *call)
{
    account_info_reply_decided(ctx, &call->account);
    operate_close(ctx, call);
    return REDISMODULE_OK;
}

/* ---- OPEN ------------------------------------------------------------------------------------------------ */

struct open_input {
    struct bytes plan, zone, expires, then, parent, reason;
    int64_t anchor_us;
};

static const struct argument open_arguments[] = {
    KEY("account", "The customer's account: any key."),
    FIELD(ARGUMENT_TEXT, "plan", NULL, struct open_input, plan, 0, 0, 0, "The plan's name."),
    FIELD(ARGUMENT_INSTANT, "anchor", "ANCHOR", struct open_input, anchor_us, -INSTANT_MAX_US, INSTANT_MAX_US,
          ARGUMENT_OPTIONAL, "Where its cycles are counted from (default: now)."),
    FIELD(ARGUMENT_TEXT, "zone", "ZONE", struct open_input, zone, 0, 0, ARGUMENT_OPTIONAL,
          "Its IANA time zone, like Europe/Berlin (default: UTC)."),
    FIELD(ARGUMENT_TEXT, "expires", "EXPIRES", struct open_input, expires, 0, 0, ARGUMENT_OPTIONAL,
          "When the plan ends: an instant, or a duration (30d) or calendar period (3month) from its opening on."),
    FIELD(ARGUMENT_TEXT, "then", "THEN", struct open_input, then, 0, 0, ARGUMENT_OPTIONAL,
          "The plan it falls to when it expires (default: quota.default-plan)."),
    {.kind = ARGUMENT_TEXT,
     .name = "parent",
     .token = "PARENT",
     .offset = offsetof(struct open_input, parent),
     .flags = ARGUMENT_OPTIONAL,
     .summary = "The account above it; in a cluster of the same slot."},
    REASON_ROW(struct open_input),
    {0},
};

/* UTC needs no file, on no server; it is written in capitals from here on. */
static bool zone_known_or_reply(RedisModuleCtx *ctx, struct bytes *zone)
{
    if (bytes_is_word(*zone, "UTC")) *zone = BYTES("UTC");
    if (zones_load(*zone)) return true;
    reply_error(ctx, "ERR zone '%s' is not known here (looked for in %s)", printable(*zone).text, zones_folder());
    return false;
}

static bool open_request_or_reply(RedisModuleCtx *ctx, struct open_input *input, struct open_request *request)
{
    if (input->zone.data && !zone_known_or_reply(ctx, &input->zone)) return false;
    *request = (struct open_request){.plan = input->plan,
                                     .anchor_us = input->anchor_us,
                                     .then = input->then,
                                     .zone = input->zone,
                                     .parent = input->parent};
    if (input->expires.data && !moment_expires_or_reply(ctx, input->expires, &request->expires)) return false;
    if (!input->then.data) return true;
    if (!input->expires.data) {
        reply_error(ctx, "ERR THEN needs EXPIRES: it names the plan the account falls to at that instant");
        return false;
    }
    return accounts_word_or_reply(ctx, "THEN", input->then, PLAN_NAME_MAX);
}

/* The argument that the text was read from: its key. */
static RedisModuleString *parent_argument(RedisModuleString **argv, int argc, struct bytes text)
{
    int at = 1;
    while (at + 1 < argc && string_bytes(argv[at]).data != text.data) at++;
    return argv[at];
}

static int open_account(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct open_input input = {.anchor_us = NOT_REQUESTED, .then = {NULL, 0}};
    struct open_request request;
    struct operator_call call;

    if (!arguments_parse_or_reply(ctx, open_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!open_request_or_reply(ctx, &input, &request)) return REDISMODULE_OK;
    if (!operate_begin_or_reply(ctx, argv[1], input.reason, &call)) return REDISMODULE_OK;
    open_decide(account_of(&call.account), &call.account.host, &request, &call.action, &call.account.decision);
    return input.parent.data ? end_below(ctx, &call, parent_argument(argv, argc, input.parent), false)
                             : operate_end(ctx, &call);
}

/* ---- SWITCH ---------------------------------------------------------------------------------------------- */

struct switch_input {
    struct bytes plan, reason;
    int64_t mode, at_us, restart, check;
};

static const struct argument switch_choice[] = {
    FLAG_VALUE("PRORATE", SWITCH_PRORATE, "A running limit is the sum over the parts of its cycle (the default)."),
    FLAG_VALUE("FULL", SWITCH_FULL, "The new limits apply now."),
    FLAG_VALUE("END", SWITCH_END, "They change when the longest of the running cycles ends."),
    {0},
};

static const struct argument switch_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "plan", NULL, struct switch_input, plan, 0, 0, 0, "The plan to move to."),
    {.kind = ARGUMENT_CHOICE,
     .name = "mode",
     .offset = offsetof(struct switch_input, mode),
     .flags = ARGUMENT_OPTIONAL,
     .rows = switch_choice,
     .summary = "How running cycles change."},
    FIELD(ARGUMENT_INSTANT, "at", "AT", struct switch_input, at_us, -INSTANT_MAX_US, INSTANT_MAX_US, ARGUMENT_OPTIONAL,
          "At this instant instead of now."),
    {.kind = ARGUMENT_FLAG,
     .name = "restart",
     .token = "RESTART",
     .offset = offsetof(struct switch_input, restart),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "The running cycles close at the switch, and the account is anchored there."},
    CHECK_ROW(struct switch_input),
    REASON_ROW(struct switch_input),
    {0},
};

static int switch_plan(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct switch_input input = {.mode = SWITCH_PRORATE, .at_us = NOT_REQUESTED};
    struct operator_call call;

    if (!arguments_parse_or_reply(ctx, switch_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!operate_begin_or_reply(ctx, argv[1], input.reason, &call)) return REDISMODULE_OK;
    struct switch_request request = {
        .plan = input.plan, .mode = (enum switch_mode)input.mode, .at_us = input.at_us, .restart = input.restart != 0};
    switch_decide(account_of(&call.account), &call.account.host, &request, &call.action, &call.account.decision);
    return input.check ? operate_check(ctx, &call) : operate_end(ctx, &call);
}

/* ---- SUSPEND, RESUME, CLOSE ------------------------------------------------------------------------------ */

struct state_input {
    struct bytes reason;
    struct until_argument ex;
};

static const struct argument suspend_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_UNTIL, "ex", "EX", struct state_input, ex, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "For so long, 1us or more, or until an @instant (default: until it is resumed)."),
    REASON_ROW(struct state_input),
    {0},
};

static const struct argument state_arguments[] = {
    KEY("account", "The customer's account."),
    REASON_ROW(struct state_input),
    {0},
};

static int change_state(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, const struct argument *rows,
                        enum account_state state)
{
    struct state_input input = {0};
    int64_t ex_us;
    struct operator_call call;

    if (!arguments_parse_or_reply(ctx, rows, argv, argc, &input)) return REDISMODULE_OK;
    if (!operate_begin_or_reply(ctx, argv[1], input.reason, &call)) return REDISMODULE_OK;
    if (!until_or_reply(ctx, "ex", &input.ex, call.account.now_us, &ex_us)) {
        operate_close(ctx, &call);
        return REDISMODULE_OK;
    }
    state_decide(account_of(&call.account), &call.account.host, state, ex_us, &call.action, &call.account.decision);
    /* A closed account is no member any more. */
    return state == ACCOUNT_CLOSED ? end_below(ctx, &call, NULL, true) : operate_end(ctx, &call);
}

static int suspend(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    return change_state(ctx, argv, argc, suspend_arguments, ACCOUNT_SUSPENDED);
}

static int resume(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    return change_state(ctx, argv, argc, state_arguments, ACCOUNT_ACTIVE);
}

static int close_account(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    return change_state(ctx, argv, argc, state_arguments, ACCOUNT_CLOSED);
}

/* ---- OVERRIDE -------------------------------------------------------------------------------------------- */

struct override_input {
    struct bytes resource, ex, reason;
    struct entitlement_argument entitlement;
    int64_t only, lift, check;
};

static const struct argument refunds_rows[] = ENTITLEMENT_REFUNDS_ROWS(struct override_input);
static const struct argument holds_rows[] = ENTITLEMENT_HOLDS_ROWS(struct override_input);
static const struct argument transfers_rows[] = ENTITLEMENT_TRANSFERS_ROWS(struct override_input);
static const struct argument share_rows[] = ENTITLEMENT_SHARE_ROWS(struct override_input);

static const struct argument override_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct override_input, resource, 0, 0, 0,
          "The resource whose rules are overridden."),
    {.kind = ARGUMENT_FLAG,
     .name = "lift",
     .token = "LIFT",
     .offset = offsetof(struct override_input, lift),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Remove the override: the plan's own rules apply again."},
    {.kind = ARGUMENT_FLAG,
     .name = "only",
     .token = "ONLY",
     .offset = offsetof(struct override_input, only),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "These rules and no others (default: each replaces the plan's rule of its kind, all others stay)."},
    ENTITLEMENT_ROWS(struct override_input, refunds_rows, holds_rows, transfers_rows, share_rows),
    FIELD(ARGUMENT_TEXT, "ex", "EX", struct override_input, ex, 0, 0, ARGUMENT_OPTIONAL,
          "For so long (1h), until an instant (@2025-07-01T00:00:00Z) or until the longest cycle ends (CYCLE); "
          "default: until LIFT."),
    CHECK_ROW(struct override_input),
    REASON_ROW(struct override_input),
    {0},
};

static bool override_request_or_reply(RedisModuleCtx *ctx, struct override_input *input,
                                      struct override_request *request)
{
    *request = (struct override_request){.resource = input->resource, .only = input->only != 0};
    if (!accounts_word_or_reply(ctx, "resource", input->resource, RESOURCE_NAME_MAX)) return false;
    if (input->ex.data && !moment_ex_or_reply(ctx, input->ex, &request->until)) return false;
    if (!entitlement_finish_or_reply(ctx, &input->entitlement, input->resource, !input->only)) {
        return false;
    }
    request->options = input->only ? OPTIONS_ALL : input->entitlement.options;
    request->entitlement = &input->entitlement.entitlement;
    return true;
}

static bool lifts_alone_or_reply(RedisModuleCtx *ctx, struct override_input *input)
{
    const struct entitlement_argument *given = &input->entitlement;
    bool alone = given->entitlement.rules_count == 0 && given->warnings.count == 0 && !input->ex.data && !input->only;
    if (!alone) reply_error(ctx, "ERR LIFT takes no other option: QUOTA.OVERRIDE account resource LIFT");
    return alone;
}

static int override_rules(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct override_input input = {.only = 0};
    struct override_request request;
    struct operator_call call;

    entitlement_argument_begin(&input.entitlement);
    if (!arguments_parse_or_reply(ctx, override_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (input.lift) {
        if (!lifts_alone_or_reply(ctx, &input)) return REDISMODULE_OK;
        request = (struct override_request){.resource = input.resource};
    } else if (!override_request_or_reply(ctx, &input, &request)) {
        return REDISMODULE_OK;
    }
    if (!operate_begin_or_reply(ctx, argv[1], input.reason, &call)) return REDISMODULE_OK;
    override_decide(account_of(&call.account), &call.account.host, &request, &call.action, &call.account.decision);
    return input.check ? operate_check(ctx, &call) : operate_end(ctx, &call);
}

/* ---- SET and RESET --------------------------------------------------------------------------------------- */

struct correct_input {
    struct bytes resource, period, reason;
    int64_t used;
};

#define PERIOD_ROW                                                                                                     \
    FIELD(ARGUMENT_TEXT, "period", "PERIOD", struct correct_input, period, 0, 0, ARGUMENT_OPTIONAL,                    \
          "Only the LIMITs of this period, like month.")

static const struct argument set_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct correct_input, resource, 0, 0, 0, "The resource that is corrected."),
    FIELD(ARGUMENT_INTEGER, "used", NULL, struct correct_input, used, 0, INT64_MAX, 0,
          "Units that the running cycle has used from now on, 0 or more."),
    PERIOD_ROW,
    REASON_ROW(struct correct_input),
    {0},
};

static const struct argument reset_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct correct_input, resource, 0, 0, ARGUMENT_OPTIONAL,
          "The resource to reset (default: all)."),
    PERIOD_ROW,
    REASON_ROW(struct correct_input),
    {0},
};

static bool correct_begin_or_reply(RedisModuleCtx *ctx, const struct argument *rows, RedisModuleString **argv, int argc,
                                   struct correct_request *request, struct operator_call *call)
{
    struct correct_input input = {.resource = {"", 0}};
    if (!arguments_parse_or_reply(ctx, rows, argv, argc, &input)) return false;
    *request = (struct correct_request){.resource = input.resource, .used = input.used};
    if (input.period.data && !entitlement_period_or_reply(ctx, input.period, &request->period)) return false;
    return operate_begin_or_reply(ctx, argv[1], input.reason, call);
}

static int set_used(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct correct_request request;
    struct operator_call call;

    if (!correct_begin_or_reply(ctx, set_arguments, argv, argc, &request, &call)) return REDISMODULE_OK;
    set_decide(account_of(&call.account), &call.account.host, &request, &call.action, &call.account.decision);
    return operate_end(ctx, &call);
}

static int reset(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct correct_request request;
    struct operator_call call;

    if (!correct_begin_or_reply(ctx, reset_arguments, argv, argc, &request, &call)) return REDISMODULE_OK;
    reset_decide(account_of(&call.account), &call.account.host, &request, &call.action, &call.account.decision);
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

const struct command quota_open_command = {
    .name = "QUOTA.OPEN",
    .summary = "Opens an account on a plan; the same again changes nothing, a closed or expired one is opened again. "
               "Replies OK.",
    .complexity = "O(resources)",
    .since = "1.0.0",
    .flags = "write",
    .categories = "write slow",
    .key_flags = KEY_WRITE,
    .key_option = "PARENT",
    .handler = open_account,
    .arguments = open_arguments,
};
OPERATOR_COMMAND(quota_switch_command, "QUOTA.SWITCH",
                 "Moves an account to another plan; switching to and fro creates no extra units. Replies OK.",
                 "O(resources)", "write", switch_plan, switch_arguments);
OPERATOR_COMMAND(quota_suspend_command, "QUOTA.SUSPEND",
                 "Suspends an account: it answers SUSPENDED until it is resumed, or for a while. Replies OK.",
                 "O(resources)", "write", suspend, suspend_arguments);
OPERATOR_COMMAND(quota_resume_command, "QUOTA.RESUME", "Resumes a suspended account. Replies OK.", "O(resources)",
                 "write", resume, state_arguments);
OPERATOR_COMMAND(quota_close_command, "QUOTA.CLOSE",
                 "Closes an account; what it has used and replied is kept. Replies OK.", "O(resources)", "write",
                 close_account, state_arguments);
OPERATOR_COMMAND(quota_override_command, "QUOTA.OVERRIDE",
                 "Overrides rules of the plan for one resource of an account, or removes the override. Replies OK.",
                 "O(resources)", "write", override_rules, override_arguments);
OPERATOR_COMMAND(quota_set_command, "QUOTA.SET", "Sets what the running cycle of a resource has used. Replies OK.",
                 "O(resources)", "write", set_used, set_arguments);
OPERATOR_COMMAND(quota_reset_command, "QUOTA.RESET",
                 "Resets the running cycles of a resource, or of all: nothing has been used. Replies OK.",
                 "O(resources)", "write", reset, reset_arguments);

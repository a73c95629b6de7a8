/* QUOTA.INFO, QUOTA.HISTORY: what stands, and what was.
 *
 *     QUOTA.INFO account [resource …]               the account as it stands now; one resource: its map alone
 *     QUOTA.HISTORY account resource [PERIOD p] [FROM i] [TO i] [COUNT n] [WITHPLAN]   closed cycles, newest first
 *
 * They read, on replicas too: what time has done since the last change is computed, not stored. */
#include "account_info.h"
#include "accounts.h"
#include "ancestors.h"
#include "command.h"
#include "entitlement_argument.h"
#include "quota/base/checked.h"
#include "quota/decide/invoice.h"
#include "quota/decide/report.h"
#include "quota/time/calendar.h"
#include "reply.h"

/* ---- INFO ------------------------------------------------------------------------------------------------ */

static const struct argument info_arguments[] = {
    KEY("account", "The customer's account."),
    {.kind = ARGUMENT_TEXT,
     .name = "resource",
     .flags = ARGUMENT_OPTIONAL | ARGUMENT_SEVERAL,
     .summary = "Only these resources; for one alone the reply is its own map."},
    {0},
};

static int info(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct account_call call;

    if (argc < 2) return arguments_reply_wrong_arity(ctx, info_arguments, argv, argc);
    if (!accounts_begin_or_reply(ctx, argv[1], false, &call)) return REDISMODULE_OK;
    struct ancestors ancestors;
    bool opened = ancestors_open_or_reply(ctx, &call, false, &ancestors);
    if (opened && argc == 2) account_info_reply(ctx, &call);
    if (opened && argc > 2) account_info_reply_resources(ctx, &call, argv + 2, argc - 2);
    ancestors_close(&ancestors);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- HISTORY --------------------------------------------------------------------------------------------- */

#define HISTORY_COUNT_DEFAULT 12
#define HISTORY_COUNT_MAX     1000

struct history_input {
    struct bytes resource, period;
    int64_t from_us, to_us, count, with_plan;
};

static const struct argument history_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct history_input, resource, 0, 0, 0,
          "The resource whose cycles are listed."),
    FIELD(ARGUMENT_TEXT, "period", "PERIOD", struct history_input, period, 0, 0, ARGUMENT_OPTIONAL,
          "Only cycles of this period, like month."),
    FIELD(ARGUMENT_INSTANT, "from", "FROM", struct history_input, from_us, -INSTANT_MAX_US, INSTANT_MAX_US,
          ARGUMENT_OPTIONAL, "Only cycles that begin then or later."),
    FIELD(ARGUMENT_INSTANT, "to", "TO", struct history_input, to_us, -INSTANT_MAX_US, INSTANT_MAX_US, ARGUMENT_OPTIONAL,
          "Only cycles that begin before then."),
    FIELD(ARGUMENT_INTEGER, "count", "COUNT", struct history_input, count, 1, HISTORY_COUNT_MAX, ARGUMENT_OPTIONAL,
          "How many cycles at most, 1 to 1000 (default 12)."),
    {.kind = ARGUMENT_FLAG,
     .name = "withplan",
     .token = "WITHPLAN",
     .offset = offsetof(struct history_input, with_plan),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Also the revision of the plan that held when the cycle closed, and the price of its last bill line."},
    {0},
};

/* What HISTORY shows the cycles of. */
struct history_subject {
    const struct account_view *account;
    const struct resource_view *resource;
    bool with_plan;
};

/* The rule of the plan, as text; empty where nothing of the cycle is billed. */
static void reply_price(RedisModuleCtx *ctx, const struct history_subject *subject, struct listed_cycle *listed)
{
    struct invoice_line line;
    struct sink text = {0};
    const struct cycle_list alone = {listed, 1};
    bool billed = invoice_line_at(subject->account, subject->resource, &alone, listed->cycle.end_us - 1, &line) &&
                  period_code(&line.period) == listed->period;
    if (billed) price_write(&line.price, &text);
    reply_field_text(ctx, "price", sink_content(&text));
    sink_free(&text);
}

static void reply_cycle(RedisModuleCtx *ctx, const struct history_subject *subject, struct listed_cycle *listed)
{
    struct period period = {.unit = PERIOD_FOREVER, .count = 1};
    const struct closed_cycle *cycle = &listed->cycle;
    (void)period_from_code(listed->period, &period);
    RedisModule_ReplyWithMap(ctx, subject->with_plan ? 12 : 10);
    reply_field_period(ctx, &period);
    reply_field_integer(ctx, "start", floor_div(cycle->start_us, MICROS_PER_MILLI));
    reply_field_integer(ctx, "end", floor_div(cycle->end_us, MICROS_PER_MILLI));
    reply_field_integer(ctx, "limit", cycle->limit);
    reply_field_integer(ctx, "used", cycle->used);
    reply_field_integer(ctx, "refunded", cycle->refunded);
    reply_field_integer(ctx, "denied", cycle->denied);
    reply_field_integer(ctx, "peak", cycle->peak);
    reply_field_integer(ctx, "overage", closed_cycle_overage(cycle));
    reply_field_integer(ctx, "rolled", cycle->rolled);
    if (!subject->with_plan) return;
    reply_field_integer(ctx, "revision", cycle->revision);
    reply_price(ctx, subject, listed);
}

static void reply_history(RedisModuleCtx *ctx, const struct history_subject *subject, struct cycle_list *list,
                          int64_t most)
{
    struct listed_cycle cycle;
    int64_t count = 0;
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    for (; count < most && cycle_list_next(list, subject->account, &cycle); count++) reply_cycle(ctx, subject, &cycle);
    RedisModule_ReplySetArrayLength(ctx, count);
}

/* Is there anything to show of it? A change of the plan may have stored a resource that was never used, or not yet. */
static bool is_known(const struct resource_view *resource, const struct cycle_list *list)
{
    bool known = resource->entitlement || list->count > 0;
    for (uint32_t i = 0; i < resource->windows_count; i++) known |= !window_is_idle(&resource->windows[i]);
    return known;
}

static int history(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct history_input input = {.count = HISTORY_COUNT_DEFAULT, .from_us = -INSTANT_MAX_US, .to_us = INSTANT_MAX_US};
    struct cycle_choice choice = {.period = 0};
    struct account_call call;
    struct account_view view;
    struct resource_view resource;
    struct cycle_list list = {0};

    if (!arguments_parse_or_reply(ctx, history_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (input.period.data && !entitlement_period_or_reply(ctx, input.period, &choice.period)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], false, &call)) return REDISMODULE_OK;
    enum account_fault fault = account_view_begin(&view, account_of(&call), &call.host, call.now_us);
    if (fault == ACCOUNT_FAULT_NONE) {
        resource_view_begin(&view, input.resource, &resource);
        fault = resource_view_settle(&view, &resource, &call.decision.changes);
    }
    if (fault == ACCOUNT_FAULT_NONE) cycle_list_begin(&list, &resource, &call.decision.changes);
    if (fault == ACCOUNT_FAULT_NONE && !is_known(&resource, &list)) fault = ACCOUNT_FAULT_RESOURCE;
    if (fault == ACCOUNT_FAULT_NONE) {
        choice.from_us = input.from_us;
        choice.to_us = input.to_us;
        cycle_list_choose(&list, &view, &choice);
        const struct history_subject subject = {&view, &resource, input.with_plan != 0};
        reply_history(ctx, &subject, &list, input.count);
    } else {
        accounts_reply_fault(ctx, &call, fault, input.resource, 0);
    }
    cycle_list_end(&list);
    account_view_end(&view);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_info_command = {
    .name = "QUOTA.INFO",
    .summary =
        "Shows an account as of now: plan, state, and every rule with what is used, held and remaining; replies a map.",
    .complexity = "O(resources x rules)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .key_flags = KEY_READ,
    .handler = info,
    .arguments = info_arguments,
};

const struct command quota_history_command = {
    .name = "QUOTA.HISTORY",
    .summary = "Lists the closed cycles of a resource, the newest first; replies an array of maps.",
    .complexity = "O(count x entries kept), at most 64 of each period",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .key_flags = KEY_READ,
    .handler = history,
    .arguments = history_arguments,
};

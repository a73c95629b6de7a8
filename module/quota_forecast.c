/* QUOTA.FORECAST: what the running cycles come to if they go on as they began, and when limits and credits are used up.
 *
 *     QUOTA.FORECAST account resource        a map for each LIMIT, of the account and of those above it
 *
 * It reads, on replicas too, what QUOTA.INFO and QUOTA.HISTORY show. The numbers are quota/decide/forecast.h's. */
#include "accounts.h"
#include "ancestors.h"
#include "command.h"
#include "quota/base/checked.h"
#include "quota/decide/forecast.h"
#include "quota/time/calendar.h"
#include "reply.h"

struct forecast_input {
    struct bytes resource;
};

static const struct argument forecast_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct forecast_input, resource, 0, 0, 0,
          "The resource whose LIMITs are carried on."),
    {0},
};

/* A settled resource, and what has closed of it. */
struct subject {
    struct resource_view view;
    struct sink closed;
    struct cycle_list list;
    uint32_t shift;       /* its rules are numbered from there on */
    struct bytes as;      /* empty, or its name where another one is counted as this one */
    struct bytes account; /* empty, or the key of the account above whose LIMITs these are */
};

static enum account_fault subject_begin(const struct account_view *account, struct bytes resource,
                                        struct subject *subject)
{
    subject->shift = 0;
    subject->as = subject->account = BYTES("");
    subject->closed = (struct sink){0};
    subject->list = (struct cycle_list){0};
    resource_view_begin(account, resource, &subject->view);
    enum account_fault fault = resource_view_settle(account, &subject->view, &subject->closed);
    if (fault == ACCOUNT_FAULT_NONE) cycle_list_begin(&subject->list, &subject->view, &subject->closed);
    return fault == ACCOUNT_FAULT_NONE && !subject->view.entitlement ? ACCOUNT_FAULT_RESOURCE : fault;
}

static void subject_end(struct subject *subject)
{
    cycle_list_end(&subject->list);
    sink_free(&subject->closed);
}

/* Whole milliseconds but for `now`, which is rounded as all instants are. */
static int64_t millis_or_none(int64_t instant_us)
{
    return instant_us == NEVER_US ? -1 : floor_div(instant_us, MICROS_PER_MILLI);
}

static void reply_limit(RedisModuleCtx *ctx, const struct subject *subject, uint32_t index,
                        const struct rule_report *shown, int64_t now_us, int64_t credits_us)
{
    const struct quota_rule *rule = &subject->view.entitlement->rules[index];
    const struct burn burn = {.start_us = min_i64(shown->start_us, now_us),
                              .now_us = now_us,
                              .end_us = shown->end_us == NEVER_US ? INT64_MAX : shown->end_us,
                              .used = shown->used,
                              .limit = shown->limit};
    int64_t mean = forecast_mean(&subject->list, quota_rule_code(rule));
    struct forecast forecast = forecast_of(&burn, mean);
    RedisModule_ReplyWithMap(ctx, 12 + (subject->as.size > 0) + (subject->account.size > 0));
    reply_field_integer(ctx, "rule", subject->shift + index);
    reply_field_period(ctx, &rule->period);
    reply_field_integer(ctx, "limit", shown->limit);
    reply_field_integer(ctx, "used", shown->used);
    reply_field_integer(ctx, "start", millis_or_none(shown->start_us));
    reply_field_integer(ctx, "end", millis_or_none(shown->end_us));
    reply_field_integer(ctx, "projected", forecast.projected);
    reply_field_integer(ctx, "depletes_at", millis_or_none(forecast.depletes_us));
    reply_field_integer(ctx, "per_day", forecast.per_day);
    reply_field_integer(ctx, "mean", mean);
    reply_field_integer(ctx, "trend", forecast.trend);
    reply_field_integer(ctx, "credits_deplete_at", millis_or_none(credits_us));
    if (subject->as.size > 0) reply_field_text(ctx, "resource", subject->as);
    if (subject->account.size > 0) reply_field_text(ctx, "account", subject->account);
}

/* Answers how many LIMITs it has. */
static long reply_limits(RedisModuleCtx *ctx, struct account_view *account, struct subject *subject)
{
    struct resource_report report;
    struct burn credits;
    long count = 0;
    bool has_credits = forecast_credits(account, &subject->view, &credits);
    int64_t credits_us = has_credits ? burn_depletes_us(&credits) : NEVER_US;
    resource_report_begin(&report, account, &subject->view);
    for (uint32_t i = 0; i < subject->view.entitlement->rules_count; i++) {
        struct rule_report shown;
        if (subject->view.entitlement->rules[i].kind != QUOTA_LIMIT) continue;
        resource_report_rule(&report, i, &shown);
        reply_limit(ctx, subject, i, &shown, account->now_us, credits_us);
        count++;
    }
    return count;
}

/* Of a resource that is counted AS another one that one's LIMITs follow. */
static long reply_subject(RedisModuleCtx *ctx, struct account_view *account, struct subject *subject)
{
    struct subject other; /* large, and mostly nothing yet */
    struct bytes as = subject->view.entitlement->as;
    long count = reply_limits(ctx, account, subject);
    if (as.size == 0) return count;
    enum account_fault fault = subject_begin(account, as, &other);
    other.shift = subject->shift + subject->view.entitlement->rules_count;
    other.as = as;
    other.account = subject->account;
    if (fault == ACCOUNT_FAULT_NONE) count += reply_limits(ctx, account, &other);
    subject_end(&other);
    return count;
}

/* LIMITs of the accounts above that know the resource. */
static long reply_above(RedisModuleCtx *ctx, const struct lineage *lineage, struct account_view *above,
                        struct bytes resource)
{
    struct subject subject; /* large, and mostly nothing yet */
    long count = 0;
    for (uint32_t i = 0; lineage && i < lineage->count; i++) {
        if (!lineage->ancestors[i].account) continue;
        enum account_fault fault = subject_begin(&above[i], resource, &subject);
        subject.shift = (i + 1) * LEVEL_RULES;
        subject.account = lineage->ancestors[i].name;
        if (fault == ACCOUNT_FAULT_NONE) count += reply_subject(ctx, &above[i], &subject);
        subject_end(&subject);
    }
    return count;
}

static void reply_forecast(RedisModuleCtx *ctx, struct account_call *call, const struct lineage *lineage,
                           struct bytes resource)
{
    struct account_view view, above[ANCESTORS_MAX];
    struct subject subject; /* large, and mostly nothing yet */
    int64_t now_us = lineage_instant_us(account_of(call), lineage, call->now_us);
    enum account_fault fault = account_view_begin(&view, account_of(call), &call->host, now_us);
    (void)lineage_begin(lineage, &call->host, now_us, above); /* one that cannot be read is left out */
    bool begun = fault == ACCOUNT_FAULT_NONE;
    if (begun) fault = subject_begin(&view, resource, &subject);
    if (fault == ACCOUNT_FAULT_NONE) {
        RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
        long count = reply_subject(ctx, &view, &subject);
        RedisModule_ReplySetArrayLength(ctx, count + reply_above(ctx, lineage, above, resource));
    } else {
        accounts_reply_fault(ctx, call, fault, resource, 0);
    }
    if (begun) subject_end(&subject);
    lineage_end(lineage, above);
    account_view_end(&view);
}

static int forecast(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct forecast_input input;
    struct account_call call;
    struct ancestors ancestors;

    if (!arguments_parse_or_reply(ctx, forecast_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], false, &call)) return REDISMODULE_OK;
    if (ancestors_open_or_reply(ctx, &call, false, &ancestors)) {
        reply_forecast(ctx, &call, ancestors_lineage(&ancestors), input.resource);
    }
    ancestors_close(&ancestors);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_forecast_command = {
    .name = "QUOTA.FORECAST",
    .summary = "Carries the running cycles of a resource on at their rate: what they come to, and when limits and "
               "credits are used up; replies a map for each LIMIT.",
    .complexity = "O(rules x entries kept), at most 64 of each period",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .key_flags = KEY_READ,
    .handler = forecast,
    .arguments = forecast_arguments,
};

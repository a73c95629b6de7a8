/* QUOTA.CYCLE: the cycle of a period in which an instant lies, for an account that need not exist.
 *
 *     QUOTA.CYCLE period [CALENDAR [FROM x]] [EOM] [ANCHOR instant] [ZONE zone] [AT instant]
 *         ──▶ [start_ms, end_ms, index]      rounded down; the end of `forever` is -1
 *
 * The same arithmetic as of accounts (quota/period.h), to look before opening one, or to draw a calendar. */
#include "clock.h"
#include "command.h"
#include "quota/time/duration.h"
#include "quota/time/period.h"
#include "reply.h"
#include "zones.h"

struct cycle_request {
    struct bytes period, from, zone; /* size 0 = not given */
    int64_t calendar, end_of_month, anchor_us, at_us;
};

#define FLAG_ROW(name_, token_, field_, summary_)                                                                      \
    {                                                                                                                  \
        .kind = ARGUMENT_FLAG, .name = (name_), .token = (token_), .offset = offsetof(struct cycle_request, field_),   \
        .lowest = 1, .flags = ARGUMENT_OPTIONAL, .summary = (summary_)                                                 \
    }
#define OPTION_ROW(kind_, name_, token_, field_, summary_)                                                             \
    FIELD(kind_, name_, token_, struct cycle_request, field_, -INSTANT_MAX_US, INSTANT_MAX_US, ARGUMENT_OPTIONAL,      \
          summary_)

static const struct argument arguments[] = {
    FIELD(ARGUMENT_TEXT, "period", NULL, struct cycle_request, period, 0, 0, 0,
          "Like month, 3month, quarter, year, week, day, forever, or a fixed span like hour, 90s, 30d."),
    FLAG_ROW("calendar", "CALENDAR", calendar, "Cycles begin with the calendar's days, weeks and months."),
    OPTION_ROW(ARGUMENT_TEXT, "from", "FROM", from,
               "With CALENDAR: the day they begin on, like 15, 04-06 (month-day) or sun."),
    FLAG_ROW("eom", "EOM", end_of_month, "Months begin on the last day of a month."),
    OPTION_ROW(ARGUMENT_INSTANT, "anchor", "ANCHOR", anchor_us,
               "When the account began: cycle 0. Needed unless CALENDAR is given (default then: 1970)."),
    OPTION_ROW(ARGUMENT_TEXT, "zone", "ZONE", zone, "An IANA time zone, like Europe/Berlin (default: UTC)."),
    OPTION_ROW(ARGUMENT_INSTANT, "at", "AT", at_us, "The instant (default: now)."),
    {0},
};

static bool period_or_reply(RedisModuleCtx *ctx, const struct cycle_request *request, struct period *period)
{
    if (!period_parse(request->period, period)) {
        const char *hint = duration_hint(request->period);
        reply_error(ctx,
                    "ERR period '%s' is not minute, hour, day, week, month, quarter, half-year, year or forever, "
                    "counted like 3month, or a duration like 90s%s%s",
                    printable(request->period).text, hint ? ": " : "", hint ? hint : "");
        return false;
    }
    if (request->calendar && period_is_days_of_24_hours(request->period)) {
        reply_error(ctx, "ERR CALENDAR '%s': a duration has no calendar; day, week and month have one",
                    printable(request->period).text);
        return false;
    }
    period->calendar = request->calendar;
    period->end_of_month = request->end_of_month;
    if (request->from.data && !request->calendar) {
        reply_error(ctx, "ERR from '%s' needs CALENDAR", printable(request->from).text);
        return false;
    }
    if (request->from.data && !period_parse_from(request->from, period)) {
        reply_error(ctx,
                    "ERR from '%s' does not fit the period: a day of the month (15) or of the year (04-06) for months, "
                    "a weekday (mon) for weeks",
                    printable(request->from).text);
        return false;
    }
    const char *fault = period_fault(period);
    if (fault) reply_error(ctx, "ERR period '%s': %s", printable(request->period).text, fault);
    return !fault;
}

static const struct zone *zone_or_reply(RedisModuleCtx *ctx, struct bytes name)
{
    if (!name.data) return zone_utc();
    const struct zone *zone = zones_load(name);
    if (!zone) {
        reply_error(ctx, "ERR zone '%s' is not known here (looked for in %s)", printable(name).text, zones_folder());
    }
    return zone;
}

static int show_cycle(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct cycle_request request = {.anchor_us = NOT_GIVEN, .at_us = NOT_GIVEN};
    struct period period;

    if (!arguments_parse_or_reply(ctx, arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!period_or_reply(ctx, &request, &period)) return REDISMODULE_OK;
    if (request.anchor_us == NOT_GIVEN && !period.calendar) {
        return reply_error(ctx, "ERR anchor is missing: without CALENDAR cycles are counted from ANCHOR instant");
    }
    const struct zone *zone = zone_or_reply(ctx, request.zone);
    if (!zone) return REDISMODULE_OK;
    if (request.anchor_us == NOT_GIVEN) request.anchor_us = 0;
    if (request.at_us == NOT_GIVEN) request.at_us = clock_now_us();
    struct cycle cycle = period_cycle_at(&period, zone, request.anchor_us, request.at_us);
    RedisModule_ReplyWithArray(ctx, 3);
    RedisModule_ReplyWithLongLong(ctx, millis_floor(cycle.start_us));
    RedisModule_ReplyWithLongLong(ctx, cycle.end_us == INT64_MAX ? -1 : millis_floor(cycle.end_us));
    return RedisModule_ReplyWithLongLong(ctx, cycle.index);
}

const struct command quota_cycle_command = {
    .name = "QUOTA.CYCLE",
    .summary = "Shows the cycle of a period in which an instant lies; replies its start, its end and its index.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "readonly fast",
    .categories = "read fast",
    .handler = show_cycle,
    .arguments = arguments,
};

/* QUOTA.CLOCK: shows the module's clock; with the module option `test-clock yes` holds it still and moves it.
 *
 *     QUOTA.CLOCK [FREEZE instant | ADVANCE duration | RESUME]  ──▶ the clock in Unix ms
 *
 * ADVANCE takes a signed duration and freezes a clock that runs. Never replicated: see clock.h. */
#include "clock.h"
#include "command.h"
#include "event_readers.h"
#include "quota/base/checked.h"
#include "reply.h"
#include "waiting.h"

struct clock_request {
    int64_t freeze_us, advance_us, resume;
};

static const struct argument arguments[] = {
    FIELD(ARGUMENT_INSTANT, "instant", "FREEZE", struct clock_request, freeze_us, 1, INSTANT_MAX_US, ARGUMENT_OPTIONAL,
          "Hold the clock at this instant, after 1970."),
    FIELD(ARGUMENT_DURATION, "duration", "ADVANCE", struct clock_request, advance_us, -DURATION_MAX_US, DURATION_MAX_US,
          ARGUMENT_OPTIONAL, "Move the held clock, forwards or backwards."),
    {.kind = ARGUMENT_FLAG,
     .name = "resume",
     .token = "RESUME",
     .offset = offsetof(struct clock_request, resume),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Let the clock follow the server's again."},
    {0},
};

static int set_clock(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct clock_request request = {.freeze_us = NOT_GIVEN, .advance_us = NOT_GIVEN};

    if (!arguments_parse_or_reply(ctx, arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (argc > 1 && !clock_test_is_allowed()) {
        return reply_error(ctx, "ERR the clock moves only when the module is loaded with the option 'test-clock yes'");
    }
    if (argc > 3) return reply_error(ctx, "ERR syntax error: one of FREEZE, ADVANCE, RESUME at a time");
    if (request.advance_us != NOT_GIVEN) {
        if (!add_checked(clock_now_us(), request.advance_us, &request.freeze_us) || request.freeze_us < 1 ||
            request.freeze_us > INSTANT_MAX_US) {
            return reply_error(ctx, "ERR duration: the clock would leave its range, 1970 to the year 148108");
        }
    }
    if (request.freeze_us != NOT_GIVEN) clock_freeze(request.freeze_us);
    if (request.resume) clock_resume();
    if (argc > 1) waiting_clock_moved();
    if (argc > 1) event_readers_clock_moved();
    return RedisModule_ReplyWithLongLong(ctx, millis_floor(clock_now_us()));
}

const struct command quota_clock_command = {
    .name = "QUOTA.CLOCK",
    .summary =
        "Shows the module's clock; with the module option test-clock it can be held and moved; replies it in Unix ms.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "readonly fast allow-stale",
    .categories = "admin dangerous fast", /* with test-clock it moves the time of every limit */
    .handler = set_clock,
    .arguments = arguments,
};

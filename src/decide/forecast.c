/* Carries running cycles on at their rate; see forecast.h. */
#include "quota/decide/forecast.h"
#include "quota/base/checked.h"
#include "quota/time/calendar.h"
#include "quota/view/credits_view.h"

/* Of numbers >= 0. */
static int64_t divide_half_up(wide dividend, wide divisor)
{
    wide remainder, quotient = wide_divide(dividend, divisor, &remainder);
    return wide_clamp(quotient + (remainder >= divisor - remainder), 0, INT64_MAX);
}

/* Instants may be further apart than an int64 reaches. */
static wide elapsed_of(const struct burn *burn)
{
    return (wide)burn->now_us - burn->start_us;
}

int64_t burn_depletes_us(const struct burn *burn)
{
    wide elapsed_us = elapsed_of(burn);
    if (burn->limit == UNLIMITED) return NEVER_US;
    if (burn->used >= burn->limit) return burn->now_us;
    if (burn->used == 0 || elapsed_us == 0) return NEVER_US;
    wide at_us = burn->start_us + wide_div_ceil(elapsed_us * burn->limit, burn->used);
    wide whole_us = wide_div_ceil(at_us, MICROS_PER_MILLI) * MICROS_PER_MILLI;
    return whole_us < min_i64(burn->end_us, INSTANT_MAX_US) ? (int64_t)whole_us : NEVER_US;
}

static int64_t projected(const struct burn *burn)
{
    wide elapsed_us = elapsed_of(burn);
    if (burn->end_us == INT64_MAX) return NEVER_US;
    if (elapsed_us == 0) return burn->used;
    return divide_half_up(((wide)burn->end_us - burn->start_us) * burn->used, elapsed_us);
}

struct forecast forecast_of(const struct burn *burn, int64_t mean)
{
    wide elapsed_us = elapsed_of(burn), day_us = (int64_t)MICROS_PER_DAY;
    struct forecast forecast = {.projected = projected(burn), .depletes_us = burn_depletes_us(burn), .trend = -1};
    if (elapsed_us > 0) {
        forecast.per_day = wide_clamp(wide_div_floor(burn->used * day_us, elapsed_us), 0, INT64_MAX);
    }
    bool comparable = mean > 0 && forecast.projected != NEVER_US;
    if (comparable) forecast.trend = divide_half_up((wide)forecast.projected * 100, mean);
    return forecast;
}

/* Of each period the list has the oldest first; an idle run counts as many cycles as it has. */
int64_t forecast_mean(const struct cycle_list *list, uint64_t period)
{
    int64_t count = 0;
    wide used = 0;
    for (uint32_t i = list->count; i-- > 0 && count < FORECAST_CYCLES;) {
        const struct listed_cycle *listed = &list->cycles[i];
        if (listed->period != period) continue;
        used += listed->cycle.used;
        count += min_i64(listed->cycle.count, FORECAST_CYCLES - count);
    }
    return count > 0 ? (int64_t)wide_div_floor(used, count) : -1;
}

bool forecast_credits(const struct account_view *account, const struct resource_view *view, struct burn *burn)
{
    struct credits_span span = credits_span(account, view);
    if (view->credits_usable == 0) return false;
    int64_t held = credits_held(account, view);
    int64_t used = max_i64(view->credits_amount - view->credits_left - held, 0);
    *burn = (struct burn){.start_us = min_i64(span.since_us, account->now_us),
                          .now_us = account->now_us,
                          .end_us = min_i64(span.ends_us, credits_more_us(account, view)),
                          .used = used,
                          .limit = add_clamped(used, view->credits_left)};
    return true;
}

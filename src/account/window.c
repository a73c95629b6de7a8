/* The arithmetic of one cycle; drawing and formulas in window.h. */
#include "quota/account/window.h"
#include "quota/base/checked.h"

#define BP_WHOLE         10000
#define CYCLES_AHEAD_MAX (INT64_C(1) << 40)

/* The quotient rounded to the nearest whole number, halves away from zero; `divisor` > 0. */
static wide wide_div_round(wide dividend, wide divisor)
{
    wide half = divisor / 2;
    if (dividend < 0) return -((-dividend + half) / divisor);
    return (dividend + half) / divisor;
}

static int64_t window_length_us(const struct window *window)
{
    return window->end_us - window->start_us;
}

struct window window_begin(const struct quota_rule *rule, const struct cycle *cycle, int64_t anchor_us)
{
    struct window window = {
        .period = quota_rule_code(rule), .start_us = cycle->start_us, .end_us = cycle->end_us, .limit = rule->limit};
    bool cut = rule->prorate && rule->limit > 0 && cycle->start_us < anchor_us && anchor_us < cycle->end_us;
    if (!cut) return window;
    int64_t length_us = window_length_us(&window);
    wide rest, missed = -(wide)rule->limit * (anchor_us - cycle->start_us);
    wide whole = wide_divide(missed, length_us, &rest);
    if (rest < 0) whole -= 1, rest += length_us;
    window.delta = (int64_t)whole;
    window.delta_rest = (int64_t)rest;
    return window;
}

bool window_is_idle(const struct window *window)
{
    return window->used == 0 && window->refunded == 0 && window->denied == 0 && window->peak == 0;
}

/* ---- limits ---------------------------------------------------------------------------------------------- */

/* limit + delta, rounded: >= 0. */
static int64_t prorated_limit(const struct window *window)
{
    int64_t length_us = window_length_us(window);
    wide exact = ((wide)window->limit + window->delta) * length_us + window->delta_rest;
    return wide_clamp(wide_div_round(exact, length_us), 0, INT64_MAX);
}

/* The limit before any debt; in most cycles nothing was prorated. */
static int64_t limit_before_debt(const struct window *window)
{
    return window->delta == 0 && window->delta_rest == 0 ? window->limit : prorated_limit(window);
}

/* What is left of the limit when the debt is repaid; both >= 0. */
static int64_t limit_after_debt(const struct window *window, int64_t limit)
{
    return max_i64(limit - window->debt, 0);
}

int64_t window_limit(const struct window *window)
{
    if (window->limit == UNLIMITED) return UNLIMITED;
    return limit_after_debt(window, limit_before_debt(window));
}

static int64_t burst_units(const struct entitlement *entitlement, int64_t limit)
{
    return wide_clamp(wide_div_floor((wide)limit * entitlement->burst_bp, BP_WHOLE), 0, INT64_MAX);
}

int64_t window_capacity(const struct window *window, const struct entitlement *entitlement, int64_t now_us)
{
    if (window->limit == UNLIMITED || entitlement->overage) return UNLIMITED;
    int64_t before_debt = limit_before_debt(window), limit = limit_after_debt(window, before_debt);
    bool grace = entitlement->grace_us > 0;
    bool passed = grace && window->over_since_us > 0 && now_us >= window->over_since_us + entitlement->grace_us;
    if (passed) return limit;
    if (entitlement->burst_bp == 0) return grace ? UNLIMITED : limit;
    return add_clamped(limit, burst_units(entitlement, before_debt));
}

int64_t window_available(const struct window *window, int64_t capacity, int64_t held)
{
    if (capacity == UNLIMITED) return UNLIMITED;
    return max_i64(max_i64(capacity - window->used, 0) - held, 0);
}

/* ---- use ------------------------------------------------------------------------------------------------- */

bool window_charge(struct window *window, int64_t units, int64_t held, int64_t now_us)
{
    int64_t used, busy;
    if (!add_checked(window->used, units, &used) || !add_checked(used, held, &busy)) return false;
    window->used = used;
    window->peak = max_i64(window->peak, busy);
    bool over = window->limit != UNLIMITED && used > window_limit(window);
    if (over && window->over_since_us == 0) window->over_since_us = now_us;
    return true;
}

static bool threshold_reached(const struct window *window, int64_t limit, int64_t threshold_bp)
{
    return limit > 0 && (wide)window->used * BP_WHOLE >= (wide)limit * threshold_bp;
}

/* The highest threshold that is reached, 0 = none. */
static int64_t highest_reached(const struct window *window, const struct entitlement *entitlement)
{
    int64_t highest_bp = 0, limit = window_limit(window);
    for (uint32_t i = 0; i < entitlement->warnings_count; i++) {
        if (threshold_reached(window, limit, entitlement->warnings_bp[i])) highest_bp = entitlement->warnings_bp[i];
    }
    return highest_bp;
}

void window_warn(struct window *window, const struct entitlement *entitlement)
{
    window->warned_bp = max_i64(window->warned_bp, highest_reached(window, entitlement));
}

int64_t window_refund(struct window *window, int64_t units)
{
    int64_t returned = min_i64(units, window->used);
    window->used -= returned;
    window->refunded = wide_clamp((wide)window->refunded + returned, 0, INT64_MAX);
    return returned;
}

/* ---- changes of the terms -------------------------------------------------------------------------------- */

/* Moves the limit by (new - old) x left / length; seen from the new one: delta += (new - old) x (left / length - 1). */
static void prorate(struct window *window, int64_t limit, int64_t now_us)
{
    int64_t length_us = window_length_us(window), gone_us = now_us - window->start_us;
    wide exact = -((wide)limit - window->limit) * gone_us + window->delta_rest;
    wide rest, whole = wide_divide(exact, length_us, &rest);
    if (rest < 0) whole -= 1, rest += length_us;
    window->delta = wide_clamp(whole + window->delta, -INT64_MAX, INT64_MAX);
    window->delta_rest = (int64_t)rest;
}

void window_adopt(struct window *window, const struct quota_rule *rule, const struct entitlement *entitlement,
                  enum window_change change, int64_t anchor_us, int64_t now_us)
{
    struct cycle cycle = {.start_us = window->start_us, .end_us = window->end_us};
    struct window fresh = window_begin(rule, &cycle, anchor_us);
    bool bounded = rule->limit != UNLIMITED && window->limit != UNLIMITED && window->end_us != INT64_MAX;
    if (change == WINDOW_FULL || !bounded) {
        window->delta = fresh.delta;
        window->delta_rest = fresh.delta_rest;
    } else if (change == WINDOW_PRORATE) {
        prorate(window, rule->limit, now_us);
    }
    window->limit = rule->limit;
    window->warned_bp = min_i64(window->warned_bp, highest_reached(window, entitlement));
    if (rule->limit == UNLIMITED || window->used <= window_limit(window)) window->over_since_us = 0;
}

/* ---- cycles to come -------------------------------------------------------------------------------------- */

int64_t window_debt_after(const struct window *window, const struct entitlement *entitlement, int64_t limit,
                          int64_t cycles)
{
    if (!entitlement->repay || window->limit == UNLIMITED || limit == UNLIMITED) return 0;
    wide debt = (wide)window->debt + window->used - limit_before_debt(window);
    if (debt > 0) debt -= (wide)(cycles - 1) * limit;
    return wide_clamp(debt, 0, INT64_MAX);
}

int64_t window_cycles_until(const struct window *window, const struct entitlement *entitlement, int64_t limit,
                            int64_t units)
{
    if (limit == UNLIMITED || (entitlement->grace_us > 0 && entitlement->burst_bp == 0)) return 1;
    int64_t burst = burst_units(entitlement, limit);
    wide capacity = (wide)limit + burst;
    if (units > capacity) return -1;
    int64_t debt = window_debt_after(window, entitlement, limit, 1);
    wide bearable = units <= burst ? INT64_MAX : capacity - units; /* the debt under which they fit */
    if (debt <= bearable) return 1;
    if (limit == 0) return -1;
    wide cycles = 1 + wide_div_ceil(debt - bearable, limit);
    return cycles <= CYCLES_AHEAD_MAX ? (int64_t)cycles : -1;
}

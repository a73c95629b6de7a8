/* Two weighted windows, weighed exactly; see sliding_window.h. */
#include "quota/rate/sliding_window.h"
#include "quota/base/checked.h"

/* Units held back from a limit, times W: the estimate without its division. */
static wide weight(const struct rule *rule, const struct state *state, int64_t now_us)
{
    int64_t elapsed_us = max_i64(now_us - state->when_us, 0);
    return (wide)state->rest * (rule->period_us - elapsed_us) + (wide)state->amount * rule->period_us;
}

/* Into a window, the first instant at which `previous` units have faded to `room`; previous > room >= 0. */
static int64_t fade_us(const struct rule *rule, int64_t previous, int64_t room)
{
    return rule->period_us - (int64_t)wide_div_floor((wide)room * rule->period_us, previous);
}

int sliding_window_words(const struct rule *rule)
{
    (void)rule;
    return 3;
}

void sliding_window_settle(const struct rule *rule, struct state *state, int64_t now_us)
{
    int64_t start_us = now_us - now_us % rule->period_us;
    if (start_us > state->when_us) {
        bool adjacent = start_us - state->when_us == rule->period_us;
        state->rest = adjacent ? state->amount : 0;
        state->amount = 0;
        state->when_us = start_us;
    }
    state->fresh = state->amount == 0 && state->rest == 0;
    if (state->fresh) state->when_us = start_us;
}

int64_t sliding_window_available(const struct rule *rule, const struct state *state, int64_t now_us)
{
    wide room = (wide)rule->limit * rule->period_us - weight(rule, state, now_us);
    return room > 0 ? (int64_t)wide_div_floor(room, rule->period_us) : 0;
}

int64_t sliding_window_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us)
{
    if (cost > rule->limit) return NEVER_US;
    if (weight(rule, state, now_us) + (wide)cost * rule->period_us <= (wide)rule->limit * rule->period_us) return 0;

    int64_t room = rule->limit - cost;
    if (state->amount <= room) { /* the previous window fades enough while the current one runs */
        return state->when_us + fade_us(rule, state->rest, room - state->amount) - now_us;
    }
    return state->when_us + rule->period_us + fade_us(rule, state->amount, room) - now_us;
}

enum fault sliding_window_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us)
{
    (void)rule;
    (void)now_us;
    return add_checked(state->amount, cost, &state->amount) ? FAULT_NONE : FAULT_OVERFLOW;
}

/* Newest units first: from the current window, then from the previous one. */
int64_t sliding_window_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us)
{
    (void)rule;
    (void)now_us;
    int64_t from_current = min_i64(units, state->amount);
    int64_t from_previous = min_i64(units - from_current, state->rest);
    state->amount -= from_current;
    state->rest -= from_previous;
    return from_current + from_previous;
}

/* Back to the window in which they were counted. */
int64_t sliding_window_refund_taken(const struct rule *rule, struct state *state, int64_t units, int64_t taken_us,
                                    int64_t now_us)
{
    (void)now_us;
    if (taken_us < state->when_us - rule->period_us) return 0;
    int64_t *counted = taken_us >= state->when_us ? &state->amount : &state->rest;
    int64_t returned = min_i64(units, *counted);
    *counted -= returned;
    return returned;
}

int64_t sliding_window_deadline_us(const struct rule *rule, const struct state *state)
{
    if (state->amount > 0) return state->when_us + 2 * rule->period_us;
    return state->rest > 0 ? state->when_us + rule->period_us : 0;
}

int64_t sliding_window_used(const struct rule *rule, const struct state *state, int64_t now_us)
{
    wide estimate = wide_div_ceil(weight(rule, state, now_us), rule->period_us);
    return wide_clamp(estimate, 0, INT64_MAX);
}

bool sliding_window_clamp(const struct rule *rule, struct state *state, int64_t now_us)
{
    wide limit = (wide)rule->limit * rule->period_us;
    if (weight(rule, state, now_us) <= limit) return false;
    /* The current window keeps what fits; the previous one, which weighs what is left of the period, fills the rest:
     * rounded down, it leaves less than a unit of room. */
    state->amount = min_i64(state->amount, rule->limit);
    wide left_us = rule->period_us - max_i64(now_us - state->when_us, 0);
    wide room = limit - (wide)state->amount * rule->period_us;
    state->rest = min_i64(state->rest, wide_clamp(wide_div_floor(room, left_us), 0, INT64_MAX));
    return true;
}

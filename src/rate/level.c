/* Exact drain arithmetic in ticks of 1/rate_us unit: one us drains rate_units ticks (level.h). */
#include "quota/rate/level.h"

static wide level_ticks(const struct rule *rule, const struct state *state)
{
    return (wide)state->amount * rule->rate_us + state->rest;
}

static void level_set(const struct rule *rule, struct state *state, wide ticks)
{
    wide remainder;
    state->amount = (int64_t)wide_divide(ticks, rule->rate_us, &remainder);
    state->rest = (int64_t)remainder;
}

void level_drain(const struct rule *rule, struct state *state, int64_t now_us)
{
    if (now_us <= state->when_us) return;
    wide left = level_ticks(rule, state) - (wide)(now_us - state->when_us) * rule->rate_units;
    level_set(rule, state, left > 0 ? left : 0);
    state->when_us = now_us;
}

int64_t level_room(const struct rule *rule, const struct state *state, int64_t capacity)
{
    wide room = (wide)capacity * rule->rate_us - level_ticks(rule, state);
    return room > 0 ? (int64_t)wide_div_floor(room, rule->rate_us) : 0;
}

int64_t level_wait_us(const struct rule *rule, const struct state *state, wide target, int64_t now_us)
{
    if (target < 0) return NEVER_US;
    wide excess = level_ticks(rule, state) - target * rule->rate_us;
    if (excess <= 0) return 0;
    int64_t drain_us = (int64_t)wide_clamp(wide_div_ceil(excess, rule->rate_units), 0, INT64_MAX);
    return wait_add(max_i64(state->when_us - now_us, 0), drain_us);
}

enum fault level_raise(const struct rule *rule, struct state *state, int64_t units)
{
    struct state raised = *state;
    if (!add_checked(state->amount, units, &raised.amount)) return FAULT_OVERFLOW;
    int64_t drain_us = level_wait_us(rule, &raised, 0, raised.when_us);
    if (wait_add(drain_us, raised.when_us) == NEVER_US) return FAULT_OVERFLOW;
    *state = raised;
    return FAULT_NONE;
}

int64_t level_lower(const struct rule *rule, struct state *state, int64_t units)
{
    wide ticks = level_ticks(rule, state);
    int64_t returned = (int64_t)wide_clamp(wide_div_ceil(ticks, rule->rate_us), 0, units);
    wide left = ticks - (wide)returned * rule->rate_us;
    level_set(rule, state, left > 0 ? left : 0);
    return returned;
}

int64_t level_end_us(const struct rule *rule, const struct state *state)
{
    wide ticks = level_ticks(rule, state);
    return ticks > 0 ? state->when_us + (int64_t)wide_div_ceil(ticks, rule->rate_units) : 0;
}

int64_t level_units(const struct state *state)
{
    return add_clamped(state->amount, state->rest > 0);
}

bool level_sane(const struct rule *rule, const struct state *state)
{
    struct state copy = *state;
    return state->rest < rule->rate_us && level_raise(rule, &copy, 0) == FAULT_NONE;
}

/* GCRA in ticks of 1/rate_units us; the idea and the drawing are in gcra.h. */
#include "quota/rate/gcra.h"
#include "quota/base/checked.h"

/* What is still owed at `now_us`, in ticks. */
static wide debt_ticks(const struct rule *rule, const struct state *state, int64_t now_us)
{
    wide debt = (wide)(state->when_us - now_us) * rule->rate_units + state->amount;
    return debt > 0 ? debt : 0;
}

/* Whole-us rates need no fraction, so most rules remember a single number. */
int gcra_words(const struct rule *rule)
{
    return rule->rate_units > 1 ? 2 : 1;
}

void gcra_settle(const struct rule *rule, struct state *state, int64_t now_us)
{
    if (debt_ticks(rule, state, now_us) == 0) *state = (struct state){.fresh = true};
}

int64_t gcra_available(const struct rule *rule, const struct state *state, int64_t now_us)
{
    wide free = (wide)rule->capacity * rule->rate_us - debt_ticks(rule, state, now_us);
    return free > 0 ? (int64_t)wide_div_floor(free, rule->rate_us) : 0;
}

int64_t gcra_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us)
{
    if (cost > rule->capacity) return NEVER_US;
    wide excess = debt_ticks(rule, state, now_us) + (wide)(cost - rule->capacity) * rule->rate_us;
    if (excess <= 0) return 0;
    return wait_add(0, (int64_t)wide_clamp(wide_div_ceil(excess, rule->rate_units), 0, INT64_MAX));
}

enum fault gcra_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us)
{
    wide ticks = debt_ticks(rule, state, now_us) + (wide)cost * rule->rate_us;
    wide remainder, until_us = now_us + wide_divide(ticks, rule->rate_units, &remainder);
    if (until_us >= INSTANT_MAX_US) return FAULT_OVERFLOW;
    *state = (struct state){.when_us = (int64_t)until_us, .amount = (int64_t)remainder};
    return FAULT_NONE;
}

int64_t gcra_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us)
{
    wide debt = debt_ticks(rule, state, now_us);
    wide owed = wide_div_ceil(debt, rule->rate_us); /* a unit partly paid off counts as one */
    int64_t returned = (int64_t)wide_clamp(owed, 0, units);
    wide left = debt - (wide)returned * rule->rate_us;
    if (left <= 0) {
        *state = (struct state){.fresh = true};
    } else {
        state->when_us = (int64_t)(now_us + left / rule->rate_units);
        state->amount = (int64_t)(left % rule->rate_units);
    }
    return returned;
}

int64_t gcra_deadline_us(const struct rule *rule, const struct state *state)
{
    (void)rule;
    return state->when_us + (state->amount > 0);
}

bool gcra_sane(const struct rule *rule, const struct state *state)
{
    bool ends = gcra_deadline_us(rule, state) <= INSTANT_MAX_US; /* a begun us may carry into the next one */
    return state->amount < rule->rate_units && state->rest == 0 && ends;
}

int64_t gcra_used(const struct rule *rule, const struct state *state, int64_t now_us)
{
    return (int64_t)wide_clamp(wide_div_ceil(debt_ticks(rule, state, now_us), rule->rate_us), 0, INT64_MAX);
}

/* Only the fraction changes its denominator, towards refusal. */
void gcra_restate(const struct rule *before, const struct rule *after, struct state *state)
{
    wide remainder = wide_div_ceil((wide)state->amount * after->rate_units, before->rate_units);
    state->when_us += (int64_t)(remainder / after->rate_units);
    state->amount = (int64_t)(remainder % after->rate_units);
}

/* Fixed window counting; see fixed_window.h. */
#include "quota/rate/fixed_window.h"
#include "quota/base/checked.h"

/* Start of a window that begins at `now_us`. */
static int64_t window_start_us(const struct rule *rule, int64_t now_us)
{
    if (rule->flags & RULE_FIRST) return now_us;
    return now_us - now_us % rule->period_us;
}

int fixed_window_words(const struct rule *rule)
{
    (void)rule;
    return 2;
}

void fixed_window_settle(const struct rule *rule, struct state *state, int64_t now_us)
{
    if (state->amount > 0 && now_us < fixed_window_deadline_us(rule, state)) return;
    *state = (struct state){.when_us = window_start_us(rule, now_us), .fresh = true};
}

int64_t fixed_window_available(const struct rule *rule, const struct state *state, int64_t now_us)
{
    (void)now_us;
    return max_i64(rule->limit - state->amount, 0);
}

int64_t fixed_window_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us)
{
    if (cost > rule->limit) return NEVER_US;
    if (state->amount <= rule->limit - cost) return 0;
    return fixed_window_deadline_us(rule, state) - now_us;
}

enum fault fixed_window_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us)
{
    (void)now_us;
    (void)rule;
    return add_checked(state->amount, cost, &state->amount) ? FAULT_NONE : FAULT_OVERFLOW;
}

int64_t fixed_window_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us)
{
    (void)rule;
    (void)now_us;
    int64_t returned = min_i64(units, state->amount);
    state->amount -= returned;
    return returned;
}

int64_t fixed_window_refund_taken(const struct rule *rule, struct state *state, int64_t units, int64_t taken_us,
                                  int64_t now_us)
{
    return taken_us >= state->when_us ? fixed_window_refund(rule, state, units, now_us) : 0;
}

int64_t fixed_window_deadline_us(const struct rule *rule, const struct state *state)
{
    return state->amount > 0 ? state->when_us + rule->period_us : 0;
}

bool fixed_window_sane(const struct rule *rule, const struct state *state)
{
    (void)rule;
    return state->rest == 0;
}

int64_t fixed_window_used(const struct rule *rule, const struct state *state, int64_t now_us)
{
    (void)rule;
    (void)now_us;
    return state->amount;
}

bool fixed_window_clamp(const struct rule *rule, struct state *state, int64_t now_us)
{
    (void)now_us;
    bool exceeds = state->amount > rule->limit;
    if (exceeds) state->amount = rule->limit;
    return exceeds;
}

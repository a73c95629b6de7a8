/* The meter of a LIMIT … ROLLING: units in any window of a length, counted by a sliding log.
 *
 * A rolling window knows no cycles: what is held counts as long as it is held, and what is posted counts from then on.
 * */
#include "quota/base/checked.h"
#include "quota/meter/meter.h"
#include "quota/rate/sliding_log.h"

static const struct rule *log_rule(const struct position *position)
{
    return &position_rule(position)->rule;
}

static int64_t now_of(const struct position *position)
{
    return position->demand->account->now_us;
}

/* With what another demand has just used, where this one is judged behind it. */
static struct state state_of(const struct position *position)
{
    const struct demand *demand = position->demand;
    struct state state = resource_view_log(demand->account, demand->view, log_rule(position));
    int64_t units = demand_used_before(demand), used_us = units > 0 ? demand->behind->account->now_us : 0;
    bool left = used_us <= now_of(position) - log_rule(position)->period_us;
    if (units > 0 && !left) sliding_log_charge(log_rule(position), &state, units, used_us);
    return state;
}

/* Units held of the window, and units that the demand has just used or given back: the log does not know them yet. */
static int64_t beside_log(const struct position *position)
{
    const struct demand *demand = position->demand;
    return (demand->taken ? add_clamped(demand->held, demand->limited) : demand->held) - position->returned;
}

static int64_t fits_beside(const struct rule *rule, const struct state *state, int64_t beside)
{
    if (rule->limit == UNLIMITED) return UNLIMITED;
    return wide_clamp((wide)rule->limit - state->amount - beside, 0, INT64_MAX);
}

static int64_t available(const struct position *position)
{
    struct state state = state_of(position);
    return fits_beside(log_rule(position), &state, beside_log(position));
}

/* The state of the log with so many units more, from now on. */
static enum account_fault charge(const struct position *position, int64_t units, struct state *state)
{
    *state = state_of(position);
    if (!slot_fits_log(position->demand->view->stored, log_rule(position)->period_us)) return ACCOUNT_FAULT_LOG;
    switch (sliding_log_charge(log_rule(position), state, units, now_of(position))) {
    case FAULT_OVERFLOW: return ACCOUNT_FAULT_OVERFLOW;
    case FAULT_NONE: return ACCOUNT_FAULT_NONE;
    default: return ACCOUNT_FAULT_LOG;
    }
}

static enum account_fault check(const struct position *position, int64_t units)
{
    struct state state;
    if (log_rule(position)->limit <= 0 || position->demand->holds || units == 0) return ACCOUNT_FAULT_NONE;
    return charge(position, units, &state);
}

/* ---- waits ----------------------------------------------------------------------------------------------- */

/* Live reservations of the resource that end among the first `count` of all; until the last of them ends. */
static int64_t held_until(const struct position *position, uint32_t count, int64_t *passed_us)
{
    const struct holds *holds = account_holds(position->demand->account->account);
    int64_t held = 0;
    *passed_us = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (hold->expires_us <= now_of(position) || (int32_t)hold->slot != position->demand->view->index) continue;
        held = add_clamped(held, hold_limited(hold));
        *passed_us = hold->expires_us - now_of(position);
    }
    return held;
}

/* Until the units fit when the first `count` reservations have ended. */
static int64_t wait_past_us(const struct position *position, const struct state *state, int64_t units, uint32_t count,
                            int64_t *passed_us)
{
    int64_t ended = held_until(position, count, passed_us);
    int64_t wanted = wide_clamp((wide)units + position->demand->held - ended, 0, INT64_MAX);
    int64_t wait_us = sliding_log_wait_us(log_rule(position), state, wanted, now_of(position));
    return wait_us == NEVER_US ? NEVER_US : max_i64(wait_us, *passed_us);
}

/* Units leave as the window moves on, and as reservations end. The more ends are awaited, the less has to leave, so one
 * wait falls while the other rises: a binary search finds where they meet. */
static int64_t wait_us(const struct position *position, const struct state *state, int64_t units)
{
    if (log_rule(position)->limit == UNLIMITED) return 0;
    int64_t passed_us;
    const struct demand *demand = position->demand;
    uint32_t low = 0, high = demand->held > 0 ? account_holds(demand->account->account)->count : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int64_t wait_us = wait_past_us(position, state, units, middle, &passed_us);
        if (wait_us != NEVER_US && wait_us <= passed_us) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    int64_t here_us = wait_past_us(position, state, units, low, &passed_us);
    int64_t before_us = low > 0 ? wait_past_us(position, state, units, low - 1, &passed_us) : NEVER_US;
    return wait_is_longer(here_us, before_us) ? before_us : here_us;
}

/* When the last reservation of the resource ends, one that is just made not counted; 0 = there is none. */
static int64_t last_hold_us(const struct position *position)
{
    const struct holds *holds = account_holds(position->demand->account->account);
    for (uint32_t i = holds->count; position->demand->held > 0 && i-- > 0;) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if ((int32_t)hold->slot == position->demand->view->index) return hold->expires_us;
    }
    return 0;
}

static int64_t reset_us(const struct position *position, const struct state *state)
{
    const struct demand *demand = position->demand;
    int64_t deadline_us = sliding_log_deadline_us(log_rule(position), state);
    if (log_rule(position)->limit == UNLIMITED) return 0;
    bool used = demand->taken && !demand->holds && demand->limited > 0;
    if (used) deadline_us = now_of(position) + log_rule(position)->period_us;
    if (beside_log(position) > 0) deadline_us = max_i64(deadline_us, last_hold_us(position));
    bool held = demand->taken && demand->holds && demand->limited > 0;
    if (held) deadline_us = max_i64(deadline_us, demand->held_until_us); /* that of the reservation just made */
    return max_i64(deadline_us - now_of(position), 0);
}

static void judge(const struct position *position, int64_t units, struct verdict *verdict)
{
    struct state state = state_of(position);
    verdict->limit = log_rule(position)->limit;
    verdict->remaining = fits_beside(log_rule(position), &state, beside_log(position));
    verdict->wait_us = units > 0 ? wait_us(position, &state, units) : 0;
    verdict->reset_us = reset_us(position, &state);
    verdict->rule = position->number;
}

/* ---- taking and giving back ------------------------------------------------------------------------------ */

static void take(struct position *position, int64_t units)
{
    (void)position; /* the log is no part of the view: emit writes it */
    (void)units;
}

static void emit_state(const struct position *position, const struct state *state, struct sink *changes)
{
    struct change change = {.kind = CHANGE_LOG_APPENDED,
                            .slot = (uint32_t)position->demand->view->index,
                            .period_us = log_rule(position)->period_us,
                            .log = {.when_us = state->when_us, .amount = state->amount, .rest = state->rest}};
    change_encode(&change, changes);
}

static void emit(const struct position *position, int64_t units, struct sink *changes)
{
    struct state state;
    if (units == 0 || position->demand->holds || log_rule(position)->limit <= 0) return;
    if (charge(position, units, &state) == ACCOUNT_FAULT_NONE) emit_state(position, &state, changes);
}

enum account_fault rolling_post(const struct demand *demand, int64_t units, struct sink *changes)
{
    struct state state;
    for (uint32_t i = 0; units > 0 && i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        if (position->meter != &meter_rolling || log_rule(position)->limit <= 0) continue;
        enum account_fault fault = charge(position, units, &state);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        emit_state(position, &state, changes);
    }
    return ACCOUNT_FAULT_NONE;
}

static void report(const struct position *position, struct rule_report *report)
{
    struct state state = state_of(position);
    report->limit = log_rule(position)->limit;
    report->used = state.amount;
    report->held = position->demand->held;
    report->remaining = fits_beside(log_rule(position), &state, report->held);
    report->start_us = report->end_us = NEVER_US;
}

int64_t rolling_give_back(const struct account_view *account, const struct resource_view *view, int64_t period_us,
                          int64_t units, const struct taken_from *from, struct sink *changes)
{
    const struct sliding_log *log = view->stored ? slot_log(view->stored, period_us) : NULL;
    bool left = from->logged_us <= account->now_us - period_us;
    if (from->is_late && from->taken_us <= from->logged_us - period_us) return 0; /* it was out of the window before */
    int64_t returned = left ? 0 : min_i64(units, sliding_log_units_at(log, from->logged_us));
    if (returned == 0) return 0;
    struct change change = {.kind = CHANGE_LOG_REMOVED,
                            .slot = (uint32_t)view->index,
                            .period_us = period_us,
                            .log = {.when_us = from->logged_us, .amount = returned}};
    change_encode(&change, changes);
    return returned;
}

static int64_t give_back(struct position *position, int64_t units, const struct taken_from *from, struct sink *changes)
{
    const struct demand *demand = position->demand;
    int64_t returned =
        rolling_give_back(demand->account, demand->view, log_rule(position)->period_us, units, from, changes);
    position->returned += returned;
    return returned;
}

static int64_t give_back_newest(struct position *position, int64_t units, struct sink *changes)
{
    struct state state = state_of(position);
    if (log_rule(position)->limit <= 0) return 0;
    int64_t returned = sliding_log_refund(log_rule(position), &state, units, now_of(position));
    if (returned > 0) emit_state(position, &state, changes);
    position->returned += returned;
    return returned;
}

static int64_t used(const struct position *position)
{
    return state_of(position).amount;
}

const struct meter meter_rolling = {.kind = "ROLLING",
                                    .available = available,
                                    .check = check,
                                    .judge = judge,
                                    .take = take,
                                    .emit = emit,
                                    .report = report,
                                    .give_back = give_back,
                                    .give_back_newest = give_back_newest,
                                    .used = used};

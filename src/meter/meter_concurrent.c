/* The meter of CONCURRENT: units in live reservations of the resource at once, however they are paid for.
 *
 *     0 ├── held ──┬── available ──┤ limit      waits: until enough reservations have ended; nothing is ever used
 *
 * It is in a demand only where units are held (demand_hold): what is used at once passes it by. */
#include "quota/base/checked.h"
#include "quota/meter/meter.h"
#include "quota/view/credits_view.h"

static int64_t limit_of(const struct position *position)
{
    return position_rule(position)->limit;
}

/* Units of members' reservations that their own credits have paid for: this account counts them nowhere else. */
static int64_t held_below(const struct demand *demand)
{
    const struct holds *holds = account_holds(demand->account->account);
    wide held = 0;
    if (holds->members_count == 0) return 0;
    for (uint32_t i = holds_ended(holds, demand->account->now_us); i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (hold->of_member && (int32_t)hold->slot == demand->view->index) held += hold->units - hold_counted(hold);
    }
    return wide_clamp(held, 0, INT64_MAX);
}

/* Units that limits, grants and members' credits hold, with those that the demand has just taken. */
static int64_t held_of(const struct position *position)
{
    const struct demand *demand = position->demand;
    int64_t held = add_clamped(demand->held, credits_held(demand->account, demand->view));
    held = add_clamped(held, held_below(demand));
    return demand->taken && demand->holds ? add_clamped(held, demand->units) : held;
}

static int64_t available(const struct position *position)
{
    int64_t limit = limit_of(position);
    return limit == UNLIMITED ? UNLIMITED : max_i64(limit - held_of(position), 0);
}

static enum account_fault check(const struct position *position, int64_t units)
{
    (void)position; /* it has no number of its own: reservations are counted where they stand */
    (void)units;
    return ACCOUNT_FAULT_NONE;
}

/* ---- waits ----------------------------------------------------------------------------------------------- */

/* Until so many reservations have ended that the units fit: the first instants free the least. */
static int64_t wait_us(const struct position *position, int64_t units)
{
    const struct demand *demand = position->demand;
    const struct holds *holds = account_holds(demand->account->account);
    int64_t limit = limit_of(position), now_us = demand->account->now_us;
    wide busy = (wide)held_of(position) + units;
    if (limit == UNLIMITED || busy <= limit) return 0;
    for (uint32_t i = holds_ended(holds, now_us); units <= limit && i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if ((int32_t)hold->slot != demand->view->index) continue;
        busy -= hold->units;
        if (busy <= limit) return hold->expires_us - now_us;
    }
    return NEVER_US;
}

/* Until the last reservation has ended, the demand's own included. */
static int64_t reset_us(const struct position *position)
{
    const struct demand *demand = position->demand;
    const struct holds *holds = account_holds(demand->account->account);
    int64_t now_us = demand->account->now_us;
    int64_t last_us = demand->taken && demand->holds ? demand->held_until_us : now_us;
    for (uint32_t i = holds->count; i > holds_ended(holds, now_us); i--) {
        const struct hold *hold = &holds->by_expiry[i - 1]->hold;
        if ((int32_t)hold->slot == demand->view->index) return max_i64(last_us, hold->expires_us) - now_us;
    }
    return last_us - now_us;
}

static void judge(const struct position *position, int64_t units, struct verdict *verdict)
{
    verdict->limit = limit_of(position);
    verdict->remaining = available(position);
    verdict->wait_us = units > 0 ? wait_us(position, units) : 0;
    verdict->reset_us = reset_us(position);
    verdict->rule = position->number;
}

/* ---- taking ---------------------------------------------------------------------------------------------- */

static void take(struct position *position, int64_t units)
{
    (void)position; /* the reservation itself is what counts */
    (void)units;
}

static void report(const struct position *position, struct rule_report *report)
{
    report->limit = limit_of(position);
    report->used = 0;
    report->held = held_of(position);
    report->remaining = available(position);
}

const struct meter meter_concurrent = {.kind = "CONCURRENT",
                                       .counts_all = true,
                                       .available = available,
                                       .check = check,
                                       .judge = judge,
                                       .take = take,
                                       .report = report};

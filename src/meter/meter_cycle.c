/* The meter of a LIMIT: units in one cycle after another.
 *
 *     0 ├── used ──┬── held ──┬── available ──┤ capacity      waits: a reservation ends, or a cycle in which it fits */
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/meter/meter.h"
#include "quota/view/billing.h"

static struct window *window_of(const struct position *position)
{
    return position->window;
}

static int64_t now_of(const struct position *position)
{
    return position->demand->account->now_us;
}

/* Units of live reservations made in this cycle, with those that the demand has just made. */
static int64_t held_of(const struct position *position, const struct window *window)
{
    const struct demand *demand = position->demand;
    int64_t held = demand->held > 0 ? resource_view_held(demand->account, demand->view, window) : 0;
    return demand->taken && demand->holds ? add_clamped(held, demand->limited) : held;
}

static int64_t available(const struct position *position)
{
    const struct window *window = window_of(position);
    return window_available(window, position->capacity, held_of(position, window));
}

static int64_t within(const struct position *position)
{
    const struct window *window = window_of(position);
    return window_available(window, window_limit(window), held_of(position, window));
}

static int64_t before_overage(const struct position *position)
{
    const struct window *window = window_of(position);
    const struct entitlement *entitlement = position->demand->view->entitlement;
    int64_t capacity = window_capacity_without_overage(window, entitlement, now_of(position));
    return window_available(window, capacity, held_of(position, window));
}

static enum account_fault check(const struct position *position, int64_t units)
{
    int64_t busy;
    const struct window *window = window_of(position);
    bool fits = add_checked(window->used, units, &busy) && add_checked(busy, held_of(position, window), &busy);
    return fits ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_OVERFLOW;
}

/* ---- waits ----------------------------------------------------------------------------------------------- */

/* The first wait of at least `after_us` within the cycle at which so many held units have been freed that `busy` ones,
 * which count them, fit under the capacity of then (a grace may have passed); NEVER_US = none. */
static int64_t holds_wait_us(const struct position *position, const struct window *window, wide busy, int64_t after_us)
{
    const struct demand *demand = position->demand;
    const struct holds *holds = account_holds(demand->account->account);
    int64_t now_us = now_of(position), from_us = now_us + after_us;
    for (uint32_t i = 0; i <= holds->count; i++) {
        const struct hold *hold = i < holds->count && demand->held > 0 ? &holds->by_expiry[i]->hold : NULL;
        int64_t next_us = hold ? min_i64(hold->expires_us, window->end_us) : window->end_us;
        if (next_us > from_us) { /* all that ends by then is freed */
            int64_t capacity = window_capacity(window, demand->view->entitlement, from_us);
            if (capacity == UNLIMITED || busy <= capacity) return from_us - now_us;
            from_us = next_us;
        }
        if (!hold || from_us >= window->end_us) break;
        if (hold->expires_us <= now_us || (int32_t)hold->slot != demand->view->index) continue;
        if (hold->made_us >= window->start_us) busy -= hold_limited(hold);
    }
    return NEVER_US;
}

/* When the cycle begins that comes so many after this one. */
static int64_t later_cycle_us(const struct position *position, const struct window *window, int64_t cycles)
{
    const struct zone *zone = account_view_zone(position->demand->account);
    const struct period *period = &position_rule(position)->period;
    int64_t anchor_us = position->demand->account->status.anchor_us;
    if (!zone) return NEVER_US;
    /* Counted in cycles and not in time: months and days across a change of the clock differ in length. */
    struct cycle cycle = period_cycle_at(period, zone, anchor_us, window->start_us);
    int64_t index = period_index_after(period, zone, anchor_us, cycle.index, cycles);
    int64_t start_us = period_cycle(period, zone, anchor_us, index).start_us;
    return start_us >= INSTANT_MAX_US ? NEVER_US : start_us - now_of(position);
}

/* Until the first later cycle in which the units fit. */
static int64_t later_wait_us(const struct position *position, const struct window *window, int64_t units)
{
    const struct demand *demand = position->demand;
    const struct carry_rules rules = {.entitlement = demand->view->entitlement, .rule = position_rule(position)};
    struct carry carry;
    const struct cycle_end end = {window->end_us, demand->account->status.anchor_us};
    resource_view_carry(demand->account, demand->view, window, end, &carry);
    int64_t cycles = carry_cycles_until(&carry, &rules, units);
    if (cycles < 0) return NEVER_US;
    if (cycles == 1) return wait_add(window->end_us - now_of(position), 0);
    return later_cycle_us(position, window, cycles);
}

/* Until the units fit into this cycle, or into the first later one in which they do. */
static int64_t wait_us(const struct position *position, const struct window *window, int64_t capacity, int64_t units)
{
    wide busy = (wide)window->used + held_of(position, window) + units;
    if (capacity == UNLIMITED || busy <= capacity) return 0;
    /* Units that are held come free when their reservation ends; units that are used come back with the next cycle
     * only. */
    bool fits_alone = (wide)window->used + units <= capacity; /* else no end of a reservation helps */
    int64_t wait_us = fits_alone ? holds_wait_us(position, window, busy, 0) : NEVER_US;
    if (wait_us != NEVER_US || window->end_us == INT64_MAX) return wait_us;
    return later_wait_us(position, window, units);
}

/* A grace that is open now may have passed by then, and the next cycle may have another limit, or a debt: what waits
 * for another rule meets them. */
static int64_t wait_after(const struct position *position, int64_t units, int64_t after_us)
{
    const struct window *window = window_of(position);
    int64_t then_us = now_of(position) + after_us;
    if (then_us >= window->end_us) {
        int64_t later_us = later_wait_us(position, window, units);
        return wait_is_longer(later_us, after_us) ? later_us : after_us;
    }
    wide busy = (wide)window->used + held_of(position, window) + units;
    int64_t wait_us = holds_wait_us(position, window, busy, after_us);
    if (wait_us != NEVER_US) return wait_us;
    return window->end_us == INT64_MAX ? NEVER_US : later_wait_us(position, window, units);
}

static int64_t reset_us(const struct position *position, const struct window *window, int64_t held)
{
    if (window->used == 0 && held == 0 && window->debt == 0) return 0;
    return window->end_us == INT64_MAX ? NEVER_US : window->end_us - now_of(position);
}

static void judge(const struct position *position, int64_t units, struct verdict *verdict)
{
    const struct window *window = window_of(position);
    int64_t held = held_of(position, window), capacity = position->capacity;
    verdict->limit = capacity == UNLIMITED ? window_limit(window) : capacity;
    verdict->remaining = window_available(window, capacity, held);
    verdict->wait_us = units > 0 ? wait_us(position, window, capacity, units) : 0;
    verdict->reset_us = reset_us(position, window, held);
    verdict->rule = position->number;
}

/* ---- taking and giving back ------------------------------------------------------------------------------ */

static void take(struct position *position, int64_t units)
{
    const struct demand *demand = position->demand;
    struct window *window = window_of(position);
    int64_t held = held_of(position, window), used = demand->holds ? 0 : units;
    if (demand->holds) held += units;
    (void)expect(window_charge(window, used, held, now_of(position)));
    window_warn(window, demand->view->entitlement);
}

static void report(const struct position *position, struct rule_report *report)
{
    const struct window *window = window_of(position);
    report->limit = window_limit(window);
    report->rolled = window->rolled;
    report->used = window->used;
    report->held = resource_view_held(position->demand->account, position->demand->view, window);
    report->remaining = window_available(window, position->capacity, report->held);
    report->start_us = window->start_us;
    report->end_us = window->end_us == INT64_MAX ? NEVER_US : window->end_us;
}

/* A running cycle takes back what was charged in it; what was charged in a closed one is decide/backdate.h's. */
static int64_t give_back(struct position *position, int64_t units, const struct taken_from *from, struct sink *changes)
{
    struct window *window = window_of(position);
    bool ran = window->start_us <= from->taken_us && from->taken_us < window->end_us;
    (void)changes;
    if (!ran || !charged_has(from->charged, window->period)) return 0;
    int64_t returned = window_refund(window, units, from->generation);
    billing_shift(position->demand->account, position->demand->view,
                  &(struct bill_shift){window->period, window->end_us, from->taken_us, -returned, returned});
    return returned;
}

static int64_t give_back_newest(struct position *position, int64_t units, struct sink *changes)
{
    (void)changes;
    return window_refund_unnamed(window_of(position), units, position->demand->view->generation);
}

static int64_t used(const struct position *position)
{
    return window_of(position)->used;
}

const struct meter meter_cycle = {.kind = "LIMIT",
                                  .available = available,
                                  .within = within,
                                  .before_overage = before_overage,
                                  .check = check,
                                  .judge = judge,
                                  .wait_after = wait_after,
                                  .take = take,
                                  .report = report,
                                  .give_back = give_back,
                                  .give_back_newest = give_back_newest,
                                  .used = used};

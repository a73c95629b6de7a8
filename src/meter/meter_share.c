/* The meter of SHARE: what one member may use of a pool's LIMIT in its cycle.
 *
 *     0 ├── used and held by the member ──┬── available ──┤ share      then BURST, GRACE, OVERAGE as beyond any limit
 *
 * It stands beside the LIMIT, which bounds all members together. A denial waits for the next cycle, which has other
 * shares. */
#include "quota/base/checked.h"
#include "quota/meter/meter.h"

static int64_t used_of(const struct position *position)
{
    const struct demand *demand = position->demand;
    return demand->taken ? add_clamped(demand->share_used, demand->units - demand->from_below) : demand->share_used;
}

static int64_t left_of(const struct position *position, int64_t capacity)
{
    return capacity == UNLIMITED ? UNLIMITED : max_i64(capacity - used_of(position), 0);
}

static int64_t within(const struct position *position)
{
    return left_of(position, position->demand->share);
}

/* A grace is the LIMIT's: while that is not beyond its number, or its grace is open, the member may go beyond its
 * share. */
static int64_t capacity_before_overage(const struct position *position)
{
    const struct demand *demand = position->demand;
    const struct entitlement *entitlement = demand->view->entitlement;
    int64_t over_since_us = position->window->over_since_us, now_us = demand->account->now_us;
    if (entitlement->grace_us == 0) return add_clamped(demand->share, window_burst(entitlement, demand->share));
    bool is_open = over_since_us == 0 || now_us - over_since_us < entitlement->grace_us;
    return is_open ? UNLIMITED : demand->share;
}

static int64_t before_overage(const struct position *position)
{
    return left_of(position, capacity_before_overage(position));
}

static int64_t available(const struct position *position)
{
    int64_t overage = entitlement_overage(position->demand->view->entitlement);
    int64_t capacity = capacity_before_overage(position);
    if (overage == UNLIMITED || capacity == UNLIMITED) return UNLIMITED;
    return left_of(position, add_clamped(capacity, overage));
}

static enum account_fault check(const struct position *position, int64_t units)
{
    int64_t used;
    return add_checked(position->demand->share_used, units, &used) ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_OVERFLOW;
}

static void judge(const struct position *position, int64_t units, struct verdict *verdict)
{
    int64_t left = available(position);
    int64_t until_us = position->window->end_us - position->demand->account->now_us;
    verdict->limit = position->demand->share;
    verdict->remaining = left;
    verdict->wait_us = left == UNLIMITED || units <= left ? 0 : until_us;
    verdict->reset_us = until_us;
    verdict->rule = position->number;
}

static void take(struct position *position, int64_t units)
{
    (void)position; /* members count what they use (decide/membership.h) */
    (void)units;
}

static void report(const struct position *position, struct rule_report *report)
{
    report->limit = position->demand->share;
    report->used = used_of(position);
    report->remaining = available(position);
    report->start_us = position->window->start_us;
    report->end_us = position->window->end_us;
}

/* Refunds are the LIMIT's. */
static int64_t nothing_of(struct position *position, int64_t units, const struct taken_from *from, struct sink *changes)
{
    (void)position;
    (void)units;
    (void)from;
    (void)changes;
    return 0;
}

static int64_t nothing_newest(struct position *position, int64_t units, struct sink *changes)
{
    return nothing_of(position, units, NULL, changes);
}

const struct meter meter_share = {.kind = "SHARE",
                                  .available = available,
                                  .within = within,
                                  .before_overage = before_overage,
                                  .check = check,
                                  .judge = judge,
                                  .take = take,
                                  .report = report,
                                  .give_back = nothing_of,
                                  .give_back_newest = nothing_newest,
                                  .used = used_of};

void demand_share(struct demand *demand, struct window *window, int64_t share, int64_t used)
{
    uint32_t at = demand->positions_count++;
    demand->share = share;
    demand->share_used = used;
    /* Funding meters stand behind all others. */
    for (; at > 0 && demand->positions[at - 1].meter->funds; at--) demand->positions[at] = demand->positions[at - 1];
    demand->positions[at] =
        (struct position){.meter = &meter_share, .demand = demand, .number = SHARE_RULE, .window = window};
}

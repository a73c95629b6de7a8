/* The meter of SHARE: what one member may use of a pool's LIMIT in its cycle.
 *
 *     0 ├── used and held by the member ──┬── available ──┤ share      then BURST, GRACE, OVERAGE as beyond any limit
 *
 * It stands beside the LIMIT, which bounds all members together. A denial waits until reservations of the member have
 * ended, or for the next cycle. EQUAL shares of that are known, as long as no member joins or leaves: what is more than
 * such a share never fits. FAIR ones follow from what is used until then. */
#include "quota/base/checked.h"
#include "quota/meter/meter.h"

static int64_t used_of(const struct position *position)
{
    const struct demand *demand = position->demand, *taken = demand->taken ? demand : demand->behind;
    return taken ? add_clamped(demand->share_used, taken->units - taken->from_below) : demand->share_used;
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
static int64_t capacity_before_overage(const struct position *position, int64_t at_us)
{
    const struct demand *demand = position->demand;
    const struct entitlement *entitlement = demand->view->entitlement;
    int64_t over_since_us = position->window->over_since_us;
    if (entitlement->grace_us == 0) return add_clamped(demand->share, window_burst(entitlement, demand->share));
    bool is_open = over_since_us == 0 || at_us - over_since_us < entitlement->grace_us;
    return is_open ? UNLIMITED : demand->share;
}

static int64_t now_of(const struct position *position)
{
    return position->demand->account->now_us;
}

static int64_t before_overage(const struct position *position)
{
    return left_of(position, capacity_before_overage(position, now_of(position)));
}

static int64_t capacity_at(const struct position *position, int64_t at_us)
{
    int64_t overage = entitlement_overage(position->demand->view->entitlement);
    int64_t capacity = capacity_before_overage(position, at_us);
    return overage == UNLIMITED || capacity == UNLIMITED ? UNLIMITED : add_clamped(capacity, overage);
}

static int64_t available(const struct position *position)
{
    return left_of(position, capacity_at(position, now_of(position)));
}

static enum account_fault check(const struct position *position, int64_t units)
{
    int64_t used;
    return add_checked(position->demand->share_used, units, &used) ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_OVERFLOW;
}

/* ---- waits ----------------------------------------------------------------------------------------------- */

/* Units that this reservation frees of the member's share when it ends. */
static int64_t counted_of(const struct demand *demand, const struct window *window, const struct stored_hold *stored)
{
    const struct hold *hold = &stored->hold;
    bool counts =
        hold->of_member && (int32_t)hold->slot == demand->view->index && hold->made_us >= max_i64(window->start_us, 0);
    bool same = counts && bytes_equal(member_hold_id_member(hold_id(stored)), demand->share_member);
    return same ? hold_counted(hold) : 0;
}

int64_t demand_share_freed(const struct demand *demand, const struct window *window, int64_t until_us)
{
    const struct holds *holds = account_holds(demand->account->account);
    int64_t freed = 0;
    for (uint32_t i = holds_ended(holds, demand->account->now_us); i < holds->count; i++) {
        if (holds->by_expiry[i]->hold.expires_us > until_us) break;
        freed = add_clamped(freed, counted_of(demand, window, holds->by_expiry[i]));
    }
    return freed;
}

static int64_t capacity_of_share(const struct entitlement *entitlement, int64_t share)
{
    return add_clamped(add_clamped(share, window_burst(entitlement, share)), entitlement_overage(entitlement));
}

/* The member's EQUAL share of the next cycle, of so many units. What rounding leaves goes to some of the members: to
 * whom is only found out where it matters, since every member has to be looked at for that. */
static int64_t next_share(const struct position *position, int64_t of_units, int64_t units)
{
    const struct demand *demand = position->demand;
    const struct entitlement *entitlement = demand->view->entitlement;
    const struct members *members = account_members(demand->account->account);
    const struct member *member = members_find(members, demand->share_member);
    int64_t weight = member ? member->weight : 1;
    int64_t weights = members->weights + (member && !member->has_left ? 0 : weight);
    int64_t least = (int64_t)((wide)of_units * weight / weights);
    if (units <= capacity_of_share(entitlement, least)) return least;
    if (units > capacity_of_share(entitlement, least + 1)) return least;
    const struct division division = {.slot = (uint32_t)demand->view->index,
                                      .start_us = position->window->end_us,
                                      .units = of_units,
                                      .how = SHARE_EQUAL};
    return members_share_of(members, &division, member);
}

static bool fits_next_cycle(const struct position *position, int64_t units)
{
    const struct entitlement *entitlement = position->demand->view->entitlement;
    const struct quota_rule *rule = entitlement_limit(entitlement, position->window->period);
    bool is_known = entitlement->share == SHARE_EQUAL && rule && rule->limit != UNLIMITED && rule->rollover_bp == 0 &&
                    !entitlement->repay;
    bool is_bounded = entitlement->grace_us == 0 && entitlement_overage(entitlement) != UNLIMITED;
    if (position->window->end_us == INT64_MAX) return false; /* there is none */
    if (!is_known || !is_bounded) return true;
    return units <= capacity_of_share(entitlement, next_share(position, rule->limit, units));
}

/* The first wait of at least `after_us` after which the member has units left: in this cycle, or in the next one. */
static int64_t wait_after(const struct position *position, int64_t units, int64_t after_us)
{
    const struct demand *demand = position->demand;
    const struct window *window = position->window;
    const struct holds *holds = account_holds(demand->account->account);
    int64_t now_us = now_of(position), at_us = now_us + after_us;
    if (at_us >= window->end_us) return fits_next_cycle(position, units) ? after_us : NEVER_US;
    int64_t capacity = capacity_at(position, at_us);
    if (units <= 0 || capacity == UNLIMITED) return after_us;
    wide lacks = (wide)units + used_of(position) - capacity;
    for (uint32_t i = holds_ended(holds, now_us); lacks > 0 && i < holds->count; i++) {
        int64_t expires_us = holds->by_expiry[i]->hold.expires_us;
        if (expires_us >= window->end_us) break;
        lacks -= counted_of(demand, window, holds->by_expiry[i]);
        at_us = lacks <= 0 ? max_i64(at_us, expires_us) : at_us;
    }
    if (lacks <= 0) return at_us - now_us;
    return fits_next_cycle(position, units) ? window->end_us - now_us : NEVER_US;
}

static void judge(const struct position *position, int64_t units, struct verdict *verdict)
{
    int64_t left = available(position);
    verdict->limit = position->demand->share;
    verdict->remaining = left;
    verdict->wait_us = left == UNLIMITED || units <= left ? 0 : wait_after(position, units, 0);
    int64_t end_us = position->window->end_us;
    verdict->reset_us = end_us == INT64_MAX ? NEVER_US : end_us - now_of(position);
    verdict->rule = position->number;
}

/* ---- taking ---------------------------------------------------------------------------------------------- */

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
    report->end_us = position->window->end_us == INT64_MAX ? NEVER_US : position->window->end_us;
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
                                  .wait_after = wait_after,
                                  .take = take,
                                  .report = report,
                                  .give_back = nothing_of,
                                  .give_back_newest = nothing_newest,
                                  .used = used_of};

void demand_share(struct demand *demand, struct window *window, struct bytes member, int64_t share, int64_t used)
{
    uint32_t at = demand->positions_count++;
    demand->share = share;
    demand->share_used = used;
    demand->share_member = member;
    /* Funding meters stand behind all others. */
    for (; at > 0 && demand->positions[at - 1].meter->funds; at--) demand->positions[at] = demand->positions[at - 1];
    demand->positions[at] =
        (struct position){.meter = &meter_share, .demand = demand, .number = SHARE_RULE, .window = window};
}

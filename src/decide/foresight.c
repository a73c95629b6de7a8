/* Looks at accounts as they will be; see foresight.h. */
#include "quota/decide/foresight.h"
#include "quota/account/carry.h"
#include "quota/base/checked.h"
#include "quota/decide/admission_verdict.h"
#include "quota/decide/below.h"
#include "quota/decide/demand_plan.h"
#include "quota/time/duration.h"
#include "quota/view/credits_view.h"
#include "quota/view/lifecycle.h"

/* A demand as it will be at an instant. */
struct outlook {
    struct account_view account;
    struct resource_view view;
    struct demand demand;
    int64_t credits_left; /* units that credits can pay for then, its own and those of accounts below … */
    int64_t credits_most; /* … at most ever … */
    int64_t credits_us;   /* … and when that changes next; INT64_MAX = never */
};

/* A member's share bounds it until the cycle ends; what it will be then is not known. Until then what the member holds
 * comes free. */
static void outlook_share(const struct demand *demand, int64_t at_us, struct outlook *outlook)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        if (position->meter != &meter_share || at_us >= position->window->end_us) continue;
        int64_t freed = demand_share_freed(demand, position->window, at_us);
        demand_share(&outlook->demand, position->window, demand->share_member, demand->share,
                     demand->share_used - freed);
    }
}

/* False where that cannot be found out (the zone is not known here). Ended by outlook_end. */
static bool outlook_begin_own(const struct demand *demand, int64_t at_us, struct outlook *outlook)
{
    outlook->account = *demand->account;
    outlook->account.now_us = at_us;
    outlook->account.memory.blocks = NULL;
    outlook->account.memory.owned = NULL;
    outlook->account.arena = &outlook->account.memory;
    resource_view_copy(&outlook->account, demand->view, &outlook->view);
    if (lifecycle_foresee(&outlook->account, &outlook->view) != ACCOUNT_FAULT_NONE) return false;
    demand_begin_as(&outlook->demand, &outlook->account, &outlook->view, demand->amount, demand->cost);
    if (demand->holds) demand_hold(&outlook->demand, demand->held_until_us);
    outlook->demand.behind = demand->behind;
    outlook->demand.rates_after = demand->rates_after;
    outlook_share(demand, at_us, outlook);
    outlook->credits_left = outlook->view.credits_left - demand_funded_before(&outlook->demand);
    outlook->credits_most = credits_most(&outlook->account, &outlook->view);
    outlook->credits_us = credits_next_us(&outlook->account, &outlook->view);
    return true;
}

static void outlook_end(struct outlook *outlook)
{
    arena_free(&outlook->account.memory);
}

/* The same, and what credits of the accounts below will pay for. */
static bool outlook_begin(const struct demand *demand, int64_t at_us, struct outlook *outlook)
{
    bool found = outlook_begin_own(demand, at_us, outlook);
    for (const struct demand *lower = demand->lower; found && lower; lower = lower->lower) {
        struct outlook below;
        found = outlook_begin_own(lower, at_us, &below);
        if (found) {
            int64_t left = below_units(demand, lower, below.credits_left);
            outlook->demand.below = add_clamped(outlook->demand.below, left);
            outlook->credits_left = add_clamped(outlook->credits_left, left);
            int64_t most = below_units(demand, lower, below.credits_most);
            outlook->credits_most = add_clamped(outlook->credits_most, most);
            outlook->credits_us = min_i64(outlook->credits_us, below.credits_us);
        }
        outlook_end(&below);
    }
    return found;
}

/* From when on the rates will admit the units. They do not depend on the limits, and once they admit they go on doing
 * so, so they are checked as of now: a TOKEN bucket with an INITIAL begins with the denial. */
static int64_t rates_admit_us(struct outlook *outlook, int64_t units)
{
    struct demand *demand = &outlook->demand;
    int64_t at_us = outlook->account.now_us;
    if (demand->rates.count == 0) return at_us;
    if (rates_check(demand, units, MODE_PEEK) != ACCOUNT_FAULT_NONE) return INT64_MAX;
    const struct verdict *verdict = &demand->rates.decision.verdict;
    if (verdict->granted > 0) return at_us;
    return verdict->wait_us == NEVER_US ? INT64_MAX : add_clamped(at_us, verdict->wait_us);
}

/* When CONCURRENT will; likewise. */
static int64_t holds_admit_us(const struct outlook *outlook, int64_t units)
{
    const struct demand *demand = &outlook->demand;
    int64_t at_us = outlook->account.now_us;
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        struct verdict verdict;
        if (position->meter != &meter_concurrent) continue;
        position->meter->judge(position, units, &verdict);
        return verdict.wait_us == NEVER_US ? INT64_MAX : add_clamped(at_us, verdict.wait_us);
    }
    return at_us;
}

/* Will idle cycles after this one, which is idle too, all be like it? A prorated limit is that of one cycle alone. */
static bool goes_on(const struct demand *demand, const struct window *window)
{
    const struct entitlement *entitlement = demand->view->entitlement;
    const struct carry_rules rules = {entitlement, entitlement_limit(entitlement, window->period)};
    struct carry carry;
    if (!rules.rule) return true;
    if (window_own_limit(window) != rules.rule->limit) return false;
    carry_of(window, &carry);
    return carry_same_limit(&carry, &rules) == INT64_MAX;
}

/* When the first of the running cycles ends after which another one may leave the lane less. A limit with OVERAGE has
 * room until then, so its wait does not say so. */
static int64_t cycles_end_us(const struct demand *demand)
{
    int64_t end_us = INT64_MAX;
    if (entitlement_overage(demand->view->entitlement) == 0) return end_us;
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        struct rule_report report;
        if (!position->meter->before_overage) continue;
        position->meter->report(position, &report);
        const struct window *window = position->window;
        if (report.used == 0 && report.held == 0 && goes_on(demand, window)) continue;
        if (report.end_us > demand->account->now_us) end_us = min_i64(end_us, report.end_us);
    }
    return end_us;
}

/* With a slow lane: limits and credits have to leave it no more than it admits. The next instant that may do is when it
 * admits what they leave now, or when they leave less. */
static int64_t slow_lane_admits_us(struct outlook *outlook, int64_t units)
{
    struct demand *demand = &outlook->demand;
    int64_t at_us = outlook->account.now_us, next_us = outlook->credits_us;
    if (demand_plan(demand, units) == units) return holds_admit_us(outlook, units);
    int64_t available = demand_available(demand), left = outlook->credits_left;
    next_us = min_i64(next_us, cycles_end_us(demand));
    int64_t more_us = demand_limits_wait_us(demand, add_clamped(available, 1));
    struct verdict lane;
    if (more_us != NEVER_US) next_us = min_i64(next_us, add_clamped(at_us, more_us));
    throttle_judge(demand, units - left - demand_available_before_lane(demand), &lane);
    if (lane.granted == 0 && lane.wait_us != NEVER_US) next_us = min_i64(next_us, add_clamped(at_us, lane.wait_us));
    return next_us;
}

/* The instant of the outlook if it admits the units, else the next one that may; INT64_MAX = none will. */
static int64_t admits_us(struct outlook *outlook, int64_t units)
{
    const struct demand *demand = &outlook->demand;
    int64_t at_us = outlook->account.now_us, left = outlook->credits_left;
    if (demand->rates.throttle >= 0) return slow_lane_admits_us(outlook, units);
    int64_t wait_us = demand_limits_wait_us(demand, max_i64(units - left, 0));
    if (wait_us == 0) return holds_admit_us(outlook, units);
    int64_t limits_us = wait_us == NEVER_US ? INT64_MAX : add_clamped(at_us, wait_us);
    int64_t credits_us = outlook->credits_us;
    if (credits_us == INT64_MAX) return limits_us;
    int64_t least = max_i64(units - outlook->credits_most, 0); /* that only limits can give */
    if (demand_limits_wait_us(demand, least) == NEVER_US) return INT64_MAX;
    return min_i64(limits_us, credits_us);
}

/* What one of these says of the demand as it will be at `at_us`. */
static int64_t look_ahead(const struct admission *admission, const struct demand *demand, int64_t at_us,
                          int64_t (*says)(struct outlook *outlook, int64_t units))
{
    struct outlook outlook;
    int64_t units = admission_units(admission, demand);
    int64_t said_us = at_us;
    if (outlook_begin(demand, at_us, &outlook)) said_us = says(&outlook, units);
    outlook_end(&outlook);
    return said_us;
}

/* The client waits whole milliseconds, and comes at the first of them that is not before `at_us`: what admits it must
 * not have ended by then. */
static int64_t client_comes_us(int64_t now_us, int64_t at_us)
{
    return add_clamped(at_us, (MICROS_PER_MILLI - (at_us - now_us) % MICROS_PER_MILLI) % MICROS_PER_MILLI);
}

int64_t foresee_wait_us(const struct admission *admission, const struct demand *demands, uint32_t count,
                        int64_t after_us)
{
    if (count == 0) return after_us;
    int64_t now_us = demands->account->now_us, at_us = add_clamped(now_us, after_us);
    for (uint32_t k = 0; k < count; k++)
        at_us = max_i64(at_us, look_ahead(admission, &demands[k], now_us, rates_admit_us));
    if (at_us >= INSTANT_MAX_US) return NEVER_US;
    at_us = client_comes_us(now_us, at_us);
    for (int i = 0; i < CHANGES_AHEAD_MAX; i++) {
        int64_t next_us = at_us;
        for (uint32_t k = 0; k < count; k++)
            next_us = max_i64(next_us, look_ahead(admission, &demands[k], at_us, admits_us));
        if (next_us == at_us) break;
        if (next_us >= INSTANT_MAX_US) return NEVER_US;
        at_us = client_comes_us(now_us, next_us);
    }
    return at_us - now_us;
}

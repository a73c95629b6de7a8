/* What a demand has, and who pays for it; the drawing is in demand_plan.h. */
#include "quota/decide/demand_plan.h"
#include "quota/base/checked.h"
#include "quota/view/credits_view.h"

bool demand_has_limits(const struct demand *demand)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        if (position_is_limit(&demand->positions[i])) return true;
    }
    return false;
}

bool demand_has_credits(const struct demand *demand)
{
    return demand->positions_count > 0 && demand->positions[demand->positions_count - 1].meter == &meter_credits;
}

/* Do grants alone pay, because the resource has CREDITS and no LIMIT? Where nothing is requested nothing pays. */
static bool is_prepaid(const struct demand *demand)
{
    return demand->view->entitlement->credits && demand->positions_count > 0 && !demand_has_limits(demand);
}

/* Do they pay alone whatever happens? OVERAGE MAX is counted in the cycles of LIMITs, so it adds nothing here. */
bool demand_bound_by_credits(const struct demand *demand)
{
    return is_prepaid(demand) && entitlement_overage(demand->view->entitlement) != UNLIMITED;
}

/* What the tightest limit has of what the meters answer; `least`: what there is without any limit. */
static inline int64_t tightest(const struct demand *demand, int64_t (*of)(const struct position *), int64_t least)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        if (!position_is_limit(position)) continue;
        int64_t available = of(position);
        if (amount_is_smaller(available, least)) least = available;
    }
    return least;
}

static int64_t all_of(const struct position *position)
{
    return position->meter->available(position);
}

static int64_t within_of(const struct position *position)
{
    return position->meter->within ? position->meter->within(position) : all_of(position);
}

static int64_t before_overage_of(const struct position *position)
{
    return position->meter->before_overage ? position->meter->before_overage(position) : all_of(position);
}

int64_t demand_available(const struct demand *demand)
{
    return tightest(demand, all_of, demand_bound_by_credits(demand) ? 0 : UNLIMITED);
}

int64_t demand_available_before_lane(const struct demand *demand)
{
    return tightest(demand, before_overage_of, is_prepaid(demand) ? 0 : UNLIMITED);
}

/* The same without BURST, GRACE and OVERAGE: what the limits give before grants pay. */
int64_t demand_available_within(const struct demand *demand)
{
    return tightest(demand, within_of, is_prepaid(demand) ? 0 : UNLIMITED);
}

int64_t demand_funds(const struct demand *demand)
{
    wide funds = 0;
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        if (!position->meter->funds) continue;
        int64_t available = position->meter->available(position);
        if (available == UNLIMITED) return UNLIMITED;
        funds += available;
    }
    return wide_clamp(funds, 0, INT64_MAX);
}

int64_t demand_remaining(const struct demand *demand)
{
    int64_t available = demand_available(demand), funds = demand_funds(demand);
    bool unlimited = available == UNLIMITED || funds == UNLIMITED;
    return unlimited ? UNLIMITED : add_clamped(add_clamped(available, funds), demand->below);
}

/* Lets the funding meters pay for `missing` units, in their order; answers how many they pay. */
static int64_t fund(struct demand *demand, int64_t missing)
{
    int64_t funded = 0;
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        struct position *position = &demand->positions[i];
        if (!position->meter->funds) continue;
        int64_t funds = missing > funded ? position->meter->available(position) : 0;
        position->funded = funds == UNLIMITED ? missing - funded : min_i64(missing - funded, funds);
        funded += position->funded;
    }
    return funded;
}

/* The slow lane admits what limits, BURST and GRACE leave of so many units, and OVERAGE what the lane leaves. Answers
 * how many of them find a place. All of them count in the limits, so those of the lane leave OVERAGE as much less. */
static int64_t take_slow_lane(struct demand *demand, int64_t units, int64_t available)
{
    int64_t before = demand_available_before_lane(demand), taken = amount_min(units, before), left = units - taken;
    int64_t room = available == UNLIMITED || before == UNLIMITED ? left : min_i64(left, available - before);
    demand->throttled = throttle_takes(demand, room == left ? 0 : left, left);
    return taken + max_i64(demand->throttled, room);
}

int64_t demand_plan(struct demand *demand, int64_t units)
{
    int64_t available = demand_available(demand), funded = 0;
    bool first = demand->view->entitlement->credits_first, throttles = demand->rates.throttle >= 0;
    demand->planned = units;
    demand->forced = demand->throttled = demand->from_below = 0;
    demand->limited = demand->limited_first = amount_min(units, available);
    /* Funding meters stand behind all others. */
    if (demand->positions_count > 0 && demand->positions[demand->positions_count - 1].meter->funds) {
        demand->limited_first = first ? 0 : amount_min(units - demand->from_credits, demand_available_within(demand));
        funded = fund(demand, units - demand->limited_first);
        demand->limited = amount_min(units - funded, available);
    }
    if (throttles) demand->limited = take_slow_lane(demand, units - funded, available);
    if (demand->below > 0) demand->from_below = min_i64(units - demand->limited - funded, demand->below);
    return demand->limited + funded + demand->from_below;
}

enum account_fault demand_check(const struct demand *demand)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        int64_t units = position->meter->funds ? position->funded : demand->limited;
        enum account_fault fault = position->meter->check(position, units);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
    }
    return ACCOUNT_FAULT_NONE;
}

struct bytes demand_funding(const struct demand *demand)
{
    int64_t funded = demand->units - demand->limited - demand->from_below;
    char stack_buffer[128];
    bool by_credits = funded > 0 && demand_has_credits(demand);
    if (!by_credits && demand->from_below == 0) return (struct bytes){"", 0};
    struct sink funding = sink_init(stack_buffer, sizeof(stack_buffer));
    funding_add(&funding, FUNDED_BY_LIMITS, min_i64(demand->limited_first, demand->limited));
    if (by_credits) credits_write_funding(demand->account, demand->view, funded, &funding);
    funding_add(&funding, FUNDED_BY_LIMITS, demand->limited - demand->limited_first - demand->forced);
    funding_add(&funding, FUNDED_BELOW, demand->from_below);
    funding_add(&funding, FUNDED_BY_LIMITS, demand->forced);
    char *copy = arena_room(demand->account->arena, funding.size);
    memcpy(copy, funding.data, funding.size);
    struct bytes bytes = {copy, funding.size};
    sink_free(&funding);
    return bytes;
}

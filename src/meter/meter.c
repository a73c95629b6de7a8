/* The table of meters, and demands; see meter.h. */
#include "quota/meter/meter.h"
#include "quota/rate/limiter_codec.h"

const struct meter *meter_of(enum quota_kind kind)
{
    static const struct meter *const meters[] = {[QUOTA_LIMIT] = &meter_cycle,
                                                 [QUOTA_ROLLING] = &meter_rolling,
                                                 [QUOTA_RATE] = &meter_rate,
                                                 [QUOTA_CONCURRENT] = &meter_concurrent,
                                                 [QUOTA_THROTTLE] = &meter_throttle};
    return meters[kind];
}

struct position position_of_rule(struct demand *demand, uint32_t index)
{
    const struct entitlement *entitlement = demand->view->entitlement;
    const struct quota_rule *rule = &entitlement->rules[index];
    struct position position = {
        .meter = meter_of(rule->kind), .demand = demand, .rule = index, .number = (int32_t)index};
    if (rule->kind != QUOTA_LIMIT) return position;
    position.window = resource_view_window(demand->view, rule);
    position.capacity = window_capacity(position.window, entitlement, demand->account->now_us);
    return position;
}

struct position position_of_credits(struct demand *demand)
{
    uint32_t number = demand->view->entitlement->rules_count;
    return (struct position){.meter = &meter_credits, .demand = demand, .rule = number, .number = (int32_t)number};
}

void demand_find_capacities(struct demand *demand)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        struct position *position = &demand->positions[i];
        if (!position->window) continue;
        position->capacity = window_capacity(position->window, demand->view->entitlement, demand->account->now_us);
    }
}

static void begin_rates(struct rates_answer *rates, const struct entitlement *entitlement)
{
    rates->count = entitlement_rates(entitlement, rates->rules, rates->places);
    for (uint32_t i = 0; i < rates->count; i++) {
        if (entitlement->rules[rates->places[i]].kind == QUOTA_THROTTLE) rates->throttle = (int32_t)i;
    }
}

void demand_begin_nothing(struct demand *demand, struct account_view *account, struct resource_view *view,
                          int64_t amount)
{
    demand->account = account;
    demand->view = view;
    demand->amount = amount;
    demand->cost = entitlement_cost(view->entitlement);
    demand->granted = demand->units = demand->limited = demand->limited_first = demand->planned = 0;
    demand->forced = demand->throttled = demand->from_below = demand->below = demand->from_credits = 0;
    demand->lower = NULL;
    demand->at_us = 0;
    demand->charged = NULL;
    demand->holds = demand->taken = false;
    demand->behind = NULL;
    demand->stands_aside = true;
    demand->key = NULL;
    demand->held = 0;
    demand->positions_count = 0;
    demand->rates.count = 0; /* the rest, which is large, means nothing yet */
    demand->rates.throttle = -1;
}

void demand_begin_as(struct demand *demand, struct account_view *account, struct resource_view *view, int64_t amount,
                     int64_t cost)
{
    demand_begin(demand, account, view, amount);
    demand->cost = cost;
}

void demand_begin(struct demand *demand, struct account_view *account, struct resource_view *view, int64_t amount)
{
    const struct entitlement *entitlement = view->entitlement;
    bool has_rates = false, has_limits = false;
    demand_begin_nothing(demand, account, view, amount);
    demand->stands_aside = false;
    demand->held = resource_view_held(account, view, NULL);
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        enum quota_kind kind = entitlement->rules[i].kind;
        bool is_rate = kind == QUOTA_RATE || kind == QUOTA_THROTTLE;
        if (kind == QUOTA_CONCURRENT || (is_rate && has_rates)) continue;
        struct position *position = &demand->positions[demand->positions_count++];
        *position = position_of_rule(demand, i);
        if (is_rate) position->meter = &meter_rate; /* of all of them */
        has_rates = has_rates || is_rate;
        has_limits = has_limits || !is_rate;
    }
    bool is_prepaid = entitlement->credits && !has_limits;
    if (view->credits_usable > 0 || is_prepaid)
        demand->positions[demand->positions_count++] = position_of_credits(demand);
    if (has_rates) begin_rates(&demand->rates, entitlement);
}

void demand_hold(struct demand *demand, int64_t until_us)
{
    const struct entitlement *entitlement = demand->view->entitlement;
    demand->holds = true;
    demand->held_until_us = until_us;
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        if (entitlement->rules[i].kind != QUOTA_CONCURRENT) continue;
        uint32_t at = demand->positions_count++;
        /* Funding meters stand behind all others. */
        for (; at > 0 && demand->positions[at - 1].meter->funds; at--)
            demand->positions[at] = demand->positions[at - 1];
        demand->positions[at] = position_of_rule(demand, i);
    }
}

static void free_limiter(void *limiter)
{
    limiter_free(limiter);
}

void demand_stand_behind(struct demand *demand, const struct demand *taken)
{
    const struct limiter *before = demand->view->rates;
    demand->behind = taken;
    demand->rates_after = before;
    if (taken->rates.count == 0 || taken->rates.decision.effects_count == 0) return;
    struct limiter *after = limiter_apply(before ? limiter_clone(before) : NULL, &taken->rates.decision);
    arena_own(demand->account->arena, after, free_limiter);
    demand->rates_after = after;
}

/* Resolves parts of reservations; see resolution.h. */
#include "quota/decide/resolution.h"
#include "quota/base/checked.h"
#include "quota/decide/admission.h"
#include "quota/decide/backdate.h"
#include "quota/view/billing.h"
#include "quota/view/credits_view.h"

void resolution_part_begin(struct part *part, const struct hold *hold, struct bytes resource)
{
    part->hold = hold ? hold : &part->expired;
    part->resource = resource;
    part->charged.count = 0;
    part->charges_all = false;
    part->funding = sink_init(part->stack_buffer, sizeof(part->stack_buffer));
}

/* ---- posting a part -------------------------------------------------------------------------------------- */

/* Posts units to the running windows: those in which the reservation was made, and those of LIMITs that have joined
 * since. Closed cycles are corrected. */
static enum account_fault post_units(const struct resolution *resolution, struct part *part, int64_t units)
{
    struct resource_view *view = &part->view;
    struct sink *changes = &resolution->decision->changes;
    int64_t made_us = resolution->is_held ? part->hold->made_us : resolution->account->now_us;
    part->charges_all = true;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        bool ran = window->start_us <= made_us && made_us < window->end_us;
        bool counts = entitlement_limit(view->entitlement, window->period) != NULL;
        /* A LIMIT that came after the reservation was made counts its units from the commit on. */
        bool joined = !ran && counts && backdate_has_joined(view, window->period, made_us, changes);
        bool charges = ran ? counts || !view->unused[i] : joined;
        part->charges_all = part->charges_all && charges;
        if (!charges) continue;
        int64_t at_us = ran ? made_us : resolution->account->now_us;
        bool fits = counts ? window_charge(window, units, 0, at_us) : window_count(window, units, 0);
        if (!fits) return ACCOUNT_FAULT_OVERFLOW;
        if (counts) window_warn(window, view->entitlement);
        billing_shift(resolution->account, view, &(struct bill_shift){window->period, window->end_us, at_us, units, 0});
        charged_add(&part->charged, window->period);
    }
    uint32_t running = part->charged.count;
    backdate_charge(resolution->account, view, made_us, units, &part->charged, changes);
    part->charges_all = part->charges_all && part->charged.count == running;
    return ACCOUNT_FAULT_NONE;
}

/* What is not posted goes back to the rates, as far as they remember it; LIMITs and rolling windows held it only. */
static void release_rates(const struct resolution *resolution, struct part *part, int64_t units)
{
    struct taken_from from = {.taken_us = part->hold->made_us, .logged_us = part->hold->made_us};
    for (uint32_t i = 0; units > 0 && i < part->demand.positions_count; i++) {
        struct position *position = &part->demand.positions[i];
        if (position->meter != &meter_rate) continue;
        position->meter->give_back(position, units, &from, &resolution->decision->changes);
    }
}

/* What FORCE posts beyond the reservation is used of the rates, too. */
static enum account_fault charge_rates(const struct resolution *resolution, struct part *part, int64_t units)
{
    if (units <= 0 || part->demand.rates.count == 0) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = rates_check(&part->demand, units, MODE_FORCE);
    for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && i < part->demand.positions_count; i++) {
        const struct position *position = &part->demand.positions[i];
        if (position->meter == &meter_rate) position->meter->emit(position, units, &resolution->decision->changes);
    }
    return fault;
}

/* What the reservation held of limits and grants is posted as far as the commit goes. */
static void draw_held(const struct resolution *resolution, struct part *part, int64_t units)
{
    const struct hold *hold = part->hold;
    int64_t posted = min_i64(units, hold->units);
    part->limited = posted;
    if (hold->funding.size == 0) return;
    funding_cut(hold->funding, hold->units, 0, posted, &part->funding);
    part->limited = posted > 0 ? funding_of_limits(sink_content(&part->funding), posted) : 0;
    credits_post(resolution->account, &part->view, hold, posted);
}

/* What FORCE posts beyond the reservation is drawn like any consumption, while the reservation still holds what it
 * holds; what has no place is counted beyond. Then the reservation holds no more. */
static enum account_fault draw_beyond(const struct resolution *resolution, struct part *part, int64_t units,
                                      struct bytes *funding)
{
    struct demand *demand = &part->demand;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    bool granted = part->view.entitlement != NULL;
    if (granted) fault = admission_force(demand, units);
    part->limited = granted ? demand->limited : units;
    if (granted) *funding = demand_funding(demand);
    resolution->account->ignored = resolution->is_held ? resolution->stored : NULL;
    if (fault == ACCOUNT_FAULT_NONE) fault = credits_settle_again(resolution->account, &part->view);
    if (granted) demand_begin(demand, resolution->account, &part->view, 1);
    return fault;
}

/* Everything that paid, in the order in which it was drawn. */
static enum account_fault join_funding(const struct resolution *resolution, struct part *part, struct bytes beyond,
                                       int64_t units)
{
    struct sink *funding = &part->funding;
    int64_t held = resolution->is_held ? part->hold->units : 0;
    if (units <= 0 || (funding->size == 0 && beyond.size == 0)) return ACCOUNT_FAULT_NONE;
    if (funding->size == 0) funding_add(funding, FUNDED_BY_LIMITS, held);
    if (beyond.size == 0) funding_add(funding, FUNDED_BY_LIMITS, units);
    sink_raw(funding, beyond.data, beyond.size);
    bool fits = funding->size <= IDEMPOTENCY_BODY_MAX / 2; /* beside what else the record says */
    return fits ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_FUNDING;
}

/* Finds out what is posted to limits and grants: what is held, and with FORCE what is beyond. */
static enum account_fault draw(const struct resolution *resolution, struct part *part, int64_t units)
{
    struct bytes funding = {"", 0};
    int64_t beyond = units - (resolution->is_held ? part->hold->units : 0), limited;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    part->limited = 0;
    if (beyond > 0) fault = draw_beyond(resolution, part, beyond, &funding);
    limited = part->limited;
    if (resolution->is_held) draw_held(resolution, part, units);
    if (beyond > 0) credits_draw(resolution->account, &part->view, funding);
    if (beyond > 0 && resolution->is_held) part->limited = add_clamped(part->limited, limited);
    return fault == ACCOUNT_FAULT_NONE ? join_funding(resolution, part, funding, beyond) : fault;
}

static enum account_fault post(const struct resolution *resolution, struct part *part, int64_t units)
{
    struct sink *changes = &resolution->decision->changes;
    int64_t beyond = units - (resolution->is_held ? part->hold->units : 0);
    /* What has recurred is written down as it was before the reservation ends: its end takes from that. */
    credits_emit_turned(&part->view, changes);
    enum account_fault fault = draw(resolution, part, units);
    if (fault == ACCOUNT_FAULT_NONE && units > 0) fault = post_units(resolution, part, part->limited);
    int64_t made_us = resolution->is_held ? part->hold->made_us : resolution->account->now_us;
    int64_t served = units - part->limited - funding_below(sink_content(&part->funding));
    billing_credit(resolution->account, &part->view, made_us, max_i64(served, 0));
    bool rates_follow = beyond > 0 && part->demand.rates.count > 0;
    if (fault == ACCOUNT_FAULT_NONE) {
        fault = rates_follow ? emit_but_rates(resolution->account, &part->view, changes)
                             : emit_resource(resolution->account, &part->view, changes);
    }
    if (fault == ACCOUNT_FAULT_NONE) fault = rolling_post(&part->demand, part->limited, changes);
    return fault == ACCOUNT_FAULT_NONE ? charge_rates(resolution, part, beyond) : fault;
}

/* ---- one part -------------------------------------------------------------------------------------------- */

/* Brings the resource to now. One that the plan has lost meanwhile has no positions: its windows are posted to, its
 * rates are not. */
static enum account_fault settle(const struct resolution *resolution, struct part *part)
{
    struct account_view *account = resolution->account;
    resource_view_begin(account, part->resource, &part->view);
    enum account_fault fault = resource_view_settle(account, &part->view, &resolution->decision->changes);
    part->demand.positions_count = 0;
    part->demand.rates.count = 0;
    bool granted = fault == ACCOUNT_FAULT_NONE && part->view.entitlement;
    if (granted) demand_begin(&part->demand, account, &part->view, 1);
    return fault;
}

/* Which part of which reservation that was is written down behind all of them. */
enum account_fault resolution_resolve_part(const struct resolution *resolution, struct part *part)
{
    struct demand *demand = &part->demand;
    int64_t cost = part->hold->units / part->hold->amount, units;
    if (!multiply_checked(part->amount, cost, &units)) return ACCOUNT_FAULT_OVERFLOW;
    bool draws_beyond = resolution->is_held && units > part->hold->units;
    resolution->account->ignored = resolution->is_held && !draws_beyond ? resolution->stored : NULL;
    enum account_fault fault = settle(resolution, part);
    if (fault == ACCOUNT_FAULT_NONE) fault = post(resolution, part, units);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (resolution->is_held) release_rates(resolution, part, part->hold->units - units);
    demand_find_capacities(demand); /* a grace counts from when the units were held: it may have passed */
    demand->taken = true;           /* so that rolling windows count what they have just been given */
    demand->limited = part->limited;
    part->remaining = part->view.entitlement ? demand_remaining(demand) : 0;
    part->credits = part->view.entitlement ? demand_funds(demand) / cost : 0;
    return ACCOUNT_FAULT_NONE;
}

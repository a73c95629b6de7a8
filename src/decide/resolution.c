/* Resolves parts of reservations; see resolution.h. */
#include "quota/decide/resolution.h"
#include "quota/base/checked.h"
#include "quota/decide/admission.h"
#include "quota/decide/backdate.h"
#include "quota/decide/demand_plan.h"
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

/* ---- posting --------------------------------------------------------------------------------------------- */

/* So many units of the part are held until now. */
static int64_t held_of(const struct resolution *resolution, const struct part *part)
{
    return resolution->is_held ? part->hold->units : 0;
}

static int64_t beyond_of(const struct resolution *resolution, const struct part *part)
{
    return max_i64(part->units - held_of(resolution, part), 0);
}

/* Posts units to the running windows: those in which the reservation was made, and those of LIMITs that have joined
 * since. Closed cycles are corrected. */
static enum account_fault post_units(const struct resolution *resolution, struct part *first, int64_t units)
{
    struct resource_view *view = &first->view;
    struct sink *changes = &resolution->decision->changes;
    int64_t made_us = resolution->is_held ? first->hold->made_us : resolution->account->now_us;
    first->charges_all = true;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        bool ran = window->start_us <= made_us && made_us < window->end_us;
        bool counts = entitlement_limit(view->entitlement, window->period) != NULL;
        /* A LIMIT that came after the reservation was made counts its units from the commit on. */
        bool joined = !ran && counts && backdate_has_joined(view, window->period, made_us, changes);
        bool charges = ran ? counts || !view->unused[i] : joined;
        first->charges_all = first->charges_all && charges;
        if (!charges) continue;
        int64_t at_us = ran ? made_us : resolution->account->now_us;
        bool fits = counts ? window_charge(window, units, 0, at_us) : window_count(window, units, 0);
        if (!fits) return ACCOUNT_FAULT_OVERFLOW;
        if (counts) window_warn(window, view->entitlement);
        billing_shift(resolution->account, view, &(struct bill_shift){window->period, window->end_us, at_us, units, 0});
        charged_add(&first->charged, window->period);
    }
    uint32_t running = first->charged.count;
    backdate_charge(resolution->account, view, made_us, units, &first->charged, changes);
    first->charges_all = first->charges_all && first->charged.count == running;
    return ACCOUNT_FAULT_NONE;
}

/* Units that the parts of a resource post, in sum, beyond those that the rates were charged with when they were held:
 * below 0 = so many go back to the rates. Either is found by the rates as they are stored, so there is one of them. */
static int64_t more_of_rates(const struct resolution *resolution, const struct part *first)
{
    wide more = 0;
    for (const struct part *part = first; part; part = part->next)
        more += (wide)part->units - held_of(resolution, part);
    return wide_clamp(more, -INT64_MAX, INT64_MAX);
}

/* What is not posted goes back to the rates, as far as they remember it; LIMITs and rolling windows held it only. */
static void release_rates(const struct resolution *resolution, struct part *first)
{
    struct taken_from from = {.taken_us = first->hold->made_us, .logged_us = first->hold->made_us};
    int64_t units = -more_of_rates(resolution, first);
    for (uint32_t i = 0; units > 0 && i < first->demand.positions_count; i++) {
        struct position *position = &first->demand.positions[i];
        if (position->meter != &meter_rate) continue;
        position->meter->give_back(position, units, &from, &resolution->decision->changes);
    }
}

/* What FORCE posts beyond the reservation is used of the rates, too. */
static enum account_fault charge_rates(const struct resolution *resolution, struct part *first, int64_t units)
{
    if (units == 0 || first->demand.rates.count == 0) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = rates_check(&first->demand, units, MODE_FORCE);
    for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && i < first->demand.positions_count; i++) {
        const struct position *position = &first->demand.positions[i];
        if (position->meter == &meter_rate) position->meter->emit(position, units, &resolution->decision->changes);
    }
    return fault;
}

/* What the reservation held of limits and grants is posted as far as the commit goes. */
static void draw_held(const struct resolution *resolution, struct part *part)
{
    const struct hold *hold = part->hold;
    int64_t posted = min_i64(part->units, hold->units);
    part->limited = posted;
    if (hold->funding.size == 0) return;
    funding_cut(hold->funding, hold->units, 0, posted, &part->funding);
    part->limited = posted > 0 ? funding_of_limits(sink_content(&part->funding), posted) : 0;
    credits_post(resolution->account, part_view(part), hold, posted);
}

/* What FORCE posts beyond the reservation is drawn like any consumption, while the reservation still holds what it
 * holds; what has no place is counted beyond. Then the reservation holds no more. */
static enum account_fault draw_beyond(const struct resolution *resolution, struct part *first, int64_t units,
                                      struct bytes *funding)
{
    struct demand *demand = &first->demand;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    bool granted = first->view.entitlement != NULL;
    if (granted) fault = admission_force(demand, units);
    if (granted) *funding = demand_funding(demand);
    resolution->account->ignored = resolution->is_held ? resolution->stored : NULL;
    if (fault == ACCOUNT_FAULT_NONE) fault = credits_settle_again(resolution->account, &first->view);
    if (granted) demand_begin(demand, resolution->account, &first->view, 1);
    return fault;
}

/* Everything that paid for a part, in the order in which it was drawn; `beyond`: for its units beyond what it held. */
static enum account_fault join_funding(const struct resolution *resolution, struct part *part, struct bytes beyond,
                                       int64_t units)
{
    struct sink *funding = &part->funding;
    if (funding->size == 0 && beyond.size == 0) return ACCOUNT_FAULT_NONE;
    if (funding->size == 0) funding_add(funding, FUNDED_BY_LIMITS, held_of(resolution, part));
    if (beyond.size == 0) funding_add(funding, FUNDED_BY_LIMITS, units);
    sink_raw(funding, beyond.data, beyond.size);
    bool fits = funding->size <= IDEMPOTENCY_BODY_MAX / 2; /* beside what else the record says */
    return fits ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_FUNDING;
}

/* The parts share what paid for units beyond what they held: `whole`, for `total` of them. */
static enum account_fault share_beyond(const struct resolution *resolution, struct part *first, struct bytes whole,
                                       int64_t total)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    int64_t begins = 0;
    for (struct part *part = first; part && fault == ACCOUNT_FAULT_NONE; part = part->next) {
        int64_t units = beyond_of(resolution, part);
        char stack_buffer[128];
        struct sink own = sink_init(stack_buffer, sizeof(stack_buffer));
        if (units == 0) continue;
        if (whole.size > 0) funding_cut(whole, total, begins, begins + units, &own);
        part->limited = add_clamped(part->limited, funding_of_limits(sink_content(&own), units));
        fault = join_funding(resolution, part, sink_content(&own), units);
        begins += units;
        sink_free(&own);
    }
    return fault;
}

/* Finds out what is posted to limits and grants: what is held, and with FORCE what is beyond. */
static enum account_fault draw(const struct resolution *resolution, struct part *first, int64_t beyond)
{
    struct bytes funding = {"", 0};
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    if (beyond > 0) fault = draw_beyond(resolution, first, beyond, &funding);
    for (struct part *part = first; part; part = part->next) {
        part->limited = 0;
        if (resolution->is_held) draw_held(resolution, part);
    }
    if (beyond > 0) credits_draw(resolution->account, &first->view, funding);
    return fault == ACCOUNT_FAULT_NONE ? share_beyond(resolution, first, funding, beyond) : fault;
}

/* What the parts of one resource post, in sum. */
struct posted {
    int64_t units, limited, below;
};

static struct posted posted_of(const struct part *first)
{
    struct posted sum = {0, 0, 0};
    for (const struct part *part = first; part; part = part->next) {
        sum.units = add_clamped(sum.units, part->units);
        sum.limited = add_clamped(sum.limited, part->limited);
        sum.below = add_clamped(sum.below, funding_below(sink_content(&part->funding)));
    }
    return sum;
}

static enum account_fault post(const struct resolution *resolution, struct part *first, int64_t beyond)
{
    struct sink *changes = &resolution->decision->changes;
    /* What has recurred is written down as it was before the reservation ends: its end takes from that. */
    credits_emit_turned(&first->view, changes);
    enum account_fault fault = draw(resolution, first, beyond);
    const struct posted posted = posted_of(first);
    if (fault == ACCOUNT_FAULT_NONE && posted.units > 0) fault = post_units(resolution, first, posted.limited);
    int64_t made_us = resolution->is_held ? first->hold->made_us : resolution->account->now_us;
    billing_credit(resolution->account, &first->view, made_us,
                   max_i64(posted.units - posted.limited - posted.below, 0));
    int64_t more = max_i64(more_of_rates(resolution, first), 0);
    bool rates_follow = more > 0 && first->demand.rates.count > 0;
    if (fault == ACCOUNT_FAULT_NONE) {
        fault = rates_follow ? emit_but_rates(resolution->account, &first->view, changes)
                             : emit_resource(resolution->account, &first->view, changes);
    }
    if (fault == ACCOUNT_FAULT_NONE) fault = rolling_post(&first->demand, posted.limited, changes);
    return fault == ACCOUNT_FAULT_NONE ? charge_rates(resolution, first, more) : fault;
}

/* ---- one resource ---------------------------------------------------------------------------------------- */

/* Brings the resource to now. One that the plan has lost meanwhile has no positions: its windows are posted to, its
 * rates are not. */
static enum account_fault settle(const struct resolution *resolution, struct part *first)
{
    struct account_view *account = resolution->account;
    resource_view_begin(account, first->resource, &first->view);
    enum account_fault fault = resource_view_settle(account, &first->view, &resolution->decision->changes);
    first->demand.positions_count = 0;
    first->demand.rates.count = 0;
    bool granted = fault == ACCOUNT_FAULT_NONE && first->view.entitlement;
    if (granted) demand_begin(&first->demand, account, &first->view, 1);
    return fault;
}

/* The units that every part posts, and how many of all are beyond what is held. */
static enum account_fault find_units(const struct resolution *resolution, struct part *first, int64_t *beyond)
{
    *beyond = 0;
    for (struct part *part = first; part; part = part->next) {
        bool fits = multiply_checked(part->amount, part->hold->units / part->hold->amount, &part->units);
        if (!fits || !add_checked(*beyond, beyond_of(resolution, part), beyond)) return ACCOUNT_FAULT_OVERFLOW;
    }
    return ACCOUNT_FAULT_NONE;
}

/* What the resource leaves is the answer about each of its parts; each that posts was charged where all of them are. */
static void answer_parts(struct part *first)
{
    const struct entitlement *entitlement = first->view.entitlement;
    struct demand *demand = &first->demand;
    demand_find_capacities(demand); /* a grace counts from when the units were held: it may have passed */
    demand->taken = true;           /* so that rolling windows count what they have just been given */
    demand->limited = posted_of(first).limited;
    int64_t remaining = entitlement ? demand_remaining(demand) : 0, funds = entitlement ? demand_funds(demand) : 0;
    const struct charged charged = first->charged;
    for (struct part *part = first; part; part = part->next) {
        part->remaining = remaining;
        part->credits = funds / (part->hold->units / part->hold->amount);
        part->charged = charged;
        if (part->units == 0) part->charged.count = 0;
    }
}

/* Which parts of which reservation these were is written down behind all of them. */
static enum account_fault resolve_resource(const struct resolution *resolution, struct part *first)
{
    int64_t beyond;
    enum account_fault fault = find_units(resolution, first, &beyond);
    bool draws_beyond = resolution->is_held && beyond > 0;
    resolution->account->ignored = resolution->is_held && !draws_beyond ? resolution->stored : NULL;
    if (fault == ACCOUNT_FAULT_NONE) fault = settle(resolution, first);
    if (fault == ACCOUNT_FAULT_NONE) fault = post(resolution, first, beyond);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    release_rates(resolution, first);
    answer_parts(first);
    return ACCOUNT_FAULT_NONE;
}

/* Threads the parts of each resource together. */
static void link_parts(const struct resolution *resolution)
{
    for (uint32_t i = 0; i < resolution->count; i++) {
        struct part *part = &resolution->parts[i], *last = resolution->parts;
        while (last < part && !bytes_equal(last->resource, part->resource)) last++;
        part->first = last;
        part->next = NULL;
        if (part->first == part) continue;
        while (last->next) last = last->next;
        last->next = part;
    }
}

enum account_fault resolution_resolve_parts(const struct resolution *resolution)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    link_parts(resolution);
    for (uint32_t i = 0; i < resolution->count && fault == ACCOUNT_FAULT_NONE; i++) {
        struct part *part = &resolution->parts[i];
        if (part->first == part) fault = resolve_resource(resolution, part);
    }
    return fault;
}

void resolution_emit_balances(const struct resolution *resolution)
{
    for (uint32_t i = 0; i < resolution->count; i++) {
        const struct part *part = &resolution->parts[i];
        if (part->first == part) credits_emit_posted(&part->view, &resolution->decision->changes);
    }
}

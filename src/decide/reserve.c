/* Decides reservations; see reserve.h. */
#include "quota/decide/reserve.h"
#include "quota/base/checked.h"
#include "quota/decide/admission.h"
#include "quota/decide/backdate.h"
#include "quota/view/credits_view.h"

/* ---- ids ------------------------------------------------------------------------------------------------- */

static enum account_fault outcome_fault(enum hold_outcome outcome)
{
    switch (outcome) {
    case HOLD_COMMITTED: return ACCOUNT_FAULT_COMMITTED;
    case HOLD_RELEASED: return ACCOUNT_FAULT_RELEASED;
    default: return ACCOUNT_FAULT_RAN_OUT;
    }
}

/* What became of a reservation that lives no more; false where nothing is remembered of it. `stored`: what the account
 * has under this id, NULL = nothing. */
static bool find_outcome(const struct account_view *view, struct bytes id, const struct stored_hold *stored,
                         struct record_hold *record)
{
    struct record_key key;
    struct idempotency_entry entry;
    if (stored) { /* it has ended, and awaits its sweep */
        const struct hold *hold = &stored->hold;
        *record = (struct record_hold){.outcome = HOLD_EXPIRED,
                                       .slot = hold->slot,
                                       .amount = hold->amount,
                                       .cost = hold->units / hold->amount,
                                       .made_us = hold->made_us};
        return view->now_us < hold->expires_us + hold->kept_us;
    }
    record_key_make(&key, RECORD_HOLD, RECORD_NO_SLOT, id);
    return idempotency_find(account_idempotency(view->account), record_key_bytes(&key), view->now_us, &entry) &&
           record_hold_decode(entry.body, record);
}

/* Has it not ended? NULL does not live. */
static bool hold_lives(const struct account_view *view, const struct stored_hold *stored)
{
    return stored && view->now_us < stored->hold.expires_us;
}

/* ---- reserving ------------------------------------------------------------------------------------------- */

static enum account_fault reserve_again(const struct account_view *view, const struct reserve_request *request,
                                        const struct stored_hold *stored, struct account_decision *decision)
{
    const struct hold *hold = &stored->hold;
    bool same = account_slot(view->account, request->resource) == (int32_t)hold->slot &&
                request->amount == hold->requested && (uint8_t)request->mode == hold->mode;
    if (!same) return ACCOUNT_FAULT_CONFLICT;
    decision->result.consumed.verdicts[0] = hold->verdict;
    decision->result.consumed.count = 1;
    decision->replayed = true;
    return ACCOUNT_FAULT_NONE;
}

/* Is there room for one more? What has ended does not count. */
static enum account_fault bounds_fault(const struct account_view *account, const struct resource_view *view,
                                       struct account_decision *decision)
{
    int64_t most = view->entitlement->holds_max;
    decision->fault_limit = most;
    if (most >= 0 && resource_view_holds_count(account, view) >= most) return ACCOUNT_FAULT_HOLDS;
    if (account_live_holds(account->account, account->now_us) >= ACCOUNT_HOLDS_MAX) return ACCOUNT_FAULT_HOLDS_BOUND;
    return account_view_has_room(account) ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_RECORDS;
}

static int64_t expires_us(const struct account_view *account, const struct reserve_request *request)
{
    return min_i64(account->now_us + request->ttl_us, INSTANT_MAX_US);
}

static void emit_hold(const struct account_view *account, const struct demand *demand,
                      const struct reserve_request *request, struct account_decision *decision)
{
    struct change change = {.kind = CHANGE_HOLD,
                            .bytes = request->id,
                            .hold = {.slot = (uint32_t)demand->view->index,
                                     .amount = demand->granted,
                                     .units = demand->units,
                                     .made_us = account->now_us,
                                     .expires_us = expires_us(account, request),
                                     .kept_us = min_i64(account->host->kept_us, DURATION_MAX_US),
                                     .mode = (uint8_t)request->mode,
                                     .requested = request->amount,
                                     .verdict = decision->result.consumed.verdicts[0],
                                     .funding = demand_funding(demand)}};
    change_encode(&change, &decision->changes);
    decision->adds_record = true;
}

/* A denial that begins the bucket of a RATE. */
static enum account_fault emit_begun(struct demand *demand, const struct sink *meanwhile)
{
    struct sink *changes = demand->account->effects;
    sink_raw(changes, meanwhile->data, meanwhile->size);
    enum account_fault fault = emit_but_rates(demand->account, demand->view, changes);
    if (fault == ACCOUNT_FAULT_NONE) demand_emit_begun(demand);
    return fault;
}

/* A reservation that grants alone pay for counts nothing in the cycles it is made in, so each of them would end without
 * a trace where nothing else was used. But what a commit posts beyond it belongs there. A refund line makes them be
 * remembered; nothing was consumed in front of it, and what is consumed from now on is of another generation. */
static void keep_cycles(const struct demand *demand)
{
    struct resource_view *view = demand->view;
    bool kept = false;
    for (uint32_t i = 0; demand->limited == 0 && i < view->windows_count; i++) {
        bool leaves_no_trace = view->fresh[i] || view->unused[i];
        if (!leaves_no_trace || !entitlement_limit(view->entitlement, view->windows[i].period)) continue;
        refund_lines_seal(&view->windows[i].lines, view->generation);
        kept = true;
    }
    if (kept) view->generation++;
}

/* Holds units of a settled resource, if they are admitted. `meanwhile`: the changes that time has made. */
static enum account_fault hold_units(struct account_view *account, struct resource_view *view,
                                     const struct reserve_request *request, const struct sink *meanwhile,
                                     struct account_decision *decision)
{
    struct demand demand;
    struct admission admission = {.demands = &demand, .count = 1, .mode = request->mode};
    const struct admission_item item = {0, 1};
    struct verdict *verdict = &decision->result.consumed.verdicts[0];
    demand_begin(&demand, account, view, request->amount);
    demand_hold(&demand, expires_us(account, request));
    enum account_fault fault = admission_peek(&admission, &item, 1);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    decision->denied = !admission.admitted;
    decision->result.consumed.count = 1;
    if (admission.admitted) {
        sink_raw(&decision->changes, meanwhile->data, meanwhile->size);
        keep_cycles(&demand);
        fault = admission_take(&admission);
    }
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    admission_verdict(&admission, &item, verdict);
    if (decision->denied) decision_add_cause(decision, view, verdict);
    verdict->wait_us = account_view_wait_us(account, verdict->wait_us);
    verdict->reset_us = account_view_wait_us(account, verdict->reset_us);
    if (!decision->denied) emit_hold(account, &demand, request, decision);
    if (decision->denied && demand_begins_rates(&demand)) return emit_begun(&demand, meanwhile);
    return ACCOUNT_FAULT_NONE;
}

/* Brings the resource to now and decides. */
static enum account_fault reserve_new(struct account_view *account, const struct reserve_request *request,
                                      struct account_decision *decision)
{
    struct resource_view view;
    char stack_buffer[256];
    struct sink meanwhile = sink_init(stack_buffer, sizeof(stack_buffer));
    enum account_fault fault = emit_account(account, (struct resource_names){&request->resource, 1}, &meanwhile);
    if (fault == ACCOUNT_FAULT_NONE) {
        resource_view_begin(account, request->resource, &view);
        fault = resource_view_settle(account, &view, &meanwhile);
    }
    if (fault == ACCOUNT_FAULT_NONE && !view.entitlement) fault = ACCOUNT_FAULT_RESOURCE;
    if (fault == ACCOUNT_FAULT_NONE) fault = bounds_fault(account, &view, decision);
    if (fault == ACCOUNT_FAULT_NONE) fault = hold_units(account, &view, request, &meanwhile, decision);
    sink_free(&meanwhile);
    return fault;
}

static enum account_fault reserve(struct account_view *account, const struct reserve_request *request,
                                  struct account_decision *decision)
{
    struct record_hold record;
    const struct stored_hold *stored = account_hold(account->account, request->id);
    decision->fault_subject = request->id;
    if (hold_lives(account, stored)) return reserve_again(account, request, stored, decision);
    if (find_outcome(account, request->id, stored, &record)) return outcome_fault(record.outcome);
    enum account_fault fault = account_view_refusal(account);
    decision->fault_subject = request->resource;
    return fault == ACCOUNT_FAULT_NONE ? reserve_new(account, request, decision) : fault;
}

void reserve_decide(const struct account *account, const struct account_host *host,
                    const struct reserve_request *request, struct account_decision *decision)
{
    struct account_view view;
    account_decision_begin(decision);
    enum account_fault fault = account_view_begin(&view, account, host, request->now_us);
    decision->applied_at_us = view.now_us;
    view.effects = &decision->changes;
    if (fault == ACCOUNT_FAULT_NONE) fault = reserve(&view, request, decision);
    if (fault != ACCOUNT_FAULT_NONE) account_decision_refuse(decision, &view, fault);
    account_view_end(&view);
}

/* ---- resolving ------------------------------------------------------------------------------------------- */

/* A reservation on its way to its end. */
struct resolution {
    struct account_view *account;
    struct resource_view view;
    struct demand demand;
    struct account_decision *decision;
    struct bytes id;
    struct hold hold;
    int64_t amount; /* posted */
    struct charged charged;
    struct sink funding;              /* what paid for what is posted; empty = the limits alone */
    int64_t limited;                  /* of the posted units those that the limits count */
    bool charges_all;                 /* every window that will be stored, and no closed cycle */
    bool is_held;                     /* false: it has expired, and FORCE posts it all the same */
    const struct stored_hold *stored; /* as it stands in the account, or awaits its sweep; NULL = a record knows it */
};

/* Posts units to the running windows: those in which the reservation was made, and those of LIMITs that have joined
 * since. Closed cycles are corrected. */
static enum account_fault post_units(struct resolution *resolution, int64_t units)
{
    struct resource_view *view = &resolution->view;
    struct sink *changes = &resolution->decision->changes;
    int64_t made_us = resolution->is_held ? resolution->hold.made_us : resolution->account->now_us;
    resolution->charges_all = true;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        bool ran = window->start_us <= made_us && made_us < window->end_us;
        bool counts = entitlement_limit(view->entitlement, window->period) != NULL;
        /* A LIMIT that came after the reservation was made counts its units from the commit on. */
        bool joined = !ran && counts && backdate_has_joined(view, window->period, made_us, changes);
        bool charges = ran ? counts || !view->unused[i] : joined;
        resolution->charges_all = resolution->charges_all && charges;
        if (!charges) continue;
        int64_t at_us = ran ? made_us : resolution->account->now_us;
        bool fits = counts ? window_charge(window, units, 0, at_us) : window_count(window, units, 0);
        if (!fits) return ACCOUNT_FAULT_OVERFLOW;
        if (counts) window_warn(window, view->entitlement);
        charged_add(&resolution->charged, window->period);
    }
    uint32_t running = resolution->charged.count;
    backdate_charge(resolution->account, view, made_us, units, &resolution->charged, changes);
    resolution->charges_all = resolution->charges_all && resolution->charged.count == running;
    return ACCOUNT_FAULT_NONE;
}

/* What is not posted goes back to the rates, as far as they remember it; LIMITs and rolling windows held it only. */
static void release_rates(struct resolution *resolution, int64_t units)
{
    struct taken_from from = {.taken_us = resolution->hold.made_us, .logged_us = resolution->hold.made_us};
    for (uint32_t i = 0; units > 0 && i < resolution->demand.positions_count; i++) {
        struct position *position = &resolution->demand.positions[i];
        if (position->meter != &meter_rate) continue;
        position->meter->give_back(position, units, &from, &resolution->decision->changes);
    }
}

/* What FORCE posts beyond the reservation is used of the rates, too. */
static enum account_fault charge_rates(struct resolution *resolution, int64_t units)
{
    if (units <= 0 || resolution->demand.rates.count == 0) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = rates_check(&resolution->demand, units, MODE_FORCE);
    for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && i < resolution->demand.positions_count; i++) {
        const struct position *position = &resolution->demand.positions[i];
        if (position->meter == &meter_rate) position->meter->emit(position, units, &resolution->decision->changes);
    }
    return fault;
}

static void emit_resolved(const struct resolution *resolution)
{
    struct change change = {.kind = resolution->funding.size > 0 ? CHANGE_HOLD_FUNDED : CHANGE_HOLD_RESOLVED,
                            .bytes = resolution->id,
                            .amount = resolution->amount,
                            .remaining = resolution->decision->result.resolved.remaining,
                            .charged = resolution->charged,
                            .body = sink_content(&resolution->funding)};
    if (resolution->charges_all) change.charged.count = CHARGED_STORED;
    change_encode(&change, &resolution->decision->changes);
}

/* An expired reservation that FORCE has posted: its record says so from now on, once. Nothing was held any more, so
 * nothing is released, also when the same command is answered again. */
static void emit_resolved_late(const struct resolution *resolution)
{
    struct record_key key;
    struct sink body = {0};
    struct record_hold record = {.outcome = HOLD_COMMITTED,
                                 .slot = resolution->hold.slot,
                                 .amount = min_i64(resolution->hold.amount, resolution->amount),
                                 .posted = resolution->amount,
                                 .cost = resolution->hold.units / resolution->hold.amount,
                                 .made_us = resolution->account->now_us,
                                 .remaining = resolution->decision->result.resolved.remaining,
                                 .generation = resolution->view.generation,
                                 .charged = resolution->charged,
                                 .funding = sink_content(&resolution->funding)};
    record_hold_encode(&record, &body);
    record_key_make(&key, RECORD_HOLD, RECORD_NO_SLOT, resolution->id);
    int64_t kept_us = resolution->account->host->kept_us;
    struct change change = {.kind = CHANGE_RECORD,
                            .bytes = record_key_bytes(&key),
                            .body = {body.data, body.size},
                            .expires_us = min_i64(resolution->account->now_us + kept_us, INSTANT_MAX_US)};
    change_encode(&change, &resolution->decision->changes);
    sink_free(&body);
}

/* What the reservation held of limits and grants is posted as far as the commit goes. */
static void draw_held(struct resolution *resolution, int64_t units)
{
    const struct hold *hold = &resolution->hold;
    int64_t posted = min_i64(units, hold->units);
    resolution->limited = posted;
    if (hold->funding.size == 0) return;
    funding_cut(hold->funding, hold->units, 0, posted, &resolution->funding);
    resolution->limited = posted > 0 ? funding_of_limits(sink_content(&resolution->funding), posted) : 0;
    credits_post(resolution->account, &resolution->view, hold, posted);
}

/* Brings the resource to now. One that the plan has lost meanwhile has no positions: its windows are posted to, its
 * rates are not. */
static enum account_fault settle(struct resolution *resolution)
{
    struct account_view *account = resolution->account;
    struct sink *changes = &resolution->decision->changes;
    struct bytes resource = interned_string_bytes(account->account->slots[resolution->hold.slot].resource);
    enum account_fault fault = emit_account(account, (struct resource_names){&resource, 1}, changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    resource_view_begin(account, resource, &resolution->view);
    fault = resource_view_settle(account, &resolution->view, changes);
    resolution->demand.positions_count = 0;
    resolution->demand.rates.count = 0;
    bool granted = fault == ACCOUNT_FAULT_NONE && resolution->view.entitlement;
    if (granted) demand_begin(&resolution->demand, account, &resolution->view, 1);
    return fault;
}

/* What FORCE posts beyond the reservation is drawn like any consumption, while the reservation still holds what it
 * holds; what has no place is counted beyond. Then the reservation holds no more. */
static enum account_fault draw_beyond(struct resolution *resolution, int64_t units, struct bytes *funding)
{
    struct demand *demand = &resolution->demand;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    bool granted = resolution->view.entitlement != NULL;
    if (granted) fault = admission_force(demand, units);
    resolution->limited = granted ? demand->limited : units;
    if (granted) *funding = demand_funding(demand);
    resolution->account->ignored = resolution->is_held ? resolution->stored : NULL;
    if (fault == ACCOUNT_FAULT_NONE) fault = credits_settle_again(resolution->account, &resolution->view);
    if (granted) demand_begin(demand, resolution->account, &resolution->view, 1);
    return fault;
}

/* Everything that paid, in the order in which it was drawn. */
static enum account_fault join_funding(struct resolution *resolution, struct bytes beyond, int64_t units)
{
    struct sink *funding = &resolution->funding;
    int64_t held = resolution->is_held ? resolution->hold.units : 0;
    if (units <= 0 || (funding->size == 0 && beyond.size == 0)) return ACCOUNT_FAULT_NONE;
    if (funding->size == 0) funding_add(funding, FUNDED_BY_LIMITS, held);
    if (beyond.size == 0) funding_add(funding, FUNDED_BY_LIMITS, units);
    sink_raw(funding, beyond.data, beyond.size);
    bool fits = funding->size <= IDEMPOTENCY_BODY_MAX / 2; /* beside what else the record says */
    return fits ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_FUNDING;
}

/* Finds out what is posted to limits and grants: what is held, and with FORCE what is beyond. */
static enum account_fault draw(struct resolution *resolution, int64_t units)
{
    struct bytes funding = {"", 0};
    int64_t beyond = units - (resolution->is_held ? resolution->hold.units : 0), limited;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    resolution->limited = 0;
    if (beyond > 0) fault = draw_beyond(resolution, beyond, &funding);
    limited = resolution->limited;
    if (resolution->is_held) draw_held(resolution, units);
    if (beyond > 0) credits_draw(resolution->account, &resolution->view, funding);
    if (beyond > 0 && resolution->is_held) resolution->limited = add_clamped(resolution->limited, limited);
    return fault == ACCOUNT_FAULT_NONE ? join_funding(resolution, funding, beyond) : fault;
}

/* Posts units. */
static enum account_fault post(struct resolution *resolution, int64_t units)
{
    struct sink *changes = &resolution->decision->changes;
    int64_t beyond = units - (resolution->is_held ? resolution->hold.units : 0);
    /* What has recurred is written down as it was before the reservation ends: its end takes from that. */
    credits_emit_turned(&resolution->view, changes);
    enum account_fault fault = draw(resolution, units);
    if (fault == ACCOUNT_FAULT_NONE && units > 0) fault = post_units(resolution, resolution->limited);
    bool rates_follow = beyond > 0 && resolution->demand.rates.count > 0;
    if (fault == ACCOUNT_FAULT_NONE) {
        fault = rates_follow ? emit_but_rates(resolution->account, &resolution->view, changes)
                             : emit_resource(resolution->account, &resolution->view, changes);
    }
    if (fault == ACCOUNT_FAULT_NONE) fault = rolling_post(&resolution->demand, resolution->limited, changes);
    return fault == ACCOUNT_FAULT_NONE ? charge_rates(resolution, beyond) : fault;
}

/* The commands above in one: posts, releases, writes down. */
static enum account_fault resolve(struct resolution *resolution)
{
    struct account_decision *decision = resolution->decision;
    struct demand *demand = &resolution->demand;
    int64_t cost = resolution->hold.units / resolution->hold.amount, units;
    if (!multiply_checked(resolution->amount, cost, &units)) return ACCOUNT_FAULT_OVERFLOW;
    bool draws_beyond = resolution->is_held && units > resolution->hold.units;
    resolution->account->ignored = resolution->is_held && !draws_beyond ? resolution->stored : NULL;
    enum account_fault fault = settle(resolution);
    if (fault == ACCOUNT_FAULT_NONE) fault = post(resolution, units);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (resolution->is_held) release_rates(resolution, resolution->hold.units - units);
    demand_find_capacities(demand); /* a grace counts from when the units were held: it may have passed */
    demand->taken = true;           /* so that rolling windows count what they have just been given */
    demand->limited = resolution->limited;
    int64_t held = resolution->is_held ? resolution->hold.amount : 0;
    decision->result.resolved.posted = resolution->amount;
    decision->result.resolved.released = max_i64(held - resolution->amount, 0);
    decision->result.resolved.remaining = resolution->view.entitlement ? demand_remaining(demand) : 0;
    if (resolution->is_held || resolution->stored) emit_resolved(resolution);
    credits_emit_posted(&resolution->view, &decision->changes);
    if (!resolution->is_held) emit_resolved_late(resolution);
    return ACCOUNT_FAULT_NONE;
}

/* A reservation that has been resolved: the same command is answered the same. */
static enum account_fault resolve_again(const struct record_hold *record, const struct commit_request *request,
                                        struct account_decision *decision)
{
    int64_t amount = request->amount == COMMIT_ALL ? record->amount : request->amount;
    bool committed = record->outcome == HOLD_COMMITTED && amount > 0 && amount == record->posted;
    bool released = record->outcome == HOLD_RELEASED && amount == 0;
    if (!committed && !released) return outcome_fault(record->outcome);
    decision->replayed = true;
    decision->result.resolved.posted = record->posted;
    decision->result.resolved.released = max_i64(record->amount - record->posted, 0);
    decision->result.resolved.remaining = record->remaining;
    return ACCOUNT_FAULT_NONE;
}

static enum account_fault commit(struct account_view *account, const struct commit_request *request,
                                 struct account_decision *decision)
{
    struct resolution resolution;
    struct record_hold record;
    const struct stored_hold *stored = account_hold(account->account, request->id);
    resolution.is_held = hold_lives(account, stored);
    resolution.stored = stored;
    resolution.account = account;
    resolution.decision = decision;
    resolution.id = request->id;
    resolution.charged.count = 0;
    resolution.charges_all = false;
    if (!resolution.is_held) {
        if (!find_outcome(account, request->id, stored, &record)) return ACCOUNT_FAULT_NO_SUCH_ID;
        bool late = record.outcome == HOLD_EXPIRED && request->force && request->amount > 0;
        if (!late) return resolve_again(&record, request, decision);
        resolution.hold = (struct hold){.slot = record.slot,
                                        .amount = record.amount,
                                        .units = record.amount * record.cost,
                                        .made_us = record.made_us,
                                        .funding = {"", 0}};
    } else {
        resolution.hold = stored->hold;
    }
    decision->fault_limit = resolution.hold.amount;
    resolution.amount = request->amount == COMMIT_ALL ? resolution.hold.amount : request->amount;
    if (resolution.amount > resolution.hold.amount && !request->force) return ACCOUNT_FAULT_BEYOND_HOLD;
    char stack_buffer[128];
    resolution.funding = sink_init(stack_buffer, sizeof(stack_buffer));
    enum account_fault fault = resolve(&resolution);
    sink_free(&resolution.funding);
    return fault;
}

/* Begins a command about a reservation of an account that is there, and not closed. */
static enum account_fault begin(struct account_view *view, const struct account *account,
                                const struct account_host *host, struct bytes id, int64_t now_us,
                                struct account_decision *decision)
{
    account_decision_begin(decision);
    decision->fault_subject = id;
    account_view_none(view);
    if (!account) return ACCOUNT_FAULT_MISSING;
    enum account_fault fault = account_view_begin(view, account, host, now_us);
    decision->applied_at_us = view->now_us;
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    return view->status.state == ACCOUNT_CLOSED ? ACCOUNT_FAULT_CLOSED : ACCOUNT_FAULT_NONE;
}

void commit_decide(const struct account *account, const struct account_host *host, const struct commit_request *request,
                   struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = begin(&view, account, host, request->id, request->now_us, decision);
    if (fault == ACCOUNT_FAULT_NONE) fault = commit(&view, request, decision);
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, request->id);
    account_view_end(&view);
}

void extend_decide(const struct account *account, const struct account_host *host, struct bytes id, int64_t ttl_us,
                   int64_t now_us, struct account_decision *decision)
{
    struct account_view view;
    struct record_hold record;
    enum account_fault fault = begin(&view, account, host, id, now_us, decision);
    const struct stored_hold *stored = fault == ACCOUNT_FAULT_NONE ? account_hold(account, id) : NULL;
    if (fault == ACCOUNT_FAULT_NONE && !hold_lives(&view, stored)) {
        bool known = find_outcome(&view, id, stored, &record);
        fault = known ? outcome_fault(record.outcome) : ACCOUNT_FAULT_NO_SUCH_ID;
    }
    if (fault == ACCOUNT_FAULT_NONE) fault = emit_account(&view, NO_RESOURCES, &decision->changes);
    if (fault == ACCOUNT_FAULT_NONE) {
        int64_t expires_us = min_i64(view.now_us + ttl_us, INSTANT_MAX_US);
        struct change change = {.kind = CHANGE_HOLD_EXTENDED, .bytes = id, .expires_us = expires_us};
        change_encode(&change, &decision->changes);
        decision->result.expires_us = expires_us;
    } else {
        account_decision_fail(decision, fault, id);
    }
    account_view_end(&view);
}

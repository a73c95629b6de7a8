/* Decides how reservations end; see commit.h. */
#include "quota/decide/commit.h"
#include "quota/base/checked.h"
#include "quota/decide/admission.h"
#include "quota/decide/backdate.h"
#include "quota/decide/reservation.h"
#include "quota/view/credits_view.h"

/* One part of a reservation on its way to its end. */
struct part {
    const struct hold *hold; /* as it stands in the account, or `expired` */
    struct hold expired;     /* what is known of one that FORCE posts late */
    int64_t amount;          /* posted */
    int64_t remaining;
    struct resource_view view;
    struct demand demand;
    struct charged charged;
    struct sink funding; /* what paid for what is posted; empty = the limits alone */
    char stack_buffer[128];
    int64_t limited;  /* of the posted units those that the limits count */
    bool charges_all; /* every window that will be stored, and no closed cycle */
};

struct resolution {
    struct account_view *account;
    struct account_decision *decision;
    const struct commit_request *request;
    bool is_held;                     /* false: it has expired, and FORCE posts it all the same */
    const struct stored_hold *stored; /* as it stands in the account, or awaits its sweep; NULL = a record knows it */
    uint32_t count;
    struct part *parts; /* of one the caller's; several stand on the heap */
};

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
    bool rates_follow = beyond > 0 && part->demand.rates.count > 0;
    if (fault == ACCOUNT_FAULT_NONE) {
        fault = rates_follow ? emit_but_rates(resolution->account, &part->view, changes)
                             : emit_resource(resolution->account, &part->view, changes);
    }
    if (fault == ACCOUNT_FAULT_NONE) fault = rolling_post(&part->demand, part->limited, changes);
    return fault == ACCOUNT_FAULT_NONE ? charge_rates(resolution, part, beyond) : fault;
}

/* ---- one part -------------------------------------------------------------------------------------------- */

static struct bytes resource_of(const struct resolution *resolution, const struct part *part)
{
    return interned_string_bytes(resolution->account->account->slots[part->hold->slot].resource);
}

/* Brings the resource to now. One that the plan has lost meanwhile has no positions: its windows are posted to, its
 * rates are not. */
static enum account_fault settle(const struct resolution *resolution, struct part *part)
{
    struct account_view *account = resolution->account;
    resource_view_begin(account, resource_of(resolution, part), &part->view);
    enum account_fault fault = resource_view_settle(account, &part->view, &resolution->decision->changes);
    part->demand.positions_count = 0;
    part->demand.rates.count = 0;
    bool granted = fault == ACCOUNT_FAULT_NONE && part->view.entitlement;
    if (granted) demand_begin(&part->demand, account, &part->view, 1);
    return fault;
}

/* Posts and releases; which part of which reservation that was is written down behind all of them. */
static enum account_fault resolve_part(const struct resolution *resolution, struct part *part)
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
    return ACCOUNT_FAULT_NONE;
}

/* ---- writing down ---------------------------------------------------------------------------------------- */

static void emit_resolved(const struct resolution *resolution)
{
    const struct part *part = resolution->parts;
    struct change change; /* what its kind does not name means nothing; there is much of it */
    change.kind = part->funding.size > 0 ? CHANGE_HOLD_FUNDED : CHANGE_HOLD_RESOLVED;
    change.bytes = resolution->request->id;
    change.amount = part->amount;
    change.remaining = part->remaining;
    if (part->charges_all) {
        change.charged.count = CHARGED_STORED;
    } else {
        change.charged = part->charged;
    }
    change.body = sink_content(&part->funding);
    change_encode(&change, &resolution->decision->changes);
}

/* Of an expired reservation that FORCE has posted nothing was held any more: nothing is released, also when the same
 * command is answered again. */
static struct record_hold part_record(const struct resolution *resolution, const struct part *part,
                                      enum hold_outcome outcome)
{
    bool is_held = resolution->is_held;
    return (struct record_hold){.outcome = outcome,
                                .slot = part->hold->slot,
                                .amount = is_held ? part->hold->amount : min_i64(part->hold->amount, part->amount),
                                .posted = part->amount,
                                .cost = part->hold->units / part->hold->amount,
                                .made_us = is_held ? part->hold->made_us : resolution->account->now_us,
                                .remaining = part->remaining,
                                .generation = part->view.generation,
                                .charged = part->charged,
                                .funding = sink_content(&part->funding),
                                .item = part->hold->item};
}

static void write_record(const struct resolution *resolution, struct sink *body)
{
    struct record_hold records[HOLD_PARTS_MAX]; /* large: only those that there are mean anything */
    enum hold_outcome outcome = HOLD_RELEASED;
    for (uint32_t i = 0; i < resolution->count; i++)
        outcome = resolution->parts[i].amount > 0 ? HOLD_COMMITTED : outcome;
    for (uint32_t i = 0; i < resolution->count; i++)
        records[i] = part_record(resolution, &resolution->parts[i], outcome);
    record_hold_encode(records, resolution->count, (struct bytes){"", 0}, body);
}

static void emit_record(const struct resolution *resolution, struct bytes body)
{
    struct record_key key;
    record_key_make(&key, RECORD_HOLD, RECORD_NO_SLOT, resolution->request->id);
    int64_t kept_us = resolution->account->host->kept_us;
    struct change change = {.kind = CHANGE_RECORD,
                            .bytes = record_key_bytes(&key),
                            .body = body,
                            .expires_us = min_i64(resolution->account->now_us + kept_us, INSTANT_MAX_US)};
    change_encode(&change, &resolution->decision->changes);
}

/* Several parts end by one change, which says the record itself. */
static enum account_fault emit_resolved_parts(const struct resolution *resolution)
{
    struct sink body = {0};
    write_record(resolution, &body);
    bool fits = body.size <= IDEMPOTENCY_BODY_MAX;
    struct change change = {
        .kind = CHANGE_HOLDS_RESOLVED, .bytes = resolution->request->id, .body = sink_content(&body)};
    if (fits && resolution->stored) change_encode(&change, &resolution->decision->changes);
    if (fits && !resolution->stored) emit_record(resolution, sink_content(&body));
    sink_free(&body);
    return fits ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_FUNDING;
}

/* The end of the reservation, then the balances of grants as it leaves them; and of one that has expired, which FORCE
 * has posted, the record of that. */
static enum account_fault emit_end(const struct resolution *resolution)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    bool is_single = resolution->count == 1;
    if (!is_single) fault = emit_resolved_parts(resolution);
    if (is_single && resolution->stored) emit_resolved(resolution);
    for (uint32_t i = 0; i < resolution->count; i++)
        credits_emit_posted(&resolution->parts[i].view, &resolution->decision->changes);
    if (!is_single || resolution->is_held) return fault;
    struct sink body = {0};
    write_record(resolution, &body);
    emit_record(resolution, sink_content(&body));
    sink_free(&body);
    return fault;
}

/* ---- a reservation --------------------------------------------------------------------------------------- */

/* What the request posts of a part: an amount for each item of the reservation. */
static int64_t amount_of(const struct commit_request *request, uint32_t item, int64_t held)
{
    if (request->release) return 0;
    return request->count == 0 ? held : request->amounts[item];
}

static void answer(struct account_decision *decision, uint32_t item, int64_t posted, int64_t held, int64_t remaining)
{
    if (item < decision->result.resolved.count) { /* the item's first part answers for it, but for what is left */
        struct resolved *resolved = &decision->result.resolved.items[item];
        if (amount_is_smaller(remaining, resolved->remaining)) resolved->remaining = remaining;
        return;
    }
    decision->result.resolved.items[decision->result.resolved.count++] =
        (struct resolved){.posted = posted, .released = max_i64(held - posted, 0), .remaining = remaining};
}

/* A reservation that has been resolved: the same command is answered the same. */
static enum account_fault resolve_again(const struct record_hold *parts, uint32_t count,
                                        const struct commit_request *request, struct account_decision *decision)
{
    enum hold_outcome outcome = parts[0].outcome;
    bool same = request->count == 0 || request->count == parts[count - 1].item + 1, posts = false;
    for (uint32_t i = 0; same && i < count; i++) {
        int64_t amount = amount_of(request, parts[i].item, parts[i].amount);
        same = amount == parts[i].posted;
        posts = posts || amount > 0;
    }
    if (!same || outcome != (posts ? HOLD_COMMITTED : HOLD_RELEASED)) return reservation_fault(outcome);
    decision->replayed = true;
    for (uint32_t i = 0; i < count; i++)
        answer(decision, parts[i].item, parts[i].posted, parts[i].amount, parts[i].remaining);
    return ACCOUNT_FAULT_NONE;
}

/* Do the amounts fit the parts? `amount` of each is found on the way. */
static enum account_fault amounts_fault(const struct resolution *resolution)
{
    const struct commit_request *request = resolution->request;
    struct account_decision *decision = resolution->decision;
    uint32_t items = 0;
    for (uint32_t i = 0; i < resolution->count; i++) items = resolution->parts[i].hold->item + 1u;
    decision->fault_limit = items;
    if (request->count > 0 && request->count != items) return ACCOUNT_FAULT_AMOUNTS;
    for (uint32_t i = 0; i < resolution->count; i++) {
        struct part *part = &resolution->parts[i];
        part->amount = amount_of(request, part->hold->item, part->hold->amount);
        if (part->amount <= part->hold->amount || request->force) continue;
        decision->fault_limit = part->hold->amount;
        if (items > 1) decision->fault_subject = resource_of(resolution, part);
        return items > 1 ? ACCOUNT_FAULT_BEYOND_PART : ACCOUNT_FAULT_BEYOND_HOLD;
    }
    return ACCOUNT_FAULT_NONE;
}

static enum account_fault resolve(const struct resolution *resolution)
{
    struct account_decision *decision = resolution->decision;
    struct bytes names[HOLD_PARTS_MAX];
    enum account_fault fault = amounts_fault(resolution);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    for (uint32_t i = 0; i < resolution->count; i++) names[i] = resource_of(resolution, &resolution->parts[i]);
    fault = emit_account(resolution->account, (struct resource_names){names, resolution->count}, &decision->changes);
    for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && i < resolution->count; i++)
        fault = resolve_part(resolution, &resolution->parts[i]);
    if (fault == ACCOUNT_FAULT_NONE) fault = emit_end(resolution);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    for (uint32_t i = 0; i < resolution->count; i++) {
        const struct part *part = &resolution->parts[i];
        int64_t held = resolution->is_held ? part->hold->amount : 0;
        answer(decision, part->hold->item, part->amount, held, part->remaining);
    }
    return ACCOUNT_FAULT_NONE;
}

/* What a record knows of a part that has expired. */
static struct hold hold_of_record(const struct record_hold *record)
{
    return (struct hold){.slot = record->slot,
                         .amount = record->amount,
                         .units = record->amount * record->cost,
                         .made_us = record->made_us,
                         .item = (uint8_t)record->item,
                         .funding = {"", 0}};
}

/* `hold`: as it stands in the account, or `record`: what is known of one that has expired. */
static void part_begin(struct part *part, const struct hold *hold, const struct record_hold *record)
{
    if (record) part->expired = hold_of_record(record);
    part->hold = hold ? hold : &part->expired;
    part->charged.count = 0;
    part->charges_all = false;
    part->funding = sink_init(part->stack_buffer, sizeof(part->stack_buffer));
}

/* Several parts, each with its windows, stand on the heap. `records`: of a reservation that lives no more. */
static enum account_fault resolve_parts(struct resolution *resolution, const struct record_hold *records)
{
    const struct stored_hold *stored = resolution->stored;
    if (resolution->count > 1) resolution->parts = memory_alloc(resolution->count * sizeof(*resolution->parts));
    for (uint32_t i = 0; i < resolution->count; i++) {
        part_begin(&resolution->parts[i], records ? NULL : &stored->hold, records ? &records[i] : NULL);
        stored = records ? stored : stored->next;
    }
    enum account_fault fault = resolve(resolution);
    for (uint32_t i = 0; i < resolution->count; i++) sink_free(&resolution->parts[i].funding);
    if (resolution->count > 1) memory_free(resolution->parts);
    return fault;
}

/* An expired reservation that FORCE posts all the same: amounts say what, and one of them is more than 0. */
static bool posts_late(const struct commit_request *request, enum hold_outcome outcome)
{
    bool posts = false;
    for (uint32_t i = 0; i < request->count; i++) posts = posts || request->amounts[i] > 0;
    return outcome == HOLD_EXPIRED && request->force && posts;
}

static enum account_fault commit_ended(struct resolution *resolution)
{
    struct record_hold records[HOLD_PARTS_MAX];
    const struct commit_request *request = resolution->request;
    bool known =
        reservation_find_outcome(resolution->account, request->id, resolution->stored, records, &resolution->count);
    if (!known) return ACCOUNT_FAULT_NO_SUCH_ID;
    if (posts_late(request, records[0].outcome)) return resolve_parts(resolution, records);
    return resolve_again(records, resolution->count, request, resolution->decision);
}

static enum account_fault commit(struct account_view *account, const struct commit_request *request,
                                 struct account_decision *decision)
{
    struct part single; /* large, and mostly nothing yet */
    struct resolution resolution;
    resolution.parts = &single;
    resolution.account = account;
    resolution.decision = decision;
    resolution.request = request;
    resolution.stored = account_hold(account->account, request->id);
    resolution.is_held = reservation_lives(account, resolution.stored);
    decision->result.resolved.count = 0;
    if (!resolution.is_held) return commit_ended(&resolution);
    resolution.count = hold_parts(resolution.stored);
    return resolve_parts(&resolution, NULL);
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
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, decision->fault_subject);
    account_view_end(&view);
}

void extend_decide(const struct account *account, const struct account_host *host, struct bytes id, int64_t ttl_us,
                   int64_t now_us, struct account_decision *decision)
{
    struct account_view view;
    struct record_hold parts[HOLD_PARTS_MAX];
    uint32_t count;
    enum account_fault fault = begin(&view, account, host, id, now_us, decision);
    const struct stored_hold *stored = fault == ACCOUNT_FAULT_NONE ? account_hold(account, id) : NULL;
    if (fault == ACCOUNT_FAULT_NONE && !reservation_lives(&view, stored)) {
        bool known = reservation_find_outcome(&view, id, stored, parts, &count);
        fault = known ? reservation_fault(parts[0].outcome) : ACCOUNT_FAULT_NO_SUCH_ID;
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

/* Decides refunds; see refund.h. */
#include "quota/decide/refund.h"
#include "quota/base/checked.h"
#include "quota/decide/admission.h"
#include "quota/decide/backdate.h"
#include "quota/decide/taken.h"
#include "quota/view/credits_view.h"

/* What comes back of one resource, on its way. */
struct refund {
    const struct refund_request *request;
    struct account_view *account;
    struct account_decision *decision;
    struct bytes resource;
    int64_t amount; /* requested */
    bool is_other;  /* of a resource that the one named is counted AS: that one remembers and answers */
    struct resource_view view;
    struct demand demand; /* its positions are the meters that take units back */
    struct refunded *result;
};

_Static_assert(REFUND_ITEMS_MAX == ACCOUNT_SLOTS_MAX, "a refund of everything may name every resource");

/* Which of the LIMITs were charged in the cycle of the commit, since they had none when the units were held. */
static void find_joined(const struct refund *refund, struct taken *taken)
{
    const struct charged *charged = &taken->charged;
    taken->joined.count = 0;
    taken->from_joined = taken->from;
    taken->from_joined.taken_us = taken->from.logged_us;
    taken->from_joined.charged = &taken->joined;
    if (charged->count == CHARGED_ALL || taken->from.taken_us == taken->from.logged_us) return;
    for (uint32_t i = 0; i < charged->count; i++) {
        bool joined =
            backdate_has_joined(&refund->view, charged->periods[i], taken->from.taken_us, &refund->decision->changes);
        if (joined) charged_add(&taken->joined, charged->periods[i]);
    }
}

/* Remembers how much has been requested back. */
static void emit_returned(const struct refund *refund, const struct taken *taken)
{
    char body[RECORD_RETURNED_BYTES];
    struct record_key key;
    record_returned_encode(taken->returned + refund->amount, body);
    record_key_make(&key, taken->returned_as, (uint32_t)refund->view.index, refund->request->of);
    struct change change = {.kind = taken->returned > 0 ? CHANGE_RECORD_PATCHED : CHANGE_RECORD,
                            .bytes = record_key_bytes(&key),
                            .body = {body, sizeof(body)},
                            .expires_us = taken->expires_us};
    change_encode(&change, &refund->decision->changes);
}

/* ---- giving back ----------------------------------------------------------------------------------------- */

/* Would a cycle take back more than REFUNDS MAX allows it? */
static bool cycles_exceed(const struct refund *refund, const struct taken_from *from, int64_t units)
{
    const struct resource_view *view = &refund->view;
    struct past_cycle past[SLOT_HISTORIES_MAX];
    int64_t most = view->entitlement ? view->entitlement->refunds_max : -1, at_us = from->taken_us;
    if (most < 0) return false;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        bool ran = window->start_us <= at_us && at_us < window->end_us;
        if (!ran || view->fresh[i] || !charged_has(from->charged, window->period)) continue;
        if ((wide)window->refunded + units > most) return true;
    }
    uint32_t count = past_cycles(refund->account, view, at_us, from->charged, &refund->decision->changes, past);
    for (uint32_t i = 0; i < count; i++) {
        if ((wide)past[i].closed.refunded + units > most) return true;
    }
    return false;
}

static bool exceeds_refunds(const struct refund *refund, const struct taken *taken, int64_t units)
{
    return cycles_exceed(refund, &taken->from, units) || cycles_exceed(refund, &taken->from_joined, units);
}

/* A window whose LIMIT sleeps is no meter's; what was charged to it comes back to it all the same. */
static int64_t give_back_to_sleepers(struct refund *refund, int64_t units, const struct taken_from *from)
{
    struct resource_view *view = &refund->view;
    int64_t most = 0;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        bool ran = window->start_us <= from->taken_us && from->taken_us < window->end_us;
        if (!ran || entitlement_limit(view->entitlement, window->period)) continue;
        if (charged_has(from->charged, window->period)) {
            most = max_i64(most, window_refund(window, units, from->generation));
        }
    }
    return most;
}

/* The same of rolling windows. */
static int64_t give_back_to_sleeping_logs(struct refund *refund, int64_t units, const struct taken_from *from)
{
    const struct slot_optional *optional = refund->view.stored ? refund->view.stored->optional : NULL;
    const struct entitlement *entitlement = refund->view.entitlement;
    int64_t most = 0;
    for (uint32_t i = 0; optional && i < optional->rollings_count; i++) {
        int64_t period_us = optional->rollings[i].period_us;
        if (entitlement_rolling(entitlement, period_us)) continue;
        most = max_i64(most, rolling_give_back(refund->account, &refund->view, period_us, units, from,
                                               &refund->decision->changes));
    }
    return most;
}

/* What meters of one kind take back; answers the most that one took. */
static int64_t give_back_to(struct refund *refund, const struct meter *meter, int64_t units,
                            const struct taken_from *from)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < refund->demand.positions_count; i++) {
        struct position *position = &refund->demand.positions[i];
        if (position->meter != meter) continue;
        most = max_i64(most, meter->give_back(position, units, from, &refund->decision->changes));
    }
    return most;
}

/* Do LIMITs or rolling windows say what comes back, and not rates alone? */
static bool is_bounded(const struct refund *refund, const struct taken_from *from)
{
    bool bounded = from->charged->count > 0;
    for (uint32_t i = 0; i < refund->demand.positions_count; i++) {
        bounded |= refund->demand.positions[i].meter == &meter_rolling;
    }
    return bounded;
}

/* Grants take back what they paid of the units, as far as they still can; answers how many. */
static int64_t give_back_to_grants(struct refund *refund, const struct taken_from *from, struct bytes funding)
{
    struct cursor cursor = cursor_init(funding);
    struct funding_part part;
    int64_t returned = 0;
    while (funding_next(&cursor, &part)) {
        if (part.grant == FUNDED_BY_LIMITS) continue;
        returned += credits_return(refund->account, &refund->view, part.grant, part.units, from->taken_us,
                                   &refund->decision->changes);
    }
    return returned;
}

/* What cycles take back, closed and running, of LIMITs that hold and that sleep; answers the most that one took. */
static int64_t give_back_to_cycles(struct refund *refund, int64_t units, const struct taken_from *from)
{
    int64_t most = backdate_refund(refund->account, &refund->view, units, from, &refund->decision->changes);
    demand_find_capacities(&refund->demand); /* what a closed cycle takes back the running one need not repay */
    most = max_i64(most, give_back_to_sleepers(refund, units, from));
    return max_i64(most, give_back_to(refund, &meter_cycle, units, from));
}

/* Every place takes back what it still counts of the units: what the limits gave goes back to them, what grants paid to
 * the grants. Answers how much came back. Rates and rolling windows write themselves down, so the resource is emitted
 * between those in the view and those that are not. Rates do not know whose units they remember: they take back no more
 * than comes back elsewhere. */
static enum account_fault give_back(struct refund *refund, const struct taken *taken, int64_t units,
                                    struct bytes funding, int64_t *back)
{
    const struct taken_from *from = &taken->from;
    struct sink *changes = &refund->decision->changes;
    int64_t limited = funding_of_limits(funding, units);
    int64_t most = give_back_to_cycles(refund, limited, from);
    if (taken->joined.count > 0) most = max_i64(most, give_back_to_cycles(refund, limited, &taken->from_joined));
    enum account_fault fault = emit_resource(refund->account, &refund->view, changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    most = max_i64(most, give_back_to(refund, &meter_rolling, limited, from));
    most = max_i64(most, give_back_to_sleeping_logs(refund, limited, from));
    *back = most + give_back_to_grants(refund, from, funding);
    bool by_rates = !is_bounded(refund, from) && funding.size == 0; /* they alone know of these units */
    int64_t of_rates = by_rates ? units : *back;
    if (of_rates > 0) of_rates = give_back_to(refund, &meter_rate, of_rates, from);
    if (by_rates) *back = max_i64(*back, of_rates);
    return ACCOUNT_FAULT_NONE;
}

/* What the tightest LIMIT leaves now, and grants. */
static int64_t remaining(const struct refund *refund)
{
    return refund->view.entitlement ? demand_remaining(&refund->demand) : 0;
}

/* Gives back the last of the units that have not come back yet: what was drawn last goes back first. */
static enum account_fault return_taken(struct refund *refund, const struct taken *taken)
{
    char stack_buffer[256];
    struct sink funding = sink_init(stack_buffer, sizeof(stack_buffer));
    int64_t amount = refund->amount, units = amount * taken->cost, back = 0;
    int64_t to = (taken->amount - taken->returned) * taken->cost;
    if (taken->funding.size > 0) funding_cut(taken->funding, taken->amount * taken->cost, to - units, to, &funding);
    enum account_fault fault = ACCOUNT_FAULT_REFUNDS;
    if (!exceeds_refunds(refund, taken, funding_of_limits(sink_content(&funding), units))) {
        if (!refund->is_other) emit_returned(refund, taken);
        fault = give_back(refund, taken, units, sink_content(&funding), &back);
    }
    *refund->result = (struct refunded){back / taken->cost, amount - back / taken->cost, remaining(refund)};
    sink_free(&funding);
    return fault;
}

/* The resource as time alone has left it; `changes`: where closed cycles go, NULL = nowhere. */
static enum account_fault settle(struct refund *refund, struct sink *changes)
{
    enum account_fault fault = resource_view_settle(refund->account, &refund->view, changes);
    refund->demand.positions_count = 0;
    if (fault != ACCOUNT_FAULT_NONE || !refund->view.entitlement) return fault;
    demand_begin(&refund->demand, refund->account, &refund->view, refund->amount);
    return ACCOUNT_FAULT_NONE;
}

static struct bytes resource_of(const struct account_view *account, uint32_t slot)
{
    return interned_string_bytes(account->account->slots[slot].resource);
}

/* What comes back of the resource that another one is counted AS. */
static enum account_fault begin_other(const struct refund *refund, struct refund *other, struct bytes resource,
                                      struct sink *changes, struct refunded *result)
{
    other->request = refund->request;
    other->account = refund->account;
    other->decision = refund->decision;
    other->resource = resource;
    other->amount = refund->amount;
    other->is_other = true;
    other->result = result;
    *result = (struct refunded){0, 0, 0};
    resource_view_begin(other->account, resource, &other->view);
    return settle(other, changes);
}

static enum account_fault refund_other(struct refund *refund, const struct taken *taken);

/* Back to the cycles and the instant it was charged to, if REFUNDS lets it. */
static enum account_fault refund_taken(struct refund *refund, struct taken *taken)
{
    const struct entitlement *entitlement = refund->view.entitlement;
    int64_t within_us = entitlement ? entitlement->refunds_within_us : 0;
    find_joined(refund, taken);
    if (within_us > 0 && refund->account->now_us > taken->from.taken_us + within_us) return ACCOUNT_FAULT_TOO_OLD;
    refund->decision->fault_limit = entitlement ? entitlement->refunds_max : -1;
    enum account_fault fault = return_taken(refund, taken);
    return fault == ACCOUNT_FAULT_NONE && !refund->is_other ? refund_other(refund, taken) : fault;
}

/* The units of the resource that this one is counted AS: they are what the answer is about. */
static enum account_fault refund_other(struct refund *refund, const struct taken *taken)
{
    struct refund other; /* large, and mostly nothing yet */
    struct taken taken_other;
    struct refunded result;
    uint32_t slot;
    bool found = taken_find_other(refund->account, (uint32_t)refund->view.index, refund->request->of, taken, &slot,
                                  &taken_other);
    if (!found) return ACCOUNT_FAULT_NONE;
    struct sink *changes = &refund->decision->changes;
    enum account_fault fault = begin_other(refund, &other, resource_of(refund->account, slot), changes, &result);
    if (fault == ACCOUNT_FAULT_NONE) fault = refund_taken(&other, &taken_other);
    *refund->result = result;
    return fault;
}

static enum account_fault refund_named(struct refund *refund)
{
    struct taken taken;
    struct bytes of = refund->request->of;
    struct account_decision *decision = refund->decision;
    decision->fault_subject = of;
    if (!taken_find(refund->account, (uint32_t)refund->view.index, of, &taken)) return ACCOUNT_FAULT_NO_SUCH_ID;
    decision->fault_limit = taken_left(&taken);
    return refund->amount > decision->fault_limit ? ACCOUNT_FAULT_EXCEEDS : refund_taken(refund, &taken);
}

/* The least that a running cycle or a rolling window counts (a resource of rates alone: what they count): so much may
 * come back without a name. */
static int64_t least_used(const struct demand *demand)
{
    int64_t least = -1, of_rates = 0;
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        if (position->meter->funds) continue; /* only by name do units go back to grants */
        int64_t used = position->meter->used(position);
        if (position->meter == &meter_rate) of_rates = used;
        if (position->meter == &meter_rate) continue;
        if (least < 0 || used < least) least = used;
    }
    if (least < 0 && demand->view->entitlement->credits) return 0; /* prepaid: grants alone have paid */
    return least >= 0 ? least : of_rates;
}

static bool unnamed_exceeds(const struct refund *refund, int64_t units)
{
    int64_t most = refund->view.entitlement->refunds_max;
    for (uint32_t i = 0; most >= 0 && i < refund->view.windows_count; i++) {
        const struct window *window = &refund->view.windows[i];
        if (!entitlement_limit(refund->view.entitlement, window->period)) continue;
        if ((wide)window->refunded + units > most) return true;
    }
    return false;
}

/* Back to the cycles that run now, the newest units first; older generations can no longer give these units back. */
static enum account_fault give_back_unnamed(struct refund *refund, int64_t amount, int64_t units)
{
    struct account_decision *decision = refund->decision;
    struct demand *demand = &refund->demand;
    decision->fault_limit = refund->view.entitlement->refunds_max;
    if (refund->view.entitlement->refunds_within_us > 0) return ACCOUNT_FAULT_NEEDS_OF;
    if (unnamed_exceeds(refund, units)) return ACCOUNT_FAULT_REFUNDS;
    refund->result->refunded = amount;
    refund->result->lost = refund->amount - amount;
    for (uint32_t i = 0; amount > 0 && i < demand->positions_count; i++) {
        struct position *position = &demand->positions[i];
        if (position->meter == &meter_cycle) position->meter->give_back_newest(position, units, &decision->changes);
    }
    refund->result->remaining = remaining(refund);
    enum account_fault fault = emit_resource(refund->account, &refund->view, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE || amount == 0) return fault;
    emit_generation(&refund->view, &decision->changes);
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        struct position *position = &demand->positions[i];
        bool done = position->meter == &meter_cycle || position->meter->funds;
        if (!done) position->meter->give_back_newest(position, units, &decision->changes);
    }
    refund->result->remaining = remaining(refund);
    return ACCOUNT_FAULT_NONE;
}

/* Does a LIMIT count the resource's own units? One that sleeps, which an override has left, says nothing of them. */
static bool has_series(const struct demand *demand)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        if (demand->positions[i].meter == &meter_cycle) return true;
    }
    return false;
}

/* Units that are counted AS those of another resource come back there, and to the resource's own rules. */
static enum account_fault refund_unnamed_as(struct refund *refund)
{
    struct refund other; /* large, and mostly nothing yet */
    struct refunded result;
    const struct entitlement *entitlement = refund->view.entitlement;
    int64_t cost = entitlement->cost;
    enum account_fault fault = begin_other(refund, &other, entitlement->as, &refund->decision->changes, &result);
    if (fault == ACCOUNT_FAULT_NONE && !other.view.entitlement) {
        refund->decision->fault_subject = entitlement->as;
        fault = ACCOUNT_FAULT_RESOURCE;
    }
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    int64_t amount = min_i64(refund->amount, least_used(&other.demand) / cost);
    if (has_series(&refund->demand)) amount = min_i64(amount, least_used(&refund->demand));
    fault = give_back_unnamed(refund, amount, amount);
    if (fault == ACCOUNT_FAULT_NONE) fault = give_back_unnamed(&other, amount, amount * cost);
    *refund->result = result;
    return fault;
}

static enum account_fault refund_unnamed(struct refund *refund)
{
    const struct demand *demand = &refund->demand;
    if (refund->view.entitlement->as.size > 0) return refund_unnamed_as(refund);
    int64_t amount = min_i64(refund->amount, least_used(demand) / demand->cost);
    return give_back_unnamed(refund, amount, amount * demand->cost);
}

/* ---- one resource ---------------------------------------------------------------------------------------- */

/* Answers from the record of this id; false if there is none. */
static bool replay(const struct refund *refund)
{
    struct idempotency_entry entry;
    struct record_refund record;
    const struct refund_request *request = refund->request;
    struct account_decision *decision = refund->decision;
    if (request->id.size == 0) return false;
    if (!record_find(refund->account, RECORD_REFUND, (uint32_t)refund->view.index, request->id, &entry)) return false;
    if (!record_refund_decode(entry.body, &record)) return false;
    decision->replayed = true;
    *refund->result = (struct refunded){record.refunded, record.lost, record.remaining};
    bool same = record.amount == request->amount && bytes_equal(record.of, request->of);
    if (!same) account_decision_fail(decision, ACCOUNT_FAULT_CONFLICT, request->id);
    return true;
}

static enum account_fault emit_record(const struct account_view *account, const struct record_key *key,
                                      const struct sink *body, struct sink *changes)
{
    if (!account_view_has_room(account)) return ACCOUNT_FAULT_RECORDS;
    struct change change = {.kind = CHANGE_RECORD,
                            .bytes = record_key_bytes(key),
                            .body = sink_content(body),
                            .expires_us = min_i64(account->now_us + account->host->kept_us, INSTANT_MAX_US)};
    change_encode(&change, changes);
    return ACCOUNT_FAULT_NONE;
}

static enum account_fault remember(const struct refund *refund)
{
    struct record_key key;
    struct sink body = {0};
    struct record_refund record = {.amount = refund->amount,
                                   .of = refund->request->of,
                                   .refunded = refund->result->refunded,
                                   .lost = refund->result->lost,
                                   .remaining = refund->result->remaining};
    record_refund_encode(&record, &body);
    record_key_make(&key, RECORD_REFUND, (uint32_t)refund->view.index, refund->request->id);
    enum account_fault fault = emit_record(refund->account, &key, &body, &refund->decision->changes);
    sink_free(&body);
    return fault;
}

/* Behind what was given back: the slot, if there was none, and the audit trail. */
static enum account_fault finish(struct refund *refund)
{
    const struct refund_request *request = refund->request;
    struct sink *changes = &refund->decision->changes;
    enum account_fault fault = emit_slot(refund->account, &refund->view, changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    emit_audit(refund->account, AUDIT_REFUND, refund->view.index, refund->result->refunded, request->actor,
               request->reason, changes);
    return ACCOUNT_FAULT_NONE;
}

/* Nothing came back, and no id has to be remembered: nothing is written. */
static bool changes_nothing(const struct refund *refund)
{
    const struct refund_request *request = refund->request;
    return request->of.size == 0 && request->id.size == 0 && refund->result->refunded == 0;
}

/* The resource that the units come back to besides; empty = none. */
static struct bytes other_name(const struct refund *refund)
{
    struct taken taken, other;
    uint32_t slot = (uint32_t)refund->view.index;
    struct bytes of = refund->request->of;
    if (of.size == 0) {
        const struct entitlement *entitlement = plan_entitlement(refund->account->plan, refund->resource);
        return entitlement ? entitlement->as : (struct bytes){"", 0};
    }
    bool found = refund->view.index >= 0 && taken_find(refund->account, slot, of, &taken) &&
                 taken_find_other(refund->account, slot, of, &taken, &slot, &other);
    return found ? resource_of(refund->account, slot) : (struct bytes){"", 0};
}

static enum account_fault give_or_lose(struct refund *refund)
{
    const struct refund_request *request = refund->request;
    struct sink *changes = &refund->decision->changes;
    struct bytes names[2] = {refund->resource, other_name(refund)};
    uint32_t names_count = names[1].size > 0 ? 2 : 1;
    enum account_fault fault = emit_account(refund->account, (struct resource_names){names, names_count}, changes);
    if (fault == ACCOUNT_FAULT_NONE) fault = settle(refund, changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    bool could_be_used = refund->view.index >= 0 && request->of.size > 0;
    if (!refund->view.entitlement && !could_be_used) return ACCOUNT_FAULT_RESOURCE;
    fault = request->of.size > 0 ? refund_named(refund) : refund_unnamed(refund);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (changes_nothing(refund)) {
        changes->size = 0;
        return ACCOUNT_FAULT_NONE;
    }
    fault = finish(refund);
    return fault == ACCOUNT_FAULT_NONE && request->id.size > 0 ? remember(refund) : fault;
}

static enum account_fault refund_one(struct account_view *account, const struct refund_request *request,
                                     struct account_decision *decision)
{
    struct refund refund; /* large, and mostly nothing yet */
    refund.request = request;
    refund.account = account;
    refund.decision = decision;
    refund.resource = request->resource;
    refund.amount = request->amount;
    refund.is_other = false;
    refund.result = &decision->result.refund.items[0];
    *refund.result = (struct refunded){0, 0, 0};
    decision->result.refund.count = 1;
    decision->fault_subject = request->resource;
    resource_view_begin(account, request->resource, &refund.view);
    return refund.view.index >= 0 && replay(&refund) ? decision->fault : give_or_lose(&refund);
}

/* ---- everything ------------------------------------------------------------------------------------------ */

/* Answers from the record of this id; false if there is none. */
static bool replay_all(const struct account_view *account, const struct refund_request *request,
                       struct account_decision *decision)
{
    struct idempotency_entry entry;
    struct record_refund_all record;
    if (request->id.size == 0) return false;
    if (!record_find(account, RECORD_REFUND_ALL, RECORD_NO_SLOT, request->id, &entry)) return false;
    if (!record_refund_all_decode(entry.body, &record)) return false;
    decision->replayed = true;
    decision->result.refund.count = record.count;
    memcpy(decision->result.refund.items, record.items, record.count * sizeof(*record.items));
    if (!bytes_equal(record.of, request->of)) account_decision_fail(decision, ACCOUNT_FAULT_CONFLICT, request->id);
    return true;
}

static enum account_fault remember_all(const struct account_view *account, const struct refund_request *request,
                                       struct account_decision *decision)
{
    struct record_key key;
    struct sink body = {0};
    struct record_refund_all record;
    record.of = request->of;
    record.count = decision->result.refund.count;
    memcpy(record.items, decision->result.refund.items, record.count * sizeof(*record.items));
    record_refund_all_encode(&record, &body);
    record_key_make(&key, RECORD_REFUND_ALL, RECORD_NO_SLOT, request->id);
    enum account_fault fault = emit_record(account, &key, &body, &decision->changes);
    sink_free(&body);
    return fault;
}

/* What the resource leaves that this one was counted AS, where nothing comes back. */
static enum account_fault look_at_other(struct refund *refund, const struct taken *taken)
{
    struct refund other; /* large, and mostly nothing yet */
    struct taken taken_other;
    struct refunded result;
    uint32_t slot;
    bool found = taken_find_other(refund->account, (uint32_t)refund->view.index, refund->request->of, taken, &slot,
                                  &taken_other);
    if (!found) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = begin_other(refund, &other, resource_of(refund->account, slot), NULL, &result);
    if (fault == ACCOUNT_FAULT_NONE) refund->result->remaining = remaining(&other);
    return fault;
}

/* What is left of one resource comes back; of one that has nothing left nothing is written. */
static enum account_fault refund_rest(struct account_view *account, const struct refund_request *request, uint32_t slot,
                                      struct account_decision *decision)
{
    struct refund refund; /* large, and mostly nothing yet */
    struct taken taken;
    bool found = taken_find(account, slot, request->of, &taken);
    refund.request = request;
    refund.account = account;
    refund.decision = decision;
    refund.resource = resource_of(account, slot);
    refund.amount = found ? taken_left(&taken) : 0;
    refund.is_other = false;
    refund.result = &decision->result.refund.items[decision->result.refund.count++];
    decision->fault_subject = refund.resource;
    resource_view_begin(account, refund.resource, &refund.view);
    enum account_fault fault = settle(&refund, refund.amount > 0 ? &decision->changes : NULL);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (refund.amount == 0) {
        *refund.result = (struct refunded){0, 0, remaining(&refund)};
        return found ? look_at_other(&refund, &taken) : ACCOUNT_FAULT_NONE;
    }
    fault = refund_taken(&refund, &taken);
    return fault == ACCOUNT_FAULT_NONE ? finish(&refund) : fault;
}

/* The resources that something is left of are written down by what comes back of them: all others are as time has left
 * them. Answers how many there are. */
static uint32_t own_names(const struct account_view *account, struct bytes of, const uint32_t *slots, uint32_t count,
                          struct bytes names[2 * REFUND_ITEMS_MAX])
{
    struct taken taken, other;
    uint32_t own = 0, slot;
    for (uint32_t i = 0; i < count; i++) {
        if (!taken_find(account, slots[i], of, &taken) || taken_left(&taken) == 0) continue;
        names[own++] = resource_of(account, slots[i]);
        if (taken_find_other(account, slots[i], of, &taken, &slot, &other)) names[own++] = resource_of(account, slot);
    }
    return own;
}

/* Is a resource among them twice? What comes back of it once would not know of the other. */
static bool name_is_there_twice(const struct bytes *names, uint32_t count, struct bytes *name)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (!bytes_equal(names[i], names[k])) continue;
            *name = names[i];
            return true;
        }
    }
    return false;
}

/* Every resource of the consumption, or nothing where one of them refuses. */
static enum account_fault refund_all(struct account_view *account, const struct refund_request *request,
                                     struct account_decision *decision)
{
    uint32_t slots[REFUND_ITEMS_MAX];
    struct bytes names[2 * REFUND_ITEMS_MAX];
    if (replay_all(account, request, decision)) return decision->fault;
    uint32_t count = taken_slots(account, request->of, slots);
    decision->fault_subject = request->of;
    if (count == 0) return ACCOUNT_FAULT_NO_SUCH_ID;
    uint32_t own = own_names(account, request->of, slots, count, names);
    if (name_is_there_twice(names, own, &decision->fault_subject)) return ACCOUNT_FAULT_TOGETHER;
    enum account_fault fault = emit_account(account, (struct resource_names){names, own}, &decision->changes);
    for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && i < count; i++)
        fault = refund_rest(account, request, slots[i], decision);
    if (fault == ACCOUNT_FAULT_NONE && request->id.size > 0) return remember_all(account, request, decision);
    if (own == 0) decision->changes.size = 0; /* nothing came back, and no id has to be remembered */
    return fault;
}

void refund_decide(const struct account *account, const struct account_host *host, const struct refund_request *request,
                   struct account_decision *decision)
{
    struct account_view view;
    account_view_none(&view);
    view.now_us = 0;
    account_decision_begin(decision);
    decision->result.refund.count = 0;
    enum account_fault fault =
        account ? account_view_begin(&view, account, host, request->now_us) : ACCOUNT_FAULT_MISSING;
    decision->applied_at_us = view.now_us;
    if (fault == ACCOUNT_FAULT_NONE && view.status.state == ACCOUNT_CLOSED) fault = ACCOUNT_FAULT_CLOSED;
    if (fault == ACCOUNT_FAULT_NONE && !view.plan) fault = ACCOUNT_FAULT_EXPIRED;
    if (fault == ACCOUNT_FAULT_NONE)
        fault = request->all ? refund_all(&view, request, decision) : refund_one(&view, request, decision);
    if (fault != ACCOUNT_FAULT_NONE) account_decision_refuse(decision, &view, fault);
    account_view_end(&view);
}

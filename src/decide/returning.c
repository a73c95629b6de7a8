/* Gives units of one resource back; see returning.h. */
#include "quota/decide/returning.h"
#include "quota/base/checked.h"
#include "quota/decide/backdate.h"
#include "quota/decide/demand_plan.h"
#include "quota/view/billing.h"
#include "quota/view/credits_view.h"

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

bool returning_in_sum(struct resource_names names, struct bytes resource)
{
    uint32_t times = 0;
    for (uint32_t i = 0; i < names.count; i++) times += bytes_equal(names.names[i], resource);
    return times > 1;
}

void returning_remember(const struct refund *refund, const struct taken *taken)
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
        if (!charged_has(from->charged, window->period)) continue;
        int64_t returned = window_refund(window, units, from->generation);
        billing_shift(refund->account, view,
                      &(struct bill_shift){window->period, window->end_us, from->taken_us, -returned, returned});
        most = max_i64(most, returned);
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
        if (!funded_by_grant(&part)) continue;
        returned += credits_return(refund->account, &refund->view, part.grant, part.units, from->paid_us,
                                   &refund->decision->changes);
    }
    billing_credit(refund->account, &refund->view, from->paid_us, -returned);
    billing_emit(&refund->view, &refund->decision->changes); /* the resource has been emitted */
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
 * than comes back elsewhere; and where they alone have counted the units, nothing of what was taken before a RESET, SET
 * or refund without a name, since that may have been returned by it. */
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
    int64_t of_rates = by_rates ? units : *back + funding_below(funding);
    if (by_rates && from->generation < refund->view.generation) of_rates = 0;
    if (of_rates > 0) of_rates = give_back_to(refund, &meter_rate, of_rates, from);
    if (by_rates) *back = max_i64(*back, of_rates);
    return ACCOUNT_FAULT_NONE;
}

/* What the tightest LIMIT leaves now, and grants. */
int64_t returning_remaining(const struct refund *refund)
{
    return refund->view.entitlement ? demand_remaining(&refund->demand) : 0;
}

int64_t returning_credits(const struct refund *refund)
{
    const struct entitlement *entitlement = refund->view.entitlement;
    return entitlement ? demand_funds(&refund->demand) / entitlement_cost(entitlement) : 0;
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
        if (!refund->is_other) returning_remember(refund, taken);
        fault = give_back(refund, taken, units, sink_content(&funding), &back);
    }
    refund->back = back;
    *refund->result = (struct refunded){back / taken->cost, amount - back / taken->cost, returning_remaining(refund)};
    sink_free(&funding);
    return fault;
}

/* The resource as time alone has left it; `changes`: where closed cycles go, NULL = nowhere. */
enum account_fault returning_settle(struct refund *refund, struct sink *changes)
{
    enum account_fault fault = resource_view_settle(refund->account, &refund->view, changes);
    refund->demand.positions_count = 0;
    if (fault != ACCOUNT_FAULT_NONE || !refund->view.entitlement) return fault;
    demand_begin(&refund->demand, refund->account, &refund->view, refund->amount);
    return ACCOUNT_FAULT_NONE;
}

/* Back to the cycles and the instant it was charged to, if REFUNDS lets it. */
enum account_fault returning_taken(struct refund *refund, struct taken *taken)
{
    const struct entitlement *entitlement = refund->view.entitlement;
    int64_t within_us = entitlement ? entitlement->refunds_within_us : 0;
    find_joined(refund, taken);
    if (within_us > 0 && refund->account->now_us > taken->from.taken_us + within_us) return ACCOUNT_FAULT_TOO_OLD;
    refund->decision->fault_limit = entitlement ? entitlement->refunds_max : -1;
    return return_taken(refund, taken);
}

/* ---- without a name ---------------------------------------------------------------------------------------- */

/* The least that a running cycle or a rolling window counts; -1 = there is none. */
static int64_t least_counted(const struct demand *demand)
{
    int64_t least = -1;
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        /* Only by name do units go back to grants; rates get back no more than comes back elsewhere. */
        if (position->meter->funds || position->meter == &meter_rate) continue;
        int64_t used = position->meter->used(position);
        if (least < 0 || used < least) least = used;
    }
    return least;
}

/* So much may come back without a name: where nothing is counted but by rates, what they remember. */
static int64_t least_used(const struct demand *demand)
{
    int64_t least = least_counted(demand), of_rates = 0;
    if (least < 0 && demand->view->entitlement->credits) return 0; /* prepaid: grants alone have paid */
    for (uint32_t i = 0; least < 0 && i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        if (position->meter == &meter_rate) of_rates = position->meter->used(position);
    }
    return least >= 0 ? least : of_rates;
}

/* What this account leaves to all others: rates bound what comes back to themselves alone. */
static int64_t least_for_all(const struct demand *demand)
{
    bool by_rates = least_counted(demand) < 0 && !demand->view->entitlement->credits;
    return by_rates ? INT64_MAX : least_used(demand);
}

static bool unnamed_exceeds(const struct refund *refund, int64_t units)
{
    int64_t most = refund->view.entitlement->refunds_max;
    bool bounded = most >= 0 && units > 0; /* more than a MAX that was lowered may have come back already */
    for (uint32_t i = 0; bounded && i < refund->view.windows_count; i++) {
        const struct window *window = &refund->view.windows[i];
        if (!entitlement_limit(refund->view.entitlement, window->period)) continue;
        if ((wide)window->refunded + units > most) return true;
    }
    return false;
}

/* Back to the cycles that run now, the newest units first; older generations can no longer give these units back. */
static enum account_fault give_back_newest(struct refund *refund, int64_t amount, int64_t units)
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
    refund->result->remaining = returning_remaining(refund);
    enum account_fault fault = emit_resource(refund->account, &refund->view, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE || amount == 0) return fault;
    emit_generation(&refund->view, &decision->changes);
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        struct position *position = &demand->positions[i];
        bool done = position->meter == &meter_cycle || position->meter->funds;
        if (!done) position->meter->give_back_newest(position, units, &decision->changes);
    }
    refund->result->remaining = returning_remaining(refund);
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

enum account_fault returning_begin_other(const struct refund *refund, struct refund *other, struct bytes resource,
                                         struct sink *changes, struct refunded *result)
{
    other->request = refund->request;
    other->account = refund->account;
    other->decision = refund->decision;
    other->resource = resource;
    other->amount = refund->amount;
    other->is_other = true;
    other->names = refund->names;
    other->result = result;
    *result = (struct refunded){0, 0, 0};
    resource_view_begin(other->account, resource, &other->view);
    return returning_settle(other, changes);
}

/* Units that are counted AS those of another resource come back there, and to the resource's own rules. */
static enum account_fault newest_as(struct refund *refund, int64_t most)
{
    struct refund other; /* large, and mostly nothing yet */
    struct refunded result;
    const struct entitlement *entitlement = refund->view.entitlement;
    int64_t cost = entitlement->cost;
    enum account_fault fault =
        returning_begin_other(refund, &other, entitlement->as, &refund->decision->changes, &result);
    if (fault == ACCOUNT_FAULT_NONE && !other.view.entitlement) {
        refund->decision->fault_subject = entitlement->as;
        fault = ACCOUNT_FAULT_RESOURCE;
    }
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    int64_t amount = min_i64(most, least_used(&other.demand) / cost);
    if (has_series(&refund->demand)) amount = min_i64(amount, least_used(&refund->demand));
    fault = give_back_newest(refund, amount, amount);
    if (fault == ACCOUNT_FAULT_NONE) fault = give_back_newest(&other, amount, amount * cost);
    *refund->result = result;
    return fault;
}

enum account_fault returning_newest_most(const struct refund *refund, int64_t *most)
{
    struct refund other; /* large, and mostly nothing yet */
    struct refunded result;
    const struct entitlement *entitlement = refund->view.entitlement;
    *most = least_for_all(&refund->demand) / refund->demand.cost;
    if (entitlement->as.size == 0) return ACCOUNT_FAULT_NONE;
    *most = has_series(&refund->demand) ? least_used(&refund->demand) : INT64_MAX;
    enum account_fault fault = returning_begin_other(refund, &other, entitlement->as, NULL, &result);
    if (fault != ACCOUNT_FAULT_NONE || !other.view.entitlement) return fault;
    *most = min_i64(*most, least_for_all(&other.demand) / entitlement->cost);
    return ACCOUNT_FAULT_NONE;
}

enum account_fault returning_newest(struct refund *refund, int64_t most)
{
    const struct demand *demand = &refund->demand;
    if (refund->view.entitlement->as.size > 0) return newest_as(refund, most);
    int64_t amount = min_i64(most, least_used(demand) / demand->cost);
    return give_back_newest(refund, amount, amount * demand->cost);
}

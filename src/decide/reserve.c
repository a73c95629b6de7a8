/* Decides what is reserved; see reserve.h. What becomes of it: commit.c. */
#include "quota/decide/reserve.h"
#include "quota/base/checked.h"
#include "quota/decide/api_key.h"
#include "quota/decide/reservation.h"

/* Is this request the one that made the live reservation? Its first parts say what each item requested. */
static bool is_same(const struct account_view *view, const struct reserve_request *request,
                    const struct stored_hold *first)
{
    uint32_t item = 0;
    for (const struct stored_hold *part = first; part; part = part->next) {
        const struct hold *hold = &part->hold;
        if (hold->item < item) continue; /* another part of the item before */
        if (item == request->count) return false;
        const struct consume_item *wanted = &request->items[item++];
        bool same = account_slot(view->account, wanted->resource) == (int32_t)hold->slot &&
                    wanted->amount == hold->requested && (uint8_t)request->mode == hold->mode;
        if (!same) return false;
    }
    return item == request->count;
}

static enum account_fault reserve_again(const struct account_view *view, const struct reserve_request *request,
                                        const struct stored_hold *first, struct account_decision *decision)
{
    if (!is_same(view, request, first)) return ACCOUNT_FAULT_CONFLICT;
    for (const struct stored_hold *part = first; part; part = part->next) {
        if (part->hold.item < decision->result.consumed.count) continue;
        decision->result.consumed.verdicts[decision->result.consumed.count++] = part->hold.verdict;
    }
    decision->replayed = true;
    return ACCOUNT_FAULT_NONE;
}

/* Is there room for one more of every resource? What has ended does not count. */
static enum account_fault bounds_fault(const struct demands *demands)
{
    const struct account_view *account = demands->account;
    struct account_decision *decision = demands->decision;
    for (uint32_t i = 0; i < demands->views_count; i++) {
        const struct resource_view *view = &demands->views[i];
        int64_t most = view->entitlement->holds_max;
        decision->fault_subject = view->resource;
        decision->fault_limit = most;
        if (most >= 0 && resource_view_holds_count(account, view) >= most) return ACCOUNT_FAULT_HOLDS;
    }
    uint32_t live = account_live_holds(account->account, account->now_us);
    if (demands->each_count > HOLD_PARTS_MAX) return ACCOUNT_FAULT_PARTS;
    if (live + demands->each_count > ACCOUNT_HOLDS_MAX) return ACCOUNT_FAULT_HOLDS_BOUND;
    return account_view_has_room(account) ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_RECORDS;
}

static int64_t expires_us(const struct account_view *account, const struct reserve_request *request)
{
    return min_i64(account->now_us + request->ttl_us, INSTANT_MAX_US);
}

/* Writes the parts down, one for each item. So many grants may pay that the record of its end could not name them. */
static enum account_fault emit_holds(const struct demands *demands, const struct reserve_request *request)
{
    const struct account_view *account = demands->account;
    struct account_decision *decision = demands->decision;
    size_t funding_bytes = 0;
    struct change change; /* what its kind does not name means nothing; there is much of it */
    change.kind = CHANGE_HOLD;
    change.bytes = request->id;
    uint32_t part = 0;
    for (uint32_t row = 0; row < demands->count; row++) {
        for (uint32_t i = demands->items[row].first; i < demands->items[row].end; i++) {
            const struct demand *demand = &demands->each[i];
            if (demand->key) continue; /* rates hold nothing */
            change.hold.slot = (uint32_t)demand->view->index;
            change.hold.amount = demand->granted;
            change.hold.units = demand->units;
            change.hold.made_us = account->now_us;
            change.hold.expires_us = expires_us(account, request);
            change.hold.kept_us = min_i64(account->host->kept_us, DURATION_MAX_US);
            change.hold.mode = (uint8_t)request->mode;
            change.hold.part = (uint8_t)part++;
            change.hold.item = (uint8_t)row;
            change.hold.requested = request->items[row].amount;
            change.hold.verdict = decision->result.consumed.verdicts[row];
            change.hold.of_member = false;
            change.hold.levels = (struct bytes){"", 0};
            change.hold.funding = demand_funding(demand);
            funding_bytes += change.hold.funding.size;
            change_encode(&change, &decision->changes);
        }
    }
    decision->adds_record = true;
    return funding_bytes <= IDEMPOTENCY_BODY_MAX / 2 ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_FUNDING;
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

/* Brings the resources to now and holds them, if they are admitted. */
static enum account_fault hold(struct demands *demands, const struct reserve_request *request)
{
    enum account_fault fault = demands_settle(demands, ROWS_DISTINCT);
    if (fault == ACCOUNT_FAULT_NONE) fault = bounds_fault(demands);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    for (uint32_t i = 0; i < demands->each_count; i++)
        demand_hold(&demands->each[i], expires_us(demands->account, request));
    fault = demands_peek(demands, request->mode, false);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (demands->decision->denied) {
        demands_answer(demands);
        return demands_emit_denial(demands, false);
    }
    for (uint32_t i = 0; i < demands->each_count; i++) keep_cycles(&demands->each[i]);
    fault = demands_take(demands);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    demands_answer(demands);
    if (demands->key) api_key_emit_used(demands->key, demands->account->now_us, &demands->decision->changes);
    return emit_holds(demands, request);
}

/* Several items, each with its windows, stand on the heap. */
static enum account_fault hold_several(struct demands *demands, const struct reserve_request *request)
{
    struct demand *each = memory_alloc(demands->count * sizeof(*each));
    struct resource_view *views = memory_alloc(demands->count * sizeof(*views));
    demands->each = each;
    demands->views = views;
    enum account_fault fault = hold(demands, request);
    memory_free(each);
    memory_free(views);
    return fault;
}

static enum account_fault reserve_new(struct account_view *account, const struct reserve_request *request,
                                      const struct stored_api_key *key, struct account_decision *decision)
{
    struct demand demand; /* of a single item: these are large, and mean nothing yet */
    struct resource_view view;
    struct demands demands;
    demands.each = &demand;
    demands.views = &view;
    demands_begin(&demands, account, request->items, request->count, decision);
    demands.key = key;
    enum account_fault fault = request->count == 1 ? hold(&demands, request) : hold_several(&demands, request);
    demands_end(&demands);
    return fault;
}

/* Refuses an id whose reservation has ended, as long as that is remembered. */
static enum account_fault ended_fault(const struct account_view *account, struct bytes id,
                                      const struct stored_hold *stored)
{
    struct record_hold parts[HOLD_PARTS_MAX];
    uint32_t count;
    bool known = reservation_find_outcome(account, id, stored, parts, &count);
    return known ? reservation_fault(parts[0].outcome) : ACCOUNT_FAULT_NONE;
}

static enum account_fault reserve(struct account_view *account, const struct reserve_request *request,
                                  struct account_decision *decision)
{
    const struct stored_hold *stored = account_hold(account->account, request->id);
    const struct stored_api_key *key = NULL;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    decision->fault_subject = request->key.scope;
    if (request->key.digest.size > 0) fault = api_key_verify(account->account, &request->key, account->now_us, &key);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    decision->fault_subject = request->id;
    if (reservation_lives(account, stored)) return reserve_again(account, request, stored, decision);
    fault = ended_fault(account, request->id, stored);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    fault = account_view_refusal(account);
    decision->fault_subject = request->items[0].resource;
    return fault == ACCOUNT_FAULT_NONE ? reserve_new(account, request, key, decision) : fault;
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

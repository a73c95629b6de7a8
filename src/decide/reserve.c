/* Decides what is reserved; see reserve.h. What becomes of it: commit.c. */
#include "quota/decide/reserve.h"
#include "quota/base/checked.h"
#include "quota/decide/api_key.h"
#include "quota/decide/count.h"
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

/* Is there room for one more of every resource? What has ended does not count; an account above counts what it holds of
 * its members, too. */
static enum account_fault most_fault(const struct demands *demands)
{
    const struct account_view *account = demands->account;
    struct account_decision *decision = demands->decision;
    for (uint32_t i = 0; i < demands->views_count; i++) {
        const struct resource_view *view = &demands->views[i];
        int64_t most = view->entitlement ? view->entitlement->holds_max : -1;
        decision->fault_subject = view->resource;
        decision->fault_limit = most;
        if (most >= 0 && resource_view_holds_count(account, view) >= most) return ACCOUNT_FAULT_HOLDS;
    }
    return ACCOUNT_FAULT_NONE;
}

/* How many parts the reservation has at the account itself: of a row that is counted AS another resource two. */
static uint32_t parts_count(const struct demands *demands)
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < demands->count; row++) {
        const struct entitlement *entitlement = demands->views[row].entitlement;
        count += entitlement && entitlement->as.size > 0 ? 2 : 1;
    }
    return count;
}

static enum account_fault bounds_fault(const struct demands *demands)
{
    const struct account_view *account = demands->account;
    uint32_t live = account_live_holds(account->account, account->now_us), parts = parts_count(demands);
    enum account_fault fault = most_fault(demands);
    for (struct demands *above = demands->above; above && fault == ACCOUNT_FAULT_NONE; above = above->above) {
        fault = most_fault(above);
        if (fault != ACCOUNT_FAULT_NONE) return lineage_fault(above->decision, above->account, fault);
    }
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (parts > HOLD_PARTS_MAX) return ACCOUNT_FAULT_PARTS;
    if (live + parts > ACCOUNT_HOLDS_MAX) return ACCOUNT_FAULT_HOLDS_BOUND;
    return account_view_has_room(account) ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_RECORDS;
}

static int64_t expires_us(const struct reserve_request *request, int64_t now_us)
{
    return min_i64(now_us + request->ttl_us, INSTANT_MAX_US);
}

/* What all parts of a reservation have in common. */
static void begin_parts(const struct reserve_request *request, const struct account_host *host, int64_t now_us,
                        struct change *change)
{
    change->kind = CHANGE_HOLD;
    change->bytes = request->id;
    change->hold.of_member = false;
    change->hold.made_us = now_us;
    change->hold.expires_us = expires_us(request, now_us);
    change->hold.kept_us = min_i64(host->kept_us, DURATION_MAX_US);
    change->hold.mode = (uint8_t)request->mode;
    change->hold.levels = (struct bytes){"", 0};
}

/* A reservation that is written down, part by part. */
struct writing {
    const struct demands *demands; /* of the account whose parts they are */
    const struct reserve_request *request;
    struct change change; /* of the next part */
    uint32_t parts;
    size_t funding_bytes; /* of all of them */
};

static void emit_part(struct writing *writing, uint32_t row, const struct demand_part *part)
{
    struct hold *hold = &writing->change.hold;
    hold->slot = (uint32_t)part->view->index;
    hold->amount = part->units / part->cost;
    hold->units = part->units;
    hold->part = (uint8_t)writing->parts++;
    hold->item = (uint8_t)row;
    hold->requested = writing->request->items[row].amount;
    hold->verdict = writing->demands->root->decision->result.consumed.verdicts[row];
    hold->funding = part->funding;
    writing->funding_bytes += part->funding.size;
    change_encode(&writing->change, &writing->demands->decision->changes);
    hold->levels = (struct bytes){"", 0}; /* the first part says them */
}

/* What the account holds of a row; where only plans above know its resource, its amount alone. */
static void emit_row(struct writing *writing, uint32_t row)
{
    const struct demands *demands = writing->demands;
    struct demand_part parts[2];
    uint32_t count = demands_parts(demands, row, parts);
    if (count == 0 && demands->root == demands) {
        int64_t granted = demands->decision->result.consumed.verdicts[row].granted;
        parts[count++] =
            (struct demand_part){.view = &demands->views[row], .cost = 1, .units = granted, .funding = {"", 0}};
    }
    for (uint32_t i = 0; i < count; i++) emit_part(writing, row, &parts[i]);
}

/* Writes the parts of one account down. So many grants may pay that the record of its end could not name them. */
static enum account_fault emit_parts(const struct demands *demands, const struct reserve_request *request,
                                     struct bytes id, struct bytes levels)
{
    const struct account_view *account = demands->account;
    struct writing writing; /* what the kind of its change does not name means nothing; there is much of it */
    struct change *change = &writing.change;
    writing.demands = demands;
    writing.request = request;
    writing.parts = 0;
    writing.funding_bytes = 0;
    begin_parts(request, account->host, account->now_us, change);
    change->bytes = id;
    change->hold.levels = levels;
    change->hold.of_member = demands->root != demands;
    if (change->hold.of_member) change->kind = CHANGE_MEMBER_HOLD;
    for (uint32_t row = 0; row < demands->count; row++) emit_row(&writing, row);
    demands->decision->adds_record = true;
    return writing.funding_bytes <= IDEMPOTENCY_BODY_MAX / 2 ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_FUNDING;
}

/* What it holds of a reservation of this id that the member has lost: it was deleted meanwhile, and came back. */
static void give_up_lost(const struct demands *above, struct bytes id)
{
    const struct stored_hold *lost = account_member_hold(above->account->account, id);
    if (!reservation_lives(above->account, lost)) return;
    change_encode(&(struct change){.kind = CHANGE_MEMBER_HOLD_ENDED, .bytes = id}, &above->decision->changes);
}

/* Every account above holds its parts, too. */
static enum account_fault emit_holds(struct demands *demands, const struct reserve_request *request)
{
    struct sink levels = {0};
    struct member_hold_id id;
    enum account_fault fault = demands_name_rows(demands);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    demands_levels(demands, false, &levels);
    fault = emit_parts(demands, request, request->id, sink_content(&levels));
    sink_free(&levels);
    for (struct demands *above = demands->above; above && fault == ACCOUNT_FAULT_NONE; above = above->above) {
        member_hold_id_make(&id, above->member, request->lineage->name, request->id);
        give_up_lost(above, member_hold_id_bytes(&id));
        fault = emit_parts(above, request, member_hold_id_bytes(&id), (struct bytes){"", 0});
        if (fault != ACCOUNT_FAULT_NONE) fault = lineage_fault(above->decision, above->account, fault);
    }
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

/* Brings the resources to now and holds them, if they are admitted. */
static enum account_fault hold(struct demands *demands, const struct reserve_request *request)
{
    /* UPTO of a sum would not say which row gives way. */
    enum account_fault fault = demands_settle(demands, request->mode == MODE_UPTO ? ROWS_DISTINCT : ROWS_SUMMED);
    if (fault == ACCOUNT_FAULT_NONE) fault = bounds_fault(demands);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    for (uint32_t i = 0; i < demands->each_count; i++) {
        struct demand *demand = &demands->each[i]; /* what is requested as a sum is held as one */
        if (!demand->stands_aside) demand_hold(demand, expires_us(request, demands->account->now_us));
    }
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

static enum account_fault reserve_new(struct account_view *account, struct account_view *above,
                                      const struct reserve_request *request, const struct stored_api_key *key,
                                      struct account_decision *decision)
{
    struct demand demand; /* of a single item: these are large, and mean nothing yet */
    struct resource_view view;
    struct demands demands;
    demands.each = &demand;
    demands.views = &view;
    demands_begin(&demands, account, request->items, request->count, decision);
    demands_add_lineage(&demands, request->lineage, above);
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

static enum account_fault reserve(struct account_view *account, struct account_view *above,
                                  const struct reserve_request *request, struct account_decision *decision)
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
    if (fault == ACCOUNT_FAULT_NONE) fault = lineage_refusal(request->lineage, above);
    decision->fault_subject = request->items[0].resource;
    return fault == ACCOUNT_FAULT_NONE ? reserve_new(account, above, request, key, decision) : fault;
}

/* ---- what is mere counting --------------------------------------------------------------------------------- */

/* Is the id free, also of one that has ended, and is there room for one more? */
static bool is_free(const struct account *account, const struct account_host *host, struct bytes id, int64_t now_us)
{
    struct record_key key;
    struct idempotency_entry entry;
    if (account_hold(account, id) || account_live_holds(account, now_us) >= ACCOUNT_HOLDS_MAX) return false;
    record_key_make(&key, RECORD_HOLD, RECORD_NO_SLOT, id);
    bool known = idempotency_find(account_idempotency(account), record_key_bytes(&key), now_us, &entry);
    return !known && account_has_room(account, host, now_us);
}

static void emit_counted(const struct reserve_request *request, const struct account_host *host,
                         const struct counted *counted, struct account_decision *decision)
{
    const struct consume_item *item = request->items;
    struct change change; /* what its kind does not name means nothing; there is much of it */
    begin_parts(request, host, request->now_us, &change);
    change.hold.slot = counted->slot;
    change.hold.amount = change.hold.units = change.hold.requested = item->amount;
    change.hold.part = change.hold.item = 0;
    change.hold.verdict = decision->result.consumed.verdicts[0];
    change.hold.funding = (struct bytes){"", 0};
    change_encode(&change, &decision->changes);
    decision->adds_record = true;
    decision->applied_at_us = request->now_us;
}

/* False, and nothing done, where the general path has to decide. `now_us`: when the account was last changed, if that
 * was later than the request. */
static bool count(const struct account *account, const struct account_host *host, const struct reserve_request *request,
                  int64_t now_us, struct account_decision *decision)
{
    const struct count_request units = {.resource = request->items->resource,
                                        .amount = request->items->amount,
                                        .mode = request->mode,
                                        .holds = true,
                                        .now_us = now_us};
    struct verdict_fold fold = {.begun = false};
    struct counted counted;
    bool plain = request->count == 1 && !request->lineage && request->key.digest.size == 0 && now_us == request->now_us;
    if (!plain || !account || !is_free(account, host, request->id, now_us)) return false;
    bool counts = count_decide(account, host, &units, decision, &fold, &counted);
    if (!counts || counted.entitlement->holds_max >= 0) {
        decision->changes.size = 0;
        return false;
    }
    count_answer(decision, units.amount, &fold);
    emit_counted(request, host, &counted, decision);
    return true;
}

/* ---- the decision ------------------------------------------------------------------------------------------ */

static void decide_in_general(const struct account *account, const struct account_host *host,
                              const struct reserve_request *request, int64_t now_us, struct account_decision *decision)
{
    struct account_view view, above[ANCESTORS_MAX]; /* large, and mostly nothing */
    enum account_fault fault = account_view_begin(&view, account, host, now_us);
    enum account_fault fault_above = lineage_begin(request->lineage, host, now_us, above);
    view.clock_us = request->now_us;
    decision->applied_at_us = view.now_us;
    view.effects = &decision->changes;
    if (fault == ACCOUNT_FAULT_NONE) fault = fault_above;
    if (fault == ACCOUNT_FAULT_NONE) fault = reserve(&view, above, request, decision);
    if (fault != ACCOUNT_FAULT_NONE) account_decision_refuse(decision, &view, fault);
    if (decision->fault != ACCOUNT_FAULT_NONE) lineage_fail(request->lineage);
    lineage_end(request->lineage, above);
    account_view_end(&view);
}

/* Both paths decide the same, in the same bytes: what tests and fuzzers run proves it. */
static void compare_with_general(const struct account *account, const struct account_host *host,
                                 const struct reserve_request *request, const struct account_decision *decision)
{
#ifdef QUOTA_EXPECT_FATAL
    struct account_decision other;
    account_decision_begin(&other);
    decide_in_general(account, host, request, request->now_us, &other);
    count_expect_same(decision, &other, false);
    account_decision_end(&other);
#else
    (void)account, (void)host, (void)request, (void)decision;
#endif
}

void reserve_decide(const struct account *account, const struct account_host *host,
                    const struct reserve_request *request, struct account_decision *decision)
{
    account_decision_begin(decision);
    int64_t now_us = lineage_instant_us(account, request->lineage, request->now_us);
    if (count(account, host, request, now_us, decision)) {
        compare_with_general(account, host, request, decision);
    } else {
        decide_in_general(account, host, request, now_us, decision);
    }
}

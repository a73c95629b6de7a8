/* Decides how reservations end; see commit.h. */
#include "quota/decide/commit.h"
#include "quota/base/checked.h"
#include "quota/decide/commit_above.h"
#include "quota/decide/count.h"
#include "quota/decide/reservation.h"
#include "quota/decide/resolution.h"
#include "quota/view/credits_view.h"

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
                                .generation = part_view(part)->generation,
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
    record_hold_encode(records, resolution->count, sink_content(resolution->levels), body);
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
    bool is_single = resolution->count == 1 && resolution->levels->size == 0;
    if (!is_single) fault = emit_resolved_parts(resolution);
    if (is_single && resolution->stored) emit_resolved(resolution);
    resolution_emit_balances(resolution);
    if (!is_single || resolution->is_held) return fault;
    struct sink body = {0};
    write_record(resolution, &body);
    emit_record(resolution, sink_content(&body));
    sink_free(&body);
    return fault;
}

/* ---- a reservation --------------------------------------------------------------------------------------- */

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
        int64_t amount = commit_amount(request, parts[i].item, parts[i].amount);
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
        part->amount = commit_amount(request, part->hold->item, part->hold->amount);
        if (part->amount <= part->hold->amount || request->force) continue;
        decision->fault_limit = part->hold->amount;
        if (items > 1) decision->fault_subject = part->resource;
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
    for (uint32_t i = 0; i < resolution->count; i++) names[i] = resolution->parts[i].resource;
    fault = emit_account(resolution->account, (struct resource_names){names, resolution->count}, &decision->changes);
    if (fault == ACCOUNT_FAULT_NONE) fault = resolution_resolve_parts(resolution);
    if (fault == ACCOUNT_FAULT_NONE) fault = commit_above(resolution);
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

/* Several parts, each with its windows, stand on the heap. `records`: of a reservation that lives no more. */
static enum account_fault resolve_parts(struct resolution *resolution, const struct record_hold *records)
{
    const struct stored_hold *stored = resolution->stored;
    resolution->levels = arena_alloc(resolution->account->arena, sizeof(*resolution->levels));
    if (resolution->count > 1) resolution->parts = memory_alloc(resolution->count * sizeof(*resolution->parts));
    for (uint32_t i = 0; i < resolution->count; i++) {
        struct part *part = &resolution->parts[i];
        if (records) part->expired = hold_of_record(&records[i]);
        const struct hold *hold = records ? &part->expired : &stored->hold;
        resolution_part_begin(part, hold, resolution_resource(resolution, hold));
        stored = records ? stored : stored->next;
    }
    enum account_fault fault = resolve(resolution);
    for (uint32_t i = 0; i < resolution->count; i++) sink_free(&resolution->parts[i].funding);
    if (resolution->count > 1) memory_free(resolution->parts);
    sink_free(resolution->levels);
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

static enum account_fault commit(struct account_view *account, struct account_view *above,
                                 const struct commit_request *request, struct account_decision *decision)
{
    struct part single; /* large, and mostly nothing yet */
    struct resolution resolution;
    resolution.parts = &single;
    resolution.account = account;
    resolution.above = above;
    resolution.decision = decision;
    resolution.request = request;
    resolution.stored = account_hold(account->account, request->id);
    resolution.is_held = reservation_lives(account, resolution.stored);
    decision->result.resolved.count = 0;
    if (!resolution.is_held) return commit_ended(&resolution);
    resolution.count = hold_parts(resolution.stored);
    return resolve_parts(&resolution, NULL);
}

/* A command about a reservation, of an account that is there, and not closed. */
struct call {
    struct account_view view, above[ANCESTORS_MAX];
    const struct lineage *lineage;
};

static enum account_fault begin(struct call *call, const struct account *account, const struct account_host *host,
                                struct bytes id, int64_t now_us, struct account_decision *decision)
{
    struct account_view *view = &call->view;
    account_decision_begin(decision);
    decision->fault_subject = id;
    account_view_none(view);
    now_us = lineage_instant_us(account, call->lineage, now_us);
    enum account_fault fault = lineage_begin(call->lineage, host, now_us, call->above);
    if (!account) return ACCOUNT_FAULT_MISSING;
    if (fault == ACCOUNT_FAULT_NONE) fault = account_view_begin(view, account, host, now_us);
    decision->applied_at_us = view->now_us;
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    return view->status.state == ACCOUNT_CLOSED ? ACCOUNT_FAULT_CLOSED : ACCOUNT_FAULT_NONE;
}

static void end(struct call *call, enum account_fault fault, struct account_decision *decision)
{
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, decision->fault_subject);
    if (fault != ACCOUNT_FAULT_NONE) lineage_fail(call->lineage);
    lineage_end(call->lineage, call->above);
    account_view_end(&call->view);
}

static void commit_in_general(const struct account *account, const struct account_host *host,
                              const struct commit_request *request, struct account_decision *decision)
{
    struct call call; /* large, and mostly nothing yet */
    call.lineage = request->lineage;
    enum account_fault fault = begin(&call, account, host, request->id, request->now_us, decision);
    if (fault == ACCOUNT_FAULT_NONE) fault = commit(&call.view, call.above, request, decision);
    end(&call, fault, decision);
}

/* ---- what is mere counting --------------------------------------------------------------------------------- */

/* A live reservation with one part, of this account alone; NULL where it is another. */
static const struct hold *find_plain(const struct account *account, const struct commit_request *request)
{
    const struct stored_hold *stored = account ? account_hold(account, request->id) : NULL;
    bool plain = stored && !stored->next && stored->hold.levels.size == 0 && stored->hold.expires_us > request->now_us;
    return plain && !request->lineage && request->count <= 1 ? &stored->hold : NULL;
}

/* False, and nothing done, where the general path has to decide. */
static bool count(const struct account *account, const struct account_host *host, const struct commit_request *request,
                  struct account_decision *decision)
{
    const struct hold *hold = find_plain(account, request);
    if (!hold || lineage_instant_us(account, NULL, request->now_us) != request->now_us) return false;
    int64_t posted = commit_amount(request, 0, hold->amount), remaining;
    if (!count_commit(account, host, hold, posted, request->now_us, decision, &remaining)) return false;
    struct change change; /* what its kind does not name means nothing; there is much of it */
    change.kind = CHANGE_HOLD_RESOLVED;
    change.bytes = request->id;
    change.amount = posted;
    change.remaining = remaining;
    change.charged.count = posted > 0 ? CHARGED_STORED : 0;
    change.body = (struct bytes){"", 0};
    change_encode(&change, &decision->changes);
    decision->applied_at_us = request->now_us;
    decision->result.resolved.count = 0;
    answer(decision, 0, posted, hold->amount, remaining);
    return true;
}

/* Both paths decide the same, in the same bytes: what tests and fuzzers run proves it. */
static void compare_with_general(const struct account *account, const struct account_host *host,
                                 const struct commit_request *request, const struct account_decision *decision)
{
#ifdef QUOTA_EXPECT_FATAL
    struct account_decision other;
    commit_in_general(account, host, request, &other);
    count_expect_same(decision, &other, true);
    account_decision_end(&other);
#else
    (void)account, (void)host, (void)request, (void)decision;
#endif
}

void commit_decide(const struct account *account, const struct account_host *host, const struct commit_request *request,
                   struct account_decision *decision)
{
    account_decision_begin(decision);
    if (count(account, host, request, decision)) {
        compare_with_general(account, host, request, decision);
    } else {
        commit_in_general(account, host, request, decision);
    }
}

/* ---- EXTEND ---------------------------------------------------------------------------------------------- */

void extend_decide(const struct account *account, const struct account_host *host, const struct extend_request *request,
                   struct account_decision *decision)
{
    struct call call; /* large, and mostly nothing yet */
    struct record_hold parts[HOLD_PARTS_MAX];
    uint32_t count;
    call.lineage = request->lineage;
    enum account_fault fault = begin(&call, account, host, request->id, request->now_us, decision);
    const struct stored_hold *stored = fault == ACCOUNT_FAULT_NONE ? account_hold(account, request->id) : NULL;
    if (fault == ACCOUNT_FAULT_NONE && !reservation_lives(&call.view, stored)) {
        bool known = reservation_find_outcome(&call.view, request->id, stored, parts, &count);
        fault = known ? reservation_fault(parts[0].outcome) : ACCOUNT_FAULT_NO_SUCH_ID;
    }
    if (fault == ACCOUNT_FAULT_NONE) {
        int64_t expires_us = min_i64(call.view.now_us + request->ttl_us, INSTANT_MAX_US);
        decision->result.expires_us = expires_us;
        fault =
            reservation_emit_extended(&call.view, CHANGE_HOLD_EXTENDED, request->id, expires_us, &decision->changes);
        if (fault == ACCOUNT_FAULT_NONE)
            fault = extend_above(call.lineage, call.above, request->id, stored, expires_us);
    }
    end(&call, fault, decision);
}

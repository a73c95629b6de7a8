/* Decides how reservations end; see commit.h. */
#include "quota/decide/commit.h"
#include "quota/base/checked.h"
#include "quota/decide/count.h"
#include "quota/decide/membership.h"
#include "quota/decide/pool.h"
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

static void emit_balances(const struct resolution *resolution)
{
    for (uint32_t i = 0; i < resolution->count; i++) {
        const struct part *part = &resolution->parts[i];
        if (part->first == part) credits_emit_posted(&part->view, &resolution->decision->changes);
    }
}

/* The end of the reservation, then the balances of grants as it leaves them; and of one that has expired, which FORCE
 * has posted, the record of that. */
static enum account_fault emit_end(const struct resolution *resolution)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    bool is_single = resolution->count == 1 && resolution->levels->size == 0;
    if (!is_single) fault = emit_resolved_parts(resolution);
    if (is_single && resolution->stored) emit_resolved(resolution);
    emit_balances(resolution);
    if (!is_single || resolution->is_held) return fault;
    struct sink body = {0};
    write_record(resolution, &body);
    emit_record(resolution, sink_content(&body));
    sink_free(&body);
    return fault;
}

/* ---- the accounts above ----------------------------------------------------------------------------------- */

/* What the request posts of a part: an amount for each item of the reservation. */
static int64_t amount_of(const struct commit_request *request, uint32_t item, int64_t held)
{
    if (request->release) return 0;
    return request->count == 0 ? held : request->amounts[item];
}

/* What an account above holds of this very reservation; NULL = nothing. */
static const struct stored_hold *held_above(const struct ancestor *ancestor, const struct account_view *view,
                                            struct bytes id, const struct stored_hold *stored)
{
    const struct stored_hold *held = ancestor->account ? account_member_hold(ancestor->account, id) : NULL;
    bool same = held && stored && held->hold.made_us == stored->hold.made_us;
    return same && reservation_lives(view, held) ? held : NULL;
}

/* The parts that it holds. */
static uint32_t begin_held(const struct resolution *at, struct part *parts)
{
    uint32_t count = 0;
    for (const struct stored_hold *held = at->stored; held; held = held->next) {
        struct part *part = &parts[count++];
        resolution_part_begin(part, &held->hold, resolution_resource(at, &held->hold));
        part->amount = amount_of(at->request, held->hold.item, held->hold.amount);
    }
    return count;
}

static void begin_late_part(const struct part *of, struct bytes resource, int64_t cost, struct part *part)
{
    int64_t amount = of->amount, units;
    bool fits = multiply_checked(amount, cost, &units);
    part->expired = (struct hold){.amount = amount, .units = fits ? units : INT64_MAX, .item = of->hold->item};
    part->expired.funding = (struct bytes){"", 0};
    resolution_part_begin(part, NULL, resource);
    part->amount = amount;
}

/* What it counts of a reservation that it does not hold: what is posted, as its rules count that now. */
static uint32_t begin_late(const struct resolution *root, const struct resolution *at, struct part *parts)
{
    uint32_t count = 0;
    struct resource_view now;
    for (uint32_t i = 0; i < root->count; i++) {
        const struct part *of = &root->parts[i];
        bool is_first = i == 0 || of->hold->item != root->parts[i - 1].hold->item;
        if (!at->account->plan || !is_first || of->amount == 0) continue;
        if (!resource_view_look(at->account, of->resource, &now)) continue;
        const struct entitlement *entitlement = now.entitlement;
        begin_late_part(of, of->resource, entitlement_cost(entitlement), &parts[count++]);
        if (entitlement->as.size > 0) begin_late_part(of, entitlement->as, entitlement->cost, &parts[count++]);
    }
    return count;
}

/* Units of a resource, of all parts, that are posted here: credits of the member have paid for others. And those that
 * were held so. */
static int64_t counted_of(const struct part *first)
{
    int64_t units = 0;
    for (const struct part *part = first; part; part = part->next)
        units = add_clamped(units, part->units - funding_below(sink_content(&part->funding)));
    return units;
}

static int64_t held_of(const struct part *first)
{
    int64_t units = 0;
    for (const struct part *part = first; part; part = part->next) units = add_clamped(units, hold_counted(part->hold));
    return units;
}

/* The member has used what is posted of a resource; `number`: its own, 0 = not known yet. */
static enum account_fault use_of_member(const struct resolution *at, struct bytes member, const struct part *first,
                                        int64_t *number)
{
    struct sink *changes = &at->decision->changes;
    int64_t at_us = at->is_held ? first->hold->made_us : at->account->now_us;
    bool posts = false;
    for (const struct part *part = first; part; part = part->next) posts = posts || part->amount > 0;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    if (posts && *number == 0) fault = membership_join(at->account, member, changes, number);
    if (posts && fault == ACCOUNT_FAULT_NONE)
        membership_use(at->account, &first->view, *number, counted_of(first), at_us, changes);
    return fault;
}

/* What its member has used, and where. */
static enum account_fault count_member(const struct resolution *at, struct bytes member, struct sink *level_parts)
{
    const struct member *known = members_find(account_members(at->account->account), member);
    int64_t number = known ? known->number : 0;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < at->count && fault == ACCOUNT_FAULT_NONE; i++) {
        const struct part *part = &at->parts[i];
        if (part->first == part) fault = use_of_member(at, member, part, &number);
        if (part->amount == 0) continue;
        level_part_add(level_parts, &(struct level_part){.item = part->hold->item,
                                                         .resource = part->resource,
                                                         .cost = part->hold->units / part->hold->amount,
                                                         .generation = part_view(part)->generation,
                                                         .charged = part->charged,
                                                         .funding = sink_content(&part->funding)});
    }
    return fault;
}

/* What a level leaves, and credits of the accounts below it: they pay for so many of the amount. */
static int64_t with_credits(const struct part *above, int64_t credits)
{
    int64_t cost = above->hold->units / above->hold->amount;
    if (above->remaining == UNLIMITED) return UNLIMITED;
    return wide_clamp((wide)credits * cost + above->remaining, 0, INT64_MAX);
}

/* The answer is about what the tightest of all accounts leaves. */
static void tighten(const struct resolution *root, const struct resolution *at, const struct level *level,
                    struct part *above)
{
    int64_t more = counted_of(above->first) - (at->is_held ? held_of(above->first) : 0);
    int64_t at_us = at->is_held ? above->hold->made_us : at->account->now_us;
    struct bytes member = level_member(level, root->request->lineage->name);
    above->remaining = pool_share_remaining(at->account, part_view(above), member, more, at_us, above->remaining);
    for (uint32_t i = 0; i < root->count; i++) {
        struct part *part = &root->parts[i];
        if (part->hold->item != above->hold->item) continue;
        int64_t remaining = with_credits(above, part->credits);
        part->credits = add_clamped(part->credits, above->credits);
        if (amount_is_smaller(remaining, part->remaining)) part->remaining = remaining;
    }
}

static enum account_fault resolve_parts_above(const struct resolution *root, const struct resolution *at,
                                              const struct level *level, struct sink *level_parts)
{
    struct bytes names[HOLD_PARTS_MAX];
    struct sink *changes = &at->decision->changes;
    for (uint32_t i = 0; i < at->count; i++) names[i] = at->parts[i].resource;
    enum account_fault fault = emit_account(at->account, (struct resource_names){names, at->count}, changes);
    if (fault == ACCOUNT_FAULT_NONE) fault = resolution_resolve_parts(at);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (at->stored) {
        change_encode(&(struct change){.kind = CHANGE_MEMBER_HOLD_ENDED, .bytes = hold_id(at->stored)}, changes);
    }
    emit_balances(at);
    for (uint32_t i = 0; i < at->count; i++) tighten(root, at, level, &at->parts[i]);
    return count_member(at, level_member(level, root->request->lineage->name), level_parts);
}

/* One account above: what it holds of the reservation is posted and released as here. */
static enum account_fault resolve_at(const struct resolution *root, const struct level *level,
                                     const struct ancestor *ancestor, struct account_view *view)
{
    struct member_hold_id id;
    struct sink level_parts = {0};
    struct resolution at = *root;
    struct bytes own = root->request->lineage->name;
    member_hold_id_make(&id, level_member(level, own), own, root->request->id);
    at.account = view;
    at.decision = ancestor->decision;
    at.stored = root->is_held ? held_above(ancestor, view, member_hold_id_bytes(&id), root->stored) : NULL;
    at.is_held = at.stored != NULL;
    uint32_t most = at.is_held ? hold_parts(at.stored) : 2 * root->count; /* one may be counted AS another there */
    at.parts = memory_alloc(most * sizeof(*at.parts));
    at.count = at.is_held ? begin_held(&at, at.parts) : begin_late(root, &at, at.parts);
    enum account_fault fault = at.count > 0 ? resolve_parts_above(root, &at, level, &level_parts) : ACCOUNT_FAULT_NONE;
    if (fault == ACCOUNT_FAULT_NONE && at.count > 0)
        level_add(root->levels, &(struct level){level->name, sink_content(&level_parts), level->member});
    for (uint32_t i = 0; i < at.count; i++) sink_free(&at.parts[i].funding);
    memory_free(at.parts);
    sink_free(&level_parts);
    return fault == ACCOUNT_FAULT_NONE ? fault : lineage_fault(ancestor->decision, view, fault);
}

/* Rows that only plans above know are theirs alone: here nothing is left or missing of them. */
static enum account_fault resolve_above(const struct resolution *resolution)
{
    const struct commit_request *request = resolution->request;
    const struct lineage *lineage = request->lineage;
    struct bytes names = reservation_levels(resolution->account->account, request->id, resolution->account->now_us);
    struct cursor levels = cursor_init(names);
    struct level level;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; lineage && i < resolution->count; i++) {
        struct part *part = &resolution->parts[i];
        if (!part_view(part)->entitlement) part->remaining = UNLIMITED;
    }
    while (lineage && fault == ACCOUNT_FAULT_NONE && level_next(&levels, &level)) {
        uint32_t at = lineage_find(lineage, level.name);
        bool here = at < lineage->count && lineage->ancestors[at].account;
        if (here) fault = resolve_at(resolution, &level, &lineage->ancestors[at], &resolution->above[at]);
    }
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
    if (fault == ACCOUNT_FAULT_NONE) fault = resolve_above(resolution);
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
    int64_t posted = amount_of(request, 0, hold->amount), remaining;
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

static enum account_fault emit_extended(struct account_view *view, enum change_kind kind, struct bytes id,
                                        int64_t expires_us, struct sink *changes)
{
    struct change change = {.kind = kind, .bytes = id, .expires_us = expires_us};
    enum account_fault fault = emit_account(view, NO_RESOURCES, changes);
    if (fault == ACCOUNT_FAULT_NONE) change_encode(&change, changes);
    return fault;
}

/* What an account above holds of it lives as long. */
static enum account_fault extend_at(const struct level *level, const struct ancestor *ancestor,
                                    struct account_view *view, struct bytes own, struct bytes id,
                                    const struct stored_hold *stored, int64_t expires_us)
{
    struct member_hold_id of_member;
    member_hold_id_make(&of_member, level_member(level, own), own, id);
    const struct stored_hold *held = held_above(ancestor, view, member_hold_id_bytes(&of_member), stored);
    if (!held) return ACCOUNT_FAULT_NONE;
    enum account_fault fault =
        emit_extended(view, CHANGE_MEMBER_HOLD_EXTENDED, hold_id(held), expires_us, &ancestor->decision->changes);
    return fault == ACCOUNT_FAULT_NONE ? fault : lineage_fault(ancestor->decision, view, fault);
}

static enum account_fault extend_above(struct call *call, struct bytes id, const struct stored_hold *stored,
                                       int64_t expires_us)
{
    const struct lineage *lineage = call->lineage;
    struct cursor levels = cursor_init(stored->hold.levels);
    struct level level;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    while (lineage && fault == ACCOUNT_FAULT_NONE && level_next(&levels, &level)) {
        uint32_t at = lineage_find(lineage, level.name);
        if (at == lineage->count) continue;
        fault = extend_at(&level, &lineage->ancestors[at], &call->above[at], lineage->name, id, stored, expires_us);
    }
    return fault;
}

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
        fault = emit_extended(&call.view, CHANGE_HOLD_EXTENDED, request->id, expires_us, &decision->changes);
        if (fault == ACCOUNT_FAULT_NONE) fault = extend_above(&call, request->id, stored, expires_us);
    }
    end(&call, fault, decision);
}

/* Decides refunds; see refund.h. */
#include "quota/decide/refund.h"
#include "quota/base/checked.h"
#include "quota/decide/refund_above.h"
#include "quota/decide/returning.h"

_Static_assert(REFUND_ITEMS_MAX == ACCOUNT_SLOTS_MAX, "a refund of everything may name every resource");

/* ---- resources that are counted AS others ---------------------------------------------------------------- */

static struct bytes resource_of(const struct account_view *account, uint32_t slot)
{
    return interned_string_bytes(account->account->slots[slot].resource);
}

static enum account_fault refund_other(struct refund *refund, const struct taken *taken);

/* What comes back of a resource, and of the one that it is counted AS. */
static enum account_fault refund_taken(struct refund *refund, struct taken *taken)
{
    enum account_fault fault = returning_taken(refund, taken);
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
    if (!found || returning_in_sum(refund->names, resource_of(refund->account, slot))) return ACCOUNT_FAULT_NONE;
    struct sink *changes = &refund->decision->changes;
    enum account_fault fault =
        returning_begin_other(refund, &other, resource_of(refund->account, slot), changes, &result);
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

/* The audit trail, behind what was given back. */
static void emit_trail(const struct account_view *account, const struct refund_request *request, int32_t slot,
                       const struct refunded *result, struct sink *changes)
{
    emit_audit(account, AUDIT_REFUND, slot, result->refunded, request->actor, request->reason, changes);
}

/* The slot, if there was none, and the trail. */
static enum account_fault finish(struct refund *refund)
{
    struct sink *changes = &refund->decision->changes;
    enum account_fault fault = emit_slot(refund->account, &refund->view, changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    emit_trail(refund->account, refund->request, refund->view.index, refund->result, changes);
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
        struct resource_view now;
        bool known = resource_view_look(refund->account, refund->resource, &now);
        return known ? now.entitlement->as : (struct bytes){"", 0};
    }
    bool found = refund->view.index >= 0 && taken_find(refund->account, slot, of, &taken) &&
                 taken_find_other(refund->account, slot, of, &taken, &slot, &other);
    return found ? resource_of(refund->account, slot) : (struct bytes){"", 0};
}

/* Does an account above know the resource, where this one does not? */
static bool is_known_above(const struct refund *refund, const struct account_view *views)
{
    const struct lineage *lineage = refund->request->lineage;
    struct resource_view now;
    for (uint32_t i = 0; lineage && i < lineage->count; i++) {
        bool is_here = lineage->ancestors[i].account && views[i].plan;
        if (is_here && resource_view_look(&views[i], refund->resource, &now)) return true;
    }
    return false;
}

/* Without a name the same amount comes back to all accounts: the least that one of them counts. */
static enum account_fault most_newest(const struct refund *refund, struct account_view *views, int64_t *most)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    if (refund->view.entitlement) fault = returning_newest_most(refund, most);
    *most = min_i64(*most, refund->amount);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    return refund_above_newest_most(refund->account, refund->request, views, most);
}

/* What comes back here, then what comes back above. */
static enum account_fault give_back(struct refund *refund, struct account_view *views)
{
    const struct refund_request *request = refund->request;
    bool known = refund->view.entitlement != NULL;
    int64_t most = refund->amount;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    *refund->result = (struct refunded){0, refund->amount, 0};
    if (request->of.size > 0) {
        fault = refund_named(refund);
    } else {
        fault = most_newest(refund, views, &most);
        if (fault == ACCOUNT_FAULT_NONE && known) fault = returning_newest(refund, most);
    }
    if (fault != ACCOUNT_FAULT_NONE || !request->lineage) return fault;
    struct returned_item item = {.slot = (uint32_t)refund->view.index,
                                 .amount = refund->amount,
                                 .result = refund->result,
                                 .most = most,
                                 .known = known};
    item.credits = returning_credits(refund);
    return refund_above(refund->account, request, views, &item, 1);
}

static enum account_fault give_or_lose(struct refund *refund, struct account_view *views)
{
    const struct refund_request *request = refund->request;
    struct sink *changes = &refund->decision->changes;
    struct bytes names[2] = {refund->resource, other_name(refund)};
    uint32_t names_count = names[1].size > 0 ? 2 : 1;
    enum account_fault fault = emit_account(refund->account, (struct resource_names){names, names_count}, changes);
    if (fault == ACCOUNT_FAULT_NONE) fault = returning_settle(refund, changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    bool could_be_used = refund->view.index >= 0 && request->of.size > 0;
    could_be_used = could_be_used || refund->view.entitlement || is_known_above(refund, views);
    if (!could_be_used) return ACCOUNT_FAULT_RESOURCE;
    fault = give_back(refund, views);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (changes_nothing(refund)) {
        changes->size = 0;
        return ACCOUNT_FAULT_NONE;
    }
    fault = finish(refund);
    return fault == ACCOUNT_FAULT_NONE && request->id.size > 0 ? remember(refund) : fault;
}

static enum account_fault refund_one(struct account_view *account, struct account_view *views,
                                     const struct refund_request *request, struct account_decision *decision)
{
    struct refund refund; /* large, and mostly nothing yet */
    refund.request = request;
    refund.account = account;
    refund.decision = decision;
    refund.resource = request->resource;
    refund.amount = request->amount;
    refund.is_other = false;
    refund.names = NO_RESOURCES;
    refund.result = &decision->result.refund.items[0];
    *refund.result = (struct refunded){0, 0, 0};
    decision->result.refund.count = 1;
    decision->fault_subject = request->resource;
    resource_view_begin(account, request->resource, &refund.view);
    return refund.view.index >= 0 && replay(&refund) ? decision->fault : give_or_lose(&refund, views);
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

/* Whose units a row is counted in: its own, or those of the resource that it was counted AS, or would be. */
static struct bytes counting_of(const struct refund *refund, uint32_t slot, const struct taken *taken)
{
    struct taken other;
    uint32_t other_slot;
    bool was_other = taken && taken_find_other(refund->account, slot, refund->request->of, taken, &other_slot, &other);
    if (was_other) return resource_of(refund->account, other_slot);
    const struct entitlement *entitlement = taken ? NULL : refund->view.entitlement;
    return entitlement && entitlement->as.size > 0 ? entitlement->as : refund->resource;
}

/* What is left of a resource where nothing comes back. */
static enum account_fault look_at(struct refund *refund, struct bytes counting)
{
    struct refund other; /* large, and mostly nothing yet */
    struct refunded result;
    refund->result->remaining = returning_remaining(refund);
    if (bytes_equal(counting, refund->resource)) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = returning_begin_other(refund, &other, counting, NULL, &result);
    if (fault == ACCOUNT_FAULT_NONE) refund->result->remaining = returning_remaining(&other);
    return fault;
}

/* The same where other rows bring units of it back. */
static void share_remaining(struct returned_item *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; items[i].amount == 0 && k < count; k++) {
            bool brings = items[k].amount > 0 && bytes_equal(items[k].counting, items[i].counting);
            if (brings) items[i].result->remaining = items[k].result->remaining;
        }
    }
}

/* What is left of one resource comes back; of one that has nothing left nothing is written. What comes back in sum
 * comes behind all of them. */
static enum account_fault refund_rest(struct refund *refund, uint32_t slot, struct returned_item *item)
{
    struct taken taken;
    struct account_decision *decision = refund->decision;
    bool found = taken_find(refund->account, slot, refund->request->of, &taken);
    refund->resource = resource_of(refund->account, slot);
    refund->amount = found ? taken_left(&taken) : 0;
    refund->result = &decision->result.refund.items[decision->result.refund.count++];
    *refund->result = (struct refunded){0, 0, 0};
    decision->fault_subject = refund->resource;
    bool in_sum = refund->amount > 0 && returning_in_sum(refund->names, refund->resource);
    resource_view_begin(refund->account, refund->resource, &refund->view);
    enum account_fault fault = returning_settle(refund, refund->amount > 0 && !in_sum ? &decision->changes : NULL);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    item->slot = slot;
    item->amount = refund->amount;
    item->result = refund->result;
    item->known = refund->view.entitlement != NULL;
    if (in_sum) returning_remember(refund, &taken);
    if (refund->amount > 0 && !in_sum) fault = refund_taken(refund, &taken);
    item->credits = returning_credits(refund);
    item->counting = counting_of(refund, slot, found ? &taken : NULL);
    return refund->amount > 0 ? fault : look_at(refund, item->counting);
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

/* ---- rows that are counted as one resource ----------------------------------------------------------------- */

/* The part of a row that was counted as this resource, and how many units of it come back; 0 = there is none. */
static int64_t find_part(const struct refund *refund, const struct returned_item *item, struct taken *part)
{
    struct taken taken;
    struct bytes of = refund->request->of;
    uint32_t slot;
    if (item->amount == 0 || !taken_find(refund->account, item->slot, of, part)) return 0;
    if (bytes_equal(resource_of(refund->account, item->slot), refund->resource)) return item->amount * part->cost;
    taken = *part;
    bool found = taken_find_other(refund->account, item->slot, of, &taken, &slot, part) &&
                 bytes_equal(resource_of(refund->account, slot), refund->resource);
    return found ? item->amount * part->cost : 0;
}

/* What came back in sum is what the rows drew last: so the last of them got it back first. */
static void share_back(const struct refund *refund, struct returned_item *items, uint32_t count)
{
    int64_t back = refund->back;
    struct taken part;
    for (uint32_t i = count; i-- > 0;) {
        int64_t units = find_part(refund, &items[i], &part), got = min_i64(units, back);
        if (units == 0) continue;
        back -= got;
        *items[i].result =
            (struct refunded){got / part.cost, items[i].amount - got / part.cost, refund->result->remaining};
        items[i].credits = returning_credits(refund);
    }
}

static enum account_fault return_sum(struct refund *refund, struct returned_item *items, uint32_t count)
{
    struct sink funding = {0};
    struct taken sum = {.amount = 0}, part;
    bool together = true;
    for (uint32_t i = 0; i < count && together; i++) {
        int64_t units = find_part(refund, &items[i], &part);
        if (units > 0) together = taken_join(&sum, &part, 0, units, &funding);
    }
    refund->amount = sum.amount;
    refund->is_other = true; /* the rows remember what comes back */
    refund->result = arena_alloc(refund->account->arena, sizeof(*refund->result));
    refund->decision->fault_subject = refund->resource;
    resource_view_begin(refund->account, refund->resource, &refund->view);
    enum account_fault fault = together ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_TOGETHER;
    if (fault == ACCOUNT_FAULT_NONE) fault = returning_settle(refund, &refund->decision->changes);
    if (fault == ACCOUNT_FAULT_NONE) fault = returning_taken(refund, &sum);
    if (fault == ACCOUNT_FAULT_NONE) share_back(refund, items, count);
    sink_free(&funding);
    return fault;
}

/* Each resource that several rows come back to. */
static enum account_fault return_sums(struct refund *refund, struct returned_item *items, uint32_t count)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < refund->names.count && fault == ACCOUNT_FAULT_NONE; i++) {
        uint32_t first = 0;
        refund->resource = refund->names.names[i];
        while (!bytes_equal(refund->names.names[first], refund->resource)) first++;
        if (first == i && returning_in_sum(refund->names, refund->resource)) fault = return_sum(refund, items, count);
    }
    return fault;
}

/* ---- all rows ------------------------------------------------------------------------------------------------ */

/* What comes back here. */
static enum account_fault give_all_back(struct refund *refund, const uint32_t *slots, struct returned_item *items,
                                        uint32_t count)
{
    struct sink *changes = &refund->decision->changes;
    enum account_fault fault = emit_account(refund->account, refund->names, changes);
    for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && i < count; i++)
        fault = refund_rest(refund, slots[i], &items[i]);
    if (fault == ACCOUNT_FAULT_NONE) fault = return_sums(refund, items, count);
    if (fault == ACCOUNT_FAULT_NONE) share_remaining(items, count);
    for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && i < count; i++) {
        if (items[i].amount == 0) continue;
        emit_trail(refund->account, refund->request, (int32_t)items[i].slot, items[i].result, changes);
    }
    return fault;
}

/* Every resource of the consumption, or nothing where one of them refuses. */
static enum account_fault refund_all(struct account_view *account, struct account_view *views,
                                     const struct refund_request *request, struct account_decision *decision)
{
    uint32_t slots[REFUND_ITEMS_MAX];
    struct returned_item items[REFUND_ITEMS_MAX];
    struct bytes names[2 * REFUND_ITEMS_MAX];
    struct refund refund; /* large, and mostly nothing yet */
    if (replay_all(account, request, decision)) return decision->fault;
    uint32_t count = taken_slots(account, request->of, slots);
    decision->fault_subject = request->of;
    if (count == 0) return ACCOUNT_FAULT_NO_SUCH_ID;
    refund.request = request;
    refund.account = account;
    refund.decision = decision;
    refund.is_other = false;
    refund.names = (struct resource_names){names, own_names(account, request->of, slots, count, names)};
    enum account_fault fault = give_all_back(&refund, slots, items, count);
    if (fault == ACCOUNT_FAULT_NONE && request->lineage) fault = refund_above(account, request, views, items, count);
    if (fault == ACCOUNT_FAULT_NONE && request->id.size > 0) return remember_all(account, request, decision);
    if (refund.names.count == 0) decision->changes.size = 0; /* nothing came back, and no id has to be remembered */
    return fault;
}

void refund_decide(const struct account *account, const struct account_host *host, const struct refund_request *request,
                   struct account_decision *decision)
{
    struct account_view view, above[ANCESTORS_MAX]; /* large, and mostly nothing */
    account_view_none(&view);
    view.now_us = 0;
    account_decision_begin(decision);
    decision->result.refund.count = 0;
    int64_t now_us = lineage_instant_us(account, request->lineage, request->now_us);
    enum account_fault fault_above = lineage_begin(request->lineage, host, now_us, above);
    enum account_fault fault = account ? account_view_begin(&view, account, host, now_us) : ACCOUNT_FAULT_MISSING;
    if (fault == ACCOUNT_FAULT_NONE) fault = fault_above;
    decision->applied_at_us = view.now_us;
    if (fault == ACCOUNT_FAULT_NONE && view.status.state == ACCOUNT_CLOSED) fault = ACCOUNT_FAULT_CLOSED;
    if (fault == ACCOUNT_FAULT_NONE && !view.plan) fault = ACCOUNT_FAULT_EXPIRED;
    if (fault == ACCOUNT_FAULT_NONE)
        fault =
            request->all ? refund_all(&view, above, request, decision) : refund_one(&view, above, request, decision);
    if (fault != ACCOUNT_FAULT_NONE) account_decision_refuse(decision, &view, fault);
    if (fault != ACCOUNT_FAULT_NONE) lineage_fail(request->lineage);
    lineage_end(request->lineage, above);
    account_view_end(&view);
}

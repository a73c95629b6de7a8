/* Decides consumptions and remembers them; the walk is in consume.h. */
#include "quota/decide/consume.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/decide/api_key.h"
#include "quota/decide/count_above.h"

/* ---- records --------------------------------------------------------------------------------------------- */

/* What makes two requests with the same id differ, beside items and amounts. */
static uint8_t request_mark(const struct consume_request *request)
{
    bool upto = request->mode == MODE_UPTO, force = request->mode == MODE_FORCE;
    return (uint8_t)((upto ? 1 : 0) | (force ? 2 : 0) | (request->any ? 4 : 0));
}

static enum record_operation request_operation(const struct consume_request *request)
{
    return request->batch ? RECORD_BATCH : RECORD_CONSUME;
}

/* CHECK with a known id answers from the record whatever mode and instant the record was made with. `parts`: the first
 * of an item holds the amount that was requested. */
static bool record_matches(const struct account *account, const struct consume_request *request,
                           const struct record_item *parts, uint32_t count, uint8_t mark)
{
    uint8_t same = request->mode == MODE_PEEK ? mark : request_mark(request);
    uint32_t items = 0;
    if (mark != same || (request->mode != MODE_PEEK && parts->at_us != request->at_us)) return false;
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].item < items) continue; /* another part of the item before */
        if (items == request->count) return false;
        const struct consume_item *wanted = &request->items[items++];
        int32_t slot = account_slot(account, wanted->resource);
        if (slot != (int32_t)parts[i].slot || wanted->amount != parts[i].amount) return false;
    }
    return items == request->count;
}

/* The record of this id; false if there is none. A resource without a slot has no records either. */
static bool find_record(const struct account *account, const struct consume_request *request, int64_t now_us,
                        struct idempotency_entry *entry)
{
    struct record_key key;
    int32_t slot = request->batch ? RECORD_NO_SLOT : account_slot(account, request->items[0].resource);
    if (request->id.size == 0 || slot < 0) return false;
    record_key_make(&key, request_operation(request), (uint32_t)slot, request->id);
    return idempotency_find(account_idempotency(account), record_key_bytes(&key), now_us, entry);
}

/* Answers from the record of this id. */
static void replay(const struct account *account, const struct consume_request *request,
                   const struct idempotency_entry *entry, struct account_decision *decision)
{
    struct record_item parts[BATCH_ITEMS_MAX];
    uint32_t count;
    uint8_t mark;
    /* A record that cannot be read must not be taken for an id that was never seen: it would be charged twice. */
    bool read = expect(record_items_decode(entry->body, parts, &count, &mark));
    if (!read || !record_matches(account, request, parts, count, mark)) {
        account_decision_fail(decision, ACCOUNT_FAULT_CONFLICT, request->id);
        return;
    }
    decision->replayed = true;
    decision->result.consumed.count = request->count;
    for (uint32_t i = count; i-- > 0;) decision->result.consumed.verdicts[parts[i].item] = parts[i].verdict;
}

/* Of a resource that only plans above know nothing is charged here: the record says what was requested. */
static uint32_t part_of_nothing(const struct demands *demands, uint32_t row, struct demand_part *part)
{
    *part = (struct demand_part){.view = &demands->views[row], .cost = 1, .funding = {"", 0}};
    return 1;
}

/* Every part of every row; 0 = there are too many. */
static uint32_t record_parts(const struct demands *demands, struct record_item items[BATCH_ITEMS_MAX])
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < demands->count; row++) {
        struct demand_part parts[2];
        uint32_t parts_count = demands_parts(demands, row, parts);
        if (parts_count == 0) parts_count = part_of_nothing(demands, row, parts);
        for (uint32_t i = 0; i < parts_count; i++) {
            if (count == BATCH_ITEMS_MAX) return 0;
            struct record_item *item = &items[count++];
            item->slot = (uint32_t)parts[i].view->index;
            item->item = row;
            item->amount = demands->wanted[row].amount;
            item->cost = parts[i].cost;
            item->generation = parts[i].view->generation;
            item->at_us = demands->at_us;
            item->charged = parts[i].charged;
            item->funding = parts[i].funding;
            item->verdict = demands->decision->result.consumed.verdicts[row];
        }
    }
    return count;
}

/* Writes the record down. `levels`: of the accounts above, empty = none count the units. */
static enum account_fault emit_record(const struct consume_request *request, const struct record_item *items,
                                      uint32_t count, struct bytes levels, int64_t expires_us,
                                      struct account_decision *decision)
{
    struct record_key key;
    char stack_buffer[256];
    struct sink body = sink_init(stack_buffer, sizeof(stack_buffer));
    record_items_encode(items, count, request_mark(request), levels, &body);
    bool fits = body.size <= IDEMPOTENCY_BODY_MAX;
    if (fits) {
        struct change change; /* what its kind does not name means nothing; there is much of it */
        bool is_one = !request->batch && count > 0;
        record_key_make(&key, request_operation(request), is_one ? items->slot : RECORD_NO_SLOT, request->id);
        change.kind = CHANGE_RECORD;
        change.bytes = record_key_bytes(&key);
        change.body = sink_content(&body);
        change.expires_us = min_i64(expires_us, INSTANT_MAX_US);
        change_encode(&change, &decision->changes);
        decision->adds_record = true;
    }
    sink_free(&body);
    return fits ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_FUNDING;
}

static enum account_fault remember(struct demands *demands, const struct consume_request *request)
{
    struct account_view *view = demands->account;
    struct account_decision *decision = demands->decision;
    struct record_item items[BATCH_ITEMS_MAX];
    if (!account_view_has_room(view)) return ACCOUNT_FAULT_RECORDS;
    enum account_fault fault = demands_name_rows(demands);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    uint32_t count = record_parts(demands, items);
    if (count == 0) return ACCOUNT_FAULT_PARTS;
    struct sink levels = {0};
    if (!decision->denied) demands_levels(demands, true, &levels);
    int64_t expires_us = view->now_us + view->host->kept_us;
    fault = emit_record(request, items, count, sink_content(&levels), expires_us, decision);
    sink_free(&levels);
    return fault;
}

/* ---- one request ----------------------------------------------------------------------------------------- */

/* A request on its way. */
struct consumption {
    const struct consume_request *request;
    struct account_decision *decision;
    struct demands demands;
};

/* ANY took one item. What time has done to the others is among the changes already, so they are written down as well.
 * One that was never used has nothing to write down, unless the record names it: then it gets a slot. */
static enum account_fault emit_others(struct consumption *consumption, bool remembers)
{
    struct demands *demands = &consumption->demands;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < demands->views_count && fault == ACCOUNT_FAULT_NONE; i++) {
        struct resource_view *view = &demands->views[i];
        bool taken = false;
        for (uint32_t k = 0; k < demands->each_count; k++)
            taken = taken || (demands->each[k].chosen && demands->each[k].view == view);
        if (taken || !(remembers || resource_needs_storing(view))) continue;
        fault = emit_resource(demands->account, view, &consumption->decision->changes);
    }
    return fault;
}

/* A denial is remembered under its id where the request is STICKY. */
static enum account_fault deny(struct consumption *consumption, bool remembers)
{
    struct demands *demands = &consumption->demands;
    enum account_fault fault = demands_emit_denial(demands, remembers);
    if (fault != ACCOUNT_FAULT_NONE || !remembers) return fault;
    return remember(demands, consumption->request);
}

static enum account_fault decide(struct consumption *consumption)
{
    const struct consume_request *request = consumption->request;
    struct account_decision *decision = consumption->decision;
    struct demands *demands = &consumption->demands;
    bool remembers = request->id.size > 0 && request->mode != MODE_PEEK;
    enum account_fault fault = demands_settle(demands, request->count > 1 && !request->any ? ROWS_SUMMED : ROWS_APART);
    if (fault == ACCOUNT_FAULT_NONE) fault = demands_peek(demands, request->mode, request->any);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (decision->denied || request->mode == MODE_PEEK) {
        demands_answer(demands);
        if (!decision->denied || request->mode == MODE_PEEK) return ACCOUNT_FAULT_NONE;
        return deny(consumption, remembers && request->sticky);
    }
    fault = demands_take(demands);
    if (fault == ACCOUNT_FAULT_NONE && request->any) fault = emit_others(consumption, remembers);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    demands_answer(demands);
    if (demands->key) api_key_emit_used(demands->key, demands->account->now_us, &decision->changes);
    return remembers ? remember(demands, request) : ACCOUNT_FAULT_NONE;
}

/* Several items, each with its windows, stand on the heap. */
static enum account_fault decide_batch(struct consumption *consumption)
{
    struct demands *demands = &consumption->demands;
    struct demand *each = memory_alloc(demands->count * sizeof(*each));
    struct resource_view *views = memory_alloc(demands->count * sizeof(*views));
    demands->each = each;
    demands->views = views;
    enum account_fault fault = decide(consumption);
    memory_free(each);
    memory_free(views);
    return fault;
}

static enum account_fault consume(struct account_view *view, struct account_view *above,
                                  const struct consume_request *request, const struct stored_api_key *key,
                                  struct account_decision *decision)
{
    struct demand demand; /* of a single item: these two are large, and mean nothing yet */
    struct resource_view resource;
    struct consumption consumption;
    consumption.request = request;
    consumption.decision = decision;
    consumption.demands.each = &demand;
    consumption.demands.views = &resource;
    demands_begin(&consumption.demands, view, request->items, request->count, decision);
    consumption.demands.at_us = request->at_us;
    demands_add_lineage(&consumption.demands, request->lineage, above);
    consumption.demands.key = key;
    enum account_fault fault = request->count == 1 ? decide(&consumption) : decide_batch(&consumption);
    demands_end(&consumption.demands);
    return fault;
}

/* ---- what is mere counting --------------------------------------------------------------------------------- */

/* The record of units that were counted (count.h): each row has one part. False where there is no room for it. */
static bool record_counted(const struct account *account, const struct account_host *host,
                           const struct consume_request *request, const struct counted *counted, struct bytes levels,
                           struct account_decision *decision)
{
    struct record_item items[BATCH_ITEMS_MAX];
    for (uint32_t i = 0; i < request->count; i++) {
        const struct slot_optional *optional = account->slots[counted[i].slot].optional;
        struct record_item *item = &items[i];
        item->slot = counted[i].slot;
        item->item = i;
        item->amount = request->items[i].amount;
        item->cost = entitlement_cost(counted[i].entitlement);
        item->generation = optional ? optional->generation : 0;
        item->at_us = request->at_us;
        item->charged = charged_of(counted[i].entitlement);
        item->funding = (struct bytes){"", 0};
        item->verdict = decision->result.consumed.verdicts[i];
    }
    int64_t expires_us = decision->applied_at_us + host->kept_us;
    return emit_record(request, items, request->count, levels, expires_us, decision) == ACCOUNT_FAULT_NONE;
}

/* May the client spend? Then its key, NULL = it brings none. One that has RATEs is a view more. */
static bool bears_plain_key(const struct account *account, const struct consume_request *request, int64_t now_us,
                            const struct stored_api_key **key)
{
    *key = NULL;
    if (request->key.digest.size == 0) return true;
    enum account_fault fault = api_key_verify(account, &request->key, now_us, key);
    return fault == ACCOUNT_FAULT_NONE && (*key)->key.rules.size == 0;
}

static struct count_request row_of(const struct consume_request *request, uint32_t row, int64_t now_us)
{
    const struct consume_item *item = &request->items[row];
    return (struct count_request){.resource = item->resource,
                                  .amount = item->amount,
                                  .mode = request->mode,
                                  .at_us = request->at_us,
                                  .now_us = now_us};
}

/* Every row is mere counting, here and above, or none is taken. Resources that only count are apart from each other. */
struct counting_rows {
    struct count_request rows[BATCH_ITEMS_MAX];
    struct verdict_fold folds[BATCH_ITEMS_MAX];
    struct counted counted[BATCH_ITEMS_MAX];
    struct counted_above above;
};

static bool leave_to_general(const struct consume_request *request, struct account_decision *decision)
{
    count_above_end(request->lineage);
    decision->changes.size = 0;
    decision->result.consumed.count = 0;
    return false;
}

static bool count_rows(const struct account *account, const struct account_host *host,
                       const struct consume_request *request, int64_t now_us, struct account_decision *decision,
                       struct counting_rows *counting)
{
    uint32_t row = 0;
    bool counts = true;
    for (; row < request->count && counts; row++) {
        counting->rows[row] = row_of(request, row, now_us);
        counting->folds[row] = (struct verdict_fold){.begun = false};
        counts =
            count_decide(account, host, &counting->rows[row], decision, &counting->folds[row], &counting->counted[row]);
    }
    if (counts && request->lineage)
        counts = count_above(request->lineage, host, counting->rows, row, counting->folds, &counting->above);
    if (!counts) decision->changes.size = 0;
    for (uint32_t i = 0; counts && i < row; i++) count_answer(decision, request->items[i].amount, &counting->folds[i]);
    return counts;
}

static bool remember_counted(const struct account *account, const struct account_host *host,
                             const struct consume_request *request, const struct counting_rows *counting,
                             struct account_decision *decision)
{
    char stack_buffer[256];
    struct sink levels = sink_init(stack_buffer, sizeof(stack_buffer));
    count_above_levels(request->lineage, &counting->above, request->count, &levels);
    bool fits = record_counted(account, host, request, counting->counted, sink_content(&levels), decision);
    sink_free(&levels);
    return fits || leave_to_general(request, decision);
}

/* False, and nothing done, where the general path has to decide. */
static bool count(const struct account *account, const struct account_host *host, const struct consume_request *request,
                  int64_t now_us, struct account_decision *decision)
{
    struct counting_rows counting; /* large: only what there is means anything */
    const struct stored_api_key *key;
    bool plain = !request->any && request->mode != MODE_PEEK && now_us == request->now_us;
    bool remembers = request->id.size > 0;
    if (!plain || !bears_plain_key(account, request, now_us, &key)) return false;
    if (remembers && !account_has_room(account, host, now_us)) return false;
    bool admits = count_rows(account, host, request, now_us, decision, &counting);
    bool may_deny = !admits && request->count == 1 && !request->lineage && !(remembers && request->sticky);
    bool denies = may_deny && count_deny(account, host, &counting.rows[0], decision);
    decision->applied_at_us = now_us;
    if (admits && key) api_key_emit_used(key, now_us, &decision->changes);
    if (admits && remembers) return remember_counted(account, host, request, &counting, decision);
    return admits || denies;
}

/* ---- the decision ------------------------------------------------------------------------------------------ */

/* The general path. `entry`: the record of the request's id; NULL = there is none. */
static void decide_in_general(const struct account *account, const struct account_host *host,
                              const struct consume_request *request, const struct idempotency_entry *entry,
                              int64_t now_us, struct account_decision *decision)
{
    struct account_view view, above[ANCESTORS_MAX]; /* large, and mostly nothing */
    enum account_fault fault = account_view_begin(&view, account, host, now_us);
    enum account_fault fault_above = lineage_begin(request->lineage, host, now_us, above);
    if (fault == ACCOUNT_FAULT_NONE) fault = fault_above;
    view.clock_us = request->now_us;
    decision->applied_at_us = view.now_us;
    view.effects = &decision->changes;
    const struct stored_api_key *key = NULL;
    /* Before a retry is answered, too: a client that has lost the key gets no reply from memory. */
    bool verifies = fault == ACCOUNT_FAULT_NONE && request->key.digest.size > 0;
    enum account_fault refusal =
        verifies ? api_key_verify(account, &request->key, view.now_us, &key) : ACCOUNT_FAULT_NONE;
    if (refusal != ACCOUNT_FAULT_NONE) {
        account_decision_fail(decision, refusal, request->key.scope);
    } else if (entry) {
        replay(account, request, entry, decision);
    } else {
        if (fault == ACCOUNT_FAULT_NONE) fault = account_view_refusal(&view);
        if (fault == ACCOUNT_FAULT_NONE) fault = lineage_refusal(request->lineage, above);
        if (fault == ACCOUNT_FAULT_NONE) fault = consume(&view, above, request, key, decision);
        if (fault != ACCOUNT_FAULT_NONE) account_decision_refuse(decision, &view, fault);
    }
    if (decision->fault != ACCOUNT_FAULT_NONE) lineage_fail(request->lineage);
    lineage_end(request->lineage, above);
    account_view_end(&view);
}

/* Both paths decide the same, in the same bytes: what tests and fuzzers run proves it. */
static void compare_with_general(const struct account *account, const struct account_host *host,
                                 const struct consume_request *request, const struct account_decision *decision)
{
#ifdef QUOTA_EXPECT_FATAL
    struct consume_request again = *request;
    struct lineage lineage;
    struct account_decision other, *above = memory_alloc(ANCESTORS_MAX * sizeof(*above));
    uint32_t count = request->lineage ? request->lineage->count : 0;
    if (request->lineage) lineage = *request->lineage;
    if (request->lineage) again.lineage = &lineage;
    for (uint32_t i = 0; i < count; i++) lineage.ancestors[i].decision = &above[i];
    account_decision_begin(&other);
    decide_in_general(account, host, &again, NULL, request->now_us, &other);
    count_expect_same(decision, &other, false);
    for (uint32_t i = 0; i < count; i++) {
        count_expect_same(request->lineage->ancestors[i].decision, &above[i], false);
        account_decision_end(&above[i]);
    }
    account_decision_end(&other);
    memory_free(above);
#else
    (void)account, (void)host, (void)request, (void)decision;
#endif
}

void consume_decide(const struct account *account, const struct account_host *host,
                    const struct consume_request *request, struct account_decision *decision)
{
    struct idempotency_entry entry;
    account_decision_begin(decision);
    int64_t now_us = lineage_instant_us(account, request->lineage, request->now_us);
    bool known = find_record(account, request, now_us, &entry);
    if (!known && count(account, host, request, now_us, decision)) {
        compare_with_general(account, host, request, decision);
    } else {
        decide_in_general(account, host, request, known ? &entry : NULL, now_us, decision);
    }
}

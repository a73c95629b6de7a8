/* Decides consumptions and remembers them; the walk is in consume.h. */
#include "quota/decide/consume.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/decide/admission.h"

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

/* CHECK with a known id answers from the record whatever mode the record was made with. */
static bool record_matches(const struct account *account, const struct consume_request *request,
                           const struct record_item *items, uint32_t count, uint8_t mark)
{
    uint8_t same = request->mode == MODE_PEEK ? mark : request_mark(request);
    if (count != request->count || mark != same) return false;
    for (uint32_t i = 0; i < count; i++) {
        int32_t slot = account_slot(account, request->items[i].resource);
        if (slot != (int32_t)items[i].slot || request->items[i].amount != items[i].amount) return false;
    }
    return true;
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

/* Answers from the record of this id; false if there is none. */
static bool replay(const struct account *account, const struct consume_request *request, int64_t now_us,
                   struct account_decision *decision)
{
    struct idempotency_entry entry;
    struct record_item items[BATCH_ITEMS_MAX];
    uint32_t count;
    uint8_t mark;
    if (!find_record(account, request, now_us, &entry)) return false;
    /* A record that cannot be read must not be taken for an id that was never seen: it would be charged twice. */
    bool read = expect(record_items_decode(entry.body, items, &count, &mark));
    if (!read || !record_matches(account, request, items, count, mark)) {
        account_decision_fail(decision, ACCOUNT_FAULT_CONFLICT, request->id);
        return true;
    }
    decision->replayed = true;
    decision->result.consumed.count = count;
    for (uint32_t i = 0; i < count; i++) decision->result.consumed.verdicts[i] = items[i].verdict;
    return true;
}

static enum account_fault remember(const struct account_view *view, const struct consume_request *request,
                                   const struct demand *demands, struct account_decision *decision)
{
    struct record_key key;
    struct record_item items[BATCH_ITEMS_MAX];
    char stack_buffer[256];
    struct sink body = sink_init(stack_buffer, sizeof(stack_buffer));
    if (!account_view_has_room(view)) return ACCOUNT_FAULT_RECORDS;
    for (uint32_t i = 0; i < request->count; i++) {
        items[i].slot = (uint32_t)demands[i].view->index;
        items[i].amount = request->items[i].amount;
        items[i].cost = demands[i].view->entitlement->cost;
        items[i].generation = demands[i].view->generation;
        items[i].charged = charged_of(demands[i].view->entitlement);
        items[i].funding = demand_funding(&demands[i]);
        items[i].verdict = decision->result.consumed.verdicts[i];
    }
    record_items_encode(items, request->count, request_mark(request), &body);
    if (body.size > IDEMPOTENCY_BODY_MAX) {
        sink_free(&body);
        return ACCOUNT_FAULT_FUNDING;
    }
    record_key_make(&key, request_operation(request),
                    request->batch ? RECORD_NO_SLOT : (uint32_t)demands[0].view->index, request->id);
    struct change change = {.kind = CHANGE_RECORD,
                            .bytes = record_key_bytes(&key),
                            .body = {body.data, body.size},
                            .expires_us = min_i64(view->now_us + view->host->kept_us, INSTANT_MAX_US)};
    change_encode(&change, &decision->changes);
    decision->adds_record = true;
    sink_free(&body);
    return ACCOUNT_FAULT_NONE;
}

/* ---- one request ----------------------------------------------------------------------------------------- */

/* A request on its way: a view and a demand for each item, and an item of the admission. */
struct consumption {
    struct account_view *view;
    const struct consume_request *request;
    struct account_decision *decision;
    struct demand *demands;
    struct resource_view *views;
    struct admission_item items[BATCH_ITEMS_MAX];
    struct admission admission;
    struct sink meanwhile; /* changes that time has made: written down in front of what is taken, if anything is */
};

/* Brings the account and every resource to now. */
static enum account_fault settle(struct consumption *consumption, struct resource_names own)
{
    const struct consume_request *request = consumption->request;
    struct account_decision *decision = consumption->decision;
    enum account_fault fault = emit_account(consumption->view, own, &consumption->meanwhile);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    for (uint32_t i = 0; i < request->count; i++) {
        struct resource_view *view = &consumption->views[i];
        decision->fault_subject = request->items[i].resource;
        resource_view_begin(consumption->view, request->items[i].resource, view);
        fault = resource_view_settle(consumption->view, view, &consumption->meanwhile);
        if (fault == ACCOUNT_FAULT_NONE && !view->entitlement) fault = ACCOUNT_FAULT_RESOURCE;
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        demand_begin(&consumption->demands[i], consumption->view, view, request->items[i].amount);
        consumption->items[i] = (struct admission_item){i, i + 1};
    }
    return ACCOUNT_FAULT_NONE;
}

static void answer(struct consumption *consumption)
{
    struct account_decision *decision = consumption->decision;
    struct verdict *verdicts = decision->result.consumed.verdicts;
    uint32_t count = decision->result.consumed.count = consumption->request->count;
    for (uint32_t i = 0; i < count; i++) {
        admission_verdict(&consumption->admission, &consumption->items[i], &verdicts[i]);
        bool denies = decision->denied && verdicts[i].wait_us != 0;
        if (denies) decision_add_cause(decision, &consumption->views[i], &verdicts[i]);
    }
    bool all_or_none = count > 1 && decision->denied && !consumption->request->any;
    if (all_or_none) admission_align_waits(&consumption->admission, consumption->items, count, verdicts);
    bool clock_is_behind = consumption->view->clock_us < consumption->view->now_us;
    for (uint32_t i = 0; clock_is_behind && i < count; i++) {
        verdicts[i].wait_us = account_view_wait_us(consumption->view, verdicts[i].wait_us);
        verdicts[i].reset_us = account_view_wait_us(consumption->view, verdicts[i].reset_us);
    }
}

/* A denied resource gets a slot, for the record to name, or for the rates that begin with the denial. Where the account
 * has moved to another plan it is written down as it is now, like all the others; so it is where its rates are others
 * by now, which take over once. */
static enum account_fault emit_denied(struct demand *demand)
{
    struct account_view *account = demand->account;
    struct resource_view *view = demand->view;
    enum account_fault fault;
    bool begins = demand_begins_rates(demand);
    if (account->changes_count == 0 && view->rates_us == 0) {
        bool is_new = view->index < 0; /* cycles of a LIMIT with ROLLOVER begin to be kept */
        fault = is_new ? emit_resource(account, view, account->effects) : ACCOUNT_FAULT_NONE;
    } else {
        resource_view_begin(account, view->resource, view);
        fault = resource_view_settle(account, view, account->effects);
        if (fault == ACCOUNT_FAULT_NONE) {
            fault = begins ? emit_but_rates(account, view, account->effects)
                           : emit_resource(account, view, account->effects);
        }
    }
    /* Under the rules of now: it takes over what was used under others, too. */
    if (fault == ACCOUNT_FAULT_NONE && begins) demand_emit_begun(demand);
    return fault;
}

/* Writes a denial down, beside what time has done to the account: one that is remembered under an id (STICKY), or that
 * begins rates. Others leave nothing. */
static enum account_fault emit_denial(struct consumption *consumption, struct resource_names own, bool is_remembered)
{
    bool begins = false;
    uint32_t count = consumption->request->count;
    for (uint32_t i = 0; i < count; i++) begins = begins || demand_begins_rates(&consumption->demands[i]);
    if (!begins && !is_remembered) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = emit_account(consumption->view, own, &consumption->decision->changes);
    for (uint32_t i = 0; i < count && fault == ACCOUNT_FAULT_NONE; i++) {
        if (is_remembered || demand_begins_rates(&consumption->demands[i]))
            fault = emit_denied(&consumption->demands[i]);
    }
    if (fault != ACCOUNT_FAULT_NONE || !is_remembered) return fault;
    return remember(consumption->view, consumption->request, consumption->demands, consumption->decision);
}

/* ANY took one item. What time has done to the others is among the changes already, so they are written down as well.
 * One that was never used has nothing to write down, unless the record names it: then it gets a slot. */
static enum account_fault emit_others(struct consumption *consumption, bool remembers)
{
    const struct admission *admission = &consumption->admission;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < consumption->request->count && fault == ACCOUNT_FAULT_NONE; i++) {
        struct resource_view *view = &consumption->views[i];
        bool taken = i >= admission->first && i < admission->end;
        if (taken || !(remembers || resource_needs_storing(view))) continue;
        fault = emit_resource(consumption->view, view, &consumption->decision->changes);
    }
    return fault;
}

static enum account_fault decide_settled(struct consumption *consumption, struct resource_names own)
{
    const struct consume_request *request = consumption->request;
    struct account_decision *decision = consumption->decision;
    struct admission *admission = &consumption->admission;
    *admission = (struct admission){
        .demands = consumption->demands, .count = request->count, .mode = request->mode, .any = request->any};
    enum account_fault fault = admission_peek(admission, consumption->items, request->count);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    decision->denied = !admission->admitted;
    bool remembers = request->id.size > 0 && request->mode != MODE_PEEK;
    if (decision->denied || request->mode == MODE_PEEK) {
        consumption->view->slots_count = consumption->view->account ? consumption->view->account->slots_count : 0;
        answer(consumption);
        if (!decision->denied || request->mode == MODE_PEEK) return ACCOUNT_FAULT_NONE;
        return emit_denial(consumption, own, remembers && request->sticky);
    }
    sink_raw(&decision->changes, consumption->meanwhile.data, consumption->meanwhile.size);
    fault = admission_take(admission);
    if (fault == ACCOUNT_FAULT_NONE && request->any) fault = emit_others(consumption, remembers);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    answer(consumption);
    return remembers ? remember(consumption->view, request, consumption->demands, decision) : ACCOUNT_FAULT_NONE;
}

static enum account_fault decide(struct consumption *consumption)
{
    const struct consume_request *request = consumption->request;
    char stack_buffer[256];
    struct bytes names[BATCH_ITEMS_MAX];
    for (uint32_t i = 0; i < request->count; i++) names[i] = request->items[i].resource;
    const struct resource_names own = {names, request->count};
    consumption->meanwhile = sink_init(stack_buffer, sizeof(stack_buffer));
    enum account_fault fault = settle(consumption, own);
    if (fault == ACCOUNT_FAULT_NONE) fault = decide_settled(consumption, own);
    sink_free(&consumption->meanwhile);
    return fault;
}

/* Several items, each with its windows, stand on the heap. */
static enum account_fault decide_batch(struct consumption *consumption)
{
    uint32_t count = consumption->request->count;
    consumption->demands = memory_alloc(count * sizeof(*consumption->demands));
    consumption->views = memory_alloc(count * sizeof(*consumption->views));
    enum account_fault fault = decide(consumption);
    memory_free(consumption->demands);
    memory_free(consumption->views);
    return fault;
}

void consume_decide(const struct account *account, const struct account_host *host,
                    const struct consume_request *request, struct account_decision *decision)
{
    struct account_view view;
    struct demand demand; /* of a single item: these two are large, and mean nothing yet */
    struct resource_view resource;
    struct consumption consumption;
    consumption.view = &view;
    consumption.request = request;
    consumption.decision = decision;
    consumption.demands = &demand;
    consumption.views = &resource;
    account_decision_begin(decision);
    enum account_fault fault = account_view_begin(&view, account, host, request->now_us);
    decision->applied_at_us = view.now_us;
    view.effects = &decision->changes;
    if (!replay(account, request, view.now_us, decision)) {
        if (fault == ACCOUNT_FAULT_NONE) fault = account_view_refusal(&view);
        if (fault == ACCOUNT_FAULT_NONE)
            fault = request->count == 1 ? decide(&consumption) : decide_batch(&consumption);
        if (fault != ACCOUNT_FAULT_NONE) account_decision_refuse(decision, &view, fault);
    }
    account_view_end(&view);
}

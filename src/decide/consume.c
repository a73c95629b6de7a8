/* Decides consumptions and remembers them; the ladder is in consume.h. */
#include "quota/decide/consume.h"
#include "quota/base/checked.h"
#include "quota/decide/charge.h"

/* ---- records --------------------------------------------------------------------------------------------- */

/* What makes two asks with the same id differ, beside items and amounts. */
static uint8_t ask_mark(const struct consume_ask *ask)
{
    bool upto = ask->mode == MODE_UPTO, force = ask->mode == MODE_FORCE;
    return (uint8_t)((upto ? 1 : 0) | (force ? 2 : 0) | (ask->any ? 4 : 0));
}

static enum record_operation ask_operation(const struct consume_ask *ask)
{
    return ask->batch ? RECORD_BATCH : RECORD_CONSUME;
}

/* The slot whose records these are; -1 = the resource has none, so it has no records either. */
static int32_t ask_slot(const struct account *account, const struct consume_ask *ask)
{
    return ask->batch ? RECORD_NO_SLOT : account_slot(account, ask->items[0].resource);
}

static bool record_matches(const struct account *account, const struct consume_ask *ask,
                           const struct record_item *items, uint32_t count, uint8_t mark)
{
    uint8_t same = ask->mode == MODE_PEEK ? mark : ask_mark(ask); /* who only looks need not say how he would ask */
    if (count != ask->count || mark != same) return false;
    for (uint32_t i = 0; i < count; i++) {
        int32_t slot = account_slot(account, ask->items[i].resource);
        if (slot != (int32_t)items[i].slot || ask->items[i].amount != items[i].amount) return false;
    }
    return true;
}

/* Answers from the record of this id; false if there is none. */
static bool replay(const struct account *account, const struct consume_ask *ask, int64_t now_us,
                   struct account_decision *decision)
{
    struct record_key key;
    struct receipt receipt;
    struct record_item items[BATCH_ITEMS_MAX];
    uint32_t count;
    uint8_t mark;
    if (ask->id.size == 0) return false;
    int32_t slot = ask_slot(account, ask);
    if (slot < 0) return false;
    record_key_make(&key, ask_operation(ask), (uint32_t)slot, ask->id);
    if (!receipts_find(account_receipts(account), record_key_bytes(&key), now_us, &receipt)) return false;
    if (!record_items_decode(receipt.body, items, &count, &mark)) return false;
    if (!record_matches(account, ask, items, count, mark)) {
        account_decision_fail(decision, ACCOUNT_FAULT_CONFLICT, ask->id);
        return true;
    }
    decision->replayed = true;
    decision->verdicts_count = count;
    for (uint32_t i = 0; i < count; i++) decision->verdicts[i] = items[i].verdict;
    return true;
}

#define NO_SLOT UINT32_MAX /* a resource that has none yet */

/* What a record of an item needs to know of its resource. */
struct asked {
    uint32_t slot;
    const struct entitlement *entitlement; /* NULL = nobody has looked, or the plan does not know it */
};

static enum account_fault remember(struct standing *standing, const struct consume_ask *ask, const struct asked *asked,
                                   struct account_decision *decision)
{
    struct record_key key;
    struct record_item items[BATCH_ITEMS_MAX];
    char stack_buffer[256];
    struct sink body = sink_init(stack_buffer, sizeof(stack_buffer));
    if (!standing_has_room(standing)) return ACCOUNT_FAULT_RECORDS;
    for (uint32_t i = 0; i < ask->count; i++) {
        items[i].slot = asked[i].slot;
        items[i].amount = ask->items[i].amount;
        items[i].cost = asked[i].entitlement ? asked[i].entitlement->cost : 1;
        items[i].charged.count = 0;
        if (asked[i].entitlement) items[i].charged = charged_of(asked[i].entitlement);
        items[i].verdict = decision->verdicts[i];
    }
    record_items_encode(items, ask->count, ask_mark(ask), &body);
    if (body.size > RECEIPT_BODY_MAX) { /* dozens of resources with a dozen odd spans each */
        sink_free(&body);
        return ACCOUNT_FAULT_RECORDS;
    }
    record_key_make(&key, ask_operation(ask), ask->batch ? RECORD_NO_SLOT : asked[0].slot, ask->id);
    struct change change = {.kind = CHANGE_RECORD,
                            .bytes = record_key_bytes(&key),
                            .body = {body.data, body.size},
                            .expires_us = min_i64(standing->now_us + standing->host->kept_us, INSTANT_MAX_US)};
    change_encode(&change, &decision->changes);
    sink_free(&body);
    return ACCOUNT_FAULT_NONE;
}

/* ---- charging -------------------------------------------------------------------------------------------- */

/* One item; what a record of it needs besides goes into `asked`. */
static enum account_fault charge_item(struct standing *standing, const struct consume_item *item,
                                      enum request_mode mode, struct asked *asked, struct verdict *verdict,
                                      struct sink *changes)
{
    struct footing footing;
    struct charge charge = {.amount = item->amount, .mode = mode};
    footing_begin(standing, item->resource, &footing);
    enum account_fault fault = footing_settle(standing, &footing, changes);
    if (fault == ACCOUNT_FAULT_NONE && !footing.entitlement) fault = ACCOUNT_FAULT_RESOURCE;
    if (fault == ACCOUNT_FAULT_NONE) fault = charge_decide(standing, &footing, &charge, verdict, changes);
    asked->slot = footing.index < 0 ? NO_SLOT : (uint32_t)footing.index;
    asked->entitlement = footing.entitlement;
    return fault;
}

/* Asks every item without taking anything; *first is the first that is admitted, count if none is. */
static enum account_fault look_at_all(struct standing *standing, const struct consume_ask *ask,
                                      struct account_decision *decision, struct asked *asked, uint32_t *first,
                                      bool *all)
{
    *first = ask->count;
    *all = true;
    for (uint32_t i = 0; i < ask->count; i++) {
        size_t before = decision->changes.size;
        enum account_fault fault =
            charge_item(standing, &ask->items[i], MODE_PEEK, &asked[i], &decision->verdicts[i], &decision->changes);
        decision->changes.size = before;
        decision->about = ask->items[i].resource;
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        bool admitted = decision->verdicts[i].granted > 0;
        if (admitted && *first == ask->count) *first = i;
        *all = *all && admitted;
    }
    return ACCOUNT_FAULT_NONE;
}

/* Several items: looked at first, since nobody may be charged unless the whole is admitted. */
static enum account_fault charge_batch(struct standing *standing, const struct consume_ask *ask,
                                       struct account_decision *decision, struct asked *asked)
{
    uint32_t first, begin = 0, end = ask->count;
    struct bytes charged[BATCH_ITEMS_MAX];
    bool all;
    enum account_fault fault = look_at_all(standing, ask, decision, asked, &first, &all);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    decision->denied = ask->any ? first == ask->count : !all;
    if (ask->any) begin = first, end = decision->denied ? first : first + 1;
    for (uint32_t i = 0; i < ask->count; i++) {
        charged[i] = ask->items[i].resource;
        if (decision->denied || i < begin || i >= end) decision->verdicts[i].granted = 0;
    }
    if (decision->denied || ask->mode == MODE_PEEK) return ACCOUNT_FAULT_NONE;
    fault = standing_tell(standing, charged + begin, end - begin, &decision->changes);
    for (uint32_t i = begin; i < end && fault == ACCOUNT_FAULT_NONE; i++) {
        decision->about = ask->items[i].resource;
        fault = charge_item(standing, &ask->items[i], MODE_ALL, &asked[i], &decision->verdicts[i], &decision->changes);
    }
    return fault;
}

static enum account_fault charge_one(struct standing *standing, const struct consume_ask *ask,
                                     struct account_decision *decision, struct asked *asked)
{
    const struct consume_item *item = &ask->items[0];
    decision->about = item->resource;
    enum account_fault fault = standing_tell(standing, &item->resource, 1, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    fault = charge_item(standing, item, ask->mode, asked, &decision->verdicts[0], &decision->changes);
    decision->denied = decision->verdicts[0].granted == 0;
    return fault;
}

/* The slots of items that a record names: those nobody has used yet begin with it. */
static enum account_fault begin_slots(struct standing *standing, const struct consume_ask *ask, struct asked *asked,
                                      struct sink *changes)
{
    struct footing footing;
    for (uint32_t i = 0; i < ask->count; i++) {
        if (asked[i].slot != NO_SLOT) continue;
        footing_begin(standing, ask->items[i].resource, &footing);
        footing.windows_count = 0;
        enum account_fault fault = footing_tell(standing, &footing, changes);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        asked[i].slot = (uint32_t)footing.index;
    }
    return ACCOUNT_FAULT_NONE;
}

/* A denial changes nothing; one that is to be remembered is written down beside what time has done. */
static enum account_fault forget_charges(struct standing *standing, bool kept, struct account_decision *decision)
{
    decision->changes.size = 0;
    standing->slots_count = standing->account ? standing->account->slots_count : 0;
    return kept ? standing_tell(standing, NULL, 0, &decision->changes) : ACCOUNT_FAULT_NONE;
}

static enum account_fault decide(struct standing *standing, const struct consume_ask *ask,
                                 struct account_decision *decision)
{
    struct asked asked[BATCH_ITEMS_MAX];
    for (uint32_t i = 0; i < ask->count; i++) asked[i] = (struct asked){NO_SLOT, NULL};
    enum account_fault fault = standing_refusal(standing);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    decision->verdicts_count = ask->count;
    fault = ask->batch ? charge_batch(standing, ask, decision, asked) : charge_one(standing, ask, decision, asked);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    bool looks = ask->mode == MODE_PEEK;
    bool kept = ask->id.size > 0 && !looks && (!decision->denied || ask->sticky);
    if (looks || decision->denied) fault = forget_charges(standing, kept, decision);
    if (fault == ACCOUNT_FAULT_NONE && kept) fault = begin_slots(standing, ask, asked, &decision->changes);
    if (fault == ACCOUNT_FAULT_NONE && kept) fault = remember(standing, ask, asked, decision);
    return fault;
}

void consume_decide(const struct account *account, const struct account_host *host, const struct consume_ask *ask,
                    struct account_decision *decision)
{
    struct standing standing;
    account_decision_begin(decision);
    enum account_fault fault = standing_begin(&standing, account, host, ask->now_us, true);
    decision->settled_us = standing.now_us;
    if (replay(account, ask, standing.now_us, decision)) return;
    if (fault == ACCOUNT_FAULT_NONE) fault = decide(&standing, ask, decision);
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, decision->about);
}

/* Decides refunds; see refund.h. */
#include "quota/decide/refund.h"
#include "quota/base/checked.h"
#include "quota/decide/charge.h"
#include "quota/decide/reserve.h"
#include "quota/rate/sliding_log.h"

/* ---- what was taken -------------------------------------------------------------------------------------- */

/* The consumption that a refund names. */
struct taken {
    int64_t amount, cost; /* as granted, and what a unit counted as */
    int64_t made_us;      /* when it was charged to cycles … */
    int64_t logged_us;    /* … and to rolling windows: of a reservation, when it was posted */
    int64_t expires_us;   /* of its record */
    int64_t returned;     /* given back so far */
    enum record_operation returned_as;
    bool by_hold; /* a reservation: charged to whatever ran then */
    struct charged charged;
};

static const struct charged *taken_from(const struct taken *taken)
{
    return taken->by_hold ? NULL : &taken->charged;
}

static bool find_record(const struct standing *standing, enum record_operation operation, uint32_t slot,
                        struct bytes id, struct receipt *receipt)
{
    struct record_key key;
    record_key_make(&key, operation, slot, id);
    return receipts_find(account_receipts(standing->account), record_key_bytes(&key), standing->now_us, receipt);
}

static bool take_from_items(const struct receipt *receipt, uint32_t slot, struct taken *taken)
{
    struct record_item items[BATCH_ITEMS_MAX];
    uint32_t count;
    uint8_t mark;
    if (!record_items_decode(receipt->body, items, &count, &mark)) return false;
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].slot != slot || items[i].verdict.granted == 0) continue;
        taken->amount = items[i].verdict.granted;
        taken->cost = items[i].cost;
        taken->charged = items[i].charged;
        taken->made_us = receipt->stored_us;
        return true;
    }
    return false;
}

static bool take_from_hold(const struct receipt *receipt, uint32_t slot, struct taken *taken)
{
    struct record_hold record;
    if (!record_hold_decode(receipt->body, &record) || record.slot != slot || record.posted == 0) return false;
    taken->amount = record.posted;
    taken->cost = record.cost;
    taken->made_us = record.made_us;
    return true;
}

/* A consumption, an item of a batch, a committed reservation: in this order. */
static bool find_taken(const struct standing *standing, uint32_t slot, struct bytes of, struct taken *taken)
{
    struct receipt receipt;
    taken->returned_as = RECORD_RETURNED;
    taken->by_hold = false;
    bool found = find_record(standing, RECORD_CONSUME, slot, of, &receipt) && take_from_items(&receipt, slot, taken);
    if (!found) {
        taken->returned_as = RECORD_RETURNED_BATCH;
        found =
            find_record(standing, RECORD_BATCH, RECORD_NO_SLOT, of, &receipt) && take_from_items(&receipt, slot, taken);
    }
    if (!found) {
        taken->returned_as = RECORD_RETURNED_HOLD;
        taken->by_hold = true;
        found =
            find_record(standing, RECORD_HOLD, RECORD_NO_SLOT, of, &receipt) && take_from_hold(&receipt, slot, taken);
    }
    if (!found) return false;
    taken->expires_us = receipt.expires_us;
    taken->logged_us = receipt.stored_us;
    taken->returned = 0;
    if (!find_record(standing, taken->returned_as, slot, of, &receipt)) return true;
    return record_returned_decode(receipt.body, &taken->returned);
}

static void tell_returned(const struct refund_ask *ask, uint32_t slot, const struct taken *taken, struct sink *changes)
{
    char body[RECORD_RETURNED_BYTES];
    struct record_key key;
    record_returned_encode(taken->returned + ask->amount, body);
    record_key_make(&key, taken->returned_as, slot, ask->of);
    struct change change = {.kind = taken->returned > 0 ? CHANGE_REWRITE : CHANGE_RECORD,
                            .bytes = record_key_bytes(&key),
                            .body = {body, sizeof(body)},
                            .expires_us = taken->expires_us};
    change_encode(&change, changes);
}

/* ---- giving back ----------------------------------------------------------------------------------------- */

/* Would a cycle take back more than REFUNDS MAX allows it? */
static bool exceeds_refunds(const struct footing *footing, const struct taken *taken, int64_t units,
                            const struct late_cycle *late, uint32_t late_count)
{
    int64_t most = footing->entitlement ? footing->entitlement->refunds_max : -1;
    if (most < 0) return false;
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        if (late_runs(footing, i, taken->made_us, taken_from(taken)) &&
            (wide)footing->windows[i].refunded + units > most)
            return true;
    }
    for (uint32_t i = 0; i < late_count; i++) {
        if ((wide)late[i].closed.refunded + units > most) return true;
    }
    return false;
}

/* Is there a running cycle, or a rolling window, that can take back what was taken then? */
static bool can_return(const struct standing *standing, const struct footing *footing, const struct taken *taken)
{
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        if (late_runs(footing, i, taken->made_us, taken_from(taken))) return true;
    }
    for (uint32_t i = 0; footing->entitlement && i < footing->entitlement->rules_count; i++) {
        const struct quota_rule *rule = &footing->entitlement->rules[i];
        bool rolls = rule->kind == QUOTA_ROLLING;
        if (rolls && taken->logged_us > standing->now_us - rule->rule.period_us) return true;
    }
    return false;
}

static void withdraw_from_logs(const struct footing *footing, int64_t logged_us, int64_t units, struct sink *changes)
{
    for (uint32_t i = 0; footing->entitlement && i < footing->entitlement->rules_count; i++) {
        const struct quota_rule *rule = &footing->entitlement->rules[i];
        if (rule->kind != QUOTA_ROLLING) continue;
        struct change change = {.kind = CHANGE_WITHDRAWN,
                                .slot = (uint32_t)footing->index,
                                .period_us = rule->rule.period_us,
                                .log = {.when_us = logged_us, .amount = units}};
        change_encode(&change, changes);
    }
}

/* Back to the cycles and the instant it was charged to. */
static enum account_fault refund_named(struct standing *standing, struct footing *footing, const struct refund_ask *ask,
                                       struct account_decision *decision)
{
    struct taken taken;
    struct late_cycle late[SLOT_PASTS_MAX];
    enum account_fault fault = footing_settle(standing, footing, &decision->changes);
    const struct entitlement *entitlement = footing->entitlement;
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    decision->about = ask->of;
    if (!find_taken(standing, (uint32_t)footing->index, ask->of, &taken)) return ACCOUNT_FAULT_NO_SUCH_ID;
    decision->bound = taken.amount - taken.returned;
    if (ask->amount > decision->bound) return ACCOUNT_FAULT_EXCEEDS;
    int64_t within_us = entitlement ? entitlement->refunds_within_us : 0;
    if (within_us > 0 && standing->now_us > taken.made_us + within_us) return ACCOUNT_FAULT_TOO_OLD;
    int64_t units = ask->amount * taken.cost;
    decision->bound = entitlement ? entitlement->refunds_max : -1;
    uint32_t count = late_cycles(standing, footing, taken.made_us, taken_from(&taken), &decision->changes, late);
    if (exceeds_refunds(footing, &taken, units, late, count)) return ACCOUNT_FAULT_REFUNDS;
    bool returns = count > 0 || can_return(standing, footing, &taken);
    decision->numbers[0] = returns ? ask->amount : 0;
    decision->numbers[1] = returns ? 0 : ask->amount;
    post_late(standing, footing, taken.made_us, -units, taken_from(&taken), true, &decision->changes);
    tell_returned(ask, (uint32_t)footing->index, &taken, &decision->changes);
    fault = footing_tell(standing, footing, &decision->changes);
    withdraw_from_logs(footing, taken.logged_us, units, &decision->changes);
    decision->numbers[2] = charge_remaining(standing, footing, -units, taken.logged_us);
    return fault;
}

/* The least that a running cycle or a rolling window has used: what may come back without a name. */
static int64_t least_used(const struct standing *standing, struct footing *footing)
{
    int64_t least = -1;
    for (uint32_t i = 0; i < footing->entitlement->rules_count; i++) {
        const struct quota_rule *rule = &footing->entitlement->rules[i];
        int64_t used = -1;
        if (rule->kind == QUOTA_LIMIT) used = footing_window(footing, rule)->used;
        if (rule->kind == QUOTA_ROLLING) used = footing_log(standing, footing, &rule->rule).amount;
        if (used >= 0 && (least < 0 || used < least)) least = used;
    }
    return max_i64(least, 0);
}

/* From the newest unit on: nobody said which. */
static void refund_logs(const struct standing *standing, const struct footing *footing, int64_t units,
                        struct sink *changes)
{
    for (uint32_t i = 0; i < footing->entitlement->rules_count; i++) {
        const struct quota_rule *rule = &footing->entitlement->rules[i];
        if (rule->kind != QUOTA_ROLLING || rule->rule.limit <= 0) continue;
        struct state state = footing_log(standing, footing, &rule->rule);
        sliding_log_refund(&rule->rule, &state, units, standing->now_us);
        struct change change = {.kind = CHANGE_ROLLED,
                                .slot = (uint32_t)footing->index,
                                .period_us = rule->rule.period_us,
                                .log = {.when_us = state.when_us, .amount = state.amount, .rest = state.rest}};
        change_encode(&change, changes);
    }
}

/* Back to the cycles that run now. */
static enum account_fault refund_unnamed(struct standing *standing, struct footing *footing,
                                         const struct refund_ask *ask, struct account_decision *decision)
{
    enum account_fault fault = footing_settle(standing, footing, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (!footing->entitlement) return ACCOUNT_FAULT_RESOURCE;
    if (footing->entitlement->refunds_within_us > 0) return ACCOUNT_FAULT_NEEDS_OF;
    int64_t cost = footing->entitlement->cost;
    int64_t amount = min_i64(ask->amount, least_used(standing, footing) / cost);
    decision->bound = footing->entitlement->refunds_max;
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        struct window *window = &footing->windows[i];
        if (!entitlement_limit(footing->entitlement, window->period)) continue;
        if (decision->bound >= 0 && (wide)window->refunded + (wide)amount * cost > decision->bound) {
            return ACCOUNT_FAULT_REFUNDS;
        }
        window_refund(window, amount * cost);
    }
    decision->numbers[0] = amount;
    decision->numbers[1] = 0;
    decision->numbers[2] = charge_remaining(standing, footing, -amount * cost, NEWEST_UNITS);
    if (amount == 0) return ACCOUNT_FAULT_NONE;
    fault = footing_tell(standing, footing, &decision->changes);
    refund_logs(standing, footing, amount * cost, &decision->changes);
    return fault;
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

/* Answers from the record of this id; false if there is none. */
static bool replay(const struct standing *standing, const struct footing *footing, const struct refund_ask *ask,
                   struct account_decision *decision)
{
    struct receipt receipt;
    struct record_refund record;
    if (ask->id.size == 0) return false;
    if (!find_record(standing, RECORD_REFUND, (uint32_t)footing->index, ask->id, &receipt)) return false;
    if (!record_refund_decode(receipt.body, &record)) return false;
    decision->replayed = true;
    decision->numbers[0] = record.refunded;
    decision->numbers[1] = record.lost;
    decision->numbers[2] = record.remaining;
    bool same = record.amount == ask->amount && bytes_equal(record.of, ask->of);
    if (!same) account_decision_fail(decision, ACCOUNT_FAULT_CONFLICT, ask->id);
    return true;
}

static enum account_fault remember(struct standing *standing, const struct footing *footing,
                                   const struct refund_ask *ask, struct account_decision *decision)
{
    struct record_key key;
    struct sink body = {0};
    struct record_refund record = {.amount = ask->amount,
                                   .of = ask->of,
                                   .refunded = decision->numbers[0],
                                   .lost = decision->numbers[1],
                                   .remaining = decision->numbers[2]};
    if (!standing_has_room(standing)) return ACCOUNT_FAULT_RECORDS;
    record_refund_encode(&record, &body);
    record_key_make(&key, RECORD_REFUND, (uint32_t)footing->index, ask->id);
    struct change change = {.kind = CHANGE_RECORD,
                            .bytes = record_key_bytes(&key),
                            .body = {body.data, body.size},
                            .expires_us = min_i64(standing->now_us + standing->host->kept_us, INSTANT_MAX_US)};
    change_encode(&change, &decision->changes);
    sink_free(&body);
    return ACCOUNT_FAULT_NONE;
}

static void tell_note(const struct standing *standing, const struct footing *footing, const struct refund_ask *ask,
                      struct account_decision *decision)
{
    struct change change = {.kind = CHANGE_NOTE,
                            .note = {.at_us = standing->now_us,
                                     .act = NOTE_REFUND,
                                     .slot = (uint32_t)footing->index + 1,
                                     .amount = decision->numbers[0],
                                     .actor = ask->actor,
                                     .reason = ask->reason}};
    change_encode(&change, &decision->changes);
}

/* Nothing was ever used of it, so nothing comes back. */
static enum account_fault refund_unused(struct standing *standing, struct footing *footing,
                                        const struct refund_ask *ask, struct account_decision *decision)
{
    enum account_fault fault = footing_settle(standing, footing, NULL);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (!footing->entitlement) return ACCOUNT_FAULT_RESOURCE;
    decision->numbers[2] = charge_remaining(standing, footing, 0, standing->now_us);
    if (ask->of.size == 0) return ACCOUNT_FAULT_NONE;
    decision->about = ask->of;
    return ACCOUNT_FAULT_NO_SUCH_ID;
}

static enum account_fault refund(struct standing *standing, const struct refund_ask *ask,
                                 struct account_decision *decision)
{
    struct footing footing;
    decision->about = ask->resource;
    footing_begin(standing, ask->resource, &footing);
    if (footing.index < 0) return refund_unused(standing, &footing, ask, decision);
    if (replay(standing, &footing, ask, decision)) return decision->fault;
    enum account_fault fault = standing_tell(standing, &ask->resource, 1, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    fault = ask->of.size > 0 ? refund_named(standing, &footing, ask, decision)
                             : refund_unnamed(standing, &footing, ask, decision);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (decision->numbers[0] + decision->numbers[1] == 0) {
        decision->changes.size = 0;
        return ACCOUNT_FAULT_NONE;
    }
    tell_note(standing, &footing, ask, decision);
    return ask->id.size > 0 ? remember(standing, &footing, ask, decision) : ACCOUNT_FAULT_NONE;
}

void refund_decide(const struct account *account, const struct account_host *host, const struct refund_ask *ask,
                   struct account_decision *decision)
{
    struct standing standing;
    account_decision_begin(decision);
    decision->numbers[0] = decision->numbers[1] = decision->numbers[2] = 0;
    enum account_fault fault =
        account ? standing_begin(&standing, account, host, ask->now_us, true) : ACCOUNT_FAULT_MISSING;
    if (account) decision->settled_us = standing.now_us;
    if (fault == ACCOUNT_FAULT_NONE && standing.state == ACCOUNT_CLOSED) fault = ACCOUNT_FAULT_CLOSED;
    if (fault == ACCOUNT_FAULT_NONE && !standing.plan) fault = ACCOUNT_FAULT_EXPIRED;
    if (fault == ACCOUNT_FAULT_NONE) fault = refund(&standing, ask, decision);
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, decision->about);
}

/* Decides reservations; see reserve.h. */
#include "quota/decide/reserve.h"
#include "quota/base/checked.h"
#include "quota/decide/charge.h"

/* ---- ids ------------------------------------------------------------------------------------------------- */

static enum account_fault outcome_fault(enum hold_outcome outcome)
{
    switch (outcome) {
    case HOLD_COMMITTED: return ACCOUNT_FAULT_COMMITTED;
    case HOLD_RELEASED: return ACCOUNT_FAULT_RELEASED;
    default: return ACCOUNT_FAULT_RAN_OUT;
    }
}

/* What became of a reservation that lives no more: NO_SUCH_ID where nothing is remembered of it. `stored`: what the
 * account has under this id, NULL = nothing. */
static enum account_fault ended_fault(const struct standing *standing, struct bytes id,
                                      const struct stored_hold *stored)
{
    struct record_key key;
    struct record_hold record;
    struct receipt receipt;
    if (stored && standing->now_us < stored->hold.expires_us + stored->hold.kept_us) return ACCOUNT_FAULT_RAN_OUT;
    if (stored) return ACCOUNT_FAULT_NO_SUCH_ID;
    record_key_make(&key, RECORD_HOLD, RECORD_NO_SLOT, id);
    if (!receipts_find(account_receipts(standing->account), record_key_bytes(&key), standing->now_us, &receipt) ||
        !record_hold_decode(receipt.body, &record)) {
        return ACCOUNT_FAULT_NO_SUCH_ID;
    }
    return outcome_fault(record.outcome);
}

/* Has it not ended? NULL does not live. */
static bool hold_lives(const struct standing *standing, const struct stored_hold *stored)
{
    return stored && standing->now_us < stored->hold.expires_us;
}

/* ---- reserving ------------------------------------------------------------------------------------------- */

static enum account_fault reserve_again(const struct standing *standing, const struct reserve_ask *ask,
                                        const struct stored_hold *stored, struct account_decision *decision)
{
    const struct hold *hold = &stored->hold;
    bool same = account_slot(standing->account, ask->resource) == (int32_t)hold->slot && ask->amount == hold->asked &&
                (uint8_t)ask->mode == hold->mode;
    if (!same) return ACCOUNT_FAULT_CONFLICT;
    decision->verdicts[0] = hold->verdict;
    decision->verdicts_count = 1;
    decision->replayed = true;
    return ACCOUNT_FAULT_NONE;
}

/* Is there room for one more? */
static enum account_fault bounds_fault(const struct standing *standing, const struct footing *footing,
                                       struct account_decision *decision)
{
    int64_t most = footing->entitlement->holds_max;
    decision->bound = most;
    if (most >= 0 && standing_holds_count(standing, footing) >= most) return ACCOUNT_FAULT_HOLDS;
    if (account_holds(standing->account)->count >= ACCOUNT_HOLDS_MAX) return ACCOUNT_FAULT_HOLDS_BOUND;
    return standing_has_room(standing) ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_RECORDS;
}

static void tell_hold(const struct standing *standing, const struct footing *footing, const struct reserve_ask *ask,
                      struct account_decision *decision)
{
    struct verdict verdict = decision->verdicts[0];
    int64_t granted = verdict.granted;
    struct change change = {.kind = CHANGE_HOLD,
                            .bytes = ask->id,
                            .hold = {.slot = (uint32_t)footing->index,
                                     .amount = granted,
                                     .units = granted * footing->entitlement->cost,
                                     .made_us = standing->now_us,
                                     .expires_us = min_i64(standing->now_us + ask->ttl_us, INSTANT_MAX_US),
                                     .kept_us = min_i64(standing->host->kept_us, DURATION_MAX_US),
                                     .mode = (uint8_t)ask->mode,
                                     .asked = ask->amount,
                                     .verdict = verdict}};
    change_encode(&change, &decision->changes);
}

static enum account_fault reserve(struct standing *standing, const struct reserve_ask *ask,
                                  struct account_decision *decision)
{
    struct footing footing;
    struct charge charge = {.amount = ask->amount, .mode = ask->mode, .holds = true};
    const struct stored_hold *stored = account_hold(standing->account, ask->id);
    decision->about = ask->id;
    if (hold_lives(standing, stored)) return reserve_again(standing, ask, stored, decision);
    enum account_fault fault = ended_fault(standing, ask->id, stored);
    if (fault != ACCOUNT_FAULT_NO_SUCH_ID) return fault;
    fault = standing_refusal(standing);
    decision->about = ask->resource;
    if (fault == ACCOUNT_FAULT_NONE) fault = standing_tell(standing, &ask->resource, 1, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    footing_begin(standing, ask->resource, &footing);
    fault = footing_settle(standing, &footing, &decision->changes);
    if (fault == ACCOUNT_FAULT_NONE && !footing.entitlement) fault = ACCOUNT_FAULT_RESOURCE;
    if (fault == ACCOUNT_FAULT_NONE) fault = bounds_fault(standing, &footing, decision);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    fault = charge_decide(standing, &footing, &charge, &decision->verdicts[0], &decision->changes);
    decision->verdicts_count = 1;
    decision->denied = decision->verdicts[0].granted == 0;
    if (decision->denied) {
        decision->changes.size = 0;
    } else {
        tell_hold(standing, &footing, ask, decision);
    }
    return fault;
}

void reserve_decide(const struct account *account, const struct account_host *host, const struct reserve_ask *ask,
                    struct account_decision *decision)
{
    struct standing standing;
    account_decision_begin(decision);
    enum account_fault fault = standing_begin(&standing, account, host, ask->now_us, true);
    decision->settled_us = standing.now_us;
    if (fault == ACCOUNT_FAULT_NONE) fault = reserve(&standing, ask, decision);
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, decision->about);
}

/* ---- late news ------------------------------------------------------------------------------------------- */

/* What a closed cycle was overdrawn by. */
static int64_t overdraft(const struct closed_cycle *closed)
{
    return closed->limit == UNLIMITED ? 0 : max_i64(closed->used - closed->limit, 0);
}

/* Rewrites a closed cycle; answers by how much more it is overdrawn now. */
static int64_t amend(const struct footing *footing, uint64_t period, struct closed_cycle closed, int64_t units,
                     bool returned, struct sink *changes)
{
    int64_t before = overdraft(&closed), used = closed.used;
    closed.used = wide_clamp((wide)used + units, 0, INT64_MAX);
    closed.peak = max_i64(closed.peak, closed.used);
    if (returned) closed.refunded = wide_clamp((wide)closed.refunded + used - closed.used, 0, INT64_MAX);
    struct change change = {
        .kind = CHANGE_AMENDED, .slot = (uint32_t)footing->index, .period = period, .closed = closed};
    change_encode(&change, changes);
    return overdraft(&closed) - before;
}

static bool post_to_window(struct window *window, const struct entitlement *entitlement, int64_t made_us, int64_t units,
                           bool returned)
{
    if (returned) {
        window_refund(window, -units);
        return true;
    }
    if (!window_charge(window, units, 0, made_us)) return false;
    if (entitlement) window_warn(window, entitlement);
    return true;
}

bool late_runs(const struct footing *footing, uint32_t index, int64_t made_us, const struct charged *charged)
{
    const struct window *window = &footing->windows[index];
    return !footing->fresh[index] && charged_has(charged, window->period) && window->start_us <= made_us &&
           made_us < window->end_us;
}

/* One cycle of an idle run: the one in which the instant lies. */
static bool cut_run(const struct standing *standing, uint64_t code, int64_t made_us, struct closed_cycle *closed)
{
    const struct zone *zone = zone_utc();
    struct period period;
    if (closed->count == 1) return true;
    if (standing->zone) zone = standing->host->find_zone(interned_string_bytes(standing->zone), NULL);
    if (!zone || !period_from_code(code, &period)) return false;
    struct cycle cycle = period_cycle_at(&period, zone, standing->anchor_us, made_us);
    closed->start_us = cycle.start_us;
    closed->end_us = cycle.end_us;
    closed->count = 1;
    return true;
}

/* The newest entry of a period counts. */
static uint32_t find_late(struct late_cycle *found, uint32_t count, uint64_t period, const struct closed_cycle *closed)
{
    uint32_t at = 0;
    while (at < count && found[at].period != period) at++;
    if (at == SLOT_PASTS_MAX) return count;
    found[at] = (struct late_cycle){period, *closed};
    return at == count ? count + 1 : count;
}

uint32_t late_cycles(const struct standing *standing, const struct footing *footing, int64_t made_us,
                     const struct charged *charged, const struct sink *changes, struct late_cycle found[SLOT_PASTS_MAX])
{
    const struct slot_rest *rest = footing->stored ? footing->stored->rest : NULL;
    struct closed_cycle closed;
    struct change change;
    uint32_t count = 0, kept = 0;
    for (uint32_t i = 0; rest && i < rest->pasts_count; i++) {
        if (history_find(rest->pasts[i].history, made_us, &closed))
            count = find_late(found, count, rest->pasts[i].period, &closed);
    }
    struct cursor cursor = cursor_init((struct bytes){changes->data, changes->size});
    while (!cursor_done(&cursor) && !cursor.bad) {
        change_decode(&cursor, &change);
        if (cursor.bad || change.kind != CHANGE_CLOSED || (int32_t)change.slot != footing->index) continue;
        if (change.closed.start_us > made_us || made_us >= change.closed.end_us) continue;
        count = find_late(found, count, change.period, &change.closed);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!charged_has(charged, found[i].period)) continue;
        if (cut_run(standing, found[i].period, made_us, &found[i].closed)) found[kept++] = found[i];
    }
    return kept;
}

bool post_late(const struct standing *standing, struct footing *footing, int64_t made_us, int64_t units,
               const struct charged *charged, bool returned, struct sink *changes)
{
    struct late_cycle late[SLOT_PASTS_MAX];
    uint32_t count = late_cycles(standing, footing, made_us, charged, changes, late);
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        if (!late_runs(footing, i, made_us, charged)) continue;
        if (!post_to_window(&footing->windows[i], footing->entitlement, made_us, units, returned)) return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        int64_t more = amend(footing, late[i].period, late[i].closed, units, returned, changes);
        for (uint32_t k = 0; footing->entitlement && footing->entitlement->repay && k < footing->windows_count; k++) {
            struct window *window = &footing->windows[k];
            if (footing->fresh[k] || window->period != late[i].period) continue;
            window->debt = wide_clamp((wide)window->debt + more, 0, INT64_MAX);
        }
    }
    return true;
}

/* ---- resolving ------------------------------------------------------------------------------------------- */

static enum account_fault resolve(struct standing *standing, const struct stored_hold *stored,
                                  enum hold_outcome outcome, int64_t amount, struct account_decision *decision)
{
    struct footing footing;
    const struct hold *hold = &stored->hold;
    int64_t units = hold->units / hold->amount * amount;
    struct bytes resource = interned_string_bytes(standing->account->slots[hold->slot].resource);
    standing->ignored = stored;
    enum account_fault fault = standing_tell(standing, &resource, 1, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    footing_begin(standing, resource, &footing);
    fault = footing_settle(standing, &footing, &decision->changes);
    bool posted = fault != ACCOUNT_FAULT_NONE || units == 0 ||
                  post_late(standing, &footing, hold->made_us, units, NULL, false, &decision->changes);
    if (!posted) fault = ACCOUNT_FAULT_OVERFLOW;
    if (fault == ACCOUNT_FAULT_NONE) fault = footing_tell(standing, &footing, &decision->changes);
    if (fault == ACCOUNT_FAULT_NONE) {
        fault = charge_logs(standing, &footing, units,
                            &decision->changes); /* posted now: rolling windows count from now on */
    }
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    struct change change = {
        .kind = CHANGE_RESOLVE, .bytes = decision->about, .outcome = (uint8_t)outcome, .amount = amount};
    change_encode(&change, &decision->changes);
    decision->numbers[0] = amount;
    decision->numbers[1] = hold->amount - amount;
    decision->numbers[2] = charge_remaining(standing, &footing, units, standing->now_us);
    return ACCOUNT_FAULT_NONE;
}

/* The live reservation a command is about; NULL, and the decision has failed. */
static const struct stored_hold *hold_or_fail(struct standing *standing, const struct account *account,
                                              const struct account_host *host, struct bytes id, int64_t now_us,
                                              struct account_decision *decision)
{
    account_decision_begin(decision);
    enum account_fault fault = account ? standing_begin(standing, account, host, now_us, true) : ACCOUNT_FAULT_MISSING;
    decision->about = id;
    if (fault == ACCOUNT_FAULT_NONE && standing->state == ACCOUNT_CLOSED) fault = ACCOUNT_FAULT_CLOSED;
    const struct stored_hold *stored = account_hold(account, id);
    if (fault == ACCOUNT_FAULT_NONE && !hold_lives(standing, stored)) fault = ended_fault(standing, id, stored);
    if (fault == ACCOUNT_FAULT_NONE) decision->settled_us = standing->now_us;
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, id);
    return fault == ACCOUNT_FAULT_NONE ? stored : NULL;
}

static void resolve_decide(const struct account *account, const struct account_host *host, struct bytes id,
                           enum hold_outcome outcome, int64_t amount, int64_t now_us, struct account_decision *decision)
{
    struct standing standing;
    const struct stored_hold *stored = hold_or_fail(&standing, account, host, id, now_us, decision);
    if (!stored) return;
    decision->bound = stored->hold.amount;
    if (amount > stored->hold.amount) {
        account_decision_fail(decision, ACCOUNT_FAULT_BEYOND_HOLD, id);
        return;
    }
    int64_t posted = amount < 0 ? stored->hold.amount : amount;
    enum account_fault fault = resolve(&standing, stored, outcome, posted, decision);
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, decision->about);
}

void commit_decide(const struct account *account, const struct account_host *host, struct bytes id, int64_t amount,
                   int64_t now_us, struct account_decision *decision)
{
    resolve_decide(account, host, id, amount == 0 ? HOLD_RELEASED : HOLD_COMMITTED, amount, now_us, decision);
}

void release_decide(const struct account *account, const struct account_host *host, struct bytes id, int64_t now_us,
                    struct account_decision *decision)
{
    resolve_decide(account, host, id, HOLD_RELEASED, 0, now_us, decision);
}

void extend_decide(const struct account *account, const struct account_host *host, struct bytes id, int64_t ttl_us,
                   int64_t now_us, struct account_decision *decision)
{
    struct standing standing;
    if (!hold_or_fail(&standing, account, host, id, now_us, decision)) return;
    int64_t expires_us = min_i64(standing.now_us + ttl_us, INSTANT_MAX_US);
    enum account_fault fault = standing_tell(&standing, NULL, 0, &decision->changes);
    struct change change = {.kind = CHANGE_EXTEND, .bytes = id, .expires_us = expires_us};
    change_encode(&change, &decision->changes);
    decision->numbers[0] = expires_us;
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, id);
}

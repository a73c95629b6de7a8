/* Counts units in place; see count.h. */
#include "quota/decide/count.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/rate/limiter.h"
#include "quota/view/changeset.h"

/* Does nothing but its state and its plan decide about the account, and do these hold since it was written down? */
static bool is_plain_account(const struct account *account, const struct account_host *host, int64_t now_us)
{
    const struct account_optional *optional = account->optional;
    if (account->state != ACCOUNT_ACTIVE || account->anchor_us > now_us) return false;
    if (!account_plan_is_current(account, host, now_us)) return false;
    if (!optional) return true;
    return !account_has_expired(optional, now_us) && !account_next_comes(optional, now_us) &&
           optional->grants.count == 0;
}

/* What reservations hold of it is known without looking at them while none of the account's has ended. */
static bool all_holds_live(const struct account *account, int64_t now_us)
{
    const struct holds *holds = account_holds(account);
    return holds->count == 0 || holds->by_expiry[0]->hold.expires_us > now_us;
}

static bool is_plain_slot(const struct account *account, const struct slot *slot, int64_t now_us)
{
    const struct slot_optional *optional = slot->optional;
    if (!optional) return true;
    return !optional->override && !optional->bill && (optional->holds_count == 0 || all_holds_live(account, now_us));
}

/* Is it a running cycle that keeps its count and nothing else? */
static bool runs_plainly(const struct stored_window *window, int64_t now_us)
{
    return !window->optional && window->start_us <= now_us && now_us < window->end_us;
}

/* The place of a stored window among those of its slot. */
static int32_t place_of(const struct slot *slot, const struct stored_window *window)
{
    return (int32_t)(window - slot->windows);
}

/* Has the cycle room for the units, also when they were used? `held`: of it, by reservations. */
static bool has_room(const struct stored_window *window, int64_t held, const struct count_request *request)
{
    bool plain = runs_plainly(window, request->now_us) && window->denied_here == 0 && window->limit != ABSENT;
    bool ran = request->at_us == 0 || (window->start_us <= request->at_us && request->at_us <= request->now_us);
    int64_t most = window->limit == UNLIMITED ? INT64_MAX : window->limit;
    return plain && ran && held <= most - window->used && request->amount <= most - window->used - held;
}

/* Would a threshold be reached, when so much is used? */
static bool warns(const struct entitlement *entitlement, const struct stored_window *window, int64_t used)
{
    return entitlement->warnings_count > 0 && warning_reached(entitlement, used, window->limit) > window->warned_bp;
}

/* Folds the cycle of one LIMIT in; false where it is not mere counting. */
static bool count_rule(const struct slot *slot, const struct entitlement *entitlement, uint32_t number,
                       const struct count_request *request, struct verdict_fold *fold)
{
    const struct stored_window *window = slot_find_window(slot, quota_rule_code(&entitlement->rules[number]));
    if (!window) return false;
    int64_t held = slot_held(slot, place_of(slot, window)), limit = window->limit;
    if (!has_room(window, held, request)) return false;
    int64_t busy = window->used + held + request->amount;
    int64_t reset_us = window->end_us == INT64_MAX ? NEVER_US : window->end_us - request->now_us;
    const struct verdict of_rule = {.granted = request->amount,
                                    .limit = limit,
                                    .remaining = limit == UNLIMITED ? UNLIMITED : limit - busy,
                                    .reset_us = reset_us,
                                    .rule = (int32_t)number + request->shift};
    verdict_fold_add(fold, false, &of_rule);
    return !warns(entitlement, window, request->holds ? window->used : window->used + request->amount);
}

/* The RATEs, which decide together. */
struct rates {
    uint32_t count;
    uint8_t places[ENTITLEMENT_RULES_MAX]; /* of each among the rules */
    struct rule rules[ENTITLEMENT_RULES_MAX];
    struct decision decision; /* large: means nothing where there are none */
};

static bool count_rates(const struct slot *slot, const struct count_request *request, struct rates *rates,
                        struct verdict_fold *fold)
{
    struct decision *decision = &rates->decision;
    const struct limiter_request wanted = {
        .cost = request->amount, .now_us = request->now_us, .mode = MODE_ALL, .kept = true, .begins = true};
    if (request->mode == MODE_UPTO) return false; /* a queue lets in what it has a place for in part */
    limiter_decide(slot->rates, rates->rules, rates->count, &wanted, decision);
    if (decision->fault != FAULT_NONE || decision->verdict.granted == 0) return false;
    struct verdict of_rates = decision->verdict;
    of_rates.rule = rates->places[of_rates.rule] + request->shift;
    verdict_fold_add(fold, false, &of_rates);
    return true;
}

/* Every rule; false where one of them does more than count. RATEs do not look back. */
static bool count_rules(const struct slot *slot, const struct entitlement *entitlement,
                        const struct count_request *request, struct rates *rates, struct verdict_fold *fold)
{
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        bool is_limit = entitlement->rules[i].kind == QUOTA_LIMIT;
        if (is_limit && !count_rule(slot, entitlement, i, request, fold)) return false;
    }
    rates->count = entitlement_rates(entitlement, rates->rules, rates->places);
    if (slot->windows_count + rates->count != entitlement->rules_count) return false;
    if (request->at_us > 0) rates->count = 0;
    return rates->count == 0 || count_rates(slot, request, rates, fold);
}

/* The resource as it is stored, of an account about which nothing else decides. */
struct counting {
    uint32_t number; /* of its slot */
    const struct slot *slot;
    const struct entitlement *entitlement;
};

static bool counting_begin(const struct account *account, const struct account_host *host,
                           const struct count_request *request, struct counting *counting)
{
    if (!account || !is_plain_account(account, host, request->now_us)) return false;
    int32_t number = account_slot(account, request->resource);
    if (number < 0 || !is_plain_slot(account, &account->slots[number], request->now_us)) return false;
    const struct plan_entry *entry = plan_find(account->plan, request->resource);
    if (!entry || !entry->only_counts) return false;
    *counting = (struct counting){(uint32_t)number, &account->slots[number], &entry->entitlement};
    return true;
}

/* So much is used of a cycle, and with what is held of it, it was as busy as `peak`. */
static void emit_count(const struct counting *counting, const struct stored_window *window, int64_t used, int64_t peak,
                       struct sink *changes)
{
    struct change change; /* what its kind does not name means nothing; there is much of it */
    if (used == window->used && peak <= window->peak) return;
    change.kind = CHANGE_USED;
    change.slot = counting->number;
    change.period = window->period;
    change.amount = used;
    change.peak = max_i64(window->peak, peak);
    change_encode(&change, changes);
}

/* Units that are used or held beside what reservations hold. Changes stand in the order of the stored cycles, as those
 * of a view do (changeset.h). */
static void emit_counts(const struct counting *counting, const struct count_request *request, struct sink *changes)
{
    const struct slot *slot = counting->slot;
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        const struct stored_window *window = &slot->windows[i];
        int64_t used = request->holds ? window->used : window->used + request->amount;
        emit_count(counting, window, used, window->used + request->amount + slot_held(slot, (int32_t)i), changes);
    }
}

bool count_decide(const struct account *account, const struct account_host *host, const struct count_request *request,
                  struct account_decision *decision, struct verdict_fold *fold, struct counted *counted)
{
    struct counting counting;
    struct rates rates;
    if (!counting_begin(account, host, request, &counting)) return false;
    if (!count_rules(counting.slot, counting.entitlement, request, &rates, fold)) return false;
    emit_counts(&counting, request, &decision->changes);
    if (rates.count > 0) emit_rates(&rates.decision, counting.number, NULL, &decision->changes);
    *counted = (struct counted){counting.number, counting.entitlement};
    return true;
}

void count_answer(struct account_decision *decision, int64_t amount, const struct verdict_fold *fold)
{
    uint32_t row = decision->result.consumed.count++;
    struct verdict *verdict = &decision->result.consumed.verdicts[row];
    *verdict = fold->verdict;
    verdict->granted = amount;
    verdict->wait_us = fold->delay_us;
    decision->result.consumed.funded[row] = 0;
}

bool count_passes(const struct account *account, const struct account_host *host, const struct count_request *request)
{
    if (!is_plain_account(account, host, request->now_us) || account_slot(account, request->resource) >= 0)
        return false;
    return !plan_entitlement(account->plan, request->resource);
}

/* ---- denials --------------------------------------------------------------------------------------------- */

/* Does the cycle after this one begin with the whole limit? */
static bool waits_for_its_end(const struct stored_window *window, const struct quota_rule *rule, int64_t now_us)
{
    return runs_plainly(window, now_us) && window->limit == rule->limit && rule->rollover_bp == 0;
}

/* Folds one LIMIT in, if it refuses. False where the end of its cycle is not all that decides. */
static bool deny_by(const struct counting *counting, uint32_t number, const struct count_request *request,
                    struct verdict_fold *fold)
{
    const struct quota_rule *rule = &counting->entitlement->rules[number];
    const struct stored_window *window =
        rule->kind == QUOTA_LIMIT ? slot_find_window(counting->slot, quota_rule_code(rule)) : NULL;
    if (!window || !waits_for_its_end(window, rule, request->now_us)) return false;
    if (window->limit == UNLIMITED || window->used <= window->limit - request->amount) return true;
    bool ends = window->end_us != INT64_MAX;
    int64_t left_us = ends ? wait_add(window->end_us - request->now_us, 0) : NEVER_US;
    struct verdict verdict = {.limit = window->limit,
                              .remaining = max_i64(window->limit - window->used, 0),
                              .wait_us = request->amount <= window->limit ? left_us : NEVER_US,
                              .rule = (int32_t)number};
    if (window->used > 0) verdict.reset_us = ends ? window->end_us - request->now_us : NEVER_US;
    verdict_fold_add(fold, true, &verdict);
    return true;
}

bool count_deny(const struct account *account, const struct account_host *host, const struct count_request *request,
                struct account_decision *decision)
{
    struct counting counting;
    struct verdict *verdict = &decision->result.consumed.verdicts[0];
    if (request->mode != MODE_ALL || !counting_begin(account, host, request, &counting)) return false;
    const struct entitlement *entitlement = counting.entitlement;
    bool holds = counting.slot->optional && counting.slot->optional->holds_count > 0; /* their ends free units */
    if (holds || entitlement->repay || counting.slot->windows_count != entitlement->rules_count) return false;
    struct verdict_fold fold = {.begun = false};
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        if (!deny_by(&counting, i, request, &fold)) return false;
    }
    if (!fold.denied) return false;
    *verdict = fold.verdict;
    const struct stored_window *window =
        slot_find_window(counting.slot, quota_rule_code(&entitlement->rules[verdict->rule]));
    const struct refusing_rule refusing = {request->resource, (int32_t)counting.number, entitlement, window->period,
                                           window->peak > 0};
    decision_add_refusal(decision, &refusing, verdict, request->amount);
    decision->denied = true;
    decision->result.consumed.count = 1;
    decision->result.consumed.funded[0] = 0;
    return true;
}

/* ---- reservations ---------------------------------------------------------------------------------------- */

/* Posts so many of the units that are held in this cycle, and releases the rest: `held` are the other ones. False where
 * it is not mere counting. */
static bool post_to(const struct counting *counting, const struct stored_window *window, const struct hold *hold,
                    int64_t posted, int64_t *remaining)
{
    bool ran = runs_plainly(window, hold->made_us) && window->denied_here == 0 && window->limit != ABSENT;
    int64_t held = slot_held(counting->slot, place_of(counting->slot, window)) - hold->units, used;
    if (!ran || held < 0 || !add_checked(window->used, posted, &used)) return false;
    if (warns(counting->entitlement, window, used)) return false;
    if (window->limit == UNLIMITED) return true;
    if (used > window->limit) return false; /* a grace may begin */
    int64_t left = max_i64(window->limit - used - held, 0);
    if (amount_is_smaller(left, *remaining)) *remaining = left;
    return true;
}

bool count_commit(const struct account *account, const struct account_host *host, const struct hold *hold,
                  int64_t posted, int64_t now_us, struct account_decision *decision, int64_t *remaining)
{
    struct counting counting;
    const struct slot *slot = &account->slots[hold->slot];
    const struct count_request request = {.resource = interned_string_bytes(slot->resource), .now_us = now_us};
    if (hold->units != hold->amount || hold->funding.size > 0 || posted > hold->amount) return false;
    if (!counting_begin(account, host, &request, &counting)) return false;
    if (slot->windows_count != counting.entitlement->rules_count) return false; /* rates get back what is released */
    *remaining = UNLIMITED;
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        bool runs = runs_plainly(&slot->windows[i], now_us);
        if (!runs || !post_to(&counting, &slot->windows[i], hold, posted, remaining)) return false;
    }
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        int64_t used = slot->windows[i].used + posted;
        emit_count(&counting, &slot->windows[i], used, used, &decision->changes);
    }
    return true;
}

/* ---- both paths ------------------------------------------------------------------------------------------ */

static void expect_same_cause(const struct refusal *cause, const struct refusal *wanted)
{
    (void)expect(bytes_equal(cause->resource, wanted->resource) && cause->slot == wanted->slot);
    (void)expect(cause->period == wanted->period && cause->counts == wanted->counts);
    (void)expect(cause->shape == wanted->shape && cause->amount == wanted->amount);
    (void)expect(cause->rule == wanted->rule && cause->wait_us == wanted->wait_us);
}

static void expect_same_verdicts(const struct account_decision *counted, const struct account_decision *general)
{
    (void)expect(counted->result.consumed.count == general->result.consumed.count);
    for (uint32_t i = 0; i < general->result.consumed.count; i++) {
        (void)expect(verdict_equal(&counted->result.consumed.verdicts[i], &general->result.consumed.verdicts[i]));
    }
}

static void expect_same_end(const struct account_decision *counted, const struct account_decision *general)
{
    const struct resolved *resolved = counted->result.resolved.items, *wanted = general->result.resolved.items;
    (void)expect(counted->result.resolved.count == 1 && general->result.resolved.count == 1);
    (void)expect(resolved->posted == wanted->posted && resolved->released == wanted->released);
    (void)expect(resolved->remaining == wanted->remaining);
}

void count_expect_same(const struct account_decision *counted, const struct account_decision *general, bool resolves)
{
    (void)expect(general->fault == ACCOUNT_FAULT_NONE && general->denied == counted->denied);
    (void)expect(bytes_equal(sink_content(&counted->changes), sink_content(&general->changes)));
    (void)expect(counted->applied_at_us == general->applied_at_us && counted->adds_record == general->adds_record);
    (void)expect(counted->causes_count == general->causes_count);
    for (uint32_t i = 0; i < general->causes_count; i++) expect_same_cause(&counted->causes[i], &general->causes[i]);
    if (resolves) {
        expect_same_end(counted, general);
    } else {
        expect_same_verdicts(counted, general);
    }
}

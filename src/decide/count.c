/* Counts units in place; see count.h. */
#include "quota/decide/count.h"
#include "quota/base/checked.h"
#include "quota/decide/verdict_fold.h"
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

static bool is_plain_slot(const struct slot *slot)
{
    const struct slot_optional *optional = slot->optional;
    return !optional || (!optional->override && !optional->bill && optional->holds_count == 0);
}

/* Is it a running cycle that keeps its count and nothing else? */
static bool runs_plainly(const struct stored_window *window, int64_t now_us)
{
    return !window->optional && window->start_us <= now_us && now_us < window->end_us;
}

/* Has the cycle room for the units, also when they were used? */
static bool has_room(const struct stored_window *window, const struct count_request *request)
{
    bool plain = runs_plainly(window, request->now_us) && window->denied_here == 0 && window->limit != ABSENT;
    bool ran = request->at_us == 0 || (window->start_us <= request->at_us && request->at_us <= request->now_us);
    int64_t most = window->limit == UNLIMITED ? INT64_MAX : window->limit;
    return plain && ran && window->used <= most - request->amount;
}

/* Folds the cycle of one LIMIT in; false where it is not mere counting. */
static bool count_rule(const struct slot *slot, const struct entitlement *entitlement, uint32_t number,
                       const struct count_request *request, struct verdict_fold *fold)
{
    const struct stored_window *window = slot_find_window(slot, quota_rule_code(&entitlement->rules[number]));
    if (!window || !has_room(window, request)) return false;
    int64_t used = window->used + request->amount, limit = window->limit;
    bool warns = entitlement->warnings_count > 0 && warning_reached(entitlement, used, limit) > window->warned_bp;
    int64_t reset_us = window->end_us == INT64_MAX ? NEVER_US : window->end_us - request->now_us;
    const struct verdict of_rule = {request->amount, limit,          limit == UNLIMITED ? UNLIMITED : limit - used, 0,
                                    reset_us,        (int32_t)number};
    verdict_fold_add(fold, false, &of_rule);
    return !warns;
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
    of_rates.rule = rates->places[of_rates.rule];
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

/* Changes stand in the order of the stored cycles, as those of a view do (changeset.h). */
static void emit_counts(const struct slot *slot, uint32_t number, int64_t units, struct sink *changes)
{
    struct change change; /* what its kind does not name means nothing; there is much of it */
    change.kind = CHANGE_USED;
    change.slot = number;
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        change.period = slot->windows[i].period;
        change.amount = change.peak = slot->windows[i].used + units;
        change_encode(&change, changes);
    }
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
    if (number < 0 || !is_plain_slot(&account->slots[number])) return false;
    const struct plan_entry *entry = plan_find(account->plan, request->resource);
    if (!entry || !entry->only_counts) return false;
    *counting = (struct counting){(uint32_t)number, &account->slots[number], &entry->entitlement};
    return true;
}

bool count_decide(const struct account *account, const struct account_host *host, const struct count_request *request,
                  uint32_t row, struct account_decision *decision, struct counted *counted)
{
    struct counting counting;
    struct rates rates;
    struct verdict *verdict = &decision->result.consumed.verdicts[row];
    if (!counting_begin(account, host, request, &counting)) return false;
    struct verdict_fold fold = {.begun = false};
    if (!count_rules(counting.slot, counting.entitlement, request, &rates, &fold)) return false;
    *verdict = fold.verdict;
    verdict->granted = request->amount;
    verdict->wait_us = fold.delay_us;
    emit_counts(counting.slot, counting.number, request->amount, &decision->changes);
    if (rates.count > 0) emit_rates(&rates.decision, counting.number, NULL, &decision->changes);
    decision->result.consumed.count = row + 1;
    decision->result.consumed.funded[row] = 0;
    *counted = (struct counted){counting.number, counting.entitlement};
    return true;
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
    if (entitlement->repay || counting.slot->windows_count != entitlement->rules_count) return false;
    struct verdict_fold fold = {.begun = false};
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        if (!deny_by(&counting, i, request, &fold)) return false;
    }
    if (!fold.denied) return false;
    *verdict = fold.verdict;
    const struct stored_window *window =
        slot_find_window(counting.slot, quota_rule_code(&entitlement->rules[verdict->rule]));
    const struct refusing_rule refusing = {request->resource, (int32_t)counting.number, entitlement, window->period,
                                           window->used > 0};
    decision_add_refusal(decision, &refusing, verdict, request->amount);
    decision->denied = true;
    decision->result.consumed.count = 1;
    decision->result.consumed.funded[0] = 0;
    return true;
}

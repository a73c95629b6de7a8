/* Decides an account's life; see admin.h. */
#include "quota/decide/admin.h"
#include "quota/base/checked.h"
#include "quota/decide/charge.h"

/* ---- common ---------------------------------------------------------------------------------------------- */

static void tell_note(const struct standing *standing, enum note_act act, uint32_t slot, int64_t amount,
                      const struct operation *operation, struct account_decision *decision)
{
    struct change change = {
        .kind = CHANGE_NOTE,
        .note = {
            .at_us = standing->now_us, .act = (uint8_t)act, .slot = slot, .amount = amount, .actor = operation->actor}};
    change_encode(&change, &decision->changes);
}

/* The plan that is to come; NULL = there is none any more. */
static void tell_next(const struct plan *plan, int64_t next_us, struct account_decision *decision)
{
    struct change change = {
        .kind = CHANGE_NEXT, .bytes = plan ? plan->bytes : (struct bytes){"", 0}, .until_us = next_us};
    change_encode(&change, &decision->changes);
}

/* The account that is there, and not closed. */
static enum account_fault begin(struct standing *standing, const struct account *account,
                                const struct account_host *host, const struct operation *operation, bool adopting,
                                struct account_decision *decision)
{
    account_decision_begin(decision);
    if (!account) return ACCOUNT_FAULT_MISSING;
    enum account_fault fault = standing_begin(standing, account, host, operation->now_us, adopting);
    decision->settled_us = standing->now_us;
    if (fault == ACCOUNT_FAULT_NONE && standing->state == ACCOUNT_CLOSED) return ACCOUNT_FAULT_CLOSED;
    return fault;
}

static void finish(struct account_decision *decision, enum account_fault fault)
{
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, decision->about);
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static enum account_fault open_new(const struct account_host *host, const struct open_ask *ask,
                                   const struct operation *operation, struct account_decision *decision)
{
    const struct plan *plan = host->find_plan(ask->plan);
    if (!plan) return ACCOUNT_FAULT_PLAN;
    struct change begin_plan = {.kind = CHANGE_PLAN, .bytes = plan->bytes};
    struct change life = {.kind = CHANGE_LIFE,
                          .anchor_us = ask->anchor_us == NOT_ASKED ? operation->now_us : ask->anchor_us,
                          .expires_us = ask->expires_us == NOT_ASKED ? 0 : ask->expires_us,
                          .body = bytes_equal(ask->zone, BYTES("UTC")) ? BYTES("") : ask->zone};
    change_encode(&begin_plan, &decision->changes);
    change_encode(&life, &decision->changes);
    decision->settled_us = operation->now_us;
    return ACCOUNT_FAULT_NONE;
}

/* Anchor and zone stay for life: another one would begin cycles anew. */
static bool open_fits(const struct standing *standing, const struct open_ask *ask)
{
    if (ask->anchor_us != NOT_ASKED && ask->anchor_us != standing->anchor_us) return false;
    return ask->zone.size == 0 || bytes_equal(ask->zone, interned_string_bytes(standing->zone)) ||
           (!standing->zone && bytes_equal(ask->zone, BYTES("UTC")));
}

static enum account_fault open_again(struct standing *standing, const struct open_ask *ask,
                                     const struct operation *operation, struct account_decision *decision)
{
    const struct account_host *host = standing->host;
    bool ended = standing->state == ACCOUNT_CLOSED || standing->state == ACCOUNT_LAPSED || !standing->plan;
    const struct plan *plan = host->find_plan(ask->plan);
    if (!open_fits(standing, ask)) return ACCOUNT_FAULT_OPEN;
    if (ended && !plan) return ACCOUNT_FAULT_PLAN;
    if (!ended && !bytes_equal(standing->plan->name, ask->plan)) return ACCOUNT_FAULT_OPEN;
    int64_t expires_us = ask->expires_us != NOT_ASKED ? ask->expires_us : ended ? 0 : standing->expires_us;
    if (!ended && expires_us == standing->expires_us) return ACCOUNT_FAULT_NONE;
    if (ended) {
        standing_turn(standing, plan, WINDOW_FULL);
        standing->state = ACCOUNT_ACTIVE;
    }
    standing->expires_us = expires_us;
    enum account_fault fault = standing_tell_all(standing, NULL, 0, &decision->changes);
    if (ended && standing->account->rest && standing->account->rest->next) tell_next(NULL, 0, decision);
    tell_note(standing, NOTE_OPEN, 0, 0, operation, decision);
    return fault;
}

void open_decide(const struct account *account, const struct account_host *host, const struct open_ask *ask,
                 const struct operation *operation, struct account_decision *decision)
{
    struct standing standing;
    enum account_fault fault = begin(&standing, account, host, operation, false, decision);
    decision->about = ask->plan;
    if (fault == ACCOUNT_FAULT_MISSING) {
        fault = open_new(host, ask, operation, decision);
    } else if (fault == ACCOUNT_FAULT_NONE || fault == ACCOUNT_FAULT_CLOSED) {
        fault = open_again(&standing, ask, operation, decision);
    }
    finish(decision, fault);
}

/* ---- switching ------------------------------------------------------------------------------------------- */

static enum account_fault change_plan(struct standing *standing, const struct plan *plan, enum switch_mode mode,
                                      struct account_decision *decision)
{
    const struct account_rest *rest = standing->account->rest;
    int64_t end_us = -1;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    if (mode == SWITCH_END) fault = standing_longest_end(standing, &end_us);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (end_us < 0) standing_turn(standing, plan, mode == SWITCH_PRORATE ? WINDOW_PRORATE : WINDOW_FULL);
    if (standing->state == ACCOUNT_LAPSED) standing->state = ACCOUNT_ACTIVE;
    fault = standing_tell_all(standing, NULL, 0, &decision->changes);
    if (end_us >= 0) tell_next(plan, end_us, decision);
    if (end_us < 0 && rest && rest->next) tell_next(NULL, 0, decision);
    return fault;
}

void switch_decide(const struct account *account, const struct account_host *host, struct bytes plan_name,
                   enum switch_mode mode, const struct operation *operation, struct account_decision *decision)
{
    struct standing standing;
    enum account_fault fault = begin(&standing, account, host, operation, false, decision);
    const struct plan *plan = host->find_plan(plan_name);
    decision->about = plan_name;
    if (fault == ACCOUNT_FAULT_NONE && !standing.plan) fault = ACCOUNT_FAULT_EXPIRED;
    if (fault == ACCOUNT_FAULT_NONE && !plan) fault = ACCOUNT_FAULT_PLAN;
    if (fault == ACCOUNT_FAULT_NONE) fault = change_plan(&standing, plan, mode, decision);
    if (fault == ACCOUNT_FAULT_NONE) tell_note(&standing, NOTE_SWITCH, 0, 0, operation, decision);
    finish(decision, fault);
}

/* ---- state ----------------------------------------------------------------------------------------------- */

static enum note_act act_of(enum account_state state)
{
    switch (state) {
    case ACCOUNT_SUSPENDED: return NOTE_SUSPEND;
    case ACCOUNT_CLOSED: return NOTE_CLOSE;
    default: return NOTE_RESUME;
    }
}

void state_decide(const struct account *account, const struct account_host *host, enum account_state state,
                  const struct operation *operation, struct account_decision *decision)
{
    struct standing standing;
    enum account_fault fault = begin(&standing, account, host, operation, true, decision);
    if (fault == ACCOUNT_FAULT_CLOSED && state == ACCOUNT_CLOSED) fault = ACCOUNT_FAULT_NONE;
    bool resumed = fault == ACCOUNT_FAULT_NONE && state == ACCOUNT_ACTIVE && standing.state == ACCOUNT_LAPSED;
    if (fault == ACCOUNT_FAULT_NONE && standing.state != state && !resumed) {
        standing.state = (uint8_t)state;
        fault = standing_tell_all(&standing, NULL, 0, &decision->changes);
        tell_note(&standing, act_of(state), 0, 0, operation, decision);
    }
    finish(decision, fault);
}

/* ---- terms of its own ------------------------------------------------------------------------------------ */

static void tell_own(const struct footing *footing, const struct entitlement *entitlement, int64_t until_us,
                     struct account_decision *decision)
{
    struct sink plan = {0};
    if (entitlement) plan_write_with(NULL, BYTES(""), 1, entitlement, &plan);
    struct change change = {.kind = CHANGE_OWN,
                            .slot = (uint32_t)footing->index,
                            .bytes = {plan.data, plan.size},
                            .until_us = entitlement ? until_us : 0};
    change_encode(&change, &decision->changes);
    sink_free(&plan);
}

void override_decide(const struct account *account, const struct account_host *host, struct bytes resource,
                     const struct entitlement *entitlement, int64_t until_us, const struct operation *operation,
                     struct account_decision *decision)
{
    struct standing standing;
    struct footing footing;
    enum account_fault fault = begin(&standing, account, host, operation, true, decision);
    decision->about = resource;
    if (fault == ACCOUNT_FAULT_NONE && !standing.plan) fault = ACCOUNT_FAULT_EXPIRED;
    if (fault == ACCOUNT_FAULT_NONE) {
        footing_begin(&standing, resource, &footing);
        const struct slot_rest *rest = footing.stored ? footing.stored->rest : NULL;
        bool has_own = rest && rest->own && (rest->own_until_us == 0 || rest->own_until_us > standing.now_us);
        if (!entitlement && !has_own) return;
        fault = standing_tell_all(&standing, &resource, 1, &decision->changes);
    }
    if (fault == ACCOUNT_FAULT_NONE) fault = footing_settle(&standing, &footing, &decision->changes);
    if (fault == ACCOUNT_FAULT_NONE) {
        const struct entitlement *after = entitlement ? entitlement : plan_find(standing.plan, resource);
        footing_adopt(&standing, &footing, after, WINDOW_FULL, standing.now_us);
        fault = footing_tell(&standing, &footing, &decision->changes);
    }
    if (fault == ACCOUNT_FAULT_NONE) {
        tell_own(&footing, entitlement, until_us, decision);
        tell_note(&standing, NOTE_OVERRIDE, (uint32_t)footing.index + 1, 0, operation, decision);
    }
    finish(decision, fault);
}

/* ---- corrections ----------------------------------------------------------------------------------------- */

/* A rolling window that holds `used` units of now, and nothing else. */
static void tell_log(const struct standing *standing, const struct footing *footing, int64_t period_us, int64_t used,
                     struct account_decision *decision)
{
    struct change change = {.kind = CHANGE_ROLLED,
                            .slot = (uint32_t)footing->index,
                            .period_us = period_us,
                            .log = {.when_us = standing->now_us, .amount = used, .rest = standing->now_us}};
    change_encode(&change, &decision->changes);
}

static void set_windows(struct footing *footing, int64_t used, int64_t now_us)
{
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        struct window *window = &footing->windows[i];
        if (!entitlement_limit(footing->entitlement, window->period)) continue;
        window->used = 0;
        window->warned_bp = window->over_since_us = 0;
        window_charge(window, used, 0, now_us);
        window_warn(window, footing->entitlement);
    }
}

void set_decide(const struct account *account, const struct account_host *host, struct bytes resource, int64_t used,
                const struct operation *operation, struct account_decision *decision)
{
    struct standing standing;
    struct footing footing;
    enum account_fault fault = begin(&standing, account, host, operation, true, decision);
    decision->about = resource;
    if (fault == ACCOUNT_FAULT_NONE && !standing.plan) fault = ACCOUNT_FAULT_EXPIRED;
    if (fault == ACCOUNT_FAULT_NONE) fault = standing_tell_all(&standing, &resource, 1, &decision->changes);
    if (fault == ACCOUNT_FAULT_NONE) {
        footing_begin(&standing, resource, &footing);
        fault = footing_settle(&standing, &footing, &decision->changes);
    }
    if (fault == ACCOUNT_FAULT_NONE && !footing.entitlement) fault = ACCOUNT_FAULT_RESOURCE;
    if (fault == ACCOUNT_FAULT_NONE) {
        set_windows(&footing, used, standing.now_us);
        fault = footing_tell(&standing, &footing, &decision->changes);
    }
    for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && i < footing.entitlement->rules_count; i++) {
        const struct quota_rule *rule = &footing.entitlement->rules[i];
        if (rule->kind == QUOTA_ROLLING) tell_log(&standing, &footing, rule->rule.period_us, used, decision);
    }
    if (fault == ACCOUNT_FAULT_NONE) {
        tell_note(&standing, NOTE_SET, (uint32_t)footing.index + 1, used, operation, decision);
    }
    finish(decision, fault);
}

static enum account_fault reset_slot(struct standing *standing, struct bytes resource,
                                     struct account_decision *decision)
{
    struct footing footing;
    footing_begin(standing, resource, &footing);
    enum account_fault fault = footing_settle(standing, &footing, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    for (uint32_t i = 0; i < footing.windows_count; i++) {
        struct window *window = &footing.windows[i];
        window->used = window->debt = window->refunded = window->denied = window->peak = 0;
        window->over_since_us = window->warned_bp = 0;
    }
    fault = footing_tell(standing, &footing, &decision->changes);
    struct change change = {.kind = CHANGE_EMPTIED, .slot = (uint32_t)footing.index};
    if (fault == ACCOUNT_FAULT_NONE) change_encode(&change, &decision->changes);
    return fault;
}

static enum account_fault reset(struct standing *standing, struct bytes resource, struct account_decision *decision)
{
    struct bytes asked[ACCOUNT_SLOTS_MAX] = {{0}};
    uint32_t count = 0;
    for (uint32_t i = 0; i < standing->account->slots_count; i++) {
        struct bytes name = interned_string_bytes(standing->account->slots[i].resource);
        if (resource.size == 0 || bytes_equal(name, resource)) asked[count++] = name;
    }
    enum account_fault fault = standing_tell_all(standing, asked, count, &decision->changes);
    for (uint32_t i = 0; i < count && fault == ACCOUNT_FAULT_NONE; i++)
        fault = reset_slot(standing, asked[i], decision);
    return fault;
}

void reset_decide(const struct account *account, const struct account_host *host, struct bytes resource,
                  const struct operation *operation, struct account_decision *decision)
{
    struct standing standing;
    enum account_fault fault = begin(&standing, account, host, operation, true, decision);
    int32_t slot = fault == ACCOUNT_FAULT_NONE && resource.size > 0 ? account_slot(account, resource) : -1;
    decision->about = resource;
    if (fault == ACCOUNT_FAULT_NONE && !standing.plan) fault = ACCOUNT_FAULT_EXPIRED;
    bool unknown = fault == ACCOUNT_FAULT_NONE && resource.size > 0 && slot < 0;
    if (unknown && !plan_find(standing.plan, resource)) fault = ACCOUNT_FAULT_RESOURCE;
    if (fault == ACCOUNT_FAULT_NONE && !unknown) {
        fault = reset(&standing, resource, decision);
        tell_note(&standing, NOTE_RESET, (uint32_t)(slot + 1), 0, operation, decision);
    }
    finish(decision, fault);
}

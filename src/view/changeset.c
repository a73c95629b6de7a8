/* Writes views down as changes; see changeset.h. */
#include "quota/view/changeset.h"
#include "quota/base/checked.h"
#include "quota/rate/limiter_codec.h"
#include "quota/view/billing.h"
#include "quota/view/credits_view.h"

/* ---- windows --------------------------------------------------------------------------------------------- */

/* The place of a period's window in the view; `guess` = where it is unless windows have come or gone. */
static const struct window *find_period(const struct resource_view *view, uint64_t period, uint32_t guess)
{
    if (guess < view->windows_count && view->windows[guess].period == period) return &view->windows[guess];
    for (uint32_t i = 0; i < view->windows_count; i++) {
        if (view->windows[i].period == period) return &view->windows[i];
    }
    return NULL;
}

/* The same among the stored windows; -1 = it is not stored. */
static int32_t stored_place(const struct slot *slot, uint64_t period, uint32_t guess)
{
    if (!slot) return -1;
    if (guess < slot->windows_count && slot->windows[guess].period == period) return (int32_t)guess;
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        if (slot->windows[i].period == period) return (int32_t)i;
    }
    return -1;
}

/* A window that is not stored, and that the rules alone would begin again, needs no storing. */
static bool needs_storing(const struct resource_view *view, uint32_t index)
{
    const struct window *window = &view->windows[index];
    return !view->fresh[index] || !window_is_idle(window) || window->lines.count > 0 || window->debt > 0;
}

/* Windows that went, before those that came: there is always room. */
static void emit_removed(const struct resource_view *view, struct sink *changes)
{
    const struct slot *slot = view->stored;
    for (uint32_t i = 0; slot && i < slot->windows_count; i++) {
        uint64_t period = slot->windows[i].period;
        const struct window *window = find_period(view, period, i);
        if (window && needs_storing(view, (uint32_t)(window - view->windows))) continue;
        struct change change = {.kind = CHANGE_WINDOW_REMOVED, .slot = (uint32_t)view->index, .period = period};
        change_encode(&change, changes);
    }
}

/* Most requests only count: no more is written then than the count. False where that is not enough. */
static bool emit_count(const struct resource_view *view, uint32_t place, const struct window *window,
                       struct sink *changes)
{
    /* Denials alone are no reason to write: this server remembers them until the next count. */
    if (!slot_window_counts_on(view->stored, place, window)) return false;
    if (slot_window_has_count(view->stored, place, window)) return true;
    struct change change;
    change.kind = CHANGE_USED; /* the rest means nothing, and is large */
    change.slot = (uint32_t)view->index;
    change.period = window->period;
    change.amount = window->used;
    change.peak = window->peak;
    change_encode(&change, changes);
    return true;
}

/* Where a raised limit has lowered the warnings of a cycle, and they fire again with this very change, it is written
 * first that they were lowered, so that the change itself is an event. False where nothing was written. */
static bool emit_lowered(const struct resource_view *view, uint32_t index, uint32_t place, struct sink *changes)
{
    const struct window *window = &view->windows[index];
    const struct stored_window *stored = &view->stored->windows[place];
    int64_t lowered_bp = view->lowered_bp[index];
    bool fires = lowered_bp < stored->warned_bp && lowered_bp < window->warned_bp;
    if (!fires || stored->start_us != window->start_us) return false;
    struct change change = {.kind = CHANGE_WINDOW, .slot = (uint32_t)view->index, .window = *window};
    change.window.warned_bp = lowered_bp;
    change_encode(&change, changes);
    change.window.warned_bp = window->warned_bp;
    change_encode(&change, changes);
    return true;
}

static void emit_windows(const struct resource_view *view, struct sink *changes)
{
    for (uint32_t i = 0; i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        if (!needs_storing(view, i)) continue;
        int32_t place = stored_place(view->stored, window->period, i);
        if (place >= 0 && emit_lowered(view, i, (uint32_t)place, changes)) continue;
        if (place >= 0 && emit_count(view, (uint32_t)place, window, changes)) continue;
        struct change change = {.kind = CHANGE_WINDOW, .slot = (uint32_t)view->index, .window = *window};
        change_encode(&change, changes);
    }
}

/* ---- a resource ------------------------------------------------------------------------------------------ */

static void emit_generation_of(const struct resource_view *view, struct sink *changes)
{
    struct change change = {.kind = CHANGE_GENERATION, .slot = (uint32_t)view->index, .amount = view->generation};
    change_encode(&change, changes);
}

void emit_generation(struct resource_view *view, struct sink *changes)
{
    view->generation++;
    emit_generation_of(view, changes);
}

enum account_fault emit_slot(struct account_view *account, struct resource_view *view, struct sink *changes)
{
    if (view->index >= 0) return ACCOUNT_FAULT_NONE;
    if (account->slots_count == ACCOUNT_SLOTS_MAX) return ACCOUNT_FAULT_SLOTS;
    struct change change = {.kind = CHANGE_SLOT, .bytes = view->resource};
    change_encode(&change, changes);
    view->index = (int32_t)account->slots_count++;
    return ACCOUNT_FAULT_NONE;
}

/* The entry that the account will have stored before this resource is written down. */
static const struct plan_entry *stored_entry(const struct account_view *account, struct bytes resource)
{
    return plan_find(account_view_last_plan(account), resource);
}

/* Of the account's plan the entry of this resource is of another revision now. */
static void emit_entry(const struct account_view *account, const struct resource_view *view, struct sink *changes)
{
    if (account->plan_is_current && account->changes_count == 0) return; /* nothing can have come */
    const struct plan_entry *stored = stored_entry(account, view->resource);
    if (!view->entry || view->entry == stored) return;
    /* The account stores its own copy of the rules, so that it survives a restore on a server that lacks the plan. */
    if (stored && stored->revision == view->entry->revision) return;
    struct sink entry = {0};
    plan_entry_encode(view->entry, &entry);
    struct change change = {.kind = CHANGE_ENTITLEMENT, .bytes = {entry.data, entry.size}};
    change_encode(&change, changes);
    sink_free(&entry);
}

bool resource_needs_storing(const struct resource_view *view)
{
    bool needs = view->index >= 0 || view->bill.is_other || view->bill.credited;
    for (uint32_t i = 0; !needs && i < view->windows_count; i++) needs = needs_storing(view, i);
    return needs;
}

/* What rates took over under rules that hold no more, in front of any other effects on them. */
static void emit_passed_rates(struct resource_view *view, struct sink *changes)
{
    for (; view->rates_passed; view->rates_passed = view->rates_passed->next) {
        struct change change = {
            .kind = CHANGE_RATES, .slot = (uint32_t)view->index, .bytes = view->rates_passed->effects};
        change_encode(&change, changes);
    }
}

enum account_fault emit_but_rates(struct account_view *account, struct resource_view *view, struct sink *changes)
{
    enum account_fault fault = emit_slot(account, view, changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    emit_entry(account, view, changes);
    if (view->override_ended) {
        struct change change = {.kind = CHANGE_OVERRIDE, .slot = (uint32_t)view->index, .bytes = {"", 0}};
        change_encode(&change, changes);
    }
    int64_t stored = view->stored && view->stored->optional ? view->stored->optional->generation : 0;
    if (view->generation != stored) emit_generation_of(view, changes); /* a line has been drawn in its windows */
    emit_passed_rates(view, changes);
    billing_emit(view, changes);
    emit_removed(view, changes);
    emit_windows(view, changes);
    if (view->grants) credits_emit_turned(view, changes);
    return ACCOUNT_FAULT_NONE;
}

void emit_rates(const struct decision *decision, uint32_t slot, const struct stored_api_key *key, struct sink *changes)
{
    char stack_buffer[512];
    struct sink effects = sink_init(stack_buffer, sizeof(stack_buffer));
    if (decision->effects_count == 0) return;
    effects_encode(decision, false, &effects);
    struct change change; /* what its kind does not name means nothing; there is much of it */
    change.kind = key ? CHANGE_API_KEY_RATES : CHANGE_RATES;
    change.slot = slot;
    change.number = key ? key->key.number : 0;
    change.bytes = sink_content(&effects);
    change_encode(&change, changes);
    sink_free(&effects);
}

static void emit_takeover(const struct resource_view *view, struct sink *changes)
{
    struct rule rules[ENTITLEMENT_RULES_MAX];
    uint8_t places[ENTITLEMENT_RULES_MAX];
    struct decision decision;
    const struct limiter *limiter = view->rates;
    if (!limiter || !view->entitlement || view->rates_us == 0) return;
    uint32_t count = entitlement_rates(view->entitlement, rules, places);
    limiter_decide_rules(limiter, rules, count, view->rates_us, &decision);
    emit_rates(&decision, (uint32_t)view->index, NULL, changes);
}

enum account_fault emit_resource(struct account_view *account, struct resource_view *view, struct sink *changes)
{
    enum account_fault fault = emit_but_rates(account, view, changes);
    if (fault == ACCOUNT_FAULT_NONE) emit_takeover(view, changes);
    return fault;
}

/* ---- the account ----------------------------------------------------------------------------------------- */

static void emit_status(const struct account_status *status, struct sink *changes)
{
    struct change change = {.kind = CHANGE_STATUS, .status = *status};
    change_encode(&change, changes);
}

/* A plan that was to come has come, or will not come any more. */
static void emit_next_gone(const struct account_view *view, struct sink *changes)
{
    const struct account_optional *optional = view->account->optional;
    if (!optional || !optional->next) return;
    bool expired = account_has_expired(optional, view->now_us);
    if (!expired && optional->next_us > view->now_us) return;
    struct change next = {.kind = CHANGE_NEXT, .bytes = {"", 0}};
    change_encode(&next, changes);
}

static void emit_plan(const struct plan *plan, const struct plan *before, struct sink *changes)
{
    struct change change = {.kind = CHANGE_PLAN, .bytes = plan->bytes};
    if (plan != before) change_encode(&change, changes);
}

/* Every plan that the account has had since, one after another: what time has done is an event of its own, also where
 * the command moves the account on. */
static void emit_moves(const struct account_view *view, struct sink *changes)
{
    const struct plan *before = view->account->plan;
    for (uint32_t i = 0; i < view->changes_count; i++) {
        const struct plan *plan = view->changes[i].plan;
        if (plan) emit_plan(plan, before, changes);
        if (plan) before = plan;
        if (i == 0) emit_next_gone(view, changes);
        if (i + 1 != view->lapsed_by) continue;
        bool goes_on = i + 1 < view->changes_count || view->status.state != view->lapsed.state;
        if (goes_on) emit_status(&view->lapsed, changes);
    }
    if (view->changes_count == 0) emit_next_gone(view, changes);
}

static bool is_own(struct bytes resource, struct resource_names own)
{
    for (uint32_t i = 0; i < own.count; i++) {
        if (bytes_equal(resource, own.names[i])) return true;
    }
    return false;
}

static enum account_fault settle_and_emit(struct account_view *account, struct bytes resource, struct sink *changes)
{
    struct resource_view view;
    resource_view_begin(account, resource, &view);
    if (view.index < 0) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = resource_view_settle(account, &view, changes);
    if (fault == ACCOUNT_FAULT_NONE) fault = emit_resource(account, &view, changes);
    return fault;
}

/* A resource that has never been used gets a slot where a prorated change has made something of its cycles. */
static enum account_fault emit_unused(struct account_view *account, struct bytes resource, struct sink *changes)
{
    struct resource_view view;
    resource_view_begin(account, resource, &view);
    if (view.index >= 0) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = resource_view_settle(account, &view, NULL);
    if (fault != ACCOUNT_FAULT_NONE || !resource_needs_storing(&view)) return fault;
    return emit_resource(account, &view, changes);
}

/* Of the plans that the account has had since it was written down: the stored one (0), and those that it moved to. */
static const struct plan *plan_of(const struct account_view *account, uint32_t number)
{
    return number == 0 ? account->account->plan : account->changes[number - 1].plan;
}

static const struct plan_history *history_of(const struct account_view *account, const struct plan *plan)
{
    return plan ? account->host->find_plan(plan->name) : NULL;
}

/* One that this plan knows, or a later revision of it. Those before it have written theirs down. */
static enum account_fault emit_if_first(struct account_view *account, uint32_t number, struct bytes resource,
                                        struct resource_names own, struct sink *changes)
{
    bool done = is_own(resource, own);
    for (uint32_t i = 0; i < number && !done; i++) {
        const struct plan *before = plan_of(account, i);
        done = plan_find(before, resource) || plan_history_track(history_of(account, before), resource);
    }
    return done ? ACCOUNT_FAULT_NONE : emit_unused(account, resource, changes);
}

static enum account_fault emit_unused_of(struct account_view *account, uint32_t number, struct resource_names own,
                                         struct sink *changes)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    const struct plan *plan = plan_of(account, number);
    const struct plan_history *history = history_of(account, plan);
    for (uint32_t i = 0; plan && i < plan->entries_count && fault == ACCOUNT_FAULT_NONE; i++) {
        fault = emit_if_first(account, number, plan->entries[i].entitlement.resource, own, changes);
    }
    for (uint32_t i = 0; history && i < history->tracks_count && fault == ACCOUNT_FAULT_NONE; i++) {
        struct bytes resource = history->tracks[i].resource;
        if (!plan_find(plan, resource)) fault = emit_if_first(account, number, resource, own, changes);
    }
    return fault;
}

/* Every resource that the account has used, or that a plan knows which it has had since. */
static enum account_fault emit_all(struct account_view *view, struct resource_names own, struct sink *changes)
{
    const struct account *account = view->account;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < account->slots_count && fault == ACCOUNT_FAULT_NONE; i++) {
        struct bytes resource = interned_string_bytes(account->slots[i].resource);
        if (!is_own(resource, own)) fault = settle_and_emit(view, resource, changes);
    }
    for (uint32_t i = 0; i <= view->changes_count && fault == ACCOUNT_FAULT_NONE; i++) {
        fault = emit_unused_of(view, i, own, changes);
    }
    return fault;
}

enum account_fault emit_account(struct account_view *view, struct resource_names own, struct sink *changes)
{
    if (!view->account) {
        emit_plan(account_view_last_plan(view), NULL, changes);
        emit_status(&view->status, changes);
        return ACCOUNT_FAULT_NONE;
    }
    if (view->changes_count == 0 && !view->status_changed) return ACCOUNT_FAULT_NONE;
    emit_moves(view, changes);
    if (view->status_changed) emit_status(&view->status, changes);
    return view->changes_count > 0 ? emit_all(view, own, changes) : ACCOUNT_FAULT_NONE;
}

void emit_audit(const struct account_view *view, enum audit_action act, int32_t slot, int64_t amount,
                struct bytes actor, struct bytes reason, struct sink *changes)
{
    struct change change = {.kind = CHANGE_AUDIT,
                            .audit = {.at_us = view->now_us,
                                      .act = (uint8_t)act,
                                      .slot = (uint32_t)(slot + 1),
                                      .amount = amount,
                                      .actor = actor,
                                      .reason = reason}};
    change_encode(&change, changes);
}

/* A change says that the account is up to now, so what time has done is written down with it. */
void emit_sweep(struct account_view *view, struct sink *changes)
{
    struct change swept = {.kind = CHANGE_SWEPT};
    if (!account_view_can_sweep(view)) return;
    view->slots_count = view->account->slots_count; /* without those that a change, which was dropped, had begun */
    if (emit_account(view, NO_RESOURCES, changes) == ACCOUNT_FAULT_NONE) {
        change_encode(&swept, changes);
    } else {
        changes->size = 0;
    }
}

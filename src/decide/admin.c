/* Decides an account's life; see admin.h. */
#include "quota/decide/admin.h"
#include "quota/base/checked.h"
#include "quota/view/changeset.h"
#include "quota/view/cycles.h"

/* ---- common ---------------------------------------------------------------------------------------------- */

/* The plan that is to come; NULL = there is none any more. */
static void emit_next(const struct plan *plan, int64_t next_us, enum switch_how how, struct account_decision *decision)
{
    struct change change = {.kind = CHANGE_NEXT,
                            .bytes = plan ? plan->bytes : (struct bytes){"", 0},
                            .until_us = plan ? next_us : 0,
                            .how = plan ? (uint8_t)how : 0};
    change_encode(&change, &decision->changes);
}

/* The plan of this name, if accounts may move to it; NULL = none. One use. */
static const struct plan *find_plan(const struct account_host *host, struct bytes name, int64_t at_us)
{
    const struct plan_history *history = host->find_plan(name);
    return history && !history->retired ? plan_history_snapshot(history, at_us, at_us) : NULL;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static struct bytes stored_zone(struct bytes zone)
{
    return bytes_equal(zone, BYTES("UTC")) ? BYTES("") : zone;
}

static const struct zone *find_zone(const struct account_host *host, struct bytes zone)
{
    return stored_zone(zone).size > 0 ? host->find_zone(zone, NULL) : zone_utc();
}

static void emit_parent(const struct open_request *request, struct account_decision *decision)
{
    if (request->parent.size == 0) return;
    change_encode(&(struct change){.kind = CHANGE_PARENT, .bytes = request->parent}, &decision->changes);
}

static enum account_fault open_new(const struct account_host *host, const struct open_request *request,
                                   const struct admin_action *action, struct account_decision *decision)
{
    const struct zone *zone = find_zone(host, request->zone);
    int64_t anchor_us = request->anchor_us == NOT_REQUESTED ? action->now_us : request->anchor_us;
    if (!zone) return ACCOUNT_FAULT_ZONE;
    struct change status = {
        .kind = CHANGE_STATUS,
        .status = {.anchor_us = anchor_us,
                   .expires_us = moment_instant_us(&request->expires, zone, action->now_us),
                   .opened_us = anchor_us == action->now_us || action->now_us <= 0 ? 0 : action->now_us,
                   .zone = stored_zone(request->zone),
                   .then = request->then}};
    if (status.status.expires_us > 0 && status.status.expires_us <= max_i64(action->now_us, anchor_us)) {
        return operate_past(decision, "expires");
    }
    const struct plan *plan = find_plan(host, request->plan, action->now_us);
    if (!plan) return ACCOUNT_FAULT_PLAN;
    struct change begin_plan = {.kind = CHANGE_PLAN, .bytes = plan->bytes};
    /* It is for the event alone: an account does not keep who has opened it for the first time. */
    struct change audit = {
        .kind = CHANGE_AUDIT,
        .audit = {
            .at_us = max_i64(action->now_us, 1), .act = AUDIT_OPEN, .actor = action->actor, .reason = action->reason}};
    change_encode(&begin_plan, &decision->changes);
    change_encode(&status, &decision->changes);
    emit_parent(request, decision);
    change_encode(&audit, &decision->changes);
    decision->applied_at_us = action->now_us;
    plan_release(plan);
    return ACCOUNT_FAULT_NONE;
}

/* Anchor and zone stay for life: another one would begin cycles anew. */
static bool open_fits(const struct account_view *view, const struct open_request *request)
{
    if (request->anchor_us != NOT_REQUESTED && request->anchor_us != view->status.anchor_us) return false;
    return request->zone.size == 0 || bytes_equal(stored_zone(request->zone), view->status.zone);
}

/* Is the opening itself requested again, whose end has come meanwhile? A duration counts from then, so an account that
 * has lapsed to the plan that it was to fall to stays there. */
static bool has_had_its_time(const struct account_view *view, const struct open_request *request,
                             const struct zone *zone)
{
    bool counts = request->expires.kind == MOMENT_DURATION || request->expires.kind == MOMENT_PERIOD;
    if (!counts || view->status.state != ACCOUNT_LAPSED) return false;
    struct bytes then = request->then.size > 0 ? request->then : view->host->default_plan;
    bool fell = bytes_equal(view->plan->name, then) && !bytes_equal(request->plan, then);
    return fell && moment_instant_us(&request->expires, zone, account_view_opened_us(view)) <= view->now_us;
}

static enum account_fault open_again(struct account_view *view, const struct open_request *request,
                                     const struct admin_action *action, struct account_decision *decision)
{
    struct account_status *status = &view->status;
    bool ended = status->state == ACCOUNT_CLOSED || status->state == ACCOUNT_LAPSED || !view->plan;
    bool same_parent = request->parent.size == 0 || bytes_equal(request->parent, account_parent(view->account));
    if (!open_fits(view, request) || !(same_parent || ended)) return ACCOUNT_FAULT_OPEN;
    if (!ended && !bytes_equal(view->plan->name, request->plan)) return ACCOUNT_FAULT_OPEN;
    const struct zone *zone = account_view_zone(view);
    if (!zone) return ACCOUNT_FAULT_ZONE;
    if (has_had_its_time(view, request, zone)) return ACCOUNT_FAULT_NONE;
    int64_t from_us = ended ? view->now_us : account_view_opened_us(view);
    bool expires = request->expires.kind != MOMENT_NONE;
    int64_t expires_us = expires ? moment_instant_us(&request->expires, zone, from_us) : ended ? 0 : status->expires_us;
    struct bytes then = expires || ended ? request->then : status->then;
    bool same = expires_us == status->expires_us && bytes_equal(then, status->then);
    if (!ended && same) return ACCOUNT_FAULT_NONE;
    if (expires && expires_us <= view->now_us) return operate_past(decision, "expires");
    if (ended) {
        const struct plan *plan = find_plan(view->host, request->plan, view->now_us);
        if (!plan) return ACCOUNT_FAULT_PLAN;
        account_view_change_plan(view, plan, SWITCH_HOW_FULL);
        status->state = ACCOUNT_ACTIVE;
        status->suspended_until_us = 0;
        status->opened_us = view->now_us == status->anchor_us ? 0 : view->now_us;
    }
    status->expires_us = expires_us;
    status->then = then;
    view->status_changed = true;
    enum account_fault fault = emit_account(view, NO_RESOURCES, &decision->changes);
    if (ended && view->account->optional && view->account->optional->next) {
        emit_next(NULL, 0, SWITCH_HOW_FULL, decision);
    }
    if (!same_parent) emit_parent(request, decision);
    operate_audit(view, AUDIT_OPEN, -1, 0, action, decision);
    return fault;
}

void open_decide(const struct account *account, const struct account_host *host, const struct open_request *request,
                 const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    decision->fault_subject = request->plan;
    if (fault == ACCOUNT_FAULT_MISSING) {
        fault = open_new(host, request, action, decision);
    } else if (fault == ACCOUNT_FAULT_NONE || fault == ACCOUNT_FAULT_CLOSED) {
        fault = open_again(&view, request, action, decision);
    }
    operate_finish(&view, decision, fault);
}

/* ---- switching ------------------------------------------------------------------------------------------- */

/* Prefers the end of this resource's longest running cycle where that is longer than `*length_us`, or as long and
 * later. */
static enum account_fault prefer_longer(const struct account_view *view, struct bytes name, int64_t *length_us,
                                        int64_t *end_us)
{
    struct resource_view resource;
    int64_t before_us = *length_us;
    resource_view_begin(view, name, &resource);
    enum account_fault fault = resource_view_settle(view, &resource, NULL);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    int64_t ends_us = resource_view_longest_end(&resource, length_us);
    if (ends_us >= 0) *end_us = *length_us > before_us ? ends_us : max_i64(*end_us, ends_us);
    return ACCOUNT_FAULT_NONE;
}

/* When the longest of the account's running cycles ends, of all LIMITs of its plan and its overrides; -1 = none does.
 * */
static enum account_fault longest_end(const struct account_view *view, int64_t *end_us)
{
    const struct plan_history *history = view->host->find_plan(view->plan->name); /* may know resources that are new */
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    int64_t length_us = 0;
    *end_us = -1;
    for (uint32_t i = 0; history && fault == ACCOUNT_FAULT_NONE && i < history->tracks_count; i++) {
        fault = prefer_longer(view, history->tracks[i].resource, &length_us, end_us);
    }
    for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && i < view->plan->entries_count; i++) {
        fault = prefer_longer(view, view->plan->entries[i].entitlement.resource, &length_us, end_us);
    }
    for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && i < view->account->slots_count; i++) {
        struct bytes name = interned_string_bytes(view->account->slots[i].resource);
        if (!plan_find(view->plan, name)) fault = prefer_longer(view, name, &length_us, end_us);
    }
    return fault;
}

/* The change comes later: at an instant, or when the longest cycle ends. */
static enum account_fault switch_later(struct account_view *view, const struct plan *plan,
                                       const struct switch_request *request, int64_t at_us,
                                       struct account_decision *decision)
{
    enum switch_how how = request->mode == SWITCH_PRORATE ? SWITCH_HOW_PRORATE : SWITCH_HOW_FULL;
    enum account_fault fault = emit_account(view, NO_RESOURCES, &decision->changes);
    emit_next(plan, at_us, request->restart ? SWITCH_HOW_RESTART : how, decision);
    return fault;
}

/* `plan` is one use of ours. */
static enum account_fault switch_plan(struct account_view *view, const struct plan *plan,
                                      const struct switch_request *request, struct account_decision *decision)
{
    bool has_next = account_view_awaits_plan(view);
    bool own = bytes_equal(view->plan->name, plan->name) && !request->restart;
    int64_t at_us = request->at_us == NOT_REQUESTED ? -1 : request->at_us;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    if (at_us < 0 && request->mode == SWITCH_END && !own) fault = longest_end(view, &at_us);
    if (fault != ACCOUNT_FAULT_NONE || own || at_us > view->now_us) {
        bool lapsed = view->status.state == ACCOUNT_LAPSED;
        if (lapsed) view->status.state = ACCOUNT_ACTIVE;
        view->status_changed = view->status_changed || lapsed;
        if (fault == ACCOUNT_FAULT_NONE && !own) fault = switch_later(view, plan, request, at_us, decision);
        if (fault == ACCOUNT_FAULT_NONE && own && (has_next || lapsed)) {
            fault = emit_account(view, NO_RESOURCES, &decision->changes);
            if (has_next) emit_next(NULL, 0, SWITCH_HOW_FULL, decision);
        }
        plan_release(plan);
        return fault;
    }
    enum switch_how how = request->restart                  ? SWITCH_HOW_RESTART
                          : request->mode == SWITCH_PRORATE ? SWITCH_HOW_PRORATE
                                                            : SWITCH_HOW_FULL;
    account_view_change_plan(view, plan, how);
    if (view->status.state == ACCOUNT_LAPSED) view->status_changed = true, view->status.state = ACCOUNT_ACTIVE;
    fault = emit_account(view, NO_RESOURCES, &decision->changes);
    if (has_next) emit_next(NULL, 0, SWITCH_HOW_FULL, decision);
    return fault;
}

void switch_decide(const struct account *account, const struct account_host *host, const struct switch_request *request,
                   const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    decision->fault_subject = request->plan;
    if (fault == ACCOUNT_FAULT_NONE && !view.plan) fault = ACCOUNT_FAULT_EXPIRED;
    bool has_passed = request->at_us != NOT_REQUESTED && request->at_us < action->now_us;
    if (fault == ACCOUNT_FAULT_NONE && has_passed) fault = operate_past(decision, "at");
    const struct plan *plan = fault == ACCOUNT_FAULT_NONE ? find_plan(host, request->plan, view.now_us) : NULL;
    if (fault == ACCOUNT_FAULT_NONE && !plan) fault = ACCOUNT_FAULT_PLAN;
    if (fault == ACCOUNT_FAULT_NONE) fault = switch_plan(&view, plan, request, decision);
    if (fault == ACCOUNT_FAULT_NONE && decision->changes.size > 0)
        operate_audit(&view, AUDIT_SWITCH, -1, 0, action, decision);
    operate_finish(&view, decision, fault);
}

/* ---- state ----------------------------------------------------------------------------------------------- */

static enum audit_action act_of(enum account_state state)
{
    switch (state) {
    case ACCOUNT_SUSPENDED: return AUDIT_SUSPEND;
    case ACCOUNT_CLOSED: return AUDIT_CLOSE;
    default: return AUDIT_RESUME;
    }
}

void state_decide(const struct account *account, const struct account_host *host, enum account_state state,
                  int64_t for_us, const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    if (fault == ACCOUNT_FAULT_CLOSED && state == ACCOUNT_CLOSED) fault = ACCOUNT_FAULT_NONE;
    bool fine = fault == ACCOUNT_FAULT_NONE;
    int64_t until_us = fine && for_us > 0 ? min_i64(view.now_us + for_us, INSTANT_MAX_US) : 0;
    bool resumed = fine && state == ACCOUNT_ACTIVE && view.status.state == ACCOUNT_LAPSED;
    bool changes = fine && (view.status.state != state || view.status.suspended_until_us != until_us) && !resumed;
    if (changes) {
        view.status.state = (uint8_t)state;
        view.status.suspended_until_us = until_us;
        view.status_changed = true;
        fault = emit_account(&view, NO_RESOURCES, &decision->changes);
        operate_audit(&view, act_of(state), -1, 0, action, decision);
    }
    operate_finish(&view, decision, fault);
}

/* ---- overrides ------------------------------------------------------------------------------------------- */

static void emit_override(const struct resource_view *view, const struct plan_entry *entry, int64_t until_us,
                          struct account_decision *decision)
{
    struct sink plan = {0};
    if (entry) plan_write(BYTES(""), &entry, 1, &plan);
    struct change change = {.kind = CHANGE_OVERRIDE,
                            .slot = (uint32_t)view->index,
                            .bytes = {plan.data, plan.size},
                            .until_us = entry ? until_us : 0};
    change_encode(&change, &decision->changes);
    sink_free(&plan);
}

/* What an override that gives so little stands on. */
static enum account_fault merged_fault(const struct resource_view *view, struct account_decision *decision)
{
    const struct entitlement nothing = entitlement_none(view->resource);
    const struct entitlement *merged = view->entitlement ? view->entitlement : &nothing;
    const char *fault = view->override ? entitlement_fault(merged) : NULL;
    decision->fault_text = fault ? fault : "";
    return fault ? ACCOUNT_FAULT_ENTITLEMENT : ACCOUNT_FAULT_NONE;
}

static enum account_fault override(struct account_view *account, const struct override_request *request,
                                   const struct admin_action *action, struct account_decision *decision)
{
    struct resource_view view;
    struct plan_entry entry = {.revision = 1, .granted = true, .only = request->only, .options = request->options};
    enum account_fault fault =
        emit_account(account, (struct resource_names){&request->resource, 1}, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    resource_view_begin(account, request->resource, &view);
    fault = resource_view_settle(account, &view, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (!request->entitlement && !view.override) {
        decision->changes.size = 0;
        return ACCOUNT_FAULT_NONE;
    }
    if (request->entitlement) entry.entitlement = *request->entitlement;
    fault = resource_view_override(account, &view, request->entitlement ? &entry : NULL);
    if (fault == ACCOUNT_FAULT_NONE) fault = merged_fault(&view, decision);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    int64_t until_us = moment_instant_us(&request->until, zone_utc(), account->now_us);
    int64_t length_us = 0;
    if (request->until.kind == MOMENT_CYCLE) until_us = resource_view_longest_end(&view, &length_us);
    if (request->until.kind == MOMENT_CYCLE && until_us < 0) return ACCOUNT_FAULT_NO_CYCLE;
    if (request->until.kind != MOMENT_NONE && until_us <= account->now_us) return operate_past(decision, "ex");
    fault = emit_resource(account, &view, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    emit_override(&view, request->entitlement ? &entry : NULL, until_us, decision);
    operate_audit(account, AUDIT_OVERRIDE, view.index, 0, action, decision);
    return ACCOUNT_FAULT_NONE;
}

void override_decide(const struct account *account, const struct account_host *host,
                     const struct override_request *request, const struct admin_action *action,
                     struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    decision->fault_subject = request->resource;
    if (fault == ACCOUNT_FAULT_NONE && !view.plan) fault = ACCOUNT_FAULT_EXPIRED;
    if (fault == ACCOUNT_FAULT_NONE) fault = override(&view, request, action, decision);
    operate_finish(&view, decision, fault);
}

/* ---- corrections ----------------------------------------------------------------------------------------- */

/* A rolling window that holds `used` units of now, and nothing else. */
static void emit_log(const struct account_view *account, const struct resource_view *view, int64_t period_us,
                     int64_t used, struct account_decision *decision)
{
    struct change change = {.kind = CHANGE_LOG_APPENDED,
                            .slot = (uint32_t)view->index,
                            .period_us = period_us,
                            .log = {.when_us = account->now_us, .amount = used, .rest = account->now_us}};
    change_encode(&change, &decision->changes);
}

/* How many LIMITs and rolling windows a correction means: several need a PERIOD. */
static enum account_fault check_period(const struct resource_view *view, const struct correct_request *request)
{
    uint32_t meant = 0, bounds = 0;
    for (uint32_t i = 0; i < view->entitlement->rules_count; i++) {
        const struct quota_rule *rule = &view->entitlement->rules[i];
        if (rule->kind != QUOTA_LIMIT) continue;
        bounds++;
        meant += period_code_is_meant(quota_rule_code(rule), request->period);
    }
    if (request->period != 0 && meant == 0) return ACCOUNT_FAULT_PERIOD;
    return request->period == 0 && bounds > 1 ? ACCOUNT_FAULT_NEEDS_PERIOD : ACCOUNT_FAULT_NONE;
}

static enum account_fault set(struct account_view *account, const struct correct_request *request,
                              const struct admin_action *action, struct account_decision *decision)
{
    struct resource_view view;
    enum account_fault fault =
        emit_account(account, (struct resource_names){&request->resource, 1}, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    resource_view_begin(account, request->resource, &view);
    fault = resource_view_settle(account, &view, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (!view.entitlement) return ACCOUNT_FAULT_RESOURCE;
    fault = check_period(&view, request);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    for (uint32_t i = 0; i < view.windows_count; i++) {
        struct window *window = &view.windows[i];
        if (!entitlement_limit(view.entitlement, window->period)) continue;
        if (!period_code_is_meant(window->period, request->period)) continue;
        window_set_used(window, request->used, view.generation, account->now_us);
        window_warn(window, view.entitlement);
    }
    fault = emit_resource(account, &view, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    view.generation++; /* that of the units which SET says are used: no consumption has it */
    emit_generation(&view, &decision->changes);
    for (uint32_t i = 0; request->period == 0 && i < view.entitlement->rules_count; i++) {
        const struct quota_rule *rule = &view.entitlement->rules[i];
        if (rule->kind == QUOTA_ROLLING) emit_log(account, &view, rule->rule.period_us, request->used, decision);
    }
    operate_audit(account, AUDIT_SET, view.index, request->used, action, decision);
    return ACCOUNT_FAULT_NONE;
}

void set_decide(const struct account *account, const struct account_host *host, const struct correct_request *request,
                const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    decision->fault_subject = request->resource;
    if (fault == ACCOUNT_FAULT_NONE && !view.plan) fault = ACCOUNT_FAULT_EXPIRED;
    if (fault == ACCOUNT_FAULT_NONE) fault = set(&view, request, action, decision);
    operate_finish(&view, decision, fault);
}

/* Windows that a wrong clock has left in the future begin anew at the true time. */
static void forget_future(const struct account_view *account, struct resource_view *view)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        if (view->windows[i].start_us <= account->clock_us) resource_view_move_window(view, kept++, i);
    }
    view->windows_count = kept;
}

static enum account_fault reset_slot(struct account_view *account, struct bytes resource, uint64_t period,
                                     struct account_decision *decision)
{
    struct resource_view view;
    resource_view_begin(account, resource, &view);
    enum account_fault fault = resource_view_settle(account, &view, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (period != 0 && view.entitlement) fault = check_period(&view, &(struct correct_request){.period = period});
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    for (uint32_t i = 0; i < view.windows_count; i++) {
        if (period_code_is_meant(view.windows[i].period, period)) window_reset(&view.windows[i], view.generation);
    }
    if (account->now_us > account->clock_us && period == 0) forget_future(account, &view);
    fault = emit_resource(account, &view, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    emit_generation(&view, &decision->changes);
    struct change change = {.kind = CHANGE_RESOURCE_RESET, .slot = (uint32_t)view.index};
    if (period == 0) change_encode(&change, &decision->changes);
    return ACCOUNT_FAULT_NONE;
}

static enum account_fault reset(struct account_view *view, const struct correct_request *request,
                                struct account_decision *decision)
{
    struct bytes names[ACCOUNT_SLOTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < view->account->slots_count; i++) {
        struct bytes name = interned_string_bytes(view->account->slots[i].resource);
        if (request->resource.size == 0 || bytes_equal(name, request->resource)) names[count++] = name;
    }
    enum account_fault fault = emit_account(view, (struct resource_names){names, count}, &decision->changes);
    for (uint32_t i = 0; i < count && fault == ACCOUNT_FAULT_NONE; i++) {
        fault = reset_slot(view, names[i], request->period, decision);
    }
    return fault;
}

/* The account stands at the true time again. */
static void emit_rewound(const struct account_view *view, struct account_decision *decision)
{
    struct change change = {.kind = CHANGE_REWOUND, .until_us = view->clock_us};
    if (view->now_us > view->clock_us && view->clock_us > 0) change_encode(&change, &decision->changes);
}

/* A resource that has never been used: nothing is to be done, but it has to be there. */
static enum account_fault reset_unused(const struct account_view *account, const struct correct_request *request)
{
    struct resource_view view;
    resource_view_begin(account, request->resource, &view);
    enum account_fault fault = resource_view_settle(account, &view, NULL);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (!view.entitlement) return ACCOUNT_FAULT_RESOURCE;
    return request->period == 0 ? ACCOUNT_FAULT_NONE : check_period(&view, request);
}

void reset_decide(const struct account *account, const struct account_host *host, const struct correct_request *request,
                  const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    int32_t slot =
        fault == ACCOUNT_FAULT_NONE && request->resource.size > 0 ? account_slot(account, request->resource) : -1;
    decision->fault_subject = request->resource;
    if (fault == ACCOUNT_FAULT_NONE && !view.plan) fault = ACCOUNT_FAULT_EXPIRED;
    bool unknown = fault == ACCOUNT_FAULT_NONE && request->resource.size > 0 && slot < 0;
    if (unknown) fault = reset_unused(&view, request);
    if (fault == ACCOUNT_FAULT_NONE && !unknown) {
        fault = reset(&view, request, decision);
        operate_audit(&view, AUDIT_RESET, slot, 0, action, decision);
        emit_rewound(&view, decision);
    }
    operate_finish(&view, decision, fault);
}

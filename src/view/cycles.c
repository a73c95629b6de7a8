/* Rolls windows over; see cycles.h. */
#include "quota/view/cycles.h"
#include "quota/account/carry.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"

enum account_fault cycle_cursor_zone(struct cycle_cursor *cursor)
{
    if (!cursor->zone) cursor->zone = account_view_zone(cursor->account);
    return cursor->zone ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_ZONE;
}

/* ---- closing --------------------------------------------------------------------------------------------- */

static void emit_closed(const struct cycle_cursor *cursor, uint64_t period, struct closed_cycle closed)
{
    if (!cursor->closed || closed.count < 1 || closed.end_us <= closed.start_us) return;
    if (!expect(cursor->view->index >= 0)) return; /* of a resource that was never used no cycle is remembered */
    closed.revision = resource_view_revision(cursor->view);
    struct change change = {
        .kind = CHANGE_CLOSED, .slot = (uint32_t)cursor->view->index, .period = period, .closed = closed};
    change_encode(&change, cursor->closed);
}

static void close_window(const struct cycle_cursor *cursor, const struct window *window, int64_t end_us)
{
    struct closed_cycle closed = {.start_us = window->start_us,
                                  .end_us = end_us,
                                  .limit = window_limit(window),
                                  .rolled = window->rolled,
                                  .used = window->used,
                                  .refunded = window->refunded,
                                  .denied = window->denied,
                                  .peak = window->peak,
                                  .count = 1};
    closed.lines = window->lines; /* also of a cycle that was reset: a reservation may be posted to it later */
    emit_closed(cursor, window->period, closed);
}

/* The idle cycles between a closed one and the one that runs now. Where a debt is paid back or lots come and go, their
 * limits differ. */
static void close_idle(const struct cycle_cursor *cursor, const struct carry_rules *rules, int64_t index, int64_t count,
                       struct carry *carry)
{
    const struct zone *zone = cursor->zone;
    const struct period *period = &rules->rule->period;
    int64_t anchor_us = cursor->anchor_us, at = 0;
    while (at < count) {
        int64_t same = min_i64(carry_same_limit(carry, rules), count - at);
        int64_t first = period_index_after(period, zone, anchor_us, index, at + 1);
        int64_t last = period_index_after(period, zone, anchor_us, index, at + same);
        struct closed_cycle idle = {.start_us = period_cycle(period, zone, anchor_us, first).start_us,
                                    .end_us = period_cycle(period, zone, anchor_us, last).end_us,
                                    .limit = carry_limit(carry, rules),
                                    .rolled = carry_rolled(carry),
                                    .count = same};
        emit_closed(cursor, quota_rule_code(rules->rule), idle);
        carry_pass(carry, rules, same);
        at += same;
    }
}

/* Was anything ever used under the LIMIT of this window? HISTORY shows cycles from the first use on. */
static bool leaves_no_trace(const struct resource_view *view, uint32_t index)
{
    return view->fresh[index] || view->unused[index];
}

void cycles_close_all(struct cycle_cursor *cursor, int64_t at_us)
{
    struct resource_view *view = cursor->view;
    uint32_t kept = 0;
    bool sealed = false;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        if (window->start_us >= at_us) {
            resource_view_move_window(view, kept++, i);
            continue;
        }
        /* An idle one is no part of a run of idle cycles: its end is none that their calendar knows. A line says so,
         * behind which nothing was consumed. */
        bool idle = window_is_idle(window) && window->lines.count == 0;
        if (idle) refund_lines_seal(&window->lines, view->generation);
        if (!leaves_no_trace(view, i)) close_window(cursor, window, at_us);
        sealed |= idle && !leaves_no_trace(view, i);
    }
    view->windows_count = kept;
    if (sealed) view->generation++;
}

enum account_fault cycles_anchor(struct cycle_cursor *cursor)
{
    struct resource_view *view = cursor->view;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        struct period period;
        if (window->end_us == INT64_MAX || !period_from_code(window->period, &period)) continue;
        enum account_fault fault = cycle_cursor_zone(cursor);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        struct cycle cycle = period_cycle_at(&period, cursor->zone, cursor->anchor_us, window->start_us);
        if (cycle.start_us == window->start_us) window->end_us = cycle.end_us;
    }
    return ACCOUNT_FAULT_NONE;
}

/* ---- rolling --------------------------------------------------------------------------------------------- */

void cycles_cut(const struct cycle_cursor *cursor, struct window *window)
{
    bool inside = window->start_us < cursor->anchor_us && cursor->anchor_us < window->end_us;
    if (inside && cursor->restarted) window_cut(window, cursor->anchor_us);
}

/* The window of a cycle under the rules that hold: the plan's allowance, and an override's limit above it. */
static struct window begin_window(const struct cycle_cursor *cursor, const struct quota_rule *rule,
                                  const struct cycle *cycle)
{
    const struct resource_view *view = cursor->view;
    uint64_t code = quota_rule_code(rule);
    const struct quota_rule *granted = entitlement_limit(resource_view_granted(view), code);
    const struct quota_rule *above = view->override ? entitlement_limit(&view->override->entitlement, code) : NULL;
    struct window window = window_begin(granted ? granted : rule, cycle, cursor->anchor_us);
    if (!granted) window.allowance = allowance_begin(ABSENT, 0, false);
    if (above) window.cover = window_cover_of(&window, above, cursor->anchor_us);
    cycles_cut(cursor, &window);
    return window;
}

/* A window whose cycle has ended becomes that of the cycle at `at_us`; false: no such LIMIT holds any more. */
static bool roll_window(const struct cycle_cursor *cursor, struct window *window, int64_t at_us)
{
    const struct quota_rule *rule = entitlement_limit(cursor->view->entitlement, window->period);
    struct carry carry;
    close_window(cursor, window, window->end_us);
    if (!rule) return false;
    const struct period *period = &rule->period;
    int64_t anchor_us = cursor->anchor_us;
    struct cycle was = period_cycle_at(period, cursor->zone, anchor_us, window->start_us);
    struct cycle cycle = period_cycle_at(period, cursor->zone, anchor_us, at_us);
    /* Time zone files may have changed under the account: a cycle never moves backwards. */
    int64_t to = max_i64(was.index, cycle.index);
    int64_t passed = max_i64(period_cycles_between(period, cursor->zone, anchor_us, was.index, to), 1);
    const struct cycle_end end = {window->end_us, anchor_us};
    struct quota_rule idle = *rule;
    if (end.at_us <= anchor_us) idle.rollover_bp = 0; /* they are all before the account begins */
    const struct carry_rules rules = {.entitlement = cursor->view->entitlement, .rule = &idle};
    resource_view_carry(cursor->account, cursor->view, window, end, &carry);
    if (passed > 1) close_idle(cursor, &rules, was.index, passed - 1, &carry);
    struct window next = begin_window(cursor, rule, &cycle);
    carry_begin(&carry, cursor->account->arena, &next);
    *window = next;
    return true;
}

/* The cycle in which the account began may be cut (PRORATE): no run of idle cycles goes over it. */
static bool roll_past_anchor(const struct cycle_cursor *cursor, struct window *window, int64_t at_us)
{
    int64_t anchor_us = cursor->anchor_us;
    /* A prorated LIMIT cuts the cycle in which the account begins, so that one is closed by itself. */
    bool passes = window->end_us <= anchor_us && anchor_us < at_us;
    if (passes && !roll_window(cursor, window, anchor_us)) return false;
    return at_us < window->end_us || roll_window(cursor, window, at_us);
}

/* Does this LIMIT, as it holds now, hand on what its cycles leave unused? */
static bool rolls_over(const struct resource_view *view, uint64_t period)
{
    const struct quota_rule *rule = entitlement_limit(view->entitlement, period);
    return rule && rule->rollover_bp > 0;
}

/* A cycle that ends while reservations hold units of it has handed on less: they are posted to it, so it is kept. */
static void see_what_is_held(const struct cycle_cursor *cursor, uint32_t index)
{
    struct resource_view *view = cursor->view;
    const struct window *window = &view->windows[index];
    if (!leaves_no_trace(view, index)) return;
    if (resource_view_held_beyond(cursor->account, view, window, window->end_us) == 0) return;
    view->fresh[index] = view->unused[index] = false;
}

static bool any_has_ended(const struct resource_view *view, int64_t at_us)
{
    for (uint32_t i = 0; i < view->windows_count; i++) {
        if (at_us >= view->windows[i].end_us) return true;
    }
    return false;
}

enum account_fault cycles_roll(struct cycle_cursor *cursor, int64_t at_us)
{
    struct resource_view *view = cursor->view;
    uint32_t kept = 0;
    if (!any_has_ended(view, at_us)) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = cycle_cursor_zone(cursor);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        bool hands_on = window->rolled > 0 || rolls_over(view, window->period);
        if (hands_on && at_us >= window->end_us) see_what_is_held(cursor, i);
        bool traceless = leaves_no_trace(view, i);
        if (traceless && !hands_on && at_us >= window->end_us) continue; /* it is begun again where it is needed */
        struct cycle_cursor silent = *cursor;
        if (traceless) silent.closed = NULL;
        if (roll_past_anchor(&silent, window, at_us)) resource_view_move_window(view, kept++, i);
    }
    view->windows_count = kept;
    return ACCOUNT_FAULT_NONE;
}

/* ---- beginning ------------------------------------------------------------------------------------------- */

/* Its place; -1 = there is none. */
static int32_t find_window(const struct resource_view *view, uint64_t period)
{
    for (uint32_t i = 0; i < view->windows_count; i++) {
        if (view->windows[i].period == period) return (int32_t)i;
    }
    return -1;
}

/* Of the windows whose LIMIT holds no more the one that ends first goes. */
static void drop_sleeper(struct resource_view *view)
{
    uint32_t drop = view->windows_count;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        if (entitlement_limit(view->entitlement, view->windows[i].period)) continue;
        if (drop == view->windows_count || view->windows[i].end_us < view->windows[drop].end_us) drop = i;
    }
    if (drop == view->windows_count) drop = 0; /* cannot be: at most half of them can hold */
    --view->windows_count;
    for (uint32_t i = drop; i < view->windows_count; i++) resource_view_move_window(view, i, i + 1);
}

struct window *cycles_add_window(struct resource_view *view)
{
    if (view->windows_count == SLOT_WINDOWS_MAX) drop_sleeper(view);
    view->fresh[view->windows_count] = view->unused[view->windows_count] = true;
    view->lowered_bp[view->windows_count] = NOT_LOWERED;
    return &view->windows[view->windows_count++];
}

/* Does the history know a cycle of this period, stored or just closed? */
static bool has_closed(const struct cycle_cursor *cursor, uint64_t period)
{
    const struct resource_view *view = cursor->view;
    if (view->stored && slot_history(view->stored, period)) return true;
    if (!cursor->closed) return false;
    struct cursor changes = cursor_init((struct bytes){cursor->closed->data, cursor->closed->size});
    struct change change;
    while (!cursor_done(&changes) && !changes.bad) {
        change_decode(&changes, ACCOUNT_ENCODING_NEWEST, &change);
        bool closed = !changes.bad && change.kind == CHANGE_CLOSED && (int32_t)change.slot == view->index;
        if (closed && change.period == period) return true;
    }
    return false;
}

/* The rules alone would not begin it again: it is stored with the next change of the resource. */
static void keep_window(const struct cycle_cursor *cursor, uint32_t index)
{
    struct resource_view *view = cursor->view;
    view->fresh[index] = false;
    view->unused[index] = !has_closed(cursor, view->windows[index].period);
}

void cycles_keep_changed(const struct cycle_cursor *cursor)
{
    struct resource_view *view = cursor->view;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        const struct quota_rule *granted = entitlement_limit(resource_view_granted(view), window->period);
        struct cycle cycle = {.start_us = window_origin_us(window), .end_us = window->end_us};
        struct allowance begun = allowance_begin(ABSENT, 0, false);
        if (granted) begun = window_begin(granted, &cycle, cursor->anchor_us).allowance;
        if (!view->fresh[i] || memcmp(&begun, &window->allowance, sizeof(begun)) == 0) continue;
        keep_window(cursor, i);
    }
}

/* Begins the window of a rule that has none. One whose cycles hand something on is kept from then on: when it began
 * could not be found out later. */
enum account_fault cycles_begin_rule(struct cycle_cursor *cursor, const struct quota_rule *rule, int64_t at_us)
{
    struct resource_view *view = cursor->view;
    int32_t place = find_window(view, quota_rule_code(rule));
    if (place < 0) {
        enum account_fault fault = cycle_cursor_zone(cursor);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        struct cycle cycle = period_cycle_at(&rule->period, cursor->zone, cursor->anchor_us, at_us);
        *cycles_add_window(view) = begin_window(cursor, rule, &cycle);
        place = (int32_t)view->windows_count - 1;
    }
    if (rule->rollover_bp > 0 && view->fresh[place]) keep_window(cursor, (uint32_t)place);
    return ACCOUNT_FAULT_NONE;
}

enum account_fault cycles_begin(struct cycle_cursor *cursor, const struct entitlement *entitlement, int64_t at_us)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; entitlement && i < entitlement->rules_count && fault == ACCOUNT_FAULT_NONE; i++) {
        const struct quota_rule *rule = &entitlement->rules[i];
        if (rule->kind == QUOTA_LIMIT) fault = cycles_begin_rule(cursor, rule, at_us);
    }
    return fault;
}

enum account_fault cycles_begin_rollover(struct cycle_cursor *cursor, int64_t at_us)
{
    const struct entitlement *entitlement = cursor->view->entitlement;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; entitlement && i < entitlement->rules_count && fault == ACCOUNT_FAULT_NONE; i++) {
        const struct quota_rule *rule = &entitlement->rules[i];
        if (rule->rollover_bp > 0) fault = cycles_begin_rule(cursor, rule, at_us);
    }
    return fault;
}

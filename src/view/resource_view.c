/* A resource as stored, and questions about it; see resource_view.h. What time does to it: lifecycle.c. */
#include "quota/view/resource_view.h"
#include "quota/base/checked.h"
#include "quota/rate/sliding_log.h"
#include "quota/view/billing.h"
#include "quota/view/credits_view.h"
#include "quota/view/lifecycle.h"

/* Cycles are remembered from the first in which anything was used, or that credits served and that is billed. */
static bool was_never_used(const struct slot *slot, const struct window *window)
{
    return window_is_idle(window) && window->lines.count == 0 && window->debt == 0 &&
           !slot_history(slot, window->period) && !slot_is_credited(slot, window);
}

void resource_view_begin(const struct account_view *account, struct bytes resource, struct resource_view *view)
{
    const struct account *stored = account->account;
    view->resource = resource;
    view->index = account_slot(stored, resource);
    view->stored = view->index >= 0 ? &stored->slots[view->index] : NULL;
    view->entry = plan_find(stored ? stored->plan : account->plan, resource);
    const struct slot_optional *optional = view->stored ? view->stored->optional : NULL;
    view->override = optional && optional->override ? plan_find(optional->override, resource) : NULL;
    view->override_ended = false;
    view->rates_us = 0;
    view->rates = view->stored ? view->stored->rates : NULL;
    view->rates_passed = NULL;
    view->bill.bytes = view->stored ? slot_bill(view->stored) : (struct bytes){"", 0};
    view->bill.is_other = view->bill.credited = false;
    view->generation = optional ? optional->generation : 0;
    view->windows_count = view->stored ? view->stored->windows_count : 0;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        slot_read_window(view->stored, i, &view->windows[i]);
        view->fresh[i] = false;
        view->lowered_bp[i] = NOT_LOWERED;
        view->unused[i] = was_never_used(view->stored, &view->windows[i]);
    }
    credits_view_begin(account, view);
    if (!stored || !view->override) {
        view->entitlement = resource_view_granted(view);
    } else {
        lifecycle_compose(view, stored->anchor_us);
    }
}

void resource_view_copy(const struct account_view *account, const struct resource_view *view,
                        struct resource_view *copy)
{
    *copy = *view;
    if (view->entitlement == &view->merged) copy->entitlement = &copy->merged;
    if (!view->grants) return;
    copy->grants = arena_alloc(account->arena, view->credits->count * sizeof(*view->grants));
    memcpy(copy->grants, view->grants, view->credits->count * sizeof(*view->grants));
}

enum account_fault resource_view_settle(const struct account_view *account, struct resource_view *view,
                                        struct sink *closed)
{
    return lifecycle_run(account, view, closed);
}

bool resource_view_look(const struct account_view *account, struct bytes resource, struct resource_view *view)
{
    resource_view_begin(account, resource, view);
    return resource_view_settle(account, view, NULL) == ACCOUNT_FAULT_NONE && view->entitlement;
}

struct window *resource_view_window(struct resource_view *view, const struct quota_rule *rule)
{
    uint64_t code = quota_rule_code(rule);
    for (uint32_t i = 0; i < view->windows_count; i++) {
        if (view->windows[i].period == code) return &view->windows[i];
    }
    return NULL;
}

enum account_fault resource_view_override(const struct account_view *account, struct resource_view *view,
                                          const struct plan_entry *override)
{
    struct cycle_cursor cursor = cycle_cursor_now(account, view);
    const struct billing billed = billing_of(view);
    struct limits_before limits;
    lifecycle_note_limits(view, &limits);
    view->override = override;
    view->override_ended = false;
    lifecycle_recompose(account, view, account->status.anchor_us, account->now_us);
    billing_follow(account, view, &billed, SEGMENT_PRICED, account->now_us);
    lifecycle_lower_warnings(view, &limits);
    return cycles_begin(&cursor, view->entitlement, account->now_us);
}

const struct window *resource_view_longest(const struct resource_view *view)
{
    const struct window *longest = NULL, *endless = NULL;
    int64_t length_us = 0;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        if (!entitlement_limit(view->entitlement, window->period)) continue;
        if (window->end_us >= INSTANT_MAX_US) endless = window;
        if (endless == window || window_length_us(window) <= length_us) continue;
        length_us = window_length_us(window);
        longest = window;
    }
    return longest ? longest : endless;
}

int64_t resource_view_start_us(const struct account_view *account, const struct window *window, int64_t at_us)
{
    struct period period;
    const struct zone *zone = account_view_zone(account);
    at_us = max_i64(at_us, 0);
    if (!zone || !period_from_code(window->period, &period)) return at_us;
    return max_i64(period_cycle_at(&period, zone, account->status.anchor_us, at_us).start_us, 0);
}

int64_t resource_view_longest_end(const struct resource_view *view, int64_t *length_us)
{
    int64_t end_us = -1;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        if (!entitlement_limit(view->entitlement, window->period)) continue; /* it sleeps */
        if (window->end_us >= INSTANT_MAX_US) continue;                      /* for ever */
        int64_t length = window_length_us(window);
        if (length < *length_us || (length == *length_us && window->end_us < end_us)) continue;
        *length_us = length;
        end_us = window->end_us;
    }
    return end_us;
}

/* ---- what is held ---------------------------------------------------------------------------------------- */

static bool hold_counts(const struct hold *hold, const struct resource_view *view, const struct window *window)
{
    if ((int32_t)hold->slot != view->index) return false;
    return !window || (window->start_us <= hold->made_us && hold->made_us < window->end_us);
}

/* The place of the very same cycle among the stored windows; -1 = it is not stored. */
static int32_t stored_place(const struct resource_view *view, const struct window *window)
{
    for (uint32_t i = 0; i < view->stored->windows_count; i++) {
        const struct stored_window *stored = &view->stored->windows[i];
        if (stored->period == window->period && stored->start_us == window->start_us) return (int32_t)i;
    }
    return -1;
}

/* Of a cycle that is not stored: one that has begun since, or of a LIMIT that is new. */
static wide held_of_new(const struct holds *holds, const struct resource_view *view, const struct window *window)
{
    wide held = 0;
    for (uint32_t i = 0; i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (hold_counts(hold, view, window)) held += hold_limited(hold);
    }
    return held;
}

int64_t resource_view_held_units(const struct account_view *account, const struct resource_view *view,
                                 const struct window *window)
{
    const struct holds *holds = account_holds(account->account);
    int32_t place = window ? stored_place(view, window) : -1;
    bool is_new = window && place < 0;
    wide held = is_new ? held_of_new(holds, view, window) : slot_held(view->stored, place);
    for (uint32_t i = 0; i < holds->count; i++) { /* what has ended and awaits its sweep stands in front */
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (hold->expires_us > account->now_us) break;
        if (hold_counts(hold, view, window)) held -= hold_limited(hold);
    }
    for (const struct stored_hold *part = account->ignored; part; part = part->next) {
        bool lives = part->hold.expires_us > account->now_us;
        if (lives && hold_counts(&part->hold, view, window)) held -= hold_limited(&part->hold);
    }
    return wide_clamp(held, 0, INT64_MAX);
}

/* One that is being resolved was held, too. */
int64_t resource_view_held_beyond(const struct account_view *account, const struct resource_view *view,
                                  const struct window *window, int64_t at_us)
{
    const struct holds *holds = account_holds(account->account);
    wide held = window->held_over;
    for (uint32_t i = holds->count; i-- > 0 && holds->by_expiry[i]->hold.expires_us > at_us;) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (hold_counts(hold, view, window)) held += hold_limited(hold);
    }
    return wide_clamp(held, 0, INT64_MAX);
}

void resource_view_carry(const struct account_view *account, const struct resource_view *view,
                         const struct window *window, struct cycle_end end, struct carry *carry)
{
    const struct carry_rules rules = {.entitlement = view->entitlement,
                                      .rule = entitlement_limit(view->entitlement, window->period)};
    bool has_lots = window->rolled > 0 || (rules.rule && rules.rule->rollover_bp > 0);
    int64_t held = has_lots ? resource_view_held_beyond(account, view, window, end.at_us) : 0;
    carry_of(window, carry);
    carry_close(carry, &rules, window_own_limit(window), window->used, held);
    if (end.at_us <= end.anchor_us) carry->lots_count = 0;
}

int64_t resource_view_holds_count(const struct account_view *account, const struct resource_view *view)
{
    const struct holds *holds = account_holds(account->account);
    int64_t live = view->stored && view->stored->optional ? view->stored->optional->holds_count : 0;
    for (uint32_t i = 0; i < holds->count && holds->by_expiry[i]->hold.expires_us <= account->now_us; i++) {
        const struct hold *ended = &holds->by_expiry[i]->hold;
        live -= hold_counts(ended, view, NULL) && !ended->again;
    }
    return live;
}

struct state resource_view_log(const struct account_view *account, const struct resource_view *view,
                               const struct rule *rule)
{
    const struct sliding_log *log = view->stored ? slot_log(view->stored, rule->period_us) : NULL;
    struct state state = sliding_log_state(log);
    sliding_log_settle(rule, &state, account->now_us);
    return state;
}

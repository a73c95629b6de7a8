/* Events of limits and cycles; see event_limits.h. */
#include "quota/account/event_limits.h"
#include "quota/base/checked.h"
#include "quota/rate/sliding_log.h"

/* ---- windows ----------------------------------------------------------------------------------------------------- */

/* The limit of a window as it counts, an override's included. */
static int64_t limit_of(const struct account *account, const struct slot *slot, struct window *window)
{
    const struct plan_entry *override = event_override(slot);
    const struct quota_rule *rule = override ? entitlement_limit(&override->entitlement, window->period) : NULL;
    window->cover = rule ? window_cover_of(window, rule, account->anchor_us) : NOT_COVERED;
    return window_limit(window);
}

static bool meets(int64_t used_before, int64_t used_after, int64_t limit)
{
    return limit > 0 && used_before < limit && used_after >= limit;
}

bool event_maker_counts(const struct account *account, const struct change *change)
{
    const struct slot *slot = &account->slots[change->slot];
    const struct stored_window *stored = slot_find_window(slot, change->period);
    if (!stored) return false;
    const struct window *optional = stored->optional;
    bool is_plain =
        !optional || (optional->rolled == 0 && optional->debt == 0 && allowance_is_plain(&optional->allowance));
    if (change->amount <= stored->used) return false;
    if (is_plain && (!slot->optional || !slot->optional->override))
        return meets(stored->used, change->amount, stored->limit);
    struct window window = slot_window(slot, (uint32_t)(stored - slot->windows));
    return meets(stored->used, change->amount, limit_of(account, slot, &window));
}

/* A window of a LIMIT that holds, as it will be. */
struct counted {
    const struct entitlement *entitlement;
    const struct quota_rule *rule;
    struct window window;
    int64_t limit, used_before, warned_before_bp;
};

static struct logged_event event_of_limit(const struct event_maker *maker, const struct account *account,
                                          enum event_type type, uint32_t slot, const struct counted *counted)
{
    const struct window *window = &counted->window;
    struct logged_event event = event_now(maker, account, type);
    event_set_resource(&event, account, slot);
    event_set_number(&event, EVENT_RULE, counted->rule - counted->entitlement->rules);
    event_set_number(&event, EVENT_PERIOD, (int64_t)window->period);
    event_set_instant(&event, EVENT_START, window->start_us);
    if (window->end_us < INT64_MAX) event_set_instant(&event, EVENT_END, window->end_us);
    event_set_number(&event, EVENT_LIMIT, counted->limit);
    event_set_number(&event, EVENT_USED, window->used);
    event_set_number(&event, EVENT_REMAINING, max_i64(counted->limit - window->used, 0));
    return event;
}

static void add_warnings(struct event_maker *maker, const struct account *account, uint32_t slot,
                         const struct counted *counted)
{
    const struct entitlement *entitlement = counted->entitlement;
    for (uint32_t i = 0; i < entitlement->warnings_count; i++) {
        int64_t threshold_bp = entitlement->warnings_bp[i];
        if (threshold_bp <= counted->warned_before_bp || threshold_bp > counted->window.warned_bp) continue;
        struct logged_event event = event_of_limit(maker, account, LOGGED_LIMIT_WARNED, slot, counted);
        event_set_number(&event, EVENT_PERCENT, threshold_bp);
        event_sink_add(maker->sink, &event);
    }
}

/* What QUOTA.SET has changed is known by what it is now. */
static void keep_used(struct event_maker *maker, uint32_t slot, int64_t before, int64_t after)
{
    if (before == after) return;
    event_keep_limited(maker, slot, after - before);
    maker->used_is_known = true;
    maker->used_slot = slot;
    maker->used_before = before;
    maker->used_after = after;
}

/* `known`: without what it is granted, which is looked up here. */
static void add_events_of_limit(struct event_maker *maker, const struct account *account, uint32_t slot,
                                const struct counted *known, bool exhausts)
{
    struct entitlement merged;
    struct counted counted = *known;
    counted.entitlement = event_entitlement(account, &account->slots[slot], &merged);
    counted.rule = counted.entitlement ? entitlement_limit(counted.entitlement, counted.window.period) : NULL;
    if (!counted.rule) return; /* it sleeps */
    add_warnings(maker, account, slot, &counted);
    if (!exhausts) return;
    struct logged_event event = event_of_limit(maker, account, LOGGED_LIMIT_EXHAUSTED, slot, &counted);
    event_sink_add(maker->sink, &event);
}

/* Most windows that are written are far from any event: only what they have counted is looked at. */
static void note_units(struct event_maker *maker, const struct account *account, uint32_t slot, struct counted *counted)
{
    bool warns = counted->window.warned_bp > counted->warned_before_bp;
    counted->limit = limit_of(account, &account->slots[slot], &counted->window);
    bool exhausts = meets(counted->used_before, counted->window.used, counted->limit);
    if (warns || exhausts) add_events_of_limit(maker, account, slot, counted, exhausts);
}

void event_note_window(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct window *window = &change->window;
    const struct stored_window *stored = slot_find_window(&account->slots[change->slot], window->period);
    bool goes_on = stored && stored->start_us == window->start_us;
    int64_t used_before = goes_on ? stored->used : 0, warned_before_bp = goes_on ? stored->warned_bp : 0;
    keep_used(maker, change->slot, used_before, window->used);
    if (window->warned_bp <= warned_before_bp && window->used <= used_before) return;
    struct counted counted = {.window = *window, .used_before = used_before, .warned_before_bp = warned_before_bp};
    note_units(maker, account, change->slot, &counted);
}

void event_note_used(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct slot *slot = &account->slots[change->slot];
    const struct stored_window *stored = slot_find_window(slot, change->period);
    if (!stored) return; /* accepted changes have it */
    keep_used(maker, change->slot, stored->used, change->amount);
    if (!maker->counts) return;
    struct counted counted = {.window = slot_window(slot, (uint32_t)(stored - slot->windows)),
                              .used_before = stored->used,
                              .warned_before_bp = stored->warned_bp};
    counted.window.used = change->amount;
    note_units(maker, account, change->slot, &counted);
}

/* A rolling window has so many more units than those of the stored ones that are still in it. */
void event_note_logged(struct event_maker *maker, const struct account *account, const struct change *change)
{
    if (!event_maker_watches_all(maker)) return;
    struct state state = sliding_log_state(slot_log(&account->slots[change->slot], change->period_us));
    struct rule rule = {.algorithm = RULE_LOG, .period_us = change->period_us};
    sliding_log_settle(&rule, &state, change->log.rest + change->period_us);
    event_keep_limited(maker, change->slot, change->log.amount - state.amount);
}

/* ---- cycles that have closed ------------------------------------------------------------------------------------- */

static struct logged_event event_of_cycle(const struct account *account, enum event_type type, int64_t time_us,
                                          const struct change *change)
{
    const struct slot *slot = &account->slots[change->slot];
    struct entitlement merged;
    struct logged_event event = event_at(account, type, time_us);
    const struct entitlement *entitlement = event_entitlement(account, slot, &merged);
    const struct quota_rule *rule = entitlement ? entitlement_limit(entitlement, change->period) : NULL;
    event_set_resource(&event, account, change->slot);
    if (rule) event_set_number(&event, EVENT_RULE, rule - entitlement->rules);
    event_set_number(&event, EVENT_PERIOD, (int64_t)change->period);
    event_set_instant(&event, EVENT_START, change->closed.start_us);
    event_set_instant(&event, EVENT_END, change->closed.end_us);
    event_set_number(&event, EVENT_USED, change->closed.used);
    return event;
}

void event_note_closed(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct closed_cycle *closed = &change->closed;
    bool is_idle = closed->used == 0 && closed->denied == 0 && closed->refunded == 0 && closed->peak == 0;
    if (is_idle || closed->count != 1) return;
    struct logged_event event = event_of_cycle(account, LOGGED_CYCLE_CLOSED, closed->end_us, change);
    event_set_number(&event, EVENT_LIMIT, closed->limit);
    event_sink_add(maker->sink, &event);
}

void event_note_amended(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct closed_cycle entry;
    char room[2][24];
    const struct history *history = slot_history(&account->slots[change->slot], change->period);
    if (!history_find(history, change->closed.start_us, &entry) || entry.used == change->closed.used) return;
    event_keep_limited(maker, change->slot, change->closed.used - entry.used);
    int64_t now_us = max_i64(maker->run->applied_at_us, account->applied_at_us);
    struct logged_event event = event_of_cycle(account, LOGGED_CYCLE_AMENDED, now_us, change);
    event_set_number(&event, EVENT_LIMIT, entry.limit);
    event_set_amounts(&event, entry.used, change->closed.used, room);
    event_sink_add(maker->sink, &event);
}

/* Shows accounts as they stand; see report.h. */
#include "quota/decide/report.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/view/credits_view.h"

/* ---- rules ----------------------------------------------------------------------------------------------- */

void resource_report_begin(struct resource_report *report, struct account_view *account, struct resource_view *view)
{
    demand_begin(&report->demand, account, view, 1);
}

void resource_report_rule(const struct resource_report *report, uint32_t index, struct rule_report *rule)
{
    struct demand *demand = (struct demand *)&report->demand;
    bool is_credits = index >= demand->view->entitlement->rules_count;
    struct position position = is_credits ? position_of_credits(demand) : position_of_rule(demand, index);
    *rule = (struct rule_report){.start_us = NEVER_US, .end_us = NEVER_US};
    position.meter->report(&position, rule);
}

bool resource_report_has_credits(const struct resource_view *view)
{
    return view->credits_usable > 0 || view->entitlement->credits;
}

int64_t resource_report_overage(const struct resource_view *view)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        if (!entitlement_limit(view->entitlement, window->period)) continue;
        int64_t limit = window_limit(window);
        if (limit != UNLIMITED) most = max_i64(most, window->used - limit);
    }
    return most;
}

/* Does the part of the credits that is used reach the threshold? */
static bool credits_reach(const struct account_view *account, const struct resource_view *view, int64_t threshold_bp)
{
    wide used = (wide)view->credits_amount - view->credits_left - credits_held(account, view);
    return view->credits_amount > 0 && used * 10000 >= (wide)view->credits_amount * threshold_bp;
}

uint32_t resource_report_warned(const struct account_view *account, const struct resource_view *view)
{
    const struct entitlement *entitlement = view->entitlement;
    int64_t highest_bp = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        if (!entitlement_limit(entitlement, view->windows[i].period)) continue;
        highest_bp = max_i64(highest_bp, view->windows[i].warned_bp);
    }
    while (count < entitlement->warnings_count && entitlement->warnings_bp[count] <= highest_bp) count++;
    while (count < entitlement->warnings_count && credits_reach(account, view, entitlement->warnings_bp[count]))
        count++;
    return count;
}

const char *account_state_name(const struct account_view *view)
{
    if (view->status.state == ACCOUNT_CLOSED) return "closed";
    if (!view->plan) return "expired";
    if (view->status.state == ACCOUNT_SUSPENDED) return "suspended";
    return view->now_us < view->status.anchor_us ? "notstarted" : "active";
}

/* ---- closed cycles --------------------------------------------------------------------------------------- */

static void add_cycle(struct cycle_list *list, uint64_t period, const struct closed_cycle *cycle)
{
    list->cycles = memory_grow(list->cycles, list->count, sizeof(*list->cycles));
    list->cycles[list->count++] = (struct listed_cycle){period, *cycle};
}

void cycle_list_begin(struct cycle_list *list, const struct resource_view *view, const struct sink *changes)
{
    const struct slot_optional *optional = view->stored ? view->stored->optional : NULL;
    struct closed_cycle entries[HISTORY_ENTRIES_MAX];
    struct change change;
    *list = (struct cycle_list){0};
    for (uint32_t i = 0; optional && i < optional->histories_count; i++) {
        uint32_t count = history_entries(optional->histories[i].history, entries);
        for (uint32_t k = 0; k < count; k++) add_cycle(list, optional->histories[i].period, &entries[k]);
    }
    struct cursor cursor = cursor_init((struct bytes){changes->data, changes->size});
    while (!cursor_done(&cursor) && !cursor.bad) {
        change_decode(&cursor, ACCOUNT_ENCODING_NEWEST, &change);
        bool closes = !cursor.bad && change.kind == CHANGE_CLOSED && (int32_t)change.slot == view->index;
        if (closes) add_cycle(list, change.period, &change.closed);
    }
}

static int64_t mean_length_us(const struct closed_cycle *cycle)
{
    return (cycle->end_us - cycle->start_us) / cycle->count;
}

static bool is_newer(const struct closed_cycle *cycle, const struct closed_cycle *other)
{
    if (cycle->end_us != other->end_us) return cycle->end_us > other->end_us;
    return mean_length_us(cycle) > mean_length_us(other);
}

/* Cuts the last cycle off an idle run; a single cycle is gone then. Without the zone's file a run is shown as one. */
static void cut_last(struct listed_cycle *listed, const struct account_view *account, struct closed_cycle *last)
{
    struct period period;
    const struct zone *zone = listed->cycle.count > 1 ? account_view_zone(account) : NULL;
    *last = listed->cycle;
    if (zone && period_from_code(listed->period, &period)) {
        int64_t at_us = listed->cycle.end_us - 1;
        last->start_us = period_cycle_at(&period, zone, account->status.anchor_us, at_us).start_us;
        last->count = 1;
        listed->cycle.end_us = last->start_us;
        listed->cycle.count--;
    } else {
        listed->cycle.count = 0;
    }
}

bool cycle_list_next(struct cycle_list *list, const struct account_view *account, struct listed_cycle *cycle)
{
    struct listed_cycle *newest = NULL;
    for (uint32_t i = 0; i < list->count; i++) {
        struct listed_cycle *listed = &list->cycles[i];
        if (listed->cycle.count == 0) continue;
        if (!newest || is_newer(&listed->cycle, &newest->cycle)) newest = listed;
    }
    if (!newest) return false;
    cycle->period = newest->period;
    cut_last(newest, account, &cycle->cycle);
    return true;
}

void cycle_list_end(struct cycle_list *list)
{
    memory_free(list->cycles);
    *list = (struct cycle_list){0};
}

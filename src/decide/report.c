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
    if (!entitlement) return 0; /* only an account above knows the resource */
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

/* Where the cycles of an idle run begin. */
struct run_calendar {
    struct period period;
    const struct zone *zone;
    int64_t anchor_us;
};

/* False without the zone's file: such a run is shown as one. A run of before a restart began at another anchor, of
 * which its own start is a boundary. */
static bool run_calendar_of(const struct listed_cycle *run, const struct account_view *account,
                            struct run_calendar *calendar)
{
    calendar->zone = account_view_zone(account);
    calendar->anchor_us = account->status.anchor_us;
    if (!calendar->zone || !period_from_code(run->period, &calendar->period)) return false;
    int64_t start_us = run->cycle.start_us;
    struct cycle first = period_cycle_at(&calendar->period, calendar->zone, calendar->anchor_us, start_us);
    if (first.start_us != start_us) calendar->anchor_us = start_us;
    return true;
}

static struct cycle run_cycle_at(const struct run_calendar *calendar, int64_t at_us)
{
    return period_cycle_at(&calendar->period, calendar->zone, calendar->anchor_us, at_us);
}

/* Leaves of an idle run the cycles that begin in [from, to). Its last one may have been cut by a restart. */
static void run_choose(struct listed_cycle *listed, const struct account_view *account,
                       const struct cycle_choice *choice)
{
    struct run_calendar calendar;
    struct closed_cycle *run = &listed->cycle;
    bool whole = run->start_us >= choice->from_us && run->end_us <= choice->to_us;
    if (whole || run->count == 0) return;
    if (!run_calendar_of(listed, account, &calendar)) {
        if (run->start_us < choice->from_us) run->count = 0;
        return;
    }
    struct cycle first = run_cycle_at(&calendar, max_i64(choice->from_us, run->start_us));
    struct cycle last = run_cycle_at(&calendar, min_i64(choice->to_us, run->end_us) - 1);
    if (first.start_us < choice->from_us) first = run_cycle_at(&calendar, first.end_us);
    if (first.start_us > last.start_us || first.start_us >= run->end_us) {
        run->count = 0;
        return;
    }
    int64_t between =
        period_cycles_between(&calendar.period, calendar.zone, calendar.anchor_us, first.index, last.index);
    run->count = min_i64(between + 1, run->count);
    run->start_us = first.start_us;
    run->end_us = min_i64(last.end_us, run->end_us);
}

void cycle_list_choose(struct cycle_list *list, const struct account_view *account, const struct cycle_choice *choice)
{
    for (uint32_t i = 0; i < list->count; i++) {
        struct closed_cycle *cycle = &list->cycles[i].cycle;
        bool apart = cycle->end_us <= choice->from_us || cycle->start_us >= choice->to_us;
        bool begins_before = cycle->count == 1 && cycle->start_us < choice->from_us;
        bool meant = period_code_is_meant(list->cycles[i].period, choice->period) && !apart && !begins_before;
        if (!meant) cycle->count = 0;
        if (cycle->count > 1) run_choose(&list->cycles[i], account, choice);
    }
}

/* Cuts the last cycle off an idle run; a single cycle is gone then. */
static void cut_last(struct listed_cycle *listed, const struct account_view *account, struct closed_cycle *last)
{
    struct run_calendar calendar;
    *last = listed->cycle;
    if (listed->cycle.count > 1 && run_calendar_of(listed, account, &calendar)) {
        last->start_us = run_cycle_at(&calendar, listed->cycle.end_us - 1).start_us;
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

bool listed_cycle_at(const struct listed_cycle *listed, const struct account_view *account, int64_t at_us,
                     struct closed_cycle *cycle)
{
    struct run_calendar calendar;
    *cycle = listed->cycle;
    if (at_us < cycle->start_us || at_us >= cycle->end_us) return false;
    if (cycle->count == 1) return true;
    if (!run_calendar_of(listed, account, &calendar)) return false;
    struct cycle found = run_cycle_at(&calendar, at_us);
    cycle->start_us = max_i64(found.start_us, listed->cycle.start_us);
    cycle->end_us = min_i64(found.end_us, listed->cycle.end_us);
    cycle->count = 1;
    return true;
}

int64_t closed_cycle_overage(const struct closed_cycle *cycle)
{
    return cycle->limit == UNLIMITED ? 0 : max_i64(cycle->used - cycle->limit, 0);
}

void cycle_list_end(struct cycle_list *list)
{
    memory_free(list->cycles);
    *list = (struct cycle_list){0};
}

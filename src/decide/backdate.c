/* Posts to cycles that have closed; see backdate.h. */
#include "quota/decide/backdate.h"
#include "quota/base/checked.h"
#include "quota/view/billing.h"
#include "quota/view/changeset.h"

/* ---- finding --------------------------------------------------------------------------------------------- */

/* One cycle of an idle run: the one in which the instant lies. */
static bool cut_run(const struct account_view *account, uint64_t code, int64_t at_us, struct closed_cycle *closed)
{
    struct period period;
    if (closed->count == 1) return true;
    const struct zone *zone = account_view_zone(account);
    if (!zone || !period_from_code(code, &period)) return false;
    struct cycle cycle = period_cycle_at(&period, zone, account->status.anchor_us, at_us);
    closed->start_us = cycle.start_us;
    closed->end_us = cycle.end_us;
    closed->count = 1;
    return true;
}

/* The newest entry of a period counts. */
static uint32_t add_found(struct past_cycle *found, uint32_t count, uint64_t period, const struct closed_cycle *closed)
{
    uint32_t at = 0;
    while (at < count && found[at].period != period) at++;
    if (at == SLOT_HISTORIES_MAX) return count;
    found[at] = (struct past_cycle){period, *closed};
    return at == count ? count + 1 : count;
}

/* Steps to the next cycle of the resource that the changes close; false when there is none. */
static bool next_closed(struct cursor *cursor, const struct resource_view *view, struct change *change)
{
    while (!cursor_done(cursor) && !cursor->bad) {
        change_decode(cursor, ACCOUNT_ENCODING_NEWEST, change);
        if (!cursor->bad && change->kind == CHANGE_CLOSED && (int32_t)change->slot == view->index) return true;
    }
    return false;
}

uint32_t past_cycles(const struct account_view *account, const struct resource_view *view, int64_t at_us,
                     const struct charged *charged, const struct sink *changes,
                     struct past_cycle found[SLOT_HISTORIES_MAX])
{
    const struct slot_optional *optional = view->stored ? view->stored->optional : NULL;
    struct closed_cycle closed;
    struct change change;
    uint32_t count = 0, kept = 0;
    for (uint32_t i = 0; optional && i < optional->histories_count; i++) {
        const struct period_history *history = &optional->histories[i];
        if (history_find(history->history, at_us, &closed)) count = add_found(found, count, history->period, &closed);
    }
    struct cursor cursor = cursor_init((struct bytes){changes->data, changes->size});
    while (next_closed(&cursor, view, &change)) {
        if (change.closed.start_us > at_us || at_us >= change.closed.end_us) continue;
        count = add_found(found, count, change.period, &change.closed);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!charged_has(charged, found[i].period)) continue;
        if (cut_run(account, found[i].period, at_us, &found[i].closed)) found[kept++] = found[i];
    }
    return kept;
}

bool backdate_has_joined(const struct resource_view *view, uint64_t period, int64_t at_us, const struct sink *changes)
{
    struct change change;
    struct closed_cycle oldest;
    const struct history *history = view->stored ? slot_history(view->stored, period) : NULL;
    uint32_t kept = history_count(history);
    for (uint32_t i = 0; i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        if (window->period == period && window->start_us <= at_us && at_us < window->end_us) return false;
    }
    bool forgotten = kept == HISTORY_ENTRIES_MAX && history_nth(history, kept - 1, &oldest) && oldest.start_us > at_us;
    if (forgotten) return false;
    if (kept > 0 && history_find(history, at_us, &oldest)) return false;
    struct cursor cursor = cursor_init((struct bytes){changes->data, changes->size});
    while (next_closed(&cursor, view, &change)) {
        if (change.period == period && change.closed.start_us <= at_us && at_us < change.closed.end_us) return false;
    }
    return true;
}

/* ---- posting --------------------------------------------------------------------------------------------- */

/* What a closed cycle was overdrawn by. */
static int64_t overdraft(const struct closed_cycle *closed)
{
    return closed->limit == UNLIMITED ? 0 : max_i64(closed->used - closed->limit, 0);
}

/* Writes the corrected cycle down. What it is overdrawn by more than before is the running cycle's to repay. */
static void correct(struct resource_view *view, const struct past_cycle *before, const struct closed_cycle *after,
                    struct sink *changes)
{
    int64_t more = overdraft(after) - overdraft(&before->closed);
    struct change change = {
        .kind = CHANGE_CYCLE_CORRECTED, .slot = (uint32_t)view->index, .period = before->period, .closed = *after};
    change_encode(&change, changes);
    for (uint32_t i = 0; view->entitlement && view->entitlement->repay && i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        if (view->fresh[i] || window->period != before->period) continue;
        window->debt = wide_clamp((wide)window->debt + more, 0, INT64_MAX);
    }
}

void backdate_charge(const struct account_view *account, struct resource_view *view, int64_t at_us, int64_t units,
                     struct charged *charged, struct sink *changes)
{
    struct past_cycle found[SLOT_HISTORIES_MAX];
    uint32_t count = past_cycles(account, view, at_us, NULL, changes, found);
    for (uint32_t i = 0; i < count; i++) {
        struct closed_cycle after = found[i].closed;
        after.used = add_clamped(after.used, units);
        after.peak = max_i64(after.peak, after.used);
        correct(view, &found[i], &after, changes);
        billing_shift(account, view, &(struct bill_shift){found[i].period, after.end_us, at_us, units, 0});
        charged_add(charged, found[i].period);
    }
}

/* ---- usage after the fact -------------------------------------------------------------------------------- */

static bool runs_at(const struct window *window, int64_t at_us)
{
    return window->start_us <= at_us && at_us < window->end_us;
}

static bool is_found(const struct past_cycle *found, uint32_t count, uint64_t period)
{
    uint32_t at = 0;
    while (at < count && found[at].period != period) at++;
    return at < count;
}

/* Does the position count units of that instant now? */
static bool counts_now(const struct position *position, int64_t at_us)
{
    if (position->meter == &meter_rate) return false;
    if (position->window) return runs_at(position->window, at_us);
    if (position->meter != &meter_rolling) return true;
    return at_us > position->demand->account->now_us - position_rule(position)->rule.period_us;
}

/* The first cycle that is kept of a LIMIT, and how many entries of its history there are. */
struct kept_cycles {
    int64_t first_us;
    uint32_t entries;
};

static struct kept_cycles cycles_kept(const struct resource_view *view, const struct window *running,
                                      const struct sink *changes)
{
    const struct history *history = view->stored ? slot_history(view->stored, running->period) : NULL;
    struct kept_cycles kept = {running->start_us, history_count(history)};
    struct cursor cursor = cursor_init((struct bytes){changes->data, changes->size});
    struct closed_cycle oldest;
    struct change change;
    if (kept.entries > 0 && history_nth(history, kept.entries - 1, &oldest))
        kept.first_us = min_i64(kept.first_us, oldest.start_us);
    while (next_closed(&cursor, view, &change)) {
        if (change.period != running->period) continue;
        kept.first_us = min_i64(kept.first_us, change.closed.start_us);
        kept.entries++;
    }
    return kept;
}

static void emit_closed(const struct resource_view *view, uint64_t period, const struct closed_cycle *closed,
                        struct sink *changes)
{
    struct change change = {.kind = CHANGE_CLOSED, .slot = (uint32_t)view->index, .period = period, .closed = *closed};
    change.closed.revision = resource_view_revision(view);
    change_encode(&change, changes);
}

/* Of a resource that was first used later: its cycles from the one of the instant on, up to the first that is kept,
 * under the LIMIT as it holds now. The cycle of the instant is an entry of the history, and the idle ones behind it are
 * another. False where there may have been others, which are forgotten, or the account was not open. */
static bool begin_earlier(const struct demand *demand, const struct position *position, int64_t at_us,
                          struct sink *changes)
{
    struct resource_view *view = demand->view;
    struct account_view *account = demand->account;
    const struct quota_rule *rule = position_rule(position);
    const struct window *running = position->window;
    const struct zone *zone = account_view_zone(account);
    int64_t anchor_us = account->status.anchor_us;
    struct kept_cycles kept = cycles_kept(view, running, changes);
    bool known = account->account && at_us >= min_i64(account_view_opened_us(account), anchor_us);
    if (!zone || !known || at_us >= kept.first_us || kept.entries > HISTORY_ENTRIES_MAX - 2) return false;
    if (emit_slot(account, view, changes) != ACCOUNT_FAULT_NONE) return false;
    struct cycle cycle = period_cycle_at(&rule->period, zone, anchor_us, at_us);
    if (at_us < cycle.start_us) cycle.start_us = account_view_opened_us(account); /* for ever, and before a RESTART */
    struct cycle first = period_cycle_at(&rule->period, zone, anchor_us, kept.first_us);
    struct window begun = window_begin(rule, &cycle, anchor_us);
    struct closed_cycle one = {.start_us = cycle.start_us,
                               .end_us = min_i64(cycle.end_us, kept.first_us),
                               .limit = window_limit(&begun),
                               .count = 1};
    struct closed_cycle idle = {.start_us = one.end_us, .end_us = kept.first_us, .limit = rule->limit};
    idle.count = period_cycles_between(&rule->period, zone, anchor_us, cycle.index, first.index) - 1;
    if (idle.count > 0 && idle.start_us < idle.end_us) emit_closed(view, running->period, &idle, changes);
    emit_closed(view, running->period, &one, changes);
    view->fresh[running - view->windows] = view->unused[running - view->windows] = false;
    return true;
}

/* Lets every LIMIT have a cycle of the instant. */
static bool begin_all(const struct demand *demand, int64_t at_us, struct sink *changes)
{
    struct past_cycle found[SLOT_HISTORIES_MAX];
    uint32_t count = past_cycles(demand->account, demand->view, at_us, NULL, changes, found);
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        if (position->meter != &meter_cycle || runs_at(position->window, at_us)) continue;
        if (is_found(found, count, position->window->period)) continue;
        if (!begin_earlier(demand, position, at_us, changes)) return false;
    }
    return true;
}

enum account_fault backdate_demand(struct demand *demand, int64_t at_us, struct sink *changes)
{
    uint32_t kept = 0, limits = 0, limits_kept = 0;
    if (!begin_all(demand, at_us, changes)) return ACCOUNT_FAULT_AT;
    demand->at_us = at_us;
    demand->charged = arena_alloc(demand->account->arena, sizeof(*demand->charged));
    demand->rates.count = 0;
    demand->rates.throttle = -1;
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        bool is_cycle = position->meter == &meter_cycle, counts = counts_now(position, at_us);
        bool is_limit = is_cycle || position->meter == &meter_rolling;
        /* Funding meters stand behind all others. */
        if (position->meter->funds && limits > 0 && limits_kept == 0) counts = false;
        limits += is_limit;
        limits_kept += is_limit && counts;
        if (is_cycle && counts) charged_add(demand->charged, position->window->period);
        if (counts) demand->positions[kept++] = *position;
    }
    demand->positions_count = kept;
    return ACCOUNT_FAULT_NONE;
}

void backdate_take(struct demand *demand, struct sink *changes)
{
    if (demand->at_us == 0) return;
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct window *window = demand->positions[i].window;
        if (demand->positions[i].meter != &meter_cycle) continue;
        billing_shift(demand->account, demand->view,
                      &(struct bill_shift){window->period, window->end_us, demand->at_us, demand->limited, 0});
    }
    backdate_charge(demand->account, demand->view, demand->at_us, demand->limited, demand->charged, changes);
}

/* ---- giving back ----------------------------------------------------------------------------------------- */

int64_t backdate_refund(const struct account_view *account, struct resource_view *view, int64_t units,
                        const struct taken_from *from, struct sink *changes)
{
    struct past_cycle found[SLOT_HISTORIES_MAX];
    int64_t most = 0;
    uint32_t count = past_cycles(account, view, from->taken_us, from->charged, changes, found);
    for (uint32_t i = 0; i < count; i++) {
        struct closed_cycle after = found[i].closed;
        int64_t returned = refund_lines_return(&after.lines, min_i64(units, after.used), from->generation);
        if (returned == 0) continue;
        after.used -= returned;
        after.refunded = add_clamped(after.refunded, returned);
        correct(view, &found[i], &after, changes);
        billing_shift(account, view,
                      &(struct bill_shift){found[i].period, after.end_us, from->taken_us, -returned, returned});
        most = max_i64(most, returned);
    }
    return most;
}

/* Walks the events of one resource; see lifecycle.h. */
#include "quota/view/lifecycle.h"
#include "quota/base/checked.h"
#include "quota/rate/limiter_codec.h"
#include "quota/view/billing.h"
#include "quota/view/credits_view.h"

/* In the order in which they take effect at one instant. */
enum event_kind {
    EVENT_OVERRIDE_ENDS,
    EVENT_DEFERRED, /* a revision with APPLY END is due: older than one that comes now */
    EVENT_REVISION,
    EVENT_PLAN_CHANGE,
    EVENT_GRANT_BEGINS,
    EVENT_NONE,
};

struct event {
    enum event_kind kind;
    int64_t at_us;
};

/* Where the walk stands. */
struct timeline {
    struct cycle_cursor cursor;
    const struct plan_track *track;       /* revisions of the plan that the account has then; NULL = none to follow */
    uint32_t next_revision, next_change;  /* in the track, in the account's plan changes */
    const struct plan_revision *deferred; /* NULL = none */
    int64_t deferred_us;
};

/* ---- which rules hold ------------------------------------------------------------------------------------ */

static const struct quota_rule *override_limit(const struct resource_view *view, uint64_t period)
{
    return view->override ? entitlement_limit(&view->override->entitlement, period) : NULL;
}

static void free_limiter(void *limiter)
{
    limiter_free(limiter);
}

/* Rules that came at `view->rates_us` hold no more: what the rates took over under them, as if they had been requested
 * then. Else an account that was written down under these rules would be another one than one that was not. */
static void pass_rates(const struct account_view *account, struct resource_view *view, struct rule *rules,
                       uint32_t count)
{
    struct decision decision;
    struct sink effects = {0};
    if (!view->rates || view->rates_us == 0) return;
    limiter_decide_rules(view->rates, rules, count, view->rates_us, &decision);
    if (decision.effects_count == 0) return;
    effects_encode(&decision, false, &effects);
    struct passed_rates *passed = arena_alloc(account->arena, sizeof(*passed) + effects.size);
    char *bytes = (char *)(passed + 1);
    memcpy(bytes, effects.data, effects.size);
    passed->effects = (struct bytes){bytes, effects.size};
    sink_free(&effects);
    struct passed_rates **last = &view->rates_passed;
    while (*last) last = &(*last)->next;
    *last = passed;
    struct limiter *after = limiter_apply(limiter_clone(view->rates), &decision);
    arena_own(account->arena, after, free_limiter);
    view->rates = after;
}

void lifecycle_recompose(const struct account_view *account, struct resource_view *view, int64_t anchor_us,
                         int64_t at_us)
{
    struct rule before[ENTITLEMENT_RULES_MAX], after[ENTITLEMENT_RULES_MAX];
    uint8_t places[ENTITLEMENT_RULES_MAX];
    uint32_t count = view->entitlement ? entitlement_rates(view->entitlement, before, places) : 0;
    lifecycle_compose(view, anchor_us);
    uint32_t now = view->entitlement ? entitlement_rates(view->entitlement, after, places) : 0;
    /* Only a change of the rules themselves restarts the clock of a takeover; an override that repeats the plan's does
     * not. */
    bool same = now == count;
    for (uint32_t i = 0; same && i < count; i++) same = rule_equal(&before[i], &after[i]);
    if (same) return;
    pass_rates(account, view, before, count);
    view->rates_us = at_us;
}

void lifecycle_compose(struct resource_view *view, int64_t anchor_us)
{
    const struct entitlement *granted = resource_view_granted(view);
    view->entitlement = granted;
    if (view->override && view->override->only) {
        view->entitlement = &view->override->entitlement;
    } else if (view->override) {
        entitlement_merge(granted, &view->override->entitlement, view->override->options, &view->merged);
        view->entitlement = &view->merged;
    }
    bool grants_nothing = view->entitlement && entitlement_is_empty(view->entitlement);
    if (grants_nothing) view->entitlement = NULL; /* an override above nothing, of options alone */
    for (uint32_t i = 0; i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        const struct quota_rule *rule = override_limit(view, window->period);
        window->cover = rule ? window_cover_of(window, rule, anchor_us) : NOT_COVERED;
    }
}

void lifecycle_note_limits(const struct resource_view *view, struct limits_before *before)
{
    before->count = 0;
    for (uint32_t i = 0; view->entitlement && i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        if (!entitlement_limit(view->entitlement, window->period)) continue;
        before->periods[before->count] = window->period;
        before->limits[before->count++] = window_limit(window);
    }
}

/* Is the limit of the cycle higher than it was, or was it asleep? */
static bool was_raised(const struct window *window, const struct limits_before *before)
{
    uint32_t at = 0;
    while (at < before->count && before->periods[at] != window->period) at++;
    return at == before->count || amount_is_smaller(before->limits[at], window_limit(window));
}

void lifecycle_lower_warnings(struct resource_view *view, const struct limits_before *before)
{
    for (uint32_t i = 0; view->entitlement && i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        if (window->warned_bp == 0 || !entitlement_limit(view->entitlement, window->period)) continue;
        if (!was_raised(window, before)) continue;
        window_lower_warnings(window, view->entitlement);
        view->lowered_bp[i] = min_i64(view->lowered_bp[i], window->warned_bp);
    }
}

/* ---- changes of the plan --------------------------------------------------------------------------------- */

/* A prorated LIMIT that the resource has no window of: its parts begin to count before anything is used. */
static enum account_fault join_windows(struct timeline *timeline, const struct entitlement *granted, int64_t at_us)
{
    struct resource_view *view = timeline->cursor.view;
    for (uint32_t i = 0; granted && i < granted->rules_count; i++) {
        const struct quota_rule *rule = &granted->rules[i];
        bool has = false;
        if (rule->kind != QUOTA_LIMIT) continue;
        for (uint32_t k = 0; k < view->windows_count; k++) has |= view->windows[k].period == quota_rule_code(rule);
        if (has) continue;
        enum account_fault fault = cycle_cursor_zone(&timeline->cursor);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        int64_t anchor_us = timeline->cursor.anchor_us;
        struct cycle cycle = period_cycle_at(&rule->period, timeline->cursor.zone, anchor_us, at_us);
        struct window *window = cycles_add_window(view);
        /* Where it comes with a restart it is there from the start of the cycle on. */
        bool begins = timeline->cursor.restarted && at_us <= anchor_us;
        *window = begins ? window_begin(rule, &cycle, anchor_us) : window_join(rule, &cycle, anchor_us, at_us);
        cycles_cut(&timeline->cursor, window);
    }
    return ACCOUNT_FAULT_NONE;
}

/* The plan's entry becomes another at `at_us`: windows follow, fully or by proration. */
static enum account_fault change_entry(struct timeline *timeline, const struct plan_entry *entry,
                                       enum window_change change, int64_t at_us)
{
    struct resource_view *view = timeline->cursor.view;
    const struct entitlement *before = resource_view_granted(view);
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    struct limits_before limits;
    lifecycle_note_limits(view, &limits);
    /* A prorated change needs the part before it, so the running cycles must be there, also of a resource never used.
     * */
    if (change == WINDOW_PRORATE) fault = cycles_begin(&timeline->cursor, before, at_us);
    view->entry = entry;
    const struct entitlement *after = resource_view_granted(view);
    for (uint32_t i = 0; i < view->windows_count; i++) {
        uint64_t period = view->windows[i].period;
        const struct quota_rule *rule = entitlement_limit(after, period), *was = entitlement_limit(before, period);
        /* A window that slept before and sleeps on keeps its parts as they are. */
        if (rule || was || change == WINDOW_FULL)
            window_change_limit(&view->windows[i], rule, change, timeline->cursor.anchor_us, at_us);
    }
    if (fault == ACCOUNT_FAULT_NONE && change == WINDOW_PRORATE) fault = join_windows(timeline, after, at_us);
    if (change == WINDOW_PRORATE) cycles_keep_changed(&timeline->cursor);
    lifecycle_recompose(timeline->cursor.account, view, timeline->cursor.anchor_us, at_us);
    if (fault == ACCOUNT_FAULT_NONE) fault = cycles_begin_rollover(&timeline->cursor, at_us);
    lifecycle_lower_warnings(view, &limits);
    return fault;
}

/* ---- revisions ------------------------------------------------------------------------------------------- */

/* Where to go on in a track, for a resource that knows `entry` (NULL = nothing of this plan). A revision that this
 * server knows with other rules, or does not know though it knows older ones, came from another primary: the newest
 * takes its place. */
static uint32_t revision_after(const struct plan_track *track, const struct plan_entry *entry, int64_t now_us)
{
    int64_t known = entry ? entry->revision : 0;
    const struct plan_revision *newest = plan_track_current(track, now_us);
    for (uint32_t i = 0; i < track->count; i++) {
        const struct plan_entry *kept = &track->revisions[i]->entry;
        if (kept->revision < known) continue;
        if (!entry || kept->revision > known) return i;
        bool same = kept->granted == entry->granted &&
                    (!kept->granted || entitlement_equal(&kept->entitlement, &entry->entitlement));
        if (same) return i + 1;
        break;
    }
    for (uint32_t i = 0; i < track->count; i++) {
        if (track->revisions[i] == newest) return i;
    }
    return track->count;
}

static void follow_plan(struct timeline *timeline, const struct plan *plan)
{
    const struct account_view *account = timeline->cursor.account;
    const struct resource_view *view = timeline->cursor.view;
    const struct plan_history *history = plan ? account->host->find_plan(plan->name) : NULL;
    timeline->track = plan_history_track(history, view->resource);
    timeline->deferred = NULL;
    if (timeline->track) timeline->next_revision = revision_after(timeline->track, view->entry, account->now_us);
}

/* When an account follows a revision with APPLY END: at the end of the longest of the cycles that run when it was set,
 * of the LIMITs that the plan granted until then. */
static enum account_fault deferred_until(struct timeline *timeline, int64_t set_us, int64_t *end_us)
{
    const struct entitlement *granted = resource_view_granted(timeline->cursor.view);
    int64_t longest_us = 0;
    /* Cycles that ended before the account was opened are no cycles of this account. */
    set_us = max_i64(set_us, account_view_opened_us(timeline->cursor.account)); /* the clock may have stepped back */
    *end_us = set_us;
    for (uint32_t i = 0; granted && i < granted->rules_count; i++) {
        const struct quota_rule *rule = &granted->rules[i];
        if (rule->kind != QUOTA_LIMIT || rule->period.unit == PERIOD_FOREVER) continue;
        enum account_fault fault = cycle_cursor_zone(&timeline->cursor);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        struct cycle cycle = period_cycle_at(&rule->period, timeline->cursor.zone, timeline->cursor.anchor_us, set_us);
        int64_t length_us = cycle.end_us - cycle.start_us;
        /* By length, because a month's end matters more than a day's; of equal lengths the later end. */
        if (length_us < longest_us || (length_us == longest_us && cycle.end_us < *end_us)) continue;
        longest_us = length_us;
        *end_us = cycle.end_us;
    }
    return ACCOUNT_FAULT_NONE;
}

static enum account_fault take_deferred(struct timeline *timeline, int64_t at_us)
{
    const struct plan_revision *revision = timeline->deferred;
    timeline->deferred = NULL;
    return change_entry(timeline, &revision->entry, WINDOW_FULL, at_us);
}

static enum account_fault revise(struct timeline *timeline, int64_t at_us)
{
    const struct plan_revision *revision = timeline->track->revisions[timeline->next_revision++];
    if (revision->apply == APPLY_END) {
        int64_t until_us;
        enum account_fault fault = deferred_until(timeline, at_us, &until_us);
        timeline->deferred = revision;
        timeline->deferred_us = until_us;
        bool at_once = fault == ACCOUNT_FAULT_NONE && until_us <= at_us; /* no cycle runs that ends */
        return at_once ? take_deferred(timeline, at_us) : fault;
    }
    /* A revision with APPLY END that still waits would bring older rules back over this one. */
    timeline->deferred = NULL; /* a later revision that comes first takes its place */
    enum window_change change = revision->apply == APPLY_PRORATE ? WINDOW_PRORATE : WINDOW_FULL;
    return change_entry(timeline, &revision->entry, change, at_us);
}

/* ---- the account moves ----------------------------------------------------------------------------------- */

/* A cycle that a restart closes, and what it hands to the one that follows. Its LIMIT goes on. */
struct restarted {
    uint64_t period;
    bool used; /* something was, under this LIMIT */
    struct carry carry;
    struct restarted *next;
};

/* In the account view's arena. */
static struct restarted *collect_closed(const struct timeline *timeline, int64_t at_us)
{
    const struct account_view *account = timeline->cursor.account;
    const struct resource_view *view = timeline->cursor.view;
    const struct cycle_end end = {at_us, timeline->cursor.anchor_us};
    struct restarted *first = NULL;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        if (view->fresh[i] || window->start_us >= at_us) continue;
        struct restarted *closed = arena_alloc(account->arena, sizeof(*closed));
        closed->period = window->period;
        closed->used = !view->unused[i];
        closed->next = first;
        if (view->entitlement) resource_view_carry(account, view, window, end, &closed->carry);
        /* As at its end: lots of a LIMIT that holds no more go. */
        if (!entitlement_limit(view->entitlement, window->period)) closed->carry.lots_count = 0;
        first = closed;
    }
    return first;
}

/* A window that follows one of them. */
static void follow_closed(const struct timeline *timeline, uint32_t index, const struct restarted *closed)
{
    struct resource_view *view = timeline->cursor.view;
    struct window *window = &view->windows[index];
    bool repays = view->entitlement && view->entitlement->repay && window_own_limit(window) != UNLIMITED;
    for (; closed; closed = closed->next) {
        if (closed->period != window->period) continue;
        carry_begin(&closed->carry, timeline->cursor.account->arena, window);
        if (!repays) window->debt = 0;
        if (window->rolled > 0) view->fresh[index] = false;
        if (closed->used) view->fresh[index] = view->unused[index] = false;
    }
}

/* Cycles which the calendar lets begin earlier begin at the restart (cycles_cut). What was consumed at the very same
 * instant, before it, comes back to none of them. */
static enum account_fault begin_after_restart(struct timeline *timeline, const struct restarted *closed, int64_t at_us)
{
    struct resource_view *view = timeline->cursor.view;
    enum account_fault fault = cycles_begin(&timeline->cursor, view->entitlement, at_us);
    bool sealed = false, used = view->index >= 0;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        bool begins = view->fresh[i]; /* else it had begun at this very instant, and goes on */
        follow_closed(timeline, i, closed);
        if (window->before_us == 0 || !used || !begins) continue;
        refund_lines_seal(&window->lines, view->generation);
        view->fresh[i] = view->unused[i] = false;
        sealed = true;
    }
    if (sealed) view->generation++;
    return fault;
}

static enum account_fault move(struct timeline *timeline, int64_t at_us)
{
    struct resource_view *view = timeline->cursor.view;
    const struct plan_change *change = &timeline->cursor.account->changes[timeline->next_change++];
    bool restarts = change->how == SWITCH_HOW_RESTART, prorates = change->how == SWITCH_HOW_PRORATE;
    const struct restarted *closed = NULL;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    /* Before the cycles close: closing forgets the windows. */
    if (restarts) closed = collect_closed(timeline, at_us);
    if (restarts) cycles_close_all(&timeline->cursor, at_us);
    timeline->cursor.restarted = timeline->cursor.restarted || restarts;
    timeline->cursor.anchor_us = change->anchor_us;
    if (restarts) fault = cycles_anchor(&timeline->cursor);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    const struct plan_entry *entry = plan_find(change->plan, view->resource);
    fault = change_entry(timeline, entry, prorates ? WINDOW_PRORATE : WINDOW_FULL, at_us);
    if (fault == ACCOUNT_FAULT_NONE && restarts) fault = begin_after_restart(timeline, closed, at_us);
    /* From here on revisions of the new plan count, those of the old one no more. */
    follow_plan(timeline, change->plan);
    return fault;
}

static enum account_fault end_override(struct timeline *timeline, int64_t at_us)
{
    struct resource_view *view = timeline->cursor.view;
    struct limits_before limits;
    lifecycle_note_limits(view, &limits);
    view->override = NULL;
    view->override_ended = true;
    lifecycle_recompose(timeline->cursor.account, view, timeline->cursor.anchor_us, at_us);
    enum account_fault fault = cycles_begin_rollover(&timeline->cursor, at_us);
    lifecycle_lower_warnings(view, &limits);
    return fault;
}

/* ---- the walk -------------------------------------------------------------------------------------------- */

static void consider(struct event *event, enum event_kind kind, int64_t at_us, int64_t now_us)
{
    bool sooner = at_us < event->at_us || (at_us == event->at_us && kind < event->kind);
    if (at_us <= now_us && (event->kind == EVENT_NONE || sooner)) *event = (struct event){kind, at_us};
}

/* Also where the clock has stepped back behind it, if a newer one is in force. */
static bool revision_has_come(const struct plan_track *track, uint32_t index, int64_t now_us)
{
    /* Revisions come in order, so one that is in force brings all those before it into force. */
    while (index < track->count && !plan_revision_in_force(track->revisions[index], now_us)) index++;
    return index < track->count;
}

static struct event next_event(const struct timeline *timeline)
{
    const struct account_view *account = timeline->cursor.account;
    const struct resource_view *view = timeline->cursor.view;
    int64_t now_us = account->now_us;
    struct event event = {.kind = EVENT_NONE};
    int64_t until_us = view->override ? view->stored->optional->override_until_us : 0;
    if (until_us > 0) consider(&event, EVENT_OVERRIDE_ENDS, until_us, now_us);
    if (timeline->track && timeline->next_revision < timeline->track->count) {
        int64_t at_us = plan_track_since_us(timeline->track, timeline->next_revision);
        bool comes = revision_has_come(timeline->track, timeline->next_revision, now_us);
        if (comes) consider(&event, EVENT_REVISION, min_i64(at_us, now_us), now_us);
    }
    if (timeline->deferred) consider(&event, EVENT_DEFERRED, timeline->deferred_us, now_us);
    if (timeline->next_change < account->changes_count) {
        consider(&event, EVENT_PLAN_CHANGE, account->changes[timeline->next_change].at_us, now_us);
    }
    if (view->credits) consider(&event, EVENT_GRANT_BEGINS, credits_begins_us(view), now_us);
    return event;
}

/* How the bill follows an event that changes rules. */
static enum segment_how segment_of(const struct timeline *timeline, const struct event *event)
{
    if (event->kind != EVENT_PLAN_CHANGE) return SEGMENT_PRICED;
    const struct plan_change *change = &timeline->cursor.account->changes[timeline->next_change];
    return change->how == SWITCH_HOW_RESTART ? SEGMENT_RESTARTS : SEGMENT_CUTS;
}

static enum account_fault change_rules(struct timeline *timeline, const struct event *event)
{
    switch (event->kind) {
    case EVENT_OVERRIDE_ENDS: return end_override(timeline, event->at_us);
    case EVENT_REVISION: return revise(timeline, event->at_us);
    case EVENT_DEFERRED: return take_deferred(timeline, event->at_us);
    default: return move(timeline, event->at_us);
    }
}

static enum account_fault take_event(struct timeline *timeline, const struct event *event)
{
    struct resource_view *view = timeline->cursor.view;
    enum account_fault fault = cycles_roll(&timeline->cursor, event->at_us);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (event->kind == EVENT_GRANT_BEGINS) {
        credits_begin_grants(&timeline->cursor, event->at_us);
        return ACCOUNT_FAULT_NONE;
    }
    enum segment_how how = segment_of(timeline, event);
    /* A line that ends here says what its cycle included, also where nothing was used. */
    bool priced = view->entitlement && view->entitlement->price.size > 0;
    const struct quota_rule *rule = priced ? entitlement_billed(view->entitlement) : NULL;
    if (rule) fault = cycles_begin_rule(&timeline->cursor, rule, event->at_us);
    const struct billing before = billing_of(view);
    if (fault == ACCOUNT_FAULT_NONE) fault = change_rules(timeline, event);
    if (fault == ACCOUNT_FAULT_NONE) billing_follow(timeline->cursor.account, view, &before, how, event->at_us);
    return fault;
}

/* An account that has expired into nothing keeps the plan it had last. A resource that was written down since then is
 * past that plan and its end: it must not meet them again. */
static bool is_past_its_plan(const struct account_view *account, const struct resource_view *view)
{
    const struct account *stored = account->account;
    if (!stored || !view->stored || account->changes_count == 0) return false;
    const struct plan_change *first = &account->changes[0];
    return !first->plan && first->at_us <= stored->applied_at_us;
}

/* Takes every event up to now, and moves the cursor along. */
static enum account_fault walk_events(struct cycle_cursor *cursor)
{
    const struct account_view *account = cursor->account;
    struct timeline timeline = {.cursor = *cursor};
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    if (is_past_its_plan(account, cursor->view)) {
        cursor->view->entry = NULL;
        lifecycle_compose(cursor->view, cursor->anchor_us);
        timeline.next_change = 1;
    } else if (account->account && !account->plan_is_current) {
        follow_plan(&timeline, account->account->plan);
    }
    for (struct event event; fault == ACCOUNT_FAULT_NONE; fault = take_event(&timeline, &event)) {
        event = next_event(&timeline);
        if (event.kind == EVENT_NONE) break;
    }
    *cursor = timeline.cursor;
    return fault;
}

/* From when on an account that is stored has cycles: from its opening, or from its anchor once that has come. */
static int64_t opened_us(const struct account_view *account)
{
    const struct account_optional *optional = account->account->optional;
    int64_t anchor_us = account->account->anchor_us, opened = optional ? optional->opened_us : 0;
    return opened > 0 && account->now_us < anchor_us ? opened : max_i64(opened, anchor_us);
}

enum account_fault lifecycle_run(const struct account_view *account, struct resource_view *view, struct sink *closed)
{
    const struct account *stored = account->account;
    struct cycle_cursor cursor = {.account = account,
                                  .view = view,
                                  .closed = closed,
                                  .anchor_us = stored ? stored->anchor_us : account->status.anchor_us,
                                  .restarted = stored && stored->optional && stored->optional->restarted};
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    /* A resource that was never written down has had its rules since the account was opened. */
    if (view->index < 0 && stored) fault = cycles_begin_rollover(&cursor, opened_us(account));
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    bool is_quiet = account->plan_is_current && account->changes_count == 0 && !view->override;
    if (view->credits) is_quiet = is_quiet && credits_begins_us(view) > account->now_us;
    if (!is_quiet) fault = walk_events(&cursor); /* else only cycles can have ended */
    if (fault == ACCOUNT_FAULT_NONE) fault = cycles_roll(&cursor, account->now_us);
    if (fault == ACCOUNT_FAULT_NONE) fault = cycles_begin(&cursor, view->entitlement, account->now_us);
    if (fault == ACCOUNT_FAULT_NONE && view->credits) fault = credits_settle(&cursor);
    return fault;
}

enum account_fault lifecycle_foresee(const struct account_view *account, struct resource_view *view)
{
    struct cycle_cursor cursor = cycle_cursor_now(account, view);
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    int64_t begins_us = credits_begins_us(view);
    while (fault == ACCOUNT_FAULT_NONE && begins_us <= account->now_us) {
        fault = cycles_roll(&cursor, begins_us);
        if (fault == ACCOUNT_FAULT_NONE) credits_begin_grants(&cursor, begins_us);
        begins_us = credits_begins_us(view);
    }
    if (fault == ACCOUNT_FAULT_NONE) fault = cycles_roll(&cursor, account->now_us);
    if (fault == ACCOUNT_FAULT_NONE) fault = cycles_begin(&cursor, view->entitlement, account->now_us);
    return fault == ACCOUNT_FAULT_NONE ? credits_settle(&cursor) : fault;
}

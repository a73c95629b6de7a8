/* Cycles roll over: a window whose cycle has ended closes into the history and becomes the window of a later cycle.
 *
 *     window ── ends ──▶ closed cycle │ idle cycles, as one entry │ ──▶ window of the cycle at the instant
 *
 * Rolling over n idle cycles takes O(1), also where they hand debts and lots on (account/carry.h). */
#pragma once

#include "quota/view/resource_view.h"

/* One resource on its way through time. */
struct cycle_cursor {
    const struct account_view *account;
    struct resource_view *view;
    struct sink *closed;     /* where closed cycles go; NULL = nowhere */
    const struct zone *zone; /* NULL until a cycle needs it */
    int64_t anchor_us;       /* of the account at the instant … */
    bool restarted;          /* … by a RESTART */
};

/* A resource as it stands now. */
static inline struct cycle_cursor cycle_cursor_now(const struct account_view *account, struct resource_view *view)
{
    const struct account_status *status = &account->status;
    return (struct cycle_cursor){
        .account = account, .view = view, .anchor_us = status->anchor_us, .restarted = status->restarted};
}

/* Finds the zone; ACCOUNT_FAULT_ZONE where this server does not know it. */
enum account_fault cycle_cursor_zone(struct cycle_cursor *cursor);

/* Lets every cycle that has ended by `at_us` roll over; windows of LIMITs that no longer hold go. */
enum account_fault cycles_roll(struct cycle_cursor *cursor, int64_t at_us);

/* Begins windows at `at_us` for the LIMITs of `entitlement` (may be NULL) that have none. Where there are too many
 * windows a sleeping one goes, the one that ends first. */
enum account_fault cycles_begin(struct cycle_cursor *cursor, const struct entitlement *entitlement, int64_t at_us);

/* The same for one LIMIT that holds. */
enum account_fault cycles_begin_rule(struct cycle_cursor *cursor, const struct quota_rule *rule, int64_t at_us);

/* The same for those LIMITs that hold now and hand on what their cycles leave (ROLLOVER): their first cycle is the one
 * that runs when they come into force, whether or not anything is ever used in it. */
enum account_fault cycles_begin_rollover(struct cycle_cursor *cursor, int64_t at_us);

/* After a prorated change: windows whose allowance the rules alone would not begin again are fresh no more. */
void cycles_keep_changed(const struct cycle_cursor *cursor);

/* Closes at `at_us` every running cycle that began before, ahead of its end. */
void cycles_close_all(struct cycle_cursor *cursor, int64_t at_us);

/* The cycles that a restart leaves open, since they begin at its very instant, get the ends that the cursor's new
 * anchor gives them. */
enum account_fault cycles_anchor(struct cycle_cursor *cursor);

/* Where the account was anchored anew (RESTART) inside the cycle of this window, it begins there: what lies before is
 * another cycle. */
void cycles_cut(const struct cycle_cursor *cursor, struct window *window);

/* The place for one window more, not filled in yet. */
struct window *cycles_add_window(struct resource_view *view);

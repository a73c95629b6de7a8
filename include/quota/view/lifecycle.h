/* What time and plans have done to one resource since it was last written down: events in order, each at its instant.
 *
 *     stored windows ──▶ override ends ──▶ END is due ──▶ revision ──▶ the account moves ──▶ a grant begins ──▶ now
 *                   roll            roll          roll            roll                roll               roll
 *
 * Between two events the cycles that have ended roll over (cycles.h). At one instant cycles close first, then overrides
 * end, then the plan is revised, then the account moves, then grants begin (credits_view.h). Because every event has an
 * instant of its own, an account that is touched at each of them and one that is not read the same (lazy equals eager).
 * */
#pragma once

#include "quota/view/resource_view.h"

/* Brings the resource from what is stored to the account's instant. Closed cycles go to `closed` (NULL = nowhere). */
enum account_fault lifecycle_run(const struct account_view *account, struct resource_view *view, struct sink *closed);

/* Brings a settled resource on to the account's instant, which lies ahead, under the rules that hold now: cycles roll
 * over, grants begin, recur and end. For waits: revisions, overrides and switches to come are changes of rules. */
enum account_fault lifecycle_foresee(const struct account_view *account, struct resource_view *view);

/* Finds out which rules hold, after the plan's entry or the override has become another: merges them, and puts the
 * override's limits above the plan's. `anchor_us`: of the account then. */
void lifecycle_compose(struct resource_view *view, int64_t anchor_us);

/* The same at `at_us`, while the resource is on its way: remembers since when its RATEs are other ones. */
void lifecycle_recompose(const struct account_view *account, struct resource_view *view, int64_t anchor_us,
                         int64_t at_us);

/* The limits of the cycles that run under some rules. */
struct limits_before {
    uint32_t count;
    uint64_t periods[SLOT_WINDOWS_MAX];
    int64_t limits[SLOT_WINDOWS_MAX];
};
void lifecycle_note_limits(const struct resource_view *view, struct limits_before *before);

/* The rules are others now: where a limit was raised, thresholds that it has been lifted above may fire again. */
void lifecycle_lower_warnings(struct resource_view *view, const struct limits_before *before);

/* Backdating: units that belong to an instant that has passed, in the cycles that ran then.
 *
 *     the cycle still runs ──▶ its window, in the view              the cycle has closed ──▶ the history is corrected
 *
 * Used by refunds (units come back to where they were taken from), by reservations (units are posted to the cycle in
 * which they were held) and by QUOTA.INGEST (usage after the fact counts when it happened). What a closed cycle is
 * overdrawn by more than it was, the running one repays (REPAY). */
#pragma once

#include "quota/meter/meter.h"

/* A cycle that has closed, of one period. */
struct past_cycle {
    uint64_t period;
    struct closed_cycle closed;
};

/* The closed cycles in which `at_us` lay, one of each period, stored or just written to `changes` by the view's
 * settling; answers how many. Only LIMITs that were charged count (NULL = all). */
uint32_t past_cycles(const struct account_view *account, const struct resource_view *view, int64_t at_us,
                     const struct charged *charged, const struct sink *changes,
                     struct past_cycle found[SLOT_HISTORIES_MAX]);

/* Corrects the closed cycles of an instant by `units` used more, and adds their periods to `charged`. */
void backdate_charge(const struct account_view *account, struct resource_view *view, int64_t at_us, int64_t units,
                     struct charged *charged, struct sink *changes);

/* Makes a demand one of units that were used at `at_us`: LIMITs whose running cycle began later drop out of it, and the
 * closed cycles of that instant count the units instead (backdate_take). Rolling windows that have left it behind drop
 * out, too, all RATEs, and grants where no limit is left to lack anything. `changes`: where the
 * view's settling has written closed cycles; where the instant lies before the first one that a LIMIT keeps, those in
 * between are written, too. ACCOUNT_FAULT_AT where they may have been forgotten, or the account was not open. */
enum account_fault backdate_demand(struct demand *demand, int64_t at_us, struct sink *changes);

/* Takes what such a demand was granted, behind its meters and before its resource is emitted; of others nothing. */
void backdate_take(struct demand *demand, struct sink *changes);

/* Takes units back into the closed cycles of the instant at which they were taken; answers the most that one took. */
int64_t backdate_refund(const struct account_view *account, struct resource_view *view, int64_t units,
                        const struct taken_from *from, struct sink *changes);

/* Does this period have a cycle at the instant that is known: running, or closed and kept? And may there have been one
 * that is forgotten? If neither, the LIMIT has joined since. */
bool backdate_has_joined(const struct resource_view *view, uint64_t period, int64_t at_us, const struct sink *changes);

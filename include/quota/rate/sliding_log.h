/* Sliding log: every admitted cost with its instant; at most `limit` units in any window (now - W, now].
 *
 *              ┌────────── W ──────────┐
 *     ──x──x───┼──x────xx─────x────────┤ now          an entry exactly W old has left
 *        left  │ horizon
 *
 * Memory: entries are strictly increasing in time (units of one instant share an entry), so they pack as two
 * varints each, the distance from the entry before and the units; about five bytes an entry. The newest entry stays
 * unpacked, since it may still grow.
 *
 *     log ─▶ ┌ base_us │ newest_us │ newest_units │ units │ entries ┐
 *            │ free … │ Δt units │ Δt units │ Δt units │ … free     │
 *            └────────┴ front ───────────────────────── end ────────┘
 *
 *     state.amount   live units            state.when_us  instant of the newest entry; units that the log does not
 *                                                         have yet were taken then, and when the log has more, then
 *                                                         its newest units are given back
 *     state.rest     horizon: entries at or before it have left (dropped when something is next admitted)
 *
 * A clock that steps back appends at the newest instant, so an entry never leaves early. */
#pragma once

#include "quota/rate/algorithm.h"

/* Entries in one log: bounds memory (about 1 MB) and the walk of one decision. */
#define LOG_ENTRIES_MAX 100000

struct sliding_log;

int sliding_log_words(const struct rule *rule);
void sliding_log_settle(const struct rule *rule, struct state *state, int64_t now_us);
int64_t sliding_log_available(const struct rule *rule, const struct state *state, int64_t now_us);
int64_t sliding_log_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us);
enum fault sliding_log_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us);
int64_t sliding_log_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us);
int64_t sliding_log_deadline_us(const struct rule *rule, const struct state *state);
int64_t sliding_log_refund_taken(const struct rule *rule, struct state *state, int64_t units, int64_t taken_us,
                                 int64_t now_us);
int64_t sliding_log_used(const struct rule *rule, const struct state *state, int64_t now_us);
bool sliding_log_clamp(const struct rule *rule, struct state *state, int64_t now_us);

/* The log as the object of its algorithm's row. */
extern const struct algorithm_object sliding_log_object;

/* Makes the log agree with `state`: drops entries up to its horizon, then appends or takes back (newest first) the
 * difference in units. `log` may be NULL; the result may have moved and is NULL once empty. */
struct sliding_log *sliding_log_apply(struct sliding_log *log, const struct state *state);

/* What came at exactly `at_us` and is still there. O(entries). */
int64_t sliding_log_units_at(const struct sliding_log *log, int64_t at_us);

/* The instant of the entry that is nearest to `at_us`; `at_us` where there is none. O(entries). */
int64_t sliding_log_nearest(const struct sliding_log *log, int64_t at_us);

/* Takes up to `units` of what came at exactly `at_us` out again, wherever it stands; NULL once empty. O(entries). */
struct sliding_log *sliding_log_withdraw(struct sliding_log *log, int64_t at_us, int64_t units);

/* The state a stored log stands for; all zero for NULL. */
struct state sliding_log_state(const struct sliding_log *log);

void sliding_log_free(struct sliding_log *log);
size_t sliding_log_bytes(const struct sliding_log *log);    /* heap bytes held */
int64_t sliding_log_entries(const struct sliding_log *log); /* entries held */

/* number of entries, then (distance from the entry before, units) from the oldest on. */
void sliding_log_encode(const struct sliding_log *log, struct sink *sink);

/* Reads what encode wrote; marks the cursor bad on anything else. NULL for no entries. */
struct sliding_log *sliding_log_decode(struct cursor *cursor);

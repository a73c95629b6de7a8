/* History: the closed cycles of one LIMIT of one account, the newest HISTORY_ENTRIES_MAX entries of them.
 *
 *      oldest                                                              newest
 *     ┌──────────┬──────────┬────────────────────┬──────────┬──────────┐
 *     │ used 70  │ used 12  │ idle x 43,200      │ used 5   │ used 81  │◀─ push
 *     └──────────┴──────────┴────────────────────┴──────────┴──────────┘
 *
 * Idle cycles of one limit and revision that touch are one entry, a run: a million idle minutes take no more room than
 * one. Pushing them one by one or as one run gives the same bytes. A posting that comes late (of a reservation made in
 * a cycle that has closed since) amends the cycle it belongs to; if that one is inside a run, the run is cut around it:
 *
 *     │      idle x 10      │  ── amend the fourth ──▶  │ idle x 3 │ used 7 │ idle x 6 │
 *
 * How many cycles lie on either side needs no calendar: the nearest whole number to their share of the run's time.
 * Months begin within three days, local days within hours of where equal lengths would put them, so it is exact; where
 * a cycle was left out (a local day that does not exist) it may be one off, and the sum is still right.
 *
 * Entries stand in the order in which they closed. Where a limit went in the middle of a cycle and came back, two can
 * overlap: the newer one counts.
 *
 * In memory a history is its own encoding, numbers as varints, about 20 bytes a month; to change it is to unpack
 * at most 64 entries, change those and pack them again. That takes some microseconds, once a cycle. */
#pragma once

#include "quota/account/refund_lines.h"
#include "quota/rate/verdict.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_ENTRIES_MAX 64

/* `count` consecutive cycles, together [start, end); more than one only where all numbers but the limit are 0. */
struct closed_cycle {
    int64_t start_us, end_us;             /* start within +-INSTANT_MAX_US; end - start is 1 … INT64_MAX */
    int64_t limit;                        /* >= 0 or UNLIMITED */
    int64_t used, refunded, denied, peak; /* >= 0 */
    int64_t count;                        /* 1 … end - start */
    struct refund_lines lines;            /* of what was used: what of it can still come back */
    int64_t rolled;                       /* of the limit: units that ROLLOVER has added; >= 0 */
    int64_t revision;                     /* of the plan that granted the resource then; 0 = none did */
};

struct history;

/* Appends a cycle or an idle run; NULL = a new history; the result may have moved. It joins the newest entry where both
 * are idle, of one limit and revision, touch, and their counts fit one number. One that ends before all others goes in
 * front. The oldest entry goes when there are too many. What is no closed cycle (see the ranges above) is left out. */
struct history *history_push(struct history *history, const struct closed_cycle *cycle);

/* The newest entry in which `at_us` lies: start <= at < end. False if there is none; NULL has none. */
bool history_find(const struct history *history, int64_t at_us, struct closed_cycle *entry);

/* Rewrites used, refunded and peak of the one cycle [cycle->start_us, cycle->end_us); its limit and what was denied
 * stay, those of `cycle` and its count are not read. False, and nothing done, when no entry is or has such a cycle or a
 * number is below 0. Cutting a run can push the oldest entries out; the history may move. An amended cycle is an entry
 * of its own, even when all its numbers are 0. */
bool history_amend(struct history **history, const struct closed_cycle *cycle);

/* Entries held, a run counts as one. */
uint32_t history_count(const struct history *history);

/* The entry number `nth` from the newest (0) on; false behind the oldest. Steps over all older ones. */
bool history_nth(const struct history *history, uint32_t nth, struct closed_cycle *entry);

/* All entries at once, oldest first; how many. NULL has none. */
uint32_t history_entries(const struct history *history, struct closed_cycle entries[HISTORY_ENTRIES_MAX]);

/* The length of a closed cycle, which is never 0; in front of it, where the revision is not that of `before`, 0, 0 and
 * the revision; where ROLLOVER has added units, 0 and these. Decoding begins with cycle->revision as it was before. */
void closed_length_encode(const struct closed_cycle *cycle, int64_t before, struct sink *sink);
int64_t closed_length_decode(struct cursor *cursor, struct closed_cycle *cycle);

/* number of entries, then each from the oldest on: ±(start - end of the one before), length as above, ±limit,
 * count, and where that is 1: used, refunded, denied, peak. Equal contents give equal bytes. */
void history_encode(const struct history *history, struct sink *sink);

/* Reads what encode wrote; marks the cursor bad on anything else. NULL for no entries. */
struct history *history_decode(struct cursor *cursor);

/* Frees it; NULL is allowed. Any thread. */
void history_free(struct history *history);

/* Heap bytes held. */
size_t history_bytes(const struct history *history);

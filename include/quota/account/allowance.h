/* An allowance is the limit of one cycle as an exact integral over time, for limits that change while the cycle runs.
 *
 *     limit
 *      200            ┌──────────          PRORATE at t:   total = (100 x (t - start) + 200 x (end - t)) / length
 *      100  ──────────┘                    FULL at t:      total = 200, as if the cycle had begun with it
 *           start     t          end
 *
 * A change begins a new part. Parts that have ended are kept as one sum, so any number of changes costs four numbers,
 * and prorated changes at one instant add up to the direct change: their parts have no length.
 *
 *     a part with a limit         counts limit x time
 *     a part without this LIMIT   counts 0                      (ABSENT: the plan did not have it)
 *     an unlimited part           counts at the limit that holds now
 *     before the account began    counts at the first limit, or 0 where the LIMIT says PRORATE
 *
 * Only the total is rounded, once, half away from zero. Times are us since the cycle's start. Pure numbers. */
#pragma once

#include "quota/rate/verdict.h"

#define ABSENT INT64_C(-2) /* as a limit: the plan has no such LIMIT now */

struct allowance {
    int64_t limit;      /* of the part that runs: units, UNLIMITED or ABSENT */
    int64_t since;      /* where that part begins; 0 = with the cycle */
    int64_t past;       /* length of all ended parts that are counted in the sum below */
    int64_t past_units; /* the sum of their limit x time / length: whole units … */
    int64_t past_rest;  /* … and the rest, 0 … length - 1, in unit x us */
};

/* The whole cycle at one limit. `lead`: time in it before the account began, which counts 0 where `cut`. */
struct allowance allowance_begin(int64_t limit, int64_t lead, bool cut);

/* Of a LIMIT that the account gets at `at` for the first time: everything before counts 0. */
struct allowance allowance_join(int64_t limit, int64_t at);

/* A prorated change: `limit` holds from `at` on. What lies before the running part's beginning counts as that. */
void allowance_change(struct allowance *allowance, int64_t limit, int64_t at, int64_t length);

/* The cycle's limit: units >= 0, UNLIMITED, or 0 where the LIMIT is ABSENT. */
int64_t allowance_total(const struct allowance *allowance, int64_t length);

/* Did the cycle have one limit all along, and the account from its start on? */
static inline bool allowance_is_plain(const struct allowance *allowance)
{
    return allowance->since == 0 && allowance->past == 0 && allowance->past_units == 0 && allowance->past_rest == 0;
}

/* Funding: which sources the units of one consumption came from, in the order in which they were drawn.
 *
 *     LIMIT 100 BURST 20%, grants #3 and #7        125 units    limits 100 │ #3 10 │ #7 10 │ limits 5
 *     a refund of 30 of them: the last 30          ────────────────────────────┤ #3 5 │ #7 10 │ limits 5 … │
 *
 *     bytes   grant's number, or 0 for the limits │ units │ …        no bytes = all units came from the limits
 *
 * Records and reservations keep it, so that units go back to where they came from, the last drawn first. */
#pragma once

#include "quota/base/buffer.h"

#define FUNDED_BY_LIMITS 0         /* in the place of a grant's number */
#define FUNDED_BELOW     INT64_MAX /* likewise, of an account with members: credits of the member, or of one below it */

struct funding_part {
    int64_t grant; /* its number, or FUNDED_BY_LIMITS, FUNDED_BELOW */
    int64_t units; /* >= 1 */
};

/* Appends a part; none where there are no units. */
void funding_add(struct sink *funding, int64_t grant, int64_t units);

/* Reads the next part; false at the end, and where the bytes are not sound. */
bool funding_next(struct cursor *cursor, struct funding_part *part);

/* Is it the funding of so many units: nothing, or parts that add up to them? */
bool funding_fits(struct bytes funding, int64_t units);

/* How many of `units` the limits gave; and how many credits of accounts below paid for: those are not counted here. */
int64_t funding_of_limits(struct bytes funding, int64_t units);
int64_t funding_below(struct bytes funding);

static inline bool funded_by_grant(const struct funding_part *part)
{
    return part->grant != FUNDED_BY_LIMITS && part->grant != FUNDED_BELOW;
}

/* Appends to `cut` what paid for units from … to - 1 (counted from 0, the first drawn) of `units`. */
void funding_cut(struct bytes funding, int64_t units, int64_t from, int64_t to, struct sink *cut);

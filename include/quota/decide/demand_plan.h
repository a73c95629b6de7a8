/* What one demand has, and its plan: which of its units the limits take, and which sources pay for the rest.
 *
 *     n units      CYCLE, ROLLING  give what the tightest has within its number     ┐  together all n,
 *     of a demand  CREDITS         pay for the rest, in burn order                  │  or the demand
 *                  CYCLE           gives beyond its number: BURST, GRACE            │  is denied
 *                  THROTTLE        admits what is left at its rate                  │
 *                  CYCLE           gives beyond that: OVERAGE                       ┘
 *
 * CREDITS FIRST draws on credits before the limits. RATE and CONCURRENT pay for nothing: each of them has to admit all
 * n for itself (admission.h). */
#pragma once

#include "quota/meter/meter.h"

/* Does the position bound by what a cycle or window leaves? CREDITS fund instead, and CONCURRENT counts holds. */
static inline bool position_is_limit(const struct position *position)
{
    return !position->meter->funds && !position->meter->counts_all;
}

/* Has the demand a CYCLE or ROLLING; and has it CREDITS, whose position is the last one then? */
bool demand_has_limits(const struct demand *demand);
bool demand_has_credits(const struct demand *demand);

/* Do grants alone pay, whatever happens? The resource has CREDITS and no LIMIT, and its overage is bounded. */
bool demand_bound_by_credits(const struct demand *demand);

/* Units left under the tightest CYCLE and ROLLING of a demand; UNLIMITED. */
int64_t demand_available(const struct demand *demand);

/* The same without OVERAGE: what there is before the slow lane; and without BURST and GRACE as well: what the limits
 * give before grants pay. */
int64_t demand_available_before_lane(const struct demand *demand);
int64_t demand_available_within(const struct demand *demand);

/* Units that its own credits could pay for; UNLIMITED. */
int64_t demand_funds(const struct demand *demand);

/* Units left under the limits, and those that sources could pay for, also below (decide/below.h); UNLIMITED. */
int64_t demand_remaining(const struct demand *demand);

/* Makes the plan for so many units: `limited`, `throttled`, `from_below`, and `funded` of each position. Answers how
 * many of them find a place. */
int64_t demand_plan(struct demand *demand, int64_t units);

/* Can every position take what the plan gives it? */
enum account_fault demand_check(const struct demand *demand);

/* Which sources paid for the units of a demand that was taken, in the order in which they were drawn (funding.h); no
 * bytes where the limits did alone. Stands in the arena of its account's view. */
struct bytes demand_funding(const struct demand *demand);

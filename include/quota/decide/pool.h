/* A pool's LIMIT shared among its members: what one of them may use, and when shares are made.
 *
 *     first charge of a cycle ─▶ shares of all members that there are (shares.h)         CHANGE_SHARES
 *     a member without one    ─▶ its part, by weight, of what is unused by then          CHANGE_MEMBER_SHARE
 *
 * A decision looks at the member's own share alone. Only where shares are not made yet all members are looked at; a
 * denial makes them, too, so that this happens once in a cycle. */
#pragma once

#include "quota/decide/account_decision.h"
#include "quota/meter/meter.h"

/* What a member may use of a settled resource of the pool in the running cycle. */
struct pool_share {
    bool is_shared; /* false = the LIMIT bounds all members together, and nothing else */
    bool divided;   /* shares are made … */
    bool assigned;  /* … and the member has one */
    struct division division;
    struct window *window; /* of the LIMIT */
    int64_t share, used;   /* used: and held */
};

/* Finds it; the view stays as it is. */
void pool_share_find(const struct account_view *pool, struct resource_view *view, struct bytes member,
                     struct pool_share *found);

/* What is left to the member after `more` units (below 0: fewer) of the cycle that ran at `at_us`, where that is less
 * than `remaining`: of its share, with BURST, GRACE and OVERAGE, and of the pool's credits. */
int64_t pool_share_remaining(struct account_view *pool, struct resource_view *view, struct bytes member, int64_t more,
                             int64_t at_us, int64_t remaining);

/* Writes down that shares are made, or the one of this member, where that is new. The resource has a slot. */
void pool_share_emit(const struct pool_share *found, const struct resource_view *view, int64_t number,
                     struct sink *changes);

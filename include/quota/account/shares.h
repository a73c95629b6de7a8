/* Shares: how the members of a pool divide its longest LIMIT, in whole units.
 *
 *     EQUAL   units x weight / all weights            120 for three: 40 │ 40 │ 40
 *     FAIR    what each wants, as far as it is no more than its part of what is left; those that want more divide the
 *             rest by weight; units that are wanted by none are spread by weight
 *                                                     120, wants all │ 50 │ 10: 60 │ 50 │ 10
 *
 * A part is rounded down; what that leaves goes one unit each to the largest fractions, then in the order of joining.
 * The sum is exactly the units. Pure numbers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Part of the stored encoding. */
enum share_how {
    SHARE_FIRST = 0, /* nothing is divided: who comes first gets it */
    SHARE_EQUAL = 1,
    SHARE_FAIR = 2,
    SHARE_HOWS_COUNT,
};

#define WANTS_ALL INT64_MAX /* without bound */

/* One member, in the order of joining. */
struct share_claim {
    uint32_t weight; /* >= 1 */
    int64_t want;    /* FAIR: units >= 0, or WANTS_ALL */
    int64_t share;   /* set by shares_divide */
};

/* Divides `units`, 0 or more, by EQUAL or FAIR. O(n log n). */
void shares_divide(int64_t units, enum share_how how, struct share_claim *claims, uint32_t count);

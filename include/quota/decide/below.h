/* Credits of a member pay for what the accounts above it lack.
 *
 *     {acme}      pool     limit 1000, 4 left      of 10 units 4 are counted here, and 6 are not
 *        ▲
 *     {acme}:ann  member   limit 600, 90 left      4 are counted here
 *                          credits 50, 44 left     6 are paid for
 *
 * They come last: behind BURST, GRACE, the pool's own credits, THROTTLE and OVERAGE, and in front of FORCE. In a tree
 * of several levels the account next below pays first, and those below it for what it cannot. RATEs and CONCURRENT have
 * to admit all units at every level. */
#pragma once

#include "quota/decide/admission.h"

/* Finds out what credits of the accounts below could pay for at each level above the item's own account: `lower` and
 * `below` of the demands. */
void below_find(const struct admission *admission, const struct admission_item *item);

/* `below` of a demand, as credits are now; and units of a demand that so many of a lower one stand for: credits pay for
 * whole amounts. */
void below_left(struct demand *demand);
int64_t below_units(const struct demand *demand, const struct demand *lower, int64_t units);

/* An item has been admitted: lets credits pay for what the levels above lack. */
enum account_fault below_settle(const struct admission *admission, const struct admission_item *item);

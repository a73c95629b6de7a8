/* Membership: what an account above counts of the account below it, its member.
 *
 *     charge of a member ─▶ membership_join   the member's number; one that is new, or had made room, joins
 *                        └▶ membership_use    + units in the cycle of the longest LIMIT that ran at that instant
 *     refund of a member ─▶ membership_left   so much it has used there: no more comes back
 *
 * Units are counted once for each resource of the account above, however they were paid for there. */
#pragma once

#include "quota/decide/account_decision.h"

/* The account of this name becomes a member where it is none. In a pool that is full the one that has used nothing for
 * the longest time makes room, if that is a whole cycle of the pool's longest LIMIT; else ACCOUNT_FAULT_MEMBERS. */
enum account_fault membership_join(struct account_view *pool, struct bytes name, struct sink *changes, int64_t *number);

/* The member has used `units` more (or, below 0, fewer) at `at_us` of a resource that has a slot. `changes`: those that
 * have closed cycles of it, too. */
void membership_use(const struct account_view *pool, const struct resource_view *view, int64_t number, int64_t units,
                    int64_t at_us, struct sink *changes);

/* What the member of this name has used in the cycle that ran at `at_us`; 0 of one that is none. */
int64_t membership_used(const struct account_view *pool, const struct resource_view *view, struct bytes name,
                        int64_t at_us, const struct sink *changes);

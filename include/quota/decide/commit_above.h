/* How a reservation ends at the accounts above: what they hold of it ends as the reservation itself does.
 *
 *     an account above   holds it ─────▶ posts and releases its own parts, each as the item is posted here
 *                        does not ─────▶ counts what is posted now: it let go of it, or this account is a copy
 *
 * It has no record of the reservation: the account that made it remembers, and names the levels (levels.h). */
#pragma once

#include "quota/decide/resolution.h"

/* Ends it at every account above that is there, of those that the reservation names, and counts what its member has
 * used. What is left of each part of `resolution` becomes what the tightest of all accounts leaves; where they were
 * posted is added to its levels. */
enum account_fault commit_above(const struct resolution *resolution);

/* Lets what they hold of the reservation end at this instant; `above`: their views. */
enum account_fault extend_above(const struct lineage *lineage, struct account_view *above, struct bytes id,
                                const struct stored_hold *stored, int64_t expires_us);

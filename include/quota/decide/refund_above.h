/* Refunds at the accounts above: units that come back to an account come back to those above it, too.
 *
 *     OF id ─▶ the levels that the record names: to where each was charged    ┐ at most what it counts as used by this
 *     no OF ─▶ the parents of now: to the running cycles                      ┘ account, its member, in that cycle
 *              the same amount at all of them: no more than the least used one has used
 *
 * An account above that is not there any more is skipped. What the nearest one does not count as used by the account
 * itself does not come back further up, either. */
#pragma once

#include "quota/decide/refund.h"

/* What came back of one resource to the account itself. */
struct returned_item {
    uint32_t slot;
    int64_t amount;
    struct refunded *result; /* the answer: made to be about all accounts */
    int64_t most;            /* of the amount: what the accounts above have counted so far; of one without a name
                              * refund_above_newest_most says it first */
    int64_t credits;         /* amounts that credits could pay for, of the account and those above it so far */
    bool known;              /* does the account's own plan know the resource? */
    struct bytes counting;   /* the resource that the units are those of: this one, or the one that it is counted AS */
};

/* How much of an amount may come back without a name to the account, as far as those above it count it. */
enum account_fault refund_above_newest_most(const struct account_view *account, const struct refund_request *request,
                                            struct account_view *views, int64_t *most);

/* Gives units back at every account of the lineage, whose views have begun. */
enum account_fault refund_above(const struct account_view *account, const struct refund_request *request,
                                struct account_view *views, struct returned_item *items, uint32_t count);

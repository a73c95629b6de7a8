/* Billing of one resource: which LIMIT is billed, and how its bill (account/bill.h) follows prices that change.
 *
 *     a revision, an override   ──▶ another price: for cycles that begin from then on
 *     the account moves         ──▶ a cut: the line of the running cycle ends, the next one begins
 *
 * A resource that never had a PRICE has no bill, and pays nothing for any of this. */
#pragma once

#include "quota/view/resource_view.h"

/* What is billed of a resource at one moment. */
struct billing {
    uint64_t period;     /* of the LIMIT that is billed; BILL_NO_PERIOD = there is none */
    struct bytes price;  /* empty = nothing is billed */
    struct bill_now now; /* what its running cycle allows and counts */
};

/* What is billed of the resource under the rules that hold. */
struct billing billing_of(const struct resource_view *view);

/* The rules have become others at `at_us`: until then `before` was billed. */
void billing_follow(const struct account_view *account, struct resource_view *view, const struct billing *before,
                    enum segment_how how, int64_t at_us);

/* Credits have served units at `at_us`, or take them back (< 0). */
void billing_credit(const struct account_view *account, struct resource_view *view, int64_t at_us, int64_t units);

/* A cycle of the resource counts units of `shift->at_us` that come or go late. */
void billing_shift(const struct account_view *account, struct resource_view *view, const struct bill_shift *shift);

/* The bill as it is now, with a segment in any case. False where nothing was ever billed. */
bool billing_read(const struct resource_view *view, struct bill *bill);

/* Writes down what is not stored of it. The resource has its slot. */
void billing_emit(struct resource_view *view, struct sink *changes);

/* The verdict of an item, and how long until it is admitted.
 *
 *     positions of all its demands ─▶ fold ─▶ the rule that decides   denied: the longest wait; granted: the least left
 *                                             │
 *                 denied, and another rule refuses by then ─▶ it waits for that one   (grace passes, a cycle has less)
 *                 denied, and credits or a slow lane may pay ─▶ step by step          (foresight.h)
 *
 * The limits of a demand, its credits and its slow lane pay together, so they are one rule, the pot: which of them is
 * shown is decided here. */
#pragma once

#include "quota/decide/admission.h"

/* The verdict of an item: `granted` in amounts, all else in units; times from the instants that count. */
void admission_verdict(const struct admission *admission, const struct admission_item *item, struct verdict *verdict);

/* The verdicts of a batch (ALL) that is denied: the client waits for the longest of them, and tries all of it again. An
 * item that would refuse by then, since its grace has passed meanwhile, waits longer. */
void admission_align_waits(const struct admission *admission, const struct admission_item *items, uint32_t count,
                           struct verdict *verdicts);

/* How many units a demand is judged by: those that were wanted; UPTO wants one amount at least; 0 = it was granted, or
 * forced. */
int64_t admission_units(const struct admission *admission, const struct demand *demand);

/* How long until the CYCLEs and ROLLINGs of a demand admit so many units, if only time goes on; 0 = now. */
int64_t demand_limits_wait_us(const struct demand *demand, int64_t units);

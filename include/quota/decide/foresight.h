/* Foresight: when would a denied request be admitted, if only time goes on?
 *
 *     now ── a cycle ends ── a grant begins ── it ends ── a reservation ends ──▶ looked at one after another, at most
 *      │                          │                                              64 of them; each as it will be then
 *      denied                     admitted: the wait
 *
 * Limits alone know their waits themselves (meter.h). Credits come and go beside them, so the account is looked at as
 * it will be at the next change of its credits, or when the limits will admit what the credits of now leave over. */
#pragma once

#include "quota/decide/admission.h"

#define CHANGES_AHEAD_MAX 64

/* The first wait of at least `after_us` after which these demands are all admitted; NEVER_US. In
 * microseconds, and whole milliseconds, as clients wait: a moment that is shorter may pass unused. Where more changes
 * come the last one's instant: early perhaps, never late. */
int64_t foresee_wait_us(const struct admission *admission, const struct demand *demands, uint32_t count,
                        int64_t after_us);

/* GCRA, the generic cell rate algorithm: one instant per key, exact.
 *
 *     emission interval T = period / limit        tolerance = capacity x T
 *
 *         now                       TAT                  TAT + cost x T
 *     ─────┼─────────────────────────┼───────────────────────┼──────────────▶ time
 *          │◀────── debt ───────────▶│◀──────  cost x T  ───▶│
 *          │◀───────────────── tolerance ────────────────────────▶│     fits: admitted, TAT moves right
 *
 * TAT is the theoretical arrival time: the instant at which everything admitted so far has been paid for.
 * Admitted iff max(TAT, now) + cost x T - now <= tolerance.
 *
 * Exactness: T is rarely a whole number of us. With the rate in lowest terms (rate_units every rate_us),
 * 1 us = rate_units ticks and T = rate_us ticks, so TAT = when_us + amount/rate_units needs no rounding, ever.
 *
 *     state.when_us  whole us of TAT        state.amount  its fraction, 0 … rate_units - 1        rest unused
 *
 * Source: ITU-T I.371 (2004) annex A, virtual scheduling; ATM Forum TM 4.1. */
#pragma once

#include "quota/rate/rule.h"

int gcra_words(const struct rule *rule);
void gcra_settle(const struct rule *rule, struct state *state, int64_t now_us);
int64_t gcra_available(const struct rule *rule, const struct state *state, int64_t now_us);
int64_t gcra_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us);
enum fault gcra_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us);
int64_t gcra_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us);
int64_t gcra_deadline_us(const struct rule *rule, const struct state *state);
bool gcra_sane(const struct rule *rule, const struct state *state);
int64_t gcra_used(const struct rule *rule, const struct state *state, int64_t now_us);
void gcra_restate(const struct rule *before, const struct rule *after, struct state *state);

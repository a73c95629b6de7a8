/* One GCRA rule, decided in one step: what most keys have.
 *
 *     stored TAT ─▶ wait 0? ─┬ yes ─▶ charged: the new TAT is the one effect
 *                            └ no ──▶ denied: no effect
 *
 * The general decision (limiter.h) does the same by way of an evaluation, which any number of rules of any algorithm
 * share. Both have the same verdict and effects: tests and fuzzers compare them (limiter.c). */
#pragma once

#include "quota/rate/limiter.h"

/* Decides as limiter_decide. False, and nothing done, where the key has more than this one rule (other rules, a block,
 * places that are taken), or the request wants more than all of its cost at once. */
bool one_gcra_decide(const struct limiter *limiter, const struct rule *rules, uint32_t rules_count,
                     const struct limiter_request *request, struct decision *decision);

/* Sliding window counter: two counted windows stand for one that slides, with exact weights.
 *
 *            previous            current
 *     |───────────────────|───────────────────|
 *               ◀──────── W ────────▶ now
 *               │ still   │ elapsed e │
 *
 *     estimate = current + previous x (W - e) / W            admitted iff estimate + cost <= limit
 *
 * compared as whole numbers, previous x (W - e) + (current + cost) x W <= limit x W: no floor, no rounding.
 * Windows lie on the epoch; a clock that steps back stays in the newest window, at its beginning.
 *
 *     state.when_us  start of the current window    state.amount  units in it    state.rest  units in the one before
 *
 * Source: the approximation published by Cloudflare (2017, "How we built rate limiting"), there with floats. */
#pragma once

#include "quota/rate/rule.h"

int sliding_window_words(const struct rule *rule);
void sliding_window_settle(const struct rule *rule, struct state *state, int64_t now_us);
int64_t sliding_window_available(const struct rule *rule, const struct state *state, int64_t now_us);
int64_t sliding_window_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us);
enum fault sliding_window_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us);
int64_t sliding_window_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us);
int64_t sliding_window_deadline_us(const struct rule *rule, const struct state *state);
int64_t sliding_window_refund_taken(const struct rule *rule, struct state *state, int64_t units, int64_t taken_us,
                                    int64_t now_us);
int64_t sliding_window_used(const struct rule *rule, const struct state *state, int64_t now_us);
bool sliding_window_clamp(const struct rule *rule, struct state *state, int64_t now_us);

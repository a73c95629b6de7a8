/* Fixed window: at most `limit` units in each window of `period`; the count starts again at the boundary.
 *
 *     on the epoch (default)                      FIRST: from the first unit
 *     |── W ──|── W ──|── W ──|                        |── W ──|   |── W ──|
 *     0       W      2W      3W   multiples of W       u           u
 *
 * Windows are half-open [start, start + W): the boundary instant belongs to the new one. A clock that steps back
 * stays in the newest window it has seen.
 *
 *     state.when_us  start of the window        state.amount  units used in it        rest unused */
#pragma once

#include "quota/rate/rule.h"

int fixed_window_words(const struct rule *rule);
void fixed_window_settle(const struct rule *rule, struct state *state, int64_t now_us);
int64_t fixed_window_available(const struct rule *rule, const struct state *state, int64_t now_us);
int64_t fixed_window_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us);
enum fault fixed_window_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us);
int64_t fixed_window_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us);
int64_t fixed_window_deadline_us(const struct rule *rule, const struct state *state);
bool fixed_window_sane(const struct rule *rule, const struct state *state);
int64_t fixed_window_refund_taken(const struct rule *rule, struct state *state, int64_t units, int64_t taken_us,
                                  int64_t now_us);
int64_t fixed_window_used(const struct rule *rule, const struct state *state, int64_t now_us);
bool fixed_window_clamp(const struct rule *rule, struct state *state, int64_t now_us);

/* A level that runs off at an exact rate: the one piece of arithmetic under every bucket.
 *
 *     units ▲
 *           │╲        drains rate_units every rate_us, to the very fraction
 *       rise│ ╲    ╱╲
 *           │  ╲  ╱  ╲
 *           │   ╲╱    ╲______
 *           └────────────────▶ time
 *
 *     state.when_us  the instant the level was last looked at; never moves back, so a clock that
 *                    steps back drains nothing and nothing is drained twice
 *     state.amount   whole units        state.rest  the fraction, in 1/rate_us of a unit (0 … rate_us - 1)
 *
 * A leaky bucket's level is its water; a token bucket's level is what is missing to be full. */
#pragma once

#include "quota/base/checked.h"
#include "quota/rate/rule.h"

#define LEVEL_WORDS 3

/* Lets the level run off until now (or keeps it, if the clock stepped back). */
void level_drain(const struct rule *rule, struct state *state, int64_t now_us);

/* Whole units that fit between the level and `capacity`. */
int64_t level_room(const struct rule *rule, const struct state *state, int64_t capacity);

/* Time from now until a drained level is at most `target` units; NEVER_US if target < 0. */
int64_t level_wait_us(const struct rule *rule, const struct state *state, wide target, int64_t now_us);

/* Raises the level; FAULT_OVERFLOW (state untouched) if it or the instant it ends would not fit. */
enum fault level_raise(const struct rule *rule, struct state *state, int64_t units);

/* Lowers the level by up to `units`, returns how many there were (a begun unit counts as one). */
int64_t level_lower(const struct rule *rule, struct state *state, int64_t units);

/* The instant at which nothing is left; 0 when nothing is. */
int64_t level_end_us(const struct rule *rule, const struct state *state);

/* The level in whole units, a begun one counted. */
int64_t level_units(const struct state *state);

/* Could this module have written that state? (Bytes from outside may hold any numbers.) */
bool level_sane(const struct rule *rule, const struct state *state);

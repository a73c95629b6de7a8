/* Takeover: what a rule that changes on a live key inherits from the rule that stood there before.
 *
 *     stored   GCRA 10 1d   7 owed ──────────────┐ by place      FIXED 100 1h   42 counted ──┐ by algorithm and period
 *                                                ▼                                           ▼
 *     rules    TOKEN 1000 1m   7 missing of 1000                 FIXED 50 1h    42 counted
 *
 * What passes is what was used, in whole units: what is still owed (GCRA, TOKEN, LEAKY, QUEUE) or counted (windows,
 * LOG) at the instant of the change, rounded up, and no more than the new capacity. So an upgrade serves a customer at
 * once, whatever the debt was in time, and a change back and forth between equal capacities gives no unit away.
 *
 * An identical rule goes on exactly where it was. So does a window of the same algorithm and period with another limit.
 * Unlimited rules and rules of 0 keep no state: they neither inherit nor leave anything. */
#pragma once

#include "quota/rate/rule_set.h"

/* What has to be stored of a state that was taken over. */
enum takeover {
    TAKEOVER_NOTHING = 0, /* nothing was owed: the new rule begins fresh */
    TAKEOVER_STORED = 1,  /* the stored numbers are valid under the new rule as they are */
    TAKEOVER_STATE = 2,   /* the state is another one than the stored numbers say */
};

/* Rule sets that are in force at different times, as a policy's: a stored rule of one of them that is not in force is
 * no predecessor by place, since it will come back. */
struct rule_parts {
    const struct rule_set *first;
    const struct rule_set *const *others;
    uint32_t others_count;
};

/* For each new rule its predecessor among the stored ones, or -1: first by algorithm and period, the same place
 * preferred, those that decide before those that sleep; then by place, among those that decide, or where none of its
 * kind does (slow lanes are one, all others are the other) among those that sleep. No stored rule has two successors.
 * `parts` may be NULL. */
void takeover_match(const struct rule_set *stored, const struct rule *rules, uint32_t count,
                    const struct rule_parts *parts, int8_t from[RULES_MAX]);

/* Turns the stored state of `before` into one of `after`, which took its place at `at_us`. `keeps_debt`: between two
 * GCRA rules what is owed stays what it is in time, as redis-cell has it. Answers flags of enum takeover. */
unsigned takeover_state(const struct rule *before, const struct rule *after, bool keeps_debt, struct state *state,
                        int64_t at_us);

/* May the stored state of one rule be copied, as it is, to the other? */
bool takeover_may_copy(const struct rule *before, const struct rule *after);

/* A rule is what is allowed: an algorithm, a rate kept as the exact fraction limit/period, a capacity.
 *
 *     TOKEN 10 1s BURST 25 INITIAL 5
 *     │     │  │        │          └ initial    units in a bucket that is still unused
 *     │     │  │        └ capacity              units that fit at once (default: limit; QUEUE: BURST + 1)
 *     │     └──┴ limit / period_us              the rate; limit -1 = unlimited, 0 = none
 *     └ algorithm
 *
 * Rules come with every call and are kept beside the state they led to, so RL.INFO and RL.REFUND know them. */
#pragma once

#include "quota/rate/verdict.h"
#include <stdbool.h>
#include <stdint.h>

/* Rules on one key. Bounds the work of one call and the decision's size on the stack. */
#define RULES_MAX 32

/* The numbers are part of the stored encoding: append, never renumber. */
enum rule_algorithm {
    RULE_GCRA = 0,
    RULE_TOKEN = 1,
    RULE_LEAKY = 2,
    RULE_QUEUE = 3,
    RULE_FIXED = 4,
    RULE_SLIDING = 5,
    RULE_LOG = 6,
    RULE_ALGORITHMS_COUNT,
};

/* Likewise part of the stored encoding. */
enum rule_flag {
    RULE_INTERVAL = 1, /* TOKEN: refill `limit` units after each whole period, nothing in between */
    RULE_FIRST = 2,    /* FIXED: the window begins with its first unit, not on the epoch */
    RULE_LANE = 4,     /* a slow lane (THROTTLE): what one has used passes to another one alone */
};
#define RULE_FLAGS_KNOWN (RULE_INTERVAL | RULE_FIRST | RULE_LANE)

struct rule {
    int64_t limit;      /* units per period; UNLIMITED; 0 = none */
    int64_t period_us;  /* 1 … DURATION_MAX_US */
    int64_t capacity;   /* units at once; limit when not given */
    int64_t initial;    /* TOKEN: units in an unused bucket; capacity when not given */
    int64_t rate_units; /* limit/period_us in lowest terms, made by rule_complete: */
    int64_t rate_us;    /*     rate_units every rate_us; 0/0 where there is no rate */
    uint32_t algorithm; /* enum rule_algorithm */
    uint32_t flags;     /* enum rule_flag */
};
_Static_assert(sizeof(struct rule) == 56, "no padding: interned rules are compared as bytes");

/* What a rule remembers. All zero (and no log) = nothing happened yet; each algorithm says what its numbers mean. */
struct state {
    int64_t when_us;
    int64_t amount;
    int64_t rest;
    const struct sliding_log *log; /* RULE_LOG only, borrowed */
    bool fresh;                    /* nothing is stored (or nothing that still matters) */
};

/* NULL when the rule can be used, else the reason it cannot, as the end of an error text. */
const char *rule_fault(const struct rule *rule);

/* Fills in the reduced rate. Call once on a rule without fault. */
void rule_complete(struct rule *rule);

/* Same allowance? (The derived rate follows from the rest.) */
bool rule_equal(const struct rule *left, const struct rule *right);

/* A number that differs, but for chance, where rules differ: a caller that has kept one sees that it has changed.
 * shape_with mixes one number more into a shape, shape_of has those of a record that is made of such numbers alone. */
static inline uint64_t shape_with(uint64_t shape, int64_t number)
{
    return (shape ^ (uint64_t)number) * UINT64_C(0x9e3779b97f4a7c15) + 1;
}
static inline uint64_t shape_of(const int64_t *numbers, size_t bytes)
{
    uint64_t shape = 0;
    for (size_t i = 0; i < bytes / sizeof(*numbers); i++) shape = shape_with(shape, numbers[i]);
    return shape;
}
static inline uint64_t rule_shape(const struct rule *rule)
{
    uint64_t shape = shape_with((uint64_t)rule->algorithm << 8 | rule->flags, rule->limit);
    return shape_with(shape_with(shape_with(shape, rule->period_us), rule->capacity), rule->initial);
}

/* True where a rule keeps no state: it admits everything (UNLIMITED) or nothing (0). */
static inline bool rule_is_constant(const struct rule *rule)
{
    return rule->limit <= 0;
}

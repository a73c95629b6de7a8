/* The verdict: one answer, the same six facts for every limiter and every quota.
 *
 *     granted │ limit │ remaining │ wait │ reset │ rule
 *
 * Inside, times are microseconds; the reply rounds them (waits up). A denial is a verdict, not an error. */
#pragma once

#include "quota/time/duration.h"
#include <stdbool.h>
#include <stdint.h>

#define UNLIMITED INT64_C(-1) /* as a limit, a capacity and what remains of it */

/* Rules of several origins decide on one key: `rule` of a verdict is 100 x part + index. Part 0 are the rules of the
 * call or of the policy itself; of a policy 1, 2, … are its schedules in order and 99 is the subject's override. */
#define VERDICT_PART          100
#define VERDICT_PART_OVERRIDE 99

struct verdict {
    int64_t granted;   /* units admitted; 0 = denied */
    int64_t limit;     /* capacity of the deciding rule, UNLIMITED = no bound */
    int64_t remaining; /* whole units available now under that rule, >= 0 or UNLIMITED */
    int64_t wait_us;   /* denied: until this very cost fits, NEVER_US = never; granted: until the caller may act */
    int64_t reset_us;  /* until the deciding rule is fully replenished */
    int32_t rule;      /* the deciding rule: VERDICT_PART x part + index; -1 where no rule decided (blocks, lists) */
};

static inline bool verdict_equal(const struct verdict *left, const struct verdict *right)
{
    return left->granted == right->granted && left->limit == right->limit && left->remaining == right->remaining &&
           left->wait_us == right->wait_us && left->reset_us == right->reset_us && left->rule == right->rule;
}

/* NEVER_US is the longest of all waits. */
static inline bool wait_is_longer(int64_t left_us, int64_t right_us)
{
    if (right_us == NEVER_US) return false;
    return left_us == NEVER_US || left_us > right_us;
}

/* UNLIMITED is the largest of all amounts. */
static inline bool amount_is_smaller(int64_t left, int64_t right)
{
    if (left == UNLIMITED) return false;
    return right == UNLIMITED || left < right;
}

/* Of so many units those that there are. */
static inline int64_t amount_min(int64_t units, int64_t available)
{
    return amount_is_smaller(available, units) ? available : units;
}

/* Why nothing could be decided at all; the module turns each into an error text. */
enum fault {
    FAULT_NONE,
    FAULT_OVERFLOW, /* the new state would not fit its numbers */
    FAULT_BOUND,    /* the log of a rule is full (LIMITED) */
    FAULT_FULL,     /* a table has as many subjects as it may (LIMITED) */
};

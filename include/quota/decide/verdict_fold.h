/* Which of several rules a verdict shows: rules are folded in one after another, and their order does not matter.
 *
 *     granted   the rule with the least left        ┐  among equals that with the lowest number;
 *     denied    the rule with the longest wait      ┘  a denial outweighs every grant */
#pragma once

#include "quota/base/checked.h"
#include "quota/rate/verdict.h"

/* Zeros = no rule yet. */
struct verdict_fold {
    bool denied, begun;
    int64_t delay_us; /* granted: the longest time to wait before acting */
    struct verdict verdict;
};

/* One rule more, which denies or grants. */
static inline void verdict_fold_add(struct verdict_fold *fold, bool denies, const struct verdict *verdict)
{
    bool decides = !fold->begun || (denies && !fold->denied);
    if (!decides && denies == fold->denied) {
        const struct verdict *before = &fold->verdict;
        bool more = denies ? wait_is_longer(verdict->wait_us, before->wait_us)
                           : amount_is_smaller(verdict->remaining, before->remaining);
        bool less = denies ? wait_is_longer(before->wait_us, verdict->wait_us)
                           : amount_is_smaller(before->remaining, verdict->remaining);
        decides = more || (!less && verdict->rule < before->rule);
    }
    fold->begun = true;
    fold->denied = fold->denied || denies;
    fold->delay_us = max_i64(fold->delay_us, verdict->wait_us);
    if (decides) fold->verdict = *verdict;
}

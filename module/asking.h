/* Asking a rate-limit key: what RL.ALLOW and RL.MALLOW share, whether the rules stand in the call or in a policy.
 *
 *     rules in the call ──────────────────────────────┐
 *     POLICY name ─▶ catalogue ─▶ policy_choose ─┬ rules ─▶ limiter_decide ─▶ decision
 *                                                ├ permit ─▶ granted, nothing asked        rule -1
 *                                                └ refuse ─▶ denied until it ends          rule -1
 *
 * A policy in shadow is decided and charged as any other, but nothing it denies is refused. */
#pragma once

#include "argument.h"
#include "quota/rate/limiter.h"
#include "quota/rate/policy.h"

struct asking {
    struct rules_argument *rules; /* in the call, or copied from the policy */
    struct policy_choice choice;  /* CHOICE_RULES without a policy too */
};

/* Finds out which rules decide. `policy` of size 0 = those of the call. False when the client has its error. */
bool asking_begin_or_reply(RedisModuleCtx *ctx, struct rules_argument *rules, struct bytes policy, struct bytes subject,
                           struct bytes address, int64_t now_us, struct asking *asking);

/* Decides against a limiter; as limiter_decide, lists and shadow included. */
void asking_decide(const struct asking *asking, const struct limiter *limiter, struct limiter_request ask,
                   struct decision *decision);

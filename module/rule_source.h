/* Where the rules of RL.ALLOW and RL.MALLOW come from: the call itself or a policy.
 *
 *     rules in the call ──────────────────────────────┐
 *     POLICY name ─▶ configuration ─▶ policy_choose ─┬ rules ─▶ limiter_decide ─▶ decision
 *                                                ├ permit ─▶ granted, nothing is read       rule -1
 *                                                └ refuse ─▶ denied until it ends           rule -1
 *
 * A policy in shadow is decided and charged as any other, but nothing it denies is refused. */
#pragma once

#include "argument.h"
#include "metrics.h"
#include "quota/rate/limiter.h"
#include "quota/rate/policy.h"

struct rule_source {
    struct rules_argument *rules; /* in the call, or copied from the policy */
    struct policy_choice choice;  /* CHOICE_RULES without a policy too */
};

/* Finds out which rules decide. `policy` of size 0 = those of the call; `subject` and
 * `address` without data were not given, an empty one is an error. False when the client has its error. */
bool rule_source_find_or_reply(RedisModuleCtx *ctx, struct rules_argument *rules, struct bytes policy,
                               struct bytes subject, struct bytes address, int64_t now_us, struct rule_source *source);

/* The same for arguments that were found valid before. False where the policy is gone by now. */
bool rule_source_choose(struct rules_argument *rules, struct bytes policy, struct bytes subject, struct bytes address,
                        int64_t now_us, struct rule_source *source);

/* Puts the costs of a call (COST) into its request: one for all rules, or as many as there are. A list decides without
 * rules: it takes them as the largest. On false the client has its error. */
bool rule_source_cost_or_reply(RedisModuleCtx *ctx, const struct rule_source *source,
                               const struct costs_argument *costs, struct limiter_request *request);

/* Decides against a limiter; as limiter_decide, lists and shadow included. Answers as what the verdict counts
 * (metrics.h): the caller counts it once it is true. With a fault it means nothing. */
enum cause rule_source_decide(const struct rule_source *source, const struct limiter *limiter,
                              struct limiter_request request, struct decision *decision);

/* Counts what was answered of a key by one of `rules`; `resource` without bytes = none. */
void rules_count(RedisModuleCtx *ctx, RedisModuleString *key, const struct rule *rules, struct bytes resource,
                 const struct limiter_request *request, const struct verdict *verdict);

/* Counts what was answered of a key by these rules; `policy` of size 0 = those of the call. */
void rule_source_count(RedisModuleCtx *ctx, RedisModuleString *key, const struct rule_source *source,
                       struct bytes policy, const struct limiter_request *request, enum cause cause,
                       const struct verdict *verdict);

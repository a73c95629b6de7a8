/* The configuration of policies (and, in the same files, of plans: plans.h): module-wide, like the server's FUNCTIONs.
 * Set by keyless commands, kept beside the keys.
 *
 *     RL.POLICY … ─▶ policy_effect ─▶ policy_apply ─▶ RL._POLICY name effects… ─▶ replicas, AOF: the same apply
 *
 *     RDB, full sync, AOF with preamble   auxiliary data: version, count, every policy, then the plans
 *     AOF rewritten without preamble      has no place for it: when such a rewrite begins, all of the configuration is
 *                                         written again behind it, into the part of the AOF that is loaded last
 *
 * FLUSHALL leaves it alone. Whatever is loaded replaces it whole, so a replica never keeps what its primary lacks.
 * In a cluster every primary has a configuration of its own: set a policy on each of them. */
#pragma once

#include "quota/rate/policy.h"
#include "redis.h"

/* Creates the data type that carries the auxiliary data, and listens to loads and forks; only in OnLoad. */
int policies_register(RedisModuleCtx *ctx);

/* The policy of this name, or NULL. */
struct policy *policies_find(struct bytes name);

/* Makes a change true and replicates it, with the removal of a few things that have expired by now. The effect is
 * without fault; POLICY_DEFINE on a new name begins a policy. */
void policies_change(RedisModuleCtx *ctx, struct bytes name, const struct policy_effect *effect, int64_t now_us);

/* Takes a policy out; false if there was none. */
bool policies_delete(RedisModuleCtx *ctx, struct bytes name);

/* Repeats what a primary did: effects one after another, none = the policy is gone. False when they are no effects or
 * do not fit; those before the bad one are done. */
bool policies_replay(struct bytes name, struct bytes effects);

/* Calls back for every policy, by name. */
void policies_each(void (*visit)(const struct policy *policy, void *context), void *context);
int64_t policies_count(void);

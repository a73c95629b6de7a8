/* Policies, a kind of the registry's objects.
 *
 *     RL.POLICY … ─▶ policy_effect ─▶ policy_apply ─▶ RL._POLICY name effect … ─▶ replicas, AOF: the same apply */
#pragma once

#include "quota/rate/policy.h"
#include "registry.h"

#define POLICIES_MAX 1000000

/* The policy of this name, or NULL. */
struct policy *policies_find(struct bytes name);

/* Makes a change true and replicates it, with the removal of a few things that have expired by now. The effect is
 * without fault; POLICY_DEFINE on a new name begins a policy. */
void policies_change(RedisModuleCtx *ctx, struct bytes name, const struct policy_effect *effect, int64_t now_us);

/* Takes a policy out; false if there was none. */
bool policies_delete(RedisModuleCtx *ctx, struct bytes name);

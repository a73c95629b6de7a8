/* Plans, a kind of the registry's objects: each is its history.
 *
 *     QUOTA.PLAN … ─▶ change (quota/account/plan_history.h) ─▶ plans_change ─▶ RL._PLAN name change ─▶ replicas, AOF
 *
 * A plan that is deleted is retired: its accounts go on under it. Accounts carry the rules of their plan with them and
 * live on where a plan is missing, after a migration or a restore. */
#pragma once

#include "quota/account/plan_history.h"
#include "registry.h"

#define PLANS_MAX 100000

/* The history of the plan of this name, or NULL. Borrowed until it is changed. */
const struct plan_history *plans_find(struct bytes name);

/* Changes with every change of any plan, never 0: what was looked up under the same number is still right. */
uint64_t plans_generation(void);

/* Makes a change true and replicates it. False, and nothing has happened, when it does not fit. */
bool plans_change(RedisModuleCtx *ctx, struct bytes name, struct bytes change);

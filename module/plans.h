/* The plans of this server: their histories by name, module-wide like its policies and kept in the same places
 * (policies.h).
 *
 *     QUOTA.PLAN … ─▶ change (quota/account/plan_history.h) ─▶ plans_change ─▶ RL._PLAN name change ─▶ replicas, AOF
 *
 * A plan that is deleted is retired: its accounts go on under it. Accounts carry the rules of their plan with them and
 * live on where a plan is missing, after a migration or a restore. */
#pragma once

#include "quota/account/plan_history.h"
#include "redis.h"

#define PLANS_MAX 100000

/* The history of the plan of this name, or NULL. Borrowed until it is changed. */
const struct plan_history *plans_find(struct bytes name);

/* Changes with every change of any plan, never 0: what was looked up under the same number is still right. */
uint64_t plans_generation(void);

/* Makes a change true and replicates it. False, and nothing has happened, when it does not fit. */
bool plans_change(RedisModuleCtx *ctx, struct bytes name, struct bytes change);

/* Repeats what a primary did; no bytes = the plan is gone (as the first encoding said it). False when they are no
 * change of that plan. */
bool plans_replay(struct bytes name, struct bytes change);

/* Up to `count` plans by name, those behind `after` (empty = from the first on); answers how many, and whether more
 * follow. */
uint32_t plans_page(struct bytes after, uint32_t count, const struct plan_history *page[], bool *more);
int64_t plans_count(void);

/* For the configuration's files: all of them out, in (false: the file is damaged), gone, exchanged for those set aside,
 * and written again. `first_encoding`: plans without a history. */
void plans_save(RedisModuleIO *rdb);
bool plans_load(RedisModuleIO *rdb, bool first_encoding);
void plans_clear(void);
void plans_swap(void);
void plans_write(RedisModuleCtx *ctx);

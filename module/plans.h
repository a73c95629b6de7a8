/* The plans of this server: module-wide, like its policies, and kept in the same places (catalogue.h).
 *
 *     QUOTA.PLAN … ─▶ plan bytes (quota/plan.h) ─▶ plans_put ─▶ RL._PLAN name bytes ─▶ replicas, AOF: the same plan
 *
 * The authority for changes only: an account carries the rules of its plan with it. It takes a newer revision over at
 * its next write, and lives on where a plan is missing, after a migration or a restore. */
#pragma once

#include "quota/account/plan.h"
#include "redis.h"

#define PLANS_MAX 100000

/* The plan of this name, or NULL. Borrowed until it is put or deleted. */
const struct plan *plans_find(struct bytes name);

/* Takes a plan over (the caller's use of it) and replicates it. */
void plans_put(RedisModuleCtx *ctx, const struct plan *plan);

/* Takes a plan out; false if there was none. */
bool plans_delete(RedisModuleCtx *ctx, struct bytes name);

/* Repeats what a primary did; no bytes = the plan is gone. False when they are not that plan. */
bool plans_replay(struct bytes name, struct bytes bytes);

/* Calls back for every plan, by name. */
void plans_each(void (*visit)(const struct plan *plan, void *context), void *context);
int64_t plans_count(void);

/* For the catalogue's files: all of them out, in (false: the file is damaged), gone, exchanged for those set aside, and
 * written again. */
void plans_save(RedisModuleIO *rdb);
bool plans_load(RedisModuleIO *rdb);
void plans_clear(void);
void plans_swap(void);
void plans_write(RedisModuleCtx *ctx);

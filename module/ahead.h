/* Accounts that stand ahead of the clock: their last change lies in the future, since a clock was wrong and has been
 * put right. Their waits are long, and QUOTA.RESET lets them follow the clock again; QUOTA.HEALTH says how many.
 *
 *     an account is opened for a command, last changed after now ──▶ ┐
 *     the latest change of any account, once it lies after now ────▶ ├ table ──▶ ahead_count: opens each key again, and
 *                                                                    ┘           forgets those that are ahead no more
 *
 * The table holds AHEAD_MAX names; another one takes the place of the one that has been there longest. It is this
 * server's memory: neither replicated nor saved, filled again by what is looked at. */
#pragma once

#include "redis.h"
#include <stdint.h>

#define AHEAD_MAX 128

/* An account was opened, whose last change was at `applied_at_us`. */
void ahead_opened(RedisModuleCtx *ctx, RedisModuleString *name, int64_t applied_at_us, int64_t now_us);

/* An account was changed at `applied_at_us`. */
void ahead_changed(RedisModuleCtx *ctx, RedisModuleString *name, int64_t applied_at_us);

/* How many accounts of the table are ahead of the clock now; AHEAD_MAX = that many or more. */
uint32_t ahead_count(RedisModuleCtx *ctx, int64_t now_us);

/* Commit: the one place where a decision becomes true, here and on every replica.
 *
 *     decision ─▶ no effects? nothing happens: no key, no write, no replication, no signal
 *              ─▶ limiter_apply ─▶ store ─▶ time to live = the value's own deadline, rounded up
 *              ─▶ replicate  RL._DO key effects      absolute, so a replica or an AOF enters by the same apply
 *              ─▶ signal the key (WATCH, client tracking)
 *
 * A value with nothing left to remember is deleted, and that is replicated as DEL. */
#pragma once

#include "limiter_type.h"

/* Makes a decision taken at `now_us` true and replicates it. */
void commit(RedisModuleCtx *ctx, struct limiter_handle *handle, const struct decision *decision, int64_t now_us);

/* Applies effects that came from a primary, a file or a slot import; `lasting` as effects_decode read it. */
void commit_replayed(RedisModuleCtx *ctx, struct limiter_handle *handle, const struct decision *decision, bool lasting);

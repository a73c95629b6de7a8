/* Commit: the one place where a decision becomes true, here and on every replica.
 *
 *     decision ─▶ no effects? nothing happens: no key, no write, no replication, no signal
 *              ─▶ apply ─▶ store ─▶ time to live = the value's own deadline, rounded up
 *              ─▶ replicate  RL._DO key effects      absolute, so a replica or an AOF enters by the same apply
 *                            RL._DO key effects key effects …     a batch of many keys, in one go
 *              ─▶ signal the key (WATCH, client tracking)
 *
 * A value with nothing left to remember is deleted, and that is replicated as DEL. */
#pragma once

#include "value_type.h"

/* What the commits of one call are to replicate together: finding the command in the server costs more than the rest of
 * a key's replication. `words` has room for two words a commit. */
struct batch {
    RedisModuleString **words; /* key, effects, key, effects … */
    size_t count;
};

/* Replicates what the batch has collected, and empties it. Every batch ends with it. */
void batch_replicate(RedisModuleCtx *ctx, struct batch *batch);

/* Makes a decision of the handle's kind, taken at `now_us`, true and replicates it, now or with the handle's batch. */
void commit(RedisModuleCtx *ctx, struct handle *handle, const void *decision, int64_t now_us);

/* Repeats effects that came from a primary, a file or a slot import. False when they do not fit: nothing happened. */
bool commit_replayed(RedisModuleCtx *ctx, struct handle *handle, struct bytes effects);

/* Replicates a change of the catalogue (catalogue.h, plans.h) that has been applied here: RL._POLICY or RL._PLAN, the
 * name and the effects. */
void commit_catalogue(RedisModuleCtx *ctx, const char *command, struct bytes name, struct bytes effects);

/* A transaction: the one place where decisions become true, here and on every replica.
 *
 *     (handle, decision) ─▶ no effects? nothing happens: no key, no write, no replication, no signal
 *     (handle, decision) ─▶ apply ─▶ store ─▶ time to live = the value's own deadline, rounded up
 *       …                ─▶ a keyspace event of class `d`, with the command's name: on the node that decided
 *                        ─▶ one RL._DO key effects [key effects …]     absolute, so a replica or an AOF enters by the
 *                        ─▶ signal the keys (WATCH, client tracking)                                    same apply
 *
 * A value with nothing left to remember is deleted: that is replicated as DEL, and `del` follows the event. */
#pragma once

#include "value_type.h"

/* What one call changes. Finding the command in the server costs more than the rest of a key's replication, so all of
 * it is replicated at once. */
struct transaction {
    RedisModuleCtx *ctx;
    int64_t now_us;            /* at which every decision was taken */
    RedisModuleString **words; /* key, effects, key, effects …: room for two words a decision; the caller's, what
                                * stands in it is not: keys may be closed before all is replicated */
    size_t count;
    const RedisModuleString *changed; /* the last key: many changes of one are one event and one signal */
    RedisModuleString *joined_name;   /* of a key whose decisions are one run of effects; NULL = none yet … */
    struct sink joined;               /* … and the run so far */
};

/* An empty transaction; it ends with transaction_replicate. */
struct transaction transaction_begin(RedisModuleCtx *ctx, RedisModuleString **words, int64_t now_us);

/* Makes a decision of the handle's kind true. It is replicated with the others. */
void transaction_add(struct transaction *transaction, struct handle *handle, const void *decision);
void transaction_replicate(struct transaction *transaction);

/* A transaction of one decision. */
void transaction_commit(RedisModuleCtx *ctx, struct handle *handle, const void *decision, int64_t now_us);

/* Is there memory for this decision? One that makes a key or a record in a value is refused when maxmemory is reached
 * (memory_limit.h); what is there goes on being changed. On false the client has its error, and nothing is to be
 * committed. */
bool transaction_fits_or_reply(RedisModuleCtx *ctx, const struct handle *handle, const void *decision);

/* Both: a transaction of one decision if there is memory for it. */
bool transaction_commit_or_reply(RedisModuleCtx *ctx, struct handle *handle, const void *decision, int64_t now_us);

/* Repeats effects that came from a primary, a file or a slot import. False when they do not fit: nothing happened. */
bool transaction_repeat(RedisModuleCtx *ctx, struct handle *handle, struct bytes effects);

/* Replicates a change of the configuration (registry.h) that has been applied here: RL._POLICY or RL._PLAN,
 * the name and the effects; and what they say of their event, if anything. */
void transaction_replicate_configuration(RedisModuleCtx *ctx, const char *command, struct bytes name,
                                         struct bytes effects, struct bytes event);

/* Passes effects on that a slot import has brought: the same, but that they say of no event. `words`: key, effects … */
void transaction_pass_on(RedisModuleCtx *ctx, RedisModuleString **words, size_t count);

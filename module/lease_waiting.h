/* Clients that wait for a lease: RL.ACQUIRE ... WAIT. First come, first served, on each key.
 *
 *     key ─▶ line │ first │ … │ last │        a request while a line stands joins it or is denied: none overtakes
 *              └ one timer, for the moment at which leases that end by themselves make room for the first
 *
 *     released, renewed, timer, key gone, clock moved ─▶ the line is ready ─▶ at the end of this pass of the event
 *     loop: as long as there is room for the first, the first is answered
 *
 * What reading Redis 7.0.15, 7.2 and 8 and running 7.0.15 has shown, and what follows:
 *
 * * RedisModule_SignalKeyAsReady calls back every client that waits on the key, one after the other, at a release
 *   (serveClientsBlockedOnKeyByModule cannot know that none behind the first will be served), and none at all when
 *   the key does not exist (handleClientsBlockedOnKeys looks it up first): DEL would leave all of them waiting.
 * * RedisModule_UnblockClient on a client blocked on keys calls that client's timeout callback alone, key or no key,
 *   and there the module may decide, commit and reply. Redis 7 does so at once, 8 a little later in the same pass of
 *   the event loop; the next in line has to wait for that (`called`).
 * * So clients are blocked on their key, which lets a cluster redirect them when the slot moves, and are called one by
 *   one out of a timer of 0 ms: it fires after the commands of this pass and before their replies are written. A client
 *   that has seen the reply to a release sees the next one served. A release costs the same however many wait.
 * * The value's own unlink callback reports DEL, SET, RENAME, RESTORE, eviction and expiry at no cost to other keys;
 *   FLUSHALL and SWAPDB come as events of the server.
 *
 * A client that leaves (killed, disconnected, CLIENT UNBLOCK ERROR, demotion, slot moved) is out of the line before
 * anything else happens. One that the server is about to close, but has not yet, is recognised when its turn comes.
 * The line itself is not replicated: with a failover the server answers -UNBLOCKED. */
#pragma once

#include "quota/rate/lease.h"
#include "redis.h"

/* Units that clients wait for on this key, of the context's database: struct lease_request's `ahead`. */
int64_t lease_waiting_ahead(RedisModuleCtx *ctx, RedisModuleString *name);

/* Decides, commits and replies: a lease, a denial or an error. */
typedef void lease_answer(RedisModuleCtx *ctx, RedisModuleString *name, const struct lease_request *request);

/* Blocks the client until it is its turn, at most for `wait_us`; then `answer` is called with the instant and the units
 * ahead as they are then. The request is copied. Only where blocking is allowed
 * (REDISMODULE_CTX_FLAGS_DENY_BLOCKING). */
void lease_waiting_begin(RedisModuleCtx *ctx, RedisModuleString *name, const struct lease_request *request,
                         int64_t wait_us, lease_answer *answer);

/* A lease on this key has ended or moved: there may be room now. */
void lease_waiting_ready(RedisModuleCtx *ctx, RedisModuleString *name);

/* The test clock was held, moved or released: every waiter looks again. While it is held, a wait ends at its moment by
 * that clock or by the server's, whichever comes first. */
void lease_waiting_clock_moved(void);

/* Clients that wait now: for INFO. */
int64_t lease_waiting_count(void);

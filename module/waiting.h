/* Clients that hold a place whose moment is still to come: RL.ALLOW ... WAIT.
 *
 *     request ─▶ place taken and replicated at once ─▶ client blocked ─▶ its moment ─▶ verdict, wait_ms 0
 *
 *     waiters by moment   │ 10:00:01.200 a │ 10:00:01.300 b │ 10:00:01.400 c │
 *                           └ one timer, for the first of them: ten thousand waiters cost no polling
 *
 * A client that leaves before its moment (disconnects, is killed, is unblocked) gives its place back. The queue itself
 * is the limiter's state (quota/rate/limiter.h): it lives on over restarts and failovers; the server answers blocked
 * clients of a demoted primary with its own -UNBLOCKED. */
#pragma once

#include "quota/rate/limiter.h"
#include "redis.h"

/* Blocks the client until `verdict->wait_us` from now, then answers the verdict with no wait left. `name` is the key
 * whose place it holds: what the request was charged under its `rules` rules goes back if the client leaves early.
 * False where blocking is not allowed (MULTI, scripts, replication): then answer at once. */
bool waiting_begin(RedisModuleCtx *ctx, RedisModuleString *name, const struct verdict *verdict,
                   const struct limiter_request *request, uint32_t rules);

/* The test clock has moved: answer those whose moment has come, set the timer anew. */
void waiting_clock_moved(RedisModuleCtx *ctx);

/* Clients that wait now: for INFO. */
int64_t waiting_count(void);

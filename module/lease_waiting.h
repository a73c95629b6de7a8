/* Clients that wait for a lease: RL.ACQUIRE ... WAIT, a kind of waiting.h.
 *
 *     units held │ units waited for, in order │ a newcomer       none overtakes: while others wait, a request joins the
 *                  └ its `ahead`                                line or is denied
 *
 * Released, renewed, ended by itself, key gone: as long as there is room for the first, the first gets its lease. */
#pragma once

#include "quota/rate/lease.h"
#include "waiting.h"

/* Units that clients wait for on this key, of the context's database: struct lease_request's `ahead`. */
int64_t lease_waiting_ahead(RedisModuleCtx *ctx, RedisModuleString *name);

/* Decides, commits and replies: a lease, a denial or an error. True where it gave a lease. */
typedef bool lease_answer(RedisModuleCtx *ctx, RedisModuleString *name, const struct lease_request *request);

/* Blocks the client until it is answered, at most for `wait_us`; then `answer` is called with the instant and the units
 * ahead as they are then. The request is copied. Only where waiting_is_possible. */
void lease_waiting_begin(RedisModuleCtx *ctx, RedisModuleString *name, const struct lease_request *request,
                         int64_t wait_us, lease_answer *answer);

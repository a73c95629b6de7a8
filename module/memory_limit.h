/* The server's maxmemory: what makes a new key or a new record is refused when it is reached, everything else goes on.
 *
 *     a command that makes one ─▶ the context has no OOM flag ─▶ there is memory: the usual case
 *                              ─▶ it has: call RL._ROOM, which is flagged deny-oom ─▶ refused by the server? ─▶ -OOM
 *
 * Commands that can answer without growing carry no deny-oom flag, since the server would refuse all of their calls.
 * The flag of the context says more than the server does: it is set, too, where eviction can still make room. So the
 * server's own verdict decides. Inside MULTI most servers refuse to queue any command then. */
#pragma once

#include "redis.h"

/* The command that does nothing and is refused when memory is full (internal.c). */
#define ROOM_COMMAND "RL._ROOM"

/* Is there memory for something new? On false the client has the server's error. */
bool memory_limit_permits_or_reply(RedisModuleCtx *ctx);

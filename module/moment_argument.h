/* Moments as operators write them: EX and EXPIRES of accounts become struct moment (quota/decide/operate.h).
 *
 *     EXPIRES 1735689600000 | 1735689600s | 2025-07-01T00:00:00Z        an instant; before March 1973 it needs an @
 *     EXPIRES 30d | 3month                                              a duration, a calendar period
 *     EX 1h | CYCLE | @2025-07-01T00:00:00Z                             a duration, the cycle's end, an instant */
#pragma once

#include "quota/decide/operate.h"
#include "redis.h"

/* EXPIRES: a bare number is an instant, `90s` a duration. On false the client has its error. */
bool moment_expires_or_reply(RedisModuleCtx *ctx, struct bytes word, struct moment *moment);

/* EX: a bare number is seconds. */
bool moment_ex_or_reply(RedisModuleCtx *ctx, struct bytes word, struct moment *moment);

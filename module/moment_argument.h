/* Moments as operators write them: EX and EXPIRES of accounts become struct moment (quota/decide/admin.h).
 *
 *     EXPIRES 1735689600000 | 2025-07-01T00:00:00Z | 30d | 3month       an instant, a duration, a calendar period
 *     EX 1h | CYCLE | @2025-07-01T00:00:00Z                             a duration, the cycle's end, an instant */
#pragma once

#include "quota/decide/admin.h"
#include "redis.h"

/* EXPIRES: a bare number is an instant. On false the client has its error. */
bool moment_expires_or_reply(RedisModuleCtx *ctx, struct bytes word, struct moment *moment);

/* EX: a bare number is seconds. */
bool moment_ex_or_reply(RedisModuleCtx *ctx, struct bytes word, struct moment *moment);

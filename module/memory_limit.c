/* Finds out from the server whether its memory is full; see memory_limit.h. */
#include "memory_limit.h"
#include "reply.h"
#include <errno.h>

bool memory_limit_permits_or_reply(RedisModuleCtx *ctx)
{
    if (!(RedisModule_GetContextFlags(ctx) & REDISMODULE_CTX_FLAGS_OOM)) return true;
    errno = 0;
    RedisModuleCallReply *reply = RedisModule_Call(ctx, ROOM_COMMAND, "M");
    bool refused = !reply && errno == ENOSPC;
    if (reply) RedisModule_FreeCallReply(reply);
    if (refused) reply_error(ctx, "OOM command not allowed when used memory > 'maxmemory'.");
    return !refused;
}

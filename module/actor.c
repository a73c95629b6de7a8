/* Asks the server for the user behind a call; see actor.h. */
#include "actor.h"
#include "quota/account/change.h"

struct actor actor_of(RedisModuleCtx *ctx)
{
    int flags = RedisModule_GetContextFlags(ctx);
    struct actor actor = {.name = {"", 0}};
    if (flags & (REDISMODULE_CTX_FLAGS_REPLICATED | REDISMODULE_CTX_FLAGS_LOADING)) return actor;
    actor.held = RedisModule_GetClientUserNameById(ctx, RedisModule_GetClientId(ctx));
    /* Inside a script the client is the script's own; the server then still knows the caller. */
    if (!actor.held && (flags & REDISMODULE_CTX_FLAGS_LUA)) actor.held = RedisModule_GetCurrentUserName(ctx);
    if (actor.held) actor.name = string_bytes(actor.held);
    if (actor.name.size > ACTOR_BYTES_MAX) actor.name.size = ACTOR_BYTES_MAX;
    return actor;
}

void actor_forget(RedisModuleCtx *ctx, struct actor *actor)
{
    if (actor->held) RedisModule_FreeString(ctx, actor->held);
    actor->held = NULL;
}

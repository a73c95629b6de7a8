/* The actor: the ACL user behind an operator's command, for notes in the account (quota/change.h).
 *
 * The name travels in the effects, since a replica does not know the primary's clients. Asking the server for it has
 * traps: a script has a client without a user, and another module's call has none at all. */
#pragma once

#include "quota/base/bytes.h"
#include "redis.h"

struct actor {
    RedisModuleString *held;
    struct bytes name; /* empty = no user in particular */
};

/* The caller of this command, held until it is forgotten. */
struct actor actor_of(RedisModuleCtx *ctx);
void actor_forget(RedisModuleCtx *ctx, struct actor *actor);

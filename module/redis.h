/* The server's API: Redis 7.0's header, and every younger function late-bound by name, each with its fallback.
 *
 *     built with 7.0 ──▶ runs on 7.0 … 8.x and Valkey      young.x == NULL ──▶ this server does not have it
 *
 * Version numbers mislead (Valkey 8.0.1 calls itself like Redis 8.0.1), so functions are asked for by name. */
#pragma once

#include "quota/base/bytes.h"
#include <redismodule.h>

struct young_api {
    /* 7.2: the instant of the command, the same throughout MULTI and a script. */
    long long (*cached_microseconds)(void);
    /* 7.2: puts a command into ACL categories, a space-separated list. */
    int (*set_command_categories)(RedisModuleCommand *command, const char *categories);
    /* Redis 8: what servers of a cluster say to each other to be let in. It is not called: where it is, commands may
     * have the flag "internal". */
    const char *(*internal_secret)(RedisModuleCtx *ctx, size_t *size);
};

extern struct young_api young;

/* Fills `young`; call right after RedisModule_Init. */
void redis_bind_young_api(void);

/* Options of RedisModule_SetModuleOptions that only Valkey knows, where it does: on Redis the bits mean something else.
 * Valkey 9 moves slots atomically if every module handles that. Valkey 8.1 and newer look a command that a module
 * replicates up by its name, unless the module promises that it exists: those of this module do, and DEL. */
int redis_own_options(void);

/* The bytes of an argument or key name; valid as long as the string is. */
static inline struct bytes string_bytes(const RedisModuleString *text)
{
    struct bytes bytes;
    bytes.data = RedisModule_StringPtrLen(text, &bytes.size);
    return bytes;
}

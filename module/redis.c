/* Late binding of functions younger than Redis 7.0; see redis.h. */
#include "redis.h"

struct young_api young;

static void bind(const char *name, void *function)
{
    if (RedisModule_GetApi(name, function) != REDISMODULE_OK) *(void **)function = NULL;
}

void redis_bind_young_api(void)
{
    bind("RedisModule_CachedMicroseconds", (void *)&young.cached_microseconds);
    bind("RedisModule_SetCommandACLCategories", (void *)&young.set_command_categories);
    bind("RedisModule_GetInternalSecret", (void *)&young.internal_secret);
}

#define VALKEY_SKIP_COMMAND_VALIDATION       (1 << 4)
#define VALKEY_HANDLES_ATOMIC_SLOT_MIGRATION (1 << 5)

int redis_own_options(void)
{
    void *of_valkey = NULL;
    int (*known_options)(void) = NULL;
    bind("ValkeyModule_GetClusterNodeInfo", (void *)&of_valkey);
    bind("RedisModule_GetModuleOptionsAll", (void *)&known_options);
    if (!of_valkey || !known_options) return 0;
    return known_options() & (VALKEY_SKIP_COMMAND_VALIDATION | VALKEY_HANDLES_ATOMIC_SLOT_MIGRATION);
}

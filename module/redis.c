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
}

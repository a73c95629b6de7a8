/* Settings and their setters; see config.h. */
#include "config.h"
#include "zones.h"

static RedisModuleString *folder_shown; /* what CONFIG GET answers; the server asks us to keep it */

static RedisModuleString *get_folder(const char *name, void *unused)
{
    (void)name;
    (void)unused;
    if (folder_shown) RedisModule_FreeString(NULL, folder_shown);
    folder_shown = RedisModule_CreateString(NULL, zones_folder(), strlen(zones_folder()));
    return folder_shown;
}

static int set_folder(const char *name, RedisModuleString *value, void *unused, RedisModuleString **error)
{
    (void)name;
    (void)unused;
    struct span folder = span_of(value);
    if (folder.size == 0 || folder.size > 255 || folder.data[0] != '/' || memchr(folder.data, '\0', folder.size)) {
        *error = RedisModule_CreateStringPrintf(NULL, "quota.tzdir is an absolute path of at most 255 bytes");
        return REDISMODULE_ERR;
    }
    zones_use_folder(folder.data);
    return REDISMODULE_OK;
}

int config_register(RedisModuleCtx *ctx)
{
    if (RedisModule_RegisterStringConfig(ctx, "tzdir", zones_folder(), REDISMODULE_CONFIG_DEFAULT, get_folder,
                                         set_folder, NULL, NULL) != REDISMODULE_OK) {
        return REDISMODULE_ERR;
    }
    return RedisModule_LoadConfigs(ctx);
}

/* The door: RedisModule_OnLoad binds the API, reads the load options and registers type and commands. Nothing else.
 *
 *     redis-server --loadmodule quota.so [test-clock yes|no] */
#include "clock.h"
#include "command.h"
#include "config.h"
#include "event_log.h"
#include "event_readers.h"
#include "metrics.h"
#include "registry.h"
#include "reply.h"
#include "value_type.h"

#define MODULE_NAME    "quota"
#define MODULE_VERSION 10000 /* 1.0.0 */

/* Options come in pairs, a name and a value. */
static int read_options(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    for (int i = 0; i < argc; i += 2) {
        bool known = i + 1 < argc && bytes_is_word(string_bytes(argv[i]), "TEST-CLOCK");
        bool yes = known && bytes_is_word(string_bytes(argv[i + 1]), "YES");
        if (!known || (!yes && !bytes_is_word(string_bytes(argv[i + 1]), "NO"))) {
            RedisModule_Log(ctx, "warning", "module option '%s': the options are: test-clock yes|no",
                            printable(string_bytes(argv[i])).text);
            return REDISMODULE_ERR;
        }
        clock_allow_test(yes);
    }
    return REDISMODULE_OK;
}

__attribute__((visibility("default"))) int RedisModule_OnLoad(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (RedisModule_Init(ctx, MODULE_NAME, MODULE_VERSION, REDISMODULE_APIVER_1) != REDISMODULE_OK) {
        return REDISMODULE_ERR;
    }
    redis_bind_young_api();
    /* A bad RESTORE is an error, not the end of the server; a replica may be read while a full sync is loaded beside
     * its data (registry.c); a denial signals no change to WATCH or tracking. */
    RedisModule_SetModuleOptions(ctx, REDISMODULE_OPTIONS_HANDLE_IO_ERRORS |
                                          REDISMODULE_OPTIONS_HANDLE_REPL_ASYNC_LOAD |
                                          REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED | redis_own_options());
    if (read_options(ctx, argv, argc) != REDISMODULE_OK) return REDISMODULE_ERR;
    if (value_types_register(ctx) != REDISMODULE_OK || registry_register(ctx) != REDISMODULE_OK) return REDISMODULE_ERR;
    if (event_log_register(ctx) != REDISMODULE_OK) return REDISMODULE_ERR;
    event_readers_register();
    if (metrics_register(ctx) != REDISMODULE_OK || commands_register(ctx) != REDISMODULE_OK) return REDISMODULE_ERR;
    return config_register(ctx);
}

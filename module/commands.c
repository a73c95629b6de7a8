/* The list of commands and the one loop that registers them. */
#include "command.h"

extern const struct command rl_allow_command, rl_mallow_command, rl_refund_command, rl_block_command, rl_info_command;
extern const struct command cl_throttle_command, rl_throttle_command;
extern const struct command rl_do_command, rl_put_command;
extern const struct command quota_clock_command;

const struct command *const commands[] = {
    &rl_allow_command,
    &rl_mallow_command,
    &rl_refund_command,
    &rl_block_command,
    &rl_info_command,
    &cl_throttle_command,
    &rl_throttle_command,
    &rl_do_command,
    &rl_put_command,
    &quota_clock_command,
    NULL,
};

static int command_document(RedisModuleCommand *registered, const struct command *command)
{
    RedisModuleCommandKeySpec key_specs[] = {
        {
            .flags = (uint64_t)command->key_flags,
            .begin_search_type = REDISMODULE_KSPEC_BS_INDEX,
            .bs.index = {.pos = 1},
            .find_keys_type = REDISMODULE_KSPEC_FK_RANGE,
            .fk.range = {.lastkey = 0, .keystep = 1, .limit = 0},
        },
        {0},
    };
    if (command->counted_keys) {
        key_specs[0].find_keys_type = REDISMODULE_KSPEC_FK_KEYNUM;
        key_specs[0].fk.keynum.keynumidx = 0;
        key_specs[0].fk.keynum.firstkey = 1;
        key_specs[0].fk.keynum.keystep = 1;
    }
    RedisModuleCommandInfo info = {
        .version = REDISMODULE_COMMAND_INFO_VERSION,
        .summary = command->summary,
        .complexity = command->complexity,
        .since = command->since,
        .arity = arguments_arity(command->arguments),
        .key_specs = command->key_flags ? key_specs : NULL,
        .args = arguments_document(command->arguments),
    };
    int outcome = RedisModule_SetCommandInfo(registered, &info);
    arguments_document_free(info.args);
    return outcome;
}

static int command_register(RedisModuleCtx *ctx, const struct command *command)
{
    int key = command->key_flags && !command->counted_keys ? 1 : 0;
    if (RedisModule_CreateCommand(ctx, command->name, command->handler, command->flags, key, key, key) !=
        REDISMODULE_OK) {
        RedisModule_Log(ctx, "warning", "%s is taken already: that command is not ours on this server", command->name);
        return REDISMODULE_OK;
    }
    RedisModuleCommand *registered = RedisModule_GetCommand(ctx, command->name);
    if (young.set_command_categories && command->categories) {
        young.set_command_categories(registered, command->categories);
    }
    return command_document(registered, command);
}

int commands_register(RedisModuleCtx *ctx)
{
    for (const struct command *const *command = commands; *command; command++) {
        if (command_register(ctx, *command) != REDISMODULE_OK) return REDISMODULE_ERR;
    }
    return REDISMODULE_OK;
}

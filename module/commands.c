/* The list of commands and the one loop that registers them. */
#include "argument_document.h"
#include "clock.h"
#include "command.h"
#include <stdio.h>

extern const struct command rl_allow_command, rl_peek_command, rl_mallow_command, rl_refund_command, rl_block_command,
    rl_info_command;
extern const struct command rl_table_command, rl_take_command, rl_mtake_command;
extern const struct command rl_acquire_command, rl_renew_command, rl_release_command, rl_leases_command;
extern const struct command rl_breaker_command, rl_breaker_info_command, rl_adapt_command, rl_adapt_info_command;
extern const struct command cl_throttle_command, rl_throttle_command;
extern const struct command rl_policy_command, rl_policy_set_command, rl_policy_override_command;
extern const struct command rl_policy_permit_command, rl_policy_refuse_command, rl_policy_lift_command;
extern const struct command rl_policy_get_command, rl_policy_del_command, rl_policy_list_command;
extern const struct command rl_policy_exceptions_command, rl_policy_check_command;
extern const struct command rl_policy_help_command, quota_plan_help_command, rl_policy_replay_command;
extern const struct command rl_do_command, rl_put_command, rl_room_command, rl_events_command;
extern const struct command quota_clock_command, quota_cycle_command;
extern const struct command quota_plan_command, quota_plan_set_command, quota_plan_get_command;
extern const struct command quota_plan_del_command, quota_plan_list_command, rl_plan_replay_command;
extern const struct command quota_plan_check_command, quota_plan_cancel_command;
extern const struct command quota_open_command, quota_switch_command, quota_suspend_command, quota_resume_command;
extern const struct command quota_close_command, quota_override_command, quota_set_command, quota_reset_command;
extern const struct command quota_consume_command, quota_mconsume_command, quota_check_command, quota_refund_command;
extern const struct command quota_ingest_command;
extern const struct command quota_reserve_command, quota_commit_command, quota_release_command, quota_extend_command;
extern const struct command quota_holds_command, quota_info_command, quota_history_command, quota_health_command;
extern const struct command quota_forecast_command, quota_settle_command, quota_record_command, quota_bill_command;
extern const struct command quota_parent_command, quota_detach_command, quota_members_command, quota_weight_command;
extern const struct command quota_apikey_command, quota_apikey_set_command, quota_apikey_rotate_command;
extern const struct command quota_apikey_revoke_command, quota_apikey_verify_command, quota_apikey_list_command;
extern const struct command quota_apikey_help_command;
extern const struct command quota_violations_command;
extern const struct command quota_events_command, quota_events_read_command, quota_events_info_command;
extern const struct command quota_events_help_command;
extern const struct command quota_grant_command, quota_void_command, quota_grants_command, quota_transfer_command;

const struct command *const commands[] = {
    &rl_allow_command,
    &rl_peek_command,
    &rl_mallow_command,
    &rl_refund_command,
    &rl_block_command,
    &rl_info_command,
    &rl_table_command,
    &rl_take_command,
    &rl_mtake_command,
    &rl_acquire_command,
    &rl_renew_command,
    &rl_release_command,
    &rl_leases_command,
    &rl_breaker_command,
    &rl_breaker_info_command,
    &rl_adapt_command,
    &rl_adapt_info_command,
    &cl_throttle_command,
    &rl_throttle_command,
    &rl_do_command,
    &rl_put_command,
    &rl_events_command,
    &rl_room_command,
    &quota_clock_command,
    &quota_cycle_command,
    &rl_policy_command,
    &rl_policy_set_command,
    &rl_policy_override_command,
    &rl_policy_permit_command,
    &rl_policy_refuse_command,
    &rl_policy_lift_command,
    &rl_policy_get_command,
    &rl_policy_del_command,
    &rl_policy_list_command,
    &rl_policy_exceptions_command,
    &rl_policy_check_command,
    &rl_policy_help_command,
    &rl_policy_replay_command,
    &rl_plan_replay_command,
    &quota_plan_command,
    &quota_plan_set_command,
    &quota_plan_check_command,
    &quota_plan_get_command,
    &quota_plan_del_command,
    &quota_plan_cancel_command,
    &quota_plan_list_command,
    &quota_plan_help_command,
    &quota_apikey_command,
    &quota_apikey_set_command,
    &quota_apikey_rotate_command,
    &quota_apikey_revoke_command,
    &quota_apikey_verify_command,
    &quota_apikey_list_command,
    &quota_apikey_help_command,
    &quota_open_command,
    &quota_switch_command,
    &quota_suspend_command,
    &quota_resume_command,
    &quota_close_command,
    &quota_override_command,
    &quota_set_command,
    &quota_reset_command,
    &quota_parent_command,
    &quota_detach_command,
    &quota_members_command,
    &quota_weight_command,
    &quota_settle_command,
    &quota_consume_command,
    &quota_mconsume_command,
    &quota_ingest_command,
    &quota_check_command,
    &quota_refund_command,
    &quota_reserve_command,
    &quota_commit_command,
    &quota_release_command,
    &quota_extend_command,
    &quota_holds_command,
    &quota_grant_command,
    &quota_void_command,
    &quota_grants_command,
    &quota_transfer_command,
    &quota_info_command,
    &quota_history_command,
    &quota_forecast_command,
    &quota_bill_command,
    &quota_record_command,
    &quota_health_command,
    &quota_violations_command,
    &quota_events_command,
    &quota_events_read_command,
    &quota_events_info_command,
    &quota_events_help_command,
    NULL,
};

#define ARITY_ANY  (-1)
#define FLAGS_SIZE 64

/* The stream's own: taken from a primary, a file or a slot import, refused to clients. */
static bool is_internal(const struct command *command)
{
    return strstr(command->name, "._") != NULL;
}

/* Only internal commands have their words counted by the server: its error shows no usage, ours does. */
static int command_arity(const struct command *command)
{
    if (!command->handler) return -2; /* a container */
    return is_internal(command) ? arguments_arity(command->arguments) : ARITY_ANY;
}

/* Redis 8 keeps internal commands out of HELP, COMMAND and MONITOR, and answers users that there is none of that name.
 * Older servers, and Valkey, do not know the word. The one that tests may call stays visible to them. */
static void write_flags(const struct command *command, char flags[FLAGS_SIZE])
{
    bool hides = young.internal_secret && is_internal(command) &&
                 !(clock_test_is_allowed() && strcmp(command->name, "RL._PLAN") == 0);
    (void)snprintf(flags, FLAGS_SIZE, "%s%s", command->flags, hides ? " internal" : "");
}

/* Where the first key of a command stands; behind its name, or those of a subcommand. */
static int first_key(const struct command *command)
{
    return strchr(command->name, '|') ? 2 : 1;
}

/* The distance of its keys; and the last of them, where they stand from `first` on. */
static int key_step(const struct command *command)
{
    return command->row_words > 0 ? command->row_words : 1;
}

static int last_key(const struct command *command, int first)
{
    if (command->row_words > 0) return -1;
    return first + (command->two_keys ? 1 : 0);
}

static int command_document(RedisModuleCommand *registered, const struct command *command)
{
    RedisModuleCommandKeySpec key_specs[3] = {
        {
            .flags = (uint64_t)command->key_flags,
            .begin_search_type = REDISMODULE_KSPEC_BS_INDEX,
            .bs.index = {.pos = first_key(command)},
            .find_keys_type = REDISMODULE_KSPEC_FK_RANGE,
            .fk.range = {.lastkey = last_key(command, 0), .keystep = key_step(command), .limit = 0},
        },
    };
    if (command->key_option) {
        key_specs[1] = (RedisModuleCommandKeySpec){
            .flags = (uint64_t)command->key_flags,
            .begin_search_type = REDISMODULE_KSPEC_BS_KEYWORD,
            .bs.keyword = {.keyword = command->key_option, .startfrom = first_key(command) + 2},
            .find_keys_type = REDISMODULE_KSPEC_FK_RANGE,
            .fk.range = {.lastkey = 0, .keystep = 1, .limit = 0},
        };
    }
    if (command->counted_keys) {
        key_specs[0].find_keys_type = REDISMODULE_KSPEC_FK_KEYNUM;
        key_specs[0].fk.keynum.keynumidx = 0;
        key_specs[0].fk.keynum.firstkey = 1;
        key_specs[0].fk.keynum.keystep = 1;
    }
    RedisModuleCommandInfo info = {
        .version = &arguments_document_version,
        .summary = command->summary,
        .complexity = command->complexity,
        .since = command->since,
        .tips = command->tips,
        .arity = command_arity(command),
        .key_specs = command->key_flags ? key_specs : NULL,
        .args = arguments_document(command->arguments),
    };
    int outcome = RedisModule_SetCommandInfo(registered, &info);
    arguments_document_free(info.args);
    return outcome;
}

/* `PARENT|CHILD` is a subcommand; the parent, without a handler, is registered before it. */
static int command_create(RedisModuleCtx *ctx, const struct command *command)
{
    const char *child = strchr(command->name, '|');
    bool has_keys = command->key_flags && !command->counted_keys;
    int step = has_keys ? key_step(command) : 0, first = has_keys ? first_key(command) : 0;
    int last = has_keys ? last_key(command, first) : 0;
    char flags[FLAGS_SIZE];
    write_flags(command, flags);
    if (!child) return RedisModule_CreateCommand(ctx, command->name, command->handler, flags, first, last, step);
    char parent[32];
    (void)snprintf(parent, sizeof(parent), "%.*s", (int)(child - command->name), command->name);
    RedisModuleCommand *container = RedisModule_GetCommand(ctx, parent);
    if (!container) return REDISMODULE_ERR;
    return RedisModule_CreateSubcommand(container, child + 1, command->handler, flags, first, last, step);
}

static int command_register(RedisModuleCtx *ctx, const struct command *command)
{
    if (command_create(ctx, command) != REDISMODULE_OK) {
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

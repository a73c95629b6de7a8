/* HELP of RL.POLICY, QUOTA.PLAN, QUOTA.APIKEY, QUOTA.EVENTS: what a container has, out of its subcommands' records. */
#include "command.h"
#include "usage.h"
#include <stdio.h>

static const struct argument arguments[] = {{0}};

/* Is the command `RL.POLICY|SET` one of the container `RL.POLICY`? Answers the subcommand's name, or NULL. */
static const char *subcommand_of(const struct command *command, struct bytes container)
{
    const char *bar = strchr(command->name, '|');
    bool belongs = bar && (size_t)(bar - command->name) == container.size &&
                   memcmp(command->name, container.data, container.size) == 0;
    return belongs ? bar + 1 : NULL;
}

static void reply_line(RedisModuleCtx *ctx, struct sink *line)
{
    sink_byte(line, '\0');
    RedisModule_ReplyWithSimpleString(ctx, line->data);
    line->size = 0;
}

/* Two lines for each subcommand, as the server's own containers answer. */
static int reply_help(RedisModuleCtx *ctx, struct bytes container)
{
    struct sink line = {0};
    long lines = 1;
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    sink_raw(&line, container.data, container.size);
    const struct bytes heading = BYTES(" <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    sink_raw(&line, heading.data, heading.size);
    reply_line(ctx, &line);
    for (const struct command *const *command = commands; *command; command++) {
        const char *name = subcommand_of(*command, container);
        if (!name) continue;
        sink_raw(&line, name, strlen(name));
        usage_write((*command)->arguments, &line);
        reply_line(ctx, &line);
        sink_raw(&line, "    ", 4);
        sink_raw(&line, (*command)->summary, strlen((*command)->summary));
        reply_line(ctx, &line);
        lines += 2;
    }
    RedisModule_ReplySetArrayLength(ctx, lines);
    sink_free(&line);
    return REDISMODULE_OK;
}

static int policy_help(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (!arguments_parse_or_reply(ctx, arguments, argv + 1, argc - 1, NULL)) return REDISMODULE_OK;
    return reply_help(ctx, BYTES("RL.POLICY"));
}

static int plan_help(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (!arguments_parse_or_reply(ctx, arguments, argv + 1, argc - 1, NULL)) return REDISMODULE_OK;
    return reply_help(ctx, BYTES("QUOTA.PLAN"));
}

static int apikey_help(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (!arguments_parse_or_reply(ctx, arguments, argv + 1, argc - 1, NULL)) return REDISMODULE_OK;
    return reply_help(ctx, BYTES("QUOTA.APIKEY"));
}

static int events_help(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (!arguments_parse_or_reply(ctx, arguments, argv + 1, argc - 1, NULL)) return REDISMODULE_OK;
    return reply_help(ctx, BYTES("QUOTA.EVENTS"));
}

#define HELP_RECORD(name_, handler_)                                                                                   \
    {                                                                                                                  \
        .name = (name_), .summary = "Shows the subcommands and what they take.", .complexity = "O(1)",                 \
        .since = "1.0.0", .flags = "readonly fast allow-stale", .categories = "read fast", .handler = (handler_),      \
        .arguments = arguments,                                                                                        \
    }

const struct command rl_policy_help_command = HELP_RECORD("RL.POLICY|HELP", policy_help);
const struct command quota_plan_help_command = HELP_RECORD("QUOTA.PLAN|HELP", plan_help);
const struct command quota_apikey_help_command = HELP_RECORD("QUOTA.APIKEY|HELP", apikey_help);
const struct command quota_events_help_command = HELP_RECORD("QUOTA.EVENTS|HELP", events_help);

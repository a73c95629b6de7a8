/* RL._DO, RL._PUT, RL._POLICY, RL._PLAN and RL._EVENTS: how replicas, AOF files and rewritten AOF files repeat what a
 * primary has decided.
 *
 *     RL._DO  key effects …    effects of one decision, of the kind their first byte names; for several keys
 *     RL._POLICY name effects [event]   changes of a policy (registry.h), one after another; none = it is deleted
 *     RL._PLAN name change [event]      a change of a plan; none = it is gone, as older versions said it
 *     RL._EVENTS part          a part of the event log, from an AOF rewrite without preamble (event_log.h)
 *     RL._PUT key blob         a whole value, from an AOF rewrite; its time to live follows as PEXPIREAT
 *
 * They decide nothing and look at no clock. Taken only from a primary or a loading file, refused to every client;
 * whatever they are given is validated first. They replicate themselves onward (a replica's own AOF and replicas).
 *
 *     damaged bytes              are left out, with a warning and an error
 *     bytes of a newer version   end the server, as an RDB file of a newer version does: a replica that went on without
 *     (head.h)                   them would drift from its primary, a server from its own AOF, unseen
 *
 * RL._ROOM is another one: the module calls it to find out whether memory is full (memory_limit.h). */
#include "clock.h"
#include "command.h"
#include "event_log.h"
#include "memory_limit.h"
#include "registry.h"
#include "reply.h"
#include "transaction.h"
#include <stdlib.h>

bool internal_allowed_or_reply(RedisModuleCtx *ctx)
{
    int flags = RedisModule_GetContextFlags(ctx);
    if (flags & (REDISMODULE_CTX_FLAGS_REPLICATED | REDISMODULE_CTX_FLAGS_LOADING)) return true;
    reply_error(ctx, "ERR internal command: taken only from a primary or from a loading file");
    return false;
}

/* `format` is that of the bytes' kind; NULL = this version does not know the kind. */
static void stop_if_newer(RedisModuleCtx *ctx, RedisModuleString *name, struct bytes bytes, const struct format *format)
{
    struct head head = head_of(bytes);
    struct sink why = {0};
    if (!head_is_newer(head, format)) return;
    head_write_refusal(head, format, &why);
    RedisModule_Log(ctx, "warning",
                    "cannot repeat the change of '%s' (%.*s): stopping, so that nothing is left out. "
                    "Upgrade this server's quota.so first",
                    printable(string_bytes(name)).text, (int)why.size, why.data);
    exit(EXIT_FAILURE);
}

static void stop_if_newer_value(RedisModuleCtx *ctx, RedisModuleString *name, struct bytes bytes)
{
    const struct value_type *value_type = value_type_of(head_of(bytes).kind);
    stop_if_newer(ctx, name, bytes, value_type ? value_type->format : NULL);
}

static int refuse(RedisModuleCtx *ctx, RedisModuleString *name)
{
    RedisModule_Log(ctx, "warning", "refused to repeat a change of key '%s': not effects that fit its value",
                    printable(string_bytes(name)).text);
    return reply_error(ctx, "ERR bytes that do not fit the value of this key");
}

static bool do_one(RedisModuleCtx *ctx, RedisModuleString *name, struct bytes effects)
{
    struct handle handle;
    struct value_type *value_type = value_type_of(head_of(effects).kind);
    if (!value_type || !handle_open(ctx, value_type, name, &handle)) return false;
    bool done = transaction_repeat(ctx, &handle, effects);
    handle_close(&handle);
    return done;
}

/* A key that cannot be done keeps nothing from the others: what is replicated on is the whole, for it is refused there
 * as it is here. */
static int do_effects(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    int refused = 0;
    if (!internal_allowed_or_reply(ctx)) return REDISMODULE_OK;
    if (argc % 2 == 0) return RedisModule_WrongArity(ctx);
    for (int at = 1; at < argc; at += 2) {
        if (do_one(ctx, argv[at], string_bytes(argv[at + 1]))) continue;
        stop_if_newer_value(ctx, argv[at], string_bytes(argv[at + 1]));
        if (!refused) refused = at;
    }
    bool passes = argc > 3 || !refused;
    if (passes && event_log_is_import(ctx)) transaction_pass_on(ctx, argv + 1, (size_t)argc - 1);
    if (passes && !event_log_is_import(ctx)) RedisModule_ReplicateVerbatim(ctx);
    if (refused) return refuse(ctx, argv[refused]);
    return RedisModule_ReplyWithSimpleString(ctx, "OK");
}

static int put_value(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct bytes bytes = string_bytes(argv[2]);
    struct value_type *value_type = value_type_of(head_of(bytes).kind);

    (void)argc;
    if (!internal_allowed_or_reply(ctx)) return REDISMODULE_OK;
    void *value = value_type ? format_decode(value_type->format, bytes) : NULL;
    if (!value) {
        stop_if_newer_value(ctx, argv[1], bytes);
        return refuse(ctx, argv[1]);
    }
    RedisModuleKey *key = RedisModule_OpenKey(ctx, argv[1], REDISMODULE_READ | REDISMODULE_WRITE);
    RedisModule_ModuleTypeSetValue(key, value_type->type, value);
    value_type_count(value_type, 1, (long long)value_type->bytes(value));
    RedisModule_CloseKey(key);
    RedisModule_SignalModifiedKey(ctx, argv[1]);
    RedisModule_ReplicateVerbatim(ctx);
    return RedisModule_ReplyWithSimpleString(ctx, "OK");
}

/* A change of a named object; an empty one = it is gone. */
static int replay_change(RedisModuleCtx *ctx, struct registry_kind *kind, RedisModuleString **argv, int argc)
{
    struct bytes name = string_bytes(argv[1]), change = string_bytes(argv[2]);
    if (!registry_apply(kind, name, change)) {
        stop_if_newer(ctx, argv[1], change, kind->format);
        RedisModule_Log(ctx, "warning", "refused to repeat a change of %s '%s'", kind->noun, printable(name).text);
        return reply_error(ctx, "ERR bytes that are no change of this %s", kind->noun);
    }
    if (argc > 3 && !registry_repeat_event(ctx, string_bytes(argv[3])))
        RedisModule_Log(ctx, "warning", "refused to repeat an event of %s '%s'", kind->noun, printable(name).text);
    RedisModule_ReplicateVerbatim(ctx);
    return RedisModule_ReplyWithSimpleString(ctx, "OK");
}

static int replay_policy(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (!internal_allowed_or_reply(ctx)) return REDISMODULE_OK;
    return replay_change(ctx, &policy_kind, argv, argc);
}

/* A plan is retired, never forgotten. Tests, which share a server, may forget one (module option test-clock). */
static int replay_plan(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    bool test_forgets = clock_test_is_allowed() && argc == 3 && string_bytes(argv[2]).size == 0;
    if (!test_forgets && !internal_allowed_or_reply(ctx)) return REDISMODULE_OK;
    return replay_change(ctx, &plan_kind, argv, argc);
}

/* A part of the event log, in an AOF that was rewritten without preamble. */
static int put_events(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    (void)argc;
    if (!internal_allowed_or_reply(ctx)) return REDISMODULE_OK;
    if (!event_log_put(string_bytes(argv[1]))) {
        RedisModule_Log(ctx, "warning", "refused to repeat a part of the event log");
        return reply_error(ctx, "ERR bytes that are no part of the event log");
    }
    RedisModule_ReplicateVerbatim(ctx);
    return RedisModule_ReplyWithSimpleString(ctx, "OK");
}

/* Every call that arrives here was let through by the server. */
static int room(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    (void)argv;
    (void)argc;
    return RedisModule_ReplyWithSimpleString(ctx, "OK");
}

static const struct argument no_arguments[] = {{0}};

static const struct argument do_arguments[] = {
    KEY("key", "The rate-limit key."),
    {.kind = ARGUMENT_TEXT,
     .name = "effects",
     .flags = ARGUMENT_SEVERAL,
     .summary = "What was decided, in absolute terms; more keys and effects may follow."},
    {0},
};

static const struct argument put_arguments[] = {
    KEY("key", "The rate-limit key."),
    {.kind = ARGUMENT_TEXT, .name = "blob", .summary = "The whole value."},
    {0},
};

static const struct argument policy_arguments[] = {
    {.kind = ARGUMENT_TEXT, .name = "name", .summary = "The policy's name."},
    {.kind = ARGUMENT_TEXT, .name = "effects", .summary = "What was changed, in absolute terms; empty = deleted."},
    {.kind = ARGUMENT_TEXT, .name = "event", .flags = ARGUMENT_OPTIONAL, .summary = "The event that this is."},
    {0},
};

static const struct argument plan_arguments[] = {
    {.kind = ARGUMENT_TEXT, .name = "name", .summary = "The plan's name."},
    {.kind = ARGUMENT_TEXT, .name = "change", .summary = "What was changed, in absolute terms; empty = it is gone."},
    {.kind = ARGUMENT_TEXT, .name = "event", .flags = ARGUMENT_OPTIONAL, .summary = "The event that this is."},
    {0},
};

static const struct argument events_arguments[] = {
    {.kind = ARGUMENT_TEXT, .name = "part", .summary = "What the log begins with, or entries of it."},
    {0},
};

const struct command rl_events_command = {
    .name = "RL._EVENTS",
    .summary = "Internal: a part of the event log. Refused to clients.",
    .complexity = "O(entries)",
    .since = "1.0.0",
    .flags = "write",
    .categories = "write dangerous",
    .handler = put_events,
    .arguments = events_arguments,
};

const struct command rl_do_command = {
    .name = "RL._DO",
    .summary = "Internal: repeats what a primary has decided. Refused to clients.",
    .complexity = "O(rules)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write dangerous",
    .key_flags = KEY_WRITE,
    .handler = do_effects,
    .arguments = do_arguments,
};

const struct command rl_put_command = {
    .name = "RL._PUT",
    .summary = "Internal: a whole value out of a rewritten AOF. Refused to clients.",
    .complexity = "O(size of the value)",
    .since = "1.0.0",
    .flags = "write",
    .categories = "write dangerous",
    .key_flags = REDISMODULE_CMD_KEY_OW | REDISMODULE_CMD_KEY_UPDATE,
    .handler = put_value,
    .arguments = put_arguments,
};

const struct command rl_policy_replay_command = {
    .name = "RL._POLICY",
    .summary = "Internal: repeats a change of a policy. Refused to clients.",
    .complexity = "O(size of the change)",
    .since = "1.0.0",
    .flags = "write",
    .categories = "write dangerous",
    .handler = replay_policy,
    .arguments = policy_arguments,
};

const struct command rl_plan_replay_command = {
    .name = "RL._PLAN",
    .summary = "Internal: repeats a change of a plan. Refused to clients.",
    .complexity = "O(size of the change)",
    .since = "1.0.0",
    .flags = "write",
    .categories = "write dangerous",
    .handler = replay_plan,
    .arguments = plan_arguments,
};

const struct command rl_room_command = {
    .name = ROOM_COMMAND,
    .summary = "Internal: replies OK, or is refused by the server when its memory is full.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "readonly deny-oom fast",
    .categories = "read dangerous",
    .handler = room,
    .arguments = no_arguments,
};

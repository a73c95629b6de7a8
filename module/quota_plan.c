/* QUOTA.PLAN: named rules for the resources of accounts, changed at run time.
 *
 *     SET plan resource rules …     GET plan      DEL plan [resource]      LIST
 *
 * One resource at a time; each change is validated whole and is a new revision of the plan. Accounts take it over at
 * their next write. */
#include "command.h"
#include "entitlement_argument.h"
#include "plans.h"
#include "reply.h"

struct plan_request {
    struct bytes plan, resource;
    struct entitlement_argument entitlement;
};

#define PLAN_ROW                                                                                                       \
    FIELD(ARGUMENT_TEXT, "plan", NULL, struct plan_request, plan, 0, 0, 0, "The plan's name, 1 to 128 bytes.")

static bool name_or_reply(RedisModuleCtx *ctx, struct bytes name)
{
    if (name.size > 0 && name.size <= PLAN_NAME_MAX) return true;
    reply_error(ctx, "ERR plan '%s' must have 1 to %d bytes", printable(name).text, PLAN_NAME_MAX);
    return false;
}

static const struct plan *find_or_reply(RedisModuleCtx *ctx, struct bytes name)
{
    const struct plan *plan = plans_find(name);
    if (!plan) reply_error(ctx, "NOPLAN there is no plan '%s'", printable(name).text);
    return plan;
}

/* ---- SET and DEL ----------------------------------------------------------------------------------------- */

static const struct argument refunds_rows[] = ENTITLEMENT_REFUNDS_ROWS(struct plan_request);
static const struct argument holds_rows[] = ENTITLEMENT_HOLDS_ROWS(struct plan_request);

static const struct argument set_arguments[] = {
    PLAN_ROW,
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct plan_request, resource, 0, 0, 0, "What is counted, 1 to 128 bytes."),
    ENTITLEMENT_ROWS(struct plan_request, refunds_rows, holds_rows),
    {0},
};

/* Bytes of a plan that are known to be right become a plan of the server. */
static int put_and_reply(RedisModuleCtx *ctx, struct sink *bytes)
{
    const struct plan *plan = plan_take((struct bytes){bytes->data, bytes->size});
    sink_free(bytes);
    if (!plan) return reply_error(ctx, "ERR the plan could not be made");
    plans_put(ctx, plan);
    return RedisModule_ReplyWithLongLong(ctx, plan->revision);
}

static int set(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct plan_request request = {.entitlement.entitlement = entitlement_none(BYTES(""))};
    struct sink bytes = {0};

    if (!arguments_parse_or_reply(ctx, set_arguments, argv + 1, argc - 1, &request)) return REDISMODULE_OK;
    if (!name_or_reply(ctx, request.plan)) return REDISMODULE_OK;
    if (!entitlement_finish_or_reply(ctx, &request.entitlement, request.resource)) return REDISMODULE_OK;
    const struct plan *before = plans_find(request.plan);
    if (!before && plans_count() >= PLANS_MAX) return reply_error(ctx, "LIMITED there are %d plans already", PLANS_MAX);
    bool grows = !plan_find(before, request.resource);
    if (before && grows && before->entitlement_count == PLAN_RESOURCES_MAX) {
        return reply_error(ctx, "LIMITED a plan has at most %d resources", PLAN_RESOURCES_MAX);
    }
    plan_write_with(before, request.plan, before ? before->revision + 1 : 1, &request.entitlement.entitlement, &bytes);
    return put_and_reply(ctx, &bytes);
}

static const struct argument del_arguments[] = {
    PLAN_ROW,
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct plan_request, resource, 0, 0, ARGUMENT_OPTIONAL,
          "Take out this resource alone."),
    {0},
};

static int delete_resource(RedisModuleCtx *ctx, const struct plan *plan, struct bytes resource)
{
    struct sink bytes = {0};
    if (!plan_find(plan, resource)) return RedisModule_ReplyWithLongLong(ctx, 0);
    plan_write_without(plan, plan->revision + 1, resource, &bytes);
    const struct plan *after = plan_take((struct bytes){bytes.data, bytes.size});
    sink_free(&bytes);
    if (!after) return reply_error(ctx, "ERR the plan could not be made");
    plans_put(ctx, after);
    return RedisModule_ReplyWithLongLong(ctx, 1);
}

static int del(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct plan_request request = {.resource = {NULL, 0}};

    if (!arguments_parse_or_reply(ctx, del_arguments, argv + 1, argc - 1, &request)) return REDISMODULE_OK;
    const struct plan *plan = plans_find(request.plan);
    if (plan && request.resource.data) return delete_resource(ctx, plan, request.resource);
    return RedisModule_ReplyWithLongLong(ctx, plans_delete(ctx, request.plan));
}

/* ---- GET and LIST ---------------------------------------------------------------------------------------- */

static const struct argument get_arguments[] = {PLAN_ROW, {0}};

static void reply_entitlement(RedisModuleCtx *ctx, const struct entitlement *entitlement)
{
    char stack_buffer[256];
    uint32_t count = 0;
    RedisModule_ReplyWithStringBuffer(ctx, entitlement->resource.data, entitlement->resource.size);
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    for (bool more = true; more; count += more) {
        struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
        more = entitlement_write(entitlement, count, &text);
        if (more) RedisModule_ReplyWithStringBuffer(ctx, text.data, text.size);
        sink_free(&text);
    }
    RedisModule_ReplySetArrayLength(ctx, count);
}

static int get(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct plan_request request;

    if (!arguments_parse_or_reply(ctx, get_arguments, argv + 1, argc - 1, &request)) return REDISMODULE_OK;
    const struct plan *plan = find_or_reply(ctx, request.plan);
    if (!plan) return REDISMODULE_OK;
    RedisModule_ReplyWithMap(ctx, 3);
    reply_field_text(ctx, "plan", plan->name);
    reply_field_integer(ctx, "revision", plan->revision);
    reply_field_name(ctx, "resources");
    RedisModule_ReplyWithMap(ctx, plan->entitlement_count);
    for (uint32_t i = 0; i < plan->entitlement_count; i++) reply_entitlement(ctx, &plan->entitlement[i]);
    return REDISMODULE_OK;
}

static void list_visited(const struct plan *plan, void *ctx)
{
    RedisModule_ReplyWithStringBuffer(ctx, plan->name.data, plan->name.size);
    RedisModule_ReplyWithLongLong(ctx, plan->revision);
}

static int list(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    (void)argv;
    (void)argc;
    RedisModule_ReplyWithMap(ctx, plans_count());
    plans_each(list_visited, ctx);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_plan_command = {
    .name = "QUOTA.PLAN",
    .summary = "Named rules for the resources of accounts.",
    .complexity = "Depends on the subcommand.",
    .since = "1.0.0",
    .flags = "",
};

const struct command quota_plan_set_command = {
    .name = "QUOTA.PLAN|SET",
    .summary = "Sets the rules of one resource of a plan; replies the plan's new revision.",
    .complexity = "O(resources of the plan)",
    .since = "1.0.0",
    .flags = "write deny-oom",
    .categories = "write slow",
    .handler = set,
    .arguments = set_arguments,
};

const struct command quota_plan_get_command = {
    .name = "QUOTA.PLAN|GET",
    .summary = "Shows a plan: its revision, and each resource's rules as they are written.",
    .complexity = "O(resources of the plan)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .handler = get,
    .arguments = get_arguments,
};

const struct command quota_plan_del_command = {
    .name = "QUOTA.PLAN|DEL",
    .summary = "Deletes a plan, or one resource of it; accounts that have the plan keep its rules. Replies 1, or 0.",
    .complexity = "O(resources of the plan)",
    .since = "1.0.0",
    .flags = "write",
    .categories = "write slow",
    .handler = del,
    .arguments = del_arguments,
};

const struct command quota_plan_list_command = {
    .name = "QUOTA.PLAN|LIST",
    .summary = "Lists the plans of this server with their revisions.",
    .complexity = "O(plans)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .handler = list,
};

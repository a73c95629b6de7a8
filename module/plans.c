/* Plans as the registry has them: how one is changed, read, written and freed; see plans.h. */
#include "plans.h"

const struct plan_history *plans_find(struct bytes name)
{
    return registry_find(&plan_kind, name);
}

uint64_t plans_generation(void)
{
    return plan_kind.changes + 1;
}

bool plans_change(RedisModuleCtx *ctx, struct bytes name, struct bytes change)
{
    return registry_change(ctx, &plan_kind, name, change);
}

static struct bytes name_of(const void *history)
{
    return ((const struct plan_history *)history)->name;
}

static void encode(const void *history, struct sink *whole)
{
    plan_history_write_whole(history, whole);
}

static bool apply(void **object, struct bytes name, struct bytes change)
{
    struct plan_history *after = plan_history_apply(*object, name, change);
    if (after) *object = after;
    return after != NULL;
}

/* Plans of one revision each have their name inside. */
static void *decode_unnamed(struct bytes whole)
{
    const struct plan *plan = plan_take(whole);
    struct plan_history *history = plan ? plan_history_apply(NULL, plan->name, whole) : NULL;
    plan_release(plan);
    return history;
}

static void *decode(struct bytes name, struct bytes whole)
{
    return name.data ? plan_history_apply(NULL, name, whole) : decode_unnamed(whole);
}

static void free_plan(void *history)
{
    plan_history_free(history);
}

struct registry_kind plan_kind = {
    .noun = "plan",
    .command = "RL._PLAN",
    .event = LOGGED_PLAN_CHANGED,
    .format = &plan_format,
    .aux_since = 2,
    .aux_names = 3,
    .count_max = PLANS_MAX,
    .name = name_of,
    .encode = encode,
    .decode = decode,
    .apply = apply,
    .free = free_plan,
};

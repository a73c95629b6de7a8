/* Plans by name; see plans.h. */
#include "plans.h"
#include "commit.h"

static RedisModuleDict *plans, *aside; /* by name; NULL = none */

const struct plan *plans_find(struct bytes name)
{
    return plans ? RedisModule_DictGetC(plans, (void *)name.data, name.size, NULL) : NULL;
}

static void store(const struct plan *plan)
{
    const struct plan *before = plans_find(plan->name);
    if (!plans) plans = RedisModule_CreateDict(NULL);
    RedisModule_DictReplaceC(plans, (void *)plan->name.data, plan->name.size, (void *)plan);
    plan_release(before);
}

static bool take_out(struct bytes name)
{
    const struct plan *plan = plans_find(name);
    if (!plan) return false;
    RedisModule_DictDelC(plans, (void *)name.data, name.size, NULL);
    plan_release(plan);
    return true;
}

void plans_put(RedisModuleCtx *ctx, const struct plan *plan)
{
    store(plan);
    commit_catalogue(ctx, "RL._PLAN", plan->name, plan->bytes);
}

bool plans_delete(RedisModuleCtx *ctx, struct bytes name)
{
    if (!take_out(name)) return false;
    commit_catalogue(ctx, "RL._PLAN", name, BYTES(""));
    return true;
}

bool plans_replay(struct bytes name, struct bytes bytes)
{
    if (bytes.size == 0) {
        take_out(name);
        return true;
    }
    const struct plan *plan = plan_take(bytes);
    bool fits = plan && plan->name.size > 0 && bytes_equal(plan->name, name);
    if (fits) store(plan);
    if (!fits) plan_release(plan);
    return fits;
}

void plans_each(void (*visit)(const struct plan *plan, void *context), void *context)
{
    if (!plans) return;
    void *plan;
    RedisModuleDictIter *at = RedisModule_DictIteratorStartC(plans, "^", NULL, 0);
    while (RedisModule_DictNextC(at, NULL, &plan)) visit(plan, context);
    RedisModule_DictIteratorStop(at);
}

int64_t plans_count(void)
{
    return plans ? (int64_t)RedisModule_DictSize(plans) : 0;
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static void save_visited(const struct plan *plan, void *rdb)
{
    RedisModule_SaveStringBuffer(rdb, plan->bytes.data, plan->bytes.size);
}

void plans_save(RedisModuleIO *rdb)
{
    RedisModule_SaveUnsigned(rdb, (uint64_t)plans_count());
    plans_each(save_visited, rdb);
}

/* A damaged plan is left out with a warning: accounts carry their rules, and the data must load. */
bool plans_load(RedisModuleIO *rdb)
{
    uint64_t count = RedisModule_LoadUnsigned(rdb);
    if (RedisModule_IsIOError(rdb) || count > PLANS_MAX) return false;
    for (uint64_t i = 0; i < count; i++) {
        size_t size;
        char *bytes = RedisModule_LoadStringBuffer(rdb, &size);
        if (!bytes) return false;
        const struct plan *plan = plan_take((struct bytes){bytes, size});
        RedisModule_Free(bytes);
        if (plan) store(plan);
        if (!plan) RedisModule_LogIOError(rdb, "warning", "a damaged plan was left out");
    }
    return true;
}

static void release_visited(const struct plan *plan, void *unused)
{
    (void)unused;
    plan_release(plan);
}

void plans_clear(void)
{
    if (!plans) return;
    plans_each(release_visited, NULL);
    RedisModule_FreeDict(NULL, plans);
    plans = NULL;
}

void plans_swap(void)
{
    RedisModuleDict *shown = plans;
    plans = aside;
    aside = shown;
}

static void write_visited(const struct plan *plan, void *ctx)
{
    commit_catalogue(ctx, "RL._PLAN", plan->name, plan->bytes);
}

void plans_write(RedisModuleCtx *ctx)
{
    plans_each(write_visited, ctx);
}

/* Plans by name; see plans.h. */
#include "plans.h"
#include "transaction.h"

static RedisModuleDict *plans, *aside; /* by name; NULL = none */
static uint64_t generation = 1;

const struct plan_history *plans_find(struct bytes name)
{
    return plans ? RedisModule_DictGetC(plans, (void *)name.data, name.size, NULL) : NULL;
}

uint64_t plans_generation(void)
{
    return generation;
}

static void take_out(struct bytes name)
{
    struct plan_history *history = (struct plan_history *)plans_find(name);
    if (!history) return;
    RedisModule_DictDelC(plans, (void *)name.data, name.size, NULL);
    plan_history_free(history);
    generation++;
}

static bool change(struct bytes name, struct bytes bytes)
{
    struct plan_history *before = (struct plan_history *)plans_find(name);
    struct plan_history *after = plan_history_apply(before, name, bytes);
    if (!after) return false;
    generation++;
    if (!plans) plans = RedisModule_CreateDict(NULL);
    if (after != before) RedisModule_DictReplaceC(plans, (void *)name.data, name.size, after);
    return true;
}

bool plans_change(RedisModuleCtx *ctx, struct bytes name, struct bytes bytes)
{
    if (!change(name, bytes)) return false;
    transaction_replicate_configuration(ctx, "RL._PLAN", name, bytes);
    return true;
}

bool plans_replay(struct bytes name, struct bytes bytes)
{
    if (bytes.size > 0) return change(name, bytes);
    take_out(name);
    return true;
}

static void each(void (*visit)(const struct plan_history *plan, void *context), void *context)
{
    if (!plans) return;
    void *plan;
    RedisModuleDictIter *at = RedisModule_DictIteratorStartC(plans, "^", NULL, 0);
    while (RedisModule_DictNextC(at, NULL, &plan)) visit(plan, context);
    RedisModule_DictIteratorStop(at);
}

uint32_t plans_page(struct bytes after, uint32_t count, const struct plan_history *page[], bool *more)
{
    uint32_t found = 0;
    void *plan;
    *more = false;
    if (!plans) return 0;
    RedisModuleDictIter *at =
        RedisModule_DictIteratorStartC(plans, after.size > 0 ? ">" : "^", (void *)after.data, after.size);
    while (found < count && RedisModule_DictNextC(at, NULL, &plan)) page[found++] = plan;
    *more = found == count && RedisModule_DictNextC(at, NULL, &plan) != NULL;
    RedisModule_DictIteratorStop(at);
    return found;
}

int64_t plans_count(void)
{
    return plans ? (int64_t)RedisModule_DictSize(plans) : 0;
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static void save_visited(const struct plan_history *plan, void *rdb)
{
    struct sink whole = {0};
    plan_history_write_whole(plan, &whole);
    RedisModule_SaveStringBuffer(rdb, plan->name.data, plan->name.size);
    RedisModule_SaveStringBuffer(rdb, whole.data, whole.size);
    sink_free(&whole);
}

void plans_save(RedisModuleIO *rdb)
{
    RedisModule_SaveUnsigned(rdb, (uint64_t)plans_count());
    each(save_visited, rdb);
}

/* Plans of the first encoding have their name inside. */
static bool add_first_encoding(struct bytes bytes)
{
    const struct plan *plan = plan_take(bytes);
    bool added = plan && plan->name.size > 0 && change(plan->name, bytes);
    plan_release(plan);
    return added;
}

/* False at the end of a file that is cut off. A damaged plan is left out with a warning: accounts carry their rules,
 * and the data must load. */
static bool load_one(RedisModuleIO *rdb, bool first_encoding)
{
    size_t name_size = 0, size = 0;
    char *name = first_encoding ? NULL : RedisModule_LoadStringBuffer(rdb, &name_size);
    char *bytes = name || first_encoding ? RedisModule_LoadStringBuffer(rdb, &size) : NULL;
    struct bytes content = {bytes, size};
    bool added =
        bytes && (first_encoding ? add_first_encoding(content) : change((struct bytes){name, name_size}, content));
    if (bytes && !added) RedisModule_LogIOError(rdb, "warning", "a damaged plan was left out");
    if (name) RedisModule_Free(name);
    if (bytes) RedisModule_Free(bytes);
    return bytes != NULL;
}

bool plans_load(RedisModuleIO *rdb, bool first_encoding)
{
    uint64_t count = RedisModule_LoadUnsigned(rdb);
    if (RedisModule_IsIOError(rdb) || count > PLANS_MAX) return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!load_one(rdb, first_encoding)) return false;
    }
    return true;
}

static void free_visited(const struct plan_history *plan, void *unused)
{
    (void)unused;
    plan_history_free((struct plan_history *)plan);
}

void plans_clear(void)
{
    if (!plans) return;
    each(free_visited, NULL);
    RedisModule_FreeDict(NULL, plans);
    plans = NULL;
    generation++;
}

void plans_swap(void)
{
    RedisModuleDict *shown = plans;
    plans = aside;
    aside = shown;
    generation++;
}

static void write_visited(const struct plan_history *plan, void *ctx)
{
    struct sink whole = {0};
    plan_history_write_whole(plan, &whole);
    transaction_replicate_configuration(ctx, "RL._PLAN", plan->name, (struct bytes){whole.data, whole.size});
    sink_free(&whole);
}

void plans_write(RedisModuleCtx *ctx)
{
    each(write_visited, ctx);
}

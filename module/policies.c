/* Policies by name, their changes and their files; see policies.h. */
#include "policies.h"
#include "plans.h"
#include "quota/rate/policy_codec.h"
#include "reply.h"
#include "transaction.h"
#include <pthread.h>

#define REPLAY           "RL._POLICY"
#define AUX_VERSION      3 /* 1: policies alone; 2: plans of one revision each; 3: histories of plans */
#define AUX_COUNT_MAX    1000000
#define SWEEP_LOOKED_MAX 64 /* entries a change looks at in passing … */
#define SWEEP_LIFTS_MAX  16 /* … and takes out when they have expired */
#define CHUNK_BYTES      65536
#define PAUSE_MS         50    /* while writes are paused look again so often */
#define LARGE_BYTES      65536 /* what takes more is freed apart */

static RedisModuleDict *policies, *aside; /* by name; NULL = none */
static bool loads_aside;                  /* a full sync is loaded beside what is still read (swapdb) */

/* ---- the table ------------------------------------------------------------------------------------------- */

struct policy *policies_find(struct bytes name)
{
    return policies ? RedisModule_DictGetC(policies, (void *)name.data, name.size, NULL) : NULL;
}

static void *free_apart(void *policy)
{
    policy_free(policy);
    return NULL;
}

/* A policy of many subjects is freed by a thread of its own: nobody waits for that. */
static void let_go(struct policy *policy)
{
    pthread_t thread;
    bool large = policy && policy_bytes(policy) > LARGE_BYTES;
    if (large && pthread_create(&thread, NULL, free_apart, policy) == 0) {
        pthread_detach(thread);
    } else {
        policy_free(policy);
    }
}

static void policies_put(struct policy *policy)
{
    struct bytes name = policy_name(policy);
    if (!policies) policies = RedisModule_CreateDict(NULL);
    let_go(policies_find(name));
    RedisModule_DictReplaceC(policies, (void *)name.data, name.size, policy);
}

static bool policies_take_out(struct bytes name)
{
    struct policy *policy = policies_find(name);
    if (!policy) return false;
    RedisModule_DictDelC(policies, (void *)name.data, name.size, NULL);
    let_go(policy);
    return true;
}

void policies_each(void (*visit)(const struct policy *policy, void *context), void *context)
{
    if (!policies) return;
    void *policy;
    RedisModuleDictIter *at = RedisModule_DictIteratorStartC(policies, "^", NULL, 0);
    while (RedisModule_DictNextC(at, NULL, &policy)) visit(policy, context);
    RedisModule_DictIteratorStop(at);
}

int64_t policies_count(void)
{
    return policies ? (int64_t)RedisModule_DictSize(policies) : 0;
}

static void free_visited(const struct policy *policy, void *unused)
{
    (void)unused;
    let_go((struct policy *)policy);
}

static void policies_clear(void)
{
    if (!policies) return;
    policies_each(free_visited, NULL);
    RedisModule_FreeDict(NULL, policies);
    policies = NULL;
}

/* ---- changes --------------------------------------------------------------------------------------------- */

/* The first definition begins the policy; everything else needs one. False when the effect does not fit. */
static bool policies_apply(struct bytes name, const struct policy_effect *effect)
{
    struct policy *policy = policies_find(name);
    if (!policy) {
        bool begins = effect->kind == POLICY_DEFINE && policy_name_valid(name) &&
                      policy_definition_fault(effect->definition) == POLICY_FAULT_NONE;
        if (begins) policies_put(policy_new(name, effect->definition));
        return begins;
    }
    if (policy_fault_of(policy, effect) != POLICY_FAULT_NONE) return false;
    policy_apply(policy, effect);
    return true;
}

void policies_change(RedisModuleCtx *ctx, struct bytes name, const struct policy_effect *effect, int64_t now_us)
{
    struct policy_effect lifts[SWEEP_LIFTS_MAX];
    struct sink wire = {0};
    policy_effect_encode(effect, &wire);
    policies_apply(name, effect);
    struct policy *policy = policies_find(name);
    uint32_t count = policy_sweep(policy, now_us, SWEEP_LOOKED_MAX, lifts, SWEEP_LIFTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        policy_effect_encode(&lifts[i], &wire); /* before it is applied: it borrows from what it takes out */
        policy_apply(policy, &lifts[i]);
    }
    transaction_replicate_configuration(ctx, REPLAY, name, (struct bytes){wire.data, wire.size});
    sink_free(&wire);
}

bool policies_delete(RedisModuleCtx *ctx, struct bytes name)
{
    if (!policies_take_out(name)) return false;
    transaction_replicate_configuration(ctx, REPLAY, name, BYTES(""));
    return true;
}

bool policies_replay(struct bytes name, struct bytes effects)
{
    struct cursor cursor = cursor_init(effects);
    struct policy_effect effect;
    bool fits = true;
    if (effects.size == 0) {
        policies_take_out(name);
        return true;
    }
    struct policy_effect_room *room = RedisModule_Alloc(sizeof(*room));
    while (fits && !cursor_done(&cursor)) {
        fits = policy_effect_decode(&cursor, room, &effect) && policies_apply(name, &effect);
    }
    RedisModule_Free(room);
    return fits;
}

/* ---- auxiliary data of RDB files ------------------------------------------------------------------------- */

static void save_visited(const struct policy *policy, void *rdb)
{
    struct sink blob = {0};
    policy_encode(policy, &blob);
    RedisModule_SaveStringBuffer(rdb, blob.data, blob.size);
    sink_free(&blob);
}

/* Version and count are always written: a server that finds nothing there would refuse the file. */
static void save_aux(RedisModuleIO *rdb, int when)
{
    (void)when;
    RedisModule_SaveUnsigned(rdb, AUX_VERSION);
    RedisModule_SaveUnsigned(rdb, (uint64_t)policies_count());
    policies_each(save_visited, rdb);
    plans_save(rdb);
}

static void policies_swap(void)
{
    RedisModuleDict *shown = policies;
    policies = aside;
    aside = shown;
    plans_swap();
}

/* A damaged policy is left out with a warning: limits that do not load must not keep the data from loading. */
static int load_configuration(RedisModuleIO *rdb)
{
    uint64_t version = RedisModule_LoadUnsigned(rdb), count = RedisModule_LoadUnsigned(rdb);
    if (RedisModule_IsIOError(rdb) || version < 1 || version > AUX_VERSION || count > AUX_COUNT_MAX) {
        RedisModule_LogIOError(rdb, "warning",
                               "policies and plans of a newer version, or damaged: the file is refused");
        return REDISMODULE_ERR;
    }
    policies_clear();
    plans_clear();
    for (uint64_t i = 0; i < count; i++) {
        size_t size;
        char *bytes = RedisModule_LoadStringBuffer(rdb, &size);
        if (!bytes) return REDISMODULE_ERR;
        struct policy *policy = policy_decode((struct bytes){bytes, size});
        RedisModule_Free(bytes);
        if (policy) policies_put(policy);
        if (!policy) RedisModule_LogIOError(rdb, "warning", "a damaged policy was left out");
    }
    return version == 1 || plans_load(rdb, version == 2) ? REDISMODULE_OK : REDISMODULE_ERR;
}

static int load_aux(RedisModuleIO *rdb, int encoding, int when)
{
    (void)encoding;
    (void)when;
    if (loads_aside) policies_swap();
    int loaded = load_configuration(rdb);
    if (loads_aside) policies_swap();
    return loaded;
}

/* ---- an AOF rewritten without preamble ------------------------------------------------------------------- */

struct writing {
    RedisModuleCtx *ctx;
    struct bytes name;
    struct sink wire;
};

static void flush_writing(struct writing *writing, size_t threshold)
{
    if (writing->wire.size <= threshold) return;
    transaction_replicate_configuration(writing->ctx, REPLAY, writing->name,
                                        (struct bytes){writing->wire.data, writing->wire.size});
    writing->wire.size = 0;
}

static void write_effect(struct writing *writing, struct policy_effect effect)
{
    policy_effect_encode(&effect, &writing->wire);
    flush_writing(writing, CHUNK_BYTES);
}

/* The policy as the effects that would make it. */
static void write_policy(const struct policy *policy, void *ctx)
{
    struct writing writing = {.ctx = ctx, .name = policy_name(policy)};
    struct policy_rules schedule_rules[SCHEDULES_MAX];
    for (uint32_t i = 0; i < policy->schedules_count; i++) {
        const struct rule_set *set = policy->schedule_rules[i];
        schedule_rules[i] = (struct policy_rules){set->rules, set->count};
    }
    struct policy_definition definition = {.revision = policy->revision,
                                           .block_us = policy->block_us,
                                           .shadow = policy->shadow,
                                           .base = {policy->rules->rules, policy->rules->count},
                                           .schedules_count = policy->schedules_count,
                                           .schedules = policy->schedules,
                                           .schedule_rules = schedule_rules};
    transaction_replicate_configuration(ctx, REPLAY, writing.name,
                                        BYTES("")); /* whatever stood in the older part of the file */
    write_effect(&writing, (struct policy_effect){.kind = POLICY_DEFINE, .definition = &definition});
    for (const struct policy_entry *entry = policy->overrides.first; entry; entry = entry->next) {
        write_effect(&writing, (struct policy_effect){.kind = POLICY_OVERRIDE,
                                                      .subject = {entry->subject, entry->size},
                                                      .until_us = entry->until_us,
                                                      .rules = {entry->rules->rules, entry->rules->count}});
    }
    for (const struct policy_entry *entry = policy->listed.first; entry; entry = entry->next) {
        write_effect(&writing, (struct policy_effect){.kind = POLICY_LIST,
                                                      .subject = {entry->subject, entry->size},
                                                      .until_us = entry->until_us,
                                                      .listing = entry->listing});
    }
    struct cidr_entry range;
    for (const struct cidr *after = NULL; policy->ranges && cidr_set_next(policy->ranges, after, &range);
         after = &range.range) {
        write_effect(&writing, (struct policy_effect){.kind = POLICY_RANGE,
                                                      .range = range.range,
                                                      .until_us = range.until_us,
                                                      .listing = range.listing});
    }
    flush_writing(&writing, 0);
    sink_free(&writing.wire);
}

/* At once, or as soon as writes are no longer paused: replicating during a pause would abort the server. */
static void write_configuration(RedisModuleCtx *ctx, void *unused)
{
    (void)unused;
    if (RedisModule_AvoidReplicaTraffic()) {
        RedisModule_CreateTimer(ctx, PAUSE_MS, write_configuration, NULL);
    } else {
        policies_each(write_policy, ctx);
        plans_write(ctx);
    }
}

/* The server has opened a new part of its AOF and forked the child that rewrites the older ones. The configuration is
 * written as soon as the command that began this has ended: what is replicated inside BGREWRITEAOF or CONFIG SET takes
 * that command itself along, to the AOF and to every replica. */
static void fork_happened(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t what, void *data)
{
    (void)event;
    (void)data;
    if (what != REDISMODULE_SUBEVENT_FORK_CHILD_BORN || policies_count() + plans_count() == 0) return;
    int failed;
    RedisModuleServerInfoData *info = RedisModule_GetServerInfo(ctx, "persistence");
    bool rewrites = RedisModule_ServerInfoGetFieldUnsigned(info, "aof_rewrite_in_progress", &failed) == 1;
    RedisModule_FreeServerInfo(ctx, info);
    if (rewrites) RedisModule_CreateTimer(ctx, 0, write_configuration, NULL);
}

/* What is loaded replaces the configuration whole, also where it holds no policy at all. */
static void loading_happened(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t what, void *data)
{
    (void)ctx;
    (void)event;
    (void)data;
    bool begins = what == REDISMODULE_SUBEVENT_LOADING_RDB_START || what == REDISMODULE_SUBEVENT_LOADING_AOF_START ||
                  what == REDISMODULE_SUBEVENT_LOADING_REPL_START;
    if (begins && !loads_aside) policies_clear(), plans_clear();
}

/* A replica that loads its full sync beside what is read shows the old configuration with the old keys and the new one
 * with the new ones; what did not load whole is dropped. */
static void aside_happened(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t what, void *data)
{
    (void)ctx;
    (void)event;
    (void)data;
    loads_aside = what == REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_STARTED;
    if (what == REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_COMPLETED) policies_swap();
    if (loads_aside) return;
    policies_swap();
    policies_clear(), plans_clear();
    policies_swap();
}

/* ---- registration ---------------------------------------------------------------------------------------- */

/* No key is ever of this type: it is there for the auxiliary data alone. */
static void *load_nothing(RedisModuleIO *rdb, int encoding)
{
    (void)rdb;
    (void)encoding;
    return NULL;
}

static void save_nothing(RedisModuleIO *rdb, void *value)
{
    (void)rdb;
    (void)value;
}

static void rewrite_nothing(RedisModuleIO *aof, RedisModuleString *key, void *value)
{
    (void)aof;
    (void)key;
    (void)value;
}

static void free_nothing(void *value)
{
    (void)value;
}

int policies_register(RedisModuleCtx *ctx)
{
    RedisModuleTypeMethods methods = {
        .version = REDISMODULE_TYPE_METHOD_VERSION,
        .rdb_load = load_nothing,
        .rdb_save = save_nothing,
        .aof_rewrite = rewrite_nothing,
        .free = free_nothing,
        .aux_load = load_aux,
        .aux_save = save_aux,
        .aux_save_triggers = REDISMODULE_AUX_BEFORE_RDB,
    };
    if (!RedisModule_CreateDataType(ctx, "rl-policy", 0, &methods)) return REDISMODULE_ERR;
    if (RedisModule_SubscribeToServerEvent(ctx, RedisModuleEvent_Loading, loading_happened) != REDISMODULE_OK) {
        return REDISMODULE_ERR;
    }
    if (RedisModule_SubscribeToServerEvent(ctx, RedisModuleEvent_ReplAsyncLoad, aside_happened) != REDISMODULE_OK) {
        return REDISMODULE_ERR;
    }
    return RedisModule_SubscribeToServerEvent(ctx, RedisModuleEvent_ForkChild, fork_happened);
}

/* Policies as the registry has them: how one is changed, read, written and freed; see policies.h. */
#include "policies.h"
#include "quota/base/expect.h"
#include "quota/rate/policy_codec.h"
#include <pthread.h>

#define SWEEP_LOOKED_MAX 64 /* entries a change looks at in passing … */
#define SWEEP_LIFTS_MAX  16 /* … and takes out when they have expired */
#define CHUNK_BYTES      65536
#define LARGE_BYTES      65536 /* what takes more is freed apart */

struct policy *policies_find(struct bytes name)
{
    return registry_find(&policy_kind, name);
}

/* ---- changes --------------------------------------------------------------------------------------------- */

/* The first definition begins the policy; everything else needs one. False when the effect does not fit. */
static bool apply_one(struct policy **policy, struct bytes name, const struct policy_effect *effect)
{
    if (!*policy) {
        bool begins = effect->kind == POLICY_DEFINE && policy_name_valid(name) &&
                      policy_definition_fault(effect->definition) == POLICY_FAULT_NONE;
        if (begins) *policy = policy_new(name, effect->definition);
        return begins;
    }
    if (policy_fault_of(*policy, effect) != POLICY_FAULT_NONE) return false;
    policy_apply(*policy, effect);
    return true;
}

static bool apply(void **object, struct bytes name, struct bytes change)
{
    struct cursor cursor = cursor_init(change);
    struct policy *policy = *object;
    struct policy_effect_room room;
    struct policy_effect effect;
    bool fits = true;
    while (fits && !cursor_done(&cursor)) {
        fits = policy_effect_decode(&cursor, &room, &effect) && apply_one(&policy, name, &effect);
    }
    *object = policy;
    return fits;
}

void policies_change(RedisModuleCtx *ctx, struct bytes name, const struct policy_effect *effect, int64_t now_us)
{
    struct policy_effect lifts[SWEEP_LIFTS_MAX];
    struct sink change = {0};
    policy_effect_encode(effect, &change);
    bool fits = registry_apply(&policy_kind, name, sink_content(&change));
    if (expect(fits)) {
        struct policy *policy = policies_find(name);
        uint32_t count = policy_sweep(policy, now_us, SWEEP_LOOKED_MAX, lifts, SWEEP_LIFTS_MAX);
        for (uint32_t i = 0; i < count; i++) {
            policy_effect_encode(&lifts[i], &change); /* before it is applied: it borrows from what it takes out */
            policy_apply(policy, &lifts[i]);
        }
        registry_replicate(ctx, &policy_kind, name, sink_content(&change));
    }
    sink_free(&change);
}

bool policies_delete(RedisModuleCtx *ctx, struct bytes name)
{
    return policies_find(name) && registry_change(ctx, &policy_kind, name, BYTES(""));
}

/* ---- written again, as changes --------------------------------------------------------------------------- */

struct writing {
    RedisModuleIO *aof;
    struct bytes name;
    struct sink change;
};

static void flush_writing(struct writing *writing, size_t threshold)
{
    if (writing->change.size <= threshold) return;
    registry_write(writing->aof, &policy_kind, writing->name, sink_content(&writing->change));
    writing->change.size = 0;
}

static void write_effect(struct writing *writing, struct policy_effect effect)
{
    policy_effect_encode(&effect, &writing->change);
    flush_writing(writing, CHUNK_BYTES);
}

/* The policy as the effects that would make it: a whole one may be larger than a command should be. */
static void write(RedisModuleIO *aof, const void *object)
{
    const struct policy *policy = object;
    struct writing writing = {.aof = aof, .name = policy_name(policy)};
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
    registry_write(aof, &policy_kind, writing.name, BYTES("")); /* whatever stood in the older part of the file */
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
    sink_free(&writing.change);
}

/* ---- the row --------------------------------------------------------------------------------------------- */

static struct bytes name_of(const void *policy)
{
    return policy_name(policy);
}

static void encode(const void *policy, struct sink *whole)
{
    policy_encode(policy, whole);
}

static void *decode(struct bytes name, struct bytes whole)
{
    (void)name; /* it is inside */
    return policy_decode(whole);
}

static void *free_apart(void *policy)
{
    policy_free(policy);
    return NULL;
}

/* A policy of many subjects is freed by a thread of its own: no client waits for that. */
static void free_policy(void *policy)
{
    pthread_t thread;
    if (policy_bytes(policy) > LARGE_BYTES && pthread_create(&thread, NULL, free_apart, policy) == 0) {
        pthread_detach(thread);
    } else {
        policy_free(policy);
    }
}

struct registry_kind policy_kind = {
    .noun = "policy",
    .command = "RL._POLICY",
    .event = LOGGED_POLICY_CHANGED,
    .format = &policy_format,
    .aux_since = 1,
    .count_max = POLICIES_MAX,
    .name = name_of,
    .encode = encode,
    .decode = decode,
    .apply = apply,
    .write = write,
    .free = free_policy,
};

/* Counters and their section of INFO; see metrics.h. */
#include "metrics.h"
#include "event_log.h"
#include "quota/account/holds.h"
#include "quota/base/expect.h"
#include "quota/rate/lease.h"
#include "quota/rate/rule_set.h"
#include "registry.h"
#include "tallies.h"
#include "value_type.h"
#include "waiting.h"
#include <stdio.h>

static unsigned long long counters[CAUSES_COUNT];

static const char *const cause_names[CAUSES_COUNT] = {
    [CAUSE_ADMITTED] = "admitted", [CAUSE_LIMIT] = "denied_limit",     [CAUSE_BLOCK] = "denied_block",
    [CAUSE_LIST] = "denied_list",  [CAUSE_BREAKER] = "denied_breaker", [CAUSE_SHADOW] = "shadowed",
};

void metrics_count_cause(enum cause cause)
{
    counters[cause]++;
}

/* `rl-bucket` → `keys_rl_bucket`: field names have no dashes. */
static void add_type_field(RedisModuleInfoCtx *info, const char *what, const char *type, long long value)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "%s_%s", what, type);
    for (char *at = name; *at; at++) {
        if (*at == '-') *at = '_';
    }
    RedisModule_InfoAddFieldLongLong(info, name, value);
}

/* Also called while the server crashes: nothing is allocated, no key is touched. */
static void fill_info(RedisModuleInfoCtx *info, int crashing)
{
    if (RedisModule_InfoAddSection(info, "") != REDISMODULE_OK) return;
    for (int i = 0; i < CAUSES_COUNT; i++) RedisModule_InfoAddFieldULongLong(info, cause_names[i], counters[i]);
    RedisModule_InfoAddFieldLongLong(info, "waiting", waiting_count());
    RedisModule_InfoAddFieldLongLong(info, "leases", leases_records_count());
    RedisModule_InfoAddFieldLongLong(info, "holds", holds_reservations_count());
    RedisModule_InfoAddFieldLongLong(info, "policies", registry_count(&policy_kind));
    RedisModule_InfoAddFieldLongLong(info, "plans", registry_count(&plan_kind));
    RedisModule_InfoAddFieldLongLong(info, "violations", violations_count());
    RedisModule_InfoAddFieldLongLong(info, "events", event_log_count());
    RedisModule_InfoAddFieldLongLong(info, "bugs", expect_failures());
    if (!crashing) RedisModule_InfoAddFieldLongLong(info, "rule_sets", rule_sets_count()); /* takes a lock */
    for (struct value_type *const *value_type = value_types; *value_type; value_type++) {
        add_type_field(info, "keys", (*value_type)->type_name, atomic_load(&(*value_type)->held_values));
        add_type_field(info, "bytes", (*value_type)->type_name, atomic_load(&(*value_type)->held_bytes));
    }
    tallies_fill_info(info);
}

/* The log line of the first expectation that did not hold. */
static void log_bug(const char *condition, const char *file, int line)
{
    RedisModule_Log(NULL, "warning", "a bug of this module, please report it: %s:%d expected %s", file, line,
                    condition);
}

int metrics_register(RedisModuleCtx *ctx)
{
    expect_log_with(log_bug);
    return RedisModule_RegisterInfoFunc(ctx, fill_info);
}

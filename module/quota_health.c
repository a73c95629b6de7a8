/* QUOTA.HEALTH: what endangers quotas on this server, for operators and monitors.
 *
 *     server's settings (eviction, persistence) ─┐
 *     settings of the module, zones, the clock ──┼─▶ status ok | warning, problems: a word, a colon, and what to do
 *     what is bounded, and nearly full ──────────┘
 *
 * The word in front of the colon is one of a few, so that a monitor can count problems by it. */
#include "accounts.h"
#include "ahead.h"
#include "clock.h"
#include "command.h"
#include "config.h"
#include "event_log.h"
#include "plans.h"
#include "policies.h"
#include "quota/base/expect.h"
#include "registry.h"
#include "reply.h"
#include "tallies.h"
#include "zones.h"
#include <stdarg.h>
#include <stdio.h>

#define PROBLEMS_MAX      16
#define PROBLEM_BYTES_MAX 224

struct problems {
    uint32_t count;
    char texts[PROBLEMS_MAX][PROBLEM_BYTES_MAX];
};

/* One problem more, as printf has it. */
__attribute__((format(printf, 2, 3))) static void add(struct problems *problems, const char *format, ...)
{
    va_list arguments;
    if (!expect(problems->count < PROBLEMS_MAX)) return;
    va_start(arguments, format);
    (void)vsnprintf(problems->texts[problems->count++], PROBLEM_BYTES_MAX, format, arguments);
    va_end(arguments);
}

static const char *server_setting(RedisModuleServerInfoData *data, const char *field)
{
    const char *value = RedisModule_ServerInfoGetFieldC(data, field);
    return value ? value : "";
}

static void add_memory(RedisModuleCtx *ctx, struct problems *problems)
{
    RedisModuleServerInfoData *data = RedisModule_GetServerInfo(ctx, "memory");
    const char *policy = server_setting(data, "maxmemory_policy");
    bool bounded = strcmp(server_setting(data, "maxmemory"), "0") != 0;
    if (bounded && strncmp(policy, "allkeys-", 8) == 0) {
        add(problems, "eviction: maxmemory-policy allkeys-* may drop accounts and tables; use noeviction");
    }
    if (bounded && strcmp(policy, "noeviction") != 0) {
        add(problems, "eviction: maxmemory-policy may drop buckets, blocks, leases and breakers that still hold "
                      "something, and resets them; use noeviction");
    }
    RedisModule_FreeServerInfo(ctx, data);
}

static void add_persistence(RedisModuleCtx *ctx, struct problems *problems)
{
    RedisModuleServerInfoData *data = RedisModule_GetServerInfo(ctx, "persistence");
    bool aof = strcmp(server_setting(data, "aof_enabled"), "1") == 0;
    if (!aof) add(problems, "persistence: without appendonly a crash forgets what was used since the last snapshot");
    if (aof && config_server_is(ctx, "appendfsync", "NO")) {
        add(problems, "persistence: with appendfsync no a crash of the machine forgets what was used since the "
                      "operating system last wrote the AOF");
    }
    if (aof && strcmp(server_setting(data, "aof_last_write_status"), "ok") != 0) {
        add(problems, "persistence: the last write to the AOF failed");
    }
    if (strcmp(server_setting(data, "rdb_last_bgsave_status"), "ok") != 0) {
        add(problems, "persistence: the last snapshot failed");
    }
    RedisModule_FreeServerInfo(ctx, data);
}

static void add_settings(struct problems *problems)
{
    struct bytes plan = config_default_plan();
    if (plan.size > 0 && !plans_find(plan)) {
        add(problems, "plans: quota.default-plan names a plan that this server does not have");
    }
    if (plan.size == 0 && config_auto_open()) {
        add(problems, "plans: quota.auto-open is on, but there is no quota.default-plan to open with");
    }
    if (!zones_find(BYTES("Europe/London"), NULL)) {
        add(problems, "zones: there are no zone files in quota.tzdir; only UTC is known");
    }
    if (clock_is_frozen()) add(problems, "clock: the test clock is frozen (QUOTA.CLOCK RESUME)");
}

/* Accounts whose last change lies in the future. */
static void add_ahead(RedisModuleCtx *ctx, struct problems *problems)
{
    uint32_t ahead = ahead_count(ctx, clock_now_us());
    if (ahead == 0) return;
    add(problems,
        "clock: %u%s accounts were last changed ahead of it, by a clock that was wrong (QUOTA.RESET heals one)", ahead,
        ahead == AHEAD_MAX ? " or more" : "");
}

/* What an event log of this size forgets. */
static void add_events(RedisModuleCtx *ctx, struct problems *problems)
{
    int64_t dropped = event_log_facts(ctx).dropped;
    if (dropped == 0) return;
    add(problems,
        "events: %lld entries were dropped to make room; a reader that is behind has missed them "
        "(quota.events-max, quota.events-bytes)",
        (long long)dropped);
}

/* What is refused, or not counted, once there are so many. */
static void add_bound(struct problems *problems, const char *what, int64_t number, int64_t most)
{
    if (number < most - most / 10) return;
    add(problems, "bounds: %lld %s of at most %lld", (long long)number, what, (long long)most);
}

static const struct argument health_arguments[] = {{0}};

static int health(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct problems problems;
    if (!arguments_parse_or_reply(ctx, health_arguments, argv, argc, NULL)) return REDISMODULE_OK;
    problems.count = 0;
    add_memory(ctx, &problems);
    add_persistence(ctx, &problems);
    add_settings(&problems);
    add_ahead(ctx, &problems);
    add_events(ctx, &problems);
    add_bound(&problems, "plans", registry_count(&plan_kind), PLANS_MAX);
    add_bound(&problems, "policies", registry_count(&policy_kind), POLICIES_MAX);
    add_bound(&problems, "plans and resources that INFO counts", tallies_rows(), TALLIES_MAX);
    RedisModule_ReplyWithMap(ctx, 2);
    reply_field_text(ctx, "status", problems.count == 0 ? BYTES("ok") : BYTES("warning"));
    reply_field_name(ctx, "problems");
    RedisModule_ReplyWithArray(ctx, problems.count);
    for (uint32_t i = 0; i < problems.count; i++) RedisModule_ReplyWithCString(ctx, problems.texts[i]);
    return REDISMODULE_OK;
}

const struct command quota_health_command = {
    .name = "QUOTA.HEALTH",
    .summary = "Shows what endangers quotas on this server: eviction, persistence, plans, zones, clock, accounts ahead "
               "of it, dropped events, bounds that are nearly met; replies a map.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .handler = health,
};

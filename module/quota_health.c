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
#include "registry.h"
#include "reply.h"
#include "tallies.h"
#include "zones.h"
#include <stdio.h>

#define PROBLEMS_MAX      16
#define PROBLEM_BYTES_MAX 160
#define ROOMS_COUNT       5 /* problems that say a number */

static const char *server_setting(RedisModuleServerInfoData *data, const char *field)
{
    const char *value = RedisModule_ServerInfoGetFieldC(data, field);
    return value ? value : "";
}

static uint32_t memory_problems(RedisModuleCtx *ctx, const char **problems, uint32_t count)
{
    RedisModuleServerInfoData *data = RedisModule_GetServerInfo(ctx, "memory");
    const char *policy = server_setting(data, "maxmemory_policy");
    bool bounded = strcmp(server_setting(data, "maxmemory"), "0") != 0;
    if (bounded && strncmp(policy, "allkeys-", 8) == 0) {
        problems[count++] = "eviction: maxmemory-policy allkeys-* may drop accounts and tables; use noeviction";
    }
    if (bounded && strcmp(policy, "noeviction") != 0) {
        problems[count++] = "eviction: maxmemory-policy may drop buckets, blocks, leases and breakers that still hold "
                            "something, and resets them; use noeviction";
    }
    RedisModule_FreeServerInfo(ctx, data);
    return count;
}

static uint32_t persistence_problems(RedisModuleCtx *ctx, const char **problems, uint32_t count)
{
    RedisModuleServerInfoData *data = RedisModule_GetServerInfo(ctx, "persistence");
    bool aof = strcmp(server_setting(data, "aof_enabled"), "1") == 0;
    if (!aof) {
        problems[count++] = "persistence: without appendonly a crash forgets what was used since the last snapshot";
    }
    if (aof && config_server_is(ctx, "appendfsync", "NO")) {
        problems[count++] = "persistence: with appendfsync no a crash of the machine forgets what was used since the "
                            "operating system last wrote the AOF";
    }
    if (aof && registry_may_be_lost(ctx)) {
        problems[count++] = "persistence: with aof-use-rdb-preamble no, as long as there is no key of this module, a "
                            "crash while writes are paused may lose plans and policies; set it to yes";
    }
    if (aof && strcmp(server_setting(data, "aof_last_write_status"), "ok") != 0) {
        problems[count++] = "persistence: the last write to the AOF failed";
    }
    if (strcmp(server_setting(data, "rdb_last_bgsave_status"), "ok") != 0) {
        problems[count++] = "persistence: the last snapshot failed";
    }
    RedisModule_FreeServerInfo(ctx, data);
    return count;
}

static uint32_t setting_problems(const char **problems, uint32_t count)
{
    struct bytes plan = config_default_plan();
    if (plan.size > 0 && !plans_find(plan)) {
        problems[count++] = "plans: quota.default-plan names a plan that this server does not have";
    }
    if (plan.size == 0 && config_auto_open()) {
        problems[count++] = "plans: quota.auto-open is on, but there is no quota.default-plan to open with";
    }
    if (!zones_find(BYTES("Europe/London"), NULL)) {
        problems[count++] = "zones: there are no zone files in quota.tzdir; only UTC is known";
    }
    if (clock_is_frozen()) problems[count++] = "clock: the test clock is frozen (QUOTA.CLOCK RESUME)";
    return count;
}

/* Writes its text to `room`. */
static uint32_t ahead_problems(RedisModuleCtx *ctx, const char **problems, uint32_t count, char room[PROBLEM_BYTES_MAX])
{
    uint32_t ahead = ahead_count(ctx, clock_now_us());
    if (ahead == 0) return count;
    (void)snprintf(
        room, PROBLEM_BYTES_MAX,
        "clock: %u%s accounts were last changed ahead of it, by a clock that was wrong (QUOTA.RESET heals one)", ahead,
        ahead == AHEAD_MAX ? " or more" : "");
    problems[count++] = room;
    return count;
}

/* What an event log of this size forgets, and what is refused or not counted soon. Each writes its text to `room`. */
static uint32_t event_problems(RedisModuleCtx *ctx, const char **problems, uint32_t count, char room[PROBLEM_BYTES_MAX])
{
    int64_t dropped = event_log_facts(ctx).dropped;
    if (dropped == 0) return count;
    (void)snprintf(room, PROBLEM_BYTES_MAX,
                   "events: %lld entries were dropped to make room; a reader that is behind has missed them "
                   "(quota.events-max, quota.events-bytes)",
                   (long long)dropped);
    problems[count++] = room;
    return count;
}

static uint32_t bound_problem(const char *what, int64_t number, int64_t most, const char **problems, uint32_t count,
                              char room[PROBLEM_BYTES_MAX])
{
    if (number < most - most / 10) return count;
    (void)snprintf(room, PROBLEM_BYTES_MAX, "bounds: %lld %s of at most %lld", (long long)number, what,
                   (long long)most);
    problems[count++] = room;
    return count;
}

static const struct argument health_arguments[] = {{0}};

static int health(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    const char *problems[PROBLEMS_MAX];
    char rooms[ROOMS_COUNT][PROBLEM_BYTES_MAX];
    if (!arguments_parse_or_reply(ctx, health_arguments, argv, argc, NULL)) return REDISMODULE_OK;
    uint32_t count = memory_problems(ctx, problems, 0);
    count = persistence_problems(ctx, problems, count);
    count = setting_problems(problems, count);
    count = ahead_problems(ctx, problems, count, rooms[0]);
    count = event_problems(ctx, problems, count, rooms[1]);
    count = bound_problem("plans", registry_count(&plan_kind), PLANS_MAX, problems, count, rooms[2]);
    count = bound_problem("policies", registry_count(&policy_kind), POLICIES_MAX, problems, count, rooms[3]);
    count =
        bound_problem("plans and resources that INFO counts", tallies_rows(), TALLIES_MAX, problems, count, rooms[4]);
    RedisModule_ReplyWithMap(ctx, 2);
    reply_field_text(ctx, "status", count == 0 ? BYTES("ok") : BYTES("warning"));
    reply_field_name(ctx, "problems");
    RedisModule_ReplyWithArray(ctx, count);
    for (uint32_t i = 0; i < count; i++) RedisModule_ReplyWithCString(ctx, problems[i]);
    return REDISMODULE_OK;
}

const struct command quota_health_command = {
    .name = "QUOTA.HEALTH",
    .summary = "Shows what endangers quotas on this server: eviction, persistence, plans, zones, clock, accounts ahead "
               "of it; replies a map.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .handler = health,
};

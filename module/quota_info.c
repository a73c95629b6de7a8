/* QUOTA.INFO, QUOTA.HISTORY, QUOTA.HEALTH: what stands, what was, and what an operator should know.
 *
 *     QUOTA.INFO account [resource …]               the account as it stands now; one resource: its map alone
 *     QUOTA.HISTORY account resource [COUNT n]      closed cycles, the newest first
 *     QUOTA.HEALTH                                  what endangers quotas on this server
 *
 * They read, on replicas too: what time has done since the last change is computed, not stored. */
#include "accounts.h"
#include "clock.h"
#include "command.h"
#include "config.h"
#include "plans.h"
#include "quota/base/checked.h"
#include "quota/decide/charge.h"
#include "quota/time/calendar.h"
#include "reply.h"
#include "zones.h"

/* ---- INFO ------------------------------------------------------------------------------------------------ */

static const char *state_name(const struct standing *standing)
{
    if (standing->state == ACCOUNT_CLOSED) return "closed";
    if (!standing->plan) return "expired";
    if (standing->state == ACCOUNT_SUSPENDED) return "suspended";
    return standing->now_us < standing->anchor_us ? "notstarted" : "active";
}

static void reply_field_word(RedisModuleCtx *ctx, const char *name, const char *word)
{
    reply_field_text(ctx, name, (struct bytes){word, strlen(word)});
}

static int64_t millis_or_none(int64_t instant_us)
{
    return instant_us == NEVER_US ? -1 : floor_div(instant_us, MICROS_PER_MILLI);
}

static void reply_period(RedisModuleCtx *ctx, const struct quota_rule *rule)
{
    char stack_buffer[64];
    struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
    if (rule->kind == QUOTA_LIMIT) {
        period_write(&rule->period, &text);
    } else {
        sink_duration(&text, rule->rule.period_us);
    }
    reply_field_text(ctx, "period", (struct bytes){text.data, text.size});
    sink_free(&text);
}

static void reply_rule(RedisModuleCtx *ctx, const struct standing *standing, struct footing *footing, uint32_t index)
{
    static const char *const kinds[] = {"LIMIT", "ROLLING", "RATE"};
    struct rule_report report;
    const struct quota_rule *rule = &footing->entitlement->rules[index];
    charge_report(standing, footing, index, &report);
    RedisModule_ReplyWithMap(ctx, 8);
    reply_field_word(ctx, "kind", kinds[rule->kind]);
    reply_period(ctx, rule);
    reply_field_integer(ctx, "limit", report.limit);
    reply_field_integer(ctx, "used", report.used);
    reply_field_integer(ctx, "held", report.held);
    reply_field_integer(ctx, "remaining", report.remaining);
    reply_field_integer(ctx, "start", millis_or_none(report.start_us));
    reply_field_integer(ctx, "end", millis_or_none(report.end_us));
}

/* Thresholds that have fired in any of the running cycles, ascending; whole percents as integers. */
static void reply_warned(RedisModuleCtx *ctx, struct footing *footing)
{
    const struct entitlement *entitlement = footing->entitlement;
    int64_t highest_bp = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        if (!entitlement_limit(entitlement, footing->windows[i].period)) continue;
        highest_bp = max_i64(highest_bp, footing->windows[i].warned_bp);
    }
    while (count < entitlement->warnings_count && entitlement->warnings_bp[count] <= highest_bp) count++;
    reply_field_name(ctx, "warned");
    RedisModule_ReplyWithArray(ctx, count);
    for (uint32_t i = 0; i < count; i++) {
        char stack_buffer[32];
        struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
        int64_t bp = entitlement->warnings_bp[i];
        sink_percent(&text, bp);
        if (bp % 100 == 0) RedisModule_ReplyWithLongLong(ctx, bp / 100);
        if (bp % 100 != 0) RedisModule_ReplyWithStringBuffer(ctx, text.data, text.size);
        sink_free(&text);
    }
}

/* What was used beyond the limits: of the limit that was overdrawn most. */
static int64_t overage_of(struct footing *footing)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        const struct window *window = &footing->windows[i];
        int64_t limit = window_limit(window);
        if (limit == UNLIMITED || !entitlement_limit(footing->entitlement, window->period)) continue;
        most = max_i64(most, window->used - limit);
    }
    return most;
}

static void reply_resource(RedisModuleCtx *ctx, const struct standing *standing, struct footing *footing)
{
    RedisModule_ReplyWithMap(ctx, 4);
    reply_field_name(ctx, "rules");
    RedisModule_ReplyWithArray(ctx, footing->entitlement->rules_count);
    for (uint32_t i = 0; i < footing->entitlement->rules_count; i++) reply_rule(ctx, standing, footing, i);
    reply_field_integer(ctx, "credits", 0);
    reply_field_integer(ctx, "overage", overage_of(footing));
    reply_warned(ctx, footing);
}

/* The resources an INFO is about: those named, else all of the plan, then those with terms of their own only. */
struct subject {
    struct bytes names[PLAN_RESOURCES_MAX + ACCOUNT_SLOTS_MAX];
    uint32_t count;
};

static void add_subject(struct subject *subject, struct bytes name)
{
    for (uint32_t i = 0; i < subject->count; i++) {
        if (bytes_equal(subject->names[i], name)) return;
    }
    subject->names[subject->count++] = name;
}

static void subject_of(const struct standing *standing, struct subject *subject)
{
    const struct account *account = standing->account;
    subject->count = 0;
    for (uint32_t i = 0; standing->plan && i < standing->plan->entitlement_count; i++) {
        add_subject(subject, standing->plan->entitlement[i].resource);
    }
    for (uint32_t i = 0; account && i < account->slots_count; i++) {
        const struct slot_rest *rest = account->slots[i].rest;
        bool own = rest && rest->own && (rest->own_until_us == 0 || rest->own_until_us > standing->now_us);
        if (own) add_subject(subject, interned_string_bytes(account->slots[i].resource));
    }
}

/* The resource as it stands, or its fault. */
static enum account_fault stand(const struct standing *standing, struct bytes resource, struct footing *footing)
{
    footing_begin(standing, resource, footing);
    enum account_fault fault = footing_settle(standing, footing, NULL);
    return fault == ACCOUNT_FAULT_NONE && !footing->entitlement ? ACCOUNT_FAULT_RESOURCE : fault;
}

static void reply_life(RedisModuleCtx *ctx, const struct standing *standing, struct bytes name)
{
    const struct plan *plan = standing_last_plan(standing);
    struct bytes zone = interned_string_bytes(standing->zone);
    reply_field_text(ctx, "account", name);
    reply_field_text(ctx, "plan", plan->name);
    reply_field_integer(ctx, "revision", plan->revision);
    reply_field_word(ctx, "state", state_name(standing));
    reply_field_text(ctx, "zone", zone.size > 0 ? zone : BYTES("UTC"));
    reply_field_integer(ctx, "anchor", millis_or_none(standing->anchor_us));
    reply_field_integer(ctx, "expires", standing->expires_us > 0 ? millis_floor(standing->expires_us) : -1);
    reply_field_name(ctx, "parent");
    RedisModule_ReplyWithNull(ctx);
}

/* A plan that is to come, and when. */
static void reply_next(RedisModuleCtx *ctx, const struct standing *standing)
{
    const struct account_rest *rest = standing->account ? standing->account->rest : NULL;
    reply_field_name(ctx, "next");
    if (!rest || !standing_awaits_plan(standing)) {
        RedisModule_ReplyWithNull(ctx);
        return;
    }
    RedisModule_ReplyWithMap(ctx, 2);
    reply_field_text(ctx, "plan", rest->next->name);
    reply_field_integer(ctx, "at", millis_floor(rest->next_us));
}

static void reply_notes(RedisModuleCtx *ctx, const struct account *account)
{
    static const char *const acts[NOTE_ACTS_END] = {"",       "open",  "switch", "override", "suspend",
                                                    "resume", "close", "refund", "set",      "reset"};
    const struct account_rest *rest = account ? account->rest : NULL;
    reply_field_name(ctx, "notes");
    RedisModule_ReplyWithArray(ctx, rest ? rest->notes_count : 0);
    for (uint32_t i = 0; rest && i < rest->notes_count; i++) {
        struct note note;
        struct cursor cursor = cursor_init((struct bytes){rest->notes[i]->bytes, rest->notes[i]->size});
        note_decode(&cursor, &note);
        bool named = note.slot > 0 && note.slot <= account->slots_count;
        RedisModule_ReplyWithMap(ctx, 6);
        reply_field_integer(ctx, "at", millis_floor(note.at_us));
        reply_field_word(ctx, "act", acts[note.act]);
        reply_field_text(ctx, "actor", note.actor);
        reply_field_text(ctx, "resource",
                         named ? interned_string_bytes(account->slots[note.slot - 1].resource) : BYTES(""));
        reply_field_integer(ctx, "amount", note.amount);
        reply_field_text(ctx, "reason", note.reason);
    }
}

/* A map cannot be taken back once it has begun: all resources are asked for their faults first. */
static int reply_info(RedisModuleCtx *ctx, struct account_call *call, const struct standing *standing)
{
    struct subject subject;
    struct footing footing;
    subject_of(standing, &subject);
    for (uint32_t i = 0; i < subject.count; i++) {
        enum account_fault fault = stand(standing, subject.names[i], &footing);
        if (fault != ACCOUNT_FAULT_NONE) return accounts_reply_fault(ctx, call, fault, subject.names[i], 0);
    }
    RedisModule_ReplyWithMap(ctx, 11);
    reply_life(ctx, standing, string_bytes(call->handle.name));
    reply_next(ctx, standing);
    reply_field_name(ctx, "resources");
    RedisModule_ReplyWithMap(ctx, subject.count);
    for (uint32_t i = 0; i < subject.count; i++) {
        stand(standing, subject.names[i], &footing);
        RedisModule_ReplyWithStringBuffer(ctx, subject.names[i].data, subject.names[i].size);
        reply_resource(ctx, standing, &footing);
    }
    reply_notes(ctx, call->handle.value);
    return REDISMODULE_OK;
}

/* One resource: its map; several: a map from each to its own. */
static int reply_named(RedisModuleCtx *ctx, struct account_call *call, const struct standing *standing,
                       RedisModuleString **names, int count)
{
    struct footing footing;
    for (int i = 0; i < count; i++) {
        struct bytes resource = string_bytes(names[i]);
        enum account_fault fault = stand(standing, resource, &footing);
        if (fault != ACCOUNT_FAULT_NONE) return accounts_reply_fault(ctx, call, fault, resource, 0);
    }
    if (count > 1) RedisModule_ReplyWithMap(ctx, count);
    for (int i = 0; i < count; i++) {
        stand(standing, string_bytes(names[i]), &footing);
        if (count > 1) RedisModule_ReplyWithString(ctx, names[i]);
        reply_resource(ctx, standing, &footing);
    }
    return REDISMODULE_OK;
}

/* Opens an account to read it; false when the client has its error. */
static bool look_or_reply(RedisModuleCtx *ctx, RedisModuleString *name, struct account_call *call,
                          struct standing *standing)
{
    if (!accounts_begin_or_reply(ctx, name, false, call)) return false;
    enum account_fault fault = standing_begin(standing, account_of(call), &call->host, call->now_us, false);
    if (fault == ACCOUNT_FAULT_NONE) return true;
    accounts_reply_fault(ctx, call, fault, BYTES(""), 0);
    accounts_end(call);
    return false;
}

static int info(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct account_call call;
    struct standing standing;

    if (argc < 2) return RedisModule_WrongArity(ctx);
    if (!look_or_reply(ctx, argv[1], &call, &standing)) return REDISMODULE_OK;
    if (argc == 2) {
        reply_info(ctx, &call, &standing);
    } else {
        reply_named(ctx, &call, &standing, argv + 2, argc - 2);
    }
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- HISTORY --------------------------------------------------------------------------------------------- */

#define HISTORY_COUNT_DEFAULT 12
#define HISTORY_COUNT_MAX     1000

struct history_request {
    struct bytes resource;
    int64_t count;
};

static const struct argument history_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct history_request, resource, 0, 0, 0, "Whose cycles."),
    FIELD(ARGUMENT_INTEGER, "count", "COUNT", struct history_request, count, 1, HISTORY_COUNT_MAX, ARGUMENT_OPTIONAL,
          "How many cycles at most, 1 to 1000 (default 12)."),
    {0},
};

/* One entry of a history, or of what a change would add to it; idle runs are told cycle by cycle. */
struct told {
    uint64_t period;
    struct closed_cycle cycle;
};

struct telling {
    struct told *told;
    uint32_t count, capacity;
};

static void tell(struct telling *telling, uint64_t period, const struct closed_cycle *cycle)
{
    if (telling->count == telling->capacity) {
        telling->capacity = telling->capacity * 2 + 64;
        telling->told = RedisModule_Realloc(telling->told, telling->capacity * sizeof(*telling->told));
    }
    telling->told[telling->count++] = (struct told){period, *cycle};
}

/* What the account has stored, and the cycles that have closed since. */
static void tell_everything(const struct footing *footing, struct bytes changes, struct telling *telling)
{
    const struct slot_rest *rest = footing->stored ? footing->stored->rest : NULL;
    struct closed_cycle entries[HISTORY_ENTRIES_MAX];
    for (uint32_t i = 0; rest && i < rest->pasts_count; i++) {
        uint32_t count = history_entries(rest->pasts[i].history, entries);
        for (uint32_t k = 0; k < count; k++) tell(telling, rest->pasts[i].period, &entries[k]);
    }
    struct cursor cursor = cursor_init(changes);
    struct change change;
    while (!cursor_done(&cursor) && !cursor.bad) {
        change_decode(&cursor, &change);
        if (!cursor.bad && change.kind == CHANGE_CLOSED) tell(telling, change.period, &change.closed);
    }
}

static int64_t cycle_length_us(const struct closed_cycle *cycle)
{
    return (cycle->end_us - cycle->start_us) / cycle->count; /* of a run: their mean */
}

/* The entry that ends last; of two that end together the one with longer cycles. */
static struct told *take_newest(struct telling *telling)
{
    struct told *newest = NULL;
    for (uint32_t i = 0; i < telling->count; i++) {
        struct told *told = &telling->told[i];
        if (told->cycle.count == 0) continue;
        bool later = !newest || told->cycle.end_us > newest->cycle.end_us ||
                     (told->cycle.end_us == newest->cycle.end_us &&
                      cycle_length_us(&told->cycle) > cycle_length_us(&newest->cycle));
        if (later) newest = told;
    }
    return newest;
}

/* Cuts the last cycle off an idle run; a single cycle is gone then. */
static struct closed_cycle cut_last(const struct standing *standing, const struct zone *zone, struct told *told)
{
    struct period period;
    struct closed_cycle last = told->cycle;
    if (told->cycle.count > 1 && zone && period_from_code(told->period, &period)) {
        last.start_us = period_cycle_at(&period, zone, standing->anchor_us, told->cycle.end_us - 1).start_us;
        last.count = 1;
        told->cycle.end_us = last.start_us;
    } else {
        told->cycle.count = 1; /* without the zone's file a run is shown as one */
    }
    told->cycle.count--;
    return last;
}

static void reply_cycle(RedisModuleCtx *ctx, uint64_t code, const struct closed_cycle *cycle)
{
    char stack_buffer[64];
    struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
    struct period period;
    if (period_from_code(code, &period)) period_write(&period, &text);
    RedisModule_ReplyWithMap(ctx, 8);
    reply_field_text(ctx, "period", (struct bytes){text.data, text.size});
    reply_field_integer(ctx, "start", floor_div(cycle->start_us, MICROS_PER_MILLI));
    reply_field_integer(ctx, "end", floor_div(cycle->end_us, MICROS_PER_MILLI));
    reply_field_integer(ctx, "limit", cycle->limit);
    reply_field_integer(ctx, "used", cycle->used);
    reply_field_integer(ctx, "refunded", cycle->refunded);
    reply_field_integer(ctx, "denied", cycle->denied);
    reply_field_integer(ctx, "peak", cycle->peak);
    sink_free(&text);
}

static void reply_history(RedisModuleCtx *ctx, const struct standing *standing, struct telling *telling, int64_t most)
{
    struct bytes name = interned_string_bytes(standing->zone);
    const struct zone *zone = name.size > 0 ? zones_find(name, NULL) : zone_utc();
    int64_t count = 0;
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    for (struct told *told; count < most && (told = take_newest(telling)); count++) {
        struct closed_cycle cycle = cut_last(standing, zone, told);
        reply_cycle(ctx, told->period, &cycle);
    }
    RedisModule_ReplySetArrayLength(ctx, count);
}

static int history(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct history_request request = {.count = HISTORY_COUNT_DEFAULT};
    struct account_call call;
    struct standing standing;
    struct footing footing;
    struct telling telling = {0};

    if (!arguments_parse_or_reply(ctx, history_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!look_or_reply(ctx, argv[1], &call, &standing)) return REDISMODULE_OK;
    footing_begin(&standing, request.resource, &footing);
    enum account_fault fault = footing_settle(&standing, &footing, &call.decision.changes);
    if (fault == ACCOUNT_FAULT_NONE && !footing.entitlement && !footing.stored) fault = ACCOUNT_FAULT_RESOURCE;
    if (fault == ACCOUNT_FAULT_NONE) {
        struct bytes changes = {call.decision.changes.data, call.decision.changes.size};
        tell_everything(&footing, changes, &telling);
        reply_history(ctx, &standing, &telling, request.count);
    } else {
        accounts_reply_fault(ctx, &call, fault, request.resource, 0);
    }
    RedisModule_Free(telling.told);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- HEALTH ---------------------------------------------------------------------------------------------- */

#define PROBLEMS_MAX 8

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
        problems[count++] = "eviction: maxmemory-policy allkeys-* may drop accounts; use noeviction or volatile-*";
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

static int health(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    const char *problems[PROBLEMS_MAX];
    (void)argv;
    (void)argc;
    uint32_t count = memory_problems(ctx, problems, 0);
    count = persistence_problems(ctx, problems, count);
    count = setting_problems(problems, count);
    RedisModule_ReplyWithMap(ctx, 2);
    reply_field_word(ctx, "status", count == 0 ? "ok" : "warning");
    reply_field_name(ctx, "problems");
    RedisModule_ReplyWithArray(ctx, count);
    for (uint32_t i = 0; i < count; i++) RedisModule_ReplyWithCString(ctx, problems[i]);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

static const struct argument info_arguments[] = {
    KEY("account", "The customer's account."),
    {.kind = ARGUMENT_TEXT,
     .name = "resource",
     .flags = ARGUMENT_OPTIONAL | ARGUMENT_SEVERAL,
     .summary = "Only these resources; one alone is answered by its own map."},
    {0},
};

const struct command quota_info_command = {
    .name = "QUOTA.INFO",
    .summary = "Shows an account as it stands: plan, state, and every rule with what is used, held and left.",
    .complexity = "O(resources x rules)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .key_flags = KEY_READ,
    .handler = info,
    .arguments = info_arguments,
};

const struct command quota_history_command = {
    .name = "QUOTA.HISTORY",
    .summary = "Lists the closed cycles of a resource, the newest first.",
    .complexity = "O(count x entries kept), at most 64 of each period",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .key_flags = KEY_READ,
    .handler = history,
    .arguments = history_arguments,
};

const struct command quota_health_command = {
    .name = "QUOTA.HEALTH",
    .summary = "Names what endangers quotas on this server: eviction, persistence, plans, zones, clock.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .handler = health,
};

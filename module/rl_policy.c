/* RL.POLICY: named rate limits, changed at run time, with exceptions for subjects and address ranges.
 *
 *     SET name rule [rule ...] [BLOCK d] [SHADOW] [SCHEDULE zone days from-to rule ...]
 *     CHECK name rule ...                            validates what SET would define, stores nothing
 *     OVERRIDE name subject [rule ...] [EX d]        no rules: lift it
 *     PERMIT | REFUSE name subject|range [EX d]      LIFT name subject|range
 *     GET name        DEL name        LIST [COUNT n] [AFTER cursor]        EXCEPTIONS: rl_policy_exceptions.c
 *
 * Every change is validated whole before anything happens, and is one effect of quota/policy.h. */
#include "rl_policy.h"
#include "allow_waiting.h"
#include "clock.h"
#include "command.h"
#include "memory_limit.h"
#include "page.h"
#include "policies.h"
#include "quota/rate/rule_codec.h"
#include "reply.h"
#include "zones.h"

#define LISTED_SHOWN_MAX 1000 /* entries of each kind in a reply of GET: it is for eyes, not for backups */

/* ---- shared ---------------------------------------------------------------------------------------------- */

struct policy_request {
    struct bytes name, target;
    struct rules_argument rules;
    struct sets_argument schedules;
    int64_t block_us, shadow;
    struct until_argument ex;
};

#define NAME_ROW                                                                                                       \
    FIELD(ARGUMENT_TEXT, "name", NULL, struct policy_request, name, 0, 0, 0, "The policy's name, 1 to 128 bytes.")
#define EX_ROW                                                                                                         \
    FIELD(ARGUMENT_UNTIL, "ex", "EX", struct policy_request, ex, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,                \
          "For so long, 1us or more, or until an @instant (default: until LIFT).")

/* Subcommands are parsed from their own word on. */
static bool parse_or_reply(RedisModuleCtx *ctx, const struct argument *rows, RedisModuleString **argv, int argc,
                           struct policy_request *request)
{
    request->rules.count = 0;
    request->schedules = (struct sets_argument){0};
    request->block_us = request->shadow = 0;
    request->ex = (struct until_argument){0};
    return arguments_parse_or_reply(ctx, rows, argv + 1, argc - 1, request);
}

static int reply_policy_fault(RedisModuleCtx *ctx, enum policy_fault fault)
{
    const char *code = fault >= POLICY_FAULT_OVERRIDES_FULL ? "LIMITED" : "ERR";
    return reply_error(ctx, "%s policy: %s", code, policy_fault_text(fault));
}

const struct policy *policy_or_reply(RedisModuleCtx *ctx, struct bytes name)
{
    const struct policy *policy = policies_find(name);
    if (!policy) reply_error(ctx, "NOPOLICY there is no policy '%s'" EVERY_PRIMARY, printable(name).text);
    return policy;
}

/* A change of a policy that is there; replies OK or why not. */
static int change_or_reply(RedisModuleCtx *ctx, struct bytes name, const struct policy_effect *effect, int64_t now_us)
{
    const struct policy *policy = policy_or_reply(ctx, name);
    if (!policy) return REDISMODULE_OK;
    enum policy_fault fault = policy_fault_of(policy, effect);
    if (fault != POLICY_FAULT_NONE) return reply_policy_fault(ctx, fault);
    if (policy_effect_adds(policy, effect) && !memory_limit_permits_or_reply(ctx)) return REDISMODULE_OK;
    policies_change(ctx, name, effect, now_us);
    allow_waiting_policies_changed();
    return RedisModule_ReplyWithSimpleString(ctx, "OK");
}

/* ---- SET ------------------------------------------------------------------------------------------------- */

static const struct argument schedule_arguments[] = {
    FIELD(ARGUMENT_TEXT, "zone", NULL, struct set_argument, zone, 0, 0, 0, "An IANA time zone, like Europe/Berlin."),
    FIELD(ARGUMENT_TEXT, "days", NULL, struct set_argument, days, 0, 0, 0, "Like mon-fri, sat,sun or daily."),
    FIELD(ARGUMENT_TEXT, "from-to", NULL, struct set_argument, times, 0, 0, 0,
          "Local time of day, like 09:00-17:30; past midnight it belongs to the day it began."),
    RULES(struct set_argument, rules),
    {0},
};

static const struct argument set_arguments[] = {
    NAME_ROW,
    RULES(struct policy_request, rules),
    FIELD(ARGUMENT_DURATION, "block", "BLOCK", struct policy_request, block_us, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "After a denial refuse everything on the key for so long."),
    {.kind = ARGUMENT_FLAG,
     .name = "shadow",
     .token = "SHADOW",
     .offset = offsetof(struct policy_request, shadow),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Decide and charge, but refuse nothing."},
    {.kind = ARGUMENT_SETS,
     .name = "schedule",
     .token = "SCHEDULE",
     .offset = offsetof(struct policy_request, schedules),
     .rows = schedule_arguments,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Other rules at certain times; the first schedule that matches decides."},
    {0},
};

/* One SCHEDULE in the words of quota/schedule.h. */
static bool schedule_or_reply(RedisModuleCtx *ctx, const struct set_argument *set, struct schedule *schedule)
{
    *schedule = (struct schedule){0};
    if (!schedule_set_zone(schedule, set->zone) || !zones_load(set->zone)) {
        reply_error(ctx, "ERR zone '%s' is not known here (looked for in %s)", printable(set->zone).text,
                    zones_folder());
    } else if (!schedule_parse_days(set->days, &schedule->days)) {
        reply_error(ctx, "ERR days '%s' are not like mon-fri, sat,sun or daily", printable(set->days).text);
    } else if (!schedule_parse_times(set->times, &schedule->from_minutes, &schedule->to_minutes)) {
        reply_error(ctx, "ERR from-to '%s' is not like 09:00-17:30", printable(set->times).text);
    } else {
        return true;
    }
    return false;
}

static int define_or_reply(RedisModuleCtx *ctx, const struct policy_request *request, bool only_checks)
{
    struct schedule schedules[SCHEDULES_MAX];
    struct policy_rules schedule_rules[SCHEDULES_MAX];
    const struct policy *before = policies_find(request->name);
    if (!policy_name_valid(request->name)) return reply_error(ctx, "ERR name: a policy's name has 1 to 128 bytes");
    if (request->schedules.count > SCHEDULES_MAX) return reply_policy_fault(ctx, POLICY_FAULT_SCHEDULES);
    for (int64_t i = 0; i < request->schedules.count; i++) {
        struct set_argument *set = &request->schedules.sets[i];
        if (!schedule_or_reply(ctx, set, &schedules[i])) return REDISMODULE_OK;
        for (uint32_t k = 0; k < set->rules.count; k++) rule_complete(&set->rules.rules[k]);
        schedule_rules[i] = (struct policy_rules){set->rules.rules, set->rules.count};
    }
    struct policy_definition definition = {.revision = before ? before->revision + 1 : 1,
                                           .block_us = request->block_us,
                                           .shadow = request->shadow,
                                           .base = {request->rules.rules, request->rules.count},
                                           .schedules_count = (uint32_t)request->schedules.count,
                                           .schedules = schedules,
                                           .schedule_rules = schedule_rules};
    enum policy_fault fault = policy_definition_fault(&definition);
    if (fault != POLICY_FAULT_NONE) return reply_policy_fault(ctx, fault);
    if (only_checks) return RedisModule_ReplyWithSimpleString(ctx, "OK");
    if (!before && !memory_limit_permits_or_reply(ctx)) return REDISMODULE_OK;
    struct policy_effect effect = {.kind = POLICY_DEFINE, .definition = &definition};
    policies_change(ctx, request->name, &effect, clock_now_us());
    allow_waiting_policies_changed();
    return RedisModule_ReplyWithLongLong(ctx, definition.revision);
}

static int set_or_check(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, bool only_checks)
{
    struct policy_request request;
    if (parse_or_reply(ctx, set_arguments, argv, argc, &request)) {
        for (uint32_t i = 0; i < request.rules.count; i++) rule_complete(&request.rules.rules[i]);
        define_or_reply(ctx, &request, only_checks);
    }
    sets_argument_free(&request.schedules);
    return REDISMODULE_OK;
}

static int set(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    return set_or_check(ctx, argv, argc, false);
}

/* RL.POLICY CHECK: everything that SET would refuse is refused, and nothing is stored. */
static int check(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    return set_or_check(ctx, argv, argc, true);
}

/* ---- OVERRIDE, PERMIT, REFUSE, LIFT ---------------------------------------------------------------------- */

static const struct argument override_arguments[] = {
    NAME_ROW,
    FIELD(ARGUMENT_TEXT, "subject", NULL, struct policy_request, target, 0, 0, 0,
          "The subject whose rules are overridden."),
    {.kind = ARGUMENT_RULES,
     .name = "rule",
     .offset = offsetof(struct policy_request, rules),
     .rows = rule_arguments,
     .flags = ARGUMENT_EITHER | ARGUMENT_OPTIONAL,
     .summary = "Its rules; without rules the override is removed."},
    EX_ROW,
    {0},
};

static int override(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct policy_request request;
    if (!parse_or_reply(ctx, override_arguments, argv, argc, &request)) return REDISMODULE_OK;
    int64_t now_us = clock_now_us(), ex_us;
    if (!until_or_reply(ctx, "ex", &request.ex, now_us, &ex_us)) return REDISMODULE_OK;
    for (uint32_t i = 0; i < request.rules.count; i++) rule_complete(&request.rules.rules[i]);
    struct policy_effect effect = {.kind = request.rules.count > 0 ? POLICY_OVERRIDE : POLICY_OVERRIDE_LIFT,
                                   .subject = request.target,
                                   .rules = {request.rules.rules, request.rules.count},
                                   .until_us = ex_us > 0 ? now_us + ex_us : 0};
    return change_or_reply(ctx, request.name, &effect, now_us);
}

static const struct argument list_entry_arguments[] = {
    NAME_ROW,
    FIELD(ARGUMENT_TEXT, "subject|range", NULL, struct policy_request, target, 0, 0, 0,
          "A subject, or what reads as an address or as address/bits."),
    EX_ROW,
    {0},
};

static const struct argument lift_arguments[] = {
    NAME_ROW,
    FIELD(ARGUMENT_TEXT, "subject|range", NULL, struct policy_request, target, 0, 0, 0,
          "The subject or the range that is on a list."),
    {0},
};

/* Puts a subject or a range on a list, or takes it off (LISTED_NOT). What reads as an address is one. */
static int list_or_reply(RedisModuleCtx *ctx, const struct policy_request *request, enum listing listing)
{
    int64_t now_us = clock_now_us(), ex_us;
    if (!until_or_reply(ctx, "ex", &request->ex, now_us, &ex_us)) return REDISMODULE_OK;
    bool lifts = listing == LISTED_NOT;
    struct policy_effect effect = {
        .listing = listing, .subject = request->target, .until_us = ex_us > 0 ? now_us + ex_us : 0};
    enum cidr_fault fault = cidr_parse(request->target, &effect.range);
    if (fault == CIDR_FAULT_ADDRESS) {
        effect.kind = lifts ? POLICY_LIST_LIFT : POLICY_LIST;
    } else if (fault == CIDR_FAULT_NONE) {
        effect.kind = lifts ? POLICY_RANGE_LIFT : POLICY_RANGE;
    } else {
        return reply_error(ctx, "ERR range '%s': %s", printable(request->target).text, cidr_fault_text(fault));
    }
    return change_or_reply(ctx, request->name, &effect, now_us);
}

static int permit(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct policy_request request;
    if (!parse_or_reply(ctx, list_entry_arguments, argv, argc, &request)) return REDISMODULE_OK;
    return list_or_reply(ctx, &request, LISTED_PERMIT);
}

static int refuse(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct policy_request request;
    if (!parse_or_reply(ctx, list_entry_arguments, argv, argc, &request)) return REDISMODULE_OK;
    return list_or_reply(ctx, &request, LISTED_REFUSE);
}

static int lift(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct policy_request request;
    if (!parse_or_reply(ctx, lift_arguments, argv, argc, &request)) return REDISMODULE_OK;
    return list_or_reply(ctx, &request, LISTED_NOT);
}

/* ---- GET, DEL, LIST -------------------------------------------------------------------------------------- */

static const struct argument name_arguments[] = {NAME_ROW, {0}};
static const struct argument no_arguments[] = {{0}};

static void reply_text(RedisModuleCtx *ctx, struct sink *text)
{
    RedisModule_ReplyWithStringBuffer(ctx, text->data, text->size);
    sink_free(text);
}

static void reply_rules(RedisModuleCtx *ctx, const struct rule_set *set)
{
    RedisModule_ReplyWithArray(ctx, set->count);
    for (uint32_t i = 0; i < set->count; i++) {
        struct sink text = {0};
        rule_write(&set->rules[i], &text);
        reply_text(ctx, &text);
    }
}

static void reply_schedules(RedisModuleCtx *ctx, const struct policy *policy)
{
    RedisModule_ReplyWithArray(ctx, policy->schedules_count);
    for (uint32_t i = 0; i < policy->schedules_count; i++) {
        const struct schedule *schedule = &policy->schedules[i];
        struct sink text = {0};
        sink_raw(&text, schedule->zone, schedule->zone_size);
        sink_byte(&text, ' ');
        schedule_write_days(schedule->days, &text);
        sink_byte(&text, ' ');
        schedule_write_times(schedule->from_minutes, schedule->to_minutes, &text);
        RedisModule_ReplyWithMap(ctx, 2);
        reply_field_name(ctx, "when");
        reply_text(ctx, &text);
        reply_field_name(ctx, "rules");
        reply_rules(ctx, policy->schedule_rules[i]);
    }
}

void policy_reply_entry(RedisModuleCtx *ctx, const struct policy_entry *entry)
{
    RedisModule_ReplyWithMap(ctx, 3);
    reply_field_text(ctx, "subject", (struct bytes){entry->subject, entry->size});
    reply_field_integer(ctx, "until", millis_ceil(entry->until_us));
    if (entry->rules) {
        reply_field_name(ctx, "rules");
        reply_rules(ctx, entry->rules);
    } else {
        reply_field_text(ctx, "list", entry->listing == LISTED_PERMIT ? BYTES("permit") : BYTES("refuse"));
    }
}

void policy_reply_range(RedisModuleCtx *ctx, const struct cidr_entry *entry)
{
    struct sink text = {0};
    cidr_write(&entry->range, &text);
    RedisModule_ReplyWithMap(ctx, 3);
    reply_field_name(ctx, "range");
    reply_text(ctx, &text);
    reply_field_integer(ctx, "until", millis_ceil(entry->until_us));
    reply_field_text(ctx, "list", entry->listing == LISTED_PERMIT ? BYTES("permit") : BYTES("refuse"));
}

/* Entries of one table that still stand, of the thousand that came first, in canonical order. */
static void reply_entries(RedisModuleCtx *ctx, const struct policy_table *table, int64_t now_us)
{
    uint32_t count;
    long shown = 0;
    const struct policy_entry **entries = policy_entries_sorted(table, LISTED_SHOWN_MAX, &count);
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    for (uint32_t i = 0; i < count; i++) {
        if (!until_stands(entries[i]->until_us, now_us)) continue;
        policy_reply_entry(ctx, entries[i]);
        shown++;
    }
    RedisModule_ReplySetArrayLength(ctx, shown);
    if (entries) RedisModule_Free(entries);
}

static void reply_ranges(RedisModuleCtx *ctx, const struct policy *policy, int64_t now_us)
{
    long shown = 0;
    struct cidr_entry entry;
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    for (const struct cidr *after = NULL;
         policy->ranges && shown < LISTED_SHOWN_MAX && cidr_set_next(policy->ranges, after, &entry);
         after = &entry.range) {
        if (!until_stands(entry.until_us, now_us)) continue;
        policy_reply_range(ctx, &entry);
        shown++;
    }
    RedisModule_ReplySetArrayLength(ctx, shown);
}

static int get(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct policy_request request;
    if (!parse_or_reply(ctx, name_arguments, argv, argc, &request)) return REDISMODULE_OK;
    const struct policy *policy = policy_or_reply(ctx, request.name);
    if (!policy) return REDISMODULE_OK;
    int64_t now_us = clock_now_us();
    RedisModule_ReplyWithMap(ctx, 9);
    reply_field_text(ctx, "name", policy_name(policy));
    reply_field_integer(ctx, "revision", policy->revision);
    reply_field_name(ctx, "rules");
    reply_rules(ctx, policy->rules);
    reply_field_integer(ctx, "block_ms", millis_ceil(policy->block_us));
    reply_field_integer(ctx, "shadow", policy->shadow);
    reply_field_name(ctx, "schedules");
    reply_schedules(ctx, policy);
    reply_field_name(ctx, "overrides");
    reply_entries(ctx, &policy->overrides, now_us);
    reply_field_name(ctx, "subjects");
    reply_entries(ctx, &policy->listed, now_us);
    reply_field_name(ctx, "ranges");
    reply_ranges(ctx, policy, now_us);
    return REDISMODULE_OK;
}

static int delete (RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct policy_request request;
    if (!parse_or_reply(ctx, name_arguments, argv, argc, &request)) return REDISMODULE_OK;
    bool deleted = policies_delete(ctx, request.name);
    if (deleted) allow_waiting_policies_changed();
    return RedisModule_ReplyWithLongLong(ctx, deleted);
}

struct list_request {
    struct page_argument page;
};

static const struct argument list_arguments[] = {PAGE_ROWS(struct list_request, page), {0}};

static void reply_policy_row(RedisModuleCtx *ctx, const struct policy *policy)
{
    RedisModule_ReplyWithMap(ctx, 5);
    reply_field_text(ctx, "name", policy_name(policy));
    reply_field_integer(ctx, "revision", policy->revision);
    reply_field_integer(ctx, "overrides", policy_overrides_count(policy));
    reply_field_integer(ctx, "subjects", policy_listed_count(policy));
    reply_field_integer(ctx, "ranges", policy_ranges_count(policy));
}

static int list(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct list_request request = {.page = PAGE_ARGUMENT_DEFAULT};
    const void *page[PAGE_COUNT_MAX];
    bool more;

    if (!arguments_parse_or_reply(ctx, list_arguments, argv + 1, argc - 1, &request)) return REDISMODULE_OK;
    uint32_t count = registry_page(&policy_kind, request.page.after, (uint32_t)request.page.count, page, &more);
    page_reply_head(ctx, more ? policy_kind.name(page[count - 1]) : (struct bytes){NULL, 0}, count);
    for (uint32_t i = 0; i < count; i++) reply_policy_row(ctx, page[i]);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

#define POLICY_RECORD(variable_, word_, flags_, categories_, handler_, arguments_, complexity_, summary_)              \
    const struct command variable_ = {                                                                                 \
        .name = "RL.POLICY|" word_,                                                                                    \
        .summary = (summary_),                                                                                         \
        .complexity = (complexity_),                                                                                   \
        .since = "1.0.0",                                                                                              \
        .flags = (flags_),                                                                                             \
        .categories = (categories_),                                                                                   \
        .handler = (handler_),                                                                                         \
        .arguments = (arguments_),                                                                                     \
    }

const struct command rl_policy_command = {
    .name = "RL.POLICY",
    .summary = "Named rate limits with schedules, overrides and lists: a container of commands.",
    .complexity = "Depends on the subcommand.",
    .since = "1.0.0",
    .flags = "",
    .tips = TIPS_EVERY_PRIMARY,
    .arguments = no_arguments,
};

POLICY_RECORD(rl_policy_set_command, "SET", "write", "write slow", set, set_arguments, "O(rules)",
              "Defines a policy or changes its definition; replies its new revision.");
POLICY_RECORD(rl_policy_check_command, "CHECK", "readonly", "read slow", check, set_arguments, "O(rules)",
              "Validates what RL.POLICY SET would define and stores nothing; replies OK.");
POLICY_RECORD(rl_policy_override_command, "OVERRIDE", "write fast", "write fast", override, override_arguments, "O(1)",
              "Overrides the policy's rules for a subject, for a while or until removed; replies OK.");
POLICY_RECORD(rl_policy_permit_command, "PERMIT", "write fast", "write fast", permit, list_entry_arguments, "O(1)",
              "Puts a subject or an address range on the allowlist; replies OK.");
POLICY_RECORD(rl_policy_refuse_command, "REFUSE", "write fast", "write fast", refuse, list_entry_arguments, "O(1)",
              "Puts a subject or an address range on the denylist; replies OK.");
POLICY_RECORD(rl_policy_lift_command, "LIFT", "write fast", "write fast", lift, lift_arguments, "O(1)",
              "Removes a subject or an address range from the allowlist and the denylist; replies OK.");
POLICY_RECORD(rl_policy_get_command, "GET", "readonly", "read slow", get, name_arguments, "O(n log n), n entries",
              "Shows a policy: rules, schedules, and the first thousand exceptions of each kind; replies a map.");
POLICY_RECORD(rl_policy_del_command, "DEL", "write", "write slow", delete, name_arguments, "O(n), n entries",
              "Deletes a policy; replies 1, or 0 when there was none.");
POLICY_RECORD(rl_policy_list_command, "LIST", "readonly", "read slow", list, list_arguments, "O(n), n policies",
              "Lists the policies by pages: names, revisions, sizes; replies a cursor and the page.");

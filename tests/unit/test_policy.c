/* Policies: each level of precedence, ends to the microsecond, bounds, sweeps; and any stream of changes against a
 * policy kept in plain lists that are walked from their beginning. */
#include "quota/base/memory.h"
#include "quota/rate/policy.h"
#include "scenario.h"
#include "tools.h"
#include <stdio.h>
#include <stdlib.h>

#define SEED UINT64_C(20250131)

static int set_up(void **state)
{
    (void)state;
    heap_watch();
    random_begin(SEED);
    return 0;
}

/* Memory, and every reference to shared rules. */
static int nothing_is_left(void **state)
{
    (void)state;
    return heap_blocks() != 0 || rule_sets_count() != 0;
}

/* ---- what policies are made of ------------------------------------------------------------------------- */

static struct bytes string_bytes(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

/* Rules differ by their limit. */
static struct policy_rules rules_of(struct rule *rule, int64_t limit)
{
    *rule = rule_of(RULE_GCRA, limit, S, 0);
    return (struct policy_rules){rule, 1};
}

static int64_t limit_of(const struct policy_choice *choice)
{
    return choice->rules ? choice->rules->rules[0].limit : -1;
}

static struct schedule entry_of(const char *zone, const char *days, const char *times)
{
    struct schedule entry = {0};
    assert_true(schedule_set_zone(&entry, string_bytes(zone)));
    assert_true(schedule_parse_days(string_bytes(days), &entry.days));
    assert_true(schedule_parse_times(string_bytes(times), &entry.from_minutes, &entry.to_minutes));
    return entry;
}

static const struct zone *find_zone(struct bytes name, void *context)
{
    (void)context;
    return bytes_equal(name, BYTES("UTC")) ? zone_utc() : NULL;
}

static struct policy *policy_of(int64_t limit)
{
    struct rule rule;
    struct policy_definition definition = {.revision = 1, .base = rules_of(&rule, limit)};
    return policy_new(BYTES("api"), &definition);
}

static void apply(struct policy *policy, struct policy_effect effect)
{
    enum policy_fault fault = policy_fault_of(policy, &effect);
    if (fault) fail_msg("%s", policy_fault_text(fault));
    policy_apply(policy, &effect);
}

static void override(struct policy *policy, const char *subject, int64_t limit, int64_t until_us)
{
    struct rule rule;
    apply(policy, (struct policy_effect){.kind = POLICY_OVERRIDE,
                                         .subject = string_bytes(subject),
                                         .rules = rules_of(&rule, limit),
                                         .until_us = until_us});
}

static void list(struct policy *policy, const char *subject, enum listing listing, int64_t until_us)
{
    apply(policy, (struct policy_effect){
                      .kind = POLICY_LIST, .subject = string_bytes(subject), .listing = listing, .until_us = until_us});
}

static void lift(struct policy *policy, enum policy_effect_kind kind, const char *subject)
{
    apply(policy, (struct policy_effect){.kind = kind, .subject = string_bytes(subject)});
}

static struct cidr range_of(const char *text)
{
    struct cidr range = {0};
    if (cidr_parse(string_bytes(text), &range)) fail_msg("%s", text);
    return range;
}

static void range(struct policy *policy, const char *text, enum listing listing, int64_t until_us)
{
    apply(policy, (struct policy_effect){
                      .kind = POLICY_RANGE, .range = range_of(text), .listing = listing, .until_us = until_us});
}

static struct policy_choice choose(const struct policy *policy, const char *subject, const char *ip, int64_t now_us)
{
    struct address address;
    if (ip) assert_true(address_parse(string_bytes(ip), &address));
    return policy_choose(policy, string_bytes(subject), ip ? &address : NULL, now_us, find_zone, NULL);
}

/* ---- precedence ---------------------------------------------------------------------------------------- */

#define FRIDAY_15H BASE           /* 2025-01-31T15:00:00Z */
#define SATURDAY   (BASE + 9 * H) /* its midnight */
#define SUNDAY_1H  (SATURDAY + 25 * H)

static struct policy *full_policy(void)
{
    struct rule base, weekend, night;
    const struct schedule schedules[] = {
        entry_of("Mars/Olympus", "daily", "00:00-24:00"), /* unknown here */
        entry_of("UTC", "sat,sun", "00:00-24:00"),
        entry_of("UTC", "daily", "22:00-06:00"),
    };
    const struct policy_rules schedule_rules[] = {rules_of(&base, 10), rules_of(&weekend, 20), rules_of(&night, 30)};
    struct policy_definition definition = {.revision = 7,
                                           .block_us = 5 * S,
                                           .shadow = true,
                                           .base = rules_of(&base, 10),
                                           .schedules_count = COUNT_OF(schedules),
                                           .schedules = schedules,
                                           .schedule_rules = schedule_rules};
    struct policy *policy = policy_new(BYTES("api"), &definition);
    list(policy, "bad", LISTED_REFUSE, 0);
    list(policy, "good", LISTED_PERMIT, 0);
    list(policy, "bad-today", LISTED_REFUSE, SATURDAY);
    list(policy, "good-today", LISTED_PERMIT, SATURDAY);
    range(policy, "10.0.0.0/8", LISTED_REFUSE, 0);
    range(policy, "10.1.0.0/16", LISTED_PERMIT, SATURDAY);
    range(policy, "2001:db8::/32", LISTED_REFUSE, 0);
    override(policy, "big", 1000, 0);
    override(policy, "big-today", 2000, SATURDAY);
    override(policy, "bad", 3000, 0);
    override(policy, "good", 4000, 0);
    return policy;
}

/* clang-format off */
static const struct {
    const char *subject, *address;
    int64_t now_us;
    int kind, source;
    int64_t limit, until_us;
    int32_t schedule;
} precedence_rows[] = {
    /* lists of subjects before everything */
    {"bad", NULL, FRIDAY_15H, CHOICE_REFUSE, CHOICE_BY_SUBJECT, -1, 0, -1},
    {"good", NULL, FRIDAY_15H, CHOICE_PERMIT, CHOICE_BY_SUBJECT, -1, 0, -1},
    {"good", "10.0.0.1", FRIDAY_15H, CHOICE_PERMIT, CHOICE_BY_SUBJECT, -1, 0, -1},
    {"bad", "10.1.0.1", FRIDAY_15H, CHOICE_REFUSE, CHOICE_BY_SUBJECT, -1, 0, -1},
    /* then addresses, the longest prefix */
    {"big", "10.0.0.1", FRIDAY_15H, CHOICE_REFUSE, CHOICE_BY_ADDRESS, -1, 0, -1},
    {"big", "10.1.0.1", FRIDAY_15H, CHOICE_PERMIT, CHOICE_BY_ADDRESS, -1, SATURDAY, -1},
    {"", "2001:db8::1", FRIDAY_15H, CHOICE_REFUSE, CHOICE_BY_ADDRESS, -1, 0, -1},
    {"", "::ffff:10.0.0.1", FRIDAY_15H, CHOICE_REFUSE, CHOICE_BY_ADDRESS, -1, 0, -1},
    /* then rules: override, first schedule, base */
    {"big", "11.0.0.1", FRIDAY_15H, CHOICE_RULES, CHOICE_BY_OVERRIDE, 1000, 0, -1},
    {"big", NULL, SATURDAY, CHOICE_RULES, CHOICE_BY_OVERRIDE, 1000, 0, -1},
    {"big-today", NULL, FRIDAY_15H, CHOICE_RULES, CHOICE_BY_OVERRIDE, 2000, SATURDAY, -1},
    {"other", "11.0.0.1", FRIDAY_15H, CHOICE_RULES, CHOICE_BY_BASE, 10, 0, -1},
    {"", NULL, FRIDAY_15H, CHOICE_RULES, CHOICE_BY_BASE, 10, 0, -1},
    {"other", NULL, FRIDAY_15H + 7 * H, CHOICE_RULES, CHOICE_BY_SCHEDULE, 30, 0, 2},
    /* the night too, but it is later in the list */
    {"other", NULL, SUNDAY_1H, CHOICE_RULES, CHOICE_BY_SCHEDULE, 20, 0, 1},
    {"", NULL, SUNDAY_1H, CHOICE_RULES, CHOICE_BY_SCHEDULE, 20, 0, 1},
    /* what ends, ends at exactly its instant, and the next level decides */
    {"bad-today", NULL, SATURDAY - 1, CHOICE_REFUSE, CHOICE_BY_SUBJECT, -1, SATURDAY, -1},
    {"bad-today", NULL, SATURDAY, CHOICE_RULES, CHOICE_BY_SCHEDULE, 20, 0, 1},
    {"good-today", "10.0.0.1", SATURDAY - 1, CHOICE_PERMIT, CHOICE_BY_SUBJECT, -1, SATURDAY, -1},
    {"good-today", "10.0.0.1", SATURDAY, CHOICE_REFUSE, CHOICE_BY_ADDRESS, -1, 0, -1},
    {"", "10.1.0.1", SATURDAY - 1, CHOICE_PERMIT, CHOICE_BY_ADDRESS, -1, SATURDAY, -1},
    {"", "10.1.0.1", SATURDAY, CHOICE_REFUSE, CHOICE_BY_ADDRESS, -1, 0, -1},
    {"big-today", NULL, SATURDAY - 1, CHOICE_RULES, CHOICE_BY_OVERRIDE, 2000, SATURDAY, -1},
    {"big-today", NULL, SATURDAY, CHOICE_RULES, CHOICE_BY_SCHEDULE, 20, 0, 1},
};
/* clang-format on */

static void each_level_of_precedence_comes_before_the_next(void **state)
{
    (void)state;
    struct policy *policy = full_policy();
    for (size_t i = 0; i < COUNT_OF(precedence_rows); i++) {
        struct policy_choice choice =
            choose(policy, precedence_rows[i].subject, precedence_rows[i].address, precedence_rows[i].now_us);
        bool same = (int)choice.kind == precedence_rows[i].kind && (int)choice.source == precedence_rows[i].source &&
                    limit_of(&choice) == precedence_rows[i].limit && choice.until_us == precedence_rows[i].until_us &&
                    choice.schedule == precedence_rows[i].schedule;
        if (!same) fail_msg("row %zu: kind %d source %d limit %ld", i, choice.kind, choice.source, limit_of(&choice));
        assert_true(choice.shadow);
        assert_int_equal(choice.block_us, choice.kind == CHOICE_RULES ? 5 * S : 0);
    }
    assert_int_equal(policy_overrides_count(policy), 4); /* choosing took nothing out */
    assert_int_equal(policy_listed_count(policy), 4);
    assert_int_equal(policy_ranges_count(policy), 3);
    policy_free(policy);
    policy_free(NULL);
}

static void a_subject_is_on_one_list_and_lifting_takes_it_off(void **state)
{
    (void)state;
    struct policy *policy = policy_of(10);
    list(policy, "a", LISTED_REFUSE, 100);
    list(policy, "a", LISTED_PERMIT, 0);
    assert_int_equal(policy_listed_count(policy), 1);
    assert_int_equal(choose(policy, "a", NULL, 100).kind, CHOICE_PERMIT);
    list(policy, "a", LISTED_REFUSE, 0);
    assert_int_equal(choose(policy, "a", NULL, 100).kind, CHOICE_REFUSE);
    lift(policy, POLICY_LIST_LIFT, "a");
    lift(policy, POLICY_LIST_LIFT, "a"); /* what is not there is not there */
    lift(policy, POLICY_OVERRIDE_LIFT, "a");
    assert_int_equal(choose(policy, "a", NULL, 100).kind, CHOICE_RULES);

    override(policy, "a", 20, 50);
    override(policy, "a", 30, 0);
    assert_int_equal(policy_overrides_count(policy), 1);
    struct policy_choice choice = choose(policy, "a", NULL, 100);
    assert_int_equal(limit_of(&choice), 30);
    lift(policy, POLICY_OVERRIDE_LIFT, "a");
    choice = choose(policy, "a", NULL, 100);
    assert_int_equal(limit_of(&choice), 10);

    range(policy, "10.0.0.0/8", LISTED_REFUSE, 0);
    range(policy, "10.0.0.0/8", LISTED_PERMIT, 0);
    assert_int_equal(choose(policy, "a", "10.9.9.9", 1).kind, CHOICE_PERMIT);
    apply(policy, (struct policy_effect){.kind = POLICY_RANGE_LIFT, .range = range_of("10.0.0.0/9")});
    assert_int_equal(policy_ranges_count(policy), 1);
    for (int i = 0; i < 2; i++) {
        apply(policy, (struct policy_effect){.kind = POLICY_RANGE_LIFT, .range = range_of("10.0.0.0/8")});
    }
    assert_int_equal(choose(policy, "a", "10.9.9.9", 1).kind, CHOICE_RULES);
    assert_null(policy->ranges);
    assert_int_equal(policy->entries_bytes, 0);
    policy_free(policy);
}

static bool adds(const struct policy *policy, enum policy_effect_kind kind, const char *target)
{
    struct policy_effect effect = {.kind = kind, .subject = string_bytes(target), .listing = LISTED_PERMIT};
    if (kind == POLICY_RANGE || kind == POLICY_RANGE_LIFT)
        assert_int_equal(cidr_parse(effect.subject, &effect.range), CIDR_FAULT_NONE);
    return policy_effect_adds(policy, &effect);
}

/* Where memory is full these are refused (module/memory_limit.h). */
static void what_an_effect_adds_is_an_exception_that_is_not_there(void **state)
{
    (void)state;
    struct policy *policy = policy_of(10);
    assert_true(adds(policy, POLICY_RANGE, "10.0.0.0/8"));
    override(policy, "a", 20, 0);
    list(policy, "b", LISTED_REFUSE, 0);
    range(policy, "10.0.0.0/8", LISTED_REFUSE, 0);
    assert_false(adds(policy, POLICY_OVERRIDE, "a"));
    assert_true(adds(policy, POLICY_OVERRIDE, "b"));
    assert_false(adds(policy, POLICY_LIST, "b")); /* it changes the list */
    assert_true(adds(policy, POLICY_LIST, "a"));
    assert_false(adds(policy, POLICY_RANGE, "10.0.0.0/8"));
    assert_true(adds(policy, POLICY_RANGE, "10.0.0.0/9"));
    assert_false(adds(policy, POLICY_OVERRIDE_LIFT, "c"));
    assert_false(adds(policy, POLICY_LIST_LIFT, "c"));
    assert_false(adds(policy, POLICY_RANGE_LIFT, "11.0.0.0/8"));
    policy_free(policy);
}

/* Subjects are bytes: NUL, prefixes and length count. */
static void subjects_are_bytes(void **state)
{
    (void)state;
    static char longest[POLICY_SUBJECT_MAX + 1];
    struct policy *policy = policy_of(10);
    memset(longest, 'x', sizeof(longest));
    const struct bytes subjects[] = {{"a\0b", 3}, {"a\0c", 3}, {"a", 1}, {"a\0", 2}, {longest, POLICY_SUBJECT_MAX}};
    for (size_t i = 0; i < COUNT_OF(subjects); i++) {
        struct rule rule;
        apply(policy, (struct policy_effect){
                          .kind = POLICY_OVERRIDE, .subject = subjects[i], .rules = rules_of(&rule, 100 + (int64_t)i)});
    }
    for (size_t i = 0; i < COUNT_OF(subjects); i++) {
        struct policy_choice choice = policy_choose(policy, subjects[i], NULL, 1, find_zone, NULL);
        assert_int_equal(limit_of(&choice), 100 + (int64_t)i);
    }
    struct policy_choice choice =
        policy_choose(policy, (struct bytes){longest, POLICY_SUBJECT_MAX + 1}, NULL, 1, find_zone, NULL);
    assert_int_equal(limit_of(&choice), 10); /* too long for any subject */
    uint32_t count;
    const struct policy_entry **sorted = policy_entries_sorted(&policy->overrides, UINT32_MAX, &count);
    const int order[] = {2, 3, 0, 1, 4};
    assert_int_equal(count, COUNT_OF(order));
    for (uint32_t i = 0; i < count; i++) assert_int_equal(sorted[i]->rules->rules[0].limit, 100 + order[i]);
    memory_free(sorted);
    sorted = policy_entries_sorted(&policy->overrides, 2, &count); /* of the first two */
    assert_int_equal(count, 2);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(sorted[i]->rules->rules[0].limit, 100 + i);
    memory_free(sorted);
    policy_free(policy);
}

static void a_new_definition_leaves_subjects_and_ranges(void **state)
{
    (void)state;
    struct policy *policy = full_policy();
    struct rule rules[RULES_MAX];
    for (uint32_t i = 0; i < RULES_MAX; i++) rules[i] = rule_of(i % RULE_ALGORITHMS_COUNT, 50 + i, S, 0);
    memset(&rules[0].rate_units, 0xee, 2 * sizeof(int64_t)); /* completed on the way in */
    struct policy_definition definition = {.revision = 8, .base = {rules, RULES_MAX}};
    apply(policy, (struct policy_effect){.kind = POLICY_DEFINE, .definition = &definition});
    assert_int_equal(policy->revision, 8);
    struct policy_choice choice = choose(policy, "other", NULL, SUNDAY_1H);
    assert_int_equal(choice.source, CHOICE_BY_BASE); /* the schedules went */
    assert_int_equal(choice.rules->count, RULES_MAX);
    assert_int_equal(choice.rules->rules[0].rate_units, 1);
    assert_int_equal(choice.rules->rules[0].rate_us, 20000);
    assert_int_equal(choice.block_us, 0);
    assert_false(choice.shadow);
    assert_int_equal(choose(policy, "bad", NULL, BASE).kind, CHOICE_REFUSE);
    assert_int_equal(choose(policy, "", "10.0.0.1", BASE).kind, CHOICE_REFUSE);
    choice = choose(policy, "big", NULL, BASE);
    assert_int_equal(limit_of(&choice), 1000);
    assert_true(bytes_equal(policy_name(policy), BYTES("api")));
    policy_free(policy);
}

/* A thousand subjects under two rule sets: two sets in memory, and one for the policy. */
static void equal_rules_stand_in_memory_once(void **state)
{
    (void)state;
    struct policy *policy = policy_of(10), *other = policy_of(10);
    for (int i = 0; i < 1000; i++) {
        char subject[16];
        snprintf(subject, sizeof(subject), "user:%d", i);
        override(policy, subject, 20 + i % 2, 0);
    }
    assert_int_equal(rule_sets_count(), 3);
    for (int i = 0; i < 1000; i++) {
        char subject[16];
        snprintf(subject, sizeof(subject), "user:%d", i);
        override(policy, subject, 10, 0);
    }
    assert_int_equal(rule_sets_count(), 1);
    policy_free(policy);
    assert_int_equal(rule_sets_count(), 1);
    policy_free(other);
    assert_int_equal(rule_sets_count(), 0);
}

/* ---- refusals ------------------------------------------------------------------------------------------ */

static char long_subject[POLICY_SUBJECT_MAX + 1] = "x";
static struct rule good_rule, bad_rule = {.algorithm = RULE_GCRA, .limit = 10};
static const struct policy_rules one = {&good_rule, 1}, none = {&good_rule, 0}, many = {&good_rule, RULES_MAX + 1},
                                 faulty = {&bad_rule, 1};

static void definitions_that_do_not_fit_are_named(void **state)
{
    (void)state;
    good_rule = rule_of(RULE_GCRA, 10, S, 0);
    struct schedule when = entry_of("UTC", "daily", "00:00-24:00"), never = when;
    never.days = 0;
    const struct {
        struct policy_definition definition;
        enum policy_fault fault;
    } rows[] = {
        {{.revision = 0, .base = one}, POLICY_FAULT_REVISION},
        {{.revision = 1, .base = none}, POLICY_FAULT_RULES},
        {{.revision = 1, .base = many}, POLICY_FAULT_RULES},
        {{.revision = 1, .base = faulty}, POLICY_FAULT_RULES},
        {{.revision = 1, .base = one, .block_us = -1}, POLICY_FAULT_BLOCK},
        {{.revision = 1, .base = one, .block_us = DURATION_MAX_US + 1}, POLICY_FAULT_BLOCK},
        {{.revision = 1, .base = one, .block_us = DURATION_MAX_US}, POLICY_FAULT_NONE},
        {{.revision = 1, .base = one, .schedules_count = SCHEDULES_MAX + 1}, POLICY_FAULT_SCHEDULES},
        {{.revision = 1, .base = one, .schedules_count = 1, .schedules = &never, .schedule_rules = &one},
         POLICY_FAULT_SCHEDULE},
        {{.revision = 1, .base = one, .schedules_count = 1, .schedules = &when, .schedule_rules = &none},
         POLICY_FAULT_RULES},
        {{.revision = INT64_MAX, .base = one, .schedules_count = 1, .schedules = &when, .schedule_rules = &one},
         POLICY_FAULT_NONE},
    };
    struct policy *policy = policy_of(10);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct policy_effect effect = {.kind = POLICY_DEFINE, .definition = &rows[i].definition};
        enum policy_fault fault = policy_fault_of(policy, &effect);
        if (fault != rows[i].fault) fail_msg("row %zu: %s", i, policy_fault_text(fault));
    }
    policy_free(policy);
}

/* clang-format off */
#define A {"a", 1}
static const struct {
    struct policy_effect effect;
    enum policy_fault fault;
} fault_rows[] = {
    {{.kind = POLICY_EFFECTS_COUNT}, POLICY_FAULT_KIND},
    {{.kind = POLICY_OVERRIDE, .subject = {"", 0}, .rules = {&good_rule, 1}}, POLICY_FAULT_SUBJECT},
    {{.kind = POLICY_OVERRIDE, .subject = {long_subject, sizeof(long_subject)}, .rules = {&good_rule, 1}},
     POLICY_FAULT_SUBJECT},
    {{.kind = POLICY_OVERRIDE, .subject = A, .rules = {&good_rule, 0}}, POLICY_FAULT_RULES},
    {{.kind = POLICY_OVERRIDE, .subject = A, .rules = {&bad_rule, 1}}, POLICY_FAULT_RULES},
    {{.kind = POLICY_OVERRIDE, .subject = A, .rules = {&good_rule, 1}, .until_us = -1}, POLICY_FAULT_UNTIL},
    {{.kind = POLICY_OVERRIDE, .subject = A, .rules = {&good_rule, 1}, .until_us = INSTANT_MAX_US + 1},
     POLICY_FAULT_UNTIL},
    {{.kind = POLICY_OVERRIDE, .subject = A, .rules = {&good_rule, 1}, .until_us = INSTANT_MAX_US}, POLICY_FAULT_NONE},
    {{.kind = POLICY_OVERRIDE_LIFT, .subject = {"", 0}}, POLICY_FAULT_SUBJECT},
    {{.kind = POLICY_OVERRIDE_LIFT, .subject = {long_subject, POLICY_SUBJECT_MAX}}, POLICY_FAULT_NONE},
    {{.kind = POLICY_LIST, .subject = {"", 0}, .listing = LISTED_REFUSE}, POLICY_FAULT_SUBJECT},
    {{.kind = POLICY_LIST, .subject = A}, POLICY_FAULT_LISTING},
    {{.kind = POLICY_LIST, .subject = A, .listing = LISTED_REFUSE + 1}, POLICY_FAULT_LISTING},
    {{.kind = POLICY_LIST, .subject = A, .listing = LISTED_REFUSE, .until_us = -1}, POLICY_FAULT_UNTIL},
    {{.kind = POLICY_LIST, .subject = A, .listing = LISTED_REFUSE}, POLICY_FAULT_NONE},
    {{.kind = POLICY_LIST_LIFT, .subject = {"", 0}}, POLICY_FAULT_SUBJECT},
    {{.kind = POLICY_RANGE, .range = {.bits = 33}, .listing = LISTED_REFUSE}, POLICY_FAULT_RANGE},
    {{.kind = POLICY_RANGE, .range = {.bits = 32}}, POLICY_FAULT_LISTING},
    {{.kind = POLICY_RANGE, .range = {.bits = 32}, .listing = LISTED_PERMIT, .until_us = -1}, POLICY_FAULT_UNTIL},
    {{.kind = POLICY_RANGE, .range = {.bits = 32}, .listing = LISTED_PERMIT}, POLICY_FAULT_NONE},
    {{.kind = POLICY_RANGE_LIFT, .range = {.bits = 33}}, POLICY_FAULT_RANGE},
    {{.kind = POLICY_RANGE_LIFT, .range = {.bits = 0}}, POLICY_FAULT_NONE},
};
/* clang-format on */

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    good_rule = rule_of(RULE_GCRA, 10, S, 0);
    struct policy *policy = policy_of(10);
    for (size_t i = 0; i < COUNT_OF(fault_rows); i++) {
        enum policy_fault fault = policy_fault_of(policy, &fault_rows[i].effect);
        if (fault != fault_rows[i].fault) fail_msg("row %zu: %s", i, policy_fault_text(fault));
    }
    policy_free(policy);
    for (int fault = 0; fault <= POLICY_FAULTS_COUNT; fault++) {
        assert_true(strlen(policy_fault_text((enum policy_fault)fault)) > 0);
    }
    assert_true(policy_name_valid(BYTES("a")));
    assert_false(policy_name_valid(BYTES("")));
    assert_true(policy_name_valid((struct bytes){long_subject, POLICY_NAME_MAX}));
    assert_false(policy_name_valid((struct bytes){long_subject, POLICY_NAME_MAX + 1}));
}

/* At the bound: one more is refused, one that is there can still be changed, and lifting makes room. */
static void assert_full(struct policy *policy, struct policy_effect newcomer, struct policy_effect known,
                        struct policy_effect lifted, enum policy_fault full)
{
    assert_int_equal(policy_fault_of(policy, &newcomer), full);
    apply(policy, known);
    assert_int_equal(policy_fault_of(policy, &newcomer), full);
    apply(policy, lifted);
    apply(policy, newcomer);
    assert_int_equal(policy_fault_of(policy, &lifted), POLICY_FAULT_NONE);
}

static void bounds_refuse_one_more_and_lose_nothing(void **state)
{
    (void)state;
    struct rule rule;
    struct policy *policy = policy_of(10);
    struct policy_effect put_on = {.kind = POLICY_OVERRIDE, .rules = rules_of(&rule, 20), .until_us = 1};
    struct policy_effect listed = {.kind = POLICY_LIST, .listing = LISTED_REFUSE, .until_us = 1};
    struct policy_effect ranged = {
        .kind = POLICY_RANGE, .listing = LISTED_REFUSE, .until_us = 1, .range = {.bits = 32}};
    for (uint32_t i = 0; i < POLICY_OVERRIDES_MAX; i++) {
        put_on.subject = listed.subject = (struct bytes){(const char *)&i, sizeof(i)};
        ranged.range.address.high = (uint64_t)i << 32;
        policy_apply(policy, &put_on);
        policy_apply(policy, &listed);
        policy_apply(policy, &ranged);
    }
    struct policy_effect known = put_on, lifted = {.kind = POLICY_OVERRIDE_LIFT};
    const uint32_t last = POLICY_OVERRIDES_MAX - 1;
    lifted.subject = known.subject = listed.subject = (struct bytes){(const char *)&last, sizeof(last)};
    put_on.subject = BYTES("newcomer");
    assert_full(policy, put_on, known, lifted, POLICY_FAULT_OVERRIDES_FULL);
    known = listed;
    listed.subject = BYTES("newcomer");
    lifted.kind = POLICY_LIST_LIFT;
    assert_full(policy, listed, known, lifted, POLICY_FAULT_LISTED_FULL);
    known = ranged;
    lifted = (struct policy_effect){.kind = POLICY_RANGE_LIFT, .range = known.range};
    ranged.range = range_of("2001:db8::/32");
    assert_full(policy, ranged, known, lifted, POLICY_FAULT_RANGES_FULL);
    assert_true(policy_bytes(policy) < 400000000);
    policy_free(policy);
}

/* ---- sweeps -------------------------------------------------------------------------------------------- */

/* One call; its lifts are applied. How many there were. */
static uint32_t sweep(struct policy *policy, int64_t now_us, uint32_t looked_max, uint32_t lifts_max)
{
    struct policy_effect lifts[64];
    uint32_t count = policy_sweep(policy, now_us, looked_max, lifts, lifts_max);
    assert_true(count <= lifts_max);
    for (uint32_t i = 0; i < count; i++) apply(policy, lifts[i]);
    return count;
}

static void sweeps_find_what_has_expired_and_nothing_else(void **state)
{
    (void)state;
    struct policy *policy = policy_of(10);
    for (int i = 0; i < 3; i++) assert_int_equal(sweep(policy, 1000, 10, 10), 0); /* there is nothing */
    for (int i = 0; i < 30; i++) {
        char subject[16], text[32];
        int64_t until_us = i % 3 == 0 ? 0 : 100 + i; /* ten for ever */
        snprintf(subject, sizeof(subject), "user:%d", i);
        snprintf(text, sizeof(text), "10.0.%d.0/24", i);
        override(policy, subject, 20, until_us);
        list(policy, subject, LISTED_REFUSE, until_us);
        range(policy, text, LISTED_REFUSE, until_us);
    }
    for (int i = 0; i < 10; i++) assert_int_equal(sweep(policy, 100, 64, 64), 0);
    /* at 115 the ones until 101 … 115 are over: 12, 15, … are for ever */
    uint32_t found = 0;
    for (int i = 0; i < 40; i++) found += sweep(policy, 115, 7, 3);
    assert_int_equal(found, 30);
    assert_int_equal(policy_overrides_count(policy), 20);
    assert_int_equal(policy_listed_count(policy), 20);
    assert_int_equal(policy_ranges_count(policy), 20);
    assert_int_equal(choose(policy, "user:16", NULL, 115).kind, CHOICE_REFUSE);
    /* a call looks at no more than it may: 60 entries are left, 7 at a time */
    found = 0;
    for (int i = 0; i < 4; i++) found += sweep(policy, 1000, 7, 7);
    assert_true(found <= 28);
    for (int i = 0; i < 40; i++) found += sweep(policy, 1000, 64, 64);
    assert_int_equal(found, 30);
    assert_int_equal(policy_overrides_count(policy) + policy_listed_count(policy) + policy_ranges_count(policy), 30);
    policy_free(policy);
}

/* Ninety-nine that stay before one that has expired: ten at a time it takes until the tenth call. */
static void a_sweep_looks_at_no_more_than_it_may(void **state)
{
    (void)state;
    struct policy *policy = policy_of(10);
    for (int i = 0; i < 100; i++) {
        char subject[16];
        snprintf(subject, sizeof(subject), "user:%d", i);
        override(policy, subject, 20, i == 99 ? 50 : 0);
    }
    assert_int_equal(sweep(policy, 50, 10, 10), 0); /* goes around to where the overrides begin */
    for (int i = 0; i < 9; i++) assert_int_equal(sweep(policy, 50, 10, 10), 0);
    assert_int_equal(sweep(policy, 50, 10, 10), 1);
    policy_free(policy);
}

/* ---- the model ----------------------------------------------------------------------------------------- */

enum { SUBJECTS = 12, RANGES = 40, BASE_LIMIT = 10 };

struct fact {
    bool there;
    int64_t what, until_us; /* a limit or a listing */
};

/* One fact for each subject and range there could be. */
struct model {
    struct fact overrides[SUBJECTS], listed[SUBJECTS], ranges[RANGES];
    int64_t base;
};

static struct bytes subject_number(uint32_t number)
{
    static const char names[SUBJECTS][8] = {"a", "aa", "aaa", "b", "ba", "c", "ca", "cb", "d", "e", "f", "g"};
    return string_bytes(names[number]);
}

/* Forty ranges that nest: 10.0.0.0/8 … /32 and their neighbours. */
static struct cidr range_number(uint32_t number)
{
    struct cidr range = {.bits = 8 + number % 20};
    range.address.high = UINT64_C(0x0a000000) << 32;
    if (number >= 20) range.address.high |= UINT64_C(1) << (64 - range.bits);
    assert_true(cidr_valid(&range));
    return range;
}

static bool fact_stands(const struct fact *fact, int64_t now_us)
{
    return fact->there && (fact->until_us == 0 || fact->until_us > now_us);
}

static const struct fact *model_range(const struct model *model, uint32_t ip, int64_t now_us)
{
    const struct fact *best = NULL;
    uint32_t best_bits = 0;
    for (uint32_t i = 0; i < RANGES; i++) {
        struct cidr range = range_number(i);
        bool inside = (ip ^ (uint32_t)(range.address.high >> 32)) >> (32 - range.bits) == 0;
        if (!inside || !fact_stands(&model->ranges[i], now_us) || (best && range.bits <= best_bits)) continue;
        best = &model->ranges[i];
        best_bits = range.bits;
    }
    return best;
}

static void check_choice(const struct policy *policy, const struct model *model, int64_t now_us)
{
    uint32_t who = random_below(SUBJECTS + 1), ip = 0x0a000000u | 1u << random_below(26);
    bool named = who < SUBJECTS, with_address = random_below(2);
    struct address address = {.high = (uint64_t)ip << 32};
    struct policy_choice choice = policy_choose(policy, named ? subject_number(who) : BYTES("unlisted"),
                                                with_address ? &address : NULL, now_us, find_zone, NULL);
    const struct fact *decides = named && fact_stands(&model->listed[who], now_us) ? &model->listed[who] : NULL;
    if (!decides && with_address) decides = model_range(model, ip, now_us);
    if (decides) {
        assert_int_equal(choice.kind, decides->what == LISTED_PERMIT ? CHOICE_PERMIT : CHOICE_REFUSE);
        assert_int_equal(choice.until_us, decides->until_us);
        return;
    }
    if (named && fact_stands(&model->overrides[who], now_us)) decides = &model->overrides[who];
    assert_int_equal(choice.kind, CHOICE_RULES);
    assert_int_equal(limit_of(&choice), decides ? decides->what : model->base);
    assert_int_equal(choice.until_us, decides ? decides->until_us : 0);
}

static void change_both(struct policy *policy, struct model *model)
{
    struct rule rule;
    uint32_t who = random_below(SUBJECTS), where = random_below(RANGES);
    struct fact fact = {true, 20 + random_below(5), random_below(3) ? 1 + random_below(1000) : 0};
    struct fact listing = {true, random_below(2) ? LISTED_PERMIT : LISTED_REFUSE, fact.until_us};
    struct policy_definition definition = {.revision = 2, .base = rules_of(&rule, fact.what)};
    struct policy_effect effect = {.kind = random_below(POLICY_EFFECTS_COUNT),
                                   .listing = (enum listing)listing.what,
                                   .until_us = fact.until_us,
                                   .subject = subject_number(who),
                                   .rules = definition.base,
                                   .range = range_number(where),
                                   .definition = &definition};
    apply(policy, effect);
    switch (effect.kind) {
    case POLICY_DEFINE: model->base = fact.what; break;
    case POLICY_OVERRIDE: model->overrides[who] = fact; break;
    case POLICY_OVERRIDE_LIFT: model->overrides[who].there = false; break;
    case POLICY_LIST: model->listed[who] = listing; break;
    case POLICY_LIST_LIFT: model->listed[who].there = false; break;
    case POLICY_RANGE: model->ranges[where] = listing; break;
    case POLICY_RANGE_LIFT: model->ranges[where].there = false; break;
    case POLICY_EFFECTS_COUNT: break;
    }
}

static uint32_t facts_count(struct fact *facts, uint32_t count, int64_t forget_until_us)
{
    uint32_t there = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!fact_stands(&facts[i], forget_until_us)) facts[i].there = false;
        there += facts[i].there;
    }
    return there;
}

static void any_stream_of_changes_agrees_with_plain_lists(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct policy *policy = policy_of(BASE_LIMIT);
        struct model model = {.base = BASE_LIMIT};
        int64_t now_us = 1;
        for (int step = 0; step < 300; step++) {
            now_us += random_below(6);
            change_both(policy, &model);
            for (int i = 0; i < 3; i++) check_choice(policy, &model, now_us);
            if (step % 5 == 0) sweep(policy, now_us, 1 + random_below(9), 1 + random_below(9)); /* changes no answer */
        }
        for (int i = 0; i < 20; i++) sweep(policy, now_us, 64, 64);
        assert_int_equal(policy_overrides_count(policy), facts_count(model.overrides, SUBJECTS, now_us));
        assert_int_equal(policy_listed_count(policy), facts_count(model.listed, SUBJECTS, now_us));
        assert_int_equal(policy_ranges_count(policy), facts_count(model.ranges, RANGES, now_us));
        policy_free(policy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_level_of_precedence_comes_before_the_next),
        cmocka_unit_test(a_subject_is_on_one_list_and_lifting_takes_it_off),
        cmocka_unit_test(what_an_effect_adds_is_an_exception_that_is_not_there),
        cmocka_unit_test(subjects_are_bytes),
        cmocka_unit_test(a_new_definition_leaves_subjects_and_ranges),
        cmocka_unit_test(equal_rules_stand_in_memory_once),
        cmocka_unit_test(definitions_that_do_not_fit_are_named),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(bounds_refuse_one_more_and_lose_nothing),
        cmocka_unit_test(sweeps_find_what_has_expired_and_nothing_else),
        cmocka_unit_test(a_sweep_looks_at_no_more_than_it_may),
        cmocka_unit_test(any_stream_of_changes_agrees_with_plain_lists),
    };
    return cmocka_run_group_tests(tests, set_up, nothing_is_left);
}

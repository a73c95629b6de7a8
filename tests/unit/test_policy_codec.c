/* The codec of policies: one value, one encoding, however it came to be; a twin behind the wire ends with the same
 * bytes; every truncation and every changed byte is refused or understood, never worse. */
#include "quota/base/memory.h"
#include "quota/rate/policy_codec.h"
#include "scenario.h"
#include "tools.h"
#include <stdio.h>
#include <stdlib.h>

#define SEED UINT64_C(19840504)

static struct bytes string_bytes(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static struct bytes bytes_in(const struct sink *sink)
{
    return (struct bytes){sink->data, sink->size};
}

static int set_up(void **state)
{
    (void)state;
    random_begin(SEED);
    return 0;
}

static int no_rules_are_left(void **state)
{
    (void)state;
    return rule_sets_count() != 0;
}

/* ---- a policy with one of everything --------------------------------------------------------------------- */

enum { EFFECTS = 14 };

/* Effects and what they borrow; those from 1 on may come in any order. */
struct story {
    struct rule rules[RULES_MAX], few[2];
    struct schedule schedules[3];
    struct policy_rules schedule_rules[3];
    struct policy_definition definition;
    struct policy_effect effects[EFFECTS];
};

static struct cidr range_of(const char *text)
{
    struct cidr range = {0};
    if (cidr_parse(string_bytes(text), &range)) fail_msg("%s", text);
    return range;
}

static struct schedule entry_of(const char *zone, const char *days, const char *times)
{
    struct schedule entry = {0};
    assert_true(schedule_set_zone(&entry, string_bytes(zone)));
    assert_true(schedule_parse_days(string_bytes(days), &entry.days));
    assert_true(schedule_parse_times(string_bytes(times), &entry.from_minutes, &entry.to_minutes));
    return entry;
}

static void story_begin(struct story *story)
{
    for (uint32_t i = 0; i < RULES_MAX; i++) story->rules[i] = rule_of(i % RULE_ALGORITHMS_COUNT, 700 + i, 11 * S, 0);
    story->few[0] = rule_of(RULE_TOKEN, 5, S, 25);
    story->few[1] = rule_of(RULE_GCRA, -1, H, 0);
    story->schedules[0] = entry_of("Europe/Berlin", "mon-fri", "09:00-17:30");
    story->schedules[1] = entry_of("America/New_York", "sat,sun", "22:00-02:00");
    story->schedules[2] = entry_of("UTC", "daily", "00:00-24:00");
    story->schedule_rules[0] = (struct policy_rules){story->few, 2};
    story->schedule_rules[1] = (struct policy_rules){story->rules, 3};
    story->schedule_rules[2] = (struct policy_rules){story->few, 1};
    story->definition = (struct policy_definition){.revision = 42,
                                                   .block_us = 90 * S,
                                                   .shadow = true,
                                                   .base = {story->rules, 9},
                                                   .schedules_count = 3,
                                                   .schedules = story->schedules,
                                                   .schedule_rules = story->schedule_rules};
    const struct policy_rules few = {story->few, 2}, one = {story->few, 1};
    const struct policy_effect effects[EFFECTS] = {
        {.kind = POLICY_DEFINE, .definition = &story->definition},
        {.kind = POLICY_OVERRIDE, .subject = BYTES("user:1"), .rules = few},
        {.kind = POLICY_OVERRIDE, .subject = BYTES("user:10"), .rules = one, .until_us = BASE},
        {.kind = POLICY_OVERRIDE, .subject = BYTES("\0\xff"), .rules = one, .until_us = INSTANT_MAX_US},
        {.kind = POLICY_OVERRIDE, .subject = BYTES("team"), .rules = {story->rules, 3}},
        {.kind = POLICY_LIST, .subject = BYTES("user:1"), .listing = LISTED_PERMIT},
        {.kind = POLICY_LIST, .subject = BYTES("mallory"), .listing = LISTED_REFUSE, .until_us = BASE},
        {.kind = POLICY_LIST, .subject = BYTES("m"), .listing = LISTED_REFUSE},
        {.kind = POLICY_RANGE, .range = range_of("0.0.0.0/0"), .listing = LISTED_PERMIT},
        {.kind = POLICY_RANGE, .range = range_of("10.0.0.0/9"), .listing = LISTED_REFUSE, .until_us = BASE},
        {.kind = POLICY_RANGE, .range = range_of("10.1.2.3"), .listing = LISTED_PERMIT, .until_us = 1},
        {.kind = POLICY_RANGE, .range = range_of("::/0"), .listing = LISTED_REFUSE},
        {.kind = POLICY_RANGE, .range = range_of("2001:db8:0:0:8000::/65"), .listing = LISTED_REFUSE},
        {.kind = POLICY_RANGE, .range = range_of("2001:db8::1"), .listing = LISTED_PERMIT},
    };
    memcpy(story->effects, effects, sizeof(effects));
}

static void apply(struct policy *policy, const struct policy_effect *effect)
{
    enum policy_fault fault = policy_fault_of(policy, effect);
    if (fault) fail_msg("%s", policy_fault_text(fault));
    policy_apply(policy, effect);
}

/* All effects applied from the first. */
static struct policy *story_policy(const struct story *story)
{
    struct policy *policy = policy_new(BYTES("api"), &story->definition);
    for (size_t i = 1; i < EFFECTS; i++) apply(policy, &story->effects[i]);
    return policy;
}

static void assert_same_policy(const struct policy *left, const struct policy *right)
{
    struct sink a = {0}, b = {0};
    policy_encode(left, &a);
    policy_encode(right, &b);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    sink_free(&a);
    sink_free(&b);
}

/* ---- values -------------------------------------------------------------------------------------------- */

static void assert_there(const struct policy *policy, const struct policy_effect *effect)
{
    struct cidr_entry range;
    const struct policy_entry *entry;
    switch (effect->kind) {
    case POLICY_OVERRIDE:
        entry = policy_entry_find(&policy->overrides, effect->subject);
        assert_int_equal(entry->until_us, effect->until_us);
        assert_int_equal(entry->rules->count, effect->rules.count);
        break;
    case POLICY_LIST:
        entry = policy_entry_find(&policy->listed, effect->subject);
        assert_int_equal(entry->until_us, effect->until_us);
        assert_int_equal(entry->listing, effect->listing);
        break;
    default:
        assert_true(cidr_set_find(policy->ranges, &effect->range, &range));
        assert_int_equal(range.until_us, effect->until_us);
        assert_int_equal(range.listing, effect->listing);
    }
}

static void a_value_comes_back_whole(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    struct policy *policy = story_policy(&story);
    struct sink blob = {0};
    policy_encode(policy, &blob);
    struct policy *again = policy_decode(bytes_in(&blob));
    assert_non_null(again);
    assert_same_policy(policy, again);

    assert_true(bytes_equal(policy_name(again), BYTES("api")));
    assert_int_equal(again->revision, 42);
    assert_int_equal(again->block_us, 90 * S);
    assert_true(again->shadow);
    assert_ptr_equal(again->rules, policy->rules); /* shared: completed to the same bytes */
    assert_int_equal(again->schedules_count, 3);
    assert_memory_equal(again->schedules, story.schedules, sizeof(story.schedules));
    for (uint32_t i = 0; i < 3; i++) assert_ptr_equal(again->schedule_rules[i], policy->schedule_rules[i]);
    for (size_t i = 1; i < EFFECTS; i++) assert_there(again, &story.effects[i]);
    policy_free(again);
    policy_free(policy);
    sink_free(&blob);
}

static void the_smallest_policy_has_eighteen_bytes(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_GCRA, 10, S, 0);
    struct policy_definition definition = {.revision = 1, .base = {&rule, 1}};
    struct policy *policy = policy_new(BYTES("p"), &definition);
    struct sink blob = {0};
    policy_encode(policy, &blob);
    /* encoding, name (2), revision, block, shadow, count, rule (1 10 1000000us 0 0), schedules, three empty lists */
    static const uint8_t bytes[] = {1, 1, 'p', 1, 0, 0, 1, 0, 20, 0xc0, 0x84, 0x3d, 0, 0, 0, 0, 0, 0};
    assert_int_equal(blob.size, sizeof(bytes));
    assert_memory_equal(blob.data, bytes, sizeof(bytes));
    sink_free(&blob);
    policy_free(policy);
}

static void the_order_of_changes_leaves_no_trace(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    struct policy *wanted = story_policy(&story);
    for (int round = 0; round < 200; round++) {
        for (uint32_t i = EFFECTS - 1; i > 0; i--) { /* Fisher-Yates */
            uint32_t other = random_below(i + 1);
            struct policy_effect kept = story.effects[i];
            story.effects[i] = story.effects[other];
            story.effects[other] = kept;
        }
        struct policy_definition first = {.revision = 1, .base = {story.rules, 1}};
        struct policy *policy = policy_new(BYTES("api"), &first);
        for (size_t i = 0; i < EFFECTS; i++) {
            struct policy_effect detour = story.effects[random_below(EFFECTS)]; /* something else on the way */
            detour.until_us = 77;
            apply(policy, &detour);
        }
        for (size_t i = 0; i < EFFECTS; i++) apply(policy, &story.effects[i]);
        assert_same_policy(policy, wanted);
        policy_free(policy);
    }
    policy_free(wanted);
}

static void many_subjects_are_sorted(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    for (uint32_t count = 1; count < 70; count += 1 + count / 9) {
        struct policy *up = policy_new(BYTES("x"), &story.definition),
                      *down = policy_new(BYTES("x"), &story.definition);
        for (uint32_t i = 0; i < count; i++) {
            char left[16], right[16];
            struct policy_effect effect = story.effects[7];
            effect.subject = (struct bytes){left, (size_t)snprintf(left, sizeof(left), "%u", i * 7919 % count)};
            apply(up, &effect);
            effect.subject = (struct bytes){right, (size_t)snprintf(right, sizeof(right), "%u", count - 1 - i)};
            apply(down, &effect);
        }
        if (policy_listed_count(up) == count) assert_same_policy(up, down);
        policy_free(up);
        policy_free(down);
    }
}

/* Bytes are either refused, or a value that encodes to exactly these bytes again. */
static bool refused_or_same(const char *data, size_t size)
{
    struct policy *policy = policy_decode((struct bytes){data, size});
    if (!policy) return true;
    struct sink again = {0};
    policy_encode(policy, &again);
    bool same = again.size == size && memcmp(again.data, data, size) == 0;
    sink_free(&again);
    policy_free(policy);
    return same;
}

static void damaged_values_are_refused_or_understood(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    struct policy *policy = story_policy(&story);
    struct sink blob = {0};
    policy_encode(policy, &blob);
    for (size_t size = 0; size < blob.size; size++) {
        char *exact = malloc(size + 1); /* its end is the sanitizer's */
        memcpy(exact, blob.data, size);
        assert_null(policy_decode((struct bytes){exact, size})); /* truncated anywhere */
        free(exact);
    }
    for (size_t at = 0; at < blob.size; at++) {
        char kept = blob.data[at];
        for (int byte = 0; byte < 256; byte++) {
            blob.data[at] = (char)byte;
            if (!refused_or_same(blob.data, blob.size)) fail_msg("byte %zu as %d", at, byte);
        }
        blob.data[at] = kept;
    }
    blob.data[0] = POLICY_ENCODING_NEWEST + 1;
    assert_null(policy_decode(bytes_in(&blob))); /* written by a newer version */
    blob.data[0] = POLICY_ENCODING_NEWEST;
    sink_byte(&blob, 0);
    assert_null(policy_decode(bytes_in(&blob))); /* something behind it */
    sink_free(&blob);
    policy_free(policy);
}

/* Well-formed parts in a form that is not theirs. */
/* clang-format off */
#define ROW(good, ...) {sizeof((uint8_t[]){__VA_ARGS__}), {__VA_ARGS__}, good}
#define HEAD   1, 1, 'p', 1, 0, 0, 1, 0, 20, 0xc0, 0x84, 0x3d, 0, 0, 0
#define RULE   0, 20, 0xc0, 0x84, 0x3d, 0, 0
static const struct {
    size_t size;
    uint8_t bytes[64];
    bool good;
} form_rows[] = {
    ROW(true, HEAD, 0, 0, 0),
    /* subjects: ascending, none twice, none empty */
    ROW(true, HEAD, 0, 1, 1, 'a', 1, 0, 0),
    ROW(true, HEAD, 0, 2, 1, 'a', 1, 0, 1, 'b', 1, 0, 0),
    ROW(true, HEAD, 0, 2, 1, 'a', 1, 0, 2, 'a', 'a', 1, 0, 0),
    ROW(false, HEAD, 0, 2, 2, 'a', 'a', 1, 0, 1, 'a', 1, 0, 0),
    ROW(false, HEAD, 0, 2, 1, 'b', 1, 0, 1, 'a', 1, 0, 0),
    ROW(false, HEAD, 0, 2, 1, 'a', 1, 0, 1, 'a', 1, 0, 0),
    ROW(false, HEAD, 0, 1, 0, 1, 0, 0),
    /* lists: permit and refuse */
    ROW(true, HEAD, 0, 1, 1, 'a', 2, 0, 0),
    ROW(false, HEAD, 0, 1, 1, 'a', 0, 0, 0),
    ROW(false, HEAD, 0, 1, 1, 'a', 3, 0, 0),
    /* overrides: 1 … 32 rules */
    ROW(true, HEAD, 1, 1, 'a', 0, 1, RULE, 0, 0),
    ROW(false, HEAD, 1, 1, 'a', 0, 0, 0, 0),
    ROW(false, HEAD, 1, 1, 'a', 0, 33, 0, 0),
    /* ranges: IPv4 first, then by bits; nothing behind the prefix; lengths up to 32 and 128 */
    ROW(true, HEAD, 0, 0, 1, 8, 10, 1, 0),
    ROW(true, HEAD, 0, 0, 2, 8, 10, 1, 0, 9, 10, 0, 1, 0),
    ROW(true, HEAD, 0, 0, 1, 33, 1, 0),
    ROW(true, HEAD, 0, 0, 2, 8, 10, 1, 0, 33, 1, 0),
    ROW(false, HEAD, 0, 0, 2, 33, 1, 0, 8, 10, 1, 0),
    ROW(true, HEAD, 0, 0, 1, 7, 10, 1, 0),
    ROW(false, HEAD, 0, 0, 1, 7, 11, 1, 0),
    ROW(false, HEAD, 0, 0, 1, 9, 10, 1, 1, 0),
    ROW(false, HEAD, 0, 0, 1, 0xa2, 1, 1, 0),
    /* counts that promise more than there is */
    ROW(false, HEAD, 0xff, 0xff, 0xff, 0xff, 7, 0, 0),
    ROW(false, HEAD, 0xc0, 0x84, 0x3d, 0, 0),
};
/* clang-format on */

static void what_has_another_form_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(form_rows); i++) {
        const char *data = (const char *)form_rows[i].bytes;
        struct policy *policy = policy_decode((struct bytes){data, form_rows[i].size});
        if ((policy != NULL) != form_rows[i].good) fail_msg("row %zu", i);
        policy_free(policy);
        assert_true(refused_or_same(data, form_rows[i].size));
    }
}

/* ---- effects ------------------------------------------------------------------------------------------- */

static struct policy_effect_room room; /* large: not for the stack of a test */

static void effects_carry_over_the_wire(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    struct policy *policy = policy_new(BYTES("api"), &story.definition),
                  *twin = policy_new(BYTES("api"), &story.definition);
    for (int step = 0; step < 4000; step++) {
        struct sink wire = {0};
        struct policy_effect effect = story.effects[random_below(EFFECTS)], received;
        if (effect.kind != POLICY_DEFINE && random_below(3) == 0) effect.kind++; /* the lift of it */
        if (random_below(2)) effect.until_us = random_below(1000);
        story.definition.revision = 1 + random_below(1000);
        story.definition.shadow = random_below(2);
        story.definition.schedules_count = random_below(4);
        policy_effect_encode(&effect, &wire);
        apply(policy, &effect);

        struct cursor cursor = cursor_init(bytes_in(&wire));
        assert_true(policy_effect_decode(&cursor, &room, &received));
        assert_true(cursor_done(&cursor));
        apply(twin, &received);
        sink_free(&wire);
        if (step % 7 == 0) assert_same_policy(policy, twin);
    }
    policy_free(policy);
    policy_free(twin);
}

static void several_effects_follow_each_other(void **state)
{
    (void)state;
    struct story story;
    struct sink wire = {0};
    story_begin(&story);
    for (size_t i = 0; i < EFFECTS; i++) policy_effect_encode(&story.effects[i], &wire);
    struct policy_definition first = {.revision = 1, .base = {story.rules, 1}};
    struct policy *policy = story_policy(&story), *twin = policy_new(BYTES("api"), &first);
    struct cursor cursor = cursor_init(bytes_in(&wire));
    while (!cursor_done(&cursor)) {
        struct policy_effect effect;
        assert_true(policy_effect_decode(&cursor, &room, &effect));
        apply(twin, &effect);
    }
    assert_same_policy(policy, twin);
    policy_free(policy);
    policy_free(twin);
    sink_free(&wire);
}

static void an_effect_is_a_few_bytes(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    static const struct {
        size_t effect, size;
    } rows[] = {
        {5, 11}, /* LIST user:1 PERMIT for ever */
        {8, 5},  /* RANGE 0.0.0.0/0 */
        {10, 9}, /* RANGE 10.1.2.3/32 until 1 */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sink wire = {0};
        policy_effect_encode(&story.effects[rows[i].effect], &wire);
        assert_int_equal(wire.size, rows[i].size);
        sink_free(&wire);
    }
}

static void assert_effect_refused_or_fits(const struct story *story, const char *data, size_t size)
{
    struct cursor cursor = cursor_init((struct bytes){data, size});
    struct policy_effect effect;
    if (!policy_effect_decode(&cursor, &room, &effect)) {
        assert_true(cursor.bad);
        return;
    }
    struct sink again = {0};
    policy_effect_encode(&effect, &again);
    assert_int_equal(again.size, cursor.at);
    assert_memory_equal(again.data, data, cursor.at);
    sink_free(&again);
    struct policy *policy = policy_new(BYTES("api"), &story->definition);
    apply(policy, &effect); /* what was decoded has no fault */
    policy_free(policy);
}

static void damaged_effects_are_refused_or_fit(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    for (size_t i = 0; i < 2 * EFFECTS; i++) {
        struct sink wire = {0};
        struct policy_effect effect = story.effects[i % EFFECTS];
        if (i >= EFFECTS && effect.kind != POLICY_DEFINE) effect.kind++; /* the lift of it */
        policy_effect_encode(&effect, &wire);
        for (size_t size = 0; size < wire.size; size++) {
            char *exact = malloc(size + 1);
            memcpy(exact, wire.data, size);
            struct cursor cursor = cursor_init((struct bytes){exact, size});
            assert_false(policy_effect_decode(&cursor, &room, &effect));
            free(exact);
        }
        for (size_t at = 0; at < wire.size; at++) {
            char kept = wire.data[at];
            for (int byte = 0; byte < 256; byte++) {
                wire.data[at] = (char)byte;
                assert_effect_refused_or_fits(&story, wire.data, wire.size);
            }
            wire.data[at] = kept;
        }
        sink_free(&wire);
    }
}

static bool decodes(const struct policy_effect *effect)
{
    struct sink wire = {0};
    struct policy_effect received;
    policy_effect_encode(effect, &wire);
    struct cursor cursor = cursor_init(bytes_in(&wire));
    bool read = policy_effect_decode(&cursor, &room, &received);
    sink_free(&wire);
    return read;
}

/* What a careless sender would encode one step beyond each bound. */
static void what_is_beyond_a_bound_is_refused(void **state)
{
    (void)state;
    static char text[POLICY_SUBJECT_MAX + 1];
    struct story story;
    story_begin(&story);
    struct policy_effect listed = story.effects[5], ranged = story.effects[8], defined = story.effects[0];
    for (int beyond = 0; beyond < 2; beyond++) {
        listed.subject = (struct bytes){text, (size_t)(POLICY_SUBJECT_MAX + beyond)};
        assert_int_equal(decodes(&listed), !beyond);
        listed.subject = (struct bytes){text, (size_t)(1 - beyond)};
        assert_int_equal(decodes(&listed), !beyond);
        ranged.until_us = INSTANT_MAX_US + beyond;
        assert_int_equal(decodes(&ranged), !beyond);
        story.definition.block_us = DURATION_MAX_US + beyond;
        assert_int_equal(decodes(&defined), !beyond);
        story.definition.block_us = 0;
        story.definition.revision = 1 - beyond;
        assert_int_equal(decodes(&defined), !beyond);
        story.definition.revision = 1;
        story.definition.base.count = (uint32_t)(1 - beyond);
        assert_int_equal(decodes(&defined), !beyond);
        story.definition.base.count = 1;

        struct policy *policy = policy_new(BYTES("api"), &story.definition);
        struct sink blob = {0}, changed = {0};
        policy_encode(policy, &blob);
        sink_byte(&changed, (uint8_t)blob.data[0]); /* another name in front of the rest */
        sink_bytes(&changed, (struct bytes){text, (size_t)(POLICY_NAME_MAX + beyond)});
        sink_raw(&changed, blob.data + 5, blob.size - 5);
        struct policy *renamed = policy_decode(bytes_in(&changed));
        assert_int_equal(renamed != NULL, !beyond);
        policy_free(renamed);
        policy_free(policy);
        sink_free(&blob);
        sink_free(&changed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_comes_back_whole),
        cmocka_unit_test(the_smallest_policy_has_eighteen_bytes),
        cmocka_unit_test(the_order_of_changes_leaves_no_trace),
        cmocka_unit_test(many_subjects_are_sorted),
        cmocka_unit_test(damaged_values_are_refused_or_understood),
        cmocka_unit_test(what_has_another_form_is_refused),
        cmocka_unit_test(effects_carry_over_the_wire),
        cmocka_unit_test(several_effects_follow_each_other),
        cmocka_unit_test(an_effect_is_a_few_bytes),
        cmocka_unit_test(damaged_effects_are_refused_or_fit),
        cmocka_unit_test(what_is_beyond_a_bound_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, no_rules_are_left);
}

/* Tables against a key for each subject: the same verdicts, whatever splits, merges, is swept or changes its rules.
 *
 *     request ─▶ table ──wire──▶ twin        byte for byte the same value, sweeping included
 *            └─▶ model[subject], a limiter   the same verdict */
#include "quota/rate/table_codec.h"
#include "quota/time/duration.h"
#include "scenario.h"
#include "tools.h"

#define SUBJECTS 3000

static struct limiter *model[SUBJECTS];
static struct table *table, *twin;

static struct bytes subject_at(uint32_t i, char room[64])
{
    int size = 3 + (int)(i % 5) * 6; /* inside the slot and apart */
    memset(room, 'x', 64);
    memcpy(room, &i, sizeof(i));
    return (struct bytes){room, (size_t)size + 1};
}

static void assert_same_bytes(const struct table *left, const struct table *right)
{
    struct sink one = {0}, two = {0};
    table_encode(left, &one);
    table_encode(right, &two);
    assert_int_equal(one.size, two.size);
    assert_memory_equal(one.data, two.data, one.size);
    sink_free(&one);
    sink_free(&two);
}

/* On the table, and over the wire on its twin. */
static void apply(const struct table_decision *decision)
{
    struct sink wire = {0};
    struct rule rules[RULES_MAX];
    struct table_decision received;
    bool no_expire;
    if (!table_decision_has_effects(decision)) return;
    table_effects_encode(decision, false, &wire);
    assert_true(table_effects_decode((struct bytes){wire.data, wire.size}, rules, &received, &no_expire));
    assert_true(table_accepts(twin, &received));
    twin = table_apply(twin, &received);
    table = table_apply(table, decision);
    sink_free(&wire);
}

static void give_rules(const struct rule *rules, uint32_t count, int64_t now_us)
{
    struct rule wanted[RULES_MAX];
    struct table_decision decision;
    memcpy(wanted, rules, count * sizeof(*rules));
    table_decide_rules(table, wanted, count, now_us, siphash_key_of(5), &decision);
    apply(&decision);
}

/* A limiter of its own goes through the same request. */
static struct verdict request_model(struct limiter **limiter, struct limiter_request request)
{
    struct rule rules[RULES_MAX];
    struct decision decision;
    memcpy(rules, table->set->rules, table->set->count * sizeof(*rules));
    request.rules_us = table->rules_us;
    limiter_decide(*limiter, rules, table->set->count, &request, &decision);
    assert_int_equal(decision.fault, FAULT_NONE);
    decision.sleeping_count = 0; /* a table has one rule set for all subjects: what leaves it is forgotten */
    if (decision.effects_count > 0) *limiter = limiter_apply(*limiter, &decision);
    return decision.verdict;
}

static void request_both(uint32_t i, int64_t cost, enum request_mode mode, int64_t now_us)
{
    char room[64];
    struct table_decision decision;
    struct limiter_request request = {.cost = cost, .now_us = now_us, .mode = mode};
    table_decide_take(table, subject_at(i, room), &request, &decision);
    assert_int_equal(decision.limits.fault, FAULT_NONE);
    bool granted = decision.limits.verdict.granted > 0, peek = mode == MODE_PEEK;
    if (!granted || peek) assert_int_equal(decision.limits.effects_count, 0);
    struct verdict expected = request_model(&model[i], request);
    assert_int_equal(decision.limits.verdict.granted, expected.granted);
    assert_int_equal(decision.limits.verdict.remaining, expected.remaining);
    assert_int_equal(decision.limits.verdict.wait_us, expected.wait_us);
    assert_int_equal(decision.limits.verdict.reset_us, expected.reset_us);
    assert_int_equal(decision.limits.verdict.rule, expected.rule);
    apply(&decision);
}

/* What the table says of itself is so. */
static void assert_sums(void)
{
    size_t bytes = sizeof(*table) + (sizeof(void *) << table->depth);
    uint32_t subjects = 0, segments = 0;
    bool deepest = table->depth == 0;
    for (uint32_t place = 0; place < UINT32_C(1) << table->depth; place += table_places(table, place)) {
        const struct segment *segment = table->directory[place];
        bytes += segment_bytes(segment);
        subjects += segment_count(segment);
        segments++;
        deepest = deepest || segment_depth(segment) == table->depth;
        for (uint32_t k = 0; k < segment_count(segment); k++) {
            uint64_t hash = siphash(&table->key, segment_name(segment, k));
            assert_ptr_equal(table->directory[table->depth ? hash >> (64 - table->depth) : 0], segment);
        }
    }
    assert_int_equal(table_bytes(table), bytes);
    assert_int_equal(table->subjects, subjects);
    assert_int_equal(table->segments, segments);
    assert_true(deepest);
}

/* Every segment under the present rules: one request with FORCE for each subject. */
static void touch_all(int64_t now_us)
{
    for (uint32_t i = 0; i < SUBJECTS; i++) request_both(i, 1, MODE_FORCE, now_us);
}

static void forget_all(void)
{
    for (uint32_t i = 0; i < SUBJECTS; i++) {
        limiter_free(model[i]);
        model[i] = NULL;
    }
    table_free(table);
    table_free(twin);
    table = twin = NULL;
}

static void subjects_are_counted_as_keys_are(void **state)
{
    (void)state;
    const struct rule token = {.limit = 8, .period_us = 10 * S, .capacity = 8, .initial = 3, .algorithm = RULE_TOKEN};
    const struct {
        struct rule rules[2];
        uint32_t count;
    } sets[] = {
        {{rule_of(RULE_GCRA, 7, 3 * S, 0)}, 1},
        {{rule_of(RULE_GCRA, 3, 3 * S, 0), rule_of(RULE_FIXED, 100, H, 0)}, 2},
        {{rule_of(RULE_LOG, 5, 2 * S, 0)}, 1},
        {{token, rule_of(RULE_LOG, 9, 4 * S, 0)}, 2},
        {{rule_of(RULE_SLIDING, 5, 2 * S, 0)}, 1},
    };
    int64_t now_us = BASE;
    for (size_t k = 0; k < 2 * COUNT_OF(sets); k++) {
        give_rules(sets[k % COUNT_OF(sets)].rules, sets[k % COUNT_OF(sets)].count, now_us);
        for (int step = 0; step < 6000; step++) {
            static const enum request_mode modes[] = {MODE_ALL, MODE_ALL, MODE_UPTO, MODE_PEEK, MODE_FORCE};
            now_us += random_below(4) == 0 ? random_between(-2 * MS, 20 * MS) : 0;
            request_both(random_below(random_below(2) ? 50 : SUBJECTS), random_between(1, 4),
                         modes[random_below(COUNT_OF(modes))], now_us);
        }
        touch_all(now_us);
        assert_sums();
        assert_same_bytes(table, twin);
    }
    assert_true(table->depth >= 4);
    forget_all();
}

static void what_is_idle_is_swept_and_its_room_given_back(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_GCRA, 5, S, 0);
    give_rules(&rule, 1, BASE);
    touch_all(BASE);
    size_t full = table_bytes(table);
    assert_int_equal(table->subjects, SUBJECTS);
    assert_true(full < 40 * SUBJECTS + sizeof(*table) + 30 * SUBJECTS * 3 / 5); /* long names stand apart */
    for (uint32_t i = 0; i < 256 * 64; i++) request_both(i % 3, 1, MODE_FORCE, BASE + H + i);
    assert_int_equal(table->subjects, 3);
    assert_int_equal(table->segments, 1);
    assert_int_equal(table->depth, 0);
    assert_true(table_bytes(table) < full / 50);
    assert_sums();
    assert_same_bytes(table, twin);
    forget_all();
}

static void a_full_table_takes_no_new_subject_unless_another_is_idle(void **state)
{
    (void)state;
    char room[64];
    struct rule rule = rule_of(RULE_GCRA, 5, S, 0);
    struct table_decision decision;
    struct limiter_request request = {.cost = 1, .now_us = BASE, .mode = MODE_ALL};
    give_rules(&rule, 1, BASE);
    for (uint32_t i = 0; i < 10; i++) request_both(i, 1, MODE_ALL, BASE);
    uint32_t subjects = table->subjects;
    table->subjects = TABLE_SUBJECTS_MAX; /* as if */
    table_decide_take(table, subject_at(99, room), &request, &decision);
    assert_int_equal(decision.limits.fault, FAULT_FULL);
    table_decide_take(table, subject_at(9, room), &request, &decision); /* known: nothing new */
    assert_int_equal(decision.limits.fault, FAULT_NONE);
    request.mode = MODE_PEEK;
    table_decide_take(table, subject_at(99, room), &request, &decision); /* looking takes no room */
    assert_int_equal(decision.limits.fault, FAULT_NONE);
    request.mode = MODE_ALL;
    request.now_us = BASE + H;
    table_decide_take(table, subject_at(99, room), &request, &decision);
    assert_int_equal(decision.limits.fault, FAULT_NONE);
    table = table_apply(table, &decision);
    assert_int_equal(table->subjects, TABLE_SUBJECTS_MAX - 10 + 1);
    table->subjects = subjects - 10 + 1;
    forget_all();
}

static void the_same_rules_again_change_nothing(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_GCRA, 5, S, 0);
    struct table_decision decision;
    give_rules(&rule, 1, BASE);
    table_decide_rules(table, &rule, 1, BASE + S, siphash_key_of(6), &decision);
    assert_false(table_decision_has_effects(&decision));
    assert_int_equal(table->rules_us, BASE);
    forget_all();
}

static void effects_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_GCRA, 5, S, 0);
    struct table_decision decision = {.subject = BYTES("a"), .now_us = BASE};
    decision.limits.effects_count = 1;
    decision.limits.effects[0] = (struct effect){.kind = EFFECT_STATE, .state = {.when_us = BASE}};
    assert_false(table_accepts(NULL, &decision)); /* no table */
    give_rules(&rule, 1, BASE);
    assert_true(table_accepts(table, &decision));
    decision.limits.effects[0].index = 1; /* no such rule */
    assert_false(table_accepts(table, &decision));
    decision.limits.effects[0] = (struct effect){.kind = EFFECT_BLOCK, .state = {.when_us = BASE}};
    assert_false(table_accepts(table, &decision)); /* tables know no blocks */
    decision.limits.effects[0] = (struct effect){.kind = EFFECT_STATE, .state = {.when_us = -1}};
    assert_false(table_accepts(table, &decision));
    decision.limits.effects[0].state.when_us = BASE;
    decision.now_us = 0;
    assert_false(table_accepts(table, &decision));
    decision.now_us = BASE;
    char name[SUBJECT_BYTES_MAX + 1] = {0};
    decision.subject = (struct bytes){name, sizeof(name)};
    assert_false(table_accepts(table, &decision));
    forget_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subjects_are_counted_as_keys_are),
        cmocka_unit_test(what_is_idle_is_swept_and_its_room_given_back),
        cmocka_unit_test(a_full_table_takes_no_new_subject_unless_another_is_idle),
        cmocka_unit_test(the_same_rules_again_change_nothing),
        cmocka_unit_test(effects_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

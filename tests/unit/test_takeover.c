/* What changed rules inherit: units, between any two algorithms, at the instant of the change. */
#include "quota/rate/sliding_log.h"
#include "quota/rate/takeover.h"
#include "scenario.h"
#include "tools.h"

static void assert_verdict(const struct verdict *verdict, int64_t granted, int64_t limit, int64_t remaining,
                           int64_t wait_us, int64_t reset_us)
{
    assert_int_equal(verdict->granted, granted);
    assert_int_equal(verdict->limit, limit);
    assert_int_equal(verdict->remaining, remaining);
    assert_int_equal(verdict->wait_us, wait_us);
    assert_int_equal(verdict->reset_us, reset_us);
    assert_int_equal(verdict->rule, 0);
}

static void an_upgrade_is_served_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < RULE_ALGORITHMS_COUNT; i++) {
        struct context context = {0};
        struct rule before = rule_of((enum rule_algorithm)i, 10, D, 0), after = rule_of(RULE_TOKEN, 1000, 60 * S, 0);
        context_request(&context, &before, 1, (struct limiter_request){.cost = 10, .mode = MODE_FORCE, .now_us = BASE});
        context_request(&context, &after, 1, (struct limiter_request){.cost = 1, .now_us = BASE});
        assert_verdict(&context.verdict, 1, 1000, 989, 0, 660 * MS);
        context_end(&context);
    }
    struct context context = {0};
    struct rule before = rule_of(RULE_GCRA, 10, D, 0), after = rule_of(RULE_GCRA, 1000, 60 * S, 0);
    context_request(&context, &before, 1, (struct limiter_request){.cost = 10, .now_us = BASE});
    context_request(&context, &after, 1, (struct limiter_request){.cost = 1, .now_us = BASE});
    assert_verdict(&context.verdict, 1, 1000, 989, 0, 660 * MS);
    context_end(&context);
}

static void a_denial_stores_the_takeover_once(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule before = rule_of(RULE_TOKEN, 5, 10 * S, 0), after = rule_of(RULE_TOKEN, 100, H, 0);
    struct limiter_request request = {.cost = 100, .mode = MODE_PEEK, .now_us = BASE};
    context_request(&context, &before, 1, (struct limiter_request){.cost = 5, .now_us = BASE});
    context_request(&context, &after, 1, request); /* a peek says the same and stores nothing */
    assert_verdict(&context.verdict, 0, 100, 95, 180 * S, 180 * S);
    assert_int_equal(context.limiter->set->rules[0].limit, 5);
    request.mode = MODE_ALL;
    context_request(&context, &after, 1, request);
    assert_verdict(&context.verdict, 0, 100, 95, 180 * S, 180 * S);
    assert_int_equal(context.limiter->set->rules[0].limit, 100);
    request.now_us = BASE + 180 * S - 1;
    context_request(&context, &after, 1, request);
    assert_verdict(&context.verdict, 0, 100, 99, 1, 1);
    request.now_us = BASE + 180 * S;
    context_request(&context, &after, 1, request);
    assert_verdict(&context.verdict, 100, 100, 0, 0, H);
    context_end(&context);
}

static void a_denial_with_nothing_to_take_over_stores_nothing(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rules[] = {rule_of(RULE_FIXED, 5, H, 0), rule_of(RULE_FIXED, 6, H, 0), rule_of(RULE_LOG, 0, H, 0)};
    struct limiter_request request = {.cost = 7, .now_us = BASE};
    context_request(&context, rules, 1, (struct limiter_request){.cost = 5, .now_us = BASE});
    context_request(&context, &rules[1], 1, request); /* another limit: the count is exact whenever it is looked at */
    context_request(&context, &rules[2], 1, request); /* a rule of none has no state */
    assert_int_equal(context.limiter->set->rules[0].limit, 5);
    context_end(&context);
}

static void more_than_fits_is_forgiven(void **state)
{
    (void)state;
    for (int i = 0; i < RULE_ALGORITHMS_COUNT * RULE_ALGORITHMS_COUNT; i++) {
        struct context context = {0};
        enum rule_algorithm one = i % RULE_ALGORITHMS_COUNT, two = i / RULE_ALGORITHMS_COUNT;
        struct rule large = rule_of(one, 10, H, 0), small = rule_of(two, 4, H, 0);
        struct limiter_request peek = {.cost = 1, .mode = MODE_PEEK, .now_us = BASE};
        context_request(&context, &large, 1, (struct limiter_request){.cost = 17, .mode = MODE_FORCE, .now_us = BASE});
        context_request(&context, &small, 1,
                        (struct limiter_request){.cost = 4, .now_us = BASE}); /* denied, and stored */
        assert_int_equal(context.verdict.granted, 0);
        context_request(&context, &small, 1, peek);
        assert_int_equal(context.verdict.remaining, 0);
        context_request(&context, &large, 1, peek);
        assert_int_equal(context.verdict.remaining, 6);
        context_end(&context);
    }
}

static void a_window_keeps_its_shape_under_another_limit(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule before = rule_of(RULE_LOG, 10, 10 * S, 0), after = rule_of(RULE_LOG, 5, 10 * S, 0);
    struct limiter_request request = {.cost = 3, .now_us = BASE};
    for (; request.now_us < BASE + 3 * S; request.now_us += S) context_request(&context, &before, 1, request);
    request.mode =
        MODE_FORCE; /* nine units in three entries: the newest four are forgiven, then three more are taken */
    context_request(&context, &after, 1, request);
    assert_int_equal(sliding_log_entries(limiter_stored_state(context.limiter, 0).log), 3);
    assert_int_equal(limiter_stored_state(context.limiter, 0).amount, 8);
    request.mode = MODE_ALL;
    context_request(&context, &after, 1, request); /* six units have to leave: all before, and one of the last */
    assert_verdict(&context.verdict, 0, 5, 0, 10 * S, 10 * S);
    context_end(&context);
}

static void rules_of_no_state_neither_inherit_nor_leave(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule limited = rule_of(RULE_GCRA, 5, H, 0), none = rule_of(RULE_GCRA, 0, H, 0);
    struct rule both[] = {none, rule_of(RULE_FIXED, 5, D, 0)};
    context_request(&context, &limited, 1, (struct limiter_request){.cost = 5, .now_us = BASE});
    context_request(&context, both, 2, (struct limiter_request){.cost = 1, .mode = MODE_FORCE, .now_us = BASE});
    assert_int_equal(limiter_stored_state(context.limiter, 1).amount, 1); /* of the other rule, from its own charge */
    context_end(&context);
}

/* However rules of one capacity and one period follow each other, no more is admitted than one of them allows. */
static void flips_never_mint(void **state)
{
    (void)state;
    random_begin(20250131);
    for (int round = 0; round < 400; round++) {
        struct context context = {0};
        int64_t capacity = 1 + random_below(20), admitted = 0;
        int64_t now_us = BASE;
        for (int i = 0; i < 40; i++) {
            enum rule_algorithm algorithm = (enum rule_algorithm)random_below(RULE_ALGORITHMS_COUNT);
            bool level = algorithm <= RULE_QUEUE; /* rates may differ where the capacity is said apart */
            struct rule rule = rule_of(algorithm, level ? 1 + random_below(20) : capacity,
                                       D * (100 + random_below(100)), level ? capacity : 0);
            struct limiter_request request = {.cost = 1 + random_below(5), .now_us = now_us};
            request.mode = random_below(3) ? MODE_ALL : MODE_UPTO;
            context_request(&context, &rule, 1, request);
            admitted += context.verdict.granted;
            bool queue = algorithm == RULE_QUEUE; /* it admits while there is a place, whatever the cost */
            if (queue && admitted > capacity) break;
            assert_true(admitted <= capacity);
            now_us += random_below(S);
        }
        context_end(&context);
    }
}

static void rules_without_a_successor_sleep(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule day = rule_of(RULE_FIXED, 10, D, 0), hour = rule_of(RULE_LOG, 8, H, 0),
                minute = rule_of(RULE_GCRA, 9, 60 * S, 0);
    struct limiter_request request = {.cost = 4, .now_us = BASE};
    context_request(&context, (struct rule[]){minute, hour, day}, 3, request);
    request.cost = 1;
    context_request(&context, (struct rule[]){day}, 1, request); /* by algorithm and period; the others leave */
    assert_int_equal(context.verdict.remaining, 5);
    assert_int_equal(context.limiter->set->count, 1);
    assert_int_equal(context.limiter->set->sleeping, 2);
    assert_int_equal(context_refund(&context, 4, -1, BASE), 4); /* units go back to rules that are checked */
    request.now_us += 20 * S;
    context_request(&context, (struct rule[]){day, hour}, 2, request); /* the log is back with its entry */
    assert_int_equal(context.verdict.remaining, 3);
    assert_int_equal(context.verdict.rule, 1);
    assert_int_equal(context.limiter->set->sleeping, 1);
    minute.limit = minute.capacity = minute.initial = 18;
    rule_complete(&minute);
    context_block(&context, BASE + 25 * S); /* sleepers stand before the block, and stay where they are */
    context_block(&context, 0);
    context_request(&context, (struct rule[]){minute}, 1, request); /* four used, three of them paid back meanwhile */
    assert_int_equal(context.verdict.remaining, 18 - 1 - 1);
    assert_int_equal(context.limiter->set->sleeping, 2);
    assert_int_equal(limiter_deadline_us(context.limiter), BASE - BASE % D + D); /* the day's window */
    context_end(&context);
}

static void replenished_rules_do_not_sleep(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rules[] = {rule_of(RULE_GCRA, 10, 10 * S, 0), rule_of(RULE_FIXED, 10, D, 0),
                           rule_of(RULE_LOG, -1, S, 0)};
    context_request(&context, rules, 3, (struct limiter_request){.cost = 4, .now_us = BASE});
    context_request(&context, &rules[1], 1, (struct limiter_request){.cost = 1, .now_us = BASE + 4 * S});
    assert_int_equal(context.limiter->set->sleeping, 0);
    context_end(&context);
}

static void too_many_sleepers_are_forgotten_first_come_first(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rules[RULES_MAX], others[2] = {rule_of(RULE_LOG, -1, S, 0), rule_of(RULE_TOKEN, 10, H, 0)};
    for (uint32_t i = 0; i < RULES_MAX; i++) {
        rules[i] = rule_of(RULE_FIXED, 5, (i == 7 ? 1 : 2 + i) * D, 0);
        rules[i].flags = RULE_FIRST; /* its window ends a period from now */
    }
    context_request(&context, rules, RULES_MAX, (struct limiter_request){.cost = 1, .now_us = BASE});
    context_request(&context, (struct rule[]){others[0], others[0], rules[31]}, 3,
                    (struct limiter_request){.cost = 1, .now_us = BASE});
    assert_int_equal(rule_set_total(context.limiter->set), RULES_MAX);
    for (uint32_t i = 3; i < RULES_MAX; i++) assert_true(context.limiter->set->rules[i].period_us > 2 * D);
    context_end(&context);
}

/* By day and by night other rules: each keeps its counts, and nothing passes by place. */
static void parts_of_a_policy_take_turns(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule day = rule_of(RULE_GCRA, 5, D, 0), night = rule_of(RULE_FIXED, 3, 7 * D, 0);
    const struct rule_set *base = rule_set_take(&day, 1, 0, 0), *scheduled = rule_set_take(&night, 1, 0, 0);
    struct rule_parts parts = {base, &scheduled, 1};
    struct limiter_request request = {.cost = 2, .now_us = BASE, .parts = &parts};
    context_request(&context, &day, 1, request);
    context_request(&context, &night, 1, request);
    assert_int_equal(context.verdict.remaining, 1);
    context_request(&context, &day, 1, request);
    assert_int_equal(context.verdict.remaining, 1);
    context_request(&context, &night, 1, request);
    assert_int_equal(context.verdict.granted, 0);
    request.parts = NULL; /* an override: the day's units pass to it */
    struct rule override = rule_of(RULE_TOKEN, 10, H, 0);
    context_request(&context, &override, 1, request);
    assert_int_equal(context.verdict.remaining, 10 - 4 - 2);
    rule_set_release(base);
    rule_set_release(scheduled);
    context_end(&context);
}

static struct rule rule_named(char name)
{
    bool lane = name < 'a';
    struct rule rule = rule_of(RULE_GCRA, 10, (name - (lane ? 'A' : 'a') + 1) * S, 0);
    if (lane) rule.flags = RULE_LANE;
    return rule;
}

/* Rates and the slow lane stand in one limiter. Where all of one kind went, the other kind stayed: those that went
 * sleep, and are found in their places as if they had never gone. */
static void a_kind_that_went_is_found_in_its_place(void **state)
{
    (void)state;
    static const struct row {
        const char *stored, *asleep, *rules; /* a letter each: a period; a capital one is a slow lane's */
        int8_t from[3];
    } rows[] = {
        {"ab", "", "cd", {0, 1}},  {"ab", "", "ba", {1, 0}},  {"abL", "", "cM", {0, 2}},  {"a", "", "L", {-1}},
        {"L", "a", "b", {1}},      {"L", "ab", "cd", {1, 2}}, {"L", "ab", "b", {2}},      {"L", "a", "bM", {1, 0}},
        {"a", "L", "bM", {0, 1}},  {"L", "a", "bL", {1, 0}},  {"aL", "b", "cd", {0, -1}}, /* sleepers before */
        {"a", "LN", "aM", {0, 1}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rule stored[RULES_MAX], rules[RULES_MAX];
        uint32_t count = 0, asleep = 0, given = 0;
        for (const char *at = rows[i].stored; *at; at++) stored[count++] = rule_named(*at);
        for (const char *at = rows[i].asleep; *at; at++) stored[count + asleep++] = rule_named(*at);
        for (const char *at = rows[i].rules; *at; at++) rules[given++] = rule_named(*at);
        const struct rule_set *set = rule_set_take(stored, count, asleep, 0);
        int8_t from[RULES_MAX];
        takeover_match(set, rules, given, NULL, from);
        for (uint32_t k = 0; k < given; k++) {
            if (from[k] != rows[i].from[k]) fail_msg("row %zu, rule %u: %d", i, k, from[k]);
        }
        rule_set_release(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_without_a_successor_sleep),
        cmocka_unit_test(replenished_rules_do_not_sleep),
        cmocka_unit_test(too_many_sleepers_are_forgotten_first_come_first),
        cmocka_unit_test(parts_of_a_policy_take_turns),
        cmocka_unit_test(an_upgrade_is_served_at_once),
        cmocka_unit_test(a_denial_stores_the_takeover_once),
        cmocka_unit_test(a_denial_with_nothing_to_take_over_stores_nothing),
        cmocka_unit_test(more_than_fits_is_forgiven),
        cmocka_unit_test(a_window_keeps_its_shape_under_another_limit),
        cmocka_unit_test(rules_of_no_state_neither_inherit_nor_leave),
        cmocka_unit_test(flips_never_mint),
        cmocka_unit_test(a_kind_that_went_is_found_in_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

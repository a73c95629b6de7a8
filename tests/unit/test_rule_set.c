/* Shared rule sets: equal rules stand in memory once, also when two threads give them back. */
#include "scenario.h"
#include <pthread.h>

static void equal_rules_are_one_set(void **state)
{
    (void)state;
    struct rule rules[] = {rule_of(RULE_GCRA, 10, S, 0), rule_of(RULE_LOG, 3, H, 0)};
    const struct rule_set *first = rule_set_take(rules, 2, 0, 0), *again = rule_set_take(rules, 2, 0, 0);
    const struct rule_set *blocked = rule_set_take(rules, 2, 0, EXTRA_BLOCK), *shorter = rule_set_take(rules, 1, 0, 0);
    const struct rule_set *asleep = rule_set_take(rules, 1, 1, 0);
    const struct rule_set *none = rule_set_take(rules, 0, 0, EXTRA_BLOCK);
    assert_ptr_equal(first, again);
    assert_ptr_not_equal(first, blocked);
    assert_ptr_not_equal(first, shorter);
    assert_ptr_not_equal(first, asleep);
    assert_int_equal(asleep->count, 1);
    assert_int_equal(rule_set_total(asleep), 2);
    assert_int_equal(asleep->words, first->words);
    assert_ptr_equal(rule_set_share(first), first);
    rule_set_release(first);
    assert_int_equal(rule_sets_count(), 5);
    assert_int_equal(first->words, 2);
    assert_int_equal(blocked->words, 3);
    assert_int_equal(none->words, 1);
    const struct rule_set *all[] = {first, again, blocked, shorter, asleep, none};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) rule_set_release(all[i]);
    assert_int_equal(rule_sets_count(), 0);
}

static void *take_and_release(void *rule)
{
    for (int i = 0; i < 20000; i++) {
        const struct rule_set *set = rule_set_take(rule, 1, 0, i % 2);
        rule_set_release(set);
    }
    return NULL;
}

static void two_threads_may_give_back_at_once(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_GCRA, 10, S, 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, take_and_release, &rule), 0);
    take_and_release(&rule);
    pthread_join(thread, NULL);
    assert_int_equal(rule_sets_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_rules_are_one_set),
        cmocka_unit_test(two_threads_may_give_back_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The exact drain under every bucket, against a drain that walks tick by tick. */
#include "quota/rate/level.h"
#include "scenario.h"

static void many_small_drains_equal_one_large_one(void **state)
{
    (void)state;
    static const int64_t steps_us[] = {1, 7, 333, 99991, 250000};
    struct rule rule = rule_of(RULE_LEAKY, 7, 3 * S, 1000);
    for (size_t i = 0; i < sizeof(steps_us) / sizeof(steps_us[0]); i++) {
        struct state small = {.when_us = BASE, .amount = 1000}, large = small;
        int64_t now_us = BASE;
        for (int k = 0; k < 1000; k++) level_drain(&rule, &small, now_us += steps_us[i]);
        level_drain(&rule, &large, now_us);
        assert_int_equal(small.amount, large.amount);
        assert_int_equal(small.rest, large.rest);
    }
}

static void the_drain_agrees_with_a_walk_over_every_tick(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_LEAKY, 7, 10, 50); /* 7 units in 10 us: a unit is 10 ticks, 7 of them a us */
    struct state level = {.when_us = BASE, .amount = 50};
    int64_t ticks = 500;
    for (int64_t us = 1; us <= 80; us++) {
        ticks = ticks > 7 ? ticks - 7 : 0;
        level_drain(&rule, &level, BASE + us);
        assert_int_equal(level.amount * 10 + level.rest, ticks);
        assert_int_equal(level_room(&rule, &level, 50), (500 - ticks) / 10);
        int64_t wait_us = 0, left = ticks;
        for (; left > 20; left -= 7) wait_us++;
        assert_int_equal(level_wait_us(&rule, &level, 2, BASE + us), wait_us);
    }
}

static void raising_reports_overflow_before_it_happens(void **state)
{
    (void)state;
    static const struct row {
        int64_t limit, period_us, amount, units;
        enum fault fault;
    } rows[] = {
        {1, 1, INT64_MAX - 1, 1, FAULT_OVERFLOW}, /* the level fits, the instant it ends does not */
        {INT64_MAX, 1, INT64_MAX - 1, 1, FAULT_NONE}, {INT64_MAX, 1, INT64_MAX, 1, FAULT_OVERFLOW},
        {1, DURATION_MAX_US, 15, 1, FAULT_OVERFLOW},  {1, DURATION_MAX_US, 13, 1, FAULT_NONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rule rule = rule_of(RULE_LEAKY, rows[i].limit, rows[i].period_us, 0);
        struct state level = {.when_us = BASE, .amount = rows[i].amount}, before = level;
        assert_int_equal(level_raise(&rule, &level, rows[i].units), rows[i].fault);
        if (rows[i].fault != FAULT_NONE) assert_memory_equal(&level, &before, sizeof(level));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_small_drains_equal_one_large_one),
        cmocka_unit_test(the_drain_agrees_with_a_walk_over_every_tick),
        cmocka_unit_test(raising_reports_overflow_before_it_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

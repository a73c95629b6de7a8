/* Leaky bucket: the meter refuses what would spill, the queue says when to act. */
#include "scenario.h"

static struct rule queue_of(int64_t limit, int64_t period_us, int64_t places)
{
    return rule_of(RULE_QUEUE, limit, period_us, places + 1);
}

static void the_meter_leaks_exactly(void **state)
{
    (void)state;
    RUN(rule_of(RULE_LEAKY, 10, S, 5), {0, MODE_ALL, 5, 5, 0, 0, 500 * MS}, {0, MODE_ALL, 1, 0, 0, 100 * MS, 500 * MS},
        {250 * MS, MODE_ALL, 3, 0, 2, 50 * MS, 250 * MS}, {300 * MS, MODE_ALL, 3, 3, 0, 0, 500 * MS},
        {300 * MS, MODE_ALL, 6, 0, 0, NEVER, 500 * MS}, {S, MODE_PEEK, 5, 5, 5, 0, 0});
    RUN(rule_of(RULE_LEAKY, 7, S, 7), {0, MODE_ALL, 7, 7, 0, 0, S}, {142857, MODE_ALL, 1, 0, 0, 1, 857143},
        {142858, MODE_ALL, 1, 1, 0, 0, S});
}

static void the_queue_delays_and_bounds_the_wait(void **state)
{
    (void)state;
    RUN(queue_of(10, S, 2),
        /* one is served, two wait, the fourth is refused until a place is free */
        {0, MODE_ALL, 1, 1, 2, 0, 100 * MS}, {0, MODE_ALL, 1, 1, 1, 100 * MS, 200 * MS},
        {0, MODE_ALL, 1, 1, 0, 200 * MS, 300 * MS}, {0, MODE_ALL, 1, 0, 0, 100 * MS, 300 * MS},
        {100 * MS, MODE_ALL, 1, 1, 0, 200 * MS, 300 * MS}, {S, MODE_ALL, 1, 1, 2, 0, 100 * MS},
        /* a heavy job waits like any other, then holds the server for its cost */
        {2 * S, MODE_ALL, 50, 50, 0, 0, 5 * S}, {2 * S, MODE_ALL, 1, 0, 0, 4800 * MS, 5 * S});
    RUN(queue_of(1, S, 0), /* no waiting place at all */
        {0, MODE_ALL, 1, 1, 0, 0, S}, {0, MODE_ALL, 1, 0, 0, S, S}, {S, MODE_ALL, 1, 1, 0, 0, S});
}

static void a_clock_that_steps_back_drains_nothing(void **state)
{
    (void)state;
    RUN(rule_of(RULE_LEAKY, 10, S, 10), {S, MODE_ALL, 6, 6, 4, 0, 600 * MS}, {0, MODE_ALL, 4, 4, 0, 0, 2 * S},
        {1100 * MS, MODE_ALL, 2, 0, 1, 100 * MS, 900 * MS});
}

static void a_changed_rule_takes_over_what_was_used(void **state)
{
    (void)state;
    static const struct row {
        int64_t limit, period_us, capacity, remaining;
    } rows[] = {{10, 2 * S, 10, 4}, {20, S, 20, 14}, {10, S, 5, 0}, {10, S, 6, 0}, {9, 7 * S, 7, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct context context = {0};
        struct rule before = rule_of(RULE_LEAKY, 10, S, 10);
        struct rule after = rule_of(RULE_LEAKY, rows[i].limit, rows[i].period_us, rows[i].capacity);
        context_request(&context, &before, 1, (struct limiter_request){.cost = 6, .now_us = BASE});
        context_request(&context, &after, 1, (struct limiter_request){.cost = 1, .mode = MODE_PEEK, .now_us = BASE});
        assert_int_equal(context.verdict.remaining, rows[i].remaining);
        context_end(&context);
    }
}

static void refunds_and_debts(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rule = rule_of(RULE_LEAKY, 10, S, 10);
    context_request(&context, &rule, 1, (struct limiter_request){.cost = 30, .mode = MODE_FORCE, .now_us = BASE});
    assert_int_equal(context.verdict.reset_us, 3 * S);
    assert_int_equal(context_refund(&context, 25, -1, BASE), 25);
    assert_int_equal(context_refund(&context, 25, -1, BASE + 250 * MS), 3); /* 2.5 left: a begun unit counts as one */
    assert_int_equal(context_refund(&context, 25, -1, BASE + 250 * MS), 0);
    context_request(&context, &rule, 1,
                    (struct limiter_request){.cost = INT64_MAX, .mode = MODE_FORCE, .now_us = BASE});
    assert_int_equal(context.fault, FAULT_OVERFLOW);
    context_end(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_meter_leaks_exactly),
        cmocka_unit_test(the_queue_delays_and_bounds_the_wait),
        cmocka_unit_test(a_clock_that_steps_back_drains_nothing),
        cmocka_unit_test(a_changed_rule_takes_over_what_was_used),
        cmocka_unit_test(refunds_and_debts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

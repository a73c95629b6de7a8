/* Fixed window: half-open windows on the epoch or from the first unit. */
#include "scenario.h"

static struct rule first_of(int64_t limit, int64_t period_us)
{
    struct rule rule = rule_of(RULE_FIXED, limit, period_us, 0);
    rule.flags = RULE_FIRST;
    return rule;
}

static void windows_lie_on_the_epoch(void **state)
{
    (void)state;
    RUN(rule_of(RULE_FIXED, 5, 10 * S, 0), {3 * S, MODE_ALL, 4, 4, 1, 0, 7 * S},
        {4 * S, MODE_ALL, 2, 0, 1, 6 * S, 6 * S}, {10 * S - 1, MODE_ALL, 1, 1, 0, 0, 1},
        {10 * S - 1, MODE_ALL, 1, 0, 0, 1, 1},
        {10 * S, MODE_ALL, 5, 5, 0, 0, 10 * S}, /* the boundary instant belongs to the new window */
        {10 * S, MODE_ALL, 6, 0, 0, NEVER, 10 * S}, {35 * S, MODE_PEEK, 1, 1, 5, 0, 0},
        {35 * S, MODE_FORCE, 9, 9, 0, 0, 5 * S}, {35 * S, MODE_ALL, 1, 0, 0, 5 * S, 5 * S});
}

static void or_from_the_first_unit(void **state)
{
    (void)state;
    RUN(first_of(2, 10 * S), {3 * S, MODE_ALL, 1, 1, 1, 0, 10 * S}, {12 * S, MODE_ALL, 1, 1, 0, 0, S},
        {13 * S - 1, MODE_ALL, 1, 0, 0, 1, 1}, {13 * S, MODE_ALL, 1, 1, 1, 0, 10 * S});
}

static void a_clock_that_steps_back_stays_in_the_newest_window(void **state)
{
    (void)state;
    RUN(rule_of(RULE_FIXED, 5, 10 * S, 0), {12 * S, MODE_ALL, 4, 4, 1, 0, 8 * S}, {5 * S, MODE_ALL, 1, 1, 0, 0, 15 * S},
        {5 * S, MODE_ALL, 1, 0, 0, 15 * S, 15 * S});
}

static void a_changed_rule_keeps_the_count_of_a_running_window(void **state)
{
    (void)state;
    static const struct row {
        int64_t limit, period_us, at_us, remaining;
    } rows[] = {
        {8, 10 * S, 5 * S, 4},  /* a larger limit: at once */
        {3, 10 * S, 5 * S, 0},  /* a smaller one: at once */
        {8, 60 * S, 5 * S, 4},  /* a longer window takes the count over */
        {8, S, 5 * S, 4},       /* so does a shorter one */
        {8, 60 * S, 11 * S, 8}, /* the old window was over */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct context context = {0};
        struct rule before = rule_of(RULE_FIXED, 5, 10 * S, 0);
        struct rule after = rule_of(RULE_FIXED, rows[i].limit, rows[i].period_us, 0);
        context_request(&context, &before, 1, (struct limiter_request){.cost = 4, .now_us = BASE});
        context_request(&context, &after, 1,
                        (struct limiter_request){.cost = 1, .mode = MODE_PEEK, .now_us = BASE + rows[i].at_us});
        assert_int_equal(context.verdict.remaining, rows[i].remaining);
        context_end(&context);
    }
}

static void refunds_and_overflow(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rule = rule_of(RULE_FIXED, 5, 10 * S, 0);
    context_request(&context, &rule, 1, (struct limiter_request){.cost = 4, .now_us = BASE});
    assert_int_equal(context_refund(&context, 3, -1, BASE), 3);
    assert_int_equal(context_refund(&context, 3, -1, BASE), 1);
    assert_int_equal(limiter_deadline_us(context.limiter), 0); /* nothing left to remember */
    context_request(&context, &rule, 1,
                    (struct limiter_request){.cost = INT64_MAX, .mode = MODE_FORCE, .now_us = BASE});
    assert_int_equal(context.fault, FAULT_NONE);
    context_request(&context, &rule, 1, (struct limiter_request){.cost = 1, .mode = MODE_FORCE, .now_us = BASE});
    assert_int_equal(context.fault, FAULT_OVERFLOW);
    assert_int_equal(context_refund(&context, 3, -1, BASE + 10 * S), 0); /* the window is over */
    context_end(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_lie_on_the_epoch),
        cmocka_unit_test(or_from_the_first_unit),
        cmocka_unit_test(a_clock_that_steps_back_stays_in_the_newest_window),
        cmocka_unit_test(a_changed_rule_keeps_the_count_of_a_running_window),
        cmocka_unit_test(refunds_and_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

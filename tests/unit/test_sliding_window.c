/* Sliding window counter: the previous window fades with an exact weight. */
#include "scenario.h"

static void the_previous_window_fades(void **state)
{
    (void)state;
    RUN(rule_of(RULE_SLIDING, 10, 10 * S, 0), {0, MODE_ALL, 10, 10, 0, 0, 20 * S},
        {5 * S, MODE_ALL, 1, 0, 0, 6 * S, 15 * S}, /* full until the window is over, then a tenth a second */
        {10 * S, MODE_ALL, 1, 0, 0, S, 10 * S}, {11 * S - 1, MODE_ALL, 1, 0, 0, 1, 9 * S + 1},
        {11 * S, MODE_ALL, 1, 1, 0, 0, 19 * S}, /* weight 9 + 1: the reset is the end of the next window */
        {15 * S, MODE_ALL, 4, 4, 0, 0, 15 * S}, {15 * S, MODE_ALL, 1, 0, 0, S, 15 * S},
        {40 * S, MODE_PEEK, 1, 1, 10, 0, 0});
    RUN(rule_of(RULE_SLIDING, 10, 10 * S, 0), /* weights are not rounded: 7 x 2/3 = 4 2/3 leaves 5 1/3 */
        {0, MODE_ALL, 7, 7, 3, 0, 20 * S}, {13333333, MODE_PEEK, 5, 5, 5, 0, 6666667},
        {13333333, MODE_ALL, 6, 0, 5, 952382, 6666667}, {13333333 + 952382, MODE_ALL, 6, 6, 0, 0, 20 * S - 4285715});
}

static void waits_reach_into_the_next_window(void **state)
{
    (void)state;
    RUN(rule_of(RULE_SLIDING, 10, 10 * S, 0), {2 * S, MODE_ALL, 8, 8, 2, 0, 18 * S},
        {2 * S, MODE_ALL, 4, 0, 2, 8 * S + 2500 * MS, 18 * S}, {12500 * MS, MODE_ALL, 4, 4, 0, 0, 17500 * MS},
        {12500 * MS, MODE_ALL, 10, 0, 0, 17500 * MS, 17500 * MS}, /* all of it: when both windows have gone */
        {12500 * MS, MODE_ALL, 11, 0, 0, NEVER, 17500 * MS});
}

static void a_clock_that_steps_back_mints_nothing(void **state)
{
    (void)state;
    RUN(rule_of(RULE_SLIDING, 10, 10 * S, 0), {0, MODE_ALL, 6, 6, 4, 0, 20 * S}, {15 * S, MODE_ALL, 7, 7, 0, 0, 15 * S},
        {8 * S, MODE_ALL, 1, 0, 0, 8666667, 22 * S});
}

static void a_changed_rule_keeps_the_counts(void **state)
{
    (void)state;
    static const struct row {
        int64_t limit, period_us, remaining;
    } rows[] = {{20, 10 * S, 12}, {5, 10 * S, 0}, {20, 60 * S, 12}, {20, S, 12}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct context context = {0};
        struct rule before = rule_of(RULE_SLIDING, 10, 10 * S, 0);
        struct rule after = rule_of(RULE_SLIDING, rows[i].limit, rows[i].period_us, 0);
        context_request(&context, &before, 1, (struct limiter_request){.cost = 8, .now_us = BASE});
        context_request(&context, &after, 1,
                        (struct limiter_request){.cost = 1, .mode = MODE_PEEK, .now_us = BASE + 5 * S});
        assert_int_equal(context.verdict.remaining, rows[i].remaining);
        context_end(&context);
    }
}

static void refunds_take_the_newest_first(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rule = rule_of(RULE_SLIDING, 10, 10 * S, 0);
    context_request(&context, &rule, 1, (struct limiter_request){.cost = 4, .now_us = BASE});
    context_request(&context, &rule, 1, (struct limiter_request){.cost = 3, .now_us = BASE + 10 * S});
    assert_int_equal(context_refund(&context, 5, -1, BASE + 10 * S), 5);
    assert_int_equal(limiter_deadline_us(context.limiter), BASE + 20 * S);
    assert_int_equal(context_refund(&context, 5, -1, BASE + 10 * S), 2);
    assert_int_equal(limiter_deadline_us(context.limiter), 0);
    context_end(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_previous_window_fades),
        cmocka_unit_test(waits_reach_into_the_next_window),
        cmocka_unit_test(a_clock_that_steps_back_mints_nothing),
        cmocka_unit_test(a_changed_rule_keeps_the_counts),
        cmocka_unit_test(refunds_take_the_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* GCRA: rows per promise, from the first unit to the edges of 64 bits. */
#include "quota/rate/gcra.h"
#include "scenario.h"

static void it_admits_a_burst_then_the_rate(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_GCRA, 10, S, 0); /* T = 100 ms */
    RUN(rule,
        /* a new key is full; exactly enough is allowed */
        {0, MODE_ALL, 1, 1, 9, 0, 100 * MS}, {0, MODE_ALL, 9, 9, 0, 0, S}, {0, MODE_ALL, 1, 0, 0, 100 * MS, S},
        /* the boundary instant belongs to the next unit */
        {100 * MS - 1, MODE_ALL, 1, 0, 0, 1, 900 * MS + 1}, {100 * MS, MODE_ALL, 1, 1, 0, 0, S},
        /* a cost beyond what is left changes nothing and says when it would fit */
        {300 * MS, MODE_ALL, 5, 0, 2, 300 * MS, 800 * MS}, {600 * MS, MODE_ALL, 5, 5, 0, 0, S},
        /* beyond the capacity: never, and the truth about the rest */
        {S, MODE_ALL, 11, 0, 4, NEVER, 600 * MS},
        /* idle: fully replenished */
        {10 * S, MODE_PEEK, 10, 10, 10, 0, 0});
}

static void it_keeps_fractions_exactly(void **state)
{
    (void)state;
    RUN(rule_of(RULE_GCRA, 3, S, 1), /* T = 333333 1/3 us: three in a second, not one us early or late */
        {0, MODE_ALL, 1, 1, 0, 0, 333334}, {333333, MODE_ALL, 1, 0, 0, 1, 1}, {333334, MODE_ALL, 1, 1, 0, 0, 333334},
        {666667, MODE_ALL, 1, 0, 0, 1, 1}, {666668, MODE_ALL, 1, 1, 0, 0, 333334});
    RUN(rule_of(RULE_GCRA, 3, S, 3), /* the debt of a burst adds up without rounding */
        {0, MODE_ALL, 1, 1, 2, 0, 333334}, {0, MODE_ALL, 1, 1, 1, 0, 666667}, {0, MODE_ALL, 1, 1, 0, 0, S},
        {333333, MODE_ALL, 1, 0, 0, 1, 666667}, {333334, MODE_ALL, 1, 1, 0, 0, S});
    RUN(rule_of(RULE_GCRA, 5000000, S, 2), /* five a microsecond */
        {0, MODE_ALL, 2, 2, 0, 0, 1}, {0, MODE_ALL, 1, 0, 0, 1, 1}, {1, MODE_ALL, 2, 2, 0, 0, 1});
    RUN(rule_of(RULE_GCRA, 1, 1, 0), /* one a microsecond */
        {0, MODE_ALL, 1, 1, 0, 0, 1}, {0, MODE_ALL, 1, 0, 0, 1, 1}, {1, MODE_ALL, 1, 1, 0, 0, 1});
}

static void it_takes_up_to_and_goes_into_debt(void **state)
{
    (void)state;
    RUN(rule_of(RULE_GCRA, 10, S, 0),
        /* UPTO: what is left, never a fraction; none left is a denial with the wait for one */
        {0, MODE_UPTO, 4, 4, 6, 0, 400 * MS}, {50 * MS, MODE_UPTO, 9, 6, 0, 0, 950 * MS},
        {50 * MS, MODE_UPTO, 9, 0, 0, 50 * MS, 950 * MS},
        /* FORCE: debt, paid back at the rate */
        {100 * MS, MODE_FORCE, 10, 10, 0, 0, 1900 * MS}, {100 * MS, MODE_ALL, 1, 0, 0, S, 1900 * MS},
        {1100 * MS, MODE_ALL, 1, 1, 0, 0, S});
}

static void a_clock_that_steps_back_mints_nothing(void **state)
{
    (void)state;
    RUN(rule_of(RULE_GCRA, 10, S, 0), {0, MODE_ALL, 10, 10, 0, 0, S},
        {-10 * S, MODE_ALL, 1, 0, 0, 10 * S + 100 * MS, 11 * S}, {100 * MS, MODE_ALL, 1, 1, 0, 0, S});
}

static void a_changed_rule_may_keep_the_time_debt(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule before = rule_of(RULE_GCRA, 10, 10 * S, 0), after = rule_of(RULE_GCRA, 3, 10 * S, 0);
    struct limiter_request request = {.cost = 10, .now_us = BASE};
    context_request(&context, &before, 1, request); /* ten seconds of debt */
    request.cost = 1;
    request.keeps_debt = true;
    request.now_us = BASE + S;
    context_request(&context, &after, 1,
                    request); /* nine seconds are left: one of the three units fits after 2 1/3 s */
    assert_int_equal(context.verdict.granted, 0);
    assert_int_equal(context.verdict.wait_us, 2333334);
    assert_int_equal(context.limiter->set->rules[0].limit, 10); /* in time nothing changes, so nothing is stored */
    request.keeps_debt = false;
    context_request(&context, &after, 1, request); /* in units: all three are owed */
    assert_int_equal(context.verdict.wait_us, 3333334);
    assert_int_equal(context.limiter->set->rules[0].limit, 3);
    context_end(&context);
}

static void refunds_stop_at_full(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rule = rule_of(RULE_GCRA, 10, S, 0);
    context_request(&context, &rule, 1, (struct limiter_request){.cost = 5, .now_us = BASE});
    assert_int_equal(context_refund(&context, 2, -1, BASE), 2);
    assert_int_equal(limiter_deadline_us(context.limiter), BASE + 300 * MS);
    assert_int_equal(context_refund(&context, 9, 0, BASE + 50 * MS), 3); /* a unit half paid off counts as one */
    assert_int_equal(context_refund(&context, 1, -1, BASE + 50 * MS), 0);
    context_end(&context);
}

static void extremes_are_right_or_refused(void **state)
{
    (void)state;
    static const struct row {
        int64_t limit, period_us, capacity, cost;
        enum fault fault;
        int64_t granted, remaining;
    } rows[] = {
        /* the largest capacity at the slowest rate: one unit fits, all of it would end past the last instant */
        {1, DURATION_MAX_US, INT64_MAX, 1, FAULT_NONE, 1, INT64_MAX - 1},
        {1, DURATION_MAX_US, INT64_MAX, INT64_MAX, FAULT_OVERFLOW, 0, 0},
        /* the fastest rate takes everything at once */
        {INT64_MAX, 1, INT64_MAX, INT64_MAX, FAULT_NONE, INT64_MAX, 0},
        {INT64_MAX, DURATION_MAX_US, 1, 1, FAULT_NONE, 1, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct context context = {0};
        struct rule rule = rule_of(RULE_GCRA, rows[i].limit, rows[i].period_us, rows[i].capacity);
        context_request(&context, &rule, 1, (struct limiter_request){.cost = rows[i].cost, .now_us = BASE});
        assert_int_equal(context.fault, rows[i].fault);
        if (context.fault == FAULT_NONE) {
            assert_int_equal(context.verdict.granted, rows[i].granted);
            assert_int_equal(context.verdict.remaining, rows[i].remaining);
        }
        context_end(&context);
    }
}

static void whole_microsecond_rates_need_one_number(void **state)
{
    (void)state;
    struct rule whole = rule_of(RULE_GCRA, 10, S, 0), broken = rule_of(RULE_GCRA, 3, S, 0);
    assert_int_equal(gcra_words(&whole), 1);
    assert_int_equal(gcra_words(&broken), 2);
}

/* Bytes from outside may say anything. A begun us at the last instant could carry beyond it when the rate changes. */
static void a_stored_debt_ends_before_the_end_of_time(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_GCRA, 3, S, 0);
    static const struct row {
        struct state state;
        bool sane;
    } rows[] = {
        {{.when_us = INSTANT_MAX_US}, true},
        {{.when_us = INSTANT_MAX_US, .amount = 1}, false},
        {{.when_us = INSTANT_MAX_US - 1, .amount = 2}, true},
        {{.when_us = BASE, .amount = 3}, false},
        {{.when_us = BASE, .rest = 1}, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (gcra_sane(&rule, &rows[i].state) != rows[i].sane) fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_admits_a_burst_then_the_rate),
        cmocka_unit_test(it_keeps_fractions_exactly),
        cmocka_unit_test(it_takes_up_to_and_goes_into_debt),
        cmocka_unit_test(a_clock_that_steps_back_mints_nothing),
        cmocka_unit_test(a_changed_rule_may_keep_the_time_debt),
        cmocka_unit_test(refunds_stop_at_full),
        cmocka_unit_test(extremes_are_right_or_refused),
        cmocka_unit_test(whole_microsecond_rates_need_one_number),
        cmocka_unit_test(a_stored_debt_ends_before_the_end_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

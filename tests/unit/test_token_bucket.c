/* Token bucket: continuous and interval refill, an initial fill, what a changed rule keeps. */
#include "scenario.h"

static struct rule with(struct rule rule, int64_t initial, uint32_t flags)
{
    if (initial) rule.initial = initial;
    rule.flags = flags;
    assert_null(rule_fault(&rule));
    return rule;
}

static void it_refills_continuously_to_the_fraction(void **state)
{
    (void)state;
    RUN(rule_of(RULE_TOKEN, 10, S, 0), {0, MODE_ALL, 10, 10, 0, 0, S}, {0, MODE_ALL, 1, 0, 0, 100 * MS, S},
        {150 * MS, MODE_ALL, 1, 1, 0, 0, 950 * MS}, /* one and a half tokens came, half a one is kept */
        {200 * MS, MODE_ALL, 1, 1, 0, 0, S}, {5 * S, MODE_PEEK, 10, 10, 10, 0, 0});
    RUN(rule_of(RULE_TOKEN, 10, 60 * S, 0), /* polled every 11 s the fractions add up: 1.83 tokens each time */
        {0, MODE_ALL, 10, 10, 0, 0, 60 * S}, {11 * S, MODE_ALL, 1, 1, 0, 0, 55 * S},
        {12 * S, MODE_ALL, 1, 1, 0, 0, 60 * S}, {22 * S, MODE_UPTO, 9, 1, 0, 0, 56 * S},
        {24 * S, MODE_ALL, 2, 0, 1, 6 * S, 54 * S});
}

static void interval_refill_comes_in_steps(void **state)
{
    (void)state;
    RUN(with(rule_of(RULE_TOKEN, 10, S, 20), 0, RULE_INTERVAL), {300 * MS, MODE_ALL, 15, 15, 5, 0, 2 * S},
        {S, MODE_ALL, 6, 0, 5, 300 * MS, 1300 * MS},
        {1300 * MS - 1, MODE_ALL, 6, 0, 5, 1, S + 1}, /* nothing in between */
        {1300 * MS, MODE_ALL, 6, 6, 9, 0, 2 * S},     /* 5 + 10 - 6; the steps keep their beat */
        {1300 * MS, MODE_ALL, 20, 0, 9, 2 * S, 2 * S}, {3300 * MS, MODE_ALL, 20, 20, 0, 0, 2 * S},
        {9 * S, MODE_ALL, 1, 1, 19, 0, S}); /* full again long ago: a new beat begins */
}

static void an_unused_bucket_holds_its_initial_fill(void **state)
{
    (void)state;
    RUN(with(rule_of(RULE_TOKEN, 10, S, 0), 3, 0),
        {0, MODE_ALL, 4, 0, 3, NEVER, 0}, /* a denial stores nothing, so no refill begins */
        {0, MODE_ALL, 3, 3, 0, 0, S}, {500 * MS, MODE_ALL, 4, 4, 1, 0, 900 * MS},
        {1400 * MS, MODE_PEEK, 10, 10, 10, 0, 0}, /* full, and remembered for one more fill time … */
        {2399 * MS, MODE_PEEK, 10, 10, 10, 0, 0}, /* … to the last ms */
        {2400 * MS, MODE_PEEK, 3, 3, 3, 0, 0});   /* then it is an unused bucket again */
}

static void a_denial_begins_it_where_that_is_stored(void **state)
{
    (void)state;
    static const struct row {
        uint32_t flags;
        int64_t at_us, cost;
        enum request_mode mode;
        int64_t granted, remaining, wait_us;
    } rows[] = {
        /* ten in a second, none at first */
        {0, 0, 4, MODE_PEEK, 0, 0, 400 * MS},
        {0, S, 11, MODE_ALL, 0, 0, NEVER}, /* neither of these begins it */
        {0, S, 4, MODE_ALL, 0, 0, 400 * MS},
        {0, 1399 * MS, 4, MODE_ALL, 0, 3, MS},
        {0, 1400 * MS, 4, MODE_ALL, 4, 0, 0},
        {0, 2400 * MS, 10, MODE_ALL, 10, 0, 0},
        /* ten at once after each whole second */
        {RULE_INTERVAL, 0, 1, MODE_UPTO, 0, 0, S},
        {RULE_INTERVAL, S - 1, 1, MODE_ALL, 0, 0, 1},
        {RULE_INTERVAL, S, 1, MODE_ALL, 1, 9, 0},
    };
    struct context context = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct rule rule = rule_of(RULE_TOKEN, 10, S, 0);
        rule.initial = 0;
        rule.flags = row->flags;
        if (i > 0 && row->flags != rows[i - 1].flags) context_end(&context);
        struct limiter_request request = {
            .cost = row->cost, .mode = row->mode, .begins = true, .now_us = BASE + row->at_us};
        context_request(&context, &rule, 1, request);
        const struct verdict *verdict = &context.verdict;
        bool same = verdict->granted == row->granted && verdict->remaining == row->remaining &&
                    verdict->wait_us == row->wait_us;
        if (!same) fail_msg("row %zu: %ld %ld %ld", i, verdict->granted, verdict->remaining, verdict->wait_us);
    }
    context_end(&context);
}

static void a_first_fill_gives_back_what_was_taken(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rule = with(rule_of(RULE_TOKEN, 20, 20 * S, 0), 3, 0);
    context_request(&context, &rule, 1, (struct limiter_request){.cost = 1, .now_us = BASE});
    assert_int_equal(context_refund(&context, 20, -1, BASE), 1);
    assert_int_equal(context_refund(&context, 20, -1, BASE), 0);
    context_request(&context, &rule, 1, (struct limiter_request){.cost = 8, .mode = MODE_FORCE, .now_us = BASE});
    assert_int_equal(context_refund(&context, 2, -1, BASE + 16 * S), 2);
    /* 17 s fill what was lacking; the next second pays a unit back, and it is a bucket like any other */
    assert_int_equal(context_refund(&context, 20, -1, BASE + 18 * S), 5);
    context_end(&context);
}

/* Years that no clock reaches: what would be full after the end of time is refused, by a grant and by a denial. */
static void a_first_fill_ends_before_the_end_of_time(void **state)
{
    (void)state;
    const int64_t years = 366 * D;
    static const struct row {
        uint32_t flags;
        int64_t limit, period_us, capacity, initial, cost, wait_us;
        enum request_mode mode;
        enum fault fault;
        int64_t granted, remaining;
    } rows[] = {
        /* it lacks little, whatever it holds */
        {0, 7, 2, INT64_MAX, INT64_MAX - 9, 1 << 20, 0, MODE_ALL, FAULT_NONE, 1 << 20, INT64_MAX - 9 - (1 << 20)},
        {RULE_INTERVAL, 7, 2, INT64_MAX, INT64_MAX - 9, 1 << 20, 0, MODE_ALL, FAULT_NONE, 1 << 20,
         INT64_MAX - 9 - (1 << 20)},
        /* the units come in time, the last one does not */
        {0, 1, 1000 * years, 1000000, 0, 1, 0, MODE_ALL, FAULT_OVERFLOW, 0, 0},
        {0, 1, 1000 * years, 1000000, 0, 1, 0, MODE_PEEK, FAULT_OVERFLOW, 0, 0},
        {0, 1, 1000 * years, 1000000, 0, 1, 2000 * years, MODE_ALL, FAULT_OVERFLOW, 0, 0},
        {0, 1, 1000 * years, 1000000, 2, 1, 0, MODE_ALL, FAULT_OVERFLOW, 0, 0},
        {RULE_INTERVAL, 1, 1000 * years, 1000000, 0, 1, 0, MODE_ALL, FAULT_OVERFLOW, 0, 0},
        {0, 1, 1000 * years, 100, 0, 1, 0, MODE_ALL, FAULT_NONE, 0, 0},
        {RULE_INTERVAL, 1, 1000 * years, 100, 0, 1, 0, MODE_ALL, FAULT_NONE, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct context context = {0};
        struct rule rule = rule_of(RULE_TOKEN, row->limit, row->period_us, row->capacity);
        rule.initial = row->initial;
        rule.flags = row->flags;
        struct limiter_request request = {
            .cost = row->cost, .wait_us = row->wait_us, .mode = row->mode, .begins = true, .now_us = BASE};
        context_request(&context, &rule, 1, request);
        bool same = context.fault == row->fault;
        if (same && context.fault == FAULT_NONE) {
            same = context.verdict.granted == row->granted && context.verdict.remaining == row->remaining;
        }
        if (!same) fail_msg("row %zu: %d %ld", i, context.fault, context.verdict.remaining);
        context_end(&context);
    }
}

static void a_clock_that_steps_back_refills_nothing_twice(void **state)
{
    (void)state;
    RUN(rule_of(RULE_TOKEN, 10, S, 0), {S, MODE_ALL, 10, 10, 0, 0, S}, {0, MODE_ALL, 1, 0, 0, 1100 * MS, 2 * S},
        {1100 * MS, MODE_ALL, 1, 1, 0, 0, S});
    RUN(rule_of(RULE_TOKEN, 10, S, 0), {S, MODE_ALL, 4, 4, 6, 0, 400 * MS}, {0, MODE_ALL, 6, 6, 0, 0, 2 * S},
        {1100 * MS, MODE_ALL, 2, 0, 1, 100 * MS, 900 * MS});
}

static void a_changed_rule_takes_over_what_was_used(void **state)
{
    (void)state;
    static const struct row {
        int64_t limit, period_us, capacity, remaining;
    } rows[] = {
        {10, 2 * S, 0, 4},   /* slower: six stay used, */
        {20, S, 0, 14},      /* larger: of twenty, */
        {7, S, 0, 1},        /* smaller: of seven, */
        {7, 3 * S, 100, 94}, /* at another rate: of a hundred */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct context context = {0};
        struct rule before = rule_of(RULE_TOKEN, 10, S, 0);
        struct rule after = rule_of(RULE_TOKEN, rows[i].limit, rows[i].period_us, rows[i].capacity);
        context_request(&context, &before, 1, (struct limiter_request){.cost = 6, .now_us = BASE});
        context_request(&context, &after, 1, (struct limiter_request){.cost = 1, .mode = MODE_PEEK, .now_us = BASE});
        assert_int_equal(context.verdict.remaining, rows[i].remaining);
        context_request(&context, &after, 1, (struct limiter_request){.cost = 1, .now_us = BASE});
        assert_int_equal(context.verdict.remaining, rows[i].remaining - 1);
        context_end(&context);
    }
}

/* What is missing rounds up where fractions have no place. */
static void a_changed_way_of_refilling_keeps_the_tokens(void **state)
{
    (void)state;
    static const struct row {
        uint32_t before, after;
        int64_t after_us, remaining;
    } rows[] = {
        {0, RULE_INTERVAL, 0, 4},
        {0, RULE_INTERVAL, 150 * MS, 5}, /* five and a half were there */
        {0, RULE_INTERVAL, 200 * MS, 6},
        {RULE_INTERVAL, 0, 0, 4},
        {RULE_INTERVAL, 0, 250 * MS, 4}, /* units pass, an interval that has begun does not */
        {RULE_INTERVAL, RULE_INTERVAL, S, 10},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct context context = {0};
        struct rule before = with(rule_of(RULE_TOKEN, 10, S, 0), 0, rows[i].before);
        struct rule after = with(rule_of(RULE_TOKEN, 10, S, 0), 0, rows[i].after);
        context_request(&context, &before, 1, (struct limiter_request){.cost = 6, .now_us = BASE});
        struct limiter_request peek = {.cost = 1, .mode = MODE_PEEK, .now_us = BASE + rows[i].after_us};
        context_request(&context, &after, 1, peek);
        assert_int_equal(context.verdict.remaining, rows[i].remaining);
        peek.mode = MODE_ALL;
        context_request(&context, &after, 1, peek);
        assert_int_equal(context.verdict.remaining, rows[i].remaining - 1);
        context_end(&context);
    }
}

/* Beside a rule that still remembers stands a bucket that is unused again: it begins with the new INITIAL. */
static void a_changed_rule_finds_an_unused_bucket(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule before[] = {with(rule_of(RULE_TOKEN, 10, S, 0), 3, 0), rule_of(RULE_FIXED, 100, 60 * S, 0)};
    struct rule after[] = {with(rule_of(RULE_TOKEN, 10, S, 0), 5, 0), before[1]};
    context_request(&context, before, 2, (struct limiter_request){.cost = 2, .now_us = BASE});
    assert_int_equal(context.verdict.remaining, 1);
    context_request(&context, after, 2, (struct limiter_request){.cost = 1, .mode = MODE_PEEK, .now_us = BASE + 9 * S});
    assert_int_equal(context.verdict.remaining, 5);
    context_end(&context);
}

static void refunds_and_debts(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= RULE_INTERVAL; flags += RULE_INTERVAL) {
        struct context context = {0};
        struct rule rule = with(rule_of(RULE_TOKEN, 10, S, 0), 0, flags);
        context_request(&context, &rule, 1, (struct limiter_request){.cost = 25, .mode = MODE_FORCE, .now_us = BASE});
        assert_int_equal(context.verdict.granted, 25);
        assert_int_equal(context.verdict.remaining, 0);
        assert_int_equal(context_refund(&context, 20, -1, BASE), 20);
        assert_int_equal(context_refund(&context, 20, -1, BASE), 5);
        assert_int_equal(context_refund(&context, 20, -1, BASE), 0);
        context_request(&context, &rule, 1,
                        (struct limiter_request){.cost = INT64_MAX, .mode = MODE_FORCE, .now_us = BASE});
        assert_int_equal(context.fault, FAULT_OVERFLOW);
        context_end(&context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_refills_continuously_to_the_fraction),
        cmocka_unit_test(interval_refill_comes_in_steps),
        cmocka_unit_test(an_unused_bucket_holds_its_initial_fill),
        cmocka_unit_test(a_denial_begins_it_where_that_is_stored),
        cmocka_unit_test(a_first_fill_gives_back_what_was_taken),
        cmocka_unit_test(a_first_fill_ends_before_the_end_of_time),
        cmocka_unit_test(a_clock_that_steps_back_refills_nothing_twice),
        cmocka_unit_test(a_changed_rule_takes_over_what_was_used),
        cmocka_unit_test(a_changed_way_of_refilling_keeps_the_tokens),
        cmocka_unit_test(a_changed_rule_finds_an_unused_bucket),
        cmocka_unit_test(refunds_and_debts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

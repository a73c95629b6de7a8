/* The meter of credits: its row in verdicts and in INFO, when it is the deciding rule, and what reservations hold. */
#include "account_tools.h"
#include "quota/base/checked.h"
#include "quota/meter/meter.h"

#define T at("2025-01-31T15:00:00")

static void give(struct pair *pair, const char *id, int64_t amount, int64_t effective_us)
{
    struct grant_request request = gift(id, amount);
    request.effective_us = effective_us;
    pair_grant(pair, &request, T);
    assert_fault(pair, ACCOUNT_FAULT_NONE);
}

static const struct {
    const char *plan;
    int64_t credits, used, amount; /* granted, used before, wanted now */
    struct verdict wanted;
} rows[] = {
    /* while the limit has something left it is the rule, and what is left of the credits is left, too */
    {"a LIMIT 10 day", 5, 0, 4, {4, 10, 11, 0, D, 0}},
    {"a LIMIT 10 day", 5, 4, 7, {7, 5, 4, 0, NEVER_US, 1}},
    /* then credits are; more never come */
    {"a LIMIT 10 day", 5, 0, 10, {10, 5, 5, 0, NEVER_US, 1}},
    {"a LIMIT 10 day", 5, 0, 15, {15, 5, 0, 0, NEVER_US, 1}},
    /* denied: until limit and credits together have them */
    {"a LIMIT 10 day", 5, 8, 9, {0, 10, 7, D, D, 0}},
    {"a LIMIT 10 day", 5, 12, 9, {0, 5, 3, D, NEVER_US, 1}},
    {"a LIMIT 10 day", 5, 0, 16, {0, 10, 15, NEVER_US, 0, 0}},
    /* BURST takes what credits cannot pay */
    {"a LIMIT 10 day BURST 20%", 5, 0, 16, {16, 12, 1, 0, D, 0}},
    {"a LIMIT 10 day BURST 20%", 5, 0, 17, {17, 5, 0, 0, NEVER_US, 1}},
    {"a LIMIT 10 day OVERAGE", 5, 0, 99, {99, 10, UNLIMITED, 0, D, 0}},
    /* the tightest of several limits */
    {"a LIMIT 10 day LIMIT 4 12h", 5, 0, 2, {2, 4, 7, 0, 12 * H, 1}},
    {"a LIMIT 10 day LIMIT 4 12h", 5, 0, 6, {6, 5, 3, 0, NEVER_US, 2}},
    /* without a limit credits are the only rule; rates have to admit all of it */
    {"a CREDITS", 5, 0, 3, {3, 5, 2, 0, NEVER_US, 0}},
    {"a CREDITS", 5, 0, 6, {0, 5, 5, NEVER_US, NEVER_US, 0}},
    {"a CREDITS RATE FIXED 2 1h", 5, 0, 3, {0, 2, 2, NEVER_US, 0, 0}},
    /* first */
    {"a LIMIT 10 day CREDITS FIRST", 5, 0, 7, {7, 10, 8, 0, D, 0}},
    /* what has no end needs no credits */
    {"a LIMIT -1 day", 5, 0, 99, {99, UNLIMITED, UNLIMITED, 0, D, 0}},
};

static void verdicts_name_the_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        plan_set("pro", rows[i].plan);
        pair_open(&pair, "pro", T);
        give(&pair, "g", rows[i].credits, NOT_REQUESTED);
        if (rows[i].used > 0) pair_request_one(&pair, "a", rows[i].used, MODE_UPTO, NULL, T);
        pair_request_one(&pair, "a", rows[i].amount, MODE_ALL, NULL, T);
        struct verdict verdict = pair.decision.result.consumed.verdicts[0];
        assert_verdict(i, verdict, rows[i].wanted);
        pair_end(&pair);
    }
    plan_drop("pro");
}

static void the_report_says_used_held_and_left(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 day");
    pair_open(&pair, "pro", T);
    give(&pair, "g", 20, NOT_REQUESTED);
    give(&pair, "later", 7, T + D);
    pair_consume(&pair, "a", 13, T);
    pair_reserve(&pair, "h", "a", 5, H, T);
    struct rule_report report = report_of(pair.account, "a", 1, T + 1);
    assert_int_equal(report.limit, 20);
    assert_int_equal(report.used, 3);
    assert_int_equal(report.held, 5);
    assert_int_equal(report.remaining, 12);
    assert_int_equal(report.end_us, T + D);          /* when more come */
    report = report_of(pair.account, "a", 1, T + H); /* the reservation has ended */
    assert_int_equal(report.held, 0);
    assert_int_equal(report.remaining, 17);
    report = report_of(pair.account, "a", 1, T + D);
    assert_int_equal(report.limit, 27);
    assert_int_equal(report.remaining, 24);
    assert_int_equal(report.end_us, NEVER_US);
    pair_end(&pair);
    plan_drop("pro");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_name_the_rule),
        cmocka_unit_test(the_report_says_used_held_and_left),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

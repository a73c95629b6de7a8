/* The meter of CONCURRENT: verdicts of reservations, waits for their ends, its row in INFO; what is used passes it by.
 */
#include "account_tools.h"
#include "quota/base/checked.h"
#include "quota/meter/meter.h"

#define T at("2025-01-31T15:00:00")

static void give(struct pair *pair, int64_t amount)
{
    struct grant_request request = gift("g", amount);
    pair_grant(pair, &request, T);
    assert_fault(pair, ACCOUNT_FAULT_NONE);
}

static const struct {
    const char *plan;
    int64_t credits, amount;
    struct verdict wanted;
} rows[] = {
    /* three are held for 10 s, two for 20 s; one more is wanted for a minute, or several */
    {"a CONCURRENT 8", 0, 1, {1, 8, 2, 0, 60 * S, 0}},
    {"a CONCURRENT 8", 0, 3, {3, 8, 0, 0, 60 * S, 0}},
    {"a CONCURRENT 8", 0, 4, {0, 8, 3, 10 * S, 20 * S, 0}},
    {"a CONCURRENT 8", 0, 6, {0, 8, 3, 10 * S, 20 * S, 0}},
    {"a CONCURRENT 8", 0, 7, {0, 8, 3, 20 * S, 20 * S, 0}},
    {"a CONCURRENT 8", 0, 9, {0, 8, 3, NEVER_US, 20 * S, 0}},
    {"a CONCURRENT -1", 0, 99, {99, UNLIMITED, UNLIMITED, 0, 60 * S, 0}},
    /* beside a LIMIT the one with less left decides, denied the one with the longer wait */
    {"a LIMIT 20 1h CONCURRENT 8", 0, 1, {1, 8, 2, 0, 60 * S, 1}},
    {"a LIMIT 7 1h CONCURRENT 8", 0, 1, {1, 7, 1, 0, H, 0}},
    {"a LIMIT 7 1h CONCURRENT 8", 0, 4, {0, 7, 2, 10 * S, H, 0}},
    {"a LIMIT 20 1h CONCURRENT 8", 0, 4, {0, 8, 3, 10 * S, 20 * S, 1}},
    /* a unit that counts as two */
    {"a CONCURRENT 14 COST 2", 0, 2, {2, 14, 0, 0, 60 * S, 0}},
    {"a CONCURRENT 14 COST 2", 0, 3, {0, 14, 4, 10 * S, 20 * S, 0}},
    /* units that grants hold count, too; waits foresee credits and reservations */
    {"a LIMIT 2 1h CONCURRENT 8", 9, 3, {3, 8, 0, 0, 60 * S, 1}},
    {"a LIMIT 2 1h CONCURRENT 8", 9, 4, {0, 8, 3, 10 * S, 20 * S, 1}},
    {"a CREDITS CONCURRENT 8", 99, 7, {0, 8, 3, 20 * S, 20 * S, 0}},
    {"a CREDITS CONCURRENT 8", 6, 2, {0, 6, 1, 10 * S, NEVER_US, 1}},
};

static void reservations_are_bounded(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        plan_set("pro", rows[i].plan);
        pair_open(&pair, "pro", T);
        if (rows[i].credits > 0) give(&pair, rows[i].credits);
        pair_reserve(&pair, "r1", "a", 3, 10 * S, T);
        pair_reserve(&pair, "r2", "a", 2, 20 * S, T);
        pair_reserve(&pair, "r3", "a", rows[i].amount, 60 * S, T);
        struct verdict verdict = pair.decision.result.consumed.verdicts[0];
        assert_verdict(i, verdict, rows[i].wanted);
        if (verdict.wait_us > 0) { /* the wait is kept */
            pair_reserve(&pair, "r3", "a", rows[i].amount, 60 * S, T + verdict.wait_us - 1);
            assert_int_equal(pair.decision.result.consumed.verdicts[0].granted, 0);
            pair_reserve(&pair, "r3", "a", rows[i].amount, 60 * S, T + verdict.wait_us);
            assert_int_equal(pair.decision.result.consumed.verdicts[0].granted, rows[i].amount);
        }
        pair_end(&pair);
    }
    plan_drop("pro");
}

static void what_is_used_passes_it_by(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a CONCURRENT 5 | b LIMIT 10 1h CONCURRENT 0");
    pair_open(&pair, "pro", T);
    assert_int_equal(pair_consume(&pair, "a", 99, T), 99);
    struct verdict verdict = pair.decision.result.consumed.verdicts[0]; /* no rule decided */
    assert_int_equal(verdict.limit, UNLIMITED);
    assert_int_equal(verdict.remaining, UNLIMITED);
    assert_int_equal(verdict.rule, -1);
    assert_int_equal(pair_consume(&pair, "b", 4, T), 4);
    pair_reserve(&pair, "r", "b", 1, H, T); /* 0 is none */
    assert_int_equal(pair.decision.result.consumed.verdicts[0].granted, 0);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].rule, 1);
    /* a commit beyond what was reserved is used, not held */
    pair_reserve(&pair, "r", "a", 5, H, T);
    const int64_t amount = 50;
    struct commit_request request = {.id = BYTES("r"), .amounts = &amount, .count = 1, .force = true, .now_us = T};
    pair_resolve(&pair, &request);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    pair_reserve(&pair, "s", "a", 5, H, T);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].granted, 5);
    pair_end(&pair);
    plan_drop("pro");
}

static void the_report_says_what_is_held(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    struct demand demand;
    struct rule_report report = {0};
    plan_set("pro", "a LIMIT 2 1h CONCURRENT 8");
    pair_open(&pair, "pro", T);
    give(&pair, 9);
    pair_reserve(&pair, "r", "a", 5, H, T); /* two of the limit, three of the grant */
    look_at(&look, pair.account, "a", T + S);
    demand_begin(&demand, &look.account, &look.view, 1);
    struct position position = position_of_rule(&demand, 1);
    position.meter->report(&position, &report);
    assert_string_equal(position.meter->kind, "CONCURRENT");
    assert_int_equal(report.limit, 8);
    assert_int_equal(report.used, 0);
    assert_int_equal(report.held, 5);
    assert_int_equal(report.remaining, 3);
    look_end(&look);
    pair_end(&pair);
    plan_drop("pro");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reservations_are_bounded),
        cmocka_unit_test(what_is_used_passes_it_by),
        cmocka_unit_test(the_report_says_what_is_held),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

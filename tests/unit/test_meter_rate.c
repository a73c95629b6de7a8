/* The meter of RATEs: all of a resource in one position, checked together, written down as the limiter's effects. */
#include "account_tools.h"
#include "quota/meter/meter.h"
#include "quota/view/changeset.h"

#define T at("2025-01-31T15:00:00")

/* A demand for "a" at an instant; the position of its rates. */
struct scale {
    struct look look;
    struct demand demand;
    struct position *position;
};

static void scale_at(struct scale *scale, const struct pair *pair, int64_t at_us)
{
    look_at(&scale->look, pair->account, "a", at_us);
    demand_begin(&scale->demand, &scale->look.account, &scale->look.view, 1);
    scale->position = NULL;
    for (uint32_t i = 0; i < scale->demand.positions_count; i++) {
        if (scale->demand.positions[i].meter == &meter_rate) scale->position = &scale->demand.positions[i];
    }
    assert_non_null(scale->position);
}

static void rates_are_checked_together(void **state)
{
    (void)state;
    /* rule 1 admits five a second, rule 2 eight a minute; three are used of both */
    static const struct {
        enum request_mode mode;
        int64_t units, granted, remaining, wait_us;
        int32_t rule;
    } rows[] = {
        {MODE_ALL, 2, 2, 0, 0, 1},  {MODE_ALL, 3, 0, 2, S, 1},  {MODE_ALL, 6, 0, 2, NEVER_US, 1},
        {MODE_UPTO, 9, 2, 0, 0, 1}, {MODE_PEEK, 2, 2, 2, 0, 1}, {MODE_FORCE, 9, 9, 0, 0, 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct scale scale;
        struct verdict verdict;
        plan_set("pro", "a LIMIT 99 1h RATE FIXED 5 1s RATE FIXED 8 1m");
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 3, T);
        scale_at(&scale, &pair, T);
        assert_int_equal(meter_rate.available(scale.position), UNLIMITED); /* the answer depends on the mode */
        assert_int_equal(rates_check(&scale.demand, rows[i].units, rows[i].mode), ACCOUNT_FAULT_NONE);
        assert_int_equal(meter_rate.check(scale.position, rows[i].units), ACCOUNT_FAULT_NONE);
        meter_rate.judge(scale.position, rows[i].units, &verdict);
        if (verdict.granted != rows[i].granted || verdict.remaining != rows[i].remaining ||
            verdict.wait_us != rows[i].wait_us || verdict.rule != rows[i].rule) {
            fail_msg("row %zu: granted %lld remaining %lld wait %lld rule %d", i, (long long)verdict.granted,
                     (long long)verdict.remaining, (long long)verdict.wait_us, verdict.rule);
        }
        bool takes = rows[i].granted > 0 && rows[i].mode != MODE_PEEK;
        meter_rate.take(scale.position, rows[i].units);
        meter_rate.emit(scale.position, rows[i].units, &scale.look.changes);
        assert_int_equal(scale.look.changes.size > 0, takes);
        pair_write(&pair, &scale.look);
        int64_t used = 3 + (takes ? rows[i].granted : 0); /* a report shows no more than the limit */
        assert_int_equal(report_of(pair.account, "a", 1, T).used, used < 5 ? used : 5);
        pair_end(&pair);
    }
}

/* The verdict's rule is the rate's place among all rules, moved as the position is (an ancestor's: 100 and more). */
static void rates_keep_the_number_of_their_position(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct scale scale;
    struct verdict verdict;
    plan_set("pro", "a RATE FIXED 50 1s LIMIT 99 1h LIMIT 99 2h RATE FIXED 5 1m");
    pair_open(&pair, "pro", T);
    scale_at(&scale, &pair, T);
    assert_int_equal(rates_check(&scale.demand, 6, MODE_ALL), ACCOUNT_FAULT_NONE);
    meter_rate.judge(scale.position, 6, &verdict);
    assert_int_equal(verdict.rule, 3);
    scale.position->number += 200;
    meter_rate.judge(scale.position, 6, &verdict);
    assert_int_equal(verdict.rule, 203);
    assert_int_equal(rates_check(&scale.demand, 51, MODE_ALL), ACCOUNT_FAULT_NONE);
    meter_rate.judge(scale.position, 51, &verdict);
    assert_int_equal(verdict.rule, 200);
    look_end(&scale.look);
    pair_end(&pair);
}

static void without_rates_there_is_nothing_to_check(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    struct demand demand;
    plan_set("pro", "a LIMIT 99 1h");
    pair_open(&pair, "pro", T);
    look_at(&look, pair.account, "a", T);
    demand_begin(&demand, &look.account, &look.view, 1);
    assert_int_equal(demand.rates.count, 0);
    assert_int_equal(rates_check(&demand, INT64_MAX, MODE_ALL), ACCOUNT_FAULT_NONE);
    look_end(&look);
    pair_end(&pair);
}

static void every_rate_is_reported_by_itself(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct scale scale;
    struct rule_report report;
    plan_set("pro", "a RATE FIXED 5 1s LIMIT 99 1h RATE FIXED 8 1m");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 3, T);
    static const struct {
        uint32_t rule;
        int64_t after_us, limit, used;
    } rows[] = {{0, 0, 5, 3}, {2, 0, 8, 3}, {0, S, 5, 0}, {2, S, 8, 3}, {2, 60 * S, 8, 0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        scale_at(&scale, &pair, T + rows[i].after_us);
        struct position position = *scale.position;
        position.rule = rows[i].rule;
        meter_rate.report(&position, &report);
        assert_int_equal(report.limit, rows[i].limit);
        if (report.used != rows[i].used) fail_msg("row %zu: %lld", i, (long long)report.used);
        assert_int_equal(report.remaining, rows[i].limit - rows[i].used);
        assert_int_equal(report.held, 0);
        assert_int_equal(report.start_us, NEVER_US);
        assert_int_equal(report.end_us, NEVER_US);
        look_end(&scale.look);
    }
    scale_at(&scale, &pair, T + S);
    assert_int_equal(meter_rate.used(scale.position), 3); /* the most that any of them counts */
    look_end(&scale.look);
    pair_end(&pair);
}

static void rates_take_back_what_they_remember(void **state)
{
    (void)state;
    static const struct {
        int64_t taken_us, now_us, units, returned, used; /* taken -1: without a name */
    } rows[] = {
        {0, 0, 2, 2, 1},   {0, 0, 9, 3, 0}, {-1, 0, 2, 2, 1}, {0, 30, 2, 2, 1}, {0, 60, 2, 0, 0}, /* another window */
        {-1, 60, 2, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct scale scale;
        plan_set("pro", "a RATE FIXED 8 1m");
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 3, T);
        scale_at(&scale, &pair, T + rows[i].now_us * S);
        struct taken_from from = {.taken_us = T, .logged_us = T + rows[i].taken_us * S};
        int64_t returned = rows[i].taken_us < 0
                               ? meter_rate.give_back_newest(scale.position, rows[i].units, &scale.look.changes)
                               : meter_rate.give_back(scale.position, rows[i].units, &from, &scale.look.changes);
        if (returned != rows[i].returned) fail_msg("row %zu: %lld", i, (long long)returned);
        pair_write(&pair, &scale.look);
        assert_int_equal(used_of(&pair, "a", T + rows[i].now_us * S), rows[i].used);
        pair_end(&pair);
    }
    struct pair pair = {0}; /* nothing was ever counted */
    struct scale scale;
    plan_set("pro", "a RATE FIXED 8 1m");
    pair_open(&pair, "pro", T);
    scale_at(&scale, &pair, T);
    assert_int_equal(meter_rate.give_back_newest(scale.position, 5, &scale.look.changes), 0);
    assert_int_equal(scale.look.changes.size, 0);
    look_end(&scale.look);
    pair_end(&pair);
}

static void what_does_not_fit_a_number_is_a_fault(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct scale scale;
    plan_set("pro", "a RATE FIXED 8 1m");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 3, T);
    scale_at(&scale, &pair, T);
    assert_int_equal(rates_check(&scale.demand, INT64_MAX, MODE_FORCE), ACCOUNT_FAULT_OVERFLOW);
    look_end(&scale.look);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_checked_together),
        cmocka_unit_test(rates_keep_the_number_of_their_position),
        cmocka_unit_test(without_rates_there_is_nothing_to_check),
        cmocka_unit_test(every_rate_is_reported_by_itself),
        cmocka_unit_test(rates_take_back_what_they_remember),
        cmocka_unit_test(what_does_not_fit_a_number_is_a_fault),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

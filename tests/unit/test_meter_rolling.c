/* The meter of a rolling window: against a list of everything that was used, when it was, and what is held. */
#include "account_tools.h"
#include "quota/base/checked.h"
#include "quota/meter/meter.h"
#include "quota/rate/sliding_log.h"
#include "quota/view/changeset.h"

#define T at("2025-01-31T15:00:00")

/* A demand for "a" at an instant; its first position is that of the rolling window. */
struct scale {
    struct look look;
    struct demand demand;
    struct position *position;
};

static void scale_at(struct scale *scale, const struct pair *pair, int64_t at_us)
{
    look_at(&scale->look, pair->account, "a", at_us);
    demand_begin(&scale->demand, &scale->look.account, &scale->look.view, 1);
    scale->position = &scale->demand.positions[0];
    assert_ptr_equal(scale->position->meter, &meter_rolling);
}

static int64_t available_at(const struct pair *pair, int64_t at_us)
{
    struct scale scale;
    scale_at(&scale, pair, at_us);
    int64_t available = meter_rolling.available(scale.position);
    look_end(&scale.look);
    return available;
}

/* LIMIT 12 ROLLING 30m: what of the list lies in (now - 30m, now]. */
struct entry {
    int64_t at_us, units;
};

static int64_t sum_of(const struct entry *entries, int count, int64_t now_us)
{
    int64_t sum = 0;
    for (int i = 0; i < count; i++) sum += entries[i].at_us > now_us - H / 2 ? entries[i].units : 0;
    return sum;
}

static void what_fits_is_what_a_list_says(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 12 ROLLING 30m");
    for (int run = 0; run < 60; run++) {
        struct entry entries[40];
        int count = 0;
        struct pair pair = {0};
        int64_t now_us = T;
        pair_open(&pair, "pro", T);
        for (int step = 0; step < 40; step++) {
            now_us += random_between(0, 12) * MICROS_PER_MINUTE;
            int64_t units = random_between(1, 5), left = 12 - sum_of(entries, count, now_us);
            assert_int_equal(available_at(&pair, now_us), left);
            if (pair_consume(&pair, "a", units, now_us) == 0) continue;
            entries[count].at_us = now_us;
            entries[count++].units = units;
        }
        pair_end(&pair);
    }
}

static void reservations_take_room_as_long_as_they_live(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct scale scale;
    struct verdict verdict;
    plan_set("pro", "a LIMIT 12 ROLLING 30m");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    pair_reserve(&pair, "r", "a", 5, H, T + S);
    scale_at(&scale, &pair, T + 2 * S);
    meter_rolling.judge(scale.position, 0, &verdict);
    assert_int_equal(verdict.limit, 12);
    assert_int_equal(verdict.remaining, 3);
    assert_int_equal(verdict.wait_us, 0);
    assert_int_equal(verdict.reset_us, H - S); /* the reservation outlives the window */
    assert_int_equal(verdict.rule, 0);
    meter_rolling.judge(scale.position, 7, &verdict);
    assert_int_equal(verdict.wait_us, H / 2 - 2 * S); /* the four leave */
    meter_rolling.judge(scale.position, 8, &verdict);
    assert_int_equal(verdict.wait_us, H - S); /* the five are released */
    meter_rolling.judge(scale.position, 13, &verdict);
    assert_int_equal(verdict.wait_us, NEVER_US);
    struct rule_report report;
    meter_rolling.report(scale.position, &report);
    assert_int_equal(report.limit, 12);
    assert_int_equal(report.used, 4);
    assert_int_equal(report.held, 5);
    assert_int_equal(report.remaining, 3);
    assert_int_equal(report.start_us, NEVER_US);
    assert_int_equal(report.end_us, NEVER_US);
    assert_int_equal(meter_rolling.used(scale.position), 4);
    look_end(&scale.look);
    pair_end(&pair);
}

/* What is taken is written down by emit: the log on the other side has it. */
static void what_is_taken_is_written_down(void **state)
{
    (void)state;
    for (int holds = 0; holds < 2; holds++) {
        struct pair pair = {0};
        struct scale scale;
        plan_set("pro", "a LIMIT 12 ROLLING 30m");
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 4, T);
        scale_at(&scale, &pair, T + S);
        scale.demand.holds = holds;
        scale.demand.limited = 3;
        assert_int_equal(meter_rolling.check(scale.position, 3), ACCOUNT_FAULT_NONE);
        meter_rolling.take(scale.position, 3);
        meter_rolling.emit(scale.position, 3, &scale.look.changes);
        scale.demand.taken = true;
        assert_int_equal(meter_rolling.available(scale.position), 5); /* before the log knows */
        assert_int_equal(scale.look.changes.size > 0, !holds);        /* a reservation is written elsewhere */
        if (holds) {
            look_end(&scale.look);
        } else {
            pair_write(&pair, &scale.look);
            assert_int_equal(available_at(&pair, T + S), 5);
        }
        pair_end(&pair);
    }
    struct pair pair = {0}; /* without a bound nothing is logged */
    struct scale scale;
    plan_set("pro", "a LIMIT -1 ROLLING 30m");
    pair_open(&pair, "pro", T);
    scale_at(&scale, &pair, T);
    assert_int_equal(meter_rolling.available(scale.position), UNLIMITED);
    assert_int_equal(meter_rolling.check(scale.position, INT64_MAX), ACCOUNT_FAULT_NONE);
    meter_rolling.emit(scale.position, 3, &scale.look.changes);
    assert_int_equal(scale.look.changes.size, 0);
    look_end(&scale.look);
    pair_end(&pair);
}

static void posts_count_from_now_on(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct scale scale;
    plan_set("pro", "a LIMIT 12 ROLLING 30m LIMIT 99 ROLLING 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 1, T);
    scale_at(&scale, &pair, T + S);
    assert_int_equal(rolling_post(&scale.demand, 20, &scale.look.changes), ACCOUNT_FAULT_NONE); /* whatever fits */
    assert_int_equal(rolling_post(&scale.demand, 0, &scale.look.changes), ACCOUNT_FAULT_NONE);
    pair_write(&pair, &scale.look);
    assert_int_equal(report_of(pair.account, "a", 0, T + S).used, 21);
    assert_int_equal(report_of(pair.account, "a", 1, T + S).used, 21);
    assert_int_equal(report_of(pair.account, "a", 0, T + H / 2 + S - 1).used, 20);
    assert_int_equal(report_of(pair.account, "a", 0, T + H / 2 + S).used, 0);
    scale_at(&scale, &pair, T + S);
    assert_int_equal(rolling_post(&scale.demand, INT64_MAX, &scale.look.changes), ACCOUNT_FAULT_OVERFLOW);
    look_end(&scale.look);
    pair_end(&pair);
}

static void units_leave_the_instant_they_came_at(void **state)
{
    (void)state;
    static const struct {
        int64_t taken_us, now_us, units, returned;
    } rows[] = {
        /* four at the beginning and two a minute later */
        {0, 2, 3, 3},   {0, 2, 9, 4},    {60, 62, 2, 2},  {60, 62, 9, 2},
        {30, 62, 1, 0}, {0, 1799, 4, 4}, {0, 1800, 4, 0}, /* half an hour later they have left */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct scale scale;
        plan_set("pro", "a LIMIT 12 ROLLING 30m");
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 4, T);
        if (rows[i].now_us >= 60) pair_consume(&pair, "a", 2, T + 60 * S);
        scale_at(&scale, &pair, T + rows[i].now_us * S);
        int64_t before = meter_rolling.available(scale.position);
        struct taken_from from = {.taken_us = T + rows[i].taken_us * S, .logged_us = T + rows[i].taken_us * S};
        int64_t returned = meter_rolling.give_back(scale.position, rows[i].units, &from, &scale.look.changes);
        if (returned != rows[i].returned) fail_msg("row %zu: %lld", i, (long long)returned);
        assert_int_equal(meter_rolling.available(scale.position), before + returned); /* before the log knows */
        pair_write(&pair, &scale.look);
        assert_int_equal(available_at(&pair, T + rows[i].now_us * S), before + returned);
        pair_end(&pair);
    }
}

static void without_a_name_the_newest_leave_first(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct scale scale;
    plan_set("pro", "a LIMIT 12 ROLLING 30m");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    pair_consume(&pair, "a", 2, T + 60 * S);
    scale_at(&scale, &pair, T + 61 * S);
    assert_int_equal(meter_rolling.give_back_newest(scale.position, 3, &scale.look.changes), 3);
    pair_write(&pair, &scale.look);
    assert_int_equal(available_at(&pair, T + 61 * S), 9);
    assert_int_equal(available_at(&pair, T + H / 2), 12); /* the three that are left are the oldest */
    scale_at(&scale, &pair, T + 61 * S);
    assert_int_equal(meter_rolling.give_back_newest(scale.position, 99, &scale.look.changes), 3);
    look_end(&scale.look);
    pair_end(&pair);
}

/* A full log is found by the check, before anything is taken. */
static void a_full_log_is_found_by_the_check(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct scale scale;
    plan_set("pro", "a LIMIT 1000000 ROLLING 30m");
    pair_open(&pair, "pro", T);
    for (int64_t i = 0; i < LOG_ENTRIES_MAX; i++) {
        struct account_change change = {.applied_at_us = T + i + 1, .encoding = ACCOUNT_ENCODING_NEWEST};
        scale_at(&scale, &pair, T + i + 1);
        if (i == 0) emit_slot(&scale.look.account, &scale.look.view, &scale.look.changes);
        scale.demand.limited = 1;
        meter_rolling.emit(scale.position, 1, &scale.look.changes);
        change.changes = sink_content(&scale.look.changes);
        account_view_end(&scale.look.account);
        pair.account = account_apply(pair.account, &change);
        sink_free(&scale.look.changes);
    }
    scale_at(&scale, &pair, T + LOG_ENTRIES_MAX + 1);
    assert_int_equal(meter_rolling.available(scale.position), 1000000 - LOG_ENTRIES_MAX);
    assert_int_equal(meter_rolling.check(scale.position, 1), ACCOUNT_FAULT_LOG);
    assert_int_equal(meter_rolling.check(scale.position, 0), ACCOUNT_FAULT_NONE);
    look_end(&scale.look);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_what_a_list_says),
        cmocka_unit_test(reservations_take_room_as_long_as_they_live),
        cmocka_unit_test(what_is_taken_is_written_down),
        cmocka_unit_test(posts_count_from_now_on),
        cmocka_unit_test(units_leave_the_instant_they_came_at),
        cmocka_unit_test(without_a_name_the_newest_leave_first),
        cmocka_unit_test(a_full_log_is_found_by_the_check),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

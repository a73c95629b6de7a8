/* The meter of a LIMIT: what fits, what it waits for (tried out microsecond by microsecond), what comes back. */
#include "account_tools.h"
#include "quota/base/checked.h"
#include "quota/meter/meter.h"

#define T at("2025-01-31T15:00:00")

/* A demand for one unit of "a" at an instant; its first position is that of the LIMIT. */
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
    assert_ptr_equal(scale->position->meter, &meter_cycle);
}

static void scale_end(struct scale *scale)
{
    look_end(&scale->look);
}

static int64_t available_at(const struct pair *pair, int64_t at_us)
{
    struct scale scale;
    scale_at(&scale, pair, at_us);
    int64_t available = meter_cycle.available(scale.position);
    scale_end(&scale);
    return available;
}

static struct verdict judged_at(const struct pair *pair, int64_t units, int64_t at_us)
{
    struct scale scale;
    struct verdict verdict;
    scale_at(&scale, pair, at_us);
    meter_cycle.judge(scale.position, units, &verdict);
    scale_end(&scale);
    return verdict;
}

static void what_is_used_and_held_is_not_available(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        int64_t available, limit, remaining, reset_us;
    } rows[] = {
        /* four are used and three are held, of an hour that has run for a second */
        {"a LIMIT 10 1h", 3, 10, 3, H - S},
        {"a LIMIT 10 1h BURST 50", 8, 15, 8, H - S},
        {"a LIMIT 7 1h", 0, 7, 0, H - S},
        {"a LIMIT 10 1h OVERAGE", UNLIMITED, 10, UNLIMITED, H - S},
        {"a LIMIT 10 1h OVERAGE MAX 2", 5, 12, 5, H - S},
        {"a LIMIT 10 1h GRACE 1m", UNLIMITED, 10, UNLIMITED, H - S},
        {"a LIMIT -1 1h", UNLIMITED, UNLIMITED, UNLIMITED, H - S},
        {"a LIMIT 10 forever", 3, 10, 3, NEVER_US},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        plan_set("pro", rows[i].plan);
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 4, T);
        pair_reserve(&pair, "r", "a", 3, H, T);
        if (available_at(&pair, T + S) != rows[i].available) fail_msg("row %zu", i);
        struct verdict verdict = judged_at(&pair, 0, T + S);
        assert_int_equal(verdict.limit, rows[i].limit);
        assert_int_equal(verdict.remaining, rows[i].remaining);
        assert_int_equal(verdict.wait_us, 0);
        assert_int_equal(verdict.reset_us, rows[i].reset_us);
        assert_int_equal(verdict.rule, 0);
        pair_end(&pair);
    }
}

static void a_number_that_would_wrap_is_found_by_the_check(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct scale scale;
    plan_set("pro", "a LIMIT -1 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    pair_reserve(&pair, "r", "a", 3, H, T);
    scale_at(&scale, &pair, T);
    assert_int_equal(meter_cycle.check(scale.position, INT64_MAX - 7), ACCOUNT_FAULT_NONE);
    assert_int_equal(meter_cycle.check(scale.position, INT64_MAX - 6), ACCOUNT_FAULT_OVERFLOW);
    scale_end(&scale);
    pair_end(&pair);
}

/* The first moment, in steps of a minute, at which the units fit if no other request comes. */
static int64_t tried_wait_us(const struct pair *pair, int64_t units, int64_t at_us)
{
    for (int64_t wait_us = 0; wait_us < 12 * H; wait_us += MICROS_PER_MINUTE) {
        int64_t available = available_at(pair, at_us + wait_us);
        if (available == UNLIMITED || available >= units) return wait_us;
    }
    return NEVER_US;
}

static void waits_are_those_that_trying_finds(void **state)
{
    (void)state;
    static const char *const plans[] = {"a LIMIT 10 1h", "a LIMIT 10 1h BURST 50", "a LIMIT 10 2h BURST 100 REPAY",
                                        "a LIMIT 4 1h REPAY BURST 200", "a LIMIT 10 1h BURST 50 GRACE 20m"};
    for (int run = 0; run < 100; run++) {
        struct pair pair = {0};
        int64_t now_us = T;
        char id[3] = "r";
        plan_set("pro", plans[run % COUNT_OF(plans)]);
        pair_open(&pair, "pro", T);
        for (int i = 0; i < 6; i++) {
            now_us += random_between(0, 30) * MICROS_PER_MINUTE;
            id[1] = (char)('A' + i);
            int64_t units = random_between(1, 5);
            if (random_below(2)) {
                pair_consume(&pair, "a", units, now_us);
            } else {
                pair_reserve(&pair, id, "a", units, random_between(1, 90) * MICROS_PER_MINUTE, now_us);
            }
        }
        for (int64_t units = 1; units < 18; units += 2) {
            int64_t wanted_us = tried_wait_us(&pair, units, now_us);
            assert_int_equal(judged_at(&pair, units, now_us).wait_us, wanted_us);
        }
        pair_end(&pair);
    }
}

/* While a grace is open everything fits; what waits for another rule until it has passed does not. */
static void a_grace_may_have_passed_by_then(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct scale scale;
    plan_set("pro", "a LIMIT 10 1h GRACE 1m");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 12, T);
    scale_at(&scale, &pair, T + S);
    assert_int_equal(meter_cycle.wait_after(scale.position, 1, 30 * S), 30 * S);
    assert_int_equal(meter_cycle.wait_after(scale.position, 1, 59 * S - 1), 59 * S - 1);
    assert_int_equal(meter_cycle.wait_after(scale.position, 1, 59 * S), H - S);
    assert_int_equal(meter_cycle.wait_after(scale.position, 1, 2 * H), 2 * H); /* another cycle's */
    scale_end(&scale);
    pair_end(&pair);
}

/* By then the limit itself holds; what is reserved until later leaves room before the cycle ends. */
static void reservations_may_end_after_the_grace(void **state)
{
    (void)state;
    static const struct {
        int64_t units, after_us, wait_us;
    } rows[] = {{2, 30 * S, 30 * S},    {2, 59 * S, H / 2 - S}, {1, 59 * S, 59 * S},
                {4, 59 * S, H / 2 - S}, {5, 59 * S, H - S},     {2, H / 2, H / 2}};
    struct pair pair = {0};
    struct scale scale;
    plan_set("pro", "a LIMIT 10 1h GRACE 1m BURST 100");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 12, T);
    pair_refund(&pair, "a", 6, NULL, NULL, T);
    pair_reserve(&pair, "r", "a", 3, H / 2, T);
    scale_at(&scale, &pair, T + S); /* six are used and three are held */
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t wait_us = meter_cycle.wait_after(scale.position, rows[i].units, rows[i].after_us);
        if (wait_us != rows[i].wait_us) fail_msg("row %zu: %lld", i, (long long)(wait_us / S));
    }
    scale_end(&scale);
    pair_end(&pair);
}

static void taking_counts_holding_shows_in_the_peak(void **state)
{
    (void)state;
    for (int holds = 0; holds < 2; holds++) {
        struct pair pair = {0};
        struct scale scale;
        plan_set("pro", "a LIMIT 10 1h WARN 50 80");
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 1, T);
        scale_at(&scale, &pair, T);
        scale.demand.holds = holds;
        scale.demand.limited = 7;
        meter_cycle.take(scale.position, 7);
        scale.demand.taken = true;
        const struct window *window = &scale.look.view.windows[0];
        assert_int_equal(window->used, holds ? 1 : 8);
        assert_int_equal(window->peak, 8);
        assert_int_equal(window->warned_bp, holds ? 0 : 8000);
        assert_int_equal(meter_cycle.available(scale.position), 2);
        assert_int_equal(meter_cycle.used(scale.position), holds ? 1 : 8);
        scale_end(&scale);
        pair_end(&pair);
    }
}

static void only_the_cycle_that_was_charged_takes_back(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct sink none = {0};
    struct scale scale;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    pair_consume(&pair, "a", 6, T + H);
    scale_at(&scale, &pair, T + H + S);
    struct charged elsewhere = {.count = 1, .periods = {7}};
    const struct {
        struct taken_from from;
        int64_t units, returned, used;
    } rows[] = {
        {{.taken_us = T, .logged_us = T}, 2, 0, 6},                                /* a closed cycle is not its own */
        {{.taken_us = T + H, .logged_us = T + H, .charged = &elsewhere}, 2, 0, 6}, /* another LIMIT was charged */
        {{.taken_us = T + H, .logged_us = T + H}, 2, 2, 4},
        {{.taken_us = T + H, .logged_us = T + H}, 9, 4, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t returned = meter_cycle.give_back(scale.position, rows[i].units, &rows[i].from, &none);
        if (returned != rows[i].returned) fail_msg("row %zu: %lld", i, (long long)returned);
        assert_int_equal(meter_cycle.used(scale.position), rows[i].used);
    }
    assert_int_equal(none.size, 0); /* the view says it all */
    scale_end(&scale);
    scale_at(&scale, &pair, T + H + S);
    assert_int_equal(meter_cycle.give_back_newest(scale.position, 2, &none), 2);
    struct taken_from before = {.taken_us = T + H, .logged_us = T + H};
    assert_int_equal(meter_cycle.give_back(scale.position, 9, &before, &none), 4); /* each unit once */
    scale_end(&scale);
    pair_end(&pair);
}

static void it_is_reported_with_its_cycle(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct scale scale;
    struct rule_report report;
    plan_set("pro", "a LIMIT 10 1h BURST 50");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    pair_reserve(&pair, "r", "a", 3, H, T);
    scale_at(&scale, &pair, T + S);
    meter_cycle.report(scale.position, &report);
    assert_int_equal(report.limit, 10); /* without what BURST lends */
    assert_int_equal(report.used, 4);
    assert_int_equal(report.held, 3);
    assert_int_equal(report.remaining, 8);
    assert_int_equal(report.start_us, T);
    assert_int_equal(report.end_us, T + H);
    scale_end(&scale);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_used_and_held_is_not_available),
        cmocka_unit_test(a_number_that_would_wrap_is_found_by_the_check),
        cmocka_unit_test(waits_are_those_that_trying_finds),
        cmocka_unit_test(a_grace_may_have_passed_by_then),
        cmocka_unit_test(reservations_may_end_after_the_grace),
        cmocka_unit_test(taking_counts_holding_shows_in_the_peak),
        cmocka_unit_test(only_the_cycle_that_was_charged_takes_back),
        cmocka_unit_test(it_is_reported_with_its_cycle),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

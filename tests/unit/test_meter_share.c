/* The meter of SHARE: what is left of a member's share, and beyond it. Pools as a whole are test_pool.c's. */
#include "account_tools.h"
#include "quota/meter/meter.h"

#define T at("2025-01-31T15:00:00")

static const struct {
    const char *plan;
    int64_t share, used, units;
    int64_t within, before_overage, available, wait_us;
} rows[] = {
    {"a LIMIT 90 day SHARE EQUAL", 30, 0, 30, 30, 30, 30, 0},
    {"a LIMIT 90 day SHARE EQUAL", 30, 28, 3, 2, 2, 2, D},
    {"a LIMIT 90 day SHARE EQUAL", 30, 35, 1, 0, 0, 0, D}, /* FORCE went beyond */
    {"a LIMIT 90 day SHARE EQUAL", 0, 0, 1, 0, 0, 0, D},
    {"a LIMIT 90 day SHARE EQUAL BURST 10", 30, 28, 5, 2, 5, 5, 0},
    {"a LIMIT 90 day SHARE EQUAL OVERAGE", 30, 28, 99, 2, 2, UNLIMITED, 0},
    {"a LIMIT 90 day SHARE EQUAL OVERAGE MAX 4", 30, 28, 7, 2, 2, 6, D},
    {"a LIMIT 90 day SHARE EQUAL GRACE 1h", 30, 28, 99, 2, UNLIMITED, UNLIMITED, 0},
    {"a LIMIT 90 day SHARE EQUAL", INT64_MAX, INT64_MAX, 1, 0, 0, 0, D},
};

static void what_is_left_of_a_share(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct look look;
        struct demand demand;
        struct verdict verdict = {0};
        plan_set("p", rows[i].plan);
        pair_open(&pair, "p", T);
        look_at(&look, pair.account, "a", T);
        demand_begin(&demand, &look.account, &look.view, 1);
        uint32_t before = demand.positions_count;
        demand_share(&demand, &look.view.windows[0], (struct bytes){"m", 1}, rows[i].share, rows[i].used);
        assert_int_equal(demand.positions_count, before + 1);
        const struct position *position = &demand.positions[before];
        assert_ptr_equal(position->meter, &meter_share);
        meter_share.judge(position, rows[i].units, &verdict);
        bool same = meter_share.within(position) == rows[i].within &&
                    meter_share.before_overage(position) == rows[i].before_overage &&
                    meter_share.available(position) == rows[i].available && verdict.wait_us == rows[i].wait_us &&
                    verdict.limit == rows[i].share && verdict.rule == SHARE_RULE;
        if (!same) fail_msg("row %zu", i);
        assert_int_equal(meter_share.check(position, 1) == ACCOUNT_FAULT_NONE, rows[i].used < INT64_MAX);
        look_end(&look);
        pair_end(&pair);
    }
}

/* Credits stand behind it: they pay for what it refuses. */
static void credits_stand_behind_it(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    struct demand demand;
    struct grant_request request = gift("g", 10);
    plan_set("p", "a LIMIT 90 day CREDITS");
    pair_open(&pair, "p", T);
    pair_grant(&pair, &request, T);
    look_at(&look, pair.account, "a", T);
    demand_begin(&demand, &look.account, &look.view, 1);
    demand_share(&demand, &look.view.windows[0], (struct bytes){"m", 1}, 30, 0);
    assert_ptr_equal(demand.positions[demand.positions_count - 2].meter, &meter_share);
    assert_true(demand.positions[demand.positions_count - 1].meter->funds);
    look_end(&look);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_of_a_share),
        cmocka_unit_test(credits_stand_behind_it),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

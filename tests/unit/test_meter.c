/* The table of meters, and what a demand is made of: one position for each LIMIT, one for all RATEs. */
#include "account_tools.h"
#include "quota/meter/meter.h"

#define T at("2025-01-31T15:00:00")

static void every_kind_of_rule_has_its_meter(void **state)
{
    (void)state;
    static const struct {
        enum quota_kind kind;
        const struct meter *meter;
        const char *name;
    } rows[] = {{QUOTA_LIMIT, &meter_cycle, "LIMIT"},
                {QUOTA_ROLLING, &meter_rolling, "ROLLING"},
                {QUOTA_RATE, &meter_rate, "RATE"},
                {QUOTA_CONCURRENT, &meter_concurrent, "CONCURRENT"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct meter *meter = meter_of(rows[i].kind);
        assert_ptr_equal(meter, rows[i].meter);
        assert_string_equal(meter->kind, rows[i].name);
        assert_false(meter->funds);
        /* what admission, refunds and reports need of every one of them */
        assert_true(meter->available && meter->check && meter->judge && meter->take && meter->report);
        /* nothing is ever used of CONCURRENT, so nothing comes back to it */
        bool used = meter->give_back && meter->give_back_newest && meter->used;
        assert_int_equal(used, rows[i].kind != QUOTA_CONCURRENT);
    }
}

static void a_demand_has_a_position_for_each_bound(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    struct demand demand;
    static const struct {
        const struct meter *meter;
        uint32_t rule;
    } wanted[] = {{&meter_cycle, 0}, {&meter_rate, 1}, {&meter_rolling, 2}, {&meter_cycle, 4}};
    plan_set("pro", "a LIMIT 10 1h RATE FIXED 5 1s LIMIT 7 ROLLING 1h RATE GCRA 9 1m LIMIT 50 day COST 2");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r", "a", 2, H, T);
    look_at(&look, pair.account, "a", T + S);
    demand_begin(&demand, &look.account, &look.view, 3);
    assert_int_equal(demand.positions_count, COUNT_OF(wanted));
    for (uint32_t i = 0; i < demand.positions_count; i++) {
        const struct position *position = &demand.positions[i];
        assert_ptr_equal(position->meter, wanted[i].meter);
        assert_ptr_equal(position->demand, &demand);
        assert_int_equal(position->rule, wanted[i].rule);
        assert_int_equal(position->number, wanted[i].rule);
        assert_int_equal(position->funded + position->returned, 0);
        assert_ptr_equal(position_rule(position), &look.view.entitlement->rules[wanted[i].rule]);
    }
    assert_int_equal(demand.rates.count, 2); /* checked together */
    assert_int_equal(demand.rates.places[0], 1);
    assert_int_equal(demand.rates.places[1], 3);
    assert_int_equal(demand.rates.rules[1].limit, 9);
    assert_int_equal(demand.amount, 3);
    assert_int_equal(demand.held, 4);
    assert_int_equal(demand.granted + demand.units + demand.limited, 0);
    assert_false(demand.holds || demand.taken);
    look_end(&look);
    pair_end(&pair);
}

/* CONCURRENT stands before what funds, and only where units are held. */
static void what_is_held_has_a_position_more(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    struct demand demand;
    static const struct meter *const wanted[] = {&meter_cycle, &meter_rate, &meter_concurrent, &meter_credits};
    struct grant_request request = {.id = BYTES("g"), .resource = BYTES("a"), .amount = 5, .effective_us = T};
    plan_set("pro", "a CONCURRENT 5 LIMIT 10 1h RATE FIXED 5 1s");
    pair_open(&pair, "pro", T);
    pair_grant(&pair, &request, T);
    look_at(&look, pair.account, "a", T + S);
    demand_begin(&demand, &look.account, &look.view, 3);
    assert_int_equal(demand.positions_count, COUNT_OF(wanted) - 1);
    demand_hold(&demand, T + H);
    assert_true(demand.holds);
    assert_int_equal(demand.positions_count, COUNT_OF(wanted));
    for (uint32_t i = 0; i < COUNT_OF(wanted); i++) assert_ptr_equal(demand.positions[i].meter, wanted[i]);
    assert_int_equal(demand.positions[2].number, 0);
    look_end(&look);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_rule_has_its_meter),
        cmocka_unit_test(a_demand_has_a_position_for_each_bound),
        cmocka_unit_test(what_is_held_has_a_position_more),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

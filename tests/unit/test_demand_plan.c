/* The plan of a demand: what the limits take, what sources pay for, and in which order. */
#include "admission_tools.h"
#include "quota/decide/admission_verdict.h"
#include "quota/decide/demand_plan.h"

static const struct {
    const char *plan;
    int64_t first, second; /* what is in the purses */
    enum request_mode mode;
    int64_t amount, granted, limited, from_first, from_second;
} funding_rows[] = {
    /* the limits have room: no source pays */
    {"a LIMIT 10 1h", 5, 5, MODE_ALL, 10, 10, 10, 0, 0},
    /* the rest is paid for, the first purse first */
    {"a LIMIT 10 1h", 5, 5, MODE_ALL, 13, 13, 10, 3, 0},
    {"a LIMIT 10 1h", 5, 5, MODE_ALL, 15, 15, 10, 5, 0},
    {"a LIMIT 10 1h", 5, 5, MODE_ALL, 18, 18, 10, 5, 3},
    {"a LIMIT 10 1h", 5, 5, MODE_ALL, 20, 20, 10, 5, 5},
    {"a LIMIT 10 1h", 5, UNLIMITED, MODE_ALL, 99, 99, 10, 5, 84},
    {"a LIMIT 10 1h LIMIT 4 2h", 5, 5, MODE_ALL, 9, 9, 4, 5, 0}, /* the tightest limit */
    {"a LIMIT 0 1h", 5, 5, MODE_ALL, 7, 7, 0, 5, 2},
    {"a LIMIT 10 ROLLING 1h", 5, 5, MODE_ALL, 13, 13, 10, 3, 0},
    /* together not enough: nothing at all */
    {"a LIMIT 10 1h", 5, 5, MODE_ALL, 21, 0, 0, 0, 0},
    /* as much as there is, in whole amounts */
    {"a LIMIT 10 1h", 5, 5, MODE_UPTO, 99, 20, 10, 5, 5},
    {"a LIMIT 10 1h COST 3", 5, 2, MODE_UPTO, 99, 5, 10, 5, 0},
    {"a LIMIT 10 1h COST 3", 5, 2, MODE_ALL, 6, 0, 0, 0, 0},
    /* rates have to admit all of it */
    {"a LIMIT 10 1h RATE FIXED 12 1s", 5, 5, MODE_ALL, 12, 12, 10, 2, 0},
    {"a LIMIT 10 1h RATE FIXED 12 1s", 5, 5, MODE_ALL, 13, 0, 0, 0, 0},
    {"a LIMIT 10 1h RATE FIXED 12 1s", 5, 5, MODE_UPTO, 99, 12, 10, 2, 0},
    /* a check takes nothing */
    {"a LIMIT 10 1h", 5, 5, MODE_PEEK, 13, 13, 10, 3, 0},
    /* what is forced is drawn from the same places first; the limits count what none of them has */
    {"a LIMIT 10 1h", 5, 5, MODE_FORCE, 13, 13, 10, 3, 0},
    {"a LIMIT 10 1h", 5, 5, MODE_FORCE, 23, 23, 13, 5, 5},
    /* BURST and OVERAGE let the limits take more, but only what the purses cannot pay */
    {"a LIMIT 10 1h BURST 20%", 5, 5, MODE_ALL, 13, 13, 10, 3, 0},
    {"a LIMIT 10 1h BURST 20%", 5, 5, MODE_ALL, 22, 22, 12, 5, 5},
    {"a LIMIT 10 1h BURST 20%", 5, 5, MODE_ALL, 23, 0, 0, 0, 0},
    {"a LIMIT 10 1h OVERAGE", 5, 5, MODE_ALL, 99, 99, 89, 5, 5},
    {"a LIMIT 10 1h OVERAGE MAX 2", 5, 5, MODE_ALL, 22, 22, 12, 5, 5},
    {"a LIMIT 10 1h OVERAGE MAX 2", 5, 5, MODE_ALL, 23, 0, 0, 0, 0},
    {"a CREDITS OVERAGE MAX 9", 5, 5, MODE_ALL, 11, 0, 0, 0, 0}, /* there is no cycle to count them in */
    /* CREDITS: without a LIMIT the purses alone pay; FIRST: before the limits do */
    {"a CREDITS", 5, 5, MODE_ALL, 8, 8, 0, 5, 3},
    {"a CREDITS", 5, 5, MODE_ALL, 11, 0, 0, 0, 0},
    {"a LIMIT 10 1h CREDITS FIRST", 5, 5, MODE_ALL, 8, 8, 0, 5, 3},
    {"a LIMIT 10 1h CREDITS FIRST", 5, 5, MODE_ALL, 18, 18, 8, 5, 5},
    {"a LIMIT 10 1h BURST 20% CREDITS FIRST", 5, 5, MODE_ALL, 22, 22, 12, 5, 5},
};

static void what_limits_cannot_take_is_funded_in_order(void **state)
{
    (void)state;
    const struct admission_item item = {0, 1};
    for (size_t i = 0; i < COUNT_OF(funding_rows); i++) {
        static struct side side;
        struct demand demand;
        struct verdict verdict;
        struct purse first = {funding_rows[i].first, 1000}, second = {funding_rows[i].second, 1000};
        side_open(&side, "pro", funding_rows[i].plan);
        side_begin(&side, "a", funding_rows[i].amount, T, &demand);
        uint32_t bounds = demand.positions_count;
        add_purse(&demand, &first);
        add_purse(&demand, &second);
        struct admission admission = {.demands = &demand, .count = 1, .mode = funding_rows[i].mode};
        assert_int_equal(admission_peek(&admission, &item, 1), ACCOUNT_FAULT_NONE);
        assert_int_equal(first.left, funding_rows[i].first); /* a peek pays nothing */
        assert_int_equal(admission.admitted, funding_rows[i].granted > 0);
        assert_int_equal(demand.granted, funding_rows[i].granted);
        bool takes = admission.admitted && funding_rows[i].mode != MODE_PEEK;
        if (admission.admitted) {
            if (demand.limited != funding_rows[i].limited)
                fail_msg("row %zu: limited %lld", i, (long long)demand.limited);
            assert_int_equal(demand.positions[bounds].funded, funding_rows[i].from_first);
            assert_int_equal(demand.positions[bounds + 1].funded, funding_rows[i].from_second);
            assert_int_equal(demand.units, demand.limited + funding_rows[i].from_first + funding_rows[i].from_second);
        }
        if (takes) assert_int_equal(admission_take(&admission), ACCOUNT_FAULT_NONE);
        admission_verdict(&admission, &item, &verdict);
        assert_int_equal(verdict.granted, funding_rows[i].granted);
        if ((verdict.wait_us == 0) != (funding_rows[i].granted > 0))
            fail_msg("row %zu: wait %lld", i, (long long)verdict.wait_us);
        side_end(&side, takes);
        assert_int_equal(used_of(&side.pair, "a", T), takes ? funding_rows[i].limited : 0);
        assert_int_equal(first.left, funding_rows[i].first - (takes ? funding_rows[i].from_first : 0));
        if (funding_rows[i].second != UNLIMITED) {
            assert_int_equal(second.left, funding_rows[i].second - (takes ? funding_rows[i].from_second : 0));
        }
        side_close(&side);
        plan_drop("pro");
    }
}

/* What there is before anything is planned: 4 units are used, and a purse has 5. */
static const struct {
    const char *plan;
    int64_t available, before_lane, within, remaining;
    bool limits, by_credits;
} what_rows[] = {
    {"a LIMIT 10 1h", 6, 6, 6, 11, true, false},
    {"a LIMIT 10 1h LIMIT 7 2h LIMIT 9 ROLLING 1h", 3, 3, 3, 8, true, false}, /* the tightest */
    {"a LIMIT -1 1h", UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED, true, false},
    {"a LIMIT 3 1h", 0, 0, 0, 5, true, false}, /* fewer than are used */
    /* what lets limits take more */
    {"a LIMIT 10 1h BURST 20%", 8, 8, 6, 13, true, false},
    {"a LIMIT 10 1h GRACE 1m", UNLIMITED, UNLIMITED, 6, UNLIMITED, true, false},
    {"a LIMIT 10 1h OVERAGE MAX 5", 11, 6, 6, 16, true, false},
    {"a LIMIT 10 1h BURST 20% OVERAGE MAX 5", 13, 8, 6, 18, true, false},
    {"a LIMIT 10 1h OVERAGE", UNLIMITED, 6, 6, UNLIMITED, true, false},
    /* nothing bounds, or credits alone do */
    {"a RATE FIXED 4 1s", UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED, false, false},
    {"a CREDITS", 0, 0, 0, 5, false, true},
    {"a CREDITS OVERAGE MAX 9", 0, 0, 0, 5, false, true},
    {"a CREDITS OVERAGE", UNLIMITED, 0, 0, UNLIMITED, false, false},
};

static void what_a_demand_has(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(what_rows); i++) {
        static struct side side;
        struct demand demand;
        struct purse purse = {5, 1000};
        side_open(&side, "pro", "a LIMIT 4 1h LIMIT 4 2h LIMIT 4 ROLLING 1h");
        pair_consume(&side.pair, "a", 4, T);
        plan_set_at("pro", what_rows[i].plan, T + S, APPLY_FULL);
        side_begin(&side, "a", 1, T + S, &demand);
        assert_int_equal(demand_has_credits(&demand), strstr(what_rows[i].plan, "CREDITS") != NULL);
        add_purse(&demand, &purse);
        bool same = demand_available(&demand) == what_rows[i].available &&
                    demand_available_within(&demand) == what_rows[i].within &&
                    demand_available_before_lane(&demand) == what_rows[i].before_lane && demand_funds(&demand) == 5 &&
                    demand_remaining(&demand) == what_rows[i].remaining &&
                    demand_has_limits(&demand) == what_rows[i].limits &&
                    demand_bound_by_credits(&demand) == what_rows[i].by_credits;
        if (!same) {
            fail_msg("row %zu: available %lld, before the lane %lld, within %lld, remaining %lld", i,
                     (long long)demand_available(&demand), (long long)demand_available_before_lane(&demand),
                     (long long)demand_available_within(&demand), (long long)demand_remaining(&demand));
        }
        demand.below = 3; /* accounts below could pay for so many, too */
        int64_t more = what_rows[i].remaining == UNLIMITED ? UNLIMITED : what_rows[i].remaining + 3;
        assert_int_equal(demand_remaining(&demand), more);
        side_end(&side, false);
        side_close(&side);
        plan_drop("pro");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_demand_has),
        cmocka_unit_test(what_limits_cannot_take_is_funded_in_order),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

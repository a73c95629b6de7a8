/* Verdicts of items, and waits: the rule that decides, what it has left, and how long until all rules admit. */
#include "admission_tools.h"
#include "quota/decide/admission_verdict.h"

/* ---- one demand ------------------------------------------------------------------------------------------ */

/* At T so many units are used, and at T + 1 s so many are wanted; 5 are granted where the resource has CREDITS. */
static const struct {
    const char *plan;
    int64_t used;
    enum request_mode mode;
    int64_t amount;
    struct verdict verdict;
} rows[] = {
    /* granted: the rule with the least left, of equal ones the first; times are those of that rule */
    {"a LIMIT 10 1h", 4, MODE_ALL, 1, {1, 10, 5, 0, H - S, 0}},
    {"a LIMIT 10 1h LIMIT 8 2h", 4, MODE_ALL, 1, {1, 8, 3, 0, 2 * H - S, 1}},
    {"a LIMIT 10 1h LIMIT 10 2h", 4, MODE_ALL, 1, {1, 10, 5, 0, H - S, 0}},
    {"a LIMIT 10 1h COST 3", 1, MODE_ALL, 2, {2, 10, 1, 0, H - S, 0}},
    {"a LIMIT -1 1h LIMIT 10 2h", 4, MODE_ALL, 1, {1, 10, 5, 0, 2 * H - S, 1}},
    /* denied: the rule with the longest wait */
    {"a LIMIT 10 1h", 4, MODE_ALL, 7, {0, 10, 6, H - S, H - S, 0}},
    {"a LIMIT 10 1h", 4, MODE_ALL, 11, {0, 10, 6, NEVER_US, H - S, 0}},
    {"a LIMIT 10 1h LIMIT 10 2h", 4, MODE_ALL, 7, {0, 10, 6, 2 * H - S, 2 * H - S, 1}},
    {"a LIMIT 9 1h LIMIT 12 2h", 4, MODE_ALL, 10, {0, 9, 5, NEVER_US, H - S, 0}},
    {"a LIMIT 10 1h COST 3", 2, MODE_ALL, 2, {0, 10, 4, H - S, H - S, 0}},
    /* UPTO waits for one amount, whatever was wanted */
    {"a LIMIT 10 1h", 10, MODE_UPTO, 99, {0, 10, 0, H - S, H - S, 0}},
    {"a LIMIT 10 1h COST 3", 3, MODE_UPTO, 99, {0, 10, 1, H - S, H - S, 0}},
    /* FORCE waits for nothing */
    {"a LIMIT 10 1h", 4, MODE_FORCE, 99, {99, 10, 0, 0, H - S, 0}},
    /* credits and limits pay together */
    {"a LIMIT 10 1h CREDITS", 4, MODE_ALL, 1, {1, 10, 10, 0, H - S, 0}},
    {"a LIMIT 10 1h CREDITS", 4, MODE_ALL, 11, {11, 5, 0, 0, NEVER_US, 1}},
    {"a LIMIT 10 1h CREDITS", 4, MODE_ALL, 12, {0, 10, 11, H - S, H - S, 0}},
    {"a LIMIT 10 1h CREDITS", 4, MODE_ALL, 16, {0, 10, 11, NEVER_US, H - S, 0}},
};

static void one_demand(void **state)
{
    (void)state;
    const struct admission_item item = {0, 1};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        static struct side side;
        struct demand demand;
        struct verdict verdict;
        side_open(&side, "pro", rows[i].plan);
        if (rows[i].used > 0) pair_consume(&side.pair, "a", rows[i].used, T);
        struct grant_request grant = gift("g", 5);
        if (strstr(rows[i].plan, "CREDITS")) pair_grant(&side.pair, &grant, T);
        side_begin(&side, "a", rows[i].amount, T + S, &demand);
        struct admission admission = {.demands = &demand, .count = 1, .mode = rows[i].mode};
        assert_int_equal(admission_peek(&admission, &item, 1), ACCOUNT_FAULT_NONE);
        bool takes = admission.admitted && rows[i].mode != MODE_PEEK;
        if (takes) assert_int_equal(admission_take(&admission), ACCOUNT_FAULT_NONE);
        admission_verdict(&admission, &item, &verdict);
        assert_verdict(i, verdict, rows[i].verdict);
        side_end(&side, takes);
        side_close(&side);
        plan_drop("pro");
    }
}

/* ---- the limits alone ------------------------------------------------------------------------------------ */

static void limits_admit_when_all_of_them_do(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        int64_t used, units, wait_us;
    } waits[] = {
        {"a LIMIT 10 1h", 4, 6, 0},
        {"a LIMIT 10 1h", 4, 7, H - S},
        {"a LIMIT 10 1h", 4, 11, NEVER_US},
        {"a LIMIT 10 1h LIMIT 12 2h", 4, 7, H - S},
        {"a LIMIT 10 1h LIMIT 12 2h", 4, 9, 2 * H - S},
        {"a RATE FIXED 4 1s", 4, 9, 0}, /* rates are no limits */
        {"a CREDITS", 0, 1, NEVER_US},  /* without a grant */
        {"a CREDITS", 0, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        static struct side side;
        struct demand demand;
        side_open(&side, "pro", waits[i].plan);
        if (waits[i].used > 0) pair_consume(&side.pair, "a", waits[i].used, T);
        side_begin(&side, "a", 1, T + S, &demand);
        int64_t wait_us = demand_limits_wait_us(&demand, waits[i].units);
        if (wait_us != waits[i].wait_us) fail_msg("row %zu: %lld", i, (long long)wait_us);
        side_end(&side, false);
        side_close(&side);
        plan_drop("pro");
    }
}

/* ---- a batch --------------------------------------------------------------------------------------------- */

/* Two items of two accounts: 5 units of the first one are used, and 10 of the second. Such are the waits of both once
 * the batch is denied. */
static void a_batch_waits_for_all_its_items(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        int64_t wait_us, wait_of_second_us;
    } batches[] = {
        {"a LIMIT 10 1h", "a LIMIT 10 2h", 0, 2 * H - S},    /* the first one fits */
        {"a LIMIT 4 1h", "a LIMIT 10 2h", H - S, 2 * H - S}, /* each has a wait of its own */
        {"a LIMIT 4 2h", "a LIMIT 10 1h", 2 * H - S, H - S},
        {"a LIMIT 4 1h GRACE 10s", "a LIMIT 10 1m", H - S, MICROS_PER_MINUTE - S}, /* too late for the grace */
        {"a LIMIT 4 1h GRACE 5m", "a LIMIT 10 1m", 0, MICROS_PER_MINUTE - S},      /* in time */
        {"a LIMIT 10 1h", "a LIMIT 0 2h", 0, NEVER_US},
    };
    const struct admission_item items[] = {{0, 1}, {1, 2}};
    for (size_t i = 0; i < COUNT_OF(batches); i++) {
        static struct side sides[2];
        struct demand demands[2];
        struct verdict verdicts[2];
        for (int k = 0; k < 2; k++) {
            side_open(&sides[k], k == 0 ? "one" : "two", k == 0 ? batches[i].first : batches[i].second);
            pair_request_one(&sides[k].pair, "a", k == 0 ? 5 : 10, MODE_FORCE, NULL, T);
            side_begin(&sides[k], "a", 1, T + S, &demands[k]);
        }
        struct admission admission = {.demands = demands, .count = 2, .mode = MODE_ALL};
        assert_int_equal(admission_peek(&admission, items, 2), ACCOUNT_FAULT_NONE);
        assert_false(admission.admitted);
        for (int k = 0; k < 2; k++) admission_verdict(&admission, &items[k], &verdicts[k]);
        admission_align_waits(&admission, items, 2, verdicts);
        if (verdicts[0].wait_us != batches[i].wait_us || verdicts[1].wait_us != batches[i].wait_of_second_us) {
            fail_msg("row %zu: %lld, %lld", i, (long long)verdicts[0].wait_us, (long long)verdicts[1].wait_us);
        }
        for (int k = 0; k < 2; k++) {
            assert_int_equal(admission_units(&admission, &demands[k]), 1);
            side_end(&sides[k], false);
            side_close(&sides[k]);
        }
        plan_drop("one");
        plan_drop("two");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_demand),
        cmocka_unit_test(limits_admit_when_all_of_them_do),
        cmocka_unit_test(a_batch_waits_for_all_its_items),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

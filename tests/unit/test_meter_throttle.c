/* The slow lane: what it takes of a request, verdicts and waits beside limits and credits, its row in INFO. */
#include "account_tools.h"
#include "quota/base/checked.h"
#include "quota/meter/meter.h"

#define T at("2025-01-31T15:00:00")
#define M (60 * S)

static const struct {
    const char *plan;
    int64_t credits, used, amount;
    struct verdict wanted;
} rows[] = {
    /* the limit has room; a part takes the lane; all of it does */
    {"a LIMIT 10 1h THROTTLE GCRA 4 1h", 0, 3, 5, {5, 10, 2, 0, H, 0}},
    {"a LIMIT 10 1h THROTTLE GCRA 4 1h", 0, 8, 5, {5, 4, 1, 0, 45 * M, 1}},
    {"a LIMIT 10 1h THROTTLE GCRA 4 1h", 0, 10, 4, {4, 4, 0, 0, H, 1}},
    /* denied: the lane admits sooner, the limit does, neither ever does */
    {"a LIMIT 10 1h THROTTLE GCRA 4 1h", 0, 12, 3, {0, 4, 2, 15 * M, 30 * M, 1}},
    {"a LIMIT 10 1h THROTTLE GCRA 4 1h", 0, 10, 5, {0, 10, 0, H, H, 0}},
    {"a LIMIT 10 1h THROTTLE GCRA 4 1h", 0, 0, 15, {0, 10, 10, NEVER_US, 0, 0}},
    /* the limit opens, and the lane takes what it lacks then: limit and lane in one request */
    {"a LIMIT 10 1h THROTTLE GCRA 4 3h", 0, 14, 12, {0, 10, 0, 90 * M, H, 0}},
    /* credits come before the lane, OVERAGE behind it */
    {"a LIMIT 10 1h CREDITS THROTTLE GCRA 4 1h", 3, 10, 5, {5, 4, 2, 0, 30 * M, 1}},
    {"a LIMIT 10 1h OVERAGE THROTTLE GCRA 4 1h", 0, 10, 5, {5, 4, 0, 0, H, 1}},
    {"a LIMIT 10 1h OVERAGE MAX 2 THROTTLE GCRA 4 1h", 0, 10, 4, {4, 4, 0, 0, H, 1}},
    {"a LIMIT 10 1h OVERAGE MAX 2 THROTTLE GCRA 4 1h", 0, 10, 5, {0, 12, 2, H, H, 0}}, /* four, then none more */
    /* a queue lets in what it has no place for, and says when to act */
    {"a LIMIT 10 1h THROTTLE QUEUE 1 1m BURST 2", 0, 12, 3, {3, 3, 0, 2 * M, 5 * M, 1}},
    /* unlimited, and none at all */
    {"a LIMIT 10 1h THROTTLE GCRA -1 1h", 0, 10, 99, {99, UNLIMITED, UNLIMITED, 0, 0, 1}},
    {"a LIMIT 10 1h THROTTLE GCRA 0 1h", 0, 10, 1, {0, 10, 0, H, H, 0}},
};

static void what_is_refused_takes_the_lane(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct grant_request request = gift("g", rows[i].credits);
        plan_set("pro", rows[i].plan);
        pair_open(&pair, "pro", T);
        if (rows[i].used > 0) assert_int_equal(pair_consume(&pair, "a", rows[i].used, T), rows[i].used);
        if (rows[i].credits > 0) pair_grant(&pair, &request, T);
        pair_consume(&pair, "a", rows[i].amount, T);
        struct verdict verdict = pair.decision.result.consumed.verdicts[0];
        assert_verdict(i, verdict, rows[i].wanted);
        if (verdict.granted == 0 && verdict.wait_us > 0) { /* the wait is kept */
            assert_int_equal(pair_consume(&pair, "a", rows[i].amount, T + verdict.wait_us - 1000), 0);
            assert_int_equal(pair_consume(&pair, "a", rows[i].amount, T + verdict.wait_us), rows[i].amount);
        }
        pair_end(&pair);
    }
    plan_drop("pro");
}

/* How much it takes: all that is wanted, what there is, or what is needed if it lets that in. */
static void it_takes_what_it_can(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        int64_t needed, most, wanted;
    } takes[] = {
        {"a LIMIT 1 1h", 1, 5, 0},
        {"a LIMIT 1 1h THROTTLE GCRA 4 1h", 0, 0, 0},
        {"a LIMIT 1 1h THROTTLE GCRA 4 1h", 2, 3, 3},
        {"a LIMIT 1 1h THROTTLE GCRA 4 1h", 2, 5, 4},
        {"a LIMIT 1 1h THROTTLE GCRA 4 1h", 5, 6, 4},
        {"a LIMIT 1 1h THROTTLE GCRA -1 1h", 5, 6, 6},
        {"a LIMIT 1 1h THROTTLE QUEUE 1 1h", 5, 6, 5},
    };
    for (size_t i = 0; i < COUNT_OF(takes); i++) {
        struct look look;
        struct demand demand;
        struct pair pair = {0};
        plan_set("pro", takes[i].plan);
        pair_open(&pair, "pro", T);
        look_at(&look, pair.account, "a", T);
        demand_begin(&demand, &look.account, &look.view, 1);
        if (throttle_takes(&demand, takes[i].needed, takes[i].most) != takes[i].wanted) fail_msg("row %zu", i);
        look_end(&look);
        pair_end(&pair);
    }
    plan_drop("pro");
}

static void it_is_a_row_of_its_own(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 1 1h RATE GCRA 9 1h THROTTLE GCRA 4 1h");
    pair_open(&pair, "pro", T);
    assert_int_equal(pair_consume(&pair, "a", 4, T), 4);
    struct rule_report rule = report_of(pair.account, "a", 2, T);
    assert_int_equal(rule.limit, 4);
    assert_int_equal(rule.used, 3);
    assert_int_equal(rule.remaining, 1);
    assert_int_equal(report_of(pair.account, "a", 1, T).used, 4);
    pair_end(&pair);
    plan_drop("pro");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_refused_takes_the_lane),
        cmocka_unit_test(it_takes_what_it_can),
        cmocka_unit_test(it_is_a_row_of_its_own),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Parts of a reservation on their way to their end: which cycles and grants they are posted to, and as how many. */
#include "account_tools.h"

#define T at("2025-01-31T15:00:00")

/* The cycle in which it was made has closed: each resource is posted there. */
static void late_posts_go_to_the_cycles_of_each(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 10 1h | b LIMIT 10 2h");
    for (int touched = 0; touched < 2; touched++) {
        struct pair pair = {0};
        pair_open(&pair, "pro", T);
        pair_reserve_all(&pair, "x", "a 4 | b 5", MODE_ALL, 3 * H, T);
        if (touched) pair_touch(&pair, T + H);
        pair_consume(&pair, "a", 1, T + H + S);
        pair_commit_all(&pair, "x", "3 2", false, T + H + 2 * S);
        assert_resolved(&pair, "3 1 9 | 2 3 8");
        assert_int_equal(used_of(&pair, "a", T + H + 2 * S), 1);
        assert_int_equal(used_of(&pair, "b", T + H + 2 * S), 2);
        pair_refund(&pair, "a", 3, "x", NULL, T + H + 3 * S);
        assert_refunded(&pair, "3 0 9");
        pair_refund(&pair, "b", 3, "x", NULL, T + H + 3 * S);
        assert_fault(&pair, ACCOUNT_FAULT_EXCEEDS);
        assert_int_equal(pair.decision.fault_limit, 2);
        pair_end(&pair);
    }
    configuration_end();
}

/* Grants pay for a part of one resource; the other has none. FORCE draws on them beyond what was held. */
static void credits_pay_for_a_part(void **state)
{
    (void)state;
    static const struct {
        const char *amounts, *answer;
        int64_t credits;
    } rows[] = {
        {"12 1", "12 3 8 | 1 1 9", 8}, /* 10 of the limit, 2 of the grant */
        {"10 1", "10 5 10 | 1 1 9", 10}, {"15 2", "15 0 5 | 2 0 8", 5},
        {"18 2", "18 0 2 | 2 0 8", 2},   /* 3 more of the grant */
        {"25 11", "25 0 0 | 11 0 0", 0}, /* and 5 more than there are */
        {"0 0", "0 15 20 | 0 2 10", 10},
    };
    plan_set("pro", "a LIMIT 10 1h CREDITS | b LIMIT 10 1h");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct grant_request request = gift("g", 10);
        pair_open(&pair, "pro", T);
        pair_grant(&pair, &request, T);
        pair_reserve_all(&pair, "x", "a 15 | b 2", MODE_ALL, H, T);
        assert_int_equal(credits_left(&pair, T), 5);
        pair_commit_all(&pair, "x", rows[i].amounts, true, T + S);
        assert_resolved(&pair, rows[i].answer);
        assert_int_equal(credits_left(&pair, T + S), rows[i].credits);
        pair_end(&pair);
    }
    configuration_end();
}

/* A plan without one of the resources: what is held of it is posted to its windows all the same. */
static void a_resource_may_leave_the_plan_meanwhile(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h | b LIMIT 10 1h");
    plan_set("less", "b LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_reserve_all(&pair, "x", "a 4 | b 5", MODE_ALL, H, T);
    pair_switch(&pair, "less", SWITCH_FULL, T + S);
    pair_commit_all(&pair, "x", "4 4", false, T + 2 * S);
    assert_resolved(&pair, "4 0 0 | 4 1 6");
    pair_end(&pair);
    configuration_end();
}

/* Rows that are counted AS one resource are posted to it as one; each answers for itself, and for what it leaves. */
static void rows_of_one_resource_are_posted_as_one(void **state)
{
    (void)state;
    static const struct {
        const char *amounts, *answer;
        int64_t used, credits;
    } rows[] = {
        {"2 1", "2 0 4 | 1 0 4", 5, 4}, /* 4 + 1 units, as they were held */
        {"1 1", "1 1 6 | 1 0 6", 3, 4}, /* the grant has paid for nothing held */
        {"3 1", "3 0 2 | 1 0 2", 5, 2}, /* one more of 2 units: no limit has room for it, so the grant pays */
        {"0 0", "0 2 9 | 0 1 9", 0, 4},
    };
    plan_set("pro", "large AS a COST 2 | small AS a | a LIMIT 5 1h CREDITS");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct grant_request request = gift("g", 4);
        pair_open(&pair, "pro", T);
        pair_grant(&pair, &request, T);
        pair_reserve_all(&pair, "x", "large 2 | small 1", MODE_ALL, H, T);
        pair_commit_all(&pair, "x", rows[i].amounts, true, T + S);
        assert_resolved(&pair, rows[i].answer);
        assert_int_equal(used_of(&pair, "a", T + S), rows[i].used);
        assert_int_equal(credits_left(&pair, T + S), rows[i].credits);
        pair_end(&pair);
    }
    configuration_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_posts_go_to_the_cycles_of_each),
        cmocka_unit_test(credits_pay_for_a_part),
        cmocka_unit_test(a_resource_may_leave_the_plan_meanwhile),
        cmocka_unit_test(rows_of_one_resource_are_posted_as_one),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

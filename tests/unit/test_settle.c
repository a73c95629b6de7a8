/* Settling: how much time has done, each reported once, and what is stored then. */
#include "account_tools.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

static int64_t settle(struct pair *pair, int64_t at_us)
{
    pair_settle(pair, at_us);
    return pair->decision.result.settled;
}

/* Reported once: at the same instant there is nothing more to write down. */
static void assert_settled(struct pair *pair, int64_t at_us, int64_t count)
{
    int64_t settled = settle(pair, at_us), again = settle(pair, at_us);
    if (settled != count || again != 0) fail_msg("%ld, then %ld, not %ld", settled, again, count);
    assert_int_equal(pair->decision.changes.size, 0);
}

static void cycles_that_were_used(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h LIMIT 30 day | b LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    assert_settled(&pair, T + 3 * H, 0); /* nothing was ever used */
    pair_consume(&pair, "a", 4, T + 3 * H);
    assert_settled(&pair, T + 4 * H - 1, 0);
    assert_settled(&pair, T + 4 * H, 1);
    assert_settled(&pair, T + 9 * H, 0); /* idle hours */
    pair_consume(&pair, "b", 10, T + 9 * H);
    pair_consume(&pair, "a", 1, T + 9 * H);
    assert_settled(&pair, T + 30 * H, 3); /* an hour of each, and the day */
    assert_settled(&pair, T + 90 * D, 0);
    pair_end(&pair);
}

static void overrides_suspensions_and_plans(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    plan_set("free", "a LIMIT 2 1h");
    pair_open_with(&pair, "pro", NOT_REQUESTED, NULL, T + 9 * H, T);
    pair_override(&pair, "a LIMIT 20 1h", T + H, T);
    assert_settled(&pair, T + H, 1);
    pair_suspend(&pair, H, T + H);
    assert_settled(&pair, T + 2 * H - 1, 0);
    assert_settled(&pair, T + 2 * H, 1);
    assert_int_equal(pair.account->state, ACCOUNT_ACTIVE);
    assert_settled(&pair, T + 9 * H, 1); /* into nothing */
    pair_end(&pair);

    host.default_plan = text_bytes("free");
    pair_open_with(&pair, "pro", NOT_REQUESTED, NULL, T + 9 * H, T);
    const struct switch_request request = {.plan = text_bytes("free"), .mode = SWITCH_FULL, .at_us = T + 2 * H};
    pair_move(&pair, &request, &(struct admin_action){.now_us = T});
    assert_settled(&pair, T + 20 * H, 2); /* the plan that was to come, and the end */
    assert_int_equal(pair.account->state, ACCOUNT_LAPSED);
    pair_end(&pair);
}

static void reservations(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 100 day | b LIMIT 100 day");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "one", "a", 3, H, T);
    pair_reserve_all(&pair, "both", "a 3 | b 5", MODE_ALL, H, T);
    pair_reserve(&pair, "later", "a", 1, 2 * H, T);
    assert_settled(&pair, T + H, 2);
    assert_settled(&pair, T + 2 * H, 1);
    assert_int_equal(account_holds(pair.account)->count, 0);
    pair_end(&pair);
}

/* All of them are reported at once; then one change follows another. */
static void more_reservations_than_one_change_sweeps(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 1000 day");
    pair_open(&pair, "pro", T);
    for (int i = 0; i < 2 * SWEEP_MAX + 5; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "hold-%d", i);
        pair_reserve(&pair, id, "a", 1, H, T);
    }
    assert_false(settle_remains(pair.account, T + H - 1));
    assert_int_equal(settle(&pair, T + H), 2 * SWEEP_MAX + 5);
    for (int left = SWEEP_MAX + 5; left > 0; left -= SWEEP_MAX) {
        assert_true(settle_remains(pair.account, T + H));
        assert_int_equal(account_holds(pair.account)->count, left);
        pair_settle(&pair, T + H);
    }
    assert_false(settle_remains(pair.account, T + H));
    pair_end(&pair);
}

static void grants(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 day OVERAGE CREDITS");
    pair_open(&pair, "pro", T);
    struct grant_request ending = gift("ending", 5), held = gift("held", 5), coming = gift("coming", 9);
    ending.expires = held.expires = (struct moment){.kind = MOMENT_INSTANT, .at_us = T + H};
    ending.priority = GRANT_PRIORITY_DEFAULT + 1;
    pair_grant(&pair, &ending, T);
    pair_grant(&pair, &held, T);
    pair_consume(&pair, "a", 10, T);
    pair_reserve(&pair, "r", "a", 2, 2 * H, T);
    assert_settled(&pair, T + H - 1, 0);
    assert_settled(&pair, T + H, 1);     /* the one that a reservation holds a part of stays */
    assert_settled(&pair, T + 2 * H, 2); /* the reservation, and the grant with it */
    assert_int_equal(account_grants(pair.account)->count, 0);

    coming.effective_us = T + 4 * H;
    pair_grant(&pair, &coming, T + 3 * H);
    pair_request_one(&pair, "a", 3, MODE_FORCE, NULL, T + 3 * H);
    assert_settled(&pair, T + 4 * H, 1); /* it pays for the three */
    assert_int_equal(credits_left(&pair, T + 4 * H), 6);
    assert_settled(&pair, T + 5 * H, 0);
    pair_void(&pair, "coming", T + 5 * H);
    assert_settled(&pair, T + 6 * H, 0); /* that was an operator, and no matter of time */
    pair_end(&pair);
}

static void what_cannot_be_settled(void **state)
{
    (void)state;
    struct account_decision decision;
    settle_decide(NULL, &host, T, &decision);
    assert_int_equal(decision.fault, ACCOUNT_FAULT_MISSING);
    account_decision_end(&decision);

    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    pair_state(&pair, ACCOUNT_CLOSED, T);
    assert_settled(&pair, T + H, 1); /* cycles of a closed account end, too */
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cycles_that_were_used),
        cmocka_unit_test(overrides_suspensions_and_plans),
        cmocka_unit_test(reservations),
        cmocka_unit_test(more_reservations_than_one_change_sweeps),
        cmocka_unit_test(grants),
        cmocka_unit_test(what_cannot_be_settled),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* What comes back of one resource: what is left is named by the answer, and never more than was taken. Refunds as a
 * whole are test_refund.c's. */
#include "account_tools.h"
#include "quota/decide/returning.h"

#define T (INT64_C(1000000000) * S)

/* A refund of `amount` of "a" on its way, its resource as of now. */
static void begin(struct pair *pair, struct account_view *view, struct refund *refund, struct refund_request *request,
                  struct refunded *result)
{
    assert_int_equal(account_view_begin(view, pair->account, &host, T), ACCOUNT_FAULT_NONE);
    account_decision_end(&pair->decision);
    account_decision_begin(&pair->decision);
    refund->request = request;
    refund->account = view;
    refund->decision = &pair->decision;
    refund->resource = BYTES("a");
    refund->amount = request->amount;
    refund->is_other = false;
    refund->result = result;
    *result = (struct refunded){0, 0, 0};
    resource_view_begin(view, refund->resource, &refund->view);
    assert_int_equal(returning_settle(refund, &pair->decision.changes), ACCOUNT_FAULT_NONE);
}

static void the_newest_units_come_back_as_far_as_they_are_used(void **state)
{
    (void)state;
    static const struct {
        int64_t used, amount, refunded, lost, remaining;
    } rows[] = {{5, 3, 3, 0, 8}, {5, 9, 5, 4, 10}, {0, 1, 0, 1, 10}, {12, 2, 2, 0, 0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct account_view view;
        struct refund refund;
        struct refunded result;
        struct refund_request request = {.resource = BYTES("a"), .amount = rows[i].amount, .now_us = T};
        plan_set("p", "a LIMIT 10 day LIMIT 100 month");
        pair_open(&pair, "p", T);
        if (rows[i].used > 0) pair_request_one(&pair, "a", rows[i].used, MODE_FORCE, NULL, T);
        begin(&pair, &view, &refund, &request, &result);
        assert_int_equal(returning_newest(&refund, request.amount), ACCOUNT_FAULT_NONE);
        bool same = result.refunded == rows[i].refunded && result.lost == rows[i].lost &&
                    result.remaining == rows[i].remaining && returning_remaining(&refund) == rows[i].remaining;
        if (!same) fail_msg("row %zu", i);
        account_view_end(&view);
        pair_end(&pair);
    }
}

static void what_was_taken_comes_back_to_where_it_was(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct account_view view;
    struct refund refund;
    struct refunded result;
    struct taken taken;
    struct refund_request request = {.resource = BYTES("a"), .amount = 4, .of = BYTES("x"), .now_us = T};
    plan_set("p", "a LIMIT 10 day");
    pair_open(&pair, "p", T);
    pair_request_one(&pair, "a", 6, MODE_ALL, "x", T);
    begin(&pair, &view, &refund, &request, &result);
    assert_true(taken_find(&view, 0, BYTES("x"), &taken));
    assert_int_equal(returning_taken(&refund, &taken), ACCOUNT_FAULT_NONE);
    assert_int_equal(result.refunded, 4);
    assert_int_equal(result.remaining, 8);
    account_view_end(&view);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_units_come_back_as_far_as_they_are_used),
        cmocka_unit_test(what_was_taken_comes_back_to_where_it_was),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

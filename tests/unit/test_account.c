/* Accounts: what they keep in which place; the commands themselves are tested beside. */
#include "account_tools.h"

#define T at("2025-01-31T15:00:00")

static void a_plain_window_needs_no_more_than_its_place(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    assert_null(pair.account->slots[0].windows[0].optional);
    assert_null(pair.account->slots[0].optional);
    assert_null(pair.account->optional);
    size_t bytes = account_bytes(pair.account);
    pair_refund(&pair, "a", 1, NULL, NULL, T);
    assert_non_null(pair.account->slots[0].windows[0].optional);
    assert_true(account_bytes(pair.account) > bytes);
    assert_int_equal(slot_window(&pair.account->slots[0], 0).refunded, 1);
    pair_end(&pair);
}

static void slots_are_numbered_as_they_come(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h | b LIMIT 10 1h | c LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "c", 1, T);
    pair_consume(&pair, "a", 1, T);
    assert_int_equal(account_slot(pair.account, BYTES("c")), 0);
    assert_int_equal(account_slot(pair.account, BYTES("a")), 1);
    assert_int_equal(account_slot(pair.account, BYTES("b")), -1);
    assert_int_equal(account_slot(NULL, BYTES("a")), -1);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_window_needs_no_more_than_its_place),
        cmocka_unit_test(slots_are_numbered_as_they_come),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

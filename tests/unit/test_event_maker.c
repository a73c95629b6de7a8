/* Which events a decision makes: one for each cause, none for what changes nothing. Every test of accounts compares the
 * events of the account with those of its twin, which gets the effects (account_tools.c). */
#include "account_tools.h"

#define T (D * 400)

static void reservations_expire_once(void **state)
{
    (void)state;
    struct pair pair = pair_opened("a LIMIT 9 day", T);
    pair_reserve(&pair, "one", "a", 2, H, T + 1);
    assert_happened(&pair, "");
    pair_reserve(&pair, "two", "a", 3, 2 * H, T + 2);
    pair_commit(&pair, "two", 3, T + 3);
    assert_happened(&pair, "");
    pair_consume(&pair, "a", 1, T + 2 * H);
    assert_happened(&pair, "hold.expired a one 2");
    pair_consume(&pair, "a", 1, T + 5 * H);
    assert_happened(&pair, "");
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reservations_expire_once),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Events of the account itself: what operators and time do to it, and its API keys. */
#include "account_tools.h"

#define T (D * 400)

static void what_happens_to_an_account(void **state)
{
    (void)state;
    struct pair pair = pair_opened("a LIMIT 5 month", T);
    plan_set("max", "a LIMIT 50 month");
    pair_open(&pair, "pro", T + 1);
    assert_happened(&pair, ""); /* it is open */
    pair_state(&pair, ACCOUNT_SUSPENDED, T + 2);
    assert_happened(&pair, "account.suspended");
    pair_state(&pair, ACCOUNT_ACTIVE, T + 3);
    assert_happened(&pair, "account.resumed");
    pair_suspend(&pair, H, T + 4);
    assert_happened(&pair, "account.suspended");
    pair_consume(&pair, "a", 1, T + 2 * H);
    assert_happened(&pair, "account.resumed");
    pair_switch(&pair, "max", SWITCH_FULL, T + 3 * H);
    assert_happened(&pair, "account.switched pro>max");
    pair_switch(&pair, "pro", SWITCH_END, T + 4 * H);
    assert_happened(&pair, "account.switched max>pro"); /* announced */
    pair_consume(&pair, "a", 1, T + 40 * D);
    assert_happened(&pair, "account.switched max>pro | cycle.closed a");
    pair_reset(&pair, "a", T + 40 * D + 1);
    assert_happened(&pair, "usage.reset a");
    pair_state(&pair, ACCOUNT_CLOSED, T + 41 * D);
    assert_happened(&pair, "account.closed");
    pair_open(&pair, "pro", T + 42 * D);
    assert_happened(&pair, "account.opened");
    pair_end(&pair);
}

static void an_account_that_expires_lapses(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 5 month");
    plan_set("free", "a LIMIT 1 month");
    host.default_plan = BYTES("free");
    pair_open_with(&pair, "pro", T, NULL, T + H, T);
    assert_happened(&pair, "account.opened");
    pair_consume(&pair, "a", 1, T + 2 * H);
    assert_happened(&pair, "account.lapsed pro>free | limit.exhausted a");
    pair_end(&pair);
}

static void keys_come_and_go(void **state)
{
    (void)state;
    struct pair pair = pair_opened("a LIMIT 1 day", T);
    struct api_key_request request = {.digest = BYTES("0123456789abcdef0123456789abcdef"),
                                      .name = BYTES(""),
                                      .scopes = BYTES(""),
                                      .rules = BYTES("")};
    pair_key_set(&pair, &request, T + 1);
    assert_happened(&pair, "key.created 30313233");
    pair_key_set(&pair, &request, T + 2);
    assert_happened(&pair, ""); /* it is known */
    pair_key_rotate(&pair, "30313233", BYTES("fedcba9876543210fedcba9876543210"), 0, T + 3);
    assert_happened(&pair, "key.rotated 30313233 >66656463");
    pair_key_revoke(&pair, "66656463", T + 4);
    assert_happened(&pair, "key.revoked 66656463");
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_happens_to_an_account),
        cmocka_unit_test(an_account_that_expires_lapses),
        cmocka_unit_test(keys_come_and_go),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Which events a decision makes: one for each cause, none for what changes nothing. Every test of accounts compares the
 * events of the account with those of its twin, which gets the effects (account_tools.c). */
#include "account_tools.h"

#define T (D * 400)

static struct pair open_pair(const char *rules)
{
    struct pair pair = {0};
    plan_set("pro", rules);
    pair_open(&pair, "pro", T);
    assert_happened(&pair, "account.opened");
    return pair;
}

static void thresholds_fire_once_in_a_cycle(void **state)
{
    (void)state;
    struct pair pair = open_pair("a LIMIT 10 day WARN 50% 80% 100%");
    static const struct {
        int64_t amount;
        const char *happened;
    } rows[] = {{4, ""},
                {1, "limit.warned a 50"},
                {1, ""},
                {4, "limit.warned a 80 | limit.warned a 100 | limit.exhausted a"},
                {1, ""}}; /* denied */
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        pair_request_one(&pair, "a", rows[i].amount, MODE_ALL, NULL, T + (int64_t)i);
        assert_happened(&pair, rows[i].happened);
    }
    pair_request_one(&pair, "a", 3, MODE_FORCE, NULL, T + 10);
    assert_happened(&pair, ""); /* it was spent before */
    pair_refund(&pair, "a", 5, NULL, NULL, T + 11);
    assert_happened(&pair, "usage.refunded a 5");
    pair_request_one(&pair, "a", 2, MODE_ALL, NULL, T + 12);
    assert_happened(&pair, "limit.exhausted a"); /* a second time; its warnings have fired */
    pair_request_one(&pair, "a", 5, MODE_ALL, NULL, T + D + 1);
    assert_happened(&pair, "cycle.closed a | limit.warned a 50");
    pair_end(&pair);
}

static void a_plain_count_meets_its_limit(void **state)
{
    (void)state;
    struct pair pair = open_pair("a LIMIT 5 day LIMIT 8 2day | b LIMIT -1 day");
    pair_consume(&pair, "a", 4, T + 1);
    assert_happened(&pair, "");
    pair_consume(&pair, "a", 1, T + 2);
    assert_happened(&pair, "limit.exhausted a");
    pair_consume(&pair, "a", 3, T + D + 1);
    assert_happened(&pair, "cycle.closed a | limit.exhausted a"); /* of two days */
    pair_consume(&pair, "b", 1000, T + D + 2);
    assert_happened(&pair, "");
    pair_end(&pair);
}

static void the_limit_of_an_override_counts(void **state)
{
    (void)state;
    struct pair pair = open_pair("a LIMIT 5 day");
    pair_override(&pair, "a LIMIT 7 day", T + H, T + 1);
    assert_happened(&pair, "override.set a");
    pair_consume(&pair, "a", 5, T + 2);
    assert_happened(&pair, "");
    pair_consume(&pair, "a", 2, T + 3);
    assert_happened(&pair, "limit.exhausted a");
    pair_set(&pair, "a", 1, T + 4);
    assert_happened(&pair, "usage.set a 7>1");
    pair_consume(&pair, "a", 4, T + 2 * H);
    assert_happened(&pair, "override.ended a | limit.exhausted a");
    pair_override(&pair, "a LIMIT 7 day", 0, T + 3 * H);
    assert_happened(&pair, "override.set a");
    pair_override(&pair, "a", 0, T + 4 * H);
    assert_happened(&pair, "override.ended a");
    pair_end(&pair);
}

static void what_happens_to_an_account(void **state)
{
    (void)state;
    struct pair pair = open_pair("a LIMIT 5 month");
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

static void reservations_expire_once(void **state)
{
    (void)state;
    struct pair pair = open_pair("a LIMIT 9 day");
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

static void a_late_posting_amends_its_cycle(void **state)
{
    (void)state;
    struct pair pair = open_pair("a LIMIT 9 day");
    pair_consume(&pair, "a", 1, T + 1);
    pair_reserve(&pair, "late", "a", 2, 2 * D, T + 2);
    pair_consume(&pair, "a", 1, T + D + 1);
    assert_happened(&pair, "cycle.closed a");
    pair_commit(&pair, "late", 2, T + D + 2);
    assert_happened(&pair, "cycle.amended a 1>3");
    pair_consume(&pair, "a", 1, T + 9 * D);
    assert_happened(&pair, "cycle.closed a"); /* the idle ones make none */
    pair_end(&pair);
}

static void grants_come_and_go(void **state)
{
    (void)state;
    struct pair pair = open_pair("a LIMIT 1 day OVERAGE CREDITS");
    struct grant_request gone = gift("gone", 5), over = gift("over", 5), void_one = gift("void", 5);
    pair_grant(&pair, &gone, T + 1);
    assert_happened(&pair, "grant.given a gone 5");
    pair_grant(&pair, &gone, T + 2);
    assert_happened(&pair, ""); /* a replay */
    pair_consume(&pair, "a", 6, T + 3);
    assert_happened(&pair, "limit.exhausted a | grant.exhausted a gone");
    pair_consume(&pair, "a", 2, T + 4);
    assert_happened(&pair, "");
    over.expires = (struct moment){.kind = MOMENT_INSTANT, .at_us = T + H};
    pair_grant(&pair, &over, T + 5);
    assert_happened(&pair, "grant.given a over 5 | grant.absorbed a over 2");
    pair_grant(&pair, &void_one, T + 6);
    pair_void(&pair, "void", T + 7);
    assert_happened(&pair, "grant.voided a void 5");
    pair_state(&pair, ACCOUNT_SUSPENDED, T + 2 * H);
    assert_happened(&pair, "grant.ended a over 3 | account.suspended");
    pair_state(&pair, ACCOUNT_ACTIVE, T + 3 * H);
    assert_happened(&pair, "account.resumed");
    pair_end(&pair);
}

static void credits_become_few(void **state)
{
    (void)state;
    struct pair pair = open_pair("a CREDITS LOW 3 WARN 50%");
    struct grant_request ten = gift("ten", 10), later = gift("later", 4), more = gift("more", 10);
    pair_grant(&pair, &ten, T + 1);
    pair_consume(&pair, "a", 4, T + 2);
    assert_happened(&pair, "");
    pair_reserve(&pair, "r", "a", 2, H, T + 3); /* 4 are free */
    assert_happened(&pair, "limit.warned a 50");
    pair_commit(&pair, "r", 2, T + 4); /* they were held */
    assert_happened(&pair, "");
    pair_consume(&pair, "a", 1, T + 5);
    assert_happened(&pair, "credits.low a");
    pair_consume(&pair, "a", 1, T + 6);
    assert_happened(&pair, "");
    pair_grant(&pair, &more, T + 7); /* 12 of 20 */
    pair_consume(&pair, "a", 8, T + 8);
    assert_happened(&pair, "grant.exhausted a ten | limit.warned a 50");
    pair_consume(&pair, "a", 1, T + 9);
    assert_happened(&pair, "credits.low a"); /* it was above */
    later.expires = (struct moment){.kind = MOMENT_INSTANT, .at_us = T + H};
    pair_grant(&pair, &later, T + 10);
    assert_happened(&pair, "grant.given a later 4");
    pair_state(&pair, ACCOUNT_SUSPENDED, T + 2 * H); /* 7 were free, 3 are */
    assert_happened(&pair, "grant.ended a later 4 | account.suspended | credits.low a");
    pair_end(&pair);
}

static void keys_come_and_go(void **state)
{
    (void)state;
    struct pair pair = open_pair("a LIMIT 1 day");
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
        cmocka_unit_test(thresholds_fire_once_in_a_cycle),
        cmocka_unit_test(a_plain_count_meets_its_limit),
        cmocka_unit_test(the_limit_of_an_override_counts),
        cmocka_unit_test(what_happens_to_an_account),
        cmocka_unit_test(an_account_that_expires_lapses),
        cmocka_unit_test(reservations_expire_once),
        cmocka_unit_test(a_late_posting_amends_its_cycle),
        cmocka_unit_test(grants_come_and_go),
        cmocka_unit_test(credits_become_few),
        cmocka_unit_test(keys_come_and_go),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

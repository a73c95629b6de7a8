/* Events of credits: grants, and credits that become few. */
#include "account_tools.h"
#include <stdio.h>

#define T (D * 400)

static void grants_come_and_go(void **state)
{
    (void)state;
    struct pair pair = pair_opened("a LIMIT 1 day OVERAGE CREDITS", T);
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
    struct pair pair = pair_opened("a CREDITS LOW 3 WARN 50%", T);
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

/* Credits that come while nothing is written are there before the request spends them: as if the account had been
 * settled then. */
static void credits_that_renew_become_few_again(void **state)
{
    (void)state;
    const struct period day = {.unit = PERIOD_DAY, .count = 1};
    static const char *const renewals[] = {"recurs", "begins", "is given back", "is given back, and swept"};
    for (size_t i = 0; i < COUNT_OF(renewals); i++) {
        for (int settled = 0; settled < 2; settled++) {
            struct pair pair = pair_opened("a CREDITS LOW 3 WARN 50%", T);
            struct grant_request first = gift("first", 10), second = gift("second", 10);
            if (i == 0) first.every = period_code(&day);
            pair_grant(&pair, &first, T);
            second.effective_us = T + D;
            if (i == 1) pair_grant(&pair, &second, T);
            if (i < 2) pair_consume(&pair, "a", 9, T + 1);
            if (i >= 2) pair_reserve(&pair, "h", "a", 9, i == 2 ? D : H, T + 1);
            assert_happened(&pair, "limit.warned a 50 | credits.low a");
            if (settled) pair_settle(&pair, T + D + 1);
            pair_consume(&pair, "a", i == 1 ? 9 : 8, T + D + 2);
            const char *ended = settled || i < 2 ? "" : "hold.expired a h 9 | ";
            char wanted[100];
            (void)snprintf(wanted, sizeof(wanted), "%s%slimit.warned a 50 | credits.low a", ended,
                           i == 1 ? "grant.exhausted a first | " : "");
            assert_happened(&pair, wanted);
            pair_end(&pair);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_come_and_go),
        cmocka_unit_test(credits_become_few),
        cmocka_unit_test(credits_that_renew_become_few_again),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

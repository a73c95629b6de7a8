/* Waits of accounts that have credits: after the wait the same request is admitted, and not a microsecond earlier. */
#include "account_tools.h"
#include "quota/base/checked.h"
#include "quota/decide/foresight.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

static struct verdict check(const struct pair *pair, int64_t units, int64_t at_us)
{
    struct consume_item item = {BYTES("a"), units};
    struct consume_request request = {.items = &item, .count = 1, .mode = MODE_PEEK, .now_us = at_us};
    struct account_decision decision;
    consume_decide(pair->account, &host, &request, &decision);
    assert_int_equal(decision.fault, ACCOUNT_FAULT_NONE);
    struct verdict verdict = decision.result.consumed.verdicts[0];
    account_decision_end(&decision);
    return verdict;
}

static void assert_kept(const struct pair *pair, int64_t units, int64_t now_us)
{
    struct verdict verdict = check(pair, units, now_us);
    if (verdict.granted > 0) return;
    if (verdict.wait_us == NEVER_US) {
        for (int64_t day = 1; day < 40; day++) assert_int_equal(check(pair, units, now_us + day * D).granted, 0);
        return;
    }
    assert_true(verdict.wait_us > 0);
    if (check(pair, units, now_us + verdict.wait_us).granted == 0)
        fail_msg("%lld units are not admitted after %lld us", (long long)units, (long long)verdict.wait_us);
    if (check(pair, units, now_us + verdict.wait_us - MICROS_PER_MILLI).granted > 0)
        fail_msg("%lld units are admitted a millisecond before %lld us", (long long)units, (long long)verdict.wait_us);
}

/* ---- one after another ----------------------------------------------------------------------------------- */

static void waits_foresee_what_comes(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        int64_t used, amount, effective_h, expires_h, units, wait_h; /* hours from T; -1 = never, or no such instant */
    } rows[] = {
        /* the grant begins, and pays with what the limit has left */
        {"a LIMIT 10 day", 6, 5, 3, -1, 9, 3},
        /* it ends before: the cycle's end is waited for */
        {"a LIMIT 10 day", 6, 5, 3, 4, 10, 24},
        /* the limit and the grant together, after the cycle's end */
        {"a LIMIT 10 day", 6, 5, 3, -1, 15, 24},
        {"a LIMIT 10 day", 6, 5, 30, -1, 15, 30},
        /* never that many */
        {"a LIMIT 10 day", 6, 5, 3, -1, 16, -1},
        {"a LIMIT 10 day", 0, 5, 3, 20, 16, -1},
        /* grants alone */
        {"a CREDITS", 0, 5, 3, -1, 5, 3},
        {"a CREDITS", 0, 5, 3, -1, 6, -1},
        /* what is over when it begins is paid for first */
        {"a LIMIT 10 day", 12, 5, 3, -1, 3, 3},
        {"a LIMIT 10 day", 12, 5, 3, -1, 4, 24},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct grant_request request = gift("g", rows[i].amount);
        plan_set("pro", rows[i].plan);
        pair_open(&pair, "pro", T);
        if (rows[i].used > 0) pair_request_one(&pair, "a", rows[i].used, MODE_FORCE, NULL, T);
        request.effective_us = T + rows[i].effective_h * H;
        if (rows[i].expires_h >= 0)
            request.expires = (struct moment){.kind = MOMENT_INSTANT, .at_us = T + rows[i].expires_h * H};
        pair_grant(&pair, &request, T);
        int64_t wait_us = check(&pair, rows[i].units, T).wait_us;
        int64_t wanted = rows[i].wait_h < 0 ? NEVER_US : rows[i].wait_h * H;
        if (wait_us != wanted) fail_msg("row %zu waits %lld us", i, (long long)wait_us);
        assert_kept(&pair, rows[i].units, T);
        pair_end(&pair);
    }
    plan_drop("pro");
}

/* A limit is free less than a millisecond before a grant ends: the client, which comes later, gets another moment. */
static void a_client_waits_whole_milliseconds(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct grant_request request = gift("g", 5);
    int64_t late_us = T + 999;
    request.expires = (struct moment){.kind = MOMENT_INSTANT, .at_us = T + 24 * H + 999};
    plan_set("pro", "a LIMIT 10 day");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", 8, MODE_FORCE, NULL, T);
    pair_grant(&pair, &request, T);
    assert_int_equal(check(&pair, 12, T).wait_us, 24 * H);
    assert_int_equal(check(&pair, 12, late_us).wait_us, NEVER_US);
    assert_int_equal(check(&pair, 10, late_us).wait_us, 24 * H);
    assert_int_equal(check(&pair, 12, late_us + 1).wait_us, 24 * H - 1000);
    pair_end(&pair);
    plan_drop("pro");
}

/* Beyond so many changes the last one's instant is reported: early perhaps, never late. */
static void only_so_many_changes_are_looked_at(void **state)
{
    (void)state;
    struct pair pair = {0};
    char id[16];
    plan_set("pro", "a CREDITS");
    pair_open(&pair, "pro", T);
    for (int i = 1; i <= 2 * CHANGES_AHEAD_MAX; i++) {
        snprintf(id, sizeof(id), "g%d", i);
        struct grant_request request = gift(id, 1);
        request.effective_us = T + i * H;
        pair_grant(&pair, &request, T);
    }
    assert_int_equal(check(&pair, 60, T).wait_us, 60 * H);
    assert_true(check(&pair, 100, T).wait_us <= 100 * H);
    assert_int_equal(check(&pair, 100, T + 90 * H).wait_us, 10 * H);
    assert_int_equal(check(&pair, 1000, T).wait_us, NEVER_US);
    pair_end(&pair);
    plan_drop("pro");
}

/* ---- at random ------------------------------------------------------------------------------------------- */

static void give_some(struct pair *pair, int number, int64_t now_us)
{
    static char ids[40][16];
    struct period hours = {0};
    assert_true(period_parse(BYTES("hour"), &hours));
    hours.count *= random_between(6, 9);
    snprintf(ids[number], sizeof(ids[number]), "g%d", number);
    struct grant_request request = gift(ids[number], random_between(1, 20));
    if (random_below(2)) request.effective_us = now_us + random_between(0, 40) * H;
    if (random_below(2))
        request.expires = (struct moment){.kind = MOMENT_DURATION, .after_us = random_between(1, 50) * H};
    /* It ends, so that no wait looks at more changes than the bound. */
    bool ends = request.expires.kind != MOMENT_NONE;
    if (ends && random_below(2)) request.every = period_code(&hours);
    pair_grant(pair, &request, now_us);
}

static void every_wait_is_kept(void **state)
{
    (void)state;
    static const char *const plans[] = {
        "a LIMIT 10 day",           "a LIMIT 10 12h LIMIT 14 day",  "a CREDITS",
        "a LIMIT 10 day BURST 50%", "a LIMIT 8 6h REPAY BURST 50%", "a LIMIT 5 6h CREDITS FIRST",
        "a LIMIT 9 ROLLING 7h",     "a LIMIT 10 day RATE 3 1h",     "a CREDITS RATE TOKEN 5 2h"};
    for (int run = 0; run < 270; run++) {
        static char ids[40][8];
        struct pair pair = {0};
        int64_t now_us = T;
        int given = 0;
        plan_set("pro", plans[(size_t)run % COUNT_OF(plans)]);
        pair_open(&pair, "pro", T);
        for (int step = 0; step < 40; step++) {
            int64_t units = random_between(1, 15);
            now_us += random_below(2) ? random_between(0, 5) * H + random_between(0, 3) : 0;
            snprintf(ids[step], sizeof(ids[step]), "i%d", step);
            switch (random_below(6)) {
            case 0: give_some(&pair, given++, now_us); break;
            case 1: pair_request_one(&pair, "a", units, random_below(4) ? MODE_UPTO : MODE_FORCE, NULL, now_us); break;
            case 2: pair_reserve(&pair, ids[step], "a", units, random_between(1, 9) * H, now_us); break;
            default: assert_kept(&pair, units, now_us);
            }
        }
        pair_end(&pair);
    }
    plan_drop("pro");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_foresee_what_comes),
        cmocka_unit_test(a_client_waits_whole_milliseconds),
        cmocka_unit_test(only_so_many_changes_are_looked_at),
        cmocka_unit_test(every_wait_is_kept),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

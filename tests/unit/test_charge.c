/* Charges: who decides, waits to the microsecond, reports. A wait that was told is kept: not earlier, then really. */
#include "account_tools.h"
#include "quota/base/checked.h"
#include "quota/rate/sliding_log.h"

#define T at("2025-01-31T15:00:00")

/* A rolling window, a limit, a rate: denials by the longest wait, grants by the least that remains. */
static void the_rule_that_decides(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t used, amount, wait_us;
        int32_t rule;
    } rows[] = {
        {"a LIMIT 10 1h LIMIT 10 ROLLING 2h RATE FIXED 10 1s", 10, 1, 2 * H, 1},
        {"a LIMIT 10 3h LIMIT 10 ROLLING 2h RATE FIXED 10 1s", 10, 1, 3 * H, 0},
        {"a LIMIT 10 1h LIMIT 10 ROLLING 2h RATE FIXED 10 4h FIRST", 10, 1, 4 * H, 2},
        {"a LIMIT 10 1h LIMIT 10 forever", 10, 1, NEVER_US, 1},
        {"a LIMIT 10 1h LIMIT 12 ROLLING 1h RATE FIXED 14 1h FIRST", 10, 13, NEVER_US, 0},
        {"a LIMIT 10 1h LIMIT 9 ROLLING 1h", 5, 4, 0, 1},
        {"a LIMIT 9 1h LIMIT 9 ROLLING 1h RATE FIXED 9 1h", 5, 4, 0, 0},
        {"a LIMIT 9 1h LIMIT -1 day RATE FIXED 8 1h FIRST", 5, 3, 0, 2},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        plan_set("pro", rows[i].text);
        pair_open(&pair, "pro", T);
        assert_int_equal(pair_consume(&pair, "a", rows[i].used, T), rows[i].used);
        pair_ask_one(&pair, "a", rows[i].amount, MODE_ALL, NULL, T);
        const struct verdict *verdict = &pair.decision.verdicts[0];
        if (verdict->rule != rows[i].rule || verdict->wait_us != rows[i].wait_us) {
            fail_msg("row %zu: rule %d wait %lld", i, verdict->rule, (long long)verdict->wait_us);
        }
        pair_end(&pair);
    }
}

/* A wait is kept: at its end the very ask is granted if nobody came, and not a microsecond before. */
static void waits_are_kept(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a LIMIT 10 1h BURST 50 REPAY LIMIT 25 3h",         "a LIMIT 10 month LIMIT 4 day CALENDAR",
        "a LIMIT 10 7h LIMIT 6 ROLLING 5h COST 2",          "a LIMIT 10 day REPAY BURST 100 RATE LOG 12 3h",
        "a LIMIT 10 week CALENDAR FROM sat REPAY BURST 30",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        plan_set("pro", texts[i]);
        for (int run = 0; run < 60; run++) {
            struct pair pair = {0};
            int64_t now_us = T;
            char id[3] = "r";
            pair_open_with(&pair, "pro", T, "America/New_York", NOT_ASKED, T);
            for (int step = 0; step < 6; step++) {
                now_us += random_below(3) ? random_between(0, 3 * H) : random_between(0, 2 * D);
                id[1] = (char)('A' + step);
                if (random_below(3) == 0)
                    pair_reserve(&pair, id, "a", 1 + random_below(4), random_between(1, 9) * H, now_us);
                else
                    pair_ask_one(&pair, "a", 1 + random_below(6), random_below(4) ? MODE_ALL : MODE_FORCE, NULL,
                                 now_us);
            }
            for (int64_t amount = 1; amount <= 12; amount++) {
                pair_ask_one(&pair, "a", amount, MODE_PEEK, NULL, now_us);
                struct verdict verdict = pair.decision.verdicts[0];
                if (verdict.granted > 0 || verdict.wait_us == NEVER_US) continue;
                pair_ask_one(&pair, "a", amount, MODE_PEEK, NULL, now_us + verdict.wait_us - 1);
                assert_int_equal(pair.decision.verdicts[0].granted, 0);
                /* the longest wait is the sum of nobody's: another rule may have filled none meanwhile */
                pair_ask_one(&pair, "a", amount, MODE_PEEK, NULL, now_us + verdict.wait_us);
                assert_int_equal(pair.decision.verdicts[0].granted, amount);
            }
            pair_end(&pair);
        }
    }
    catalogue_end();
}

/* What is reserved is held of limits and rolling windows, and used of rates. */
static void reservations_use_rates(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h LIMIT 10 ROLLING 1h RATE FIXED 3 1s");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r", "a", 3, 10 * S, T);
    assert_int_equal(report_of(pair.account, "a", 0, T).held, 3);
    assert_int_equal(report_of(pair.account, "a", 1, T).held, 3);
    assert_int_equal(report_of(pair.account, "a", 2, T).used, 3);
    pair_release(&pair, "r", T);
    assert_int_equal(report_of(pair.account, "a", 0, T).held, 0);
    assert_int_equal(report_of(pair.account, "a", 2, T).used, 3);
    assert_int_equal(pair_consume(&pair, "a", 1, T), 0);
    pair_end(&pair);
}

static void reports_show_every_rule(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h BURST 50 LIMIT -1 forever LIMIT 8 ROLLING 1h RATE FIXED 6 1h RATE FIXED -1 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    static const struct rule_report wanted[] = {
        {10, 4, 0, 11, 0, H}, {-1, 4, 0, -1, 0, -1}, {8, 4, 0, 4, -1, -1}, {6, 4, 0, 2, -1, -1}, {-1, 0, 0, -1, -1, -1},
    };
    for (uint32_t i = 0; i < COUNT_OF(wanted); i++) {
        struct rule_report report = report_of(pair.account, "a", i, T + S);
        assert_int_equal(report.limit, wanted[i].limit);
        assert_int_equal(report.used, wanted[i].used);
        assert_int_equal(report.held, wanted[i].held);
        assert_int_equal(report.remaining, wanted[i].remaining);
        assert_int_equal(report.start_us, wanted[i].start_us < 0 ? -1 : T + wanted[i].start_us);
        assert_int_equal(report.end_us, wanted[i].end_us < 0 ? -1 : T + wanted[i].end_us);
    }
    pair_end(&pair);
}

static void warnings_fire_with_what_is_used(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 3 1h WARN 33.33 33.34 66.67 100");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r", "a", 3, 10 * S, T); /* nothing is used yet */
    assert_int_equal(window_of(&pair, "a", T).warned_bp, 0);
    pair_commit(&pair, "r", 1, T);
    assert_int_equal(window_of(&pair, "a", T).warned_bp, 3333);
    pair_consume(&pair, "a", 1, T);
    assert_int_equal(window_of(&pair, "a", T).warned_bp, 3334);
    pair_consume(&pair, "a", 1, T);
    assert_int_equal(window_of(&pair, "a", T).warned_bp, 10000);
    pair_end(&pair);
}

/* Each consumption at an instant of its own. Without the twin, which would compare all of it each time. */
static void a_rolling_window_has_a_bound(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct consume_item item = {BYTES("a"), 1};
    struct consume_ask ask = {.items = &item, .count = 1};
    plan_set("pro", "a LIMIT 1000000 ROLLING 1d");
    pair_open(&pair, "pro", T);
    for (int64_t i = 0; i <= LOG_ENTRIES_MAX; i++) {
        struct account_decision decision;
        ask.now_us = T + i;
        consume_decide(pair.account, &host, &ask, &decision);
        assert_int_equal(decision.fault, i < LOG_ENTRIES_MAX ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_LOG);
        struct account_change change = account_decision_change(&decision);
        if (change.changes.size > 0) pair.account = account_apply(pair.account, &change);
        account_decision_end(&decision);
    }
    assert_int_equal(used_of(&pair, "a", ask.now_us), LOG_ENTRIES_MAX);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule_that_decides),           cmocka_unit_test(waits_are_kept),
        cmocka_unit_test(reservations_use_rates),          cmocka_unit_test(reports_show_every_rule),
        cmocka_unit_test(warnings_fire_with_what_is_used), cmocka_unit_test(a_rolling_window_has_a_bound),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

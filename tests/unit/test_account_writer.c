/* The writer of accounts: what it counts in memory alone, and what stays within bounds. */
#include "account_tools.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

/* As a server remembers that the LIMIT of this period refused. */
static void deny(struct account *account, int64_t period_us)
{
    struct period period = {.unit = PERIOD_FIXED, .count = period_us};
    struct change change = {.kind = CHANGE_DENIED, .period = period_code(&period)};
    account_apply_local(account, &change);
}

/* In memory at once; written down with the next change of the window. */
static void denials_are_counted(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h LIMIT 100 3h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 10, T);
    for (struct account *side = pair.account; side; side = side == pair.account ? pair.twin : NULL) {
        for (int i = 0; i < 3; i++) deny(side, H);
    }
    assert_int_equal(window_of(&pair, "a", T).denied, 3);
    assert_int_equal(slot_window(&pair.account->slots[0], 1).denied, 0); /* it did not decide */
    struct sink bytes = bytes_of(pair.account);
    struct account *loaded = account_decode(sink_content(&bytes));
    assert_int_equal(slot_window(&loaded->slots[0], 0).denied, 0);
    account_free(loaded);
    sink_free(&bytes);
    pair_consume(&pair, "a", 1, T + H); /* the first cycle closes, the second begins */
    struct closed_cycle closed;
    uint64_t period = period_code(&pair.account->plan->entries[0].entitlement.rules[0].period);
    assert_true(history_find(slot_history(&pair.account->slots[0], period), T, &closed));
    assert_int_equal(closed.denied, 3);
    assert_int_equal(report_of(pair.account, "a", 1, T + H).used, 11);
    deny(pair.account, 7 * H); /* no such LIMIT is stored */
    assert_int_equal(window_of(&pair, "a", T + H).denied, 0);
    pair_end(&pair);
}

/* A plan of many periods after another, all within one long cycle. */
static void windows_and_past_periods_have_bounds(void **state)
{
    (void)state;
    struct pair pair = {0};
    char text[512];
    plan_set("pro", "a LIMIT 100 1000d");
    pair_open(&pair, "pro", T);
    for (int plan = 0; plan < 6; plan++) {
        int length = snprintf(text, sizeof(text), "a");
        for (int i = 1; i <= 16; i++) {
            length += snprintf(text + length, sizeof(text) - (size_t)length, " LIMIT 1000 %ds", 16 * plan + i);
        }
        pair_override(&pair, text, 0, T + plan * H);
        assert_fault(&pair, ACCOUNT_FAULT_NONE);
        for (int i = 0; i < 3; i++) pair_consume(&pair, "a", 1, T + plan * H + i * 100 * S);
        assert_true(pair.account->slots[0].windows_count <= SLOT_WINDOWS_MAX);
        assert_true(pair.account->slots[0].optional->histories_count <= SLOT_HISTORIES_MAX);
    }
    pair_end(&pair);

    pair_open(&pair, "pro", T); /* cycles that do not end: sleepers make room */
    for (int plan = 0; plan < 3; plan++) {
        int length = snprintf(text, sizeof(text), "a");
        for (int i = 1; i <= 16; i++) {
            length +=
                snprintf(text + length, sizeof(text) - (size_t)length, " LIMIT 1000 %dmonth", 100 + 16 * plan + i);
        }
        pair_override(&pair, text, 0, T);
        pair_request_one(&pair, "a", 1, MODE_ALL, NULL, T);
        assert_fault(&pair, ACCOUNT_FAULT_NONE);
        assert_true(pair.account->slots[0].windows_count <= SLOT_WINDOWS_MAX);
    }
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(denials_are_counted),
        cmocka_unit_test(windows_and_past_periods_have_bounds),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

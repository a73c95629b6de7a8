/* What operators' commands share: which accounts they begin on, and moments as instants. */
#include "account_tools.h"
#include "quota/base/checked.h"
#include "quota/decide/operate.h"

#define T at("2025-01-31T15:00:00")

static void only_open_accounts_are_operated(void **state)
{
    (void)state;
    struct account_view view;
    struct account_decision decision;
    struct admin_action action = {.now_us = T};
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 day");
    assert_int_equal(operate_begin(&view, NULL, &host, &action, &decision), ACCOUNT_FAULT_MISSING);
    operate_finish(&view, &decision, ACCOUNT_FAULT_MISSING);
    assert_int_equal(decision.fault, ACCOUNT_FAULT_MISSING);
    account_decision_end(&decision);
    pair_open(&pair, "pro", T);
    assert_int_equal(operate_begin(&view, pair.account, &host, &action, &decision), ACCOUNT_FAULT_NONE);
    operate_audit(&view, AUDIT_SET, -1, 3, &action, &decision);
    assert_true(decision.changes.size > 0);
    operate_finish(&view, &decision, operate_past(&decision, "expires")); /* a fault takes everything back */
    assert_int_equal(decision.changes.size, 0);
    assert_string_equal(decision.fault_text, "expires");
    account_decision_end(&decision);
    pair_state(&pair, ACCOUNT_CLOSED, T);
    assert_int_equal(operate_begin(&view, pair.account, &host, &action, &decision), ACCOUNT_FAULT_CLOSED);
    operate_finish(&view, &decision, ACCOUNT_FAULT_CLOSED);
    account_decision_end(&decision);
    pair_end(&pair);
    plan_drop("pro");
}

static void moments_are_instants(void **state)
{
    (void)state;
    const struct {
        struct moment moment;
        int64_t from_us, instant_us;
    } rows[] = {
        {{.kind = MOMENT_NONE}, T, 0},
        {{.kind = MOMENT_CYCLE}, T, 0}, /* the caller knows the cycles */
        {{.kind = MOMENT_INSTANT, .at_us = 5}, T, 5},
        {{.kind = MOMENT_DURATION, .after_us = 90 * S}, T, T + 90 * S},
        {{.kind = MOMENT_DURATION, .after_us = D}, INSTANT_MAX_US, INSTANT_MAX_US},
        {{.kind = MOMENT_PERIOD, .period = {.unit = PERIOD_MONTH, .count = 1}}, T, at("2025-02-28T15:00:00")},
        {{.kind = MOMENT_PERIOD, .period = {.unit = PERIOD_MONTH, .count = 2}}, T, at("2025-03-31T15:00:00")},
        {{.kind = MOMENT_PERIOD, .period = {.unit = PERIOD_FOREVER, .count = 1}}, T, INSTANT_MAX_US},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t instant_us = moment_instant_us(&rows[i].moment, zone_utc(), rows[i].from_us);
        if (instant_us != rows[i].instant_us) fail_msg("row %zu: %lld", i, (long long)instant_us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_open_accounts_are_operated),
        cmocka_unit_test(moments_are_instants),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* An account's life: opening, switching, suspending, overrides, corrections. */
#include "account_tools.h"
#include "quota/account/change_parts.h"

#define T at("2025-01-31T15:00:00")

static enum account_state state_of(const struct pair *pair)
{
    return (enum account_state)pair->account->state;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static void opening_again_is_harmless(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    plan_set("team", "a LIMIT 20 1h");
    pair_open_with(&pair, "none", NOT_REQUESTED, NULL, NOT_REQUESTED, T);
    assert_fault(&pair, ACCOUNT_FAULT_PLAN);
    assert_null(pair.account);
    pair_open_with(&pair, "pro", T - 5, "Europe/Berlin", T + D, T);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    pair_consume(&pair, "a", 4, T);
    /* the same, or less said: nothing happens */
    pair_open_with(&pair, "pro", T - 5, "Europe/Berlin", T + D, T + S);
    assert_int_equal(pair.decision.changes.size, 0);
    pair_open(&pair, "pro", T + S);
    assert_int_equal(pair.decision.changes.size, 0);
    /* other content */
    pair_open_with(&pair, "team", NOT_REQUESTED, NULL, NOT_REQUESTED, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_OPEN);
    pair_open_with(&pair, "pro", T, NULL, NOT_REQUESTED, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_OPEN);
    pair_open_with(&pair, "pro", NOT_REQUESTED, "UTC", NOT_REQUESTED, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_OPEN);
    /* it renews */
    pair_open_with(&pair, "pro", NOT_REQUESTED, NULL, T + 2 * D, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    assert_int_equal(account_status(pair.account).expires_us, T + 2 * D);
    assert_int_equal(used_of(&pair, "a", T + S), 4);
    pair_end(&pair);
}

static void closing_mints_nothing(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 7, T);
    pair_state(&pair, ACCOUNT_CLOSED, T + S);
    assert_int_equal(state_of(&pair), ACCOUNT_CLOSED);
    pair_state(&pair, ACCOUNT_CLOSED, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    assert_int_equal(pair.decision.changes.size, 0);
    pair_state(&pair, ACCOUNT_ACTIVE, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_CLOSED);
    pair_switch(&pair, "pro", SWITCH_FULL, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_CLOSED);
    pair_reset(&pair, "a", T + S);
    assert_fault(&pair, ACCOUNT_FAULT_CLOSED);
    pair_open(&pair, "pro", T + 2 * S);
    assert_int_equal(state_of(&pair), ACCOUNT_ACTIVE);
    assert_int_equal(remaining_of(&pair, "a", T + 2 * S), 3);
    assert_int_equal(remaining_of(&pair, "a", T + H), 10);
    pair_end(&pair);
}

static void at_its_end_an_account_falls_to_the_default_plan(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    plan_set("free", "a LIMIT 2 1h");
    host.default_plan = BYTES("free");
    pair_open_with(&pair, "pro", NOT_REQUESTED, NULL, T + 90 * MICROS_PER_MINUTE, T);
    int64_t end_us = T + 90 * MICROS_PER_MINUTE;
    pair_consume(&pair, "a", 5, T + H);
    assert_int_equal(limit_of(&pair, "a", end_us - 1), 10);
    assert_int_equal(limit_of(&pair, "a", end_us), 2);
    assert_int_equal(used_of(&pair, "a", end_us), 5);
    assert_int_equal(pair_consume(&pair, "a", 1, end_us), 0);
    assert_int_equal(pair_consume(&pair, "a", 2, T + 2 * H), 2);
    assert_int_equal(state_of(&pair), ACCOUNT_LAPSED);
    assert_int_equal(account_status(pair.account).expires_us, 0);
    pair_state(&pair, ACCOUNT_ACTIVE, T + 2 * H); /* there is nothing to resume */
    assert_int_equal(pair.decision.changes.size, 0);
    /* opened again it is on its plan, and what was used stays used */
    pair_open(&pair, "pro", T + 2 * H);
    assert_int_equal(state_of(&pair), ACCOUNT_ACTIVE);
    assert_int_equal(remaining_of(&pair, "a", T + 2 * H), 8);
    pair_end(&pair);
    configuration_end();
}

static void without_a_default_plan_it_falls_into_nothing(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open_with(&pair, "pro", NOT_REQUESTED, NULL, T + S, T);
    pair_consume(&pair, "a", 5, T);
    pair_switch(&pair, "pro", SWITCH_FULL, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_EXPIRED);
    pair_override(&pair, "a LIMIT 99 1h", 0, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_EXPIRED);
    pair_set(&pair, "a", 0, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_EXPIRED);
    pair_open_with(&pair, "pro", NOT_REQUESTED, NULL, T + 3 * H, T + S);
    assert_int_equal(remaining_of(&pair, "a", T + S), 5);
    pair_end(&pair);
}

/* ---- switching ------------------------------------------------------------------------------------------- */

static void a_switch_moves_the_limit_of_the_cycle(void **state)
{
    (void)state;
    static const struct {
        enum switch_mode mode;
        int64_t limit, later;
    } rows[] = {{SWITCH_PRORATE, 15, 20}, {SWITCH_FULL, 20, 20}, {SWITCH_END, 10, 20}};
    plan_set("pro", "a LIMIT 10 1h");
    plan_set("team", "a LIMIT 20 1h");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 1, T);
        pair_switch(&pair, "team", rows[i].mode, T + H / 2);
        assert_fault(&pair, ACCOUNT_FAULT_NONE);
        assert_int_equal(limit_of(&pair, "a", T + H / 2), rows[i].limit);
        assert_int_equal(limit_of(&pair, "a", T + H - 1), rows[i].limit);
        assert_int_equal(limit_of(&pair, "a", T + H), rows[i].later);
        assert_int_equal(used_of(&pair, "a", T + H / 2), 1);
        pair_switch(&pair, "gone", SWITCH_FULL, T + H / 2);
        assert_fault(&pair, ACCOUNT_FAULT_PLAN);
        pair_end(&pair);
    }
}

/* Whether a cycle has been used makes no difference: half of it is left. */
static void unused_cycles_are_prorated_too(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 10 2h | b LIMIT 10 2h");
    plan_set("team", "a LIMIT 30 2h | c LIMIT 30 2h");
    for (int used = 0; used < 2; used++) {
        struct pair pair = {0};
        pair_open(&pair, "pro", T);
        if (used) pair_consume(&pair, "a", 1, T);
        pair_switch(&pair, "team", SWITCH_PRORATE, T + H);
        assert_int_equal(limit_of(&pair, "a", T + H), 20);
        assert_int_equal(limit_of(&pair, "c", T + H), 15); /* while the old plan held it counted as nothing */
        assert_int_equal(limit_of(&pair, "c", T + 2 * H), 30);
        pair_switch(&pair, "pro", SWITCH_PRORATE, T + H + H / 2);
        assert_int_equal(limit_of(&pair, "a", T + H + H / 2), 15);
        assert_int_equal(limit_of(&pair, "a", T + 2 * H), 10);
        pair_end(&pair);
    }
}

static void flipping_plans_mints_nothing(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 100 month");
    plan_set("team", "a LIMIT 977 month");
    plan_set("other", "b LIMIT 5 month"); /* does not know the resource at all */
    for (int run = 0; run < 100; run++) {
        struct pair pair = {0};
        int64_t now_us = T;
        pair_open_with(&pair, "pro", T, "Europe/Berlin", NOT_REQUESTED, T);
        pair_consume(&pair, "a", 1, T);
        for (int flip = 0; flip < 6; flip++) {
            now_us += random_between(0, 4 * D);
            pair_switch(&pair, random_below(3) ? "team" : "other", SWITCH_PRORATE, now_us);
            pair_switch(&pair, "pro", SWITCH_PRORATE, now_us);
            assert_int_equal(limit_of(&pair, "a", now_us), 100);
        }
        pair_end(&pair);
    }
}

static void a_plan_that_was_to_come_is_forgotten_by_a_switch(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h LIMIT 1000 3h");
    plan_set("team", "a LIMIT 20 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 1, T);
    pair_switch(&pair, "team", SWITCH_END, T + S); /* the longest cycle ends after three hours */
    assert_int_equal(limit_of(&pair, "a", T + 3 * H - 1), 10);
    assert_int_equal(limit_of(&pair, "a", T + 3 * H), 20);
    pair_switch(&pair, "pro", SWITCH_FULL, T + H);
    assert_int_equal(limit_of(&pair, "a", T + 3 * H), 10);
    pair_end(&pair);
}

/* No command may change what comes: a plan that was to begin after the end of the account's never does. */
static void a_plan_that_comes_after_the_end_never_comes(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 10 3h");
    plan_set("team", "a LIMIT 20 3h");
    plan_set("free", "a LIMIT 2 3h");
    host.default_plan = BYTES("free");
    for (int touched = 0; touched < 2; touched++) {
        struct pair pair = {0};
        pair_open_with(&pair, "pro", NOT_REQUESTED, NULL, T + H, T);
        pair_consume(&pair, "a", 1, T);
        pair_switch(&pair, "team", SWITCH_END, T);
        if (touched) pair_consume(&pair, "a", 1, T + 2 * H);
        assert_int_equal(limit_of(&pair, "a", T + 2 * H), 2);
        assert_int_equal(limit_of(&pair, "a", T + 3 * H), 2);
        pair_end(&pair);
    }
    configuration_end();
}

static void newer_revisions_are_adopted_by_every_write(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    plan_set("pro", "a LIMIT 20 1h | b LIMIT 5 1h");
    assert_int_equal(pair_consume(&pair, "a", 16, T + S), 16);
    assert_int_equal(plan_revision(pair.account->plan), 2);
    assert_int_equal(pair_consume(&pair, "b", 5, T + S), 5);
    plan_drop("pro"); /* what an account has it keeps */
    assert_int_equal(pair_consume(&pair, "a", 20, T + H), 20);
    pair_end(&pair);
}

/* ---- state ----------------------------------------------------------------------------------------------- */

static void suspended_and_resumed(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_state(&pair, ACCOUNT_SUSPENDED, T);
    assert_fault(&pair, ACCOUNT_FAULT_MISSING);
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    pair_state(&pair, ACCOUNT_SUSPENDED, T + S);
    pair_state(&pair, ACCOUNT_SUSPENDED, T + S);
    assert_int_equal(pair.decision.changes.size, 0);
    pair_request_one(&pair, "a", 1, MODE_ALL, NULL, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_SUSPENDED);
    pair_state(&pair, ACCOUNT_ACTIVE, T + S);
    assert_int_equal(pair_consume(&pair, "a", 6, T + S), 6);
    pair_end(&pair);
}

static void who_did_what_is_noted(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    for (int i = 0; i < ACCOUNT_AUDIT_MAX; i++) pair_touch(&pair, T + i);
    pair_set(&pair, "a", 7, T + S);
    const struct account_optional *optional = pair.account->optional;
    assert_int_equal(optional->audit_count, ACCOUNT_AUDIT_MAX);
    const struct stored_audit_entry *newest = optional->audit[ACCOUNT_AUDIT_MAX - 1];
    struct cursor cursor = cursor_init((struct bytes){newest->bytes, newest->size});
    struct audit_entry entry;
    audit_entry_decode(&cursor, &entry);
    assert_true(cursor_done(&cursor) && bytes_equal(entry.actor, BYTES("ops")));
    assert_int_equal(entry.act, AUDIT_SET);
    assert_int_equal(entry.slot, 1);
    assert_int_equal(entry.amount, 7);
    assert_int_equal(entry.at_us, T + S);
    pair_end(&pair);
}

/* ---- overrides ------------------------------------------------------------------------------------------- */

static void an_override_holds_until_it_ends(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 8, T);
    pair_override(&pair, "a LIMIT 30 1h LIMIT 5 1m", T + 90 * MICROS_PER_MINUTE, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    assert_int_equal(report_of(pair.account, "a", 0, T + S).remaining, 22);
    assert_int_equal(report_of(pair.account, "a", 1, T + S).remaining, 5);
    assert_int_equal(pair_consume(&pair, "a", 5, T + S), 5);
    /* the plan may change meanwhile: it waits */
    plan_set("pro", "a LIMIT 11 1h");
    assert_int_equal(pair_consume(&pair, "a", 1, T + 2 * MICROS_PER_MINUTE), 1);
    assert_int_equal(limit_of(&pair, "a", T + 89 * MICROS_PER_MINUTE), 30);
    assert_int_equal(limit_of(&pair, "a", T + 90 * MICROS_PER_MINUTE), 11);
    assert_int_equal(pair_consume(&pair, "a", 11, T + 90 * MICROS_PER_MINUTE), 11);
    assert_null(pair.account->slots[0].optional->override);
    pair_end(&pair);
}

static void an_override_is_lifted(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_override(&pair, "a", 0, T); /* there are none */
    assert_int_equal(pair.decision.changes.size, 0);
    pair_override(&pair, "b LIMIT 3 1h", 0, T); /* even where the plan knows nothing of it */
    assert_int_equal(pair_consume(&pair, "b", 3, T), 3);
    pair_override(&pair, "a LIMIT 30 1h", 0, T);
    assert_int_equal(pair_consume(&pair, "a", 12, T), 12);
    pair_override(&pair, "a", 0, T);
    assert_int_equal(limit_of(&pair, "a", T), 10);
    assert_int_equal(used_of(&pair, "a", T), 12);
    pair_override(&pair, "b", 0, T);
    pair_request_one(&pair, "b", 1, MODE_ALL, NULL, T);
    assert_fault(&pair, ACCOUNT_FAULT_RESOURCE);
    pair_end(&pair);
}

/* ---- corrections ----------------------------------------------------------------------------------------- */

static void used_is_set(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h LIMIT 15 ROLLING 1h WARN 50");
    pair_open(&pair, "pro", T);
    pair_set(&pair, "b", 5, T);
    assert_fault(&pair, ACCOUNT_FAULT_RESOURCE);
    pair_consume(&pair, "a", 9, T);
    pair_set(&pair, "a", 4, T + S);
    for (uint32_t i = 0; i < 2; i++) assert_int_equal(report_of(pair.account, "a", i, T + S).used, 4);
    assert_int_equal(window_of(&pair, "a", T + S).warned_bp, 0);
    assert_int_equal(report_of(pair.account, "a", 1, T + H + S - 1).used, 4); /* they are of that instant */
    assert_int_equal(report_of(pair.account, "a", 1, T + H + S).used, 0);
    pair_set(&pair, "a", INT64_MAX, T + S);
    assert_int_equal(remaining_of(&pair, "a", T + S), 0);
    pair_set(&pair, "a", 0, T + S);
    assert_int_equal(pair_consume(&pair, "a", 10, T + S), 10);
    pair_end(&pair);
}

/* Of several LIMITs the correction has to say which; those of the same word and count are one to it. */
static void used_is_set_of_a_period(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct period hours = {.unit = PERIOD_FIXED, .count = 2 * H}, month = {.unit = PERIOD_MONTH, .count = 1};
    plan_set("pro", "a LIMIT 10 1h LIMIT 20 2h LIMIT 15 ROLLING 1h | b LIMIT 9 month CALENDAR LIMIT 5 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 9, T);
    pair_set(&pair, "a", 4, T);
    assert_fault(&pair, ACCOUNT_FAULT_NEEDS_PERIOD);
    pair_set_of(&pair, "a", 4, period_code(&month), T);
    assert_fault(&pair, ACCOUNT_FAULT_PERIOD);
    pair_set_of(&pair, "a", 4, period_code(&hours), T);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    static const int64_t wanted[] = {9, 4, 9};
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(report_of(pair.account, "a", i, T).used, wanted[i]);
    pair_set_of(&pair, "b", 7, period_code(&month), T); /* whatever its alignment */
    assert_int_equal(report_of(pair.account, "b", 0, T).used, 7);
    assert_int_equal(report_of(pair.account, "b", 1, T).used, 0);
    pair_end(&pair);
}

static void one_resource_or_all_begin_anew(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h BURST 50 REPAY | b LIMIT 5 ROLLING 1h | c RATE FIXED 3 1h");
    pair_open(&pair, "pro", T);
    const char *const names[] = {"a", "b", "c"};
    const int64_t amounts[] = {10, 5, 3};
    for (int i = 0; i < 3; i++) pair_consume(&pair, names[i], amounts[i], T);
    pair_consume(&pair, "a", 5, T);
    pair_reset(&pair, "d", T);
    assert_fault(&pair, ACCOUNT_FAULT_RESOURCE);
    pair_reset(&pair, "a", T + S);
    assert_int_equal(used_of(&pair, "a", T + S), 0);
    assert_int_equal(limit_of(&pair, "a", T + H), 10); /* no debt either */
    assert_int_equal(remaining_of(&pair, "b", T + S), 0);
    pair_consume(&pair, "a", 10, T + S);
    pair_reset(&pair, NULL, T + S);
    for (int i = 0; i < 3; i++) assert_int_equal(pair_consume(&pair, names[i], amounts[i], T + S), amounts[i]);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_again_is_harmless),
        cmocka_unit_test(closing_mints_nothing),
        cmocka_unit_test(at_its_end_an_account_falls_to_the_default_plan),
        cmocka_unit_test(without_a_default_plan_it_falls_into_nothing),
        cmocka_unit_test(a_switch_moves_the_limit_of_the_cycle),
        cmocka_unit_test(unused_cycles_are_prorated_too),
        cmocka_unit_test(flipping_plans_mints_nothing),
        cmocka_unit_test(a_plan_that_was_to_come_is_forgotten_by_a_switch),
        cmocka_unit_test(a_plan_that_comes_after_the_end_never_comes),
        cmocka_unit_test(newer_revisions_are_adopted_by_every_write),
        cmocka_unit_test(suspended_and_resumed),
        cmocka_unit_test(who_did_what_is_noted),
        cmocka_unit_test(an_override_holds_until_it_ends),
        cmocka_unit_test(an_override_is_lifted),
        cmocka_unit_test(used_is_set),
        cmocka_unit_test(used_is_set_of_a_period),
        cmocka_unit_test(one_resource_or_all_begin_anew),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

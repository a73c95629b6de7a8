/* Accounts: what they keep, sweep and count; the commands themselves are tested beside. */
#include "account_tools.h"
#include <stdio.h>

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
    pair_consume(&pair, "a", 1, T + H); /* the first cycle closes, the second is told */
    struct closed_cycle closed;
    uint64_t period = period_code(&pair.account->plan->entries[0].entitlement.rules[0].period);
    assert_true(history_find(slot_history(&pair.account->slots[0], period), T, &closed));
    assert_int_equal(closed.denied, 3);
    assert_int_equal(report_of(pair.account, "a", 1, T + H).used, 11);
    deny(pair.account, 7 * H); /* no such LIMIT is stored */
    assert_int_equal(window_of(&pair, "a", T + H).denied, 0);
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

/* Each change sweeps a bounded part of what has ended; nothing that has ended counts before. */
static void what_has_ended_is_swept_in_passing(void **state)
{
    (void)state;
    struct pair pair = {0};
    char id[8];
    plan_set("pro", "a LIMIT 1000 1h");
    pair_open(&pair, "pro", T);
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "r%d", i);
        pair_reserve(&pair, id, "a", 1, 10 * S + i, T);
    }
    assert_int_equal(account_holds(pair.account)->count, 100);
    assert_int_equal(slot_held(&pair.account->slots[0], -1), 100);
    assert_int_equal(remaining_of(&pair, "a", T + 10 * S + 99), 1000);
    for (int i = 0; i < 4; i++) {
        pair_consume(&pair, "a", 1, T + H / 2);
        int swept = SWEEP_MAX * (i + 1) < 100 ? SWEEP_MAX * (i + 1) : 100;
        assert_int_equal(account_holds(pair.account)->count, 100 - swept);
        assert_int_equal(idempotency_count(account_idempotency(pair.account)), swept);
    }
    assert_int_equal(slot_held(&pair.account->slots[0], -1), 0);
    for (int i = 0; i < 4; i++) pair_consume(&pair, "a", 1, T + 2 * D);
    assert_int_equal(idempotency_count(account_idempotency(pair.account)), 0);
    assert_null(account_idempotency(NULL));
    assert_null(account_hold(NULL, BYTES("r1")));
    pair_end(&pair);
}

/* One reservation of 64 parts, in one slot, of the first instants of a round. */
static bool reserve_parts(struct account **account, int round, int number, int64_t now_us)
{
    struct sink changes = {0};
    char id[16];
    (void)snprintf(id, sizeof(id), "r%d-%d", round, number);
    for (int part = 0; part < HOLD_PARTS_MAX; part++) {
        struct change change = {.kind = CHANGE_HOLD, .bytes = text_bytes(id)};
        change.hold = (struct hold){.amount = 1,
                                    .units = 1,
                                    .made_us = now_us,
                                    .expires_us = now_us + H,
                                    .requested = 1,
                                    .part = (uint8_t)part};
        change_encode(&change, &changes);
    }
    const struct account_change made = {
        .applied_at_us = now_us, .changes = sink_content(&changes), .encoding = ACCOUNT_ENCODING_NEWEST};
    bool accepted = account_accepts(*account, &made);
    if (accepted) *account = account_apply(*account, &made);
    sink_free(&changes);
    return accepted;
}

/* As many as may live, over and over: what has ended never takes their place, since what comes sweeps as much. */
static void large_reservations_leave_room_for_each_other(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT -1 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 1, T);
    struct account *account = pair.account;
    for (int round = 0; round < 4; round++) {
        int64_t now_us = T + (round + 1) * H;
        for (int number = 0; number < ACCOUNT_HOLDS_MAX / HOLD_PARTS_MAX; number++) {
            if (!reserve_parts(&account, round, number, now_us)) fail_msg("round %d, number %d", round, number);
        }
        assert_int_equal(account_live_holds(account, now_us), ACCOUNT_HOLDS_MAX / HOLD_PARTS_MAX * HOLD_PARTS_MAX);
        assert_true(account_holds(account)->count <= ACCOUNT_HOLDS_MAX + HOLD_PARTS_MAX);
        assert_int_equal(slot_held(&account->slots[0], -1), account_holds(account)->count);
    }
    pair.account = account;
    pair_end(&pair);
}

/* A plan of many periods after another, all within one long cycle. */
static void windows_and_pasts_have_bounds(void **state)
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
        cmocka_unit_test(a_plain_window_needs_no_more_than_its_place),
        cmocka_unit_test(denials_are_counted),
        cmocka_unit_test(slots_are_numbered_as_they_come),
        cmocka_unit_test(what_has_ended_is_swept_in_passing),
        cmocka_unit_test(large_reservations_leave_room_for_each_other),
        cmocka_unit_test(windows_and_pasts_have_bounds),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

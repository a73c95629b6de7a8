/* Parts of an account: what has ended goes in passing, and never takes the place of what comes. */
#include "account_tools.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_ended_is_swept_in_passing),
        cmocka_unit_test(large_reservations_leave_room_for_each_other),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

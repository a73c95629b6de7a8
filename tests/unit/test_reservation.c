/* Unit tests of src/reservation.c: what is known of a reservation, however far its end has been written down. */
#include "account_tools.h"
#include "quota/decide/reservation.h"

#define T at("2025-01-31T15:00:00")

/* How it ended, how many parts it had and what the second of them held; 0 = nothing is remembered. */
static const struct {
    char how; /* c: committed, r: released, e: it expires, s: … and is swept */
    int64_t after_us;
    bool lives;
    enum hold_outcome outcome;
} ends[] = {
    {'e', S, true, 0},
    {'e', 10 * S - 1, true, 0},
    {'e', 10 * S, false, HOLD_EXPIRED},
    {'e', 10 * S + KEPT - 1, false, HOLD_EXPIRED},
    {'e', 10 * S + KEPT, false, 0},
    {'s', 10 * S, false, HOLD_EXPIRED},
    {'s', 10 * S + KEPT - 1, false, HOLD_EXPIRED},
    {'s', 10 * S + KEPT, false, 0},
    {'c', S, false, HOLD_COMMITTED},
    {'c', S + KEPT - 1, false, HOLD_COMMITTED},
    {'c', S + KEPT, false, 0},
    {'r', S, false, HOLD_RELEASED},
};

static void what_became_of_it_is_known_before_and_after_it_is_swept(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 10 1h | b LIMIT 10 1h COST 2");
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct pair pair = {0};
        struct look look;
        struct record_hold parts[HOLD_PARTS_MAX];
        uint32_t count = 0;
        pair_open(&pair, "pro", T);
        pair_reserve_all(&pair, "x", "a 3 | b 4", MODE_ALL, 10 * S, T);
        if (ends[i].how == 'c') pair_commit_all(&pair, "x", "0 4", false, T + S);
        if (ends[i].how == 'r') pair_release(&pair, "x", T + S);
        if (ends[i].how == 's') pair_touch(&pair, T + 10 * S);
        look_at(&look, pair.account, "a", T + ends[i].after_us);
        const struct stored_hold *stored = account_hold(pair.account, BYTES("x"));
        bool lives = reservation_lives(&look.account, stored);
        bool known = !lives && reservation_find_outcome(&look.account, BYTES("x"), stored, parts, &count);
        bool same = lives == ends[i].lives && known == (ends[i].outcome != 0);
        if (!same || (known && parts[0].outcome != ends[i].outcome)) fail_msg("row %zu", i);
        if (known) assert_int_equal(count, 2);
        if (known) assert_int_equal(parts[1].amount * parts[1].cost, 8);
        if (known) assert_int_equal(parts[1].item, 1);
        look_end(&look);
        pair_end(&pair);
    }
    assert_int_equal(reservation_fault(HOLD_COMMITTED), ACCOUNT_FAULT_COMMITTED);
    assert_int_equal(reservation_fault(HOLD_RELEASED), ACCOUNT_FAULT_RELEASED);
    assert_int_equal(reservation_fault(HOLD_EXPIRED), ACCOUNT_FAULT_RAN_OUT);
    configuration_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_became_of_it_is_known_before_and_after_it_is_swept)};
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

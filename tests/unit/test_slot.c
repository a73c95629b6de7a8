/* One resource of an account: what its changes leave behind, in which order, and what reservations hold of it. */
#include "quota/account/slot.h"
#include "quota/rate/sliding_log.h"
#include "scenario.h"
#include "tools.h"

static uint64_t code_of(int64_t days)
{
    struct period period = {.unit = PERIOD_DAY, .count = days};
    return period_code(&period);
}

static struct window window_at(int64_t days, int64_t start_us, int64_t used)
{
    return (struct window){.period = code_of(days),
                           .start_us = start_us,
                           .end_us = start_us + days * D,
                           .allowance = {.limit = 100},
                           .cover = NOT_COVERED,
                           .used = used,
                           .peak = used};
}

/* The slot requests the room it takes, and no more. */
static bool apply(struct slot *slot, const struct change *change)
{
    uint32_t expected = slot->windows_count + (uint32_t)slot_grows(slot, change);
    bool moved = slot_apply(slot, change);
    assert_int_equal(slot->windows_count, expected);
    return moved;
}

static bool put(struct slot *slot, struct window window)
{
    struct change change = {.kind = CHANGE_WINDOW, .window = window};
    return apply(slot, &change);
}

/* Its windows stand where the account has room for them: here. */
static struct slot empty_slot(void)
{
    static struct stored_window room[SLOT_WINDOWS_MAX];
    return (struct slot){.resource = interned_string_take(BYTES("calls")), .windows = room};
}

static void windows_stand_in_the_order_of_their_periods(void **state)
{
    (void)state;
    static const int64_t orders[][3] = {{1, 2, 3}, {3, 1, 2}, {2, 3, 1}};
    for (size_t k = 0; k < COUNT_OF(orders); k++) {
        struct slot slot = empty_slot();
        for (int i = 0; i < 3; i++) assert_true(put(&slot, window_at(orders[k][i], BASE, orders[k][i])));
        assert_int_equal(slot.windows_count, 3);
        for (uint32_t i = 0; i < 3; i++) assert_int_equal(slot_window(&slot, i).used, i + 1);
        assert_false(put(&slot, window_at(2, BASE, 9))); /* the same cycle */
        assert_true(put(&slot, window_at(2, BASE + 2 * D, 0)));
        struct change drop = {.kind = CHANGE_WINDOW_REMOVED, .period = code_of(2)};
        assert_true(apply(&slot, &drop));
        assert_int_equal(slot.windows_count, 2);
        assert_int_equal(slot_window(&slot, 1).period, code_of(3));
        slot_free(&slot);
    }
}

static void what_a_window_lacks_takes_no_memory(void **state)
{
    (void)state;
    struct slot slot = empty_slot();
    struct window window = window_at(1, BASE, 5);
    put(&slot, window);
    size_t plain = slot_bytes(&slot);
    window.refunded = 2;
    put(&slot, window);
    assert_int_equal(slot_window(&slot, 0).refunded, 2);
    assert_int_equal(slot_bytes(&slot), plain + sizeof(struct window));
    window.refunded = 0;
    put(&slot, window);
    assert_int_equal(slot_bytes(&slot), plain);
    slot_free(&slot);
}

static void a_count_leaves_the_rest_of_its_window_alone(void **state)
{
    (void)state;
    struct slot slot = empty_slot();
    struct change used = {.kind = CHANGE_USED, .period = code_of(1), .amount = 7, .peak = 8};
    assert_false(slot_accepts(NULL, &used));
    assert_false(slot_accepts(&slot, &used)); /* there is no such window */
    assert_false(apply(&slot, &used));
    assert_int_equal(slot.windows_count, 0);
    struct window window = window_at(1, BASE, 5);
    window.warned_bp = 8000;
    window.allowance.past_units = -3;
    put(&slot, window);
    assert_true(slot_accepts(&slot, &used));
    assert_false(apply(&slot, &used));
    struct window after = slot_window(&slot, 0);
    assert_int_equal(after.used, 7);
    assert_int_equal(after.peak, 8);
    after.used = after.peak = 5;
    assert_memory_equal(&after, &window, sizeof(window));
    slot_free(&slot);
}

static void denials_are_counted_where_something_was_used(void **state)
{
    (void)state;
    struct slot slot = empty_slot();
    put(&slot, window_at(1, BASE, 5));
    put(&slot, window_at(2, BASE, 0));
    for (int64_t days = 1; days <= 3; days++) { /* the second has no unit yet, the third is not stored */
        struct change denied = {.kind = CHANGE_DENIED, .period = code_of(days)};
        apply(&slot, &denied);
    }
    assert_int_equal(slot_window(&slot, 0).denied, 1);
    assert_int_equal(slot_window(&slot, 1).denied, 0);
    slot_free(&slot);
}

static void closed_cycles_are_kept_by_period_and_the_number_of_periods_is_bounded(void **state)
{
    (void)state;
    struct slot slot = empty_slot();
    struct closed_cycle closed = {.start_us = BASE, .end_us = BASE + D, .limit = 9, .used = 4, .peak = 4, .count = 1};
    for (int64_t days = 1; days <= SLOT_HISTORIES_MAX + 1; days++) {
        struct change change = {.kind = CHANGE_CLOSED, .period = code_of(days), .closed = closed};
        apply(&slot, &change);
    }
    assert_int_equal(slot.optional->histories_count, SLOT_HISTORIES_MAX);
    assert_null(slot_history(&slot, code_of(1)));
    assert_non_null(slot_history(&slot, code_of(SLOT_HISTORIES_MAX + 1)));
    struct change late = {.kind = CHANGE_CYCLE_CORRECTED, .period = code_of(99), .closed = closed};
    apply(&slot, &late); /* no such past: nothing happens */
    assert_int_equal(slot.optional->histories_count, SLOT_HISTORIES_MAX);
    slot_free(&slot);
}

static void logs_go_when_they_are_empty_and_their_number_is_bounded(void **state)
{
    (void)state;
    struct slot slot = empty_slot();
    for (int64_t i = 1; i <= SLOT_WINDOWS_MAX + 1; i++) {
        struct change change = {.kind = CHANGE_LOG_APPENDED, .period_us = i * H, .log = {.when_us = BASE, .amount = i}};
        apply(&slot, &change);
    }
    assert_int_equal(slot.optional->rollings_count, SLOT_WINDOWS_MAX);
    assert_true(slot_fits_log(&slot, H));
    assert_false(slot_fits_log(&slot, (SLOT_WINDOWS_MAX + 1) * H));
    assert_true(slot_fits_log(NULL, H));
    struct change withdrawn = {.kind = CHANGE_LOG_REMOVED, .period_us = 2 * H, .log = {.when_us = BASE, .amount = 2}};
    apply(&slot, &withdrawn);
    assert_null(slot_log(&slot, 2 * H));
    assert_int_equal(sliding_log_entries(slot_log(&slot, 3 * H)), 1);
    struct change emptied = {.kind = CHANGE_RESOURCE_RESET};
    apply(&slot, &emptied);
    assert_null(slot_log(&slot, 3 * H));
    slot_free(&slot);
}

static void what_is_reserved_is_summed_by_the_cycle_it_was_made_in(void **state)
{
    (void)state;
    struct slot slot = empty_slot();
    put(&slot, window_at(1, BASE, 0));
    put(&slot, window_at(2, BASE, 0));
    assert_int_equal(slot_held(&slot, -1), 0);
    slot_clear_held(&slot);
    const struct hold early = {.units = 5, .made_us = BASE - 1}, both = {.units = 7, .made_us = BASE},
                      second = {.units = 11, .made_us = BASE + D};
    slot_add_held(&slot, &early, 1);
    slot_add_held(&slot, &both, 1);
    slot_add_held(&slot, &second, 1);
    assert_int_equal(slot_held(&slot, -1), 23);
    assert_int_equal(slot_held(&slot, 0), 7);
    assert_int_equal(slot_held(&slot, 1), 18);
    slot_add_held(&slot, &both, -1);
    assert_int_equal(slot_held(&slot, 0), 0);
    assert_int_equal(slot_held(&slot, 1), 11);
    slot_free(&slot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_stand_in_the_order_of_their_periods),
        cmocka_unit_test(what_a_window_lacks_takes_no_memory),
        cmocka_unit_test(a_count_leaves_the_rest_of_its_window_alone),
        cmocka_unit_test(denials_are_counted_where_something_was_used),
        cmocka_unit_test(closed_cycles_are_kept_by_period_and_the_number_of_periods_is_bounded),
        cmocka_unit_test(logs_go_when_they_are_empty_and_their_number_is_bounded),
        cmocka_unit_test(what_is_reserved_is_summed_by_the_cycle_it_was_made_in),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

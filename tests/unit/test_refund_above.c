/* Units that come back to an account come back to those above it: to where they were charged, also after a move; never
 * more than was used there by that member, so that a copy mints nothing. */
#include "family_tools.h"

#define T (INT64_C(1000000000) * S)

static void units_come_back_at_every_level(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 50 day", "a LIMIT 20 day", T);
    pair_request_one(&family.user, "a", 8, MODE_ALL, "x", T);
    pair_refund(&family.user, "a", 3, "x", NULL, T);
    assert_refunded(&family.user, "3 0 15");
    assert_int_equal(used_of(&family.team, "a", T), 5);
    assert_int_equal(used_of(&family.firm, "a", T), 5);
    pair_refund(&family.user, "a", 2, NULL, NULL, T); /* without a name, too */
    assert_refunded(&family.user, "2 0 17");
    assert_int_equal(used_of(&family.firm, "a", T), 3);
    pair_refund_all(&family.user, "x", NULL, T); /* 5 are left of it, 3 are still counted */
    assert_refunded(&family.user, "3 2 20");
    assert_int_equal(used_of(&family.team, "a", T), 0);
    assert_int_equal(used_of(&family.firm, "a", T), 0);
    family_end(&family);
}

/* Without a name no more comes back anywhere than the least used of all running cycles has used. */
static void without_a_name_the_least_used_level_says_how_much(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day LIMIT 50 1h", "a LIMIT 50 day", "a LIMIT 20 day LIMIT 20 1h", T);
    pair_request_one(&family.user, "a", 8, MODE_ALL, "x", T);
    pair_refund(&family.user, "a", 3, NULL, NULL, T + H); /* the hours have used nothing */
    assert_refunded(&family.user, "0 3 12");
    assert_int_equal(used_of(&family.team, "a", T + H), 8);
    pair_consume(&family.user, "a", 2, T + H);
    pair_refund(&family.user, "a", 3, NULL, NULL, T + H);
    assert_refunded(&family.user, "2 1 12");
    assert_int_equal(used_of(&family.user, "a", T + H), 8);
    assert_int_equal(used_of(&family.team, "a", T + H), 8);
    assert_int_equal(used_of(&family.firm, "a", T + H), 8);
    family_end(&family);
}

/* To a cycle that has closed. */
static void closed_cycles_take_units_back(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 50 1h", "a LIMIT 20 month", T);
    pair_request_one(&family.user, "a", 8, MODE_ALL, "x", T);
    pair_consume(&family.user, "a", 1, T + H);
    pair_refund(&family.user, "a", 3, "x", NULL, T + H);
    assert_refunded(&family.user, "3 0 14");
    assert_int_equal(used_of(&family.team, "a", T + H), 1);
    assert_int_equal(pair_used_by(&family.team, "user", "a", T), 5);
    assert_int_equal(pair_used_by(&family.team, "user", "a", T + H), 1);
    family_end(&family);
}

/* A cycle in which credits alone have paid is kept nowhere: they come back all the same. */
static void credits_come_back_from_a_cycle_that_counted_nothing(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 0 1h", "a LIMIT 50 1h", "a LIMIT 20 month", T);
    struct grant_request request = gift("g", 9);
    pair_grant(&family.team, &request, T);
    pair_request_one(&family.user, "a", 5, MODE_ALL, "x", T);
    assert_int_equal(credits_left(&family.team, T), 4);
    pair_refund(&family.user, "a", 3, "x", NULL, T + H);
    assert_refunded(&family.user, "3 0 7");
    assert_int_equal(credits_left(&family.team, T + H), 7);
    assert_int_equal(pair_used_by(&family.team, "user", "a", T), 2);
    family_end(&family);
}

static void they_come_back_to_where_they_were_charged_also_after_a_move(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 50 day", "a LIMIT 20 day", T);
    pair_request_one(&family.user, "a", 8, MODE_ALL, "x", T);
    pair_leave(&family.user, T);
    pair_refund(&family.user, "a", 8, "x", NULL, T); /* by the record's levels */
    assert_refunded(&family.user, "8 0 20");
    assert_int_equal(used_of(&family.team, "a", T), 0);
    assert_int_equal(used_of(&family.firm, "a", T), 0);
    family_end(&family);
}

/* A copy gives back what it counts itself, but nothing at the levels, which have never counted its units. */
static void a_copy_mints_nothing(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 50 day", "a LIMIT 20 day", T);
    pair_request_one(&family.user, "a", 8, MODE_ALL, "x", T);
    pair_reserve(&family.user, "h", "a", 5, H, T);
    struct sink bytes = bytes_of(family.user.account);
    struct pair copy = {.name = "copy", .above = &family.team};
    copy.account = account_decode(sink_content(&bytes));
    copy.twin = account_decode(sink_content(&bytes));
    sink_free(&bytes);
    pair_refund(&copy, "a", 8, "x", NULL, T);
    assert_int_equal(used_of(&family.team, "a", T), 8);
    assert_int_equal(used_of(&family.firm, "a", T), 8);
    pair_refund(&copy, "a", 8, NULL, NULL, T);
    assert_int_equal(used_of(&family.firm, "a", T), 8);
    pair_release(&copy, "h", T); /* the original's units stay held */
    assert_int_equal(remaining_of(&family.team, "a", T), 50 - 8 - 5);
    pair_commit(&family.user, "h", 5, T);
    assert_int_equal(used_of(&family.team, "a", T), 13);
    pair_refund(&family.user, "a", 8, "x", NULL, T);
    assert_int_equal(used_of(&family.team, "a", T), 5);
    pair_end(&copy);
    family_end(&family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_come_back_at_every_level),
        cmocka_unit_test(without_a_name_the_least_used_level_says_how_much),
        cmocka_unit_test(closed_cycles_take_units_back),
        cmocka_unit_test(credits_come_back_from_a_cycle_that_counted_nothing),
        cmocka_unit_test(they_come_back_to_where_they_were_charged_also_after_a_move),
        cmocka_unit_test(a_copy_mints_nothing),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Reservations at every level: posted, released, extended and expired there as at the account itself. */
#include "family_tools.h"

#define T (INT64_C(1000000000) * S)

static int64_t held_of(const struct pair *pair, int64_t at_us)
{
    return report_of(pair->account, "a", 0, at_us).held;
}

static void every_level_holds_its_part(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 50 day", "a LIMIT 20 day", T);
    pair_reserve(&family.user, "h", "a", 8, H, T);
    pair_reserve(&family.other, "h", "a", 3, 2 * H, T); /* the same id is another member's */
    assert_int_equal(held_of(&family.team, T), 11);
    assert_int_equal(held_of(&family.firm, T), 11);
    assert_int_equal(account_live_holds(family.team.account, T), 0); /* of its own */
    pair_commit(&family.user, "h", 5, T);
    assert_resolved(&family.user, "5 3 15");
    assert_int_equal(held_of(&family.team, T), 3);
    assert_int_equal(used_of(&family.team, "a", T), 5);
    assert_int_equal(used_of(&family.firm, "a", T), 5);
    pair_extend(&family.other, "h", 5 * H, T);
    assert_int_equal(held_of(&family.firm, T + 4 * H), 3);
    pair_release(&family.other, "h", T + H);
    assert_int_equal(held_of(&family.team, T + H), 0);
    pair_commit(&family.user, "h", 5, T + H); /* again */
    assert_true(family.user.decision.replayed);
    assert_int_equal(used_of(&family.team, "a", T), 5);
    family_end(&family);
}

/* A level frees its part at the end, also if the member is never touched again. */
static void levels_free_what_has_expired(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 10 day", "a LIMIT 20 day", T);
    pair_reserve(&family.user, "h", "a", 8, H, T);
    pair_request_one(&family.other, "a", 3, MODE_ALL, NULL, T);
    assert_int_equal(family.other.decision.result.consumed.verdicts[0].wait_us, H);
    assert_int_equal(pair_consume(&family.other, "a", 3, T + H), 3);
    /* FORCE posts it late, here and there. */
    pair_commit_all(&family.user, "h", "8", true, T + 2 * H);
    assert_int_equal(used_of(&family.user, "a", T), 8);
    assert_int_equal(used_of(&family.team, "a", T), 11);
    assert_int_equal(pair_used_by(&family.team, "user", "a", T), 8);
    family_end(&family);
}

/* HOLDS MAX and CONCURRENT of a level count its own reservations and those of its members. */
static void bounds_of_a_level_count_its_members(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day CONCURRENT 9", "a LIMIT 50 day HOLDS MAX 2", "a LIMIT 20 day", T);
    pair_reserve(&family.user, "h", "a", 8, H, T);
    pair_reserve(&family.other, "h", "a", 2, H, T);
    assert_true(family.other.decision.denied);
    assert_int_equal(family.other.decision.result.consumed.verdicts[0].rule, 201);
    pair_reserve(&family.other, "h", "a", 1, H, T);
    assert_false(family.other.decision.denied);
    pair_reserve(&family.other, "i", "a", 1, H, T);
    assert_fault(&family.other, ACCOUNT_FAULT_ABOVE);
    assert_fault(&family.team, ACCOUNT_FAULT_HOLDS);
    family_end(&family);
}

/* A level that was deleted meanwhile, and came back, counts what is posted; what it held is gone. */
static void a_level_that_is_new_counts_what_is_posted(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 50 day", "a LIMIT 20 day", T);
    pair_reserve(&family.user, "h", "a", 8, H, T);
    pair_end(&family.firm);
    family.firm.name = "firm";
    pair_open(&family.firm, "firm", T);
    pair_commit(&family.user, "h", 5, T);
    assert_resolved(&family.user, "5 3 15");
    assert_int_equal(used_of(&family.team, "a", T), 5);
    assert_int_equal(used_of(&family.firm, "a", T), 5);
    pair_refund_all(&family.user, "h", NULL, T);
    assert_int_equal(used_of(&family.firm, "a", T), 0);
    family_end(&family);
}

/* A member that was deleted, and came back, may use the id again: what the level held before is given up. */
static void a_member_that_is_new_may_hold_again(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 50 day", "a LIMIT 20 day", T);
    pair_reserve(&family.user, "h", "a", 8, H, T);
    pair_end(&family.user);
    family.user = (struct pair){.name = "user", .above = &family.team};
    pair_open(&family.user, "user", T + S);
    pair_join(&family.user, T + S);
    pair_reserve(&family.user, "h", "a", 6, H, T + S);
    assert_fault(&family.user, ACCOUNT_FAULT_NONE);
    assert_int_equal(held_of(&family.team, T + S), 6);
    pair_commit(&family.user, "h", 6, T + S);
    assert_int_equal(used_of(&family.team, "a", T + S), 6);
    assert_int_equal(held_of(&family.firm, T + S), 0);
    family_end(&family);
}

/* Several resources, of which each level knows others. */
static void levels_hold_what_they_know(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "b LIMIT 100 day | c LIMIT 9 day", "a LIMIT 50 day | c AS d COST 3 | d LIMIT 60 day",
                 "a LIMIT 20 day | b LIMIT 20 day", T);
    pair_reserve_all(&family.user, "h", "a 3 | b 5 | c 2", MODE_ALL, H, T);
    assert_fault(&family.user, ACCOUNT_FAULT_NONE);
    assert_int_equal(held_of(&family.team, T), 3);
    assert_int_equal(report_of(family.team.account, "d", 0, T).held, 6);
    pair_commit_all(&family.user, "h", "3 4 1", false, T);
    assert_resolved(&family.user, "3 0 17 | 4 1 16 | 1 1 8");
    assert_int_equal(used_of(&family.team, "d", T), 3);
    assert_int_equal(used_of(&family.firm, "b", T), 4);
    assert_int_equal(used_of(&family.firm, "c", T), 1);
    pair_refund(&family.user, "c", 1, "h", NULL, T);
    assert_int_equal(used_of(&family.team, "d", T), 0);
    assert_int_equal(used_of(&family.firm, "c", T), 0);
    family_end(&family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_holds_its_part),
        cmocka_unit_test(levels_free_what_has_expired),
        cmocka_unit_test(bounds_of_a_level_count_its_members),
        cmocka_unit_test(a_level_that_is_new_counts_what_is_posted),
        cmocka_unit_test(a_member_that_is_new_may_hold_again),
        cmocka_unit_test(levels_hold_what_they_know),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Credits of members pay for what levels above lack: which account pays, how many units, and what a failed request
 * leaves. tests/integration/test_quota_member_credits.py walks random trees. */
#include "family_tools.h"
#include "quota/decide/below.h"
#include <stdio.h>

#define T (INT64_C(1000000000) * S)

/* A family whose LIMITs are so tight, with so many credits each; one request, and what it leaves. */
struct row {
    const char *firm, *team, *user;
    int64_t credits[3]; /* of firm, team, user */
    int64_t amount;
    enum request_mode mode;
    int64_t granted;
    int64_t used[3], left[3];
};

static void assert_row(size_t number, const struct row *row)
{
    struct family family;
    family_begin(&family, row->firm, row->team, row->user, T);
    struct pair *levels[] = {&family.firm, &family.team, &family.user};
    for (int k = 3; k-- > 0;) family_give(levels[k], row->credits[k], T);
    pair_request_one(&family.user, "a", row->amount, row->mode, NULL, T);
    assert_fault(&family.user, ACCOUNT_FAULT_NONE);
    int64_t granted = family.user.decision.result.consumed.verdicts[0].granted;
    if (granted != row->granted) fail_msg("row %zu: granted %lld", number, (long long)granted);
    for (int k = 0; k < 3; k++) {
        bool knows = levels[k] != &family.team || row->team[0] == 'a';
        int64_t used = knows ? used_of(levels[k], "a", T) : 0, left = family_credits(levels[k]);
        if (used == row->used[k] && left == row->left[k]) continue;
        fail_msg("row %zu, level %d: used %lld, credits %lld", number, k, (long long)used, (long long)left);
    }
    family_end(&family);
}

static void who_pays(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* no level lacks anything: no credits are used */
        {"a LIMIT 9 day", "a LIMIT 9 day", "a LIMIT 9 day", {5, 5, 5}, 9, MODE_ALL, 9, {9, 9, 9}, {5, 5, 5}},
        /* the firm lacks: its own credits, then the team's, then the user's */
        {"a LIMIT 1 day", "a LIMIT 9 day", "a LIMIT 9 day", {5, 5, 5}, 6, MODE_ALL, 6, {1, 6, 6}, {0, 5, 5}},
        {"a LIMIT 1 day", "a LIMIT 9 day", "a LIMIT 9 day", {1, 5, 5}, 6, MODE_ALL, 6, {1, 2, 6}, {0, 1, 5}},
        {"a LIMIT 1 day", "a LIMIT 9 day", "a LIMIT 9 day", {0, 2, 5}, 6, MODE_ALL, 6, {1, 4, 3}, {0, 0, 2}},
        /* the team lacks: the firm counts all the same */
        {"a LIMIT 9 day", "a LIMIT 1 day", "a LIMIT 9 day", {5, 0, 5}, 6, MODE_ALL, 6, {6, 1, 1}, {5, 0, 0}},
        /* one unit too many anywhere: nothing is charged */
        {"a LIMIT 1 day", "a LIMIT 9 day", "a LIMIT 9 day", {0, 2, 2}, 6, MODE_ALL, 0, {0, 0, 0}, {0, 2, 2}},
        {"a LIMIT 1 day", "a LIMIT 9 day", "a LIMIT 9 day", {0, 2, 2}, 6, MODE_UPTO, 5, {1, 3, 3}, {0, 0, 0}},
        /* a level that does not know the resource is passed; what the user's limit lacks, too, is paid for once */
        {"a LIMIT 1 day", "b LIMIT 9 day", "a LIMIT 0 day", {0, 0, 5}, 5, MODE_ALL, 5, {1, 0, 0}, {0, 0, 0}},
        /* credits pay for whole amounts: of three units that one is at the firm one is still free there */
        {"a LIMIT 4 day COST 3", "a LIMIT 9 day", "a LIMIT 9 day", {0, 0, 5}, 2, MODE_ALL, 2, {4, 2, 1}, {0, 0, 4}},
        /* FORCE counts what nothing pays for */
        {"a LIMIT 1 day", "a LIMIT 9 day", "a LIMIT 9 day", {0, 0, 2}, 6, MODE_FORCE, 6, {4, 6, 4}, {0, 0, 0}},
        /* a dry run */
        {"a LIMIT 1 day", "a LIMIT 9 day", "a LIMIT 9 day", {0, 0, 5}, 6, MODE_PEEK, 6, {0, 0, 0}, {0, 0, 5}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) assert_row(i, &rows[i]);
}

/* What the level's own record says comes back in the reverse order. */
static void it_comes_back_in_reverse(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 4 day", "a LIMIT 9 day", T);
    family_give(&family.user, 5, T);
    pair_request_one(&family.user, "a", 7, MODE_ALL, "one", T);
    assert_int_equal(family_credits(&family.user), 2);
    pair_refund(&family.user, "a", 4, "one", NULL, T);
    assert_int_equal(family_credits(&family.user), 5);
    assert_int_equal(used_of(&family.team, "a", T), 3);
    assert_int_equal(used_of(&family.firm, "a", T), 3);
    pair_refund(&family.user, "a", 3, "one", NULL, T);
    assert_int_equal(used_of(&family.team, "a", T), 0);
    family_end(&family);
}

/* What FORCE counts is drawn last, behind the credits of members, and goes back first. */
static void what_was_forced_comes_back_first(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 1 day", "b LIMIT 9 day", "a LIMIT 9 day", T);
    family_give(&family.user, 2, T);
    pair_request_one(&family.user, "a", 6, MODE_FORCE, "one", T);
    assert_int_equal(used_of(&family.firm, "a", T), 4);
    pair_refund(&family.user, "a", 3, "one", NULL, T);
    assert_int_equal(used_of(&family.firm, "a", T), 1);
    assert_int_equal(family_credits(&family.user), 2);
    pair_refund(&family.user, "a", 2, "one", NULL, T);
    assert_int_equal(used_of(&family.firm, "a", T), 1);
    pair_refund(&family.user, "a", 1, "one", NULL, T);
    assert_int_equal(used_of(&family.firm, "a", T), 0);
    family_end(&family);
}

/* A resource that is counted AS another one, and has no rule of its own, has credits below it all the same. */
static void a_level_may_count_it_as_another(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 9 day", "a AS c | c LIMIT 2 day", "a LIMIT 1 day", T);
    family_give(&family.user, 5, T);
    pair_request_one(&family.user, "a", 3, MODE_ALL, NULL, T);
    assert_fault(&family.user, ACCOUNT_FAULT_NONE);
    assert_verdict(0, family.user.decision.result.consumed.verdicts[0], (struct verdict){3, 5, 3, 0, NEVER_US, 1});
    assert_int_equal(used_of(&family.team, "c", T), 2);
    family_end(&family);
}

/* CONCURRENT of a level counts what members hold, also where their own credits have paid for it. */
static void what_credits_below_hold_is_concurrent(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 2 day CONCURRENT 9", "b LIMIT 9 day", "a LIMIT 100 day", T);
    family_give(&family.user, 50, T);
    pair_reserve(&family.user, "h", "a", 6, H, T);
    assert_int_equal(family.user.decision.result.consumed.verdicts[0].granted, 6);
    pair_reserve(&family.user, "i", "a", 4, H, T);
    assert_verdict(0, family.user.decision.result.consumed.verdicts[0], (struct verdict){0, 9, 3, H, H, 201});
    pair_reserve(&family.user, "j", "a", 3, H, T);
    assert_int_equal(family.user.decision.result.consumed.verdicts[0].granted, 3);
    pair_reserve(&family.user, "k", "a", 9, H, T + H);
    assert_int_equal(family.user.decision.result.consumed.verdicts[0].granted, 9);
    family_end(&family);
}

/* A level that has no limit, and credits below it that pay for all, denies nothing: who does is named. */
static void who_refuses_is_named(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day CONCURRENT 6", "a CREDITS", "a LIMIT 6 day", T);
    family_give(&family.user, 11, T);
    pair_reserve(&family.user, "h", "a", 8, H, T);
    assert_verdict(0, family.user.decision.result.consumed.verdicts[0], (struct verdict){0, 6, 6, NEVER_US, 0, 201});
    pair_reserve(&family.user, "h", "a", 12, H, T);
    assert_verdict(1, family.user.decision.result.consumed.verdicts[0],
                   (struct verdict){0, 0, 11, NEVER_US, NEVER_US, 100});
    family_end(&family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_pays),
        cmocka_unit_test(it_comes_back_in_reverse),
        cmocka_unit_test(what_was_forced_comes_back_first),
        cmocka_unit_test(a_level_may_count_it_as_another),
        cmocka_unit_test(what_credits_below_hold_is_concurrent),
        cmocka_unit_test(who_refuses_is_named),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

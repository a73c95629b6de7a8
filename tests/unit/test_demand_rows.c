/* Unit tests of src/decide/demand_rows.c: rows that are counted as one resource, and credits that pay for such sums. */
#include "family_tools.h"
#include "quota/decide/demand_rows.h"

#define T (INT64_C(1000000000) * S)

/* 2 of `i` and 1 of `o`, by the user. */
static void request_both(struct family *family, const char *id)
{
    struct consume_item items[] = {{BYTES("i"), 2}, {BYTES("o"), 1}};
    struct consume_request request = {.items = items, .count = 2, .batch = true, .id = text_bytes(id), .now_us = T};
    pair_request(&family->user, &request);
    assert_fault(&family->user, ACCOUNT_FAULT_NONE);
}

static void assert_state(size_t number, const struct pair *pair, int64_t used, int64_t left)
{
    int64_t is_used = used_of(pair, "a", T), is_left = family_credits(pair);
    if (is_used != used || is_left != left)
        fail_msg("row %zu, %s: used %lld, credits %lld", number, pair->name, (long long)is_used, (long long)is_left);
}

#define TOKENS "i AS a | o AS a COST 3 | "
#define NINE   TOKENS "a LIMIT 9 day"
#define ONE    TOKENS "a LIMIT 1 day"

static void credits_pay_for_what_the_sum_above_lacks(void **state)
{
    (void)state;
    static const struct {
        const char *firm, *team, *user;
        int64_t credits[3]; /* of firm, team, user */
        bool granted;
        int64_t used[3], left[3];
    } rows[] = {
        /* no level lacks anything */
        {NINE, NINE, NINE, {5, 5, 5}, true, {5, 5, 5}, {5, 5, 5}},
        /* the firm lacks four units: its own credits pay, then the team's, then the user's */
        {ONE, NINE, NINE, {4, 5, 5}, true, {1, 5, 5}, {0, 5, 5}},
        {ONE, NINE, NINE, {0, 2, 5}, true, {1, 3, 3}, {0, 0, 3}},
        /* one unit too many: nothing is charged */
        {ONE, NINE, NINE, {0, 1, 2}, false, {0}, {0, 1, 2}},
        /* the team lacks, and so does the user: what it is paid for once counts where there is room */
        {NINE, TOKENS "a LIMIT 2 day", ONE, {0, 0, 5}, true, {5, 2, 1}, {0, 0, 1}},
        /* the firm counts twice as much of both: credits pay for whole parts of it, three */
        {"i AS a COST 2 | o AS a COST 6 | a LIMIT 5 day", NINE, NINE, {0, 0, 5}, true, {5, 5, 2}, {0, 0, 2}},
        /* the team does not know the rows: it is passed */
        {ONE, "b LIMIT 9 day", NINE, {0, 0, 5}, true, {1, 0, 1}, {0, 0, 1}},
        /* other proportions, other rows: the sums are not the same */
        {"i AS a | o AS a COST 2 | a LIMIT 1 day", NINE, NINE, {0, 0, 9}, false, {0}, {0, 0, 9}},
        {ONE, "i AS a | a LIMIT 9 day | o LIMIT 9 day", NINE, {0, 0, 9}, false, {0}, {0, 0, 9}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct family family;
        family_begin(&family, rows[i].firm, rows[i].team, rows[i].user, T);
        struct pair *levels[] = {&family.firm, &family.team, &family.user};
        for (int k = 3; k-- > 0;) family_give(levels[k], rows[i].credits[k], T);
        request_both(&family, "");
        assert_int_equal(family.user.decision.denied, !rows[i].granted);
        for (int k = 0; k < 3; k++) {
            bool knows = levels[k] != &family.team || rows[i].team[0] != 'b';
            if (knows) assert_state(i, levels[k], rows[i].used[k], rows[i].left[k]);
        }
        family_end(&family);
    }
}

static void what_it_lacks_is_said(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, ONE, "b LIMIT 9 day", NINE, T);
    family_give(&family.user, 3, T);
    request_both(&family, "");
    const struct verdict *verdicts = family.user.decision.result.consumed.verdicts;
    for (int i = 0; i < 2; i++) assert_verdict(i, verdicts[i], (struct verdict){0, 1, 4, NEVER_US, 0, 200});
    struct grant_request more = gift("h", 1);
    more.resource = text_bytes("a");
    pair_grant(&family.user, &more, T);
    request_both(&family, "");
    for (int i = 0; i < 2; i++) assert_int_equal(verdicts[i].remaining, 0);
    family_end(&family);
}

static void all_of_it_comes_back(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, NINE, TOKENS "a LIMIT 2 day", NINE, T);
    family_give(&family.user, 4, T);
    request_both(&family, "one");
    assert_state(0, &family.team, 2, 0);
    assert_state(0, &family.user, 2, 1);
    pair_refund_all(&family.user, "one", "", T);
    assert_state(1, &family.firm, 0, 0);
    assert_state(1, &family.team, 0, 0);
    assert_state(1, &family.user, 0, 4);
    pair_reserve_all(&family.user, "two", "i 2 | o 1", MODE_ALL, H, T);
    pair_commit_all(&family.user, "two", "2 0", false, T);
    assert_state(2, &family.team, 2, 0);
    assert_state(2, &family.user, 2, 4);
    family_end(&family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credits_pay_for_what_the_sum_above_lacks),
        cmocka_unit_test(what_it_lacks_is_said),
        cmocka_unit_test(all_of_it_comes_back),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

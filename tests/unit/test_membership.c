/* What an account above counts of its members: in which cycle, and who makes room in a full pool. */
#include "family_tools.h"
#include "quota/decide/membership.h"
#include <stdio.h>

#define T (INT64_C(1000000000) * S)

/* In the cycle of the longest LIMIT; where there is none that ends, for ever. */
static void use_counts_in_the_longest_cycle(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 90 1h LIMIT 100 day", "a LIMIT 100 day | b LIMIT 9 day", T);
    pair_consume(&family.user, "a", 3, T);
    pair_consume(&family.user, "a", 2, T + 2 * H);
    assert_int_equal(pair_used_by(&family.team, "user", "a", T), 5);
    pair_consume(&family.user, "a", 1, T + D);
    assert_int_equal(pair_used_by(&family.team, "user", "a", T), 5);
    assert_int_equal(pair_used_by(&family.team, "user", "a", T + D), 1);
    assert_int_equal(pair_used_by(&family.team, "other", "a", T), 0);
    family_end(&family);
}

/* What is posted late counts in the cycle in which it was held. */
static void what_is_posted_late_counts_in_its_cycle(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 100 day", "a LIMIT 100 day", T);
    pair_reserve(&family.user, "h", "a", 5, 2 * D, T);
    pair_consume(&family.user, "a", 1, T + D);
    pair_commit(&family.user, "h", 4, T + D + H);
    assert_int_equal(pair_used_by(&family.team, "user", "a", T), 4);
    assert_int_equal(pair_used_by(&family.team, "user", "a", T + D), 1);
    pair_refund(&family.user, "a", 4, "h", NULL, T + D + H);
    assert_refunded(&family.user, "4 0 99");
    assert_int_equal(pair_used_by(&family.team, "user", "a", T), 0);
    family_end(&family);
}

/* A pool of MEMBERS_MAX, each of which was charged, but for one. */
static void fill(struct pair *pool, int64_t idle_us, int64_t at_us)
{
    struct sink changes = {0};
    struct account_view view;
    char name[16];
    (void)account_view_begin(&view, pool->account, &host, at_us);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        int size = snprintf(name, sizeof(name), "m%d", i);
        struct change join = {.kind = CHANGE_MEMBER, .number = i + 1, .bytes = {name, (size_t)size}, .amount = 1};
        change_encode(&join, &changes);
    }
    struct account_change first = {at_us - idle_us, sink_content(&changes), ACCOUNT_ENCODING_NEWEST, false};
    pool->account = account_apply(pool->account, &first);
    changes.size = 0;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        struct change use = {.kind = CHANGE_MEMBER_USED, .number = i + 1, .until_us = T, .amount = 1};
        change_encode(&use, &changes);
        if (i == 6) i++; /* m7 was never charged */
    }
    struct account_change second = {at_us, sink_content(&changes), ACCOUNT_ENCODING_NEWEST, false};
    pool->account = account_apply(pool->account, &second);
    account_view_end(&view);
    sink_free(&changes);
}

static void in_a_full_pool_the_idle_one_makes_room(void **state)
{
    (void)state;
    struct pair pool = {.name = "pool"}, late = {.name = "late", .above = &pool},
                later = {.name = "later", .above = &pool};
    plan_set("p", "a LIMIT 100000 day");
    pair_open(&pool, "p", T);
    pair_open(&late, "p", T);
    pair_open(&later, "p", T);
    pair_consume(&pool, "a", 1, T);
    account_free(pool.twin);
    fill(&pool, H, T + 2 * H);
    struct sink bytes = bytes_of(pool.account);
    pool.twin = account_decode(sink_content(&bytes));
    sink_free(&bytes);
    pair_request_one(&late, "a", 1, MODE_ALL, NULL, T + 2 * H);
    assert_fault(&late, ACCOUNT_FAULT_NONE);
    const struct members *members = account_members(pool.account);
    assert_int_equal(members_live(members), MEMBERS_MAX);
    assert_true(members_find(members, BYTES("m7"))->has_left);
    assert_non_null(members_find(members, BYTES("late")));
    /* All others were charged within a whole cycle. */
    pair_request_one(&later, "a", 1, MODE_ALL, NULL, T + 3 * H);
    assert_fault(&later, ACCOUNT_FAULT_ABOVE);
    assert_fault(&pool, ACCOUNT_FAULT_MEMBERS);
    pair_request_one(&later, "a", 1, MODE_ALL, NULL, T + 2 * D);
    assert_fault(&later, ACCOUNT_FAULT_NONE);
    pair_end(&pool);
    pair_end(&late);
    pair_end(&later);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(use_counts_in_the_longest_cycle),
        cmocka_unit_test(what_is_posted_late_counts_in_its_cycle),
        cmocka_unit_test(in_a_full_pool_the_idle_one_makes_room),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* The accounts above: all admit or none is charged, by each one's own rules; who refuses is named; random families
 * against a plain count of what each has used. */
#include "family_tools.h"
#include <stdio.h>

#define T (INT64_C(1000000000) * S)

static struct verdict last(const struct pair *pair)
{
    assert_fault(pair, ACCOUNT_FAULT_NONE);
    return pair->decision.result.consumed.verdicts[0];
}

/* ---- one request ----------------------------------------------------------------------------------------- */

/* The rule is the tightest of all levels: 100 x level + its index. */
static void all_levels_admit_or_none_is_charged(void **state)
{
    (void)state;
    static const struct {
        int64_t amount;
        enum request_mode mode;
        struct verdict verdict; /* granted, limit, remaining, wait, reset, rule */
        int64_t user, team, firm;
    } rows[] = {
        /* the user has least left */
        {2, MODE_ALL, {2, 5, 3, 0, D, 0}, 2, 2, 2},
        /* then the team, by its second rule */
        {2, MODE_ALL, {2, 5, 1, 0, D, 0}, 4, 4, 4},
        {2, MODE_ALL, {0, 5, 1, D, D, 0}, 4, 4, 4},
        /* UPTO: the smallest pot */
        {9, MODE_UPTO, {1, 5, 0, 0, D, 0}, 5, 5, 5},
        /* FORCE charges all of them */
        {2, MODE_FORCE, {2, 5, 0, 0, D, 0}, 7, 7, 7},
    };
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 50 month LIMIT 9 day", "a LIMIT 5 day", T);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        pair_request_one(&family.user, "a", rows[i].amount, rows[i].mode, NULL, T);
        assert_verdict(i, last(&family.user), rows[i].verdict);
        assert_int_equal(used_of(&family.user, "a", T), rows[i].user);
        assert_int_equal(used_of(&family.team, "a", T), rows[i].team);
        assert_int_equal(used_of(&family.firm, "a", T), rows[i].firm);
    }
    family_end(&family);
}

static void the_rule_of_a_level_says_which(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 7 day", "a LIMIT 20 month LIMIT 4 1h", "a LIMIT 50 day", T);
    pair_request_one(&family.user, "a", 3, MODE_ALL, NULL, T);
    assert_verdict(0, last(&family.user), (struct verdict){3, 4, 1, 0, H, 101});
    pair_request_one(&family.user, "a", 3, MODE_ALL, NULL, T);
    assert_verdict(1, last(&family.user), (struct verdict){0, 4, 1, H, H, 101});
    pair_request_one(&family.user, "a", 3, MODE_ALL, NULL, T + H);
    assert_verdict(2, last(&family.user), (struct verdict){3, 4, 1, 0, H, 101});
    assert_int_equal(family.user.decision.causes_count, 0);
    pair_request_one(&family.user, "a", 2, MODE_ALL, NULL, T + H);
    assert_verdict(3, last(&family.user), (struct verdict){0, 7, 1, D - H, D - H, 200});
    /* The denial is the firm's, and stands in the decision about it. */
    assert_int_equal(family.firm.decision.causes_count, 1);
    assert_int_equal(family.firm.decision.causes[0].rule, 0);
    assert_int_equal(family.user.decision.causes_count, 0);
    family_end(&family);
}

/* A level whose plan does not know the resource is passed; where none knows it there is no such resource. */
static void levels_that_do_not_know_a_resource_are_passed(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 7 day | c LIMIT 3 day", "b LIMIT 20 day", "a LIMIT 50 day | b LIMIT 50 day", T);
    pair_request_one(&family.user, "a", 3, MODE_ALL, NULL, T);
    assert_verdict(0, last(&family.user), (struct verdict){3, 7, 4, 0, D, 200});
    pair_request_one(&family.user, "b", 3, MODE_ALL, NULL, T);
    assert_verdict(1, last(&family.user), (struct verdict){3, 20, 17, 0, D, 100});
    /* One that only the firm knows: the user remembers the id, and counts nothing. */
    pair_request_one(&family.user, "c", 2, MODE_ALL, "x", T);
    assert_verdict(2, last(&family.user), (struct verdict){2, 3, 1, 0, D, 200});
    pair_request_one(&family.user, "c", 2, MODE_ALL, "x", T + S);
    assert_true(family.user.decision.replayed);
    assert_int_equal(used_of(&family.firm, "c", T), 2);
    pair_refund(&family.user, "c", 1, "x", NULL, T + S);
    assert_refunded(&family.user, "1 0 2");
    pair_request_one(&family.user, "d", 1, MODE_ALL, NULL, T);
    assert_fault(&family.user, ACCOUNT_FAULT_RESOURCE);
    family_end(&family);
}

/* Rows of one request that a level counts as one are needed together there. */
static void a_level_may_count_resources_as_one(void **state)
{
    (void)state;
    struct family family;
    struct consume_item items[] = {{BYTES("fast"), 2}, {BYTES("slow"), 3}};
    struct consume_request request = {.items = items, .count = 2, .batch = true, .id = BYTES("m"), .now_us = T};
    family_begin(&family, "minutes LIMIT 100 day",
                 "minutes LIMIT 26 day | fast AS minutes COST 10 | slow AS minutes COST 2",
                 "fast LIMIT 9 day | slow LIMIT 9 day", T);
    pair_request(&family.user, &request);
    assert_fault(&family.user, ACCOUNT_FAULT_NONE);
    assert_int_equal(used_of(&family.team, "minutes", T), 26);
    assert_int_equal(used_of(&family.firm, "minutes", T), 0); /* it does not know the rows */
    assert_int_equal(pair_used_by(&family.team, "user", "minutes", T), 26);
    assert_int_equal(pair_used_by(&family.team, "user", "fast", 0), 2);
    request.id = BYTES("");
    pair_request(&family.user, &request);
    assert_true(family.user.decision.denied);
    assert_int_equal(used_of(&family.user, "fast", T), 2);
    pair_refund(&family.user, "fast", 1, "m", NULL, T);
    assert_refunded(&family.user, "1 0 8");
    assert_int_equal(used_of(&family.team, "minutes", T), 16);
    pair_refund_all(&family.user, "m", NULL, T); /* they come back in sum */
    assert_refunded(&family.user, "1 0 9 | 3 0 9");
    pair_consume(&family.other, "slow", 9, T); /* 18 of the team's 26 */
    pair_refund_all(&family.user, "m", NULL, T);
    assert_refunded(&family.user, "0 0 8 | 0 0 8"); /* nothing is left of it: what the tightest level leaves */
    assert_int_equal(used_of(&family.team, "minutes", T), 18);
    assert_int_equal(pair_used_by(&family.team, "user", "minutes", T), 0);
    family_end(&family);
}

/* Reservations of rows that a level counts as one hold, post and release their sum there. */
static void a_level_may_hold_resources_as_one(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "minutes LIMIT 100 day",
                 "minutes LIMIT 26 day | fast AS minutes COST 10 | slow AS minutes COST 2",
                 "fast LIMIT 9 day | slow LIMIT 9 day", T);
    pair_reserve_all(&family.user, "h", "fast 2 | slow 3", MODE_ALL, H, T);
    assert_fault(&family.user, ACCOUNT_FAULT_NONE);
    pair_reserve_all(&family.user, "i", "slow 1", MODE_ALL, H, T);
    assert_true(family.user.decision.denied);
    pair_commit_all(&family.user, "h", "1 2", false, T);
    assert_fault(&family.user, ACCOUNT_FAULT_NONE);
    assert_int_equal(used_of(&family.team, "minutes", T), 14);
    assert_int_equal(pair_used_by(&family.team, "user", "minutes", T), 14);
    pair_refund_all(&family.user, "h", NULL, T);
    assert_refunded(&family.user, "1 0 9 | 2 0 9");
    assert_int_equal(used_of(&family.team, "minutes", T), 0);
    family_end(&family);
}

/* A row may be known here only by its name: as what another row is counted AS, while its rules stand elsewhere. */
static void what_a_row_is_counted_as_has_to_be_known_at_its_level(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"fast AS slow COST 2", "fast LIMIT 9 day | slow LIMIT 9 day"},
                                          {"slow LIMIT 9 day", "fast AS slow COST 2"}};
    struct consume_item items[] = {{BYTES("fast"), 2}, {BYTES("slow"), 3}};
    struct consume_request request = {.items = items, .count = 2, .batch = true, .now_us = T};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct family family;
        family_begin(&family, "minutes LIMIT 100 day", rows[i][0], rows[i][1], T);
        struct pair *at = i == 0 ? &family.team : &family.user;
        pair_request(&family.user, &request);
        if (i == 0) assert_fault(&family.user, ACCOUNT_FAULT_ABOVE);
        assert_fault(at, ACCOUNT_FAULT_RESOURCE);
        assert_true(bytes_equal(at->decision.fault_subject, BYTES("slow")));
        pair_reserve_all(&family.user, "h", "fast 1 | slow 1", MODE_ALL, H, T);
        assert_fault(at, ACCOUNT_FAULT_RESOURCE);
        family_end(&family);
    }
}

/* ---- who refuses ------------------------------------------------------------------------------------------ */

static void a_level_that_admits_nothing_is_named(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 7 day", "a LIMIT 20 day", "a LIMIT 50 day", T);
    pair_request_one(&family.user, "a", 1, MODE_ALL, "before", T);
    pair_state(&family.firm, ACCOUNT_SUSPENDED, T);
    pair_request_one(&family.user, "a", 1, MODE_ALL, NULL, T);
    assert_fault(&family.user, ACCOUNT_FAULT_ABOVE);
    assert_fault(&family.firm, ACCOUNT_FAULT_SUSPENDED);
    pair_request_one(&family.user, "a", 1, MODE_ALL, "before", T); /* a replay is an answer all the same */
    assert_true(family.user.decision.replayed);
    pair_state(&family.firm, ACCOUNT_ACTIVE, T);
    pair_state(&family.team, ACCOUNT_CLOSED, T);
    pair_request_one(&family.user, "a", 1, MODE_ALL, NULL, T);
    assert_fault(&family.user, ACCOUNT_FAULT_ABOVE);
    assert_fault(&family.team, ACCOUNT_FAULT_CLOSED);
    pair_end(&family.team);
    family.team.name = "team";
    family.team.above = &family.firm;
    pair_reserve(&family.user, "h", "a", 1, H, T);
    assert_fault(&family.user, ACCOUNT_FAULT_ABOVE);
    assert_fault(&family.team, ACCOUNT_FAULT_MISSING);
    assert_int_equal(used_of(&family.user, "a", T), 1);
    assert_int_equal(used_of(&family.firm, "a", T), 1);
    pair_refund(&family.user, "a", 1, "before", NULL, T); /* what is not there is skipped */
    assert_int_equal(used_of(&family.firm, "a", T), 0);
    family_end(&family);
}

/* One instant for all: none is judged before its last change. */
static void all_are_judged_at_one_instant(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 7 day", "a LIMIT 20 day", "a LIMIT 50 day", T);
    pair_consume(&family.firm, "a", 1, T + H);
    pair_request_one(&family.user, "a", 1, MODE_ALL, "x", T);
    assert_int_equal(family.user.account->applied_at_us, T + H);
    assert_int_equal(family.team.account->applied_at_us, T + H);
    family_end(&family);
}

/* ---- random families -------------------------------------------------------------------------------------- */

#define ROUNDS 4000

/* What members have used of each pool is what the pool has used; a level is never above its limit. */
static void check_sums(const struct family *family, int64_t now_us)
{
    struct window team = window_of(&family->team, "a", now_us), firm = window_of(&family->firm, "a", now_us);
    int64_t of_users = pair_used_by(&family->team, "user", "a", team.start_us) +
                       pair_used_by(&family->team, "other", "a", team.start_us);
    assert_int_equal(of_users, team.used);
    assert_int_equal(pair_used_by(&family->firm, "team", "a", firm.start_us), firm.used);
    assert_true(team.used <= 40 && firm.used <= 60);
}

static void random_step(struct pair *pair, int round, int64_t now_us)
{
    char id[16], of[16];
    (void)snprintf(id, sizeof(id), "%d", round);
    (void)snprintf(of, sizeof(of), "%d", round - (int)random_below(12));
    switch (random_below(8)) {
    case 0: pair_reserve(pair, id, "a", random_between(1, 6), random_between(1, 20) * H, now_us); break;
    case 1: pair_commit(pair, of, random_between(0, 6), now_us); break;
    case 2: pair_release(pair, of, now_us); break;
    case 3: pair_refund(pair, "a", random_between(1, 4), of, NULL, now_us); break;
    case 4: pair_refund(pair, "a", random_between(1, 4), NULL, NULL, now_us); break;
    case 5: pair_extend(pair, of, random_between(1, 20) * H, now_us); break;
    default: pair_request_one(pair, "a", random_between(1, 6), random_below(2) ? MODE_ALL : MODE_UPTO, id, now_us);
    }
}

static void members_use_what_their_pool_has_used(void **state)
{
    (void)state;
    struct family family;
    int64_t now_us = T;
    family_begin(&family, "a LIMIT 60 day", "a LIMIT 40 day LIMIT 15 1h", "a LIMIT 30 day", T);
    for (int round = 100; round < ROUNDS; round++) {
        struct pair *pair = random_below(2) ? &family.user : &family.other;
        if (random_below(4) == 0) now_us += random_between(1, 3) * H;
        random_step(pair, round, now_us);
        check_sums(&family, now_us);
    }
    family_end(&family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_levels_admit_or_none_is_charged),
        cmocka_unit_test(the_rule_of_a_level_says_which),
        cmocka_unit_test(levels_that_do_not_know_a_resource_are_passed),
        cmocka_unit_test(a_level_may_count_resources_as_one),
        cmocka_unit_test(a_level_may_hold_resources_as_one),
        cmocka_unit_test(what_a_row_is_counted_as_has_to_be_known_at_its_level),
        cmocka_unit_test(a_level_that_admits_nothing_is_named),
        cmocka_unit_test(all_are_judged_at_one_instant),
        cmocka_unit_test(members_use_what_their_pool_has_used),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Pools whose LIMIT is shared: what each member may use, over cycles; who joins, leaves, holds and goes beyond. */
#include "family_tools.h"
#include "quota/decide/pool.h"
#include <stdio.h>
#include <string.h>

#define T (INT64_C(1000000000) * S)

#define MEMBERS 3
struct team {
    struct pair pool, members[MEMBERS];
};

static const char *const names[MEMBERS] = {"m0", "m1", "m2"};

static void team_begin(struct team *team, const char *pool)
{
    team->pool = (struct pair){.name = "pool"};
    plan_set("pool", pool);
    plan_set("m", "a LIMIT -1 day");
    pair_open(&team->pool, "pool", T);
    for (int i = 0; i < MEMBERS; i++) {
        team->members[i] = (struct pair){.name = names[i], .above = &team->pool};
        pair_open(&team->members[i], "m", T);
        pair_join(&team->members[i], T);
    }
}

static void team_end(struct team *team)
{
    for (int i = 0; i < MEMBERS; i++) pair_end(&team->members[i]);
    pair_end(&team->pool);
}

/* The verdict of a request of member `i`. */
static struct verdict use(struct team *team, int i, int64_t amount, enum request_mode mode, int64_t at_us)
{
    pair_request_one(&team->members[i], "a", amount, mode, NULL, at_us);
    assert_fault(&team->members[i], ACCOUNT_FAULT_NONE);
    return team->members[i].decision.result.consumed.verdicts[0];
}

static void weigh(struct team *team, const char *name, uint32_t weight, int64_t at_us)
{
    struct admin_action action = {.now_us = at_us, .actor = BYTES("ops")};
    struct account_decision decision;
    weight_decide(team->pool.account, &host, text_bytes(name), weight, &action, &decision);
    struct account_change change = account_decision_change(&decision);
    team->pool.account = account_apply(team->pool.account, &change);
    team->pool.twin = account_apply(team->pool.twin, &change);
    account_decision_end(&decision);
}

static int64_t share_of(const struct team *team, const char *name)
{
    const struct member *member = members_find(account_members(team->pool.account), text_bytes(name));
    const struct member_use *of = member ? member_use_of(member, 0) : NULL;
    return of ? of->share : NOT_SHARED_YET;
}

static void assert_shares(const struct team *team, int64_t one, int64_t two, int64_t three)
{
    const int64_t wanted[MEMBERS] = {one, two, three};
    for (int i = 0; i < MEMBERS; i++) {
        if (share_of(team, names[i]) != wanted[i])
            fail_msg("member %d has %lld", i, (long long)share_of(team, names[i]));
    }
}

/* ---- EQUAL ------------------------------------------------------------------------------------------------- */

static void each_has_its_part(void **state)
{
    (void)state;
    struct team team;
    team_begin(&team, "a LIMIT 100 day LIMIT 1000 1h SHARE EQUAL");
    assert_verdict(0, use(&team, 0, 30, MODE_ALL, T), (struct verdict){30, 34, 4, 0, D, 199});
    assert_shares(&team, 34, 33, 33);
    assert_verdict(1, use(&team, 0, 5, MODE_ALL, T), (struct verdict){0, 34, 4, D, D, 199});
    assert_verdict(2, use(&team, 0, 5, MODE_UPTO, T), (struct verdict){4, 34, 0, 0, D, 199});
    assert_verdict(3, use(&team, 1, 33, MODE_ALL, T), (struct verdict){33, 33, 0, 0, D, 199});
    assert_verdict(4, use(&team, 1, 2, MODE_FORCE, T), (struct verdict){2, 33, 0, 0, D, 199});
    assert_verdict(5, use(&team, 2, 33, MODE_ALL, T), (struct verdict){0, 100, 31, D, D, 100}); /* FORCE took two */
    assert_verdict(6, use(&team, 0, 10, MODE_ALL, T + D), (struct verdict){10, 34, 24, 0, D, 199});
    pair_refund(&team.members[0], "a", 4, NULL, NULL, T + D);
    assert_refunded(&team.members[0], "4 0 28");
    team_end(&team);
}

static void weights_count_from_the_next_cycle_on(void **state)
{
    (void)state;
    struct team team;
    team_begin(&team, "a LIMIT 101 day SHARE EQUAL");
    weigh(&team, "m0", 2, T);
    (void)use(&team, 1, 1, MODE_ALL, T);
    assert_shares(&team, 51, 25, 25);
    weigh(&team, "m1", 2, T);
    (void)use(&team, 1, 1, MODE_ALL, T + S);
    assert_shares(&team, 51, 25, 25);
    (void)use(&team, 1, 1, MODE_ALL, T + D);
    assert_shares(&team, 41, 40, 20); /* 40.4, 40.4, 20.2: what rounding leaves goes to the largest fraction */
    team_end(&team);
}

/* What is more than a share of the next cycle never fits. */
static void the_next_share_is_foreseen(void **state)
{
    static const struct {
        const char *rules;
        uint32_t weight; /* that m0 has from now on */
        int64_t amount, wait_us;
    } rows[] = {
        {"a LIMIT 100 day SHARE EQUAL", 1, 34, D}, /* m0 has what rounding leaves */
        {"a LIMIT 100 day SHARE EQUAL", 1, 35, NEVER_US},
        {"a LIMIT 100 day SHARE EQUAL", 2, 50, D}, /* 100 x 2 / 4 */
        {"a LIMIT 100 day SHARE EQUAL", 2, 51, NEVER_US},
        {"a LIMIT 100 day SHARE EQUAL BURST 10%", 1, 37, D}, /* 34 and 3 */
        {"a LIMIT 100 day SHARE EQUAL BURST 10%", 1, 38, NEVER_US},
        {"a LIMIT 100 day SHARE EQUAL OVERAGE MAX 5", 1, 39, D},
        {"a LIMIT 100 day SHARE EQUAL OVERAGE MAX 5", 1, 40, NEVER_US},
        {"a LIMIT 100 forever SHARE EQUAL", 1, 1, NEVER_US}, /* there is no next cycle */
        {"a LIMIT 100 day SHARE FAIR", 1, 50, D},            /* it may be */
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct team team;
        team_begin(&team, rows[i].rules);
        (void)use(&team, 0, 34, MODE_ALL, T);
        weigh(&team, "m0", rows[i].weight, T);
        struct verdict verdict = use(&team, 0, rows[i].amount, MODE_ALL, T);
        if (verdict.granted != 0 || verdict.wait_us != rows[i].wait_us)
            fail_msg("row %zu: wait %lld", i, (long long)verdict.wait_us);
        verdict = use(&team, 0, rows[i].amount, MODE_ALL, T + D);
        bool admits = rows[i].wait_us != NEVER_US;
        if (rows[i].rules[strlen(rows[i].rules) - 1] != 'R' && (verdict.granted > 0) != admits)
            fail_msg("row %zu: granted %lld", i, (long long)verdict.granted);
        team_end(&team);
        plan_drop("pool");
        plan_drop("m");
    }
}

/* ---- FAIR -------------------------------------------------------------------------------------------------- */

static void each_wants_what_it_used(void **state)
{
    (void)state;
    struct team team;
    team_begin(&team, "a LIMIT 120 day SHARE FAIR");
    (void)use(&team, 0, 40, MODE_ALL, T); /* all are new */
    assert_shares(&team, 40, 40, 40);
    (void)use(&team, 1, 30, MODE_ALL, T);
    (void)use(&team, 2, 10, MODE_ALL, T);
    (void)use(&team, 0, 1, MODE_ALL, T + D); /* wants: all, 30, 10 */
    assert_shares(&team, 80, 30, 10);
    (void)use(&team, 0, 19, MODE_ALL, T + D);
    (void)use(&team, 1, 25, MODE_ALL, T + D);
    (void)use(&team, 2, 5, MODE_ALL, T + D); /* wants: 20, 25, 5; the rest by weight */
    (void)use(&team, 2, 1, MODE_ALL, T + 2 * D);
    assert_shares(&team, 44, 48, 28);            /* 70 more: 23.3 each, and the first gets what rounding leaves */
    (void)use(&team, 2, 1, MODE_ALL, T + 9 * D); /* the last closed cycle was idle */
    assert_shares(&team, 40, 40, 40);
    team_end(&team);
}

/* ---- who joins and leaves ---------------------------------------------------------------------------------- */

static void who_joins_later_gets_its_part_of_what_is_unused(void **state)
{
    (void)state;
    struct team team;
    struct pair late = {.name = "late", .above = &team.pool};
    team_begin(&team, "a LIMIT 90 day SHARE EQUAL");
    (void)use(&team, 0, 30, MODE_ALL, T);
    pair_open(&late, "m", T + S);
    pair_join(&late, T + S);
    pair_request_one(&late, "a", 16, MODE_ALL, NULL, T + S); /* 60 x 1/4 */
    assert_verdict(0, late.decision.result.consumed.verdicts[0], (struct verdict){0, 15, 15, D - S, D - S, 199});
    pair_request_one(&late, "a", 10, MODE_ALL, NULL, T + S);
    assert_int_equal(share_of(&team, "late"), 15);
    assert_shares(&team, 30, 30, 30); /* no share is cut */
    pair_leave(&late, T + S);
    pair_join(&late, T + S); /* leaving and coming back mints nothing */
    pair_request_one(&late, "a", 6, MODE_ALL, NULL, T + S);
    assert_true(late.decision.denied);
    pair_leave(&late, T + S);
    (void)use(&team, 0, 1, MODE_ALL, T + D);
    assert_shares(&team, 30, 30, 30);
    pair_end(&late);
    team_end(&team);
}

/* ---- reservations ------------------------------------------------------------------------------------------ */

static void what_is_held_counts_towards_the_share(void **state)
{
    (void)state;
    struct team team;
    team_begin(&team, "a LIMIT 90 day SHARE EQUAL");
    pair_reserve(&team.members[0], "h", "a", 20, H, T);
    assert_verdict(0, use(&team, 0, 11, MODE_ALL, T), (struct verdict){0, 30, 10, H, D, 199});
    pair_commit(&team.members[0], "h", 5, T);
    assert_resolved(&team.members[0], "5 15 25");
    pair_reserve(&team.members[0], "i", "a", 25, H, T);
    assert_verdict(1, use(&team, 0, 1, MODE_ALL, T), (struct verdict){0, 30, 0, H, D, 199});
    assert_verdict(2, use(&team, 0, 25, MODE_ALL, T + H),
                   (struct verdict){25, 30, 0, 0, D - H, 199}); /* it has expired */
    pair_reserve(&team.members[1], "j", "a", 30, 2 * D, T);
    assert_verdict(3, use(&team, 1, 30, MODE_ALL, T + D),
                   (struct verdict){30, 30, 0, 0, D, 199}); /* of another cycle */
    team_end(&team);
}

/* ---- beyond the share -------------------------------------------------------------------------------------- */

static void beyond_the_share_the_pools_own_words_hold(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        int64_t most; /* of one member, of 90 for three */
    } rows[] = {{"a LIMIT 90 day SHARE EQUAL", 30},           {"a LIMIT 90 day SHARE EQUAL BURST 10", 33},
                {"a LIMIT 90 day SHARE EQUAL OVERAGE", 500},  {"a LIMIT 90 day SHARE EQUAL OVERAGE MAX 7", 37},
                {"a LIMIT 90 day SHARE EQUAL GRACE 1h", 500}, {"a LIMIT 90 day SHARE FIRST", 90}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct team team;
        team_begin(&team, rows[i].plan);
        int64_t granted = use(&team, 0, 500, MODE_UPTO, T).granted;
        if (granted != rows[i].most) fail_msg("row %zu: %lld", i, (long long)granted);
        team_end(&team);
    }
}

static void the_pools_credits_pay_beyond_the_share(void **state)
{
    (void)state;
    struct team team;
    team_begin(&team, "a LIMIT 90 day SHARE EQUAL CREDITS");
    struct grant_request request = gift("g", 10);
    pair_grant(&team.pool, &request, T);
    assert_verdict(0, use(&team, 0, 35, MODE_ALL, T), (struct verdict){35, 10, 5, 0, NEVER_US, 101});
    assert_int_equal(credits_left(&team.pool, T), 5);
    assert_int_equal(use(&team, 0, 500, MODE_UPTO, T).granted, 5);
    assert_true(use(&team, 0, 1, MODE_ALL, T).granted == 0);
    team_end(&team);
}

/* ---- denials and changes of the plan ------------------------------------------------------------------------ */

static void a_denial_makes_the_shares_once(void **state)
{
    (void)state;
    struct team team;
    team_begin(&team, "a LIMIT 90 day SHARE EQUAL");
    assert_int_equal(use(&team, 0, 31, MODE_PEEK, T).granted, 0);
    assert_shares(&team, NOT_SHARED_YET, NOT_SHARED_YET, NOT_SHARED_YET);
    assert_int_equal(use(&team, 0, 31, MODE_ALL, T).granted, 0);
    assert_shares(&team, 30, 30, 30);
    struct sink before = bytes_of(team.pool.account);
    assert_int_equal(use(&team, 0, 31, MODE_ALL, T).granted, 0);
    struct sink after = bytes_of(team.pool.account);
    assert_same_bytes(&before, &after);
    sink_free(&before);
    sink_free(&after);
    team_end(&team);
}

/* Nothing was used in a cycle, but a denial made its shares: members that had one want nothing in the next. */
static void a_cycle_of_denials_counts_as_the_last_one(void **state)
{
    (void)state;
    struct team team;
    team_begin(&team, "a LIMIT 90 day SHARE FAIR");
    pair_leave(&team.members[2], T);
    assert_int_equal(use(&team, 0, 91, MODE_ALL, T).granted, 0);
    assert_shares(&team, 45, 45, NOT_SHARED_YET);
    pair_join(&team.members[2], T + H);
    (void)use(&team, 2, 1, MODE_ALL, T + D);
    assert_shares(&team, 0, 0, 90);
    pair_leave(&team.members[2], T + D);
    assert_int_equal(use(&team, 0, 91, MODE_ALL, T + 2 * D).granted, 0); /* two that want nothing, so by weight */
    assert_int_equal(share_of(&team, "m0"), 45);
    pair_join(&team.members[2], T + 2 * D);
    (void)use(&team, 1, 1, MODE_ALL, T + 3 * D);
    assert_shares(&team, 0, 0, 90);
    team_end(&team);
}

static void what_comes_back_to_an_earlier_cycle_is_no_room_now(void **state)
{
    (void)state;
    struct team team;
    team_begin(&team, "a LIMIT 90 day SHARE EQUAL");
    pair_request_one(&team.members[0], "a", 20, MODE_ALL, "one", T + D - H);
    pair_reserve(&team.members[0], "h", "a", 8, D, T + D - H);
    (void)use(&team, 0, 25, MODE_ALL, T + D);
    pair_refund(&team.members[0], "a", 9, "one", NULL, T + D);
    assert_refunded(&team.members[0], "9 0 5");
    pair_commit(&team.members[0], "h", 3, T + D);
    assert_resolved(&team.members[0], "3 5 5");
    assert_int_equal(use(&team, 0, 6, MODE_ALL, T + D).granted, 0);
    team_end(&team);
}

static void sharing_may_begin_and_end_in_a_cycle(void **state)
{
    (void)state;
    struct team team;
    team_begin(&team, "a LIMIT 90 day");
    (void)use(&team, 0, 50, MODE_ALL, T);
    plan_set_at("pool", "a LIMIT 90 day SHARE EQUAL", T + S, APPLY_FULL);
    assert_verdict(0, use(&team, 0, 1, MODE_ALL, T + S), (struct verdict){0, 30, 0, D - S, D - S, 199});
    assert_verdict(1, use(&team, 1, 30, MODE_ALL, T + S), (struct verdict){30, 30, 0, 0, D - S, 199});
    plan_set_at("pool", "a LIMIT 90 day", T + H, APPLY_FULL);
    assert_int_equal(use(&team, 1, 10, MODE_ALL, T + H).granted, 10);
    team_end(&team);
}

/* ---- random teams -------------------------------------------------------------------------------------------- */

#define ROUNDS 3000

/* No member is above its share, but by FORCE; the pool has used what its members have. */
static void random_members_stay_within_their_shares(void **state)
{
    (void)state;
    struct team team;
    int64_t now_us = T;
    char id[16];
    team_begin(&team, "a LIMIT 97 day SHARE FAIR");
    for (int round = 0; round < ROUNDS; round++) {
        int i = (int)random_below(MEMBERS);
        struct pair *pair = &team.members[i];
        if (random_below(6) == 0) now_us += random_between(1, 12) * H;
        (void)snprintf(id, sizeof(id), "%d", round - (int)random_below(10));
        switch (random_below(6)) {
        case 0: pair_reserve(pair, id, "a", random_between(1, 9), random_between(1, 9) * H, now_us); break;
        case 1: pair_commit(pair, id, COMMIT_ALL, now_us); break;
        case 2: pair_refund(pair, "a", random_between(1, 5), NULL, NULL, now_us); break;
        default: (void)use(&team, i, random_between(1, 12), random_below(2) ? MODE_ALL : MODE_UPTO, now_us);
        }
        struct window window = window_of(&team.pool, "a", now_us);
        int64_t sum = 0;
        for (int k = 0; k < MEMBERS; k++) sum += pair_used_by(&team.pool, names[k], "a", window.start_us);
        assert_int_equal(sum, window.used);
        for (int k = 0; k < MEMBERS; k++) {
            const struct member *member = members_find(account_members(team.pool.account), text_bytes(names[k]));
            const struct member_use *of = member_use_of(member, 0);
            bool runs = of && of->start_us == window.start_us && of->share != NOT_SHARED_YET;
            if (runs) assert_true(of->used <= of->share);
        }
    }
    team_end(&team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_its_part),
        cmocka_unit_test(weights_count_from_the_next_cycle_on),
        cmocka_unit_test(the_next_share_is_foreseen),
        cmocka_unit_test(each_wants_what_it_used),
        cmocka_unit_test(who_joins_later_gets_its_part_of_what_is_unused),
        cmocka_unit_test(what_is_held_counts_towards_the_share),
        cmocka_unit_test(beyond_the_share_the_pools_own_words_hold),
        cmocka_unit_test(the_pools_credits_pay_beyond_the_share),
        cmocka_unit_test(a_denial_makes_the_shares_once),
        cmocka_unit_test(a_cycle_of_denials_counts_as_the_last_one),
        cmocka_unit_test(what_comes_back_to_an_earlier_cycle_is_no_room_now),
        cmocka_unit_test(sharing_may_begin_and_end_in_a_cycle),
        cmocka_unit_test(random_members_stay_within_their_shares),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

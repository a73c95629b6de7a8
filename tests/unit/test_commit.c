/* COMMIT, RELEASE and EXTEND: reservations of several resources end together. (Of one: test_reserve.c.) */
#include "account_tools.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

/* How 4 a (COST 2), 5 b and 6 c end, each of 10 … 20 units an hour. */
static const struct {
    const char *amounts;
    bool force;
    const char *answer; /* posted, released, remaining of each; NULL = the fault below */
    enum account_fault fault;
    int64_t limit;
} ends[] = {
    {"", false, "4 0 12 | 5 0 15 | 6 0 14", 0, 0},
    {"4 5 6", false, "4 0 12 | 5 0 15 | 6 0 14", 0, 0},
    {"1 0 6", false, "1 3 18 | 0 5 20 | 6 0 14", 0, 0}, /* nothing of b is posted */
    {"0 0 0", false, "0 4 20 | 0 5 20 | 0 6 20", 0, 0}, /* a release */
    {"4 5 21", true, "4 0 12 | 5 0 15 | 21 0 0", 0, 0}, /* beyond what c has */
    {"0 9 1", true, "0 4 20 | 9 0 11 | 1 5 19", 0, 0},
    {"4 5 7", false, NULL, ACCOUNT_FAULT_BEYOND_PART, 6},
    {"4 5", false, NULL, ACCOUNT_FAULT_AMOUNTS, 3},
    {"4", true, NULL, ACCOUNT_FAULT_AMOUNTS, 3},
    {"4 5 6 7", true, NULL, ACCOUNT_FAULT_AMOUNTS, 3},
    {"9223372036854775807 0 0", true, NULL, ACCOUNT_FAULT_OVERFLOW, 3}, /* x COST */
};

static void every_resource_is_posted_and_released(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 20 1h COST 2 | b LIMIT 20 1h | c LIMIT 20 1h RATE 100 1m");
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct pair pair = {0};
        pair_open(&pair, "pro", T);
        pair_reserve_all(&pair, "x", "a 4 | b 5 | c 6", MODE_ALL, 10 * S, T);
        assert_int_equal(remaining_of(&pair, "a", T), 12);
        assert_int_equal(remaining_of(&pair, "c", T), 14);
        pair_commit_all(&pair, "x", ends[i].amounts, ends[i].force, T + S);
        if (!ends[i].answer) {
            if (pair.decision.fault != ends[i].fault || pair.decision.fault_limit != ends[i].limit)
                fail_msg("row %zu", i);
            pair_end(&pair);
            continue;
        }
        assert_resolved(&pair, ends[i].answer);
        pair_consume(&pair, "b", 1, T + S);
        pair_commit_all(&pair, "x", ends[i].amounts, ends[i].force, T + 2 * S); /* the same again */
        assert_true(pair.decision.replayed && pair.decision.changes.size == 0);
        assert_resolved(&pair, ends[i].answer);
        pair_commit_all(&pair, "x", "2 2 2", ends[i].force, T + 2 * S); /* another one */
        assert_int_equal(pair.decision.fault, i == 3 ? ACCOUNT_FAULT_RELEASED : ACCOUNT_FAULT_COMMITTED);
        pair_extend(&pair, "x", S, T + 2 * S);
        assert_int_equal(pair.decision.fault, i == 3 ? ACCOUNT_FAULT_RELEASED : ACCOUNT_FAULT_COMMITTED);
        pair_end(&pair);
    }
    configuration_end();
}

static void it_is_released_and_extended_whole(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 20 1h COST 2 | b LIMIT 20 1h");
    pair_open(&pair, "pro", T);
    pair_reserve_all(&pair, "x", "a 4 | b 5", MODE_ALL, 10 * S, T);
    pair_reserve_all(&pair, "y", "b 2 | a 1", MODE_ALL, 15 * S, T);
    pair_extend(&pair, "x", 19 * S, T + S);
    assert_int_equal(pair.decision.result.expires_us, T + 20 * S);
    assert_int_equal(remaining_of(&pair, "a", T + 15 * S - 1), 10);
    assert_int_equal(remaining_of(&pair, "b", T + 15 * S), 15); /* y has ended */
    assert_int_equal(remaining_of(&pair, "b", T + 20 * S - 1), 15);
    assert_int_equal(remaining_of(&pair, "a", T + 20 * S), 20); /* both at one instant */
    assert_int_equal(remaining_of(&pair, "b", T + 20 * S), 20);
    pair_release(&pair, "x", T + 2 * S);
    assert_resolved(&pair, "0 4 18 | 0 5 18");
    pair_release(&pair, "x", T + 2 * S);
    assert_true(pair.decision.replayed);
    assert_resolved(&pair, "0 4 18 | 0 5 18");
    pair_commit_all(&pair, "y", "2 1", false, T + 16 * S);
    assert_fault(&pair, ACCOUNT_FAULT_RAN_OUT);
    pair_touch(&pair, T + 16 * S); /* it is swept: both parts, and the record knows them */
    assert_int_equal(account_holds(pair.account)->count, 0);
    pair_release(&pair, "y", T + 16 * S);
    assert_fault(&pair, ACCOUNT_FAULT_RAN_OUT);
    pair_end(&pair);
    configuration_end();
}

/* FORCE of one that has expired: charged now, once, whether it was swept before or not. */
static void an_expired_one_is_forced_once(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 20 1h COST 2 | b LIMIT 20 1h");
    for (int swept = 0; swept < 2; swept++) {
        struct pair pair = {0};
        pair_open(&pair, "pro", T);
        pair_reserve_all(&pair, "x", "a 4 | b 5", MODE_ALL, 10 * S, T);
        if (swept) pair_touch(&pair, T + 11 * S);
        pair_commit_all(&pair, "x", "", true, T + 12 * S); /* what, has to be said */
        assert_fault(&pair, ACCOUNT_FAULT_RAN_OUT);
        pair_commit_all(&pair, "x", "0 0", true, T + 12 * S);
        assert_fault(&pair, ACCOUNT_FAULT_RAN_OUT);
        pair_commit_all(&pair, "x", "3", true, T + 12 * S);
        assert_fault(&pair, ACCOUNT_FAULT_AMOUNTS);
        for (int again = 0; again < 2; again++) {
            pair_commit_all(&pair, "x", "6 3", true, T + 12 * S);
            assert_int_equal(pair.decision.replayed, again);
            assert_resolved(&pair, "6 0 8 | 3 0 17");
        }
        assert_int_equal(used_of(&pair, "a", T + 12 * S), 12);
        assert_int_equal(used_of(&pair, "b", T + 12 * S), 3);
        pair_refund(&pair, "a", 5, "x", NULL, T + 13 * S);
        assert_refunded(&pair, "5 0 18");
        pair_end(&pair);
    }
    configuration_end();
}

/* ---- a random stream ------------------------------------------------------------------------------------- */

#define RESOURCES 3
static const char *const names[RESOURCES] = {"a", "b", "c"};

static void assert_same_resources(const struct pair *together, const struct pair *alone, int64_t at_us)
{
    for (int i = 0; i < RESOURCES; i++) {
        uint32_t rules = rules_count_of(together->account, names[i], at_us);
        for (uint32_t k = 0; k < rules; k++) {
            struct rule_report left = report_of(together->account, names[i], k, at_us);
            struct rule_report right = report_of(alone->account, names[i], k, at_us);
            assert_memory_equal(&left, &right, sizeof(left));
        }
    }
    assert_int_equal(credits_left(together, at_us), credits_left(alone, at_us));
}

/* The same of each resource alone, under ids x0, x1 …: what = r(eserve), c(ommit), f(orce), e(xtend). */
static void do_alone(struct pair *pair, char what, const int64_t *amounts, int64_t ttl_us, int64_t at_us)
{
    for (int i = 0; i < RESOURCES; i++) {
        const char id[] = {'x', (char)('0' + i), 0};
        struct commit_request request = {
            .id = text_bytes(id), .amounts = &amounts[i], .count = 1, .force = what == 'f', .now_us = at_us};
        if (what == 'r') pair_reserve(pair, id, names[i], amounts[i], ttl_us, at_us);
        if (what == 'e') pair_extend(pair, id, ttl_us, at_us);
        if (what == 'c' || what == 'f') pair_resolve(pair, &request);
        assert_fault(pair, ACCOUNT_FAULT_NONE);
    }
}

static void write_amounts(const int64_t *amounts, bool named, char text[64])
{
    const char *between = named ? " | " : " ";
    (void)snprintf(text, 64, "%s%d%s%s%d%s%s%d", named ? "a " : "", (int)amounts[0], between, named ? "b " : "",
                   (int)amounts[1], between, named ? "c " : "", (int)amounts[2]);
}

/* Both commit less than is held, or FORCE more; of one that has expired they FORCE all. */
static void commit_both(struct pair *together, struct pair *alone, int64_t *amounts, bool lives, int64_t at_us)
{
    char text[64];
    bool force = !lives || random_below(2);
    for (int i = 0; i < RESOURCES; i++)
        amounts[i] = force ? 1 + random_below(30) : random_below((uint32_t)amounts[i] + 1);
    write_amounts(amounts, false, text);
    pair_commit_all(together, "x", text, force, at_us);
    assert_fault(together, ACCOUNT_FAULT_NONE);
    do_alone(alone, force ? 'f' : 'c', amounts, 0, at_us);
}

static void live_both(struct pair *together, struct pair *alone)
{
    int64_t at_us = T, end_us = T + (1 + random_below(6)) * H / 2;
    int64_t amounts[RESOURCES] = {1 + random_below(20), 1 + random_below(20), 1 + random_below(15)};
    char text[64];
    write_amounts(amounts, true, text);
    pair_reserve_all(together, "x", text, MODE_ALL, end_us - T, at_us);
    assert_false(together->decision.denied);
    do_alone(alone, 'r', amounts, end_us - T, at_us);
    for (int step = 0; step < 4; step++) {
        at_us += random_below(3) * H / 4;
        assert_same_resources(together, alone, at_us);
        int64_t more = 1 + random_below(5);
        const char *name = names[random_below(RESOURCES)];
        assert_int_equal(pair_consume(together, name, more, at_us), pair_consume(alone, name, more, at_us));
        if (step == 1 && at_us < end_us) {
            pair_extend(together, "x", H, at_us);
            do_alone(alone, 'e', amounts, H, at_us);
            end_us = at_us + H;
        }
        if (step == 2) commit_both(together, alone, amounts, at_us < end_us, at_us);
    }
    assert_same_resources(together, alone, T + 9 * H);
}

/* A reservation of several resources does to each what one of its own would do, whatever else happens meanwhile. */
static void several_are_as_each_alone(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 30 1h COST 2 CREDITS | b LIMIT 30 1h LIMIT 50 ROLLING 2h RATE FIXED 40 1m | "
                    "c LIMIT 20 1d BURST 50% REPAY LIMIT 15 2h");
    for (int run = 0; run < 150; run++) {
        struct pair together = {0}, alone = {0};
        struct grant_request request = gift("g", 12);
        pair_open(&together, "pro", T);
        pair_open(&alone, "pro", T);
        pair_grant(&together, &request, T);
        pair_grant(&alone, &request, T);
        live_both(&together, &alone);
        pair_end(&together);
        pair_end(&alone);
    }
    configuration_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_resource_is_posted_and_released),
        cmocka_unit_test(it_is_released_and_extended_whole),
        cmocka_unit_test(an_expired_one_is_forced_once),
        cmocka_unit_test(several_are_as_each_alone),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* One GCRA rule in one step: which keys and requests have it, and what it answers. That the general decision answers
 * the same limiter.c checks, in every test of this folder. */
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/rate/one_gcra.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include "tools.h"
#include <cmocka.h>

#define T INT64_C(1738335600000000)
#define S INT64_C(1000000)

static struct rule rule_of(uint32_t algorithm, int64_t limit)
{
    struct rule rule = {
        .limit = limit, .period_us = 10 * S, .capacity = limit, .initial = limit, .algorithm = algorithm};
    rule_complete(&rule);
    return rule;
}

/* A key that has been charged so much at T under these rules. */
static struct limiter *charged(struct rule *rules, uint32_t count, int64_t cost)
{
    struct decision decision;
    struct limiter_request request = {.cost = cost, .now_us = T, .mode = MODE_FORCE};
    limiter_decide(NULL, rules, count, &request, &decision);
    assert_int_equal(decision.fault, FAULT_NONE);
    return limiter_apply(NULL, &decision);
}

static bool decides(uint32_t stored, uint32_t requested, const struct limiter_request *request)
{
    struct rule rules[2] = {rule_of(stored, 10), rule_of(RULE_GCRA, 20)}, other = rule_of(requested, 10);
    struct limiter *limiter = charged(rules, 1, 4);
    struct decision decision;
    bool decided = one_gcra_decide(limiter, &other, 1, request, &decision);
    limiter_free(limiter);
    return decided;
}

/* One unit a second, ten at once, four of them taken at T. */
static void charges_or_denies(void **state)
{
    static const struct {
        int64_t after_us, cost, granted, remaining, wait_us, reset_us;
    } rows[] = {
        {0, 1, 1, 5, 0, 5 * S},         {0, 6, 6, 0, 0, 10 * S},         {0, 7, 0, 6, S, 4 * S},
        {S, 7, 7, 0, 0, 10 * S},        {S - 1, 7, 0, 6, 1, 3 * S + 1},  {4 * S, 10, 10, 0, 0, 10 * S},
        {0, 11, 0, 6, NEVER_US, 4 * S}, {5 * S, 11, 0, 10, NEVER_US, 0}, /* it never fits */
    };
    struct rule rule = rule_of(RULE_GCRA, 10);
    struct limiter *limiter = charged(&rule, 1, 4);
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct decision decision;
        struct limiter_request request = {.cost = rows[i].cost, .now_us = T + rows[i].after_us, .mode = MODE_ALL};
        assert_true(one_gcra_decide(limiter, &rule, 1, &request, &decision));
        const struct verdict *got = &decision.verdict;
        bool same = got->granted == rows[i].granted && got->remaining == rows[i].remaining && got->limit == 10 &&
                    got->wait_us == rows[i].wait_us && got->reset_us == rows[i].reset_us && got->rule == 0;
        if (!same) fail_msg("row %zu", i);
        assert_int_equal(decision.effects_count, rows[i].granted > 0);
    }
    limiter_free(limiter);
}

static void leaves_all_else_to_the_general_decision(void **state)
{
    int64_t costs[1] = {1};
    struct limiter_request all = {.cost = 1, .now_us = T, .mode = MODE_ALL};
    struct limiter_request other[] = {all, all, all, all, all, all};
    (void)state;
    other[0].mode = MODE_PEEK;
    other[1].mode = MODE_UPTO;
    other[2].wait_us = S;
    other[3].block_us = S;
    other[4].costs = costs;
    other[5].cost = 0;
    assert_true(decides(RULE_GCRA, RULE_GCRA, &all));
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        assert_false(decides(RULE_GCRA, RULE_GCRA, &other[i]));
    assert_false(decides(RULE_TOKEN, RULE_TOKEN, &all));
    assert_false(decides(RULE_GCRA, RULE_TOKEN, &all)); /* units pass to another rule */
    assert_false(one_gcra_decide(NULL, NULL, 1, &all, NULL));
}

static void a_block_is_no_single_rule(void **state)
{
    struct rule rule = rule_of(RULE_GCRA, 10);
    struct limiter *limiter = charged(&rule, 1, 4);
    struct limiter_request request = {.cost = 1, .now_us = T, .mode = MODE_ALL};
    struct decision decision;
    (void)state;
    limiter_decide_block(limiter, T + S, &decision);
    limiter = limiter_apply(limiter, &decision);
    assert_false(one_gcra_decide(limiter, &rule, 1, &request, &decision));
    limiter_free(limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charges_or_denies),
        cmocka_unit_test(leaves_all_else_to_the_general_decision),
        cmocka_unit_test(a_block_is_no_single_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

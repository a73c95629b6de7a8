/* The limiter: several rules at once, blocks, changed rules. */
#include "quota/base/checked.h"
#include "quota/rate/limiter_codec.h"
#include "scenario.h"

static void assert_verdict(const struct verdict *verdict, int64_t granted, int64_t limit, int64_t remaining,
                           int64_t wait_us, int64_t reset_us, int32_t rule)
{
    assert_int_equal(verdict->granted, granted);
    assert_int_equal(verdict->limit, limit);
    assert_int_equal(verdict->remaining, remaining);
    assert_int_equal(verdict->wait_us, wait_us);
    assert_int_equal(verdict->reset_us, reset_us);
    assert_int_equal(verdict->rule, rule);
}

static void all_rules_admit_or_none_is_charged(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rules[] = {rule_of(RULE_FIXED, 10, S, 0), rule_of(RULE_GCRA, 15, 15 * S, 0),
                           rule_of(RULE_LOG, 12, H, 0)};
    struct limiter_request request = {.cost = 8, .now_us = BASE};
    context_request(&context, rules, 3, request); /* granted: the smallest remaining decides */
    assert_verdict(&context.verdict, 8, 10, 2, 0, S, 0);
    context_request(&context, rules, 3, request); /* denied: the longest wait decides */
    assert_verdict(&context.verdict, 0, 12, 4, H, H, 2);
    request.cost = 11; /* never is the longest wait of all */
    context_request(&context, rules, 3, request);
    assert_verdict(&context.verdict, 0, 10, 2, NEVER, S, 0);
    request = (struct limiter_request){.cost = 9, .mode = MODE_UPTO, .now_us = BASE + S};
    context_request(&context, rules, 3, request); /* the tightest says how much */
    assert_verdict(&context.verdict, 4, 12, 0, 0, H, 2);
    context_end(&context);
}

static void each_rule_has_its_own_cost(void **state)
{
    (void)state;
    static const struct row {
        int64_t costs[3];
        enum request_mode mode;
        int64_t granted, wait_us;
        int32_t rule;
        int64_t left[3]; /* afterwards; of 10, 1000 and 5 in a second */
    } rows[] = {
        {{1, 850, 1}, MODE_ALL, 1, 0, 2, {9, 150, 4}},
        {{1, 151, 1}, MODE_ALL, 0, MS, 1, {9, 150, 4}},
        {{1, 150, 1}, MODE_PEEK, 1, 0, 2, {9, 150, 4}},
        {{0, 150, 0}, MODE_ALL, 150, 0, 1, {9, 0, 4}},
        {{0, 0, 4}, MODE_ALL, 4, 0, 2, {9, 0, 0}},
        {{9, 0, 0}, MODE_ALL, 9, 0, 0, {0, 0, 0}}, /* what the others have left does not matter */
        {{0, 1001, 0}, MODE_ALL, 0, NEVER, 1, {0, 0, 0}},
        {{1, 0, 2}, MODE_FORCE, 1, 0, 0, {0, 0, 0}},
    };
    struct context context = {0};
    struct rule rules[] = {rule_of(RULE_GCRA, 10, S, 0), rule_of(RULE_TOKEN, 1000, S, 0), rule_of(RULE_LOG, 5, S, 0)};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        int64_t cost = max_i64(row->costs[0], max_i64(row->costs[1], row->costs[2]));
        struct limiter_request request = {.cost = cost, .costs = row->costs, .mode = row->mode, .now_us = BASE};
        context_request(&context, rules, 3, request);
        bool same = context.verdict.granted == row->granted && context.verdict.wait_us == row->wait_us &&
                    context.verdict.rule == row->rule;
        if (!same) fail_msg("row %zu", i);
        for (uint32_t k = 0; k < 3; k++) {
            struct verdict look;
            struct state stored;
            limiter_look(context.limiter, k, BASE, &stored, &look);
            if (look.remaining != row->left[k]) fail_msg("row %zu, rule %u", i, k);
        }
    }
    context_end(&context);
}

static void what_several_costs_took_comes_back(void **state)
{
    (void)state;
    struct context context = {0};
    struct decision decision;
    const int64_t costs[] = {2, 0, 400};
    struct rule rules[] = {rule_of(RULE_GCRA, 10, S, 0), rule_of(RULE_FIXED, 7, S, 0), rule_of(RULE_TOKEN, 1000, S, 0)};
    context_request(&context, rules, 3, (struct limiter_request){.cost = 3, .now_us = BASE});
    context_request(&context, rules, 3, (struct limiter_request){.cost = 400, .costs = costs, .now_us = BASE});
    limiter_decide_return(context.limiter, costs, 2, BASE, &decision); /* its rules are others by now */
    assert_int_equal(decision.effects_count, 0);
    limiter_decide_return(NULL, costs, 3, BASE, &decision);
    assert_int_equal(decision.effects_count, 0);
    limiter_decide_return(context.limiter, costs, 3, BASE, &decision);
    context.limiter = limiter_apply(context.limiter, &decision);
    static const int64_t left[] = {7, 4, 997};
    for (uint32_t k = 0; k < 3; k++) {
        struct verdict look;
        struct state stored;
        limiter_look(context.limiter, k, BASE, &stored, &look);
        assert_int_equal(look.remaining, left[k]);
    }
    context_end(&context);
}

static void rules_left_alone_take_over_what_they_have(void **state)
{
    (void)state;
    struct context context = {0};
    const int64_t costs[] = {1, 0};
    struct rule before[] = {rule_of(RULE_TOKEN, 10, D, 0), rule_of(RULE_TOKEN, 20, 2 * D, 0)};
    struct rule after[] = {rule_of(RULE_TOKEN, 100, H, 0), rule_of(RULE_TOKEN, 200, 2 * H, 0)};
    context_request(&context, before, 2, (struct limiter_request){.cost = 5, .now_us = BASE});
    context_request(&context, after, 2, (struct limiter_request){.cost = 1, .costs = costs, .now_us = BASE});
    static const int64_t left[] = {94, 195};
    for (uint32_t k = 0; k < 2; k++) {
        struct verdict look;
        struct state stored;
        limiter_look(context.limiter, k, BASE, &stored, &look);
        assert_int_equal(look.remaining, left[k]);
    }
    context_end(&context);
}

static void unlimited_and_none(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rules[] = {rule_of(RULE_GCRA, -1, S, 0), rule_of(RULE_LOG, 0, S, 0)};
    struct limiter_request request = {.cost = INT64_MAX, .now_us = BASE};
    context_request(&context, rules, 1, request);
    assert_verdict(&context.verdict, INT64_MAX, -1, -1, 0, 0, 0);
    context_request(&context, rules, 2, request);
    assert_verdict(&context.verdict, 0, 0, 0, NEVER, 0, 1);
    request.mode = MODE_UPTO;
    context_request(&context, rules, 2, request);
    assert_verdict(&context.verdict, 0, 0, 0, NEVER, 0, 1);
    context_request(&context, rules, 1, request);
    assert_verdict(&context.verdict, INT64_MAX, -1, -1, 0, 0, 0);
    request.mode = MODE_FORCE;
    context_request(&context, rules, 2, request);
    assert_verdict(&context.verdict, INT64_MAX, 0, 0, 0, 0, 1);
    context_end(&context);
}

static void a_block_refuses_everything(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rule = rule_of(RULE_GCRA, 2, S, 0);
    context_block(&context, BASE + 10 * S); /* also on a key that has no rules yet */
    struct limiter_request request = {.cost = 1, .mode = MODE_FORCE, .now_us = BASE};
    context_request(&context, &rule, 1, request);
    assert_verdict(&context.verdict, 0, 0, 0, 10 * S, 10 * S, -1);
    request.mode = MODE_ALL;
    request.cost = 3; /* a cost that never fits stays one */
    context_request(&context, &rule, 1, request);
    assert_verdict(&context.verdict, 0, 0, 0, NEVER, 10 * S, -1);
    request.cost = 2;
    request.now_us = BASE + 10 * S; /* the last instant of a block is outside it */
    context_request(&context, &rule, 1, request);
    assert_verdict(&context.verdict, 2, 2, 0, 0, S, 0);
    assert_int_equal(limiter_blocked_until_us(context.limiter), 0);
    request.block_us = 60 * S; /* a penalty: only after a denial, not prolonged by further ones */
    context_request(&context, &rule, 1, request);
    assert_verdict(&context.verdict, 0, 2, 0, 60 * S, S, 0);
    request.now_us += S;
    context_request(&context, &rule, 1, request);
    assert_verdict(&context.verdict, 0, 0, 0, 59 * S, 59 * S, -1);
    assert_int_equal(limiter_deadline_us(context.limiter), BASE + 70 * S);
    context_block(&context, 0);
    context_request(&context, &rule, 1, request);
    assert_verdict(&context.verdict, 2, 2, 0, 0, S, 0);
    context_end(&context);
}

static void rules_are_recognised_by_period_then_by_place(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule second = rule_of(RULE_FIXED, 10, S, 0), hour = rule_of(RULE_FIXED, 100, H, 0);
    struct rule day = rule_of(RULE_FIXED, 500, D, 0);
    struct limiter_request request = {.cost = 4, .now_us = BASE};
    context_request(&context, (struct rule[]){hour}, 1, request);
    request.cost = 1;
    context_request(&context, (struct rule[]){second, hour}, 2, request); /* put in front: the hour keeps its count, */
    assert_verdict(&context.verdict, 1, 10, 9, 0, S, 0);
    request.mode = MODE_PEEK;
    context_request(&context, (struct rule[]){hour}, 1, request); /* … and a peek changes nothing */
    assert_int_equal(context.verdict.remaining, 95);
    request.mode = MODE_ALL;
    hour.limit = hour.capacity = hour.initial = 6;
    context_request(&context, (struct rule[]){hour, second}, 2, request); /* swapped, and a smaller limit at once */
    assert_verdict(&context.verdict, 1, 6, 0, 0, H, 0);
    context_request(&context, (struct rule[]){day, second}, 2,
                    request); /* another period in the same place: the count goes on */
    assert_verdict(&context.verdict, 1, 10, 7, 0, S, 1);
    struct state stored;
    struct verdict look;
    limiter_look(context.limiter, 0, BASE, &stored, &look);
    assert_int_equal(stored.amount, 7);
    struct rule gcra = rule_of(RULE_GCRA, 10, D, 0);
    context_request(&context, &gcra, 1, request); /* another algorithm takes the units over */
    assert_int_equal(context.verdict.remaining, 2);
    context_end(&context);
}

static void refunds_go_to_one_rule_or_to_all(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rules[] = {rule_of(RULE_FIXED, 10, S, 0), rule_of(RULE_FIXED, 10, H, 0)};
    context_request(&context, rules, 2, (struct limiter_request){.cost = 8, .now_us = BASE});
    assert_int_equal(context_refund(&context, 3, 1, BASE), 3);
    assert_int_equal(context_refund(&context, 6, -1, BASE + S), 5); /* the second is over, the hour has five left */
    assert_int_equal(context_refund(&context, 6, -1, BASE + S), 0);
    context_end(&context);
    assert_int_equal(context_refund(&context, 6, -1, BASE), 0); /* nothing is stored */
}

enum { INTERVAL = RULE_ALGORITHMS_COUNT }; /* TOKEN with it */
static const struct taken_row {
    int algorithm;
    int64_t second_us, now_us, taken_us, units, returned, remaining;
} taken_rows[] = {
    /* five units taken at 0, four at second_us; of ten in ten seconds */
    {RULE_FIXED, 20 * S, 20 * S, 0, 5, 0, 6},
    {RULE_FIXED, 5 * S, 8 * S, 0, 5, 5, 6},
    {RULE_FIXED, 20 * S, 25 * S, 20 * S, 5, 4, 10},
    {RULE_SLIDING, 10 * S, 10 * S, 0, 7, 5, 6},      /* from the window before, */
    {RULE_SLIDING, 10 * S, 10 * S, 10 * S, 7, 4, 5}, /* from the one that runs, */
    {RULE_SLIDING, 20 * S, 20 * S, 0, 5, 0, 6},      /* from one that is gone */
    {RULE_LOG, 5 * S, 9 * S, 0, 7, 5, 6},
    {RULE_LOG, 5 * S, 9 * S, 5 * S, 3, 3, 4},
    {RULE_LOG, 5 * S, 10 * S, 0, 5, 0, 6},
    {RULE_LOG, 5 * S, 9 * S, 4 * S, 5, 0, 1}, /* nothing came then */
    {RULE_GCRA, 4 * S, 4 * S, 0, 9, 5, 10},   /* six of ten may be left, five are owed */
    {RULE_GCRA, 8 * S, 8 * S, 0, 5, 2, 8},
    {RULE_GCRA, 8 * S, 8 * S + 1, 0, 5, 2, 8},
    {RULE_GCRA, 20 * S, 20 * S, 0, 5, 0, 6},
    {RULE_TOKEN, 8 * S, 8 * S, 0, 5, 2, 8},
    {RULE_LEAKY, 8 * S, 8 * S, 0, 5, 2, 8},
    {RULE_QUEUE, 8 * S, 8 * S, 0, 5, 2, 8},
    {INTERVAL, 8 * S, 9 * S, 0, 9, 9, 10},  /* no refill came yet */
    {INTERVAL, 8 * S, 10 * S, 0, 9, 0, 10}, /* all came back at once */
};

/* Units of a certain age: what has left the window since is not given back. */
static void a_refund_knows_when_its_units_were_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(taken_rows) / sizeof(taken_rows[0]); i++) {
        struct context context = {0};
        const struct taken_row *row = &taken_rows[i];
        bool interval = row->algorithm == INTERVAL;
        struct rule rule = rule_of(interval ? RULE_TOKEN : (enum rule_algorithm)row->algorithm, 10, 10 * S, 0);
        if (interval) rule.flags = RULE_INTERVAL;
        context_request(&context, &rule, 1, (struct limiter_request){.cost = 5, .now_us = BASE});
        context_request(&context, &rule, 1, (struct limiter_request){.cost = 4, .now_us = BASE + row->second_us});
        int64_t returned = context_refund_taken(&context, row->units, -1, BASE + row->taken_us, BASE + row->now_us);
        context_request(&context, &rule, 1,
                        (struct limiter_request){.cost = 1, .mode = MODE_PEEK, .now_us = BASE + row->now_us});
        if (returned != row->returned || context.verdict.remaining != row->remaining) {
            fail_msg("row %zu: returned %ld remaining %ld", i, returned, context.verdict.remaining);
        }
        context_end(&context);
    }
}

static void a_queue_beside_other_rules_says_when_to_act(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rules[] = {rule_of(RULE_QUEUE, 10, S, 100), rule_of(RULE_FIXED, 5, S, 0)};
    struct limiter_request request = {.cost = 2, .now_us = BASE};
    context_request(&context, rules, 2, request);
    assert_verdict(&context.verdict, 2, 5, 3, 0, S, 1);
    context_request(&context, rules, 2, request);
    assert_verdict(&context.verdict, 2, 5, 1, 200 * MS, S, 1);
    context_end(&context);
}

static void those_who_wait_are_served_in_order(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rules[] = {rule_of(RULE_FIXED, 2, 10 * S, 0), rule_of(RULE_GCRA, 10, S, 0)};
    struct limiter_request request = {.cost = 2, .now_us = BASE};
    context_request(&context, rules, 2, request);
    request.wait_us = 30 * S;
    context_request(&context, rules, 2, request); /* the whole next window, and with it every place before */
    assert_verdict(&context.verdict, 2, 2, 0, 10 * S, 20 * S, 0);
    assert_int_equal(limiter_taken_until_us(context.limiter), BASE + 10 * S);
    request.cost = 1;
    request.wait_us = 0;
    request.now_us = BASE + 5 * S;
    context_request(&context, rules, 2, request); /* no request overtakes */
    assert_verdict(&context.verdict, 0, 2, 0, 15 * S, 15 * S, 0);
    request.wait_us = 14 * S;
    context_request(&context, rules, 2, request); /* too long */
    assert_verdict(&context.verdict, 0, 2, 0, 15 * S, 15 * S, 0);
    request.wait_us = 15 * S;
    context_request(&context, rules, 2, request);
    assert_verdict(&context.verdict, 1, 2, 1, 15 * S, 25 * S, 0);
    assert_int_equal(context_refund(&context, 1, -1, BASE + 5 * S), 1); /* it leaves again */
    request.wait_us = 0;
    request.now_us = BASE + 20 * S;
    context_request(&context, rules, 2, request); /* the queue is over and forgotten with the next grant */
    assert_verdict(&context.verdict, 1, 2, 1, 0, 10 * S, 0);
    assert_int_equal(limiter_taken_until_us(context.limiter), 0);
    context_end(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_rules_admit_or_none_is_charged),
        cmocka_unit_test(each_rule_has_its_own_cost),
        cmocka_unit_test(what_several_costs_took_comes_back),
        cmocka_unit_test(rules_left_alone_take_over_what_they_have),
        cmocka_unit_test(unlimited_and_none),
        cmocka_unit_test(a_block_refuses_everything),
        cmocka_unit_test(rules_are_recognised_by_period_then_by_place),
        cmocka_unit_test(refunds_go_to_one_rule_or_to_all),
        cmocka_unit_test(a_refund_knows_when_its_units_were_taken),
        cmocka_unit_test(a_queue_beside_other_rules_says_when_to_act),
        cmocka_unit_test(those_who_wait_are_served_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

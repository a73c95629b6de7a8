/* Sliding log: exact windows, and the packed deque against an honest list. */
#include "quota/rate/sliding_log.h"
#include "scenario.h"
#include "tools.h"

static void an_entry_leaves_when_it_is_exactly_one_window_old(void **state)
{
    (void)state;
    RUN(rule_of(RULE_LOG, 3, 10 * S, 0), {0, MODE_ALL, 2, 2, 1, 0, 10 * S}, {4 * S, MODE_ALL, 1, 1, 0, 0, 10 * S},
        {4 * S, MODE_ALL, 1, 0, 0, 6 * S, 10 * S}, {10 * S - 1, MODE_ALL, 1, 0, 0, 1, 4 * S + 1},
        {10 * S, MODE_ALL, 3, 0, 2, 4 * S, 4 * S}, {10 * S, MODE_ALL, 2, 2, 0, 0, 10 * S},
        {14 * S, MODE_UPTO, 9, 1, 0, 0, 10 * S}, {14 * S, MODE_ALL, 4, 0, 0, NEVER, 10 * S},
        {14 * S, MODE_FORCE, 5, 5, 0, 0, 10 * S}, {20 * S, MODE_ALL, 1, 0, 0, 4 * S, 4 * S},
        {90 * S, MODE_PEEK, 3, 3, 3, 0, 0});
}

static void a_clock_that_steps_back_frees_nothing_early(void **state)
{
    (void)state;
    RUN(rule_of(RULE_LOG, 3, 10 * S, 0), {10 * S, MODE_ALL, 2, 2, 1, 0, 10 * S}, {0, MODE_ALL, 1, 1, 0, 0, 20 * S},
        {0, MODE_ALL, 1, 0, 0, 20 * S, 20 * S}, {20 * S, MODE_ALL, 3, 3, 0, 0, 10 * S});
}

static void a_changed_rule_keeps_the_entries(void **state)
{
    (void)state;
    static const struct row {
        int64_t limit, period_us, at_us, remaining;
    } rows[] = {
        {8, 10 * S, 5 * S, 4},  /* a larger limit, */
        {2, 10 * S, 5 * S, 0},  /* a smaller one, */
        {8, 60 * S, 5 * S, 4},  /* a longer window: at once */
        {8, S, 5 * S, 4},       /* so does a shorter one: units pass, not instants */
        {8, 60 * S, 11 * S, 8}, /* what has left the old window does not come back in a longer one */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct context context = {0};
        struct rule before = rule_of(RULE_LOG, 5, 10 * S, 0);
        struct rule after = rule_of(RULE_LOG, rows[i].limit, rows[i].period_us, 0);
        context_request(&context, &before, 1, (struct limiter_request){.cost = 4, .now_us = BASE});
        context_request(&context, &after, 1,
                        (struct limiter_request){.cost = 1, .mode = MODE_PEEK, .now_us = BASE + rows[i].at_us});
        assert_int_equal(context.verdict.remaining, rows[i].remaining);
        context_end(&context);
    }
}

static void refunds_take_the_newest_first(void **state)
{
    (void)state;
    struct context context = {0};
    struct rule rule = rule_of(RULE_LOG, 10, 10 * S, 0);
    for (int64_t i = 0; i < 4; i++) {
        context_request(&context, &rule, 1, (struct limiter_request){.cost = 2, .now_us = BASE + i * S});
    }
    assert_int_equal(context_refund(&context, 3, -1, BASE + 3 * S),
                     3); /* the entry at 3 s and half of the one at 2 s */
    assert_int_equal(limiter_deadline_us(context.limiter), BASE + 12 * S);
    assert_int_equal(context_refund(&context, 99, -1, BASE + 10 * S), 3); /* the first entry has left by then */
    assert_int_equal(limiter_deadline_us(context.limiter), 0);
    context_end(&context);
}

static void a_full_log_refuses_and_loses_nothing(void **state)
{
    (void)state;
    struct limiter *limiter = NULL;
    struct decision decision;
    struct rule rule = rule_of(RULE_LOG, INT64_MAX, S, 0);
    for (int64_t i = 0; i <= LOG_ENTRIES_MAX; i++) {
        struct rule wanted = rule;
        limiter_decide(limiter, &wanted, 1, &(struct limiter_request){.cost = 1, .now_us = BASE + i}, &decision);
        assert_int_equal(decision.fault, i < LOG_ENTRIES_MAX ? FAULT_NONE : FAULT_BOUND);
        if (decision.fault == FAULT_NONE) limiter = limiter_apply(limiter, &decision);
    }
    assert_true(limiter_bytes(limiter) < 4 * LOG_ENTRIES_MAX); /* units and distances of one byte: two and slack */
    limiter_decide(limiter, &rule, 1, &(struct limiter_request){.cost = 1, .now_us = BASE + S}, &decision);
    assert_int_equal(decision.fault, FAULT_NONE); /* the oldest entry has left: there is room */
    limiter = limiter_apply(limiter, &decision);
    limiter_free(limiter);
}

/* ---- against a list that is too simple to be wrong ------------------------------------------------------- */

struct entry {
    int64_t at_us, units;
};
struct list {
    struct entry entries[4096];
    size_t count;
};

static int64_t list_live(const struct list *list, int64_t horizon_us)
{
    int64_t units = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->entries[i].at_us > horizon_us) units += list->entries[i].units;
    }
    return units;
}

static void the_packed_log_agrees_with_a_list(void **state)
{
    (void)state;
    random_begin(20250131);
    for (int round = 0; round < 20; round++) {
        struct context context = {0};
        static struct list list;
        list.count = 0;
        struct rule rule = rule_of(RULE_LOG, 1 + (int64_t)(random_bits() % 50), S, 0);
        int64_t now_us = BASE;
        for (int i = 0; i < 2000; i++) {
            now_us += (int64_t)(random_bits() % (i % 7 == 0 ? 400000 : 30000));
            int64_t cost = 1 + (int64_t)(random_bits() % 5), live = list_live(&list, now_us - S);
            if (i % 13 == 5) {
                int64_t back = cost < live ? cost : live;
                assert_int_equal(context_refund(&context, cost, -1, now_us), back);
                while (back > 0) {
                    struct entry *newest = &list.entries[list.count - 1];
                    int64_t part = back < newest->units ? back : newest->units;
                    newest->units -= part;
                    back -= part;
                    if (newest->units == 0) list.count--;
                }
                continue;
            }
            context_request(&context, &rule, 1, (struct limiter_request){.cost = cost, .now_us = now_us});
            int64_t granted = live + cost <= rule.limit ? cost : 0;
            assert_int_equal(context.verdict.granted, granted);
            assert_int_equal(context.verdict.remaining, rule.limit - live - granted);
            if (granted) list.entries[list.count++] = (struct entry){now_us, cost};
        }
        context_end(&context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_leaves_when_it_is_exactly_one_window_old),
        cmocka_unit_test(a_clock_that_steps_back_frees_nothing_early),
        cmocka_unit_test(a_changed_rule_keeps_the_entries),
        cmocka_unit_test(refunds_take_the_newest_first),
        cmocka_unit_test(a_full_log_refuses_and_loses_nothing),
        cmocka_unit_test(the_packed_log_agrees_with_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

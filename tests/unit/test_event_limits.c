/* Events of limits: thresholds, limits that are met, cycles that close. */
#include "account_tools.h"

#define T (D * 400)

static void thresholds_fire_once_in_a_cycle(void **state)
{
    (void)state;
    struct pair pair = pair_opened("a LIMIT 10 day WARN 50% 80% 100%", T);
    static const struct {
        int64_t amount;
        const char *happened;
    } rows[] = {{4, ""},
                {1, "limit.warned a 50"},
                {1, ""},
                {4, "limit.warned a 80 | limit.warned a 100 | limit.exhausted a"},
                {1, ""}}; /* denied */
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        pair_request_one(&pair, "a", rows[i].amount, MODE_ALL, NULL, T + (int64_t)i);
        assert_happened(&pair, rows[i].happened);
    }
    pair_request_one(&pair, "a", 3, MODE_FORCE, NULL, T + 10);
    assert_happened(&pair, ""); /* it was spent before */
    pair_refund(&pair, "a", 5, NULL, NULL, T + 11);
    assert_happened(&pair, "usage.refunded a 5");
    pair_request_one(&pair, "a", 2, MODE_ALL, NULL, T + 12);
    assert_happened(&pair, "limit.exhausted a"); /* a second time; its warnings have fired */
    pair_request_one(&pair, "a", 5, MODE_ALL, NULL, T + D + 1);
    assert_happened(&pair, "cycle.closed a | limit.warned a 50");
    pair_end(&pair);
}

static void a_plain_count_meets_its_limit(void **state)
{
    (void)state;
    struct pair pair = pair_opened("a LIMIT 5 day LIMIT 8 2day | b LIMIT -1 day", T);
    pair_consume(&pair, "a", 4, T + 1);
    assert_happened(&pair, "");
    pair_consume(&pair, "a", 1, T + 2);
    assert_happened(&pair, "limit.exhausted a");
    pair_consume(&pair, "a", 3, T + D + 1);
    assert_happened(&pair, "cycle.closed a | limit.exhausted a"); /* of two days */
    pair_consume(&pair, "b", 1000, T + D + 2);
    assert_happened(&pair, "");
    pair_end(&pair);
}

static void the_limit_of_an_override_counts(void **state)
{
    (void)state;
    struct pair pair = pair_opened("a LIMIT 5 day", T);
    pair_override(&pair, "a LIMIT 7 day", T + H, T + 1);
    assert_happened(&pair, "override.set a");
    pair_consume(&pair, "a", 5, T + 2);
    assert_happened(&pair, "");
    pair_consume(&pair, "a", 2, T + 3);
    assert_happened(&pair, "limit.exhausted a");
    pair_set(&pair, "a", 1, T + 4);
    assert_happened(&pair, "usage.set a 7>1");
    pair_consume(&pair, "a", 4, T + 2 * H);
    assert_happened(&pair, "override.ended a | limit.exhausted a");
    pair_override(&pair, "a LIMIT 7 day", 0, T + 3 * H);
    assert_happened(&pair, "override.set a");
    pair_override(&pair, "a", 0, T + 4 * H);
    assert_happened(&pair, "override.ended a");
    pair_end(&pair);
}

static void a_late_posting_amends_its_cycle(void **state)
{
    (void)state;
    struct pair pair = pair_opened("a LIMIT 9 day", T);
    pair_consume(&pair, "a", 1, T + 1);
    pair_reserve(&pair, "late", "a", 2, 2 * D, T + 2);
    pair_consume(&pair, "a", 1, T + D + 1);
    assert_happened(&pair, "cycle.closed a");
    pair_commit(&pair, "late", 2, T + D + 2);
    assert_happened(&pair, "cycle.amended a 1>3");
    pair_consume(&pair, "a", 1, T + 9 * D);
    assert_happened(&pair, "cycle.closed a"); /* the idle ones make none */
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds_fire_once_in_a_cycle),
        cmocka_unit_test(a_plain_count_meets_its_limit),
        cmocka_unit_test(the_limit_of_an_override_counts),
        cmocka_unit_test(a_late_posting_amends_its_cycle),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Shares: worked numbers, and what must be true of any: the sum is exact, more weight is never less, a want is kept. */
#include "quota/account/shares.h"
#include "quota/base/checked.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void worked_numbers(void **state)
{
    (void)state;
    static const struct {
        int64_t units;
        enum share_how how;
        uint32_t count;
        struct share_claim claims[4]; /* weight, want, share */
    } rows[] = {
        /* what rounding leaves goes to the largest fractions, then in the order of joining */
        {100, SHARE_EQUAL, 3, {{1, 0, 34}, {1, 0, 33}, {1, 0, 33}}},
        {101, SHARE_EQUAL, 3, {{2, 0, 51}, {1, 0, 25}, {1, 0, 25}}},
        {2, SHARE_EQUAL, 3, {{1, 0, 1}, {1, 0, 1}, {1, 0, 0}}},
        {0, SHARE_EQUAL, 2, {{1, 0, 0}, {1, 0, 0}}},
        {INT64_MAX, SHARE_EQUAL, 2, {{1, 0, INT64_MAX / 2 + 1}, {1, 0, INT64_MAX / 2}}},
        /* water filling */
        {120, SHARE_FAIR, 3, {{1, WANTS_ALL, 60}, {1, 50, 50}, {1, 10, 10}}},
        {120, SHARE_FAIR, 3, {{1, 20, 40}, {1, 30, 50}, {1, 10, 30}}},
        {100, SHARE_FAIR, 3, {{1, 20, 20}, {2, WANTS_ALL, 53}, {1, 30, 27}}},
        {100, SHARE_FAIR, 3, {{1, WANTS_ALL, 34}, {1, WANTS_ALL, 33}, {1, WANTS_ALL, 33}}},
        {100, SHARE_FAIR, 3, {{1, 0, 34}, {1, 0, 33}, {1, 0, 33}}},
        {10, SHARE_FAIR, 2, {{1, 5, 5}, {1, 5, 5}}},
        {INT64_MAX, SHARE_FAIR, 2, {{1000, WANTS_ALL, INT64_MAX - 7}, {1, 7, 7}}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct share_claim claims[4];
        for (uint32_t k = 0; k < rows[i].count; k++)
            claims[k] = (struct share_claim){rows[i].claims[k].weight, rows[i].claims[k].want, -1};
        shares_divide(rows[i].units, rows[i].how, claims, rows[i].count);
        for (uint32_t k = 0; k < rows[i].count; k++) {
            if (claims[k].share != rows[i].claims[k].share) fail_msg("row %zu, member %u", i, k);
        }
    }
    shares_divide(5, SHARE_EQUAL, NULL, 0);
}

#define COUNT 40

static void sums_are_exact_and_wants_are_kept(void **state)
{
    (void)state;
    for (int run = 0; run < 3000; run++) {
        struct share_claim claims[COUNT];
        uint32_t count = 1 + (uint32_t)random_below(COUNT);
        enum share_how how = random_below(2) ? SHARE_FAIR : SHARE_EQUAL;
        int64_t units = random_between(0, run % 3 ? 200 : INT64_MAX - 1), sum = 0, wanted = 0;
        for (uint32_t i = 0; i < count; i++) {
            bool all = random_below(4) == 0;
            claims[i].weight = (uint32_t)random_between(1, 5);
            claims[i].want = all ? WANTS_ALL : random_between(0, 1 + units / count);
            wanted = all ? WANTS_ALL : add_clamped(wanted, claims[i].want);
        }
        shares_divide(units, how, claims, count);
        for (uint32_t i = 0; i < count; i++) {
            sum += claims[i].share;
            assert_true(claims[i].share >= 0);
            for (uint32_t k = 0; how == SHARE_EQUAL && k < count; k++) {
                if (claims[i].weight > claims[k].weight) assert_true(claims[i].share >= claims[k].share);
            }
            /* Where all wants fit, each has at least what it wants; where they do not, none has more. */
            if (how == SHARE_FAIR && wanted <= units) assert_true(claims[i].share >= claims[i].want);
            if (how == SHARE_FAIR && wanted > units) assert_true(claims[i].share <= claims[i].want);
        }
        assert_int_equal(sum, units);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_numbers),
        cmocka_unit_test(sums_are_exact_and_wants_are_kept),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

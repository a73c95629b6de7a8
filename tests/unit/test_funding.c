/* Funding: parts in order, cut from either end; bytes that are none are refused. */
#include "quota/account/funding.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* limits 100, grant 3 10, grant 7 10, limits 5 */
static struct sink some_funding(void)
{
    struct sink funding = {0};
    funding_add(&funding, FUNDED_BY_LIMITS, 100);
    funding_add(&funding, 3, 10);
    funding_add(&funding, 9, 0); /* no units: no part */
    funding_add(&funding, 7, 10);
    funding_add(&funding, FUNDED_BY_LIMITS, 5);
    return funding;
}

static const struct {
    int64_t from, to;
    struct funding_part parts[4]; /* up to the first without units */
} cuts[] = {
    {0, 125, {{0, 100}, {3, 10}, {7, 10}, {0, 5}}},
    /* the last 30 */
    {95, 125, {{0, 5}, {3, 10}, {7, 10}, {0, 5}}},
    {119, 121, {{7, 1}, {0, 1}}},
    /* the first ones */
    {0, 40, {{0, 40}}},
    {0, 105, {{0, 100}, {3, 5}}},
    /* within one part, at its edges, nothing */
    {103, 107, {{3, 4}}},
    {100, 110, {{3, 10}}},
    {110, 110, {{0, 0}}},
    /* beyond the end */
    {124, 900, {{0, 1}}},
};

static void parts_are_cut_in_order(void **state)
{
    (void)state;
    struct sink funding = some_funding();
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        struct sink cut = {0};
        struct funding_part part;
        size_t count = 0;
        funding_cut(sink_content(&funding), 125, cuts[i].from, cuts[i].to, &cut);
        struct cursor cursor = cursor_init(sink_content(&cut));
        while (funding_next(&cursor, &part)) {
            assert_int_equal(part.grant, cuts[i].parts[count].grant);
            assert_int_equal(part.units, cuts[i].parts[count].units);
            count++;
        }
        if (count < COUNT_OF(cuts[i].parts) && cuts[i].parts[count].units > 0) fail_msg("row %zu ends early", i);
        sink_free(&cut);
    }
    sink_free(&funding);
}

static void no_bytes_are_the_limits_alone(void **state)
{
    (void)state;
    struct sink cut = {0}, funding = some_funding();
    assert_int_equal(funding_of_limits(BYTES(""), 9), 9);
    assert_int_equal(funding_of_limits(sink_content(&funding), 125), 105);
    funding_cut(BYTES(""), 9, 2, 7, &cut);
    assert_true(bytes_equal(sink_content(&cut), BYTES("\0\5")));
    sink_free(&cut);
    sink_free(&funding);
}

static void parts_add_up_to_the_units(void **state)
{
    (void)state;
    struct sink funding = some_funding(), huge = {0};
    assert_true(funding_fits(BYTES(""), 9));
    assert_true(funding_fits(sink_content(&funding), 125));
    assert_false(funding_fits(sink_content(&funding), 124));
    assert_false(funding_fits((struct bytes){funding.data, funding.size - 1}, 125));
    assert_false(funding_fits(BYTES("\1\0"), 0)); /* a part without units */
    funding_add(&huge, 1, INT64_MAX);
    funding_add(&huge, 2, 1);
    assert_false(funding_fits(sink_content(&huge), INT64_MIN)); /* the sum does not fit */
    sink_free(&funding);
    sink_free(&huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_cut_in_order),
        cmocka_unit_test(no_bytes_are_the_limits_alone),
        cmocka_unit_test(parts_add_up_to_the_units),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

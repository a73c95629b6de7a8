/* Refund lines: rows for each way units come back, and a slow model that remembers every generation by itself. */
#include "quota/account/refund_lines.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include "quota/base/checked.h"
#include "tools.h"
#include <cmocka.h>

static void what_a_line_leaves(void **state)
{
    (void)state;
    struct refund_lines lines = {.count = 2, .line = {{.generation = 3, .left = 4}, {.generation = 5, .left = 2}}};
    static const struct {
        int64_t generation, units, wanted;
    } rows[] = {
        {1, 3, 3}, {3, 3, 1}, {2, 1, 0}, /* all of the first line's generations share what it leaves */
        {4, 1, 1}, {5, 9, 1},            /* and those of the second what that one leaves */
        {6, 9, 9},                       /* nothing limits what came after it */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t returned = refund_lines_return(&lines, rows[i].units, rows[i].generation);
        if (returned != rows[i].wanted) fail_msg("row %zu: %lld", i, (long long)returned);
    }
}

static void the_newest_units_come_back_first(void **state)
{
    (void)state;
    struct refund_lines lines = {.count = 0};
    refund_lines_return_newest(&lines, 3, 10, 0);    /* 7 are left of generation 0 */
    refund_lines_return_newest(&lines, 0, 7, 1);     /* nothing came back: no line */
    refund_lines_return_newest(&lines, 6, 7 + 5, 1); /* the 5 of generation 1, and one of the 7 */
    struct refund_lines wanted = {.count = 2, .line = {{.generation = 0, .left = 6}, {.generation = 1, .left = 0}}};
    assert_true(refund_lines_equal(&lines, &wanted));
    refund_lines_return_newest(&lines, 6, 6, 2); /* all: a line that leaves nothing behind one that leaves nothing */
    wanted = (struct refund_lines){.count = 2, .line = {{.generation = 0, .left = 0}, {.generation = 2, .left = 0}}};
    assert_true(refund_lines_equal(&lines, &wanted));
    refund_lines_seal(&lines, 7);
    wanted = (struct refund_lines){.count = 1, .line = {{.generation = 7, .left = 0}}};
    assert_true(refund_lines_equal(&lines, &wanted));
}

/* With any refunds in any order no more comes back than was consumed, and never more than is used. */
static void no_unit_comes_back_twice(void **state)
{
    (void)state;
    for (int run = 0; run < 3000; run++) {
        struct refund_lines lines = {.count = 0};
        int64_t generation = 0, used = 0, consumed = 0, returned = 0, of[64] = {0};
        for (int step = 0; step < 40; step++) {
            int64_t units = random_between(0, 9);
            switch (random_below(4)) {
            case 0:
                units = min_i64(units, used);
                refund_lines_return_newest(&lines, units, used, generation);
                generation += units > 0 && generation < 63;
                break;
            case 1: {
                int64_t named = random_between(0, generation);
                units = refund_lines_return(&lines, min_i64(min_i64(units, used), of[named]), named);
                of[named] -= units;
                break;
            }
            default:
                used += units;
                consumed += units;
                of[generation] += units;
                continue;
            }
            used -= units;
            returned += units;
            assert_true(used >= 0 && returned <= consumed && lines.count <= REFUND_LINES_MAX);
            int64_t left = 0;
            for (uint32_t i = 0; i < lines.count; i++) left += lines.line[i].left;
            assert_true(left <= used);
        }
    }
}

static void lines_survive_their_bytes(void **state)
{
    (void)state;
    static const struct {
        char bytes[7];
        size_t size;
        bool good;
    } rows[] = {
        {"\x02\x03\x04\x05\x02", 5, true},
        {"\x00", 1, false},                         /* at least one */
        {"\x04\x01\x00\x02\x00\x03\x00", 7, false}, /* more than there can be */
        {"\x02\x05\x04\x05\x02", 5, false},         /* generations rise */
        {"\x02\x03\x04\x05", 4, false},             /* cut off */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct refund_lines lines;
        struct cursor cursor = cursor_init((struct bytes){rows[i].bytes, rows[i].size});
        refund_lines_decode(&cursor, &lines);
        if (cursor_done(&cursor) != rows[i].good) fail_msg("row %zu", i);
        if (!rows[i].good) continue;
        struct sink sink = {0};
        refund_lines_encode(&lines, &sink);
        assert_int_equal(sink.size, rows[i].size);
        assert_memory_equal(sink.data, rows[i].bytes, sink.size);
        sink_free(&sink);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_line_leaves),
        cmocka_unit_test(the_newest_units_come_back_first),
        cmocka_unit_test(no_unit_comes_back_twice),
        cmocka_unit_test(lines_survive_their_bytes),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

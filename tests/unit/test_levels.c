/* Levels of records and reservations: they read back as they were written, cut or damaged bytes are no levels, and the
 * ids of members' reservations are those of one member each. */
#include "quota/account/levels.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct sink two_levels(void)
{
    struct sink parts = {0}, levels = {0};
    const struct level_part part = {.item = 3,
                                    .resource = BYTES("minutes"),
                                    .cost = 10,
                                    .generation = 7,
                                    .charged = {.count = 2, .periods = {5, 9}},
                                    .funding = BYTES("\0\5")};
    level_part_add(&parts, &part);
    level_add(&levels, &(struct level){BYTES("team"), sink_content(&parts), BYTES("")});
    level_add(&levels, &(struct level){BYTES("agency"), BYTES(""), BYTES("team")});
    sink_free(&parts);
    return levels;
}

static void levels_read_back(void **state)
{
    (void)state;
    struct sink levels = two_levels();
    struct cursor cursor = cursor_init(sink_content(&levels));
    struct level level;
    struct level_part part;
    assert_true(levels_fit(sink_content(&levels)));
    assert_true(level_next(&cursor, &level));
    assert_true(bytes_equal(level.name, BYTES("team")));
    struct cursor parts = cursor_init(level.parts);
    assert_true(level_part_next(&parts, &part));
    assert_int_equal(part.item, 3);
    assert_true(bytes_equal(part.resource, BYTES("minutes")));
    assert_int_equal(part.cost, 10);
    assert_int_equal(part.generation, 7);
    assert_int_equal(part.charged.count, 2);
    assert_int_equal(part.charged.periods[1], 9);
    assert_true(bytes_equal(part.funding, BYTES("\0\5")));
    assert_false(level_part_next(&parts, &part));
    assert_true(level_next(&cursor, &level));
    assert_true(bytes_equal(level.name, BYTES("agency")));
    assert_true(bytes_equal(level.member, BYTES("team")));
    assert_int_equal(level.parts.size, 0);
    assert_false(level_next(&cursor, &level));
    assert_true(cursor_done(&cursor));
    sink_free(&levels);
}

/* Cut anywhere but between levels they are none; nor are more than there can be. */
static void what_is_cut_or_too_much_is_refused(void **state)
{
    (void)state;
    struct sink levels = two_levels();
    size_t first = levels.size - 13; /* "agency", "team", their lengths and that there are no parts */
    for (size_t size = 1; size < levels.size; size++) {
        bool whole = size == first;
        if (levels_fit((struct bytes){levels.data, size}) != whole) fail_msg("cut at %zu", size);
    }
    for (int i = 2; i < ANCESTORS_MAX; i++) level_add(&levels, &(struct level){BYTES("x"), BYTES(""), BYTES("")});
    assert_true(levels_fit(sink_content(&levels)));
    level_add(&levels, &(struct level){BYTES("x"), BYTES(""), BYTES("")});
    assert_false(levels_fit(sink_content(&levels)));
    assert_true(levels_fit(BYTES("")));
    sink_free(&levels);
}

static void ids_of_members_differ(void **state)
{
    (void)state;
    struct member_hold_id left, right;
    member_hold_id_make(&left, BYTES("ab"), BYTES("ab"), BYTES("c"));
    member_hold_id_make(&right, BYTES("a"), BYTES("a"), BYTES("bc"));
    assert_false(bytes_equal(member_hold_id_bytes(&left), member_hold_id_bytes(&right)));
    member_hold_id_make(&right, BYTES("ab"), BYTES("x"), BYTES("c")); /* of an account below the member */
    assert_false(bytes_equal(member_hold_id_bytes(&left), member_hold_id_bytes(&right)));
    assert_true(bytes_equal(member_hold_id_member(member_hold_id_bytes(&right)), BYTES("ab")));
    char name[MEMBER_NAME_MAX] = {0}, other[MEMBER_NAME_MAX] = {1}, id[ID_BYTES_MAX] = {0};
    member_hold_id_make(&left, (struct bytes){name, sizeof(name)}, (struct bytes){other, sizeof(other)},
                        (struct bytes){id, sizeof(id)});
    assert_int_equal(left.size, MEMBER_HOLD_ID_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_read_back),
        cmocka_unit_test(what_is_cut_or_too_much_is_refused),
        cmocka_unit_test(ids_of_members_differ),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

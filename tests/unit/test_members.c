/* Members of a pool against a plain array, over random streams; what a member has used in which cycle; who makes room;
 * sound bytes. */
#include "quota/account/members.h"
#include "quota/time/duration.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NAMES  30
#define SLOTS  2
#define CYCLE  100
#define ROUNDS 20000

static struct bytes name_of(uint32_t which)
{
    static char names[NAMES][8];
    int size = snprintf(names[which], sizeof(names[which]), "m%u", which);
    return (struct bytes){names[which], (size_t)size};
}

/* ---- against a plain array ------------------------------------------------------------------------------- */

struct model {
    int64_t number; /* 0 = it is not kept */
    uint32_t weight;
    bool has_left, ever;
    int64_t used_us;
    struct {
        bool any;
        int64_t start_us, used, past_start_us, past_used;
    } uses[SLOTS];
};

static void model_use(struct model *model, uint32_t slot, int64_t start_us, int64_t used, int64_t now_us)
{
    if (!model->uses[slot].any) {
        model->uses[slot].any = true;
        model->uses[slot].start_us = start_us;
    }
    if (start_us > model->uses[slot].start_us) {
        model->uses[slot].past_start_us = model->uses[slot].start_us;
        model->uses[slot].past_used = model->uses[slot].used;
        model->uses[slot].start_us = start_us;
        model->uses[slot].used = 0;
    }
    if (start_us == model->uses[slot].start_us) {
        if (used > model->uses[slot].used) model->used_us = now_us;
        model->uses[slot].used = used;
    } else if (start_us >= model->uses[slot].past_start_us) {
        model->uses[slot].past_start_us = start_us;
        model->uses[slot].past_used = used;
    }
}

static int64_t model_used(const struct model *model, uint32_t slot, int64_t start_us)
{
    if (!model->uses[slot].any) return 0;
    if (model->uses[slot].start_us == start_us) return model->uses[slot].used;
    return model->uses[slot].past_start_us == start_us ? model->uses[slot].past_used : 0;
}

static void compare(const struct members *members, const struct model models[NAMES], int64_t now_us)
{
    uint32_t live = 0, kept = 0;
    for (uint32_t i = 0; i < NAMES; i++) {
        const struct model *model = &models[i];
        const struct member *member = members_find(members, name_of(i));
        assert_int_equal(member != NULL, model->number > 0);
        if (!member) continue;
        kept++;
        live += !model->has_left;
        assert_int_equal(member->number, model->number);
        assert_ptr_equal(members_numbered(members, model->number), member);
        assert_int_equal(member->weight, model->weight);
        assert_int_equal(member->has_left, model->has_left);
        assert_int_equal(member->used_us, model->used_us);
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            for (int64_t start_us = now_us - 3 * CYCLE; start_us <= now_us + CYCLE; start_us += CYCLE) {
                assert_int_equal(member_used(member, slot, start_us), model_used(model, slot, start_us));
            }
        }
    }
    assert_int_equal(members->count, kept);
    assert_int_equal(members_live(members), live);
}

static void step(struct members *members, struct model *model, uint32_t which, int64_t now_us)
{
    int64_t start_us = now_us - now_us % CYCLE - CYCLE * random_between(0, 2), used = random_between(0, 9);
    uint32_t slot = (uint32_t)random_below(SLOTS), weight = (uint32_t)random_between(1, MEMBER_WEIGHT_MAX);
    switch (random_below(4)) {
    case 0:
        if (model->number == 0) *model = (struct model){.number = members->made + 1};
        model->weight = weight;
        model->has_left = false;
        members_put(members, model->number, name_of(which), weight);
        break;
    case 1:
        if (model->number == 0) break;
        members_leave(members, model->number);
        model->has_left = true;
        break;
    default:
        if (model->number == 0) break;
        members_use(members, model->number, slot, start_us, used, now_us);
        model_use(model, slot, start_us, used, now_us);
    }
}

static void members_are_what_was_done_to_them(void **state)
{
    (void)state;
    struct members members = {0};
    struct model models[NAMES] = {0};
    int64_t now_us = 10 * CYCLE;
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t which = (uint32_t)random_below(NAMES);
        now_us += random_between(0, 3);
        step(&members, &models[which], which, now_us);
        if (round % 50 == 0) compare(&members, models, now_us - now_us % CYCLE);
    }
    members_free(&members);
    assert_int_equal(members.bytes, 0);
}

/* ---- bytes ------------------------------------------------------------------------------------------------- */

static struct members some_members(void)
{
    struct members members = {0};
    members_put(&members, 1, BYTES("a"), 3);
    members_put(&members, 4, BYTES("b"), 1000);
    members_use(&members, 1, 2, CYCLE, 7, CYCLE + 1);
    members_use(&members, 1, 2, 2 * CYCLE, 5, 2 * CYCLE + 1);
    members_share(&members, 1, 2, 2 * CYCLE, 40);
    members_use(&members, 1, 0, 0, 9, 2 * CYCLE + 1);
    members_leave(&members, 1);
    return members;
}

static void bytes_read_back(void **state)
{
    (void)state;
    struct members members = some_members();
    for (uint32_t i = 0; i < members.count; i++) {
        struct sink bytes = {0}, again = {0};
        member_encode(members.by_number[i], &bytes);
        struct cursor cursor = cursor_init(sink_content(&bytes));
        struct members read = {0};
        members_adopt(&read, member_decode(&cursor));
        assert_true(cursor_done(&cursor));
        member_encode(read.by_number[0], &again);
        assert_true(bytes_equal(sink_content(&bytes), sink_content(&again)));
        for (size_t size = 0; size < bytes.size; size++) {
            cursor = cursor_init((struct bytes){bytes.data, size});
            assert_null(member_decode(&cursor));
        }
        members_free(&read);
        sink_free(&bytes);
        sink_free(&again);
    }
    members_free(&members);
}

/* ---- who makes room ---------------------------------------------------------------------------------------- */

/* A value without members has no place for them. */
static void shares_without_members_are_not_stored(void **state)
{
    (void)state;
    struct members members = {0};
    const struct division division = {.slot = 0, .start_us = 5, .units = 9, .how = SHARE_EQUAL};
    members_divide(&members, &division);
    assert_false(members_are_divided(&members, 0, 5));
    members_free(&members);
}

static void the_one_that_was_not_charged_for_longest_is_idle(void **state)
{
    (void)state;
    struct members members = {0};
    for (uint32_t i = 0; i < 4; i++) members_put(&members, i + 1, name_of(i), 1);
    for (uint32_t i = 0; i < 4; i++) members_use(&members, i + 1, 0, 0, 1, 100 + 10 * i);
    assert_int_equal(members_idle(&members, 200, 0)->number, 1);
    assert_int_equal(members_idle(&members, 200, 1)->number, 2);
    assert_null(members_idle(&members, 100, 0)); /* none is idle for so long */
    members_leave(&members, 1);
    assert_int_equal(members_idle(&members, 111, 0)->number, 2);
    members_free(&members);
}

/* More than a pool stores: the one that has left goes, never one that has not. */
static void too_many_push_out_those_that_have_left(void **state)
{
    (void)state;
    struct members members = {0};
    char name[16];
    for (int64_t i = 1; i <= MEMBERS_STORED_MAX; i++) {
        int size = snprintf(name, sizeof(name), "%lld", (long long)i);
        members_put(&members, i, (struct bytes){name, (size_t)size}, 1);
        members_use(&members, i, 0, 0, 1, 1000 + i);
        if (i % 2 == 0) members_leave(&members, i);
    }
    members_put(&members, MEMBERS_STORED_MAX + 1, BYTES("new"), 1);
    assert_int_equal(members.count, MEMBERS_STORED_MAX);
    assert_null(members_numbered(&members, 2));
    assert_non_null(members_numbered(&members, 1));
    assert_int_equal(members_live(&members), MEMBERS_STORED_MAX / 2 + 1);
    members_free(&members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_what_was_done_to_them),
        cmocka_unit_test(bytes_read_back),
        cmocka_unit_test(shares_without_members_are_not_stored),
        cmocka_unit_test(the_one_that_was_not_charged_for_longest_is_idle),
        cmocka_unit_test(too_many_push_out_those_that_have_left),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

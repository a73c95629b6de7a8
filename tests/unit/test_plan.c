/* Plans: equal ones are one, bytes in order of the names, every mutated byte refused or understood. */
#include "account_tools.h"
#include <stdio.h>

static void equal_plans_are_one_plan(void **state)
{
    (void)state;
    struct sink bytes = {0};
    struct entitlement entitlement = entitlement_from("calls LIMIT 10 day");
    plan_write_with(NULL, BYTES("pro"), 3, &entitlement, &bytes);
    const struct plan *one = plan_take(sink_content(&bytes)), *two = plan_take(sink_content(&bytes));
    assert_ptr_equal(one, two);
    assert_int_equal(one->users, 2);
    assert_ptr_equal(plan_share(one), one);
    assert_int_equal(plans_shared_count(), 1);
    memset(bytes.data, 0xff, bytes.size); /* the plan owns what it was made from */
    assert_true(bytes_equal(one->name, BYTES("pro")));
    assert_int_equal(one->revision, 3);
    assert_int_equal(plan_find(one, BYTES("calls"))->rules[0].limit, 10);
    plan_release(one);
    plan_release(one);
    assert_int_equal(plans_shared_count(), 1);
    plan_release(one);
    assert_int_equal(plans_shared_count(), 0);
    plan_release(NULL);
    assert_null(plan_share(NULL));
    sink_free(&bytes);
}

static void name_and_revision_make_another_plan(void **state)
{
    (void)state;
    struct entitlement entitlement = entitlement_from("calls LIMIT 10 day");
    const struct plan *plans[3];
    for (int i = 0; i < 3; i++) {
        struct sink bytes = {0};
        plan_write_with(NULL, i == 1 ? BYTES("") : BYTES("pro"), i == 2 ? INT64_MAX : 1, &entitlement, &bytes);
        plans[i] = plan_take(sink_content(&bytes));
        assert_non_null(plans[i]);
        sink_free(&bytes);
    }
    assert_int_equal(plans_shared_count(), 3);
    for (int i = 0; i < 3; i++) plan_release(plans[i]);
}

/* ---- with and without a resource --------------------------------------------------------------------------- */

static void name_of(int number, char name[8])
{
    name[0] = (char)('a' + number % 5);
    memset(name + 1, 'x', (size_t)(number / 5));
    name[1 + number / 5] = '\0';
}

static const struct plan *plan_after(const struct plan *before, const struct entitlement *entitlement,
                                     struct bytes without)
{
    struct sink bytes = {0};
    if (entitlement) {
        plan_write_with(before, BYTES("pro"), 1, entitlement, &bytes);
    } else {
        plan_write_without(before, 1, without, &bytes);
    }
    const struct plan *after = plan_take(sink_content(&bytes));
    assert_non_null(after);
    sink_free(&bytes);
    plan_release(before);
    return after;
}

/* Whatever the order in which resources came and went, the same ones are the same bytes. */
static void resources_come_and_go(void **state)
{
    (void)state;
    int64_t limits[20];
    char name[8];
    struct entitlement entitlement = entitlement_from("calls LIMIT 10 day");
    const struct plan *plan = NULL;
    for (int i = 0; i < 20; i++) limits[i] = -1;
    for (int step = 0; step < 2000; step++) {
        int number = (int)random_below(20);
        name_of(number, name);
        if (plan && random_below(2)) {
            plan = plan_after(plan, NULL, text_bytes(name));
            limits[number] = -1;
        } else {
            entitlement.resource = text_bytes(name);
            entitlement.rules[0].limit = limits[number] = random_between(0, 5);
            plan = plan_after(plan, &entitlement, BYTES(""));
        }
        uint32_t wanted = 0;
        for (int i = 0; i < 20; i++) {
            name_of(i, name);
            const struct entitlement *found = plan_find(plan, text_bytes(name));
            assert_int_equal(found ? found->rules[0].limit : -1, limits[i]);
            wanted += limits[i] >= 0;
        }
        assert_int_equal(plan->entitlement_count, wanted);
    }
    assert_null(plan_find(NULL, BYTES("a")));
    plan_release(plan);
}

static void a_plan_has_a_bound(void **state)
{
    (void)state;
    char name[8];
    struct entitlement entitlement = entitlement_from("calls LIMIT 10 day");
    const struct plan *plan = NULL;
    for (int i = 0; i < PLAN_RESOURCES_MAX; i++) {
        entitlement.resource = (struct bytes){name, (size_t)snprintf(name, sizeof(name), "%d", i)};
        plan = plan_after(plan, &entitlement, BYTES(""));
    }
    struct sink bytes = {0};
    entitlement.resource = BYTES("one more");
    plan_write_with(plan, BYTES("pro"), 1, &entitlement, &bytes);
    assert_null(plan_take(sink_content(&bytes)));
    sink_free(&bytes);
    plan_release(plan);
}

/* ---- bytes that are no plan -------------------------------------------------------------------------------- */

/* Accepted bytes are what the plan keeps; written again one by one, its terms are the same bytes. */
static bool is_taken(struct bytes bytes)
{
    struct sink again = {0};
    const struct plan *plan = plan_take(bytes), *grown = NULL;
    if (!plan) return false;
    assert_true(bytes_equal(plan->bytes, bytes));
    for (uint32_t i = plan->entitlement_count; i-- > 0;) {
        struct sink more = {0};
        plan_write_with(grown, plan->name, plan->revision, &plan->entitlement[i], &more);
        const struct plan *next = plan_take(sink_content(&more));
        assert_non_null(next);
        plan_release(grown);
        grown = next;
        sink_free(&more);
    }
    if (grown) assert_ptr_equal(grown, plan);
    plan_release(grown);
    plan_release(plan);
    sink_free(&again);
    return true;
}

static void mutated_bytes_are_refused_or_understood(void **state)
{
    (void)state;
    const struct plan *plan =
        plan_set("pro", "b LIMIT 10 day WARN 80 | a LIMIT 5 ROLLING 1h RATE GCRA 1 1s | ab LIMIT 1 week CALENDAR");
    struct bytes whole = plan->bytes;
    char copy[512];
    assert_true(whole.size <= sizeof(copy) && is_taken(whole));
    memcpy(copy, whole.data, whole.size);
    for (size_t size = 0; size < whole.size; size++) assert_false(is_taken((struct bytes){copy, size}));
    for (size_t place = 0; place < whole.size; place++) {
        for (int value = 1; value < 256; value++) {
            copy[place] = (char)(copy[place] ^ value);
            is_taken((struct bytes){copy, whole.size});
            copy[place] = (char)(copy[place] ^ value);
        }
    }
    assert_int_equal(plans_shared_count(), 1);
    plan_drop("pro");
}

/* encoding, name, revision, number: none of them ends the plan's bytes early, and no resource is there twice. */
static void what_is_no_plan(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        bool taken;
    } rows[] = {
        {"", 0, false},
        {"\x01\x00\x01\x00", 4, true},
        {"\x02\x00\x01\x00", 4, false},
        {"\x01\x00\x00\x00", 4, false},
        {"\x01\x00\x01\x01", 4, false},
        {"\x01\x00\x01\x40", 4, false},
        {"\x01\x00\x01\x41", 4, false},
        {"\x01\x00\x01\x00\x00", 5, false},
        {"\x01\x01p\x01\x00", 5, true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (is_taken((struct bytes){rows[i].bytes, rows[i].size}) != rows[i].taken) fail_msg("row %zu", i);
    }
    struct sink bytes = {0};
    struct entitlement entitlement = entitlement_from("calls LIMIT 10 day");
    sink_raw(&bytes, "\x01\x00\x01\x02", 4);
    entitlement_encode(&entitlement, &bytes);
    entitlement_encode(&entitlement, &bytes);
    assert_false(is_taken(sink_content(&bytes)));
    sink_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_plans_are_one_plan),
        cmocka_unit_test(name_and_revision_make_another_plan),
        cmocka_unit_test(resources_come_and_go),
        cmocka_unit_test(a_plan_has_a_bound),
        cmocka_unit_test(mutated_bytes_are_refused_or_understood),
        cmocka_unit_test(what_is_no_plan),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

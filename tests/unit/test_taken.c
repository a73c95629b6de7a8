/* Unit tests of src/taken.c: what was consumed under an id, by which command, and what is left of it. */
#include "account_tools.h"
#include "quota/decide/taken.h"

#define T at("2025-01-31T15:00:00")

static void consume_as(struct pair *pair, const char *resource, int64_t amount, const char *id)
{
    pair_request_one(pair, resource, amount, MODE_ALL, id, T);
    assert_fault(pair, ACCOUNT_FAULT_NONE);
}

/* MCONSUME of c and a. */
static void consume_batch(struct pair *pair, bool any)
{
    const struct consume_item items[] = {{BYTES("c"), 3}, {BYTES("a"), 4}};
    struct consume_request request = {
        .items = items, .count = 2, .batch = true, .any = any, .id = BYTES("x"), .now_us = T};
    pair_request(pair, &request);
}

/* Resources in order as numbers of slots (a 0, b 1, c 2), and of each what is left. */
static const struct {
    const char *commands; /* b: CONSUME b 2, a: CONSUME a 1, m: MCONSUME c 3 a 4, n: … ANY, r: reserve and commit */
    uint32_t count, slots[3];
    int64_t left[3];
} consumptions[] = {
    {"", 0, {0}, {0}},
    {"b", 1, {1}, {2}},
    {"ba", 2, {0, 1}, {1, 2}}, /* in the order of their first use */
    {"m", 2, {2, 0}, {3, 4}},  /* in the order of the record */
    {"n", 2, {2, 0}, {3, 0}},  /* of what was not charged nothing is left */
    {"am", 2, {0, 2}, {1, 3}}, /* CONSUME of a resource goes before */
    {"r", 2, {1, 0}, {2, 0}},  /* committed 2 of b, 0 of a */
    {"bmr", 3, {1, 2, 0}, {2, 3, 4}},
    {"rb", 2, {1, 0}, {2, 0}},
};

static void every_resource_of_an_id_is_found_once(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 100 1h | b LIMIT 100 1h | c LIMIT 100 1h");
    for (size_t i = 0; i < COUNT_OF(consumptions); i++) {
        struct pair pair = {0};
        struct look look;
        uint32_t slots[REFUND_ITEMS_MAX];
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 1, T);
        pair_consume(&pair, "b", 1, T);
        pair_consume(&pair, "c", 1, T);
        for (const char *command = consumptions[i].commands; *command; command++) {
            if (*command == 'a') consume_as(&pair, "a", 1, "x");
            if (*command == 'b') consume_as(&pair, "b", 2, "x");
            if (*command == 'm' || *command == 'n') consume_batch(&pair, *command == 'n');
            if (*command != 'r') continue;
            pair_reserve_all(&pair, "x", "b 5 | a 5", MODE_ALL, H, T);
            pair_commit_all(&pair, "x", "2 0", false, T);
        }
        look_at(&look, pair.account, "a", T);
        if (taken_slots(&look.account, BYTES("x"), slots) != consumptions[i].count) fail_msg("row %zu", i);
        for (uint32_t k = 0; k < consumptions[i].count; k++) {
            struct taken taken;
            int64_t left = taken_find(&look.account, slots[k], BYTES("x"), &taken) ? taken_left(&taken) : 0;
            if (slots[k] != consumptions[i].slots[k] || left != consumptions[i].left[k])
                fail_msg("row %zu, resource %u", i, k);
        }
        look_end(&look);
        pair_end(&pair);
    }
    configuration_end();
}

static void what_was_given_back_is_left_no_more(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    struct taken taken;
    plan_set("pro", "a LIMIT 100 1h COST 3");
    pair_open(&pair, "pro", T);
    consume_as(&pair, "a", 7, "x");
    pair_refund(&pair, "a", 5, "x", NULL, T);
    look_at(&look, pair.account, "a", T + KEPT - 1);
    assert_true(taken_find(&look.account, 0, BYTES("x"), &taken));
    assert_int_equal(taken.cost, 3);
    assert_int_equal(taken_left(&taken), 2);
    look_end(&look);
    look_at(&look, pair.account, "a", T + KEPT);
    assert_false(taken_find(&look.account, 0, BYTES("x"), &taken));
    look_end(&look);
    pair_end(&pair);
    configuration_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_resource_of_an_id_is_found_once),
                                       cmocka_unit_test(what_was_given_back_is_left_no_more)};
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

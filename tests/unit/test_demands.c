/* Unit tests of src/demands.c: the resources of a request, settled, checked and answered together. */
#include "account_tools.h"
#include "quota/decide/demands.h"

#define T at("2025-01-31T15:00:00")

static struct demand each[3];
static struct resource_view views[3];

/* Settles and checks `a n | b m`; to be ended by close. */
static enum account_fault settle_and_check(struct demands *demands, struct pair *pair, struct account_view *view,
                                           const struct consume_item *items, uint32_t count, enum request_mode mode)
{
    account_decision_end(&pair->decision);
    account_decision_begin(&pair->decision);
    demands->each = each;
    demands->views = views;
    assert_int_equal(account_view_begin(view, pair->account, &host, T + S), ACCOUNT_FAULT_NONE);
    view->effects = &pair->decision.changes;
    demands_begin(demands, view, items, count, &pair->decision);
    enum account_fault fault = demands_settle(demands, ROWS_SUMMED);
    return fault == ACCOUNT_FAULT_NONE ? demands_peek(demands, mode, false) : fault;
}

static void close(struct demands *demands, struct account_view *view)
{
    demands_end(demands);
    account_view_end(view);
}

static void all_are_granted_or_none(void **state)
{
    (void)state;
    static const struct {
        int64_t amounts[2];
        enum request_mode mode;
        int64_t granted[2];
        uint32_t causes;
    } rows[] = {
        {{4, 5}, MODE_ALL, {4, 5}, 0},     {{4, 6}, MODE_ALL, {0, 0}, 1},   {{11, 6}, MODE_ALL, {0, 0}, 2},
        {{99, 99}, MODE_UPTO, {10, 5}, 0}, {{1, 99}, MODE_UPTO, {1, 5}, 0}, {{4, 5}, MODE_PEEK, {4, 5}, 0},
    };
    plan_set("pro", "a LIMIT 10 1h | b LIMIT 5 1h | c LIMIT 0 1h");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct account_view view;
        struct demands demands;
        const struct consume_item items[] = {{BYTES("a"), rows[i].amounts[0]}, {BYTES("b"), rows[i].amounts[1]}};
        pair_open(&pair, "pro", T);
        assert_int_equal(settle_and_check(&demands, &pair, &view, items, 2, rows[i].mode), ACCOUNT_FAULT_NONE);
        if (!pair.decision.denied && rows[i].mode != MODE_PEEK) assert_int_equal(demands_take(&demands), 0);
        demands_answer(&demands);
        const struct verdict *verdicts = pair.decision.result.consumed.verdicts;
        for (int k = 0; k < 2 && rows[i].mode != MODE_PEEK; k++) {
            if (verdicts[k].granted != rows[i].granted[k]) fail_msg("row %zu", i);
        }
        if (pair.decision.causes_count != rows[i].causes) fail_msg("row %zu", i);
        assert_int_equal(pair.decision.changes.size == 0, pair.decision.denied || rows[i].mode == MODE_PEEK);
        close(&demands, &view);
        pair_end(&pair);
    }
    configuration_end();
}

/* UPTO: where one resource has nothing, nothing of any is granted. */
static void one_that_has_nothing_denies_all(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct account_view view;
    struct demands demands;
    const struct consume_item items[] = {{BYTES("a"), 3}, {BYTES("c"), 1}, {BYTES("unknown"), 1}};
    plan_set("pro", "a LIMIT 10 1h | c LIMIT 0 1h");
    pair_open(&pair, "pro", T);
    assert_int_equal(settle_and_check(&demands, &pair, &view, items, 2, MODE_UPTO), ACCOUNT_FAULT_NONE);
    demands_answer(&demands);
    assert_true(pair.decision.denied);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].granted, 0);
    assert_int_equal(pair.decision.result.consumed.verdicts[1].wait_us, NEVER_US);
    assert_int_equal(demands_emit_denial(&demands, false), ACCOUNT_FAULT_NONE);
    assert_int_equal(pair.decision.changes.size, 0);
    /* a denial that is remembered names both, so both get a slot */
    assert_int_equal(demands_emit_denial(&demands, true), ACCOUNT_FAULT_NONE);
    assert_true(pair.decision.changes.size > 0);
    assert_int_equal(views[0].index, 0);
    assert_int_equal(views[1].index, 1);
    close(&demands, &view);
    assert_int_equal(settle_and_check(&demands, &pair, &view, items, 3, MODE_ALL), ACCOUNT_FAULT_RESOURCE);
    assert_true(bytes_equal(pair.decision.fault_subject, BYTES("unknown")));
    close(&demands, &view);
    pair_end(&pair);
    configuration_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_are_granted_or_none),
                                       cmocka_unit_test(one_that_has_nothing_denies_all)};
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

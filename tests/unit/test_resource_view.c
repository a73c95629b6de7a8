/* One resource as of an instant: which rules hold, its windows, and what is held of it. */
#include "account_tools.h"
#include "quota/rate/sliding_log.h"

#define T at("2025-01-31T15:00:00")

static void a_resource_that_was_never_used(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    plan_set("pro", "a LIMIT 10 1h LIMIT 50 day RATE FIXED 5 1s");
    pair_open(&pair, "pro", T);
    look_at(&look, pair.account, "a", T + S);
    assert_int_equal(look.view.index, -1);
    assert_null(look.view.stored);
    assert_non_null(look.view.entitlement);
    assert_ptr_equal(look.view.entitlement, resource_view_granted(&look.view));
    assert_int_equal(look.view.windows_count, 2); /* one for each LIMIT, all fresh */
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(look.view.fresh[i] && window_is_idle(&look.view.windows[i]));
        assert_ptr_equal(resource_view_window(&look.view, &look.view.entitlement->rules[i]), &look.view.windows[i]);
    }
    assert_int_equal(resource_view_held(&look.account, &look.view, NULL), 0);
    assert_int_equal(resource_view_holds_count(&look.account, &look.view), 0);
    look_end(&look);
    look_at(&look, pair.account, "b", T); /* the plan does not know it */
    assert_null(look.view.entry);
    assert_null(look.view.entitlement);
    assert_int_equal(look.view.windows_count, 0);
    look_end(&look);
    pair_end(&pair);
}

static void what_is_stored_is_where_it_begins(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct account_view account;
    struct resource_view view;
    plan_set("pro", "a LIMIT 10 1h LIMIT 50 day");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    assert_int_equal(account_view_begin(&account, pair.account, &host, T + H), ACCOUNT_FAULT_NONE);
    resource_view_begin(&account, BYTES("a"), &view);
    assert_int_equal(view.windows_count, 2);
    for (uint32_t i = 0; i < 2; i++) assert_int_equal(view.windows[i].used, 4); /* nothing has rolled yet */
    assert_false(view.fresh[0] || view.fresh[1]);
    struct sink closed = {0};
    assert_int_equal(resource_view_settle(&account, &view, &closed), ACCOUNT_FAULT_NONE);
    assert_int_equal(resource_view_window(&view, &view.entitlement->rules[0])->used, 0);
    assert_int_equal(resource_view_window(&view, &view.entitlement->rules[1])->used, 4);
    assert_true(closed.size > 0);
    struct quota_rule other = {.kind = QUOTA_LIMIT, .period = {.unit = PERIOD_MONTH, .count = 1}};
    assert_null(resource_view_window(&view, &other));
    sink_free(&closed);
    account_view_end(&account);
    pair_end(&pair);
}

/* An override stands above the plan's limits while it lasts; the plan's go on underneath. */
static void an_override_is_merged_and_uncovers(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    plan_set("pro", "a LIMIT 10 1h LIMIT 50 day WARN 80");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    look_at(&look, pair.account, "a", T + S);
    struct plan_entry entry = {.revision = 1, .granted = true, .options = OPTION_COST};
    entry.entitlement = entitlement_from("a LIMIT 7 1h LIMIT 90 month COST 3");
    assert_int_equal(resource_view_override(&look.account, &look.view, &entry), ACCOUNT_FAULT_NONE);
    static const int64_t limits[] = {7, 50, 90};
    assert_int_equal(look.view.entitlement->rules_count, 3);
    assert_int_equal(look.view.entitlement->cost, 3);
    assert_int_equal(look.view.entitlement->warnings_count, 1); /* which the override says nothing of */
    for (uint32_t i = 0; i < 3; i++) {
        const struct window *window = resource_view_window(&look.view, &look.view.entitlement->rules[i]);
        assert_int_equal(window_limit(window), limits[i]);
        assert_int_equal(window->used, i < 2 ? 4 : 0);
    }
    assert_int_equal(resource_view_granted(&look.view)->rules_count, 2);
    entry.only = true;
    assert_int_equal(resource_view_override(&look.account, &look.view, &entry), ACCOUNT_FAULT_NONE);
    assert_int_equal(look.view.entitlement->rules_count, 2);
    assert_int_equal(look.view.entitlement->warnings_count, 0);
    assert_int_equal(resource_view_override(&look.account, &look.view, NULL), ACCOUNT_FAULT_NONE);
    assert_ptr_equal(look.view.entitlement, resource_view_granted(&look.view));
    assert_int_equal(window_limit(resource_view_window(&look.view, &look.view.entitlement->rules[0])), 10);
    look_end(&look);
    pair_end(&pair);
}

static void the_longest_cycle_that_ends(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        int64_t end_us;
    } rows[] = {
        {"a LIMIT 10 1h LIMIT 10 3h LIMIT 10 2h", 3 * H},
        {"a LIMIT 10 1h LIMIT 10 forever", H},
        {"a LIMIT 10 forever", -1},
        {"a LIMIT 10 ROLLING 9h RATE FIXED 5 9h", -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct look look;
        int64_t length_us = 0;
        plan_set("pro", rows[i].plan);
        pair_open(&pair, "pro", T);
        look_at(&look, pair.account, "a", T + S);
        int64_t end_us = resource_view_longest_end(&look.view, &length_us);
        assert_int_equal(end_us, rows[i].end_us < 0 ? -1 : T + rows[i].end_us);
        if (end_us >= 0) { /* none that is longer */
            assert_int_equal(length_us, rows[i].end_us);
            length_us++;
            assert_int_equal(resource_view_longest_end(&look.view, &length_us), -1);
        }
        look_end(&look);
        pair_end(&pair);
    }
}

/* By hand: which of three reservations live, and in which cycle they were made. */
static void reservations_are_counted_by_cycle(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    plan_set("pro", "a LIMIT 100 1h LIMIT 100 1m | b LIMIT 100 1h");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "a", 1, 20 * S, T);
    pair_reserve(&pair, "r2", "a", 2, 90 * S, T + 10 * S);
    pair_reserve(&pair, "r3", "a", 4, 90 * S, T + 70 * S);
    pair_reserve(&pair, "r4", "b", 8, 90 * S, T + 70 * S);
    static const struct {
        int64_t at_s, all, hour, minute, count;
    } rows[] = {{70, 6, 6, 4, 2}, {99, 6, 6, 4, 2}, {100, 4, 4, 4, 1}, {121, 4, 4, 0, 1}, {160, 0, 0, 0, 0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        look_at(&look, pair.account, "a", T + rows[i].at_s * S);
        const struct quota_rule *rules = look.view.entitlement->rules;
        const struct window *hour = resource_view_window(&look.view, &rules[0]),
                            *minute = resource_view_window(&look.view, &rules[1]);
        assert_int_equal(resource_view_held(&look.account, &look.view, NULL), rows[i].all);
        assert_int_equal(resource_view_held(&look.account, &look.view, hour), rows[i].hour);
        assert_int_equal(resource_view_held(&look.account, &look.view, minute), rows[i].minute);
        assert_int_equal(resource_view_holds_count(&look.account, &look.view), rows[i].count);
        look_end(&look);
    }
    look_at(&look, pair.account, "a", T + 70 * S); /* one that is being resolved is held no more */
    look.account.ignored = account_hold(pair.account, BYTES("r3"));
    assert_int_equal(resource_view_held(&look.account, &look.view, NULL), 2);
    look_end(&look);
    pair_end(&pair);
}

static void sliding_logs_are_settled_at_the_instant(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    plan_set("pro", "a LIMIT 100 ROLLING 1m");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 5, T);
    pair_consume(&pair, "a", 7, T + 10 * S);
    static const struct {
        int64_t at_s, amount;
    } rows[] = {{10, 12}, {59, 12}, {60, 7}, {69, 7}, {70, 0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        look_at(&look, pair.account, "a", T + rows[i].at_s * S);
        struct state log = resource_view_log(&look.account, &look.view, &look.view.entitlement->rules[0].rule);
        assert_int_equal(log.amount, rows[i].amount);
        look_end(&look);
    }
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resource_that_was_never_used),     cmocka_unit_test(what_is_stored_is_where_it_begins),
        cmocka_unit_test(an_override_is_merged_and_uncovers), cmocka_unit_test(the_longest_cycle_that_ends),
        cmocka_unit_test(reservations_are_counted_by_cycle),  cmocka_unit_test(sliding_logs_are_settled_at_the_instant),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

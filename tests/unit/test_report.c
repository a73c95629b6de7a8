/* Reports: every kind of rule as it stands, what has gone beyond, which warnings have fired, and the list of cycles. */
#include "account_tools.h"

#define T at("2025-01-31T15:00:00")

static void every_rule_as_it_stands(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    struct resource_report report;
    plan_set("pro", "a LIMIT 10 1h LIMIT 30 ROLLING 2h RATE FIXED 8 1m LIMIT -1 day");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    pair_reserve(&pair, "r", "a", 3, H, T);
    static const struct rule_report rows[] = {
        /* limit, used, held, remaining, start, end */
        {10, 4, 3, 3, 0, H},
        {30, 4, 3, 23, NEVER_US, NEVER_US},
        {8, 7, 0, 1, NEVER_US, NEVER_US}, /* what is reserved is used of a rate at once */
        {UNLIMITED, 4, 3, UNLIMITED, 0, D},
    };
    look_at(&look, pair.account, "a", T + S);
    resource_report_begin(&report, &look.account, &look.view);
    for (uint32_t i = 0; i < COUNT_OF(rows); i++) {
        struct rule_report rule, wanted = rows[i];
        if (wanted.end_us != NEVER_US) wanted.start_us += T, wanted.end_us += T;
        resource_report_rule(&report, i, &rule);
        if (memcmp(&rule, &wanted, sizeof(rule)) != 0) fail_msg("rule %u", i);
    }
    look_end(&look);
    pair_end(&pair);
}

static void overage_and_warnings(void **state)
{
    (void)state;
    static const struct {
        int64_t used, overage;
        uint32_t warned;
    } rows[] = {{0, 0, 0}, {4, 0, 0}, {5, 0, 1}, {10, 0, 2}, {12, 2, 2}, {20, 10, 3}, {35, 25, 3}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct look look;
        plan_set("pro", "a LIMIT 10 1h LIMIT 30 day LIMIT -1 month WARN 50 100 200");
        pair_open(&pair, "pro", T);
        if (rows[i].used > 0) pair_request_one(&pair, "a", rows[i].used, MODE_FORCE, NULL, T);
        look_at(&look, pair.account, "a", T + S);
        assert_int_equal(resource_report_overage(&look.view), rows[i].overage); /* of the LIMIT overdrawn most */
        assert_int_equal(resource_report_warned(&look.account, &look.view), rows[i].warned);
        look_end(&look);
        pair_end(&pair);
    }
}

static void states_have_names(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open_with(&pair, "pro", T, NULL, T + D, T - H);
    static const struct {
        enum account_state state;
        int64_t at_us;
        const char *name;
    } rows[] = {{ACCOUNT_ACTIVE, -H, "notstarted"},
                {ACCOUNT_ACTIVE, 0, "active"},
                {ACCOUNT_SUSPENDED, 0, "suspended"},
                {ACCOUNT_SUSPENDED, D, "expired"},
                {ACCOUNT_CLOSED, D, "closed"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct account_view view;
        pair_state(&pair, rows[i].state, T + rows[i].at_us);
        assert_int_equal(account_view_begin(&view, pair.account, &host, T + rows[i].at_us), ACCOUNT_FAULT_NONE);
        assert_string_equal(account_state_name(&view), rows[i].name);
        account_view_end(&view);
    }
    pair_end(&pair);
}

/* The newest first, stored or closed since, idle ones one by one; of two that end together the longer one first. */
static void closed_cycles_are_listed(void **state)
{
    (void)state;
    for (int settled = 0; settled < 2; settled++) {
        struct pair pair = {0};
        struct look look;
        struct cycle_list list;
        struct listed_cycle cycle;
        plan_set("pro", "a LIMIT 10 1h LIMIT 30 3h");
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 4, T);
        pair_consume(&pair, "a", 5, T + 4 * H);
        if (settled) pair_settle(&pair, T + 7 * H);
        static const struct {
            int64_t start, end, used;
        } rows[] = {{6, 7, 0}, {3, 6, 5}, {5, 6, 0}, {4, 5, 5}, {3, 4, 0}, {0, 3, 4}, {2, 3, 0}, {1, 2, 0}, {0, 1, 4}};
        look_at(&look, pair.account, "a", T + 7 * H + S);
        cycle_list_begin(&list, &look.view, &look.changes);
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            assert_true(cycle_list_next(&list, &look.account, &cycle));
            if (cycle.cycle.start_us != T + rows[i].start * H || cycle.cycle.end_us != T + rows[i].end * H ||
                cycle.cycle.used != rows[i].used || cycle.cycle.count != 1) {
                fail_msg("row %zu: from %lld to %lld, used %lld", i, (long long)((cycle.cycle.start_us - T) / H),
                         (long long)((cycle.cycle.end_us - T) / H), (long long)cycle.cycle.used);
            }
            uint32_t rule = rows[i].end - rows[i].start == 3;
            assert_int_equal(cycle.period, quota_rule_code(&look.view.entitlement->rules[rule]));
        }
        assert_false(cycle_list_next(&list, &look.account, &cycle));
        cycle_list_end(&list);
        look_end(&look);
        pair_end(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_as_it_stands),
        cmocka_unit_test(overage_and_warnings),
        cmocka_unit_test(states_have_names),
        cmocka_unit_test(closed_cycles_are_listed),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

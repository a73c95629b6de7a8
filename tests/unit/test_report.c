/* Reports: every kind of rule as it stands, what has gone beyond, which warnings have fired, and the list of cycles. */
#include "account_tools.h"
#include <stdio.h>

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

/* The cycles of a list one after another, as `period start-end`, times in minutes from T. */
static void assert_listed(size_t row, struct cycle_list *list, const struct look *look, const char *wanted)
{
    char text[512] = "";
    struct listed_cycle cycle;
    for (int i = 0; i < 8 && cycle_list_next(list, &look->account, &cycle); i++) {
        struct period period;
        char word[32];
        struct sink name = sink_init(word, sizeof(word));
        assert_true(period_from_code(cycle.period, &period));
        period_write(&period, &name);
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s %lld-%lld", i > 0 ? " | " : "",
                       (int)name.size, name.data, (long long)((cycle.cycle.start_us - T) / MICROS_PER_MINUTE),
                       (long long)((cycle.cycle.end_us - T) / MICROS_PER_MINUTE));
    }
    if (strcmp(text, wanted) != 0) fail_msg("row %zu: %s", row, text);
}

/* Used in the first minute and in the 4001st: an idle run of 3999 minutes stands between, cut where the choice says. */
static void cycles_are_chosen_by_period_and_start(void **state)
{
    (void)state;
    const int64_t min = MICROS_PER_MINUTE;
    static const struct row {
        const char *period;
        int64_t from, to; /* minutes from T; -1 = not said */
        const char *wanted;
    } rows[] = {
        {"day", -1, -1, "day 1440-2880 | day 0-1440"},
        {"day", 1, -1, "day 1440-2880"},
        {"day", 1440, 1441, "day 1440-2880"},
        {NULL, 1440, 1441, "day 1440-2880 | 1m 1440-1441"},
        {"1m", 3998, -1, "1m 4001-4002 | 1m 4000-4001 | 1m 3999-4000 | 1m 3998-3999"},
        {"1m", 2000, 2002, "1m 2001-2002 | 1m 2000-2001"},
        {"1m", -1, 3, "1m 2-3 | 1m 1-2 | 1m 0-1"},
        {"1m", -1, 0, ""},
        {"1m", 2002, 2000, ""},
        {"week", -1, -1, ""},
    };
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1m LIMIT 30 day");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    pair_consume(&pair, "a", 5, T + 4000 * min);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cycle_choice choice = {.from_us = rows[i].from < 0 ? -INSTANT_MAX_US : T + rows[i].from * min,
                                      .to_us = rows[i].to < 0 ? INSTANT_MAX_US : T + rows[i].to * min};
        struct period period;
        struct look look;
        struct cycle_list list;
        if (rows[i].period) assert_true(period_parse(text_bytes(rows[i].period), &period));
        if (rows[i].period) choice.period = period_code(&period);
        look_at(&look, pair.account, "a", T + 4002 * min);
        cycle_list_begin(&list, &look.view, &look.changes);
        cycle_list_choose(&list, &look.account, &choice);
        assert_listed(i, &list, &look, rows[i].wanted);
        cycle_list_end(&list);
        look_end(&look);
    }
    pair_end(&pair);
}

/* An instant within a cycle chooses those that begin behind it, a microsecond before its start as well. */
static void no_part_of_a_cycle_is_chosen(void **state)
{
    (void)state;
    static const struct {
        int64_t from_us, to_us;
        const char *wanted;
    } rows[] = {{1, 2 * MICROS_PER_MINUTE + 1, "1m 2-3 | 1m 1-2"},
                {MICROS_PER_MINUTE, 2 * MICROS_PER_MINUTE, "1m 1-2"},
                {MICROS_PER_MINUTE + 1, 2 * MICROS_PER_MINUTE, ""},
                {8 * MICROS_PER_MINUTE + 1, 9 * MICROS_PER_MINUTE + 1, "1m 9-10"}};
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1m");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cycle_choice choice = {.from_us = T + rows[i].from_us, .to_us = T + rows[i].to_us};
        struct look look;
        struct cycle_list list;
        look_at(&look, pair.account, "a", T + 10 * MICROS_PER_MINUTE);
        cycle_list_begin(&list, &look.view, &look.changes);
        cycle_list_choose(&list, &look.account, &choice);
        assert_listed(i, &list, &look, rows[i].wanted);
        cycle_list_end(&list);
        look_end(&look);
    }
    pair_end(&pair);
}

/* Days at three o'clock, until a restart at eight: those before it keep their hours. */
static void idle_days_before_a_restart_keep_their_hours(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    struct cycle_list list;
    plan_set("pro", "a LIMIT 10 day");
    plan_set("team", "a LIMIT 10 day");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    int64_t at_us = T + 2 * D + 5 * H;
    const struct switch_request request = {
        .plan = text_bytes("team"), .mode = SWITCH_FULL, .at_us = NOT_REQUESTED, .restart = true};
    pair_move(&pair, &request, &(struct admin_action){.now_us = at_us});
    look_at(&look, pair.account, "a", at_us + D);
    cycle_list_begin(&list, &look.view, &look.changes);
    assert_listed(0, &list, &look, "day 3180-4620 | day 2880-3180 | day 1440-2880 | day 0-1440");
    cycle_list_end(&list);
    look_end(&look);
    pair_end(&pair);
}

static void overage_of_closed_cycles(void **state)
{
    (void)state;
    static const struct {
        int64_t limit, used, overage;
    } rows[] = {{10, 0, 0}, {10, 10, 0}, {10, 13, 3}, {0, 5, 5}, {UNLIMITED, 99, 0}, {0, INT64_MAX, INT64_MAX}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct closed_cycle cycle = {.limit = rows[i].limit, .used = rows[i].used};
        assert_int_equal(closed_cycle_overage(&cycle), rows[i].overage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_as_it_stands),
        cmocka_unit_test(overage_and_warnings),
        cmocka_unit_test(states_have_names),
        cmocka_unit_test(closed_cycles_are_listed),
        cmocka_unit_test(cycles_are_chosen_by_period_and_start),
        cmocka_unit_test(no_part_of_a_cycle_is_chosen),
        cmocka_unit_test(idle_days_before_a_restart_keep_their_hours),
        cmocka_unit_test(overage_of_closed_cycles),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

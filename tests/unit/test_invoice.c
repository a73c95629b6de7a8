/* Lines of invoices: of running and closed cycles, of idle runs, over prices that change, settled or not. */
#include "account_tools.h"
#include "quota/decide/invoice.h"

#define T at("2025-06-01")

static bool line_at(const struct pair *pair, int64_t now_us, int64_t at_us, struct invoice_line *line)
{
    struct look look;
    struct cycle_list list;
    look_at(&look, pair->account, "a", now_us);
    cycle_list_begin(&list, &look.view, &look.changes);
    bool found = invoice_line_at(&look.account, &look.view, &list, at_us, line);
    cycle_list_end(&list);
    look_end(&look);
    return found;
}

struct expected {
    int64_t at_us, start_us, end_us; /* from T on; end -1 = no line */
    int64_t included, used, quantity, amount;
};

static void check_lines(const struct pair *pair, int64_t now_us, const struct expected *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct invoice_line line;
        bool found = line_at(pair, now_us, T + rows[i].at_us, &line);
        if (found != (rows[i].end_us >= 0)) fail_msg("row %zu", i);
        if (!found) continue;
        bool same = line.line.start_us == T + rows[i].start_us && line.line.end_us == T + rows[i].end_us &&
                    line.line.included == rows[i].included && line.line.used == rows[i].used &&
                    line.line.quantity == rows[i].quantity && line.amount == rows[i].amount * PRICE_ONE;
        if (same) continue;
        fail_msg("row %zu: %ld to %ld, %ld of %ld, %ld, %ld", i, line.line.start_us - T, line.line.end_us - T,
                 line.line.used, line.line.included, line.line.quantity, line.amount);
    }
}

static void running_closed_and_idle_cycles(void **state)
{
    (void)state;
    static const struct expected rows[] = {
        {-1, 0, -1, 0, 0, 0, 0},
        {0, 0, D, 10, 15, 5, 10},
        {D - 1, 0, D, 10, 15, 5, 10},
        {D, D, 2 * D, 10, 0, 0, 0}, /* of an idle run */
        {7 * D, 7 * D, 8 * D, 10, 0, 0, 0},
        {9 * D, 9 * D, 10 * D, 10, 3, 0, 0},
        {10 * D, 10 * D, 11 * D, 10, 0, 0, 0},
        {11 * D, 0, -1, 0, 0, 0, 0}, /* to come */
    };
    for (int settled = 0; settled < 2; settled++) {
        struct pair pair = {0};
        plan_set("pro", "a LIMIT 10 day LIMIT 1 1h OVERAGE PRICE usd TIER * 2");
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 15, T);
        if (settled) pair_settle(&pair, T + 5 * D);
        pair_consume(&pair, "a", 3, T + 9 * D);
        if (settled) pair_settle(&pair, T + 10 * D + H);
        check_lines(&pair, T + 10 * D + H, rows, COUNT_OF(rows));
        pair_end(&pair);
        configuration_end();
    }
}

static void late_units_amend_closed_lines(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 day OVERAGE PRICE usd TIER * 2");
    plan_set("big", "a LIMIT 20 day OVERAGE PRICE usd TIER * 1");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", 15, MODE_ALL, "x", T);
    pair_reserve(&pair, "h", "a", 5, 9 * D, T);
    pair_switch(&pair, "big", SWITCH_FULL, T + H);
    pair_consume(&pair, "a", 30, T + 2 * H);
    static const struct expected before[] = {{0, 0, H, 10, 15, 5, 10}, {H, H, D, 10, 30, 20, 20}};
    check_lines(&pair, T + 2 * H, before, COUNT_OF(before));
    pair_commit(&pair, "h", 4, T + 3 * H); /* held in front of the switch: as much as it is over */
    static const struct expected committed[] = {{0, 0, H, 10, 19, 9, 18}, {H, H, D, 10, 30, 20, 20}};
    check_lines(&pair, T + 3 * H, committed, COUNT_OF(committed));
    pair_refund(&pair, "a", 12, "x", NULL, T + D - 1);
    static const struct expected refunded[] = {{0, 0, H, 10, 7, 0, 0}, {H, H, D, 13, 30, 17, 17}};
    check_lines(&pair, T + D - 1, refunded, COUNT_OF(refunded));
    check_lines(&pair, T + 3 * D, refunded, COUNT_OF(refunded)); /* and when it has closed */
    pair_end(&pair);
}

static void what_slept_is_billed_by_its_own_line(void **state)
{
    (void)state;
    static const struct expected rows[] = {
        {0, 0, D, 10, 15, 5, 10},
        {D, D, 2 * D, 5, 8, 3, 3},
        {2 * D, 2 * D, 7 * D, 0, 1, 1, 2},
        {7 * D, 7 * D, 14 * D, 10, 0, 0, 0},
    };
    for (int settled = 0; settled < 2; settled++) {
        struct pair pair = {0};
        plan_set("pro", "a LIMIT 10 week OVERAGE PRICE usd TIER * 2");
        plan_set("day", "a LIMIT 5 2day CALENDAR OVERAGE PRICE usd TIER * 1");
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 15, T);
        pair_switch(&pair, "day", SWITCH_FULL, T + D);
        if (settled) pair_settle(&pair, T + D);
        pair_consume(&pair, "a", 8, T + D);
        struct invoice_line line;
        assert_true(line_at(&pair, T + D, T + D, &line));
        assert_int_equal(line.line.start_us, T + D);
        pair_switch(&pair, "pro", SWITCH_FULL, T + 2 * D);
        if (settled) pair_settle(&pair, T + 3 * D);
        pair_consume(&pair, "a", 1, T + 3 * D);
        check_lines(&pair, T + 8 * D, rows, 1);
        check_lines(&pair, T + 8 * D, &rows[2], 2);
        pair_end(&pair);
        configuration_end();
    }
}

/* Idle cycles before and behind a restart are one run of the history, once they are stored. */
static void an_idle_run_goes_over_a_restart(void **state)
{
    (void)state;
    static const struct expected rows[] = {
        {0, 0, D, 10, 1, 0, 0},
        {2 * D, 2 * D, 3 * D, 10, 0, 0, 0},
        {3 * D + H, 3 * D, 3 * D + 2 * H, 10, 0, 0, 0}, /* cut by the restart */
        {3 * D + 2 * H, 3 * D + 2 * H, 4 * D + 2 * H, 10, 0, 0, 0},
        {6 * D, 5 * D + 2 * H, 6 * D + 2 * H, 10, 0, 0, 0},
    };
    for (int settled = 0; settled < 2; settled++) {
        struct pair pair = {0};
        plan_set("pro", "a LIMIT 10 day OVERAGE PRICE usd TIER * 2");
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 1, T);
        const struct switch_request restart = {
            .plan = BYTES("pro"), .mode = SWITCH_FULL, .at_us = NOT_REQUESTED, .restart = true};
        const struct admin_action action = {.now_us = T + 3 * D + 2 * H, .actor = BYTES(""), .reason = BYTES("")};
        pair_move(&pair, &restart, &action);
        if (settled) pair_settle(&pair, T + 8 * D);
        check_lines(&pair, T + 9 * D, rows, COUNT_OF(rows));
        pair_end(&pair);
        configuration_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_closed_and_idle_cycles),
        cmocka_unit_test(late_units_amend_closed_lines),
        cmocka_unit_test(what_slept_is_billed_by_its_own_line),
        cmocka_unit_test(an_idle_run_goes_over_a_restart),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

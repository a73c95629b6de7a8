/* Bills: lines of cycles that prices change in, marks that late units move, and bytes that are none. */
#include "quota/account/bill.h"
#include "quota/base/checked.h"
#include "quota/rate/verdict.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define JUNE   1000
#define JULY   2000
#define AUGUST 3000

static struct bytes price_bytes(const char *currency, char *room)
{
    const struct price price = {
        .currency = {currency, strlen(currency)}, .per = 1, .tiers_count = 1, .tiers = {{TIER_OPEN, PRICE_ONE, 0}}};
    struct sink sink = sink_init(room, PRICE_BYTES_MAX);
    price_encode(&price, &sink);
    return sink_content(&sink);
}

static struct bytes usd, eur, none = {"", 0};
static uint64_t month, week;

static int begin(void **state)
{
    static char rooms[2][PRICE_BYTES_MAX];
    (void)state;
    usd = price_bytes("usd", rooms[0]);
    eur = price_bytes("eur", rooms[1]);
    month = period_code(&(struct period){.unit = PERIOD_MONTH, .count = 1});
    week = period_code(&(struct period){.unit = PERIOD_WEEK, .count = 1});
    return 0;
}

static void add(struct bill *bill, struct bill_segment segment, struct bill_now now)
{
    bill_add_segment(bill, &segment, &now);
}

static struct bill bill_from(struct bytes price)
{
    struct bill bill = {.segments_count = 1};
    bill.segments[0] = (struct bill_segment){.at_us = 0, .period = month, .price = price};
    return bill;
}

/* In the order of the fields: limit, used, refunded. */
static struct billed_cycle june(int64_t limit, int64_t used, int64_t refunded)
{
    return (struct billed_cycle){month, JUNE, JULY, limit, used, refunded};
}

struct expected {
    int64_t start_us, end_us, included, used, quantity;
};

static void check_line(const struct bill *bill, const struct billed_cycle *cycle, int64_t at_us,
                       struct expected expected)
{
    struct bill_line line;
    assert_true(bill_line_at(bill, cycle, at_us, &line));
    assert_int_equal(line.start_us, expected.start_us);
    assert_int_equal(line.end_us, expected.end_us);
    assert_int_equal(line.included, expected.included);
    assert_int_equal(line.used, expected.used);
    assert_int_equal(line.quantity, expected.quantity);
}

static void a_cycle_is_one_line(void **state)
{
    (void)state;
    struct bill bill = bill_from(usd);
    struct bill_line line;
    const struct billed_cycle over = june(100, 130, 7), under = june(100, 99, 0), open = june(UNLIMITED, 500, 0);
    check_line(&bill, &over, JUNE, (struct expected){JUNE, JULY, 100, 130, 30});
    check_line(&bill, &under, JULY - 1, (struct expected){JUNE, JULY, 100, 99, 0});
    check_line(&bill, &open, 1500, (struct expected){JUNE, JULY, UNLIMITED, 500, 0});
    assert_true(bill_line_at(&bill, &over, JUNE, &line));
    assert_int_equal(line.refunded, 7);
    assert_false(bill_line_at(&bill, &over, JULY, &line));
    assert_false(bill_line_at(&bill, &over, JUNE - 1, &line));
    bill = bill_from(none);
    assert_false(bill_line_at(&bill, &over, JUNE, &line));
}

static void another_price_waits_for_the_next_cycle(void **state)
{
    (void)state;
    struct bill bill = bill_from(usd);
    struct bill_line line;
    const struct billed_cycle first = june(100, 130, 0);
    struct billed_cycle second = {month, JULY, AUGUST, 100, 110, 0};
    add(&bill, (struct bill_segment){.at_us = 1500, .period = month, .price = eur}, (struct bill_now){0});
    assert_true(bill_line_at(&bill, &first, 1900, &line));
    assert_true(bytes_equal(line.price, usd));
    assert_true(bill_line_at(&bill, &second, 2500, &line));
    assert_true(bytes_equal(line.price, eur));
    /* back at the same instant: nothing has changed */
    add(&bill, (struct bill_segment){.at_us = 1500, .period = month, .price = usd}, (struct bill_now){0});
    assert_int_equal(bill.segments_count, 0);
    /* at a cycle's very start it is that cycle's */
    bill = bill_from(usd);
    add(&bill, (struct bill_segment){.at_us = JULY, .period = month, .price = eur}, (struct bill_now){0});
    assert_true(bill_line_at(&bill, &second, 2500, &line));
    assert_true(bytes_equal(line.price, eur));
    assert_true(bill_line_at(&bill, &first, 1900, &line));
    assert_true(bytes_equal(line.price, usd));
}

static struct bill_segment cut(int64_t at_us, struct bytes price, int64_t limit, int64_t used)
{
    return (struct bill_segment){.at_us = at_us,
                                 .how = SEGMENT_CUTS,
                                 .period = month,
                                 .price = price,
                                 .limit = limit,
                                 .ended = {used, 0, 0},
                                 .begun = {used, 0, 0}};
}

/* A unit is billed at most once, and one that was included when it was used is never billed later. */
static void a_switch_makes_two_lines(void **state)
{
    (void)state;
    static const struct {
        int64_t limit, used, limit_after, used_after; /* at the switch, and in all */
        int64_t quantity, included_after, quantity_after;
    } rows[] = {
        {100, 60, 100, 130, 0, 40, 30}, /* as one line, in two parts */
        {100, 150, 1000, 150, 50, 900, 0},
        {100, 150, 1000, 1100, 50, 900, 50},
        {100, 60, 50, 60, 0, 0, 0}, /* included when it was used */
        {100, 60, 50, 70, 0, 0, 10},
        {100, 150, 50, 170, 50, 0, 20},
        {UNLIMITED, 500, 100, 510, 0, 0, 10},
        {100, 150, UNLIMITED, 900, 50, UNLIMITED, 0},
        {0, 5, 0, 7, 5, 0, 2},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bill bill = bill_from(usd);
        struct bill_line first, second;
        add(&bill, cut(1400, eur, rows[i].limit, rows[i].used), (struct bill_now){0});
        const struct billed_cycle cycle = june(rows[i].limit_after, rows[i].used_after, 0);
        assert_true(bill_line_at(&bill, &cycle, 1399, &first));
        assert_true(bill_line_at(&bill, &cycle, 1400, &second));
        assert_true(bytes_equal(first.price, usd) && bytes_equal(second.price, eur));
        assert_int_equal(first.end_us, second.start_us);
        bool right = first.included == rows[i].limit && first.used == rows[i].used &&
                     first.quantity == rows[i].quantity && second.included == rows[i].included_after &&
                     second.used == rows[i].used_after - rows[i].used && second.quantity == rows[i].quantity_after;
        if (!right) fail_msg("row %zu", i);
    }
}

static void what_comes_back_leaves_the_newest_line_first(void **state)
{
    (void)state;
    struct bill bill = bill_from(usd);
    add(&bill, cut(1400, eur, 100, 150), (struct bill_now){0});
    const struct billed_cycle some = june(100, 155, 5), most = june(100, 120, 40), all = june(100, 0, 160);
    check_line(&bill, &some, 1100, (struct expected){JUNE, 1400, 100, 150, 50});
    check_line(&bill, &some, 1500, (struct expected){1400, JULY, 0, 5, 5});
    check_line(&bill, &most, 1100, (struct expected){JUNE, 1400, 100, 120, 20});
    check_line(&bill, &most, 1500, (struct expected){1400, JULY, 0, 0, 0});
    check_line(&bill, &all, 1100, (struct expected){JUNE, 1400, 100, 0, 0});
    check_line(&bill, &all, 1500, (struct expected){1400, JULY, 100, 0, 0});
}

static void late_units_are_of_the_line_of_their_instant(void **state)
{
    (void)state;
    struct bill bill = bill_from(usd);
    add(&bill, cut(1400, eur, 100, 150), (struct bill_now){0});
    add(&bill, cut(1600, usd, 100, 180), (struct bill_now){0});
    assert_true(bill_move_marks(&bill, &(struct bill_shift){month, JULY, 1450, -30, 30}));
    const struct billed_cycle cycle = june(100, 170, 30);
    check_line(&bill, &cycle, 1399, (struct expected){JUNE, 1400, 100, 150, 50});
    check_line(&bill, &cycle, 1500, (struct expected){1400, 1600, 0, 0, 0});
    check_line(&bill, &cycle, 1700, (struct expected){1600, JULY, 0, 20, 20});
    assert_false(bill_move_marks(&bill, &(struct bill_shift){month, JULY, 1600, 5, 0}));
    assert_false(bill_move_marks(&bill, &(struct bill_shift){week, JULY, 1100, 5, 0}));
    assert_false(bill_move_marks(&bill, &(struct bill_shift){month, 1300, 1100, 5, 0})); /* of a cycle before */
    assert_true(bill_move_marks(&bill, &(struct bill_shift){month, JULY, 1100, INT64_MIN, 0}));
    assert_int_equal(bill.segments[1].ended.used, 0);
}

static void another_limit_is_billed_from_the_cut_on(void **state)
{
    (void)state;
    struct bill bill = bill_from(usd);
    struct bill_line line;
    add(&bill,
        (struct bill_segment){.at_us = 1400,
                              .how = SEGMENT_CUTS,
                              .period = week,
                              .price = eur,
                              .limit = 100,
                              .ended = {130, 4, 3},
                              .begun = {20, 0, 1}},
        (struct bill_now){0});
    bill_set_credits(&bill, month, JUNE, 9);
    const struct billed_cycle of_month = june(100, 170, 30), of_week = {week, 1300, 1500, 50, 70, 2};
    check_line(&bill, &of_month, 1300, (struct expected){JUNE, 1400, 100, 130, 30});
    assert_true(bill_line_at(&bill, &of_month, 1300, &line));
    assert_int_equal(line.credits, 4);
    assert_int_equal(line.refunded, 3);
    assert_false(bill_line_at(&bill, &of_month, 1400, &line));
    assert_false(bill_line_at(&bill, &of_week, 1399, &line));
    check_line(&bill, &of_week, 1400, (struct expected){1400, 1500, 30, 50, 20});
    assert_true(bill_line_at(&bill, &of_week, 1400, &line));
    assert_int_equal(line.refunded, 1);
    /* the month comes back in its cycle: what slept is not billed again */
    add(&bill,
        (struct bill_segment){.at_us = 1600,
                              .how = SEGMENT_CUTS,
                              .period = month,
                              .price = usd,
                              .limit = 50,
                              .ended = {0, 0, 0},
                              .begun = {130, 9, 3}},
        (struct bill_now){0});
    check_line(&bill, &of_month, 1700, (struct expected){1600, JULY, 0, 40, 40});
}

static void a_restart_begins_to_count_again(void **state)
{
    (void)state;
    struct bill bill = bill_from(usd);
    struct bill_line line;
    bill_set_credits(&bill, month, JUNE, 9);
    add(&bill,
        (struct bill_segment){.at_us = 1400,
                              .how = SEGMENT_RESTARTS,
                              .period = month,
                              .price = eur,
                              .limit = 100,
                              .ended = {130, 4, 0},
                              .begun = {0, 4, 0}},
        (struct bill_now){0});
    const struct billed_cycle closed = {month, JUNE, 1400, 100, 130, 0}, running = june(100, 120, 0);
    check_line(&bill, &closed, 1399, (struct expected){JUNE, 1400, 100, 130, 30});
    assert_true(bill_line_at(&bill, &closed, 1399, &line));
    assert_int_equal(line.credits, 4);
    assert_false(bill_line_at(&bill, &running, 1399, &line));
    check_line(&bill, &running, 1400, (struct expected){1400, JULY, 100, 120, 20});
    assert_true(bill_line_at(&bill, &running, 1400, &line));
    assert_int_equal(line.credits, 5);
}

static void what_leads_back_at_once_is_no_cut(void **state)
{
    (void)state;
    struct bill bill = bill_from(usd);
    add(&bill, cut(1400, eur, 100, 60), (struct bill_now){500, {60, 0, 0}});
    add(&bill, cut(1400, usd, 500, 60), (struct bill_now){100, {60, 0, 0}});
    assert_int_equal(bill.segments_count, 0);
    bill = bill_from(usd);
    add(&bill, cut(1400, eur, 100, 60), (struct bill_now){500, {60, 0, 0}});
    add(&bill, cut(1400, usd, 500, 60), (struct bill_now){200, {60, 0, 0}}); /* another limit */
    assert_int_equal(bill.segments_count, 2);
    assert_int_equal(bill.segments[1].limit, 100);
    bill = bill_from(usd);
    add(&bill, cut(1400, eur, 100, 60), (struct bill_now){500, {60, 0, 0}});
    add(&bill, cut(1400, usd, 500, 70), (struct bill_now){100, {70, 0, 0}}); /* used in between */
    assert_int_equal(bill.segments_count, 2);
    assert_int_equal(bill.segments[1].ended.used, 60);
}

static void the_oldest_go(void **state)
{
    (void)state;
    struct bill bill = bill_from(usd);
    for (int i = 1; i <= 2 * BILL_SEGMENTS_MAX; i++)
        add(&bill, cut(JUNE * i, i % 2 ? eur : usd, 100, 60), (struct bill_now){0});
    assert_int_equal(bill.segments_count, BILL_SEGMENTS_MAX);
    assert_int_equal(bill.segments[0].how, SEGMENT_PRICED);
    assert_int_equal(bill.segments[BILL_SEGMENTS_MAX - 1].at_us, JUNE * 2 * BILL_SEGMENTS_MAX);
    for (int i = 0; i < 2 * BILL_CYCLES_MAX; i++) bill_set_credits(&bill, month, i, 1 + i);
    assert_int_equal(bill.cycles_count, BILL_CYCLES_MAX);
    assert_int_equal(bill_credits(&bill, month, 0), 0);
    assert_int_equal(bill_credits(&bill, month, 2 * BILL_CYCLES_MAX - 1), 2 * BILL_CYCLES_MAX);
}

static void credits_are_counted_by_cycle(void **state)
{
    (void)state;
    struct bill bill = bill_from(usd);
    int64_t start_us = 0;
    assert_false(bill_credited_start(&bill, month, JULY, &start_us));
    bill_set_credits(&bill, month, JUNE, 5);
    bill_set_credits(&bill, week, JUNE, 6);
    bill_set_credits(&bill, month, JULY, 7);
    bill_set_credits(&bill, month, JULY, 8);
    assert_int_equal(bill_credits(&bill, month, JUNE), 5);
    assert_int_equal(bill_credits(&bill, week, JUNE), 6);
    assert_int_equal(bill_credits(&bill, month, JULY), 8);
    assert_true(bill_credited_start(&bill, month, JULY - 1, &start_us));
    assert_int_equal(start_us, JUNE);
    assert_true(bill_credited_start(&bill, month, JULY, &start_us));
    assert_int_equal(start_us, JULY);
    bill_set_credits(&bill, month, JUNE, 0);
    bill_set_credits(&bill, month, JUNE, 0);
    assert_int_equal(bill.cycles_count, 2);
    assert_int_equal(bill_credits(&bill, week, JUNE), 6);
}

static struct bill random_bill(void)
{
    struct bill bill = {.segments_count = (uint32_t)random_below(BILL_SEGMENTS_MAX + 1)};
    int64_t at_us = 0;
    for (uint32_t i = 0; i < bill.segments_count; i++) {
        at_us += (int64_t)random_below(500);
        bill.segments[i] = cut(at_us,
                               random_below(2)   ? usd
                               : random_below(2) ? eur
                                                 : none,
                               (int64_t)random_below(200) - 1, (int64_t)random_below(300));
        bill.segments[i].how = (enum segment_how)random_below(SEGMENT_HOWS_COUNT);
        if (i == 0) bill.segments[i].how = SEGMENT_PRICED;
        if (random_below(4) == 0) bill.segments[i].period = random_below(2) ? week : BILL_NO_PERIOD;
        if (bill.segments[i].how != SEGMENT_PRICED) continue;
        bill.segments[i].limit = 0;
        bill.segments[i].ended = bill.segments[i].begun = (struct bill_mark){0, 0, 0};
    }
    bill.cycles_count = (uint32_t)random_below(BILL_CYCLES_MAX + 1);
    for (uint32_t i = 0; i < bill.cycles_count; i++)
        bill.cycles[i] = (struct bill_cycle){month, (int64_t)i - 5, 1 + (int64_t)random_below(1000)};
    return bill;
}

/* Bytes lead back to the bill; cut or mutated ones are refused, or are another bill that can be worked with. */
static void bytes_lead_back(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        const struct bill bill = random_bill();
        struct bill again;
        struct sink sink = {0}, twice = {0};
        bill_encode(&bill, &sink);
        assert_true(bill_decode(sink_content(&sink), &again));
        bill_encode(&again, &twice);
        assert_int_equal(sink.size, twice.size);
        assert_memory_equal(sink.size > 0 ? sink.data : "", twice.size > 0 ? twice.data : "", sink.size);
        for (size_t size = 1; size < sink.size; size++)
            assert_false(bill_decode((struct bytes){sink.data, size}, &again));
        for (size_t i = 0; i < sink.size; i++) {
            char before = sink.data[i];
            sink.data[i] = (char)(before ^ (1 + (int)random_below(255)));
            struct bill_line line;
            const struct billed_cycle cycle = june(100, INT64_MAX, 3);
            bool is_bill = bill_decode(sink_content(&sink), &again);
            if (is_bill && again.segments_count > 0) (void)bill_line_at(&again, &cycle, 1500, &line);
            sink.data[i] = before;
        }
        sink_free(&sink);
        sink_free(&twice);
    }
}

/* Whatever happens in a cycle: its lines do not overlap, and they bill no unit twice. */
static void lines_of_a_cycle_add_up(void **state)
{
    (void)state;
    for (int round = 0; round < 5000; round++) {
        struct bill bill = bill_from(usd);
        int64_t used = 0, limit = (int64_t)random_below(100), lines_used = 0, quantity = 0;
        int cuts = 1 + (int)random_below(5);
        for (int i = 1; i <= cuts; i++) {
            used += (int64_t)random_below(60);
            add(&bill, cut(JUNE + 100 * i, i % 2 ? eur : usd, limit, used), (struct bill_now){0});
            limit = (int64_t)random_below(100);
        }
        used += (int64_t)random_below(60);
        const struct billed_cycle cycle = june(limit, used, 0);
        for (int i = 0; i <= cuts; i++) {
            struct bill_line line;
            assert_true(bill_line_at(&bill, &cycle, JUNE + 100 * i, &line));
            assert_int_equal(line.start_us, JUNE + 100 * i);
            lines_used += line.used;
            quantity += line.quantity;
            assert_true(line.quantity <= line.used);
        }
        assert_int_equal(lines_used, used);
        assert_true(quantity <= used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cycle_is_one_line),
        cmocka_unit_test(another_price_waits_for_the_next_cycle),
        cmocka_unit_test(a_switch_makes_two_lines),
        cmocka_unit_test(what_comes_back_leaves_the_newest_line_first),
        cmocka_unit_test(late_units_are_of_the_line_of_their_instant),
        cmocka_unit_test(another_limit_is_billed_from_the_cut_on),
        cmocka_unit_test(a_restart_begins_to_count_again),
        cmocka_unit_test(what_leads_back_at_once_is_no_cut),
        cmocka_unit_test(the_oldest_go),
        cmocka_unit_test(credits_are_counted_by_cycle),
        cmocka_unit_test(bytes_lead_back),
        cmocka_unit_test(lines_of_a_cycle_add_up),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}

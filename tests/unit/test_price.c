/* Prices: the worked numbers of tiers, and what must be true of any price: text, bytes and sums agree. */
#include "quota/account/price.h"
#include "quota/base/checked.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define M PRICE_ONE

static const struct price BULK = {
    .currency = {"usd", 3},
    .per = 1,
    .tiers_count = 3,
    .tiers = {{1000, 10000, 0}, {10000, 8000, 0}, {TIER_OPEN, 5000, 0}},
};
static const struct price SEATS = {
    .currency = {"eur", 3},
    .per = 1,
    .tiers_count = 3,
    .tiers = {{5, 7 * M, 0}, {10, 6500000, 0}, {TIER_OPEN, 6 * M, 0}},
};
static const struct price TOKENS = {
    .currency = {"usd", 3}, .per = 1000000, .tiers_count = 1, .tiers = {{TIER_OPEN, 150000, 0}}};
static const struct price FEES = {
    .currency = {"usd", 3}, .per = 1, .tiers_count = 2, .tiers = {{1000, 0, 100 * M}, {TIER_OPEN, 10000, 5 * M}}};
static const struct price KILL_BILL = {
    .currency = {"usd", 3}, .per = 1, .tiers_count = 2, .tiers = {{5, 2 * M, 0}, {TIER_OPEN, 1 * M, 0}}};

static void worked_numbers(void **state)
{
    (void)state;
    static const struct {
        const struct price *price;
        bool volume;
        int64_t quantity, amount;
    } rows[] = {
        {&BULK, false, 15000, 107 * M},
        {&BULK, true, 15000, 75 * M},
        {&BULK, false, 1001, 10008000},
        {&BULK, false, 0, 0},
        {&BULK, true, 0, 0},
        {&BULK, true, 1000, 10 * M},
        {&BULK, true, 1001, 8008000},
        {&SEATS, false, 6, 41500000},
        {&SEATS, true, 6, 39 * M},
        {&SEATS, false, 20, 127500000},
        {&SEATS, false, 5, 35 * M},
        {&TOKENS, false, 333, 50}, /* 49.95 millionths */
        {&TOKENS, false, 7, 1},    /* 1.05 */
        {&TOKENS, false, 3, 0},    /* 0.45 */
        {&TOKENS, false, 10, 2},   /* 1.5: half away from zero */
        {&FEES, false, 1500, 110 * M},
        {&FEES, false, 1, 100 * M},
        {&FEES, false, 0, 0},
        {&FEES, true, 1500, 20 * M},
        {&KILL_BILL, false, 7, 12 * M},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tier_amount amounts[PRICE_TIERS_MAX];
        struct price price = *rows[i].price;
        price.volume = rows[i].volume;
        if (price_amounts(&price, rows[i].quantity, amounts) != rows[i].amount) fail_msg("row %zu", i);
    }
}

static void each_tier_has_its_own_part(void **state)
{
    (void)state;
    struct tier_amount amounts[PRICE_TIERS_MAX];
    struct price volume = BULK;
    price_amounts(&BULK, 15000, amounts);
    assert_int_equal(amounts[0].quantity, 1000);
    assert_int_equal(amounts[0].amount, 10 * M);
    assert_int_equal(amounts[1].quantity, 9000);
    assert_int_equal(amounts[1].amount, 72 * M);
    assert_int_equal(amounts[2].quantity, 5000);
    assert_int_equal(amounts[2].amount, 25 * M);
    volume.volume = true;
    price_amounts(&volume, 15000, amounts);
    assert_int_equal(amounts[0].quantity, 0);
    assert_int_equal(amounts[2].quantity, 15000);
}

static void decimals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t millionths; /* -1 = it is none */
        const char *written;
    } rows[] = {
        {"0", 0, "0"},
        {"0.01", 10000, "0.01"},
        {"0.000001", 1, "0.000001"},
        {"15", 15 * M, "15"},
        {"2.500000", 2500000, "2.5"},
        {"007", 7 * M, "7"},
        {"1000000", PRICE_MAX, "1000000"},
        {"1000000.000001", -1, NULL},
        {"0.0000001", -1, NULL},
        {"", -1, NULL},
        {".5", -1, NULL},
        {"5.", -1, NULL},
        {"1.2.3", -1, NULL},
        {"-1", -1, NULL},
        {"+1", -1, NULL},
        {"1e3", -1, NULL},
        {" 1", -1, NULL},
        {"99999999999999999999", -1, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t millionths = -1;
        struct sink sink = {0};
        bool parsed = price_parse((struct bytes){rows[i].text, strlen(rows[i].text)}, &millionths);
        if (parsed != (rows[i].millionths >= 0) || millionths != rows[i].millionths) fail_msg("row %zu", i);
        if (!parsed) continue;
        price_write_decimal(millionths, &sink);
        bool same = sink.size == strlen(rows[i].written) && memcmp(sink.data, rows[i].written, sink.size) == 0;
        if (!same) fail_msg("row %zu is written otherwise", i);
        sink_free(&sink);
    }
}

static void faults_are_named(void **state)
{
    (void)state;
    struct price price = BULK;
    assert_null(price_fault(&price));
    price.currency = (struct bytes){"u$d", 3};
    assert_non_null(price_fault(&price));
    price = BULK;
    price.currency.size = 0;
    assert_non_null(price_fault(&price));
    price = BULK;
    price.per = 0;
    assert_non_null(price_fault(&price));
    price = BULK;
    price.tiers_count = 0;
    assert_non_null(price_fault(&price));
    price = BULK;
    price.tiers_count = 2; /* the last one ends */
    assert_non_null(price_fault(&price));
    price = BULK;
    price.tiers[1].upto = 1000;
    assert_non_null(price_fault(&price));
    price = BULK;
    price.tiers[0].upto = TIER_OPEN;
    assert_non_null(price_fault(&price));
    price = BULK;
    price.tiers[2].flat = PRICE_MAX + 1;
    assert_non_null(price_fault(&price));
    price = BULK;
    price.tiers[2].price = -1;
    assert_non_null(price_fault(&price));
}

static void the_text_is_the_rule(void **state)
{
    (void)state;
    static const char expected[] = "PRICE usd VOLUME PER 1000000 TIER 1000 0 FLAT 100 TIER * 0.01 FLAT 5";
    struct price price = FEES;
    struct sink sink = {0};
    price.volume = true;
    price.per = 1000000;
    price_write(&price, &sink);
    assert_int_equal(sink.size, strlen(expected));
    assert_memory_equal(sink.data, expected, sink.size);
    sink_free(&sink);
}

static void cut_bytes_are_no_price(void **state)
{
    (void)state;
    const struct price *const prices[] = {&BULK, &SEATS, &TOKENS, &FEES};
    for (size_t i = 0; i < COUNT_OF(prices); i++) {
        struct sink sink = {0}, again = {0};
        struct price price;
        price_encode(prices[i], &sink);
        assert_true(sink.size <= PRICE_BYTES_MAX);
        assert_true(price_decode(sink_content(&sink), &price));
        price_encode(&price, &again);
        assert_int_equal(sink.size, again.size);
        assert_memory_equal(sink.data, again.data, sink.size);
        for (size_t size = 0; size < sink.size; size++)
            assert_false(price_decode((struct bytes){sink.data, size}, &price));
        sink_byte(&sink, 0);
        assert_false(price_decode(sink_content(&sink), &price));
        sink_free(&sink);
        sink_free(&again);
    }
}

/* The sum of the tiers is the amount, their quantities are all units, and more units never cost less (but at the edges
 * of VOLUME tiers). */
static void random_prices_add_up(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct price price = {.currency = {"usd", 3}, .per = 1 + (int64_t)random_below(1000)};
        struct tier_amount amounts[PRICE_TIERS_MAX];
        int64_t upto = 0, before = 0, units = (int64_t)random_below(100000);
        price.tiers_count = 1 + (uint32_t)random_below(PRICE_TIERS_MAX);
        for (uint32_t i = 0; i < price.tiers_count; i++) {
            upto += 1 + (int64_t)random_below(10000);
            bool last = i == price.tiers_count - 1;
            price.tiers[i] = (struct tier){last ? TIER_OPEN : upto, (int64_t)random_below(1000000),
                                           random_below(2) ? (int64_t)random_below(1000000) : 0};
        }
        assert_null(price_fault(&price));
        int64_t amount = price_amounts(&price, units, amounts), sum = 0, quantity = 0;
        for (uint32_t i = 0; i < price.tiers_count; i++) {
            sum += amounts[i].amount;
            quantity += amounts[i].quantity;
        }
        assert_int_equal(sum, amount);
        assert_int_equal(quantity, units);
        before = amount;
        assert_true(price_amounts(&price, units + 1 + (int64_t)random_below(1000), amounts) >= before);
        price.volume = true;
        (void)price_amounts(&price, units, amounts);
        quantity = 0;
        for (uint32_t i = 0; i < price.tiers_count; i++) quantity += amounts[i].quantity;
        assert_int_equal(quantity, units);
    }
}

static void huge_amounts_are_bounded(void **state)
{
    (void)state;
    struct tier_amount amounts[PRICE_TIERS_MAX];
    struct price price = {.currency = {"x", 1},
                          .per = 1,
                          .tiers_count = 2,
                          .tiers = {{1, PRICE_MAX, PRICE_MAX}, {TIER_OPEN, PRICE_MAX, 0}}};
    assert_int_equal(price_amounts(&price, INT64_MAX, amounts), INT64_MAX);
    assert_int_equal(amounts[0].amount, 2 * PRICE_MAX);
    price.per = INT64_MAX;
    assert_int_equal(price_amounts(&price, INT64_MAX, amounts), 2 * PRICE_MAX); /* 0.0…1 rounds to 0, then FLAT */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_numbers),
        cmocka_unit_test(each_tier_has_its_own_part),
        cmocka_unit_test(decimals),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(the_text_is_the_rule),
        cmocka_unit_test(cut_bytes_are_no_price),
        cmocka_unit_test(random_prices_add_up),
        cmocka_unit_test(huge_amounts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Records: keys that cannot be taken for one another, and bodies that read back, whole or not at all. */
#include "account_tools.h"

static void keys_of_different_things_differ(void **state)
{
    (void)state;
    static const struct {
        enum record_operation operation;
        uint32_t slot;
        const char *id;
    } rows[] = {
        {RECORD_CONSUME, 0, "x"},     {RECORD_CONSUME, 1, "x"},     {RECORD_BATCH, 0, "x"},
        {RECORD_REFUND, 0, "x"},      {RECORD_HOLD, 0, "x"},        {RECORD_RETURNED, 0, "x"},
        {RECORD_CONSUME, 0, ""},      {RECORD_CONSUME, 0, "xx"},    {RECORD_CONSUME, 120, "x"},
        {RECORD_CONSUME, 0, "\x02x"}, {RECORD_CONSUME, 255, "x"},   {RECORD_CONSUME, 128, "\x01x"},
        {RECORD_CONSUME, 128, "x"},   {RECORD_CONSUME, 1, "\x01x"},
    };
    struct record_key keys[COUNT_OF(rows)];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        record_key_make(&keys[i], rows[i].operation, rows[i].slot, text_bytes(rows[i].id));
        for (size_t k = 0; k < i; k++)
            assert_false(bytes_equal(record_key_bytes(&keys[i]), record_key_bytes(&keys[k])));
    }
    static char longest[ID_BYTES_MAX];
    record_key_make(&keys[0], RECORD_RETURNED, ACCOUNT_SLOTS_MAX - 1, (struct bytes){longest, sizeof(longest)});
    assert_true(keys[0].size <= IDEMPOTENCY_KEY_MAX);
}

static struct verdict some_verdict(void)
{
    return (struct verdict){.granted = random_between(0, 1000),
                            .limit = random_between(-1, INT64_MAX - 1),
                            .remaining = random_between(-1, INT64_MAX - 1),
                            .wait_us = random_below(4) ? random_between(0, DURATION_MAX_US) : NEVER_US,
                            .reset_us = random_below(4) ? random_between(0, DURATION_MAX_US) : NEVER_US,
                            .rule = (int32_t)random_between(-1, 31)};
}

/* Times are what was replied: whole ms, upwards. */
static void assert_replied(const struct verdict *got, const struct verdict *was)
{
    assert_int_equal(got->granted, was->granted);
    assert_int_equal(got->limit, was->limit);
    assert_int_equal(got->remaining, was->remaining);
    assert_int_equal(got->rule, was->rule);
    assert_int_equal(millis_ceil(got->wait_us), millis_ceil(was->wait_us));
    assert_int_equal(millis_ceil(got->reset_us), millis_ceil(was->reset_us));
}

/* A third of what was granted came from a grant, the rest from the limits. */
static struct bytes funding_of(const struct record_item *item, struct sink *funding)
{
    int64_t units = item->verdict.granted * item->cost;
    funding_add(funding, 5, units / 3);
    funding_add(funding, FUNDED_BY_LIMITS, units - units / 3);
    return sink_content(funding);
}

static struct record_item some_item(bool of_generation)
{
    return (struct record_item){.slot = random_below(ACCOUNT_SLOTS_MAX),
                                .amount = random_between(1, INT64_MAX - 1),
                                .cost = random_between(1, 1000),
                                .generation = of_generation ? random_between(0, 3) : 0,
                                .charged = {.count = random_below(3), .periods = {1, UINT64_C(1) << 60}},
                                .verdict = some_verdict()};
}

static void consumptions_read_back(void **state)
{
    (void)state;
    for (int run = 0; run < 300; run++) {
        struct record_item items[BATCH_ITEMS_MAX], again[BATCH_ITEMS_MAX];
        uint32_t count = 1 + random_below(run < 10 ? BATCH_ITEMS_MAX : 3), read;
        uint8_t mode = (uint8_t)random_below(8), mode_read;
        int64_t at_us = run % 4 == 0 ? random_between(1, INSTANT_MAX_US) : 0;
        struct sink body = {0}, funding[BATCH_ITEMS_MAX] = {{0}};
        for (uint32_t i = 0; i < count; i++) {
            items[i] = some_item(run & 1);
            items[i].at_us = at_us;
            if (run % 3 == 0) items[i].funding = funding_of(&items[i], &funding[i]);
            items[i].item = i > 0 && run % 5 == 0 ? items[i - 1].item + random_below(2) : i; /* some have several */
        }
        record_items_encode(items, count, mode, BYTES(""), &body);
        assert_true(body.size <= IDEMPOTENCY_BODY_MAX);
        assert_true(record_items_decode(sink_content(&body), again, &read, &mode_read));
        assert_int_equal(read, count);
        assert_int_equal(mode_read, mode);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(again[i].slot, items[i].slot);
            assert_int_equal(again[i].at_us, at_us);
            assert_int_equal(again[i].item, items[i].item);
            assert_int_equal(again[i].amount, items[i].amount);
            assert_int_equal(again[i].cost, items[i].cost);
            assert_int_equal(again[i].generation, items[i].generation);
            assert_int_equal(again[i].charged.count, items[i].charged.count);
            for (uint32_t k = 0; k < items[i].charged.count; k++) {
                assert_true(charged_has(&again[i].charged, items[i].charged.periods[k]));
            }
            assert_false(charged_has(&again[i].charged, 2));
            assert_true(charged_has(NULL, 2));
            assert_replied(&again[i].verdict, &items[i].verdict);
            assert_true(bytes_equal(again[i].funding, items[i].funding));
            sink_free(&funding[i]);
        }
        assert_false(record_items_decode((struct bytes){body.data, body.size - 1}, again, &read, &mode_read));
        assert_false(record_items_decode((struct bytes){body.data, 1}, again, &read, &mode_read));
        sink_free(&body);
    }
}

/* Whatever a dump says: units, amount x cost, are a number. */
static void products_that_would_wrap_are_refused(void **state)
{
    (void)state;
    struct record_item item = {.amount = INT64_MAX, .cost = 2, .verdict = {.granted = INT64_MAX}},
                       again[BATCH_ITEMS_MAX];
    struct record_hold hold = {HOLD_COMMITTED, 0, INT64_MAX, 1, 2, 5, 0, 0}, hold_again[BATCH_ITEMS_MAX];
    uint32_t count;
    uint8_t mode;
    struct sink body = {0}, hold_body = {0};
    record_items_encode(&item, 1, 0, BYTES(""), &body);
    assert_false(record_items_decode(sink_content(&body), again, &count, &mode));
    record_hold_encode(&hold, 1, BYTES(""), &hold_body);
    assert_false(record_hold_decode(sink_content(&hold_body), hold_again, &count));
    sink_free(&body);
    sink_free(&hold_body);
}

static void refunds_and_holds_read_back(void **state)
{
    (void)state;
    struct record_refund refund = {.amount = 9, .of = BYTES("x"), .refunded = 7, .lost = 2, .remaining = -1},
                         refund_again;
    struct sink body = {0};
    record_refund_encode(&refund, &body);
    assert_true(record_refund_decode(sink_content(&body), &refund_again));
    assert_int_equal(refund_again.amount, 9);
    assert_true(bytes_equal(refund_again.of, BYTES("x")));
    assert_int_equal(refund_again.refunded, 7);
    assert_int_equal(refund_again.lost, 2);
    assert_int_equal(refund_again.remaining, UNLIMITED);
    for (size_t size = 0; size < body.size; size++) {
        assert_false(record_refund_decode((struct bytes){body.data, size}, &refund_again));
    }
    sink_free(&body);

    static const struct {
        struct record_hold hold;
        bool sane;
    } rows[] = {
        {{HOLD_COMMITTED, 3, 9, 7, 2, 5, -1, 2}, true},
        {{HOLD_RELEASED, 0, 9, 0, 1, 0, 7, 9}, true},
        {{HOLD_EXPIRED, 65535, INT64_MAX, 0, 1, INSTANT_MAX_US, 0, 0}, true},
        {{HOLD_COMMITTED, 3, 9, 10, 2, 5, -1, 2}, true}, /* FORCE posts more than was held */
        {{HOLD_COMMITTED, 3, 9, INT64_MAX, 2, 5, 7, 9}, false},
        {{HOLD_COMMITTED, 3, 9, 7, 0, 5, 0, 0}, false},
        {{(enum hold_outcome)0, 3, 9, 7, 2, 5, -1, 2}, false},
        {{(enum hold_outcome)4, 3, 9, 7, 2, 5, 7, 9}, false},
        {{HOLD_COMMITTED, 3, 9, 7, 2, INSTANT_MAX_US + 1, 0, 0}, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct record_hold again[BATCH_ITEMS_MAX];
        uint32_t count;
        struct sink hold = {0};
        record_hold_encode(&rows[i].hold, 1, BYTES(""), &hold);
        if (record_hold_decode(sink_content(&hold), again, &count) != rows[i].sane) fail_msg("row %zu", i);
        if (rows[i].sane) assert_memory_equal(&again->amount, &rows[i].hold.amount, 6 * sizeof(int64_t));
        sink_free(&hold);
    }
}

/* Several parts: items are numbered one by one, and one may have several of them. */
static void holds_of_several_parts_read_back(void **state)
{
    (void)state;
    static const struct {
        uint32_t items[3], count;
        bool sane;
    } rows[] = {
        {{0, 1, 2}, 3, true}, {{0, 0, 1}, 3, true}, {{0, 1, 1}, 3, true},  {{0, 0}, 2, true},
        {{1, 2}, 2, false},   {{0, 2}, 2, false},   {{0, 1, 0}, 3, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct record_hold parts[3], again[BATCH_ITEMS_MAX];
        struct sink body = {0};
        uint32_t count;
        for (uint32_t k = 0; k < 3; k++) {
            parts[k] = (struct record_hold){HOLD_COMMITTED, k, 9, 4 + k, 2, 77, -1, k, .item = rows[i].items[k]};
            parts[k].charged = (struct charged){1, {5 + k}};
            parts[k].funding = k == 1 ? BYTES("\0\4\1\6") : BYTES(""); /* of 10 units */
        }
        record_hold_encode(parts, rows[i].count, BYTES(""), &body);
        if (record_hold_decode(sink_content(&body), again, &count) != rows[i].sane) fail_msg("row %zu", i);
        for (uint32_t k = 0; rows[i].sane && k < count; k++) {
            assert_int_equal(again[k].outcome, HOLD_COMMITTED);
            assert_int_equal(again[k].slot, k);
            assert_int_equal(again[k].item, rows[i].items[k]);
            assert_memory_equal(&again[k].amount, &parts[k].amount, 6 * sizeof(int64_t));
            assert_int_equal(again[k].charged.periods[0], 5 + k);
            assert_true(bytes_equal(again[k].funding, parts[k].funding));
        }
        for (size_t size = 0; size < body.size; size++) { /* as long as whole parts are left it may be another record */
            bool fewer = record_hold_decode((struct bytes){body.data, size}, again, &count);
            assert_true(!fewer || count < rows[i].count);
        }
        sink_free(&body);
    }
}

static void refunds_of_everything_read_back(void **state)
{
    (void)state;
    static struct record_refund_all refund, again;
    struct sink body = {0};
    refund.of = BYTES("x");
    refund.count = REFUND_ITEMS_MAX;
    for (uint32_t i = 0; i < refund.count; i++) refund.items[i] = (struct refunded){i, INT64_MAX - i, UNLIMITED};
    record_refund_all_encode(&refund, &body);
    assert_true(body.size <= IDEMPOTENCY_BODY_MAX);
    assert_true(record_refund_all_decode(sink_content(&body), &again));
    assert_int_equal(again.count, refund.count);
    assert_true(bytes_equal(again.of, refund.of));
    assert_memory_equal(again.items, refund.items, sizeof(refund.items));
    assert_false(record_refund_all_decode((struct bytes){body.data, 2}, &again)); /* of nothing */
    assert_false(record_refund_all_decode((struct bytes){body.data, body.size - 1}, &again));
    sink_free(&body);
}

/* What the first encoding wrote of a reservation ended with the instant at which it was made. */
static void holds_of_the_first_encoding_are_read(void **state)
{
    (void)state;
    static const char bytes[] = {HOLD_COMMITTED, 3, 9, 7, 2, 5};
    struct record_hold hold[BATCH_ITEMS_MAX];
    uint32_t count;
    assert_true(record_hold_decode((struct bytes){bytes, sizeof(bytes)}, hold, &count));
    assert_int_equal(count, 1);
    assert_int_equal(hold->outcome, HOLD_COMMITTED);
    assert_int_equal(hold->slot, 3);
    assert_int_equal(hold->amount, 9);
    assert_int_equal(hold->posted, 7);
    assert_int_equal(hold->cost, 2);
    assert_int_equal(hold->made_us, 5);
    assert_int_equal(hold->remaining, 0);
    assert_int_equal(hold->generation, 0);
}

static void what_has_returned_is_of_one_size(void **state)
{
    (void)state;
    static const int64_t amounts[] = {0, 1, 255, 256, INT64_MAX};
    char body[RECORD_RETURNED_BYTES];
    int64_t again;
    for (size_t i = 0; i < COUNT_OF(amounts); i++) {
        record_returned_encode(amounts[i], body);
        assert_true(record_returned_decode((struct bytes){body, sizeof(body)}, &again));
        assert_int_equal(again, amounts[i]);
    }
    assert_false(record_returned_decode((struct bytes){body, sizeof(body) - 1}, &again));
    body[7] = (char)0x80;
    assert_false(record_returned_decode((struct bytes){body, sizeof(body)}, &again));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_different_things_differ),      cmocka_unit_test(consumptions_read_back),
        cmocka_unit_test(products_that_would_wrap_are_refused), cmocka_unit_test(refunds_and_holds_read_back),
        cmocka_unit_test(holds_of_several_parts_read_back),     cmocka_unit_test(refunds_of_everything_read_back),
        cmocka_unit_test(holds_of_the_first_encoding_are_read), cmocka_unit_test(what_has_returned_is_of_one_size),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

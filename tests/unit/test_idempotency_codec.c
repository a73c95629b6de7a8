/* The codec of idempotency records: golden bytes, lies, each truncation and changed byte refused or understood. */
#include "idempotency_tools.h"
#include "quota/account/idempotency_codec.h"
#include "scenario.h"
#include "tools.h"
#include <stdlib.h>

/* Reads exactly these bytes; NULL for nothing, *bad when they are refused. */
static struct idempotency_store *decode(const char *data, size_t size, bool *bad)
{
    struct cursor cursor = cursor_init((struct bytes){data, size});
    struct idempotency_store *store = idempotency_decode(&cursor, false);
    *bad = !cursor_done(&cursor);
    if (cursor.bad) assert_null(store);
    return store;
}

static void the_bytes_are_these_for_ever(void **state)
{
    (void)state;
    /* "ab" → "xyz" from 300 to 310; "c" → "" from 299 to 427 */
    static const char golden[] = "\x02\xd8\x04\x0a\x02\x61\x62\x03xyz\x01\x80\x01\x01\x63\x00";
    struct idempotency_entry first = {BYTES("ab"), BYTES("xyz"), 300, 310}, second = {BYTES("c"), BYTES(""), 299, 427},
                             shown;
    struct idempotency_walk walk = {0};
    bool bad;
    struct idempotency_store *store = decode(golden, sizeof(golden) - 1, &bad);
    assert_false(bad);
    assert_true(idempotency_next(store, &walk, &shown));
    assert_same_entry(&shown, &first);
    assert_true(idempotency_next(store, &walk, &shown));
    assert_same_entry(&shown, &second);
    assert_false(idempotency_next(store, &walk, &shown));
    struct sink again = {0};
    idempotency_encode(store, &again);
    assert_int_equal(again.size, sizeof(golden) - 1);
    assert_memory_equal(again.data, golden, again.size);
    sink_free(&again);
    idempotency_free(store);
    assert_null(decode("", 1, &bad));
    assert_false(bad);
}

static const struct {
    const char *bytes;
    size_t size;
} lies[] = {
#define LIE(literal)                                                                                                   \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }
    LIE(""),                                                          /* no count */
    LIE("\x01"),                                                      /* fewer than announced */
    LIE("\x02\x02\x01\x01k\x00"),                                     /* as well */
    LIE("\x00\x00"),                                                  /* more */
    LIE("\x01\x00\x01\x01k\x00"),                                     /* stored at 0 */
    LIE("\x01\x01\x01\x01k\x00"),                                     /* before 0 */
    LIE("\x02\x02\x01\x01k\x00\x01\x01\x01l\x00"),                    /* the second at 0 */
    LIE("\x01\x02\x01\x00\x00"),                                      /* no key */
    LIE("\x01\x02\x01\x02k\x00"),                                     /* a key beyond the end, in the end */
    LIE("\x01\x02\x01\x01k\x01"),                                     /* a body beyond the end */
    LIE("\x01\x82\x00\x01\x01k\x00"),                                 /* a number longer than need be */
    LIE("\x01\x02\x80\x80\x80\x80\x80\x80\x80\x80\x40\x01k\x00"),     /* expires behind the last instant */
    LIE("\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01k\x00"),     /* and behind an int64 */
    LIE("\x01\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x01k\x00"), /* stored there */
    LIE("\x01\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7fk\x00"),     /* a key of 2^63 - 1 bytes */
    LIE("\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x02\x01\x01k\x00"),     /* 2^63 - 1 records */
};

static void values_that_lie_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        bool bad;
        struct idempotency_store *store = decode(lies[i].bytes, lies[i].size, &bad);
        if (!bad) fail_msg("row %zu was let in", i);
        idempotency_free(store);
    }
}

/* A key that comes again: refused, but in what the first encoding wrote, where its last record counts. */
static void a_key_comes_once(void **state)
{
    (void)state;
    static const char twice[] = "\x03\x02\x09\x01k\x01x\x02\x09\x01l\x00\x02\x09\x01k\x01y";
    static const char once[] = "\x02\x04\x09\x01l\x00\x02\x09\x01k\x01y";
    struct sink again = {0};
    bool bad;
    assert_null(decode(twice, sizeof(twice) - 1, &bad));
    assert_true(bad);
    struct cursor cursor = cursor_init((struct bytes){twice, sizeof(twice) - 1});
    struct idempotency_store *store = idempotency_decode(&cursor, true);
    assert_true(cursor_done(&cursor));
    idempotency_encode(store, &again);
    assert_int_equal(again.size, sizeof(once) - 1);
    assert_memory_equal(again.data, once, again.size);
    sink_free(&again);
    idempotency_free(store);
}

/* Sizes at their largest are let in, and one byte more is not. */
static void keys_and_bodies_have_a_largest_size(void **state)
{
    (void)state;
    static char text[IDEMPOTENCY_BODY_MAX + 1];
    for (int longer = 0; longer < 4; longer++) {
        struct sink bytes = {0};
        bool bad;
        sink_number(&bytes, 1);
        sink_signed(&bytes, 1);
        sink_number(&bytes, INSTANT_MAX_US - 1);
        sink_bytes(&bytes, (struct bytes){text, IDEMPOTENCY_KEY_MAX + (longer & 1)});
        sink_bytes(&bytes, (struct bytes){text, IDEMPOTENCY_BODY_MAX + (size_t)(longer >> 1)});
        idempotency_free(decode(bytes.data, bytes.size, &bad));
        assert_int_equal(bad, longer > 0);
        sink_free(&bytes);
    }
}

static struct idempotency_store *small_store(void)
{
    struct idempotency_store *store = NULL;
    for (uint32_t i = 0; i < 5; i++) {
        struct idempotency_entry entry = usual_entry(i, BASE + i * i * S - (i == 3 ? H : 0));
        entry.key.size -= 3 * i;
        entry.body.size -= 4 * i;
        entry.expires_us += i % 2;
        store = idempotency_append(store, &entry);
    }
    return store;
}

/* Bytes are either refused, or records that encode to exactly these bytes again. */
static void assert_refused_or_same(const char *data, size_t size)
{
    bool bad;
    struct idempotency_store *store = decode(data, size, &bad);
    if (!bad) {
        struct sink again = {0};
        idempotency_encode(store, &again);
        assert_int_equal(again.size, size);
        assert_memory_equal(again.data, data, size);
        sink_free(&again);
    }
    idempotency_free(store);
}

static void damaged_values_are_refused_or_understood(void **state)
{
    (void)state;
    struct idempotency_store *store = small_store();
    struct sink bytes = {0};
    idempotency_encode(store, &bytes);
    idempotency_free(store);
    for (size_t size = 0; size < bytes.size; size++) {
        bool bad;
        char *exact = malloc(size); /* so that a read beyond it is seen */
        memcpy(exact, bytes.data, size);
        assert_null(decode(exact, size, &bad));
        assert_true(bad);
        free(exact);
    }
    for (size_t at = 0; at < bytes.size; at++) {
        char kept = bytes.data[at];
        for (int byte = 0; byte < 256; byte++) {
            bytes.data[at] = (char)byte;
            assert_refused_or_same(bytes.data, bytes.size);
        }
        bytes.data[at] = kept;
    }
    sink_free(&bytes);
}

/* The shortest records there are, with the instants that take the most room inside. */
static void strangers_bytes_need_a_small_multiple_of_their_size(void **state)
{
    (void)state;
    static char data[120000];
    struct sink bytes = sink_init(data, sizeof(data));
    const uint32_t count = 19000;
    bool bad;
    sink_number(&bytes, count);
    for (uint32_t i = 0; i < count; i++) {
        sink_signed(&bytes, i == 0 ? 1 : i == 1 ? INSTANT_MAX_US / 2 : 0);
        sink_number(&bytes, i == 0 ? INSTANT_MAX_US / 2 - 1 : 0);
        sink_bytes(&bytes, (struct bytes){(const char *)&i, 2});
        sink_bytes(&bytes, (struct bytes){"", 0});
    }
    assert_false(bytes.on_heap);
    heap_count_begin();
    struct idempotency_store *store = decode(bytes.data, bytes.size, &bad);
    assert_false(bad);
    print_message("%zu bytes for %zu\n", heap_peak_bytes(), bytes.size);
    assert_in_range(heap_peak_bytes(), 1, 4 * bytes.size);
    idempotency_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_bytes_are_these_for_ever, heap_tear_down),
        cmocka_unit_test_teardown(values_that_lie_are_refused, heap_tear_down),
        cmocka_unit_test_teardown(a_key_comes_once, heap_tear_down),
        cmocka_unit_test_teardown(keys_and_bodies_have_a_largest_size, heap_tear_down),
        cmocka_unit_test_teardown(damaged_values_are_refused_or_understood, heap_tear_down),
        cmocka_unit_test_teardown(strangers_bytes_need_a_small_multiple_of_their_size, heap_tear_down),
    };
    return cmocka_run_group_tests(tests, heap_set_up, NULL);
}

/* Sinks and cursors: one value, one encoding, and no read past the end. */
#include "quota/base/buffer.h"
#include "scenario.h"

static void numbers_come_back(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0, 1, 127, 128, 300, 16383, 16384, BASE, INT64_MAX - 1, INT64_MAX};
    char stack_buffer[4]; /* too small on purpose: the sink moves to the heap */
    struct sink sink = sink_init(stack_buffer, sizeof(stack_buffer));
    size_t count = sizeof(numbers) / sizeof(numbers[0]);
    for (size_t i = 0; i < count; i++) sink_number(&sink, numbers[i]);
    for (size_t i = 0; i < count; i++) sink_signed(&sink, -numbers[i]);
    sink_signed(&sink, INT64_MIN);
    sink_bytes(&sink, BYTES("quota"));
    struct cursor cursor = cursor_init((struct bytes){sink.data, sink.size});
    for (size_t i = 0; i < count; i++) assert_int_equal(cursor_number(&cursor), numbers[i]);
    for (size_t i = 0; i < count; i++) assert_int_equal(cursor_signed(&cursor), -numbers[i]);
    assert_int_equal(cursor_signed(&cursor), INT64_MIN);
    assert_true(bytes_equal(cursor_bytes(&cursor), BYTES("quota")));
    assert_true(cursor_done(&cursor));
    sink_free(&sink);
}

static void other_forms_are_bad(void **state)
{
    (void)state;
    static const struct row {
        const char *bytes;
        size_t size;
    } rows[] = {
        {"", 0},
        {"\x80", 1},                                      /* more announced, nothing there */
        {"\x80\x00", 2},                                  /* zero in two bytes: a longer form */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10}, /* 2^64 - 1: no int64 */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10}, /* beyond 64 bits */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct cursor cursor = cursor_init((struct bytes){rows[i].bytes, rows[i].size});
        assert_int_equal(cursor_number(&cursor), 0);
        assert_true(cursor.bad);
        assert_int_equal(cursor_byte(&cursor), 0); /* bad stays bad */
    }
    struct cursor cursor = cursor_init(BYTES("\x05"
                                             "four"));
    assert_int_equal(cursor_bytes(&cursor).size, 0);
    assert_true(cursor.bad);
}

static void text_forms(void **state)
{
    (void)state;
    static const struct row {
        int64_t duration_us;
        const char *text;
    } rows[] = {{1, "1us"}, {1500, "1500us"}, {2000, "2ms"}, {S, "1s"},     {90 * S, "90s"}, {120 * S, "2m"},
                {H, "1h"},  {36 * H, "36h"},  {2 * D, "2d"}, {7 * D, "1w"}, {0, "0w"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sink text = {0};
        sink_duration(&text, rows[i].duration_us);
        assert_true(
            bytes_equal((struct bytes){text.data, text.size}, (struct bytes){rows[i].text, strlen(rows[i].text)}));
        sink_free(&text);
    }
    struct sink text = {0};
    sink_decimal(&text, INT64_MIN);
    assert_true(bytes_equal((struct bytes){text.data, text.size}, BYTES("-9223372036854775808")));
    sink_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(other_forms_are_bad),
        cmocka_unit_test(text_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

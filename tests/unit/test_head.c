/* Heads: every kind and encoding comes back, what no version writes is no head, and which heads are newer. */
#include "quota/base/head.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void *decode_byte(struct cursor *cursor)
{
    static uint8_t value;
    value = cursor_byte(cursor);
    return cursor_done(cursor) ? &value : NULL;
}

static const struct format format = {
    .name = "thing", .kind = 4, .newest = 2, .decode = {NULL, decode_byte, decode_byte}};
static const struct format high = {.name = "high thing", .kind = 9, .newest = 1, .decode = {NULL, decode_byte}};

static struct bytes bytes_of(const char *text, size_t size)
{
    return (struct bytes){text, size};
}
#define HEX(literal_) bytes_of(literal_, sizeof(literal_) - 1)

/* What is stored today stays as it is. */
static void bytes_are_as_ever(void **state)
{
    (void)state;
    const struct {
        struct head head;
        struct bytes bytes;
    } rows[] = {
        {{0, 1, false}, HEX("\x01")},           {{0, 2, true}, HEX("\x82")},
        {{4, 2, false}, HEX("\x42")},           {{4, 2, true}, HEX("\xc2")},
        {{6, 15, false}, HEX("\x6f")},          {{7, 1, false}, HEX("\x70\x07\x01")},
        {{31, 255, true}, HEX("\xf0\x1f\xff")}, {{0, 16, false}, HEX("\x70\x00\x10")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sink sink = {0};
        head_write(&sink, rows[i].head);
        if (!bytes_equal(sink_content(&sink), rows[i].bytes)) fail_msg("row %zu is written differently", i);
        sink_free(&sink);
    }
}

static void every_head_comes_back(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < HEAD_KINDS_MAX; kind++) {
        for (uint32_t encoding = 1; encoding <= UINT8_MAX; encoding++) {
            struct head written = {(uint8_t)kind, (uint8_t)encoding, encoding % 2};
            struct sink sink = {0};
            head_write(&sink, written);
            struct cursor cursor = cursor_init(sink_content(&sink));
            struct head read = head_read(&cursor);
            assert_true(cursor_done(&cursor));
            assert_int_equal(read.kind, kind);
            assert_int_equal(read.encoding, encoding);
            assert_int_equal(read.no_expire, written.no_expire);
            sink_free(&sink);
        }
    }
}

static void what_no_version_writes_is_no_head(void **state)
{
    (void)state;
    const struct bytes rows[] = {
        HEX(""), /* nothing */
        HEX("\x00"),
        HEX("\x40"),
        HEX("\x80"), /* encoding 0 */
        HEX("\x70"),
        HEX("\x70\x09"),
        HEX("\x70\x09\x00"), /* cut short; encoding 0 */
        HEX("\x71\x09\x01"),
        HEX("\xff\xff\xff"), /* bits without a meaning */
        HEX("\x70\x04\x02"),
        HEX("\x70\x06\x0f"), /* a short one in the long form */
        HEX("\x70\x20\x01"), /* kind 32 */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cursor cursor = cursor_init(rows[i]);
        if (head_read(&cursor).encoding != 0 || !cursor.bad) fail_msg("row %zu is a head", i);
        assert_false(head_is_newer(head_of(rows[i]), NULL));
        assert_null(format_decode(&format, rows[i]));
    }
}

static void a_format_reads_its_encodings(void **state)
{
    (void)state;
    const struct {
        struct bytes bytes;
        const struct format *format;
        bool decoded, flag_is_allowed;
    } rows[] = {
        {HEX("\x41\x07"), &format, true, true},       {HEX("\x42\x07"), &format, true, true},
        {HEX("\xc2\x07"), &format, false, true}, /* the flag stands before changes alone */
        {HEX("\x43\x07"), &format, false, false},     {HEX("\x52\x07"), &format, false, false},
        {HEX("\x42\x07\x07"), &format, false, true}, /* more than its decoder takes */
        {HEX("\x70\x09\x01\x07"), &high, true, true}, {HEX("\x70\x09\x02\x07"), &high, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cursor cursor = cursor_init(rows[i].bytes);
        bool no_expire;
        uint8_t encoding = format_read_head(rows[i].format, &cursor, &no_expire);
        if ((format_decode(rows[i].format, rows[i].bytes) != NULL) != rows[i].decoded) fail_msg("row %zu", i);
        if ((encoding > 0) != rows[i].flag_is_allowed) fail_msg("row %zu: its head", i);
        if (cursor.bad == rows[i].flag_is_allowed) fail_msg("row %zu: the cursor", i);
    }
}

static void what_is_written_in_the_newest_encoding_is_read(void **state)
{
    (void)state;
    for (int flag = 0; flag < 2; flag++) {
        struct sink sink = {0};
        bool no_expire;
        format_write_head(&format, flag, &sink);
        struct cursor cursor = cursor_init(sink_content(&sink));
        assert_int_equal(format_read_head(&format, &cursor, &no_expire), format.newest);
        assert_int_equal(no_expire, flag);
        sink_free(&sink);
    }
}

/* Nothing newer is taken for damage, however far ahead. */
static void a_refusal_says_why(void **state)
{
    (void)state;
    const struct {
        struct head head;
        const struct format *format;
        const char *text;
        bool newer;
    } rows[] = {
        {{4, 3, false},
         &format,
         "thing in encoding 3, this version reads 1 to 2: a newer version of this module wrote it",
         true},
        {{4, 15, true},
         &format,
         "thing in encoding 15, this version reads 1 to 2: a newer version of this module wrote it",
         true},
        {{4, 255, false},
         &format,
         "thing in encoding 255, this version reads 1 to 2: a newer version of this module wrote it",
         true},
        {{9, 1, false},
         NULL,
         "kind 9 in encoding 1, a kind that this version does not know: a newer version of this module wrote it, or "
         "damaged",
         true},
        {{4, 2, false}, &format, "damaged bytes", false},
        {{4, 1, false}, &format, "damaged bytes", false},
        {{5, 9, false}, &format, "damaged bytes", false}, /* of another kind */
        {{0, 0, false}, NULL, "damaged bytes", false},    /* no head */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sink text = {0};
        head_write_refusal(rows[i].head, rows[i].format, &text);
        if (head_is_newer(rows[i].head, rows[i].format) != rows[i].newer) fail_msg("row %zu", i);
        if (!bytes_equal(sink_content(&text), bytes_of(rows[i].text, strlen(rows[i].text)))) {
            fail_msg("row %zu says: %.*s", i, (int)text.size, text.data);
        }
        sink_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_as_ever),
        cmocka_unit_test(every_head_comes_back),
        cmocka_unit_test(what_no_version_writes_is_no_head),
        cmocka_unit_test(a_format_reads_its_encodings),
        cmocka_unit_test(what_is_written_in_the_newest_encoding_is_read),
        cmocka_unit_test(a_refusal_says_why),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

/* A rule as bytes and as text. */
#include "quota/rate/rule_codec.h"
#include "scenario.h"

static void rules_read_as_they_are_written(void **state)
{
    (void)state;
    struct rule rows[] = {rule_of(RULE_GCRA, 10, S, 0),         rule_of(RULE_TOKEN, 5, 90 * S, 9),
                          rule_of(RULE_QUEUE, 10, 250 * MS, 6), rule_of(RULE_QUEUE, 10, D, 11),
                          rule_of(RULE_FIXED, -1, 7 * D, 0),    rule_of(RULE_LOG, 0, 1, 0)};
    static const char *const texts[] = {"GCRA 10 1s",
                                        "TOKEN 5 90s BURST 9 INITIAL 2 INTERVAL",
                                        "QUEUE 10 250ms BURST 5",
                                        "QUEUE 10 1d",
                                        "FIXED -1 1w FIRST",
                                        "LOG 0 1us"};
    rows[1].initial = 2;
    rows[1].flags = RULE_INTERVAL;
    rows[4].flags = RULE_FIRST;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sink text = {0};
        rule_write(&rows[i], &text);
        sink_byte(&text, '\0');
        assert_string_equal(text.data, texts[i]);
        sink_free(&text);
    }
}

static void rules_survive_their_bytes_and_others_are_bad(void **state)
{
    (void)state;
    struct rule rows[] = {rule_of(RULE_GCRA, INT64_MAX, DURATION_MAX_US, 1), rule_of(RULE_QUEUE, 3, 1, INT64_MAX),
                          rule_of(RULE_LOG, -1, D, 0), rule_of(RULE_FIXED, 0, D, 0)};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sink bytes = {0};
        rule_encode(&rows[i], &bytes);
        struct cursor cursor = cursor_init((struct bytes){bytes.data, bytes.size});
        struct rule again;
        rule_decode(&cursor, &again);
        assert_true(cursor_done(&cursor));
        assert_memory_equal(&again, &rows[i], sizeof(again));
        for (size_t size = 0; size < bytes.size; size++) {
            cursor = cursor_init((struct bytes){bytes.data, size});
            rule_decode(&cursor, &again);
            assert_true(cursor.bad);
        }
        sink_free(&bytes);
    }
    struct cursor overflow = cursor_init(BYTES("\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x02\x00"));
    struct rule refused;
    rule_decode(&overflow, &refused); /* limit INT64_MAX, capacity one more */
    assert_true(overflow.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_read_as_they_are_written),
        cmocka_unit_test(rules_survive_their_bytes_and_others_are_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

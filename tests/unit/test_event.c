/* Events as bytes: each reads back, whole or not at all; a name and a level of each type; ids in their order. */
#include "quota/account/event.h"
#include "scenario.h"
#include "tools.h"

static struct logged_event full_event(enum event_type type)
{
    struct logged_event event = {.type = type, .time_us = 1738335600000999};
    for (uint32_t field = 0; field < EVENT_NUMBERS; field++)
        event_set_number(&event, field, -7 + (int64_t)field * 1000);
    for (uint32_t field = EVENT_NUMBERS; field < EVENT_FIELDS_COUNT; field++)
        event_set_text(&event, field, BYTES("word"));
    return event;
}

static bool decodes_to_itself(struct bytes bytes, struct logged_event *event)
{
    if (!event_decode(bytes, event)) return false;
    struct sink again = {0};
    event_encode(event, &again);
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    sink_free(&again);
    return true;
}

static void every_type_reads_back(void **state)
{
    (void)state;
    for (int type = 1; type < EVENT_TYPES_END; type++) {
        struct logged_event event = full_event((enum event_type)type), again;
        struct sink bytes = {0};
        event_encode(&event, &bytes);
        assert_true(decodes_to_itself(sink_content(&bytes), &again));
        assert_int_equal(again.type, type);
        assert_int_equal(again.fields, event.fields);
        assert_int_equal(again.time_us, 1738335600000000); /* whole ms */
        assert_memory_equal(again.numbers, event.numbers, sizeof(event.numbers));
        for (size_t size = 0; size < bytes.size; size++)
            assert_false(decodes_to_itself((struct bytes){bytes.data, size}, &again));
        for (size_t place = 0; place < bytes.size; place++) {
            for (int value = 1; value < 256; value++) {
                bytes.data[place] = (char)(bytes.data[place] ^ value);
                decodes_to_itself(sink_content(&bytes), &again);
                bytes.data[place] = (char)(bytes.data[place] ^ value);
            }
        }
        sink_free(&bytes);
    }
}

static void every_type_has_a_name_and_a_level(void **state)
{
    (void)state;
    for (int type = 1; type < EVENT_TYPES_END; type++) {
        const char *name = event_type_name((enum event_type)type);
        assert_non_null(name);
        for (int other = 1; other < type; other++) {
            assert_string_not_equal(name, event_type_name((enum event_type)other));
        }
        assert_false(event_is_made((enum event_type)type, EVENTS_NONE));
        assert_true(event_is_made((enum event_type)type, EVENTS_USAGE));
    }
    assert_true(event_is_made(LOGGED_USAGE_SET, EVENTS_ADMIN));
    assert_false(event_is_made(LOGGED_LIMIT_WARNED, EVENTS_ADMIN));
    assert_true(event_is_made(LOGGED_LIMIT_WARNED, EVENTS_ALL));
    assert_false(event_is_made(LOGGED_USAGE_CONSUMED, EVENTS_ALL));
}

/* What most events have takes few bytes beside names. */
static void an_event_is_short(void **state)
{
    (void)state;
    struct logged_event event = {.type = LOGGED_LIMIT_EXHAUSTED, .time_us = 1738335600000000};
    struct sink bytes = {0};
    for (uint32_t field = EVENT_RULE; field <= EVENT_REMAINING; field++) event_set_number(&event, field, 1);
    event_set_number(&event, EVENT_START, 1738335600000);
    event_set_number(&event, EVENT_END, 1740754800000);
    event_set_number(&event, EVENT_LIMIT, 1000000);
    event_set_text(&event, EVENT_PLAN, BYTES("professional"));
    event_set_text(&event, EVENT_RESOURCE, BYTES("api_calls"));
    event_encode(&event, &bytes);
    assert_in_range(bytes.size, 1, 60);
    sink_free(&bytes);
}

static void a_sink_takes_what_its_level_says(void **state)
{
    (void)state;
    static const uint32_t counts[EVENT_LEVELS_COUNT] = {0, 1, 2, 3};
    for (int level = 0; level < EVENT_LEVELS_COUNT; level++) {
        struct event_sink sink = {.level = (enum event_level)level};
        static const enum event_type types[] = {LOGGED_USAGE_SET, LOGGED_LIMIT_WARNED, LOGGED_USAGE_CONSUMED};
        for (size_t i = 0; i < COUNT_OF(types); i++) {
            struct logged_event event = full_event(types[i]);
            event_sink_add(&sink, &event);
        }
        assert_int_equal(sink.count, counts[level]);
        assert_int_equal(sink.events.size > 0, level > 0);
        sink_free(&sink.events);
    }
}

static void ids_stand_in_their_order(void **state)
{
    (void)state;
    static const struct event_id ids[] = {{0, 0}, {1, 1}, {1, 2}, {1, 900}, {2, 3}, {2, 4}, {3, 5}};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        for (size_t k = 0; k < COUNT_OF(ids); k++)
            assert_int_equal(event_id_compare(ids[i], ids[k]), (i > k) - (i < k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reads_back),    cmocka_unit_test(every_type_has_a_name_and_a_level),
        cmocka_unit_test(an_event_is_short),        cmocka_unit_test(a_sink_takes_what_its_level_says),
        cmocka_unit_test(ids_stand_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

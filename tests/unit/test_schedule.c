/* Schedule entries: their texts, days and nights, and the two nights of the year on which clocks are turned.
 *
 * Zones are made here from their yearly rule (a TZif file of one type and a footer); the same rows run on the
 * installed files too, if there are any. The slow model marks all minutes of a week, one by one. */
#include "quota/time/calendar.h"
#include "quota/time/duration.h"
#include "quota/time/schedule.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools.h"
#include <cmocka.h>

#define SEED UINT64_C(20250330)

static struct bytes string_bytes(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static const char *text_of(int64_t instant_us)
{
    static char text[RFC3339_SIZE];
    instant_to_rfc3339(instant_us, text);
    return text;
}

/* ---- zones --------------------------------------------------------------------------------------------- */

enum { BERLIN, NEW_YORK, LORD_HOWE, UTC, ZONES_COUNT };

static const struct {
    const char *name, *footer;
} zone_rows[ZONES_COUNT] = {
    [BERLIN] = {"Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"},
    [NEW_YORK] = {"America/New_York", "EST5EDT,M3.2.0,M11.1.0"},
    [LORD_HOWE] = {"Australia/Lord_Howe", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"}, /* half an hour */
    [UTC] = {"UTC", "UTC0"},
};

static const struct zone *zones[ZONES_COUNT];

/* One block without anything, one with one type, then the footer. */
static const struct zone *zone_from_footer(const char *footer)
{
    uint8_t bytes[512] = {0};
    size_t size = 0;
    for (int block = 0; block < 2; block++) {
        memcpy(bytes + size, "TZif2", 5);
        bytes[size + 39] = 1; /* types */
        bytes[size + 43] = 4; /* bytes of abbreviations */
        size += 44 + 6;       /* the type: offset 0 until the rule's first turn, years before 1970 */
        memcpy(bytes + size, "LMT", 4);
        size += 4;
    }
    size += (size_t)sprintf((char *)bytes + size, "\n%s\n", footer);
    const struct zone *zone = NULL;
    enum zone_fault fault = zone_parse(bytes, size, &zone);
    if (fault) fail_msg("%s: %s", footer, zone_fault_text(fault));
    return zone;
}

static int set_up(void **state)
{
    (void)state;
    random_begin(SEED);
    for (int i = 0; i < ZONES_COUNT; i++) zones[i] = zone_from_footer(zone_rows[i].footer);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < ZONES_COUNT; i++) zone_free(zones[i]);
    return 0;
}

/* Counts how often it is called. */
static const struct zone *find_zone(struct bytes name, void *context)
{
    int *calls = context;
    if (calls) ++*calls;
    for (int i = 0; i < ZONES_COUNT; i++) {
        if (bytes_equal(name, string_bytes(zone_rows[i].name))) return zones[i];
    }
    return NULL;
}

static struct schedule entry_of(const char *zone, const char *days, const char *times)
{
    struct schedule entry = {0};
    assert_true(schedule_set_zone(&entry, string_bytes(zone)));
    if (!schedule_parse_days(string_bytes(days), &entry.days)) fail_msg("not days: %s", days);
    if (!schedule_parse_times(string_bytes(times), &entry.from_minutes, &entry.to_minutes)) fail_msg("%s", times);
    assert_true(schedule_valid(&entry));
    return entry;
}

/* ---- texts --------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *text;
    unsigned days; /* Monday is bit 0; 0 = refused */
    const char *canonical;
} days_rows[] = {
    {"mon", 0x01, "mon"}, {"sun", 0x40, "sun"}, {"mon-fri", 0x1f, "mon-fri"}, {"sat,sun", 0x60, "sat,sun"},
    {"daily", 0x7f, "daily"}, {"mon,wed-fri", 0x1d, "mon,wed-fri"}, {"mon-sun", 0x7f, "daily"},
    /* case, order, repetition, runs of two and of one */
    {"Mon-FRI", 0x1f, "mon-fri"}, {"DAILY", 0x7f, "daily"}, {"sun,mon", 0x41, "mon,sun"},
    {"mon,mon-tue", 0x03, "mon,tue"},
    {"tue-tue", 0x02, "tue"}, {"mon,tue,wed", 0x07, "mon-wed"}, {"fri,mon-tue,wed", 0x17, "mon-wed,fri"},
    {"mon,wed,fri,sun", 0x55, "mon,wed,fri,sun"},
    /* over the weekend */
    {"fri-mon", 0x71, "mon,fri-sun"}, {"sun-sat", 0x7f, "daily"}, {"sat-mon", 0x61, "mon,sat,sun"},
    /* anything else */
    {"", 0, NULL}, {",", 0, NULL}, {"mon,", 0, NULL}, {",mon", 0, NULL}, {"mon,,tue", 0, NULL}, {"mo", 0, NULL},
    {"monday", 0, NULL}, {"mon-", 0, NULL}, {"-mon", 0, NULL}, {"mon-fri-sun", 0, NULL}, {"mon tue", 0, NULL},
    {"mon, tue", 0, NULL}, {"mon;tue", 0, NULL}, {"mon_fri", 0, NULL}, {"xyz", 0, NULL}, {"daily,mon", 0, NULL},
    {"mon,daily", 0, NULL}, {"mon-xyz", 0, NULL}, {"1-5", 0, NULL}, {"0", 0, NULL},
};

static const struct {
    const char *text;
    int from_minutes, to_minutes; /* -1 = refused */
    const char *canonical;
} times_rows[] = {
    {"09:00-17:30", 540, 1050, "09:00-17:30"}, {"00:00-24:00", 0, 1440, "00:00-24:00"},
    {"00:00-00:01", 0, 1, "00:00-00:01"}, {"23:59-24:00", 1439, 1440, "23:59-24:00"},
    /* past midnight; midnight itself; 24 hours */
    {"22:00-02:00", 1320, 120, "22:00-02:00"}, {"22:00-00:00", 1320, 1440, "22:00-24:00"},
    {"00:00-00:00", 0, 1440, "00:00-24:00"}, {"09:00-09:00", 540, 540, "09:00-09:00"},
    /* anything else */
    {"", -1, 0, NULL}, {"09:00", -1, 0, NULL}, {"9:00-17:00", -1, 0, NULL}, {"09:00-17:0", -1, 0, NULL},
    {"24:00-17:00", -1, 0, NULL}, {"09:00-24:01", -1, 0, NULL}, {"09:60-17:00", -1, 0, NULL},
    {"09:00-25:00", -1, 0, NULL},
    {"09.00-17.00", -1, 0, NULL}, {"09:00 17:00", -1, 0, NULL}, {"09:00-17:00 ", -1, 0, NULL},
    {"0a:00-17:00", -1, 0, NULL},
    {"09:00-17:00:00", -1, 0, NULL}, {"-9:00-17:00", -1, 0, NULL}, {"09:00--7:00", -1, 0, NULL},
};
/* clang-format on */

static void days_are_read_and_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(days_rows); i++) {
        uint8_t days = 0xee;
        char text[64];
        struct sink sink = sink_init(text, sizeof(text));
        bool read = schedule_parse_days(string_bytes(days_rows[i].text), &days);
        if (read != (days_rows[i].days != 0)) fail_msg("%s", days_rows[i].text);
        assert_int_equal(days, read ? days_rows[i].days : 0xee);
        if (!read) continue;
        schedule_write_days(days, &sink);
        sink_byte(&sink, '\0');
        assert_string_equal(text, days_rows[i].canonical);
    }
    for (unsigned days = 1; days <= SCHEDULE_DAYS_ALL; days++) { /* all of them come back */
        char text[64];
        uint8_t again;
        struct sink sink = sink_init(text, sizeof(text));
        schedule_write_days((uint8_t)days, &sink);
        assert_true(schedule_parse_days((struct bytes){sink.data, sink.size}, &again));
        assert_int_equal(again, days);
        assert_false(sink.on_heap);
    }
}

static void times_are_read_and_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(times_rows); i++) {
        uint16_t from = 7777, to = 7777;
        char text[64];
        struct sink sink = sink_init(text, sizeof(text));
        bool read = schedule_parse_times(string_bytes(times_rows[i].text), &from, &to);
        if (read != (times_rows[i].from_minutes >= 0)) fail_msg("%s", times_rows[i].text);
        assert_int_equal(from, read ? times_rows[i].from_minutes : 7777);
        assert_int_equal(to, read ? times_rows[i].to_minutes : 7777);
        if (!read) continue;
        schedule_write_times(from, to, &sink);
        sink_byte(&sink, '\0');
        assert_string_equal(text, times_rows[i].canonical);
    }
}

static void only_entries_within_their_ranges_are_valid(void **state)
{
    (void)state;
    struct schedule good = entry_of("Europe/Berlin", "mon-fri", "09:00-17:00"), entry = good;
    assert_false(schedule_set_zone(&entry, BYTES("../etc/passwd")));
    assert_memory_equal(&entry, &good, sizeof(good));
    assert_true(schedule_set_zone(&entry, BYTES("UTC"))); /* nothing of the longer name stays */
    assert_true(schedule_valid(&entry));
    static const struct {
        unsigned zone_size, days, from_minutes, to_minutes;
    } rows[] = {
        {0, 1, 0, 1},     /* no zone */
        {3, 1, 0, 1},     /* bytes behind the zone's name */
        {14, 1, 0, 1},    /* a NUL in it */
        {65, 1, 0, 1},    /* longer than its room */
        {13, 0, 0, 1},    /* never */
        {13, 0x80, 0, 1}, /* an eighth day */
        {13, 1, 1440, 1}, /* times out of the day */
        {13, 1, 0, 0},    {13, 1, 0, 1441},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        entry = good;
        entry.zone_size = (uint8_t)rows[i].zone_size;
        entry.days = (uint8_t)rows[i].days;
        entry.from_minutes = (uint16_t)rows[i].from_minutes;
        entry.to_minutes = (uint16_t)rows[i].to_minutes;
        if (schedule_valid(&entry)) fail_msg("row %zu", i);
    }
}

/* ---- days, nights, DST --------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    int zone;
    const char *days, *times, *instant;
    bool covered;
} covers_rows[] = {
    /* a working day in Berlin, winter: half-open */
    {BERLIN, "mon-fri", "09:00-17:30", "2025-01-31T07:59:59.999999Z", false}, /* a Friday */
    {BERLIN, "mon-fri", "09:00-17:30", "2025-01-31T08:00:00Z", true},
    {BERLIN, "mon-fri", "09:00-17:30", "2025-01-31T16:29:59.999999Z", true},
    {BERLIN, "mon-fri", "09:00-17:30", "2025-01-31T16:30:00Z", false},
    {BERLIN, "mon-fri", "09:00-17:30", "2025-02-01T12:00:00Z", false}, /* Saturday */
    /* and in summer, an hour earlier in UTC */
    {BERLIN, "mon-fri", "09:00-17:30", "2025-07-01T06:59:59Z", false},
    {BERLIN, "mon-fri", "09:00-17:30", "2025-07-01T07:00:00Z", true},
    {BERLIN, "mon-fri", "09:00-17:30", "2025-07-01T15:30:00Z", false},
    /* the day is the zone's: Monday 00:30 in Berlin is Sunday 23:30 UTC, and Sunday 18:30 in New York */
    {BERLIN, "mon", "00:00-01:00", "2025-02-02T23:30:00Z", true},
    {BERLIN, "sun", "00:00-24:00", "2025-02-02T23:30:00Z", false},
    {NEW_YORK, "sun", "18:00-19:00", "2025-02-02T23:30:00Z", true},
    {UTC, "sun", "23:00-24:00", "2025-02-02T23:30:00Z", true},
    /* past midnight: it belongs to the day it began */
    {UTC, "fri", "22:00-02:00", "2025-01-31T21:59:59Z", false},
    {UTC, "fri", "22:00-02:00", "2025-01-31T22:00:00Z", true},
    {UTC, "fri", "22:00-02:00", "2025-01-31T23:59:59.999999Z", true},
    {UTC, "fri", "22:00-02:00", "2025-02-01T00:00:00Z", true},
    {UTC, "fri", "22:00-02:00", "2025-02-01T01:59:59.999999Z", true},
    {UTC, "fri", "22:00-02:00", "2025-02-01T02:00:00Z", false},
    {UTC, "fri", "22:00-02:00", "2025-01-31T01:00:00Z", false},
    {UTC, "sat", "22:00-02:00", "2025-02-01T01:00:00Z", false},
    {UTC, "sun", "22:00-02:00", "2025-02-03T01:00:00Z", true}, /* over the week's end */
    /* 24 hours from nine to nine; all day; until midnight */
    {UTC, "fri", "09:00-09:00", "2025-01-31T08:59:59Z", false},
    {UTC, "fri", "09:00-09:00", "2025-01-31T09:00:00Z", true},
    {UTC, "fri", "09:00-09:00", "2025-02-01T08:59:59Z", true},
    {UTC, "fri", "09:00-09:00", "2025-02-01T09:00:00Z", false},
    {UTC, "fri", "00:00-24:00", "2025-01-31T00:00:00Z", true},
    {UTC, "fri", "00:00-24:00", "2025-02-01T00:00:00Z", false},
    {UTC, "fri", "22:00-24:00", "2025-02-01T00:00:00Z", false},
    /* Berlin, spring: 02:00-03:00 does not occur; an entry that spans it is an hour shorter */
    {BERLIN, "sun", "02:00-03:00", "2025-03-30T00:59:59.999999Z", false},
    {BERLIN, "sun", "02:00-03:00", "2025-03-30T01:00:00Z", false},
    {BERLIN, "sun", "02:30-03:30", "2025-03-30T00:59:59Z", false},
    {BERLIN, "sun", "02:30-03:30", "2025-03-30T01:00:00Z", true},
    {BERLIN, "sun", "02:30-03:30", "2025-03-30T01:29:59Z", true},
    {BERLIN, "sun", "02:30-03:30", "2025-03-30T01:30:00Z", false},
    {BERLIN, "sat", "22:00-02:30", "2025-03-30T00:59:59Z", true},
    {BERLIN, "sat", "22:00-02:30", "2025-03-30T01:00:00Z", false},
    /* Berlin, autumn: 02:00-03:00 occurs twice */
    {BERLIN, "sun", "02:00-03:00", "2025-10-25T23:59:59.999999Z", false},
    {BERLIN, "sun", "02:00-03:00", "2025-10-26T00:00:00Z", true},
    {BERLIN, "sun", "02:00-03:00", "2025-10-26T00:59:59Z", true},
    {BERLIN, "sun", "02:00-03:00", "2025-10-26T01:00:00Z", true},
    {BERLIN, "sun", "02:00-03:00", "2025-10-26T01:59:59Z", true},
    {BERLIN, "sun", "02:00-03:00", "2025-10-26T02:00:00Z", false},
    {BERLIN, "sun", "02:00-02:30", "2025-10-26T00:29:59Z", true},
    {BERLIN, "sun", "02:00-02:30", "2025-10-26T00:30:00Z", false},
    {BERLIN, "sun", "02:00-02:30", "2025-10-26T01:00:00Z", true},
    {BERLIN, "sun", "02:00-02:30", "2025-10-26T01:30:00Z", false},
    /* New York: 2025-03-09 02:00 EST, 2025-11-02 02:00 EDT */
    {NEW_YORK, "sun", "02:00-03:00", "2025-03-09T06:59:59.999999Z", false},
    {NEW_YORK, "sun", "02:00-03:00", "2025-03-09T07:00:00Z", false},
    {NEW_YORK, "sun", "01:00-02:00", "2025-03-09T06:59:59Z", true},
    {NEW_YORK, "sun", "03:00-04:00", "2025-03-09T07:00:00Z", true},
    {NEW_YORK, "sun", "01:00-02:00", "2025-11-02T04:59:59Z", false},
    {NEW_YORK, "sun", "01:00-02:00", "2025-11-02T05:00:00Z", true},
    {NEW_YORK, "sun", "01:00-02:00", "2025-11-02T06:59:59Z", true},
    {NEW_YORK, "sun", "01:00-02:00", "2025-11-02T07:00:00Z", false},
    {NEW_YORK, "sun", "02:00-03:00", "2025-11-02T07:00:00Z", true},
    {NEW_YORK, "sun", "02:00-03:00", "2025-11-02T08:00:00Z", false},
    /* Lord Howe turns by half an hour: 2025-04-06 02:00 (+11) becomes 01:30 */
    {LORD_HOWE, "sun", "01:30-02:00", "2025-04-05T14:30:00Z", true},
    {LORD_HOWE, "sun", "01:30-02:00", "2025-04-05T15:29:59Z", true},
    {LORD_HOWE, "sun", "01:30-02:00", "2025-04-05T15:30:00Z", false},
    /* before 1970 */
    {UTC, "wed", "23:00-24:00", "1969-12-31T23:59:59.999999Z", true},
    {UTC, "thu", "00:00-01:00", "1970-01-01T00:00:00Z", true},
};
/* clang-format on */

static void the_wall_clock_decides(void **state)
{
    (void)state;
    const struct zone *installed[ZONES_COUNT];
    int found = 0;
    for (int i = 0; i < ZONES_COUNT; i++) {
        installed[i] = zone_installed(zone_rows[i].name);
        found += installed[i] != NULL;
    }
    for (size_t i = 0; i < COUNT_OF(covers_rows); i++) {
        const struct zone *both[] = {zones[covers_rows[i].zone], installed[covers_rows[i].zone]};
        for (size_t k = 0; k < COUNT_OF(both) && both[k]; k++) {
            struct schedule entry = entry_of("UTC", covers_rows[i].days, covers_rows[i].times);
            int64_t local_us = zone_local_from_instant(both[k], at(covers_rows[i].instant));
            if (schedule_covers(&entry, local_us) != covers_rows[i].covered) {
                fail_msg("%s %s at %s", covers_rows[i].days, covers_rows[i].times, covers_rows[i].instant);
            }
        }
    }
    for (int i = 0; i < ZONES_COUNT; i++) zone_free(installed[i]);
    print_message("%d installed zones\n", found);
}

static void the_first_entry_that_matches_is_the_answer(void **state)
{
    (void)state;
    const struct schedule entries[] = {
        entry_of("Mars/Olympus", "daily", "00:00-24:00"), /* unknown here: never */
        entry_of("Europe/Berlin", "sat,sun", "00:00-24:00"),    entry_of("Europe/Berlin", "daily", "22:00-06:00"),
        entry_of("America/New_York", "mon-fri", "09:00-17:00"), entry_of("Europe/Berlin", "mon-fri", "09:00-17:00"),
    };
    static const struct {
        const char *instant;
        int32_t index, calls;
    } rows[] = {
        {"2025-02-01T12:00:00Z", 1, 2}, /* Saturday; the zones behind the match are not looked up */
        {"2025-01-31T22:30:00Z", 2, 2}, /* Friday night in Berlin; one zone is looked up once in a row */
        {"2025-01-31T23:30:00Z", 1, 2}, /* Saturday 00:30 there: the first one that matches, not the best */
        {"2025-01-31T15:30:00Z", 3, 3}, /* 10:30 in New York, 16:30 in Berlin */
        {"2025-01-31T08:30:00Z", 4, 4}, {"2025-01-31T07:30:00Z", -1, 4},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int calls = 0;
        int32_t index = schedule_rules_at(entries, COUNT_OF(entries), at(rows[i].instant), find_zone, &calls);
        if (index != rows[i].index) fail_msg("%s: %d", rows[i].instant, index);
        assert_int_equal(calls, rows[i].calls);
    }
    assert_int_equal(schedule_rules_at(NULL, 0, 0, find_zone, NULL), -1);
    assert_int_equal(schedule_rules_at(entries, 1, 0, find_zone, NULL), -1);
    /* the ends of time */
    schedule_rules_at(entries, COUNT_OF(entries), INT64_MAX, find_zone, NULL);
    schedule_rules_at(entries, COUNT_OF(entries), INT64_MIN, find_zone, NULL);
}

/* ---- the model ----------------------------------------------------------------------------------------- */

#define WEEK_MINUTES (7 * SCHEDULE_MINUTES_DAY)

/* Every minute of the week that an entry covers, by walking each of its days from its beginning to its end. */
static void mark_minutes(const struct schedule *entry, bool marks[WEEK_MINUTES])
{
    memset(marks, 0, WEEK_MINUTES * sizeof(marks[0]));
    for (int day = 0; day < 7; day++) {
        if (!(entry->days >> day & 1)) continue;
        int minute = day * SCHEDULE_MINUTES_DAY + entry->from_minutes;
        int length = entry->to_minutes - entry->from_minutes;
        if (length <= 0) length += SCHEDULE_MINUTES_DAY;
        while (length-- > 0) marks[minute++ % WEEK_MINUTES] = true;
    }
}

static bool model_covers(const bool marks[WEEK_MINUTES], const struct zone *zone, int64_t instant_us)
{
    int64_t monday_us = 4 * MICROS_PER_DAY; /* 1970-01-05 */
    int64_t local_us = zone_local_from_instant(zone, instant_us) - monday_us;
    return marks[floor_mod(local_us, MICROS_PER_WEEK) / MICROS_PER_MINUTE];
}

static struct schedule random_entry(void)
{
    struct schedule entry = entry_of("UTC", "daily", "00:00-24:00");
    entry.days = (uint8_t)random_between(1, SCHEDULE_DAYS_ALL);
    if (random_between(0, 2) == 0) entry.days = (uint8_t)(1 << random_between(0, 6));
    entry.from_minutes = (uint16_t)(random_between(0, SCHEDULE_MINUTES_DAY / 15 - 1) * 15);
    entry.to_minutes = (uint16_t)(random_between(1, SCHEDULE_MINUTES_DAY / 15) * 15);
    if (random_between(0, 3) == 0) entry.to_minutes = (uint16_t)random_between(1, SCHEDULE_MINUTES_DAY);
    if (random_between(0, 3) == 0) entry.from_minutes = (uint16_t)random_between(0, SCHEDULE_MINUTES_DAY - 1);
    return entry;
}

static void every_minute_agrees_with_the_model(void **state)
{
    (void)state;
    static bool marks[WEEK_MINUTES];
    for (int round = 0; round < 300; round++) {
        struct schedule entry = random_entry();
        const struct zone *zone = zones[round % ZONES_COUNT];
        mark_minutes(&entry, marks);
        for (int i = 0; i < 3000; i++) {
            int64_t instant_us = at("2024-01-01T00:00:00Z") + random_between(0, 3 * 365 * MICROS_PER_DAY);
            bool covered = schedule_covers(&entry, zone_local_from_instant(zone, instant_us));
            if (covered != model_covers(marks, zone, instant_us)) fail_msg("%s", text_of(instant_us));
        }
    }
}

/* From any instant, and from those around which clocks are turned. */
static void changes_are_those_the_model_meets(void **state)
{
    (void)state;
    static bool marks[WEEK_MINUTES];
    static const char *const turns[] = {"2025-03-30T01:00:00Z", "2025-10-26T01:00:00Z", "2025-03-09T07:00:00Z",
                                        "2025-11-02T06:00:00Z", "2025-04-05T15:00:00Z", "2025-10-04T15:30:00Z"};
    for (int round = 0; round < 2000; round++) {
        struct schedule entry = random_entry();
        const struct zone *zone = zones[round % ZONES_COUNT];
        int64_t now_us = at(turns[random_between(0, COUNT_OF(turns) - 1)]), change_us = 0;
        now_us += random_between(-3 * MICROS_PER_DAY, MICROS_PER_DAY);
        if (round % 10 == 0) now_us -= now_us % MICROS_PER_MINUTE;
        mark_minutes(&entry, marks);
        bool covered = model_covers(marks, zone, now_us), changed = false;
        int64_t at_us = now_us - floor_mod(now_us, MICROS_PER_MINUTE);
        for (int minute = 0; minute < 13 * SCHEDULE_MINUTES_DAY && !changed; minute++) {
            at_us += MICROS_PER_MINUTE;
            changed = model_covers(marks, zone, at_us) != covered;
        }
        assert_int_equal(schedule_next_change_us(&entry, zone, now_us, &change_us), changed);
        if (changed && change_us != at_us) fail_msg("round %d: %s", round, text_of(change_us));
    }
    struct schedule always = entry_of("UTC", "daily", "00:00-24:00"), once = entry_of("UTC", "mon", "09:00-10:00");
    int64_t change_us;
    struct schedule gap = entry_of("UTC", "sun", "02:00-03:00");
    /* the Sunday between has no 02:00 */
    assert_true(schedule_next_change_us(&gap, zones[BERLIN], at("2025-03-23T02:00:00Z"), &change_us));
    assert_int_equal(change_us, at("2025-04-06T00:00:00Z"));
    change_us = 77;
    assert_false(schedule_next_change_us(&always, zones[BERLIN], at("2025-03-29T00:00:00Z"), &change_us));
    assert_false(schedule_next_change_us(&once, zones[UTC], INT64_MAX, &change_us));
    assert_false(schedule_next_change_us(&once, zones[UTC], INT64_MIN, &change_us));
    assert_int_equal(change_us, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_are_read_and_written),
        cmocka_unit_test(times_are_read_and_written),
        cmocka_unit_test(only_entries_within_their_ranges_are_valid),
        cmocka_unit_test(the_wall_clock_decides),
        cmocka_unit_test(the_first_entry_that_matches_is_the_answer),
        cmocka_unit_test(every_minute_agrees_with_the_model),
        cmocka_unit_test(changes_are_those_the_model_meets),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

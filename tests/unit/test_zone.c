/* Tests of the zone reader: files made here byte by byte or by a small builder (zone_tools.h), the installed tzdata if
 * there is one (nothing depends on it), and a slow model (zone_model.h). */
#include "quota/base/memory.h"
#include "quota/time/calendar.h"
#include "quota/time/duration.h"
#include "quota/time/zone.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "zone_model.h"
#include "zone_tools.h"
#include <cmocka.h>

#define SEED UINT64_C(20111230)

static int set_up(void **state)
{
    (void)state;
    heap_watch();
    random_begin(SEED);
    return 0;
}

static int nothing_is_left(void **state)
{
    (void)state;
    return heap_blocks();
}

/* ---- UTC and one file, byte by byte -------------------------------------------------------------------- */

static void utc_needs_no_file(void **state)
{
    (void)state;
    const int64_t instants[] = {0, 1, -1, INT64_MIN, INT64_MAX, INT64_C(1738335600000000)};
    int64_t change_us;

    for (size_t i = 0; i < COUNT_OF(instants); i++) {
        struct zone_local local = zone_resolve_local(zone_utc(), instants[i]);
        assert_int_equal(zone_offset_at(zone_utc(), instants[i]), 0);
        assert_true(zone_local_from_instant(zone_utc(), instants[i]) == instants[i]);
        assert_true(local.kind == ZONE_LOCAL_UNIQUE && local.instant_us == instants[i]);
        assert_false(zone_next_change(zone_utc(), instants[i], &change_us));
    }
    assert_true(zone_size(zone_utc()) > 0);
    zone_free(zone_utc());
    zone_free(NULL);
}

/* Two changes and a footer, as RFC 9636 B.2 shows a file: header, times, indexes, types, abbreviations,
 * flags. */
/* clang-format off */
static const uint8_t small_file[] = {
    /*  0 */ 'T', 'Z', 'i', 'f', '2', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* 20 */ 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 1,  0, 0, 0, 1,
    /* 44 */ 0, 0, 0, 0, 0, 0,                          /* the old block: one type, an empty abbreviation */
    /* 50 */ 0,
    /* 51 */ 'T', 'Z', 'i', 'f', '2', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* 71 */ 0, 0, 0, 3,                                /* UT/local flags */
             0, 0, 0, 3,                                /* standard/wall flags */
             0, 0, 0, 0,                                /* leap seconds */
             0, 0, 0, 2,                                /* changes */
             0, 0, 0, 3,                                /* types */
             0, 0, 0, 13,                               /* bytes of abbreviations */
    /* 95 */ 0xff, 0xff, 0xff, 0xff, 0x6f, 0xa2, 0x61, 0xf8, /* 1893-03-31T23:06:32Z */
             0x00, 0x00, 0x00, 0x00, 0x13, 0x4d, 0x44, 0x10, /* 1980-04-06T01:00:00Z */
    /*111 */ 1, 2,
    /*113 */ 0x00, 0x00, 0x0c, 0x88, 0, 0,               /* LMT +0:53:28 */
             0x00, 0x00, 0x0e, 0x10, 0, 4,               /* CET +1 */
             0x00, 0x00, 0x1c, 0x20, 1, 8,               /* CEST +2 */
    /*131 */ 'L', 'M', 'T', 0, 'C', 'E', 'T', 0, 'C', 'E', 'S', 'T', 0,
    /*144 */ 0, 1, 1,
    /*147 */ 0, 1, 1,
    /*150 */ '\n', 'C', 'E', 'T', '-', '1', 'C', 'E', 'S', 'T', ',',
             'M', '3', '.', '5', '.', '0', ',', 'M', '1', '0', '.', '5', '.', '0', '/', '3', '\n',
};
/* clang-format on */

static void a_small_file_is_read_as_written(void **state)
{
    (void)state;
    const struct zone *zone;
    int64_t change_us = INT64_MIN;

    assert_int_equal(parse(small_file, sizeof(small_file), &zone), ZONE_FAULT_NONE);
    /* before the first change, at it, after it */
    assert_int_equal(zone_offset_at(zone, INT64_MIN), (53 * 60 + 28) * MICROS_PER_SECOND);
    assert_true(zone_next_change(zone, change_us, &change_us));
    assert_instant(change_us, at("1893-03-31T23:06:32Z"), "first change");
    assert_int_equal(zone_offset_at(zone, change_us - 1), (53 * 60 + 28) * MICROS_PER_SECOND);
    assert_int_equal(zone_offset_at(zone, change_us), MICROS_PER_HOUR);
    /* the last change of the table, then the rule */
    assert_true(zone_next_change(zone, change_us, &change_us));
    assert_instant(change_us, at("1980-04-06T01:00:00Z"), "second change");
    assert_int_equal(zone_offset_at(zone, change_us), 2 * MICROS_PER_HOUR);
    assert_true(zone_next_change(zone, change_us, &change_us));
    assert_instant(change_us, at("1980-10-26T01:00:00Z"), "first turn of the rule");
    assert_int_equal(zone_offset_at(zone, change_us), MICROS_PER_HOUR);
    assert_true(zone_next_change(zone, at("2999-12-01T00:00:00Z"), &change_us));
    assert_instant(change_us, at("3000-03-30T01:00:00Z"), "a turn in the far future");

    compare_with_model(zone, small_file, sizeof(small_file), "small file");
    assert_true(zone_size(zone) < 512);
    zone_free(zone);
}

/* ---- local times --------------------------------------------------------------------------------------- */

/* Footers of tzdata 2025b, and a made-up one. */
#define BERLIN    "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK  "EST5EDT,M3.2.0,M11.1.0"
#define SYDNEY    "AEST-10AEDT,M10.1.0,M4.1.0/3"
#define DUBLIN    "IST-1GMT0,M10.5.0,M3.5.0/1"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
#define TROLL     "<+00>0<+02>-2,M3.5.0/1,M10.5.0/3"
#define HAVANA    "CST5CDT,M3.2.0/0,M11.1.0/1"
#define CAIRO     "EET-2EEST,M4.5.5/0,M10.5.4/24"
#define NUUK      "<-02>2<-01>,M3.5.0/-1,M10.5.0/0"
#define GAZA      "EET-2EEST,M3.4.4/50,M10.4.4/50"
#define SECONDS   "AAA-1:02:03BBB-2:03:04,J100/1:02:03,J200/4:05:06"

enum { ONCE = ZONE_LOCAL_UNIQUE, GAP = ZONE_LOCAL_GAP, TWICE = ZONE_LOCAL_OVERLAP };

/* clang-format off */
static const struct {
    const char *footer, *local;
    int kind;
    const char *instant, *other; /* other NULL: the same */
} readings[] = {
    /* Berlin, northern: the last second before the gap, its first, middle and last, the first after it */
    {BERLIN, "2025-03-30T01:59:59", ONCE, "2025-03-30T00:59:59Z", NULL},
    {BERLIN, "2025-03-30T02:00:00", GAP, "2025-03-30T01:00:00Z", "2025-03-30T00:00:00Z"},
    {BERLIN, "2025-03-30T02:30:00", GAP, "2025-03-30T01:30:00Z", "2025-03-30T00:30:00Z"},
    {BERLIN, "2025-03-30T02:59:59", GAP, "2025-03-30T01:59:59Z", "2025-03-30T00:59:59Z"},
    {BERLIN, "2025-03-30T03:00:00", ONCE, "2025-03-30T01:00:00Z", NULL},
    /* and the overlap */
    {BERLIN, "2025-10-26T01:59:59", ONCE, "2025-10-25T23:59:59Z", NULL},
    {BERLIN, "2025-10-26T02:00:00", TWICE, "2025-10-26T00:00:00Z", "2025-10-26T01:00:00Z"},
    {BERLIN, "2025-10-26T02:59:59", TWICE, "2025-10-26T00:59:59Z", "2025-10-26T01:59:59Z"},
    {BERLIN, "2025-10-26T03:00:00", ONCE, "2025-10-26T02:00:00Z", NULL},
    /* New York, west of UTC */
    {NEW_YORK, "2026-03-08T02:30:00", GAP, "2026-03-08T07:30:00Z", "2026-03-08T06:30:00Z"},
    {NEW_YORK, "2026-11-01T01:30:00", TWICE, "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"},
    {NEW_YORK, "2026-07-01T00:00:00", ONCE, "2026-07-01T04:00:00Z", NULL},
    /* Sydney, southern: summer over the turn of the year */
    {SYDNEY, "2025-10-05T02:30:00", GAP, "2025-10-04T16:30:00Z", "2025-10-04T15:30:00Z"},
    {SYDNEY, "2026-01-01T00:00:00", ONCE, "2025-12-31T13:00:00Z", NULL},
    {SYDNEY, "2026-04-05T02:30:00", TWICE, "2026-04-04T15:30:00Z", "2026-04-04T16:30:00Z"},
    {SYDNEY, "2026-06-01T00:00:00", ONCE, "2026-05-31T14:00:00Z", NULL},
    /* Dublin: summer is standard, winter is negative daylight saving */
    {DUBLIN, "2050-03-27T01:30:00", GAP, "2050-03-27T01:30:00Z", "2050-03-27T00:30:00Z"},
    {DUBLIN, "2050-07-01T00:00:00", ONCE, "2050-06-30T23:00:00Z", NULL},
    {DUBLIN, "2050-10-30T01:30:00", TWICE, "2050-10-30T00:30:00Z", "2050-10-30T01:30:00Z"},
    {DUBLIN, "2050-12-31T00:00:00", ONCE, "2050-12-31T00:00:00Z", NULL},
    /* Lord Howe: half an hour */
    {LORD_HOWE, "2025-10-05T02:15:00", GAP, "2025-10-04T15:45:00Z", "2025-10-04T15:15:00Z"},
    {LORD_HOWE, "2025-10-05T02:30:00", ONCE, "2025-10-04T15:30:00Z", NULL},
    {LORD_HOWE, "2026-04-05T01:45:00", TWICE, "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"},
    /* Troll: two hours */
    {TROLL, "2026-03-29T02:00:00", GAP, "2026-03-29T02:00:00Z", "2026-03-29T00:00:00Z"},
    {TROLL, "2026-10-25T01:00:00", TWICE, "2026-10-24T23:00:00Z", "2026-10-25T01:00:00Z"},
    /* Havana: midnight is missing in spring, comes twice in autumn */
    {HAVANA, "2026-03-08T00:00:00", GAP, "2026-03-08T05:00:00Z", "2026-03-08T04:00:00Z"},
    {HAVANA, "2026-11-01T00:00:00", TWICE, "2026-11-01T04:00:00Z", "2026-11-01T05:00:00Z"},
    /* Cairo: the last Friday at 0:00, the last Thursday at 24:00, so Friday's midnight is after it */
    {CAIRO, "2026-04-24T00:00:00", GAP, "2026-04-23T22:00:00Z", "2026-04-23T21:00:00Z"},
    {CAIRO, "2026-10-29T23:30:00", TWICE, "2026-10-29T20:30:00Z", "2026-10-29T21:30:00Z"},
    {CAIRO, "2026-10-30T00:00:00", ONCE, "2026-10-29T22:00:00Z", NULL},
    /* Nuuk: a negative time, Saturday evening before the last Sunday */
    {NUUK, "2026-03-28T23:00:00", GAP, "2026-03-29T01:00:00Z", "2026-03-29T00:00:00Z"},
    {NUUK, "2026-10-24T23:30:00", TWICE, "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
    /* Gaza: Thursday and 50 hours is Saturday at 2:00 */
    {GAZA, "2026-03-28T02:30:00", GAP, "2026-03-28T00:30:00Z", "2026-03-27T23:30:00Z"},
    {GAZA, "2026-10-24T01:30:00", TWICE, "2026-10-23T22:30:00Z", "2026-10-23T23:30:00Z"},
    /* Casablanca, El Aaiun after 2087; Kathmandu: nothing ever changes */
    {"<+01>-1", "2090-03-27T02:30:00", ONCE, "2090-03-27T01:30:00Z", NULL},
    {"<+0545>-5:45", "2026-01-01T00:00:00", ONCE, "2025-12-31T18:15:00Z", NULL},
    /* Jn never counts February 29, so J60 is March 1 in every year; n does, so 60 is only in leap
     * years */
    {"AAA0BBB,J60/0,J300/0", "2024-03-01T00:30:00", GAP, "2024-03-01T00:30:00Z", "2024-02-29T23:30:00Z"},
    {"AAA0BBB,J60/0,J300/0", "2025-03-01T00:30:00", GAP, "2025-03-01T00:30:00Z", "2025-02-28T23:30:00Z"},
    {"AAA0BBB,60/0,300/0", "2024-03-01T00:30:00", GAP, "2024-03-01T00:30:00Z", "2024-02-29T23:30:00Z"},
    {"AAA0BBB,60/0,300/0", "2025-03-02T00:30:00", GAP, "2025-03-02T00:30:00Z", "2025-03-01T23:30:00Z"},
    {"AAA0BBB,J59/0,J300/0", "2024-02-28T00:30:00", GAP, "2024-02-28T00:30:00Z", "2024-02-27T23:30:00Z"},
    /* daylight saving all year (RFC 9636 3.3.1) */
    {"XXX3EDT4,0/0,J365/23", "2026-01-01T00:00:00", ONCE, "2026-01-01T04:00:00Z", NULL},
    {"XXX3EDT4,0/0,J365/23", "2026-07-01T00:00:00", ONCE, "2026-07-01T04:00:00Z", NULL},
    {"EST5EDT,0/0,J365/25", "2027-12-31T23:30:00", ONCE, "2028-01-01T03:30:00Z", NULL},
    /* minutes and seconds everywhere */
    {SECONDS, "2026-04-10T01:02:03", GAP, "2026-04-10T00:00:00Z", "2026-04-09T22:58:59Z"},
};
/* clang-format on */

static void local_times_in_gaps_and_overlaps_follow_the_policy(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(readings); i++) {
        const struct zone *zone = parse_footer(readings[i].footer);
        struct zone_local local = zone_resolve_local(zone, at(readings[i].local));
        const char *other = readings[i].other ? readings[i].other : readings[i].instant;
        assert_instant(local.instant_us, at(readings[i].instant), readings[i].local);
        assert_instant(local.other_us, at(other), readings[i].local);
        assert_int_equal(local.kind, readings[i].kind);
        zone_free(zone);
    }
}

/* Samoa went from -10 to +14 at the end of December 29: there was no December 30. */
static void a_skipped_day_moves_to_the_next_one(void **state)
{
    (void)state;
    static const struct made_change changes[] = {{1316872800, -10 * HOUR_S}, {1325239200, 14 * HOUR_S}};
    static struct file file;
    make_file(&file, '2', -11 * HOUR_S, changes, COUNT_OF(changes), "");
    const struct zone *zone = parse_file(&file);
    struct zone_local local = zone_resolve_local(zone, at("2011-12-30T00:00:00"));

    /* the whole day is a gap; its midnight becomes the next one, which makes its cycle empty */
    assert_int_equal(local.kind, ZONE_LOCAL_GAP);
    assert_instant(local.instant_us, at("2011-12-30T10:00:00Z"), "Dec 30");
    assert_instant(local.other_us, at("2011-12-29T10:00:00Z"), "Dec 30 counted from after");
    local = zone_resolve_local(zone, at("2011-12-31T00:00:00"));
    assert_int_equal(local.kind, ZONE_LOCAL_UNIQUE);
    assert_instant(local.instant_us, at("2011-12-30T10:00:00Z"), "Dec 31");
    /* around it */
    local = zone_resolve_local(zone, at("2011-12-29T23:59:59"));
    assert_int_equal(local.kind, ZONE_LOCAL_UNIQUE);
    assert_instant(local.instant_us, at("2011-12-30T09:59:59Z"), "the last second of Dec 29");
    local = zone_resolve_local(zone, at("2011-12-30T23:59:59"));
    assert_int_equal(local.kind, ZONE_LOCAL_GAP);
    assert_instant(local.instant_us, at("2011-12-31T09:59:59Z"), "the last second of Dec 30");
    zone_free(zone);
}

/* Kwajalein went from +11 to -12 in 1969: almost a day came twice. */
static void a_repeated_day_counts_the_first_time(void **state)
{
    (void)state;
    static const struct made_change changes[] = {{-7988400, -12 * HOUR_S}};
    static struct file file;
    make_file(&file, '2', 11 * HOUR_S, changes, COUNT_OF(changes), "");
    const struct zone *zone = parse_file(&file);
    struct zone_local local = zone_resolve_local(zone, at("1969-09-30T12:00:00"));

    assert_int_equal(local.kind, ZONE_LOCAL_OVERLAP);
    assert_instant(local.instant_us, at("1969-09-30T01:00:00Z"), "first");
    assert_instant(local.other_us, at("1969-10-01T00:00:00Z"), "second");
    zone_free(zone);
}

/* ---- what files may say -------------------------------------------------------------------------------- */

static void a_version_1_file_ends_with_its_last_change(void **state)
{
    (void)state;
    static const struct made_change changes[] = {{-1000000000, HOUR_S}, {1000000000, 2 * HOUR_S}};
    static struct file file;
    const struct zone *zone;

    file.size = 0;
    put_block(&file, 0, 4, 1800, changes, COUNT_OF(changes));
    zone = parse_file(&file);
    assert_int_equal(zone_offset_at(zone, INT64_MIN), 1800 * MICROS_PER_SECOND);
    assert_int_equal(zone_offset_at(zone, -1000000000 * MICROS_PER_SECOND), MICROS_PER_HOUR);
    assert_int_equal(zone_offset_at(zone, INT64_MAX), 2 * MICROS_PER_HOUR);
    compare_with_model(zone, file.bytes, file.size, "version 1");
    zone_free(zone);

    /* a footer has no place in it */
    put_text(&file, "\n<+02>-2\n");
    assert_int_equal(parse(file.bytes, file.size, &zone), ZONE_FAULT_TRAILING);
    assert_null(zone);
}

static void versions_2_to_9_are_read_alike_and_others_refused(void **state)
{
    (void)state;
    static const struct made_change changes[] = {{0, HOUR_S}};
    static struct file file;

    for (int version = 1; version < 256; version++) {
        const struct zone *zone;
        make_file(&file, version, 0, changes, 1, "<+01>-1");
        bool known = version >= '2' && version <= '9';
        assert_int_equal(parse(file.bytes, file.size, &zone), known ? ZONE_FAULT_NONE : ZONE_FAULT_VERSION);
        zone_free(zone);
    }
    /* both parts say the same */
    const struct zone *zone;
    make_file(&file, '2', 0, changes, 1, "<+01>-1");
    file.bytes[4] = '3';
    assert_int_equal(parse(file.bytes, file.size, &zone), ZONE_FAULT_VERSION);
}

/* RFC 9636 lets a reader pass over the 32-bit data, so it may say anything that has a size. */
static void the_old_block_is_only_measured(void **state)
{
    (void)state;
    static struct file file;
    static const struct made_change nonsense[] = {{500, 1 << 30}, {400, -(1 << 30)}};
    static const struct made_change changes[] = {{0, HOUR_S}};

    file.size = 0;
    put_block(&file, '2', 4, 12345, nonsense, 2);
    put_block(&file, '2', 8, 0, changes, 1);
    put_text(&file, "\n\n");
    const struct zone *zone = parse_file(&file);
    assert_int_equal(zone_offset_at(zone, 0), MICROS_PER_HOUR);
    assert_int_equal(zone_offset_at(zone, -1), 0);
    zone_free(zone);
}

static void without_changes_the_footer_speaks_for_all_time(void **state)
{
    (void)state;
    static struct file file;
    int64_t change_us = INT64_MIN;

    /* type 0 says +5, the footer +1 */
    make_file(&file, '2', 5 * HOUR_S, NULL, 0, "CET-1");
    const struct zone *zone = parse_file(&file);
    assert_int_equal(zone_offset_at(zone, INT64_MIN), MICROS_PER_HOUR);
    assert_int_equal(zone_offset_at(zone, INT64_MAX), MICROS_PER_HOUR);
    assert_false(zone_next_change(zone, change_us, &change_us));
    zone_free(zone);

    /* a rule that has always been in force */
    zone = parse_footer(BERLIN);
    assert_int_equal(zone_offset_at(zone, at("1000-07-01T00:00:00Z")), 2 * MICROS_PER_HOUR);
    assert_int_equal(zone_offset_at(zone, at("1000-01-01T00:00:00Z")), MICROS_PER_HOUR);
    zone_free(zone);

    /* an empty footer: type 0 */
    make_file(&file, '2', 5 * HOUR_S, NULL, 0, "");
    zone = parse_file(&file);
    assert_int_equal(zone_offset_at(zone, 0), 5 * MICROS_PER_HOUR);
    zone_free(zone);
}

static void an_empty_footer_keeps_the_last_offset(void **state)
{
    (void)state;
    static const struct made_change changes[] = {{0, HOUR_S}, {1000, 2 * HOUR_S}};
    static struct file file;
    make_file(&file, '2', 0, changes, COUNT_OF(changes), "");
    const struct zone *zone = parse_file(&file);
    int64_t change_us;

    assert_int_equal(zone_offset_at(zone, INT64_MAX), 2 * MICROS_PER_HOUR);
    assert_false(zone_next_change(zone, 1000 * MICROS_PER_SECOND, &change_us));
    zone_free(zone);
}

/* Files of "zic -b fat" begin with a change at -2^59 s, long before an int64 of us. */
static void changes_out_of_reach_leave_only_their_offset(void **state)
{
    (void)state;
    static struct file file;
    static const struct made_change early[] = {
        {-(INT64_C(1) << 59), HOUR_S}, {INT64_MIN / MICROS_PER_SECOND - 1, 2 * HOUR_S}, {0, 3 * HOUR_S}};
    static const struct made_change late[] = {{0, HOUR_S}, {INT64_MAX / MICROS_PER_SECOND + 1, 2 * HOUR_S}};
    int64_t change_us = INT64_MIN;

    make_file(&file, '2', 0, early, COUNT_OF(early), "<+03>-3");
    const struct zone *zone = parse_file(&file);
    assert_int_equal(zone_offset_at(zone, INT64_MIN), 2 * MICROS_PER_HOUR);
    assert_true(zone_next_change(zone, change_us, &change_us));
    assert_int_equal(change_us, 0);
    zone_free(zone);

    /* only such changes: the footer speaks for all time */
    make_file(&file, '2', 0, early, 2, BERLIN);
    zone = parse_file(&file);
    assert_int_equal(zone_offset_at(zone, at("1000-01-01T00:00:00Z")), MICROS_PER_HOUR);
    zone_free(zone);

    /* a last change that never comes, and so no footer */
    make_file(&file, '2', 0, late, COUNT_OF(late), "<+02>-2");
    zone = parse_file(&file);
    assert_int_equal(zone_offset_at(zone, INT64_MAX), MICROS_PER_HOUR);
    assert_false(zone_next_change(zone, 0, &change_us));
    zone_free(zone);
}

static void changes_of_name_only_are_no_changes(void **state)
{
    (void)state;
    static const struct made_change changes[] = {{0, HOUR_S}, {1000, HOUR_S}, {2000, HOUR_S}, {3000, 0}};
    static struct file file;
    make_file(&file, '2', 0, changes, COUNT_OF(changes), "AAA0");
    const struct zone *zone = parse_file(&file);
    int64_t change_us;

    assert_true(zone_next_change(zone, 0, &change_us));
    assert_int_equal(change_us, 3000 * MICROS_PER_SECOND);
    assert_int_equal(zone_resolve_local(zone, (1000 + HOUR_S) * MICROS_PER_SECOND).kind, ZONE_LOCAL_OVERLAP);
    compare_with_model(zone, file.bytes, file.size, "changes of name");
    zone_free(zone);
}

/* The slim America/Ojinaga of some zic: standard time came back on October 30, 2022, but by the footer that
 * holds from then on daylight saving lasts until November 6. */
static void a_footer_ahead_of_its_time_waits_for_its_next_turn(void **state)
{
    (void)state;
    static const struct made_change changes[] = {{1647162000, -6 * HOUR_S}, {1667116800, -6 * HOUR_S}};
    static const struct made_change foreign[] = {{1667116800, -8 * HOUR_S}};
    static struct file file;
    make_file(&file, '2', -7 * HOUR_S, changes, COUNT_OF(changes), "CST6CDT,M3.2.0,M11.1.0");
    const struct zone *zone = parse_file(&file);
    int64_t change_us;

    assert_int_equal(zone_offset_at(zone, at("2022-11-01T00:00:00Z")), -6 * MICROS_PER_HOUR);
    assert_true(zone_next_change(zone, at("2022-11-01T00:00:00Z"), &change_us));
    assert_instant(change_us, at("2023-03-12T08:00:00Z"), "the next change");
    compare_with_model(zone, file.bytes, file.size, "Ojinaga");
    zone_free(zone);

    /* an offset the rule does not know at all is a contradiction */
    make_file(&file, '2', -7 * HOUR_S, foreign, 1, "CST6CDT,M3.2.0,M11.1.0");
    assert_int_equal(parse(file.bytes, file.size, &zone), ZONE_FAULT_CONFLICT);
    make_file(&file, '2', -7 * HOUR_S, foreign, 1, "CST6");
    assert_int_equal(parse(file.bytes, file.size, &zone), ZONE_FAULT_CONFLICT);
}

/* ---- what files may not say ---------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    size_t at;
    uint8_t byte;
    enum zone_fault fault;
} wrong_bytes[] = {
    /* magic of either part, version */
    {0, 't', ZONE_FAULT_MAGIC},
    {54, 'F', ZONE_FAULT_MAGIC},
    {4, 'x', ZONE_FAULT_VERSION},
    {4, '0', ZONE_FAULT_VERSION},
    {55, '3', ZONE_FAULT_VERSION},
    /* counts of flags: not 0 and not as many as types */
    {74, 2, ZONE_FAULT_COUNTS},
    {78, 4, ZONE_FAULT_COUNTS},
    /* counts beyond the file */
    {71, 0xff, ZONE_FAULT_TRUNCATED},
    {79, 0xff, ZONE_FAULT_TRUNCATED},
    {83, 0xff, ZONE_FAULT_TRUNCATED},
    {87, 0xff, ZONE_FAULT_TRUNCATED},
    {91, 0x7f, ZONE_FAULT_TRUNCATED},
    {32, 0xff, ZONE_FAULT_TRUNCATED},
    /* leap seconds: 12 bytes of the footer taken for one */
    {82, 1, ZONE_FAULT_LEAPS},
    /* the second change before the first, a type that is not there */
    {103, 0x80, ZONE_FAULT_ORDER},
    {112, 3, ZONE_FAULT_TYPE},
    {111, 0xff, ZONE_FAULT_TYPE},
    /* offset +25:59:59 fits, +26:00:00 does not */
    {114, 2, ZONE_FAULT_OFFSET},
    {113, 0x80, ZONE_FAULT_OFFSET},
    /* the daylight flag, the flags behind */
    {117, 2, ZONE_FAULT_TYPE},
    {144, 2, ZONE_FAULT_TYPE},
    {149, 0xff, ZONE_FAULT_TYPE},
    /* an abbreviation behind the last, or without an end */
    {130, 13, ZONE_FAULT_DESIGNATION},
    {143, 'T', ZONE_FAULT_DESIGNATION},
    /* newlines of the footer */
    {150, ' ', ZONE_FAULT_FOOTER},
    {177, '0', ZONE_FAULT_FOOTER},
    {155, '\n', ZONE_FAULT_TRAILING},
    /* a NUL in it; an offset that is not the last change's */
    {160, 0, ZONE_FAULT_FOOTER},
    {155, '4', ZONE_FAULT_CONFLICT},
};
/* clang-format on */

static void wrong_bytes_are_named(void **state)
{
    (void)state;
    assert_int_equal(sizeof(small_file), 178);
    for (size_t i = 0; i < COUNT_OF(wrong_bytes); i++) {
        uint8_t bytes[sizeof(small_file)];
        const struct zone *zone;
        memcpy(bytes, small_file, sizeof(bytes));
        bytes[wrong_bytes[i].at] = wrong_bytes[i].byte;
        enum zone_fault fault = parse(bytes, sizeof(bytes), &zone);
        if (fault != wrong_bytes[i].fault) {
            fail_msg("byte %zu: %s, expected %s", wrong_bytes[i].at, zone_fault_text(fault),
                     zone_fault_text(wrong_bytes[i].fault));
        }
        assert_null(zone);
    }
}

/* What a footer may be, test_dst.c knows; here, that the reader requests. */
static void wrong_footers_are_refused(void **state)
{
    (void)state;
    static struct file file;
    const struct zone *zone;
    make_file(&file, '3', 0, NULL, 0, "EST5EDT");
    assert_int_equal(parse(file.bytes, file.size, &zone), ZONE_FAULT_FOOTER);
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    static struct file file;
    const struct zone *zone;

    /* nothing, too much, and as much as is allowed: a footer fills the file */
    assert_int_equal(zone_parse(NULL, 0, &zone), ZONE_FAULT_TRUNCATED);
    memset(&file, 'A', sizeof(file));
    assert_int_equal(parse(file.bytes, ZONE_FILE_MAX + 1, &zone), ZONE_FAULT_SIZE);
    make_file(&file, '2', 0, NULL, 0, "");
    memset(file.bytes + file.size - 1, 'A', ZONE_FILE_MAX - file.size);
    memcpy(file.bytes + ZONE_FILE_MAX - 3, "-1\n", 3);
    assert_int_equal(parse(file.bytes, ZONE_FILE_MAX, &zone), ZONE_FAULT_NONE);
    assert_int_equal(zone_offset_at(zone, 0), MICROS_PER_HOUR);
    zone_free(zone);
}

/* 256 types are all an index can name. */
static void more_types_than_indexes_are_refused(void **state)
{
    (void)state;
    static struct file file;
    static struct made_change changes[256];
    const struct zone *zone;

    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        changes[i] = (struct made_change){(int64_t)i * 1000000, (int64_t)i};
    }
    make_file(&file, '2', 0, changes, 255, "");
    assert_int_equal(parse(file.bytes, file.size, &zone), ZONE_FAULT_NONE);
    assert_int_equal(zone_offset_at(zone, INT64_MAX), 254 * MICROS_PER_SECOND);
    compare_with_model(zone, file.bytes, file.size, "256 types");
    zone_free(zone);
    make_file(&file, '2', 0, changes, 256, "");
    assert_int_equal(parse(file.bytes, file.size, &zone), ZONE_FAULT_COUNTS);
}

/* ---- damage -------------------------------------------------------------------------------------------- */

/* Whatever was taken must answer everywhere, and what it says must fit together. */
static void assert_sound(const struct zone *zone)
{
    int64_t us = INT64_MIN, change_us;
    for (int i = 0; i < 40 && zone_next_change(zone, us, &change_us); i++, us = change_us) {
        assert_true(change_us > us);
        assert_true(zone_offset_at(zone, change_us - 1) != zone_offset_at(zone, change_us));
        int64_t local_us = zone_local_from_instant(zone, change_us);
        struct zone_local local = zone_resolve_local(zone, local_us);
        assert_true(local.instant_us <= change_us || local.kind == ZONE_LOCAL_GAP);
    }
    const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    for (size_t i = 0; i < COUNT_OF(edges); i++) {
        int64_t offset_us = zone_offset_at(zone, edges[i]);
        assert_true(offset_us > -25 * MICROS_PER_HOUR && offset_us < 26 * MICROS_PER_HOUR);
        zone_local_from_instant(zone, edges[i]);
        zone_instant_from_local(zone, edges[i]);
    }
}

static void damage_files(const uint8_t *good, size_t size, int bytes_tried)
{
    uint8_t *bytes = malloc(size);
    const struct zone *zone;

    memcpy(bytes, good, size);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_not_equal(parse(good, cut, &zone), ZONE_FAULT_NONE);
        assert_null(zone);
    }
    for (size_t place = 0; place < size; place++) {
        for (int i = 0; i < bytes_tried; i++) {
            bytes[place] = bytes_tried == 256 ? (uint8_t)i : (uint8_t)random_bits();
            if (parse(bytes, size, &zone) == ZONE_FAULT_NONE) {
                assert_sound(zone);
                zone_free(zone);
            }
        }
        bytes[place] = good[place];
    }
    free(bytes);
}

static void files_cut_or_changed_at_any_byte_do_no_harm(void **state)
{
    (void)state;
    static const struct made_change changes[] = {{-1000000000, HOUR_S}, {0, 2 * HOUR_S}, {1000000000, -HOUR_S}};
    static struct file file;

    damage_files(small_file, sizeof(small_file), 256);
    file.size = 0;
    put_block(&file, 0, 4, 1800, changes, COUNT_OF(changes));
    damage_files(file.bytes, file.size, 256);
    make_file(&file, '3', 0, changes, COUNT_OF(changes), NUUK);
    damage_files(file.bytes, file.size, 256);
}

static void instants_at_the_ends_of_int64_are_answered(void **state)
{
    (void)state;
    static const char *const rows[] = {
        BERLIN, SYDNEY, "AAA-24:59:59", "AAA24:59:59", "AAA24BBB-24,0/-167,J365/167",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct zone *zone = parse_footer(rows[i]);
        int64_t change_us = INT64_MAX - MICROS_PER_DAY * 1000;
        assert_sound(zone);
        while (zone_next_change(zone, change_us, &change_us)) assert_sound(zone); /* it ends */
        assert_false(zone_next_change(zone, INT64_MAX, &change_us));
        /* Local times saturate instead of wrapping. */
        int64_t offset_us = zone_offset_at(zone, INT64_MAX);
        assert_true(zone_local_from_instant(zone, INT64_MAX) >= INT64_MAX + (offset_us < 0 ? offset_us : 0));
        offset_us = zone_offset_at(zone, INT64_MIN);
        assert_true(zone_local_from_instant(zone, INT64_MIN) <= INT64_MIN + (offset_us > 0 ? offset_us : 0));
        zone_free(zone);
    }
    /* the rule holds to the last year: December 294246 and July */
    const struct zone *berlin = parse_footer(rows[0]);
    int64_t july_us, december_us;
    assert_true(local_from_civil((struct civil){294246, 7, 1}, 0, &july_us));
    assert_true(local_from_civil((struct civil){294246, 12, 1}, 0, &december_us));
    assert_int_equal(zone_offset_at(berlin, july_us), 2 * MICROS_PER_HOUR);
    assert_int_equal(zone_offset_at(berlin, december_us), MICROS_PER_HOUR);
    assert_int_equal(zone_offset_at(berlin, INT64_MAX), MICROS_PER_HOUR);
    assert_true(local_from_civil((struct civil){-290307, 7, 1}, 0, &july_us));
    assert_int_equal(zone_offset_at(berlin, july_us), 2 * MICROS_PER_HOUR);
    assert_int_equal(zone_offset_at(berlin, INT64_MIN), MICROS_PER_HOUR);
    zone_free(berlin);
}

/* ---- the model and the fast one ------------------------------------------------------------------------ */

static void random_turn(char *text, size_t size)
{
    static const char *const times[] = {"", "/0", "/3", "/-1", "/24", "/50:30", "/167", "/-167:00:01", "/1:02:03"};
    const char *time = times[random_between(0, COUNT_OF(times) - 1)];
    int month = (int)random_between(1, 12), day = (int)random_between(0, 365);
    switch (random_between(0, 2)) {
    case 0:
        snprintf(text, size, "M%d.%d.%d%s", month, (int)random_between(1, 5), (int)random_between(0, 6), time);
        break;
    case 1: snprintf(text, size, "J%d%s", day ? day : 1, time); break;
    default: snprintf(text, size, "%d%s", day, time); break;
    }
}

/* Any rule the grammar allows, turns days apart or months; *offset_s becomes one of its offsets. */
static void random_footer(char *text, size_t size, int64_t *offset_s)
{
    int west[2], pick = (int)random_between(0, 1);
    char begin[32], end[32];
    for (int i = 0; i < 2; i++) west[i] = (int)random_between(-24, 24);
    random_turn(begin, sizeof(begin));
    random_turn(end, sizeof(end));
    *offset_s = -west[pick] * HOUR_S;
    if (random_between(0, 4) == 0) {
        snprintf(text, size, "STD%d", west[pick]);
    } else {
        snprintf(text, size, "STD%d<+DT>%d,%s,%s", west[0], west[1], begin, end);
    }
}

static void made_up_zones_agree_with_the_model(void **state)
{
    (void)state;
    static struct file file;
    struct made_change changes[30];
    char footer[128];

    for (int round = 0; round < 300; round++) {
        size_t count = (size_t)random_between(0, COUNT_OF(changes));
        /* Seconds, hours or years between changes: the closest make several gaps and overlaps meet. */
        int64_t spread_s = (int64_t[]){10, 10 * HOUR_S, 50 * HOUR_S, 500 * DAY_S}[round % 4];
        int64_t at_s = random_between(-40 * 365 * DAY_S, 40 * 365 * DAY_S), last_s = 0;
        for (size_t i = 0; i < count; i++) {
            at_s += random_between(1, spread_s);
            last_s = random_between(-24 * HOUR_S, 25 * HOUR_S);
            changes[i] = (struct made_change){at_s, last_s};
        }
        footer[0] = '\0';
        if (round % 8 != 0) random_footer(footer, sizeof(footer), &last_s);
        if (count > 0) changes[count - 1].offset_s = last_s;
        make_file(&file, '3', random_between(-24 * HOUR_S, 25 * HOUR_S), changes, count, footer);
        const struct zone *zone = parse_file(&file);
        compare_with_model(zone, file.bytes, file.size, footer);
        zone_free(zone);
    }
}

/* Zones with something special: a day skipped, half an hour, a footer of its own kind. */
/* clang-format off */
static const char *const special_zones[] = {
    "Europe/Berlin", "America/New_York", "Australia/Sydney", "Europe/Dublin", "Australia/Lord_Howe",
    "Pacific/Apia", "Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "America/Nuuk",
    "America/Godthab", "Asia/Gaza", "America/Santiago", "Antarctica/Troll", "America/Havana",
    "Asia/Tehran", "Asia/Kathmandu", "Pacific/Kwajalein", "Asia/Manila", "America/Juneau",
    "Africa/Monrovia", "Etc/GMT+12", "Etc/GMT-14", "Etc/UTC", "EST5EDT", "America/Ojinaga",
    "America/Sao_Paulo", "Europe/Lisbon", "Asia/Pyongyang", "Antarctica/Casey", "America/Scoresbysund",
};
/* clang-format on */

/* Their installed files, if they are there. */
static void installed_zones_agree_with_the_model(void **state)
{
    (void)state;
    static uint8_t bytes[ZONE_FILE_MAX + 1];
    int found = 0;

    for (size_t i = 0; i < COUNT_OF(special_zones); i++) {
        char path[128];
        snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", special_zones[i]);
        FILE *file = fopen(path, "rb");
        if (!file) continue;
        size_t size = fread(bytes, 1, sizeof(bytes), file);
        fclose(file);
        const struct zone *zone;
        enum zone_fault fault = parse(bytes, size, &zone);
        if (fault) fail_msg("%s: %s", special_zones[i], zone_fault_text(fault));
        compare_with_model(zone, bytes, size, special_zones[i]);
        assert_sound(zone);
        zone_free(zone);
        if (i % 8 == 0) damage_files(bytes, size, 2);
        found++;
    }
    print_message("%d installed zones\n", found);
}

/* ---- names --------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *name;
    bool valid;
} names[] = {
    /* names as they are */
    {"UTC", true},
    {"Europe/Berlin", true},
    {"America/Argentina/ComodRivadavia", true},
    {"America/Port-au-Prince", true},
    {"Etc/GMT+12", true},
    {"EST5EDT", true},
    {"W-SU", true},
    {"a", true},
    {"0123456789012345678901234567890123456789012345678901234567890123", true},
    /* too long, nothing */
    {"01234567890123456789012345678901234567890123456789012345678901234", false},
    {"", false},
    /* climbing, absolute, empty parts */
    {"..", false},
    {"../passwd", false},
    {"Europe/../../etc/passwd", false},
    {".", false},
    {"/etc/localtime", false},
    {"/", false},
    {"Europe/", false},
    {"Europe//Berlin", false},
    {"//", false},
    /* other bytes */
    {"Europe Berlin", false},
    {"Europe\\Berlin", false},
    {"Europe/Berlin\n", false},
    {"Europe/Berl\xc3\xadn", false},
    {"zone.tab", false},
    {":UTC", false},
    {"+02:00", false},
    {"%s", false},
};
/* clang-format on */

static void only_names_that_stay_in_their_directory_are_valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct bytes name = {names[i].name, strlen(names[i].name)};
        if (zone_name_valid(name) != names[i].valid) fail_msg("%s", names[i].name);
    }
    assert_false(zone_name_valid((struct bytes){"UTC\0", 4}));
    assert_false(zone_name_valid((struct bytes){NULL, 0}));
}

static void every_fault_has_words(void **state)
{
    (void)state;
    for (int fault = 0; fault < ZONE_FAULTS_COUNT; fault++) {
        assert_true(strlen(zone_fault_text((enum zone_fault)fault)) > 0);
    }
    assert_string_equal(zone_fault_text(ZONE_FAULTS_COUNT), "unknown fault");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utc_needs_no_file),
        cmocka_unit_test(a_small_file_is_read_as_written),
        cmocka_unit_test(local_times_in_gaps_and_overlaps_follow_the_policy),
        cmocka_unit_test(a_skipped_day_moves_to_the_next_one),
        cmocka_unit_test(a_repeated_day_counts_the_first_time),
        cmocka_unit_test(a_version_1_file_ends_with_its_last_change),
        cmocka_unit_test(versions_2_to_9_are_read_alike_and_others_refused),
        cmocka_unit_test(the_old_block_is_only_measured),
        cmocka_unit_test(without_changes_the_footer_speaks_for_all_time),
        cmocka_unit_test(an_empty_footer_keeps_the_last_offset),
        cmocka_unit_test(changes_out_of_reach_leave_only_their_offset),
        cmocka_unit_test(changes_of_name_only_are_no_changes),
        cmocka_unit_test(a_footer_ahead_of_its_time_waits_for_its_next_turn),
        cmocka_unit_test(wrong_bytes_are_named),
        cmocka_unit_test(wrong_footers_are_refused),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(more_types_than_indexes_are_refused),
        cmocka_unit_test(files_cut_or_changed_at_any_byte_do_no_harm),
        cmocka_unit_test(instants_at_the_ends_of_int64_are_answered),
        cmocka_unit_test(made_up_zones_agree_with_the_model),
        cmocka_unit_test(installed_zones_agree_with_the_model),
        cmocka_unit_test(only_names_that_stay_in_their_directory_are_valid),
        cmocka_unit_test(every_fault_has_words),
    };
    return cmocka_run_group_tests(tests, set_up, nothing_is_left);
}

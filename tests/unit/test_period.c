/* Periods: their words and numbers, and cycles on every kind of clock, real ones and worse.
 *
 * The slow model knows no formula: it looks at every local day for a cycle that begins on it, turns the clock minute
 * by minute until it shows that reading or has jumped over it, and looks for an instant from the far end. */
#include "quota/time/calendar.h"
#include "quota/time/duration.h"
#include "quota/time/period.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools.h"
#include <cmocka.h>

#define SEED   UINT64_C(20111230)
#define S      MICROS_PER_SECOND
#define H      MICROS_PER_HOUR
#define DAY_US MICROS_PER_DAY

static struct bytes text_bytes(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

/* ---- zones ----------------------------------------------------------------------------------------------- */

enum { UTC, BERLIN, APIA, JUNEAU, SAO_PAULO, LEAPING, SWINGING, ZONES_COUNT };

#define TURNS_MAX 5

struct turn {
    const char *at; /* UTC */
    int offset_minutes;
};

/* The parts that matter of four real zones, and two that no land has, but a file can. */
static const struct {
    const char *name, *footer;
    int offset_minutes; /* before the first turn */
    struct turn turns[TURNS_MAX];
} zone_rows[ZONES_COUNT] = {
    [UTC] = {.name = "UTC", .footer = "UTC0"},
    [BERLIN] = {.name = "Berlin", .footer = "CET-1CEST,M3.5.0,M10.5.0/3"},
    [APIA] = {"Apia",
              "",
              -11 * 60,
              {{"2011-09-24T14:00:00", -600}, {"2011-12-30T10:00:00", 840}, {"2012-03-31T14:00:00", 780}}},
    [JUNEAU] = {"Juneau", "", 902, {{"1867-10-18T08:58:00", -538}}},                 /* Friday came twice */
    [SAO_PAULO] = {.name = "Sao Paulo", .footer = "<-03>3<-02>,M10.3.0/0,M2.3.0/0"}, /* turned at midnight */
    [LEAPING] = {"leaping",
                 "",
                 -600,
                 {{"2012-03-01T07:30:00", 1200}, /* two leaps in a day */
                  {"2012-03-02T02:00:00", 1500},
                  {"2012-03-20T12:00:00", -1490},
                  {"2012-04-20T12:00:00", 1550}, /* as far as a file can, and back to readings it has leapt over */
                  {"2012-04-20T17:00:00", 600}}},
    [SWINGING] = {.name = "swinging", .footer = "<-24>24<+24>-24,J100,J200"}, /* two days at a time */
};

static const struct zone *zones[ZONES_COUNT];

static size_t put(uint8_t *to, int64_t number, int size)
{
    for (int i = 0; i < size; i++) to[i] = (uint8_t)((uint64_t)number >> 8 * (size - 1 - i));
    return (size_t)size;
}

/* Changes with 8 bytes each, and a type for each; the old block has none. */
static const struct zone *zone_made(int row)
{
    uint8_t bytes[1024] = {0};
    size_t size = 0;
    int turns = 0;
    while (turns < TURNS_MAX && zone_rows[row].turns[turns].at) turns++;
    for (int block = 0; block < 2; block++) {
        int count = block == 0 ? 0 : turns;
        memcpy(bytes + size, "TZif2", 5);
        put(bytes + size + 32, count, 4);
        put(bytes + size + 36, count + 1, 4);
        put(bytes + size + 40, 4, 4);
        size += 44;
        for (int i = 0; i < count; i++) size += put(bytes + size, at(zone_rows[row].turns[i].at) / S, 8);
        for (int i = 0; i < count; i++) size += put(bytes + size, i + 1, 1);
        size += put(bytes + size, zone_rows[row].offset_minutes * 60, 4) + 2;
        for (int i = 0; i < count; i++) size += put(bytes + size, zone_rows[row].turns[i].offset_minutes * 60, 4) + 2;
        memcpy(bytes + size, "LMT", 4);
        size += 4;
    }
    size += (size_t)sprintf((char *)bytes + size, "\n%s\n", zone_rows[row].footer);
    const struct zone *zone = NULL;
    enum zone_fault fault = zone_parse(bytes, size, &zone);
    if (fault) fail_msg("%s: %s", zone_rows[row].name, zone_fault_text(fault));
    return zone;
}

static int set_up(void **state)
{
    (void)state;
    heap_watch();
    random_begin(SEED);
    for (int i = 0; i < ZONES_COUNT; i++) zones[i] = zone_made(i);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < ZONES_COUNT; i++) zone_free(zones[i]);
    return heap_blocks();
}

/* ---- words ----------------------------------------------------------------------------------------------- */

/* `word [CALENDAR] [FROM x] [EOM]`, as a command reads it; usable or not. */
static struct period period_of(const char *text)
{
    char words[64];
    struct period period = {0};
    (void)snprintf(words, sizeof(words), "%s", text);
    if (!period_parse(text_bytes(strtok(words, " ")), &period)) fail_msg("not a period: %s", text);
    for (const char *word; (word = strtok(NULL, " "));) {
        if (strcmp(word, "CALENDAR") == 0) {
            period.calendar = true;
        } else if (strcmp(word, "EOM") == 0) {
            period.end_of_month = true;
        } else if (!period_parse_from(text_bytes(strtok(NULL, " ")), &period)) {
            fail_msg("not from: %s", text);
        }
    }
    return period;
}

static void assert_same(const struct period *period, const struct period *expected)
{
    assert_int_equal(period->unit, expected->unit);
    assert_int_equal(period->count, expected->count);
    assert_int_equal(period->calendar, expected->calendar);
    assert_int_equal(period->end_of_month, expected->end_of_month);
    assert_int_equal(period->from_month, expected->from_month);
    assert_int_equal(period->from_day, expected->from_day);
    assert_int_equal(period->from_weekday, expected->from_weekday);
}

static void assert_written(const struct period *period, const char *expected)
{
    char stack_buffer[64];
    struct sink sink = sink_init(stack_buffer, sizeof(stack_buffer));
    period_write(period, &sink);
    period_write_alignment(period, &sink);
    sink_byte(&sink, '\0');
    assert_string_equal(sink.data, expected);
    sink_free(&sink);
}

static const struct {
    const char *word, *written;
    enum period_unit unit;
    int64_t count;
} word_rows[] = {
    {"day", "day", PERIOD_DAY, 1},
    {"Week", "week", PERIOD_WEEK, 1},
    {"MONTH", "month", PERIOD_MONTH, 1},
    {"quarter", "quarter", PERIOD_MONTH, 3},
    {"half-year", "half-year", PERIOD_MONTH, 6},
    {"HalfYear", "half-year", PERIOD_MONTH, 6},
    {"year", "year", PERIOD_MONTH, 12},
    {"forever", "forever", PERIOD_FOREVER, 1},
    /* counted; written in the largest unit */
    {"1day", "day", PERIOD_DAY, 1},
    {"2week", "2week", PERIOD_WEEK, 2},
    {"007day", "7day", PERIOD_DAY, 7},
    {"14day", "14day", PERIOD_DAY, 14},
    {"3month", "quarter", PERIOD_MONTH, 3},
    {"4month", "4month", PERIOD_MONTH, 4},
    {"9month", "3quarter", PERIOD_MONTH, 9},
    {"2half-year", "year", PERIOD_MONTH, 12},
    {"3half-year", "3half-year", PERIOD_MONTH, 18},
    {"10000month", "10000month", PERIOD_MONTH, 10000},
    {"833year", "833year", PERIOD_MONTH, 9996},
    {"1forever", "forever", PERIOD_FOREVER, 1},
    /* hours and shorter, and every duration, are fixed spans */
    {"minute", "1m", PERIOD_FIXED, 60 * S},
    {"15minute", "15m", PERIOD_FIXED, 900 * S},
    {"hour", "1h", PERIOD_FIXED, H},
    {"24hour", "1d", PERIOD_FIXED, DAY_US},
    {"1d", "1d", PERIOD_FIXED, DAY_US},
    {"7d", "1w", PERIOD_FIXED, 7 * DAY_US},
    {"90s", "90s", PERIOD_FIXED, 90 * S},
    {"1m", "1m", PERIOD_FIXED, 60 * S},
    {"1us", "1us", PERIOD_FIXED, 1},
    {"288230376151711744us", "288230376151711744us", PERIOD_FIXED, DURATION_MAX_US},
};

static const char *const refused_words[] = {
    "",
    "3",
    "0",
    "-1",
    "fortnight",
    "days",
    "month ",
    " month",
    "0day",
    "0month",
    "0minute",
    "0s",
    "-5s",
    "+5s",
    "+1day",
    "-1day",
    "1.5hour",
    "2forever",
    "0forever",
    "10001day",
    "10001week",
    "10001month",
    "834year",
    "3334quarter",
    "month3",
    "3 month",
    "halfyears",
    "half year",
    "1halfday",
    "999999weeks",
    "9223372036854775807year",
    "s",
    "9223372036854775808day",
    "9223372036854775807minute",
    "288230376151711745us",
    "80064000hour",
};

static void words_are_read_and_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(word_rows); i++) {
        struct period period, again;
        if (!period_parse(text_bytes(word_rows[i].word), &period)) fail_msg("refused: %s", word_rows[i].word);
        struct period expected = {.unit = word_rows[i].unit, .count = word_rows[i].count};
        assert_same(&period, &expected); /* nothing else is set */
        assert_null(period_fault(&period));
        assert_written(&period, word_rows[i].written);
        assert_true(period_parse(text_bytes(word_rows[i].written), &again));
        assert_same(&period, &again);
    }
    for (size_t i = 0; i < COUNT_OF(refused_words); i++) {
        struct period period = {.count = 77};
        if (period_parse(text_bytes(refused_words[i]), &period)) fail_msg("taken: '%s'", refused_words[i]);
        assert_int_equal(period.count, 77);
    }
}

static const struct {
    const char *period, *from;
    int month, day, weekday;
} from_rows[] = {
    {"month", "15", 1, 15, 0},      {"month", "5", 1, 5, 0},    {"month", "05", 1, 5, 0},     {"month", "31", 1, 31, 0},
    {"quarter", "02-29", 2, 29, 0}, {"year", "04-06", 4, 6, 0}, {"year", "12-31", 12, 31, 0}, {"week", "mon", 0, 0, 0},
    {"week", "Sunday", 0, 0, 6},    {"2week", "THU", 0, 0, 3},
};

static const struct {
    const char *period, *from;
} from_refused[] = {
    {"month", "0"},   {"month", "32"},   {"month", ""},     {"month", "015"},   {"month", "mon"},    {"month", "-5"},
    {"month", "+5"},  {"year", "02-30"}, {"year", "04-31"}, {"year", "00-10"},  {"year", "13-01"},   {"year", "01-00"},
    {"year", "4-06"}, {"year", "04-6"},  {"year", "04/06"}, {"year", "04-06-"}, {"year", "0a-06"},   {"year", "04-"},
    {"week", "1"},    {"week", ""},      {"week", "mo"},    {"week", "mond"},   {"week", "mondays"}, {"week", "04-06"},
    {"day", "1"},     {"day", "mon"},    {"1h", "1"},       {"forever", "1"},   {"forever", "mon"},  {"7d", "mon"},
};

static void from_fits_the_unit(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(from_rows); i++) {
        struct period period = period_of(from_rows[i].period);
        period.calendar = true;
        if (!period_parse_from(text_bytes(from_rows[i].from), &period)) fail_msg("refused: %s", from_rows[i].from);
        assert_null(period_fault(&period));
        assert_int_equal(period.from_month, from_rows[i].month);
        assert_int_equal(period.from_day, from_rows[i].day);
        assert_int_equal(period.from_weekday, from_rows[i].weekday);
    }
    for (size_t i = 0; i < COUNT_OF(from_refused); i++) {
        struct period period = period_of(from_refused[i].period), before = period;
        if (period_parse_from(text_bytes(from_refused[i].from), &period)) fail_msg("taken: %s", from_refused[i].from);
        assert_same(&period, &before);
    }
}

/* What stands in one row means the same; it is written like the last, and read again it is the same. */
static const char *const alike_rows[][4] = {
    {"day"},
    {"day CALENDAR"},
    {"90s CALENDAR"},
    {"1month", "month"},
    {"month EOM"},
    {"3month EOM", "quarter EOM"},
    {"week CALENDAR FROM mon", "week CALENDAR FROM Monday", "week CALENDAR"},
    {"2week CALENDAR FROM sunday", "2week CALENDAR FROM sun"},
    {"month CALENDAR FROM 1", "month CALENDAR FROM 07-01", "month CALENDAR"},
    {"month CALENDAR FROM 6", "month CALENDAR FROM 04-06", "month CALENDAR FROM 06"},
    {"quarter CALENDAR FROM 10-06", "quarter CALENDAR FROM 6", "quarter CALENDAR FROM 01-06"},
    {"half-year CALENDAR FROM 10-06", "half-year CALENDAR FROM 04-06"},
    {"year CALENDAR FROM 04-06"},
    /* the 31st, clamped, is the last day */
    {"month CALENDAR FROM 31", "month CALENDAR EOM FROM 31", "month CALENDAR EOM"},
    {"quarter CALENDAR FROM 07-31", "quarter CALENDAR FROM 10-31 EOM", "quarter CALENDAR EOM"},
    {"quarter CALENDAR FROM 05-31", "quarter CALENDAR FROM 08-31 EOM", "quarter CALENDAR FROM 02-29 EOM"},
    {"8month CALENDAR FROM 06-30 EOM"},
    /* the only month: its last day needs no EOM */
    {"year CALENDAR FROM 11-30 EOM", "year CALENDAR FROM 11-30"},
    {"year CALENDAR FROM 02-28 EOM", "2half-year CALENDAR FROM 02-29", "year CALENDAR FROM 02-29"},
    {"year CALENDAR FROM 02-28"},
    {"year CALENDAR EOM", "year CALENDAR FROM 01-31"},
    /* a month is named for a day it has */
    {"2month CALENDAR FROM 10-30", "2month CALENDAR FROM 04-30"},
    {"4month CALENDAR FROM 12-30", "4month CALENDAR FROM 04-30"},
    {"5month CALENDAR FROM 12-29", "5month CALENDAR FROM 02-29"},
    {"forever"},
};

static void equal_periods_have_equal_numbers(void **state)
{
    (void)state;
    uint64_t codes[COUNT_OF(alike_rows)];
    for (size_t i = 0; i < COUNT_OF(alike_rows); i++) {
        size_t last = 0;
        while (last + 1 < 4 && alike_rows[i][last + 1]) last++;
        struct period simplest = period_of(alike_rows[i][last]), decoded;
        codes[i] = period_code(&simplest);
        for (size_t k = 0; k <= last; k++) {
            struct period period = period_of(alike_rows[i][k]);
            if (period_fault(&period)) fail_msg("%s: %s", alike_rows[i][k], period_fault(&period));
            if (period_code(&period) != codes[i]) fail_msg("differs: %s", alike_rows[i][k]);
            assert_written(&period, alike_rows[i][last]);
        }
        assert_true(period_from_code(codes[i], &decoded));
        assert_written(&decoded, alike_rows[i][last]);
        for (size_t k = 0; k < i; k++) {
            if (codes[k] == codes[i]) fail_msg("%s = %s", alike_rows[k][0], alike_rows[i][0]);
        }
    }
}

static void a_period_is_meant_by_its_unit_and_count(void **state)
{
    (void)state;
    static const struct {
        const char *period, *wanted;
        bool meant;
    } rows[] = {
        {"month", "month", true},
        {"month CALENDAR FROM 15", "month", true},
        {"month EOM", "month", true},
        {"2month", "month", false},
        {"day", "24h", false},
        {"24h", "24h", true},
        {"week CALENDAR FROM sun", "week", true},
        {"forever", "day", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct period period = period_of(rows[i].period), wanted = period_of(rows[i].wanted);
        if (period_code_is_meant(period_code(&period), period_code(&wanted)) != rows[i].meant) fail_msg("row %zu", i);
        assert_true(period_code_is_meant(period_code(&period), 0));
    }
}

/* These numbers are stored: they stay. */
static const struct {
    const char *period;
    uint64_t code;
} code_rows[] = {
    {"1us", 0},
    {"1us CALENDAR", 8},
    {"1m", UINT64_C(59999999) << 4},
    {"288230376151711744us", ((UINT64_C(1) << 58) - 1) << 4},
    {"day", 1},
    {"day CALENDAR", 9},
    {"month", 2},
    {"quarter", 34},
    {"month EOM", 2 | 1 << 18},
    {"month CALENDAR", 10},
    {"year CALENDAR FROM 04-06", 10 | 11 << 4 | 3 << 22 | 5 << 26},
    {"forever", 3},
    {"week", 4},
    {"10000week CALENDAR FROM sun", 12 | 9999 << 4 | 6 << 19},
};

static void numbers_are_periods_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(code_rows); i++) {
        struct period period = period_of(code_rows[i].period);
        if (period_code(&period) != code_rows[i].code) fail_msg("%s", code_rows[i].period);
    }
    int taken = 0;
    for (int i = 0; i < 400000; i++) {
        /* few bits, so that some are periods */
        uint64_t code = random_bits() & random_bits() & (random_below(2) ? UINT64_MAX : UINT64_C(0x7fffffff));
        struct period period = {.count = 77}, before = period;
        if (!period_from_code(code, &period)) {
            assert_same(&period, &before);
            continue;
        }
        assert_null(period_fault(&period));
        assert_true(period_code(&period) == code && code <= INT64_MAX);
        taken++;
    }
    assert_in_range(taken, 10000, 390000);
}

static const struct {
    struct period period;
    const char *fault; /* a word of it */
} fault_rows[] = {
    {{.unit = PERIOD_UNITS_COUNT, .count = 1}, "unit"},
    {{.unit = PERIOD_DAY, .count = 0}, "10000"},
    {{.unit = PERIOD_DAY, .count = PERIOD_COUNT_MAX + 1}, "10000"},
    {{.unit = PERIOD_FIXED, .count = DURATION_MAX_US + 1}, "9000"},
    {{.unit = PERIOD_FIXED, .count = INT64_MIN}, "9000"},
    {{.unit = PERIOD_FOREVER, .count = 2}, "forever"},
    {{.unit = PERIOD_FOREVER, .count = 1, .calendar = true}, "CALENDAR"},
    {{.unit = PERIOD_FOREVER, .count = 1, .end_of_month = true}, "EOM"},
    {{.unit = PERIOD_DAY, .count = 1, .end_of_month = true}, "EOM"},
    {{.unit = PERIOD_WEEK, .count = 1, .calendar = true, .end_of_month = true}, "EOM"},
    {{.unit = PERIOD_MONTH, .count = 1, .from_day = 6}, "needs CALENDAR"},
    {{.unit = PERIOD_MONTH, .count = 1, .from_month = 6}, "needs CALENDAR"},
    {{.unit = PERIOD_WEEK, .count = 1, .from_weekday = 6}, "needs CALENDAR"},
    {{.unit = PERIOD_WEEK, .count = 1, .calendar = true, .from_weekday = 7}, "weekday"},
    {{.unit = PERIOD_WEEK, .count = 1, .calendar = true, .from_weekday = -1}, "weekday"},
    {{.unit = PERIOD_WEEK, .count = 1, .calendar = true, .from_day = 1}, "months"},
    {{.unit = PERIOD_DAY, .count = 1, .calendar = true, .from_month = 1}, "months"},
    {{.unit = PERIOD_MONTH, .count = 1, .calendar = true, .from_weekday = 1}, "weeks"},
    {{.unit = PERIOD_MONTH, .count = 1, .calendar = true, .from_month = 13, .from_day = 1}, "no day"},
    {{.unit = PERIOD_MONTH, .count = 1, .calendar = true, .from_month = -1, .from_day = 1}, "no day"},
    {{.unit = PERIOD_MONTH, .count = 1, .calendar = true, .from_day = 32}, "no day"},
    {{.unit = PERIOD_MONTH, .count = 1, .calendar = true, .from_day = -1}, "no day"},
    {{.unit = PERIOD_MONTH, .count = 1, .calendar = true, .from_month = 2, .from_day = 30}, "no day"},
    {{.unit = PERIOD_MONTH, .count = 12, .calendar = true, .end_of_month = true, .from_month = 4, .from_day = 6},
     "EOM"},
    {{.unit = PERIOD_MONTH, .count = 1, .calendar = true}, NULL}, /* nothing said: the first */
    {{.unit = PERIOD_MONTH, .count = 1, .calendar = true, .from_day = 29, .from_month = 2}, NULL},
};

static void faults_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(fault_rows); i++) {
        const char *fault = period_fault(&fault_rows[i].period);
        if ((fault != NULL) != (fault_rows[i].fault != NULL)) fail_msg("row %zu: %s", i, fault ? fault : "no fault");
        if (fault && !strstr(fault, fault_rows[i].fault)) fail_msg("row %zu: %s", i, fault);
    }
}

/* ---- cycles by hand -------------------------------------------------------------------------------------- */

static const struct {
    int zone;
    const char *period, *anchor, *at, *start, *end;
    int64_t index;
} cycle_rows[] = {
    /* clamped to the last day, counted from the anchor: no drift */
    {UTC, "month", "2025-01-31T15:00:00", "2025-02-28T14:59:59", "2025-01-31T15:00:00", "2025-02-28T15:00:00", 0},
    {UTC, "month", "2025-01-31T15:00:00", "2025-02-28T15:00:00", "2025-02-28T15:00:00", "2025-03-31T15:00:00", 1},
    {UTC, "month", "2025-01-31T15:00:00", "2025-04-01", "2025-03-31T15:00:00", "2025-04-30T15:00:00", 2},
    {UTC, "month", "2023-12-31", "2024-03-01", "2024-02-29", "2024-03-31", 2},
    {UTC, "month", "2025-03-31", "2025-02-28", "2025-02-28", "2025-03-31", -1},
    {UTC, "year", "2024-02-29", "2025-03-01", "2025-02-28", "2026-02-28", 1},
    {UTC, "year", "2024-02-29", "2028-02-29", "2028-02-29", "2029-02-28", 4},
    {UTC, "year", "2024-02-29", "1900-03-01", "1900-02-28", "1901-02-28", -124},
    {UTC, "quarter", "2024-11-30", "2025-02-28", "2025-02-28", "2025-05-30", 1},
    {UTC, "13month", "2024-01-31", "2025-03-01", "2025-02-28", "2026-03-31", 1},
    /* the last day, whatever its number */
    {UTC, "month EOM", "2025-02-28", "2025-03-31", "2025-03-31", "2025-04-30", 1},
    {UTC, "month EOM", "2025-02-28", "2025-03-30", "2025-02-28", "2025-03-31", 0},
    {UTC, "year EOM", "2023-02-28", "2024-02-29", "2024-02-29", "2025-02-28", 1},
    {UTC, "month EOM", "2025-01-15T12:00:00", "2025-01-15T12:00:00", "2024-12-31T12:00:00", "2025-01-31T12:00:00", 0},
    {UTC, "month EOM", "2025-01-15T12:00:00", "2025-02-10", "2025-01-31T12:00:00", "2025-02-28T12:00:00", 1},
    /* days and weeks on the wall clock, through the turns of the clock */
    {BERLIN, "day", "2025-03-29T01:30:00", "2025-03-30T12:00:00", "2025-03-30T01:30:00", "2025-03-31T00:30:00", 1},
    {BERLIN, "day", "2025-03-01T23:00:00", "2025-03-30T12:00:00", "2025-03-29T23:00:00", "2025-03-30T22:00:00", 28},
    {BERLIN, "month", "2025-01-30T01:30:00", "2025-03-30T01:30:00", "2025-03-30T01:30:00", "2025-04-30T00:30:00", 2},
    {BERLIN, "month", "2025-09-26T00:30:00", "2025-10-26T00:30:00", "2025-10-26T00:30:00", "2025-11-26T01:30:00", 1},
    {BERLIN, "week", "2025-10-19T00:30:00", "2025-10-26T01:00:00", "2025-10-26T00:30:00", "2025-11-02T01:30:00", 1},
    /* the anchor is a boundary even the second time the clock shows it */
    {BERLIN, "day", "2025-10-26T01:30:00", "2025-10-26T00:30:00", "2025-10-25T00:30:00", "2025-10-26T01:30:00", -1},
    {BERLIN, "day", "2025-10-26T01:30:00", "2025-10-26T01:30:00", "2025-10-26T01:30:00", "2025-10-27T01:30:00", 0},
    {JUNEAU, "day", "1867-10-18T12:00:00", "1867-10-18T09:00:00", "1867-10-16T12:00:00", "1867-10-18T12:00:00", -1},
    {JUNEAU, "day", "1867-10-18T12:00:00", "1867-10-19T12:00:00", "1867-10-19T12:00:00", "1867-10-20T12:00:00", 1},
    /* a day that came twice is one cycle; one that never came is none */
    {JUNEAU, "day CALENDAR", "1867-10-17", "1867-10-18T12:00:00", "1867-10-17T08:58:00", "1867-10-19T08:58:00", 1},
    {APIA, "day CALENDAR", "2011-12-30T09:59:59", "2011-12-30T09:59:59", "2011-12-29T10:00:00", "2011-12-30T10:00:00",
     0},
    {APIA, "day CALENDAR", "2011-12-30T09:59:59", "2011-12-30T10:00:00", "2011-12-30T10:00:00", "2011-12-31T10:00:00",
     2},
    {APIA, "month", "2011-11-30T12:00:00", "2011-12-31", "2011-12-30T12:00:00", "2012-01-29T12:00:00", 1},
    /* calendars: midnight, or when the day begins where there is none */
    {BERLIN, "month CALENDAR", "2025-02-17", "2025-04-10", "2025-03-31T22:00:00", "2025-04-30T22:00:00", 2},
    {SAO_PAULO, "day CALENDAR", "2018-10-20", "2018-10-21T05:00:00", "2018-10-21T03:00:00", "2018-10-22T02:00:00", 2},
    {UTC, "year CALENDAR FROM 04-06", "2025-01-31", "2025-04-05T23:59:59", "2024-04-06", "2025-04-06", 0},
    {UTC, "year CALENDAR FROM 04-06", "2025-01-31", "2025-04-06", "2025-04-06", "2026-04-06", 1},
    {UTC, "half-year CALENDAR FROM 04-06", "2025-01-31", "2025-12-01", "2025-10-06", "2026-04-06", 2},
    {UTC, "month CALENDAR FROM 30", "2025-03-05", "2025-03-05", "2025-02-28", "2025-03-30", 0},
    {UTC, "month CALENDAR FROM 31", "2025-03-05", "2025-05-30", "2025-04-30", "2025-05-31", 2},
    {UTC, "quarter CALENDAR", "2025-05-05", "2025-01-01", "2025-01-01", "2025-04-01", -1},
    {UTC, "year CALENDAR FROM 02-29", "2024-02-29", "2025-02-28", "2025-02-28", "2026-02-28", 1},
    {UTC, "5month CALENDAR", "1970-01-01", "1971-01-01", "1970-11-01", "1971-04-01", 2},
    {UTC, "5month CALENDAR FROM 03-15", "1970-01-01", "1970-03-15", "1970-03-15", "1970-08-15", 1},
    {UTC, "week CALENDAR", "2025-01-31", "2025-02-02T23:59:59", "2025-01-27", "2025-02-03", 0},
    {UTC, "week CALENDAR FROM sun", "2025-01-31", "2025-02-02", "2025-02-02", "2025-02-09", 1},
    {UTC, "2week CALENDAR", "1970-01-05", "1970-01-05", "1970-01-05", "1970-01-19", 0},
    {UTC, "2week CALENDAR FROM wed", "1970-01-07", "1970-01-06", "1969-12-24", "1970-01-07", -1},
    {UTC, "3day CALENDAR", "1970-01-01", "1970-01-06", "1970-01-04", "1970-01-07", 1},
    /* spans: time, not clocks; CALENDAR aligns them with the clock the anchor saw */
    {BERLIN, "90m", "2025-03-30T00:00:00", "2025-03-30T03:00:00", "2025-03-30T03:00:00", "2025-03-30T04:30:00", 2},
    {BERLIN, "90m", "2025-03-30T00:00:00", "2025-03-29T23:59:59", "2025-03-29T22:30:00", "2025-03-30T00:00:00", -1},
    {BERLIN, "1d CALENDAR", "2025-01-31T15:00:00", "2025-07-01T22:30:00", "2025-06-30T23:00:00", "2025-07-01T23:00:00",
     151},
    {JUNEAU, "hour CALENDAR", "1867-10-17T00:01:00", "1867-10-17T00:58:00", "1867-10-17T00:58:00",
     "1867-10-17T01:58:00", 1},
};

static void assert_cycle(struct cycle got, struct cycle expected, const char *what, size_t row)
{
    if (got.start_us == expected.start_us && got.end_us == expected.end_us && got.index == expected.index) return;
    char texts[4][RFC3339_SIZE];
    instant_to_rfc3339(got.start_us, texts[0]);
    instant_to_rfc3339(got.end_us, texts[1]);
    instant_to_rfc3339(expected.start_us, texts[2]);
    instant_to_rfc3339(expected.end_us, texts[3]);
    fail_msg("%s, row %zu: got %s … %s (%lld), expected %s … %s (%lld)", what, row, texts[0], texts[1],
             (long long)got.index, texts[2], texts[3], (long long)expected.index);
}

static void cycles_are_where_the_calendar_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cycle_rows); i++) {
        struct period period = period_of(cycle_rows[i].period);
        const struct zone *zone = zones[cycle_rows[i].zone];
        int64_t anchor_us = at(cycle_rows[i].anchor);
        struct cycle expected = {at(cycle_rows[i].start), at(cycle_rows[i].end), cycle_rows[i].index};
        assert_null(period_fault(&period));
        assert_cycle(period_cycle_at(&period, zone, anchor_us, at(cycle_rows[i].at)), expected, "at", i);
        assert_cycle(period_cycle(&period, zone, anchor_us, expected.index), expected, "numbered", i);
    }
}

static void a_day_that_never_came_is_an_empty_cycle(void **state)
{
    (void)state;
    struct period day = period_of("day CALENDAR");
    struct cycle cycle = period_cycle(&day, zones[APIA], at("2011-12-30T09:59:59"), 1);
    assert_cycle(cycle, (struct cycle){at("2011-12-30T10:00:00"), at("2011-12-30T10:00:00"), 1}, "skipped", 0);
}

/* Against walking: cycles that exist are counted, and found again by how many lie between. */
static void a_day_that_never_came_is_not_counted(void **state)
{
    (void)state;
    static const char *const periods[] = {"day CALENDAR", "day", "2day CALENDAR", "week", "24h"};
    for (size_t i = 0; i < COUNT_OF(periods); i++) {
        struct period period = period_of(periods[i]);
        int64_t anchor_us = at("2011-12-20T11:00:00");
        for (int64_t from = -3; from < 14; from++) {
            struct cycle first = period_cycle(&period, zones[APIA], anchor_us, from);
            for (int64_t to = from, counted = 0; first.start_us < first.end_us && to < 40; to++) {
                struct cycle cycle = period_cycle(&period, zones[APIA], anchor_us, to);
                bool exists = cycle.start_us < cycle.end_us;
                assert_int_equal(period_cycles_between(&period, zones[APIA], anchor_us, from, to), counted);
                if (exists) assert_int_equal(period_index_after(&period, zones[APIA], anchor_us, from, counted), to);
                counted += exists;
            }
        }
    }
}

static void forever_is_one_cycle(void **state)
{
    (void)state;
    struct period forever = period_of("forever");
    int64_t anchor_us = at("2025-01-31T15:00:00");
    struct cycle whole = {anchor_us, INT64_MAX, 0};
    assert_cycle(period_cycle_at(&forever, zones[BERLIN], anchor_us, anchor_us), whole, "now", 0);
    assert_cycle(period_cycle_at(&forever, zones[BERLIN], anchor_us, INSTANT_MAX_US), whole, "late", 0);
    assert_cycle(period_cycle_at(&forever, zones[BERLIN], anchor_us, 0), whole, "before", 0);
    assert_cycle(period_cycle(&forever, zones[BERLIN], anchor_us, 0), whole, "0", 0);
    struct cycle later = period_cycle(&forever, zones[BERLIN], anchor_us, 1);
    struct cycle earlier = period_cycle(&forever, zones[BERLIN], anchor_us, -1);
    assert_true(later.start_us == later.end_us && earlier.start_us == earlier.end_us);
}

/* ---- a calendar turned by hand --------------------------------------------------------------------------- */

#define BEGINNINGS_MAX 128
#define ODD_ONES       4 /* at the ends of the list cycles may miss a neighbour */

struct model {
    int count, zero; /* of the beginning that is the anchor, or of the cycle that holds it */
    int64_t begins_us[BEGINNINGS_MAX];
};

/* Turns the clock minute by minute until it shows the reading or has jumped over it. */
static int64_t model_resolve(const struct zone *zone, int64_t reading_us)
{
    for (int64_t minute = -26 * 60;; minute++) {
        int64_t instant_us = reading_us + minute * MICROS_PER_MINUTE;
        int64_t shown_us = instant_us + zone_offset_at(zone, instant_us);
        if (shown_us == reading_us) return instant_us;
        if (shown_us > reading_us) return reading_us - zone_offset_at(zone, instant_us - MICROS_PER_MINUTE);
    }
}

/* Does a cycle begin on this day, in an account whose anchor lies on that one? */
static bool model_begins(const struct period *period, int64_t days, int64_t anchor_days)
{
    struct civil date = civil_from_days(days), anchor = civil_from_days(anchor_days);
    if (period->unit == PERIOD_DAY) return floor_mod(days - (period->calendar ? 0 : anchor_days), period->count) == 0;
    if (period->unit == PERIOD_WEEK) {
        int64_t first_days = anchor_days;
        if (period->calendar) {
            for (first_days = 0; days_weekday(first_days) != period->from_weekday;) first_days++;
        }
        return floor_mod(days - first_days, 7 * period->count) == 0;
    }
    if (period->calendar) {
        anchor = (struct civil){1970, period->from_month ? period->from_month : 1, period->from_day};
        if (anchor.day == 0) anchor.day = 1;
    }
    int64_t months = 12 * (date.year - anchor.year) + date.month - anchor.month;
    int last = month_days(date.year, date.month);
    int day = period->end_of_month || anchor.day > last ? last : anchor.day;
    return date.day == day && floor_mod(months, period->count) == 0;
}

/* Days to look at on both sides of the anchor for enough beginnings. */
static int64_t model_reach_days(const struct period *period)
{
    int64_t days = period->unit == PERIOD_DAY ? 1 : period->unit == PERIOD_WEEK ? 7 : 31;
    return days * period->count * 12 + 3;
}

static int model_number_at(const struct model *model, int64_t at_us)
{
    int number = model->count - 1;
    while (number >= 0 && model->begins_us[number] > at_us) number--;
    return number;
}

static struct model model_of(const struct period *period, const struct zone *zone, int64_t anchor_us)
{
    struct model model = {.zero = -1};
    int64_t time_us = 0, local_us = anchor_us + zone_offset_at(zone, anchor_us);
    int64_t anchor_days = floor_div(local_us, DAY_US), reach = model_reach_days(period);
    if (!period->calendar) time_us = floor_mod(local_us, DAY_US);
    for (int64_t days = anchor_days - reach; days <= anchor_days + reach; days++) {
        if (!model_begins(period, days, anchor_days)) continue;
        assert_true(model.count < BEGINNINGS_MAX);
        if (days == anchor_days && !period->calendar) model.zero = model.count;
        model.begins_us[model.count++] = model_resolve(zone, days * DAY_US + time_us);
    }
    /* The anchor is the beginning of its own cycle: nothing later begins before it. */
    for (int i = model.zero; model.zero >= 0 && i < model.count; i++) {
        if (i == model.zero || model.begins_us[i] < anchor_us) model.begins_us[i] = anchor_us;
    }
    if (model.zero < 0) model.zero = model_number_at(&model, anchor_us);
    return model;
}

/* A cycle begins when the first of its own and all later beginnings has come. */
static int64_t model_start_us(const struct model *model, int number)
{
    int64_t start_us = INT64_MAX;
    for (int i = number; i < model->count; i++) {
        if (model->begins_us[i] < start_us) start_us = model->begins_us[i];
    }
    return start_us;
}

static struct cycle model_cycle(const struct model *model, int number)
{
    return (struct cycle){model_start_us(model, number), model_start_us(model, number + 1), number - model->zero};
}

static void compare_with_model(const struct period *period, const struct zone *zone, int64_t anchor_us, size_t row)
{
    struct model model = model_of(period, zone, anchor_us);
    assert_true(model.count > 2 * ODD_ONES);
    for (int number = ODD_ONES; number < model.count - ODD_ONES; number++) {
        struct cycle expected = model_cycle(&model, number);
        assert_cycle(period_cycle(period, zone, anchor_us, expected.index), expected, "numbered", row);
        if (expected.start_us == expected.end_us) continue;
        int64_t inside_us = random_between(expected.start_us, expected.end_us - 1);
        assert_int_equal(model_number_at(&model, inside_us), number);
        assert_cycle(period_cycle_at(period, zone, anchor_us, expected.start_us), expected, "first", row);
        assert_cycle(period_cycle_at(period, zone, anchor_us, inside_us), expected, "inside", row);
        assert_cycle(period_cycle_at(period, zone, anchor_us, expected.end_us - 1), expected, "last", row);
    }
}

static const char *const model_periods[] = {
    "day",
    "2day",
    "3day",
    "5day",
    "week",
    "2week",
    "month",
    "month EOM",
    "quarter",
    "7month",
    "year",
    "day CALENDAR",
    "2day CALENDAR",
    "3day CALENDAR",
    "week CALENDAR",
    "2week CALENDAR FROM sat",
    "month CALENDAR",
    "month CALENDAR FROM 30",
    "month CALENDAR EOM",
    "quarter CALENDAR FROM 02-29",
    "5month CALENDAR FROM 12-31",
    "year CALENDAR FROM 04-10",
};

/* An instant a few days from a change of the offset, wherever there is one. */
static int64_t random_anchor_us(const struct zone *zone, int64_t from_us)
{
    int64_t change_us = from_us;
    for (uint32_t i = random_below(TURNS_MAX) + 1; i > 0 && zone_next_change(zone, change_us, &change_us);) i--;
    int64_t near_us = change_us + random_between(-6 * DAY_US, 6 * DAY_US);
    switch (random_below(4)) {
    case 0: return change_us;
    case 1: return floor_div(near_us, H) * H;
    default: return near_us;
    }
}

static void cycles_agree_with_a_calendar_turned_by_hand(void **state)
{
    (void)state;
    for (size_t row = 0; row < COUNT_OF(model_periods); row++) {
        struct period period = period_of(model_periods[row]);
        for (int zone = 0; zone < ZONES_COUNT; zone++) {
            int anchors = period.unit == PERIOD_DAY ? 32 : 8;
            for (int i = 0; i < anchors; i++) {
                int64_t from_us = at(zone == JUNEAU ? "1867-10-01" : "2011-09-01");
                compare_with_model(&period, zones[zone], random_anchor_us(zones[zone], from_us), row);
            }
        }
    }
}

/* ---- the ends of time ------------------------------------------------------------------------------------ */

static int64_t random_instant_us(void)
{
    switch (random_below(5)) {
    case 0: return INSTANT_MAX_US - random_below(3);
    case 1: return -INSTANT_MAX_US + random_below(3);
    case 2: return random_between(-INSTANT_MAX_US, INSTANT_MAX_US);
    case 3: return (int64_t)random_below(3) - 1;
    default: return random_between(at("1800-01-01"), at("2200-01-01"));
    }
}

static struct period random_period(void)
{
    struct period period = {.unit = random_below(PERIOD_UNITS_COUNT), .calendar = random_below(2)};
    int64_t most = period.unit == PERIOD_FIXED ? DURATION_MAX_US : period.unit == PERIOD_FOREVER ? 1 : PERIOD_COUNT_MAX;
    period.count = random_below(2) ? random_between(1, most) : random_between(1, most < 13 ? most : 13);
    if (period.unit == PERIOD_FOREVER) period.calendar = false;
    if (period.unit == PERIOD_WEEK && period.calendar) period.from_weekday = (int)random_below(7);
    if (period.unit == PERIOD_MONTH && period.calendar) {
        period.from_month = (int)random_below(12) + 1;
        period.from_day = (int)random_below((uint32_t)month_days(2000, period.from_month)) + 1;
    }
    if (period.unit == PERIOD_MONTH) period.end_of_month = period.from_day <= 1 && random_below(3) == 0;
    return period;
}

static void any_instant_lies_in_its_cycle(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        struct period period = random_period(), plain;
        if (period_fault(&period)) fail_msg("%s", period_fault(&period));
        assert_true(period_from_code(period_code(&period), &plain));
        const struct zone *zone = zones[random_below(ZONES_COUNT)];
        int64_t anchor_us = random_instant_us(), at_us = random_instant_us();
        struct cycle cycle = period_cycle_at(&period, zone, anchor_us, at_us);
        assert_cycle(period_cycle_at(&plain, zone, anchor_us, at_us), cycle, "decoded", (size_t)i);
        if (period.unit == PERIOD_FOREVER) continue;
        assert_true(cycle.start_us <= at_us && at_us < cycle.end_us);
        bool countable = cycle.index > INT64_MIN && cycle.index < INT64_MAX;
        if (countable) {
            assert_cycle(period_cycle(&period, zone, anchor_us, cycle.index), cycle, "numbered", (size_t)i);
        }
        if (!period.calendar && !period.end_of_month) {
            assert_int_equal(period_cycle(&period, zone, anchor_us, 0).start_us, anchor_us);
        }
        if (cycle.end_us > INSTANT_MAX_US || !countable) continue;
        struct cycle next = period_cycle_at(&period, zone, anchor_us, cycle.end_us);
        assert_true(next.start_us == cycle.end_us && next.index > cycle.index);
    }
}

static void numbers_beyond_the_ends_are_empty_cycles(void **state)
{
    (void)state;
    const int64_t far[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX - 1, INT64_MAX, -(INT64_C(1) << 40), INT64_C(1) << 40};
    for (size_t i = 0; i < COUNT_OF(far) * 200; i++) {
        struct period period = random_period();
        if (period.unit == PERIOD_FIXED) period.count += H;
        int64_t index = far[i % COUNT_OF(far)];
        struct cycle cycle = period_cycle(&period, zones[random_below(ZONES_COUNT)], random_instant_us(), index);
        assert_true(cycle.start_us == cycle.end_us && cycle.index == index);
        assert_true(index < 0 ? cycle.end_us < INSTANT_MAX_US + 1 : cycle.start_us > INSTANT_MAX_US);
    }
    struct period moment = period_of("1us"); /* more cycles than an int64 has numbers */
    struct cycle cycle = period_cycle_at(&moment, zones[UTC], -INSTANT_MAX_US, INSTANT_MAX_US);
    assert_cycle(cycle, (struct cycle){INSTANT_MAX_US, INSTANT_MAX_US + 1, INT64_MAX}, "1us", 0);
    assert_int_equal(period_cycle_at(&moment, zones[UTC], INSTANT_MAX_US, -INSTANT_MAX_US).index, INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_period_is_meant_by_its_unit_and_count),
        cmocka_unit_test(words_are_read_and_written),
        cmocka_unit_test(from_fits_the_unit),
        cmocka_unit_test(equal_periods_have_equal_numbers),
        cmocka_unit_test(numbers_are_periods_and_back),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(cycles_are_where_the_calendar_says),
        cmocka_unit_test(a_day_that_never_came_is_an_empty_cycle),
        cmocka_unit_test(a_day_that_never_came_is_not_counted),
        cmocka_unit_test(forever_is_one_cycle),
        cmocka_unit_test(cycles_agree_with_a_calendar_turned_by_hand),
        cmocka_unit_test(any_instant_lies_in_its_cycle),
        cmocka_unit_test(numbers_beyond_the_ends_are_empty_cycles),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

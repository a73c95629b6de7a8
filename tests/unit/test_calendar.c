/* Tests of civil dates and of the text form of instants.
 *
 * The slow model is a person with a wall calendar: it knows the lengths of the months and walks day by
 * day. */
#include "quota/time/calendar.h"
#include "quota/time/duration.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "tools.h"
#include <cmocka.h>

#define SEED UINT64_C(20250131)

static int print_seed(void **state)
{
    (void)state;
    random_begin(SEED);
    return 0;
}

static void assert_date(struct civil date, int64_t year, int month, int day)
{
    if (date.year != year || date.month != month || date.day != day) {
        fail_msg("%lld-%d-%d, expected %lld-%d-%d", (long long)date.year, date.month, date.day, (long long)year, month,
                 day);
    }
}

/* ---- the model ----------------------------------------------------------------------------------------- */

static int model_month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static struct civil model_next_day(struct civil date)
{
    if (++date.day <= model_month_days(date.year, date.month)) return date;
    date.day = 1;
    if (++date.month <= 12) return date;
    date.month = 1;
    date.year++;
    return date;
}

/* ---- dates --------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    int64_t days, year;
    int month, day, weekday;
} known_days[] = {
    /* the epoch, a Thursday */
    {0, 1970, 1, 1, 3},
    {-1, 1969, 12, 31, 2},
    {1, 1970, 1, 2, 4},
    /* around leap days: a fourth year, a century, a fourth century */
    {19782, 2024, 2, 29, 3},
    {19783, 2024, 3, 1, 4},
    {-25509, 1900, 2, 28, 2},
    {-25508, 1900, 3, 1, 3},
    {11016, 2000, 2, 29, 1},
    {11017, 2000, 3, 1, 2},
    {47540, 2100, 2, 28, 6},
    {47541, 2100, 3, 1, 0},
    /* the first day of the Gregorian calendar in Rome, a Friday; J2000, a Saturday */
    {-141427, 1582, 10, 15, 4},
    {10957, 2000, 1, 1, 5},
    /* year 1, year 0 (a leap year) and before */
    {-719162, 1, 1, 1, 0},
    {-719163, 0, 12, 31, 6},
    {-719468, 0, 3, 1, 2},
    {-719469, 0, 2, 29, 1},
    {-719529, -1, 12, 31, 4},
    /* the day number 0 of Julian dates: -4713-11-24, a Monday; of Lilian dates; the last of four
     * digits */
    {-2440588, -4713, 11, 24, 0},
    {-141428, 1582, 10, 14, 3},
    {2932896, 9999, 12, 31, 4},
};
/* clang-format on */

static void known_days_have_their_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known_days); i++) {
        struct civil date = {known_days[i].year, known_days[i].month, known_days[i].day};
        assert_int_equal(days_from_civil(date), known_days[i].days);
        assert_date(civil_from_days(known_days[i].days), known_days[i].year, known_days[i].month, known_days[i].day);
        assert_int_equal(days_weekday(known_days[i].days), known_days[i].weekday);
        assert_int_equal(civil_weekday(date), known_days[i].weekday);
    }
}

/* Eleven million days, each compared with the wall calendar. */
static void thirty_thousand_years_agree_with_a_walk_day_by_day(void **state)
{
    (void)state;
    struct civil model = {-10000, 1, 1};
    int64_t days = days_from_civil(model);
    int weekday = days_weekday(days);

    assert_int_equal(days, -719528 - 25 * 146097); /* 0000-01-01 less 25 times 400 years */
    for (; model.year <= 20000; days++) {
        struct civil date = civil_from_days(days);
        if (date.year != model.year || date.month != model.month || date.day != model.day ||
            days_from_civil(model) != days || days_weekday(days) != weekday) {
            fail_msg("day %lld", (long long)days);
        }
        model = model_next_day(model);
        weekday = (weekday + 1) % 7;
    }
    assert_int_equal(days, -719528 + 50 * 146097 + 366); /* the day after 20000-12-31 */
}

static void months_and_years_have_their_lengths(void **state)
{
    (void)state;
    for (int64_t year = -1000; year <= 3000; year++) {
        for (int month = 1; month <= 12; month++) {
            assert_int_equal(month_days(year, month), model_month_days(year, month));
        }
        assert_int_equal(year_is_leap(year), model_month_days(year, 2) == 29);
    }
}

static void only_days_that_exist_are_valid(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        int64_t year;
        int month, day;
        bool valid;
    } rows[] = {
        /* ends of months */
        {2025, 1, 31, true},
        {2025, 1, 32, false},
        {2025, 4, 30, true},
        {2025, 4, 31, false},
        {2025, 1, 0, false},
        /* leap days */
        {2024, 2, 29, true},
        {2025, 2, 29, false},
        {1900, 2, 29, false},
        {2000, 2, 29, true},
        {0, 2, 29, true},
        {-4, 2, 29, true},
        /* months */
        {2025, 0, 1, false},
        {2025, 13, 1, false},
        {2025, -1, 1, false},
        /* years */
        {CALENDAR_YEAR_LIMIT, 12, 31, true},
        {CALENDAR_YEAR_LIMIT + 1, 1, 1, false},
        {-CALENDAR_YEAR_LIMIT, 1, 1, true},
        {-CALENDAR_YEAR_LIMIT - 1, 12, 31, false},
        {INT64_MIN, 1, 1, false},
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(civil_valid((struct civil){rows[i].year, rows[i].month, rows[i].day}), rows[i].valid);
    }
}

static void years_are_held_within_their_limit(void **state)
{
    (void)state;
    struct civil last = {CALENDAR_YEAR_LIMIT, 12, 31}, first = {-CALENDAR_YEAR_LIMIT, 1, 1};

    /* the limits themselves are ordinary days */
    assert_date(civil_from_days(days_from_civil(last)), CALENDAR_YEAR_LIMIT, 12, 31);
    assert_date(civil_from_days(days_from_civil(first)), -CALENDAR_YEAR_LIMIT, 1, 1);
    assert_date(civil_from_days(days_from_civil(last) - 366), CALENDAR_YEAR_LIMIT - 1, 12, 31);

    /* beyond them: held, no overflow */
    assert_date(civil_from_days(days_from_civil(last) + 1), CALENDAR_YEAR_LIMIT, 12, 31);
    assert_date(civil_from_days(days_from_civil(first) - 1), -CALENDAR_YEAR_LIMIT, 1, 1);
    assert_date(civil_from_days(INT64_MAX), CALENDAR_YEAR_LIMIT, 12, 31);
    assert_date(civil_from_days(INT64_MIN), -CALENDAR_YEAR_LIMIT, 1, 1);
    assert_int_equal(days_from_civil((struct civil){INT64_MAX, 12, 31}), days_from_civil(last));
    assert_int_equal(days_from_civil((struct civil){INT64_MIN, 1, 1}), days_from_civil(first));
    assert_in_range(days_weekday(INT64_MAX), 0, 6);
    assert_in_range(days_weekday(INT64_MIN), 0, 6);
}

static void days_outside_their_month_count_on(void **state)
{
    (void)state;
    assert_int_equal(days_from_civil((struct civil){2025, 3, 0}), days_from_civil((struct civil){2025, 2, 28}));
    assert_int_equal(days_from_civil((struct civil){2025, 2, 31}), days_from_civil((struct civil){2025, 3, 3}));
    assert_int_equal(days_from_civil((struct civil){2025, 1, 366}), days_from_civil((struct civil){2026, 1, 1}));
}

static void floors_round_towards_the_past(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        int64_t dividend, divisor, quotient, rest;
    } rows[] = {
        /* either sign, exact or not */
        {7, 3, 2, 1},
        {-7, 3, -3, 2},
        {6, 3, 2, 0},
        {-6, 3, -2, 0},
        {-1, 3, -1, 2},
        {0, 3, 0, 0},
        /* the ends of int64 */
        {INT64_MAX, 1, INT64_MAX, 0},
        {INT64_MIN, 1, INT64_MIN, 0},
        {INT64_MIN, INT64_MAX, -2, INT64_MAX - 1},
        {INT64_MIN, 2, INT64_MIN / 2, 0},
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(floor_div(rows[i].dividend, rows[i].divisor) == rows[i].quotient);
        assert_true(floor_mod(rows[i].dividend, rows[i].divisor) == rows[i].rest);
    }
}

/* ---- months -------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    struct civil anchor;
    int64_t months;
    struct civil sum;
} sums[] = {
    /* Jan 31: shorter months clamp, longer ones snap back */
    {{2025, 1, 31}, 0, {2025, 1, 31}},
    {{2025, 1, 31}, 1, {2025, 2, 28}},
    {{2025, 1, 31}, 2, {2025, 3, 31}},
    {{2025, 1, 31}, 3, {2025, 4, 30}},
    {{2025, 1, 31}, 13, {2026, 2, 28}},
    {{2025, 1, 31}, 37, {2028, 2, 29}},
    /* days 29 and 30 meet only February */
    {{2025, 1, 30}, 1, {2025, 2, 28}},
    {{2024, 1, 29}, 1, {2024, 2, 29}},
    {{2023, 1, 29}, 1, {2023, 2, 28}},
    /* a leap day: each year, a year and a month (not by way of Feb 28), each fourth, each century */
    {{2024, 2, 29}, 12, {2025, 2, 28}},
    {{2024, 2, 29}, 13, {2025, 3, 29}},
    {{2024, 2, 29}, 48, {2028, 2, 29}},
    {{1896, 2, 29}, 48, {1900, 2, 28}},
    {{1996, 2, 29}, 48, {2000, 2, 29}},
    /* over the turn of the year, quarters */
    {{2025, 11, 30}, 3, {2026, 2, 28}},
    {{2025, 12, 31}, 1, {2026, 1, 31}},
    {{2025, 8, 31}, 6, {2026, 2, 28}},
    /* backwards, over year 0 */
    {{2025, 3, 31}, -1, {2025, 2, 28}},
    {{2025, 1, 31}, -2, {2024, 11, 30}},
    {{2025, 1, 15}, -12, {2024, 1, 15}},
    {{1, 1, 31}, -1, {0, 12, 31}},
    {{0, 1, 31}, -1, {-1, 12, 31}},
    {{0, 3, 31}, -1, {0, 2, 29}},
    /* far: held within the limit, no overflow */
    {{2025, 1, 31}, INT64_MAX, {CALENDAR_YEAR_LIMIT, 12, 31}},
    {{2025, 1, 31}, INT64_MIN, {-CALENDAR_YEAR_LIMIT, 1, 31}},
    {{CALENDAR_YEAR_LIMIT, 12, 31}, 1, {CALENDAR_YEAR_LIMIT, 12, 31}},
};
/* clang-format on */

static void months_are_added_to_the_anchor_and_clamped_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sums); i++) {
        struct civil sum = civil_add_months(sums[i].anchor, sums[i].months);
        assert_date(sum, sums[i].sum.year, sums[i].sum.month, sums[i].sum.day);
    }
}

/* The model turns the leaves of the calendar one by one and looks for the anchor's day on the last leaf. */
static void adding_months_agrees_with_turning_leaves(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct civil anchor = civil_from_days(random_between(-1000000, 3000000));
        int months = (int)random_between(-500, 500);
        int64_t year = anchor.year;
        int month = anchor.month;
        for (int i = 0; i < abs(months); i++) {
            month += months < 0 ? -1 : 1;
            if (month == 0 || month == 13) {
                year += months < 0 ? -1 : 1;
                month = month == 0 ? 12 : 1;
            }
        }
        int last_day = model_month_days(year, month);
        struct civil sum = civil_add_months(anchor, months);
        assert_date(sum, year, month, anchor.day < last_day ? anchor.day : last_day);
        assert_int_equal(civil_month_index(sum) - civil_month_index(anchor), months);
    }
}

/* ---- local times --------------------------------------------------------------------------------------- */

static void local_times_split_into_date_and_time_and_join_again(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        int64_t local_us, year;
        int month, day;
        int64_t time_us;
    } rows[] = {
        /* the epoch's neighbours */
        {0, 1970, 1, 1, 0},
        {-1, 1969, 12, 31, MICROS_PER_DAY - 1},
        {MICROS_PER_DAY - 1, 1970, 1, 1, MICROS_PER_DAY - 1},
        {MICROS_PER_DAY, 1970, 1, 2, 0},
        /* the ends of int64, of which the first day is not whole */
        {INT64_MAX, 294247, 1, 10, INT64_C(14454775807)},
        {INT64_MIN, -290308, 12, 21, INT64_C(71945224192)},
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t time_us, local_us;
        struct civil date = civil_from_local(rows[i].local_us, &time_us);
        assert_date(date, rows[i].year, rows[i].month, rows[i].day);
        assert_int_equal(time_us, rows[i].time_us);
        assert_true(local_from_civil(date, time_us, &local_us));
        assert_true(local_us == rows[i].local_us);
    }
    for (int round = 0; round < 100000; round++) {
        int64_t time_us, joined_us, local_us = (int64_t)random_bits();
        struct civil date = civil_from_local(local_us, &time_us);
        assert_true(civil_valid(date) && time_us >= 0 && time_us < MICROS_PER_DAY);
        assert_true(local_from_civil(date, time_us, &joined_us) && joined_us == local_us);
    }
}

static void local_times_outside_int64_are_refused(void **state)
{
    (void)state;
    int64_t local_us = 42;
    assert_false(local_from_civil((struct civil){294247, 1, 10}, INT64_C(14454775808), &local_us));
    assert_false(local_from_civil((struct civil){-290308, 12, 21}, INT64_C(71945224191), &local_us));
    assert_false(local_from_civil((struct civil){294248, 1, 1}, 0, &local_us));
    assert_false(local_from_civil((struct civil){INT64_MAX, 1, 1}, 0, &local_us));
    assert_false(local_from_civil((struct civil){INT64_MIN, 1, 1}, INT64_MIN, &local_us));
    assert_int_equal(local_us, 42);
}

/* ---- RFC 3339 ------------------------------------------------------------------------------------------ */

/* clang-format off */
static const struct {
    const char *text;
    int64_t instant_us;
} well_formed[] = {
    /* plain */
    {"1970-01-01T00:00:00Z", 0},
    {"2025-01-31T15:00:00Z", INT64_C(1738335600000000)},
    {"1969-12-31T23:59:59Z", -MICROS_PER_SECOND},
    /* small letters are allowed by 5.6 */
    {"2025-01-31t15:00:00z", INT64_C(1738335600000000)},
    /* fractions: any number of digits, cut off after the sixth, towards the past on both sides of 1970 */
    {"1970-01-01T00:00:00.5Z", 500000},
    {"1970-01-01T00:00:00.05Z", 50000},
    {"1970-01-01T00:00:00.000001Z", 1},
    {"1970-01-01T00:00:00.0000019Z", 1},
    {"1970-01-01T00:00:00.99999999999999999999999999999999999999Z", 999999},
    {"1969-12-31T23:59:59.9999999Z", -1},
    {"1969-12-31T23:59:59.5Z", -500000},
    /* offsets: east is earlier */
    {"1970-01-01T02:00:00+02:00", 0},
    {"1969-12-31T16:00:00-08:00", 0},
    {"1970-01-01T05:45:00+05:45", 0},
    {"1970-01-01T00:00:00-00:00", 0},
    {"1970-01-01T23:59:00+23:59", 0},
    /* the examples of RFC 3339 5.8 */
    {"1985-04-12T23:20:50.52Z", INT64_C(482196050520000)},
    {"1996-12-19T16:39:57-08:00", INT64_C(851042397000000)},
    {"1937-01-01T12:00:27.87+00:20", INT64_C(-1041337172130000)},
    /* leap days and the ends of the years */
    {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
    {"2000-02-29T00:00:00Z", INT64_C(951782400000000)},
    {"0000-01-01T00:00:00Z", INT64_C(-62167219200000000)},
    {"0000-01-01T00:00:00+23:59", INT64_C(-62167305540000000)},
    {"9999-12-31T23:59:59.999999-23:59", INT64_C(253402387139999999)},
};
/* clang-format on */

static void well_formed_texts_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(well_formed); i++) {
        int64_t instant_us = 42;
        if (!instant_from_rfc3339(well_formed[i].text, strlen(well_formed[i].text), &instant_us))
            fail_msg("%s", well_formed[i].text);
        assert_true(instant_us == well_formed[i].instant_us);
    }
}

/* clang-format off */
static const char *const ill_formed[] = {
    /* parts missing, or nothing at all */
    "",
    "2",
    "2025",
    "2025-01-31",
    "2025-01-31T15:00:00",
    "2025-01-31T15:00Z",
    "15:00:00Z",
    "2025-01-31T15:00:00.Z",
    "2025-01-31T15:00:00+",
    "2025-01-31T15:00:00+01",
    "2025-01-31T15:00:00+0100",
    "2025-01-31T15:00:00+01:",
    "2025-01-31T15:00:00+01:0",
    /* something before, between or after */
    " 2025-01-31T15:00:00Z",
    "2025-01-31T15:00:00Z ",
    "2025-01-31T15:00:00ZZ",
    "+2025-01-31T15:00:00Z",
    "2025-01-31 15:00:00Z",
    "2025-01-31T15:00:00 Z",
    "2025-01-31T15:00:00Z+01:00",
    "2025-01-31T15:00:00,5Z",
    "2025/01/31T15:00:00Z",
    "2025-01-31T15.00.00Z",
    "12025-01-31T15:00:00Z",
    "-2025-01-31T15:00:00Z",
    /* too few digits, no digits */
    "2025-1-31T15:00:00Z",
    "2025-01-1T15:00:00Z",
    "2025-01-31T5:00:00Z",
    "25-01-31T15:00:00Z",
    "2025-01-31T15:00:0Z",
    "2025-01-31T15:00:-1Z",
    "2025-01-31T15:0x:00Z",
    "20 5-01-31T15:00:00Z",
    /* days that do not exist */
    "2025-00-10T00:00:00Z",
    "2025-13-10T00:00:00Z",
    "2025-01-00T00:00:00Z",
    "2025-01-32T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2025-04-31T00:00:00Z",
    /* times that do not exist: a second 60 has no instant, even where there was one */
    "2025-01-31T24:00:00Z",
    "2025-01-31T23:60:00Z",
    "2025-01-31T23:59:60Z",
    "2016-12-31T23:59:60Z",
    "2025-01-31T15:00:61Z",
    /* offsets out of range */
    "2025-01-31T15:00:00+24:00",
    "2025-01-31T15:00:00-01:60",
    "2025-01-31T15:00:00+99:99",
    /* other forms of ISO 8601 */
    "20250131T150000Z",
    "2025-W05-5T15:00:00Z",
    "2025-031T15:00:00Z",
};
/* clang-format on */

static void everything_else_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ill_formed); i++) {
        int64_t instant_us = 42;
        if (instant_from_rfc3339(ill_formed[i], strlen(ill_formed[i]), &instant_us))
            fail_msg("read: %s", ill_formed[i]);
        assert_int_equal(instant_us, 42);
    }
    /* a NUL is a character like others; bytes after the length are not read */
    int64_t instant_us = 42;
    assert_false(instant_from_rfc3339("2025-01-31T15:00:00Z", 21, &instant_us));
    assert_false(instant_from_rfc3339("2025-01-31\0T15:00:00Z", 21, &instant_us));
    assert_true(instant_from_rfc3339("2025-01-31T15:00:00Zzzz", 20, &instant_us));
    assert_false(instant_from_rfc3339(NULL, 0, &instant_us));
}

static void instants_are_written_as_short_as_exact(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        int64_t instant_us;
        const char *text;
    } rows[] = {
        /* whole seconds, ms, us */
        {0, "1970-01-01T00:00:00Z"},
        {INT64_C(1738335600000000), "2025-01-31T15:00:00Z"},
        {500000, "1970-01-01T00:00:00.500Z"},
        {1000, "1970-01-01T00:00:00.001Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {INT64_C(1738335600123456), "2025-01-31T15:00:00.123456Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        /* the ends of the years, and beyond them nothing */
        {INT64_C(-62167219200000000), "0000-01-01T00:00:00Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
        {INT64_C(-62167219200000001), ""},
        {INT64_C(253402300800000000), ""},
        {INT64_MIN, ""},
        {INT64_MAX, ""},
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[RFC3339_SIZE];
        memset(text, 'x', sizeof(text));
        assert_int_equal(instant_to_rfc3339(rows[i].instant_us, text), strlen(rows[i].text));
        assert_string_equal(text, rows[i].text);
    }
}

static void writing_and_reading_is_the_identity(void **state)
{
    (void)state;
    for (int round = 0; round < 100000; round++) {
        int64_t unit_us = round % 3 == 0 ? 1 : round % 3 == 1 ? MICROS_PER_MILLI : MICROS_PER_SECOND;
        int64_t instant_us =
            random_between(INT64_C(-62167219200000000) / unit_us, INT64_C(253402300799999999) / unit_us) * unit_us;
        char text[RFC3339_SIZE];
        int64_t read_us = 0;
        size_t length = instant_to_rfc3339(instant_us, text);
        assert_true(length > 0 && instant_from_rfc3339(text, length, &read_us));
        assert_true(read_us == instant_us);
    }
}

/* Whatever a damaged text still means, it means it by the grammar: written again and read again it is the
 * same. */
static void damaged_texts_are_refused_or_mean_something(void **state)
{
    (void)state;
    static const char good[] = "2025-01-31T15:00:00.25+01:30";

    for (size_t at = 0; at < sizeof(good) - 1; at++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[sizeof(good)], again[RFC3339_SIZE];
            int64_t instant_us, again_us = 0;
            memcpy(text, good, sizeof(good));
            text[at] = (char)byte;
            if (!instant_from_rfc3339(text, sizeof(good) - 1, &instant_us)) continue;
            size_t length = instant_to_rfc3339(instant_us, again);
            assert_true(instant_from_rfc3339(again, length, &again_us) && again_us == instant_us);
        }
        int64_t instant_us;
        assert_false(instant_from_rfc3339(good, at, &instant_us)); /* cut short */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_days_have_their_numbers),
        cmocka_unit_test(thirty_thousand_years_agree_with_a_walk_day_by_day),
        cmocka_unit_test(months_and_years_have_their_lengths),
        cmocka_unit_test(only_days_that_exist_are_valid),
        cmocka_unit_test(years_are_held_within_their_limit),
        cmocka_unit_test(days_outside_their_month_count_on),
        cmocka_unit_test(floors_round_towards_the_past),
        cmocka_unit_test(months_are_added_to_the_anchor_and_clamped_once),
        cmocka_unit_test(adding_months_agrees_with_turning_leaves),
        cmocka_unit_test(local_times_split_into_date_and_time_and_join_again),
        cmocka_unit_test(local_times_outside_int64_are_refused),
        cmocka_unit_test(well_formed_texts_are_read),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(instants_are_written_as_short_as_exact),
        cmocka_unit_test(writing_and_reading_is_the_identity),
        cmocka_unit_test(damaged_texts_are_refused_or_mean_something),
    };
    return cmocka_run_group_tests(tests, print_seed, NULL);
}

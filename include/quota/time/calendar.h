/* Civil dates on the Gregorian calendar, extended to all years before and after, and the text form of
 * instants.
 *
 *     local_us ──▶ ┌────────── days ──────────┬── time_of_day_us ──┐
 *                  │ 0 = 1970-01-01, Thursday │ 0 … MICROS_PER_DAY-1
 *                  └──▶ struct civil {year, month, day}            │
 *
 *     anchor Jan 31 + 1 month ──▶ Feb 28 (clamped to the month's last day)
 *            Jan 31 + 2 months ─▶ Mar 31 (counted from the anchor, so the clamp does not stick)
 *
 * Nothing here knows of time zones: a day has 86400 s and a local time is a count of us since
 * 1970-01-01T00:00 on a wall clock (zone.h turns one into the other). Year 0 is the year before year 1. All
 * functions are total: years are held within +-CALENDAR_YEAR_LIMIT, far outside what an int64 of microseconds
 * reaches (+-292277 years).
 *
 * Source: C. Neri, L. Schneider, "Euclidean affine functions and their application to calendar algorithms",
 * Software: Practice and Experience 53 (2023); H. Hinnant, "chrono-compatible low-level date algorithms"
 * (2013); RFC 3339 for the text form. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALENDAR_YEAR_LIMIT INT64_C(1000000000)

struct civil {
    int64_t year;
    int month; /* 1 … 12 */
    int day;   /* 1 … last day of the month */
};

/* Quotient rounded towards minus infinity, and what remains (0 … divisor - 1); `divisor` > 0. */
static inline int64_t floor_div(int64_t dividend, int64_t divisor)
{
    return dividend / divisor - (dividend % divisor < 0);
}

static inline int64_t floor_mod(int64_t dividend, int64_t divisor)
{
    int64_t rest = dividend % divisor;
    return rest < 0 ? rest + divisor : rest;
}

/* Every fourth year, of the centuries only every fourth. */
bool year_is_leap(int64_t year);

/* 28 … 31; `month` is 1 … 12. */
int month_days(int64_t year, int month);

/* True when the year is within the limit, the month within 1 … 12 and the day exists. */
bool civil_valid(struct civil date);

/* Days from 1970-01-01 to `date`. `month` must be 1 … 12; a day outside its month counts on into the
 * neighbours (day 0 is the day before the first). */
int64_t days_from_civil(struct civil date);

/* The date `days` after 1970-01-01. */
struct civil civil_from_days(int64_t days);

/* Monday = 0 … Sunday = 6. */
int days_weekday(int64_t days);
int civil_weekday(struct civil date);

/* Months since January of year 0: counts whole months between two dates by subtraction. */
int64_t civil_month_index(struct civil date);

/* The same day `months` later (earlier, if negative), or that month's last day if it is shorter. Years are 12
 * months. Count from the original anchor each time: adding to a result would keep the clamp. */
struct civil civil_add_months(struct civil anchor, int64_t months);

/* The date on a wall clock showing `local_us`; *time_of_day_us becomes the time since its midnight. */
struct civil civil_from_local(int64_t local_us, int64_t *time_of_day_us);

/* The wall clock reading of a date and a time since its midnight; the time may be negative or exceed a day.
 * False, and *local_us untouched, when an int64 cannot hold it. */
bool local_from_civil(struct civil date, int64_t time_of_day_us, int64_t *local_us);

/* Reads an RFC 3339 date-time, all `length` bytes of it:
 *
 *     2025-01-31T15:00:00[.digits](Z | +hh:mm | -hh:mm)
 *
 * `t` and `z` may be small; digits of the fraction after the sixth are cut off (towards the past). Years
 * are 0000 … 9999. False, and *instant_us untouched, on anything else: a blank instead of the T, a missing
 * offset, a day that does not exist, 24:00, and second 60, because an instant has no place for a leap
 * second. */
bool instant_from_rfc3339(const char *text, size_t length, int64_t *instant_us);

#define RFC3339_SIZE 28 /* "2025-01-31T15:00:00.123456Z" and its final NUL */

/* Writes an instant in UTC, with no fraction, three or six digits, whichever is exact; returns the length
 * without the NUL. Outside the years 0000 … 9999 there is no such text: returns 0 and writes "". */
size_t instant_to_rfc3339(int64_t instant_us, char text[RFC3339_SIZE]);

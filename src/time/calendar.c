/* Turns day numbers into civil dates and back, adds months, reads and writes RFC 3339.
 *
 * The year is taken to begin in March, so that the leap day is its last and the months' lengths before it
 * follow one straight line:
 *
 *     month      Mar Apr May Jun Jul Aug Sep Oct Nov Dec Jan Feb
 *     m            0   1   2   3   4   5   6   7   8   9  10  11
 *     days before  0  31  61  92 122 153 184 214 245 275 306 337    = (153 m + 2) / 5
 *
 * and the reverse of (a n + b) / c is (c d + c - 1 - b) / a: no table, no loop, no branch (Neri and
 * Schneider). */
#include "quota/time/calendar.h"
#include "quota/base/checked.h"
#include "quota/time/duration.h"

#define DAYS_PER_400_YEARS INT64_C(146097)
#define DAYS_PER_4_YEARS   INT64_C(1461)
#define EPOCH_DAYS         INT64_C(719468)             /* from 0000-03-01 to 1970-01-01 */
#define DAYS_LIMIT         (367 * CALENDAR_YEAR_LIMIT) /* no year is longer: clamps before overflow */

bool year_is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int month_days(int64_t year, int month)
{
    if (month == 2) return year_is_leap(year) ? 29 : 28;
    return 30 + ((month + (month >> 3)) & 1); /* the odd ones are long up to July, the even ones from August */
}

bool civil_valid(struct civil date)
{
    if (date.year < -CALENDAR_YEAR_LIMIT || date.year > CALENDAR_YEAR_LIMIT) return false;
    if (date.month < 1 || date.month > 12) return false;
    return date.day >= 1 && date.day <= month_days(date.year, date.month);
}

int64_t days_from_civil(struct civil date)
{
    int64_t year = wide_clamp(date.year, -CALENDAR_YEAR_LIMIT, CALENDAR_YEAR_LIMIT);
    int64_t month = date.month - 3;
    if (month < 0) {
        month += 12;
        year--;
    }
    int64_t leap_days = floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400);
    return 365 * year + leap_days + (153 * month + 2) / 5 + date.day - 1 - EPOCH_DAYS;
}

struct civil civil_from_days(int64_t days)
{
    int64_t since_march = wide_clamp(days, -DAYS_LIMIT, DAYS_LIMIT) + EPOCH_DAYS;

    int64_t century = floor_div(4 * since_march + 3, DAYS_PER_400_YEARS);
    int64_t day_of_century = floor_mod(4 * since_march + 3, DAYS_PER_400_YEARS) / 4;
    int64_t year_of_century = (4 * day_of_century + 3) / DAYS_PER_4_YEARS;
    int64_t day_of_year = (4 * day_of_century + 3) % DAYS_PER_4_YEARS / 4;
    int64_t month = (5 * day_of_year + 2) / 153;
    int64_t day = day_of_year - (153 * month + 2) / 5;

    int64_t year = 100 * century + year_of_century + (month >= 10);
    if (year > CALENDAR_YEAR_LIMIT) return (struct civil){CALENDAR_YEAR_LIMIT, 12, 31};
    if (year < -CALENDAR_YEAR_LIMIT) return (struct civil){-CALENDAR_YEAR_LIMIT, 1, 1};
    return (struct civil){year, (int)(month >= 10 ? month - 9 : month + 3), (int)day + 1};
}

int days_weekday(int64_t days)
{
    return (int)((floor_mod(days, 7) + 3) % 7); /* day 0 was a Thursday */
}

int civil_weekday(struct civil date)
{
    return days_weekday(days_from_civil(date));
}

int64_t civil_month_index(struct civil date)
{
    return 12 * wide_clamp(date.year, -CALENDAR_YEAR_LIMIT, CALENDAR_YEAR_LIMIT) + date.month - 1;
}

struct civil civil_add_months(struct civil anchor, int64_t months)
{
    int64_t index =
        wide_clamp((wide)civil_month_index(anchor) + months, -12 * CALENDAR_YEAR_LIMIT, 12 * CALENDAR_YEAR_LIMIT + 11);
    struct civil date = {floor_div(index, 12), (int)floor_mod(index, 12) + 1, anchor.day};
    int last_day = month_days(date.year, date.month);
    if (date.day > last_day) date.day = last_day;
    return date;
}

struct civil civil_from_local(int64_t local_us, int64_t *time_of_day_us)
{
    *time_of_day_us = floor_mod(local_us, MICROS_PER_DAY);
    return civil_from_days(floor_div(local_us, MICROS_PER_DAY));
}

bool local_from_civil(struct civil date, int64_t time_of_day_us, int64_t *local_us)
{
    /* 128 bits: the last representable day begins inside an int64 and the first one does not. */
    wide total_us = (wide)MICROS_PER_DAY * days_from_civil(date) + time_of_day_us;
    if (total_us < INT64_MIN || total_us > INT64_MAX) return false;
    *local_us = (int64_t)total_us;
    return true;
}

/* Reads fixed forms from the left; the first byte that does not fit sets `bad`, which the caller checks once. */
struct reader {
    const char *text;
    size_t size, at;
    bool bad;
};

static bool reader_sees_digit(const struct reader *reader)
{
    return reader->at < reader->size && reader->text[reader->at] >= '0' && reader->text[reader->at] <= '9';
}

/* Exactly `digits` digits, `most` at most. */
static int read_number(struct reader *reader, int digits, int most)
{
    int number = 0;
    for (int i = 0; i < digits; i++) {
        if (!reader_sees_digit(reader)) {
            reader->bad = true;
            return 0;
        }
        number = number * 10 + (reader->text[reader->at++] - '0');
    }
    if (number > most) reader->bad = true;
    return number;
}

/* The next character if it is one of `choice`, else NUL and bad. */
static char read_one_of(struct reader *reader, const char *choice)
{
    for (; *choice != '\0' && reader->at < reader->size; choice++) {
        if (reader->text[reader->at] == *choice) return reader->text[reader->at++];
    }
    reader->bad = true;
    return '\0';
}

/* [.digits]: any number of them; those after the sixth are below a microsecond. */
static int64_t read_fraction_us(struct reader *reader)
{
    int64_t fraction_us = 0;
    if (reader->at == reader->size || reader->text[reader->at] != '.') return 0;
    reader->at++;
    if (!reader_sees_digit(reader)) reader->bad = true;
    for (int64_t unit_us = MICROS_PER_SECOND / 10; reader_sees_digit(reader); unit_us /= 10) {
        fraction_us += unit_us * (reader->text[reader->at++] - '0');
    }
    return fraction_us;
}

/* Z | +hh:mm | -hh:mm, east positive. */
static int64_t read_offset_us(struct reader *reader)
{
    char sign = read_one_of(reader, "Zz+-");
    if (sign != '+' && sign != '-') return 0;
    int64_t hours = read_number(reader, 2, 23);
    read_one_of(reader, ":");
    int64_t minutes = read_number(reader, 2, 59);
    int64_t offset_us = hours * MICROS_PER_HOUR + minutes * MICROS_PER_MINUTE;
    return sign == '-' ? -offset_us : offset_us;
}

bool instant_from_rfc3339(const char *text, size_t length, int64_t *instant_us)
{
    struct reader reader = {.text = text, .size = length};
    struct civil date = {0, 1, 1};

    date.year = read_number(&reader, 4, 9999);
    read_one_of(&reader, "-");
    date.month = read_number(&reader, 2, 12);
    read_one_of(&reader, "-");
    date.day = read_number(&reader, 2, 31);
    read_one_of(&reader, "Tt");
    int64_t time_us = read_number(&reader, 2, 23) * MICROS_PER_HOUR;
    read_one_of(&reader, ":");
    time_us += read_number(&reader, 2, 59) * MICROS_PER_MINUTE;
    read_one_of(&reader, ":");
    time_us += read_number(&reader, 2, 59) * MICROS_PER_SECOND;
    time_us += read_fraction_us(&reader);
    int64_t offset_us = read_offset_us(&reader);

    if (reader.bad || reader.at != reader.size || !civil_valid(date)) return false;
    return local_from_civil(date, time_us - offset_us, instant_us);
}

/* `digits` decimal digits of a number that has no more; returns where to go on. */
static char *write_number(char *to, int64_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--, number /= 10) to[i] = (char)('0' + number % 10);
    return to + digits;
}

size_t instant_to_rfc3339(int64_t instant_us, char text[RFC3339_SIZE])
{
    int64_t time_us;
    struct civil date = civil_from_local(instant_us, &time_us);
    char *to = text;

    *to = '\0';
    if (date.year < 0 || date.year > 9999) return 0;
    to = write_number(to, date.year, 4);
    *to++ = '-';
    to = write_number(to, date.month, 2);
    *to++ = '-';
    to = write_number(to, date.day, 2);
    *to++ = 'T';
    to = write_number(to, time_us / MICROS_PER_HOUR, 2);
    *to++ = ':';
    to = write_number(to, time_us / MICROS_PER_MINUTE % 60, 2);
    *to++ = ':';
    to = write_number(to, time_us / MICROS_PER_SECOND % 60, 2);
    int64_t fraction_us = time_us % MICROS_PER_SECOND;
    if (fraction_us != 0) {
        bool whole_ms = fraction_us % MICROS_PER_MILLI == 0;
        *to++ = '.';
        to = whole_ms ? write_number(to, fraction_us / MICROS_PER_MILLI, 3) : write_number(to, fraction_us, 6);
    }
    *to++ = 'Z';
    *to = '\0';
    return (size_t)(to - text);
}

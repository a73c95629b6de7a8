/* Transitions of the clock by arithmetic, and the TZ string they are read from; see dst.h. */
#include "quota/time/dst.h"
#include "quota/base/checked.h"
#include "quota/time/calendar.h"
#include "quota/time/duration.h"

#define SECONDS_PER_HOUR     INT64_C(3600)
#define SECONDS_PER_DAY      INT64_C(86400)
#define DESIGNATION_MIN      3   /* letters of an abbreviation in a TZ string */
#define TRANSITION_HOURS_MAX 167 /* RFC 9636 3.3.1: a time of day may lie up to a week off */
#define OFFSET_HOURS_MAX     24

/* ---- the yearly rule ----------------------------------------------------------------------------------- */

/* Day of the year, from 0, on which a transition falls. */
static int64_t transition_day(const struct dst_transition *transition, int64_t year, int64_t new_year_days)
{
    static const int16_t days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    bool leap = year_is_leap(year);

    if (transition->kind == TRANSITION_COUNT) return transition->day;
    if (transition->kind == TRANSITION_DAY)
        return transition->day - 1 + (leap && transition->day >= 60); /* 60 is March 1 */

    int64_t first = days_before[transition->month - 1] + (leap && transition->month > 2);
    int64_t weekday = floor_mod(new_year_days + first + 4, 7); /* Sunday = 0, as the footer counts */
    int64_t day = (transition->day - weekday + 7) % 7 + INT64_C(7) * (transition->week - 1);
    if (day >= month_days(year, transition->month)) day -= 7; /* only a fifth week can be missing */
    return first + day;
}

static int64_t transition_s(const struct dst_transition *transition, int64_t year)
{
    int64_t new_year_days = days_from_civil((struct civil){year, 1, 1});
    return (new_year_days + transition_day(transition, year, new_year_days)) * SECONDS_PER_DAY + transition->time_s;
}

/* The last time a transition came, up to and including the instant, and the next one after it. A transition may lie a
 * week outside its year, so the year of the instant is a guess, one or two off at most. */
static void transition_around(const struct dst_transition *transition, int64_t year, int64_t instant_s, int64_t *last_s,
                              int64_t *next_s)
{
    *last_s = transition_s(transition, year);
    *next_s = *last_s;
    while (*last_s > instant_s) {
        *next_s = *last_s;
        *last_s = transition_s(transition, --year);
    }
    while (*next_s <= instant_s) {
        *last_s = *next_s;
        *next_s = transition_s(transition, ++year);
    }
}

static int64_t micros_saturating(int64_t seconds)
{
    return wide_clamp((wide)seconds * MICROS_PER_SECOND, BEGINNING_US, FOREVER_US);
}

struct stretch dst_stretch_at(const struct dst *dst, int64_t instant_us)
{
    int64_t last_daylight_s, next_daylight_s, last_standard_s, next_standard_s;
    int64_t instant_s = floor_div(instant_us, MICROS_PER_SECOND);
    int64_t year = civil_from_days(floor_div(instant_s, SECONDS_PER_DAY)).year;

    transition_around(&dst->daylight_begins, year, instant_s, &last_daylight_s, &next_daylight_s);
    transition_around(&dst->standard_begins, year, instant_s, &last_standard_s, &next_standard_s);
    /* The later transition decides; where daylight saving ends and begins in one instant it goes on. */
    bool daylight = last_daylight_s >= last_standard_s;
    return (struct stretch){
        .since_us = micros_saturating(max_i64(last_daylight_s, last_standard_s)),
        .until_us = micros_saturating(min_i64(next_daylight_s, next_standard_s)),
        .offset_us = (daylight ? dst->daylight_s : dst->standard_s) * MICROS_PER_SECOND,
    };
}

int64_t dst_offset_at(const struct dst *dst, int64_t instant_us)
{
    return dst_stretch_at(dst, instant_us).offset_us;
}

/* Takes out of a rule what only pretends to change. A season that in every year lasts until the next one
 * begins, or longer, means daylight saving all year (RFC 9636 3.3.1); one that in every year is over before
 * it begins means none. The calendar repeats after 400 years; ordinary rules are known by the first. */
static void dst_settle(struct dst *dst)
{
    bool always = true, never = true;
    for (int64_t year = 2000; year < 2400 && (always || never); year++) {
        int64_t begin_s = transition_s(&dst->daylight_begins, year);
        int64_t end_s = transition_s(&dst->standard_begins, year);
        if (end_s <= begin_s) end_s = transition_s(&dst->standard_begins, year + 1); /* over the new year */
        always = always && end_s >= transition_s(&dst->daylight_begins, year + 1);
        never = never && end_s <= begin_s;
    }
    if (always) dst->standard_s = dst->daylight_s;
    if (never) dst->daylight_s = dst->standard_s;
}

/* ---- the string ---------------------------------------------------------------------------------------- */

/* Reads a TZ string from the left; the first byte that does not fit sets `bad`, which the caller checks once. */
struct reader {
    const char *text;
    size_t size, at;
    bool bad;
};

static char reader_next(const struct reader *reader)
{
    return reader->at < reader->size ? reader->text[reader->at] : '\0';
}

static bool reader_take(struct reader *reader, char wanted)
{
    bool there = reader->at < reader->size && reader->text[reader->at] == wanted;
    reader->at += there;
    return there;
}

static void reader_expect(struct reader *reader, char wanted)
{
    if (!reader_take(reader, wanted)) reader->bad = true;
}

/* One to `digits` digits with a value of least … most. */
static int read_number(struct reader *reader, int digits, int least, int most)
{
    int number = 0, seen = 0;
    for (; seen < digits && char_is_digit(reader_next(reader)); seen++) {
        number = number * 10 + (reader->text[reader->at++] - '0');
    }
    if (seen > 0 && number >= least && number <= most) return number;
    reader->bad = true;
    return least;
}

/* CET or <+0530>: only its shape matters. */
static void read_designation(struct reader *reader)
{
    bool quoted = reader_take(reader, '<');
    size_t begin = reader->at;
    for (;; reader->at++) {
        char next = reader_next(reader);
        bool fits = char_is_letter(next) || (quoted && (char_is_digit(next) || next == '+' || next == '-'));
        if (!fits) break;
    }
    if (reader->at - begin < DESIGNATION_MIN) reader->bad = true;
    if (quoted) reader_expect(reader, '>');
}

/* [+-]h[h[h]][:mm[:ss]]; the sign covers all of it. */
static int64_t read_time_s(struct reader *reader, int hours_max)
{
    bool negative = reader_take(reader, '-');
    if (!negative) reader_take(reader, '+');
    int64_t seconds = SECONDS_PER_HOUR * read_number(reader, hours_max > 99 ? 3 : 2, 0, hours_max);
    if (reader_take(reader, ':')) {
        seconds += INT64_C(60) * read_number(reader, 2, 0, 59);
        if (reader_take(reader, ':')) seconds += read_number(reader, 2, 0, 59);
    }
    return negative ? -seconds : seconds;
}

/* The footer counts offsets west as positive; we do not. */
static int64_t read_offset_s(struct reader *reader)
{
    return -read_time_s(reader, OFFSET_HOURS_MAX);
}

/* ,day[/time] where the time is one of the clock that shows `offset_s`; 02:00 if not given. The extended
 * range of hours belongs to version 3, but is harmless in a version 2 file. */
static struct dst_transition read_transition(struct reader *reader, int64_t offset_s)
{
    struct dst_transition transition = {.time_s = 2 * SECONDS_PER_HOUR};

    reader_expect(reader, ',');
    if (reader_take(reader, 'M')) {
        transition.kind = TRANSITION_MONTH;
        transition.month = read_number(reader, 2, 1, 12);
        reader_expect(reader, '.');
        transition.week = read_number(reader, 1, 1, 5);
        reader_expect(reader, '.');
        transition.day = read_number(reader, 1, 0, 6);
    } else if (reader_take(reader, 'J')) {
        transition.kind = TRANSITION_DAY;
        transition.day = read_number(reader, 3, 1, 365);
    } else {
        transition.kind = TRANSITION_COUNT;
        transition.day = read_number(reader, 3, 0, 365);
    }
    if (reader_take(reader, '/')) transition.time_s = read_time_s(reader, TRANSITION_HOURS_MAX);
    transition.time_s -= offset_s;
    return transition;
}

bool dst_parse(struct bytes text, struct dst *dst)
{
    struct reader reader = {.text = text.data, .size = text.size};

    read_designation(&reader);
    dst->standard_s = read_offset_s(&reader);
    dst->daylight_s = dst->standard_s;
    if (reader.bad) return false;
    if (reader.at == reader.size) return true;

    read_designation(&reader);
    bool given = reader_next(&reader) != ',';
    dst->daylight_s = given ? read_offset_s(&reader) : dst->standard_s + SECONDS_PER_HOUR;
    dst->daylight_begins = read_transition(&reader, dst->standard_s);
    dst->standard_begins = read_transition(&reader, dst->daylight_s);
    if (reader.bad || reader.at != reader.size) return false;

    dst_settle(dst);
    return true;
}

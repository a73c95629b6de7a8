/* Periods as words and numbers, and the cycle an instant lies in; see period.h.
 *
 * Every unit but FOREVER is a ruler: wall clock readings at equal steps of time or of months, and the zone in which
 * they are resolved (fixed durations are read in UTC, where nothing ever happens).
 *
 *     number    …  -1       0       1       2  …       reading = origin + number x step
 *     reading    Dec 31  Jan 31  Feb 28  Mar 31        wall clock: strictly ascending
 *                   │       │       │       │          zone_resolve_local
 *     start      ───┴───────┴───────┴───────┴──▶       instants: ascending; equal = no cycle between them
 *
 * Resolved readings may stand in the wrong order: a gap of 30 hours shifts the day it swallows behind the beginning of
 * the next one. (No zone has had more than 24, but zone files are input.) So a cycle begins with the earliest of its
 * own and all later readings, which ascends by definition. Looking ahead is needed in gaps only: a reading that the
 * clock shows means the first instant at which the clock has come that far, and those ascend with the readings. */
#include "quota/time/period.h"
#include "quota/base/checked.h"
#include "quota/time/calendar.h"
#include "quota/time/duration.h"

#define MONTHS_PER_YEAR 12
#define DAYS_PER_WEEK   7
#define EPOCH_YEAR      1970
#define EPOCH_WEEKDAY   3    /* 1970-01-01 was a Thursday */
#define LEAP_YEAR       2000 /* in which every day of a year exists */
#define MONTH_DAYS_MAX  31
#define MONTHS_LIMIT    (24 * CALENDAR_YEAR_LIMIT) /* from any origin past the last year */
#define READINGS_AHEAD  2 /* offsets lie within 51 hours (zone.h): three days cannot come out of order */

/* Readings saturate here: no offset takes them out of an int64. */
#define READING_MAX_US (INT64_MAX - 4 * MICROS_PER_DAY)

/* ---- words ----------------------------------------------------------------------------------------------- */

/* Of each unit the largest first, as period_write prefers them. */
static const struct word {
    const char *text;
    enum period_unit unit;
    int64_t count;
} words[] = {
    {"YEAR", PERIOD_MONTH, 12},
    {"HALF-YEAR", PERIOD_MONTH, 6},
    {"HALFYEAR", PERIOD_MONTH, 6},
    {"QUARTER", PERIOD_MONTH, 3},
    {"MONTH", PERIOD_MONTH, 1},
    {"WEEK", PERIOD_WEEK, 1},
    {"DAY", PERIOD_DAY, 1},
    {"HOUR", PERIOD_FIXED, MICROS_PER_HOUR},
    {"MINUTE", PERIOD_FIXED, MICROS_PER_MINUTE},
    {"FOREVER", PERIOD_FOREVER, 1},
};

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

static bool period_take(struct period made, struct period *period)
{
    if (period_fault(&made)) return false;
    *period = made;
    return true;
}

bool period_parse(struct bytes word, struct period *period)
{
    size_t digits = 0;
    while (digits < word.size && is_digit(word.data[digits])) digits++;
    struct bytes unit = {word.data + digits, word.size - digits};
    int64_t count = 1;
    if (digits > 0 && !bytes_integer((struct bytes){word.data, digits}, &count)) return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!bytes_is_word(unit, words[i].text)) continue;
        if (!multiply_checked(count, words[i].count, &count)) return false;
        return period_take((struct period){.unit = words[i].unit, .count = count}, period);
    }
    if (digits == 0 || unit.size == 0 || !parse_duration(word, &count)) return false;
    return period_take((struct period){.unit = PERIOD_FIXED, .count = count}, period);
}

bool period_is_days_of_24_hours(struct bytes word)
{
    int64_t duration_us;
    return parse_duration(word, &duration_us) && duration_us % MICROS_PER_DAY == 0;
}

/* A number of `digits` digits within 1 … most; 0 = not that. */
static int parse_part(struct bytes text, int most)
{
    int number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.data[i])) return 0;
        number = number * 10 + (text.data[i] - '0');
    }
    return number <= most ? number : 0;
}

/* `15`, `5` or `04-06`. */
static bool parse_day(struct bytes word, struct period *period)
{
    int month = 1, day;
    if (word.size <= 2) {
        day = parse_part(word, MONTH_DAYS_MAX);
    } else if (word.size == 5 && word.data[2] == '-') {
        month = parse_part((struct bytes){word.data, 2}, MONTHS_PER_YEAR);
        day = parse_part((struct bytes){word.data + 3, 2}, MONTH_DAYS_MAX);
    } else {
        return false;
    }
    if (month == 0 || day == 0 || day > month_days(LEAP_YEAR, month)) return false;
    period->from_month = month;
    period->from_day = day;
    return true;
}

static const char *const weekdays[DAYS_PER_WEEK] = {"MONDAY", "TUESDAY",  "WEDNESDAY", "THURSDAY",
                                                    "FRIDAY", "SATURDAY", "SUNDAY"};
#define WEEKDAY_LETTERS 3 /* of the short form */

static bool parse_weekday(struct bytes word, struct period *period)
{
    for (int day = 0; day < DAYS_PER_WEEK; day++) {
        char letters[WEEKDAY_LETTERS + 1] = {0};
        memcpy(letters, weekdays[day], WEEKDAY_LETTERS);
        if (!bytes_is_word(word, letters) && !bytes_is_word(word, weekdays[day])) continue;
        period->from_weekday = day;
        return true;
    }
    return false;
}

bool period_parse_from(struct bytes word, struct period *period)
{
    if (period->unit == PERIOD_MONTH) return parse_day(word, period);
    return period->unit == PERIOD_WEEK && parse_weekday(word, period);
}

static void write_lower(const char *text, size_t size, struct sink *sink)
{
    for (size_t i = 0; i < size; i++) sink_byte(sink, (uint8_t)(text[i] | ' ')); /* `-` has that bit already */
}

void period_write(const struct period *period, struct sink *sink)
{
    if (period->unit == PERIOD_FIXED && period->calendar && period->count % MICROS_PER_DAY == 0) {
        sink_decimal(sink, period->count / MICROS_PER_HOUR);
        sink_raw(sink, "hour", 4);
        return;
    }
    if (period->unit == PERIOD_FIXED) {
        sink_duration(sink, period->count);
        return;
    }
    const struct word *word = words;
    while (word->unit != period->unit || period->count % word->count != 0) word++;
    if (period->count != word->count) sink_decimal(sink, period->count / word->count);
    write_lower(word->text, strlen(word->text), sink);
}

static void write_two_digits(int number, struct sink *sink)
{
    sink_byte(sink, (uint8_t)('0' + number / 10));
    sink_byte(sink, (uint8_t)('0' + number % 10));
}

static struct period period_canonical(const struct period *period);

void period_write_alignment(const struct period *period, struct sink *sink)
{
    struct period plain = period_canonical(period);
    if (plain.calendar) sink_raw(sink, " CALENDAR", 9);
    if (plain.calendar && plain.unit == PERIOD_MONTH && (plain.from_month > 1 || plain.from_day > 1)) {
        int last = month_days(LEAP_YEAR, plain.from_month);
        sink_raw(sink, " FROM ", 6);
        if (plain.count > 1) {
            write_two_digits(plain.from_month, sink);
            sink_byte(sink, '-');
        }
        write_two_digits(plain.end_of_month ? last : plain.from_day, sink);
    } else if (plain.from_weekday > 0) {
        sink_raw(sink, " FROM ", 6);
        write_lower(weekdays[plain.from_weekday], WEEKDAY_LETTERS, sink);
    }
    if (plain.end_of_month) sink_raw(sink, " EOM", 4);
}

/* ---- faults ---------------------------------------------------------------------------------------------- */

static const char *from_fault(const struct period *period)
{
    int month = period->from_month, day = period->from_day, weekday = period->from_weekday;
    if (month == 0 && day == 0 && weekday == 0) return NULL;
    if (!period->calendar) return "FROM needs CALENDAR";
    if (month != 0 || day != 0) {
        if (period->unit != PERIOD_MONTH) return "FROM a day of the month is for months, quarters and years";
        if (month < 0 || month > MONTHS_PER_YEAR || day < 0) return "FROM is no day of a year";
        int last = month_days(LEAP_YEAR, month == 0 ? 1 : month);
        if (day > last) return "FROM is no day of a year";
        bool is_last = day == last || (month == 2 && day == last - 1);
        if (period->end_of_month && day > 1 && !is_last) return "EOM is the last day of a month, FROM says another";
    }
    if (weekday == 0) return NULL;
    if (period->unit != PERIOD_WEEK) return "FROM a weekday is for weeks";
    return weekday < 0 || weekday >= DAYS_PER_WEEK ? "FROM is no weekday" : NULL;
}

const char *period_fault(const struct period *period)
{
    if ((unsigned)period->unit >= PERIOD_UNITS_COUNT) return "period is of no known unit";
    int64_t most = PERIOD_COUNT_MAX;
    if (period->unit == PERIOD_FIXED) most = DURATION_MAX_US;
    if (period->unit == PERIOD_FOREVER) most = 1;
    if (period->count < 1 || period->count > most) {
        return "period must be 1us to 9000 years long, or 1 to 10000 days, weeks or months, or forever";
    }
    if (period->calendar && period->unit == PERIOD_FOREVER) return "forever follows no CALENDAR";
    if (period->end_of_month && period->unit != PERIOD_MONTH) return "EOM is for months, quarters and years";
    return from_fault(period);
}

/* ---- one number ------------------------------------------------------------------------------------------ */

/* The same period with everything said in one way:
 *
 *     month CALENDAR FROM 04-06      =   FROM 01-06       a cycle begins in every month: the first of them is named
 *     4month CALENDAR FROM 12-31     =   EOM from April   what is clamped from the 31st is always the last day
 *     year CALENDAR FROM 11-30 EOM   =   FROM 11-30       the last day of the only month
 *
 * A month is named only for a day it has, so that the text can be read again. */
static struct period period_canonical(const struct period *period)
{
    struct period same = *period;
    if (!same.calendar || same.unit != PERIOD_MONTH) return same;
    if (same.from_month == 0) same.from_month = 1;
    if (same.from_day == 0) same.from_day = 1;
    if (same.count % MONTHS_PER_YEAR == 0) {
        if (same.end_of_month) same.from_day = month_days(LEAP_YEAR, same.from_month);
        same.end_of_month = false;
        return same;
    }
    if (same.from_day == MONTH_DAYS_MAX) same.end_of_month = true;
    if (same.end_of_month) same.from_day = 1;
    int64_t month = (same.from_month - 1) % same.count + 1;
    while (month_days(LEAP_YEAR, (int)month) < same.from_day) month += same.count;
    same.from_month = (int)month;
    return same;
}

/*     bits   0 … 2   3          4 …                      what is usual makes small numbers
 *            unit    CALENDAR   FIXED: count - 1
 *                               else: count - 1 (14 bits) │ EOM │ weekday (3) │ month - 1 (4) │ day - 1 (5) */
#define CODE_CALENDAR 3
#define CODE_COUNT    4
#define CODE_EOM      18
#define CODE_WEEKDAY  19
#define CODE_MONTH    22
#define CODE_DAY      26
#define COUNT_MASK    0x3fffu

uint64_t period_code(const struct period *period)
{
    struct period plain = period_canonical(period);
    uint64_t code = (uint64_t)plain.unit | (uint64_t)plain.calendar << CODE_CALENDAR;
    code |= (uint64_t)(plain.count - 1) << CODE_COUNT;
    code |= (uint64_t)plain.end_of_month << CODE_EOM | (uint64_t)plain.from_weekday << CODE_WEEKDAY;
    if (plain.from_day == 0) return code;
    return code | (uint64_t)(plain.from_month - 1) << CODE_MONTH | (uint64_t)(plain.from_day - 1) << CODE_DAY;
}

bool period_from_code(uint64_t code, struct period *period)
{
    struct period made = {.unit = (enum period_unit)(code & 7), .calendar = code >> CODE_CALENDAR & 1};
    if (made.unit == PERIOD_FIXED) {
        made.count = (int64_t)(code >> CODE_COUNT) + 1;
    } else {
        bool dated = made.calendar && made.unit == PERIOD_MONTH;
        made.count = (int64_t)(code >> CODE_COUNT & COUNT_MASK) + 1;
        made.end_of_month = code >> CODE_EOM & 1;
        made.from_weekday = (int)(code >> CODE_WEEKDAY & 7);
        made.from_month = dated ? (int)(code >> CODE_MONTH & 15) + 1 : 0;
        made.from_day = dated ? (int)(code >> CODE_DAY & 31) + 1 : 0;
    }
    if (period_fault(&made) || period_code(&made) != code) return false; /* a period has one number only */
    *period = made;
    return true;
}

bool period_code_is_meant(uint64_t code, uint64_t wanted)
{
    struct period period, meant;
    if (wanted == 0 || code == wanted) return true;
    if (!period_from_code(code, &period) || !period_from_code(wanted, &meant)) return false;
    return period.unit == meant.unit && period.count == meant.count;
}

/* ---- rulers ---------------------------------------------------------------------------------------------- */

struct ruler {
    const struct zone *zone;
    bool months;         /* steps are months, else us */
    struct civil origin; /* months: date of reading 0; a day its month does not have means the last one */
    int64_t origin_us;   /* months: time of day of every reading; else reading 0 */
    int64_t step;
    bool anchored; /* start 0 is the anchor itself, even the second time the clock shows that reading */
    int64_t anchor_us;
};

static void ruler_set_months(struct ruler *ruler, const struct period *period, int64_t local_us)
{
    ruler->months = true;
    if (period->calendar) {
        ruler->origin = (struct civil){EPOCH_YEAR, period->from_month, period->from_day};
    } else {
        ruler->origin = civil_from_local(local_us, &ruler->origin_us);
    }
    if (!period->end_of_month) return;
    /* From an anchor on another day no boundary is the anchor: they lie on last days before and after it. */
    if (ruler->origin.day != month_days(ruler->origin.year, ruler->origin.month)) ruler->anchored = false;
    ruler->origin.day = MONTH_DAYS_MAX;
}

static struct ruler ruler_of(const struct period *period, const struct zone *zone, int64_t anchor_us)
{
    struct period plain = period_canonical(period);
    anchor_us = wide_clamp(anchor_us, -INSTANT_MAX_US, INSTANT_MAX_US);
    struct ruler ruler = {.zone = zone, .step = plain.count, .anchored = !plain.calendar, .anchor_us = anchor_us};
    int64_t local_us = zone_local_from_instant(zone, anchor_us);
    switch (plain.unit) {
    case PERIOD_FIXED: /* readings are instants */
        ruler.origin_us = plain.calendar ? anchor_us - local_us : anchor_us;
        ruler.zone = zone_utc();
        break;
    case PERIOD_WEEK:
        ruler.step *= MICROS_PER_WEEK;
        ruler.origin_us = local_us;
        if (plain.calendar) {
            ruler.origin_us = floor_mod(plain.from_weekday - EPOCH_WEEKDAY, DAYS_PER_WEEK) * MICROS_PER_DAY;
        }
        break;
    case PERIOD_MONTH: ruler_set_months(&ruler, &plain, local_us); break;
    default: /* days */ ruler.step *= MICROS_PER_DAY; ruler.origin_us = plain.calendar ? 0 : local_us;
    }
    return ruler;
}

static int64_t ruler_reading_us(const struct ruler *ruler, wide number)
{
    wide reading_us = number * ruler->step + ruler->origin_us;
    if (ruler->months) {
        int64_t months = wide_clamp(number * ruler->step, -MONTHS_LIMIT, MONTHS_LIMIT);
        reading_us = (wide)MICROS_PER_DAY * days_from_civil(civil_add_months(ruler->origin, months)) + ruler->origin_us;
    }
    return wide_clamp(reading_us, -READING_MAX_US, READING_MAX_US);
}

static int64_t ruler_start_us(const struct ruler *ruler, wide number)
{
    if (ruler->anchored && number == 0) return ruler->anchor_us;
    struct zone_local local = zone_resolve_local(ruler->zone, ruler_reading_us(ruler, number));
    int64_t start_us = local.instant_us;
    for (int ahead = 1; local.kind == ZONE_LOCAL_GAP && ahead <= READINGS_AHEAD; ahead++) {
        int64_t later_us = zone_instant_from_local(ruler->zone, ruler_reading_us(ruler, number + ahead));
        start_us = min_i64(start_us, later_us);
    }
    if (!ruler->anchored) return start_us;
    return number > 0 ? max_i64(start_us, ruler->anchor_us) : min_i64(start_us, ruler->anchor_us);
}

/* A cycle with its number on the ruler: int64 is not enough for cycles of 1us from one end of time to the other. */
struct found {
    wide number;
    int64_t start_us, end_us;
};

/* Right but for what offsets and clamped days can do: a step or two. */
static wide ruler_estimate(const struct ruler *ruler, int64_t at_us)
{
    int64_t time_us, local_us = zone_local_from_instant(ruler->zone, at_us);
    if (!ruler->months) return wide_div_floor((wide)local_us - ruler->origin_us, ruler->step);
    struct civil date = civil_from_local(local_us, &time_us);
    return floor_div(civil_month_index(date) - civil_month_index(ruler->origin), ruler->step);
}

static struct found ruler_find(const struct ruler *ruler, int64_t at_us)
{
    at_us = wide_clamp(at_us, -INSTANT_MAX_US, INSTANT_MAX_US);
    wide number = ruler_estimate(ruler, at_us);
    struct found found = {number, ruler_start_us(ruler, number), ruler_start_us(ruler, number + 1)};
    while (found.start_us > at_us) {
        found.end_us = found.start_us;
        found.start_us = ruler_start_us(ruler, --found.number);
    }
    while (found.end_us <= at_us) {
        found.start_us = found.end_us;
        found.end_us = ruler_start_us(ruler, ++found.number + 1);
    }
    return found;
}

/* The number of the cycle that is called 0. */
static wide ruler_zero(const struct ruler *ruler)
{
    return ruler->anchored ? 0 : ruler_find(ruler, ruler->anchor_us).number;
}

/* ---- cycles ---------------------------------------------------------------------------------------------- */

struct cycle period_cycle_at(const struct period *period, const struct zone *zone, int64_t anchor_us, int64_t at_us)
{
    if (period->unit == PERIOD_FOREVER) return (struct cycle){anchor_us, INT64_MAX, 0};
    struct ruler ruler = ruler_of(period, zone, anchor_us);
    struct found found = ruler_find(&ruler, at_us);
    int64_t index = wide_clamp(found.number - ruler_zero(&ruler), INT64_MIN, INT64_MAX);
    return (struct cycle){found.start_us, found.end_us, index};
}

struct cycle period_cycle(const struct period *period, const struct zone *zone, int64_t anchor_us, int64_t index)
{
    if (period->unit == PERIOD_FOREVER) {
        return (struct cycle){index <= 0 ? anchor_us : INT64_MAX, index < 0 ? anchor_us : INT64_MAX, index};
    }
    struct ruler ruler = ruler_of(period, zone, anchor_us);
    wide number = ruler_zero(&ruler) + index;
    return (struct cycle){ruler_start_us(&ruler, number), ruler_start_us(&ruler, number + 1), index};
}

/* Do the cycles from one to another take a day less than so many days? */
static bool lacks_day(const struct period *period, const struct zone *zone, int64_t anchor_us, int64_t from, int64_t to)
{
    int64_t from_us = period_cycle(period, zone, anchor_us, from).start_us;
    int64_t to_us = period_cycle(period, zone, anchor_us, to).start_us;
    wide missing_us = (wide)(to - from) * (wide)MICROS_PER_DAY - ((wide)to_us - from_us);
    return missing_us > MICROS_PER_DAY / 2;
}

/* The local day from one number up to another that does not exist; `to` if there is none. No zone has left out two
 * within an account's life, and only cycles of single days can vanish. */
static int64_t left_out(const struct period *period, const struct zone *zone, int64_t anchor_us, int64_t from,
                        int64_t to)
{
    bool may_vanish = period->unit == PERIOD_DAY && period->count == 1 && to - from > 1;
    if (!may_vanish || !lacks_day(period, zone, anchor_us, from, to)) return to;
    int64_t low = from, high = to;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (lacks_day(period, zone, anchor_us, from, middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return low;
}

int64_t period_cycles_between(const struct period *period, const struct zone *zone, int64_t anchor_us, int64_t from,
                              int64_t to)
{
    return to - from - (left_out(period, zone, anchor_us, from, to) < to);
}

int64_t period_index_after(const struct period *period, const struct zone *zone, int64_t anchor_us, int64_t index,
                           int64_t count)
{
    int64_t after = index + count; /* one further where the day before it, or it, is left out */
    return left_out(period, zone, anchor_us, index, after + 1) <= after ? after + 1 : after;
}

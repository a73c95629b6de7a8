/* The slow model of zones; see zone_model.h. */
#include "zone_model.h"
#include "quota/time/duration.h"
#include "zone_tools.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MODEL_FROM_YEAR 1800
#define MODEL_TO_YEAR   2500
#define MODEL_ROWS      12000

struct model {
    int count;
    struct model_row {
        int64_t since_s;
        int64_t offset_s;
        bool daylight; /* orders rows of the footer that fall on one instant */
    } rows[MODEL_ROWS];
};

static bool model_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970 to January 1, year by year. */
static int64_t model_new_year(int year)
{
    int64_t days = 0;
    for (int y = 1970; y < year; y++) days += model_leap(y) ? 366 : 365;
    for (int y = 1969; y >= year; y--) days -= model_leap(y) ? 366 : 365;
    return days;
}

/* [+-]h[:m[:s]] */
static int64_t model_time(const char **text)
{
    int64_t sign = 1, part[3] = {0, 0, 0};
    if (**text == '-') sign = -1;
    if (**text == '-' || **text == '+') (*text)++;
    for (int i = 0; i < 3; i++) {
        char *rest;
        part[i] = strtol(*text, &rest, 10);
        *text = rest;
        if (**text != ':') break;
        (*text)++;
    }
    return sign * (part[0] * 3600 + part[1] * 60 + part[2]);
}

static void model_skip_name(const char **text)
{
    if (**text == '<') {
        *text = strchr(*text, '>') + 1;
    } else {
        while ((**text >= 'A' && **text <= 'Z') || (**text >= 'a' && **text <= 'z')) (*text)++;
    }
}

/* The day a rule names, found by walking the year and counting weekdays. Leaves *text behind the rule's
 * day. */
static int64_t model_day(const char **text, int year)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t day = model_new_year(year);
    int month, week, weekday, number, length = 0, seen = 0;

    if (sscanf(*text, "M%d.%d.%d%n", &month, &week, &weekday, &length) == 3) {
        int64_t found = 0;
        for (int m = 1; m < month; m++) day += lengths[m - 1] + (m == 2 && model_leap(year));
        int days = lengths[month - 1] + (month == 2 && model_leap(year));
        for (int d = 0; d < days; d++, day++) {
            if (((day % 7) + 7 + 4) % 7 == weekday && ++seen <= week) found = day; /* 1970-01-01: a Thursday */
        }
        day = found;
    } else if (sscanf(*text, "J%d%n", &number, &length) == 1) {
        for (int d = 1; d < number; d++) day += d == 59 && model_leap(year) ? 2 : 1;
    } else {
        sscanf(*text, "%d%n", &number, &length);
        day += number;
    }
    *text += length;
    return day;
}

/* ,day[/time] in one year, as an instant */
static int64_t model_turn(const char **text, int year, int64_t offset_s)
{
    int64_t time_s = 2 * HOUR_S;
    (*text)++;
    int64_t day = model_day(text, year);
    if (**text == '/') {
        (*text)++;
        time_s = model_time(text);
    }
    return day * DAY_S + time_s - offset_s;
}

static void model_add(struct model *model, int64_t since_s, int64_t offset_s, bool daylight)
{
    assert_true(model->count < MODEL_ROWS);
    model->rows[model->count++] = (struct model_row){since_s, offset_s, daylight};
}

static int model_compare(const void *left, const void *right)
{
    const struct model_row *a = left, *b = right;
    if (a->since_s != b->since_s) return a->since_s < b->since_s ? -1 : 1;
    return (int)a->daylight - (int)b->daylight;
}

/* What RFC 9636 3.3.1 calls daylight saving all year, or in the same manner none: tried in every year
 * there is. */
static bool model_same_all_year(const char *rules, int64_t *standard_s, int64_t *daylight_s)
{
    bool always = true, never = true;
    for (int year = MODEL_FROM_YEAR; year <= MODEL_TO_YEAR && (always || never); year++) {
        const char *text = rules, *next = rules;
        int64_t begin_s = model_turn(&text, year, *standard_s), end_s = model_turn(&text, year, *daylight_s);
        int64_t next_s = model_turn(&next, year + 1, *standard_s);
        if (end_s <= begin_s) end_s = model_turn(&next, year + 1, *daylight_s);
        if (end_s < next_s) always = false;
        if (end_s > begin_s) never = false;
    }
    if (always) *standard_s = *daylight_s;
    if (never) *daylight_s = *standard_s;
    return always || never;
}

/* Every turn of every year after `after_s`. */
static void model_footer(struct model *model, const char *footer, int64_t after_s)
{
    const char *text = footer;
    model_skip_name(&text);
    int64_t standard_s = -model_time(&text), daylight_s = standard_s;
    if (*text != '\0') {
        model_skip_name(&text);
        daylight_s = *text == ',' ? standard_s + HOUR_S : -model_time(&text);
    }
    bool same = *text == '\0' || model_same_all_year(text, &standard_s, &daylight_s);
    if (model->count == 1) model->rows[0].offset_s = standard_s; /* no changes: the footer speaks for all time */
    if (same) return;

    int first = model->count;
    for (int year = MODEL_FROM_YEAR; year <= MODEL_TO_YEAR; year++) {
        const char *rules = text;
        int64_t begin_s = model_turn(&rules, year, standard_s), end_s = model_turn(&rules, year, daylight_s);
        if (begin_s > after_s) model_add(model, begin_s, daylight_s, true);
        if (end_s > after_s) model_add(model, end_s, standard_s, false);
    }
    qsort(model->rows + first, (size_t)(model->count - first), sizeof(model->rows[0]), model_compare);
}

/* Leaves out rows that last no time, then those that change nothing. */
static void model_tidy(struct model *model)
{
    int kept = 0;
    for (int i = 0; i < model->count; i++) {
        if (i + 1 < model->count && model->rows[i + 1].since_s == model->rows[i].since_s) continue;
        if (kept > 0 && model->rows[kept - 1].offset_s == model->rows[i].offset_s) continue;
        model->rows[kept++] = model->rows[i];
    }
    model->count = kept;
}

static int64_t model_number(const uint8_t *bytes, int size)
{
    int64_t number = bytes[0] < 128 ? 0 : -1;
    for (int i = 0; i < size; i++) number = (int64_t)((uint64_t)number << 8 | bytes[i]);
    return number;
}

/* Reads a file that zone_parse took. */
static void model_read(struct model *model, const uint8_t *bytes, size_t size)
{
    const uint8_t *block = bytes;
    int64_t n[6], width = 4, last_s = INT64_MIN;
    char footer[256] = "";

    for (int round = 0; round < (bytes[4] ? 2 : 1); round++) {
        if (round == 1) {
            block += 44 + n[3] * 5 + n[4] * 6 + n[5] + n[2] * 8 + n[1] + n[0];
            width = 8;
        }
        for (int i = 0; i < 6; i++) n[i] = model_number(block + 20 + 4 * i, 4);
    }
    const uint8_t *times = block + 44, *indexes = times + n[3] * width, *types = indexes + n[3];
    model->count = 0;
    model_add(model, INT64_MIN, model_number(types, 4), false);
    for (int i = 0; i < n[3]; i++) {
        last_s = model_number(times + i * width, (int)width);
        model_add(model, last_s, model_number(types + 6 * indexes[i], 4), false);
    }
    const uint8_t *end = types + n[4] * 6 + n[5] + n[1] + n[0];
    if (width == 8) snprintf(footer, sizeof(footer), "%.*s", (int)(bytes + size - end) - 2, (const char *)end + 1);
    if (footer[0]) model_footer(model, footer, last_s);
    model_tidy(model);
}

static int64_t model_until(const struct model *model, int row)
{
    return row + 1 < model->count ? model->rows[row + 1].since_s : INT64_MAX;
}

static int64_t model_offset(const struct model *model, int64_t second)
{
    int row = 0;
    while (model_until(model, row) <= second) row++;
    return model->rows[row].offset_s;
}

static bool model_shows(const struct model *model, int row, int64_t local_s)
{
    int64_t second = local_s - model->rows[row].offset_s;
    return second >= model->rows[row].since_s && second < model_until(model, row);
}

/* Walks all of time for the first moment the clock shows the reading or jumps over it. */
static struct zone_local model_resolve(const struct model *model, int64_t local_s)
{
    for (int row = 0; row < model->count; row++) {
        int64_t offset_s = model->rows[row].offset_s;
        int64_t before_s = row > 0 ? model->rows[row - 1].offset_s : offset_s, since_s = model->rows[row].since_s;
        if (row > 0 && since_s + before_s <= local_s && local_s < since_s + offset_s) {
            return (struct zone_local){ZONE_LOCAL_GAP, local_s - before_s, local_s - offset_s};
        }
        if (!model_shows(model, row, local_s)) continue;
        for (int again = row + 1; again < model->count; again++) {
            if (!model_shows(model, again, local_s)) continue;
            return (struct zone_local){ZONE_LOCAL_OVERLAP, local_s - offset_s, local_s - model->rows[again].offset_s};
        }
        return (struct zone_local){ZONE_LOCAL_UNIQUE, local_s - offset_s, local_s - offset_s};
    }
    fail_msg("the model knows no such time");
    return (struct zone_local){0};
}

/* Compares both at an instant and, taking it for a wall clock reading, at a local time. */
static void compare_at(const struct zone *zone, const struct model *model, int64_t second, int64_t micros,
                       const char *what)
{
    int64_t us = second * MICROS_PER_SECOND + micros, change_us;
    struct zone_local wanted = model_resolve(model, second), got = zone_resolve_local(zone, us);
    int64_t offset_us = model_offset(model, second) * MICROS_PER_SECOND;
    int row = 0;

    if (zone_offset_at(zone, us) != offset_us) {
        fail_msg("%s: offset at %lld: %lld, expected %lld", what, (long long)second,
                 (long long)zone_offset_at(zone, us), (long long)offset_us);
    }
    assert_int_equal(zone_local_from_instant(zone, us), us + offset_us);
    assert_instant(got.instant_us, wanted.instant_us * MICROS_PER_SECOND + micros, what);
    assert_instant(got.other_us, wanted.other_us * MICROS_PER_SECOND + micros, what);
    assert_int_equal(got.kind, wanted.kind);
    assert_int_equal(zone_instant_from_local(zone, us), got.instant_us);

    while (row < model->count && model->rows[row].since_s <= second) row++;
    if (row < model->count) {
        assert_true(zone_next_change(zone, us, &change_us));
        assert_instant(change_us, model->rows[row].since_s * MICROS_PER_SECOND, what);
    }
}

/* All changes of the model, a second before and after, readings on either side of each, and random times. */
void compare_with_model(const struct zone *zone, const uint8_t *bytes, size_t size, const char *what)
{
    static struct model model;
    int64_t from_s = at("1810-01-01T00:00:00") / MICROS_PER_SECOND;
    int64_t to_s = at("2490-01-01T00:00:00") / MICROS_PER_SECOND;

    model_read(&model, bytes, size);
    /* The model's walk is long: all of the first rows, where tables are, then a sample. */
    for (int row = 1; row < model.count; row += row < 100 ? 1 : (int)random_between(1, 50)) {
        int64_t since_s = model.rows[row].since_s;
        if (since_s < from_s || since_s > to_s) continue;
        int64_t before_s = model.rows[row - 1].offset_s, after_s = model.rows[row].offset_s;
        const int64_t around[] = {0, before_s, after_s, (before_s + after_s) / 2};
        for (size_t i = 0; i < COUNT_OF(around); i++) {
            compare_at(zone, &model, since_s + around[i] - 1, MICROS_PER_SECOND - 1, what);
            compare_at(zone, &model, since_s + around[i], 0, what);
        }
    }
    for (int round = 0; round < 100; round++) {
        compare_at(zone, &model, random_between(from_s, to_s), random_between(0, MICROS_PER_SECOND - 1), what);
    }
}

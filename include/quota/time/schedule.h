/* A schedule entry: on these days of the week, between these times of day, by the wall clocks of one zone.
 *
 *     Europe/Berlin mon-fri 09:00-17:30          Europe/Berlin fri 22:00-02:00
 *
 *         Mon       Tue      …  Fri    Sat           Fri                Sat
 *     ─────[■■■■]────[■■■■]──…──[■■■■]─────▶     ─────────────[■■■■■■■■┊■■■■)──────────▶ wall clock
 *        09:00 17:30                                       22:00     00:00 02:00
 *                                                 past midnight it still belongs to the day it began
 *
 * Intervals are half-open: 17:30 is the first moment outside. The wall clock decides, so a time that a DST change
 * leaves out does not occur, and one that occurs twice counts twice:
 *
 *     Berlin, 2025-03-30   01:59:59 │ 03:00:00      sun 02:00-03:00 never begins that day
 *     Berlin, 2025-10-26   02:59:59 │ 02:00:00      sun 02:00-03:00 lasts two hours
 *
 * Zones are given by name and found by the caller: the core reads no files. A name that is not known here (no such
 * tzdata) is an entry that does not match. */
#pragma once

#include "quota/base/buffer.h"
#include "quota/base/bytes.h"
#include "quota/time/zone.h"
#include <stdbool.h>
#include <stdint.h>

/* Entries of one policy: bounds the work of a call, which tries them in turn. */
#define SCHEDULES_MAX 32

#define SCHEDULE_DAYS_ALL    0x7fu
#define SCHEDULE_MINUTES_DAY 1440

struct schedule {
    char zone[ZONE_NAME_MAX]; /* a name that zone_name_valid takes; zeros behind it */
    uint8_t zone_size;        /* bytes of it, 1 … ZONE_NAME_MAX */
    uint8_t days;             /* bit 0 = Monday … bit 6 = Sunday; at least one */
    uint16_t from_minutes;    /* since midnight: 0 … 1439 */
    uint16_t to_minutes;      /* 1 … 1440; not after from_minutes: of the next day */
};

/* The zone of this name, NULL if it is not known here. Called during schedule_rules_at; must not change anything. */
typedef const struct zone *zone_finder(struct bytes name, void *context);

/* The name of the entry's zone, borrowed. */
static inline struct bytes schedule_zone(const struct schedule *schedule)
{
    return (struct bytes){schedule->zone, schedule->zone_size};
}

/* Puts the name into the entry; false, and nothing happens, if zone_name_valid refuses it. */
bool schedule_set_zone(struct schedule *schedule, struct bytes name);

/* True when every field is within the ranges above and the bytes behind the zone's name are 0. */
bool schedule_valid(const struct schedule *schedule);

/* Days as `daily`, or a list of days and runs of days: `mon-fri`, `sat,sun`, `mon,wed-fri`, `fri-mon` (over the
 * weekend). Case does not matter. False, and *days untouched, on anything else. */
bool schedule_parse_days(struct bytes text, uint8_t *days);

/* Writes `daily`, or days from Monday on: runs of three and more with a dash, others one by one. */
void schedule_write_days(uint8_t days, struct sink *sink);

/* Times as `09:00-17:30`, two digits everywhere. The end may be 24:00 (00:00 is taken for it); it is not after the
 * beginning where the time runs past midnight, and equal to it for 24 hours. False, and both untouched, on anything
 * else. */
bool schedule_parse_times(struct bytes text, uint16_t *from_minutes, uint16_t *to_minutes);

/* Writes the form that schedule_parse_times reads. */
void schedule_write_times(uint16_t from_minutes, uint16_t to_minutes, struct sink *sink);

/* Does the entry cover what a wall clock of its zone shows? */
bool schedule_covers(const struct schedule *schedule, int64_t local_us);

/* Index of the first entry that matches at `now_us`, -1 if none does. */
int32_t schedule_rules_at(const struct schedule *entries, uint32_t count, int64_t now_us, zone_finder *find_zone,
                          void *context);

/* The first instant after `now_us` at which the entry begins or ends in that zone; false if it never does (every
 * day, all day) or not within a fortnight. */
bool schedule_next_change_us(const struct schedule *schedule, const struct zone *zone, int64_t now_us,
                             int64_t *change_us);

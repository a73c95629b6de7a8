/* A period is how long a quota lasts, and where its cycles begin: the calendar of an account.
 *
 *     anchor Jan 31 15:00, month      ├── 0 ──┼── 1 ──┼── 2 ──┼── 3 ──▶      boundary k = anchor + k months
 *                                  Jan 31   Feb 28  Mar 31  Apr 30              counted from the anchor: no drift
 *
 *     the same, CALENDAR FROM 15  ├──── 0 ────┼── 1 ──┼── 2 ──▶               boundaries know no anchor, midnight
 *                              Jan 15      Feb 15  Mar 15                       0 is the cycle the anchor lies in
 *
 * Days and longer are counted on the wall clock of the account's zone and then resolved (zone.h): in a gap the
 * boundary shifts forward, in an overlap the first occurrence counts, and where a whole local day does not exist two
 * boundaries coincide and there is no cycle between them: its number is left out. Hours and shorter are fixed durations
 * of time. Cycles are half-open [start, end) and tile all time, in every zone that a file can describe.
 *
 *     anniversary   boundary 0 is the anchor, to the microsecond, even the second time the clock shows that reading;
 *                   the others keep its time of day. EOM: all are on last days; an anchor that is not on one lies
 *                   inside cycle 0, like in a calendar
 *     CALENDAR      midnight, or when the day begins where there is none. Counted days begin with 1970-01-01, counted
 *                   weeks with the first FROM weekday on or after it, counted months with 1970 and the FROM month.
 *                   EOM: on the last day of those months
 *     … of a fixed duration    multiples of it on a clock that always stands as the zone's did at the anchor
 *
 * The cycle of an instant is found in O(1): an estimate from the distance, then at most a few boundaries.
 *
 * Source: RFC 5545 3.3.10 for the words; the clamp to the month's last day as java.time.LocalDate.plusMonths. */
#pragma once

#include "quota/base/buffer.h"
#include "quota/time/zone.h"
#include <stdbool.h>
#include <stdint.h>

/* The numbers are part of the stored encoding: append, never renumber. */
enum period_unit {
    PERIOD_FIXED = 0,   /* `count` us, always that long */
    PERIOD_DAY = 1,     /* `count` days on the wall clock */
    PERIOD_MONTH = 2,   /* `count` months; a quarter is three, a year twelve */
    PERIOD_FOREVER = 3, /* one cycle, from the anchor on */
    PERIOD_WEEK = 4,    /* `count` weeks on the wall clock; aligned to a weekday where CALENDAR says so */
    PERIOD_UNITS_COUNT,
};

#define PERIOD_COUNT_MAX INT64_C(10000) /* of days, weeks and months: longer than an account lives */

/* All zero but unit and count is a period of anniversaries. A field without a meaning is 0. */
struct period {
    enum period_unit unit;
    int64_t count;     /* 1 … PERIOD_COUNT_MAX; FIXED: us, 1 … DURATION_MAX_US; FOREVER: 1 */
    bool calendar;     /* aligned to the calendar instead of the account's anchor; not FOREVER */
    bool end_of_month; /* MONTH: every boundary is on the last day of its month */
    int from_month;    /* calendar MONTH: a cycle begins in this month, 1 … 12; 0 = FROM says nothing, as 1 */
    int from_day;      /* calendar MONTH: on this day, clamped, 1 … 31; 0 = FROM says nothing, as 1 */
    int from_weekday;  /* calendar WEEK: on this day, Monday = 0 … Sunday = 6 */
};

struct cycle {
    int64_t start_us, end_us; /* [start, end); FOREVER ends at INT64_MAX */
    int64_t index;            /* 0 is the cycle the anchor lies in; earlier ones are negative */
};

/* Reads a period's word in any case: minute hour day week month quarter half-year (or halfyear) year forever, each with
 * a count in front if there is more than one (`3month`), or a duration (`90s`, `30d`: always that long). Not a bare
 * number. False, and *period untouched, on anything else. What CALENDAR, FROM and EOM say is added by the caller. */
bool period_parse(struct bytes word, struct period *period);

/* Is this word a duration of whole days (`30d`, `2w`)? Its days are 24 hours long, those of a calendar are not, so it
 * does not go with CALENDAR: `day`, `week` and `month` do. */
bool period_is_days_of_24_hours(struct bytes word);

/* Reads what FROM says, which depends on the unit: for months the day `15` or month and day `04-06` (a day that month
 * has in a leap year), for weeks `mon` … `sun` or `monday` … in any case. False, and *period untouched, when the word
 * does not fit the unit. */
bool period_parse_from(struct bytes word, struct period *period);

/* NULL when the period can be used, else the reason it cannot, as the end of an error text (EOM without months, FROM
 * without CALENDAR and such; that of FROM mon, which is the default, goes unseen). */
const char *period_fault(const struct period *period);

/* The word that period_parse reads, in its largest unit (`quarter`, `year`, `2week`, `90s`): without CALENDAR. Where
 * older plans have CALENDAR beside a duration of whole days it is written in hours (`720hour`), which can be read. */
void period_write(const struct period *period, struct sink *sink);

/* What stands behind the word in a rule: ` CALENDAR FROM 04-06`, ` EOM` or nothing; what means the same is written the
 * same (`quarter FROM 10-06` as FROM 01-06, `month FROM 31` as EOM). */
void period_write_alignment(const struct period *period, struct sink *sink);

/* A usable period as one number, 0 … INT64_MAX, small for what is usual; equal for periods that period_write and
 * period_write_alignment write equally (so `7day` and `week` are two). And back: false, and *period untouched, when
 * the number is not the one of a usable period. */
uint64_t period_code(const struct period *period);
bool period_from_code(uint64_t code, struct period *period);

/* Does a command that names `wanted` (0 = any) mean this period: the same unit and count, whatever its alignment? */
bool period_code_is_meant(uint64_t code, uint64_t wanted);

/* The cycle in which `at_us` lies, for an account anchored at `anchor_us` in `zone`. FOREVER: from the anchor to
 * INT64_MAX, whatever `at_us`. Instants beyond +-INSTANT_MAX_US are taken for these; an index saturates. */
struct cycle period_cycle_at(const struct period *period, const struct zone *zone, int64_t anchor_us, int64_t at_us);

/* The cycle numbered `index`, which may be any int64. One that does not exist has start = end: a skipped local day, any
 * but 0 of FOREVER, and what lies beyond a saturated end of time, farther out than +-INSTANT_MAX_US. */
struct cycle period_cycle(const struct period *period, const struct zone *zone, int64_t anchor_us, int64_t index);

/* The cycles between two numbers, from <= to: to - from, less a local day in between that does not exist. And back: the
 * number of the cycle that comes `count` after number `index`. O(log n) where a day is left out, else O(1). */
int64_t period_cycles_between(const struct period *period, const struct zone *zone, int64_t anchor_us, int64_t from,
                              int64_t to);
int64_t period_index_after(const struct period *period, const struct zone *zone, int64_t anchor_us, int64_t index,
                           int64_t count);

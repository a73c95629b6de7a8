/* Seasons: the yearly rule of a time zone, as the last line of its file writes it, and what it says of any instant.
 *
 *     CET-1CEST,M3.5.0,M10.5.0/3        ──dst_parse──▶  two offsets, two transitions
 *     │  │ │    │       └ back: last Sunday of October, 03:00 of the clock that is turned
 *     │  │ │    └ daylight begins: last Sunday of March, 02:00
 *     │  │ └ daylight saving: an hour more, as nothing else is said
 *     └──┴ standard time: one hour east (the string counts west as positive, we do not)
 *
 * Answers come as stretches: the longest known run [since, until) of one offset, by arithmetic on the year of the
 * instant. Rules that only pretend to change (daylight saving all year, or never) come out as what they are.
 *
 * Source: RFC 9636, 3.3 and 3.3.1 (the TZ string of POSIX, with hours from -167 to 167). */
#pragma once

#include "quota/base/bytes.h"

#define FOREVER_US   INT64_MAX /* as an end: never ends */
#define BEGINNING_US INT64_MIN

/* One of the two moments of the year at which clocks are turned. */
struct dst_transition {
    enum dst_transition_kind {
        TRANSITION_MONTH, /* Mm.w.d: the w-th weekday d of month m, the last one if w is 5 */
        TRANSITION_DAY,   /* Jn: day n of the year, 1 … 365, February 29 is never counted */
        TRANSITION_COUNT, /* n: day n of the year, 0 … 365, February 29 is counted */
    } kind;
    int month, week, day;
    int64_t time_s; /* since 00:00 UTC of that day: the turned clock's offset is taken off already */
};

/* The yearly rule, in seconds as the file has it: so no year of an int64 instant can overflow its transitions. */
struct dst {
    int64_t standard_s, daylight_s; /* offsets; daylight is the smaller one in Dublin */
    struct dst_transition daylight_begins, standard_begins;
};

/* The longest known run of one offset; until_us is exclusive. */
struct stretch {
    int64_t since_us, until_us;
    int64_t offset_us;
};

/* Reads a TZ string: `std offset [dst [offset] ,date,date]`. POSIX leaves it to the implementation when daylight saving
 * holds where the dates are missing, so they are required. False on anything else. A rule that changes nothing has two
 * equal offsets. */
bool dst_parse(struct bytes text, struct dst *dst);

/* The run of one offset around an instant, as far as this rule goes. */
struct stretch dst_stretch_at(const struct dst *dst, int64_t instant_us);

/* The offset east of UTC, in us. */
int64_t dst_offset_at(const struct dst *dst, int64_t instant_us);

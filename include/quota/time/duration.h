/* Time as numbers: instants and durations in whole microseconds, and the texts users write them as.
 *
 *     1970            now                         INSTANT_MAX_US (year 148108)
 *      |───────────────|──────────────────────────────|
 *      0        instant_us (int64)        anything later is "never"
 *
 * An instant is an int64 count of us since the Unix epoch; a duration is shorter than DURATION_MAX_US. Both bounds
 * are far inside int64, so adding a duration to an instant cannot wrap and products fit 128 bits (checked.h). */
#pragma once

#include "quota/base/buffer.h"
#include <stdbool.h>
#include <stdint.h>

#define MICROS_PER_MILLI  INT64_C(1000)
#define MICROS_PER_SECOND INT64_C(1000000)
#define MICROS_PER_MINUTE (60 * MICROS_PER_SECOND)
#define MICROS_PER_HOUR   (60 * MICROS_PER_MINUTE)
#define MICROS_PER_DAY    (24 * MICROS_PER_HOUR)
#define MICROS_PER_WEEK   (7 * MICROS_PER_DAY)

#define DURATION_MAX_US (INT64_C(1) << 58) /* about 9133 years: longer than any sane period or time to live */
#define INSTANT_MAX_US  (INT64_C(1) << 62) /* the last instant that can be stored or waited for */

/* Answer of a wait that has no end: the request can never be admitted. */
#define NEVER_US INT64_C(-1)

/* `<n>us|ms|s|m|h|d|w` in lower case, compounds in descending units, each once (`1h30m`); a bare integer means seconds.
 * A sign in front counts for the whole. False on anything else and on |duration| > DURATION_MAX_US. */
bool parse_duration(struct bytes text, int64_t *duration_us);

/* Why a text that is not a duration nearly is one: its units are in upper case (`1M`). NULL where there is nothing to
 * say. */
const char *duration_hint(struct bytes text);

/* Unix milliseconds (`1738335600000`), microseconds (`1738335600000000us`), seconds (`1738335600s`) or RFC 3339
 * (`2025-01-31T15:00:00Z`). False on anything else and outside +-INSTANT_MAX_US. A bare integer below
 * INSTANT_MILLIS_MIN is refused: it is meant as seconds, or as a day. */
#define INSTANT_MILLIS_MIN INT64_C(100000000000) /* March 1973 in ms, the year 5138 in seconds */
bool parse_instant(struct bytes text, int64_t *instant_us);

/* Is that why it was refused? */
bool instant_lacks_unit(struct bytes text);

/* Whole ms that surely cover `duration_us`: for anything a caller waits for. NEVER_US stays -1. */
int64_t millis_ceil(int64_t duration_us);

/* Whole ms not longer than `duration_us`: for instants shown and for what remains. */
int64_t millis_floor(int64_t duration_us);

/* The sum, or NEVER_US when `duration_us` is never or the sum lies past INSTANT_MAX_US. */
int64_t wait_add(int64_t wait_us, int64_t duration_us);

/* Writes a duration as text in the largest unit that divides it: `90s`, `2h`. parse_duration reads it back. */
void sink_duration(struct sink *sink, int64_t duration_us);

/* Reads durations and instants as users write them; rounds microseconds for replies.
 *
 *     "250ms"  ──▶ digits 250 | unit "ms" ──▶ 250 x 1000 us
 *     "90"     ──▶ digits 90  | no unit   ──▶ seconds
 *
 * Grammar of instants: integer = Unix ms, integer + "us", else RFC 3339 (calendar.h). */
#include "quota/time/duration.h"
#include "quota/base/checked.h"
#include "quota/time/calendar.h"

static const struct unit {
    const char *word;
    int64_t duration_us;
} units[] = {
    /* those in daily use first */
    {"S", MICROS_PER_SECOND}, {"", MICROS_PER_SECOND},  {"M", MICROS_PER_MINUTE}, {"H", MICROS_PER_HOUR},
    {"D", MICROS_PER_DAY},    {"MS", MICROS_PER_MILLI}, {"W", MICROS_PER_WEEK},   {"US", 1},
};

bool parse_duration(struct bytes text, int64_t *duration_us)
{
    int64_t count, total_us;
    size_t digits = bytes_leading_integer(text, &count);
    struct bytes unit = {text.data + digits, text.size - digits};

    if (digits == 0) return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!bytes_is_word(unit, units[i].word)) continue;
        if (!multiply_checked(count, units[i].duration_us, &total_us)) return false;
        if (total_us > DURATION_MAX_US || total_us < -DURATION_MAX_US) return false;
        *duration_us = total_us;
        return true;
    }
    return false;
}

bool parse_instant(struct bytes text, int64_t *instant_us)
{
    int64_t number;
    size_t digits = bytes_leading_integer(text, &number);
    struct bytes unit = {text.data + digits, text.size - digits};

    if (digits > 0 && (unit.size == 0 || bytes_is_word(unit, "US"))) {
        if (unit.size == 0 && !multiply_checked(number, MICROS_PER_MILLI, &number)) return false;
    } else if (!instant_from_rfc3339(text.data, text.size, &number)) {
        return false;
    }
    if (number > INSTANT_MAX_US || number < -INSTANT_MAX_US) return false;
    *instant_us = number;
    return true;
}

int64_t millis_ceil(int64_t duration_us)
{
    if (duration_us == NEVER_US) return NEVER_US;
    return (int64_t)wide_div_ceil(duration_us, MICROS_PER_MILLI);
}

int64_t millis_floor(int64_t duration_us)
{
    return (int64_t)wide_div_floor(duration_us, MICROS_PER_MILLI);
}

int64_t wait_add(int64_t wait_us, int64_t duration_us)
{
    int64_t total_us;
    if (wait_us == NEVER_US || !add_checked(wait_us, duration_us, &total_us)) return NEVER_US;
    return total_us > INSTANT_MAX_US ? NEVER_US : total_us;
}

void sink_duration(struct sink *sink, int64_t duration_us)
{
    static const struct unit {
        int64_t duration_us;
        const char *word;
    } largest_first[] = {{MICROS_PER_WEEK, "w"},
                         {MICROS_PER_DAY, "d"},
                         {MICROS_PER_HOUR, "h"},
                         {MICROS_PER_MINUTE, "m"},
                         {MICROS_PER_SECOND, "s"},
                         {MICROS_PER_MILLI, "ms"},
                         {1, "us"}};
    const struct unit *unit = largest_first;
    while (duration_us % unit->duration_us != 0) unit++;
    sink_decimal(sink, duration_us / unit->duration_us);
    sink_raw(sink, unit->word, strlen(unit->word));
}

/* Reads durations and instants as users write them; rounds microseconds for replies.
 *
 *     "1h30m"  ──▶ 1 "h" │ 30 "m"  ──▶ 1 x 3600 s + 30 x 60 s      each unit smaller than the one before
 *     "90"     ──▶ 90, no unit     ──▶ seconds; only alone
 *
 * Grammar of instants: an integer of 10^11 or more = Unix ms, integer + "us" or "s", else RFC 3339 (calendar.h). */
#include "quota/time/duration.h"
#include "quota/base/checked.h"
#include "quota/time/calendar.h"

static const struct unit {
    const char *name;
    int64_t duration_us;
} units[] = {
    /* those in daily use first */
    {"s", MICROS_PER_SECOND},
    {"m", MICROS_PER_MINUTE},
    {"h", MICROS_PER_HOUR},
    {"d", MICROS_PER_DAY},
    {"ms", MICROS_PER_MILLI},
    {"w", MICROS_PER_WEEK},
    {"us", 1},
};

static bool is_letter(char byte)
{
    return (byte | ' ') >= 'a' && (byte | ' ') <= 'z';
}

/* The unit that a text begins with, in lower case only; NULL where it is none. A second letter is always an s. */
static const struct unit *leading_unit(struct bytes text)
{
    bool two = text.size > 1 && is_letter(text.data[1]), three = two && text.size > 2 && is_letter(text.data[2]);
    if (text.size == 0 || three || (two && text.data[1] != 's')) return NULL;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].name[0] == text.data[0] && (units[i].name[1] == 's') == two) return &units[i];
    }
    return NULL;
}

static struct bytes bytes_from(struct bytes text, size_t start)
{
    return (struct bytes){text.data + start, text.size - start};
}

/* Adds what follows the first part; units descend, so each comes once. */
static bool add_parts(struct bytes text, int64_t unit_us, bool negative, int64_t *total_us)
{
    while (text.size > 0) {
        int64_t count, part_us;
        size_t digits = text.data[0] >= '0' && text.data[0] <= '9' ? bytes_leading_integer(text, &count) : 0;
        if (digits == 0) return false;
        const struct unit *unit = leading_unit(bytes_from(text, digits));
        if (!unit || unit->duration_us >= unit_us) return false;
        if (!multiply_checked(negative ? -count : count, unit->duration_us, &part_us)) return false;
        if (!add_checked(*total_us, part_us, total_us)) return false;
        unit_us = unit->duration_us;
        text = bytes_from(text, digits + strlen(unit->name));
    }
    return true;
}

bool parse_duration(struct bytes text, int64_t *duration_us)
{
    int64_t count, total_us;
    size_t digits = bytes_leading_integer(text, &count);
    if (digits == 0) return false;

    struct bytes rest = bytes_from(text, digits);
    const struct unit *unit = rest.size == 0 ? units : leading_unit(rest); /* units[0] are seconds */
    if (!unit || !multiply_checked(count, unit->duration_us, &total_us)) return false;
    if (rest.size > 2 || (rest.size == 2 && !unit->name[1])) {
        struct bytes behind = bytes_from(rest, strlen(unit->name));
        if (!add_parts(behind, unit->duration_us, text.data[0] == '-', &total_us)) return false;
    }
    if (total_us > DURATION_MAX_US || total_us < -DURATION_MAX_US) return false;
    *duration_us = total_us;
    return true;
}

const char *duration_hint(struct bytes text)
{
    char lower[64];
    int64_t unused;
    bool months = false;
    if (text.size > sizeof(lower)) return NULL;
    for (size_t i = 0; i < text.size; i++) {
        lower[i] = text.data[i] >= 'A' && text.data[i] <= 'Z' ? (char)(text.data[i] | ' ') : text.data[i];
        months = months || text.data[i] == 'M';
    }
    if (parse_duration(text, &unused) || !parse_duration((struct bytes){lower, text.size}, &unused)) return NULL;
    if (months) return "units are lower case: m is minutes, ms is milliseconds, and a calendar month is a month";
    return "units are lower case: us, ms, s, m, h, d, w";
}

bool instant_lacks_unit(struct bytes text)
{
    int64_t number;
    return bytes_integer(text, &number) && number < INSTANT_MILLIS_MIN;
}

bool parse_instant(struct bytes text, int64_t *instant_us)
{
    int64_t number, unit_us = 0;
    size_t digits = bytes_leading_integer(text, &number);
    struct bytes unit = bytes_from(text, digits);

    if (digits > 0 && unit.size == 0) unit_us = number < INSTANT_MILLIS_MIN ? 0 : MICROS_PER_MILLI;
    if (digits > 0 && bytes_equal(unit, BYTES("us"))) unit_us = 1;
    if (digits > 0 && bytes_equal(unit, BYTES("s"))) unit_us = MICROS_PER_SECOND;
    if (unit_us > 0) {
        if (!multiply_checked(number, unit_us, &number)) return false;
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

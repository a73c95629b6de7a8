/* Reads, writes and evaluates schedule entries; see schedule.h.
 *
 * A wall clock reading is a day and a time of day. An entry that runs past midnight has two parts:
 *
 *     fri 22:00-02:00     Friday's part    22:00 … 24:00    if today is one of the days
 *                         the next day's   00:00 … 02:00    if yesterday was
 *
 * Offsets are added before the question, never inside it: that is all there is to DST here. */
#include "quota/time/schedule.h"
#include "quota/base/checked.h"
#include "quota/time/calendar.h"
#include "quota/time/duration.h"

#define DAYS           7
#define DAY_LETTERS    3
#define FORTNIGHT_DAYS 14 /* days repeat after a week; a change of the offset may leave one of them out */
#define TIMES_SIZE     11 /* 09:00-17:30 */

static const char day_words[DAYS][DAY_LETTERS + 1] = {"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"};

bool schedule_set_zone(struct schedule *schedule, struct bytes name)
{
    if (!zone_name_valid(name)) return false;
    memset(schedule->zone, 0, sizeof(schedule->zone));
    memcpy(schedule->zone, name.data, name.size);
    schedule->zone_size = (uint8_t)name.size;
    return true;
}

bool schedule_valid(const struct schedule *schedule)
{
    if (schedule->zone_size > sizeof(schedule->zone) || !zone_name_valid(schedule_zone(schedule))) return false;
    for (size_t i = schedule->zone_size; i < sizeof(schedule->zone); i++) {
        if (schedule->zone[i] != '\0') return false;
    }
    if (schedule->days == 0 || schedule->days > SCHEDULE_DAYS_ALL) return false;
    return schedule->from_minutes < SCHEDULE_MINUTES_DAY && schedule->to_minutes >= 1 &&
           schedule->to_minutes <= SCHEDULE_MINUTES_DAY;
}

/* ---- texts --------------------------------------------------------------------------------------------- */

/* Monday = 0 … Sunday = 6; -1 = no day. */
static int day_parse(struct bytes text)
{
    for (int day = 0; day < DAYS; day++) {
        if (bytes_is_word(text, day_words[day])) return day;
    }
    return -1;
}

/* `mon` or `mon-fri`; 0 = neither. */
static uint8_t run_parse(struct bytes text)
{
    if (text.size != DAY_LETTERS && text.size != 2 * DAY_LETTERS + 1) return 0;
    int first = day_parse((struct bytes){text.data, DAY_LETTERS}), last = first;
    if (text.size > DAY_LETTERS) {
        if (text.data[DAY_LETTERS] != '-') return 0;
        last = day_parse((struct bytes){text.data + DAY_LETTERS + 1, DAY_LETTERS});
    }
    if (first < 0 || last < 0) return 0;
    unsigned days = 1u << first;
    for (int day = first; day != last;) {
        day = (day + 1) % DAYS;
        days |= 1u << day;
    }
    return (uint8_t)days;
}

bool schedule_parse_days(struct bytes text, uint8_t *days)
{
    if (bytes_is_word(text, "DAILY")) {
        *days = SCHEDULE_DAYS_ALL;
        return true;
    }
    uint8_t all = 0;
    for (size_t begin = 0; begin <= text.size;) {
        size_t end = begin;
        while (end < text.size && text.data[end] != ',') end++;
        uint8_t run = run_parse((struct bytes){text.data + begin, end - begin});
        if (run == 0) return false;
        all |= run;
        begin = end + 1;
    }
    *days = all;
    return true;
}

static void day_write(int day, struct sink *sink)
{
    for (int i = 0; i < DAY_LETTERS; i++) sink_byte(sink, (uint8_t)(day_words[day][i] - 'A' + 'a'));
}

void schedule_write_days(uint8_t days, struct sink *sink)
{
    if (days == SCHEDULE_DAYS_ALL) {
        sink_raw(sink, "daily", 5);
        return;
    }
    bool begun = false;
    for (int day = 0; day < DAYS; day++) {
        if (!(days >> day & 1)) continue;
        int last = day;
        while (last + 1 < DAYS && days >> (last + 1) & 1) last++;
        if (begun) sink_byte(sink, ',');
        begun = true;
        day_write(day, sink);
        if (last - day < 2) continue;
        sink_byte(sink, '-');
        day_write(last, sink);
        day = last;
    }
}

/* hh:mm at the front of `text`, which has room for it; -1 = no such time. */
static int minutes_parse(const char *text)
{
    static const int places[] = {0, 1, 3, 4};
    int digits[4];
    for (int i = 0; i < 4; i++) {
        digits[i] = text[places[i]] - '0';
        if (digits[i] < 0 || digits[i] > 9) return -1;
    }
    int hours = digits[0] * 10 + digits[1], minutes = digits[2] * 10 + digits[3];
    if (text[2] != ':' || minutes > 59 || hours * 60 + minutes > SCHEDULE_MINUTES_DAY) return -1;
    return hours * 60 + minutes;
}

bool schedule_parse_times(struct bytes text, uint16_t *from_minutes, uint16_t *to_minutes)
{
    if (text.size != TIMES_SIZE || text.data[TIMES_SIZE / 2] != '-') return false;
    int from = minutes_parse(text.data), to = minutes_parse(text.data + TIMES_SIZE / 2 + 1);
    if (from < 0 || from == SCHEDULE_MINUTES_DAY || to < 0) return false;
    *from_minutes = (uint16_t)from;
    *to_minutes = (uint16_t)(to == 0 ? SCHEDULE_MINUTES_DAY : to);
    return true;
}

static void minutes_write(uint16_t minutes, struct sink *sink)
{
    unsigned hours = minutes / 60u, remainder = minutes % 60u;
    char text[] = {(char)('0' + hours / 10), (char)('0' + hours % 10), ':', (char)('0' + remainder / 10),
                   (char)('0' + remainder % 10)};
    sink_raw(sink, text, sizeof(text));
}

void schedule_write_times(uint16_t from_minutes, uint16_t to_minutes, struct sink *sink)
{
    minutes_write(from_minutes, sink);
    sink_byte(sink, '-');
    minutes_write(to_minutes, sink);
}

/* ---- questions ----------------------------------------------------------------------------------------- */

static bool days_hold(uint8_t days, int64_t day)
{
    return days >> days_weekday(day) & 1;
}

bool schedule_covers(const struct schedule *schedule, int64_t local_us)
{
    int64_t day = floor_div(local_us, MICROS_PER_DAY), time_us = floor_mod(local_us, MICROS_PER_DAY);
    int64_t from_us = schedule->from_minutes * MICROS_PER_MINUTE, to_us = schedule->to_minutes * MICROS_PER_MINUTE;
    bool today = days_hold(schedule->days, day);
    if (schedule->to_minutes > schedule->from_minutes) return today && time_us >= from_us && time_us < to_us;
    return (today && time_us >= from_us) || (time_us < to_us && days_hold(schedule->days, day - 1));
}

int32_t schedule_rules_at(const struct schedule *entries, uint32_t count, int64_t now_us, zone_finder *find_zone,
                          void *context)
{
    const struct zone *zone = NULL;
    int64_t local_us = 0;
    for (uint32_t i = 0; i < count; i++) {
        /* Most policies have one zone: what its clocks show is found once. */
        if (i == 0 || !bytes_equal(schedule_zone(&entries[i]), schedule_zone(&entries[i - 1]))) {
            zone = find_zone(schedule_zone(&entries[i]), context);
            if (zone) local_us = zone_local_from_instant(zone, now_us);
        }
        if (zone && schedule_covers(&entries[i], local_us)) return (int32_t)i;
    }
    return -1;
}

/* The next wall clock reading after `local_us` that is a beginning, an end or a midnight. */
static int64_t next_reading_us(const struct schedule *schedule, int64_t local_us)
{
    int64_t midnight_us = floor_div(local_us, MICROS_PER_DAY) * MICROS_PER_DAY;
    int64_t next_us = midnight_us + MICROS_PER_DAY;
    int64_t from_us = midnight_us + schedule->from_minutes * MICROS_PER_MINUTE;
    int64_t to_us = midnight_us + schedule->to_minutes * MICROS_PER_MINUTE;
    if (from_us > local_us) next_us = min_i64(next_us, from_us);
    if (to_us > local_us) next_us = min_i64(next_us, to_us);
    return next_us;
}

/* Goes from reading to reading; a change of the offset is one more place to look at. */
bool schedule_next_change_us(const struct schedule *schedule, const struct zone *zone, int64_t now_us,
                             int64_t *change_us)
{
    int64_t last_us;
    if (!add_checked(now_us, FORTNIGHT_DAYS * MICROS_PER_DAY, &last_us) || now_us < -INSTANT_MAX_US) return false;
    bool covered = schedule_covers(schedule, zone_local_from_instant(zone, now_us));
    for (int64_t at_us = now_us; at_us <= last_us;) {
        int64_t offset_us = zone_offset_at(zone, at_us), turn_us;
        int64_t next_us = next_reading_us(schedule, at_us + offset_us) - offset_us;
        if (zone_next_change(zone, at_us, &turn_us) && turn_us < next_us) next_us = turn_us;
        at_us = next_us;
        if (schedule_covers(schedule, zone_local_from_instant(zone, at_us)) == covered) continue;
        *change_us = at_us;
        return true;
    }
    return false;
}

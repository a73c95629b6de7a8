/* Feeds the zone reader and the reader of RFC 3339 with any bytes, and holds them to what they promise.
 *
 *     bytes ──▶ zone_parse ──▶ refused
 *                        └──▶ zone ──▶ each change is one · no offset out of range
 *                                      instant → local → instant comes back, or the other one of an overlap
 *                                      what is called a gap or an overlap is one
 *     bytes ──▶ instant_from_rfc3339 ──▶ written and read again it is the same instant
 *
 * The instants looked up are the changes themselves and eight bytes taken from the file's end. */
#include "input.h"
#include "quota/time/calendar.h"
#include "quota/time/duration.h"
#include "quota/time/zone.h"
#include <string.h>

#define CHANGES_TRIED 64
/* Where no offset can carry a local time over the edge of int64. */
#define INSIDE_US (INT64_MAX - 100 * MICROS_PER_HOUR)

/* A reading means what it is said to mean. */
static void check_local(const struct zone *zone, int64_t local_us)
{
    struct zone_local local = zone_resolve_local(zone, local_us);
    int64_t first_us = zone_local_from_instant(zone, local.instant_us);
    int64_t other_us = zone_local_from_instant(zone, local.other_us);

    require(zone_instant_from_local(zone, local_us) == local.instant_us);
    switch (local.kind) {
    case ZONE_LOCAL_UNIQUE: require(first_us == local_us && local.other_us == local.instant_us); break;
    case ZONE_LOCAL_OVERLAP:
        require(first_us == local_us && other_us == local_us && local.instant_us < local.other_us);
        break;
    case ZONE_LOCAL_GAP: {
        /* There is a change between the two, and the clock did not show the reading before it. */
        int64_t change_us;
        require(local.other_us < local.instant_us);
        require(zone_next_change(zone, local.other_us, &change_us) && change_us <= local.instant_us);
        break;
    }
    }
}

static void check_instant(const struct zone *zone, int64_t instant_us)
{
    int64_t offset_us = zone_offset_at(zone, instant_us);
    require(offset_us > -25 * MICROS_PER_HOUR && offset_us < 26 * MICROS_PER_HOUR);
    require(offset_us % MICROS_PER_SECOND == 0);
    if (instant_us > INSIDE_US || instant_us < -INSIDE_US) return;

    int64_t local_us = zone_local_from_instant(zone, instant_us);
    require(local_us == instant_us + offset_us);
    struct zone_local local = zone_resolve_local(zone, local_us);
    /* The first occurrence is not later than this one; a file may turn clocks so wildly that it lies in what
     * a jump left out before. */
    require(local.instant_us <= instant_us || local.kind == ZONE_LOCAL_GAP);
    check_local(zone, local_us);
    check_local(zone, instant_us);
}

static void check_zone(const struct zone *zone, const uint8_t *data, size_t size)
{
    int64_t instant_us = 0, change_us = INT64_MIN;

    if (size >= sizeof(instant_us)) memcpy(&instant_us, data + size - sizeof(instant_us), sizeof(instant_us));
    check_instant(zone, INT64_MIN);
    check_instant(zone, INT64_MAX);
    check_instant(zone, instant_us);
    for (int i = 0; i < CHANGES_TRIED && zone_next_change(zone, change_us, &instant_us); i++) {
        require(instant_us > change_us);
        require(zone_offset_at(zone, instant_us - 1) != zone_offset_at(zone, instant_us));
        require(change_us == INT64_MIN || zone_offset_at(zone, change_us) == zone_offset_at(zone, instant_us - 1));
        check_instant(zone, instant_us - 1);
        check_instant(zone, instant_us);
        change_us = instant_us;
    }
}

static void check_text(const uint8_t *data, size_t size)
{
    char text[RFC3339_SIZE];
    int64_t instant_us, again_us;

    if (!instant_from_rfc3339((const char *)data, size, &instant_us)) return;
    size_t length = instant_to_rfc3339(instant_us, text);
    if (length == 0) return; /* an offset led out of the years 0000 … 9999 */
    require(length < RFC3339_SIZE && instant_from_rfc3339(text, length, &again_us) && again_us == instant_us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct zone *zone;

    if (zone_parse(data, size, &zone) == ZONE_FAULT_NONE) {
        check_zone(zone, data, size);
        zone_free(zone);
    } else {
        require(zone == NULL);
    }
    check_text(data, size);
    zone_name_valid((struct bytes){(const char *)data, size});
    return 0;
}

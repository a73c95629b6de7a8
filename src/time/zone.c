/* Reads TZif files into a table of offset changes plus a yearly rule, and looks instants and local times up.
 *
 * A file is one block (version 1, times of 4 bytes) or two (version 2 and later: the old block, ignored, then
 * one with times of 8 bytes, then the footer):
 *
 *     OFFSET  SIZE            DESCRIPTION
 *        0      4             "TZif"
 *        4      1             version: NUL, '2', '3' or '4'
 *        5     15             reserved
 *       20      4  u          count of UT/local flags             0 or t
 *       24      4  s          count of standard/wall flags        0 or t
 *       28      4             count of leap seconds               must be 0 here
 *       32      4  n          count of changes
 *       36      4  t          count of local time types           1 … 256
 *       40      4  c          bytes of abbreviations
 *       44      n x 4 or 8    instants of the changes, s since the epoch, strictly ascending
 *        .      n x 1         type each one changes to
 *        .      t x 6         types: offset (4, signed, s), daylight (1), index of the abbreviation (1)
 *        .      c             abbreviations, each ended by a NUL
 *        .      s, u          flags
 *     after the second block:   \n TZ string \n     e.g. CET-1CEST,M3.5.0,M10.5.0/3
 *
 * In memory only what decides remains: abbreviations, flags and changes that change nothing are checked, then
 * dropped. changes[0] begins at the beginning of time, so every instant has a row and the search needs no
 * special case. From dst_from_us on the yearly rule answers, by arithmetic on the year of the instant.
 *
 * All that is local goes through stretches: the longest known run [since, until) of one offset.
 *
 * Rejected: unrolling the rule into 800 rows (400 years repeat exactly). It would leave one kind of lookup,
 * but 13 kB a zone are a high price for the difference. */
#include "quota/time/zone.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/time/calendar.h"
#include "quota/time/dst.h"
#include "quota/time/duration.h"

#define HEADER_SIZE        ((size_t)44)
#define TYPE_SIZE          ((size_t)6)
#define TYPES_MAX          256            /* an index is one byte */
#define OFFSET_EAST_MAX_S  INT64_C(93599) /* RFC 9636 3.2: 25:59:59, an hour more than 24:59:59 */
#define OFFSET_WEST_MAX_S  INT64_C(89999) /* 24:59:59, the most a TZ string can say */
#define OFFSET_EAST_MAX_US (OFFSET_EAST_MAX_S * MICROS_PER_SECOND)
#define OFFSET_WEST_MAX_US (OFFSET_WEST_MAX_S * MICROS_PER_SECOND)

struct change {
    int64_t since_us;
    int64_t offset_us;
};

struct zone {
    int64_t dst_from_us; /* FOREVER_US if there is no yearly rule */
    struct dst dst;
    size_t changes_count; /* at least 1: changes[0].since_us is BEGINNING_US */
    struct change changes[];
};

static int64_t add_saturating(int64_t left, int64_t right)
{
    int64_t sum;
    if (add_checked(left, right, &sum)) return sum;
    return right < 0 ? INT64_MIN : INT64_MAX;
}

/* ---- the blocks ---------------------------------------------------------------------------------------- */

struct block {
    uint8_t version;
    size_t time_size; /* 4 or 8 */
    uint64_t universal_count, standard_count, leaps_count, changes_count, types_count, letters_count;
    const uint8_t *times, *indexes, *types, *letters, *flags;
};

static uint64_t big_endian(const uint8_t *bytes, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) number = number << 8 | bytes[i];
    return number;
}

/* Two's complement of 4 or 8 bytes. */
static int64_t big_endian_signed(const uint8_t *bytes, size_t size)
{
    uint64_t number = big_endian(bytes, size);
    return size == 4 ? (int64_t)(int32_t)(uint32_t)number : (int64_t)number;
}

/* Bytes of a block without its header. Six 32-bit counts times at most 12 stay far inside 64 bits. */
static uint64_t block_size(const struct block *block)
{
    return block->changes_count * (block->time_size + 1) + block->types_count * TYPE_SIZE + block->letters_count +
           block->leaps_count * (block->time_size + 4) + block->standard_count + block->universal_count;
}

/* Takes one header and its block off the front of `file`. */
static enum zone_fault block_read(struct bytes *file, size_t time_size, struct block *block)
{
    const uint8_t *header = (const uint8_t *)file->data;

    if (file->size < HEADER_SIZE) return ZONE_FAULT_TRUNCATED;
    if (memcmp(header, "TZif", 4) != 0) return ZONE_FAULT_MAGIC;
    *block = (struct block){
        .version = header[4],
        .time_size = time_size,
        .universal_count = big_endian(header + 20, 4),
        .standard_count = big_endian(header + 24, 4),
        .leaps_count = big_endian(header + 28, 4),
        .changes_count = big_endian(header + 32, 4),
        .types_count = big_endian(header + 36, 4),
        .letters_count = big_endian(header + 40, 4),
    };
    /* Later versions are upward compatible by design, so single digits that are unknown today are let
     * in. */
    if (block->version != 0 && (block->version < '2' || block->version > '9')) return ZONE_FAULT_VERSION;
    if (block_size(block) > file->size - HEADER_SIZE) return ZONE_FAULT_TRUNCATED;

    block->times = header + HEADER_SIZE;
    block->indexes = block->times + block->changes_count * time_size;
    block->types = block->indexes + block->changes_count;
    block->letters = block->types + block->types_count * TYPE_SIZE;
    block->flags = block->letters + block->letters_count + block->leaps_count * (time_size + 4);
    size_t taken = HEADER_SIZE + (size_t)block_size(block);
    *file = (struct bytes){file->data + taken, file->size - taken};
    return ZONE_FAULT_NONE;
}

static int64_t block_change_s(const struct block *block, size_t index)
{
    return big_endian_signed(block->times + index * block->time_size, block->time_size);
}

static int64_t block_type_offset_s(const struct block *block, size_t type)
{
    return big_endian_signed(block->types + type * TYPE_SIZE, 4);
}

static enum zone_fault block_check_types(const struct block *block)
{
    for (size_t i = 0; i < block->types_count; i++) {
        const uint8_t *type = block->types + i * TYPE_SIZE;
        int64_t offset_s = block_type_offset_s(block, i);
        uint8_t daylight = type[4], designation = type[5];

        if (offset_s < -OFFSET_WEST_MAX_S || offset_s > OFFSET_EAST_MAX_S) return ZONE_FAULT_OFFSET;
        if (daylight > 1) return ZONE_FAULT_TYPE;
        if (designation >= block->letters_count) return ZONE_FAULT_DESIGNATION;
        if (!memchr(block->letters + designation, '\0', block->letters_count - designation)) {
            return ZONE_FAULT_DESIGNATION;
        }
    }
    for (size_t i = 0; i < block->standard_count + block->universal_count; i++) {
        if (block->flags[i] > 1) return ZONE_FAULT_TYPE;
    }
    return ZONE_FAULT_NONE;
}

static enum zone_fault block_check(const struct block *block)
{
    if (block->types_count < 1 || block->types_count > TYPES_MAX) return ZONE_FAULT_COUNTS;
    if (block->letters_count < 1) return ZONE_FAULT_COUNTS;
    if (block->standard_count != 0 && block->standard_count != block->types_count) return ZONE_FAULT_COUNTS;
    if (block->universal_count != 0 && block->universal_count != block->types_count) return ZONE_FAULT_COUNTS;
    if (block->leaps_count != 0) return ZONE_FAULT_LEAPS;
    for (size_t i = 0; i < block->changes_count; i++) {
        if (i > 0 && block_change_s(block, i) <= block_change_s(block, i - 1)) return ZONE_FAULT_ORDER;
        if (block->indexes[i] >= block->types_count) return ZONE_FAULT_TYPE;
    }
    return block_check_types(block);
}

/* What follows the second block: newline, TZ string, newline, end. */
static enum zone_fault footer_read(struct bytes file, struct bytes *footer)
{
    if (file.size < 2) return ZONE_FAULT_TRUNCATED;
    const char *end = memchr(file.data + 1, '\n', file.size - 1);
    if (file.data[0] != '\n' || !end) return ZONE_FAULT_FOOTER;
    *footer = (struct bytes){file.data + 1, (size_t)(end - file.data) - 1};
    return end + 1 == file.data + file.size ? ZONE_FAULT_NONE : ZONE_FAULT_TRAILING;
}

/* Finds the block that counts, and the footer (empty in version 1). */
static enum zone_fault file_read(struct bytes file, struct block *block, struct bytes *footer)
{
    enum zone_fault fault = block_read(&file, 4, block);
    uint8_t version = block->version;
    *footer = (struct bytes){NULL, 0};
    if (!fault && version != 0) fault = block_read(&file, 8, block);
    if (!fault && version != block->version) fault = ZONE_FAULT_VERSION;
    if (!fault) fault = block_check(block);
    if (fault) return fault;
    if (version != 0) return footer_read(file, footer);
    return file.size == 0 ? ZONE_FAULT_NONE : ZONE_FAULT_TRAILING;
}

/* ---- building ------------------------------------------------------------------------------------------ */

/* Fills the table from a checked block. Changes before the first us of an int64 only leave their offset
 * behind; those after the last one are out of reach. Returns the instant of the last change. */
static int64_t zone_fill(struct zone *zone, const struct block *block)
{
    int64_t last_us = BEGINNING_US;

    zone->changes[0] = (struct change){BEGINNING_US, block_type_offset_s(block, 0) * MICROS_PER_SECOND};
    zone->changes_count = 1;
    for (size_t i = 0; i < block->changes_count; i++) {
        wide change_us = (wide)block_change_s(block, i) * MICROS_PER_SECOND;
        int64_t offset_us = block_type_offset_s(block, block->indexes[i]) * MICROS_PER_SECOND;
        last_us = wide_clamp(change_us, BEGINNING_US, FOREVER_US);
        if (last_us == FOREVER_US) break;
        if (last_us == BEGINNING_US) {
            zone->changes[0].offset_us = offset_us;
        } else if (offset_us != zone->changes[zone->changes_count - 1].offset_us) {
            zone->changes[zone->changes_count++] = (struct change){last_us, offset_us};
        }
    }
    return last_us;
}

/* The footer rules from the last change on, with which it must agree (RFC 9636 3.3). Some zic wrote files
 * where it does not (slim America/Ojinaga: the rule it has had since November 2022 would have ended that
 * summer a week later): if the last offset is one of the rule's own, it stays until the rule's next one. */
static enum zone_fault zone_add_footer(struct zone *zone, const struct dst *dst, int64_t last_us)
{
    int64_t standard_us = dst->standard_s * MICROS_PER_SECOND;
    int64_t daylight_us = dst->daylight_s * MICROS_PER_SECOND;
    bool seasonal = standard_us != daylight_us;
    struct stretch stretch = {last_us, FOREVER_US, standard_us};

    if (last_us == FOREVER_US) return ZONE_FAULT_NONE; /* out of reach */
    if (seasonal) stretch = dst_stretch_at(dst, last_us);

    int64_t *table_us = &zone->changes[zone->changes_count - 1].offset_us;
    bool agrees = *table_us == stretch.offset_us;
    if (last_us == BEGINNING_US) {
        *table_us = stretch.offset_us; /* no change within reach: the footer speaks for all time */
    } else if (!agrees && (!seasonal || (*table_us != standard_us && *table_us != daylight_us))) {
        return ZONE_FAULT_CONFLICT;
    }
    if (seasonal) {
        zone->dst = *dst;
        zone->dst_from_us = agrees || last_us == BEGINNING_US ? last_us : stretch.until_us;
    }
    return ZONE_FAULT_NONE;
}

enum zone_fault zone_parse(const void *bytes, size_t size, const struct zone **zone)
{
    struct block block = {0};
    struct bytes footer;
    struct dst dst = {0};

    *zone = NULL;
    if (size > ZONE_FILE_MAX) return ZONE_FAULT_SIZE;
    enum zone_fault fault = file_read((struct bytes){bytes, size}, &block, &footer);
    if (fault) return fault;
    if (footer.size > 0 && !dst_parse(footer, &dst)) return ZONE_FAULT_FOOTER;

    size_t rows = (size_t)block.changes_count + 1;
    struct zone *made = memory_alloc(sizeof(*made) + rows * sizeof(made->changes[0]));
    *made = (struct zone){.dst_from_us = FOREVER_US};
    int64_t last_us = zone_fill(made, &block);
    if (footer.size > 0) fault = zone_add_footer(made, &dst, last_us);
    if (fault) {
        memory_free(made);
        return fault;
    }
    *zone = memory_realloc(made, sizeof(*made) + made->changes_count * sizeof(made->changes[0]));
    return ZONE_FAULT_NONE;
}

static const struct zone utc = {
    .dst_from_us = FOREVER_US,
    .changes_count = 1,
    .changes = {{BEGINNING_US, 0}},
};

const struct zone *zone_utc(void)
{
    return &utc;
}

void zone_free(const struct zone *zone)
{
    if (zone != &utc) memory_free((struct zone *)zone);
}

size_t zone_size(const struct zone *zone)
{
    return sizeof(*zone) + zone->changes_count * sizeof(zone->changes[0]);
}

const char *zone_fault_text(enum zone_fault fault)
{
    static const char *const texts[ZONE_FAULTS_COUNT] = {
        [ZONE_FAULT_NONE] = "no fault",
        [ZONE_FAULT_SIZE] = "file is larger than 64 KiB",
        [ZONE_FAULT_TRUNCATED] = "file is cut short",
        [ZONE_FAULT_MAGIC] = "not a TZif file",
        [ZONE_FAULT_VERSION] = "unknown TZif version",
        [ZONE_FAULT_COUNTS] = "header counts contradict each other",
        [ZONE_FAULT_LEAPS] = "file counts leap seconds; use the zone without right/",
        [ZONE_FAULT_ORDER] = "transitions are not in ascending order",
        [ZONE_FAULT_TYPE] = "transition to an unknown local time type, or a flag that is not 0 or 1",
        [ZONE_FAULT_OFFSET] = "offset from UTC is out of range",
        [ZONE_FAULT_DESIGNATION] = "abbreviation lies outside its table",
        [ZONE_FAULT_FOOTER] = "footer is not a TZ string with explicit rules",
        [ZONE_FAULT_CONFLICT] = "footer contradicts the last transition",
        [ZONE_FAULT_TRAILING] = "bytes after the end",
    };
    bool known = (unsigned)fault < ZONE_FAULTS_COUNT;
    return known ? texts[fault] : "unknown fault";
}

bool zone_name_valid(struct bytes name)
{
    if (name.size < 1 || name.size > ZONE_NAME_MAX) return false;
    char before = '/';
    for (size_t i = 0; i < name.size; i++) {
        char letter = name.data[i];
        bool word = char_is_letter(letter) || char_is_digit(letter) || letter == '_' || letter == '+' || letter == '-';
        if (!word && (letter != '/' || before == '/')) return false;
        before = letter;
    }
    return before != '/';
}

/* ---- looking up ---------------------------------------------------------------------------------------- */

/* The last change not after an instant. Halves without branching on the data: the compiler makes it a
 * conditional move, which a random instant cannot mispredict. */
static size_t change_at(const struct zone *zone, int64_t instant_us)
{
    size_t low = 0;
    for (size_t count = zone->changes_count; count > 1;) {
        size_t half = count / 2;
        low += zone->changes[low + half].since_us <= instant_us ? half : 0;
        count -= half;
    }
    return low;
}

static bool zone_in_dst(const struct zone *zone, int64_t instant_us)
{
    return instant_us >= zone->dst_from_us && zone->dst_from_us != FOREVER_US;
}

static struct stretch zone_stretch_at(const struct zone *zone, int64_t instant_us)
{
    if (zone_in_dst(zone, instant_us)) {
        struct stretch stretch = dst_stretch_at(&zone->dst, instant_us);
        stretch.since_us = max_i64(stretch.since_us, zone->dst_from_us);
        return stretch;
    }
    size_t index = change_at(zone, instant_us);
    bool last = index + 1 == zone->changes_count;
    return (struct stretch){
        .since_us = zone->changes[index].since_us,
        .until_us = last ? zone->dst_from_us : zone->changes[index + 1].since_us,
        .offset_us = zone->changes[index].offset_us,
    };
}

int64_t zone_offset_at(const struct zone *zone, int64_t instant_us)
{
    if (zone_in_dst(zone, instant_us)) return dst_offset_at(&zone->dst, instant_us);
    return zone->changes[change_at(zone, instant_us)].offset_us;
}

bool zone_next_change(const struct zone *zone, int64_t instant_us, int64_t *change_us)
{
    struct stretch stretch = zone_stretch_at(zone, instant_us);
    int64_t offset_us = stretch.offset_us;

    /* The table's end is the footer's beginning but no change; and a rule may skip a season in some years. */
    while (stretch.offset_us == offset_us) {
        if (stretch.until_us == FOREVER_US) return false;
        stretch = zone_stretch_at(zone, stretch.until_us);
    }
    *change_us = stretch.since_us;
    return true;
}

int64_t zone_local_from_instant(const struct zone *zone, int64_t instant_us)
{
    return add_saturating(instant_us, zone_offset_at(zone, instant_us));
}

/* An instant at which a clock with this offset shows the reading; inside the stretch or not. */
static int64_t stretch_instant(const struct stretch *stretch, int64_t local_us)
{
    return add_saturating(local_us, -stretch->offset_us);
}

static bool stretch_reaches(const struct stretch *stretch, int64_t instant_us)
{
    return instant_us < stretch->until_us || stretch->until_us == FOREVER_US;
}

/* The reading was found in `stretch`: does the clock, turned back, show it again? */
static struct zone_local resolve_again(const struct zone *zone, struct stretch stretch, int64_t local_us)
{
    int64_t first_us = stretch_instant(&stretch, local_us);
    int64_t latest_us = add_saturating(local_us, OFFSET_WEST_MAX_US); /* no clock is further behind */

    while (stretch.until_us <= latest_us && stretch.until_us != FOREVER_US) {
        stretch = zone_stretch_at(zone, stretch.until_us);
        int64_t again_us = stretch_instant(&stretch, local_us);
        if (again_us >= stretch.since_us && stretch_reaches(&stretch, again_us)) {
            return (struct zone_local){ZONE_LOCAL_OVERLAP, first_us, again_us};
        }
    }
    return (struct zone_local){ZONE_LOCAL_UNIQUE, first_us, first_us};
}

struct zone_local zone_resolve_local(const struct zone *zone, int64_t local_us)
{
    /* No clock is further ahead, so the reading cannot come before this instant, and the walk from here ends
     * within 51 hours: at the first or second stretch in every real zone. */
    struct stretch stretch = zone_stretch_at(zone, add_saturating(local_us, -OFFSET_EAST_MAX_US));
    struct stretch before = stretch;

    for (;;) {
        int64_t instant_us = stretch_instant(&stretch, local_us);
        if (instant_us < stretch.since_us) {
            return (struct zone_local){ZONE_LOCAL_GAP, stretch_instant(&before, local_us), instant_us};
        }
        if (stretch_reaches(&stretch, instant_us)) return resolve_again(zone, stretch, local_us);
        before = stretch;
        stretch = zone_stretch_at(zone, stretch.until_us);
    }
}

int64_t zone_instant_from_local(const struct zone *zone, int64_t local_us)
{
    return zone_resolve_local(zone, local_us).instant_us;
}

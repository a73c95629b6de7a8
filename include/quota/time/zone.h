/* A time zone: how far its wall clocks stand from UTC at any instant, read from a TZif file (the files under
 * /usr/share/zoneinfo), and which instant a wall clock reading means.
 *
 *           table of changes                          footer: the same two transitions every year, for ever
 *     LMT │ +1h │ +2h │ +1h │ … │ +2h │ +1h ┊ +2h  │  +1h   │  +2h  │  +1h   │ …
 *     ────┴─────┴─────┴─────┴───┴─────┴─────┴──────┴────────┴───────┴────────┴──▶ instant
 *                                           └ last change in the file
 *
 * local = instant + offset, offsets count east as positive, everything in us. A wall clock reading can mean
 * no instant or two; the policy is that of java.time and Temporal ("compatible"):
 *
 *     gap      01:59:59 │ 03:00:00      02:30 does not exist: the offset before the change is kept, which
 *                                       shifts it forward by the gap, to 03:30
 *     overlap  02:59:59 │ 02:00:00      02:30 comes twice: the first one counts
 *
 * A zone is immutable and knows no other: any number of threads may read it. Parsing is the only place that
 * allocates (memory.h). Files are input: everything in them is checked before the first use and nothing
 * aborts. zone.h does no I/O; the code that reads the file bounds it by ZONE_FILE_MAX and its name by
 * zone_name_valid.
 *
 * Source: RFC 9636 (TZif, versions 1 to 4), POSIX.1-2024 8.3 (TZ) for the footer;
 * java.time.ZonedDateTime.ofLocal for the policy. */
#pragma once

#include "quota/base/bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONE_FILE_MAX ((size_t)65536) /* bytes; the largest file of tzdata 2025b has 3.9 kB */
#define ZONE_NAME_MAX ((size_t)64)    /* the longest name of tzdata 2025b has 32 */

struct zone;

enum zone_fault {
    ZONE_FAULT_NONE,
    ZONE_FAULT_SIZE,        /* longer than ZONE_FILE_MAX */
    ZONE_FAULT_TRUNCATED,   /* ends before its own counts say so */
    ZONE_FAULT_MAGIC,       /* does not begin with TZif, or its second part does not */
    ZONE_FAULT_VERSION,     /* not NUL or 2 … 9, or the two parts disagree */
    ZONE_FAULT_COUNTS,      /* a count that contradicts another, or no local time type at all */
    ZONE_FAULT_LEAPS,       /* counts leap seconds (the right/ files): its instants are not Unix time */
    ZONE_FAULT_ORDER,       /* changes not strictly ascending */
    ZONE_FAULT_TYPE,        /* a change to a local time type that is not there, or a flag not 0 or 1 */
    ZONE_FAULT_OFFSET,      /* not between -25 h and +26 h, exclusive */
    ZONE_FAULT_DESIGNATION, /* an abbreviation outside the table or without its NUL */
    ZONE_FAULT_FOOTER,      /* no newlines around it, or not a TZ string with explicit rules */
    ZONE_FAULT_CONFLICT,    /* the footer knows no such offset as the last change's */
    ZONE_FAULT_TRAILING,    /* bytes after the end */
    ZONE_FAULTS_COUNT
};

/* The fault in words, for a log line or an error reply. */
const char *zone_fault_text(enum zone_fault fault);

/* Reads a whole TZif file of `size` bytes; `bytes` may go away afterwards. On a fault *zone becomes NULL and
 * nothing stays allocated. Release with zone_free. */
enum zone_fault zone_parse(const void *bytes, size_t size, const struct zone **zone);

/* NULL and zone_utc() are allowed. */
void zone_free(const struct zone *zone);

/* UTC, which needs no file. Never freed. */
const struct zone *zone_utc(void);

/* Bytes of memory a zone occupies. */
size_t zone_size(const struct zone *zone);

/* True for a name that is safe to append to a directory: 1 … ZONE_NAME_MAX bytes of [A-Za-z0-9_+/-], not
 * beginning or ending with `/`, no `//`. Dots are not in the set, so nothing can climb. */
bool zone_name_valid(struct bytes name);

/* Offset east of UTC at an instant, in us (a whole number of seconds). */
int64_t zone_offset_at(const struct zone *zone, int64_t instant_us);

/* The first instant after `instant_us` at which the offset becomes another one; false if it never does
 * (within int64). */
bool zone_next_change(const struct zone *zone, int64_t instant_us, int64_t *change_us);

/* What a wall clock shows at an instant. Saturates within 26 h of the ends of int64. */
int64_t zone_local_from_instant(const struct zone *zone, int64_t instant_us);

enum zone_local_kind {
    ZONE_LOCAL_UNIQUE,  /* the reading occurs once */
    ZONE_LOCAL_GAP,     /* the clock jumps over it */
    ZONE_LOCAL_OVERLAP, /* it occurs again later */
};

struct zone_local {
    enum zone_local_kind kind;
    /* What the policy chooses. In a gap: as far after the change as the reading lies after the gap's
     * beginning. */
    int64_t instant_us;
    /* What it does not choose. Overlap: the second occurrence. Gap: counted with the offset after the change,
     * so before it. Unique: the same as instant_us. */
    int64_t other_us;
};

/* Which instant a wall clock reading means: the first time the clock shows it or jumps over it. */
struct zone_local zone_resolve_local(const struct zone *zone, int64_t local_us);

/* zone_resolve_local(...).instant_us */
int64_t zone_instant_from_local(const struct zone *zone, int64_t local_us);

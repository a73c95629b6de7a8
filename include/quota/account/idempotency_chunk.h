/* Idempotency records packed one behind the other in a block: what idempotency.h stores them in.
 *
 *     ┌ base │ lifetime │ end │ size ┬ record │ record │ ~~~~~~ │ record │ room ┐
 *     └──────────────────────────────┴────────────────────────────────────────┘
 *                                                        └ dropped: its bytes stay until the chunk is packed anew
 *
 *     record    link │ key │ body │ ±(stored - base) │ ±(expires - stored - lifetime)     4 bytes, key, body, varints
 *
 * Base and lifetime are those of the chunk's first record, so an instant costs five bytes and a lifetime that all share
 * costs one. The link is the store's: it leads to the next record of a hash bucket.
 *
 * A chunk of many knows which of its records expires first. In the common case, that every id is kept equally long, it
 * is the first one, and finding the next is one step: the chunk knows by how much its records expire out of order, at
 * most, and a search ends where nothing behind can expire earlier. At worst it is one walk over the chunk. */
#pragma once

#include "quota/base/bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define IDEMPOTENCY_KEY_MAX  600   /* bytes */
#define IDEMPOTENCY_BODY_MAX 14336 /* bytes: 64 resources of 16 limits each, at their longest */

/* An idempotency record as callers see it. Its bytes are borrowed from the store until that next changes. */
struct idempotency_entry {
    struct bytes key;              /* 1 … IDEMPOTENCY_KEY_MAX bytes */
    struct bytes body;             /* 0 … IDEMPOTENCY_BODY_MAX bytes */
    int64_t stored_us, expires_us; /* 0 < stored <= expires <= INSTANT_MAX_US */
};

/* ---- records one behind the other ------------------------------------------------------------------------ */

/* Offsets name records, counted from the beginning of this; 0 is none. */
struct packed {
    int64_t base_us;     /* stored instant of its first record */
    int64_t lifetime_us; /* and its expires - stored */
    uint16_t end, size;  /* of the whole, this head included */
    char bytes[];
};

#define PACKED_FRONT    ((uint32_t)offsetof(struct packed, bytes))
#define LINK_BYTES      sizeof(uint32_t)
#define LINK_DROPPED    UINT32_MAX /* the link of a record that is not there any more */
#define RECORD_SIZE_MAX (LINK_BYTES + 2 + IDEMPOTENCY_KEY_MAX + 2 + IDEMPOTENCY_BODY_MAX + 10 + 10)

/* Empty, of this size, for a first record like this one. */
void packed_begin(struct packed *packed, size_t size, const struct idempotency_entry *first);

/* What this record would take; of a chunk that it would be the first of, too. */
size_t packed_record_size(const struct packed *packed, const struct idempotency_entry *entry);
size_t packed_first_size(const struct idempotency_entry *entry);

/* Packs a record of that size behind the last one, where there is room for it, its link 0; returns its offset. */
uint32_t packed_append(struct packed *packed, size_t size, const struct idempotency_entry *entry);

/* Reads a record and returns its size. */
uint32_t packed_read(const struct packed *packed, uint32_t offset, struct idempotency_entry *entry);

/* Reads only when it expires, and its size. */
int64_t packed_expires_us(const struct packed *packed, uint32_t offset, uint32_t *size);

/* Takes out the bytes of a record; those behind it move up. */
void packed_remove(struct packed *packed, uint32_t offset, uint32_t size);

/* The last record of this key; 0 = none. */
uint32_t packed_find(const struct packed *packed, struct bytes key);

/* A record begins with its link, so it can be held as the place of a link, as the head of a bucket can. */
static inline char *packed_record(const struct packed *packed, uint32_t offset)
{
    return (char *)packed + offset;
}

static inline uint32_t link_get(const char *link)
{
    uint32_t handle;
    memcpy(&handle, link, sizeof(handle));
    return handle;
}

static inline void link_set(char *link, uint32_t handle)
{
    memcpy(link, &handle, sizeof(handle));
}

/* A length as sink_bytes writes it, of one byte or two: enough for keys and bodies. */
static inline size_t record_length(const char **at)
{
    size_t low = (uint8_t) * (*at)++;
    return low < 128 ? low : (low & 127) | (size_t)(uint8_t) * (*at)++ << 7;
}
_Static_assert(IDEMPOTENCY_KEY_MAX < 1 << 14 && IDEMPOTENCY_BODY_MAX < 1 << 14, "two bytes are enough");

static inline struct bytes record_key(const char *record)
{
    const char *at = record + LINK_BYTES;
    size_t size = record_length(&at);
    return (struct bytes){at, size};
}

/* ---- a chunk of many ------------------------------------------------------------------------------------- */

struct idempotency_chunk {
    struct idempotency_chunk *older, *newer;
    uint64_t sequence;    /* chunks that are newer have larger ones */
    int64_t expires_us;   /* the earliest of its records */
    int64_t latest_us;    /* the latest that one of its records expires, or has expired */
    int64_t disorder_us;  /* no record expires more than this before one that stands in front of it */
    uint32_t number;      /* in handles */
    uint32_t heap_place;  /* for the store, whose heap has the chunk that expires first on top */
    uint16_t count;       /* of its records, without those dropped */
    uint16_t bytes;       /* and of their bytes */
    uint16_t front;       /* the first of them */
    uint16_t earliest;    /* the one that expires first; of several the first */
    struct packed packed; /* last: its records follow */
};

/* Before its first record. */
void chunk_begin(struct idempotency_chunk *chunk);

/* Counts a record that stands behind all that were counted. */
void chunk_count(struct idempotency_chunk *chunk, uint32_t offset, uint32_t size, int64_t expires_us);

/* Drops a record, whose link is in no chain any more. The last one may not be dropped: the chunk is freed then. */
void chunk_drop(struct idempotency_chunk *chunk, uint32_t offset);

/* How many of its records have expired (expires <= now), counted to `most`. */
uint32_t chunk_expired(const struct idempotency_chunk *chunk, int64_t now_us, uint32_t most);

/* The first record that is there at this offset or behind it; 0 = none. */
uint32_t chunk_record_from(const struct idempotency_chunk *chunk, uint32_t offset);

/* Is nearly all between its first record and its end dropped, so that it should be packed anew? In the common case,
 * that records expire in their order, it never is. */
bool chunk_is_sparse(const struct idempotency_chunk *chunk);

/* Idempotency records: what was answered under which id, kept until it may be forgotten.
 *
 *     few    ┌ head │ rec │ rec │ rec ┐                       one block, and finding is a walk: most need no more
 *
 *     many   oldest                                 newest
 *     ┌ chunk ────────────┐  ┌ chunk ────────────┐  ┌ chunk ──────┐        records lie packed in the order in which
 *     │ rec │ rec │ rec │ │─▶│ rec │ rec │ rec │ │─▶│ rec │ rec   │        they came: oldest goes first, and a chunk
 *     └─────▲─────────────┘  └──▲────────────────┘  └────▲────────┘        is freed when its last record has gone
 *           └───────────┐       └─────────────┐          │
 *     heads │ 0 │ 1 │ 2 │ 3 │ … linear hashing: one bucket more for every two records more, never a pause for growth
 *
 *     record   next in chain │ key │ body │ ±(stored - base) │ ±(lifetime - usual)      12 bytes, the key and the body
 *
 * A record is a key (what it is about), a body (what was answered) and two instants. It counts exactly until
 * expires_us: every question treats one that has expired as gone; sweeping only gives the memory back.
 *
 * A chain holds the records of one bucket, newest first. Links are 32 bits, chunk and offset; base and usual lifetime
 * are those of the chunk's first record, so an instant costs five bytes and a lifetime that all share costs one.
 * Chunks grow with the container, to 16 kB. Until a ninth record, or half a kB, there is but one chunk, which stands in
 * the head's override block, and no index: one record alone is held in some 110 bytes.
 *
 * Costs with n records: finding and appending O(1) expected with no pause that grows with n (a single append allocates
 * at most a chunk, 4 kB of heads, and for every 16 kB held 8 bytes of directory when that doubles), sweeping O(swept).
 * Measured with 100,000 records of 26 and 20 bytes on a core of an EPYC, -O2: 60 bytes a record, all included; each of
 * finding, appending and sweeping one takes 0.2 to 0.4 us.
 * Which bucket, and the keyed hash: linear_hash.h. */
#pragma once

#include "quota/base/buffer.h"
#include "quota/base/bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDEMPOTENCY_KEY_MAX  600   /* bytes */
#define IDEMPOTENCY_BODY_MAX 14336 /* bytes: 64 resources of 16 limits each, at their longest */

/* Spans are borrowed from the container until it next changes. */
struct idempotency_entry {
    struct bytes key;              /* 1 … IDEMPOTENCY_KEY_MAX bytes */
    struct bytes body;             /* 0 … IDEMPOTENCY_BODY_MAX bytes */
    int64_t stored_us, expires_us; /* 0 < stored <= expires <= INSTANT_MAX_US */
};

struct idempotency_store;

/* The newest record of this key if it is live: now < expires. False if not. NULL holds nothing. */
bool idempotency_find(const struct idempotency_store *store, struct bytes key, int64_t now_us,
                      struct idempotency_entry *entry);

/* Is there no room for one more? Links reach 262,143 chunks: at least 2 GB on one account. NULL is not full. */
bool idempotency_full(const struct idempotency_store *store);

/* Appends a record; NULL = a new container. It must not be full. A record of the same key that is still there is hidden
 * from then on: no question finds it, it counts and is walked until it is swept. Stored instants should not decrease
 * (a smaller one is kept as it is). The record's spans must not lie in this container, which may move. */
struct idempotency_store *idempotency_append(struct idempotency_store *store, const struct idempotency_entry *entry);

/* Overwrites the body of the newest record of this key, expired or not, with one of the same size; false if there is
 * none such. The body must not lie in this container. */
bool idempotency_patch(struct idempotency_store *store, struct bytes key, struct bytes body);

/* Drops records from the oldest on while they have expired by `now_us` (expires <= now), at most `most` of them. NULL
 * once empty. The first that is live ends it: one that outlives all others holds back those that came after it. */
struct idempotency_store *idempotency_sweep(struct idempotency_store *store, int64_t now_us, uint32_t most);

/* How many of the first `most` records, from the oldest on, the sweep above would drop. */
uint32_t idempotency_expired(const struct idempotency_store *store, int64_t now_us, uint32_t most);

/* Records held, expired and hidden ones that await their sweep included. */
uint32_t idempotency_count(const struct idempotency_store *store);

/* Walks all records, oldest first: begin with a zeroed walk. False at the end. */
struct idempotency_walk {
    uint32_t at; /* the record shown last; 0 = none yet */
};
bool idempotency_next(const struct idempotency_store *store, struct idempotency_walk *walk,
                      struct idempotency_entry *entry);

/* Frees it all; NULL is allowed. Any thread. */
void idempotency_free(struct idempotency_store *store);

/* Heap bytes held, O(1). */
size_t idempotency_bytes(const struct idempotency_store *store);

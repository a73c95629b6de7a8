/* Idempotency records: what was answered under which id, kept until it may be forgotten.
 *
 *     few    ┌ head │ rec │ rec │ rec ┐                       one block, and finding is a walk: most need no more
 *
 *     many   oldest                                 newest
 *     ┌ chunk ────────────┐  ┌ chunk ────────────┐  ┌ chunk ──────┐        records lie packed in the order in which
 *     │ rec │ rec │ rec │ │─▶│ rec │ ~~~ │ rec │ │─▶│ rec │ rec   │        they came (idempotency_chunk.h)
 *     └─────▲─────────────┘  └──▲────────────────┘  └────▲────────┘
 *           └───────────┐       └─────────────┐          │
 *     heads │ 0 │ 1 │ 2 │ 3 │ … linear hashing: one bucket more for every two records more, never a pause for growth
 *     ring  │ chunk │ chunk │   │ chunk │ …     by number: a link is 32 bits, number of the chunk and offset in it
 *     heap    chunk ─┬─ chunk …                 the chunk whose record expires first is on top
 *                    └─ chunk …
 *
 * A record is a key (what it is about), a body (what was answered) and two instants. There is one record of a key at
 * most. A record counts exactly until expires_us, whatever the records beside it: every question treats one that has
 * expired as gone, and whether any has expired is the question to the top of the heap. Sweeping gives the memory back.
 *
 * A sweep drops what expired first, of equals the oldest, so what is left depends on nothing but the records: a
 * primary, its replica and a server that has loaded the records sweep alike, however their chunks came about. What is
 * dropped leaves a gap in its chunk; a chunk with nothing left is freed wherever it stands, and one with little left
 * behind its first record is packed anew.
 *
 * Chunks grow with the store, to 16 kB. Few records stand in one block with the head, without chunks, heap and index.
 *
 * Costs with n records: finding and appending O(1) expected with no pause that grows with n: a single append allocates
 * at most a chunk, a segment of heads, and 24 bytes for every chunk held when ring and heap double. Sweeping a record
 * costs O(log chunks), and where records of one chunk expire out of their order a walk over that chunk.
 * Which bucket, and the keyed hash: linear_hash.h. */
#pragma once

#include "quota/account/idempotency_chunk.h"

struct idempotency_store;

/* The record of this key if it is live: now < expires. False if not. NULL holds nothing. */
bool idempotency_find(const struct idempotency_store *store, struct bytes key, int64_t now_us,
                      struct idempotency_entry *entry);

/* Is there no room for one more? There are at most 131,072 chunks, which is 1 GB of records on one account. NULL is not
 * full. */
bool idempotency_full(const struct idempotency_store *store);

/* Appends a record; NULL = a new store. It must not be full. A record of the same key that is still there, expired or
 * not, is dropped. Stored instants should not decrease (a smaller one is kept as it is). The record's bytes must not
 * lie in this store, which may move. */
struct idempotency_store *idempotency_append(struct idempotency_store *store, const struct idempotency_entry *entry);

/* Overwrites the body of the record of this key, expired or not, with one of the same size; false if there is none
 * such. The body must not lie in this store. */
bool idempotency_patch(struct idempotency_store *store, struct bytes key, struct bytes body);

/* Drops records that have expired by `now_us` (expires <= now), wherever they stand: those that expired first, of
 * equals the oldest, at most `most` of them. NULL once empty. */
struct idempotency_store *idempotency_sweep(struct idempotency_store *store, int64_t now_us, uint32_t most);

/* How many records the sweep above would drop. O(1) for one; O(most) chunks are looked at for more. */
uint32_t idempotency_expired(const struct idempotency_store *store, int64_t now_us, uint32_t most);

/* Records held, with those that have expired and await their sweep. */
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

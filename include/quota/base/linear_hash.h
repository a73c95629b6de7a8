/* Linear hashing, for an index that grows by one bucket at a time: its arithmetic, the memory of its buckets' heads,
 * and the keyed hash it goes by.
 *
 *     buckets 0 … last      hash    bits as many as number them all
 *                            │
 *                            ├─▶ a bucket that is there
 *                            └─▶ one that is not yet: what would be in it is in its parent, the number without its
 *                                highest bit, which will be split to make it
 *
 * So one bucket more moves records out of one other, and one less back into it; nothing else moves, ever.
 *
 *     one bucket     heads │ 0 │                        its head stands where the heads would be: no memory of its own
 *     more           heads ─▶ segment │ 0 │ 1 │ … │     it doubles until it has 4 kB
 *     many           heads ─▶ directory ─┬─▶ segment    those after the first have 4 kB at once
 *                                        └─▶ segment
 *
 * So there is no pause for growth: a bucket more or less allocates or frees at most a segment, and a directory of 8
 * bytes for each segment when that doubles or halves.
 *
 *     hash_index.h     head ─▶ link ─▶ link     a pointer to the next link; records lie anywhere
 *     idempotency.h    head ─▶ link ─▶ link     the number of the next record; records lie packed in chunks
 *
 * What a link is made of is the index's own business, and so is finding in a chain; how buckets come and go is here.
 *
 * Keys come from clients, so the hash is a keyed one (siphash.h): a client that does not know the secret cannot aim at
 * one bucket. The secret is the process's and shows in no answer and in no encoding.
 *
 * Source: W. Litwin, "Linear hashing: a new tool for file and table addressing", VLDB 1980. */
#pragma once

#include "quota/base/bytes.h"
#include <stddef.h>
#include <stdint.h>

/* Chooses the secret: a random number, once, before anything is stored. Without it a fixed one is used. */
void linear_hash_seed(uint64_t seed);

/* The hash of a key, under the secret. */
uint32_t linear_hash(struct bytes key);

/* The same of a key that one command may look for several times: deciding, applying, in several indexes. It remembers
 * the last one. Only on the main thread. */
uint32_t linear_hash_again(struct bytes key);

/* A power of two: the highest bit of a number, which is not 0. */
static inline uint32_t highest_bit(uint32_t number)
{
    return UINT32_C(1) << (31 - __builtin_clz(number));
}

/* The bucket that is split to make this one, which is not 0. */
static inline uint32_t linear_parent(uint32_t bucket)
{
    return bucket & ~highest_bit(bucket);
}

/* The heads of all buckets, of the same size each, at most that of a pointer. All zero = one bucket, its head zero. */
union linear_heads {
    void *block; /* a segment, or the directory of them */
    struct hash_link *chain;
    uint32_t handle;
};
#define LINEAR_SEGMENT_BYTES 4096

/* The head of a bucket where `last` is the last of them. */
static inline void *linear_head(union linear_heads *heads, uint32_t last, uint32_t bucket, size_t head_bytes)
{
    const uint32_t of_segment = (uint32_t)(LINEAR_SEGMENT_BYTES / head_bytes);
    char *list = last > 0 ? heads->block : heads;
    if (last >= of_segment) list = ((char **)heads->block)[bucket / of_segment];
    return list + bucket % of_segment * head_bytes;
}

/* Makes room for the head of this bucket, which comes next and is not 0: whatever stands there. */
void linear_heads_extend(union linear_heads *heads, uint32_t bucket, size_t head_bytes);

/* Takes the room of this bucket back, which is the last and not 0. */
void linear_heads_curtail(union linear_heads *heads, uint32_t bucket, size_t head_bytes);

/* Gives back all that the heads hold. Any thread. */
void linear_heads_free(union linear_heads *heads, uint32_t last, size_t head_bytes);

/* Heap bytes that they hold, O(1). */
size_t linear_heads_bytes(uint32_t last, size_t head_bytes);

/* The bucket of a hash where `last` is the last of them. */
static inline uint32_t linear_bucket(uint32_t hash, uint32_t last)
{
    if (last == 0) return 0;
    uint32_t bucket = hash & (2 * highest_bit(last) - 1);
    return bucket <= last ? bucket : linear_parent(bucket);
}

/* ---- buckets that come and go ---------------------------------------------------------------------------- */

/* The links of an index. A head is a link too, and a record begins with its own; one that leads nowhere is all zero. */
struct linear_links {
    size_t bytes; /* of a link */
    /* The record that a link leads to, NULL = none; and the hash of a record's key. */
    char *(*record)(const void *owner, const char *link);
    uint32_t (*hash)(const char *record);
};

/* One bucket more behind the `last`, which takes what belongs to it out of its parent; both chains keep their order.
 * This and its reverse are inline: an index whose links are constant pays for no call. */
__attribute__((always_inline)) static inline void linear_grow(union linear_heads *heads, uint32_t *last,
                                                              const struct linear_links *links, const void *owner)
{
    char link[sizeof(union linear_heads)];
    uint32_t bucket = *last + 1;
    linear_heads_extend(heads, bucket, links->bytes);
    *last = bucket;
    /* The ends of the two chains: a head, or the link of their last record so far. */
    char *kept = linear_head(heads, bucket, linear_parent(bucket), links->bytes);
    char *moved = linear_head(heads, bucket, bucket, links->bytes);
    memcpy(link, kept, links->bytes);
    for (char *record = links->record(owner, link); record; record = links->record(owner, link)) {
        char **end = linear_bucket(links->hash(record), bucket) == bucket ? &moved : &kept;
        memcpy(*end, link, links->bytes);
        *end = record;
        memcpy(link, record, links->bytes);
    }
    memset(kept, 0, links->bytes);
    memset(moved, 0, links->bytes);
}

/* One bucket less: what is in the last one, which is not 0, goes to the end of its parent. */
__attribute__((always_inline)) static inline void linear_shrink(union linear_heads *heads, uint32_t *last,
                                                                const struct linear_links *links, const void *owner)
{
    uint32_t bucket = (*last)--;
    char *end = linear_head(heads, bucket, linear_parent(bucket), links->bytes);
    for (char *record = links->record(owner, end); record; record = links->record(owner, end)) end = record;
    memcpy(end, linear_head(heads, bucket, bucket, links->bytes), links->bytes);
    linear_heads_curtail(heads, bucket, links->bytes);
}

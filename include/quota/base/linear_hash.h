/* Linear hashing: the arithmetic of an index that grows by one bucket at a time, and the keyed hash it goes by.
 *
 *     buckets 0 … last      hash    bits as many as number them all
 *                            │
 *                            ├─▶ a bucket that is there
 *                            └─▶ one that is not yet: what would be in it is in its parent, the number without its
 *                                highest bit, which will be split to make it
 *
 * So one bucket more moves records out of one other, and one less back into it; nothing else moves, ever.
 * What stands in the buckets is the index's own business: hash_index.h has links, idempotency.h packed records.
 *
 * Keys come from clients, so the hash is a keyed one (siphash.h): whoever does not know the secret cannot aim at one
 * bucket. The secret is the process's and shows in no answer and in no encoding.
 *
 * Source: W. Litwin, "Linear hashing: a new tool for file and table addressing", VLDB 1980. */
#pragma once

#include "quota/base/bytes.h"
#include <stdint.h>

/* Chooses the secret: a random number, once, before anything is stored. Without it a fixed one is used. */
void linear_hash_seed(uint64_t seed);

/* The hash of a key, under the secret. */
uint32_t linear_hash(struct bytes key);

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

/* The bucket of a hash where `last` is the last of them. */
static inline uint32_t linear_bucket(uint32_t hash, uint32_t last)
{
    if (last == 0) return 0;
    uint32_t bucket = hash & (2 * highest_bit(last) - 1);
    return bucket <= last ? bucket : linear_parent(bucket);
}

/* A hash index: finds records that lie elsewhere by a key of theirs. A record carries its link; the index only threads
 * the links, so it allocates nothing for a record.
 *
 *     few records    index ─▶ link ─▶ link ─▶ link                   one chain; no memory but the index itself
 *
 *     more           index ─▶ heads │ 0 │ 1 │ 2 │ …                  heads of chains (linear_hash.h)
 *                                     │   └▶ link
 *                                     └▶ link ─▶ link
 *
 * Linear hashing: there are as many buckets as records. One record more splits one bucket into itself and a new one at
 * the end; when half of them would do, one record less merges the last one back.
 *
 * Costs with n records: finding, adding and removing O(1) expected; 8 to 16 bytes a record beside its link. Links keep
 * 32 bits of the hash: the records of a chain are distinguished without being looked into, and nothing is hashed twice.
 * Which bucket, and the keyed hash: linear_hash.h. */
#pragma once

#include "quota/base/linear_hash.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_INDEX_FEW 4 /* records that stand in one chain without heads */

/* What a record embeds, at any place; it belongs to the index from add to remove. */
struct hash_link {
    struct hash_link *next; /* in its chain */
    uint32_t hash;          /* of the record's key */
    uint32_t own;           /* four bytes that would be padding: the record's, for anything; no function looks at it */
};

/* All zero = empty. It may be moved in memory like any other value. Readers may look at `count`. */
struct hash_index {
    union linear_heads heads; /* of chains */
    uint32_t count;           /* records */
    uint32_t last_bucket;     /* its number: there is one bucket more than this */
};

/* The key of the record that this link is in. */
typedef struct bytes hash_key_of(const struct hash_link *link);

/* The record, of type `type`, that has this link as its field `member`. */
#define HASH_RECORD(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* The link of the record with this key, whose linear_hash is `hash`; NULL if there is none. */
struct hash_link *hash_index_find(const struct hash_index *index, struct bytes key, uint32_t hash, hash_key_of *key_of);

/* The first link of the chain in which records of this hash stand, for comparisons of another kind; NULL = empty. */
struct hash_link *hash_index_chain(const struct hash_index *index, uint32_t hash);

/* Adds a record whose key, of this hash, no record of the index has. Room is for 4 billion. */
void hash_index_add(struct hash_index *index, struct hash_link *link, uint32_t hash);

/* Takes out a record; it must be in this index. */
void hash_index_remove(struct hash_index *index, struct hash_link *link);

/* Forgets all records, which are the caller's, and gives back what the index holds. Any thread. */
void hash_index_clear(struct hash_index *index);

/* Heap bytes held beside the records, O(1). */
size_t hash_index_bytes(const struct hash_index *index);

/* Links in buckets by linear hashing; drawing in hash_index.h. */
#include "quota/base/hash_index.h"

#define HEAD_BYTES sizeof(struct hash_link *)

/* ---- buckets --------------------------------------------------------------------------------------------- */

static struct hash_link **head_of(struct hash_index *index, uint32_t bucket)
{
    return linear_head(&index->heads, index->last_bucket, bucket, HEAD_BYTES);
}

/* Moves what belongs to the newest bucket out of its parent; both chains keep their order. */
static void chain_split(struct hash_index *index, uint32_t bucket)
{
    struct hash_link **kept = head_of(index, linear_parent(bucket)), **moved = head_of(index, bucket);
    for (struct hash_link *link = *kept; link; link = link->next) {
        struct hash_link ***tail = linear_bucket(link->hash, index->last_bucket) == bucket ? &moved : &kept;
        **tail = link;
        *tail = &link->next;
    }
    *kept = *moved = NULL;
}

/* The reverse: what is in the last bucket goes to the end of its parent. */
static void chain_merge(struct hash_index *index, uint32_t bucket)
{
    struct hash_link **tail = head_of(index, linear_parent(bucket));
    while (*tail) tail = &(*tail)->next;
    *tail = *head_of(index, bucket);
}

size_t hash_index_bytes(const struct hash_index *index)
{
    return linear_heads_bytes(index->last_bucket, HEAD_BYTES);
}

void hash_index_clear(struct hash_index *index)
{
    linear_heads_free(&index->heads, index->last_bucket, HEAD_BYTES);
    *index = (struct hash_index){0};
}

/* ---- growing and shrinking ------------------------------------------------------------------------------- */

static void index_grow(struct hash_index *index)
{
    uint32_t bucket = index->last_bucket + 1;
    linear_heads_extend(&index->heads, bucket, HEAD_BYTES);
    index->last_bucket = bucket;
    chain_split(index, bucket);
}

static void index_shrink(struct hash_index *index)
{
    uint32_t bucket = index->last_bucket;
    chain_merge(index, bucket);
    index->last_bucket--;
    linear_heads_curtail(&index->heads, bucket, HEAD_BYTES);
}

/* ---- finding and changing -------------------------------------------------------------------------------- */

struct hash_link *hash_index_find(const struct hash_index *index, struct bytes key, uint32_t hash, hash_key_of *key_of)
{
    struct hash_link *link =
        *head_of((struct hash_index *)index, linear_bucket(hash, index->last_bucket)); /* which only reads */
    while (link && (link->hash != hash || !bytes_equal(key_of(link), key))) link = link->next;
    return link;
}

void hash_index_add(struct hash_index *index, struct hash_link *link, uint32_t hash)
{
    if (index->count > index->last_bucket && index->count >= HASH_INDEX_FEW) index_grow(index);
    struct hash_link **head = head_of(index, linear_bucket(hash, index->last_bucket));
    link->next = *head;
    link->hash = hash;
    *head = link;
    index->count++;
}

void hash_index_remove(struct hash_index *index, struct hash_link *link)
{
    struct hash_link **place = head_of(index, linear_bucket(link->hash, index->last_bucket));
    while (*place != link) place = &(*place)->next;
    *place = link->next;
    index->count--;
    while (index->last_bucket > 0 && index->count <= index->last_bucket / 2) index_shrink(index); /* twice at most */
}

/* Links in buckets by linear hashing; drawing in hash_index.h. */
#include "quota/base/hash_index.h"
#include "quota/base/memory.h"

#define SEGMENT_HEADS 512 /* a power of two */
#define HEAD_BYTES    sizeof(union hash_heads)
#define SEGMENT_BYTES (SEGMENT_HEADS * HEAD_BYTES)

/* ---- buckets --------------------------------------------------------------------------------------------- */

static struct hash_link **head_of(struct hash_index *index, uint32_t bucket)
{
    union hash_heads *heads = &index->heads;
    if (index->last_bucket >= SEGMENT_HEADS) heads = &heads->list[bucket / SEGMENT_HEADS];
    if (index->last_bucket > 0) heads = &heads->list[bucket % SEGMENT_HEADS];
    return &heads->chain;
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

/* ---- the memory of heads --------------------------------------------------------------------------------- */

/* A list has room for a power of two, and one item stands alone, without a list. */
static size_t list_room(uint32_t items)
{
    return items > 1 ? 2 * (size_t)highest_bit(items - 1) : 0;
}

/* Makes room for the item of this number, which is at least 1. */
static void list_extend(union hash_heads *heads, uint32_t item)
{
    if (list_room(item + 1) == list_room(item)) return;
    union hash_heads alone = *heads;
    heads->list = memory_realloc(item > 1 ? heads->list : NULL, list_room(item + 1) * HEAD_BYTES);
    if (item == 1) heads->list[0] = alone;
}

/* Takes it back. */
static void list_curtail(union hash_heads *heads, uint32_t item)
{
    if (list_room(item + 1) == list_room(item)) return;
    union hash_heads alone = heads->list[0];
    if (item > 1) {
        heads->list = memory_realloc(heads->list, list_room(item) * HEAD_BYTES);
    } else {
        memory_free(heads->list);
        *heads = alone;
    }
}

/* Makes room for the bucket that comes next. */
static void heads_extend(struct hash_index *index, uint32_t bucket)
{
    uint32_t segment = bucket / SEGMENT_HEADS;
    if (segment == 0) {
        list_extend(&index->heads, bucket);
    } else if (bucket % SEGMENT_HEADS == 0) {
        list_extend(&index->heads, segment);
        index->heads.list[segment].list = memory_alloc(SEGMENT_BYTES);
    }
}

/* Takes the room of the last bucket back. */
static void heads_curtail(struct hash_index *index, uint32_t bucket)
{
    uint32_t segment = bucket / SEGMENT_HEADS;
    if (segment == 0) {
        list_curtail(&index->heads, bucket);
    } else if (bucket % SEGMENT_HEADS == 0) {
        memory_free(index->heads.list[segment].list);
        list_curtail(&index->heads, segment);
    }
}

size_t hash_index_bytes(const struct hash_index *index)
{
    uint32_t buckets = index->last_bucket + 1;
    if (buckets <= SEGMENT_HEADS) return list_room(buckets) * HEAD_BYTES;
    uint32_t segments = index->last_bucket / SEGMENT_HEADS + 1;
    return segments * SEGMENT_BYTES + list_room(segments) * HEAD_BYTES;
}

void hash_index_clear(struct hash_index *index)
{
    uint32_t segments = index->last_bucket / SEGMENT_HEADS + 1;
    for (uint32_t i = 0; segments > 1 && i < segments; i++) memory_free(index->heads.list[i].list);
    if (index->last_bucket > 0) memory_free(index->heads.list);
    *index = (struct hash_index){0};
}

/* ---- growing and shrinking ------------------------------------------------------------------------------- */

static void index_grow(struct hash_index *index)
{
    uint32_t bucket = index->last_bucket + 1;
    heads_extend(index, bucket);
    index->last_bucket = bucket;
    chain_split(index, bucket);
}

static void index_shrink(struct hash_index *index)
{
    uint32_t bucket = index->last_bucket;
    chain_merge(index, bucket);
    index->last_bucket--;
    heads_curtail(index, bucket);
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

/* Links in buckets by linear hashing; drawing in hash_index.h. */
#include "quota/base/hash_index.h"

#define HEAD_BYTES sizeof(struct hash_link *)

/* ---- buckets --------------------------------------------------------------------------------------------- */

static struct hash_link **head_of(struct hash_index *index, uint32_t bucket)
{
    return linear_head(&index->heads, index->last_bucket, bucket, HEAD_BYTES);
}

static char *record_of(const void *unused, const char *link)
{
    char *record;
    (void)unused;
    memcpy(&record, link, sizeof(record));
    return record;
}

static uint32_t hash_of(const char *record)
{
    return ((const struct hash_link *)(const void *)record)->hash;
}

/* A link begins with the pointer to the next one. */
static const struct linear_links links = {HEAD_BYTES, record_of, hash_of};
_Static_assert(offsetof(struct hash_link, next) == 0, "a record's own link is where the record is");

size_t hash_index_bytes(const struct hash_index *index)
{
    return linear_heads_bytes(index->last_bucket, HEAD_BYTES);
}

void hash_index_clear(struct hash_index *index)
{
    linear_heads_free(&index->heads, index->last_bucket, HEAD_BYTES);
    *index = (struct hash_index){0};
}

/* ---- finding and changing -------------------------------------------------------------------------------- */

struct hash_link *hash_index_chain(const struct hash_index *index, uint32_t hash)
{
    return *head_of((struct hash_index *)index, linear_bucket(hash, index->last_bucket)); /* which only reads */
}

struct hash_link *hash_index_find(const struct hash_index *index, struct bytes key, uint32_t hash, hash_key_of *key_of)
{
    struct hash_link *link = hash_index_chain(index, hash);
    while (link && (link->hash != hash || !bytes_equal(key_of(link), key))) link = link->next;
    return link;
}

void hash_index_add(struct hash_index *index, struct hash_link *link, uint32_t hash)
{
    if (index->count > index->last_bucket && index->count >= HASH_INDEX_FEW) {
        linear_grow(&index->heads, &index->last_bucket, &links, NULL);
    }
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
    while (index->last_bucket > 0 && index->count <= index->last_bucket / 2) { /* twice at most */
        linear_shrink(&index->heads, &index->last_bucket, &links, NULL);
    }
}

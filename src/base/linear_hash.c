/* The secret of the process and the hash under it, and heads of buckets; see linear_hash.h. */
#include "quota/base/linear_hash.h"
#include "quota/base/memory.h"
#include "quota/base/siphash.h"
#include <string.h>

static struct siphash_key secret = {{UINT64_C(0x243f6a8885a308d3), UINT64_C(0x13198a2e03707344)}}; /* digits of pi */

#define RECENT_BYTES 64 /* of the longest key that is remembered */

static struct {
    size_t size; /* of the key; 0 = none */
    uint32_t hash;
    char key[RECENT_BYTES];
} recent;

void linear_hash_seed(uint64_t seed)
{
    secret = siphash_key_of(seed);
    recent.size = 0;
}

uint32_t linear_hash(struct bytes key)
{
    return (uint32_t)siphash(&secret, key);
}

uint32_t linear_hash_again(struct bytes key)
{
    if (key.size > RECENT_BYTES || key.size == 0) return linear_hash(key);
    if (recent.size == key.size && memcmp(recent.key, key.data, key.size) == 0) return recent.hash;
    recent.size = key.size;
    recent.hash = linear_hash(key);
    memcpy(recent.key, key.data, key.size);
    return recent.hash;
}

/* ---- heads ----------------------------------------------------------------------------------------------- */

/* A list has room for a power of two, and one item stands alone, without a list. */
static size_t list_room(uint32_t items)
{
    return items > 1 ? 2 * (size_t)highest_bit(items - 1) : 0;
}

/* Makes room for the item of this number, which is at least 1. */
static void list_extend(union linear_heads *heads, uint32_t item, size_t item_bytes)
{
    if (list_room(item + 1) == list_room(item)) return;
    const union linear_heads alone = *heads;
    heads->block = memory_realloc(item > 1 ? heads->block : NULL, list_room(item + 1) * item_bytes);
    if (item == 1) memcpy(heads->block, &alone, item_bytes);
}

/* Takes it back. */
static void list_curtail(union linear_heads *heads, uint32_t item, size_t item_bytes)
{
    if (list_room(item + 1) == list_room(item)) return;
    if (item > 1) {
        heads->block = memory_realloc(heads->block, list_room(item) * item_bytes);
    } else {
        void *list = heads->block;
        memcpy(heads, list, item_bytes);
        memory_free(list);
    }
}

static uint32_t heads_of_segment(size_t head_bytes)
{
    return (uint32_t)(LINEAR_SEGMENT_BYTES / head_bytes);
}

void linear_heads_extend(union linear_heads *heads, uint32_t bucket, size_t head_bytes)
{
    uint32_t segment = bucket / heads_of_segment(head_bytes);
    if (segment == 0) {
        list_extend(heads, bucket, head_bytes);
    } else if (bucket % heads_of_segment(head_bytes) == 0) {
        list_extend(heads, segment, sizeof(void *));
        ((void **)heads->block)[segment] = memory_alloc(LINEAR_SEGMENT_BYTES);
    }
}

void linear_heads_curtail(union linear_heads *heads, uint32_t bucket, size_t head_bytes)
{
    uint32_t segment = bucket / heads_of_segment(head_bytes);
    if (segment == 0) {
        list_curtail(heads, bucket, head_bytes);
    } else if (bucket % heads_of_segment(head_bytes) == 0) {
        memory_free(((void **)heads->block)[segment]);
        list_curtail(heads, segment, sizeof(void *));
    }
}

void linear_heads_free(union linear_heads *heads, uint32_t last, size_t head_bytes)
{
    uint32_t segments = last / heads_of_segment(head_bytes) + 1;
    for (uint32_t i = 0; segments > 1 && i < segments; i++) memory_free(((void **)heads->block)[i]);
    if (last > 0) memory_free(heads->block);
    *heads = (union linear_heads){0};
}

size_t linear_heads_bytes(uint32_t last, size_t head_bytes)
{
    uint32_t segments = last / heads_of_segment(head_bytes) + 1;
    if (segments == 1) return list_room(last + 1) * head_bytes;
    return segments * (size_t)LINEAR_SEGMENT_BYTES + list_room(segments) * sizeof(void *);
}

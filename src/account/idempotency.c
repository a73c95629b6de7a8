/* Packed records in a queue of chunks and their index by linear hashing; drawing in idempotency.h. */
#include "quota/account/idempotency.h"
#include "quota/base/checked.h"
#include "quota/base/linear_hash.h"
#include "quota/base/memory.h"
#include "quota/time/duration.h"

/* Records stand in `bytes` one behind the other. */
struct chunk {
    int64_t base_us;     /* stored instant of its first record */
    int64_t lifetime_us; /* and its expires - stored */
    uint16_t end, size;  /* of the whole block, header included */
    char bytes[];
};

/* Handles name records: sequence of the chunk (it wraps around) and offset in it. 0 is no record. */
#define OFFSET_BITS       14
#define OFFSET_MASK       ((UINT32_C(1) << OFFSET_BITS) - 1)
#define CHUNKS_MAX        ((UINT32_C(1) << (32 - OFFSET_BITS)) - 1)
#define CHUNK_BYTES_FIRST ((size_t)128)
#define CHUNK_BYTES_MAX   ((size_t)1 << OFFSET_BITS)
#define CHUNK_FRONT       ((uint32_t)offsetof(struct chunk, bytes))

#define LINK_BYTES       sizeof(uint32_t)
#define RECORD_BYTES_MAX (LINK_BYTES + 2 + IDEMPOTENCY_KEY_MAX + 2 + IDEMPOTENCY_BODY_MAX + 10 + 10)
_Static_assert(CHUNK_FRONT + RECORD_BYTES_MAX <= CHUNK_BYTES_MAX, "a chunk has room for any record");

/* Heads stand in segments: the first doubles until it is full, those after it are of full size from the start. */
#define SEGMENT_HEADS      1024
#define RECORDS_PER_BUCKET 2 /* on average at most; once it is half as many, buckets are given up */

/* What many records need. */
struct archive {
    struct chunk **ring; /* chunk of sequence s is at s mod ring_size */
    uint32_t *heads;     /* the first segment */
    uint32_t **segments; /* those after it; NULL while it is the only one */
    uint32_t ring_size;  /* a power of two */
    uint32_t chunks;     /* in use: the oldest record's and those after it */
    uint32_t buckets;
};

/* Few records stand in one chunk, number 0, right behind the head; no index leads to them. */
#define FEW_RECORDS 8
#define FEW_BYTES   512 /* of the chunk */

struct idempotency_store {
    struct archive *archive; /* NULL = few */
    size_t bytes;            /* heap held */
    uint32_t oldest;         /* handle of the oldest record */
    uint32_t count;
};

/* ---- the memory ------------------------------------------------------------------------------------------ */

/* Allocates what an archive needs: 0 bytes = no block. */
static void *resize(struct idempotency_store *store, void *block, size_t before, size_t after)
{
    store->bytes += after - before;
    if (after > 0) return before > 0 ? memory_realloc(block, after) : memory_alloc(after);
    memory_free(block);
    return NULL;
}

static struct chunk **ring_slot(const struct archive *archive, uint32_t sequence)
{
    return &archive->ring[sequence & (archive->ring_size - 1)];
}

static struct chunk *chunk_of(const struct idempotency_store *store, uint32_t handle)
{
    if (!store->archive) return (struct chunk *)(store + 1);
    return *ring_slot(store->archive, handle >> OFFSET_BITS);
}

static uint32_t first_sequence(const struct idempotency_store *store)
{
    return store->oldest >> OFFSET_BITS;
}

static uint32_t last_sequence(const struct idempotency_store *store)
{
    return store->archive ? first_sequence(store) + store->archive->chunks - 1 : 0;
}

static void ring_resize(struct idempotency_store *store, uint32_t size)
{
    struct archive *archive = store->archive, before = *archive;
    archive->ring = resize(store, NULL, 0, size * sizeof(struct chunk *));
    archive->ring_size = size;
    for (uint32_t i = 0; i < archive->chunks; i++) {
        uint32_t sequence = first_sequence(store) + i;
        *ring_slot(archive, sequence) = *ring_slot(&before, sequence);
    }
    resize(store, before.ring, before.ring_size * sizeof(struct chunk *), 0);
}

static void ring_append(struct idempotency_store *store, struct chunk *chunk)
{
    struct archive *archive = store->archive;
    if (archive->chunks == archive->ring_size) ring_resize(store, archive->chunks > 0 ? archive->chunks * 2 : 1);
    *ring_slot(archive, first_sequence(store) + archive->chunks++) = chunk;
}

/* A quarter to a half of what is held, a power of two; a record that takes most of that gets a block of its override. */
static size_t chunk_size_for(const struct idempotency_store *store, size_t record_size)
{
    size_t size = CHUNK_BYTES_FIRST, needed = CHUNK_FRONT + record_size;
    while (size < CHUNK_BYTES_MAX && size * 4 <= store->bytes) size *= 2;
    return needed * 2 > size ? needed : size;
}

static void chunk_begin(struct chunk *chunk, size_t size, const struct idempotency_entry *first)
{
    chunk->base_us = first->stored_us;
    chunk->lifetime_us = first->expires_us - first->stored_us;
    chunk->end = CHUNK_FRONT;
    chunk->size = (uint16_t)size;
}

static struct chunk *chunk_append(struct idempotency_store *store, size_t record_size,
                                  const struct idempotency_entry *first)
{
    size_t size = chunk_size_for(store, record_size);
    struct chunk *chunk = resize(store, NULL, 0, size);
    chunk_begin(chunk, size, first);
    ring_append(store, chunk);
    return chunk;
}

/* Frees the first chunk; the next one's first record is the oldest now. */
static void chunk_drop(struct idempotency_store *store)
{
    struct archive *archive = store->archive;
    struct chunk *chunk = chunk_of(store, store->oldest);
    resize(store, chunk, chunk->size, 0);
    store->oldest = (first_sequence(store) + 1) << OFFSET_BITS | CHUNK_FRONT;
    archive->chunks--;
    if (archive->ring_size > 4 && archive->chunks * 4 < archive->ring_size) {
        ring_resize(store, archive->ring_size / 2);
    }
}

static void archive_free(const struct idempotency_store *store)
{
    struct archive *archive = store->archive;
    if (!archive) return;
    for (uint32_t i = 0; i < archive->chunks; i++) memory_free(*ring_slot(archive, first_sequence(store) + i));
    for (uint32_t i = SEGMENT_HEADS; i < archive->buckets; i += SEGMENT_HEADS) {
        memory_free(archive->segments[i / SEGMENT_HEADS - 1]);
    }
    memory_free(archive->ring);
    memory_free(archive->heads);
    memory_free(archive->segments);
    memory_free(archive);
}

void idempotency_free(struct idempotency_store *store)
{
    if (!store) return;
    archive_free(store);
    memory_free(store);
}

size_t idempotency_bytes(const struct idempotency_store *store)
{
    return store ? store->bytes : 0;
}

bool idempotency_full(const struct idempotency_store *store)
{
    return store && store->archive && store->archive->chunks >= CHUNKS_MAX;
}

uint32_t idempotency_count(const struct idempotency_store *store)
{
    return store ? store->count : 0;
}

/* ---- one record ------------------------------------------------------------------------------------------ */

/* A record begins with its link; so a record, like a head, can be held as the place of a link. */
static char *record_at(const struct idempotency_store *store, uint32_t handle)
{
    return (char *)chunk_of(store, handle) + (handle & OFFSET_MASK);
}

static uint32_t link_get(const char *link)
{
    uint32_t handle;
    memcpy(&handle, link, sizeof(handle));
    return handle;
}

static void link_set(char *link, uint32_t handle)
{
    memcpy(link, &handle, sizeof(handle));
}

/* A length as sink_bytes writes it, of one byte or two. */
static size_t length_read(const char **at)
{
    size_t low = (uint8_t) * (*at)++;
    return low < 128 ? low : (low & 127) | (size_t)(uint8_t) * (*at)++ << 7;
}
_Static_assert(IDEMPOTENCY_KEY_MAX < 1 << 14 && IDEMPOTENCY_BODY_MAX < 1 << 14, "two bytes are enough");

static struct bytes key_of(const char *record)
{
    const char *at = record + LINK_BYTES;
    size_t size = length_read(&at);
    return (struct bytes){at, size};
}

/* The record behind this one, whose key is known: over its body and two instants. */
static const char *record_skip(struct bytes key)
{
    const char *at = key.data + key.size;
    size_t body_size = length_read(&at);
    at += body_size;
    for (int instants = 2; instants > 0; at++) instants -= (uint8_t)*at < 128;
    return at;
}

/* Answers the size of the record. */
static uint32_t record_read(const struct idempotency_store *store, uint32_t handle, struct idempotency_entry *entry)
{
    const struct chunk *chunk = chunk_of(store, handle);
    uint32_t offset = handle & OFFSET_MASK;
    struct cursor cursor = cursor_init((struct bytes){(const char *)chunk + offset, chunk->end - offset});
    cursor_raw(&cursor, LINK_BYTES);
    entry->key = cursor_bytes(&cursor);
    entry->body = cursor_bytes(&cursor);
    entry->stored_us = chunk->base_us + cursor_signed(&cursor);
    entry->expires_us = entry->stored_us + chunk->lifetime_us + cursor_signed(&cursor);
    return (uint32_t)cursor.at;
}

/* The handle of the record after this one, which has `size` bytes; 0 at the end. */
static uint32_t handle_after(const struct idempotency_store *store, uint32_t handle, uint32_t size)
{
    if ((handle & OFFSET_MASK) + size < chunk_of(store, handle)->end) return handle + size;
    if (handle >> OFFSET_BITS == (last_sequence(store) & (UINT32_MAX >> OFFSET_BITS))) return 0;
    return ((handle >> OFFSET_BITS) + 1) << OFFSET_BITS | CHUNK_FRONT;
}

/* Larger for newer records. */
static uint32_t age_rank(const struct idempotency_store *store, uint32_t handle)
{
    return handle - (store->oldest & ~OFFSET_MASK);
}

static size_t number_bytes(uint64_t number)
{
    return 1 + (size_t)(63 - __builtin_clzll(number | 1)) / 7;
}

static size_t signed_bytes(int64_t number)
{
    return number_bytes((uint64_t)(number < 0 ? -(number + 1) : number) << 1);
}

static size_t record_size(const struct idempotency_entry *entry, int64_t base_us, int64_t lifetime_us)
{
    return LINK_BYTES + number_bytes(entry->key.size) + entry->key.size + number_bytes(entry->body.size) +
           entry->body.size + signed_bytes(entry->stored_us - base_us) +
           signed_bytes(entry->expires_us - entry->stored_us - lifetime_us);
}

/* Packs a record behind the newest of the chunk, which has room for it, its link unset; answers its offset. */
static uint32_t chunk_pack(struct chunk *chunk, size_t size, const struct idempotency_entry *entry)
{
    uint32_t offset = chunk->end;
    struct sink sink = sink_init((char *)chunk + offset, size);
    sink_raw(&sink, "\0\0\0", LINK_BYTES);
    sink_bytes(&sink, entry->key);
    sink_bytes(&sink, entry->body);
    sink_signed(&sink, entry->stored_us - chunk->base_us);
    sink_signed(&sink, entry->expires_us - entry->stored_us - chunk->lifetime_us);
    chunk->end = (uint16_t)(chunk->end + size);
    return offset;
}

/* ---- the index ------------------------------------------------------------------------------------------- */

static uint32_t bucket_of(const struct idempotency_store *store, struct bytes key)
{
    return linear_bucket(linear_hash(key), store->archive->buckets - 1);
}

static char *head_of(const struct idempotency_store *store, uint32_t bucket)
{
    const struct archive *archive = store->archive;
    uint32_t *segment = archive->heads;
    if (archive->segments && bucket >= SEGMENT_HEADS) segment = archive->segments[bucket / SEGMENT_HEADS - 1];
    return (char *)&segment[bucket % SEGMENT_HEADS];
}

/* The link to the newest record of this key, or the link that ends the chain. */
static char *chain_find(const struct idempotency_store *store, char *head, struct bytes key)
{
    char *link = head;
    for (uint32_t at = link_get(link); at != 0; at = link_get(link)) {
        char *record = record_at(store, at);
        if (bytes_equal(key_of(record), key)) break;
        link = record;
    }
    return link;
}

/* Takes the oldest record out of its chain, where it is the last; one that is hidden stands in none. */
static void chain_drop_oldest(const struct idempotency_store *store, char *head)
{
    char *link = head;
    while (link_get(link) != 0 && link_get(link) != store->oldest) link = record_at(store, link_get(link));
    link_set(link, 0);
}

/* Moves what belongs to the newest bucket out of its parent; both chains keep their order. */
static void chain_split(const struct idempotency_store *store, uint32_t bucket)
{
    char *kept = head_of(store, linear_parent(bucket)), *moved = head_of(store, bucket);
    uint32_t at = link_get(kept);
    while (at != 0) {
        char *record = record_at(store, at), **tail = bucket_of(store, key_of(record)) == bucket ? &moved : &kept;
        link_set(*tail, at);
        *tail = record;
        at = link_get(record);
    }
    link_set(kept, 0);
    link_set(moved, 0);
}

/* The reverse: the chains of the last bucket and of its parent become one, newest first. */
static void chain_merge(const struct idempotency_store *store, uint32_t bucket)
{
    char *tail = head_of(store, linear_parent(bucket));
    uint32_t at = link_get(tail), other = link_get(head_of(store, bucket));
    while (at != 0 && other != 0) {
        uint32_t newer = age_rank(store, at) > age_rank(store, other) ? at : other;
        link_set(tail, newer);
        tail = record_at(store, newer);
        *(newer == at ? &at : &other) = link_get(tail);
    }
    link_set(tail, at != 0 ? at : other);
}

/* A list that doubles has room for a power of two; these are its sizes in items before and after number `item`. */
static bool list_doubles_at(uint32_t item)
{
    return (item & (item - 1)) == 0;
}

static size_t list_doubled(uint32_t item)
{
    return item > 0 ? (size_t)item * 2 : 1;
}

/* Makes room for the bucket that comes next. */
static void heads_extend(struct idempotency_store *store, uint32_t bucket)
{
    struct archive *archive = store->archive;
    const size_t head = sizeof(*archive->heads), segment = sizeof(*archive->segments);
    if (bucket < SEGMENT_HEADS) {
        if (!list_doubles_at(bucket)) return;
        archive->heads = resize(store, archive->heads, bucket * head, list_doubled(bucket) * head);
    } else if (bucket % SEGMENT_HEADS == 0) {
        uint32_t item = bucket / SEGMENT_HEADS - 1;
        if (list_doubles_at(item)) {
            archive->segments = resize(store, archive->segments, item * segment, list_doubled(item) * segment);
        }
        archive->segments[item] = resize(store, NULL, 0, SEGMENT_HEADS * head);
    }
}

/* Takes the room of the last bucket back. */
static void heads_curtail(struct idempotency_store *store, uint32_t bucket)
{
    struct archive *archive = store->archive;
    const size_t head = sizeof(*archive->heads), segment = sizeof(*archive->segments);
    if (bucket < SEGMENT_HEADS) {
        if (!list_doubles_at(bucket)) return;
        archive->heads = resize(store, archive->heads, list_doubled(bucket) * head, bucket * head);
    } else if (bucket % SEGMENT_HEADS == 0) {
        uint32_t item = bucket / SEGMENT_HEADS - 1;
        resize(store, archive->segments[item], SEGMENT_HEADS * head, 0);
        if (!list_doubles_at(item)) return;
        archive->segments = resize(store, archive->segments, list_doubled(item) * segment, item * segment);
    }
}

static void index_grow(struct idempotency_store *store)
{
    uint32_t bucket = store->archive->buckets;
    heads_extend(store, bucket);
    store->archive->buckets++;
    link_set(head_of(store, bucket), 0);
    if (bucket > 0) chain_split(store, bucket);
}

/* Leads to a record that has come behind `before` others; an older one of its key is hidden from now on. */
static void index_add(struct idempotency_store *store, uint32_t handle, uint32_t before)
{
    if (before >= store->archive->buckets * RECORDS_PER_BUCKET) index_grow(store);
    char *record = record_at(store, handle);
    char *head = head_of(store, bucket_of(store, key_of(record)));
    char *hidden = chain_find(store, head, key_of(record));
    if (link_get(hidden) != 0) link_set(hidden, link_get(record_at(store, link_get(hidden))));
    link_set(record, link_get(head));
    link_set(head, handle);
}

/* One bucket stays. */
static void index_shrink(struct idempotency_store *store)
{
    uint32_t bucket = store->archive->buckets - 1;
    chain_merge(store, bucket);
    store->archive->buckets--;
    heads_curtail(store, bucket);
}

/* ---- few of them -------------------------------------------------------------------------------------------- */

/* Few become many: their chunk becomes a block of its override, and an index leads to each of them. */
static struct idempotency_store *few_end(struct idempotency_store *store)
{
    struct chunk *only = chunk_of(store, store->oldest), *first = memory_alloc(only->size);
    memcpy(first, only, only->end);
    store = memory_realloc(store, sizeof(*store));
    store->bytes = sizeof(*store) + first->size;
    store->archive = resize(store, NULL, 0, sizeof(*store->archive));
    *store->archive = (struct archive){0};
    ring_append(store, first);
    struct idempotency_walk walk = {0};
    struct idempotency_entry entry;
    for (uint32_t i = 0; idempotency_next(store, &walk, &entry); i++) index_add(store, walk.at, i);
    return store;
}

/* Moves what is still there to the front of the only chunk. */
static void few_compact(struct idempotency_store *store)
{
    struct chunk *only = chunk_of(store, store->oldest);
    uint32_t gone = store->oldest - CHUNK_FRONT;
    memmove(only->bytes, only->bytes + gone, only->end - store->oldest);
    only->end = (uint16_t)(only->end - gone);
    store->oldest = CHUNK_FRONT;
}

/* The head and an only chunk of this size. */
static struct idempotency_store *few_resize(struct idempotency_store *store, size_t size)
{
    store = memory_realloc(store, sizeof(*store) + size);
    store->bytes = sizeof(*store) + size;
    chunk_of(store, store->oldest)->size = (uint16_t)size;
    return store;
}

/* A record that comes alone may be as large as it likes. */
static struct idempotency_store *few_begin(const struct idempotency_entry *first)
{
    size_t size = CHUNK_FRONT + record_size(first, first->stored_us, first->expires_us - first->stored_us);
    struct idempotency_store *store = memory_alloc(sizeof(*store) + size);
    *store = (struct idempotency_store){.bytes = sizeof(*store) + size, .oldest = CHUNK_FRONT};
    chunk_begin(chunk_of(store, store->oldest), size, first);
    return store;
}

/* Makes room for one more, or an end to their being few. */
static struct idempotency_store *few_extend(struct idempotency_store *store, const struct idempotency_entry *entry)
{
    struct chunk *only = chunk_of(store, store->oldest);
    size_t size = record_size(entry, only->base_us, only->lifetime_us);
    if (only->end + size > only->size) few_compact(store);
    size_t needed = only->end + size;
    if (store->count == FEW_RECORDS || needed > FEW_BYTES) return few_end(store);
    if (needed <= only->size) return store;
    size_t roomy = only->size * 3u / 2;
    if (roomy > FEW_BYTES) roomy = FEW_BYTES;
    return few_resize(store, needed > roomy ? needed : roomy);
}

/* ---- asking and changing --------------------------------------------------------------------------------- */

/* 0 = none. Few records are walked: the last one of the key is its newest. */
static uint32_t newest_of(const struct idempotency_store *store, struct bytes key)
{
    if (!store) return 0;
    if (store->archive) return link_get(chain_find(store, head_of(store, bucket_of(store, key)), key));
    const struct chunk *only = chunk_of(store, store->oldest);
    const char *front = (const char *)only, *end = front + only->end, *newest = front;
    for (const char *at = front + store->oldest; at < end;) {
        struct bytes shown = key_of(at);
        if (bytes_equal(shown, key)) newest = at;
        at = record_skip(shown);
    }
    return (uint32_t)(newest - front);
}

bool idempotency_find(const struct idempotency_store *store, struct bytes key, int64_t now_us,
                      struct idempotency_entry *entry)
{
    uint32_t at = newest_of(store, key);
    if (at == 0) return false;
    struct idempotency_entry found;
    record_read(store, at, &found);
    if (found.expires_us <= now_us) return false;
    *entry = found;
    return true;
}

struct idempotency_store *idempotency_append(struct idempotency_store *store, const struct idempotency_entry *entry)
{
    if (!store) {
        store = few_begin(entry);
    } else if (!store->archive) {
        store = few_extend(store, entry);
    }
    struct chunk *chunk = chunk_of(store, last_sequence(store) << OFFSET_BITS);
    size_t size = record_size(entry, chunk->base_us, chunk->lifetime_us);
    if (store->archive && size > (size_t)(chunk->size - chunk->end)) {
        size = record_size(entry, entry->stored_us, entry->expires_us - entry->stored_us);
        chunk = chunk_append(store, size, entry);
    }
    uint32_t handle = last_sequence(store) << OFFSET_BITS | chunk_pack(chunk, size, entry);
    if (store->archive) index_add(store, handle, store->count);
    store->count++;
    return store;
}

bool idempotency_patch(struct idempotency_store *store, struct bytes key, struct bytes body)
{
    uint32_t at = newest_of(store, key);
    if (at == 0) return false;
    struct idempotency_entry found;
    record_read(store, at, &found);
    if (found.body.size != body.size) return false;
    char *record = record_at(store, at);
    if (body.size > 0) memcpy(record + (found.body.data - record), body.data, body.size);
    return true;
}

static void drop_oldest(struct idempotency_store *store, const struct idempotency_entry *oldest, uint32_t size)
{
    const struct archive *archive = store->archive;
    if (archive) chain_drop_oldest(store, head_of(store, bucket_of(store, oldest->key)));
    store->count--;
    if (archive && archive->buckets > 1 && store->count < archive->buckets) index_shrink(store);
    if (!archive || (store->oldest & OFFSET_MASK) + size < chunk_of(store, store->oldest)->end) {
        store->oldest += size;
    } else {
        chunk_drop(store);
    }
}

struct idempotency_store *idempotency_sweep(struct idempotency_store *store, int64_t now_us, uint32_t most)
{
    struct idempotency_entry oldest;
    for (uint32_t swept = 0; store && swept < most; swept++) {
        uint32_t size = record_read(store, store->oldest, &oldest);
        if (oldest.expires_us > now_us) break;
        if (store->count == 1) {
            idempotency_free(store);
            return NULL;
        }
        drop_oldest(store, &oldest, size);
    }
    return store;
}

uint32_t idempotency_expired(const struct idempotency_store *store, int64_t now_us, uint32_t most)
{
    struct idempotency_walk walk = {0};
    struct idempotency_entry entry;
    uint32_t expired = 0;
    while (expired < most && idempotency_next(store, &walk, &entry) && entry.expires_us <= now_us) expired++;
    return expired;
}

bool idempotency_next(const struct idempotency_store *store, struct idempotency_walk *walk,
                      struct idempotency_entry *entry)
{
    if (!store) return false;
    struct idempotency_entry shown;
    uint32_t next = store->oldest;
    if (walk->at != 0) next = handle_after(store, walk->at, record_read(store, walk->at, &shown));
    if (next == 0) return false;
    record_read(store, next, entry);
    walk->at = next;
    return true;
}

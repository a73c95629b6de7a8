/* Packed records in chunks, a heap of them by expiry, and an index by linear hashing; drawing in idempotency.h. */
#include "quota/account/idempotency.h"
#include "quota/base/linear_hash.h"
#include "quota/base/memory.h"

/* Handles name records: number of the chunk (numbers wrap around) and offset in its packed records. 0 is no record. */
#define OFFSET_BITS       14
#define OFFSET_MASK       ((UINT32_C(1) << OFFSET_BITS) - 1)
#define NUMBER_MASK       (UINT32_MAX >> OFFSET_BITS)
#define CHUNK_HEAD        offsetof(struct idempotency_chunk, packed)
#define CHUNK_BYTES_FIRST ((size_t)256) /* blocks, with the head */
#define CHUNK_BYTES_MAX   ((size_t)1 << OFFSET_BITS)
_Static_assert(CHUNK_HEAD + PACKED_FRONT + RECORD_SIZE_MAX <= CHUNK_BYTES_MAX, "a chunk has room for any record");

/* At most half of the ring is taken, so that the next free number is near. */
#define RING_FIRST 4
#define CHUNKS_MAX ((NUMBER_MASK + 1) / 2)

#define HEAD_BYTES         sizeof(uint32_t)
#define RECORDS_PER_BUCKET 2 /* on average at most; once it is half as many, buckets are given up */

/* What many records need. */
struct archive {
    struct idempotency_chunk *oldest, *newest;
    struct idempotency_chunk **ring; /* the chunk of number n is at n mod ring_size; NULL = none */
    struct idempotency_chunk **heap; /* room for half as many */
    union linear_heads heads;        /* handles of the first record of each bucket */
    uint64_t sequence;               /* of the chunk that comes next */
    uint32_t number;                 /* of the chunk that comes next, or the first after it that is free */
    uint32_t ring_size;              /* a power of two */
    uint32_t chunks;
    uint32_t last_bucket;
};

/* Few records stand right behind the head; no index leads to them, and none of them is dropped without its bytes. */
#define FEW_RECORDS 8
#define FEW_BYTES   512 /* of the packed records */

struct idempotency_store {
    struct archive *archive; /* NULL = few */
    size_t bytes;            /* heap held */
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

static struct packed *few_of(const struct idempotency_store *store)
{
    return (struct packed *)(store + 1);
}

static struct idempotency_chunk **ring_place(const struct archive *archive, uint32_t number)
{
    return &archive->ring[number & (archive->ring_size - 1)];
}

static struct idempotency_chunk *chunk_of(const struct idempotency_store *store, uint32_t handle)
{
    return *ring_place(store->archive, handle >> OFFSET_BITS);
}

static char *record_at(const struct idempotency_store *store, uint32_t handle)
{
    return packed_record(&chunk_of(store, handle)->packed, handle & OFFSET_MASK);
}

static size_t chunk_bytes(const struct idempotency_chunk *chunk)
{
    return CHUNK_HEAD + chunk->packed.size;
}

static void archive_free(struct archive *archive)
{
    if (!archive) return;
    for (uint32_t i = 0; i < archive->chunks; i++) memory_free(archive->heap[i]);
    linear_heads_free(&archive->heads, archive->last_bucket, HEAD_BYTES);
    memory_free(archive->ring);
    memory_free(archive->heap);
    memory_free(archive);
}

void idempotency_free(struct idempotency_store *store)
{
    if (!store) return;
    archive_free(store->archive);
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

/* ---- the heap: which chunk expires first ----------------------------------------------------------------- */

/* Of chunks that expire at one instant the older one is first. */
static bool expires_before(const struct idempotency_chunk *left, const struct idempotency_chunk *right)
{
    if (left->expires_us != right->expires_us) return left->expires_us < right->expires_us;
    return left->sequence < right->sequence;
}

static void heap_put(const struct archive *archive, struct idempotency_chunk *chunk, uint32_t place)
{
    archive->heap[place] = chunk;
    chunk->heap_place = place;
}

/* Towards the top: a chunk that expires earlier than before. */
static void heap_rise(const struct archive *archive, struct idempotency_chunk *chunk)
{
    uint32_t place = chunk->heap_place;
    while (place > 0 && expires_before(chunk, archive->heap[(place - 1) / 2])) {
        heap_put(archive, archive->heap[(place - 1) / 2], place);
        place = (place - 1) / 2;
    }
    heap_put(archive, chunk, place);
}

/* Away from it: a chunk that expires later than before. */
static void heap_sink(const struct archive *archive, struct idempotency_chunk *chunk)
{
    uint32_t place = chunk->heap_place;
    for (uint32_t below = 2 * place + 1; below < archive->chunks; below = 2 * place + 1) {
        if (below + 1 < archive->chunks && expires_before(archive->heap[below + 1], archive->heap[below])) below++;
        if (!expires_before(archive->heap[below], chunk)) break;
        heap_put(archive, archive->heap[below], place);
        place = below;
    }
    heap_put(archive, chunk, place);
}

/* Takes a chunk out: the last one takes its place. `chunks` counts it no more. */
static void heap_remove(const struct archive *archive, const struct idempotency_chunk *chunk)
{
    struct idempotency_chunk *last = archive->heap[archive->chunks];
    if (last == chunk) return;
    heap_put(archive, last, chunk->heap_place);
    heap_rise(archive, last);
    heap_sink(archive, last);
}

/* ---- the chunks ------------------------------------------------------------------------------------------ */

/* Gives the ring another size, and the heap half of it; false, and nothing done, where two chunks would meet. */
static bool ring_resize(struct idempotency_store *store, uint32_t size)
{
    struct archive *archive = store->archive, after = *archive;
    const size_t pointer = sizeof(void *);
    after.ring_size = size;
    after.ring = memory_alloc(size * pointer);
    for (uint32_t i = 0; i < size; i++) after.ring[i] = NULL;
    for (uint32_t i = 0; i < archive->chunks; i++) {
        struct idempotency_chunk **place = ring_place(&after, archive->heap[i]->number);
        if (*place) {
            memory_free(after.ring);
            return false;
        }
        *place = archive->heap[i];
    }
    memory_free(archive->ring);
    store->bytes += size * pointer - archive->ring_size * pointer;
    archive->heap = resize(store, archive->heap, archive->ring_size / 2 * pointer, size / 2 * pointer);
    archive->ring = after.ring;
    archive->ring_size = size;
    return true;
}

/* A quarter to a half of what is held, a power of two; a record that takes most of that gets a block of its own. */
static size_t chunk_bytes_for(const struct idempotency_store *store, size_t record_size)
{
    size_t bytes = CHUNK_BYTES_FIRST, needed = CHUNK_HEAD + PACKED_FRONT + record_size;
    while (bytes < CHUNK_BYTES_MAX && bytes * 4 <= store->bytes) bytes *= 2;
    return needed * 2 > bytes ? needed : bytes;
}

/* Makes a block of this size, its records not begun, the newest chunk. */
static struct idempotency_chunk *chunk_append(struct idempotency_store *store, size_t bytes)
{
    struct archive *archive = store->archive;
    if (2 * archive->chunks >= archive->ring_size) {
        ring_resize(store, archive->ring_size > 0 ? 2 * archive->ring_size : RING_FIRST);
    }
    while (*ring_place(archive, archive->number)) archive->number = (archive->number + 1) & NUMBER_MASK;
    struct idempotency_chunk *chunk = resize(store, NULL, 0, bytes);
    chunk_begin(chunk);
    chunk->sequence = archive->sequence++;
    chunk->number = archive->number;
    chunk->older = archive->newest;
    chunk->newer = NULL;
    *(chunk->older ? &chunk->older->newer : &archive->oldest) = chunk;
    archive->newest = chunk;
    *ring_place(archive, chunk->number) = chunk;
    archive->number = (archive->number + 1) & NUMBER_MASK;
    heap_put(archive, chunk, archive->chunks++);
    return chunk;
}

/* What led to this chunk leads past it from now on. */
static void chunk_unlink(struct archive *archive, const struct idempotency_chunk *chunk)
{
    *(chunk->older ? &chunk->older->newer : &archive->oldest) = chunk->newer;
    *(chunk->newer ? &chunk->newer->older : &archive->newest) = chunk->older;
    *ring_place(archive, chunk->number) = NULL;
}

/* The chunk stands at another address than before: what led to it leads there. */
static void chunk_relink(struct archive *archive, struct idempotency_chunk *chunk)
{
    *(chunk->older ? &chunk->older->newer : &archive->oldest) = chunk;
    *(chunk->newer ? &chunk->newer->older : &archive->newest) = chunk;
    *ring_place(archive, chunk->number) = chunk;
}

static void chunk_free(struct idempotency_store *store, struct idempotency_chunk *chunk)
{
    struct archive *archive = store->archive;
    chunk_unlink(archive, chunk);
    archive->chunks--;
    heap_remove(archive, chunk);
    resize(store, chunk, chunk_bytes(chunk), 0);
    if (archive->ring_size > RING_FIRST && archive->chunks * 8 <= archive->ring_size) {
        ring_resize(store, archive->ring_size / 2);
    }
}

static uint32_t handle_of(const struct idempotency_chunk *chunk, uint32_t offset)
{
    return chunk->number << OFFSET_BITS | offset;
}

/* ---- the index ------------------------------------------------------------------------------------------- */

static char *head_of(const struct idempotency_store *store, uint32_t bucket)
{
    return linear_head(&store->archive->heads, store->archive->last_bucket, bucket, HEAD_BYTES);
}

static char *head_of_hash(const struct idempotency_store *store, uint32_t hash)
{
    return head_of(store, linear_bucket(hash, store->archive->last_bucket));
}

/* The link to the record of this key, or the link that ends the chain. */
static char *chain_find(const struct idempotency_store *store, struct bytes key, uint32_t hash)
{
    char *link = head_of_hash(store, hash);
    for (uint32_t at = link_get(link); at != 0; at = link_get(link)) {
        char *record = record_at(store, at);
        if (bytes_equal(record_key(record), key)) break;
        link = record;
    }
    return link;
}

/* The link to this record. */
static char *chain_link_to(const struct idempotency_store *store, uint32_t handle)
{
    char *link = head_of_hash(store, linear_hash(record_key(record_at(store, handle))));
    while (link_get(link) != handle) link = record_at(store, link_get(link));
    return link;
}

static char *record_of(const void *store, const char *link)
{
    uint32_t handle = link_get(link);
    return handle != 0 ? record_at(store, handle) : NULL;
}

static uint32_t hash_of(const char *record)
{
    return linear_hash(record_key(record));
}

static const struct linear_links links = {HEAD_BYTES, record_of, hash_of};

/* One bucket more, or one less: keeps count of what the heads hold. */
static void index_resize(struct idempotency_store *store, bool grows)
{
    struct archive *archive = store->archive;
    store->bytes -= linear_heads_bytes(archive->last_bucket, HEAD_BYTES);
    if (grows) {
        linear_grow(&archive->heads, &archive->last_bucket, &links, store);
    } else {
        linear_shrink(&archive->heads, &archive->last_bucket, &links, store);
    }
    store->bytes += linear_heads_bytes(archive->last_bucket, HEAD_BYTES);
}

/* Leads to a record that has come behind `before` others, none of which has its key. */
static void index_add(struct idempotency_store *store, uint32_t handle, uint32_t hash, uint32_t before)
{
    if (before / RECORDS_PER_BUCKET > store->archive->last_bucket) index_resize(store, true);
    char *head = head_of_hash(store, hash);
    link_set(record_at(store, handle), link_get(head));
    link_set(head, handle);
}

/* ---- few of them ----------------------------------------------------------------------------------------- */

/* The head and packed records of this size. */
static struct idempotency_store *few_resize(struct idempotency_store *store, size_t size)
{
    store = memory_realloc(store, sizeof(*store) + size);
    store->bytes = sizeof(*store) + size;
    few_of(store)->size = (uint16_t)size;
    return store;
}

/* A record that comes alone may be as large as it likes. */
static struct idempotency_store *few_begin(const struct idempotency_entry *first)
{
    size_t size = PACKED_FRONT + packed_first_size(first);
    struct idempotency_store *store = memory_alloc(sizeof(*store) + size);
    *store = (struct idempotency_store){.bytes = sizeof(*store) + size};
    packed_begin(few_of(store), size, first);
    return store;
}

/* Few become many: their records move into a chunk, and an index leads to each of them. */
static struct idempotency_store *few_end(struct idempotency_store *store)
{
    const struct packed *few = few_of(store);
    struct archive *archive = memory_alloc(sizeof(*archive));
    *archive = (struct archive){0};
    store->archive = archive;
    store->bytes = sizeof(*store) + sizeof(*archive);
    struct idempotency_chunk *chunk = chunk_append(store, CHUNK_HEAD + few->size);
    memcpy(&chunk->packed, few, few->end);
    struct idempotency_entry entry;
    for (uint32_t offset = PACKED_FRONT, size, i = 0; offset < chunk->packed.end; offset += size, i++) {
        size = packed_read(&chunk->packed, offset, &entry);
        chunk_count(chunk, offset, size, entry.expires_us);
        index_add(store, handle_of(chunk, offset), linear_hash(entry.key), i);
    }
    return memory_realloc(store, sizeof(*store));
}

/* Makes room for one more, or an end to their being few. */
static struct idempotency_store *few_extend(struct idempotency_store *store, const struct idempotency_entry *entry)
{
    const struct packed *few = few_of(store);
    size_t needed = few->end + packed_record_size(few, entry);
    if (store->count == FEW_RECORDS || needed > FEW_BYTES) return few_end(store);
    if (needed <= few->size) return store;
    size_t roomy = few->size * 3u / 2;
    if (roomy > FEW_BYTES) roomy = FEW_BYTES;
    return few_resize(store, needed > roomy ? needed : roomy);
}

/* Counts the records that have expired by `now_us`; the one that expired first is `first`, of equals the oldest. */
static uint32_t few_look(const struct idempotency_store *store, int64_t now_us, uint32_t *first, uint32_t *first_size)
{
    const struct packed *few = few_of(store);
    uint32_t expired = 0;
    int64_t earliest_us = INT64_MAX;
    for (uint32_t offset = PACKED_FRONT, size; offset < few->end; offset += size) {
        int64_t expires_us = packed_expires_us(few, offset, &size);
        if (expires_us <= now_us) expired++;
        if (expires_us >= earliest_us) continue;
        earliest_us = expires_us;
        *first = offset;
        *first_size = size;
    }
    return expired;
}

static struct idempotency_store *few_drop(struct idempotency_store *store, uint32_t offset, uint32_t size)
{
    struct packed *few = few_of(store);
    packed_remove(few, offset, size);
    if (--store->count > 0) return 2 * few->end <= few->size ? few_resize(store, few->end) : store;
    idempotency_free(store);
    return NULL;
}

static struct idempotency_store *few_sweep(struct idempotency_store *store, int64_t now_us, uint32_t most)
{
    uint32_t first = 0, size = 0;
    for (uint32_t expired = 1; most > 0 && expired > 0; most--) {
        expired = few_look(store, now_us, &first, &size);
        if (expired > 0) store = few_drop(store, first, size);
        if (expired <= 1) break;
    }
    return store;
}

/* Drops the record of this key, if there is one. */
static struct idempotency_store *few_forget(struct idempotency_store *store, struct bytes key)
{
    struct idempotency_entry former;
    uint32_t at = packed_find(few_of(store), key);
    return at == 0 ? store : few_drop(store, at, packed_read(few_of(store), at, &former));
}

/* The offset of the record behind this one, 0 at the end; of the first one for 0. */
static uint32_t few_after(const struct idempotency_store *store, uint32_t offset)
{
    struct idempotency_entry entry;
    if (offset == 0) return PACKED_FRONT;
    offset += packed_read(few_of(store), offset, &entry);
    return offset < few_of(store)->end ? offset : 0;
}

/* ---- many of them ---------------------------------------------------------------------------------------- */

/* Packs a chunk anew: its records move to its front, and what leads to them follows. */
static void chunk_pack(struct idempotency_store *store, struct idempotency_chunk *chunk)
{
    struct packed *packed = &chunk->packed;
    struct idempotency_entry entry;
    uint32_t to = PACKED_FRONT, offset = chunk->front;
    chunk_begin(chunk);
    while (offset != 0) {
        char *link = chain_link_to(store, handle_of(chunk, offset));
        uint32_t size = packed_read(packed, offset, &entry);
        int64_t expires_us = entry.expires_us;
        uint32_t next = chunk_record_from(chunk, offset + size);
        memmove(packed_record(packed, to), packed_record(packed, offset), size);
        link_set(link, handle_of(chunk, to));
        chunk_count(chunk, to, size, expires_us);
        to += size;
        offset = next;
    }
    packed->end = (uint16_t)to;
}

/* Packs one anew whose room no record will come to use, and gives that back. */
static void chunk_shrink(struct idempotency_store *store, struct idempotency_chunk *chunk)
{
    size_t before = chunk_bytes(chunk);
    chunk_pack(store, chunk);
    chunk->packed.size = chunk->packed.end;
    struct idempotency_chunk *moved = resize(store, chunk, before, chunk_bytes(chunk));
    chunk_relink(store->archive, moved);
    heap_put(store->archive, moved, moved->heap_place);
}

/* Many have become few: once they are half as many as few can be, so that it does not go to and fro. */
static struct idempotency_store *archive_end(struct idempotency_store *store)
{
    struct idempotency_store *few = NULL;
    struct idempotency_entry entry;
    struct idempotency_walk walk = {0};
    size_t needed = 0;
    if (store->count > FEW_RECORDS / 2) return store;
    while (idempotency_next(store, &walk, &entry)) needed += packed_first_size(&entry);
    if (needed > FEW_BYTES / 2) return store;
    walk.at = 0;
    while (idempotency_next(store, &walk, &entry)) few = idempotency_append(few, &entry);
    idempotency_free(store);
    return few;
}

/* Drops the record that this link leads to. */
static struct idempotency_store *archive_drop(struct idempotency_store *store, char *link)
{
    struct archive *archive = store->archive;
    uint32_t handle = link_get(link);
    struct idempotency_chunk *chunk = chunk_of(store, handle);
    if (store->count == 1) {
        idempotency_free(store);
        return NULL;
    }
    link_set(link, link_get(record_at(store, handle)));
    store->count--;
    if (chunk->count == 1) {
        chunk_free(store, chunk);
    } else {
        chunk_drop(chunk, handle & OFFSET_MASK);
        heap_sink(archive, chunk);
        if (chunk != archive->newest && chunk_is_sparse(chunk)) chunk_shrink(store, chunk);
    }
    if (archive->last_bucket > 0 && store->count <= archive->last_bucket) index_resize(store, false);
    return archive_end(store);
}

static struct idempotency_store *archive_sweep(struct idempotency_store *store, int64_t now_us, uint32_t most)
{
    for (; most > 0 && store && store->archive; most--) {
        const struct idempotency_chunk *first = store->archive->heap[0];
        if (first->expires_us > now_us) return store;
        store = archive_drop(store, chain_link_to(store, handle_of(first, first->earliest)));
    }
    return store ? few_sweep(store, now_us, most) : NULL; /* where they have become few on the way */
}

static bool has_room(const struct idempotency_chunk *chunk, const struct idempotency_entry *entry)
{
    return packed_record_size(&chunk->packed, entry) <= (size_t)(chunk->packed.size - chunk->packed.end);
}

/* The chunk that a record goes to: the newest, packed anew where that makes room, or a new one. */
static struct idempotency_chunk *chunk_with_room(struct idempotency_store *store, const struct idempotency_entry *entry)
{
    struct idempotency_chunk *chunk = store->archive->newest;
    if (has_room(chunk, entry)) return chunk;
    if (chunk_is_sparse(chunk)) chunk_pack(store, chunk);
    if (has_room(chunk, entry)) return chunk;
    size_t bytes = chunk_bytes_for(store, packed_first_size(entry));
    chunk = chunk_append(store, bytes);
    packed_begin(&chunk->packed, bytes - CHUNK_HEAD, entry);
    return chunk;
}

/* Appends a record whose key no other has. */
static void archive_append(struct idempotency_store *store, const struct idempotency_entry *entry, uint32_t hash)
{
    struct idempotency_chunk *chunk = chunk_with_room(store, entry);
    size_t size = packed_record_size(&chunk->packed, entry);
    uint32_t offset = packed_append(&chunk->packed, size, entry);
    chunk_count(chunk, offset, (uint32_t)size, entry->expires_us);
    if (chunk->earliest == offset) heap_rise(store->archive, chunk);
    index_add(store, handle_of(chunk, offset), hash, store->count);
}

/* At this place of the heap and below it: nothing that is not expired has anything expired below it. */
static uint32_t archive_expired(const struct archive *archive, uint32_t place, int64_t now_us, uint32_t most)
{
    if (most == 0 || place >= archive->chunks || archive->heap[place]->expires_us > now_us) return 0;
    uint32_t expired = most == 1 ? 1 : chunk_expired(archive->heap[place], now_us, most);
    expired += archive_expired(archive, 2 * place + 1, now_us, most - expired);
    return expired + archive_expired(archive, 2 * place + 2, now_us, most - expired);
}

/* ---- reading and changing -------------------------------------------------------------------------------- */

/* The record of this key, and the packed records that it is in; 0 = none. */
static uint32_t find(const struct idempotency_store *store, struct bytes key, struct packed **packed)
{
    if (!store) return 0;
    *packed = few_of(store);
    if (!store->archive) return packed_find(*packed, key);
    uint32_t at = link_get(chain_find(store, key, linear_hash_again(key)));
    if (at != 0) *packed = &chunk_of(store, at)->packed;
    return at & OFFSET_MASK;
}

bool idempotency_find(const struct idempotency_store *store, struct bytes key, int64_t now_us,
                      struct idempotency_entry *entry)
{
    struct packed *packed;
    struct idempotency_entry found;
    uint32_t offset = find(store, key, &packed);
    if (offset == 0) return false;
    packed_read(packed, offset, &found);
    if (found.expires_us <= now_us) return false;
    *entry = found;
    return true;
}

/* Drops the record of this key, if there is one. */
static struct idempotency_store *forget(struct idempotency_store *store, struct bytes key, uint32_t hash)
{
    if (!store->archive) return few_forget(store, key);
    char *link = chain_find(store, key, hash);
    return link_get(link) == 0 ? store : archive_drop(store, link);
}

struct idempotency_store *idempotency_append(struct idempotency_store *store, const struct idempotency_entry *entry)
{
    uint32_t hash = store && store->archive ? linear_hash_again(entry->key) : 0;
    if (store) store = forget(store, entry->key, hash);
    if (!store) {
        store = few_begin(entry);
    } else if (!store->archive) {
        store = few_extend(store, entry);
        hash = store->archive ? linear_hash_again(entry->key) : 0;
    }
    if (store->archive) {
        archive_append(store, entry, hash);
    } else {
        packed_append(few_of(store), packed_record_size(few_of(store), entry), entry);
    }
    store->count++;
    return store;
}

bool idempotency_patch(struct idempotency_store *store, struct bytes key, struct bytes body)
{
    struct packed *packed;
    struct idempotency_entry found;
    uint32_t offset = find(store, key, &packed);
    if (offset == 0) return false;
    packed_read(packed, offset, &found);
    if (found.body.size != body.size) return false;
    char *record = packed_record(packed, offset);
    if (body.size > 0) memcpy(record + (found.body.data - record), body.data, body.size);
    return true;
}

struct idempotency_store *idempotency_sweep(struct idempotency_store *store, int64_t now_us, uint32_t most)
{
    if (!store) return NULL;
    return store->archive ? archive_sweep(store, now_us, most) : few_sweep(store, now_us, most);
}

uint32_t idempotency_expired(const struct idempotency_store *store, int64_t now_us, uint32_t most)
{
    if (!store) return 0;
    if (store->archive) return archive_expired(store->archive, 0, now_us, most);
    uint32_t first, size, expired = few_look(store, now_us, &first, &size);
    return expired < most ? expired : most;
}

/* The handle of the record behind this one, 0 at the end; of the first one for 0. */
static uint32_t handle_after(const struct idempotency_store *store, uint32_t handle)
{
    struct idempotency_entry entry;
    const struct idempotency_chunk *chunk = store->archive->oldest;
    if (handle == 0) return handle_of(chunk, chunk->front);
    uint32_t offset = handle & OFFSET_MASK;
    chunk = chunk_of(store, handle);
    offset = chunk_record_from(chunk, offset + packed_read(&chunk->packed, offset, &entry));
    if (offset != 0) return handle_of(chunk, offset);
    return chunk->newer ? handle_of(chunk->newer, chunk->newer->front) : 0;
}

bool idempotency_next(const struct idempotency_store *store, struct idempotency_walk *walk,
                      struct idempotency_entry *entry)
{
    if (!store) return false;
    uint32_t next = store->archive ? handle_after(store, walk->at) : few_after(store, walk->at);
    if (next == 0) return false;
    packed_read(store->archive ? &chunk_of(store, next)->packed : few_of(store), next & OFFSET_MASK, entry);
    walk->at = next;
    return true;
}

/* Packed idempotency records; drawing in idempotency_chunk.h. */
#include "quota/account/idempotency_chunk.h"
#include "quota/base/buffer.h"
#include "quota/base/checked.h"

/* ---- records one behind the other ------------------------------------------------------------------------ */

void packed_begin(struct packed *packed, size_t size, const struct idempotency_entry *first)
{
    packed->base_us = first->stored_us;
    packed->lifetime_us = first->expires_us - first->stored_us;
    packed->end = PACKED_FRONT;
    packed->size = (uint16_t)size;
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

size_t packed_record_size(const struct packed *packed, const struct idempotency_entry *entry)
{
    return record_size(entry, packed->base_us, packed->lifetime_us);
}

size_t packed_first_size(const struct idempotency_entry *entry)
{
    return record_size(entry, entry->stored_us, entry->expires_us - entry->stored_us);
}

uint32_t packed_append(struct packed *packed, size_t size, const struct idempotency_entry *entry)
{
    uint32_t offset = packed->end;
    struct sink sink = sink_init((char *)packed + offset, size);
    sink_raw(&sink, "\0\0\0", LINK_BYTES);
    sink_bytes(&sink, entry->key);
    sink_bytes(&sink, entry->body);
    sink_signed(&sink, entry->stored_us - packed->base_us);
    sink_signed(&sink, entry->expires_us - entry->stored_us - packed->lifetime_us);
    packed->end = (uint16_t)(packed->end + size);
    return offset;
}

uint32_t packed_read(const struct packed *packed, uint32_t offset, struct idempotency_entry *entry)
{
    struct cursor cursor = cursor_init((struct bytes){packed_record(packed, offset), packed->end - offset});
    cursor_raw(&cursor, LINK_BYTES);
    entry->key = cursor_bytes(&cursor);
    entry->body = cursor_bytes(&cursor);
    entry->stored_us = packed->base_us + cursor_signed(&cursor);
    entry->expires_us = entry->stored_us + packed->lifetime_us + cursor_signed(&cursor);
    return (uint32_t)cursor.at;
}

/* A signed number as sink_signed writes it. */
static int64_t record_signed(const char **at)
{
    uint64_t folded = 0;
    uint32_t shift = 0;
    for (; (uint8_t) * *at >= 128; shift += 7) folded |= (uint64_t)((uint8_t) * (*at)++ & 127) << shift;
    folded |= (uint64_t)(uint8_t) * (*at)++ << shift;
    return (int64_t)(folded >> 1) ^ -(int64_t)(folded & 1);
}

/* The size of a record that begins here, whose key is known: over its body and two instants. */
static uint32_t record_skip(const char *record, struct bytes key)
{
    const char *at = key.data + key.size;
    size_t body_size = record_length(&at);
    at += body_size;
    for (int instants = 2; instants > 0; at++) instants -= (uint8_t)*at < 128;
    return (uint32_t)(at - record);
}

static uint32_t size_at(const struct packed *packed, uint32_t offset)
{
    const char *record = packed_record(packed, offset);
    return record_skip(record, record_key(record));
}

int64_t packed_expires_us(const struct packed *packed, uint32_t offset, uint32_t *size)
{
    const char *record = packed_record(packed, offset);
    struct bytes key = record_key(record);
    const char *at = key.data + key.size;
    size_t body_size = record_length(&at);
    at += body_size;
    int64_t stored_us = packed->base_us + record_signed(&at);
    int64_t expires_us = stored_us + packed->lifetime_us + record_signed(&at);
    *size = (uint32_t)(at - record);
    return expires_us;
}

void packed_remove(struct packed *packed, uint32_t offset, uint32_t size)
{
    char *record = packed_record(packed, offset);
    memmove(record, record + size, packed->end - offset - size);
    packed->end = (uint16_t)(packed->end - size);
}

uint32_t packed_find(const struct packed *packed, struct bytes key)
{
    uint32_t found = 0;
    for (uint32_t offset = PACKED_FRONT; offset < packed->end;) {
        const char *record = packed_record(packed, offset);
        struct bytes shown = record_key(record);
        if (bytes_equal(shown, key)) found = offset;
        offset += record_skip(record, shown);
    }
    return found;
}

/* ---- a chunk of many ------------------------------------------------------------------------------------- */

void chunk_begin(struct idempotency_chunk *chunk)
{
    chunk->expires_us = INT64_MAX;
    chunk->latest_us = chunk->disorder_us = 0;
    chunk->count = chunk->bytes = 0;
    chunk->front = chunk->earliest = PACKED_FRONT;
}

void chunk_count(struct idempotency_chunk *chunk, uint32_t offset, uint32_t size, int64_t expires_us)
{
    if (chunk->count == 0) chunk->front = (uint16_t)offset;
    chunk->count++;
    chunk->bytes = (uint16_t)(chunk->bytes + size);
    chunk->disorder_us = max_i64(chunk->disorder_us, chunk->latest_us - expires_us);
    chunk->latest_us = max_i64(chunk->latest_us, expires_us);
    if (expires_us >= chunk->expires_us) return;
    chunk->expires_us = expires_us;
    chunk->earliest = (uint16_t)offset;
}

uint32_t chunk_record_from(const struct idempotency_chunk *chunk, uint32_t offset)
{
    const struct packed *packed = &chunk->packed;
    while (offset < packed->end && link_get(packed_record(packed, offset)) == LINK_DROPPED) {
        offset += size_at(packed, offset);
    }
    return offset < packed->end ? offset : 0;
}

/* Everything behind a record that expires this late expires later than `expires_us`, or with it. */
static bool nothing_earlier_behind(const struct idempotency_chunk *chunk, int64_t seen_us, int64_t expires_us)
{
    return seen_us - chunk->disorder_us >= expires_us;
}

static void find_earliest(struct idempotency_chunk *chunk)
{
    chunk->expires_us = INT64_MAX;
    for (uint32_t offset = chunk->front, size; offset != 0; offset = chunk_record_from(chunk, offset + size)) {
        int64_t expires_us = packed_expires_us(&chunk->packed, offset, &size);
        if (expires_us < chunk->expires_us) {
            chunk->expires_us = expires_us;
            chunk->earliest = (uint16_t)offset;
        }
        if (nothing_earlier_behind(chunk, expires_us, chunk->expires_us)) return;
    }
}

void chunk_drop(struct idempotency_chunk *chunk, uint32_t offset)
{
    link_set(packed_record(&chunk->packed, offset), LINK_DROPPED);
    chunk->count--;
    chunk->bytes = (uint16_t)(chunk->bytes - size_at(&chunk->packed, offset));
    if (chunk->front == offset) chunk->front = (uint16_t)chunk_record_from(chunk, offset);
    if (chunk->earliest == offset) find_earliest(chunk);
}

uint32_t chunk_expired(const struct idempotency_chunk *chunk, int64_t now_us, uint32_t most)
{
    uint32_t expired = 0;
    for (uint32_t offset = chunk->front, size; offset != 0; offset = chunk_record_from(chunk, offset + size)) {
        if (expired == most) break;
        int64_t expires_us = packed_expires_us(&chunk->packed, offset, &size);
        if (expires_us <= now_us) expired++;
        if (nothing_earlier_behind(chunk, expires_us, now_us + 1)) break;
    }
    return expired;
}

bool chunk_is_sparse(const struct idempotency_chunk *chunk)
{
    const int least = 1024, times = 8; /* a chunk that is packed anew moves at most an eighth of what it has dropped */
    int span = chunk->packed.end - chunk->front;
    return span >= least && chunk->bytes * times <= span;
}

/* Sinks and cursors: see buffer.h for the byte forms. */
#include "quota/base/buffer.h"
#include "quota/base/memory.h"

#define MORE      0x80u /* another byte follows */
#define LOW_SEVEN 0x7fu

void sink_grow(struct sink *sink, size_t more)
{
    size_t capacity = sink->capacity * 2 > sink->size + more ? sink->capacity * 2 : sink->size + more;
    if (sink->on_heap) {
        sink->data = memory_realloc(sink->data, capacity);
    } else {
        char *heap = memory_alloc(capacity);
        if (sink->size > 0) memcpy(heap, sink->data, sink->size);
        sink->data = heap;
        sink->on_heap = true;
    }
    sink->capacity = capacity;
}

void sink_leave_heap(struct sink *sink)
{
    memory_free(sink->data);
}

void sink_long_number(struct sink *sink, uint64_t number)
{
    unsigned bytes = (63 - (unsigned)__builtin_clzll(number | 1)) / 7 + 1;
    sink_reserve(sink, bytes);
    char *at = sink->data + sink->size;
    for (; number > LOW_SEVEN; number >>= 7) *at++ = (char)(number | MORE);
    *at = (char)number;
    sink->size += bytes;
}

void sink_raw(struct sink *sink, const void *data, size_t size)
{
    if (size == 0) return;
    sink_reserve(sink, size);
    memcpy(sink->data + sink->size, data, size);
    sink->size += size;
}

void sink_bytes(struct sink *sink, struct bytes bytes)
{
    sink_number(sink, (int64_t)bytes.size);
    sink_raw(sink, bytes.data, bytes.size);
}

void sink_decimal(struct sink *sink, int64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0) sink_byte(sink, '-');
    sink_raw(sink, digits + at, sizeof(digits) - at);
}

void sink_percent(struct sink *sink, int64_t bp)
{
    sink_decimal(sink, bp / 100);
    if (bp % 100 == 0) return;
    sink_byte(sink, '.');
    sink_byte(sink, (uint8_t)('0' + bp % 100 / 10));
    if (bp % 10 != 0) sink_byte(sink, (uint8_t)('0' + bp % 10));
}

static uint64_t cursor_unsigned(struct cursor *cursor)
{
    uint64_t number = 0;
    const char *at = cursor->data + cursor->at, *end = cursor->data + cursor->size;
    for (unsigned shift = 0; shift < 64 && at != end && !cursor->bad; shift += 7) {
        uint8_t byte = (uint8_t)*at++;
        number |= (uint64_t)(byte & LOW_SEVEN) << shift;
        if (byte & MORE) continue;
        if (shift > 0 && byte == 0) break; /* a longer form of a shorter number: one value, one encoding */
        if (shift == 63 && byte > 1) break;
        cursor->at = (size_t)(at - cursor->data);
        return number;
    }
    cursor->bad = true;
    return 0;
}

int64_t cursor_long_number(struct cursor *cursor, int64_t lowest, int64_t highest)
{
    uint64_t number = cursor_unsigned(cursor);
    if (number > INT64_MAX || (int64_t)number < lowest || (int64_t)number > highest) cursor->bad = true;
    return cursor->bad ? 0 : (int64_t)number;
}

int64_t cursor_long_signed(struct cursor *cursor)
{
    uint64_t number = cursor_unsigned(cursor);
    return (int64_t)((number >> 1) ^ (number & 1 ? UINT64_MAX : 0));
}

struct bytes cursor_raw(struct cursor *cursor, size_t size)
{
    if (cursor->bad || size > cursor->size - cursor->at) {
        cursor->bad = true;
        return (struct bytes){"", 0};
    }
    struct bytes bytes = {cursor->data + cursor->at, size};
    cursor->at += size;
    return bytes;
}

struct bytes cursor_bytes(struct cursor *cursor)
{
    int64_t size = cursor_number(cursor);
    return cursor_raw(cursor, (size_t)size);
}

/* Bytes out, bytes in: a growing sink and a reading cursor, shared by every codec.
 *
 *     number   LEB128: seven bits a byte, low bits first, high bit = "more follows"; 0 … 2^63-1
 *     signed   zigzag: 0 -1 1 -2 … → 0 1 2 3 …, then as number
 *     bytes    number of bytes, then the bytes
 *
 *     300 ──▶ [1|0101100][0|0000010]
 *
 * A sink starts on memory of the caller (usually the stack) and moves to the heap only when it outgrows it.
 * A cursor never reads past its end: the first bad read sets `bad`, later reads answer 0, the caller looks once. */
#pragma once

#include "quota/base/bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sink {
    char *data;
    size_t size, capacity;
    bool on_heap;
};

/* An empty sink over borrowed memory; call sink_free when done. */
static inline struct sink sink_init(void *stack_buffer, size_t capacity)
{
    return (struct sink){.data = stack_buffer, .capacity = capacity};
}

/* What was written so far; borrowed until more is. */
static inline struct bytes sink_content(const struct sink *sink)
{
    return (struct bytes){sink->data ? sink->data : "", sink->size};
}

/* Frees what stands on the heap and leaves an empty sink. */
void sink_leave_heap(struct sink *sink) __attribute__((cold));
static inline void sink_free(struct sink *sink)
{
    if (sink->on_heap) sink_leave_heap(sink);
    *sink = (struct sink){.data = NULL};
}

/* Makes room for `more` bytes: borrowed memory is left only when they no longer fit it. */
void sink_grow(struct sink *sink, size_t more) __attribute__((cold));
static inline void sink_reserve(struct sink *sink, size_t more)
{
    if (sink->capacity - sink->size < more) sink_grow(sink, more);
}

static inline void sink_byte(struct sink *sink, uint8_t byte)
{
    sink_reserve(sink, 1);
    sink->data[sink->size++] = (char)byte;
}

void sink_long_number(struct sink *sink, uint64_t number);
static inline void sink_unsigned(struct sink *sink, uint64_t number)
{
    if (number < 0x80 && sink->size < sink->capacity) { /* one byte, as most are */
        sink->data[sink->size++] = (char)number;
    } else {
        sink_long_number(sink, number);
    }
}
static inline void sink_number(struct sink *sink, int64_t number) /* number >= 0 */
{
    sink_unsigned(sink, (uint64_t)number);
}
static inline void sink_signed(struct sink *sink, int64_t number)
{
    sink_unsigned(sink, ((uint64_t)number << 1) ^ (uint64_t)(number < 0 ? -1 : 0));
}
void sink_bytes(struct sink *sink, struct bytes bytes);
void sink_raw(struct sink *sink, const void *data, size_t size); /* no length in front */

/* As text: `-12`; `99.5`, of hundredths of a percent. A duration as text: duration.h. */
void sink_percent(struct sink *sink, int64_t bp);
void sink_decimal(struct sink *sink, int64_t number);

struct cursor {
    const char *data;
    size_t size, at;
    bool bad;
};

static inline struct cursor cursor_init(struct bytes bytes)
{
    return (struct cursor){.data = bytes.data, .size = bytes.size};
}

static inline uint8_t cursor_byte(struct cursor *cursor)
{
    if (cursor->bad || cursor->at == cursor->size) {
        cursor->bad = true;
        return 0;
    }
    return (uint8_t)cursor->data[cursor->at++];
}

/* Bad unless lowest … highest, in its shortest form. */
int64_t cursor_long_number(struct cursor *cursor, int64_t lowest, int64_t highest);
static inline int64_t cursor_number_between(struct cursor *cursor, int64_t lowest, int64_t highest)
{
    if (!cursor->bad && cursor->at < cursor->size) {
        int64_t number = (unsigned char)cursor->data[cursor->at];
        if (number < 0x80 && number >= lowest && number <= highest) { /* one byte, as most are */
            cursor->at++;
            return number;
        }
    }
    return cursor_long_number(cursor, lowest, highest);
}
static inline int64_t cursor_number(struct cursor *cursor)
{
    return cursor_number_between(cursor, 0, INT64_MAX);
}
int64_t cursor_long_signed(struct cursor *cursor);
static inline int64_t cursor_signed(struct cursor *cursor)
{
    bool short_one = !cursor->bad && cursor->at < cursor->size && !(cursor->data[cursor->at] & 0x80);
    if (!short_one) return cursor_long_signed(cursor);
    int64_t zigzag = (unsigned char)cursor->data[cursor->at++];
    return zigzag & 1 ? -(zigzag >> 1) - 1 : zigzag >> 1;
}
struct bytes cursor_bytes(struct cursor *cursor);
struct bytes cursor_raw(struct cursor *cursor, size_t size);

/* True when everything was read and nothing was bad. */
static inline bool cursor_done(const struct cursor *cursor)
{
    return !cursor->bad && cursor->at == cursor->size;
}

/* Heads: what every value, every named object and every run of changes begins with. A head names what kind of thing
 * the bytes are and in which encoding they are written.
 *
 *     short   │ no_expire, 1 bit │ kind 0 … 6, 3 bits │ encoding 1 … 15, 4 bits │
 *     long    │ no_expire, 1 bit │ 7                  │ 0                       │ kind, a byte │ encoding, a byte │
 *
 * A head is short where kind and encoding fit, so there is one form of each. No_expire stands before changes alone: the
 * key gets no time to live where they are applied (test clock).
 *
 * A kind has a format: a table of its encodings, which count up one by one. What a version of the module writes is the
 * newest of them; it reads every one.
 *
 *     bytes ─▶ head ─┬─▶ kind and encoding are known    the decoder of that encoding; what it cannot read is damaged
 *                    ├─▶ kind or encoding is newer      a load, a replica stops: what is left out would be lost
 *                    └─▶ no head                        damaged
 *
 * Bytes inside other bytes (the limiter of an account, its plan) count for the outer ones: a new encoding of the inner
 * kind is a new encoding of the outer one too, since only the outer head is looked at before anything is read. */
#pragma once

#include "quota/base/buffer.h"

#define HEAD_KINDS_MAX     32
#define HEAD_ENCODINGS_MAX 15 /* of a format's table; the long form has room for 255 */

#define HEAD_NO_EXPIRE_FLAG 0x80u
#define HEAD_KIND_SHIFT     4
#define HEAD_KIND_LONG      7u /* in the place of a kind: this is the long form */
#define HEAD_ENCODING_MASK  15u

struct head {
    uint8_t kind;
    uint8_t encoding; /* 0 = the bytes begin with no head */
    bool no_expire;
};

struct format {
    const char *name; /* of one thing of this kind, in log lines */
    uint8_t kind;   /* of changes and values. Policies and plans, which have commands of their own, are all of kind 0 */
    uint8_t newest; /* encoding */
    /* The decoder of each encoding reads what is behind the head: NULL = damaged. A kind that is not read in this way
     * (plan_history.h) has none. */
    void *(*decode[HEAD_ENCODINGS_MAX + 1])(struct cursor *cursor);
};

/* For head_write and head_read alone. */
void head_write_long(struct sink *sink, struct head head) __attribute__((cold));
struct head head_read_long(struct cursor *cursor, uint8_t first) __attribute__((cold));

static inline bool head_is_short(struct head head)
{
    return head.kind < HEAD_KIND_LONG && head.encoding <= HEAD_ENCODING_MASK;
}

static inline void head_write(struct sink *sink, struct head head)
{
    if (!head_is_short(head)) {
        head_write_long(sink, head);
        return;
    }
    uint32_t flag = head.no_expire ? HEAD_NO_EXPIRE_FLAG : 0;
    sink_byte(sink, (uint8_t)(flag | (uint32_t)head.kind << HEAD_KIND_SHIFT | head.encoding));
}

/* Without a head the cursor is bad, and the encoding 0. */
static inline struct head head_read(struct cursor *cursor)
{
    uint8_t first = cursor_byte(cursor);
    struct head head = {.kind = (uint8_t)(first >> HEAD_KIND_SHIFT & HEAD_KIND_LONG),
                        .encoding = first & HEAD_ENCODING_MASK,
                        .no_expire = first & HEAD_NO_EXPIRE_FLAG};
    if (head.kind == HEAD_KIND_LONG) return head_read_long(cursor, first);
    if (head.encoding == 0) cursor->bad = true;
    return head;
}

/* The head that these bytes begin with. */
struct head head_of(struct bytes bytes);

/* Writes the head of a value or of changes in the newest encoding. */
static inline void format_write_head(const struct format *format, bool no_expire, struct sink *sink)
{
    head_write(sink, (struct head){format->kind, format->newest, no_expire});
}

/* Reads a head, and answers its encoding; 0, and the cursor is bad, when it is not of this kind or in none of the
 * encodings that this version reads. `no_expire` NULL: these are not the changes of a key, the flag must not be set. */
static inline uint8_t format_read_head(const struct format *format, struct cursor *cursor, bool *no_expire)
{
    struct head head = head_read(cursor);
    bool reads = head.kind == format->kind && head.encoding >= 1 && head.encoding <= format->newest;
    if (no_expire) *no_expire = head.no_expire;
    if (!no_expire && head.no_expire) reads = false;
    if (!reads) cursor->bad = true;
    return reads ? head.encoding : 0;
}

/* The value of these bytes, all of them: a head and what its decoder takes. NULL when they are none. */
void *format_decode(const struct format *format, struct bytes bytes);

/* Can only a newer version of the module have written this head? `format` is that of its kind; NULL = there is none. */
bool head_is_newer(struct head head, const struct format *format);

/* Why bytes with this head are refused, for a log line: `account in encoding 3, this version reads 1 to 2: a newer
 * version of this module wrote it`. */
void head_write_refusal(struct head head, const struct format *format, struct sink *text);

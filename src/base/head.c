/* The long form of heads, decoding by a format's table, and what a refusal says; see head.h. */
#include "quota/base/head.h"

void head_write_long(struct sink *sink, struct head head)
{
    uint32_t flag = head.no_expire ? HEAD_NO_EXPIRE_FLAG : 0;
    sink_byte(sink, (uint8_t)(flag | HEAD_KIND_LONG << HEAD_KIND_SHIFT));
    sink_byte(sink, head.kind);
    sink_byte(sink, head.encoding);
}

/* What no version writes is no head: a short one in the long form, bits that mean nothing yet. */
struct head head_read_long(struct cursor *cursor, uint8_t first)
{
    struct head head = {.no_expire = first & HEAD_NO_EXPIRE_FLAG};
    head.kind = cursor_byte(cursor);
    head.encoding = cursor_byte(cursor);
    bool written = (first & HEAD_ENCODING_MASK) == 0 && head.kind < HEAD_KINDS_MAX && !head_is_short(head);
    if (cursor->bad || !written || head.encoding == 0) {
        cursor->bad = true;
        head.encoding = 0;
    }
    return head;
}

struct head head_of(struct bytes bytes)
{
    struct cursor cursor = cursor_init(bytes);
    return head_read(&cursor);
}

void *format_decode(const struct format *format, struct bytes bytes)
{
    struct cursor cursor = cursor_init(bytes);
    uint8_t encoding = format_read_head(format, &cursor, NULL);
    return encoding > 0 ? format->decode[encoding](&cursor) : NULL;
}

bool head_is_newer(struct head head, const struct format *format)
{
    if (head.encoding == 0) return false;
    return !format || (head.kind == format->kind && head.encoding > format->newest);
}

static void write_text(struct sink *text, const char *words)
{
    sink_raw(text, words, strlen(words));
}

void head_write_refusal(struct head head, const struct format *format, struct sink *text)
{
    if (!head_is_newer(head, format)) {
        write_text(text, "damaged bytes");
    } else if (format) {
        write_text(text, format->name);
        write_text(text, " in encoding ");
        sink_decimal(text, head.encoding);
        write_text(text, ", this version reads 1 to ");
        sink_decimal(text, format->newest);
        write_text(text, ": a newer version of this module wrote it");
    } else {
        write_text(text, "kind ");
        sink_decimal(text, head.kind);
        write_text(text, " in encoding ");
        sink_decimal(text, head.encoding);
        write_text(text,
                   ", a kind that this version does not know: a newer version of this module wrote it, or damaged");
    }
}

/* The table of shared strings; see interned_string.h. */
#include "quota/base/interned_string.h"
#include "quota/base/memory.h"

static struct bytes key_of(const struct hash_link *link)
{
    return interned_string_bytes(HASH_RECORD(link, const struct interned_string, interned.link));
}

static struct intern_table strings = INTERN_TABLE(key_of);

static struct interned *string_make(struct bytes bytes)
{
    struct interned_string *string = memory_alloc(sizeof(*string) + bytes.size);
    string->size = (uint32_t)bytes.size;
    if (bytes.size > 0) memcpy(string->bytes, bytes.data, bytes.size);
    return &string->interned;
}

const struct interned_string *interned_string_take(struct bytes bytes)
{
    return INTERNED_OBJECT(intern_take(&strings, bytes, string_make), struct interned_string, interned);
}

void interned_string_release(const struct interned_string *shared)
{
    struct interned_string *string = (struct interned_string *)shared; /* only the table counts users */
    if (string && intern_release(&strings, &string->interned)) memory_free(string);
}

void interned_string_replace(const struct interned_string **place, struct bytes bytes)
{
    const struct interned_string *before = *place;
    *place = bytes.size > 0 ? interned_string_take(bytes) : NULL;
    interned_string_release(before);
}

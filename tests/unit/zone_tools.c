/* Zone files byte by byte; see zone_tools.h. */
#include "zone_tools.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void put(struct file *file, int64_t number, int size)
{
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) {
        file->bytes[file->size++] = (uint8_t)((uint64_t)number >> shift);
    }
}

void put_zeros(struct file *file, size_t count)
{
    memset(file->bytes + file->size, 0, count);
    file->size += count;
}

void put_text(struct file *file, const char *text)
{
    size_t length = strlen(text);
    memcpy(file->bytes + file->size, text, length);
    file->size += length;
}

/* One block: each change brings a local time type of its own; type 0 is the time before the first change. */
void put_block(struct file *file, int version, int time_size, int64_t first_offset_s, const struct made_change *changes,
               size_t count)
{
    put_text(file, "TZif");
    put(file, version, 1);
    put_zeros(file, 15 + 12); /* reserved; no flags, no leap seconds */
    put(file, (int64_t)count, 4);
    put(file, (int64_t)count + 1, 4);
    put(file, 4, 4);
    for (size_t i = 0; i < count; i++) put(file, changes[i].at_s, time_size);
    for (size_t i = 0; i < count; i++) put(file, (int64_t)i + 1, 1);
    put(file, first_offset_s, 4);
    put(file, 0, 2);
    for (size_t i = 0; i < count; i++) {
        put(file, changes[i].offset_s, 4);
        put(file, 0, 2);
    }
    put_text(file, "ABC");
    put(file, 0, 1);
}

/* A file of version '2' or later: an empty old block, the new one, the footer. */
void make_file(struct file *file, int version, int64_t first_offset_s, const struct made_change *changes, size_t count,
               const char *footer)
{
    file->size = 0;
    put_block(file, version, 4, 0, NULL, 0);
    put_block(file, version, 8, first_offset_s, changes, count);
    put_text(file, "\n");
    put_text(file, footer);
    put_text(file, "\n");
}

/* From memory of exactly that size, so that the sanitizer sees a byte read too far. */
enum zone_fault parse(const void *bytes, size_t size, const struct zone **zone)
{
    void *exact = malloc(size ? size : 1);
    if (size > 0) memcpy(exact, bytes, size);
    enum zone_fault fault = zone_parse(exact, size, zone);
    free(exact);
    return fault;
}

const struct zone *parse_file(const struct file *file)
{
    const struct zone *zone;
    enum zone_fault fault = parse(file->bytes, file->size, &zone);
    if (fault) fail_msg("%s", zone_fault_text(fault));
    return zone;
}

/* A zone for which the footer alone speaks. */
const struct zone *parse_footer(const char *footer)
{
    static struct file file;
    make_file(&file, '3', 0, NULL, 0, footer);
    return parse_file(&file);
}

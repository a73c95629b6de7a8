/* Zone files made byte by byte, for tests of their reader.
 *
 *     put, put_text … ─▶ file ─▶ parse_file ─▶ zone */
#pragma once

#include "quota/time/zone.h"
#include "tools.h"

#define HOUR_S INT64_C(3600)
#define DAY_S  INT64_C(86400)

struct file {
    uint8_t bytes[ZONE_FILE_MAX + 64];
    size_t size;
};

struct made_change {
    int64_t at_s;
    int64_t offset_s;
};

/* Appends a number of so many bytes, zeros, a text without its end. */
void put(struct file *file, int64_t number, int size);
void put_zeros(struct file *file, size_t count);
void put_text(struct file *file, const char *text);

/* One block: each change brings a local time type of its own; type 0 is the time before the first change. */
void put_block(struct file *file, int version, int time_size, int64_t first_offset_s, const struct made_change *changes,
               size_t count);

/* A file of version '2' or later: an empty old block, the new one, the footer. */
void make_file(struct file *file, int version, int64_t first_offset_s, const struct made_change *changes, size_t count,
               const char *footer);

/* Parses from memory of exactly that size, so that the sanitizer sees a byte read too far. */
enum zone_fault parse(const void *bytes, size_t size, const struct zone **zone);

/* A file that is sound; what is wrong with it fails the test. */
const struct zone *parse_file(const struct file *file);

/* A zone for which the footer alone speaks. */
const struct zone *parse_footer(const char *footer);

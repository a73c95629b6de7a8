/* Interned strings: short strings that many values carry, in memory once. Names of resources, names of time zones.
 *
 *     account a ─┐
 *     account b ─┼─▶ "api_calls" │ users: 3           a string costs each of its users a pointer,
 *     account c ─┘                                    and equal strings are the same pointer
 *
 * Any thread may take and give back: intern.h. */
#pragma once

#include "quota/base/intern.h"

struct interned_string {
    struct interned interned;
    uint32_t size;
    char bytes[];
};

/* The shared string of these bytes, with one user more. */
const struct interned_string *interned_string_take(struct bytes bytes);

/* Gives a string back; the last user frees it. NULL is allowed. */
void interned_string_release(const struct interned_string *string);

/* The string of these bytes in the place of the one that stands there; no bytes = none. */
void interned_string_replace(const struct interned_string **place, struct bytes bytes);

/* The string's bytes; NULL has none. */
static inline struct bytes interned_string_bytes(const struct interned_string *string)
{
    return string ? (struct bytes){string->bytes, string->size} : (struct bytes){"", 0};
}

/* Labels: short strings that many values carry, in memory once. Names of resources, names of time zones.
 *
 *     account a ─┐
 *     account b ─┼─▶ "api_calls" │ users: 3           a label costs each of its users a pointer,
 *     account c ─┘                                    and equal labels are the same pointer
 *
 * Taking and giving back happen on any thread: a mutex guards the table. */
#pragma once

#include "quota/base/bytes.h"
#include <stdint.h>
#include <uthash.h>

#define LABEL_BYTES_MAX 128

struct label {
    UT_hash_handle hh;
    int64_t users;
    uint32_t size;
    char bytes[];
};

/* The shared label of these bytes (0 … LABEL_BYTES_MAX of them), with one user more. */
const struct label *label_take(struct bytes bytes);

/* Gives a label back; the last user frees it. NULL is allowed. */
void label_release(const struct label *label);

/* The label's bytes; NULL has none. */
static inline struct bytes label_bytes(const struct label *label)
{
    return label ? (struct bytes){label->bytes, label->size} : (struct bytes){"", 0};
}

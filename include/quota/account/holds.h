/* The reservations of an account, found by id and walked by expiry.
 *
 *     by id        hash index              COMMIT, RELEASE, EXTEND: one look
 *     by expiry    [ soon │ … │ late ]     what has ended stands in front; new ones usually go to the end
 *
 * Both hold the same records. With n of them finding is O(1), adding and taking O(log n) and a move of pointers. */
#pragma once

#include "quota/account/change.h"
#include "quota/base/hash_index.h"

struct stored_hold {
    struct hash_link by_id;
    struct hold hold;
    uint32_t id_size;
    char id[]; /* the funding stands behind it */
};

/* All zero = none. Open to readers. */
struct holds {
    struct stored_hold **by_expiry; /* count of them; of equal expiry by id */
    struct hash_index by_id;
    uint32_t count, capacity;
    size_t bytes; /* on the heap, all included */
};

static inline struct bytes hold_id(const struct stored_hold *stored)
{
    return (struct bytes){stored->id, stored->id_size};
}

/* The reservation with this id, whose linear_hash is `hash`, ended or not; NULL if there is none. */
const struct stored_hold *holds_find(const struct holds *holds, struct bytes id, uint32_t hash);

/* How many have ended by `now_us` (expires <= now): they stand in front. O(log n). */
uint32_t holds_ended(const struct holds *holds, int64_t now_us);

/* Adds one; the id (1 … ID_BYTES_MAX bytes, of this hash) must be free. */
void holds_add(struct holds *holds, struct bytes id, uint32_t hash, const struct hold *hold);

/* Takes one of them out: it is the caller's now, to be given to hold_free. */
struct stored_hold *holds_take(struct holds *holds, const struct stored_hold *stored);
void hold_free(struct stored_hold *stored);

/* Lets one of them end at another time. */
void holds_move(struct holds *holds, const struct stored_hold *stored, int64_t expires_us);

/* Frees all of them. */
void holds_free(struct holds *holds);

/* The reservations of an account, found by id and walked by expiry.
 *
 *     by id        hash index ─▶ part 0 ─▶ part 1 ─▶ …     COMMIT, RELEASE, EXTEND: one look
 *     by expiry    [ soon │ … │ late ]                     what has ended stands in front; new ones go to the end
 *
 * A reservation has a part for each slot that it holds units of: one for nearly all of them. Its parts begin and end
 * together, so they stand side by side by expiry, where each counts for its own slot; only the first is found by its
 * id. With n parts finding is O(1), adding and taking one O(log n) and a move of pointers.
 *
 * A level holds its part of a member's reservation like its own ones, under an id of the member's (levels.h). */
#pragma once

#include "quota/account/change.h"
#include "quota/base/hash_index.h"

struct stored_hold {
    struct hash_link by_id;   /* of the first part */
    struct stored_hold *next; /* the next part of the reservation; NULL = this is the last */
    struct hold hold;
    uint32_t id_size;
    char id[]; /* the funding stands behind it, then the levels */
};

/* All zero = none. Open to readers. */
struct holds {
    struct stored_hold **by_expiry; /* count parts; of equal expiry by id, of one reservation in order */
    struct hash_index by_id;
    uint32_t count, capacity;
    uint32_t members_count; /* of the parts, those of members' reservations */
    int64_t newest_us;      /* none of them was made later */
    size_t bytes;           /* on the heap, all included */
};

static inline struct bytes hold_id(const struct stored_hold *stored)
{
    return (struct bytes){stored->id, stored->id_size};
}

/* How many parts the reservation that begins with this one has. */
static inline uint32_t hold_parts(const struct stored_hold *first)
{
    uint32_t count = 0;
    for (; first; first = first->next) count++;
    return count;
}

/* The hash of an id, of the account's own or of a member's: an id of one kind never meets one of the other. */
static inline uint32_t hold_hash(struct bytes id, bool of_member)
{
    uint32_t hash = linear_hash_again(id);
    return of_member ? ~hash : hash;
}

/* The first part of the reservation with this id, of this hold_hash, ended or not; NULL if there is none. */
const struct stored_hold *holds_find(const struct holds *holds, struct bytes id, uint32_t hash);

/* How many parts of the account's own reservations live at `now_us`. O(log n) and those that await their sweep. */
uint32_t holds_own_live(const struct holds *holds, int64_t now_us);

/* How many parts have ended by `now_us` (expires <= now): they stand in front. O(log n). */
uint32_t holds_ended(const struct holds *holds, int64_t now_us);

/* Adds a part. The id (1 … ID_BYTES_MAX bytes, of this hash) must be free, or the part be the next one of the
 * reservation that has it. Answers it as it stands there. */
const struct hold *holds_add(struct holds *holds, struct bytes id, uint32_t hash, const struct hold *hold);

/* Takes a reservation out, all its parts: they are the caller's now, to be given to hold_free. */
struct stored_hold *holds_take(struct holds *holds, const struct stored_hold *first);
void hold_free(struct stored_hold *first);

/* Lets a reservation end at another time. */
void holds_move(struct holds *holds, const struct stored_hold *first, int64_t expires_us);

/* Frees all of them. */
void holds_free(struct holds *holds);

/* Reservations in memory, of all accounts of the process; those that have ended count until they are swept. What an
 * account holds of its members' is theirs. Any thread. */
int64_t holds_reservations_count(void);

/* The members of a pool: the accounts whose parent this account is, and what each of them has used here.
 *
 *     by name      hash index ─▶ member      every charge of a member: one look, whatever their number
 *     by number    [ 1 │ 2 │ 5 │ … ]         in the order in which they joined; changes name a member by its number
 *
 *     member ─▶ use of a resource │ start, used, share             of the running cycle of its longest LIMIT
 *                                 │ past start, past used, share   of the cycle before it
 *                                 │ held                           by live reservations of the running cycle
 *
 * Shares are made for all members at once (shares.h), with the first charge of a cycle; who joins later gets one of its
 * own.
 *
 * A member is known by its key. What it has used bounds what it can give back, so a copy of a member gives back nothing
 * of what the original has used. A member that leaves is kept while its use still matters: if it comes back, it finds
 * what it has used. */
#pragma once

#include "quota/account/shares.h"
#include "quota/base/buffer.h"
#include "quota/base/hash_index.h"

#define MEMBERS_MAX        10000 /* of one pool */
#define MEMBERS_STORED_MAX 20000 /* with those that have left: beyond it the one goes that was used first */
#define MEMBER_NAME_MAX    512   /* bytes of the key of an account that has a parent */
#define MEMBER_WEIGHT_MAX  1000
#define MEMBER_USES_MAX    256 /* resources */
#define NOT_SHARED_YET     INT64_C(-1)

/* One resource. Instants are starts of cycles; 0 where it has no LIMIT. */
struct member_use {
    uint32_t slot; /* of the pool */
    int64_t start_us, used;
    int64_t past_start_us, past_used;
    int64_t share, past_share; /* of these cycles; NOT_SHARED_YET */
    int64_t held;              /* not stored: the reservations say it */
};

/* A cycle of a resource that members share. */
struct division {
    uint32_t slot;
    int64_t start_us, past_us; /* when it begins, and when the one before it began */
    int64_t units;             /* of the LIMIT */
    enum share_how how;        /* EQUAL or FAIR */
};

/* The last two cycles of a resource for which shares were made. */
struct divided {
    uint32_t slot;
    int64_t start_us, past_us; /* 0 = there was none */
};

struct member {
    struct hash_link by_name;
    int64_t number;  /* >= 1, rising in the order of joining */
    int64_t used_us; /* when it was last charged; 0 = never */
    uint32_t weight; /* 1 … MEMBER_WEIGHT_MAX */
    bool has_left;
    uint16_t uses_count;
    struct member_use *uses;
    uint32_t name_size;
    char name[];
};

/* All zero = none. Open to readers. */
struct members {
    struct member **by_number; /* count of them */
    struct hash_index by_name;
    struct divided *divided; /* of each resource that was ever shared */
    uint32_t divided_count;
    uint32_t count, capacity, left_count;
    int64_t weights; /* of those that have not left */
    int64_t made;    /* the highest number */
    size_t bytes;    /* on the heap, all included */
};

static inline struct bytes member_name(const struct member *member)
{
    return (struct bytes){member->name, member->name_size};
}

/* How many have not left. */
static inline uint32_t members_live(const struct members *members)
{
    return members->count - members->left_count;
}

/* The member of this name or number, which may have left; NULL = none. */
const struct member *members_find(const struct members *members, struct bytes name);
const struct member *members_numbered(const struct members *members, int64_t number);

/* The place of the first member whose number is higher than `number`; members->count = there is none. */
uint32_t members_place_after(const struct members *members, int64_t number);

/* What it has used of a resource; NULL = nothing yet. */
const struct member_use *member_use_of(const struct member *member, uint32_t slot);

/* What it has used in the cycle that began at `start_us`; 0 where that is not counted any more. */
int64_t member_used(const struct member *member, uint32_t slot, int64_t start_us);

/* Have shares been made for this cycle of the resource? */
bool members_are_divided(const struct members *members, uint32_t slot, int64_t start_us);

/* The share of one member of a cycle for which shares are not made yet: what members_divide would give it. NULL = of
 * one that is about to join, of weight 1. O(n log n). */
int64_t members_share_of(const struct members *members, const struct division *division, const struct member *member);

/* The same of all that have not left, in the order of joining. */
void members_shares_of(const struct members *members, const struct division *division, int64_t *shares);

/* A member of a pool that is full, which the one of this number must not be: the one that has not been charged for the
 * longest time, if that is since before `since_us`; NULL = there is none. O(members). */
const struct member *members_idle(const struct members *members, int64_t since_us, int64_t but_number);

/* A member's bytes, as an account stores it; decoding sets bad where they are not sound, and frees what it has. */
void member_encode(const struct member *member, struct sink *sink);
struct member *member_decode(struct cursor *cursor);

/* ---- for the account's writer alone ---- */

/* The member of this number joins, comes back, or has another weight. */
void members_put(struct members *members, int64_t number, struct bytes name, uint32_t weight);

/* It leaves. */
void members_leave(struct members *members, int64_t number);

/* It has used so much of a resource in the cycle that began at `start_us`; `now_us`: when it was charged. A cycle that
 * is newer than the running one begins with that: then the answer is true, and what its reservations hold of that cycle
 * is to be counted anew (members_hold), from 0 on. */
bool members_use(struct members *members, int64_t number, uint32_t slot, int64_t start_us, int64_t used,
                 int64_t now_us);

/* A reservation of the member holds units since `made_us` (below 0: no more). */
void members_hold(struct members *members, struct bytes name, uint32_t slot, int64_t units, int64_t made_us);

/* Makes the shares of a cycle; none where there never was a member. What reservations hold of it is 0 then, of every
 * member that has not left, and to be counted anew. O(n log n). */
void members_divide(struct members *members, const struct division *division);

/* Its share of the cycle that began at `start_us`, of one that joined in it. Answers as members_use does. */
bool members_share(struct members *members, int64_t number, uint32_t slot, int64_t start_us, int64_t share);

/* For the codec: the cycles of which shares are made. */
void members_divided_encode(const struct members *members, struct sink *sink);
void members_divided_decode(struct cursor *cursor, struct members *members);

/* For the codec: takes a member whose number is the highest, and whose name is new. */
void members_adopt(struct members *members, struct member *member);

/* Frees all of them. */
void members_free(struct members *members);

/* Levels: the accounts above one, which its consumptions and reservations counted at, too, as these remember them.
 *
 *     agency ◀── customer ◀── team ◀── the account        its record: │ team │ parts │ customer │ parts │ …
 *
 *     part    of which item │ resource of the level │ what a unit counted as │ generation │ limits charged │ funding
 *
 * A level is known by its key, from the nearest to the highest. The parts say where the units of each item are at that
 * level, as the record says it of the account itself; a reservation has none before it is committed. Units go back
 * there, also when the account has another parent by then. */
#pragma once

#include "quota/account/idempotency_record.h"
#include "quota/account/members.h"

#define LEVELS_MAX    8                /* an account and those above it */
#define ANCESTORS_MAX (LEVELS_MAX - 1) /* of one account */

/* Units of an item at a level; spans are borrowed. */
struct level_part {
    uint32_t item;
    struct bytes resource; /* of the level: it may have been counted AS another one there */
    int64_t cost, generation;
    struct charged charged;
    struct bytes funding;
};

struct level {
    struct bytes name, parts; /* level_part_next reads the parts */
    struct bytes member;      /* the key of its member that used the units; empty = the account itself */
};

/* Appends a level. */
void level_add(struct sink *levels, const struct level *level);
void level_part_add(struct sink *parts, const struct level_part *part);

/* Reads the next one; false at the end, and where the bytes are not sound. */
bool level_next(struct cursor *cursor, struct level *level);
bool level_part_next(struct cursor *cursor, struct level_part *part);

/* Are they 0 … ANCESTORS_MAX sound levels? */
bool levels_fit(struct bytes levels);

/* The id under which a level holds its part of a reservation: its member's key, that of the account whose reservation
 * it is (nothing where these are the same), and the reservation's own id. */
#define MEMBER_HOLD_ID_MAX (2 * (MEMBER_NAME_MAX + 2) + ID_BYTES_MAX)
struct member_hold_id {
    char stack_buffer[MEMBER_HOLD_ID_MAX];
    size_t size;
};
void member_hold_id_make(struct member_hold_id *made, struct bytes member, struct bytes owner, struct bytes id);
struct bytes member_hold_id_member(struct bytes id); /* whose it is */
static inline struct bytes member_hold_id_bytes(const struct member_hold_id *made)
{
    return (struct bytes){made->stack_buffer, made->size};
}

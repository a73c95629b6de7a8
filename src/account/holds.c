/* Reservations by id and by expiry; see holds.h. */
#include "quota/account/holds.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"

#define HOLDS_FEW 4 /* places that an account keeps once it has had a reservation */

static struct bytes id_of(const struct hash_link *link)
{
    return hold_id(HASH_RECORD(link, const struct stored_hold, by_id));
}

const struct stored_hold *holds_find(const struct holds *holds, struct bytes id, uint32_t hash)
{
    const struct hash_link *link = hash_index_find(&holds->by_id, id, hash, id_of);
    return link ? HASH_RECORD(link, const struct stored_hold, by_id) : NULL;
}

static int hold_order(const struct stored_hold *left, const struct stored_hold *right)
{
    if (left->hold.expires_us != right->hold.expires_us) {
        return left->hold.expires_us < right->hold.expires_us ? -1 : 1;
    }
    size_t size = left->id_size < right->id_size ? left->id_size : right->id_size;
    int order = memcmp(left->id, right->id, size);
    if (order == 0) order = (left->id_size > right->id_size) - (left->id_size < right->id_size);
    if (order == 0) order = left->hold.of_member - right->hold.of_member;
    return order != 0 ? order : left->hold.part - right->hold.part;
}

/* Where it stands by expiry, or would: the first place that is not before it. */
static uint32_t place_of(const struct holds *holds, const struct stored_hold *stored)
{
    uint32_t low = 0, high = holds->count;
    if (high > 0 && hold_order(holds->by_expiry[high - 1], stored) < 0) return high; /* most new ones end last */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (hold_order(holds->by_expiry[middle], stored) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t holds_ended(const struct holds *holds, int64_t now_us)
{
    uint32_t low = 0, high = holds->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (holds->by_expiry[middle]->hold.expires_us <= now_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t holds_own_live(const struct holds *holds, int64_t now_us)
{
    uint32_t ended = holds_ended(holds, now_us), own = holds->count - holds->members_count;
    for (uint32_t i = 0; i < ended; i++) own -= !holds->by_expiry[i]->hold.of_member;
    return own;
}

/* Room for so many pointers, at least one. */
static void resize(struct holds *holds, uint32_t capacity)
{
    holds->bytes += (size_t)capacity * sizeof(struct stored_hold *);
    holds->bytes -= (size_t)holds->capacity * sizeof(struct stored_hold *);
    holds->capacity = capacity;
    holds->by_expiry = memory_realloc(holds->by_expiry, capacity * sizeof(struct stored_hold *));
}

static void insert(struct holds *holds, struct stored_hold *stored)
{
    if (holds->count == holds->capacity) resize(holds, holds->capacity + holds->capacity / 2 + HOLDS_FEW);
    uint32_t at = place_of(holds, stored);
    memmove(holds->by_expiry + at + 1, holds->by_expiry + at, (holds->count - at) * sizeof(struct stored_hold *));
    holds->by_expiry[at] = stored;
    holds->count++;
}

static void take_out(struct holds *holds, const struct stored_hold *stored)
{
    uint32_t at = place_of(holds, stored);
    holds->count--;
    memmove(holds->by_expiry + at, holds->by_expiry + at + 1, (holds->count - at) * sizeof(struct stored_hold *));
}

static size_t bytes_of(const struct stored_hold *stored)
{
    return sizeof(*stored) + stored->id_size + stored->hold.funding.size + stored->hold.levels.size;
}

/* Behind the last part of the reservation that has begun under this id. */
static void chain(struct holds *holds, struct stored_hold *stored, uint32_t hash)
{
    struct stored_hold *before = (struct stored_hold *)holds_find(holds, hold_id(stored), hash);
    for (;; before = before->next) {
        if (before->hold.slot == stored->hold.slot) stored->hold.again = true;
        if (!before->next) break;
    }
    before->next = stored;
}

/* A copy of its own. */
static char *copy_behind(char *at, struct bytes *span)
{
    if (span->size > 0) memcpy(at, span->data, span->size);
    span->data = at;
    return at + span->size;
}

/* Reservations in all accounts of the process; accounts are also freed on another thread. */
static _Atomic int64_t reservations_count;

static void count_reservation(const struct hold *hold, int64_t reservations)
{
    if (hold->part == 0 && !hold->of_member) reservations_count += reservations;
}

int64_t holds_reservations_count(void)
{
    return reservations_count;
}

const struct hold *holds_add(struct holds *holds, struct bytes id, uint32_t hash, const struct hold *hold)
{
    size_t index_bytes = hash_index_bytes(&holds->by_id);
    struct stored_hold *stored = memory_alloc(sizeof(*stored) + id.size + hold->funding.size + hold->levels.size);
    *stored = (struct stored_hold){.hold = *hold, .id_size = (uint32_t)id.size};
    stored->hold.again = false;
    memcpy(stored->id, id.data, id.size);
    char *at = copy_behind(stored->id + id.size, &stored->hold.funding);
    (void)copy_behind(at, &stored->hold.levels);
    if (hold->part == 0) {
        hash_index_add(&holds->by_id, &stored->by_id, hash);
    } else {
        chain(holds, stored, hash);
    }
    insert(holds, stored);
    count_reservation(hold, 1);
    holds->members_count += hold->of_member;
    holds->newest_us = max_i64(holds->newest_us, hold->made_us);
    holds->bytes += hash_index_bytes(&holds->by_id) - index_bytes + bytes_of(stored);
    return &stored->hold;
}

struct stored_hold *holds_take(struct holds *holds, const struct stored_hold *first)
{
    struct stored_hold *taken = (struct stored_hold *)first; /* found by a reader of these holds, which are ours */
    size_t index_bytes = hash_index_bytes(&holds->by_id);
    for (const struct stored_hold *part = first; part; part = part->next) {
        take_out(holds, part);
        count_reservation(&part->hold, -1);
        holds->members_count -= part->hold.of_member;
        holds->bytes -= bytes_of(part);
    }
    hash_index_remove(&holds->by_id, &taken->by_id);
    holds->bytes += hash_index_bytes(&holds->by_id) - index_bytes;
    /* The few places of the last ones stay: where one reservation follows another they are needed again. */
    bool shrinks = holds->count < holds->capacity / 4 && holds->capacity > HOLDS_FEW;
    if (shrinks) resize(holds, holds->capacity / 2 > HOLDS_FEW ? holds->capacity / 2 : HOLDS_FEW);
    return taken;
}

void hold_free(struct stored_hold *first)
{
    while (first) {
        struct stored_hold *next = first->next;
        memory_free(first);
        first = next;
    }
}

void holds_move(struct holds *holds, const struct stored_hold *first, int64_t expires_us)
{
    for (struct stored_hold *part = (struct stored_hold *)first; part; part = part->next) {
        take_out(holds, part);
        part->hold.expires_us = expires_us;
        insert(holds, part);
    }
}

void holds_free(struct holds *holds)
{
    hash_index_clear(&holds->by_id);
    for (uint32_t i = 0; i < holds->count; i++) {
        count_reservation(&holds->by_expiry[i]->hold, -1);
        memory_free(holds->by_expiry[i]);
    }
    memory_free(holds->by_expiry);
    *holds = (struct holds){0};
}

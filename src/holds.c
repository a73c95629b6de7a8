/* Reservations by id and by expiry; see holds.h. */
#include "quota/memory.h"
#undef uthash_malloc
#undef uthash_free
#define uthash_malloc(size)      memory_alloc(size)
#define uthash_free(block, size) memory_free(block)
#include "quota/holds.h"

const struct stored_hold *holds_find(const struct holds *holds, struct span id)
{
    struct stored_hold *stored;
    HASH_FIND(hh, holds->by_id, id.data, (unsigned)id.size, stored);
    return stored;
}

static int hold_order(const struct stored_hold *left, const struct stored_hold *right)
{
    if (left->hold.expires_us != right->hold.expires_us) {
        return left->hold.expires_us < right->hold.expires_us ? -1 : 1;
    }
    size_t size = left->id_size < right->id_size ? left->id_size : right->id_size;
    int order = memcmp(left->id, right->id, size);
    return order != 0 ? order : (left->id_size > right->id_size) - (left->id_size < right->id_size);
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

static void insert(struct holds *holds, struct stored_hold *stored)
{
    if (holds->count == holds->capacity) {
        uint32_t more = holds->capacity / 2 + 4;
        holds->capacity += more;
        holds->bytes += more * sizeof(struct stored_hold *);
        holds->by_expiry = memory_realloc(holds->by_expiry, holds->capacity * sizeof(struct stored_hold *));
    }
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

void holds_add(struct holds *holds, struct span id, const struct hold *hold)
{
    struct stored_hold *stored = memory_alloc(sizeof(*stored) + id.size);
    *stored = (struct stored_hold){.hold = *hold, .id_size = (uint32_t)id.size};
    memcpy(stored->id, id.data, id.size);
    HASH_ADD_KEYPTR(hh, holds->by_id, stored->id, stored->id_size, stored);
    insert(holds, stored);
    holds->bytes += sizeof(*stored) + stored->id_size;
}

struct stored_hold *holds_take(struct holds *holds, struct span id)
{
    struct stored_hold *stored = (struct stored_hold *)holds_find(holds, id);
    if (!stored) return NULL;
    take_out(holds, stored);
    HASH_DEL(holds->by_id, stored);
    holds->bytes -= sizeof(*stored) + stored->id_size;
    return stored;
}

void hold_free(struct stored_hold *stored)
{
    memory_free(stored);
}

bool holds_move(struct holds *holds, struct span id, int64_t expires_us)
{
    struct stored_hold *stored = (struct stored_hold *)holds_find(holds, id);
    if (!stored) return false;
    take_out(holds, stored);
    stored->hold.expires_us = expires_us;
    insert(holds, stored);
    return true;
}

void holds_free(struct holds *holds)
{
    HASH_CLEAR(hh, holds->by_id);
    for (uint32_t i = 0; i < holds->count; i++) memory_free(holds->by_expiry[i]);
    memory_free(holds->by_expiry);
    *holds = (struct holds){0};
}

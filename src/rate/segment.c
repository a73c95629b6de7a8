/* Packed subjects in the order of their hashes; drawing in segment.h. */
#include "quota/rate/segment.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"

#define NAME_INSIDE  15                             /* bytes of a name that stand in the slot */
#define LONG_NAME_AT (NAME_INSIDE - sizeof(void *)) /* where the address of a longer one stands */
#define NAME_APART   255                            /* the size byte of a longer one: its address follows */
#define ROOM_FIRST   4                              /* subjects */

struct segment {
    const struct rule_set *set;
    size_t apart_bytes; /* of names and objects in blocks of their own */
    uint32_t count, capacity;
    uint8_t depth;
    uint8_t homes[]; /* `capacity` of them, rounded up to whole words; then as many slots */
};

struct slot {
    uint8_t size; /* of the name; NAME_APART: the last eight bytes of `name` are the address of a struct long_name */
    char name[NAME_INSIDE];
    union state_word words[];
};
_Static_assert(sizeof(struct slot) == 16, "the words of a slot are aligned");

struct long_name {
    size_t size;
    char bytes[];
};

/* ---- layout ---------------------------------------------------------------------------------------------- */

static size_t slot_bytes(const struct rule_set *set)
{
    return sizeof(struct slot) + set->words * sizeof(union state_word);
}

/* The homes start at an odd place: with the fields before them they fill whole words. */
static size_t slots_offset(uint32_t capacity)
{
    size_t homes_end = offsetof(struct segment, homes) + capacity;
    return (homes_end + sizeof(union state_word) - 1) / sizeof(union state_word) * sizeof(union state_word);
}

static size_t block_bytes(const struct rule_set *set, uint32_t capacity)
{
    return slots_offset(capacity) + capacity * slot_bytes(set);
}

static struct slot *slot_at(const struct segment *segment, uint32_t at)
{
    return (void *)((char *)segment + slots_offset(segment->capacity) + at * slot_bytes(segment->set));
}

static struct segment *segment_with_room(const struct rule_set *set, uint8_t depth, uint32_t capacity)
{
    struct segment *segment = memory_alloc(block_bytes(set, capacity));
    *segment = (struct segment){.set = set, .capacity = capacity, .depth = depth};
    return segment;
}

/* The same segment with other room. */
static struct segment *segment_resize(struct segment *segment, uint32_t capacity)
{
    struct segment *resized = segment_with_room(segment->set, segment->depth, capacity);
    resized->count = segment->count;
    resized->apart_bytes = segment->apart_bytes;
    memcpy(resized->homes, segment->homes, segment->count);
    memcpy(slot_at(resized, 0), slot_at(segment, 0), segment->count * slot_bytes(segment->set));
    memory_free(segment);
    return resized;
}

static uint8_t home_of(uint64_t hash)
{
    return (uint8_t)hash;
}

/* ---- names ----------------------------------------------------------------------------------------------- */

static struct long_name *long_name_of(const struct slot *slot)
{
    struct long_name *name;
    memcpy(&name, slot->name + LONG_NAME_AT, NAME_INSIDE - LONG_NAME_AT);
    return name;
}

static struct bytes name_of(const struct slot *slot)
{
    if (slot->size != NAME_APART) return (struct bytes){slot->name, slot->size};
    const struct long_name *name = long_name_of(slot);
    return (struct bytes){name->bytes, name->size};
}

/* Answers the heap bytes that it takes. */
static size_t name_store(struct slot *slot, struct bytes name)
{
    memset(slot->name, 0, sizeof(slot->name));
    slot->size = name.size <= NAME_INSIDE ? (uint8_t)name.size : NAME_APART;
    if (slot->size != NAME_APART) {
        if (name.size > 0) memcpy(slot->name, name.data, name.size);
        return 0;
    }
    struct long_name *apart = memory_alloc(sizeof(*apart) + name.size);
    apart->size = name.size;
    memcpy(apart->bytes, name.data, name.size);
    memcpy(slot->name + LONG_NAME_AT, &apart, NAME_INSIDE - LONG_NAME_AT);
    return sizeof(*apart) + name.size;
}

/* < 0, 0, > 0: short names before long ones. */
static int name_compare(struct bytes left, struct bytes right)
{
    if (left.size != right.size) return left.size < right.size ? -1 : 1;
    return left.size > 0 ? memcmp(left.data, right.data, left.size) : 0;
}

/* ---- the segment ----------------------------------------------------------------------------------------- */

struct segment *segment_new(const struct rule_set *set, uint8_t depth)
{
    return segment_with_room(rule_set_share(set), depth, 0);
}

const struct rule_set *segment_set(const struct segment *segment)
{
    return segment->set;
}

uint8_t segment_depth(const struct segment *segment)
{
    return segment->depth;
}

uint32_t segment_count(const struct segment *segment)
{
    return segment->count;
}

size_t segment_bytes(const struct segment *segment)
{
    return block_bytes(segment->set, segment->capacity) + segment->apart_bytes;
}

struct bytes segment_name(const struct segment *segment, uint32_t at)
{
    return name_of(slot_at(segment, at));
}

struct limiter *segment_borrow(const struct segment *segment, uint32_t at, struct limiter_buffer *stack_buffer)
{
    return limiter_borrow(stack_buffer, segment->set, slot_at(segment, at)->words);
}

void segment_apply(struct segment *segment, uint32_t at, const struct decision *decision)
{
    struct limiter_buffer stack_buffer;
    struct limiter *limiter = segment_borrow(segment, at, &stack_buffer);
    segment->apart_bytes -= limiter_objects_bytes(limiter);
    (void)limiter_apply(limiter, decision); /* it stays where it is: no effect moves it */
    segment_put(segment, at, limiter);
}

void segment_put(struct segment *segment, uint32_t at, const struct limiter *limiter)
{
    memcpy(slot_at(segment, at)->words, limiter->words, segment->set->words * sizeof(union state_word));
    segment->apart_bytes += limiter_objects_bytes(limiter);
}

/* Frees what subject `at` has in blocks of its own. */
static void subject_release(const struct segment *segment, uint32_t at)
{
    struct limiter_buffer stack_buffer;
    limiter_release_objects(segment_borrow(segment, at, &stack_buffer));
    if (slot_at(segment, at)->size == NAME_APART) memory_free(long_name_of(slot_at(segment, at)));
}

void segment_free(struct segment *segment)
{
    for (uint32_t i = 0; i < segment->count; i++) subject_release(segment, i);
    rule_set_release(segment->set);
    memory_free(segment);
}

/* ---- one subject ----------------------------------------------------------------------------------------- */

/* The first place whose home is not below `home`. */
static uint32_t lower_bound(const struct segment *segment, uint8_t home)
{
    uint32_t from = 0, to = segment->count;
    while (from < to) {
        uint32_t middle = (from + to) / 2;
        if (segment->homes[middle] < home) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

bool segment_find(const struct segment *segment, uint64_t hash, struct bytes name, uint32_t *at)
{
    uint8_t home = home_of(hash);
    const uint8_t *first = segment->count > 0 ? memchr(segment->homes, home, segment->count) : NULL;
    *at = first ? (uint32_t)(first - segment->homes) : lower_bound(segment, home);
    for (; *at < segment->count && segment->homes[*at] == home; (*at)++) {
        int order = name_compare(name, segment_name(segment, *at));
        if (order <= 0) return order == 0;
    }
    return false;
}

struct segment *segment_insert(struct segment *segment, uint32_t at, uint64_t hash, struct bytes name)
{
    if (segment->count == segment->capacity) {
        segment = segment_resize(segment, segment->capacity + segment->capacity / 4 + ROOM_FIRST);
    }
    size_t size = slot_bytes(segment->set);
    struct slot *slot = slot_at(segment, at);
    memmove(segment->homes + at + 1, segment->homes + at, segment->count - at);
    memmove((char *)slot + size, slot, (segment->count - at) * size);
    segment->homes[at] = home_of(hash);
    segment->apart_bytes += name_store(slot, name);
    memset(slot->words, 0, segment->set->words * sizeof(union state_word));
    segment->count++;
    return segment;
}

/* Adds what `from` has at `at`, name block and objects included, behind everything that is there. */
static void append_moved(struct segment *segment, const struct segment *from, uint32_t at)
{
    struct limiter_buffer stack_buffer;
    const struct slot *slot = slot_at(from, at);
    segment->homes[segment->count] = from->homes[at];
    memcpy(slot_at(segment, segment->count), slot, slot_bytes(from->set));
    if (slot->size == NAME_APART) segment->apart_bytes += sizeof(struct long_name) + name_of(slot).size;
    segment->apart_bytes += limiter_objects_bytes(segment_borrow(from, at, &stack_buffer));
    segment->count++;
}

/* ---- many subjects --------------------------------------------------------------------------------------- */

static bool is_idle(const struct segment *segment, uint32_t at, int64_t now_us)
{
    struct limiter_buffer stack_buffer;
    return limiter_deadline_us(segment_borrow(segment, at, &stack_buffer)) <= now_us;
}

bool segment_has_idle(const struct segment *segment, int64_t now_us)
{
    for (uint32_t i = 0; i < segment->count; i++) {
        if (is_idle(segment, i, now_us)) return true;
    }
    return false;
}

struct segment *segment_sweep(struct segment *segment, int64_t now_us)
{
    if (!segment_has_idle(segment, now_us)) return segment;
    struct segment *kept = segment_with_room(segment->set, segment->depth, segment->count);
    for (uint32_t i = 0; i < segment->count; i++) {
        if (is_idle(segment, i, now_us)) {
            subject_release(segment, i);
        } else {
            append_moved(kept, segment, i);
        }
    }
    memory_free(segment);
    return segment_resize(kept, kept->count);
}

struct segment *segment_carry(struct segment *segment, const struct rule_set *set, int64_t as_of_us)
{
    struct segment *carried = segment_with_room(rule_set_share(set), segment->depth, segment->capacity);
    for (uint32_t i = 0; i < segment->count; i++) {
        struct limiter_buffer before, after;
        const union state_word nothing[LIMITER_WORDS_MAX] = {{0}};
        struct limiter *limiter = limiter_borrow(&after, set, nothing);
        const struct slot *slot = slot_at(segment, i);
        limiter_carry(segment_borrow(segment, i, &before), limiter, as_of_us);
        carried->homes[i] = segment->homes[i];
        memcpy(slot_at(carried, i), slot, sizeof(*slot));
        if (slot->size == NAME_APART) carried->apart_bytes += sizeof(struct long_name) + name_of(slot).size;
        segment_put(carried, i, limiter);
    }
    carried->count = segment->count;
    rule_set_release(segment->set);
    memory_free(segment);
    return carried;
}

void segment_split(struct segment *segment, const struct siphash_key *key, struct segment *halves[2])
{
    for (int i = 0; i < 2; i++) {
        const struct rule_set *set = segment->set;
        set = rule_set_share(set);
        halves[i] = segment_with_room(set, (uint8_t)(segment->depth + 1), segment->count);
    }
    for (uint32_t i = 0; i < segment->count; i++) {
        uint64_t hash = siphash(key, segment_name(segment, i));
        append_moved(halves[hash >> (63 - segment->depth) & 1], segment, i);
    }
    for (int i = 0; i < 2; i++) halves[i] = segment_resize(halves[i], halves[i]->count + halves[i]->count / 4);
    rule_set_release(segment->set);
    memory_free(segment);
}

struct segment *segment_merge(struct segment *low, struct segment *high)
{
    uint32_t i = 0, k = 0, count = low->count + high->count;
    struct segment *merged = segment_with_room(low->set, (uint8_t)(low->depth - 1), count);
    while (i + k < count) {
        bool from_low = k == high->count || (i < low->count && low->homes[i] < high->homes[k]);
        if (!from_low && i < low->count && low->homes[i] == high->homes[k]) {
            from_low = name_compare(segment_name(low, i), segment_name(high, k)) < 0;
        }
        append_moved(merged, from_low ? low : high, from_low ? i++ : k++);
    }
    rule_set_release(high->set);
    memory_free(low);
    memory_free(high);
    return merged;
}

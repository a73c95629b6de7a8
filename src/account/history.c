/* A short list of closed cycles that is kept packed; drawings in history.h. */
#include "quota/account/history.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/time/duration.h"

struct history {
    uint32_t count;
    uint32_t size;
    char bytes[]; /* what encode writes behind the count */
};

#define ENTRIES_CUT_MAX  (HISTORY_ENTRIES_MAX + 2) /* cutting one adds two */
#define ENTRY_BYTES_MOST 24                        /* of most: the stack has as much for each */

/* All entries unpacked, oldest first. */
struct unpacked {
    uint32_t count;
    struct closed_cycle entries[ENTRIES_CUT_MAX];
};

/* ---- one entry ------------------------------------------------------------------------------------------- */

static bool is_idle(const struct closed_cycle *entry)
{
    return entry->used == 0 && entry->refunded == 0 && entry->denied == 0 && entry->peak == 0 &&
           entry->lines.count == 0;
}

static bool is_sane(const struct closed_cycle *entry)
{
    int64_t length_us;
    if (entry->start_us < -INSTANT_MAX_US || entry->start_us > INSTANT_MAX_US) return false;
    if (__builtin_sub_overflow(entry->end_us, entry->start_us, &length_us)) return false;
    if (entry->count < 1 || entry->count > length_us || entry->limit < UNLIMITED) return false;
    if (entry->used < 0 || entry->refunded < 0 || entry->denied < 0 || entry->peak < 0) return false;
    if (entry->rolled < 0 || entry->revision < 0) return false;
    return entry->count == 1 || is_idle(entry);
}

/* Instants can be further apart than an int64 reaches: the step wraps around, and so back. */
static int64_t step_between(int64_t from_us, int64_t to_us)
{
    return (int64_t)((uint64_t)to_us - (uint64_t)from_us);
}

static int64_t step_from(int64_t from_us, int64_t step_us)
{
    return (int64_t)((uint64_t)from_us + (uint64_t)step_us);
}

void closed_length_encode(const struct closed_cycle *cycle, int64_t before, struct sink *sink)
{
    if (cycle->revision != before) {
        sink_number(sink, 0);
        sink_number(sink, 0);
        sink_number(sink, cycle->revision);
    }
    if (cycle->rolled > 0) {
        sink_number(sink, 0);
        sink_number(sink, cycle->rolled);
    }
    sink_number(sink, cycle->end_us - cycle->start_us);
}

int64_t closed_length_decode(struct cursor *cursor, struct closed_cycle *cycle)
{
    int64_t length_us = cursor_number(cursor);
    cycle->rolled = 0;
    if (length_us > 0) return length_us;
    cycle->rolled = cursor_number(cursor);
    if (cycle->rolled > 0) return cursor_number_between(cursor, 1, INT64_MAX);
    int64_t before = cycle->revision;
    cycle->revision = cursor_number(cursor);
    if (cycle->revision == before) cursor->bad = true; /* one way alone to write it */
    length_us = cursor_number(cursor);
    if (length_us > 0) return length_us;
    cycle->rolled = cursor_number_between(cursor, 1, INT64_MAX);
    return cursor_number_between(cursor, 1, INT64_MAX);
}

/* A count of 0 stands for one cycle with refund lines. */
static void entry_write(const struct closed_cycle *entry, const struct closed_cycle *before, struct sink *sink)
{
    sink_signed(sink, step_between(before->end_us, entry->start_us));
    closed_length_encode(entry, before->revision, sink);
    sink_signed(sink, entry->limit);
    sink_number(sink, entry->lines.count > 0 ? 0 : entry->count);
    if (entry->count > 1) return;
    sink_number(sink, entry->used);
    sink_number(sink, entry->refunded);
    sink_number(sink, entry->denied);
    sink_number(sink, entry->peak);
    if (entry->lines.count > 0) refund_lines_encode(&entry->lines, sink);
}

/* Marks the cursor bad where the bytes are no sane entry; reads on from the entry before it. */
static struct closed_cycle entry_read(struct cursor *cursor, const struct closed_cycle *before)
{
    struct closed_cycle entry = {.start_us = step_from(before->end_us, cursor_signed(cursor)),
                                 .revision = before->revision};
    bool fits = add_checked(entry.start_us, closed_length_decode(cursor, &entry), &entry.end_us);
    entry.limit = cursor_signed(cursor);
    entry.count = cursor_number(cursor);
    bool has_lines = entry.count == 0;
    if (has_lines) entry.count = 1;
    if (entry.count == 1) {
        entry.used = cursor_number(cursor);
        entry.refunded = cursor_number(cursor);
        entry.denied = cursor_number(cursor);
        entry.peak = cursor_number(cursor);
    }
    if (has_lines) refund_lines_decode(cursor, &entry.lines);
    if (!fits || !is_sane(&entry)) cursor->bad = true;
    return entry;
}

/* ---- the list -------------------------------------------------------------------------------------------- */

/* One step through the history, oldest first. */
struct walk {
    struct cursor cursor;
    uint32_t left;
    struct closed_cycle entry;
};

static struct walk walk_begin(const struct history *history)
{
    struct walk walk = {0};
    if (!history) return walk;
    walk.cursor = cursor_init((struct bytes){history->bytes, history->size});
    walk.left = history->count;
    return walk;
}

static bool walk_next(struct walk *walk)
{
    if (walk->left == 0) return false;
    walk->left--;
    walk->entry = entry_read(&walk->cursor, &walk->entry);
    return true;
}

uint32_t history_entries(const struct history *history, struct closed_cycle entries[HISTORY_ENTRIES_MAX])
{
    uint32_t count = 0;
    for (struct walk walk = walk_begin(history); walk_next(&walk);) entries[count++] = walk.entry;
    return count;
}

static void unpack(const struct history *history, struct unpacked *unpacked)
{
    unpacked->count = history_entries(history, unpacked->entries);
}

/* Packs the newest of the entries in place of the old ones. */
static struct history *pack(struct history *history, const struct unpacked *unpacked)
{
    uint32_t first = unpacked->count > HISTORY_ENTRIES_MAX ? unpacked->count - HISTORY_ENTRIES_MAX : 0;
    char stack_buffer[HISTORY_ENTRIES_MAX * ENTRY_BYTES_MOST];
    struct sink sink = sink_init(stack_buffer, sizeof(stack_buffer));
    const struct closed_cycle none = {0};
    for (uint32_t i = first; i < unpacked->count; i++) {
        entry_write(&unpacked->entries[i], i == first ? &none : &unpacked->entries[i - 1], &sink);
    }
    size_t size = sizeof(*history) + sink.size;
    history = history ? memory_realloc(history, size) : memory_alloc(size);
    history->count = unpacked->count - first;
    history->size = (uint32_t)sink.size;
    memcpy(history->bytes, sink.data, sink.size);
    sink_free(&sink);
    return history;
}

uint32_t history_count(const struct history *history)
{
    return history ? history->count : 0;
}

bool history_nth(const struct history *history, uint32_t nth, struct closed_cycle *entry)
{
    struct walk walk = walk_begin(history);
    if (nth >= history_count(history)) return false;
    while (walk_next(&walk) && walk.left > nth) continue;
    *entry = walk.entry;
    return true;
}

bool history_find(const struct history *history, int64_t at_us, struct closed_cycle *entry)
{
    bool found = false;
    for (struct walk walk = walk_begin(history); walk_next(&walk);) {
        if (at_us < walk.entry.start_us || at_us >= walk.entry.end_us) continue;
        *entry = walk.entry; /* a newer one may follow */
        found = true;
    }
    return found;
}

/* ---- changing -------------------------------------------------------------------------------------------- */

/* Makes a run longer if the cycle continues it. */
static bool run_extend(struct closed_cycle *run, const struct closed_cycle *cycle)
{
    bool same = run->limit == cycle->limit && run->rolled == cycle->rolled && run->revision == cycle->revision &&
                run->end_us == cycle->start_us;
    if (!is_idle(run) || !is_idle(cycle) || !same) return false;
    if (!add_checked(run->count, cycle->count, &run->count)) return false;
    run->end_us = cycle->end_us;
    return true;
}

struct history *history_push(struct history *history, const struct closed_cycle *cycle)
{
    struct unpacked unpacked;
    if (!is_sane(cycle)) return history;
    unpack(history, &unpacked);
    bool comes_first = unpacked.count > 0 && cycle->end_us <= unpacked.entries[0].start_us;
    if (comes_first) {
        memmove(unpacked.entries + 1, unpacked.entries, unpacked.count++ * sizeof(*unpacked.entries));
        unpacked.entries[0] = *cycle;
        return pack(history, &unpacked);
    }
    bool joined = unpacked.count > 0 && run_extend(&unpacked.entries[unpacked.count - 1], cycle);
    if (!joined) unpacked.entries[unpacked.count++] = *cycle;
    return pack(history, &unpacked);
}

/* How many cycles of a run lie before one of them; -1 when that cannot be one of them. */
static int64_t run_cycles_before(const struct closed_cycle *run, const struct closed_cycle *cycle)
{
    if (cycle->start_us < run->start_us || cycle->end_us > run->end_us || cycle->start_us >= cycle->end_us) return -1;
    int64_t before_us = cycle->start_us - run->start_us, after_us = run->end_us - cycle->end_us;
    int64_t others = run->count - 1, length_us = run->end_us - run->start_us;
    if (others < (before_us > 0) + (after_us > 0)) return -1;
    if (before_us == 0 && after_us == 0) return others == 0 ? 0 : -1;

    int64_t nearest = (int64_t)wide_div_floor((wide)run->count * before_us + length_us / 2, length_us);
    int64_t before = min_i64(max_i64(nearest, before_us > 0), others - (after_us > 0));
    if (before_us == 0) before = 0;
    if (after_us == 0) before = others;
    return before <= before_us && others - before <= after_us ? before : -1;
}

/* Cuts entry number `at` around one cycle of it; answers that cycle's number. */
static uint32_t run_cut(struct unpacked *unpacked, uint32_t at, const struct closed_cycle *cycle, int64_t before)
{
    struct closed_cycle *place = &unpacked->entries[at], first = *place, own = *place, last = *place, pieces[3];
    uint32_t count = 0, own_at = at + (before > 0);
    first.end_us = own.start_us = cycle->start_us;
    last.start_us = own.end_us = cycle->end_us;
    first.count = before;
    last.count = own.count - before - 1;
    own.count = 1;
    if (first.count > 0) pieces[count++] = first;
    pieces[count++] = own;
    if (last.count > 0) pieces[count++] = last;

    memmove(place + count, place + 1, (unpacked->count - at - 1) * sizeof(*place));
    memcpy(place, pieces, count * sizeof(*place));
    unpacked->count += count - 1;
    return own_at;
}

bool history_amend(struct history **history, const struct closed_cycle *cycle)
{
    struct unpacked unpacked;
    int64_t before = -1;
    if (cycle->used < 0 || cycle->refunded < 0 || cycle->peak < 0) return false;
    unpack(*history, &unpacked);
    uint32_t at = unpacked.count;
    while (before < 0 && at > 0) before = run_cycles_before(&unpacked.entries[--at], cycle);
    if (before < 0) return false;

    if (unpacked.entries[at].count > 1) at = run_cut(&unpacked, at, cycle, before);
    unpacked.entries[at].used = cycle->used;
    unpacked.entries[at].refunded = cycle->refunded;
    unpacked.entries[at].peak = cycle->peak;
    unpacked.entries[at].lines = cycle->lines;
    *history = pack(*history, &unpacked);
    return true;
}

/* ---- the bytes ------------------------------------------------------------------------------------------- */

void history_encode(const struct history *history, struct sink *sink)
{
    sink_number(sink, history_count(history));
    if (history) sink_raw(sink, history->bytes, history->size);
}

struct history *history_decode(struct cursor *cursor)
{
    struct unpacked unpacked = {.count = 0};
    struct closed_cycle last = {0};
    int64_t count = cursor_number_between(cursor, 0, HISTORY_ENTRIES_MAX);
    while (unpacked.count < count && !cursor->bad)
        unpacked.entries[unpacked.count++] = last = entry_read(cursor, &last);
    return cursor->bad || count == 0 ? NULL : pack(NULL, &unpacked);
}

void history_free(struct history *history)
{
    memory_free(history);
}

size_t history_bytes(const struct history *history)
{
    return history ? sizeof(*history) + history->size : 0;
}

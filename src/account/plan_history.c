/* Keeps the revisions of a plan and reads and writes its changes; see plan_history.h. */
#include "quota/account/plan_history.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/time/duration.h"

enum change_kind_of_plan {
    PLAN_WHOLE = 0,
    PLAN_REVISION = 1,
    PLAN_CANCEL = 2,
    PLAN_RETIRE = 3,
};

/* ---- questions ------------------------------------------------------------------------------------------- */

const struct plan_track *plan_history_track(const struct plan_history *history, struct bytes resource)
{
    for (uint32_t i = 0; history && i < history->tracks_count; i++) {
        if (bytes_equal(history->tracks[i].resource, resource)) return &history->tracks[i];
    }
    return NULL;
}

int64_t plan_track_since_us(const struct plan_track *track, uint32_t index)
{
    int64_t since_us = track->revisions[index]->at_us;
    for (uint32_t i = index + 1; i < track->count; i++) since_us = min_i64(since_us, track->revisions[i]->at_us);
    return since_us;
}

const struct plan_revision *plan_track_current(const struct plan_track *track, int64_t now_us)
{
    for (uint32_t i = track ? track->count : 0; i-- > 0;) {
        if (plan_revision_in_force(track->revisions[i], now_us)) return track->revisions[i];
    }
    return NULL;
}

const struct plan_revision *plan_track_pending(const struct plan_track *track, int64_t now_us)
{
    const struct plan_revision *newest = track ? track->revisions[track->count - 1] : NULL;
    return newest && !plan_revision_in_force(newest, now_us) ? newest : NULL;
}

uint32_t plan_history_resources(const struct plan_history *history, int64_t now_us)
{
    uint32_t count = 0;
    for (uint32_t i = 0; history && i < history->tracks_count; i++) {
        const struct plan_revision *current = plan_track_current(&history->tracks[i], now_us);
        count += current && current->entry.granted;
    }
    return count;
}

/* The newest revision that was in force at an instant that may have passed: a revision that was set later was not. */
static const struct plan_revision *revision_at(const struct plan_track *track, int64_t at_us, int64_t now_us)
{
    if (at_us >= now_us) return plan_track_current(track, at_us);
    for (uint32_t i = track->count; i-- > 0;) {
        if (plan_track_since_us(track, i) <= at_us) return track->revisions[i];
    }
    return NULL;
}

const struct plan *plan_history_snapshot(const struct plan_history *history, int64_t at_us, int64_t now_us)
{
    const struct plan_entry *entries[PLAN_ENTRIES_MAX];
    uint32_t count = 0;
    struct sink sink = {0};
    for (uint32_t i = 0; i < history->tracks_count && count < PLAN_ENTRIES_MAX; i++) {
        const struct plan_revision *current = revision_at(&history->tracks[i], at_us, now_us);
        if (current) entries[count++] = &current->entry;
    }
    plan_write(history->name, entries, count, &sink);
    const struct plan *plan = plan_take((struct bytes){sink.data, sink.size});
    sink_free(&sink);
    return plan;
}

bool plan_history_is_settled(const struct plan_history *history, const struct plan *plan, int64_t now_us)
{
    for (uint32_t i = 0; i < history->tracks_count; i++) {
        const struct plan_track *track = &history->tracks[i];
        const struct plan_entry *entry = plan_find(plan, track->resource);
        const struct plan_revision *newest = track->revisions[track->count - 1];
        if (!plan_revision_in_force(newest, now_us)) return false;
        if (!entry || entry->revision != newest->entry.revision) return false;
        if (entry->granted != newest->entry.granted) return false;
        if (entry->granted && !entitlement_equal(&entry->entitlement, &newest->entry.entitlement)) return false;
    }
    return true;
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

static void write_revision(int64_t at_us, bool immediate, uint8_t apply, const struct plan_entry *entry,
                           struct sink *sink)
{
    sink_number(sink, at_us);
    sink_byte(sink, apply);
    sink_byte(sink, immediate);
    plan_entry_encode(entry, sink);
}

static void write_kind(enum change_kind_of_plan kind, struct sink *sink)
{
    format_write_head(&plan_format, false, sink);
    sink_byte(sink, (uint8_t)kind);
}

void plan_history_write_revision(int64_t replaces, int64_t at_us, bool immediate, enum plan_apply apply,
                                 const struct plan_entry *entry, struct sink *sink)
{
    write_kind(PLAN_REVISION, sink);
    sink_number(sink, replaces);
    write_revision(at_us, immediate, (uint8_t)apply, entry, sink);
}

void plan_history_write_cancel(int64_t revision, struct sink *sink)
{
    write_kind(PLAN_CANCEL, sink);
    sink_number(sink, revision);
}

void plan_history_write_retire(int64_t at_us, struct sink *sink)
{
    write_kind(PLAN_RETIRE, sink);
    sink_number(sink, at_us);
}

void plan_history_write_whole(const struct plan_history *history, struct sink *sink)
{
    write_kind(PLAN_WHOLE, sink);
    sink_bytes(sink, history->name);
    sink_number(sink, history->newest);
    sink_number(sink, history->retired ? history->retired_at_us : 0);
    sink_number(sink, history->tracks_count);
    for (uint32_t i = 0; i < history->tracks_count; i++) {
        const struct plan_track *track = &history->tracks[i];
        sink_number(sink, track->count);
        for (uint32_t k = 0; k < track->count; k++) {
            sink_raw(sink, track->revisions[k]->bytes.data, track->revisions[k]->bytes.size);
        }
    }
}

static bool decode_revision(struct cursor *cursor, struct plan_revision *revision)
{
    revision->at_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    revision->apply = cursor_byte(cursor);
    uint8_t immediate = cursor_byte(cursor);
    revision->immediate = immediate == 1;
    plan_entry_decode(cursor, &revision->entry);
    if (revision->apply >= APPLY_MODES_COUNT || immediate > 1) cursor->bad = true;
    return !cursor->bad;
}

/* A revision with a copy of its bytes, which its spans point into; NULL when the bytes are none. They are read twice,
 * since only the first reading shows how long they are. */
static struct plan_revision *read_revision(struct cursor *cursor)
{
    struct plan_revision read;
    size_t from = cursor->at;
    if (!decode_revision(cursor, &read)) return NULL;
    size_t size = cursor->at - from;
    struct plan_revision *revision = memory_alloc(sizeof(*revision) + size);
    char *copy = (char *)(revision + 1);
    memcpy(copy, cursor->data + from, size);
    struct cursor inside = cursor_init((struct bytes){copy, size});
    decode_revision(&inside, revision);
    revision->bytes = (struct bytes){copy, size};
    return revision;
}

/* ---- changing -------------------------------------------------------------------------------------------- */

static struct plan_history *history_new(struct bytes name)
{
    struct plan_history *history = memory_alloc(sizeof(*history) + name.size);
    char *copy = (char *)(history + 1);
    memcpy(copy, name.data, name.size);
    *history = (struct plan_history){.name = {copy, name.size}};
    return history;
}

static void track_drop(struct plan_track *track, uint32_t at)
{
    memory_free(track->revisions[at]);
    track->count--;
    memmove(&track->revisions[at], &track->revisions[at + 1], (track->count - at) * sizeof(void *));
    if (track->count > 0) track->resource = track->revisions[track->count - 1]->entry.entitlement.resource;
}

static void remove_track(struct plan_history *history, struct plan_track *track)
{
    memory_free(track->revisions);
    uint32_t after = --history->tracks_count - (uint32_t)(track - history->tracks);
    memmove(track, track + 1, after * sizeof(*track));
}

/* Takes a revision out, wherever it is; false if there is none of this number. */
static bool drop_revision(struct plan_history *history, int64_t number)
{
    for (uint32_t i = 0; i < history->tracks_count; i++) {
        struct plan_track *track = &history->tracks[i];
        for (uint32_t k = 0; k < track->count; k++) {
            if (track->revisions[k]->entry.revision != number) continue;
            track_drop(track, k);
            if (track->count == 0) remove_track(history, track);
            return true;
        }
    }
    return false;
}

static struct plan_track *track_of(struct plan_history *history, struct bytes resource)
{
    struct plan_track *track = (struct plan_track *)plan_history_track(history, resource);
    if (track) return track;
    history->tracks = memory_grow(history->tracks, history->tracks_count, sizeof(*history->tracks));
    track = &history->tracks[history->tracks_count++];
    *track = (struct plan_track){.resource = resource};
    return track;
}

/* Adds the newest revision of its resource; false where the numbers would not ascend. */
static bool add_revision(struct plan_history *history, struct plan_revision *revision)
{
    struct plan_track *track = track_of(history, revision->entry.entitlement.resource);
    bool ascends = track->count == 0 || track->revisions[track->count - 1]->entry.revision < revision->entry.revision;
    if (!ascends || history->tracks_count > PLAN_ENTRIES_MAX) {
        if (track->count == 0) remove_track(history, track);
        return false;
    }
    if (track->count == PLAN_REVISIONS_MAX) track_drop(track, 0);
    track->revisions = memory_grow(track->revisions, track->count, sizeof(void *));
    track->revisions[track->count++] = revision;
    track->resource = revision->entry.entitlement.resource;
    history->newest = max_i64(history->newest, revision->entry.revision);
    return true;
}

/* ---- changes --------------------------------------------------------------------------------------------- */

/* Would its number be the highest of its resource, once the revision that it replaces is gone? */
static bool revision_fits(const struct plan_history *history, const struct plan_revision *revision, int64_t replaces)
{
    const struct plan_track *track = plan_history_track(history, revision->entry.entitlement.resource);
    if (!track) return history->tracks_count < PLAN_ENTRIES_MAX;
    for (uint32_t i = track->count; i-- > 0;) {
        int64_t number = track->revisions[i]->entry.revision;
        if (number != replaces) return number < revision->entry.revision;
    }
    return true;
}

static bool apply_revision(struct plan_history *history, struct cursor *cursor)
{
    int64_t replaces = cursor_number(cursor);
    struct plan_revision *revision = read_revision(cursor);
    if (!revision) return false;
    bool fits = cursor_done(cursor) && revision_fits(history, revision, replaces) &&
                (replaces == 0 || drop_revision(history, replaces));
    if (fits && add_revision(history, revision)) {
        history->retired = false;
        history->retired_at_us = 0;
        return true;
    }
    memory_free(revision);
    return false;
}

static bool apply_retirement(struct plan_history *history, struct cursor *cursor)
{
    int64_t at_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    if (!cursor_done(cursor)) return false;
    history->retired = true;
    history->retired_at_us = at_us;
    return true;
}

static bool read_whole(struct plan_history *history, struct cursor *cursor)
{
    if (!bytes_equal(cursor_bytes(cursor), history->name)) return false;
    history->newest = cursor_number(cursor);
    history->retired_at_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    history->retired = history->retired_at_us > 0;
    int64_t tracks = cursor_number_between(cursor, 0, PLAN_ENTRIES_MAX);
    for (int64_t i = 0; i < tracks && !cursor->bad; i++) {
        int64_t count = cursor_number_between(cursor, 1, PLAN_REVISIONS_MAX);
        for (int64_t k = 0; k < count && !cursor->bad; k++) {
            struct plan_revision *revision = read_revision(cursor);
            if (!revision || add_revision(history, revision)) continue;
            memory_free(revision);
            cursor->bad = true;
        }
    }
    return cursor_done(cursor);
}

/* A plan of the first encoding knew no instants: all of it has been in force since ever. */
static bool read_first_encoding(struct plan_history *history, struct bytes bytes)
{
    const struct plan *plan = plan_take(bytes);
    bool fits = plan && bytes_equal(plan->name, history->name);
    for (uint32_t i = 0; fits && i < plan->entries_count; i++) {
        struct sink sink = {0};
        write_revision(0, true, APPLY_FULL, &plan->entries[i], &sink);
        struct cursor cursor = cursor_init((struct bytes){sink.data, sink.size});
        struct plan_revision *revision = read_revision(&cursor);
        sink_free(&sink);
        fits = revision && add_revision(history, revision);
        if (revision && !fits) memory_free(revision);
    }
    plan_release(plan);
    return fits;
}

/* A history that is read anew takes the place of the one there was. */
static struct plan_history *replace(struct plan_history *before, struct plan_history *history, bool read)
{
    plan_history_free(read ? before : history);
    return read ? history : NULL;
}

struct plan_history *plan_history_apply(struct plan_history *history, struct bytes name, struct bytes change)
{
    struct cursor cursor = cursor_init(change);
    uint8_t encoding = format_read_head(&plan_format, &cursor, NULL);
    if (name.size == 0 || name.size > PLAN_NAME_MAX) return NULL;
    if (encoding == PLAN_ENCODING_PLAN) {
        struct plan_history *read = history_new(name);
        return replace(history, read, read_first_encoding(read, change));
    }
    uint8_t kind = cursor_byte(&cursor);
    if (cursor.bad) return NULL;
    if (kind == PLAN_WHOLE) {
        struct plan_history *read = history_new(name);
        return replace(history, read, read_whole(read, &cursor));
    }
    struct plan_history *changed = history ? history : kind == PLAN_REVISION ? history_new(name) : NULL;
    bool fits = false;
    if (changed && kind == PLAN_REVISION) fits = apply_revision(changed, &cursor);
    if (changed && kind == PLAN_CANCEL) {
        int64_t number = cursor_number(&cursor);
        fits = cursor_done(&cursor) && drop_revision(changed, number);
    }
    if (changed && kind == PLAN_RETIRE) fits = apply_retirement(changed, &cursor);
    if (!fits && !history) plan_history_free(changed);
    return fits ? changed : NULL;
}

void plan_history_free(struct plan_history *history)
{
    if (!history) return;
    for (uint32_t i = 0; i < history->tracks_count; i++) {
        for (uint32_t k = 0; k < history->tracks[i].count; k++) memory_free(history->tracks[i].revisions[k]);
        memory_free(history->tracks[i].revisions);
    }
    memory_free(history->tracks);
    memory_free(history);
}

/* A ring of entries, ids, and the files they stand in; see event_log.h. */
#include "event_log.h"
#include "actor.h"
#include "clock.h"
#include "config.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/time/duration.h"
#include "registry.h"

#define RING_SMALLEST 64
#define CHUNK_BYTES   (1 << 16) /* of one RL._EVENTS, about */

/* The first byte of RL._EVENTS: what there was is forgotten and these numbers hold; or entries follow. */
enum put_kind { PUT_BEGIN = 1, PUT_ENTRIES = 2 };

struct log {
    struct event_entry **ring;   /* `room` places, a power of two; NULL = none yet */
    uint32_t room, first, count; /* entries stand from `first` on, around the end */
    size_t bytes;                /* of the entries, their places included */
    struct event_id last;        /* the highest id ever given; its epoch is the highest ever seen */
    struct event_id last_dropped;
    int64_t last_dropped_us, dropped;
};

static struct log shown, aside;  /* the other one: of a full sync that is loaded beside what is still read */
static bool epoch_begins = true; /* as a primary: with the next event */
static void (*listener)(const struct event_entry *entry);

/* ---- the ring -------------------------------------------------------------------------------------------- */

static struct event_entry **place_of(const struct log *log, uint32_t place)
{
    return &log->ring[(log->first + place) & (log->room - 1)];
}

static size_t entry_bytes(const struct event_entry *entry)
{
    return sizeof(*entry) + entry->name_size + entry->event_size + sizeof(struct event_entry *);
}

static void drop_oldest(struct log *log)
{
    struct logged_event event;
    struct event_entry *entry = *place_of(log, 0);
    log->last_dropped = entry->id;
    log->last_dropped_us = event_decode(event_entry_event(entry), &event) ? event.time_us : 0;
    log->dropped++;
    log->bytes -= entry_bytes(entry);
    memory_free(entry);
    log->first = (log->first + 1) & (log->room - 1);
    log->count--;
}

static void keep_bounds(struct log *log)
{
    int64_t most = config_events_max(), bytes = config_events_bytes();
    while (log->count > 0 && (log->count > most || (int64_t)log->bytes > bytes)) drop_oldest(log);
}

/* Entries that stand around the end of the ring stand in order in the larger one. */
static void grow(struct log *log)
{
    uint32_t room = log->room > 0 ? 2 * log->room : RING_SMALLEST;
    struct event_entry **ring = memory_alloc(room * sizeof(struct event_entry *));
    for (uint32_t i = 0; i < log->count; i++) ring[i] = *place_of(log, i);
    memory_free(log->ring);
    log->ring = ring;
    log->room = room;
    log->first = 0;
}

/* What does not stand behind the last one is none of this log. */
static bool add(struct log *log, struct event_id id, int database, struct bytes name, struct bytes event)
{
    if (event_id_compare(id, log->last) <= 0 || id.sequence <= log->last.sequence) return false;
    struct event_entry *entry = memory_alloc(sizeof(*entry) + name.size + event.size);
    *entry = (struct event_entry){
        .id = id, .database = database, .name_size = (uint32_t)name.size, .event_size = (uint32_t)event.size};
    if (name.size > 0) memcpy(entry->bytes, name.data, name.size);
    memcpy(entry->bytes + name.size, event.data, event.size);
    if (log->count == log->room) grow(log);
    *place_of(log, log->count++) = entry;
    log->bytes += entry_bytes(entry);
    log->last = id;
    keep_bounds(log);
    return true;
}

static void clear(struct log *log)
{
    for (uint32_t i = 0; i < log->count; i++) memory_free(*place_of(log, i));
    memory_free(log->ring);
    *log = (struct log){0};
}

/* ---- events come ----------------------------------------------------------------------------------------- */

/* Each of them, under ids that count up from `first`. */
static void add_all(RedisModuleCtx *ctx, struct bytes name, const struct event_sink *made, struct event_id first)
{
    struct cursor cursor = cursor_init(sink_content(&made->events));
    int database = name.data ? RedisModule_GetSelectedDb(ctx) : -1;
    for (struct event_id id = first; !cursor_done(&cursor) && !cursor.bad; id.sequence++) {
        bool added = add(&shown, id, database, name, cursor_bytes(&cursor));
        if (added && shown.count > 0 && listener) listener(*place_of(&shown, shown.count - 1));
    }
}

static bool is_primary(RedisModuleCtx *ctx)
{
    return RedisModule_GetContextFlags(ctx) & REDISMODULE_CTX_FLAGS_MASTER;
}

static void begin_epoch(void)
{
    if (epoch_begins) shown.last.epoch++;
    epoch_begins = false;
}

struct event_id event_log_take(RedisModuleCtx *ctx, struct bytes name, const struct event_sink *made)
{
    /* What a client writes into a replica is of that replica alone: its log is its primary's. */
    if (!is_primary(ctx)) return (struct event_id){0, 0};
    begin_epoch();
    struct event_id first = {shown.last.epoch, shown.last.sequence + 1};
    add_all(ctx, name, made, first);
    return first;
}

bool event_log_is_import(RedisModuleCtx *ctx)
{
    int flags = RedisModule_GetContextFlags(ctx);
    bool loads = flags & REDISMODULE_CTX_FLAGS_LOADING;
    return (flags & REDISMODULE_CTX_FLAGS_MASTER) && (flags & REDISMODULE_CTX_FLAGS_REPLICATED) && !loads;
}

void event_log_repeat(RedisModuleCtx *ctx, struct bytes name, const struct event_sink *made, struct event_id first)
{
    if (!event_log_is_import(ctx)) add_all(ctx, name, made, first);
}

void event_log_listen(void (*came)(const struct event_entry *entry))
{
    listener = came;
}

/* ---- for readers ----------------------------------------------------------------------------------------- */

int64_t event_log_count(void)
{
    return shown.count;
}

struct event_id event_log_last(void)
{
    return shown.last;
}

const struct event_entry *event_log_at(uint32_t place)
{
    return place < shown.count ? *place_of(&shown, place) : NULL;
}

uint32_t event_log_place(struct event_id after)
{
    uint32_t low = 0, high = shown.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (event_id_compare((*place_of(&shown, middle))->id, after) > 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

struct event_log_facts event_log_facts(RedisModuleCtx *ctx)
{
    keep_bounds(&shown); /* the settings may have become smaller since the last one came */
    struct event_log_facts facts = {.last_dropped = shown.last_dropped,
                                    .last_dropped_us = shown.last_dropped_us,
                                    .entries = shown.count,
                                    .bytes = (int64_t)shown.bytes,
                                    .dropped = shown.dropped,
                                    .epoch = shown.last.epoch + (epoch_begins && is_primary(ctx))};
    if (shown.count > 0) {
        facts.first = event_log_at(0)->id;
        facts.last = event_log_at(shown.count - 1)->id;
    }
    return facts;
}

/* ---- as bytes -------------------------------------------------------------------------------------------- */

static void id_encode(struct event_id id, struct sink *sink)
{
    sink_number(sink, id.epoch);
    sink_number(sink, id.sequence);
}

static struct event_id id_decode(struct cursor *cursor)
{
    struct event_id id = {.epoch = cursor_number(cursor)};
    id.sequence = cursor_number(cursor);
    return id;
}

static void entry_encode(const struct event_entry *entry, struct sink *sink)
{
    id_encode(entry->id, sink);
    sink_number(sink, entry->database + 1);
    sink_bytes(sink, event_entry_name(entry));
    sink_bytes(sink, event_entry_event(entry));
}

static bool entry_decode(struct cursor *cursor, struct log *log)
{
    struct logged_event event;
    struct event_id id = id_decode(cursor);
    int database = (int)cursor_number_between(cursor, 0, INT32_MAX) - 1;
    struct bytes name = cursor_bytes(cursor), bytes = cursor_bytes(cursor);
    bool fits = !cursor->bad && id.epoch > 0 && event_decode(bytes, &event);
    return fits && add(log, id, database, name, bytes);
}

/* Behind these the entries follow. */
static void numbers_encode(const struct log *log, struct sink *sink)
{
    id_encode(log->last, sink);
    id_encode(log->last_dropped, sink);
    sink_signed(sink, log->last_dropped_us);
    sink_number(sink, log->dropped);
}

/* `last` is what the log ends with: entries stand before it. */
static bool numbers_decode(struct cursor *cursor, struct log *log, struct event_id *last)
{
    *last = id_decode(cursor);
    log->last = log->last_dropped = id_decode(cursor);
    log->last_dropped_us = cursor_signed(cursor);
    log->dropped = cursor_number(cursor);
    return !cursor->bad;
}

static void end_with(struct log *log, struct event_id last)
{
    if (event_id_compare(last, log->last) > 0) log->last = last;
}

/* ---- auxiliary data -------------------------------------------------------------------------------------- */

static void save(RedisModuleIO *rdb)
{
    struct sink bytes = {0};
    RedisModuleCtx *ctx = RedisModule_GetContextFromIO(rdb);
    if (is_primary(ctx)) begin_epoch(); /* the file says which one it is */
    numbers_encode(&shown, &bytes);
    RedisModule_SaveStringBuffer(rdb, bytes.data, bytes.size);
    RedisModule_SaveUnsigned(rdb, shown.count);
    for (uint32_t i = 0; i < shown.count; i++) {
        bytes.size = 0;
        entry_encode(*place_of(&shown, i), &bytes);
        RedisModule_SaveStringBuffer(rdb, bytes.data, bytes.size);
    }
    sink_free(&bytes);
}

static bool load_entry(RedisModuleIO *rdb)
{
    struct bytes bytes;
    bytes.data = RedisModule_LoadStringBuffer(rdb, &bytes.size);
    if (!bytes.data) return false;
    struct cursor cursor = cursor_init(bytes);
    bool loaded = entry_decode(&cursor, &shown) && cursor_done(&cursor);
    RedisModule_Free((void *)bytes.data);
    return loaded;
}

static bool load(RedisModuleIO *rdb)
{
    struct event_id last;
    struct bytes bytes;
    bytes.data = RedisModule_LoadStringBuffer(rdb, &bytes.size);
    if (!bytes.data) return false;
    struct cursor cursor = cursor_init(bytes);
    bool loads = numbers_decode(&cursor, &shown, &last) && cursor_done(&cursor);
    RedisModule_Free((void *)bytes.data);
    uint64_t count = loads ? RedisModule_LoadUnsigned(rdb) : 0;
    if (RedisModule_IsIOError(rdb)) return false;
    for (; loads && count > 0; count--) loads = load_entry(rdb);
    if (loads) end_with(&shown, last);
    return loads;
}

static void clear_shown(void)
{
    clear(&shown);
}

static void swap(void)
{
    struct log other = shown;
    shown = aside;
    aside = other;
}

/* ---- an AOF rewritten without preamble ------------------------------------------------------------------- */

static void write_chunk(RedisModuleIO *aof, struct sink *chunk)
{
    RedisModule_EmitAOF(aof, "RL._EVENTS", "b", chunk->data, chunk->size);
    chunk->size = 0;
}

static void write(RedisModuleIO *aof)
{
    struct sink chunk = {0};
    if (shown.last.epoch == 0) return; /* nothing ever happened */
    sink_byte(&chunk, PUT_BEGIN);
    numbers_encode(&shown, &chunk);
    write_chunk(aof, &chunk);
    for (uint32_t i = 0; i < shown.count; i++) {
        if (chunk.size == 0) sink_byte(&chunk, PUT_ENTRIES);
        entry_encode(*place_of(&shown, i), &chunk);
        if (chunk.size >= CHUNK_BYTES) write_chunk(aof, &chunk);
    }
    if (chunk.size > 0) write_chunk(aof, &chunk);
    sink_free(&chunk);
}

static struct event_id promised; /* with which the log ends that is put in chunks */

bool event_log_put(struct bytes bytes)
{
    struct cursor cursor = cursor_init(bytes);
    uint8_t kind = cursor_byte(&cursor);
    if (kind == PUT_BEGIN) {
        struct log begun = {0};
        if (!numbers_decode(&cursor, &begun, &promised) || !cursor_done(&cursor)) return false;
        clear(&shown);
        shown = begun;
        if (event_id_compare(promised, begun.last) > 0 && promised.sequence == begun.last.sequence)
            shown.last = promised; /* it has no entry, but an epoch */
        return true;
    }
    bool puts = kind == PUT_ENTRIES;
    while (puts && !cursor_done(&cursor)) puts = entry_decode(&cursor, &shown);
    if (shown.last.sequence == promised.sequence) end_with(&shown, promised);
    return puts;
}

/* ---- registration ---------------------------------------------------------------------------------------- */

static void role_changed(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t what, void *data)
{
    (void)ctx;
    (void)event;
    (void)data;
    if (what == REDISMODULE_EVENT_REPLROLECHANGED_NOW_MASTER) epoch_begins = true;
}

/* ---- changes of the configuration ------------------------------------------------------------------------- */

/* A plan by its name; a policy, which is of no account, likewise, as an id. */
static void changed(RedisModuleCtx *ctx, const struct registry_kind *kind, struct bytes name, struct sink *said)
{
    struct logged_event event = {.type = kind->event, .time_us = clock_now_us()};
    struct event_sink made = {.level = config_events()};
    struct actor actor = actor_of(ctx);
    event_set_text(&event, kind->event == LOGGED_PLAN_CHANGED ? EVENT_PLAN : EVENT_ID, name);
    event_set_text(&event, EVENT_ACTOR, actor.name);
    event_sink_add(&made, &event);
    struct event_id id = {0, 0};
    if (made.count > 0) id = event_log_take(ctx, (struct bytes){NULL, 0}, &made);
    if (id.sequence > 0) {
        id_encode(id, said);
        sink_raw(said, made.events.data, made.events.size);
    }
    actor_forget(ctx, &actor);
    sink_free(&made.events);
}

static bool repeat(RedisModuleCtx *ctx, struct bytes said)
{
    struct logged_event event;
    struct cursor cursor = cursor_init(said);
    struct event_id id = id_decode(&cursor);
    size_t at = cursor.at;
    bool fits = event_decode(cursor_bytes(&cursor), &event) && cursor_done(&cursor) && id.epoch > 0;
    if (!fits) return false;
    struct event_sink made = {.events = {.data = (char *)said.data + at, .size = said.size - at}, .count = 1};
    event_log_repeat(ctx, (struct bytes){NULL, 0}, &made, id);
    return true;
}

static const struct registry_companion companion = {.save = save,
                                                    .load = load,
                                                    .clear = clear_shown,
                                                    .swap = swap,
                                                    .write = write,
                                                    .changed = changed,
                                                    .repeat = repeat};

int event_log_register(RedisModuleCtx *ctx)
{
    registry_accompany(&companion);
    return RedisModule_SubscribeToServerEvent(ctx, RedisModuleEvent_ReplicationRoleChanged, role_changed);
}

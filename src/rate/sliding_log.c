/* The packed deque of admitted costs and the exact decisions over it; drawing in sliding_log.h. */
#include "quota/rate/sliding_log.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"

struct sliding_log {
    int64_t base_us;      /* what the first packed distance counts from */
    int64_t packed_us;    /* instant of the last packed entry; base_us when none is packed */
    int64_t newest_us;    /* the unpacked entry */
    int64_t newest_units; /* > 0 */
    int64_t units;        /* all entries */
    uint32_t entries;     /* packed ones plus the newest */
    uint32_t front, end;  /* packed bytes in use */
    uint32_t capacity;
    char bytes[];
};

#define LOG_BYTES_FIRST 16 /* three or four entries: most logs are short */
#define ENTRY_BYTES_MAX 20 /* two varints of ten bytes */

/* One step through the log, oldest first. */
struct walk {
    const struct sliding_log *log;
    struct cursor cursor;
    int64_t at_us, units;
    uint32_t seen;
};

static struct walk walk_begin(const struct sliding_log *log)
{
    struct walk walk = {.log = log};
    if (!log) return walk;
    walk.at_us = log->base_us;
    walk.cursor = cursor_init((struct bytes){log->bytes + log->front, log->end - log->front});
    return walk;
}

static bool walk_next(struct walk *walk)
{
    if (!walk->log || walk->seen == walk->log->entries) return false;
    if (++walk->seen == walk->log->entries) {
        walk->at_us = walk->log->newest_us;
        walk->units = walk->log->newest_units;
    } else {
        walk->at_us += cursor_number(&walk->cursor);
        walk->units = cursor_number(&walk->cursor);
    }
    return true;
}

/* ---- the memory ------------------------------------------------------------------------------------------ */

static struct sliding_log *log_new(int64_t at_us, int64_t units)
{
    struct sliding_log *log = memory_alloc(sizeof(*log) + LOG_BYTES_FIRST);
    *log = (struct sliding_log){
        .newest_us = at_us, .newest_units = units, .units = units, .entries = 1, .capacity = LOG_BYTES_FIRST};
    return log;
}

/* Room for one more packed entry: move to the front what is in use, else grow by half. */
static struct sliding_log *log_reserve(struct sliding_log *log)
{
    if (log->capacity - log->end >= ENTRY_BYTES_MAX) return log;
    uint32_t used = log->end - log->front;
    if (log->front > 0) {
        memmove(log->bytes, log->bytes + log->front, used);
        log->front = 0;
        log->end = used;
    }
    if (log->capacity - log->end < ENTRY_BYTES_MAX + used / 4) {
        log->capacity = used + used / 2 + 2 * ENTRY_BYTES_MAX;
        log = memory_realloc(log, sizeof(*log) + log->capacity);
    }
    return log;
}

static struct sliding_log *log_append(struct sliding_log *log, int64_t at_us, int64_t units)
{
    if (!log) return log_new(at_us, units);
    if (at_us > log->newest_us) {
        log = log_reserve(log);
        struct sink packed = sink_init(log->bytes + log->end, ENTRY_BYTES_MAX);
        sink_number(&packed, log->newest_us - log->packed_us);
        sink_number(&packed, log->newest_units);
        log->end += (uint32_t)packed.size;
        log->packed_us = log->newest_us;
        log->newest_us = at_us;
        log->newest_units = 0;
        log->entries++;
    }
    log->newest_units += units;
    log->units += units;
    return log;
}

static struct sliding_log *log_drop_oldest(struct sliding_log *log, int64_t horizon_us)
{
    if (!log || log->newest_us <= horizon_us) {
        sliding_log_free(log);
        return NULL;
    }
    struct walk walk = walk_begin(log);
    size_t kept_from = 0;
    int64_t base_us = log->base_us, dropped_units = 0;
    uint32_t dropped = 0;
    while (walk_next(&walk) && walk.at_us <= horizon_us) {
        dropped++;
        dropped_units += walk.units;
        base_us = walk.at_us;
        kept_from = walk.cursor.at;
    }
    log->front += (uint32_t)kept_from;
    log->base_us = base_us;
    log->entries -= dropped;
    log->units -= dropped_units;
    return log;
}

/* Rebuilds the log without its newest `excess` units. Packed bytes read forwards only; refunds are rare. */
static struct sliding_log *log_take_newest(struct sliding_log *log, int64_t excess)
{
    struct sliding_log *left = NULL;
    int64_t keep = log->units - excess;
    struct walk walk = walk_begin(log);
    while (keep > 0 && walk_next(&walk)) {
        int64_t units = min_i64(walk.units, keep);
        left = log_append(left, walk.at_us, units);
        keep -= units;
    }
    sliding_log_free(log);
    return left;
}

int64_t sliding_log_units_at(const struct sliding_log *log, int64_t at_us)
{
    int64_t units = 0;
    struct walk walk = walk_begin(log);
    while (walk_next(&walk)) {
        if (walk.at_us == at_us) units += walk.units;
    }
    return units;
}

int64_t sliding_log_nearest(const struct sliding_log *log, int64_t at_us)
{
    int64_t nearest_us = at_us, least_us = INT64_MAX;
    struct walk walk = walk_begin(log);
    while (walk_next(&walk)) {
        int64_t distance_us = walk.at_us > at_us ? walk.at_us - at_us : at_us - walk.at_us;
        if (distance_us < least_us) nearest_us = walk.at_us;
        least_us = min_i64(least_us, distance_us);
    }
    return nearest_us;
}

/* Rebuilds the log like above: this too is a refund. */
struct sliding_log *sliding_log_withdraw(struct sliding_log *log, int64_t at_us, int64_t units)
{
    struct sliding_log *left = NULL;
    struct walk walk = walk_begin(log);
    while (walk_next(&walk)) {
        int64_t kept = walk.at_us == at_us ? max_i64(walk.units - units, 0) : walk.units;
        if (kept > 0) left = log_append(left, walk.at_us, kept);
    }
    sliding_log_free(log);
    return left;
}

struct sliding_log *sliding_log_apply(struct sliding_log *log, const struct state *state)
{
    log = log_drop_oldest(log, state->rest);
    int64_t units = log ? log->units : 0;
    if (state->amount > units) return log_append(log, state->when_us, state->amount - units);
    return log && state->amount < units ? log_take_newest(log, units - state->amount) : log;
}

struct state sliding_log_state(const struct sliding_log *log)
{
    if (!log) return (struct state){.fresh = true};
    return (struct state){.when_us = log->newest_us, .amount = log->units, .log = log};
}

void sliding_log_free(struct sliding_log *log)
{
    memory_free(log);
}

size_t sliding_log_bytes(const struct sliding_log *log)
{
    return log ? sizeof(*log) + log->capacity : 0;
}

int64_t sliding_log_entries(const struct sliding_log *log)
{
    return log ? log->entries : 0;
}

/* ---- the bytes ------------------------------------------------------------------------------------------- */

void sliding_log_encode(const struct sliding_log *log, struct sink *sink)
{
    sink_number(sink, sliding_log_entries(log));
    int64_t before_us = 0;
    for (struct walk walk = walk_begin(log); walk_next(&walk); before_us = walk.at_us) {
        sink_number(sink, walk.at_us - before_us);
        sink_number(sink, walk.units);
    }
}

struct sliding_log *sliding_log_decode(struct cursor *cursor)
{
    struct sliding_log *log = NULL;
    int64_t entries = cursor_number_between(cursor, 0, LOG_ENTRIES_MAX);
    int64_t at_us = 0, total = 0;
    for (int64_t i = 0; i < entries && !cursor->bad; i++) {
        int64_t distance_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
        int64_t units = cursor_number_between(cursor, 1, INT64_MAX);
        bool sane =
            add_checked(at_us, distance_us, &at_us) && at_us <= INSTANT_MAX_US && add_checked(total, units, &total);
        if (!sane) cursor->bad = true;
        if (!cursor->bad) log = log_append(log, at_us, units);
    }
    if (!cursor->bad) return log;
    sliding_log_free(log);
    return NULL;
}

/* ---- the decisions --------------------------------------------------------------------------------------- */

int sliding_log_words(const struct rule *rule)
{
    (void)rule;
    return 1; /* the pointer */
}

/* Units of the log that came after the horizon. */
static inline int64_t units_after(const struct sliding_log *log, int64_t horizon_us)
{
    int64_t units = log ? log->units : 0;
    struct walk walk = walk_begin(log);
    while (units > 0 && walk_next(&walk) && walk.at_us <= horizon_us) units -= walk.units;
    return units;
}

void sliding_log_settle(const struct rule *rule, struct state *state, int64_t now_us)
{
    int64_t at_us = max_i64(now_us, state->when_us);
    int64_t logged = state->log ? state->log->units : 0;
    if (state->rest > 0) logged = units_after(state->log, state->rest); /* settled before */
    int64_t difference = state->amount - logged; /* > 0: not in the log yet; < 0: given back, not taken out yet */
    state->rest = max_i64(state->rest, at_us - rule->period_us);
    if (difference > 0 && state->when_us <= state->rest) difference = 0;
    state->amount = max_i64(units_after(state->log, state->rest) + difference, 0);
    state->fresh = state->amount == 0;
}

int64_t sliding_log_available(const struct rule *rule, const struct state *state, int64_t now_us)
{
    (void)now_us;
    return max_i64(rule->limit - state->amount, 0);
}

int64_t sliding_log_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us)
{
    if (cost > rule->limit) return NEVER_US;
    wide excess = (wide)state->amount + cost - rule->limit;
    if (excess <= 0) return 0;
    struct walk walk = walk_begin(state->log);
    while (excess > 0 && walk_next(&walk)) {
        if (walk.at_us > state->rest) excess -= walk.units;
    }
    int64_t leaves_us = excess > 0 ? state->when_us : walk.at_us; /* what is not in the log yet is the newest */
    return leaves_us + rule->period_us - now_us;
}

enum fault sliding_log_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us)
{
    (void)rule;
    int64_t newest_us = state->when_us;
    if (!add_checked(state->amount, cost, &state->amount)) return FAULT_OVERFLOW;
    state->when_us = max_i64(now_us, newest_us);
    if (sliding_log_entries(state->log) < LOG_ENTRIES_MAX || state->when_us == newest_us) return FAULT_NONE;
    struct walk oldest = walk_begin(state->log); /* full, unless it has left since */
    walk_next(&oldest);
    return oldest.at_us <= state->rest ? FAULT_NONE : FAULT_BOUND;
}

int64_t sliding_log_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us)
{
    (void)rule;
    (void)now_us;
    int64_t returned = min_i64(units, state->amount);
    state->amount -= returned;
    return returned;
}

/* Out of the entry of exactly that instant: the state only says how much is left, sliding_log_withdraw does it. */
int64_t sliding_log_refund_taken(const struct rule *rule, struct state *state, int64_t units, int64_t taken_us,
                                 int64_t now_us)
{
    (void)rule;
    (void)now_us;
    if (taken_us <= state->rest) return 0;
    int64_t returned = min_i64(units, sliding_log_units_at(state->log, taken_us));
    state->amount -= returned;
    return returned;
}

int64_t sliding_log_deadline_us(const struct rule *rule, const struct state *state)
{
    return state->amount > 0 ? state->when_us + rule->period_us : 0;
}

int64_t sliding_log_used(const struct rule *rule, const struct state *state, int64_t now_us)
{
    (void)rule;
    (void)now_us;
    return state->amount;
}

/* Forgives the newest units, as a refund does, so that what is left ends with the entry at which the limit is full. */
bool sliding_log_clamp(const struct rule *rule, struct state *state, int64_t now_us)
{
    (void)now_us;
    if (state->amount <= rule->limit) return false;
    int64_t kept = 0;
    struct walk walk = walk_begin(state->log);
    while (kept < rule->limit && walk_next(&walk)) {
        if (walk.at_us > state->rest) kept += walk.units;
    }
    state->amount = rule->limit;
    state->when_us = walk.at_us;
    return true;
}

/* ---- the row's object ------------------------------------------------------------------------------------ */

static struct state object_state(const void *object)
{
    return sliding_log_state(object);
}

static void *object_apply(void *object, const struct state *state)
{
    return sliding_log_apply(object, state);
}

static void *object_withdraw(void *object, int64_t at_us, int64_t units)
{
    return sliding_log_withdraw(object, at_us, units);
}

static int64_t object_nearest(const void *object, int64_t at_us)
{
    return sliding_log_nearest(object, at_us);
}

static void object_encode(const void *object, struct sink *sink)
{
    sliding_log_encode(object, sink);
}

static void *object_decode(struct cursor *cursor)
{
    return sliding_log_decode(cursor);
}

static void object_free(void *object)
{
    sliding_log_free(object);
}

static size_t object_bytes(const void *object)
{
    return sliding_log_bytes(object);
}

const struct algorithm_object sliding_log_object = {
    .state = object_state,
    .apply = object_apply,
    .withdraw = object_withdraw,
    .nearest = object_nearest,
    .encode = object_encode,
    .decode = object_decode,
    .free = object_free,
    .bytes = object_bytes,
};

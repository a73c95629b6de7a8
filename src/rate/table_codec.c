/* Reads and writes limiter tables and their changes; the byte forms are drawn in table_codec.h. */
#include "quota/rate/table_codec.h"
#include "quota/base/expect.h"
#include "quota/base/memory.h"
#include "quota/rate/limiter_codec.h"
#include "quota/rate/rule_codec.h"

#define CHANGE_RULES 0
#define CHANGE_TAKE  1
#define CHANGE_TAKES 2
#define NO_CHANGE    255

/* Words of hashes use all of their 64 bits: eight bytes, low ones first. */
static void word_encode(uint64_t word, struct sink *sink)
{
    for (int i = 0; i < 8; i++) sink_byte(sink, (uint8_t)(word >> (8 * i)));
}

static uint64_t word_decode(struct cursor *cursor)
{
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) word |= (uint64_t)cursor_byte(cursor) << (8 * i);
    return word;
}

static struct siphash_key key_decode(struct cursor *cursor)
{
    struct siphash_key key;
    for (int i = 0; i < 2; i++) key.words[i] = word_decode(cursor);
    return key;
}

/* ---- rule sets ------------------------------------------------------------------------------------------- */

/* The rule sets of a table, each once; more than the two or three of a busy table are rare, so they are searched. */
struct sets {
    const struct rule_set **sets;
    uint32_t count, capacity;
};

static uint32_t sets_index(struct sets *sets, const struct rule_set *set)
{
    uint32_t i = sets->count;
    while (i > 0 && sets->sets[i - 1] != set) i--;
    if (i > 0) return i - 1;
    if (sets->count == sets->capacity) {
        sets->capacity = sets->capacity * 2 + 4;
        sets->sets = memory_realloc(sets->sets, sets->capacity * sizeof(const struct rule_set *));
    }
    sets->sets[sets->count] = set;
    return sets->count++;
}

static void set_encode(const struct rule_set *set, struct sink *sink)
{
    sink_number(sink, set->count);
    for (uint32_t i = 0; i < set->count; i++) rule_encode(&set->rules[i], sink);
}

/* NULL, and the cursor bad, when the bytes are no rules. */
static const struct rule_set *set_decode(struct cursor *cursor)
{
    struct rule rules[RULES_MAX];
    uint32_t count = (uint32_t)cursor_number_between(cursor, 1, RULES_MAX);
    for (uint32_t i = 0; i < count && !cursor->bad; i++) rule_decode(cursor, &rules[i]);
    return cursor->bad ? NULL : rule_set_take(rules, count, 0, 0);
}

static void sets_release(struct sets *sets)
{
    for (uint32_t i = 0; i < sets->count; i++) rule_set_release(sets->sets[i]);
    memory_free(sets->sets);
}

/* ---- the value ------------------------------------------------------------------------------------------- */

static void segment_encode(const struct segment *segment, struct sets *sets, struct sink *sink)
{
    struct limiter_buffer stack_buffer;
    sink_number(sink, segment_depth(segment));
    sink_number(sink, sets_index(sets, segment_set(segment)));
    sink_number(sink, segment_count(segment));
    for (uint32_t i = 0; i < segment_count(segment); i++) {
        sink_bytes(sink, segment_name(segment, i));
        limiter_states_encode(segment_borrow(segment, i, &stack_buffer), sink);
    }
}

void table_encode(const struct table *table, struct sink *sink)
{
    uint32_t places = UINT32_C(1) << table->depth;
    struct sets sets = {NULL, 0, 0};
    (void)sets_index(&sets, table->set);
    for (uint32_t at = 0; at < places; at += table_places(table, at)) {
        (void)sets_index(&sets, segment_set(table->directory[at]));
    }
    format_write_head(&table_format, false, sink);
    sink_number(sink, table->rules_us);
    word_encode(table->key.words[0], sink);
    word_encode(table->key.words[1], sink);
    word_encode(table->swept, sink);
    sink_byte(sink, table->changes);
    sink_number(sink, table->depth);
    sink_number(sink, sets.count);
    for (uint32_t i = 0; i < sets.count; i++) set_encode(sets.sets[i], sink);
    for (uint32_t at = 0; at < places; at += table_places(table, at)) {
        segment_encode(table->directory[at], &sets, sink);
    }
    memory_free(sets.sets);
}

/* Adds one subject behind the others; it has to belong there: right leading bits, rising order. */
static struct segment *subject_decode(struct cursor *cursor, const struct table *table, uint32_t place,
                                      struct segment *segment)
{
    static const union state_word nothing[LIMITER_WORDS_MAX];
    struct limiter_buffer stack_buffer;
    struct limiter *limiter = limiter_borrow(&stack_buffer, segment_set(segment), nothing);
    struct bytes name = cursor_bytes(cursor);
    uint32_t at, count = segment_count(segment);
    uint64_t hash = siphash(&table->key, name);
    uint64_t strange = table->depth == 0 ? 0 : hash ^ (uint64_t)place << (64 - table->depth);
    uint8_t depth = segment_depth(segment);

    bool belongs = !cursor->bad && name.size <= SUBJECT_BYTES_MAX && (depth == 0 || strange >> (64 - depth) == 0) &&
                   !segment_find(segment, hash, name, &at) && at == count;
    if (!belongs || !limiter_states_decode(cursor, limiter)) {
        cursor->bad = true;
        return segment;
    }
    segment = segment_insert(segment, at, hash, name);
    segment_put(segment, at, limiter);
    return segment;
}

/* Reads the segment of `place`; answers how many places it fills, 0 and the cursor bad if it does not fit there. */
static uint32_t segment_decode(struct cursor *cursor, const struct sets *sets, struct table *table, uint32_t place)
{
    uint8_t depth = (uint8_t)cursor_number_between(cursor, 0, table->depth);
    uint32_t which = (uint32_t)cursor_number_between(cursor, 0, sets->count - 1);
    int64_t count = cursor_number_between(cursor, 0, TABLE_SUBJECTS_MAX - table->subjects);
    uint32_t places = UINT32_C(1) << (table->depth - depth);
    if (place % places != 0) cursor->bad = true;
    if (cursor->bad) return 0;
    struct segment *segment = segment_new(sets->sets[which], depth);
    for (int64_t i = 0; i < count && !cursor->bad; i++) segment = subject_decode(cursor, table, place, segment);
    table_put(table, place, segment);
    return places;
}

/* The rule sets: the present one first, every one used and none twice. */
static bool sets_are_used(const struct sets *sets, const struct table *table)
{
    struct sets used = {NULL, 0, 0};
    (void)sets_index(&used, table->set);
    for (uint32_t at = 0; at < UINT32_C(1) << table->depth; at += table_places(table, at)) {
        (void)sets_index(&used, segment_set(table->directory[at]));
    }
    bool equal = used.count == sets->count;
    for (uint32_t i = 0; equal && i < used.count; i++) equal = used.sets[i] == sets->sets[i];
    memory_free(used.sets);
    return equal;
}

static struct table *segments_decode(struct cursor *cursor, const struct sets *sets, struct table *table)
{
    uint32_t place = 0, places = UINT32_C(1) << table->depth;
    bool deepest = table->depth == 0;
    while (place < places && !cursor->bad) {
        uint32_t filled = segment_decode(cursor, sets, table, place);
        deepest = deepest || filled == 1;
        place += filled;
    }
    if (cursor_done(cursor) && deepest && sets_are_used(sets, table)) return table;
    table_free(table);
    return NULL;
}

static void *decode(struct cursor *cursor)
{
    struct table *table = NULL;
    struct sets sets = {NULL, 0, 0};
    int64_t rules_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    struct siphash_key key = key_decode(cursor);
    uint64_t swept = word_decode(cursor);
    uint8_t changes = cursor_byte(cursor);
    uint8_t depth = (uint8_t)cursor_number_between(cursor, 0, TABLE_DEPTH_MAX);
    int64_t count = cursor_number_between(cursor, 1, (int64_t)cursor->size);
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        const struct rule_set *set = set_decode(cursor);
        if (set && sets_index(&sets, set) != i) {
            rule_set_release(set); /* twice: its first place holds the only count */
            cursor->bad = true;
        }
    }
    if (!cursor->bad && sets.count > 0 && (cursor->size - cursor->at) / 3 > depth) {
        table = table_begin(sets.sets[0]->rules, sets.sets[0]->count, rules_us, key, depth);
        table->swept = swept;
        table->changes = changes;
        table = segments_decode(cursor, &sets, table);
    }
    sets_release(&sets);
    return table;
}

const struct format table_format = {
    .name = "table",
    .kind = TABLE_KIND,
    .newest = TABLE_ENCODING_NEWEST,
    .decode = {[TABLE_ENCODING_TABLE] = decode},
};

struct table *table_decode(struct bytes bytes)
{
    return format_decode(&table_format, bytes);
}

/* ---- effects --------------------------------------------------------------------------------------------- */

static void states_encode(const struct decision *limits, struct sink *sink)
{
    for (uint32_t i = 0; i < limits->effects_count; i++) {
        const struct effect *effect = &limits->effects[i];
        sink_byte(sink, (uint8_t)effect->index);
        state_encode(&effect->state, sink);
    }
}

void table_effects_encode(const struct table_decision *decision, bool no_expire, struct sink *sink)
{
    const struct decision *limits = &decision->limits;
    format_write_head(&table_format, no_expire, sink);
    sink_number(sink, decision->now_us);
    if (decision->new_rules) {
        sink_byte(sink, CHANGE_RULES);
        for (int i = 0; i < 2; i++) word_encode(decision->key.words[i], sink);
        for (uint32_t i = 0; i < limits->rules_count; i++) rule_encode(&limits->rules[i], sink);
        return;
    }
    sink_byte(sink, CHANGE_TAKE);
    sink_bytes(sink, decision->subject);
    states_encode(limits, sink);
}

void table_takes_begin(int64_t now_us, bool no_expire, struct sink *sink)
{
    format_write_head(&table_format, no_expire, sink);
    sink_number(sink, now_us);
    sink_byte(sink, CHANGE_TAKES);
}

void table_takes_add(const struct table_decision *decision, struct sink *sink)
{
    (void)expect(!decision->new_rules); /* RL.TABLE has a run of its own */
    sink_bytes(sink, decision->subject);
    sink_number(sink, decision->limits.effects_count);
    states_encode(&decision->limits, sink);
}

static void rules_decode(struct cursor *cursor, struct rule *rules, struct table_decision *decision)
{
    decision->new_rules = true;
    decision->key = key_decode(cursor);
    decision->limits.rules = rules;
    while (!cursor->bad && cursor->at < cursor->size) {
        if (decision->limits.rules_count == RULES_MAX) {
            cursor->bad = true;
        } else {
            rule_decode(cursor, &rules[decision->limits.rules_count++]);
        }
    }
}

static void state_effect_decode(struct cursor *cursor, struct decision *limits)
{
    struct effect effect = {.kind = EFFECT_STATE, .index = cursor_byte(cursor)};
    effect.state = state_decode(cursor);
    if (limits->effects_count == RULES_MAX) {
        cursor->bad = true;
    } else {
        limits->effects[limits->effects_count++] = effect;
    }
}

static void take_decode(struct cursor *cursor, struct table_decision *decision)
{
    decision->subject = cursor_bytes(cursor);
    while (!cursor->bad && cursor->at < cursor->size) state_effect_decode(cursor, &decision->limits);
    if (decision->limits.effects_count == 0) cursor->bad = true;
}

/* No verdict, and only the effects that come: there is room for many. */
static void decision_begin(struct table_decision *decision)
{
    decision->limits.fault = FAULT_NONE;
    decision->limits.effects_count = decision->limits.rules_count = 0;
    decision->limits.rules = NULL;
    decision->subject = (struct bytes){"", 0};
    decision->new_rules = false;
}

/* The next subject of many; what is bad marks the cursor. */
static void next_take_decode(struct cursor *cursor, struct table_decision *decision)
{
    decision->limits.effects_count = 0;
    decision->subject = cursor_bytes(cursor);
    int64_t count = cursor_number_between(cursor, 1, RULES_MAX);
    for (int64_t i = 0; i < count && !cursor->bad; i++) state_effect_decode(cursor, &decision->limits);
}

static bool takes_fit(const struct table *table, struct cursor cursor, struct table_decision *decision)
{
    bool fit = table && cursor.at < cursor.size;
    while (fit && !cursor_done(&cursor)) {
        next_take_decode(&cursor, decision);
        fit = !cursor.bad && table_accepts(table, decision);
    }
    return fit;
}

/* What stands in front of all effects: the head, when they were decided, and their kind; NO_CHANGE = they are none. */
static uint8_t effects_begin(struct cursor *cursor, int64_t *now_us, bool *no_expire)
{
    if (format_read_head(&table_format, cursor, no_expire) == 0) return NO_CHANGE;
    *now_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    uint8_t kind = cursor_byte(cursor);
    return cursor->bad ? NO_CHANGE : kind;
}

bool table_are_takes(struct bytes bytes)
{
    struct cursor cursor = cursor_init(bytes);
    int64_t now_us;
    bool no_expire;
    return effects_begin(&cursor, &now_us, &no_expire) == CHANGE_TAKES;
}

bool table_takes_repeat(struct table *table, struct bytes bytes, bool *no_expire)
{
    struct cursor cursor = cursor_init(bytes);
    struct table_decision decision;
    decision_begin(&decision);
    if (effects_begin(&cursor, &decision.now_us, no_expire) != CHANGE_TAKES) return false;
    if (!takes_fit(table, cursor, &decision)) return false;
    while (!cursor_done(&cursor)) {
        next_take_decode(&cursor, &decision);
        (void)table_accepts(table, &decision); /* finds the subject's hash */
        (void)table_apply(table, &decision);   /* it stays where it is */
    }
    return true;
}

bool table_effects_decode(struct bytes bytes, struct rule *rules, struct table_decision *decision, bool *no_expire)
{
    struct cursor cursor = cursor_init(bytes);
    decision_begin(decision);
    switch (effects_begin(&cursor, &decision->now_us, no_expire)) {
    case CHANGE_RULES: rules_decode(&cursor, rules, decision); break;
    case CHANGE_TAKE: take_decode(&cursor, decision); break;
    default: return false;
    }
    return cursor_done(&cursor);
}

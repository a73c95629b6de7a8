/* Extendible hashing over segments, and decisions about one subject; drawing in table.h. */
#include "quota/rate/table.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"

/* ---- the directory --------------------------------------------------------------------------------------- */

/* The place of a hash: its `depth` leading bits. */
static uint32_t place_of(uint64_t hash, uint8_t depth)
{
    return depth > 0 ? (uint32_t)(hash >> (64 - depth)) : 0;
}

static struct segment *segment_of(const struct table *table, uint64_t hash)
{
    return table->directory[place_of(hash, table->depth)];
}

uint32_t table_places(const struct table *table, uint32_t place)
{
    return UINT32_C(1) << (table->depth - segment_depth(table->directory[place]));
}

static size_t directory_bytes(uint8_t depth)
{
    return sizeof(struct segment *) << depth;
}

/* Points every place of the segment at it; `place` is any of them. */
static void directory_point(struct table *table, uint32_t place, struct segment *segment)
{
    uint32_t places = UINT32_C(1) << (table->depth - segment_depth(segment));
    struct segment **first = table->directory + (place & ~(places - 1));
    for (uint32_t i = 0; i < places; i++) first[i] = segment;
}

/* Another depth: one more doubles every place, one less takes every second one. */
static void directory_resize(struct table *table, uint8_t depth)
{
    struct segment **resized = memory_alloc(directory_bytes(depth));
    for (uint32_t i = 0; i < UINT32_C(1) << depth; i++) {
        resized[i] = table->directory[depth > table->depth ? i / 2 : i * 2];
    }
    memory_free(table->directory);
    table->bytes = table->bytes - directory_bytes(table->depth) + directory_bytes(depth);
    table->directory = resized;
    table->depth = depth;
}

/* ---- the table ------------------------------------------------------------------------------------------- */

struct table *table_begin(const struct rule *rules, uint32_t rules_count, int64_t rules_us, struct siphash_key key,
                          uint8_t depth)
{
    struct table *table = memory_alloc(sizeof(*table));
    *table = (struct table){
        .set = rule_set_take(rules, rules_count, 0, 0),
        .rules_us = rules_us,
        .key = key,
        .directory = memory_alloc(directory_bytes(depth)),
        .bytes = sizeof(*table) + directory_bytes(depth),
        .depth = depth,
    };
    memset(table->directory, 0, directory_bytes(depth));
    return table;
}

void table_put(struct table *table, uint32_t place, struct segment *segment)
{
    directory_point(table, place, segment);
    table->segments++;
    table->subjects += segment_count(segment);
    table->bytes += segment_bytes(segment);
}

/* Before segments change: they leave the table's sums, and come back by table_put. */
static struct segment *table_take_out(struct table *table, struct segment *segment)
{
    table->segments--;
    table->subjects -= segment_count(segment);
    table->bytes -= segment_bytes(segment);
    return segment;
}

void table_free(struct table *table)
{
    if (!table) return;
    uint32_t places;
    for (uint32_t place = 0; place < UINT32_C(1) << table->depth; place += places) {
        struct segment *segment = table->directory[place];
        places = segment ? table_places(table, place) : 1; /* one that was not filled whole */
        if (segment) segment_free(segment);
    }
    rule_set_release(table->set);
    memory_free(table->directory);
    memory_free(table);
}

size_t table_bytes(const struct table *table)
{
    return table->bytes;
}

/* ---- deciding -------------------------------------------------------------------------------------------- */

static bool rules_are(const struct rule_set *set, const struct rule *rules, uint32_t count)
{
    bool equal = set->count == count;
    for (uint32_t i = 0; equal && i < count; i++) equal = rule_equal(&set->rules[i], &rules[i]);
    return equal;
}

void table_decide_rules(const struct table *table, struct rule *rules, uint32_t rules_count, int64_t now_us,
                        struct siphash_key key, struct table_decision *decision)
{
    decision->limits.fault = FAULT_NONE;
    decision->limits.effects_count = 0;
    decision->limits.rules = rules;
    decision->limits.rules_count = rules_count;
    decision->subject = (struct bytes){"", 0};
    decision->now_us = now_us;
    decision->key = key;
    decision->new_rules = !table || !rules_are(table->set, rules, rules_count);
    decision->new_subject = false;
    for (uint32_t i = 0; i < rules_count; i++) rule_complete(&rules[i]);
}

/* Every change of a subject says all of its states; that the rules are new to it, its segment finds out. */
static void leave_states_only(struct decision *decision)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < decision->effects_count; i++) {
        if (decision->effects[i].kind == EFFECT_STATE) decision->effects[kept++] = decision->effects[i];
    }
    decision->effects_count = kept;
}

void table_decide_take(const struct table *table, struct bytes subject, const struct limiter_request *request,
                       struct table_decision *decision)
{
    static const union state_word nothing[LIMITER_WORDS_MAX];
    const struct rule_set *set = table->set;
    uint64_t hash = siphash(&table->key, subject);
    const struct segment *segment = segment_of(table, hash);
    struct limiter_request as_of = *request;
    struct limiter_buffer stack_buffer;
    struct limiter *limiter;
    uint32_t at;

    bool found = segment_find(segment, hash, subject, &at);
    limiter = found ? segment_borrow(segment, at, &stack_buffer) : limiter_borrow(&stack_buffer, set, nothing);
    as_of.rules_us = table->rules_us;
    decision->subject = subject;
    decision->hash = hash;
    decision->now_us = request->now_us;
    decision->new_rules = false;
    decision->new_subject = !found;
    if (limiter->set == set) {
        limiter_decide(limiter, (struct rule *)set->rules, set->count, &as_of,
                       &decision->limits); /* known: only read */
    } else {
        struct rule rules[RULES_MAX];
        memcpy(rules, set->rules, set->count * sizeof(*rules));
        limiter_decide(limiter, rules, set->count, &as_of, &decision->limits);
        decision->limits.rules = NULL;
    }
    leave_states_only(&decision->limits);
    bool full = !found && table->subjects >= TABLE_SUBJECTS_MAX && decision->limits.effects_count > 0;
    if (full && !segment_has_idle(segment, request->now_us)) decision->limits.fault = FAULT_FULL;
}

/* ---- applying -------------------------------------------------------------------------------------------- */

/* The segment of a hash, under the present rules. */
static struct segment *segment_up_to_date(struct table *table, uint64_t hash)
{
    struct segment *segment = segment_of(table, hash);
    if (segment_set(segment) == table->set) return segment;
    segment = segment_carry(table_take_out(table, segment), table->set, table->rules_us);
    table_put(table, place_of(hash, table->depth), segment);
    return segment;
}

static struct segment *sweep(struct table *table, uint64_t hash, int64_t now_us)
{
    struct segment *segment = segment_up_to_date(table, hash);
    segment = segment_sweep(table_take_out(table, segment), now_us);
    table_put(table, place_of(hash, table->depth), segment);
    return segment;
}

static void split(struct table *table, uint64_t hash)
{
    struct segment *halves[2], *segment = segment_of(table, hash);
    if (segment_depth(segment) == table->depth) directory_resize(table, (uint8_t)(table->depth + 1));
    uint32_t place = place_of(hash, table->depth), places = table_places(table, place);
    segment_split(table_take_out(table, segment), &table->key, halves);
    table_put(table, place / places * places, halves[0]);
    table_put(table, place / places * places + places / 2, halves[1]);
}

/* Is the segment at the place one of two that would fill no more than a quarter of one? */
static bool may_merge(const struct table *table, uint32_t place, uint32_t *neighbour)
{
    const struct segment *segment = table->directory[place];
    if (segment_depth(segment) == 0) return false;
    *neighbour = place ^ table_places(table, place);
    const struct segment *other = table->directory[*neighbour];
    return segment_depth(other) == segment_depth(segment) && segment_set(other) == segment_set(segment) &&
           segment_count(segment) + segment_count(other) <= SEGMENT_SUBJECTS / 4;
}

static bool is_deepest(const struct table *table)
{
    for (uint32_t place = 0; place < UINT32_C(1) << table->depth; place += 2) {
        if (table->directory[place] != table->directory[place + 1]) return true;
    }
    return false;
}

static void merge(struct table *table, uint64_t hash)
{
    uint32_t neighbour, place = place_of(hash, table->depth);
    while (may_merge(table, place, &neighbour)) {
        struct segment *low = table->directory[place & neighbour], *high = table->directory[place | neighbour];
        bool deepest = segment_depth(low) == table->depth;
        table_put(table, place, segment_merge(table_take_out(table, low), table_take_out(table, high)));
        if (deepest && !is_deepest(table)) directory_resize(table, (uint8_t)(table->depth - 1));
        place = place_of(hash, table->depth);
    }
}

/* The next segment's turn. */
static void sweep_next(struct table *table, int64_t now_us)
{
    uint64_t hash = table->swept;
    uint8_t depth = segment_depth(sweep(table, hash, now_us));
    if (depth == 0) return;
    table->swept = (hash | (UINT64_MAX >> depth)) + 1; /* after the last one the first again */
    merge(table, hash);
}

static void apply_states(struct table *table, const struct table_decision *decision)
{
    uint64_t hash = decision->hash;
    struct segment *segment = segment_up_to_date(table, hash);
    uint32_t at;
    if (!segment_find(segment, hash, decision->subject, &at)) {
        bool full = segment_count(segment) >= SEGMENT_SUBJECTS;
        if (full || table->subjects >= TABLE_SUBJECTS_MAX) segment = sweep(table, hash, decision->now_us);
        while (segment_count(segment) >= SEGMENT_SUBJECTS && segment_depth(segment) < TABLE_DEPTH_MAX) {
            split(table, hash);
            segment = segment_of(table, hash);
        }
        (void)segment_find(segment, hash, decision->subject, &at);
        segment = segment_insert(table_take_out(table, segment), at, hash, decision->subject);
        table_put(table, place_of(hash, table->depth), segment);
    }
    table->bytes -= segment_bytes(segment);
    segment_apply(segment, at, &decision->limits);
    table->bytes += segment_bytes(segment);
    if (++table->changes == 0) sweep_next(table, decision->now_us);
}

static struct table *apply_rules(struct table *table, const struct table_decision *decision)
{
    const struct decision *limits = &decision->limits;
    if (!table) {
        table = table_begin(limits->rules, limits->rules_count, decision->now_us, decision->key, 0);
        table_put(table, 0, segment_new(table->set, 0));
        return table;
    }
    const struct rule_set *before = table->set;
    table->set = rule_set_take(limits->rules, limits->rules_count, 0, 0);
    table->rules_us = decision->now_us;
    rule_set_release(before);
    return table;
}

struct table *table_apply(struct table *table, const struct table_decision *decision)
{
    if (decision->new_rules) return apply_rules(table, decision);
    if (decision->limits.effects_count > 0) apply_states(table, decision);
    return table;
}

bool table_accepts(const struct table *table, struct table_decision *decision)
{
    static const union state_word nothing[LIMITER_WORDS_MAX];
    struct limiter_buffer stack_buffer;
    if (decision->now_us <= 0 || decision->now_us > INSTANT_MAX_US) return false;
    if (decision->new_rules) return decision->limits.rules_count > 0;
    if (!table || decision->subject.size > SUBJECT_BYTES_MAX) return false;
    for (uint32_t i = 0; i < decision->limits.effects_count; i++) {
        if (decision->limits.effects[i].kind != EFFECT_STATE) return false;
    }
    decision->hash = siphash(&table->key, decision->subject);
    return limiter_accepts(limiter_borrow(&stack_buffer, table->set, nothing), &decision->limits);
}

/* Reads and writes limiters and effects; the byte forms are drawn in limiter_codec.h. */
#include "quota/rate/limiter_codec.h"
#include "quota/base/expect.h"
#include "quota/rate/algorithm.h"
#include "quota/rate/rule_codec.h"

#define KIND_SHIFT 5
#define INDEX_MASK 0x1fu
_Static_assert(RULES_MAX == INDEX_MASK + 1, "an effect's first byte holds any rule index");

void state_encode(const struct state *state, struct sink *sink)
{
    sink_number(sink, state->when_us);
    sink_number(sink, state->amount);
    sink_number(sink, state->rest);
}

struct state state_decode(struct cursor *cursor)
{
    struct state state = {0};
    state.when_us = cursor_number(cursor);
    state.amount = cursor_number(cursor);
    state.rest = cursor_number(cursor);
    return state;
}

void limiter_states_encode(const struct limiter *limiter, struct sink *sink)
{
    const struct rule_set *set = limiter->set;
    for (uint32_t i = 0; i < rule_set_total(set); i++) {
        if (set->words_of[i] == 0) continue;
        if (set->objects >> i & 1) {
            algorithm_of(&set->rules[i])->object->encode(limiter->words[set->word_of[i]].object, sink);
        } else {
            struct state state = limiter_stored_state(limiter, i);
            state_encode(&state, sink);
        }
    }
}

/* States are read as the effects that would make them; objects are made apart. */
bool limiter_states_decode(struct cursor *cursor, struct limiter *limiter)
{
    const struct rule_set *set = limiter->set;
    void *objects[RULES_MAX];
    struct decision made;
    made.effects_count = 0;
    for (uint32_t i = 0; i < rule_set_total(set); i++) {
        objects[i] = NULL;
        if (set->words_of[i] == 0 || cursor->bad) continue;
        if (set->objects >> i & 1) {
            objects[i] = algorithm_of(&set->rules[i])->object->decode(cursor);
        } else {
            made.effects[made.effects_count++] = (struct effect){EFFECT_STATE, i, state_decode(cursor)};
        }
    }
    bool accepted = !cursor->bad && limiter_accepts(limiter, &made);
    if (accepted) (void)limiter_apply(limiter, &made); /* states alone: it stays where it is */
    for (uint32_t i = 0; i < rule_set_total(set); i++) {
        if (!objects[i]) continue;
        if (accepted) limiter_put_object(limiter, i, objects[i]);
        if (!accepted) algorithm_of(&set->rules[i])->object->free(objects[i]);
    }
    return accepted;
}

void limiter_encode(const struct limiter *limiter, struct sink *sink)
{
    const struct rule_set *set = limiter->set;
    uint8_t encoding = set->sleeping > 0 ? ENCODING_SLEEPING : ENCODING_LIMITER;
    head_write(sink, (struct head){LIMITER_KIND, encoding, false});
    sink_number(sink, set->count);
    if (set->sleeping > 0) sink_number(sink, set->sleeping);
    for (uint32_t i = 0; i < rule_set_total(set); i++) rule_encode(&set->rules[i], sink);
    limiter_states_encode(limiter, sink);
    sink_number(sink, limiter_blocked_until_us(limiter));
    sink_number(sink, limiter_taken_until_us(limiter));
}

/* The rules that stand in front of a value; NULL when they are none. */
static struct limiter *rules_decode(struct cursor *cursor, uint32_t count, uint32_t sleeping)
{
    struct rule rules[RULES_MAX];
    for (uint32_t i = 0; i < count + sleeping && !cursor->bad; i++) {
        rule_decode(cursor, &rules[i]);
        if (i >= count && rule_is_constant(&rules[i])) cursor->bad = true; /* nothing to keep */
    }
    return cursor->bad ? NULL : limiter_new(rules, count, sleeping);
}

/* Behind the rules a value is read as the effects that would make it. */
static void *decode_value(struct cursor *cursor, uint32_t count, uint32_t sleeping)
{
    struct decision made;
    struct limiter *limiter = rules_decode(cursor, count, sleeping);
    if (!limiter) return NULL;
    bool whole = limiter_states_decode(cursor, limiter);
    made.effects_count = 0;
    for (enum effect_kind kind = EFFECT_BLOCK; kind <= EFFECT_QUEUE; kind++) {
        int64_t until_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
        if (until_us > 0) made.effects[made.effects_count++] = (struct effect){kind, 0, {.when_us = until_us}};
    }
    if (whole && cursor_done(cursor)) return limiter_apply(limiter, &made);
    limiter_free(limiter);
    return NULL;
}

static void *decode_first(struct cursor *cursor)
{
    return decode_value(cursor, (uint32_t)cursor_number_between(cursor, 0, RULES_MAX), 0);
}

static void *decode_sleeping(struct cursor *cursor)
{
    uint32_t count = (uint32_t)cursor_number_between(cursor, 0, RULES_MAX);
    return decode_value(cursor, count, (uint32_t)cursor_number_between(cursor, 1, RULES_MAX - count));
}

const struct format limiter_format = {
    .name = "limiter",
    .kind = LIMITER_KIND,
    .newest = ENCODING_NEWEST,
    .decode = {[ENCODING_LIMITER] = decode_first, [ENCODING_SLEEPING] = decode_sleeping},
};

struct limiter *limiter_decode(struct bytes bytes)
{
    return format_decode(&limiter_format, bytes);
}

struct limiter *limiter_clone(const struct limiter *limiter)
{
    struct sink bytes = {0};
    if (!limiter) return NULL;
    limiter_encode(limiter, &bytes);
    struct limiter *copy = limiter_decode((struct bytes){bytes.data, bytes.size});
    sink_free(&bytes);
    (void)expect(copy != NULL);
    return copy;
}

static void rules_effect_encode(const struct decision *decision, struct sink *sink)
{
    sink_number(sink, decision->rules_count);
    for (uint32_t k = 0; k < decision->rules_count; k++) {
        rule_encode(&decision->rules[k], sink);
        sink_number(sink, decision->from[k] + 1);
    }
    for (uint32_t k = 0; k < decision->sleeping_count; k++) {
        sink_number(sink, decision->from[decision->rules_count + k] + 1);
    }
}

/* The first encoding that has all of these effects: there is one form of one thing. */
static uint8_t encoding_needed(const struct decision *decision)
{
    for (uint32_t i = 0; i < decision->effects_count; i++) {
        enum effect_kind kind = decision->effects[i].kind;
        if (kind == EFFECT_WITHDRAW || (kind == EFFECT_RULES && decision->sleeping_count > 0)) return ENCODING_SLEEPING;
    }
    return ENCODING_LIMITER;
}

void effects_encode(const struct decision *decision, bool no_expire, struct sink *sink)
{
    head_write(sink, (struct head){LIMITER_KIND, encoding_needed(decision), no_expire});
    for (uint32_t i = 0; i < decision->effects_count; i++) {
        const struct effect *effect = &decision->effects[i];
        uint32_t index = effect->index;
        if (effect->kind == EFFECT_RULES) index = decision->sleeping_count;
        sink_byte(sink, (uint8_t)((uint32_t)effect->kind << KIND_SHIFT | index));
        switch (effect->kind) {
        case EFFECT_RULES: rules_effect_encode(decision, sink); break;
        case EFFECT_STATE: state_encode(&effect->state, sink); break;
        case EFFECT_BLOCK:
        case EFFECT_QUEUE: sink_number(sink, effect->state.when_us); break;
        case EFFECT_WITHDRAW:
            sink_number(sink, effect->state.when_us);
            sink_number(sink, effect->state.amount);
            break;
        }
    }
}

static void rules_effect_decode(struct cursor *cursor, uint32_t sleeping, struct rule *rules, struct decision *decision)
{
    uint32_t count = (uint32_t)cursor_number_between(cursor, 0, RULES_MAX - sleeping);
    decision->rules = rules;
    for (uint32_t k = 0; k < count + sleeping && !cursor->bad; k++) {
        if (k < count) rule_decode(cursor, &rules[k]);
        decision->from[k] = (int8_t)(cursor_number_between(cursor, k < count ? 0 : 1, RULES_MAX) - 1);
    }
    decision->rules_count = count;
    decision->sleeping_count = sleeping;
}

static void effect_decode(struct cursor *cursor, struct rule *rules, struct decision *decision)
{
    uint8_t head = cursor_byte(cursor);
    struct effect effect = {.index = head & INDEX_MASK};
    switch (head >> KIND_SHIFT) {
    case EFFECT_RULES:
        effect = (struct effect){.kind = EFFECT_RULES};
        rules_effect_decode(cursor, head & INDEX_MASK, rules, decision);
        break;
    case EFFECT_STATE:
        effect.kind = EFFECT_STATE;
        effect.state = state_decode(cursor);
        break;
    case EFFECT_BLOCK:
    case EFFECT_QUEUE:
        effect.kind = (enum effect_kind)(head >> KIND_SHIFT);
        effect.state.when_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
        break;
    case EFFECT_WITHDRAW:
        effect.kind = EFFECT_WITHDRAW;
        effect.state.when_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
        effect.state.amount = cursor_number_between(cursor, 1, INT64_MAX);
        break;
    default: cursor->bad = true;
    }
    decision->effects[decision->effects_count++] = effect;
}

bool effects_decode(struct bytes bytes, struct rule *rules, struct decision *decision, bool *no_expire)
{
    struct cursor cursor = cursor_init(bytes);
    uint8_t encoding = format_read_head(&limiter_format, &cursor, no_expire);
    decision->fault = FAULT_NONE; /* no verdict, and of the effects only those that come: there is room for many */
    decision->effects_count = decision->rules_count = decision->sleeping_count = 0;
    decision->rules = NULL;
    memset(decision->from, -1, sizeof(decision->from));
    while (!cursor.bad && cursor.at < cursor.size) {
        if (decision->effects_count == EFFECTS_MAX) return false;
        effect_decode(&cursor, rules, decision);
    }
    return cursor_done(&cursor) && decision->effects_count > 0 && encoding == encoding_needed(decision);
}

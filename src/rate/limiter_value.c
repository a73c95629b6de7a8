/* What a limiter stores, and its only writer; see limiter_value.h. */
#include "quota/rate/limiter_value.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/rate/algorithm.h"
#include "quota/rate/takeover.h"

/* ---- stored states --------------------------------------------------------------------------------------- */

/* The functions of the object that rule `index` has. */
static const struct algorithm_object *object_of(const struct rule_set *set, uint32_t index)
{
    return algorithm_of(&set->rules[index])->object;
}

void **limiter_object_place(const struct limiter *limiter, uint32_t index)
{
    return (void **)&limiter->words[limiter->set->word_of[index]].object;
}

struct state limiter_stored_state(const struct limiter *limiter, uint32_t index)
{
    if (limiter_has_object(limiter->set, index))
        return object_of(limiter->set, index)->state(*limiter_object_place(limiter, index));
    const union state_word *words = limiter->words + limiter->set->word_of[index];
    struct state state = {.fresh = false};
    switch (limiter->set->words_of[index]) {
    case 3: state.rest = words[2].number;   /* fall through */
    case 2: state.amount = words[1].number; /* fall through */
    case 1: state.when_us = words[0].number;
    }
    return state;
}

void limiter_put_state(struct limiter *limiter, uint32_t index, const struct state *state)
{
    union state_word *words = limiter->words + limiter->set->word_of[index];
    if (limiter_has_object(limiter->set, index)) {
        words->object = object_of(limiter->set, index)->apply(words->object, state);
        return;
    }
    switch (limiter->set->words_of[index]) {
    case 3: words[2].number = state->rest;   /* fall through */
    case 2: words[1].number = state->amount; /* fall through */
    case 1: words[0].number = state->when_us;
    }
}

void limiter_put_object(struct limiter *limiter, uint32_t index, void *object)
{
    *limiter_object_place(limiter, index) = object;
}

/* Where an extra instant stands: the block first, then the queue's, at the end of the words. NULL = not kept. */
static int64_t *extra_word(const struct limiter *limiter, unsigned extra)
{
    if (!limiter || !(limiter->set->extras & extra)) return NULL;
    bool is_last = extra == EXTRA_QUEUE || !(limiter->set->extras & EXTRA_QUEUE);
    const union state_word *word = &limiter->words[limiter->set->words - (is_last ? 1 : 2)];
    return (int64_t *)&word->number;
}

int64_t limiter_blocked_until_us(const struct limiter *limiter)
{
    const int64_t *until_us = extra_word(limiter, EXTRA_BLOCK);
    return until_us ? *until_us : 0;
}

int64_t limiter_taken_until_us(const struct limiter *limiter)
{
    const int64_t *until_us = extra_word(limiter, EXTRA_QUEUE);
    return until_us ? *until_us : 0;
}

/* ---- applying -------------------------------------------------------------------------------------------- */

/* Moves the limiter to another layout: new rules, or an extra instant coming or going. */
static struct limiter *relayout(struct limiter *before, const struct rule *rules, uint32_t count, uint32_t sleeping,
                                const int8_t *from, uint8_t extras)
{
    const struct rule_set *set = rule_set_take(rules, count, sleeping, extras);
    size_t size = sizeof(struct limiter) + set->words * sizeof(union state_word);
    struct limiter *after = memory_alloc(size);
    memset(after, 0, size);
    after->set = set;
    if (!before) return after;

    for (uint32_t i = 0; i < count + sleeping; i++) {
        if (from[i] < 0 || set->words_of[i] == 0) continue;
        union state_word *old = before->words + before->set->word_of[from[i]];
        uint8_t old_count = before->set->words_of[from[i]], new_count = set->words_of[i];
        memcpy(after->words + set->word_of[i], old, (old_count < new_count ? old_count : new_count) * sizeof(*old));
        if (limiter_has_object(set, i)) old->object = NULL; /* moved, not to be freed below */
    }
    for (unsigned extra = EXTRA_BLOCK; extra <= EXTRA_QUEUE; extra <<= 1) {
        const int64_t *old = extra_word(before, extra);
        if (old && (extras & extra)) *extra_word(after, extra) = *old;
    }
    limiter_free(before);
    return after;
}

/* Sets an extra instant; 0 takes its word away. */
static struct limiter *apply_extra(struct limiter *limiter, uint8_t extra, int64_t until_us)
{
    static const int8_t in_place[RULES_MAX] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                               16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    uint8_t extras = limiter ? limiter->set->extras : 0;
    uint8_t wanted = until_us > 0 ? (uint8_t)(extras | extra) : (uint8_t)(extras & ~extra);
    if (!limiter) {
        limiter = relayout(NULL, NULL, 0, 0, in_place, wanted);
    } else if (wanted != extras) {
        const struct rule_set *set = limiter->set;
        limiter = relayout(limiter, set->rules, set->count, set->sleeping, in_place, wanted);
    }
    if (until_us > 0) *extra_word(limiter, extra) = until_us;
    return limiter;
}

/* New rules, and behind them those that sleep: their rules are stored ones. */
static struct limiter *apply_rules(struct limiter *limiter, const struct decision *decision)
{
    struct rule rules[RULES_MAX];
    uint32_t count = decision->rules_count, sleeping = limiter ? decision->sleeping_count : 0;
    uint8_t extras = limiter ? limiter->set->extras : 0;
    if (count > 0) memcpy(rules, decision->rules, count * sizeof(*rules));
    for (uint32_t i = count; i < count + sleeping; i++) rules[i] = limiter->set->rules[decision->from[i]];
    return relayout(limiter, rules, count, sleeping, decision->from, extras);
}

struct limiter *limiter_new(const struct rule *rules, uint32_t count, uint32_t sleeping)
{
    return relayout(NULL, rules, count, sleeping, NULL, 0);
}

static void withdraw(struct limiter *limiter, const struct effect *effect)
{
    void **object = limiter_object_place(limiter, effect->index);
    *object = object_of(limiter->set, effect->index)->withdraw(*object, effect->state.when_us, effect->state.amount);
}

struct limiter *limiter_apply(struct limiter *limiter, const struct decision *decision)
{
    for (uint32_t i = 0; i < decision->effects_count; i++) {
        const struct effect *effect = &decision->effects[i];
        switch (effect->kind) {
        case EFFECT_RULES: limiter = apply_rules(limiter, decision); break;
        case EFFECT_STATE: limiter_put_state(limiter, effect->index, &effect->state); break;
        case EFFECT_WITHDRAW: withdraw(limiter, effect); break;
        case EFFECT_BLOCK: limiter = apply_extra(limiter, EXTRA_BLOCK, effect->state.when_us); break;
        case EFFECT_QUEUE: limiter = apply_extra(limiter, EXTRA_QUEUE, effect->state.when_us); break;
        }
    }
    return limiter;
}

static bool state_is_sane(const struct rule *rule, const struct state *state)
{
    if (state->when_us < 0 || state->when_us > INSTANT_MAX_US || state->amount < 0 || state->rest < 0) return false;
    bool (*sane)(const struct rule *, const struct state *) = algorithm_of(rule)->sane;
    return !sane || sane(rule, state);
}

/* New rules of which each copies the numbers of one that may give them, and sleeping ones that are stored. */
static bool rules_are_accepted(const struct limiter *limiter, const struct decision *decision)
{
    const struct rule *stored = limiter ? limiter->set->rules : NULL;
    int total = limiter ? (int)rule_set_total(limiter->set) : 0;
    uint32_t count = decision->rules_count;
    if (count + decision->sleeping_count > RULES_MAX) return false;
    for (uint32_t i = 0; i < count + decision->sleeping_count; i++) {
        int from = decision->from[i];
        bool sleeps = i >= count;
        if (from >= total || (sleeps && (from < 0 || rule_is_constant(&stored[from])))) return false;
        if (!sleeps && from >= 0 && !takeover_may_copy(&stored[from], &decision->rules[i])) return false;
    }
    return true;
}

bool limiter_accepts(const struct limiter *limiter, const struct decision *decision)
{
    const struct rule *rules = limiter ? limiter->set->rules : NULL;
    uint32_t count = limiter ? rule_set_total(limiter->set) : 0;
    for (uint32_t i = 0; i < decision->effects_count; i++) {
        const struct effect *effect = &decision->effects[i];
        bool extra = effect->kind == EFFECT_BLOCK || effect->kind == EFFECT_QUEUE;
        if (extra && effect->state.when_us > INSTANT_MAX_US) return false;
        if (effect->kind == EFFECT_RULES) {
            if (i > 0 || !rules_are_accepted(limiter, decision)) return false; /* they stand first, once */
            rules = decision->rules;
            count = decision->rules_count;
        }
        if (effect->kind == EFFECT_WITHDRAW) {
            if (effect->index >= count || !algorithm_words(&rules[effect->index])) return false;
            if (!algorithm_of(&rules[effect->index])->object || effect->state.amount < 1) return false;
        }
        if (effect->kind == EFFECT_STATE) {
            if (effect->index >= count || rule_is_constant(&rules[effect->index])) return false;
            if (!state_is_sane(&rules[effect->index], &effect->state)) return false;
        }
    }
    return true;
}

int64_t limiter_rule_deadline_us(const struct limiter *limiter, uint32_t index)
{
    const struct rule *rule = &limiter->set->rules[index];
    if (rule_is_constant(rule)) return 0;
    struct state state = limiter_stored_state(limiter, index);
    return algorithm_of(rule)->deadline_us(rule, &state);
}

int64_t limiter_deadline_us(const struct limiter *limiter)
{
    if (!limiter) return 0;
    int64_t latest_us = max_i64(limiter_blocked_until_us(limiter), limiter_taken_until_us(limiter));
    for (uint32_t i = 0; i < rule_set_total(limiter->set); i++) {
        latest_us = max_i64(latest_us, limiter_rule_deadline_us(limiter, i));
    }
    return latest_us > 0 ? min_i64(latest_us + limiter->set->kept_us, INSTANT_MAX_US) : 0;
}

/* ---- borrowed limiters ----------------------------------------------------------------------------------- */

struct limiter *limiter_borrow(struct limiter_buffer *stack_buffer, const struct rule_set *set,
                               const union state_word *words)
{
    struct limiter *limiter = (void *)stack_buffer->bytes;
    limiter->set = set;
    memcpy(limiter->words, words, set->words * sizeof(*words));
    return limiter;
}

void limiter_release_objects(const struct limiter *limiter)
{
    for (uint32_t left = limiter->set->objects; left > 0; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(left);
        object_of(limiter->set, i)->free(*limiter_object_place(limiter, i));
    }
}

/* ---- the end --------------------------------------------------------------------------------------------- */

void limiter_free(struct limiter *limiter)
{
    if (!limiter) return;
    limiter_release_objects(limiter);
    rule_set_release(limiter->set);
    memory_free(limiter);
}

size_t limiter_objects_bytes(const struct limiter *limiter)
{
    size_t bytes = 0;
    for (uint32_t left = limiter->set->objects; left > 0; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(left);
        bytes += object_of(limiter->set, i)->bytes(*limiter_object_place(limiter, i));
    }
    return bytes;
}

size_t limiter_bytes(const struct limiter *limiter)
{
    return sizeof(*limiter) + limiter->set->words * sizeof(union state_word) + limiter_objects_bytes(limiter);
}

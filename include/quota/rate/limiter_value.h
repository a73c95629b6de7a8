/* What one rate-limit key stores: shared rules, one small state per rule, perhaps a block; and its only writer.
 *
 *     struct limiter │ set ─▶ shared rules │ state 0 │ state 1 … │ asleep … │ blocked until │ taken until │
 *                      8 bytes               8-24 bytes each                  only when blocked, waited for
 *
 *     decision (limiter.h) ─▶ effects[] ─▶ limiter_apply        here, on a replica, from an AOF, in a unit test
 *
 * A state is 1 to 3 words (algorithm.h), or the address of an object of its own, as a LOG has it. Effects are absolute:
 * what a state is from now on, not how it has changed. */
#pragma once

#include "quota/rate/rule_set.h"
#include "quota/rate/verdict.h"

enum effect_kind {
    EFFECT_RULES = 0,    /* the limiter now has decision.rules; states move by decision.from. Always the first */
    EFFECT_STATE = 1,    /* rule `index` now has this state */
    EFFECT_BLOCK = 2,    /* everything is refused until state.when_us; 0 = nothing is */
    EFFECT_QUEUE = 3,    /* all places are taken until state.when_us; 0 = they are free */
    EFFECT_WITHDRAW = 4, /* the log of rule `index` has state.amount less at the instant state.when_us */
};

struct effect {
    enum effect_kind kind;
    uint32_t index;
    struct state state;
};

/* New rules, what each takes over, what each is charged, a block, a queue: no decision needs more. */
#define EFFECTS_MAX (2 * RULES_MAX + 3)

struct decision {
    struct verdict verdict;
    enum fault fault; /* not FAULT_NONE: no verdict, no effects */
    uint32_t effects_count;
    struct effect effects[EFFECTS_MAX];
    const struct rule *rules; /* with EFFECT_RULES: the completed rules, borrowed */
    uint32_t rules_count, sleeping_count;
    /* For each new rule the old one whose numbers it keeps as they are, -1 = none; then those that sleep now. */
    int8_t from[RULES_MAX];
};

union state_word {
    int64_t number;
    void *object; /* where the algorithm has one: algorithm.h */
};

struct limiter {
    const struct rule_set *set;
    union state_word words[];
};

/* A limiter in borrowed memory, for values that keep the words of many under one rule set (segment.h). It is never
 * freed, and only effects that leave its rules alone are applied to it. */
#define LIMITER_WORDS_MAX (3 * RULES_MAX + 2)
struct limiter_buffer {
    _Alignas(struct limiter) char bytes[sizeof(struct limiter) + LIMITER_WORDS_MAX * sizeof(union state_word)];
};
struct limiter *limiter_borrow(struct limiter_buffer *stack_buffer, const struct rule_set *set,
                               const union state_word *words);

/* Frees what the words hold (objects), not the limiter itself. */
void limiter_release_objects(const struct limiter *limiter);

/* The only writer. Cannot fail; the limiter may move (NULL in = a new one). Effects must fit (effects_fit). */
struct limiter *limiter_apply(struct limiter *limiter, const struct decision *decision);

/* Do these effects, which came from outside, fit this limiter? */
bool limiter_accepts(const struct limiter *limiter, const struct decision *decision);

/* The instant from which rule `index` is fully replenished; and the one from which the limiter may be forgotten:
 * everything is fully replenished, no block stands, and it is kept no longer (algorithm.h: kept_us). */
int64_t limiter_rule_deadline_us(const struct limiter *limiter, uint32_t index);
int64_t limiter_deadline_us(const struct limiter *limiter);

/* Until when everything is refused; 0 = not blocked (or no longer: compare with now). */
int64_t limiter_blocked_until_us(const struct limiter *limiter);

/* Until when every place is taken; 0 = they are free (or by now: compare). */
int64_t limiter_taken_until_us(const struct limiter *limiter);

/* Has rule `index` an object, and where its address stands; and the rule's state put there. */
static inline bool limiter_has_object(const struct rule_set *set, uint32_t index)
{
    return set->objects >> index & 1;
}
void **limiter_object_place(const struct limiter *limiter, uint32_t index);
void limiter_put_state(struct limiter *limiter, uint32_t index, const struct state *state);

/* For the codec: a limiter under these rules whose words are all zero; what rule `index`, which may sleep, has stored
 * (fresh where nothing is); and a decoded object put in its place. */
struct limiter *limiter_new(const struct rule *rules, uint32_t count, uint32_t sleeping);
struct state limiter_stored_state(const struct limiter *limiter, uint32_t index);
void limiter_put_object(struct limiter *limiter, uint32_t index, void *object);

/* Frees the value and what it shares; NULL is allowed. Safe on any thread. */
void limiter_free(struct limiter *limiter);

/* Heap bytes of the objects that its words hold. */
size_t limiter_objects_bytes(const struct limiter *limiter);

/* Heap bytes of the value, its objects included, shared rules not. */
size_t limiter_bytes(const struct limiter *limiter);

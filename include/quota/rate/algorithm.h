/* The table of algorithms: a new one is one file and one row here.
 *
 *     load state ─▶ settle(now) ─▶ wait(cost) ── 0 ──▶ charge(cost) ─▶ available, deadline
 *                                     └─ > 0: denied, nothing changes
 *
 * Every function is pure: rule and instant in, numbers out; `state` is the caller's copy. Except for settle and
 * restate, the state given is settled. Rules are completed and not constant (limit > 0). */
#pragma once

#include "quota/base/buffer.h"
#include "quota/rate/rule.h"

/* What an algorithm does with a heap object that holds the state in place of numbers. The one word of such a rule is
 * its address; NULL is an object in which nothing has happened yet, and every function takes and answers it. */
struct algorithm_object {
    struct state (*state)(const void *object);               /* as numbers, which may point to the object */
    void *(*apply)(void *object, const struct state *state); /* makes it agree with what was decided; it may move */
    void *(*withdraw)(void *object, int64_t at_us, int64_t units); /* what refund_taken has found is taken out */
    int64_t (*nearest)(const void *object, int64_t at_us);         /* the instant nearest to this one that it counts */
    void (*encode)(const void *object, struct sink *sink);
    void *(*decode)(struct cursor *cursor); /* marks the cursor bad on anything that encode does not write */
    void (*free)(void *object);             /* any thread */
    size_t (*bytes)(const void *object);    /* heap bytes held */
};

struct algorithm {
    const char *name; /* as users write it */

    /* int64 words the state takes in memory: 1 = when_us, 2 = and amount, 3 = and rest. */
    int (*words)(const struct rule *rule);
    /* Brings the state to now: what has run off, left or ended is gone. Never moves a state back. */
    void (*settle)(const struct rule *rule, struct state *state, int64_t now_us);
    /* Whole units that fit now, >= 0. */
    int64_t (*available)(const struct rule *rule, const struct state *state, int64_t now_us);
    /* Time until `cost` (>= 0) fits if no other request comes: 0 = now, NEVER_US = never. */
    int64_t (*wait_us)(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us);
    /* Takes `cost` units, also beyond the limit (debt). On a fault the state is unusable. */
    enum fault (*charge)(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us);
    /* Gives up to `units` back, clamped at full; answers how many. */
    int64_t (*refund)(const struct rule *rule, struct state *state, int64_t units, int64_t now_us);
    /* The same for units that were taken at `taken_us`: what has left the window or been replenished since is not given
     * back. NULL = the rate says how much that is at least. */
    int64_t (*refund_taken)(const struct rule *rule, struct state *state, int64_t units, int64_t taken_us,
                            int64_t now_us);
    /* The instant from which the state is fully replenished; in the past or 0 when it is. */
    int64_t (*deadline_us)(const struct rule *rule, const struct state *state);
    /* How much longer a limiter is kept once all its rules are fully replenished; NULL = no longer. */
    int64_t (*kept_us)(const struct rule *rule);
    /* Units that are still owed or counted, rounded up; with debt they exceed the capacity. */
    int64_t (*used)(const struct rule *rule, const struct state *state, int64_t now_us);
    /* Windows: fits a state of the same period into a rule with another limit; true when it forgave some. NULL = the
     * algorithm has no such exact step, and only units pass to a changed rule. */
    bool (*clamp)(const struct rule *rule, struct state *state, int64_t now_us);
    /* GCRA: carries a stored state to another rule so that the debt stays what it is in time; NULL = cannot. */
    void (*restate)(const struct rule *before, const struct rule *after, struct state *state);
    /* Could charge have made this state? NULL where any three numbers in range are possible. */
    bool (*sane)(const struct rule *rule, const struct state *state);
    /* How long a request admitted now waits for its turn; NULL = never waits. */
    int64_t (*delay_us)(const struct rule *rule, const struct state *state, int64_t now_us);
    /* NULL = the state is numbers and nothing else. */
    const struct algorithm_object *object;
};

extern const struct algorithm algorithms[RULE_ALGORITHMS_COUNT];

static inline const struct algorithm *algorithm_of(const struct rule *rule)
{
    return &algorithms[rule->algorithm];
}

/* Words of a rule's state, 0 for a constant rule. */
static inline int algorithm_words(const struct rule *rule)
{
    return rule_is_constant(rule) ? 0 : algorithm_of(rule)->words(rule);
}

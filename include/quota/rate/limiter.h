/* A limiter is the value of one rate-limit key: shared rules, one small state per rule, perhaps a block.
 *
 *     key ─▶ struct limiter │ set ─▶ shared rules │ state 0 │ state 1 … │ asleep … │ blocked until │ taken until │
 *                             8 bytes               8-24 bytes each                  only when blocked, waited for
 *
 *     request ─▶ limiter_decide (reads only) ─▶ decision │ verdict   what to answer
 *                                                        │ effects[] what to change ─▶ limiter_apply (the only writer)
 *
 * Several rules decide together: all admit or none is charged. Deciding writes nothing and allocates nothing; a
 * decision without effects leaves everything as it was. A replica, an AOF load and a unit test enter by apply.
 *
 * A request has one cost for all rules, or one for each: `COST 1 850` is a call of 850 tokens. A cost of 0 among
 * several leaves its rule alone: it neither decides nor changes. granted is then the cost of the rule that decides.
 *
 * Places in the future: a request with time to wait takes the place that comes first, as if it came at that instant;
 * from then on no other is admitted before it, whatever the rules say. Clients that wait are charged like that to a
 * copy only (module/allow_waiting.h); what is charged at once, in MULTI and scripts, to the limiter itself.
 *
 * A TOKEN bucket whose INITIAL is below the cost of the first request begins with that request, also when it is denied
 * (limiter_request.begins): the denial stores it, else its wait would not come true.
 *
 * Rules come with each request. What was used under the stored ones passes to them in units, as of the first request
 * under them (takeover.h); that request stores it, also when it is denied. A peek only computes it.
 *
 * A stored rule that has no successor among them sleeps: its state stays behind the others until it is fully
 * replenished, does not decide, and is found again by algorithm and period when such a rule comes back. So a key that
 * has one set of rules by day and another by night does not begin anew twice a day. */
#pragma once

#include "quota/rate/rule_set.h"
#include "quota/rate/takeover.h"
#include "quota/rate/verdict.h"

enum request_mode {
    MODE_ALL,   /* all of the cost or nothing */
    MODE_UPTO,  /* as much of it as there is, at least one unit */
    MODE_PEEK,  /* answer as MODE_ALL would, take nothing */
    MODE_FORCE, /* take it, into debt if need be */
};

struct limiter_request {
    int64_t cost; /* units, >= 1; 0 only looks (RL.THROTTLE) */
    /* NULL, or a cost for each rule, >= 0, one of them at least 1; `cost` is the largest then. Not with MODE_UPTO. */
    const int64_t *costs;
    int64_t block_us; /* after a denial refuse everything for so long; 0 = do not */
    int64_t wait_us;  /* take a place that comes within so long; 0 = only one that is there. MODE_ALL and MODE_PEEK */
    int64_t now_us;   /* > 0 */
    int64_t rules_us; /* since when these rules hold: what stands under others goes over to them then; 0 = now */
    enum request_mode mode;
    const struct rule_parts *parts; /* NULL, or the rule sets that take turns with these rules: takeover.h */
    bool kept;   /* the limiter is never forgotten, also once it is fully replenished: an account's */
    bool begins; /* a denial begins an unused TOKEN bucket; without it such a bucket never admits more than INITIAL */
    bool keeps_debt; /* between two GCRA rules the debt stays what it is in time (redis-cell): takeover.h */
};

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

/* The words of `before` go over to the rules of `after` as of `as_of_us`; its objects move along. */
void limiter_carry(struct limiter *before, struct limiter *after, int64_t as_of_us);

/* Frees what the words hold (objects), not the limiter itself. */
void limiter_release_objects(const struct limiter *limiter);

/* Decides a request against `limiter` (NULL = nothing is stored). `rules` are valid (rule_fault); they are completed
 * here when they differ from the stored ones and must outlive the decision. */
void limiter_decide(const struct limiter *limiter, struct rule *rules, uint32_t rules_count,
                    const struct limiter_request *request, struct decision *decision);

/* Goes over to these rules as of `at_us`, without a request. No effects where it has them, or has nothing to take over.
 * */
void limiter_decide_rules(const struct limiter *limiter, struct rule *rules, uint32_t rules_count, int64_t at_us,
                          struct decision *decision);

/* When units were taken that come back. */
struct taken_when {
    int64_t at_us;
    bool
        about; /* as a client has measured it: a LOG takes the entry nearest to it, else the one of that very instant */
};
#define TAKEN_UNKNOWN INT64_MIN
#define TAKEN_NEWEST  ((struct taken_when){.at_us = TAKEN_UNKNOWN}) /* they count as the newest */

/* Gives units back to rule `index`, or to all rules (-1): answers the most that one rule took back. What has left a
 * rule's window or been replenished since the units were taken is not given back: a window gets them back where they
 * were counted, a LOG out of one entry. */
int64_t limiter_decide_refund(const struct limiter *limiter, int64_t units, int32_t index, struct taken_when taken,
                              int64_t now_us, struct decision *decision);

/* Gives back what a request with these costs has taken, one for each of the limiter's `count` rules; nothing where it
 * has another number of rules by now. */
void limiter_decide_return(const struct limiter *limiter, const int64_t *costs, uint32_t count, int64_t now_us,
                           struct decision *decision);

/* Refuses everything until `until_us`; 0 lifts the block. */
void limiter_decide_block(const struct limiter *limiter, int64_t until_us, struct decision *decision);

/* The only writer. Cannot fail; the limiter may move (NULL in = a new one). Effects must fit (effects_fit). */
struct limiter *limiter_apply(struct limiter *limiter, const struct decision *decision);

/* Do these effects, which came from outside, fit this limiter? */
bool limiter_accepts(const struct limiter *limiter, const struct decision *decision);

/* The instant from which the limiter is as good as none: everything has run off and no block stands. */
int64_t limiter_deadline_us(const struct limiter *limiter);

/* Until when everything is refused; 0 = not blocked (or no longer: compare with now). */
int64_t limiter_blocked_until_us(const struct limiter *limiter);

/* Until when every place is taken; 0 = they are free (or by now: compare). */
int64_t limiter_taken_until_us(const struct limiter *limiter);

/* Rule `index` alone, as it stands at `now_us`: its stored state, what remains and when it is new again. */
void limiter_look(const struct limiter *limiter, uint32_t index, int64_t now_us, struct state *state,
                  struct verdict *verdict);

/* Every one of these rules as it stands at `now_us`, if a request came with them: nothing granted, nothing changed. */
void limiter_report(const struct limiter *limiter, struct rule *rules, uint32_t rules_count, int64_t now_us,
                    struct verdict verdicts[RULES_MAX]);

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

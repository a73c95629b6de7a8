/* Rule sets, shared: equal rules stand in memory once, however many keys use them.
 *
 *     key a ─┐                    ┌ rules: 10 1s, 1000 1h ┐
 *     key b ─┼─▶ struct rule_set  │ users: 3              │   a bucket then costs a pointer and its state
 *     key c ─┘                    └───────────────────────┘
 *
 * Any thread may take and give back: intern.h. */
#pragma once

#include "quota/base/intern.h"
#include "quota/rate/rule.h"

/* Instants that a limiter may keep behind its rules' words: until when it refuses, until when its places are taken. */
enum rule_set_extra {
    EXTRA_BLOCK = 1,
    EXTRA_QUEUE = 2,
};

struct rule_set {
    struct interned interned;
    int64_t ttl_granularity_us;  /* a power of two: how finely the keys' times to live are kept, see rule_set_take */
    uint32_t count;              /* rules that decide, 0 … RULES_MAX */
    uint32_t sleeping;           /* rules behind them that only keep their states: limiter.h. RULES_MAX together */
    uint32_t objects;            /* a bit for each rule whose one word is the address of a heap object: algorithm.h */
    int64_t kept_us;             /* how long a limiter is kept once it is fully replenished: algorithm.h */
    uint8_t extras;              /* enum rule_set_extra: which of them follow the rules' words, in this order */
    uint8_t words;               /* all words of a limiter with these rules */
    uint8_t word_of[RULES_MAX];  /* where each rule's words begin */
    uint8_t words_of[RULES_MAX]; /* how many it has; 0 for constant rules */
    struct rule rules[];         /* `count` completed rules, then `sleeping` ones, then nothing */
};

/* All rules that have a place among the words. */
static inline uint32_t rule_set_total(const struct rule_set *set)
{
    return set->count + set->sleeping;
}

/* The shared set of these completed rules, `count` that decide and then `sleeping` ones; give it back with
 * rule_set_release.
 *
 * Its granularity is at most eight units' worth of time or a quarter of the period, whichever is less, of the coarsest
 * rule. The time to live of a key is its deadline rounded up to that granularity: the key is kept a little longer than
 * needed, and most requests leave its time to live alone. */
const struct rule_set *rule_set_take(const struct rule *rules, uint32_t count, uint32_t sleeping, uint8_t extras);

/* The same set once more. */
const struct rule_set *rule_set_share(const struct rule_set *set);

/* Gives a set back; the last one to do so frees it. */
void rule_set_release(const struct rule_set *set);

/* Sets in use, and their heap bytes: for INFO. */
int64_t rule_sets_count(void);

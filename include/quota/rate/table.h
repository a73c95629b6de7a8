/* A limiter table is the value of one RL.TABLE key: one rule set and any number of subjects, each with its own state.
 *
 *     subject ── siphash ──▶ │ leading bits: which segment │ … │ last byte: its home in there │
 *
 *     directory  │ 00 │ 01 │ 10 │ 11 │        2^depth places; a segment of less depth stands in several of them
 *                  └──┬──┘    │    │
 *                  segment  segment segment   up to 256 packed subjects each (segment.h)
 *
 *     request ─▶ table_decide_take ─▶ decision (of limiter.h, for this subject) ─▶ table_apply (the only writer)
 *
 * Extendible hashing: a full segment splits in two, and only when it was the deepest does the directory, which is but
 * pointers, double. No step moves more than 256 subjects and one directory, so growth makes no pause.
 *
 * Idle subjects, those fully replenished, are swept by bounded work: every 256 changes one segment is looked through,
 * in turn, and a full one before it splits; neighbours that have emptied become one again. What that does follows from
 * the table and from the instant that travels with the change: replicas and reloaded servers sweep alike.
 *
 * New rules hold at once and cost nothing: each segment goes over, as of the instant of the change, when next one of
 * its subjects changes.
 *
 * Source: R. Fagin, J. Nievergelt, N. Pippenger, H. R. Strong, "Extendible hashing", ACM TODS 4(3), 1979. */
#pragma once

#include "quota/rate/segment.h"

#define TABLE_SUBJECTS_MAX 10000000
#define TABLE_DEPTH_MAX    18 /* a directory of 2 MB: TABLE_SUBJECTS_MAX in segments of 38 would fit */

struct table {
    const struct rule_set *set;
    int64_t rules_us; /* since when they hold */
    struct siphash_key key;
    struct segment **directory; /* 2^depth of them */
    size_t bytes;               /* heap held, this struct included */
    uint64_t swept;             /* leading bits of a hash: the segments before it have had their turn */
    uint32_t subjects, segments;
    uint8_t depth;
    uint8_t changes; /* since the last turn; it wraps around, and at 0 it is the next one's */
};

struct table_decision {
    struct decision limits; /* verdict, fault, and what changes in the subject's state */
    struct bytes subject;   /* borrowed from the request */
    uint64_t hash;          /* the subject's, under the table's key */
    int64_t now_us;
    bool new_rules;         /* limits.rules hold from now on; no subject changes */
    bool new_subject;       /* decided for a subject that the table does not hold */
    struct siphash_key key; /* of a table that is new */
};

/* Makes a table, or gives it other rules; no effect when they are the rules it has. `rules` are valid and outlive the
 * decision; `key` is a secret for a new table. */
void table_decide_rules(const struct table *table, struct rule *rules, uint32_t rules_count, int64_t now_us,
                        struct siphash_key key, struct table_decision *decision);

/* Decides a request of one subject: its cost, mode and now count, as in limiter_decide. FAULT_FULL: a new subject, and
 * TABLE_SUBJECTS_MAX are held. */
void table_decide_take(const struct table *table, struct bytes subject, const struct limiter_request *request,
                       struct table_decision *decision);

static inline bool table_decision_has_effects(const struct table_decision *decision)
{
    return decision->new_rules || decision->limits.effects_count > 0;
}

/* The only writer. Cannot fail; NULL in = a new table, by new rules. Effects must fit (table_accepts). */
struct table *table_apply(struct table *table, const struct table_decision *decision);

/* Do these effects, which came from outside, fit this table? If so the decision knows its subject's hash. */
bool table_accepts(const struct table *table, struct table_decision *decision);

void table_free(struct table *table); /* NULL is allowed. Safe on any thread */
size_t table_bytes(const struct table *table);

/* Places of the directory that a segment stands in; the segments in their order are
 *     for (uint32_t place = 0; place < UINT32_C(1) << table->depth; place += table_places(table, place)) */
uint32_t table_places(const struct table *table, uint32_t place);

/* For the codec: a table with these rules and an empty directory, and a segment put where it belongs: at `place`,
 * which is a multiple of its places. A table is whole when every place has its segment. */
struct table *table_begin(const struct rule *rules, uint32_t rules_count, int64_t rules_us, struct siphash_key key,
                          uint8_t depth);
void table_put(struct table *table, uint32_t place, struct segment *segment);

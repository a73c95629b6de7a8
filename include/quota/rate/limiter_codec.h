/* Bytes of a limiter and of its effects: one form for RDB, AOF, DUMP, COPY, digest, replication and the fuzzers.
 *
 *     value    head: 1 │ rules │ rule … │ state of each rule that has one … │ blocked_until │ taken_until
 *              head: 2 │ rules │ sleeping │ rule … │ …                        only where rules sleep
 *     effects  head: 1 │ (kind×32 + index) body │ …                           up to the end
 *              head: 2 │ (0×32 + sleeping) rules, then the stored rule of each that sleeps │ …
 *
 *     rule     rule_codec.h
 *     state    when │ amount │ rest             (RULE_LOG in a value: its entries, sliding_log.h)
 *
 * Heads are those of head.h, numbers are varints (buffer.h). A GCRA admission is 12 bytes of effects. What is decoded
 * is validated as if a stranger had written it; whatever is accepted is encoded again to the very same bytes. */
#pragma once

#include "quota/base/head.h"
#include "quota/rate/limiter.h"

#define LIMITER_KIND 0

/* Encodings are named by what they added. What the first can say is written in it. */
enum limiter_encoding {
    ENCODING_LIMITER = 1,
    ENCODING_SLEEPING = 2, /* values and effects with rules that sleep; effects that withdraw from a log */
    ENCODING_NEWEST = ENCODING_SLEEPING,
};

extern const struct format limiter_format;

/* The value as bytes; equal values give equal bytes. */
void limiter_encode(const struct limiter *limiter, struct sink *sink);

/* NULL when the bytes are not a limiter (truncated, mutated, newer). */
struct limiter *limiter_decode(struct bytes bytes);

/* A copy, to be freed; NULL of NULL. */
struct limiter *limiter_clone(const struct limiter *limiter);

/* One state that is no log. */
void state_encode(const struct state *state, struct sink *sink);
struct state state_decode(struct cursor *cursor);

/* The states alone, where the rules are known: one after another, as in a value. Reading fills a limiter whose words
 * are all zero, borrowed or not; false, and nothing changed, when they do not fit its rules. */
void limiter_states_encode(const struct limiter *limiter, struct sink *sink);
bool limiter_states_decode(struct cursor *cursor, struct limiter *limiter);

/* `no_expire`: the key gets no time to live on the server that applies this (test clock). */
void effects_encode(const struct decision *decision, bool no_expire, struct sink *sink);

/* Reads effects into `decision`, new rules into `rules` (RULES_MAX of them). False when the bytes are no effects;
 * limiter_accepts decides whether they fit a limiter. */
bool effects_decode(struct bytes bytes, struct rule *rules, struct decision *decision, bool *no_expire);

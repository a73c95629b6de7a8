/* A segment holds up to 256 subjects of a limiter table: their names and their states under one rule set, packed.
 *
 *     struct segment │ set │ depth │ count …
 *     homes          │ 03 │ 11 │ 11 │ 7f │ e2 │ free         one byte of each name's hash, ascending: the index
 *     slots          │ name  words │ name  words │ …         in the same order; names up to 15 bytes stand inside
 *
 * A subject is found by one memchr over the homes (at most 256 bytes) and, as a rule, one comparison of names. Subjects
 * with the same home stand in the order of their names, so equal contents lie in equal order, whatever came first:
 * primary, replica and reloaded server have the same bytes.
 *
 * Cost: a byte, 16 bytes and the words of the rules for each subject (8 for most GCRA rules), some room to grow, and a
 * heap block for a name beyond 15 bytes. Every operation works on one segment only.
 *
 * A segment may stand under rules its table no longer has; segment_carry brings it up to date. */
#pragma once

#include "quota/base/siphash.h"
#include "quota/rate/limiter.h"

#define SEGMENT_SUBJECTS  256 /* at which a segment is split; one that cannot be split grows on */
#define SUBJECT_BYTES_MAX 512 /* of a name */

struct segment;

/* An empty segment under these rules; `depth` leading bits of the hash are the same for all of its subjects. */
struct segment *segment_new(const struct rule_set *set, uint8_t depth);
void segment_free(struct segment *segment);

const struct rule_set *segment_set(const struct segment *segment);
uint8_t segment_depth(const struct segment *segment);
uint32_t segment_count(const struct segment *segment);
size_t segment_bytes(const struct segment *segment); /* heap bytes, names and objects included */

/* Where the subject of this hash stands; false: where it would have to. */
bool segment_find(const struct segment *segment, uint64_t hash, struct bytes name, uint32_t *at);

/* Puts a new subject, with no state yet, at the place segment_find gave; the segment may move. */
struct segment *segment_insert(struct segment *segment, uint32_t at, uint64_t hash, struct bytes name);

/* The name of subject `at`, borrowed until the segment changes, and its state as a limiter. */
struct bytes segment_name(const struct segment *segment, uint32_t at);
struct limiter *segment_borrow(const struct segment *segment, uint32_t at, struct limiter_buffer *stack_buffer);

/* Applies effects that change states and nothing else. */
void segment_apply(struct segment *segment, uint32_t at, const struct decision *decision);

/* Gives a subject that segment_insert has just made this state, objects included. */
void segment_put(struct segment *segment, uint32_t at, const struct limiter *limiter);

/* Is there a subject that is fully replenished at `now_us`? */
bool segment_has_idle(const struct segment *segment, int64_t now_us);

/* Drops every such subject; the segment may move. */
struct segment *segment_sweep(struct segment *segment, int64_t now_us);

/* The same subjects under other rules, which hold since `as_of_us`; the old segment is gone. */
struct segment *segment_carry(struct segment *segment, const struct rule_set *set, int64_t as_of_us);

/* Two segments of one more bit of depth: those whose next bit is 0, and those with 1. The old one is gone. */
void segment_split(struct segment *segment, const struct siphash_key *key, struct segment *halves[2]);

/* Back to one, with one bit less; both are gone. They stand under the same rules. */
struct segment *segment_merge(struct segment *low, struct segment *high);

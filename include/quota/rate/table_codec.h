/* Bytes of a limiter table and of its changes: one form for RDB, AOF, DUMP, COPY, digest, replication and the fuzzers.
 *
 *     value    head │ rules_us │ key │ key │ swept │ changes │ depth │ rule sets │ rules … │ segment …
 *              the first rule set is the present one; the others are those that some segment still stands under
 *     segment  depth │ which rule set │ count │ (name │ states) …     in the order of the directory, until it is full
 *
 *     effects  head + no_expire×128 │ now │ 0 │ rule … up to the end, after the key            new rules
 *                                       │ 1 │ subject │ (index │ state) … up to the end      a subject's states
 *                                       │ 2 │ subject │ number │ (index │ state) … │ subject …   of many subjects
 *
 * The head names kind and encoding (head.h); numbers are varints (buffer.h), the key's and swept's words
 * eight bytes each. A subject costs its name and eleven bytes (GCRA). What is decoded is validated as if a stranger had
 * written it, the place of every subject included; whatever is accepted is encoded again to the very same bytes. */
#pragma once

#include "quota/base/head.h"
#include "quota/rate/table.h"

#define TABLE_KIND 5

/* Encodings are named by what they added. */
enum table_encoding {
    TABLE_ENCODING_TABLE = 1,
    TABLE_ENCODING_NEWEST = TABLE_ENCODING_TABLE,
};

extern const struct format table_format;

/* The value as bytes; equal values give equal bytes. */
void table_encode(const struct table *table, struct sink *sink);

/* NULL when the bytes are no table (truncated, mutated, newer). */
struct table *table_decode(struct bytes bytes);

/* A decision that changes something. `no_expire` is kept for the one form all kinds share: a table never expires. */
void table_effects_encode(const struct table_decision *decision, bool no_expire, struct sink *sink);

/* The same of many subjects: what stands in front of them, and then each decision that changes something. */
void table_takes_begin(int64_t now_us, bool no_expire, struct sink *sink);
void table_takes_add(const struct table_decision *decision, struct sink *sink);

/* Are these such effects? And repeats them: all of them fit the table, or nothing is touched (false). */
bool table_are_takes(struct bytes bytes);
bool table_takes_repeat(struct table *table, struct bytes bytes, bool *no_expire);

/* Reads effects of the two other kinds, new rules into `rules` (RULES_MAX of them). False when the bytes are no such
 * effects; whether they fit a table, table_accepts decides. The subject is borrowed. */
bool table_effects_decode(struct bytes bytes, struct rule *rules, struct table_decision *decision, bool *no_expire);

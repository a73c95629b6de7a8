/* Bytes of an adaptive limit and of its changes: one form for RDB, AOF, DUMP, COPY, digest and replication.
 *
 *     value    head │ seen │ config │ limit │ debt │ sample
 *     effects  head + no_expire×128 │ parts │ seen │ of these four those that `parts` names
 *
 *     config   min │ max │ algorithm │ interval │ step │ errors │ target │ backoff │ timeout │ tolerance
 *     limit    limit_q │ long_q │ longs                  debt     debt │ rest │ second │ taken │ taken before
 *     sample   start │ reports │ errors │ latencies │ latency sum │ loads │ load sum
 *
 * The head names kind and encoding (head.h); numbers are varints (buffer.h). What is decoded is validated as
 * if a stranger had written it; whatever is accepted is encoded again to the very same bytes. */
#pragma once

#include "quota/base/head.h"
#include "quota/rate/adaptive.h"

#define ADAPTIVE_KIND 3

/* Encodings are named by what they added. */
enum adaptive_encoding {
    ADAPTIVE_ENCODING_ADAPTIVE = 1,
    ADAPTIVE_ENCODING_NEWEST = ADAPTIVE_ENCODING_ADAPTIVE,
};

extern const struct format adaptive_format;

/* The value as bytes; equal values give equal bytes. */
void adaptive_encode(const struct adaptive *adaptive, struct sink *sink);

/* NULL when the bytes are no adaptive limit (truncated, mutated, newer). */
struct adaptive *adaptive_decode(struct bytes bytes);

/* A decision that changes something. `no_expire`: the key gets no time to live where this is applied (test clock). */
void adaptive_effects_encode(const struct adaptive_decision *decision, bool no_expire, struct sink *sink);

/* False when the bytes are no effects; adaptive_accepts decides whether they fit a value. */
bool adaptive_effects_decode(struct bytes bytes, struct adaptive_decision *decision, bool *no_expire);

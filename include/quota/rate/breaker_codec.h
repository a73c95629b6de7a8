/* Bytes of a breaker and of its changes: one form for RDB, AOF, DUMP, COPY, digest, replication and the fuzzers.
 *
 *     value    head │ config │ state + force×4 │ seen │ seen - since │ seen - requested │ closed: n │ slice … n
 *                                                                                  │ half-open: succeeded │ probing
 *                                                                                  │            │ seen - admitted …
 *     config   failures │ rate │ calls_min │ window │ slow │ slow_rate │ open │ probes
 *     slice    calls │ failures │ slow                     newest first; the last one is not empty
 *
 *     effects  head + no_expire×128 │ parts │ seen │ for each part: config │ state + force×4 │ nothing │ slice │ probes
 *
 * The head names kind and encoding (head.h); numbers are varints (buffer.h). A report is 13 bytes. What is
 * decoded is validated as if a stranger had written it; whatever is accepted is encoded again to the same bytes. */
#pragma once

#include "quota/base/head.h"
#include "quota/rate/breaker.h"

#define BREAKER_KIND 2

/* Encodings are named by what they added. */
enum breaker_encoding {
    BREAKER_ENCODING_BREAKER = 1,
    BREAKER_ENCODING_NEWEST = BREAKER_ENCODING_BREAKER,
};

extern const struct format breaker_format;

/* The value as bytes; equal values give equal bytes. */
void breaker_encode(const struct breaker *breaker, struct sink *sink);

/* NULL when the bytes are no breaker (truncated, mutated, newer). */
struct breaker *breaker_decode(struct bytes bytes);

/* A decision that changes something. `no_expire`: the key gets no time to live where this is applied (test clock). */
void breaker_effects_encode(const struct breaker_decision *decision, bool no_expire, struct sink *sink);

/* False when the bytes are no effects; breaker_accepts decides whether they fit a value. */
bool breaker_effects_decode(struct bytes bytes, struct breaker_decision *decision, bool *no_expire);

/* Bytes of a lease key and of its changes: one form for RDB, AOF, DUMP, COPY, digest, replication and the fuzzers.
 *
 *     value    head │ seen │ last token │ count │ lease …           in order of tokens, each one's step from the last
 *     lease    token step │ cost │ seen - acquired │ expires - seen │ id
 *
 *     effects  head + no_expire×128 │ change │ settled │ open:  ±(token - settled) │ cost │ expires - settled │ id
 *                                                    │ move:  expires - settled │ id
 *                                                    │ close: id
 *
 * The head names kind and encoding (head.h); numbers are varints (buffer.h). An acquire is 15 bytes and the
 * id. What is decoded is validated as if a stranger had written it; whatever is accepted is encoded again to the very
 * same bytes. */
#pragma once

#include "quota/base/head.h"
#include "quota/rate/lease.h"

#define LEASE_KIND 1

/* Encodings are named by what they added. */
enum lease_encoding {
    LEASE_ENCODING_LEASES = 1,
    LEASE_ENCODING_NEWEST = LEASE_ENCODING_LEASES,
};

extern const struct format lease_format;

/* The value as bytes; equal values give equal bytes. */
void leases_encode(const struct leases *leases, struct sink *sink);

/* NULL when the bytes are no leases (truncated, mutated, newer). */
struct leases *leases_decode(struct bytes bytes);

/* A decision that changes something. `no_expire`: the key gets no time to live where this is applied (test clock). */
void lease_effects_encode(const struct lease_decision *decision, bool no_expire, struct sink *sink);

/* False when the bytes are no effects; leases_accepts decides whether they fit a value. Ids are borrowed. */
bool lease_effects_decode(struct bytes bytes, struct lease_decision *decision, bool *no_expire);

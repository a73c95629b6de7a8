/* Bytes of an account and of its changes: one form for RDB, AOF, DUMP, COPY, digest, replication and the fuzzers.
 *
 *     value    head │ settled │ anchor± │ state │ zone │ plan │ expires │ next plan, its instant
 *              │ number of slots │ slot … │ idempotency │ grants │ number of parts of reservations │ id, hold …
 *              │ number of audit entries │ entry …
 *     grants   highest number; where it is not 0: ids that are never forgotten │ number of grants │ id, grant …
 *     slot     resource │ windows │ rates │ override plan, until │ sliding logs │ histories
 *     effects  head + no_expire×128 │ settled │ change …                                           (change.h)
 *              or, where these changes make events: … settled │ 0 │ level │ epoch, sequence of the first │ change …
 *
 * The head names kind and encoding (head.h); numbers are varints (buffer.h). Denials that no change has
 * written down are not part of the value. What is decoded is validated as if a stranger had written it; whatever is
 * accepted is encoded again to the very same bytes. */
#pragma once

#include "quota/account/account.h"
#include "quota/base/head.h"

#define ACCOUNT_KIND  4
#define EVENTS_FOLLOW 0 /* in the place of the first change's kind */

extern const struct format account_format; /* its encodings: change.h */

/* The value as bytes; equal values give equal bytes. */
void account_encode(const struct account *account, struct sink *sink);

/* NULL when the bytes are no account (truncated, mutated, newer). */
struct account *account_decode(struct bytes bytes);

/* Changes on their way; `no_expire` as for every kind. */
void account_effects_encode(const struct account_change *change, bool no_expire, struct sink *sink);

/* False when the bytes are no effects; whether they fit an account, account_accepts says. Changes are borrowed. */
bool account_effects_decode(struct bytes bytes, struct account_change *change, bool *no_expire);

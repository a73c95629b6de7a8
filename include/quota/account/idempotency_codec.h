/* The bytes of idempotency records, a part of the bytes of an account (account_codec.h).
 *
 *     records    number of them │ record │ record …     oldest first
 *     record     stored, step from the record before± │ expires - stored │ key │ body */
#pragma once

#include "quota/account/idempotency.h"
#include "quota/base/buffer.h"

/* Equal contents give equal bytes, whatever their history. */
void idempotency_encode(const struct idempotency_store *store, struct sink *sink);

/* Reads what encode wrote; marks the cursor bad on anything else. NULL for none. Needs no more than a small multiple of
 * the bytes it reads; whatever it accepts is encoded to the very same bytes again. `may_repeat`: a key may come again,
 * as the first encoding had it, and only its last record is kept; else that is refused. */
struct idempotency_store *idempotency_decode(struct cursor *cursor, bool may_repeat);

/* Idempotency records as an account has them, for the tests of the container and of its bytes. */
#pragma once

#include "quota/account/idempotency.h"

/* What an account stores: two bytes of what it is about and an id of 24, and what was answered; for a day. Its spans
 * are good until the next call. */
struct idempotency_entry usual_entry(uint32_t number, int64_t stored_us);

/* Key, body and instants are the same. */
void assert_same_entry(const struct idempotency_entry *left, const struct idempotency_entry *right);

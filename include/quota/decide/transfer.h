/* Transfers: credits that go from one account to another, of the same resource, in one step.
 *
 *     source   grants in burn order ─▶ lots: a part of each, until the amount is there        all of it, or nothing
 *     target   a grant for each lot, `<id>/0` …, of its priority and expiry ─▶ pays for what is over
 *
 * Credits go, limits do not. PROMO grants and what reservations hold stay. What a recurring grant gives ends at its
 * next recurrence: the rest of its life stays with the source. Both accounts change in one transaction. */
#pragma once

#include "quota/decide/operate.h"

#define TRANSFER_ID_BYTES_MAX (ID_BYTES_MAX - 8) /* behind it the number of a lot finds room */

struct transfer_request {
    struct bytes id, resource; /* id: 1 … TRANSFER_ID_BYTES_MAX bytes */
    struct bytes target;       /* the other account's key: with the amount the content of the id */
    int64_t amount;            /* units, 1 or more */
};

/* Moves credits: from->result.transferred; moved is 0, and nothing changes, where the source has not enough. A fault of
 * `from` is about the source, one of `to` about the target: ACCOUNT_FAULT_MISSING, _RESOURCE, _CONFLICT, _GRANTS,
 * _RECORDS. Both decisions are begun here and ended by the caller. */
void transfer_decide(const struct account *source, const struct account *target, const struct account_host *host,
                     const struct transfer_request *request, const struct admin_action *action,
                     struct account_decision *from, struct account_decision *to);

/* What becomes of a reservation (reserve.h): posted, released, extended.
 *
 *     COMMIT ─▶ each part: what is held is posted to the cycle it was made in, the rest goes back ─┐ one record of
 *               FORCE: what is beyond is drawn like a consumption, whatever the limits say        ─┘ all parts
 *
 * A cycle that has closed meanwhile keeps its promise: what is posted late counts there (backdate.h), and in every
 * LIMIT that has joined since. COMMIT … FORCE posts more than was held, also after the reservation has expired.
 *
 * The accounts above that hold the reservation, too, do the same with their parts (levels.h), and have no record of it.
 * One that does not hold it any more, or never did, since this account is a copy, counts what is posted all the
 * same. */
#pragma once

#include "quota/decide/lineage.h"

struct commit_request {
    struct bytes id;
    const int64_t *amounts; /* of each item in the order of the reservation, 0 … what is held; with `force` any */
    uint32_t count;         /* 0 = all that is held */
    bool release;           /* nothing of anything; `count` is 0 */
    bool force;
    const struct lineage *lineage; /* the accounts that reservation_levels names; NULL = none */
    int64_t now_us;
};

/* What the request posts of an item that holds so much. */
static inline int64_t commit_amount(const struct commit_request *request, uint32_t item, int64_t held)
{
    if (request->release) return 0;
    return request->count == 0 ? held : request->amounts[item];
}

/* Posts the amounts, releases the rest. Answers result.resolved, of each item. */
void commit_decide(const struct account *account, const struct account_host *host, const struct commit_request *request,
                   struct account_decision *decision);

struct extend_request {
    struct bytes id;
    int64_t ttl_us;
    const struct lineage *lineage; /* as above */
    int64_t now_us;
};

/* Lets it end at now + `ttl_us`, sooner or later than it would have. Answers result.expires_us: that instant. */
void extend_decide(const struct account *account, const struct account_host *host, const struct extend_request *request,
                   struct account_decision *decision);

/* Reservations: units held now, posted or released later, each at most once.
 *
 *               RESERVE ────────────── live ──────────────▶ expires: exactly at its end, on every path that reads
 *                 │ held                 │
 *                 ├── COMMIT n ──▶ n posted to the cycle it was made in, the rest released ─▶ RESOLVED ever after,
 *                 ├── RELEASE ───▶ nothing posted ──────────────────────────────────────────▶ but the same command
 *                 └── EXTEND d ──▶ ends at now + d                                              is answered the same
 *
 * The id belongs to the account. Asked to reserve again with the same content, a live reservation answers what it
 * answered first. A cycle that has closed meanwhile keeps its promise: what is posted late counts there (backdate.h),
 * and in every LIMIT that has joined since. COMMIT … FORCE posts more than was held, whatever the limits say. */
#pragma once

#include "quota/decide/account_decision.h"
#include "quota/rate/limiter.h"

struct reserve_request {
    struct bytes id; /* 1 … ID_BYTES_MAX bytes */
    struct bytes resource;
    int64_t amount;         /* >= 1 */
    int64_t ttl_us;         /* 1 … DURATION_MAX_US */
    enum request_mode mode; /* MODE_ALL or MODE_UPTO */
    int64_t now_us;
};

/* Answers result.consumed, of one verdict. */
void reserve_decide(const struct account *account, const struct account_host *host,
                    const struct reserve_request *request, struct account_decision *decision);

#define COMMIT_ALL INT64_C(-1) /* as amount: what is held */

struct commit_request {
    struct bytes id;
    int64_t amount; /* 0 … what is held (0 releases), or COMMIT_ALL; with `force` any */
    bool force;
    int64_t now_us;
};

/* Posts the amount, releases the rest. Answers result.resolved. */
void commit_decide(const struct account *account, const struct account_host *host, const struct commit_request *request,
                   struct account_decision *decision);

/* Lets it end at now + `ttl_us`, sooner or later than it would have. Answers result.expires_us: that instant. */
void extend_decide(const struct account *account, const struct account_host *host, struct bytes id, int64_t ttl_us,
                   int64_t now_us, struct account_decision *decision);

/* Reservations: units held now, posted or released later, each at most once.
 *
 *               RESERVE ────────────── live ──────────────▶ expires: exactly at its end, on every path that reads
 *                 │ held                 │
 *                 ├── COMMIT n ──▶ n posted to the cycle it was made in, the rest released ─▶ RESOLVED ever after,
 *                 ├── RELEASE ───▶ nothing posted ──────────────────────────────────────────▶ but the same command
 *                 └── EXTEND d ──▶ ends at now + d                                              is answered the same
 *
 * One reservation may hold several resources: all are admitted or none is held, and they are resolved together. Each is
 * a part of it (holds.h), and counts where its resource counts what is held. UPTO holds of each what it can, at least
 * one, or nothing of any.
 *
 * The id belongs to the account. A live reservation that is made again with the same content answers what it
 * answered first. COMMIT, RELEASE and EXTEND are commit.h's. */
#pragma once

#include "quota/decide/api_key.h"
#include "quota/decide/demands.h"
#include "quota/rate/limiter.h"

struct reserve_request {
    struct bytes id;                  /* 1 … ID_BYTES_MAX bytes */
    const struct consume_item *items; /* resources are all different */
    uint32_t count;                   /* 1 … BATCH_ITEMS_MAX */
    int64_t ttl_us;                   /* 1 … DURATION_MAX_US */
    enum request_mode mode;           /* MODE_ALL or MODE_UPTO */
    struct api_key_claim key;
    const struct lineage *lineage; /* the accounts above; NULL = it has no parent */
    int64_t now_us;
};

/* Answers result.consumed, one verdict for each item. */
void reserve_decide(const struct account *account, const struct account_host *host,
                    const struct reserve_request *request, struct account_decision *decision);

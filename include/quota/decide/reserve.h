/* Reservations: units held now, posted or released later, each at most once.
 *
 *               RESERVE ────────────── live ──────────────▶ expires: exactly at its end, on every path that reads
 *                 │ held                 │
 *                 ├── COMMIT n ──▶ n posted to the cycle it was made in, the rest released ─▶ RESOLVED ever after
 *                 ├── RELEASE ───▶ nothing posted ──────────────────────────────────────────▶ (as long as its id
 *                 └── EXTEND d ──▶ ends at now + d                                              is remembered)
 *
 * The id belongs to the account. Asked to reserve again with the same content, a live reservation answers what it
 * answered first. A cycle that has closed meanwhile keeps its promise: what is posted late counts there (history.h),
 * not in the cycle that runs. */
#pragma once

#include "quota/decide/account_decision.h"

struct reserve_ask {
    struct bytes id; /* 1 … ID_BYTES_MAX bytes */
    struct bytes resource;
    int64_t amount;         /* >= 1 */
    int64_t ttl_us;         /* 1 … DURATION_MAX_US */
    enum request_mode mode; /* MODE_ALL or MODE_UPTO */
    int64_t now_us;
};

/* Answers decision->verdicts[0]. */
void reserve_decide(const struct account *account, const struct account_host *host, const struct reserve_ask *ask,
                    struct account_decision *decision);

/* Posts `amount` (0 … what is held; -1 = all of it), releases the rest. Answers decision->numbers: posted, released,
 * remaining. */
void commit_decide(const struct account *account, const struct account_host *host, struct bytes id, int64_t amount,
                   int64_t now_us, struct account_decision *decision);

/* Releases all of it: the same with nothing posted. */
void release_decide(const struct account *account, const struct account_host *host, struct bytes id, int64_t now_us,
                    struct account_decision *decision);

/* Lets it end at now + `ttl_us`, sooner or later than it would have. Answers decision->numbers[0]: that instant. */
void extend_decide(const struct account *account, const struct account_host *host, struct bytes id, int64_t ttl_us,
                   int64_t now_us, struct account_decision *decision);

/* A cycle that has closed, of one period. */
struct late_cycle {
    uint64_t period;
    struct closed_cycle closed;
};

/* For this file's kin: the closed cycles in which `made_us` lay, one of each period, stored or just told to `changes`
 * by footing_settle; answers how many. And did a running window of the settled footing hold that instant, used? Only
 * those that were charged count (NULL = all). */
uint32_t late_cycles(const struct standing *standing, const struct footing *footing, int64_t made_us,
                     const struct charged *charged, const struct sink *changes,
                     struct late_cycle found[SLOT_PASTS_MAX]);
bool late_runs(const struct footing *footing, uint32_t index, int64_t made_us, const struct charged *charged);

/* Posts units to the cycles that were running at `made_us` (negative: takes them back), wherever they are now: in the
 * settled footing, or in the history. With `returned` they count as refunded. What a closed cycle is overdrawn by
 * more than it was, the running one repays. False when a running cycle could not count them: nothing is to change. */
bool post_late(const struct standing *standing, struct footing *footing, int64_t made_us, int64_t units,
               const struct charged *charged, bool returned, struct sink *changes);

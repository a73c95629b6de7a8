/* Counting: the most frequent consumption, decided from what is stored.
 *
 *     limit 1000 ├─ used 41 ─┬ 3 ┬───────────────┤     every LIMIT of the resource runs, and has room: used becomes 44
 *     limit 20   ├─ used 12 ─┬ 3 ┬──┤                  remaining 5: the tightest of them is the verdict's rule
 *
 * Where LIMITs and RATEs alone hold, no cycle has ended, and nothing has changed since the account was written down, no
 * view of it is needed. Everything else (a boundary, a denial, a reservation, an override, credits) takes the general
 * path (demands.h). Both have the same answer and the same bytes: tests and fuzzers compare them (consume.c). */
#pragma once

#include "quota/decide/account_decision.h"
#include "quota/decide/demands.h"

/* What was counted, for the record of an id. */
struct counted {
    uint32_t slot;
    const struct entitlement *entitlement;
};

/* Decides all of the item's amount, or nothing: false, and nothing done, where it is not mere counting. `now_us` is not
 * before the account's last change, and no account above counts the units, too. */
bool count_decide(const struct account *account, const struct account_host *host, const struct consume_item *item,
                  int64_t now_us, struct account_decision *decision, struct counted *counted);

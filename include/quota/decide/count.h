/* Counting: the most frequent consumption, decided from what is stored.
 *
 *     limit 1000 ├─ used 41 ─┬ 3 ┬───────────────┤     every LIMIT of the resource runs, and has room: used becomes 44
 *     limit 20   ├─ used 12 ─┬ 3 ┬──┤                  remaining 5: the tightest of them is the verdict's rule
 *
 * Where LIMITs and RATEs alone hold, no cycle has ended, and nothing has changed since the account was written down, no
 * view of it is needed. What reservations hold counts like what is used, as long as none of them has ended. Everything
 * else (a boundary, a denial by a RATE, an override, credits) takes the general path (demands.h). Both have the same
 * answer and the same bytes: tests and fuzzers compare them (consume.c, reserve.c, commit.c). */
#pragma once

#include "quota/decide/account_decision.h"
#include "quota/decide/verdict_fold.h"

/* What was counted, for the record of an id. */
struct counted {
    uint32_t slot;
    const struct entitlement *entitlement;
};

/* Units of one resource. */
struct count_request {
    struct bytes resource;
    int64_t amount;
    enum request_mode mode; /* where all of it fits, all but MODE_PEEK are the same */
    bool holds;             /* they are reserved, and not used */
    int64_t at_us;          /* 0 = now (consume.h) */
    int32_t shift;          /* added to the numbers of rules */
    int64_t now_us;         /* not before the account's last change */
};

/* Counts all of the amount, or nothing: folds the rules in, and writes the changes down. False where it is not mere
 * counting; then the fold means nothing. */
bool count_decide(const struct account *account, const struct account_host *host, const struct count_request *request,
                  struct account_decision *decision, struct verdict_fold *fold, struct counted *counted);

/* The verdict of a row that all rules have been folded into: the next of the decision. */
void count_answer(struct account_decision *decision, int64_t amount, const struct verdict_fold *fold);

/* Is the account one that is passed, since its plan does not know the resource, and never has? */
bool count_passes(const struct account *account, const struct account_host *host, const struct count_request *request);

/* Denies all of the amount (MODE_ALL), or nothing: false where not LIMITs alone refuse it, and wait for nothing but the
 * end of a cycle. */
bool count_deny(const struct account *account, const struct account_host *host, const struct count_request *request,
                struct account_decision *decision);

/* Posts so many of the amount that a live reservation of this account alone holds, and releases the rest; `remaining`:
 * what the tightest LIMIT leaves. Writes down what is used, and not the end of the reservation. False, and nothing
 * done, where it is not mere counting. */
bool count_commit(const struct account *account, const struct account_host *host, const struct hold *hold,
                  int64_t posted, int64_t now_us, struct account_decision *decision, int64_t *remaining);

/* For what tests and fuzzers run: the general path has decided the same, in the same bytes; `resolves`: about the end
 * of a reservation, with one part. */
void count_expect_same(const struct account_decision *counted, const struct account_decision *general, bool resolves);

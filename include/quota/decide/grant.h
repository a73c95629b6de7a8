/* Grants: credits given to an account by an operator or a payment, and taken out again.
 *
 *     GRANT ─▶ pays for what the running cycles are over ─▶ the rest is left, in burn order (account/grants.h)
 *         └── EFFECTIVE later: all of that then
 *     VOID ─▶ what is free is taken out; what is held or spent stays
 *
 * The id of a grant makes it harmless to send the command again: the same content answers the same. */
#pragma once

#include "quota/decide/operate.h"

struct grant_request {
    struct bytes id, resource; /* id: 1 … ID_BYTES_MAX bytes */
    int64_t amount;            /* units, 1 or more */
    int64_t effective_us;      /* NOT_REQUESTED = now */
    struct moment expires;     /* from when it begins; MOMENT_NONE = never */
    uint8_t priority;
    bool promo, once;
    uint64_t every; /* period_code; 0 = it does not recur */
};

/* Gives credits: result.granted. ACCOUNT_FAULT_RESOURCE where the plan knows no such resource, _CONFLICT where the id
 * was used with other content, _PAST where they would end before they begin or have ended, _NO_CYCLE, _GRANTS,
 * _GRANTS_ONCE, _RECORDS. */
void grant_decide(const struct account *account, const struct account_host *host, const struct grant_request *request,
                  const struct admin_action *action, struct account_decision *decision);

/* Ends a grant: result.voided, the units taken out; 0 of one that has ended. ACCOUNT_FAULT_NO_SUCH_ID. */
void void_decide(const struct account *account, const struct account_host *host, struct bytes id,
                 const struct admin_action *action, struct account_decision *decision);

/* What is known of this id: a stored grant, or the record of one that has ended. False where nothing is. */
bool grant_find_given(struct account_view *view, struct bytes id, struct grant *given);

/* For transfers: is this id a grant's, live or remembered? How many grants of the settled resource have not ended? */
bool grant_is_known(struct account_view *account, struct bytes id);
uint32_t grants_live(const struct account_view *account, const struct resource_view *view);

enum grant_state_name {
    GRANT_STATE_PENDING, /* it is not effective yet */
    GRANT_STATE_ACTIVE,
    GRANT_STATE_ENDED, /* it has expired, and a reservation still holds a part */
    GRANT_STATE_VOID,
};

/* A stored grant as of now. */
struct grant_report {
    const struct stored_grant *stored;
    struct bytes resource;
    int64_t left, held, next_us; /* next_us: its next recurrence, or when it begins; 0 = none */
    enum grant_state_name state;
};

/* The grants of the account in the order in which they were given, behind number `after`, of `resource` (empty = of
 * all): up to `most` of them. Answers how many; `more` says whether others follow. */
uint32_t grants_report(const struct account_view *view, struct bytes resource, int64_t after, uint32_t most,
                       struct grant_report *reports, bool *more);

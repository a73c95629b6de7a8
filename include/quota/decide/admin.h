/* Tenancy: an account's life, decided by operators. Opening, moving between plans, terms of its own, corrections.
 *
 *     OPEN ─▶ active ◀── RESUME ── suspended          EXPIRES: at that very instant the account falls to the default
 *               │ └──── SUSPEND ────▶                  plan (lapsed, but active), or into nothing where there is none
 *               ├─ SWITCH plan │ PRORATE: the cycle's limit moves by (new - old) x time left
 *               │              │ FULL:    the new limit now
 *               │              └ END:     when the longest of the running cycles ends
 *               └─ CLOSE ─▶ closed ── OPEN ─▶ active, on the same cycles: closing mints nothing
 *
 * Opening again is harmless: it renews (EXPIRES) and changes nothing else. What was used stays used through all of
 * this; only SET and RESET touch it. All these commands write down what time has done to every resource. */
#pragma once

#include "quota/decide/account_decision.h"

#define NOT_ASKED INT64_MIN

enum switch_mode {
    SWITCH_PRORATE = 0,
    SWITCH_FULL = 1,
    SWITCH_END = 2,
};

/* Who does it, and when. */
struct operation {
    int64_t now_us;
    struct bytes actor; /* may be empty */
};

struct open_ask {
    struct bytes plan;
    int64_t anchor_us, expires_us; /* NOT_ASKED */
    struct bytes zone;             /* empty = not asked for; it is known */
};

/* Begins the account, or renews it. ACCOUNT_FAULT_OPEN when it is open on another plan, anchor or zone. */
void open_decide(const struct account *account, const struct account_host *host, const struct open_ask *ask,
                 const struct operation *operation, struct account_decision *decision);

/* Moves it to another plan (or the newest revision of its own); a change that was to come is forgotten. */
void switch_decide(const struct account *account, const struct account_host *host, struct bytes plan,
                   enum switch_mode mode, const struct operation *operation, struct account_decision *decision);

/* ACCOUNT_SUSPENDED, ACCOUNT_ACTIVE (resume) or ACCOUNT_CLOSED. */
void state_decide(const struct account *account, const struct account_host *host, enum account_state state,
                  const struct operation *operation, struct account_decision *decision);

/* Terms of its own for one resource until `until_us` (0 = for good): limits are in force at once. NULL lifts them. */
void override_decide(const struct account *account, const struct account_host *host, struct bytes resource,
                     const struct entitlement *entitlement, int64_t until_us, const struct operation *operation,
                     struct account_decision *decision);

/* The running cycles of the resource have used `used` units from now on, and so have its rolling windows. */
void set_decide(const struct account *account, const struct account_host *host, struct bytes resource, int64_t used,
                const struct operation *operation, struct account_decision *decision);

/* One resource (or all: empty) as if nobody had used it in the running cycles: rates, warnings and debts too.
 * Reservations, records and history stay. */
void reset_decide(const struct account *account, const struct account_host *host, struct bytes resource,
                  const struct operation *operation, struct account_decision *decision);

/* An account's life, decided by operators: opening, moving between plans, overrides, corrections.
 *
 *     OPEN ─▶ active ◀── RESUME, EX over ── suspended    EXPIRES: at that very instant the account falls to the plan
 *               │ └──── SUSPEND ─────────────▶            named by THEN, else to the default plan (lapsed, but active),
 *               ├─ SWITCH plan │ PRORATE: a new part of each running cycle       or into nothing where there is none
 *               │              │ FULL:    the new limit now
 *               │              │ END:     when the longest of the running cycles ends
 *               │              │ AT:      at an instant to come
 *               │              └ RESTART: running cycles close, and the account is anchored there
 *               └─ CLOSE ─▶ closed ── OPEN ─▶ active, on the same cycles: closing mints nothing
 *
 * Opening again is harmless. What was used stays used through all of this; only SET and RESET touch it. Every act
 * leaves an entry in the audit trail: actor, instant, reason. */
#pragma once

#include "quota/decide/operate.h"

enum switch_mode {
    SWITCH_PRORATE = 0,
    SWITCH_FULL = 1,
    SWITCH_END = 2,
};

struct open_request {
    struct bytes plan;
    int64_t anchor_us; /* NOT_REQUESTED */
    struct moment expires;
    struct bytes then;   /* the plan it falls to then; empty = the server's default */
    struct bytes zone;   /* empty = not requested; it is known */
    struct bytes parent; /* the key of its parent; empty = not requested */
};

/* Begins the account, or renews it. ACCOUNT_FAULT_OPEN when it is open on another plan, anchor, zone or parent. */
void open_decide(const struct account *account, const struct account_host *host, const struct open_request *request,
                 const struct admin_action *action, struct account_decision *decision);

struct switch_request {
    struct bytes plan;
    enum switch_mode mode;
    int64_t at_us; /* NOT_REQUESTED = now */
    bool restart;
};

/* Moves it to another plan; a change that was to come is forgotten. To its own plan: nothing but that. */
void switch_decide(const struct account *account, const struct account_host *host, const struct switch_request *request,
                   const struct admin_action *action, struct account_decision *decision);

/* ACCOUNT_SUSPENDED (for `for_us`; 0 = until it is resumed), ACCOUNT_ACTIVE (resume) or ACCOUNT_CLOSED. */
void state_decide(const struct account *account, const struct account_host *host, enum account_state state,
                  int64_t for_us, const struct admin_action *action, struct account_decision *decision);

struct override_request {
    const struct entitlement *entitlement; /* its resource names which; NULL = lift */
    struct bytes resource;
    bool only;
    uint16_t options;    /* enum entitlement_option: those it gives */
    struct moment until; /* MOMENT_NONE = for good */
};

/* Rules above the plan's for one resource, in force at once; or lifts them. */
void override_decide(const struct account *account, const struct account_host *host,
                     const struct override_request *request, const struct admin_action *action,
                     struct account_decision *decision);

struct correct_request {
    struct bytes resource; /* RESET: empty = all */
    int64_t used;          /* SET */
    uint64_t period;       /* period_code of the LIMITs meant, by unit and count; 0 = no PERIOD was given */
};

/* The running cycle of a LIMIT has used so much from now on; of a resource with one LIMIT its rolling windows, too. */
void set_decide(const struct account *account, const struct account_host *host, const struct correct_request *request,
                const struct admin_action *action, struct account_decision *decision);

/* One resource (or all) as if it had not been used in the running cycles: rates, warnings and debts too. Reservations,
 * records and history stay. Instants that a wrong clock has left in the future are forgotten. */
void reset_decide(const struct account *account, const struct account_host *host, const struct correct_request *request,
                  const struct admin_action *action, struct account_decision *decision);

/* Standing: an account as it stands at an instant, with everything that time alone has done since its last change.
 *
 *     stored ────────── own terms end ──────── next plan ──────── expires ─────────▶ now
 *       │  cycles close  │  new limits  cycles…  │  new limits        │  default plan   │  windows of running cycles
 *       └ account_apply  └ roll, adopt           └ roll, adopt        └ roll, adopt     └ roll
 *
 * Nothing is written: whoever decides a change passes a sink, and what has happened meanwhile is told in front of it.
 * Rolling over n idle cycles takes O(1): they become one entry of the history (history.h).
 *
 * When the plan of the account changes, all slots are brought up to that instant and written down together, so the
 * stored plan is always the one under which the stored windows ran. */
#pragma once

#include "quota/account/account.h"
#include "quota/time/schedule.h"

/* What the host lends to every decision. */
struct account_host {
    zone_finder *find_zone;
    const struct plan *(*find_plan)(struct bytes name); /* the newest of this name, borrowed; NULL = none */
    struct bytes default_plan;                          /* empty = none */
    bool auto_open;                                     /* an account never opened begins with the default plan */
    int64_t kept_us;                                    /* how long ids are remembered */
    uint32_t records_max;                               /* receipts of an account at once */
};

/* Why an ask has no answer. The module turns each into an error text. */
enum account_fault {
    ACCOUNT_FAULT_NONE,
    ACCOUNT_FAULT_MISSING, /* never opened */
    ACCOUNT_FAULT_EXPIRED, /* and there is no default plan */
    ACCOUNT_FAULT_CLOSED,
    ACCOUNT_FAULT_SUSPENDED,
    ACCOUNT_FAULT_NOT_STARTED, /* before its anchor */
    ACCOUNT_FAULT_PLAN,        /* there is no such plan */
    ACCOUNT_FAULT_RESOURCE,    /* the plan knows no such resource */
    ACCOUNT_FAULT_ZONE,        /* the account's zone is not known here, and a cycle has ended */
    ACCOUNT_FAULT_OPEN,        /* open already, on other terms */
    ACCOUNT_FAULT_OVERFLOW,
    ACCOUNT_FAULT_CONFLICT, /* the id was used with other content */
    ACCOUNT_FAULT_NO_SUCH_ID,
    ACCOUNT_FAULT_COMMITTED, /* the reservation was … */
    ACCOUNT_FAULT_RELEASED,
    ACCOUNT_FAULT_RAN_OUT,
    ACCOUNT_FAULT_EXCEEDS,     /* more would come back than was taken */
    ACCOUNT_FAULT_BEYOND_HOLD, /* more would be posted than is held */
    ACCOUNT_FAULT_TOO_OLD,     /* REFUNDS WITHIN has passed */
    ACCOUNT_FAULT_NEEDS_OF,    /* REFUNDS WITHIN, and no consumption named */
    ACCOUNT_FAULT_REFUNDS,     /* bounds: REFUNDS MAX … */
    ACCOUNT_FAULT_HOLDS,       /* … HOLDS MAX … */
    ACCOUNT_FAULT_HOLDS_BOUND, /* … ACCOUNT_HOLDS_MAX … */
    ACCOUNT_FAULT_RECORDS,     /* … records_max … */
    ACCOUNT_FAULT_SLOTS,       /* … ACCOUNT_SLOTS_MAX … */
    ACCOUNT_FAULT_LOG,         /* … LOG_ENTRIES_MAX */
    ACCOUNT_FAULTS_COUNT,
};

/* A change of the plan that has come about since the last change. */
struct turn {
    int64_t at_us;
    const struct plan *plan; /* NULL = none: expired without a default plan */
    enum window_change how;
};
#define TURNS_MAX 4

struct standing {
    const struct account *account; /* NULL = begins with the default plan, if it may */
    const struct account_host *host;
    int64_t now_us; /* the instant that counts: never before the last change */
    const struct plan *plan;
    const struct interned_string *zone;
    int64_t anchor_us, expires_us;
    uint8_t state;
    struct turn turns[TURNS_MAX];
    uint32_t turns_count;
    const struct stored_hold *ignored; /* a reservation that is being resolved: held no more */
    uint32_t slots_count;              /* with those that a change has begun */
};

/* A resource as it stands. */
struct footing {
    struct bytes resource;
    int32_t index;                         /* of its slot; -1 = not used yet */
    const struct slot *stored;             /* NULL = likewise */
    const struct entitlement *entitlement; /* NULL = the plan does not know it */
    bool own_ended;                        /* the terms of its own ran out */
    uint32_t windows_count;
    struct window windows[SLOT_WINDOWS_MAX];
    bool fresh[SLOT_WINDOWS_MAX]; /* not stored: nothing has happened in it yet */
};

/* The account at `now_us`. `adopting`: under the newest revision of its plan, as the next change would. */
enum account_fault standing_begin(struct standing *standing, const struct account *account,
                                  const struct account_host *host, int64_t now_us, bool adopting);

/* Why nothing can be asked of it: closed, suspended, not started, expired. */
enum account_fault standing_refusal(const struct standing *standing);

/* Is another plan still to come (account->rest->next)? An account whose plan expires first goes nowhere. */
bool standing_awaits_plan(const struct standing *standing);

/* Its plan; of an account that has expired into nothing the one it had last. */
const struct plan *standing_last_plan(const struct standing *standing);

/* The resource before anything has moved, for late news of what was made at an earlier instant … */
void footing_begin(const struct standing *standing, struct bytes resource, struct footing *footing);

/* … and as it stands now. What happened meanwhile is told to `changes` (NULL = nobody asks). */
enum account_fault footing_settle(const struct standing *standing, struct footing *footing, struct sink *changes);

/* Tells every window that is not stored as it stands, a new slot before them. Call it last. */
enum account_fault footing_tell(struct standing *standing, struct footing *footing, struct sink *changes);

/* Begins the changes of a decision: new plan, new life, and every slot but those in `asked` (may be NULL). */
enum account_fault standing_tell(struct standing *standing, const struct bytes *asked, uint32_t asked_count,
                                 struct sink *changes);

/* The same whatever has happened: for operators' commands. */
enum account_fault standing_tell_all(struct standing *standing, const struct bytes *asked, uint32_t asked_count,
                                     struct sink *changes);

/* A change of the plan by command: one turn more. */
void standing_turn(struct standing *standing, const struct plan *plan, enum window_change how);

/* The settled footing goes on under other terms (NULL = none). */
void footing_adopt(const struct standing *standing, struct footing *footing, const struct entitlement *entitlement,
                   enum window_change how, int64_t at_us);

/* When the longest of the running cycles ends, of all limits of the plan that do; -1 = none does. */
enum account_fault standing_longest_end(const struct standing *standing, int64_t *end_us);

/* The window of a LIMIT of the footing's terms. It is there after footing_settle. */
struct window *footing_window(struct footing *footing, const struct quota_rule *rule);

/* Is there room for one record more (host->records_max), once what has expired is swept? */
bool standing_has_room(const struct standing *standing);

/* Units of live reservations of the slot: those made in the window, or all of them (NULL). */
int64_t standing_held(const struct standing *standing, const struct footing *footing, const struct window *window);

/* How many live reservations the slot has. */
int64_t standing_holds_count(const struct standing *standing, const struct footing *footing);

/* An account as of an instant, with everything that time alone has done since its last change.
 *
 *     stored ────── override ends ────── plan revised ────── next plan ────── expires ─────────▶ now
 *       │  cycles close   │  cycles close    │  cycles …         │  cycles …      │  windows of running cycles
 *       └ account_apply   └ per resource: view/lifecycle.h       └ of the whole account: here
 *
 * Nothing is written: a decision passes a sink, and what has happened meanwhile is emitted in front of it
 * (view/changeset.h). The account as a whole knows its state and which plan it is on; each resource finds its way to
 * now by itself when it is needed (resource_view), so a request costs what its own rules cost.
 *
 * A clock that steps back: the account is judged at its last change, so nothing happens twice; waits count from the
 * true time (`clock_us`). */
#pragma once

#include "quota/account/account.h"
#include "quota/account/plan_history.h"
#include "quota/base/arena.h"
#include "quota/time/schedule.h"

/* What the host gives to every decision. */
struct account_host {
    zone_finder *find_zone;
    const struct plan_history *(*find_plan)(struct bytes name); /* borrowed; NULL = none */
    uint64_t plans_generation; /* changes with every change of any plan; 0 = nothing may be remembered */
    struct bytes default_plan; /* empty = none */
    bool auto_open;            /* an account that was never opened begins with the default plan */
    int64_t kept_us;           /* how long ids are remembered */
    uint32_t records_max;      /* idempotency records of an account at once */
};

/* Why a request has no answer. The module turns each into an error text. */
enum account_fault {
    ACCOUNT_FAULT_NONE,
    ACCOUNT_FAULT_MISSING, /* never opened */
    ACCOUNT_FAULT_EXPIRED, /* and there is no plan it could fall to */
    ACCOUNT_FAULT_CLOSED,
    ACCOUNT_FAULT_SUSPENDED,
    ACCOUNT_FAULT_NOT_STARTED, /* before its anchor */
    ACCOUNT_FAULT_PLAN,        /* there is no such plan, or it is retired */
    ACCOUNT_FAULT_RESOURCE,    /* the plan knows no such resource */
    ACCOUNT_FAULT_ZONE,        /* the account's zone is not known here, and a cycle has ended */
    ACCOUNT_FAULT_OPEN,        /* open already, with another plan, anchor or zone */
    ACCOUNT_FAULT_OVERFLOW,
    ACCOUNT_FAULT_CONFLICT, /* the id was used with other content */
    ACCOUNT_FAULT_NO_SUCH_ID,
    ACCOUNT_FAULT_COMMITTED, /* the reservation was … */
    ACCOUNT_FAULT_RELEASED,
    ACCOUNT_FAULT_RAN_OUT,
    ACCOUNT_FAULT_EXCEEDS,      /* more would come back than was taken */
    ACCOUNT_FAULT_BEYOND_HOLD,  /* more would be posted than is held … */
    ACCOUNT_FAULT_BEYOND_PART,  /* … of one of several resources */
    ACCOUNT_FAULT_AMOUNTS,      /* COMMIT: another number of amounts than the reservation has resources */
    ACCOUNT_FAULT_TOO_OLD,      /* REFUNDS WITHIN has passed */
    ACCOUNT_FAULT_NEEDS_OF,     /* REFUNDS WITHIN, and no consumption named */
    ACCOUNT_FAULT_REFUNDS,      /* bounds: REFUNDS MAX … */
    ACCOUNT_FAULT_HOLDS,        /* … HOLDS MAX … */
    ACCOUNT_FAULT_HOLDS_BOUND,  /* … ACCOUNT_HOLDS_MAX … */
    ACCOUNT_FAULT_RECORDS,      /* … records_max … */
    ACCOUNT_FAULT_SLOTS,        /* … ACCOUNT_SLOTS_MAX … */
    ACCOUNT_FAULT_LOG,          /* … LOG_ENTRIES_MAX */
    ACCOUNT_FAULT_NEEDS_PERIOD, /* SET, and several LIMITs it could mean */
    ACCOUNT_FAULT_PERIOD,       /* the resource has no LIMIT of this period */
    ACCOUNT_FAULT_NO_CYCLE,     /* EX CYCLE, and no running cycle ends */
    ACCOUNT_FAULT_PAST,         /* an instant that has passed */
    ACCOUNT_FAULT_ENTITLEMENT,  /* the rules would not fit together (`text`) */
    ACCOUNT_FAULT_GRANTS,       /* bounds: GRANTS_LIVE_MAX … */
    ACCOUNT_FAULT_GRANTS_ONCE,  /* … GRANTS_ONCE_MAX … */
    ACCOUNT_FAULT_TRANSFERS,    /* … TRANSFERS MAX … */
    ACCOUNT_FAULT_KEY_UNKNOWN,  /* an API key that the account does not know, or that was … */
    ACCOUNT_FAULT_KEY_REVOKED,
    ACCOUNT_FAULT_KEY_ROTATED,
    ACCOUNT_FAULT_KEY_EXPIRED,
    ACCOUNT_FAULT_KEY_SCOPE,   /* … or lacks the scope */
    ACCOUNT_FAULT_KEY_SEVERAL, /* leading digits that several keys have */
    ACCOUNT_FAULT_KEY_UPTO,    /* UPTO of several resources, and the key has RATEs */
    ACCOUNT_FAULT_KEYS,        /* API_KEYS_MAX */
    ACCOUNT_FAULT_KEY_NEW,     /* the key that takes another one's place is there already */
    ACCOUNT_FAULT_CHAIN,       /* a resource is counted AS one that is itself counted as another */
    ACCOUNT_FAULT_TOGETHER,    /* two resources of a reservation are counted as one */
    ACCOUNT_FAULT_COUNTED_AS,  /* credits for a resource that is counted as another */
    ACCOUNT_FAULT_PARTS,       /* more parts than a record holds */
    ACCOUNT_FAULT_FUNDING,     /* … so many grants would pay that no record can name them */
    ACCOUNT_FAULT_MEMBERS,     /* … MEMBERS_MAX */
    ACCOUNT_FAULT_NO_MEMBER,   /* the account has no such member */
    ACCOUNT_FAULT_AT,          /* usage of an instant of which a LIMIT knows no cycle … */
    ACCOUNT_FAULT_AT_FUTURE,   /* … or that is still to come */
    ACCOUNT_FAULT_ABOVE,       /* an account above refuses: the decision about it says why */
    ACCOUNT_FAULTS_COUNT,
};

/* The account moves to another plan: one that was to come, the end of its plan, or by this very command. */
struct plan_change {
    int64_t at_us;
    const struct plan *plan; /* as in force then, one use of it is the view's; NULL = none: expired into nothing */
    enum switch_how how;
    int64_t anchor_us; /* of the account from then on */
};
#define PLAN_CHANGES_MAX 4

struct account_view {
    const struct account *account; /* NULL = begins with the default plan, if it may */
    const struct account_host *host;
    int64_t now_us;   /* the instant that counts: never before the last change */
    int64_t clock_us; /* the true time, for what a client waits for */
    const struct plan *plan;
    bool plan_is_current; /* all entries of account->plan are the newest: no history needs to be read */
    const struct interned_string *zone;
    struct account_status status; /* now */
    bool status_changed;          /* by time, or by the command */
    struct account_status lapsed; /* as it was when the account fell to another plan by itself … */
    uint32_t lapsed_by;           /* … which is that many of the changes; 0 = it did not */
    struct plan_change changes[PLAN_CHANGES_MAX];
    uint32_t changes_count;
    const struct plan *begun;          /* of an account that begins here; one use of it is the view's */
    const struct stored_hold *ignored; /* a reservation that is being resolved, all its parts: held no more */
    uint32_t slots_count;              /* with those that a change has begun */
    struct sink *effects;              /* the changes of the decision about it; NULL = it is only read */
    struct arena *arena;               /* what its resource views have on the heap: `memory`, or that of another view */
    struct arena memory;               /* freed with this view */
};

/* A view of nothing: it may be ended, too. */
static inline void account_view_none(struct account_view *view)
{
    view->changes_count = 0;
    view->begun = NULL;
    view->memory.blocks = NULL;
    view->memory.owned = NULL;
}

/* The account at `clock_us`. Every view that was begun is ended, also after a fault. */
enum account_fault account_view_begin(struct account_view *view, const struct account *account,
                                      const struct account_host *host, int64_t clock_us);
void account_view_end(struct account_view *view);

/* Why nothing can be consumed: closed, suspended, not started, expired. */
enum account_fault account_view_refusal(const struct account_view *view);

/* Is another plan still to come (account->optional->next)? An account whose plan expires first goes nowhere. */
bool account_view_awaits_plan(const struct account_view *view);

/* Its plan; of an account that has expired into nothing the one it had last. */
const struct plan *account_view_last_plan(const struct account_view *view);

/* A change of the plan by command, now; takes the caller's use of the plan. */
void account_view_change_plan(struct account_view *view, const struct plan *plan, enum switch_how how);

/* When the account was opened, as it is stored: a command that opens it again now changes nothing of what was before.
 * */
int64_t account_view_opened_us(const struct account_view *view);

/* The account's zone; NULL = not known here. */
const struct zone *account_view_zone(const struct account_view *view);

/* Is there room for one record more (host->records_max)? What has expired does not count. */
bool account_view_has_room(const struct account_view *view);
bool account_has_room(const struct account *account, const struct account_host *host, int64_t now_us);

/* Does the account carry the newest revision of every entry of its plan? */
bool account_plan_is_current(const struct account *account, const struct account_host *host, int64_t now_us);

/* Is anything stored, a record or a reservation, that has ended and that the next change would sweep? */
bool account_view_can_sweep(const struct account_view *view);

/* A wait from the instant that counts, seen from the true time: longer while the clock stands before the last change.
 * */
int64_t account_view_wait_us(const struct account_view *view, int64_t wait_us);

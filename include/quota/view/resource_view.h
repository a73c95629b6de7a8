/* One resource of an account as of now: which rules hold, and the windows of the running cycles.
 *
 *     plan's entry ──▶ granted ─┐                        windows   one per LIMIT; those that are not stored are fresh
 *                               ├─ merge ─▶ entitlement            (nothing has happened in them yet)
 *     override ─────────────────┘
 *
 * resource_view_begin takes what is stored; resource_view_settle lets time do its work (lifecycle.h) and may write what
 * happened to a sink. A view belongs to one decision: charging changes its windows, and changeset.h writes down the
 * difference to what is stored. */
#pragma once

#include "quota/account/carry.h"
#include "quota/view/account_view.h"

/* One grant as of now, where it is not as it is stored. */
struct grant_state {
    bool begun, usable;
    bool turned; /* it has begun or recurred since it was stored */
    bool posted; /* units that a reservation held of it were spent */
    int64_t balance, since_us, recurs_us, used_us;
    int64_t free;
};

/* What the RATEs took over under rules that hold no more: effects, one after another. */
struct passed_rates {
    struct passed_rates *next;
    struct bytes effects;
};

/* Its bill as of now. */
struct view_bill {
    struct bytes bytes; /* as stored, or in the account view's arena */
    bool is_other;      /* it is another one than is stored … */
    bool credited;      /* … or credits served units of one cycle: of this period, which began then */
    uint64_t period;
    int64_t start_us;
};

#define NOT_LOWERED INT64_MAX

struct resource_view {
    struct bytes resource;
    int32_t index;                         /* of its slot; -1 = not used yet */
    const struct slot *stored;             /* NULL = likewise */
    const struct plan_entry *entry;        /* of the plan, in force; NULL = the plan never had it */
    const struct plan_entry *override;     /* in force; NULL = none */
    const struct entitlement *entitlement; /* what holds; NULL = the plan does not know the resource */
    bool override_ended;                   /* the stored override ran out */
    int64_t rates_us;                  /* since when its RATEs are other ones than before; 0 = as long as is stored */
    const struct limiter *rates;       /* as stored, or as rules that hold no more have left them; NULL = nothing yet */
    struct passed_rates *rates_passed; /* how they got there; NULL = they are as stored */
    int64_t generation;                /* of consumptions (window.h) */
    uint32_t windows_count;
    struct window windows[SLOT_WINDOWS_MAX];
    bool fresh[SLOT_WINDOWS_MAX];  /* not stored: the rules alone begin it again */
    bool unused[SLOT_WINDOWS_MAX]; /* nothing was ever used under its LIMIT: it ends without an entry in the history */
    /* The lowest threshold that its warnings were lowered to since it was stored; NOT_LOWERED = they were not. */
    int64_t lowered_bp[SLOT_WINDOWS_MAX];
    struct entitlement merged; /* where an override changes what the plan grants */
    /* Credits (credits_view.h). */
    const struct credits *credits; /* stored; NULL = none */
    struct grant_state *grants;    /* of each in burn order, in the account view's arena; NULL = they are as stored */
    uint32_t credits_usable;       /* grants that can be used now, spent or not … */
    int64_t credits_amount, credits_left; /* … what they were given with, and what of it is free */
    struct view_bill bill;                /* billing.h */
};

/* What the plan alone grants; NULL = nothing. */
static inline const struct entitlement *resource_view_granted(const struct resource_view *view)
{
    return view->entry && view->entry->granted ? &view->entry->entitlement : NULL;
}

/* The plan's revision that holds; 0 = the plan grants nothing of it. */
static inline int64_t resource_view_revision(const struct resource_view *view)
{
    return view->entry && view->entry->granted ? view->entry->revision : 0;
}

/* The resource as it is stored. */
void resource_view_begin(const struct account_view *account, struct bytes resource, struct resource_view *view);

/* A copy for what may come: it borrows nothing of the view, and its grants are in the arena of `account`. */
void resource_view_copy(const struct account_view *account, const struct resource_view *view,
                        struct resource_view *copy);

/* The resource as it is now. Cycles that have closed meanwhile go to `closed` as changes (NULL = they are not needed).
 * */
enum account_fault resource_view_settle(const struct account_view *account, struct resource_view *view,
                                        struct sink *closed);

/* The resource as it is now, an override included, for what only has to know its rules; false where nothing holds. */
bool resource_view_look(const struct account_view *account, struct bytes resource, struct resource_view *view);

/* Puts the window at `from` where the one at `to` was. */
static inline void resource_view_move_window(struct resource_view *view, uint32_t to, uint32_t from)
{
    if (to == from) return;
    view->windows[to] = view->windows[from];
    view->fresh[to] = view->fresh[from];
    view->unused[to] = view->unused[from];
    view->lowered_bp[to] = view->lowered_bp[from];
}

/* The window of a LIMIT of the entitlement; it is there once the view has settled. */
struct window *resource_view_window(struct resource_view *view, const struct quota_rule *rule);

/* Puts the settled resource under another override (NULL = none) from now on. */
enum account_fault resource_view_override(const struct account_view *account, struct resource_view *view,
                                          const struct plan_entry *override);

/* Where a cycle ends, of an account that begins at its anchor. */
struct cycle_end {
    int64_t at_us, anchor_us;
};

/* Units of the window that reservations hold beyond `at_us`, those included that have been swept meanwhile. */
int64_t resource_view_held_beyond(const struct account_view *account, const struct resource_view *view,
                                  const struct window *window, int64_t at_us);

/* What a window hands to the next cycle if it ends there, under the rules that hold. Cycles before the account begins
 * hand on no lots. */
void resource_view_carry(const struct account_view *account, const struct resource_view *view,
                         const struct window *window, struct cycle_end end, struct carry *carry);

/* The running cycle of the longest of its LIMITs that end; where none does, of one for ever. NULL = there is none. */
const struct window *resource_view_longest(const struct resource_view *view);

/* When the cycle of an instant began, by the period of this window and the calendar, never below 0; where this server
 * does not know the zone, the instant itself. */
int64_t resource_view_start_us(const struct account_view *account, const struct window *window, int64_t at_us);

/* When the longest of its running cycles ends, if it is longer than `*length_us`, which becomes its length; -1 = there
 * is none that ends. */
int64_t resource_view_longest_end(const struct resource_view *view, int64_t *length_us);

/* Units of live reservations of the slot: those made in the window, or all of them (NULL). */
int64_t resource_view_held_units(const struct account_view *account, const struct resource_view *view,
                                 const struct window *window); /* of a slot that has reservations */
static inline int64_t resource_view_held(const struct account_view *account, const struct resource_view *view,
                                         const struct window *window)
{
    bool has = view->stored && view->stored->optional && view->stored->optional->holds_count > 0;
    return has ? resource_view_held_units(account, view, window) : 0;
}

/* How many live reservations the resource has. */
int64_t resource_view_holds_count(const struct account_view *account, const struct resource_view *view);

/* The settled state of a sliding log of the resource at the account's instant. */
struct state resource_view_log(const struct account_view *account, const struct resource_view *view,
                               const struct rule *rule);

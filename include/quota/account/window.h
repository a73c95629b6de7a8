/* A window is one cycle of one LIMIT of one account: how much is allowed in it, and what has been used.
 *
 *                limit + delta - debt        the cycle's own limit: what the plan says, moved by prorated changes of
 *     0 ├───────────────┬──────┬──────┤      the plan within the cycle, cut by what was overdrawn before (REPAY)
 *       │ used   │ held │      │burst │
 *       └────────┴──────┴──────┴──────┘      held = live reservations made in this cycle (the account knows them)
 *                        available
 *
 * Proration is exact: `delta` is kept as a whole number and a rest in units x us over the cycle's length, so a plan
 * flipped to and fro an odd number of times adds up to nothing, at whatever instants. Only the answer is rounded, half
 * away from zero. A change from `old` to `new` moves the cycle's limit by (new - old) x time left / length.
 *
 * REPAY: the next cycle begins with debt = max(0, debt + used - (limit + delta)); n idle cycles later it is
 * max(0, debt - (n - 1) x limit).
 *
 * Pure numbers; which cycle follows is the caller's to say (period.h). */
#pragma once

#include "quota/account/entitlement.h"
#include "quota/rate/verdict.h"

struct window {
    uint64_t period;                /* period_code */
    int64_t start_us, end_us;       /* [start, end) */
    int64_t limit;                  /* what the terms say; UNLIMITED */
    int64_t used;                   /* >= 0 */
    int64_t delta;                  /* prorated changes of the limit, rounded down … */
    int64_t delta_rest;             /* … and the rest: 0 … length - 1, in unit x us */
    int64_t debt;                   /* >= 0; what earlier cycles overdrew and this one repays */
    int64_t refunded, denied, peak; /* units given back; asks refused since the first unit; most used + held at once */
    int64_t over_since_us;          /* when used first went beyond the limit; 0 = not yet (GRACE) */
    int64_t warned_bp;              /* the highest threshold that has fired; 0 = none */
};

/* A cycle nobody has used yet. `anchor_us`: where PRORATE cuts the cycle the account began in. */
struct window window_begin(const struct quota_rule *rule, const struct cycle *cycle, int64_t anchor_us);

/* Did nothing ever happen in it? Then closing it leaves an idle entry in the history. */
bool window_is_idle(const struct window *window);

/* The cycle's own limit, >= 0, or UNLIMITED. */
int64_t window_limit(const struct window *window);

/* How much `used` + `held` may be at `now_us`: limit and burst; UNLIMITED under OVERAGE or an open GRACE. */
int64_t window_capacity(const struct window *window, const struct entitlement *entitlement, int64_t now_us);

/* What still fits under a capacity: >= 0 or UNLIMITED. */
int64_t window_available(const struct window *window, int64_t capacity, int64_t held);

/* Uses units at `now_us`: counts, begins the grace. False, and nothing done, when `used` would not fit an int64. */
bool window_charge(struct window *window, int64_t units, int64_t held, int64_t now_us);

/* Fires the thresholds that have been reached since. */
void window_warn(struct window *window, const struct entitlement *entitlement);

/* Gives up to `units` back; answers how many. */
int64_t window_refund(struct window *window, int64_t units);

/* How the limit of a running cycle follows a change of the terms. */
enum window_change {
    WINDOW_FULL,    /* the new limit now, as if the cycle had begun with it */
    WINDOW_PRORATE, /* by the share of the cycle that is left */
    WINDOW_ADOPT,   /* by the difference: what was prorated before stays so */
};

/* The limit becomes that of `terms` at `now_us`; thresholds that are no longer reached may fire again. `anchor_us` as
 * for window_begin. */
void window_adopt(struct window *window, const struct quota_rule *rule, const struct entitlement *entitlement,
                  enum window_change change, int64_t anchor_us, int64_t now_us);

/* The debt with which the cycle begins that comes `cycles` (>= 1) after this one, all between them idle. */
int64_t window_debt_after(const struct window *window, const struct entitlement *entitlement, int64_t limit,
                          int64_t cycles);

/* How many cycles from this one on (>= 1) the first comes in which `units` fit, if nobody uses anything; -1 = never. */
int64_t window_cycles_until(const struct window *window, const struct entitlement *entitlement, int64_t limit,
                            int64_t units);

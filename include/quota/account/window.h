/* A window is one cycle of one LIMIT of one account: how much is allowed in it, and what has been used.
 *
 *     0 ├──────── limit ─────────┬─────┤      limit     the plan's allowance (allowance.h), or above it an override's
 *       │ used   │ held │        │burst│      held      live reservations made in this cycle (the account knows them)
 *       └────────┴──────┴────────┴─────┘      debt      what earlier cycles used beyond their limits (REPAY)
 *                        available            lots      what earlier cycles have left over (ROLLOVER)
 *                                             capacity  max(limit + lots + burst - debt, 0), and OVERAGE MAX beyond
 *
 * The plan's allowance goes on underneath an override: its parts, and what they will add up to, are as if the override
 * was not there, so the end of the override uncovers what would have been.
 *
 * Which debt and which lots the next cycle begins with: carry.h.
 *
 * Units may come back once: refund_lines.h.
 *
 * Pure numbers; which cycle follows is the caller's to say (period.h). */
#pragma once

#include "quota/account/allowance.h"
#include "quota/account/entitlement.h"
#include "quota/account/refund_lines.h"

#define NOT_COVERED INT64_C(-3) /* as cover: no override stands above the plan's limit */

struct window {
    uint64_t period;                /* period_code */
    int64_t start_us, end_us;       /* [start, end); end INT64_MAX = for ever */
    int64_t before_us;              /* time of the calendar's cycle in front of the start: a RESTART has cut it off */
    struct allowance allowance;     /* what the plan allows */
    int64_t cover;                  /* the limit of an override, UNLIMITED or NOT_COVERED; not stored */
    int64_t used;                   /* >= 0 */
    int64_t debt;                   /* >= 0; what earlier cycles used beyond their limits, and this one repays */
    int64_t refunded, denied, peak; /* units given back; requests refused since the first unit; most used + held */
    int64_t over_since_us;          /* when used first went beyond the limit; 0 = not in this cycle yet (GRACE) */
    int64_t warned_bp;              /* the highest threshold that has fired; 0 = none */
    int64_t rolled;                 /* units of the lots that it began with (carry.h) … */
    struct bytes lots;              /* … as bytes; borrowed, none where rolled = 0 */
    int64_t held_over;              /* units of reservations that outlived the cycle, and that are gone by now */
    struct refund_lines lines;
};

/* When the calendar lets its cycle begin: times of the allowance are counted from there. */
static inline int64_t window_origin_us(const struct window *window)
{
    return window->start_us - window->before_us;
}

/* How long its cycle is by the calendar; not of one for ever. */
static inline int64_t window_length_us(const struct window *window)
{
    return window->end_us - window_origin_us(window);
}

/* Lets it begin at `at_us`, inside its cycle, where the account has been anchored anew: what lies before is another
 * cycle, which has closed. The limit stays what it is. */
void window_cut(struct window *window, int64_t at_us);

/* A cycle that has not been used yet, under the plan's `rule` from its start on. `anchor_us`: when the account began.
 * */
struct window window_begin(const struct quota_rule *rule, const struct cycle *cycle, int64_t anchor_us);

/* The same of a LIMIT that the plan gets at `at_us`, while the cycle runs, by a prorated change. */
struct window window_join(const struct quota_rule *rule, const struct cycle *cycle, int64_t anchor_us, int64_t at_us);

/* The limit of an override's rule in this cycle: whole, or cut where the account began in it and the rule says so. */
int64_t window_cover_of(const struct window *window, const struct quota_rule *rule, int64_t anchor_us);

/* Did nothing ever happen in it? Then closing it leaves an idle entry in the history. */
bool window_is_idle(const struct window *window);

/* Does it bound anything now: by the plan or by an override? If not it sleeps until its cycle ends. */
bool window_is_awake(const struct window *window);

/* The cycle's own limit, without lots and debt; and with lots what the debt leaves of it; >= 0, or UNLIMITED. */
int64_t window_own_limit(const struct window *window);
int64_t window_limit(const struct window *window);

/* The units of BURST beside an own limit. */
int64_t window_burst(const struct entitlement *entitlement, int64_t limit);

/* How much `used` + `held` may be at `now_us`; UNLIMITED under OVERAGE without MAX or an open GRACE. */
int64_t window_capacity(const struct window *window, const struct entitlement *entitlement, int64_t now_us);

/* The same without OVERAGE. */
int64_t window_capacity_without_overage(const struct window *window, const struct entitlement *entitlement,
                                        int64_t now_us);

/* What still fits under a capacity: >= 0 or UNLIMITED. */
int64_t window_available(const struct window *window, int64_t capacity, int64_t held);

/* Uses units at `now_us`: counts, begins the grace. False, and nothing done, when `used` would not fit an int64. */
bool window_charge(struct window *window, int64_t units, int64_t held, int64_t now_us);

/* Counts units, and no more: of a LIMIT that sleeps there is none to go beyond. False likewise. */
bool window_count(struct window *window, int64_t units, int64_t held);

/* The highest threshold of WARN that so many used units of a limit reach; 0 = none. */
int64_t warning_reached(const struct entitlement *entitlement, int64_t used, int64_t limit);

/* Fires the thresholds that have been reached since. */
void window_warn(struct window *window, const struct entitlement *entitlement);

/* Gives units back that a generation consumed: at most those that may still come back. Answers how many. */
int64_t window_refund(struct window *window, int64_t units, int64_t generation);

/* Gives units back of no named consumption, the newest first, and draws the line behind this generation, the running
 * one. Answers how many. */
int64_t window_refund_unnamed(struct window *window, int64_t units, int64_t generation);

/* Sets what is used, for an operator: what was consumed up to this generation can give nothing back any more. The next
 * consumption is of generation + 2 (refund_lines.h). */
void window_set_used(struct window *window, int64_t used, int64_t generation, int64_t now_us);

/* As if nothing had been used; likewise. */
void window_reset(struct window *window, int64_t generation);

/* How the limit of a running cycle follows a change of the plan. */
enum window_change {
    WINDOW_FULL,    /* the new limit, as if the cycle had begun with it */
    WINDOW_PRORATE, /* a new part of the cycle */
};

/* The plan's limit becomes that of `rule` at `at_us` (NULL = the plan has no such LIMIT any more). */
void window_change_limit(struct window *window, const struct quota_rule *rule, enum window_change change,
                         int64_t anchor_us, int64_t at_us);

/* Lets thresholds that the limit has been lifted above fire again. */
void window_lower_warnings(struct window *window, const struct entitlement *entitlement);

/* A slot is what an account keeps of one resource: windows, rates, sliding logs, override, closed cycles.
 *
 *     struct slot │ resource │ windows: one per LIMIT, by period │ rates: a limiter │ optional
 *                                                                                     │
 *          override │ past cycles by period │ sliding logs by length │ sums of what is reserved
 *
 * Most resources have windows and nothing else, so what few have stands apart. Everything is kept in an order of its
 * own, so that equal slots are equal bytes. Only slot_apply writes (and what counts reservations, for the account). */
#pragma once

#include "quota/account/change.h"
#include "quota/base/checked.h"
#include "quota/base/interned_string.h"
#include "quota/rate/limiter.h"

#define SLOT_WINDOWS_MAX   32 /* twice ENTITLEMENT_RULES_MAX: those of a plan that sleep, too */
#define SLOT_HISTORIES_MAX SLOT_WINDOWS_MAX

/* A window as it is kept: what most windows lack stands apart. */
struct stored_window {
    uint64_t period;
    int64_t start_us, end_us, limit, used, peak;
    struct window *optional; /* NULL = everything else is 0 */
    uint32_t warned_bp;
    uint32_t denied_here; /* denials that no change has written down yet: of this server alone */
};

/* A sliding log of a ROLLING rule. */
struct rolling {
    int64_t period_us;
    struct sliding_log *log; /* NULL = empty */
};

/* Closed cycles of one period. */
struct period_history {
    uint64_t period;
    struct history *history;
};

/* A bill as its bytes. */
struct stored_bill {
    uint32_t size;
    char bytes[];
};

/* What few resources have. */
struct slot_optional {
    const struct plan *override;               /* QUOTA.OVERRIDE, NULL = none */
    int64_t override_until_us;                 /* 0 = for good */
    int64_t transferred, transferred_since_us; /* credits given away in the cycle that began then (TRANSFERS MAX) */
    int64_t generation;                        /* of consumptions, for refunds (window.h); 0 = the first */
    uint32_t histories_count, rollings_count;
    struct period_history *histories;
    struct rolling *rollings;
    struct stored_bill *bill; /* NULL = no price has changed, and credits have served nothing that is billed */
    /* Of the reservations that stand in the account, ended or not. Not encoded: counted as they come and go. */
    int64_t holds_count; /* of several parts of one reservation the first */
    wide held_units;     /* of the limits; what is held of grants stands there */
    wide *held;          /* units made in each stored window; NULL before the first reservation */
    uint32_t held_count; /* places of `held`, one for each window that there was when it was made */
};

struct slot {
    const struct interned_string *resource;
    struct stored_window *windows; /* windows_count of them, by period; in the account's block */
    struct limiter *rates;         /* NULL = nothing counted yet */
    struct slot_optional *optional;
    uint32_t windows_count;
};

/* Windows that the change adds (1) or takes away (-1). */
int slot_grows(const struct slot *slot, const struct change *change);

/* The only writer: does a change of this slot (change_is_of_slot). Cannot fail. The owner of the windows' memory
 * has made room for one more where the change adds one. True when a window is another cycle than before, or gone: then
 * what is reserved has to be counted anew. */
bool slot_apply(struct slot *slot, const struct change *change);

/* CHANGE_USED of a window that keeps nothing but its count, as most do: a number in place. False, and nothing done,
 * where it is not as simple, or there is no such window. `watched`: likewise where it may be the last unit of a limit,
 * which makes an event. */
bool slot_count_plainly(struct slot *slot, const struct change *change, bool watched);

/* CHANGE_RATES, checked and done in one. False, and nothing done, when the effects do not fit the rates. */
bool slot_apply_rates(struct slot *slot, struct bytes effects);

/* Do these effects on rates, this count of a window, which came from outside, fit? `slot` may be NULL. */
bool slot_accepts(const struct slot *slot, const struct change *change);

/* The stored window of a period (quota_rule_code); NULL = there is none. Most slots have few. */
struct stored_window *slot_find_window(const struct slot *slot, uint64_t period);

/* A stored window whole. */
struct window slot_window(const struct slot *slot, uint32_t index);
void slot_read_window(const struct slot *slot, uint32_t index, struct window *window);

/* Is the window what is stored, but for its count (used and peak), so that CHANGE_USED says it all? And is the count
 * what is stored? */
bool slot_window_counts_on(const struct slot *slot, uint32_t index, const struct window *window);
bool slot_window_has_count(const struct slot *slot, uint32_t index, const struct window *window);

/* Is there a place for the sliding log of a window of this length? NULL has one. */
bool slot_fits_log(const struct slot *slot, int64_t period_us);

/* The sliding log of a window of this length, NULL = empty; and the history of a period, NULL = none. */
const struct sliding_log *slot_log(const struct slot *slot, int64_t period_us);
const struct history *slot_history(const struct slot *slot, uint64_t period);

/* Have credits served units of this cycle that its bill knows? */
bool slot_is_credited(const struct slot *slot, const struct window *window);

/* The bytes of its bill; empty = none. And for the codec: they become these. */
struct bytes slot_bill(const struct slot *slot);
void slot_optional_set_bill(struct slot_optional *optional, struct bytes bytes);

/* Units that stored reservations of the slot, ended or not, hold of a stored window (-1 = of all together). */
int64_t slot_held(const struct slot *slot, int32_t window);

/* A reservation of the slot comes (sign 1) or goes (-1). */
void slot_add_held(struct slot *slot, const struct hold *hold, int sign);

/* A reservation of the slot that has expired goes for good. A cycle that it has outlived, and that no change has closed
 * yet, remembers its units: they count as used when the cycle hands on what it leaves (carry.h). */
void slot_keep_outlived(struct slot *slot, const struct hold *hold);

/* Room for the sums of the slot's windows as they are now, all of them 0. */
void slot_clear_held(struct slot *slot);

/* For the codec: a window comes after those of smaller codes, and there is room for it. */
void slot_adopt_window(struct slot *slot, const struct window *window);

/* Frees what the slot holds, but for the places of its windows. Any thread. */
void slot_free(struct slot *slot);

/* Heap bytes of the slot, its struct and windows included; shared plans and strings not. */
size_t slot_bytes(const struct slot *slot);

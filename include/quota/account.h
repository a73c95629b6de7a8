/* An account is the value of one customer's key: what was bought, what was used, what was promised, what was answered.
 *
 *     key ─▶ struct account │ plan ─▶ shared rules │ zone │ anchor │ state
 *                           │ slots ─┬─ api_calls   windows │ rates │ sliding logs │ own terms │ history
 *                           │        └─ tokens      …           one per resource, made by its first use
 *                           └ rest ──── expiry │ next plan │ receipts │ holds │ notes          only where there are any
 *
 *     ask ─▶ standing (the account as it stands now) ─▶ decide ─▶ changes ─▶ account_apply (the only writer)
 *
 * The value holds what happened up to `settled_us`, the instant of its last change. What time alone has done since
 * (cycles that ended, a plan that expired, reservations that ran out) is computed by whoever looks (standing.h) and
 * written down by the next change: an account nobody touched reads as if every boundary had been processed. Nothing
 * that was settled is ever settled again, so a clock that steps back reopens nothing.
 *
 * Denied asks are counted in memory only (a denial changes nothing) and written down with the next change. */
#pragma once

#include "quota/checked.h"
#include "quota/holds.h"
#include "quota/label.h"
#include "quota/limiter.h"

#define ACCOUNT_HOLDS_MAX 10000 /* reservations at once: 1 MB; more is refused */
#define ACCOUNT_NOTES_MAX 16    /* the newest are kept */
#define SLOT_WINDOWS_MAX  32    /* twice TERMS_RULES_MAX: those of a plan that sleep, too */
#define SLOT_PASTS_MAX    SLOT_WINDOWS_MAX
#define SWEEP_MAX         32 /* receipts, and holds, that one change sweeps in passing */

/* A window as it is kept: what most windows lack stands apart. */
struct stored_window {
    uint64_t period;
    int64_t start_us, end_us, limit, used;
    struct window *rest; /* NULL = delta, debt, refunded, over_since are 0 and peak = used */
    uint32_t warned_bp;
    uint32_t denied_here; /* denials that no change has written down yet */
};

/* A sliding log of a ROLLING rule. */
struct rolling {
    int64_t period_us;
    struct sliding_log *log; /* NULL = empty */
};

/* Closed cycles of one period. */
struct past {
    uint64_t period;
    struct history *history;
};

/* What few resources have. */
struct slot_rest {
    const struct plan *own; /* terms of its own (QUOTA.OVERRIDE), NULL = none */
    int64_t own_until_us;   /* 0 = for good */
    uint32_t pasts_count, rollings_count;
    struct past *pasts;
    struct rolling *rollings;
    /* Of the reservations that stand in the account, ended or not. Not encoded: counted as they come and go. */
    int64_t holds_count;
    wide held_units;
    wide *held; /* units made in each stored window; NULL before the first reservation */
};

struct slot {
    const struct label *resource;
    struct stored_window *windows; /* windows_count of them, by period */
    struct limiter *rates;         /* NULL = nothing counted yet */
    struct slot_rest *rest;
    uint32_t windows_count;
};

struct stored_note {
    size_t size;
    char bytes[]; /* note_encode */
};

/* What few accounts have. */
struct account_rest {
    int64_t expires_us; /* 0 = never */
    const struct plan *next;
    int64_t next_us;
    struct receipts *receipts;
    struct holds holds;
    size_t notes_bytes;
    uint32_t notes_count;
    struct stored_note **notes; /* oldest first; room for ACCOUNT_NOTES_MAX, NULL before the first */
};

struct account {
    const struct plan *plan;
    const struct label *zone; /* NULL = UTC */
    struct slot *slots;
    struct account_rest *rest;
    int64_t anchor_us, settled_us;
    uint16_t slots_count;
    uint8_t state; /* enum account_state */
};

/* Changes that belong together, decided at `settled_us`. */
struct account_change {
    int64_t settled_us;
    struct span changes; /* of change.h, one after another; empty = nothing happens */
};

/* The only writer. Cannot fail; NULL in = a new account. Changes from outside must be accepted first. */
struct account *account_apply(struct account *account, const struct account_change *change);

/* Do these changes, which came from outside, fit? */
bool account_accepts(const struct account *account, const struct account_change *change);

/* An account is never forgotten by itself: INSTANT_MAX_US. */
int64_t account_deadline_us(const struct account *account);

/* The number of the resource's slot, or -1. */
int32_t account_slot(const struct account *account, struct span resource);

/* A stored window whole. */
struct window slot_window(const struct slot *slot, uint32_t index);

/* Counts a refused ask in the cycles of the slot that run at `now_us` and have been used. In memory only. */
void slot_count_denied(struct slot *slot, int64_t now_us);

/* Is there a place for the sliding log of a window of this length? NULL has one. */
bool slot_fits_log(const struct slot *slot, int64_t period_us);

/* The sliding log of a window of this length, NULL = empty; and the history of a period, NULL = none. */
const struct sliding_log *slot_log(const struct slot *slot, int64_t period_us);
const struct history *slot_history(const struct slot *slot, uint64_t period);

/* The stored reservation with this id, ended or not; NULL if there is none. */
const struct stored_hold *account_hold(const struct account *account, struct span id);

/* All stored reservations. */
const struct holds *account_holds(const struct account *account);

/* Units that stored reservations of the slot, ended or not, hold of a stored window (-1 = of all together). */
int64_t slot_held(const struct slot *slot, int32_t window);

/* Receipts of the account, NULL = none. */
const struct receipts *account_receipts(const struct account *account);

/* When the account's plan ends; 0 = never. */
int64_t account_expires_us(const struct account *account);

/* For the codec: parts of a value that is being read. A window comes after those of smaller codes; a reservation or a
 * note is refused where it stands out of order or twice (false). */
void slot_adopt_window(struct slot *slot, const struct window *window);
void account_adopt_receipts(struct account *account, struct receipts *receipts);
bool account_adopt_part(struct account *account, const struct change *part);

/* Frees the value; NULL is allowed. Any thread. */
void account_free(struct account *account);

/* Heap bytes of the value; shared plans and labels not. */
size_t account_bytes(const struct account *account);

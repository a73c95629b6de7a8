/* An account is the value of one customer's key: what was bought, what was used, what was promised, what was answered.
 *
 *     key ─▶ ┌ one block ─────────────────────────────────────────────────────────────────┐
 *            │ plan │ zone │ anchor │ state … │ slot │ slot … │ window │ window │ window … │
 *            └─────────────────┬───────────────┬───────────────────────────────────────────┘
 *                              │               └ a resource, made by its first use: rates │ logs │ own terms │ history
 *                              ├ receipts      of the ids that were given
 *                              └ rest          expiry │ next plan │ holds │ notes                where there are any
 *
 * What every ask touches stands in one block: on a server of many accounts most of an ask's time is spent on memory
 * that is not in the cache, and each block more is a wait more.
 *
 *     ask ─▶ standing (the account as it stands now) ─▶ decide ─▶ changes ─▶ account_apply (the only writer)
 *
 * The value holds what happened up to `settled_us`, the instant of its last change. What time alone has done since
 * (cycles that ended, a plan that expired, reservations that ran out) is computed by whoever looks (account_view.h) and
 * written down by the next change: an account nobody touched reads as if every boundary had been processed. Nothing
 * that was settled is ever settled again, so a clock that steps back reopens nothing.
 *
 * Denied asks are counted in memory only (a denial changes nothing) and written down with the next change. */
#pragma once

#include "quota/account/holds.h"
#include "quota/account/slot.h"
#include "quota/base/checked.h"

#define ACCOUNT_HOLDS_MAX 10000 /* reservations at once: 1.8 MB; more is refused */
#define ACCOUNT_NOTES_MAX 16    /* the newest are kept */
#define SWEEP_MAX         32    /* receipts, and holds, that one change sweeps in passing */

struct stored_note {
    size_t size;
    char bytes[]; /* note_encode */
};

/* What few accounts have. */
struct account_rest {
    int64_t expires_us; /* 0 = never */
    const struct plan *next;
    int64_t next_us;
    struct holds holds;
    size_t notes_bytes;
    uint32_t notes_count;
    struct stored_note **notes; /* oldest first; room for ACCOUNT_NOTES_MAX, NULL before the first */
};

struct account {
    const struct plan *plan;
    const struct interned_string *zone; /* NULL = UTC */
    struct receipts *receipts;
    struct account_rest *rest;
    int64_t anchor_us, settled_us;
    uint16_t slots_count;
    uint8_t state;       /* enum account_state */
    struct slot slots[]; /* slots_count of them; behind the last one all windows, slot by slot */
};

/* Changes that belong together, decided at `settled_us`. */
struct account_change {
    int64_t settled_us;
    struct bytes changes; /* of change.h, one after another; empty = nothing happens */
};

/* The only writer. Cannot fail; NULL in = a new account, and what comes out may have moved. Changes from outside must
 * be accepted first. */
struct account *account_apply(struct account *account, const struct account_change *change);

/* Do these changes, which came from outside, fit? */
bool account_accepts(const struct account *account, const struct account_change *change);

/* An account is never forgotten by itself: INSTANT_MAX_US. */
int64_t account_deadline_us(const struct account *account);

/* The number of the resource's slot, or -1. */
int32_t account_slot(const struct account *account, struct bytes resource);

/* The stored reservation with this id, ended or not; NULL if there is none. */
const struct stored_hold *account_hold(const struct account *account, struct bytes id);

/* All stored reservations. */
const struct holds *account_holds(const struct account *account);

/* Receipts of the account, NULL = none. */
const struct receipts *account_receipts(const struct account *account);

/* When the account's plan ends; 0 = never. */
int64_t account_expires_us(const struct account *account);

/* For the codec: a new account; slots of an account that has none (their windows, each slot's a block of its own, move
 * in and are freed); and parts, a reservation or a note, refused where it stands out of order or twice (false). */
struct account *account_new(void);
struct account *account_adopt_slots(struct account *account, const struct slot *slots, uint32_t count);
bool account_adopt_part(struct account *account, const struct change *part);

/* Frees the value; NULL is allowed. Any thread. */
void account_free(struct account *account);

/* Heap bytes of the value; shared plans and strings not. */
size_t account_bytes(const struct account *account);

/* An account is the value of one customer's key: what was bought, what was used, what was promised, what was answered.
 *
 *     key ─▶ ┌ one block ─────────────────────────────────────────────────────────────────┐
 *            │ plan │ zone │ anchor │ state … │ slot │ slot … │ window │ window │ window … │
 *            └─────────────────┬───────────────┬───────────────────────────────────────────┘
 *                              │               └ a resource, made by its first use: rates │ logs │ override │ history
 *                              ├ records       of the ids that were given (idempotency.h)
 *                              └ optional      expiry │ next plan │ holds │ grants │ audit     where there are any
 *
 * What every request touches stands in one block: on a server of many accounts most of a request's time is spent on
 * memory that is not in the cache, and each block more is a wait more.
 *
 *     request ─▶ account_view (the account as of now) ─▶ decide ─▶ changes ─▶ account_apply (account_writer.h)
 *
 * The value holds what happened up to `applied_at_us`, the instant of its last change. What time alone has done since
 * (cycles that ended, a plan that changed or expired, reservations that ended) is computed by the view of the reader
 * and is written down by the next change: an account that is not touched reads as if every boundary had been processed.
 *
 * A denied request changes nothing. It is counted in this server's memory only, by the same writer (CHANGE_DENIED), and
 * written down with the next change. */
#pragma once

#include "quota/account/event.h"
#include "quota/account/holds.h"
#include "quota/account/idempotency.h"
#include "quota/account/slot.h"

#define ACCOUNT_HOLDS_MAX 10000 /* live reservations at once; more is refused */
/* Stored ones, with those that have ended and await their sweep. */
#define ACCOUNT_HOLDS_STORED_MAX (INT64_C(2) * ACCOUNT_HOLDS_MAX)
#define ACCOUNT_AUDIT_MAX        16 /* the newest are kept */
/* Records, and parts of reservations, that one change sweeps in passing; of the latter as many more as it adds. */
#define SWEEP_MAX 32
#define SLOTS_FEW 8 /* slots that are found by looking at each; more have an index */

struct stored_audit_entry {
    size_t size;
    char bytes[]; /* audit_entry_encode */
};

/* What few accounts have. */
struct account_optional {
    int64_t expires_us;                 /* 0 = never */
    int64_t suspended_until_us;         /* 0 = until it is resumed */
    int64_t opened_us;                  /* 0 = at the anchor */
    bool restarted;                     /* it was anchored by a RESTART */
    const struct interned_string *then; /* the plan it falls to when it expires; NULL = the server's default */
    const struct plan *next;            /* a plan that is still to come */
    int64_t next_us;
    uint8_t next_how;     /* enum switch_how */
    uint16_t *slot_index; /* more than SLOTS_FEW slots by the hash of their names: number + 1, 0 = free */
    uint32_t slot_places; /* a power of two; 0 = no index */
    struct holds holds;
    struct grants grants;
    struct api_keys *api_keys;            /* NULL = there never was one */
    struct members *members;              /* likewise */
    const struct interned_string *parent; /* the key of the account above; NULL = none */
    size_t audit_bytes;
    uint32_t audit_count;
    struct stored_audit_entry **audit; /* oldest first; room for ACCOUNT_AUDIT_MAX, NULL before the first */
};

/* Has the account expired by then? And has the plan come that was still to come? */
static inline bool account_has_expired(const struct account_optional *optional, int64_t now_us)
{
    return optional->expires_us > 0 && optional->expires_us <= now_us;
}

static inline bool account_next_comes(const struct account_optional *optional, int64_t now_us)
{
    return optional->next && optional->next_us <= now_us;
}

struct account {
    const struct plan *plan;
    const struct interned_string *zone; /* NULL = UTC */
    struct idempotency_store *idempotency;
    struct account_optional *optional;
    int64_t anchor_us, applied_at_us;
    uint32_t slots_bytes; /* heap bytes of all slots, kept so that a write need not add them up */
    uint16_t slots_count;
    uint8_t state;       /* enum account_state */
    struct slot slots[]; /* slots_count of them; behind the last one all windows, slot by slot */
};

/* Changes that belong together, decided at `applied_at_us`. */
struct account_change {
    int64_t applied_at_us;
    struct bytes changes;        /* of change.h, one after another; empty = nothing happens */
    uint8_t encoding;            /* enum account_encoding in which they are written */
    bool adds_record;            /* an id or a reservation is new among them; only where they are decided */
    struct event_sink *events;   /* takes the events of these changes; NULL = none are made */
    struct event_id first_event; /* where effects carry one: the id of their first event … */
    enum event_level level;      /* … and which events are made of them */
};

/* An account is never forgotten by itself: INSTANT_MAX_US. */
int64_t account_deadline_us(const struct account *account);

/* The number of the resource's slot, or -1. */
int32_t account_slot(const struct account *account, struct bytes resource);

/* The stored reservation with this id, ended or not; NULL if there is none. */
const struct stored_hold *account_hold(const struct account *account, struct bytes id);

/* The part of a member's reservation that this account holds, under its id (member_hold_id); likewise. */
const struct stored_hold *account_member_hold(const struct account *account, struct bytes id);

/* The key of its parent; empty = it has none. */
struct bytes account_parent(const struct account *account);

/* The accounts whose parent it is; none where there never was one. */
const struct members *account_members(const struct account *account);

/* All stored reservations, and what it holds of members'. */
const struct holds *account_holds(const struct account *account);

/* Its API keys; none where there never was one. */
const struct api_keys *account_api_keys(const struct account *account);

/* All its grants that are not forgotten. */
const struct grants *account_grants(const struct account *account);

/* Units of a grant that reservations hold which live at `now_us`. */
int64_t account_grant_held(const struct account *account, const struct stored_grant *stored, int64_t now_us);

/* The idempotency records of the account; NULL = none. */
const struct idempotency_store *account_idempotency(const struct account *account);

/* What it is beside its plan, as stored. */
struct account_status account_status(const struct account *account);

/* How many parts of its own reservations are live at `now_us`. */
uint32_t account_live_holds(const struct account *account, int64_t now_us);

/* ---- for those who write it (account_parts.h, account_writer.h) and the codec ------------------------------- */

/* A new account, and what few have. */
struct account *account_new(void);
struct account_optional *account_optional_of(struct account *account);

/* A slot more, of this name; and slots of an account that has none (their windows, each slot's a block of its own, move
 * in and are freed). The account may move. */
struct account *account_add_slot(struct account *account, struct bytes resource);
struct account *account_adopt_slots(struct account *account, const struct slot *slots, uint32_t count);

/* Room for one more window behind those of the slot, which slot_apply fills; and the windows laid out once it has. Or
 * the place behind the last one taken back, after one went. The account may move. */
struct account *account_grow_windows(struct account *account, uint32_t slot);
struct account *account_windows_grown(struct account *account);
struct account *account_shrink_windows(struct account *account, uint32_t slot);

/* ---- the end ------------------------------------------------------------------------------------------------ */

/* Frees the value; NULL is allowed. Any thread. */
void account_free(struct account *account);

/* Heap bytes of the value; shared plans and strings not. */
size_t account_bytes(const struct account *account);

/* Changes: what a command does to an account, one after another, in absolute terms. The effects of a quota.
 *
 *     decide ─▶ changes as bytes ─▶ account_apply (the only writer)     here
 *                            └────▶ RL._DO key bytes ─▶ account_apply   on replicas, from the AOF: the same bytes
 *
 * A decision is written down once, in the form in which it travels, so what a replica does is what the primary did.
 * Instants and resolved cycles travel, never rules to find them: nobody but the primary needs a clock or a zone file.
 *
 *     effects   head + lasting×128 │ settled_us │ change │ change …
 *     change    kind │ its fields below, in this order                numbers are varints (buffer.h)
 *
 * Slots number the resources of an account in the order of their first use; a slot is never removed. */
#pragma once

#include "quota/account/history.h"
#include "quota/account/idempotency_record.h"
#include "quota/account/plan.h"
#include "quota/account/window.h"
#include "quota/rate/rule.h"

#define ACCOUNT_KIND      4
#define ACCOUNT_SLOTS_MAX 256
#define ACTOR_BYTES_MAX   128
#define REASON_BYTES_MAX  256

/* The numbers are part of the wire format: append, never renumber. */
enum change_kind {
    CHANGE_PLAN = 1,    /* plan: bytes */
    CHANGE_LIFE = 2,    /* state, anchor_us, expires_us (0 = never), zone name (empty = UTC) */
    CHANGE_NEXT = 3,    /* a plan that begins at until_us: bytes; none = there is no such plan any more */
    CHANGE_SLOT = 4,    /* the next slot is for the resource named: bytes */
    CHANGE_OWN = 5,     /* slot has terms of its own until until_us (0 = for good): a nameless plan; none = no longer */
    CHANGE_WINDOW = 6,  /* slot, window: the window of this period as it now stands */
    CHANGE_DROP = 7,    /* slot, period: there is no such window any more */
    CHANGE_CLOSED = 8,  /* slot, period, closed: a cycle has ended */
    CHANGE_AMENDED = 9, /* slot, period, closed (start, used, refunded, peak): late news of a closed cycle */
    CHANGE_RATES = 10,  /* slot, effects of its limiter (limiter_codec.h) */
    CHANGE_ROLLED = 11, /* slot, period_us, state of its sliding log */
    CHANGE_WITHDRAWN = 12, /* slot, period_us, state (when, amount): units of that instant leave the sliding log */
    CHANGE_EMPTIED = 13,   /* slot: rates and sliding logs begin anew */
    CHANGE_RECORD = 14,    /* key, body, expires_us: a new receipt, stored at settled_us */
    CHANGE_REWRITE = 15,   /* key, body: the body of a receipt */
    CHANGE_HOLD = 16,      /* a reservation begins: key (its id), hold */
    CHANGE_EXTEND = 17,    /* key, expires_us */
    CHANGE_RESOLVE = 18,   /* key, outcome, amount (posted) */
    CHANGE_NOTE = 19,      /* note: who did what */
    CHANGE_USED = 20,      /* slot, period, amount, peak: so much is used of this window, the rest of it stands */
    CHANGE_KINDS_END,
};

enum account_state {
    ACCOUNT_ACTIVE = 0,
    ACCOUNT_SUSPENDED = 1,
    ACCOUNT_CLOSED = 2,
    ACCOUNT_LAPSED = 3, /* active on the default plan since its own plan expired */
    ACCOUNT_STATES_COUNT,
};

/* A reservation, without its id. */
struct hold {
    uint32_t slot;
    int64_t amount;              /* as granted */
    int64_t units;               /* amount x COST: what is held of every limit */
    int64_t made_us, expires_us; /* live while now < expires */
    int64_t kept_us;             /* for so long after its end its id is remembered */
    uint8_t mode;                /* as asked: with `asked`, what an equal ask has */
    int64_t asked;
    struct verdict verdict; /* what was answered, in whole ms */
};

/* What an operator did. */
struct note {
    int64_t at_us;
    uint8_t act;                /* enum note_act */
    uint32_t slot;              /* slot + 1; 0 = the account as a whole */
    int64_t amount;             /* of a refund, or `used` of QUOTA.SET; 0 otherwise */
    struct bytes actor, reason; /* may be empty */
};

/* The numbers are part of the stored encoding: append, never renumber. */
enum note_act {
    NOTE_OPEN = 1,
    NOTE_SWITCH = 2,
    NOTE_OVERRIDE = 3,
    NOTE_SUSPEND = 4,
    NOTE_RESUME = 5,
    NOTE_CLOSE = 6,
    NOTE_REFUND = 7,
    NOTE_SET = 8,
    NOTE_RESET = 9,
    NOTE_ACTS_END,
};

/* One change; fields its kind does not name mean nothing. Spans are borrowed. */
struct change {
    enum change_kind kind;
    uint32_t slot;
    struct bytes bytes, body; /* name, plan, effects, key; zone, body */
    uint64_t period;          /* period_code */
    int64_t period_us, anchor_us, expires_us, until_us, amount, peak;
    uint8_t state, outcome;
    union { /* no kind has two of them */
        struct window window;
        struct closed_cycle closed;
        struct state log;
        struct hold hold;
        struct note note;
    };
};

/* Does it change a slot, the one it names? */
static inline bool change_is_of_slot(const struct change *change)
{
    return (change->kind >= CHANGE_OWN && change->kind <= CHANGE_EMPTIED) || change->kind == CHANGE_USED;
}

/* Writes one change: its kind, then the fields that the enum names for it. */
void change_encode(const struct change *change, struct sink *sink);

/* Reads one change; the cursor is bad on anything change_encode would not write. */
void change_decode(struct cursor *cursor, struct change *change);

/* The parts that values (account_codec.h) hold too. */
void window_encode(const struct window *window, struct sink *sink);
void window_decode(struct cursor *cursor, struct window *window);
void hold_encode(const struct hold *hold, struct sink *sink);
void hold_decode(struct cursor *cursor, struct hold *hold);
void note_encode(const struct note *note, struct sink *sink);
void note_decode(struct cursor *cursor, struct note *note);

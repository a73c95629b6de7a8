/* Changes: what a command does to an account, one after another, in absolute terms. The effects of a quota.
 *
 *     decide ─▶ changes as bytes ─▶ account_apply (the only writer)     here
 *                            └────▶ RL._DO key bytes ─▶ account_apply   on replicas, from the AOF: the same bytes
 *
 * A decision is written down once, in the form in which it travels, so what a replica does is what the primary did.
 * Instants and resolved cycles travel, never rules to find them: only the primary needs a clock or a zone file.
 *
 *     effects   head + no_expire×128 │ applied_at_us │ id of the first event, if there is any │ change │ change …
 *     change    kind │ its fields below, in this order                   numbers are varints (buffer.h)
 *
 * Slots number the resources of an account in the order of their first use; a slot is never removed. What earlier
 * encodings wrote is read by the same functions, given the encoding. */
#pragma once

#include "quota/account/api_keys.h"
#include "quota/account/bill.h"
#include "quota/account/funding.h"
#include "quota/account/grants.h"
#include "quota/account/history.h"
#include "quota/account/idempotency_record.h"
#include "quota/account/levels.h"
#include "quota/account/plan.h"
#include "quota/account/window.h"
#include "quota/rate/rule.h"

#define ACCOUNT_SLOTS_MAX 256
#define ACTOR_BYTES_MAX   128
#define REASON_BYTES_MAX  256

/* Encodings of accounts and their changes, named by what they added. */
enum account_encoding {
    ACCOUNT_ENCODING_FIRST = 1,
    ACCOUNT_ENCODING_PLAN_HISTORY = 2,  /* integrals, overrides above plans, refund lines, replies of reservations */
    ACCOUNT_ENCODING_CREDITS = 3,       /* grants, and what was paid by them */
    ACCOUNT_ENCODING_ROLLOVER = 4,      /* lots of ROLLOVER, reservations of several resources, AS, API keys */
    ACCOUNT_ENCODING_ORGANISATIONS = 5, /* parents, members, levels of records and reservations, bills */
    ACCOUNT_ENCODING_NEWEST = ACCOUNT_ENCODING_ORGANISATIONS,
};

/* The numbers are part of the wire format: append, never renumber. A new kind needs a new encoding (test_change.c). */
enum change_kind {
    CHANGE_PLAN = 1,           /* plan: bytes */
    CHANGE_STATUS = 2,         /* status */
    CHANGE_NEXT = 3,           /* a plan that begins at until_us, how (enum switch_how): bytes; none = no such plan */
    CHANGE_SLOT = 4,           /* the next slot is for the resource named: bytes */
    CHANGE_OVERRIDE = 5,       /* slot has an override until until_us (0 = for good): a nameless plan; none = no more */
    CHANGE_WINDOW = 6,         /* slot, window: the window of this period as it now stands */
    CHANGE_WINDOW_REMOVED = 7, /* slot, period: there is no such window any more */
    CHANGE_CLOSED = 8,         /* slot, period, closed: a cycle has ended */
    CHANGE_CYCLE_CORRECTED = 9, /* slot, period, closed (start, used, refunded, peak): late news of a closed cycle */
    CHANGE_RATES = 10,          /* slot, effects of its limiter (limiter_codec.h) */
    CHANGE_LOG_APPENDED = 11,   /* slot, period_us, state of its sliding log */
    CHANGE_LOG_REMOVED = 12,    /* slot, period_us, state (when, amount): units of that instant leave the sliding log */
    CHANGE_RESOURCE_RESET = 13, /* slot: rates and sliding logs begin anew */
    CHANGE_RECORD = 14,         /* key, body, expires_us: a new idempotency record, stored at applied_at_us */
    CHANGE_RECORD_PATCHED = 15, /* key, body: the body of a record */
    CHANGE_HOLD = 16,           /* a reservation begins, or its next part: key (its id), hold */
    CHANGE_HOLD_EXTENDED = 17,  /* key, expires_us */
    CHANGE_HOLD_RESOLVED = 18,  /* of one part: key, amount (posted; 0 = released), remaining (replied), charged */
    CHANGE_AUDIT = 19,          /* audit entry: what an operator did */
    CHANGE_USED = 20,           /* slot, period, amount, peak: so much is used of this window, all else of it stays */
    CHANGE_ENTITLEMENT = 21,    /* the plan's entry of one resource is another revision: bytes (plan_entry_encode) */
    CHANGE_GENERATION = 22,     /* slot, amount: the generation of its consumptions (window.h) */
    CHANGE_REWOUND = 23,        /* until_us: the account was last changed then; an operator puts a wrong clock right */
    CHANGE_SWEPT = 24,          /* nothing but what every change does in passing: what has ended is swept */
    CHANGE_GRANT = 25,          /* credits are given: key (their id), grant */
    CHANGE_GRANT_SPENT = 26,    /* number, amount: this is the grant's balance now */
    CHANGE_GRANT_TURNED = 27,   /* number, amount, until_us, expires_us: it has begun or recurred at until_us, its next
                                 * recurrence is at expires_us (0 = none) */
    CHANGE_GRANT_VOIDED = 28,   /* number: an operator ends it */
    CHANGE_HOLD_FUNDED = 29,    /* as HOLD_RESOLVED, and body: what paid for the posted units */
    CHANGE_TRANSFERRED = 30,    /* slot, amount: credits given away in the cycle that began at until_us (0 = ever) */
    CHANGE_HOLDS_RESOLVED = 31, /* of several parts: key, body: the record of how they have ended */
    CHANGE_API_KEY = 32,        /* a key is made, or gets other settings: api_key */
    CHANGE_API_KEY_ENDED = 33,  /* number, how (enum api_key_end), until_us: it ends then */
    CHANGE_API_KEY_USED = 34,   /* number, until_us: the hour in which it was last charged */
    CHANGE_API_KEY_RATES = 35,  /* number, effects of its limiter */
    CHANGE_PARENT = 36,         /* the account's parent: bytes, its key; none = it has none any more */
    CHANGE_MEMBER = 37,         /* number, name: bytes, weight: amount; a member joins, comes back or is weighted */
    CHANGE_MEMBER_LEFT = 38,    /* number */
    CHANGE_MEMBER_USED = 39,    /* number, slot, amount: used by the member in the cycle that began at until_us */
    CHANGE_MEMBER_HOLD = 40,    /* as HOLD, of a member's reservation: key (member_hold_id), hold */
    CHANGE_MEMBER_HOLD_EXTENDED = 41, /* key, expires_us */
    CHANGE_MEMBER_HOLD_ENDED = 42,    /* key: its units are posted, or not, by other changes */
    CHANGE_SHARES = 43, /* slot, share, amount: shares of so many units are made for the cycle that begins at until_us;
                         * the one before it began at expires_us */
    CHANGE_MEMBER_SHARE = 44, /* number, slot, amount: its share of the cycle that began at until_us */
    CHANGE_BILL = 45,         /* slot, bytes: its bill whole (bill.h); none = it has none */
    CHANGE_CREDITED =
        46, /* slot, period, until_us, amount: credits served so many units of the cycle that began then */
    CHANGE_KINDS_END,
    CHANGE_DENIED = CHANGE_KINDS_END, /* slot, period: a request was refused. Of this server's memory: never encoded */
};

enum account_state {
    ACCOUNT_ACTIVE = 0,
    ACCOUNT_SUSPENDED = 1,
    ACCOUNT_CLOSED = 2,
    ACCOUNT_LAPSED = 3, /* active on the plan it fell to when its own expired */
    ACCOUNT_STATES_COUNT,
};

/* How an account moves to another plan. Part of the encoding. */
enum switch_how {
    SWITCH_HOW_FULL = 0,
    SWITCH_HOW_PRORATE = 1,
    SWITCH_HOW_RESTART = 2, /* running cycles close, and the account is anchored there */
    SWITCH_HOWS_COUNT,
};

/* What an account is beside its plan. */
struct account_status {
    uint8_t state; /* enum account_state */
    int64_t anchor_us;
    int64_t expires_us;         /* 0 = never */
    int64_t suspended_until_us; /* 0 = until it is resumed */
    int64_t opened_us;          /* 0 = at the anchor */
    bool restarted;             /* a RESTART has anchored it there: the cycles before it are others */
    struct bytes zone;          /* empty = UTC */
    struct bytes then;          /* the plan it falls to when it expires: a name; empty = the server's default */
};

#define HOLD_PARTS_MAX BATCH_ITEMS_MAX

/* A part of a reservation, without its id: what it holds of one slot. All parts of a reservation are made in one step,
 * and expire at one instant. */
struct hold {
    uint32_t slot;
    int64_t amount;              /* as granted */
    int64_t units;               /* amount x COST: what is held of every limit */
    int64_t made_us, expires_us; /* live while now < expires */
    int64_t kept_us;             /* for so long after its end its id is remembered */
    uint8_t mode;                /* as requested: with `requested`, what an equal request has */
    uint8_t part;                /* its number in the reservation … */
    uint8_t item;                /* … and which item of the request it holds: an item may have several parts */
    int64_t requested;
    struct verdict verdict; /* what was answered of the item, in whole ms */
    struct bytes funding;   /* which sources the units are held of (funding.h) */
    struct bytes levels;    /* of the first part: where else units are held (levels.h) */
    bool of_member;         /* the reservation is a member's, and this is a level's part of it */
    bool again;             /* a part before it is of the same slot: one reservation of that; holds_add finds it out */
};

/* Does it come next to a part of the same reservation? A level need not have a part of each item. */
static inline bool hold_follows(const struct hold *next, const struct hold *part)
{
    return next->part == part->part + 1 && next->part < HOLD_PARTS_MAX && next->made_us == part->made_us &&
           next->expires_us == part->expires_us && next->item >= part->item && next->of_member == part->of_member &&
           (next->of_member || next->item <= part->item + 1);
}

/* Of the units of a reservation those that the limits hold. */
static inline int64_t hold_limited(const struct hold *hold)
{
    return hold->funding.size == 0 ? hold->units : funding_of_limits(hold->funding, hold->units);
}

/* And those that count here at all: credits of accounts below pay for others. */
static inline int64_t hold_counted(const struct hold *hold)
{
    return hold->units - funding_below(hold->funding);
}

/* What an operator did. */
struct audit_entry {
    int64_t at_us;
    uint8_t act;                /* enum audit_action */
    uint32_t slot;              /* slot + 1; 0 = the account as a whole */
    int64_t amount;             /* of a refund, grant or transfer, what VOID took, `used` of SET; or 0 */
    struct bytes actor, reason; /* may be empty */
};

/* The numbers are part of the stored encoding: append, never renumber. */
enum audit_action {
    AUDIT_OPEN = 1,
    AUDIT_SWITCH = 2,
    AUDIT_OVERRIDE = 3,
    AUDIT_SUSPEND = 4,
    AUDIT_RESUME = 5,
    AUDIT_CLOSE = 6,
    AUDIT_REFUND = 7,
    AUDIT_SET = 8,
    AUDIT_RESET = 9,
    AUDIT_GRANT = 10,
    AUDIT_VOID = 11,
    AUDIT_TRANSFER = 12,
    AUDIT_KEY_SET = 13,
    AUDIT_KEY_ROTATE = 14,
    AUDIT_KEY_REVOKE = 15,
    AUDIT_PARENT = 16,
    AUDIT_DETACH = 17,
    AUDIT_WEIGHT = 18,
    AUDIT_ACTIONS_END,
};

/* One change; fields its kind does not name mean nothing. Spans are borrowed. */
struct change {
    enum change_kind kind;
    uint32_t slot;
    struct bytes bytes, body; /* name, plan, effects, key; body */
    uint64_t period;          /* period_code */
    int64_t period_us, expires_us, until_us, amount, peak, remaining, number;
    uint8_t outcome, how;
    union { /* no kind has two of them */
        struct account_status status;
        struct window window;
        struct closed_cycle closed;
        struct state log;
        struct hold hold;
        struct audit_entry audit;
        struct charged charged;
        struct grant grant;
        struct api_key api_key;
    };
};

/* Does it change a slot, the one it names? */
static inline bool change_is_of_slot(const struct change *change)
{
    return (change->kind >= CHANGE_OVERRIDE && change->kind <= CHANGE_RESOURCE_RESET) || change->kind == CHANGE_USED ||
           change->kind == CHANGE_GENERATION || change->kind == CHANGE_DENIED || change->kind == CHANGE_TRANSFERRED ||
           change->kind == CHANGE_BILL || change->kind == CHANGE_CREDITED;
}

/* Writes one change: its kind, then the fields that the enum names for it. */
void change_encode(const struct change *change, struct sink *sink);

/* Reads one change of this encoding; the cursor is bad on anything change_encode would not write. */
void change_decode(struct cursor *cursor, uint8_t encoding, struct change *change);

/* The same of a CHANGE_USED in the newest encoding; false where the next change is another one, or bad. */
bool change_decode_used(struct cursor *cursor, uint8_t encoding, struct change *change);

/* Grants: credits of an account, units that were given apart from any limit and are used for one resource.
 *
 *     grant #7 of 100   │▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓│░░░░░░░░│          balance = what was not spent: free, or held
 *                       spent            held     free
 *                                        └── balance ──┘
 *
 *     comes ─▶ begins (effective; pays what the running cycles are over) ─▶ recurs … (EVERY: balance := amount + held)
 *           ─▶ ends (expires, is voided, or was spent long ago) ─▶ its id is remembered for a while
 *
 * Free units are never stored: they are the balance less what reservations hold, so the end of a reservation needs no
 * writing. A unit that was taken before the grant's `since_us` (its last recurrence) belongs to another recurrence: it
 * is lost when it comes back.
 *
 * Grants are found by id and by number; those of one resource also stand in the order in which they are burnt:
 *
 *     priority, the lower first │ expiry, none last │ PROMO before paid │ effective │ created │ id
 *
 * What many requests need of them, the sums over those that can be used, is kept until time changes it (`next_us`). */
#pragma once

#include "quota/base/checked.h"
#include "quota/base/hash_index.h"
#include "quota/time/calendar.h"

#define GRANT_PRIORITY_DEFAULT 50
#define GRANTS_LIVE_MAX        1000  /* of one resource that have not ended; more is refused */
#define GRANTS_ONCE_MAX        10000 /* ids of an account that are never forgotten */

/* Part of the stored encoding. */
enum grant_flag {
    GRANT_PROMO = 1,
    GRANT_ONCE = 2,  /* its id is known as long as the account lives */
    GRANT_BEGUN = 4, /* its effective instant was met: it has paid for what was over, and can be used */
    GRANT_VOID = 8,  /* an operator ended it, at used_us */
    GRANT_FLAGS_ALL = 15,
};

/* How its end was given: with the effective instant as given, the content that a repeated command is compared by. */
enum grant_expiry {
    GRANT_EXPIRES_NEVER = 0,
    GRANT_EXPIRES_AT = 1,     /* an instant, us */
    GRANT_EXPIRES_AFTER = 2,  /* a duration, us */
    GRANT_EXPIRES_PERIOD = 3, /* a calendar period: its period_code */
    GRANT_EXPIRES_CYCLE = 4,  /* the end of the running cycle of the longest LIMIT */
    GRANT_EXPIRIES_COUNT,
};

struct grant {
    int64_t number; /* 1, 2, … as they were given; never used again */
    uint32_t slot;
    uint8_t priority, flags;    /* enum grant_flag */
    uint8_t expiry;             /* enum grant_expiry … */
    int64_t expiry_value;       /* … and what was given */
    int64_t given_effective_us; /* 0 = none was given */
    int64_t amount, balance;
    int64_t created_us, effective_us;
    int64_t expires_us;                        /* INSTANT_MAX_US = never */
    uint64_t every;                            /* period_code; 0 = it does not recur */
    int64_t since_us;                          /* its last recurrence, or effective */
    int64_t recurs_us;                         /* its next recurrence; 0 = none */
    int64_t used_us;                           /* when it was spent last, or voided; 0 = not yet */
    int64_t kept_us;                           /* for so long after its end its id is remembered */
    int64_t replied_credits, replied_absorbed; /* what QUOTA.GRANT answered */
};

struct stored_grant {
    struct hash_link by_id;
    struct grant grant;
    int64_t held;   /* of the balance, by stored reservations, ended or not */
    uint32_t place; /* in the order of its resource */
    uint32_t id_size;
    char id[];
};

/* The grants of one resource. Sums are of those that could be used at `as_of_us`, and hold until `next_us`. */
struct credits {
    struct stored_grant **order; /* in which they are burnt; count of them */
    uint32_t slot, count, capacity;
    uint32_t usable; /* how many can be used, spent or not */
    uint32_t first;  /* in front of it nothing is free */
    int64_t as_of_us, next_us;
    int64_t begins_us; /* the first of those that have not begun; INT64_MAX = all have */
    int64_t more_us;   /* the first to begin or to recur; INT64_MAX = none will */
    wide amount, free; /* sums of the usable ones */
};

/* All grants of an account; all zero = none. Open to readers. */
struct grants {
    struct stored_grant **by_number; /* count of them */
    struct hash_index by_id;
    struct credits *of; /* resources_count of them, by slot */
    uint32_t count, capacity, resources_count;
    uint32_t once_count; /* ids that are never forgotten, of live grants and of those that have ended */
    int64_t made;        /* the highest number */
    int64_t sweep_us;    /* nothing ends before */
    size_t bytes;        /* on the heap, all included */
};

static inline struct bytes grant_id(const struct stored_grant *stored)
{
    return (struct bytes){stored->id, stored->id_size};
}

/* When it ends: a grant that was given once and is spent ends `kept_us` after its last use. */
int64_t grant_ends_us(const struct grant *grant);

/* Has it begun, and not ended, at `now_us`? Also if nothing of it is left. */
static inline bool grant_is_usable(const struct grant *grant, int64_t now_us)
{
    return (grant->flags & GRANT_BEGUN) && now_us < grant_ends_us(grant);
}

/* Can its id be used again, if no reservation that lives holds a part of it: did it end long enough ago? */
bool grant_is_forgotten(const struct grant *grant, int64_t now_us);

/* The grant of this id (of this linear_hash), of this number; NULL = none is stored. */
const struct stored_grant *grants_find(const struct grants *grants, struct bytes id, uint32_t hash);
const struct stored_grant *grants_numbered(const struct grants *grants, int64_t number);

/* The grants of a resource; NULL = it has none. */
const struct credits *grants_of(const struct grants *grants, uint32_t slot);

/* ---- for the account's writer alone ---- */

/* Adds one. Its number is above all others, its id (1 … 512 bytes, of this hash) is free. */
void grants_add(struct grants *grants, struct bytes id, uint32_t hash, const struct grant *grant, int64_t now_us);

/* Its balance is another: units were spent (at `now_us`), or came back. */
void grants_spend(struct grants *grants, int64_t number, int64_t balance, int64_t now_us);

/* It has begun or recurred; balance: as it was set by that. And what that makes of a grant. */
void grant_turn(struct grant *grant, int64_t balance, int64_t since_us, int64_t recurs_us);
void grants_turn(struct grants *grants, int64_t number, int64_t balance, int64_t since_us, int64_t recurs_us,
                 int64_t now_us);

/* It ends now; what is held stays. */
void grants_void(struct grants *grants, int64_t number, int64_t now_us);

/* A reservation that was made at `made_us` holds units more of it (sign 1), or no more (-1). */
void grants_hold(struct grants *grants, int64_t number, int64_t units, int sign, int64_t made_us, int64_t now_us);

/* Takes those out that have ended and are held no more, and gives each to `ended`; brings sums that time has changed
 * up to `now_us`. O(1) where nothing has ended since. */
void grants_sweep(struct grants *grants, int64_t now_us,
                  void (*ended)(void *context, const struct stored_grant *stored), void *context);

/* Frees all of them. */
void grants_free(struct grants *grants);

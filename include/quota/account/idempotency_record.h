/* Records: what an account remembers of an id, as the key and body of an entry (idempotency.h).
 *
 *     operation │ resource │ id  ──▶  what was requested, what was answered
 *
 *     CONSUME    amount and mode        the verdict, its limits      sent again: the same answer, nothing is charged
 *                (of QUOTA.INGEST its instant, too)
 *     BATCH      every item and mode    every verdict                (QUOTA.MCONSUME)
 *     REFUND     amount and OF          refunded, lost, remaining        (REFUND_ALL: OF, of each resource)
 *     HOLD       its parts              how the reservation ended, when it was made; of each part what was posted
 *     RETURNED   -                      units given back so far of the consumption with this id
 *     GRANT      the grant as given     what QUOTA.GRANT answered: of one that has ended
 *     TRANSFER   amount and target      the credits of both accounts
 *
 * An id that comes again with other content is a conflict. Verdicts are kept in whole ms as they were replied, so a
 * replay is the same bytes. Numbers are varints (buffer.h). */
#pragma once

#include "quota/account/entitlement.h"
#include "quota/account/funding.h"
#include "quota/account/idempotency.h"
#include "quota/rate/verdict.h"

#define ID_BYTES_MAX    512
#define BATCH_ITEMS_MAX 64
#define RECORD_NO_SLOT  0 /* of operations that belong to no resource */

/* The numbers are part of the stored encoding: append, never renumber. */
enum record_operation {
    RECORD_CONSUME = 1,
    RECORD_BATCH = 2,
    RECORD_REFUND = 3,
    RECORD_HOLD = 4,
    RECORD_RETURNED = 5, /* of a CONSUME … */
    RECORD_RETURNED_BATCH = 6,
    RECORD_RETURNED_HOLD = 7,
    RECORD_GRANT = 8,
    RECORD_TRANSFER = 9,
    RECORD_REFUND_ALL = 10,
};

/* Likewise. */
enum hold_outcome {
    HOLD_COMMITTED = 1,
    HOLD_RELEASED = 2,
    HOLD_EXPIRED = 3,
};

/* A key and the memory it stands in. */
struct record_key {
    char stack_buffer[IDEMPOTENCY_KEY_MAX];
    size_t size;
};
void record_key_make(struct record_key *key, enum record_operation operation, uint32_t slot, struct bytes id);
/* The id of a key's bytes; empty where they are none. */
struct bytes record_key_id(struct bytes key);
static inline struct bytes record_key_bytes(const struct record_key *key)
{
    return (struct bytes){key->stack_buffer, key->size};
}

/* The limits a consumption was charged to: a refund goes to no others, which may have come since. */
#define CHARGED_ALL    UINT32_MAX       /* all that ran then, as the first encoding of reservations had it */
#define CHARGED_STORED (UINT32_MAX - 1) /* in a change: all that the slot has windows of, once the change is applied */
struct charged {
    uint32_t count; /* or one of the two above */
    uint64_t periods[ENTITLEMENT_RULES_MAX];
};

/* The LIMITs of an entitlement; and is a period among them? NULL is charged to all. */
struct charged charged_of(const struct entitlement *entitlement);
bool charged_has(const struct charged *charged, uint64_t period);

/* One period more; what does not fit is left out, and so no refund goes there. */
void charged_add(struct charged *charged, uint64_t period);
void charged_encode(const struct charged *charged, struct sink *sink);
void charged_decode(struct cursor *cursor, struct charged *charged);

/* One charged resource of a consumption: a part of an item of the request. An item may have several; the first of them
 * says what was requested and answered. */
struct record_item {
    uint32_t slot;
    int64_t amount;     /* as requested */
    int64_t cost;       /* what a unit counted as then */
    int64_t generation; /* of the resource's consumptions (window.h) */
    struct charged charged;
    struct verdict verdict;
    struct bytes funding; /* of what was granted; borrowed */
    uint32_t item;        /* of the request, counted one by one */
    int64_t at_us;        /* when the units were used, as QUOTA.INGEST says it; all items the same. 0 = when decided */
};

/* A verdict, its times in whole ms as they were replied. */
void record_verdict_encode(const struct verdict *verdict, struct sink *sink);
void record_verdict_decode(struct cursor *cursor, struct verdict *verdict);

/* CONSUME and BATCH, `count` parts of items: `mode` is whatever makes two requests differ beside amounts. `levels`:
 * where else the units were charged (levels.h); empty = the account has no parent. */
void record_items_encode(const struct record_item *items, uint32_t count, uint8_t mode, struct bytes levels,
                         struct sink *sink);
bool record_items_decode(struct bytes body, struct record_item items[BATCH_ITEMS_MAX], uint32_t *count, uint8_t *mode);

/* The levels of such a record; borrowed, empty = none. */
struct bytes record_items_levels(struct bytes body);

struct record_refund {
    int64_t amount;
    struct bytes of; /* empty = none; borrowed */
    int64_t refunded, lost, remaining;
};
void record_refund_encode(const struct record_refund *refund, struct sink *sink);
bool record_refund_decode(struct bytes body, struct record_refund *refund);

/* How one part of a reservation has ended; outcome and made_us are those of all its parts. */
struct record_hold {
    enum hold_outcome outcome;
    uint32_t slot;
    int64_t amount, posted; /* as held; posted counts the same way, and may be more (FORCE) */
    int64_t cost;           /* what a unit counted as then */
    int64_t made_us;
    int64_t remaining;  /* as replied: a COMMIT or RELEASE that comes again is answered the same */
    int64_t generation; /* of the resource's consumptions (window.h) */
    struct charged charged;
    struct bytes funding; /* of what was posted; borrowed */
    uint32_t item;        /* of the request: an item may have several parts */
};
void record_hold_encode(const struct record_hold *parts, uint32_t count, struct bytes levels, struct sink *sink);
bool record_hold_decode(struct bytes body, struct record_hold parts[BATCH_ITEMS_MAX], uint32_t *count);
struct bytes record_hold_levels(struct bytes body);

/* What came back of one resource. */
struct refunded {
    int64_t refunded, lost, remaining;
};

#define REFUND_ITEMS_MAX 256 /* every resource that an account may have */

/* REFUND ALL. */
struct record_refund_all {
    struct bytes of; /* borrowed */
    uint32_t count;  /* 1 … REFUND_ITEMS_MAX */
    struct refunded items[REFUND_ITEMS_MAX];
};
void record_refund_all_encode(const struct record_refund_all *refund, struct sink *sink);
bool record_refund_all_decode(struct bytes body, struct record_refund_all *refund);

struct record_transfer {
    int64_t amount;
    struct bytes target; /* the other account's key; borrowed */
    int64_t source_credits, target_credits;
};
void record_transfer_encode(const struct record_transfer *transfer, struct sink *sink);
bool record_transfer_decode(struct bytes body, struct record_transfer *transfer);

#define RECORD_RETURNED_BYTES 8
/* Of fixed size, so that it can be rewritten in place (idempotency_patch). */
void record_returned_encode(int64_t amount, char body[RECORD_RETURNED_BYTES]);
bool record_returned_decode(struct bytes body, int64_t *amount);

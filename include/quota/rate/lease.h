/* Leases are the value of one concurrency key: how much is held until when, and a fencing token for each holder.
 *
 *      units
 *      limit ├─────────────────────────────────────────
 *            │        ┌──────── B: 2 ────────┐            a lease is live while now < expires, exactly: every path
 *            │  ┌──── A: 3 ─────┬────────────┴──┐         that reads treats an expired one as gone, so no timer and
 *            │  │               │   released    │         no sweep is needed to be right
 *            └──┴───────────────┴───────────────┴────▶ time
 *
 *     request ─▶ leases_decide_… (reads only) ─▶ decision │ verdict   what to answer
 *                                                         │ change    what to do ─▶ leases_apply (the only writer)
 *
 * A change is one of open, move, close, in absolute terms, and each first sweeps: drops some of what has expired by
 * `settled_us` and keeps that instant. It is the clock's high-water mark, so what has ended once stays ended when
 * the clock steps back; new leases then count from the mark.
 *
 * Tokens grow for ever: token = max(last + 1, settled_us). A key remembers `last` as long as it lives, which is until
 * a day (LEASE_RETENTION_US) after everything it has promised. A key that was forgotten, deleted or lost by a
 * failover starts again at the time of day in microseconds, and that is above every token given out before, unless
 * the clock stepped back by more than the retention (or, after a deletion, at all), or tokens ran ahead of it: more
 * than one grant a microsecond, for which the last token counts into the deadline too. So a storage that refuses
 * smaller tokens than it has seen is safe from a holder that comes back late (Kleppmann, "How to do distributed
 * locking", 2016; Chubby's sequencers, Burrows, OSDI 2006).
 *
 * Memory: records stand in a hash index by id and in a treap (Aragon and Seidel 1989) by expiry that carries the sum of
 * costs below each node:
 *
 *          expires 40, cost 2 │ below: 9          live units, the next free place and the sweep are walks from the
 *            ┌───────┴───────┐                     root: n records, about 2 ln n steps (30 for 100,000)
 *       20, cost 3 │ 3   70, cost 1 │ 4
 *                          └───────┐              priorities are the ids' keyed hashes: no client can choose expiries
 *                             90, cost 3 │ 3      such that it grows deep; its form shows in no answer and no encoding
 *
 * Rejected: a binary heap (deciding would have to pop, that is write, to find out how long a denied cost waits), a
 * sorted array (inserting moves 800 kB in the worst case). Records that have ended are kept until the next changes of
 * the key sweep them, LEASE_SWEEP_MAX each; they are in no encoding and in no answer. */
#pragma once

#include "quota/base/bytes.h"
#include "quota/rate/verdict.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEASES_MAX           100000 /* live at once on a key: 14 MB; more is refused (LEASE_FAULT_BOUND) */
#define LEASE_SWEEP_MAX      64     /* records that have ended and that one change drops */
#define LEASE_ID_BYTES_MAX   512    /* an id has 1 … 512 bytes: room for a URL */
#define LEASE_MADE_BYTES_MAX 24     /* an id made here: L and the token in decimal */
#define LEASE_TOKEN_MAX      INSTANT_MAX_US
#define LEASE_RETENTION_US   MICROS_PER_DAY

/* One lease as it stands. */
struct lease {
    struct bytes id;
    int64_t cost;  /* units, >= 1 */
    int64_t token; /* > 0, larger than that of every lease opened before on this key */
    int64_t acquired_us;
    int64_t expires_us; /* live while now < expires */
};

struct lease_request {
    struct bytes id; /* 1 … LEASE_ID_BYTES_MAX bytes; empty = make one */
    int64_t limit;   /* units at once; UNLIMITED, 0 = none */
    int64_t cost;    /* units, >= 1 */
    int64_t ttl_us;  /* 1 … DURATION_MAX_US */
    int64_t now_us;  /* > 0 */
    int64_t ahead;   /* units that others wait for on this key, and that come first */
};

enum lease_fault {
    LEASE_FAULT_NONE,
    LEASE_FAULT_CONFLICT, /* a live lease has this id and another cost (that is in decision.lease.cost) */
    LEASE_FAULT_UNKNOWN,  /* no live lease has this id */
    LEASE_FAULT_BOUND,    /* LEASES_MAX leases are live */
    LEASE_FAULT_OVERFLOW, /* the sum of costs, the expiry or the token would leave its range */
};

/* The numbers are part of the wire format. */
enum lease_change {
    LEASE_KEPT = 0,  /* nothing changes */
    LEASE_OPEN = 1,  /* `lease` begins */
    LEASE_MOVE = 2,  /* lease.id now ends at lease.expires_us */
    LEASE_CLOSE = 3, /* lease.id ends now */
};

/* Not to be copied: lease.id may point to made_id. It may also point into the value or the request. */
struct lease_decision {
    struct verdict verdict; /* of an acquire */
    enum lease_fault fault; /* not NONE: no verdict, no change */
    enum lease_change change;
    int64_t settled_us; /* with a change: what has expired by then is dropped first */
    struct lease lease; /* the lease that was granted (token > 0), moved or closed */
    char made_id[LEASE_MADE_BYTES_MAX];
};

struct leases;

/* May `cost` more be held at once? NULL = nothing is stored. A request with the id of a live lease of equal cost gets
 * the same lease: nothing changes, its limit and ttl do not matter. While others wait (`ahead`) no other request is
 * admitted; wait_us then is the time until what waits ahead and this cost too would fit, as leases end by themselves,
 * or until the last one ends if even that would not be enough. A denied decision has lease.token 0. */
void leases_decide_acquire(const struct leases *leases, const struct lease_request *request,
                           struct lease_decision *decision);

/* In place of a token: whatever token the lease has. */
#define LEASE_ANY_TOKEN 0

/* Lets the live lease `id`, if it has this token, end at now + ttl, sooner or later than it would have. */
void leases_decide_renew(const struct leases *leases, struct bytes id, int64_t token, int64_t ttl_us, int64_t now_us,
                         struct lease_decision *decision);

/* Ends the lease `id`, if it has this token; answers whether there was one. */
bool leases_decide_release(const struct leases *leases, struct bytes id, int64_t token, int64_t now_us,
                           struct lease_decision *decision);

/* The only writer. Cannot fail; NULL in = a new value. A decision from outside must fit (leases_accepts). */
struct leases *leases_apply(struct leases *leases, const struct lease_decision *decision);

/* Does this change, which came from outside, fit? */
bool leases_accepts(const struct leases *leases, const struct lease_decision *decision);

/* From this instant on the value may be forgotten: the retention after its last end, mark and token. */
int64_t leases_deadline_us(const struct leases *leases);

/* The instant that counts: now, or the mark where the clock has stepped back. */
int64_t leases_settled_us(const struct leases *leases, int64_t now_us);

/* Leases that are live at `now_us`; NULL has none. */
uint32_t leases_live_count(const struct leases *leases, int64_t now_us);

/* Walks all records, expired ones too, in order of their tokens; NULL = before the first one; answered
 * behind the last. */
const struct lease *leases_next(const struct leases *leases, const struct lease *after);

/* For the codec: the mark, the last token, and its way to set the token of a value it has read (not below it). */
int64_t leases_seen_us(const struct leases *leases);
int64_t leases_last_token(const struct leases *leases);
void leases_adopt_token(struct leases *leases, int64_t token);

/* Frees the value; NULL is allowed. Any thread. */
void leases_free(struct leases *leases);

/* Heap bytes of the value. */
size_t leases_bytes(const struct leases *leases);

/* Records on all keys together, those that have ended and await their sweep included: for INFO. */
int64_t leases_records_count(void);

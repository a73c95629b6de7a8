/* A breaker is the value of one circuit-breaker key: may this call go, and what became of the calls that went?
 *
 *                     failures in the window reach FAILURES n,
 *                     or RATE percent of at least MIN calls are failures (or SLOWRATE percent are slow)
 *            ┌────────┐ ──────────────────────────────────────────────▶ ┌────────┐
 *            │ closed │                                                  │  open  │◀────────┐
 *            └────────┘ ◀──────────────── PROBES successes ───┐          └────────┘         │
 *             calls go                                        │     refuses for OPEN        │ one probe fails
 *                                                       ┌───────────┐        │              │ or is slow
 *             FORCE open │ closed overrides all;        │ half-open │ ◀──────┘ ─────────────┘
 *             FORCE auto begins anew, closed            └───────────┘   the first request afterwards
 *                                                     at most PROBES calls go
 *
 * Terms and defaults are resilience4j's (CircuitBreakerConfig), the idea is from Nygard, "Release It!" (2007).
 *
 * The window is time, cut into ten slices of WINDOW/10 on the epoch; each counts calls, failures and slow calls:
 *
 *             ◀───────────────── at most WINDOW ─────────────────▶ now
 *     …  9  │  8  │  7  │  6  │  5  │  4  │  3  │  2  │  1  │  0 ··┊      a slice leaves as a whole: a report
 *     ──────┴─────┴─────┴─────┴─────┴─────┴─────┴─────┴─────┴──────────▶   counts for 9/10 to 10/10 of WINDOW
 *
 * Rejected: the last n calls (a night-old failure would still count, callers of different rates would hide each
 * other, and the key could never be forgotten), and a log of all calls (memory grows with the traffic).
 *
 * A probe is admitted by name of its instant only: a report settles the oldest one under way, and a probe that never
 * reports gives its place back OPEN after it was admitted. Opening and half-opening are not stored events: an open
 * breaker whose time is over is half-open for every reader; the first admitted probe makes it true.
 *
 *     request │ report │ force ─▶ breaker_decide_… (reads only) ─▶ decision │ verdict, state   what to answer
 *                                                                           │ parts, after     what is different now
 *                                                          breaker_apply, the only writer ◀────┘
 *
 * `seen_us` is the clock's high-water mark, moved by every change: what is decided counts from it when the clock has
 * stepped back, so nothing closes early, no window reopens, nothing opens twice. */
#pragma once

#include "quota/base/buffer.h"
#include "quota/rate/verdict.h"

#define BREAKER_SLICES       10
#define BREAKER_PROBES_MAX   32 /* trial calls are few by nature; so many instants fit where the window stands */
#define BREAKER_COUNT_MAX    (INT64_C(1) << 52) /* of calls in a slice: ten of them times 100 fit an int64 */
#define BREAKER_RETENTION_US MICROS_PER_DAY     /* an open breaker without requests is forgotten after that */

/* What was agreed; comes with a request and stays with the key. */
struct breaker_config {
    int64_t failures;  /* open at so many failures in the window; 0 = by rate */
    int64_t rate;      /* … at this percentage of failures, 1 … 100; 0 = by number */
    int64_t calls_min; /* rates count from so many calls in the window, >= 1 */
    int64_t window_us; /* BREAKER_SLICES … DURATION_MAX_US */
    int64_t slow_us;   /* a call that took so long, or longer, is slow; 0 = none is */
    int64_t slow_rate; /* open at this percentage of slow calls, 1 … 100; 0 without slow_us */
    int64_t open_us;   /* 1 … DURATION_MAX_US */
    int64_t probes;    /* 1 … BREAKER_PROBES_MAX */
};

/* resilience4j's: failureRateThreshold 50, minimumNumberOfCalls 100, slidingWindowSize 100 (as seconds),
 * waitDurationInOpenState 60 s, permittedNumberOfCallsInHalfOpenState 10. Slow calls count only on request. */
#define BREAKER_CONFIG_DEFAULT                                                                                         \
    ((struct breaker_config){.rate = 50,                                                                               \
                             .calls_min = 100,                                                                         \
                             .window_us = 100 * MICROS_PER_SECOND,                                                     \
                             .open_us = 60 * MICROS_PER_SECOND,                                                        \
                             .probes = 10})

/* NULL when it can be used, else the reason it cannot, as the end of an error text. */
const char *breaker_config_fault(const struct breaker_config *config);

/* As a user would write it: `RATE 50 MIN 100 WINDOW 100s OPEN 1m PROBES 10`. */
void breaker_config_write(const struct breaker_config *config, struct sink *text);

/* The numbers are part of the stored encoding. */
enum breaker_state {
    BREAKER_CLOSED = 0,
    BREAKER_OPEN = 1,
    BREAKER_HALF_OPEN = 2,
};

enum breaker_force {
    BREAKER_AUTO = 0, /* nothing is forced */
    BREAKER_FORCED_OPEN = 1,
    BREAKER_FORCED_CLOSED = 2,
};

struct breaker_slice {
    int64_t calls, failures, slow;
};

/* Plain numbers, copied as a whole. slices and probes share their place: one is needed closed, one half-open. */
struct breaker {
    struct breaker_config config;
    int64_t seen_us;            /* the latest instant that changed anything */
    int64_t since_us;           /* the state began */
    int64_t requested_us;       /* the latest request that was written down: keeps the key while calls are under way */
    uint8_t state;              /* enum breaker_state */
    uint8_t force;              /* enum breaker_force; not AUTO: closed and empty underneath */
    uint8_t succeeded, probing; /* half-open: probes that came back well, probes under way */
    union {
        struct breaker_slice slices[BREAKER_SLICES]; /* closed: [0] holds seen_us, [1] is the slice before … */
        int64_t probes[BREAKER_PROBES_MAX];          /* half-open: when each was admitted, oldest first */
    };
};

/* What a decision changes, in absolute terms; the bits are part of the wire format. */
enum breaker_part {
    BREAKER_PART_CONFIG = 1,    /* config; a new window takes over all counts of the old one */
    BREAKER_PART_STATE = 2,     /* state and force, beginning at seen_us with nothing counted */
    BREAKER_PART_REQUESTED = 4, /* requested_us is seen_us */
    BREAKER_PART_SLICE = 8,     /* slices[0], the one that holds seen_us */
    BREAKER_PART_PROBES = 16,   /* succeeded, probing, probes */
    BREAKER_PARTS_ALL = 31,
};

struct breaker_decision {
    struct verdict verdict;   /* of a request */
    enum breaker_state state; /* after it, as every reader sees it */
    unsigned parts;           /* 0 = nothing changes */
    struct breaker after;     /* the fields that `parts` names are the change */
};

/* May a call go? NULL = nothing is stored. `config` NULL: what is stored, or the default. Granted is 1 or 0.
 *   closed     limit and remaining UNLIMITED; reset: until the window is empty
 *   open       limit 0; wait and reset: until probes may go; NEVER_US when forced
 *   half-open  limit PROBES, remaining what may still go; denied: wait until the oldest probe under way gives up
 * A denial changes nothing. A grant that finds everything as it was changes nothing either, except that once in a
 * WINDOW it writes down that there are requests. */
void breaker_decide_request(const struct breaker *breaker, const struct breaker_config *config, int64_t now_us,
                            struct breaker_decision *decision);

/* A call came back; `took_us` 0 = not measured. Counts when closed, settles the oldest probe when half-open; is
 * nothing to a breaker that is open, forced or not there. Nor is a call that began before the present state did. */
void breaker_decide_report(const struct breaker *breaker, bool failed, int64_t took_us, int64_t now_us,
                           struct breaker_decision *decision);

/* Overrides the state, or lifts that and begins anew. */
void breaker_decide_force(const struct breaker *breaker, enum breaker_force force, int64_t now_us,
                          struct breaker_decision *decision);

/* The only writer. Cannot fail; NULL in = a new value. A decision from outside must fit (breaker_accepts). */
struct breaker *breaker_apply(struct breaker *breaker, const struct breaker_decision *decision);

/* Does this change, which came from outside, fit? */
bool breaker_accepts(const struct breaker *breaker, const struct breaker_decision *decision);

/* Frees the value; NULL is allowed. Any thread. */
void breaker_free(struct breaker *breaker);

/* Heap bytes of the value. */
size_t breaker_bytes(const struct breaker *breaker);

/* Could apply have made this value? For the codec. */
bool breaker_sane(const struct breaker *breaker);

/* From this instant on the value need not be kept: closed, an empty window, no request for two WINDOWs. One that is
 * open is kept a day longer than it must be; one that is forced for ever. */
int64_t breaker_deadline_us(const struct breaker *breaker);

/* How a breaker stands at an instant, for RL.BREAKER INFO. */
struct breaker_look {
    enum breaker_state state;   /* as every reader sees it: forced states too */
    struct breaker_slice total; /* what the window holds */
    int64_t probing, succeeded; /* half-open: probes under way, probes that came back well */
    struct verdict verdict;     /* what a request would answer; remaining as it stands now */
};
void breaker_look(const struct breaker *breaker, int64_t now_us, struct breaker_look *look);

/* `closed`, `open`, `half-open`. */
const char *breaker_state_word(enum breaker_state state);

/* An adaptive limit is the value of one key: units per second, moved between min and max by what callers report.
 *
 *     max ├────────────────────────────────     allow  exact GCRA (gcra.h): limit units per second, as many at once
 *         │            ╱╲  ╱╲╱╲                         report latency, error or load, gathered for one INTERVAL; the
 *   limit │      ╱╲  ╱   ╲╱                                    first report after it makes one step out of all of them
 *         │   ╱    ╲╱
 *     min ├─╱──────────────────────────────▶ time      it begins at min, grows only where it is used
 *
 *     AIMD       congested: limit x BACKOFF          else, if used: limit + STEP
 *     GRADIENT   gradient = clamp(TOLERANCE x long / short, 1/2, 1)        long, short: mean latencies, see below
 *                limit    = limit x 4/5 + (limit x gradient + STEP) x 1/5
 *
 *     congested  more than ERRORS percent of the interval's reports are errors (AIMD: or slower than TIMEOUT), or the
 *                mean load is above TARGET          (GRADIENT: errors make the gradient 1/2, load makes it TARGET/load)
 *     used       at least half of the limit was taken in this second or the one before
 *     short      mean of the interval       long: mean of about 600 intervals, faster down where it is above 2 x short
 *
 * One step an interval, out of a mean, is what keeps it steady under noise: a burst of errors is one cut, not many, and
 * one slow call hardly moves a mean. quotactl simulate adaptive draws it (docs/adaptive.svg).
 *
 * Sources: Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance" (1989); the
 * formulas of Netflix concurrency-limits: AIMDLimit (x 0.9, + 1 where half is used, timeout 5 s), Gradient2Limit
 * (tolerance 1.5, smoothing 0.2, queue 4, long window 600, warm-up 10), WindowedLimit (one second). Theirs bound calls
 * in flight, with floating point; this bounds units per second, in fractions of 1/2^20.
 *
 *     request │ report ─▶ adaptive_decide_… (reads only) ─▶ decision │ verdict, limit    what to answer
 *                                                                    │ parts, after      what is different now
 *                                                         adaptive_apply, the only writer ◀──┘                       */
#pragma once

#include "quota/base/buffer.h"
#include "quota/rate/verdict.h"

#define ADAPTIVE_SHIFT        20                 /* limits and latencies are kept in units of 1/2^20 */
#define ADAPTIVE_LIMIT_MAX    (INT64_C(1) << 40) /* units per second: shifted it fits an int64 with room for a step */
#define ADAPTIVE_LATENCY_MAX  (INT64_C(1) << 40) /* us, twelve days; longer ones count as that */
#define ADAPTIVE_REPORTS_MAX  (INT64_C(1) << 20) /* in an interval; more are not counted, a mean of these is enough */
#define ADAPTIVE_LOAD_MAX     INT64_C(10000)     /* percent */
#define ADAPTIVE_RETENTION_US MICROS_PER_HOUR    /* no request and no report for so long: what was learnt is stale */

/* The numbers are part of the stored encoding. */
enum adaptive_algorithm {
    ADAPTIVE_AIMD = 0,
    ADAPTIVE_GRADIENT = 1,
};

/* What was agreed; comes with each request, stays with the key for reports. */
struct adaptive_config {
    int64_t min, max;    /* units per second, 1 <= min <= max <= ADAPTIVE_LIMIT_MAX */
    int64_t algorithm;   /* enum adaptive_algorithm */
    int64_t interval_us; /* 1 … DURATION_MAX_US between steps */
    int64_t step;        /* units a step adds, 1 … ADAPTIVE_LIMIT_MAX */
    int64_t errors;      /* percent of errors that is no congestion yet, 0 … 100 */
    int64_t target;      /* percent of load that is none yet, 1 … 100 */
    int64_t backoff;     /* AIMD: percent that a cut leaves, 1 … 99 */
    int64_t timeout_us;  /* AIMD: a slower call counts as an error, 1 … DURATION_MAX_US */
    int64_t tolerance;   /* GRADIENT: percent of the long latency that is no congestion yet, 100 … 1000 */
};

/* NULL when it can be used, else the reason it cannot, as the end of an error text. */
const char *adaptive_config_fault(const struct adaptive_config *config);

/* As a user would write it: `10 100 AIMD INTERVAL 1s STEP 1 …`. */
void adaptive_config_write(const struct adaptive_config *config, struct sink *text);

/* What an interval has gathered. */
struct adaptive_sample {
    int64_t start_us;
    int64_t reports, errors;       /* latencies and errors; those of them that are errors */
    int64_t latencies, latency_us; /* how many, their sum */
    int64_t loads, load;           /* how many, their sum in percent */
};

/* Plain numbers, copied as a whole. */
struct adaptive {
    struct adaptive_config config;
    int64_t seen_us;                     /* the latest instant that changed anything */
    int64_t limit_q;                     /* units per second x 2^20 */
    int64_t long_q, longs;               /* GRADIENT: the long mean in us x 2^20, intervals in it (up to its warm-up) */
    int64_t debt_us, debt_rest;          /* GCRA's state (gcra.h) under the whole limit; 0 0 = nothing is owed */
    int64_t second, taken, taken_before; /* units taken in that second of the epoch, and in the one before */
    struct adaptive_sample sample;
};

/* What a decision changes, in absolute terms; the bits are part of the wire format. */
enum adaptive_part {
    ADAPTIVE_PART_CONFIG = 1,
    ADAPTIVE_PART_LIMIT = 2, /* limit_q, long_q, longs */
    ADAPTIVE_PART_DEBT = 4,  /* debt and what was taken */
    ADAPTIVE_PART_SAMPLE = 8,
    ADAPTIVE_PARTS_ALL = 15,
};

struct adaptive_decision {
    struct verdict verdict; /* of a request */
    enum fault fault;       /* not FAULT_NONE: no verdict, nothing changes */
    int64_t limit;          /* whole units per second after it; 0 = nothing is stored */
    unsigned parts;         /* 0 = nothing changes */
    struct adaptive after;  /* the fields that `parts` names are the change */
};

struct adaptive_request {
    const struct adaptive_config *config;
    int64_t cost; /* units, >= 1 */
    bool peek;    /* only look */
    int64_t now_us;
};

enum adaptive_report {
    ADAPTIVE_LATENCY, /* a call came back well: value = us */
    ADAPTIVE_ERROR,   /* a call failed, was dropped or timed out */
    ADAPTIVE_LOAD,    /* of whatever is protected: value = percent, 0 … ADAPTIVE_LOAD_MAX */
};

/* May `cost` units go? NULL = nothing is stored. A denial changes nothing. */
void adaptive_decide_request(const struct adaptive *adaptive, const struct adaptive_request *request,
                             struct adaptive_decision *decision);

/* Gathers one report; the first after an interval makes the step first. Nothing stored: nothing to report to. */
void adaptive_decide_report(const struct adaptive *adaptive, enum adaptive_report report, int64_t value, int64_t now_us,
                            struct adaptive_decision *decision);

/* The only writer. Cannot fail; NULL in = a new value. A decision from outside must fit (adaptive_accepts). */
struct adaptive *adaptive_apply(struct adaptive *adaptive, const struct adaptive_decision *decision);

/* Does this change, which came from outside, fit? */
bool adaptive_accepts(const struct adaptive *adaptive, const struct adaptive_decision *decision);

/* Could apply have made this value? For the codec. */
bool adaptive_sane(const struct adaptive *adaptive);

/* From this instant on the value is as good as none. */
int64_t adaptive_deadline_us(const struct adaptive *adaptive);

/* Frees the value; NULL is allowed. Any thread. */
void adaptive_free(struct adaptive *adaptive);

/* Heap bytes of the value. */
size_t adaptive_bytes(const struct adaptive *adaptive);

/* A bill: under which prices the cycles of a resource ran, and what credits served in them. What it takes to make lines
 * of what windows and closed cycles count.
 *
 *     segments    usd 0.01 ──────── usd 0.02 ───────╂─ eur 0.01 ──────────▶      kept only once a price has changed
 *                     │                 ┊           ┃
 *     cycles      ├── June ───────────────────────┤├╂─ July ──────────────┤
 *                     │                             ┃
 *     lines       └── 0.01 to its end ────────────┘└┸┘└─ 0.01 eur ────────┘
 *                                                 0.02
 *
 * A cycle keeps the price that it began with: the last segment at its start. A segment that CUTS (the account moved to
 * another plan, or another LIMIT is billed now) ends the line of the running cycle and begins the next one: it
 * remembers what was used until then. Units that a line has not billed count towards what the next one includes, so no
 * unit is billed twice, and none that was included when it was used is billed later.
 *
 *     bytes   number of segments │ segment … │ number of cycles │ cycle …
 *     segment step from the one before │ how │ period + 1, 0 = none │ price │ CUTS: limit, ended, begun
 *     cycle   period │ start │ units                    (for credits)
 *
 * Pure numbers; what is in force is the caller's to say (view/billing.h). */
#pragma once

#include "quota/account/price.h"
#include "quota/time/period.h"

#define BILL_SEGMENTS_MAX 32 /* the oldest go */
#define BILL_CYCLES_MAX   64 /* likewise */
#define BILL_NO_PERIOD    UINT64_MAX

/* How a segment begins. Part of the encoding. */
enum segment_how {
    SEGMENT_PRICED = 0,   /* cycles that begin from then on have its price */
    SEGMENT_CUTS = 1,     /* and the running cycle, too */
    SEGMENT_RESTARTS = 2, /* the running cycle has closed; one that the calendar lets begin earlier counts from then */
    SEGMENT_HOWS_COUNT,
};

/* What a cycle has counted so far; all >= 0. */
struct bill_mark {
    int64_t used, credits, refunded;
};

struct bill_segment {
    int64_t at_us;
    enum segment_how how;
    uint64_t period;        /* period_code of the LIMIT that is billed; BILL_NO_PERIOD = there is none */
    struct bytes price;     /* as price_encode writes it; empty = nothing is billed */
    int64_t limit;          /* CUTS, RESTARTS: that of the cycle whose line ends there; >= 0 or UNLIMITED */
    struct bill_mark ended; /* likewise: what it had counted … */
    struct bill_mark begun; /* … and what the cycle of this segment's period had */
};

/* What credits served of one cycle. */
struct bill_cycle {
    uint64_t period;
    int64_t start_us, units; /* units >= 1 */
};

/* Open to readers. The first segment counts from ever on, whatever its instant. */
struct bill {
    uint32_t segments_count, cycles_count;
    struct bill_segment segments[BILL_SEGMENTS_MAX];
    struct bill_cycle cycles[BILL_CYCLES_MAX];
};

/* False, and the bill is empty, where the bytes are none. An empty bill has no bytes. Prices are borrowed. */
bool bill_decode(struct bytes bytes, struct bill *bill);
void bill_encode(const struct bill *bill, struct sink *sink);

/* What the cycle that is billed allows and has counted at one moment. */
struct bill_now {
    int64_t limit;
    struct bill_mark mark;
};

/* One segment more; instants never fall. One at the instant of the last one takes its place, and both are gone where
 * that leads back to what was before: the price, and by `now` the limit and what is used. */
void bill_add_segment(struct bill *bill, const struct bill_segment *segment, const struct bill_now *now);

/* Units that credits served of the cycle that began then. */
int64_t bill_credits(const struct bill *bill, uint64_t period, int64_t start_us);
void bill_set_credits(struct bill *bill, uint64_t period, int64_t start_us, int64_t units);

/* The start of the newest cycle of the period that credits have served and that began by `at_us`; false = none. */
bool bill_credited_start(const struct bill *bill, uint64_t period, int64_t at_us, int64_t *start_us);

/* Units of a cycle that come, or go (< 0), late: of `at_us`, in front of some of the marks. True where one moved. */
struct bill_shift {
    uint64_t period;
    int64_t end_us; /* of the cycle */
    int64_t at_us, used, refunded;
};
bool bill_move_marks(struct bill *bill, const struct bill_shift *shift);

/* A cycle as it stands or has closed. */
struct billed_cycle {
    uint64_t period;
    int64_t start_us, end_us; /* [start, end); end INT64_MAX = for ever */
    int64_t limit;            /* with lots, and what the debt leaves of it; UNLIMITED */
    int64_t used, refunded;
};

struct bill_line {
    struct bytes price; /* not empty */
    int64_t start_us, end_us;
    int64_t included; /* units that cost nothing; UNLIMITED */
    int64_t used, credits, refunded;
    int64_t quantity; /* units beyond what is included */
};

/* The line of this cycle that contains `at_us`; false where nothing of it is billed then. The bill has a segment. */
bool bill_line_at(const struct bill *bill, const struct billed_cycle *cycle, int64_t at_us, struct bill_line *line);

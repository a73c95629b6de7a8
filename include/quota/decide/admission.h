/* Admission: may these units be used, here and everywhere they count, and which sources pay for them?
 *
 *     item (what the client wants) ─▶ one demand per account it counts for ─▶ positions: demand x meter
 *
 *     admission_peek  reads only   how much every demand admits; which item is admitted; a funding plan for each demand
 *        ───────────── the point of no return ─────────────
 *     admission_take   cannot fail  charges every position, writes each account's changes
 *     admission_verdict             the deciding rule of an item (admission_verdict.h)
 *
 * What a demand has, and who pays for its units, is its plan (demand_plan.h). FORCE counts what neither limits nor
 * sources have in the limits.
 *
 * One item has several demands where it is counted as another resource, too, and where the accounts above have to admit
 * it: each of these has an item of its own, and they are decided as one. Several items are one request
 * (QUOTA.MCONSUME): ALL of them, or ANY, the first that is admitted. */
#pragma once

#include "quota/meter/meter.h"
#include "quota/view/changeset.h"

/* How many items one request may have. */
#define ADMISSION_ITEMS_MAX BATCH_ITEMS_MAX
#define NOT_SHARED          0

struct admission {
    struct demand *demands; /* in the order of items; an item's demands stand together */
    uint32_t count, items_count;
    uint32_t common; /* a demand that all items share: of an API key; NOT_SHARED = none */
    enum request_mode
        mode;      /* of one item: any; of several: not MODE_FORCE. UPTO grants of each what it can, or denies all */
    bool any;      /* several items: the first that is admitted, instead of all */
    bool admitted; /* set by admission_peek; the demands that are taken are `chosen` */
};

/* What belongs to one item: demands first … end - 1, and perhaps one that it shares with others: that is an item of its
 * own, behind all of them, for which there is no verdict. */
struct admission_item {
    uint32_t first, end;
    uint32_t shared; /* NOT_SHARED = none: 0 cannot be one: the first demand is an item's own */
    int64_t before;  /* units of the shared demand that are those of items before this one */
    int32_t shift;   /* added to the numbers of rules of all its demands but the first; of an API key's: KEY_RULES */
    int32_t level;   /* LEVEL_RULES x how far above the account it is: added to all of them */
    struct admission_item *above; /* the same row, or sum, of the next account above; NULL = none */
};
#define KEY_RULES   90
#define LEVEL_RULES 100

/* Finds out what can be granted; `items` says which demands belong together. Changes nothing but the demands. */
enum account_fault admission_peek(struct admission *admission, const struct admission_item *items, uint32_t count);

/* Takes what was admitted, and writes it among the changes of each demand's account (account_view). Demands of one
 * account stand in the order of its resources' emission. */
enum account_fault admission_take(struct admission *admission);

/* Does the denial of this demand begin the bucket of a RATE (TOKEN … INITIAL), without which its wait would not be
 * kept? And writes that among the changes of its account; the resource has a slot by then. */
bool demand_begins_rates(const struct demand *demand);
void demand_emit_begun(const struct demand *demand);

/* Makes the plan of units that are taken whatever the limits say: first what the limits have, then credits, then the
 * limits beyond. For a demand alone, which the caller posts itself. */
enum account_fault admission_force(struct demand *demand, int64_t units);

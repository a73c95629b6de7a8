/* Consuming: units of one resource, or of several in one step.
 *
 *     record of this id? ── yes ─▶ the stored answer, byte for byte; other content: conflict
 *            │ no
 *     account active? ─▶ every resource charged (charge.h) ─▶ ALL: all admit, or none is charged
 *                                                             ANY: the first that admits is charged, and only it
 *            └─▶ with an id: record of the answer; of a denial only where it is STICKY
 *
 * QUOTA.CONSUME and QUOTA.MCONSUME are the same with one item or several; their records are kept apart. */
#pragma once

#include "quota/decide/account_decision.h"

struct consume_item {
    struct bytes resource;
    int64_t amount; /* >= 1 */
};

struct consume_ask {
    const struct consume_item *items; /* resources are all different */
    uint32_t count;                   /* 1 … BATCH_ITEMS_MAX */
    bool batch;                       /* QUOTA.MCONSUME */
    bool any, sticky;
    enum request_mode mode; /* a batch: MODE_ALL or MODE_PEEK */
    struct bytes id;        /* empty = none; at most ID_BYTES_MAX bytes */
    int64_t now_us;
};

/* Answers decision->verdicts, one for each item. `account` NULL = never opened. */
void consume_decide(const struct account *account, const struct account_host *host, const struct consume_ask *ask,
                    struct account_decision *decision);

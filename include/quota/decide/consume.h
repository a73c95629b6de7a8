/* Consuming: units of one resource, or of several in one step.
 *
 *     record of this id? ── yes ─▶ the stored answer, byte for byte; other content: conflict
 *            │ no
 *     account active? ─▶ a view of each resource ─▶ admission (peek) ─┬─ denied ─▶ verdicts, causes; no changes
 *                                                                     └─ admitted ─▶ take ─▶ changes, and a record
 *
 * QUOTA.CONSUME and QUOTA.MCONSUME are the same with one item or several; their records are kept apart. A denial is
 * remembered under its id only where the request is STICKY. Usage after the fact (QUOTA.INGEST) is a request with FORCE
 * and an instant, which is part of its content: it is charged to the cycles of that instant. */
#pragma once

#include "quota/decide/api_key.h"
#include "quota/decide/demands.h"

struct consume_request {
    const struct consume_item *items; /* resources are all different */
    uint32_t count;                   /* 1 … BATCH_ITEMS_MAX */
    bool batch;                       /* QUOTA.MCONSUME */
    bool any, sticky;
    enum request_mode mode; /* a batch: MODE_ALL or MODE_PEEK */
    struct bytes id;        /* empty = none; at most ID_BYTES_MAX bytes */
    struct api_key_claim key;
    const struct lineage *lineage; /* the accounts above; NULL = it has no parent */
    int64_t at_us;                 /* when the units were used (backdate.h), with MODE_FORCE alone; 0 = now */
    int64_t now_us;
};

/* Answers result.consumed, one verdict for each item. `account` NULL = never opened. */
void consume_decide(const struct account *account, const struct account_host *host,
                    const struct consume_request *request, struct account_decision *decision);

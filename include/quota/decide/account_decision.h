/* What was decided about an account: the answer, and the changes that make it true (change.h).
 *
 *     decide ─▶ struct account_decision │ fault, or verdicts and numbers   what to answer
 *                                       │ changes                          what to change: none = nothing happens */
#pragma once

#include "quota/base/memory.h"
#include "quota/view/account_view.h"

struct account_decision {
    enum account_fault fault; /* not NONE: no answer, no changes */
    struct bytes about;       /* the resource, id or plan that a fault is about; borrowed */
    int64_t bound;            /* the number a fault names: what is held, what may come back, a maximum */
    int64_t settled_us;
    bool replayed; /* an answer from the records: nothing is counted */
    bool denied;
    uint32_t verdicts_count;
    struct verdict verdicts[BATCH_ITEMS_MAX];
    int64_t numbers[3]; /* refunds and reservations: see there */
    struct sink changes;
    char stack_buffer[512]; /* where most changes fit */
};

/* Begins a decision: it must stay where it is, since `changes` may stand in it. Freed by account_decision_end. */
static inline void account_decision_begin(struct account_decision *decision)
{
    decision->fault = ACCOUNT_FAULT_NONE;
    decision->about = (struct bytes){"", 0};
    decision->bound = 0;
    decision->settled_us = 0;
    decision->replayed = decision->denied = false;
    decision->verdicts_count = 0;
    decision->changes = sink_init(decision->stack_buffer, sizeof(decision->stack_buffer));
}

static inline void account_decision_end(struct account_decision *decision)
{
    sink_free(&decision->changes);
}

/* Ends in a fault: nothing changes. */
static inline void account_decision_fail(struct account_decision *decision, enum account_fault fault,
                                         struct bytes about)
{
    decision->fault = fault;
    decision->about = about;
    decision->changes.size = 0;
}

static inline struct account_change account_decision_change(const struct account_decision *decision)
{
    return (struct account_change){decision->settled_us, {decision->changes.data, decision->changes.size}};
}

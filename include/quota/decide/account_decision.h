/* What was decided about an account: the answer, the changes that make it true, and what was refused.
 *
 *     decide ─▶ struct account_decision │ fault, or result   what to answer
 *                                       │ changes            what to write (change.h): none = nothing happens
 *                                       │ causes             what was refused, by which rule: counted here, never sent
 *
 * One transaction (module/transaction.h) makes a decision true. A replay is a result without changes, a check a
 * decision that is never committed. */
#pragma once

#include "quota/base/memory.h"
#include "quota/view/changeset.h"

/* A refused request, and the rule that refused it. */
struct refusal {
    struct bytes resource;        /* stands in `name`: the plan whose word it is may be gone when it is counted */
    char name[RESOURCE_NAME_MAX]; /* what a resource that a plan knows is called at most */
    int32_t slot;                 /* -1 = the resource has none yet */
    int32_t rule;                 /* as in the verdict */
    uint64_t period;              /* of a LIMIT: its period_code; 0 = another rule */
    bool counts;                  /* in the cycle of that LIMIT: a cycle begins with its first unit */
    uint64_t shape;               /* of the rule (entitlement_shape) */
    int64_t amount, wait_us;      /* requested */
};

struct account_decision {
    enum account_fault fault;           /* not NONE: no answer, and no changes but those of account_decision_refuse */
    struct bytes fault_subject;         /* the resource, id or plan that a fault is about; see account_decision_fail */
    char fault_name[RESOURCE_NAME_MAX]; /* where a short one stands */
    int64_t fault_limit;                /* the number a fault names: what is held, what may come back, a maximum */
    const char *fault_text;             /* …_ENTITLEMENT: the end of the error text; …_PAST: the option */
    int64_t applied_at_us;
    bool replayed; /* an answer from the records: nothing is counted */
    bool denied;
    bool adds_record; /* the changes make an id or a reservation; refunds, which always succeed, do not say so */
    union {
        struct {
            uint32_t count;
            struct verdict verdicts[BATCH_ITEMS_MAX];
            int64_t funded[BATCH_ITEMS_MAX]; /* of demands_answer: units that credits pay for */
        } consumed;                          /* consume.h, reserve_decide */
        struct {
            uint32_t count;
            struct refunded items[REFUND_ITEMS_MAX];
        } refund; /* refund.h */
        struct {
            uint32_t count;
            struct resolved {
                int64_t posted, released, remaining;
            } items[BATCH_ITEMS_MAX];
        } resolved;         /* commit_decide: of each resource of the reservation */
        int64_t expires_us; /* extend_decide */
        struct {
            int64_t credits, absorbed;
        } granted;       /* grant_decide */
        int64_t voided;  /* void_decide */
        int64_t settled; /* settle_decide */
        int64_t revoked; /* api_key_revoke_decide: 1, or 0 = it had ended */
        struct {
            int64_t moved, source, target; /* units; the credits of both accounts */
        } transferred;                     /* transfer_decide */
    } result;
    uint32_t causes_count;
    struct refusal causes[BATCH_ITEMS_MAX];
    struct sink changes;
    char stack_buffer[512]; /* where most changes fit */
};

/* Begins a decision: it must stay where it is, since `changes` may stand in it. Freed by account_decision_end. */
static inline void account_decision_begin(struct account_decision *decision)
{
    decision->fault = ACCOUNT_FAULT_NONE;
    decision->fault_subject = (struct bytes){"", 0};
    decision->fault_limit = 0;
    decision->fault_text = "";
    decision->applied_at_us = 0;
    decision->replayed = decision->denied = decision->adds_record = false;
    decision->result.consumed.count = 0;
    decision->causes_count = 0;
    decision->changes = sink_init(decision->stack_buffer, sizeof(decision->stack_buffer));
}

/* A rule that refuses: of which resource, and the LIMIT's cycle. */
struct refusing_rule {
    struct bytes resource;
    int32_t slot; /* -1 = the resource has none yet */
    const struct entitlement *entitlement;
    uint64_t period; /* 0 = no LIMIT */
    bool counts;     /* in its cycle, which has begun */
};

/* Remembers that it refused so much of the resource. */
static inline void decision_add_refusal(struct account_decision *decision, const struct refusing_rule *rule,
                                        const struct verdict *verdict, int64_t amount)
{
    /* Or a RATE of an API key, which is no rule of the resource, either. */
    bool is_credits = verdict->rule < 0 || (uint32_t)verdict->rule >= rule->entitlement->rules_count;
    struct refusal *cause = &decision->causes[decision->causes_count++];
    size_t size = rule->resource.size < RESOURCE_NAME_MAX ? rule->resource.size : RESOURCE_NAME_MAX;
    memcpy(cause->name, rule->resource.data, size);
    cause->resource = (struct bytes){cause->name, size};
    cause->slot = rule->slot;
    cause->rule = verdict->rule;
    cause->period = rule->period;
    cause->counts = rule->counts;
    cause->shape = shape_with(entitlement_shape(rule->entitlement, verdict->rule), is_credits ? verdict->limit : 0);
    cause->amount = amount;
    cause->wait_us = verdict->wait_us;
}

/* The same of a rule of a view. */
static inline void decision_add_cause(struct account_decision *decision, struct resource_view *view,
                                      const struct verdict *verdict, int64_t amount)
{
    const struct entitlement *entitlement = view->entitlement;
    bool is_rule = verdict->rule >= 0 && (uint32_t)verdict->rule < entitlement->rules_count;
    const struct quota_rule *rule = is_rule ? &entitlement->rules[verdict->rule] : NULL;
    const struct window *window = rule && rule->kind == QUOTA_LIMIT ? resource_view_window(view, rule) : NULL;
    const struct refusing_rule refusing = {view->resource, view->index, entitlement, window ? window->period : 0,
                                           window && window->peak > 0};
    decision_add_refusal(decision, &refusing, verdict, amount);
}

static inline void account_decision_end(struct account_decision *decision)
{
    sink_free(&decision->changes);
}

/* Ends in a fault: nothing changes. Its subject may be a word of the plan, such as the resource that another one is
 * counted AS, and the plan may be gone before the reply: so it is copied. A longer one is the request's own. */
static inline void account_decision_fail(struct account_decision *decision, enum account_fault fault,
                                         struct bytes subject)
{
    decision->fault = fault;
    decision->fault_subject = subject;
    if (subject.size <= sizeof(decision->fault_name)) {
        memmove(decision->fault_name, subject.data, subject.size);
        decision->fault_subject.data = decision->fault_name;
    }
    decision->changes.size = 0;
    decision->causes_count = 0;
    decision->adds_record = false;
}

/* Ends in a fault, and nothing changes, but where a bound of what is stored was met: what has ended is swept then, so
 * that a client that is refused over and over gets the memory back, too. */
static inline void account_decision_refuse(struct account_decision *decision, struct account_view *view,
                                           enum account_fault fault)
{
    account_decision_fail(decision, fault, decision->fault_subject);
    if (fault == ACCOUNT_FAULT_RECORDS || fault == ACCOUNT_FAULT_HOLDS_BOUND) emit_sweep(view, &decision->changes);
}

static inline struct account_change account_decision_change(const struct account_decision *decision)
{
    return (struct account_change){.applied_at_us = decision->applied_at_us,
                                   .changes = {decision->changes.data, decision->changes.size},
                                   .encoding = ACCOUNT_ENCODING_NEWEST,
                                   .adds_record = decision->adds_record};
}

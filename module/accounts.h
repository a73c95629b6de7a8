/* What every command on an account does around its decision.
 *
 *     accounts_begin_or_reply ─▶ <x>_decide(call.account, &call.host, …, &call.decision) ─▶ accounts_commit_or_reply
 *     open, one instant, settings       (quota/consume.h, refund.h, reserve.h, admin.h)     │ fault → error text
 *                                                                                              │ changes → transaction
 *                                                       the handler replies ◀─────────────────┘
 *     accounts_end: always */
#pragma once

#include "argument.h"
#include "quota/decide/demands.h"
#include "transaction.h"

struct account_call {
    struct handle handle;
    struct account_host host;
    int64_t now_us;
    bool counts;                      /* whether its verdicts are counted: not where it only looks */
    const struct consume_item *items; /* that its verdicts are about; NULL where nothing is counted */
    struct bytes key_digest;          /* of the API key that a request came with; size 0 = none */
    const struct lineage *lineage;    /* the accounts above (ancestors.h); NULL = none were opened … */
    struct account_call *above;       /* … and their calls */
    struct account_decision decision; /* begun and ended by the functions below and those of src/ */
};

/* The account behind the handle; NULL = never opened. */
static inline struct account *account_of(const struct account_call *call)
{
    return call->handle.value;
}

/* Settings, configuration and zones of this server. */
struct account_host accounts_host(void);

/* Opens the account `name`, for a change if `writing`. On false the client has its error and nothing is to be ended. */
bool accounts_begin_or_reply(RedisModuleCtx *ctx, RedisModuleString *name, bool writing, struct account_call *call);

/* Makes the decision true, and those about the accounts above, in one transaction. On false it was a fault and the
 * client has its error. */
bool accounts_commit_or_reply(RedisModuleCtx *ctx, struct account_call *call);

/* The same where one command decides many times: the decision is made true as a part of the command's transaction,
 * which has room for LEVELS_MAX more; the error of a fault stands in the place of the answer. */
bool accounts_add_or_reply(RedisModuleCtx *ctx, struct account_call *call, struct transaction *transaction);

/* Makes an open call, and those of the accounts above, ready for another decision. */
void accounts_begin_again(struct account_call *call, struct lineage *lineage);

/* Counts what a refund that is true by now has given back. */
void accounts_count_refund(const struct account_call *call);

/* The same for decisions about up to LEVELS_MAX accounts that one command has opened: all of them, or none. */
bool accounts_commit_together_or_reply(RedisModuleCtx *ctx, struct account_call *const *calls, uint32_t count);

/* The verdicts of a request for several resources. */
void accounts_reply_verdicts(RedisModuleCtx *ctx, const struct account_decision *decision, bool is_terse);

/* The error of a fault. */
int accounts_reply_fault(RedisModuleCtx *ctx, const struct account_call *call, enum account_fault fault,
                         struct bytes about, int64_t bound);

/* After accounts_begin_or_reply: frees the decision, closes the key. */
void accounts_end(struct account_call *call);

/* Pairs of words as items: amounts of 1 or more, resources that are all different; else the client has its error. */
bool accounts_items_or_reply(RedisModuleCtx *ctx, const struct pairs_argument *pairs,
                             struct consume_item items[BATCH_ITEMS_MAX]);

/* True for 1 … `most` bytes; else the client has its error. */
bool accounts_word_or_reply(RedisModuleCtx *ctx, const char *what, struct bytes word, size_t most);

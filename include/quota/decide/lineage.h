/* The lineage of an account: the accounts above it, which have to admit what it uses.
 *
 *     agency ◀── customer ◀── team ◀── the account             the nearest first; all of one slot of the cluster
 *
 *     one instant for all ─▶ a view of each ─▶ demands of each (demands.h) ─▶ one admission ─▶ changes of each
 *
 * The caller finds them: by the parents of now, or by those that a record or reservation remembers (levels.h). Each has
 * a decision of its own, with its changes and the causes of its denials; all of them are made true in one transaction,
 * or none. */
#pragma once

#include "quota/decide/account_decision.h"

struct ancestor {
    struct bytes name;                 /* its key */
    const struct account *account;     /* NULL = it is not there */
    struct account_decision *decision; /* about it: begun here, ended by the caller */
};

struct lineage {
    struct bytes name; /* the key of the account itself */
    uint32_t count;
    struct ancestor ancestors[ANCESTORS_MAX];
};

/* The place of the account with this key; count = it is not among them. */
static inline uint32_t lineage_find(const struct lineage *lineage, struct bytes name)
{
    uint32_t at = 0;
    while (at < lineage->count && !bytes_equal(lineage->ancestors[at].name, name)) at++;
    return at;
}

/* The instant of a decision about all of them: none is judged before its last change. `lineage` may be NULL. */
int64_t lineage_instant_us(const struct account *account, const struct lineage *lineage, int64_t now_us);

/* Begins the decision about each, and the views of those that are there. Ended in any case. */
enum account_fault lineage_begin(const struct lineage *lineage, const struct account_host *host, int64_t now_us,
                                 struct account_view views[ANCESTORS_MAX]);
void lineage_end(const struct lineage *lineage, struct account_view views[ANCESTORS_MAX]);

/* Does one of them admit nothing: not there, closed, suspended, not started, expired? Its own decision says so; the
 * answer is ACCOUNT_FAULT_ABOVE. */
enum account_fault lineage_refusal(const struct lineage *lineage, const struct account_view views[ANCESTORS_MAX]);

/* With a fault nothing changes anywhere. */
void lineage_fail(const struct lineage *lineage);

/* The fault of an account above: its own decision has it, the answer is ACCOUNT_FAULT_ABOVE. */
enum account_fault lineage_fault(struct account_decision *decision, struct account_view *view,
                                 enum account_fault fault);

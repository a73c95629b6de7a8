/* Organisations, decided by operators: who is whose member, and with which weight.
 *
 *     PARENT   the account ─▶ names its parent           the parent ─▶ has one member more       one transaction
 *     DETACH, CLOSE                                      the parent ─▶ has one member fewer
 *
 * Both keys are in one slot. What the account has used counts where it was used: nothing moves with it. */
#pragma once

#include "quota/decide/operate.h"

/* The account gets this parent. `from`: the parent it has now, where that is there and another one; its decision begins
 * in any case. A fault of `decision` is about the account, one of `to_decision` about the parent: it must be there, and
 * not closed; ACCOUNT_FAULT_MEMBERS. */
struct parent_request {
    struct bytes name;          /* the account's own key */
    struct bytes parent;        /* the parent's */
    const struct account *to;   /* … NULL = it was never opened */
    const struct account *from; /* NULL = there is none */
};
void parent_decide(const struct account *account, const struct account_host *host, const struct parent_request *request,
                   const struct admin_action *action, struct account_decision *decision,
                   struct account_decision *to_decision, struct account_decision *from_decision);

/* The account loses its parent: its own part of it. One that has none is left as it is. */
void detach_decide(const struct account *account, const struct account_host *host, const struct admin_action *action,
                   struct account_decision *decision);

/* The part of a parent whose member, of this name, has left, or was closed. */
void member_left_decide(const struct account *parent, const struct account_host *host, struct bytes name,
                        const struct admin_action *action, struct account_decision *decision);

/* The member of this name counts so much when shares are made. ACCOUNT_FAULT_NO_MEMBER. */
void weight_decide(const struct account *pool, const struct account_host *host, struct bytes name, uint32_t weight,
                   const struct admin_action *action, struct account_decision *decision);

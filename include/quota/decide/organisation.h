/* Organisations, decided by operators: who is whose member, and with which weight.
 *
 *     PARENT   the account ─▶ names its parent           the parent ─▶ has one member more       one transaction
 *     DETACH, CLOSE                                      the parent ─▶ has one member fewer
 *
 * Both keys are in one slot. What the account has used counts where it was used: nothing moves with it. */
#pragma once

#include "quota/decide/operate.h"

/* The account's own part: it gets this parent; empty = it loses the one it has. */
void parent_decide(const struct account *account, const struct account_host *host, struct bytes parent,
                   const struct admin_action *action, struct account_decision *decision);

/* The parent's part: it gets a member of this name. It must be there, and not closed; ACCOUNT_FAULT_MEMBERS. */
void member_joined_decide(const struct account *parent, const struct account_host *host, struct bytes name,
                          const struct admin_action *action, struct account_decision *decision);

/* The part of a parent whose member, of this name, has left, or was closed. */
void member_left_decide(const struct account *parent, const struct account_host *host, struct bytes name,
                        const struct admin_action *action, struct account_decision *decision);

/* The member of this name counts so much when shares are made. ACCOUNT_FAULT_NO_MEMBER. */
void weight_decide(const struct account *pool, const struct account_host *host, struct bytes name, uint32_t weight,
                   const struct admin_action *action, struct account_decision *decision);

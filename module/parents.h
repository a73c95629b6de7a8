/* Who is whose member: the keys that a change of it touches, and the bounds that only the keys show.
 *
 *     the account ─▶ its own decision        (quota/decide/organisation.h, admin.h)   ┐ one transaction
 *     the parent it gets ─▶ one member more  the one it had ─▶ one member fewer       ┘
 *
 * An organisation has LEVELS_MAX levels at most, from its lowest account to its highest, and no account is above
 * itself. */
#pragma once

#include "accounts.h"
#include "quota/decide/organisation.h"

struct parent_calls {
    struct account_call to, from;
    bool has_to, has_from;
};

/* Opens the parent that the account is to get (NULL = none), and the one it has, if that is another one or `leaves` it
 * in any case. On false the client has its error: SAMEACCOUNT, LIMITED, WRONGTYPE. Closed by parents_close in any case.
 */
bool parents_open_or_reply(RedisModuleCtx *ctx, const struct account_call *account, RedisModuleString *to, bool leaves,
                           struct parent_calls *parents);

/* Decides about the parents, and makes that true together with the decision about the account. */
bool parents_commit_or_reply(RedisModuleCtx *ctx, struct account_call *account, const struct admin_action *action,
                             struct parent_calls *parents);

/* Frees their decisions, closes their keys. */
void parents_close(struct parent_calls *parents);

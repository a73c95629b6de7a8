/* The accounts above one: found, opened, made true and closed together with it.
 *
 *     accounts_begin_or_reply ─▶ ancestors_open_or_reply ─▶ <x>_decide(…, lineage) ─▶ accounts_commit_or_reply
 *                                the parents of now, or those that a record names      all of them in one transaction
 *
 * A key of another slot of the cluster is never one of them. A parent that is missing while its slot moves may be on
 * another node already: the client has its -TRYAGAIN. */
#pragma once

#include "accounts.h"
#include "quota/decide/lineage.h"

struct ancestors {
    struct lineage lineage;
    struct account_call *calls; /* one for each; NULL = there are none */
};

/* Opens the parents of now, nearest first; one that is not there ends the list, and is in it. On false the client has
 * its error: TRYAGAIN, WRONGTYPE, more than LEVELS_MAX, a loop. Closed by ancestors_close in any case. */
bool ancestors_open_or_reply(RedisModuleCtx *ctx, struct account_call *call, bool writing, struct ancestors *ancestors);

/* Opens accounts by their keys, as a record or reservation names them; those that are not there are left out. */
bool ancestors_open_named_or_reply(RedisModuleCtx *ctx, struct account_call *call, const struct bytes *names,
                                   uint32_t count, struct ancestors *ancestors);

/* What decisions are given; NULL = there are none. */
static inline const struct lineage *ancestors_lineage(const struct ancestors *ancestors)
{
    return ancestors->lineage.count > 0 ? &ancestors->lineage : NULL;
}

/* Frees their decisions, closes their keys. */
void ancestors_close(struct ancestors *ancestors);

/* Are two keys of one slot? Everywhere but on a cluster all are. */
bool ancestors_share_slot(RedisModuleCtx *ctx, struct bytes left, struct bytes right);

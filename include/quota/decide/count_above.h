/* Counting at the accounts above: units that are mere counting at the account (count.h) and at each of those.
 *
 *     firm   limit 50 ├─ used 40 ─┬ 3 ┬──┤     its member, the team, has used 3 more of it
 *     team   limit 20 ├─ used 12 ─┬ 3 ┬──┤     its member, the user, has used 3 more of it
 *     user   limit 10 ├─ used  4 ─┬ 3 ┬──┤
 *
 * Each has its own windows, and a member that it knows, with the share that it got when the cycle began. One whose plan
 * does not know the resource is passed. Everything else (credits, a member that is new, a cycle that begins) takes the
 * general path. */
#pragma once

#include "quota/decide/count.h"
#include "quota/decide/lineage.h"

/* Of every account above: what was counted of each row; no entitlement = it is passed. */
struct counted_above {
    struct counted rows[ANCESTORS_MAX][BATCH_ITEMS_MAX];
};

/* Counts the rows at every account of the lineage, whose decisions begin here. False where that is not mere counting:
 * then the general path begins them again. `folds`: of each row. */
bool count_above(const struct lineage *lineage, const struct account_host *host, struct count_request *rows,
                 uint32_t count, struct verdict_fold *folds, struct counted_above *counted);

/* Gives up what was counted. */
void count_above_end(const struct lineage *lineage);

/* Appends the levels of what was counted, for a record. */
void count_above_levels(const struct lineage *lineage, const struct counted_above *counted, uint32_t count,
                        struct sink *levels);

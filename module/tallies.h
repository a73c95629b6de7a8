/* Tallies: what was granted, refused, paid by credits and refunded, per plan and resource, since this server started.
 *
 *     a request is decided ─▶ tallies_add(plan, resource, …) ─▶ one row of INFO quota
 *
 * There are at most TALLIES_MAX rows: what comes after them is not counted. Replicas count nothing, nor do dry runs and
 * replays. A row is found by a hash, and the rows of late at once. */
#pragma once

#include "quota/base/bytes.h"
#include "redis.h"

#define TALLIES_MAX 1000

/* Of requests, how many were granted and refused; of units, those granted, those of them that credits have paid for,
 * and those given back. */
enum tally {
    TALLY_GRANTED,
    TALLY_REFUSED,
    TALLY_UNITS,
    TALLY_CREDITS,
    TALLY_REFUNDED,
    TALLIES_COUNT,
};

/* Adds to each number of a row. */
void tallies_add(struct bytes plan, struct bytes resource, const int64_t added[TALLIES_COUNT]);

/* Writes a row for each into a section of INFO, also while the server crashes. */
void tallies_fill_info(RedisModuleInfoCtx *info);

/* How many rows there are. */
int64_t tallies_rows(void);

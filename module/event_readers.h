/* Clients that read the event log, and those that wait for what it does not have yet (QUOTA.EVENTS READ … WAIT).
 *
 *     READ ─▶ entries behind AFTER that are wanted? ─┬─ some ─▶ reply
 *                                                    └─ none ─▶ blocked ─ an entry comes that is wanted ─▶ reply
 *                                                               │         its time is over ─▶ an empty reply
 *                                                               └─ disconnected, killed: forgotten
 *
 * Readers keep their position themselves: nothing is stored of one that does not wait. Each entry that comes is held
 * against the filters of those that wait, once. Replicas have readers, too. */
#pragma once

#include "event_log.h"

/* What is wanted; spans are borrowed. */
struct event_query {
    struct event_id after;
    int64_t count;        /* at most so many, 1 or more */
    int64_t wait_us;      /* 0 = reply at once */
    struct bytes account; /* no data = of all accounts, and of none */
    struct bytes types;   /* a pattern (base/glob.h); no data = of all types */
};

/* Replies, now or when there is something. */
void event_readers_reply(RedisModuleCtx *ctx, const struct event_query *query);

/* How many wait. */
int64_t event_readers_waiting(void);

/* The test clock has moved: the time of some may be over. */
void event_readers_clock_moved(void);

/* Listens to the log; only in OnLoad. */
void event_readers_register(void);

/* Clients that wait for a place: RL.ALLOW ... WAIT, a kind of waiting.h; and what newcomers are judged by meanwhile.
 *
 *     stored limiter ─▶ charged with the first, the second, … the last of the line, each at its moment = the shadow
 *           │                                                          └ a newcomer is judged by it, behind all of them
 *           └ the first is judged by this, and charged to it when its moment has come: an ordinary request
 *
 * The shadow is a cache. A client that joins is charged to it; when one leaves early or the stored limiter changes
 * it is forgotten, and made anew for the next newcomer. So a hundred thousand clients leave in linear time, those
 * behind move up by themselves, and with none left the key is what it is stored as: as if none had ever come.
 *
 * Each client brings its own rules or policy, and these are looked up again at each decision. Where the rules differ
 * from the stored ones, the first takes over what was used as of the moment it is the first, as any denied request.
 *
 * A moment in the past (the timer is late, a test has moved the clock) is still the instant of the charge, so that the
 * places behind it stay where they were, unless it is so long ago (LATE_US, a paused server) that those who waited
 * meanwhile would come all at once.
 *
 * What has to be charged at once although clients wait (WAIT in MULTI and scripts; a QUEUE that still has places) has
 * its moment behind theirs. So theirs are charged with it, in their order, and stay: a client that leaves after that
 * gives its units back, to the very state they were taken from. */
#pragma once

#include "rule_source.h"
#include "waiting.h"

/* A request as RL.ALLOW and RL.MALLOW have parsed it. */
struct allow_request {
    struct rule_source source;
    struct bytes policy, subject, address; /* where the source came from: a client that waits looks again */
    struct limiter_request limit;
};

/* Lets the client wait where its place is still to come. False: nothing happened, it is to be decided at once. Only
 * where waiting_is_possible. */
bool allow_waiting_begin(RedisModuleCtx *ctx, struct handle *handle, const struct allow_request *request);

/* Decides at once, behind those that wait: as rule_source_decide. What is decided fits the handle's value; the caller
 * commits and counts. */
enum cause allow_decide(RedisModuleCtx *ctx, struct handle *handle, const struct rule_source *source,
                        const struct limiter_request *request, struct decision *decision);

/* The same in two steps, for a caller that decides by itself: the limiter to decide by, which is the handle's value
 * where none waits; and whether the decision has to be made once more, now by the handle's value. */
const struct limiter *allow_judge(RedisModuleCtx *ctx, const struct handle *handle);
bool allow_must_decide_again(RedisModuleCtx *ctx, struct handle *handle, const struct limiter *judge,
                             struct decision *decision, int64_t now_us);

/* A policy has changed or is gone: clients that wait by a policy are judged anew. */
void allow_waiting_policies_changed(void);

/* Clients that wait on this key of the context's database. */
int64_t allow_waiting_count(RedisModuleCtx *ctx, RedisModuleString *name);

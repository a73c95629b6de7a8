/* What the commands of RL.POLICY reply in more than one place. */
#pragma once

#include "quota/rate/policy.h"
#include "redis.h"

/* The policy of this name; NULL when the client has its error. */
const struct policy *policy_or_reply(RedisModuleCtx *ctx, struct bytes name);

/* An override or a listed subject: subject, until (ms, 0 = for ever), and its rules or the name of its list. */
void policy_reply_entry(RedisModuleCtx *ctx, const struct policy_entry *entry);

/* A range: range, until, the name of its list. */
void policy_reply_range(RedisModuleCtx *ctx, const struct cidr_entry *entry);

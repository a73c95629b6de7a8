/* The map of QUOTA.INFO: of an account as it stands, and as a decision would leave it (operators' CHECK). */
#pragma once

#include "accounts.h"

/* The whole account as it stands, or its fault. */
int account_info_reply(RedisModuleCtx *ctx, struct account_call *call);

/* Some of its resources: one is answered by its own map, several by a map of them. */
int account_info_reply_resources(RedisModuleCtx *ctx, struct account_call *call, RedisModuleString **names, int count);

/* The whole account as the call's decision would leave it; nothing is changed. Or the decision's fault. */
int account_info_reply_decided(RedisModuleCtx *ctx, struct account_call *call);

/* The module's settings: CONFIG GET/SET quota.*, redis.conf lines, MODULE LOADEX.
 *
 *     quota.tzdir   /usr/share/zoneinfo   where the zone files are; setting it reads every zone anew
 *
 * Per node and not replicated: nothing that changes what a replica holds may stand here. */
#pragma once

#include "redis.h"

/* Registers and loads the settings; only in OnLoad. */
int config_register(RedisModuleCtx *ctx);

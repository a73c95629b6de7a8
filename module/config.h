/* The module's settings: CONFIG GET/SET quota.*, redis.conf lines, MODULE LOADEX.
 *
 *     quota.tzdir         /usr/share/zoneinfo   where the zone files are; setting it reads every zone anew
 *     quota.default-plan  (empty)               where an account falls when it expires; empty = nowhere (NOACCOUNT)
 *     quota.auto-open     no                    an account never opened begins with the default plan
 *     quota.id-ttl-ms     86400000              how long ids are remembered
 *     quota.id-max        1000000               ids that an account remembers at once (LIMITED beyond)
 *     quota.violations-max 10000                refused requests that QUOTA.VIOLATIONS shows, the latest
 *     quota.events        all                   which events are made: none, admin, all, usage (account/event.h)
 *     quota.events-max    100000                entries of the event log …
 *     quota.events-bytes  64mb                  … and their bytes: the oldest go first
 *
 * Per node and not replicated: they matter to the primary that decides, and what it decides travels as instants. */
#pragma once

#include "quota/account/event.h"
#include "quota/base/bytes.h"
#include "redis.h"

/* Registers and loads the settings; only in OnLoad. */
int config_register(RedisModuleCtx *ctx);

/* As they are now; the name is borrowed until it is set. */
struct bytes config_default_plan(void);
bool config_auto_open(void);
int64_t config_id_ttl_us(void);
uint32_t config_id_max(void);
int64_t config_violations_max(void);
enum event_level config_events(void);
int64_t config_events_max(void);
int64_t config_events_bytes(void);

/* Whether a setting of the server's own is this word (in capitals); for what no section of INFO shows. */
bool config_server_is(RedisModuleCtx *ctx, const char *setting, const char *word);

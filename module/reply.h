/* Every reply the module gives: verdicts, maps, errors. Identical in RESP2 and RESP3 wherever it is an array.
 *
 *     struct verdict ──▶ *6  granted  limit  remaining  wait_ms (up)  reset_ms (up)  rule
 *
 * Errors begin with a code (COMMANDS.md section 1); what they quote is made printable and short first. */
#pragma once

#include "quota/rate/verdict.h"
#include "quota/time/period.h"
#include "redis.h"

/* The six integers; waits rounded up to whole ms. */
int reply_verdict(RedisModuleCtx *ctx, const struct verdict *verdict);

/* TERSE: one integer instead: granted units; or -wait_ms, 0 where it was not charged because another one was denied;
 * null = never. */
int reply_verdict_as(RedisModuleCtx *ctx, const struct verdict *verdict, bool is_terse);

/* printf-like; always returns REDISMODULE_OK so that handlers can return it. */
int reply_error(RedisModuleCtx *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The error of a decision that could not be made. */
int reply_fault(RedisModuleCtx *ctx, enum fault fault);

/* What NOPLAN and NOPOLICY end with: the configuration of a server is its own. */
#define EVERY_PRIMARY " (in a cluster every primary needs it)"

/* Bytes of a client, safe inside an error: no line breaks, at most 40 of them. */
struct printable {
    char text[44];
};
struct printable printable(struct bytes bytes);

/* What a resource was charged or given back, what not, and what is left of it. */
void reply_three(RedisModuleCtx *ctx, int64_t done, int64_t rest, int64_t remaining);

/* One entry of a map. */
void reply_field_integer(RedisModuleCtx *ctx, const char *name, int64_t value);
void reply_field_text(RedisModuleCtx *ctx, const char *name, struct bytes text);
void reply_field_name(RedisModuleCtx *ctx, const char *name);
void reply_field_period(RedisModuleCtx *ctx, const struct period *period); /* `period`, as its word */

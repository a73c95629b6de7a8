/* What happened, counted: the module's section of INFO (`INFO quota`, `INFO everything`).
 *
 *     quota_admitted   quota_denied_limit   quota_denied_block   quota_denied_list
 *     quota_denied_breaker   quota_shadowed
 *     quota_waiting    quota_leases    quota_policies    quota_plans    quota_rule_sets
 *     quota_violations entries of QUOTA.VIOLATIONS    quota_events    entries of the event log
 *     quota_bugs       expectations of the module that did not hold (base/expect.h): 0, or please report it
 *     quota_keys_<type>    quota_bytes_<type>
 *     quota_usage_<number>:plan=…,resource=…,granted=…,refused=…,units=…,credits=…,refunded=…     (tallies.h)
 *
 * Verdicts are counted on the main thread by plain additions; keys and bytes also on the lazy-free thread, by relaxed
 * atomics. Counters begin at 0 with the server; peeks and replicated effects are not counted. */
#pragma once

#include "quota/rate/verdict.h"
#include "violations.h"

/* Why a request was answered as it was. */
enum cause {
    CAUSE_ADMITTED,
    CAUSE_LIMIT,
    CAUSE_BLOCK,
    CAUSE_LIST,
    CAUSE_BREAKER,
    CAUSE_SHADOW, /* denied in shadow, so admitted all the same */
    CAUSES_COUNT,
};

/* One answered request: the one place for all of them. What was refused is added to the violations, too; of other
 * requests `violation` is not looked at. */
void metrics_count_cause(enum cause cause);
static inline bool cause_refuses(enum cause cause)
{
    return cause != CAUSE_ADMITTED && cause != CAUSE_SHADOW;
}
static inline void metrics_count(RedisModuleCtx *ctx, enum cause cause, const struct violation *violation)
{
    metrics_count_cause(cause);
    if (cause_refuses(cause)) violations_add(ctx, violation);
}

/* The cause a limiter's own verdict stands for. */
static inline enum cause cause_of(const struct verdict *verdict)
{
    if (verdict->granted > 0) return CAUSE_ADMITTED;
    return verdict->rule < 0 ? CAUSE_BLOCK : CAUSE_LIMIT;
}

/* Registers the section; only in OnLoad. */
int metrics_register(RedisModuleCtx *ctx);

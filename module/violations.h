/* Violations: what was refused lately, and by which rule, so that "why was X denied?" has an answer.
 *
 *     a denial ─▶ metrics_count ─▶ violations_add ─┬─ the same key, resource and rule as one that is known ─▶ one more
 *     (no PEEK, no CHECK, no replay)               └─ another one ─▶ an entry; the one longest without a denial goes
 *
 *     latest ─▶ entry ─▶ entry ─▶ … ─▶ oldest       by their last denial
 *
 * They are found by a hash, so a denial costs the same whatever there is. The text of a rule is written when an entry
 * is made, and again when the rule behind its number has become another one.
 *
 * This is the memory of this server: neither replicated nor saved, left alone by FLUSHALL, and bounded by
 * quota.violations-max. */
#pragma once

#include "quota/base/buffer.h"
#include "redis.h"

/* Of longer names so much is kept; the rest counts when they are compared. */
#define VIOLATION_NAME_MAX 1024

/* What has refused. */
enum violation_kind {
    VIOLATION_ACCOUNT,
    VIOLATION_RATE,
    VIOLATION_POLICY,
    VIOLATION_LEASE,
    VIOLATION_BREAKER,
};

/* A refused request. Everything is borrowed. */
struct violation {
    enum violation_kind kind;
    RedisModuleString *key;
    struct bytes resource; /* of an account; the subject of a table, the name of a policy; empty = none */
    int32_t rule;          /* as in the verdict; -1 = no rule refused */
    uint64_t shape;        /* of that rule (rule_shape): another number where it is another rule */
    int64_t cost, wait_us, now_us;
    /* Writes the text of the rule; `source` is for it alone. */
    void (*write_rule)(const struct violation *violation, struct sink *text);
    const void *source;
};

/* One denial more. */
void violations_add(RedisModuleCtx *ctx, const struct violation *violation);

/* How many there are; and forgets all of them. */
int64_t violations_count(void);
void violations_reset(void);

/* An entry, for readers. */
struct violation_entry {
    const char *kind;                        /* as a word */
    struct bytes key, resource, text, actor; /* names are cut at VIOLATION_NAME_MAX */
    int database;
    int32_t rule;
    int64_t count, cost, wait_us, first_us, last_us; /* `cost` of all of them, `wait_us` of the last one */
};

/* Calls `visit` with each, the latest first, until it answers false. */
void violations_each(bool (*visit)(const struct violation_entry *entry, void *context), void *context);

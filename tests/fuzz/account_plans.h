/* A configuration of three plans for fuzzers of accounts, and the server around it.
 *
 *     entitlement_number(0 … 7)   rules of every kind, from 4 on counted AS another resource
 *     make_plans ─▶ pro │ team │ free, with revisions that are there and one that is to come      revise: one more */
#pragma once

#include "input.h"
#include "quota/account/price.h"
#include "quota/decide/admin.h"
#include <string.h>

#define PLANS 3

static const char *const plan_names[PLANS] = {"pro", "team", "free"};
static struct plan_history *plans[PLANS];
static uint64_t generation;

static inline struct quota_rule limit_rule(int64_t limit, enum period_unit unit, int64_t count, bool prorate)
{
    return (struct quota_rule){
        .kind = QUOTA_LIMIT, .limit = limit, .period = {.unit = unit, .count = count}, .prorate = prorate};
}

static inline struct quota_rule rate_rule(enum quota_kind kind, enum rule_algorithm algorithm, int64_t limit,
                                          int64_t period_us)
{
    struct quota_rule rule = {
        .kind = kind,
        .rule = {.algorithm = algorithm, .limit = limit, .period_us = period_us, .capacity = limit, .initial = limit}};
    rule_complete(&rule.rule);
    return rule;
}

static inline void roll_over(struct quota_rule *rule, int which)
{
    rule->rollover_bp = 5000;
    rule->rollover_max = which - 1 + 10 * which;
    rule->rollover_cycles = 1 + 5 * which;
}

/* c and d are counted as a, c with a usage series of its own, d with a rate. */
static inline struct entitlement entitlement_as(bool rated)
{
    struct entitlement entitlement = entitlement_none(rated ? BYTES("d") : BYTES("c"));
    entitlement.as = BYTES("a");
    entitlement.cost = rated ? 2 : 3;
    entitlement.rules_count = 1;
    entitlement.rules[0] =
        rated ? rate_rule(QUOTA_RATE, RULE_TOKEN, 9, MICROS_PER_MINUTE) : limit_rule(UNLIMITED, PERIOD_DAY, 1, false);
    return entitlement;
}

/* In place of what a plan owns. */
static inline struct bytes price_number(int which)
{
    static char rooms[2][PRICE_BYTES_MAX];
    struct price price = {.currency = which == 0 ? BYTES("usd") : BYTES("eur"), .per = 1 + which, .volume = which == 2};
    price.tiers[0] = (struct tier){7, 1000000 * (1 + which), 500000};
    price.tiers[1] = (struct tier){TIER_OPEN, 300000, 0};
    price.tiers_count = 2;
    struct sink sink = sink_init(rooms[which / 2], PRICE_BYTES_MAX);
    price_encode(&price, &sink);
    return sink_content(&sink);
}

/* 0 … 7; from 4 on they are counted as another resource. */
static inline struct entitlement entitlement_number(int which)
{
    if (which > 3) return entitlement_as(which & 1);
    struct entitlement entitlement = entitlement_none(which & 1 ? BYTES("b") : BYTES("a"));
    entitlement.rules[entitlement.rules_count++] = limit_rule(40 + 10 * which, PERIOD_MONTH, 1, which == 0);
    entitlement.rules[entitlement.rules_count++] = limit_rule(9 + which, PERIOD_DAY, 1 + which / 2, false);
    if (which != 2)
        entitlement.rules[entitlement.rules_count++] = rate_rule(QUOTA_ROLLING, RULE_LOG, 12, MICROS_PER_HOUR);
    if (which == 3)
        entitlement.rules[entitlement.rules_count++] = rate_rule(QUOTA_RATE, RULE_GCRA, 5, MICROS_PER_MINUTE);
    if (which == 2)
        entitlement.rules[entitlement.rules_count++] = rate_rule(QUOTA_THROTTLE, RULE_GCRA, 7, MICROS_PER_MINUTE);
    if (which != 3) roll_over(&entitlement.rules[which & 1], which);
    entitlement.warnings_count = 1;
    entitlement.warnings_bp[0] = 8000;
    entitlement.burst_bp = which & 1 ? 5000 : 0;
    entitlement.grace_us = which == 3 ? MICROS_PER_HOUR : 0;
    entitlement.repay = which < 2;
    entitlement.cost = which == 2 ? 3 : 1;
    entitlement.refunds_max = which == 1 ? 20 : -1;
    entitlement.credits = which > 0;
    entitlement.credits_first = which == 2;
    entitlement.credits_low = which == 1 ? 6 : -1;
    entitlement.transfers_max = which == 1 ? 30 : -1;
    entitlement.overage = which == 3;
    entitlement.overage_max = which == 3 ? 8 : -1;
    if ((which & 1) == 0) entitlement.price = price_number(which);
    return entitlement;
}

static inline struct bytes plan_name(int64_t which)
{
    return (struct bytes){plan_names[which], strlen(plan_names[which])};
}

/* A revision more of one of the plans; at most one is still to come. */
static inline void revise_to(int64_t which, const struct entitlement *entitlement, bool granted, int64_t at_us,
                             bool immediate, enum plan_apply apply)
{
    struct sink change = {0};
    struct plan_history **history = &plans[which];
    struct plan_entry entry = {.revision = *history ? (*history)->newest + 1 : 1, .granted = granted};
    entry.entitlement = *entitlement;
    plan_history_write_revision(0, at_us, immediate, apply, &entry, &change);
    *history = plan_history_apply(*history, plan_name(which), (struct bytes){change.data, change.size});
    require(*history != NULL);
    generation++;
    sink_free(&change);
}

static inline void revise(int64_t which, int number, bool granted, int64_t at_us, bool immediate, enum plan_apply apply)
{
    struct entitlement entitlement = entitlement_number(number);
    revise_to(which, &entitlement, granted, at_us, immediate, apply);
}

static inline void make_plans(void)
{
    for (int i = 0; i < PLANS; i++) {
        revise(i, i, true, 0, true, APPLY_FULL);
        revise(i, i + 1, true, 0, true, APPLY_FULL);
        revise(i, (i + 2) & 3, i != 2, 40 * MICROS_PER_DAY, false, (enum plan_apply)i);
        if (i > 0) revise(i, 4, true, 0, true, APPLY_FULL);
        if (i < 2) revise(i, 5, true, 0, true, APPLY_FULL);
    }
}

static inline void forget_plans(void)
{
    for (int i = 0; i < PLANS; i++) {
        plan_history_free(plans[i]);
        plans[i] = NULL;
    }
}

static inline const struct plan_history *find_plan(struct bytes name)
{
    for (int i = 0; i < PLANS; i++) {
        if (bytes_equal(plan_name(i), name)) return plans[i];
    }
    return NULL;
}

static inline const struct zone *find_zone(struct bytes name, void *context)
{
    (void)context;
    return name.data[0] == 'E' ? NULL : zone_utc(); /* one that is not known here is possible too */
}

static struct account_host host = {.find_zone = find_zone,
                                   .find_plan = find_plan,
                                   .default_plan = {"free", 4},
                                   .auto_open = true,
                                   .kept_us = MICROS_PER_DAY,
                                   .records_max = 50};

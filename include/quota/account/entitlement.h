/* An entitlement is what a plan grants of one resource: the rules of a quota as the user wrote them.
 *
 *     LIMIT 20000 month PRORATE   LIMIT 1000 day CALENDAR   LIMIT 500 ROLLING 6h   RATE 10 1s   COST 2   WARN 80 100
 *     └──────── rule 0 ─────────┘ └────── rule 1 ─────────┘ └────── rule 2 ──────┘ └─ rule 3 ─┘
 *
 *     LIMIT n period    at most n units in each cycle (period.h)         BURST p    and p percent of it beyond
 *       ROLLOVER p      p percent of what a cycle leaves unused is added to the next FOR cycles, up to MAX (carry.h)
 *     ROLLING d         at most n units in any window (now - d, now]     REPAY      what was used beyond a limit is
 *     RATE rule         a rate limit (rule.h)                                       taken from the next cycle's
 *     COST n            a unit counts as n                                GRACE d    from the first unit beyond on the
 *     WARN p …          thresholds in percent of a limit                            limit holds again after d; until
 *     HOLDS MAX n       reservations at once                                        then BURST bounds, or nothing
 *     REFUNDS MAX n     units given back per cycle; WITHIN d of          OVERAGE    a limit is what is included: it
 *                       the consumption                                             refuses nothing, or with MAX n
 *                                                                                   no more than n units beyond
 *     CREDITS           without any LIMIT: grants alone pay (grants.h)   FIRST, LOW their order, and when they are low
 *     TRANSFERS MAX n   credits given away in a cycle of the longest LIMIT
 *     CONCURRENT n      units in live reservations at once
 *     AS resource       counted as COST units of that resource, under its rules; own RATEs and LIMIT -1 besides
 *     THROTTLE rule     the slow lane: what limits and credits refuse is admitted at this rate instead
 *     SHARE how         of a pool: how its members share the longest LIMIT (shares.h)
 *     PRICE currency …  what units beyond the longest LIMIT cost (price.h)
 *
 * (GRACE is that of disk quotas: a soft limit that becomes hard after a while.) All rules have to admit, or nothing
 * is charged.
 *
 * An override (QUOTA.OVERRIDE) is an entitlement that stands above the plan's. It replaces kind by kind what it gives
 * itself and lets the rest of the plan's stand, unless it is ONLY these rules. */
#pragma once

#include "quota/account/price.h"
#include "quota/account/shares.h"
#include "quota/base/buffer.h"
#include "quota/rate/rule.h"
#include "quota/time/period.h"

#define RESOURCE_NAME_MAX          128
#define ENTITLEMENT_RULES_MAX      16 /* LIMITs, ROLLINGs, RATEs and CONCURRENT of one resource */
#define ENTITLEMENT_WARNINGS_MAX   16
#define ENTITLEMENT_PERCENT_MAX_BP 1000000 /* 10,000 percent */
#define BP_WHOLE                   10000   /* hundredths of a percent in a whole */
#define ROLLOVER_CYCLES_MAX        36
#define SHARE_TEXT                 99 /* stands for SHARE among the numbers of rules */

/* The numbers are part of the stored encoding: append, never renumber. */
enum quota_kind {
    QUOTA_LIMIT = 0,
    QUOTA_ROLLING = 1,
    QUOTA_RATE = 2,
    QUOTA_CONCURRENT = 3,
    QUOTA_THROTTLE = 4,
};

struct quota_rule {
    enum quota_kind kind;
    bool prorate;            /* LIMIT: the cycle the account begins in is cut to the part that was left of it */
    int64_t limit;           /* LIMIT and CONCURRENT: UNLIMITED, or units >= 0 */
    int64_t rollover_bp;     /* LIMIT: of what a cycle leaves unused, 1 … BP_WHOLE; 0 = nothing rolls over */
    int64_t rollover_max;    /* units of all lots; -1 = no bound */
    int64_t rollover_cycles; /* for which a lot lives, 1 … ROLLOVER_CYCLES_MAX */
    struct period period;    /* LIMIT */
    uint64_t code;           /* LIMIT: the period's, where it is known already: after decoding; or 0 */
    struct rule rule;        /* ROLLING (algorithm LOG), RATE and THROTTLE: completed */
};

struct entitlement {
    struct bytes resource; /* 1 … RESOURCE_NAME_MAX bytes */
    struct bytes as;       /* AS: the resource it is counted as; empty = itself */
    int64_t cost;          /* >= 1 */
    uint32_t rules_count;  /* 1 … ENTITLEMENT_RULES_MAX */
    struct quota_rule rules[ENTITLEMENT_RULES_MAX];
    uint32_t warnings_count;
    int64_t
        warnings_bp[ENTITLEMENT_WARNINGS_MAX]; /* ascending, 1 … ENTITLEMENT_PERCENT_MAX_BP hundredths of a percent */
    int64_t burst_bp;                          /* 0 = none */
    bool repay, overage;
    int64_t overage_max;       /* OVERAGE MAX n: units of a cycle; -1 = no bound */
    int64_t grace_us;          /* 0 = none */
    int64_t refunds_max;       /* units a cycle; -1 = no bound */
    int64_t refunds_within_us; /* 0 = no bound */
    int64_t holds_max;         /* -1 = no bound */
    bool credits;              /* CREDITS was given: where there is no LIMIT, grants alone pay */
    bool credits_first;        /* grants pay before the limits do */
    int64_t credits_low;       /* CREDITS LOW n; -1 = none */
    int64_t transfers_max;     /* credits given away in a cycle; -1 = no bound */
    enum share_how share;      /* SHARE_FIRST = members are not bounded one by one */
    struct bytes price;        /* PRICE as price_encode writes it; empty = none */
};

/* Options beside the rules, each a kind of its own for an override. Part of the stored encoding. */
enum entitlement_option {
    OPTION_COST = 1,
    OPTION_WARN = 2,
    OPTION_BURST = 4, /* with REPAY */
    OPTION_GRACE = 8,
    OPTION_OVERAGE = 16,
    OPTION_REFUNDS = 32,
    OPTION_HOLDS = 64,
    OPTION_CREDITS = 128,
    OPTION_TRANSFERS = 256,
    OPTION_AS = 512,
    OPTION_SHARE = 1024,
    OPTION_PRICE = 2048,
};
#define OPTIONS_FIRST    127 /* of the first encoding of overrides */
#define OPTIONS_CREDITS  511 /* of the second … */
#define OPTIONS_ROLLOVER 1023
#define OPTIONS_ALL      4095

/* Does it grant nothing: no rule, no credits, no other resource that it is counted as? */
static inline bool entitlement_is_empty(const struct entitlement *entitlement)
{
    return entitlement->rules_count == 0 && !entitlement->credits && entitlement->as.size == 0;
}

/* What a requested unit counts as under its own rules. With AS the COST is that of the other resource's. */
static inline int64_t entitlement_cost(const struct entitlement *entitlement)
{
    return entitlement->as.size > 0 ? 1 : entitlement->cost;
}

/* Units that OVERAGE lets a cycle use beyond what BURST and GRACE admit; UNLIMITED, 0 = none. */
static inline int64_t entitlement_overage(const struct entitlement *entitlement)
{
    return entitlement->overage ? entitlement->overage_max : 0;
}

/* Are its rules LIMITs and RATEs alone, without what admits units beyond them, counts or pays otherwise? Then a
 * unit within them is one more used of each, and nothing else. */
bool entitlement_only_counts(const struct entitlement *entitlement);

/* No rule yet: everything at what it is when not given. */
struct entitlement entitlement_none(struct bytes resource);

/* NULL when they can be used, else the reason they cannot, as the end of an error text. */
const char *entitlement_fault(const struct entitlement *entitlement);

/* The same for an override, which may give options without any rule. */
const char *override_fault(const struct entitlement *entitlement);

/* Puts the warnings in ascending order, each once. */
void entitlement_sort_warnings(struct entitlement *entitlement);

/* Does it limit by a rate: RATE, or THROTTLE? */
static inline bool quota_rule_is_rate(const struct quota_rule *rule)
{
    return rule->kind == QUOTA_RATE || rule->kind == QUOTA_THROTTLE;
}

/* The period_code of a LIMIT. */
static inline uint64_t quota_rule_code(const struct quota_rule *rule)
{
    return rule->code > 0 ? rule->code : period_code(&rule->period);
}

/* As rule_shape; a negative `nth` and one behind the rules stand for the credits. */
static inline uint64_t entitlement_shape(const struct entitlement *entitlement, int32_t nth)
{
    if (nth < 0 || (uint32_t)nth >= entitlement->rules_count)
        return shape_with(entitlement->credits_first, entitlement->credits_low);
    const struct quota_rule *rule = &entitlement->rules[nth];
    const struct period *period = &rule->period;
    if (rule->kind != QUOTA_LIMIT && rule->kind != QUOTA_CONCURRENT) return rule_shape(&rule->rule) + rule->kind;
    uint64_t bits = (uint64_t)period->unit << 32 | (uint64_t)(period->from_month << 24 | period->from_day << 16) |
                    (uint64_t)(period->from_weekday << 8 | period->calendar << 2 | period->end_of_month << 1) |
                    rule->prorate;
    uint64_t shape = shape_with(shape_with(bits, period->count), rule->limit);
    if (rule->rollover_bp == 0) return shape;
    return shape_with(shape_with(shape_with(shape, rule->rollover_bp), rule->rollover_max), rule->rollover_cycles);
}

/* The plan's entitlement (NULL = none) as an override changes it: each of its rules replaces the plan's of the same
 * kind (LIMIT: the same period whatever its alignment; ROLLING: the same length; RATE: all RATEs; CONCURRENT), and so
 * does each option it gives (`options`). What the plan lacks is added behind; the plan's last rules give way where
 * there are too many. */
void entitlement_merge(const struct entitlement *plan, const struct entitlement *override, uint16_t options,
                       struct entitlement *merged);

/* Do both grant the same by the same rules? The names may differ. */
bool entitlement_equal(const struct entitlement *left, const struct entitlement *right);

/* The LIMIT of this period (period_code), the rolling one of this length; or NULL. */
const struct quota_rule *entitlement_limit(const struct entitlement *entitlement, uint64_t period_code);
const struct quota_rule *entitlement_rolling(const struct entitlement *entitlement, int64_t period_us);

/* The LIMIT whose cycles are billed: the longest that ends, by what its period is on average, else the one for ever; of
 * equal ones the first. NULL = it has none. */
const struct quota_rule *entitlement_billed(const struct entitlement *entitlement);

/* The RATE rules in order, THROTTLE behind them, and for each its place among all rules; answers how many. */
uint32_t entitlement_rates(const struct entitlement *entitlement, struct rule rates[ENTITLEMENT_RULES_MAX],
                           uint8_t places[ENTITLEMENT_RULES_MAX]);

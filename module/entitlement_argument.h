/* The words of a plan's rules, for QUOTA.PLAN SET and QUOTA.OVERRIDE: they become quota/entitlement.h.
 *
 *     LIMIT 1000 month CALENDAR FROM 15 PRORATE   RATE 10 1s   WARN 80 100   …          in any order
 *
 * Words that follow a RATE belong to it as long as they can (its BURST is the rate's, not the quota's). */
#pragma once

#include "argument.h"
#include "quota/account/entitlement.h"

struct entitlement_argument {
    struct entitlement entitlement; /* the rows fill in what they can */
    struct percents_argument warnings;
    int64_t repay, share; /* share: enum share_how, or -1 = not given */
    struct price price;   /* tiers_count 0 and no currency = not given */
    char price_bytes[PRICE_BYTES_MAX];
    uint16_t options; /* enum entitlement_option: those that were given; set by entitlement_finish_or_reply */
};

/* Before parsing: nothing was given yet. */
void entitlement_argument_begin(struct entitlement_argument *argument);

/* Takes a LIMIT, RATE, THROTTLE, CONCURRENT, CREDITS, OVERAGE, PRICE or TIER that was parsed into struct
 * entitlement_argument. */
bool entitlement_add_limit(RedisModuleCtx *ctx, void *argument, const void *element);
bool entitlement_add_rate(RedisModuleCtx *ctx, void *argument, const void *element);
bool entitlement_add_throttle(RedisModuleCtx *ctx, void *argument, const void *element);
bool entitlement_add_credits(RedisModuleCtx *ctx, void *argument, const void *element);
bool entitlement_add_concurrent(RedisModuleCtx *ctx, void *argument, const void *element);
bool entitlement_add_overage(RedisModuleCtx *ctx, void *argument, const void *element);
bool entitlement_add_price(RedisModuleCtx *ctx, void *argument, const void *element);
bool entitlement_add_tier(RedisModuleCtx *ctx, void *argument, const void *element);
extern const struct argument limit_arguments[], rate_arguments[], credits_arguments[], overage_arguments[],
    concurrent_arguments[], price_arguments[], tier_arguments[];

/* Completes the entitlement to `resource`; an override may give options without a rule. On false the client has its
 * error. */
bool entitlement_finish_or_reply(RedisModuleCtx *ctx, struct entitlement_argument *argument, struct bytes resource,
                                 bool overrides);

/* Reads a period as PERIOD takes it, into its period_code; on false the client has its error. */
bool entitlement_period_or_reply(RedisModuleCtx *ctx, struct bytes word, uint64_t *code);

/* Rows of a group of options of the request `type_`, whose entitlement_argument is its field `entitlement`. */
#define ENTITLEMENT_REFUNDS_ROWS(type_)                                                                                \
    {                                                                                                                  \
        FIELD(ARGUMENT_INTEGER, "max", "MAX", type_, entitlement.entitlement.refunds_max, 0, INT64_MAX,                \
              ARGUMENT_OPTIONAL, "Units that one cycle takes back at most."),                                          \
            FIELD(ARGUMENT_DURATION, "within", "WITHIN", type_, entitlement.entitlement.refunds_within_us, 1,          \
                  DURATION_MAX_US, ARGUMENT_OPTIONAL,                                                                  \
                  "Only so long after the consumption, which has to be named then."),                                  \
            {0},                                                                                                       \
    }
#define ENTITLEMENT_HOLDS_ROWS(type_)                                                                                  \
    {                                                                                                                  \
        FIELD(ARGUMENT_INTEGER, "max", "MAX", type_, entitlement.entitlement.holds_max, 0, INT64_MAX, 0,               \
              "Reservations at once."),                                                                                \
            {0},                                                                                                       \
    }

#define ENTITLEMENT_TRANSFERS_ROWS(type_)                                                                              \
    {                                                                                                                  \
        FIELD(ARGUMENT_INTEGER, "max", "MAX", type_, entitlement.entitlement.transfers_max, 0, INT64_MAX, 0,           \
              "Credits that may be given away in a cycle of the longest LIMIT; 0 = none."),                            \
            {0},                                                                                                       \
    }

#define ENTITLEMENT_SHARE_ROWS(type_)                                                                                  \
    {                                                                                                                  \
        {.kind = ARGUMENT_CHOICE,                                                                                      \
         .name = "how",                                                                                                \
         .offset = offsetof(type_, entitlement.share),                                                                 \
         .rows = share_choice,                                                                                         \
         .summary = "First come, first served; the same for each by weight; or by what each has used."},               \
            {0},                                                                                                       \
    }
extern const struct argument share_choice[];

/* The rows of the rules; the last four are tables made of the rows above. */
#define ENTITLEMENT_ROWS(type_, refunds_, holds_, transfers_, share_)                                                  \
    {.kind = ARGUMENT_EACH,                                                                                            \
     .name = "limit",                                                                                                  \
     .token = "LIMIT",                                                                                                 \
     .offset = offsetof(type_, entitlement),                                                                           \
     .flags = ARGUMENT_OPTIONAL,                                                                                       \
     .rows = limit_arguments,                                                                                          \
     .add = entitlement_add_limit,                                                                                     \
     .summary = "Units per period, or in any window of a length; several all have to admit."},                         \
        {.kind = ARGUMENT_EACH,                                                                                        \
         .name = "rate",                                                                                               \
         .token = "RATE",                                                                                              \
         .offset = offsetof(type_, entitlement),                                                                       \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .rows = rate_arguments,                                                                                       \
         .add = entitlement_add_rate,                                                                                  \
         .summary = "A rate limit as in RL.ALLOW."},                                                                   \
        FIELD(ARGUMENT_TEXT, "as", "AS", type_, entitlement.entitlement.as, 0, 0, ARGUMENT_OPTIONAL,                   \
              "Counted as COST units of that resource, under its rules."),                                             \
        {.kind = ARGUMENT_EACH,                                                                                        \
         .name = "throttle",                                                                                           \
         .token = "THROTTLE",                                                                                          \
         .offset = offsetof(type_, entitlement),                                                                       \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .rows = rate_arguments,                                                                                       \
         .add = entitlement_add_throttle,                                                                              \
         .summary = "The slow lane: what limits and credits refuse is admitted at this rate instead."},                \
        FIELD(ARGUMENT_INTEGER, "cost", "COST", type_, entitlement.entitlement.cost, 1, INT64_MAX, ARGUMENT_OPTIONAL,  \
              "Units that each requested unit counts as (default 1)."),                                                \
        FIELD(ARGUMENT_PERCENTS, "percent", "WARN", type_, entitlement.warnings, 1, ENTITLEMENT_PERCENT_MAX_BP,        \
              ARGUMENT_OPTIONAL, "Thresholds in percent of a limit, 0.01 to 10000."),                                  \
        FIELD(ARGUMENT_PERCENT, "percent", "BURST", type_, entitlement.entitlement.burst_bp, 0,                        \
              ENTITLEMENT_PERCENT_MAX_BP, ARGUMENT_OPTIONAL,                                                           \
              "Percent of a limit that may be used beyond it, 0 to 10000."),                                           \
        {.kind = ARGUMENT_FLAG,                                                                                        \
         .name = "repay",                                                                                              \
         .token = "REPAY",                                                                                             \
         .offset = offsetof(type_, entitlement.repay),                                                                 \
         .lowest = 1,                                                                                                  \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .summary = "What was used beyond a limit is taken from the next cycle's."},                                   \
        FIELD(ARGUMENT_DURATION, "grace", "GRACE", type_, entitlement.entitlement.grace_us, 1, DURATION_MAX_US,        \
              ARGUMENT_OPTIONAL, "A soft limit: from the first unit beyond it, requests are admitted for so long."),   \
        {.kind = ARGUMENT_EACH,                                                                                        \
         .name = "credits",                                                                                            \
         .token = "CREDITS",                                                                                           \
         .offset = offsetof(type_, entitlement),                                                                       \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .rows = credits_arguments,                                                                                    \
         .add = entitlement_add_credits,                                                                               \
         .summary = "Granted credits pay for what limits refuse; without a LIMIT they alone pay."},                    \
        {.kind = ARGUMENT_GROUP,                                                                                       \
         .name = "refunds",                                                                                            \
         .token = "REFUNDS",                                                                                           \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .rows = (refunds_),                                                                                           \
         .summary = "Bounds on refunds."},                                                                             \
        {.kind = ARGUMENT_GROUP,                                                                                       \
         .name = "holds",                                                                                              \
         .token = "HOLDS",                                                                                             \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .rows = (holds_),                                                                                             \
         .summary = "A bound on reservations."},                                                                       \
        {.kind = ARGUMENT_GROUP,                                                                                       \
         .name = "transfers",                                                                                          \
         .token = "TRANSFERS",                                                                                         \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .rows = (transfers_),                                                                                         \
         .summary = "Bound on transfers of credits."},                                                                 \
        {.kind = ARGUMENT_GROUP,                                                                                       \
         .name = "share",                                                                                              \
         .token = "SHARE",                                                                                             \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .rows = (share_),                                                                                             \
         .summary = "How the members of a pool share its longest LIMIT."},                                             \
        {.kind = ARGUMENT_EACH,                                                                                        \
         .name = "concurrent",                                                                                         \
         .token = "CONCURRENT",                                                                                        \
         .offset = offsetof(type_, entitlement),                                                                       \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .rows = concurrent_arguments,                                                                                 \
         .add = entitlement_add_concurrent,                                                                            \
         .summary = "Units in reservations at once: RESERVE is denied beyond, and waits."},                            \
        {.kind = ARGUMENT_EACH,                                                                                        \
         .name = "price",                                                                                              \
         .token = "PRICE",                                                                                             \
         .offset = offsetof(type_, entitlement),                                                                       \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .rows = price_arguments,                                                                                      \
         .add = entitlement_add_price,                                                                                 \
         .summary = "What is used beyond the longest LIMIT costs something: QUOTA.BILL."},                             \
        {.kind = ARGUMENT_EACH,                                                                                        \
         .name = "tier",                                                                                               \
         .token = "TIER",                                                                                              \
         .offset = offsetof(type_, entitlement),                                                                       \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .rows = tier_arguments,                                                                                       \
         .add = entitlement_add_tier,                                                                                  \
         .summary = "A part of the units of PRICE; the last one is *."},                                               \
    {                                                                                                                  \
        .kind = ARGUMENT_EACH, .name = "overage", .token = "OVERAGE", .offset = offsetof(type_, entitlement),          \
        .flags = ARGUMENT_OPTIONAL, .rows = overage_arguments, .add = entitlement_add_overage,                         \
        .summary = "Limits are what is included: they refuse nothing, and the excess is counted."                      \
    }

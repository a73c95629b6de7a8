/* Validates rules and reduces their rate; see rule.h. */
#include "quota/rate/rule.h"
#include "quota/base/checked.h"

const char *rule_fault(const struct rule *rule)
{
    if (rule->algorithm >= RULE_ALGORITHMS_COUNT) return "unknown algorithm";
    if (rule->limit < UNLIMITED) return "limit must be -1 (unlimited), 0 (none) or a number of units";
    if (rule->period_us < 1 || rule->period_us > DURATION_MAX_US) return "period must be between 1us and 9000 years";
    if ((rule->flags & RULE_INTERVAL) && rule->algorithm != RULE_TOKEN) return "INTERVAL goes with TOKEN";
    if ((rule->flags & RULE_FIRST) && rule->algorithm != RULE_FIXED) return "FIRST goes with FIXED";
    if (rule->flags & ~(uint32_t)RULE_FLAGS_KNOWN) return "unknown flag";
    if (rule_is_constant(rule)) {
        bool plain = rule->capacity == rule->limit && rule->initial == rule->capacity;
        return plain ? NULL : "BURST and INITIAL need a limit of at least 1";
    }
    if (rule->capacity < 1) return "BURST must be at least 1";
    if (rule->algorithm >= RULE_FIXED && rule->capacity != rule->limit) return "BURST does not go with a window";
    if (rule->initial < 0 || rule->initial > rule->capacity) return "INITIAL must be between 0 and the capacity";
    if (rule->algorithm != RULE_TOKEN && rule->initial != rule->capacity) return "INITIAL goes with TOKEN";
    return NULL;
}

void rule_complete(struct rule *rule)
{
    rule->rate_units = rule->rate_us = 0;
    if (rule_is_constant(rule)) return;
    int64_t divisor = greatest_divisor(rule->period_us, rule->limit);
    rule->rate_units = rule->limit / divisor;
    rule->rate_us = rule->period_us / divisor;
}

bool rule_equal(const struct rule *left, const struct rule *right)
{
    return left->limit == right->limit && left->period_us == right->period_us && left->capacity == right->capacity &&
           left->initial == right->initial && left->algorithm == right->algorithm && left->flags == right->flags;
}

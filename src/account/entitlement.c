/* Checks, merges and looks into the entitlement to one resource; see entitlement.h. */
#include "quota/account/entitlement.h"
#include "quota/account/entitlement_codec.h"
#include "quota/base/checked.h"

bool entitlement_only_counts(const struct entitlement *entitlement)
{
    bool plain = entitlement->as.size == 0 && entitlement->cost == 1 && entitlement->burst_bp == 0 &&
                 entitlement->grace_us == 0 && !entitlement->overage && !entitlement->credits;
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        enum quota_kind kind = entitlement->rules[i].kind;
        plain = plain && (kind == QUOTA_LIMIT || kind == QUOTA_RATE);
    }
    return plain && entitlement->rules_count > 0;
}

struct entitlement entitlement_none(struct bytes resource)
{
    return (struct entitlement){.resource = resource,
                                .as = {"", 0},
                                .price = {"", 0},
                                .cost = 1,
                                .overage_max = -1,
                                .refunds_max = -1,
                                .holds_max = -1,
                                .credits_low = -1,
                                .transfers_max = -1};
}

/* ---- what is wrong --------------------------------------------------------------------------------------- */

static const char *rollover_fault(const struct quota_rule *rule)
{
    if (rule->rollover_bp < 0 || rule->rollover_bp > BP_WHOLE) return "ROLLOVER is 0.01 to 100 percent";
    if (rule->rollover_max < -1) return "ROLLOVER MAX is 0 or more";
    if (rule->rollover_cycles < 1 || rule->rollover_cycles > ROLLOVER_CYCLES_MAX) return "ROLLOVER FOR is 1 to 36";
    if (rule->period.unit == PERIOD_FOREVER) return "ROLLOVER needs cycles that end";
    return period_fault(&rule->period);
}

static const char *quota_rule_fault(const struct quota_rule *rule)
{
    switch (rule->kind) {
    case QUOTA_LIMIT:
        if (rule->limit < UNLIMITED) return "a LIMIT is -1 (unlimited), 0 (none) or more";
        return rule->rollover_bp != 0 ? rollover_fault(rule) : period_fault(&rule->period);
    case QUOTA_ROLLING:
        if (rule->rule.algorithm != RULE_LOG) return "ROLLING counts by a LOG";
        return rule_fault(&rule->rule);
    case QUOTA_RATE: return rule_fault(&rule->rule);
    case QUOTA_THROTTLE:
        /* A denial begins no bucket of the slow lane, so one that begins empty would never fill. */
        if (rule->rule.initial < rule->rule.capacity) return "THROTTLE takes no INITIAL";
        return rule_fault(&rule->rule);
    case QUOTA_CONCURRENT: return rule->limit < UNLIMITED ? "CONCURRENT is -1 (unlimited), 0 (none) or more" : NULL;
    }
    return "no such kind of rule";
}

/* Two rules of one resource that could not be distinguished. */
static bool rules_clash(const struct quota_rule *left, const struct quota_rule *right)
{
    if (left->kind != right->kind) return false;
    if (left->kind == QUOTA_LIMIT) return quota_rule_code(left) == quota_rule_code(right);
    if (left->kind == QUOTA_CONCURRENT || left->kind == QUOTA_THROTTLE) return true;
    return left->kind == QUOTA_ROLLING && left->rule.period_us == right->rule.period_us;
}

static const char *clash_text(enum quota_kind kind)
{
    if (kind == QUOTA_CONCURRENT) return "has CONCURRENT twice";
    return kind == QUOTA_THROTTLE ? "has THROTTLE twice" : "has two LIMITs of the same period";
}

static const char *rules_fault(const struct entitlement *entitlement)
{
    if (entitlement->rules_count > ENTITLEMENT_RULES_MAX) return "has at most 16 LIMITs and RATEs";
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        const char *fault = quota_rule_fault(&entitlement->rules[i]);
        if (fault) return fault;
        for (uint32_t k = 0; k < i; k++) {
            if (!rules_clash(&entitlement->rules[i], &entitlement->rules[k])) continue;
            return clash_text(entitlement->rules[i].kind);
        }
    }
    return NULL;
}

/* Limits are those of the other resource. An override may bound it besides. */
static const char *as_fault(const struct entitlement *entitlement)
{
    const struct entitlement none = entitlement_none(entitlement->resource);
    for (uint32_t i = 0; i < entitlement->rules_count && i < ENTITLEMENT_RULES_MAX; i++) {
        const struct quota_rule *rule = &entitlement->rules[i];
        bool counts = rule->kind == QUOTA_LIMIT && rule->limit == UNLIMITED && rule->rollover_bp == 0;
        if (!counts && rule->kind != QUOTA_RATE)
            return "is counted AS another: beside that it has RATEs, LIMIT -1 period and COST alone";
    }
    struct entitlement beside = *entitlement;
    beside.as = none.as;
    beside.cost = none.cost;
    beside.rules_count = 0;
    if (!entitlement_equal(&beside, &none))
        return "is counted AS another: beside that it has RATEs, LIMIT -1 period and COST alone";
    return override_fault(entitlement);
}

const char *entitlement_fault(const struct entitlement *entitlement)
{
    bool refuses = entitlement->credits, throttles = false;
    if (entitlement_is_empty(entitlement)) return "needs a LIMIT, a RATE, CONCURRENT, CREDITS or AS";
    if (entitlement->as.size > 0) return as_fault(entitlement);
    for (uint32_t i = 0; i < entitlement->rules_count && i < ENTITLEMENT_RULES_MAX; i++) {
        enum quota_kind kind = entitlement->rules[i].kind;
        refuses = refuses || kind == QUOTA_LIMIT || kind == QUOTA_ROLLING;
        throttles = throttles || kind == QUOTA_THROTTLE;
    }
    if (entitlement->price.size > 0 && !entitlement_billed(entitlement))
        return "needs a LIMIT with a period: PRICE is of what is used beyond it";
    if (throttles && !refuses) return "needs a LIMIT or CREDITS for THROTTLE to stand behind";
    return override_fault(entitlement);
}

const char *override_fault(const struct entitlement *entitlement)
{
    const char *fault = rules_fault(entitlement);
    if (fault) return fault;
    if (entitlement->resource.size == 0 || entitlement->resource.size > RESOURCE_NAME_MAX)
        return "has a name of 1 to 128 bytes";
    if (entitlement->as.size > RESOURCE_NAME_MAX) return "is AS a name of 1 to 128 bytes";
    if (bytes_equal(entitlement->as, entitlement->resource)) return "cannot be counted AS itself";
    if (entitlement->cost < 1) return "COST is 1 or more";
    if (entitlement->warnings_count > ENTITLEMENT_WARNINGS_MAX) return "has at most 16 warnings";
    for (uint32_t i = 0; i < entitlement->warnings_count; i++) {
        int64_t before_bp = i > 0 ? entitlement->warnings_bp[i - 1] : 0;
        if (entitlement->warnings_bp[i] <= before_bp || entitlement->warnings_bp[i] > ENTITLEMENT_PERCENT_MAX_BP) {
            return "warnings are 0.01 to 10000 percent, each once";
        }
    }
    if (entitlement->burst_bp < 0 || entitlement->burst_bp > ENTITLEMENT_PERCENT_MAX_BP)
        return "BURST is 0 to 10000 percent";
    if (entitlement->grace_us < 0 || entitlement->grace_us > DURATION_MAX_US) return "GRACE is too long";
    if (entitlement->refunds_max < -1 || entitlement->holds_max < -1 || entitlement->transfers_max < -1)
        return "MAX is 0 or more";
    if (entitlement->overage_max < -1) return "OVERAGE MAX is 0 or more";
    if (!entitlement->overage && entitlement->overage_max >= 0) return "MAX belongs to OVERAGE";
    if (!entitlement->credits && (entitlement->credits_first || entitlement->credits_low >= 0))
        return "FIRST and LOW belong to CREDITS";
    if (entitlement->credits_low < -1) return "LOW is 0 or more";
    struct price price; /* large, and mostly not looked at */
    if (entitlement->price.size > 0 && !price_decode(entitlement->price, &price)) return "has a PRICE that is none";
    if (entitlement->share >= SHARE_HOWS_COUNT) return "SHARE is FIRST, EQUAL or FAIR";
    if (entitlement->refunds_within_us < 0 || entitlement->refunds_within_us > DURATION_MAX_US)
        return "WITHIN is too long";
    return NULL;
}

/* Insertion sort; there are at most sixteen. */
void entitlement_sort_warnings(struct entitlement *entitlement)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < entitlement->warnings_count; i++) {
        int64_t bp = entitlement->warnings_bp[i];
        uint32_t at = kept;
        while (at > 0 && entitlement->warnings_bp[at - 1] > bp) at--;
        if (at > 0 && entitlement->warnings_bp[at - 1] == bp) continue;
        memmove(&entitlement->warnings_bp[at + 1], &entitlement->warnings_bp[at], (kept - at) * sizeof(bp));
        entitlement->warnings_bp[at] = bp;
        kept++;
    }
    entitlement->warnings_count = kept;
}

/* ---- questions ------------------------------------------------------------------------------------------- */

const struct quota_rule *entitlement_limit(const struct entitlement *entitlement, uint64_t code)
{
    for (uint32_t i = 0; entitlement && i < entitlement->rules_count; i++) {
        const struct quota_rule *rule = &entitlement->rules[i];
        if (rule->kind == QUOTA_LIMIT && quota_rule_code(rule) == code) return rule;
    }
    return NULL;
}

const struct quota_rule *entitlement_rolling(const struct entitlement *entitlement, int64_t period_us)
{
    for (uint32_t i = 0; entitlement && i < entitlement->rules_count; i++) {
        const struct quota_rule *rule = &entitlement->rules[i];
        if (rule->kind == QUOTA_ROLLING && rule->rule.period_us == period_us) return rule;
    }
    return NULL;
}

/* In microseconds: a month is a twelfth of 365.2425 days. */
static int64_t mean_length_us(const struct period *period)
{
    const int64_t day_us = INT64_C(86400000000);
    switch (period->unit) {
    case PERIOD_DAY: return period->count * day_us;
    case PERIOD_WEEK: return period->count * 7 * day_us;
    case PERIOD_MONTH: return period->count * (day_us / 10000 * 3652425 / 12);
    case PERIOD_FOREVER: return 0;
    default: return period->count;
    }
}

const struct quota_rule *entitlement_billed(const struct entitlement *entitlement)
{
    const struct quota_rule *billed = NULL;
    for (uint32_t i = 0; entitlement && i < entitlement->rules_count; i++) {
        const struct quota_rule *rule = &entitlement->rules[i];
        if (rule->kind != QUOTA_LIMIT) continue;
        if (!billed || mean_length_us(&rule->period) > mean_length_us(&billed->period)) billed = rule;
    }
    return billed;
}

uint32_t entitlement_rates(const struct entitlement *entitlement, struct rule rates[ENTITLEMENT_RULES_MAX],
                           uint8_t places[ENTITLEMENT_RULES_MAX])
{
    uint32_t count = 0, lane = entitlement->rules_count;
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        if (!quota_rule_is_rate(&entitlement->rules[i])) continue;
        if (entitlement->rules[i].kind == QUOTA_THROTTLE) {
            lane = i;
            continue;
        }
        places[count] = (uint8_t)i;
        rates[count++] = entitlement->rules[i].rule;
    }
    if (lane == entitlement->rules_count) return count;
    places[count] = (uint8_t)lane;
    rates[count] = entitlement->rules[lane].rule;
    rates[count++].flags |= RULE_LANE;
    return count;
}

/* ---- overrides ------------------------------------------------------------------------------------------- */

/* Does a rule of an override replace this rule of the plan? A LIMIT of a day replaces every LIMIT of a day. */
static bool rule_replaces(const struct quota_rule *rule, const struct quota_rule *plan)
{
    if (rule->kind != plan->kind) return false;
    switch (rule->kind) {
    case QUOTA_LIMIT: return rule->period.unit == plan->period.unit && rule->period.count == plan->period.count;
    case QUOTA_ROLLING: return rule->rule.period_us == plan->rule.period_us;
    default: return true;
    }
}

static const struct quota_rule *replacement(const struct entitlement *override, const struct quota_rule *plan)
{
    for (uint32_t i = 0; i < override->rules_count; i++) {
        if (rule_replaces(&override->rules[i], plan)) return &override->rules[i];
    }
    return NULL;
}

static bool is_among(const struct quota_rule *rule, const struct quota_rule *const *rules, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (rules[i] == rule) return true;
    }
    return false;
}

/* The rules of both in order: replaced ones in the plan's places, all others of the override behind. */
static void merge_rules(const struct entitlement *plan, const struct entitlement *override, struct entitlement *merged)
{
    const struct quota_rule *rules[2 * ENTITLEMENT_RULES_MAX];
    uint32_t count = 0, kept = 0;
    for (uint32_t i = 0; i < plan->rules_count; i++) {
        const struct quota_rule *rule = replacement(override, &plan->rules[i]);
        if (!rule) rule = &plan->rules[i], kept++;
        if (!is_among(rule, rules, count)) rules[count++] = rule;
    }
    for (uint32_t i = 0; i < override->rules_count; i++) {
        if (!is_among(&override->rules[i], rules, count)) rules[count++] = &override->rules[i];
    }
    uint32_t room = ENTITLEMENT_RULES_MAX - override->rules_count;
    merged->rules_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool of_plan = rules[i] >= plan->rules && rules[i] < plan->rules + plan->rules_count;
        if (of_plan && room-- == 0) break; /* too many: what the plan has last gives way */
        merged->rules[merged->rules_count++] = *rules[i];
    }
}

void entitlement_merge(const struct entitlement *plan, const struct entitlement *override, uint16_t options,
                       struct entitlement *merged)
{
    const struct entitlement none = entitlement_none(override->resource);
    if (!plan) plan = &none;
    *merged = *plan;
    merge_rules(plan, override, merged);
    if (options & OPTION_COST) merged->cost = override->cost;
    if (options & OPTION_WARN) {
        merged->warnings_count = override->warnings_count;
        memcpy(merged->warnings_bp, override->warnings_bp, sizeof(merged->warnings_bp));
    }
    if (options & OPTION_BURST) merged->burst_bp = override->burst_bp, merged->repay = override->repay;
    if (options & OPTION_GRACE) merged->grace_us = override->grace_us;
    if (options & OPTION_OVERAGE) merged->overage = override->overage, merged->overage_max = override->overage_max;
    if (options & OPTION_REFUNDS) {
        merged->refunds_max = override->refunds_max;
        merged->refunds_within_us = override->refunds_within_us;
    }
    if (options & OPTION_HOLDS) merged->holds_max = override->holds_max;
    if (options & OPTION_TRANSFERS) merged->transfers_max = override->transfers_max;
    if (options & OPTION_AS) merged->as = override->as;
    if (options & OPTION_SHARE) merged->share = override->share;
    if (options & OPTION_PRICE) merged->price = override->price;
    if (options & OPTION_CREDITS) {
        merged->credits = override->credits;
        merged->credits_first = override->credits_first;
        merged->credits_low = override->credits_low;
    }
}

bool entitlement_equal(const struct entitlement *left, const struct entitlement *right)
{
    struct sink sinks[2] = {{0}, {0}};
    struct entitlement both[2] = {*left, *right};
    for (int i = 0; i < 2; i++) {
        both[i].resource = BYTES("-");
        entitlement_encode(&both[i], &sinks[i]);
    }
    bool equal = sinks[0].size == sinks[1].size && memcmp(sinks[0].data, sinks[1].data, sinks[0].size) == 0;
    for (int i = 0; i < 2; i++) sink_free(&sinks[i]);
    return equal;
}

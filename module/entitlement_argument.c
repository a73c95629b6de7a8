/* Parsed options into an entitlement; see entitlement_argument.h. */
#include "entitlement_argument.h"
#include "quota/time/duration.h"
#include "reply.h"

struct limit_words {
    int64_t limit, rolling_us;
    struct bytes period, from;
    int64_t calendar, eom, prorate;
    int64_t rollover_bp, rollover_cycles;
    struct bytes rollover_max;
};

static const struct argument rollover_arguments[] = {
    FIELD(ARGUMENT_PERCENT, "percent", NULL, struct limit_words, rollover_bp, 1, BP_WHOLE, 0,
          "Percent of the unused units, 0.01 to 100."),
    FIELD(ARGUMENT_TEXT, "max", "MAX", struct limit_words, rollover_max, 0, 0, ARGUMENT_OPTIONAL,
          "Units that a cycle begins with at most beside its limit, 0 or more; the oldest go first."),
    FIELD(ARGUMENT_INTEGER, "cycles", "FOR", struct limit_words, rollover_cycles, 1, ROLLOVER_CYCLES_MAX,
          ARGUMENT_OPTIONAL, "How many cycles they can be used in, 1 to 36 (default 1)."),
    {0},
};

#define SWITCH_ROW(token_, field_, summary_)                                                                           \
    {                                                                                                                  \
        .kind = ARGUMENT_FLAG, .name = (token_), .token = (token_), .offset = offsetof(struct limit_words, field_),    \
        .lowest = 1, .flags = ARGUMENT_OPTIONAL, .summary = (summary_)                                                 \
    }

const struct argument limit_arguments[] = {
    FIELD(ARGUMENT_INTEGER, "limit", NULL, struct limit_words, limit, UNLIMITED, INT64_MAX, 0,
          "Units; -1 is unlimited, 0 is none."),
    FIELD(ARGUMENT_TEXT, "period", NULL, struct limit_words, period, 0, 0, ARGUMENT_OPTIONAL | ARGUMENT_EITHER,
          "minute hour day week month quarter half-year year forever, counted (3month), or a duration (12h)."),
    FIELD(ARGUMENT_DURATION, "window", "ROLLING", struct limit_words, rolling_us, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "Instead of a period: any window of this length."),
    SWITCH_ROW("CALENDAR", calendar, "Cycles begin with the calendar instead of the account's anchor."),
    FIELD(ARGUMENT_TEXT, "from", "FROM", struct limit_words, from, 0, 0, ARGUMENT_OPTIONAL,
          "Where the calendar begins: a day (15), a month and day (04-06) or a weekday (sun)."),
    SWITCH_ROW("EOM", eom, "Cycles begin on the last day of their month."),
    SWITCH_ROW("PRORATE", prorate, "The cycle in which the account began is cut to what was left of it."),
    {.kind = ARGUMENT_GROUP,
     .name = "rollover",
     .token = "ROLLOVER",
     .flags = ARGUMENT_OPTIONAL,
     .rows = rollover_arguments,
     .summary = "What a cycle leaves unused of the limit is added to those that follow."},
    {0},
};

struct rate_words {
    struct rules_argument rules;
};
_Static_assert(sizeof(struct rate_words) <= ARGUMENT_ELEMENT_MAX, "an element of ARGUMENT_EACH");

const struct argument rate_arguments[] = {RULES(struct rate_words, rules), {0}};

struct credits_words {
    int64_t first;
    struct bytes low;
};

const struct argument credits_arguments[] = {
    {.kind = ARGUMENT_FLAG,
     .name = "first",
     .token = "FIRST",
     .offset = offsetof(struct credits_words, first),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Credits pay before the limits do."},
    FIELD(ARGUMENT_TEXT, "low", "LOW", struct credits_words, low, 0, 0, ARGUMENT_OPTIONAL,
          "They are low once no more than so many units are left, 0 or more."),
    {0},
};

struct concurrent_words {
    int64_t limit;
};

const struct argument concurrent_arguments[] = {
    FIELD(ARGUMENT_INTEGER, "units", NULL, struct concurrent_words, limit, UNLIMITED, INT64_MAX, 0,
          "Units; -1 is unlimited, 0 is none."),
    {0},
};

struct overage_words {
    struct bytes max;
};

const struct argument overage_arguments[] = {
    FIELD(ARGUMENT_TEXT, "max", "MAX", struct overage_words, max, 0, 0, ARGUMENT_OPTIONAL,
          "At most so many units of a cycle beyond what BURST and GRACE admit; 0 = none."),
    {0},
};

struct price_words {
    struct bytes currency;
    int64_t volume, per;
};

const struct argument price_arguments[] = {
    FIELD(ARGUMENT_TEXT, "currency", NULL, struct price_words, currency, 0, 0, 0,
          "Like usd: 1 to 16 letters and digits."),
    {.kind = ARGUMENT_FLAG,
     .name = "volume",
     .token = "VOLUME",
     .offset = offsetof(struct price_words, volume),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "All units at the price of the TIER that they reach, instead of each at its own."},
    FIELD(ARGUMENT_INTEGER, "units", "PER", struct price_words, per, 1, INT64_MAX, ARGUMENT_OPTIONAL,
          "Prices are for so many units (default 1)."),
    {0},
};

struct tier_words {
    struct bytes upto, price, flat;
};

const struct argument tier_arguments[] = {
    FIELD(ARGUMENT_TEXT, "upto", NULL, struct tier_words, upto, 0, 0, 0, "Its last unit, or * for all that follow."),
    FIELD(ARGUMENT_TEXT, "price", NULL, struct tier_words, price, 0, 0, 0, "A decimal of up to 6 places, like 0.008."),
    FIELD(ARGUMENT_TEXT, "fee", "FLAT", struct tier_words, flat, 0, 0, ARGUMENT_OPTIONAL,
          "Added once where the TIER has units."),
    {0},
};

static bool reply_bad(RedisModuleCtx *ctx, const char *what, struct bytes word, const char *why)
{
    reply_error(ctx, "ERR %s '%s': %s", what, printable(word).text, why);
    return false;
}

/* Room for one rule more, or NULL and an error. */
static struct quota_rule *next_rule(RedisModuleCtx *ctx, struct entitlement_argument *argument)
{
    if (argument->entitlement.rules_count < ENTITLEMENT_RULES_MAX)
        return &argument->entitlement.rules[argument->entitlement.rules_count++];
    reply_error(ctx, "LIMITED a resource has at most %d LIMITs and RATEs", ENTITLEMENT_RULES_MAX);
    return NULL;
}

static bool add_rolling(RedisModuleCtx *ctx, const struct limit_words *words, struct quota_rule *rule)
{
    if (words->period.size > 0 || words->calendar || words->from.data || words->eom || words->prorate) {
        return reply_bad(ctx, "LIMIT", BYTES("ROLLING"), "a rolling window has no period and no calendar");
    }
    if (words->rollover_bp > 0) return reply_bad(ctx, "LIMIT", BYTES("ROLLING"), "it has no cycles for ROLLOVER");
    rule->kind = QUOTA_ROLLING;
    rule->rule = (struct rule){.algorithm = RULE_LOG,
                               .limit = words->limit,
                               .period_us = words->rolling_us,
                               .capacity = words->limit,
                               .initial = words->limit};
    const char *fault = rule_fault(&rule->rule);
    if (fault) return reply_bad(ctx, "LIMIT", BYTES("ROLLING"), fault);
    rule_complete(&rule->rule);
    return true;
}

/* Units behind an option that may be missing. */
static bool read_units(RedisModuleCtx *ctx, const char *option, struct bytes word, int64_t *units)
{
    bool is_number = !word.data || (bytes_integer(word, units) && *units >= 0);
    return is_number || reply_bad(ctx, option, word, "an integer of 0 or more");
}

static bool add_rollover(RedisModuleCtx *ctx, const struct limit_words *words, struct quota_rule *rule)
{
    rule->rollover_bp = words->rollover_bp;
    rule->rollover_cycles = words->rollover_cycles > 0 ? words->rollover_cycles : 1;
    rule->rollover_max = -1;
    if (rule->period.unit == PERIOD_FOREVER)
        return reply_bad(ctx, "ROLLOVER", BYTES("forever"), "a LIMIT without cycles that end has nothing to hand on");
    return read_units(ctx, "MAX", words->rollover_max, &rule->rollover_max);
}

bool entitlement_add_limit(RedisModuleCtx *ctx, void *argument, const void *element)
{
    const struct limit_words *words = element;
    struct quota_rule *rule = next_rule(ctx, argument);
    if (!rule) return false;
    *rule = (struct quota_rule){.kind = QUOTA_LIMIT, .limit = words->limit, .prorate = words->prorate != 0};
    if (words->rolling_us > 0) return add_rolling(ctx, words, rule);
    if (words->period.size == 0) {
        reply_error(ctx, "ERR period is missing: LIMIT n period, or LIMIT n ROLLING duration");
        return false;
    }
    if (!period_parse(words->period, &rule->period)) {
        const char *hint = duration_hint(words->period);
        return reply_bad(ctx, "period", words->period, hint ? hint : limit_arguments[1].summary);
    }
    if (words->calendar && period_is_days_of_24_hours(words->period)) {
        return reply_bad(ctx, "CALENDAR", words->period, "a duration has no calendar; day, week and month have one");
    }
    rule->period.calendar = words->calendar != 0;
    if (words->from.data && !words->calendar) return reply_bad(ctx, "FROM", words->from, "needs CALENDAR");
    if (words->from.data && !period_parse_from(words->from, &rule->period)) {
        return reply_bad(ctx, "FROM", words->from, "does not fit the period (15, 04-06 or a weekday, with CALENDAR)");
    }
    rule->period.end_of_month = words->eom != 0;
    const char *fault = period_fault(&rule->period);
    if (fault) return reply_bad(ctx, "period", words->period, fault);
    return words->rollover_bp == 0 || add_rollover(ctx, words, rule);
}

bool entitlement_add_rate(RedisModuleCtx *ctx, void *argument, const void *element)
{
    const struct rate_words *words = element;
    for (uint32_t i = 0; i < words->rules.count; i++) {
        struct quota_rule *rule = next_rule(ctx, argument);
        if (!rule) return false;
        *rule = (struct quota_rule){.kind = QUOTA_RATE, .rule = words->rules.rules[i]};
        rule_complete(&rule->rule);
    }
    return true;
}

bool entitlement_add_throttle(RedisModuleCtx *ctx, void *argument, const void *element)
{
    const struct rate_words *words = element;
    struct quota_rule *rule = next_rule(ctx, argument);
    if (!rule) return false;
    if (words->rules.count > 1) {
        reply_error(ctx, "ERR THROTTLE is one rule: what is refused is admitted at one rate");
        return false;
    }
    *rule = (struct quota_rule){.kind = QUOTA_THROTTLE, .rule = words->rules.rules[0]};
    rule_complete(&rule->rule);
    return true;
}

bool entitlement_add_concurrent(RedisModuleCtx *ctx, void *argument, const void *element)
{
    const struct concurrent_words *words = element;
    struct quota_rule *rule = next_rule(ctx, argument);
    if (rule) *rule = (struct quota_rule){.kind = QUOTA_CONCURRENT, .limit = words->limit};
    return rule != NULL;
}

bool entitlement_add_credits(RedisModuleCtx *ctx, void *argument, const void *element)
{
    const struct credits_words *words = element;
    struct entitlement *entitlement = &((struct entitlement_argument *)argument)->entitlement;
    if (entitlement->credits) {
        reply_error(ctx, "ERR CREDITS was given already");
        return false;
    }
    entitlement->credits = true;
    entitlement->credits_first = words->first != 0;
    return read_units(ctx, "LOW", words->low, &entitlement->credits_low);
}

bool entitlement_add_overage(RedisModuleCtx *ctx, void *argument, const void *element)
{
    const struct overage_words *words = element;
    struct entitlement *entitlement = &((struct entitlement_argument *)argument)->entitlement;
    if (entitlement->overage) {
        reply_error(ctx, "ERR OVERAGE was given already");
        return false;
    }
    entitlement->overage = true;
    return read_units(ctx, "MAX", words->max, &entitlement->overage_max);
}

bool entitlement_add_price(RedisModuleCtx *ctx, void *argument, const void *element)
{
    const struct price_words *words = element;
    struct price *price = &((struct entitlement_argument *)argument)->price;
    if (price->currency.data) {
        reply_error(ctx, "ERR PRICE was given already");
        return false;
    }
    price->currency = words->currency;
    price->volume = words->volume != 0;
    price->per = words->per > 0 ? words->per : 1;
    return true;
}

static bool read_decimal(RedisModuleCtx *ctx, const char *what, struct bytes word, int64_t *millionths)
{
    return price_parse(word, millionths) || reply_bad(ctx, what, word, "a decimal of 0 to 1000000, up to 6 places");
}

bool entitlement_add_tier(RedisModuleCtx *ctx, void *argument, const void *element)
{
    const struct tier_words *words = element;
    struct price *price = &((struct entitlement_argument *)argument)->price;
    struct tier tier = {.upto = TIER_OPEN};
    bool is_open = bytes_equal(words->upto, BYTES("*"));
    if (price->tiers_count == PRICE_TIERS_MAX) {
        reply_error(ctx, "LIMITED a PRICE has at most %d TIERs", PRICE_TIERS_MAX);
        return false;
    }
    if (!is_open && (!bytes_integer(words->upto, &tier.upto) || tier.upto < 1 || tier.upto == TIER_OPEN))
        return reply_bad(ctx, "TIER", words->upto, "an integer of 1 or more, or * for the last");
    if (!read_decimal(ctx, "price", words->price, &tier.price)) return false;
    if (words->flat.data && !read_decimal(ctx, "FLAT", words->flat, &tier.flat)) return false;
    price->tiers[price->tiers_count++] = tier;
    return true;
}

#define NO_COST  0
#define NO_BURST (-1)
#define NO_SHARE (-1)

const struct argument share_choice[] = {
    FLAG_VALUE("FIRST", SHARE_FIRST, "Who comes first gets it: members are not bounded one by one (the default)."),
    FLAG_VALUE("EQUAL", SHARE_EQUAL, "Each member has its part by weight."),
    FLAG_VALUE("FAIR", SHARE_FAIR, "Each has what it used in the last cycle, if there is enough; the rest by weight."),
    {0},
};

void entitlement_argument_begin(struct entitlement_argument *argument)
{
    *argument = (struct entitlement_argument){.entitlement = entitlement_none(BYTES(""))};
    argument->entitlement.cost = NO_COST;
    argument->entitlement.burst_bp = NO_BURST;
    argument->share = NO_SHARE;
}

/* PRICE and its TIERs as the bytes of the entitlement; answers what is wrong with them. */
static const char *take_price(struct entitlement_argument *argument)
{
    const struct price *price = &argument->price;
    if (!price->currency.data) return price->tiers_count > 0 ? "has a TIER without PRICE" : NULL;
    const char *fault = price_fault(price);
    if (fault) return fault;
    struct sink sink = sink_init(argument->price_bytes, sizeof(argument->price_bytes));
    price_encode(price, &sink);
    argument->entitlement.price = sink_content(&sink);
    argument->options |= OPTION_PRICE;
    return NULL;
}

/* Which options were given; those that were not get what holds without them. */
static void take_options(struct entitlement_argument *argument)
{
    struct entitlement *entitlement = &argument->entitlement;
    argument->options = 0;
    if (entitlement->cost != NO_COST) argument->options |= OPTION_COST;
    if (argument->warnings.count > 0) argument->options |= OPTION_WARN;
    if (entitlement->burst_bp != NO_BURST) argument->options |= OPTION_BURST;
    if (entitlement->grace_us > 0) argument->options |= OPTION_GRACE;
    if (entitlement->overage) argument->options |= OPTION_OVERAGE;
    if (entitlement->refunds_max >= 0 || entitlement->refunds_within_us > 0) argument->options |= OPTION_REFUNDS;
    if (entitlement->holds_max >= 0) argument->options |= OPTION_HOLDS;
    if (entitlement->transfers_max >= 0) argument->options |= OPTION_TRANSFERS;
    if (entitlement->credits) argument->options |= OPTION_CREDITS;
    if (entitlement->as.size > 0) argument->options |= OPTION_AS;
    if (argument->share != NO_SHARE) argument->options |= OPTION_SHARE;
    if (argument->share != NO_SHARE) entitlement->share = (enum share_how)argument->share;
    if (entitlement->cost == NO_COST) entitlement->cost = 1;
    if (entitlement->burst_bp == NO_BURST) entitlement->burst_bp = 0;
    entitlement->repay = argument->repay != 0;
}

bool entitlement_finish_or_reply(RedisModuleCtx *ctx, struct entitlement_argument *argument, struct bytes resource,
                                 bool overrides)
{
    struct entitlement *entitlement = &argument->entitlement;
    entitlement->resource = resource;
    take_options(argument);
    entitlement->warnings_count = (uint32_t)argument->warnings.count;
    memcpy(entitlement->warnings_bp, argument->warnings.bp, sizeof(entitlement->warnings_bp));
    entitlement_sort_warnings(entitlement);
    const char *fault = take_price(argument);
    bool empty_override = overrides && entitlement->rules_count == 0 && argument->options == 0;
    if (!fault) fault = overrides ? override_fault(entitlement) : entitlement_fault(entitlement);
    if (!fault && entitlement->repay && entitlement->burst_bp == 0) fault = "REPAY needs a BURST of the quota";
    if (!fault && empty_override) fault = "has no rule (QUOTA.OVERRIDE account resource LIFT removes an override)";
    if (fault) reply_error(ctx, "ERR resource '%s' %s", printable(resource).text, fault);
    return !fault;
}

bool entitlement_period_or_reply(RedisModuleCtx *ctx, struct bytes word, uint64_t *code)
{
    struct period period = {0};
    const char *hint = duration_hint(word);
    if (!period_parse(word, &period)) return reply_bad(ctx, "period", word, hint ? hint : limit_arguments[1].summary);
    *code = period_code(&period);
    return true;
}

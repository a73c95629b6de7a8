/* The value type of rate-limit keys, data type `rl-bucket`: quota/limiter.h in the words of value_type.h. */
#include "quota/rate/limiter_codec.h"
#include "value_type.h"

/* Freeing touches its own value and the guarded table of rule sets only: any thread may do it. */
VALUE_TYPE_FUNCTIONS(limiter)

static bool has_effects(const void *decision)
{
    return ((const struct decision *)decision)->effects_count > 0;
}

static void encode_effects(const void *decision, bool no_expire, struct sink *sink)
{
    effects_encode(decision, no_expire, sink);
}

static bool replay(void **value, struct bytes effects, bool *no_expire)
{
    struct rule rules[RULES_MAX];
    struct decision decision;
    if (!effects_decode(effects, rules, &decision, no_expire) || !limiter_accepts(*value, &decision)) return false;
    *value = limiter_apply(*value, &decision);
    return true;
}

static int64_t ttl_granularity_us(const void *value)
{
    return ((const struct limiter *)value)->set->ttl_granularity_us;
}

struct value_type limiter_type = {.type_name = "rl-bucket",
                                  .event = "rl.allow",
                                  .format = &limiter_format,
                                  .ttl_granularity_us = ttl_granularity_us,
                                  VALUE_TYPE_ROW};

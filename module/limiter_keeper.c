/* The keeper of rate-limit keys, data type `rl-bucket`: quota/limiter.h in the words of keeper.h. */
#include "keeper.h"
#include "quota/limiter_codec.h"

static void *apply(void *value, const void *decision)
{
    return limiter_apply(value, decision);
}

static bool has_effects(const void *decision)
{
    return ((const struct decision *)decision)->effects_count > 0;
}

static void encode_effects(const void *decision, bool lasting, struct sink *sink)
{
    effects_encode(decision, lasting, sink);
}

static bool replay(void **value, struct span effects, bool *lasting)
{
    struct rule rules[RULES_MAX];
    struct decision decision;
    if (!effects_decode(effects, rules, &decision, lasting) || !limiter_accepts(*value, &decision)) return false;
    *value = limiter_apply(*value, &decision);
    return true;
}

static void encode(const void *value, struct sink *sink)
{
    limiter_encode(value, sink);
}

static void *decode(struct span bytes)
{
    return limiter_decode(bytes);
}

static int64_t deadline_us(const void *value)
{
    return limiter_deadline_us(value);
}

/* Touches its own value and the guarded table of rule sets only: any thread may call it. */
static void free_value(void *value)
{
    limiter_free(value);
}

static size_t bytes(const void *value)
{
    return limiter_bytes(value);
}

struct keeper limiter_keeper = {
    .type_name = "rl-bucket",
    .kind = 0,
    .apply = apply,
    .has_effects = has_effects,
    .effects_encode = encode_effects,
    .replay = replay,
    .encode = encode,
    .decode = decode,
    .deadline_us = deadline_us,
    .free = free_value,
    .bytes = bytes,
};

/* The value type of circuit breakers, data type `rl-breakr`: quota/breaker.h in the words of value_type.h. */
#include "quota/rate/breaker_codec.h"
#include "value_type.h"

/* Freeing touches its own value only: any thread may do it. */
VALUE_TYPE_FUNCTIONS(breaker)

static bool has_effects(const void *decision)
{
    return ((const struct breaker_decision *)decision)->parts != 0;
}

static void encode_effects(const void *decision, bool no_expire, struct sink *sink)
{
    breaker_effects_encode(decision, no_expire, sink);
}

static bool replay(void **value, struct bytes effects, bool *no_expire)
{
    struct breaker_decision decision;
    if (!breaker_effects_decode(effects, &decision, no_expire) || !breaker_accepts(*value, &decision)) return false;
    *value = breaker_apply(*value, &decision);
    return true;
}

struct value_type breaker_type = {
    .type_name = "rl-breakr", .event = "rl.breaker", .format = &breaker_format, VALUE_TYPE_ROW};

/* The value type of adaptive limits, data type `rl-adaptv`: quota/adaptive.h in the words of value_type.h. */
#include "quota/rate/adaptive_codec.h"
#include "value_type.h"

/* Freeing touches its own value only: any thread may do it. */
VALUE_TYPE_FUNCTIONS(adaptive)

static bool has_effects(const void *decision)
{
    return ((const struct adaptive_decision *)decision)->parts != 0;
}

static void encode_effects(const void *decision, bool no_expire, struct sink *sink)
{
    adaptive_effects_encode(decision, no_expire, sink);
}

static bool replay(void **value, struct bytes effects, bool *no_expire)
{
    struct adaptive_decision decision;
    if (!adaptive_effects_decode(effects, &decision, no_expire) || !adaptive_accepts(*value, &decision)) return false;
    *value = adaptive_apply(*value, &decision);
    return true;
}

struct value_type adaptive_type = {
    .type_name = "rl-adaptv", .event = "rl.adapt", .format = &adaptive_format, VALUE_TYPE_ROW};

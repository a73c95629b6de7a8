/* The keeper of adaptive limits, data type `rl-adaptv`: quota/adaptive.h in the words of keeper.h. */
#include "keeper.h"
#include "quota/adaptive_codec.h"

/* Freeing touches its own value only: any thread may do it. */
KEEPER_FUNCTIONS(adaptive)

static bool has_effects(const void *decision)
{
    return ((const struct adaptive_decision *)decision)->parts != 0;
}

static void encode_effects(const void *decision, bool lasting, struct sink *sink)
{
    adaptive_effects_encode(decision, lasting, sink);
}

static bool replay(void **value, struct span effects, bool *lasting)
{
    struct adaptive_decision decision;
    if (!adaptive_effects_decode(effects, &decision, lasting) || !adaptive_accepts(*value, &decision)) return false;
    *value = adaptive_apply(*value, &decision);
    return true;
}

struct keeper adaptive_keeper = {
    .type_name = "rl-adaptv", .kind = ADAPTIVE_KIND, .encoding = ADAPTIVE_ENCODING_NEWEST, KEEPER_ROW};

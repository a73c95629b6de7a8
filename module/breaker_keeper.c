/* The keeper of circuit breakers, data type `rl-breakr`: quota/breaker.h in the words of keeper.h. */
#include "keeper.h"
#include "quota/breaker_codec.h"

/* Freeing touches its own value only: any thread may do it. */
KEEPER_FUNCTIONS(breaker)

static bool has_effects(const void *decision)
{
    return ((const struct breaker_decision *)decision)->parts != 0;
}

static void encode_effects(const void *decision, bool lasting, struct sink *sink)
{
    breaker_effects_encode(decision, lasting, sink);
}

static bool replay(void **value, struct span effects, bool *lasting)
{
    struct breaker_decision decision;
    if (!breaker_effects_decode(effects, &decision, lasting) || !breaker_accepts(*value, &decision)) return false;
    *value = breaker_apply(*value, &decision);
    return true;
}

struct keeper breaker_keeper = {
    .type_name = "rl-breakr", .kind = BREAKER_KIND, .encoding = BREAKER_ENCODING_NEWEST, KEEPER_ROW};

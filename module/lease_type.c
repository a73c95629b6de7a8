/* The value type of lease keys, data type `rl-leases`: quota/lease.h in the words of value_type.h. */
#include "quota/rate/lease_codec.h"
#include "value_type.h"

/* Freeing touches its own value only: any thread may do it. */
VALUE_TYPE_FUNCTIONS(leases)

static bool has_effects(const void *decision)
{
    return ((const struct lease_decision *)decision)->change != LEASE_KEPT;
}

static bool adds_record(const void *decision)
{
    return ((const struct lease_decision *)decision)->change == LEASE_OPEN;
}

static void encode_effects(const void *decision, bool no_expire, struct sink *sink)
{
    lease_effects_encode(decision, no_expire, sink);
}

static bool replay(void **value, struct bytes effects, bool *no_expire)
{
    struct lease_decision decision;
    if (!lease_effects_decode(effects, &decision, no_expire) || !leases_accepts(*value, &decision)) return false;
    *value = leases_apply(*value, &decision);
    return true;
}

struct value_type lease_type = {.type_name = "rl-leases",
                                .event = "rl.acquire",
                                .format = &lease_format,
                                .adds_record = adds_record,
                                VALUE_TYPE_ROW};

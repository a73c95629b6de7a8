/* The keeper of lease keys, data type `rl-leases`: quota/lease.h in the words of keeper.h. */
#include "keeper.h"
#include "quota/lease_codec.h"

/* Freeing touches its own value only: any thread may do it. */
KEEPER_FUNCTIONS(leases)

static bool has_effects(const void *decision)
{
    return ((const struct lease_decision *)decision)->change != LEASE_KEPT;
}

static void encode_effects(const void *decision, bool lasting, struct sink *sink)
{
    lease_effects_encode(decision, lasting, sink);
}

static bool replay(void **value, struct span effects, bool *lasting)
{
    struct lease_decision decision;
    if (!lease_effects_decode(effects, &decision, lasting) || !leases_accepts(*value, &decision)) return false;
    *value = leases_apply(*value, &decision);
    return true;
}

struct keeper lease_keeper = {
    .type_name = "rl-leases", .kind = LEASE_KIND, .encoding = LEASE_ENCODING_NEWEST, KEEPER_ROW};

/* The keeper of lease keys, data type `rl-leases`: quota/lease.h in the words of keeper.h. */
#include "keeper.h"
#include "quota/lease_codec.h"

static void *apply(void *value, const void *decision)
{
    return leases_apply(value, decision);
}

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

static void encode(const void *value, struct sink *sink)
{
    leases_encode(value, sink);
}

static void *decode(struct span bytes)
{
    return leases_decode(bytes);
}

static int64_t deadline_us(const void *value)
{
    return leases_deadline_us(value);
}

/* Touches its own value only: any thread may call it. */
static void free_value(void *value)
{
    leases_free(value);
}

static size_t bytes(const void *value)
{
    return leases_bytes(value);
}

struct keeper lease_keeper = {
    .type_name = "rl-leases",
    .kind = LEASE_KIND,
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

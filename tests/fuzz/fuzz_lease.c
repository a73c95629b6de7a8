/* Fuzzes leases: bytes as a value, bytes as effects, and commands against whatever was let in.
 *
 *     input ─▶ first byte even: a value      decode → refused, or encodes to the very same bytes, then is used
 *              first byte odd:  effects      decode → refused, or applied where they are accepted, then used
 *
 * What must hold: no crash, no overflow (UBSan), no leak; what is decided is accepted by the value it was decided on,
 * over the wire; no more is held than the limit; tokens grow; the walk shows each lease that the count counts. */
#include "input.h"
#include "quota/rate/lease_codec.h"

static struct leases *apply_both_ways(struct leases *leases, const struct lease_decision *decision)
{
    struct sink wire = {0};
    struct lease_decision received;
    bool no_expire;
    if (decision->change == LEASE_KEPT) return leases;
    int64_t token = leases ? leases_last_token(leases) : 0;
    lease_effects_encode(decision, false, &wire);
    require(lease_effects_decode((struct bytes){wire.data, wire.size}, &received, &no_expire) && !no_expire);
    require(leases_accepts(leases, &received));
    leases = leases_apply(leases, &received);
    require(leases_last_token(leases) >= token &&
            (decision->change != LEASE_OPEN || leases_last_token(leases) > token));
    require(leases_deadline_us(leases) > decision->settled_us);
    sink_free(&wire);
    return leases;
}

static void check_counts(const struct leases *leases, int64_t now_us)
{
    uint32_t live = 0;
    if (!leases) return;
    for (const struct lease *lease = NULL; (lease = leases_next(leases, lease));) {
        live += lease->expires_us > leases_settled_us(leases, now_us);
        require(lease->token <= leases_last_token(leases));
    }
    require(live == leases_live_count(leases, now_us));
}

/* An id that is stored, one that the input spells, or none. */
static struct bytes some_id(const struct leases *leases, struct numbers *numbers)
{
    const struct lease *lease = NULL;
    int64_t which = number_upto(numbers, 6);
    if (which == 0) return (struct bytes){0};
    if (which == 1 || !leases)
        return (struct bytes){(const char *)numbers->data, numbers->size < 4 ? numbers->size : 4};
    while (which-- > 1) lease = leases_next(leases, lease);
    return lease ? lease->id : BYTES("other");
}

static struct leases *use(struct leases *leases, struct numbers *numbers)
{
    struct lease_decision decision;
    char id_copy[LEASE_ID_BYTES_MAX];
    struct bytes id = some_id(leases, numbers);
    int64_t now_us = 1 + number_upto(numbers, INSTANT_MAX_US - 1),
            ttl_us = 1 + number_upto(numbers, DURATION_MAX_US - 1);
    if (id.size > 0) id.data = memcpy(id_copy, id.data, id.size);
    switch (number_upto(numbers, 3)) {
    case 0:
        if (id.size > 0) leases_decide_release(leases, id, ttl_us & 1, now_us, &decision);
        if (id.size == 0) return leases;
        break;
    case 1:
        leases_decide_renew(leases, id.size > 0 ? id : BYTES("x"), LEASE_ANY_TOKEN, ttl_us, now_us, &decision);
        break;
    default: {
        struct lease_request request = {.id = id,
                                        .limit = number_upto(numbers, INT64_MAX - 1) - 1,
                                        .cost = 1 + number_upto(numbers, INT64_MAX - 1),
                                        .ttl_us = ttl_us,
                                        .now_us = now_us,
                                        .ahead = number_upto(numbers, INT64_MAX - 1) &
                                                 -(int64_t)(number_upto(numbers, 3) == 0)};
        leases_decide_acquire(leases, &request, &decision);
        const struct verdict *verdict = &decision.verdict;
        require(verdict->wait_us >= NEVER_US && verdict->reset_us >= 0 && verdict->remaining >= UNLIMITED);
        require(verdict->granted == 0 || (verdict->granted == request.cost && decision.lease.token > 0));
        require(decision.change != LEASE_OPEN || request.limit == UNLIMITED || request.cost <= request.limit);
        require(decision.change != LEASE_OPEN || request.ahead == 0);
    }
    }
    leases = apply_both_ways(leases, &decision);
    check_counts(leases, now_us);
    return leases;
}

static struct leases *from_value(struct bytes bytes)
{
    struct leases *leases = leases_decode(bytes);
    struct sink again = {0};
    if (!leases) return NULL;
    leases_encode(leases, &again);
    require(bytes_equal(bytes, (struct bytes){again.data, again.size}));
    sink_free(&again);
    return leases;
}

static struct leases *from_effects(struct bytes bytes)
{
    struct lease_decision decision;
    bool no_expire;
    if (!lease_effects_decode(bytes, &decision, &no_expire) || !leases_accepts(NULL, &decision)) return NULL;
    return leases_apply(NULL, &decision);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct bytes bytes = {(const char *)data + 1, size - 1};
    struct numbers numbers = {data, size, 1};
    struct leases *leases = data[0] & 1 ? from_effects(bytes) : from_value(bytes);
    for (int i = 0; i < 12; i++) leases = use(leases, &numbers);
    leases_free(leases);
    return 0;
}

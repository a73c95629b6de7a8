/* Reads and writes lease keys and their changes; the byte forms are drawn in lease_codec.h. */
#include "quota/rate/lease_codec.h"
#include "quota/base/checked.h"

#define HEAD           (LEASE_KIND << 4 | LEASE_ENCODING_NEWEST)
#define NO_EXPIRE_FLAG 0x80u

void leases_encode(const struct leases *leases, struct sink *sink)
{
    int64_t seen_us = leases_seen_us(leases), token = 0;
    uint32_t count = leases_live_count(leases, seen_us);
    sink_byte(sink, HEAD);
    sink_number(sink, seen_us);
    sink_number(sink, leases_last_token(leases));
    sink_number(sink, count);
    for (const struct lease *lease = NULL; (lease = leases_next(leases, lease));) {
        if (lease->expires_us <= seen_us) continue; /* it only awaits its sweep */
        sink_number(sink, lease->token - token);
        sink_number(sink, lease->cost);
        sink_number(sink, seen_us - lease->acquired_us);
        sink_number(sink, lease->expires_us - seen_us);
        sink_bytes(sink, lease->id);
        token = lease->token;
    }
}

/* A value is read as the changes that would make it, all of them at its mark. */
struct leases *leases_decode(struct bytes bytes)
{
    struct cursor cursor = cursor_init(bytes);
    struct leases *leases = NULL;
    if (cursor_byte(&cursor) != HEAD) return NULL;
    int64_t seen_us = cursor_number_between(&cursor, 1, INSTANT_MAX_US);
    int64_t last_token = cursor_number_between(&cursor, 1, LEASE_TOKEN_MAX), token = 0;
    int64_t count = cursor_number_between(&cursor, 0, LEASES_MAX);

    struct lease_decision made = {.settled_us = seen_us}; /* a change of nothing: an empty value with that mark */
    if (!cursor.bad) leases = leases_apply(NULL, &made);
    made.change = LEASE_OPEN;
    for (int64_t i = 0; i < count && !cursor.bad; i++) {
        token += cursor_number_between(&cursor, 1, last_token - token);
        made.lease.token = token;
        made.lease.cost = cursor_number(&cursor);
        made.lease.acquired_us = seen_us - cursor_number(&cursor);
        made.lease.expires_us = seen_us + cursor_number_between(&cursor, 1, INSTANT_MAX_US);
        made.lease.id = cursor_bytes(&cursor);
        if (cursor.bad || !leases_accepts(leases, &made)) {
            cursor.bad = true;
        } else {
            leases = leases_apply(leases, &made);
        }
    }
    if (!cursor_done(&cursor)) {
        leases_free(leases);
        return NULL;
    }
    leases_adopt_token(leases, last_token);
    return leases;
}

void lease_effects_encode(const struct lease_decision *decision, bool no_expire, struct sink *sink)
{
    const struct lease *lease = &decision->lease;
    sink_byte(sink, (uint8_t)(HEAD | (no_expire ? NO_EXPIRE_FLAG : 0)));
    sink_byte(sink, (uint8_t)decision->change);
    sink_number(sink, decision->settled_us);
    if (decision->change == LEASE_OPEN) {
        sink_signed(sink, lease->token - decision->settled_us);
        sink_number(sink, lease->cost);
    }
    if (decision->change != LEASE_CLOSE) sink_number(sink, lease->expires_us - decision->settled_us);
    sink_bytes(sink, lease->id);
}

bool lease_effects_decode(struct bytes bytes, struct lease_decision *decision, bool *no_expire)
{
    struct cursor cursor = cursor_init(bytes);
    struct lease *lease = &decision->lease;
    uint8_t head = cursor_byte(&cursor), change = cursor_byte(&cursor);

    *decision = (struct lease_decision){.change = (enum lease_change)change};
    *no_expire = head & NO_EXPIRE_FLAG;
    if ((head & ~NO_EXPIRE_FLAG) != HEAD || change < LEASE_OPEN || change > LEASE_CLOSE) return false;
    decision->settled_us = cursor_number_between(&cursor, 1, INSTANT_MAX_US);
    if (change == LEASE_OPEN) {
        if (!add_checked(decision->settled_us, cursor_signed(&cursor), &lease->token)) return false;
        lease->cost = cursor_number(&cursor);
        lease->acquired_us = decision->settled_us;
    }
    if (change != LEASE_CLOSE) {
        lease->expires_us = decision->settled_us + cursor_number_between(&cursor, 1, INSTANT_MAX_US);
    }
    lease->id = cursor_bytes(&cursor);
    return cursor_done(&cursor);
}

/* Reads and writes lease keys and their changes; the byte forms are drawn in lease_codec.h. */
#include "quota/rate/lease_codec.h"
#include "quota/base/checked.h"

void leases_encode(const struct leases *leases, struct sink *sink)
{
    int64_t seen_us = leases_seen_us(leases), token = 0;
    uint32_t count = leases_live_count(leases, seen_us);
    format_write_head(&lease_format, false, sink);
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
static void *decode(struct cursor *cursor)
{
    struct leases *leases = NULL;
    int64_t seen_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    int64_t last_token = cursor_number_between(cursor, 1, LEASE_TOKEN_MAX), token = 0;
    int64_t count = cursor_number_between(cursor, 0, LEASES_MAX);

    struct lease_decision made = {.settled_us = seen_us}; /* a change of nothing: an empty value with that mark */
    if (!cursor->bad) leases = leases_apply(NULL, &made);
    made.change = LEASE_OPEN;
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        token += cursor_number_between(cursor, 1, last_token - token);
        made.lease.token = token;
        made.lease.cost = cursor_number(cursor);
        made.lease.acquired_us = seen_us - cursor_number(cursor);
        made.lease.expires_us = seen_us + cursor_number_between(cursor, 1, INSTANT_MAX_US);
        made.lease.id = cursor_bytes(cursor);
        if (cursor->bad || !leases_accepts(leases, &made)) {
            cursor->bad = true;
        } else {
            leases = leases_apply(leases, &made);
        }
    }
    if (!cursor_done(cursor)) {
        leases_free(leases);
        return NULL;
    }
    leases_adopt_token(leases, last_token);
    return leases;
}

const struct format lease_format = {
    .name = "leases",
    .kind = LEASE_KIND,
    .newest = LEASE_ENCODING_NEWEST,
    .decode = {[LEASE_ENCODING_LEASES] = decode},
};

struct leases *leases_decode(struct bytes bytes)
{
    return format_decode(&lease_format, bytes);
}

void lease_effects_encode(const struct lease_decision *decision, bool no_expire, struct sink *sink)
{
    const struct lease *lease = &decision->lease;
    format_write_head(&lease_format, no_expire, sink);
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
    if (format_read_head(&lease_format, &cursor, no_expire) == 0) return false;
    uint8_t change = cursor_byte(&cursor);
    *decision = (struct lease_decision){.change = (enum lease_change)change};
    if (change < LEASE_OPEN || change > LEASE_CLOSE) return false;
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

/* Names, levels and bytes of events; see event.h. */
#include "quota/account/event.h"
#include "quota/time/duration.h"

/* ADMIN: an operator's act; else it comes of use or of time. */
static const struct {
    const char *name;
    enum event_level level;
} types[EVENT_TYPES_END] = {
    [LOGGED_LIMIT_WARNED] = {"quota.limit.warned", EVENTS_ALL},
    [LOGGED_LIMIT_EXHAUSTED] = {"quota.limit.exhausted", EVENTS_ALL},
    [LOGGED_CREDITS_LOW] = {"quota.credits.low", EVENTS_ALL},
    [LOGGED_CYCLE_CLOSED] = {"quota.cycle.closed", EVENTS_ALL},
    [LOGGED_CYCLE_AMENDED] = {"quota.cycle.amended", EVENTS_ALL},
    [LOGGED_ACCOUNT_OPENED] = {"quota.account.opened", EVENTS_ADMIN},
    [LOGGED_ACCOUNT_SWITCHED] = {"quota.account.switched", EVENTS_ADMIN},
    [LOGGED_ACCOUNT_SUSPENDED] = {"quota.account.suspended", EVENTS_ADMIN},
    [LOGGED_ACCOUNT_RESUMED] = {"quota.account.resumed", EVENTS_ADMIN},
    [LOGGED_ACCOUNT_CLOSED] = {"quota.account.closed", EVENTS_ADMIN},
    [LOGGED_ACCOUNT_LAPSED] = {"quota.account.lapsed", EVENTS_ALL},
    [LOGGED_ACCOUNT_MOVED] = {"quota.account.moved", EVENTS_ADMIN},
    [LOGGED_OVERRIDE_SET] = {"quota.override.set", EVENTS_ADMIN},
    [LOGGED_OVERRIDE_ENDED] = {"quota.override.ended", EVENTS_ADMIN},
    [LOGGED_USAGE_REFUNDED] = {"quota.usage.refunded", EVENTS_ADMIN},
    [LOGGED_USAGE_SET] = {"quota.usage.set", EVENTS_ADMIN},
    [LOGGED_USAGE_RESET] = {"quota.usage.reset", EVENTS_ADMIN},
    [LOGGED_USAGE_CONSUMED] = {"quota.usage.consumed", EVENTS_USAGE},
    [LOGGED_HOLD_EXPIRED] = {"quota.hold.expired", EVENTS_ALL},
    [LOGGED_GRANT_GIVEN] = {"quota.grant.given", EVENTS_ADMIN},
    [LOGGED_GRANT_ABSORBED] = {"quota.grant.absorbed", EVENTS_ALL},
    [LOGGED_GRANT_EXHAUSTED] = {"quota.grant.exhausted", EVENTS_ALL},
    [LOGGED_GRANT_ENDED] = {"quota.grant.ended", EVENTS_ALL},
    [LOGGED_GRANT_VOIDED] = {"quota.grant.voided", EVENTS_ADMIN},
    [LOGGED_TRANSFER_MADE] = {"quota.transfer.made", EVENTS_ADMIN},
    [LOGGED_KEY_CREATED] = {"quota.key.created", EVENTS_ADMIN},
    [LOGGED_KEY_ROTATED] = {"quota.key.rotated", EVENTS_ADMIN},
    [LOGGED_KEY_REVOKED] = {"quota.key.revoked", EVENTS_ADMIN},
    [LOGGED_POOL_SHARED] = {"quota.pool.shared", EVENTS_ALL},
    [LOGGED_PLAN_CHANGED] = {"quota.plan.changed", EVENTS_ADMIN},
    [LOGGED_POLICY_CHANGED] = {"policy.changed", EVENTS_ADMIN},
};

const char *event_type_name(enum event_type type)
{
    return types[type].name;
}

bool event_is_made(enum event_type type, enum event_level level)
{
    return types[type].level <= level;
}

void event_encode(const struct logged_event *event, struct sink *sink)
{
    sink_byte(sink, (uint8_t)event->type);
    sink_signed(sink, millis_floor(event->time_us));
    sink_number(sink, event->fields);
    for (uint32_t field = 0; field < EVENT_FIELDS_COUNT; field++) {
        if (!(event->fields >> field & 1)) continue;
        if (field < EVENT_NUMBERS) sink_signed(sink, event->numbers[field]);
        if (field >= EVENT_NUMBERS) sink_bytes(sink, event->texts[field - EVENT_NUMBERS]);
    }
}

bool event_decode(struct bytes bytes, struct logged_event *event)
{
    struct cursor cursor = cursor_init(bytes);
    uint8_t type = cursor_byte(&cursor);
    int64_t time_ms = cursor_signed(&cursor);
    bool known = type > 0 && type < EVENT_TYPES_END && time_ms <= INSTANT_MAX_US / MICROS_PER_MILLI;
    if (!known || time_ms < -INSTANT_MAX_US / MICROS_PER_MILLI) return false;
    event->type = (enum event_type)type;
    event->time_us = time_ms * MICROS_PER_MILLI;
    event->fields = (uint32_t)cursor_number_between(&cursor, 0, (1 << EVENT_FIELDS_COUNT) - 1);
    for (uint32_t field = 0; field < EVENT_FIELDS_COUNT; field++) {
        if (!(event->fields >> field & 1)) continue;
        if (field < EVENT_NUMBERS) event->numbers[field] = cursor_signed(&cursor);
        if (field >= EVENT_NUMBERS) event->texts[field - EVENT_NUMBERS] = cursor_bytes(&cursor);
    }
    return cursor_done(&cursor);
}

void event_sink_add(struct event_sink *sink, const struct logged_event *event)
{
    char stack_buffer[256];
    if (!event_is_made(event->type, sink->level)) return;
    struct sink bytes = sink_init(stack_buffer, sizeof(stack_buffer));
    event_encode(event, &bytes);
    sink_bytes(&sink->events, sink_content(&bytes));
    sink->count++;
    sink_free(&bytes);
}

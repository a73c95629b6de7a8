/* Events: what happened to accounts and to the configuration, as the event log (QUOTA.EVENTS) remembers it.
 *
 *     a change is applied ─▶ event_maker.h: which events is that? ─▶ sink │ size, event │ …
 *
 * The account's key, its database and the id of an event are the log's to know (module/event_log.h). */
#pragma once

#include "quota/base/buffer.h"

/* The numbers are part of the stored encoding: append, never renumber. */
enum event_type {
    LOGGED_LIMIT_WARNED = 1,
    LOGGED_LIMIT_EXHAUSTED = 2,
    LOGGED_CREDITS_LOW = 3,
    LOGGED_CYCLE_CLOSED = 4,
    LOGGED_CYCLE_AMENDED = 5,
    LOGGED_ACCOUNT_OPENED = 6,
    LOGGED_ACCOUNT_SWITCHED = 7,
    LOGGED_ACCOUNT_SUSPENDED = 8,
    LOGGED_ACCOUNT_RESUMED = 9,
    LOGGED_ACCOUNT_CLOSED = 10,
    LOGGED_ACCOUNT_LAPSED = 11,
    LOGGED_ACCOUNT_MOVED = 12,
    LOGGED_OVERRIDE_SET = 13,
    LOGGED_OVERRIDE_ENDED = 14,
    LOGGED_USAGE_REFUNDED = 15,
    LOGGED_USAGE_SET = 16,
    LOGGED_USAGE_RESET = 17,
    LOGGED_USAGE_CONSUMED = 18,
    LOGGED_HOLD_EXPIRED = 19,
    LOGGED_GRANT_GIVEN = 20,
    LOGGED_GRANT_ABSORBED = 21,
    LOGGED_GRANT_EXHAUSTED = 22,
    LOGGED_GRANT_ENDED = 23,
    LOGGED_GRANT_VOIDED = 24,
    LOGGED_TRANSFER_MADE = 25,
    LOGGED_KEY_CREATED = 26,
    LOGGED_KEY_ROTATED = 27,
    LOGGED_KEY_REVOKED = 28,
    LOGGED_POOL_SHARED = 29,
    LOGGED_PLAN_CHANGED = 30,
    LOGGED_POLICY_CHANGED = 31,
    EVENT_TYPES_END,
};

/* Which events are made (quota.events). Travels with the effects that make them. */
enum event_level {
    EVENTS_NONE = 0,
    EVENTS_ADMIN = 1, /* what operators did */
    EVENTS_ALL = 2,   /* and what came of use and of time */
    EVENTS_USAGE = 3, /* and every consumption */
    EVENT_LEVELS_COUNT,
};

/* Fields that an event may have. The numbers are part of the stored encoding: append behind the texts, and never
 * renumber. */
enum event_field {
    EVENT_RULE = 0, /* as in the verdict */
    EVENT_PERIOD,   /* period_code */
    EVENT_START,    /* ms */
    EVENT_END,
    EVENT_LIMIT,
    EVENT_USED,
    EVENT_REMAINING,
    EVENT_AMOUNT,
    EVENT_PERCENT, /* hundredths of a percent */
    EVENT_NUMBERS, /* those above are numbers, those below texts */
    EVENT_PLAN = EVENT_NUMBERS,
    EVENT_RESOURCE,
    EVENT_ID,
    EVENT_ACTOR,
    EVENT_REASON,
    EVENT_BEFORE,
    EVENT_AFTER,
    EVENT_FIELDS_COUNT,
};

/* One event. Texts are borrowed; a field that is not in `fields` means nothing. */
struct logged_event {
    enum event_type type;
    int64_t time_us;
    uint32_t fields; /* a bit for each of enum event_field */
    int64_t numbers[EVENT_NUMBERS];
    struct bytes texts[EVENT_FIELDS_COUNT - EVENT_NUMBERS];
};

static inline void event_set_number(struct logged_event *event, enum event_field field, int64_t number)
{
    event->fields |= UINT32_C(1) << field;
    event->numbers[field] = number;
}

/* An empty text is left out. */
static inline void event_set_text(struct logged_event *event, enum event_field field, struct bytes text)
{
    if (text.size == 0) return;
    event->fields |= UINT32_C(1) << field;
    event->texts[field - EVENT_NUMBERS] = text;
}

/* Its name: `quota.limit.warned`. */
const char *event_type_name(enum event_type type);

/* Is it made at this level? */
bool event_is_made(enum event_type type, enum event_level level);

/* Writes it. Reading is false when the bytes are no event, all of them; texts are borrowed from them. */
void event_encode(const struct logged_event *event, struct sink *sink);
bool event_decode(struct bytes bytes, struct logged_event *event);

/* Where the events of one change of an account go. */
struct event_sink {
    enum event_level level;
    uint32_t count;
    struct sink events; /* sink_bytes of each */
};

/* Adds it, if it is made at the sink's level. */
void event_sink_add(struct event_sink *sink, const struct logged_event *event);

/* Where an event stands in the log. Sequences are dense and go on over epochs; an epoch begins with each primary. */
struct event_id {
    int64_t epoch, sequence; /* both 0 = none */
};

/* Negative, 0 or positive, as the first stands before, with or behind the second. */
static inline int event_id_compare(struct event_id left, struct event_id right)
{
    int64_t first = left.epoch != right.epoch ? left.epoch : left.sequence;
    int64_t second = left.epoch != right.epoch ? right.epoch : right.sequence;
    return (first > second) - (first < second);
}

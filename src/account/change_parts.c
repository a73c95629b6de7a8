/* Parts of changes and accounts as bytes; see change_parts.h. */
#include "quota/account/change_parts.h"
#include "quota/account/carry.h"
#include "quota/base/checked.h"

/* What most windows have none of: a number says which of them follow (before encoding 4 a byte, and none of the last
 * three). */
enum rare_part {
    RARE_DEBT,
    RARE_REFUNDED,
    RARE_DENIED,
    RARE_PEAK,
    RARE_OVER_SINCE,
    RARE_WARNED,
    RARE_NUMBERS, /* those above are one number each */
    RARE_ALLOWANCE = RARE_NUMBERS,
    RARE_LINES,
    RARE_LOTS,
    RARE_HELD_OVER,
    RARE_BEFORE,
};

static void rare_numbers(const struct window *window, const int64_t *numbers[RARE_NUMBERS])
{
    numbers[RARE_DEBT] = &window->debt;
    numbers[RARE_REFUNDED] = &window->refunded;
    numbers[RARE_DENIED] = &window->denied;
    numbers[RARE_PEAK] = &window->peak;
    numbers[RARE_OVER_SINCE] = &window->over_since_us;
    numbers[RARE_WARNED] = &window->warned_bp;
}

static void allowance_encode(const struct allowance *allowance, struct sink *sink)
{
    sink_number(sink, allowance->since);
    sink_number(sink, allowance->past);
    sink_signed(sink, allowance->past_units);
    sink_number(sink, allowance->past_rest);
}

void window_encode(const struct window *window, struct sink *sink)
{
    const int64_t *numbers[RARE_NUMBERS];
    rare_numbers(window, numbers);
    uint32_t mask = 0;
    for (int i = 0; i < RARE_NUMBERS; i++) mask |= (uint32_t)(*numbers[i] != 0) << i;
    mask |= (uint32_t)!allowance_is_plain(&window->allowance) << RARE_ALLOWANCE;
    mask |= (uint32_t)(window->lines.count > 0) << RARE_LINES;
    mask |= (uint32_t)(window->rolled > 0) << RARE_LOTS;
    mask |= (uint32_t)(window->held_over > 0) << RARE_HELD_OVER;
    mask |= (uint32_t)(window->before_us > 0) << RARE_BEFORE;
    sink_number(sink, (int64_t)window->period);
    sink_signed(sink, window->start_us);
    sink_number(sink, window->end_us == INT64_MAX ? 0 : window->end_us - window->start_us);
    sink_signed(sink, window->allowance.limit);
    sink_number(sink, window->used);
    sink_number(sink, mask);
    for (int i = 0; i < RARE_NUMBERS; i++) {
        if (mask >> i & 1) sink_number(sink, *numbers[i]);
    }
    if (mask >> RARE_BEFORE & 1) sink_number(sink, window->before_us);
    if (mask >> RARE_ALLOWANCE & 1) allowance_encode(&window->allowance, sink);
    if (mask >> RARE_LINES & 1) refund_lines_encode(&window->lines, sink);
    if (mask >> RARE_LOTS & 1) sink_bytes(sink, window->lots);
    if (mask >> RARE_HELD_OVER & 1) sink_number(sink, window->held_over);
}

/* The cycle itself: period, start, length (0 = for ever). Answers the length. */
static int64_t cycle_decode(struct cursor *cursor, struct window *window)
{
    struct period period;
    *window = (struct window){.period = (uint64_t)cursor_number(cursor), .cover = NOT_COVERED};
    if (!period_from_code(window->period, &period)) cursor->bad = true;
    window->start_us = cursor_signed(cursor);
    int64_t length_us = cursor_number(cursor);
    if (window->start_us < -INSTANT_MAX_US || window->start_us > INSTANT_MAX_US) cursor->bad = true;
    if (cursor->bad || __builtin_add_overflow(window->start_us, length_us, &window->end_us)) cursor->bad = true;
    if (length_us != 0 && window->end_us == INT64_MAX) cursor->bad = true; /* that is written as 0 */
    if (length_us == 0) window->end_us = INT64_MAX;
    return length_us;
}

static void allowance_decode(struct cursor *cursor, int64_t length_us, struct allowance *allowance)
{
    allowance->since = cursor_number(cursor);
    allowance->past = cursor_number(cursor);
    allowance->past_units = cursor_signed(cursor);
    allowance->past_rest = cursor_number(cursor);
    bool inside = allowance->since <= length_us && allowance->past <= allowance->since;
    bool rest = allowance->past_rest < length_us && allowance->past_units != INT64_MIN;
    if (!inside || !rest || allowance_is_plain(allowance)) cursor->bad = true;
}

static void rare_numbers_decode(struct cursor *cursor, uint32_t mask, const int64_t *numbers[], int count)
{
    for (int i = 0; i < count; i++) {
        if (mask >> i & 1) *(int64_t *)numbers[i] = cursor_number_between(cursor, 1, INT64_MAX);
    }
}

/* The first encoding kept what prorated changes had added to the limit, and the rest of it among the rare numbers. */
static void first_window_decode(struct cursor *cursor, int64_t length_us, struct window *window)
{
    const int64_t *numbers[RARE_NUMBERS + 1] = {&window->allowance.past_rest};
    window->allowance.past_units = cursor_signed(cursor);
    uint8_t mask = cursor_byte(cursor);
    rare_numbers(window, numbers + 1);
    rare_numbers_decode(cursor, mask, numbers, RARE_NUMBERS + 1);
    bool fits = window->allowance.past_rest < max_i64(length_us, 1) && window->allowance.past_units != INT64_MIN;
    if (mask >= 1 << (RARE_NUMBERS + 1) || !fits) cursor->bad = true;
}

/* Answers how much longer the cycle is than the window. */
static int64_t before_decode(struct cursor *cursor, struct window *window)
{
    window->before_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    bool fits = window->end_us != INT64_MAX && window_origin_us(window) >= -INSTANT_MAX_US;
    if (!fits) cursor->bad = true;
    return fits ? window->before_us : 0;
}

static void lots_decode(struct cursor *cursor, struct window *window)
{
    window->lots = cursor_bytes(cursor);
    window->rolled = max_i64(lots_sum(window->lots), 0);
    if (window->rolled == 0) cursor->bad = true;
}

void window_decode(struct cursor *cursor, uint8_t encoding, struct window *window)
{
    const int64_t *numbers[RARE_NUMBERS];
    int64_t length_us = cycle_decode(cursor, window), lowest = ABSENT;
    window->allowance.limit = cursor_signed(cursor);
    window->used = cursor_number(cursor);
    if (encoding == ACCOUNT_ENCODING_FIRST) {
        lowest = UNLIMITED;
        first_window_decode(cursor, length_us, window);
    } else {
        bool newer = encoding >= ACCOUNT_ENCODING_ROLLOVER;
        uint32_t mask =
            newer ? (uint32_t)cursor_number_between(cursor, 0, (2 << RARE_BEFORE) - 1) : cursor_byte(cursor);
        rare_numbers(window, numbers);
        rare_numbers_decode(cursor, mask, numbers, RARE_NUMBERS);
        if (mask >> RARE_BEFORE & 1) length_us += before_decode(cursor, window);
        if (mask >> RARE_ALLOWANCE & 1) allowance_decode(cursor, length_us, &window->allowance);
        if (mask >> RARE_LINES & 1) refund_lines_decode(cursor, &window->lines);
        if (mask >> RARE_LOTS & 1) lots_decode(cursor, window);
        if (mask >> RARE_HELD_OVER & 1) window->held_over = cursor_number_between(cursor, 1, INT64_MAX);
    }
    bool sane = window->allowance.limit >= lowest && window->warned_bp <= ENTITLEMENT_PERCENT_MAX_BP &&
                window->over_since_us <= INSTANT_MAX_US;
    if (!sane) cursor->bad = true;
}

#define FUNDING_FLAG 0x80 /* beside the mode of a reservation: its funding follows … */
#define PART_FLAG    0x40 /* … its part and item do: those of the first part are 0 … */
#define LEVELS_FLAG  0x20 /* … levels follow … */
#define MEMBER_FLAG  0x10 /* … it is a level's part of a member's reservation, and says its part and item */
#define HOLD_FLAGS   (FUNDING_FLAG | PART_FLAG | LEVELS_FLAG | MEMBER_FLAG)

void hold_encode(const struct hold *hold, struct sink *sink)
{
    bool funded = hold->funding.size > 0, follows = hold->part > 0 || hold->of_member;
    sink_number(sink, hold->slot);
    sink_number(sink, hold->amount);
    sink_number(sink, hold->units);
    sink_number(sink, hold->made_us);
    sink_number(sink, hold->expires_us - hold->made_us);
    sink_number(sink, hold->kept_us);
    sink_byte(sink, (uint8_t)(hold->mode | (funded ? FUNDING_FLAG : 0) | (hold->part > 0 ? PART_FLAG : 0) |
                              (hold->levels.size > 0 ? LEVELS_FLAG : 0) | (hold->of_member ? MEMBER_FLAG : 0)));
    if (follows) sink_byte(sink, hold->part);
    if (follows) sink_byte(sink, hold->item);
    sink_number(sink, hold->requested);
    record_verdict_encode(&hold->verdict, sink);
    if (funded) sink_bytes(sink, hold->funding);
    if (hold->levels.size > 0) sink_bytes(sink, hold->levels);
}

/* What stands behind the mode: the part, and which item it holds. */
static void hold_part_decode(struct cursor *cursor, uint8_t flags, struct hold *hold)
{
    bool follows = flags & (PART_FLAG | MEMBER_FLAG);
    hold->of_member = flags & MEMBER_FLAG;
    hold->part = follows ? cursor_byte(cursor) : 0;
    hold->item = follows ? cursor_byte(cursor) : 0;
    bool fits = hold->of_member ? hold->item < BATCH_ITEMS_MAX : hold->item <= hold->part;
    if (!fits || (flags & PART_FLAG) != (hold->part > 0 ? PART_FLAG : 0)) cursor->bad = true;
}

static void hold_levels_decode(struct cursor *cursor, uint8_t flags, struct hold *hold)
{
    hold->levels = flags & LEVELS_FLAG ? cursor_bytes(cursor) : (struct bytes){"", 0};
    bool fits = hold->levels.size > 0 && hold->part == 0 && !hold->of_member && levels_fit(hold->levels);
    if ((flags & LEVELS_FLAG) && !fits) cursor->bad = true;
}

void hold_decode(struct cursor *cursor, struct hold *hold)
{
    hold->slot = (uint32_t)cursor_number_between(cursor, 0, ACCOUNT_SLOTS_MAX - 1);
    hold->amount = cursor_number_between(cursor, 1, INT64_MAX);
    hold->units = cursor_number_between(cursor, hold->amount, INT64_MAX);
    hold->made_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    hold->expires_us = hold->made_us + cursor_number_between(cursor, 0, INSTANT_MAX_US - hold->made_us);
    hold->kept_us = cursor_number_between(cursor, 0, DURATION_MAX_US);
    uint8_t mode = cursor_byte(cursor);
    hold->mode = mode & (uint8_t)~HOLD_FLAGS;
    hold_part_decode(cursor, mode, hold);
    hold->requested = cursor_number_between(cursor, hold->amount, INT64_MAX);
    record_verdict_decode(cursor, &hold->verdict);
    hold->funding = mode & FUNDING_FLAG ? cursor_bytes(cursor) : (struct bytes){"", 0};
    bool funded = hold->funding.size > 0 && funding_fits(hold->funding, hold->units);
    if ((mode & FUNDING_FLAG) && !funded) cursor->bad = true;
    hold_levels_decode(cursor, mode, hold);
}

/* What most grants have none of: a bit each says which numbers follow. */
enum rare_grant_part {
    RARE_EXPIRY,
    RARE_EFFECTIVE,
    RARE_EVERY,
    RARE_USED,
    RARE_ABSORBED,
};

static uint8_t rare_grant_parts(const struct grant *grant)
{
    bool never = grant->expires_us == INSTANT_MAX_US && grant->expiry == GRANT_EXPIRES_NEVER;
    bool effective = grant->effective_us != grant->created_us || grant->given_effective_us > 0;
    return (uint8_t)(!never << RARE_EXPIRY | effective << RARE_EFFECTIVE | (grant->every > 0) << RARE_EVERY |
                     (grant->used_us > 0) << RARE_USED | (grant->replied_absorbed > 0) << RARE_ABSORBED);
}

void grant_encode(const struct grant *grant, struct sink *sink)
{
    uint8_t mask = rare_grant_parts(grant);
    sink_number(sink, grant->number);
    sink_number(sink, grant->slot);
    sink_byte(sink, grant->priority);
    sink_byte(sink, grant->flags);
    sink_byte(sink, mask);
    sink_number(sink, grant->amount);
    sink_number(sink, grant->balance);
    sink_number(sink, grant->created_us);
    sink_number(sink, grant->kept_us);
    sink_number(sink, grant->replied_credits);
    if (mask >> RARE_EXPIRY & 1) {
        sink_byte(sink, grant->expiry);
        sink_number(sink, grant->expiry_value);
        sink_number(sink, grant->expires_us);
    }
    if (mask >> RARE_EFFECTIVE & 1) {
        sink_number(sink, grant->given_effective_us);
        sink_number(sink, grant->effective_us);
    }
    if (mask >> RARE_EVERY & 1) {
        sink_number(sink, (int64_t)grant->every);
        sink_number(sink, grant->since_us);
        sink_number(sink, grant->recurs_us);
    }
    if (mask >> RARE_USED & 1) sink_number(sink, grant->used_us);
    if (mask >> RARE_ABSORBED & 1) sink_number(sink, grant->replied_absorbed);
}

static int64_t instant_decode(struct cursor *cursor)
{
    return cursor_number_between(cursor, 0, INSTANT_MAX_US);
}

static void grant_times_decode(struct cursor *cursor, uint8_t mask, struct grant *grant)
{
    struct period period;
    grant->expires_us = INSTANT_MAX_US;
    if (mask >> RARE_EXPIRY & 1) {
        grant->expiry = cursor_byte(cursor);
        grant->expiry_value = cursor_number(cursor);
        grant->expires_us = instant_decode(cursor);
    }
    grant->effective_us = grant->created_us;
    if (mask >> RARE_EFFECTIVE & 1) {
        grant->given_effective_us = instant_decode(cursor);
        grant->effective_us = instant_decode(cursor);
    }
    grant->since_us = grant->effective_us;
    if (mask >> RARE_EVERY & 1) {
        grant->every = (uint64_t)cursor_number(cursor);
        grant->since_us = instant_decode(cursor);
        grant->recurs_us = instant_decode(cursor);
        if (!period_from_code(grant->every, &period)) cursor->bad = true;
    }
    if (mask >> RARE_USED & 1) grant->used_us = instant_decode(cursor);
    if (mask >> RARE_ABSORBED & 1) grant->replied_absorbed = cursor_number(cursor);
}

void grant_decode(struct cursor *cursor, struct grant *grant)
{
    *grant = (struct grant){.number = cursor_number_between(cursor, 1, INT64_MAX)};
    grant->slot = (uint32_t)cursor_number_between(cursor, 0, ACCOUNT_SLOTS_MAX - 1);
    grant->priority = cursor_byte(cursor);
    grant->flags = cursor_byte(cursor);
    uint8_t mask = cursor_byte(cursor);
    grant->amount = cursor_number_between(cursor, 1, INT64_MAX);
    grant->balance = cursor_number(cursor);
    grant->created_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    grant->kept_us = cursor_number_between(cursor, 0, DURATION_MAX_US);
    grant->replied_credits = cursor_number(cursor);
    grant_times_decode(cursor, mask, grant);
    bool known = grant->flags <= GRANT_FLAGS_ALL && mask == rare_grant_parts(grant) &&
                 grant->expiry < GRANT_EXPIRIES_COUNT &&
                 (grant->expiry != GRANT_EXPIRES_NEVER || grant->expiry_value == 0);
    if (!known || grant->effective_us == 0 || grant->expires_us == 0) cursor->bad = true;
}

void audit_entry_encode(const struct audit_entry *audit, struct sink *sink)
{
    sink_number(sink, audit->at_us);
    sink_byte(sink, audit->act);
    sink_number(sink, audit->slot);
    sink_number(sink, audit->amount);
    sink_bytes(sink, audit->actor);
    sink_bytes(sink, audit->reason);
}

void audit_entry_decode(struct cursor *cursor, struct audit_entry *audit)
{
    audit->at_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    audit->act = cursor_byte(cursor);
    audit->slot = (uint32_t)cursor_number_between(cursor, 0, ACCOUNT_SLOTS_MAX);
    audit->amount = cursor_number(cursor);
    audit->actor = cursor_bytes(cursor);
    audit->reason = cursor_bytes(cursor);
    if (audit->act < AUDIT_OPEN || audit->act >= AUDIT_ACTIONS_END) cursor->bad = true;
    if (audit->actor.size > ACTOR_BYTES_MAX || audit->reason.size > REASON_BYTES_MAX) cursor->bad = true;
}

#define RESTARTED_FLAG 0x10 /* beside the state */

void account_status_encode(const struct account_status *status, struct sink *sink)
{
    sink_byte(sink, (uint8_t)(status->state | (status->restarted ? RESTARTED_FLAG : 0)));
    sink_signed(sink, status->anchor_us);
    sink_number(sink, status->expires_us);
    sink_bytes(sink, status->zone);
    sink_number(sink, status->suspended_until_us);
    sink_number(sink, status->opened_us);
    sink_bytes(sink, status->then);
}

void account_status_decode(struct cursor *cursor, uint8_t encoding, struct account_status *status)
{
    uint8_t state = cursor_byte(cursor);
    *status = (struct account_status){.state = state, .zone = {"", 0}, .then = {"", 0}};
    status->anchor_us = cursor_signed(cursor);
    status->expires_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    status->zone = cursor_bytes(cursor);
    if (encoding != ACCOUNT_ENCODING_FIRST) {
        status->state = state & (uint8_t)~RESTARTED_FLAG;
        status->restarted = state & RESTARTED_FLAG;
        status->suspended_until_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
        status->opened_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
        status->then = cursor_bytes(cursor);
    }
    bool sane = status->state < ACCOUNT_STATES_COUNT && status->anchor_us >= -INSTANT_MAX_US &&
                status->anchor_us <= INSTANT_MAX_US && status->then.size <= PLAN_NAME_MAX;
    if (!sane || (status->zone.size > 0 && !zone_name_valid(status->zone))) cursor->bad = true;
}

/* A count of 0 stands for one cycle with refund lines. */
void closed_encode(const struct closed_cycle *closed, struct sink *sink)
{
    sink_signed(sink, closed->start_us);
    closed_length_encode(closed, 0, sink);
    sink_signed(sink, closed->limit);
    sink_number(sink, closed->used);
    sink_number(sink, closed->refunded);
    sink_number(sink, closed->denied);
    sink_number(sink, closed->peak);
    sink_number(sink, closed->lines.count > 0 ? 0 : closed->count);
    if (closed->lines.count > 0) refund_lines_encode(&closed->lines, sink);
}

void closed_decode(struct cursor *cursor, struct closed_cycle *closed)
{
    closed->start_us = cursor_signed(cursor);
    closed->revision = 0;
    int64_t length_us = closed_length_decode(cursor, closed);
    bool sane = closed->start_us >= -INSTANT_MAX_US && closed->start_us <= INSTANT_MAX_US && length_us >= 1;
    if (!sane || __builtin_add_overflow(closed->start_us, length_us, &closed->end_us)) cursor->bad = true;
    closed->limit = cursor_signed(cursor);
    closed->used = cursor_number(cursor);
    closed->refunded = cursor_number(cursor);
    closed->denied = cursor_number(cursor);
    closed->peak = cursor_number(cursor);
    closed->count = cursor_number_between(cursor, 0, length_us);
    closed->lines = (struct refund_lines){.count = 0};
    if (closed->count == 0) refund_lines_decode(cursor, &closed->lines);
    closed->count = max_i64(closed->count, 1);
    bool idle = closed->used == 0 && closed->refunded == 0 && closed->denied == 0 && closed->peak == 0;
    if (closed->limit < UNLIMITED || (closed->count > 1 && !idle)) cursor->bad = true;
}

void log_encode(const struct state *log, struct sink *sink)
{
    sink_number(sink, log->when_us);
    sink_number(sink, log->amount);
    sink_signed(sink, log->rest);
}

void log_decode(struct cursor *cursor, struct state *log)
{
    *log = (struct state){.when_us = cursor_number_between(cursor, 0, INSTANT_MAX_US)};
    log->amount = cursor_number(cursor);
    log->rest = cursor_signed(cursor);
    if (log->when_us == 0 && log->amount > 0) cursor->bad = true;
}

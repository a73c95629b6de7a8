/* Changes and their parts as bytes; see change.h. */
#include "quota/account/change.h"
#include "quota/account/carry.h"
#include "quota/base/checked.h"

/* ---- parts ----------------------------------------------------------------------------------------------- */

/* What most windows have none of: a number says which of them follow (before encoding 4 a byte, and none of the last
 * two). */
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
    sink_number(sink, (int64_t)window->period);
    sink_signed(sink, window->start_us);
    sink_number(sink, window->end_us == INT64_MAX ? 0 : window->end_us - window->start_us);
    sink_signed(sink, window->allowance.limit);
    sink_number(sink, window->used);
    sink_number(sink, mask);
    for (int i = 0; i < RARE_NUMBERS; i++) {
        if (mask >> i & 1) sink_number(sink, *numbers[i]);
    }
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
            newer ? (uint32_t)cursor_number_between(cursor, 0, (2 << RARE_HELD_OVER) - 1) : cursor_byte(cursor);
        rare_numbers(window, numbers);
        rare_numbers_decode(cursor, mask, numbers, RARE_NUMBERS);
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

void audit_entry_encode(const struct audit_entry *note, struct sink *sink)
{
    sink_number(sink, note->at_us);
    sink_byte(sink, note->act);
    sink_number(sink, note->slot);
    sink_number(sink, note->amount);
    sink_bytes(sink, note->actor);
    sink_bytes(sink, note->reason);
}

void audit_entry_decode(struct cursor *cursor, struct audit_entry *note)
{
    note->at_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    note->act = cursor_byte(cursor);
    note->slot = (uint32_t)cursor_number_between(cursor, 0, ACCOUNT_SLOTS_MAX);
    note->amount = cursor_number(cursor);
    note->actor = cursor_bytes(cursor);
    note->reason = cursor_bytes(cursor);
    if (note->act < AUDIT_OPEN || note->act >= AUDIT_ACTIONS_END) cursor->bad = true;
    if (note->actor.size > ACTOR_BYTES_MAX || note->reason.size > REASON_BYTES_MAX) cursor->bad = true;
}

void account_status_encode(const struct account_status *status, struct sink *sink)
{
    sink_byte(sink, status->state);
    sink_signed(sink, status->anchor_us);
    sink_number(sink, status->expires_us);
    sink_bytes(sink, status->zone);
    sink_number(sink, status->suspended_until_us);
    sink_number(sink, status->opened_us);
    sink_bytes(sink, status->then);
}

void account_status_decode(struct cursor *cursor, uint8_t encoding, struct account_status *status)
{
    *status = (struct account_status){.state = cursor_byte(cursor), .zone = {"", 0}, .then = {"", 0}};
    status->anchor_us = cursor_signed(cursor);
    status->expires_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    status->zone = cursor_bytes(cursor);
    if (encoding != ACCOUNT_ENCODING_FIRST) {
        status->suspended_until_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
        status->opened_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
        status->then = cursor_bytes(cursor);
    }
    bool sane = status->state < ACCOUNT_STATES_COUNT && status->anchor_us >= -INSTANT_MAX_US &&
                status->anchor_us <= INSTANT_MAX_US && status->then.size <= PLAN_NAME_MAX;
    if (!sane || (status->zone.size > 0 && !zone_name_valid(status->zone))) cursor->bad = true;
}

/* A count of 0 stands for one cycle with refund lines. */
static void closed_encode(const struct closed_cycle *closed, struct sink *sink)
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

static void closed_decode(struct cursor *cursor, struct closed_cycle *closed)
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

static void log_encode(const struct state *log, struct sink *sink)
{
    sink_number(sink, log->when_us);
    sink_number(sink, log->amount);
    sink_signed(sink, log->rest);
}

static void log_decode(struct cursor *cursor, struct state *log)
{
    *log = (struct state){.when_us = cursor_number_between(cursor, 0, INSTANT_MAX_US)};
    log->amount = cursor_number(cursor);
    log->rest = cursor_signed(cursor);
    if (log->when_us == 0 && log->amount > 0) cursor->bad = true;
}

/* ---- one change ------------------------------------------------------------------------------------------ */

enum field {
    FIELD_END = 0,
    FIELD_SLOT,
    FIELD_BYTES,
    FIELD_KEY, /* bytes, not empty */
    FIELD_MEMBER_KEY,
    FIELD_NAME, /* of a member */
    FIELD_WEIGHT,
    FIELD_SHARE, /* how: enum share_how */
    FIELD_BODY,
    FIELD_PERIOD,
    FIELD_CODE, /* of a period that the slot has */
    FIELD_PERIOD_US,
    FIELD_EXPIRES,
    FIELD_UNTIL,
    FIELD_BEGUN, /* an instant, also before 1970 */
    FIELD_BILL,
    FIELD_HOW,
    FIELD_AMOUNT,
    FIELD_PEAK,       /* its distance from the amount: mostly none */
    FIELD_FIRST_PEAK, /* itself */
    FIELD_POSTED,     /* the amount of a reservation that was committed; 0 = it was released */
    FIELD_REMAINING,
    FIELD_OUTCOME,
    FIELD_STATUS,
    FIELD_WINDOW,
    FIELD_CLOSED,
    FIELD_LOG,
    FIELD_HOLD,
    FIELD_AUDIT,
    FIELD_CHARGED,
    FIELD_GRANT,
    FIELD_NUMBER,
    FIELD_API_KEY,
};

#define FIELDS_MAX 6

/* What each kind says, in this order, FIELD_END behind it: the wire format of the newest encoding. */
static const uint8_t fields_of[CHANGE_KINDS_END][FIELDS_MAX] = {
    [CHANGE_PLAN] = {FIELD_BYTES},
    [CHANGE_STATUS] = {FIELD_STATUS},
    [CHANGE_NEXT] = {FIELD_UNTIL, FIELD_HOW, FIELD_BYTES},
    [CHANGE_SLOT] = {FIELD_BYTES},
    [CHANGE_OVERRIDE] = {FIELD_SLOT, FIELD_UNTIL, FIELD_BYTES},
    [CHANGE_WINDOW] = {FIELD_SLOT, FIELD_WINDOW},
    [CHANGE_WINDOW_REMOVED] = {FIELD_SLOT, FIELD_PERIOD},
    [CHANGE_CLOSED] = {FIELD_SLOT, FIELD_PERIOD, FIELD_CLOSED},
    [CHANGE_CYCLE_CORRECTED] = {FIELD_SLOT, FIELD_PERIOD, FIELD_CLOSED},
    [CHANGE_RATES] = {FIELD_SLOT, FIELD_BYTES},
    [CHANGE_LOG_APPENDED] = {FIELD_SLOT, FIELD_PERIOD_US, FIELD_LOG},
    [CHANGE_LOG_REMOVED] = {FIELD_SLOT, FIELD_PERIOD_US, FIELD_LOG},
    [CHANGE_RESOURCE_RESET] = {FIELD_SLOT},
    [CHANGE_RECORD] = {FIELD_EXPIRES, FIELD_KEY, FIELD_BODY},
    [CHANGE_RECORD_PATCHED] = {FIELD_KEY, FIELD_BODY},
    [CHANGE_HOLD] = {FIELD_KEY, FIELD_HOLD},
    [CHANGE_HOLD_EXTENDED] = {FIELD_KEY, FIELD_EXPIRES},
    [CHANGE_HOLD_RESOLVED] = {FIELD_KEY, FIELD_POSTED, FIELD_REMAINING, FIELD_CHARGED},
    [CHANGE_AUDIT] = {FIELD_AUDIT},
    [CHANGE_USED] = {FIELD_SLOT, FIELD_CODE, FIELD_AMOUNT, FIELD_PEAK},
    [CHANGE_ENTITLEMENT] = {FIELD_BYTES},
    [CHANGE_GENERATION] = {FIELD_SLOT, FIELD_AMOUNT},
    [CHANGE_REWOUND] = {FIELD_UNTIL},
    [CHANGE_SWEPT] = {FIELD_END},
    [CHANGE_GRANT] = {FIELD_KEY, FIELD_GRANT},
    [CHANGE_GRANT_SPENT] = {FIELD_NUMBER, FIELD_AMOUNT},
    [CHANGE_GRANT_TURNED] = {FIELD_NUMBER, FIELD_AMOUNT, FIELD_UNTIL, FIELD_EXPIRES},
    [CHANGE_GRANT_VOIDED] = {FIELD_NUMBER},
    [CHANGE_TRANSFERRED] = {FIELD_SLOT, FIELD_AMOUNT, FIELD_UNTIL},
    [CHANGE_HOLD_FUNDED] = {FIELD_KEY, FIELD_POSTED, FIELD_REMAINING, FIELD_CHARGED, FIELD_BODY},
    [CHANGE_HOLDS_RESOLVED] = {FIELD_KEY, FIELD_BODY},
    [CHANGE_API_KEY] = {FIELD_API_KEY},
    [CHANGE_API_KEY_ENDED] = {FIELD_NUMBER, FIELD_HOW, FIELD_UNTIL},
    [CHANGE_API_KEY_USED] = {FIELD_NUMBER, FIELD_UNTIL},
    [CHANGE_API_KEY_RATES] = {FIELD_NUMBER, FIELD_BYTES},
    [CHANGE_PARENT] = {FIELD_BYTES},
    [CHANGE_MEMBER] = {FIELD_NUMBER, FIELD_NAME, FIELD_WEIGHT},
    [CHANGE_MEMBER_LEFT] = {FIELD_NUMBER},
    [CHANGE_MEMBER_USED] = {FIELD_NUMBER, FIELD_SLOT, FIELD_UNTIL, FIELD_AMOUNT},
    [CHANGE_MEMBER_HOLD] = {FIELD_MEMBER_KEY, FIELD_HOLD},
    [CHANGE_MEMBER_HOLD_EXTENDED] = {FIELD_MEMBER_KEY, FIELD_EXPIRES},
    [CHANGE_MEMBER_HOLD_ENDED] = {FIELD_MEMBER_KEY},
    [CHANGE_SHARES] = {FIELD_SLOT, FIELD_SHARE, FIELD_AMOUNT, FIELD_UNTIL, FIELD_EXPIRES},
    [CHANGE_MEMBER_SHARE] = {FIELD_NUMBER, FIELD_SLOT, FIELD_AMOUNT, FIELD_UNTIL},
    [CHANGE_BILL] = {FIELD_SLOT, FIELD_BILL},
    [CHANGE_CREDITED] = {FIELD_SLOT, FIELD_PERIOD, FIELD_BEGUN, FIELD_AMOUNT},
};

/* Where the first encoding differs: these kinds said other things, and those behind CHANGE_USED were not there. */
static const uint8_t first_fields_of[CHANGE_USED + 1][FIELDS_MAX] = {
    [CHANGE_NEXT] = {FIELD_UNTIL, FIELD_BYTES},
    [CHANGE_HOLD_RESOLVED] = {FIELD_KEY, FIELD_OUTCOME, FIELD_AMOUNT},
    [CHANGE_USED] = {FIELD_SLOT, FIELD_CODE, FIELD_AMOUNT, FIELD_FIRST_PEAK},
};

static const uint8_t *fields_in(uint8_t encoding, uint8_t kind)
{
    bool differs = encoding == ACCOUNT_ENCODING_FIRST && first_fields_of[kind][0] != FIELD_END;
    return differs ? first_fields_of[kind] : fields_of[kind];
}

static void field_encode(const struct change *change, enum field field, struct sink *sink)
{
    switch (field) {
    case FIELD_SLOT: sink_number(sink, change->slot); break;
    case FIELD_BYTES:
    case FIELD_BILL:
    case FIELD_KEY:
    case FIELD_MEMBER_KEY:
    case FIELD_NAME: sink_bytes(sink, change->bytes); break;
    case FIELD_BODY: sink_bytes(sink, change->body); break;
    case FIELD_PERIOD:
    case FIELD_CODE: sink_number(sink, (int64_t)change->period); break;
    case FIELD_PERIOD_US: sink_number(sink, change->period_us); break;
    case FIELD_EXPIRES: sink_number(sink, change->expires_us); break;
    case FIELD_UNTIL: sink_number(sink, change->until_us); break;
    case FIELD_BEGUN: sink_signed(sink, change->until_us); break;
    case FIELD_HOW:
    case FIELD_SHARE: sink_byte(sink, change->how); break;
    case FIELD_AMOUNT:
    case FIELD_WEIGHT: sink_number(sink, change->amount); break;
    case FIELD_PEAK: sink_signed(sink, change->peak - change->amount); break;
    case FIELD_FIRST_PEAK: sink_number(sink, change->peak); break;
    case FIELD_POSTED: sink_number(sink, change->amount); break;
    case FIELD_REMAINING: sink_signed(sink, change->remaining); break;
    case FIELD_OUTCOME: sink_byte(sink, change->outcome); break;
    case FIELD_STATUS: account_status_encode(&change->status, sink); break;
    case FIELD_WINDOW: window_encode(&change->window, sink); break;
    case FIELD_CLOSED: closed_encode(&change->closed, sink); break;
    case FIELD_LOG: log_encode(&change->log, sink); break;
    case FIELD_HOLD: hold_encode(&change->hold, sink); break;
    case FIELD_AUDIT: audit_entry_encode(&change->audit, sink); break;
    case FIELD_CHARGED: charged_encode(&change->charged, sink); break;
    case FIELD_GRANT: grant_encode(&change->grant, sink); break;
    case FIELD_NUMBER: sink_number(sink, change->number); break;
    case FIELD_API_KEY: api_key_encode(&change->api_key, sink); break;
    case FIELD_END: break;
    }
}

static uint64_t period_decode(struct cursor *cursor)
{
    struct period period;
    uint64_t code = (uint64_t)cursor_number(cursor);
    if (!period_from_code(code, &period)) cursor->bad = true;
    return code;
}

static struct bytes bytes_decode(struct cursor *cursor, size_t least, size_t most)
{
    struct bytes bytes = cursor_bytes(cursor);
    if (bytes.size < least || bytes.size > most) cursor->bad = true;
    return bytes;
}

static uint8_t byte_decode(struct cursor *cursor, uint8_t least, uint8_t most)
{
    uint8_t byte = cursor_byte(cursor);
    if (byte < least || byte > most) cursor->bad = true;
    return byte;
}

static int64_t remaining_decode(struct cursor *cursor)
{
    int64_t remaining = cursor_signed(cursor);
    if (remaining < UNLIMITED) cursor->bad = true;
    return remaining;
}

static int64_t peak_decode(struct cursor *cursor, int64_t amount)
{
    int64_t peak = 0;
    if (!add_checked(cursor_signed(cursor), amount, &peak) || peak < 0) cursor->bad = true;
    return peak;
}

static int64_t begun_decode(struct cursor *cursor)
{
    int64_t instant_us = cursor_signed(cursor);
    if (instant_us < -INSTANT_MAX_US || instant_us > INSTANT_MAX_US) cursor->bad = true;
    return instant_us;
}

static struct bytes bill_bytes_decode(struct cursor *cursor)
{
    struct bill bill;
    struct bytes bytes = cursor_bytes(cursor);
    if (!bill_decode(bytes, &bill)) cursor->bad = true;
    return bytes;
}

static void posted_decode(struct cursor *cursor, struct change *change)
{
    change->amount = cursor_number(cursor);
    change->outcome = change->amount > 0 ? HOLD_COMMITTED : HOLD_RELEASED;
}

static void field_decode(struct cursor *cursor, uint8_t encoding, enum field field, struct change *change)
{
    switch (field) {
    case FIELD_SLOT: change->slot = (uint32_t)cursor_number_between(cursor, 0, ACCOUNT_SLOTS_MAX - 1); break;
    case FIELD_BYTES: change->bytes = cursor_bytes(cursor); break;
    case FIELD_KEY: change->bytes = bytes_decode(cursor, 1, IDEMPOTENCY_KEY_MAX); break;
    case FIELD_MEMBER_KEY: change->bytes = bytes_decode(cursor, 2, MEMBER_HOLD_ID_MAX); break;
    case FIELD_NAME: change->bytes = bytes_decode(cursor, 1, MEMBER_NAME_MAX); break;
    case FIELD_SHARE: change->how = byte_decode(cursor, SHARE_EQUAL, SHARE_HOWS_COUNT - 1); break;
    case FIELD_WEIGHT: change->amount = cursor_number_between(cursor, 1, MEMBER_WEIGHT_MAX); break;
    case FIELD_BODY: change->body = bytes_decode(cursor, 0, IDEMPOTENCY_BODY_MAX); break;
    case FIELD_PERIOD: change->period = period_decode(cursor); break;
    case FIELD_CODE: change->period = (uint64_t)cursor_number(cursor); break;
    case FIELD_PERIOD_US: change->period_us = cursor_number_between(cursor, 1, DURATION_MAX_US); break;
    case FIELD_EXPIRES: change->expires_us = cursor_number_between(cursor, 0, INSTANT_MAX_US); break;
    case FIELD_UNTIL: change->until_us = cursor_number_between(cursor, 0, INSTANT_MAX_US); break;
    case FIELD_BEGUN: change->until_us = begun_decode(cursor); break;
    case FIELD_BILL: change->bytes = bill_bytes_decode(cursor); break;
    case FIELD_HOW: change->how = byte_decode(cursor, 0, SWITCH_HOWS_COUNT - 1); break;
    case FIELD_AMOUNT: change->amount = cursor_number(cursor); break;
    case FIELD_PEAK: change->peak = peak_decode(cursor, change->amount); break;
    case FIELD_FIRST_PEAK: change->peak = cursor_number(cursor); break;
    case FIELD_POSTED: posted_decode(cursor, change); break;
    case FIELD_REMAINING: change->remaining = remaining_decode(cursor); break;
    case FIELD_OUTCOME: change->outcome = byte_decode(cursor, HOLD_COMMITTED, HOLD_EXPIRED); break;
    case FIELD_STATUS: account_status_decode(cursor, encoding, &change->status); break;
    case FIELD_WINDOW: window_decode(cursor, encoding, &change->window); break;
    case FIELD_CLOSED: closed_decode(cursor, &change->closed); break;
    case FIELD_LOG: log_decode(cursor, &change->log); break;
    case FIELD_HOLD: hold_decode(cursor, &change->hold); break;
    case FIELD_AUDIT: audit_entry_decode(cursor, &change->audit); break;
    case FIELD_CHARGED: charged_decode(cursor, &change->charged); break;
    case FIELD_GRANT: grant_decode(cursor, &change->grant); break;
    case FIELD_NUMBER: change->number = cursor_number_between(cursor, 1, INT64_MAX); break;
    case FIELD_API_KEY: api_key_decode(cursor, &change->api_key); break;
    case FIELD_END: break;
    }
}

/* The most frequent kind, field by field. */
static void used_encode(const struct change *change, struct sink *sink)
{
    sink_number(sink, change->slot);
    sink_number(sink, (int64_t)change->period);
    sink_number(sink, change->amount);
    sink_signed(sink, change->peak - change->amount);
}

void change_encode(const struct change *change, struct sink *sink)
{
    sink_byte(sink, (uint8_t)change->kind);
    if (change->kind == CHANGE_USED) {
        used_encode(change, sink);
        return;
    }
    const uint8_t *field = fields_of[change->kind];
    for (; *field != FIELD_END; field++) field_encode(change, (enum field) * field, sink);
}

static void used_decode(struct cursor *cursor, struct change *change)
{
    change->slot = (uint32_t)cursor_number_between(cursor, 0, ACCOUNT_SLOTS_MAX - 1);
    change->period = (uint64_t)cursor_number(cursor);
    change->amount = cursor_number(cursor);
    change->peak = peak_decode(cursor, change->amount);
}

bool change_decode_used(struct cursor *cursor, uint8_t encoding, struct change *change)
{
    bool follows = cursor->at < cursor->size && cursor->data[cursor->at] == CHANGE_USED;
    if (!follows || encoding != ACCOUNT_ENCODING_NEWEST) return false;
    cursor->at++;
    change->kind = CHANGE_USED;
    used_decode(cursor, change);
    return !cursor->bad;
}

void change_decode(struct cursor *cursor, uint8_t encoding, struct change *change)
{
    static const uint8_t highest[] = {[ACCOUNT_ENCODING_FIRST] = CHANGE_USED,
                                      [ACCOUNT_ENCODING_PLAN_HISTORY] = CHANGE_SWEPT,
                                      [ACCOUNT_ENCODING_CREDITS] = CHANGE_TRANSFERRED,
                                      [ACCOUNT_ENCODING_ROLLOVER] = CHANGE_API_KEY_RATES,
                                      [ACCOUNT_ENCODING_ORGANISATIONS] = CHANGE_KINDS_END - 1};
    uint8_t kind = byte_decode(cursor, CHANGE_PLAN, highest[encoding]);
    if (kind == CHANGE_USED && encoding == ACCOUNT_ENCODING_NEWEST && !cursor->bad) {
        change->kind = CHANGE_USED;
        used_decode(cursor, change);
        return;
    }
    change->kind = (enum change_kind)kind; /* fields it does not name mean nothing; there are many of them */
    change->how = SWITCH_HOW_FULL;         /* what the first encoding did not say */
    change->remaining = 0;
    if (kind == CHANGE_HOLD_RESOLVED) change->charged.count = CHARGED_ALL, change->body = (struct bytes){"", 0};
    if (cursor->bad) return;
    const uint8_t *field = fields_in(encoding, kind);
    for (; *field != FIELD_END && !cursor->bad; field++) field_decode(cursor, encoding, (enum field) * field, change);
    if (cursor->bad) return;
    bool optional = kind == CHANGE_NEXT || kind == CHANGE_OVERRIDE;
    if (optional && change->bytes.size == 0 && change->until_us > 0) cursor->bad = true;
}

/* Changes as bytes, by a table of their fields; see change.h. */
#include "quota/account/change.h"
#include "quota/account/change_parts.h"
#include "quota/base/checked.h"

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

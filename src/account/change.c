/* Changes and their parts as bytes; see change.h. */
#include "quota/account/change.h"

/* ---- parts ----------------------------------------------------------------------------------------------- */

/* Most windows have none of the last six: one byte says which follow. */
static void rare_fields(const struct window *window, const int64_t *fields[7])
{
    fields[0] = &window->delta_rest;
    fields[1] = &window->debt;
    fields[2] = &window->refunded;
    fields[3] = &window->denied;
    fields[4] = &window->peak;
    fields[5] = &window->over_since_us;
    fields[6] = &window->warned_bp;
}

void window_encode(const struct window *window, struct sink *sink)
{
    const int64_t *rare[7];
    rare_fields(window, rare);
    uint8_t mask = 0;
    for (int i = 0; i < 7; i++) mask = (uint8_t)(mask | (*rare[i] != 0) << i);
    sink_number(sink, (int64_t)window->period);
    sink_signed(sink, window->start_us);
    sink_number(sink, window->end_us == INT64_MAX ? 0 : window->end_us - window->start_us);
    sink_signed(sink, window->limit);
    sink_number(sink, window->used);
    sink_signed(sink, window->delta);
    sink_byte(sink, mask);
    for (int i = 0; i < 7; i++) {
        if (mask >> i & 1) sink_number(sink, *rare[i]);
    }
}

void window_decode(struct cursor *cursor, struct window *window)
{
    const int64_t *rare[7];
    struct period period;
    *window = (struct window){.period = (uint64_t)cursor_number(cursor)};
    if (!period_from_code(window->period, &period)) cursor->bad = true;
    window->start_us = cursor_signed(cursor);
    int64_t length_us = cursor_number(cursor);
    if (window->start_us < -INSTANT_MAX_US || window->start_us > INSTANT_MAX_US) cursor->bad = true;
    if (cursor->bad || __builtin_add_overflow(window->start_us, length_us, &window->end_us)) cursor->bad = true;
    if (length_us != 0 && window->end_us == INT64_MAX) cursor->bad = true; /* that is written as 0 */
    if (length_us == 0) window->end_us = INT64_MAX;
    window->limit = cursor_signed(cursor);
    window->used = cursor_number(cursor);
    window->delta = cursor_signed(cursor);
    uint8_t mask = cursor_byte(cursor);
    rare_fields(window, rare);
    for (int i = 0; i < 7; i++) {
        if (mask >> i & 1) *(int64_t *)rare[i] = cursor_number_between(cursor, 1, INT64_MAX);
    }
    bool sane = mask < 128 && window->limit >= UNLIMITED && window->delta != INT64_MIN &&
                window->warned_bp <= ENTITLEMENT_PERCENT_MAX_BP && window->over_since_us <= INSTANT_MAX_US &&
                (length_us == 0 ? window->delta_rest == 0 : window->delta_rest < length_us);
    if (!sane) cursor->bad = true;
}

void hold_encode(const struct hold *hold, struct sink *sink)
{
    sink_number(sink, hold->slot);
    sink_number(sink, hold->amount);
    sink_number(sink, hold->units);
    sink_number(sink, hold->made_us);
    sink_number(sink, hold->expires_us - hold->made_us);
    sink_number(sink, hold->kept_us);
    sink_byte(sink, hold->mode);
    sink_number(sink, hold->asked);
    record_verdict_encode(&hold->verdict, sink);
}

void hold_decode(struct cursor *cursor, struct hold *hold)
{
    hold->slot = (uint32_t)cursor_number_between(cursor, 0, ACCOUNT_SLOTS_MAX - 1);
    hold->amount = cursor_number_between(cursor, 1, INT64_MAX);
    hold->units = cursor_number_between(cursor, hold->amount, INT64_MAX);
    hold->made_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    hold->expires_us = hold->made_us + cursor_number_between(cursor, 0, INSTANT_MAX_US - hold->made_us);
    hold->kept_us = cursor_number_between(cursor, 0, DURATION_MAX_US);
    hold->mode = cursor_byte(cursor);
    hold->asked = cursor_number_between(cursor, hold->amount, INT64_MAX);
    record_verdict_decode(cursor, &hold->verdict);
}

void note_encode(const struct note *note, struct sink *sink)
{
    sink_number(sink, note->at_us);
    sink_byte(sink, note->act);
    sink_number(sink, note->slot);
    sink_number(sink, note->amount);
    sink_bytes(sink, note->actor);
    sink_bytes(sink, note->reason);
}

void note_decode(struct cursor *cursor, struct note *note)
{
    note->at_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    note->act = cursor_byte(cursor);
    note->slot = (uint32_t)cursor_number_between(cursor, 0, ACCOUNT_SLOTS_MAX);
    note->amount = cursor_number(cursor);
    note->actor = cursor_bytes(cursor);
    note->reason = cursor_bytes(cursor);
    if (note->act < NOTE_OPEN || note->act >= NOTE_ACTS_END) cursor->bad = true;
    if (note->actor.size > ACTOR_BYTES_MAX || note->reason.size > REASON_BYTES_MAX) cursor->bad = true;
}

static void closed_encode(const struct closed_cycle *closed, struct sink *sink)
{
    sink_signed(sink, closed->start_us);
    sink_number(sink, closed->end_us - closed->start_us);
    sink_signed(sink, closed->limit);
    sink_number(sink, closed->used);
    sink_number(sink, closed->refunded);
    sink_number(sink, closed->denied);
    sink_number(sink, closed->peak);
    sink_number(sink, closed->count);
}

static void closed_decode(struct cursor *cursor, struct closed_cycle *closed)
{
    closed->start_us = cursor_signed(cursor);
    int64_t length_us = cursor_number(cursor);
    bool sane = closed->start_us >= -INSTANT_MAX_US && closed->start_us <= INSTANT_MAX_US && length_us >= 1;
    if (!sane || __builtin_add_overflow(closed->start_us, length_us, &closed->end_us)) cursor->bad = true;
    closed->limit = cursor_signed(cursor);
    closed->used = cursor_number(cursor);
    closed->refunded = cursor_number(cursor);
    closed->denied = cursor_number(cursor);
    closed->peak = cursor_number(cursor);
    closed->count = cursor_number_between(cursor, 1, length_us);
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
    FIELD_BODY,
    FIELD_PERIOD,
    FIELD_CODE, /* of a period that the slot has */
    FIELD_PERIOD_US,
    FIELD_ANCHOR,
    FIELD_EXPIRES,
    FIELD_UNTIL,
    FIELD_AMOUNT,
    FIELD_PEAK,
    FIELD_STATE,
    FIELD_OUTCOME,
    FIELD_WINDOW,
    FIELD_CLOSED,
    FIELD_LOG,
    FIELD_HOLD,
    FIELD_NOTE,
};

/* What each kind says, in this order, FIELD_END behind it: the wire format. */
static const uint8_t fields_of[CHANGE_KINDS_END][5] = {
    [CHANGE_PLAN] = {FIELD_BYTES},
    [CHANGE_LIFE] = {FIELD_STATE, FIELD_ANCHOR, FIELD_EXPIRES, FIELD_BODY},
    [CHANGE_NEXT] = {FIELD_UNTIL, FIELD_BYTES},
    [CHANGE_SLOT] = {FIELD_BYTES},
    [CHANGE_OWN] = {FIELD_SLOT, FIELD_UNTIL, FIELD_BYTES},
    [CHANGE_WINDOW] = {FIELD_SLOT, FIELD_WINDOW},
    [CHANGE_DROP] = {FIELD_SLOT, FIELD_PERIOD},
    [CHANGE_CLOSED] = {FIELD_SLOT, FIELD_PERIOD, FIELD_CLOSED},
    [CHANGE_AMENDED] = {FIELD_SLOT, FIELD_PERIOD, FIELD_CLOSED},
    [CHANGE_RATES] = {FIELD_SLOT, FIELD_BYTES},
    [CHANGE_ROLLED] = {FIELD_SLOT, FIELD_PERIOD_US, FIELD_LOG},
    [CHANGE_WITHDRAWN] = {FIELD_SLOT, FIELD_PERIOD_US, FIELD_LOG},
    [CHANGE_EMPTIED] = {FIELD_SLOT},
    [CHANGE_RECORD] = {FIELD_EXPIRES, FIELD_KEY, FIELD_BODY},
    [CHANGE_REWRITE] = {FIELD_KEY, FIELD_BODY},
    [CHANGE_HOLD] = {FIELD_KEY, FIELD_HOLD},
    [CHANGE_EXTEND] = {FIELD_KEY, FIELD_EXPIRES},
    [CHANGE_RESOLVE] = {FIELD_KEY, FIELD_OUTCOME, FIELD_AMOUNT},
    [CHANGE_NOTE] = {FIELD_NOTE},
    [CHANGE_USED] = {FIELD_SLOT, FIELD_CODE, FIELD_AMOUNT, FIELD_PEAK},
};

static void field_encode(const struct change *change, enum field field, struct sink *sink)
{
    switch (field) {
    case FIELD_SLOT: sink_number(sink, change->slot); break;
    case FIELD_BYTES:
    case FIELD_KEY: sink_bytes(sink, change->bytes); break;
    case FIELD_BODY: sink_bytes(sink, change->body); break;
    case FIELD_PERIOD:
    case FIELD_CODE: sink_number(sink, (int64_t)change->period); break;
    case FIELD_PERIOD_US: sink_number(sink, change->period_us); break;
    case FIELD_ANCHOR: sink_signed(sink, change->anchor_us); break;
    case FIELD_EXPIRES: sink_number(sink, change->expires_us); break;
    case FIELD_UNTIL: sink_number(sink, change->until_us); break;
    case FIELD_AMOUNT: sink_number(sink, change->amount); break;
    case FIELD_PEAK: sink_number(sink, change->peak); break;
    case FIELD_STATE: sink_byte(sink, change->state); break;
    case FIELD_OUTCOME: sink_byte(sink, change->outcome); break;
    case FIELD_WINDOW: window_encode(&change->window, sink); break;
    case FIELD_CLOSED: closed_encode(&change->closed, sink); break;
    case FIELD_LOG: log_encode(&change->log, sink); break;
    case FIELD_HOLD: hold_encode(&change->hold, sink); break;
    case FIELD_NOTE: note_encode(&change->note, sink); break;
    case FIELD_END: break;
    }
}

static int64_t anchor_decode(struct cursor *cursor)
{
    int64_t anchor_us = cursor_signed(cursor);
    if (anchor_us < -INSTANT_MAX_US || anchor_us > INSTANT_MAX_US) cursor->bad = true;
    return anchor_us;
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

static void field_decode(struct cursor *cursor, enum field field, struct change *change)
{
    switch (field) {
    case FIELD_SLOT: change->slot = (uint32_t)cursor_number_between(cursor, 0, ACCOUNT_SLOTS_MAX - 1); break;
    case FIELD_BYTES: change->bytes = cursor_bytes(cursor); break;
    case FIELD_KEY: change->bytes = bytes_decode(cursor, 1, RECEIPT_KEY_MAX); break;
    case FIELD_BODY: change->body = bytes_decode(cursor, 0, RECEIPT_BODY_MAX); break;
    case FIELD_PERIOD: change->period = period_decode(cursor); break;
    case FIELD_CODE: change->period = (uint64_t)cursor_number(cursor); break;
    case FIELD_PERIOD_US: change->period_us = cursor_number_between(cursor, 1, DURATION_MAX_US); break;
    case FIELD_ANCHOR: change->anchor_us = anchor_decode(cursor); break;
    case FIELD_EXPIRES: change->expires_us = cursor_number_between(cursor, 0, INSTANT_MAX_US); break;
    case FIELD_UNTIL: change->until_us = cursor_number_between(cursor, 0, INSTANT_MAX_US); break;
    case FIELD_AMOUNT: change->amount = cursor_number(cursor); break;
    case FIELD_PEAK: change->peak = cursor_number(cursor); break;
    case FIELD_STATE: change->state = byte_decode(cursor, 0, ACCOUNT_STATES_COUNT - 1); break;
    case FIELD_OUTCOME: change->outcome = byte_decode(cursor, HOLD_COMMITTED, HOLD_EXPIRED); break;
    case FIELD_WINDOW: window_decode(cursor, &change->window); break;
    case FIELD_CLOSED: closed_decode(cursor, &change->closed); break;
    case FIELD_LOG: log_decode(cursor, &change->log); break;
    case FIELD_HOLD: hold_decode(cursor, &change->hold); break;
    case FIELD_NOTE: note_decode(cursor, &change->note); break;
    case FIELD_END: break;
    }
}

void change_encode(const struct change *change, struct sink *sink)
{
    sink_byte(sink, (uint8_t)change->kind);
    const uint8_t *field = fields_of[change->kind];
    for (; *field != FIELD_END; field++) field_encode(change, (enum field) * field, sink);
}

void change_decode(struct cursor *cursor, struct change *change)
{
    uint8_t kind = byte_decode(cursor, CHANGE_PLAN, CHANGE_KINDS_END - 1);
    change->kind = (enum change_kind)kind; /* fields it does not name mean nothing; there are many of them */
    if (cursor->bad) return;
    const uint8_t *field = fields_of[kind];
    for (; *field != FIELD_END && !cursor->bad; field++) field_decode(cursor, (enum field) * field, change);
    if (cursor->bad) return;
    bool ends_nothing = (kind == CHANGE_NEXT || kind == CHANGE_OWN) && change->bytes.size == 0 && change->until_us > 0;
    if (ends_nothing) cursor->bad = true;
    bool named = kind == CHANGE_LIFE && change->body.size > 0;
    if (named && !zone_name_valid(change->body)) cursor->bad = true;
}

/* Reads and writes accounts; the byte forms are drawn in account_codec.h. */
#include "quota/account/account_codec.h"
#include "quota/account/idempotency_codec.h"
#include "quota/base/memory.h"
#include "quota/rate/limiter_codec.h"
#include "quota/rate/sliding_log.h"

#define HEAD         (ACCOUNT_KIND << 4 | ACCOUNT_ENCODING_NEWEST)
#define LASTING_FLAG 0x80u

/* ---- out ------------------------------------------------------------------------------------------------- */

static void encode_plan(const struct plan *plan, struct sink *sink)
{
    sink_bytes(sink, plan ? plan->bytes : (struct bytes){"", 0});
}

/* A window without the denials that nobody has written down. */
static void encode_windows(const struct slot *slot, struct sink *sink)
{
    sink_number(sink, slot->windows_count);
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        struct window window = slot_window(slot, i);
        window.denied = slot->windows[i].rest ? slot->windows[i].rest->denied : 0;
        window_encode(&window, sink);
    }
}

static void encode_rates(const struct slot *slot, struct sink *sink)
{
    struct sink rates = {0};
    if (slot->rates) limiter_encode(slot->rates, &rates);
    sink_bytes(sink, (struct bytes){rates.data, rates.size});
    sink_free(&rates);
}

static void encode_slot(const struct slot *slot, struct sink *sink)
{
    static const struct slot_rest nothing;
    const struct slot_rest *rest = slot->rest ? slot->rest : &nothing;
    sink_bytes(sink, interned_string_bytes(slot->resource));
    encode_windows(slot, sink);
    encode_rates(slot, sink);
    encode_plan(rest->own, sink);
    sink_number(sink, rest->own_until_us);
    sink_number(sink, rest->rollings_count);
    for (uint32_t i = 0; i < rest->rollings_count; i++) {
        sink_number(sink, rest->rollings[i].period_us);
        sliding_log_encode(rest->rollings[i].log, sink);
    }
    sink_number(sink, rest->pasts_count);
    for (uint32_t i = 0; i < rest->pasts_count; i++) {
        sink_number(sink, (int64_t)rest->pasts[i].period);
        history_encode(rest->pasts[i].history, sink);
    }
}

void account_encode(const struct account *account, struct sink *sink)
{
    static const struct account_rest nothing;
    const struct account_rest *rest = account->rest ? account->rest : &nothing;
    sink_byte(sink, HEAD);
    sink_number(sink, account->settled_us);
    sink_signed(sink, account->anchor_us);
    sink_byte(sink, account->state);
    sink_bytes(sink, interned_string_bytes(account->zone));
    encode_plan(account->plan, sink);
    sink_number(sink, rest->expires_us);
    encode_plan(rest->next, sink);
    sink_number(sink, rest->next_us);
    sink_number(sink, account->slots_count);
    for (uint32_t i = 0; i < account->slots_count; i++) encode_slot(&account->slots[i], sink);
    receipts_encode(account->receipts, sink);
    sink_number(sink, rest->holds.count);
    for (uint32_t i = 0; i < rest->holds.count; i++) {
        sink_bytes(sink, hold_id(rest->holds.by_expiry[i]));
        hold_encode(&rest->holds.by_expiry[i]->hold, sink);
    }
    sink_number(sink, rest->notes_count);
    for (uint32_t i = 0; i < rest->notes_count; i++) {
        sink_bytes(sink, (struct bytes){rest->notes[i]->bytes, rest->notes[i]->size});
    }
}

/* ---- in -------------------------------------------------------------------------------------------------- */

static const struct plan *decode_plan(struct cursor *cursor, bool may_miss)
{
    struct bytes bytes = cursor_bytes(cursor);
    if (cursor->bad || (bytes.size == 0 && may_miss)) return NULL;
    const struct plan *plan = plan_take(bytes);
    if (!plan) cursor->bad = true;
    return plan;
}

static void *allocate(int64_t count, size_t size)
{
    if (count == 0) return NULL;
    void *array = memory_alloc((size_t)count * size);
    memset(array, 0, (size_t)count * size);
    return array;
}

static void decode_windows(struct cursor *cursor, struct slot *slot)
{
    struct window window;
    uint32_t count = (uint32_t)cursor_number_between(cursor, 0, SLOT_WINDOWS_MAX);
    slot->windows = allocate(count, sizeof(*slot->windows));
    for (uint32_t i = 0; i < count && !cursor->bad; i++) {
        window_decode(cursor, &window);
        if (i > 0 && window.period <= slot->windows[i - 1].period) cursor->bad = true;
        if (cursor->bad) return;
        slot_adopt_window(slot, &window);
    }
}

static void decode_rates(struct cursor *cursor, struct slot *slot)
{
    struct bytes bytes = cursor_bytes(cursor);
    if (bytes.size == 0) return;
    slot->rates = limiter_decode(bytes);
    if (!slot->rates) cursor->bad = true;
}

static void decode_rollings(struct cursor *cursor, struct slot_rest *rest)
{
    int64_t before_us = 0;
    uint32_t count = (uint32_t)cursor_number_between(cursor, 0, SLOT_WINDOWS_MAX);
    rest->rollings = allocate(count, sizeof(*rest->rollings));
    for (uint32_t i = 0; i < count && !cursor->bad; i++) {
        struct rolling *rolling = &rest->rollings[rest->rollings_count++];
        rolling->period_us = cursor_number_between(cursor, before_us + 1, DURATION_MAX_US);
        rolling->log = sliding_log_decode(cursor);
        before_us = rolling->period_us;
        if (!rolling->log) cursor->bad = true;
    }
}

static void decode_pasts(struct cursor *cursor, struct slot_rest *rest)
{
    struct period period;
    uint32_t count = (uint32_t)cursor_number_between(cursor, 0, SLOT_PASTS_MAX);
    rest->pasts = allocate(count, sizeof(*rest->pasts));
    for (uint32_t i = 0; i < count && !cursor->bad; i++) {
        struct past *past = &rest->pasts[rest->pasts_count++];
        past->period = (uint64_t)cursor_number(cursor);
        past->history = history_decode(cursor);
        bool ordered = i == 0 || rest->pasts[i - 1].period < past->period;
        if (!ordered || !past->history || !period_from_code(past->period, &period)) cursor->bad = true;
    }
}

/* Into a slot that is there already, so that a half-read one is freed with the others. */
static void decode_slot(struct cursor *cursor, struct slot *slot)
{
    struct slot_rest rest = {0};
    struct bytes resource = cursor_bytes(cursor);
    if (resource.size == 0 || resource.size > RESOURCE_NAME_MAX) cursor->bad = true;
    if (cursor->bad) return;
    slot->resource = interned_string_take(resource);
    decode_windows(cursor, slot);
    decode_rates(cursor, slot);
    rest.own = decode_plan(cursor, true);
    rest.own_until_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    if (rest.own ? !plan_find(rest.own, resource) : rest.own_until_us > 0) cursor->bad = true;
    decode_rollings(cursor, &rest);
    decode_pasts(cursor, &rest);
    if (!rest.own && !rest.rollings && !rest.pasts) return;
    slot->rest = memory_alloc(sizeof(rest));
    *slot->rest = rest;
}

/* Slots are read one by one, and laid into the account's block once it is known how large that is. */
static struct account *decode_slots(struct cursor *cursor, struct account *account)
{
    uint32_t read = 0, count = (uint32_t)cursor_number_between(cursor, 0, ACCOUNT_SLOTS_MAX);
    struct slot *slots = allocate(count, sizeof(*slots));
    while (read < count && !cursor->bad) {
        struct slot *slot = &slots[read++];
        decode_slot(cursor, slot);
        for (uint32_t i = 0; i + 1 < read; i++) {
            if (slots[i].resource == slot->resource) cursor->bad = true;
        }
    }
    account = account_adopt_slots(account, slots, read);
    memory_free(slots);
    return account;
}

/* Reservations and notes come in by the writer, as changes of what was read so far. */
static struct account *decode_parts(struct cursor *cursor, struct account *account)
{
    int64_t count = cursor_number_between(cursor, 0, ACCOUNT_HOLDS_MAX);
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        struct change hold = {.kind = CHANGE_HOLD, .bytes = cursor_bytes(cursor)};
        hold_decode(cursor, &hold.hold);
        bool sane = hold.bytes.size > 0 && hold.bytes.size <= ID_BYTES_MAX && hold.hold.slot < account->slots_count &&
                    account_adopt_part(account, &hold);
        if (!sane) cursor->bad = true;
    }
    count = cursor_number_between(cursor, 0, ACCOUNT_NOTES_MAX);
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        struct change note = {.kind = CHANGE_NOTE};
        struct bytes bytes = cursor_bytes(cursor);
        struct cursor inside = cursor_init(bytes);
        note_decode(&inside, &note.note);
        if (!cursor_done(&inside) || !account_adopt_part(account, &note)) cursor->bad = true;
    }
    return account;
}

static void decode_head(struct cursor *cursor, struct account *account)
{
    struct account_rest rest = {0};
    account->settled_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    account->anchor_us = cursor_signed(cursor);
    account->state = cursor_byte(cursor);
    struct bytes zone = cursor_bytes(cursor);
    bool sane = account->anchor_us >= -INSTANT_MAX_US && account->anchor_us <= INSTANT_MAX_US &&
                account->state < ACCOUNT_STATES_COUNT && (zone.size == 0 || zone_name_valid(zone));
    if (!sane) cursor->bad = true;
    if (!cursor->bad && zone.size > 0) account->zone = interned_string_take(zone);
    account->plan = decode_plan(cursor, false);
    rest.expires_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    rest.next = decode_plan(cursor, true);
    rest.next_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    if (!rest.next && rest.next_us > 0) cursor->bad = true;
    if (rest.expires_us == 0 && !rest.next) return;
    account->rest = memory_alloc(sizeof(rest));
    *account->rest = rest;
}

struct account *account_decode(struct bytes bytes)
{
    struct cursor cursor = cursor_init(bytes);
    if (cursor_byte(&cursor) != HEAD) return NULL;
    struct account *account = account_new();
    decode_head(&cursor, account);
    account = decode_slots(&cursor, account);
    account->receipts = receipts_decode(&cursor);
    decode_parts(&cursor, account);
    if (cursor_done(&cursor)) return account;
    account_free(account);
    return NULL;
}

/* ---- effects --------------------------------------------------------------------------------------------- */

void account_effects_encode(const struct account_change *change, bool lasting, struct sink *sink)
{
    sink_byte(sink, (uint8_t)(HEAD | (lasting ? LASTING_FLAG : 0)));
    sink_number(sink, change->settled_us);
    sink_raw(sink, change->changes.data, change->changes.size);
}

bool account_effects_decode(struct bytes bytes, struct account_change *change, bool *lasting)
{
    struct cursor cursor = cursor_init(bytes);
    uint8_t head = cursor_byte(&cursor);
    *lasting = head & LASTING_FLAG;
    change->settled_us = cursor_number_between(&cursor, 1, INSTANT_MAX_US);
    if (cursor.bad || (head & ~LASTING_FLAG) != HEAD || cursor.at == cursor.size) return false;
    change->changes = (struct bytes){bytes.data + cursor.at, bytes.size - cursor.at};
    return true;
}

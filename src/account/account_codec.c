/* Reads and writes accounts; the byte forms are drawn in account_codec.h. */
#include "quota/account/account_codec.h"
#include "quota/account/account_parts.h"
#include "quota/account/change_parts.h"
#include "quota/account/idempotency_codec.h"
#include "quota/base/memory.h"
#include "quota/rate/limiter_codec.h"
#include "quota/rate/sliding_log.h"

/* ---- out ------------------------------------------------------------------------------------------------- */

static void encode_plan(const struct plan *plan, struct sink *sink)
{
    sink_bytes(sink, plan ? plan->bytes : (struct bytes){"", 0});
}

/* A window without the denials that are not written down yet. */
static void encode_windows(const struct slot *slot, struct sink *sink)
{
    sink_number(sink, slot->windows_count);
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        struct window window = slot_window(slot, i);
        window.denied = slot->windows[i].optional ? slot->windows[i].optional->denied : 0;
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
    static const struct slot_optional nothing;
    const struct slot_optional *optional = slot->optional ? slot->optional : &nothing;
    sink_bytes(sink, interned_string_bytes(slot->resource));
    encode_windows(slot, sink);
    encode_rates(slot, sink);
    encode_plan(optional->override, sink);
    sink_number(sink, optional->override_until_us);
    sink_number(sink, optional->generation);
    sink_number(sink, optional->transferred);
    if (optional->transferred > 0) sink_number(sink, optional->transferred_since_us);
    sink_number(sink, optional->rollings_count);
    for (uint32_t i = 0; i < optional->rollings_count; i++) {
        sink_number(sink, optional->rollings[i].period_us);
        sliding_log_encode(optional->rollings[i].log, sink);
    }
    sink_number(sink, optional->histories_count);
    for (uint32_t i = 0; i < optional->histories_count; i++) {
        sink_number(sink, (int64_t)optional->histories[i].period);
        history_encode(optional->histories[i].history, sink);
    }
    sink_bytes(sink, slot_bill(slot));
}

/* Held units are not written: the reservations say them. */
static void encode_grants(const struct grants *grants, struct sink *sink)
{
    sink_number(sink, grants->made);
    if (grants->made == 0) return;
    sink_number(sink, grants->once_count);
    sink_number(sink, grants->count);
    for (uint32_t i = 0; i < grants->count; i++) {
        sink_bytes(sink, grant_id(grants->by_number[i]));
        grant_encode(&grants->by_number[i]->grant, sink);
    }
}

static void encode_api_keys(const struct api_keys *keys, struct sink *sink)
{
    sink_number(sink, keys->made);
    if (keys->made == 0) return;
    sink_number(sink, keys->count);
    for (uint32_t i = 0; i < keys->count; i++) {
        struct sink rates = {0};
        if (keys->by_number[i]->rates) limiter_encode(keys->by_number[i]->rates, &rates);
        api_key_encode(&keys->by_number[i]->key, sink);
        sink_bytes(sink, sink_content(&rates));
        sink_free(&rates);
    }
}

/* The parent, and those whose parent it is. */
static void encode_organisation(const struct account *account, struct sink *sink)
{
    const struct members *members = account_members(account);
    sink_bytes(sink, account_parent(account));
    sink_number(sink, members->made);
    if (members->made == 0) return;
    sink_number(sink, members->count);
    for (uint32_t i = 0; i < members->count; i++) member_encode(members->by_number[i], sink);
    members_divided_encode(members, sink);
}

void account_encode(const struct account *account, struct sink *sink)
{
    static const struct account_optional nothing;
    const struct account_optional *optional = account->optional ? account->optional : &nothing;
    format_write_head(&account_format, false, sink);
    struct account_status status = account_status(account);
    sink_number(sink, account->applied_at_us);
    account_status_encode(&status, sink);
    encode_plan(account->plan, sink);
    encode_plan(optional->next, sink);
    sink_number(sink, optional->next_us);
    sink_byte(sink, optional->next_how);
    sink_number(sink, account->slots_count);
    for (uint32_t i = 0; i < account->slots_count; i++) encode_slot(&account->slots[i], sink);
    idempotency_encode(account->idempotency, sink);
    encode_grants(&optional->grants, sink);
    encode_api_keys(account_api_keys(account), sink);
    encode_organisation(account, sink);
    sink_number(sink, optional->holds.count);
    for (uint32_t i = 0; i < optional->holds.count; i++) {
        sink_bytes(sink, hold_id(optional->holds.by_expiry[i]));
        hold_encode(&optional->holds.by_expiry[i]->hold, sink);
    }
    sink_number(sink, optional->audit_count);
    for (uint32_t i = 0; i < optional->audit_count; i++) {
        sink_bytes(sink, (struct bytes){optional->audit[i]->bytes, optional->audit[i]->size});
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

static void decode_windows(struct cursor *cursor, uint8_t encoding, struct slot *slot)
{
    struct window window;
    uint32_t count = (uint32_t)cursor_number_between(cursor, 0, SLOT_WINDOWS_MAX);
    slot->windows = allocate(count, sizeof(*slot->windows));
    for (uint32_t i = 0; i < count && !cursor->bad; i++) {
        window_decode(cursor, encoding, &window);
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

static void decode_rollings(struct cursor *cursor, struct slot_optional *optional)
{
    int64_t before_us = 0;
    uint32_t count = (uint32_t)cursor_number_between(cursor, 0, SLOT_WINDOWS_MAX);
    optional->rollings = allocate(count, sizeof(*optional->rollings));
    for (uint32_t i = 0; i < count && !cursor->bad; i++) {
        struct rolling *rolling = &optional->rollings[optional->rollings_count++];
        rolling->period_us = cursor_number_between(cursor, before_us + 1, DURATION_MAX_US);
        rolling->log = sliding_log_decode(cursor);
        before_us = rolling->period_us;
        if (!rolling->log) cursor->bad = true;
    }
}

static void decode_histories(struct cursor *cursor, struct slot_optional *optional)
{
    struct period period;
    uint32_t count = (uint32_t)cursor_number_between(cursor, 0, SLOT_HISTORIES_MAX);
    optional->histories = allocate(count, sizeof(*optional->histories));
    for (uint32_t i = 0; i < count && !cursor->bad; i++) {
        struct period_history *past = &optional->histories[optional->histories_count++];
        past->period = (uint64_t)cursor_number(cursor);
        past->history = history_decode(cursor);
        bool ordered = i == 0 || optional->histories[i - 1].period < past->period;
        if (!ordered || !past->history || !period_from_code(past->period, &period)) cursor->bad = true;
    }
}

static void decode_bill(struct cursor *cursor, struct slot_optional *optional)
{
    struct bill bill;
    struct bytes bytes = cursor_bytes(cursor);
    bool good = !cursor->bad && bill_decode(bytes, &bill);
    if (good) slot_optional_set_bill(optional, bytes);
    if (!good) cursor->bad = true;
}

/* Into a slot that is there already, so that a half-read one is freed with the others. */
static void decode_slot(struct cursor *cursor, uint8_t encoding, struct slot *slot)
{
    struct slot_optional optional = {0};
    struct bytes resource = cursor_bytes(cursor);
    if (resource.size == 0 || resource.size > RESOURCE_NAME_MAX) cursor->bad = true;
    if (cursor->bad) return;
    slot->resource = interned_string_take(resource);
    decode_windows(cursor, encoding, slot);
    decode_rates(cursor, slot);
    optional.override = decode_plan(cursor, true);
    optional.override_until_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    if (encoding != ACCOUNT_ENCODING_FIRST) optional.generation = cursor_number(cursor);
    if (encoding >= ACCOUNT_ENCODING_CREDITS) optional.transferred = cursor_number(cursor);
    if (optional.transferred > 0) optional.transferred_since_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    if (optional.override ? !plan_find(optional.override, resource) : optional.override_until_us > 0)
        cursor->bad = true;
    decode_rollings(cursor, &optional);
    decode_histories(cursor, &optional);
    if (encoding >= ACCOUNT_ENCODING_ORGANISATIONS) decode_bill(cursor, &optional);
    bool needed = optional.override || optional.rollings || optional.histories || optional.generation > 0 ||
                  optional.transferred > 0 || optional.bill;
    if (!needed) return;
    slot->optional = memory_alloc(sizeof(optional));
    *slot->optional = optional;
}

/* Slots are read one by one, and laid into the account's block once it is known how large that is. */
static struct account *decode_slots(struct cursor *cursor, uint8_t encoding, struct account *account)
{
    uint32_t read = 0, count = (uint32_t)cursor_number_between(cursor, 0, ACCOUNT_SLOTS_MAX);
    struct slot *slots = allocate(count, sizeof(*slots));
    while (read < count && !cursor->bad) {
        struct slot *slot = &slots[read++];
        decode_slot(cursor, encoding, slot);
        for (uint32_t i = 0; i + 1 < read; i++) {
            if (slots[i].resource == slot->resource) cursor->bad = true;
        }
    }
    account = account_adopt_slots(account, slots, read);
    memory_free(slots);
    return account;
}

static void decode_grants(struct cursor *cursor, struct account *account)
{
    int64_t made = cursor_number(cursor);
    if (made == 0 || cursor->bad) return;
    int64_t once = cursor_number_between(cursor, 0, UINT32_MAX), count = cursor_number_between(cursor, 0, UINT32_MAX);
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        struct change grant = {.kind = CHANGE_GRANT, .bytes = cursor_bytes(cursor)};
        grant_decode(cursor, &grant.grant);
        bool sane = grant.bytes.size > 0 && grant.bytes.size <= ID_BYTES_MAX &&
                    grant.grant.slot < account->slots_count && grant.grant.number <= made &&
                    account_adopt_part(account, &grant);
        if (!sane) cursor->bad = true;
    }
    if (cursor->bad) return;
    account_adopt_grants_made(account, made, (uint32_t)once);
}

static void decode_api_keys(struct cursor *cursor, struct account *account)
{
    int64_t made = cursor_number(cursor), before = 0;
    if (made == 0 || cursor->bad) return;
    int64_t count = cursor_number_between(cursor, 0, API_KEYS_STORED_MAX);
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        struct api_key key;
        api_key_decode(cursor, &key);
        struct bytes rates = cursor_bytes(cursor);
        bool sane = !cursor->bad && key.number > before && key.number <= made &&
                    (rates.size == 0 || key.rules.size > 0) && !api_keys_find(account_api_keys(account), key.digest);
        struct limiter *limiter = sane && rates.size > 0 ? limiter_decode(rates) : NULL;
        if (!sane || (rates.size > 0 && !limiter)) cursor->bad = true;
        if (!cursor->bad) account_adopt_api_key(account, &key, limiter);
        before = key.number;
    }
    if (!cursor->bad) account_adopt_api_keys_made(account, made);
}

static void decode_organisation(struct cursor *cursor, struct account *account)
{
    struct bytes parent = cursor_bytes(cursor);
    if (parent.size > MEMBER_NAME_MAX) cursor->bad = true;
    if (!cursor->bad && parent.size > 0) account_adopt_parent(account, parent);
    int64_t made = cursor_number(cursor), before = 0;
    if (made == 0 || cursor->bad) return;
    int64_t count = cursor_number_between(cursor, 0, MEMBERS_STORED_MAX);
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        struct member *member = member_decode(cursor);
        if (!member) return;
        bool sane = member->number > before && member->number <= made &&
                    !members_find(account_members(account), member_name(member));
        before = member->number;
        account_adopt_member(account, member); /* it is freed with the account */
        if (!sane) cursor->bad = true;
    }
    if (!cursor->bad) account_adopt_divided(account, cursor);
    if (!cursor->bad) account_adopt_members_made(account, made);
}

/* Reservations and audit come in by the writer, as changes of what was read so far. */
static struct account *decode_parts(struct cursor *cursor, struct account *account)
{
    int64_t count = cursor_number_between(cursor, 0, UINT32_MAX);
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        struct change hold = {.kind = CHANGE_HOLD, .bytes = cursor_bytes(cursor)};
        hold_decode(cursor, &hold.hold);
        size_t most = hold.hold.of_member ? MEMBER_HOLD_ID_MAX : ID_BYTES_MAX;
        bool sane = hold.bytes.size > 0 && hold.bytes.size <= most && hold.hold.slot < account->slots_count &&
                    account_adopt_part(account, &hold);
        if (!sane) cursor->bad = true;
    }
    count = cursor_number_between(cursor, 0, ACCOUNT_AUDIT_MAX);
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        struct change entry = {.kind = CHANGE_AUDIT};
        struct bytes bytes = cursor_bytes(cursor);
        struct cursor inside = cursor_init(bytes);
        audit_entry_decode(&inside, &entry.audit);
        if (!cursor_done(&inside) || !account_adopt_part(account, &entry)) cursor->bad = true;
    }
    return account;
}

/* The plan that is to come, and its instant. */
static void decode_next(struct cursor *cursor, struct account_optional *optional)
{
    optional->next = decode_plan(cursor, true);
    optional->next_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
}

/* Puts what stands in front of the slots into the account. */
static void adopt_front(struct cursor *cursor, const struct account_status *status, struct account_optional *optional,
                        struct account *account)
{
    bool nothing_next = optional->next_us == 0 && optional->next_how == 0;
    if ((!optional->next && !nothing_next) || optional->next_how >= SWITCH_HOWS_COUNT) cursor->bad = true;
    plan_count_account(account->plan, 1);
    account->state = status->state;
    account->anchor_us = status->anchor_us;
    optional->expires_us = status->expires_us;
    optional->suspended_until_us = status->suspended_until_us;
    optional->opened_us = status->opened_us;
    optional->restarted = status->restarted;
    if (!cursor->bad && status->zone.size > 0) account->zone = interned_string_take(status->zone);
    if (!cursor->bad && status->then.size > 0) optional->then = interned_string_take(status->then);
    bool needed = status->expires_us > 0 || status->suspended_until_us > 0 || status->opened_us > 0 || optional->then;
    needed = needed || status->restarted;
    if (!needed && !optional->next) return;
    account->optional = memory_alloc(sizeof(*optional));
    *account->optional = *optional;
}

static void *decode_behind_front(struct cursor *cursor, uint8_t encoding, struct account *account)
{
    account = decode_slots(cursor, encoding, account);
    account->idempotency = idempotency_decode(cursor, encoding == ACCOUNT_ENCODING_FIRST);
    if (encoding >= ACCOUNT_ENCODING_CREDITS) decode_grants(cursor, account);
    if (encoding >= ACCOUNT_ENCODING_ROLLOVER) decode_api_keys(cursor, account);
    if (encoding >= ACCOUNT_ENCODING_ORGANISATIONS) decode_organisation(cursor, account);
    decode_parts(cursor, account);
    if (cursor_done(cursor)) return account;
    account_free(account);
    return NULL;
}

/* Here the plan stands inside the status, between the zone and the expiry. */
static void *decode_first(struct cursor *cursor)
{
    struct account *account = account_new();
    struct account_optional optional = {0};
    struct account_status status = {.then = {"", 0}};
    account->applied_at_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    status.anchor_us = cursor_signed(cursor);
    status.state = cursor_byte(cursor);
    status.zone = cursor_bytes(cursor);
    account->plan = decode_plan(cursor, false);
    status.expires_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    bool sane = status.anchor_us >= -INSTANT_MAX_US && status.anchor_us <= INSTANT_MAX_US &&
                status.state < ACCOUNT_STATES_COUNT && (status.zone.size == 0 || zone_name_valid(status.zone));
    if (!sane) cursor->bad = true;
    decode_next(cursor, &optional);
    adopt_front(cursor, &status, &optional, account);
    return decode_behind_front(cursor, ACCOUNT_ENCODING_FIRST, account);
}

static void *decode_since_plan_history(struct cursor *cursor, uint8_t encoding)
{
    struct account *account = account_new();
    struct account_optional optional = {0};
    struct account_status status;
    account->applied_at_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    account_status_decode(cursor, ACCOUNT_ENCODING_PLAN_HISTORY, &status);
    account->plan = decode_plan(cursor, false);
    decode_next(cursor, &optional);
    optional.next_how = cursor_byte(cursor);
    adopt_front(cursor, &status, &optional, account);
    return decode_behind_front(cursor, encoding, account);
}

static void *decode_plan_history(struct cursor *cursor)
{
    return decode_since_plan_history(cursor, ACCOUNT_ENCODING_PLAN_HISTORY);
}

static void *decode_credits(struct cursor *cursor)
{
    return decode_since_plan_history(cursor, ACCOUNT_ENCODING_CREDITS);
}

static void *decode_rollover(struct cursor *cursor)
{
    return decode_since_plan_history(cursor, ACCOUNT_ENCODING_ROLLOVER);
}

static void *decode_organisations(struct cursor *cursor)
{
    return decode_since_plan_history(cursor, ACCOUNT_ENCODING_ORGANISATIONS);
}

const struct format account_format = {
    .name = "account",
    .kind = ACCOUNT_KIND,
    .newest = ACCOUNT_ENCODING_NEWEST,
    .decode = {[ACCOUNT_ENCODING_FIRST] = decode_first,
               [ACCOUNT_ENCODING_PLAN_HISTORY] = decode_plan_history,
               [ACCOUNT_ENCODING_CREDITS] = decode_credits,
               [ACCOUNT_ENCODING_ROLLOVER] = decode_rollover,
               [ACCOUNT_ENCODING_ORGANISATIONS] = decode_organisations},
};

struct account *account_decode(struct bytes bytes)
{
    return format_decode(&account_format, bytes);
}

/* ---- effects --------------------------------------------------------------------------------------------- */

void account_effects_encode(const struct account_change *change, bool no_expire, struct sink *sink)
{
    format_write_head(&account_format, no_expire, sink);
    sink_number(sink, change->applied_at_us);
    if (change->first_event.sequence > 0) {
        sink_byte(sink, EVENTS_FOLLOW);
        sink_byte(sink, (uint8_t)change->level);
        sink_number(sink, change->first_event.epoch);
        sink_number(sink, change->first_event.sequence);
    }
    sink_raw(sink, change->changes.data, change->changes.size);
}

/* In front of the changes, if they make events. */
static bool first_event_decode(struct cursor *cursor, struct account_change *change)
{
    change->events = NULL;
    change->first_event = (struct event_id){0, 0};
    change->level = EVENTS_NONE;
    bool has = change->encoding >= ACCOUNT_ENCODING_ORGANISATIONS && cursor->at < cursor->size &&
               cursor->data[cursor->at] == EVENTS_FOLLOW;
    if (!has || cursor->bad) return !cursor->bad;
    (void)cursor_byte(cursor);
    change->level = (enum event_level)cursor_byte(cursor);
    change->first_event.epoch = cursor_number_between(cursor, 1, INT64_MAX);
    change->first_event.sequence = cursor_number_between(cursor, 1, INT64_MAX);
    return !cursor->bad && change->level > EVENTS_NONE && change->level < EVENT_LEVELS_COUNT;
}

bool account_effects_decode(struct bytes bytes, struct account_change *change, bool *no_expire)
{
    struct cursor cursor = cursor_init(bytes);
    change->encoding = format_read_head(&account_format, &cursor, no_expire);
    change->applied_at_us = cursor_number_between(&cursor, 1, INSTANT_MAX_US);
    if (!first_event_decode(&cursor, change) || cursor.at == cursor.size) return false;
    change->changes = (struct bytes){bytes.data + cursor.at, bytes.size - cursor.at};
    return true;
}

/* A row per kind of change; see event_maker.h. */
#include "quota/account/event_account.h"
#include "quota/account/event_credits.h"
#include "quota/account/event_limits.h"
#include "quota/base/checked.h"

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* The first change of this kind in the run. */
bool event_find_change(const struct event_maker *maker, enum change_kind kind, struct change *found)
{
    struct cursor cursor = cursor_init(maker->run->changes);
    while (!cursor_done(&cursor) && !cursor.bad) {
        change_decode(&cursor, maker->run->encoding, found);
        if (!cursor.bad && found->kind == kind) return true;
    }
    return false;
}

bool event_find_last(const struct event_maker *maker, enum change_kind kind, struct change *found)
{
    struct cursor cursor = cursor_init(maker->run->changes);
    struct change change;
    bool any = false;
    while (!cursor_done(&cursor) && !cursor.bad) {
        change_decode(&cursor, maker->run->encoding, &change);
        if (cursor.bad || change.kind != kind) continue;
        *found = change;
        any = true;
    }
    return any;
}

/* What an operator did in this run: there is at most one entry. */
bool event_find_audit(const struct event_maker *maker, enum audit_action act, struct audit_entry *entry)
{
    struct change change;
    bool found = event_find_change(maker, CHANGE_AUDIT, &change) && change.audit.act == act;
    if (found) *entry = change.audit;
    return found;
}

struct logged_event event_at(const struct account *account, enum event_type type, int64_t time_us)
{
    struct logged_event event; /* what its fields do not name means nothing */
    event.type = type;
    event.time_us = time_us;
    event.fields = 0;
    if (account && account->plan) event_set_text(&event, EVENT_PLAN, account->plan->name);
    return event;
}

struct logged_event event_now(const struct event_maker *maker, const struct account *account, enum event_type type)
{
    return event_at(account, type, max_i64(maker->run->applied_at_us, account ? account->applied_at_us : 0));
}

void event_set_resource(struct logged_event *event, const struct account *account, uint32_t slot)
{
    event_set_text(event, EVENT_RESOURCE, interned_string_bytes(account->slots[slot].resource));
}

void event_set_instant(struct logged_event *event, enum event_field field, int64_t at_us)
{
    event_set_number(event, field, floor_div(at_us, MICROS_PER_MILLI));
}

void event_set_end(struct logged_event *event, int64_t at_us)
{
    if (at_us > 0 && at_us < INSTANT_MAX_US) event_set_instant(event, EVENT_END, at_us);
}

void event_set_operator(struct logged_event *event, const struct audit_entry *entry)
{
    event_set_text(event, EVENT_ACTOR, entry->actor);
    event_set_text(event, EVENT_REASON, entry->reason);
}

void event_set_amounts(struct logged_event *event, int64_t before, int64_t after, char room[2][24])
{
    struct sink texts[2] = {sink_init(room[0], sizeof(room[0])), sink_init(room[1], sizeof(room[1]))};
    sink_decimal(&texts[0], before);
    sink_decimal(&texts[1], after);
    event_set_text(event, EVENT_BEFORE, sink_content(&texts[0]));
    event_set_text(event, EVENT_AFTER, sink_content(&texts[1]));
}

/* ---- what a resource is granted ---------------------------------------------------------------------------------- */

const struct plan_entry *event_override(const struct slot *slot)
{
    const struct slot_optional *optional = slot->optional;
    if (!optional || !optional->override) return NULL;
    return plan_find(optional->override, interned_string_bytes(slot->resource));
}

/* What the resource is granted: by the plan, and by an override above it; NULL = nothing. */
const struct entitlement *event_entitlement(const struct account *account, const struct slot *slot,
                                            struct entitlement *merged)
{
    const struct plan_entry *override = event_override(slot);
    const struct entitlement *granted = plan_entitlement(account->plan, interned_string_bytes(slot->resource));
    if (!override) return granted;
    if (override->only) return &override->entitlement;
    entitlement_merge(granted, &override->entitlement, override->options, merged);
    return merged;
}

/* ---- what the run charges ---------------------------------------------------------------------------------------- */

static struct consumed *consumed_of(struct event_maker *maker, uint32_t slot)
{
    for (uint32_t i = 0; i < maker->consumed_count; i++) {
        if (maker->consumed[i].slot == slot) return &maker->consumed[i];
    }
    if (maker->consumed_count == CONSUMED_MAX) return NULL;
    struct consumed *consumed = &maker->consumed[maker->consumed_count++];
    *consumed = (struct consumed){.slot = slot};
    return consumed;
}

/* Every limit of a resource counts the same units, so the largest number of them is what they have counted. */
void event_keep_limited(struct event_maker *maker, uint32_t slot, int64_t units)
{
    if (!event_maker_watches_all(maker) || units <= 0) return;
    struct consumed *consumed = consumed_of(maker, slot);
    if (consumed) consumed->limited = max_i64(consumed->limited, units);
}

void event_keep_funded(struct event_maker *maker, uint32_t slot, int64_t units)
{
    if (!event_maker_watches_all(maker) || units <= 0) return;
    struct consumed *consumed = consumed_of(maker, slot);
    if (consumed) consumed->funded = add_clamped(consumed->funded, units);
}

/* ---- consumption ------------------------------------------------------------------------------------------------- */

/* Under which id: of the request, or of the reservation that is posted. */
static struct bytes id_of(const struct event_maker *maker)
{
    static const enum change_kind posted[] = {CHANGE_HOLD_RESOLVED, CHANGE_HOLD_FUNDED, CHANGE_HOLDS_RESOLVED};
    struct change change;
    if (event_find_change(maker, CHANGE_RECORD, &change)) return record_key_id(change.bytes);
    for (size_t i = 0; i < sizeof(posted) / sizeof(posted[0]); i++) {
        if (event_find_change(maker, posted[i], &change)) return change.bytes;
    }
    return (struct bytes){"", 0};
}

/* What an operator has written down is no consumption. */
static void add_consumed(struct event_maker *maker, const struct account *account)
{
    struct change other;
    if (maker->consumed_count == 0 || event_find_change(maker, CHANGE_AUDIT, &other)) return;
    struct bytes id = id_of(maker);
    for (uint32_t i = 0; i < maker->consumed_count; i++) {
        const struct consumed *consumed = &maker->consumed[i];
        struct logged_event event = event_now(maker, account, LOGGED_USAGE_CONSUMED);
        event_set_resource(&event, account, consumed->slot);
        event_set_number(&event, EVENT_AMOUNT, add_clamped(consumed->limited, consumed->funded));
        event_set_text(&event, EVENT_ID, id);
        event_sink_add(maker->sink, &event);
    }
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

/* Reservations stand by expiry, so those that have ended since the last change stand together. */
static void add_expired(struct event_maker *maker, const struct account *account, int64_t now_us)
{
    const struct holds *holds = account_holds(account);
    uint32_t end = holds->count > 0 ? holds_ended(holds, now_us) : 0;
    for (uint32_t i = end > 0 ? holds_ended(holds, account->applied_at_us) : 0; i < end; i++) {
        const struct stored_hold *stored = holds->by_expiry[i];
        const struct hold *hold = &stored->hold;
        if (hold->part > 0 || hold->of_member) continue;
        struct logged_event event = event_at(account, LOGGED_HOLD_EXPIRED, hold->expires_us);
        event_set_text(&event, EVENT_ID, hold_id(stored));
        if (!stored->next) event_set_resource(&event, account, hold->slot);
        if (!stored->next) event_set_number(&event, EVENT_AMOUNT, hold->amount);
        event_sink_add(maker->sink, &event);
    }
}

/* `sweep_us`: none of them ends before. */
static void add_ended_grants(struct event_maker *maker, const struct account *account, int64_t now_us)
{
    const struct grants *grants = account_grants(account);
    if (grants->count == 0 || now_us < grants->sweep_us) return;
    for (uint32_t i = 0; i < grants->count; i++) {
        const struct stored_grant *stored = grants->by_number[i];
        int64_t expires_us = stored->grant.expires_us;
        bool ends = expires_us > account->applied_at_us && expires_us <= now_us;
        if (!ends || (stored->grant.flags & GRANT_VOID)) continue;
        event_watch_credits(maker, account, stored->grant.slot);
        struct logged_event event = event_at(account, LOGGED_GRANT_ENDED, expires_us);
        event_set_resource(&event, account, stored->grant.slot);
        event_set_text(&event, EVENT_ID, grant_id(stored));
        event_set_number(&event, EVENT_AMOUNT, max_i64(stored->grant.balance - stored->held, 0));
        event_sink_add(maker->sink, &event);
    }
}

void event_maker_begin(struct event_maker *maker, const struct account *account, const struct account_change *run)
{
    maker->sink = run->events;
    maker->run = run;
    maker->is_new = !account;
    maker->begins_again = false;
    maker->plan_before_size = 0;
    maker->used_is_known = false;
    maker->watched_count = maker->consumed_count = 0;
    maker->before_us = account ? account->applied_at_us : run->applied_at_us;
    if (!account || !account->optional || run->applied_at_us <= account->applied_at_us) return;
    add_expired(maker, account, run->applied_at_us);
    add_ended_grants(maker, account, run->applied_at_us);
}

static note_change *const notes[CHANGE_KINDS_END] = {
    [CHANGE_PLAN] = event_note_plan,
    [CHANGE_STATUS] = event_note_status,
    [CHANGE_OVERRIDE] = event_note_override,
    [CHANGE_WINDOW] = event_note_window,
    [CHANGE_CLOSED] = event_note_closed,
    [CHANGE_CYCLE_CORRECTED] = event_note_amended,
    [CHANGE_AUDIT] = event_note_audit,
    [CHANGE_USED] = event_note_used,
    [CHANGE_LOG_APPENDED] = event_note_logged,
    [CHANGE_HOLD] = event_note_hold,
    [CHANGE_HOLD_RESOLVED] = event_note_resolved,
    [CHANGE_HOLD_FUNDED] = event_note_resolved,
    [CHANGE_HOLDS_RESOLVED] = event_note_resolved,
    [CHANGE_GRANT] = event_note_grant,
    [CHANGE_GRANT_SPENT] = event_note_spent,
    [CHANGE_GRANT_TURNED] = event_note_turned,
    [CHANGE_GRANT_VOIDED] = event_note_voided,
    [CHANGE_API_KEY] = event_note_key,
    [CHANGE_API_KEY_ENDED] = event_note_key_ended,
    [CHANGE_PARENT] = event_note_parent,
    [CHANGE_SHARES] = event_note_shared,
};

void event_maker_note(struct event_maker *maker, const struct account *account, const struct change *change)
{
    if (notes[change->kind]) notes[change->kind](maker, account, change);
}

void event_maker_end(struct event_maker *maker, const struct account *account)
{
    add_consumed(maker, account);
    for (uint32_t i = 0; i < maker->watched_count; i++) {
        event_compare_credits(maker, account, maker->watched[i].slot, &maker->watched[i].before);
    }
}

/* Events of the account itself; see event_account.h. */
#include "quota/account/event_account.h"
#include "quota/base/checked.h"

#define KEY_DIGITS 8 /* of an API key's digest, as replies show it */

/* ---- plan and state ---------------------------------------------------------------------------------------------- */

static void keep_plan_before(struct event_maker *maker, const struct account *account)
{
    struct bytes name = account->plan->name;
    maker->plan_before_size = name.size;
    memcpy(maker->plan_before, name.data, name.size);
}

/* Does the run say that the account's plan has expired? */
static bool lapses(const struct event_maker *maker, const struct account *account)
{
    struct change status;
    return event_find_change(maker, CHANGE_STATUS, &status) && status.status.state == ACCOUNT_LAPSED &&
           account->state != ACCOUNT_LAPSED;
}

/* Does the account move to this plan because its switch was due? Not where its plan expired first. */
static bool comes_by_time(const struct account_optional *optional, struct bytes name, int64_t now_us)
{
    if (!optional || !optional->next || optional->next_us > now_us) return false;
    bool expires_first = account_has_expired(optional, now_us) && optional->expires_us <= optional->next_us;
    return !expires_first && bytes_equal(optional->next->name, name);
}

static void note_switched(struct event_maker *maker, const struct account *account, struct bytes name)
{
    struct audit_entry entry;
    struct logged_event event = event_now(maker, account, LOGGED_ACCOUNT_SWITCHED);
    bool by_time = comes_by_time(account->optional, name, event.time_us);
    if (bytes_equal(account->plan->name, name)) return;
    keep_plan_before(maker, account);
    bool is_said = lapses(maker, account) || event_find_audit(maker, AUDIT_OPEN, &entry); /* an event of its own */
    if (is_said && !by_time) return;
    bool by_operator = !by_time && event_find_audit(maker, AUDIT_SWITCH, &entry);
    if (by_operator) event_set_operator(&event, &entry);
    if (by_time) event.time_us = account->optional->next_us;
    event_set_text(&event, EVENT_PLAN, name);
    event_set_text(&event, EVENT_BEFORE, account->plan->name);
    event_set_text(&event, EVENT_AFTER, name);
    event_sink_add(maker->sink, &event);
}

void event_note_plan(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    const struct plan *plan = plan_take(change->bytes);
    if (!plan) return; /* accepted changes have one */
    if (maker->is_new && !account->plan) {
        struct logged_event event = event_now(maker, account, LOGGED_ACCOUNT_OPENED);
        event_set_text(&event, EVENT_PLAN, plan->name);
        if (event_find_audit(maker, AUDIT_OPEN, &entry)) event_set_operator(&event, &entry);
        event_sink_add(maker->sink, &event);
    } else if (!maker->is_new) {
        note_switched(maker, account, plan->name);
    }
    plan_release(plan);
}

void event_note_status(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    const struct account_optional *optional = account->optional;
    int64_t now_us = max_i64(maker->run->applied_at_us, account->applied_at_us);
    bool has_expired = optional && account_has_expired(optional, now_us);
    maker->begins_again = account->state == ACCOUNT_CLOSED || account->state == ACCOUNT_LAPSED || has_expired;
    if (maker->is_new || !optional) return; /* what has no end ends by an operator alone */
    uint8_t state = change->status.state;
    if (state == ACCOUNT_LAPSED && account->state != ACCOUNT_LAPSED) {
        struct logged_event event = event_at(account, LOGGED_ACCOUNT_LAPSED, optional->expires_us);
        event_set_text(&event, EVENT_BEFORE, (struct bytes){maker->plan_before, maker->plan_before_size});
        if (maker->plan_before_size > 0) event_set_text(&event, EVENT_AFTER, account->plan->name);
        event_sink_add(maker->sink, &event);
    }
    int64_t until_us = optional->suspended_until_us;
    bool has_passed = until_us > 0 && until_us <= now_us;
    bool resumes = account->state == ACCOUNT_SUSPENDED && has_passed;
    if (!resumes || event_find_audit(maker, AUDIT_RESUME, &entry)) return;
    struct logged_event event = event_at(account, LOGGED_ACCOUNT_RESUMED, until_us);
    event_sink_add(maker->sink, &event);
}

/* The override that the slot has ended by itself; `until_us`: then. */
static void add_override_ended(struct event_maker *maker, const struct account *account, uint32_t slot,
                               int64_t until_us)
{
    struct logged_event event = event_at(account, LOGGED_OVERRIDE_ENDED, until_us);
    event_set_resource(&event, account, slot);
    event_sink_add(maker->sink, &event);
}

void event_note_override(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    const struct slot_optional *optional = account->slots[change->slot].optional;
    bool is_set = change->bytes.size > 0, has = optional && optional->override;
    struct logged_event event = event_now(maker, account, is_set ? LOGGED_OVERRIDE_SET : LOGGED_OVERRIDE_ENDED);
    bool by_time = has && optional->override_until_us > 0 && optional->override_until_us <= event.time_us;
    if (by_time) add_override_ended(maker, account, change->slot, optional->override_until_us);
    if (!is_set && (!has || by_time)) return;
    bool by_operator = event_find_audit(maker, AUDIT_OVERRIDE, &entry) && entry.slot == change->slot + 1;
    event_set_resource(&event, account, change->slot);
    if (is_set) event_set_end(&event, change->until_us);
    if (by_operator) event_set_operator(&event, &entry);
    event_sink_add(maker->sink, &event);
}

void event_note_parent(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct change audit;
    if (bytes_equal(account_parent(account), change->bytes)) return;
    struct logged_event event = event_now(maker, account, LOGGED_ACCOUNT_MOVED);
    event_set_text(&event, EVENT_BEFORE, account_parent(account));
    event_set_text(&event, EVENT_AFTER, change->bytes);
    if (event_find_change(maker, CHANGE_AUDIT, &audit)) event_set_operator(&event, &audit.audit);
    event_sink_add(maker->sink, &event);
}

/* ---- API keys and pools ------------------------------------------------------------------------------------------ */

static struct bytes key_digits(struct bytes digest, char room[KEY_DIGITS])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < KEY_DIGITS; i++) {
        unsigned char byte = (unsigned char)digest.data[i / 2];
        room[i] = digits[i % 2 ? byte & 15 : byte >> 4];
    }
    return (struct bytes){room, KEY_DIGITS};
}

void event_note_key(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    char room[KEY_DIGITS];
    bool is_known = api_keys_find(account_api_keys(account), change->api_key.digest) != NULL;
    if (is_known || event_find_audit(maker, AUDIT_KEY_ROTATE, &entry)) return;
    struct logged_event event = event_now(maker, account, LOGGED_KEY_CREATED);
    event_set_text(&event, EVENT_ID, key_digits(change->api_key.digest, room));
    event_set_end(&event, change->api_key.expires_us);
    if (event_find_audit(maker, AUDIT_KEY_SET, &entry)) event_set_operator(&event, &entry);
    event_sink_add(maker->sink, &event);
}

void event_note_key_ended(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct change other;
    char room[KEY_DIGITS], room_after[KEY_DIGITS];
    const struct stored_api_key *stored = api_keys_numbered(account_api_keys(account), change->number);
    bool is_rotated = change->how == API_KEY_ROTATED;
    if (!stored) return;
    struct logged_event event = event_now(maker, account, is_rotated ? LOGGED_KEY_ROTATED : LOGGED_KEY_REVOKED);
    event_set_text(&event, EVENT_ID, key_digits(stored->key.digest, room));
    event_set_end(&event, change->until_us);
    if (is_rotated && event_find_change(maker, CHANGE_API_KEY, &other))
        event_set_text(&event, EVENT_AFTER, key_digits(other.api_key.digest, room_after));
    if (event_find_change(maker, CHANGE_AUDIT, &other)) event_set_operator(&event, &other.audit);
    event_sink_add(maker->sink, &event);
}

/* Shares of a pool's cycle are made: who has which, QUOTA.MEMBERS shows. */
void event_note_shared(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct logged_event event = event_now(maker, account, LOGGED_POOL_SHARED);
    event_set_resource(&event, account, change->slot);
    event_set_instant(&event, EVENT_START, change->until_us);
    event_set_number(&event, EVENT_LIMIT, change->amount);
    event_sink_add(maker->sink, &event);
}

/* ---- what the audit entry alone says ----------------------------------------------------------------------------- */

/* A switch that is to come: it will be one more event, without an operator, when it comes. */
static void add_announced(struct event_maker *maker, const struct account *account, const struct audit_entry *entry)
{
    struct change next;
    if (!event_find_last(maker, CHANGE_NEXT, &next) || next.bytes.size == 0) return;
    const struct plan *plan = plan_take(next.bytes);
    struct logged_event event = event_now(maker, account, LOGGED_ACCOUNT_SWITCHED);
    event_set_instant(&event, EVENT_START, next.until_us);
    event_set_text(&event, EVENT_BEFORE, account->plan->name);
    if (plan) event_set_text(&event, EVENT_AFTER, plan->name);
    event_set_operator(&event, entry);
    event_sink_add(maker->sink, &event);
    plan_release(plan);
}

static const enum event_type type_of_act[AUDIT_ACTIONS_END] = {
    [AUDIT_OPEN] = LOGGED_ACCOUNT_OPENED,    [AUDIT_SUSPEND] = LOGGED_ACCOUNT_SUSPENDED,
    [AUDIT_RESUME] = LOGGED_ACCOUNT_RESUMED, [AUDIT_CLOSE] = LOGGED_ACCOUNT_CLOSED,
    [AUDIT_REFUND] = LOGGED_USAGE_REFUNDED,  [AUDIT_SET] = LOGGED_USAGE_SET,
    [AUDIT_RESET] = LOGGED_USAGE_RESET,      [AUDIT_TRANSFER] = LOGGED_TRANSFER_MADE,
};

/* Does another change of the run say it, or is there nothing to be said? OPEN may have moved the end of the account, no
 * more. */
static bool is_said(const struct event_maker *maker, const struct audit_entry *entry)
{
    struct change given;
    if (entry->act == AUDIT_OPEN) return maker->is_new || !maker->begins_again;
    if (entry->act == AUDIT_REFUND) return entry->amount == 0;
    return entry->act == AUDIT_TRANSFER && event_find_change(maker, CHANGE_GRANT, &given); /* the source says it */
}

void event_note_audit(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct audit_entry *entry = &change->audit;
    char room[2][24];
    if (entry->act == AUDIT_SWITCH) add_announced(maker, account, entry);
    if (type_of_act[entry->act] == 0 || is_said(maker, entry)) return;
    struct logged_event event = event_now(maker, account, type_of_act[entry->act]);
    bool has_slot = entry->slot > 0 && entry->slot <= account->slots_count;
    if (has_slot) event_set_resource(&event, account, entry->slot - 1);
    bool has_amount = entry->act == AUDIT_REFUND || entry->act == AUDIT_TRANSFER;
    if (has_amount) event_set_number(&event, EVENT_AMOUNT, entry->amount);
    if (entry->act == AUDIT_SUSPEND && account->optional) event_set_end(&event, account->optional->suspended_until_us);
    bool is_known = maker->used_is_known && maker->used_slot + 1 == entry->slot && maker->used_after == entry->amount;
    if (entry->act == AUDIT_SET)
        event_set_amounts(&event, is_known ? maker->used_before : entry->amount, entry->amount, room);
    event_set_operator(&event, entry);
    event_sink_add(maker->sink, &event);
}

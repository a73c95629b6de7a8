/* The account's memory and its only writer; see account.h. */
#include "quota/account/account.h"
#include "quota/account/event_maker.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/base/linear_hash.h"
#include "quota/base/memory.h"
#include "quota/rate/limiter_codec.h"

/* ---- parts that come when they are needed ---------------------------------------------------------------- */

static struct account_optional *optional_of(struct account *account)
{
    if (!account->optional) {
        account->optional = memory_alloc(sizeof(*account->optional));
        *account->optional = (struct account_optional){0};
    }
    return account->optional;
}

static void interned_string_replace(const struct interned_string **place, struct bytes bytes)
{
    const struct interned_string *before = *place;
    *place = bytes.size > 0 ? interned_string_take(bytes) : NULL;
    interned_string_release(before);
}

/* ---- the block ------------------------------------------------------------------------------------------- */

static size_t block_bytes(const struct account *account)
{
    size_t bytes = sizeof(*account) + account->slots_count * sizeof(struct slot);
    for (uint32_t i = 0; i < account->slots_count; i++) {
        bytes += account->slots[i].windows_count * sizeof(struct stored_window);
    }
    return bytes;
}

/* Lets every slot point to its windows. */
static void lay_windows(struct account *account)
{
    struct stored_window *at = (struct stored_window *)&account->slots[account->slots_count];
    for (uint32_t i = 0; i < account->slots_count; i++) {
        account->slots[i].windows = at;
        at += account->slots[i].windows_count;
    }
}

/* Opens a gap of so many bytes in front of `place`. */
static struct account *open_gap(struct account *account, const void *place, size_t gap)
{
    /* The place is kept as a distance: the block may move when it grows. */
    size_t at = (size_t)((const char *)place - (const char *)account), bytes = block_bytes(account);
    account = memory_realloc(account, bytes + gap);
    memmove((char *)account + at + gap, (char *)account + at, bytes - at);
    return account;
}

/* Closes the gap of so many bytes that begins at `place` and is counted no more. */
static struct account *close_gap(struct account *account, void *place, size_t gap)
{
    size_t at = (size_t)((const char *)place - (const char *)account), bytes = block_bytes(account);
    memmove(place, (char *)place + gap, bytes - at);
    return memory_realloc(account, bytes);
}

struct account *account_new(void)
{
    struct account *account = memory_alloc(sizeof(*account));
    *account = (struct account){0};
    return account;
}

/* ---- slots by name --------------------------------------------------------------------------------------- */

/* Open addressing: the place of a name, or the free place where it would be. */
static uint16_t *index_place(const struct account *account, struct bytes resource)
{
    const struct account_optional *optional = account->optional;
    /* The search ends: at least half of the places are free (index_all_slots). */
    for (uint32_t at = linear_hash(resource);; at++) {
        uint16_t *place = &optional->slot_index[at & (optional->slot_places - 1)];
        if (*place == 0 || bytes_equal(interned_string_bytes(account->slots[*place - 1].resource), resource))
            return place;
    }
}

static void index_slot(struct account *account, uint32_t slot)
{
    *index_place(account, interned_string_bytes(account->slots[slot].resource)) = (uint16_t)(slot + 1);
}

/* At most half of the places are taken, so a search ends soon. */
static void index_all_slots(struct account *account)
{
    struct account_optional *optional = optional_of(account);
    optional->slot_places = 4 * highest_bit(account->slots_count);
    size_t bytes = optional->slot_places * sizeof(*optional->slot_index);
    optional->slot_index = memory_realloc(optional->slot_index, bytes);
    memset(optional->slot_index, 0, bytes);
    for (uint32_t i = 0; i < account->slots_count; i++) index_slot(account, i);
}

static void index_newest_slot(struct account *account)
{
    uint32_t places = account->optional ? account->optional->slot_places : 0;
    /* Few names are compared one by one: that is cheaper than a hash. */
    if (account->slots_count <= SLOTS_FEW) return;
    if (places < 2u * account->slots_count) {
        index_all_slots(account);
    } else {
        index_slot(account, account->slots_count - 1u);
    }
}

int32_t account_slot(const struct account *account, struct bytes resource)
{
    if (account && account->slots_count > SLOTS_FEW) return (int32_t)*index_place(account, resource) - 1;
    for (int32_t i = 0; account && i < account->slots_count; i++) {
        if (bytes_equal(interned_string_bytes(account->slots[i].resource), resource)) return i;
    }
    return -1;
}

static struct account *add_slot(struct account *account, struct bytes resource)
{
    /* Windows stand behind all slots, so they move up by one slot. */
    account = open_gap(account, &account->slots[account->slots_count], sizeof(struct slot));
    account->slots[account->slots_count++] = (struct slot){.resource = interned_string_take(resource)};
    account->slots_bytes += (uint32_t)sizeof(struct slot);
    lay_windows(account);
    index_newest_slot(account);
    return account;
}

struct account *account_adopt_slots(struct account *account, const struct slot *slots, uint32_t count)
{
    size_t windows = 0;
    for (uint32_t i = 0; i < count; i++) windows += slots[i].windows_count;
    account = memory_realloc(account, sizeof(*account) + count * sizeof(*slots) + windows * sizeof(*slots->windows));
    if (count > 0) memcpy(account->slots, slots, count * sizeof(*slots));
    account->slots_count = (uint16_t)count;
    lay_windows(account);
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = slots[i].windows_count * sizeof(*slots->windows);
        if (bytes > 0) memcpy(account->slots[i].windows, slots[i].windows, bytes);
        memory_free(slots[i].windows);
        account->slots_bytes += (uint32_t)slot_bytes(&account->slots[i]);
    }
    if (count > SLOTS_FEW) index_all_slots(account);
    return account;
}

/* ---- reservations ---------------------------------------------------------------------------------------- */

const struct holds *account_holds(const struct account *account)
{
    static const struct holds none;
    return account && account->optional ? &account->optional->holds : &none;
}

const struct stored_hold *account_hold(const struct account *account, struct bytes id)
{
    return holds_find(account_holds(account), id, hold_hash(id, false));
}

const struct stored_hold *account_member_hold(const struct account *account, struct bytes id)
{
    return holds_find(account_holds(account), id, hold_hash(id, true));
}

uint32_t account_live_holds(const struct account *account, int64_t now_us)
{
    return holds_own_live(account_holds(account), now_us);
}

const struct grants *account_grants(const struct account *account)
{
    static const struct grants none;
    return account && account->optional ? &account->optional->grants : &none;
}

const struct api_keys *account_api_keys(const struct account *account)
{
    static const struct api_keys none;
    const struct account_optional *optional = account ? account->optional : NULL;
    return optional && optional->api_keys ? optional->api_keys : &none;
}

struct bytes account_parent(const struct account *account)
{
    return account && account->optional ? interned_string_bytes(account->optional->parent) : (struct bytes){"", 0};
}

const struct members *account_members(const struct account *account)
{
    static const struct members none;
    const struct account_optional *optional = account ? account->optional : NULL;
    return optional && optional->members ? optional->members : &none;
}

static struct members *members_of(struct account *account)
{
    struct account_optional *optional = optional_of(account);
    if (!optional->members) {
        optional->members = memory_alloc(sizeof(*optional->members));
        *optional->members = (struct members){0};
    }
    return optional->members;
}

static void apply_to_member(struct account *account, const struct change *change)
{
    struct members *members = members_of(account);
    switch (change->kind) {
    case CHANGE_MEMBER: members_put(members, change->number, change->bytes, (uint32_t)change->amount); break;
    case CHANGE_MEMBER_LEFT: members_leave(members, change->number); break;
    case CHANGE_MEMBER_SHARE:
        members_share(members, change->number, change->slot, change->until_us, change->amount);
        break;
    case CHANGE_SHARES: {
        const struct division division = {change->slot, change->until_us, change->expires_us, change->amount,
                                          (enum share_how)change->how};
        members_divide(members, &division);
        break;
    }
    default:
        members_use(members, change->number, change->slot, change->until_us, change->amount, account->applied_at_us);
        break;
    }
}

static struct api_keys *api_keys_of(struct account *account)
{
    struct account_optional *optional = optional_of(account);
    if (!optional->api_keys) {
        optional->api_keys = memory_alloc(sizeof(*optional->api_keys));
        *optional->api_keys = (struct api_keys){0};
    }
    return optional->api_keys;
}

static void apply_to_api_key(struct account *account, const struct change *change)
{
    struct api_keys *keys = api_keys_of(account);
    switch (change->kind) {
    case CHANGE_API_KEY: api_keys_put(keys, &change->api_key, account->applied_at_us); break;
    case CHANGE_API_KEY_ENDED:
        api_keys_end(keys, change->number, (enum api_key_end)change->how, change->until_us);
        break;
    case CHANGE_API_KEY_USED: api_keys_use(keys, change->number, change->until_us); break;
    default: api_keys_rate(keys, change->number, change->bytes); break;
    }
}

/* What a reservation holds of grants is held (sign 1), or no more (-1). */
static void hold_grants(struct account *account, const struct hold *hold, int sign)
{
    struct cursor cursor = cursor_init(hold->funding);
    struct funding_part part;
    while (funding_next(&cursor, &part)) {
        if (!funded_by_grant(&part)) continue;
        grants_hold(&account->optional->grants, part.grant, part.units, sign, hold->made_us, account->applied_at_us);
    }
}

/* Of one grant, of a reservation. */
static int64_t held_of(const struct hold *hold, int64_t number)
{
    struct cursor cursor = cursor_init(hold->funding);
    struct funding_part part;
    int64_t held = 0;
    while (funding_next(&cursor, &part)) held += part.grant == number ? part.units : 0;
    return held;
}

int64_t account_grant_held(const struct account *account, const struct stored_grant *stored, int64_t now_us)
{
    const struct holds *holds = account_holds(account);
    int64_t held = stored->held; /* by all that are stored: those that have ended stand in front */
    for (uint32_t i = 0; held > 0 && i < holds->count && holds->by_expiry[i]->hold.expires_us <= now_us; i++)
        held -= held_of(&holds->by_expiry[i]->hold, stored->grant.number);
    return held;
}

/* Counts anew: the slot's windows are others than before. */
static void recount_held(struct account *account, struct slot *slot)
{
    const struct holds *holds = account_holds(account);
    slot_clear_held(slot);
    for (uint32_t i = 0; i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (&account->slots[hold->slot] == slot) slot_add_held(slot, hold, 1);
    }
}

/* What a level holds of a member counts towards that one's share. */
static void hold_for_member(struct account *account, const struct stored_hold *part, int sign)
{
    const struct hold *hold = &part->hold;
    struct bytes member = member_hold_id_member(hold_id(part));
    int64_t units = hold_counted(hold);
    if (hold->of_member) members_hold(members_of(account), member, hold->slot, sign * units, hold->made_us);
}

/* A reservation that was taken out is over. */
static void forget_hold(struct account *account, struct stored_hold *first)
{
    for (const struct stored_hold *part = first; part; part = part->next) {
        slot_add_held(&account->slots[part->hold.slot], &part->hold, -1);
        hold_grants(account, &part->hold, -1);
        hold_for_member(account, part, -1);
    }
    hold_free(first);
}

/* The reservation of an id, NULL = there is none, and the hash of that id. */
struct named_hold {
    const struct stored_hold *hold;
    uint32_t hash;
};

/* A reservation begins, or its next part. `before`: the one of this id, of this hash, that has ended and awaits its
 * sweep; NULL = there is none. */
static void begin_hold(struct account *account, const struct change *change, const struct stored_hold *before,
                       uint32_t hash)
{
    if (!expect(change->hold.slot < account->slots_count)) return;
    struct holds *holds = &optional_of(account)->holds;
    struct slot *slot = &account->slots[change->hold.slot];
    size_t bytes = slot_bytes(slot);
    /* Without a sum of its own a slot pays nothing for reservations that it never has. */
    if (before && change->hold.part == 0) forget_hold(account, holds_take(holds, before));
    if (!slot->optional || slot->optional->holds_count == 0) slot_clear_held(slot);
    holds_add(holds, change->bytes, hash, &change->hold);
    slot_add_held(slot, &change->hold, 1);
    hold_grants(account, &change->hold, 1);
    if (change->hold.of_member) {
        struct bytes member = member_hold_id_member(change->bytes);
        int64_t units = hold_counted(&change->hold);
        members_hold(members_of(account), member, change->hold.slot, units, change->hold.made_us);
    }
    account->slots_bytes += (uint32_t)(slot_bytes(slot) - bytes);
}

static void move_hold(struct account *account, const struct change *change, const struct stored_hold *stored)
{
    holds_move(&account->optional->holds, stored, max_i64(change->expires_us, stored->hold.made_us));
}

/* What remains of a reservation or a grant that is over: a record of it. */
static void remember(struct account *account, enum record_operation operation, struct bytes id, const struct sink *body,
                     int64_t kept_until_us)
{
    struct record_key key;
    record_key_make(&key, operation, RECORD_NO_SLOT, id);
    struct idempotency_entry entry = {.key = record_key_bytes(&key),
                                      .body = sink_content(body),
                                      .stored_us = account->applied_at_us,
                                      .expires_us = min_i64(kept_until_us, INSTANT_MAX_US)};
    account->idempotency = idempotency_append(account->idempotency, &entry);
}

/* What remains of a reservation is the record of how it ended, while that still matters. It lives as long as the id
 * would have been remembered from the end on, not from the sweep on: an account that is touched late must answer like
 * one that was touched in time. */
static void remember_hold(struct account *account, const struct stored_hold *first, const struct sink *body,
                          int64_t ended_us)
{
    if (first->hold.of_member) return; /* the member remembers it */
    int64_t kept_until_us = ended_us + first->hold.kept_us;
    if (kept_until_us > account->applied_at_us) remember(account, RECORD_HOLD, hold_id(first), body, kept_until_us);
}

/* The limits that a change charges, by name: all that the slot has windows of where it says so. */
static struct charged charged_in(const struct slot *slot, const struct charged *charged)
{
    struct charged listed = {.count = 0};
    if (charged->count != CHARGED_STORED) return *charged;
    for (uint32_t i = 0; i < slot->windows_count; i++) charged_add(&listed, slot->windows[i].period);
    return listed;
}

/* What a record says of a part before anything is posted of it. */
static struct record_hold part_record(const struct hold *hold, enum hold_outcome outcome)
{
    return (struct record_hold){.outcome = outcome,
                                .slot = hold->slot,
                                .amount = hold->amount,
                                .cost = hold->units / hold->amount,
                                .made_us = hold->made_us,
                                .item = hold->item};
}

static void resolve_hold(struct account *account, const struct change *change, const struct stored_hold *stored)
{
    const struct slot *slot = &account->slots[stored->hold.slot];
    char stack_buffer[64];
    struct sink body = sink_init(stack_buffer, sizeof(stack_buffer));
    struct record_hold record = part_record(&stored->hold, (enum hold_outcome)change->outcome);
    record.posted = change->amount;
    record.remaining = change->remaining;
    record.generation = slot->optional ? slot->optional->generation : 0;
    record.charged = charged_in(slot, &change->charged);
    record.funding = change->body;
    record_hold_encode(&record, 1, (struct bytes){"", 0}, &body);
    struct stored_hold *taken = holds_take(&account->optional->holds, stored);
    remember_hold(account, taken, &body, account->applied_at_us);
    forget_hold(account, taken);
    sink_free(&body);
}

/* Of several parts the change says the record itself. */
static void resolve_holds(struct account *account, const struct change *change, const struct stored_hold *first)
{
    struct sink body = {.data = (char *)change->body.data, .size = change->body.size};
    struct stored_hold *taken = holds_take(&account->optional->holds, first);
    remember_hold(account, taken, &body, account->applied_at_us);
    forget_hold(account, taken);
}

/* A level's part of a member's reservation is over: the member remembers it. */
static void end_member_hold(struct account *account, const struct stored_hold *first)
{
    forget_hold(account, holds_take(&account->optional->holds, first));
}

/* Answers how many parts it had. */
static uint32_t expire_hold(struct account *account, struct stored_hold *first)
{
    struct record_hold parts[HOLD_PARTS_MAX]; /* large: only those that there are mean anything */
    uint32_t count = 0;
    char stack_buffer[64];
    struct sink body = sink_init(stack_buffer, sizeof(stack_buffer));
    int64_t expired_us = first->hold.expires_us;
    for (const struct stored_hold *part = first; part; part = part->next) {
        slot_keep_outlived(&account->slots[part->hold.slot], &part->hold);
        parts[count++] = part_record(&part->hold, HOLD_EXPIRED);
    }
    record_hold_encode(parts, count, first->hold.levels, &body);
    struct stored_hold *taken = holds_take(&account->optional->holds, first);
    remember_hold(account, taken, &body, expired_us);
    forget_hold(account, taken);
    sink_free(&body);
    return count;
}

/* Up to `most` parts that have ended, and those that belong to the last of them. */
static void sweep_holds(struct account *account, uint32_t most)
{
    struct account_optional *optional = account->optional;
    for (uint32_t swept = 0; optional && swept < most && optional->holds.count > 0;) {
        struct stored_hold *first = optional->holds.by_expiry[0];
        if (first->hold.expires_us > account->applied_at_us) return;
        swept += expire_hold(account, first);
    }
}

/* ---- grants ---------------------------------------------------------------------------------------------- */

/* What remains of a grant that is over is a record, so that the same command is answered the same while that matters.
 */
static void remember_grant(void *context, const struct stored_grant *stored)
{
    struct account *account = context;
    char stack_buffer[128];
    struct sink body = sink_init(stack_buffer, sizeof(stack_buffer));
    bool once = stored->grant.flags & GRANT_ONCE;
    int64_t kept_until_us = once ? INSTANT_MAX_US : grant_ends_us(&stored->grant) + stored->grant.kept_us;
    if (kept_until_us > account->applied_at_us) {
        grant_encode(&stored->grant, &body);
        remember(account, RECORD_GRANT, grant_id(stored), &body, kept_until_us);
    }
    sink_free(&body);
}

static void add_grant(struct account *account, const struct change *change)
{
    struct grants *grants = &optional_of(account)->grants;
    grants_add(grants, change->bytes, linear_hash(change->bytes), &change->grant, account->applied_at_us);
}

static void give(struct account *account, const struct change *change)
{
    if (!expect(change->grant.slot < account->slots_count)) return;
    struct grants *grants = &optional_of(account)->grants;
    if (grants_find(grants, change->bytes, linear_hash(change->bytes))) {
        /* It is forgotten, and still stands under this id: all that has ended goes first. */
        sweep_holds(account, UINT32_MAX);
        grants_sweep(grants, account->applied_at_us, remember_grant, account);
    }
    add_grant(account, change);
}

static void apply_to_grant(struct account *account, const struct change *change)
{
    struct grants *grants = &account->optional->grants;
    int64_t now_us = account->applied_at_us;
    switch (change->kind) {
    case CHANGE_GRANT_SPENT: grants_spend(grants, change->number, change->amount, now_us); break;
    case CHANGE_GRANT_TURNED:
        grants_turn(grants, change->number, change->amount, change->until_us, change->expires_us, now_us);
        break;
    default: grants_void(grants, change->number, now_us); break;
    }
}

/* ---- records and audit entries --------------------------------------------------------------------------- */

static void store_record(struct account *account, const struct change *change)
{
    struct idempotency_entry entry = {.key = change->bytes,
                                      .body = change->body,
                                      .stored_us = account->applied_at_us,
                                      .expires_us = max_i64(change->expires_us, account->applied_at_us)};
    account->idempotency = idempotency_append(account->idempotency, &entry);
}

static void store_audit_entry(struct account *account, const struct audit_entry *note)
{
    struct account_optional *optional = optional_of(account);
    struct sink sink = {0};
    audit_entry_encode(note, &sink);
    struct stored_audit_entry *stored = memory_alloc(sizeof(*stored) + sink.size);
    stored->size = sink.size;
    memcpy(stored->bytes, sink.data, sink.size);
    sink_free(&sink);
    if (!optional->audit) optional->audit = memory_alloc(ACCOUNT_AUDIT_MAX * sizeof(struct stored_audit_entry *));
    if (optional->audit_count == ACCOUNT_AUDIT_MAX) {
        optional->audit_bytes -= sizeof(*stored) + optional->audit[0]->size;
        memory_free(optional->audit[0]);
        memmove(optional->audit, optional->audit + 1, --optional->audit_count * sizeof(struct stored_audit_entry *));
    }
    optional->audit[optional->audit_count++] = stored;
    optional->audit_bytes += sizeof(*stored) + stored->size;
}

const struct idempotency_store *account_idempotency(const struct account *account)
{
    return account ? account->idempotency : NULL;
}

struct account_status account_status(const struct account *account)
{
    static const struct account_optional none;
    const struct account_optional *optional = account->optional ? account->optional : &none;
    return (struct account_status){.state = account->state,
                                   .anchor_us = account->anchor_us,
                                   .expires_us = optional->expires_us,
                                   .suspended_until_us = optional->suspended_until_us,
                                   .opened_us = optional->opened_us,
                                   .zone = interned_string_bytes(account->zone),
                                   .then = interned_string_bytes(optional->then)};
}

/* What has ended by now goes, a bounded part with every change: each brings in less than it sweeps. `begun`: parts of
 * reservations that it has brought in, 64 at most. */
static void sweep(struct account *account, uint32_t begun)
{
    /* Bounded: a change that brings in one record may sweep several, so what has ended never piles up. */
    struct account_optional *optional = account->optional;
    account->idempotency = idempotency_sweep(account->idempotency, account->applied_at_us, SWEEP_MAX);
    sweep_holds(account, begun > 1 ? SWEEP_MAX + begun : SWEEP_MAX); /* of one part as older versions do it */
    if (optional) grants_sweep(&optional->grants, account->applied_at_us, remember_grant, account);
}

/* ---- for the codec --------------------------------------------------------------------------------------- */

/* Are the grants there that a reservation holds units of? */
static bool funding_is_there(const struct account *account, const struct hold *hold)
{
    struct cursor cursor = cursor_init(hold->funding);
    struct funding_part part;
    while (funding_next(&cursor, &part)) {
        const struct stored_grant *stored = grants_numbered(account_grants(account), part.grant);
        if (part.grant == FUNDED_BELOW && !hold->of_member) return false;
        if (funded_by_grant(&part) && !(stored && stored->grant.slot == hold->slot)) return false;
    }
    return true;
}

/* Reservations come in order of their expiry, the parts of one of them one after another. */
static bool adopt_hold(struct account *account, const struct change *part)
{
    const struct holds *holds = account_holds(account);
    const struct stored_hold *before = holds->count > 0 ? holds->by_expiry[holds->count - 1] : NULL;
    bool fits = part->hold.part == 0
                    ? !holds_find(holds, part->bytes, hold_hash(part->bytes, part->hold.of_member))
                    : before && bytes_equal(hold_id(before), part->bytes) && hold_follows(&part->hold, &before->hold);
    if (!fits || !funding_is_there(account, &part->hold)) return false;
    begin_hold(account, part, NULL, hold_hash(part->bytes, part->hold.of_member));
    const struct stored_hold *last = holds->by_expiry[holds->count - 1];
    return bytes_equal(hold_id(last), part->bytes) && last->hold.part == part->hold.part;
}

bool account_adopt_part(struct account *account, const struct change *part)
{
    struct account_optional *optional = optional_of(account);
    if (part->kind == CHANGE_AUDIT) {
        store_audit_entry(account, &part->audit);
        return true;
    }
    if (part->kind == CHANGE_GRANT) {
        bool is_new = part->grant.number > optional->grants.made &&
                      !grants_find(&optional->grants, part->bytes, linear_hash(part->bytes));
        /* What has ended stays: a reservation that is read later may hold a part of it. */
        if (is_new) add_grant(account, part);
        return is_new;
    }
    return adopt_hold(account, part);
}

void account_adopt_grants_made(struct account *account, int64_t made, uint32_t once_count)
{
    struct grants *grants = &optional_of(account)->grants;
    grants->made = made;
    grants->once_count = once_count;
}

void account_adopt_api_key(struct account *account, const struct api_key *key, struct limiter *rates)
{
    struct api_keys *keys = api_keys_of(account);
    api_keys_put(keys, key, 0); /* what has ended stays, as it is written */
    if (rates) api_keys_adopt_rates(keys, key->number, rates);
}

void account_adopt_parent(struct account *account, struct bytes parent)
{
    interned_string_replace(&optional_of(account)->parent, parent);
}

void account_adopt_member(struct account *account, struct member *member)
{
    members_adopt(members_of(account), member);
}

void account_adopt_divided(struct account *account, struct cursor *cursor)
{
    members_divided_decode(cursor, members_of(account));
}

void account_adopt_members_made(struct account *account, int64_t made)
{
    members_of(account)->made = made;
}

void account_adopt_api_keys_made(struct account *account, int64_t made)
{
    api_keys_of(account)->made = made;
}

/* ---- the writer ------------------------------------------------------------------------------------------ */

static void apply_status(struct account *account, const struct account_status *status)
{
    account->state = status->state;
    account->anchor_us = status->anchor_us;
    interned_string_replace(&account->zone, status->zone);
    bool plain = status->expires_us == 0 && status->suspended_until_us == 0 && status->opened_us == 0;
    if (plain && status->then.size == 0 && !account->optional) return;
    struct account_optional *optional = optional_of(account);
    optional->expires_us = status->expires_us;
    optional->suspended_until_us = status->suspended_until_us;
    optional->opened_us = status->opened_us;
    interned_string_replace(&optional->then, status->then);
}

/* Accounts are counted by the name of their plan (QUOTA.PLAN GET). */
static void replace_plan(struct account *account, struct bytes bytes)
{
    plan_count_account(account->plan, -1);
    plan_replace(&account->plan, bytes);
    plan_count_account(account->plan, 1);
}

static void apply_entitlement(struct account *account, struct bytes bytes)
{
    struct cursor cursor = cursor_init(bytes);
    struct plan_entry entry;
    struct sink plan = {0};
    plan_entry_decode(&cursor, &entry);
    if (!expect(cursor_done(&cursor) && account->plan)) return;
    plan_write_with(account->plan, &entry, &plan);
    plan_replace(&account->plan, (struct bytes){plan.data, plan.size}); /* of the same name: counted already */
    sink_free(&plan);
}

static struct account *apply_to_slot(struct account *account, const struct change *change)
{
    if (!expect(change->slot < account->slots_count)) return account;
    struct slot *slot = &account->slots[change->slot];
    int grows = slot_grows(slot, change);
    if (grows > 0) {
        /* The windows of all slots are one run in the block: one more moves those of the slots behind it. */
        account = open_gap(account, slot->windows + slot->windows_count, sizeof(struct stored_window));
        lay_windows(account); /* as before: the gap is not counted yet */
    }
    slot = &account->slots[change->slot];
    /* Sums of what is held are kept for each stored window, so they follow when a window is another cycle than before.
     * */
    bool moved = slot_apply(slot, change);
    if (grows < 0) account = close_gap(account, slot->windows + slot->windows_count, sizeof(struct stored_window));
    if (grows != 0) lay_windows(account);
    slot = &account->slots[change->slot];
    if (moved && slot->optional && slot->optional->holds_count > 0) recount_held(account, slot);
    return account;
}

static void apply_next(struct account *account, const struct change *change)
{
    struct account_optional *optional = optional_of(account);
    plan_replace(&optional->next, change->bytes);
    optional->next_us = change->until_us;
    optional->next_how = change->how;
}

/* `named`: the reservation that the change names; `begins`: the account has begun with this run. */
static struct account *apply_one(struct account *account, const struct change *change, struct named_hold named,
                                 bool begins)
{
    if (change_is_of_slot(change)) return apply_to_slot(account, change);
    switch (change->kind) {
    case CHANGE_PLAN: replace_plan(account, change->bytes); break;
    case CHANGE_STATUS: apply_status(account, &change->status); break;
    case CHANGE_NEXT: apply_next(account, change); break;
    case CHANGE_ENTITLEMENT: apply_entitlement(account, change->bytes); break;
    case CHANGE_SLOT: return add_slot(account, change->bytes);
    case CHANGE_RECORD: store_record(account, change); break;
    case CHANGE_RECORD_PATCHED: idempotency_patch(account->idempotency, change->bytes, change->body); break;
    case CHANGE_HOLD:
    case CHANGE_MEMBER_HOLD: begin_hold(account, change, named.hold, named.hash); break;
    case CHANGE_MEMBER_HOLD_ENDED: end_member_hold(account, named.hold); break;
    case CHANGE_HOLD_EXTENDED:
    case CHANGE_MEMBER_HOLD_EXTENDED: move_hold(account, change, named.hold); break;
    case CHANGE_HOLD_RESOLVED:
    case CHANGE_HOLD_FUNDED: resolve_hold(account, change, named.hold); break;
    case CHANGE_HOLDS_RESOLVED: resolve_holds(account, change, named.hold); break;
    case CHANGE_GRANT: give(account, change); break;
    case CHANGE_GRANT_SPENT:
    case CHANGE_GRANT_TURNED:
    case CHANGE_GRANT_VOIDED: apply_to_grant(account, change); break;
    case CHANGE_API_KEY:
    case CHANGE_API_KEY_ENDED:
    case CHANGE_API_KEY_USED:
    case CHANGE_API_KEY_RATES: apply_to_api_key(account, change); break;
    case CHANGE_PARENT: interned_string_replace(&optional_of(account)->parent, change->bytes); break;
    case CHANGE_MEMBER:
    case CHANGE_MEMBER_LEFT:
    case CHANGE_MEMBER_USED:
    case CHANGE_MEMBER_SHARE:
    case CHANGE_SHARES: apply_to_member(account, change); break;
    case CHANGE_AUDIT:
        /* Who has opened it for the first time is no news of an account, and would be the only entry of most. */
        if (!begins || change->audit.act != AUDIT_OPEN) store_audit_entry(account, &change->audit);
        break;
    case CHANGE_REWOUND: account->applied_at_us = change->until_us; break;
    default: break;
    }
    return account;
}

/* The slot that changes are about: its bytes are compared once, not for each change. */
struct slot_bill {
    int32_t slot; /* -1 = none */
    size_t before;
};

static void bill_slot(struct account *account, struct slot_bill *bill, int32_t slot)
{
    if (bill->slot == slot) return;
    if (bill->slot >= 0) {
        account->slots_bytes += (uint32_t)(slot_bytes(&account->slots[bill->slot]) - bill->before);
    }
    bill->slot = slot;
    if (slot >= 0) bill->before = slot_bytes(&account->slots[slot]);
}

/* ---- what comes from outside ----------------------------------------------------------------------------- */

static bool plan_bytes_accepted(struct bytes bytes, bool may_miss)
{
    if (bytes.size == 0) return may_miss;
    const struct plan *plan = plan_take(bytes);
    plan_release(plan);
    return plan != NULL;
}

static bool entry_accepted(struct bytes bytes)
{
    struct cursor cursor = cursor_init(bytes);
    struct plan_entry entry;
    plan_entry_decode(&cursor, &entry);
    return cursor_done(&cursor);
}

/* What the account has, or would have once the changes before this one are done. */
struct promise {
    const struct account *account;
    int64_t applied_at_us;
    struct bytes changes; /* those before this one may not be done yet; empty = they are */
    uint8_t encoding;
    uint32_t slots, holds; /* holds: parts of its own … */
    uint32_t begun_parts;  /* … and those of any that begin */
    int64_t grants_made, api_keys_made, members_made;
    bool planned;
    struct named_hold named; /* found while a change of a reservation was checked */
    /* The slot whose rates were changed last: a takeover, and then what is taken or given back under the new rules. */
    struct slot rated;          /* nothing of it but its rates, and these without … */
    struct bytes rates_pending; /* … the effects before this change */
    int64_t rated_number;       /* + 1; 0 = none */
    struct bytes begun_id;      /* of the part of a reservation that began last … */
    struct begun_part {
        int64_t made_us, expires_us;
        uint8_t part, item;
        bool of_member;
    } begun; /* … which the next one may follow */
};

/* Is this the first slot of that name? `bytes` stand in the changes: those before it count too. */
static bool slot_is_new(const struct promise *promise, struct bytes bytes)
{
    struct cursor cursor = cursor_init(promise->changes);
    struct change one = {0};
    if (account_slot(promise->account, bytes) >= 0) return false;
    while (!cursor_done(&cursor)) {
        change_decode(&cursor, promise->encoding, &one);
        if (one.bytes.data == bytes.data) return true;
        if (one.kind == CHANGE_SLOT && bytes_equal(one.bytes, bytes)) return false;
    }
    return true;
}

static bool is_of_member(enum change_kind kind)
{
    return kind >= CHANGE_MEMBER_HOLD && kind <= CHANGE_MEMBER_HOLD_ENDED;
}

static void find_named(struct promise *promise, struct bytes id, bool of_member)
{
    promise->named.hash = hold_hash(id, of_member);
    promise->named.hold = holds_find(account_holds(promise->account), id, promise->named.hash);
}

/* Is the grant there, of this resource (any where `slot` is negative), or given by a change before this one? */
static bool grant_is_there(const struct promise *promise, int64_t number, int64_t slot)
{
    const struct grants *grants = account_grants(promise->account);
    const struct stored_grant *stored = grants_numbered(grants, number);
    if (stored) return slot < 0 || stored->grant.slot == slot;
    return number > grants->made && number <= promise->grants_made;
}

static bool funding_accepted(const struct promise *promise, const struct hold *hold)
{
    struct cursor cursor = cursor_init(hold->funding);
    struct funding_part part;
    while (funding_next(&cursor, &part)) {
        if (part.grant == FUNDED_BELOW && !hold->of_member) return false;
        if (funded_by_grant(&part) && !grant_is_there(promise, part.grant, hold->slot)) return false;
    }
    return true;
}

/* A stored grant as the changes before this one leave it: it may have begun since it was written, and have nothing left
 * after it paid for what was over. `id` stands in the changes. */
static struct grant grant_by_then(const struct promise *promise, const struct stored_grant *stored, struct bytes id)
{
    struct cursor cursor = cursor_init(promise->changes);
    struct grant grant = stored->grant;
    struct change one = {0};
    while (!cursor_done(&cursor) && one.bytes.data != id.data) {
        change_decode(&cursor, promise->encoding, &one);
        if (one.kind == CHANGE_GRANT_TURNED && one.number == grant.number)
            grant_turn(&grant, one.amount, one.until_us, one.expires_us);
    }
    return grant;
}

/* A grant may be given under an id that no stored grant has, or one that is forgotten; numbers count up one by one. */
static bool grant_accepted(struct promise *promise, const struct change *change)
{
    const struct grants *grants = account_grants(promise->account);
    const struct stored_grant *before = grants_find(grants, change->bytes, linear_hash(change->bytes));
    bool is_free = true;
    if (before) {
        struct grant by_then = grant_by_then(promise, before, change->bytes);
        is_free = grant_is_forgotten(&by_then, promise->applied_at_us) &&
                  account_grant_held(promise->account, before, promise->applied_at_us) == 0;
    }
    if (!is_free || change->bytes.size > ID_BYTES_MAX || change->grant.slot >= promise->slots) return false;
    return change->grant.number == ++promise->grants_made;
}

/* Is it the next part of the reservation that has just begun? */
static bool part_accepted(const struct promise *promise, const struct change *change)
{
    const struct begun_part *begun = &promise->begun;
    const struct hold before = {.made_us = begun->made_us,
                                .expires_us = begun->expires_us,
                                .part = begun->part,
                                .item = begun->item,
                                .of_member = begun->of_member};
    return bytes_equal(promise->begun_id, change->bytes) && hold_follows(&change->hold, &before);
}

/* Is the reservation there, and not resolved by a change before this one? `id` stands in the changes. */
static bool hold_is_there(struct promise *promise, struct bytes id, bool of_member)
{
    struct cursor cursor = cursor_init(promise->changes);
    struct change one = {0};
    find_named(promise, id, of_member);
    if (!promise->named.hold) return false;
    while (!cursor_done(&cursor)) {
        change_decode(&cursor, promise->encoding, &one);
        if (one.bytes.data == id.data) return true;
        bool resolved =
            one.kind == CHANGE_HOLD_RESOLVED || one.kind == CHANGE_HOLD_FUNDED || one.kind == CHANGE_HOLDS_RESOLVED;
        if (of_member) resolved = one.kind == CHANGE_MEMBER_HOLD_ENDED;
        if (resolved && bytes_equal(one.bytes, id)) return false;
    }
    return true;
}

/* A reservation may begin under an id that is free, or whose last one has ended; all its parts in one step. */
static bool hold_accepted(struct promise *promise, const struct change *change)
{
    bool of_member = change->kind == CHANGE_MEMBER_HOLD;
    find_named(promise, change->bytes, of_member);
    const struct stored_hold *before = promise->named.hold;
    if (change->hold.of_member != of_member) return false;
    bool lives = before && before->hold.expires_us > promise->applied_at_us;
    /* A level may give up what it held before of a member's, which has lost it. */
    if (lives && of_member) lives = hold_is_there(promise, change->bytes, true);
    if (change->hold.part == 0 && lives) return false;
    if (change->hold.part > 0 && !part_accepted(promise, change)) return false;
    promise->begun_id = change->bytes;
    promise->begun = (struct begun_part){change->hold.made_us, change->hold.expires_us, change->hold.part,
                                         change->hold.item, of_member};
    bool sized = of_member || change->bytes.size <= ID_BYTES_MAX;
    if (!sized || change->hold.slot >= promise->slots) return false;
    if (!funding_accepted(promise, &change->hold)) return false;
    promise->begun_parts++;
    return of_member || promise->holds++ < ACCOUNT_HOLDS_STORED_MAX;
}

/* Do effects fit the rates as the changes before them leave these? Those are done on a copy, once more follow. */
static bool rates_accepted(struct promise *promise, const struct slot *slot, const struct change *change)
{
    if (promise->changes.size == 0) return slot_accepts(slot, change);
    bool again = promise->rated_number == (int64_t)change->slot + 1;
    if (again) {
        if (!promise->rated.rates && slot) promise->rated.rates = limiter_clone(slot->rates);
        (void)expect(slot_apply_rates(&promise->rated, promise->rates_pending));
    } else {
        limiter_free(promise->rated.rates);
        promise->rated.rates = NULL;
    }
    promise->rated_number = (int64_t)change->slot + 1;
    promise->rates_pending = change->bytes;
    return slot_accepts(again ? &promise->rated : slot, change);
}

/* Is it the record of this reservation's parts? */
static bool record_is_of(struct bytes body, const struct stored_hold *part)
{
    struct record_hold parts[HOLD_PARTS_MAX];
    uint32_t count;
    if (!record_hold_decode(body, parts, &count) || count != hold_parts(part)) return false;
    for (uint32_t i = 0; part; part = part->next, i++) {
        if (parts[i].slot != part->hold.slot || parts[i].item != part->hold.item) return false;
    }
    return true;
}

/* One part is resolved by its numbers, several are by their record. */
static bool resolution_accepted(struct promise *promise, const struct change *change)
{
    if (!hold_is_there(promise, change->bytes, false)) return false;
    const struct stored_hold *first = promise->named.hold;
    return change->kind == CHANGE_HOLDS_RESOLVED ? record_is_of(change->body, first) : first->next == NULL;
}

/* A key has a number of its own, and keeps it; numbers count up one by one. */
static bool api_key_accepted(struct promise *promise, const struct api_key *key)
{
    const struct stored_api_key *stored = api_keys_find(account_api_keys(promise->account), key->digest);
    if (stored) return stored->key.number == key->number;
    return key->number == ++promise->api_keys_made;
}

static bool api_key_change_accepted(struct promise *promise, const struct change *change)
{
    if (change->kind == CHANGE_API_KEY) return api_key_accepted(promise, &change->api_key);
    const struct api_keys *keys = account_api_keys(promise->account);
    const struct stored_api_key *stored = api_keys_numbered(keys, change->number);
    bool begun = change->number > keys->made && change->number <= promise->api_keys_made;
    if (!stored && !begun) return false;
    if (change->kind == CHANGE_API_KEY_ENDED) return change->how > API_KEY_LIVES && change->how < API_KEY_ENDS_COUNT;
    struct slot rated = {.rates = stored ? stored->rates : NULL};
    struct change rates = {.kind = CHANGE_RATES, .bytes = change->bytes};
    return change->kind != CHANGE_API_KEY_RATES || slot_accepts(&rated, &rates);
}

/* A member has a number of its own, and keeps it; numbers count up one by one. */
static bool member_accepted(struct promise *promise, const struct change *change)
{
    const struct members *members = account_members(promise->account);
    const struct member *named = members_find(members, change->bytes);
    if (named) return named->number == change->number;
    return change->number == ++promise->members_made;
}

static bool member_change_accepted(const struct promise *promise, const struct change *change)
{
    const struct members *members = account_members(promise->account);
    bool begun = change->number > members->made && change->number <= promise->members_made;
    bool known = begun || members_numbered(members, change->number) != NULL;
    return known && (change->kind == CHANGE_MEMBER_LEFT || change->slot < promise->slots);
}

/* Parents and members. All other kinds that have come so far need nothing. */
static bool organisation_accepted(struct promise *promise, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_PARENT: return change->bytes.size <= MEMBER_NAME_MAX;
    case CHANGE_MEMBER: return member_accepted(promise, change);
    case CHANGE_MEMBER_LEFT:
    case CHANGE_MEMBER_USED:
    case CHANGE_MEMBER_SHARE: return member_change_accepted(promise, change);
    case CHANGE_SHARES: return change->slot < promise->slots && change->expires_us < change->until_us;
    default: return true;
    }
}

static bool change_accepted(struct promise *promise, const struct change *change)
{
    const struct account *account = promise->account;
    const struct slot *slot = NULL; /* one that the account has already */
    if (change_is_of_slot(change)) {
        if (change->slot >= promise->slots) return false;
        if (account && change->slot < account->slots_count) slot = &account->slots[change->slot];
    }
    switch (change->kind) {
    case CHANGE_PLAN: return promise->planned = plan_bytes_accepted(change->bytes, false);
    case CHANGE_NEXT:
    case CHANGE_OVERRIDE: return plan_bytes_accepted(change->bytes, true);
    case CHANGE_USED: return slot_accepts(slot, change);
    case CHANGE_RATES: return rates_accepted(promise, slot, change);
    case CHANGE_SLOT:
        return change->bytes.size > 0 && change->bytes.size <= RESOURCE_NAME_MAX &&
               slot_is_new(promise, change->bytes) && promise->slots++ < ACCOUNT_SLOTS_MAX;
    case CHANGE_HOLD:
    case CHANGE_MEMBER_HOLD: return hold_accepted(promise, change);
    case CHANGE_ENTITLEMENT: return promise->planned && entry_accepted(change->bytes);
    case CHANGE_REWOUND: return change->until_us > 0;
    case CHANGE_HOLD_EXTENDED:
    case CHANGE_MEMBER_HOLD_EXTENDED:
    case CHANGE_MEMBER_HOLD_ENDED: return hold_is_there(promise, change->bytes, is_of_member(change->kind));
    case CHANGE_HOLD_FUNDED:
    case CHANGE_HOLD_RESOLVED:
    case CHANGE_HOLDS_RESOLVED: return resolution_accepted(promise, change);
    case CHANGE_GRANT: return grant_accepted(promise, change);
    case CHANGE_GRANT_SPENT:
    case CHANGE_GRANT_TURNED:
    case CHANGE_GRANT_VOIDED: return grant_is_there(promise, change->number, -1);
    case CHANGE_API_KEY:
    case CHANGE_API_KEY_ENDED:
    case CHANGE_API_KEY_USED:
    case CHANGE_API_KEY_RATES: return api_key_change_accepted(promise, change);
    default: return organisation_accepted(promise, change);
    }
}

static struct promise promise_begin(const struct account *account, const struct account_change *change)
{
    struct promise promise;
    promise.account = account;
    promise.applied_at_us = change->applied_at_us;
    promise.changes = change->changes;
    promise.encoding = change->encoding;
    promise.planned = account != NULL;
    promise.named = (struct named_hold){NULL, 0};
    promise.begun_id = (struct bytes){"", 0};
    promise.begun = (struct begun_part){0};
    promise.rated.rates = NULL;
    promise.rates_pending = (struct bytes){"", 0};
    promise.rated_number = 0;
    promise.slots = account ? account->slots_count : 0;
    if (account) promise.applied_at_us = max_i64(promise.applied_at_us, account->applied_at_us);
    promise.holds = account_holds(account)->count - account_holds(account)->members_count;
    promise.begun_parts = 0;
    promise.members_made = account_members(account)->made;
    promise.grants_made = account_grants(account)->made;
    promise.api_keys_made = account_api_keys(account)->made;
    return promise;
}

bool account_accepts(const struct account *account, const struct account_change *change)
{
    struct cursor cursor = cursor_init(change->changes);
    struct change one;
    struct promise promise = promise_begin(account, change);
    bool accepted = true;
    while (accepted && !cursor_done(&cursor)) {
        change_decode(&cursor, change->encoding, &one);
        accepted = !cursor.bad && change_accepted(&promise, &one);
    }
    limiter_free(promise.rated.rates);
    return accepted && promise.planned && change->applied_at_us > 0 && change->applied_at_us <= INSTANT_MAX_US;
}

/* ---- applying -------------------------------------------------------------------------------------------- */

/* The most frequent changes, checked and done in one: units used of a window, where nothing but a number changes, and
 * the effects of rates. False where the change is another one, or more than that. */
static bool apply_frequent(struct account *account, struct slot_bill *bill, const struct change *change)
{
    bool frequent = change->kind == CHANGE_USED || change->kind == CHANGE_RATES;
    if (!frequent || change->slot >= account->slots_count) return false;
    struct slot *slot = &account->slots[change->slot];
    if (change->kind == CHANGE_USED) return slot_count_plainly(slot, change, false);
    bill_slot(account, bill, (int32_t)change->slot);
    return slot_apply_rates(slot, change->bytes);
}

/* Each change is checked once more before it is applied, as every replica will check it: what this account could not
 * have is left out, and counted as a bug. */
/* Counts of windows at the head of the changes, where nothing but numbers change: most requests are nothing else. */
static void apply_counts(struct account *account, const struct account_change *change, struct cursor *cursor)
{
    struct cursor at = *cursor;
    struct change one; /* what its kind does not name means nothing; there is much of it */
    while (change_decode_used(&at, change->encoding, &one) && one.slot < account->slots_count) {
        if (!slot_count_plainly(&account->slots[one.slot], &one, change->events != NULL)) return;
        *cursor = at;
    }
}

/* Every other change, checked once more before it is applied, as every replica will check it: what this account could
 * not have is left out, and counted as a bug. Answers how many parts of reservations have begun. `maker`: NULL = no
 * events are made. */
static uint32_t apply_checked(struct account **place, const struct account_change *change, struct cursor *cursor,
                              struct event_maker *maker, bool begins)
{
    struct account *account = *place;
    struct slot_bill bill = {.slot = -1};
    struct promise promise = promise_begin(begins ? NULL : account, change);
    struct change one;
    promise.changes.size = 0; /* each is done before the next one is checked */
    promise.applied_at_us = account->applied_at_us;
    while (!cursor_done(cursor) && !cursor->bad) {
        change_decode(cursor, change->encoding, &one);
        if (cursor->bad) break;
        bool watches = maker && one.kind == CHANGE_USED && one.slot < account->slots_count;
        if (watches) maker->counts = event_maker_watches_all(maker) || event_maker_counts(account, &one);
        if (!(watches && maker->counts) && apply_frequent(account, &bill, &one)) continue;
        promise.account = account;
        if (!expect(change_accepted(&promise, &one))) continue;
        if (maker) event_maker_note(maker, account, &one);
        bill_slot(account, &bill, change_is_of_slot(&one) ? (int32_t)one.slot : -1);
        account = apply_one(account, &one, promise.named, begins);
    }
    (void)expect(!cursor->bad);
    bill_slot(account, &bill, -1);
    *place = account;
    return promise.begun_parts;
}

struct account *account_apply(struct account *account, const struct account_change *change)
{
    struct cursor cursor = cursor_init(change->changes);
    struct event_maker made, *maker = change->events ? &made : NULL; /* where there are events to be made */
    bool begins = !account;
    uint32_t begun_parts = 0;
    if (maker) event_maker_begin(maker, account, change);
    if (begins) account = account_new();
    account->applied_at_us = max_i64(change->applied_at_us, account->applied_at_us);
    if (!maker || !event_maker_watches_all(maker)) apply_counts(account, change, &cursor);
    if (!cursor_done(&cursor)) begun_parts = apply_checked(&account, change, &cursor, maker, begins);
    if (maker) event_maker_end(maker, account);
    sweep(account, begun_parts);
    return account;
}

void account_apply_local(struct account *account, const struct change *change)
{
    bool fits = change->kind == CHANGE_DENIED && change->slot < account->slots_count;
    if (expect(fits)) (void)slot_apply(&account->slots[change->slot], change);
}

/* ---- questions and the end ------------------------------------------------------------------------------- */

int64_t account_deadline_us(const struct account *account)
{
    (void)account;
    return INSTANT_MAX_US;
}

static void optional_free(struct account_optional *optional)
{
    if (!optional) return;
    holds_free(&optional->holds);
    grants_free(&optional->grants);
    if (optional->api_keys) api_keys_free(optional->api_keys);
    memory_free(optional->api_keys);
    if (optional->members) members_free(optional->members);
    memory_free(optional->members);
    interned_string_release(optional->parent);
    for (uint32_t i = 0; i < optional->audit_count; i++) memory_free(optional->audit[i]);
    memory_free(optional->audit);
    plan_release(optional->next);
    interned_string_release(optional->then);
    memory_free(optional->slot_index);
    memory_free(optional);
}

/* Counts of shared plans and strings are guarded by their tables' mutexes: any thread may do this. */
void account_free(struct account *account)
{
    if (!account) return;
    for (uint32_t i = 0; i < account->slots_count; i++) slot_free(&account->slots[i]);
    idempotency_free(account->idempotency);
    optional_free(account->optional);
    plan_count_account(account->plan, -1);
    plan_release(account->plan);
    interned_string_release(account->zone);
    memory_free(account);
}

size_t account_bytes(const struct account *account)
{
    size_t bytes = sizeof(*account) + account->slots_bytes + idempotency_bytes(account->idempotency);
    const struct account_optional *optional = account->optional;
    if (!optional) return bytes;
    if (optional->audit) bytes += ACCOUNT_AUDIT_MAX * sizeof(struct stored_audit_entry *);
    bytes += optional->slot_places * sizeof(*optional->slot_index);
    if (optional->api_keys) bytes += sizeof(*optional->api_keys) + optional->api_keys->bytes;
    if (optional->members) bytes += sizeof(*optional->members) + optional->members->bytes;
    return bytes + sizeof(*optional) + optional->audit_bytes + optional->holds.bytes + optional->grants.bytes;
}

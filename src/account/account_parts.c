/* Parts of an account: what comes and goes in it; see account_parts.h. */
#include "quota/account/account_parts.h"
#include "quota/account/change_parts.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/base/linear_hash.h"
#include "quota/base/memory.h"

/* ---- members and keys ------------------------------------------------------------------------------------ */

static struct members *members_of(struct account *account)
{
    struct account_optional *optional = account_optional_of(account);
    if (!optional->members) {
        optional->members = memory_alloc(sizeof(*optional->members));
        *optional->members = (struct members){0};
    }
    return optional->members;
}

/* A cycle of a resource has begun for a member (of this number; 0 = for all of them): a reservation that was made since
 * its start holds units of it. There is one only where the cycles are others than they were when it was made. */
static void recount_members(struct account *account, int64_t number, const struct change *change)
{
    const struct holds *holds = account_holds(account);
    struct members *members = members_of(account);
    if (holds->members_count == 0 || holds->newest_us < change->until_us) return;
    for (uint32_t i = 0; i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (!hold->of_member || hold->slot != change->slot) continue;
        struct bytes name = member_hold_id_member(hold_id(holds->by_expiry[i]));
        const struct member *member = members_find(members, name);
        bool counts = member && (number == 0 ? !member->has_left : member->number == number);
        if (counts) members_hold(members, name, hold->slot, hold_counted(hold), hold->made_us);
    }
}

static void apply_to_member(struct account *account, const struct change *change)
{
    struct members *members = members_of(account);
    bool begins = false;
    switch (change->kind) {
    case CHANGE_MEMBER: members_put(members, change->number, change->bytes, (uint32_t)change->amount); break;
    case CHANGE_MEMBER_LEFT: members_leave(members, change->number); break;
    case CHANGE_MEMBER_SHARE:
        begins = members_share(members, change->number, change->slot, change->until_us, change->amount);
        break;
    case CHANGE_SHARES: {
        const struct division division = {change->slot, change->until_us, change->expires_us, change->amount,
                                          (enum share_how)change->how};
        members_divide(members, &division);
        recount_members(account, 0, change);
        break;
    }
    default:
        begins = members_use(members, change->number, change->slot, change->until_us, change->amount,
                             account->applied_at_us);
        break;
    }
    if (begins) recount_members(account, change->number, change);
}

static struct api_keys *api_keys_of(struct account *account)
{
    struct account_optional *optional = account_optional_of(account);
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

/* ---- reservations ---------------------------------------------------------------------------------------- */

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
void account_recount_held(struct account *account, struct slot *slot)
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

/* A reservation begins, or its next part. `before`: the one of this id, of this hash, that has ended and awaits its
 * sweep; NULL = there is none. */
static void begin_hold(struct account *account, const struct change *change, const struct stored_hold *before,
                       uint32_t hash)
{
    if (!expect(change->hold.slot < account->slots_count)) return;
    struct holds *holds = &account_optional_of(account)->holds;
    struct slot *slot = &account->slots[change->hold.slot];
    size_t bytes = slot_bytes(slot);
    /* Without a sum of its own a slot pays nothing for reservations that it never has. */
    if (before && change->hold.part == 0) forget_hold(account, holds_take(holds, before));
    if (!slot->optional || slot->optional->holds_count == 0) slot_clear_held(slot);
    const struct hold *hold = holds_add(holds, change->bytes, hash, &change->hold);
    slot_add_held(slot, hold, 1);
    hold_grants(account, hold, 1);
    if (hold->of_member) {
        struct bytes member = member_hold_id_member(change->bytes);
        members_hold(members_of(account), member, hold->slot, hold_counted(hold), hold->made_us);
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
    struct grants *grants = &account_optional_of(account)->grants;
    grants_add(grants, change->bytes, linear_hash(change->bytes), &change->grant, account->applied_at_us);
}

static void give(struct account *account, const struct change *change)
{
    if (!expect(change->grant.slot < account->slots_count)) return;
    struct grants *grants = &account_optional_of(account)->grants;
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

void account_store_audit_entry(struct account *account, const struct audit_entry *entry)
{
    struct account_optional *optional = account_optional_of(account);
    struct sink sink = {0};
    audit_entry_encode(entry, &sink);
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

void account_sweep(struct account *account, uint32_t begun)
{
    /* Bounded: a change that brings in one record may sweep several, so what has ended never piles up. */
    struct account_optional *optional = account->optional;
    account->idempotency = idempotency_sweep(account->idempotency, account->applied_at_us, SWEEP_MAX);
    sweep_holds(account, begun > 1 ? SWEEP_MAX + begun : SWEEP_MAX); /* of one part as older versions do it */
    if (optional) grants_sweep(&optional->grants, account->applied_at_us, remember_grant, account);
}

/* ---- one change ------------------------------------------------------------------------------------------ */

void account_apply_part(struct account *account, const struct change *change, struct named_hold named)
{
    switch (change->kind) {
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
    case CHANGE_MEMBER:
    case CHANGE_MEMBER_LEFT:
    case CHANGE_MEMBER_USED:
    case CHANGE_MEMBER_SHARE:
    case CHANGE_SHARES: apply_to_member(account, change); break;
    default: break;
    }
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
    struct account_optional *optional = account_optional_of(account);
    if (part->kind == CHANGE_AUDIT) {
        account_store_audit_entry(account, &part->audit);
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
    struct grants *grants = &account_optional_of(account)->grants;
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
    interned_string_replace(&account_optional_of(account)->parent, parent);
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

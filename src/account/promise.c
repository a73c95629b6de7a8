/* Which changes an account accepts; see promise.h. */
#include "quota/account/promise.h"
#include "quota/account/account_parts.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/base/linear_hash.h"
#include "quota/rate/limiter_codec.h"

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
    case CHANGE_SHARES: return change->slot < promise->slots && change->expires_us <= change->until_us;
    default: return true;
    }
}

bool promise_accepts(struct promise *promise, const struct change *change)
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

struct promise promise_begin(const struct account *account, const struct account_change *change)
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
        accepted = !cursor.bad && promise_accepts(&promise, &one);
    }
    limiter_free(promise.rated.rates);
    return accepted && promise.planned && change->applied_at_us > 0 && change->applied_at_us <= INSTANT_MAX_US;
}

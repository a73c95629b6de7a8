/* The account's memory, and questions about it; see account.h. */
#include "quota/account/account.h"
#include "quota/base/checked.h"
#include "quota/base/linear_hash.h"
#include "quota/base/memory.h"

/* ---- parts that come when they are needed ---------------------------------------------------------------- */

struct account_optional *account_optional_of(struct account *account)
{
    if (!account->optional) {
        account->optional = memory_alloc(sizeof(*account->optional));
        *account->optional = (struct account_optional){0};
    }
    return account->optional;
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

struct account *account_grow_windows(struct account *account, uint32_t slot)
{
    /* The windows of all slots are one run in the block: one more moves those of the slots behind it. */
    const struct slot *grown = &account->slots[slot];
    account = open_gap(account, grown->windows + grown->windows_count, sizeof(struct stored_window));
    lay_windows(account); /* as before: the gap is not counted yet */
    return account;
}

struct account *account_windows_grown(struct account *account)
{
    lay_windows(account);
    return account;
}

struct account *account_shrink_windows(struct account *account, uint32_t slot)
{
    const struct slot *shrunk = &account->slots[slot];
    account = close_gap(account, shrunk->windows + shrunk->windows_count, sizeof(struct stored_window));
    lay_windows(account);
    return account;
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
    struct account_optional *optional = account_optional_of(account);
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

struct account *account_add_slot(struct account *account, struct bytes resource)
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

/* ---- questions ------------------------------------------------------------------------------------------- */

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
                                   .restarted = optional->restarted,
                                   .zone = interned_string_bytes(account->zone),
                                   .then = interned_string_bytes(optional->then)};
}

/* ---- the end -------------------------------------------------------------------------------------------- */

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

/* Applies changes to an account; see account_writer.h. */
#include "quota/account/account_writer.h"
#include "quota/account/account_parts.h"
#include "quota/account/event_maker.h"
#include "quota/account/promise.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/base/memory.h"

static void apply_status(struct account *account, const struct account_status *status)
{
    account->state = status->state;
    account->anchor_us = status->anchor_us;
    interned_string_replace(&account->zone, status->zone);
    bool plain =
        status->expires_us == 0 && status->suspended_until_us == 0 && status->opened_us == 0 && !status->restarted;
    if (plain && status->then.size == 0 && !account->optional) return;
    struct account_optional *optional = account_optional_of(account);
    optional->expires_us = status->expires_us;
    optional->suspended_until_us = status->suspended_until_us;
    optional->opened_us = status->opened_us;
    optional->restarted = status->restarted;
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
    if (grows > 0) account = account_grow_windows(account, change->slot);
    slot = &account->slots[change->slot];
    /* Sums of what is held are kept for each stored window, so they follow when a window is another cycle than before.
     * */
    bool moved = slot_apply(slot, change);
    if (grows > 0) account = account_windows_grown(account);
    if (grows < 0) account = account_shrink_windows(account, change->slot);
    slot = &account->slots[change->slot];
    if (moved && slot->optional && slot->optional->holds_count > 0) account_recount_held(account, slot);
    return account;
}

static void apply_next(struct account *account, const struct change *change)
{
    struct account_optional *optional = account_optional_of(account);
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
    case CHANGE_SLOT: return account_add_slot(account, change->bytes);
    case CHANGE_PARENT: interned_string_replace(&account_optional_of(account)->parent, change->bytes); break;
    case CHANGE_AUDIT:
        /* Who has opened it for the first time is no news of an account, and would be the only entry of most. */
        if (!begins || change->audit.act != AUDIT_OPEN) account_store_audit_entry(account, &change->audit);
        break;
    case CHANGE_REWOUND: account->applied_at_us = change->until_us; break;
    default: account_apply_part(account, change, named); break;
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
        if (!expect(promise_accepts(&promise, &one))) continue;
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
    struct event_maker made, *maker = NULL; /* where there are events to be made */
    bool begins = !account;
    uint32_t begun_parts = 0;
    if (change->events) {
        maker = &made;
        event_maker_begin(maker, account, change);
    }
    if (begins) account = account_new();
    account->applied_at_us = max_i64(change->applied_at_us, account->applied_at_us);
    if (!maker || !event_maker_watches_all(maker)) apply_counts(account, change, &cursor);
    if (!cursor_done(&cursor)) begun_parts = apply_checked(&account, change, &cursor, maker, begins);
    if (maker) event_maker_end(maker, account);
    account_sweep(account, begun_parts);
    return account;
}

void account_apply_local(struct account *account, const struct change *change)
{
    bool fits = change->kind == CHANGE_DENIED && change->slot < account->slots_count;
    if (expect(fits)) (void)slot_apply(&account->slots[change->slot], change);
}

/* Reads what an id was used for out of records, reservations and grants; see remembered.h. */
#include "quota/decide/remembered.h"
#include "quota/decide/grant.h"
#include "quota/decide/reservation.h"
#include "quota/decide/taken.h"

static struct remembered_part *add_part(struct remembered *found, int32_t slot, uint32_t item)
{
    struct remembered_part *part = &found->parts[found->parts_count];
    bool is_first = found->parts_count == 0 || part[-1].item != item;
    found->parts_count++;
    *part = (struct remembered_part){.slot = slot, .item = item, .is_first = is_first, .cost = 1};
    return part;
}

/* How much of what a consumption took has been requested back since. */
static int64_t returned(const struct account_view *account, enum record_operation as, uint32_t slot, struct bytes id)
{
    struct idempotency_entry entry;
    int64_t amount;
    if (!record_find(account, as, slot, id, &entry)) return 0;
    return record_returned_decode(entry.body, &amount) ? amount : 0;
}

/* ---- each operation -------------------------------------------------------------------------------------- */

static bool read_items(const struct account_view *account, const struct idempotency_entry *entry, struct bytes id,
                       struct remembered *found)
{
    struct record_item items[BATCH_ITEMS_MAX];
    uint32_t count;
    uint8_t mark;
    bool batch = found->operation == RECORD_BATCH;
    if (!record_items_decode(entry->body, items, &count, &mark)) return false;
    found->state = REMEMBERED_DENIED;
    found->levels = record_items_levels(entry->body);
    for (uint32_t i = 0; i < count; i++) {
        struct remembered_part *part = add_part(found, (int32_t)items[i].slot, items[i].item);
        part->requested = items[i].amount;
        part->granted = items[i].verdict.granted;
        part->cost = items[i].cost;
        part->charged = items[i].charged;
        part->funding = items[i].funding;
        part->counted = part->granted > 0;
        if (part->granted > 0) found->state = REMEMBERED_GRANTED;
        if (items[i].at_us > 0) found->at_us = items[i].at_us;
        enum record_operation as = batch ? RECORD_RETURNED_BATCH : RECORD_RETURNED;
        if (part->is_first) part->refunded = returned(account, as, items[i].slot, id);
    }
    return true;
}

static bool read_refund(const struct idempotency_entry *entry, uint32_t slot, struct remembered *found)
{
    struct record_refund refund;
    if (!record_refund_decode(entry->body, &refund)) return false;
    found->state = REMEMBERED_REFUNDED;
    found->of = refund.of;
    struct remembered_part *part = add_part(found, (int32_t)slot, 0);
    part->requested = refund.amount;
    part->refunded = refund.refunded;
    part->lost = refund.lost;
    return true;
}

/* Its items stand in the order of what was consumed: of whom they are is known as long as that is remembered. */
static bool read_refund_all(const struct account_view *account, const struct idempotency_entry *entry,
                            struct remembered *found)
{
    struct record_refund_all refund;
    uint32_t slots[REFUND_ITEMS_MAX];
    if (!record_refund_all_decode(entry->body, &refund)) return false;
    bool known = taken_slots(account, refund.of, slots) == refund.count;
    found->state = REMEMBERED_REFUNDED;
    found->of = refund.of;
    for (uint32_t i = 0; i < refund.count; i++) {
        struct remembered_part *part = add_part(found, known ? (int32_t)slots[i] : -1, i);
        part->requested = refund.items[i].refunded + refund.items[i].lost;
        part->refunded = refund.items[i].refunded;
        part->lost = refund.items[i].lost;
    }
    return true;
}

static enum remembered_state state_of(enum hold_outcome outcome)
{
    switch (outcome) {
    case HOLD_COMMITTED: return REMEMBERED_COMMITTED;
    case HOLD_RELEASED: return REMEMBERED_RELEASED;
    default: return REMEMBERED_EXPIRED;
    }
}

static void read_live_hold(const struct stored_hold *stored, struct remembered *found)
{
    found->state = REMEMBERED_HELD;
    found->at_us = stored->hold.made_us;
    found->until_us = NEVER_US;
    found->levels = stored->hold.levels;
    for (; stored; stored = stored->next) {
        const struct hold *hold = &stored->hold;
        struct remembered_part *part = add_part(found, (int32_t)hold->slot, hold->item);
        part->requested = part->granted = hold->amount;
        part->cost = hold->units / hold->amount;
        part->charged.count = CHARGED_ALL; /* a commit posts to the LIMITs that are there then */
        part->funding = hold->funding;
        part->counted = true;
    }
}

/* What has ended, and is remembered by a record or awaits its sweep. */
static bool read_ended_hold(const struct account_view *account, struct bytes id, const struct stored_hold *stored,
                            struct remembered *found)
{
    struct record_hold parts[HOLD_PARTS_MAX];
    struct idempotency_entry entry;
    uint32_t count;
    if (!reservation_find_outcome(account, id, stored, parts, &count)) return false;
    found->state = state_of(parts[0].outcome);
    found->at_us = parts[0].made_us;
    found->until_us = stored ? stored->hold.expires_us + stored->hold.kept_us : NEVER_US;
    if (!stored && record_find(account, RECORD_HOLD, RECORD_NO_SLOT, id, &entry)) {
        found->until_us = entry.expires_us;
        found->levels = record_hold_levels(entry.body);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct remembered_part *part = add_part(found, (int32_t)parts[i].slot, parts[i].item);
        part->requested = parts[i].amount;
        part->granted = parts[i].posted;
        part->cost = parts[i].cost;
        part->charged = parts[i].charged;
        part->funding = parts[i].funding;
        part->counted = part->granted > 0;
        if (part->is_first) part->refunded = returned(account, RECORD_RETURNED_HOLD, parts[i].slot, id);
    }
    return true;
}

static bool read_hold(const struct account_view *account, struct bytes id, struct remembered *found)
{
    const struct holds *holds = account_holds(account->account);
    const struct stored_hold *stored = holds_find(holds, id, hold_hash(id, false));
    if (!reservation_lives(account, stored)) return read_ended_hold(account, id, stored, found);
    read_live_hold(stored, found);
    return true;
}

static bool read_grant(struct account_view *account, struct bytes id, struct remembered *found)
{
    struct grant grant;
    struct idempotency_entry entry;
    if (!grant_find_given(account, id, &grant)) return false;
    bool ended = record_find(account, RECORD_GRANT, RECORD_NO_SLOT, id, &entry);
    found->state = REMEMBERED_GIVEN;
    found->at_us = grant.created_us;
    found->until_us = ended && entry.expires_us < INSTANT_MAX_US ? entry.expires_us : NEVER_US;
    struct remembered_part *part = add_part(found, (int32_t)grant.slot, 0);
    part->requested = part->granted = grant.amount;
    return true;
}

static bool read_transfer(const struct idempotency_entry *entry, uint32_t slot, struct remembered *found)
{
    struct record_transfer transfer;
    if (!record_transfer_decode(entry->body, &transfer)) return false;
    found->state = REMEMBERED_MOVED;
    found->target = transfer.target;
    struct remembered_part *part = add_part(found, (int32_t)slot, 0);
    part->requested = part->granted = transfer.amount;
    return true;
}

/* ---- the walk -------------------------------------------------------------------------------------------- */

/* In this order; some are looked for in every resource. */
static const struct kind {
    enum record_operation operation;
    bool of_a_resource;
} kinds[] = {{RECORD_CONSUME, true}, {RECORD_BATCH, false}, {RECORD_REFUND, true},  {RECORD_REFUND_ALL, false},
             {RECORD_HOLD, false},   {RECORD_GRANT, false}, {RECORD_TRANSFER, true}};
#define KINDS_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static bool read_record(struct account_view *account, struct bytes id, uint32_t slot, struct remembered *found)
{
    struct idempotency_entry entry;
    if (found->operation == RECORD_HOLD) return read_hold(account, id, found);
    if (found->operation == RECORD_GRANT) return read_grant(account, id, found);
    if (!record_find(account, found->operation, slot, id, &entry)) return false;
    found->at_us = entry.stored_us;
    found->until_us = entry.expires_us;
    switch (found->operation) {
    case RECORD_REFUND: return read_refund(&entry, slot, found);
    case RECORD_REFUND_ALL: return read_refund_all(account, &entry, found);
    case RECORD_TRANSFER: return read_transfer(&entry, slot, found);
    default: return read_items(account, &entry, id, found);
    }
}

bool remembered_next(struct account_view *account, struct bytes id, struct remembered_walk *walk,
                     struct remembered *found)
{
    uint32_t slots = account->account->slots_count, at = walk->step;
    for (size_t k = 0; k < KINDS_COUNT; k++) {
        uint32_t places = kinds[k].of_a_resource ? slots : 1;
        for (; at < places; at++) {
            walk->step++;
            found->operation = kinds[k].operation;
            found->of = found->target = found->levels = (struct bytes){"", 0};
            found->parts_count = 0;
            if (read_record(account, id, kinds[k].of_a_resource ? at : RECORD_NO_SLOT, found)) return true;
        }
        at -= places;
    }
    return false;
}

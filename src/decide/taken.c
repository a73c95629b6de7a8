/* Looks up what was consumed under an id; see taken.h. */
#include "quota/decide/taken.h"
#include "quota/base/checked.h"

bool record_find(const struct account_view *account, enum record_operation operation, uint32_t slot, struct bytes id,
                 struct idempotency_entry *entry)
{
    struct record_key key;
    record_key_make(&key, operation, slot, id);
    return idempotency_find(account_idempotency(account->account), record_key_bytes(&key), account->now_us, entry);
}

/* Which of an item's parts is meant: its first, of a slot; or another one, of whatever slot. */
struct wanted_part {
    bool other;
    uint32_t slot, item;
};

static bool is_wanted(const struct wanted_part *wanted, bool is_first, uint32_t slot, uint32_t item)
{
    return wanted->other ? !is_first && item == wanted->item : is_first && slot == wanted->slot;
}

static bool take_from_items(const struct idempotency_entry *entry, struct wanted_part *wanted, struct taken *taken)
{
    struct record_item items[BATCH_ITEMS_MAX];
    uint32_t count;
    uint8_t mark;
    if (!record_items_decode(entry->body, items, &count, &mark)) return false;
    for (uint32_t i = 0; i < count; i++) {
        bool is_first = i == 0 || items[i].item != items[i - 1].item;
        if (!is_wanted(wanted, is_first, items[i].slot, items[i].item) || items[i].verdict.granted == 0) continue;
        wanted->slot = items[i].slot;
        taken->item = items[i].item;
        taken->amount = items[i].verdict.granted;
        taken->cost = items[i].cost;
        taken->charged = items[i].charged;
        taken->funding = items[i].funding;
        taken->from.generation = items[i].generation;
        taken->from.taken_us = items[i].at_us > 0 ? items[i].at_us : entry->stored_us;
        taken->from.paid_us = entry->stored_us;
        taken->from.is_late = items[i].at_us > 0;
        return true;
    }
    return false;
}

static bool take_from_hold(const struct idempotency_entry *entry, struct wanted_part *wanted, struct taken *taken)
{
    struct record_hold parts[HOLD_PARTS_MAX];
    uint32_t count;
    if (!record_hold_decode(entry->body, parts, &count)) return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct record_hold *part = &parts[i];
        bool is_first = i == 0 || part->item != parts[i - 1].item;
        if (!is_wanted(wanted, is_first, part->slot, part->item) || part->posted == 0) continue;
        wanted->slot = part->slot;
        taken->item = part->item;
        taken->amount = part->posted;
        taken->cost = part->cost;
        taken->charged = part->charged;
        taken->funding = part->funding;
        taken->from.generation = part->generation;
        taken->from.taken_us = taken->from.paid_us = part->made_us;
        taken->from.is_late = false;
        return true;
    }
    return false;
}

/* Reads what the record of an operation says. */
static bool take(const struct idempotency_entry *entry, enum record_operation operation, struct wanted_part *wanted,
                 struct taken *taken)
{
    bool by_hold = operation == RECORD_HOLD;
    if (!(by_hold ? take_from_hold(entry, wanted, taken) : take_from_items(entry, wanted, taken))) return false;
    taken->operation = operation;
    taken->levels = by_hold ? record_hold_levels(entry->body) : record_items_levels(entry->body);
    taken->expires_us = entry->expires_us;
    taken->from.logged_us = entry->stored_us;
    taken->from.charged = &taken->charged;
    return true;
}

bool taken_find_other(const struct account_view *account, uint32_t slot, struct bytes of, const struct taken *taken,
                      uint32_t *other_slot, struct taken *other)
{
    struct idempotency_entry entry;
    struct wanted_part wanted = {.other = true, .item = taken->item};
    uint32_t of_slot = taken->operation == RECORD_CONSUME ? slot : RECORD_NO_SLOT;
    if (!record_find(account, taken->operation, of_slot, of, &entry)) return false;
    if (!take(&entry, taken->operation, &wanted, other)) return false;
    *other_slot = wanted.slot;
    other->returned = taken->returned;
    other->returned_as = taken->returned_as;
    return true;
}

bool taken_find(const struct account_view *account, uint32_t slot, struct bytes of, struct taken *taken)
{
    static const struct {
        enum record_operation operation, returned_as;
    } kinds[] = {
        {RECORD_CONSUME, RECORD_RETURNED}, {RECORD_BATCH, RECORD_RETURNED_BATCH}, {RECORD_HOLD, RECORD_RETURNED_HOLD}};
    struct idempotency_entry entry;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct wanted_part wanted = {.slot = slot};
        uint32_t of_slot = kinds[i].operation == RECORD_CONSUME ? slot : RECORD_NO_SLOT;
        if (!record_find(account, kinds[i].operation, of_slot, of, &entry)) continue;
        if (!take(&entry, kinds[i].operation, &wanted, taken)) continue;
        taken->returned_as = kinds[i].returned_as;
        taken->returned = 0;
        if (!record_find(account, taken->returned_as, slot, of, &entry)) return true;
        return record_returned_decode(entry.body, &taken->returned);
    }
    return false;
}

/* ---- sums ------------------------------------------------------------------------------------------------ */

static bool charged_equal(const struct charged *left, const struct charged *right)
{
    if (left->count != right->count) return false;
    bool listed = left->count != CHARGED_ALL && left->count != CHARGED_STORED;
    return !listed || memcmp(left->periods, right->periods, left->count * sizeof(*left->periods)) == 0;
}

static bool charged_together(const struct taken *left, const struct taken *right)
{
    const struct taken_from *one = &left->from, *other = &right->from;
    return one->taken_us == other->taken_us && one->logged_us == other->logged_us && one->paid_us == other->paid_us &&
           one->is_late == other->is_late && one->generation == other->generation &&
           charged_equal(&left->charged, &right->charged);
}

bool taken_join(struct taken *sum, const struct taken *part, int64_t from, int64_t to, struct sink *funding)
{
    if (sum->amount > 0 && !charged_together(sum, part)) return false;
    if (sum->amount == 0) {
        sum->from = part->from;
        sum->charged = part->charged;
        sum->from.charged = &sum->charged;
        sum->cost = 1;
        sum->returned = 0;
    }
    if (part->funding.size > 0 && funding->size == 0) funding_add(funding, FUNDED_BY_LIMITS, sum->amount);
    if (part->funding.size > 0 || funding->size > 0)
        funding_cut(part->funding, part->amount * part->cost, from, to, funding);
    sum->amount = add_clamped(sum->amount, to - from);
    sum->funding = sink_content(funding);
    return true;
}

/* ---- levels ---------------------------------------------------------------------------------------------- */

/* Keys, each once. */
struct name_list {
    struct bytes *names;
    uint32_t count, most;
};

static void add_names(struct name_list *list, struct bytes levels)
{
    struct cursor cursor = cursor_init(levels);
    struct level level;
    while (level_next(&cursor, &level)) {
        bool known = false;
        for (uint32_t i = 0; i < list->count; i++) known = known || bytes_equal(list->names[i], level.name);
        if (!known && list->count < list->most) list->names[list->count++] = level.name;
    }
}

uint32_t taken_levels(const struct account *account, struct bytes resource, struct bytes of, int64_t now_us,
                      struct bytes *names, uint32_t most)
{
    struct name_list list = {.names = names, .most = most};
    struct idempotency_entry entry;
    const struct account_view view = {.account = account, .now_us = now_us};
    for (uint32_t i = 0; i < account->slots_count; i++) {
        bool wanted = resource.size == 0 || bytes_equal(interned_string_bytes(account->slots[i].resource), resource);
        if (wanted && record_find(&view, RECORD_CONSUME, i, of, &entry))
            add_names(&list, record_items_levels(entry.body));
    }
    if (record_find(&view, RECORD_BATCH, RECORD_NO_SLOT, of, &entry)) add_names(&list, record_items_levels(entry.body));
    if (record_find(&view, RECORD_HOLD, RECORD_NO_SLOT, of, &entry)) add_names(&list, record_hold_levels(entry.body));
    return list.count;
}

/* ---- all of it ------------------------------------------------------------------------------------------- */

/* Slots in order, each once. */
struct slot_list {
    const struct account *account;
    uint32_t count, *slots;
};

static void add_slot(struct slot_list *list, uint32_t slot)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->slots[i] == slot) return;
    }
    if (slot < list->account->slots_count && list->count < REFUND_ITEMS_MAX) list->slots[list->count++] = slot;
}

static void add_items(struct slot_list *list, struct bytes body)
{
    struct record_item items[BATCH_ITEMS_MAX];
    uint32_t count;
    uint8_t mark;
    if (!record_items_decode(body, items, &count, &mark)) return;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || items[i].item != items[i - 1].item) add_slot(list, items[i].slot);
    }
}

/* One that was released, or has expired, has taken nothing. */
static void add_parts(struct slot_list *list, struct bytes body)
{
    struct record_hold parts[HOLD_PARTS_MAX];
    uint32_t count;
    if (!record_hold_decode(body, parts, &count) || parts[0].outcome != HOLD_COMMITTED) return;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || parts[i].item != parts[i - 1].item) add_slot(list, parts[i].slot);
    }
}

uint32_t taken_slots(const struct account_view *account, struct bytes of, uint32_t slots[REFUND_ITEMS_MAX])
{
    struct idempotency_entry entry;
    struct slot_list list = {.account = account->account, .slots = slots};
    for (uint32_t i = 0; i < list.account->slots_count; i++) {
        if (record_find(account, RECORD_CONSUME, i, of, &entry)) add_items(&list, entry.body);
    }
    if (record_find(account, RECORD_BATCH, RECORD_NO_SLOT, of, &entry)) add_items(&list, entry.body);
    if (record_find(account, RECORD_HOLD, RECORD_NO_SLOT, of, &entry)) add_parts(&list, entry.body);
    return list.count;
}

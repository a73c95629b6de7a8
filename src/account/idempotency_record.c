/* Keys and bodies of idempotency records; the forms are in idempotency_record.h. */
#include "quota/account/idempotency_record.h"
#include "quota/base/checked.h"

#define SLOT_MAX         65535
#define GENERATIONS_FLAG 0x80 /* beside the mode: generations of consumptions follow the costs … */
#define FUNDING_FLAG     0x40 /* … and sources the verdicts … */
#define ITEMS_FLAG       0x20 /* … and the number of its item each slot, where an item has several parts */
#define LEVELS_FLAG      0x10 /* … and levels in front of all items … */
#define INSTANT_FLAG     0x08 /* … and behind those the instant at which the units were used */
#define ITEMS_FLAGS      (GENERATIONS_FLAG | FUNDING_FLAG | ITEMS_FLAG | LEVELS_FLAG | INSTANT_FLAG)
#define PARTS_FLAG       0x80 /* beside the outcome of a reservation: it had several parts … */
#define HOLD_LEVELS_FLAG 0x40 /* … and levels, which follow */
#define NO_BYTES         ((struct bytes){"", 0})

void record_key_make(struct record_key *key, enum record_operation operation, uint32_t slot, struct bytes id)
{
    struct sink sink = sink_init(key->stack_buffer, sizeof(key->stack_buffer));
    sink_byte(&sink, (uint8_t)operation);
    sink_number(&sink, slot);
    sink_raw(&sink, id.data, id.size);
    key->size = sink.size; /* an id has at most ID_BYTES_MAX bytes: it fits the buffer */
}

struct bytes record_key_id(struct bytes key)
{
    struct cursor cursor = cursor_init(key);
    (void)cursor_byte(&cursor);
    (void)cursor_number(&cursor);
    return cursor.bad ? (struct bytes){"", 0} : (struct bytes){key.data + cursor.at, key.size - cursor.at};
}

struct charged charged_of(const struct entitlement *entitlement)
{
    struct charged charged;
    charged.count = 0; /* the rest means nothing yet; there are many of them */
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        const struct quota_rule *rule = &entitlement->rules[i];
        if (rule->kind == QUOTA_LIMIT) charged.periods[charged.count++] = quota_rule_code(rule);
    }
    return charged;
}

bool charged_has(const struct charged *charged, uint64_t period)
{
    for (uint32_t i = 0; charged && charged->count != CHARGED_ALL && i < charged->count; i++) {
        if (charged->periods[i] == period) return true;
    }
    return charged == NULL || charged->count == CHARGED_ALL;
}

void charged_add(struct charged *charged, uint64_t period)
{
    if (charged->count < ENTITLEMENT_RULES_MAX) charged->periods[charged->count++] = period;
}

/* What stands for a count in bytes. */
#define ALL_CODE    (ENTITLEMENT_RULES_MAX + 1)
#define STORED_CODE (ENTITLEMENT_RULES_MAX + 2)

void charged_encode(const struct charged *charged, struct sink *sink)
{
    bool listed = charged->count <= ENTITLEMENT_RULES_MAX;
    sink_number(sink, listed ? charged->count : charged->count == CHARGED_ALL ? ALL_CODE : STORED_CODE);
    for (uint32_t i = 0; listed && i < charged->count; i++) sink_number(sink, (int64_t)charged->periods[i]);
}

void charged_decode(struct cursor *cursor, struct charged *charged)
{
    uint32_t count = (uint32_t)cursor_number_between(cursor, 0, STORED_CODE);
    bool listed = count <= ENTITLEMENT_RULES_MAX;
    charged->count = listed ? count : count == ALL_CODE ? CHARGED_ALL : CHARGED_STORED;
    for (uint32_t i = 0; listed && i < count; i++) charged->periods[i] = (uint64_t)cursor_number(cursor);
}

/* In a record, which outlives the windows. */
static void record_charged_decode(struct cursor *cursor, struct charged *charged)
{
    charged_decode(cursor, charged);
    if (charged->count == CHARGED_STORED) cursor->bad = true;
}

/* ---- verdicts and what they answered ---------------------------------------------------------------------- */

void record_verdict_encode(const struct verdict *verdict, struct sink *sink)
{
    sink_number(sink, verdict->granted);
    sink_signed(sink, verdict->limit);
    sink_signed(sink, verdict->remaining);
    sink_signed(sink, millis_ceil(verdict->wait_us));
    sink_signed(sink, millis_ceil(verdict->reset_us));
    sink_signed(sink, verdict->rule);
}

/* Whole ms or NEVER_US; bad beyond what a verdict can say. */
static int64_t millis_decode(struct cursor *cursor)
{
    int64_t millis = cursor_signed(cursor);
    if (millis < NEVER_US || millis > INT64_MAX / MICROS_PER_MILLI) cursor->bad = true;
    return cursor->bad || millis == NEVER_US ? NEVER_US : millis * MICROS_PER_MILLI;
}

void record_verdict_decode(struct cursor *cursor, struct verdict *verdict)
{
    verdict->granted = cursor_number(cursor);
    verdict->limit = cursor_signed(cursor);
    verdict->remaining = cursor_signed(cursor);
    verdict->wait_us = millis_decode(cursor);
    verdict->reset_us = millis_decode(cursor);
    int64_t rule = cursor_signed(cursor);
    if (rule < INT32_MIN || rule > INT32_MAX) cursor->bad = true;
    verdict->rule = (int32_t)rule;
}

static bool units_fit(int64_t amount, int64_t cost)
{
    int64_t units;
    return multiply_checked(amount, cost, &units);
}

void record_items_encode(const struct record_item *items, uint32_t count, uint8_t mode, struct bytes levels,
                         struct sink *sink)
{
    bool generations = false, funded = false, numbered = false;
    for (uint32_t i = 0; i < count; i++) {
        numbered = numbered || items[i].item != i;
        generations = generations || items[i].generation > 0;
        funded = funded || items[i].funding.size > 0;
    }
    sink_byte(sink, (uint8_t)(mode | (generations ? GENERATIONS_FLAG : 0) | (funded ? FUNDING_FLAG : 0) |
                              (numbered ? ITEMS_FLAG : 0) | (levels.size > 0 ? LEVELS_FLAG : 0) |
                              (items->at_us > 0 ? INSTANT_FLAG : 0)));
    if (levels.size > 0) sink_bytes(sink, levels);
    if (items->at_us > 0) sink_number(sink, items->at_us);
    for (uint32_t i = 0; i < count; i++) {
        sink_number(sink, items[i].slot);
        if (numbered) sink_number(sink, items[i].item);
        sink_number(sink, items[i].amount);
        sink_number(sink, items[i].cost);
        if (generations) sink_number(sink, items[i].generation);
        charged_encode(&items[i].charged, sink);
        record_verdict_encode(&items[i].verdict, sink);
        if (funded) sink_bytes(sink, items[i].funding);
    }
}

bool record_items_decode(struct bytes body, struct record_item items[BATCH_ITEMS_MAX], uint32_t *count, uint8_t *mode)
{
    struct cursor cursor = cursor_init(body);
    uint8_t flags = cursor_byte(&cursor);
    uint32_t before = 0; /* number of the item before */
    *mode = flags & (uint8_t)~ITEMS_FLAGS;
    *count = 0;
    if (flags & LEVELS_FLAG) (void)cursor_bytes(&cursor);
    int64_t at_us = flags & INSTANT_FLAG ? cursor_number_between(&cursor, 1, INSTANT_MAX_US) : 0;
    while (!cursor.bad && cursor.at < cursor.size) {
        if (*count == BATCH_ITEMS_MAX) return false;
        struct record_item *item = &items[*count];
        item->at_us = at_us;
        item->slot = (uint32_t)cursor_number_between(&cursor, 0, SLOT_MAX);
        item->item = *count;
        if (flags & ITEMS_FLAG) item->item = (uint32_t)cursor_number_between(&cursor, before, before + (*count > 0));
        before = item->item;
        (*count)++;
        item->amount = cursor_number(&cursor);
        item->cost = cursor_number_between(&cursor, 1, INT64_MAX);
        item->generation = flags & GENERATIONS_FLAG ? cursor_number(&cursor) : 0;
        record_charged_decode(&cursor, &item->charged);
        record_verdict_decode(&cursor, &item->verdict);
        item->funding = flags & FUNDING_FLAG ? cursor_bytes(&cursor) : (struct bytes){"", 0};
        bool fits = units_fit(item->verdict.granted, item->cost) &&
                    funding_fits(item->funding, item->verdict.granted * item->cost);
        if (!fits) cursor.bad = true;
    }
    return cursor_done(&cursor) && *count > 0;
}

static struct bytes levels_behind_flag(struct bytes body, uint8_t flag)
{
    struct cursor cursor = cursor_init(body);
    if (!(cursor_byte(&cursor) & flag)) return NO_BYTES;
    struct bytes levels = cursor_bytes(&cursor);
    return cursor.bad ? NO_BYTES : levels;
}

struct bytes record_items_levels(struct bytes body)
{
    return levels_behind_flag(body, LEVELS_FLAG);
}

struct bytes record_hold_levels(struct bytes body)
{
    return levels_behind_flag(body, HOLD_LEVELS_FLAG);
}

/* ---- refunds and reservations ---------------------------------------------------------------------------- */

void record_refund_encode(const struct record_refund *refund, struct sink *sink)
{
    sink_number(sink, refund->amount);
    sink_bytes(sink, refund->of);
    sink_number(sink, refund->refunded);
    sink_number(sink, refund->lost);
    sink_signed(sink, refund->remaining);
}

bool record_refund_decode(struct bytes body, struct record_refund *refund)
{
    struct cursor cursor = cursor_init(body);
    refund->amount = cursor_number(&cursor);
    refund->of = cursor_bytes(&cursor);
    refund->refunded = cursor_number(&cursor);
    refund->lost = cursor_number(&cursor);
    refund->remaining = cursor_signed(&cursor);
    return cursor_done(&cursor);
}

void record_refund_all_encode(const struct record_refund_all *refund, struct sink *sink)
{
    sink_bytes(sink, refund->of);
    for (uint32_t i = 0; i < refund->count; i++) {
        sink_number(sink, refund->items[i].refunded);
        sink_number(sink, refund->items[i].lost);
        sink_signed(sink, refund->items[i].remaining);
    }
}

bool record_refund_all_decode(struct bytes body, struct record_refund_all *refund)
{
    struct cursor cursor = cursor_init(body);
    refund->of = cursor_bytes(&cursor);
    for (refund->count = 0; !cursor.bad && cursor.at < cursor.size; refund->count++) {
        if (refund->count == REFUND_ITEMS_MAX) return false;
        struct refunded *item = &refund->items[refund->count];
        item->refunded = cursor_number(&cursor);
        item->lost = cursor_number(&cursor);
        item->remaining = cursor_signed(&cursor);
    }
    return cursor_done(&cursor) && refund->count > 0;
}

void record_transfer_encode(const struct record_transfer *transfer, struct sink *sink)
{
    sink_number(sink, transfer->amount);
    sink_bytes(sink, transfer->target);
    sink_number(sink, transfer->source_credits);
    sink_number(sink, transfer->target_credits);
}

bool record_transfer_decode(struct bytes body, struct record_transfer *transfer)
{
    struct cursor cursor = cursor_init(body);
    transfer->amount = cursor_number(&cursor);
    transfer->target = cursor_bytes(&cursor);
    transfer->source_credits = cursor_number(&cursor);
    transfer->target_credits = cursor_number(&cursor);
    return cursor_done(&cursor);
}

/* A reservation of one part is written as it ever was; others begin with what their parts have in common. */
static void record_part_encode(const struct record_hold *part, struct sink *sink)
{
    sink_number(sink, part->item);
    sink_number(sink, part->slot);
    sink_number(sink, part->amount);
    sink_number(sink, part->posted);
    sink_number(sink, part->cost);
    sink_signed(sink, part->remaining);
    sink_number(sink, part->generation);
    charged_encode(&part->charged, sink);
    sink_bytes(sink, part->funding);
}

static void record_single_encode(const struct record_hold *hold, struct sink *sink)
{
    sink_number(sink, hold->slot);
    sink_number(sink, hold->amount);
    sink_number(sink, hold->posted);
    sink_number(sink, hold->cost);
    sink_number(sink, hold->made_us);
    sink_signed(sink, hold->remaining);
    sink_number(sink, hold->generation);
    charged_encode(&hold->charged, sink);
    if (hold->funding.size > 0) sink_bytes(sink, hold->funding);
}

void record_hold_encode(const struct record_hold *parts, uint32_t count, struct bytes levels, struct sink *sink)
{
    bool has_levels = levels.size > 0;
    sink_byte(sink, (uint8_t)(parts->outcome | (count > 1 ? PARTS_FLAG : 0) | (has_levels ? HOLD_LEVELS_FLAG : 0)));
    if (has_levels) sink_bytes(sink, levels);
    if (count == 1) {
        record_single_encode(parts, sink);
        return;
    }
    sink_number(sink, parts->made_us);
    for (uint32_t i = 0; i < count; i++) record_part_encode(&parts[i], sink);
}

static bool hold_numbers_fit(const struct record_hold *hold)
{
    return units_fit(hold->amount, hold->cost) && units_fit(hold->posted, hold->cost) &&
           funding_fits(hold->funding, hold->posted * hold->cost);
}

static void record_part_decode(struct cursor *cursor, struct record_hold *part)
{
    part->item = (uint32_t)cursor_number_between(cursor, 0, BATCH_ITEMS_MAX - 1);
    part->slot = (uint32_t)cursor_number_between(cursor, 0, SLOT_MAX);
    part->amount = cursor_number(cursor);
    part->posted = cursor_number(cursor);
    part->cost = cursor_number_between(cursor, 1, INT64_MAX);
    part->remaining = cursor_signed(cursor);
    part->generation = cursor_number(cursor);
    record_charged_decode(cursor, &part->charged);
    part->funding = cursor_bytes(cursor);
    if (!hold_numbers_fit(part)) cursor->bad = true;
}

/* Several parts, behind the outcome; their items are numbered one by one. */
static bool record_parts_decode(struct cursor *cursor, enum hold_outcome outcome, struct record_hold *parts,
                                uint32_t *count)
{
    int64_t made_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    uint32_t item = 0;
    for (*count = 0; !cursor->bad && cursor->at < cursor->size; (*count)++) {
        if (*count == BATCH_ITEMS_MAX) return false;
        struct record_hold *part = &parts[*count];
        part->outcome = outcome;
        part->made_us = made_us;
        record_part_decode(cursor, part);
        bool in_order = part->item == item || (*count > 0 && part->item == item + 1);
        if (!in_order) cursor->bad = true;
        item = part->item;
    }
    return cursor_done(cursor) && *count > 1;
}

static void record_single_decode(struct cursor *cursor, struct record_hold *hold)
{
    hold->item = 0;
    hold->slot = (uint32_t)cursor_number_between(cursor, 0, SLOT_MAX);
    hold->amount = cursor_number(cursor);
    hold->posted = cursor_number(cursor);
    hold->cost = cursor_number_between(cursor, 1, INT64_MAX);
    hold->made_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    hold->remaining = hold->generation = 0;
    if (!cursor->bad && cursor->at < cursor->size) { /* the first encoding ended here */
        hold->remaining = cursor_signed(cursor);
        hold->generation = cursor_number(cursor);
    }
    hold->charged.count = CHARGED_ALL;
    if (!cursor->bad && cursor->at < cursor->size) record_charged_decode(cursor, &hold->charged);
    hold->funding = !cursor->bad && cursor->at < cursor->size ? cursor_bytes(cursor) : (struct bytes){"", 0};
    if (!hold_numbers_fit(hold)) cursor->bad = true;
}

bool record_hold_decode(struct bytes body, struct record_hold parts[BATCH_ITEMS_MAX], uint32_t *count)
{
    struct cursor cursor = cursor_init(body);
    uint8_t first = cursor_byte(&cursor), outcome = first & (uint8_t) ~(PARTS_FLAG | HOLD_LEVELS_FLAG);
    if (first & HOLD_LEVELS_FLAG) (void)cursor_bytes(&cursor);
    if (cursor.bad || outcome < HOLD_COMMITTED || outcome > HOLD_EXPIRED) return false;
    if (first & PARTS_FLAG) return record_parts_decode(&cursor, (enum hold_outcome)outcome, parts, count);
    parts->outcome = (enum hold_outcome)outcome;
    *count = 1;
    record_single_decode(&cursor, parts);
    return cursor_done(&cursor);
}

void record_returned_encode(int64_t amount, char body[RECORD_RETURNED_BYTES])
{
    for (int i = 0; i < RECORD_RETURNED_BYTES; i++) body[i] = (char)(uint8_t)((uint64_t)amount >> (8 * i));
}

bool record_returned_decode(struct bytes body, int64_t *amount)
{
    uint64_t number = 0;
    if (body.size != RECORD_RETURNED_BYTES) return false;
    for (int i = 0; i < RECORD_RETURNED_BYTES; i++) number |= (uint64_t)(uint8_t)body.data[i] << (8 * i);
    *amount = (int64_t)number;
    return *amount >= 0;
}

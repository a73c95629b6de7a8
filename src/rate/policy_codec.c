/* Reads and writes policies and their effects; the byte forms are drawn in policy_codec.h. */
#include "quota/rate/policy_codec.h"
#include "quota/base/memory.h"
#include "quota/rate/rule_codec.h"

#define IPV6_FIRST 33 /* lengths of IPv4 prefixes are 0 … 32 */
#define IPV6_LAST  (IPV6_FIRST + 128)

/* ---- parts --------------------------------------------------------------------------------------------- */

static void rules_encode(const struct rule *rules, uint32_t count, struct sink *sink)
{
    sink_number(sink, count);
    for (uint32_t i = 0; i < count; i++) rule_encode(&rules[i], sink);
}

static void rules_decode(struct cursor *cursor, struct rule rules[RULES_MAX], struct policy_rules *decoded)
{
    uint32_t count = (uint32_t)cursor_number_between(cursor, 1, RULES_MAX);
    for (uint32_t i = 0; i < count && !cursor->bad; i++) rule_decode(cursor, &rules[i]);
    *decoded = (struct policy_rules){rules, count};
}

static void range_encode(const struct cidr *range, struct sink *sink)
{
    sink_number(sink, range->bits + (range->address.family == ADDRESS_IPV6 ? IPV6_FIRST : 0));
    for (uint32_t at = 0; at < range->bits; at += 8) {
        uint64_t half = at < 64 ? range->address.high : range->address.low;
        sink_byte(sink, (uint8_t)(half >> (56 - at % 64)));
    }
}

static struct cidr range_decode(struct cursor *cursor)
{
    struct cidr range = {.bits = (uint32_t)cursor_number_between(cursor, 0, IPV6_LAST)};
    if (range.bits >= IPV6_FIRST) {
        range.bits -= IPV6_FIRST;
        range.address.family = ADDRESS_IPV6;
    }
    for (uint32_t at = 0; at < range.bits; at += 8) {
        uint64_t *half = at < 64 ? &range.address.high : &range.address.low;
        *half |= (uint64_t)cursor_byte(cursor) << (56 - at % 64);
    }
    if (!cidr_valid(&range)) cursor->bad = true;
    return range;
}

static struct bytes subject_decode(struct cursor *cursor)
{
    struct bytes subject = cursor_bytes(cursor);
    if (subject.size < 1 || subject.size > POLICY_SUBJECT_MAX) cursor->bad = true;
    return subject;
}

static enum listing listing_decode(struct cursor *cursor)
{
    return (enum listing)cursor_number_between(cursor, LISTED_PERMIT, LISTED_REFUSE);
}

static int64_t until_decode(struct cursor *cursor)
{
    return cursor_number_between(cursor, 0, INSTANT_MAX_US);
}

static void schedule_encode(const struct schedule *schedule, struct sink *sink)
{
    sink_bytes(sink, schedule_zone(schedule));
    sink_byte(sink, schedule->days);
    sink_number(sink, schedule->from_minutes);
    sink_number(sink, schedule->to_minutes);
}

static struct schedule schedule_decode(struct cursor *cursor)
{
    struct schedule schedule = {0};
    if (!schedule_set_zone(&schedule, cursor_bytes(cursor))) cursor->bad = true;
    schedule.days = cursor_byte(cursor);
    schedule.from_minutes = (uint16_t)cursor_number_between(cursor, 0, SCHEDULE_MINUTES_DAY);
    schedule.to_minutes = (uint16_t)cursor_number_between(cursor, 0, SCHEDULE_MINUTES_DAY);
    if (!schedule_valid(&schedule)) cursor->bad = true;
    return schedule;
}

/* ---- definitions --------------------------------------------------------------------------------------- */

static void definition_encode(const struct policy_definition *definition, struct sink *sink)
{
    sink_number(sink, definition->revision);
    sink_number(sink, definition->block_us);
    sink_byte(sink, definition->shadow);
    rules_encode(definition->base.rules, definition->base.count, sink);
    sink_number(sink, definition->schedules_count);
    for (uint32_t i = 0; i < definition->schedules_count; i++) {
        schedule_encode(&definition->schedules[i], sink);
        rules_encode(definition->schedule_rules[i].rules, definition->schedule_rules[i].count, sink);
    }
}

static void definition_decode(struct cursor *cursor, struct policy_effect_room *room)
{
    struct policy_definition *definition = &room->definition;
    *definition = (struct policy_definition){.schedules = room->schedules, .schedule_rules = room->schedule_rules};
    definition->revision = cursor_number_between(cursor, 1, INT64_MAX);
    definition->block_us = cursor_number_between(cursor, 0, DURATION_MAX_US);
    definition->shadow = cursor_number_between(cursor, 0, 1);
    rules_decode(cursor, room->rules, &definition->base);
    definition->schedules_count = (uint32_t)cursor_number_between(cursor, 0, SCHEDULES_MAX);
    for (uint32_t i = 0; i < definition->schedules_count && !cursor->bad; i++) {
        room->schedules[i] = schedule_decode(cursor);
        rules_decode(cursor, room->schedule_rules_each[i], &room->schedule_rules[i]);
    }
}

/* What a policy was last defined as. */
static void definition_of(const struct policy *policy, struct sink *sink)
{
    struct policy_rules schedule_rules[SCHEDULES_MAX];
    for (uint32_t i = 0; i < policy->schedules_count; i++) {
        schedule_rules[i] = (struct policy_rules){policy->schedule_rules[i]->rules, policy->schedule_rules[i]->count};
    }
    struct policy_definition definition = {
        .revision = policy->revision,
        .block_us = policy->block_us,
        .shadow = policy->shadow,
        .base = {policy->rules->rules, policy->rules->count},
        .schedules_count = policy->schedules_count,
        .schedules = policy->schedules,
        .schedule_rules = schedule_rules,
    };
    definition_encode(&definition, sink);
}

/* ---- bodies of effects: an entry of a value is the effect that makes it ---------------------------------- */

static void body_encode(const struct policy_effect *effect, struct sink *sink)
{
    switch (effect->kind) {
    case POLICY_DEFINE: definition_encode(effect->definition, sink); break;
    case POLICY_OVERRIDE:
        sink_bytes(sink, effect->subject);
        sink_number(sink, effect->until_us);
        rules_encode(effect->rules.rules, effect->rules.count, sink);
        break;
    case POLICY_LIST:
        sink_bytes(sink, effect->subject);
        sink_number(sink, effect->listing);
        sink_number(sink, effect->until_us);
        break;
    case POLICY_RANGE:
        range_encode(&effect->range, sink);
        sink_number(sink, effect->listing);
        sink_number(sink, effect->until_us);
        break;
    case POLICY_OVERRIDE_LIFT:
    case POLICY_LIST_LIFT: sink_bytes(sink, effect->subject); break;
    case POLICY_RANGE_LIFT: range_encode(&effect->range, sink); break;
    case POLICY_EFFECTS_COUNT: break;
    }
}

/* `effect->kind` says which body it is. */
static void body_decode(struct cursor *cursor, struct policy_effect_room *room, struct policy_effect *effect)
{
    switch (effect->kind) {
    case POLICY_DEFINE:
        definition_decode(cursor, room);
        effect->definition = &room->definition;
        break;
    case POLICY_OVERRIDE:
        effect->subject = subject_decode(cursor);
        effect->until_us = until_decode(cursor);
        rules_decode(cursor, room->rules, &effect->rules);
        break;
    case POLICY_LIST:
        effect->subject = subject_decode(cursor);
        effect->listing = listing_decode(cursor);
        effect->until_us = until_decode(cursor);
        break;
    case POLICY_RANGE:
        effect->range = range_decode(cursor);
        effect->listing = listing_decode(cursor);
        effect->until_us = until_decode(cursor);
        break;
    case POLICY_OVERRIDE_LIFT:
    case POLICY_LIST_LIFT: effect->subject = subject_decode(cursor); break;
    case POLICY_RANGE_LIFT: effect->range = range_decode(cursor); break;
    case POLICY_EFFECTS_COUNT: cursor->bad = true;
    }
}

void policy_effect_encode(const struct policy_effect *effect, struct sink *sink)
{
    format_write_head(&policy_format, false, sink);
    sink_byte(sink, (uint8_t)effect->kind);
    body_encode(effect, sink);
}

bool policy_effect_decode(struct cursor *cursor, struct policy_effect_room *room, struct policy_effect *effect)
{
    *effect = (struct policy_effect){0};
    (void)format_read_head(&policy_format, cursor, NULL);
    effect->kind = (enum policy_effect_kind)cursor_number_between(cursor, 0, POLICY_EFFECTS_COUNT - 1);
    if (!cursor->bad) body_decode(cursor, room, effect);
    return !cursor->bad;
}

/* ---- values -------------------------------------------------------------------------------------------- */

static void entries_encode(const struct policy_table *table, enum policy_effect_kind kind, struct sink *sink)
{
    uint32_t count;
    const struct policy_entry **entries = policy_entries_sorted(table, UINT32_MAX, &count);
    sink_number(sink, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct policy_entry *entry = entries[i];
        struct policy_effect made = {.kind = kind,
                                     .listing = entry->listing,
                                     .until_us = entry->until_us,
                                     .subject = {entry->subject, entry->size}};
        if (entry->rules) made.rules = (struct policy_rules){entry->rules->rules, entry->rules->count};
        body_encode(&made, sink);
    }
    memory_free(entries);
}

static void ranges_encode(const struct policy *policy, struct sink *sink)
{
    struct cidr_entry entry;
    sink_number(sink, policy_ranges_count(policy));
    if (!policy->ranges) return;
    struct cidr last;
    for (bool more = cidr_set_next(policy->ranges, NULL, &entry); more;
         more = cidr_set_next(policy->ranges, &last, &entry)) {
        struct policy_effect made = {
            .kind = POLICY_RANGE, .listing = entry.listing, .until_us = entry.until_us, .range = entry.range};
        body_encode(&made, sink);
        last = entry.range;
    }
}

void policy_encode(const struct policy *policy, struct sink *sink)
{
    format_write_head(&policy_format, false, sink);
    sink_bytes(sink, policy_name(policy));
    definition_of(policy, sink);
    entries_encode(&policy->overrides, POLICY_OVERRIDE, sink);
    entries_encode(&policy->listed, POLICY_LIST, sink);
    ranges_encode(policy, sink);
}

/* Does the entry stand behind the one before it? Only then is there one encoding of a value, and no entry twice. */
static bool follows(const struct policy_effect *effect, const struct policy_effect *before)
{
    if (effect->kind == POLICY_RANGE) return cidr_compare(&before->range, &effect->range) < 0;
    struct bytes left = before->subject, right = effect->subject;
    size_t shorter = left.size < right.size ? left.size : right.size;
    int order = memcmp(left.data, right.data, shorter);
    return order < 0 || (order == 0 && left.size < right.size);
}

static void entries_decode(struct cursor *cursor, enum policy_effect_kind kind, int64_t most,
                           struct policy_effect_room *room, struct policy *policy)
{
    struct policy_effect effect, before = {0};
    int64_t count = cursor_number_between(cursor, 0, most);
    for (int64_t i = 0; i < count; i++) {
        effect = (struct policy_effect){.kind = kind};
        body_decode(cursor, room, &effect);
        if (!cursor->bad && i > 0 && !follows(&effect, &before)) cursor->bad = true;
        if (cursor->bad) return;
        policy_apply(policy, &effect);
        before = effect;
    }
}

static void *decode(struct cursor *cursor)
{
    struct policy_effect_room room;
    struct bytes name = cursor_bytes(cursor);
    definition_decode(cursor, &room);
    if (cursor->bad || !policy_name_valid(name)) return NULL;

    struct policy *policy = policy_new(name, &room.definition);
    entries_decode(cursor, POLICY_OVERRIDE, POLICY_OVERRIDES_MAX, &room, policy);
    entries_decode(cursor, POLICY_LIST, POLICY_LISTED_MAX, &room, policy);
    entries_decode(cursor, POLICY_RANGE, POLICY_RANGES_MAX, &room, policy);
    if (cursor_done(cursor)) return policy;
    policy_free(policy);
    return NULL;
}

const struct format policy_format = {
    .name = "policy",
    .newest = POLICY_ENCODING_NEWEST,
    .decode = {[POLICY_ENCODING_FIRST] = decode},
};

struct policy *policy_decode(struct bytes bytes)
{
    return format_decode(&policy_format, bytes);
}

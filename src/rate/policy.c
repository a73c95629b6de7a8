/* Evaluates and changes policies; see policy.h for the precedence and for what owns what. */
#include "quota/rate/policy.h"
#include "quota/base/memory.h"
#include <utlist.h>

_Static_assert(POLICY_NAME_MAX <= UINT8_MAX, "name_size is one byte");
_Static_assert(RULES_MAX == 32 && SCHEDULES_MAX == 32 && POLICY_SUBJECT_MAX == 512, "the texts of faults say so");
_Static_assert(POLICY_OVERRIDES_MAX == 1000000 && POLICY_LISTED_MAX == 1000000 && POLICY_RANGES_MAX == 1000000,
               "likewise");

/* ---- subjects ------------------------------------------------------------------------------------------ */

static struct bytes subject_of(const struct policy_entry *entry)
{
    return (struct bytes){entry->subject, entry->size};
}

static struct bytes key_of(const struct hash_link *link)
{
    return subject_of(HASH_RECORD(link, const struct policy_entry, by_subject));
}

static struct policy_entry *entry_find(const struct policy_table *table, struct bytes subject, uint32_t hash)
{
    struct hash_link *link = hash_index_find(&table->by_subject, subject, hash, key_of);
    return link ? HASH_RECORD(link, struct policy_entry, by_subject) : NULL;
}

const struct policy_entry *policy_entry_find(const struct policy_table *table, struct bytes subject)
{
    if (!table->first || subject.size == 0 || subject.size > POLICY_SUBJECT_MAX) return NULL;
    return entry_find(table, subject, linear_hash(subject));
}

static size_t entry_bytes(const struct policy_entry *entry)
{
    return sizeof(*entry) + entry->size;
}

/* The subject's entry, a new one if there is none yet. */
static struct policy_entry *entry_for(struct policy *policy, struct policy_table *table, struct bytes subject)
{
    uint32_t hash = linear_hash(subject);
    struct policy_entry *entry = entry_find(table, subject, hash);
    if (entry) return entry;
    entry = memory_alloc(sizeof(*entry) + subject.size);
    *entry = (struct policy_entry){.size = (uint32_t)subject.size};
    memcpy(entry->subject, subject.data, subject.size);
    hash_index_add(&table->by_subject, &entry->by_subject, hash);
    DL_APPEND(table->first, entry);
    policy->entries_bytes += entry_bytes(entry);
    return entry;
}

static void entry_free(struct policy_entry *entry)
{
    if (entry->rules) rule_set_release(entry->rules);
    memory_free(entry);
}

static void entry_lift(struct policy *policy, struct policy_table *table, struct bytes subject)
{
    struct policy_entry *entry = (struct policy_entry *)policy_entry_find(table, subject);
    if (!entry) return;
    if (policy->sweep.entry == entry) policy->sweep.entry = entry->next;
    hash_index_remove(&table->by_subject, &entry->by_subject);
    DL_DELETE(table->first, entry);
    policy->entries_bytes -= entry_bytes(entry);
    entry_free(entry);
}

static void table_free(struct policy_table *table)
{
    hash_index_clear(&table->by_subject);
    for (struct policy_entry *entry = table->first, *next; entry; entry = next) {
        next = entry->next;
        entry_free(entry);
    }
}

static int subject_compare(const struct policy_entry *left, const struct policy_entry *right)
{
    uint32_t shorter = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->subject, right->subject, shorter);
    if (order != 0) return order;
    return (left->size > right->size) - (left->size < right->size);
}

/* Merges two sorted runs, [begin, middle) and [middle, end), from `source` into `target`. */
static void merge(const struct policy_entry **source, const struct policy_entry **target, size_t begin, size_t middle,
                  size_t end)
{
    size_t left = begin, right = middle;
    for (size_t at = begin; at < end; at++) {
        bool from_left = right == end || (left < middle && subject_compare(source[left], source[right]) < 0);
        target[at] = source[from_left ? left++ : right++];
    }
}

/* Bottom-up merge sort: the library's qsort is not for the core, and promises no bound. */
const struct policy_entry **policy_entries_sorted(const struct policy_table *table, uint32_t most, uint32_t *count)
{
    size_t all = table->by_subject.count < most ? table->by_subject.count : most;
    *count = (uint32_t)all;
    if (all == 0) return NULL;
    const struct policy_entry **sorted = memory_alloc(all * sizeof(struct policy_entry *));
    const struct policy_entry **other = memory_alloc(all * sizeof(struct policy_entry *));
    size_t filled = 0;
    for (const struct policy_entry *entry = table->first; filled < all; entry = entry->next) sorted[filled++] = entry;
    for (size_t run = 1; run < all; run *= 2) {
        for (size_t begin = 0; begin < all; begin += 2 * run) {
            size_t middle = begin + run < all ? begin + run : all;
            size_t end = middle + run < all ? middle + run : all;
            merge(sorted, other, begin, middle, end);
        }
        const struct policy_entry **swapped = sorted;
        sorted = other;
        other = swapped;
    }
    memory_free(other);
    return sorted;
}

/* ---- what can be applied ------------------------------------------------------------------------------- */

const char *policy_fault_text(enum policy_fault fault)
{
    static const char *const texts[] = {
        [POLICY_FAULT_NONE] = "no fault",
        [POLICY_FAULT_KIND] = "unknown kind of change",
        [POLICY_FAULT_REVISION] = "revision must be at least 1",
        [POLICY_FAULT_BLOCK] = "BLOCK must be between 0 and 9000 years",
        [POLICY_FAULT_RULES] = "there must be 1 to 32 valid rules",
        [POLICY_FAULT_SCHEDULES] = "there may be 32 schedules at most",
        [POLICY_FAULT_SCHEDULE] = "a schedule needs a zone, days and times",
        [POLICY_FAULT_SUBJECT] = "subject must have 1 to 512 bytes",
        [POLICY_FAULT_UNTIL] = "the end must be an instant after 1970, or 0 for none",
        [POLICY_FAULT_LISTING] = "a list is PERMIT or REFUSE",
        [POLICY_FAULT_RANGE] = "must be a range with no bits behind its prefix",
        [POLICY_FAULT_OVERRIDES_FULL] = "the policy has 1000000 overrides, expired ones included",
        [POLICY_FAULT_LISTED_FULL] = "the policy lists 1000000 subjects, expired ones included",
        [POLICY_FAULT_RANGES_FULL] = "the policy lists 1000000 ranges, expired ones included",
    };
    return fault < POLICY_FAULTS_COUNT ? texts[fault] : "unknown fault";
}

bool policy_name_valid(struct bytes name)
{
    return name.size >= 1 && name.size <= POLICY_NAME_MAX;
}

static bool rules_valid(const struct policy_rules *given)
{
    if (given->count < 1 || given->count > RULES_MAX) return false;
    for (uint32_t i = 0; i < given->count; i++) {
        if (rule_fault(&given->rules[i])) return false;
    }
    return true;
}

enum policy_fault policy_definition_fault(const struct policy_definition *definition)
{
    if (definition->revision < 1) return POLICY_FAULT_REVISION;
    if (definition->block_us < 0 || definition->block_us > DURATION_MAX_US) return POLICY_FAULT_BLOCK;
    if (!rules_valid(&definition->base)) return POLICY_FAULT_RULES;
    if (definition->schedules_count > SCHEDULES_MAX) return POLICY_FAULT_SCHEDULES;
    for (uint32_t i = 0; i < definition->schedules_count; i++) {
        if (!schedule_valid(&definition->schedules[i])) return POLICY_FAULT_SCHEDULE;
        if (!rules_valid(&definition->schedule_rules[i])) return POLICY_FAULT_RULES;
    }
    return POLICY_FAULT_NONE;
}

static enum policy_fault entry_fault(const struct policy_effect *effect)
{
    bool of_range = effect->kind == POLICY_RANGE || effect->kind == POLICY_RANGE_LIFT;
    if (of_range && !cidr_valid(&effect->range)) return POLICY_FAULT_RANGE;
    if (!of_range && (effect->subject.size < 1 || effect->subject.size > POLICY_SUBJECT_MAX)) {
        return POLICY_FAULT_SUBJECT;
    }
    if (effect->kind == POLICY_OVERRIDE_LIFT || effect->kind == POLICY_LIST_LIFT || effect->kind == POLICY_RANGE_LIFT) {
        return POLICY_FAULT_NONE;
    }
    if (effect->until_us < 0 || effect->until_us > INSTANT_MAX_US) return POLICY_FAULT_UNTIL;
    if (effect->kind == POLICY_OVERRIDE) return rules_valid(&effect->rules) ? POLICY_FAULT_NONE : POLICY_FAULT_RULES;
    bool listed = effect->listing == LISTED_PERMIT || effect->listing == LISTED_REFUSE;
    return listed ? POLICY_FAULT_NONE : POLICY_FAULT_LISTING;
}

static enum policy_fault room_fault(const struct policy *policy, const struct policy_effect *effect)
{
    struct cidr_entry there;
    switch (effect->kind) {
    case POLICY_OVERRIDE:
        if (policy_overrides_count(policy) < POLICY_OVERRIDES_MAX) break;
        return policy_entry_find(&policy->overrides, effect->subject) ? POLICY_FAULT_NONE : POLICY_FAULT_OVERRIDES_FULL;
    case POLICY_LIST:
        if (policy_listed_count(policy) < POLICY_LISTED_MAX) break;
        return policy_entry_find(&policy->listed, effect->subject) ? POLICY_FAULT_NONE : POLICY_FAULT_LISTED_FULL;
    case POLICY_RANGE:
        if (policy_ranges_count(policy) < POLICY_RANGES_MAX) break;
        return cidr_set_find(policy->ranges, &effect->range, &there) ? POLICY_FAULT_NONE : POLICY_FAULT_RANGES_FULL;
    default: break;
    }
    return POLICY_FAULT_NONE;
}

enum policy_fault policy_fault_of(const struct policy *policy, const struct policy_effect *effect)
{
    if (effect->kind >= POLICY_EFFECTS_COUNT) return POLICY_FAULT_KIND;
    if (effect->kind == POLICY_DEFINE) return policy_definition_fault(effect->definition);
    enum policy_fault fault = entry_fault(effect);
    return fault ? fault : room_fault(policy, effect);
}

bool policy_effect_adds(const struct policy *policy, const struct policy_effect *effect)
{
    struct cidr_entry entry;
    switch (effect->kind) {
    case POLICY_OVERRIDE: return !policy_entry_find(&policy->overrides, effect->subject);
    case POLICY_LIST: return !policy_entry_find(&policy->listed, effect->subject);
    case POLICY_RANGE: return !policy->ranges || !cidr_set_find(policy->ranges, &effect->range, &entry);
    default: return false;
    }
}

/* ---- changes ------------------------------------------------------------------------------------------- */

static const struct rule_set *rules_take(const struct policy_rules *given)
{
    struct rule rules[RULES_MAX];
    for (uint32_t i = 0; i < given->count; i++) {
        rules[i] = given->rules[i];
        rule_complete(&rules[i]);
    }
    return rule_set_take(rules, given->count, 0, 0);
}

static void definition_free(struct policy *policy)
{
    rule_set_release(policy->rules);
    for (uint32_t i = 0; i < policy->schedules_count; i++) rule_set_release(policy->schedule_rules[i]);
    memory_free(policy->schedules);
    memory_free(policy->schedule_rules);
}

static void definition_take(struct policy *policy, const struct policy_definition *definition)
{
    uint32_t count = definition->schedules_count;
    policy->revision = definition->revision;
    policy->block_us = definition->block_us;
    policy->shadow = definition->shadow;
    policy->rules = rules_take(&definition->base);
    policy->schedules_count = count;
    policy->schedules = NULL;
    policy->schedule_rules = NULL;
    if (count == 0) return;
    policy->schedules = memory_alloc(count * sizeof(struct schedule));
    policy->schedule_rules = memory_alloc(count * sizeof(struct rule_set *));
    memcpy(policy->schedules, definition->schedules, count * sizeof(struct schedule));
    for (uint32_t i = 0; i < count; i++) policy->schedule_rules[i] = rules_take(&definition->schedule_rules[i]);
}

struct policy *policy_new(struct bytes name, const struct policy_definition *definition)
{
    struct policy *policy = memory_alloc(sizeof(*policy));
    *policy = (struct policy){.name_size = (uint8_t)name.size};
    memcpy(policy->name, name.data, name.size);
    definition_take(policy, definition);
    return policy;
}

void policy_free(struct policy *policy)
{
    if (!policy) return;
    definition_free(policy);
    table_free(&policy->overrides);
    table_free(&policy->listed);
    cidr_set_free(policy->ranges);
    memory_free(policy);
}

static void apply_definition(struct policy *policy, const struct policy_definition *definition)
{
    struct policy before = *policy;
    definition_take(policy, definition); /* first: rules that stay the same are never let go */
    definition_free(&before);
}

static void apply_override(struct policy *policy, const struct policy_effect *effect)
{
    const struct rule_set *rules = rules_take(&effect->rules);
    struct policy_entry *entry = entry_for(policy, &policy->overrides, effect->subject);
    if (entry->rules) rule_set_release(entry->rules);
    entry->rules = rules;
    entry->until_us = effect->until_us;
}

static void apply_listing(struct policy *policy, const struct policy_effect *effect)
{
    struct policy_entry *entry = entry_for(policy, &policy->listed, effect->subject);
    entry->listing = effect->listing;
    entry->until_us = effect->until_us;
}

static void apply_range(struct policy *policy, const struct policy_effect *effect)
{
    if (!policy->ranges) policy->ranges = cidr_set_new();
    cidr_set_put(policy->ranges, &(struct cidr_entry){effect->range, effect->listing, effect->until_us});
}

static void lift_range(struct policy *policy, const struct policy_effect *effect)
{
    if (!policy->ranges || !cidr_set_remove(policy->ranges, &effect->range)) return;
    if (cidr_set_count(policy->ranges) > 0) return;
    cidr_set_free(policy->ranges);
    policy->ranges = NULL;
}

void policy_apply(struct policy *policy, const struct policy_effect *effect)
{
    switch (effect->kind) {
    case POLICY_DEFINE: apply_definition(policy, effect->definition); break;
    case POLICY_OVERRIDE: apply_override(policy, effect); break;
    case POLICY_OVERRIDE_LIFT: entry_lift(policy, &policy->overrides, effect->subject); break;
    case POLICY_LIST: apply_listing(policy, effect); break;
    case POLICY_LIST_LIFT: entry_lift(policy, &policy->listed, effect->subject); break;
    case POLICY_RANGE: apply_range(policy, effect); break;
    case POLICY_RANGE_LIFT: lift_range(policy, effect); break;
    case POLICY_EFFECTS_COUNT: break;
    }
}

/* ---- what has expired ---------------------------------------------------------------------------------- */

/* Takes one step: true when it stands on an entry, which is then in *lift as it would be taken out, with the end
 * it has; false at the end of a stage, when it has gone on to the next one. */
static bool sweep_step(struct policy *policy, struct policy_effect *lift)
{
    struct policy_sweep_place *place = &policy->sweep;
    struct policy_entry *entry = place->entry;
    struct cidr_entry range;

    if (place->stage == SWEEP_RANGES) {
        const struct cidr *after = place->in_ranges ? &place->range : NULL;
        place->in_ranges = policy->ranges && cidr_set_next(policy->ranges, after, &range);
        if (place->in_ranges) {
            place->range = range.range;
            *lift = (struct policy_effect){.kind = POLICY_RANGE_LIFT, .range = range.range, .until_us = range.until_us};
            return true;
        }
        *place = (struct policy_sweep_place){.stage = SWEEP_OVERRIDES, .entry = policy->overrides.first};
        return false;
    }
    if (entry) {
        bool listed = place->stage == SWEEP_LISTED;
        *lift = (struct policy_effect){.kind = listed ? POLICY_LIST_LIFT : POLICY_OVERRIDE_LIFT,
                                       .subject = subject_of(entry),
                                       .until_us = entry->until_us};
        place->entry = entry->next;
        return true;
    }
    place->entry = place->stage == SWEEP_OVERRIDES ? policy->listed.first : NULL;
    place->stage++;
    return false;
}

uint32_t policy_sweep(struct policy *policy, int64_t now_us, uint32_t looked_max, struct policy_effect *lifts,
                      uint32_t lifts_max)
{
    uint32_t count = 0, ends = 0;
    /* Never farther than once around: no entry may come up twice, since its first lift takes its memory along. */
    for (uint32_t looked = 0; looked < looked_max && count < lifts_max && ends < SWEEP_STAGES;) {
        if (!sweep_step(policy, &lifts[count])) {
            ends++;
            continue;
        }
        looked++;
        count += !until_stands(lifts[count].until_us, now_us);
    }
    return count;
}

/* ---- questions ----------------------------------------------------------------------------------------- */

static struct policy_choice listed_choice(struct policy_choice choice, enum choice_source source, enum listing listing,
                                          int64_t until_us)
{
    choice.kind = listing == LISTED_PERMIT ? CHOICE_PERMIT : CHOICE_REFUSE;
    choice.source = source;
    choice.until_us = until_us;
    return choice;
}

static struct policy_choice rules_choice(struct policy_choice choice, enum choice_source source,
                                         const struct policy *policy, const struct rule_set *rules)
{
    choice.kind = CHOICE_RULES;
    choice.source = source;
    choice.rules = rules;
    choice.block_us = policy->block_us;
    if (source != CHOICE_BY_OVERRIDE && policy->schedules_count > 0) {
        choice.parts = (struct rule_parts){policy->rules, policy->schedule_rules, policy->schedules_count};
    }
    return choice;
}

struct policy_choice policy_choose(const struct policy *policy, struct bytes subject, const struct address *address,
                                   int64_t now_us, zone_finder *find_zone, void *context)
{
    struct policy_choice choice = {.shadow = policy->shadow, .schedule = -1};
    const struct policy_entry *override = NULL;
    struct cidr_entry range;

    if ((policy->listed.first || policy->overrides.first) && subject.size >= 1 && subject.size <= POLICY_SUBJECT_MAX) {
        uint32_t hash = linear_hash(subject);
        const struct policy_entry *listed = entry_find(&policy->listed, subject, hash);
        if (listed && until_stands(listed->until_us, now_us)) {
            return listed_choice(choice, CHOICE_BY_SUBJECT, listed->listing, listed->until_us);
        }
        override = entry_find(&policy->overrides, subject, hash);
    }
    if (address && policy->ranges && cidr_set_match(policy->ranges, address, now_us, &range)) {
        return listed_choice(choice, CHOICE_BY_ADDRESS, range.listing, range.until_us);
    }
    if (override && until_stands(override->until_us, now_us)) {
        choice.until_us = override->until_us;
        return rules_choice(choice, CHOICE_BY_OVERRIDE, policy, override->rules);
    }
    choice.schedule = schedule_rules_at(policy->schedules, policy->schedules_count, now_us, find_zone, context);
    if (choice.schedule >= 0) {
        return rules_choice(choice, CHOICE_BY_SCHEDULE, policy, policy->schedule_rules[choice.schedule]);
    }
    return rules_choice(choice, CHOICE_BY_BASE, policy, policy->rules);
}

struct bytes policy_name(const struct policy *policy)
{
    return (struct bytes){policy->name, policy->name_size};
}

uint32_t policy_overrides_count(const struct policy *policy)
{
    return policy->overrides.by_subject.count;
}

uint32_t policy_listed_count(const struct policy *policy)
{
    return policy->listed.by_subject.count;
}

uint32_t policy_ranges_count(const struct policy *policy)
{
    return policy->ranges ? cidr_set_count(policy->ranges) : 0;
}

size_t policy_bytes(const struct policy *policy)
{
    size_t schedules = policy->schedules_count * (sizeof(struct schedule) + sizeof(struct rule_set *));
    size_t ranges = policy->ranges ? cidr_set_bytes(policy->ranges) : 0;
    return sizeof(*policy) + schedules + policy->entries_bytes + hash_index_bytes(&policy->overrides.by_subject) +
           hash_index_bytes(&policy->listed.by_subject) + ranges;
}

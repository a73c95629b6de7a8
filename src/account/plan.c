/* Shared, immutable plans; see plan.h. */
#include "quota/account/plan.h"
#include "quota/account/entitlement_codec.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include <pthread.h>

#define GRANTED_FLAG 1
#define ONLY_FLAG    2

static struct bytes key_of(const struct hash_link *link)
{
    return HASH_RECORD(link, const struct plan, interned.link)->bytes;
}

static struct intern_table table = INTERN_TABLE(key_of); /* by their bytes */

/* Order of names: the shorter first, then by bytes. */
static int name_order(struct bytes left, struct bytes right)
{
    if (left.size != right.size) return left.size < right.size ? -1 : 1;
    return memcmp(left.data, right.data, left.size);
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

void plan_entry_encode(const struct plan_entry *entry, struct sink *sink)
{
    sink_number(sink, entry->revision);
    sink_byte(sink, (uint8_t)((entry->granted ? GRANTED_FLAG : 0) | (entry->only ? ONLY_FLAG : 0)));
    sink_number(sink, entry->options);
    if (entry->granted) {
        entitlement_encode(&entry->entitlement, sink);
    } else {
        sink_bytes(sink, entry->entitlement.resource);
    }
}

void plan_entry_decode(struct cursor *cursor, struct plan_entry *entry)
{
    entry->revision = cursor_number_between(cursor, 1, INT64_MAX);
    uint8_t flags = cursor_byte(cursor);
    entry->granted = flags & GRANTED_FLAG;
    entry->only = flags & ONLY_FLAG;
    entry->options = (uint16_t)cursor_number_between(cursor, 0, OPTIONS_ALL);
    if (flags > (GRANTED_FLAG | ONLY_FLAG)) cursor->bad = true;
    if (entry->granted) {
        entitlement_decode(cursor, &entry->entitlement);
        bool grants_nothing = entitlement_is_empty(&entry->entitlement) && entry->options == 0;
        if (grants_nothing) cursor->bad = true;
        return;
    }
    entry->entitlement = entitlement_none(cursor_bytes(cursor));
    size_t size = entry->entitlement.resource.size;
    if (size == 0 || size > RESOURCE_NAME_MAX) cursor->bad = true;
}

/* Read by plan_take and plan_history_apply, which need more than the bytes. */
const struct format plan_format = {.name = "plan", .newest = PLAN_ENCODING_NEWEST};

/* Does it say what the encodings before rollover could not? */
static bool knows_rollover(const struct entitlement *entitlement)
{
    bool newer = entitlement->as.size > 0;
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        const struct quota_rule *rule = &entitlement->rules[i];
        newer = newer || rule->rollover_bp > 0 || rule->kind == QUOTA_THROTTLE;
    }
    return newer;
}

/* And what those before credits could not? */
static bool knows_credits(const struct entitlement *entitlement)
{
    bool newer = entitlement->credits || entitlement->overage_max >= 0 || entitlement->transfers_max >= 0;
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        newer = newer || entitlement->rules[i].kind == QUOTA_CONCURRENT;
    }
    return newer;
}

/* The first encoding that can say what the entries grant: so equal plans are equal bytes, of whatever version. */
static uint8_t encoding_of(const struct plan_entry *const *entries, uint32_t count)
{
    uint8_t encoding = PLAN_ENCODING_ENTRIES;
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_entry *entry = entries[i];
        bool newer = entry->granted && knows_credits(&entry->entitlement);
        bool newest = entry->granted && knows_rollover(&entry->entitlement);
        const struct entitlement *entitlement = &entry->entitlement;
        bool shares = entry->granted && (entitlement->share != SHARE_FIRST || entitlement->price.size > 0);
        uint8_t needed = PLAN_ENCODING_ENTRIES;
        if (newer || entry->options > OPTIONS_FIRST) needed = PLAN_ENCODING_CREDITS;
        if (newest || entry->options > OPTIONS_CREDITS) needed = PLAN_ENCODING_ROLLOVER;
        if (shares || entry->options > OPTIONS_ROLLOVER) needed = PLAN_ENCODING_ORGANISATIONS;
        if (needed > encoding) encoding = needed;
    }
    return encoding;
}

static void write_head(struct sink *sink, uint8_t encoding, struct bytes name, uint32_t count)
{
    head_write(sink, (struct head){plan_format.kind, encoding, false});
    sink_bytes(sink, name);
    sink_number(sink, count);
}

/* Insertion sort of a copy of the pointers: plans are short lists, and mostly in order already. */
void plan_write(struct bytes name, const struct plan_entry *const *entries, uint32_t count, struct sink *sink)
{
    const struct plan_entry *ordered[PLAN_ENTRIES_MAX] = {NULL};
    count = (uint32_t)min_i64(count, PLAN_ENTRIES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;
        for (; at > 0; at--) {
            struct bytes before = ordered[at - 1]->entitlement.resource;
            if (name_order(before, entries[i]->entitlement.resource) < 0) break;
            ordered[at] = ordered[at - 1];
        }
        ordered[at] = entries[i];
    }
    write_head(sink, encoding_of(ordered, count), name, count);
    for (uint32_t i = 0; i < count; i++) plan_entry_encode(ordered[i], sink);
}

/* Too many entries: of those that grant nothing the oldest revision goes, since it is behind the longest. */
static void drop_one(const struct plan_entry **entries, uint32_t *count)
{
    uint32_t oldest = *count;
    for (uint32_t i = 0; i < *count; i++) {
        if (entries[i]->granted) continue;
        if (oldest == *count || entries[i]->revision < entries[oldest]->revision) oldest = i;
    }
    if (oldest == *count) oldest = 0;
    for (uint32_t i = oldest; i + 1 < *count; i++) entries[i] = entries[i + 1];
    --*count;
}

void plan_write_with(const struct plan *plan, const struct plan_entry *entry, struct sink *sink)
{
    const struct plan_entry *entries[PLAN_ENTRIES_MAX + 1];
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->entries_count; i++) {
        const struct plan_entry *before = &plan->entries[i];
        if (!bytes_equal(before->entitlement.resource, entry->entitlement.resource)) entries[count++] = before;
    }
    if (count == PLAN_ENTRIES_MAX) drop_one(entries, &count);
    entries[count++] = entry;
    plan_write(plan->name, entries, count, sink);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* What the first encoding says, once more in the newest. The cursor stands behind the encoding's number. */
static bool convert_first_encoding(struct cursor *cursor, struct sink *sink)
{
    struct bytes name = cursor_bytes(cursor);
    int64_t revision = cursor_number_between(cursor, 1, INT64_MAX);
    uint32_t count = (uint32_t)cursor_number_between(cursor, 0, PLAN_RESOURCES_MAX);
    if (cursor->bad) return false;
    write_head(sink, PLAN_ENCODING_ENTRIES, name, count);
    for (uint32_t i = 0; i < count && !cursor->bad; i++) {
        /* A nameless plan of this encoding is an override that knew no merging: these rules and no others. */
        struct plan_entry entry = {.revision = revision,
                                   .granted = true,
                                   .only = name.size == 0,
                                   .options = name.size == 0 ? OPTIONS_FIRST : 0};
        entitlement_decode(cursor, &entry.entitlement);
        if (!cursor->bad) plan_entry_encode(&entry, sink);
    }
    return cursor_done(cursor);
}

/* How many entries the bytes say they hold: each takes at least eight bytes, so the answer is bounded by their size. */
static bool read_head(struct cursor *cursor, struct bytes *name, uint32_t *count)
{
    if (format_read_head(&plan_format, cursor, NULL) < PLAN_ENCODING_ENTRIES) cursor->bad = true;
    *name = cursor_bytes(cursor);
    *count = (uint32_t)cursor_number_between(cursor, 0, PLAN_ENTRIES_MAX);
    if (name->size > PLAN_NAME_MAX) cursor->bad = true;
    return !cursor->bad;
}

static uint8_t encoding_of_plan(const struct plan *plan)
{
    const struct plan_entry *entries[PLAN_ENTRIES_MAX];
    for (uint32_t i = 0; i < plan->entries_count; i++) entries[i] = &plan->entries[i];
    return encoding_of(entries, plan->entries_count);
}

static bool read_entries(struct cursor *cursor, struct plan *plan)
{
    for (uint32_t i = 0; i < plan->entries_count && !cursor->bad; i++) {
        struct plan_entry *entry = &plan->entries[i];
        plan_entry_decode(cursor, entry);
        entry->only_counts = entry->granted && entitlement_only_counts(&entry->entitlement);
        bool ordered = i == 0 || name_order(plan->entries[i - 1].entitlement.resource, entry->entitlement.resource) < 0;
        if (!ordered) cursor->bad = true;
    }
    return cursor_done(cursor) && head_of(plan->bytes).encoding == encoding_of_plan(plan);
}

/* Reads a copy of the bytes, so that every span of the plan points into what it owns. */
static struct interned *plan_new(struct bytes bytes)
{
    struct cursor cursor = cursor_init(bytes);
    struct bytes name;
    uint32_t count;
    if (!read_head(&cursor, &name, &count)) return NULL;
    size_t entries_size = count * sizeof(struct plan_entry);
    struct plan *plan = memory_alloc(sizeof(*plan) + entries_size + bytes.size);
    char *copy = (char *)plan + sizeof(*plan) + entries_size;
    memset(plan, 0, sizeof(*plan));
    memcpy(copy, bytes.data, bytes.size);
    plan->bytes = (struct bytes){copy, bytes.size};
    cursor = cursor_init(plan->bytes);
    if (read_head(&cursor, &plan->name, &plan->entries_count) && read_entries(&cursor, plan)) return &plan->interned;
    memory_free(plan);
    return NULL;
}

/* ---- sharing --------------------------------------------------------------------------------------------- */

static const struct plan *take_newest(struct bytes bytes)
{
    struct interned *interned = intern_take(&table, bytes, plan_new);
    return interned ? INTERNED_OBJECT(interned, const struct plan, interned) : NULL;
}

const struct plan *plan_take(struct bytes bytes)
{
    struct cursor cursor = cursor_init(bytes);
    struct sink newest = {0};
    if (format_read_head(&plan_format, &cursor, NULL) != PLAN_ENCODING_PLAN) return take_newest(bytes);
    bool converted = convert_first_encoding(&cursor, &newest);
    const struct plan *plan = converted ? take_newest((struct bytes){newest.data, newest.size}) : NULL;
    sink_free(&newest);
    return plan;
}

const struct plan *plan_share(const struct plan *shared)
{
    if (shared) intern_share(&table, &((struct plan *)shared)->interned);
    return shared;
}

void plan_release(const struct plan *shared)
{
    struct plan *plan = (struct plan *)shared;
    if (plan && intern_release(&table, &plan->interned)) memory_free(plan);
}

void plan_replace(const struct plan **place, struct bytes bytes)
{
    const struct plan *before = *place;
    *place = bytes.size > 0 ? plan_take(bytes) : NULL;
    plan_release(before);
}

int64_t plans_shared_count(void)
{
    return intern_count(&table);
}

/* ---- accounts by name of plan ---------------------------------------------------------------------------- */

/* Counts by name outlive the plans of one revision: an account moves from one to the next. */
struct plan_counter {
    struct hash_link link;
    int64_t accounts;
    uint32_t size;
    char name[];
};

static pthread_mutex_t counters_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hash_index counters;

static struct bytes counter_name(const struct hash_link *link)
{
    const struct plan_counter *counter = HASH_RECORD(link, const struct plan_counter, link);
    return (struct bytes){counter->name, counter->size};
}

static struct plan_counter *counter_add(struct bytes name, uint32_t hash)
{
    struct plan_counter *counter = memory_alloc(sizeof(*counter) + name.size);
    *counter = (struct plan_counter){.size = (uint32_t)name.size};
    memcpy(counter->name, name.data, name.size);
    hash_index_add(&counters, &counter->link, hash);
    return counter;
}

void plan_count_account(const struct plan *plan, int accounts)
{
    if (!plan) return;
    uint32_t hash = linear_hash(plan->name);
    pthread_mutex_lock(&counters_lock);
    struct hash_link *link = hash_index_find(&counters, plan->name, hash, counter_name);
    struct plan_counter *counter = link ? HASH_RECORD(link, struct plan_counter, link) : counter_add(plan->name, hash);
    counter->accounts += accounts;
    if (counter->accounts == 0) {
        hash_index_remove(&counters, &counter->link);
        memory_free(counter);
    }
    pthread_mutex_unlock(&counters_lock);
}

int64_t plan_accounts(struct bytes name)
{
    pthread_mutex_lock(&counters_lock);
    struct hash_link *link = hash_index_find(&counters, name, linear_hash(name), counter_name);
    int64_t accounts = link ? HASH_RECORD(link, const struct plan_counter, link)->accounts : 0;
    pthread_mutex_unlock(&counters_lock);
    return accounts;
}

/* ---- questions ------------------------------------------------------------------------------------------- */

const struct plan_entry *plan_find(const struct plan *plan, struct bytes resource)
{
    for (uint32_t i = 0; plan && i < plan->entries_count; i++) {
        if (bytes_equal(plan->entries[i].entitlement.resource, resource)) return &plan->entries[i];
    }
    return NULL;
}

const struct entitlement *plan_entitlement(const struct plan *plan, struct bytes resource)
{
    const struct plan_entry *entry = plan_find(plan, resource);
    return entry && entry->granted ? &entry->entitlement : NULL;
}

int64_t plan_revision(const struct plan *plan)
{
    int64_t revision = 0;
    for (uint32_t i = 0; plan && i < plan->entries_count; i++) revision = max_i64(revision, plan->entries[i].revision);
    return revision;
}

void plan_mark_current(const struct plan *plan, uint64_t generation)
{
    ((struct plan *)plan)->current_as_of = generation; /* main thread only: no other thread reads it */
}

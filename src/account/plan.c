/* The table of shared plans, and their bytes; see plan.h. */
#include "quota/base/memory.h"
#include <pthread.h>
#undef uthash_malloc
#undef uthash_free
#define uthash_malloc(size)      memory_alloc(size)
#define uthash_free(block, size) memory_free(block)
#include "quota/account/plan.h"

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct plan *table; /* by their bytes */

/* Order of names: by bytes, the shorter first. */
static int name_order(struct bytes left, struct bytes right)
{
    if (left.size != right.size) return left.size < right.size ? -1 : 1;
    return memcmp(left.data, right.data, left.size);
}

/* Reads a copy of the bytes, so that every span of the plan points into what it owns. */
static bool plan_read(struct cursor *cursor, struct plan *plan)
{
    plan->name = cursor_bytes(cursor);
    plan->revision = cursor_number_between(cursor, 1, INT64_MAX);
    plan->entitlement_count = (uint32_t)cursor_number_between(cursor, 0, PLAN_RESOURCES_MAX);
    if (plan->name.size > PLAN_NAME_MAX) cursor->bad = true;
    for (uint32_t i = 0; i < plan->entitlement_count && !cursor->bad; i++) {
        entitlement_decode(cursor, &plan->entitlement[i]);
        bool ordered = i == 0 || name_order(plan->entitlement[i - 1].resource, plan->entitlement[i].resource) < 0;
        if (!ordered) cursor->bad = true;
    }
    return cursor_done(cursor);
}

/* How many terms the bytes say they hold: each takes at least eight bytes, so the answer is bounded by their size. */
static uint32_t plan_claims(struct bytes bytes)
{
    struct cursor cursor = cursor_init(bytes);
    if (cursor_byte(&cursor) != PLAN_ENCODING_PLAN) cursor.bad = true;
    cursor_bytes(&cursor);
    cursor_number(&cursor);
    return (uint32_t)cursor_number_between(&cursor, 0, PLAN_RESOURCES_MAX);
}

static struct plan *plan_new(struct bytes bytes)
{
    size_t entitlement_size = plan_claims(bytes) * sizeof(struct entitlement);
    struct plan *plan = memory_alloc(sizeof(*plan) + entitlement_size + bytes.size);
    char *copy = (char *)plan + sizeof(*plan) + entitlement_size;
    memset(plan, 0, sizeof(*plan));
    memcpy(copy, bytes.data, bytes.size);
    plan->bytes = (struct bytes){copy, bytes.size};
    struct cursor cursor = cursor_init(plan->bytes);
    if (cursor_byte(&cursor) == PLAN_ENCODING_PLAN && plan_read(&cursor, plan)) return plan;
    memory_free(plan);
    return NULL;
}

const struct plan *plan_take(struct bytes bytes)
{
    struct plan *plan;
    pthread_mutex_lock(&table_lock);
    HASH_FIND(hh, table, bytes.data, (unsigned)bytes.size, plan);
    if (!plan && (plan = plan_new(bytes)))
        HASH_ADD_KEYPTR(hh, table, plan->bytes.data, (unsigned)plan->bytes.size, plan);
    if (plan) plan->users++;
    pthread_mutex_unlock(&table_lock);
    return plan;
}

const struct plan *plan_share(const struct plan *shared)
{
    if (!shared) return NULL;
    pthread_mutex_lock(&table_lock);
    ((struct plan *)shared)->users++; /* only this file may count users */
    pthread_mutex_unlock(&table_lock);
    return shared;
}

void plan_release(const struct plan *shared)
{
    struct plan *plan = (struct plan *)shared;
    if (!plan) return;
    pthread_mutex_lock(&table_lock);
    if (--plan->users == 0) {
        HASH_DEL(table, plan);
        memory_free(plan);
    }
    pthread_mutex_unlock(&table_lock);
}

void plan_replace(const struct plan **place, struct bytes bytes)
{
    const struct plan *before = *place;
    *place = bytes.size > 0 ? plan_take(bytes) : NULL;
    plan_release(before);
}

const struct entitlement *plan_find(const struct plan *plan, struct bytes resource)
{
    for (uint32_t i = 0; plan && i < plan->entitlement_count; i++) {
        if (bytes_equal(plan->entitlement[i].resource, resource)) return &plan->entitlement[i];
    }
    return NULL;
}

static void write_head(struct sink *sink, struct bytes name, int64_t revision, uint32_t count)
{
    sink_byte(sink, PLAN_ENCODING_NEWEST);
    sink_bytes(sink, name);
    sink_number(sink, revision);
    sink_number(sink, count);
}

void plan_write_with(const struct plan *before, struct bytes name, int64_t revision,
                     const struct entitlement *entitlement, struct sink *sink)
{
    uint32_t count = before ? before->entitlement_count : 0;
    write_head(sink, name, revision, count + !plan_find(before, entitlement->resource));
    bool written = false;
    for (uint32_t i = 0; i < count; i++) {
        int order = name_order(before->entitlement[i].resource, entitlement->resource);
        if (order >= 0 && !written) entitlement_encode(entitlement, sink);
        if (order >= 0) written = true;
        if (order != 0) entitlement_encode(&before->entitlement[i], sink);
    }
    if (!written) entitlement_encode(entitlement, sink);
}

void plan_write_without(const struct plan *before, int64_t revision, struct bytes resource, struct sink *sink)
{
    write_head(sink, before->name, revision, before->entitlement_count - (plan_find(before, resource) != NULL));
    for (uint32_t i = 0; i < before->entitlement_count; i++) {
        if (!bytes_equal(before->entitlement[i].resource, resource)) entitlement_encode(&before->entitlement[i], sink);
    }
}

int64_t plans_shared_count(void)
{
    pthread_mutex_lock(&table_lock);
    int64_t count = HASH_COUNT(table);
    pthread_mutex_unlock(&table_lock);
    return count;
}

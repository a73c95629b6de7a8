/* The table of shared plans, and their bytes; see plan.h. */
#include "quota/memory.h"
#include <pthread.h>
#undef uthash_malloc
#undef uthash_free
#define uthash_malloc(size)      memory_alloc(size)
#define uthash_free(block, size) memory_free(block)
#include "quota/plan.h"

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct plan *table; /* by their bytes */

/* Order of names: by bytes, the shorter first. */
static int name_order(struct span left, struct span right)
{
    if (left.size != right.size) return left.size < right.size ? -1 : 1;
    return memcmp(left.data, right.data, left.size);
}

/* Reads a copy of the bytes, so that every span of the plan points into what it owns. */
static bool plan_read(struct cursor *cursor, struct plan *plan)
{
    plan->name = cursor_bytes(cursor);
    plan->revision = cursor_number_between(cursor, 1, INT64_MAX);
    plan->terms_count = (uint32_t)cursor_number_between(cursor, 0, PLAN_RESOURCES_MAX);
    if (plan->name.size > PLAN_NAME_MAX) cursor->bad = true;
    for (uint32_t i = 0; i < plan->terms_count && !cursor->bad; i++) {
        terms_decode(cursor, &plan->terms[i]);
        bool ordered = i == 0 || name_order(plan->terms[i - 1].resource, plan->terms[i].resource) < 0;
        if (!ordered) cursor->bad = true;
    }
    return cursor_done(cursor);
}

/* How many terms the bytes say they hold: each takes at least eight bytes, so the answer is bounded by their size. */
static uint32_t plan_claims(struct span bytes)
{
    struct cursor cursor = cursor_over(bytes);
    if (cursor_byte(&cursor) != PLAN_ENCODING_PLAN) cursor.bad = true;
    cursor_bytes(&cursor);
    cursor_number(&cursor);
    return (uint32_t)cursor_number_between(&cursor, 0, PLAN_RESOURCES_MAX);
}

static struct plan *plan_new(struct span bytes)
{
    size_t terms_size = plan_claims(bytes) * sizeof(struct terms);
    struct plan *plan = memory_alloc(sizeof(*plan) + terms_size + bytes.size);
    char *copy = (char *)plan + sizeof(*plan) + terms_size;
    memset(plan, 0, sizeof(*plan));
    memcpy(copy, bytes.data, bytes.size);
    plan->bytes = (struct span){copy, bytes.size};
    struct cursor cursor = cursor_over(plan->bytes);
    if (cursor_byte(&cursor) == PLAN_ENCODING_PLAN && plan_read(&cursor, plan)) return plan;
    memory_free(plan);
    return NULL;
}

const struct plan *plan_take(struct span bytes)
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

void plan_replace(const struct plan **place, struct span bytes)
{
    const struct plan *before = *place;
    *place = bytes.size > 0 ? plan_take(bytes) : NULL;
    plan_release(before);
}

const struct terms *plan_find(const struct plan *plan, struct span resource)
{
    for (uint32_t i = 0; plan && i < plan->terms_count; i++) {
        if (span_equal(plan->terms[i].resource, resource)) return &plan->terms[i];
    }
    return NULL;
}

static void write_head(struct sink *sink, struct span name, int64_t revision, uint32_t count)
{
    sink_byte(sink, PLAN_ENCODING_NEWEST);
    sink_bytes(sink, name);
    sink_number(sink, revision);
    sink_number(sink, count);
}

void plan_write_with(const struct plan *before, struct span name, int64_t revision, const struct terms *terms,
                     struct sink *sink)
{
    uint32_t count = before ? before->terms_count : 0;
    write_head(sink, name, revision, count + !plan_find(before, terms->resource));
    bool written = false;
    for (uint32_t i = 0; i < count; i++) {
        int order = name_order(before->terms[i].resource, terms->resource);
        if (order >= 0 && !written) terms_encode(terms, sink);
        if (order >= 0) written = true;
        if (order != 0) terms_encode(&before->terms[i], sink);
    }
    if (!written) terms_encode(terms, sink);
}

void plan_write_without(const struct plan *before, int64_t revision, struct span resource, struct sink *sink)
{
    write_head(sink, before->name, revision, before->terms_count - (plan_find(before, resource) != NULL));
    for (uint32_t i = 0; i < before->terms_count; i++) {
        if (!span_equal(before->terms[i].resource, resource)) terms_encode(&before->terms[i], sink);
    }
}

int64_t plans_shared_count(void)
{
    pthread_mutex_lock(&table_lock);
    int64_t count = HASH_COUNT(table);
    pthread_mutex_unlock(&table_lock);
    return count;
}

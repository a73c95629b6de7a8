/* The table of shared strings; see label.h. */
#include "quota/base/memory.h"
#include <pthread.h>
#undef uthash_malloc
#undef uthash_free
#define uthash_malloc(size)      memory_alloc(size)
#define uthash_free(block, size) memory_free(block)
#include "quota/base/label.h"

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct label *table; /* by their bytes */

const struct label *label_take(struct bytes bytes)
{
    struct label *label;
    pthread_mutex_lock(&table_lock);
    HASH_FIND(hh, table, bytes.data, (unsigned)bytes.size, label);
    if (!label) {
        label = memory_alloc(sizeof(*label) + bytes.size);
        *label = (struct label){.size = (uint32_t)bytes.size};
        memcpy(label->bytes, bytes.data, bytes.size);
        HASH_ADD_KEYPTR(hh, table, label->bytes, label->size, label);
    }
    label->users++;
    pthread_mutex_unlock(&table_lock);
    return label;
}

void label_release(const struct label *shared)
{
    struct label *label = (struct label *)shared; /* only this file may count users */
    if (!label) return;
    pthread_mutex_lock(&table_lock);
    if (--label->users == 0) {
        HASH_DEL(table, label);
        memory_free(label);
    }
    pthread_mutex_unlock(&table_lock);
}

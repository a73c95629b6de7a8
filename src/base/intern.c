/* Counts the users of shared objects under one lock a table; see intern.h. */
#include "quota/base/intern.h"

struct interned *intern_take(struct intern_table *table, struct bytes key, intern_make *make)
{
    uint32_t hash = linear_hash(key);
    struct interned *interned = NULL;
    pthread_mutex_lock(&table->lock);
    struct hash_link *link = hash_index_find(&table->objects, key, hash, table->key_of);
    if (link) {
        interned = INTERNED_OBJECT(link, struct interned, link);
    } else {
        interned = make(key);
        if (interned) interned->users = 0;
        if (interned) hash_index_add(&table->objects, &interned->link, hash);
    }
    if (interned) interned->users++;
    pthread_mutex_unlock(&table->lock);
    return interned;
}

void intern_share(struct intern_table *table, struct interned *interned)
{
    pthread_mutex_lock(&table->lock);
    interned->users++;
    pthread_mutex_unlock(&table->lock);
}

bool intern_release(struct intern_table *table, struct interned *interned)
{
    pthread_mutex_lock(&table->lock);
    bool last = --interned->users == 0;
    if (last) hash_index_remove(&table->objects, &interned->link);
    pthread_mutex_unlock(&table->lock);
    return last;
}

int64_t intern_count(struct intern_table *table)
{
    pthread_mutex_lock(&table->lock);
    int64_t count = table->objects.count;
    pthread_mutex_unlock(&table->lock);
    return count;
}

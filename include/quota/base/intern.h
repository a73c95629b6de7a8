/* Interning: objects that many values share stand in memory once, and equal ones are the same pointer.
 *
 *     value a ─┐                 ┌ struct interned: users 3 ┐
 *     value b ─┼─▶ the object ──▶│ its key, what it says    │    each use costs a pointer
 *     value c ─┘                 └──────────────────────────┘
 *
 * An object is made from the bytes of its key and never changes. It embeds a struct interned, and its table knows how
 * to find the key in it. The hash is keyed (linear_hash.h): keys come from clients, which cannot aim at one chain.
 *
 * Objects are taken on the server's main thread and given back also on its lazy-free thread: a mutex guards each table.
 * A forked child saves but neither takes nor gives back, so a lock that is held across a fork harms nothing.
 *
 * Cost: O(size of the key) to take, O(1) to share and to give back, whatever the number of objects. */
#pragma once

#include "quota/base/hash_index.h"
#include <pthread.h>

/* What an object embeds; it belongs to the table. */
struct interned {
    struct hash_link link;
    int64_t users;
};

/* One for each kind of object. It is never taken down: when the last object is given back it holds nothing. */
struct intern_table {
    hash_key_of *key_of; /* the key of the object whose link this is, as long as the object lives */
    pthread_mutex_t lock;
    struct hash_index objects;
};

#define INTERN_TABLE(key_of_)                                                                                          \
    {                                                                                                                  \
        .key_of = (key_of_), .lock = PTHREAD_MUTEX_INITIALIZER                                                         \
    }

/* The object, of type `type`, that has this struct interned as its field `member`. */
#define INTERNED_OBJECT(interned, type, member) ((type *)(void *)((char *)(interned)-offsetof(type, member)))

/* Makes the object of a key, with room for its own copy of it; NULL where these bytes are no key of this kind. It runs
 * under the lock: it takes nothing from the same table. */
typedef struct interned *intern_make(struct bytes key);

/* The shared object of this key with one user more, made if there is none; NULL where `make` refuses the key. */
struct interned *intern_take(struct intern_table *table, struct bytes key, intern_make *make);

/* The same object for one user more. */
void intern_share(struct intern_table *table, struct interned *interned);

/* One user less. True when that was the last: the table has forgotten the object, and the caller frees it. */
bool intern_release(struct intern_table *table, struct interned *interned);

/* Objects in use. */
int64_t intern_count(struct intern_table *table);

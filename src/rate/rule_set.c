/* The table of shared rule sets; see rule_set.h. */
#include "quota/base/memory.h"
#include "quota/rate/algorithm.h"
#include <pthread.h>
#undef uthash_malloc
#undef uthash_free
#define uthash_malloc(size)      memory_alloc(size)
#define uthash_free(block, size) memory_free(block)
#include "quota/rate/rule_set.h"

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule_set *table; /* keyed by the bytes of the rules and `extras` */

/* What makes two sets equal: the rules, how many of them sleep, and the extras. How many there are is in the length. */
struct set_key {
    struct rule rules[RULES_MAX];
    uint64_t tail;
};

static uint64_t key_tail(uint32_t sleeping, uint8_t extras)
{
    return (uint64_t)sleeping << 8 | extras;
}

static unsigned key_size(uint32_t count)
{
    return (unsigned)(count * sizeof(struct rule) + sizeof(uint64_t));
}

static int64_t grain_us_of(const struct rule *rule)
{
    if (rule_is_constant(rule)) return 1;
    int64_t unit_us = rule->period_us / rule->limit, most_us = rule->period_us / 4;
    int64_t wanted_us = unit_us < most_us / 8 ? 8 * unit_us : most_us;
    return wanted_us > 1 ? INT64_C(1) << (63 - __builtin_clzll((uint64_t)wanted_us)) : 1;
}

static struct rule_set *set_new(const void *key, uint32_t count, uint32_t sleeping, uint8_t extras)
{
    uint32_t total = count + sleeping;
    struct rule_set *set = memory_alloc(sizeof(*set) + key_size(total));
    *set = (struct rule_set){.count = count, .sleeping = sleeping, .extras = extras, .grain_us = 1};
    memcpy(set->rules, key, key_size(total));
    uint8_t words = 0;
    for (uint32_t i = 0; i < total; i++) {
        set->word_of[i] = words;
        set->words_of[i] = (uint8_t)algorithm_words(&set->rules[i]);
        words = (uint8_t)(words + set->words_of[i]);
        if (set->words_of[i] > 0 && algorithm_of(&set->rules[i])->object) set->objects |= UINT32_C(1) << i;
        int64_t grain_us = grain_us_of(&set->rules[i]);
        if (grain_us > set->grain_us) set->grain_us = grain_us;
    }
    set->words = (uint8_t)(words + (extras & EXTRA_BLOCK) + (extras & EXTRA_QUEUE) / EXTRA_QUEUE);
    return set;
}

const struct rule_set *rule_set_take(const struct rule *rules, uint32_t count, uint32_t sleeping, uint8_t extras)
{
    struct set_key key;
    uint32_t total = count + sleeping;
    uint64_t tail = key_tail(sleeping, extras);
    if (total > 0) memcpy(&key, rules, total * sizeof(*rules));
    memcpy((char *)&key + total * sizeof(*rules), &tail, sizeof(tail));

    struct rule_set *set;
    pthread_mutex_lock(&table_lock);
    HASH_FIND(hh, table, &key, key_size(total), set);
    if (!set) {
        set = set_new(&key, count, sleeping, extras);
        HASH_ADD_KEYPTR(hh, table, set->rules, key_size(total), set);
    }
    set->users++;
    pthread_mutex_unlock(&table_lock);
    return set;
}

const struct rule_set *rule_set_share(const struct rule_set *shared)
{
    pthread_mutex_lock(&table_lock);
    ((struct rule_set *)shared)->users++; /* only this file may count users */
    pthread_mutex_unlock(&table_lock);
    return shared;
}

void rule_set_release(const struct rule_set *shared)
{
    struct rule_set *set = (struct rule_set *)shared; /* only this file may count users */
    pthread_mutex_lock(&table_lock);
    if (--set->users == 0) {
        HASH_DEL(table, set);
        memory_free(set);
    }
    pthread_mutex_unlock(&table_lock);
}

int64_t rule_sets_count(void)
{
    pthread_mutex_lock(&table_lock);
    int64_t count = HASH_COUNT(table);
    pthread_mutex_unlock(&table_lock);
    return count;
}

/* The table of shared rule sets; see rule_set.h. */
#include "quota/rate/rule_set.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/rate/algorithm.h"

/* What makes two sets equal: the rules, and behind them how many sleep and which extras follow. How many rules there
 * are is in the length. A set has these bytes at its end, so they are its key and its rules at once. */
struct set_key {
    struct rule rules[RULES_MAX];
    uint64_t tail;
};

#define TAIL_SLEEPING_SHIFT 8 /* bits for the extras */

static size_t key_size(uint32_t total)
{
    return total * sizeof(struct rule) + sizeof(uint64_t);
}

static struct bytes key_of(const struct hash_link *link)
{
    const struct rule_set *set = HASH_RECORD(link, const struct rule_set, interned.link);
    return (struct bytes){(const char *)set->rules, key_size(rule_set_total(set))};
}

static struct intern_table sets = INTERN_TABLE(key_of);

static int64_t ttl_granularity_us_of(const struct rule *rule)
{
    if (rule_is_constant(rule)) return 1;
    int64_t unit_us = rule->period_us / rule->limit, most_us = rule->period_us / 4;
    int64_t wanted_us = unit_us < most_us / 8 ? 8 * unit_us : most_us;
    return wanted_us > 1 ? INT64_C(1) << (63 - __builtin_clzll((uint64_t)wanted_us)) : 1;
}

static void lay_out_words(struct rule_set *set)
{
    uint8_t words = 0;
    for (uint32_t i = 0; i < rule_set_total(set); i++) {
        const struct rule *rule = &set->rules[i];
        set->word_of[i] = words;
        set->words_of[i] = (uint8_t)algorithm_words(rule);
        words = (uint8_t)(words + set->words_of[i]);
        if (set->words_of[i] > 0 && algorithm_of(rule)->object) set->objects |= UINT32_C(1) << i;
        bool is_kept = i < set->count && set->words_of[i] > 0 && algorithm_of(rule)->kept_us;
        if (is_kept) set->kept_us = max_i64(set->kept_us, algorithm_of(rule)->kept_us(rule));
        int64_t ttl_granularity_us = ttl_granularity_us_of(rule);
        if (ttl_granularity_us > set->ttl_granularity_us) set->ttl_granularity_us = ttl_granularity_us;
    }
    set->words = (uint8_t)(words + (set->extras & EXTRA_BLOCK) + (set->extras & EXTRA_QUEUE) / EXTRA_QUEUE);
}

static struct interned *set_make(struct bytes key)
{
    uint64_t tail;
    uint32_t total = (uint32_t)((key.size - sizeof(tail)) / sizeof(struct rule));
    memcpy(&tail, key.data + total * sizeof(struct rule), sizeof(tail));
    uint32_t sleeping = (uint32_t)(tail >> TAIL_SLEEPING_SHIFT);
    struct rule_set *set = memory_alloc(sizeof(*set) + key.size);
    *set = (struct rule_set){
        .count = total - sleeping, .sleeping = sleeping, .extras = (uint8_t)tail, .ttl_granularity_us = 1};
    memcpy(set->rules, key.data, key.size);
    lay_out_words(set);
    return &set->interned;
}

const struct rule_set *rule_set_take(const struct rule *rules, uint32_t count, uint32_t sleeping, uint8_t extras)
{
    struct set_key key;
    uint32_t total = count + sleeping;
    uint64_t tail = (uint64_t)sleeping << TAIL_SLEEPING_SHIFT | extras;
    if (total > 0) memcpy(&key, rules, total * sizeof(*rules));
    memcpy((char *)&key + total * sizeof(*rules), &tail, sizeof(tail));
    struct bytes bytes = {(const char *)&key, key_size(total)};
    return INTERNED_OBJECT(intern_take(&sets, bytes, set_make), struct rule_set, interned);
}

const struct rule_set *rule_set_share(const struct rule_set *shared)
{
    intern_share(&sets, &((struct rule_set *)shared)->interned); /* only the table counts users */
    return shared;
}

void rule_set_release(const struct rule_set *shared)
{
    struct rule_set *set = (struct rule_set *)shared;
    if (intern_release(&sets, &set->interned)) memory_free(set);
}

int64_t rule_sets_count(void)
{
    return intern_count(&sets);
}

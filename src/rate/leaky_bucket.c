/* Leaky bucket, as a meter and as a queue, over the level of level.h. */
#include "quota/rate/leaky_bucket.h"
#include "quota/rate/level.h"

int leaky_bucket_words(const struct rule *rule)
{
    (void)rule;
    return LEVEL_WORDS;
}

void leaky_bucket_settle(const struct rule *rule, struct state *state, int64_t now_us)
{
    level_drain(rule, state, now_us);
    if (state->amount == 0 && state->rest == 0) *state = (struct state){.when_us = now_us, .fresh = true};
}

int64_t leaky_bucket_available(const struct rule *rule, const struct state *state, int64_t now_us)
{
    (void)now_us;
    return level_room(rule, state, rule->capacity);
}

int64_t leaky_bucket_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us)
{
    return level_wait_us(rule, state, (wide)rule->capacity - cost, now_us);
}

int64_t leaky_queue_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us)
{
    (void)cost;
    return level_wait_us(rule, state, (wide)rule->capacity - 1, now_us);
}

int64_t leaky_queue_delay_us(const struct rule *rule, const struct state *state, int64_t now_us)
{
    return level_wait_us(rule, state, 0, now_us);
}

enum fault leaky_bucket_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us)
{
    (void)now_us;
    return level_raise(rule, state, cost);
}

int64_t leaky_bucket_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us)
{
    (void)now_us;
    return level_lower(rule, state, units);
}

int64_t leaky_bucket_deadline_us(const struct rule *rule, const struct state *state)
{
    return level_end_us(rule, state);
}

int64_t leaky_bucket_used(const struct rule *rule, const struct state *state, int64_t now_us)
{
    (void)rule;
    (void)now_us;
    return level_units(state);
}

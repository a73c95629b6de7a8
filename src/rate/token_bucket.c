/* Token bucket as a level of missing tokens: continuous refill drains it, interval refill steps it down. During the
 * first fill the level follows from what has been taken since it began: see token_bucket.h. */
#include "quota/rate/token_bucket.h"
#include "quota/rate/level.h"

static bool refills_in_steps(const struct rule *rule)
{
    return rule->flags & RULE_INTERVAL;
}

/* Steps of `limit` tokens until no more than `target` are missing. */
static wide steps_until(const struct rule *rule, int64_t missing, wide target)
{
    return missing <= target ? 0 : wide_div_ceil(missing - target, rule->limit);
}

/* Interval refill up to now: `when_us` moves by whole periods only. */
static void step_refill(const struct rule *rule, struct state *state, int64_t now_us)
{
    if (now_us <= state->when_us) return;
    int64_t periods = (now_us - state->when_us) / rule->period_us;
    wide missing = state->amount - (wide)periods * rule->limit;
    state->amount = missing > 0 ? (int64_t)missing : 0;
    state->when_us += periods * rule->period_us;
}

/* ---- the first fill -------------------------------------------------------------------------------------- */

static bool has_first_fill(const struct rule *rule)
{
    return rule->initial < rule->capacity;
}

/* A level's rest is below rate_us. */
static bool is_filling(const struct rule *rule, const struct state *state)
{
    return state->rest == rule->rate_us;
}

/* The level of a bucket that is filling, as it was when it began: what it lacked then, and what was taken since. */
static struct state level_at_begin(const struct rule *rule, const struct state *state)
{
    return (struct state){.when_us = state->when_us, .amount = rule->capacity - rule->initial + state->amount};
}

/* The level of any bucket; settled, but for one that is filling. */
static struct state level_of(const struct rule *rule, const struct state *state, int64_t now_us)
{
    if (!is_filling(rule, state)) return *state;
    struct state level = level_at_begin(rule, state);
    if (refills_in_steps(rule)) {
        step_refill(rule, &level, now_us);
    } else {
        level_drain(rule, &level, now_us);
    }
    return level;
}

/* Would the bucket be full by now, had nothing been taken? */
static bool has_filled(const struct rule *rule, const struct state *state, int64_t now_us)
{
    wide passed_us = max_i64(now_us - state->when_us, 0), lacked = rule->capacity - rule->initial;
    if (refills_in_steps(rule)) return passed_us / rule->period_us * rule->limit >= lacked;
    return passed_us * rule->rate_units >= lacked * rule->rate_us;
}

/* The bucket as it is when nothing is remembered. */
static struct state unused_bucket(const struct rule *rule, int64_t now_us)
{
    return (struct state){.when_us = now_us, .rest = has_first_fill(rule) ? rule->rate_us : 0, .fresh = true};
}

/* ---- the algorithm --------------------------------------------------------------------------------------- */

int token_bucket_words(const struct rule *rule)
{
    (void)rule;
    return LEVEL_WORDS;
}

void token_bucket_settle(const struct rule *rule, struct state *state, int64_t now_us)
{
    bool unused = state->when_us == 0 || state->fresh; /* it begins with the request, which may be waiting */
    bool full_is_unused = !has_first_fill(rule);
    if (unused || (full_is_unused && now_us >= max_i64(token_bucket_deadline_us(rule, state), state->when_us))) {
        *state = unused_bucket(rule, now_us);
    } else if (is_filling(rule, state)) {
        if (has_filled(rule, state, now_us)) *state = level_of(rule, state, now_us);
    } else if (refills_in_steps(rule)) {
        step_refill(rule, state, now_us);
    } else {
        level_drain(rule, state, now_us);
    }
}

int64_t token_bucket_available(const struct rule *rule, const struct state *state, int64_t now_us)
{
    struct state level = level_of(rule, state, now_us);
    return level_room(rule, &level, rule->capacity);
}

int64_t token_bucket_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us)
{
    wide target = (wide)rule->capacity - cost;
    if (target < 0) return NEVER_US;
    struct state level = level_of(rule, state, now_us);
    if (!refills_in_steps(rule)) return level_wait_us(rule, &level, target, now_us);

    wide until_us = level.when_us + steps_until(rule, level.amount, target) * rule->period_us;
    if (level.amount <= target) return 0;
    return until_us > INSTANT_MAX_US ? NEVER_US : max_i64((int64_t)until_us - now_us, 0);
}

/* Takes units out of a level. */
static enum fault charge_level(const struct rule *rule, struct state *level, int64_t cost, int64_t now_us)
{
    if (!refills_in_steps(rule)) return level_raise(rule, level, cost);

    int64_t missing;
    if (!add_checked(level->amount, cost, &missing)) return FAULT_OVERFLOW;
    int64_t start_us = level->amount == 0 ? max_i64(now_us, level->when_us) : level->when_us;
    wide end_us = start_us + steps_until(rule, missing, 0) * rule->period_us;
    if (end_us > INSTANT_MAX_US) return FAULT_OVERFLOW;
    *level = (struct state){.when_us = start_us, .amount = missing};
    return FAULT_NONE;
}

enum fault token_bucket_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us)
{
    if (!is_filling(rule, state)) return charge_level(rule, state, cost, now_us);
    struct state level = level_at_begin(rule, state);
    enum fault fault = charge_level(rule, &level, cost, state->when_us);
    if (fault == FAULT_NONE) state->amount += cost;
    return fault;
}

int64_t token_bucket_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us)
{
    (void)now_us;
    if (state->fresh) return 0;
    if (!is_filling(rule, state)) return level_lower(rule, state, units);
    units = min_i64(units, state->amount); /* what it lacked when it began was taken by no request */
    state->amount -= units;
    return units;
}

/* With INTERVAL the refills that came after the units were taken, counted back from the last one. */
int64_t token_bucket_refund_taken(const struct rule *rule, struct state *state, int64_t units, int64_t taken_us,
                                  int64_t now_us)
{
    wide refilled = 0;
    if (refills_in_steps(rule)) {
        wide passed_us = (wide)state->when_us - taken_us;
        refilled = passed_us > 0 ? wide_div_ceil(passed_us, rule->period_us) * rule->limit : 0;
    } else if (!is_filling(rule, state)) {
        refilled = wide_div_floor((wide)max_i64(now_us - taken_us, 0) * rule->rate_units, rule->rate_us);
    }
    if (refilled == 0) return token_bucket_refund(rule, state, units, now_us); /* FORCE takes more than the capacity */
    wide left = rule->capacity - refilled;
    return left > 0 ? token_bucket_refund(rule, state, min_i64(units, (int64_t)left), now_us) : 0;
}

int64_t token_bucket_deadline_us(const struct rule *rule, const struct state *state)
{
    struct state level = is_filling(rule, state) ? level_at_begin(rule, state) : *state;
    int64_t full_us = has_first_fill(rule) ? state->when_us : 0; /* where full is not unused: it was full then */
    if (!refills_in_steps(rule)) return max_i64(level_end_us(rule, &level), full_us);
    if (level.amount == 0) return full_us;
    return level.when_us + (int64_t)(steps_until(rule, level.amount, 0) * rule->period_us);
}

/* A bucket with an INITIAL of its own is not the same when it is full as when it is new, so it is kept for one more
 * fill time, capacity x period / limit: a client that waits for any rule of the key finds it full, and not new. */
int64_t token_bucket_kept_us(const struct rule *rule)
{
    if (!has_first_fill(rule)) return 0;
    wide fill_us = wide_div_ceil((wide)rule->capacity * rule->rate_us, rule->rate_units);
    return (int64_t)wide_clamp(fill_us, 1, DURATION_MAX_US);
}

bool token_bucket_sane(const struct rule *rule, const struct state *state)
{
    struct state copy = *state;
    if (is_filling(rule, state)) {
        int64_t lacked = rule->capacity - rule->initial;
        return has_first_fill(rule) && state->when_us > 0 && state->amount <= INT64_MAX - lacked &&
               token_bucket_charge(rule, &copy, 0, state->when_us) == FAULT_NONE;
    }
    if (!refills_in_steps(rule)) return level_sane(rule, state);
    return state->rest == 0 && token_bucket_charge(rule, &copy, 0, state->when_us) == FAULT_NONE;
}

int64_t token_bucket_used(const struct rule *rule, const struct state *state, int64_t now_us)
{
    (void)now_us;
    return is_filling(rule, state) ? state->amount : level_units(state);
}

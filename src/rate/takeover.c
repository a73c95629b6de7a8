/* Finds the predecessor of each rule and converts its state; see takeover.h. */
#include "quota/rate/takeover.h"
#include "quota/base/checked.h"
#include "quota/rate/algorithm.h"

bool takeover_may_copy(const struct rule *before, const struct rule *after)
{
    return before->algorithm == after->algorithm && !rule_is_constant(before) && !rule_is_constant(after);
}

void takeover_match(const struct rule *stored, uint32_t stored_count, const struct rule *rules, uint32_t count,
                    int8_t from[RULES_MAX])
{
    uint64_t taken = 0;
    memset(from, -1, RULES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t step = 0; step < stored_count && from[i] < 0; step++) {
            uint32_t k = (i + step) % stored_count; /* its own place first */
            bool same = takeover_may_copy(&stored[k], &rules[i]) && stored[k].period_us == rules[i].period_us;
            if (same && !(taken >> k & 1)) from[i] = (int8_t)k;
        }
        if (from[i] >= 0) taken |= UINT64_C(1) << from[i];
    }
    for (uint32_t i = 0; i < count && i < stored_count; i++) {
        bool keep_state = !rule_is_constant(&stored[i]) && !rule_is_constant(&rules[i]);
        if (from[i] < 0 && !(taken >> i & 1) && keep_state) from[i] = (int8_t)i;
    }
}

/* A state of `rule` in which these units were used at `at_us`. */
static struct state used_state(const struct rule *rule, int64_t units, int64_t at_us)
{
    struct state empty = {.fresh = true}, used;
    algorithm_of(rule)->settle(rule, &empty, at_us);
    empty.amount = 0; /* INITIAL is for a bucket that nobody has used: this one has been */
    empty.fresh = false;
    units = min_i64(units, rule->capacity);
    do { /* what could not be paid back before the end of time is cut down until it can */
        used = empty;
        if (algorithm_of(rule)->charge(rule, &used, units, at_us) == FAULT_NONE) return used;
    } while ((units /= 2) > 0);
    return (struct state){.fresh = true};
}

unsigned takeover_state(const struct rule *before, const struct rule *after, bool keeps_debt, struct state *state,
                        int64_t at_us)
{
    const struct algorithm *old = algorithm_of(before), *new = algorithm_of(after);
    if (rule_equal(before, after)) return TAKEOVER_STORED;
    if (keeps_debt && old == new &&new->restate) {
        new->restate(before, after, state);
        return TAKEOVER_STATE;
    }
    old->settle(before, state, at_us);
    if (old == new &&new->clamp && before->period_us == after->period_us) {
        return TAKEOVER_STORED | (new->clamp(after, state, at_us) ? TAKEOVER_STATE : 0);
    }
    int64_t used = state->fresh ? 0 : old->used(before, state, at_us);
    *state = used > 0 ? used_state(after, used, at_us) : (struct state){.fresh = true};
    return used > 0 ? TAKEOVER_STATE : TAKEOVER_NOTHING;
}

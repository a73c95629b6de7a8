/* Finds the predecessor of each rule and converts its state; see takeover.h. */
#include "quota/rate/takeover.h"
#include "quota/base/checked.h"
#include "quota/rate/algorithm.h"

bool takeover_may_copy(const struct rule *before, const struct rule *after)
{
    return before->algorithm == after->algorithm && !rule_is_constant(before) && !rule_is_constant(after);
}

static bool is_lane(const struct rule *rule)
{
    return rule->flags & RULE_LANE;
}

/* The stored rule of the same algorithm and period, or -1. */
static int8_t match_by_period(const struct rule_set *stored, const struct rule *rule, uint32_t place, uint32_t taken)
{
    for (uint32_t step = 0; step < rule_set_total(stored); step++) {
        uint32_t k = step < stored->count ? (place + step) % stored->count : step; /* its own place first */
        bool same = takeover_may_copy(&stored->rules[k], rule) && stored->rules[k].period_us == rule->period_us;
        if (same && is_lane(&stored->rules[k]) == is_lane(rule) && !(taken >> k & 1)) return (int8_t)k;
    }
    return -1;
}

/* The rule number `nth` of its kind, a slow lane or not, among the stored ones from `first` to `end`; -1 = none. */
static int32_t nth_of_kind(const struct rule_set *stored, bool lane, uint32_t first, uint32_t end, uint32_t nth)
{
    for (uint32_t k = first; k < end; k++) {
        if (is_lane(&stored->rules[k]) == lane && nth-- == 0) return (int32_t)k;
    }
    return -1;
}

/* The stored rule in the place of this one, or -1. There is one slow lane at most, and it stands last. Where all rules
 * of a kind went and those of the other kind stayed, they sleep in the order in which they stood, and went nowhere. */
static int32_t match_by_place(const struct rule_set *stored, const struct rule *rule, uint32_t place)
{
    bool lane = is_lane(rule);
    uint32_t nth = lane ? 0 : place;
    if (nth_of_kind(stored, lane, 0, stored->count, 0) >= 0) return nth_of_kind(stored, lane, 0, stored->count, nth);
    return nth_of_kind(stored, lane, stored->count, rule_set_total(stored), nth);
}

static bool set_has(const struct rule_set *set, const struct rule *rule)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (rule_equal(&set->rules[i], rule)) return true;
    }
    return false;
}

static bool will_come_back(const struct rule_parts *parts, const struct rule *rule)
{
    if (!parts || !parts->first) return false;
    bool found = set_has(parts->first, rule);
    for (uint32_t i = 0; !found && i < parts->others_count; i++) found = set_has(parts->others[i], rule);
    return found;
}

void takeover_match(const struct rule_set *stored, const struct rule *rules, uint32_t count,
                    const struct rule_parts *parts, int8_t from[RULES_MAX])
{
    uint32_t taken = 0;
    memset(from, -1, RULES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        from[i] = match_by_period(stored, &rules[i], i, taken);
        if (from[i] >= 0) taken |= UINT32_C(1) << from[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        int32_t place = from[i] < 0 ? match_by_place(stored, &rules[i], i) : -1;
        if (place < 0 || taken >> place & 1) continue;
        bool keep_state = !rule_is_constant(&stored->rules[place]) && !rule_is_constant(&rules[i]);
        if (keep_state && !will_come_back(parts, &stored->rules[place])) from[i] = (int8_t)place;
    }
}

/* A state of `rule` in which these units were used at `at_us`. */
static struct state used_state(const struct rule *rule, int64_t units, int64_t at_us)
{
    struct state empty = {.fresh = true}, used;
    algorithm_of(rule)->settle(rule, &empty, at_us);
    empty.amount = empty.rest = 0; /* INITIAL is for an unused bucket: this one has been used */
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

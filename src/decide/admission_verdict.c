/* Folds what the positions of an item say into its verdict; the drawing is in admission_verdict.h. */
#include "quota/decide/admission_verdict.h"
#include "quota/base/checked.h"
#include "quota/decide/demand_plan.h"
#include "quota/decide/foresight.h"
#include "quota/decide/verdict_fold.h"

#define WAIT_ROUNDS_MAX 8 /* each finds a later instant, at which yet another rule may refuse */

/* How many units a rule is judged by: those that were wanted; UPTO wants one amount at least. What is granted has found
 * its place already, and not every rule need have one for all of it. */
int64_t admission_units(const struct admission *admission, const struct demand *demand)
{
    int64_t cost = demand->cost;
    if (demand->granted > 0 || admission->mode == MODE_FORCE) return 0;
    return admission->mode == MODE_UPTO ? cost : demand->amount * cost;
}

static int64_t judged_beyond(int64_t units, int64_t funds)
{
    return funds == UNLIMITED ? 0 : max_i64(units - funds, 0);
}

/* The limits of a demand, which credits stand by: each is judged by what credits do not pay for. */
static void fold_limits(const struct demand *demand, int64_t units, int64_t funds, struct verdict_fold *fold)
{
    int64_t beyond = judged_beyond(units, funds);
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        struct verdict verdict;
        if (!position_is_limit(position)) continue;
        position->meter->judge(position, beyond, &verdict);
        if (verdict.remaining != UNLIMITED) verdict.remaining = add_clamped(verdict.remaining, funds);
        verdict_fold_add(fold, verdict.wait_us != 0, &verdict);
    }
}

/* While the limits have something left within their numbers the tightest of them is the rule, then credits are; once
 * both have nothing left the limits again, if BURST, GRACE or OVERAGE let them take more. */
static bool credits_decide(const struct demand *demand, int64_t funds)
{
    if (!demand_has_limits(demand)) return true;
    return demand_available_within(demand) == 0 && (funds > 0 || demand_available(demand) == 0);
}

/* What the pot cannot take the slow lane may admit now, or sooner than the limits do: then it is the lane that decides.
 * (How the two get on together by and by is foreseen: foresight.h.) */
static void fold_slow_lane(const struct demand *demand, int64_t beyond, struct verdict_fold *pot)
{
    struct verdict lane;
    throttle_judge(demand, beyond, &lane);
    if (lane.granted > 0) lane.wait_us = 0;
    if (lane.wait_us == NEVER_US || wait_is_longer(lane.wait_us, pot->verdict.wait_us)) return;
    pot->denied = lane.granted == 0;
    pot->verdict = lane;
}

/* Limits and credits pay together, so they are denied together: by the wait of the limits for what credits lack. */
static void fold_pot(const struct demand *demand, int64_t units, struct verdict_fold *fold)
{
    bool has_grants = demand_has_credits(demand); /* a demand may have no position at all */
    const struct position *credits = has_grants ? &demand->positions[demand->positions_count - 1] : NULL;
    int64_t funds = add_clamped(has_grants ? credits->meter->available(credits) : 0, demand->below);
    struct verdict_fold pot = {.begun = false};
    struct verdict verdict;
    fold_limits(demand, units, funds, &pot);
    if (has_grants && credits_decide(demand, funds)) {
        credits->meter->judge(credits, judged_beyond(units, demand->below), &verdict);
        verdict.remaining = add_clamped(verdict.remaining, demand->below);
        if (pot.begun) verdict.wait_us = pot.verdict.wait_us;
        if (!pot.begun && demand_available(demand) == UNLIMITED) verdict.wait_us = 0; /* OVERAGE */
        pot.denied = verdict.wait_us != 0;
        pot.verdict = verdict;
    }
    if (!pot.begun && !has_grants) return; /* the plan's LIMIT has gone under an override's THROTTLE */
    int64_t beyond = judged_beyond(judged_beyond(units, funds), demand_available_before_lane(demand));
    if (pot.denied && demand->rates.throttle >= 0) fold_slow_lane(demand, beyond, &pot);
    verdict_fold_add(fold, pot.denied, &pot.verdict);
}

/* Walks through the demands of an item: those of its own, then the one that it shares; the same of those above; then
 * what all items have in common. */
struct item_walk {
    const struct admission *admission;
    const struct admission_item *item; /* NULL = behind the last one */
    uint32_t nth;
    bool ended;
    int32_t shift; /* of the demand's rules: those of the nth are numbered behind those of the first */
};

static struct item_walk walk_begin(const struct admission *admission, const struct admission_item *item)
{
    return (struct item_walk){.admission = admission, .item = item};
}

/* NULL = there are no more. */
static const struct demand *walk_next(struct item_walk *walk)
{
    const struct admission *admission = walk->admission;
    const struct demand *demand;
    for (; walk->item; walk->item = walk->item->above, walk->nth = 0) {
        const struct admission_item *item = walk->item;
        uint32_t own = item->end - item->first, nth = walk->nth++;
        if (nth > own || (nth == own && item->shared == NOT_SHARED)) continue;
        demand = &admission->demands[nth < own ? item->first + nth : item->shared];
        walk->shift = demand->key ? KEY_RULES : item->level + (nth > 0 ? item->shift : 0);
        return demand;
    }
    if (walk->ended || admission->common == NOT_SHARED) return NULL;
    walk->ended = true;
    walk->shift = KEY_RULES;
    return &admission->demands[admission->common];
}

static void fold_demand(const struct admission *admission, const struct demand *demand, struct verdict_fold *fold)
{
    int64_t units = admission_units(admission, demand);
    bool is_pot = demand_has_credits(demand) || demand->rates.throttle >= 0 || demand->lower;
    if (is_pot) fold_pot(demand, units, fold);
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        struct verdict verdict;
        bool is_rate = position->meter == &meter_rate;
        if (is_pot && !position->meter->counts_all) continue;
        if (is_rate && !demand_has_rates(demand)) continue;
        position->meter->judge(position, units, &verdict);
        bool denies = is_rate ? verdict.granted == 0 : verdict.wait_us != 0;
        verdict_fold_add(fold, denies, &verdict);
    }
}

/* The same for one of several demands of an item. */
static void fold_shifted(const struct admission *admission, const struct demand *demand, int32_t shift,
                         struct verdict_fold *fold)
{
    struct verdict_fold own = {.begun = false};
    fold_demand(admission, demand, &own);
    if (!own.begun) return;
    int64_t delay_us = max_i64(fold->delay_us, own.delay_us);
    if (own.verdict.rule >= 0) own.verdict.rule += shift;
    verdict_fold_add(fold, own.denied, &own.verdict);
    fold->delay_us = delay_us;
}

/* A denial waits for its longest rule. Where another one would refuse by then, it waits for that one: an open grace may
 * have passed by then, and a later cycle may have less room. `decided`: the verdict's own rule is known to admit the
 * units after the wait. */
static void extend_wait(const struct admission *admission, const struct demand *demand, int32_t shift, bool decided,
                        struct verdict *verdict)
{
    if (verdict->wait_us <= 0) return;
    int64_t units = admission_units(admission, demand);
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        bool fits = decided && position->number + shift == verdict->rule;
        if (fits || !position->meter->wait_after || verdict->wait_us == NEVER_US) continue;
        int64_t wait_us = position->meter->wait_after(position, units, verdict->wait_us);
        if (!wait_is_longer(wait_us, verdict->wait_us)) continue;
        position->meter->judge(position, units, verdict);
        verdict->rule += shift;
        verdict->wait_us = wait_us;
        decided = true;
    }
}

/* Credits may come, recur and end before the request is admitted, and a slow lane shares it with the limits: only then
 * the wait is found step by step. */
static bool needs_foresight(const struct demand *demand)
{
    return demand->view->credits || demand->rates.throttle >= 0 || demand->lower;
}

static bool any_needs_foresight(const struct admission *admission)
{
    for (uint32_t i = 0; i < admission->count; i++) {
        if (needs_foresight(&admission->demands[i])) return true;
    }
    return false;
}

static bool item_needs_foresight(const struct admission *admission, const struct admission_item *item)
{
    struct item_walk walk = walk_begin(admission, item);
    const struct demand *demand;
    while ((demand = walk_next(&walk))) {
        if (needs_foresight(demand)) return true;
    }
    return false;
}

/* The same of the demands that stand beside those of the item, here and above: each is looked at from the instant that
 * the others wait for. */
static int64_t wait_beside_us(const struct admission *admission, const struct admission_item *item, int64_t wait_us)
{
    struct item_walk walk = walk_begin(admission, item->above);
    const struct demand *demand;
    if (item->shared != NOT_SHARED && wait_us != NEVER_US) {
        wait_us = foresee_wait_us(admission, &admission->demands[item->shared], 1, wait_us);
    }
    while (wait_us != NEVER_US && (demand = walk_next(&walk))) wait_us = foresee_wait_us(admission, demand, 1, wait_us);
    return wait_us;
}

/* Until all demands of an item are admitted, each as it goes on by itself. */
static int64_t item_wait_us(const struct admission *admission, const struct admission_item *item)
{
    const struct demand *own = &admission->demands[item->first];
    int64_t wait_us = 0, before_us = -1;
    for (int round = 0; round < WAIT_ROUNDS_MAX && wait_us != NEVER_US && wait_us != before_us; round++) {
        before_us = wait_us;
        wait_us = foresee_wait_us(admission, own, item->end - item->first, wait_us);
        wait_us = wait_beside_us(admission, item, wait_us);
    }
    return wait_us;
}

/* Most requests are about one demand of one account. */
static const struct demand *only_demand(const struct admission *admission, const struct admission_item *item)
{
    bool alone =
        item->end - item->first == 1 && item->shared == NOT_SHARED && !item->above && admission->common == NOT_SHARED;
    return alone ? &admission->demands[item->first] : NULL;
}

/* Units of a demand that its slow lane takes; or would take, where others keep it from being taken: what limits and
 * credits refuse. */
static int64_t lane_units(const struct admission *admission, const struct demand *demand)
{
    if (demand->granted > 0 || demand->rates.throttle < 0) return demand->throttled;
    int64_t funds = demand_funds(demand);
    if (funds == UNLIMITED) return 0;
    int64_t beyond = judged_beyond(admission_units(admission, demand), add_clamped(funds, demand->below));
    bool refused = judged_beyond(beyond, demand_available(demand)) > 0;
    return refused ? judged_beyond(beyond, demand_available_before_lane(demand)) : 0;
}

/* Where units take the slow lane, it is what the client needs to know of. */
static void show_slow_lane(const struct admission *admission, const struct admission_item *item,
                           struct verdict *verdict)
{
    struct item_walk walk = walk_begin(admission, item);
    const struct demand *demand;
    while ((demand = walk_next(&walk))) {
        struct verdict lane;
        int64_t units = lane_units(admission, demand);
        if (units == 0) continue;
        throttle_judge(demand, units, &lane);
        lane.rule += walk.shift;
        lane.granted = verdict->granted;
        lane.wait_us = verdict->granted > 0 ? max_i64(lane.wait_us, verdict->wait_us) : 0;
        *verdict = lane;
    }
}

int64_t demand_limits_wait_us(const struct demand *demand, int64_t units)
{
    struct verdict_fold fold = {.begun = false};
    if (units > 0 && demand_bound_by_credits(demand)) return NEVER_US;
    fold_limits(demand, units, 0, &fold);
    int64_t wait_us = fold.denied ? fold.verdict.wait_us : 0, before_us = -1;
    for (int round = 0; wait_us > 0 && round < WAIT_ROUNDS_MAX && wait_us != before_us; round++) {
        before_us = wait_us;
        for (uint32_t i = 0; i < demand->positions_count && wait_us > 0; i++) {
            const struct position *position = &demand->positions[i];
            if (!position->meter->wait_after) continue;
            int64_t later_us = position->meter->wait_after(position, units, wait_us);
            if (wait_is_longer(later_us, wait_us)) wait_us = later_us;
        }
    }
    return wait_us;
}

void admission_verdict(const struct admission *admission, const struct admission_item *item, struct verdict *verdict)
{
    struct verdict_fold fold = {.begun = false};
    struct item_walk walk = walk_begin(admission, item);
    const struct demand *only = only_demand(admission, item), *first = only ? only : walk_next(&walk), *demand;
    if (only || walk.shift == 0) {
        fold_demand(admission, first, &fold);
    } else {
        fold_shifted(admission, first, walk.shift, &fold);
    }
    while (!only && (demand = walk_next(&walk))) fold_shifted(admission, demand, walk.shift, &fold);
    *verdict = fold.verdict;
    if (!fold.begun) *verdict = (struct verdict){.limit = UNLIMITED, .remaining = UNLIMITED, .rule = -1};
    verdict->granted = first->granted;
    if (verdict->granted > 0) verdict->wait_us = fold.delay_us;
    /* Of a batch that others deny: how long a queue would let it wait to act is no wait to be admitted. */
    if (verdict->granted == 0 && !fold.denied) verdict->wait_us = 0;
    if (!fold.denied) {
        if (!only || only->rates.throttle >= 0) show_slow_lane(admission, item, verdict);
        return;
    }
    if (only ? needs_foresight(only) : item_needs_foresight(admission, item)) {
        verdict->wait_us = item_wait_us(admission, item);
        return;
    }
    int64_t before_us = 0;
    for (int round = 0; round < WAIT_ROUNDS_MAX && verdict->wait_us != before_us; round++) {
        before_us = verdict->wait_us;
        walk = walk_begin(admission, item);
        if (only) extend_wait(admission, only, 0, true, verdict);
        while (!only && (demand = walk_next(&walk))) extend_wait(admission, demand, walk.shift, true, verdict);
    }
}

/* The longest wait of a batch, if an item waits for so long; where another item would refuse by then it waits longer.
 * True where one does. */
static bool align_wait(const struct admission *admission, const struct admission_item *item, int64_t *longest_us,
                       struct verdict *verdict)
{
    struct verdict later = *verdict;
    later.wait_us = *longest_us;
    struct item_walk walk = walk_begin(admission, item);
    const struct demand *demand;
    while ((demand = walk_next(&walk))) extend_wait(admission, demand, walk.shift, false, &later);
    if (later.wait_us == *longest_us) return false;
    *longest_us = later.wait_us;
    *verdict = later;
    verdict->granted = 0;
    return true;
}

void admission_align_waits(const struct admission *admission, const struct admission_item *items, uint32_t count,
                           struct verdict *verdicts)
{
    int64_t longest_us = 0;
    uint32_t longest = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!wait_is_longer(verdicts[i].wait_us, longest_us)) continue;
        longest_us = verdicts[i].wait_us;
        longest = i;
    }
    if (longest_us > 0 && any_needs_foresight(admission)) {
        verdicts[longest].wait_us = foresee_wait_us(admission, admission->demands, admission->count, longest_us);
        return;
    }
    bool moved = true;
    for (int round = 0; moved && longest_us > 0 && round < WAIT_ROUNDS_MAX; round++) {
        moved = false;
        for (uint32_t i = 0; i < count && longest_us > 0; i++) {
            moved |= align_wait(admission, &items[i], &longest_us, &verdicts[i]);
        }
    }
}

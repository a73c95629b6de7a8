/* Decides over positions; the drawing is in admission.h. */
#include "quota/decide/admission.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/decide/backdate.h"
#include "quota/decide/below.h"
#include "quota/decide/foresight.h"
#include "quota/decide/verdict_fold.h"
#include "quota/view/credits_view.h"

#define WAIT_ROUNDS_MAX 8 /* each finds a later instant, at which yet another rule may refuse */

/* ---- one demand ------------------------------------------------------------------------------------------ */

static bool is_limit(const struct position *position)
{
    return !position->meter->funds && !position->meter->counts_all;
}

static bool has_limits(const struct demand *demand)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        if (is_limit(&demand->positions[i])) return true;
    }
    return false;
}

static bool has_credits(const struct demand *demand)
{
    return demand->positions_count > 0 && demand->positions[demand->positions_count - 1].meter == &meter_credits;
}

/* Do grants alone pay, because the resource has CREDITS and no LIMIT? Where nothing is requested nothing pays. */
static bool is_prepaid(const struct demand *demand)
{
    return demand->view->entitlement->credits && demand->positions_count > 0 && !has_limits(demand);
}

/* Do they pay alone whatever happens? OVERAGE MAX is counted in the cycles of LIMITs, so it adds nothing here. */
static bool credits_bound(const struct demand *demand)
{
    return is_prepaid(demand) && entitlement_overage(demand->view->entitlement) != UNLIMITED;
}

/* What the tightest limit has of what the meters answer; `least`: what there is without any limit. */
static inline int64_t tightest(const struct demand *demand, int64_t (*of)(const struct position *), int64_t least)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        if (!is_limit(position)) continue;
        int64_t available = of(position);
        if (amount_is_smaller(available, least)) least = available;
    }
    return least;
}

static int64_t all_of(const struct position *position)
{
    return position->meter->available(position);
}

static int64_t within_of(const struct position *position)
{
    return position->meter->within ? position->meter->within(position) : all_of(position);
}

static int64_t before_overage_of(const struct position *position)
{
    return position->meter->before_overage ? position->meter->before_overage(position) : all_of(position);
}

int64_t demand_available(const struct demand *demand)
{
    return tightest(demand, all_of, credits_bound(demand) ? 0 : UNLIMITED);
}

int64_t demand_available_before_lane(const struct demand *demand)
{
    return tightest(demand, before_overage_of, is_prepaid(demand) ? 0 : UNLIMITED);
}

/* Of so many units those that CONCURRENT lets a reservation hold. (What rates admit depends on the mode: they are
 * checked for themselves.) */
static int64_t bounded_units(const struct demand *demand, int64_t units)
{
    if (!demand->holds) return units;
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        int64_t available = position->meter->counts_all ? position->meter->available(position) : UNLIMITED;
        if (amount_is_smaller(available, units)) units = available;
    }
    return units;
}

/* The same without BURST, GRACE and OVERAGE: what the limits give before grants pay. */
static int64_t available_within(const struct demand *demand)
{
    return tightest(demand, within_of, is_prepaid(demand) ? 0 : UNLIMITED);
}

int64_t demand_funds(const struct demand *demand)
{
    wide funds = 0;
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        if (!position->meter->funds) continue;
        int64_t available = position->meter->available(position);
        if (available == UNLIMITED) return UNLIMITED;
        funds += available;
    }
    return wide_clamp(funds, 0, INT64_MAX);
}

int64_t demand_remaining(const struct demand *demand)
{
    int64_t available = demand_available(demand), funds = demand_funds(demand);
    bool unlimited = available == UNLIMITED || funds == UNLIMITED;
    return unlimited ? UNLIMITED : add_clamped(add_clamped(available, funds), demand->below);
}

/* Lets the funding meters pay for `missing` units, in their order; answers how many they pay. */
static int64_t fund(struct demand *demand, int64_t missing)
{
    int64_t funded = 0;
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        struct position *position = &demand->positions[i];
        if (!position->meter->funds) continue;
        int64_t funds = missing > funded ? position->meter->available(position) : 0;
        position->funded = funds == UNLIMITED ? missing - funded : min_i64(missing - funded, funds);
        funded += position->funded;
    }
    return funded;
}

static int64_t amount_min(int64_t units, int64_t available)
{
    return available == UNLIMITED ? units : min_i64(units, available);
}

/* The slow lane admits what limits, BURST and GRACE leave of so many units, and OVERAGE what the lane leaves. Answers
 * how many of them find a place. All of them count in the limits, so those of the lane leave OVERAGE as much less. */
static int64_t take_slow_lane(struct demand *demand, int64_t units, int64_t available)
{
    int64_t before = demand_available_before_lane(demand), taken = amount_min(units, before), left = units - taken;
    int64_t room = available == UNLIMITED || before == UNLIMITED ? left : min_i64(left, available - before);
    demand->throttled = throttle_takes(demand, room == left ? 0 : left, left);
    return taken + max_i64(demand->throttled, room);
}

int64_t demand_plan(struct demand *demand, int64_t units)
{
    int64_t available = demand_available(demand), funded = 0;
    bool first = demand->view->entitlement->credits_first, throttles = demand->rates.throttle >= 0;
    demand->planned = units;
    demand->forced = demand->throttled = demand->from_below = 0;
    demand->limited = demand->limited_first = amount_min(units, available);
    /* Funding meters stand behind all others. */
    if (demand->positions_count > 0 && demand->positions[demand->positions_count - 1].meter->funds) {
        demand->limited_first = first ? 0 : amount_min(units - demand->from_credits, available_within(demand));
        funded = fund(demand, units - demand->limited_first);
        demand->limited = amount_min(units - funded, available);
    }
    if (throttles) demand->limited = take_slow_lane(demand, units - funded, available);
    if (demand->below > 0) demand->from_below = min_i64(units - demand->limited - funded, demand->below);
    return demand->limited + funded + demand->from_below;
}

enum account_fault demand_check(const struct demand *demand)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        int64_t units = position->meter->funds ? position->funded : demand->limited;
        enum account_fault fault = position->meter->check(position, units);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
    }
    return ACCOUNT_FAULT_NONE;
}

/* The demand is granted so much of its amount. */
static enum account_fault grant(struct demand *demand, int64_t granted)
{
    demand->granted = granted;
    demand->units = granted * demand->cost;
    if (granted == 0) return ACCOUNT_FAULT_NONE;
    if (demand->planned != demand->units) demand_plan(demand, demand->units);
    return demand_check(demand);
}

enum account_fault admission_force(struct demand *demand, int64_t units)
{
    int64_t placed = demand_plan(demand, units);
    demand->granted = demand->amount;
    demand->units = units;
    demand->forced = units - placed;
    demand->limited += demand->forced;
    return demand_check(demand);
}

static enum account_fault peek_forced(struct demand *demand, int64_t units)
{
    enum account_fault fault = admission_force(demand, units);
    return fault == ACCOUNT_FAULT_NONE ? rates_check(demand, units, MODE_FORCE) : fault;
}

/* Rates that refuse beside a limit: the denial may begin a bucket of theirs. */
static enum account_fault begin_rates(struct demand *demand, int64_t units)
{
    bool refuse = demand->rates.count > 0 && demand->rates.decision.verdict.granted == 0;
    return refuse ? rates_check(demand, units, MODE_ALL) : ACCOUNT_FAULT_NONE;
}

/* Of so many units those that every rate admits, where the slow lane admits other units than they do. */
static int64_t rated_units(const struct demand *demand, int64_t units)
{
    struct verdict verdicts[RULES_MAX];
    rates_report(demand, verdicts);
    for (uint32_t i = 0; i < demand->rates.count; i++) {
        if ((int32_t)i != demand->rates.throttle) units = amount_min(units, verdicts[i].remaining);
    }
    return units;
}

/* The same where there is a slow lane. */
static enum account_fault peek_up_to_throttled(struct demand *demand, int64_t units)
{
    int64_t cost = demand->cost;
    int64_t fits = demand_plan(demand, rated_units(demand, bounded_units(demand, units))) / cost;
    fits = max_i64(fits, 1); /* one may be let in by rates that have no place for all of it: QUEUE */
    if (bounded_units(demand, cost) == cost && demand_plan(demand, fits * cost) == fits * cost) {
        enum account_fault fault = rates_check(demand, fits * cost, MODE_ALL);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        if (demand->rates.decision.verdict.granted > 0) return grant(demand, fits);
    }
    demand->throttled = 0;
    enum account_fault fault = rates_check(demand, cost, MODE_PEEK);
    return fault == ACCOUNT_FAULT_NONE ? begin_rates(demand, cost) : fault;
}

/* As much as there is: first what the limits leave, then what the rates admit of it, in whole amounts. */
static enum account_fault peek_up_to(struct demand *demand, int64_t units)
{
    int64_t cost = demand->cost;
    if (demand->rates.throttle >= 0) return peek_up_to_throttled(demand, units);
    /* Whole amounts only: a unit that costs three is not granted for two. */
    int64_t fits = demand_plan(demand, bounded_units(demand, units)) / cost;
    if (fits == 0) {
        enum account_fault fault = rates_check(demand, cost, MODE_PEEK);
        return fault == ACCOUNT_FAULT_NONE ? begin_rates(demand, cost) : fault;
    }
    enum account_fault fault = rates_check(demand, fits * cost, MODE_UPTO);
    if (fault != ACCOUNT_FAULT_NONE || demand->rates.count == 0)
        return fault == ACCOUNT_FAULT_NONE ? grant(demand, fits) : fault;
    int64_t admitted = demand->rates.decision.verdict.granted;
    /* The rates answer in units. Where they admit a part of an amount they are checked again for whole amounts. */
    bool whole = admitted > 0 && admitted % cost == 0;
    fits = admitted / cost;
    if (!whole) fault = rates_check(demand, max_i64(fits, 1) * cost, MODE_ALL);
    /* A QUEUE lets an amount in that it has a place for in part. */
    if (!whole && demand->rates.decision.verdict.granted > 0) fits = max_i64(fits, 1);
    return fault == ACCOUNT_FAULT_NONE ? grant(demand, fits) : fault;
}

/* All of it, or nothing. */
static enum account_fault peek_all(struct demand *demand, int64_t units, bool takes)
{
    bool fits = bounded_units(demand, units) == units && demand_plan(demand, units) == units;
    if (!fits) demand->throttled = 0;
    enum account_fault fault = rates_check(demand, units, takes && fits ? MODE_ALL : MODE_PEEK);
    if (fault == ACCOUNT_FAULT_NONE && takes && !fits) fault = begin_rates(demand, units);
    bool admitted = fits && (demand->rates.count == 0 || demand->rates.decision.verdict.granted > 0);
    if (fault != ACCOUNT_FAULT_NONE || !admitted) return fault;
    return grant(demand, demand->amount);
}

static enum account_fault peek_demand(struct demand *demand, enum request_mode mode)
{
    int64_t units, cost = demand->cost;
    if (mode == MODE_UPTO) demand->amount = min_i64(demand->amount, INT64_MAX / cost);
    if (!multiply_checked(demand->amount, cost, &units)) return ACCOUNT_FAULT_OVERFLOW;
    if (mode == MODE_FORCE) return peek_forced(demand, units);
    if (mode == MODE_UPTO) return peek_up_to(demand, units);
    return peek_all(demand, units, mode == MODE_ALL);
}

/* ---- the request ----------------------------------------------------------------------------------------- */

/* Gives a demand that could have more no more than others of its item have. */
static enum account_fault cut_to(struct demand *demand, int64_t least)
{
    if (demand->rates.count > 0) {
        if (demand->rates.throttle >= 0) demand_plan(demand, least * demand->cost);
        enum account_fault fault = rates_check(demand, least * demand->cost, MODE_ALL);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
    }
    return grant(demand, least);
}

/* What all demands of an item grant, here and above; UPTO: the least of them, which all others are cut to. */
static enum account_fault peek_item(struct admission *admission, const struct admission_item *item, bool *admitted)
{
    int64_t least = INT64_MAX;
    if (item->above) below_find(admission, item);
    for (const struct admission_item *at = item; at; at = at->above) {
        for (uint32_t i = at->first; i < at->end; i++) {
            struct demand *demand = &admission->demands[i];
            demand->chosen = false;
            enum account_fault fault = peek_demand(demand, admission->mode);
            if (fault != ACCOUNT_FAULT_NONE) return fault;
            least = min_i64(least, demand->granted);
        }
    }
    *admitted = least > 0;
    /* All demands of an item take the same: the smallest pot decides. Where that has nothing they are given up. */
    for (const struct admission_item *at = item; *admitted && at; at = at->above) {
        for (uint32_t i = at->first; i < at->end; i++) {
            struct demand *demand = &admission->demands[i];
            enum account_fault fault = demand->granted == least ? ACCOUNT_FAULT_NONE : cut_to(demand, least);
            if (fault != ACCOUNT_FAULT_NONE) return fault;
        }
    }
    return *admitted && item->above ? below_settle(admission, item) : ACCOUNT_FAULT_NONE;
}

static void choose_item(struct admission *admission, const struct admission_item *item)
{
    for (; item; item = item->above) {
        for (uint32_t i = item->first; i < item->end; i++) admission->demands[i].chosen = true;
    }
}

/* A demand that is not taken, since others are denied: its rates are shown as they stand. */
static enum account_fault give_up(struct demand *demand)
{
    /* The rates' decision holds the charge that will not be made: a check puts the state as it is in its place. */
    int64_t units = demand->units;
    demand->granted = demand->units = demand->throttled = 0;
    return units > 0 ? rates_check(demand, units, MODE_PEEK) : ACCOUNT_FAULT_NONE;
}

enum account_fault admission_peek(struct admission *admission, const struct admission_item *items, uint32_t count)
{
    bool all = true, found = false;
    for (uint32_t i = 0; i < count; i++) {
        bool admitted;
        enum account_fault fault = peek_item(admission, &items[i], &admitted);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        all = all && admitted;
        if (!admitted || found) continue;
        found = true;
        if (admission->any) choose_item(admission, &items[i]);
    }
    admission->admitted = admission->any ? found : all;
    for (uint32_t i = 0; i < admission->count; i++) {
        struct demand *demand = &admission->demands[i];
        if (!admission->any) demand->chosen = all;
        if (demand->chosen) continue;
        enum account_fault fault = give_up(demand);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
    }
    return ACCOUNT_FAULT_NONE;
}

static void charge_views(struct demand *demand)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        struct position *position = &demand->positions[i];
        position->meter->take(position, position->meter->funds ? position->funded : demand->limited);
    }
}

static void emit_positions(struct demand *demand, struct sink *changes)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        struct position *position = &demand->positions[i];
        int64_t units = position->meter->funds ? position->funded : demand->limited;
        if (position->meter->emit) position->meter->emit(position, units, changes);
    }
}

/* Where ANY has taken one item the others are judged as things stand then: they may draw on the same resource. */
static enum account_fault stand_behind(struct admission *admission, const struct demand *taken)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < admission->count && fault == ACCOUNT_FAULT_NONE; i++) {
        struct demand *demand = &admission->demands[i];
        if (demand->chosen || demand->view != taken->view) continue;
        demand_stand_behind(demand, taken);
        fault = rates_check(demand, demand->amount * demand->cost, MODE_PEEK);
    }
    return fault;
}

enum account_fault admission_take(struct admission *admission)
{
    for (uint32_t i = 0; i < admission->count; i++) {
        struct demand *demand = &admission->demands[i];
        if (!demand->chosen) continue;
        struct sink *changes = demand->account->effects;
        charge_views(demand);
        backdate_take(demand, changes);
        enum account_fault fault = ACCOUNT_FAULT_NONE;
        if (!demand->key) fault = emit_but_rates(demand->account, demand->view, changes);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        emit_positions(demand, changes);
        demand->taken = true;
        if (admission->any) fault = stand_behind(admission, demand);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
    }
    for (uint32_t i = 0; i < admission->count; i++) {
        if (admission->demands[i].lower) below_left(&admission->demands[i]);
    }
    return ACCOUNT_FAULT_NONE;
}

struct bytes demand_funding(const struct demand *demand)
{
    int64_t funded = demand->units - demand->limited - demand->from_below;
    char stack_buffer[128];
    bool by_credits = funded > 0 && has_credits(demand);
    if (!by_credits && demand->from_below == 0) return (struct bytes){"", 0};
    struct sink funding = sink_init(stack_buffer, sizeof(stack_buffer));
    funding_add(&funding, FUNDED_BY_LIMITS, min_i64(demand->limited_first, demand->limited));
    if (by_credits) credits_write_funding(demand->account, demand->view, funded, &funding);
    funding_add(&funding, FUNDED_BY_LIMITS, demand->limited - demand->limited_first - demand->forced);
    funding_add(&funding, FUNDED_BELOW, demand->from_below);
    funding_add(&funding, FUNDED_BY_LIMITS, demand->forced);
    char *copy = arena_room(demand->account->arena, funding.size);
    memcpy(copy, funding.data, funding.size);
    struct bytes bytes = {copy, funding.size};
    sink_free(&funding);
    return bytes;
}

bool demand_begins_rates(const struct demand *demand)
{
    return demand->granted == 0 && demand->rates.count > 0 && demand->rates.decision.effects_count > 0;
}

void demand_emit_begun(const struct demand *demand)
{
    for (uint32_t i = 0; i < demand->positions_count; i++) {
        const struct position *position = &demand->positions[i];
        if (position->meter == &meter_rate) position->meter->emit(position, 0, demand->account->effects);
    }
}

/* ---- verdicts -------------------------------------------------------------------------------------------- */

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
        if (!is_limit(position)) continue;
        position->meter->judge(position, beyond, &verdict);
        if (verdict.remaining != UNLIMITED) verdict.remaining = add_clamped(verdict.remaining, funds);
        verdict_fold_add(fold, verdict.wait_us != 0, &verdict);
    }
}

/* While the limits have something left within their numbers the tightest of them is the rule, then credits are; once
 * both have nothing left the limits again, if BURST, GRACE or OVERAGE let them take more. */
static bool credits_decide(const struct demand *demand, int64_t funds)
{
    if (!has_limits(demand)) return true;
    return available_within(demand) == 0 && (funds > 0 || demand_available(demand) == 0);
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
    bool has_grants = has_credits(demand); /* a demand may have no position at all */
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
    bool is_pot = has_credits(demand) || demand->rates.throttle >= 0 || demand->lower;
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
    if (units > 0 && credits_bound(demand)) return NEVER_US;
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

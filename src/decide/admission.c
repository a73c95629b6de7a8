/* Decides over positions; the drawing is in admission.h. */
#include "quota/decide/admission.h"
#include "quota/base/checked.h"
#include "quota/decide/backdate.h"
#include "quota/decide/below.h"
#include "quota/decide/demand_plan.h"

/* ---- one demand ------------------------------------------------------------------------------------------ */

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

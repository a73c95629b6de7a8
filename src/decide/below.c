/* Lets credits of members pay for levels above; see below.h. */
#include "quota/decide/below.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/decide/demand_plan.h"

/* The demand of an item that has grants, be it that all of them are still to come: a wait foresees those. NULL = none
 * has. Of a row that is counted AS another one it may be either. */
static struct demand *with_credits(const struct admission *admission, const struct admission_item *item)
{
    for (uint32_t i = item->first; i < item->end; i++) {
        struct demand *demand = &admission->demands[i];
        if (!demand->key && demand->view->credits) return demand;
    }
    return NULL;
}

int64_t below_units(const struct demand *demand, const struct demand *lower, int64_t units)
{
    return wide_clamp((wide)(units / lower->cost) * demand->cost, 0, INT64_MAX);
}

void below_left(struct demand *demand)
{
    demand->below = 0;
    for (const struct demand *lower = demand->lower; lower; lower = lower->lower)
        demand->below = add_clamped(demand->below, below_units(demand, lower, demand_funds(lower)));
}

void below_find(const struct admission *admission, const struct admission_item *item)
{
    struct demand *lower = with_credits(admission, item);
    for (const struct admission_item *at = item->above; at; at = at->above) {
        for (uint32_t i = at->first; i < at->end; i++) {
            struct demand *demand = &admission->demands[i];
            demand->lower = lower;
            below_left(demand);
        }
        struct demand *own = with_credits(admission, at);
        if (own) lower = own;
    }
}

/* Makes its plan again, with so many units that its credits have to pay for. What its slow lane admits may have become
 * less. */
static enum account_fault plan_again(const struct admission *admission, struct demand *demand, int64_t from_credits)
{
    demand->from_credits = from_credits;
    if (admission->mode == MODE_FORCE) return admission_force(demand, demand->units);
    demand_plan(demand, demand->units);
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    if (demand->rates.throttle >= 0) fault = rates_check(demand, demand->units, MODE_ALL);
    return fault == ACCOUNT_FAULT_NONE ? demand_check(demand) : fault;
}

/* `missing`: of the amount, what the levels from here on upwards do not count and nothing has paid for yet. */
static enum account_fault pay(const struct admission *admission, const struct admission_item *item, int64_t *missing)
{
    *missing = 0;
    if (!item) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = pay(admission, item->above, missing);
    struct demand *pays = *missing > 0 ? with_credits(admission, item) : NULL;
    if (pays && fault == ACCOUNT_FAULT_NONE) {
        int64_t units = min_i64(*missing, demand_funds(pays) / pays->cost) * pays->cost;
        fault = plan_again(admission, pays, units);
        *missing -= min_i64(*missing, (pays->units - pays->limited - pays->from_below) / pays->cost);
    }
    for (uint32_t i = item->first; i < item->end; i++) {
        const struct demand *demand = &admission->demands[i];
        int64_t lacking = demand->from_below / demand->cost + (demand->from_below % demand->cost > 0);
        *missing = max_i64(*missing, lacking);
    }
    return fault;
}

enum account_fault below_settle(const struct admission *admission, const struct admission_item *item)
{
    int64_t missing;
    bool lacks = false;
    for (const struct admission_item *at = item->above; at; at = at->above) {
        for (uint32_t i = at->first; i < at->end; i++) lacks = lacks || admission->demands[i].from_below > 0;
    }
    enum account_fault fault = lacks ? pay(admission, item, &missing) : ACCOUNT_FAULT_NONE;
    if (lacks && fault == ACCOUNT_FAULT_NONE && !expect(missing == 0)) return ACCOUNT_FAULT_OVERFLOW;
    return fault;
}

/* The meter of credits: grants pay for what the limits cannot take, in burn order.
 *
 *     0 ├── spent ──┬── held ──┬── left ──┤ amount of the usable grants      what is left pays; more may come */
#include "quota/base/checked.h"
#include "quota/meter/meter.h"
#include "quota/view/billing.h"
#include "quota/view/credits_view.h"

int64_t demand_funded_before(const struct demand *demand)
{
    const struct demand *before = demand->behind;
    bool counts = before && demand->account->now_us < credits_next_us(before->account, before->view);
    return counts ? before->units - before->limited - before->from_below : 0;
}

/* What is left, after what the demand has just taken, or the one before it. */
static int64_t available(const struct position *position)
{
    const struct demand *demand = position->demand;
    return demand->view->credits_left - (demand->taken ? position->funded : demand_funded_before(demand));
}

static enum account_fault check(const struct position *position, int64_t units)
{
    (void)position; /* a plan never draws more than is left */
    (void)units;
    return ACCOUNT_FAULT_NONE;
}

/* How long to wait is the demand's to say: limits and credits pay together. */
static void judge(const struct position *position, int64_t units, struct verdict *verdict)
{
    const struct demand *demand = position->demand;
    int64_t more_us = credits_more_us(demand->account, demand->view);
    verdict->limit = demand->view->credits_amount;
    verdict->remaining = available(position);
    verdict->wait_us = units > verdict->remaining ? NEVER_US : 0;
    verdict->reset_us = more_us == INT64_MAX ? NEVER_US : more_us - demand->account->now_us;
    verdict->rule = position->number;
}

static void take(struct position *position, int64_t units)
{
    /* Grants are no part of the view: emit writes them, or the reservation holds them. */
    const struct demand *demand = position->demand;
    if (!demand->holds) billing_credit(demand->account, demand->view, demand->account->now_us, units);
}

static void emit(const struct position *position, int64_t units, struct sink *changes)
{
    const struct demand *demand = position->demand;
    if (units > 0 && !demand->holds) credits_emit_spent(demand->account, demand->view, units, changes);
}

static void report(const struct position *position, struct rule_report *report)
{
    const struct demand *demand = position->demand;
    int64_t more_us = credits_more_us(demand->account, demand->view);
    report->limit = demand->view->credits_amount;
    report->held = credits_held(demand->account, demand->view);
    report->remaining = available(position);
    report->used = max_i64(report->limit - report->remaining - report->held, 0);
    report->start_us = NEVER_US;
    report->end_us = more_us == INT64_MAX ? NEVER_US : more_us;
}

const struct meter meter_credits = {.kind = "credits",
                                    .funds = true,
                                    .available = available,
                                    .check = check,
                                    .judge = judge,
                                    .take = take,
                                    .emit = emit,
                                    .report = report};

/* The meter of THROTTLE, the slow lane: what limits and credits refuse is admitted at this rate instead.
 *
 *     units of a request ├── limits, credits, BURST, GRACE ──┤├── slow lane ──┤├── OVERAGE ──┤
 *
 * Its rule stands among the RATEs in the limiter of the resource, so that it is kept, taken over and written down like
 * them; but it gets its part of the units alone, and it bounds nothing: admission (decide/admission.h) decides
 * how much the lane takes. These units count as used of the limits. */
#include "quota/base/checked.h"
#include "quota/meter/meter.h"

int64_t throttle_takes(const struct demand *demand, int64_t needed, int64_t most)
{
    struct verdict verdicts[RULES_MAX], verdict;
    if (demand->rates.throttle < 0 || most == 0) return 0;
    rates_report(demand, verdicts);
    int64_t remaining = verdicts[demand->rates.throttle].remaining;
    if (remaining == UNLIMITED || remaining >= most) return most;
    if (remaining >= needed) return remaining;
    throttle_judge(demand, needed, &verdict);
    return verdict.granted > 0 ? needed : remaining;
}

void throttle_judge(const struct demand *demand, int64_t units, struct verdict *verdict)
{
    const struct rates_answer *rates = &demand->rates;
    struct verdict verdicts[RULES_MAX];
    struct decision decision;
    rates_report(demand, verdicts);
    *verdict = verdicts[rates->throttle];
    if (units > 0 && rates_check_throttle(demand, units, &decision)) *verdict = decision.verdict;
    verdict->rule = rates->places[rates->throttle];
}

/* It bounds nothing by itself, and takes nothing: the limiter of the resource is decided and written by meter_rate. */
static int64_t available(const struct position *position)
{
    (void)position;
    return UNLIMITED;
}

static enum account_fault check(const struct position *position, int64_t units)
{
    (void)position;
    (void)units;
    return ACCOUNT_FAULT_NONE;
}

static void judge(const struct position *position, int64_t units, struct verdict *verdict)
{
    throttle_judge(position->demand, units, verdict);
}

static void take(struct position *position, int64_t units)
{
    (void)position;
    (void)units;
}

static void report(const struct position *position, struct rule_report *report)
{
    struct verdict verdict;
    throttle_judge(position->demand, 0, &verdict);
    *report = (struct rule_report){.start_us = NEVER_US, .end_us = NEVER_US};
    report->limit = verdict.limit;
    report->remaining = verdict.remaining;
    report->used = verdict.limit == UNLIMITED ? 0 : max_i64(verdict.limit - verdict.remaining, 0);
}

const struct meter meter_throttle = {
    .kind = "THROTTLE", .available = available, .check = check, .judge = judge, .take = take, .report = report};

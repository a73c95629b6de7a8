/* The meter of RATEs: all rates of a resource in one position, since they decide together (limiter.h).
 *
 * A rate bounds how often units are requested. It is checked for all units of a request, however they are paid for, and
 * what is reserved is used of it at once. */
#include "quota/base/checked.h"
#include "quota/meter/meter.h"
#include "quota/rate/limiter_codec.h"
#include "quota/view/changeset.h"

static const struct limiter *limiter_of(const struct demand *demand)
{
    return demand->behind ? demand->rates_after : demand->view->rates;
}

static struct limiter_request request_of(const struct demand *demand, int64_t units, enum request_mode mode)
{
    return (struct limiter_request){.begins = true,
                                    .cost = units,
                                    .now_us = demand->account->now_us,
                                    .rules_us = demand->view->rates_us,
                                    .mode = mode,
                                    .kept = true};
}

/* The costs of all rates, where THROTTLE has one of its own; answers the largest. */
static int64_t costs_of(const struct rates_answer *rates, int64_t units, int64_t throttled, int64_t costs[RULES_MAX])
{
    int64_t most = 0;
    for (uint32_t i = 0; i < rates->count; i++) {
        costs[i] = (int32_t)i == rates->throttle ? throttled : units;
        most = max_i64(most, costs[i]);
    }
    return most;
}

bool rates_check_throttle(const struct demand *demand, int64_t units, struct decision *decision)
{
    struct rates_answer rates = demand->rates;
    int64_t costs[RULES_MAX];
    /* Once they are taken, as the lane stands after them: the limiter is written when all is decided. */
    enum request_mode mode = demand->taken ? MODE_ALL : MODE_PEEK;
    struct limiter_request request = request_of(demand, costs_of(&rates, 0, units, costs), mode);
    request.costs = costs;
    limiter_decide(limiter_of(demand), rates.rules, rates.count, &request, decision);
    return decision->fault == FAULT_NONE;
}

/* THROTTLE is the only rate, and nothing takes it. What stands under other rules goes over to it all the same. */
static enum account_fault pass_by(struct demand *demand, int64_t units, enum request_mode mode)
{
    struct rates_answer *rates = &demand->rates;
    const struct limiter *limiter = limiter_of(demand);
    int64_t since_us = demand->view->rates_us > 0 ? demand->view->rates_us : demand->account->now_us;
    rates->decision.fault = FAULT_NONE;
    rates->decision.effects_count = 0;
    if (limiter && mode != MODE_PEEK) {
        limiter_decide_rules(limiter, rates->rules, rates->count, since_us, &rates->decision);
    }
    rates->decision.verdict =
        (struct verdict){.granted = units, .limit = UNLIMITED, .remaining = UNLIMITED, .rule = -1};
    return ACCOUNT_FAULT_NONE;
}

enum account_fault rates_decide(struct demand *demand, int64_t units, enum request_mode mode)
{
    struct rates_answer *rates = &demand->rates;
    struct limiter_request request = request_of(demand, units, mode);
    int64_t costs[RULES_MAX];
    if (rates->throttle >= 0) {
        request.cost = costs_of(rates, units, demand->throttled, costs);
        request.costs = costs;
    }
    if (request.cost == 0) return pass_by(demand, units, mode);
    limiter_decide(limiter_of(demand), rates->rules, rates->count, &request, &rates->decision);
    if (rates->decision.fault == FAULT_OVERFLOW) return ACCOUNT_FAULT_OVERFLOW;
    return rates->decision.fault == FAULT_BOUND ? ACCOUNT_FAULT_LOG : ACCOUNT_FAULT_NONE;
}

/* How many fit is what rates_check answers: it depends on the mode. */
static int64_t available(const struct position *position)
{
    (void)position;
    return UNLIMITED;
}

static enum account_fault check(const struct position *position, int64_t units)
{
    (void)position; /* rates_check has said so already */
    (void)units;
    return ACCOUNT_FAULT_NONE;
}

/* What the rates answered when they were checked; a wait of granted units is that of a queue. */
static void judge(const struct position *position, int64_t units, struct verdict *verdict)
{
    const struct rates_answer *rates = &position->demand->rates;
    (void)units;
    *verdict = rates->decision.verdict;
    int32_t place = verdict->rule < 0 ? (int32_t)position->rule : rates->places[verdict->rule];
    verdict->rule = position->number + place - (int32_t)position->rule; /* as the first rate is numbered */
}

static void take(struct position *position, int64_t units)
{
    (void)position; /* the limiter is no part of the view: emit writes its effects */
    (void)units;
}

static void emit_decision(const struct position *position, const struct decision *decision, struct sink *changes)
{
    emit_rates(decision, (uint32_t)position->demand->view->index, position->demand->key, changes);
}

static void emit(const struct position *position, int64_t units, struct sink *changes)
{
    (void)units;
    emit_decision(position, &position->demand->rates.decision, changes);
}

/* ---- looking and giving back ----------------------------------------------------------------------------- */

/* Under the rules as they are now, whatever the limiter was last checked with. */
void rates_report(const struct demand *demand, struct verdict verdicts[RULES_MAX])
{
    struct rates_answer *rates = (struct rates_answer *)&demand->rates; /* completes the rules, if they are not */
    limiter_report(limiter_of(demand), rates->rules, rates->count, demand->view->rates_us, demand->account->now_us,
                   verdicts);
}

/* `position->rule` is the rate that is meant. */
static void report(const struct position *position, struct rule_report *report)
{
    struct verdict verdicts[RULES_MAX];
    const struct rates_answer *rates = &position->demand->rates;
    rates_report(position->demand, verdicts);
    *report = (struct rule_report){.start_us = NEVER_US, .end_us = NEVER_US};
    for (uint32_t i = 0; i < rates->count; i++) {
        if (rates->places[i] != position->rule) continue;
        report->limit = verdicts[i].limit;
        report->remaining = verdicts[i].remaining;
        report->used = report->limit == UNLIMITED ? 0 : max_i64(report->limit - report->remaining, 0);
    }
}

/* The slow lane takes nothing back: how much of the units it had admitted is not remembered. */
static void keep_slow_lane(const struct rates_answer *rates, const struct limiter *limiter, struct decision *decision)
{
    uint32_t kept = 0;
    bool known = limiter->set->count == rates->count; /* else it is not known which of its rules is the lane */
    for (uint32_t i = 0; i < decision->effects_count; i++) {
        bool of_lane = decision->effects[i].index == (uint32_t)rates->throttle;
        if (known && !of_lane) decision->effects[kept++] = decision->effects[i];
    }
    decision->effects_count = kept;
}

/* What the rates remember, under rules that have changed since it was stored: a copy, taken over when they came into
 * force, as it is written down before anything is given back. NULL = as stored. */
static struct limiter *taken_over(struct demand *demand)
{
    struct decision decision;
    const struct limiter *limiter = limiter_of(demand);
    if (!limiter || demand->view->rates_us == 0) return NULL;
    limiter_decide_rules(limiter, demand->rates.rules, demand->rates.count, demand->view->rates_us, &decision);
    if (decision.effects_count == 0) return NULL;
    return limiter_apply(limiter_clone(limiter), &decision);
}

static int64_t give_back_taken(const struct position *position, int64_t units, int64_t taken_us, struct sink *changes)
{
    struct decision decision;
    const struct limiter *limiter = limiter_of(position->demand);
    if (!limiter || units == 0) return 0;
    int64_t now_us = position->demand->account->now_us;
    struct limiter *changed = taken_over(position->demand);
    if (changed) limiter = changed;
    int64_t returned =
        limiter_decide_refund(limiter, units, -1, (struct taken_when){.at_us = taken_us}, now_us, &decision);
    if (position->demand->rates.throttle >= 0) keep_slow_lane(&position->demand->rates, limiter, &decision);
    emit_decision(position, &decision, changes);
    limiter_free(changed);
    return returned;
}

/* What the rates still remember of units that were taken then. */
static int64_t give_back(struct position *position, int64_t units, const struct taken_from *from, struct sink *changes)
{
    return from->is_late ? 0 : give_back_taken(position, units, from->logged_us, changes);
}

static int64_t give_back_newest(struct position *position, int64_t units, struct sink *changes)
{
    return give_back_taken(position, units, TAKEN_UNKNOWN, changes);
}

/* The most that any rate still counts: not what a bucket with an INITIAL has lacked from its beginning. */
static int64_t used(const struct position *position)
{
    struct demand *demand = position->demand;
    struct verdict verdicts[RULES_MAX];
    int64_t most = 0;
    if (demand->rates.throttle < 0) {
        struct sink nowhere = {0};
        most = give_back_taken(position, INT64_MAX, TAKEN_UNKNOWN, &nowhere);
        sink_free(&nowhere);
        return most;
    }
    rates_report(demand, verdicts);
    for (uint32_t i = 0; i < demand->rates.count; i++) {
        if ((int32_t)i == demand->rates.throttle) continue;
        if (verdicts[i].limit != UNLIMITED) most = max_i64(most, verdicts[i].limit - verdicts[i].remaining);
    }
    return most;
}

const struct meter meter_rate = {.kind = "RATE",
                                 .counts_all = true,
                                 .available = available,
                                 .check = check,
                                 .judge = judge,
                                 .take = take,
                                 .emit = emit,
                                 .report = report,
                                 .give_back = give_back,
                                 .give_back_newest = give_back_newest,
                                 .used = used};

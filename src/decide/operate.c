/* Beginning and ending an operator's command, and moments; see operate.h. */
#include "quota/decide/operate.h"
#include "quota/base/checked.h"

enum account_fault operate_begin(struct account_view *view, const struct account *account,
                                 const struct account_host *host, const struct admin_action *action,
                                 struct account_decision *decision)
{
    account_decision_begin(decision);
    account_view_none(view);
    if (!account) return ACCOUNT_FAULT_MISSING;
    enum account_fault fault = account_view_begin(view, account, host, action->now_us);
    decision->applied_at_us = view->now_us;
    view->effects = &decision->changes;
    if (fault == ACCOUNT_FAULT_NONE && view->status.state == ACCOUNT_CLOSED) return ACCOUNT_FAULT_CLOSED;
    return fault;
}

void operate_finish(struct account_view *view, struct account_decision *decision, enum account_fault fault)
{
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, decision->fault_subject);
    account_view_end(view);
}

void operate_audit(const struct account_view *view, enum audit_action act, int32_t slot, int64_t amount,
                   const struct admin_action *action, struct account_decision *decision)
{
    emit_audit(view, act, slot, amount, action->actor, action->reason, &decision->changes);
}

enum account_fault operate_past(struct account_decision *decision, const char *option)
{
    decision->fault_text = option;
    return ACCOUNT_FAULT_PAST;
}

int64_t moment_instant_us(const struct moment *moment, const struct zone *zone, int64_t from_us)
{
    switch (moment->kind) {
    case MOMENT_INSTANT: return moment->at_us;
    case MOMENT_DURATION: return min_i64(from_us + moment->after_us, INSTANT_MAX_US);
    case MOMENT_PERIOD: {
        struct cycle cycle = period_cycle(&moment->period, zone, from_us, 0);
        return min_i64(cycle.end_us, INSTANT_MAX_US);
    }
    default: return 0;
    }
}

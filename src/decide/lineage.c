/* Views of the accounts above one; see lineage.h. */
#include "quota/decide/lineage.h"
#include "quota/base/checked.h"

int64_t lineage_instant_us(const struct account *account, const struct lineage *lineage, int64_t now_us)
{
    if (account) now_us = max_i64(now_us, account->applied_at_us);
    for (uint32_t i = 0; lineage && i < lineage->count; i++) {
        const struct account *above = lineage->ancestors[i].account;
        if (above) now_us = max_i64(now_us, above->applied_at_us);
    }
    return now_us;
}

enum account_fault lineage_begin(const struct lineage *lineage, const struct account_host *host, int64_t now_us,
                                 struct account_view views[ANCESTORS_MAX])
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; lineage && i < lineage->count; i++) {
        const struct ancestor *ancestor = &lineage->ancestors[i];
        account_decision_begin(ancestor->decision);
        account_view_none(&views[i]);
        if (!ancestor->account || fault != ACCOUNT_FAULT_NONE) continue;
        fault = account_view_begin(&views[i], ancestor->account, host, now_us);
        ancestor->decision->applied_at_us = views[i].now_us;
        views[i].effects = &ancestor->decision->changes;
        if (fault != ACCOUNT_FAULT_NONE) fault = lineage_fault(ancestor->decision, &views[i], fault);
    }
    return fault;
}

void lineage_end(const struct lineage *lineage, struct account_view views[ANCESTORS_MAX])
{
    for (uint32_t i = 0; lineage && i < lineage->count; i++) account_view_end(&views[i]);
}

enum account_fault lineage_refusal(const struct lineage *lineage, const struct account_view views[ANCESTORS_MAX])
{
    for (uint32_t i = 0; lineage && i < lineage->count; i++) {
        const struct ancestor *ancestor = &lineage->ancestors[i];
        enum account_fault fault = ancestor->account ? account_view_refusal(&views[i]) : ACCOUNT_FAULT_MISSING;
        if (fault == ACCOUNT_FAULT_NONE) continue;
        account_decision_fail(ancestor->decision, fault, (struct bytes){"", 0});
        return ACCOUNT_FAULT_ABOVE;
    }
    return ACCOUNT_FAULT_NONE;
}

void lineage_fail(const struct lineage *lineage)
{
    for (uint32_t i = 0; lineage && i < lineage->count; i++) {
        struct account_decision *decision = lineage->ancestors[i].decision;
        if (decision->fault == ACCOUNT_FAULT_NONE) decision->changes.size = 0;
        decision->adds_record = false;
        decision->causes_count = 0;
    }
}

enum account_fault lineage_fault(struct account_decision *decision, struct account_view *view, enum account_fault fault)
{
    account_decision_refuse(decision, view, fault);
    return ACCOUNT_FAULT_ABOVE;
}

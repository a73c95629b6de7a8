/* Settles, asks and answers for all resources of a request; see demands.h. */
#include "quota/decide/demands.h"

void demands_begin(struct demands *demands, struct account_view *account, const struct consume_item *wanted,
                   uint32_t count, struct account_decision *decision)
{
    demands->account = account;
    demands->decision = decision;
    demands->wanted = wanted;
    demands->count = count;
    for (uint32_t i = 0; i < count; i++) demands->names[i] = wanted[i].resource;
    demands->meanwhile = sink_init(demands->stack_buffer, sizeof(demands->stack_buffer));
}

void demands_end(struct demands *demands)
{
    sink_free(&demands->meanwhile);
}

static struct resource_names own_of(const struct demands *demands)
{
    return (struct resource_names){demands->names, demands->count};
}

enum account_fault demands_settle(struct demands *demands)
{
    struct account_decision *decision = demands->decision;
    enum account_fault fault = emit_account(demands->account, own_of(demands), &demands->meanwhile);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    for (uint32_t i = 0; i < demands->count; i++) {
        struct resource_view *view = &demands->views[i];
        decision->fault_subject = demands->wanted[i].resource;
        resource_view_begin(demands->account, demands->wanted[i].resource, view);
        fault = resource_view_settle(demands->account, view, &demands->meanwhile);
        if (fault == ACCOUNT_FAULT_NONE && !view->entitlement) fault = ACCOUNT_FAULT_RESOURCE;
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        demand_begin(&demands->each[i], demands->account, view, demands->wanted[i].amount);
        demands->items[i] = (struct admission_item){i, i + 1};
    }
    return ACCOUNT_FAULT_NONE;
}

enum account_fault demands_peek(struct demands *demands, enum request_mode mode, bool any)
{
    struct account_view *account = demands->account;
    demands->admission =
        (struct admission){.demands = demands->each, .count = demands->count, .mode = mode, .any = any};
    enum account_fault fault = admission_peek(&demands->admission, demands->items, demands->count);
    demands->decision->denied = !demands->admission.admitted;
    /* Where nothing is taken no slot has begun either. */
    bool takes = demands->admission.admitted && mode != MODE_PEEK;
    if (!takes) account->slots_count = account->account ? account->account->slots_count : 0;
    return fault;
}

enum account_fault demands_take(struct demands *demands)
{
    sink_raw(&demands->decision->changes, demands->meanwhile.data, demands->meanwhile.size);
    return admission_take(&demands->admission);
}

void demands_answer(struct demands *demands)
{
    struct account_decision *decision = demands->decision;
    struct verdict *verdicts = decision->result.consumed.verdicts;
    uint32_t count = decision->result.consumed.count = demands->count;
    for (uint32_t i = 0; i < count; i++) {
        admission_verdict(&demands->admission, &demands->items[i], &verdicts[i]);
        bool denies = decision->denied && verdicts[i].wait_us != 0;
        if (denies) decision_add_cause(decision, &demands->views[i], &verdicts[i]);
    }
    bool all_or_none = count > 1 && decision->denied && !demands->admission.any;
    if (all_or_none) admission_align_waits(&demands->admission, demands->items, count, verdicts);
    bool clock_is_behind = demands->account->clock_us < demands->account->now_us;
    for (uint32_t i = 0; clock_is_behind && i < count; i++) {
        verdicts[i].wait_us = account_view_wait_us(demands->account, verdicts[i].wait_us);
        verdicts[i].reset_us = account_view_wait_us(demands->account, verdicts[i].reset_us);
    }
}

/* A denied resource gets a slot, for the record to name, or for the rates that begin with the denial. Where the account
 * has moved to another plan it is written down as it is now, like all the others; so it is where its rates are others
 * by now, which take over once. */
static enum account_fault emit_denied(struct demand *demand)
{
    struct account_view *account = demand->account;
    struct resource_view *view = demand->view;
    enum account_fault fault;
    bool begins = demand_begins_rates(demand);
    if (account->changes_count == 0 && view->rates_us == 0) {
        bool is_new = view->index < 0; /* cycles of a LIMIT with ROLLOVER begin to be kept */
        fault = is_new ? emit_resource(account, view, account->effects) : ACCOUNT_FAULT_NONE;
    } else {
        resource_view_begin(account, view->resource, view);
        fault = resource_view_settle(account, view, account->effects);
        if (fault == ACCOUNT_FAULT_NONE) {
            fault = begins ? emit_but_rates(account, view, account->effects)
                           : emit_resource(account, view, account->effects);
        }
    }
    /* Under the rules of now: it takes over what was used under others, too. */
    if (fault == ACCOUNT_FAULT_NONE && begins) demand_emit_begun(demand);
    return fault;
}

enum account_fault demands_emit_denial(struct demands *demands, bool is_remembered)
{
    bool begins = false;
    uint32_t count = demands->count;
    for (uint32_t i = 0; i < count; i++) begins = begins || demand_begins_rates(&demands->each[i]);
    if (!begins && !is_remembered) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = emit_account(demands->account, own_of(demands), &demands->decision->changes);
    for (uint32_t i = 0; i < count && fault == ACCOUNT_FAULT_NONE; i++) {
        if (is_remembered || demand_begins_rates(&demands->each[i])) fault = emit_denied(&demands->each[i]);
    }
    return fault;
}

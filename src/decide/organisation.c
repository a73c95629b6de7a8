/* Decides who is whose member; see organisation.h. */
#include "quota/decide/organisation.h"
#include "quota/decide/membership.h"

static enum account_fault join(struct account_view *parent, struct bytes name, struct account_decision *decision)
{
    const struct member *member = members_find(account_members(parent->account), name);
    int64_t number;
    if (member && !member->has_left) return ACCOUNT_FAULT_NONE;
    decision->adds_record = !member;
    enum account_fault fault = emit_account(parent, NO_RESOURCES, &decision->changes);
    return fault == ACCOUNT_FAULT_NONE ? membership_join(parent, name, &decision->changes, &number) : fault;
}

static enum account_fault leave(struct account_view *parent, struct bytes name, struct account_decision *decision)
{
    const struct member *member = members_find(account_members(parent->account), name);
    if (!member || member->has_left) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = emit_account(parent, NO_RESOURCES, &decision->changes);
    change_encode(&(struct change){.kind = CHANGE_MEMBER_LEFT, .number = member->number}, &decision->changes);
    return fault;
}

/* Names the parent, empty = none. */
static enum account_fault name_parent(struct account_view *view, struct bytes parent, enum audit_action act,
                                      const struct admin_action *action, struct account_decision *decision)
{
    if (bytes_equal(account_parent(view->account), parent)) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = emit_account(view, NO_RESOURCES, &decision->changes);
    change_encode(&(struct change){.kind = CHANGE_PARENT, .bytes = parent}, &decision->changes);
    operate_audit(view, act, -1, 0, action, decision);
    return fault;
}

void parent_decide(const struct account *account, const struct account_host *host, struct bytes parent,
                   const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    enum audit_action act = parent.size > 0 ? AUDIT_PARENT : AUDIT_DETACH;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    if (fault == ACCOUNT_FAULT_NONE) fault = name_parent(&view, parent, act, action, decision);
    operate_finish(&view, decision, fault);
}

void member_joined_decide(const struct account *parent, const struct account_host *host, struct bytes name,
                          const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, parent, host, action, decision);
    if (fault == ACCOUNT_FAULT_NONE) fault = join(&view, name, decision);
    operate_finish(&view, decision, fault);
}

/* A parent that is not there, or closed, has no say in it. */
void member_left_decide(const struct account *parent, const struct account_host *host, struct bytes name,
                        const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, parent, host, action, decision);
    if (parent && (fault == ACCOUNT_FAULT_NONE || fault == ACCOUNT_FAULT_CLOSED)) fault = leave(&view, name, decision);
    if (fault == ACCOUNT_FAULT_MISSING) fault = ACCOUNT_FAULT_NONE;
    operate_finish(&view, decision, fault);
}

static enum account_fault weigh(struct account_view *pool, struct bytes name, uint32_t weight,
                                const struct admin_action *action, struct account_decision *decision)
{
    const struct member *member = members_find(account_members(pool->account), name);
    decision->fault_subject = name;
    if (!member || member->has_left) return ACCOUNT_FAULT_NO_MEMBER;
    if (member->weight == weight) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = emit_account(pool, NO_RESOURCES, &decision->changes);
    struct change change = {.kind = CHANGE_MEMBER, .number = member->number, .bytes = name, .amount = weight};
    change_encode(&change, &decision->changes);
    operate_audit(pool, AUDIT_WEIGHT, -1, weight, action, decision);
    return fault;
}

void weight_decide(const struct account *pool, const struct account_host *host, struct bytes name, uint32_t weight,
                   const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, pool, host, action, decision);
    if (fault == ACCOUNT_FAULT_NONE) fault = weigh(&view, name, weight, action, decision);
    operate_finish(&view, decision, fault);
}

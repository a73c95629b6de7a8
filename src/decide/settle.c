/* Writes down what time has done; see settle.h. */
#include "quota/decide/settle.h"
#include "quota/base/checked.h"

/* ---- what it has done ------------------------------------------------------------------------------------ */

/* Cycles in which nothing happened are none of them. */
static bool was_used(const struct closed_cycle *closed)
{
    return closed->used > 0 || closed->refunded > 0 || closed->denied > 0 || closed->peak > 0;
}

/* A grant that begins keeps less than it was given with where the running cycles were over. */
static bool paid(const struct account *account, const struct change *turned)
{
    const struct stored_grant *stored = grants_numbered(account_grants(account), turned->number);
    return stored && !(stored->grant.flags & GRANT_BEGUN) && turned->amount < stored->grant.balance;
}

static int64_t of_changes(const struct account *account, const struct sink *changes)
{
    struct cursor cursor = cursor_init((struct bytes){changes->data, changes->size});
    struct change change;
    int64_t count = 0;
    while (!cursor_done(&cursor) && !cursor.bad) {
        change_decode(&cursor, ACCOUNT_ENCODING_NEWEST, &change);
        if (cursor.bad) break;
        switch (change.kind) {
        case CHANGE_CLOSED: count += was_used(&change.closed); break;
        case CHANGE_OVERRIDE: count++; break; /* that ends: no other one is written here */
        case CHANGE_GRANT_TURNED: count += paid(account, &change); break;
        default: break;
        }
    }
    return count;
}

/* Plans that came or ended, and a suspension that is over. An account that has expired into nothing keeps its plan and
 * its end, and has met them where it was changed since. */
static int64_t of_account(const struct account_view *view)
{
    int64_t count = view->account->state == ACCOUNT_SUSPENDED && view->status.state != ACCOUNT_SUSPENDED;
    for (uint32_t i = 0; i < view->changes_count; i++) {
        count += view->changes[i].plan || view->changes[i].at_us > view->account->applied_at_us;
    }
    return count;
}

/* Reservations of the account's own, each once; those of its members are theirs. */
static int64_t of_holds(const struct account_view *view)
{
    const struct holds *holds = account_holds(view->account);
    uint32_t ended = holds_ended(holds, view->now_us);
    int64_t count = 0;
    for (uint32_t i = 0; i < ended; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        count += hold->part == 0 && !hold->of_member;
    }
    return count;
}

/* One that a live reservation holds a part of stays until that one ends. */
static int64_t of_grants(const struct account_view *view)
{
    const struct grants *grants = account_grants(view->account);
    int64_t count = 0;
    for (uint32_t i = 0; i < grants->count; i++) {
        const struct stored_grant *stored = grants->by_number[i];
        bool expired = stored->grant.expires_us <= view->now_us && !(stored->grant.flags & GRANT_VOID);
        count += expired && account_grant_held(view->account, stored, view->now_us) == 0;
    }
    return count;
}

/* ---- writing it down ------------------------------------------------------------------------------------- */

static enum account_fault settle(struct account_view *view, struct sink *changes)
{
    const struct account *account = view->account;
    struct resource_view resource;
    struct bytes names[ACCOUNT_SLOTS_MAX];
    uint32_t count = account->slots_count;
    for (uint32_t i = 0; i < count; i++) names[i] = interned_string_bytes(account->slots[i].resource);
    enum account_fault fault = emit_account(view, (struct resource_names){names, count}, changes);
    for (uint32_t i = 0; i < count && fault == ACCOUNT_FAULT_NONE; i++) {
        resource_view_begin(view, names[i], &resource);
        fault = resource_view_settle(view, &resource, changes);
        if (fault == ACCOUNT_FAULT_NONE) fault = emit_resource(view, &resource, changes);
    }
    return fault;
}

void settle_decide(const struct account *account, const struct account_host *host, int64_t now_us,
                   struct account_decision *decision)
{
    struct account_view view;
    const struct change swept = {.kind = CHANGE_SWEPT};
    account_decision_begin(decision);
    account_view_none(&view);
    enum account_fault fault = account ? account_view_begin(&view, account, host, now_us) : ACCOUNT_FAULT_MISSING;
    if (fault == ACCOUNT_FAULT_NONE) fault = settle(&view, &decision->changes);
    if (fault == ACCOUNT_FAULT_NONE) {
        int64_t settled = of_changes(account, &decision->changes) + of_account(&view) + of_holds(&view);
        settled += of_grants(&view);
        bool stands = settled > 0 || settle_remains(account, view.now_us);
        if (stands && decision->changes.size == 0) change_encode(&swept, &decision->changes);
        decision->applied_at_us = view.now_us;
        decision->result.settled = settled;
    } else {
        account_decision_fail(decision, fault, (struct bytes){"", 0});
    }
    account_view_end(&view);
}

bool settle_remains(const struct account *account, int64_t now_us)
{
    return account && holds_ended(account_holds(account), max_i64(now_us, account->applied_at_us)) > 0;
}

/* Decides grants; see grant.h. */
#include "quota/decide/grant.h"
#include "quota/account/change_parts.h"
#include "quota/base/checked.h"
#include "quota/view/billing.h"
#include "quota/view/credits_view.h"

/* ---- what was given before ------------------------------------------------------------------------------- */

/* Is it the same as written? Relative times count as they were given. */
static bool same_content(const struct grant *left, const struct grant *right)
{
    uint8_t given = GRANT_PROMO | GRANT_ONCE;
    return left->slot == right->slot && left->amount == right->amount && left->priority == right->priority &&
           (left->flags & given) == (right->flags & given) && left->every == right->every &&
           left->expiry == right->expiry && left->expiry_value == right->expiry_value &&
           left->given_effective_us == right->given_effective_us;
}

/* Is it forgotten, though it is still stored? Also one that has begun and ended since it was written down: that goes to
 * `changes` then (NULL = nowhere). */
static bool is_forgotten(struct account_view *account, const struct stored_grant *stored, struct sink *changes)
{
    struct resource_view view;
    const struct grant *grant = &stored->grant;
    if (account_grant_held(account->account, stored, account->now_us) > 0) return false;
    if ((grant->flags & GRANT_BEGUN) || grant->effective_us > account->now_us)
        return grant_is_forgotten(grant, account->now_us);
    struct grant begun = *grant;
    resource_view_begin(account, interned_string_bytes(account->account->slots[grant->slot].resource), &view);
    if (resource_view_settle(account, &view, changes) != ACCOUNT_FAULT_NONE || !view.grants) return false;
    begun.flags |= GRANT_BEGUN;
    begun.balance = view.grants[stored->place].balance;
    begun.used_us = view.grants[stored->place].used_us;
    bool forgotten = grant_is_forgotten(&begun, account->now_us);
    if (forgotten && changes) (void)emit_resource(account, &view, changes);
    return forgotten;
}

bool grant_find_given(struct account_view *view, struct bytes id, struct grant *given)
{
    struct record_key key;
    struct idempotency_entry entry;
    const struct stored_grant *stored = grants_find(account_grants(view->account), id, linear_hash(id));
    if (stored && !is_forgotten(view, stored, NULL)) {
        *given = stored->grant;
        return true;
    }
    record_key_make(&key, RECORD_GRANT, RECORD_NO_SLOT, id);
    if (!idempotency_find(account_idempotency(view->account), record_key_bytes(&key), view->now_us, &entry))
        return false;
    struct cursor cursor = cursor_init(entry.body);
    grant_decode(&cursor, given);
    return cursor_done(&cursor);
}

/* ---- giving ---------------------------------------------------------------------------------------------- */

/* The content that a repeated command is compared by. */
static struct grant content_of(const struct grant_request *request, uint32_t slot)
{
    const struct moment *expires = &request->expires;
    struct grant grant = {.slot = slot,
                          .amount = request->amount,
                          .balance = request->amount,
                          .priority = request->priority,
                          .every = request->every,
                          .expires_us = INSTANT_MAX_US};
    grant.flags = (uint8_t)((request->promo ? GRANT_PROMO : 0) | (request->once ? GRANT_ONCE : 0));
    if (request->effective_us != NOT_REQUESTED) grant.given_effective_us = max_i64(request->effective_us, 1);
    switch (expires->kind) {
    case MOMENT_NONE: break;
    case MOMENT_INSTANT: grant.expiry = GRANT_EXPIRES_AT, grant.expiry_value = expires->at_us; break;
    case MOMENT_DURATION: grant.expiry = GRANT_EXPIRES_AFTER, grant.expiry_value = expires->after_us; break;
    case MOMENT_PERIOD:
        grant.expiry = GRANT_EXPIRES_PERIOD;
        grant.expiry_value = (int64_t)period_code(&expires->period);
        break;
    case MOMENT_CYCLE: grant.expiry = GRANT_EXPIRES_CYCLE; break;
    }
    return grant;
}

/* When it begins, recurs and ends. */
static enum account_fault find_times(const struct account_view *account, const struct resource_view *view,
                                     const struct grant_request *request, struct grant *grant)
{
    struct period period;
    const struct zone *zone = account_view_zone(account);
    int64_t now_us = account->now_us;
    if (!zone) return ACCOUNT_FAULT_ZONE;
    grant->created_us = now_us;
    grant->effective_us = grant->given_effective_us > 0 ? grant->given_effective_us : now_us;
    if (request->expires.kind == MOMENT_CYCLE) {
        int64_t length_us = 0;
        grant->expires_us = resource_view_longest_end(view, &length_us);
        if (grant->expires_us < 0) return ACCOUNT_FAULT_NO_CYCLE;
    } else if (request->expires.kind != MOMENT_NONE) {
        grant->expires_us = moment_instant_us(&request->expires, zone, grant->effective_us);
    }
    if (grant->expires_us <= max_i64(grant->effective_us, now_us)) return ACCOUNT_FAULT_PAST;
    grant->since_us = grant->effective_us;
    if (grant->every == 0 || !period_from_code(grant->every, &period)) return ACCOUNT_FAULT_NONE;
    int64_t at_us = max_i64(grant->effective_us, now_us);
    struct cycle cycle = period_cycle_at(&period, zone, grant->effective_us, at_us);
    grant->since_us = max_i64(cycle.start_us, 1);
    grant->recurs_us = cycle.end_us < grant->expires_us ? cycle.end_us : 0;
    return ACCOUNT_FAULT_NONE;
}

bool grant_is_known(struct account_view *account, struct bytes id)
{
    struct grant given;
    return grant_find_given(account, id, &given);
}

uint32_t grants_live(const struct account_view *account, const struct resource_view *view)
{
    uint32_t live = 0;
    for (uint32_t i = 0; view->credits && i < view->credits->count; i++) live += credits_live(account, view, i);
    return live;
}

/* Is there room for one more? What has ended does not count. */
static enum account_fault bounds_fault(const struct account_view *account, const struct resource_view *view,
                                       const struct grant *grant, struct account_decision *decision)
{
    const struct grants *grants = account_grants(account->account);
    uint32_t live = grants_live(account, view);
    decision->fault_limit = live;
    if (live >= GRANTS_LIVE_MAX) return ACCOUNT_FAULT_GRANTS;
    if ((grant->flags & GRANT_ONCE) && grants->once_count >= GRANTS_ONCE_MAX) return ACCOUNT_FAULT_GRANTS_ONCE;
    return account_view_has_room(account) ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_RECORDS;
}

static enum account_fault give(struct account_view *account, struct resource_view *view,
                               const struct grant_request *request, const struct admin_action *action,
                               struct account_decision *decision)
{
    struct grant grant = content_of(request, 0);
    enum account_fault fault = find_times(account, view, request, &grant);
    if (fault == ACCOUNT_FAULT_PAST) decision->fault_text = "expires";
    if (fault == ACCOUNT_FAULT_NONE) fault = bounds_fault(account, view, &grant, decision);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    int64_t absorbed = 0, left = view->credits_left;
    if (grant.effective_us <= account->now_us) {
        grant.flags |= GRANT_BEGUN;
        absorbed = credits_absorb(view, grant.amount);
        grant.balance -= absorbed;
        if (absorbed > 0) grant.used_us = account->now_us;
        billing_credit(account, view, account->now_us, absorbed);
        left = add_clamped(left, grant.balance);
    }
    fault = emit_resource(account, view, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    grant.slot = (uint32_t)view->index;
    grant.number = account_grants(account->account)->made + 1;
    grant.kept_us = min_i64(account->host->kept_us, DURATION_MAX_US);
    grant.replied_credits = decision->result.granted.credits = left;
    grant.replied_absorbed = decision->result.granted.absorbed = absorbed;
    struct change change = {.kind = CHANGE_GRANT, .bytes = request->id, .grant = grant};
    change_encode(&change, &decision->changes);
    decision->adds_record = true;
    operate_audit(account, AUDIT_GRANT, view->index, grant.amount, action, decision);
    return ACCOUNT_FAULT_NONE;
}

static enum account_fault grant(struct account_view *account, const struct grant_request *request,
                                const struct admin_action *action, struct account_decision *decision)
{
    struct resource_view view;
    struct grant given;
    decision->fault_subject = request->id;
    if (grant_find_given(account, request->id, &given)) {
        int32_t slot = account_slot(account->account, request->resource);
        struct grant content = content_of(request, (uint32_t)slot);
        if (slot < 0 || !same_content(&content, &given)) return ACCOUNT_FAULT_CONFLICT;
        decision->replayed = true;
        decision->result.granted.credits = given.replied_credits;
        decision->result.granted.absorbed = given.replied_absorbed;
        return ACCOUNT_FAULT_NONE;
    }
    decision->fault_subject = request->resource;
    enum account_fault fault =
        emit_account(account, (struct resource_names){&request->resource, 1}, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    const struct stored_grant *before =
        grants_find(account_grants(account->account), request->id, linear_hash(request->id));
    bool elsewhere = before && (int32_t)before->grant.slot != account_slot(account->account, request->resource);
    bool is_written = account->changes_count > 0; /* with all others, where the account has moved to another plan */
    if (elsewhere && !is_written) (void)is_forgotten(account, before, &decision->changes);
    resource_view_begin(account, request->resource, &view);
    fault = resource_view_settle(account, &view, &decision->changes);
    if (fault == ACCOUNT_FAULT_NONE && !view.entitlement) fault = ACCOUNT_FAULT_RESOURCE;
    if (fault == ACCOUNT_FAULT_NONE && view.entitlement->as.size > 0) fault = ACCOUNT_FAULT_COUNTED_AS;
    return fault == ACCOUNT_FAULT_NONE ? give(account, &view, request, action, decision) : fault;
}

void grant_decide(const struct account *account, const struct account_host *host, const struct grant_request *request,
                  const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    if (fault == ACCOUNT_FAULT_NONE && !view.plan) fault = ACCOUNT_FAULT_EXPIRED;
    if (fault == ACCOUNT_FAULT_NONE) fault = grant(&view, request, action, decision);
    operate_finish(&view, decision, fault);
}

/* ---- voiding --------------------------------------------------------------------------------------------- */

static enum account_fault end_grant(struct account_view *account, const struct stored_grant *stored,
                                    const struct admin_action *action, struct account_decision *decision)
{
    struct resource_view view;
    struct bytes resource = interned_string_bytes(account->account->slots[stored->grant.slot].resource);
    enum account_fault fault = emit_account(account, (struct resource_names){&resource, 1}, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    resource_view_begin(account, resource, &view);
    fault = resource_view_settle(account, &view, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (!credits_live(account, &view, stored->place)) {
        decision->changes.size = 0; /* it has ended already: nothing is taken out, and nothing is written */
        return ACCOUNT_FAULT_NONE;
    }
    bool begun = view.grants ? view.grants[stored->place].begun : stored->grant.flags & GRANT_BEGUN;
    decision->result.voided = begun ? credits_free(account, &view, stored->place) : stored->grant.balance;
    fault = emit_resource(account, &view, &decision->changes);
    struct change change = {.kind = CHANGE_GRANT_VOIDED, .number = stored->grant.number};
    change_encode(&change, &decision->changes);
    operate_audit(account, AUDIT_VOID, view.index, decision->result.voided, action, decision);
    return fault;
}

void void_decide(const struct account *account, const struct account_host *host, struct bytes id,
                 const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    struct grant given;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    decision->fault_subject = id;
    decision->result.voided = 0;
    if (fault == ACCOUNT_FAULT_NONE && !grant_find_given(&view, id, &given)) fault = ACCOUNT_FAULT_NO_SUCH_ID;
    if (fault == ACCOUNT_FAULT_NONE) {
        const struct stored_grant *stored = grants_find(account_grants(account), id, linear_hash(id));
        if (stored) fault = end_grant(&view, stored, action, decision);
    }
    operate_finish(&view, decision, fault);
}

/* ---- looking --------------------------------------------------------------------------------------------- */

static void report(const struct account_view *account, const struct resource_view *view,
                   const struct stored_grant *stored, struct grant_report *report)
{
    const struct grant *grant = &stored->grant;
    bool begun = view->grants ? view->grants[stored->place].begun : grant->flags & GRANT_BEGUN;
    int64_t recurs_us = view->grants ? view->grants[stored->place].recurs_us : grant->recurs_us;
    bool lives = credits_live(account, view, stored->place);
    report->stored = stored;
    report->resource = view->resource;
    report->state = grant->flags & GRANT_VOID ? GRANT_STATE_VOID
                    : !lives                  ? GRANT_STATE_ENDED
                    : begun                   ? GRANT_STATE_ACTIVE
                                              : GRANT_STATE_PENDING;
    report->left = begun ? credits_free(account, view, stored->place) : grant->balance;
    report->held = account_grant_held(account->account, stored, account->now_us);
    report->next_us = !lives ? 0 : begun ? recurs_us : grant->effective_us;
}

uint32_t grants_report(const struct account_view *view, struct bytes resource, int64_t after, uint32_t most,
                       struct grant_report *reports, bool *more)
{
    const struct grants *grants = account_grants(view->account);
    struct resource_view *settled[ACCOUNT_SLOTS_MAX] = {NULL}; /* each resource is brought to now once */
    uint32_t count = 0;
    *more = false;
    for (uint32_t i = 0; i < grants->count; i++) {
        const struct stored_grant *stored = grants->by_number[i];
        struct bytes name = interned_string_bytes(view->account->slots[stored->grant.slot].resource);
        if (stored->grant.number <= after || (resource.size > 0 && !bytes_equal(name, resource))) continue;
        if (count == most) {
            *more = true;
            break;
        }
        struct resource_view **of = &settled[stored->grant.slot];
        if (!*of) {
            *of = arena_alloc(view->arena, sizeof(**of));
            resource_view_begin(view, name, *of);
            if (resource_view_settle(view, *of, NULL) != ACCOUNT_FAULT_NONE) break;
        }
        report(view, *of, stored, &reports[count]);
        bool awaits_sweep = reports[count].state >= GRANT_STATE_ENDED && reports[count].held == 0;
        if (!awaits_sweep) count++;
    }
    return count;
}

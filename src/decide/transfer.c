/* Moves credits between accounts; see transfer.h. */
#include "quota/decide/transfer.h"
#include "quota/base/checked.h"
#include "quota/decide/grant.h"
#include "quota/view/billing.h"
#include "quota/view/credits_view.h"

/* One side of a transfer. */
struct side {
    struct account_view account;
    struct resource_view view;
    struct account_decision *decision;
};

/* ---- ids ------------------------------------------------------------------------------------------------- */

static bool replay(const struct side *source, const struct transfer_request *request)
{
    struct record_key key;
    struct idempotency_entry entry;
    struct record_transfer record;
    struct account_decision *decision = source->decision;
    record_key_make(&key, RECORD_TRANSFER, (uint32_t)source->view.index, request->id);
    const struct idempotency_store *store = account_idempotency(source->account.account);
    if (!idempotency_find(store, record_key_bytes(&key), source->account.now_us, &entry)) return false;
    if (!record_transfer_decode(entry.body, &record)) return false;
    bool same = record.amount == request->amount && bytes_equal(record.target, request->target);
    if (!same) {
        account_decision_fail(decision, ACCOUNT_FAULT_CONFLICT, request->id);
        return true;
    }
    decision->replayed = true;
    decision->result.transferred.moved = record.amount;
    decision->result.transferred.source = record.source_credits;
    decision->result.transferred.target = record.target_credits;
    return true;
}

static void remember(struct side *source, const struct transfer_request *request)
{
    struct record_key key;
    struct sink body = {0};
    const struct account_decision *decision = source->decision;
    struct record_transfer record = {.amount = request->amount,
                                     .target = request->target,
                                     .source_credits = decision->result.transferred.source,
                                     .target_credits = decision->result.transferred.target};
    record_transfer_encode(&record, &body);
    record_key_make(&key, RECORD_TRANSFER, (uint32_t)source->view.index, request->id);
    struct change change = {.kind = CHANGE_RECORD,
                            .bytes = record_key_bytes(&key),
                            .body = sink_content(&body),
                            .expires_us =
                                min_i64(source->account.now_us + source->account.host->kept_us, INSTANT_MAX_US)};
    change_encode(&change, &source->decision->changes);
    source->decision->adds_record = true;
    sink_free(&body);
}

/* ---- lots ------------------------------------------------------------------------------------------------ */

/* What of grant number `index` may go. */
static int64_t movable(const struct side *source, uint32_t index)
{
    const struct grant *grant = &source->view.credits->order[index]->grant;
    return grant->flags & GRANT_PROMO ? 0 : credits_free(&source->account, &source->view, index);
}

static uint32_t lots_count(const struct side *source, int64_t amount)
{
    uint32_t lots = 0;
    for (uint32_t i = 0; amount > 0 && source->view.credits && i < source->view.credits->count; i++) {
        int64_t units = movable(source, i);
        amount -= min_i64(units, amount);
        lots += units > 0;
    }
    return amount > 0 ? 0 : lots;
}

/* The grant that a lot becomes: of the priority and expiry of the one that it comes from. */
static struct grant lot_of(const struct side *source, const struct side *target, uint32_t index, int64_t units)
{
    const struct grant *from = &source->view.credits->order[index]->grant;
    int64_t recurs_us = source->view.grants ? source->view.grants[index].recurs_us : from->recurs_us;
    int64_t now_us = target->account.now_us;
    struct grant grant = {.slot = (uint32_t)target->view.index,
                          .priority = from->priority,
                          .flags = GRANT_BEGUN,
                          .amount = units,
                          .balance = units,
                          .created_us = now_us,
                          .effective_us = now_us,
                          .since_us = now_us,
                          .expires_us = recurs_us > 0 ? min_i64(recurs_us, from->expires_us) : from->expires_us,
                          .kept_us = min_i64(target->account.host->kept_us, DURATION_MAX_US)};
    if (grant.expires_us < INSTANT_MAX_US) grant.expiry = GRANT_EXPIRES_AT, grant.expiry_value = grant.expires_us;
    return grant;
}

/* `<id>/<lot>`. */
static struct bytes lot_id(const struct transfer_request *request, uint32_t lot, struct sink *id)
{
    sink_raw(id, request->id.data, request->id.size);
    sink_byte(id, '/');
    sink_decimal(id, lot);
    return sink_content(id);
}

/* Gives one lot, which first pays for what is over; answers what of it is left. */
static int64_t give_lot(struct side *target, const struct transfer_request *request, uint32_t lot, struct grant *grant,
                        struct sink *lots)
{
    char stack_buffer[64];
    struct sink id = sink_init(stack_buffer, sizeof(stack_buffer));
    grant->number = account_grants(target->account.account)->made + 1 + lot;
    grant->replied_absorbed = credits_absorb(&target->view, grant->amount);
    grant->balance -= grant->replied_absorbed;
    billing_credit(&target->account, &target->view, target->account.now_us, grant->replied_absorbed);
    grant->replied_credits = grant->balance;
    if (grant->replied_absorbed > 0) grant->used_us = target->account.now_us;
    struct change change = {.kind = CHANGE_GRANT, .bytes = lot_id(request, lot, &id), .grant = *grant};
    change_encode(&change, lots);
    sink_free(&id);
    return grant->balance;
}

/* Takes the lots out of the source's grants, and gives them to the target. What they pay for changes the target's
 * windows, which are written down in front of them. */
static enum account_fault move_lots(struct side *source, struct side *target, const struct transfer_request *request)
{
    int64_t missing = request->amount, credits = target->view.credits_left;
    struct sink lots = {0}, *changes = &target->decision->changes;
    uint32_t lot = 0;
    enum account_fault fault = emit_slot(&target->account, &target->view, changes);
    for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && missing > 0 && i < source->view.credits->count; i++) {
        int64_t units = min_i64(movable(source, i), missing);
        if (units == 0) continue;
        missing -= units;
        struct grant grant = lot_of(source, target, i, units);
        credits = add_clamped(credits, give_lot(target, request, lot++, &grant, &lots));
        credits_take(&source->view, i, units, &source->decision->changes);
    }
    if (fault == ACCOUNT_FAULT_NONE) fault = emit_resource(&target->account, &target->view, changes);
    sink_raw(changes, lots.data, lots.size);
    sink_free(&lots);
    target->decision->adds_record = true;
    source->decision->result.transferred.target = credits;
    return fault;
}

/* ---- TRANSFERS MAX --------------------------------------------------------------------------------------- */

/* When the running cycle of the longest LIMIT began; 0 = there is none that ends: then all that was ever given counts.
 */
static int64_t cycle_start_us(const struct resource_view *view)
{
    const struct window *longest = resource_view_longest(view);
    return longest && longest->end_us < INSTANT_MAX_US ? max_i64(longest->start_us, 0) : 0;
}

/* Counts what the source gives away in its cycle, where the plan bounds that. */
static enum account_fault count_transferred(struct side *source, int64_t amount)
{
    const struct slot_optional *optional = source->view.stored ? source->view.stored->optional : NULL;
    int64_t most = source->view.entitlement->transfers_max, start_us = cycle_start_us(&source->view), given = 0;
    if (most < 0) return ACCOUNT_FAULT_NONE;
    if (optional && optional->transferred_since_us == start_us) given = optional->transferred;
    source->decision->fault_limit = most;
    if (!add_checked(given, amount, &given) || given > most) return ACCOUNT_FAULT_TRANSFERS;
    struct change change = {
        .kind = CHANGE_TRANSFERRED, .slot = (uint32_t)source->view.index, .amount = given, .until_us = start_us};
    change_encode(&change, &source->decision->changes);
    return ACCOUNT_FAULT_NONE;
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

static enum account_fault settle(struct side *side, struct bytes resource)
{
    struct account_decision *decision = side->decision;
    decision->fault_subject = resource;
    if (!side->account.plan) return ACCOUNT_FAULT_EXPIRED;
    enum account_fault fault = emit_account(&side->account, (struct resource_names){&resource, 1}, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    resource_view_begin(&side->account, resource, &side->view);
    fault = resource_view_settle(&side->account, &side->view, &decision->changes);
    if (fault == ACCOUNT_FAULT_NONE && !side->view.entitlement) fault = ACCOUNT_FAULT_RESOURCE;
    if (fault == ACCOUNT_FAULT_NONE && side->view.entitlement->as.size > 0) fault = ACCOUNT_FAULT_COUNTED_AS;
    return fault;
}

/* Is there room at the target for so many lots, and are their ids free? */
static enum account_fault target_fault(struct side *target, const struct transfer_request *request, uint32_t lots)
{
    char stack_buffer[64];
    uint32_t live = grants_live(&target->account, &target->view);
    target->decision->fault_limit = live;
    if (live + lots > GRANTS_LIVE_MAX) return ACCOUNT_FAULT_GRANTS;
    if (!account_view_has_room(&target->account)) return ACCOUNT_FAULT_RECORDS;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t lot = 0; fault == ACCOUNT_FAULT_NONE && lot < lots; lot++) {
        struct sink id = sink_init(stack_buffer, sizeof(stack_buffer));
        target->decision->fault_subject = request->id;
        if (grant_is_known(&target->account, lot_id(request, lot, &id))) fault = ACCOUNT_FAULT_CONFLICT;
        sink_free(&id);
    }
    return fault;
}

/* Both sides are settled, and enough is there. */
static void move(struct side *source, struct side *target, const struct transfer_request *request,
                 const struct admin_action *action, uint32_t lots)
{
    enum account_fault fault = account_view_has_room(&source->account) ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_RECORDS;
    if (fault == ACCOUNT_FAULT_NONE) {
        fault = emit_resource(&source->account, &source->view, &source->decision->changes);
    }
    if (fault == ACCOUNT_FAULT_NONE) fault = count_transferred(source, request->amount);
    if (fault != ACCOUNT_FAULT_NONE) {
        account_decision_fail(source->decision, fault, source->decision->fault_subject);
        return;
    }
    fault = target_fault(target, request, lots);
    if (fault == ACCOUNT_FAULT_NONE) fault = move_lots(source, target, request);
    if (fault != ACCOUNT_FAULT_NONE) {
        account_decision_fail(target->decision, fault, target->decision->fault_subject);
        return;
    }
    source->decision->result.transferred.moved = request->amount;
    source->decision->result.transferred.source = source->view.credits_left - request->amount;
    remember(source, request);
    operate_audit(&source->account, AUDIT_TRANSFER, source->view.index, request->amount, action, source->decision);
    operate_audit(&target->account, AUDIT_TRANSFER, target->view.index, request->amount, action, target->decision);
}

static void transfer(struct side *source, struct side *target, const struct transfer_request *request,
                     const struct admin_action *action)
{
    enum account_fault fault = settle(source, request->resource);
    if (fault != ACCOUNT_FAULT_NONE) {
        account_decision_fail(source->decision, fault, request->resource);
        return;
    }
    if (source->view.index >= 0 && replay(source, request)) return;
    fault = settle(target, request->resource);
    if (fault != ACCOUNT_FAULT_NONE) {
        account_decision_fail(target->decision, fault, request->resource);
        return;
    }
    uint32_t lots = lots_count(source, request->amount);
    if (lots > 0) {
        move(source, target, request, action, lots);
        return;
    }
    source->decision->result.transferred.moved = 0;
    source->decision->result.transferred.source = source->view.credits_left;
    source->decision->result.transferred.target = target->view.credits_left;
}

void transfer_decide(const struct account *source, const struct account *target, const struct account_host *host,
                     const struct transfer_request *request, const struct admin_action *action,
                     struct account_decision *from, struct account_decision *to)
{
    struct side sides[2];
    sides[0].decision = from;
    sides[1].decision = to;
    enum account_fault fault = operate_begin(&sides[0].account, source, host, action, from);
    enum account_fault target_fault = operate_begin(&sides[1].account, target, host, action, to);
    if (fault != ACCOUNT_FAULT_NONE) {
        account_decision_fail(from, fault, request->resource);
    } else if (target_fault != ACCOUNT_FAULT_NONE) {
        account_decision_fail(to, target_fault, request->resource);
    } else {
        transfer(&sides[0], &sides[1], request, action);
    }
    bool moves = from->fault == ACCOUNT_FAULT_NONE && to->fault == ACCOUNT_FAULT_NONE && !from->replayed &&
                 from->result.transferred.moved > 0;
    if (!moves) from->changes.size = to->changes.size = 0;
    account_view_end(&sides[0].account);
    account_view_end(&sides[1].account);
}

/* Finds out what became of a reservation; see reservation.h. */
#include "quota/decide/reservation.h"

enum account_fault reservation_fault(enum hold_outcome outcome)
{
    switch (outcome) {
    case HOLD_COMMITTED: return ACCOUNT_FAULT_COMMITTED;
    case HOLD_RELEASED: return ACCOUNT_FAULT_RELEASED;
    default: return ACCOUNT_FAULT_RAN_OUT;
    }
}

struct bytes reservation_levels(const struct account *account, struct bytes id, int64_t now_us)
{
    struct record_key key;
    struct idempotency_entry entry;
    const struct stored_hold *stored = account_hold(account, id);
    if (stored) return stored->hold.levels;
    record_key_make(&key, RECORD_HOLD, RECORD_NO_SLOT, id);
    bool found = idempotency_find(account_idempotency(account), record_key_bytes(&key), now_us, &entry);
    return found ? record_hold_levels(entry.body) : (struct bytes){"", 0};
}

bool reservation_find_outcome(const struct account_view *view, struct bytes id, const struct stored_hold *stored,
                              struct record_hold parts[HOLD_PARTS_MAX], uint32_t *count)
{
    struct record_key key;
    struct idempotency_entry entry;
    if (stored) { /* it has ended, and awaits its sweep */
        bool is_known = view->now_us < stored->hold.expires_us + stored->hold.kept_us;
        for (*count = 0; stored; stored = stored->next) {
            const struct hold *hold = &stored->hold;
            parts[(*count)++] = (struct record_hold){.outcome = HOLD_EXPIRED,
                                                     .slot = hold->slot,
                                                     .amount = hold->amount,
                                                     .cost = hold->units / hold->amount,
                                                     .made_us = hold->made_us,
                                                     .item = hold->item};
        }
        return is_known;
    }
    record_key_make(&key, RECORD_HOLD, RECORD_NO_SLOT, id);
    return idempotency_find(account_idempotency(view->account), record_key_bytes(&key), view->now_us, &entry) &&
           record_hold_decode(entry.body, parts, count);
}

enum account_fault reservation_emit_extended(struct account_view *view, enum change_kind kind, struct bytes id,
                                             int64_t expires_us, struct sink *changes)
{
    struct change change = {.kind = kind, .bytes = id, .expires_us = expires_us};
    enum account_fault fault = emit_account(view, NO_RESOURCES, changes);
    if (fault == ACCOUNT_FAULT_NONE) change_encode(&change, changes);
    return fault;
}

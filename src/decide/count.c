/* Counts units in place; see count.h. */
#include "quota/decide/count.h"
#include "quota/base/checked.h"

/* Does nothing but its state and its plan decide about the account, and do these hold since it was written down? */
static bool is_plain_account(const struct account *account, const struct account_host *host, int64_t now_us)
{
    const struct account_optional *optional = account->optional;
    if (account->state != ACCOUNT_ACTIVE || account->anchor_us > now_us) return false;
    if (!account_plan_is_current(account, host, now_us)) return false;
    if (!optional) return true;
    bool expired = optional->expires_us > 0 && optional->expires_us <= now_us;
    bool moves = optional->next && optional->next_us <= now_us;
    return !expired && !moves && optional->grants.count == 0;
}

static bool is_plain_slot(const struct slot *slot)
{
    const struct slot_optional *optional = slot->optional;
    return !optional || (!optional->override && optional->holds_count == 0);
}

/* Is it a running cycle that keeps its count and nothing else, with room for so many units? */
static bool has_room(const struct stored_window *window, int64_t units, int64_t now_us)
{
    bool plain = !window->optional && window->denied_here == 0 && window->limit != ABSENT;
    bool runs = window->start_us <= now_us && now_us < window->end_us;
    int64_t most = window->limit == UNLIMITED ? INT64_MAX : window->limit;
    return plain && runs && window->used <= most - units;
}

/* The cycle of a LIMIT; NULL = it is not stored. Most have few, and in the order of the rules or close to it. */
static const struct stored_window *find_window(const struct slot *slot, const struct quota_rule *rule)
{
    uint64_t code = quota_rule_code(rule);
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        if (slot->windows[i].period == code) return &slot->windows[i];
    }
    return NULL;
}

/* Puts the cycle of one LIMIT into the verdict; false where it is not mere counting. */
static bool count_rule(const struct slot *slot, const struct entitlement *entitlement, uint32_t number, int64_t units,
                       int64_t now_us, struct verdict *verdict)
{
    const struct stored_window *window = find_window(slot, &entitlement->rules[number]);
    if (!window || !has_room(window, units, now_us)) return false;
    int64_t used = window->used + units, limit = window->limit;
    int64_t remaining = limit == UNLIMITED ? UNLIMITED : limit - used;
    bool warns = entitlement->warnings_count > 0 && warning_reached(entitlement, used, limit) > window->warned_bp;
    if (warns) return false;
    if (number > 0 && !amount_is_smaller(remaining, verdict->remaining)) return true;
    verdict->limit = limit;
    verdict->remaining = remaining;
    verdict->reset_us = window->end_us == INT64_MAX ? NEVER_US : window->end_us - now_us;
    verdict->rule = (int32_t)number;
    return true;
}

/* Changes stand in the order of the stored cycles, as those of a view do (changeset.h). */
static void emit_counts(const struct slot *slot, uint32_t number, int64_t units, struct sink *changes)
{
    struct change change; /* what its kind does not name means nothing; there is much of it */
    change.kind = CHANGE_USED;
    change.slot = number;
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        change.period = slot->windows[i].period;
        change.amount = change.peak = slot->windows[i].used + units;
        change_encode(&change, changes);
    }
}

bool count_decide(const struct account *account, const struct account_host *host, const struct consume_item *item,
                  int64_t now_us, struct account_decision *decision, struct counted *counted)
{
    if (!account || !is_plain_account(account, host, now_us)) return false;
    int32_t number = account_slot(account, item->resource);
    if (number < 0 || !is_plain_slot(&account->slots[number])) return false;
    const struct slot *slot = &account->slots[number];
    const struct plan_entry *entry = plan_find(account->plan, item->resource);
    if (!entry || !entry->only_counts || slot->windows_count != entry->entitlement.rules_count) return false;
    const struct entitlement *entitlement = &entry->entitlement;
    struct verdict *verdict = &decision->result.consumed.verdicts[0];
    *verdict = (struct verdict){.granted = item->amount};
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        if (!count_rule(slot, entitlement, i, item->amount, now_us, verdict)) return false;
    }
    emit_counts(slot, (uint32_t)number, item->amount, &decision->changes);
    decision->result.consumed.count = 1;
    decision->result.consumed.funded[0] = 0;
    *counted = (struct counted){(uint32_t)number, entitlement};
    return true;
}

/* Events of credits; see event_credits.h. */
#include "quota/account/event_credits.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"

/* ---- credits that become few ------------------------------------------------------------------------------------- */

/* Reservations that have ended, and that no change has swept yet, hold nothing: what they hold of each grant of a
 * resource, by its place, is added to `ended`. */
static void add_ended(const struct account *account, const struct hold *hold, int64_t *ended)
{
    struct cursor cursor = cursor_init(hold->funding);
    struct funding_part part;
    while (funding_next(&cursor, &part)) {
        const struct stored_grant *stored = grants_numbered(account_grants(account), part.grant);
        bool holds = stored && hold->made_us >= stored->grant.since_us; /* else the limits, or another recurrence */
        if (holds) ended[stored->place] = add_clamped(ended[stored->place], part.units);
    }
}

static bool has_ended(const struct holds *holds, uint32_t nth, int64_t at_us)
{
    return nth < holds->count && holds->by_expiry[nth]->hold.expires_us <= at_us;
}

/* A grant as time alone has made it by then: it has begun, is set back where it recurs, or has ended. */
static void add_grant(const struct stored_grant *stored, int64_t ended, int64_t at_us, struct credits_sum *sum)
{
    const struct grant *grant = &stored->grant;
    bool begun = (grant->flags & GRANT_BEGUN) || grant->effective_us <= at_us;
    bool recurs = grant->recurs_us > 0 && grant->recurs_us <= at_us;
    if (!begun || at_us >= grant_ends_us(grant)) return;
    sum->amount += grant->amount;
    sum->free += recurs ? grant->amount : max_i64(grant->balance - stored->held + ended, 0);
}

/* The sum of the grants, of which reservations that have ended hold nothing. */
static struct credits_sum sum_without_ended(const struct account *account, const struct credits *credits, uint32_t slot,
                                            int64_t at_us)
{
    const struct holds *holds = account_holds(account);
    struct credits_sum sum = {0, 0};
    int64_t *ended = memory_alloc(credits->count * sizeof(*ended));
    memset(ended, 0, credits->count * sizeof(*ended));
    for (uint32_t i = 0; has_ended(holds, i, at_us); i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (hold->slot == slot) add_ended(account, hold, ended);
    }
    for (uint32_t i = 0; i < credits->count; i++) add_grant(credits->order[i], ended[i], at_us, &sum);
    memory_free(ended);
    return sum;
}

static struct credits_sum sum_of(const struct account *account, uint32_t slot, int64_t at_us)
{
    const struct credits *credits = grants_of(account_grants(account), slot);
    struct credits_sum sum = {0, 0};
    if (!credits || credits->count == 0) return sum;
    if (has_ended(account_holds(account), 0, at_us)) return sum_without_ended(account, credits, slot, at_us);
    if (credits->as_of_us <= at_us && at_us < credits->next_us)
        return (struct credits_sum){credits->amount, credits->free};
    for (uint32_t i = 0; i < credits->count; i++) add_grant(credits->order[i], 0, at_us, &sum);
    return sum;
}

/* The run touches credits of this resource: as they are before it does so for the first time, if few of them would be
 * an event. Grants that have begun or recurred since the last change, and what ended reservations give back, are there
 * before the run spends them; grants that have ended are gone. */
void event_watch_credits(struct event_maker *maker, const struct account *account, uint32_t slot)
{
    struct entitlement merged;
    for (uint32_t i = 0; i < maker->watched_count; i++) {
        if (maker->watched[i].slot == slot) return;
    }
    if (maker->watched_count == CREDITS_WATCHED) return;
    const struct entitlement *entitlement = event_entitlement(account, &account->slots[slot], &merged);
    if (!entitlement || (entitlement->credits_low < 0 && entitlement->warnings_count == 0)) return;
    struct credits_sum before = sum_of(account, slot, maker->before_us);
    struct credits_sum now = sum_of(account, slot, max_i64(maker->run->applied_at_us, maker->before_us));
    maker->watched[maker->watched_count].slot = slot;
    maker->watched[maker->watched_count++].before = now.free > before.free ? now : before;
}

/* Has so much of them been used? */
static bool is_used(const struct credits_sum *sum, int64_t threshold_bp)
{
    return sum->amount > 0 && (sum->amount - sum->free) * BP_WHOLE >= (wide)threshold_bp * sum->amount;
}

static struct logged_event event_of_credits(const struct event_maker *maker, const struct account *account,
                                            enum event_type type, uint32_t slot, const struct credits_sum *sum)
{
    struct logged_event event = event_now(maker, account, type);
    event_set_resource(&event, account, slot);
    event_set_number(&event, EVENT_LIMIT, wide_clamp(sum->amount, 0, INT64_MAX));
    event_set_number(&event, EVENT_USED, wide_clamp(sum->amount - sum->free, 0, INT64_MAX));
    event_set_number(&event, EVENT_REMAINING, wide_clamp(sum->free, 0, INT64_MAX));
    return event;
}

void event_compare_credits(struct event_maker *maker, const struct account *account, uint32_t slot,
                           const struct credits_sum *before)
{
    struct entitlement merged;
    struct credits_sum after = sum_of(account, slot, account->applied_at_us);
    const struct entitlement *entitlement = event_entitlement(account, &account->slots[slot], &merged);
    if (!entitlement || after.free >= before->free) return;
    for (uint32_t i = 0; i < entitlement->warnings_count; i++) {
        int64_t threshold_bp = entitlement->warnings_bp[i];
        if (is_used(before, threshold_bp) || !is_used(&after, threshold_bp)) continue;
        struct logged_event event = event_of_credits(maker, account, LOGGED_LIMIT_WARNED, slot, &after);
        event_set_number(&event, EVENT_RULE, entitlement->rules_count); /* behind the plan's */
        event_set_number(&event, EVENT_PERCENT, threshold_bp);
        event_sink_add(maker->sink, &event);
    }
    int64_t low = entitlement->credits_low;
    if (low < 0 || before->free <= low || after.free > low) return;
    struct logged_event event = event_of_credits(maker, account, LOGGED_CREDITS_LOW, slot, &after);
    event_sink_add(maker->sink, &event);
}

/* A reservation holds units of grants, or no more. */
void event_note_hold(struct event_maker *maker, const struct account *account, const struct change *change)
{
    if (change->hold.funding.size > 0) event_watch_credits(maker, account, change->hold.slot);
}

void event_note_resolved(struct event_maker *maker, const struct account *account, const struct change *change)
{
    if (account_grants(account)->count == 0) return; /* none of them holds any */
    const struct stored_hold *part = account_hold(account, change->bytes);
    for (; part; part = part->next) {
        if (part->hold.funding.size > 0) event_watch_credits(maker, account, part->hold.slot);
    }
}

/* ---- grants ------------------------------------------------------------------------------------------------------ */

static struct logged_event event_of_grant(const struct event_maker *maker, const struct account *account,
                                          enum event_type type, uint32_t slot, struct bytes id)
{
    struct logged_event event = event_now(maker, account, type);
    event_set_resource(&event, account, slot);
    event_set_text(&event, EVENT_ID, id);
    return event;
}

static void add_absorbed(struct event_maker *maker, const struct account *account, uint32_t slot, struct bytes id,
                         int64_t units)
{
    struct logged_event event = event_of_grant(maker, account, LOGGED_GRANT_ABSORBED, slot, id);
    event_set_number(&event, EVENT_AMOUNT, units);
    event_sink_add(maker->sink, &event);
}

static void add_exhausted(struct event_maker *maker, const struct account *account, uint32_t slot, struct bytes id)
{
    struct logged_event event = event_of_grant(maker, account, LOGGED_GRANT_EXHAUSTED, slot, id);
    event_sink_add(maker->sink, &event);
}

void event_note_grant(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    const struct grant *grant = &change->grant;
    event_watch_credits(maker, account, grant->slot);
    struct logged_event event = event_of_grant(maker, account, LOGGED_GRANT_GIVEN, grant->slot, change->bytes);
    event_set_number(&event, EVENT_AMOUNT, grant->amount);
    event_set_instant(&event, EVENT_START, grant->effective_us);
    event_set_end(&event, grant->expires_us);
    bool by_operator = event_find_audit(maker, AUDIT_GRANT, &entry) || event_find_audit(maker, AUDIT_TRANSFER, &entry);
    if (by_operator) event_set_operator(&event, &entry);
    event_sink_add(maker->sink, &event);
    if (grant->replied_absorbed == 0) return;
    add_absorbed(maker, account, grant->slot, change->bytes, grant->replied_absorbed);
    if (grant->balance == 0) add_exhausted(maker, account, grant->slot, change->bytes);
}

void event_note_spent(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct stored_grant *stored = grants_numbered(account_grants(account), change->number);
    if (!stored) return;
    event_watch_credits(maker, account, stored->grant.slot);
    event_keep_funded(maker, stored->grant.slot, stored->grant.balance - change->amount);
    bool last = stored->grant.balance > 0 && change->amount == 0;
    if (last) add_exhausted(maker, account, stored->grant.slot, grant_id(stored));
}

/* A grant that begins later absorbs then: its balance is less than what was given. */
void event_note_turned(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct stored_grant *stored = grants_numbered(account_grants(account), change->number);
    if (stored) event_watch_credits(maker, account, stored->grant.slot);
    if (!stored || (stored->grant.flags & GRANT_BEGUN) || change->amount >= stored->grant.amount) return;
    add_absorbed(maker, account, stored->grant.slot, grant_id(stored), stored->grant.amount - change->amount);
    if (change->amount == 0) add_exhausted(maker, account, stored->grant.slot, grant_id(stored));
}

void event_note_voided(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    const struct stored_grant *stored = grants_numbered(account_grants(account), change->number);
    if (!stored) return;
    event_watch_credits(maker, account, stored->grant.slot);
    struct logged_event event =
        event_of_grant(maker, account, LOGGED_GRANT_VOIDED, stored->grant.slot, grant_id(stored));
    if (event_find_audit(maker, AUDIT_VOID, &entry)) {
        event_set_number(&event, EVENT_AMOUNT, entry.amount);
        event_set_operator(&event, &entry);
    }
    event_sink_add(maker->sink, &event);
}

/* A row per kind of change; see event_maker.h. */
#include "quota/account/event_maker.h"
#include "quota/base/checked.h"
#include "quota/rate/sliding_log.h"

#define KEY_DIGITS 8 /* of an API key's digest, as replies show it */

/* ---- the run --------------------------------------------------------------------------------------------- */

/* The first change of this kind in the run. */
static bool find_change(const struct event_maker *maker, enum change_kind kind, struct change *found)
{
    struct cursor cursor = cursor_init(maker->run->changes);
    while (!cursor_done(&cursor) && !cursor.bad) {
        change_decode(&cursor, maker->run->encoding, found);
        if (!cursor.bad && found->kind == kind) return true;
    }
    return false;
}

/* What an operator did in this run: there is at most one entry. */
static bool find_audit(const struct event_maker *maker, enum audit_action act, struct audit_entry *entry)
{
    struct change change;
    bool found = find_change(maker, CHANGE_AUDIT, &change) && change.audit.act == act;
    if (found) *entry = change.audit;
    return found;
}

static struct logged_event event_at(const struct account *account, enum event_type type, int64_t time_us)
{
    struct logged_event event; /* what its fields do not name means nothing */
    event.type = type;
    event.time_us = time_us;
    event.fields = 0;
    if (account && account->plan) event_set_text(&event, EVENT_PLAN, account->plan->name);
    return event;
}

static struct logged_event event_now(const struct event_maker *maker, const struct account *account,
                                     enum event_type type)
{
    return event_at(account, type, max_i64(maker->run->applied_at_us, account ? account->applied_at_us : 0));
}

static void set_resource(struct logged_event *event, const struct account *account, uint32_t slot)
{
    event_set_text(event, EVENT_RESOURCE, interned_string_bytes(account->slots[slot].resource));
}

static void set_instant(struct logged_event *event, enum event_field field, int64_t at_us)
{
    event_set_number(event, field, floor_div(at_us, MICROS_PER_MILLI));
}

static void set_end(struct logged_event *event, int64_t at_us)
{
    if (at_us > 0 && at_us < INSTANT_MAX_US) set_instant(event, EVENT_END, at_us);
}

static void set_operator(struct logged_event *event, const struct audit_entry *entry)
{
    event_set_text(event, EVENT_ACTOR, entry->actor);
    event_set_text(event, EVENT_REASON, entry->reason);
}

/* ---- consumption ------------------------------------------------------------------------------------------- */

static struct consumed *consumed_of(struct event_maker *maker, uint32_t slot)
{
    for (uint32_t i = 0; i < maker->consumed_count; i++) {
        if (maker->consumed[i].slot == slot) return &maker->consumed[i];
    }
    if (maker->consumed_count == CONSUMED_MAX) return NULL;
    struct consumed *consumed = &maker->consumed[maker->consumed_count++];
    *consumed = (struct consumed){.slot = slot};
    return consumed;
}

/* Every limit of a resource counts the same units, so the largest number of them is what they have counted. */
static void keep_limited(struct event_maker *maker, uint32_t slot, int64_t units)
{
    if (!event_maker_watches_all(maker) || units <= 0) return;
    struct consumed *consumed = consumed_of(maker, slot);
    if (consumed) consumed->limited = max_i64(consumed->limited, units);
}

static void keep_funded(struct event_maker *maker, uint32_t slot, int64_t units)
{
    if (!event_maker_watches_all(maker) || units <= 0) return;
    struct consumed *consumed = consumed_of(maker, slot);
    if (consumed) consumed->funded = add_clamped(consumed->funded, units);
}

/* Under which id: of the request, or of the reservation that is posted. */
static struct bytes id_of(const struct event_maker *maker)
{
    static const enum change_kind posted[] = {CHANGE_HOLD_RESOLVED, CHANGE_HOLD_FUNDED, CHANGE_HOLDS_RESOLVED};
    struct change change;
    if (find_change(maker, CHANGE_RECORD, &change)) return record_key_id(change.bytes);
    for (size_t i = 0; i < sizeof(posted) / sizeof(posted[0]); i++) {
        if (find_change(maker, posted[i], &change)) return change.bytes;
    }
    return (struct bytes){"", 0};
}

/* What an operator has written down is no consumption. */
static void add_consumed(struct event_maker *maker, const struct account *account)
{
    struct change other;
    if (maker->consumed_count == 0 || find_change(maker, CHANGE_AUDIT, &other)) return;
    struct bytes id = id_of(maker);
    for (uint32_t i = 0; i < maker->consumed_count; i++) {
        const struct consumed *consumed = &maker->consumed[i];
        struct logged_event event = event_now(maker, account, LOGGED_USAGE_CONSUMED);
        set_resource(&event, account, consumed->slot);
        event_set_number(&event, EVENT_AMOUNT, add_clamped(consumed->limited, consumed->funded));
        event_set_text(&event, EVENT_ID, id);
        event_sink_add(maker->sink, &event);
    }
}

/* ---- limits ---------------------------------------------------------------------------------------------- */

static const struct plan_entry *override_of(const struct slot *slot)
{
    const struct slot_optional *optional = slot->optional;
    if (!optional || !optional->override) return NULL;
    return plan_find(optional->override, interned_string_bytes(slot->resource));
}

/* What the resource is granted: by the plan, and by an override above it; NULL = nothing. */
static const struct entitlement *entitlement_of(const struct account *account, const struct slot *slot,
                                                struct entitlement *merged)
{
    const struct plan_entry *override = override_of(slot);
    const struct entitlement *granted = plan_entitlement(account->plan, interned_string_bytes(slot->resource));
    if (!override) return granted;
    if (override->only) return &override->entitlement;
    entitlement_merge(granted, &override->entitlement, override->options, merged);
    return merged;
}

/* The limit of a window as it counts, an override's included. */
static int64_t limit_of(const struct account *account, const struct slot *slot, struct window *window)
{
    const struct plan_entry *override = override_of(slot);
    const struct quota_rule *rule = override ? entitlement_limit(&override->entitlement, window->period) : NULL;
    window->cover = rule ? window_cover_of(window, rule, account->anchor_us) : NOT_COVERED;
    return window_limit(window);
}

static bool meets(int64_t used_before, int64_t used_after, int64_t limit)
{
    return limit > 0 && used_before < limit && used_after >= limit;
}

bool event_maker_counts(const struct account *account, const struct change *change)
{
    const struct slot *slot = &account->slots[change->slot];
    const struct stored_window *stored = slot_find_window(slot, change->period);
    if (!stored) return false;
    const struct window *optional = stored->optional;
    bool is_plain =
        !optional || (optional->rolled == 0 && optional->debt == 0 && allowance_is_plain(&optional->allowance));
    if (change->amount <= stored->used) return false;
    if (is_plain && (!slot->optional || !slot->optional->override))
        return meets(stored->used, change->amount, stored->limit);
    struct window window = slot_window(slot, (uint32_t)(stored - slot->windows));
    return meets(stored->used, change->amount, limit_of(account, slot, &window));
}

/* A window of a LIMIT that holds, as it will be. */
struct counted {
    const struct entitlement *entitlement;
    const struct quota_rule *rule;
    struct window window;
    int64_t limit, used_before, warned_before_bp;
};

static struct logged_event event_of_limit(const struct event_maker *maker, const struct account *account,
                                          enum event_type type, uint32_t slot, const struct counted *counted)
{
    const struct window *window = &counted->window;
    struct logged_event event = event_now(maker, account, type);
    set_resource(&event, account, slot);
    event_set_number(&event, EVENT_RULE, counted->rule - counted->entitlement->rules);
    event_set_number(&event, EVENT_PERIOD, (int64_t)window->period);
    set_instant(&event, EVENT_START, window->start_us);
    if (window->end_us < INT64_MAX) set_instant(&event, EVENT_END, window->end_us);
    event_set_number(&event, EVENT_LIMIT, counted->limit);
    event_set_number(&event, EVENT_USED, window->used);
    event_set_number(&event, EVENT_REMAINING, max_i64(counted->limit - window->used, 0));
    return event;
}

static void add_warnings(struct event_maker *maker, const struct account *account, uint32_t slot,
                         const struct counted *counted)
{
    const struct entitlement *entitlement = counted->entitlement;
    for (uint32_t i = 0; i < entitlement->warnings_count; i++) {
        int64_t threshold_bp = entitlement->warnings_bp[i];
        if (threshold_bp <= counted->warned_before_bp || threshold_bp > counted->window.warned_bp) continue;
        struct logged_event event = event_of_limit(maker, account, LOGGED_LIMIT_WARNED, slot, counted);
        event_set_number(&event, EVENT_PERCENT, threshold_bp);
        event_sink_add(maker->sink, &event);
    }
}

/* What QUOTA.SET has changed is known by what it is now. */
static void keep_used(struct event_maker *maker, uint32_t slot, int64_t before, int64_t after)
{
    if (before == after) return;
    keep_limited(maker, slot, after - before);
    maker->used_is_known = true;
    maker->used_slot = slot;
    maker->used_before = before;
    maker->used_after = after;
}

/* `known`: without what it is granted, which is looked up here. */
static void add_events_of_limit(struct event_maker *maker, const struct account *account, uint32_t slot,
                                const struct counted *known, bool exhausts)
{
    struct entitlement merged;
    struct counted counted = *known;
    counted.entitlement = entitlement_of(account, &account->slots[slot], &merged);
    counted.rule = counted.entitlement ? entitlement_limit(counted.entitlement, counted.window.period) : NULL;
    if (!counted.rule) return; /* it sleeps */
    add_warnings(maker, account, slot, &counted);
    if (!exhausts) return;
    struct logged_event event = event_of_limit(maker, account, LOGGED_LIMIT_EXHAUSTED, slot, &counted);
    event_sink_add(maker->sink, &event);
}

/* Most windows that are written are far from any event: only what they have counted is looked at. */
static void note_units(struct event_maker *maker, const struct account *account, uint32_t slot, struct counted *counted)
{
    bool warns = counted->window.warned_bp > counted->warned_before_bp;
    counted->limit = limit_of(account, &account->slots[slot], &counted->window);
    bool exhausts = meets(counted->used_before, counted->window.used, counted->limit);
    if (warns || exhausts) add_events_of_limit(maker, account, slot, counted, exhausts);
}

static void note_window(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct window *window = &change->window;
    const struct stored_window *stored = slot_find_window(&account->slots[change->slot], window->period);
    bool goes_on = stored && stored->start_us == window->start_us;
    int64_t used_before = goes_on ? stored->used : 0, warned_before_bp = goes_on ? stored->warned_bp : 0;
    keep_used(maker, change->slot, used_before, window->used);
    if (window->warned_bp <= warned_before_bp && window->used <= used_before) return;
    struct counted counted = {.window = *window, .used_before = used_before, .warned_before_bp = warned_before_bp};
    note_units(maker, account, change->slot, &counted);
}

static void note_used(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct slot *slot = &account->slots[change->slot];
    const struct stored_window *stored = slot_find_window(slot, change->period);
    if (!stored) return; /* accepted changes have it */
    keep_used(maker, change->slot, stored->used, change->amount);
    if (!maker->counts) return;
    struct counted counted = {.window = slot_window(slot, (uint32_t)(stored - slot->windows)),
                              .used_before = stored->used,
                              .warned_before_bp = stored->warned_bp};
    counted.window.used = change->amount;
    note_units(maker, account, change->slot, &counted);
}

/* ---- cycles that have closed ----------------------------------------------------------------------------- */

static struct logged_event event_of_cycle(const struct account *account, enum event_type type, int64_t time_us,
                                          const struct change *change)
{
    const struct slot *slot = &account->slots[change->slot];
    struct entitlement merged;
    struct logged_event event = event_at(account, type, time_us);
    const struct entitlement *entitlement = entitlement_of(account, slot, &merged);
    const struct quota_rule *rule = entitlement ? entitlement_limit(entitlement, change->period) : NULL;
    set_resource(&event, account, change->slot);
    if (rule) event_set_number(&event, EVENT_RULE, rule - entitlement->rules);
    event_set_number(&event, EVENT_PERIOD, (int64_t)change->period);
    set_instant(&event, EVENT_START, change->closed.start_us);
    set_instant(&event, EVENT_END, change->closed.end_us);
    event_set_number(&event, EVENT_USED, change->closed.used);
    return event;
}

static void note_closed(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct closed_cycle *closed = &change->closed;
    bool is_idle = closed->used == 0 && closed->denied == 0 && closed->refunded == 0 && closed->peak == 0;
    if (is_idle || closed->count != 1) return;
    struct logged_event event = event_of_cycle(account, LOGGED_CYCLE_CLOSED, closed->end_us, change);
    event_set_number(&event, EVENT_LIMIT, closed->limit);
    event_sink_add(maker->sink, &event);
}

static void set_amounts(struct logged_event *event, int64_t before, int64_t after, char room[2][24])
{
    struct sink texts[2] = {sink_init(room[0], sizeof(room[0])), sink_init(room[1], sizeof(room[1]))};
    sink_decimal(&texts[0], before);
    sink_decimal(&texts[1], after);
    event_set_text(event, EVENT_BEFORE, sink_content(&texts[0]));
    event_set_text(event, EVENT_AFTER, sink_content(&texts[1]));
}

static void note_amended(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct closed_cycle entry;
    char room[2][24];
    const struct history *history = slot_history(&account->slots[change->slot], change->period);
    if (!history_find(history, change->closed.start_us, &entry) || entry.used == change->closed.used) return;
    keep_limited(maker, change->slot, change->closed.used - entry.used);
    int64_t now_us = max_i64(maker->run->applied_at_us, account->applied_at_us);
    struct logged_event event = event_of_cycle(account, LOGGED_CYCLE_AMENDED, now_us, change);
    event_set_number(&event, EVENT_LIMIT, entry.limit);
    set_amounts(&event, entry.used, change->closed.used, room);
    event_sink_add(maker->sink, &event);
}

/* ---- the account ----------------------------------------------------------------------------------------- */

static void keep_plan_before(struct event_maker *maker, const struct account *account)
{
    struct bytes name = account->plan->name;
    maker->plan_before_size = name.size;
    memcpy(maker->plan_before, name.data, name.size);
}

/* Does the run say that the account's plan has expired? */
static bool lapses(const struct event_maker *maker, const struct account *account)
{
    struct change status;
    return find_change(maker, CHANGE_STATUS, &status) && status.status.state == ACCOUNT_LAPSED &&
           account->state != ACCOUNT_LAPSED;
}

static void note_switched(struct event_maker *maker, const struct account *account, struct bytes name)
{
    struct audit_entry entry;
    const struct account_optional *optional = account->optional;
    if (bytes_equal(account->plan->name, name)) return;
    keep_plan_before(maker, account);
    if (lapses(maker, account) || find_audit(maker, AUDIT_OPEN, &entry)) return; /* an event of its own */
    struct logged_event event = event_now(maker, account, LOGGED_ACCOUNT_SWITCHED);
    bool by_operator = find_audit(maker, AUDIT_SWITCH, &entry);
    if (by_operator) set_operator(&event, &entry);
    if (!by_operator && optional && optional->next && optional->next_us <= event.time_us)
        event.time_us = optional->next_us;
    event_set_text(&event, EVENT_PLAN, name);
    event_set_text(&event, EVENT_BEFORE, account->plan->name);
    event_set_text(&event, EVENT_AFTER, name);
    event_sink_add(maker->sink, &event);
}

static void note_plan(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    const struct plan *plan = plan_take(change->bytes);
    if (!plan) return; /* accepted changes have one */
    if (maker->is_new && !account->plan) {
        struct logged_event event = event_now(maker, account, LOGGED_ACCOUNT_OPENED);
        event_set_text(&event, EVENT_PLAN, plan->name);
        if (find_audit(maker, AUDIT_OPEN, &entry)) set_operator(&event, &entry);
        event_sink_add(maker->sink, &event);
    } else if (!maker->is_new) {
        note_switched(maker, account, plan->name);
    }
    plan_release(plan);
}

static void note_status(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    const struct account_optional *optional = account->optional;
    int64_t now_us = max_i64(maker->run->applied_at_us, account->applied_at_us);
    bool has_expired = optional && account_has_expired(optional, now_us);
    maker->begins_again = account->state == ACCOUNT_CLOSED || account->state == ACCOUNT_LAPSED || has_expired;
    if (maker->is_new || !optional) return; /* what has no end ends by an operator alone */
    uint8_t state = change->status.state;
    if (state == ACCOUNT_LAPSED && account->state != ACCOUNT_LAPSED) {
        struct logged_event event = event_at(account, LOGGED_ACCOUNT_LAPSED, optional->expires_us);
        event_set_text(&event, EVENT_BEFORE, (struct bytes){maker->plan_before, maker->plan_before_size});
        if (maker->plan_before_size > 0) event_set_text(&event, EVENT_AFTER, account->plan->name);
        event_sink_add(maker->sink, &event);
    }
    int64_t until_us = optional->suspended_until_us;
    bool has_passed = until_us > 0 && until_us <= now_us;
    bool resumes = account->state == ACCOUNT_SUSPENDED && has_passed;
    if (!resumes || find_audit(maker, AUDIT_RESUME, &entry)) return;
    struct logged_event event = event_at(account, LOGGED_ACCOUNT_RESUMED, until_us);
    event_sink_add(maker->sink, &event);
}

static void note_override(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    const struct slot_optional *optional = account->slots[change->slot].optional;
    bool is_set = change->bytes.size > 0, has = optional && optional->override;
    if (!is_set && !has) return;
    struct logged_event event = event_now(maker, account, is_set ? LOGGED_OVERRIDE_SET : LOGGED_OVERRIDE_ENDED);
    bool by_time = !is_set && optional->override_until_us > 0 && optional->override_until_us <= event.time_us;
    bool by_operator = !by_time && find_audit(maker, AUDIT_OVERRIDE, &entry) && entry.slot == change->slot + 1;
    if (by_time) event.time_us = optional->override_until_us;
    set_resource(&event, account, change->slot);
    if (is_set) set_end(&event, change->until_us);
    if (by_operator) set_operator(&event, &entry);
    event_sink_add(maker->sink, &event);
}

static void note_parent(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct change audit;
    if (bytes_equal(account_parent(account), change->bytes)) return;
    struct logged_event event = event_now(maker, account, LOGGED_ACCOUNT_MOVED);
    event_set_text(&event, EVENT_BEFORE, account_parent(account));
    event_set_text(&event, EVENT_AFTER, change->bytes);
    if (find_change(maker, CHANGE_AUDIT, &audit)) set_operator(&event, &audit.audit);
    event_sink_add(maker->sink, &event);
}

/* ---- credits that become few ----------------------------------------------------------------------------- */

static struct credits_sum sum_of(const struct account *account, uint32_t slot, int64_t at_us)
{
    const struct credits *credits = grants_of(account_grants(account), slot);
    struct credits_sum sum = {0, 0};
    if (!credits) return sum;
    if (credits->as_of_us <= at_us && at_us < credits->next_us)
        return (struct credits_sum){credits->amount, credits->free};
    for (uint32_t i = 0; i < credits->count; i++) {
        const struct stored_grant *stored = credits->order[i];
        if (!grant_is_usable(&stored->grant, at_us)) continue;
        sum.amount += stored->grant.amount;
        sum.free += max_i64(stored->grant.balance - stored->held, 0);
    }
    return sum;
}

/* The run touches credits of this resource: as they are before it does so for the first time, if few of them would be
 * an event. */
static void watch_credits(struct event_maker *maker, const struct account *account, uint32_t slot)
{
    for (uint32_t i = 0; i < maker->watched_count; i++) {
        if (maker->watched[i].slot == slot) return;
    }
    if (maker->watched_count == CREDITS_WATCHED) return;
    struct entitlement merged;
    const struct entitlement *entitlement = entitlement_of(account, &account->slots[slot], &merged);
    if (!entitlement || (entitlement->credits_low < 0 && entitlement->warnings_count == 0)) return;
    maker->watched[maker->watched_count].slot = slot;
    maker->watched[maker->watched_count++].before = sum_of(account, slot, maker->before_us);
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
    set_resource(&event, account, slot);
    event_set_number(&event, EVENT_LIMIT, wide_clamp(sum->amount, 0, INT64_MAX));
    event_set_number(&event, EVENT_USED, wide_clamp(sum->amount - sum->free, 0, INT64_MAX));
    event_set_number(&event, EVENT_REMAINING, wide_clamp(sum->free, 0, INT64_MAX));
    return event;
}

static void compare_credits(struct event_maker *maker, const struct account *account, uint32_t slot,
                            const struct credits_sum *before)
{
    struct entitlement merged;
    struct credits_sum after = sum_of(account, slot, account->applied_at_us);
    const struct entitlement *entitlement = entitlement_of(account, &account->slots[slot], &merged);
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

void event_maker_end(struct event_maker *maker, const struct account *account)
{
    add_consumed(maker, account);
    for (uint32_t i = 0; i < maker->watched_count; i++) {
        compare_credits(maker, account, maker->watched[i].slot, &maker->watched[i].before);
    }
}

/* A rolling window has so many more units than those of the stored ones that are still in it. */
static void note_logged(struct event_maker *maker, const struct account *account, const struct change *change)
{
    if (!event_maker_watches_all(maker)) return;
    struct state state = sliding_log_state(slot_log(&account->slots[change->slot], change->period_us));
    struct rule rule = {.algorithm = RULE_LOG, .period_us = change->period_us};
    sliding_log_settle(&rule, &state, change->log.rest + change->period_us);
    keep_limited(maker, change->slot, change->log.amount - state.amount);
}

/* A reservation holds units of grants, or no more. */
static void note_hold(struct event_maker *maker, const struct account *account, const struct change *change)
{
    if (change->hold.funding.size > 0) watch_credits(maker, account, change->hold.slot);
}

static void note_resolved(struct event_maker *maker, const struct account *account, const struct change *change)
{
    if (account_grants(account)->count == 0) return; /* none of them holds any */
    const struct stored_hold *part = account_hold(account, change->bytes);
    for (; part; part = part->next) {
        if (part->hold.funding.size > 0) watch_credits(maker, account, part->hold.slot);
    }
}

/* ---- credits and keys ------------------------------------------------------------------------------------ */

static struct logged_event event_of_grant(const struct event_maker *maker, const struct account *account,
                                          enum event_type type, uint32_t slot, struct bytes id)
{
    struct logged_event event = event_now(maker, account, type);
    set_resource(&event, account, slot);
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

static void note_grant(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    const struct grant *grant = &change->grant;
    watch_credits(maker, account, grant->slot);
    struct logged_event event = event_of_grant(maker, account, LOGGED_GRANT_GIVEN, grant->slot, change->bytes);
    event_set_number(&event, EVENT_AMOUNT, grant->amount);
    set_instant(&event, EVENT_START, grant->effective_us);
    set_end(&event, grant->expires_us);
    bool by_operator = find_audit(maker, AUDIT_GRANT, &entry) || find_audit(maker, AUDIT_TRANSFER, &entry);
    if (by_operator) set_operator(&event, &entry);
    event_sink_add(maker->sink, &event);
    if (grant->replied_absorbed > 0) add_absorbed(maker, account, grant->slot, change->bytes, grant->replied_absorbed);
}

static void add_exhausted(struct event_maker *maker, const struct account *account, const struct stored_grant *stored)
{
    struct logged_event event =
        event_of_grant(maker, account, LOGGED_GRANT_EXHAUSTED, stored->grant.slot, grant_id(stored));
    event_sink_add(maker->sink, &event);
}

static void note_spent(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct stored_grant *stored = grants_numbered(account_grants(account), change->number);
    if (!stored) return;
    watch_credits(maker, account, stored->grant.slot);
    keep_funded(maker, stored->grant.slot, stored->grant.balance - change->amount);
    if (stored->grant.balance > 0 && change->amount == 0) add_exhausted(maker, account, stored);
}

/* A grant that begins later absorbs then: its balance is less than what was given. */
static void note_turned(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct stored_grant *stored = grants_numbered(account_grants(account), change->number);
    if (stored) watch_credits(maker, account, stored->grant.slot);
    if (!stored || (stored->grant.flags & GRANT_BEGUN) || change->amount >= stored->grant.amount) return;
    add_absorbed(maker, account, stored->grant.slot, grant_id(stored), stored->grant.amount - change->amount);
    if (change->amount == 0) add_exhausted(maker, account, stored);
}

static void note_voided(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    const struct stored_grant *stored = grants_numbered(account_grants(account), change->number);
    if (!stored) return;
    watch_credits(maker, account, stored->grant.slot);
    struct logged_event event =
        event_of_grant(maker, account, LOGGED_GRANT_VOIDED, stored->grant.slot, grant_id(stored));
    if (find_audit(maker, AUDIT_VOID, &entry)) {
        event_set_number(&event, EVENT_AMOUNT, entry.amount);
        set_operator(&event, &entry);
    }
    event_sink_add(maker->sink, &event);
}

static struct bytes key_digits(struct bytes digest, char room[KEY_DIGITS])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < KEY_DIGITS; i++) {
        unsigned char byte = (unsigned char)digest.data[i / 2];
        room[i] = digits[i % 2 ? byte & 15 : byte >> 4];
    }
    return (struct bytes){room, KEY_DIGITS};
}

static void note_key(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct audit_entry entry;
    char room[KEY_DIGITS];
    bool is_known = api_keys_find(account_api_keys(account), change->api_key.digest) != NULL;
    if (is_known || find_audit(maker, AUDIT_KEY_ROTATE, &entry)) return;
    struct logged_event event = event_now(maker, account, LOGGED_KEY_CREATED);
    event_set_text(&event, EVENT_ID, key_digits(change->api_key.digest, room));
    set_end(&event, change->api_key.expires_us);
    if (find_audit(maker, AUDIT_KEY_SET, &entry)) set_operator(&event, &entry);
    event_sink_add(maker->sink, &event);
}

static void note_key_ended(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct change other;
    char room[KEY_DIGITS], room_after[KEY_DIGITS];
    const struct stored_api_key *stored = api_keys_numbered(account_api_keys(account), change->number);
    bool is_rotated = change->how == API_KEY_ROTATED;
    if (!stored) return;
    struct logged_event event = event_now(maker, account, is_rotated ? LOGGED_KEY_ROTATED : LOGGED_KEY_REVOKED);
    event_set_text(&event, EVENT_ID, key_digits(stored->key.digest, room));
    set_end(&event, change->until_us);
    if (is_rotated && find_change(maker, CHANGE_API_KEY, &other))
        event_set_text(&event, EVENT_AFTER, key_digits(other.api_key.digest, room_after));
    if (find_change(maker, CHANGE_AUDIT, &other)) set_operator(&event, &other.audit);
    event_sink_add(maker->sink, &event);
}

/* Shares of a pool's cycle are made: who has which, QUOTA.MEMBERS shows. */
static void note_shared(struct event_maker *maker, const struct account *account, const struct change *change)
{
    struct logged_event event = event_now(maker, account, LOGGED_POOL_SHARED);
    set_resource(&event, account, change->slot);
    set_instant(&event, EVENT_START, change->until_us);
    event_set_number(&event, EVENT_LIMIT, change->amount);
    event_sink_add(maker->sink, &event);
}

/* ---- what the audit entry alone says --------------------------------------------------------------------- */

/* A switch that is to come: it will be one more event, without an operator, when it comes. */
static void add_announced(struct event_maker *maker, const struct account *account, const struct audit_entry *entry)
{
    struct change next;
    if (!find_change(maker, CHANGE_NEXT, &next) || next.bytes.size == 0) return;
    const struct plan *plan = plan_take(next.bytes);
    struct logged_event event = event_now(maker, account, LOGGED_ACCOUNT_SWITCHED);
    set_instant(&event, EVENT_START, next.until_us);
    event_set_text(&event, EVENT_BEFORE, account->plan->name);
    if (plan) event_set_text(&event, EVENT_AFTER, plan->name);
    set_operator(&event, entry);
    event_sink_add(maker->sink, &event);
    plan_release(plan);
}

static const enum event_type type_of_act[AUDIT_ACTIONS_END] = {
    [AUDIT_OPEN] = LOGGED_ACCOUNT_OPENED,    [AUDIT_SUSPEND] = LOGGED_ACCOUNT_SUSPENDED,
    [AUDIT_RESUME] = LOGGED_ACCOUNT_RESUMED, [AUDIT_CLOSE] = LOGGED_ACCOUNT_CLOSED,
    [AUDIT_REFUND] = LOGGED_USAGE_REFUNDED,  [AUDIT_SET] = LOGGED_USAGE_SET,
    [AUDIT_RESET] = LOGGED_USAGE_RESET,      [AUDIT_TRANSFER] = LOGGED_TRANSFER_MADE,
};

/* Does another change of the run say it, or is there nothing to be said? OPEN may have moved the end of the account, no
 * more. */
static bool is_said(const struct event_maker *maker, const struct audit_entry *entry)
{
    struct change given;
    if (entry->act == AUDIT_OPEN) return maker->is_new || !maker->begins_again;
    if (entry->act == AUDIT_REFUND) return entry->amount == 0;
    return entry->act == AUDIT_TRANSFER && find_change(maker, CHANGE_GRANT, &given); /* the source says it */
}

static void note_audit(struct event_maker *maker, const struct account *account, const struct change *change)
{
    const struct audit_entry *entry = &change->audit;
    char room[2][24];
    if (entry->act == AUDIT_SWITCH) add_announced(maker, account, entry);
    if (type_of_act[entry->act] == 0 || is_said(maker, entry)) return;
    struct logged_event event = event_now(maker, account, type_of_act[entry->act]);
    bool has_slot = entry->slot > 0 && entry->slot <= account->slots_count;
    if (has_slot) set_resource(&event, account, entry->slot - 1);
    bool has_amount = entry->act == AUDIT_REFUND || entry->act == AUDIT_TRANSFER;
    if (has_amount) event_set_number(&event, EVENT_AMOUNT, entry->amount);
    if (entry->act == AUDIT_SUSPEND && account->optional) set_end(&event, account->optional->suspended_until_us);
    bool is_known = maker->used_is_known && maker->used_slot + 1 == entry->slot && maker->used_after == entry->amount;
    if (entry->act == AUDIT_SET)
        set_amounts(&event, is_known ? maker->used_before : entry->amount, entry->amount, room);
    set_operator(&event, entry);
    event_sink_add(maker->sink, &event);
}

/* ---- a run ----------------------------------------------------------------------------------------------- */

/* Reservations stand by expiry, so those that have ended since the last change stand together. */
static void add_expired(struct event_maker *maker, const struct account *account, int64_t now_us)
{
    const struct holds *holds = account_holds(account);
    uint32_t end = holds->count > 0 ? holds_ended(holds, now_us) : 0;
    for (uint32_t i = end > 0 ? holds_ended(holds, account->applied_at_us) : 0; i < end; i++) {
        const struct stored_hold *stored = holds->by_expiry[i];
        const struct hold *hold = &stored->hold;
        if (hold->part > 0 || hold->of_member) continue;
        struct logged_event event = event_at(account, LOGGED_HOLD_EXPIRED, hold->expires_us);
        event_set_text(&event, EVENT_ID, hold_id(stored));
        if (!stored->next) set_resource(&event, account, hold->slot);
        if (!stored->next) event_set_number(&event, EVENT_AMOUNT, hold->amount);
        event_sink_add(maker->sink, &event);
    }
}

/* `sweep_us`: none of them ends before. */
static void add_ended_grants(struct event_maker *maker, const struct account *account, int64_t now_us)
{
    const struct grants *grants = account_grants(account);
    if (grants->count == 0 || now_us < grants->sweep_us) return;
    for (uint32_t i = 0; i < grants->count; i++) {
        const struct stored_grant *stored = grants->by_number[i];
        int64_t expires_us = stored->grant.expires_us;
        bool ends = expires_us > account->applied_at_us && expires_us <= now_us;
        if (!ends || (stored->grant.flags & GRANT_VOID)) continue;
        watch_credits(maker, account, stored->grant.slot);
        struct logged_event event = event_at(account, LOGGED_GRANT_ENDED, expires_us);
        set_resource(&event, account, stored->grant.slot);
        event_set_text(&event, EVENT_ID, grant_id(stored));
        event_set_number(&event, EVENT_AMOUNT, max_i64(stored->grant.balance - stored->held, 0));
        event_sink_add(maker->sink, &event);
    }
}

void event_maker_begin(struct event_maker *maker, const struct account *account, const struct account_change *run)
{
    maker->sink = run->events;
    maker->run = run;
    maker->is_new = !account;
    maker->begins_again = false;
    maker->plan_before_size = 0;
    maker->used_is_known = false;
    maker->watched_count = maker->consumed_count = 0;
    maker->before_us = account ? account->applied_at_us : run->applied_at_us;
    if (!account || !account->optional || run->applied_at_us <= account->applied_at_us) return;
    add_expired(maker, account, run->applied_at_us);
    add_ended_grants(maker, account, run->applied_at_us);
}

typedef void note_change(struct event_maker *maker, const struct account *account, const struct change *change);

static note_change *const notes[CHANGE_KINDS_END] = {
    [CHANGE_PLAN] = note_plan,
    [CHANGE_STATUS] = note_status,
    [CHANGE_OVERRIDE] = note_override,
    [CHANGE_WINDOW] = note_window,
    [CHANGE_CLOSED] = note_closed,
    [CHANGE_CYCLE_CORRECTED] = note_amended,
    [CHANGE_AUDIT] = note_audit,
    [CHANGE_USED] = note_used,
    [CHANGE_LOG_APPENDED] = note_logged,
    [CHANGE_HOLD] = note_hold,
    [CHANGE_HOLD_RESOLVED] = note_resolved,
    [CHANGE_HOLD_FUNDED] = note_resolved,
    [CHANGE_HOLDS_RESOLVED] = note_resolved,
    [CHANGE_GRANT] = note_grant,
    [CHANGE_GRANT_SPENT] = note_spent,
    [CHANGE_GRANT_TURNED] = note_turned,
    [CHANGE_GRANT_VOIDED] = note_voided,
    [CHANGE_API_KEY] = note_key,
    [CHANGE_API_KEY_ENDED] = note_key_ended,
    [CHANGE_PARENT] = note_parent,
    [CHANGE_SHARES] = note_shared,
};

void event_maker_note(struct event_maker *maker, const struct account *account, const struct change *change)
{
    if (notes[change->kind]) notes[change->kind](maker, account, change);
}

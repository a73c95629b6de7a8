/* What time has done to an account; see account_view.h. */
#include "quota/view/account_view.h"
#include "quota/base/checked.h"

/* ---- the account as a whole ------------------------------------------------------------------------------- */

static void add_turn(struct standing *standing, int64_t at_us, const struct plan *plan, enum window_change how)
{
    standing->turns[standing->turns_count++] = (struct turn){at_us, plan, how};
    standing->plan = plan;
}

static const struct plan *default_plan(const struct account_host *host)
{
    return host->default_plan.size > 0 ? host->find_plan(host->default_plan) : NULL;
}

/* The plan that was to come, then the end of the plan, in the order in which they came. */
static void turn_with_time(struct standing *standing, const struct account_rest *rest)
{
    bool expired = rest->expires_us > 0 && rest->expires_us <= standing->now_us;
    bool comes = rest->next && rest->next_us <= standing->now_us;
    if (comes && !(expired && rest->expires_us <= rest->next_us)) {
        add_turn(standing, rest->next_us, rest->next, WINDOW_FULL);
    }
    if (!expired) return;
    add_turn(standing, rest->expires_us, default_plan(standing->host), WINDOW_FULL);
    if (!standing->plan) return;
    standing->expires_us = 0;
    if (standing->state == ACCOUNT_ACTIVE) standing->state = ACCOUNT_LAPSED;
}

bool standing_awaits_plan(const struct standing *standing)
{
    const struct account_rest *rest = standing->account ? standing->account->rest : NULL;
    if (!rest || !rest->next || rest->next_us <= standing->now_us) return false;
    return rest->expires_us == 0 || rest->expires_us > standing->now_us;
}

const struct plan *standing_last_plan(const struct standing *standing)
{
    const struct plan *plan = standing->account ? standing->account->plan : standing->plan;
    for (uint32_t i = 0; i < standing->turns_count; i++) {
        if (standing->turns[i].plan) plan = standing->turns[i].plan;
    }
    return plan;
}

void standing_turn(struct standing *standing, const struct plan *plan, enum window_change how)
{
    add_turn(standing, standing->now_us, plan, how);
}

enum account_fault standing_begin(struct standing *standing, const struct account *account,
                                  const struct account_host *host, int64_t now_us, bool adopting)
{
    *standing = (struct standing){.account = account, .host = host, .now_us = now_us, .anchor_us = now_us};
    if (!account) {
        standing->plan = host->auto_open ? default_plan(host) : NULL;
        return standing->plan ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_MISSING;
    }
    standing->now_us = max_i64(now_us, account->settled_us);
    standing->plan = account->plan;
    standing->zone = account->zone;
    standing->anchor_us = account->anchor_us;
    standing->expires_us = account_expires_us(account);
    standing->state = account->state;
    standing->slots_count = account->slots_count;
    if (account->rest) turn_with_time(standing, account->rest);
    if (!adopting || !standing->plan) return ACCOUNT_FAULT_NONE;
    const struct plan *newest = host->find_plan(standing->plan->name);
    if (newest && newest->revision > standing->plan->revision) {
        add_turn(standing, standing->now_us, newest, WINDOW_ADOPT);
    }
    return ACCOUNT_FAULT_NONE;
}

enum account_fault standing_refusal(const struct standing *standing)
{
    if (standing->state == ACCOUNT_CLOSED) return ACCOUNT_FAULT_CLOSED;
    if (!standing->plan) return ACCOUNT_FAULT_EXPIRED;
    if (standing->state == ACCOUNT_SUSPENDED) return ACCOUNT_FAULT_SUSPENDED;
    return standing->now_us < standing->anchor_us ? ACCOUNT_FAULT_NOT_STARTED : ACCOUNT_FAULT_NONE;
}

static const struct zone *standing_zone(const struct standing *standing)
{
    if (!standing->zone) return zone_utc();
    return standing->host->find_zone(interned_string_bytes(standing->zone), NULL);
}

static bool hold_counts(const struct hold *hold, const struct footing *footing, const struct window *window)
{
    if ((int32_t)hold->slot != footing->index) return false;
    return !window || (window->start_us <= hold->made_us && hold->made_us < window->end_us);
}

/* The place of the very same cycle among the stored windows; -1 = it is not stored. */
static int32_t stored_place(const struct footing *footing, const struct window *window)
{
    for (uint32_t i = 0; i < footing->stored->windows_count; i++) {
        const struct stored_window *stored = &footing->stored->windows[i];
        if (stored->period == window->period && stored->start_us == window->start_us) return (int32_t)i;
    }
    return -1;
}

/* Of a cycle that nobody has stored: one that has begun since, or of a limit that is new. */
static wide held_of_new(const struct holds *holds, const struct footing *footing, const struct window *window)
{
    wide held = 0;
    for (uint32_t i = 0; i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (hold_counts(hold, footing, window)) held += hold->units;
    }
    return held;
}

int64_t standing_held(const struct standing *standing, const struct footing *footing, const struct window *window)
{
    const struct holds *holds = account_holds(standing->account);
    if (!footing->stored || slot_held(footing->stored, -1) == 0) return 0;
    int32_t place = window ? stored_place(footing, window) : -1;
    bool is_new = window && place < 0;
    wide held = is_new ? held_of_new(holds, footing, window) : slot_held(footing->stored, place);
    for (uint32_t i = 0; i < holds->count; i++) { /* what has ended and awaits its sweep stands in front */
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (hold->expires_us > standing->now_us) break;
        if (hold_counts(hold, footing, window)) held -= hold->units;
    }
    const struct stored_hold *ignored = standing->ignored;
    bool lives = ignored && ignored->hold.expires_us > standing->now_us;
    if (lives && hold_counts(&ignored->hold, footing, window)) held -= ignored->hold.units;
    return wide_clamp(held, 0, INT64_MAX);
}

int64_t standing_holds_count(const struct standing *standing, const struct footing *footing)
{
    const struct holds *holds = account_holds(standing->account);
    int64_t live = footing->stored && footing->stored->rest ? footing->stored->rest->holds_count : 0;
    for (uint32_t i = 0; i < holds->count && holds->by_expiry[i]->hold.expires_us <= standing->now_us; i++) {
        live -= hold_counts(&holds->by_expiry[i]->hold, footing, NULL);
    }
    return live;
}

bool standing_has_room(const struct standing *standing)
{
    const struct receipts *receipts = account_receipts(standing->account);
    uint32_t records = receipts_count(receipts) + account_holds(standing->account)->count; /* a hold ends in a record */
    if (receipts_full(receipts)) return false;
    if (records < standing->host->records_max) return true;
    return records - receipts_expired(receipts, standing->now_us, SWEEP_MAX) < standing->host->records_max;
}

/* ---- cycles ---------------------------------------------------------------------------------------------- */

/* One resource on its way to now. */
struct passage {
    const struct standing *standing;
    struct footing *footing;
    struct sink *changes;
    const struct zone *zone; /* NULL until a cycle needs it */
};

static void tell_closed(const struct passage *passage, uint64_t period, struct closed_cycle closed)
{
    if (!passage->changes || closed.count < 1 || closed.end_us <= closed.start_us) return;
    struct change change = {
        .kind = CHANGE_CLOSED, .slot = (uint32_t)passage->footing->index, .period = period, .closed = closed};
    change_encode(&change, passage->changes);
}

/* The cycles between a closed one and the one that runs now: nobody used them. Where a debt was being repaid their
 * limits differ: nothing at first, then a part, then all of it. */
static void tell_idle(const struct passage *passage, const struct window *window, const struct period *period,
                      int64_t index, int64_t count, const struct quota_rule *rule)
{
    const struct entitlement *entitlement = passage->footing->entitlement;
    const struct zone *zone = passage->zone;
    int64_t debt = window_debt_after(window, entitlement, rule->limit, 1), anchor_us = passage->standing->anchor_us;
    int64_t at = 0;
    while (at < count) {
        int64_t left = wide_clamp((wide)debt - (wide)at * max_i64(rule->limit, 0), 0, INT64_MAX);
        int64_t same = count - at; /* how many have the same limit */
        int64_t limit = rule->limit == UNLIMITED ? UNLIMITED : max_i64(rule->limit - left, 0);
        if (left > 0 && rule->limit > 0) same = left > rule->limit ? min_i64(same, left / rule->limit) : 1;
        int64_t first = period_index_after(period, zone, anchor_us, index, at + 1);
        int64_t last = period_index_after(period, zone, anchor_us, index, at + same);
        struct cycle begin = period_cycle(period, zone, anchor_us, first);
        struct cycle end = period_cycle(period, zone, anchor_us, last);
        struct closed_cycle idle = {.start_us = begin.start_us, .end_us = end.end_us, .limit = limit, .count = same};
        tell_closed(passage, window->period, idle);
        at += same;
    }
}

static void tell_close(const struct passage *passage, const struct window *window)
{
    struct closed_cycle closed = {.start_us = window->start_us,
                                  .end_us = window->end_us,
                                  .limit = window_limit(window),
                                  .used = window->used,
                                  .refunded = window->refunded,
                                  .denied = window->denied,
                                  .peak = window->peak,
                                  .count = 1};
    tell_closed(passage, window->period, closed);
}

/* A window whose cycle has ended becomes that of the cycle at `at_us`; false: the terms no longer have such a limit. */
static bool roll_window(const struct passage *passage, struct window *window, int64_t at_us)
{
    const struct quota_rule *rule = entitlement_limit(passage->footing->entitlement, window->period);
    struct period period;
    tell_close(passage, window);
    if (!rule || !period_from_code(window->period, &period)) return false;
    int64_t anchor_us = passage->standing->anchor_us;
    struct cycle was = period_cycle_at(&period, passage->zone, anchor_us, window->start_us);
    struct cycle cycle = period_cycle_at(&period, passage->zone, anchor_us, at_us);
    int64_t passed = max_i64(
        period_cycles_between(&period, passage->zone, anchor_us, was.index, max_i64(was.index, cycle.index)), 1);
    if (passed > 1) tell_idle(passage, window, &period, was.index, passed - 1, rule);
    struct window next = window_begin(rule, &cycle, anchor_us);
    next.debt = window_debt_after(window, passage->footing->entitlement, rule->limit, passed);
    *window = next;
    return true;
}

static bool needs_zone(const struct footing *footing, int64_t at_us)
{
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        if (at_us >= footing->windows[i].end_us) return true;
    }
    return false;
}

/* The cycle the account begins in may be cut (PRORATE): no run of idle cycles goes over it. */
static bool roll_past_anchor(const struct passage *passage, struct window *window, int64_t at_us)
{
    int64_t anchor_us = passage->standing->anchor_us;
    bool passes = window->end_us <= anchor_us && anchor_us < at_us;
    if (passes && !roll_window(passage, window, anchor_us)) return false;
    return at_us < window->end_us || roll_window(passage, window, at_us);
}

static enum account_fault roll(struct passage *passage, int64_t at_us)
{
    struct footing *footing = passage->footing;
    if (!needs_zone(footing, at_us)) return ACCOUNT_FAULT_NONE;
    if (!passage->zone) passage->zone = standing_zone(passage->standing);
    if (!passage->zone) return ACCOUNT_FAULT_ZONE;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        struct window window = footing->windows[i];
        if (roll_past_anchor(passage, &window, at_us)) footing->windows[kept++] = window;
    }
    footing->windows_count = kept;
    return ACCOUNT_FAULT_NONE;
}

void footing_adopt(const struct standing *standing, struct footing *footing, const struct entitlement *entitlement,
                   enum window_change how, int64_t at_us)
{
    footing->entitlement = entitlement;
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        const struct quota_rule *rule = entitlement_limit(entitlement, footing->windows[i].period);
        if (rule) window_adopt(&footing->windows[i], rule, entitlement, how, standing->anchor_us, at_us);
    }
}

/* ---- a resource ------------------------------------------------------------------------------------------ */

static const struct plan *own_entitlement(const struct footing *footing)
{
    return footing->stored && footing->stored->rest ? footing->stored->rest->own : NULL;
}

void footing_begin(const struct standing *standing, struct bytes resource, struct footing *footing)
{
    const struct account *account = standing->account;
    footing->resource = resource;
    footing->index = account_slot(account, resource);
    footing->stored = footing->index >= 0 ? &account->slots[footing->index] : NULL;
    footing->own_ended = false;
    footing->windows_count = footing->stored ? footing->stored->windows_count : 0;
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        footing->windows[i] = slot_window(footing->stored, i);
    }
    const struct plan *own = own_entitlement(footing), *plan = account ? account->plan : standing->plan;
    footing->entitlement = plan_find(own ? own : plan, resource);
}

/* Fresh windows at `at_us` for the limits that have none. */
static enum account_fault begin_windows(struct passage *passage, int64_t at_us)
{
    struct footing *footing = passage->footing;
    for (uint32_t i = 0; i < footing->windows_count; i++) footing->fresh[i] = false;
    for (uint32_t i = 0; footing->entitlement && i < footing->entitlement->rules_count; i++) {
        const struct quota_rule *rule = &footing->entitlement->rules[i];
        if (rule->kind != QUOTA_LIMIT || footing_window(footing, rule)) continue;
        if (footing->windows_count == SLOT_WINDOWS_MAX) return ACCOUNT_FAULT_SLOTS;
        if (!passage->zone) passage->zone = standing_zone(passage->standing);
        if (!passage->zone) return ACCOUNT_FAULT_ZONE;
        int64_t anchor_us = passage->standing->anchor_us;
        struct cycle cycle = period_cycle_at(&rule->period, passage->zone, anchor_us, at_us);
        footing->fresh[footing->windows_count] = true;
        footing->windows[footing->windows_count++] = window_begin(rule, &cycle, anchor_us);
    }
    return ACCOUNT_FAULT_NONE;
}

enum account_fault footing_settle(const struct standing *standing, struct footing *footing, struct sink *changes)
{
    struct passage passage = {.standing = standing, .footing = footing, .changes = changes};
    const struct plan *own = own_entitlement(footing);
    int64_t until_us = own ? footing->stored->rest->own_until_us : 0;
    bool ends = own && until_us > 0 && until_us <= standing->now_us;
    const struct plan *plan = standing->account ? standing->account->plan : standing->plan;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t turn = 0; turn <= standing->turns_count && fault == ACCOUNT_FAULT_NONE; turn++) {
        bool last = turn == standing->turns_count;
        int64_t at_us = last ? standing->now_us : standing->turns[turn].at_us;
        if (ends && !footing->own_ended && until_us <= at_us) { /* terms of its own end before this turn */
            fault = roll(&passage, until_us);
            footing_adopt(standing, footing, plan_find(plan, footing->resource), WINDOW_FULL, until_us);
            footing->own_ended = true;
        }
        if (fault == ACCOUNT_FAULT_NONE) fault = roll(&passage, at_us);
        if (last || fault != ACCOUNT_FAULT_NONE) break;
        plan = standing->turns[turn].plan;
        if (own && !footing->own_ended) continue;
        bool prorates = standing->turns[turn].how == WINDOW_PRORATE; /* unused cycles are moved as used ones are */
        if (prorates) fault = begin_windows(&passage, at_us);
        if (fault != ACCOUNT_FAULT_NONE) break;
        footing_adopt(standing, footing, plan_find(plan, footing->resource), standing->turns[turn].how, at_us);
    }
    return fault == ACCOUNT_FAULT_NONE ? begin_windows(&passage, standing->now_us) : fault;
}

struct window *footing_window(struct footing *footing, const struct quota_rule *rule)
{
    uint64_t code = quota_rule_code(rule);
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        if (footing->windows[i].period == code) return &footing->windows[i];
    }
    return NULL;
}

enum account_fault standing_longest_end(const struct standing *standing, int64_t *end_us)
{
    struct footing footing;
    *end_us = -1;
    for (uint32_t i = 0; i < standing->plan->entitlement_count; i++) {
        footing_begin(standing, standing->plan->entitlement[i].resource, &footing);
        enum account_fault fault = footing_settle(standing, &footing, NULL);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        for (uint32_t k = 0; k < footing.windows_count; k++) {
            int64_t ends_us = footing.windows[k].end_us;
            if (!entitlement_limit(footing.entitlement, footing.windows[k].period)) continue; /* it sleeps */
            if (ends_us < INSTANT_MAX_US) *end_us = max_i64(*end_us, ends_us);
        }
    }
    return ACCOUNT_FAULT_NONE;
}

/* ---- telling --------------------------------------------------------------------------------------------- */

static const struct window *find_period(const struct window *windows, uint32_t count, uint64_t period)
{
    for (uint32_t i = 0; i < count; i++) {
        if (windows[i].period == period) return &windows[i];
    }
    return NULL;
}

/* The same but for the count, used and peak, and for denials, which are no news of their own. */
static bool window_equal_but_count(const struct window *left, const struct window *right)
{
    return left->start_us == right->start_us && left->end_us == right->end_us && left->limit == right->limit &&
           left->delta == right->delta && left->delta_rest == right->delta_rest && left->debt == right->debt &&
           left->refunded == right->refunded && left->over_since_us == right->over_since_us &&
           left->warned_bp == right->warned_bp;
}

/* Windows that went, before those that came: there is always room. */
static void tell_drops(const struct footing *footing, struct sink *changes)
{
    const struct slot *slot = footing->stored;
    for (uint32_t i = 0; slot && i < slot->windows_count; i++) {
        uint64_t period = slot->windows[i].period;
        const struct window *window = find_period(footing->windows, footing->windows_count, period);
        bool untold = window && footing->fresh[window - footing->windows] && window_is_idle(window); /* it came back */
        if (window && !untold) continue;
        struct change change = {.kind = CHANGE_DROP, .slot = (uint32_t)footing->index, .period = period};
        change_encode(&change, changes);
    }
}

static void tell_used(const struct footing *footing, const struct window *window, struct sink *changes)
{
    struct change change = {.kind = CHANGE_USED,
                            .slot = (uint32_t)footing->index,
                            .period = window->period,
                            .amount = window->used,
                            .peak = window->peak};
    change_encode(&change, changes);
}

/* What the slot has of a stored window's period. Most asks only count: no more is told then than the count. False
 * where that is not enough. */
static bool tell_count(const struct footing *footing, uint32_t place, const struct window *window, struct sink *changes)
{
    struct window stored = slot_window(footing->stored, place);
    if (!window_equal_but_count(&stored, window)) return false;
    if (stored.used == window->used && stored.peak == window->peak) return true;
    if (stored.denied > 0 || window->denied > 0) return false;
    tell_used(footing, window, changes);
    return true;
}

static void tell_windows(const struct footing *footing, struct sink *changes)
{
    uint32_t stored_count = footing->stored ? footing->stored->windows_count : 0;
    for (uint32_t i = 0; i < footing->windows_count; i++) {
        const struct window *window = &footing->windows[i];
        if (footing->fresh[i] && window_is_idle(window)) continue;
        uint32_t place = 0;
        while (place < stored_count && footing->stored->windows[place].period != window->period) place++;
        if (place < stored_count && tell_count(footing, place, window, changes)) continue;
        struct change change = {.kind = CHANGE_WINDOW, .slot = (uint32_t)footing->index, .window = *window};
        change_encode(&change, changes);
    }
}

/* A resource that has no slot yet gets the next one. */
static enum account_fault tell_slot(struct standing *standing, struct footing *footing, struct sink *changes)
{
    if (footing->index >= 0) return ACCOUNT_FAULT_NONE;
    if (standing->slots_count == ACCOUNT_SLOTS_MAX) return ACCOUNT_FAULT_SLOTS;
    struct change change = {.kind = CHANGE_SLOT, .bytes = footing->resource};
    change_encode(&change, changes);
    footing->index = (int32_t)standing->slots_count++;
    return ACCOUNT_FAULT_NONE;
}

enum account_fault footing_tell(struct standing *standing, struct footing *footing, struct sink *changes)
{
    enum account_fault fault = tell_slot(standing, footing, changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (footing->own_ended) {
        struct change change = {.kind = CHANGE_OWN, .slot = (uint32_t)footing->index};
        change_encode(&change, changes);
    }
    tell_drops(footing, changes);
    tell_windows(footing, changes);
    return ACCOUNT_FAULT_NONE;
}

/* A new plan, and what ends with the old one. */
static void tell_turns(const struct standing *standing, struct sink *changes)
{
    const struct account *account = standing->account;
    const struct plan *last = standing_last_plan(standing);
    if (last != account->plan) {
        struct change plan = {.kind = CHANGE_PLAN, .bytes = last->bytes};
        change_encode(&plan, changes);
    }
    bool expired = account->rest && account->rest->expires_us > 0 && account->rest->expires_us <= standing->now_us;
    if (account->rest && account->rest->next && (expired || account->rest->next_us <= standing->now_us)) {
        struct change next = {.kind = CHANGE_NEXT};
        change_encode(&next, changes);
    }
    if (standing->state == account->state && standing->expires_us == account_expires_us(account)) return;
    struct change life = {.kind = CHANGE_LIFE,
                          .state = standing->state,
                          .anchor_us = standing->anchor_us,
                          .expires_us = standing->expires_us,
                          .body = interned_string_bytes(standing->zone)};
    change_encode(&life, changes);
}

/* An account that nobody opened begins here. */
static void tell_begin(const struct standing *standing, struct sink *changes)
{
    struct change plan = {.kind = CHANGE_PLAN, .bytes = standing->plan->bytes};
    struct change life = {.kind = CHANGE_LIFE, .state = standing->state, .anchor_us = standing->anchor_us};
    change_encode(&plan, changes);
    change_encode(&life, changes);
}

static bool is_asked(struct bytes resource, const struct bytes *asked, uint32_t asked_count)
{
    for (uint32_t i = 0; i < asked_count; i++) {
        if (bytes_equal(resource, asked[i])) return true;
    }
    return false;
}

static enum account_fault tell_slots(struct standing *standing, const struct bytes *asked, uint32_t asked_count,
                                     struct sink *changes)
{
    struct footing footing;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < standing->account->slots_count && fault == ACCOUNT_FAULT_NONE; i++) {
        struct bytes resource = interned_string_bytes(standing->account->slots[i].resource);
        if (is_asked(resource, asked, asked_count)) continue;
        footing_begin(standing, resource, &footing);
        fault = footing_settle(standing, &footing, changes);
        if (fault == ACCOUNT_FAULT_NONE) fault = footing_tell(standing, &footing, changes);
    }
    return fault;
}

enum account_fault standing_tell(struct standing *standing, const struct bytes *asked, uint32_t asked_count,
                                 struct sink *changes)
{
    if (!standing->account) {
        tell_begin(standing, changes);
        return ACCOUNT_FAULT_NONE;
    }
    if (standing->turns_count == 0) return ACCOUNT_FAULT_NONE;
    tell_turns(standing, changes);
    return tell_slots(standing, asked, asked_count, changes);
}

/* A prorated change reaches resources nobody has used yet: what both plans have gets its slot. */
static enum account_fault tell_unused(struct standing *standing, struct sink *changes)
{
    struct footing footing;
    uint32_t turns = standing->turns_count;
    const struct plan *before = turns > 1 ? standing->turns[turns - 2].plan : standing->account->plan;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < standing->plan->entitlement_count && fault == ACCOUNT_FAULT_NONE; i++) {
        struct bytes resource = standing->plan->entitlement[i].resource;
        if (account_slot(standing->account, resource) >= 0) continue;
        if (!plan_find(before, resource)) continue;
        footing_begin(standing, resource, &footing);
        fault = footing_settle(standing, &footing, NULL);
        if (fault == ACCOUNT_FAULT_NONE) fault = footing_tell(standing, &footing, changes);
    }
    return fault;
}

enum account_fault standing_tell_all(struct standing *standing, const struct bytes *asked, uint32_t asked_count,
                                     struct sink *changes)
{
    bool prorates = standing->turns_count > 0 && standing->turns[standing->turns_count - 1].how == WINDOW_PRORATE;
    tell_turns(standing, changes);
    enum account_fault fault = tell_slots(standing, asked, asked_count, changes);
    return fault == ACCOUNT_FAULT_NONE && prorates ? tell_unused(standing, changes) : fault;
}

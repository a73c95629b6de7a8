/* Brings grants to now, and burns them; see credits_view.h. */
#include "quota/view/credits_view.h"
#include "quota/base/checked.h"
#include "quota/view/billing.h"

static const struct stored_grant *nth(const struct resource_view *view, uint32_t index)
{
    return view->credits->order[index];
}

/* ---- as of now ------------------------------------------------------------------------------------------- */

void credits_view_begin(const struct account_view *account, struct resource_view *view)
{
    const struct grants *grants = account_grants(account->account);
    bool may_have = view->index >= 0 && grants->count > 0;
    view->credits = may_have ? grants_of(grants, (uint32_t)view->index) : NULL;
    view->grants = NULL;
    view->credits_usable = 0;
    view->credits_amount = view->credits_left = 0;
}

/* A state of each grant, as it is stored. */
static void make_states(const struct account_view *account, struct resource_view *view)
{
    if (view->grants) return;
    view->grants = arena_alloc(account->arena, view->credits->count * sizeof(*view->grants));
    for (uint32_t i = 0; i < view->credits->count; i++) {
        const struct grant *grant = &nth(view, i)->grant;
        view->grants[i] = (struct grant_state){.begun = grant->flags & GRANT_BEGUN,
                                               .balance = grant->balance,
                                               .since_us = grant->since_us,
                                               .recurs_us = grant->recurs_us,
                                               .used_us = grant->used_us};
    }
}

int64_t credits_begins_us(const struct resource_view *view)
{
    int64_t begins_us = INT64_MAX;
    if (!view->credits) return begins_us;
    if (!view->grants) return view->credits->begins_us;
    for (uint32_t i = 0; i < view->credits->count; i++) {
        if (!view->grants[i].begun) begins_us = min_i64(begins_us, nth(view, i)->grant.effective_us);
    }
    return begins_us;
}

int64_t credits_absorb(struct resource_view *view, int64_t units)
{
    int64_t over = 0;
    for (uint32_t i = 0; i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        int64_t limit = window_limit(window);
        if (!entitlement_limit(view->entitlement, window->period) || limit == UNLIMITED) continue;
        over = max_i64(over, window->used - limit);
    }
    int64_t absorbed = min_i64(over, units);
    for (uint32_t i = 0; absorbed > 0 && i < view->windows_count; i++) {
        struct window *window = &view->windows[i];
        if (!entitlement_limit(view->entitlement, window->period)) continue;
        window->used = max_i64(window->used - absorbed, 0);
    }
    return absorbed;
}

/* It pays for units at an instant; see grants_spend. */
static void spend(struct grant_state *state, int64_t units, int64_t at_us)
{
    if (units > 0) state->used_us = at_us;
    state->balance -= units;
}

void credits_begin_grants(const struct cycle_cursor *cursor, int64_t at_us)
{
    struct resource_view *view = cursor->view;
    make_states(cursor->account, view);
    for (uint32_t i = 0; i < view->credits->count; i++) {
        struct grant_state *state = &view->grants[i];
        int64_t effective_us = nth(view, i)->grant.effective_us;
        if (state->begun || effective_us > at_us) continue;
        state->begun = state->turned = true;
        int64_t absorbed = credits_absorb(view, state->balance);
        billing_credit(cursor->account, view, at_us, absorbed);
        spend(state, absorbed, effective_us);
    }
}

/* Sets a grant back that recurs. What reservations hold is held beside it. */
static enum account_fault recur(struct cycle_cursor *cursor, const struct stored_grant *stored,
                                struct grant_state *state)
{
    struct period period;
    const struct grant *grant = &stored->grant;
    int64_t until_us = min_i64(cursor->account->now_us, grant->expires_us - 1);
    if (!state->begun || state->recurs_us == 0 || state->recurs_us > until_us) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = cycle_cursor_zone(cursor);
    if (fault != ACCOUNT_FAULT_NONE || !period_from_code(grant->every, &period)) return fault;
    struct cycle cycle = period_cycle_at(&period, cursor->zone, grant->effective_us, until_us);
    state->since_us = cycle.start_us;
    state->recurs_us = cycle.end_us < grant->expires_us ? cycle.end_us : 0;
    state->balance = add_clamped(grant->amount, stored->held);
    state->turned = true;
    return ACCOUNT_FAULT_NONE;
}

/* Does a reservation hold credits of this resource? */
static bool holds_credits(const struct resource_view *view, const struct hold *hold)
{
    return (int32_t)hold->slot == view->index && hold->funding.size > 0;
}

/* What a reservation that has ended held of the grants is free again, if it was of their present recurrence. */
static void free_held(const struct account_view *account, struct resource_view *view, const struct hold *hold)
{
    struct cursor cursor = cursor_init(hold->funding);
    struct funding_part part;
    while (funding_next(&cursor, &part)) {
        const struct stored_grant *stored = grants_numbered(account_grants(account->account), part.grant);
        if (!stored) continue; /* the limits */
        struct grant_state *state = &view->grants[stored->place];
        if (hold->made_us >= state->since_us) state->free += part.units;
    }
}

/* Reservations that have ended and await their sweep, and the one that is being resolved, hold nothing. */
static void free_all_held(const struct account_view *account, struct resource_view *view)
{
    const struct holds *holds = account_holds(account->account);
    for (uint32_t i = 0; i < holds->count && holds->by_expiry[i]->hold.expires_us <= account->now_us; i++) {
        if (holds_credits(view, &holds->by_expiry[i]->hold)) free_held(account, view, &holds->by_expiry[i]->hold);
    }
    for (const struct stored_hold *part = account->ignored; part; part = part->next) {
        bool lives = part->hold.expires_us > account->now_us;
        if (lives && holds_credits(view, &part->hold)) free_held(account, view, &part->hold);
    }
}

/* Has a reservation that holds credits ended without being swept, or is one being resolved? */
static bool has_ended_holds(const struct account_view *account, const struct resource_view *view)
{
    const struct holds *holds = account_holds(account->account);
    for (const struct stored_hold *part = account->ignored; part; part = part->next) {
        if (holds_credits(view, &part->hold)) return true;
    }
    for (uint32_t i = 0; i < holds->count && holds->by_expiry[i]->hold.expires_us <= account->now_us; i++) {
        if (holds_credits(view, &holds->by_expiry[i]->hold)) return true;
    }
    return false;
}

/* As stored: the sums hold. */
static bool is_as_stored(const struct account_view *account, const struct resource_view *view)
{
    const struct credits *credits = view->credits;
    bool in_time = credits->as_of_us <= account->now_us && account->now_us < credits->next_us;
    return !view->grants && in_time && !has_ended_holds(account, view);
}

static int64_t ends_us(const struct resource_view *view, uint32_t index)
{
    struct grant grant = nth(view, index)->grant;
    if (view->grants) {
        grant.balance = view->grants[index].balance;
        grant.used_us = view->grants[index].used_us;
    }
    return grant_ends_us(&grant);
}

static void sum_up(const struct account_view *account, struct resource_view *view)
{
    wide amount = 0, left = 0;
    view->credits_usable = 0;
    for (uint32_t i = 0; i < view->credits->count; i++) {
        struct grant_state *state = &view->grants[i];
        state->usable = state->begun && account->now_us < ends_us(view, i);
        state->free = state->usable ? max_i64(state->balance - nth(view, i)->held + state->free, 0) : 0;
        if (!state->usable) continue;
        amount += nth(view, i)->grant.amount;
        left += state->free;
        view->credits_usable++;
    }
    view->credits_amount = wide_clamp(amount, 0, INT64_MAX);
    view->credits_left = wide_clamp(left, 0, INT64_MAX);
}

enum account_fault credits_settle(struct cycle_cursor *cursor)
{
    struct resource_view *view = cursor->view;
    const struct account_view *account = cursor->account;
    if (!view->credits) return ACCOUNT_FAULT_NONE;
    if (is_as_stored(account, view)) {
        view->credits_usable = view->credits->usable;
        view->credits_amount = wide_clamp(view->credits->amount, 0, INT64_MAX);
        view->credits_left = wide_clamp(view->credits->free, 0, INT64_MAX);
        return ACCOUNT_FAULT_NONE;
    }
    make_states(account, view);
    for (uint32_t i = 0; i < view->credits->count; i++) {
        enum account_fault fault = recur(cursor, nth(view, i), &view->grants[i]);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        view->grants[i].free = 0;
    }
    free_all_held(account, view);
    sum_up(account, view);
    return ACCOUNT_FAULT_NONE;
}

enum account_fault credits_settle_again(const struct account_view *account, struct resource_view *view)
{
    struct cycle_cursor cursor = cycle_cursor_now(account, view);
    return credits_settle(&cursor);
}

/* ---- questions ------------------------------------------------------------------------------------------- */

bool credits_live(const struct account_view *account, const struct resource_view *view, uint32_t index)
{
    bool begun = view->grants ? view->grants[index].begun : nth(view, index)->grant.flags & GRANT_BEGUN;
    return !begun || account->now_us < ends_us(view, index);
}

int64_t credits_free(const struct account_view *account, const struct resource_view *view, uint32_t index)
{
    if (view->grants) return view->grants[index].free;
    const struct stored_grant *stored = nth(view, index);
    return grant_is_usable(&stored->grant, account->now_us) ? max_i64(stored->grant.balance - stored->held, 0) : 0;
}

int64_t credits_more_us(const struct account_view *account, const struct resource_view *view)
{
    int64_t more_us = INT64_MAX;
    if (!view->credits) return more_us;
    if (!view->grants) return view->credits->more_us;
    for (uint32_t i = 0; i < view->credits->count; i++) {
        const struct grant_state *state = &view->grants[i];
        int64_t next_us = state->begun ? state->recurs_us : nth(view, i)->grant.effective_us;
        if (next_us > account->now_us) more_us = min_i64(more_us, next_us);
    }
    return more_us;
}

/* When time changes what is free of one grant: it begins, it is set back where something is missing, it ends with
 * something left. INT64_MAX = never. */
static int64_t next_of(const struct account_view *account, const struct resource_view *view, uint32_t index)
{
    const struct stored_grant *stored = nth(view, index);
    const struct grant *grant = &stored->grant;
    const struct grant_state *state = view->grants ? &view->grants[index] : NULL;
    if (state ? !state->begun : !(grant->flags & GRANT_BEGUN)) return grant->effective_us;
    int64_t recurs_us = state ? state->recurs_us : grant->recurs_us, next_us = INT64_MAX;
    bool is_full = (state ? state->balance : grant->balance) >= add_clamped(grant->amount, stored->held);
    if (recurs_us > account->now_us && !is_full) next_us = recurs_us;
    int64_t end_us = ends_us(view, index);
    bool ends = end_us > account->now_us && end_us < INSTANT_MAX_US && credits_free(account, view, index) > 0;
    return ends ? min_i64(next_us, end_us) : next_us;
}

int64_t credits_next_us(const struct account_view *account, const struct resource_view *view)
{
    const struct holds *holds = account_holds(account->account);
    int64_t next_us = INT64_MAX;
    for (uint32_t i = 0; view->credits && i < view->credits->count; i++)
        next_us = min_i64(next_us, next_of(account, view, i));
    for (uint32_t i = holds_ended(holds, account->now_us); i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (holds_credits(view, hold)) return min_i64(next_us, hold->expires_us);
    }
    return next_us;
}

struct credits_span credits_span(const struct account_view *account, const struct resource_view *view)
{
    struct credits_span span = {.since_us = INT64_MAX};
    for (uint32_t i = 0; view->credits && i < view->credits->count; i++) {
        const struct grant *grant = &nth(view, i)->grant;
        const struct grant_state *state = view->grants ? &view->grants[i] : NULL;
        if (!(state ? state->usable : grant_is_usable(grant, account->now_us))) continue;
        span.since_us = min_i64(span.since_us, state ? state->since_us : grant->since_us);
        span.ends_us = max_i64(span.ends_us, grant->expires_us);
    }
    return span;
}

int64_t credits_most(const struct account_view *account, const struct resource_view *view)
{
    wide most = 0;
    for (uint32_t i = 0; view->credits && i < view->credits->count; i++) {
        const struct grant *grant = &nth(view, i)->grant;
        if (!credits_live(account, view, i)) continue;
        int64_t balance = view->grants ? view->grants[i].balance : grant->balance;
        most += grant->every > 0 ? grant->amount : balance;
    }
    return wide_clamp(most, 0, INT64_MAX);
}

int64_t credits_held(const struct account_view *account, const struct resource_view *view)
{
    const struct holds *holds = account_holds(account->account);
    wide held = 0;
    for (uint32_t i = holds_ended(holds, account->now_us); view->credits && i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (holds_credits(view, hold)) held += hold_counted(hold) - hold_limited(hold);
    }
    return wide_clamp(held, 0, INT64_MAX);
}

/* ---- burning --------------------------------------------------------------------------------------------- */

/* Goes through the grants that pay for units, in burn order. */
struct burn {
    uint32_t index;
    int64_t missing; /* units that are still to be paid */
};

static struct burn burn_begin(const struct resource_view *view, int64_t units)
{
    return (struct burn){.index = view->grants || !view->credits ? 0 : view->credits->first, .missing = units};
}

/* The next grant that pays, and how much; false when nothing is missing any more. */
static bool burn_next(const struct account_view *account, const struct resource_view *view, struct burn *burn,
                      uint32_t *index, int64_t *units)
{
    for (; burn->missing > 0 && view->credits && burn->index < view->credits->count; burn->index++) {
        *units = min_i64(credits_free(account, view, burn->index), burn->missing);
        if (*units == 0) continue;
        *index = burn->index++;
        burn->missing -= *units;
        return true;
    }
    return false;
}

void credits_write_funding(const struct account_view *account, const struct resource_view *view, int64_t units,
                           struct sink *funding)
{
    struct burn burn = burn_begin(view, units);
    uint32_t index;
    int64_t paid;
    while (burn_next(account, view, &burn, &index, &paid)) funding_add(funding, nth(view, index)->grant.number, paid);
}

void credits_take(const struct resource_view *view, uint32_t index, int64_t units, struct sink *changes)
{
    const struct grant *grant = &nth(view, index)->grant;
    int64_t balance = view->grants ? view->grants[index].balance : grant->balance;
    struct change change = {.kind = CHANGE_GRANT_SPENT, .number = grant->number, .amount = balance - units};
    change_encode(&change, changes);
}

void credits_emit_spent(const struct account_view *account, const struct resource_view *view, int64_t units,
                        struct sink *changes)
{
    struct burn burn = burn_begin(view, units);
    uint32_t index;
    int64_t paid;
    while (burn_next(account, view, &burn, &index, &paid)) credits_take(view, index, paid, changes);
}

/* States as of now, also where the stored sums would do. */
static void states_now(const struct account_view *account, struct resource_view *view)
{
    if (view->grants || !view->credits) return; /* of credits of accounts below nothing is here */
    make_states(account, view);
    free_all_held(account, view);
    sum_up(account, view);
}

static void emit_balance(const struct resource_view *view, uint32_t index, struct sink *changes)
{
    struct change change = {
        .kind = CHANGE_GRANT_SPENT, .number = nth(view, index)->grant.number, .amount = view->grants[index].balance};
    change_encode(&change, changes);
}

int64_t credits_return(const struct account_view *account, struct resource_view *view, int64_t number, int64_t units,
                       int64_t taken_us, struct sink *changes)
{
    const struct stored_grant *stored = grants_numbered(account_grants(account->account), number);
    if (!stored || !view->credits) return 0;
    states_now(account, view);
    struct grant_state *state = &view->grants[stored->place];
    if (!state->usable || taken_us < state->since_us) return 0;
    state->balance += units;
    state->free += units;
    view->credits_left = add_clamped(view->credits_left, units);
    emit_balance(view, stored->place, changes);
    return units;
}

/* `spent` of the units that a reservation held of a grant, and what comes back of the others. */
static void post_part(const struct account_view *account, struct resource_view *view, const struct stored_grant *stored,
                      int64_t made_us, int64_t spent, int64_t released)
{
    struct grant_state *state = &view->grants[stored->place];
    bool lost = made_us < state->since_us || (stored->grant.flags & GRANT_VOID);
    state->posted = state->posted || spent > 0;
    spend(state, lost ? spent + released : spent, account->now_us);
    if (!state->usable || lost) return;
    state->free -= spent; /* of a reservation that is ignored all was free */
    view->credits_left -= spent;
}

void credits_post(const struct account_view *account, struct resource_view *view, const struct hold *hold,
                  int64_t posted)
{
    struct cursor cursor = cursor_init(hold->funding);
    struct funding_part part;
    int64_t begins = 0;
    if (hold->funding.size > 0) states_now(account, view);
    while (funding_next(&cursor, &part)) {
        const struct stored_grant *stored = grants_numbered(account_grants(account->account), part.grant);
        int64_t spent = min_i64(max_i64(posted - begins, 0), part.units);
        begins += part.units;
        if (stored) post_part(account, view, stored, hold->made_us, spent, part.units - spent);
    }
}

void credits_draw(const struct account_view *account, struct resource_view *view, struct bytes funding)
{
    struct cursor cursor = cursor_init(funding);
    struct funding_part part;
    if (funding.size > 0) states_now(account, view);
    while (funding_next(&cursor, &part)) {
        const struct stored_grant *stored = grants_numbered(account_grants(account->account), part.grant);
        if (!stored) continue; /* the limits */
        struct grant_state *state = &view->grants[stored->place];
        state->posted = true;
        spend(state, part.units, account->now_us);
        state->free -= part.units;
        view->credits_left -= part.units;
    }
}

void credits_emit_posted(const struct resource_view *view, struct sink *changes)
{
    for (uint32_t i = 0; view->grants && i < view->credits->count; i++) {
        if (view->grants[i].posted) emit_balance(view, i, changes);
    }
}

void credits_emit_turned(struct resource_view *view, struct sink *changes)
{
    for (uint32_t i = 0; view->grants && i < view->credits->count; i++) {
        struct grant_state *state = &view->grants[i];
        if (!state->turned) continue;
        state->turned = false;
        struct change change = {.kind = CHANGE_GRANT_TURNED,
                                .number = nth(view, i)->grant.number,
                                .amount = state->balance,
                                .until_us = state->since_us,
                                .expires_us = state->recurs_us};
        change_encode(&change, changes);
    }
}

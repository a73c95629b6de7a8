/* Finds and makes the shares of a pool's members; see pool.h. */
#include "quota/decide/pool.h"
#include "quota/base/checked.h"

/* When the cycle in front of a window began, by the calendar. */
static int64_t start_before_us(const struct account_view *pool, const struct window *window)
{
    return resource_view_start_us(pool, window, window->start_us - 1);
}

/* When the cycle before the running one began. What is stored may have begun elsewhere, under another anchor. Nothing
 * was used in one that is not stored, but denials may have made shares of it. */
static int64_t past_start_us(const struct account_view *pool, const struct resource_view *view,
                             const struct window *window)
{
    struct closed_cycle closed;
    const struct slot *slot = view->stored;
    int64_t start_us = window->start_us;
    if (window->end_us >= INSTANT_MAX_US) return max_i64(start_us - 1, 0); /* there was none */
    for (uint32_t i = 0; slot && i < slot->windows_count; i++) {
        const struct stored_window *stored = &slot->windows[i];
        if (stored->period != window->period || stored->start_us >= start_us) continue;
        return stored->end_us < start_us ? start_before_us(pool, window) : max_i64(stored->start_us, 0);
    }
    const struct history *history = slot ? slot_history(slot, window->period) : NULL;
    bool is_known = history_count(history) > 0 && history_nth(history, 0, &closed) && closed.end_us == start_us;
    return is_known && closed.count == 1 ? max_i64(closed.start_us, 0) : start_before_us(pool, window);
}

/* Units that live reservations of the member hold: what has ended and awaits its sweep is counted no more. */
static int64_t held_of(const struct account_view *pool, const struct member_use *use, struct bytes name)
{
    const struct holds *holds = account_holds(pool->account);
    int64_t held = use->held;
    for (uint32_t i = 0; held > 0 && i < holds->count && holds->by_expiry[i]->hold.expires_us <= pool->now_us; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        bool counts = hold->of_member && hold->slot == use->slot && hold->made_us >= use->start_us;
        if (counts && bytes_equal(member_hold_id_member(hold_id(holds->by_expiry[i])), name))
            held -= hold_counted(hold);
    }
    return max_i64(held, 0);
}

/* The same of a cycle that has not begun for the member. It holds nothing of it, unless the cycles are others than they
 * were when a reservation was made. */
static int64_t held_anew(const struct account_view *pool, uint32_t slot, int64_t start_us, struct bytes name)
{
    const struct holds *holds = account_holds(pool->account);
    int64_t held = 0;
    if (holds->newest_us < start_us) return 0;
    for (uint32_t i = holds_ended(holds, pool->now_us); i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        bool counts = hold->of_member && hold->slot == slot && hold->made_us >= start_us;
        if (counts && bytes_equal(member_hold_id_member(hold_id(holds->by_expiry[i])), name))
            held = add_clamped(held, hold_counted(hold));
    }
    return held;
}

/* Its part, by weight, of what is unused: of a member that has joined since shares were made. */
static int64_t late_share(const struct account_view *pool, const struct resource_view *view,
                          const struct pool_share *found, const struct member *member)
{
    const struct members *members = account_members(pool->account);
    const struct window *window = found->window;
    int64_t weight = member ? member->weight : 1;
    int64_t weights = members->weights + (member && !member->has_left ? 0 : weight);
    int64_t busy = add_clamped(window->used, resource_view_held(pool, view, window));
    return (int64_t)((wide)max_i64(found->division.units - busy, 0) * weight / weights);
}

void pool_share_find(const struct account_view *pool, struct resource_view *view, struct bytes name,
                     struct pool_share *found)
{
    const struct members *members = account_members(pool->account);
    const struct window *window = resource_view_longest(view);
    found->is_shared = view->entitlement->share != SHARE_FIRST && window && window_limit(window) != UNLIMITED;
    if (!found->is_shared) return;
    const struct member *member = members_find(members, name);
    uint32_t slot = view->index < 0 ? UINT32_MAX : (uint32_t)view->index;
    int64_t start_us = max_i64(window->start_us, 0);
    const struct member_use *use = member ? member_use_of(member, slot) : NULL;
    bool runs = use && use->start_us == start_us;
    found->window = (struct window *)window; /* of a view that is ours */
    found->used = runs ? add_clamped(use->used, held_of(pool, use, name)) : held_anew(pool, slot, start_us, name);
    found->division = (struct division){
        .slot = slot, .start_us = start_us, .units = window_limit(window), .how = view->entitlement->share};
    found->divided = members_are_divided(members, slot, start_us);
    found->assigned = found->divided && runs && use->share != NOT_SHARED_YET;
    if (found->assigned) {
        found->share = use->share;
        return;
    }
    if (found->divided) {
        found->share = late_share(pool, view, found, member);
        return;
    }
    found->division.past_us = past_start_us(pool, view, window);
    found->share = members_share_of(members, &found->division, member);
}

void pool_share_emit(const struct pool_share *found, const struct resource_view *view, int64_t number,
                     struct sink *changes)
{
    if (!found->is_shared || found->assigned) return;
    const struct division *division = &found->division;
    struct change change = {.kind = found->divided ? CHANGE_MEMBER_SHARE : CHANGE_SHARES,
                            .number = number,
                            .slot = (uint32_t)view->index,
                            .amount = found->divided ? found->share : division->units,
                            .until_us = division->start_us,
                            .expires_us = division->past_us,
                            .how = (uint8_t)division->how};
    change_encode(&change, changes);
}

int64_t pool_share_remaining(struct account_view *pool, struct resource_view *view, struct bytes member, int64_t more,
                             int64_t at_us, int64_t remaining)
{
    struct pool_share found;
    struct demand demand; /* large, and mostly nothing: its one position is the share */
    if (!view->entitlement || view->entitlement->share == SHARE_FIRST) return remaining;
    pool_share_find(pool, view, member, &found);
    if (!found.is_shared) return remaining;
    if (at_us < found.window->start_us) more = 0; /* of a share that counts no more */
    demand_begin_nothing(&demand, pool, view, 1);
    demand_share(&demand, found.window, member, found.share, max_i64(add_clamped(found.used, more), 0));
    int64_t left = meter_share.available(&demand.positions[0]);
    if (left != UNLIMITED) left = add_clamped(left, view->credits_left);
    return amount_is_smaller(left, remaining) ? left : remaining;
}

/* Counts what members use; see membership.h. */
#include "quota/decide/membership.h"
#include "quota/base/checked.h"
#include "quota/decide/backdate.h"

/* The longest cycle that runs or ran last, of all resources; 0 = there is none that ends. */
static int64_t longest_cycle_us(const struct account *account)
{
    int64_t longest_us = 0;
    for (uint32_t i = 0; i < account->slots_count; i++) {
        const struct slot *slot = &account->slots[i];
        for (uint32_t k = 0; k < slot->windows_count; k++) {
            const struct stored_window *window = &slot->windows[k];
            if (window->end_us < INSTANT_MAX_US) longest_us = max_i64(longest_us, window->end_us - window->start_us);
        }
    }
    return longest_us;
}

enum account_fault membership_join(struct account_view *pool, struct bytes name, struct sink *changes, int64_t *number)
{
    const struct members *members = account_members(pool->account);
    const struct member *member = members_find(members, name);
    struct change join = {.kind = CHANGE_MEMBER, .bytes = name, .amount = member ? member->weight : 1};
    *number = join.number = member ? member->number : members->made + 1;
    if (member && !member->has_left) return ACCOUNT_FAULT_NONE;
    if (members_live(members) >= MEMBERS_MAX) {
        int64_t idle_since_us = pool->now_us - longest_cycle_us(pool->account);
        const struct member *idle = members_idle(members, idle_since_us, *number);
        if (!idle) return ACCOUNT_FAULT_MEMBERS;
        change_encode(&(struct change){.kind = CHANGE_MEMBER_LEFT, .number = idle->number}, changes);
    }
    change_encode(&join, changes);
    return ACCOUNT_FAULT_NONE;
}

/* The start of the cycle of the longest LIMIT that ran at `at_us`; 0 where none ends. One in which credits alone have
 * paid is not kept: the calendar says when it began. */
static int64_t cycle_start_us(const struct account_view *pool, const struct resource_view *view, int64_t at_us,
                              const struct sink *changes)
{
    struct past_cycle past[SLOT_HISTORIES_MAX];
    const struct window *longest = resource_view_longest(view);
    if (!longest) return 0;
    if (at_us >= longest->start_us) return max_i64(longest->start_us, 0);
    struct charged charged = {.count = 1, .periods = {longest->period}};
    bool is_kept = past_cycles(pool, view, at_us, &charged, changes, past) > 0;
    return is_kept ? max_i64(past[0].closed.start_us, 0) : resource_view_start_us(pool, longest, at_us);
}

void membership_use(const struct account_view *pool, const struct resource_view *view, int64_t number, int64_t units,
                    int64_t at_us, struct sink *changes)
{
    const struct member *member = members_numbered(account_members(pool->account), number);
    struct change used = {.kind = CHANGE_MEMBER_USED, .number = number, .slot = (uint32_t)view->index};
    used.until_us = cycle_start_us(pool, view, at_us, changes);
    used.amount = max_i64(add_clamped(member_used(member, used.slot, used.until_us), units), 0);
    change_encode(&used, changes);
}

int64_t membership_used(const struct account_view *pool, const struct resource_view *view, struct bytes name,
                        int64_t at_us, const struct sink *changes)
{
    const struct member *member = members_find(account_members(pool->account), name);
    if (!member || view->index < 0) return 0;
    return member_used(member, (uint32_t)view->index, cycle_start_us(pool, view, at_us, changes));
}

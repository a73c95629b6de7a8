/* Gives units back at accounts above; see refund_above.h. */
#include "quota/decide/refund_above.h"
#include "quota/base/checked.h"
#include "quota/decide/membership.h"
#include "quota/decide/pool.h"
#include "quota/decide/reservation.h"
#include "quota/decide/returning.h"

/* One account above, on its way through a refund. */
struct above {
    const struct account_view *account; /* the account itself */
    const struct refund_request *request;
    const struct ancestor *ancestor;
    struct account_view *view;
    struct bytes member; /* of this account above: the one below it */
};

/* The answer is the most that came back anywhere, and what the tightest account leaves: credits of the accounts below
 * could pay for what that one lacks. */
static void merge(struct returned_item *item, const struct refund *at)
{
    struct refunded *result = item->result, *above = at->result;
    int64_t cost = at->view.entitlement ? entitlement_cost(at->view.entitlement) : 1;
    if (above->remaining != UNLIMITED)
        above->remaining = wide_clamp((wide)item->credits * cost + above->remaining, 0, INT64_MAX);
    item->credits = add_clamped(item->credits, returning_credits(at));
    result->refunded = max_i64(result->refunded, above->refunded);
    result->lost = item->amount - result->refunded;
    if (amount_is_smaller(above->remaining, result->remaining)) result->remaining = above->remaining;
}

static void begin(const struct above *above, struct refund *at, struct bytes resource, int64_t amount,
                  struct refunded *result)
{
    at->request = above->request;
    at->account = above->view;
    at->decision = above->ancestor->decision;
    at->resource = resource;
    at->amount = amount;
    at->back = 0;
    at->is_other = true; /* the account itself remembers and answers */
    at->result = result;
    *result = (struct refunded){0, 0, 0};
    resource_view_begin(above->view, resource, &at->view);
}

/* So many units the member has used there: no more come back. */
static int64_t used_by_member(const struct above *above, const struct refund *at, int64_t at_us)
{
    return membership_used(above->view, &at->view, above->member, at_us, &at->decision->changes);
}

static void give_back_of_member(const struct above *above, const struct refund *at, int64_t units, int64_t at_us)
{
    const struct members *members = account_members(above->view->account);
    const struct member *member = members_find(members, above->member);
    if (member && units > 0)
        membership_use(above->view, &at->view, member->number, -units, at_us, &at->decision->changes);
}

static int64_t share_remaining(const struct above *above, struct refund *at, int64_t back, int64_t remaining)
{
    return pool_share_remaining(above->view, &at->view, above->member, -back, remaining);
}

/* ---- by name ------------------------------------------------------------------------------------------------ */

/* The next part of an item at this account above, and which member of it used the units. */
static bool next_part(struct above *above, const struct taken *taken, struct cursor *levels, struct cursor *parts,
                      struct level_part *part)
{
    struct level level;
    for (;;) {
        while (level_part_next(parts, part)) {
            if (part->item == taken->item) return true;
        }
        if (!level_next(levels, &level)) return false;
        if (!bytes_equal(level.name, above->ancestor->name)) continue;
        *parts = cursor_init(level.parts);
        above->member = level_member(&level, above->request->lineage->name);
    }
}

static bool find_taken(const struct above *above, const struct returned_item *item, struct taken *taken)
{
    return item->amount > 0 && taken_find(above->account, item->slot, above->request->of, taken);
}

/* The resources that units come back to; each may be there once. */
static enum account_fault find_names(struct above *above, const struct returned_item *items, uint32_t count,
                                     struct bytes *names, uint32_t *names_count)
{
    struct taken taken;
    struct level_part part;
    *names_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!find_taken(above, &items[i], &taken)) continue;
        struct cursor levels = cursor_init(taken.levels), parts = cursor_init((struct bytes){"", 0});
        while (next_part(above, &taken, &levels, &parts, &part) && *names_count < 2 * REFUND_ITEMS_MAX) {
            for (uint32_t k = 0; k < *names_count; k++) {
                above->ancestor->decision->fault_subject = part.resource;
                if (bytes_equal(names[k], part.resource)) return ACCOUNT_FAULT_TOGETHER;
            }
            names[(*names_count)++] = part.resource;
        }
    }
    return ACCOUNT_FAULT_NONE;
}

/* How many units may come back, from the last drawn on, if at most `used` of them were counted here: credits of the
 * member have paid for the others. */
static int64_t most_back(const struct taken *taken, int64_t used)
{
    struct cursor cursor = cursor_init(taken->funding);
    struct funding_part part;
    int64_t left = taken_left(taken) * taken->cost, ends = 0, below = 0, stays = 0;
    if (taken->funding.size == 0) return min_i64(left, used);
    while (funding_next(&cursor, &part) && ends < left) {
        int64_t units = min_i64(part.units, left - ends);
        ends += units;
        below += part.grant == FUNDED_BELOW ? units : 0;
    }
    int64_t counted = ends - below, kept = max_i64(counted - used, 0); /* so many of the counted stay, the first ones */
    cursor = cursor_init(taken->funding);
    while (kept > 0 && funding_next(&cursor, &part)) {
        bool counts = part.grant != FUNDED_BELOW;
        int64_t units = counts ? min_i64(part.units, kept) : part.units;
        stays += units;
        kept -= counts ? units : 0;
    }
    return left - stays;
}

static enum account_fault return_part(const struct above *above, struct returned_item *item, const struct taken *of,
                                      const struct level_part *part)
{
    struct refund at; /* large, and mostly nothing yet */
    struct refunded result;
    struct taken taken = *of;
    struct sink *changes = &above->ancestor->decision->changes;
    taken.cost = part->cost;
    taken.charged = part->charged;
    taken.funding = part->funding;
    taken.from.charged = &taken.charged;
    taken.from.generation = part->generation;
    begin(above, &at, part->resource, item->amount, &result);
    enum account_fault fault = returning_settle(&at, changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    int64_t most = most_back(&taken, used_by_member(above, &at, taken.from.taken_us));
    item->most = min_i64(item->most, most / part->cost);
    at.amount = item->most;
    if (at.amount > 0) {
        fault = returning_taken(&at, &taken);
        give_back_of_member(above, &at, at.back, taken.from.taken_us);
    } else {
        fault = emit_resource(above->view, &at.view, changes);
        result.remaining = returning_remaining(&at);
    }
    result.remaining = share_remaining(above, &at, at.back, result.remaining);
    if (fault == ACCOUNT_FAULT_NONE) merge(item, &at);
    return fault;
}

static enum account_fault return_taken_at(struct above *above, struct returned_item *items, uint32_t count)
{
    struct bytes names[2 * REFUND_ITEMS_MAX];
    struct taken taken;
    struct level_part part;
    uint32_t names_count;
    enum account_fault fault = find_names(above, items, count, names, &names_count);
    if (fault != ACCOUNT_FAULT_NONE || names_count == 0) return fault;
    struct sink *changes = &above->ancestor->decision->changes;
    fault = emit_account(above->view, (struct resource_names){names, names_count}, changes);
    for (uint32_t i = 0; i < count && fault == ACCOUNT_FAULT_NONE; i++) {
        if (!find_taken(above, &items[i], &taken)) continue;
        struct cursor levels = cursor_init(taken.levels), parts = cursor_init((struct bytes){"", 0});
        while (fault == ACCOUNT_FAULT_NONE && next_part(above, &taken, &levels, &parts, &part))
            fault = return_part(above, &items[i], &taken, &part);
    }
    return fault;
}

/* ---- without a name ----------------------------------------------------------------------------------------- */

static enum account_fault return_newest_at(const struct above *above, struct returned_item *item)
{
    struct refund at; /* large, and mostly nothing yet */
    struct refunded result;
    struct sink *changes = &above->ancestor->decision->changes;
    struct bytes names[2] = {above->request->resource, {"", 0}};
    begin(above, &at, names[0], item->amount, &result);
    enum account_fault fault = returning_settle(&at, NULL);
    if (fault != ACCOUNT_FAULT_NONE || !at.view.entitlement) return fault;
    int64_t now_us = above->view->now_us, cost = entitlement_cost(at.view.entitlement);
    names[1] = at.view.entitlement->as;
    fault = emit_account(above->view, (struct resource_names){names, names[1].size > 0 ? 2 : 1}, changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    begin(above, &at, names[0], item->amount, &result);
    fault = returning_settle(&at, changes);
    at.amount = item->most = min_i64(item->most, used_by_member(above, &at, now_us) / cost);
    if (fault == ACCOUNT_FAULT_NONE) fault = returning_newest(&at);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    give_back_of_member(above, &at, result.refunded * cost, now_us);
    result.remaining = share_remaining(above, &at, result.refunded * cost, result.remaining);
    if (result.refunded == 0) changes->size = 0;
    merge(item, &at);
    return ACCOUNT_FAULT_NONE;
}

/* ---- all of them ---------------------------------------------------------------------------------------------- */

enum account_fault refund_above(const struct account_view *account, const struct refund_request *request,
                                struct account_view *views, struct returned_item *items, uint32_t count)
{
    const struct lineage *lineage = request->lineage;
    for (uint32_t i = 0; lineage && i < count; i++) {
        items[i].most = items[i].amount;
        if (!items[i].known) items[i].result->remaining = UNLIMITED;
    }
    for (uint32_t i = 0; lineage && i < lineage->count; i++) {
        struct bytes below = i == 0 ? lineage->name : lineage->ancestors[i - 1].name;
        struct above above = {account, request, &lineage->ancestors[i], &views[i], below};
        if (!above.ancestor->account) continue;
        enum account_fault fault =
            request->of.size > 0 ? return_taken_at(&above, items, count) : return_newest_at(&above, items);
        if (fault != ACCOUNT_FAULT_NONE) return lineage_fault(above.ancestor->decision, above.view, fault);
    }
    return ACCOUNT_FAULT_NONE;
}

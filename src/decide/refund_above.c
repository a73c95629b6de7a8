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
    struct bytes member;   /* of this account above: the one below it */
    struct bytes resource; /* that units come back to */
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
    at->names = NO_RESOURCES;
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

/* `at_us`: when the units were used that came back. */
static int64_t share_remaining(const struct above *above, struct refund *at, int64_t back, int64_t at_us,
                               int64_t remaining)
{
    return pool_share_remaining(above->view, &at->view, above->member, -back, at_us, remaining);
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

/* The resources that units come back to, once for every part; answers how many. */
static uint32_t find_names(struct above *above, const struct returned_item *items, uint32_t count, struct bytes *names)
{
    struct taken taken;
    struct level_part part;
    uint32_t names_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!find_taken(above, &items[i], &taken)) continue;
        struct cursor levels = cursor_init(taken.levels), parts = cursor_init((struct bytes){"", 0});
        while (names_count < 2 * REFUND_ITEMS_MAX && next_part(above, &taken, &levels, &parts, &part))
            names[names_count++] = part.resource;
    }
    return names_count;
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

/* What an item took here. */
static struct taken taken_here(const struct taken *of, const struct level_part *part)
{
    struct taken taken = *of;
    taken.cost = part->cost;
    taken.charged = part->charged;
    taken.funding = part->funding;
    taken.from.generation = part->generation;
    return taken;
}

/* Gives at->amount back; where that is nothing, the resource is written down as time has left it. */
static enum account_fault give_back(const struct above *above, struct refund *at, struct taken *taken)
{
    enum account_fault fault;
    taken->from.charged = &taken->charged;
    if (at->amount > 0) {
        fault = returning_taken(at, taken);
        give_back_of_member(above, at, at->back, taken->from.taken_us);
    } else {
        fault = emit_resource(above->view, &at->view, &above->ancestor->decision->changes);
        at->result->remaining = returning_remaining(at);
    }
    at->result->remaining = share_remaining(above, at, at->back, taken->from.taken_us, at->result->remaining);
    return fault;
}

static enum account_fault return_part(const struct above *above, struct returned_item *item, struct taken *taken)
{
    struct refund at; /* large, and mostly nothing yet */
    struct refunded result;
    begin(above, &at, above->resource, item->amount, &result);
    enum account_fault fault = returning_settle(&at, &above->ancestor->decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    int64_t most = most_back(taken, used_by_member(above, &at, taken->from.taken_us));
    at.amount = item->most = min_i64(item->most, most / taken->cost);
    fault = give_back(above, &at, taken);
    if (fault == ACCOUNT_FAULT_NONE) merge(item, &at);
    return fault;
}

/* ---- parts of one resource, of several items ---------------------------------------------------------------- */

/* What an item took of above->resource; false where that is nothing. */
static bool find_part(struct above *above, const struct returned_item *item, struct taken *taken)
{
    struct taken of;
    struct level_part part;
    if (!find_taken(above, item, &of)) return false;
    struct cursor levels = cursor_init(of.levels), parts = cursor_init((struct bytes){"", 0});
    while (next_part(above, &of, &levels, &parts, &part)) {
        *taken = taken_here(&of, &part);
        if (bytes_equal(part.resource, above->resource)) return true;
    }
    return false;
}

/* Of `units` in sum the last items have theirs first, in whole amounts: so much comes back of each at most. Answers how
 * many units these are. */
static int64_t bound_items(struct above *above, struct returned_item *items, uint32_t count, int64_t units)
{
    struct taken part;
    int64_t shared = 0;
    for (uint32_t i = count; i-- > 0;) {
        if (!find_part(above, &items[i], &part)) continue;
        items[i].most = min_i64(items[i].most, (units - shared) / part.cost);
        shared += items[i].most * part.cost;
    }
    return shared;
}

/* The answer about each item: what came back in sum is what the items drew last. */
static void merge_items(struct above *above, struct returned_item *items, uint32_t count, const struct refund *sum)
{
    struct taken part;
    int64_t back = sum->back;
    for (uint32_t i = count; i-- > 0;) {
        if (!find_part(above, &items[i], &part)) continue;
        int64_t got = min_i64(items[i].most * part.cost, back);
        struct refunded result = {got / part.cost, 0, sum->result->remaining};
        struct refund at = *sum;
        at.result = &result;
        back -= got;
        merge(&items[i], &at);
    }
}

static enum account_fault return_sum(struct above *above, struct returned_item *items, uint32_t count)
{
    struct sink funding = {0};
    struct taken sum = {.amount = 0}, part;
    struct refund at; /* large, and mostly nothing yet */
    struct refunded result;
    bool together = true;
    for (uint32_t i = 0; i < count && together; i++) {
        if (!find_part(above, &items[i], &part) || items[i].most == 0) continue;
        int64_t to = taken_left(&part) * part.cost;
        together = taken_join(&sum, &part, to - items[i].most * part.cost, to, &funding);
    }
    begin(above, &at, above->resource, sum.amount, &result);
    enum account_fault fault = together ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_TOGETHER;
    if (fault == ACCOUNT_FAULT_NONE) fault = returning_settle(&at, &above->ancestor->decision->changes);
    if (fault == ACCOUNT_FAULT_NONE) {
        int64_t used = sum.amount > 0 ? used_by_member(above, &at, sum.from.taken_us) : 0;
        at.amount = bound_items(above, items, count, most_back(&sum, used));
        fault = give_back(above, &at, &sum);
    }
    if (fault == ACCOUNT_FAULT_NONE) merge_items(above, items, count, &at);
    sink_free(&funding);
    return fault;
}

/* ---- all parts ------------------------------------------------------------------------------------------------ */

/* Each part that comes back by itself. */
static enum account_fault return_parts(struct above *above, struct resource_names names, struct returned_item *items,
                                       uint32_t count)
{
    struct taken of;
    struct level_part part;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < count && fault == ACCOUNT_FAULT_NONE; i++) {
        if (!find_taken(above, &items[i], &of)) continue;
        struct cursor levels = cursor_init(of.levels), parts = cursor_init((struct bytes){"", 0});
        while (fault == ACCOUNT_FAULT_NONE && next_part(above, &of, &levels, &parts, &part)) {
            struct taken taken = taken_here(&of, &part);
            above->resource = part.resource;
            if (!returning_in_sum(names, part.resource)) fault = return_part(above, &items[i], &taken);
        }
    }
    return fault;
}

/* Of an item of which nothing is left to come back: what this account leaves of it. */
static void look_at(struct above *above, struct returned_item *item)
{
    struct taken of;
    struct level_part part;
    if (item->amount > 0 || !taken_find(above->account, item->slot, above->request->of, &of)) return;
    struct cursor levels = cursor_init(of.levels), parts = cursor_init((struct bytes){"", 0});
    while (next_part(above, &of, &levels, &parts, &part)) {
        struct refund at; /* large, and mostly nothing yet */
        struct refunded result;
        begin(above, &at, part.resource, 0, &result);
        if (returning_settle(&at, NULL) != ACCOUNT_FAULT_NONE) continue;
        result.remaining = share_remaining(above, &at, 0, of.from.taken_us, returning_remaining(&at));
        merge(item, &at);
    }
}

static enum account_fault return_taken_at(struct above *above, struct returned_item *items, uint32_t count)
{
    struct bytes list[2 * REFUND_ITEMS_MAX];
    struct resource_names names = {list, find_names(above, items, count, list)};
    for (uint32_t i = 0; i < count; i++) look_at(above, &items[i]);
    if (names.count == 0) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = emit_account(above->view, names, &above->ancestor->decision->changes);
    if (fault == ACCOUNT_FAULT_NONE) fault = return_parts(above, names, items, count);
    for (uint32_t i = 0; i < names.count && fault == ACCOUNT_FAULT_NONE; i++) {
        uint32_t first = 0;
        while (!bytes_equal(list[first], list[i])) first++;
        above->resource = list[i];
        above->ancestor->decision->fault_subject = list[i];
        if (first == i && returning_in_sum(names, list[i])) fault = return_sum(above, items, count);
    }
    return fault;
}

/* ---- without a name ----------------------------------------------------------------------------------------- */

static enum account_fault most_newest_at(const struct above *above, int64_t *most)
{
    struct refund at; /* large, and mostly nothing yet */
    struct refunded result;
    int64_t most_here;
    begin(above, &at, above->request->resource, *most, &result);
    enum account_fault fault = returning_settle(&at, NULL);
    if (fault != ACCOUNT_FAULT_NONE || !at.view.entitlement) return fault;
    fault = returning_newest_most(&at, &most_here);
    int64_t of_member = used_by_member(above, &at, above->view->now_us) / entitlement_cost(at.view.entitlement);
    *most = min_i64(*most, min_i64(most_here, of_member));
    return fault;
}

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
    if (fault == ACCOUNT_FAULT_NONE) fault = returning_newest(&at, item->most);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    give_back_of_member(above, &at, result.refunded * cost, now_us);
    result.remaining = share_remaining(above, &at, result.refunded * cost, now_us, result.remaining);
    if (result.refunded == 0) changes->size = 0;
    merge(item, &at);
    return ACCOUNT_FAULT_NONE;
}

/* ---- all of them ---------------------------------------------------------------------------------------------- */

static struct above above_of(const struct account_view *account, const struct refund_request *request,
                             struct account_view *views, uint32_t level)
{
    const struct lineage *lineage = request->lineage;
    struct bytes below = level == 0 ? lineage->name : lineage->ancestors[level - 1].name;
    return (struct above){account, request, &lineage->ancestors[level], &views[level], below, {"", 0}};
}

enum account_fault refund_above_newest_most(const struct account_view *account, const struct refund_request *request,
                                            struct account_view *views, int64_t *most)
{
    for (uint32_t i = 0; request->lineage && i < request->lineage->count; i++) {
        struct above above = above_of(account, request, views, i);
        enum account_fault fault = above.ancestor->account ? most_newest_at(&above, most) : ACCOUNT_FAULT_NONE;
        if (fault != ACCOUNT_FAULT_NONE) return lineage_fault(above.ancestor->decision, above.view, fault);
    }
    return ACCOUNT_FAULT_NONE;
}

enum account_fault refund_above(const struct account_view *account, const struct refund_request *request,
                                struct account_view *views, struct returned_item *items, uint32_t count)
{
    const struct lineage *lineage = request->lineage;
    for (uint32_t i = 0; lineage && i < count; i++) {
        if (request->of.size > 0) items[i].most = items[i].amount;
        if (!items[i].known) items[i].result->remaining = UNLIMITED;
    }
    for (uint32_t i = 0; lineage && i < lineage->count; i++) {
        struct above above = above_of(account, request, views, i);
        if (!above.ancestor->account) continue;
        enum account_fault fault =
            request->of.size > 0 ? return_taken_at(&above, items, count) : return_newest_at(&above, items);
        if (fault != ACCOUNT_FAULT_NONE) return lineage_fault(above.ancestor->decision, above.view, fault);
    }
    return ACCOUNT_FAULT_NONE;
}

/* How a reservation ends at the accounts above; see commit_above.h. */
#include "quota/decide/commit_above.h"
#include "quota/base/checked.h"
#include "quota/decide/membership.h"
#include "quota/decide/pool.h"
#include "quota/decide/reservation.h"

/* What an account above holds of this very reservation; NULL = nothing. */
static const struct stored_hold *held_above(const struct ancestor *ancestor, const struct account_view *view,
                                            struct bytes id, const struct stored_hold *stored)
{
    const struct stored_hold *held = ancestor->account ? account_member_hold(ancestor->account, id) : NULL;
    bool same = held && stored && held->hold.made_us == stored->hold.made_us;
    return same && reservation_lives(view, held) ? held : NULL;
}

/* The parts that it holds. */
static uint32_t begin_held(const struct resolution *at, struct part *parts)
{
    uint32_t count = 0;
    for (const struct stored_hold *held = at->stored; held; held = held->next) {
        struct part *part = &parts[count++];
        resolution_part_begin(part, &held->hold, resolution_resource(at, &held->hold));
        part->amount = commit_amount(at->request, held->hold.item, held->hold.amount);
    }
    return count;
}

static void begin_late_part(const struct part *of, struct bytes resource, int64_t cost, struct part *part)
{
    int64_t amount = of->amount, units;
    bool fits = multiply_checked(amount, cost, &units);
    part->expired = (struct hold){.amount = amount, .units = fits ? units : INT64_MAX, .item = of->hold->item};
    part->expired.funding = (struct bytes){"", 0};
    resolution_part_begin(part, NULL, resource);
    part->amount = amount;
}

/* What it counts of a reservation that it does not hold: what is posted, as its rules count that now. */
static uint32_t begin_late(const struct resolution *root, const struct resolution *at, struct part *parts)
{
    uint32_t count = 0;
    struct resource_view now;
    for (uint32_t i = 0; i < root->count; i++) {
        const struct part *of = &root->parts[i];
        bool is_first = i == 0 || of->hold->item != root->parts[i - 1].hold->item;
        if (!at->account->plan || !is_first || of->amount == 0) continue;
        if (!resource_view_look(at->account, of->resource, &now)) continue;
        const struct entitlement *entitlement = now.entitlement;
        begin_late_part(of, of->resource, entitlement_cost(entitlement), &parts[count++]);
        if (entitlement->as.size > 0) begin_late_part(of, entitlement->as, entitlement->cost, &parts[count++]);
    }
    return count;
}

/* Units of a resource, of all parts, that are posted here: credits of the member have paid for others. And those that
 * were held so. */
static int64_t counted_of(const struct part *first)
{
    int64_t units = 0;
    for (const struct part *part = first; part; part = part->next)
        units = add_clamped(units, part->units - funding_below(sink_content(&part->funding)));
    return units;
}

static int64_t held_of(const struct part *first)
{
    int64_t units = 0;
    for (const struct part *part = first; part; part = part->next) units = add_clamped(units, hold_counted(part->hold));
    return units;
}

/* The member has used what is posted of a resource; `number`: its own, 0 = not known yet. */
static enum account_fault use_of_member(const struct resolution *at, struct bytes member, const struct part *first,
                                        int64_t *number)
{
    struct sink *changes = &at->decision->changes;
    int64_t at_us = at->is_held ? first->hold->made_us : at->account->now_us;
    bool posts = false;
    for (const struct part *part = first; part; part = part->next) posts = posts || part->amount > 0;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    if (posts && *number == 0) fault = membership_join(at->account, member, changes, number);
    if (posts && fault == ACCOUNT_FAULT_NONE)
        membership_use(at->account, &first->view, *number, counted_of(first), at_us, changes);
    return fault;
}

/* What its member has used, and where. */
static enum account_fault count_member(const struct resolution *at, struct bytes member, struct sink *level_parts)
{
    const struct member *known = members_find(account_members(at->account->account), member);
    int64_t number = known ? known->number : 0;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < at->count && fault == ACCOUNT_FAULT_NONE; i++) {
        const struct part *part = &at->parts[i];
        if (part->first == part) fault = use_of_member(at, member, part, &number);
        if (part->amount == 0) continue;
        level_part_add(level_parts, &(struct level_part){.item = part->hold->item,
                                                         .resource = part->resource,
                                                         .cost = part->hold->units / part->hold->amount,
                                                         .generation = part_view(part)->generation,
                                                         .charged = part->charged,
                                                         .funding = sink_content(&part->funding)});
    }
    return fault;
}

/* What a level leaves, and credits of the accounts below it: they pay for so many of the amount. */
static int64_t with_credits(const struct part *above, int64_t credits)
{
    int64_t cost = above->hold->units / above->hold->amount;
    if (above->remaining == UNLIMITED) return UNLIMITED;
    return wide_clamp((wide)credits * cost + above->remaining, 0, INT64_MAX);
}

/* The answer is about what the tightest of all accounts leaves. */
static void tighten(const struct resolution *root, const struct resolution *at, const struct level *level,
                    struct part *above)
{
    int64_t more = counted_of(above->first) - (at->is_held ? held_of(above->first) : 0);
    int64_t at_us = at->is_held ? above->hold->made_us : at->account->now_us;
    struct bytes member = level_member(level, root->request->lineage->name);
    above->remaining = pool_share_remaining(at->account, part_view(above), member, more, at_us, above->remaining);
    for (uint32_t i = 0; i < root->count; i++) {
        struct part *part = &root->parts[i];
        if (part->hold->item != above->hold->item) continue;
        int64_t remaining = with_credits(above, part->credits);
        part->credits = add_clamped(part->credits, above->credits);
        if (amount_is_smaller(remaining, part->remaining)) part->remaining = remaining;
    }
}

static enum account_fault resolve_parts_above(const struct resolution *root, const struct resolution *at,
                                              const struct level *level, struct sink *level_parts)
{
    struct bytes names[HOLD_PARTS_MAX];
    struct sink *changes = &at->decision->changes;
    for (uint32_t i = 0; i < at->count; i++) names[i] = at->parts[i].resource;
    enum account_fault fault = emit_account(at->account, (struct resource_names){names, at->count}, changes);
    if (fault == ACCOUNT_FAULT_NONE) fault = resolution_resolve_parts(at);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (at->stored) {
        change_encode(&(struct change){.kind = CHANGE_MEMBER_HOLD_ENDED, .bytes = hold_id(at->stored)}, changes);
    }
    resolution_emit_balances(at);
    for (uint32_t i = 0; i < at->count; i++) tighten(root, at, level, &at->parts[i]);
    return count_member(at, level_member(level, root->request->lineage->name), level_parts);
}

/* One account above: what it holds of the reservation is posted and released as here. */
static enum account_fault resolve_at(const struct resolution *root, const struct level *level,
                                     const struct ancestor *ancestor, struct account_view *view)
{
    struct member_hold_id id;
    struct sink level_parts = {0};
    struct resolution at = *root;
    struct bytes own = root->request->lineage->name;
    member_hold_id_make(&id, level_member(level, own), own, root->request->id);
    at.account = view;
    at.decision = ancestor->decision;
    at.stored = root->is_held ? held_above(ancestor, view, member_hold_id_bytes(&id), root->stored) : NULL;
    at.is_held = at.stored != NULL;
    uint32_t most = at.is_held ? hold_parts(at.stored) : 2 * root->count; /* one may be counted AS another there */
    at.parts = memory_alloc(most * sizeof(*at.parts));
    at.count = at.is_held ? begin_held(&at, at.parts) : begin_late(root, &at, at.parts);
    enum account_fault fault = at.count > 0 ? resolve_parts_above(root, &at, level, &level_parts) : ACCOUNT_FAULT_NONE;
    if (fault == ACCOUNT_FAULT_NONE && at.count > 0)
        level_add(root->levels, &(struct level){level->name, sink_content(&level_parts), level->member});
    for (uint32_t i = 0; i < at.count; i++) sink_free(&at.parts[i].funding);
    memory_free(at.parts);
    sink_free(&level_parts);
    return fault == ACCOUNT_FAULT_NONE ? fault : lineage_fault(ancestor->decision, view, fault);
}

/* Rows that only plans above know are theirs alone: here nothing is left or missing of them. */
enum account_fault commit_above(const struct resolution *resolution)
{
    const struct commit_request *request = resolution->request;
    const struct lineage *lineage = request->lineage;
    struct bytes names = reservation_levels(resolution->account->account, request->id, resolution->account->now_us);
    struct cursor levels = cursor_init(names);
    struct level level;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; lineage && i < resolution->count; i++) {
        struct part *part = &resolution->parts[i];
        if (!part_view(part)->entitlement) part->remaining = UNLIMITED;
    }
    while (lineage && fault == ACCOUNT_FAULT_NONE && level_next(&levels, &level)) {
        uint32_t at = lineage_find(lineage, level.name);
        bool here = at < lineage->count && lineage->ancestors[at].account;
        if (here) fault = resolve_at(resolution, &level, &lineage->ancestors[at], &resolution->above[at]);
    }
    return fault;
}

/* ---- EXTEND ---------------------------------------------------------------------------------------------- */

/* What an account above holds of it lives as long. */
static enum account_fault extend_at(const struct level *level, const struct ancestor *ancestor,
                                    struct account_view *view, struct bytes own, struct bytes id,
                                    const struct stored_hold *stored, int64_t expires_us)
{
    struct member_hold_id of_member;
    member_hold_id_make(&of_member, level_member(level, own), own, id);
    const struct stored_hold *held = held_above(ancestor, view, member_hold_id_bytes(&of_member), stored);
    if (!held) return ACCOUNT_FAULT_NONE;
    enum account_fault fault = reservation_emit_extended(view, CHANGE_MEMBER_HOLD_EXTENDED, hold_id(held), expires_us,
                                                         &ancestor->decision->changes);
    return fault == ACCOUNT_FAULT_NONE ? fault : lineage_fault(ancestor->decision, view, fault);
}

enum account_fault extend_above(const struct lineage *lineage, struct account_view *above, struct bytes id,
                                const struct stored_hold *stored, int64_t expires_us)
{
    struct cursor levels = cursor_init(stored->hold.levels);
    struct level level;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    while (lineage && fault == ACCOUNT_FAULT_NONE && level_next(&levels, &level)) {
        uint32_t at = lineage_find(lineage, level.name);
        if (at == lineage->count) continue;
        fault = extend_at(&level, &lineage->ancestors[at], &above[at], lineage->name, id, stored, expires_us);
    }
    return fault;
}

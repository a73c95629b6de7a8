/* Counts units at the accounts above; see count_above.h. */
#include "quota/decide/count_above.h"
#include "quota/base/checked.h"
#include "quota/decide/admission.h"

/* The account below the one at this place, which is its member. */
static struct bytes member_of(const struct lineage *lineage, uint32_t at)
{
    return at == 0 ? lineage->name : lineage->ancestors[at - 1].name;
}

/* The longest cycle that ends, else one that does not: members' use is kept by it. All windows are of LIMITs. */
static const struct stored_window *find_longest(const struct slot *slot)
{
    int64_t length_us = 0;
    const struct stored_window *longest = NULL, *endless = NULL;
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        const struct stored_window *window = &slot->windows[i];
        if (window->end_us >= INSTANT_MAX_US) endless = window;
        if (endless == window || window->end_us - window->start_us <= length_us) continue;
        length_us = window->end_us - window->start_us;
        longest = window;
    }
    return longest ? longest : endless;
}

static int64_t start_us_of(const struct stored_window *longest)
{
    return longest ? max_i64(longest->start_us, 0) : 0;
}

/* Folds the member's share in, which was made when the cycle began; false where it is not as simple. */
static bool count_share(const struct account *pool, const struct member *member, const struct count_request *request,
                        const struct counted *counted, struct verdict_fold *fold)
{
    const struct stored_window *longest = find_longest(&pool->slots[counted->slot]);
    if (counted->entitlement->share == SHARE_FIRST || !longest || longest->limit == UNLIMITED) return true;
    const struct member_use *use = member_use_of(member, counted->slot);
    bool made = members_are_divided(account_members(pool), counted->slot, start_us_of(longest)) && use &&
                use->start_us == start_us_of(longest) && use->share != NOT_SHARED_YET && use->held == 0;
    if (!made || use->used > use->share || request->amount > use->share - use->used) return false;
    int64_t reset_us = longest->end_us == INT64_MAX ? NEVER_US : longest->end_us - request->now_us;
    const struct verdict of_share = {.granted = request->amount,
                                     .limit = use->share,
                                     .remaining = use->share - use->used - request->amount,
                                     .reset_us = reset_us,
                                     .rule = SHARE_RULE + request->shift};
    verdict_fold_add(fold, false, &of_share);
    return true;
}

/* The member has used the units, too. */
static void emit_use(const struct ancestor *ancestor, const struct member *member, const struct count_request *request,
                     const struct counted *counted)
{
    struct change change; /* what its kind does not name means nothing; there is much of it */
    change.kind = CHANGE_MEMBER_USED;
    change.number = member->number;
    change.slot = counted->slot;
    change.until_us = start_us_of(find_longest(&ancestor->account->slots[counted->slot]));
    change.amount = add_clamped(member_used(member, counted->slot, change.until_us), request->amount);
    change_encode(&change, &ancestor->decision->changes);
}

/* The rows, then what the member has used of each. */
static bool count_at(const struct lineage *lineage, uint32_t at, const struct account_host *host,
                     struct count_request *rows, uint32_t count, struct verdict_fold *folds, struct counted *counted)
{
    const struct ancestor *ancestor = &lineage->ancestors[at];
    const struct account *account = ancestor->account;
    const struct member *member = account ? members_find(account_members(account), member_of(lineage, at)) : NULL;
    if (!member || member->has_left) return false;
    for (uint32_t i = 0; i < count; i++) {
        rows[i].shift += LEVEL_RULES;
        counted[i].entitlement = NULL;
        if (count_passes(account, host, &rows[i])) continue;
        if (!count_decide(account, host, &rows[i], ancestor->decision, &folds[i], &counted[i])) return false;
        if (!count_share(account, member, &rows[i], &counted[i], &folds[i])) return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (counted[i].entitlement) emit_use(ancestor, member, &rows[i], &counted[i]);
    }
    return true;
}

bool count_above(const struct lineage *lineage, const struct account_host *host, struct count_request *rows,
                 uint32_t count, struct verdict_fold *folds, struct counted_above *counted)
{
    bool counts = true;
    for (uint32_t i = 0; lineage && i < lineage->count; i++) {
        account_decision_begin(lineage->ancestors[i].decision);
        lineage->ancestors[i].decision->applied_at_us = rows->now_us;
    }
    for (uint32_t i = 0; lineage && i < lineage->count && counts; i++) {
        counts = count_at(lineage, i, host, rows, count, folds, counted->rows[i]);
    }
    if (!counts) count_above_end(lineage);
    return counts;
}

void count_above_end(const struct lineage *lineage)
{
    for (uint32_t i = 0; lineage && i < lineage->count; i++) account_decision_end(lineage->ancestors[i].decision);
}

void count_above_levels(const struct lineage *lineage, const struct counted_above *counted, uint32_t count,
                        struct sink *levels)
{
    for (uint32_t i = 0; lineage && i < lineage->count; i++) {
        const struct ancestor *ancestor = &lineage->ancestors[i];
        struct sink parts = {0};
        for (uint32_t row = 0; row < count; row++) {
            const struct counted *of_row = &counted->rows[i][row];
            if (!of_row->entitlement) continue;
            const struct slot *slot = &ancestor->account->slots[of_row->slot];
            level_part_add(&parts, &(struct level_part){.item = row,
                                                        .resource = interned_string_bytes(slot->resource),
                                                        .cost = 1,
                                                        .generation = slot->optional ? slot->optional->generation : 0,
                                                        .charged = charged_of(of_row->entitlement),
                                                        .funding = {"", 0}});
        }
        struct bytes member = i == 0 ? (struct bytes){"", 0} : member_of(lineage, i);
        if (parts.size > 0) level_add(levels, &(struct level){ancestor->name, sink_content(&parts), member});
        sink_free(&parts);
    }
}

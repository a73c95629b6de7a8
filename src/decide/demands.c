/* Settles, checks and answers for all resources of a request; see demands.h. */
#include "quota/decide/demands.h"
#include "quota/account/entitlement_codec.h"
#include "quota/base/checked.h"
#include "quota/decide/admission_verdict.h"
#include "quota/decide/backdate.h"
#include "quota/decide/demand_plan.h"
#include "quota/decide/demand_rows.h"
#include "quota/decide/membership.h"

void demands_begin(struct demands *demands, struct account_view *account, const struct consume_item *wanted,
                   uint32_t count, struct account_decision *decision)
{
    demands->account = account;
    demands->decision = decision;
    demands->wanted = wanted;
    demands->at_us = 0;
    demands->key = NULL;
    demands->key_view = NULL;
    demands->count = demands->views_count = demands->each_count = demands->names_count = count;
    demands->items = demands->own_items;
    demands->above = NULL;
    demands->root = demands;
    demands->member = (struct bytes){"", 0};
    demands->shares = NULL;
    for (uint32_t i = 0; i < count; i++) demands->names[i] = wanted[i].resource;
    demands->meanwhile = sink_init(demands->stack_buffer, sizeof(demands->stack_buffer));
}

void demands_end(struct demands *demands)
{
    for (; demands; demands = demands->above) sink_free(&demands->meanwhile);
}

void demands_add_lineage(struct demands *demands, const struct lineage *lineage, struct account_view *views)
{
    struct arena *arena = demands->account->arena;
    struct demands *below = demands;
    for (uint32_t i = 0; lineage && i < lineage->count; i++) {
        struct demands *above = arena_room(arena, sizeof(*above));
        demands_begin(above, &views[i], demands->wanted, demands->count, lineage->ancestors[i].decision);
        above->views = arena_room(arena, demands->count * sizeof(*above->views));
        above->root = demands;
        above->name = lineage->ancestors[i].name;
        above->member = i == 0 ? lineage->name : lineage->ancestors[i - 1].name;
        below->above = above;
        below = above;
    }
}

static struct resource_names own_of(const struct demands *demands)
{
    return (struct resource_names){demands->names, demands->names_count};
}

/* ---- rows that are counted AS other resources ------------------------------------------------------------- */

/* Names the resources that rows are counted as; answers whether there are any that are no row. */
static bool add_targets(struct demands *demands)
{
    demands->names_count = demands->count;
    for (uint32_t i = 0; i < demands->count; i++) {
        struct bytes as = demands_counts_as(demands, i) ? demands->views[i].entitlement->as : (struct bytes){"", 0};
        if (as.size == 0 || demand_rows_find_name(demands, as, demands->names_count) < demands->names_count) continue;
        demands->names[demands->names_count++] = as;
    }
    return demands->names_count > demands->count;
}

/* Views of the rows and of the resources that they are counted as, in the arena. */
static enum account_fault settle_targets(struct demands *demands)
{
    struct account_view *account = demands->account;
    struct resource_view *views = arena_room(account->arena, demands->names_count * sizeof(*views));
    for (uint32_t i = 0; i < demands->count; i++) resource_view_copy(account, &demands->views[i], &views[i]);
    demands->views = views;
    demands->views_count = demands->names_count;
    for (uint32_t i = 0; i < demands->names_count; i++) {
        demands->decision->fault_subject = demands->names[i];
        if (i >= demands->count) {
            resource_view_begin(account, demands->names[i], &views[i]);
            enum account_fault fault = resource_view_settle(account, &views[i], &demands->meanwhile);
            if (fault != ACCOUNT_FAULT_NONE) return fault;
            if (!views[i].entitlement) return ACCOUNT_FAULT_RESOURCE;
        }
    }
    return ACCOUNT_FAULT_NONE;
}

/* ---- the RATEs of an API key ------------------------------------------------------------------------------- */

/* They bound a request as the RATEs of a resource do that has nothing else. */
static void begin_key_view(struct demands *demands)
{
    const struct stored_api_key *key = demands->key;
    if (!key || key->key.rules.size == 0) return;
    struct arena *arena = demands->account->arena;
    struct entitlement *entitlement = arena_alloc(arena, sizeof(*entitlement));
    struct cursor cursor = cursor_init(key->key.rules);
    entitlement_decode(&cursor, entitlement);
    demands->key_view = arena_alloc(arena, sizeof(*demands->key_view));
    demands->key_view->index = -1;
    demands->key_view->entitlement = entitlement;
    demands->key_view->rates = key->rates;
}

/* What is demanded of a pool's resource is bounded by its member's share, too. */
static void bound_by_shares(struct demands *above, uint32_t first)
{
    above->shares = arena_alloc(above->account->arena, above->views_count * sizeof(*above->shares));
    for (uint32_t i = 0; i < above->views_count; i++) {
        struct resource_view *view = &above->views[i];
        if (!view->entitlement) continue; /* it shares nothing: the memory is all zero */
        pool_share_find(above->account, view, above->member, &above->shares[i]);
    }
    for (uint32_t i = first; i < above->root->each_count; i++) {
        struct demand *demand = &above->root->each[i];
        const struct pool_share *found = &above->shares[demand->view - above->views];
        if (found->is_shared && !demand->stands_aside)
            demand_share(demand, found->window, above->member, found->share, found->used);
    }
}

static uint32_t accounts_count(const struct demands *demands)
{
    uint32_t count = 0;
    for (; demands; demands = demands->above) count++;
    return count;
}

/* The rows of an account above are decided together with those of the account below it. */
static void link_rows(struct demands *below, struct demands *above)
{
    for (uint32_t i = 0; i < above->count; i++) {
        above->items[i].level = below->items[i].level + LEVEL_RULES;
        below->items[i].above = &above->items[i];
    }
}

/* So many demands there may be: of each row one, or with AS two, and of sums; and of the key one for each row. */
static size_t demands_most(const struct demands *demands)
{
    size_t most = demands->key_view ? demands->count : 0;
    for (const struct demands *of = demands; of; of = of->above) {
        for (uint32_t row = 0; row < of->count; row++) most += demands_counts_as(of, row) ? 3 : 1;
    }
    return most;
}

static enum account_fault begin_together(struct demands *demands, enum rows_together together)
{
    struct arena *arena = demands->account->arena;
    bool has_key = demands->key_view != NULL, key_by_row = has_key && (demands->count == 1 || together == ROWS_APART);
    size_t accounts = accounts_count(demands);
    demands->each = arena_room(arena, demands_most(demands) * sizeof(*demands->each));
    demands->each_count = 0;
    demands->admission.items_count = demands->count;
    if (accounts > 1) demands->items = arena_room(arena, (2 * accounts * demands->count + 1) * sizeof(*demands->items));
    enum account_fault fault = demand_rows_begin(demands, together, key_by_row);
    for (struct demands *below = demands; below->above && fault == ACCOUNT_FAULT_NONE; below = below->above) {
        struct demands *above = below->above;
        above->items = arena_room(arena, above->count * sizeof(*above->items));
        uint32_t first = demands->each_count;
        fault = demand_rows_begin(above, together, false);
        if (fault == ACCOUNT_FAULT_NONE) bound_by_shares(above, first);
        if (fault != ACCOUNT_FAULT_NONE) return lineage_fault(above->decision, above->account, fault);
        link_rows(below, above);
    }
    if (fault == ACCOUNT_FAULT_NONE && has_key && !key_by_row) fault = demand_rows_begin_key(demands);
    return fault;
}

/* ---- settling ---------------------------------------------------------------------------------------------- */

static enum account_fault settle_rows(struct demands *demands, bool *counts_as)
{
    struct account_decision *decision = demands->decision;
    enum account_fault fault = emit_account(demands->account, own_of(demands), &demands->meanwhile);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    *counts_as = false;
    for (uint32_t i = 0; i < demands->count; i++) {
        struct resource_view *view = &demands->views[i];
        decision->fault_subject = demands->wanted[i].resource;
        resource_view_begin(demands->account, demands->wanted[i].resource, view);
        fault = resource_view_settle(demands->account, view, &demands->meanwhile);
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        *counts_as = *counts_as || demands_counts_as(demands, i);
    }
    return ACCOUNT_FAULT_NONE;
}

/* Some plan has to know each resource: that of the account, or of one above. */
static enum account_fault unknown_fault(const struct demands *demands)
{
    for (uint32_t i = 0; i < demands->count; i++) {
        const struct demands *knows = demands;
        while (knows && !demands_knows(knows, i)) knows = knows->above;
        demands->decision->fault_subject = demands->wanted[i].resource;
        if (!knows) return ACCOUNT_FAULT_RESOURCE;
    }
    return ACCOUNT_FAULT_NONE;
}

/* Resources that rows of a settled account are counted AS. */
static enum account_fault add_as(struct demands *demands)
{
    struct account_view *account = demands->account;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    bool counts_as;
    if (add_targets(demands) && account->changes_count > 0) {
        /* All resources that are not the request's own have been written down: those that it counts are. */
        demands->meanwhile.size = 0;
        account->slots_count = account->account ? account->account->slots_count : 0;
        fault = settle_rows(demands, &counts_as);
    }
    return fault == ACCOUNT_FAULT_NONE ? settle_targets(demands) : fault;
}

/* The accounts above, each for itself. */
static enum account_fault settle_above(struct demands *demands)
{
    for (struct demands *above = demands->above; above; above = above->above) {
        bool counts_as;
        enum account_fault fault = settle_rows(above, &counts_as);
        if (fault == ACCOUNT_FAULT_NONE && counts_as) fault = add_as(above);
        if (fault != ACCOUNT_FAULT_NONE) return lineage_fault(above->decision, above->account, fault);
    }
    return ACCOUNT_FAULT_NONE;
}

static enum account_fault settle_all(struct demands *demands, enum rows_together together)
{
    bool counts_as;
    demands->admission.common = NOT_SHARED;
    begin_key_view(demands);
    enum account_fault fault = settle_rows(demands, &counts_as);
    if (fault == ACCOUNT_FAULT_NONE) fault = settle_above(demands);
    if (fault == ACCOUNT_FAULT_NONE) fault = unknown_fault(demands);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (!counts_as && !demands->key_view && !demands->above) {
        for (uint32_t i = 0; i < demands->count; i++) {
            demand_begin(&demands->each[i], demands->account, &demands->views[i], demands->wanted[i].amount);
            demands->items[i] = (struct admission_item){.first = i, .end = i + 1, .shared = NOT_SHARED};
        }
        demands->admission.items_count = demands->count;
        return ACCOUNT_FAULT_NONE;
    }
    if (counts_as || demands->key_view) fault = add_as(demands);
    return fault == ACCOUNT_FAULT_NONE ? begin_together(demands, together) : fault;
}

/* The demands of one account become those of units that were used before now. */
static enum account_fault backdate_all(struct demands *demands, int64_t at_us)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < demands->root->each_count && fault == ACCOUNT_FAULT_NONE; i++) {
        struct demand *demand = &demands->root->each[i];
        if (demand->account != demands->account || demand->key) continue;
        demands->decision->fault_subject = demand->view->resource;
        fault = backdate_demand(demand, at_us, &demands->meanwhile);
    }
    return fault;
}

enum account_fault demands_settle(struct demands *demands, enum rows_together together)
{
    enum account_fault fault = settle_all(demands, together);
    if (fault != ACCOUNT_FAULT_NONE || demands->at_us == 0) return fault;
    if (demands->at_us > demands->account->now_us) return ACCOUNT_FAULT_AT_FUTURE;
    fault = backdate_all(demands, demands->at_us);
    for (struct demands *above = demands->above; above && fault == ACCOUNT_FAULT_NONE; above = above->above) {
        fault = backdate_all(above, demands->at_us);
        if (fault != ACCOUNT_FAULT_NONE) fault = lineage_fault(above->decision, above->account, fault);
    }
    return fault;
}

/* ---- deciding ---------------------------------------------------------------------------------------------- */

enum account_fault demands_peek(struct demands *demands, enum request_mode mode, bool any)
{
    uint32_t items_count = demands->admission.items_count, common = demands->admission.common;
    /* How much of the whole a key's rates admit would not say which row gives way. */
    if (common != NOT_SHARED && mode == MODE_UPTO) return ACCOUNT_FAULT_KEY_UPTO;
    demands->admission = (struct admission){.demands = demands->each,
                                            .count = demands->each_count,
                                            .items_count = items_count,
                                            .common = common,
                                            .mode = mode,
                                            .any = any};
    enum account_fault fault = admission_peek(&demands->admission, demands->items, items_count);
    demands->decision->denied = !demands->admission.admitted;
    /* Where nothing is taken no slot has begun either. */
    bool takes = demands->admission.admitted && mode != MODE_PEEK;
    for (struct demands *of = demands; !takes && of; of = of->above) {
        const struct account *stored = of->account->account;
        of->account->slots_count = stored ? stored->slots_count : 0;
    }
    return fault;
}

/* Does this account decide about any row? One above that does not is passed. */
static bool knows_any(const struct demands *demands)
{
    uint32_t row = 0;
    while (row < demands->count && !demands_knows(demands, row)) row++;
    return row < demands->count;
}

/* What time has done to resources that nothing is taken of is among the changes already: they are written down, too. */
static enum account_fault emit_not_taken(struct demands *demands)
{
    const struct demands *root = demands->root;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < demands->views_count && fault == ACCOUNT_FAULT_NONE; i++) {
        struct resource_view *view = &demands->views[i];
        bool taken = false;
        for (uint32_t k = 0; k < root->each_count; k++)
            taken = taken || (root->each[k].chosen && root->each[k].view == view);
        if (taken || !resource_needs_storing(view)) continue;
        fault = emit_resource(demands->account, view, &demands->decision->changes);
    }
    return fault;
}

/* Units that are used of a resource, of all rows; those that are held are used when they are posted. False where
 * nothing is taken of it. */
static bool find_used(const struct demands *demands, const struct resource_view *view, int64_t *units)
{
    const struct demands *root = demands->root;
    bool taken = false;
    *units = 0;
    for (uint32_t i = 0; i < root->each_count; i++) {
        const struct demand *demand = &root->each[i];
        if (demand->view != view || !demand->chosen || demand->stands_aside) continue;
        taken = true;
        if (!demand->holds) *units = add_clamped(*units, demand->units - demand->from_below);
    }
    return taken;
}

/* What the account below has used of an account above. */
static enum account_fault emit_member(struct demands *demands)
{
    struct sink *changes = &demands->decision->changes;
    int64_t number;
    enum account_fault fault = membership_join(demands->account, demands->member, changes, &number);
    for (uint32_t i = 0; i < demands->views_count && fault == ACCOUNT_FAULT_NONE; i++) {
        struct resource_view *view = &demands->views[i];
        int64_t units, at_us = demands->root->at_us > 0 ? demands->root->at_us : demands->account->now_us;
        if (!find_used(demands, view, &units)) continue;
        pool_share_emit(&demands->shares[i], view, number, changes);
        membership_use(demands->account, view, number, units, at_us, changes);
    }
    return fault;
}

enum account_fault demands_take(struct demands *demands)
{
    sink_raw(&demands->decision->changes, demands->meanwhile.data, demands->meanwhile.size);
    for (struct demands *of = demands->above; of; of = of->above) {
        if (knows_any(of)) sink_raw(&of->decision->changes, of->meanwhile.data, of->meanwhile.size);
    }
    enum account_fault fault = admission_take(&demands->admission);
    if (!demands->above) return fault;
    bool others_follow = demands->admission.any; /* the caller writes them down */
    if (fault == ACCOUNT_FAULT_NONE && !others_follow) fault = emit_not_taken(demands);
    for (struct demands *above = demands->above; above && fault == ACCOUNT_FAULT_NONE; above = above->above) {
        if (!knows_any(above)) continue;
        fault = emit_not_taken(above);
        if (fault == ACCOUNT_FAULT_NONE) fault = emit_member(above);
        if (fault != ACCOUNT_FAULT_NONE) fault = lineage_fault(above->decision, above->account, fault);
    }
    return fault;
}

/* The rule of a verdict, where it is one of the resource that the row is counted as; it may be one of an account above.
 */
static void add_cause(struct demands *demands, uint32_t row, const struct verdict *verdict)
{
    struct verdict cause = *verdict;
    for (; demands->above && cause.rule >= LEVEL_RULES; cause.rule -= LEVEL_RULES) demands = demands->above;
    struct resource_view *view = &demands->views[row];
    if (!demands_knows(demands, row)) return; /* a rule of the API key */
    bool of_other = cause.rule >= (int32_t)view->entitlement->rules_count && cause.rule < KEY_RULES;
    if (demands_counts_as(demands, row) && of_other) {
        cause.rule -= (int32_t)view->entitlement->rules_count;
        view = &demands->views[demand_rows_find_name(demands, view->entitlement->as, demands->names_count)];
    }
    decision_add_cause(demands->decision, view, &cause, demands->wanted[row].amount);
}

/* Units that the account's credits pay for; of rows that are counted as one the first is said to use them. */
static int64_t funded_of(const struct demands *demands, const struct admission_item *item)
{
    int64_t funded = 0;
    for (uint32_t i = item->first; i < item->end; i++)
        funded = add_clamped(funded, max_i64(demands->each[i].units - demands->each[i].limited, 0));
    if (item->shared == NOT_SHARED || item->before > 0 || demands->each[item->shared].key) return funded;
    const struct demand *sum = &demands->each[item->shared];
    return add_clamped(funded, max_i64(sum->units - sum->limited, 0));
}

void demands_answer(struct demands *demands)
{
    struct account_decision *decision = demands->decision;
    struct verdict *verdicts = decision->result.consumed.verdicts;
    uint32_t count = decision->result.consumed.count = demands->count;
    for (uint32_t i = 0; i < count; i++) {
        admission_verdict(&demands->admission, &demands->items[i], &verdicts[i]);
        bool taken = demands->admission.admitted && verdicts[i].granted > 0;
        decision->result.consumed.funded[i] = taken ? funded_of(demands, &demands->items[i]) : 0;
        if (decision->denied && verdicts[i].wait_us != 0) add_cause(demands, i, &verdicts[i]);
    }
    bool all_or_none = count > 1 && decision->denied && !demands->admission.any;
    if (all_or_none) admission_align_waits(&demands->admission, demands->items, count, verdicts);
    bool clock_is_behind = demands->account->clock_us < demands->account->now_us;
    for (uint32_t i = 0; clock_is_behind && i < count; i++) {
        verdicts[i].wait_us = account_view_wait_us(demands->account, verdicts[i].wait_us);
        verdicts[i].reset_us = account_view_wait_us(demands->account, verdicts[i].reset_us);
    }
}

enum account_fault demands_name_rows(struct demands *demands)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; demands->above && i < demands->count && fault == ACCOUNT_FAULT_NONE; i++) {
        if (demands_knows(demands, i)) continue;
        fault = emit_slot(demands->account, &demands->views[i], &demands->decision->changes);
    }
    return fault;
}

/* ---- levels -------------------------------------------------------------------------------------------------- */

/* Where a row of an account above was charged. */
static void add_level_parts(const struct demands *above, uint32_t row, struct sink *parts)
{
    struct demand_part of_row[2];
    uint32_t count = demands_parts(above, row, of_row);
    for (uint32_t i = 0; i < count; i++) {
        const struct resource_view *view = of_row[i].view;
        level_part_add(parts, &(struct level_part){.item = row,
                                                   .resource = view->resource,
                                                   .cost = of_row[i].cost,
                                                   .generation = view->generation,
                                                   .charged = of_row[i].charged,
                                                   .funding = of_row[i].funding});
    }
}

void demands_levels(const struct demands *demands, bool with_parts, struct sink *levels)
{
    for (const struct demands *above = demands->above; above; above = above->above) {
        struct sink parts = {0};
        for (uint32_t row = 0; with_parts && row < above->count; row++) add_level_parts(above, row, &parts);
        struct bytes member = above == demands->above ? (struct bytes){"", 0} : above->member;
        if (knows_any(above)) level_add(levels, &(struct level){above->name, sink_content(&parts), member});
        sink_free(&parts);
    }
}

/* ---- denials ----------------------------------------------------------------------------------------------- */

/* A denied resource gets a slot, for the record to name, or for the rates that begin with the denial. Where the account
 * has moved to another plan it is written down as it is now, like all the others; so it is where its rates are others
 * by now, which take over once. */
static enum account_fault emit_denied(struct demand *demand)
{
    struct account_view *account = demand->account;
    struct resource_view *view = demand->view;
    enum account_fault fault;
    bool begins = demand_begins_rates(demand);
    if (account->changes_count == 0 && view->rates_us == 0) {
        bool is_new = view->index < 0; /* cycles of a LIMIT with ROLLOVER begin to be kept */
        fault = is_new ? emit_resource(account, view, account->effects) : ACCOUNT_FAULT_NONE;
    } else {
        resource_view_begin(account, view->resource, view);
        fault = resource_view_settle(account, view, account->effects);
        if (fault == ACCOUNT_FAULT_NONE) {
            fault = begins ? emit_but_rates(account, view, account->effects)
                           : emit_resource(account, view, account->effects);
        }
    }
    /* Under the rules of now: it takes over what was used under others, too. */
    if (fault == ACCOUNT_FAULT_NONE && begins) demand_emit_begun(demand);
    return fault;
}

/* The last demand of a resource: where rows are summed, the sum. */
static struct demand *last_of(const struct demands *root, const struct resource_view *view)
{
    uint32_t i = root->each_count - 1;
    while (i > 0 && root->each[i].view != view) i--;
    return &root->each[i];
}

/* Is it one of this account's? Those of a key are not: its rates begin with nothing. */
static bool is_own(const struct demands *demands, const struct demand *demand)
{
    return demand->account == demands->account && !demand->key;
}

static bool begins_rates(const struct demands *demands)
{
    for (uint32_t i = 0; i < demands->root->each_count; i++) {
        const struct demand *demand = &demands->root->each[i];
        if (is_own(demands, demand) && demand_begins_rates(demand)) return true;
    }
    return false;
}

/* The denial of one account, which is remembered or begins rates. */
static enum account_fault emit_denial_of(struct demands *demands, bool is_remembered)
{
    struct demands *root = demands->root;
    bool emitted[DEMANDS_MAX] = {false};
    enum account_fault fault = emit_account(demands->account, own_of(demands), &demands->decision->changes);
    for (uint32_t i = 0; i < root->each_count && fault == ACCOUNT_FAULT_NONE; i++) {
        if (!is_own(demands, &root->each[i])) continue;
        struct demand *demand = last_of(root, root->each[i].view);
        bool *done = &emitted[demand->view - demands->views];
        /* Behind a SWITCH all are written down, and those of the request are not among the others. */
        bool moves =
            demands->account->changes_count > 0 && (demand->view->index >= 0 || resource_needs_storing(demand->view));
        if (*done || (!is_remembered && !demand_begins_rates(demand) && !moves)) continue;
        *done = true;
        fault = emit_denied(demand);
    }
    return fault;
}

/* A denial makes the shares of a cycle where they are not made yet: they are not found out again by the next one. */
static enum account_fault emit_first_shares(struct demands *above)
{
    struct sink *changes = &above->decision->changes;
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    bool begun = changes->size > 0;
    for (uint32_t i = 0; i < above->views_count && fault == ACCOUNT_FAULT_NONE; i++) {
        const struct pool_share *found = &above->shares[i];
        struct resource_view *view = &above->views[i];
        if (!found->is_shared || found->divided) continue;
        if (!begun) fault = emit_account(above->account, own_of(above), changes);
        begun = true;
        resource_view_begin(above->account, view->resource, view);
        if (fault == ACCOUNT_FAULT_NONE) fault = resource_view_settle(above->account, view, changes);
        if (fault == ACCOUNT_FAULT_NONE) fault = emit_resource(above->account, view, changes);
        if (fault == ACCOUNT_FAULT_NONE) pool_share_emit(found, view, 0, changes);
    }
    return fault;
}

enum account_fault demands_emit_denial(struct demands *demands, bool is_remembered)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    if (is_remembered || begins_rates(demands)) fault = emit_denial_of(demands, is_remembered);
    for (struct demands *above = demands->above; above && fault == ACCOUNT_FAULT_NONE; above = above->above) {
        if (begins_rates(above)) fault = emit_denial_of(above, false);
        if (fault == ACCOUNT_FAULT_NONE) fault = emit_first_shares(above);
        if (fault != ACCOUNT_FAULT_NONE) fault = lineage_fault(above->decision, above->account, fault);
    }
    return fault;
}

/* ---- parts ------------------------------------------------------------------------------------------------- */

/* What paid for the units of a row in the sum that it belongs to. */
static struct bytes shared_funding(const struct demands *demands, const struct admission_item *item, int64_t units)
{
    const struct demand *sum = &demands->root->each[item->shared];
    struct bytes whole = demand_funding(sum);
    char stack_buffer[128];
    if (whole.size == 0) return whole;
    struct sink cut = sink_init(stack_buffer, sizeof(stack_buffer));
    funding_cut(whole, sum->units, item->before, item->before + units, &cut);
    char *copy = arena_room(demands->account->arena, cut.size + 1);
    memcpy(copy, cut.data, cut.size);
    struct bytes bytes = {copy, cut.size};
    sink_free(&cut);
    return bytes;
}

static struct charged charged_by(const struct demand *demand)
{
    return demand->charged ? *demand->charged : charged_of(demand->view->entitlement);
}

uint32_t demands_parts(const struct demands *demands, uint32_t row, struct demand_part parts[2])
{
    const struct admission_item *item = &demands->items[row];
    const struct resource_view *view = &demands->views[row];
    const struct demand *each = demands->root->each, *own = &each[item->first];
    bool as = demands_counts_as(demands, row), shared = item->shared != NOT_SHARED;
    if (!demands_knows(demands, row)) return 0;
    int64_t cost = view->entitlement->cost;
    parts[0] = (struct demand_part){.view = view, .cost = entitlement_cost(view->entitlement)};
    parts[0].units = own->granted * parts[0].cost;
    parts[0].charged = charged_by(own);
    if (as || !shared) parts[0].funding = demand_funding(own);
    if (!as && shared) parts[0].funding = shared_funding(demands, item, parts[0].units);
    if (!as) return 1;
    const struct demand *other = shared ? &each[item->shared] : &each[item->first + 1];
    parts[1] = (struct demand_part){.view = other->view, .cost = cost, .units = own->granted * cost};
    parts[1].charged = charged_by(other);
    parts[1].funding = shared ? shared_funding(demands, item, parts[1].units) : demand_funding(other);
    return 2;
}

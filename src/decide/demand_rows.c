/* Rows become demands, alone or as sums; see demand_rows.h. */
#include "quota/decide/demand_rows.h"
#include "quota/base/checked.h"

uint32_t demand_rows_find_name(const struct demands *demands, struct bytes name, uint32_t count)
{
    uint32_t at = 0;
    while (at < count && !bytes_equal(demands->names[at], name)) at++;
    return at;
}

/* Which resource counts each row, and how many rows each of them counts. */
struct targets {
    uint32_t of[BATCH_ITEMS_MAX]; /* among the views */
    uint32_t rows[DEMANDS_MAX];
};

static enum account_fault find_targets(const struct demands *demands, enum rows_together together,
                                       struct targets *targets)
{
    for (uint32_t i = 0; i < demands->count; i++) {
        targets->of[i] = i;
        if (!demands_knows(demands, i)) continue;
        struct bytes as = demands->views[i].entitlement->as;
        if (as.size > 0) targets->of[i] = demand_rows_find_name(demands, as, demands->names_count);
        const struct entitlement *counting = demands->views[targets->of[i]].entitlement;
        demands->decision->fault_subject = demands->names[counting ? i : targets->of[i]];
        if (!counting) return ACCOUNT_FAULT_RESOURCE; /* a row that only other plans know */
        if (as.size > 0 && counting->as.size > 0) return ACCOUNT_FAULT_CHAIN;
        if (++targets->rows[targets->of[i]] > 1 && together == ROWS_DISTINCT) return ACCOUNT_FAULT_TOGETHER;
    }
    return ACCOUNT_FAULT_NONE;
}

/* Room for one more, of all accounts together. */
static struct demand *next_demand(const struct demands *demands)
{
    struct demands *root = demands->root;
    return &root->each[root->each_count++];
}

/* ---- the RATEs of an API key ------------------------------------------------------------------------------- */

static void begin_key(struct demands *demands, int64_t amount)
{
    struct demand *demand = next_demand(demands);
    demand_begin(demand, demands->account, demands->key_view, amount);
    demand->key = demands->key;
}

enum account_fault demand_rows_begin_key(struct demands *demands)
{
    int64_t total = 0;
    for (uint32_t i = 0; i < demands->count; i++) {
        if (!add_checked(total, demands->wanted[i].amount, &total)) return ACCOUNT_FAULT_OVERFLOW;
    }
    demands->admission.common = demands->each_count;
    demands->items[demands->admission.items_count++] =
        (struct admission_item){.first = demands->each_count, .end = demands->each_count + 1, .shared = NOT_SHARED};
    begin_key(demands, total);
    return ACCOUNT_FAULT_NONE;
}

/* ---- sums -------------------------------------------------------------------------------------------------- */

/* The rows that one resource counts together. */
struct sum {
    const struct targets *targets;
    uint32_t target; /* among the views */
    int64_t unit;    /* the largest number that divides what each of the rows counts as */
    int64_t total;   /* units */
};

static bool is_of_sum(const struct sum *sum, uint32_t row)
{
    return sum->targets->of[row] == sum->target;
}

static int64_t cost_of(const struct demands *demands, uint32_t row)
{
    return demands->views[row].entitlement->cost;
}

/* The account next below that decides about a row of the sum; NULL = none does. */
static const struct demands *next_below(const struct demands *demands, const struct sum *sum)
{
    const struct demands *found = NULL;
    for (const struct demands *below = demands->root; below != demands; below = below->above) {
        for (uint32_t i = 0; i < demands->count; i++) {
            if (is_of_sum(sum, i) && demands_knows(below, i)) found = below;
        }
    }
    return found;
}

/* Does the account below sum the same rows, each for as large a part of it? `at`: the demand of that sum. */
static bool is_same_sum(const struct demands *demands, const struct sum *sum, const struct demands *below, uint32_t at)
{
    for (uint32_t i = 0; i < demands->count; i++) {
        bool is_there = below->items[i].shared == at;
        if (is_there != is_of_sum(sum, i)) return false;
        if (is_there && cost_of(demands, i) / sum->unit != cost_of(below, i) / demands->root->each[at].cost)
            return false;
    }
    return true;
}

/* The item of a sum, by its demand; NULL = there is none. */
static struct admission_item *find_item(const struct demands *root, uint32_t at)
{
    for (uint32_t i = root->count; i < root->admission.items_count; i++) {
        for (struct admission_item *item = &root->items[i]; item; item = item->above) {
            if (item->first == at) return item;
        }
    }
    return NULL;
}

/* The item of the same sum below this one; NULL = there is none. */
static struct admission_item *find_same_below(const struct demands *demands, const struct sum *sum)
{
    const struct demands *below = next_below(demands, sum);
    uint32_t row = 0;
    while (!is_of_sum(sum, row)) row++;
    uint32_t at = below ? below->items[row].shared : NOT_SHARED;
    return at != NOT_SHARED && is_same_sum(demands, sum, below, at) ? find_item(demands->root, at) : NULL;
}

/* Finds the total and the unit, and says in the rows' items where they stand in the sum. */
static enum account_fault sum_rows(struct demands *demands, struct sum *sum)
{
    int64_t units;
    for (uint32_t i = 0; i < demands->count; i++) {
        if (!is_of_sum(sum, i)) continue;
        demands->items[i].shared = demands->root->each_count;
        demands->items[i].before = sum->total;
        bool fits = multiply_checked(demands->wanted[i].amount, cost_of(demands, i), &units);
        if (!fits || !add_checked(sum->total, units, &sum->total)) return ACCOUNT_FAULT_OVERFLOW;
        sum->unit = greatest_divisor(cost_of(demands, i), sum->unit);
    }
    return ACCOUNT_FAULT_NONE;
}

/* One demand for all rows that this resource counts. */
static enum account_fault begin_sum(struct demands *demands, const struct targets *targets, uint32_t target)
{
    struct sum sum = {.targets = targets, .target = target};
    struct demands *root = demands->root;
    uint32_t at = root->each_count;
    enum account_fault fault = sum_rows(demands, &sum);
    if (fault != ACCOUNT_FAULT_NONE || sum.unit == 0) return fault; /* 0: it has no rows */
    struct admission_item *below = find_same_below(demands, &sum);
    struct admission_item *item =
        below ? arena_room(root->account->arena, sizeof(*item)) : &root->items[root->admission.items_count++];
    *item = (struct admission_item){.first = at, .end = at + 1, .shared = NOT_SHARED};
    if (below) below->above = item;
    demand_begin_as(next_demand(demands), demands->account, &demands->views[target], sum.total / sum.unit, sum.unit);
    return ACCOUNT_FAULT_NONE;
}

/* ---- rows -------------------------------------------------------------------------------------------------- */

/* The demands of a row that stands for itself, or of one whose units are requested as a sum: they stand together. */
static void begin_row(struct demands *demands, uint32_t row, uint32_t target, bool summed, bool with_key)
{
    struct account_view *account = demands->account;
    struct resource_view *view = &demands->views[row];
    struct admission_item *item = &demands->items[row];
    int64_t amount = demands->wanted[row].amount;
    bool as = demands_counts_as(demands, row);
    *item = (struct admission_item){.first = demands->root->each_count, .shared = NOT_SHARED};
    item->shift = as ? (int32_t)view->entitlement->rules_count : 0;
    struct demand *own = demands_knows(demands, row) ? next_demand(demands) : NULL;
    if (!own) {
        /* Those above decide. */
    } else if (as || !summed) {
        demand_begin(own, account, view, amount);
    } else {
        demand_begin_nothing(own, account, view, amount);
    }
    if (as && !summed) {
        struct demand *other = next_demand(demands);
        demand_begin_as(other, account, &demands->views[target], amount, view->entitlement->cost);
    }
    if (with_key) begin_key(demands, amount);
    item->end = demands->root->each_count;
}

enum account_fault demand_rows_begin(struct demands *demands, enum rows_together together, bool key_by_row)
{
    struct targets targets = {0};
    enum account_fault fault = find_targets(demands, together, &targets);
    for (uint32_t i = 0; i < demands->count && fault == ACCOUNT_FAULT_NONE; i++) {
        bool summed = together == ROWS_SUMMED && targets.rows[targets.of[i]] > 1;
        begin_row(demands, i, targets.of[i], summed, key_by_row);
    }
    for (uint32_t i = 0; i < demands->views_count && fault == ACCOUNT_FAULT_NONE; i++) {
        if (together == ROWS_SUMMED && targets.rows[i] > 1) fault = begin_sum(demands, &targets, i);
    }
    return fault;
}

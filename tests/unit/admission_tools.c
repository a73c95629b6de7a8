/* Sides and purses; see admission_tools.h. */
#include "admission_tools.h"

void side_open(struct side *side, const char *plan, const char *text)
{
    *side = (struct side){.pair = {0}};
    plan_set(plan, text);
    pair_open(&side->pair, plan, T);
}

void side_begin(struct side *side, const char *resource, int64_t amount, int64_t at_us, struct demand *demand)
{
    struct bytes name = text_bytes(resource);
    assert_int_equal(account_view_begin(&side->account, side->pair.account, &host, at_us), ACCOUNT_FAULT_NONE);
    side->account.effects = &side->changes;
    struct resource_names own = {&name, 1};
    assert_int_equal(emit_account(&side->account, own, &side->changes), ACCOUNT_FAULT_NONE);
    resource_view_begin(&side->account, name, &side->view);
    assert_int_equal(resource_view_settle(&side->account, &side->view, &side->changes), ACCOUNT_FAULT_NONE);
    demand_begin(demand, &side->account, &side->view, amount);
}

void side_end(struct side *side, bool applies)
{
    struct account_change change = {side->account.now_us, sink_content(&side->changes), ACCOUNT_ENCODING_NEWEST};
    account_view_end(&side->account);
    if (applies && side->changes.size > 0) {
        assert_true(account_accepts(side->pair.account, &change));
        side->pair.account = account_apply(side->pair.account, &change);
    }
    sink_free(&side->changes);
    side->changes = (struct sink){0};
}

void side_close(struct side *side)
{
    pair_end(&side->pair);
}

static struct purse *purse_of(const struct position *position)
{
    return position->source;
}

static int64_t purse_available(const struct position *position)
{
    return purse_of(position)->left;
}

static enum account_fault purse_check(const struct position *position, int64_t units)
{
    return units > purse_of(position)->largest ? ACCOUNT_FAULT_OVERFLOW : ACCOUNT_FAULT_NONE;
}

static void purse_judge(const struct position *position, int64_t units, struct verdict *verdict)
{
    (void)units; /* a purse denies nothing: the limits do */
    int64_t left = purse_of(position)->left;
    *verdict = (struct verdict){.limit = left, .remaining = left, .reset_us = NEVER_US, .rule = position->number};
}

static void purse_take(struct position *position, int64_t units)
{
    struct purse *purse = purse_of(position);
    if (purse->left != UNLIMITED) purse->left -= units;
    assert_true(purse->left >= UNLIMITED);
}

static const struct meter meter_purse = {.kind = "purse",
                                         .funds = true,
                                         .available = purse_available,
                                         .check = purse_check,
                                         .judge = purse_judge,
                                         .take = purse_take};

void add_purse(struct demand *demand, struct purse *purse)
{
    demand->positions[demand->positions_count] = (struct position){
        .meter = &meter_purse, .demand = demand, .number = 50 + (int32_t)demand->positions_count, .source = purse};
    demand->positions_count++;
}

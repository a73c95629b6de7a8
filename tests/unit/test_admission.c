/* Admission: one demand, several items, one item that two accounts must admit; each against simple sums. */
#include "admission_tools.h"
#include "quota/base/checked.h"
#include "quota/decide/admission_verdict.h"

/* ---- one demand ------------------------------------------------------------------------------------------ */

static void one_demand(void **state)
{
    (void)state;
    /* LIMIT 10, of which 4 are used, two units each; the rate admits four units a second */
    static const struct {
        enum request_mode mode;
        int64_t amount, granted, limited, used;
        int32_t rule;
    } rows[] = {
        {MODE_ALL, 1, 1, 2, 6, 1},  {MODE_ALL, 2, 2, 4, 8, 1},  {MODE_ALL, 3, 0, 0, 4, 1},
        {MODE_ALL, 4, 0, 0, 4, 1},  {MODE_UPTO, 9, 2, 4, 8, 1}, {MODE_UPTO, 1, 1, 2, 6, 1},
        {MODE_PEEK, 2, 2, 4, 4, 1}, {MODE_PEEK, 3, 0, 0, 4, 1}, {MODE_FORCE, 9, 9, 18, 22, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct side side;
        struct demand demand;
        struct verdict verdict;
        const struct admission_item item = {0, 1};
        side_open(&side, "pro", "a LIMIT 10 1h RATE FIXED 4 1s COST 2");
        pair_consume(&side.pair, "a", 2, T);
        side_begin(&side, "a", rows[i].amount, T + S, &demand);
        struct admission admission = {.demands = &demand, .count = 1, .mode = rows[i].mode};
        assert_int_equal(admission_peek(&admission, &item, 1), ACCOUNT_FAULT_NONE);
        assert_int_equal(admission.admitted, rows[i].granted > 0);
        assert_int_equal(demand.granted, rows[i].granted);
        assert_int_equal(demand.units, 2 * rows[i].granted);
        if (rows[i].granted > 0) assert_int_equal(demand.limited, rows[i].limited);
        assert_int_equal(side.view.windows[0].used, 4); /* a peek changes nothing */
        bool takes = rows[i].granted > 0 && rows[i].mode != MODE_PEEK;
        if (takes) assert_int_equal(admission_take(&admission), ACCOUNT_FAULT_NONE);
        assert_int_equal(demand.taken, takes);
        admission_verdict(&admission, &item, &verdict);
        assert_int_equal(verdict.granted, rows[i].granted);
        if (verdict.rule != rows[i].rule) fail_msg("row %zu: rule %d", i, verdict.rule);
        assert_true(rows[i].granted > 0 ? verdict.wait_us == 0 : verdict.wait_us != 0);
        side_end(&side, takes);
        assert_int_equal(used_of(&side.pair, "a", T + S), rows[i].used);
        side_close(&side);
        plan_drop("pro");
    }
}

static void numbers_that_would_wrap_are_faults(void **state)
{
    (void)state;
    struct side side;
    struct demand demand;
    const struct admission_item item = {0, 1};
    side_open(&side, "pro", "a LIMIT -1 1h COST 3");
    pair_consume(&side.pair, "a", 1, T);
    static const struct {
        enum request_mode mode;
        int64_t amount;
        enum account_fault fault;
    } rows[] = {{MODE_ALL, INT64_MAX / 3, ACCOUNT_FAULT_OVERFLOW},
                {MODE_ALL, INT64_MAX, ACCOUNT_FAULT_OVERFLOW},
                {MODE_FORCE, INT64_MAX, ACCOUNT_FAULT_OVERFLOW},
                {MODE_ALL, INT64_MAX / 3 - 1, ACCOUNT_FAULT_NONE}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        side_begin(&side, "a", rows[i].amount, T, &demand);
        struct admission admission = {.demands = &demand, .count = 1, .mode = rows[i].mode};
        if (admission_peek(&admission, &item, 1) != rows[i].fault) fail_msg("row %zu", i);
        side_end(&side, false);
    }
    side_close(&side);
}

/* ---- several items --------------------------------------------------------------------------------------- */

#define ITEMS 3

/* A request of one account for five of each of three resources. */
struct order {
    struct account_view account;
    struct resource_view views[ITEMS];
    struct demand demands[ITEMS];
    struct admission_item items[ITEMS];
    struct admission admission;
    struct sink changes;
};

static void order_begin(struct order *order, const struct pair *pair, bool any)
{
    static const char *const names[ITEMS] = {"a", "b", "c"};
    order->changes = (struct sink){0};
    assert_int_equal(account_view_begin(&order->account, pair->account, &host, T), ACCOUNT_FAULT_NONE);
    order->account.effects = &order->changes;
    for (uint32_t i = 0; i < ITEMS; i++) {
        struct resource_view *view = &order->views[i];
        resource_view_begin(&order->account, text_bytes(names[i]), view);
        assert_int_equal(resource_view_settle(&order->account, view, &order->changes), ACCOUNT_FAULT_NONE);
        demand_begin(&order->demands[i], &order->account, view, 5);
        order->items[i] = (struct admission_item){i, i + 1};
    }
    order->admission = (struct admission){.demands = order->demands, .count = ITEMS, .any = any, .mode = MODE_ALL};
}

static void all_or_any_of_several(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 10 1h | b LIMIT 10 1h | c LIMIT 10 ROLLING 1h");
    for (int row = 0; row < 8 * 2; row++) { /* of which of the three too much is used, and whether any will do */
        static struct order order;
        struct pair pair = {0};
        bool any = row & 8, spent[ITEMS];
        int first = -1, fits = 0;
        pair_open(&pair, "pro", T);
        for (int i = ITEMS; i-- > 0;) {
            const char name[] = {(char)('a' + i), '\0'};
            spent[i] = row >> i & 1;
            if (spent[i]) pair_consume(&pair, name, 6, T);
            fits += !spent[i];
            if (!spent[i]) first = i;
        }
        order_begin(&order, &pair, any);
        assert_int_equal(admission_peek(&order.admission, order.items, ITEMS), ACCOUNT_FAULT_NONE);
        bool admitted = any ? fits > 0 : fits == ITEMS;
        assert_int_equal(order.admission.admitted, admitted);
        if (admitted) assert_int_equal(admission_take(&order.admission), ACCOUNT_FAULT_NONE);
        for (int i = 0; i < ITEMS; i++) {
            struct verdict verdict;
            admission_verdict(&order.admission, &order.items[i], &verdict);
            bool taken = admitted && (!any || i == first);
            assert_int_equal(verdict.granted, taken ? 5 : 0);
            assert_int_equal(order.demands[i].taken, taken);
            assert_int_equal(verdict.wait_us, spent[i] ? H : 0);
            assert_int_equal(verdict.remaining, (spent[i] ? 4 : 10) - (taken ? 5 : 0));
        }
        account_view_end(&order.account);
        sink_free(&order.changes);
        pair_end(&pair);
    }
    plan_drop("pro");
}

/* ---- two accounts ---------------------------------------------------------------------------------------- */

/* A child and its parent: one item, a demand of each; rules of the parent are numbered from 100 on. */
struct family {
    struct side child, parent;
    struct demand demands[2];
    struct admission admission;
};

static const struct admission_item both = {0, 2};

static void family_begin(struct family *family, int64_t amount, enum request_mode mode, int64_t at_us)
{
    side_begin(&family->child, "a", amount, at_us, &family->demands[0]);
    side_begin(&family->parent, "a", amount, at_us, &family->demands[1]);
    struct demand *parent = &family->demands[1];
    for (uint32_t i = 0; i < parent->positions_count; i++) parent->positions[i].number += 100;
    family->admission = (struct admission){.demands = family->demands, .count = 2, .mode = mode};
}

static void family_end(struct family *family, bool applies)
{
    side_end(&family->child, applies);
    side_end(&family->parent, applies);
}

static const struct {
    const char *child, *parent;
    enum request_mode mode;
    int64_t amount, granted, remaining, wait_us;
    int32_t rule;
} family_rows[] = {
    /* granted: the smallest remaining decides, of equal ones the lowest number */
    {"a LIMIT 10 1h", "a LIMIT 30 1h", MODE_ALL, 4, 4, 6, 0, 0},
    {"a LIMIT 30 1h", "a LIMIT 10 1h", MODE_ALL, 4, 4, 6, 0, 100},
    {"a LIMIT 10 1h", "a LIMIT 10 2h", MODE_ALL, 4, 4, 6, 0, 0},
    {"a LIMIT -1 1h", "a LIMIT 50 1h LIMIT 9 2h", MODE_ALL, 4, 4, 5, 0, 101},
    /* denied by one of them, or by both: the longest wait */
    {"a LIMIT 10 1h", "a LIMIT 3 1h", MODE_ALL, 4, 0, 3, NEVER_US, 100},
    {"a LIMIT 3 1h", "a LIMIT 10 1h", MODE_ALL, 4, 0, 3, NEVER_US, 0},
    {"a LIMIT 3 1h", "a LIMIT 2 2h", MODE_ALL, 4, 0, 3, NEVER_US, 0},
    {"a LIMIT 10 1h", "a RATE FIXED 3 1s", MODE_ALL, 4, 0, 3, NEVER_US, 100},
    {"a LIMIT 10 1h RATE FIXED 9 1s", "a LIMIT 3 1h", MODE_ALL, 4, 0, 3, NEVER_US, 100},
    /* as much as the smaller pot holds, in amounts; what a unit counts differs */
    {"a LIMIT 10 1h", "a LIMIT 7 1h", MODE_UPTO, 99, 7, 0, 0, 100},
    {"a LIMIT 10 1h COST 3", "a LIMIT 7 1h", MODE_UPTO, 99, 3, 1, 0, 0},
    {"a LIMIT 10 1h", "a LIMIT 7 1h COST 4", MODE_UPTO, 99, 1, 3, 0, 100},
    {"a LIMIT 10 1h RATE FIXED 9 1s", "a LIMIT 7 1h RATE FIXED 5 1s", MODE_UPTO, 99, 5, 0, 0, 101},
    {"a LIMIT 10 1h", "a LIMIT 0 1h", MODE_UPTO, 99, 0, 0, NEVER_US, 100},
    /* a check answers the same, whatever is forced is charged to both */
    {"a LIMIT 10 1h", "a LIMIT 30 1h", MODE_PEEK, 4, 4, 10, 0, 0},
    {"a LIMIT 10 1h", "a LIMIT 3 1h", MODE_PEEK, 4, 0, 3, NEVER_US, 100},
    {"a LIMIT 10 1h", "a LIMIT 3 1h", MODE_FORCE, 4, 4, 0, 0, 100},
};

static void both_accounts_admit_or_nothing_is_charged(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(family_rows); i++) {
        static struct family family;
        struct verdict verdict;
        side_open(&family.child, "child", family_rows[i].child);
        side_open(&family.parent, "parent", family_rows[i].parent);
        family_begin(&family, family_rows[i].amount, family_rows[i].mode, T);
        assert_int_equal(admission_peek(&family.admission, &both, 1), ACCOUNT_FAULT_NONE);
        bool takes = family.admission.admitted && family_rows[i].mode != MODE_PEEK;
        for (int k = 0; k < 2; k++) {
            assert_int_equal(family.demands[k].granted, family_rows[i].granted);
            const struct resource_view *view = family.demands[k].view;
            for (uint32_t w = 0; w < view->windows_count; w++) assert_true(window_is_idle(&view->windows[w]));
        }
        if (takes) assert_int_equal(admission_take(&family.admission), ACCOUNT_FAULT_NONE);
        admission_verdict(&family.admission, &both, &verdict);
        if (verdict.granted != family_rows[i].granted || verdict.remaining != family_rows[i].remaining ||
            verdict.wait_us != family_rows[i].wait_us || verdict.rule != family_rows[i].rule) {
            fail_msg("row %zu: granted %lld remaining %lld wait %lld rule %d", i, (long long)verdict.granted,
                     (long long)verdict.remaining, (long long)verdict.wait_us, verdict.rule);
        }
        family_end(&family, takes);
        int64_t charged = takes ? family_rows[i].granted : 0;
        struct side *sides[] = {&family.child, &family.parent};
        for (int k = 0; k < 2; k++) {
            int64_t cost = entitlement_from(k == 0 ? family_rows[i].child : family_rows[i].parent).cost;
            assert_int_equal(used_of(&sides[k]->pair, "a", T), charged * cost);
            side_close(sides[k]);
        }
        plan_drop("child");
        plan_drop("parent");
    }
}

/* LIMIT n 1h of both, with costs: what fits is the least of what fits into each. */
struct sums {
    int64_t limits[2], costs[2], used[2], cycle;
};

static int64_t granted_by(const struct sums *sums, int64_t amount, enum request_mode mode)
{
    int64_t fits = INT64_MAX;
    for (int k = 0; k < 2; k++) fits = min_i64(fits, max_i64(sums->limits[k] - sums->used[k], 0) / sums->costs[k]);
    if (mode == MODE_FORCE) return amount;
    if (mode == MODE_UPTO) return min_i64(amount, fits);
    return amount <= fits ? amount : 0;
}

static void request_of_family(struct family *family, struct sums *sums, int64_t now_us)
{
    struct verdict verdict;
    int64_t cycle = (now_us - T) / H, amount = random_between(1, 9);
    if (cycle != sums->cycle) sums->used[0] = sums->used[1] = 0;
    sums->cycle = cycle;
    enum request_mode mode = (enum request_mode)random_below(4);
    int64_t wanted = granted_by(sums, amount, mode);
    family_begin(family, amount, mode, now_us);
    assert_int_equal(admission_peek(&family->admission, &both, 1), ACCOUNT_FAULT_NONE);
    assert_int_equal(family->admission.admitted, wanted > 0);
    bool takes = wanted > 0 && mode != MODE_PEEK;
    if (takes) assert_int_equal(admission_take(&family->admission), ACCOUNT_FAULT_NONE);
    admission_verdict(&family->admission, &both, &verdict);
    assert_int_equal(verdict.granted, wanted);
    assert_int_equal(verdict.wait_us != 0, wanted == 0);
    family_end(family, takes);
    for (int k = 0; k < 2; k++) {
        if (takes) sums->used[k] += wanted * sums->costs[k];
        const struct side *side = k == 0 ? &family->child : &family->parent;
        assert_int_equal(used_of(&side->pair, "a", now_us), sums->used[k]);
    }
}

static void two_accounts_agree_with_sums(void **state)
{
    (void)state;
    static const char *const texts[] = {"a LIMIT 40 1h", "a LIMIT 25 1h COST 2", "a LIMIT 90 1h COST 3"};
    for (int run = 0; run < 60; run++) {
        static struct family family;
        struct sums sums = {.cycle = 0};
        int64_t now_us = T;
        for (int k = 0; k < 2; k++) {
            const char *text = texts[random_below(3)];
            struct entitlement entitlement = entitlement_from(text);
            sums.limits[k] = entitlement.rules[0].limit;
            sums.costs[k] = entitlement.cost;
            side_open(k == 0 ? &family.child : &family.parent, k == 0 ? "child" : "parent", text);
        }
        for (int step = 0; step < 40; step++) {
            now_us += random_below(4) * 10 * MICROS_PER_MINUTE;
            request_of_family(&family, &sums, now_us);
        }
        side_close(&family.child);
        side_close(&family.parent);
        plan_drop("child");
        plan_drop("parent");
    }
}

/* What cannot be taken is found before anything is. */
static void a_purse_that_cannot_pay_is_a_fault_of_the_peek(void **state)
{
    (void)state;
    static struct side side;
    struct demand demand;
    struct purse purse = {.left = 100, .largest = 5};
    const struct admission_item item = {0, 1};
    side_open(&side, "pro", "a LIMIT 10 1h");
    side_begin(&side, "a", 16, T, &demand);
    add_purse(&demand, &purse);
    struct admission admission = {.demands = &demand, .count = 1, .mode = MODE_ALL};
    assert_int_equal(admission_peek(&admission, &item, 1), ACCOUNT_FAULT_OVERFLOW);
    assert_int_equal(purse.left, 100);
    assert_int_equal(side.view.windows[0].used, 0);
    side_end(&side, false);
    side_close(&side);
}

/* A purse of the child pays for what its own limits lack, never for the parent's. */
static void each_account_pays_for_itself(void **state)
{
    (void)state;
    static struct family family;
    struct purse purse = {.left = 10, .largest = 100};
    side_open(&family.child, "child", "a LIMIT 5 1h");
    side_open(&family.parent, "parent", "a LIMIT 12 1h");
    static const struct {
        enum request_mode mode;
        int64_t amount, granted, funded;
    } rows[] = {{MODE_ALL, 13, 0, 0}, {MODE_UPTO, 99, 12, 7}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        family_begin(&family, rows[i].amount, rows[i].mode, T);
        add_purse(&family.demands[0], &purse);
        assert_int_equal(admission_peek(&family.admission, &both, 1), ACCOUNT_FAULT_NONE);
        assert_int_equal(family.admission.admitted, rows[i].granted > 0);
        assert_int_equal(purse.left, 10);
        if (family.admission.admitted) assert_int_equal(admission_take(&family.admission), ACCOUNT_FAULT_NONE);
        assert_int_equal(purse.left, 10 - rows[i].funded);
        family_end(&family, rows[i].granted > 0);
    }
    assert_int_equal(used_of(&family.child.pair, "a", T), 5);
    assert_int_equal(used_of(&family.parent.pair, "a", T), 12);
    side_close(&family.child);
    side_close(&family.parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_demand),
        cmocka_unit_test(numbers_that_would_wrap_are_faults),
        cmocka_unit_test(all_or_any_of_several),
        cmocka_unit_test(both_accounts_admit_or_nothing_is_charged),
        cmocka_unit_test(two_accounts_agree_with_sums),
        cmocka_unit_test(a_purse_that_cannot_pay_is_a_fault_of_the_peek),
        cmocka_unit_test(each_account_pays_for_itself),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

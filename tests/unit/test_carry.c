/* What cycles hand on: the worked example of the header, a walk unit by unit beside the arithmetic, idle cycles in
 * closed form beside step by step, and the first cycle in which units fit. */
#include "account_tools.h"
#include "quota/account/carry.h"
#include "quota/base/checked.h"
#include <stdlib.h>

static struct entitlement entitlement_that_rolls(int64_t limit, int64_t bp, int64_t most, int64_t cycles)
{
    struct entitlement entitlement = entitlement_none(BYTES("calls"));
    entitlement.rules_count = 1;
    entitlement.rules[0] = (struct quota_rule){.kind = QUOTA_LIMIT,
                                               .limit = limit,
                                               .rollover_bp = bp,
                                               .rollover_max = most,
                                               .rollover_cycles = cycles,
                                               .period = {.unit = PERIOD_FIXED, .count = H}};
    return entitlement;
}

static struct carry_rules rules_of(const struct entitlement *entitlement)
{
    return (struct carry_rules){entitlement, &entitlement->rules[0]};
}

static int64_t lots_of(const struct carry *carry)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < carry->lots_count; i++) sum += carry->lots[i].units;
    return sum;
}

static void assert_equal(const struct carry *one, const struct carry *two)
{
    assert_int_equal(one->debt, two->debt);
    assert_int_equal(one->lots_count, two->lots_count);
    for (uint32_t i = 0; i < one->lots_count; i++) {
        assert_int_equal(one->lots[i].units, two->lots[i].units);
        assert_int_equal(one->lots[i].cycles, two->lots[i].cycles);
    }
}

/* ---- one cycle ------------------------------------------------------------------------------------------- */

#define CYCLES 6
static void unused_units_roll_over(void **state)
{
    (void)state;
    static const struct {
        int64_t limit, bp, most, cycles, used[CYCLES], held[CYCLES], limits[CYCLES + 1];
    } rows[] = {
        /* the header's example */
        {1000, 5000, 600, 2, {0, 200, 1500, 1000, 0, 0}, {0}, {1000, 1500, 1600, 1050, 1025, 1525, 1600}},
        /* idle: lots live for FOR cycles */
        {100, 10000, -1, 3, {0}, {0}, {100, 200, 300, 400, 400, 400, 400}},
        {100, 10000, -1, 1, {0}, {0}, {100, 200, 200, 200, 200, 200, 200}},
        /* a lot never rolls over again: of 200 in the second cycle 150 are used, 100 of them of the lot */
        {100, 10000, -1, 2, {0, 150, 0, 100, 100, 100}, {0}, {100, 200, 150, 250, 250, 250, 250}},
        /* rounded down; MAX 0 keeps nothing; all that was used, and more */
        {10, 3333, -1, 1, {8, 1, 10, 25, 0, 0}, {0}, {10, 10, 12, 10, 10, 13, 13}},
        {100, 10000, 0, 5, {0}, {0}, {100, 100, 100, 100, 100, 100, 100}},
        /* above MAX the oldest lots shrink; one lot alone may be too large */
        {100, 10000, 250, 3, {0, 0, 0, 90, 0, 0}, {0}, {100, 200, 300, 350, 350, 350, 350}},
        {100, 10000, 30, 3, {0}, {0}, {100, 130, 130, 130, 130, 130, 130}},
        /* what is held beyond the end counts as used */
        {100, 10000, -1, 1, {0, 20, 0, 0, 0, 0}, {60, 30, 0, 0, 0, 0}, {100, 140, 190, 200, 200, 200, 200}},
        /* unlimited and none */
        {UNLIMITED, 10000, -1, 3, {0}, {0}, {-1, -1, -1, -1, -1, -1, -1}},
        {0, 10000, -1, 3, {0}, {0}, {0}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct entitlement entitlement =
            entitlement_that_rolls(rows[i].limit, rows[i].bp, rows[i].most, rows[i].cycles);
        struct carry_rules rules = rules_of(&entitlement);
        struct carry carry = {.debt = 0};
        for (int cycle = 0; cycle <= CYCLES; cycle++) {
            if (carry_limit(&carry, &rules) != rows[i].limits[cycle]) {
                fail_msg("row %zu, cycle %d: %lld", i, cycle + 1, (long long)carry_limit(&carry, &rules));
            }
            if (cycle < CYCLES) carry_close(&carry, &rules, rows[i].limit, rows[i].used[cycle], rows[i].held[cycle]);
        }
    }
}

/* A debt is paid by the limit, then by the lots; what is paid does not roll over. */
static void debts_are_paid_before_anything_rolls_over(void **state)
{
    (void)state;
    static const struct {
        int64_t debt, lot, used, next_debt, next_lots;
    } rows[] = {
        {0, 0, 0, 0, 100},
        {30, 0, 0, 0, 70},
        {30, 0, 50, 0, 20},
        {30, 0, 90, 20, 0},
        /* a lot of two cycles: used first, and what is left of it stays */
        {0, 50, 20, 0, 130},
        {30, 50, 0, 0, 120},
        {30, 50, 60, 0, 60},
        /* the limit does not suffice */
        {120, 50, 0, 0, 30},
        {120, 50, 40, 10, 0},
        {120, 0, 0, 20, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct entitlement entitlement = entitlement_that_rolls(100, 10000, -1, 2);
        struct carry_rules rules = rules_of(&entitlement);
        struct carry carry = {.debt = rows[i].debt, .lots_count = rows[i].lot > 0, .lots = {{rows[i].lot, 2}}};
        entitlement.repay = true;
        carry_close(&carry, &rules, 100, rows[i].used, 0);
        if (carry.debt != rows[i].next_debt || lots_of(&carry) != rows[i].next_lots) {
            fail_msg("row %zu: debt %lld, lots %lld", i, (long long)carry.debt, (long long)lots_of(&carry));
        }
    }
}

/* The rules at the end of a cycle count: those before may have made lots that live longer. */
static void lots_outlive_their_rule(void **state)
{
    (void)state;
    struct entitlement long_lived = entitlement_that_rolls(100, 10000, -1, 3);
    struct entitlement short_lived = entitlement_that_rolls(100, 10000, -1, 1);
    struct entitlement none = entitlement_that_rolls(100, 0, 0, 0);
    struct carry_rules rules = rules_of(&long_lived), brief = rules_of(&short_lived), without = rules_of(&none);
    struct carry carry = {.debt = 0};
    carry_close(&carry, &rules, 100, 0, 0);
    carry_close(&carry, &brief, 100, 60, 0); /* 40 of the lot are left, and all of the limit */
    assert_int_equal(lots_of(&carry), 140);
    carry_close(&carry, &without, 100, 110, 0); /* the lot that ends first is used first: 10 of the other */
    assert_int_equal(lots_of(&carry), 30);
    carry_close(&carry, &without, 100, 0, 0);
    assert_int_equal(carry.lots_count, 0);
}

/* ---- a slow model ------------------------------------------------------------------------------------------ */

/* Every unit by itself: where it came from, and until when it can be used. */
#define UNITS_MAX 20000
struct slow {
    uint32_t count;
    int64_t born[UNITS_MAX], ends[UNITS_MAX]; /* cycles */
};

static int by_end(const void *left, const void *right)
{
    int64_t one = *(const int64_t *)left, two = *(const int64_t *)right;
    return one < two ? -1 : one > two;
}

/* One cycle: the units that end first go first, then the limit's own; of what is left of these some are kept. */
static void slow_close(struct slow *slow, const struct quota_rule *rule, int64_t cycle, int64_t used)
{
    int64_t ends[UNITS_MAX], kept = 0;
    uint32_t count = slow->count;
    for (uint32_t i = 0; i < count; i++) ends[i] = slow->ends[i] * 1000 + slow->born[i];
    qsort(ends, count, sizeof(*ends), by_end);
    slow->count = 0;
    for (uint32_t i = (uint32_t)min_i64(used, count); i < count; i++) {
        if (ends[i] / 1000 <= cycle) continue;
        slow->ends[slow->count] = ends[i] / 1000;
        slow->born[slow->count++] = ends[i] % 1000;
    }
    int64_t unused = max_i64(rule->limit - max_i64(used - count, 0), 0);
    for (int64_t unit = 1; unit <= unused; unit++) kept += unit * rule->rollover_bp / 10000 > kept;
    for (int64_t unit = 0; unit < kept; unit++) {
        slow->ends[slow->count] = cycle + rule->rollover_cycles;
        slow->born[slow->count++] = cycle;
    }
    while (rule->rollover_max >= 0 && slow->count > rule->rollover_max) { /* the oldest go */
        uint32_t oldest = 0;
        for (uint32_t i = 0; i < slow->count; i++) {
            if (slow->born[i] < slow->born[oldest]) oldest = i;
        }
        slow->ends[oldest] = slow->ends[--slow->count];
        slow->born[oldest] = slow->born[slow->count];
    }
}

static void lots_agree_with_single_units(void **state)
{
    (void)state;
    static struct slow slow;
    for (int run = 0; run < 300; run++) {
        int64_t most = random_below(2) ? -1 : random_between(0, 60);
        struct entitlement entitlement =
            entitlement_that_rolls(random_between(0, 30), random_between(1, 10000), most, random_between(1, 6));
        struct carry_rules rules = rules_of(&entitlement);
        struct carry carry = {.debt = 0};
        slow.count = 0;
        for (int64_t cycle = 1; cycle < 20; cycle++) {
            int64_t used = random_below(3) ? random_between(0, 60) : 0, held = random_below(4) ? 0 : random_below(9);
            carry_close(&carry, &rules, entitlement.rules[0].limit, used, held);
            slow_close(&slow, &entitlement.rules[0], cycle, used + held);
            assert_int_equal(lots_of(&carry), slow.count);
        }
    }
}

/* ---- idle cycles ----------------------------------------------------------------------------------------- */

static struct entitlement random_entitlement(void)
{
    int64_t bp = random_below(3) ? random_between(1, 10000) : 0, most = random_below(2) ? -1 : random_between(0, 40);
    struct entitlement entitlement = entitlement_that_rolls(random_between(-1, 15), bp, most, random_between(1, 6));
    entitlement.repay = random_below(3) > 0;
    entitlement.burst_bp = random_below(3) ? 0 : random_between(0, 20000);
    entitlement.grace_us = random_below(6) ? 0 : 5;
    entitlement.overage = random_below(4) == 0;
    entitlement.overage_max = entitlement.overage ? random_between(-1, 9) : -1;
    return entitlement;
}

/* A debt where the rules repay one, and any lots. */
static struct carry random_carry(const struct entitlement *entitlement)
{
    struct carry carry = {.debt = entitlement->repay && random_below(2) ? random_between(0, 80) : 0};
    bool limited = entitlement->rules[0].limit != UNLIMITED;
    for (uint32_t count = random_below(4); limited && carry.lots_count < count;) {
        carry.lots[carry.lots_count++] = (struct lot){random_between(1, 20), random_between(1, 8)};
    }
    if (!limited) carry.debt = 0;
    return carry;
}

static void idle_cycles_pass_as_step_by_step(void **state)
{
    (void)state;
    for (int run = 0; run < 2000; run++) {
        struct entitlement entitlement = random_entitlement();
        struct carry_rules rules = rules_of(&entitlement);
        struct carry begun = random_carry(&entitlement), walked = begun;
        for (int64_t cycles = 1; cycles < 60; cycles++) {
            struct carry passed = begun;
            carry_close(&walked, &rules, entitlement.rules[0].limit, 0, 0);
            carry_pass(&passed, &rules, cycles);
            assert_equal(&passed, &walked);
        }
        struct carry at_last = begun;
        carry_pass(&at_last, &rules, INT64_MAX); /* and it ends */
        if (entitlement.rules[0].limit != 0 || !entitlement.repay) assert_int_equal(at_last.debt, 0);
    }
}

static void limits_of_idle_cycles_stay_the_same_for_so_long(void **state)
{
    (void)state;
    for (int run = 0; run < 2000; run++) {
        struct entitlement entitlement = random_entitlement();
        struct carry_rules rules = rules_of(&entitlement);
        struct carry carry = random_carry(&entitlement);
        int64_t same = carry_same_limit(&carry, &rules), limit = carry_limit(&carry, &rules);
        assert_true(same >= 1);
        for (int64_t cycle = 0; cycle < min_i64(same, 50); cycle++) {
            assert_int_equal(carry_limit(&carry, &rules), limit);
            carry_close(&carry, &rules, entitlement.rules[0].limit, 0, 0);
        }
    }
}

static void the_cycle_in_which_units_fit_is_found(void **state)
{
    (void)state;
    for (int run = 0; run < 6000; run++) {
        struct entitlement entitlement = random_entitlement();
        struct carry_rules rules = rules_of(&entitlement);
        struct carry begun = random_carry(&entitlement), walked = begun;
        int64_t units = random_between(1, 60), wanted = -1, limit = entitlement.rules[0].limit;
        for (int64_t cycles = 1; cycles < 150 && wanted < 0; cycles++) {
            struct window window = {.start_us = 0, .end_us = H, .cover = NOT_COVERED, .allowance = {.limit = limit}};
            window.debt = walked.debt;
            window.rolled = lots_of(&walked);
            int64_t capacity = window_capacity(&window, &entitlement, 0);
            if (capacity == UNLIMITED || units <= capacity) wanted = cycles;
            carry_close(&walked, &rules, limit, 0, 0);
        }
        int64_t found = carry_cycles_until(&begun, &rules, units);
        if (found != wanted) fail_msg("run %d: %lld instead of %lld", run, (long long)found, (long long)wanted);
    }
}

/* ---- the ends of numbers, and bytes ------------------------------------------------------------------------ */

static void nothing_wraps(void **state)
{
    (void)state;
    struct entitlement entitlement = entitlement_that_rolls(INT64_MAX, 10000, -1, 36);
    struct carry_rules rules = rules_of(&entitlement);
    struct carry carry = {.debt = 0};
    for (int i = 0; i < 40; i++) carry_close(&carry, &rules, INT64_MAX, 0, 0);
    assert_int_equal(lots_of(&carry), INT64_MAX);
    assert_int_equal(carry_limit(&carry, &rules), INT64_MAX);
    carry_close(&carry, &rules, INT64_MAX, INT64_MAX, INT64_MAX);
    assert_int_equal(carry.lots_count, 0);
    entitlement.repay = true;
    entitlement.rules[0].limit = 0;
    carry.debt = INT64_MAX;
    carry_close(&carry, &rules, 0, INT64_MAX, 0);
    assert_int_equal(carry.debt, INT64_MAX);
    carry_pass(&carry, &rules, INT64_MAX);
    assert_int_equal(carry.debt, INT64_MAX);
    entitlement.rules[0].limit = UNLIMITED;
    carry_close(&carry, &rules, 0, 5, 0);
    assert_int_equal(carry.debt, 0);
}

static void a_window_keeps_what_it_began_with(void **state)
{
    (void)state;
    for (int run = 0; run < 500; run++) {
        struct arena arena = {NULL};
        struct entitlement entitlement = entitlement_that_rolls(5, 10000, -1, 36);
        struct carry carry = random_carry(&entitlement), again;
        struct window window = {.cover = NOT_COVERED};
        while (random_below(2) && carry.lots_count < ROLLOVER_CYCLES_MAX)
            carry.lots[carry.lots_count++] = (struct lot){random_between(1, INT64_MAX / 99), random_between(1, 36)};
        carry_begin(&carry, &arena, &window);
        assert_int_equal(window.rolled, lots_of(&carry));
        assert_int_equal(lots_sum(window.lots), window.rolled);
        carry_of(&window, &again);
        assert_equal(&carry, &again);
        arena_free(&arena);
    }
}

static void bytes_that_are_no_lots_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct bytes bytes;
        int64_t sum;
    } rows[] = {
        {{"", 0}, 0},          {{"\x05\x01", 2}, 5},  {{"\x05\x01\x07\x24", 4}, 12}, {{"\x05", 1}, -1},
        {{"\x00\x01", 2}, -1}, {{"\x05\x00", 2}, -1}, {{"\x05\x25", 2}, -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (lots_sum(rows[i].bytes) != rows[i].sum) fail_msg("row %zu", i);
    }
    char many[2 * (ROLLOVER_CYCLES_MAX + 1)];
    memset(many, 1, sizeof(many));
    assert_int_equal(lots_sum((struct bytes){many, 2 * ROLLOVER_CYCLES_MAX}), ROLLOVER_CYCLES_MAX);
    assert_int_equal(lots_sum((struct bytes){many, sizeof(many)}), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unused_units_roll_over),
        cmocka_unit_test(debts_are_paid_before_anything_rolls_over),
        cmocka_unit_test(lots_outlive_their_rule),
        cmocka_unit_test(lots_agree_with_single_units),
        cmocka_unit_test(idle_cycles_pass_as_step_by_step),
        cmocka_unit_test(limits_of_idle_cycles_stay_the_same_for_so_long),
        cmocka_unit_test(the_cycle_in_which_units_fit_is_found),
        cmocka_unit_test(nothing_wraps),
        cmocka_unit_test(a_window_keeps_what_it_began_with),
        cmocka_unit_test(bytes_that_are_no_lots_are_refused),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* The bill of a resource follows its rules: what is stored of it, and that an account which is written down at every
 * step and one that is not have the same. */
#include "account_tools.h"
#include "quota/view/billing.h"

#define T at("2025-06-01")

/* As `how period price-bytes limit used`, from the first segment on. */
static void read_now(const struct pair *pair, int64_t at_us, struct bill *bill)
{
    struct look look;
    look_at(&look, pair->account, "a", at_us);
    bool billed = billing_read(&look.view, bill);
    if (!billed) bill->segments_count = 0;
    look_end(&look);
}

static struct bytes stored_bill(const struct pair *pair)
{
    int32_t slot = account_slot(pair->account, BYTES("a"));
    return slot < 0 ? (struct bytes){"", 0} : slot_bill(&pair->account->slots[slot]);
}

static void what_has_no_price_has_no_bill(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct bill bill;
    plan_set("free", "a LIMIT 10 month OVERAGE CREDITS");
    plan_set("other", "a LIMIT 20 week OVERAGE CREDITS");
    pair_open(&pair, "free", T);
    struct grant_request grant = gift("g", 5);
    pair_grant(&pair, &grant, T);
    pair_consume(&pair, "a", 15, T);
    pair_switch(&pair, "other", SWITCH_FULL, T + D);
    pair_consume(&pair, "a", 15, T + D);
    assert_int_equal(stored_bill(&pair).size, 0);
    read_now(&pair, T + D, &bill);
    assert_int_equal(bill.segments_count, 0);
    pair_end(&pair);
}

static void a_price_that_stays_is_not_stored(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct bill bill;
    plan_set("pro", "a LIMIT 10 month OVERAGE PRICE usd TIER * 1");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 15, T);
    pair_consume(&pair, "a", 15, T + 100 * D);
    assert_int_equal(stored_bill(&pair).size, 0);
    read_now(&pair, T + D, &bill);
    assert_int_equal(bill.segments_count, 1);
    pair_end(&pair);
}

/* The stored bytes of an account that is written down after each step, and once at the end. */
static void writing_down_makes_no_difference(void **state)
{
    (void)state;
    struct bill bills[2];
    for (int settled = 0; settled < 2; settled++) {
        struct pair pair = {0};
        plan_set_at("pro", "a LIMIT 10 month OVERAGE PRICE usd TIER * 1", T, APPLY_FULL);
        plan_set("big", "a LIMIT 50 month OVERAGE PRICE eur TIER * 2");
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 15, T + H);
        plan_set_at("pro", "a LIMIT 10 month OVERAGE PRICE usd TIER * 3", T + 5 * D, APPLY_FULL);
        if (settled) pair_touch(&pair, T + 6 * D);
        plan_set_at("pro", "a LIMIT 10 week OVERAGE PRICE usd TIER * 3", T + 7 * D, APPLY_FULL);
        if (settled) pair_touch(&pair, T + 8 * D);
        plan_set_at("pro", "a LIMIT 10 week OVERAGE", T + 9 * D, APPLY_FULL);
        if (settled) pair_touch(&pair, T + 10 * D);
        pair_switch(&pair, "big", SWITCH_FULL, T + 11 * D);
        read_now(&pair, T + 12 * D, &bills[settled]);
        assert_int_equal(bills[settled].segments_count, 5);
        pair_end(&pair);
        plan_drop("pro");
        plan_drop("big");
        configuration_end();
    }
    static const enum segment_how hows[] = {SEGMENT_PRICED, SEGMENT_PRICED, SEGMENT_CUTS, SEGMENT_PRICED, SEGMENT_CUTS};
    for (uint32_t i = 0; i < COUNT_OF(hows); i++) {
        const struct bill_segment *one = &bills[0].segments[i], *other = &bills[1].segments[i];
        assert_int_equal(one->how, hows[i]);
        assert_int_equal(one->at_us, other->at_us);
        assert_int_equal(one->period, other->period);
        assert_int_equal(one->limit, other->limit);
        assert_memory_equal(&one->ended, &other->ended, sizeof(one->ended));
        assert_memory_equal(&one->begun, &other->begun, sizeof(one->begun));
        assert_int_equal(one->how, other->how);
    }
    assert_int_equal(bills[0].segments[2].ended.used, 15);
    assert_int_equal(bills[0].segments[2].begun.used, 0);
    assert_int_equal(bills[0].segments[2].limit, 10);
}

static int64_t credits_now(const struct pair *pair, int64_t at_us, int64_t start_us)
{
    struct bill bill;
    read_now(pair, at_us, &bill);
    return bill_credits(&bill, period_code(&(struct period){.unit = PERIOD_MONTH, .count = 1}), start_us);
}

static void credits_are_counted_where_they_served(void **state)
{
    (void)state;
    struct pair pair = {0};
    int64_t july = T + 30 * D;
    plan_set("pro", "a LIMIT 10 month OVERAGE CREDITS FIRST PRICE usd TIER * 1");
    pair_open(&pair, "pro", T);
    struct grant_request grant = gift("g", 100);
    pair_grant(&pair, &grant, T);
    pair_request_one(&pair, "a", 7, MODE_ALL, "x", T);
    assert_int_equal(credits_now(&pair, T, T), 7);
    pair_reserve(&pair, "h", "a", 20, 90 * D, T + H);
    assert_int_equal(credits_now(&pair, T + H, T), 7);
    pair_refund(&pair, "a", 2, "x", NULL, T + 2 * H);
    assert_int_equal(credits_now(&pair, T + 2 * H, T), 5);
    pair_consume(&pair, "a", 3, july);
    pair_commit(&pair, "h", 12, july + D); /* held in June */
    assert_int_equal(credits_now(&pair, july + D, T), 17);
    assert_int_equal(credits_now(&pair, july + D, july), 3);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_price_has_no_bill),
        cmocka_unit_test(a_price_that_stays_is_not_stored),
        cmocka_unit_test(writing_down_makes_no_difference),
        cmocka_unit_test(credits_are_counted_where_they_served),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

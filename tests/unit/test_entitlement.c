/* Entitlements: what can be used and what cannot, warnings in order, what they grant, and overrides above them. */
#include "account_tools.h"
#include <stdio.h>

/* ---- what cannot be used --------------------------------------------------------------------------------- */

static void faults_are_reported(void **state)
{
    (void)state;
    struct entitlement good = entitlement_from("calls LIMIT 10 day WARN 50 80"), bad;
    static char name[RESOURCE_NAME_MAX + 1];
#define BAD(change_)                                                                                                   \
    bad = good;                                                                                                        \
    bad.change_;                                                                                                       \
    assert_non_null(entitlement_fault(&bad))
    /* rules */
    BAD(rules_count = 0);
    BAD(rules_count = ENTITLEMENT_RULES_MAX + 1);
    BAD(rules[0].limit = -2);
    BAD(rules[0].period.count = 0);
    BAD(rules[0].period.end_of_month = true);
    BAD(rules[0].kind = (enum quota_kind)(QUOTA_THROTTLE + 1));
    BAD(rules[0].kind = QUOTA_THROTTLE); /* with nothing to stand behind */
    BAD(rules[0].kind = QUOTA_RATE);
    /* everything else */
    BAD(resource.size = 0);
    BAD(resource = ((struct bytes){name, sizeof(name)}));
    BAD(cost = 0);
    BAD(warnings_count = ENTITLEMENT_WARNINGS_MAX + 1);
    BAD(warnings_bp[0] = 0);
    BAD(warnings_bp[0] = 8000);
    BAD(warnings_bp[1] = ENTITLEMENT_PERCENT_MAX_BP + 1);
    BAD(burst_bp = -1);
    BAD(burst_bp = ENTITLEMENT_PERCENT_MAX_BP + 1);
    BAD(grace_us = -1);
    BAD(grace_us = DURATION_MAX_US + 1);
    BAD(refunds_max = -2);
    BAD(holds_max = -2);
    BAD(refunds_within_us = -1);
    BAD(refunds_within_us = DURATION_MAX_US + 1);
    BAD(overage_max = 5); /* without OVERAGE */
    BAD(overage_max = -2);
    BAD(price = BYTES("\3usd"));
#undef BAD
    assert_null(entitlement_fault(&good));
    good.resource = (struct bytes){name, RESOURCE_NAME_MAX};
    assert_null(entitlement_fault(&good));
}

static void what_cannot_roll_over_is_reported(void **state)
{
    (void)state;
    static const struct {
        int64_t bp, most, cycles;
        bool works;
    } rows[] = {{5000, -1, 1, true},          {1, 0, 36, true},     {BP_WHOLE, INT64_MAX, 36, true},
                {BP_WHOLE + 1, -1, 1, false}, {-1, -1, 1, false},   {5000, -2, 1, false},
                {5000, -1, 0, false},         {5000, -1, 37, false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct entitlement entitlement = entitlement_from("calls LIMIT 10 day");
        entitlement.rules[0].rollover_bp = rows[i].bp;
        entitlement.rules[0].rollover_max = rows[i].most;
        entitlement.rules[0].rollover_cycles = rows[i].cycles;
        if ((entitlement_fault(&entitlement) == NULL) != rows[i].works) fail_msg("row %zu", i);
    }
    struct entitlement forever = entitlement_from("calls LIMIT 10 forever");
    forever.rules[0].rollover_bp = 5000;
    forever.rules[0].rollover_cycles = 1;
    assert_non_null(entitlement_fault(&forever));
}

static void what_is_counted_as_another_has_few_rules(void **state)
{
    (void)state;
    static const char *const besides[] = {"LIMIT 5 day",
                                          "LIMIT -1 day ROLLOVER 50",
                                          "LIMIT -1 ROLLING 1h",
                                          "CONCURRENT 5",
                                          "CREDITS",
                                          "LIMIT -1 day BURST 5",
                                          "WARN 50",
                                          "HOLDS MAX 3",
                                          "LIMIT -1 day OVERAGE"};
    for (size_t i = 0; i < COUNT_OF(besides); i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "calls LIMIT 1 hour %s", besides[i]);
        struct entitlement entitlement = entitlement_from(text);
        entitlement.as = BYTES("other");
        memmove(&entitlement.rules[0], &entitlement.rules[1], --entitlement.rules_count * sizeof(entitlement.rules[0]));
        if (!entitlement_fault(&entitlement)) fail_msg("row %zu", i);
        assert_null(override_fault(&entitlement)); /* an override may add them */
    }
    struct entitlement entitlement = entitlement_from("calls AS other");
    entitlement.as = entitlement.resource;
    assert_non_null(entitlement_fault(&entitlement));
}

static void rules_have_to_differ(void **state)
{
    (void)state;
    static const struct {
        const char *one, *two;
        bool clash;
    } rows[] = {
        {"a LIMIT 1 day", "a LIMIT 2 day", true},
        {"a LIMIT 1 day", "a LIMIT 1 day PRORATE", true},
        {"a LIMIT 1 day", "a LIMIT 1 day CALENDAR", false},
        {"a LIMIT 1 day", "a LIMIT 1 24h", false},
        {"a LIMIT 1 24h", "a LIMIT 1 86400s", true},
        {"a LIMIT 1 quarter", "a LIMIT 1 3month", true},
        {"a LIMIT 1 ROLLING 1h", "a LIMIT 2 ROLLING 60m", true},
        {"a LIMIT 1 ROLLING 1h", "a LIMIT 1 1h", false},
        {"a RATE GCRA 1 1s", "a RATE GCRA 1 1s", false},
        {"a CONCURRENT 1", "a CONCURRENT 2", true},
        {"a LIMIT 1 day", "a THROTTLE GCRA 1 1s CREDITS", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct entitlement one = entitlement_from(rows[i].one), two = entitlement_from(rows[i].two);
        one.rules[one.rules_count++] = two.rules[0];
        if ((entitlement_fault(&one) != NULL) != rows[i].clash) fail_msg("row %zu", i);
    }
}

static void warnings_are_sorted_and_each_there_once(void **state)
{
    (void)state;
    struct entitlement entitlement = entitlement_none(BYTES("calls"));
    for (int run = 0; run < 2000; run++) {
        bool wanted[20] = {false};
        entitlement.warnings_count = random_below(ENTITLEMENT_WARNINGS_MAX + 1);
        for (uint32_t i = 0; i < entitlement.warnings_count; i++) {
            entitlement.warnings_bp[i] = random_between(0, 19);
            wanted[entitlement.warnings_bp[i]] = true;
        }
        entitlement_sort_warnings(&entitlement);
        uint32_t at_place = 0;
        for (int64_t bp = 0; bp < 20; bp++) {
            if (wanted[bp]) assert_int_equal(entitlement.warnings_bp[at_place++], bp);
        }
        assert_int_equal(entitlement.warnings_count, at_place);
    }
}

/* ---- questions ------------------------------------------------------------------------------------------- */

static void limits_and_rates_are_found(void **state)
{
    (void)state;
    struct rule rates[ENTITLEMENT_RULES_MAX];
    uint8_t places[ENTITLEMENT_RULES_MAX];
    struct entitlement entitlement =
        entitlement_from("a RATE GCRA 1 1s LIMIT 5 day LIMIT 6 ROLLING 1h LIMIT 7 month RATE LOG 2 1m");
    assert_int_equal(entitlement_rates(&entitlement, rates, places), 2);
    assert_int_equal(places[0], 0);
    assert_int_equal(places[1], 4);
    assert_int_equal(rates[1].limit, 2);
    assert_ptr_equal(entitlement_limit(&entitlement, period_code(&entitlement.rules[3].period)), &entitlement.rules[3]);
    assert_ptr_equal(entitlement_limit(&entitlement, period_code(&entitlement.rules[1].period)), &entitlement.rules[1]);
    struct entitlement other = entitlement_from("a LIMIT 5 week");
    assert_null(entitlement_limit(&entitlement, period_code(&other.rules[0].period)));
    assert_null(entitlement_limit(NULL, period_code(&other.rules[0].period)));
}

static void the_longest_limit_is_billed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t rule; /* -1 = none */
    } rows[] = {
        {"a LIMIT 1 day LIMIT 2 month LIMIT 3 week", 1},
        {"a LIMIT 1 forever LIMIT 2 1us", 1},
        {"a LIMIT 1 forever", 0},
        {"a LIMIT 1 30d LIMIT 2 month", 1}, /* also in February */
        {"a LIMIT 1 31d LIMIT 2 month", 0},
        {"a LIMIT 1 month LIMIT 2 month CALENDAR", 0},
        {"a LIMIT 1 7day LIMIT 2 week", 0},
        {"a LIMIT 1 12month LIMIT 2 13month", 1},
        {"a RATE GCRA 1 1s LIMIT 1 ROLLING 1h LIMIT 2 90s", 2},
        {"a RATE GCRA 1 1s LIMIT 1 ROLLING 1h", -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct entitlement entitlement = entitlement_from(rows[i].text);
        const struct quota_rule *expected = rows[i].rule < 0 ? NULL : &entitlement.rules[rows[i].rule];
        if (entitlement_billed(&entitlement) != expected) fail_msg("row %zu", i);
    }
    assert_null(entitlement_billed(NULL));
    struct entitlement entitlement = entitlement_from("a LIMIT 1 day PRICE usd TIER * 1");
    entitlement.rules[0].kind = QUOTA_CONCURRENT;
    assert_non_null(entitlement_fault(&entitlement)); /* nothing to bill */
    assert_null(override_fault(&entitlement));        /* the plan's LIMIT may be */
}

static void an_override_replaces_the_price_whole(void **state)
{
    (void)state;
    struct entitlement plan = entitlement_from("a LIMIT 1 day PRICE usd TIER 5 1 TIER * 2"), merged;
    struct entitlement override = entitlement_from("a LIMIT 1 day PRICE eur TIER * 3");
    entitlement_merge(&plan, &override, OPTION_PRICE, &merged);
    assert_true(bytes_equal(merged.price, override.price));
    entitlement_merge(&plan, &override, 0, &merged);
    assert_true(bytes_equal(merged.price, plan.price));
}

/* ---- overrides ------------------------------------------------------------------------------------------- */

static void an_override_replaces_overage_whole(void **state)
{
    (void)state;
    static const struct {
        const char *plan, *override;
        bool gives;
        int64_t overage;
    } rows[] = {
        {"a LIMIT 1 day OVERAGE", "a LIMIT 1 day", false, UNLIMITED},
        {"a LIMIT 1 day OVERAGE MAX 5", "a LIMIT 1 day", false, 5},
        {"a LIMIT 1 day OVERAGE", "a LIMIT 1 day OVERAGE MAX 5", true, 5},
        {"a LIMIT 1 day OVERAGE MAX 5", "a LIMIT 1 day OVERAGE", true, UNLIMITED},
        {"a LIMIT 1 day OVERAGE", "a LIMIT 1 day OVERAGE MAX 0", true, 0}, /* switched off */
        {"a LIMIT 1 day", "a LIMIT 1 day OVERAGE MAX 3", true, 3},
        {"a LIMIT 1 day", "a LIMIT 1 day", false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct entitlement plan = entitlement_from(rows[i].plan), override = entitlement_from(rows[i].override), merged;
        entitlement_merge(&plan, &override, rows[i].gives ? OPTION_OVERAGE : 0, &merged);
        if (entitlement_overage(&merged) != rows[i].overage) fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_reported),
        cmocka_unit_test(what_cannot_roll_over_is_reported),
        cmocka_unit_test(what_is_counted_as_another_has_few_rules),
        cmocka_unit_test(rules_have_to_differ),
        cmocka_unit_test(warnings_are_sorted_and_each_there_once),
        cmocka_unit_test(limits_and_rates_are_found),
        cmocka_unit_test(an_override_replaces_overage_whole),
        cmocka_unit_test(the_longest_limit_is_billed),
        cmocka_unit_test(an_override_replaces_the_price_whole),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Rules: what is refused, how they are reduced. */
#include "scenario.h"

static void only_sensible_rules_pass(void **state)
{
    (void)state;
    static const struct row {
        struct rule rule;
        const char *fault; /* a word of the text; NULL = valid */
    } rows[] = {
        {{.limit = 10, .period_us = S, .capacity = 10, .initial = 10}, NULL},
        {{.limit = INT64_MAX, .period_us = 1, .capacity = INT64_MAX, .initial = INT64_MAX}, NULL},
        {{.limit = -1, .period_us = S, .capacity = -1, .initial = -1}, NULL},
        {{.limit = 0, .period_us = S}, NULL},
        /* numbers out of range */
        {{.limit = -2, .period_us = S, .capacity = -2, .initial = -2}, "limit"},
        {{.limit = 1, .period_us = 0, .capacity = 1, .initial = 1}, "period"},
        {{.limit = 1, .period_us = DURATION_MAX_US + 1, .capacity = 1, .initial = 1}, "period"},
        {{.limit = 1, .period_us = S, .capacity = 0, .initial = 0}, "BURST"},
        {{.limit = 0, .period_us = S, .capacity = 5, .initial = 5}, "BURST"},
        {{.algorithm = RULE_TOKEN, .limit = 5, .period_us = S, .capacity = 5, .initial = 0}, NULL},
        {{.algorithm = RULE_TOKEN, .limit = 5, .period_us = S, .capacity = 5, .initial = -1}, "INITIAL"},
        {{.algorithm = RULE_TOKEN, .limit = 5, .period_us = S, .capacity = 5, .initial = 6}, "INITIAL"},
        /* options of another algorithm */
        {{.algorithm = RULE_GCRA, .limit = 5, .period_us = S, .capacity = 5, .initial = 4}, "INITIAL"},
        {{.algorithm = RULE_FIXED, .limit = 5, .period_us = S, .capacity = 6, .initial = 6}, "BURST"},
        {{.algorithm = RULE_GCRA, .limit = 5, .period_us = S, .capacity = 5, .initial = 5, .flags = RULE_INTERVAL},
         "INTERVAL"},
        {{.algorithm = RULE_TOKEN, .limit = 5, .period_us = S, .capacity = 5, .initial = 5, .flags = RULE_FIRST},
         "FIRST"},
        {{.algorithm = RULE_TOKEN, .limit = 5, .period_us = S, .capacity = 5, .initial = 5, .flags = 8}, "flag"},
        {{.algorithm = 7, .limit = 5, .period_us = S, .capacity = 5, .initial = 5}, "algorithm"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *fault = rule_fault(&rows[i].rule);
        if (!rows[i].fault != !fault || (fault && !strstr(fault, rows[i].fault))) {
            fail_msg("row %zu: %s", i, fault ? fault : "valid");
        }
    }
}

static void rates_are_reduced(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_GCRA, 1000, H, 0);
    assert_int_equal(rule.rate_units, 1);
    assert_int_equal(rule.rate_us, 3600000);
    rule = rule_of(RULE_GCRA, 3, S, 0);
    assert_int_equal(rule.rate_units, 3);
    assert_int_equal(rule.rate_us, S);
    rule = rule_of(RULE_GCRA, 0, S, 0);
    assert_int_equal(rule.rate_units, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_sensible_rules_pass),
        cmocka_unit_test(rates_are_reduced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a limiter stores: effects that come from outside, extra instants, when it may be forgotten. */
#include "quota/base/checked.h"
#include "quota/rate/limiter_value.h"
#include "scenario.h"

static void effects_from_outside_must_fit(void **state)
{
    (void)state;
    struct rule gcra = rule_of(RULE_GCRA, 3, S, 0), fixed = rule_of(RULE_FIXED, 3, S, 0);
    struct limiter *limiter;
    struct decision made = {.rules = &gcra, .rules_count = 1, .effects_count = 1, .from = {-1}};
    limiter = limiter_apply(NULL, &made);
    static const struct row {
        struct effect effect;
        bool fits;
    } rows[] = {
        {{EFFECT_STATE, 0, {.when_us = BASE, .amount = 2}}, true},
        {{EFFECT_STATE, 0, {.when_us = BASE, .amount = 3}}, false}, /* no fraction of thirds */
        {{EFFECT_STATE, 0, {.when_us = BASE, .rest = 1}}, false},
        {{EFFECT_STATE, 0, {.when_us = -1}}, false},
        {{EFFECT_STATE, 0, {.when_us = INSTANT_MAX_US + 1}}, false},
        {{EFFECT_STATE, 1, {.when_us = BASE}}, false}, /* no such rule */
        {{EFFECT_BLOCK, 0, {.when_us = INSTANT_MAX_US + 1}}, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct decision decision = {.effects_count = 1, .effects = {rows[i].effect}};
        assert_int_equal(limiter_accepts(limiter, &decision), rows[i].fits);
        assert_false(limiter_accepts(NULL, &decision) && rows[i].effect.kind == EFFECT_STATE);
    }
    struct decision taken_over = {.rules = &fixed, .rules_count = 1, .effects_count = 1, .from = {0}};
    assert_false(limiter_accepts(limiter, &taken_over)); /* a window cannot go on from a GCRA state */
    taken_over.rules = &gcra;
    taken_over.from[0] = 1;
    assert_false(limiter_accepts(limiter, &taken_over));
    limiter_free(limiter);
}

/* A block and taken places stand behind the states, come and go, and leave them as they are. */
static void extra_instants_come_and_go(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_FIXED, 3, S, 0);
    struct decision made = {
        .rules = &rule,
        .rules_count = 1,
        .from = {-1},
        .effects_count = 2,
        .effects = {{EFFECT_RULES, 0, {.when_us = 0}}, {EFFECT_STATE, 0, {.when_us = BASE, .amount = 2}}}};
    struct limiter *limiter = limiter_apply(NULL, &made);
    int64_t replenished_us = limiter_rule_deadline_us(limiter, 0);
    static const struct {
        struct effect effect;
        int64_t blocked_us, taken_us;
    } rows[] = {
        {{EFFECT_BLOCK, 0, {.when_us = BASE + 5 * S}}, BASE + 5 * S, 0},
        {{EFFECT_QUEUE, 0, {.when_us = BASE + 9 * S}}, BASE + 5 * S, BASE + 9 * S},
        {{EFFECT_BLOCK, 0, {.when_us = 0}}, 0, BASE + 9 * S},
        {{EFFECT_QUEUE, 0, {.when_us = 0}}, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct decision decision = {.effects_count = 1, .effects = {rows[i].effect}};
        assert_true(limiter_accepts(limiter, &decision));
        limiter = limiter_apply(limiter, &decision);
        assert_int_equal(limiter_blocked_until_us(limiter), rows[i].blocked_us);
        assert_int_equal(limiter_taken_until_us(limiter), rows[i].taken_us);
        assert_int_equal(limiter_stored_state(limiter, 0).amount, 2);
        int64_t latest_us = max_i64(replenished_us, max_i64(rows[i].blocked_us, rows[i].taken_us));
        assert_int_equal(limiter_deadline_us(limiter), latest_us);
    }
    limiter_free(limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(effects_from_outside_must_fit),
        cmocka_unit_test(extra_instants_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

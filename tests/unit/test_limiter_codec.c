/* The codec: small effects, every truncation and every flipped byte refused or understood, never worse. */
#include "quota/rate/limiter_codec.h"
#include "scenario.h"

/* One key under every algorithm, blocked, with history; or now under one of the rules alone, while the others sleep. */
static struct limiter *busy_limiter(bool sleeping)
{
    struct limiter *limiter = NULL;
    struct decision decision;
    for (int64_t i = 0; i < 5; i++) {
        struct rule rules[RULE_ALGORITHMS_COUNT + 2];
        for (uint32_t k = 0; k < RULE_ALGORITHMS_COUNT; k++) rules[k] = rule_of(k, 700, 11 * S, 0);
        rules[RULE_ALGORITHMS_COUNT] = rule_of(RULE_GCRA, -1, S, 0);
        rules[RULE_ALGORITHMS_COUNT + 1] = rule_of(RULE_LOG, 9, H, 0);
        struct limiter_request request = {.cost = 1, .now_us = BASE + i * 1234567};
        limiter_decide(limiter, rules, RULE_ALGORITHMS_COUNT + 2, &request, &decision);
        assert_int_equal(decision.verdict.granted, 1);
        limiter = limiter_apply(limiter, &decision);
    }
    if (sleeping) {
        struct rule rule = rule_of(RULE_LOG, 9, H, 0);
        limiter_decide(limiter, &rule, 1, &(struct limiter_request){.cost = 1, .now_us = BASE + 6 * S}, &decision);
        limiter = limiter_apply(limiter, &decision);
        assert_true(limiter->set->sleeping >= 2);
    }
    limiter_decide_block(limiter, BASE + D, &decision);
    return limiter_apply(limiter, &decision);
}

static void an_admission_is_a_dozen_bytes(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_GCRA, 10, S, 0);
    struct decision decision;
    struct limiter *limiter = NULL;
    struct sink wire = {0};
    for (int i = 0; i < 2; i++) {
        limiter_decide(limiter, &rule, 1, &(struct limiter_request){.cost = 1, .now_us = BASE}, &decision);
        limiter = limiter_apply(limiter, &decision);
    }
    effects_encode(&decision, false, &wire);
    assert_int_equal(wire.size, 12);
    sink_free(&wire);
    limiter_free(limiter);
}

/* Bytes are either refused, or a value that encodes to exactly these bytes again. */
static void assert_refused_or_same(const char *data, size_t size)
{
    struct limiter *limiter = limiter_decode((struct bytes){data, size});
    if (!limiter) return;
    struct sink again = {0};
    limiter_encode(limiter, &again);
    assert_int_equal(again.size, size);
    assert_memory_equal(again.data, data, size);
    sink_free(&again);
    limiter_free(limiter);
}

static void assert_damage_is_refused_or_understood(struct limiter *limiter, uint8_t encoding)
{
    struct sink blob = {0};
    limiter_encode(limiter, &blob);
    assert_int_equal(blob.data[0], encoding);
    for (size_t size = 0; size < blob.size; size++) {
        assert_null(limiter_decode((struct bytes){blob.data, size})); /* truncated anywhere */
    }
    for (size_t at = 0; at < blob.size; at++) {
        char kept = blob.data[at];
        for (int byte = 0; byte < 256; byte++) {
            blob.data[at] = (char)byte;
            assert_refused_or_same(blob.data, blob.size);
        }
        blob.data[at] = kept;
    }
    blob.data[0] = ENCODING_NEWEST + 1;
    assert_null(limiter_decode((struct bytes){blob.data, blob.size})); /* written by a newer version */
    sink_free(&blob);
    limiter_free(limiter);
    assert_int_equal(rule_sets_count(), 0);
}

static void damaged_values_are_refused_or_understood(void **state)
{
    (void)state;
    assert_damage_is_refused_or_understood(busy_limiter(false), ENCODING_LIMITER);
    assert_damage_is_refused_or_understood(busy_limiter(true), ENCODING_SLEEPING);
}

/* Effects that put rules to sleep, on the limiter that has them and on one that has none. */
static void damaged_effects_with_sleepers_are_refused_or_fit(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_LOG, 9, H, 0), received[RULES_MAX];
    struct limiter *limiter = busy_limiter(false);
    struct decision decision, again;
    struct sink wire = {0}, value = {0};
    bool no_expire;
    limiter_decide_block(limiter, 0, &decision);
    limiter = limiter_apply(limiter, &decision);
    limiter_decide(limiter, &rule, 1, &(struct limiter_request){.cost = 1, .now_us = BASE + 6 * S}, &decision);
    assert_true(decision.sleeping_count >= 2);
    effects_encode(&decision, false, &wire);
    assert_int_equal(wire.data[0], ENCODING_SLEEPING);
    limiter_encode(limiter, &value);
    for (size_t at = 0; at < wire.size; at++) {
        char kept = wire.data[at];
        for (int byte = 0; byte < 256; byte++) {
            wire.data[at] = (char)byte;
            if (!effects_decode((struct bytes){wire.data, wire.size}, received, &again, &no_expire)) continue;
            assert_false(again.sleeping_count > 0 && limiter_accepts(NULL, &again));
            if (!limiter_accepts(limiter, &again)) continue;
            struct limiter *copy = limiter_decode((struct bytes){value.data, value.size});
            copy = limiter_apply(copy, &again);
            limiter_deadline_us(copy);
            limiter_free(copy);
        }
        wire.data[at] = kept;
    }
    sink_free(&wire);
    sink_free(&value);
    limiter_free(limiter);
}

static void damaged_effects_are_refused_or_fit(void **state)
{
    (void)state;
    struct rule rules[] = {rule_of(RULE_SLIDING, 9, S, 0), rule_of(RULE_LOG, 9, H, 0)}, received[RULES_MAX];
    struct decision decision, again;
    struct sink wire = {0};
    bool no_expire;
    limiter_decide(NULL, rules, 2, &(struct limiter_request){.cost = 1, .now_us = BASE}, &decision);
    effects_encode(&decision, true, &wire);
    for (size_t at = 0; at < wire.size; at++) {
        char kept = wire.data[at];
        for (int byte = 0; byte < 256; byte++) {
            wire.data[at] = (char)byte;
            if (!effects_decode((struct bytes){wire.data, wire.size}, received, &again, &no_expire)) continue;
            if (!limiter_accepts(NULL, &again)) continue;
            struct limiter *limiter = limiter_apply(NULL, &again);
            limiter_deadline_us(limiter);
            limiter_free(limiter);
        }
        wire.data[at] = kept;
        assert_false(at > 0 && effects_decode((struct bytes){wire.data, at}, received, &again, &no_expire) &&
                     again.effects_count == decision.effects_count);
    }
    sink_free(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_admission_is_a_dozen_bytes),
        cmocka_unit_test(damaged_values_are_refused_or_understood),
        cmocka_unit_test(damaged_effects_are_refused_or_fit),
        cmocka_unit_test(damaged_effects_with_sleepers_are_refused_or_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

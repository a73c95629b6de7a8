/* The codec: small effects, every truncation and every flipped byte refused or understood, never worse. */
#include "quota/rate/breaker_codec.h"
#include "scenario.h"

static const struct breaker_config config = {.failures = 300,
                                             .calls_min = 1,
                                             .window_us = 10 * S,
                                             .slow_us = S,
                                             .slow_rate = 90,
                                             .open_us = 30 * S,
                                             .probes = 5};

static struct breaker *with(struct breaker *breaker, const struct breaker_decision *decision)
{
    assert_true(decision->parts > 0);
    return breaker_apply(breaker, decision);
}

/* Closed with a history, and half-open with successes and probes under way. */
static struct breaker *busy_breaker(enum breaker_state state)
{
    struct breaker_decision decision;
    breaker_decide_request(NULL, &config, BASE, &decision);
    struct breaker *breaker = with(NULL, &decision);
    for (int64_t i = 0; i < 7; i++) {
        breaker_decide_report(breaker, i % 2 == 0, i * S, BASE + i * 1234567, &decision);
        breaker = with(breaker, &decision);
    }
    if (state == BREAKER_CLOSED) return breaker;
    decision = (struct breaker_decision){.parts = BREAKER_PART_STATE,
                                         .after = {.state = BREAKER_OPEN, .seen_us = BASE + 10 * S}};
    assert_true(breaker_accepts(breaker, &decision));
    breaker = with(breaker, &decision);
    for (int64_t i = 0; i < 4; i++) {
        breaker_decide_request(breaker, NULL, BASE + 40 * S + i * MS, &decision);
        breaker = with(breaker, &decision);
    }
    breaker_decide_report(breaker, false, 0, BASE + 41 * S, &decision);
    return with(breaker, &decision);
}

static void a_report_is_a_dozen_bytes(void **state)
{
    (void)state;
    struct breaker *breaker = busy_breaker(BREAKER_CLOSED);
    struct breaker_decision decision;
    struct sink wire = {0};
    breaker_decide_report(breaker, true, 0, BASE + 9 * S, &decision);
    breaker_effects_encode(&decision, false, &wire);
    assert_int_equal(wire.size, 13);
    sink_free(&wire);
    breaker_free(breaker);
}

/* Bytes are either refused, or a value that encodes to exactly these bytes again. */
static void assert_refused_or_same(const char *data, size_t size)
{
    struct breaker *breaker = breaker_decode((struct bytes){data, size});
    if (!breaker) return;
    struct breaker_look look;
    struct sink again = {0};
    breaker_encode(breaker, &again);
    assert_int_equal(again.size, size);
    assert_memory_equal(again.data, data, size);
    breaker_look(breaker, BASE + 45 * S, &look);
    sink_free(&again);
    breaker_free(breaker);
}

static void damaged_values_are_refused_or_understood(void **state)
{
    (void)state;
    for (enum breaker_state kind = BREAKER_CLOSED; kind <= BREAKER_HALF_OPEN; kind += 2) {
        struct breaker *breaker = busy_breaker(kind);
        struct sink blob = {0};
        breaker_encode(breaker, &blob);
        for (size_t size = 0; size < blob.size; size++) {
            assert_null(breaker_decode((struct bytes){blob.data, size})); /* truncated anywhere */
        }
        for (size_t at = 0; at < blob.size; at++) {
            char kept = blob.data[at];
            for (int byte = 0; byte < 256; byte++) {
                blob.data[at] = (char)byte;
                assert_refused_or_same(blob.data, blob.size);
            }
            blob.data[at] = kept;
        }
        blob.data[0]++;
        assert_null(breaker_decode((struct bytes){blob.data, blob.size})); /* written by a newer version */
        sink_free(&blob);
        breaker_free(breaker);
    }
}

/* Each effect with each byte changed, on no value and on both kinds of values: what is accepted leaves a sane one. */
static void try_effects(const char *data, size_t size, const struct breaker *stored)
{
    struct breaker_decision received;
    bool no_expire;
    if (!breaker_effects_decode((struct bytes){data, size}, &received, &no_expire)) return;
    if (!breaker_accepts(stored, &received)) return;
    struct breaker_decision copy = {.parts = BREAKER_PARTS_ALL};
    struct breaker *breaker = NULL;
    if (stored) {
        breaker = breaker_decode((struct bytes){data, 0});
        assert_null(breaker);
        struct sink blob = {0};
        breaker_encode(stored, &blob);
        breaker = breaker_decode((struct bytes){blob.data, blob.size});
        sink_free(&blob);
    }
    breaker = breaker_apply(breaker, &received);
    assert_true(breaker_sane(breaker));
    breaker_decide_request(breaker, NULL, BASE + 45 * S, &copy);
    breaker_decide_report(breaker, true, 0, BASE + 45 * S, &copy);
    breaker_free(breaker);
}

static void damaged_effects_are_refused_or_fit(void **state)
{
    (void)state;
    struct breaker *stored[] = {NULL, busy_breaker(BREAKER_CLOSED), busy_breaker(BREAKER_HALF_OPEN)};
    struct breaker_decision decision;
    for (int which = 0; which < 3; which++) {
        struct sink wire = {0};
        if (which == 0) breaker_decide_request(NULL, &config, BASE + 45 * S, &decision);
        if (which == 1) breaker_decide_report(stored[1], true, 0, BASE + 45 * S, &decision);
        if (which == 2) breaker_decide_request(stored[2], NULL, BASE + 45 * S, &decision);
        breaker_effects_encode(&decision, which == 1, &wire);
        for (size_t at = 0; at < wire.size; at++) {
            char kept = wire.data[at];
            for (int byte = 0; byte < 256; byte++) {
                wire.data[at] = (char)byte;
                for (int value = 0; value < 3; value++) try_effects(wire.data, wire.size, stored[value]);
            }
            wire.data[at] = kept;
            bool no_expire;
            assert_false(breaker_effects_decode((struct bytes){wire.data, at}, &decision, &no_expire)); /* truncated */
        }
        sink_free(&wire);
    }
    breaker_free(stored[1]);
    breaker_free(stored[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_is_a_dozen_bytes),
        cmocka_unit_test(damaged_values_are_refused_or_understood),
        cmocka_unit_test(damaged_effects_are_refused_or_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

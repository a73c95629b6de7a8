/* The codec: every truncation and every flipped byte refused or understood, never worse. */
#include "quota/rate/adaptive_codec.h"
#include "scenario.h"

static const struct adaptive_config config = {.min = 7,
                                              .max = 3000,
                                              .algorithm = ADAPTIVE_GRADIENT,
                                              .interval_us = S,
                                              .step = 5,
                                              .errors = 5,
                                              .target = 80,
                                              .backoff = 90,
                                              .timeout_us = 5 * S,
                                              .tolerance = 150};

static struct adaptive *busy(void)
{
    struct adaptive_decision decision;
    struct adaptive *adaptive = NULL;
    for (int64_t i = 0; i < 20; i++) {
        struct adaptive_request request = {.config = &config, .cost = 6, .now_us = BASE + i * 1234567};
        adaptive_decide_request(adaptive, &request, &decision);
        adaptive = adaptive_apply(adaptive, &decision);
        adaptive_decide_report(adaptive, (enum adaptive_report)(i % 3), i * MS, request.now_us, &decision);
        adaptive = adaptive_apply(adaptive, &decision);
    }
    return adaptive;
}

static void use_and_free(struct adaptive *adaptive)
{
    struct adaptive_decision decision;
    struct adaptive_request request = {.config = &config, .cost = 1, .now_us = BASE + 30 * S};
    assert_true(adaptive_sane(adaptive));
    adaptive_decide_request(adaptive, &request, &decision);
    adaptive_decide_report(adaptive, ADAPTIVE_LATENCY, MS, BASE + 30 * S, &decision);
    if (decision.parts) assert_true(adaptive_accepts(adaptive, &decision));
    adaptive_free(adaptive);
}

static void damaged_values_are_refused_or_understood(void **state)
{
    (void)state;
    struct adaptive *adaptive = busy();
    struct sink blob = {0};
    adaptive_encode(adaptive, &blob);
    for (size_t size = 0; size < blob.size; size++) {
        assert_null(adaptive_decode((struct bytes){blob.data, size})); /* truncated anywhere */
    }
    for (size_t at = 0; at < blob.size; at++) {
        char kept = blob.data[at];
        for (int byte = 0; byte < 256; byte++) {
            blob.data[at] = (char)byte;
            struct adaptive *read = adaptive_decode((struct bytes){blob.data, blob.size});
            if (!read) continue;
            struct sink again = {0};
            adaptive_encode(read, &again);
            assert_int_equal(again.size, blob.size);
            assert_memory_equal(again.data, blob.data, blob.size);
            sink_free(&again);
            use_and_free(read);
        }
        blob.data[at] = kept;
    }
    blob.data[0]++;
    assert_null(adaptive_decode((struct bytes){blob.data, blob.size})); /* written by a newer version */
    sink_free(&blob);
    adaptive_free(adaptive);
}

static void damaged_effects_are_refused_or_fit(void **state)
{
    (void)state;
    struct adaptive *stored = busy();
    struct adaptive_decision decision, received;
    struct adaptive_request request = {.config = &config, .cost = 1, .now_us = BASE + 30 * S};
    bool no_expire;
    for (int which = 0; which < 2; which++) {
        struct sink wire = {0};
        if (which == 0) adaptive_decide_request(NULL, &request, &decision);
        if (which == 1) adaptive_decide_report(stored, ADAPTIVE_LATENCY, MS, BASE + 30 * S, &decision);
        adaptive_effects_encode(&decision, which == 1, &wire);
        for (size_t at = 0; at < wire.size; at++) {
            assert_false(adaptive_effects_decode((struct bytes){wire.data, at}, &received, &no_expire)); /* truncated */
            char kept = wire.data[at];
            for (int byte = 0; byte < 256; byte++) {
                wire.data[at] = (char)byte;
                if (!adaptive_effects_decode((struct bytes){wire.data, wire.size}, &received, &no_expire)) continue;
                if (adaptive_accepts(NULL, &received)) use_and_free(adaptive_apply(NULL, &received));
                if (adaptive_accepts(stored, &received)) use_and_free(adaptive_apply(busy(), &received));
            }
            wire.data[at] = kept;
        }
        sink_free(&wire);
    }
    adaptive_free(stored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_values_are_refused_or_understood),
        cmocka_unit_test(damaged_effects_are_refused_or_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

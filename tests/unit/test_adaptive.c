/* Adaptive limits: requests against the limit, the steps of both algorithms as tables, streams that stay in bounds. */
#include "quota/rate/adaptive_codec.h"
#include "scenario.h"

static const struct adaptive_config aimd = {.min = 10,
                                            .max = 40,
                                            .algorithm = ADAPTIVE_AIMD,
                                            .interval_us = S,
                                            .step = 5,
                                            .errors = 5,
                                            .target = 80,
                                            .backoff = 90,
                                            .timeout_us = 5 * S,
                                            .tolerance = 150};

struct adaptive_context {
    struct adaptive *adaptive, *twin;
    struct adaptive_decision decision;
};

static struct sink bytes_of(const struct adaptive *adaptive)
{
    struct sink sink = {0};
    if (adaptive) adaptive_encode(adaptive, &sink);
    return sink;
}

static void assert_equal_and_free(struct sink left, struct sink right)
{
    assert_int_equal(left.size, right.size);
    if (left.size > 0) assert_memory_equal(left.data, right.data, left.size);
    sink_free(&left);
    sink_free(&right);
}

/* Applies here, and through the wire on the twin; the value survives its own encoding. */
static void context_apply(struct adaptive_context *context)
{
    struct adaptive_decision received;
    struct sink wire = {0};
    bool no_expire;
    if (context->decision.parts == 0) return;
    adaptive_effects_encode(&context->decision, true, &wire);
    assert_true(adaptive_effects_decode((struct bytes){wire.data, wire.size}, &received, &no_expire));
    assert_true(no_expire);
    assert_true(adaptive_accepts(context->twin, &received));
    context->twin = adaptive_apply(context->twin, &received);
    context->adaptive = adaptive_apply(context->adaptive, &context->decision);
    sink_free(&wire);
    struct sink here = bytes_of(context->adaptive);
    struct adaptive *again = adaptive_decode((struct bytes){here.data, here.size});
    assert_non_null(again);
    assert_equal_and_free(here, bytes_of(again));
    assert_equal_and_free(bytes_of(context->adaptive), bytes_of(context->twin));
    adaptive_free(again);
}

static struct verdict context_take(struct adaptive_context *context, const struct adaptive_config *config, int64_t cost,
                                   int64_t at_us)
{
    struct adaptive_request request = {.config = config, .cost = cost, .now_us = BASE + at_us};
    struct sink before = bytes_of(context->adaptive);
    adaptive_decide_request(context->adaptive, &request, &context->decision);
    assert_equal_and_free(before, bytes_of(context->adaptive));
    if (context->decision.verdict.granted == 0) assert_int_equal(context->decision.parts, 0);
    context_apply(context);
    return context->decision.verdict;
}

static int64_t context_report(struct adaptive_context *context, enum adaptive_report report, int64_t value,
                              int64_t at_us)
{
    adaptive_decide_report(context->adaptive, report, value, BASE + at_us, &context->decision);
    context_apply(context);
    return context->decision.limit;
}

static void adaptive_context_end(struct adaptive_context *context)
{
    adaptive_free(context->adaptive);
    adaptive_free(context->twin);
    *context = (struct adaptive_context){0};
}

static void requests_meet_an_exact_limit(void **state)
{
    (void)state;
    struct adaptive_context context = {0};
    static const struct row {
        int64_t at_us, cost, granted, remaining, wait_us, reset_us;
    } rows[] = {
        {0, 4, 4, 6, 0, 400 * MS}, {0, 7, 0, 6, 100 * MS, 400 * MS}, {0, 6, 6, 0, 0, S},
        {0, 1, 0, 0, 100 * MS, S}, {0, 11, 0, 0, NEVER, S},          {100 * MS, 1, 1, 0, 0, S},
        {2 * S, 10, 10, 0, 0, S},  {S, 1, 0, 0, 1100 * MS, 2 * S}, /* the clock steps back: nothing is refilled */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct verdict verdict = context_take(&context, &aimd, rows[i].cost, rows[i].at_us);
        if (verdict.granted != rows[i].granted || verdict.remaining != rows[i].remaining ||
            verdict.wait_us != rows[i].wait_us || verdict.reset_us != rows[i].reset_us || verdict.limit != 10 ||
            verdict.rule != 0) {
            fail_msg("row %zu: granted %ld remaining %ld wait %ld reset %ld", i, verdict.granted, verdict.remaining,
                     verdict.wait_us, verdict.reset_us);
        }
    }
    adaptive_context_end(&context);
}

/* One second each: take so many, report so much; the limit that the next second's first report answers. */
struct second {
    int64_t take, reports, errors, latency_us, loads, load;
    int64_t limit;
};

static void run_seconds(const struct adaptive_config *config, const struct second *seconds, size_t count)
{
    struct adaptive_context context = {0};
    assert_null(adaptive_config_fault(config));
    context_take(&context, config, 1, 0);
    for (size_t i = 0; i < count; i++) {
        const struct second *second = &seconds[i];
        int64_t at_us = (int64_t)(i + 1) * S;
        int64_t limit = context_report(&context, ADAPTIVE_LOAD, 0, at_us); /* ends the interval before */
        if (i > 0 && limit != seconds[i - 1].limit) fail_msg("second %zu: limit %ld", i - 1, limit);
        if (second->take > 0)
            assert_int_equal(context_take(&context, config, second->take, at_us + 1).granted, second->take);
        for (int64_t k = 0; k < second->reports; k++) {
            bool error = k < second->errors;
            context_report(&context, error ? ADAPTIVE_ERROR : ADAPTIVE_LATENCY, second->latency_us, at_us + 2);
        }
        for (int64_t k = 0; k < second->loads; k++) context_report(&context, ADAPTIVE_LOAD, second->load, at_us + 3);
    }
    int64_t limit = context_report(&context, ADAPTIVE_LOAD, 0, (int64_t)(count + 1) * S);
    if (limit != seconds[count - 1].limit) fail_msg("last second: limit %ld", limit);
    adaptive_context_end(&context);
}
#define SECONDS(config_, ...)                                                                                          \
    run_seconds((config_), (const struct second[]){__VA_ARGS__},                                                       \
                sizeof((struct second[]){__VA_ARGS__}) / sizeof(struct second))

static void aimd_adds_where_used_and_cuts_where_congested(void **state)
{
    (void)state;
    SECONDS(&aimd,
            /* used by half or more: 5 more a second; less used: stays */
            {5, 10, 0, MS, 0, 0, 15}, {8, 10, 0, MS, 0, 0, 20}, {9, 10, 0, MS, 0, 0, 20}, {10, 10, 0, MS, 0, 0, 25},
            /* 5 errors of 100 are none yet, 6 are; a burst of them is one cut */
            {20, 100, 5, MS, 0, 0, 30}, {20, 100, 6, MS, 0, 0, 27}, {20, 100, 100, MS, 0, 0, 24},
            /* slower than the timeout is an error too; one slow among many is not */
            {20, 10, 0, 5 * S, 0, 0, 29}, {20, 10, 0, 5 * S + 1, 0, 0, 26},
            /* load: the mean of the interval counts, the report that ends the one before too */
            {20, 0, 0, 0, 9, 88, 31}, {20, 0, 0, 0, 9, 91, 28},
            /* between min and max */
            {28, 1, 0, MS, 0, 0, 33}, {33, 1, 0, MS, 0, 0, 38}, {38, 1, 0, MS, 0, 0, 40}, {40, 1, 0, MS, 0, 0, 40});
    SECONDS(&aimd, {10, 1, 1, 0, 0, 0, 10}, {10, 1, 1, 0, 0, 0, 10});
}

static void a_gradient_follows_the_latency(void **state)
{
    (void)state;
    struct adaptive_config config = aimd;
    config.algorithm = ADAPTIVE_GRADIENT;
    config.max = 1000;
    config.step = 10;
    SECONDS(
        &config,
        /* steady: two more a second, a fifth of STEP; not used: stays */
        {10, 1, 0, 10 * MS, 0, 0, 12}, {12, 1, 0, 10 * MS, 0, 0, 14}, {14, 1, 0, 10 * MS, 0, 0, 16},
        {1, 1, 0, 10 * MS, 0, 0, 16}, {1, 1, 0, 10 * MS, 0, 0, 16}, {16, 1, 0, 10 * MS, 0, 0, 18},
        /* half as slow again is tolerated */
        {18, 1, 0, 15 * MS, 0, 0, 20},
        /* four times as slow: 1.5 x mean of 8 and 9 seconds / 40 ms, one fifth of the way: STEP just outweighs it */
        {20, 1, 0, 40 * MS, 0, 0, 20}, {20, 1, 0, 40 * MS, 0, 0, 20},
        /* errors halve, whatever the latency; ten a second are added: 20.6, 20.4 */
        {20, 10, 1, 10 * MS, 0, 0, 20}, {20, 10, 9, 10 * MS, 0, 0, 20});
    config.step = 1;
    SECONDS(&config, {10, 1, 0, MS, 0, 0, 10}, {10, 1, 0, MS, 0, 0, 10}, {10, 1, 0, MS, 0, 0, 10},
            {10, 1, 0, MS, 0, 0, 10}, {10, 1, 0, MS, 0, 0, 10},     /* fifths of a unit, rounded down, add up */
            {10, 1, 0, MS, 0, 0, 11}, {10, 1, 0, MS, 9, 1000, 10}); /* load: at worst half, so 11.2 goes to 10.3 */
}

static void gradients_settle_where_the_steps_balance(void **state)
{
    (void)state;
    struct adaptive_config config = aimd;
    config.algorithm = ADAPTIVE_GRADIENT;
    config.max = 1000;
    struct adaptive_context context = {0};
    context_take(&context, &config, 1, 0);
    int64_t limit = 10;
    for (int64_t i = 1; i < 200; i++) { /* a service that is good for 100 a second: above it latency doubles */
        context_take(&context, &config, limit, i * S);
        limit = context_report(&context, ADAPTIVE_LATENCY, limit > 100 ? 40 * MS : 10 * MS, i * S);
        if (i > 110) assert_in_range(limit, 80, 105);
    }
    adaptive_context_end(&context);
}

static void what_was_learnt_is_forgotten(void **state)
{
    (void)state;
    struct adaptive_context context = {0};
    assert_int_equal(context_report(&context, ADAPTIVE_ERROR, 0, 0), 0); /* nothing to report to */
    assert_null(context.adaptive);
    context_take(&context, &aimd, 10, 0);
    context_report(&context, ADAPTIVE_LATENCY, MS, 0);
    context_take(&context, &aimd, 10, S);
    assert_int_equal(context_report(&context, ADAPTIVE_LATENCY, MS, S), 15);
    struct adaptive_config other = aimd;
    other.min = 20; /* a changed configuration applies at once */
    assert_int_equal(context_take(&context, &other, 1, 2 * S).limit, 20);
    other.min = 1;
    other.max = 12;
    assert_int_equal(context_take(&context, &other, 1, 3 * S).limit, 12);
    assert_int_equal(adaptive_deadline_us(context.adaptive), BASE + 3 * S + H);
    assert_int_equal(context_report(&context, ADAPTIVE_ERROR, 0, 3 * S + H), 0);
    assert_int_equal(context_take(&context, &aimd, 1, 3 * S + H).limit, 10);
    adaptive_context_end(&context);
}

static void configurations_that_make_no_sense(void **state)
{
    (void)state;
    struct adaptive_config bad = aimd;
    bad.min = 0;
    assert_non_null(adaptive_config_fault(&bad));
    bad = aimd;
    bad.max = 9;
    assert_non_null(adaptive_config_fault(&bad));
    bad = aimd;
    bad.max = ADAPTIVE_LIMIT_MAX + 1;
    assert_non_null(adaptive_config_fault(&bad));
    bad = aimd;
    bad.backoff = 100;
    assert_non_null(adaptive_config_fault(&bad));
    bad = aimd;
    bad.tolerance = 99;
    assert_non_null(adaptive_config_fault(&bad));
}

/* xorshift: the stream is the same everywhere. */
static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void random_streams_stay_in_bounds(void **state)
{
    (void)state;
    uint64_t seed = 20250131;
    print_message("seed %lu\n", (unsigned long)seed);
    for (int stream = 0; stream < 300; stream++) {
        struct adaptive_context context = {0};
        struct adaptive_config config = aimd;
        config.algorithm = stream % 2;
        config.max = stream % 3 == 0 ? ADAPTIVE_LIMIT_MAX : 100;
        config.step = stream % 5 == 0 ? ADAPTIVE_LIMIT_MAX : 3;
        int64_t at_us = 0;
        for (int step = 0; step < 80; step++) {
            uint64_t draw = random_next(&seed);
            at_us += draw % 9 == 0 ? -(int64_t)(draw >> 8) % (2 * S) : (int64_t)(draw >> 8) % (S / 2);
            if (draw % 3 == 0) {
                struct verdict verdict = context_take(&context, &config, 1 + (int64_t)(draw >> 40), at_us);
                assert_in_range(verdict.limit, config.min, config.max);
                assert_true(verdict.remaining >= 0 && verdict.remaining <= verdict.limit);
            } else {
                int64_t value = (int64_t)(draw >> 1) % (draw % 5 == 0 ? DURATION_MAX_US : S);
                context_report(&context, (enum adaptive_report)(draw / 16 % 3), value, at_us);
            }
            if (context.adaptive) assert_true(adaptive_sane(context.adaptive));
        }
        adaptive_context_end(&context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_meet_an_exact_limit),
        cmocka_unit_test(aimd_adds_where_used_and_cuts_where_congested),
        cmocka_unit_test(a_gradient_follows_the_latency),
        cmocka_unit_test(gradients_settle_where_the_steps_balance),
        cmocka_unit_test(what_was_learnt_is_forgotten),
        cmocka_unit_test(configurations_that_make_no_sense),
        cmocka_unit_test(random_streams_stay_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

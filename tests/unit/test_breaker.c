/* The breaker: every arrow of its state picture, the window's slices, what clocks and changed configurations do.
 *
 *     {  at,  act,            took or config │ granted, remaining, wait, reset, state }   instants in us from BASE
 *
 * Behind each row: deciding leaves the value as it was, a denial changes nothing, every change carries over the wire to
 * a twin that ends byte-identical, the value survives its own encoding. */
#include "quota/rate/breaker_codec.h"
#include "scenario.h"

enum act { REQUEST, OK, FAIL, OPEN_, CLOSED_, AUTO_ };

struct row {
    int64_t at_us;
    enum act act;
    int64_t took_us; /* of OK and FAIL */
    int64_t granted, remaining, wait_us, reset_us;
    enum breaker_state state;
};

struct breaker_context {
    struct breaker *breaker, *twin;
    struct breaker_decision decision;
};

static struct sink encoded(const struct breaker *breaker)
{
    struct sink sink = {0};
    if (breaker) breaker_encode(breaker, &sink);
    return sink;
}

static void assert_equal_and_free(struct sink left, struct sink right)
{
    assert_int_equal(left.size, right.size);
    if (left.size > 0) assert_memory_equal(left.data, right.data, left.size);
    sink_free(&left);
    sink_free(&right);
}

static void context_apply(struct breaker_context *context)
{
    struct breaker_decision received;
    struct sink wire = {0};
    bool no_expire;
    if (context->decision.parts == 0) return;
    breaker_effects_encode(&context->decision, true, &wire);
    assert_true(breaker_effects_decode((struct bytes){wire.data, wire.size}, &received, &no_expire));
    assert_true(no_expire);
    assert_true(breaker_accepts(context->twin, &received));
    context->twin = breaker_apply(context->twin, &received);
    context->breaker = breaker_apply(context->breaker, &context->decision);
    sink_free(&wire);

    struct sink here = encoded(context->breaker);
    struct breaker *again = breaker_decode((struct bytes){here.data, here.size});
    assert_non_null(again);
    assert_int_equal(breaker_deadline_us(again), breaker_deadline_us(context->breaker));
    assert_true(breaker_deadline_us(again) > again->seen_us);
    assert_equal_and_free(here, encoded(again));
    assert_equal_and_free(encoded(&context->decision.after), encoded(context->breaker));
    assert_equal_and_free(encoded(context->breaker), encoded(context->twin));
    breaker_free(again);
}

static void context_act(struct breaker_context *context, enum act act, const struct breaker_config *config,
                        int64_t took_us, int64_t at_us)
{
    struct sink before = encoded(context->breaker);
    switch (act) {
    case REQUEST: breaker_decide_request(context->breaker, config, BASE + at_us, &context->decision); break;
    case OK:
    case FAIL: breaker_decide_report(context->breaker, act == FAIL, took_us, BASE + at_us, &context->decision); break;
    default:
        breaker_decide_force(context->breaker,
                             act == OPEN_     ? BREAKER_FORCED_OPEN
                             : act == CLOSED_ ? BREAKER_FORCED_CLOSED
                                              : BREAKER_AUTO,
                             BASE + at_us, &context->decision);
    }
    assert_equal_and_free(before, encoded(context->breaker));
    if (act == REQUEST && context->decision.verdict.granted == 0) assert_int_equal(context->decision.parts, 0);
    context_apply(context);
}

static void breaker_context_end(struct breaker_context *context)
{
    breaker_free(context->breaker);
    breaker_free(context->twin);
    *context = (struct breaker_context){0};
}

static void run_rows(struct breaker_config config, const struct row *rows, size_t count)
{
    struct breaker_context context = {0};
    assert_null(breaker_config_fault(&config));
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        context_act(&context, row->act, &config, row->took_us, row->at_us);
        const struct verdict *verdict = &context.decision.verdict;
        if (verdict->granted != row->granted || verdict->remaining != row->remaining ||
            verdict->wait_us != row->wait_us || verdict->reset_us != row->reset_us ||
            context.decision.state != row->state) {
            fail_msg("row %zu: granted %ld remaining %ld wait %ld reset %ld %s", i, verdict->granted,
                     verdict->remaining, verdict->wait_us, verdict->reset_us,
                     breaker_state_word(context.decision.state));
        }
    }
    breaker_context_end(&context);
}
#define ROWS(config_, ...)                                                                                             \
    run_rows((config_), (const struct row[]){__VA_ARGS__}, sizeof((struct row[]){__VA_ARGS__}) / sizeof(struct row))

/* Three failures in 10 s open it for 30 s, two probes. */
static const struct breaker_config three = {
    .failures = 3, .calls_min = 1, .window_us = 10 * S, .open_us = 30 * S, .probes = 2};

static void failures_open_probes_close(void **state)
{
    (void)state;
    ROWS(three,
         /* closed: everything goes; successes do not count against it */
         {0, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED}, {0, OK, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {0, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {S, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {S, REQUEST, 0, 1, -1, 0, 10 * S, BREAKER_CLOSED},
         /* the third failure opens it; reports of calls that still were under way are nothing to it */
         {2 * S, FAIL, 0, 0, 0, 0, 0, BREAKER_OPEN}, {2 * S, REQUEST, 0, 0, 0, 30 * S, 30 * S, BREAKER_OPEN},
         {3 * S, FAIL, 0, 0, 0, 0, 0, BREAKER_OPEN}, {3 * S, OK, 0, 0, 0, 0, 0, BREAKER_OPEN},
         {32 * S - 1, REQUEST, 0, 0, 0, 1, 1, BREAKER_OPEN},
         /* half-open at the very instant: two probes go, no third */
         {32 * S, OK, 0, 0, 0, 0, 0, BREAKER_HALF_OPEN}, {32 * S, REQUEST, 0, 1, 1, 0, 0, BREAKER_HALF_OPEN},
         {33 * S, REQUEST, 0, 1, 0, 0, 0, BREAKER_HALF_OPEN},
         {34 * S, REQUEST, 0, 0, 0, 28 * S, 28 * S, BREAKER_HALF_OPEN},
         /* a success keeps its place, two close it with nothing counted */
         {35 * S, OK, 0, 0, 0, 0, 0, BREAKER_HALF_OPEN}, {35 * S, REQUEST, 0, 0, 0, 28 * S, 28 * S, BREAKER_HALF_OPEN},
         {36 * S, OK, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {36 * S, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED});
}

static void one_failed_probe_opens_again(void **state)
{
    (void)state;
    ROWS(three, {0, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED}, {0, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {0, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {0, FAIL, 0, 0, 0, 0, 0, BREAKER_OPEN},
         {30 * S, REQUEST, 0, 1, 1, 0, 0, BREAKER_HALF_OPEN}, {30 * S, REQUEST, 0, 1, 0, 0, 0, BREAKER_HALF_OPEN},
         {31 * S, OK, 0, 0, 0, 0, 0, BREAKER_HALF_OPEN}, {32 * S, FAIL, 0, 0, 0, 0, 0, BREAKER_OPEN},
         {32 * S, REQUEST, 0, 0, 0, 30 * S, 30 * S, BREAKER_OPEN}, {62 * S, REQUEST, 0, 1, 1, 0, 0, BREAKER_HALF_OPEN});
}

static void a_probe_that_never_reports_gives_its_place_back(void **state)
{
    (void)state;
    ROWS(three, {0, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED}, {0, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {0, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {0, FAIL, 0, 0, 0, 0, 0, BREAKER_OPEN},
         {30 * S, REQUEST, 0, 1, 1, 0, 0, BREAKER_HALF_OPEN}, {40 * S, REQUEST, 0, 1, 0, 0, 0, BREAKER_HALF_OPEN},
         {60 * S - 1, REQUEST, 0, 0, 0, 1, 1, BREAKER_HALF_OPEN}, {60 * S, REQUEST, 0, 1, 0, 0, 0, BREAKER_HALF_OPEN},
         {60 * S, REQUEST, 0, 0, 0, 10 * S, 10 * S, BREAKER_HALF_OPEN},
         /* both have given up: a report finds no probe to settle, a new probe does */
         {90 * S, FAIL, 0, 0, 0, 0, 0, BREAKER_HALF_OPEN}, {90 * S, REQUEST, 0, 1, 1, 0, 0, BREAKER_HALF_OPEN},
         {91 * S, FAIL, 0, 0, 0, 0, 0, BREAKER_OPEN});
}

static void rates_count_from_min_calls(void **state)
{
    (void)state;
    struct breaker_config half = {.rate = 50, .calls_min = 4, .window_us = 10 * S, .open_us = S, .probes = 1};
    ROWS(half, {0, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED}, {0, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {0, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {0, OK, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         /* exactly half of exactly four opens, whatever the fourth was */
         {0, OK, 0, 0, 0, 0, 0, BREAKER_OPEN}, {S, REQUEST, 0, 1, 0, 0, 0, BREAKER_HALF_OPEN},
         {S, OK, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {S, OK, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {S, OK, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {S, OK, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {S, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {S, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {S, FAIL, 0, 0, 0, 0, 0, BREAKER_OPEN});
    /* two of three are 66.67 percent: 66 opens, 67 does not; nothing is rounded */
    struct breaker_config precise = {.rate = 67, .calls_min = 3, .window_us = 10 * S, .open_us = S, .probes = 1};
    ROWS(precise, {0, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED}, {0, OK, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {0, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {0, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED});
    precise.rate = 66;
    ROWS(precise, {0, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED}, {0, OK, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {0, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {0, FAIL, 0, 0, 0, 0, 0, BREAKER_OPEN});
}

static void slow_calls_open_too(void **state)
{
    (void)state;
    struct breaker_config slow = {.rate = 100,
                                  .calls_min = 2,
                                  .window_us = 10 * S,
                                  .slow_us = 2 * S,
                                  .slow_rate = 50,
                                  .open_us = 5 * S,
                                  .probes = 2};
    ROWS(slow, {0, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED}, {0, OK, 2 * S - 1, 0, 0, 0, 0, BREAKER_CLOSED},
         {0, OK, 2 * S - 1, 0, 0, 0, 0, BREAKER_CLOSED}, {0, OK, 2 * S, 0, 0, 0, 0, BREAKER_CLOSED},
         {0, OK, 2 * S, 0, 0, 0, 0, BREAKER_OPEN},
         /* a slow probe is a failed one */
         {5 * S, REQUEST, 0, 1, 1, 0, 0, BREAKER_HALF_OPEN}, {8 * S, OK, 3 * S, 0, 0, 0, 0, BREAKER_OPEN},
         {13 * S, REQUEST, 0, 1, 1, 0, 0, BREAKER_HALF_OPEN}, {14 * S, OK, S, 0, 0, 0, 0, BREAKER_HALF_OPEN});
}

static void a_call_of_another_state_is_not_counted(void **state)
{
    (void)state;
    struct breaker_config two = {.failures = 2, .calls_min = 1, .window_us = 10 * S, .open_us = 5 * S, .probes = 1};
    ROWS(two, {0, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED},
         /* the first state of the key: it was closed before, too */
         {1, FAIL, H, 0, 0, 0, 0, BREAKER_CLOSED}, {1, FAIL, 2, 0, 0, 0, 0, BREAKER_OPEN},
         {6 * S, REQUEST, 0, 1, 0, 0, 0, BREAKER_HALF_OPEN}, {7 * S, OK, S + 1, 0, 0, 0, 0, BREAKER_HALF_OPEN},
         {7 * S, FAIL, D, 0, 0, 0, 0, BREAKER_HALF_OPEN}, {7 * S, REQUEST, 0, 0, 0, 4 * S, 4 * S, BREAKER_HALF_OPEN},
         {7 * S, OK, S, 0, 0, 0, 0, BREAKER_CLOSED}, {8 * S, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {8 * S, FAIL, S + 1, 0, 0, 0, 0, BREAKER_CLOSED}, {8 * S, FAIL, S, 0, 0, 0, 0, BREAKER_OPEN});
}

static void the_window_forgets_by_slices(void **state)
{
    (void)state;
    ROWS(three, {S / 2, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED}, {S / 2, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {S / 2, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {S / 2, REQUEST, 0, 1, -1, 0, 10 * S - S / 2, BREAKER_CLOSED},
         {10 * S - 1, REQUEST, 0, 1, -1, 0, 1, BREAKER_CLOSED}, {10 * S, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED},
         /* both have left: it takes three again, and two that are nearly ten seconds old still count */
         {10 * S, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {11 * S, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {20 * S, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {20 * S + 1, FAIL, 0, 0, 0, 0, 0, BREAKER_OPEN});
}

static void forced_states_override_all(void **state)
{
    (void)state;
    ROWS(three, {0, OPEN_, 0, 0, 0, 0, 0, BREAKER_OPEN}, {0, REQUEST, 0, 0, 0, NEVER, NEVER, BREAKER_OPEN},
         {H, REQUEST, 0, 0, 0, NEVER, NEVER, BREAKER_OPEN}, {H, OK, 0, 0, 0, 0, 0, BREAKER_OPEN},
         {H, OPEN_, 0, 0, 0, 0, 0, BREAKER_OPEN}, {H, CLOSED_, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {H, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {H, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {H, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {H, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED},
         /* lifted: begins anew, so it takes three more */
         {H, AUTO_, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {H, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {H, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED}, {H, FAIL, 0, 0, 0, 0, 0, BREAKER_OPEN},
         {H, AUTO_, 0, 0, 0, 0, 0, BREAKER_OPEN}); /* not forced: nothing to lift */
}

static void a_clock_that_steps_back_closes_nothing(void **state)
{
    (void)state;
    ROWS(three, {H, REQUEST, 0, 1, -1, 0, 0, BREAKER_CLOSED}, {H, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         {H, FAIL, 0, 0, 0, 0, 0, BREAKER_CLOSED},
         /* a report from before counts in the newest slice, so nothing is lost and nothing lasts longer */
         {0, FAIL, 0, 0, 0, 0, 0, BREAKER_OPEN}, {0, REQUEST, 0, 0, 0, H + 30 * S, H + 30 * S, BREAKER_OPEN},
         {H + 30 * S, REQUEST, 0, 1, 1, 0, 0, BREAKER_HALF_OPEN},
         /* half-open stays half-open: it does not open twice, and the probe keeps its place as long as it must */
         {H, REQUEST, 0, 1, 0, 0, 0, BREAKER_HALF_OPEN}, {H, REQUEST, 0, 0, 0, 60 * S, 60 * S, BREAKER_HALF_OPEN},
         {0, OK, 0, 0, 0, 0, 0, BREAKER_HALF_OPEN}, {0, OK, 0, 0, 0, 0, 0, BREAKER_CLOSED});
}

static void a_changed_configuration_applies_at_once(void **state)
{
    (void)state;
    struct breaker_context context = {0};
    struct breaker_config config = three, other = three;
    context_act(&context, REQUEST, &config, 0, 0);
    context_act(&context, FAIL, NULL, 0, 0);
    context_act(&context, FAIL, NULL, 0, S);
    other.window_us = 60 * S; /* a longer window takes the counts over, in its newest slice */
    context_act(&context, REQUEST, &other, 0, S);
    assert_int_equal(context.decision.parts, BREAKER_PART_CONFIG | BREAKER_PART_REQUESTED);
    assert_int_equal(context.decision.verdict.reset_us, 59 * S);
    context_act(&context, FAIL, NULL, 0, 50 * S);
    assert_int_equal(context.decision.state, BREAKER_OPEN);
    other.open_us = 5 * S; /* a shorter OPEN, from when it opened; a denial stores nothing */
    context_act(&context, REQUEST, &other, 0, 54 * S);
    assert_int_equal(context.decision.verdict.wait_us, S);
    assert_int_equal(context.breaker->config.open_us, 30 * S);
    other.probes = 3;
    context_act(&context, REQUEST, &other, 0, 55 * S);
    assert_int_equal(context.decision.verdict.remaining, 2);
    context_act(&context, REQUEST, NULL, 0, 56 * S); /* without words: what is stored */
    context_act(&context, REQUEST, NULL, 0, 57 * S);
    assert_int_equal(context.decision.verdict.remaining, 0);
    other.probes = 1; /* fewer than are under way: all three have to come back or give up */
    context_act(&context, REQUEST, &other, 0, 57 * S);
    assert_int_equal(context.decision.verdict.wait_us, 5 * S);
    context_act(&context, OK, NULL, 0, 58 * S);
    assert_int_equal(context.decision.state, BREAKER_HALF_OPEN);
    context_act(&context, REQUEST, &other, 0, 58 * S); /* one success is enough now */
    assert_int_equal(context.decision.state, BREAKER_CLOSED);
    assert_int_equal(context.decision.parts, BREAKER_PART_CONFIG | BREAKER_PART_STATE | BREAKER_PART_REQUESTED);
    breaker_context_end(&context);
}

/* A value from elsewhere may be half-open with all of its probes: the first call that is reported closes it. */
static void a_report_stores_the_state_that_counts_it(void **state)
{
    (void)state;
    struct breaker breaker = {.config = three,
                              .seen_us = BASE,
                              .since_us = BASE,
                              .requested_us = BASE,
                              .state = BREAKER_HALF_OPEN,
                              .succeeded = 2};
    struct breaker_decision decision;
    assert_true(breaker_sane(&breaker));
    breaker_decide_report(&breaker, true, 0, BASE + S, &decision);
    assert_true(breaker_accepts(&breaker, &decision));
    breaker_apply(&breaker, &decision);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_int_equal(breaker.slices[0].calls, 1);
}

static void it_is_forgotten_when_nothing_depends_on_it(void **state)
{
    (void)state;
    struct breaker_context context = {0};
    context_act(&context, FAIL, NULL, 0, 0); /* nothing is stored, nothing to report to */
    assert_null(context.breaker);
    assert_int_equal(context.decision.state, BREAKER_CLOSED);
    context_act(&context, AUTO_, NULL, 0, 0);
    assert_null(context.breaker);
    context_act(&context, REQUEST, &three, 0, 0);
    assert_int_equal(breaker_deadline_us(context.breaker), BASE + 20 * S);
    context_act(&context, REQUEST, &three, 0, 10 * S - 1); /* requests are written down once in a WINDOW */
    assert_int_equal(context.decision.parts, 0);
    context_act(&context, REQUEST, &three, 0, 10 * S);
    assert_int_equal(context.decision.parts, BREAKER_PART_REQUESTED);
    assert_int_equal(breaker_deadline_us(context.breaker), BASE + 30 * S);
    context_act(&context, FAIL, NULL, 0, 29 * S);
    assert_int_equal(breaker_deadline_us(context.breaker), BASE + 39 * S);
    context_act(&context, OPEN_, NULL, 0, 30 * S);
    assert_int_equal(breaker_deadline_us(context.breaker), INSTANT_MAX_US);
    context_act(&context, AUTO_, NULL, 0, 40 * S);
    assert_int_equal(breaker_deadline_us(context.breaker), BASE + 60 * S);
    for (int i = 0; i < 3; i++) context_act(&context, FAIL, NULL, 0, 41 * S);
    assert_int_equal(breaker_deadline_us(context.breaker), BASE + 71 * S + D);
    context_act(&context, REQUEST, NULL, 0,
                71 * S + D); /* past it: as if nothing were stored, the default configuration too */
    assert_int_equal(context.decision.state, BREAKER_CLOSED);
    assert_int_equal(context.breaker->config.calls_min, 100);
    breaker_context_end(&context);
}

static void configurations_that_make_no_sense(void **state)
{
    (void)state;
    static const struct breaker_config rows[] = {
        {0},
        {.failures = 1, .rate = 50, .calls_min = 1, .window_us = S, .open_us = S, .probes = 1},
        {.rate = 101, .calls_min = 1, .window_us = S, .open_us = S, .probes = 1},
        {.rate = 50, .calls_min = 0, .window_us = S, .open_us = S, .probes = 1},
        {.rate = 50, .calls_min = 1, .window_us = 9, .open_us = S, .probes = 1},
        {.rate = 50, .calls_min = 1, .window_us = S, .slow_us = S, .open_us = S, .probes = 1},
        {.rate = 50, .calls_min = 1, .window_us = S, .slow_rate = 50, .open_us = S, .probes = 1},
        {.rate = 50, .calls_min = 1, .window_us = S, .open_us = 0, .probes = 1},
        {.rate = 50, .calls_min = 1, .window_us = S, .open_us = DURATION_MAX_US + 1, .probes = 1},
        {.rate = 50, .calls_min = 1, .window_us = S, .open_us = S, .probes = BREAKER_PROBES_MAX + 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) assert_non_null(breaker_config_fault(&rows[i]));
    assert_null(breaker_config_fault(&BREAKER_CONFIG_DEFAULT));
}

static void effects_from_outside_must_fit(void **state)
{
    (void)state;
    struct breaker_context context = {0};
    context_act(&context, REQUEST, &three, 0, 0);
    struct breaker_decision ok = {.parts = BREAKER_PART_SLICE, .after = {.seen_us = BASE, .slices = {{2, 1, 0}}}};
    assert_true(breaker_accepts(context.breaker, &ok));
    assert_false(breaker_accepts(NULL, &ok)); /* there is no configuration */
    struct breaker_decision bad = ok;
    bad.after.seen_us = BASE - 1; /* the mark only moves on */
    assert_false(breaker_accepts(context.breaker, &bad));
    bad = ok;
    bad.after.slices[0].failures = 3; /* more failures than calls */
    assert_false(breaker_accepts(context.breaker, &bad));
    bad = ok;
    bad.parts = BREAKER_PART_PROBES; /* closed: no call is a probe */
    assert_false(breaker_accepts(context.breaker, &bad));
    bad.parts = BREAKER_PARTS_ALL + 1;
    assert_false(breaker_accepts(context.breaker, &bad));
    bad = (struct breaker_decision){.parts = BREAKER_PART_STATE,
                                    .after = {.seen_us = BASE, .state = BREAKER_OPEN, .force = BREAKER_FORCED_OPEN}};
    assert_false(breaker_accepts(context.breaker, &bad));
    breaker_context_end(&context);
}

/* xorshift: the stream is the same everywhere. */
static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* What no stream of acts may ever do; the honest model of all answers is tests/integration/test_rl_breaker.py. */
static void random_streams_keep_the_promises(void **state)
{
    (void)state;
    const uint64_t first_seed = 20250131;
    print_message("seed %lu\n", (unsigned long)first_seed);
    uint64_t seed = first_seed;
    for (int stream = 0; stream < 300; stream++) {
        struct breaker_context context = {0};
        struct breaker_config config = three;
        int64_t at_us = 0, opened_at_us = -1;
        for (int step = 0; step < 60; step++) {
            uint64_t draw = random_next(&seed);
            at_us += draw % 7 == 0 ? -(int64_t)(draw >> 8) % (9 * S) : (int64_t)(draw >> 8) % (7 * S);
            if (draw % 31 == 0) config.probes = 1 + (int64_t)(draw >> 16) % BREAKER_PROBES_MAX;
            enum act act = (draw >> 32) % 16 == 0 ? (enum act)(draw % 6) : (enum act)((draw >> 40) % 3);
            enum breaker_state before = context.breaker ? context.breaker->state : BREAKER_CLOSED;
            context_act(&context, act, &config, 0, at_us);
            if (!context.breaker) continue;
            assert_true(breaker_sane(context.breaker));
            if (context.breaker->state == BREAKER_OPEN && before != BREAKER_OPEN) opened_at_us = at_us;
            if (act == REQUEST && before == BREAKER_OPEN && context.decision.verdict.granted &&
                !context.breaker->force) {
                assert_true(at_us >= opened_at_us + config.open_us); /* never early, whatever the clock did */
            }
        }
        breaker_context_end(&context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_open_probes_close),
        cmocka_unit_test(one_failed_probe_opens_again),
        cmocka_unit_test(a_probe_that_never_reports_gives_its_place_back),
        cmocka_unit_test(rates_count_from_min_calls),
        cmocka_unit_test(slow_calls_open_too),
        cmocka_unit_test(a_call_of_another_state_is_not_counted),
        cmocka_unit_test(the_window_forgets_by_slices),
        cmocka_unit_test(forced_states_override_all),
        cmocka_unit_test(a_clock_that_steps_back_closes_nothing),
        cmocka_unit_test(a_changed_configuration_applies_at_once),
        cmocka_unit_test(a_report_stores_the_state_that_counts_it),
        cmocka_unit_test(it_is_forgotten_when_nothing_depends_on_it),
        cmocka_unit_test(configurations_that_make_no_sense),
        cmocka_unit_test(effects_from_outside_must_fit),
        cmocka_unit_test(random_streams_keep_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

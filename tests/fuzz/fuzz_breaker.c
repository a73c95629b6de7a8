/* Fuzzes breakers and adaptive limits: bytes as a value, bytes as effects, then requests, reports and forces against
 * what got in.
 *
 *     input ─▶ first byte: which kind, value or effects │ eight bytes: an instant │ the rest: the bytes
 *
 * What must hold: no crash, no overflow (UBSan), no leak; what is accepted encodes to the very same bytes; deciding
 * changes nothing; a decision is accepted by a twin, over the wire, and leads both to the same bytes. */
#include "input.h"
#include "quota/rate/adaptive_codec.h"
#include "quota/rate/breaker_codec.h"

static void require_same(struct bytes bytes, struct sink *again)
{
    require(bytes_equal(bytes, (struct bytes){again->data, again->size}));
    sink_free(again);
}

/* Mostly a little later, sometimes earlier, sometimes anywhere. */
static int64_t next_instant(int64_t now_us, struct numbers *numbers)
{
    int64_t how = number_upto(numbers, 7), step_us = number_upto(numbers, 40 * MICROS_PER_DAY);
    if (how == 0) return 1 + number_upto(numbers, INSTANT_MAX_US - 1);
    if (how == 1) return now_us > step_us ? now_us - step_us : 1;
    return now_us > INSTANT_MAX_US - step_us ? INSTANT_MAX_US : now_us + step_us;
}

/* ---- breakers -------------------------------------------------------------------------------------------- */

static struct breaker *breaker_from(struct bytes bytes, bool effects)
{
    struct breaker_decision decision;
    struct sink again = {0};
    bool no_expire;
    if (effects) {
        bool fits = breaker_effects_decode(bytes, &decision, &no_expire) && breaker_accepts(NULL, &decision);
        return fits ? breaker_apply(NULL, &decision) : NULL;
    }
    struct breaker *breaker = breaker_decode(bytes);
    if (!breaker) return NULL;
    breaker_encode(breaker, &again);
    require_same(bytes, &again);
    return breaker;
}

static struct sink breaker_bytes_of(const struct breaker *breaker)
{
    struct sink bytes = {0};
    if (breaker) breaker_encode(breaker, &bytes);
    return bytes;
}

static struct breaker_config breaker_words(struct numbers *numbers)
{
    struct breaker_config config = {.failures = number_upto(numbers, 9),
                                    .calls_min = 1 + number_upto(numbers, INT64_MAX - 1),
                                    .window_us =
                                        BREAKER_SLICES + number_upto(numbers, DURATION_MAX_US - BREAKER_SLICES),
                                    .slow_us = number_upto(numbers, DURATION_MAX_US),
                                    .open_us = 1 + number_upto(numbers, DURATION_MAX_US - 1),
                                    .probes = 1 + number_upto(numbers, BREAKER_PROBES_MAX - 1)};
    if (config.failures == 0) config.rate = 1 + number_upto(numbers, 99);
    if (config.slow_us > 0) config.slow_rate = 1 + number_upto(numbers, 99);
    return config;
}

static void breaker_decide(const struct breaker *breaker, struct numbers *numbers, int64_t now_us,
                           struct breaker_decision *decision)
{
    struct breaker_config config = breaker_words(numbers);
    struct breaker_look look;
    bool usable = breaker_config_fault(&config) == NULL;
    switch (number_upto(numbers, 7)) {
    case 0: breaker_decide_request(breaker, usable ? &config : NULL, now_us, decision); break;
    case 1: breaker_decide_force(breaker, (enum breaker_force)number_upto(numbers, 2), now_us, decision); break;
    case 2:
    case 3:
    case 4: {
        bool failed = number_upto(numbers, 1);
        breaker_decide_report(breaker, failed, number_upto(numbers, DURATION_MAX_US), now_us, decision);
        break;
    }
    default:
        breaker_decide_request(breaker, NULL, now_us, decision);
        require(decision->verdict.granted == 0 || decision->verdict.granted == 1);
        require(decision->verdict.granted == 1 || decision->parts == 0);
    }
    if (!breaker) return;
    breaker_look(breaker, now_us, &look);
    require(look.total.failures <= look.total.calls && look.total.slow <= look.total.calls);
}

static struct breaker *breaker_apply_both_ways(struct breaker *breaker, const struct sink *before,
                                               const struct breaker_decision *decision)
{
    struct breaker_decision received;
    struct sink wire = {0};
    bool no_expire;
    struct breaker *twin = before->size > 0 ? breaker_decode((struct bytes){before->data, before->size}) : NULL;
    require(before->size == 0 || twin);
    breaker_effects_encode(decision, true, &wire);
    require(breaker_effects_decode((struct bytes){wire.data, wire.size}, &received, &no_expire) && no_expire);
    require(breaker_accepts(twin, &received) && breaker_accepts(breaker, decision));
    breaker = breaker_apply(breaker, decision);
    twin = breaker_apply(twin, &received);
    require(breaker_sane(breaker) && breaker_deadline_us(breaker) == breaker_deadline_us(twin));
    struct sink left = breaker_bytes_of(breaker), right = breaker_bytes_of(twin);
    require_same((struct bytes){left.data, left.size}, &right);
    sink_free(&left);
    sink_free(&wire);
    breaker_free(twin);
    return breaker;
}

static void breaker_use(struct breaker *breaker, struct numbers *numbers, int64_t now_us)
{
    for (int i = 0; i < 8; i++) {
        struct breaker_decision decision;
        struct sink before = breaker_bytes_of(breaker);
        breaker_decide(breaker, numbers, now_us, &decision);
        struct sink after = breaker_bytes_of(breaker);
        require_same((struct bytes){before.data, before.size}, &after);
        if (decision.parts > 0) breaker = breaker_apply_both_ways(breaker, &before, &decision);
        sink_free(&before);
        now_us = next_instant(now_us, numbers);
    }
    breaker_free(breaker);
}

/* ---- adaptive limits ------------------------------------------------------------------------------------- */

static struct adaptive *adaptive_from(struct bytes bytes, bool effects)
{
    struct adaptive_decision decision;
    struct sink again = {0};
    bool no_expire;
    if (effects) {
        bool fits = adaptive_effects_decode(bytes, &decision, &no_expire) && adaptive_accepts(NULL, &decision);
        return fits ? adaptive_apply(NULL, &decision) : NULL;
    }
    struct adaptive *adaptive = adaptive_decode(bytes);
    if (!adaptive) return NULL;
    adaptive_encode(adaptive, &again);
    require_same(bytes, &again);
    return adaptive;
}

static struct sink adaptive_bytes_of(const struct adaptive *adaptive)
{
    struct sink bytes = {0};
    if (adaptive) adaptive_encode(adaptive, &bytes);
    return bytes;
}

static struct adaptive_config adaptive_words(struct numbers *numbers)
{
    struct adaptive_config config = {.min = 1 + number_upto(numbers, ADAPTIVE_LIMIT_MAX - 1),
                                     .algorithm = number_upto(numbers, 1),
                                     .interval_us = 1 + number_upto(numbers, DURATION_MAX_US - 1),
                                     .step = 1 + number_upto(numbers, ADAPTIVE_LIMIT_MAX - 1),
                                     .errors = number_upto(numbers, 100),
                                     .target = 1 + number_upto(numbers, 99),
                                     .backoff = 1 + number_upto(numbers, 98),
                                     .timeout_us = 1 + number_upto(numbers, DURATION_MAX_US - 1),
                                     .tolerance = 100 + number_upto(numbers, 900)};
    config.max = config.min + number_upto(numbers, ADAPTIVE_LIMIT_MAX - config.min);
    require(adaptive_config_fault(&config) == NULL);
    return config;
}

static void adaptive_decide(const struct adaptive *adaptive, struct numbers *numbers, int64_t now_us,
                            struct adaptive_decision *decision)
{
    static const int64_t values_max[] = {INT64_MAX, 0, ADAPTIVE_LOAD_MAX}; /* by what is reported */
    int64_t how = number_upto(numbers, 7);
    if (how < 4) {
        enum adaptive_report report = (enum adaptive_report)(how % 3);
        adaptive_decide_report(adaptive, report, number_upto(numbers, values_max[report]), now_us, decision);
        return;
    }
    struct adaptive_config config = adaptive && how < 7 ? adaptive->config : adaptive_words(numbers);
    struct adaptive_request request = {.config = &config, .peek = how == 4, .now_us = now_us};
    request.cost = 1 + number_upto(numbers, how == 5 ? INT64_MAX - 1 : 3);
    adaptive_decide_request(adaptive, &request, decision);
    if (decision->fault != FAULT_NONE) return;
    require(decision->verdict.limit >= config.min && decision->verdict.limit <= config.max);
    require(decision->verdict.granted == 0 || decision->verdict.granted == request.cost);
    require(!request.peek || decision->parts == 0);
}

static struct adaptive *adaptive_apply_both_ways(struct adaptive *adaptive, const struct sink *before,
                                                 const struct adaptive_decision *decision)
{
    struct adaptive_decision received;
    struct sink wire = {0};
    bool no_expire;
    struct adaptive *twin = before->size > 0 ? adaptive_decode((struct bytes){before->data, before->size}) : NULL;
    require(before->size == 0 || twin);
    adaptive_effects_encode(decision, true, &wire);
    require(adaptive_effects_decode((struct bytes){wire.data, wire.size}, &received, &no_expire) && no_expire);
    require(adaptive_accepts(twin, &received) && adaptive_accepts(adaptive, decision));
    adaptive = adaptive_apply(adaptive, decision);
    twin = adaptive_apply(twin, &received);
    require(adaptive_sane(adaptive) && adaptive_deadline_us(adaptive) == adaptive_deadline_us(twin));
    struct sink left = adaptive_bytes_of(adaptive), right = adaptive_bytes_of(twin);
    require_same((struct bytes){left.data, left.size}, &right);
    sink_free(&left);
    sink_free(&wire);
    adaptive_free(twin);
    return adaptive;
}

static void adaptive_use(struct adaptive *adaptive, struct numbers *numbers, int64_t now_us)
{
    for (int i = 0; i < 8; i++) {
        struct adaptive_decision decision;
        struct sink before = adaptive_bytes_of(adaptive);
        adaptive_decide(adaptive, numbers, now_us, &decision);
        struct sink after = adaptive_bytes_of(adaptive);
        require_same((struct bytes){before.data, before.size}, &after);
        bool changes = decision.fault == FAULT_NONE && decision.parts > 0;
        if (changes) adaptive = adaptive_apply_both_ways(adaptive, &before, &decision);
        sink_free(&before);
        now_us = next_instant(now_us, numbers);
    }
    adaptive_free(adaptive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 10) return 0;
    int64_t now_us = 1;
    for (int i = 1; i < 9; i++) now_us = (int64_t)((uint64_t)now_us << 8 | data[i]);
    now_us = 1 + ((now_us & INT64_MAX) >> (2 + (data[0] >> 2) % 60));
    struct bytes bytes = {(const char *)data + 9, size - 9};
    struct numbers numbers = {data, size, 1};
    if (data[0] & 1) {
        breaker_use(breaker_from(bytes, data[0] & 2), &numbers, now_us);
    } else {
        adaptive_use(adaptive_from(bytes, data[0] & 2), &numbers, now_us);
    }
    return 0;
}

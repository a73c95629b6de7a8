/* Steps and requests of adaptive.h, in integers: products are 128-bit, divisions round down. */
#include "quota/rate/adaptive.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/rate/gcra.h"

#define PERCENT        100
#define TOLERANCE_MAX  1000
#define ONE            (INT64_C(1) << ADAPTIVE_SHIFT)
#define HALF           (ONE / 2)
#define LONG_INTERVALS 600 /* Gradient2Limit: longWindow; an exponential mean of n weighs a new one with 2/(n + 1) */
#define LONG_WARM_UP   10  /* … after a plain mean of the first ten */
#define LONG_DECAY     95  /* … and where it is above twice the short one it goes down by 5 % an interval */
#define SMOOTHING      5   /* a step goes one fifth of the way: 0.2 */

/* ---- configuration --------------------------------------------------------------------------------------- */

static bool between(int64_t value, int64_t lowest, int64_t highest)
{
    return value >= lowest && value <= highest;
}

const char *adaptive_config_fault(const struct adaptive_config *config)
{
    if (!between(config->min, 1, ADAPTIVE_LIMIT_MAX)) return "min is out of range";
    if (!between(config->max, config->min, ADAPTIVE_LIMIT_MAX)) return "max is below min, or out of range";
    if (!between(config->algorithm, ADAPTIVE_AIMD, ADAPTIVE_GRADIENT)) return "the algorithm is AIMD or GRADIENT";
    if (!between(config->interval_us, 1, DURATION_MAX_US)) return "INTERVAL is out of range";
    if (!between(config->step, 1, ADAPTIVE_LIMIT_MAX)) return "STEP is out of range";
    if (!between(config->errors, 0, PERCENT)) return "ERRORS is a percentage, 0 to 100";
    if (!between(config->target, 1, PERCENT)) return "TARGET is a percentage, 1 to 100";
    if (!between(config->backoff, 1, PERCENT - 1)) return "BACKOFF is a percentage, 1 to 99";
    if (!between(config->timeout_us, 1, DURATION_MAX_US)) return "TIMEOUT is out of range";
    if (!between(config->tolerance, PERCENT, TOLERANCE_MAX)) return "TOLERANCE is a percentage, 100 to 1000";
    return NULL;
}

static bool config_equal(const struct adaptive_config *left, const struct adaptive_config *right)
{
    return left->min == right->min && left->max == right->max && left->algorithm == right->algorithm &&
           left->interval_us == right->interval_us && left->step == right->step && left->errors == right->errors &&
           left->target == right->target && left->backoff == right->backoff && left->timeout_us == right->timeout_us &&
           left->tolerance == right->tolerance;
}

static void write_number(struct sink *text, const char *word, int64_t number)
{
    sink_raw(text, word, strlen(word));
    sink_decimal(text, number);
}

static void write_fixed(struct sink *text, const char *word, int64_t duration_us)
{
    sink_raw(text, word, strlen(word));
    sink_duration(text, duration_us);
}

void adaptive_config_write(const struct adaptive_config *config, struct sink *text)
{
    bool aimd = config->algorithm == ADAPTIVE_AIMD;
    write_number(text, "", config->min);
    write_number(text, " ", config->max);
    write_fixed(text, aimd ? " AIMD INTERVAL " : " GRADIENT INTERVAL ", config->interval_us);
    write_number(text, " STEP ", config->step);
    write_number(text, " ERRORS ", config->errors);
    write_number(text, " TARGET ", config->target);
    if (aimd) {
        write_number(text, " BACKOFF ", config->backoff);
        write_fixed(text, " TIMEOUT ", config->timeout_us);
    } else {
        write_number(text, " TOLERANCE ", config->tolerance);
    }
}

/* ---- the limit as a rule --------------------------------------------------------------------------------- */

static int64_t whole_limit(const struct adaptive *adaptive)
{
    return adaptive->limit_q >> ADAPTIVE_SHIFT;
}

static struct rule rule_at(int64_t limit)
{
    struct rule rule = {
        .limit = limit, .period_us = MICROS_PER_SECOND, .capacity = limit, .initial = limit, .algorithm = RULE_GCRA};
    rule_complete(&rule);
    return rule;
}

/* A new limit, between min and max; what is owed stays what it is in time. */
static void set_limit(struct adaptive *adaptive, wide limit_q)
{
    const struct adaptive_config *config = &adaptive->config;
    struct rule before = rule_at(whole_limit(adaptive));
    adaptive->limit_q = wide_clamp(limit_q, config->min << ADAPTIVE_SHIFT, config->max << ADAPTIVE_SHIFT);
    struct rule after = rule_at(whole_limit(adaptive));
    struct state debt = {.when_us = adaptive->debt_us, .amount = adaptive->debt_rest};
    gcra_restate(&before, &after, &debt);
    adaptive->debt_us = min_i64(debt.when_us, INSTANT_MAX_US);
    adaptive->debt_rest = debt.amount;
}

static void turn_second(struct adaptive *adaptive)
{
    int64_t second = adaptive->seen_us / MICROS_PER_SECOND;
    if (second == adaptive->second) return;
    adaptive->taken_before = second == adaptive->second + 1 ? adaptive->taken : 0;
    adaptive->taken = 0;
    adaptive->second = second;
}

/* A copy at the instant that counts, under `config` (NULL = its own); `parts` is what storing it would change. */
static struct adaptive stand(const struct adaptive *stored, const struct adaptive_config *config, int64_t now_us,
                             unsigned *parts)
{
    struct adaptive adaptive = {0};
    now_us = min_i64(now_us, INSTANT_MAX_US);
    *parts = 0;
    if (stored && adaptive_deadline_us(stored) > now_us) {
        adaptive = *stored;
        adaptive.seen_us = max_i64(stored->seen_us, now_us);
        turn_second(&adaptive);
        if (config && !config_equal(config, &adaptive.config)) {
            adaptive.config = *config;
            set_limit(&adaptive, adaptive.limit_q);
            *parts = ADAPTIVE_PART_CONFIG | ADAPTIVE_PART_LIMIT | ADAPTIVE_PART_DEBT;
        }
    } else if (config) {
        adaptive.config = *config;
        adaptive.seen_us = adaptive.sample.start_us = now_us;
        adaptive.limit_q = config->min << ADAPTIVE_SHIFT;
        turn_second(&adaptive);
        *parts = ADAPTIVE_PARTS_ALL;
    }
    return adaptive;
}

void adaptive_decide_request(const struct adaptive *adaptive, const struct adaptive_request *request,
                             struct adaptive_decision *decision)
{
    struct adaptive *after = &decision->after;
    *after = stand(adaptive, request->config, request->now_us, &decision->parts);
    decision->limit = whole_limit(after);
    decision->fault = FAULT_NONE;

    struct rule rule = rule_at(decision->limit);
    struct state debt = {.when_us = after->debt_us, .amount = after->debt_rest};
    gcra_settle(&rule, &debt, request->now_us);
    int64_t wait_us = gcra_wait_us(&rule, &debt, request->cost, request->now_us);
    bool granted = wait_us == 0;
    if (granted && !request->peek) {
        decision->fault = gcra_charge(&rule, &debt, request->cost, request->now_us);
        decision->parts |= ADAPTIVE_PART_DEBT;
        after->debt_us = debt.when_us;
        after->debt_rest = debt.amount;
        after->taken = min_i64(after->taken, ADAPTIVE_LIMIT_MAX - request->cost) + request->cost;
    }
    if (!granted || request->peek || decision->fault != FAULT_NONE) decision->parts = 0;
    decision->verdict = (struct verdict){.granted = granted ? request->cost : 0,
                                         .limit = decision->limit,
                                         .remaining = gcra_available(&rule, &debt, request->now_us),
                                         .wait_us = wait_us,
                                         .reset_us = max_i64(gcra_deadline_us(&rule, &debt) - request->now_us, 0)};
}

/* ---- one step -------------------------------------------------------------------------------------------- */

static bool is_congested(const struct adaptive *adaptive)
{
    const struct adaptive_sample *sample = &adaptive->sample;
    return sample->errors * PERCENT > adaptive->config.errors * sample->reports;
}

static bool is_overloaded(const struct adaptive *adaptive)
{
    return adaptive->sample.load > adaptive->config.target * adaptive->sample.loads;
}

/* The long mean takes the short one in; both in us x 2^20. */
static void lengthen(struct adaptive *adaptive, int64_t short_q)
{
    if (adaptive->longs < LONG_WARM_UP) {
        adaptive->longs++;
        adaptive->long_q += (short_q - adaptive->long_q) / adaptive->longs;
    } else {
        adaptive->long_q += (int64_t)wide_div_floor(((wide)short_q - adaptive->long_q) * 2, LONG_INTERVALS + 1);
    }
    if (adaptive->long_q > 2 * (wide)short_q) {
        adaptive->long_q = (int64_t)((wide)adaptive->long_q * LONG_DECAY / PERCENT);
    }
}

/* By how much the limit is too large: 2^20 = it is not, half of that is the worst. */
static int64_t gradient_q(struct adaptive *adaptive)
{
    const struct adaptive_sample *sample = &adaptive->sample;
    wide gradient = ONE;
    if (sample->latencies > 0) {
        int64_t short_q = (int64_t)(((wide)sample->latency_us << ADAPTIVE_SHIFT) / sample->latencies);
        lengthen(adaptive, short_q);
        if (short_q > 0) gradient = (wide)adaptive->config.tolerance * adaptive->long_q * ONE / PERCENT / short_q;
    }
    if (is_overloaded(adaptive)) {
        wide by_load = (wide)adaptive->config.target * sample->loads * ONE / sample->load;
        if (by_load < gradient) gradient = by_load;
    }
    if (is_congested(adaptive)) gradient = HALF;
    return wide_clamp(gradient, HALF, ONE);
}

static void take_step(struct adaptive *adaptive)
{
    const struct adaptive_config *config = &adaptive->config;
    wide limit_q = adaptive->limit_q, step_q = (wide)config->step << ADAPTIVE_SHIFT;
    bool used = max_i64(adaptive->taken, adaptive->taken_before) * 2 >= whole_limit(adaptive);
    if (config->algorithm == ADAPTIVE_AIMD) {
        bool cut = is_congested(adaptive) || is_overloaded(adaptive);
        set_limit(adaptive, cut ? limit_q * config->backoff / PERCENT : limit_q + (used ? step_q : 0));
        return;
    }
    int64_t gradient = gradient_q(adaptive);
    if (!used && !is_congested(adaptive)) return; /* what is not used says nothing about more of it */
    wide goal_q = limit_q * gradient / ONE + step_q;
    set_limit(adaptive, limit_q + wide_div_floor(goal_q - limit_q, SMOOTHING));
}

static void gather(struct adaptive *adaptive, enum adaptive_report report, int64_t value)
{
    struct adaptive_sample *sample = &adaptive->sample;
    if (report == ADAPTIVE_LOAD) {
        if (sample->loads == ADAPTIVE_REPORTS_MAX) return;
        sample->loads++;
        sample->load += min_i64(value, ADAPTIVE_LOAD_MAX);
        return;
    }
    if (sample->reports == ADAPTIVE_REPORTS_MAX) return;
    sample->reports++;
    bool late = adaptive->config.algorithm == ADAPTIVE_AIMD && value > adaptive->config.timeout_us;
    sample->errors += report == ADAPTIVE_ERROR || late;
    if (report == ADAPTIVE_ERROR) return;
    sample->latencies++;
    sample->latency_us += min_i64(value, ADAPTIVE_LATENCY_MAX);
}

void adaptive_decide_report(const struct adaptive *adaptive, enum adaptive_report report, int64_t value, int64_t now_us,
                            struct adaptive_decision *decision)
{
    struct adaptive *after = &decision->after;
    *after = stand(adaptive, NULL, now_us, &decision->parts);
    decision->verdict = (struct verdict){0};
    decision->fault = FAULT_NONE;
    decision->limit = 0;
    if (after->limit_q == 0) return;
    if (after->seen_us - after->sample.start_us >= after->config.interval_us) {
        if (after->sample.reports + after->sample.loads > 0) {
            take_step(after);
            decision->parts |= ADAPTIVE_PART_LIMIT | ADAPTIVE_PART_DEBT;
        }
        after->sample = (struct adaptive_sample){.start_us = after->seen_us};
    }
    gather(after, report, value);
    decision->parts |= ADAPTIVE_PART_SAMPLE;
    decision->limit = whole_limit(after);
}

/* ---- applying -------------------------------------------------------------------------------------------- */

static void change(struct adaptive *adaptive, unsigned parts, const struct adaptive *after)
{
    adaptive->seen_us = after->seen_us;
    if (parts & ADAPTIVE_PART_CONFIG) adaptive->config = after->config;
    if (parts & ADAPTIVE_PART_LIMIT) {
        adaptive->limit_q = after->limit_q;
        adaptive->long_q = after->long_q;
        adaptive->longs = after->longs;
    }
    if (parts & ADAPTIVE_PART_DEBT) {
        adaptive->debt_us = after->debt_us;
        adaptive->debt_rest = after->debt_rest;
        adaptive->second = after->second;
        adaptive->taken = after->taken;
        adaptive->taken_before = after->taken_before;
    }
    if (parts & ADAPTIVE_PART_SAMPLE) adaptive->sample = after->sample;
}

struct adaptive *adaptive_apply(struct adaptive *adaptive, const struct adaptive_decision *decision)
{
    if (decision->parts == 0) return adaptive;
    if (!adaptive) {
        adaptive = memory_alloc(sizeof(*adaptive));
        *adaptive = (struct adaptive){0};
    }
    change(adaptive, decision->parts, &decision->after);
    return adaptive;
}

bool adaptive_accepts(const struct adaptive *adaptive, const struct adaptive_decision *decision)
{
    struct adaptive result = {0};
    if (decision->parts == 0 || decision->parts > ADAPTIVE_PARTS_ALL) return false;
    if (!adaptive && decision->parts != ADAPTIVE_PARTS_ALL) return false;
    if (adaptive) result = *adaptive;
    if (decision->after.seen_us < result.seen_us) return false;
    change(&result, decision->parts, &decision->after);
    return adaptive_sane(&result);
}

static bool sample_sane(const struct adaptive_sample *sample, int64_t seen_us)
{
    if (!between(sample->start_us, 1, seen_us) || !between(sample->reports, 0, ADAPTIVE_REPORTS_MAX)) return false;
    if (!between(sample->errors, 0, sample->reports) || !between(sample->latencies, 0, sample->reports)) return false;
    if (!between(sample->latency_us, 0, sample->latencies * ADAPTIVE_LATENCY_MAX)) return false;
    if (!between(sample->loads, 0, ADAPTIVE_REPORTS_MAX)) return false;
    return between(sample->load, 0, sample->loads * ADAPTIVE_LOAD_MAX);
}

bool adaptive_sane(const struct adaptive *adaptive)
{
    const struct adaptive_config *config = &adaptive->config;
    if (adaptive_config_fault(config) || !between(adaptive->seen_us, 1, INSTANT_MAX_US)) return false;
    if (!between(adaptive->limit_q, config->min << ADAPTIVE_SHIFT, config->max << ADAPTIVE_SHIFT)) return false;
    if (!between(adaptive->longs, 0, LONG_WARM_UP)) return false;
    if (!between(adaptive->long_q, 0, ADAPTIVE_LATENCY_MAX << ADAPTIVE_SHIFT)) return false;
    struct rule rule = rule_at(whole_limit(adaptive));
    if (!between(adaptive->debt_us, 0, INSTANT_MAX_US) || !between(adaptive->debt_rest, 0, rule.rate_units - 1)) {
        return false;
    }
    if (!between(adaptive->second, 0, adaptive->seen_us / MICROS_PER_SECOND)) return false;
    if (!between(adaptive->taken, 0, ADAPTIVE_LIMIT_MAX)) return false;
    if (!between(adaptive->taken_before, 0, ADAPTIVE_LIMIT_MAX)) return false;
    return sample_sane(&adaptive->sample, adaptive->seen_us);
}

int64_t adaptive_deadline_us(const struct adaptive *adaptive)
{
    int64_t quiet_us = max_i64(adaptive->config.interval_us, ADAPTIVE_RETENTION_US);
    return min_i64(max_i64(adaptive->seen_us + quiet_us, adaptive->debt_us + 1), INSTANT_MAX_US);
}

void adaptive_free(struct adaptive *adaptive)
{
    memory_free(adaptive);
}

size_t adaptive_bytes(const struct adaptive *adaptive)
{
    return sizeof(*adaptive);
}

/* RL.ADAPT: a rate limit between min and max that follows what callers report. The steps are quota/adaptive.h.
 *
 *     RL.ADAPT key min max [AIMD | GRADIENT] [INTERVAL duration] [STEP n] [ERRORS percent] [TARGET percent]
 *                  [BACKOFF percent] [TIMEOUT duration] [TOLERANCE percent] [COST n] [PEEK]          → verdict
 *     RL.ADAPT key REPORT LATENCY duration | ERROR | LOAD percent               → the limit now, or null
 *     RL.ADAPT key INFO                                                         → map
 *
 * The word after the key chooses the form; each form has rows of its own, and the command's record joins them. */
#include "clock.h"
#include "command.h"
#include "metrics.h"
#include "quota/rate/adaptive.h"
#include "reply.h"
#include "transaction.h"

/* ---- RL.ADAPT key min max ... ---------------------------------------------------------------------------- */

struct adapt_request {
    struct adaptive_config config;
    int64_t cost, peek;
};

static const struct argument algorithm_choice[] = {
    FLAG_VALUE("AIMD", ADAPTIVE_AIMD, "Add while it goes well, multiply down on congestion (the default)."),
    FLAG_VALUE("GRADIENT", ADAPTIVE_GRADIENT, "Follow the ratio of the long to the short mean latency."),
    {0},
};

#define CONFIG_FIELD(kind_, name_, token_, field_, lowest_, highest_, summary_)                                        \
    FIELD(kind_, name_, token_, struct adapt_request, config.field_, lowest_, highest_, ARGUMENT_OPTIONAL, summary_)

#define TAKE_ROWS(flags_)                                                                                              \
    KEY("key", "The key whose limit is checked."),                                                                     \
        FIELD(ARGUMENT_INTEGER, "min", NULL, struct adapt_request, config.min, 1, ADAPTIVE_LIMIT_MAX, flags_,          \
              "Units per second it never goes below, 1 to 1099511627776; the limit begins there."),                    \
        FIELD(ARGUMENT_INTEGER, "max", NULL, struct adapt_request, config.max, 1, ADAPTIVE_LIMIT_MAX, flags_,          \
              "Units per second it never goes above, min to 1099511627776."),                                          \
        {.kind = ARGUMENT_CHOICE,                                                                                      \
         .name = "algorithm",                                                                                          \
         .offset = offsetof(struct adapt_request, config.algorithm),                                                   \
         .flags = ARGUMENT_OPTIONAL,                                                                                   \
         .rows = algorithm_choice,                                                                                     \
         .summary = "How the limit is adjusted."},                                                                     \
        CONFIG_FIELD(ARGUMENT_DURATION, "interval", "INTERVAL", interval_us, 1, DURATION_MAX_US,                       \
                     "Time between steps, 1us or more (default 1s)."),                                                 \
        CONFIG_FIELD(ARGUMENT_INTEGER, "step", "STEP", step, 1, ADAPTIVE_LIMIT_MAX,                                    \
                     "Units a step adds, 1 or more (default 1; GRADIENT: 4, of which one fifth is taken per step)."),  \
        CONFIG_FIELD(ARGUMENT_INTEGER, "errors_percent", "ERRORS", errors, 0, 100,                                     \
                     "Share of errors that is no congestion yet, 0 to 100 (default 5)."),                              \
        CONFIG_FIELD(ARGUMENT_INTEGER, "target_percent", "TARGET", target, 1, 100,                                     \
                     "Mean load that is no congestion yet, 1 to 100 (default 80)."),                                   \
        CONFIG_FIELD(ARGUMENT_INTEGER, "backoff_percent", "BACKOFF", backoff, 1, 99,                                   \
                     "AIMD: what a cut leaves of the limit, 1 to 99 (default 90)."),                                   \
        CONFIG_FIELD(ARGUMENT_DURATION, "timeout", "TIMEOUT", timeout_us, 1, DURATION_MAX_US,                          \
                     "AIMD: a call that took longer counts as an error, 1us or more (default 5s)."),                   \
        CONFIG_FIELD(ARGUMENT_INTEGER, "tolerance_percent", "TOLERANCE", tolerance, 100, 1000,                         \
                     "GRADIENT: share of the long latency that is no congestion yet, 100 to 1000 (default 150)."),     \
        FIELD(ARGUMENT_INTEGER, "cost", "COST", struct adapt_request, cost, 1, INT64_MAX, ARGUMENT_OPTIONAL,           \
              "Units requested, 1 or more (default 1)."),                                                              \
    {                                                                                                                  \
        .kind = ARGUMENT_FLAG, .name = "peek", .token = "PEEK", .offset = offsetof(struct adapt_request, peek),        \
        .lowest = 1, .flags = ARGUMENT_OPTIONAL, .summary = "Dry run: take nothing, replicate nothing."                \
    }

static const struct argument take_arguments[] = {TAKE_ROWS(0), {0}};

/* Netflix concurrency-limits': backoffRatio 0.9, timeout 5 s, rttTolerance 1.5, queueSize 4, windows of 1 s. */
static const struct adapt_request usual = {
    .config = {.algorithm = ADAPTIVE_AIMD,
               .interval_us = MICROS_PER_SECOND,
               .errors = 5,
               .target = 80,
               .backoff = 90,
               .timeout_us = 5 * MICROS_PER_SECOND,
               .tolerance = 150},
    .cost = 1,
};

static void write_config(const struct violation *violation, struct sink *text)
{
    adaptive_config_write(violation->source, text);
}

static void count(RedisModuleCtx *ctx, RedisModuleString *name, const struct adaptive_request *request,
                  const struct verdict *verdict)
{
    const struct adaptive_config *config = request->config;
    struct violation violation = {.kind = VIOLATION_RATE,
                                  .key = name,
                                  .resource = BYTES(""),
                                  .rule = verdict->rule,
                                  .shape = shape_of(&config->min, sizeof(*config)),
                                  .cost = request->cost,
                                  .wait_us = verdict->wait_us,
                                  .now_us = request->now_us,
                                  .write_rule = write_config,
                                  .source = config};
    metrics_count(ctx, cause_of(verdict), &violation);
}

static int take(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct adapt_request request = usual;
    struct adaptive_decision decision;
    struct handle handle;

    if (!arguments_parse_or_reply(ctx, take_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (request.config.step == 0) request.config.step = request.config.algorithm == ADAPTIVE_AIMD ? 1 : 4;
    const char *fault = adaptive_config_fault(&request.config);
    if (fault) return reply_error(ctx, "ERR %s", fault);
    if (!handle_open_or_reply(ctx, &adaptive_type, argv[1], &handle)) return REDISMODULE_OK;

    struct adaptive_request limit_request = {
        .config = &request.config, .cost = request.cost, .peek = request.peek == 1, .now_us = clock_now_us()};
    adaptive_decide_request(handle.value, &limit_request, &decision);
    bool fits = transaction_commit_or_reply(ctx, &handle, &decision, limit_request.now_us);
    handle_close(&handle);
    if (!fits) return REDISMODULE_OK;
    if (decision.fault != FAULT_NONE) return reply_fault(ctx, decision.fault);
    if (!limit_request.peek) count(ctx, argv[1], &limit_request, &decision.verdict);
    return reply_verdict(ctx, &decision.verdict);
}

/* ---- RL.ADAPT key REPORT ... ----------------------------------------------------------------------------- */

struct report_request {
    int64_t latency_us, error, load;
};

static const struct argument report_arguments[] = {
    FIELD(ARGUMENT_DURATION, "latency", "LATENCY", struct report_request, latency_us, 0, DURATION_MAX_US,
          ARGUMENT_OPTIONAL, "A call came back well after so long."),
    {.kind = ARGUMENT_FLAG,
     .name = "error",
     .token = "ERROR",
     .offset = offsetof(struct report_request, error),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "A call failed, was dropped or timed out."},
    FIELD(ARGUMENT_INTEGER, "load_percent", "LOAD", struct report_request, load, 0, ADAPTIVE_LOAD_MAX,
          ARGUMENT_OPTIONAL, "Load of what is protected, 0 to 10000 percent."),
    {0},
};

static int report(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct report_request request = {.latency_us = NOT_GIVEN, .load = NOT_GIVEN};
    struct adaptive_decision decision;
    struct handle handle;

    if (!arguments_parse_or_reply(ctx, report_arguments, argv + 2, argc - 2, &request)) return REDISMODULE_OK;
    bool latency = request.latency_us != NOT_GIVEN, load = request.load != NOT_GIVEN;
    if (latency + load + (request.error == 1) != 1) {
        return reply_error(ctx, "ERR REPORT wants one of LATENCY duration, ERROR, LOAD percent");
    }
    if (!handle_open_or_reply(ctx, &adaptive_type, argv[1], &handle)) return REDISMODULE_OK;

    int64_t now_us = clock_now_us();
    enum adaptive_report kind = latency ? ADAPTIVE_LATENCY : load ? ADAPTIVE_LOAD : ADAPTIVE_ERROR;
    adaptive_decide_report(handle.value, kind, latency ? request.latency_us : request.load, now_us, &decision);
    transaction_commit(ctx, &handle, &decision, now_us);
    handle_close(&handle);
    return decision.limit > 0 ? RedisModule_ReplyWithLongLong(ctx, decision.limit) : RedisModule_ReplyWithNull(ctx);
}

/* ---- RL.ADAPT key INFO ----------------------------------------------------------------------------------- */

static const struct argument info_arguments[] = {{0}};
static const struct argument info_command_arguments[] = {KEY("key", "The key whose limit is checked."), {0}};

static void reply_adaptive(RedisModuleCtx *ctx, const struct adaptive *adaptive, int64_t now_us)
{
    char stack_buffer[256];
    struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
    struct adaptive_decision decision;
    struct adaptive_request peek = {.config = &adaptive->config, .cost = 1, .peek = true, .now_us = now_us};
    const struct adaptive_sample *sample = &adaptive->sample;

    adaptive_decide_request(adaptive, &peek, &decision);
    adaptive_config_write(&adaptive->config, &text);
    RedisModule_ReplyWithMap(ctx, 12);
    reply_field_integer(ctx, "limit", decision.limit);
    reply_field_integer(ctx, "remaining", decision.verdict.remaining);
    reply_field_integer(ctx, "wait_ms", millis_ceil(decision.verdict.wait_us));
    reply_field_integer(ctx, "reset_ms", millis_ceil(decision.verdict.reset_us));
    reply_field_integer(ctx, "taken", decision.after.taken);
    reply_field_integer(ctx, "reports", sample->reports);
    reply_field_integer(ctx, "errors", sample->errors);
    reply_field_integer(ctx, "latency_us", sample->latencies > 0 ? sample->latency_us / sample->latencies : 0);
    reply_field_integer(ctx, "load", sample->loads > 0 ? sample->load / sample->loads : 0);
    reply_field_integer(ctx, "long_us", adaptive->long_q >> ADAPTIVE_SHIFT);
    reply_field_text(ctx, "config", (struct bytes){text.data, text.size});
    reply_field_integer(ctx, "deadline", millis_ceil(adaptive_deadline_us(adaptive)));
    sink_free(&text);
}

/* RL.ADAPT.INFO key: the same, as a command that only reads. */
static int info_command(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct handle handle;

    if (!arguments_parse_or_reply(ctx, info_command_arguments, argv, argc, NULL)) return REDISMODULE_OK;
    if (!handle_read_or_reply(ctx, &adaptive_type, argv[1], &handle)) return REDISMODULE_OK;
    if (handle.value) {
        reply_adaptive(ctx, handle.value, clock_now_us());
    } else {
        RedisModule_ReplyWithNull(ctx);
    }
    handle_close(&handle);
    return REDISMODULE_OK;
}

/* RL.ADAPT key INFO */
static int info(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (!arguments_parse_or_reply(ctx, info_arguments, argv + 2, argc - 2, NULL)) return REDISMODULE_OK;
    return info_command(ctx, argv, 2);
}

/* ---- record ---------------------------------------------------------------------------------------------- */

static int adapt(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (argc > 2 && bytes_is_word(string_bytes(argv[2]), "REPORT")) return report(ctx, argv, argc);
    if (argc > 2 && bytes_is_word(string_bytes(argv[2]), "INFO")) return info(ctx, argv, argc);
    return take(ctx, argv, argc);
}

/* All forms together, for COMMAND DOCS alone. */
static const struct argument documented_arguments[] = {
    TAKE_ROWS(ARGUMENT_OPTIONAL),
    {.kind = ARGUMENT_CHOICE,
     .name = "report",
     .token = "REPORT",
     .flags = ARGUMENT_OPTIONAL,
     .rows = report_arguments,
     .summary = "Instead: what became of a call, or how loaded it is; replies the limit. First option after the key."},
    {.kind = ARGUMENT_FLAG,
     .name = "info",
     .token = "INFO",
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Instead: show limit, what was gathered and configuration. First option after the key."},
    {0},
};

const struct command rl_adapt_command = {
    .name = "RL.ADAPT",
    .summary = "Adaptive limit: checks a rate limit that follows reported latency, errors or load between min and max; "
               "replies the verdict.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = adapt,
    .arguments = documented_arguments,
};

const struct command rl_adapt_info_command = {
    .name = "RL.ADAPT.INFO",
    .summary = "Shows an adaptive limit: the limit now, what was gathered, configuration; replies a map, null when "
               "nothing is stored.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "readonly fast",
    .categories = "read fast",
    .key_flags = KEY_READ,
    .handler = info_command,
    .arguments = info_command_arguments,
};

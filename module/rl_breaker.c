/* RL.BREAKER: may this call go, and what became of the calls that went? The state machine is quota/breaker.h.
 *
 *     RL.BREAKER key [FAILURES n | RATE percent] [MIN calls] [WINDOW duration] [SLOW duration] [SLOWRATE percent]
 *                    [OPEN duration] [PROBES n]                                   → verdict
 *     RL.BREAKER key REPORT ok|fail [TOOK duration]                               → closed | open | half-open
 *     RL.BREAKER key FORCE open|closed|auto                                       → OK
 *     RL.BREAKER key INFO                                                         → map
 *
 * The word after the key chooses the form; each form has rows of its own, and the command's record joins them. */
#include "clock.h"
#include "command.h"
#include "metrics.h"
#include "quota/base/checked.h"
#include "quota/rate/breaker.h"
#include "reply.h"
#include "transaction.h"

/* ---- RL.BREAKER key [configuration] ---------------------------------------------------------------------- */

#define CONFIG_ROWS                                                                                                    \
    FIELD(ARGUMENT_INTEGER, "failures", "FAILURES", struct breaker_config, failures, 1, BREAKER_COUNT_MAX,             \
          ARGUMENT_OPTIONAL, "Open at so many failures in the window, 1 or more."),                                    \
        FIELD(ARGUMENT_INTEGER, "percent", "RATE", struct breaker_config, rate, 1, 100, ARGUMENT_OPTIONAL,             \
              "Open at this percentage of failures in the window, 1 to 100 (default 50)."),                            \
        FIELD(ARGUMENT_INTEGER, "calls", "MIN", struct breaker_config, calls_min, 1, BREAKER_COUNT_MAX,                \
              ARGUMENT_OPTIONAL, "Rates count from so many calls in the window, 1 or more (default 100)."),            \
        FIELD(ARGUMENT_DURATION, "window", "WINDOW", struct breaker_config, window_us, BREAKER_SLICES,                 \
              DURATION_MAX_US, ARGUMENT_OPTIONAL, "How long a report counts, 10us or more (default 100s)."),           \
        FIELD(ARGUMENT_DURATION, "slow", "SLOW", struct breaker_config, slow_us, 1, DURATION_MAX_US,                   \
              ARGUMENT_OPTIONAL, "A call that took so long, or longer, is slow; 1us or more (default: no call is)."),  \
        FIELD(ARGUMENT_INTEGER, "slow_percent", "SLOWRATE", struct breaker_config, slow_rate, 1, 100,                  \
              ARGUMENT_OPTIONAL, "Open at this percentage of slow calls, 1 to 100 (with SLOW; default 100)."),         \
        FIELD(ARGUMENT_DURATION, "open", "OPEN", struct breaker_config, open_us, 1, DURATION_MAX_US,                   \
              ARGUMENT_OPTIONAL,                                                                                       \
              "How long calls are refused before probes are let through, 1us or more (default 60s)."),                 \
        FIELD(ARGUMENT_INTEGER, "probes", "PROBES", struct breaker_config, probes, 1, BREAKER_PROBES_MAX,              \
              ARGUMENT_OPTIONAL,                                                                                       \
              "Probes that are let through half-open, and successes that close the breaker, 1 to 32 (default 10).")

static const struct argument request_arguments[] = {
    KEY("key", "The circuit, shared by all callers of a backend."), CONFIG_ROWS, {0}};

/* What no word has set. */
static void complete(struct breaker_config *config)
{
    const struct breaker_config usual = BREAKER_CONFIG_DEFAULT;
    if (config->failures == 0 && config->rate == 0) config->rate = usual.rate;
    if (config->calls_min == 0) config->calls_min = usual.calls_min;
    if (config->window_us == 0) config->window_us = usual.window_us;
    if (config->slow_us > 0 && config->slow_rate == 0) config->slow_rate = 100; /* slowCallRateThreshold */
    if (config->open_us == 0) config->open_us = usual.open_us;
    if (config->probes == 0) config->probes = usual.probes;
}

static void write_config(const struct violation *violation, struct sink *text)
{
    breaker_config_write(violation->source, text);
}

static void count(RedisModuleCtx *ctx, RedisModuleString *name, const struct breaker_config *config,
                  const struct verdict *verdict, int64_t now_us)
{
    struct violation violation = {.kind = VIOLATION_BREAKER,
                                  .key = name,
                                  .resource = BYTES(""),
                                  .rule = verdict->rule,
                                  .shape = shape_of(&config->failures, sizeof(*config)),
                                  .cost = 1,
                                  .wait_us = verdict->wait_us,
                                  .now_us = now_us,
                                  .write_rule = write_config,
                                  .source = config};
    metrics_count(ctx, verdict->granted > 0 ? CAUSE_ADMITTED : CAUSE_BREAKER, &violation);
}

static int admit(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct breaker_config config = {0};
    struct breaker_decision decision;
    struct handle handle;

    if (!arguments_parse_or_reply(ctx, request_arguments, argv, argc, &config)) return REDISMODULE_OK;
    complete(&config);
    const char *fault = breaker_config_fault(&config);
    if (fault) return reply_error(ctx, "ERR %s", fault);
    if (!handle_open_or_reply(ctx, &breaker_type, argv[1], &handle)) return REDISMODULE_OK;

    int64_t now_us = clock_now_us();
    breaker_decide_request(handle.value, argc > 2 ? &config : NULL, now_us, &decision);
    bool fits = transaction_commit_or_reply(ctx, &handle, &decision, now_us);
    handle_close(&handle);
    if (!fits) return REDISMODULE_OK;
    const struct breaker *stored = handle.value; /* without words it is decided by what is stored */
    count(ctx, argv[1], stored ? &stored->config : &config, &decision.verdict, now_us);
    return reply_verdict(ctx, &decision.verdict);
}

/* ---- RL.BREAKER key REPORT ok|fail [TOOK duration] ------------------------------------------------------- */

struct report_request {
    int64_t failed, took_us;
};

static const struct argument outcome_choice[] = {
    FLAG_VALUE("OK", 0, "The call came back well."),
    FLAG_VALUE("FAIL", 1, "The call failed."),
    {0},
};

#define TOOK_ROW                                                                                                       \
    FIELD(ARGUMENT_DURATION, "took", "TOOK", struct report_request, took_us, 0, DURATION_MAX_US, ARGUMENT_OPTIONAL,    \
          "With REPORT: how long the call took. A call that began before the present state did is not counted; "       \
          "without TOOK a call counts and is not slow.")

static const struct argument report_arguments[] = {
    {.kind = ARGUMENT_CHOICE,
     .name = "outcome",
     .offset = offsetof(struct report_request, failed),
     .flags = ARGUMENT_BARE,
     .rows = outcome_choice},
    TOOK_ROW,
    {0},
};

static int report(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct report_request request = {.failed = NOT_GIVEN};
    struct breaker_decision decision;
    struct handle handle;

    if (!arguments_parse_or_reply(ctx, report_arguments, argv + 2, argc - 2, &request)) return REDISMODULE_OK;
    if (request.failed == NOT_GIVEN) return reply_error(ctx, "ERR REPORT wants an outcome: ok or fail");
    if (!handle_open_or_reply(ctx, &breaker_type, argv[1], &handle)) return REDISMODULE_OK;

    int64_t now_us = clock_now_us();
    breaker_decide_report(handle.value, request.failed == 1, request.took_us, now_us, &decision);
    transaction_commit(ctx, &handle, &decision, now_us);
    handle_close(&handle);
    return RedisModule_ReplyWithSimpleString(ctx, breaker_state_word(decision.state));
}

/* ---- RL.BREAKER key FORCE open|closed|auto --------------------------------------------------------------- */

struct force_request {
    int64_t force;
};

static const struct argument force_choice[] = {
    FLAG_VALUE("OPEN", BREAKER_FORCED_OPEN, "No call is let through until AUTO."),
    FLAG_VALUE("CLOSED", BREAKER_FORCED_CLOSED, "Every call is let through until AUTO."),
    FLAG_VALUE("AUTO", BREAKER_AUTO, "End the override: the breaker is reset, closed."),
    {0},
};

static const struct argument force_arguments[] = {
    {.kind = ARGUMENT_CHOICE,
     .name = "state",
     .offset = offsetof(struct force_request, force),
     .flags = ARGUMENT_BARE,
     .rows = force_choice},
    {0},
};

static int force(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct force_request request = {.force = NOT_GIVEN};
    struct breaker_decision decision;
    struct handle handle;

    if (!arguments_parse_or_reply(ctx, force_arguments, argv + 2, argc - 2, &request)) return REDISMODULE_OK;
    if (request.force == NOT_GIVEN) return reply_error(ctx, "ERR FORCE wants a state: open, closed or auto");
    if (!handle_open_or_reply(ctx, &breaker_type, argv[1], &handle)) return REDISMODULE_OK;

    int64_t now_us = clock_now_us();
    breaker_decide_force(handle.value, (enum breaker_force)request.force, now_us, &decision);
    bool fits = transaction_commit_or_reply(ctx, &handle, &decision, now_us);
    handle_close(&handle);
    return fits ? RedisModule_ReplyWithSimpleString(ctx, "OK") : REDISMODULE_OK;
}

/* ---- RL.BREAKER key INFO --------------------------------------------------------------------------------- */

static const struct argument info_arguments[] = {{0}};
static const struct argument info_command_arguments[] = {KEY("key", "The circuit."), {0}};

static void reply_word(RedisModuleCtx *ctx, const char *name, const char *word)
{
    reply_field_text(ctx, name, (struct bytes){word, strlen(word)});
}

static void reply_breaker(RedisModuleCtx *ctx, const struct breaker *breaker, int64_t now_us)
{
    static const char *const forces[] = {"auto", "open", "closed"};
    char stack_buffer[160];
    struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
    struct breaker_look look;

    breaker_look(breaker, now_us, &look);
    breaker_config_write(&breaker->config, &text);
    RedisModule_ReplyWithMap(ctx, 12);
    reply_word(ctx, "state", breaker_state_word(look.state));
    reply_word(ctx, "forced", forces[breaker->force]);
    reply_field_integer(ctx, "since", millis_floor(breaker->since_us));
    reply_field_integer(ctx, "wait_ms", millis_ceil(look.verdict.wait_us));
    reply_field_integer(ctx, "reset_ms", millis_ceil(look.verdict.reset_us));
    reply_field_integer(ctx, "calls", look.total.calls);
    reply_field_integer(ctx, "failures", look.total.failures);
    reply_field_integer(ctx, "slow", look.total.slow);
    reply_field_integer(ctx, "probing", look.probing);
    reply_field_integer(ctx, "succeeded", look.succeeded);
    reply_field_text(ctx, "config", (struct bytes){text.data, text.size});
    bool forced = breaker->force != BREAKER_AUTO;
    reply_field_integer(ctx, "deadline", forced ? NEVER_US : millis_ceil(breaker_deadline_us(breaker)));
    sink_free(&text);
}

/* RL.BREAKER.INFO key: the same, as a command that only reads. */
static int info_command(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct handle handle;

    if (!arguments_parse_or_reply(ctx, info_command_arguments, argv, argc, NULL)) return REDISMODULE_OK;
    if (!handle_read_or_reply(ctx, &breaker_type, argv[1], &handle)) return REDISMODULE_OK;
    if (handle.value) {
        reply_breaker(ctx, handle.value, clock_now_us());
    } else {
        RedisModule_ReplyWithNull(ctx);
    }
    handle_close(&handle);
    return REDISMODULE_OK;
}

/* RL.BREAKER key INFO */
static int info(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (!arguments_parse_or_reply(ctx, info_arguments, argv + 2, argc - 2, NULL)) return REDISMODULE_OK;
    return info_command(ctx, argv, 2);
}

/* ---- record ---------------------------------------------------------------------------------------------- */

static int breaker(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    static const struct form {
        const char *word;
        RedisModuleCmdFunc handler;
    } forms[] = {{"REPORT", report}, {"FORCE", force}, {"INFO", info}};

    for (size_t i = 0; argc > 2 && i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (bytes_is_word(string_bytes(argv[2]), forms[i].word)) return forms[i].handler(ctx, argv, argc);
    }
    return admit(ctx, argv, argc);
}

/* All forms together, for COMMAND DOCS alone. */
static const struct argument documented_arguments[] = {
    KEY("key", "The circuit, shared by all callers of a backend."),
    CONFIG_ROWS,
    {.kind = ARGUMENT_CHOICE,
     .name = "outcome",
     .token = "REPORT",
     .flags = ARGUMENT_OPTIONAL,
     .rows = outcome_choice,
     .summary = "Instead: what became of a call; replies the state after it. First option after the key."},
    TOOK_ROW,
    {.kind = ARGUMENT_CHOICE,
     .name = "state",
     .token = "FORCE",
     .flags = ARGUMENT_OPTIONAL,
     .rows = force_choice,
     .summary = "Instead: override the state by hand. First option after the key."},
    {.kind = ARGUMENT_FLAG,
     .name = "info",
     .token = "INFO",
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Instead: show state, counts and configuration. First option after the key."},
    {0},
};

const struct command rl_breaker_command = {
    .name = "RL.BREAKER",
    .summary = "Circuit breaker: checks whether a call may be made (replies the verdict), takes reports of calls, is "
               "forced by hand, or shown.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = breaker,
    .arguments = documented_arguments,
};

const struct command rl_breaker_info_command = {
    .name = "RL.BREAKER.INFO",
    .summary = "Shows a circuit breaker: state, counts, configuration; replies a map, null when nothing is stored.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "readonly fast",
    .categories = "read fast",
    .key_flags = KEY_READ,
    .handler = info_command,
    .arguments = info_command_arguments,
};

/* RL.TABLE, RL.TAKE, RL.MTAKE: one key with one rule set for any number of subjects, each counted on its own.
 *
 *     RL.TABLE key rule [rule ...]                          OK: the table has these rules from now on
 *     RL.TAKE key subject [COST n] [UPTO | PEEK | FORCE]    the verdict's six integers
 *     RL.MTAKE key numsubjects subject [subject ...] [COST n] [PEEK] [TERSE]
 *                                                           an array of them: the key is opened once, and one command
 *                                                           is replicated
 *
 * A subject costs a fraction of a key of its own, in memory and in time; in return it has no time to live, no name in
 * SCAN and no slot of its own. Parse, open, decide, commit, reply: the decisions are quota/table.h. */
#include "clock.h"
#include "command.h"
#include "quota/rate/table.h"
#include "reply.h"
#include "rule_source.h"
#include "transaction.h"

/* ---- RL.TABLE key rule [rule ...] ------------------------------------------------------------------------ */

struct table_request {
    struct rules_argument rules;
};

static const struct argument table_arguments[] = {
    KEY("key", "The table; created if need be, otherwise its subjects take over what they used to the new rules."),
    RULES(struct table_request, rules),
    {0},
};

static struct siphash_key key_of_chance(void)
{
    uint64_t seed;
    RedisModule_GetRandomBytes((unsigned char *)&seed, sizeof(seed));
    return siphash_key_of(seed);
}

static int table(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct table_request request;
    struct handle handle;
    struct table_decision decision;

    request.rules.count = 0;
    if (!arguments_parse_or_reply(ctx, table_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!handle_open_or_reply(ctx, &table_type, argv[1], &handle)) return REDISMODULE_OK;
    int64_t now_us = clock_now_us();
    table_decide_rules(handle.value, request.rules.rules, request.rules.count, now_us, key_of_chance(), &decision);
    bool fits = transaction_commit_or_reply(ctx, &handle, &decision, now_us);
    handle_close(&handle);
    return fits ? RedisModule_ReplyWithSimpleString(ctx, "OK") : REDISMODULE_OK;
}

/* ---- RL.TAKE key subject --------------------------------------------------------------------------------- */

struct take_request {
    struct bytes subject;
    int64_t cost, mode;
};

static const struct argument take_arguments[] = {
    KEY("key", "The table, made by RL.TABLE."),
    FIELD(ARGUMENT_TEXT, "subject", NULL, struct take_request, subject, 0, 0, 0,
          "The subject of the table, such as a user: any bytes, 512 at most."),
    FIELD(ARGUMENT_INTEGER, "cost", "COST", struct take_request, cost, 1, INT64_MAX, ARGUMENT_OPTIONAL,
          "Units requested, 1 or more (default 1)."),
    REQUEST_MODE(struct take_request, mode),
    {0},
};

static bool subject_fits_or_reply(RedisModuleCtx *ctx, struct bytes subject)
{
    if (subject.size <= SUBJECT_BYTES_MAX) return true;
    reply_error(ctx, "ERR subject '%s' has more than %d bytes", printable(subject).text, SUBJECT_BYTES_MAX);
    return false;
}

static bool table_open_or_reply(RedisModuleCtx *ctx, RedisModuleString *name, struct handle *handle)
{
    if (!handle_open_or_reply(ctx, &table_type, name, handle)) return false;
    if (handle->value) return true;
    handle_close(handle);
    reply_error(ctx, "ERR there is no table at this key: RL.TABLE key rule [rule ...] makes one");
    return false;
}

static int take(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct take_request request = {.cost = 1, .mode = MODE_ALL};
    struct handle handle;
    struct table_decision decision;

    if (!arguments_parse_or_reply(ctx, take_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!subject_fits_or_reply(ctx, request.subject)) return REDISMODULE_OK;
    if (!table_open_or_reply(ctx, argv[1], &handle)) return REDISMODULE_OK;
    struct limiter_request limit_request = {
        .cost = request.cost, .now_us = clock_now_us(), .mode = (enum request_mode)request.mode, .begins = true};
    table_decide_take(handle.value, request.subject, &limit_request, &decision);
    const struct rule *rules = ((const struct table *)handle.value)->set->rules;
    bool faulty = decision.limits.fault != FAULT_NONE;
    bool fits = faulty || transaction_commit_or_reply(ctx, &handle, &decision, limit_request.now_us);
    handle_close(&handle);
    if (faulty) return reply_fault(ctx, decision.limits.fault);
    if (!fits) return REDISMODULE_OK;
    if (limit_request.mode != MODE_PEEK) {
        rules_count(ctx, argv[1], rules, request.subject, &limit_request, &decision.limits.verdict);
    }
    return reply_verdict(ctx, &decision.limits.verdict);
}

/* ---- RL.MTAKE key numsubjects subject [subject ...] ------------------------------------------------------- */

/* Bounds the time of one call. */
#define MTAKE_SUBJECTS_MAX 1000

struct mtake_request {
    struct keys_argument subjects;
    int64_t cost, mode, terse;
};

static const struct argument mtake_arguments[] = {
    KEY("key", "The table, made by RL.TABLE."),
    FIELD(ARGUMENT_INTEGER, "numsubjects", NULL, struct mtake_request, subjects.count, 1, MTAKE_SUBJECTS_MAX, 0,
          "How many subjects follow, 1 to 1000."),
    {.kind = ARGUMENT_WORDS,
     .name = "subject",
     .offset = offsetof(struct mtake_request, subjects),
     .summary = "Subjects of the table, each for itself and in this order: any bytes, 512 at most."},
    FIELD(ARGUMENT_INTEGER, "cost", "COST", struct mtake_request, cost, 1, INT64_MAX, ARGUMENT_OPTIONAL,
          "Units requested of each subject, 1 or more (default 1)."),
    {.kind = ARGUMENT_FLAG,
     .name = "peek",
     .token = "PEEK",
     .offset = offsetof(struct mtake_request, mode),
     .lowest = MODE_PEEK,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Dry run: take nothing, replicate nothing."},
    TERSE_ROW(struct mtake_request, terse),
    {0},
};

/* What cannot be decided of one subject is an error in its place. */
static void take_one(struct transaction *transaction, struct handle *handle, const struct mtake_request *request,
                     RedisModuleString *name)
{
    RedisModuleCtx *ctx = transaction->ctx;
    struct bytes subject = string_bytes(name);
    struct limiter_request one = {
        .cost = request->cost, .now_us = transaction->now_us, .mode = (enum request_mode)request->mode, .begins = true};
    struct table_decision decision;
    if (!subject_fits_or_reply(ctx, subject)) return;
    table_decide_take(handle->value, subject, &one, &decision);
    if (decision.limits.fault != FAULT_NONE) {
        reply_fault(ctx, decision.limits.fault);
        return;
    }
    if (!transaction_fits_or_reply(ctx, handle, &decision)) return;
    transaction_add(transaction, handle, &decision);
    const struct rule *rules = ((const struct table *)handle->value)->set->rules;
    if (one.mode != MODE_PEEK) rules_count(ctx, handle->name, rules, subject, &one, &decision.limits.verdict);
    reply_verdict_as(ctx, &decision.limits.verdict, request->terse);
}

static int mtake(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct mtake_request request = {.cost = 1, .mode = MODE_ALL};
    RedisModuleString *words[2]; /* all effects are of one key, and are one run */
    struct handle handle;

    if (!arguments_parse_or_reply(ctx, mtake_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!table_open_or_reply(ctx, argv[1], &handle)) return REDISMODULE_OK;
    struct transaction transaction = transaction_begin(ctx, words, clock_now_us());
    RedisModule_ReplyWithArray(ctx, request.subjects.count);
    for (int64_t i = 0; i < request.subjects.count; i++)
        take_one(&transaction, &handle, &request, request.subjects.names[i]);
    handle_close(&handle);
    transaction_replicate(&transaction);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command rl_table_command = {
    .name = "RL.TABLE",
    .summary = "Makes a limiter table, one set of rules for any number of subjects, or changes its rules; replies OK.",
    .complexity = "O(rules)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = table,
    .arguments = table_arguments,
};

const struct command rl_take_command = {
    .name = "RL.TAKE",
    .summary =
        "Checks a table's rules for one subject: all of them admit the cost or none is charged; replies the verdict.",
    .complexity = "O(rules); with LOG also O(entries that have left the window)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = take,
    .arguments = take_arguments,
};

const struct command rl_mtake_command = {
    .name = "RL.MTAKE",
    .summary = "Checks a table's rules for many subjects, each for itself; replies an array of verdicts.",
    .complexity = "O(subjects x rules)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = mtake,
    .arguments = mtake_arguments,
};

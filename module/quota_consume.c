/* QUOTA.CONSUME, QUOTA.MCONSUME, QUOTA.CHECK, QUOTA.REFUND: units used and given back.
 *
 *     QUOTA.CONSUME account resource amount [ID id] [UPTO | CHECK | FORCE] [STICKY] [key]     the verdict
 *     QUOTA.MCONSUME account n resource amount [...] [ALL | ANY] [ID id] [CHECK] [STICKY] [TERSE] [key]
 *                                                                                             verdicts
 *     QUOTA.CHECK account resource amount [...] [key]                                         the same, nothing used
 *     QUOTA.REFUND account resource amount [OF id] [ID id] [REASON text]                      refunded, lost, remaining
 *     QUOTA.REFUND account ALL OF id [ID id] [REASON text]                                    the same of each resource
 *
 * [key] = [APIKEY digest [SCOPE s]], see api_key_argument.h.
 *
 * Parse, open, decide, commit, reply: the decisions are quota/consume.h and quota/refund.h. */
#include "accounts.h"
#include "actor.h"
#include "ancestors.h"
#include "api_key_argument.h"
#include "command.h"
#include "quota/base/checked.h"
#include "quota/decide/consume.h"
#include "quota/decide/refund.h"
#include "quota/decide/taken.h"
#include "reply.h"

/* ---- CONSUME --------------------------------------------------------------------------------------------- */

struct consume_input {
    struct bytes resource, id, of, reason;
    int64_t amount, mode, any, sticky, check, terse, all;
    struct pairs_argument pairs;
    struct api_key_argument key;
};

#define ID_ROW                                                                                                         \
    FIELD(ARGUMENT_TEXT, "id", "ID", struct consume_input, id, 0, 0, ARGUMENT_OPTIONAL,                                \
          "The idempotency key: a retry with it gets the same reply and is charged nothing; 1 to 512 bytes.")
#define STICKY_ROW                                                                                                     \
    {                                                                                                                  \
        .kind = ARGUMENT_FLAG, .name = "sticky", .token = "STICKY", .offset = offsetof(struct consume_input, sticky),  \
        .lowest = 1, .flags = ARGUMENT_OPTIONAL, .summary = "Remember a denial under the id, too."                     \
    }

static const struct argument mode_choice[] = {
    FLAG_VALUE("UPTO", MODE_UPTO, "Grant what is left of the amount, at least one."),
    FLAG_VALUE("CHECK", MODE_PEEK, "Dry run: nothing is charged or stored."),
    FLAG_VALUE("PEEK", MODE_PEEK, "The same as CHECK."),
    FLAG_VALUE("FORCE", MODE_FORCE, "Charge it whatever the limits say."),
    {0},
};

static const struct argument consume_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct consume_input, resource, 0, 0, 0, "The resource that is used."),
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct consume_input, amount, 1, INT64_MAX, 0, "Units, 1 or more."),
    ID_ROW,
    {.kind = ARGUMENT_CHOICE,
     .name = "mode",
     .offset = offsetof(struct consume_input, mode),
     .flags = ARGUMENT_OPTIONAL,
     .rows = mode_choice,
     .summary = "How to decide (default: all of it or nothing)."},
    STICKY_ROW,
    API_KEY_ROWS(struct consume_input, key),
    {0},
};

/* An id that was given is an id. */
static bool ids_fit_or_reply(RedisModuleCtx *ctx, const struct consume_input *input)
{
    if (input->id.data && !accounts_word_or_reply(ctx, "ID", input->id, ID_BYTES_MAX)) return false;
    return !input->of.data || accounts_word_or_reply(ctx, "OF", input->of, ID_BYTES_MAX);
}

/* Decides, commits and replies, together with the accounts above. `reads`: nothing is written in any case. */
static void consume_and_reply(RedisModuleCtx *ctx, struct account_call *call, struct consume_request *request,
                              bool reads, bool is_terse)
{
    struct ancestors ancestors;
    request->now_us = call->now_us;
    call->counts = request->mode != MODE_PEEK;
    call->items = request->items;
    if (ancestors_open_or_reply(ctx, call, !reads, &ancestors)) {
        request->lineage = ancestors_lineage(&ancestors);
        consume_decide(account_of(call), &call->host, request, &call->decision);
        bool done = accounts_commit_or_reply(ctx, call);
        if (done && request->batch) accounts_reply_verdicts(ctx, &call->decision, is_terse);
        if (done && !request->batch) reply_verdict(ctx, &call->decision.result.consumed.verdicts[0]);
    }
    ancestors_close(&ancestors);
    accounts_end(call);
}

static int consume(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct consume_input input = {.mode = MODE_ALL};
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, consume_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!ids_fit_or_reply(ctx, &input) || !api_key_fits_or_reply(ctx, &input.key)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;

    struct consume_item item = {input.resource, input.amount};
    struct consume_request request = {.items = &item,
                                      .count = 1,
                                      .mode = (enum request_mode)input.mode,
                                      .id = input.id,
                                      .key = api_key_claim(&input.key),
                                      .sticky = input.sticky != 0};
    call.key_digest = request.key.digest;
    consume_and_reply(ctx, &call, &request, false, false);
    return REDISMODULE_OK;
}

/* ---- MCONSUME -------------------------------------------------------------------------------------------- */

static const struct argument pair_rows[] = {
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct consume_input, resource, 0, 0, 0, "The resource that is used."),
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct consume_input, amount, 1, INT64_MAX, 0, "Units, 1 or more."),
    {0},
};

static const struct argument whole_choice[] = {
    FLAG_VALUE("ALL", 0, "All are admitted or none is charged (the default)."),
    FLAG_VALUE("ANY", 1, "The first that is admitted is charged, and only that one."),
    {0},
};

static const struct argument mconsume_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_INTEGER, "numresources", NULL, struct consume_input, pairs.count, 1, BATCH_ITEMS_MAX, 0,
          "How many resources follow, 1 to 64."),
    {.kind = ARGUMENT_PAIRS,
     .name = "resource amount",
     .offset = offsetof(struct consume_input, pairs),
     .rows = pair_rows,
     .summary = "Each resource once."},
    {.kind = ARGUMENT_CHOICE,
     .name = "whole",
     .offset = offsetof(struct consume_input, any),
     .flags = ARGUMENT_OPTIONAL,
     .rows = whole_choice,
     .summary = "Whether all resources are charged, or the first that is admitted."},
    ID_ROW,
    {.kind = ARGUMENT_FLAG,
     .name = "check",
     .token = "CHECK",
     .offset = offsetof(struct consume_input, check),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Dry run: nothing is charged or stored."},
    STICKY_ROW,
    TERSE_ROW(struct consume_input, terse),
    API_KEY_ROWS(struct consume_input, key),
    {0},
};

static int mconsume(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct consume_input input = {.mode = MODE_ALL};
    struct consume_item items[BATCH_ITEMS_MAX];
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, mconsume_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!ids_fit_or_reply(ctx, &input) || !accounts_items_or_reply(ctx, &input.pairs, items)) return REDISMODULE_OK;
    if (!api_key_fits_or_reply(ctx, &input.key)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;

    struct consume_request request = {.items = items,
                                      .count = (uint32_t)input.pairs.count,
                                      .batch = true,
                                      .any = input.any != 0,
                                      .mode = input.check ? MODE_PEEK : MODE_ALL,
                                      .id = input.id,
                                      .key = api_key_claim(&input.key),
                                      .sticky = input.sticky != 0};
    call.key_digest = request.key.digest;
    consume_and_reply(ctx, &call, &request, false, input.terse != 0);
    return REDISMODULE_OK;
}

/* ---- CHECK ----------------------------------------------------------------------------------------------- */

static const struct argument check_arguments[] = {
    KEY("account", "The customer's account."),
    {.kind = ARGUMENT_PAIRS,
     .name = "resource amount",
     .offset = offsetof(struct consume_input, pairs),
     .highest = BATCH_ITEMS_MAX,
     .flags = ARGUMENT_SEVERAL,
     .rows = pair_rows,
     .summary = "Each resource once, 1 to 64 of them."},
    API_KEY_ROWS(struct consume_input, key),
    {0},
};

/* MCONSUME … CHECK as a command that only reads: replicas answer it, too. */
static int check(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct consume_input input = {.mode = MODE_PEEK};
    struct consume_item items[BATCH_ITEMS_MAX];
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, check_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!accounts_items_or_reply(ctx, &input.pairs, items)) return REDISMODULE_OK;
    if (!api_key_fits_or_reply(ctx, &input.key)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], false, &call)) return REDISMODULE_OK;

    struct consume_request request = {.items = items,
                                      .count = (uint32_t)input.pairs.count,
                                      .batch = true,
                                      .mode = MODE_PEEK,
                                      .key = api_key_claim(&input.key)};
    consume_and_reply(ctx, &call, &request, true, false);
    return REDISMODULE_OK;
}

/* ---- REFUND ---------------------------------------------------------------------------------------------- */

static const struct argument refund_units[] = {
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct consume_input, resource, 0, 0, 0, "The resource that was used."),
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct consume_input, amount, 1, INT64_MAX, 0, "Units, 1 or more."),
    {0},
};

static const struct argument refund_what[] = {
    {.kind = ARGUMENT_GROUP,
     .name = "resource amount",
     .rows = refund_units,
     .summary = "Units of one resource; it may be called ALL."},
    {.kind = ARGUMENT_FLAG,
     .name = "all",
     .token = "ALL",
     .offset = offsetof(struct consume_input, all),
     .lowest = 1,
     .summary = "All that is left of the consumption that OF names, of every resource."},
    {0},
};

static const struct argument refund_arguments[] = {
    KEY("account", "The customer's account."),
    {.kind = ARGUMENT_ALTERNATIVE, .name = "what", .rows = refund_what, .summary = "What to give back."},
    FIELD(ARGUMENT_TEXT, "of", "OF", struct consume_input, of, 0, 0, ARGUMENT_OPTIONAL,
          "The id of the consumption: back to its cycle, never more than it took."),
    ID_ROW,
    FIELD(ARGUMENT_TEXT, "reason", "REASON", struct consume_input, reason, 0, 0, ARGUMENT_OPTIONAL,
          "The reason, for the audit trail; at most 256 bytes."),
    {0},
};

static bool refund_parse_or_reply(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, struct consume_input *input)
{
    if (!arguments_parse_or_reply(ctx, refund_arguments, argv, argc, input)) return false;
    if (!ids_fit_or_reply(ctx, input)) return false;
    if (input->all && !input->of.data) {
        reply_error(ctx, "ERR of is missing: ALL gives back what is left of one consumption, QUOTA.REFUND account ALL "
                         "OF id");
        return false;
    }
    if (input->reason.size <= REASON_BYTES_MAX) return true;
    reply_error(ctx, "ERR reason has more than %d bytes", REASON_BYTES_MAX);
    return false;
}

/* Of one resource three numbers, of several an array of such. */
static void reply_refunded(RedisModuleCtx *ctx, const struct account_decision *decision)
{
    uint32_t count = decision->result.refund.count;
    if (count > 1) RedisModule_ReplyWithArray(ctx, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct refunded *item = &decision->result.refund.items[i];
        reply_three(ctx, item->refunded, item->lost, item->remaining);
    }
}

/* The accounts that the consumption counts at; without a name the parents of now. */
static bool open_above_or_reply(RedisModuleCtx *ctx, struct account_call *call, const struct refund_request *request,
                                struct ancestors *ancestors)
{
    struct bytes names[ANCESTORS_MAX];
    const struct account *account = account_of(call);
    if (request->of.size == 0) return ancestors_open_or_reply(ctx, call, true, ancestors);
    struct bytes resource = request->all ? (struct bytes){"", 0} : request->resource;
    int64_t now_us = account ? max_i64(call->now_us, account->applied_at_us) : 0;
    uint32_t count = account ? taken_levels(account, resource, request->of, now_us, names, ANCESTORS_MAX) : 0;
    return ancestors_open_named_or_reply(ctx, call, names, count, ancestors);
}

static int refund(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct consume_input input = {.mode = MODE_ALL};
    struct account_call call;

    if (!refund_parse_or_reply(ctx, argv, argc, &input)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;

    struct actor actor = actor_of(ctx);
    struct refund_request request = {.resource = input.resource,
                                     .amount = input.amount,
                                     .all = input.all != 0,
                                     .of = input.of,
                                     .id = input.id,
                                     .actor = actor.name,
                                     .reason = input.reason,
                                     .now_us = call.now_us};
    struct ancestors ancestors;
    if (open_above_or_reply(ctx, &call, &request, &ancestors)) {
        request.lineage = ancestors_lineage(&ancestors);
        refund_decide(account_of(&call), &call.host, &request, &call.decision);
        bool done = accounts_commit_or_reply(ctx, &call);
        if (done) accounts_count_refund(&call);
        if (done) reply_refunded(ctx, &call.decision);
    }
    ancestors_close(&ancestors);
    actor_forget(ctx, &actor);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_consume_command = {
    .name = "QUOTA.CONSUME",
    .summary = "Uses units of a resource if its rates and every one of its limits admit them; replies the verdict.",
    .complexity = "O(rules), and what has expired since, a bounded part at a time",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = consume,
    .arguments = consume_arguments,
};

const struct command quota_mconsume_command = {
    .name = "QUOTA.MCONSUME",
    .summary = "Uses units of several resources: all of them or none, or the first that admits; replies the verdicts.",
    .complexity = "O(resources x rules)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = mconsume,
    .arguments = mconsume_arguments,
};

const struct command quota_check_command = {
    .name = "QUOTA.CHECK",
    .summary = "Shows what a request for units of one or several resources would be answered; replies the verdicts.",
    .complexity = "O(resources x rules)",
    .since = "1.0.0",
    .flags = "readonly fast",
    .categories = "read fast",
    .key_flags = KEY_READ,
    .handler = check,
    .arguments = check_arguments,
};

const struct command quota_refund_command = {
    .name = "QUOTA.REFUND",
    .summary =
        "Gives units back to the cycles they were taken from, or all that is left of a consumption; replies refunded, "
        "lost and remaining units, of several resources of each.",
    .complexity = "O(rules); with ALL O(resources x rules)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = refund,
    .arguments = refund_arguments,
};

/* QUOTA.CONSUME, QUOTA.MCONSUME, QUOTA.REFUND: units used and given back.
 *
 *     QUOTA.CONSUME account resource amount [ID id] [UPTO | CHECK | FORCE] [STICKY]           the verdict
 *     QUOTA.MCONSUME account n resource amount [...] [ALL | ANY] [ID id] [CHECK] [STICKY]     an array of verdicts
 *     QUOTA.REFUND account resource amount [OF id] [ID id] [REASON text]                      refunded, lost, remaining
 *
 * Parse, open, decide, commit, reply: the decisions are quota/consume.h and quota/refund.h. */
#include "accounts.h"
#include "actor.h"
#include "command.h"
#include "metrics.h"
#include "quota/decide/consume.h"
#include "quota/decide/refund.h"
#include "reply.h"

/* ---- CONSUME --------------------------------------------------------------------------------------------- */

struct consume_request {
    struct bytes resource, id, of, reason;
    int64_t amount, mode, any, sticky, check;
    struct pairs_argument pairs;
};

#define ID_ROW                                                                                                         \
    FIELD(ARGUMENT_TEXT, "id", "ID", struct consume_request, id, 0, 0, ARGUMENT_OPTIONAL,                              \
          "Asked again with this id: the same answer, and nothing is charged; 1 to 512 bytes.")
#define STICKY_ROW                                                                                                     \
    {                                                                                                                  \
        .kind = ARGUMENT_FLAG, .name = "sticky", .token = "STICKY",                                                    \
        .offset = offsetof(struct consume_request, sticky), .lowest = 1, .flags = ARGUMENT_OPTIONAL,                   \
        .summary = "Remember a denial under the id, too."                                                              \
    }

static const struct argument mode_choice[] = {
    FLAG_VALUE("UPTO", MODE_UPTO, "Grant what is left of the amount, at least one."),
    FLAG_VALUE("CHECK", MODE_PEEK, "Only look: nothing is charged or stored."),
    FLAG_VALUE("FORCE", MODE_FORCE, "Charge it whatever the limits say."),
    {0},
};

static const struct argument consume_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct consume_request, resource, 0, 0, 0, "What is used."),
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct consume_request, amount, 1, INT64_MAX, 0, "Units, 1 or more."),
    ID_ROW,
    {.kind = ARGUMENT_CHOICE,
     .name = "mode",
     .offset = offsetof(struct consume_request, mode),
     .flags = ARGUMENT_OPTIONAL,
     .rows = mode_choice,
     .summary = "Another way to ask."},
    STICKY_ROW,
    {0},
};

/* An id that was given is an id. */
static bool ids_fit_or_reply(RedisModuleCtx *ctx, const struct consume_request *request)
{
    if (request->id.data && !accounts_word_or_reply(ctx, "ID", request->id, ID_BYTES_MAX)) return false;
    return !request->of.data || accounts_word_or_reply(ctx, "OF", request->of, ID_BYTES_MAX);
}

/* A denial is counted where it was met: in memory, and in the counters of INFO. */
static void count(struct account_call *call, const struct consume_ask *ask)
{
    struct account *account = account_of(call);
    if (call->decision.replayed || ask->mode == MODE_PEEK) return;
    metrics_count(call->decision.denied ? CAUSE_LIMIT : CAUSE_ADMITTED);
    for (uint32_t i = 0; call->decision.denied && account && i < ask->count; i++) {
        int32_t slot = account_slot(account, ask->items[i].resource);
        if (slot >= 0) slot_count_denied(&account->slots[slot], call->decision.settled_us);
    }
}

/* Decides and commits; false when the client has its error. */
static bool consume_or_reply(RedisModuleCtx *ctx, struct account_call *call, struct consume_ask *ask)
{
    ask->now_us = call->now_us;
    consume_decide(account_of(call), &call->host, ask, &call->decision);
    if (!accounts_commit_or_reply(ctx, call)) return false;
    count(call, ask);
    return true;
}

static int consume(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct consume_request request = {.mode = MODE_ALL};
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, consume_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!ids_fit_or_reply(ctx, &request)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;

    struct consume_item item = {request.resource, request.amount};
    struct consume_ask ask = {.items = &item,
                              .count = 1,
                              .mode = (enum request_mode)request.mode,
                              .id = request.id,
                              .sticky = request.sticky != 0};
    if (consume_or_reply(ctx, &call, &ask)) reply_verdict(ctx, &call.decision.verdicts[0]);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- MCONSUME -------------------------------------------------------------------------------------------- */

static const struct argument pair_rows[] = {
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct consume_request, resource, 0, 0, 0, "What is used."),
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct consume_request, amount, 1, INT64_MAX, 0, "Units, 1 or more."),
    {0},
};

static const struct argument whole_choice[] = {
    FLAG_VALUE("ALL", 0, "All are admitted or none is charged (the default)."),
    FLAG_VALUE("ANY", 1, "The first that is admitted is charged, and only that one."),
    {0},
};

static const struct argument mconsume_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_INTEGER, "numresources", NULL, struct consume_request, pairs.count, 1, BATCH_ITEMS_MAX, 0,
          "How many resources follow, 1 to 64."),
    {.kind = ARGUMENT_PAIRS,
     .name = "resource amount",
     .offset = offsetof(struct consume_request, pairs),
     .rows = pair_rows,
     .summary = "Each resource once."},
    {.kind = ARGUMENT_CHOICE,
     .name = "whole",
     .offset = offsetof(struct consume_request, any),
     .flags = ARGUMENT_OPTIONAL,
     .rows = whole_choice,
     .summary = "What has to be admitted."},
    ID_ROW,
    {.kind = ARGUMENT_FLAG,
     .name = "check",
     .token = "CHECK",
     .offset = offsetof(struct consume_request, check),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Only look: nothing is charged or stored."},
    STICKY_ROW,
    {0},
};

/* The pairs as items: resources all different, amounts 1 or more. */
static bool items_or_reply(RedisModuleCtx *ctx, const struct pairs_argument *pairs, struct consume_item *items)
{
    for (int64_t i = 0; i < pairs->count; i++) {
        items[i].resource = string_bytes(pairs->words[2 * i]);
        struct bytes amount = string_bytes(pairs->words[2 * i + 1]);
        if (!bytes_integer(amount, &items[i].amount) || items[i].amount < 1) {
            reply_error(ctx, "ERR amount '%s' is not an integer of 1 or more", printable(amount).text);
            return false;
        }
        for (int64_t k = 0; k < i; k++) {
            if (!bytes_equal(items[k].resource, items[i].resource)) continue;
            reply_error(ctx, "ERR resource '%s' is named twice", printable(items[i].resource).text);
            return false;
        }
    }
    return true;
}

static int mconsume(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct consume_request request = {.mode = MODE_ALL};
    struct consume_item items[BATCH_ITEMS_MAX];
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, mconsume_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!ids_fit_or_reply(ctx, &request) || !items_or_reply(ctx, &request.pairs, items)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;

    struct consume_ask ask = {.items = items,
                              .count = (uint32_t)request.pairs.count,
                              .batch = true,
                              .any = request.any != 0,
                              .mode = request.check ? MODE_PEEK : MODE_ALL,
                              .id = request.id,
                              .sticky = request.sticky != 0};
    if (consume_or_reply(ctx, &call, &ask)) {
        RedisModule_ReplyWithArray(ctx, call.decision.verdicts_count);
        for (uint32_t i = 0; i < call.decision.verdicts_count; i++) reply_verdict(ctx, &call.decision.verdicts[i]);
    }
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- REFUND ---------------------------------------------------------------------------------------------- */

static const struct argument refund_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct consume_request, resource, 0, 0, 0, "What is given back."),
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct consume_request, amount, 1, INT64_MAX, 0, "Units, 1 or more."),
    FIELD(ARGUMENT_TEXT, "of", "OF", struct consume_request, of, 0, 0, ARGUMENT_OPTIONAL,
          "The id of the consumption: back to its cycle, never more than it took."),
    ID_ROW,
    FIELD(ARGUMENT_TEXT, "reason", "REASON", struct consume_request, reason, 0, 0, ARGUMENT_OPTIONAL,
          "Why, for the account's notes; at most 256 bytes."),
    {0},
};

static int refund(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct consume_request request = {.mode = MODE_ALL};
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, refund_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!ids_fit_or_reply(ctx, &request)) return REDISMODULE_OK;
    if (request.reason.size > REASON_BYTES_MAX) {
        return reply_error(ctx, "ERR reason has more than %d bytes", REASON_BYTES_MAX);
    }
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;

    struct actor actor = actor_of(ctx);
    struct refund_ask ask = {.resource = request.resource,
                             .amount = request.amount,
                             .of = request.of,
                             .id = request.id,
                             .actor = actor.name,
                             .reason = request.reason,
                             .now_us = call.now_us};
    refund_decide(account_of(&call), &call.host, &ask, &call.decision);
    if (accounts_commit_or_reply(ctx, &call)) {
        RedisModule_ReplyWithArray(ctx, 3);
        for (int i = 0; i < 3; i++) RedisModule_ReplyWithLongLong(ctx, call.decision.numbers[i]);
    }
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
    .flags = "write deny-oom fast",
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
    .flags = "write deny-oom fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = mconsume,
    .arguments = mconsume_arguments,
};

const struct command quota_refund_command = {
    .name = "QUOTA.REFUND",
    .summary = "Gives units back to the cycles they were taken from; replies refunded, lost and remaining units.",
    .complexity = "O(rules)",
    .since = "1.0.0",
    .flags = "write deny-oom fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = refund,
    .arguments = refund_arguments,
};

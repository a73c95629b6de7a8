/* QUOTA.TRANSFER: credits of one account become credits of another, in one step.
 *
 *     QUOTA.TRANSFER source target resource amount ID id [REASON text]         moved, source's and target's credits
 *
 * Parse, open both, decide, commit both in one transaction, reply: the decision is quota/decide/transfer.h. */
#include "accounts.h"
#include "actor.h"
#include "command.h"
#include "quota/decide/transfer.h"
#include "reply.h"

struct transfer_input {
    struct bytes resource, id, reason;
    int64_t amount;
};

static const struct argument transfer_arguments[] = {
    KEY("source", "The account that gives."),
    KEY("target", "The account that gets; in a cluster of the same slot."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct transfer_input, resource, 0, 0, 0, "What the credits pay for."),
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct transfer_input, amount, 1, INT64_MAX, 0, "Units, 1 or more."),
    FIELD(ARGUMENT_TEXT, "id", "ID", struct transfer_input, id, 0, 0, 0,
          "Given again with the same content nothing more is moved; 1 to 504 bytes."),
    FIELD(ARGUMENT_TEXT, "reason", "REASON", struct transfer_input, reason, 0, 0, ARGUMENT_OPTIONAL,
          "Why, for the audit trails of both; at most 256 bytes."),
    {0},
};

static bool input_fits_or_reply(RedisModuleCtx *ctx, RedisModuleString **argv, const struct transfer_input *input)
{
    if (!accounts_word_or_reply(ctx, "ID", input->id, TRANSFER_ID_BYTES_MAX)) return false;
    if (input->reason.size > REASON_BYTES_MAX) {
        reply_error(ctx, "ERR reason has more than %d bytes", REASON_BYTES_MAX);
        return false;
    }
    struct bytes source = string_bytes(argv[1]);
    if (!bytes_equal(source, string_bytes(argv[2]))) return true;
    reply_error(ctx, "SAMEACCOUNT '%s' cannot transfer to itself", printable(source).text);
    return false;
}

static void transfer_between(RedisModuleCtx *ctx, RedisModuleString **argv, const struct transfer_input *input,
                             struct account_call *source, struct account_call *target)
{
    struct actor actor = actor_of(ctx);
    struct admin_action action = {.now_us = source->now_us, .actor = actor.name, .reason = input->reason};
    struct transfer_request request = {
        .id = input->id, .resource = input->resource, .target = string_bytes(argv[2]), .amount = input->amount};
    transfer_decide(account_of(source), account_of(target), &source->host, &request, &action, &source->decision,
                    &target->decision);
    struct account_call *const calls[] = {source, target};
    if (accounts_commit_together_or_reply(ctx, calls, 2)) {
        RedisModule_ReplyWithArray(ctx, 3);
        RedisModule_ReplyWithLongLong(ctx, source->decision.result.transferred.moved);
        RedisModule_ReplyWithLongLong(ctx, source->decision.result.transferred.source);
        RedisModule_ReplyWithLongLong(ctx, source->decision.result.transferred.target);
    }
    actor_forget(ctx, &actor);
}

static int transfer(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct transfer_input input = {.reason = {"", 0}};
    struct account_call source, target;

    if (!arguments_parse_or_reply(ctx, transfer_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!input_fits_or_reply(ctx, argv, &input)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], true, &source)) return REDISMODULE_OK;
    if (accounts_begin_or_reply(ctx, argv[2], true, &target)) {
        transfer_between(ctx, argv, &input, &source, &target);
        accounts_end(&target);
    }
    accounts_end(&source);
    return REDISMODULE_OK;
}

const struct command quota_transfer_command = {
    .name = "QUOTA.TRANSFER",
    .summary = "Moves credits from one account to another; replies the units moved (0: the source has not enough) and "
               "the credits of both.",
    .complexity = "O(grants of the resource)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .two_keys = true,
    .handler = transfer,
    .arguments = transfer_arguments,
};

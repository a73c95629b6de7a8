/* QUOTA.RESERVE, QUOTA.COMMIT, QUOTA.RELEASE, QUOTA.EXTEND, QUOTA.HOLDS: units held now, posted later or let go.
 *
 *     QUOTA.RESERVE account id resource amount TTL duration|@instant [UPTO]     the verdict
 *     QUOTA.COMMIT account id [amount] [FORCE]   QUOTA.RELEASE account id      posted, released, remaining
 *     QUOTA.EXTEND account id duration                                 the new expiry in Unix ms
 *     QUOTA.HOLDS account [COUNT n] [AFTER cursor]                     the live reservations, by pages
 *
 * Parse, open, decide, commit, reply: the decisions are quota/reserve.h. */
#include "accounts.h"
#include "clock.h"
#include "command.h"
#include "page.h"
#include "quota/base/checked.h"
#include "quota/decide/reserve.h"
#include "reply.h"

struct reserve_input {
    struct bytes id, resource;
    int64_t amount, extend_us, mode, force;
    struct until_argument ttl;
};

#define ID_ROW                                                                                                         \
    FIELD(ARGUMENT_TEXT, "id", NULL, struct reserve_input, id, 0, 0, 0, "The reservation's id, 1 to 512 bytes.")

/* ---- RESERVE --------------------------------------------------------------------------------------------- */

static const struct argument reserve_arguments[] = {
    KEY("account", "The customer's account."),
    ID_ROW,
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct reserve_input, resource, 0, 0, 0, "The resource to reserve."),
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct reserve_input, amount, 1, INT64_MAX, 0, "Units, 1 or more."),
    FIELD(ARGUMENT_UNTIL, "ttl", "TTL", struct reserve_input, ttl, 1, DURATION_MAX_US, 0,
          "The time to live: the reservation expires after so long, 1us or more, or at an @instant."),
    {.kind = ARGUMENT_FLAG,
     .name = "upto",
     .token = "UPTO",
     .offset = offsetof(struct reserve_input, mode),
     .lowest = MODE_UPTO,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Reserve what is left of the amount, at least one."},
    {0},
};

static int reserve(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct reserve_input input = {.mode = MODE_ALL};
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, reserve_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!accounts_word_or_reply(ctx, "id", input.id, ID_BYTES_MAX)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;

    int64_t ttl_us;
    if (!until_or_reply(ctx, "ttl", &input.ttl, call.now_us, &ttl_us)) {
        accounts_end(&call);
        return REDISMODULE_OK;
    }
    struct reserve_request request = {.id = input.id,
                                      .resource = input.resource,
                                      .amount = input.amount,
                                      .ttl_us = ttl_us,
                                      .mode = (enum request_mode)input.mode,
                                      .now_us = call.now_us};
    call.counts = true;
    reserve_decide(account_of(&call), &call.host, &request, &call.decision);
    if (accounts_commit_or_reply(ctx, &call)) reply_verdict(ctx, &call.decision.result.consumed.verdicts[0]);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- COMMIT, RELEASE, EXTEND ----------------------------------------------------------------------------- */

static const struct argument commit_arguments[] = {
    KEY("account", "The customer's account."),
    ID_ROW,
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct reserve_input, amount, 0, INT64_MAX, ARGUMENT_OPTIONAL,
          "Units to charge, 0 to what is reserved (the default); the remainder is released."),
    {.kind = ARGUMENT_FLAG,
     .name = "force",
     .token = "FORCE",
     .offset = offsetof(struct reserve_input, force),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Charge more than is reserved, whatever the limits say; also for a reservation that has expired."},
    {0},
};

static const struct argument release_arguments[] = {
    KEY("account", "The customer's account."),
    ID_ROW,
    {0},
};

static const struct argument extend_arguments[] = {
    KEY("account", "The customer's account."),
    ID_ROW,
    FIELD(ARGUMENT_DURATION, "duration", NULL, struct reserve_input, extend_us, 1, DURATION_MAX_US, 0,
          "The reservation expires so long from now, later or sooner than before."),
    {0},
};

static bool resolve_begin_or_reply(RedisModuleCtx *ctx, const struct argument *rows, RedisModuleString **argv, int argc,
                                   struct reserve_input *input, struct account_call *call)
{
    if (!arguments_parse_or_reply(ctx, rows, argv, argc, input)) return false;
    if (!accounts_word_or_reply(ctx, "id", input->id, ID_BYTES_MAX)) return false;
    return accounts_begin_or_reply(ctx, argv[1], true, call);
}

static void reply_resolved(RedisModuleCtx *ctx, struct account_call *call)
{
    if (!accounts_commit_or_reply(ctx, call)) return;
    RedisModule_ReplyWithArray(ctx, 3);
    RedisModule_ReplyWithLongLong(ctx, call->decision.result.resolved.posted);
    RedisModule_ReplyWithLongLong(ctx, call->decision.result.resolved.released);
    RedisModule_ReplyWithLongLong(ctx, call->decision.result.resolved.remaining);
}

static int commit_hold(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct reserve_input input = {.amount = COMMIT_ALL};
    struct account_call call;

    if (!resolve_begin_or_reply(ctx, commit_arguments, argv, argc, &input, &call)) return REDISMODULE_OK;
    struct commit_request request = {
        .id = input.id, .amount = input.amount, .force = input.force != 0, .now_us = call.now_us};
    commit_decide(account_of(&call), &call.host, &request, &call.decision);
    reply_resolved(ctx, &call);
    accounts_end(&call);
    return REDISMODULE_OK;
}

static int release_hold(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct reserve_input input;
    struct account_call call;

    if (!resolve_begin_or_reply(ctx, release_arguments, argv, argc, &input, &call)) return REDISMODULE_OK;
    struct commit_request request = {.id = input.id, .amount = 0, .now_us = call.now_us};
    commit_decide(account_of(&call), &call.host, &request, &call.decision);
    reply_resolved(ctx, &call);
    accounts_end(&call);
    return REDISMODULE_OK;
}

static int extend_hold(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct reserve_input input;
    struct account_call call;

    if (!resolve_begin_or_reply(ctx, extend_arguments, argv, argc, &input, &call)) return REDISMODULE_OK;
    extend_decide(account_of(&call), &call.host, input.id, input.extend_us, call.now_us, &call.decision);
    if (accounts_commit_or_reply(ctx, &call)) {
        RedisModule_ReplyWithLongLong(ctx, millis_floor(call.decision.result.expires_us));
    }
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- HOLDS ----------------------------------------------------------------------------------------------- */

static void reply_hold(RedisModuleCtx *ctx, const struct account *account, const struct stored_hold *stored)
{
    RedisModule_ReplyWithMap(ctx, 5);
    reply_field_text(ctx, "id", hold_id(stored));
    reply_field_text(ctx, "resource", interned_string_bytes(account->slots[stored->hold.slot].resource));
    reply_field_integer(ctx, "amount", stored->hold.amount);
    reply_field_integer(ctx, "made", millis_floor(stored->hold.made_us));
    reply_field_integer(ctx, "expires", millis_floor(stored->hold.expires_us));
}

struct holds_request {
    struct page_argument page;
};

static const struct argument holds_arguments[] = {
    KEY("account", "The customer's account."), PAGE_ROWS(struct holds_request, page), {0}};

/* By id: a reservation that is extended stays where it is. */
static void reply_holds(RedisModuleCtx *ctx, const struct account *account, const struct page_argument *wanted,
                        int64_t now_us)
{
    const struct holds *holds = account_holds(account);
    struct page page;
    page_begin(&page, wanted->after, wanted->count);
    for (uint32_t i = holds_ended(holds, now_us); i < holds->count; i++) {
        page_offer(&page, hold_id(holds->by_expiry[i]), holds->by_expiry[i]);
    }
    page_reply_head(ctx, page_cursor(&page), page.count);
    for (uint32_t i = 0; i < page.count; i++) reply_hold(ctx, account, page.items[i]);
}

static int list_holds(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct holds_request request = {.page = PAGE_ARGUMENT_DEFAULT};
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, holds_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], false, &call)) return REDISMODULE_OK;
    const struct account *account = account_of(&call);
    if (account) {
        reply_holds(ctx, account, &request.page, max_i64(call.now_us, account->applied_at_us));
    } else {
        accounts_reply_fault(ctx, &call, ACCOUNT_FAULT_MISSING, BYTES(""), 0);
    }
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_reserve_command = {
    .name = "QUOTA.RESERVE",
    .summary = "Reserves units of a resource for a while, to be committed or released; replies the verdict.",
    .complexity = "O(rules + reservations)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = reserve,
    .arguments = reserve_arguments,
};

const struct command quota_commit_command = {
    .name = "QUOTA.COMMIT",
    .summary = "Charges a reservation, or a part of it, to the cycle in which it was made, and releases the remainder; "
               "replies charged, released and remaining units.",
    .complexity = "O(rules + reservations)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = commit_hold,
    .arguments = commit_arguments,
};

const struct command quota_release_command = {
    .name = "QUOTA.RELEASE",
    .summary = "Releases a reservation: its units go back; replies the released and the remaining units.",
    .complexity = "O(rules + reservations)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = release_hold,
    .arguments = release_arguments,
};

const struct command quota_extend_command = {
    .name = "QUOTA.EXTEND",
    .summary = "Moves the expiry of a live reservation; replies it in Unix ms.",
    .complexity = "O(reservations)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = extend_hold,
    .arguments = extend_arguments,
};

const struct command quota_holds_command = {
    .name = "QUOTA.HOLDS",
    .summary =
        "Lists the live reservations of an account by pages, in the order of their ids; replies a cursor and the page.",
    .complexity = "O(reservations)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .key_flags = KEY_READ,
    .handler = list_holds,
    .arguments = holds_arguments,
};

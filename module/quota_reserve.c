/* QUOTA.RESERVE, QUOTA.COMMIT, QUOTA.RELEASE, QUOTA.EXTEND, QUOTA.HOLDS: units held now, posted later or let go.
 *
 *     QUOTA.RESERVE account id resource amount [resource amount ...] TTL duration|@instant [UPTO] [key]   verdicts
 *     QUOTA.COMMIT account id [amount ...] [FORCE]   QUOTA.RELEASE account id     posted, released, remaining of each
 *     QUOTA.EXTEND account id duration                                 the new expiry in Unix ms
 *     QUOTA.HOLDS account [COUNT n] [AFTER cursor]                     the live reservations, by pages
 *
 * [key] = [APIKEY digest [SCOPE s]], see api_key_argument.h.
 *
 * Parse, open, decide, commit, reply: the decisions are quota/decide/reserve.h and commit.h. */
#include "accounts.h"
#include "ancestors.h"
#include "api_key_argument.h"
#include "clock.h"
#include "command.h"
#include "page.h"
#include "quota/base/checked.h"
#include "quota/decide/commit.h"
#include "quota/decide/reservation.h"
#include "quota/decide/reserve.h"
#include "reply.h"

struct reserve_input {
    struct bytes id;
    struct pairs_argument pairs;
    int64_t mode;
    struct until_argument ttl;
    struct api_key_argument key;
};

struct resolve_input {
    struct bytes id;
    int64_t extend_us, force;
    struct amounts_argument amounts;
};

#define ID_ROW(type_) FIELD(ARGUMENT_TEXT, "id", NULL, type_, id, 0, 0, 0, "The reservation's id, 1 to 512 bytes.")

/* ---- RESERVE --------------------------------------------------------------------------------------------- */

static const struct argument pair_rows[] = {
    {.kind = ARGUMENT_TEXT, .name = "resource", .summary = "The resource to reserve."},
    {.kind = ARGUMENT_INTEGER, .name = "amount", .summary = "Units, 1 or more."},
    {0},
};

static const struct argument reserve_arguments[] = {
    KEY("account", "The customer's account."),
    ID_ROW(struct reserve_input),
    {.kind = ARGUMENT_PAIRS,
     .name = "resource amount",
     .offset = offsetof(struct reserve_input, pairs),
     .highest = BATCH_ITEMS_MAX,
     .flags = ARGUMENT_SEVERAL,
     .rows = pair_rows,
     .summary = "Each resource once, 1 to 64 of them: all are reserved or none is."},
    FIELD(ARGUMENT_UNTIL, "ttl", "TTL", struct reserve_input, ttl, 1, DURATION_MAX_US, 0,
          "The time to live: the reservation expires after so long, 1us or more, or at an @instant."),
    {.kind = ARGUMENT_FLAG,
     .name = "upto",
     .token = "UPTO",
     .offset = offsetof(struct reserve_input, mode),
     .lowest = MODE_UPTO,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Reserve what is left of each amount, at least one."},
    API_KEY_ROWS(struct reserve_input, key),
    {0},
};

static void reply_reserved(RedisModuleCtx *ctx, const struct account_decision *decision)
{
    if (decision->result.consumed.count == 1) {
        reply_verdict(ctx, &decision->result.consumed.verdicts[0]);
    } else {
        accounts_reply_verdicts(ctx, decision, false);
    }
}

static int reserve(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct reserve_input input = {.mode = MODE_ALL};
    struct consume_item items[BATCH_ITEMS_MAX];
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, reserve_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!accounts_word_or_reply(ctx, "id", input.id, ID_BYTES_MAX)) return REDISMODULE_OK;
    if (!accounts_items_or_reply(ctx, &input.pairs, items)) return REDISMODULE_OK;
    if (!api_key_fits_or_reply(ctx, &input.key)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;

    struct reserve_request request = {.id = input.id,
                                      .items = items,
                                      .count = (uint32_t)input.pairs.count,
                                      .mode = (enum request_mode)input.mode,
                                      .key = api_key_claim(&input.key),
                                      .now_us = call.now_us};
    call.key_digest = request.key.digest;
    struct ancestors ancestors;
    bool opened = ancestors_open_or_reply(ctx, &call, true, &ancestors);
    if (opened && until_or_reply(ctx, "ttl", &input.ttl, call.now_us, &request.ttl_us)) {
        call.counts = true;
        call.items = items;
        request.lineage = ancestors_lineage(&ancestors);
        reserve_decide(account_of(&call), &call.host, &request, &call.decision);
        if (accounts_commit_or_reply(ctx, &call)) reply_reserved(ctx, &call.decision);
    }
    ancestors_close(&ancestors);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- COMMIT, RELEASE, EXTEND ----------------------------------------------------------------------------- */

static const struct argument commit_arguments[] = {
    KEY("account", "The customer's account."),
    ID_ROW(struct resolve_input),
    FIELD(
        ARGUMENT_AMOUNTS, "amount", NULL, struct resolve_input, amounts, 0, INT64_MAX, ARGUMENT_OPTIONAL,
        "Units to charge, 0 to what is reserved (the default), of each resource in order; the remainder is released."),
    {.kind = ARGUMENT_FLAG,
     .name = "force",
     .token = "FORCE",
     .offset = offsetof(struct resolve_input, force),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Charge more than is reserved, whatever the limits say; also for a reservation that has expired."},
    {0},
};

static const struct argument release_arguments[] = {
    KEY("account", "The customer's account."),
    ID_ROW(struct resolve_input),
    {0},
};

static const struct argument extend_arguments[] = {
    KEY("account", "The customer's account."),
    ID_ROW(struct resolve_input),
    FIELD(ARGUMENT_DURATION, "duration", NULL, struct resolve_input, extend_us, 1, DURATION_MAX_US, 0,
          "The reservation expires so long from now, later or sooner than before."),
    {0},
};

static bool resolve_begin_or_reply(RedisModuleCtx *ctx, const struct argument *rows, RedisModuleString **argv, int argc,
                                   struct resolve_input *input, struct account_call *call)
{
    input->force = input->amounts.count = 0;
    if (!arguments_parse_or_reply(ctx, rows, argv, argc, input)) return false;
    if (!accounts_word_or_reply(ctx, "id", input->id, ID_BYTES_MAX)) return false;
    return accounts_begin_or_reply(ctx, argv[1], true, call);
}

/* The accounts that the reservation counts at. */
static bool open_above_or_reply(RedisModuleCtx *ctx, struct account_call *call, struct bytes id,
                                struct ancestors *ancestors)
{
    const struct account *account = account_of(call);
    struct bytes names[ANCESTORS_MAX];
    struct level level;
    uint32_t count = 0;
    int64_t now_us = account ? max_i64(call->now_us, account->applied_at_us) : 0;
    struct cursor levels = cursor_init(account ? reservation_levels(account, id, now_us) : (struct bytes){"", 0});
    while (count < ANCESTORS_MAX && level_next(&levels, &level)) names[count++] = level.name;
    return ancestors_open_named_or_reply(ctx, call, names, count, ancestors);
}

/* Of one resource three numbers, of several an array of such. */
static void reply_resolved(RedisModuleCtx *ctx, struct account_call *call)
{
    if (!accounts_commit_or_reply(ctx, call)) return;
    uint32_t count = call->decision.result.resolved.count;
    if (count > 1) RedisModule_ReplyWithArray(ctx, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct resolved *item = &call->decision.result.resolved.items[i];
        reply_three(ctx, item->posted, item->released, item->remaining);
    }
}

static void resolve_and_reply(RedisModuleCtx *ctx, struct account_call *call, struct commit_request *request)
{
    struct ancestors ancestors;
    if (open_above_or_reply(ctx, call, request->id, &ancestors)) {
        request->lineage = ancestors_lineage(&ancestors);
        commit_decide(account_of(call), &call->host, request, &call->decision);
        reply_resolved(ctx, call);
    }
    ancestors_close(&ancestors);
    accounts_end(call);
}

static int commit_hold(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct resolve_input input;
    struct account_call call;

    if (!resolve_begin_or_reply(ctx, commit_arguments, argv, argc, &input, &call)) return REDISMODULE_OK;
    struct commit_request request = {.id = input.id,
                                     .amounts = input.amounts.amounts,
                                     .count = (uint32_t)input.amounts.count,
                                     .force = input.force != 0,
                                     .now_us = call.now_us};
    resolve_and_reply(ctx, &call, &request);
    return REDISMODULE_OK;
}

static int release_hold(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct resolve_input input;
    struct account_call call;

    if (!resolve_begin_or_reply(ctx, release_arguments, argv, argc, &input, &call)) return REDISMODULE_OK;
    struct commit_request request = {.id = input.id, .release = true, .now_us = call.now_us};
    resolve_and_reply(ctx, &call, &request);
    return REDISMODULE_OK;
}

static int extend_hold(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct resolve_input input;
    struct account_call call;

    if (!resolve_begin_or_reply(ctx, extend_arguments, argv, argc, &input, &call)) return REDISMODULE_OK;
    struct extend_request request = {.id = input.id, .ttl_us = input.extend_us, .now_us = call.now_us};
    struct ancestors ancestors;
    if (open_above_or_reply(ctx, &call, input.id, &ancestors)) {
        request.lineage = ancestors_lineage(&ancestors);
        extend_decide(account_of(&call), &call.host, &request, &call.decision);
        bool done = accounts_commit_or_reply(ctx, &call);
        if (done) RedisModule_ReplyWithLongLong(ctx, millis_floor(call.decision.result.expires_us));
    }
    ancestors_close(&ancestors);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- HOLDS ----------------------------------------------------------------------------------------------- */

static void reply_part(RedisModuleCtx *ctx, const struct account *account, const struct hold *hold)
{
    reply_field_text(ctx, "resource", interned_string_bytes(account->slots[hold->slot].resource));
    reply_field_integer(ctx, "amount", hold->amount);
}

/* The parts of a reservation that were requested, without those of resources that they are counted AS. */
static const struct stored_hold *next_requested(const struct stored_hold *part)
{
    uint8_t item = part->hold.item;
    while (part && part->hold.item == item) part = part->next;
    return part;
}

/* Of several resources `parts` stands where one has its resource and amount. */
static void reply_hold(RedisModuleCtx *ctx, const struct account *account, const struct stored_hold *first)
{
    bool several = next_requested(first) != NULL;
    long count = 0;
    RedisModule_ReplyWithMap(ctx, several ? 4 : 5);
    reply_field_text(ctx, "id", hold_id(first));
    if (several) {
        reply_field_name(ctx, "parts");
        RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
        for (const struct stored_hold *part = first; part; part = next_requested(part), count++) {
            RedisModule_ReplyWithMap(ctx, 2);
            reply_part(ctx, account, &part->hold);
        }
        RedisModule_ReplySetArrayLength(ctx, count);
    } else {
        reply_part(ctx, account, &first->hold);
    }
    reply_field_integer(ctx, "made", millis_floor(first->hold.made_us));
    reply_field_integer(ctx, "expires", millis_floor(first->hold.expires_us));
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
        const struct stored_hold *stored = holds->by_expiry[i];
        bool is_own = stored->hold.part == 0 && !stored->hold.of_member;
        if (is_own) page_offer(&page, hold_id(stored), stored);
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
    .summary =
        "Reserves units of one or several resources for a while, to be committed or released: all of them or none; "
        "replies the verdict, of several an array of them.",
    .complexity = "O(resources x rules + reservations)",
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
               "replies charged, released and remaining units, of several resources of each.",
    .complexity = "O(resources x rules + reservations)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = commit_hold,
    .arguments = commit_arguments,
};

const struct command quota_release_command = {
    .name = "QUOTA.RELEASE",
    .summary =
        "Releases a reservation: its units go back; replies 0, released and remaining units, of several resources of "
        "each.",
    .complexity = "O(resources x rules + reservations)",
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

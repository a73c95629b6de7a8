/* QUOTA.GRANT, QUOTA.VOID, QUOTA.GRANTS: credits, units that are given apart from any limit.
 *
 *     QUOTA.GRANT account id resource amount [EFFECTIVE i] [EXPIRES i|duration|period|CYCLE] [PRIORITY n]
 *                 [PROMO] [EVERY period] [ONCE] [REASON text]               credits that are left now, absorbed
 *     QUOTA.VOID account id [REASON text]                                   units taken out
 *     QUOTA.GRANTS account [RESOURCE r] [COUNT n] [AFTER cursor]            grants by pages, the first given first
 *
 * Parse, open, decide, commit, reply: the decisions are quota/decide/grant.h. */
#include "accounts.h"
#include "actor.h"
#include "command.h"
#include "moment_argument.h"
#include "page.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/decide/grant.h"
#include "quota/time/duration.h"
#include "reply.h"

struct grant_input {
    struct bytes id, resource, expires, every, reason;
    int64_t amount, effective_us, priority, promo, once;
};

#define REASON_ROW                                                                                                     \
    FIELD(ARGUMENT_TEXT, "reason", "REASON", struct grant_input, reason, 0, 0, ARGUMENT_OPTIONAL,                      \
          "Why, for the audit trail; at most 256 bytes.")

/* ---- GRANT ----------------------------------------------------------------------------------------------- */

#define GRANT_FLAG(token_, field_, summary_)                                                                           \
    {                                                                                                                  \
        .kind = ARGUMENT_FLAG, .name = (token_), .token = (token_), .offset = offsetof(struct grant_input, field_),    \
        .lowest = 1, .flags = ARGUMENT_OPTIONAL, .summary = (summary_)                                                 \
    }

static const struct argument grant_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "id", NULL, struct grant_input, id, 0, 0, 0,
          "The grant's id, 1 to 512 bytes: given again with the same content nothing more is granted."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct grant_input, resource, 0, 0, 0, "What the credits pay for."),
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct grant_input, amount, 1, INT64_MAX, 0, "Units, 1 or more."),
    FIELD(ARGUMENT_INSTANT, "effective", "EFFECTIVE", struct grant_input, effective_us, 1, INSTANT_MAX_US,
          ARGUMENT_OPTIONAL, "From when on they can be used (default: now)."),
    FIELD(ARGUMENT_TEXT, "expires", "EXPIRES", struct grant_input, expires, 0, 0, ARGUMENT_OPTIONAL,
          "When they end: an instant, a duration (30d) or calendar period (3month) after they begin, or CYCLE."),
    FIELD(ARGUMENT_INTEGER, "priority", "PRIORITY", struct grant_input, priority, 0, 255, ARGUMENT_OPTIONAL,
          "The lower is used first, 0 to 255 (default 50)."),
    GRANT_FLAG("PROMO", promo, "Given for free: used before paid ones of equal priority and expiry."),
    FIELD(ARGUMENT_TEXT, "every", "EVERY", struct grant_input, every, 0, 0, ARGUMENT_OPTIONAL,
          "They are set back to the amount once in every such calendar period or duration."),
    GRANT_FLAG("ONCE", once, "The id is remembered as long as the account lives."),
    REASON_ROW,
    {0},
};

/* EXPIRES takes CYCLE, too. */
static bool expires_or_reply(RedisModuleCtx *ctx, struct bytes word, struct moment *moment)
{
    *moment = (struct moment){.kind = MOMENT_NONE};
    if (!word.data) return true;
    moment->kind = MOMENT_CYCLE;
    return bytes_is_word(word, "CYCLE") || moment_expires_or_reply(ctx, word, moment);
}

static bool every_or_reply(RedisModuleCtx *ctx, struct bytes word, uint64_t *code)
{
    struct period period = {0};
    *code = 0;
    if (!word.data) return true;
    if (period_parse(word, &period) && period.unit != PERIOD_FOREVER) {
        *code = period_code(&period);
        return true;
    }
    const char *hint = duration_hint(word);
    reply_error(ctx, "ERR every '%s' is not a calendar period (month, 2week) or a duration (12h)%s%s",
                printable(word).text, hint ? ": " : "", hint ? hint : "");
    return false;
}

static bool grant_request_or_reply(RedisModuleCtx *ctx, const struct grant_input *input, struct grant_request *request)
{
    *request = (struct grant_request){.id = input->id,
                                      .resource = input->resource,
                                      .amount = input->amount,
                                      .effective_us = input->effective_us,
                                      .priority = (uint8_t)input->priority,
                                      .promo = input->promo != 0,
                                      .once = input->once != 0};
    if (!accounts_word_or_reply(ctx, "id", input->id, ID_BYTES_MAX)) return false;
    if (!expires_or_reply(ctx, input->expires, &request->expires)) return false;
    if (!every_or_reply(ctx, input->every, &request->every)) return false;
    if (input->reason.size <= REASON_BYTES_MAX) return true;
    reply_error(ctx, "ERR reason has more than %d bytes", REASON_BYTES_MAX);
    return false;
}

static int grant(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct grant_input input = {.effective_us = NOT_REQUESTED, .priority = GRANT_PRIORITY_DEFAULT};
    struct grant_request request;
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, grant_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!grant_request_or_reply(ctx, &input, &request)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;

    struct actor actor = actor_of(ctx);
    struct admin_action action = {.now_us = call.now_us, .actor = actor.name, .reason = input.reason};
    grant_decide(account_of(&call), &call.host, &request, &action, &call.decision);
    if (accounts_commit_or_reply(ctx, &call)) {
        RedisModule_ReplyWithArray(ctx, 2);
        RedisModule_ReplyWithLongLong(ctx, call.decision.result.granted.credits);
        RedisModule_ReplyWithLongLong(ctx, call.decision.result.granted.absorbed);
    }
    actor_forget(ctx, &actor);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- VOID ------------------------------------------------------------------------------------------------ */

static const struct argument void_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "id", NULL, struct grant_input, id, 0, 0, 0, "The grant's id."),
    REASON_ROW,
    {0},
};

static int void_grant(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct grant_input input = {.reason = {NULL, 0}};
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, void_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!accounts_word_or_reply(ctx, "id", input.id, ID_BYTES_MAX)) return REDISMODULE_OK;
    if (input.reason.size > REASON_BYTES_MAX) {
        return reply_error(ctx, "ERR reason has more than %d bytes", REASON_BYTES_MAX);
    }
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;

    struct actor actor = actor_of(ctx);
    struct admin_action action = {.now_us = call.now_us, .actor = actor.name, .reason = input.reason};
    void_decide(account_of(&call), &call.host, input.id, &action, &call.decision);
    if (accounts_commit_or_reply(ctx, &call)) RedisModule_ReplyWithLongLong(ctx, call.decision.result.voided);
    actor_forget(ctx, &actor);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- GRANTS ---------------------------------------------------------------------------------------------- */

struct grants_request {
    struct bytes resource;
    struct page_argument page;
};

static const struct argument grants_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "resource", "RESOURCE", struct grants_request, resource, 0, 0, ARGUMENT_OPTIONAL,
          "Only grants of this resource."),
    PAGE_ROWS(struct grants_request, page),
    {0},
};

static int64_t millis_or_none(int64_t instant_us)
{
    return instant_us > 0 && instant_us < INSTANT_MAX_US ? millis_floor(instant_us) : -1;
}

static void reply_every(RedisModuleCtx *ctx, uint64_t code)
{
    char stack_buffer[64];
    struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
    struct period period;
    if (code != 0 && period_from_code(code, &period)) {
        period_write(&period, &text);
        reply_field_text(ctx, "every", sink_content(&text));
    } else {
        reply_field_name(ctx, "every");
        RedisModule_ReplyWithNull(ctx);
    }
    sink_free(&text);
}

static void reply_grant(RedisModuleCtx *ctx, const struct grant_report *report)
{
    static const char *const states[] = {"pending", "active", "ended", "void"};
    const struct grant *grant = &report->stored->grant;
    const char *state = states[report->state];
    RedisModule_ReplyWithMap(ctx, 12);
    reply_field_text(ctx, "id", grant_id(report->stored));
    reply_field_text(ctx, "resource", report->resource);
    reply_field_integer(ctx, "amount", grant->amount);
    reply_field_integer(ctx, "left", report->left);
    reply_field_integer(ctx, "held", report->held);
    reply_field_integer(ctx, "effective", millis_or_none(grant->effective_us));
    reply_field_integer(ctx, "expires", millis_or_none(grant->expires_us));
    reply_field_integer(ctx, "priority", grant->priority);
    reply_field_integer(ctx, "promo", grant->flags & GRANT_PROMO ? 1 : 0);
    reply_every(ctx, grant->every);
    reply_field_integer(ctx, "next", millis_or_none(report->next_us));
    reply_field_text(ctx, "state", (struct bytes){state, strlen(state)});
}

/* The cursor is the number of the last grant shown. */
static void reply_grants(RedisModuleCtx *ctx, const struct account_view *view, const struct grants_request *request,
                         int64_t after)
{
    char text[32];
    struct sink cursor = sink_init(text, sizeof(text));
    struct grant_report *reports = memory_alloc((size_t)request->page.count * sizeof(*reports));
    bool more;
    uint32_t count = grants_report(view, request->resource, after, (uint32_t)request->page.count, reports, &more);
    if (more) sink_decimal(&cursor, reports[count - 1].stored->grant.number);
    page_reply_head(ctx, more ? sink_content(&cursor) : (struct bytes){NULL, 0}, count);
    for (uint32_t i = 0; i < count; i++) reply_grant(ctx, &reports[i]);
    memory_free(reports);
}

static int list_grants(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct grants_request request = {.page = PAGE_ARGUMENT_DEFAULT};
    struct account_call call;
    struct account_view view;
    int64_t after = 0;

    if (!arguments_parse_or_reply(ctx, grants_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (request.page.after.data && !bytes_integer(request.page.after, &after)) {
        return reply_error(ctx, "ERR after '%s' is not a cursor that QUOTA.GRANTS replied",
                           printable(request.page.after).text);
    }
    if (!accounts_begin_or_reply(ctx, argv[1], false, &call)) return REDISMODULE_OK;
    enum account_fault fault = account_of(&call) ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_MISSING;
    account_view_none(&view);
    if (fault == ACCOUNT_FAULT_NONE) fault = account_view_begin(&view, account_of(&call), &call.host, call.now_us);
    if (fault == ACCOUNT_FAULT_NONE) {
        reply_grants(ctx, &view, &request, after);
    } else {
        accounts_reply_fault(ctx, &call, fault, BYTES(""), 0);
    }
    account_view_end(&view);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_grant_command = {
    .name = "QUOTA.GRANT",
    .summary = "Gives an account credits of a resource; replies the credits that are left now and those that paid for "
               "what its cycles were over.",
    .complexity = "O(grants of the resource)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = grant,
    .arguments = grant_arguments,
};

const struct command quota_void_command = {
    .name = "QUOTA.VOID",
    .summary = "Ends a grant; replies the units taken out. What is held or spent stays.",
    .complexity = "O(grants of the resource)",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = void_grant,
    .arguments = void_arguments,
};

const struct command quota_grants_command = {
    .name = "QUOTA.GRANTS",
    .summary = "Lists the grants of an account by pages, in the order in which they were given; replies a cursor and "
               "the page.",
    .complexity = "O(grants)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .key_flags = KEY_READ,
    .handler = list_grants,
    .arguments = grants_arguments,
};

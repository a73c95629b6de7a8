/* QUOTA.APIKEY: the API keys of an account. The caller makes a key and sends its SHA-256 alone.
 *
 *     QUOTA.APIKEY SET account digest [NAME t] [EXPIRES i] [SCOPES n s [s ...]] [RATE rule ...] [REASON text]      OK
 *     QUOTA.APIKEY ROTATE account old new [GRACE d] [REASON text]            when the old one ends, in Unix ms
 *     QUOTA.APIKEY REVOKE account digest [REASON text]                       1, or 0 where no key lived
 *     QUOTA.APIKEY VERIFY account digest [SCOPE s]                           OK
 *     QUOTA.APIKEY LIST account [COUNT n] [AFTER cursor]                     keys by pages, the first made first
 *
 * Parse, open, decide, commit, reply: the decisions are quota/decide/api_key.h. */
#include "accounts.h"
#include "actor.h"
#include "api_key_argument.h"
#include "command.h"
#include "entitlement_argument.h"
#include "moment_argument.h"
#include "page.h"
#include "quota/account/entitlement_codec.h"
#include "quota/base/checked.h"
#include "quota/time/calendar.h"
#include "quota/time/duration.h"
#include "reply.h"
#include <stdio.h>

struct apikey_input {
    struct bytes digits, other, name, expires, scope, reason;
    int64_t grace_us;
    struct keys_argument scopes;
    struct entitlement_argument rates;
    struct page_argument page;
};

#define REASON_ROW                                                                                                     \
    FIELD(ARGUMENT_TEXT, "reason", "REASON", struct apikey_input, reason, 0, 0, ARGUMENT_OPTIONAL,                     \
          "Why, for the audit trail; at most 256 bytes.")
#define DIGEST_ROW                                                                                                     \
    FIELD(ARGUMENT_TEXT, "digest", NULL, struct apikey_input, digits, 0, 0, 0,                                         \
          "The SHA-256 of the key, 64 hexadecimal digits.")
#define ACCOUNT_ROW KEY("account", "The customer's account.")

static bool reason_fits_or_reply(RedisModuleCtx *ctx, const struct apikey_input *input)
{
    if (input->reason.size <= REASON_BYTES_MAX) return true;
    reply_error(ctx, "ERR reason has more than %d bytes", REASON_BYTES_MAX);
    return false;
}

/* Commits, replies and frees; `reply` is called where nothing was wrong. */
static int finish(RedisModuleCtx *ctx, struct account_call *call, struct actor *actor,
                  void (*reply)(RedisModuleCtx *ctx, const struct account_decision *decision))
{
    if (accounts_commit_or_reply(ctx, call)) reply(ctx, &call->decision);
    actor_forget(ctx, actor);
    accounts_end(call);
    return REDISMODULE_OK;
}

static void reply_ok(RedisModuleCtx *ctx, const struct account_decision *decision)
{
    (void)decision;
    RedisModule_ReplyWithSimpleString(ctx, "OK");
}

/* ---- SET ------------------------------------------------------------------------------------------------- */

static const struct argument scopes_rows[] = {
    FIELD(ARGUMENT_INTEGER, "numscopes", NULL, struct apikey_input, scopes.count, 1, API_KEY_SCOPES_MAX, 0,
          "How many scopes follow, 1 to 64."),
    {.kind = ARGUMENT_WORDS,
     .name = "scope",
     .offset = offsetof(struct apikey_input, scopes),
     .summary = "What the key may be used for, each 1 to 128 bytes; a key without SCOPES may be used for everything."},
    {0},
};

static const struct argument set_arguments[] = {
    ACCOUNT_ROW,
    DIGEST_ROW,
    FIELD(ARGUMENT_TEXT, "name", "NAME", struct apikey_input, name, 0, 0, ARGUMENT_OPTIONAL,
          "What the key is called, at most 128 bytes."),
    FIELD(ARGUMENT_TEXT, "expires", "EXPIRES", struct apikey_input, expires, 0, 0, ARGUMENT_OPTIONAL,
          "When it ends: an instant, or a duration (90d) or calendar period (3month) from now on."),
    {.kind = ARGUMENT_GROUP,
     .name = "scopes",
     .token = "SCOPES",
     .flags = ARGUMENT_OPTIONAL,
     .rows = scopes_rows,
     .summary = "What the key may be used for."},
    {.kind = ARGUMENT_EACH,
     .name = "rate",
     .token = "RATE",
     .offset = offsetof(struct apikey_input, rates),
     .flags = ARGUMENT_OPTIONAL,
     .rows = rate_arguments,
     .add = entitlement_add_rate,
     .summary = "A rate limit of this key alone, as in RL.ALLOW; without INITIAL."},
    REASON_ROW,
    {0},
};

static bool scopes_or_reply(RedisModuleCtx *ctx, const struct keys_argument *words, struct sink *scopes)
{
    for (int64_t i = 0; i < words->count; i++) {
        struct bytes scope = string_bytes(words->names[i]);
        if (!accounts_word_or_reply(ctx, "scope", scope, API_KEY_SCOPE_MAX)) return false;
        sink_bytes(scopes, scope);
    }
    return true;
}

static bool rates_or_reply(RedisModuleCtx *ctx, struct entitlement_argument *argument, struct sink *rules)
{
    struct entitlement *entitlement = &argument->entitlement;
    if (entitlement->rules_count == 0) return true;
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        const struct rule *rule = &entitlement->rules[i].rule;
        if (rule->initial == rule->capacity) continue;
        reply_error(ctx, "ERR RATE of an API key takes no INITIAL");
        return false;
    }
    if (!entitlement_finish_or_reply(ctx, argument, BYTES("key"), false)) return false;
    entitlement_encode(entitlement, rules);
    return true;
}

static bool set_request_or_reply(RedisModuleCtx *ctx, struct apikey_input *input, struct api_key_request *request,
                                 struct sink *scopes, struct sink *rules)
{
    if (!reason_fits_or_reply(ctx, input)) return false;
    if (input->name.data && !accounts_word_or_reply(ctx, "name", input->name, API_KEY_NAME_MAX)) return false;
    if (input->expires.data && !moment_expires_or_reply(ctx, input->expires, &request->expires)) return false;
    if (!scopes_or_reply(ctx, &input->scopes, scopes) || !rates_or_reply(ctx, &input->rates, rules)) return false;
    request->name = input->name.data ? input->name : (struct bytes){"", 0};
    request->scopes = sink_content(scopes);
    request->rules = sink_content(rules);
    return true;
}

static void decide_set(RedisModuleCtx *ctx, RedisModuleString *account, const struct api_key_request *request,
                       struct bytes reason)
{
    struct account_call call;
    if (!accounts_begin_or_reply(ctx, account, true, &call)) return;
    struct actor actor = actor_of(ctx);
    struct admin_action action = {.now_us = call.now_us, .actor = actor.name, .reason = reason};
    api_key_set_decide(account_of(&call), &call.host, request, &action, &call.decision);
    (void)finish(ctx, &call, &actor, reply_ok);
}

static int set(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct apikey_input input = {.scopes = {.count = 0}};
    char digest[API_KEY_DIGEST_BYTES];
    struct sink scopes = {0}, rules = {0};
    struct api_key_request request = {.expires = {.kind = MOMENT_NONE}};

    entitlement_argument_begin(&input.rates);
    if (!arguments_parse_or_reply(ctx, set_arguments, argv + 1, argc - 1, &input)) return REDISMODULE_OK;
    if (!api_key_digest_or_reply(ctx, "digest", input.digits, digest)) return REDISMODULE_OK;
    request.digest = (struct bytes){digest, sizeof(digest)};
    if (set_request_or_reply(ctx, &input, &request, &scopes, &rules)) decide_set(ctx, argv[2], &request, input.reason);
    sink_free(&scopes);
    sink_free(&rules);
    return REDISMODULE_OK;
}

/* ---- ROTATE, REVOKE, VERIFY ------------------------------------------------------------------------------ */

static const struct argument rotate_arguments[] = {
    ACCOUNT_ROW,
    FIELD(ARGUMENT_TEXT, "old", NULL, struct apikey_input, digits, 0, 0, 0,
          "The digest of the key that goes, or its first 8 digits or more."),
    FIELD(ARGUMENT_TEXT, "new", NULL, struct apikey_input, other, 0, 0, 0,
          "The digest of the key that takes its place, 64 hexadecimal digits."),
    FIELD(ARGUMENT_DURATION, "grace", "GRACE", struct apikey_input, grace_us, 0, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "How long the old one lives on, if it does not expire before (default 0)."),
    REASON_ROW,
    {0},
};

static void reply_ends(RedisModuleCtx *ctx, const struct account_decision *decision)
{
    RedisModule_ReplyWithLongLong(ctx, millis_floor(decision->result.expires_us));
}

static int rotate(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct apikey_input input = {.grace_us = 0};
    char digest[API_KEY_DIGEST_BYTES];
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, rotate_arguments, argv + 1, argc - 1, &input)) return REDISMODULE_OK;
    if (!api_key_digits_or_reply(ctx, "old", input.digits)) return REDISMODULE_OK;
    if (!api_key_digest_or_reply(ctx, "new", input.other, digest)) return REDISMODULE_OK;
    if (!reason_fits_or_reply(ctx, &input)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[2], true, &call)) return REDISMODULE_OK;
    struct actor actor = actor_of(ctx);
    struct admin_action action = {.now_us = call.now_us, .actor = actor.name, .reason = input.reason};
    api_key_rotate_decide(account_of(&call), &call.host, input.digits, (struct bytes){digest, sizeof(digest)},
                          input.grace_us, &action, &call.decision);
    return finish(ctx, &call, &actor, reply_ends);
}

static const struct argument revoke_arguments[] = {
    ACCOUNT_ROW,
    FIELD(ARGUMENT_TEXT, "digest", NULL, struct apikey_input, digits, 0, 0, 0,
          "The digest of the key, or its first 8 digits or more."),
    REASON_ROW,
    {0},
};

static void reply_revoked(RedisModuleCtx *ctx, const struct account_decision *decision)
{
    RedisModule_ReplyWithLongLong(ctx, decision->result.revoked);
}

static int revoke(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct apikey_input input = {.grace_us = 0};
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, revoke_arguments, argv + 1, argc - 1, &input)) return REDISMODULE_OK;
    if (!api_key_digits_or_reply(ctx, "digest", input.digits)) return REDISMODULE_OK;
    if (!reason_fits_or_reply(ctx, &input)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[2], true, &call)) return REDISMODULE_OK;
    struct actor actor = actor_of(ctx);
    struct admin_action action = {.now_us = call.now_us, .actor = actor.name, .reason = input.reason};
    api_key_revoke_decide(account_of(&call), &call.host, input.digits, &action, &call.decision);
    return finish(ctx, &call, &actor, reply_revoked);
}

static const struct argument verify_arguments[] = {
    ACCOUNT_ROW,
    DIGEST_ROW,
    FIELD(ARGUMENT_TEXT, "scope", "SCOPE", struct apikey_input, scope, 0, 0, ARGUMENT_OPTIONAL,
          "A scope that it needs to have."),
    {0},
};

static int verify(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct apikey_input input = {.grace_us = 0};
    char digest[API_KEY_DIGEST_BYTES];
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, verify_arguments, argv + 1, argc - 1, &input)) return REDISMODULE_OK;
    if (!api_key_digest_or_reply(ctx, "digest", input.digits, digest)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[2], false, &call)) return REDISMODULE_OK;
    struct api_key_claim claim = {.digest = {digest, sizeof(digest)}, .scope = {"", 0}};
    if (input.scope.data) claim.scope = input.scope;
    api_key_verify_decide(account_of(&call), &call.host, &claim, call.now_us, &call.decision);
    if (accounts_commit_or_reply(ctx, &call)) RedisModule_ReplyWithSimpleString(ctx, "OK");
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- LIST ------------------------------------------------------------------------------------------------ */

static const struct argument list_arguments[] = {ACCOUNT_ROW, PAGE_ROWS(struct apikey_input, page), {0}};

static void reply_id(RedisModuleCtx *ctx, struct bytes digest)
{
    char id[9];
    (void)snprintf(id, sizeof(id), "%02x%02x%02x%02x", (unsigned char)digest.data[0], (unsigned char)digest.data[1],
                   (unsigned char)digest.data[2], (unsigned char)digest.data[3]);
    reply_field_text(ctx, "id", (struct bytes){id, 8});
}

/* Null: all of them. */
static void reply_scopes(RedisModuleCtx *ctx, struct bytes scopes)
{
    struct cursor cursor = cursor_init(scopes);
    struct bytes scope;
    long count = 0;
    reply_field_name(ctx, "scopes");
    if (scopes.size == 0) {
        RedisModule_ReplyWithNull(ctx);
        return;
    }
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    for (; scope_next(&cursor, &scope); count++) RedisModule_ReplyWithStringBuffer(ctx, scope.data, scope.size);
    RedisModule_ReplySetArrayLength(ctx, count);
}

static void reply_rates(RedisModuleCtx *ctx, struct bytes rules)
{
    struct entitlement entitlement = entitlement_none(BYTES("key"));
    struct cursor cursor = cursor_init(rules);
    if (rules.size > 0) entitlement_decode(&cursor, &entitlement);
    reply_field_name(ctx, "rates");
    RedisModule_ReplyWithArray(ctx, entitlement.rules_count);
    for (uint32_t i = 0; i < entitlement.rules_count; i++) {
        struct sink text = {0};
        (void)entitlement_write(&entitlement, i, &text);
        RedisModule_ReplyWithStringBuffer(ctx, text.data, text.size);
        sink_free(&text);
    }
}

static const char *state_of(const struct api_key *key, int64_t now_us)
{
    if (now_us < api_key_ends_us(key)) return key->end == API_KEY_ROTATED ? "rotating" : "active";
    if (key->end == API_KEY_LIVES || key->ended_us > now_us) return "expired";
    return key->end == API_KEY_REVOKED ? "revoked" : "rotated";
}

static void reply_key(RedisModuleCtx *ctx, const struct api_key *key, int64_t now_us)
{
    const char *state = state_of(key, now_us);
    int64_t ends_us = api_key_ends_us(key);
    RedisModule_ReplyWithMap(ctx, 8);
    reply_id(ctx, key->digest);
    reply_field_text(ctx, "name", key->name);
    reply_scopes(ctx, key->scopes);
    reply_rates(ctx, key->rules);
    reply_field_integer(ctx, "created", millis_floor(key->created_us));
    reply_field_integer(ctx, "expires", ends_us >= INSTANT_MAX_US ? -1 : millis_floor(ends_us));
    reply_field_integer(ctx, "used", key->used_us > 0 ? millis_floor(key->used_us) : -1);
    reply_field_text(ctx, "state", (struct bytes){state, strlen(state)});
}

/* The cursor is the number of the last key shown. */
static void reply_keys(RedisModuleCtx *ctx, const struct api_keys *keys, int64_t after, int64_t most, int64_t now_us)
{
    char text[32];
    struct sink cursor = sink_init(text, sizeof(text));
    uint32_t first = 0, end;
    while (first < keys->count && keys->by_number[first]->key.number <= after) first++;
    end = (uint32_t)min_i64(keys->count, first + most);
    if (end < keys->count) sink_decimal(&cursor, keys->by_number[end - 1]->key.number);
    page_reply_head(ctx, end < keys->count ? sink_content(&cursor) : (struct bytes){NULL, 0}, end - first);
    for (uint32_t i = first; i < end; i++) reply_key(ctx, &keys->by_number[i]->key, now_us);
}

static int list(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct apikey_input input = {.page = PAGE_ARGUMENT_DEFAULT};
    struct account_call call;
    int64_t after = 0;

    if (!arguments_parse_or_reply(ctx, list_arguments, argv + 1, argc - 1, &input)) return REDISMODULE_OK;
    if (input.page.after.data && !bytes_integer(input.page.after, &after)) {
        return reply_error(ctx, "ERR after '%s' is not a cursor that QUOTA.APIKEY LIST replied",
                           printable(input.page.after).text);
    }
    if (!accounts_begin_or_reply(ctx, argv[2], false, &call)) return REDISMODULE_OK;
    const struct account *account = account_of(&call);
    if (account) {
        int64_t now_us = max_i64(call.now_us, account->applied_at_us);
        reply_keys(ctx, account_api_keys(account), after, input.page.count, now_us);
    } else {
        accounts_reply_fault(ctx, &call, ACCOUNT_FAULT_MISSING, BYTES(""), 0);
    }
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_apikey_command = {
    .name = "QUOTA.APIKEY",
    .summary = "The API keys of an account.",
    .complexity = "Depends on the subcommand.",
    .since = "1.0.0",
    .flags = "",
};

#define APIKEY_SUBCOMMAND(variable_, name_, summary_, complexity_, flags_, categories_, key_flags_, handler_,          \
                          arguments_)                                                                                  \
    const struct command variable_ = {                                                                                 \
        .name = (name_),                                                                                               \
        .summary = (summary_),                                                                                         \
        .complexity = (complexity_),                                                                                   \
        .since = "1.0.0",                                                                                              \
        .flags = (flags_),                                                                                             \
        .categories = (categories_),                                                                                   \
        .key_flags = (key_flags_),                                                                                     \
        .handler = (handler_),                                                                                         \
        .arguments = (arguments_),                                                                                     \
    }

APIKEY_SUBCOMMAND(quota_apikey_set_command, "QUOTA.APIKEY|SET",
                  "Makes an API key of an account, by its SHA-256, or gives a live one other settings; replies OK.",
                  "O(keys)", "write fast", "write fast", KEY_WRITE, set, set_arguments);
APIKEY_SUBCOMMAND(quota_apikey_rotate_command, "QUOTA.APIKEY|ROTATE",
                  "A new API key takes the place of an old one and inherits all of it; replies when the old one ends, "
                  "in Unix ms.",
                  "O(keys)", "write fast", "write fast", KEY_WRITE, rotate, rotate_arguments);
APIKEY_SUBCOMMAND(quota_apikey_revoke_command, "QUOTA.APIKEY|REVOKE",
                  "Ends an API key; replies 1, or 0 where none of that name lived.", "O(keys)", "write fast",
                  "write fast", KEY_WRITE, revoke, revoke_arguments);
APIKEY_SUBCOMMAND(quota_apikey_verify_command, "QUOTA.APIKEY|VERIFY",
                  "Says whether an API key lives and has a scope; replies OK, or the error NOKEY or NOSCOPE.", "O(1)",
                  "readonly fast", "read fast", KEY_READ, verify, verify_arguments);
APIKEY_SUBCOMMAND(quota_apikey_list_command, "QUOTA.APIKEY|LIST",
                  "Lists the API keys of an account by pages, the first made first; replies a cursor and the page.",
                  "O(keys)", "readonly", "read slow", KEY_READ, list, list_arguments);

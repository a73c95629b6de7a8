/* QUOTA.VIOLATIONS: why was it denied? What this server has refused lately, by key, resource and rule.
 *
 *     QUOTA.VIOLATIONS [COUNT n] [MATCH pattern] [FROM instant]     array of maps, the latest first
 *     QUOTA.VIOLATIONS RESET                                        OK: there are none
 *
 * It shows the keys of every account, so it is in @admin. Counting them is violations.h. */
#include "command.h"
#include "page.h"
#include "quota/base/glob.h"
#include "quota/rate/verdict.h"
#include "reply.h"
#include "violations.h"

struct violations_request {
    int64_t count, from_us, resets;
    struct bytes pattern; /* no data = every key */
};

static const struct argument violations_arguments[] = {
    FIELD(ARGUMENT_INTEGER, "count", "COUNT", struct violations_request, count, 1, PAGE_COUNT_MAX, ARGUMENT_OPTIONAL,
          "How many at most, 1 to 1000 (default 100)."),
    FIELD(ARGUMENT_TEXT, "pattern", "MATCH", struct violations_request, pattern, 0, 0, ARGUMENT_OPTIONAL,
          "Only those of keys that fit this pattern, as KEYS takes it."),
    FIELD(ARGUMENT_INSTANT, "from", "FROM", struct violations_request, from_us, 0, INSTANT_MAX_US, ARGUMENT_OPTIONAL,
          "Only those whose last denial was at this instant or later."),
    {.kind = ARGUMENT_FLAG,
     .name = "reset",
     .token = "RESET",
     .offset = offsetof(struct violations_request, resets),
     .lowest = 1,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "Instead: forget all of them."},
    {0},
};

static void reply_entry(RedisModuleCtx *ctx, const struct violation_entry *entry)
{
    RedisModule_ReplyWithMap(ctx, 12);
    reply_field_text(ctx, "kind", (struct bytes){entry->kind, strlen(entry->kind)});
    reply_field_text(ctx, "key", entry->key);
    reply_field_text(ctx, "resource", entry->resource);
    reply_field_integer(ctx, "rule", entry->rule);
    reply_field_text(ctx, "text", entry->text);
    reply_field_integer(ctx, "count", entry->count);
    reply_field_integer(ctx, "cost", entry->cost);
    reply_field_integer(ctx, "first", millis_floor(entry->first_us));
    reply_field_integer(ctx, "last", millis_floor(entry->last_us));
    reply_field_integer(ctx, "wait_ms", millis_ceil(entry->wait_us));
    reply_field_text(ctx, "actor", entry->actor);
    reply_field_integer(ctx, "db", entry->database);
}

struct listing {
    RedisModuleCtx *ctx;
    const struct violations_request *request;
    int64_t replied;
};

/* A clock that was put back leaves later instants behind earlier ones, so none of them ends the list. */
static bool reply_if_wanted(const struct violation_entry *entry, void *context)
{
    struct listing *listing = context;
    const struct violations_request *request = listing->request;
    if (entry->last_us < request->from_us) return true;
    if (request->pattern.data && !glob_matches(request->pattern, entry->key)) return true;
    reply_entry(listing->ctx, entry);
    return ++listing->replied < request->count;
}

static int violations(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct violations_request request = {.count = PAGE_COUNT_DEFAULT};

    if (!arguments_parse_or_reply(ctx, violations_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (request.resets && argc > 2) return reply_error(ctx, "ERR RESET goes with nothing else");
    if (request.resets) {
        violations_reset();
        return RedisModule_ReplyWithSimpleString(ctx, "OK");
    }
    struct listing listing = {.ctx = ctx, .request = &request};
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    violations_each(reply_if_wanted, &listing);
    RedisModule_ReplySetArrayLength(ctx, listing.replied);
    return REDISMODULE_OK;
}

const struct command quota_violations_command = {
    .name = "QUOTA.VIOLATIONS",
    .summary = "Lists what this server has refused lately, by key, resource and rule, the latest first; replies an "
               "array of maps. With RESET it forgets that and replies OK.",
    .complexity = "O(entries that are looked at), at most quota.violations-max",
    .since = "1.0.0",
    .flags = "admin allow-stale",
    .categories = "admin dangerous slow",
    .handler = violations,
    .arguments = violations_arguments,
};

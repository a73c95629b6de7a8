/* QUOTA.EVENTS: what happened on this primary, in order, for as long as it is kept.
 *
 *     QUOTA.EVENTS READ [AFTER id] [COUNT n] [WAIT duration] [ACCOUNT a] [TYPE pattern]     array of [id, map]
 *     QUOTA.EVENTS INFO                                                                     map
 *     QUOTA.EVENTS HELP
 *
 * It shows every account, so it is in @admin. The log is event_log.h, clients that wait are event_readers.h. */
#include "command.h"
#include "event_readers.h"
#include "page.h"
#include "quota/base/checked.h"
#include "quota/time/duration.h"
#include "reply.h"
#include <stdio.h>

/* ---- READ ------------------------------------------------------------------------------------------------ */

struct read_request {
    struct bytes after, account, types;
    int64_t count, wait_us;
};

static const struct argument read_arguments[] = {
    FIELD(ARGUMENT_TEXT, "id", "AFTER", struct read_request, after, 0, 0, ARGUMENT_OPTIONAL,
          "The id of the last event that was read; 0-0 = from the oldest on (default), $ = what comes from now on."),
    FIELD(ARGUMENT_INTEGER, "count", "COUNT", struct read_request, count, 1, PAGE_COUNT_MAX, ARGUMENT_OPTIONAL,
          "How many at most, 1 to 1000 (default 100)."),
    FIELD(ARGUMENT_DURATION, "wait", "WAIT", struct read_request, wait_us, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "Where there is none yet, wait for one at most so long, 1us or more."),
    FIELD(ARGUMENT_TEXT, "account", "ACCOUNT", struct read_request, account, 0, 0, ARGUMENT_OPTIONAL,
          "Only events of the account with this key."),
    FIELD(ARGUMENT_TEXT, "pattern", "TYPE", struct read_request, types, 0, 0, ARGUMENT_OPTIONAL,
          "Only events whose type fits this pattern, as KEYS takes it: quota.limit.*"),
    {0},
};

/* `<epoch>-<sequence>`, both in decimal. */
static bool id_parse(struct bytes text, struct event_id *id)
{
    const char *dash = text.size > 0 ? memchr(text.data, '-', text.size) : NULL;
    if (!dash) return false;
    struct bytes epoch = {text.data, (size_t)(dash - text.data)};
    struct bytes sequence = {dash + 1, text.size - epoch.size - 1};
    return bytes_integer(epoch, &id->epoch) && bytes_integer(sequence, &id->sequence) && id->epoch >= 0 &&
           id->sequence >= 0;
}

static int read_events(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct read_request request = {.count = PAGE_COUNT_DEFAULT};
    struct event_query query = {.after = {0, 0}};

    if (!arguments_parse_or_reply(ctx, read_arguments, argv + 1, argc - 1, &request)) return REDISMODULE_OK;
    if (request.after.data && bytes_equal(request.after, BYTES("$"))) {
        query.after = event_log_last();
    } else if (request.after.data && !id_parse(request.after, &query.after)) {
        return reply_error(ctx, "ERR after '%s' is no id: <epoch>-<sequence> as READ replies it, 0-0 or $",
                           printable(request.after).text);
    }
    query.count = request.count;
    query.wait_us = request.wait_us;
    query.account = request.account;
    query.types = request.types;
    event_readers_reply(ctx, &query);
    return REDISMODULE_OK;
}

/* ---- INFO ------------------------------------------------------------------------------------------------ */

static const struct argument no_arguments[] = {{0}};

static void reply_id_field(RedisModuleCtx *ctx, const char *name, struct event_id id)
{
    char text[48];
    int size = snprintf(text, sizeof(text), "%lld-%lld", (long long)id.epoch, (long long)id.sequence);
    reply_field_text(ctx, name, (struct bytes){text, (size_t)size});
}

static int info(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (!arguments_parse_or_reply(ctx, no_arguments, argv + 1, argc - 1, NULL)) return REDISMODULE_OK;
    struct event_log_facts facts = event_log_facts(ctx);
    RedisModule_ReplyWithMap(ctx, 6);
    reply_id_field(ctx, "first", facts.first);
    reply_id_field(ctx, "last", facts.last);
    reply_field_integer(ctx, "entries", facts.entries);
    reply_field_integer(ctx, "bytes", facts.bytes);
    reply_field_integer(ctx, "dropped", facts.dropped);
    reply_field_integer(ctx, "epoch", facts.epoch);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_events_command = {
    .name = "QUOTA.EVENTS",
    .summary = "The event log: what happened on this primary.",
    .complexity = "Depends on the subcommand.",
    .since = "1.0.0",
    .flags = "",
};

const struct command quota_events_read_command = {
    .name = "QUOTA.EVENTS|READ",
    .summary = "Reads events behind an id, or waits for the next one; replies an array of pairs, an id and a map.",
    .complexity = "O(log entries + count); with ACCOUNT or TYPE O(entries that are looked at)",
    .since = "1.0.0",
    .flags = "admin blocking",
    .categories = "admin dangerous slow blocking",
    .handler = read_events,
    .arguments = read_arguments,
};

const struct command quota_events_info_command = {
    .name = "QUOTA.EVENTS|INFO",
    .summary = "Shows how long the event log reaches back, how large it is, and its epoch; replies a map.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "admin allow-stale",
    .categories = "admin dangerous slow",
    .handler = info,
    .arguments = no_arguments,
};

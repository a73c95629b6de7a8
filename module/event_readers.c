/* Blocked clients in a list, and events as maps; see event_readers.h. */
#include "event_readers.h"
#include "clock.h"
#include "quota/base/checked.h"
#include "quota/base/glob.h"
#include "quota/base/memory.h"
#include "quota/time/duration.h"
#include "quota/time/period.h"
#include "reply.h"
#include "wait_timer.h"
#include "waiting.h"
#include <stdio.h>

struct reader {
    struct event_query query; /* its spans stand behind it */
    RedisModuleBlockedClient *client;
    int64_t until_us;
    bool wanted; /* something came for it: it will be called */
    bool called; /* its reply is on its way */
    struct wait_timer timeout;
    struct reader *before, *behind;
    char bytes[];
};

static struct reader *first_reader;
static int64_t readers_count;
static RedisModuleCtx *home; /* for timers */

/* ---- an event as a map ----------------------------------------------------------------------------------- */

/* In the order in which they are shown. */
static const struct {
    enum event_field field;
    const char *name;
} shown[] = {
    {EVENT_PLAN, "plan"},           {EVENT_RESOURCE, "resource"},
    {EVENT_RULE, "rule"},           {EVENT_PERIOD, "period"},
    {EVENT_START, "start"},         {EVENT_END, "end"},
    {EVENT_LIMIT, "limit"},         {EVENT_USED, "used"},
    {EVENT_REMAINING, "remaining"}, {EVENT_AMOUNT, "amount"},
    {EVENT_PERCENT, "percent"},     {EVENT_ACTOR, "actor"},
    {EVENT_REASON, "reason"},       {EVENT_ID, "id"},
    {EVENT_BEFORE, "before"},       {EVENT_AFTER, "after"},
};

/* A period by its word, a threshold as it is written in a plan. */
static void reply_field(RedisModuleCtx *ctx, const struct logged_event *event, enum event_field field, const char *name)
{
    char stack_buffer[64];
    struct period period;
    struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
    if (field >= EVENT_NUMBERS) {
        reply_field_text(ctx, name, event->texts[field - EVENT_NUMBERS]);
    } else if (field == EVENT_PERIOD && period_from_code((uint64_t)event->numbers[field], &period)) {
        period_write(&period, &text);
        reply_field_text(ctx, name, sink_content(&text));
    } else if (field == EVENT_PERCENT) {
        sink_percent(&text, event->numbers[field]);
        reply_field_text(ctx, name, sink_content(&text));
    } else {
        reply_field_integer(ctx, name, event->numbers[field]);
    }
    sink_free(&text);
}

static void reply_id(RedisModuleCtx *ctx, struct event_id id)
{
    char text[48];
    int size = snprintf(text, sizeof(text), "%lld-%lld", (long long)id.epoch, (long long)id.sequence);
    RedisModule_ReplyWithStringBuffer(ctx, text, (size_t)size);
}

static void reply_head(RedisModuleCtx *ctx, struct event_id id, const char *type, int64_t time_us, long fields)
{
    RedisModule_ReplyWithArray(ctx, 2);
    reply_id(ctx, id);
    RedisModule_ReplyWithMap(ctx, 2 + fields);
    reply_field_text(ctx, "type", (struct bytes){type, strlen(type)});
    reply_field_integer(ctx, "time", millis_floor(time_us));
}

static void reply_entry(RedisModuleCtx *ctx, const struct event_entry *entry)
{
    struct logged_event event;
    if (!event_decode(event_entry_event(entry), &event)) return; /* what the log has was decoded before */
    bool has_key = entry->database >= 0;
    reply_head(ctx, entry->id, event_type_name(event.type), event.time_us,
               __builtin_popcount(event.fields) + (has_key ? 2 : 0));
    if (has_key) reply_field_integer(ctx, "db", entry->database);
    if (has_key) reply_field_text(ctx, "account", event_entry_name(entry));
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        if (event.fields >> shown[i].field & 1) reply_field(ctx, &event, shown[i].field, shown[i].name);
    }
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct event_query *query, const struct event_entry *entry)
{
    bool of_account =
        !query->account.data || (entry->database >= 0 && bytes_equal(query->account, event_entry_name(entry)));
    if (!of_account || !query->types.data) return of_account;
    const char *type = event_type_name((enum event_type)event_entry_event(entry).data[0]);
    return glob_matches(query->types, (struct bytes){type, strlen(type)});
}

/* What a reader has missed is said first, whatever it wants: it may have been that. */
static bool reply_if_missed(RedisModuleCtx *ctx, const struct event_query *query)
{
    struct event_log_facts facts = event_log_facts(ctx);
    if (facts.dropped == 0 || event_id_compare(query->after, facts.last_dropped) >= 0) return false;
    reply_head(ctx, facts.last_dropped, "quota.log.truncated", facts.last_dropped_us, 1);
    reply_field_integer(ctx, "lost", max_i64(facts.last_dropped.sequence - query->after.sequence, 1));
    return true;
}

/* Answers how many; where there are none nothing is replied unless `empty`. */
static int64_t reply_found(RedisModuleCtx *ctx, const struct event_query *query, bool empty)
{
    struct event_log_facts facts = event_log_facts(ctx);
    bool missed = facts.dropped > 0 && event_id_compare(query->after, facts.last_dropped) < 0;
    uint32_t place = event_log_place(query->after);
    const struct event_entry *entry = event_log_at(place);
    while (entry && !is_wanted(query, entry)) entry = event_log_at(++place);
    if (!entry && !missed && !empty) return 0;
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    int64_t count = reply_if_missed(ctx, query);
    for (; entry && count < query->count; entry = event_log_at(++place)) {
        if (!is_wanted(query, entry)) continue;
        reply_entry(ctx, entry);
        count++;
    }
    RedisModule_ReplySetArrayLength(ctx, count);
    return count;
}

/* ---- waiting --------------------------------------------------------------------------------------------- */

static void forget(struct reader *reader)
{
    wait_timer_stop(home, &reader->timeout);
    *(reader->before ? &reader->before->behind : &first_reader) = reader->behind;
    if (reader->behind) reader->behind->before = reader->before;
    readers_count--;
    memory_free(reader);
}

static struct reader *reader_of(const RedisModuleBlockedClient *client)
{
    struct reader *reader = first_reader;
    while (reader && reader->client != client) reader = reader->behind;
    return reader;
}

static void call(struct reader *reader)
{
    if (reader->called) return;
    reader->called = true;
    RedisModule_UnblockClient(reader->client, NULL);
}

/* Something came that it wants, or its time is over. */
static int reply_to_reader(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct reader *reader = reader_of(RedisModule_GetBlockedClientHandle(ctx));
    (void)argv;
    (void)argc;
    if (!reader) return RedisModule_ReplyWithEmptyArray(ctx);
    reply_found(ctx, &reader->query, true);
    call(reader); /* by CLIENT UNBLOCK: the server frees its own part once it is called for */
    forget(reader);
    return REDISMODULE_OK;
}

/* The server frees its own part of a client that has left once it is called for, too. */
static void client_gone(RedisModuleCtx *ctx, RedisModuleBlockedClient *client)
{
    struct reader *reader = reader_of(client);
    (void)ctx;
    if (!reader) return;
    call(reader);
    forget(reader);
}

static void moment_came(RedisModuleCtx *ctx, void *reader)
{
    (void)ctx;
    call(reader);
}

/* From a command a reader is called through its timer, at the end of this pass of the event loop: Redis 7.2 and Valkey
 * end themselves where CLIENT UNBLOCK meets a client that was called earlier in the same pass. */
static void call_soon(struct reader *reader)
{
    if (reader->wanted) return;
    reader->wanted = true;
    wait_timer_set_real(home, &reader->timeout, 0);
}

static struct bytes put_bytes(char **at, struct bytes bytes)
{
    char *copy = *at;
    if (!bytes.data) return bytes;
    memcpy(copy, bytes.data, bytes.size);
    *at += bytes.size;
    return (struct bytes){copy, bytes.size};
}

static void begin_waiting(RedisModuleCtx *ctx, const struct event_query *query)
{
    struct reader *reader = memory_alloc(sizeof(*reader) + query->account.size + query->types.size + 1);
    char *at = reader->bytes;
    *reader = (struct reader){.query = *query, .behind = first_reader};
    reader->query.account = put_bytes(&at, query->account);
    reader->query.types = put_bytes(&at, query->types);
    if (!add_checked(clock_now_us(), query->wait_us, &reader->until_us)) reader->until_us = INT64_MAX;
    reader->client = RedisModule_BlockClient(ctx, reply_to_reader, reply_to_reader, NULL, 0);
    reader->timeout = (struct wait_timer){.due = moment_came, .data = reader};
    if (!home) home = RedisModule_GetDetachedThreadSafeContext(ctx);
    wait_timer_set_real(home, &reader->timeout, millis_ceil(query->wait_us));
    RedisModule_SetDisconnectCallback(reader->client, client_gone);
    if (first_reader) first_reader->before = reader;
    first_reader = reader;
    readers_count++;
}

static void entry_came(const struct event_entry *entry)
{
    for (struct reader *reader = first_reader; reader; reader = reader->behind) {
        if (!reader->wanted && is_wanted(&reader->query, entry)) call_soon(reader);
    }
}

void event_readers_reply(RedisModuleCtx *ctx, const struct event_query *query)
{
    bool waits = query->wait_us > 0 && waiting_is_possible(ctx);
    if (reply_found(ctx, query, !waits) == 0 && waits) begin_waiting(ctx, query);
}

int64_t event_readers_waiting(void)
{
    return readers_count;
}

void event_readers_clock_moved(void)
{
    int64_t now_us = clock_now_us();
    for (struct reader *reader = first_reader; reader; reader = reader->behind) {
        if (reader->until_us <= now_us) call_soon(reader);
    }
}

void event_readers_register(void)
{
    event_log_listen(entry_came);
}

/* Lines of blocked clients, one per key and kind, called one by one; see waiting.h. */
#include "waiting.h"
#include "clock.h"
#include "quota/base/buffer.h"
#include "quota/base/memory.h"
#include "quota/time/duration.h"
#include "reply.h"

#define NAME_BYTES_USUAL 256
#define TIMEOUT_SLACK_MS 2 /* timers count whole ms: a moment that comes as the time ends is to come first */

static struct hash_index lines;
static struct line *first_line, *ready_lines;
static int64_t waiters_count;
static bool serving;         /* wake runs */
static RedisModuleCtx *home; /* for timers, where no other context is at hand */

static void wake(RedisModuleCtx *ctx, void *unused);
static void line_due(RedisModuleCtx *ctx, void *data);
static struct wait_timer waking = {.due = wake};

/* ---- lines ----------------------------------------------------------------------------------------------- */

static struct bytes line_key(const struct hash_link *link)
{
    const struct line *line = HASH_RECORD(link, const struct line, by_key);
    return (struct bytes){line->key, line->key_size};
}

static void write_key(struct sink *key, const struct value_type *value_type, int database, struct bytes name)
{
    sink_raw(key, &value_type->format->kind, sizeof(value_type->format->kind));
    sink_raw(key, &database, sizeof(database));
    sink_raw(key, name.data, name.size);
}

static struct line *line_find(const struct value_type *value_type, int database, struct bytes name)
{
    char stack_buffer[NAME_BYTES_USUAL];
    if (lines.count == 0) return NULL;
    struct sink key = sink_init(stack_buffer, sizeof(stack_buffer));
    write_key(&key, value_type, database, name);
    struct bytes bytes = {key.data, key.size};
    struct hash_link *link = hash_index_find(&lines, bytes, linear_hash(bytes), line_key);
    sink_free(&key);
    return link ? HASH_RECORD(link, struct line, by_key) : NULL;
}

static struct line *line_new(const struct waiting_kind *kind, int database, RedisModuleString *name)
{
    char stack_buffer[NAME_BYTES_USUAL];
    struct sink key = sink_init(stack_buffer, sizeof(stack_buffer));
    write_key(&key, kind->value_type, database, string_bytes(name));
    struct line *line = memory_alloc(kind->line_size + key.size);
    memset(line, 0, kind->line_size);
    line->kind = kind;
    line->name = RedisModule_CreateStringFromString(NULL, name);
    line->database = database;
    line->timer = (struct wait_timer){.due = line_due, .data = line};
    line->key = memcpy((char *)line + kind->line_size, key.data, key.size);
    line->key_size = key.size;
    sink_free(&key);
    hash_index_add(&lines, &line->by_key, linear_hash(line_key(&line->by_key)));
    line->next = first_line;
    if (first_line) first_line->previous = line;
    first_line = line;
    return line;
}

/* Only serve() frees a line, when it finds no client in it. */
static void line_free(struct line *line)
{
    if (line->kind->free_line) line->kind->free_line(line);
    wait_timer_stop(home, &line->timer);
    hash_index_remove(&lines, &line->by_key);
    *(line->previous ? &line->previous->next : &first_line) = line->next;
    if (line->next) line->next->previous = line->previous;
    RedisModule_FreeString(NULL, line->name);
    memory_free(line);
}

static void line_mark(struct line *line)
{
    if (line->ready) return;
    line->ready = true;
    line->next_ready = ready_lines;
    ready_lines = line;
}

void waiting_line_ready(struct line *line)
{
    line_mark(line);
    if (!serving) wait_timer_soon(home, &waking); /* else the loop in wake sees it */
}

static void line_due(RedisModuleCtx *ctx, void *data)
{
    line_mark(data);
    wake(ctx, NULL);
}

/* ---- waiters --------------------------------------------------------------------------------------------- */

static void line_append(struct line *line, struct waiter *waiter)
{
    waiter->line = line;
    waiter->before = line->last;
    if (line->last) line->last->behind = waiter;
    if (!line->first) line->first = waiter;
    line->last = waiter;
    line->units += waiter->units;
    line->count++;
    waiters_count++;
}

/* Out of the line; the record lives on until the server has done with its client. */
static void waiter_leave(struct waiter *waiter, bool admitted)
{
    struct line *line = waiter->line;
    if (!line) return;
    wait_timer_stop(home, &waiter->timeout);
    if (line->kind->left) line->kind->left(line, waiter, admitted);
    if (line->first == waiter) waiting_line_ready(line);
    *(waiter->before ? &waiter->before->behind : &line->first) = waiter->behind;
    *(waiter->behind ? &waiter->behind->before : &line->last) = waiter->before;
    line->units -= waiter->units;
    line->count--;
    waiter->line = NULL;
    waiters_count--;
}

/* A client that is to be closed (its user was deleted, its buffers have outgrown their limit) may be around, blocked as
 * it was, until the pass ends. Such a one must not be admitted: CLIENT LIST shows it by an A among its flags. */
static bool client_is_closing(RedisModuleCtx *ctx)
{
    RedisModuleCallReply *reply =
        RedisModule_Call(ctx, "CLIENT", "ccl", "LIST", "ID", (long long)RedisModule_GetClientId(ctx));
    size_t size = 0;
    const char *text = reply ? RedisModule_CallReplyStringPtr(reply, &size) : NULL;
    struct bytes rest = {text, text ? size : 0};
    bool closing = rest.size == 0; /* the list does not have it at all */
    for (; rest.size > 7 && memcmp(rest.data, " flags=", 7) != 0; rest.size--) rest.data++;
    for (size_t i = 7; i < rest.size && rest.data[i] != ' '; i++) closing = closing || rest.data[i] == 'A';
    if (reply) RedisModule_FreeCallReply(reply);
    return closing;
}

/* Would the server serve this key now, to a client that did not say ASKING? On a cluster it knows which slots are open
 * or gone. */
static bool key_is_here(int database, RedisModuleString *name)
{
    if (!(RedisModule_GetContextFlags(home) & REDISMODULE_CTX_FLAGS_CLUSTER)) return true;
    RedisModule_SelectDb(home, database);
    RedisModuleCallReply *reply = RedisModule_Call(home, "EXISTS", "s", name);
    bool here = reply && RedisModule_CallReplyType(reply) == REDISMODULE_REPLY_INTEGER;
    if (reply) RedisModule_FreeCallReply(reply);
    return here;
}

bool waiting_key_is_here(RedisModuleCtx *ctx, RedisModuleString *name)
{
    if (!home) home = RedisModule_GetDetachedThreadSafeContext(ctx);
    return key_is_here(RedisModule_GetSelectedDb(ctx), name);
}

bool waiting_key_is_here_or_reply(RedisModuleCtx *ctx, RedisModuleString *name)
{
    bool here = waiting_key_is_here(ctx, name);
    if (!here)
        reply_error(ctx, "TRYAGAIN the key is moving to another node of the cluster, and there is no waiting for it");
    return here;
}

/* Its moment has come, its time is over, or CLIENT UNBLOCK says so. That command must not replicate anything: it would
 * be carried along and unblock a client of a replica. */
static int answer_waiter(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct waiter *waiter = RedisModule_GetBlockedClientPrivateData(ctx);
    struct line *line = waiter->line;
    (void)argc;
    if (!line) return RedisModule_ReplyWithNull(ctx);
    bool is_time = waiter->called || waiter->until_us <= clock_now_us();
    bool may_be_admitted = line->first == waiter && is_time && !wait_timer_writes_are_paused();
    bool admitted = false;
    if (!key_is_here(line->database, line->name)) {
        reply_error(ctx, "UNBLOCKED the key has moved to another node of the cluster, or is moving");
    } else if (!client_is_closing(ctx)) {
        admitted = line->kind->answer(ctx, argv[1], waiter, may_be_admitted);
    }
    waiter_leave(waiter, admitted);
    return REDISMODULE_OK;
}

/* Another module or command signalled the key: the first in line will be called. */
static int keep_waiting(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct waiter *waiter = RedisModule_GetBlockedClientPrivateData(ctx);
    (void)argv;
    (void)argc;
    if (waiter->line) waiting_line_ready(waiter->line);
    return REDISMODULE_ERR;
}

/* At once; waiter_free would come to know it later. */
static void client_gone(RedisModuleCtx *ctx, RedisModuleBlockedClient *client)
{
    (void)client;
    waiter_leave(RedisModule_GetBlockedClientPrivateData(ctx), false);
}

static void waiter_free(RedisModuleCtx *ctx, void *record)
{
    (void)ctx;
    waiter_leave(record, false);
    memory_free(record);
}

static void waiter_call(struct waiter *waiter)
{
    waiter->called = true;
    RedisModule_UnblockClient(waiter->client, waiter);
}

static void time_is_over(RedisModuleCtx *ctx, void *waiter)
{
    (void)ctx;
    if (!((struct waiter *)waiter)->called) waiter_call(waiter);
}

/* ---- serving --------------------------------------------------------------------------------------------- */

/* Under a held clock timeouts by the system's clock mean nothing. */
static void call_those_whose_time_is_over(struct line *line)
{
    int64_t now_us = clock_now_us();
    for (struct waiter *waiter = line->first, *behind; waiter; waiter = behind) {
        behind = waiter->behind;
        if (waiter->until_us <= now_us && !waiter->called) waiter_call(waiter);
    }
}

static void serve(RedisModuleCtx *ctx, struct line *line)
{
    const struct waiting_kind *kind = line->kind;
    int64_t wait_us = 0;
    RedisModule_SelectDb(ctx, line->database);
    bool here = key_is_here(line->database, line->name);
    bool some_are_over = here && kind->prepare && kind->prepare(ctx, line);
    while (line->first && !line->first->called && (wait_us = here ? kind->first_wait_us(ctx, line) : 0) == 0) {
        waiter_call(line->first);
    }
    if (some_are_over || clock_is_frozen()) call_those_whose_time_is_over(line);
    if (line->first && line->first->called) return; /* when it leaves, the line is ready again */
    if (line->first) wait_timer_set(home, &line->timer, wait_us);
    if (!line->first && !line->ready) line_free(line);
}

/* Once per pass of the event loop in which a line became ready. */
static void wake(RedisModuleCtx *ctx, void *unused)
{
    (void)unused;
    serving = true; /* a client that leaves while others are served makes its line ready: this loop sees that */
    while (ready_lines && !wait_timer_writes_are_paused()) {
        struct line *line = ready_lines;
        ready_lines = line->next_ready;
        line->ready = false;
        serve(ctx, line);
    }
    serving = false;
    if (ready_lines) wait_timer_soon(home, &waking);
}

/* ---- what makes lines ready ------------------------------------------------------------------------------ */

static void line_changed(struct line *line, bool gone)
{
    if (line->kind->key_changed) line->kind->key_changed(line, gone);
    waiting_line_ready(line);
}

static void value_changed(const struct value_type *value_type, RedisModuleCtx *ctx, RedisModuleString *name)
{
    struct line *line = line_find(value_type, RedisModule_GetSelectedDb(ctx), string_bytes(name));
    if (line) line_changed(line, false);
}

static void value_unlinked(const struct value_type *value_type, RedisModuleKeyOptCtx *where)
{
    struct bytes name = string_bytes(RedisModule_GetKeyNameFromOptCtx(where));
    struct line *line = line_find(value_type, RedisModule_GetDbIdFromOptCtx(where), name);
    if (line) line_changed(line, true);
}

static void databases_changed(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t what, void *data)
{
    (void)ctx;
    (void)event;
    (void)what;
    (void)data;
    for (struct line *line = first_line; line; line = line->next) line_changed(line, true);
}

void waiting_clock_moved(void)
{
    for (struct line *line = first_line; line; line = line->next) waiting_line_ready(line);
}

void waiting_judge_anew(const struct waiting_kind *kind, bool (*affected)(const struct line *line))
{
    for (struct line *line = first_line; line; line = line->next) {
        if (line->kind == kind && affected(line)) line_changed(line, false);
    }
}

/* ---- beginning ------------------------------------------------------------------------------------------- */

/* A server on which no client ever waits pays nothing. */
static void listen_once(RedisModuleCtx *ctx, struct value_type *value_type)
{
    static bool listening;
    value_type->changed = value_changed;
    value_type->unlinked = value_unlinked;
    if (listening) return;
    listening = true;
    RedisModule_SubscribeToServerEvent(ctx, RedisModuleEvent_FlushDB, databases_changed);
    RedisModule_SubscribeToServerEvent(ctx, RedisModuleEvent_SwapDB, databases_changed);
}

bool waiting_is_possible(RedisModuleCtx *ctx)
{
    int refused = REDISMODULE_CTX_FLAGS_DENY_BLOCKING | REDISMODULE_CTX_FLAGS_REPLICATED;
    return !(RedisModule_GetContextFlags(ctx) & refused);
}

struct line *waiting_find(RedisModuleCtx *ctx, const struct waiting_kind *kind, RedisModuleString *name)
{
    if (lines.count == 0) return NULL;
    return line_find(kind->value_type, RedisModule_GetSelectedDb(ctx), string_bytes(name));
}

struct line *waiting_find_or_begin(RedisModuleCtx *ctx, const struct waiting_kind *kind, RedisModuleString *name)
{
    struct line *line = waiting_find(ctx, kind, name);
    if (line) return line;
    listen_once(ctx, kind->value_type);
    return line_new(kind, RedisModule_GetSelectedDb(ctx), name);
}

void waiting_join(RedisModuleCtx *ctx, struct line *line, struct waiter *waiter, int64_t wait_us)
{
    line_append(line, waiter);
    waiter->client =
        RedisModule_BlockClientOnKeys(ctx, keep_waiting, answer_waiter, waiter_free, 0, &line->name, 1, waiter);
    waiter->timeout = (struct wait_timer){.due = time_is_over, .data = waiter};
    wait_timer_set_real(home, &waiter->timeout, millis_ceil(wait_us) + TIMEOUT_SLACK_MS);
    RedisModule_SetDisconnectCallback(waiter->client, client_gone);
    if (line->first == waiter) waiting_line_ready(line); /* to find out when its moment comes */
}

int64_t waiting_count(void)
{
    return waiters_count;
}

/* Lines of blocked clients, one per key, called one by one; see lease_waiting.h. */
#include "lease_waiting.h"
#include "clock.h"
#include "quota/base/buffer.h"
#include "quota/base/checked.h"
#include "quota/base/hash_index.h"
#include "quota/base/memory.h"
#include "value_type.h"
#include "wait_timer.h"

#define NAME_BYTES_USUAL 256

struct line;

struct waiter {
    struct line *line; /* NULL = has left it */
    struct waiter *before, *behind;
    RedisModuleBlockedClient *client;
    lease_answer *answer;
    struct lease_request request; /* its id points to the bytes below */
    int64_t until_us;             /* by the module's clock */
    bool called;                  /* its answer is on its way */
    char id[];
};

/* All clients that wait on one key. Freed by serve() alone, when it finds none in it. */
struct line {
    struct waiter *first, *last;
    RedisModuleString *name;
    wide units; /* of all that wait */
    int database;
    bool ready; /* stands in the list of lines to be served */
    struct line *next_ready;
    struct wait_timer timer;
    struct line *previous, *next; /* of all lines */
    struct hash_link by_key;
    size_t key_size;
    char key[]; /* the database's number and the name */
};

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

static struct line *line_find(int database, struct bytes name)
{
    char stack_buffer[NAME_BYTES_USUAL];
    if (lines.count == 0) return NULL;
    struct sink key = sink_init(stack_buffer, sizeof(stack_buffer));
    sink_raw(&key, &database, sizeof(database));
    sink_raw(&key, name.data, name.size);
    struct bytes bytes = {key.data, key.size};
    struct hash_link *link = hash_index_find(&lines, bytes, linear_hash(bytes), line_key);
    sink_free(&key);
    return link ? HASH_RECORD(link, struct line, by_key) : NULL;
}

static struct line *line_new(int database, RedisModuleString *name)
{
    struct bytes bytes = string_bytes(name);
    size_t key_size = sizeof(database) + bytes.size;
    struct line *line = memory_alloc(sizeof(*line) + key_size);
    *line = (struct line){.name = RedisModule_CreateStringFromString(NULL, name),
                          .database = database,
                          .next = first_line,
                          .timer = {.due = line_due, .data = line},
                          .key_size = key_size};
    memcpy(line->key, &database, sizeof(database));
    memcpy(line->key + sizeof(database), bytes.data, bytes.size);
    hash_index_add(&lines, &line->by_key, linear_hash(line_key(&line->by_key)));
    if (first_line) first_line->previous = line;
    first_line = line;
    return line;
}

static void line_free(struct line *line)
{
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

static void line_ready(struct line *line)
{
    line_mark(line);
    if (!serving) wait_timer_soon(home, &waking); /* else the loop in wake sees it */
}

static void all_lines_ready(void)
{
    for (struct line *line = first_line; line; line = line->next) line_ready(line);
}

static void line_due(RedisModuleCtx *ctx, void *data)
{
    line_mark(data);
    wake(ctx, NULL);
}

/* ---- waiters --------------------------------------------------------------------------------------------- */

static void line_join(struct line *line, struct waiter *waiter)
{
    waiter->line = line;
    waiter->before = line->last;
    if (line->last) line->last->behind = waiter;
    if (!line->first) line->first = waiter;
    line->last = waiter;
    line->units += waiter->request.cost;
    waiters_count++;
}

/* Out of the line; the record lives on until the server has done with its client. */
static void waiter_leave(struct waiter *waiter)
{
    struct line *line = waiter->line;
    if (!line) return;
    if (line->first == waiter) line_ready(line);
    *(waiter->before ? &waiter->before->behind : &line->first) = waiter->behind;
    *(waiter->behind ? &waiter->behind->before : &line->last) = waiter->before;
    line->units -= waiter->request.cost;
    waiter->line = NULL;
    waiters_count--;
}

static int64_t units_before(const struct waiter *waiter)
{
    wide units = 0;
    for (const struct waiter *other = waiter->before; other; other = other->before) units += other->request.cost;
    return wide_clamp(units, 0, INT64_MAX);
}

/* A client that is to be closed (its user was deleted, its buffers have outgrown their limit) may be around, blocked as
 * it was, until the pass ends. Such a one must get no lease: CLIENT LIST shows it by an A among its flags. */
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

/* It is its turn, its time is over, or CLIENT UNBLOCK says so: it is answered as things stand now. */
static int answer_waiter(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct waiter *waiter = RedisModule_GetBlockedClientPrivateData(ctx);
    struct line *line = waiter->line;
    (void)argc;
    if (!line) return RedisModule_ReplyWithNull(ctx);
    waiter->request.now_us = clock_now_us();
    waiter->request.ahead = units_before(waiter);
    bool paused = wait_timer_writes_are_paused(); /* nothing may be written: as if another client were ahead */
    if (paused) waiter->request.ahead = max_i64(waiter->request.ahead, 1);
    waiter_leave(waiter);
    if (!client_is_closing(ctx)) waiter->answer(ctx, argv[1], &waiter->request);
    return REDISMODULE_OK;
}

/* Another module or command signalled the key: the first in line will be called. */
static int keep_waiting(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct waiter *waiter = RedisModule_GetBlockedClientPrivateData(ctx);
    (void)argv;
    (void)argc;
    if (waiter->line) line_ready(waiter->line);
    return REDISMODULE_ERR;
}

/* At once; waiter_free would come to know it later. */
static void client_gone(RedisModuleCtx *ctx, RedisModuleBlockedClient *client)
{
    (void)client;
    waiter_leave(RedisModule_GetBlockedClientPrivateData(ctx));
}

static void waiter_free(RedisModuleCtx *ctx, void *record)
{
    (void)ctx;
    waiter_leave(record);
    memory_free(record);
}

static void waiter_call(struct waiter *waiter)
{
    waiter->called = true;
    RedisModule_UnblockClient(waiter->client, waiter);
}

/* ---- serving --------------------------------------------------------------------------------------------- */

/* How long the first has to wait still; 0 = it is to be answered now, with a lease or with an error. */
static int64_t first_wait_us(RedisModuleCtx *ctx, const struct line *line)
{
    struct handle handle;
    struct lease_decision decision;
    struct lease_request request = line->first->request;
    request.now_us = clock_now_us();
    request.ahead = 0;
    if (!handle_open(ctx, &lease_type, line->name, &handle)) return 0;
    leases_decide_acquire(handle.value, &request, &decision);
    handle_close(&handle);
    bool denied = decision.fault == LEASE_FAULT_NONE && decision.verdict.granted == 0;
    return denied ? decision.verdict.wait_us : 0;
}

/* Under a held clock the server's timeouts mean nothing. */
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
    int64_t wait_us = 0;
    RedisModule_SelectDb(ctx, line->database);
    while (line->first && !line->first->called && (wait_us = first_wait_us(ctx, line)) == 0) waiter_call(line->first);
    if (clock_is_frozen()) call_those_whose_time_is_over(line);
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

static void value_unlinked(RedisModuleKeyOptCtx *where)
{
    struct line *line =
        line_find(RedisModule_GetDbIdFromOptCtx(where), string_bytes(RedisModule_GetKeyNameFromOptCtx(where)));
    if (line) line_ready(line);
}

static void databases_changed(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t what, void *data)
{
    (void)ctx;
    (void)event;
    (void)what;
    (void)data;
    all_lines_ready();
}

void lease_waiting_ready(RedisModuleCtx *ctx, RedisModuleString *name)
{
    if (lines.count == 0) return;
    struct line *line = line_find(RedisModule_GetSelectedDb(ctx), string_bytes(name));
    if (line) line_ready(line);
}

void lease_waiting_clock_moved(void)
{
    all_lines_ready();
}

/* ---- beginning ------------------------------------------------------------------------------------------- */

/* A server on which no client ever waits pays nothing. */
static void listen_once(RedisModuleCtx *ctx)
{
    if (home) return;
    home = RedisModule_GetDetachedThreadSafeContext(ctx);
    lease_type.unlinked = value_unlinked;
    RedisModule_SubscribeToServerEvent(ctx, RedisModuleEvent_FlushDB, databases_changed);
    RedisModule_SubscribeToServerEvent(ctx, RedisModuleEvent_SwapDB, databases_changed);
}

static struct waiter *waiter_new(const struct lease_request *request, int64_t wait_us, lease_answer *answer)
{
    struct waiter *waiter = memory_alloc(sizeof(*waiter) + request->id.size);
    *waiter = (struct waiter){.request = *request, .answer = answer, .until_us = request->now_us + wait_us};
    if (request->id.size > 0) waiter->request.id.data = memcpy(waiter->id, request->id.data, request->id.size);
    return waiter;
}

void lease_waiting_begin(RedisModuleCtx *ctx, RedisModuleString *name, const struct lease_request *request,
                         int64_t wait_us, lease_answer *answer)
{
    int database = RedisModule_GetSelectedDb(ctx);
    listen_once(ctx);
    struct line *line = line_find(database, string_bytes(name));
    if (!line) line = line_new(database, name);
    struct waiter *waiter = waiter_new(request, wait_us, answer);
    line_join(line, waiter);
    waiter->client = RedisModule_BlockClientOnKeys(ctx, keep_waiting, answer_waiter, waiter_free, millis_ceil(wait_us),
                                                   &name, 1, waiter);
    RedisModule_SetDisconnectCallback(waiter->client, client_gone);
    if (line->first == waiter) line_ready(line); /* to find out when it will be its turn */
}

int64_t lease_waiting_ahead(RedisModuleCtx *ctx, RedisModuleString *name)
{
    struct line *line = line_find(RedisModule_GetSelectedDb(ctx), string_bytes(name));
    return line ? wide_clamp(line->units, 0, INT64_MAX) : 0;
}

int64_t lease_waiting_count(void)
{
    return waiters_count;
}

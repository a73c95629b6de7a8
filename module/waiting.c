/* Blocked clients ordered by their moment, one timer for all; see waiting.h. */
#include "waiting.h"
#include "clock.h"
#include "quota/base/checked.h"
#include "quota/base/hash_index.h"
#include "quota/base/memory.h"
#include "quota/rate/limiter_codec.h"
#include "reply.h"
#include "transaction.h"
#include "wait_timer.h"

struct waiter {
    RedisModuleBlockedClient *client; /* the key of `waiters` */
    RedisModuleString *name;
    struct verdict verdict;
    int64_t units, moment_us;
    uint64_t number; /* order of arrival among equal moments */
    int database;
    struct waiter *next_leaver;
    struct hash_link by_client;
    uint32_t costs_count; /* of several costs, one for each rule; 0 = all rules have `units` */
    int64_t costs[];
};

/* Ordered by (moment, number), big-endian, so that the first entry of the tree is the next to be answered. */
struct moment_key {
    unsigned char bytes[16];
};

static struct hash_index waiters; /* by blocked client */
static RedisModuleDict *moments;  /* struct moment_key → waiter */
static uint64_t arrivals;
static struct waiter *leavers; /* those that left early: out of both orders, their places still to be given back */

static void answer_due(RedisModuleCtx *ctx, void *unused);
static void leavers_settle(RedisModuleCtx *ctx, void *unused);
static struct wait_timer first_moment = {.due = answer_due};
static struct wait_timer leaving = {.due = leavers_settle};

static struct moment_key key_of(const struct waiter *waiter)
{
    struct moment_key key;
    for (int i = 0; i < 8; i++) {
        key.bytes[i] = (unsigned char)((uint64_t)waiter->moment_us >> (56 - 8 * i));
        key.bytes[8 + i] = (unsigned char)(waiter->number >> (56 - 8 * i));
    }
    return key;
}

static struct bytes client_key(RedisModuleBlockedClient *const *client)
{
    return (struct bytes){(const char *)client, sizeof(void *)};
}

static struct bytes client_of(const struct hash_link *link)
{
    return client_key(&HASH_RECORD(link, const struct waiter, by_client)->client);
}

static struct waiter *first_waiter(void)
{
    struct waiter *first = NULL;
    RedisModuleDictIter *at = RedisModule_DictIteratorStartC(moments, "^", NULL, 0);
    RedisModule_DictNextC(at, NULL, (void **)&first);
    RedisModule_DictIteratorStop(at);
    return first;
}

/* Out of both orders; the record itself lives on until its client has been answered. */
static void waiter_leave(struct waiter *waiter)
{
    struct moment_key key = key_of(waiter);
    RedisModule_DictDelC(moments, key.bytes, sizeof(key.bytes), NULL);
    hash_index_remove(&waiters, &waiter->by_client);
}

static void waiter_free(RedisModuleCtx *ctx, void *record)
{
    struct waiter *waiter = record;
    RedisModule_FreeString(ctx, waiter->name);
    memory_free(waiter);
}

/* ---- answering ------------------------------------------------------------------------------------------- */

/* For the first moment; a held clock has no timer at all. */
static void timer_set(RedisModuleCtx *ctx)
{
    struct waiter *first = first_waiter();
    if (first) {
        wait_timer_set(ctx, &first_moment, first->moment_us - clock_now_us());
    } else {
        wait_timer_stop(ctx, &first_moment);
    }
}

static void answer_due(RedisModuleCtx *ctx, void *unused)
{
    (void)unused;
    int64_t now_us = clock_now_us();
    for (struct waiter *first; (first = first_waiter()) && first->moment_us <= now_us;) {
        waiter_leave(first);
        RedisModule_UnblockClient(first->client, first);
    }
    timer_set(ctx);
}

void waiting_clock_moved(RedisModuleCtx *ctx)
{
    if (moments) answer_due(ctx, NULL);
}

/* The moment has come. */
static int reply_granted(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    (void)argv;
    (void)argc;
    struct waiter *waiter = RedisModule_GetBlockedClientPrivateData(ctx);
    waiter->verdict.reset_us -= min_i64(waiter->verdict.wait_us, waiter->verdict.reset_us);
    waiter->verdict.wait_us = 0;
    return reply_verdict(ctx, &waiter->verdict);
}

/* ---- leaving early --------------------------------------------------------------------------------------- */

/* What a waiter has taken goes back. */
static void decide_return(const struct limiter *limiter, const struct waiter *waiter, int64_t now_us,
                          struct decision *decision)
{
    if (waiter->costs_count > 0) {
        limiter_decide_return(limiter, waiter->costs, waiter->costs_count, now_us, decision);
    } else {
        limiter_decide_refund(limiter, waiter->units, -1, TAKEN_NEWEST, now_us, decision);
    }
}

/* The answer to a client that has left the queue: a denial, as the deciding rule stands once its units are back. They
 * are given back later, so it is looked at in a copy. */
static struct verdict denial_of(const struct limiter *limiter, const struct waiter *waiter)
{
    struct verdict denial = {.limit = waiter->verdict.limit, .rule = waiter->verdict.rule};
    struct decision decision;
    struct state unused;
    struct sink bytes = {0};
    int64_t now_us = clock_now_us();
    if (!limiter) return denial;
    decide_return(limiter, waiter, now_us, &decision);
    limiter_encode(limiter, &bytes);
    struct limiter *copy = limiter_decode((struct bytes){bytes.data, bytes.size});
    sink_free(&bytes);
    if (copy) copy = limiter_apply(copy, &decision);
    uint32_t rule = (uint32_t)denial.rule % VERDICT_PART;
    int32_t part = denial.rule / VERDICT_PART;
    if (copy && rule < copy->set->count) {
        limiter_look(copy, rule, now_us, &unused, &denial);
        denial.rule += VERDICT_PART * part;
    }
    limiter_free(copy);
    return denial;
}

/* Gives the place back. A demoted primary changes nothing: its successor keeps the queue as it is. */
static void give_back(RedisModuleCtx *ctx, const struct waiter *waiter)
{
    struct handle handle;
    struct decision decision;
    int64_t now_us = clock_now_us();
    if (RedisModule_GetContextFlags(ctx) & REDISMODULE_CTX_FLAGS_SLAVE) return;
    RedisModule_SelectDb(ctx, waiter->database);
    if (!handle_open(ctx, &limiter_type, waiter->name, &handle)) return;
    decide_return(handle.value, waiter, now_us, &decision);
    transaction_commit(ctx, &handle, &decision, now_us);
    handle_close(&handle);
}

/* Every blocked client is unblocked by us, also one that is gone: that frees what the server holds for it, and then, by
 * waiter_free, the record. */
static void leavers_settle(RedisModuleCtx *ctx, void *unused)
{
    (void)unused;
    if (wait_timer_writes_are_paused()) { /* the places stay taken until they can be given back */
        wait_timer_soon(ctx, &leaving);
        return;
    }
    while (leavers) {
        struct waiter *waiter = leavers;
        leavers = waiter->next_leaver;
        give_back(ctx, waiter);
        RedisModule_UnblockClient(waiter->client, waiter);
    }
    timer_set(ctx);
}

/* Out of the queue at once; what follows waits until the running command has ended. What is replicated inside it would
 * carry that command along: CLIENT KILL, REPLICAOF and the like are no replica's business. */
static struct waiter *waiter_take(RedisModuleCtx *ctx, RedisModuleBlockedClient *client)
{
    struct bytes key = client_key(&client);
    struct hash_link *link = hash_index_find(&waiters, key, linear_hash(key), client_of);
    if (!link) return NULL; /* its moment came first: the place is used */
    struct waiter *waiter = HASH_RECORD(link, struct waiter, by_client);
    waiter_leave(waiter);
    wait_timer_soon(ctx, &leaving);
    waiter->next_leaver = leavers;
    leavers = waiter;
    return waiter;
}

static void client_gone(RedisModuleCtx *ctx, RedisModuleBlockedClient *client)
{
    (void)waiter_take(ctx, client);
}

/* CLIENT UNBLOCK id: answered as a denial. */
static int reply_unblocked(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    (void)argv;
    (void)argc;
    struct waiter *waiter = waiter_take(ctx, RedisModule_GetBlockedClientHandle(ctx));
    struct handle handle;
    if (!waiter) return RedisModule_ReplyWithNull(ctx);
    RedisModule_SelectDb(ctx, waiter->database);
    bool opened = handle_read(ctx, &limiter_type, waiter->name, &handle);
    struct verdict denial = denial_of(opened ? handle.value : NULL, waiter);
    handle_close(&handle);
    return reply_verdict(ctx, &denial);
}

/* ---- beginning ------------------------------------------------------------------------------------------- */

bool waiting_begin(RedisModuleCtx *ctx, RedisModuleString *name, const struct verdict *verdict,
                   const struct limiter_request *request, uint32_t rules)
{
    uint32_t costs_count = request->costs ? rules : 0;
    int flags = RedisModule_GetContextFlags(ctx);
    if (flags & (REDISMODULE_CTX_FLAGS_DENY_BLOCKING | REDISMODULE_CTX_FLAGS_REPLICATED)) return false;
    if (!moments) moments = RedisModule_CreateDict(NULL);

    struct waiter *waiter = memory_alloc(sizeof(*waiter) + costs_count * sizeof(*waiter->costs));
    *waiter = (struct waiter){.name = RedisModule_HoldString(NULL, name),
                              .verdict = *verdict,
                              .units = request->cost,
                              .moment_us = request->now_us + verdict->wait_us,
                              .number = arrivals++,
                              .database = RedisModule_GetSelectedDb(ctx),
                              .costs_count = costs_count};
    if (costs_count > 0) memcpy(waiter->costs, request->costs, costs_count * sizeof(*waiter->costs));
    waiter->client = RedisModule_BlockClient(ctx, reply_granted, reply_unblocked, waiter_free, 0);
    RedisModule_SetDisconnectCallback(waiter->client, client_gone);
    hash_index_add(&waiters, &waiter->by_client, linear_hash(client_key(&waiter->client)));
    struct moment_key key = key_of(waiter);
    RedisModule_DictSetC(moments, key.bytes, sizeof(key.bytes), waiter);
    if (first_waiter() == waiter) timer_set(ctx);
    return true;
}

int64_t waiting_count(void)
{
    return waiters.count;
}

/* Opens and closes the accounts above one; see ancestors.h. */
#include "ancestors.h"
#include "quota/base/memory.h"
#include "reply.h"
#include "waiting.h"

/* ---- slots ----------------------------------------------------------------------------------------------- */

/* What the server hashes of a key: what stands between its first braces, if that is not empty; else all of it. */
static struct bytes hashed_part(struct bytes key)
{
    const char *open = memchr(key.data, '{', key.size);
    if (!open) return key;
    size_t rest = key.size - (size_t)(open + 1 - key.data);
    const char *close = memchr(open + 1, '}', rest);
    return close && close > open + 1 ? (struct bytes){open + 1, (size_t)(close - open - 1)} : key;
}

static long long slot_of(RedisModuleCtx *ctx, struct bytes key)
{
    RedisModuleCallReply *reply = RedisModule_Call(ctx, "CLUSTER", "cb", "KEYSLOT", key.data, key.size);
    long long slot = reply ? RedisModule_CallReplyInteger(reply) : -1;
    if (reply) RedisModule_FreeCallReply(reply);
    return slot;
}

bool ancestors_share_slot(RedisModuleCtx *ctx, struct bytes left, struct bytes right)
{
    if (!(RedisModule_GetContextFlags(ctx) & REDISMODULE_CTX_FLAGS_CLUSTER)) return true;
    if (bytes_equal(hashed_part(left), hashed_part(right))) return true;
    return slot_of(ctx, left) == slot_of(ctx, right);
}

/* ---- opening --------------------------------------------------------------------------------------------- */

/* Opened handles, before it is known how many there are. */
struct opening {
    RedisModuleCtx *ctx;
    const struct account_call *call; /* the account itself */
    bool writing;
    uint32_t count;
    struct handle handles[ANCESTORS_MAX];
};

static bool is_opened(const struct opening *opening, struct bytes name)
{
    bool opened = bytes_equal(string_bytes(opening->call->handle.name), name);
    for (uint32_t i = 0; i < opening->count; i++)
        opened = opened || bytes_equal(string_bytes(opening->handles[i].name), name);
    return opened;
}

static void close_handle(struct handle *handle)
{
    RedisModuleString *name = handle->name;
    handle_close(handle);
    RedisModule_FreeString(NULL, name);
}

/* A key of another slot is not there, whatever stands under it. */
static bool open_one_or_reply(struct opening *opening, struct bytes name)
{
    RedisModuleCtx *ctx = opening->ctx;
    struct handle *handle = &opening->handles[opening->count];
    RedisModuleString *key = RedisModule_CreateString(NULL, name.data, name.size);
    bool here = ancestors_share_slot(ctx, string_bytes(opening->call->handle.name), name), opened;
    *handle = (struct handle){.value_type = &account_type, .name = key};
    if (!here)
        opened = true;
    else if (opening->writing)
        opened = handle_open_or_reply(ctx, &account_type, key, handle);
    else
        opened = handle_read_or_reply(ctx, &account_type, key, handle);
    if (opened && here && !handle->value && !waiting_key_is_here(ctx, key)) {
        reply_error(ctx, "TRYAGAIN '%s', which is above the account, is moving to another node of the cluster",
                    printable(name).text);
        opened = false;
    }
    opening->count += opened;
    if (!opened) close_handle(handle);
    return opened;
}

static bool open_parents_or_reply(struct opening *opening)
{
    const struct account *account = account_of(opening->call);
    for (struct bytes parent; (parent = account_parent(account)).size > 0;) {
        if (is_opened(opening, parent)) {
            reply_error(opening->ctx, "SAMEACCOUNT '%s' is above itself: QUOTA.DETACH ends it", printable(parent).text);
            return false;
        }
        if (opening->count == ANCESTORS_MAX) {
            reply_error(opening->ctx, "LIMITED an account and those above it are more than %d levels", LEVELS_MAX);
            return false;
        }
        if (!open_one_or_reply(opening, parent)) return false;
        account = opening->handles[opening->count - 1].value;
    }
    return true;
}

static bool open_named_or_reply(struct opening *opening, const struct bytes *names, uint32_t count)
{
    for (uint32_t i = 0; i < count && opening->count < ANCESTORS_MAX; i++) {
        if (is_opened(opening, names[i])) continue;
        if (!open_one_or_reply(opening, names[i])) return false;
        struct handle *handle = &opening->handles[opening->count - 1];
        if (handle->value) continue;
        close_handle(handle);
        opening->count--;
    }
    return true;
}

/* Calls are large: those of the last command are kept for the next one. A command within a command has others. */
static struct {
    struct account_call *calls; /* ANCESTORS_MAX of them; NULL = there were none yet */
    bool in_use;
} kept;

static struct account_call *take_calls(void)
{
    if (kept.in_use) return memory_alloc(ANCESTORS_MAX * sizeof(*kept.calls));
    if (!kept.calls) kept.calls = memory_alloc(ANCESTORS_MAX * sizeof(*kept.calls));
    kept.in_use = true;
    return kept.calls;
}

static void give_calls(struct account_call *calls)
{
    if (calls == kept.calls) {
        kept.in_use = false;
    } else {
        memory_free(calls);
    }
}

/* Gives each its call, and its place in the lineage. */
static void adopt(const struct opening *opening, struct account_call *call, struct ancestors *ancestors)
{
    struct lineage *lineage = &ancestors->lineage;
    lineage->name = string_bytes(call->handle.name);
    lineage->count = opening->count;
    ancestors->calls = opening->count > 0 ? take_calls() : NULL;
    for (uint32_t i = 0; i < opening->count; i++) {
        struct account_call *above = &ancestors->calls[i];
        above->handle = opening->handles[i];
        above->host = call->host;
        above->now_us = call->now_us;
        above->lineage = NULL;
        above->above = NULL;
        above->key_digest = (struct bytes){NULL, 0};
        account_decision_begin(&above->decision);
        lineage->ancestors[i] =
            (struct ancestor){string_bytes(above->handle.name), above->handle.value, &above->decision};
    }
    call->lineage = ancestors_lineage(ancestors);
    call->above = ancestors->calls;
}

static bool finish(struct opening *opening, bool opened, struct account_call *call, struct ancestors *ancestors)
{
    for (uint32_t i = 0; !opened && i < opening->count; i++) close_handle(&opening->handles[i]);
    if (!opened) opening->count = 0;
    adopt(opening, call, ancestors);
    return opened;
}

bool ancestors_open_or_reply(RedisModuleCtx *ctx, struct account_call *call, bool writing, struct ancestors *ancestors)
{
    struct opening opening; /* its handles mean nothing yet */
    opening.ctx = ctx;
    opening.call = call;
    opening.writing = writing;
    opening.count = 0;
    return finish(&opening, open_parents_or_reply(&opening), call, ancestors);
}

bool ancestors_open_named_or_reply(RedisModuleCtx *ctx, struct account_call *call, const struct bytes *names,
                                   uint32_t count, struct ancestors *ancestors)
{
    struct opening opening;
    opening.ctx = ctx;
    opening.call = call;
    opening.writing = true;
    opening.count = 0;
    return finish(&opening, open_named_or_reply(&opening, names, count), call, ancestors);
}

void ancestors_close(struct ancestors *ancestors)
{
    for (uint32_t i = 0; i < ancestors->lineage.count; i++) {
        account_decision_end(&ancestors->calls[i].decision);
        close_handle(&ancestors->calls[i].handle);
    }
    if (ancestors->calls) give_calls(ancestors->calls);
}

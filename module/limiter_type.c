/* Data type callbacks of `rl-bucket`, all in terms of the codec; see limiter_type.h. */
#include "limiter_type.h"
#include "quota/limiter_codec.h"
#include "quota/memory.h"
#include "reply.h"

#define TYPE_NAME          "rl-bucket"
#define TYPE_ENCODING      0   /* of the RDB frame; the blob inside carries its own version */
#define BLOB_BYTES_USUAL   256 /* on the stack; longer values move to the heap */
#define VALUE_HEADER_BYTES 32  /* the server's own robj and moduleValue, which MEMORY USAGE would leave out */

RedisModuleType *limiter_type;

/* ---- callbacks ------------------------------------------------------------------------------------------- */

static void save_rdb(RedisModuleIO *rdb, void *value)
{
    char lent[BLOB_BYTES_USUAL];
    struct sink blob = sink_over(lent, sizeof(lent));
    limiter_encode(value, &blob);
    RedisModule_SaveStringBuffer(rdb, blob.data, blob.size);
    sink_free(&blob);
}

/* NULL refuses the value: RESTORE answers an error, a server that starts says so and stops. */
static void *load_rdb(RedisModuleIO *rdb, int encoding)
{
    size_t size;
    if (encoding > TYPE_ENCODING) {
        RedisModule_LogIOError(rdb, "warning", TYPE_NAME ": written by a newer version of this module");
        return NULL;
    }
    char *bytes = RedisModule_LoadStringBuffer(rdb, &size);
    if (!bytes) return NULL;
    struct limiter *limiter = limiter_decode((struct span){bytes, size});
    RedisModule_Free(bytes);
    if (!limiter) RedisModule_LogIOError(rdb, "warning", TYPE_NAME ": bytes that are no limiter, or a newer encoding");
    return limiter;
}

static void rewrite_aof(RedisModuleIO *aof, RedisModuleString *key, void *value)
{
    char lent[BLOB_BYTES_USUAL];
    struct sink blob = sink_over(lent, sizeof(lent));
    limiter_encode(value, &blob);
    RedisModule_EmitAOF(aof, "RL._PUT", "sb", key, blob.data, blob.size);
    sink_free(&blob);
}

static void digest(RedisModuleDigest *digest, void *value)
{
    char lent[BLOB_BYTES_USUAL];
    struct sink blob = sink_over(lent, sizeof(lent));
    limiter_encode(value, &blob);
    RedisModule_DigestAddStringBuffer(digest, blob.data, blob.size);
    RedisModule_DigestEndSequence(digest);
    sink_free(&blob);
}

static void *copy(RedisModuleKeyOptCtx *ctx, const void *value)
{
    (void)ctx;
    char lent[BLOB_BYTES_USUAL];
    struct sink blob = sink_over(lent, sizeof(lent));
    limiter_encode(value, &blob);
    struct limiter *twin = limiter_decode((struct span){blob.data, blob.size});
    sink_free(&blob);
    return twin;
}

static size_t memory_usage(RedisModuleKeyOptCtx *ctx, const void *value, size_t sample_size)
{
    (void)ctx;
    (void)sample_size;
    return limiter_bytes(value) + VALUE_HEADER_BYTES;
}

/* May run on the lazy-free thread: limiter_free touches its own value and the guarded table of rule sets only. */
static void free_value(void *value)
{
    limiter_free(value);
}

int limiter_type_register(RedisModuleCtx *ctx)
{
    memory_use((struct memory_host){RedisModule_Alloc, RedisModule_Realloc, RedisModule_Free});
    RedisModuleTypeMethods methods = {
        .version = REDISMODULE_TYPE_METHOD_VERSION,
        .rdb_load = load_rdb,
        .rdb_save = save_rdb,
        .aof_rewrite = rewrite_aof,
        .digest = digest,
        .free = free_value,
        .copy2 = copy,
        .mem_usage2 = memory_usage,
    };
    limiter_type = RedisModule_CreateDataType(ctx, TYPE_NAME, TYPE_ENCODING, &methods);
    return limiter_type ? REDISMODULE_OK : REDISMODULE_ERR;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static bool open_or_reply(RedisModuleCtx *ctx, RedisModuleString *name, int mode, struct limiter_handle *handle)
{
    *handle = (struct limiter_handle){.key = RedisModule_OpenKey(ctx, name, mode), .name = name};
    int type = RedisModule_KeyType(handle->key); /* a missing key may open as NULL: that is type EMPTY */
    if (type == REDISMODULE_KEYTYPE_EMPTY) return true;
    if (RedisModule_ModuleTypeGetType(handle->key) == limiter_type) {
        handle->value = RedisModule_ModuleTypeGetValue(handle->key);
        return true;
    }
    limiter_close(handle);
    RedisModule_ReplyWithError(ctx, REDISMODULE_ERRORMSG_WRONGTYPE);
    return false;
}

/* Opening for writing signals nothing, since the module loads with NO_IMPLICIT_SIGNAL_MODIFIED: commit does. */
bool limiter_open_or_reply(RedisModuleCtx *ctx, RedisModuleString *name, struct limiter_handle *handle)
{
    return open_or_reply(ctx, name, REDISMODULE_READ | REDISMODULE_WRITE, handle);
}

bool limiter_read_or_reply(RedisModuleCtx *ctx, RedisModuleString *name, struct limiter_handle *handle)
{
    return open_or_reply(ctx, name, REDISMODULE_READ, handle);
}

void limiter_close(struct limiter_handle *handle)
{
    RedisModule_CloseKey(handle->key);
}

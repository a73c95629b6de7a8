/* Data types and their callbacks, all in terms of a keeper's codec; see keeper.h. */
#include "keeper.h"
#include "quota/linear_hash.h"
#include "quota/memory.h"
#include "reply.h"

#define FRAME_ENCODING     0   /* of the RDB frame; the blob inside carries its own encoding */
#define BLOB_BYTES_USUAL   256 /* on the stack; longer values move to the heap */
#define VALUE_HEADER_BYTES 32  /* the server's own robj and moduleValue, which MEMORY USAGE would leave out */
#define EFFORT_BYTES       256 /* the server frees in the background what costs more than 64 such pieces */
#define KIND_SHIFT         4
#define KIND_MASK          7
#define ENCODING_MASK      15

struct keeper *const keepers[] = {&limiter_keeper, &lease_keeper, &breaker_keeper, &adaptive_keeper, &account_keeper,
                                  &table_keeper,   NULL};

struct keeper *keeper_of(struct span bytes)
{
    if (bytes.size == 0) return NULL;
    uint8_t kind = (uint8_t)bytes.data[0] >> KIND_SHIFT & KIND_MASK;
    for (struct keeper *const *keeper = keepers; *keeper; keeper++) {
        if ((*keeper)->kind == kind) return *keeper;
    }
    return NULL;
}

bool encoding_is_newer(struct span bytes, uint8_t newest)
{
    uint8_t encoding = bytes.size > 0 ? (uint8_t)bytes.data[0] & ENCODING_MASK : 0;
    return encoding > newest && encoding <= newest + 3;
}

void keeper_count(struct keeper *keeper, long long values, long long bytes)
{
    if (values == 0 && bytes == 0) return; /* changed in place: most of the time */
    atomic_fetch_add_explicit(&keeper->held_values, values, memory_order_relaxed);
    atomic_fetch_add_explicit(&keeper->held_bytes, bytes, memory_order_relaxed);
}

/* Every value out of bytes comes this way. */
static void *decode_counted(struct keeper *keeper, struct span bytes)
{
    void *value = keeper->decode(bytes);
    if (value) keeper_count(keeper, 1, (long long)keeper->bytes(value));
    return value;
}

/* ---- what the server asks of a type ---------------------------------------------------------------------- */

static void save_rdb(const struct keeper *keeper, RedisModuleIO *rdb, const void *value)
{
    char lent[BLOB_BYTES_USUAL];
    struct sink blob = sink_over(lent, sizeof(lent));
    keeper->encode(value, &blob);
    RedisModule_SaveStringBuffer(rdb, blob.data, blob.size);
    sink_free(&blob);
}

/* NULL refuses the value: RESTORE answers an error, a server that starts says so and stops. */
static void *load_rdb(struct keeper *keeper, RedisModuleIO *rdb, int encoding)
{
    size_t size;
    char *bytes = encoding > FRAME_ENCODING ? NULL : RedisModule_LoadStringBuffer(rdb, &size);
    void *value = bytes ? decode_counted(keeper, (struct span){bytes, size}) : NULL;
    if (bytes) RedisModule_Free(bytes);
    if (!value) RedisModule_LogIOError(rdb, "warning", "%s: damaged bytes, or a newer encoding", keeper->type_name);
    return value;
}

static void rewrite_aof(const struct keeper *keeper, RedisModuleIO *aof, RedisModuleString *key, const void *value)
{
    char lent[BLOB_BYTES_USUAL];
    struct sink blob = sink_over(lent, sizeof(lent));
    keeper->encode(value, &blob);
    RedisModule_EmitAOF(aof, "RL._PUT", "sb", key, blob.data, blob.size);
    sink_free(&blob);
}

static void digest(const struct keeper *keeper, RedisModuleDigest *digest, const void *value)
{
    char lent[BLOB_BYTES_USUAL];
    struct sink blob = sink_over(lent, sizeof(lent));
    keeper->encode(value, &blob);
    RedisModule_DigestAddStringBuffer(digest, blob.data, blob.size);
    RedisModule_DigestEndSequence(digest);
    sink_free(&blob);
}

static void *copy(struct keeper *keeper, const void *value)
{
    char lent[BLOB_BYTES_USUAL];
    struct sink blob = sink_over(lent, sizeof(lent));
    keeper->encode(value, &blob);
    void *twin = decode_counted(keeper, (struct span){blob.data, blob.size});
    sink_free(&blob);
    return twin;
}

/* The server hands its callbacks no context, so each kind needs functions of its own: they only name their keeper. */
#define CALLBACKS(name)                                                                                                \
    static void name##_save(RedisModuleIO *rdb, void *value)                                                           \
    {                                                                                                                  \
        save_rdb(&name##_keeper, rdb, value);                                                                          \
    }                                                                                                                  \
    static void *name##_load(RedisModuleIO *rdb, int encoding)                                                         \
    {                                                                                                                  \
        return load_rdb(&name##_keeper, rdb, encoding);                                                                \
    }                                                                                                                  \
    static void name##_rewrite(RedisModuleIO *aof, RedisModuleString *key, void *value)                                \
    {                                                                                                                  \
        rewrite_aof(&name##_keeper, aof, key, value);                                                                  \
    }                                                                                                                  \
    static void name##_digest(RedisModuleDigest *sum, void *value)                                                     \
    {                                                                                                                  \
        digest(&name##_keeper, sum, value);                                                                            \
    }                                                                                                                  \
    static void *name##_copy(RedisModuleKeyOptCtx *ctx, const void *value)                                             \
    {                                                                                                                  \
        (void)ctx;                                                                                                     \
        return copy(&name##_keeper, value);                                                                            \
    }                                                                                                                  \
    static size_t name##_memory(RedisModuleKeyOptCtx *ctx, const void *value, size_t sample_size)                      \
    {                                                                                                                  \
        (void)ctx;                                                                                                     \
        (void)sample_size;                                                                                             \
        return name##_keeper.bytes(value) + VALUE_HEADER_BYTES;                                                        \
    }                                                                                                                  \
    static void name##_free_value(void *value)                                                                         \
    {                                                                                                                  \
        keeper_count(&name##_keeper, -1, -(long long)name##_keeper.bytes(value));                                      \
        name##_keeper.free(value);                                                                                     \
    }                                                                                                                  \
    static size_t name##_effort(RedisModuleKeyOptCtx *ctx, const void *value)                                          \
    {                                                                                                                  \
        (void)ctx;                                                                                                     \
        return name##_keeper.bytes(value) / EFFORT_BYTES;                                                              \
    }                                                                                                                  \
    static void name##_unlink(RedisModuleKeyOptCtx *ctx, const void *value)                                            \
    {                                                                                                                  \
        (void)value;                                                                                                   \
        if (name##_keeper.unlinked) name##_keeper.unlinked(ctx);                                                       \
    }                                                                                                                  \
    static RedisModuleTypeMethods name##_methods = {                                                                   \
        .version = REDISMODULE_TYPE_METHOD_VERSION,                                                                    \
        .rdb_load = name##_load,                                                                                       \
        .rdb_save = name##_save,                                                                                       \
        .aof_rewrite = name##_rewrite,                                                                                 \
        .digest = name##_digest,                                                                                       \
        .free = name##_free_value,                                                                                     \
        .free_effort2 = name##_effort,                                                                                 \
        .unlink2 = name##_unlink,                                                                                      \
        .copy2 = name##_copy,                                                                                          \
        .mem_usage2 = name##_memory,                                                                                   \
    };

CALLBACKS(limiter)
CALLBACKS(lease)
CALLBACKS(breaker)
CALLBACKS(adaptive)
CALLBACKS(account)
CALLBACKS(table)

static const struct {
    struct keeper *keeper;
    RedisModuleTypeMethods *methods;
} types[] = {
    {&limiter_keeper, &limiter_methods},   {&lease_keeper, &lease_methods},     {&breaker_keeper, &breaker_methods},
    {&adaptive_keeper, &adaptive_methods}, {&account_keeper, &account_methods}, {&table_keeper, &table_methods},
};

int keepers_register(RedisModuleCtx *ctx)
{
    memory_use((struct memory_host){RedisModule_Alloc, RedisModule_Realloc, RedisModule_Free});
    uint64_t seed;
    RedisModule_GetRandomBytes((unsigned char *)&seed,
                               sizeof(seed)); /* ids come from clients: no chain can be aimed at */
    linear_hash_seed(seed);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct keeper *keeper = types[i].keeper;
        keeper->type = RedisModule_CreateDataType(ctx, keeper->type_name, FRAME_ENCODING, types[i].methods);
        if (!keeper->type) return REDISMODULE_ERR;
    }
    return REDISMODULE_OK;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static bool open_as(RedisModuleCtx *ctx, struct keeper *keeper, RedisModuleString *name, int mode,
                    struct handle *handle)
{
    *handle = (struct handle){.keeper = keeper, .key = RedisModule_OpenKey(ctx, name, mode), .name = name};
    if (RedisModule_ModuleTypeGetType(handle->key) == keeper->type) {
        handle->value = RedisModule_ModuleTypeGetValue(handle->key);
        return true;
    }
    /* A missing key may open as NULL: that is type EMPTY too. */
    if (RedisModule_KeyType(handle->key) == REDISMODULE_KEYTYPE_EMPTY) return true;
    handle_close(handle);
    handle->key = NULL;
    return false;
}

/* Opening for writing signals nothing, since the module loads with NO_IMPLICIT_SIGNAL_MODIFIED: commit does. */
bool handle_open(RedisModuleCtx *ctx, struct keeper *keeper, RedisModuleString *name, struct handle *handle)
{
    return open_as(ctx, keeper, name, REDISMODULE_READ | REDISMODULE_WRITE, handle);
}

bool handle_open_or_reply(RedisModuleCtx *ctx, struct keeper *keeper, RedisModuleString *name, struct handle *handle)
{
    bool opened = handle_open(ctx, keeper, name, handle);
    if (!opened) RedisModule_ReplyWithError(ctx, REDISMODULE_ERRORMSG_WRONGTYPE);
    return opened;
}

bool handle_read(RedisModuleCtx *ctx, struct keeper *keeper, RedisModuleString *name, struct handle *handle)
{
    return open_as(ctx, keeper, name, REDISMODULE_READ, handle);
}

bool handle_read_or_reply(RedisModuleCtx *ctx, struct keeper *keeper, RedisModuleString *name, struct handle *handle)
{
    bool opened = handle_read(ctx, keeper, name, handle);
    if (!opened) RedisModule_ReplyWithError(ctx, REDISMODULE_ERRORMSG_WRONGTYPE);
    return opened;
}

void handle_close(struct handle *handle)
{
    RedisModule_CloseKey(handle->key);
}

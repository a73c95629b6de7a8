/* Data types and their callbacks, all in terms of a value type's codec; see value_type.h. */
#include "value_type.h"
#include "quota/base/linear_hash.h"
#include "quota/base/memory.h"
#include "reply.h"

#define FRAME_ENCODING     0   /* of the RDB frame; the blob inside carries its own encoding */
#define BLOB_BYTES_USUAL   256 /* on the stack; longer values move to the heap */
#define VALUE_HEADER_BYTES 32  /* the server's own robj and moduleValue, which MEMORY USAGE would leave out */
#define EFFORT_BYTES       256 /* the server frees in the background what costs more than 64 such pieces */

struct value_type *const value_types[] = {&limiter_type, &lease_type, &breaker_type, &adaptive_type,
                                          &account_type, &table_type, NULL};

struct value_type *value_type_of(uint8_t kind)
{
    for (struct value_type *const *value_type = value_types; *value_type; value_type++) {
        if ((*value_type)->format->kind == kind) return *value_type;
    }
    return NULL;
}

void value_type_count(struct value_type *value_type, long long values, long long bytes)
{
    if (values == 0 && bytes == 0) return; /* changed in place: most of the time */
    atomic_fetch_add_explicit(&value_type->held_values, values, memory_order_relaxed);
    atomic_fetch_add_explicit(&value_type->held_bytes, bytes, memory_order_relaxed);
}

/* Every value out of bytes comes this way. */
static void *decode_counted(struct value_type *value_type, struct bytes bytes)
{
    void *value = format_decode(value_type->format, bytes);
    if (value) value_type_count(value_type, 1, (long long)value_type->bytes(value));
    return value;
}

/* ---- what the server asks of a type ---------------------------------------------------------------------- */

static void save_rdb(const struct value_type *value_type, RedisModuleIO *rdb, const void *value)
{
    char stack_buffer[BLOB_BYTES_USUAL];
    struct sink blob = sink_init(stack_buffer, sizeof(stack_buffer));
    value_type->encode(value, &blob);
    RedisModule_SaveStringBuffer(rdb, blob.data, blob.size);
    sink_free(&blob);
}

/* Says why a value is refused. */
static void log_refused(const struct value_type *value_type, RedisModuleIO *rdb, int frame, struct bytes bytes)
{
    if (frame > FRAME_ENCODING) {
        RedisModule_LogIOError(rdb, "warning", "%s: frame in encoding %d: a newer version of this module wrote it",
                               value_type->type_name, frame);
        return;
    }
    struct head head = head_of(bytes);
    const struct value_type *named = value_type_of(head.kind);
    struct sink why = {0};
    head_write_refusal(head, named ? named->format : NULL, &why);
    RedisModule_LogIOError(rdb, "warning", "%s: %.*s", value_type->type_name, (int)why.size, why.data);
    sink_free(&why);
}

/* NULL refuses the value: RESTORE answers an error, a server that starts says so and stops. */
static void *load_rdb(struct value_type *value_type, RedisModuleIO *rdb, int frame)
{
    size_t size;
    char *bytes = frame > FRAME_ENCODING ? NULL : RedisModule_LoadStringBuffer(rdb, &size);
    void *value = bytes ? decode_counted(value_type, (struct bytes){bytes, size}) : NULL;
    if (!value) log_refused(value_type, rdb, frame, (struct bytes){bytes, bytes ? size : 0});
    if (bytes) RedisModule_Free(bytes);
    return value;
}

static void (*rewrite_begins)(RedisModuleIO *aof);

void value_types_rewrite_hook(void (*begins)(RedisModuleIO *aof))
{
    rewrite_begins = begins;
}

static void rewrite_aof(const struct value_type *value_type, RedisModuleIO *aof, RedisModuleString *key,
                        const void *value)
{
    char stack_buffer[BLOB_BYTES_USUAL];
    struct sink blob = sink_init(stack_buffer, sizeof(stack_buffer));
    rewrite_begins(aof);
    value_type->encode(value, &blob);
    RedisModule_EmitAOF(aof, "RL._PUT", "sb", key, blob.data, blob.size);
    sink_free(&blob);
}

static void digest(const struct value_type *value_type, RedisModuleDigest *digest, const void *value)
{
    char stack_buffer[BLOB_BYTES_USUAL];
    struct sink blob = sink_init(stack_buffer, sizeof(stack_buffer));
    value_type->encode(value, &blob);
    RedisModule_DigestAddStringBuffer(digest, blob.data, blob.size);
    RedisModule_DigestEndSequence(digest);
    sink_free(&blob);
}

static void *copy(struct value_type *value_type, const void *value)
{
    char stack_buffer[BLOB_BYTES_USUAL];
    struct sink blob = sink_init(stack_buffer, sizeof(stack_buffer));
    value_type->encode(value, &blob);
    void *twin = decode_counted(value_type, (struct bytes){blob.data, blob.size});
    sink_free(&blob);
    return twin;
}

/* The server hands its callbacks no context, so each kind needs functions that only name their value type. */
#define CALLBACKS(name)                                                                                                \
    static void name##_save(RedisModuleIO *rdb, void *value)                                                           \
    {                                                                                                                  \
        save_rdb(&name##_type, rdb, value);                                                                            \
    }                                                                                                                  \
    static void *name##_load(RedisModuleIO *rdb, int encoding)                                                         \
    {                                                                                                                  \
        return load_rdb(&name##_type, rdb, encoding);                                                                  \
    }                                                                                                                  \
    static void name##_rewrite(RedisModuleIO *aof, RedisModuleString *key, void *value)                                \
    {                                                                                                                  \
        rewrite_aof(&name##_type, aof, key, value);                                                                    \
    }                                                                                                                  \
    static void name##_digest(RedisModuleDigest *sum, void *value)                                                     \
    {                                                                                                                  \
        digest(&name##_type, sum, value);                                                                              \
    }                                                                                                                  \
    static void *name##_copy(RedisModuleKeyOptCtx *ctx, const void *value)                                             \
    {                                                                                                                  \
        (void)ctx;                                                                                                     \
        return copy(&name##_type, value);                                                                              \
    }                                                                                                                  \
    static size_t name##_memory(RedisModuleKeyOptCtx *ctx, const void *value, size_t sample_size)                      \
    {                                                                                                                  \
        (void)ctx;                                                                                                     \
        (void)sample_size;                                                                                             \
        return name##_type.bytes(value) + VALUE_HEADER_BYTES;                                                          \
    }                                                                                                                  \
    static void name##_free_value(void *value)                                                                         \
    {                                                                                                                  \
        value_type_count(&name##_type, -1, -(long long)name##_type.bytes(value));                                      \
        name##_type.free(value);                                                                                       \
    }                                                                                                                  \
    static size_t name##_effort(RedisModuleKeyOptCtx *ctx, const void *value)                                          \
    {                                                                                                                  \
        (void)ctx;                                                                                                     \
        return name##_type.bytes(value) / EFFORT_BYTES;                                                                \
    }                                                                                                                  \
    static void name##_unlink(RedisModuleKeyOptCtx *ctx, const void *value)                                            \
    {                                                                                                                  \
        (void)value;                                                                                                   \
        if (name##_type.unlinked) name##_type.unlinked(&name##_type, ctx);                                             \
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
    struct value_type *value_type;
    RedisModuleTypeMethods *methods;
} types[] = {
    {&limiter_type, &limiter_methods},   {&lease_type, &lease_methods},     {&breaker_type, &breaker_methods},
    {&adaptive_type, &adaptive_methods}, {&account_type, &account_methods}, {&table_type, &table_methods},
};

int value_types_register(RedisModuleCtx *ctx)
{
    memory_use((struct memory_host){RedisModule_Alloc, RedisModule_Realloc, RedisModule_Free});
    uint64_t seed;
    RedisModule_GetRandomBytes((unsigned char *)&seed,
                               sizeof(seed)); /* ids come from clients: no chain can be aimed at */
    linear_hash_seed(seed);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct value_type *value_type = types[i].value_type;
        value_type->type = RedisModule_CreateDataType(ctx, value_type->type_name, FRAME_ENCODING, types[i].methods);
        if (!value_type->type) return REDISMODULE_ERR;
    }
    return REDISMODULE_OK;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static bool open_as(RedisModuleCtx *ctx, struct value_type *value_type, RedisModuleString *name, int mode,
                    struct handle *handle)
{
    *handle = (struct handle){.value_type = value_type, .key = RedisModule_OpenKey(ctx, name, mode), .name = name};
    if (RedisModule_ModuleTypeGetType(handle->key) == value_type->type) {
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
bool handle_open(RedisModuleCtx *ctx, struct value_type *value_type, RedisModuleString *name, struct handle *handle)
{
    return open_as(ctx, value_type, name, REDISMODULE_READ | REDISMODULE_WRITE, handle);
}

/* Both types as TYPE names them: the key's, which may be the server's or another module's, and the one it should be. */
static void reply_wrong_type(RedisModuleCtx *ctx, const struct value_type *value_type, RedisModuleString *name)
{
    RedisModuleCallReply *type = RedisModule_Call(ctx, "TYPE", "s", name);
    size_t size = 0;
    const char *found = type ? RedisModule_CallReplyStringPtr(type, &size) : NULL;
    reply_error(ctx, "WRONGTYPE Operation against a key holding the wrong kind of value: %s, not %s",
                printable((struct bytes){found ? found : "unknown", found ? size : 7}).text, value_type->type_name);
    if (type) RedisModule_FreeCallReply(type);
}

bool handle_open_or_reply(RedisModuleCtx *ctx, struct value_type *value_type, RedisModuleString *name,
                          struct handle *handle)
{
    bool opened = handle_open(ctx, value_type, name, handle);
    if (!opened) reply_wrong_type(ctx, value_type, name);
    return opened;
}

bool handle_read(RedisModuleCtx *ctx, struct value_type *value_type, RedisModuleString *name, struct handle *handle)
{
    return open_as(ctx, value_type, name, REDISMODULE_READ, handle);
}

bool handle_read_or_reply(RedisModuleCtx *ctx, struct value_type *value_type, RedisModuleString *name,
                          struct handle *handle)
{
    bool opened = handle_read(ctx, value_type, name, handle);
    if (!opened) reply_wrong_type(ctx, value_type, name);
    return opened;
}

void handle_close(struct handle *handle)
{
    RedisModule_CloseKey(handle->key);
}

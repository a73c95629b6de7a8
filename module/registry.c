/* Named objects, their changes and their files, once for all kinds; see registry.h. */
#include "registry.h"
#include "config.h"
#include "transaction.h"
#include <stdio.h>
#include <unistd.h>

#define AUX_VERSION  4 /* 1: policies alone; 2: plans of one revision each; 3: histories of plans; 4: the event log */
#define AUX_EVENTS   4
#define PLACEHOLDERS 8 /* keys that a child which rewrites the AOF gets */

/* In the order of the auxiliary data. */
static struct registry_kind *const kinds[] = {&policy_kind, &plan_kind, NULL};

static const struct registry_companion *companion;

void registry_accompany(const struct registry_companion *with)
{
    companion = with;
}

/* ---- the dictionary -------------------------------------------------------------------------------------- */

void *registry_find(const struct registry_kind *kind, struct bytes name)
{
    return RedisModule_DictGetC(kind->objects, (void *)name.data, name.size, NULL);
}

int64_t registry_count(const struct registry_kind *kind)
{
    return (int64_t)RedisModule_DictSize(kind->objects);
}

void registry_each(const struct registry_kind *kind, registry_visit *visit, void *context)
{
    void *object;
    RedisModuleDictIter *at = RedisModule_DictIteratorStartC(kind->objects, "^", NULL, 0);
    while (RedisModule_DictNextC(at, NULL, &object)) visit(kind, object, context);
    RedisModule_DictIteratorStop(at);
}

uint32_t registry_page(const struct registry_kind *kind, struct bytes after, uint32_t count, const void *page[],
                       bool *more)
{
    uint32_t found = 0;
    void *object;
    RedisModuleDictIter *at =
        RedisModule_DictIteratorStartC(kind->objects, after.size > 0 ? ">" : "^", (void *)after.data, after.size);
    while (found < count && RedisModule_DictNextC(at, NULL, &object)) page[found++] = object;
    *more = found == count && RedisModule_DictNextC(at, NULL, &object) != NULL;
    RedisModule_DictIteratorStop(at);
    return found;
}

/* The object is the registry's from here on; one of the same name that it takes the place of is the caller's. */
static void put(struct registry_kind *kind, struct bytes name, void *object)
{
    RedisModule_DictReplaceC(kind->objects, (void *)name.data, name.size, object);
}

static void take_out(struct registry_kind *kind, struct bytes name)
{
    void *object = registry_find(kind, name);
    if (!object) return;
    RedisModule_DictDelC(kind->objects, (void *)name.data, name.size, NULL);
    kind->free(object);
}

static void free_visited(const struct registry_kind *kind, void *object, void *unused)
{
    (void)unused;
    kind->free(object);
}

static void clear_all(void)
{
    for (struct registry_kind *const *kind = kinds; *kind; kind++) {
        registry_each(*kind, free_visited, NULL);
        RedisModule_FreeDict(NULL, (*kind)->objects);
        (*kind)->objects = RedisModule_CreateDict(NULL);
        (*kind)->changes++;
    }
    companion->clear();
}

/* Exchanges what is shown for what stands aside. */
static void swap_all(void)
{
    for (struct registry_kind *const *kind = kinds; *kind; kind++) {
        RedisModuleDict *shown = (*kind)->objects;
        (*kind)->objects = (*kind)->aside;
        (*kind)->aside = shown;
        (*kind)->changes++;
    }
    companion->swap();
}

/* ---- changes --------------------------------------------------------------------------------------------- */

bool registry_apply(struct registry_kind *kind, struct bytes name, struct bytes change)
{
    void *before = registry_find(kind, name), *object = before;
    bool fits = true;
    kind->changes++;
    if (change.size > 0) {
        fits = kind->apply(&object, name, change);
        if (object != before) put(kind, name, object);
    } else {
        take_out(kind, name);
    }
    return fits;
}

void registry_replicate(RedisModuleCtx *ctx, const struct registry_kind *kind, struct bytes name, struct bytes change)
{
    char stack_buffer[256];
    struct sink said = sink_init(stack_buffer, sizeof(stack_buffer));
    companion->changed(ctx, kind, name, &said);
    transaction_replicate_configuration(ctx, kind->command, name, change, sink_content(&said));
    sink_free(&said);
}

bool registry_repeat_event(RedisModuleCtx *ctx, struct bytes said)
{
    return companion->repeat(ctx, said);
}

bool registry_change(RedisModuleCtx *ctx, struct registry_kind *kind, struct bytes name, struct bytes change)
{
    bool fits = registry_apply(kind, name, change);
    if (fits) registry_replicate(ctx, kind, name, change);
    return fits;
}

/* ---- auxiliary data of RDB files ------------------------------------------------------------------------- */

static void save_visited(const struct registry_kind *kind, void *object, void *rdb)
{
    struct sink whole = {0};
    struct bytes name = kind->name(object);
    kind->encode(object, &whole);
    if (kind->aux_names > 0) RedisModule_SaveStringBuffer(rdb, name.data, name.size);
    RedisModule_SaveStringBuffer(rdb, whole.data, whole.size);
    sink_free(&whole);
}

/* Version and counts are always written: a server that finds nothing there would refuse the file. */
static void save_aux(RedisModuleIO *rdb, int when)
{
    (void)when;
    RedisModule_SaveUnsigned(rdb, AUX_VERSION);
    for (struct registry_kind *const *kind = kinds; *kind; kind++) {
        RedisModule_SaveUnsigned(rdb, (uint64_t)registry_count(*kind));
        registry_each(*kind, save_visited, rdb);
    }
    companion->save(rdb);
}

/* A damaged object is left out with a warning: limits that do not load must not keep the data from loading. One that
 * a newer version has written would be lost: false. */
static bool load_object(RedisModuleIO *rdb, struct registry_kind *kind, struct bytes name, struct bytes whole)
{
    struct head head = head_of(whole);
    bool is_newer = head_is_newer(head, kind->format);
    struct sink why = {0};
    void *object = kind->decode(name, whole);
    if (object) {
        take_out(kind, kind->name(object));
        put(kind, kind->name(object), object);
        return true;
    }
    head_write_refusal(head, kind->format, &why);
    RedisModule_LogIOError(rdb, "warning", "a %s %s: %.*s", kind->noun, is_newer ? "cannot be read" : "is left out",
                           (int)why.size, why.data);
    sink_free(&why);
    return !is_newer;
}

/* False where the file is cut off, or of a newer version. */
static bool load_next(RedisModuleIO *rdb, struct registry_kind *kind, bool named)
{
    struct bytes name = {NULL, 0}, whole = {NULL, 0};
    if (named) name.data = RedisModule_LoadStringBuffer(rdb, &name.size);
    if (name.data || !named) whole.data = RedisModule_LoadStringBuffer(rdb, &whole.size);
    bool loaded = whole.data && load_object(rdb, kind, name, whole);
    if (name.data) RedisModule_Free((void *)name.data);
    if (whole.data) RedisModule_Free((void *)whole.data);
    return loaded;
}

static bool load_kind(RedisModuleIO *rdb, struct registry_kind *kind, uint64_t version)
{
    if (version < kind->aux_since) return true;
    uint64_t count = RedisModule_LoadUnsigned(rdb);
    bool named = kind->aux_names > 0 && version >= kind->aux_names;
    bool loads = !RedisModule_IsIOError(rdb) && count <= kind->count_max;
    for (; loads && count > 0; count--) loads = load_next(rdb, kind, named);
    return loads;
}

static bool load_all(RedisModuleIO *rdb)
{
    uint64_t version = RedisModule_LoadUnsigned(rdb);
    bool loads = !RedisModule_IsIOError(rdb) && version >= 1 && version <= AUX_VERSION;
    clear_all();
    for (struct registry_kind *const *kind = kinds; *kind && loads; kind++) loads = load_kind(rdb, *kind, version);
    return loads && (version < AUX_EVENTS || companion->load(rdb));
}

static bool loads_aside; /* a full sync is loaded beside what is still read */

static int load_aux(RedisModuleIO *rdb, int encoding, int when)
{
    (void)encoding;
    (void)when;
    if (loads_aside) swap_all();
    bool loaded = load_all(rdb);
    if (loads_aside) swap_all();
    if (loaded) return REDISMODULE_OK;
    RedisModule_LogIOError(rdb, "warning", "policies and plans of a newer version, or damaged: the file is refused");
    return REDISMODULE_ERR;
}

/* ---- an AOF rewritten without preamble ------------------------------------------------------------------- */

void registry_write(RedisModuleIO *aof, const struct registry_kind *kind, struct bytes name, struct bytes change)
{
    RedisModule_EmitAOF(aof, kind->command, "bb", name.data, name.size, change.data, change.size);
}

static void write_visited(const struct registry_kind *kind, void *object, void *aof)
{
    struct sink whole = {0};
    if (kind->write) {
        kind->write(aof, object);
        return;
    }
    kind->encode(object, &whole);
    registry_write(aof, kind, kind->name(object), sink_content(&whole));
    sink_free(&whole);
}

/* In the child that rewrites, in front of its first key of ours. The server has a temporary file of that name then; a
 * snapshot of slots (Valkey) comes by the same callback without one, and must not carry what belongs to its server. */
static void rewrite_begins(RedisModuleIO *aof)
{
    static pid_t begun_by;
    char file[64];
    if (begun_by == getpid()) return;
    begun_by = getpid();
    (void)snprintf(file, sizeof(file), "temp-rewriteaof-%d.aof", (int)getpid());
    if (access(file, F_OK) != 0) return;
    for (struct registry_kind *const *kind = kinds; *kind; kind++) registry_each(*kind, write_visited, aof);
    companion->write(aof);
}

static RedisModuleType *placeholder_type;

/* Puts a key without content into the first free name of this number, in the memory of the child alone. */
static void put_placeholder(RedisModuleCtx *ctx, int number)
{
    bool is_free = false;
    for (int again = 0; !is_free; again++) {
        RedisModuleString *name = RedisModule_CreateStringPrintf(ctx, "redis-quota %d %d", number, again);
        RedisModuleKey *key = RedisModule_OpenKey(ctx, name, REDISMODULE_READ | REDISMODULE_WRITE);
        is_free = RedisModule_KeyType(key) == REDISMODULE_KEYTYPE_EMPTY;
        if (is_free) RedisModule_ModuleTypeSetValue(key, placeholder_type, &placeholder_type);
        RedisModule_CloseKey(key);
        RedisModule_FreeString(ctx, name);
    }
}

/* The child has opened its file and begins to walk over the keys. There may be none of ours, so it gets some for its
 * walk: it writes the objects in front of the first, and nothing for the key itself. Their names are of several slots,
 * for a slot that has just moved away is left out of the walk (Redis 8.4). With a preamble the objects are in the
 * auxiliary data. */
static void saving_happened(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t what, void *data)
{
    (void)event;
    (void)data;
    if (what != REDISMODULE_SUBEVENT_PERSISTENCE_AOF_START) return; /* fired in the child, and there alone */
    if (config_server_is(ctx, "aof-use-rdb-preamble", "YES")) return;
    for (int i = 0; i < PLACEHOLDERS; i++) put_placeholder(ctx, i);
}

static void rewrite_placeholder(RedisModuleIO *aof, RedisModuleString *key, void *value)
{
    (void)key;
    (void)value;
    rewrite_begins(aof);
}

/* ---- loads ----------------------------------------------------------------------------------------------- */

/* What is loaded replaces all objects, also where it holds none at all. */
static void loading_happened(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t what, void *data)
{
    (void)ctx;
    (void)event;
    (void)data;
    bool begins = what == REDISMODULE_SUBEVENT_LOADING_RDB_START || what == REDISMODULE_SUBEVENT_LOADING_AOF_START ||
                  what == REDISMODULE_SUBEVENT_LOADING_REPL_START;
    if (begins && !loads_aside) clear_all();
}

/* A replica that loads its full sync beside what is read shows the old objects with the old keys and the new ones with
 * the new ones; what did not load whole is dropped. */
static void aside_happened(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t what, void *data)
{
    (void)ctx;
    (void)event;
    (void)data;
    loads_aside = what == REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_STARTED;
    if (what == REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_COMPLETED) swap_all();
    if (loads_aside) return;
    swap_all();
    clear_all();
    swap_all();
}

/* ---- registration ---------------------------------------------------------------------------------------- */

/* No key of the server is ever of this type: it is there for the auxiliary data, and for the placeholders of a child
 * that rewrites the AOF. A payload that claims to be of it is refused. */
static void *load_nothing(RedisModuleIO *rdb, int encoding)
{
    (void)rdb;
    (void)encoding;
    return NULL;
}

int registry_register(RedisModuleCtx *ctx)
{
    RedisModuleTypeMethods methods = {
        .version = REDISMODULE_TYPE_METHOD_VERSION,
        .rdb_load = load_nothing,
        .aof_rewrite = rewrite_placeholder,
        .aux_load = load_aux,
        .aux_save = save_aux,
        .aux_save_triggers = REDISMODULE_AUX_BEFORE_RDB,
    };
    value_types_rewrite_hook(rewrite_begins);
    for (struct registry_kind *const *kind = kinds; *kind; kind++) {
        (*kind)->objects = RedisModule_CreateDict(NULL);
        (*kind)->aside = RedisModule_CreateDict(NULL);
    }
    placeholder_type = RedisModule_CreateDataType(ctx, "rl-policy", 0, &methods);
    bool registered = placeholder_type;
    const struct {
        RedisModuleEvent event;
        RedisModuleEventCallback happened;
    } events[] = {{RedisModuleEvent_Loading, loading_happened},
                  {RedisModuleEvent_ReplAsyncLoad, aside_happened},
                  {RedisModuleEvent_Persistence, saving_happened}};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]) && registered; i++) {
        registered = RedisModule_SubscribeToServerEvent(ctx, events[i].event, events[i].happened) == REDISMODULE_OK;
    }
    return registered ? REDISMODULE_OK : REDISMODULE_ERR;
}

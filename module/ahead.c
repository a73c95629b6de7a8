/* A table of few names, looked through from end to end; see ahead.h. */
#include "ahead.h"
#include "quota/account/account.h"
#include "value_type.h"

#define NAME_BYTES_MAX 4096 /* longer names are not kept: what they cost would not be bounded */

struct ahead {
    RedisModuleString *name; /* NULL = none; held */
    int database;
};

static struct ahead table[AHEAD_MAX]; /* the first `count` are in use */
static uint32_t count, oldest;        /* of a full table the one that goes next */
static struct ahead latest;           /* the account of the latest change … */
static int64_t latest_us;             /* … and its instant */

static void forget(struct ahead *entry)
{
    if (entry->name) RedisModule_FreeString(NULL, entry->name);
    entry->name = NULL;
}

static struct ahead keep(RedisModuleString *name, int database)
{
    return (struct ahead){RedisModule_HoldString(NULL, name), database};
}

static bool is_kept(RedisModuleString *name, int database)
{
    for (uint32_t i = 0; i < count; i++) {
        if (table[i].database == database && bytes_equal(string_bytes(table[i].name), string_bytes(name))) return true;
    }
    return false;
}

static void add(RedisModuleString *name, int database)
{
    if (string_bytes(name).size > NAME_BYTES_MAX || is_kept(name, database)) return;
    if (count < AHEAD_MAX) {
        table[count++] = keep(name, database);
        return;
    }
    forget(&table[oldest]);
    table[oldest] = keep(name, database);
    oldest = (oldest + 1) % AHEAD_MAX;
}

/* The clock has stepped back behind the latest change. */
static void look_at_latest(int64_t now_us)
{
    if (latest_us <= now_us || !latest.name) return;
    add(latest.name, latest.database);
    forget(&latest);
    latest_us = 0;
}

void ahead_opened(RedisModuleCtx *ctx, RedisModuleString *name, int64_t applied_at_us, int64_t now_us)
{
    look_at_latest(now_us);
    if (applied_at_us > now_us) add(name, RedisModule_GetSelectedDb(ctx));
}

void ahead_changed(RedisModuleCtx *ctx, RedisModuleString *name, int64_t applied_at_us)
{
    if (applied_at_us < latest_us || string_bytes(name).size > NAME_BYTES_MAX) return;
    forget(&latest);
    latest = keep(name, RedisModule_GetSelectedDb(ctx));
    latest_us = applied_at_us;
}

static bool is_ahead(RedisModuleCtx *ctx, const struct ahead *entry, int64_t now_us)
{
    struct handle handle;
    if (RedisModule_SelectDb(ctx, entry->database) != REDISMODULE_OK) return false;
    if (!handle_read(ctx, &account_type, entry->name, &handle)) return false;
    const struct account *account = handle.value;
    bool ahead = account && account->applied_at_us > now_us;
    handle_close(&handle);
    return ahead;
}

uint32_t ahead_count(RedisModuleCtx *ctx, int64_t now_us)
{
    int database = RedisModule_GetSelectedDb(ctx);
    uint32_t left = 0;
    look_at_latest(now_us);
    for (uint32_t i = 0; i < count; i++) {
        if (is_ahead(ctx, &table[i], now_us)) {
            table[left++] = table[i];
        } else {
            forget(&table[i]);
        }
    }
    if (left < count) oldest = 0;
    count = left;
    RedisModule_SelectDb(ctx, database);
    return count;
}

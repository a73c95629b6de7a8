/* Settings and their setters; see config.h. */
#include "config.h"
#include "quota/account/plan.h"
#include "quota/time/duration.h"
#include "zones.h"

#define ID_TTL_MS_DEFAULT  INT64_C(86400000)
#define ID_TTL_MS_MAX      INT64_C(3153600000000) /* a hundred years */
#define ID_MAX_DEFAULT     1000000
#define ID_MAX_MOST        10000000
#define VIOLATIONS_DEFAULT 10000
#define VIOLATIONS_MOST    1000000
#define EVENTS_DEFAULT     100000
#define EVENTS_MOST        100000000
#define EVENTS_BYTES       (INT64_C(64) << 20)
#define EVENTS_BYTES_MOST  (INT64_C(1) << 40)

static RedisModuleString *folder_shown, *plan_shown; /* what CONFIG GET answers; the server asks us to keep it */
static char default_plan[PLAN_NAME_MAX];
static size_t default_plan_size;
static int64_t id_ttl_ms = ID_TTL_MS_DEFAULT;
static int64_t id_max = ID_MAX_DEFAULT;
static int64_t violations_max = VIOLATIONS_DEFAULT;
static int64_t events_max = EVENTS_DEFAULT, events_bytes = EVENTS_BYTES;
static int events_level = EVENTS_ALL;
static bool auto_open;

struct bytes config_default_plan(void)
{
    return (struct bytes){default_plan, default_plan_size};
}

bool config_auto_open(void)
{
    return auto_open;
}

int64_t config_id_ttl_us(void)
{
    return id_ttl_ms * MICROS_PER_MILLI;
}

uint32_t config_id_max(void)
{
    return (uint32_t)id_max;
}

int64_t config_violations_max(void)
{
    return violations_max;
}

enum event_level config_events(void)
{
    return (enum event_level)events_level;
}

int64_t config_events_max(void)
{
    return events_max;
}

int64_t config_events_bytes(void)
{
    return events_bytes;
}

static RedisModuleString *show(RedisModuleString **shown, struct bytes text)
{
    if (*shown) RedisModule_FreeString(NULL, *shown);
    *shown = RedisModule_CreateString(NULL, text.data, text.size);
    return *shown;
}

static RedisModuleString *get_folder(const char *name, void *unused)
{
    (void)name;
    (void)unused;
    return show(&folder_shown, (struct bytes){zones_folder(), strlen(zones_folder())});
}

static int set_folder(const char *name, RedisModuleString *value, void *unused, RedisModuleString **error)
{
    (void)name;
    (void)unused;
    struct bytes folder = string_bytes(value);
    if (folder.size == 0 || folder.size > 255 || folder.data[0] != '/' || memchr(folder.data, '\0', folder.size)) {
        *error = RedisModule_CreateStringPrintf(NULL, "quota.tzdir is an absolute path of at most 255 bytes");
        return REDISMODULE_ERR;
    }
    zones_use_folder(folder.data);
    return REDISMODULE_OK;
}

static RedisModuleString *get_plan(const char *name, void *unused)
{
    (void)name;
    (void)unused;
    return show(&plan_shown, config_default_plan());
}

static int set_plan(const char *name, RedisModuleString *value, void *unused, RedisModuleString **error)
{
    (void)name;
    (void)unused;
    struct bytes plan = string_bytes(value);
    if (plan.size > PLAN_NAME_MAX) {
        *error = RedisModule_CreateStringPrintf(NULL, "quota.default-plan is a plan's name of at most 128 bytes");
        return REDISMODULE_ERR;
    }
    memcpy(default_plan, plan.data, plan.size);
    default_plan_size = plan.size;
    return REDISMODULE_OK;
}

/* Numbers and switches live where `place` points. */
static long long get_number(const char *name, void *place)
{
    (void)name;
    return *(int64_t *)place;
}

static int set_number(const char *name, long long value, void *place, RedisModuleString **error)
{
    (void)name;
    (void)error;
    *(int64_t *)place = value;
    return REDISMODULE_OK;
}

static int get_switch(const char *name, void *place)
{
    (void)name;
    return *(bool *)place;
}

static int set_switch(const char *name, int value, void *place, RedisModuleString **error)
{
    (void)name;
    (void)error;
    *(bool *)place = value != 0;
    return REDISMODULE_OK;
}

static int get_word(const char *name, void *place)
{
    (void)name;
    return *(int *)place;
}

static int set_word(const char *name, int value, void *place, RedisModuleString **error)
{
    (void)name;
    (void)error;
    *(int *)place = value;
    return REDISMODULE_OK;
}

static bool register_events(RedisModuleCtx *ctx)
{
    static const char *words[] = {"none", "admin", "all", "usage"};
    static const int levels[] = {EVENTS_NONE, EVENTS_ADMIN, EVENTS_ALL, EVENTS_USAGE};
    return RedisModule_RegisterEnumConfig(ctx, "events", EVENTS_ALL, REDISMODULE_CONFIG_DEFAULT, words, levels, 4,
                                          get_word, set_word, NULL, &events_level) == REDISMODULE_OK &&
           RedisModule_RegisterNumericConfig(ctx, "events-max", EVENTS_DEFAULT, REDISMODULE_CONFIG_DEFAULT, 0,
                                             EVENTS_MOST, get_number, set_number, NULL,
                                             &events_max) == REDISMODULE_OK &&
           RedisModule_RegisterNumericConfig(ctx, "events-bytes", EVENTS_BYTES, REDISMODULE_CONFIG_MEMORY, 0,
                                             EVENTS_BYTES_MOST, get_number, set_number, NULL,
                                             &events_bytes) == REDISMODULE_OK;
}

int config_register(RedisModuleCtx *ctx)
{
    bool registered =
        register_events(ctx) &&
        RedisModule_RegisterStringConfig(ctx, "tzdir", zones_folder(), REDISMODULE_CONFIG_DEFAULT, get_folder,
                                         set_folder, NULL, NULL) == REDISMODULE_OK &&
        RedisModule_RegisterStringConfig(ctx, "default-plan", "", REDISMODULE_CONFIG_DEFAULT, get_plan, set_plan, NULL,
                                         NULL) == REDISMODULE_OK &&
        RedisModule_RegisterBoolConfig(ctx, "auto-open", 0, REDISMODULE_CONFIG_DEFAULT, get_switch, set_switch, NULL,
                                       &auto_open) == REDISMODULE_OK &&
        RedisModule_RegisterNumericConfig(ctx, "id-ttl-ms", ID_TTL_MS_DEFAULT, REDISMODULE_CONFIG_DEFAULT, 1,
                                          ID_TTL_MS_MAX, get_number, set_number, NULL, &id_ttl_ms) == REDISMODULE_OK &&
        RedisModule_RegisterNumericConfig(ctx, "id-max", ID_MAX_DEFAULT, REDISMODULE_CONFIG_DEFAULT, 1, ID_MAX_MOST,
                                          get_number, set_number, NULL, &id_max) == REDISMODULE_OK &&
        RedisModule_RegisterNumericConfig(ctx, "violations-max", VIOLATIONS_DEFAULT, REDISMODULE_CONFIG_DEFAULT, 0,
                                          VIOLATIONS_MOST, get_number, set_number, NULL,
                                          &violations_max) == REDISMODULE_OK;
    return registered ? RedisModule_LoadConfigs(ctx) : REDISMODULE_ERR;
}

bool config_server_is(RedisModuleCtx *ctx, const char *setting, const char *word)
{
    RedisModuleCallReply *reply = RedisModule_Call(ctx, "CONFIG", "cc", "GET", setting);
    RedisModuleCallReply *value = reply ? RedisModule_CallReplyArrayElement(reply, 1) : NULL;
    struct bytes text = {"", 0};
    if (value) text.data = RedisModule_CallReplyStringPtr(value, &text.size);
    bool is_word = text.data && bytes_is_word(text, word);
    if (reply) RedisModule_FreeCallReply(reply);
    return is_word;
}

/* The value type of accounts, data type `q-account`: quota/account.h in the words of value_type.h; and their events. */
#include "config.h"
#include "event_log.h"
#include "quota/account/account_codec.h"
#include "quota/account/account_writer.h"
#include "quota/account/promise.h"
#include "value_type.h"

static struct event_sink made; /* by the latest change that was applied; its memory is used again */
static struct event_id first,
    carried; /* of the latest decision: its first event; of the latest replay: what it carries */

/* Events of a change at this level go to `made`. */
static struct account_change watched(const struct account_change *change, enum event_level level)
{
    struct account_change seen = *change;
    made.level = level;
    made.count = 0;
    made.events.size = 0;
    seen.events = level > EVENTS_NONE ? &made : NULL;
    return seen;
}

static void *apply(void *value, const void *decision)
{
    struct account_change change = watched(decision, config_events());
    carried = (struct event_id){0, 0};
    return account_apply(value, &change);
}

static bool has_effects(const void *change)
{
    return ((const struct account_change *)change)->changes.size > 0;
}

static bool adds_record(const void *change)
{
    return ((const struct account_change *)change)->adds_record;
}

/* They carry the id of the first event that applying them has just made. */
static void encode_effects(const void *decision, bool no_expire, struct sink *sink)
{
    struct account_change change = *(const struct account_change *)decision;
    change.first_event = first;
    change.level = made.level;
    account_effects_encode(&change, no_expire, sink);
}

static bool replay(void **value, struct bytes effects, bool *no_expire)
{
    struct account_change change;
    if (!account_effects_decode(effects, &change, no_expire) || !account_accepts(*value, &change)) return false;
    carried = change.first_event;
    change = watched(&change, carried.sequence > 0 ? change.level : EVENTS_NONE);
    *value = account_apply(*value, &change);
    return true;
}

static void happened(RedisModuleCtx *ctx, RedisModuleString *name)
{
    first = (struct event_id){0, 0};
    if (made.count == 0) return;
    if (carried.sequence > 0) {
        event_log_repeat(ctx, string_bytes(name), &made, carried);
    } else {
        first = event_log_take(ctx, string_bytes(name), &made);
    }
}

static void effects_without_events(struct bytes effects, struct sink *without)
{
    struct account_change change;
    bool no_expire;
    if (!account_effects_decode(effects, &change, &no_expire)) {
        sink_raw(without, effects.data, effects.size);
        return;
    }
    change.first_event = (struct event_id){0, 0};
    account_effects_encode(&change, no_expire, without);
}

static void encode(const void *value, struct sink *sink)
{
    account_encode(value, sink);
}

static int64_t deadline_us(const void *value)
{
    return account_deadline_us(value);
}

/* Shared plans, rule sets and strings are counted under their tables' mutexes: any thread may free an account. */
static void free_value(void *value)
{
    account_free(value);
}

static size_t bytes_of(const void *value)
{
    return account_bytes(value);
}

struct value_type account_type = {.type_name = "q-account",
                                  .event = "quota.consume",
                                  .format = &account_format,
                                  .adds_record = adds_record,
                                  .happened = happened,
                                  .effects_without_events = effects_without_events,
                                  VALUE_TYPE_ROW};

/* The value type of limiter tables, data type `rl-tables`: quota/table.h in the words of value_type.h. */
#include "quota/rate/table_codec.h"
#include "value_type.h"

/* A table stays until it is deleted, however idle its subjects. */
static int64_t table_deadline_us(const struct table *table)
{
    (void)table;
    return INSTANT_MAX_US;
}

/* Freeing touches its own value and the guarded table of rule sets only: any thread may do it. */
VALUE_TYPE_FUNCTIONS(table)

static bool has_effects(const void *decision)
{
    return table_decision_has_effects(decision);
}

static bool adds_record(const void *decision)
{
    return ((const struct table_decision *)decision)->new_subject;
}

static void encode_effects(const void *decision, bool no_expire, struct sink *sink)
{
    table_effects_encode(decision, no_expire, sink);
}

static void begin_effects(int64_t now_us, bool no_expire, struct sink *sink)
{
    table_takes_begin(now_us, no_expire, sink);
}

static void add_effects(const void *decision, struct sink *sink)
{
    table_takes_add(decision, sink);
}

static bool replay(void **value, struct bytes effects, bool *no_expire)
{
    struct rule rules[RULES_MAX];
    struct table_decision decision;
    if (table_are_takes(effects)) return table_takes_repeat(*value, effects, no_expire);
    if (!table_effects_decode(effects, rules, &decision, no_expire) || !table_accepts(*value, &decision)) return false;
    *value = table_apply(*value, &decision);
    return true;
}

struct value_type table_type = {.type_name = "rl-tables",
                                .event = "rl.take",
                                .format = &table_format,
                                .adds_record = adds_record,
                                .effects_begin = begin_effects,
                                .effects_add = add_effects,
                                VALUE_TYPE_ROW};

/* Bytes and text of one rule; see rule_codec.h. */
#include "quota/rate/rule_codec.h"
#include "quota/base/checked.h"
#include "quota/rate/algorithm.h"

#define FLAGS_SHIFT 4

void rule_encode(const struct rule *rule, struct sink *sink)
{
    sink_byte(sink, (uint8_t)(rule->algorithm | rule->flags << FLAGS_SHIFT));
    sink_signed(sink, rule->limit);
    sink_number(sink, rule->period_us);
    sink_signed(sink, rule->capacity - rule->limit); /* both 0 for most rules */
    sink_signed(sink, rule->capacity - rule->initial);
}

void rule_decode(struct cursor *cursor, struct rule *rule)
{
    uint8_t head = cursor_byte(cursor);
    *rule = (struct rule){.algorithm = head & ((1u << FLAGS_SHIFT) - 1), .flags = head >> FLAGS_SHIFT};
    rule->limit = cursor_signed(cursor);
    rule->period_us = cursor_number(cursor);
    bool fits = add_checked(rule->limit, cursor_signed(cursor), &rule->capacity);
    fits = fits && !__builtin_sub_overflow(rule->capacity, cursor_signed(cursor), &rule->initial);
    if (!fits || rule_fault(rule)) cursor->bad = true;
    if (!cursor->bad) rule_complete(rule);
}

void rule_write(const struct rule *rule, struct sink *sink)
{
    int64_t waiting = rule->algorithm == RULE_QUEUE && !rule_is_constant(rule); /* the one served is not BURST's */
    const char *name = algorithm_of(rule)->name;
    sink_raw(sink, name, strlen(name));
    sink_byte(sink, ' ');
    sink_decimal(sink, rule->limit);
    sink_byte(sink, ' ');
    sink_duration(sink, rule->period_us);
    if (rule->capacity - waiting != rule->limit) {
        sink_raw(sink, " BURST ", 7);
        sink_decimal(sink, rule->capacity - waiting);
    }
    if (rule->initial != rule->capacity) {
        sink_raw(sink, " INITIAL ", 9);
        sink_decimal(sink, rule->initial);
    }
    if (rule->flags & RULE_INTERVAL) sink_raw(sink, " INTERVAL", 9);
    if (rule->flags & RULE_FIRST) sink_raw(sink, " FIRST", 6);
}

/* Checks, encodes and writes the terms of one resource; see terms.h. */
#include "quota/terms.h"
#include "quota/checked.h"
#include "quota/rule_codec.h"

#define PRORATE_FLAG 4
#define REPAY_FLAG   1
#define OVERAGE_FLAG 2

struct terms terms_none(struct span resource)
{
    return (struct terms){.resource = resource, .cost = 1, .refunds_max = -1, .holds_max = -1};
}

/* ---- what is wrong --------------------------------------------------------------------------------------- */

static const char *quota_rule_fault(const struct quota_rule *rule)
{
    switch (rule->kind) {
    case QUOTA_LIMIT:
        if (rule->limit < UNLIMITED) return "a LIMIT is -1 (unlimited), 0 (none) or more";
        return period_fault(&rule->period);
    case QUOTA_ROLLING:
        if (rule->rule.algorithm != RULE_LOG) return "ROLLING counts by a LOG";
        return rule_fault(&rule->rule);
    case QUOTA_RATE: return rule_fault(&rule->rule);
    }
    return "no such kind of rule";
}

/* Two rules of one resource that could not be told apart. */
static bool rules_clash(const struct quota_rule *left, const struct quota_rule *right)
{
    if (left->kind != right->kind) return false;
    if (left->kind == QUOTA_LIMIT) return quota_rule_code(left) == quota_rule_code(right);
    return left->kind == QUOTA_ROLLING && left->rule.period_us == right->rule.period_us;
}

static const char *rules_fault(const struct terms *terms)
{
    if (terms->rules_count == 0) return "needs a LIMIT or a RATE";
    if (terms->rules_count > TERMS_RULES_MAX) return "has at most 16 LIMITs and RATEs";
    for (uint32_t i = 0; i < terms->rules_count; i++) {
        const char *fault = quota_rule_fault(&terms->rules[i]);
        if (fault) return fault;
        for (uint32_t k = 0; k < i; k++) {
            if (rules_clash(&terms->rules[i], &terms->rules[k])) return "has two LIMITs of the same period";
        }
    }
    return NULL;
}

const char *terms_fault(const struct terms *terms)
{
    const char *fault = rules_fault(terms);
    if (fault) return fault;
    if (terms->resource.size == 0 || terms->resource.size > RESOURCE_NAME_MAX) return "has a name of 1 to 128 bytes";
    if (terms->cost < 1) return "COST is 1 or more";
    if (terms->warnings_count > TERMS_WARNINGS_MAX) return "has at most 16 warnings";
    for (uint32_t i = 0; i < terms->warnings_count; i++) {
        int64_t before_bp = i > 0 ? terms->warnings_bp[i - 1] : 0;
        if (terms->warnings_bp[i] <= before_bp || terms->warnings_bp[i] > TERMS_PERCENT_MAX_BP) {
            return "warnings are 0.01 to 10000 percent, each once";
        }
    }
    if (terms->burst_bp < 0 || terms->burst_bp > TERMS_PERCENT_MAX_BP) return "BURST is 0 to 10000 percent";
    if (terms->grace_us < 0 || terms->grace_us > SPAN_MAX_US) return "GRACE is too long";
    if (terms->refunds_max < -1 || terms->holds_max < -1) return "MAX is 0 or more";
    if (terms->refunds_within_us < 0 || terms->refunds_within_us > SPAN_MAX_US) return "WITHIN is too long";
    return NULL;
}

/* Insertion sort; there are at most sixteen. */
void terms_sort_warnings(struct terms *terms)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < terms->warnings_count; i++) {
        int64_t bp = terms->warnings_bp[i];
        uint32_t at = kept;
        while (at > 0 && terms->warnings_bp[at - 1] > bp) at--;
        if (at > 0 && terms->warnings_bp[at - 1] == bp) continue;
        memmove(&terms->warnings_bp[at + 1], &terms->warnings_bp[at], (kept - at) * sizeof(bp));
        terms->warnings_bp[at] = bp;
        kept++;
    }
    terms->warnings_count = kept;
}

/* ---- questions ------------------------------------------------------------------------------------------- */

const struct quota_rule *terms_limit(const struct terms *terms, uint64_t code)
{
    for (uint32_t i = 0; terms && i < terms->rules_count; i++) {
        const struct quota_rule *rule = &terms->rules[i];
        if (rule->kind == QUOTA_LIMIT && quota_rule_code(rule) == code) return rule;
    }
    return NULL;
}

uint32_t terms_rates(const struct terms *terms, struct rule rates[TERMS_RULES_MAX], uint8_t places[TERMS_RULES_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < terms->rules_count; i++) {
        if (terms->rules[i].kind != QUOTA_RATE) continue;
        places[count] = (uint8_t)i;
        rates[count++] = terms->rules[i].rule;
    }
    return count;
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

void terms_encode(const struct terms *terms, struct sink *sink)
{
    sink_bytes(sink, terms->resource);
    sink_number(sink, terms->cost);
    sink_number(sink, terms->rules_count);
    for (uint32_t i = 0; i < terms->rules_count; i++) {
        const struct quota_rule *rule = &terms->rules[i];
        sink_byte(sink, (uint8_t)(rule->kind | (rule->prorate ? PRORATE_FLAG : 0)));
        if (rule->kind == QUOTA_LIMIT) {
            sink_signed(sink, rule->limit);
            sink_number(sink, (int64_t)quota_rule_code(rule));
        } else {
            rule_encode(&rule->rule, sink);
        }
    }
    sink_number(sink, terms->warnings_count);
    for (uint32_t i = 0; i < terms->warnings_count; i++) sink_number(sink, terms->warnings_bp[i]);
    sink_number(sink, terms->burst_bp);
    sink_byte(sink, (uint8_t)((terms->repay ? REPAY_FLAG : 0) | (terms->overage ? OVERAGE_FLAG : 0)));
    sink_number(sink, terms->grace_us);
    sink_signed(sink, terms->refunds_max);
    sink_number(sink, terms->refunds_within_us);
    sink_signed(sink, terms->holds_max);
}

static void quota_rule_decode(struct cursor *cursor, struct quota_rule *rule)
{
    uint8_t head = cursor_byte(cursor);
    *rule = (struct quota_rule){.kind = (enum quota_kind)(head & ~PRORATE_FLAG), .prorate = head & PRORATE_FLAG};
    if (rule->kind > QUOTA_RATE || (rule->prorate && rule->kind != QUOTA_LIMIT)) cursor->bad = true;
    if (cursor->bad) return;
    if (rule->kind != QUOTA_LIMIT) {
        rule_decode(cursor, &rule->rule);
        return;
    }
    rule->limit = cursor_signed(cursor);
    rule->code = (uint64_t)cursor_number(cursor);
    if (!period_from_code(rule->code, &rule->period)) cursor->bad = true;
}

void terms_decode(struct cursor *cursor, struct terms *terms)
{
    *terms = terms_none(cursor_bytes(cursor));
    terms->cost = cursor_number(cursor);
    terms->rules_count = (uint32_t)cursor_number_between(cursor, 1, TERMS_RULES_MAX);
    for (uint32_t i = 0; i < terms->rules_count && !cursor->bad; i++) quota_rule_decode(cursor, &terms->rules[i]);
    terms->warnings_count = (uint32_t)cursor_number_between(cursor, 0, TERMS_WARNINGS_MAX);
    for (uint32_t i = 0; i < terms->warnings_count; i++) terms->warnings_bp[i] = cursor_number(cursor);
    terms->burst_bp = cursor_number(cursor);
    uint8_t flags = cursor_byte(cursor);
    terms->repay = flags & REPAY_FLAG;
    terms->overage = flags & OVERAGE_FLAG;
    terms->grace_us = cursor_number(cursor);
    terms->refunds_max = cursor_signed(cursor);
    terms->refunds_within_us = cursor_number(cursor);
    terms->holds_max = cursor_signed(cursor);
    if (flags > (REPAY_FLAG | OVERAGE_FLAG) || cursor->bad || terms_fault(terms)) cursor->bad = true;
    if (cursor->bad) terms->rules_count = terms->warnings_count = 0;
}

/* ---- text ------------------------------------------------------------------------------------------------ */

static void write_word(struct sink *sink, const char *word)
{
    sink_raw(sink, word, strlen(word));
}

static void write_rule(const struct quota_rule *rule, struct sink *sink)
{
    if (rule->kind == QUOTA_RATE) {
        write_word(sink, "RATE ");
        rule_write(&rule->rule, sink);
        return;
    }
    write_word(sink, "LIMIT ");
    sink_decimal(sink, rule->kind == QUOTA_LIMIT ? rule->limit : rule->rule.limit);
    sink_byte(sink, ' ');
    if (rule->kind == QUOTA_ROLLING) {
        write_word(sink, "ROLLING ");
        sink_duration(sink, rule->rule.period_us);
        return;
    }
    period_write(&rule->period, sink);
    period_write_alignment(&rule->period, sink);
    if (rule->prorate) write_word(sink, " PRORATE");
}

static void write_warnings(const struct terms *terms, struct sink *sink)
{
    write_word(sink, "WARN");
    for (uint32_t i = 0; i < terms->warnings_count; i++) {
        sink_byte(sink, ' ');
        sink_percent(sink, terms->warnings_bp[i]);
    }
}

static void write_burst(const struct terms *terms, struct sink *sink)
{
    write_word(sink, "BURST ");
    sink_percent(sink, terms->burst_bp);
}

static void write_number(struct sink *sink, const char *word, int64_t number)
{
    write_word(sink, word);
    sink_decimal(sink, number);
}

static void write_refunds(const struct terms *terms, struct sink *sink)
{
    write_word(sink, "REFUNDS");
    if (terms->refunds_max >= 0) write_number(sink, " MAX ", terms->refunds_max);
    if (terms->refunds_within_us == 0) return;
    write_word(sink, " WITHIN ");
    sink_duration(sink, terms->refunds_within_us);
}

static void write_grace(const struct terms *terms, struct sink *sink)
{
    write_word(sink, "GRACE ");
    sink_duration(sink, terms->grace_us);
}

bool terms_write(const struct terms *terms, uint32_t nth, struct sink *sink)
{
    if (terms->burst_bp > 0 && nth-- == 0) return write_burst(terms, sink), true;
    if (nth < terms->rules_count) {
        write_rule(&terms->rules[nth], sink);
        return true;
    }
    nth -= terms->rules_count;
    if (terms->cost > 1 && nth-- == 0) return write_number(sink, "COST ", terms->cost), true;
    if (terms->warnings_count > 0 && nth-- == 0) return write_warnings(terms, sink), true;
    if (terms->repay && nth-- == 0) return write_word(sink, "REPAY"), true;
    if (terms->grace_us > 0 && nth-- == 0) return write_grace(terms, sink), true;
    if ((terms->refunds_max >= 0 || terms->refunds_within_us > 0) && nth-- == 0)
        return write_refunds(terms, sink), true;
    if (terms->holds_max >= 0 && nth-- == 0) return write_number(sink, "HOLDS MAX ", terms->holds_max), true;
    if (terms->overage && nth-- == 0) return write_word(sink, "OVERAGE"), true;
    return false;
}

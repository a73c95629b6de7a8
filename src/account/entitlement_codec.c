/* Bytes and text of an entitlement, both ways; the drawing is in entitlement_codec.h. */
#include "quota/account/entitlement_codec.h"
#include "quota/base/checked.h"
#include "quota/rate/rule_codec.h"

/* In front of a rule, beside its kind. */
#define PRORATE_FLAG    4
#define ROLLOVER_FLAG   8
#define KIND_LOW_BITS   3
#define KIND_HIGH_SHIFT 2 /* of bits above the low ones: they stand behind the flags */
/* Of options. */
#define REPAY_FLAG       1
#define OVERAGE_FLAG     2
#define CREDITS_FLAG     4
#define FIRST_FLAG       8
#define LOW_FLAG         16
#define OVERAGE_MAX_FLAG 32
#define TRANSFERS_FLAG   64
#define AS_FLAG          128
/* In the number of warnings, since the flags above are all there are: more options follow at the end. */
#define MORE_FLAG  32
#define SHARE_BITS 3
#define PRICE_BIT  4

/* ---- bytes ----------------------------------------------------------------------------------------------- */

static uint8_t flags_of(const struct entitlement *entitlement)
{
    return (uint8_t)((entitlement->repay ? REPAY_FLAG : 0) | (entitlement->overage ? OVERAGE_FLAG : 0) |
                     (entitlement->credits ? CREDITS_FLAG : 0) | (entitlement->credits_first ? FIRST_FLAG : 0) |
                     (entitlement->credits_low >= 0 ? LOW_FLAG : 0) |
                     (entitlement->overage_max >= 0 ? OVERAGE_MAX_FLAG : 0) |
                     (entitlement->transfers_max >= 0 ? TRANSFERS_FLAG : 0) | (entitlement->as.size > 0 ? AS_FLAG : 0));
}

static uint8_t rule_head(const struct quota_rule *rule)
{
    uint8_t flags = (uint8_t)((rule->prorate ? PRORATE_FLAG : 0) | (rule->rollover_bp > 0 ? ROLLOVER_FLAG : 0));
    unsigned kind = rule->kind, low = kind & KIND_LOW_BITS;
    return (uint8_t)(low | flags | (kind - low) << KIND_HIGH_SHIFT);
}

static void rollover_encode(const struct quota_rule *rule, struct sink *sink)
{
    sink_number(sink, rule->rollover_bp);
    sink_signed(sink, rule->rollover_max);
    sink_number(sink, rule->rollover_cycles);
}

static void rollover_decode(struct cursor *cursor, struct quota_rule *rule)
{
    rule->rollover_bp = cursor_number_between(cursor, 1, BP_WHOLE);
    rule->rollover_max = cursor_signed(cursor);
    rule->rollover_cycles = cursor_number(cursor);
}

void entitlement_encode(const struct entitlement *entitlement, struct sink *sink)
{
    sink_bytes(sink, entitlement->resource);
    sink_number(sink, entitlement->cost);
    sink_number(sink, entitlement->rules_count);
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        const struct quota_rule *rule = &entitlement->rules[i];
        sink_byte(sink, rule_head(rule));
        bool has_rule = rule->kind == QUOTA_ROLLING || quota_rule_is_rate(rule);
        if (has_rule) rule_encode(&rule->rule, sink);
        if (!has_rule) sink_signed(sink, rule->limit);
        if (rule->kind == QUOTA_LIMIT) sink_number(sink, (int64_t)quota_rule_code(rule));
        if (rule->rollover_bp > 0) rollover_encode(rule, sink);
    }
    bool has_price = entitlement->price.size > 0, more = has_price || entitlement->share != SHARE_FIRST;
    sink_number(sink, entitlement->warnings_count | (more ? MORE_FLAG : 0));
    for (uint32_t i = 0; i < entitlement->warnings_count; i++) sink_number(sink, entitlement->warnings_bp[i]);
    sink_number(sink, entitlement->burst_bp);
    sink_byte(sink, flags_of(entitlement));
    sink_number(sink, entitlement->grace_us);
    sink_signed(sink, entitlement->refunds_max);
    sink_number(sink, entitlement->refunds_within_us);
    sink_signed(sink, entitlement->holds_max);
    if (entitlement->credits_low >= 0) sink_number(sink, entitlement->credits_low);
    if (entitlement->overage_max >= 0) sink_number(sink, entitlement->overage_max);
    if (entitlement->transfers_max >= 0) sink_number(sink, entitlement->transfers_max);
    if (entitlement->as.size > 0) sink_bytes(sink, entitlement->as);
    if (more) sink_byte(sink, (uint8_t)(entitlement->share | (has_price ? PRICE_BIT : 0)));
    if (has_price) sink_bytes(sink, entitlement->price);
}

static void quota_rule_decode(struct cursor *cursor, struct quota_rule *rule)
{
    uint8_t head = cursor_byte(cursor);
    bool of_limit = head & (PRORATE_FLAG | ROLLOVER_FLAG);
    uint8_t high = (uint8_t)((head & ~(KIND_LOW_BITS | PRORATE_FLAG | ROLLOVER_FLAG)) >> KIND_HIGH_SHIFT);
    *rule =
        (struct quota_rule){.kind = (enum quota_kind)((head & KIND_LOW_BITS) | high), .prorate = head & PRORATE_FLAG};
    if (rule->kind > QUOTA_THROTTLE || (of_limit && rule->kind != QUOTA_LIMIT)) cursor->bad = true;
    if (cursor->bad) return;
    if (rule->kind == QUOTA_ROLLING || quota_rule_is_rate(rule)) {
        rule_decode(cursor, &rule->rule);
        return;
    }
    rule->limit = cursor_signed(cursor);
    if (rule->kind == QUOTA_CONCURRENT) return;
    rule->code = (uint64_t)cursor_number(cursor);
    if (!period_from_code(rule->code, &rule->period)) cursor->bad = true;
    if (head & ROLLOVER_FLAG) rollover_decode(cursor, rule);
}

static void as_decode(struct cursor *cursor, struct entitlement *entitlement)
{
    entitlement->as = cursor_bytes(cursor);
    if (entitlement->as.size == 0) cursor->bad = true;
}

/* A byte: SHARE in its two lowest bits, and whether a PRICE follows. */
static void more_decode(struct cursor *cursor, struct entitlement *entitlement)
{
    uint8_t more = cursor_byte(cursor);
    entitlement->share = (enum share_how)(more & SHARE_BITS);
    if (more == 0 || more > (SHARE_BITS | PRICE_BIT)) cursor->bad = true;
    if (!(more & PRICE_BIT)) return;
    entitlement->price = cursor_bytes(cursor);
    if (entitlement->price.size == 0) cursor->bad = true;
}

void entitlement_decode(struct cursor *cursor, struct entitlement *entitlement)
{
    *entitlement = entitlement_none(cursor_bytes(cursor));
    entitlement->cost = cursor_number(cursor);
    entitlement->rules_count = (uint32_t)cursor_number_between(cursor, 0, ENTITLEMENT_RULES_MAX);
    for (uint32_t i = 0; i < entitlement->rules_count && !cursor->bad; i++)
        quota_rule_decode(cursor, &entitlement->rules[i]);
    uint32_t warnings = (uint32_t)cursor_number_between(cursor, 0, MORE_FLAG | ENTITLEMENT_WARNINGS_MAX);
    entitlement->warnings_count = warnings & ~(uint32_t)MORE_FLAG;
    if (entitlement->warnings_count > ENTITLEMENT_WARNINGS_MAX) cursor->bad = true;
    if (cursor->bad) entitlement->warnings_count = 0;
    for (uint32_t i = 0; i < entitlement->warnings_count; i++) entitlement->warnings_bp[i] = cursor_number(cursor);
    entitlement->burst_bp = cursor_number(cursor);
    uint8_t flags = cursor_byte(cursor);
    entitlement->repay = flags & REPAY_FLAG;
    entitlement->overage = flags & OVERAGE_FLAG;
    entitlement->credits = flags & CREDITS_FLAG;
    entitlement->credits_first = flags & FIRST_FLAG;
    entitlement->grace_us = cursor_number(cursor);
    entitlement->refunds_max = cursor_signed(cursor);
    entitlement->refunds_within_us = cursor_number(cursor);
    entitlement->holds_max = cursor_signed(cursor);
    if (flags & LOW_FLAG) entitlement->credits_low = cursor_number(cursor);
    if (flags & OVERAGE_MAX_FLAG) entitlement->overage_max = cursor_number(cursor);
    if (flags & TRANSFERS_FLAG) entitlement->transfers_max = cursor_number(cursor);
    if (flags & AS_FLAG) as_decode(cursor, entitlement);
    if (warnings & MORE_FLAG) more_decode(cursor, entitlement);
    if (cursor->bad || override_fault(entitlement)) cursor->bad = true;
    if (cursor->bad) entitlement->rules_count = entitlement->warnings_count = 0;
}

/* ---- text ------------------------------------------------------------------------------------------------ */

static void write_word(struct sink *sink, const char *word)
{
    sink_raw(sink, word, strlen(word));
}

static void write_percent(int64_t bp, struct sink *sink)
{
    sink_percent(sink, bp);
    sink_byte(sink, '%');
}

static void write_number(struct sink *sink, const char *word, int64_t number)
{
    write_word(sink, word);
    sink_decimal(sink, number);
}

static void write_rollover(const struct quota_rule *rule, struct sink *sink)
{
    write_word(sink, " ROLLOVER ");
    write_percent(rule->rollover_bp, sink);
    if (rule->rollover_max >= 0) write_number(sink, " MAX ", rule->rollover_max);
    if (rule->rollover_cycles > 1) write_number(sink, " FOR ", rule->rollover_cycles);
}

static void write_rule(const struct quota_rule *rule, struct sink *sink)
{
    if (quota_rule_is_rate(rule)) {
        write_word(sink, rule->kind == QUOTA_RATE ? "RATE " : "THROTTLE ");
        rule_write(&rule->rule, sink);
        return;
    }
    if (rule->kind == QUOTA_CONCURRENT) {
        write_word(sink, "CONCURRENT ");
        sink_decimal(sink, rule->limit);
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
    if (rule->rollover_bp > 0) write_rollover(rule, sink);
}

static void write_warnings(const struct entitlement *entitlement, struct sink *sink)
{
    write_word(sink, "WARN");
    for (uint32_t i = 0; i < entitlement->warnings_count; i++) {
        sink_byte(sink, ' ');
        write_percent(entitlement->warnings_bp[i], sink);
    }
}

static void write_burst(const struct entitlement *entitlement, struct sink *sink)
{
    write_word(sink, "BURST ");
    write_percent(entitlement->burst_bp, sink);
}

static void write_refunds(const struct entitlement *entitlement, struct sink *sink)
{
    write_word(sink, "REFUNDS");
    if (entitlement->refunds_max >= 0) write_number(sink, " MAX ", entitlement->refunds_max);
    if (entitlement->refunds_within_us == 0) return;
    write_word(sink, " WITHIN ");
    sink_duration(sink, entitlement->refunds_within_us);
}

static void write_credits(const struct entitlement *entitlement, struct sink *sink)
{
    write_word(sink, entitlement->credits_first ? "CREDITS FIRST" : "CREDITS");
    if (entitlement->credits_low >= 0) write_number(sink, " LOW ", entitlement->credits_low);
}

static void write_overage(const struct entitlement *entitlement, struct sink *sink)
{
    write_word(sink, "OVERAGE");
    if (entitlement->overage_max >= 0) write_number(sink, " MAX ", entitlement->overage_max);
}

static void write_grace(const struct entitlement *entitlement, struct sink *sink)
{
    write_word(sink, "GRACE ");
    sink_duration(sink, entitlement->grace_us);
}

static void write_share(const struct entitlement *entitlement, struct sink *sink)
{
    write_word(sink, entitlement->share == SHARE_EQUAL ? "SHARE EQUAL" : "SHARE FAIR");
}

static void write_as(const struct entitlement *entitlement, struct sink *sink)
{
    write_word(sink, "AS ");
    sink_raw(sink, entitlement->as.data, entitlement->as.size);
}

static void write_price(const struct entitlement *entitlement, struct sink *sink)
{
    struct price price;
    if (price_decode(entitlement->price, &price)) price_write(&price, sink);
}

void entitlement_write_rule(const struct entitlement *entitlement, int32_t nth, struct sink *sink)
{
    if (nth >= 0 && (uint32_t)nth < entitlement->rules_count) {
        write_rule(&entitlement->rules[nth], sink);
    } else if (nth == SHARE_TEXT && entitlement->share != SHARE_FIRST) {
        write_share(entitlement, sink);
    } else if (nth >= 0) {
        write_credits(entitlement, sink); /* grants pay without that word, too */
    }
}

bool entitlement_write(const struct entitlement *entitlement, uint32_t nth, struct sink *sink)
{
    if (entitlement->burst_bp > 0 && nth-- == 0) return write_burst(entitlement, sink), true;
    if (nth < entitlement->rules_count) {
        write_rule(&entitlement->rules[nth], sink);
        return true;
    }
    nth -= entitlement->rules_count;
    if (entitlement->as.size > 0 && nth-- == 0) return write_as(entitlement, sink), true;
    if (entitlement->cost > 1 && nth-- == 0) return write_number(sink, "COST ", entitlement->cost), true;
    if (entitlement->warnings_count > 0 && nth-- == 0) return write_warnings(entitlement, sink), true;
    if (entitlement->repay && nth-- == 0) return write_word(sink, "REPAY"), true;
    if (entitlement->grace_us > 0 && nth-- == 0) return write_grace(entitlement, sink), true;
    if ((entitlement->refunds_max >= 0 || entitlement->refunds_within_us > 0) && nth-- == 0)
        return write_refunds(entitlement, sink), true;
    if (entitlement->holds_max >= 0 && nth-- == 0)
        return write_number(sink, "HOLDS MAX ", entitlement->holds_max), true;
    if (entitlement->transfers_max >= 0 && nth-- == 0)
        return write_number(sink, "TRANSFERS MAX ", entitlement->transfers_max), true;
    if (entitlement->credits && nth-- == 0) return write_credits(entitlement, sink), true;
    if (entitlement->overage && nth-- == 0) return write_overage(entitlement, sink), true;
    if (entitlement->share != SHARE_FIRST && nth-- == 0) return write_share(entitlement, sink), true;
    if (entitlement->price.size > 0 && nth-- == 0) return write_price(entitlement, sink), true;
    return false;
}

/* Fuzzes limiter tables: bytes as a value, bytes as effects, and requests against whatever was let in.
 *
 *     input ─▶ first byte even: a value      decode → refused, or encodes to the very same bytes, then is used
 *              first byte odd:  effects      decode → refused, or applied where they are accepted, then used
 *
 * What must hold: no crash, no overflow (UBSan), no leak; deciding changes nothing; what is decided is accepted by a
 * decoded copy, over the wire, and leads both to the same bytes; no more is granted than was requested. */
#include "input.h"
#include "quota/rate/table_codec.h"

static struct sink bytes_of(const struct table *table)
{
    struct sink bytes = {0};
    if (table) table_encode(table, &bytes);
    return bytes;
}

static void require_same(struct bytes bytes, struct sink *again)
{
    require(bytes_equal(bytes, (struct bytes){again->data, again->size}));
    sink_free(again);
}

static struct table *apply_both_ways(struct table *table, const struct sink *before,
                                     const struct table_decision *decision)
{
    struct sink wire = {0};
    struct rule rules[RULES_MAX];
    struct table_decision received;
    bool no_expire;
    struct table *twin = before->size > 0 ? table_decode((struct bytes){before->data, before->size}) : NULL;
    require(before->size == 0 || twin);
    table_effects_encode(decision, false, &wire);
    require(table_effects_decode((struct bytes){wire.data, wire.size}, rules, &received, &no_expire) && !no_expire);
    require(table_accepts(twin, &received) && !table_are_takes(sink_content(&wire)));
    table = table_apply(table, decision);
    if (decision->new_rules) {
        twin = table_apply(twin, &received);
    } else { /* as RL.MTAKE replicates it */
        wire.size = 0;
        table_takes_begin(decision->now_us, false, &wire);
        table_takes_add(decision, &wire);
        require(table_are_takes(sink_content(&wire)) && table_takes_repeat(twin, sink_content(&wire), &no_expire));
    }
    require(table_bytes(table) > 0);
    struct sink left = bytes_of(table), right = bytes_of(twin);
    require_same((struct bytes){left.data, left.size}, &right);
    sink_free(&left);
    sink_free(&wire);
    table_free(twin);
    return table;
}

static void some_rules(struct numbers *numbers, struct rule rules[2])
{
    for (int i = 0; i < 2; i++) {
        int64_t limit = 1 + number_upto(numbers, 99);
        rules[i] = (struct rule){.algorithm = (enum rule_algorithm)number_upto(numbers, RULE_ALGORITHMS_COUNT - 1),
                                 .limit = limit,
                                 .period_us = 1 + number_upto(numbers, DURATION_MAX_US - 1),
                                 .capacity = limit,
                                 .initial = limit};
        rule_complete(&rules[i]);
    }
}

static struct table *use(struct table *table, struct numbers *numbers, int64_t now_us)
{
    struct table_decision decision;
    struct rule rules[2];
    struct sink before = bytes_of(table);
    char subject[] = {'s', (char)number_upto(numbers, 255)};
    some_rules(numbers, rules);
    bool usable = !rule_fault(&rules[0]) && !rule_fault(&rules[1]);
    bool takes = table && number_upto(numbers, 15) > 0;
    if (takes) {
        struct limiter_request request = {.cost = 1 + number_upto(numbers, INT64_MAX - 1),
                                          .mode = (enum request_mode)number_upto(numbers, 3),
                                          .now_us = now_us};
        table_decide_take(table, (struct bytes){subject, sizeof(subject)}, &request, &decision);
        bool decided = decision.limits.fault == FAULT_NONE;
        require(!decided || (decision.limits.verdict.granted >= 0 && decision.limits.verdict.granted <= request.cost));
    } else if (usable) {
        struct siphash_key key = {0};
        table_decide_rules(table, rules, 1 + (uint32_t)number_upto(numbers, 1), now_us, key, &decision);
    }
    struct sink after = bytes_of(table);
    require_same((struct bytes){before.data, before.size}, &after);
    bool changes = (takes || usable) && decision.limits.fault == FAULT_NONE && table_decision_has_effects(&decision);
    if (changes) table = apply_both_ways(table, &before, &decision);
    sink_free(&before);
    return table;
}

static struct table *from_value(struct bytes bytes)
{
    struct table *table = table_decode(bytes);
    struct sink again = bytes_of(table);
    if (table) require_same(bytes, &again);
    return table;
}

static struct table *from_effects(struct bytes bytes)
{
    struct rule rules[RULES_MAX];
    struct table_decision decision;
    bool no_expire;
    if (table_are_takes(bytes)) { /* of a table of one rule */
        rules[0] = (struct rule){.limit = 10, .period_us = 1000000, .capacity = 10, .initial = 10};
        table_decide_rules(NULL, rules, 1, 1, siphash_key_of(1), &decision);
        struct table *table = table_apply(NULL, &decision);
        (void)table_takes_repeat(table, bytes, &no_expire);
        return table;
    }
    if (!table_effects_decode(bytes, rules, &decision, &no_expire) || !table_accepts(NULL, &decision)) return NULL;
    return table_apply(NULL, &decision);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct bytes bytes = {(const char *)data + 1, size - 1};
    struct numbers numbers = {data, size, 1};
    struct table *table = data[0] & 1 ? from_effects(bytes) : from_value(bytes);
    int64_t now_us = 1 + number_upto(&numbers, INSTANT_MAX_US / 2);
    for (int i = 0; i < 24; i++) {
        table = use(table, &numbers, now_us);
        now_us += number_upto(&numbers, 40 * MICROS_PER_DAY);
    }
    table_free(table);
    require(rule_sets_count() == 0);
    return 0;
}

/* The codec of tables: small effects, golden bytes, every truncation and every flipped byte refused or understood. */
#include "quota/rate/table_codec.h"
#include "scenario.h"
#include "tools.h"

/* Subjects of several sizes, old and new rules side by side, more than one segment. */
static struct table *busy_table(uint32_t subjects)
{
    struct rule first[] = {rule_of(RULE_GCRA, 7, 3 * S, 0), rule_of(RULE_LOG, 100, H, 0)};
    struct rule second[] = {rule_of(RULE_TOKEN, 9, S, 0)};
    struct table_decision decision;
    char name[] = "00000 a name that stands apart";
    table_decide_rules(NULL, first, 2, BASE, siphash_key_of(3), &decision);
    struct table *table = table_apply(NULL, &decision);
    for (uint32_t i = 0; i < subjects; i++) {
        struct limiter_request request = {.cost = 1 + i % 3, .now_us = BASE + i, .mode = MODE_FORCE};
        for (uint32_t k = 0, rest = i; k < 5; k++, rest /= 10) name[4 - k] = (char)('0' + rest % 10);
        table_decide_take(table, (struct bytes){name, 5 + i * 7 % 26}, &request, &decision);
        table = table_apply(table, &decision);
        if (i != subjects - 2) continue;
        table_decide_rules(table, second, 1, BASE + H, siphash_key_of(4), &decision);
        table = table_apply(table, &decision);
    }
    return table;
}

static void a_take_is_eleven_bytes_and_its_subject_and_its_instant(void **state)
{
    (void)state;
    struct rule rule = rule_of(RULE_GCRA, 10, S, 0);
    struct table_decision decision;
    struct limiter_request request = {.cost = 1, .now_us = BASE, .mode = MODE_ALL};
    struct sink wire = {0};
    table_decide_rules(NULL, &rule, 1, BASE, siphash_key_of(3), &decision);
    struct table *table = table_apply(NULL, &decision);
    table_decide_take(table, BYTES("user:000000042"), &request, &decision);
    table_effects_encode(&decision, false, &wire);
    assert_int_equal(wire.size, 1 + 8 + 1 + 15 + 11);
    sink_free(&wire);
    table_free(table);
}

/* rules since 5, key 1 and 2, swept 0, changes 1, depth 0, one rule set: GCRA 10 per 1 us; subject "a" until 9 us */
static const char golden[] = "\x51\x05\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x01"
                             "\x01\x00\x14\x01\x00\x00"
                             "\x00\x00\x01\x01\x61\x09\x00\x00";

static void the_bytes_are_these_for_ever(void **state)
{
    (void)state;
    struct table *table = table_decode((struct bytes){golden, sizeof(golden) - 1});
    assert_non_null(table);
    assert_int_equal(table->rules_us, 5);
    assert_int_equal(table->key.words[0], 1);
    assert_int_equal(table->key.words[1], 2);
    assert_int_equal(table->changes, 1);
    assert_int_equal(table->set->rules[0].limit, 10);
    assert_int_equal(table->subjects, 1);
    struct limiter_buffer stack_buffer;
    assert_true(bytes_equal(segment_name(table->directory[0], 0), BYTES("a")));
    assert_int_equal(limiter_deadline_us(segment_borrow(table->directory[0], 0, &stack_buffer)), 9);
    struct sink again = {0};
    table_encode(table, &again);
    assert_int_equal(again.size, sizeof(golden) - 1);
    assert_memory_equal(again.data, golden, again.size);
    sink_free(&again);
    table_free(table);
}

/* One byte of the golden value made another. */
static void values_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        char byte;
    } lies[] = {
        {0, 0x52}, /* a newer encoding */
        {0, 0x41}, /* another kind */
        {1, 0},    /* rules since never */
        {27, 1},   /* a directory of two that one segment fills */
        {27, 19},  /* deeper than any */
        {28, 0},   /* no rule set */
        {28, 2},   /* one rule set too few */
        {29, 0},   /* a rule set without rules */
        {35, 1},   /* a segment deeper than the directory */
        {36, 1},   /* under rules that are not there */
        {37, 0},   /* fewer subjects than follow */
        {37, 2},   /* more */
    };
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        char lie[sizeof(golden)];
        memcpy(lie, golden, sizeof(golden));
        lie[lies[i].at] = lies[i].byte;
        if (table_decode((struct bytes){lie, sizeof(lie) - 1})) fail_msg("row %zu was let in", i);
    }
}

/* Bytes are either refused, or a value that encodes to exactly these bytes again. */
static void assert_refused_or_same(const char *data, size_t size)
{
    struct table *table = table_decode((struct bytes){data, size});
    if (!table) return;
    struct sink again = {0};
    table_encode(table, &again);
    assert_int_equal(again.size, size);
    assert_memory_equal(again.data, data, size);
    sink_free(&again);
    table_free(table);
}

static void damaged_values_are_refused_or_understood(void **state)
{
    (void)state;
    struct table *table = busy_table(60);
    struct sink blob = {0};
    table_encode(table, &blob);
    assert_refused_or_same(blob.data, blob.size);
    for (size_t size = 0; size < blob.size; size++) assert_null(table_decode((struct bytes){blob.data, size}));
    for (size_t at = 0; at < blob.size; at++) {
        char kept = blob.data[at];
        for (int bit = 0; bit < 8; bit++) {
            blob.data[at] = (char)(kept ^ 1 << bit);
            assert_refused_or_same(blob.data, blob.size);
        }
        blob.data[at] = kept;
    }
    sink_free(&blob);
    table_free(table);
}

static void large_tables_come_back_whole(void **state)
{
    (void)state;
    struct table *table = busy_table(4000);
    struct sink blob = {0}, again = {0};
    assert_true(table->segments > 15);
    table_encode(table, &blob);
    struct table *decoded = table_decode((struct bytes){blob.data, blob.size});
    assert_non_null(decoded);
    table_encode(decoded, &again);
    assert_int_equal(again.size, blob.size);
    assert_memory_equal(again.data, blob.data, blob.size);
    assert_int_equal(decoded->subjects, table->subjects);
    assert_int_equal(decoded->segments, table->segments);
    sink_free(&blob);
    sink_free(&again);
    table_free(decoded);
    table_free(table);
}

static void damaged_effects_are_refused_or_understood(void **state)
{
    (void)state;
    struct rule rules[] = {rule_of(RULE_GCRA, 10, S, 0), rule_of(RULE_FIXED, 10, H, 0)}, read[RULES_MAX];
    struct table_decision decisions[2], received;
    struct limiter_request request = {.cost = 1, .now_us = BASE, .mode = MODE_ALL};
    bool no_expire;
    table_decide_rules(NULL, rules, 2, BASE, siphash_key_of(3), &decisions[0]);
    struct table *table = table_apply(NULL, &decisions[0]);
    table_decide_take(table, BYTES("subject"), &request, &decisions[1]);
    for (size_t k = 0; k < COUNT_OF(decisions); k++) {
        struct sink wire = {0}, again = {0};
        table_effects_encode(&decisions[k], true, &wire);
        for (size_t at = 0; at < 8 * wire.size; at++) {
            wire.data[at / 8] ^= (char)(1 << at % 8);
            if (table_effects_decode((struct bytes){wire.data, wire.size}, read, &received, &no_expire)) {
                again.size = 0;
                table_effects_encode(&received, no_expire, &again);
                assert_int_equal(again.size, wire.size);
                assert_memory_equal(again.data, wire.data, wire.size);
            }
            wire.data[at / 8] ^= (char)(1 << at % 8);
        }
        assert_true(table_effects_decode((struct bytes){wire.data, wire.size}, read, &received, &no_expire) &&
                    no_expire);
        assert_false(table_effects_decode((struct bytes){wire.data, wire.size - 1}, read, &received, &no_expire));
        sink_free(&wire);
        sink_free(&again);
    }
    table_free(table);
}

/* A table with two rules, and what one call takes of it: the effects in `wire`, the values before and after. */
static struct table *take_many(struct sink *before, struct sink *wire, struct sink *after)
{
    static const char *const names[] = {"a", "b", "a", "a-name-that-stands-in-a-block-of-its-own"};
    struct rule rules[] = {rule_of(RULE_GCRA, 10, S, 0), rule_of(RULE_FIXED, 10, H, 0)};
    struct table_decision decision;
    struct limiter_request request = {.cost = 1, .now_us = BASE, .mode = MODE_ALL};
    bool no_expire;
    table_decide_rules(NULL, rules, 2, BASE, siphash_key_of(3), &decision);
    struct table *table = table_apply(NULL, &decision);
    table_encode(table, before);
    table_takes_begin(BASE, true, wire);
    assert_false(table_takes_repeat(table, sink_content(wire), &no_expire)); /* of none */
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        table_decide_take(table, (struct bytes){names[i], strlen(names[i])}, &request, &decision);
        table_takes_add(&decision, wire);
        table = table_apply(table, &decision);
    }
    table_encode(table, after);
    return table;
}

/* Repeats them on a table of these bytes: true, or the table is as it was. */
static bool repeats(const struct sink *before, const struct sink *wire, struct sink *after)
{
    bool no_expire;
    struct table *twin = table_decode(sink_content(before));
    bool repeated = table_are_takes(sink_content(wire)) && table_takes_repeat(twin, sink_content(wire), &no_expire);
    table_encode(twin, after);
    if (!repeated) assert_memory_equal(after->data, before->data, before->size);
    table_free(twin);
    return repeated;
}

static void many_takes_are_one_run(void **state)
{
    (void)state;
    struct sink before = {0}, wire = {0}, after = {0}, same = {0};
    bool no_expire;
    struct table *table = take_many(&before, &wire, &after);
    assert_true(repeats(&before, &wire, &same));
    assert_int_equal(same.size, after.size);
    assert_memory_equal(same.data, after.data, after.size);
    for (size_t at = 0; at < 8 * wire.size; at++) {
        wire.data[at / 8] ^= (char)(1 << at % 8);
        same.size = 0;
        (void)repeats(&before, &wire, &same);
        wire.data[at / 8] ^= (char)(1 << at % 8);
    }
    assert_false(table_takes_repeat(NULL, sink_content(&wire), &no_expire));
    assert_false(table_takes_repeat(table, (struct bytes){wire.data, wire.size - 1}, &no_expire));
    sink_free(&before);
    sink_free(&wire);
    sink_free(&after);
    sink_free(&same);
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_take_is_eleven_bytes_and_its_subject_and_its_instant),
        cmocka_unit_test(the_bytes_are_these_for_ever),
        cmocka_unit_test(values_that_lie_are_refused),
        cmocka_unit_test(damaged_values_are_refused_or_understood),
        cmocka_unit_test(large_tables_come_back_whole),
        cmocka_unit_test(damaged_effects_are_refused_or_understood),
        cmocka_unit_test(many_takes_are_one_run),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

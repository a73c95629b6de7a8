/* The bytes and the text of entitlements: each leads back to the same one, and damage is refused or understood. */
#include "account_tools.h"
#include "quota/account/entitlement_codec.h"
#include <stdio.h>

/* Every word, and every kind of period. */
static const char *const texts[] = {
    "calls LIMIT 1000 month",
    "calls LIMIT -1 day",
    "calls LIMIT 0 forever",
    "calls LIMIT 9223372036854775807 quarter",
    "calls LIMIT 5 2week PRORATE",
    "calls LIMIT 1000 day CALENDAR",
    "calls LIMIT 1000 week CALENDAR FROM sun PRORATE",
    "calls LIMIT 1000 month CALENDAR FROM 15",
    "calls LIMIT 1000 year CALENDAR FROM 04-06",
    "calls LIMIT 1000 month EOM",
    "calls LIMIT 20000 month PRORATE LIMIT 1000 day CALENDAR LIMIT 500 ROLLING 6h RATE GCRA 10 1s COST 2 WARN 80% 100%",
    "calls LIMIT 5 ROLLING 1us LIMIT 5 ROLLING 2us LIMIT -1 ROLLING 3us LIMIT 0 ROLLING 4us",
    "calls RATE TOKEN 10 1s BURST 25 INITIAL 5 INTERVAL RATE FIXED 5 1m FIRST RATE QUEUE 1 1s RATE LOG 7 90s",
    "calls BURST 50% LIMIT 10 1d RATE GCRA 5 1s", /* behind the RATE it would be the rate's */
    "calls BURST 12.5% LIMIT 10 90s COST 3 WARN 0.01% 50% 99.5% 99.99% 10000% REPAY GRACE 3d REFUNDS MAX 5 WITHIN 1w "
    "HOLDS "
    "MAX 0 OVERAGE",
    "calls LIMIT 10 12h REFUNDS MAX 0",
    "calls LIMIT 10 12h REFUNDS WITHIN 1us HOLDS MAX 9223372036854775807",
    "calls BURST 10000% LIMIT 10 1m GRACE 1us",
    "calls LIMIT 10 12h CREDITS FIRST LOW 5 OVERAGE MAX 7",
    "calls LIMIT 10 12h OVERAGE MAX 0",
    "calls CONCURRENT 5",
    "calls LIMIT 10 12h CONCURRENT -1 RATE GCRA 10 1s HOLDS MAX 3",
    "calls LIMIT 10 12h OVERAGE MAX 9223372036854775807",
    "calls LIMIT 10 day THROTTLE GCRA 1 1s BURST 5 RATE GCRA 10 1s",
    "calls THROTTLE QUEUE 1 1s BURST 2 CREDITS",
    "calls AS other",
    "calls RATE GCRA 5 1m LIMIT -1 day AS other COST 10",
    "calls LIMIT 10 month EOM PRORATE ROLLOVER 50% MAX 600 FOR 36 LIMIT -1 day ROLLOVER 0.01% LIMIT 5 1h ROLLOVER 100% "
    "MAX 0",
    "calls LIMIT 10 month SHARE FAIR PRICE usd TIER 1000 0.01 TIER 10000 0.008 TIER * 0.005",
    "calls LIMIT 0 forever OVERAGE PRICE 0aZ VOLUME PER 9223372036854775807 TIER 1 1000000 FLAT 1000000 TIER * "
    "0.000001",
};

static struct sink encoded(const struct entitlement *entitlement)
{
    struct sink bytes = {0};
    entitlement_encode(entitlement, &bytes);
    return bytes;
}

/* Accepted bytes are encoded again to the very same; answers whether they were. */
static bool decodes_to_itself(struct bytes bytes)
{
    struct entitlement entitlement;
    struct cursor cursor = cursor_init(bytes);
    entitlement_decode(&cursor, &entitlement);
    if (!cursor_done(&cursor)) return false;
    assert_null(override_fault(&entitlement)); /* without a rule it is none of a plan, which plan_entry_decode says */
    struct sink again = encoded(&entitlement);
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    sink_free(&again);
    return true;
}

/* All the words again, with a blank between them. */
static void write_all(const struct entitlement *entitlement, struct sink *text)
{
    sink_raw(text, entitlement->resource.data, entitlement->resource.size);
    uint32_t count = 0;
    for (;; count++) {
        sink_byte(text, ' ');
        if (!entitlement_write(entitlement, count, text)) break;
        assert_true(count < ENTITLEMENT_TEXTS_MAX);
    }
    text->size--;
    sink_byte(text, '\0');
}

static void bytes_and_words_lead_back_to_the_entitlement(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct entitlement entitlement = entitlement_from(texts[i]);
        struct sink bytes = encoded(&entitlement), text = {0};
        assert_true(decodes_to_itself(sink_content(&bytes)));
        write_all(&entitlement, &text);
        assert_string_equal(text.data, texts[i]);
        struct entitlement again = entitlement_from(text.data);
        struct sink bytes_again = encoded(&again);
        assert_same_bytes(&bytes, &bytes_again);
        sink_free(&bytes);
        sink_free(&bytes_again);
        sink_free(&text);
    }
}

/* A part of the bytes is no entitlement; a byte that is another one is refused, or makes another entitlement. */
static void mutated_bytes_are_refused_or_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct entitlement entitlement = entitlement_from(texts[i]);
        struct sink bytes = encoded(&entitlement);
        for (size_t size = 0; size < bytes.size; size++)
            assert_false(decodes_to_itself((struct bytes){bytes.data, size}));
        for (size_t place = 0; place < bytes.size; place++) {
            for (int value = 1; value < 256; value++) {
                bytes.data[place] = (char)(bytes.data[place] ^ value);
                decodes_to_itself(sink_content(&bytes));
                bytes.data[place] = (char)(bytes.data[place] ^ value);
            }
        }
        sink_free(&bytes);
    }
}

/* ---- one rule as text ------------------------------------------------------------------------------------- */

static const char *const one_each[] = {
    "LIMIT 5 day",
    "LIMIT 6 day",
    "LIMIT 5 2day",
    "LIMIT 5 week",
    "LIMIT 5 day PRORATE",
    "LIMIT 5 day CALENDAR",
    "LIMIT 5 week CALENDAR",
    "LIMIT 5 week CALENDAR FROM sun",
    "LIMIT 5 month CALENDAR FROM 15",
    "LIMIT 5 month CALENDAR FROM 16",
    "LIMIT 5 year CALENDAR FROM 04-06",
    "LIMIT 5 year CALENDAR FROM 06-04",
    "LIMIT 5 month EOM",
    "LIMIT 5 day ROLLOVER 50%",
    "LIMIT 5 day ROLLOVER 51%",
    "LIMIT 5 day ROLLOVER 50% MAX 5",
    "LIMIT 5 day ROLLOVER 50% FOR 2",
    "LIMIT 5 ROLLING 1d",
    "LIMIT 5 ROLLING 2d",
    "CONCURRENT 5",
    "CONCURRENT 6",
    "RATE GCRA 5 1d",
    "RATE GCRA 5 1h",
    "RATE GCRA 5 1d BURST 6",
    "RATE FIXED 5 1d",
    "RATE FIXED 5 1d FIRST",
    "RATE TOKEN 5 1d",
    "RATE TOKEN 5 1d INITIAL 4",
    "RATE LOG 5 1d",

    "CREDITS",
    "CREDITS FIRST",
    "CREDITS LOW 0",
    "CREDITS LOW 5",
};

/* Rules that are written in other words have other shapes, and the same words the same shape. */
static void different_rules_have_different_shapes(void **state)
{
    (void)state;
    uint64_t shapes[COUNT_OF(one_each)];
    for (size_t i = 0; i < COUNT_OF(one_each); i++) {
        char words[64];
        struct sink text = {0};
        (void)snprintf(words, sizeof(words), "a %s", one_each[i]);
        struct entitlement entitlement = entitlement_from(words);
        entitlement_write_rule(&entitlement, 0, &text);
        if (!bytes_equal(sink_content(&text), (struct bytes){one_each[i], strlen(one_each[i])}))
            fail_msg("%s", one_each[i]);
        sink_free(&text);
        shapes[i] = entitlement_shape(&entitlement, 0);
        assert_int_equal(shapes[i], entitlement_shape(&entitlement, 0));
        for (size_t k = 0; k < i; k++) {
            if (shapes[k] == shapes[i]) fail_msg("%s has the shape of %s", one_each[i], one_each[k]);
        }
    }
    struct entitlement entitlement = entitlement_from("a LIMIT 5 day");
    struct sink text = {0};
    entitlement_write_rule(&entitlement, -1, &text);
    assert_int_equal(text.size, 0);
    entitlement_write_rule(&entitlement, 1, &text); /* grants pay without CREDITS, too */
    assert_true(bytes_equal(sink_content(&text), BYTES("CREDITS")));
    sink_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_words_lead_back_to_the_entitlement),
        cmocka_unit_test(mutated_bytes_are_refused_or_understood),
        cmocka_unit_test(different_rules_have_different_shapes),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Terms: what can be used and what cannot, warnings in order, and both ways there and back: bytes and text. */
#include "account_tools.h"

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
    "calls LIMIT 20000 month PRORATE LIMIT 1000 day CALENDAR LIMIT 500 ROLLING 6h RATE GCRA 10 1s COST 2 WARN 80 100",
    "calls LIMIT 5 ROLLING 1us LIMIT 5 ROLLING 2us LIMIT -1 ROLLING 3us LIMIT 0 ROLLING 4us",
    "calls RATE TOKEN 10 1s BURST 25 INITIAL 5 INTERVAL RATE FIXED 5 1m FIRST RATE QUEUE 1 1s RATE LOG 7 90s",
    "calls BURST 50 LIMIT 10 1d RATE GCRA 5 1s", /* behind the RATE it would be the rate's */
    "calls BURST 12.5 LIMIT 10 90s COST 3 WARN 0.01 50 99.5 99.99 10000 REPAY GRACE 3d REFUNDS MAX 5 WITHIN 1w HOLDS "
    "MAX 0 OVERAGE",
    "calls LIMIT 10 12h REFUNDS MAX 0",
    "calls LIMIT 10 12h REFUNDS WITHIN 1us HOLDS MAX 9223372036854775807",
    "calls BURST 10000 LIMIT 10 1m GRACE 1us",
};

static struct sink encoded(const struct terms *terms)
{
    struct sink bytes = {0};
    terms_encode(terms, &bytes);
    return bytes;
}

/* Accepted bytes are encoded again to the very same; answers whether they were. */
static bool decodes_to_itself(struct span bytes)
{
    struct terms terms;
    struct cursor cursor = cursor_over(bytes);
    terms_decode(&cursor, &terms);
    if (!cursor_done(&cursor)) return false;
    assert_null(terms_fault(&terms));
    struct sink again = encoded(&terms);
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    sink_free(&again);
    return true;
}

/* All the words again, with a blank between them. */
static void write_all(const struct terms *terms, struct sink *text)
{
    sink_raw(text, terms->resource.data, terms->resource.size);
    uint32_t count = 0;
    for (;; count++) {
        sink_byte(text, ' ');
        if (!terms_write(terms, count, text)) break;
        assert_true(count < TERMS_TEXTS_MAX);
    }
    text->size--;
    sink_byte(text, '\0');
}

static void bytes_and_words_lead_back_to_the_terms(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct terms terms = terms_from(texts[i]);
        struct sink bytes = encoded(&terms), text = {0};
        assert_true(decodes_to_itself(sink_span(&bytes)));
        write_all(&terms, &text);
        assert_string_equal(text.data, texts[i]);
        struct terms again = terms_from(text.data);
        struct sink bytes_again = encoded(&again);
        assert_same_bytes(&bytes, &bytes_again);
        sink_free(&bytes);
        sink_free(&bytes_again);
        sink_free(&text);
    }
}

/* A part of the bytes is no terms; a byte that is another one is refused, or makes other terms. */
static void mutated_bytes_are_refused_or_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct terms terms = terms_from(texts[i]);
        struct sink bytes = encoded(&terms);
        for (size_t size = 0; size < bytes.size; size++)
            assert_false(decodes_to_itself((struct span){bytes.data, size}));
        for (size_t place = 0; place < bytes.size; place++) {
            for (int value = 1; value < 256; value++) {
                bytes.data[place] = (char)(bytes.data[place] ^ value);
                decodes_to_itself(sink_span(&bytes));
                bytes.data[place] = (char)(bytes.data[place] ^ value);
            }
        }
        sink_free(&bytes);
    }
}

/* ---- what cannot be used --------------------------------------------------------------------------------- */

static void faults_are_told(void **state)
{
    (void)state;
    struct terms good = terms_from("calls LIMIT 10 day WARN 50 80"), bad;
    static char name[RESOURCE_NAME_MAX + 1];
#define BAD(change_)                                                                                                   \
    bad = good;                                                                                                        \
    bad.change_;                                                                                                       \
    assert_non_null(terms_fault(&bad))
    /* rules */
    BAD(rules_count = 0);
    BAD(rules_count = TERMS_RULES_MAX + 1);
    BAD(rules[0].limit = -2);
    BAD(rules[0].period.count = 0);
    BAD(rules[0].period.end_of_month = true);
    BAD(rules[0].kind = (enum quota_kind)3);
    BAD(rules[0].kind = QUOTA_RATE);
    /* everything else */
    BAD(resource.size = 0);
    BAD(resource = ((struct span){name, sizeof(name)}));
    BAD(cost = 0);
    BAD(warnings_count = TERMS_WARNINGS_MAX + 1);
    BAD(warnings_bp[0] = 0);
    BAD(warnings_bp[0] = 8000);
    BAD(warnings_bp[1] = TERMS_PERCENT_MAX_BP + 1);
    BAD(burst_bp = -1);
    BAD(burst_bp = TERMS_PERCENT_MAX_BP + 1);
    BAD(grace_us = -1);
    BAD(grace_us = SPAN_MAX_US + 1);
    BAD(refunds_max = -2);
    BAD(holds_max = -2);
    BAD(refunds_within_us = -1);
    BAD(refunds_within_us = SPAN_MAX_US + 1);
#undef BAD
    assert_null(terms_fault(&good));
    good.resource = (struct span){name, RESOURCE_NAME_MAX};
    assert_null(terms_fault(&good));
}

static void rules_have_to_differ(void **state)
{
    (void)state;
    static const struct {
        const char *one, *two;
        bool clash;
    } rows[] = {
        {"a LIMIT 1 day", "a LIMIT 2 day", true},
        {"a LIMIT 1 day", "a LIMIT 1 day PRORATE", true},
        {"a LIMIT 1 day", "a LIMIT 1 day CALENDAR", false},
        {"a LIMIT 1 day", "a LIMIT 1 24h", false},
        {"a LIMIT 1 24h", "a LIMIT 1 86400s", true},
        {"a LIMIT 1 quarter", "a LIMIT 1 3month", true},
        {"a LIMIT 1 ROLLING 1h", "a LIMIT 2 ROLLING 60m", true},
        {"a LIMIT 1 ROLLING 1h", "a LIMIT 1 1h", false},
        {"a RATE GCRA 1 1s", "a RATE GCRA 1 1s", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct terms one = terms_from(rows[i].one), two = terms_from(rows[i].two);
        one.rules[one.rules_count++] = two.rules[0];
        if ((terms_fault(&one) != NULL) != rows[i].clash) fail_msg("row %zu", i);
    }
}

static void warnings_are_sorted_and_each_there_once(void **state)
{
    (void)state;
    struct terms terms = terms_none(SPAN("calls"));
    for (int run = 0; run < 2000; run++) {
        bool wanted[20] = {false};
        terms.warnings_count = random_below(TERMS_WARNINGS_MAX + 1);
        for (uint32_t i = 0; i < terms.warnings_count; i++) {
            terms.warnings_bp[i] = random_between(0, 19);
            wanted[terms.warnings_bp[i]] = true;
        }
        terms_sort_warnings(&terms);
        uint32_t at_place = 0;
        for (int64_t bp = 0; bp < 20; bp++) {
            if (wanted[bp]) assert_int_equal(terms.warnings_bp[at_place++], bp);
        }
        assert_int_equal(terms.warnings_count, at_place);
    }
}

/* ---- questions ------------------------------------------------------------------------------------------- */

static void limits_and_rates_are_found(void **state)
{
    (void)state;
    struct rule rates[TERMS_RULES_MAX];
    uint8_t places[TERMS_RULES_MAX];
    struct terms terms = terms_from("a RATE GCRA 1 1s LIMIT 5 day LIMIT 6 ROLLING 1h LIMIT 7 month RATE LOG 2 1m");
    assert_int_equal(terms_rates(&terms, rates, places), 2);
    assert_int_equal(places[0], 0);
    assert_int_equal(places[1], 4);
    assert_int_equal(rates[1].limit, 2);
    assert_ptr_equal(terms_limit(&terms, period_code(&terms.rules[3].period)), &terms.rules[3]);
    assert_ptr_equal(terms_limit(&terms, period_code(&terms.rules[1].period)), &terms.rules[1]);
    struct terms other = terms_from("a LIMIT 5 week");
    assert_null(terms_limit(&terms, period_code(&other.rules[0].period)));
    assert_null(terms_limit(NULL, period_code(&other.rules[0].period)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_words_lead_back_to_the_terms),
        cmocka_unit_test(mutated_bytes_are_refused_or_understood),
        cmocka_unit_test(faults_are_told),
        cmocka_unit_test(rules_have_to_differ),
        cmocka_unit_test(warnings_are_sorted_and_each_there_once),
        cmocka_unit_test(limits_and_rates_are_found),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

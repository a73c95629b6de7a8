/* The codec of leases: small effects, golden bytes, every truncation and every flipped byte refused or understood. */
#include "quota/rate/lease_codec.h"
#include "scenario.h"

/* A key with history: released, renewed, tokens ahead of the time. */
static struct leases *busy_leases(void)
{
    struct leases *leases = NULL;
    struct lease_decision decision;
    for (int64_t i = 0; i < 12; i++) {
        struct lease_request request = {
            .limit = -1, .cost = 1 + i * i * 40, .ttl_us = S << i, .now_us = BASE + (i / 3) * MS};
        if (i % 2 == 0) request.id = (struct bytes){"ids-of-several-sizes", (size_t)i + 1};
        leases_decide_acquire(leases, &request, &decision);
        assert_int_equal(decision.change, LEASE_OPEN);
        leases = leases_apply(leases, &decision);
    }
    assert_true(leases_decide_release(leases, BYTES("ids"), LEASE_ANY_TOKEN, BASE + 9 * MS, &decision));
    leases = leases_apply(leases, &decision);
    leases_decide_renew(leases, BYTES("ids-o"), LEASE_ANY_TOKEN, H, BASE + 10 * MS, &decision);
    return leases_apply(leases, &decision);
}

static void an_acquire_is_fifteen_bytes_and_its_id(void **state)
{
    (void)state;
    struct lease_request request = {.limit = 5, .cost = 1, .ttl_us = 30 * S, .now_us = BASE, .id = BYTES("0123456789")};
    struct lease_decision decision;
    struct sink wire = {0};
    leases_decide_acquire(NULL, &request, &decision);
    lease_effects_encode(&decision, false, &wire);
    assert_int_equal(wire.size, 1 + 1 + 8 + 1 + 1 + 4 + 1 + 10);
    sink_free(&wire);
}

static void the_bytes_are_these_for_ever(void **state)
{
    (void)state;
    /* seen 300, last token 400; lease 290: cost 3, acquired 10 before and expires 7 after; lease 400: cost 1, 0, 128 */
    static const char golden[] = "\x11\xac\x02\x90\x03\x02\xa2\x02\x03\x0a\x07\x02\x61\x62\x6e\x01\x00\x80\x01\x01\x63";
    struct leases *leases = leases_decode((struct bytes){golden, sizeof(golden) - 1});
    assert_non_null(leases);
    const struct lease *first = leases_next(leases, NULL), *second = leases_next(leases, first);
    assert_int_equal(leases_seen_us(leases), 300);
    assert_int_equal(leases_last_token(leases), 400);
    assert_true(bytes_equal(first->id, BYTES("ab")) && bytes_equal(second->id, BYTES("c")));
    assert_int_equal(first->acquired_us, 290);
    assert_int_equal(first->expires_us, 307);
    assert_int_equal(second->token, 400);
    assert_int_equal(second->expires_us, 428);
    struct sink again = {0};
    leases_encode(leases, &again);
    assert_int_equal(again.size, sizeof(golden) - 1);
    assert_memory_equal(again.data, golden, again.size);
    sink_free(&again);
    leases_free(leases);
}

static const struct {
    const char *bytes;
    size_t size;
} lies[] = {
#define LIE(literal)                                                                                                   \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }
    LIE("\x11\x00\x05\x00"),                                                 /* no mark */
    LIE("\x11\x05\x00\x00"),                                                 /* no token */
    LIE("\x11\x05\x05\x01\x00\x01\x00\x01\x01\x61"),                         /* a token that does not grow */
    LIE("\x11\x05\x05\x01\x06\x01\x00\x01\x01\x61"),                         /* one above the last */
    LIE("\x11\x05\x05\x01\x01\x00\x00\x01\x01\x61"),                         /* no cost */
    LIE("\x11\x05\x05\x01\x01\x01\x05\x01\x01\x61"),                         /* acquired at 0 */
    LIE("\x11\x05\x05\x01\x01\x01\x00\x00\x01\x61"),                         /* ended */
    LIE("\x11\x05\x05\x01\x01\x01\x00\x01\x00"),                             /* no id */
    LIE("\x11\x05\x05\x02\x01\x01\x00\x01\x01\x61\x01\x01\x00\x01\x01\x61"), /* one id twice */
    LIE("\x11\x05\x05\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00\x01\x01\x61\x01\x01\x00\x01\x01\x62"), /* sum */
    LIE("\x11\x05\x05\x01"),     /* fewer than announced */
    LIE("\x11\x05\x05\x00\x00"), /* more than announced */
    LIE("\x12\x05\x05\x00"),     /* a newer encoding */
    LIE("\x91\x05\x05\x00"),     /* effects */
    LIE("\x01\x05\x05\x00"),     /* another kind */
    LIE("\x11\x85\x00\x05\x00"), /* a number longer than need be */
};

static void values_that_lie_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        if (leases_decode((struct bytes){lies[i].bytes, lies[i].size})) fail_msg("row %zu was let in", i);
    }
    struct leases *empty = leases_decode((struct bytes){"\x11\x05\x05\x00", 4}); /* all of it is released */
    assert_non_null(empty);
    assert_int_equal(leases_deadline_us(empty), 5 + LEASE_RETENTION_US);
    leases_free(empty);
}

/* Bytes are either refused, or a value that encodes to exactly these bytes again. */
static void assert_refused_or_same(const char *data, size_t size)
{
    struct leases *leases = leases_decode((struct bytes){data, size});
    if (!leases) return;
    struct sink again = {0};
    leases_encode(leases, &again);
    assert_int_equal(again.size, size);
    assert_memory_equal(again.data, data, size);
    sink_free(&again);
    leases_free(leases);
}

static void damaged_values_are_refused_or_understood(void **state)
{
    (void)state;
    struct leases *leases = busy_leases();
    struct sink blob = {0};
    leases_encode(leases, &blob);
    assert_refused_or_same(blob.data, blob.size);
    for (size_t size = 0; size < blob.size; size++) {
        assert_null(leases_decode((struct bytes){blob.data, size})); /* truncated anywhere */
    }
    for (size_t at = 0; at < blob.size; at++) {
        char kept = blob.data[at];
        for (int byte = 0; byte < 256; byte++) {
            blob.data[at] = (char)byte;
            assert_refused_or_same(blob.data, blob.size);
        }
        blob.data[at] = kept;
    }
    sink_free(&blob);
    leases_free(leases);
}

static void damaged_effects_are_refused_or_fit(void **state)
{
    (void)state;
    struct leases *leases = busy_leases();
    struct lease_decision decision, again;
    for (enum lease_change change = LEASE_OPEN; change <= LEASE_CLOSE; change++) {
        struct sink wire = {0};
        bool no_expire;
        struct lease_request request = {.limit = -1, .cost = 300, .ttl_us = H, .now_us = BASE + S, .id = BYTES("new")};
        leases_decide_acquire(leases, &request, &decision);
        if (change == LEASE_MOVE) leases_decide_renew(leases, BYTES("ids-o"), LEASE_ANY_TOKEN, D, BASE + S, &decision);
        if (change == LEASE_CLOSE) leases_decide_release(leases, BYTES("ids-o"), LEASE_ANY_TOKEN, BASE + S, &decision);
        assert_int_equal(decision.change, change);
        lease_effects_encode(&decision, true, &wire);
        for (size_t at = 0; at < wire.size; at++) {
            char kept = wire.data[at];
            for (int byte = 0; byte < 256; byte++) {
                wire.data[at] = (char)byte;
                if (!lease_effects_decode((struct bytes){wire.data, wire.size}, &again, &no_expire)) continue;
                if (leases_accepts(NULL, &again)) leases_free(leases_apply(NULL, &again));
                leases_accepts(leases, &again);
            }
            wire.data[at] = kept;
            assert_false(lease_effects_decode((struct bytes){wire.data, at}, &again, &no_expire));
        }
        sink_free(&wire);
    }
    leases_free(leases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_acquire_is_fifteen_bytes_and_its_id),
        cmocka_unit_test(the_bytes_are_these_for_ever),
        cmocka_unit_test(values_that_lie_are_refused),
        cmocka_unit_test(damaged_values_are_refused_or_understood),
        cmocka_unit_test(damaged_effects_are_refused_or_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

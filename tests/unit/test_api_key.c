/* API keys as operators set, rotate and revoke them, and as requests bring them: who may spend, and how fast. */
#include "account_tools.h"
#include "quota/account/entitlement_codec.h"
#include "quota/base/checked.h"
#include <string.h>

#define T at("2025-01-31T15:20:00")

/* A digest of 32 equal bytes: 0x11 is named by "11111111". */
static struct bytes digest_of(int byte)
{
    static char digests[256][API_KEY_DIGEST_BYTES];
    memset(digests[byte], byte, API_KEY_DIGEST_BYTES);
    return (struct bytes){digests[byte], API_KEY_DIGEST_BYTES};
}

/* A key of this digest, with all scopes and without rates, for good. */
static struct api_key_request plain(int byte)
{
    return (struct api_key_request){.digest = digest_of(byte),
                                    .name = BYTES("ci"),
                                    .scopes = BYTES(""),
                                    .rules = BYTES(""),
                                    .expires = {.kind = MOMENT_NONE}};
}

static void begin(struct pair *pair)
{
    plan_set("pro", "a LIMIT 100 month | b LIMIT 100 month");
    pair_open(pair, "pro", T);
}

static enum account_fault fault_of(const struct pair *pair, int byte, const char *scope, int64_t at_us)
{
    struct account_decision decision;
    struct api_key_claim claim = {digest_of(byte), text_bytes(scope)};
    api_key_verify_decide(pair->account, &host, &claim, at_us, &decision);
    enum account_fault fault = decision.fault;
    account_decision_end(&decision);
    return fault;
}

/* What a request that brings the key is granted; 0 with the fault in the decision. */
static int64_t consume(struct pair *pair, int byte, int64_t amount, const char *id, enum request_mode mode,
                       int64_t at_us)
{
    struct consume_item item = {BYTES("a"), amount};
    struct consume_request request = {.items = &item,
                                      .count = 1,
                                      .mode = mode,
                                      .id = text_bytes(id),
                                      .key = {digest_of(byte), BYTES("")},
                                      .now_us = at_us};
    pair_request(pair, &request);
    return pair->decision.fault == ACCOUNT_FAULT_NONE ? pair->decision.result.consumed.verdicts[0].granted : 0;
}

static int64_t used_hour(const struct pair *pair, int byte)
{
    return api_keys_find(account_api_keys(pair->account), digest_of(byte))->key.used_us;
}

/* ---- verifying ------------------------------------------------------------------------------------------- */

static void the_answer_says_why(void **state)
{
    (void)state;
    struct pair pair = {0};
    begin(&pair);
    struct api_key_request limited = plain(0x22), expiring = plain(0x33);
    struct api_key_request all = plain(0x11), gone = plain(0x44), old = plain(0x55);
    limited.scopes = BYTES("\4read\5write");
    expiring.expires = (struct moment){.kind = MOMENT_DURATION, .after_us = H};
    pair_key_set(&pair, &all, T);
    pair_key_set(&pair, &limited, T);
    pair_key_set(&pair, &expiring, T);
    pair_key_set(&pair, &gone, T);
    pair_key_set(&pair, &old, T);
    pair_key_revoke(&pair, "44444444", T + S);
    pair_key_rotate(&pair, "55555555", digest_of(0x66), 10 * S, T + S);
    const struct {
        int byte;
        const char *scope;
        int64_t at_us;
        enum account_fault fault;
    } rows[] = {
        /* scopes: a key without a list has them all */
        {0x11, "write", T + S, ACCOUNT_FAULT_NONE},
        {0x22, "write", T + S, ACCOUNT_FAULT_NONE},
        {0x22, NULL, T + S, ACCOUNT_FAULT_NONE},
        {0x22, "admin", T + S, ACCOUNT_FAULT_KEY_SCOPE},
        /* the instant of its end is behind its life */
        {0x33, NULL, T + H - 1, ACCOUNT_FAULT_NONE},
        {0x33, NULL, T + H, ACCOUNT_FAULT_KEY_EXPIRED},
        {0x44, NULL, T + S, ACCOUNT_FAULT_KEY_REVOKED},
        {0x55, NULL, T + 11 * S - 1, ACCOUNT_FAULT_NONE},
        {0x55, NULL, T + 11 * S, ACCOUNT_FAULT_KEY_ROTATED},
        {0x66, "any", T + 11 * S, ACCOUNT_FAULT_NONE},
        {0x77, NULL, T + S, ACCOUNT_FAULT_KEY_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum account_fault fault = fault_of(&pair, rows[i].byte, rows[i].scope, rows[i].at_us);
        if (fault != rows[i].fault) fail_msg("row %zu: %d", i, fault);
    }
    pair_end(&pair);
}

/* A retry brings the key, too: a replay is only for keys that are still valid. */
static void a_replay_is_verified(void **state)
{
    (void)state;
    struct pair pair = {0};
    begin(&pair);
    struct api_key_request key = plain(0x11);
    pair_key_set(&pair, &key, T);
    assert_int_equal(consume(&pair, 0x11, 3, "id", MODE_ALL, T), 3);
    assert_int_equal(consume(&pair, 0x11, 3, "id", MODE_ALL, T + S), 3);
    pair_key_revoke(&pair, "1111111111", T + 2 * S);
    assert_int_equal(consume(&pair, 0x11, 3, "id", MODE_ALL, T + 3 * S), 0);
    assert_fault(&pair, ACCOUNT_FAULT_KEY_REVOKED);
    assert_int_equal(used_of(&pair, "a", T + 3 * S), 3);
    pair_end(&pair);
}

/* ---- what a key counts ----------------------------------------------------------------------------------- */

static void its_rates_are_its_own(void **state)
{
    (void)state;
    struct pair pair = {0};
    begin(&pair);
    struct sink rules = {0};
    struct entitlement entitlement = entitlement_from("key RATE 5 10s");
    entitlement_encode(&entitlement, &rules);
    struct api_key_request fast = plain(0x11), slow = plain(0x22);
    slow.rules = sink_content(&rules);
    pair_key_set(&pair, &fast, T);
    pair_key_set(&pair, &slow, T);
    assert_int_equal(consume(&pair, 0x22, 4, NULL, MODE_ALL, T), 4);
    assert_int_equal(consume(&pair, 0x22, 2, NULL, MODE_ALL, T), 0);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].rule, 90);
    assert_int_equal(consume(&pair, 0x22, 9, NULL, MODE_UPTO, T), 1); /* one that its rate lets through */
    assert_int_equal(consume(&pair, 0x11, 9, NULL, MODE_ALL, T), 9);
    assert_int_equal(consume(&pair, 0x22, 9, NULL, MODE_FORCE, T + 10 * S), 9);
    assert_int_equal(consume(&pair, 0x22, 1, NULL, MODE_ALL, T + 10 * S), 0);
    assert_int_equal(used_of(&pair, "a", T + 10 * S), 23);
    /* other settings: what was counted goes on */
    pair_key_set(&pair, &slow, T + 10 * S);
    assert_int_equal(consume(&pair, 0x22, 1, NULL, MODE_ALL, T + 10 * S), 0);
    slow.rules = BYTES("");
    pair_key_set(&pair, &slow, T + 10 * S);
    assert_int_equal(consume(&pair, 0x22, 1, NULL, MODE_ALL, T + 10 * S), 1);
    sink_free(&rules);
    pair_end(&pair);
}

static void its_last_use_is_kept_to_the_hour_of_a_charge(void **state)
{
    (void)state;
    struct pair pair = {0};
    begin(&pair);
    struct api_key_request key = plain(0x11);
    pair_key_set(&pair, &key, T);
    assert_int_equal(used_hour(&pair, 0x11), 0);
    (void)consume(&pair, 0x11, 1, NULL, MODE_PEEK, T);
    (void)consume(&pair, 0x11, 101, NULL, MODE_ALL, T);
    assert_int_equal(used_hour(&pair, 0x11), 0); /* neither was charged */
    assert_int_equal(consume(&pair, 0x11, 1, NULL, MODE_ALL, T), 1);
    assert_int_equal(used_hour(&pair, 0x11), at("2025-01-31T15:00:00"));
    assert_int_equal(consume(&pair, 0x11, 1, NULL, MODE_ALL, T + 40 * MICROS_PER_MINUTE), 1);
    assert_int_equal(used_hour(&pair, 0x11), at("2025-01-31T16:00:00"));
    pair_end(&pair);
}

/* ---- operators ------------------------------------------------------------------------------------------- */

static void leading_digits_name_one_key(void **state)
{
    (void)state;
    struct pair pair = {0};
    char twin[API_KEY_DIGEST_BYTES];
    begin(&pair);
    memset(twin, 0x11, sizeof(twin));
    twin[31] = 0x12;
    struct api_key_request one = plain(0x11), other = plain(0x11);
    other.digest = (struct bytes){twin, sizeof(twin)};
    pair_key_set(&pair, &one, T);
    pair_key_set(&pair, &other, T);
    pair_key_revoke(&pair, "11111111", T);
    assert_fault(&pair, ACCOUNT_FAULT_KEY_SEVERAL);
    pair_key_revoke(&pair, "99999999", T);
    assert_int_equal(pair.decision.result.revoked, 0);
    pair_key_revoke(&pair, "1111111111111111111111111111111111111111111111111111111111111112", T);
    assert_int_equal(pair.decision.result.revoked, 1);
    pair_key_revoke(&pair, "11111111", T); /* one alone lives */
    assert_int_equal(pair.decision.result.revoked, 1);
    assert_int_equal(fault_of(&pair, 0x11, NULL, T), ACCOUNT_FAULT_KEY_REVOKED);
    pair_key_set(&pair, &one, T);
    assert_fault(&pair, ACCOUNT_FAULT_KEY_REVOKED); /* it does not come back */
    pair_end(&pair);
}

static void the_new_one_inherits(void **state)
{
    (void)state;
    struct pair pair = {0};
    begin(&pair);
    struct api_key_request key = plain(0x11);
    key.scopes = BYTES("\4read");
    key.expires = (struct moment){.kind = MOMENT_DURATION, .after_us = H};
    pair_key_set(&pair, &key, T);
    pair_key_rotate(&pair, "11111111", digest_of(0x11), 0, T);
    assert_fault(&pair, ACCOUNT_FAULT_KEY_NEW);
    pair_key_rotate(&pair, "99999999", digest_of(0x22), 0, T);
    assert_fault(&pair, ACCOUNT_FAULT_KEY_UNKNOWN);
    pair_key_rotate(&pair, "11111111", digest_of(0x22), 2 * H, T); /* it expires before */
    assert_int_equal(pair.decision.result.expires_us, T + H);
    assert_int_equal(fault_of(&pair, 0x22, "write", T), ACCOUNT_FAULT_KEY_SCOPE);
    assert_int_equal(fault_of(&pair, 0x22, "read", T + H - 1), ACCOUNT_FAULT_NONE);
    assert_int_equal(fault_of(&pair, 0x22, "read", T + H), ACCOUNT_FAULT_KEY_EXPIRED);
    pair_key_rotate(&pair, "22222222", digest_of(0x33), 0, T + S);
    assert_int_equal(fault_of(&pair, 0x22, NULL, T + S), ACCOUNT_FAULT_KEY_ROTATED);
    pair_end(&pair);
}

static void a_thousand_live_at_most(void **state)
{
    (void)state;
    struct pair pair = {0};
    char digest[API_KEY_DIGEST_BYTES] = {0};
    begin(&pair);
    struct api_key_request key = plain(0x11);
    for (uint32_t i = 0; i <= API_KEYS_MAX; i++) {
        memcpy(digest, &i, sizeof(i));
        key.digest = (struct bytes){digest, sizeof(digest)};
        pair_key_set(&pair, &key, T);
        assert_int_equal(pair.decision.fault, i < API_KEYS_MAX ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_KEYS);
    }
    pair_key_rotate(&pair, "01000000", digest_of(0x99), 0, T);
    assert_fault(&pair, ACCOUNT_FAULT_NONE); /* one goes, one comes */
    pair_key_set(&pair, &key, T);
    assert_fault(&pair, ACCOUNT_FAULT_KEYS);
    pair_key_revoke(&pair, "02000000", T);
    pair_key_set(&pair, &key, T);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_says_why),         cmocka_unit_test(a_replay_is_verified),
        cmocka_unit_test(its_rates_are_its_own),       cmocka_unit_test(its_last_use_is_kept_to_the_hour_of_a_charge),
        cmocka_unit_test(leading_digits_name_one_key), cmocka_unit_test(the_new_one_inherits),
        cmocka_unit_test(a_thousand_live_at_most),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

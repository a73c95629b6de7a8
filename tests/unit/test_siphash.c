/* SipHash-1-3 against values of another implementation: CPython's hash of bytes, which is this one under a zero key
 *
 *     PYTHONHASHSEED=0 python3.11 -c 'print(hex(hash(b"user:42") & (2**64 - 1)))'                                  */
#include "quota/base/siphash.h"
#include "scenario.h"
#include "tools.h"

static void it_is_the_hash_of_others(void **state)
{
    (void)state;
    static const struct row {
        const char *bytes;
        uint64_t hash;
    } rows[] = {
        /* less than a word, one byte short of it, exactly one, words and a rest */
        {"a", UINT64_C(0x407448d2b89b1813)},
        {"user:42", UINT64_C(0x223dd74fb15f308d)},
        {"abcdefg", UINT64_C(0x6db12aae9070f506)},
        {"abcdefgh", UINT64_C(0x3f7b849c0b8e35ea)},
        {"0123456789abcdefg", UINT64_C(0x3323a4f8b8d9776b)},
    };
    const struct siphash_key zero = {{0, 0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(siphash(&zero, (struct bytes){rows[i].bytes, strlen(rows[i].bytes)}), rows[i].hash);
    }
}

static void every_bit_of_seed_and_bytes_counts(void **state)
{
    (void)state;
    char bytes[40] = {0};
    struct siphash_key key = siphash_key_of(1);
    uint64_t hash = siphash(&key, (struct bytes){bytes, sizeof(bytes)});
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_not_equal(siphash(&key, (struct bytes){bytes, sizeof(bytes)}), hash);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (int bit = 0; bit < 64; bit++) {
        struct siphash_key other = siphash_key_of(UINT64_C(1) ^ UINT64_C(1) << bit);
        assert_int_not_equal(siphash(&other, (struct bytes){bytes, sizeof(bytes)}), hash);
    }
    assert_int_not_equal(siphash(&key, BYTES("")), siphash(&key, (struct bytes){bytes, 1})); /* the length counts too */
    assert_int_equal(siphash(&key, (struct bytes){NULL, 0}), siphash(&key, BYTES("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_hash_of_others),
        cmocka_unit_test(every_bit_of_seed_and_bytes_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Linear hashing: as buckets come one by one, only what belongs to the new one moves, and it comes from its parent. */
#include "quota/base/linear_hash.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_bucket_more_moves_records_out_of_its_parent_alone(void **state)
{
    (void)state;
    uint32_t moved = 0;
    for (uint32_t i = 0; i < 500; i++) {
        uint32_t hash = (uint32_t)random_bits(), bucket = 0;
        assert_int_equal(linear_bucket(hash, 0), 0);
        for (uint32_t last = 1; last < 3000; last++) {
            uint32_t now = linear_bucket(hash, last);
            if (now == bucket) continue;
            assert_int_equal(now, last);
            assert_int_equal(linear_parent(now), bucket);
            bucket = now;
            moved++;
        }
        assert_int_equal(bucket & 1, hash & 1); /* the low bits of the hash, always */
    }
    assert_in_range(moved, 500 * 5, 500 * 7); /* every doubling moves half of what there is, and 2^11.5 is 3000 */
}

static void buckets_are_evenly_filled(void **state)
{
    (void)state;
    static const uint32_t lasts[] = {1, 3, 7, 511, 700, 1023};
    static uint32_t filled[1024];
    for (size_t k = 0; k < COUNT_OF(lasts); k++) {
        uint32_t whole = 2 * highest_bit(lasts[k]), split = lasts[k] + 1 - whole / 2, most = 0;
        memset(filled, 0, sizeof(filled));
        for (uint32_t hash = 0; hash < whole * 10; hash++) filled[linear_bucket(hash, lasts[k])]++;
        for (uint32_t i = 0; i <= lasts[k]; i++) most = filled[i] > most ? filled[i] : most;
        assert_int_equal(filled[lasts[k]], 10);              /* one that has been split */
        assert_int_equal(most, split < whole / 2 ? 20 : 10); /* one that awaits it */
    }
}

/* As buckets come and go, each head keeps what it has, and the bytes told are those of the heap. */
static void heads_stay_as_buckets_come_and_go(void **state)
{
    (void)state;
    for (size_t head_bytes = 4; head_bytes <= 8; head_bytes += 4) {
        union linear_heads heads = {0};
        const uint32_t most = 5000;
        uint64_t shown = 0;
        for (uint32_t turn = 0; turn <= 2 * most; turn++) {
            uint32_t last = turn <= most ? turn : 2 * most - turn;
            if (turn > 0 && turn <= most) linear_heads_extend(&heads, last, head_bytes);
            if (turn > most) linear_heads_curtail(&heads, last + 1, head_bytes);
            if (turn <= most) memcpy(linear_head(&heads, last, last, head_bytes), &(uint64_t){turn + 7}, head_bytes);
            assert_int_equal(linear_heads_bytes(last, head_bytes), heap_bytes());
            for (uint32_t bucket = random_below(13); bucket <= last; bucket += 1 + random_below(turn < 20 ? 2 : 999)) {
                memcpy(&shown, linear_head(&heads, last, bucket, head_bytes), head_bytes);
                assert_int_equal(shown, bucket + 7);
            }
        }
        assert_int_equal(heap_bytes(), 0);
        for (uint32_t last = 1; last < most; last++) linear_heads_extend(&heads, last, head_bytes);
        linear_heads_free(&heads, most - 1, head_bytes);
        assert_int_equal(heap_bytes(), 0);
        assert_null(heads.block);
    }
}

static void the_secret_changes_every_hash(void **state)
{
    (void)state;
    uint32_t before = linear_hash(BYTES("user:42"));
    assert_int_equal(linear_hash(BYTES("user:42")), before);
    assert_int_not_equal(linear_hash(BYTES("user:43")), before);
    linear_hash_seed(UINT64_C(0x123456789abcdef));
    uint32_t seeded = linear_hash(BYTES("user:42"));
    assert_int_not_equal(seeded, before);
    linear_hash_seed(UINT64_C(0x123456789abcdee));
    assert_int_not_equal(linear_hash(BYTES("user:42")), seeded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_more_moves_records_out_of_its_parent_alone),
        cmocka_unit_test(buckets_are_evenly_filled),
        cmocka_unit_test(heads_stay_as_buckets_come_and_go),
        cmocka_unit_test(the_secret_changes_every_hash),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

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

/* ---- chains ---------------------------------------------------------------------------------------------- */

#define RECORDS 5000

struct record {
    char link[sizeof(void *)];
    uint32_t hash;
};
static struct record records[RECORDS];

static char *record_of_pointer(const void *owner, const char *link)
{
    char *record;
    assert_ptr_equal(owner, records);
    memcpy(&record, link, sizeof(record));
    return record;
}

/* Numbers from 1 on. */
static char *record_of_number(const void *owner, const char *link)
{
    uint32_t number;
    assert_ptr_equal(owner, records);
    memcpy(&number, link, sizeof(number));
    return number > 0 ? records[number - 1].link : NULL;
}

static uint32_t hash_of(const char *record)
{
    return ((const struct record *)(const void *)record)->hash;
}

static const struct linear_links kinds[] = {{sizeof(uint32_t), record_of_number, hash_of},
                                            {sizeof(void *), record_of_pointer, hash_of}};

struct index {
    union linear_heads heads;
    uint32_t last;
    const struct linear_links *links;
};

static char *head(struct index *index, uint32_t bucket)
{
    return linear_head(&index->heads, index->last, bucket, index->links->bytes);
}

/* Puts the record of this number at the front of its chain. */
static void add(struct index *index, uint32_t number)
{
    const char *record = records[number].link;
    uint32_t handle = number + 1;
    char *front = head(index, linear_bucket(records[number].hash, index->last));
    memcpy(records[number].link, front, index->links->bytes);
    memcpy(front, index->links->bytes == sizeof(handle) ? (const void *)&handle : (const void *)&record,
           index->links->bytes);
}

/* Every record is in the chain of its bucket and nowhere else. Splitting keeps the order, which is that of age here. */
static void check_chains(struct index *index, uint32_t count, bool ordered)
{
    uint32_t found = 0;
    for (uint32_t bucket = 0; bucket <= index->last; bucket++) {
        const char *before = NULL, *record = index->links->record(records, head(index, bucket));
        for (; record; before = record, record = index->links->record(records, record)) {
            assert_int_equal(linear_bucket(hash_of(record), index->last), bucket);
            if (ordered && before) assert_true(before > record);
            found++;
        }
    }
    assert_int_equal(found, count);
    assert_int_equal(linear_heads_bytes(index->last, index->links->bytes), heap_bytes());
}

static void records_stay_in_their_buckets_as_buckets_come_and_go(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        struct index index = {.links = &kinds[k]};
        for (uint32_t i = 0; i < RECORDS; i++) {
            records[i].hash = (uint32_t)random_bits();
            add(&index, i);
            if (i > 0) linear_grow(&index.heads, &index.last, index.links, records);
            if (i < 70 || i % 500 == 0) check_chains(&index, i + 1, true);
        }
        check_chains(&index, RECORDS, true);
        while (index.last > 0) {
            linear_shrink(&index.heads, &index.last, index.links, records);
            if (index.last < 70 || index.last % 500 == 0) check_chains(&index, RECORDS, false);
        }
        assert_int_equal(heap_bytes(), 0);
    }
}

static void heads_are_freed(void **state)
{
    (void)state;
    static const uint32_t lasts[] = {0, 1, 511, 512, 1023, 1024, 4000};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        for (size_t i = 0; i < COUNT_OF(lasts); i++) {
            struct index index = {.links = &kinds[k]};
            while (index.last < lasts[i]) linear_grow(&index.heads, &index.last, index.links, records);
            check_chains(&index, 0, true);
            linear_heads_free(&index.heads, index.last, index.links->bytes);
            assert_int_equal(heap_bytes(), 0);
            assert_null(index.heads.block);
        }
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

/* Of any length, whichever key came before, under any secret. */
static void what_is_remembered_is_the_same_hash(void **state)
{
    (void)state;
    char text[200];
    memset(text, 'a', sizeof(text));
    for (uint64_t seed = 1; seed < 4; seed++) {
        linear_hash_seed(seed);
        for (size_t size = 0; size < sizeof(text); size++) {
            struct bytes key = {text, size}, other = {text + 1, size};
            text[0] = 'b';
            assert_int_equal(linear_hash_again(key), linear_hash(key));
            assert_int_equal(linear_hash_again(key), linear_hash(key));
            assert_int_equal(linear_hash_again(other), linear_hash(other));
            text[0] = 'c';
            assert_int_equal(linear_hash_again(key), linear_hash(key));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_more_moves_records_out_of_its_parent_alone),
        cmocka_unit_test(buckets_are_evenly_filled),
        cmocka_unit_test(records_stay_in_their_buckets_as_buckets_come_and_go),
        cmocka_unit_test(heads_are_freed),
        cmocka_unit_test(the_secret_changes_every_hash),
        cmocka_unit_test(what_is_remembered_is_the_same_hash),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

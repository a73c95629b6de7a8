/* The hash index: random streams against a plain array that says of every record whether it is in.
 *
 * Every step is also held against what must always be true: the bytes the index reports are those the heap has given
 * it, one step requests no more of the heap than it promises, and when all is taken out nothing is held. */
#include "quota/base/hash_index.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define GROWN       200000
#define STEP_MAX    (4096 + 8 * 512) /* bytes a step may request: a segment, and the directory of so many records */
#define HELD_MAX(n) (4096 + 17 * (size_t)(n))

/* ---- records and their model ----------------------------------------------------------------------------- */

struct record {
    uint32_t key;
    bool is_in; /* the model */
    struct hash_link link;
};

static struct record records[GROWN];

static struct bytes key_of(const struct hash_link *link)
{
    const struct record *record = HASH_RECORD(link, const struct record, link);
    return (struct bytes){(const char *)&record->key, sizeof(record->key)};
}

/* How many bits of the hash a test lets through: 0 = all keys collide. */
static uint32_t hash_mask;

static uint32_t hash_of(const struct record *record)
{
    return linear_hash(key_of(&record->link)) & hash_mask;
}

static void assert_right(const struct hash_index *index, uint32_t number)
{
    const struct record *record = &records[number];
    const struct hash_link *found = hash_index_find(index, key_of(&record->link), hash_of(record), key_of);
    assert_ptr_equal(found, record->is_in ? &record->link : NULL);
    if (found) assert_int_equal(found->own, number);
}

/* Adds what is not in, or takes out what is. */
static void turn(struct hash_index *index, uint32_t number)
{
    struct record *record = &records[number];
    uint32_t count = index->count;
    heap_count_begin();
    assert_right(index, number);
    if (record->is_in) {
        hash_index_remove(index, &record->link);
        memset(&record->link, 0xee, sizeof(record->link)); /* it is the caller's again */
    } else {
        record->link.own = number;
        hash_index_add(index, &record->link, hash_of(record));
    }
    record->is_in = !record->is_in;
    assert_int_equal(index->count, record->is_in ? count + 1 : count - 1);
    assert_int_equal(hash_index_bytes(index), heap_bytes());
    assert_true(heap_requested_bytes() <= STEP_MAX);
    assert_true(heap_bytes() <= HELD_MAX(index->count));
    assert_right(index, number);
}

static void records_begin(uint32_t mask)
{
    hash_mask = mask;
    for (uint32_t i = 0; i < GROWN; i++) records[i] = (struct record){.key = i};
}

static void assert_all_right(const struct hash_index *index, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) assert_right(index, i);
}

/* ---- tests ----------------------------------------------------------------------------------------------- */

static void few_records_need_no_memory(void **state)
{
    (void)state;
    struct hash_index index = {0};
    records_begin(UINT32_MAX);
    assert_right(&index, 0);
    for (uint32_t i = 0; i < HASH_INDEX_FEW; i++) {
        turn(&index, i);
        assert_int_equal(heap_bytes(), 0);
    }
    assert_all_right(&index, HASH_INDEX_FEW + 1);
    struct hash_index moved = index;
    memset(&index, 0xee, sizeof(index));
    turn(&moved, HASH_INDEX_FEW);
    assert_true(heap_bytes() > 0 && heap_bytes() <= 64);
    assert_all_right(&moved, HASH_INDEX_FEW + 1);
    for (uint32_t i = 0; i <= HASH_INDEX_FEW; i++) turn(&moved, i);
    const struct hash_index none = {0};
    assert_memory_equal(&moved, &none, sizeof(none));
}

/* Around sizes from none to 5,000, with hashes as they are, with hashes that are few, and all in one chain. */
static void random_streams_are_as_the_model_says(void **state)
{
    (void)state;
    static const struct row {
        uint32_t size, steps, mask;
    } rows[] = {
        {1, 100, UINT32_MAX},
        {8, 2000, UINT32_MAX},
        {40, 5000, UINT32_MAX},
        {1000, 30000, UINT32_MAX},
        {3000, 30000, UINT32_MAX},
        {10000, 100000, UINT32_MAX},
        {40, 2000, 0},
        {600, 6000, 0},
        {2000, 20000, 0x3f},
        {2000, 20000, 0xfffffc00},
        {5000, 20000, 0x80000fff},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct hash_index index = {0};
        records_begin(rows[i].mask);
        for (uint32_t step = 0; step < rows[i].steps; step++) {
            turn(&index, random_below(rows[i].size));
            assert_right(&index, random_below(rows[i].size));
            if (step % 2000 == 0) assert_all_right(&index, rows[i].size);
        }
        assert_all_right(&index, rows[i].size);
        hash_index_clear(&index);
        assert_int_equal(heap_bytes(), 0);
        assert_int_equal(hash_index_bytes(&index), 0);
    }
}

/* Up to the bound and down again, oldest first, newest first, and at random. */
static void it_grows_and_shrinks_step_by_step(void **state)
{
    (void)state;
    struct hash_index index = {0};
    records_begin(UINT32_MAX);
    for (int order = 0; order < 3; order++) {
        for (uint32_t i = 0; i < GROWN; i++) turn(&index, i);
        assert_int_equal(index.count, GROWN);
        assert_true(heap_bytes() >= 8 * GROWN - 32 && heap_bytes() <= 9 * GROWN);
        assert_all_right(&index, GROWN);
        for (uint32_t i = 0; i < GROWN; i++) {
            uint32_t number = order == 0 ? i : order == 1 ? GROWN - 1 - i : (uint32_t)((uint64_t)i * 7919 % GROWN);
            turn(&index, number);
            if (i % 20000 == 0) assert_all_right(&index, GROWN);
        }
        assert_int_equal(index.count, 0);
        assert_int_equal(heap_bytes(), 0);
    }
}

/* Clearing forgets the records wherever their heads stand, and the index begins anew. */
static void clearing_gives_all_back(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, HASH_INDEX_FEW, HASH_INDEX_FEW + 1, 100, 1023, 1024, 1025, 2049, 5000};
    struct hash_index index = {0};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        records_begin(UINT32_MAX);
        for (uint32_t k = 0; k < sizes[i]; k++) turn(&index, k);
        hash_index_clear(&index);
        assert_int_equal(heap_bytes(), 0);
        assert_int_equal(index.count, 0);
        records_begin(UINT32_MAX);
        assert_all_right(&index, sizes[i]);
    }
}

/* Adding and taking out one record again and again soon requests nothing of the heap, wherever the index stands. */
static void one_record_to_and_fro_moves_nothing(void **state)
{
    (void)state;
    struct hash_index index = {0};
    records_begin(UINT32_MAX);
    for (uint32_t size = 0; size < 3000; size++) {
        for (int i = 0; i < 9; i++) turn(&index, size); /* it is in */
        assert_int_equal(heap_requested_bytes(), 0);
        turn(&index, size);
        turn(&index, size);
        assert_int_equal(heap_requested_bytes(), 0);
    }
    hash_index_clear(&index);
}

#define TEST(test) cmocka_unit_test_teardown(test, heap_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(few_records_need_no_memory),          TEST(random_streams_are_as_the_model_says),
        TEST(it_grows_and_shrinks_step_by_step),   TEST(clearing_gives_all_back),
        TEST(one_record_to_and_fro_moves_nothing),
    };
    return cmocka_run_group_tests(tests, heap_set_up, NULL);
}

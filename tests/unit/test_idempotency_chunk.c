/* Packed idempotency records and chunks of them: what is read back, what expires first, against a plain array. */
#include "idempotency_tools.h"
#include "quota/account/idempotency_chunk.h"
#include "scenario.h"
#include "tools.h"

#define RECORDS_MAX 60

/* A chunk, and where in it the records are that the array has. */
static struct filled {
    union {
        struct idempotency_chunk chunk;
        char block[16384];
    };
    struct noted {
        uint32_t offset;
        int64_t expires_us;
    } noted[RECORDS_MAX];
    uint32_t count;
} filled;

static void filled_begin(void)
{
    struct idempotency_entry first = usual_entry(0, BASE);
    filled.count = 0;
    chunk_begin(&filled.chunk);
    packed_begin(&filled.chunk.packed, sizeof(filled.block) - offsetof(struct idempotency_chunk, packed), &first);
}

static void filled_append(int64_t stored_us, int64_t expires_us)
{
    struct packed *packed = &filled.chunk.packed;
    struct idempotency_entry entry = usual_entry(filled.count, stored_us), shown;
    entry.expires_us = expires_us;
    size_t size = packed_record_size(packed, &entry);
    uint32_t offset = packed_append(packed, size, &entry), read;
    assert_int_equal(packed_read(packed, offset, &shown), size);
    assert_same_entry(&shown, &entry);
    assert_int_equal(packed_expires_us(packed, offset, &read), expires_us);
    assert_int_equal(read, size);
    chunk_count(&filled.chunk, offset, (uint32_t)size, expires_us);
    filled.noted[filled.count++] = (struct noted){offset, expires_us};
}

static void filled_drop(uint32_t number)
{
    chunk_drop(&filled.chunk, filled.noted[number].offset);
    memmove(filled.noted + number, filled.noted + number + 1, (--filled.count - number) * sizeof(filled.noted[0]));
}

static uint32_t filled_first(void)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < filled.count; i++) {
        if (filled.noted[i].expires_us < filled.noted[first].expires_us) first = i;
    }
    return first;
}

static void assert_filled(void)
{
    const struct noted *first = &filled.noted[filled_first()];
    uint32_t size;
    assert_int_equal(filled.chunk.count, filled.count);
    assert_int_equal(filled.chunk.front, filled.noted[0].offset);
    assert_int_equal(filled.chunk.earliest, first->offset);
    assert_int_equal(filled.chunk.expires_us, first->expires_us);
    for (uint32_t i = 0; i + 1 < filled.count; i++) {
        packed_expires_us(&filled.chunk.packed, filled.noted[i].offset, &size);
        assert_int_equal(chunk_record_from(&filled.chunk, filled.noted[i].offset + size), filled.noted[i + 1].offset);
    }
}

/* Expiries in order, out of order by a little, and in no order at all. */
static void a_chunk_knows_what_expires_first(void **state)
{
    (void)state;
    const int64_t jitters[] = {0, 3 * S, 1000 * S};
    for (int round = 0; round < 300; round++) {
        int64_t jitter_us = jitters[round % 3];
        filled_begin();
        for (int64_t i = 0; i < RECORDS_MAX; i++) {
            filled_append(BASE + i * S, BASE + (i / 2) * S + H - random_between(0, jitter_us));
        }
        while (filled.count > 1) {
            uint32_t expired = 0, most = random_below(RECORDS_MAX + 1);
            int64_t now_us = BASE + H - 1000 * S + random_between(0, 1030 * S);
            for (uint32_t i = 0; i < filled.count; i++) expired += filled.noted[i].expires_us <= now_us;
            assert_int_equal(chunk_expired(&filled.chunk, now_us, most), expired < most ? expired : most);
            filled_drop(random_below(3) == 0 ? random_below(filled.count) : filled_first());
            assert_filled();
        }
    }
}

static void a_chunk_is_sparse_when_little_is_left_behind_its_first(void **state)
{
    (void)state;
    filled_begin();
    for (int64_t i = 0; i < RECORDS_MAX; i++) filled_append(BASE + i * S, BASE + i * S + D);
    for (int i = 0; i < RECORDS_MAX - 5; i++) {
        assert_false(chunk_is_sparse(&filled.chunk)); /* in their order they leave no gaps */
        filled_drop(0);
    }
    filled_begin();
    for (int64_t i = 0; i < RECORDS_MAX; i++) filled_append(BASE + i * S, BASE + i * S + D);
    assert_filled();
    for (int i = 0; i < RECORDS_MAX - 1; i++) {
        assert_int_equal(chunk_is_sparse(&filled.chunk), filled.count <= RECORDS_MAX / 8);
        filled_drop(1 + random_below(filled.count - 1));
    }
}

static void packed_records_are_found_and_removed(void **state)
{
    (void)state;
    struct packed *packed = &filled.chunk.packed;
    filled_begin();
    for (int64_t i = 0; i < 9; i++) filled_append(BASE + i, BASE + i);
    for (uint32_t i = 0; i < 9; i++) {
        assert_int_equal(packed_find(packed, usual_entry(i, 0).key), filled.noted[i].offset);
    }
    uint32_t size = filled.noted[4].offset - filled.noted[3].offset;
    packed_remove(packed, filled.noted[3].offset, size);
    assert_int_equal(packed_find(packed, usual_entry(3, 0).key), 0);
    assert_int_equal(packed_find(packed, usual_entry(2, 0).key), filled.noted[2].offset);
    assert_int_equal(packed_find(packed, usual_entry(8, 0).key), filled.noted[8].offset - size);
    assert_int_equal(packed->end, filled.noted[8].offset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_chunk_knows_what_expires_first, heap_tear_down),
        cmocka_unit_test_teardown(a_chunk_is_sparse_when_little_is_left_behind_its_first, heap_tear_down),
        cmocka_unit_test_teardown(packed_records_are_found_and_removed, heap_tear_down),
    };
    return cmocka_run_group_tests(tests, heap_set_up, NULL);
}

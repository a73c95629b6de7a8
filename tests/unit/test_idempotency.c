/* The idempotency store: rows per promise, then random streams against a plain array that searches everything every time.
 *
 * Every step is also held against what must always be true: the bytes the container reports are those the heap has
 * given it, a walk shows the records in order, a value survives its own encoding. */
#include "idempotency_tools.h"
#include "quota/account/idempotency_codec.h"
#include "quota/base/linear_hash.h"
#include "scenario.h"
#include "tools.h"
#include <stdlib.h>

#define ALL UINT32_MAX

/* ---- what must always be true ---------------------------------------------------------------------------- */

/* Reads exactly these bytes; NULL for nothing, *bad when they are refused. */
static struct idempotency_store *decode(const char *data, size_t size, bool *bad)
{
    struct cursor cursor = cursor_init((struct bytes){data, size});
    struct idempotency_store *store = idempotency_decode(&cursor);
    *bad = !cursor_done(&cursor);
    if (cursor.bad) assert_null(store);
    return store;
}

static void assert_survives_encoding(const struct idempotency_store *store)
{
    struct sink bytes = {0}, again = {0};
    bool bad;
    idempotency_encode(store, &bytes);
    struct idempotency_store *copy = decode(bytes.data, bytes.size, &bad);
    assert_false(bad);
    assert_int_equal(idempotency_count(copy), idempotency_count(store));
    idempotency_encode(copy, &again);
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    idempotency_free(copy);
    sink_free(&bytes);
    sink_free(&again);
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

enum { APPEND, FIND, PATCH, SWEEP, EXPIRED };

struct row {
    int what;
    int64_t at_us; /* after BASE */
    const char *key, *body;
    int64_t number; /* APPEND: lifetime; PATCH: is there one?; SWEEP, EXPIRED: at most */
    int64_t count;  /* APPEND, SWEEP: records then; EXPIRED: the answer */
};

static struct bytes text_bytes(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static struct idempotency_store *run_row(struct idempotency_store *store, const struct row *row, size_t number)
{
    int64_t now_us = BASE + row->at_us, count = row->count;
    struct idempotency_entry entry = {.stored_us = now_us, .expires_us = now_us + row->number};
    if (row->key) entry.key = text_bytes(row->key);
    if (row->body) entry.body = text_bytes(row->body);
    if (row->what == APPEND || row->what == SWEEP) {
        if (row->what == APPEND) store = idempotency_append(store, &entry);
        if (row->what == SWEEP) store = idempotency_sweep(store, now_us, (uint32_t)row->number);
        count = idempotency_count(store);
        assert_int_equal(store == NULL, count == 0);
    } else if (row->what == EXPIRED) {
        count = idempotency_expired(store, now_us, (uint32_t)row->number);
    } else if (row->what == PATCH) {
        if (idempotency_patch(store, entry.key, entry.body) != row->number) fail_msg("row %zu: patch", number);
    } else {
        struct idempotency_entry found;
        bool is = idempotency_find(store, entry.key, now_us, &found);
        if (is != (row->body != NULL)) fail_msg("row %zu: found %d", number, is);
        if (is && !bytes_equal(found.body, entry.body)) fail_msg("row %zu: another body", number);
    }
    if (count != row->count) fail_msg("row %zu: count %lld", number, (long long)count);
    assert_int_equal(idempotency_bytes(store), heap_bytes());
    assert_survives_encoding(store);
    return store;
}

static void run_rows(const struct row *rows, size_t count)
{
    struct idempotency_store *store = NULL;
    for (size_t i = 0; i < count; i++) store = run_row(store, &rows[i], i);
    idempotency_free(store);
}

#define RUN_ROWS(...)                                                                                                  \
    run_rows((const struct row[]){__VA_ARGS__}, sizeof((struct row[]){__VA_ARGS__}) / sizeof(struct row))

static void a_record_counts_exactly_until_it_expires(void **state)
{
    (void)state;
    RUN_ROWS(
        /* nothing holds nothing */
        {FIND, 0, "a", NULL, 0, 0}, {PATCH, 0, "a", "x", false, 0}, {SWEEP, 0, NULL, NULL, 9, 0},
        {EXPIRED, 0, NULL, NULL, 9, 0},
        /* live up to its expiry and not at it, swept or not */
        {APPEND, 0, "a", "one", 10, 1}, {FIND, 0, "a", "one", 0, 0}, {FIND, 9, "a", "one", 0, 0},
        {FIND, 10, "a", NULL, 0, 0}, {FIND, -5, "a", "one", 0, 0}, {SWEEP, 9, NULL, NULL, 9, 1},
        {EXPIRED, 9, NULL, NULL, 9, 0}, {EXPIRED, 10, NULL, NULL, 9, 1}, {SWEEP, 10, NULL, NULL, 9, 0},
        {FIND, 0, "a", NULL, 0, 0},
        /* a lifetime of nothing */
        {APPEND, 20, "b", "two", 0, 1}, {FIND, 20, "b", NULL, 0, 0}, {FIND, 19, "b", "two", 0, 0},
        {SWEEP, 20, NULL, NULL, 9, 0});
}

static void the_newest_record_of_a_key_hides_the_others(void **state)
{
    (void)state;
    RUN_ROWS({APPEND, 0, "a", "one", 10, 1}, {APPEND, 0, "b", "two", 10, 2}, {APPEND, 10, "a", "three", 5, 3},
             {FIND, 10, "a", "three", 0, 0},
             /* the hidden one never comes back: not for a clock that stepped back, not when the newer one ends first */
             {FIND, 5, "a", "three", 0, 0}, {APPEND, 11, "b", "four", 1, 4}, {FIND, 12, "b", NULL, 0, 0},
             {FIND, 5, "b", "four", 0, 0},
             /* sweeping the hidden one leaves the newer one */
             {SWEEP, 10, NULL, NULL, 1, 3}, {FIND, 12, "a", "three", 0, 0}, {SWEEP, 10, NULL, NULL, 9, 2},
             {FIND, 14, "a", "three", 0, 0}, {FIND, 11, "b", "four", 0, 0}, {SWEEP, 12, NULL, NULL, 9, 2},
             {SWEEP, 15, NULL, NULL, 9, 0});
}

static void patching_changes_the_body_in_place(void **state)
{
    (void)state;
    RUN_ROWS({APPEND, 0, "a", "one", 10, 1}, {APPEND, 0, "b", "", 10, 2}, {PATCH, 0, "a", "two", true, 0},
             {FIND, 0, "a", "two", 0, 0}, {FIND, 0, "b", "", 0, 0},
             /* of the same size only, and only where there is one */
             {PATCH, 0, "a", "four", false, 0}, {PATCH, 0, "a", "", false, 0}, {PATCH, 0, "c", "two", false, 0},
             {PATCH, 0, "b", "", true, 0}, {FIND, 0, "a", "two", 0, 0},
             /* the newest, expired or not */
             {APPEND, 10, "a", "six", 1, 3}, {PATCH, 99, "a", "ten", true, 0}, {FIND, 10, "a", "ten", 0, 0});
}

static void sweeping_goes_from_the_oldest_to_the_first_that_is_live(void **state)
{
    (void)state;
    RUN_ROWS({APPEND, 0, "a", "1", 10, 1}, {APPEND, 1, "b", "2", 10, 2}, {APPEND, 2, "c", "3", 90, 3},
             {APPEND, 3, "d", "4", 10, 4}, {SWEEP, 50, NULL, NULL, 0, 4}, {EXPIRED, 50, NULL, NULL, 0, 0},
             {EXPIRED, 50, NULL, NULL, 1, 1}, {EXPIRED, 50, NULL, NULL, 9, 2}, {SWEEP, 50, NULL, NULL, 1, 3},
             {SWEEP, 50, NULL, NULL, 9, 2}, {FIND, 50, "c", "3", 0, 0}, {FIND, 50, "d", NULL, 0, 0},
             {SWEEP, 91, NULL, NULL, 9, 2}, {SWEEP, 92, NULL, NULL, 9, 0});
}

/* ---- the honest model ------------------------------------------------------------------------------------ */

#define MODEL_MAX 3000

struct noted {
    char key[IDEMPOTENCY_KEY_MAX], *body;
    size_t key_size, body_size;
    int64_t stored_us, expires_us;
};

static struct model {
    struct noted records[MODEL_MAX];
    uint32_t front, end;
} model;

static struct idempotency_entry entry_of(const struct noted *noted)
{
    return (struct idempotency_entry){
        {noted->key, noted->key_size}, {noted->body, noted->body_size}, noted->stored_us, noted->expires_us};
}

static struct noted *model_newest(struct bytes key)
{
    for (uint32_t i = model.end; i > model.front; i--) {
        struct noted *noted = &model.records[i - 1];
        if (bytes_equal(entry_of(noted).key, key)) return noted;
    }
    return NULL;
}

static void model_append(const struct idempotency_entry *entry)
{
    struct noted *noted = &model.records[model.end++];
    noted->key_size = entry->key.size;
    noted->body_size = entry->body.size;
    noted->stored_us = entry->stored_us;
    noted->expires_us = entry->expires_us;
    noted->body = malloc(entry->body.size + 1);
    memcpy(noted->key, entry->key.data, entry->key.size);
    memcpy(noted->body, entry->body.data, entry->body.size);
}

static uint32_t model_expired(int64_t now_us, uint32_t most)
{
    uint32_t expired = 0;
    while (expired < most && model.front + expired < model.end) {
        if (model.records[model.front + expired].expires_us > now_us) break;
        expired++;
    }
    return expired;
}

static void model_drop(uint32_t count)
{
    while (count-- > 0) free(model.records[model.front++].body);
}

/* ---- random streams -------------------------------------------------------------------------------------- */

struct stream {
    const char *name;
    uint32_t keys;       /* how many there are */
    size_t key_max;      /* bytes */
    uint32_t body_max;   /* bytes */
    int64_t step_us;     /* time between two steps, up to */
    int64_t lifetime_us; /* of all, or the longest */
    bool lifetimes_differ;
    uint32_t sweeps; /* of ten steps */
};

static const struct stream streams[] = {
    {"few keys, much hidden", 7, 4, 9, 3, 40, true, 2},
    {"one bucket becomes many and few again", 100000, 26, 20, S, 900 * S, false, 1},
    {"swept at once", 50, 10, 30, S, 3 * S, true, 8},
    {"few, now and then many", 1000, 26, 40, S, 12 * S, false, 3},
    {"few and large", 30, 40, 1000, S, 4 * S, true, 4},
    {"large records", 300, IDEMPOTENCY_KEY_MAX, IDEMPOTENCY_BODY_MAX, S, 80 * S, false, 2},
    {"sizes of one byte and of two", 4000, 200, 300, S, 300 * S, true, 1},
    {"years between", 1000, 20, 20, INSTANT_MAX_US / 100000, INSTANT_MAX_US / 1000, true, 2},
};

static char noise[IDEMPOTENCY_BODY_MAX + 256];

static struct idempotency_entry random_entry(const struct stream *stream, int64_t now_us)
{
    static char key[IDEMPOTENCY_KEY_MAX];
    uint32_t number = random_below(stream->keys);
    size_t size = sizeof(number) + number % (stream->key_max - sizeof(number) + 1);
    memset(key, 'k', sizeof(key));
    memcpy(key + size - sizeof(number), &number, sizeof(number)); /* many keys begin alike */
    int64_t lifetime_us = stream->lifetimes_differ ? random_between(0, stream->lifetime_us) : stream->lifetime_us;
    return (struct idempotency_entry){
        {key, size}, {noise + random_below(256), random_below(stream->body_max + 1)}, now_us, now_us + lifetime_us};
}

static void assert_agrees(const struct idempotency_store *store, int64_t now_us)
{
    struct idempotency_walk walk = {0};
    struct idempotency_entry shown, found;
    for (uint32_t i = model.front; i < model.end; i++) {
        struct idempotency_entry expected = entry_of(&model.records[i]);
        assert_true(idempotency_next(store, &walk, &shown));
        assert_same_entry(&shown, &expected);
    }
    assert_false(idempotency_next(store, &walk, &shown));
    assert_false(idempotency_next(store, &walk, &shown));
    for (uint32_t i = model.front; i < model.end; i += 1 + random_below(8)) {
        struct idempotency_entry expected = entry_of(model_newest(entry_of(&model.records[i]).key));
        assert_int_equal(idempotency_find(store, expected.key, now_us, &found), expected.expires_us > now_us);
        if (expected.expires_us > now_us) assert_same_entry(&found, &expected);
    }
}

static struct idempotency_store *random_step(const struct stream *stream, struct idempotency_store *store,
                                             int64_t now_us)
{
    struct idempotency_entry entry = random_entry(stream, now_us), found;
    struct noted *noted = model_newest(entry.key);
    bool live = noted && noted->expires_us > now_us;
    assert_int_equal(idempotency_find(store, entry.key, now_us, &found), live);
    if (random_below(10) < stream->sweeps) {
        uint32_t most = random_below(4) == 0 ? ALL : random_below(4), expired = model_expired(now_us, most);
        assert_int_equal(idempotency_expired(store, now_us, most), expired);
        store = idempotency_sweep(store, now_us, most);
        model_drop(expired);
    } else if (noted && random_below(2) == 0) {
        bool fits = entry.body.size == noted->body_size || random_below(2) == 0;
        if (fits) entry.body.size = noted->body_size;
        assert_int_equal(idempotency_patch(store, entry.key, entry.body), fits);
        if (fits) memcpy(noted->body, entry.body.data, entry.body.size);
    } else if (!live || random_below(20) == 0) { /* callers append what is not live; nothing breaks if they do */
        store = idempotency_append(store, &entry);
        model_append(&entry);
    }
    return store;
}

static void random_streams_agree_with_a_plain_array(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(noise); i++) noise[i] = (char)random_bits();
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        struct idempotency_store *store = NULL;
        int64_t now_us = BASE;
        model.front = model.end = 0;
        for (int step = 0; step < 3500 && model.end < MODEL_MAX; step++) {
            now_us += random_between(random_below(20) == 0 ? -streams[i].step_us : 0, streams[i].step_us);
            store = random_step(&streams[i], store, now_us);
            assert_int_equal(idempotency_count(store), model.end - model.front);
            assert_int_equal(store == NULL, model.end == model.front);
            assert_int_equal(idempotency_bytes(store), heap_bytes());
            if (step % 50 == 0) assert_agrees(store, now_us);
            if (step % 100 == 0) assert_survives_encoding(store);
        }
        assert_agrees(store, now_us);
        store = idempotency_sweep(store, INSTANT_MAX_US, ALL);
        assert_null(store);
        model_drop(model.end - model.front);
    }
}

/* ---- many records ---------------------------------------------------------------------------------------- */

#define MANY 100000

static void assert_holds(const struct idempotency_store *store, uint32_t from, uint32_t end)
{
    struct idempotency_entry found;
    for (uint32_t i = 0; i < MANY; i += 7) {
        struct idempotency_entry expected = usual_entry(i, BASE + i * S);
        assert_int_equal(idempotency_find(store, expected.key, BASE, &found), i >= from && i < end);
        if (i >= from && i < end) assert_same_entry(&found, &expected);
    }
}

static void a_record_costs_sixty_four_bytes_at_most(void **state)
{
    (void)state;
    struct idempotency_store *store = NULL;
    size_t most_asked = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        struct idempotency_entry entry = usual_entry(i, BASE + i * S);
        heap_count_begin();
        store = idempotency_append(store, &entry);
        if (heap_asked_bytes() > most_asked) most_asked = heap_asked_bytes();
        if (i == 0) assert_in_range(idempotency_bytes(store), 1, 100);
        if (i == 7) assert_in_range(idempotency_bytes(store), 1, 8 * 72);
        if (i == 11) assert_in_range(idempotency_bytes(store), 1, 12 * 100);
    }
    print_message("%.2f bytes a record, one append asked for %zu at most\n", (double)idempotency_bytes(store) / MANY,
                  most_asked);
    assert_int_equal(idempotency_bytes(store), heap_bytes());
    assert_true(idempotency_bytes(store) <= 64 * (size_t)MANY);
    assert_in_range(most_asked, 1, 32 * 1024); /* a chunk, a segment of heads, a directory */
    assert_holds(store, 0, MANY);
    assert_survives_encoding(store);

    /* as it empties it gives back, and no sweep of one record asks for more than a directory */
    for (uint32_t left = MANY; left > 0; left--) {
        heap_count_begin();
        store = idempotency_sweep(store, INSTANT_MAX_US, 1);
        assert_in_range(heap_asked_bytes(), 0, 8 * 1024);
        assert_int_equal(idempotency_count(store), left - 1);
        if (left == MANY / 2 + 1) assert_holds(store, MANY / 2, MANY);
        if (left == 1001) assert_true(idempotency_bytes(store) <= 1000 * 64 + 24 * 1024);
    }
    assert_null(store);
}

static struct idempotency_store *append_some(struct idempotency_store *store, uint32_t from, uint32_t end)
{
    for (uint32_t i = from; i < end; i++) {
        struct idempotency_entry entry = usual_entry(i, BASE + i);
        store = idempotency_append(store, &entry);
    }
    return store;
}

/* Once they have been many, two records at a time stand in a chunk each, so their numbers are those of the chunks,
 * which wrap around at 2^18: just before that the container grows, then shrinks with the turn inside it. */
static void numbers_of_chunks_wrap_around(void **state)
{
    (void)state;
    for (uint32_t before = 8; before <= 12; before++) {
        struct idempotency_store *store = NULL;
        struct idempotency_entry found;
        uint32_t at = 9, end;
        store = idempotency_sweep(append_some(store, 0, at), INSTANT_MAX_US, at - 2);
        for (; at < (UINT32_C(1) << 18) - before; at++) {
            store = idempotency_sweep(append_some(store, at, at + 1), INSTANT_MAX_US, 1);
        }
        assert_in_range(heap_bytes(), 1, 400);
        store = append_some(store, at, end = at + 60);
        for (uint32_t left = idempotency_count(store); left > 0; left--) {
            assert_int_equal(idempotency_count(store), left);
            for (uint32_t i = at; i < end; i++) {
                bool is = idempotency_find(store, usual_entry(i, 0).key, BASE, &found);
                if (is != (i >= end - left)) fail_msg("%u before: record %u with %u left", before, i - at, left);
            }
            store = idempotency_sweep(store, INSTANT_MAX_US, 1);
        }
        assert_null(store);
    }
}

/* One that lives long holds back the sweep of what came after it, all of one key: none of them makes another slow. */
static void hidden_records_are_in_nobodys_way(void **state)
{
    (void)state;
    struct idempotency_entry first = {BYTES("first"), BYTES("1"), BASE, BASE + D}, found;
    struct idempotency_store *store = idempotency_append(NULL, &first);
    for (int64_t i = 0; i < MANY; i++) {
        struct idempotency_entry again = {BYTES("again"), BYTES("2"), BASE + i, BASE + i + 1};
        store = idempotency_append(store, &again);
    }
    store = idempotency_sweep(store, BASE + D - 1, ALL);
    assert_int_equal(idempotency_count(store), MANY + 1);
    assert_true(idempotency_find(store, BYTES("first"), BASE + D - 1, &found));
    assert_null(idempotency_sweep(store, BASE + D, ALL));
}

static void the_seed_shows_nowhere(void **state)
{
    (void)state;
    struct sink bytes[2] = {0};
    for (uint64_t seed = 0; seed < 2; seed++) {
        struct idempotency_store *store = NULL;
        linear_hash_seed(seed * UINT64_C(0x123456789abcdef));
        for (uint32_t i = 0; i < 5000; i++) {
            struct idempotency_entry entry = usual_entry(i, BASE + i * S);
            store = idempotency_append(store, &entry);
        }
        assert_holds(store, 0, 5000);
        idempotency_encode(store, &bytes[seed]);
        idempotency_free(store);
    }
    assert_int_equal(bytes[0].size, bytes[1].size);
    assert_memory_equal(bytes[0].data, bytes[1].data, bytes[0].size);
    sink_free(&bytes[0]);
    sink_free(&bytes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_record_counts_exactly_until_it_expires, heap_tear_down),
        cmocka_unit_test_teardown(the_newest_record_of_a_key_hides_the_others, heap_tear_down),
        cmocka_unit_test_teardown(patching_changes_the_body_in_place, heap_tear_down),
        cmocka_unit_test_teardown(sweeping_goes_from_the_oldest_to_the_first_that_is_live, heap_tear_down),
        cmocka_unit_test_teardown(random_streams_agree_with_a_plain_array, heap_tear_down),
        cmocka_unit_test_teardown(a_record_costs_sixty_four_bytes_at_most, heap_tear_down),
        cmocka_unit_test_teardown(numbers_of_chunks_wrap_around, heap_tear_down),
        cmocka_unit_test_teardown(hidden_records_are_in_nobodys_way, heap_tear_down),
        cmocka_unit_test_teardown(the_seed_shows_nowhere, heap_tear_down),
    };
    return cmocka_run_group_tests(tests, heap_set_up, NULL);
}

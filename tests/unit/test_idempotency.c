/* The idempotency store: rows per promise, then random streams against a plain array that searches everything every
 * time.
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
    struct idempotency_store *store = idempotency_decode(&cursor, false);
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

static void a_key_has_one_record(void **state)
{
    (void)state;
    RUN_ROWS({APPEND, 0, "a", "one", 10, 1}, {APPEND, 0, "b", "two", 10, 2}, {APPEND, 10, "a", "three", 5, 2},
             {FIND, 10, "a", "three", 0, 0},
             /* the former never comes back: not for a clock that stepped back, not when the newer one ends first */
             {FIND, 5, "a", "three", 0, 0}, {APPEND, 11, "b", "four", 1, 2}, {FIND, 12, "b", NULL, 0, 0},
             {FIND, 5, "b", "four", 0, 0}, {APPEND, 12, "b", "five", 90, 2}, {APPEND, 12, "b", "six", 1, 2},
             {SWEEP, 13, NULL, NULL, 9, 1}, {FIND, 13, "b", NULL, 0, 0}, {FIND, 14, "a", "three", 0, 0},
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
             /* expired or not */
             {APPEND, 10, "a", "six", 1, 2}, {PATCH, 99, "a", "ten", true, 0}, {FIND, 10, "a", "ten", 0, 0});
}

static void sweeping_takes_what_expired_first_wherever_it_stands(void **state)
{
    (void)state;
    RUN_ROWS({APPEND, 0, "a", "1", 90, 1}, {APPEND, 1, "b", "2", 11, 2}, {APPEND, 2, "c", "3", 10, 3},
             {APPEND, 3, "d", "4", 5, 4}, {APPEND, 4, "e", "5", 99, 5}, {SWEEP, 50, NULL, NULL, 0, 5},
             {EXPIRED, 50, NULL, NULL, 0, 0}, {EXPIRED, 50, NULL, NULL, 1, 1}, {EXPIRED, 50, NULL, NULL, 9, 3},
             {EXPIRED, 11, NULL, NULL, 9, 1}, {EXPIRED, 7, NULL, NULL, 9, 0}, {SWEEP, 7, NULL, NULL, 9, 5},
             /* d expired first; b and c together, and b is the older one */
             {SWEEP, 50, NULL, NULL, 1, 4}, {FIND, 7, "d", NULL, 0, 0}, {FIND, 7, "c", "3", 0, 0},
             {SWEEP, 50, NULL, NULL, 1, 3}, {FIND, 7, "b", NULL, 0, 0}, {FIND, 7, "c", "3", 0, 0},
             {SWEEP, 50, NULL, NULL, 9, 2}, {FIND, 50, "a", "1", 0, 0}, {FIND, 50, "e", "5", 0, 0},
             {SWEEP, 90, NULL, NULL, 9, 1}, {SWEEP, 102, NULL, NULL, 9, 1}, {SWEEP, 103, NULL, NULL, 9, 0});
}

/* A year for one, a second for all others: none of them is held back, and all of their memory comes back. */
static void one_that_lives_long_holds_nothing_back(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct idempotency_entry entry = {BYTES("long"), BYTES("1"), BASE, BASE + 365 * D}, found;
    struct idempotency_store *store = idempotency_append(NULL, &entry);
    size_t alone = heap_bytes(), most = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        entry = usual_entry(i, BASE + i * (S / 100));
        entry.expires_us = entry.stored_us + S;
        store = idempotency_append(store, &entry);
        store = idempotency_sweep(store, entry.stored_us, 32);
        assert_in_range(idempotency_count(store), 2, 102);
        if (heap_bytes() > most) most = heap_bytes();
    }
    assert_in_range(most, 1, 102 * 200);
    assert_int_equal(idempotency_expired(store, BASE + H, 1), 1);
    assert_int_equal(idempotency_expired(store, BASE + H, ALL), idempotency_count(store) - 1);
    store = idempotency_sweep(store, BASE + H, ALL);
    assert_int_equal(idempotency_count(store), 1);
    assert_in_range(heap_bytes(), 1, 2 * alone);
    assert_true(idempotency_find(store, BYTES("long"), BASE + H, &found));
    assert_null(idempotency_sweep(store, BASE + 365 * D, ALL));
}

/* Every hundredth record lives for a year: what the others took comes back, although no chunk is ever without one. */
static void chunks_with_little_left_are_packed_anew(void **state)
{
    (void)state;
    enum { COUNT = 100000, LONG = 100 };
    struct idempotency_store *store = NULL;
    struct idempotency_entry found;
    for (uint32_t i = 0; i < COUNT; i++) {
        struct idempotency_entry entry = usual_entry(i, BASE + i * S);
        entry.expires_us = entry.stored_us + (i % LONG == 0 ? 365 * D : i % 7 * H);
        store = idempotency_append(store, &entry);
        store = idempotency_sweep(store, entry.stored_us, 2);
    }
    store = idempotency_sweep(store, BASE + 30 * D, ALL);
    assert_int_equal(idempotency_count(store), COUNT / LONG);
    print_message("%.1f bytes a record\n", (double)idempotency_bytes(store) / (COUNT / LONG));
    assert_true(idempotency_bytes(store) <= COUNT / LONG * 200);
    for (uint32_t i = 0; i < COUNT; i++) {
        bool is = idempotency_find(store, usual_entry(i, 0).key, BASE, &found);
        if (is != (i % LONG == 0)) fail_msg("record %u", i);
    }
    idempotency_free(store);
}

/* ---- the honest model ------------------------------------------------------------------------------------ */

#define STEPS 3500

struct noted {
    char key[IDEMPOTENCY_KEY_MAX], *body;
    size_t key_size, body_size;
    int64_t stored_us, expires_us;
};

static struct model {
    struct noted records[STEPS];
    uint32_t count;
} model;

static struct idempotency_entry entry_of(const struct noted *noted)
{
    return (struct idempotency_entry){
        {noted->key, noted->key_size}, {noted->body, noted->body_size}, noted->stored_us, noted->expires_us};
}

static struct noted *model_find(struct bytes key)
{
    for (uint32_t i = 0; i < model.count; i++) {
        if (bytes_equal(entry_of(&model.records[i]).key, key)) return &model.records[i];
    }
    return NULL;
}

static void model_drop(struct noted *noted)
{
    free(noted->body);
    size_t behind = (size_t)(&model.records[--model.count] - noted);
    memmove(noted, noted + 1, behind * sizeof(*noted));
}

static void model_append(const struct idempotency_entry *entry)
{
    struct noted *former = model_find(entry->key);
    if (former) model_drop(former);
    struct noted *noted = &model.records[model.count++];
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
    for (uint32_t i = 0; i < model.count; i++) expired += model.records[i].expires_us <= now_us;
    return expired < most ? expired : most;
}

static void model_sweep(int64_t now_us, uint32_t most)
{
    for (; most > 0; most--) {
        struct noted *first = NULL;
        for (uint32_t i = 0; i < model.count; i++) {
            struct noted *noted = &model.records[i];
            if (noted->expires_us <= now_us && (!first || noted->expires_us < first->expires_us)) first = noted;
        }
        if (!first) return;
        model_drop(first);
    }
}

/* ---- random streams -------------------------------------------------------------------------------------- */

struct stream {
    const char *name;
    uint32_t keys;         /* how many there are */
    size_t key_max;        /* bytes */
    uint32_t body_max;     /* bytes */
    int64_t step_us;       /* time between two steps, up to */
    int64_t lifetime_us;   /* of all, or the longest */
    bool lifetimes_differ; /* one of many by far */
    uint32_t sweeps;       /* of ten steps */
};

static const struct stream streams[] = {
    {"few keys, much hidden", 7, 4, 9, 3, 40, true, 2},
    {"one bucket becomes many and few again", 100000, 26, 20, S, 900 * S, false, 1},
    {"swept at once", 50, 10, 30, S, 3 * S, true, 8},
    {"few, now and then many", 1000, 26, 40, S, 12 * S, false, 3},
    {"few and large", 30, 40, 1000, S, 4 * S, true, 4},
    {"large records", 300, IDEMPOTENCY_KEY_MAX, IDEMPOTENCY_BODY_MAX, S, 80 * S, false, 2},
    {"sizes of one byte and of two", 4000, 200, 300, S, 300 * S, true, 1},
    {"chunks that empty in any order", 100000, 60, 60, S, 2000 * S, true, 3},
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
    if (stream->lifetimes_differ && random_below(50) > 0) lifetime_us /= 10;
    return (struct idempotency_entry){
        {key, size}, {noise + random_below(256), random_below(stream->body_max + 1)}, now_us, now_us + lifetime_us};
}

static void assert_agrees(const struct idempotency_store *store, int64_t now_us)
{
    struct idempotency_walk walk = {0};
    struct idempotency_entry shown, found;
    for (uint32_t i = 0; i < model.count; i++) {
        struct idempotency_entry expected = entry_of(&model.records[i]);
        assert_true(idempotency_next(store, &walk, &shown));
        assert_same_entry(&shown, &expected);
    }
    assert_false(idempotency_next(store, &walk, &shown));
    assert_false(idempotency_next(store, &walk, &shown));
    for (uint32_t i = 0; i < model.count; i += 1 + random_below(8)) {
        struct idempotency_entry expected = entry_of(&model.records[i]);
        assert_int_equal(idempotency_find(store, expected.key, now_us, &found), expected.expires_us > now_us);
        if (expected.expires_us > now_us) assert_same_entry(&found, &expected);
    }
}

static struct idempotency_store *random_step(const struct stream *stream, struct idempotency_store *store,
                                             int64_t now_us)
{
    struct idempotency_entry entry = random_entry(stream, now_us), found;
    struct noted *noted = model_find(entry.key);
    bool live = noted && noted->expires_us > now_us;
    assert_int_equal(idempotency_find(store, entry.key, now_us, &found), live);
    if (random_below(10) < stream->sweeps) {
        uint32_t most = random_below(4) == 0 ? ALL : random_below(4), expired = model_expired(now_us, most);
        assert_int_equal(idempotency_expired(store, now_us, most), expired);
        store = idempotency_sweep(store, now_us, most);
        model_sweep(now_us, most);
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

/* As a replica gets it, or a server that restarts: other chunks, the same records. */
static struct idempotency_store *reload(struct idempotency_store *store)
{
    struct sink bytes = {0};
    bool bad;
    idempotency_encode(store, &bytes);
    idempotency_free(store);
    store = decode(bytes.data, bytes.size, &bad);
    assert_false(bad);
    sink_free(&bytes);
    return store;
}

static void random_streams_agree_with_a_plain_array(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(noise); i++) noise[i] = (char)random_bits();
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        struct idempotency_store *store = NULL;
        int64_t now_us = BASE;
        for (int step = 0; step < STEPS; step++) {
            now_us += random_between(random_below(20) == 0 ? -streams[i].step_us : 0, streams[i].step_us);
            store = random_step(&streams[i], store, now_us);
            assert_int_equal(idempotency_count(store), model.count);
            assert_int_equal(store == NULL, model.count == 0);
            assert_int_equal(idempotency_bytes(store), heap_bytes());
            if (step % 50 == 0) assert_agrees(store, now_us);
            if (step % 100 == 0) assert_survives_encoding(store);
            if (random_below(500) == 0) store = reload(store);
        }
        assert_agrees(store, now_us);
        model_sweep(INSTANT_MAX_US, ALL);
        assert_null(idempotency_sweep(store, INSTANT_MAX_US, ALL));
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
    size_t most_requested = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        struct idempotency_entry entry = usual_entry(i, BASE + i * S);
        heap_count_begin();
        store = idempotency_append(store, &entry);
        if (heap_requested_bytes() > most_requested) most_requested = heap_requested_bytes();
        if (i == 0) assert_in_range(idempotency_bytes(store), 1, 100);
        if (i == 7) assert_in_range(idempotency_bytes(store), 1, 8 * 72);
        if (i == 11) assert_in_range(idempotency_bytes(store), 1, 12 * 140);
        if (i == 99) assert_in_range(idempotency_bytes(store), 1, 100 * 92);
    }
    print_message("%.2f bytes a record, one append requested %zu at most\n", (double)idempotency_bytes(store) / MANY,
                  most_requested);
    assert_int_equal(idempotency_bytes(store), heap_bytes());
    assert_true(idempotency_bytes(store) <= 64 * (size_t)MANY);
    assert_in_range(most_requested, 1, 32 * 1024); /* a chunk, a segment of heads, a directory */
    assert_holds(store, 0, MANY);
    assert_survives_encoding(store);

    /* as it empties it gives back, and no sweep of one record requests more than a directory */
    for (uint32_t left = MANY; left > 0; left--) {
        heap_count_begin();
        store = idempotency_sweep(store, INSTANT_MAX_US, 1);
        assert_in_range(heap_requested_bytes(), 0, 8 * 1024);
        assert_int_equal(idempotency_count(store), left - 1);
        if (left == MANY / 2 + 1) assert_holds(store, MANY / 2, MANY);
        if (left == 1001) assert_true(idempotency_bytes(store) <= 1000 * 64 + 24 * 1024);
    }
    assert_null(store);
}

/* Large enough to stand in a chunk of its own. */
static struct idempotency_entry large_entry(uint32_t number)
{
    static const char body[200];
    struct idempotency_entry entry = usual_entry(number, BASE + number);
    entry.body = (struct bytes){body, sizeof(body)};
    return entry;
}

static struct idempotency_store *append_large(struct idempotency_store *store, uint32_t from, uint32_t end)
{
    for (uint32_t i = from; i < end; i++) {
        struct idempotency_entry entry = large_entry(i);
        store = idempotency_append(store, &entry);
    }
    return store;
}

/* Eight records at a time, each in a chunk, whose numbers wrap around at 2^18: just before that the store grows, then
 * shrinks with the turn inside it. One that stays all the time keeps its number, which the others pass by. */
static void numbers_of_chunks_wrap_around(void **state)
{
    (void)state;
    for (uint32_t before = 8; before <= 20; before += 4) {
        struct idempotency_store *store = append_large(NULL, 0, 5);
        struct idempotency_entry stays = large_entry(UINT32_MAX), found;
        uint32_t at = 12, end;
        store = idempotency_append(store, &stays);
        store = idempotency_sweep(append_large(store, 5, at), INSTANT_MAX_US, 5);
        for (; at < (UINT32_C(1) << 18) - before; at++) {
            store = idempotency_sweep(append_large(store, at, at + 1), INSTANT_MAX_US, 1);
        }
        assert_in_range(heap_bytes(), 1, 9 * 500);
        store = append_large(store, at, end = at + 60);
        for (uint32_t left = idempotency_count(store); left > 0; left--) {
            assert_int_equal(idempotency_count(store), left);
            assert_true(idempotency_find(store, large_entry(UINT32_MAX).key, BASE, &found));
            for (uint32_t i = at; i < end; i++) {
                bool is = idempotency_find(store, large_entry(i).key, BASE, &found);
                if (is != (i + left > end)) fail_msg("%u before: record %u with %u left", before, i - at, left);
            }
            store = idempotency_sweep(store, INSTANT_MAX_US, 1);
        }
        assert_null(store);
    }
}

/* The records of one server were loaded from the other's in the middle of it: every sweep leaves equal bytes. */
static void two_servers_with_other_chunks_sweep_alike(void **state)
{
    (void)state;
    enum { COUNT = 6000 };
    struct idempotency_store *stores[2] = {NULL, NULL};
    for (uint32_t i = 0; i < COUNT; i++) {
        struct idempotency_entry entry = usual_entry(random_below(COUNT), BASE + i * S);
        entry.expires_us = entry.stored_us + (int64_t)random_below(40) * 30 * S * (random_below(30) == 0 ? 10 : 1);
        struct sink bytes[2] = {0};
        for (int k = 0; k < 2; k++) {
            stores[k] = idempotency_append(stores[k], &entry);
            stores[k] = idempotency_sweep(stores[k], i % 1500 < 700 ? BASE : entry.stored_us, 2);
        }
        if (random_below(100) == 0) stores[1] = reload(stores[1]);
        if (i % 20 > 0) continue;
        for (int k = 0; k < 2; k++) idempotency_encode(stores[k], &bytes[k]);
        assert_int_equal(bytes[0].size, bytes[1].size);
        assert_memory_equal(bytes[0].data, bytes[1].data, bytes[0].size);
        for (int k = 0; k < 2; k++) sink_free(&bytes[k]);
    }
    for (int k = 0; k < 2; k++) idempotency_free(stores[k]);
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
        cmocka_unit_test_teardown(a_key_has_one_record, heap_tear_down),
        cmocka_unit_test_teardown(patching_changes_the_body_in_place, heap_tear_down),
        cmocka_unit_test_teardown(sweeping_takes_what_expired_first_wherever_it_stands, heap_tear_down),
        cmocka_unit_test_teardown(random_streams_agree_with_a_plain_array, heap_tear_down),
        cmocka_unit_test_teardown(a_record_costs_sixty_four_bytes_at_most, heap_tear_down),
        cmocka_unit_test_teardown(numbers_of_chunks_wrap_around, heap_tear_down),
        cmocka_unit_test_teardown(one_that_lives_long_holds_nothing_back, heap_tear_down),
        cmocka_unit_test_teardown(chunks_with_little_left_are_packed_anew, heap_tear_down),
        cmocka_unit_test_teardown(two_servers_with_other_chunks_sweep_alike, heap_tear_down),
        cmocka_unit_test_teardown(the_seed_shows_nowhere, heap_tear_down),
    };
    return cmocka_run_group_tests(tests, heap_set_up, NULL);
}

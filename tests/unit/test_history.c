/* History: rows per promise, then random streams against a plain array of single cycles that knows each by itself. */
#include "quota/account/history.h"
#include "quota/base/checked.h"
#include "quota/time/calendar.h"
#include "scenario.h"
#include "tools.h"

static int begin(void **state)
{
    (void)state;
    heap_watch();
    random_begin(20250131);
    return 0;
}

static int end_of_test(void **state)
{
    (void)state;
    return heap_blocks() == 0 ? 0 : -1;
}

/* ---- what must always be true ---------------------------------------------------------------------------- */

static bool same_entry(const struct closed_cycle *left, const struct closed_cycle *right)
{
    return left->start_us == right->start_us && left->end_us == right->end_us && left->limit == right->limit &&
           left->used == right->used && left->refunded == right->refunded && left->denied == right->denied &&
           left->peak == right->peak && left->count == right->count && left->rolled == right->rolled &&
           left->revision == right->revision;
}

static void assert_same_bytes(const struct history *left, const struct history *right)
{
    struct sink bytes = {0}, others = {0};
    history_encode(left, &bytes);
    history_encode(right, &others);
    assert_int_equal(bytes.size, others.size);
    assert_memory_equal(bytes.data, others.data, bytes.size);
    sink_free(&bytes);
    sink_free(&others);
}

/* Reads exactly these bytes. */
static struct history *decode(const char *data, size_t size, bool *bad)
{
    struct cursor cursor = cursor_init((struct bytes){data, size});
    struct history *history = history_decode(&cursor);
    *bad = !cursor_done(&cursor);
    if (cursor.bad) assert_null(history);
    return history;
}

static void assert_survives_encoding(const struct history *history)
{
    struct sink bytes = {0};
    bool bad;
    history_encode(history, &bytes);
    struct history *copy = decode(bytes.data, bytes.size, &bad);
    assert_false(bad);
    assert_same_bytes(history, copy);
    assert_int_equal(history_bytes(history), history_bytes(copy));
    history_free(copy);
    sink_free(&bytes);
}

/* The entries, from the newest on. */
static void assert_entries(const struct history *history, const struct closed_cycle *entries, uint32_t count)
{
    struct closed_cycle entry, all[HISTORY_ENTRIES_MAX];
    assert_int_equal(history_count(history), count);
    assert_int_equal(history_entries(history, all), count);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(history_nth(history, i, &entry));
        if (!same_entry(&entry, &entries[i])) fail_msg("entry %u", i);
        assert_true(same_entry(&entry, &all[count - 1 - i]));
    }
    assert_false(history_nth(history, count, &entry));
    assert_survives_encoding(history);
}

#define ASSERT_ENTRIES(history_, ...)                                                                                  \
    assert_entries((history_), (const struct closed_cycle[]){__VA_ARGS__},                                             \
                   sizeof((struct closed_cycle[]){__VA_ARGS__}) / sizeof(struct closed_cycle))

static struct history *push(struct history *history, struct closed_cycle cycle)
{
    return history_push(history, &cycle);
}

static bool amend(struct history **history, int64_t start_us, int64_t end_us, int64_t used)
{
    struct closed_cycle cycle = {start_us, end_us, .used = used, .refunded = used / 2, .peak = used + 1};
    return history_amend(history, &cycle);
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

static void idle_cycles_that_touch_are_one_entry(void **state)
{
    (void)state;
    static const struct row {
        struct closed_cycle first, second;
        bool joined;
    } rows[] = {
        {{0, 10, 5, .count = 1}, {10, 20, 5, .count = 1}, true},
        {{0, 10, 5, .count = 3}, {10, 20, 5, .count = 4}, true},
        {{0, 10, UNLIMITED, .count = 1}, {10, 99, UNLIMITED, .count = 1}, true},
        {{0, 10, 5, .count = 3, .rolled = 2}, {10, 20, 5, .count = 4, .rolled = 2}, true},
        /* they do not touch, have another limit */
        {{0, 10, 5, .count = 1}, {11, 20, 5, .count = 1}, false},
        {{0, 10, 5, .count = 1}, {10, 20, 6, .count = 1}, false},
        {{0, 10, 5, .count = 1}, {10, 20, UNLIMITED, .count = 1}, false},
        {{0, 10, 5, .count = 1, .rolled = 2}, {10, 20, 5, .count = 1, .rolled = 3}, false},
        {{0, 10, 5, .count = 1}, {10, 20, 5, .count = 1, .rolled = 3}, false},
        {{0, 10, 5, .count = 3, .revision = 2}, {10, 20, 5, .count = 4, .revision = 2}, true},
        {{0, 10, 5, .count = 3, .revision = 2}, {10, 20, 5, .count = 4, .revision = 3}, false},
        {{0, 10, 5, .count = 3, .revision = 2}, {10, 20, 5, .count = 4}, false},
        /* something happened in one */
        {{0, 10, 5, .used = 1, .count = 1}, {10, 20, 5, .count = 1}, false},
        {{0, 10, 5, .count = 1}, {10, 20, 5, .used = 1, .count = 1}, false},
        {{0, 10, 5, .refunded = 1, .count = 1}, {10, 20, 5, .count = 1}, false},
        {{0, 10, 5, .denied = 1, .count = 1}, {10, 20, 5, .count = 1}, false},
        {{0, 10, 5, .peak = 1, .count = 1}, {10, 20, 5, .count = 1}, false},
        {{0, 10, 5, .used = 1, .count = 1}, {10, 20, 5, .used = 1, .count = 1}, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct closed_cycle all = rows[i].first;
        struct history *history = push(push(NULL, rows[i].first), rows[i].second);
        all.end_us = rows[i].second.end_us;
        all.count += rows[i].second.count;
        if (rows[i].joined) ASSERT_ENTRIES(history, all);
        if (!rows[i].joined) ASSERT_ENTRIES(history, rows[i].second, rows[i].first);
        history_free(history);
    }
}

static void what_is_no_closed_cycle_is_left_out(void **state)
{
    (void)state;
    static const struct closed_cycle others[] = {
        {10, 10, 5, .count = 1},
        {10, 9, 5, .count = 1},
        {10, 20, -2, .count = 1},
        {10, 20, 5, .count = 0},
        {10, 20, 5, .count = 11},
        {10, 20, 5, .used = 1, .count = 2},
        {10, 20, 5, .used = -1, .count = 1},
        {10, 20, 5, .refunded = -1, .count = 1},
        {10, 20, 5, .denied = -1, .count = 1},
        {10, 20, 5, .peak = -1, .count = 1},
        {-INSTANT_MAX_US - 1, 20, 5, .count = 1},
        {INSTANT_MAX_US + 1, INT64_MAX, 5, .count = 1},
        {-1, INT64_MAX, 5, .count = 1}, /* longer than an int64 */
    };
    struct closed_cycle cycle = {0, 10, 5, .used = 1, .count = 1};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_null(history_push(NULL, &others[i]));
        struct history *history = push(push(NULL, cycle), others[i]);
        ASSERT_ENTRIES(history, cycle);
        history_free(history);
    }
}

/* Usage after the fact: a run of idle cycles, and then the cycle of the instant, before all that are kept. */
static void what_ends_before_all_others_goes_in_front(void **state)
{
    (void)state;
    const struct closed_cycle kept = {50, 60, 5, .used = 1, .count = 1}, idle = {20, 50, 5, .count = 3},
                              used = {10, 20, 5, .used = 2, .count = 1}, over = {55, 65, 5, .count = 1};
    struct history *history = push(push(push(NULL, kept), idle), used);
    ASSERT_ENTRIES(history, kept, idle, used);
    history = push(history, over); /* it overlaps: the newer one counts */
    ASSERT_ENTRIES(history, over, kept, idle, used);
    history_free(history);
}

/* The ends of all ranges, and cycles in an order that calendars do not make. */
static void any_order_and_any_number_is_kept(void **state)
{
    (void)state;
    const struct closed_cycle cycles[] = {
        {0, INT64_MAX, UNLIMITED, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 1},
        {-INSTANT_MAX_US, 1 - INSTANT_MAX_US, 0, .count = 1},
        {INSTANT_MAX_US, INT64_MAX, INT64_MAX, .count = 1000},
        {-INSTANT_MAX_US, INT64_MAX / 2, 1, .count = INT64_MAX},
        {0, 50, 1, .used = 1, .count = 1},
        {25, 75, 1, .used = 2, .count = 1},
    };
    struct history *history = NULL;
    struct closed_cycle found;
    for (size_t i = 0; i < COUNT_OF(cycles); i++) history = push(history, cycles[i]);
    ASSERT_ENTRIES(history, cycles[5], cycles[4], cycles[3], cycles[2], cycles[0], cycles[1]);
    /* where entries overlap the newer one counts */
    assert_true(history_find(history, 24, &found) && same_entry(&found, &cycles[4]));
    assert_true(history_find(history, 25, &found) && same_entry(&found, &cycles[5]));
    assert_true(history_find(history, 75, &found) && same_entry(&found, &cycles[3]));
    assert_true(history_find(history, INSTANT_MAX_US, &found) && same_entry(&found, &cycles[2]));
    history_free(history);
}

static void an_instant_is_in_the_entry_that_began_and_has_not_ended(void **state)
{
    (void)state;
    struct closed_cycle first = {10, 20, 5, .used = 1, .count = 1}, run = {20, 50, 5, .count = 3};
    struct closed_cycle last = {60, 70, 5, .used = 2, .count = 1}, found;
    struct history *history = push(push(push(NULL, first), run), last);
    static const struct row {
        int64_t at_us;
        int64_t start_us; /* -1 = in none */
    } rows[] = {{9, -1}, {10, 10}, {19, 10}, {20, 20}, {49, 20}, {50, -1}, {59, -1}, {60, 60}, {69, 60}, {70, -1}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool is = history_find(history, rows[i].at_us, &found);
        if ((is ? found.start_us : -1) != rows[i].start_us) fail_msg("row %zu", i);
        assert_false(history_find(NULL, rows[i].at_us, &found));
    }
    history_free(history);
}

static void the_sixty_fifth_entry_drives_the_oldest_out(void **state)
{
    (void)state;
    struct history *history = NULL;
    struct closed_cycle entry;
    for (int64_t i = 0; i < 200; i++) {
        history = push(history, (struct closed_cycle){i, i + 1, 5, .used = i + 1, .count = 1});
        assert_int_equal(history_count(history), i < HISTORY_ENTRIES_MAX ? i + 1 : HISTORY_ENTRIES_MAX);
        assert_true(history_nth(history, history_count(history) - 1, &entry));
        assert_int_equal(entry.start_us, i < HISTORY_ENTRIES_MAX ? 0 : i + 1 - HISTORY_ENTRIES_MAX);
    }
    assert_survives_encoding(history);
    history_free(history);
}

static void a_late_posting_amends_its_cycle(void **state)
{
    (void)state;
    struct closed_cycle first = {0, 10, 5, 1, 2, 3, 4, 1}, run = {10, 50, 5, .count = 4},
                        second = {50, 60, 9, 4, 0, 0, 4, 1};
    struct history *history = push(push(push(NULL, first), run), second), *nothing = NULL;
    assert_false(amend(&nothing, 0, 10, 7));

    /* an entry of its own: limit and denied stay */
    assert_true(amend(&history, 0, 10, 7));
    first = (struct closed_cycle){0, 10, 5, 7, 3, 3, 8, 1};
    ASSERT_ENTRIES(history, second, run, first);
    /* in the middle of a run, at its begin, at its end, and what is left of it */
    assert_true(amend(&history, 20, 30, 6));
    struct closed_cycle begin_cycle = {10, 20, 5, .count = 1}, middle = {20, 30, 5, 6, 3, 0, 7, 1};
    struct closed_cycle rest = {30, 50, 5, .count = 2}, end_cycle = {40, 50, 5, 1, 0, 0, 2, 1};
    ASSERT_ENTRIES(history, second, rest, middle, begin_cycle, first);
    assert_true(amend(&history, 40, 50, 1));
    rest = (struct closed_cycle){30, 40, 5, .count = 1};
    ASSERT_ENTRIES(history, second, end_cycle, rest, middle, begin_cycle, first);
    assert_true(amend(&history, 10, 20, 1));
    begin_cycle = (struct closed_cycle){10, 20, 5, 1, 0, 0, 2, 1};
    ASSERT_ENTRIES(history, second, end_cycle, rest, middle, begin_cycle, first);
    /* what is there no longer, or never was */
    assert_false(amend(&history, 0, 9, 1));
    assert_false(amend(&history, 1, 10, 1));
    assert_false(amend(&history, 0, 20, 1));
    assert_false(amend(&history, 60, 70, 1));
    assert_false(amend(&history, -10, 0, 1));
    assert_false(amend(&history, 0, 10, -1));
    ASSERT_ENTRIES(history, second, end_cycle, rest, middle, begin_cycle, first);
    history_free(history);
}

static const struct cut {
    int64_t count, start_us, end_us; /* of 1000 us from 0 on */
    int64_t before;                  /* -1 = refused */
} cuts[] = {
    {10, 0, 100, 0},
    {10, 900, 1000, 9},
    {10, 500, 600, 5},
    /* lengths differ a little */
    {10, 130, 210, 1},
    {10, 470, 560, 5},
    {10, 549, 640, 5},
    {10, 550, 640, 6},
    /* never so far that a piece has no cycle, or a cycle no piece */
    {10, 1, 100, 1},
    {10, 950, 999, 8},
    {3, 1, 2, 1},
    {3, 998, 999, 1},
    {2, 0, 1, 0},
    {2, 999, 1000, 1},
    {2, 400, 600, -1},
    {10, 0, 1000, -1},
    {10, 500, 500, -1},
    {10, 600, 500, -1},
    {10, -1, 100, -1},
    {10, 900, 1001, -1},
    {1000, 0, 998, -1},
    {1000, 2, 1000, -1},
    {1000, 5, 6, 5},
    {1000, 5, 7, -1},
};

static void a_run_is_cut_only_where_its_cycles_can_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        struct closed_cycle found = {0};
        struct history *history = push(NULL, (struct closed_cycle){0, 1000, 5, .count = cuts[i].count});
        bool done = amend(&history, cuts[i].start_us, cuts[i].end_us, 1);
        if (done != (cuts[i].before >= 0)) fail_msg("row %zu: %d", i, done);
        if (done && cuts[i].before > 0) assert_true(history_find(history, 0, &found));
        if (done && found.count != cuts[i].before) fail_msg("row %zu: %lld before", i, (long long)found.count);
        assert_survives_encoding(history);
        history_free(history);
    }
}

static void cutting_a_run_can_drive_the_oldest_out(void **state)
{
    (void)state;
    for (int64_t others = HISTORY_ENTRIES_MAX - 4; others < HISTORY_ENTRIES_MAX; others++) {
        struct closed_cycle found;
        struct history *history = push(NULL, (struct closed_cycle){0, 10, 5, .used = 1, .count = 1});
        history = push(history, (struct closed_cycle){10, 40, 5, .count = 3});
        for (int64_t i = 0; i < others - 1; i++) {
            history = push(history, (struct closed_cycle){40 + i, 41 + i, 5, .used = 1, .count = 1});
        }
        uint32_t before = history_count(history), after = before + 2;
        assert_true(amend(&history, 20, 30, 1));
        assert_int_equal(history_count(history), after < HISTORY_ENTRIES_MAX ? after : HISTORY_ENTRIES_MAX);
        assert_int_equal(history_find(history, 0, &found), after <= HISTORY_ENTRIES_MAX);
        assert_int_equal(history_find(history, 10, &found), after <= HISTORY_ENTRIES_MAX + 1);
        assert_true(history_find(history, 20, &found));
        assert_survives_encoding(history);
        history_free(history);
    }
}

static void twelve_months_and_a_million_minutes_are_small(void **state)
{
    (void)state;
    struct history *history = NULL, *one_by_one = NULL, *at_once = NULL;
    for (int64_t i = 0; i < 12; i++) {
        struct closed_cycle month = {BASE + i * 30 * D, BASE + (i + 1) * 30 * D, 20000, 19000 + i, 100, 300, 20000, 1};
        history = push(history, month);
    }
    print_message("twelve months: %zu bytes\n", history_bytes(history));
    assert_in_range(history_bytes(history), 1, 300);
    history_free(history);

    for (int64_t i = 0; i < 100000; i++) {
        one_by_one = push(one_by_one, (struct closed_cycle){i * 60 * S, (i + 1) * 60 * S, 9, .count = 1});
    }
    at_once = push(NULL, (struct closed_cycle){0, 30000 * 60 * S, 9, .count = 30000});
    at_once = push(at_once, (struct closed_cycle){30000 * 60 * S, 100000 * 60 * S, 9, .count = 70000});
    assert_same_bytes(one_by_one, at_once);
    assert_in_range(history_bytes(at_once), 1, 40);
    history_free(one_by_one);
    history_free(at_once);
}

/* ---- the honest model ------------------------------------------------------------------------------------ */

#define MODEL_MAX 4000

/* Single cycles; those of one entry have the same number. */
static struct {
    struct closed_cycle cycles[MODEL_MAX];
    uint32_t entry_of[MODEL_MAX];
    uint32_t count, numbers;
} model;

static bool model_idle(const struct closed_cycle *cycle)
{
    return cycle->used + cycle->refunded + cycle->denied + cycle->peak == 0;
}

static void model_push(const struct closed_cycle *cycle)
{
    uint32_t at = model.count++;
    const struct closed_cycle *last = at > 0 ? &model.cycles[at - 1] : NULL;
    bool joined = last && model_idle(last) && model_idle(cycle) && last->end_us == cycle->start_us &&
                  last->limit == cycle->limit && last->revision == cycle->revision;
    model.cycles[at] = *cycle;
    model.entry_of[at] = joined ? model.entry_of[at - 1] : ++model.numbers;
}

static void model_amend(uint32_t at, int64_t used)
{
    uint32_t entry = model.entry_of[at];
    model.cycles[at].used = used;
    model.cycles[at].refunded = used / 2;
    model.cycles[at].peak = used + 1;
    model.entry_of[at] = ++model.numbers;
    model.numbers++;
    for (at++; at < model.count && model.entry_of[at] == entry; at++) model.entry_of[at] = model.numbers;
}

/* The entries from the newest on, 64 at most; answers the first cycle that is still there too. */
static uint32_t model_entries(struct closed_cycle entries[HISTORY_ENTRIES_MAX], uint32_t *first)
{
    uint32_t count = 0;
    *first = model.count;
    for (uint32_t i = model.count; i > 0; i--) {
        const struct closed_cycle *cycle = &model.cycles[i - 1];
        if (i < model.count && model.entry_of[i] == model.entry_of[i - 1]) {
            entries[count - 1].start_us = cycle->start_us;
            entries[count - 1].count++;
        } else {
            if (count == HISTORY_ENTRIES_MAX) return count;
            entries[count++] = *cycle;
        }
        *first = i - 1;
    }
    return count;
}

/* ---- random streams -------------------------------------------------------------------------------------- */

/* Boundaries as calendars make them: with a day of the month that is not in all, turns of the clock, odd lengths. */
struct calendar {
    int64_t months, days, duration_us;
};

static int64_t boundary_us(const struct calendar *calendar, int64_t index)
{
    struct civil anchor = {2019, 10, 31};
    int64_t day = days_from_civil(civil_add_months(anchor, index * calendar->months)) + index * calendar->days;
    int64_t turned_us = calendar->duration_us == 0 && floor_mod(day, 365) > 200 ? H : 0;
    return day * D + turned_us + index * calendar->duration_us;
}

static struct history *push_some(struct history *history, const struct calendar *calendar, int64_t *index)
{
    if (random_below(15) == 0) (*index)++; /* a gap */
    struct closed_cycle cycle = {.limit = random_below(12) == 0 ? 7 : 5, .count = 1, .revision = random_below(9) / 8};
    uint32_t idle = random_below(3) == 0 ? random_below(40) : 0;
    if (idle == 0) cycle.used = random_below(3), cycle.denied = random_below(2), cycle.peak = random_below(2);
    struct closed_cycle run = cycle;
    for (uint32_t i = 0; i < (idle > 0 ? idle : 1); i++) {
        cycle.start_us = boundary_us(calendar, (*index)++);
        cycle.end_us = boundary_us(calendar, *index);
        if (i == 0) run.start_us = cycle.start_us;
        run.end_us = cycle.end_us;
        run.count = i + 1;
        model_push(&cycle);
    }
    return history_push(history, &run);
}

static void assert_agrees(const struct history *history)
{
    struct closed_cycle entries[HISTORY_ENTRIES_MAX], found;
    uint32_t first, count = model_entries(entries, &first);
    assert_entries(history, entries, count);
    for (int i = 0; i < 5 && model.count > 0; i++) {
        uint32_t at = random_below(model.count), entry = 0;
        int64_t at_us = random_between(model.cycles[at].start_us, model.cycles[at].end_us - 1);
        bool is = history_find(history, at_us, &found);
        assert_int_equal(is, at >= first);
        while (is && entries[entry].start_us > at_us) entry++;
        if (is) assert_true(same_entry(&found, &entries[entry]));
    }
}

static void random_streams_agree_with_single_cycles(void **state)
{
    (void)state;
    static const struct calendar calendars[] = {{1, 0, 0}, {3, 0, 0},      {12, 0, 0}, {0, 1, 0},
                                                {0, 7, 0}, {0, 0, 60 * S}, {0, 0, 1}};
    for (uint32_t round = 0; round < 70; round++) {
        const struct calendar *calendar = &calendars[round % COUNT_OF(calendars)];
        struct history *history = NULL;
        int64_t index = random_between(-300, 300);
        model.count = model.numbers = 0;
        for (int step = 0; step < 150 && model.count < MODEL_MAX - 50; step++) {
            struct closed_cycle entries[HISTORY_ENTRIES_MAX];
            uint32_t first;
            model_entries(entries, &first);
            if (model.count > 0 && random_below(4) == 0) {
                uint32_t at = random_below(model.count);
                int64_t used = random_below(3);
                bool done = amend(&history, model.cycles[at].start_us, model.cycles[at].end_us, used);
                assert_int_equal(done, at >= first);
                if (done) model_amend(at, used);
            } else {
                history = push_some(history, calendar, &index);
            }
            assert_agrees(history);
        }
        history_free(history);
    }
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

static void the_bytes_are_these_for_ever(void **state)
{
    (void)state;
    static const char golden[] =
        "\x03\x14\x0a\x01\x01\x01\x02\x03\x04\x00\x1e\x0a\x03\x02\x0a\x00\x01\x00\x00\x00\xac\x02";
    struct closed_cycle first = {10, 20, UNLIMITED, 1, 2, 3, 4, 1}, run = {20, 50, 5, .count = 3};
    struct closed_cycle last = {51, 61, 0, .peak = 300, .count = 1};
    bool bad;
    struct history *history = decode(golden, sizeof(golden) - 1, &bad);
    assert_false(bad);
    ASSERT_ENTRIES(history, last, run, first);
    struct sink again = {0};
    history_encode(history, &again);
    assert_int_equal(again.size, sizeof(golden) - 1);
    assert_memory_equal(again.data, golden, again.size);
    sink_free(&again);
    history_free(history);
    assert_null(decode("", 1, &bad));
    assert_false(bad);
}

/* In front of the length, and only where it is not that of the entry before. */
static void a_revision_is_written_where_it_changes(void **state)
{
    (void)state;
    static const struct closed_cycle cycles[] = {
        {0, 10, 5, .used = 1, .count = 1},
        {10, 20, 5, .used = 1, .count = 1, .revision = 7},
        {20, 30, 5, .used = 1, .count = 1, .revision = 7, .rolled = 2},
        {30, 40, 5, .used = 1, .count = 1},
    };
    static const size_t sizes[] = {8, 8 + 3, 8 + 2, 8 + 3};
    struct history *history = NULL;
    struct sink bytes = {0};
    size_t size = 1;
    for (size_t i = 0; i < COUNT_OF(cycles); i++) {
        history = push(history, cycles[i]);
        bytes.size = 0;
        history_encode(history, &bytes);
        assert_int_equal(bytes.size, size += sizes[i]);
    }
    ASSERT_ENTRIES(history, cycles[3], cycles[2], cycles[1], cycles[0]);
    sink_free(&bytes);
    history_free(history);
}

static const struct {
    const char *bytes;
    size_t size;
} lies[] = {
#define LIE(literal)                                                                                                   \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }
    LIE(""),                                                         /* no count */
    LIE("\x41"),                                                     /* 65 */
    LIE("\x01"),                                                     /* fewer than announced */
    LIE("\x00\x00"),                                                 /* more */
    LIE("\x01\x00\x00\x02\x01\x00\x00\x00\x00"),                     /* no time */
    LIE("\x01\x00\x05\x03\x01\x00\x00\x00\x00"),                     /* a limit of -2 */
    LIE("\x01\x00\x05\x02\x00"),                                     /* of no cycles */
    LIE("\x01\x00\x05\x02\x06"),                                     /* six in 5 us */
    LIE("\x01\x00\x00\x00\x00\x05\x02\x02"),                         /* the revision as it was before */
    LIE("\x01\x00\x00\x00\x03\x00\x00\x05\x02\x02"),                 /* units rolled over, none */
    LIE("\x01\x80\x00\x05\x02\x02"),                                 /* a number longer than need be */
    LIE("\x01\x82\x80\x80\x80\x80\x80\x80\x80\x80\x01\x05\x02\x02"), /* begins behind the last instant */
    LIE("\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x02\x02"),     /* ends behind an int64 */
};

static void values_that_lie_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        bool bad;
        struct history *history = decode(lies[i].bytes, lies[i].size, &bad);
        if (!bad) fail_msg("row %zu was let in", i);
        history_free(history);
    }
}

static void damaged_values_are_refused_or_understood(void **state)
{
    (void)state;
    struct history *history = NULL;
    struct sink bytes = {0};
    bool bad;
    for (int64_t i = 0; i < 6; i++) {
        struct closed_cycle cycle = {BASE + i * D, BASE + (i + 1) * D, 300, i * 200, i, i * i * i, i * 300, 1};
        if (i % 3 == 2) cycle = (struct closed_cycle){BASE + i * D, BASE + (i + 1) * D, -1, .count = 1440};
        history = push(history, cycle);
    }
    history_encode(history, &bytes);
    history_free(history);
    for (size_t size = 0; size < bytes.size; size++) {
        assert_null(decode(bytes.data, size, &bad));
        assert_true(bad);
    }
    for (size_t at = 0; at < bytes.size; at++) {
        char kept = bytes.data[at];
        for (int byte = 0; byte < 256; byte++) {
            struct sink again = {0};
            bytes.data[at] = (char)byte;
            history = decode(bytes.data, bytes.size, &bad);
            if (!bad) {
                history_encode(history, &again);
                assert_int_equal(again.size, bytes.size);
                assert_memory_equal(again.data, bytes.data, bytes.size);
                amend(&history, BASE + 2 * D + S, BASE + 2 * D + 2 * S, 1);
                history = push(history, (struct closed_cycle){BASE + 9 * D, BASE + 10 * D, 5, .count = 2});
                assert_survives_encoding(history);
            }
            sink_free(&again);
            history_free(history);
        }
        bytes.data[at] = kept;
    }
    sink_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(idle_cycles_that_touch_are_one_entry, end_of_test),
        cmocka_unit_test_teardown(what_is_no_closed_cycle_is_left_out, end_of_test),
        cmocka_unit_test_teardown(what_ends_before_all_others_goes_in_front, end_of_test),
        cmocka_unit_test_teardown(any_order_and_any_number_is_kept, end_of_test),
        cmocka_unit_test_teardown(an_instant_is_in_the_entry_that_began_and_has_not_ended, end_of_test),
        cmocka_unit_test_teardown(the_sixty_fifth_entry_drives_the_oldest_out, end_of_test),
        cmocka_unit_test_teardown(a_late_posting_amends_its_cycle, end_of_test),
        cmocka_unit_test_teardown(a_run_is_cut_only_where_its_cycles_can_be, end_of_test),
        cmocka_unit_test_teardown(cutting_a_run_can_drive_the_oldest_out, end_of_test),
        cmocka_unit_test_teardown(twelve_months_and_a_million_minutes_are_small, end_of_test),
        cmocka_unit_test_teardown(random_streams_agree_with_single_cycles, end_of_test),
        cmocka_unit_test_teardown(the_bytes_are_these_for_ever, end_of_test),
        cmocka_unit_test_teardown(a_revision_is_written_where_it_changes, end_of_test),
        cmocka_unit_test_teardown(values_that_lie_are_refused, end_of_test),
        cmocka_unit_test_teardown(damaged_values_are_refused_or_understood, end_of_test),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}

/* Allowances: rows of one and two parts, then random changes against exact fractions summed part by part. */
#include "quota/account/allowance.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include "quota/base/checked.h"
#include "tools.h"
#include <cmocka.h>

#define LIMIT_MAX INT64_MAX

/* ---- the model: every part, with its limit and its length ------------------------------------------------ */

#define PARTS_MAX 64

struct parts {
    struct {
        int64_t limit, time;
    } list[PARTS_MAX];
    int count;
    int64_t now; /* the limit that holds */
};

static void add_part(struct parts *parts, int64_t limit, int64_t time)
{
    parts->list[parts->count].limit = limit;
    parts->list[parts->count++].time = time;
}

/* The sum of limit x time, over the length, rounded half away from zero. */
static int64_t total_of(const struct parts *parts, int64_t length)
{
    wide sum = 0;
    if (parts->now == UNLIMITED) return UNLIMITED;
    if (parts->now == ABSENT) return 0;
    for (int i = 0; i < parts->count; i++) {
        int64_t limit = parts->list[i].limit;
        if (limit == ABSENT) continue;
        sum += (wide)(limit == UNLIMITED ? parts->now : limit) * parts->list[i].time;
    }
    wide whole = sum / length, rest = sum % length;
    return (int64_t)(whole + (rest >= length - rest ? 1 : 0));
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

static void a_cycle_begins(void **state)
{
    (void)state;
    static const struct {
        int64_t limit, lead;
        bool cut;
        int64_t length, wanted;
    } rows[] = {
        /* the whole cycle at one limit */
        {100, 0, false, 100, 100},
        {0, 0, false, 100, 0},
        {LIMIT_MAX, 0, false, INT64_MAX, LIMIT_MAX},
        {UNLIMITED, 0, false, 100, UNLIMITED},
        {ABSENT, 0, false, 100, 0},
        /* before the account began: at the first limit, or nothing */
        {100, 25, false, 100, 100},
        {100, 25, true, 100, 75},
        {100, 0, true, 100, 100},
        {UNLIMITED, 25, true, 100, UNLIMITED},
        /* rounded once, half away from zero */
        {3, 1, true, 2, 2},
        {1, 1, true, 2, 1},
        {1, 501, true, 1000, 0},
        {LIMIT_MAX, INT64_C(1) << 60, true, INT64_C(1) << 61, INT64_C(1) << 62},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct allowance allowance = allowance_begin(rows[i].limit, rows[i].lead, rows[i].cut);
        int64_t total = allowance_total(&allowance, rows[i].length);
        if (total != rows[i].wanted) fail_msg("row %zu: %lld", i, (long long)total);
        assert_int_equal(allowance_is_plain(&allowance), rows[i].lead == 0 || !rows[i].cut);
    }
}

static void a_limit_joins(void **state)
{
    (void)state;
    static const struct {
        int64_t limit, at, length, wanted;
    } rows[] = {
        /* until then it counts nothing */
        {100, 25, 100, 75}, {100, 99, 100, 1}, {100, 0, 100, 100}, {0, 25, 100, 0}, {UNLIMITED, 25, 100, UNLIMITED},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct allowance allowance = allowance_join(rows[i].limit, rows[i].at);
        int64_t total = allowance_total(&allowance, rows[i].length);
        if (total != rows[i].wanted) fail_msg("row %zu: %lld", i, (long long)total);
    }
}

/* A LIMIT that joins and leaves at one instant leaves nothing. */
static void a_limit_that_leaves_at_once_was_never_there(void **state)
{
    (void)state;
    struct allowance never = allowance_begin(ABSENT, 0, false), allowance = allowance_join(100, 25);
    allowance_change(&allowance, ABSENT, 25, 100);
    assert_memory_equal(&allowance, &never, sizeof(never));
}

/* What an unlimited part counts depends on what comes after it. */
static void a_limit_changes(void **state)
{
    (void)state;
    static const struct {
        int64_t limits[3]; /* from 0, 25 and 50 of 100 on */
        int64_t wanted;
    } rows[] = {
        {{100, 100, 200}, 150},
        {{100, 0, 0}, 25},
        {{0, 0, 1}, 1},
        {{100, 200, UNLIMITED}, -1},
        {{UNLIMITED, 100, 100}, 100},
        {{UNLIMITED, 100, 200}, 175},
        {{100, UNLIMITED, 200}, 175},
        {{100, ABSENT, 100}, 75},
        {{ABSENT, 100, 100}, 75},
        {{100, 100, ABSENT}, 0},
        {{ABSENT, UNLIMITED, 40}, 30},
        {{UNLIMITED, ABSENT, 40}, 30},
        {{LIMIT_MAX, LIMIT_MAX, 0}, INT64_C(1) << 62},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct allowance allowance = allowance_begin(rows[i].limits[0], 0, false);
        allowance_change(&allowance, rows[i].limits[1], 25, 100);
        allowance_change(&allowance, rows[i].limits[2], 50, 100);
        int64_t total = allowance_total(&allowance, 100);
        if (total != rows[i].wanted) fail_msg("row %zu: %lld", i, (long long)total);
    }
}

/* A clock that steps back: what would lie before the running part begins with it. */
static void changes_never_step_back(void **state)
{
    (void)state;
    struct allowance allowance = allowance_begin(100, 0, false);
    allowance_change(&allowance, 200, 50, 100);
    allowance_change(&allowance, 300, 20, 100);
    assert_int_equal(allowance_total(&allowance, 100), 200);
    assert_int_equal(allowance.since, 50);
}

/* ---- random changes -------------------------------------------------------------------------------------- */

static int64_t random_limit(int64_t highest)
{
    return random_below(4) ? random_between(0, highest) : random_between(ABSENT, 3);
}

static int64_t random_length(void)
{
    switch (random_below(3)) {
    case 0: return random_between(1, 12);
    case 1: return random_between(1, INT64_C(1) << 45);
    default: return random_between(1, INT64_C(1) << 62);
    }
}

/* The beginning, in both worlds. */
static struct allowance begin(struct parts *parts, int64_t limit, int64_t length, int64_t *from)
{
    int64_t lead = random_below(2) ? random_between(0, length - 1) : 0;
    bool cut = random_below(2);
    *from = lead;
    *parts = (struct parts){.now = limit};
    if (random_below(3) == 0 && limit != ABSENT) {
        *from = random_between(lead, length);
        add_part(parts, ABSENT, *from);
        return allowance_join(limit, *from);
    }
    add_part(parts, cut ? ABSENT : limit, lead);
    return allowance_begin(limit, lead, cut);
}

static void any_changes_are_an_exact_integral(void **state)
{
    (void)state;
    for (int run = 0; run < 6000; run++) {
        struct parts parts;
        int64_t length = random_length(), highest = random_below(2) ? 50 : LIMIT_MAX - 1, from;
        struct allowance allowance = begin(&parts, random_limit(highest), length, &from);
        for (int step = 0; step < 30; step++) {
            struct parts closed = parts;
            add_part(&closed, parts.now, length - from);
            assert_int_equal(allowance_total(&allowance, length), total_of(&closed, length));
            assert_true(allowance.past_rest >= 0 && allowance.past_rest < length && allowance.past <= allowance.since);
            int64_t at = random_below(3) ? random_between(from, length) : from, next = random_limit(highest);
            add_part(&parts, parts.now, at - from);
            parts.now = next;
            from = at;
            allowance_change(&allowance, next, at, length);
        }
    }
}

/* Whatever was tried at one instant: it is as if only the last had been. */
static void the_path_at_one_instant_does_not_matter(void **state)
{
    (void)state;
    for (int run = 0; run < 3000; run++) {
        struct parts parts;
        int64_t length = random_length(), from;
        struct allowance direct = begin(&parts, random_limit(50), length, &from), wandering = direct;
        for (int step = 0; step < 10; step++) {
            int64_t at = random_between(from, length), next = random_limit(50);
            for (uint32_t i = random_below(5); i > 0; i--) allowance_change(&wandering, random_limit(50), at, length);
            allowance_change(&wandering, next, at, length);
            allowance_change(&direct, next, at, length);
            assert_int_equal(allowance_total(&wandering, length), allowance_total(&direct, length));
            from = at;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cycle_begins),
        cmocka_unit_test(a_limit_joins),
        cmocka_unit_test(a_limit_that_leaves_at_once_was_never_there),
        cmocka_unit_test(a_limit_changes),
        cmocka_unit_test(changes_never_step_back),
        cmocka_unit_test(any_changes_are_an_exact_integral),
        cmocka_unit_test(the_path_at_one_instant_does_not_matter),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

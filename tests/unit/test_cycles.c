/* Cycles: windows that roll over, what they leave behind, and how many windows there may be. */
#include "account_tools.h"
#include "quota/view/cycles.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

/* A resource as stored, not settled, and a cursor over it. */
struct walk {
    struct account_view account;
    struct resource_view view;
    struct sink closed;
    struct cycle_cursor cursor;
};

static void walk_begin(struct walk *walk, const struct pair *pair, int64_t at_us)
{
    walk->closed = (struct sink){0};
    assert_int_equal(account_view_begin(&walk->account, pair->account, &host, at_us), ACCOUNT_FAULT_NONE);
    resource_view_begin(&walk->account, BYTES("a"), &walk->view);
    walk->cursor = (struct cycle_cursor){
        .account = &walk->account, .view = &walk->view, .closed = &walk->closed, .anchor_us = pair->account->anchor_us};
}

static void walk_end(struct walk *walk)
{
    account_view_end(&walk->account);
    sink_free(&walk->closed);
}

/* The closed cycles among the changes, in order; answers how many. */
static uint32_t closed_of(const struct walk *walk, struct closed_cycle *closed, uint32_t room)
{
    struct cursor cursor = cursor_init(sink_content(&walk->closed));
    struct change change;
    uint32_t count = 0;
    while (!cursor_done(&cursor)) {
        change_decode(&cursor, ACCOUNT_ENCODING_NEWEST, &change);
        assert_int_equal(change.kind, CHANGE_CLOSED);
        assert_true(count < room);
        closed[count++] = change.closed;
    }
    return count;
}

static void a_cycle_that_runs_stays(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct walk walk;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    walk_begin(&walk, &pair, T + H - 1);
    assert_int_equal(cycles_roll(&walk.cursor, T + H - 1), ACCOUNT_FAULT_NONE);
    assert_int_equal(walk.view.windows[0].used, 4);
    assert_int_equal(walk.closed.size, 0);
    assert_null(walk.cursor.zone); /* it was not needed */
    walk_end(&walk);
    pair_end(&pair);
}

static const struct {
    const char *plan;
    int64_t hours;
    uint32_t count;
    struct closed_cycle closed[3]; /* hours instead of instants */
    int64_t debt;
} ended[] = {
    {"a LIMIT 10 1h", 1, 1, {{0, 1, 10, 25, 0, 0, 25, 1}}, 0},
    {"a LIMIT 10 1h", 7, 2, {{0, 1, 10, 25, 0, 0, 25, 1}, {1, 7, 10, 0, 0, 0, 0, 6}}, 0},
    /* while a debt is repaid their limits differ: 15 beyond, so nothing, then half, then all of it */
    {"a LIMIT 10 1h REPAY", 1, 1, {{0, 1, 10, 25, 0, 0, 25, 1}}, 15},
    {"a LIMIT 10 1h REPAY", 2, 2, {{0, 1, 10, 25, 0, 0, 25, 1}, {1, 2, 0, 0, 0, 0, 0, 1}}, 5},
    {"a LIMIT 10 1h REPAY", 3, 3, {{0, 1, 10, 25, 0, 0, 25, 1}, {1, 2, 0, 0, 0, 0, 0, 1}, {2, 3, 5, 0, 0, 0, 0, 1}}, 0},
    {"a LIMIT -1 1h REPAY", 2, 2, {{0, 1, -1, 25, 0, 0, 25, 1}, {1, 2, -1, 0, 0, 0, 0, 1}}, 0},
};

/* What a cycle leaves behind, the idle ones after it as one entry, and the window that follows. */
static void ended_cycles_close_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ended); i++) {
        struct pair pair = {0};
        struct walk walk;
        struct closed_cycle closed[3];
        plan_set("pro", ended[i].plan);
        pair_open(&pair, "pro", T);
        pair_request_one(&pair, "a", 25, MODE_FORCE, NULL, T);
        int64_t now_us = T + ended[i].hours * H;
        walk_begin(&walk, &pair, now_us);
        assert_int_equal(cycles_roll(&walk.cursor, now_us), ACCOUNT_FAULT_NONE);
        assert_int_equal(closed_of(&walk, closed, 3), ended[i].count);
        for (uint32_t k = 0; k < ended[i].count; k++) {
            struct closed_cycle wanted = ended[i].closed[k];
            wanted.start_us = T + wanted.start_us * H;
            wanted.end_us = T + wanted.end_us * H;
            wanted.revision = walk.view.entry->revision;
            if (memcmp(&closed[k], &wanted, sizeof(wanted)) != 0) fail_msg("row %zu cycle %u", i, k);
        }
        assert_int_equal(walk.view.windows_count, 1);
        const struct window *window = &walk.view.windows[0];
        assert_int_equal(window->start_us, now_us);
        assert_int_equal(window->used, 0);
        assert_int_equal(window->debt, ended[i].debt);
        walk_end(&walk);
        pair_end(&pair);
    }
}

/* Rolling in steps leaves what rolling at once does. */
static void steps_do_not_matter(void **state)
{
    (void)state;
    for (int run = 0; run < 60; run++) {
        struct pair pair = {0};
        struct walk once, steps;
        int64_t now_us = T;
        plan_set("pro", "a LIMIT 10 1h REPAY LIMIT 30 day CALENDAR REPAY");
        pair_open_with(&pair, "pro", T, "Europe/Berlin", NOT_REQUESTED, T);
        pair_request_one(&pair, "a", random_between(1, 99), MODE_FORCE, NULL, T);
        walk_begin(&steps, &pair, T + 40 * D);
        for (int i = 0; i < 8; i++) {
            now_us += random_between(0, 4 * D);
            assert_int_equal(cycles_roll(&steps.cursor, now_us), ACCOUNT_FAULT_NONE);
        }
        walk_begin(&once, &pair, T + 40 * D);
        assert_int_equal(cycles_roll(&once.cursor, now_us), ACCOUNT_FAULT_NONE);
        assert_int_equal(once.view.windows_count, steps.view.windows_count);
        for (uint32_t i = 0; i < once.view.windows_count; i++) {
            assert_memory_equal(&once.view.windows[i], &steps.view.windows[i], sizeof(struct window));
        }
        walk_end(&once);
        walk_end(&steps);
        pair_end(&pair);
    }
}

static void running_cycles_close_before_their_end(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct walk walk;
    struct closed_cycle closed[2];
    plan_set("pro", "a LIMIT 10 1h LIMIT 99 day");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    walk_begin(&walk, &pair, T + H / 2);
    cycles_close_all(&walk.cursor, T + H / 2);
    assert_int_equal(walk.view.windows_count, 0);
    assert_int_equal(closed_of(&walk, closed, 2), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(closed[i].start_us, T);
        assert_int_equal(closed[i].end_us, T + H / 2);
        assert_int_equal(closed[i].used, 4);
    }
    /* windows begin anew for LIMITs that have none, once */
    for (int again = 0; again < 2; again++) {
        assert_int_equal(cycles_begin(&walk.cursor, walk.view.entitlement, T + H / 2), ACCOUNT_FAULT_NONE);
        assert_int_equal(walk.view.windows_count, 2);
    }
    assert_true(walk.view.fresh[0] && walk.view.fresh[1]);
    assert_int_equal(cycles_begin(&walk.cursor, NULL, T + H / 2), ACCOUNT_FAULT_NONE);
    walk_end(&walk);
    pair_end(&pair);
}

/* A window whose LIMIT has gone sleeps until its cycle ends; then it closes, and none follows. */
static void a_limit_that_has_gone_closes_for_good(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct walk walk;
    struct closed_cycle closed[2];
    plan_set("pro", "a LIMIT 10 1h LIMIT 99 day");
    plan_set("team", "a LIMIT 99 day");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    pair_switch(&pair, "team", SWITCH_FULL, T);
    walk_begin(&walk, &pair, T + H);
    assert_int_equal(walk.view.windows_count, 2);
    assert_int_equal(cycles_roll(&walk.cursor, T + H), ACCOUNT_FAULT_NONE);
    assert_int_equal(walk.view.windows_count, 1);
    assert_int_equal(closed_of(&walk, closed, 2), 1);
    assert_int_equal(closed[0].end_us, T + H);
    walk_end(&walk);
    pair_end(&pair);
}

/* At the bound the sleeper that ends first makes room. */
static void sleepers_make_room(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct walk walk;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    walk_begin(&walk, &pair, T);
    struct quota_rule rule = {.kind = QUOTA_LIMIT, .limit = 5, .period = {.unit = PERIOD_FIXED}};
    for (int64_t i = 0; i < SLOT_WINDOWS_MAX; i++) {
        int64_t hours = i == 0 ? 1 : 2 + (i * 7) % SLOT_WINDOWS_MAX; /* the first is that of the LIMIT that holds */
        rule.period.count = hours * H;
        struct cycle cycle = {.start_us = T, .end_us = T + hours * H};
        *cycles_add_window(&walk.view) = window_begin(&rule, &cycle, T);
    }
    for (int more = 1; more <= 3; more++) {
        rule.period.count = (100 + more) * H;
        struct cycle cycle = {.start_us = T, .end_us = T + rule.period.count};
        *cycles_add_window(&walk.view) = window_begin(&rule, &cycle, T);
        assert_int_equal(walk.view.windows_count, SLOT_WINDOWS_MAX);
        int64_t soonest_us = INT64_MAX;
        for (uint32_t i = 1; i < walk.view.windows_count; i++) {
            if (walk.view.windows[i].end_us < soonest_us) soonest_us = walk.view.windows[i].end_us;
        }
        assert_int_equal(walk.view.windows[0].end_us, T + H); /* it is awake */
        assert_true(soonest_us > T + (1 + more) * H);
    }
    walk_end(&walk);
    pair_end(&pair);
}

static const struct zone *no_zone(struct bytes name, void *context)
{
    (void)name, (void)context;
    return NULL;
}

static void without_its_zone_no_cycle_ends(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct walk walk;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open_with(&pair, "pro", T, "Europe/Berlin", NOT_REQUESTED, T);
    pair_consume(&pair, "a", 4, T);
    walk_begin(&walk, &pair, T + H);
    host.find_zone = no_zone;
    assert_int_equal(cycle_cursor_zone(&walk.cursor), ACCOUNT_FAULT_ZONE);
    assert_int_equal(cycles_roll(&walk.cursor, T + H - 1), ACCOUNT_FAULT_NONE);
    assert_int_equal(cycles_roll(&walk.cursor, T + H), ACCOUNT_FAULT_ZONE);
    assert_int_equal(walk.view.windows[0].used, 4);
    walk_end(&walk);
    pair_end(&pair);
    configuration_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cycle_that_runs_stays),
        cmocka_unit_test(ended_cycles_close_in_order),
        cmocka_unit_test(steps_do_not_matter),
        cmocka_unit_test(running_cycles_close_before_their_end),
        cmocka_unit_test(a_limit_that_has_gone_closes_for_good),
        cmocka_unit_test(sleepers_make_room),
        cmocka_unit_test(without_its_zone_no_cycle_ends),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

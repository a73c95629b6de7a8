/* The account as of an instant: its state, its plan, what time has done to both, and which commands it admits. */
#include "account_tools.h"

#define T at("2025-01-31T15:00:00")

static void view_at(struct account_view *view, const struct pair *pair, int64_t at_us)
{
    assert_int_equal(account_view_begin(view, pair->account, &host, at_us), ACCOUNT_FAULT_NONE);
}

static bool is_on(const struct plan *plan, const char *name)
{
    return plan && bytes_equal(plan->name, text_bytes(name));
}

static void an_account_that_was_never_opened(void **state)
{
    (void)state;
    struct account_view view;
    plan_set("free", "a LIMIT 10 1h");
    assert_int_equal(account_view_begin(&view, NULL, &host, T), ACCOUNT_FAULT_MISSING);
    account_view_end(&view);
    host.default_plan = BYTES("free");
    assert_int_equal(account_view_begin(&view, NULL, &host, T), ACCOUNT_FAULT_MISSING);
    account_view_end(&view);
    host.auto_open = true;
    assert_int_equal(account_view_begin(&view, NULL, &host, T), ACCOUNT_FAULT_NONE);
    assert_true(is_on(view.plan, "free") && view.plan_is_current);
    assert_int_equal(view.status.anchor_us, T);
    assert_int_equal(view.slots_count, 0);
    assert_int_equal(account_view_refusal(&view), ACCOUNT_FAULT_NONE);
    assert_false(account_view_awaits_plan(&view));
    assert_true(is_on(account_view_last_plan(&view), "free"));
    account_view_end(&view);
    account_view_end(&view); /* twice is harmless */
    configuration_end();
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        int64_t at_us;
        enum account_fault fault;
    } rows[] = {{-1, ACCOUNT_FAULT_NOT_STARTED}, {0, ACCOUNT_FAULT_NONE}, {24 * 3600, ACCOUNT_FAULT_EXPIRED}};
    struct pair pair = {0};
    struct account_view view;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open_with(&pair, "pro", T, NULL, T + D, T - H);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        view_at(&view, &pair, T + rows[i].at_us * S);
        if (account_view_refusal(&view) != rows[i].fault) fail_msg("row %zu", i);
        assert_true(is_on(account_view_last_plan(&view), "pro"));
        account_view_end(&view);
    }
    pair_state(&pair, ACCOUNT_SUSPENDED, T);
    view_at(&view, &pair, T);
    assert_int_equal(account_view_refusal(&view), ACCOUNT_FAULT_SUSPENDED);
    account_view_end(&view);
    pair_state(&pair, ACCOUNT_CLOSED, T);
    view_at(&view, &pair, T + D); /* closed outweighs expired */
    assert_int_equal(account_view_refusal(&view), ACCOUNT_FAULT_CLOSED);
    account_view_end(&view);
    pair_end(&pair);
}

/* SUSPEND … EX: from then on as if it had been resumed at that instant. */
static void a_suspension_ends_by_itself(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct account_view view;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_suspend(&pair, H, T + S);
    view_at(&view, &pair, T + S + H - 1);
    assert_int_equal(account_view_refusal(&view), ACCOUNT_FAULT_SUSPENDED);
    assert_false(view.status_changed);
    account_view_end(&view);
    view_at(&view, &pair, T + S + H);
    assert_int_equal(account_view_refusal(&view), ACCOUNT_FAULT_NONE);
    assert_int_equal(view.status.suspended_until_us, 0);
    assert_true(view.status_changed);
    account_view_end(&view);
    assert_int_equal(pair_consume(&pair, "a", 1, T + S + H), 1);
    assert_int_equal(pair.account->state, ACCOUNT_ACTIVE); /* written down with the next change */
    pair_end(&pair);
}

static void plans_come_and_end(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct account_view view;
    plan_set("pro", "a LIMIT 10 1h");
    plan_set("team", "a LIMIT 20 1h");
    plan_set("free", "a LIMIT 2 1h");
    host.default_plan = BYTES("free");
    pair_open_with(&pair, "pro", T, NULL, T + 2 * D, T);
    pair_switch(&pair, "team", SWITCH_END, T);
    static const struct {
        int64_t hours;
        const char *plan;
        uint32_t changes;
        bool awaits;
        uint8_t state;
    } rows[] = {{0, "pro", 0, true, ACCOUNT_ACTIVE},
                {1, "team", 1, false, ACCOUNT_ACTIVE},
                {47, "team", 1, false, ACCOUNT_ACTIVE},
                {48, "free", 2, false, ACCOUNT_LAPSED}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        view_at(&view, &pair, T + rows[i].hours * H);
        if (!is_on(view.plan, rows[i].plan)) fail_msg("row %zu", i);
        assert_int_equal(view.changes_count, rows[i].changes);
        assert_int_equal(account_view_awaits_plan(&view), rows[i].awaits);
        assert_int_equal(view.status.state, rows[i].state);
        account_view_end(&view);
    }
    view_at(&view, &pair, T + 48 * H);
    assert_int_equal(view.changes[0].at_us, T + H); /* each at its instant */
    assert_int_equal(view.changes[1].at_us, T + 2 * D);
    account_view_end(&view);
    pair_end(&pair);
    configuration_end();
}

static void a_command_changes_the_plan_now(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct account_view view;
    plan_set("pro", "a LIMIT 10 1h");
    plan_set("team", "a LIMIT 20 1h");
    pair_open(&pair, "pro", T);
    for (int how = 0; how < SWITCH_HOWS_COUNT; how++) {
        view_at(&view, &pair, T + H);
        const struct plan *team = plan_history_snapshot(host.find_plan(BYTES("team")), T + H, T + H);
        account_view_change_plan(&view, team, (enum switch_how)how);
        assert_ptr_equal(view.plan, team);
        assert_int_equal(view.changes[0].at_us, T + H);
        bool restarts = how == SWITCH_HOW_RESTART;
        assert_int_equal(view.changes[0].anchor_us, restarts ? T + H : T);
        assert_int_equal(view.status.anchor_us, restarts ? T + H : T);
        assert_int_equal(view.status_changed, restarts);
        assert_true(is_on(account_view_last_plan(&view), "team"));
        account_view_end(&view); /* gives the plan back */
    }
    pair_end(&pair);
}

static void the_newest_revision_is_remembered(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct account_view view;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    view_at(&view, &pair, T);
    assert_true(view.plan_is_current);
    assert_int_equal(pair.account->plan->current_as_of, host.plans_generation);
    account_view_end(&view);
    plan_set_at("pro", "a LIMIT 20 1h", T + S, APPLY_FULL); /* another generation */
    view_at(&view, &pair, T + S);
    assert_false(view.plan_is_current);
    account_view_end(&view);
    plan_drop("pro"); /* whose plan is gone goes on under what it has */
    view_at(&view, &pair, T + S);
    assert_true(view.plan_is_current);
    account_view_end(&view);
    pair_end(&pair);
}

/* Judged at its last change; waits count from the true time. */
static void a_clock_that_steps_back(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct account_view view;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 1, T + H);
    static const struct {
        int64_t clock_s, now_s, wait_us, reported_us;
    } rows[] = {{3600, 3600, 5, 5}, {3700, 3700, 5, 5}, {3590, 3600, 5, 10 * S + 5}, {3590, 3600, 0, 0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        view_at(&view, &pair, T + rows[i].clock_s * S);
        assert_int_equal(view.clock_us, T + rows[i].clock_s * S);
        assert_int_equal(view.now_us, T + rows[i].now_s * S);
        assert_int_equal(account_view_wait_us(&view, rows[i].wait_us), rows[i].reported_us);
        assert_int_equal(account_view_wait_us(&view, NEVER_US), NEVER_US);
        account_view_end(&view);
    }
    pair_end(&pair);
}

static void opened_zone_and_room(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct account_view view;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open_with(&pair, "pro", T - D, "Europe/Berlin", NOT_REQUESTED, T);
    view_at(&view, &pair, T);
    assert_int_equal(account_view_opened_us(&view), T); /* not at its anchor */
    assert_ptr_equal(account_view_zone(&view), host.find_zone(BYTES("Europe/Berlin"), NULL));
    assert_true(account_view_has_room(&view));
    account_view_end(&view);
    host.records_max = 2;
    pair_request_one(&pair, "a", 1, MODE_ALL, "x", T);
    pair_request_one(&pair, "a", 1, MODE_ALL, "y", T + S);
    static const struct {
        int64_t after_us;
        bool room;
    } rows[] = {{S, false}, {KEPT - 1, false}, {KEPT, true}}; /* what has expired does not count */
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        view_at(&view, &pair, T + rows[i].after_us);
        assert_int_equal(account_view_has_room(&view), rows[i].room);
        account_view_end(&view);
    }
    pair_end(&pair);
    struct pair plain = {0};
    pair_open(&plain, "pro", T);
    view_at(&view, &plain, T);
    assert_int_equal(account_view_opened_us(&view), T);
    assert_ptr_equal(account_view_zone(&view), zone_utc());
    account_view_end(&view);
    pair_end(&plain);
    configuration_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_that_was_never_opened), cmocka_unit_test(refusals),
        cmocka_unit_test(a_suspension_ends_by_itself),      cmocka_unit_test(plans_come_and_end),
        cmocka_unit_test(a_command_changes_the_plan_now),   cmocka_unit_test(the_newest_revision_is_remembered),
        cmocka_unit_test(a_clock_that_steps_back),          cmocka_unit_test(opened_zone_and_room),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

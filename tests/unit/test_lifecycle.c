/* Lifecycle: an account that was never touched reads, byte for byte, like one that was touched at every boundary. */
#include "account_tools.h"
#include "quota/base/checked.h"

/* ---- lazy equals eager ----------------------------------------------------------------------------------- */

#define BOUNDARIES_MAX 4096

/* Every instant at which a cycle of one of these periods begins. */
struct boundaries {
    int64_t instants_us[BOUNDARIES_MAX];
    int count;
};

static void add_boundary(struct boundaries *boundaries, int64_t at_us)
{
    assert_true(boundaries->count < BOUNDARIES_MAX);
    int place = boundaries->count++;
    for (; place > 0 && boundaries->instants_us[place - 1] > at_us; place--) {
        boundaries->instants_us[place] = boundaries->instants_us[place - 1];
    }
    boundaries->instants_us[place] = at_us;
}

static void add_boundaries(struct boundaries *boundaries, const char *plan_name, const struct zone *zone,
                           int64_t anchor_us, int64_t until_us)
{
    const struct plan_history *plan = host.find_plan(text_bytes(plan_name));
    for (uint32_t i = 0; plan && i < plan->tracks_count; i++) {
        const struct plan_track *track = &plan->tracks[i];
        const struct plan_entry *entry = &track->revisions[track->count - 1]->entry;
        const struct entitlement *entitlement = &entry->entitlement;
        if (!entry->granted) continue;
        for (uint32_t k = 0; k < entitlement->rules_count; k++) {
            if (entitlement->rules[k].kind != QUOTA_LIMIT) continue;
            struct cycle cycle = {.end_us = anchor_us};
            while (cycle.end_us < until_us) {
                cycle = period_cycle_at(&entitlement->rules[k].period, zone, anchor_us, cycle.end_us);
                if (cycle.end_us < until_us) add_boundary(boundaries, cycle.end_us);
            }
        }
    }
}

/* The same notes are not in both: everything else is. */
static void assert_same_account(const struct account *lazy, const struct account *eager)
{
    struct sink lazy_bytes = bytes_without_notes(lazy), eager_bytes = bytes_without_notes(eager);
    assert_same_bytes(&lazy_bytes, &eager_bytes);
    sink_free(&lazy_bytes);
    sink_free(&eager_bytes);
}

static void assert_same_reports(const struct account *lazy, const struct account *eager, int64_t at_us)
{
    static const char *const names[] = {"a", "b"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        uint32_t count = rules_count_of(lazy, names[i], at_us);
        assert_int_equal(count, rules_count_of(eager, names[i], at_us));
        for (uint32_t k = 0; k < count; k++) {
            struct rule_report one = report_of(lazy, names[i], k, at_us), two = report_of(eager, names[i], k, at_us);
            assert_memory_equal(&one, &two, sizeof(one));
        }
    }
}

/* One command a time; which one is drawn before, so that both accounts get the same. */
struct act {
    int what;
    int64_t amount;
    char id[4];
    const char *resource;
};

static void do_act(struct pair *pair, const struct act *act, int64_t at_us)
{
    switch (act->what) {
    case 0:
    case 1:
    case 2: pair_request_one(pair, act->resource, act->amount, MODE_ALL, NULL, at_us); break;
    case 3: pair_request_one(pair, act->resource, act->amount, MODE_FORCE, act->id, at_us); break;
    case 4: pair_request_one(pair, act->resource, act->amount, MODE_UPTO, act->id, at_us); break;
    case 5: pair_reserve(pair, act->id, act->resource, act->amount, act->amount * 40 * H, at_us); break;
    case 6: pair_release(pair, act->id, at_us); break;
    case 7: pair_refund(pair, act->resource, act->amount, act->id, NULL, at_us); break;
    case 8: pair_refund(pair, act->resource, act->amount, NULL, NULL, at_us); break;
    case 9: pair_commit(pair, act->id, act->amount / 2, at_us); break;
    case 10: pair_switch(pair, act->amount & 1 ? "pro" : "team", (enum switch_mode)(act->amount % 3), at_us); break;
    case 11: pair_override(pair, "a LIMIT 7 day LIMIT 5 month WARN 50", at_us + act->amount * D, at_us); break;
    case 12: pair_override(pair, "a", 0, at_us); break;
    case 13: pair_set(pair, act->resource, act->amount, at_us); break;
    case 14: pair_reset(pair, act->resource, at_us); break;
    }
}

/* What happens between two instants: the eager one is touched at each boundary, and now and then between them. */
static void touch_until(struct pair *eager, const struct boundaries *boundaries, int *next, int64_t at_us)
{
    for (; *next < boundaries->count && boundaries->instants_us[*next] <= at_us; ++*next) {
        pair_touch(eager, boundaries->instants_us[*next]);
        if (random_below(8) == 0) pair_touch(eager, boundaries->instants_us[*next] + 1);
    }
}

struct story {
    const char *pro, *team, *zone, *anchor, *begin;
    int64_t expires_us;
    int acts; /* of the list above, how many may happen */
};

static void run_story(const struct story *story, int run)
{
    static struct boundaries boundaries;
    int64_t begin_us = at(story->begin), until_us = begin_us + 150 * D, now_us = begin_us;
    struct pair lazy = {0}, eager = {0};
    int next = 0;
    plan_set("pro", story->pro);
    plan_set("team", story->team);
    const struct zone *zone = host.find_zone(text_bytes(story->zone), NULL);
    assert_non_null(zone);
    boundaries.count = 0;
    add_boundaries(&boundaries, "pro", zone, at(story->anchor), until_us);
    add_boundaries(&boundaries, "team", zone, at(story->anchor), until_us);
    int64_t expires_us = story->expires_us ? begin_us + story->expires_us : NOT_REQUESTED;
    pair_open_with(&lazy, "pro", at(story->anchor), story->zone, expires_us, begin_us);
    pair_open_with(&eager, "pro", at(story->anchor), story->zone, expires_us, begin_us);
    while (next < boundaries.count && boundaries.instants_us[next] <= begin_us) next++;
    while (true) {
        now_us += random_below(3) ? random_between(0, 40 * H) : random_between(0, 40 * D);
        if (now_us >= until_us) break;
        touch_until(&eager, &boundaries, &next, now_us);
        struct act act = {(int)random_below((uint32_t)story->acts), 1 + random_below(9), "x",
                          random_below(2) ? "a" : "b"};
        act.id[1] = (char)('A' + random_below(6));
        do_act(&lazy, &act, now_us);
        do_act(&eager, &act, now_us);
        if (lazy.decision.fault != eager.decision.fault) {
            fail_msg("%s run %d: act %d at %lld: %d and %d", story->pro, run, act.what,
                     (long long)((now_us - begin_us) / H), (int)lazy.decision.fault, (int)eager.decision.fault);
        }
        assert_same_reports(lazy.account, eager.account, now_us);
    }
    pair_touch(&lazy, until_us);
    pair_touch(&eager, until_us);
    assert_same_account(lazy.account, eager.account);
    pair_end(&lazy);
    pair_end(&eager);
}

#define CONSUMING 5 /* acts */
#define HOLDING   7
#define REFUNDING 9
#define POSTING   10
#define OPERATING 15

static const struct story stories[] = {
    {"a LIMIT 40 month WARN 50 80 LIMIT 6 day | b LIMIT 20 week BURST 50 LIMIT 9 ROLLING 30h",
     "a LIMIT 30 month LIMIT 8 day CALENDAR | b LIMIT 20 week CALENDAR", "Europe/Berlin", "2025-01-31T15:00:00",
     "2025-01-31T15:00:00", 0, CONSUMING},
    {"a LIMIT 5 day BURST 100 REPAY | b LIMIT 20 week CALENDAR FROM sun REPAY GRACE 30h BURST 200", "a LIMIT 9 day",
     "America/New_York", "2025-01-31T15:00:00", "2025-02-01T15:00:00", 0, CONSUMING},
    {"a LIMIT 40 month CALENDAR PRORATE LIMIT 7 day | b LIMIT 20 36h BURST 100 GRACE 20h RATE GCRA 10 1h",
     "a LIMIT 30 month CALENDAR", "Australia/Lord_Howe", "2025-01-31T15:00:00", "2025-01-31T15:00:00", 0, HOLDING},
    {"a LIMIT 40 month EOM WARN 50 80 LIMIT 10 day REFUNDS MAX 5 | b LIMIT 20 week OVERAGE HOLDS MAX 2",
     "a LIMIT 30 month", "Africa/Casablanca", "2025-01-31T15:00:00", "2025-01-31T15:00:00", 0, REFUNDING},
    {"a LIMIT 40 month LIMIT 10 day | b LIMIT 20 week LIMIT 9 ROLLING 100h", "a LIMIT 30 month", "Europe/Berlin",
     "2025-01-31T15:00:00", "2025-01-31T15:00:00", 0, POSTING},
    {"a LIMIT 40 month LIMIT 10 day WARN 20 80 | b LIMIT 20 week LIMIT 4 day CALENDAR COST 2",
     "a LIMIT 30 month LIMIT 12 day CALENDAR | b LIMIT 40 week BURST 10", "Europe/Berlin", "2025-01-31T15:00:00",
     "2025-01-31T15:00:00", 0, OPERATING},
    {"a LIMIT 9 day BURST 100 REPAY | b LIMIT 20 week BURST 50 REPAY REFUNDS MAX 30", "a LIMIT 7 day REPAY",
     "Europe/Berlin", "2025-01-31T15:00:00", "2025-01-31T15:00:00", 0, POSTING},
};

static void no_touch_changes_anything(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(stories); i++) {
        for (int run = 0; run < 12; run++) run_story(&stories[i], run);
    }
    configuration_end();
}

/* The plan ends, and a default plan follows, with other limits of the same periods and with others. */
static void nor_does_it_where_the_plan_ends(void **state)
{
    (void)state;
    plan_set("free", "a LIMIT 3 month LIMIT 1 week BURST 50 | b LIMIT 2 week");
    host.default_plan = BYTES("free");
    struct story story = {"a LIMIT 40 month LIMIT 10 day WARN 20 80 | b LIMIT 20 week LIMIT 4 day CALENDAR COST 2",
                          "a LIMIT 30 month",
                          "Europe/Berlin",
                          "2025-01-31T15:00:00",
                          "2025-01-31T15:00:00",
                          50 * D + 7 * H,
                          POSTING};
    for (int run = 0; run < 12; run++) {
        plan_set("free", run & 1 ? "a LIMIT 3 month LIMIT 1 week BURST 50 | b LIMIT 2 week" : "c LIMIT 3 month");
        struct pair lazy = {0}, eager = {0};
        plan_set("pro", story.pro);
        int64_t begin_us = at(story.begin), now_us = begin_us, expires_us = begin_us + story.expires_us;
        pair_open_with(&lazy, "pro", begin_us, story.zone, expires_us, begin_us);
        pair_open_with(&eager, "pro", begin_us, story.zone, expires_us, begin_us);
        for (int i = 0; i < 4; i++) {
            now_us += random_between(0, 10 * D);
            int64_t amount = 1 + random_below(4);
            pair_request_one(&lazy, i & 1 ? "a" : "b", amount, MODE_ALL, NULL, now_us);
            pair_request_one(&eager, i & 1 ? "a" : "b", amount, MODE_ALL, NULL, now_us);
        }
        for (; now_us < begin_us + 150 * D; now_us += random_between(1, 4 * D)) pair_touch(&eager, now_us);
        pair_touch(&lazy, now_us);
        pair_touch(&eager, now_us);
        assert_same_account(lazy.account, eager.account);
        pair_end(&lazy);
        pair_end(&eager);
    }
    configuration_end();
}

/* ---- plans that change meanwhile ------------------------------------------------------------------------- */

static const char *const versions[] = {
    "a LIMIT 40 month | b LIMIT 20 week BURST 50",
    "a LIMIT 30 month LIMIT 6 day | b LIMIT 25 week RATE GCRA 30 1h",
    "a LIMIT 50 month LIMIT 9 day WARN 50 | b LIMIT 20 week REPAY BURST 100",
    "a LIMIT -1 month LIMIT 12 day | b LIMIT 5 day",
    "a LIMIT 40 month PRORATE | b LIMIT 20 week GRACE 30h",
    "a LIMIT 6 day LIMIT 10 ROLLING 30h",
    "b LIMIT 30 week LIMIT 60 month COST 2",
};

/* One of the plans is revised, for both accounts: at once, or from an instant to come on. */
static void revise_a_plan(int64_t now_us)
{
    const char *name = random_below(3) ? "pro" : "team", *text = versions[random_below(COUNT_OF(versions))];
    enum plan_apply apply = (enum plan_apply)random_below(APPLY_MODES_COUNT);
    int64_t later_us = random_below(3) ? 0 : random_between(1, 9 * D);
    plan_set_effective(name, text, now_us, now_us + later_us, apply);
}

static void do_plan_act(struct pair *pair, const struct act *act, int64_t at_us)
{
    struct switch_request move = {.plan = text_bytes(act->amount & 1 ? "pro" : "team"),
                                  .mode = (enum switch_mode)(act->amount % 3),
                                  .at_us = act->amount & 4 ? at_us + act->amount * 11 * H : NOT_REQUESTED,
                                  .restart = act->amount == 9};
    struct admin_action action = {.now_us = at_us, .actor = BYTES("ops"), .reason = BYTES("")};
    switch (act->what) {
    case 10: pair_move(pair, &move, &action); break;
    case 11: pair_override(pair, "a LIMIT 7 day LIMIT 5 month WARN 50", at_us + act->amount * D, at_us); break;
    case 12: pair_override(pair, act->resource, 0, at_us); break;
    case 13: pair_override_some(pair, "a LIMIT 99 month", OPTION_COST, at_us + act->amount * D, at_us); break;
    case 14: pair_override_some(pair, "b LIMIT 70 week COST 2", OPTION_COST, 0, at_us); break;
    default: do_act(pair, act, at_us);
    }
}

/* Both get the same requests; one is settled at any instant besides. The plans change at theirs, whenever one looks. */
static void a_plan_changes_for_every_account_at_its_instant(void **state)
{
    (void)state;
    for (int run = 0; run < 150; run++) {
        int64_t begin_us = at("2025-01-31T15:00:00"), now_us = begin_us;
        struct pair lazy = {0}, eager = {0};
        plan_drop("pro");
        plan_drop("team");
        plan_set("pro", versions[0]);
        plan_set("team", versions[(run + 1) % COUNT_OF(versions)]);
        pair_open_with(&lazy, "pro", begin_us, "Europe/Berlin", NOT_REQUESTED, begin_us);
        pair_open_with(&eager, "pro", begin_us, "Europe/Berlin", NOT_REQUESTED, begin_us);
        for (int i = 0; i < 2; i++) { /* of what was never used, slots may come in another order */
            pair_consume(i == 0 ? &lazy : &eager, "a", 1, begin_us);
            pair_consume(i == 0 ? &lazy : &eager, "b", 1, begin_us);
        }
        for (int step = 0; step < 25; step++) {
            for (uint32_t touches = random_below(4); touches > 0; touches--) {
                now_us += random_between(0, 2 * D);
                pair_settle(&eager, now_us);
            }
            now_us += random_below(2) ? random_between(0, 2 * D) : 0;
            struct act act = {(int)random_below(18), 1 + random_below(9), "x", random_below(2) ? "a" : "b"};
            act.id[1] = (char)('A' + random_below(6));
            if (act.what >= 15) revise_a_plan(now_us);
            if (act.what < 15) do_plan_act(&lazy, &act, now_us);
            if (act.what < 15) do_plan_act(&eager, &act, now_us);
            bool same = act.what >= 15 || lazy.decision.fault == eager.decision.fault;
            if (!same) fail_msg("run %d step %d: act %d", run, step, act.what);
            assert_same_reports(lazy.account, eager.account, now_us);
            assert_same_reports(lazy.account, eager.account, now_us + 5 * D);
        }
        now_us += 60 * D; /* what is remembered of reservations says when it was swept: it is forgotten by then */
        pair_touch(&lazy, now_us);
        pair_touch(&eager, now_us);
        assert_same_account(lazy.account, eager.account);
        pair_end(&lazy);
        pair_end(&eager);
    }
    configuration_end();
}

/* ---- single promises ------------------------------------------------------------------------------------- */

static void cycles_begin_on_the_wall_clock_of_the_account(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 day CALENDAR");
    pair_open_with(&pair, "pro", NOT_REQUESTED, "Europe/Berlin", NOT_REQUESTED, at("2025-03-29T12:00:00"));
    pair_consume(&pair, "a", 10, at("2025-03-29T12:00:00"));
    assert_int_equal(remaining_of(&pair, "a", at("2025-03-29T22:59:59")), 0);
    assert_int_equal(remaining_of(&pair, "a", at("2025-03-29T23:00:00")), 10);
    pair_consume(&pair, "a", 10, at("2025-03-29T23:00:00")); /* this day has 23 hours */
    assert_int_equal(remaining_of(&pair, "a", at("2025-03-30T21:59:59")), 0);
    assert_int_equal(remaining_of(&pair, "a", at("2025-03-30T22:00:00")), 10);
    pair_end(&pair);
}

static const struct zone *no_zone(struct bytes name, void *context)
{
    (void)name, (void)context;
    return NULL;
}

static void a_zone_that_is_gone_is_missed_only_when_a_cycle_ends(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 day");
    int64_t begin_us = at("2025-03-29T12:00:00");
    pair_open_with(&pair, "pro", NOT_REQUESTED, "Europe/Nowhere", NOT_REQUESTED, begin_us);
    assert_fault(&pair, ACCOUNT_FAULT_ZONE);
    assert_null(pair.account);
    pair_open_with(&pair, "pro", NOT_REQUESTED, "Europe/Berlin", NOT_REQUESTED, begin_us);
    pair_consume(&pair, "a", 1, begin_us);
    host.find_zone = no_zone; /* restored on a server that lacks it */
    assert_int_equal(pair_consume(&pair, "a", 9, begin_us + D - H - 1), 9);
    pair_request_one(&pair, "a", 1, MODE_ALL, NULL, begin_us + D);
    assert_fault(&pair, ACCOUNT_FAULT_ZONE);
    pair_end(&pair);
    configuration_end();
}

static void idle_cycles_are_one_entry(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct closed_cycle closed;
    plan_set("pro", "a LIMIT 10 1m");
    int64_t begin_us = at("2025-03-29T12:00:00");
    pair_open(&pair, "pro", begin_us);
    pair_consume(&pair, "a", 3, begin_us);
    pair_consume(&pair, "a", 4, begin_us + 1000000 * MICROS_PER_MINUTE);
    const struct history *history = pair.account->slots[0].optional->histories[0].history;
    assert_int_equal(history_count(history), 2);
    assert_true(history_nth(history, 0, &closed));
    assert_int_equal(closed.count, 999999);
    assert_true(history_nth(history, 1, &closed));
    assert_int_equal(closed.used, 3);
    pair_end(&pair);
}

/* While a debt is repaid the limits of idle cycles are not what the plan says. */
static void limits_of_idle_cycles_are_cut_by_what_is_repaid(void **state)
{
    (void)state;
    static const int64_t limits[] = {0, 0, 5, 10, 10};
    struct closed_cycle closed;
    plan_set("pro", "a LIMIT 10 1h REPAY");
    int64_t begin_us = at("2025-03-29T12:00:00");
    for (int touched = 0; touched < 2; touched++) {
        struct pair pair = {0};
        pair_open(&pair, "pro", begin_us);
        pair_request_one(&pair, "a", 35, MODE_FORCE, NULL, begin_us);
        for (int i = 1; touched && i < 6; i++) pair_touch(&pair, begin_us + i * H);
        pair_touch(&pair, begin_us + 6 * H);
        const struct history *history = pair.account->slots[0].optional->histories[0].history;
        for (size_t i = 0; i < COUNT_OF(limits); i++) {
            assert_true(history_find(history, begin_us + ((int64_t)i + 1) * H, &closed));
            assert_int_equal(closed.limit, limits[i]);
        }
        assert_int_equal(history_count(history), 4);
        pair_end(&pair);
    }
}

static void a_clock_that_steps_back_reopens_nothing(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    int64_t begin_us = at("2025-03-29T12:00:00");
    pair_open(&pair, "pro", begin_us);
    pair_consume(&pair, "a", 10, begin_us);
    pair_consume(&pair, "a", 3, begin_us + H);
    assert_int_equal(used_of(&pair, "a", begin_us), 3);
    assert_int_equal(pair_consume(&pair, "a", 7, begin_us), 7);
    assert_int_equal(pair_consume(&pair, "a", 1, begin_us), 0);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].wait_us, 2 * H); /* the true time's */
    assert_int_equal(pair.account->applied_at_us, begin_us + H);
    pair_end(&pair);
}

static void limits_that_went_are_closed_and_dropped(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h LIMIT 50 2h");
    plan_set("team", "a LIMIT 10 1h");
    int64_t begin_us = at("2025-03-29T12:00:00");
    pair_open(&pair, "pro", begin_us);
    pair_consume(&pair, "a", 10, begin_us);
    pair_switch(&pair, "team", SWITCH_FULL, begin_us);
    assert_int_equal(pair.account->slots[0].windows_count, 2); /* it may come back within the cycle */
    pair_switch(&pair, "pro", SWITCH_FULL, begin_us + S);
    assert_int_equal(report_of(pair.account, "a", 1, begin_us + S).used, 10);
    pair_switch(&pair, "team", SWITCH_FULL, begin_us + S);
    pair_consume(&pair, "a", 5, begin_us + 2 * H);
    assert_int_equal(pair.account->slots[0].windows_count, 1);
    assert_int_equal(pair.account->slots[0].optional->histories_count, 2);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_touch_changes_anything),
        cmocka_unit_test(nor_does_it_where_the_plan_ends),
        cmocka_unit_test(a_plan_changes_for_every_account_at_its_instant),
        cmocka_unit_test(cycles_begin_on_the_wall_clock_of_the_account),
        cmocka_unit_test(a_zone_that_is_gone_is_missed_only_when_a_cycle_ends),
        cmocka_unit_test(idle_cycles_are_one_entry),
        cmocka_unit_test(limits_of_idle_cycles_are_cut_by_what_is_repaid),
        cmocka_unit_test(a_clock_that_steps_back_reopens_nothing),
        cmocka_unit_test(limits_that_went_are_closed_and_dropped),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

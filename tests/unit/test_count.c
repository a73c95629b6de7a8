/* Counting: which requests are decided from what is stored, and which need a view. What both decide alike consume.c
 * compares, in every test of this folder. */
#include "account_tools.h"
#include "quota/decide/count.h"

#define T   at("2025-01-31T15:00:00")
#define MIN (60 * S)

/* Makes the account of a row what the row is about; the first unit has been used already. */
typedef void prepare(struct pair *pair);

struct row {
    const char *plan;
    prepare *prepare; /* NULL = nothing has happened since */
    int64_t amount, later_us;
    bool counts;
    enum request_mode mode; /* MODE_ALL where none is given */
    int64_t ago_us;         /* used so long before; 0 = now */
    bool holds;
};

static bool decides(const struct row *row, struct verdict *verdict)
{
    struct pair pair = {0};
    struct account_decision decision;
    struct counted counted;
    plan_set("pro", row->plan);
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 1, T);
    if (row->prepare) row->prepare(&pair);
    account_decision_begin(&decision);
    int64_t now_us = T + row->later_us;
    struct count_request request = {.resource = text_bytes("a"),
                                    .amount = row->amount,
                                    .mode = row->mode,
                                    .holds = row->holds,
                                    .at_us = row->ago_us != 0 ? now_us - row->ago_us : 0,
                                    .now_us = now_us};
    struct verdict_fold fold = {.begun = false};
    bool counts = count_decide(pair.account, &host, &request, &decision, &fold, &counted);
    count_answer(&decision, row->amount, &fold);
    *verdict = decision.result.consumed.verdicts[0];
    assert_int_equal(decision.changes.size > 0, counts);
    if (counts) assert_int_equal(counted.slot, 0);
    account_decision_end(&decision);
    pair_end(&pair);
    plan_drop("pro");
    return counts;
}

static void run_rows(const struct row *rows, size_t count)
{
    struct verdict verdict;
    for (size_t i = 0; i < count; i++) {
        if (decides(&rows[i], &verdict) != rows[i].counts)
            fail_msg("row %zu, %s: not %d", i, rows[i].plan, rows[i].counts);
    }
}

#define RUN(...) run_rows((const struct row[]){__VA_ARGS__}, sizeof((struct row[]){__VA_ARGS__}) / sizeof(struct row))

static void running_limits_with_room_are_counted(void **state)
{
    (void)state;
    RUN({"a LIMIT 10 1h", NULL, 9, 0, true}, {"a LIMIT 10 1h", NULL, 10, 0, false},    /* the last unit, one too many */
        {"a LIMIT 10 1h", NULL, 1, H - 1, true}, {"a LIMIT 10 1h", NULL, 1, H, false}, /* the cycle has ended */
        {"a LIMIT 10 1h LIMIT 20 1d", NULL, 9, 0, true}, {"a LIMIT 10 1h LIMIT 5 1d", NULL, 5, 0, false},
        {"a LIMIT -1 forever", NULL, INT64_MAX - 1, 0, true}, {"a LIMIT -1 forever", NULL, INT64_MAX, 0, false},
        /* 80 percent are reached with the eighth unit */
        {"a LIMIT 10 1h WARN 80", NULL, 6, 0, true}, {"a LIMIT 10 1h WARN 80", NULL, 7, 0, false});
}

static void rates_with_room_are_counted_beside_them(void **state)
{
    (void)state;
    RUN({"a LIMIT 10 1h RATE GCRA 9 1s", NULL, 8, 0, true}, {"a LIMIT 10 1h RATE GCRA 9 1s", NULL, 9, 0, false},
        {"a LIMIT 10 1h RATE GCRA 9 1s", NULL, 9, S, true}, {"a RATE GCRA 9 1s RATE LOG 3 1m", NULL, 2, 0, true},
        {"a RATE GCRA 9 1s RATE LOG 3 1m", NULL, 3, 0, false}, {"a RATE QUEUE 1 1s BURST 2", NULL, 2, 0, true});
}

/* Where all of it fits every mode is the same, but for a queue's UPTO; usage after the fact counts in the cycles of its
 * instant, and in no RATE. */
static void modes_and_instants(void **state)
{
    (void)state;
    RUN({"a LIMIT 10 1h", NULL, 9, 0, true, MODE_FORCE}, {"a LIMIT 10 1h", NULL, 10, 0, false, MODE_FORCE},
        {"a LIMIT 10 1h", NULL, 9, 0, true, MODE_UPTO}, {"a LIMIT 10 1h", NULL, 10, 0, false, MODE_UPTO},
        {"a LIMIT 10 1h RATE GCRA 9 1s", NULL, 2, 0, false, MODE_UPTO},
        {"a LIMIT 10 1h RATE GCRA 9 1s", NULL, 2, 0, true, MODE_FORCE},
        {"a LIMIT 10 1h", NULL, 2, S, true, MODE_FORCE, S}, {"a LIMIT 10 1h", NULL, 2, S, false, MODE_FORCE, 2 * S},
        {"a LIMIT 10 1h", NULL, 2, S, false, MODE_FORCE, -S}, /* it is still to come */
        {"a LIMIT 10 1h RATE GCRA 1 1h", NULL, 2, S, true, MODE_FORCE, S});
}

static void whatever_else_admits_or_counts_needs_a_view(void **state)
{
    (void)state;
    RUN({"a LIMIT 10 ROLLING 1h", NULL, 1, 0, false}, {"a LIMIT 10 1h BURST 10", NULL, 1, 0, false},
        {"a LIMIT 10 1h GRACE 1h", NULL, 1, 0, false}, {"a LIMIT 10 1h OVERAGE", NULL, 1, 0, false},
        {"a LIMIT 10 1h CREDITS", NULL, 1, 0, false}, {"a LIMIT 10 1h COST 2", NULL, 1, 0, false},
        {"a LIMIT 10 1h CONCURRENT 5", NULL, 1, 0, false}, {"a LIMIT 10 1h THROTTLE GCRA 1 1s", NULL, 1, 0, false});
}

static void is_overridden(struct pair *pair)
{
    pair_override(pair, "a LIMIT 20 1h", 0, T);
}

static void is_held(struct pair *pair)
{
    pair_reserve(pair, "h", "a", 2, 30 * MIN, T);
}

static void has_given_back(struct pair *pair)
{
    pair_refund(pair, "a", 1, NULL, NULL, T);
}

static void is_granted(struct pair *pair)
{
    struct grant_request request = gift("g", 5);
    pair_grant(pair, &request, T);
}

static void is_suspended(struct pair *pair)
{
    pair_suspend(pair, 2 * H, T);
}

static void is_closed(struct pair *pair)
{
    pair_state(pair, ACCOUNT_CLOSED, T);
}

static void has_a_newer_plan(struct pair *pair)
{
    (void)pair;
    plan_set_at("pro", "a LIMIT 20 1h", T, APPLY_FULL);
}

static void what_has_changed_needs_a_view(void **state)
{
    (void)state;
    RUN({"a LIMIT 10 1h", is_overridden, 1, 0, false}, {"a LIMIT 10 1h", has_given_back, 1, 0, false},
        {"a LIMIT 10 1h", is_granted, 1, 0, false}, {"a LIMIT 10 1h", is_suspended, 1, 0, false},
        {"a LIMIT 10 1h", is_closed, 1, 0, false}, {"a LIMIT 10 1h", has_a_newer_plan, 1, 0, false});
}

/* Seven units are left while two are held for half an hour. One that has ended, and awaits its sweep, holds nothing. */
static void reservations_count_while_none_has_ended(void **state)
{
    (void)state;
    RUN({"a LIMIT 10 1h", is_held, 7, 0, true}, {"a LIMIT 10 1h", is_held, 8, 0, false},
        {"a LIMIT 10 1h", is_held, 7, 30 * MIN - 1, true}, {"a LIMIT 10 1h", is_held, 7, 30 * MIN, false},
        {"a LIMIT 10 1h", is_held, 7, 0, true, .holds = true}, {"a LIMIT 10 1h", is_held, 8, 0, false, .holds = true},
        {"a LIMIT 10 1h RATE GCRA 5 1h", is_held, 2, 0, true, .holds = true},
        {"a LIMIT 10 1h RATE GCRA 5 1h", is_held, 3, 0, false, .holds = true});
}

/* One unit is used, two are held; what is posted of them in the hour, and what the tightest LIMIT leaves then. */
static void the_end_of_a_reservation_is_counted(void **state)
{
    static const struct {
        const char *plan;
        int64_t posted, later_us, remaining; /* -2 = the general path decides */
    } rows[] = {
        {"a LIMIT 10 1h", 2, S, 7},
        {"a LIMIT 10 1h", 0, S, 9},
        {"a LIMIT 10 1h LIMIT 9 1d", 1, S, 7},
        {"a LIMIT -1 1h", 2, S, UNLIMITED},
        {"a LIMIT 10 1h", 3, S, -2},               /* beyond what is held */
        {"a LIMIT 10 30m", 2, 30 * MIN, -2},       /* the cycle has ended */
        {"a LIMIT 10 1h WARN 30", 2, S, -2},       /* a threshold is met */
        {"a LIMIT 10 1h WARN 30", 1, S, 8},        /* it is not */
        {"a LIMIT 10 1h RATE GCRA 5 1h", 1, S, -2} /* the rate gets units back */
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct account_decision decision;
        int64_t remaining = -2;
        plan_set("pro", rows[i].plan);
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 1, T);
        pair_reserve(&pair, "h", "a", 2, H, T);
        account_decision_begin(&decision);
        const struct hold *hold = &account_hold(pair.account, text_bytes("h"))->hold;
        bool counts =
            count_commit(pair.account, &host, hold, rows[i].posted, T + rows[i].later_us, &decision, &remaining);
        if (counts != (rows[i].remaining != -2)) fail_msg("row %zu", i);
        if (counts && remaining != rows[i].remaining) fail_msg("row %zu: %lld", i, (long long)remaining);
        assert_int_equal(decision.changes.size > 0, counts && rows[i].posted > 0);
        account_decision_end(&decision);
        pair_end(&pair);
        plan_drop("pro");
    }
}

static void the_tightest_limit_is_the_rule(void **state)
{
    struct verdict verdict;
    (void)state;
    assert_true(decides(&(struct row){"a LIMIT 10 1h LIMIT 9 1d LIMIT 9 forever", NULL, 3, S, true}, &verdict));
    assert_verdict(0, verdict,
                   (struct verdict){.granted = 3, .limit = 9, .remaining = 5, .reset_us = D - S, .rule = 1});
    assert_true(decides(&(struct row){"a LIMIT -1 1h LIMIT 9 forever", NULL, 3, S, true}, &verdict));
    assert_verdict(1, verdict, (struct verdict){.granted = 3, .limit = 9, .remaining = 5, .reset_us = -1, .rule = 1});
    assert_true(decides(&(struct row){"a LIMIT -1 1h LIMIT -1 1d", NULL, 3, S, true}, &verdict));
    assert_verdict(2, verdict, (struct verdict){.granted = 3, .limit = -1, .remaining = -1, .reset_us = H - S});
}

/* Six units have been used; the wait of a denial in us, 0 = the general path decides. */
static void denials_wait_for_the_end_of_a_cycle(void **state)
{
    static const struct {
        const char *plan;
        int64_t amount, wait_us;
        int32_t rule;
    } rows[] = {
        {"a LIMIT 10 1h", 5, H - S, 0},
        {"a LIMIT 10 1h", 10, H - S, 0},
        {"a LIMIT 10 1h", 11, NEVER_US, 0},                 /* in no cycle */
        {"a LIMIT 10 1h LIMIT 10 1d", 5, D - S, 1},         /* the longest wait */
        {"a LIMIT 10 1h LIMIT 100 1d", 5, H - S, 0},        /* the one that refuses */
        {"a LIMIT 10 forever LIMIT 8 1h", 11, NEVER_US, 0}, /* of equal ones the first */
        {"a LIMIT 10 forever", 5, NEVER_US, 0},
        {"a LIMIT 100 1h", 5, 0, 0},                 /* it is admitted */
        {"a LIMIT 10 1h REPAY BURST 10", 6, 0, 0},   /* a debt decides what the next cycle has */
        {"a LIMIT 10 1h RATE GCRA 100 1s", 5, 0, 0}, /* the denial may begin a bucket */
        {"a LIMIT 10 1h CREDITS", 5, 0, 0},          /* credits may come */
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct account_decision decision;
        struct count_request request = {
            .resource = text_bytes("a"), .amount = rows[i].amount, .mode = MODE_ALL, .now_us = T + S};
        plan_set("pro", rows[i].plan);
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 6, T);
        account_decision_begin(&decision);
        bool denies = count_deny(pair.account, &host, &request, &decision);
        const struct verdict *verdict = &decision.result.consumed.verdicts[0];
        if (denies != (rows[i].wait_us != 0)) fail_msg("row %zu", i);
        assert_int_equal(decision.causes_count, denies);
        if (denies) assert_int_equal(verdict->granted, 0);
        if (denies && (verdict->wait_us != rows[i].wait_us || verdict->rule != rows[i].rule)) fail_msg("row %zu", i);
        account_decision_end(&decision);
        pair_end(&pair);
        plan_drop("pro");
    }
}

/* A cycle begins with its first unit, also with one that was only held, and has been released since. */
static void denials_count_in_a_cycle_in_which_units_were_only_held(void **state)
{
    struct pair pair = {0};
    (void)state;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "h", "a", 2, H, T);
    pair_release(&pair, "h", T);
    struct consume_item item = {text_bytes("a"), 11};
    struct consume_request request = {.items = &item, .count = 1, .mode = MODE_ALL, .now_us = T + S};
    struct account_decision decision;
    consume_decide(pair.account, &host, &request, &decision);
    assert_int_equal(decision.causes_count, 1);
    assert_true(decision.causes[0].counts);
    account_decision_end(&decision);
    pair_end(&pair);
    plan_drop("pro");
}

/* What was never used, or is of another account, has nothing that could be counted on. */
static void what_is_not_stored_needs_a_view(void **state)
{
    struct pair pair = {0};
    struct account_decision decision;
    struct counted counted;
    struct verdict_fold fold = {.begun = false};
    struct count_request item = {.resource = text_bytes("a"), .amount = 1, .mode = MODE_ALL, .now_us = T}, other = item;
    other.resource = text_bytes("b");
    (void)state;
    plan_set("pro", "a LIMIT 10 1h | b LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    account_decision_begin(&decision);
    assert_false(count_decide(NULL, &host, &item, &decision, &fold, &counted));
    assert_false(count_decide(pair.account, &host, &item, &decision, &fold, &counted));
    pair_consume(&pair, "a", 1, T);
    assert_false(count_decide(pair.account, &host, &other, &decision, &fold, &counted));
    assert_true(count_decide(pair.account, &host, &item, &decision, &fold, &counted));
    account_decision_end(&decision);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(running_limits_with_room_are_counted, account_set_up, account_tear_down),
        cmocka_unit_test_setup_teardown(rates_with_room_are_counted_beside_them, account_set_up, account_tear_down),
        cmocka_unit_test_setup_teardown(modes_and_instants, account_set_up, account_tear_down),
        cmocka_unit_test_setup_teardown(whatever_else_admits_or_counts_needs_a_view, account_set_up, account_tear_down),
        cmocka_unit_test_setup_teardown(what_has_changed_needs_a_view, account_set_up, account_tear_down),
        cmocka_unit_test_setup_teardown(reservations_count_while_none_has_ended, account_set_up, account_tear_down),
        cmocka_unit_test_setup_teardown(the_end_of_a_reservation_is_counted, account_set_up, account_tear_down),
        cmocka_unit_test_setup_teardown(the_tightest_limit_is_the_rule, account_set_up, account_tear_down),
        cmocka_unit_test_setup_teardown(denials_wait_for_the_end_of_a_cycle, account_set_up, account_tear_down),
        cmocka_unit_test_setup_teardown(denials_count_in_a_cycle_in_which_units_were_only_held, account_set_up,
                                        account_tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_stored_needs_a_view, account_set_up, account_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

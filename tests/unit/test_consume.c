/* Consumption: pictures of accounts, one command a row, then random streams against plain sums. */
#include "account_tools.h"
#include "quota/base/checked.h"

/* ---- rows ------------------------------------------------------------------------------------------------ */

/* resource, amount, mode at an instant after T ─▶ granted, limit, remaining, wait, rule */
struct row {
    int64_t at_us;
    const char *resource;
    int64_t amount;
    enum request_mode mode;
    int64_t granted, limit, remaining, wait_us, reset_us;
    int32_t rule;
};

#define T at("2025-01-31T15:00:00")

static void run_rows(const char *plan, const struct row *rows, size_t count)
{
    struct pair pair = {0};
    plan_set("pro", plan);
    pair_open(&pair, "pro", T);
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        pair_request_one(&pair, row->resource, row->amount, row->mode, NULL, T + row->at_us);
        assert_fault(&pair, ACCOUNT_FAULT_NONE);
        const struct verdict *got = &pair.decision.result.consumed.verdicts[0];
        bool same = got->granted == row->granted && got->limit == row->limit && got->remaining == row->remaining &&
                    got->wait_us == row->wait_us && got->reset_us == row->reset_us && got->rule == row->rule;
        if (!same) {
            fail_msg("row %zu: granted %lld limit %lld remaining %lld wait %lld reset %lld rule %d", i,
                     (long long)got->granted, (long long)got->limit, (long long)got->remaining, (long long)got->wait_us,
                     (long long)got->reset_us, got->rule);
        }
        assert_true(pair.decision.changes.size == 0 || (row->mode != MODE_PEEK && row->granted > 0));
    }
    pair_end(&pair);
    plan_drop("pro");
}

#define RUN(plan_, ...)                                                                                                \
    run_rows((plan_), (const struct row[]){__VA_ARGS__}, sizeof((struct row[]){__VA_ARGS__}) / sizeof(struct row))

static void exactly_enough_is_allowed(void **state)
{
    (void)state;
    RUN("a LIMIT 10 1h", {0, "a", 4, MODE_ALL, 4, 10, 6, 0, H, 0}, {S, "a", 7, MODE_ALL, 0, 10, 6, H - S, H - S, 0},
        {S, "a", 6, MODE_PEEK, 6, 10, 6, 0, H - S, 0}, {S, "a", 6, MODE_ALL, 6, 10, 0, 0, H - S, 0},
        {S, "a", 1, MODE_ALL, 0, 10, 0, H - S, H - S, 0},
        /* never in any cycle */
        {S, "a", 11, MODE_ALL, 0, 10, 0, NEVER_US, H - S, 0},
        /* the boundary belongs to the new cycle */
        {H - 1, "a", 1, MODE_ALL, 0, 10, 0, 1, 1, 0}, {H, "a", 1, MODE_PEEK, 1, 10, 10, 0, 0, 0},
        {H, "a", 10, MODE_ALL, 10, 10, 0, 0, H, 0});
}

static void the_tightest_limit_decides(void **state)
{
    (void)state;
    RUN("a LIMIT 10 1h LIMIT 12 2h", {0, "a", 9, MODE_ALL, 9, 10, 1, 0, H, 0}, {H, "a", 3, MODE_ALL, 3, 12, 0, 0, H, 1},
        /* denied by both, for as long: the first */
        {H, "a", 8, MODE_ALL, 0, 10, 7, H, H, 0}, {H + S, "a", 8, MODE_UPTO, 0, 12, 0, H - S, H - S, 1});
    RUN("a LIMIT 10 1h LIMIT -1 day LIMIT 10 1m", {0, "a", 10, MODE_ALL, 10, 10, 0, 0, H, 0},
        {S, "a", 1, MODE_ALL, 0, 10, 0, H - S, H - S, 0});
    RUN("a LIMIT -1 1h", {0, "a", INT64_MAX, MODE_ALL, INT64_MAX, -1, -1, 0, H, 0});
    RUN("a LIMIT 0 1h", {0, "a", 1, MODE_ALL, 0, 0, 0, NEVER_US, 0, 0},
        {0, "a", 1, MODE_UPTO, 0, 0, 0, NEVER_US, 0, 0});
    RUN("a LIMIT 5 forever", {0, "a", 5, MODE_ALL, 5, 5, 0, 0, NEVER_US, 0},
        {D, "a", 1, MODE_ALL, 0, 5, 0, NEVER_US, NEVER_US, 0});
}

static void costs_are_units_and_grants_amounts(void **state)
{
    (void)state;
    RUN("a LIMIT 10 1h COST 3", {0, "a", 2, MODE_ALL, 2, 10, 4, 0, H, 0}, {0, "a", 2, MODE_ALL, 0, 10, 4, H, H, 0},
        {0, "a", 2, MODE_UPTO, 1, 10, 1, 0, H, 0}, {0, "a", 1, MODE_UPTO, 0, 10, 1, H, H, 0},
        {0, "a", 4, MODE_ALL, 0, 10, 1, NEVER_US, H, 0}, {0, "a", 5, MODE_FORCE, 5, 10, 0, 0, H, 0});
}

static void rolling_windows_know_no_cycles(void **state)
{
    (void)state;
    RUN("a LIMIT 5 ROLLING 10s", {0, "a", 3, MODE_ALL, 3, 5, 2, 0, 10 * S, 0},
        {4 * S, "a", 2, MODE_ALL, 2, 5, 0, 0, 10 * S, 0}, {5 * S, "a", 3, MODE_ALL, 0, 5, 0, 5 * S, 9 * S, 0},
        {5 * S, "a", 4, MODE_ALL, 0, 5, 0, 9 * S, 9 * S, 0}, {5 * S, "a", 6, MODE_ALL, 0, 5, 0, NEVER_US, 9 * S, 0},
        {10 * S - 1, "a", 1, MODE_ALL, 0, 5, 0, 1, 4 * S + 1, 0}, {10 * S, "a", 9, MODE_UPTO, 3, 5, 0, 0, 10 * S, 0},
        {11 * S, "a", 2, MODE_FORCE, 2, 5, 0, 0, 10 * S, 0}, {13 * S, "a", 1, MODE_ALL, 0, 5, 0, 7 * S, 8 * S, 0});
}

static void rates_and_limits_admit_together(void **state)
{
    (void)state;
    RUN("a LIMIT 5 1h RATE FIXED 2 1s", {0, "a", 2, MODE_ALL, 2, 2, 0, 0, S, 1},
        {0, "a", 1, MODE_ALL, 0, 2, 0, S, S, 1}, {S, "a", 9, MODE_UPTO, 2, 2, 0, 0, S, 1},
        /* what the limit refuses does not use the rate either */
        {2 * S, "a", 2, MODE_ALL, 0, 5, 1, H - 2 * S, H - 2 * S, 0},
        {2 * S, "a", 1, MODE_ALL, 1, 5, 0, 0, H - 2 * S, 0});
    RUN("a RATE FIXED 5 1s COST 2", {0, "a", 9, MODE_UPTO, 2, 5, 1, 0, S, 0}, {0, "a", 9, MODE_UPTO, 0, 5, 1, S, S, 0});
}

static void burst_repay_and_grace(void **state)
{
    (void)state;
    RUN("a LIMIT 10 1h BURST 50 REPAY", {0, "a", 15, MODE_ALL, 15, 15, 0, 0, H, 0},
        {0, "a", 1, MODE_ALL, 0, 15, 0, H, H, 0},
        /* five were overdrawn: five of the limit are left and the burst */
        {H, "a", 11, MODE_ALL, 0, 10, 10, H, H, 0}, {H, "a", 10, MODE_ALL, 10, 10, 0, 0, H, 0},
        {H, "a", 16, MODE_ALL, 0, 10, 0, NEVER_US, H, 0},
        /* debts of five again; fifteen only fit once they are repaid */
        {2 * H, "a", 15, MODE_ALL, 0, 10, 10, H, H, 0}, {3 * H, "a", 15, MODE_PEEK, 15, 15, 15, 0, 0, 0});
    RUN("a LIMIT 10 1h GRACE 10s", {0, "a", 10, MODE_ALL, 10, 10, -1, 0, H, 0},
        {5 * S, "a", 7, MODE_ALL, 7, 10, -1, 0, H - 5 * S, 0},
        {15 * S - 1, "a", 1, MODE_ALL, 1, 10, -1, 0, H - 15 * S + 1, 0},
        {15 * S, "a", 1, MODE_ALL, 0, 10, 0, H - 15 * S, H - 15 * S, 0});
    RUN("a LIMIT 10 1h OVERAGE", {0, "a", 99, MODE_ALL, 99, 10, -1, 0, H, 0});
    RUN("a LIMIT 10 1h OVERAGE MAX 5", {0, "a", 16, MODE_ALL, 0, 15, 15, NEVER_US, 0, 0},
        {0, "a", 12, MODE_ALL, 12, 15, 3, 0, H, 0}, {0, "a", 4, MODE_ALL, 0, 15, 3, H, H, 0},
        {0, "a", 4, MODE_UPTO, 3, 15, 0, 0, H, 0}, {H, "a", 15, MODE_ALL, 15, 15, 0, 0, H, 0});
    RUN("a LIMIT 10 1h OVERAGE MAX 0", {0, "a", 11, MODE_ALL, 0, 10, 10, NEVER_US, 0, 0});
    RUN("a LIMIT 10 1h", {0, "a", 99, MODE_FORCE, 99, 10, 0, 0, H, 0}, {0, "a", 1, MODE_UPTO, 0, 10, 0, H, H, 0});
}

/* ---- faults ---------------------------------------------------------------------------------------------- */

static void accounts_that_may_not_consume(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_request_one(&pair, "a", 1, MODE_ALL, "id", T);
    assert_fault(&pair, ACCOUNT_FAULT_MISSING);
    pair_open_with(&pair, "pro", T + D, NULL, T + 3 * D, T);
    pair_request_one(&pair, "a", 1, MODE_ALL, NULL, T + D - 1);
    assert_fault(&pair, ACCOUNT_FAULT_NOT_STARTED);
    assert_int_equal(pair_consume(&pair, "a", 1, T + D), 1);
    pair_request_one(&pair, "b", 1, MODE_ALL, NULL, T + D);
    assert_fault(&pair, ACCOUNT_FAULT_RESOURCE);
    assert_true(bytes_equal(pair.decision.fault_subject, BYTES("b")));
    pair_state(&pair, ACCOUNT_SUSPENDED, T + D);
    pair_request_one(&pair, "a", 1, MODE_PEEK, NULL, T + D);
    assert_fault(&pair, ACCOUNT_FAULT_SUSPENDED);
    pair_state(&pair, ACCOUNT_ACTIVE, T + D);
    assert_int_equal(pair_consume(&pair, "a", 1, T + 3 * D - 1), 1);
    pair_request_one(&pair, "a", 1, MODE_ALL, NULL, T + 3 * D);
    assert_fault(&pair, ACCOUNT_FAULT_EXPIRED);
    pair_state(&pair, ACCOUNT_CLOSED, T + 3 * D);
    pair_request_one(&pair, "a", 1, MODE_ALL, NULL, T + 3 * D);
    assert_fault(&pair, ACCOUNT_FAULT_CLOSED);
    pair_end(&pair);
}

static void nothing_wraps(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT -1 1h COST 2 | b LIMIT -1 1h | c LIMIT 5 1h");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", INT64_MAX, MODE_ALL, NULL, T);
    assert_fault(&pair, ACCOUNT_FAULT_OVERFLOW);
    assert_int_equal(pair_consume(&pair, "b", INT64_MAX, T), INT64_MAX);
    pair_request_one(&pair, "b", 1, MODE_ALL, NULL, T);
    assert_fault(&pair, ACCOUNT_FAULT_OVERFLOW);
    pair_request_one(&pair, "c", INT64_MAX, MODE_FORCE, NULL, T);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    pair_request_one(&pair, "c", INT64_MAX, MODE_FORCE, NULL, T);
    assert_fault(&pair, ACCOUNT_FAULT_OVERFLOW);
    assert_int_equal(used_of(&pair, "c", T), INT64_MAX);
    pair_end(&pair);
}

static void an_account_opens_itself_where_it_may(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("free", "a LIMIT 10 1h");
    host.default_plan = BYTES("free");
    pair_request_one(&pair, "a", 3, MODE_ALL, NULL, T);
    assert_fault(&pair, ACCOUNT_FAULT_MISSING);
    host.auto_open = true;
    pair_request_one(&pair, "a", 11, MODE_ALL, NULL, T);
    assert_true(pair.decision.denied && !pair.account); /* a denial makes nothing */
    pair_request_one(&pair, "a", 3, MODE_PEEK, NULL, T);
    assert_null(pair.account);
    assert_int_equal(pair_consume(&pair, "a", 3, T + 5), 3);
    assert_int_equal(pair.account->anchor_us, T + 5);
    assert_int_equal(remaining_of(&pair, "a", T + 5), 7);
    pair_end(&pair);
    configuration_end();
}

/* A denial names the rule that decided, for this server to count in its window; a check and a replay name none. */
static void denials_have_a_cause(void **state)
{
    (void)state;
    static const struct {
        int64_t amount;
        enum request_mode mode;
        int32_t rule; /* -1 = granted */
    } rows[] = {{3, MODE_ALL, -1},   {5, MODE_ALL, 0}, {9, MODE_ALL, 0},
                {2, MODE_FORCE, -1}, {4, MODE_ALL, 1}, {9, MODE_UPTO, 0}};
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 5 1h LIMIT 8 2h RATE FIXED 50 1s");
    pair_open(&pair, "pro", T);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        pair_request_one(&pair, "a", rows[i].amount, rows[i].mode, NULL, T);
        assert_int_equal(pair.decision.denied, rows[i].rule >= 0);
        assert_int_equal(pair.decision.causes_count, rows[i].rule >= 0);
        if (rows[i].rule < 0) continue;
        const struct refusal *cause = &pair.decision.causes[0];
        assert_true(bytes_equal(cause->resource, BYTES("a")));
        assert_int_equal(cause->slot, 0);
        if (cause->rule != rows[i].rule) fail_msg("row %zu: rule %d", i, cause->rule);
        const struct quota_rule *rules = pair.account->plan->entries[0].entitlement.rules;
        assert_int_equal(cause->period, quota_rule_code(&rules[cause->rule]));
        assert_int_equal(cause->wait_us, pair.decision.result.consumed.verdicts[0].wait_us);
        assert_int_equal(cause->amount, rows[i].amount);
        assert_ptr_equal(cause->resource.data, cause->name); /* a copy: plans go */
    }
    pair_request_one(&pair, "a", 51, MODE_ALL, NULL, T); /* never under any: the first of them */
    assert_int_equal(pair.decision.causes[0].rule, 0);
    pair_end(&pair);
}

/* The grace begins once in a cycle, with the first unit beyond the limit, whatever happens to the plan. */
static void a_grace_is_not_opened_again(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_drop("pro");
    plan_set("pro", "a LIMIT 10 1h GRACE 10s");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 12, T);
    assert_int_equal(pair_consume(&pair, "a", 1, T + 10 * S), 0);
    plan_set_at("pro", "a LIMIT 20 1h GRACE 10s", T + 11 * S, APPLY_FULL);
    assert_int_equal(pair_consume(&pair, "a", 8, T + 12 * S), 8); /* up to the new limit … */
    assert_int_equal(pair_consume(&pair, "a", 1, T + 12 * S), 0); /* … and not beyond */
    assert_int_equal(pair_consume(&pair, "a", 25, T + H), 25);    /* another cycle, another grace */
    pair_end(&pair);
}

/* ---- ids ------------------------------------------------------------------------------------------------- */

static void a_repeated_request_has_the_same_answer(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h | b LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", 4, MODE_ALL, "x", T);
    struct verdict first = pair.decision.result.consumed.verdicts[0];
    assert_false(pair.decision.replayed);
    pair_consume(&pair, "a", 5, T + S);
    for (int64_t later_us = 0; later_us < KEPT; later_us += KEPT / 7 + 1) {
        pair_request_one(&pair, "a", 4, later_us & 1 ? MODE_PEEK : MODE_ALL, "x", T + later_us);
        assert_true(pair.decision.replayed && pair.decision.changes.size == 0);
        struct verdict again = pair.decision.result.consumed.verdicts[0];
        assert_int_equal(again.granted, first.granted);
        assert_int_equal(again.remaining, first.remaining);
        assert_int_equal(millis_ceil(again.reset_us), millis_ceil(first.reset_us));
    }
    pair_request_one(&pair, "a", 5, MODE_ALL, "x", T + S);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    pair_request_one(&pair, "a", 4, MODE_UPTO, "x", T + S);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    pair_request_one(&pair, "a", 4, MODE_FORCE, "x", T + S);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    /* another resource's ids are others, and so are those of batches */
    pair_request_one(&pair, "b", 1, MODE_ALL, "x", T + S);
    assert_false(pair.decision.replayed);
    struct consume_item items[] = {{BYTES("a"), 1}, {BYTES("b"), 2}};
    struct consume_request batch = {.items = items, .count = 2, .batch = true, .id = BYTES("x"), .now_us = T + S};
    pair_request(&pair, &batch);
    assert_false(pair.decision.replayed);
    assert_int_equal(used_of(&pair, "a", T + S), 10);
    assert_int_equal(used_of(&pair, "b", T + S), 3);
    /* forgotten exactly at its end */
    pair_request_one(&pair, "a", 4, MODE_ALL, "x", T + KEPT - 1);
    assert_true(pair.decision.replayed);
    pair_request_one(&pair, "a", 4, MODE_ALL, "x", T + KEPT);
    assert_false(pair.decision.replayed);
    pair_end(&pair);
}

static void denials_are_remembered_where_they_stick(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    struct consume_item item = {BYTES("a"), 11};
    struct consume_request request = {.items = &item, .count = 1, .id = BYTES("x"), .now_us = T};
    pair_request(&pair, &request);
    assert_true(pair.decision.denied && pair.decision.changes.size == 0);
    request.sticky = true;
    pair_request(&pair, &request);
    assert_true(pair.decision.denied && pair.decision.changes.size > 0);
    pair_override(&pair, "a LIMIT 20 1h", 0, T);
    pair_request(&pair, &request);
    assert_true(pair.decision.replayed);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].granted, 0);
    assert_int_equal(used_of(&pair, "a", T), 0);
    pair_refund(&pair, "a", 1, "x", NULL, T); /* nothing was taken */
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    pair_end(&pair);
}

/* The account has moved to another plan since: what that has begun of the resource is written down once. */
static void denials_stick_where_the_plan_has_changed(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    plan_set("pro", "a LIMIT 10 2h | b LIMIT 10 2h");
    plan_set("team", "a LIMIT 20 2h | b LIMIT 20 2h RATE FIXED 5 1s | c LIMIT 20 2h");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct pair pair = {0};
        struct switch_request move = {.plan = BYTES("team"), .mode = SWITCH_PRORATE, .at_us = T + H};
        struct admin_action action = {.now_us = T, .actor = BYTES("ops"), .reason = BYTES("")};
        struct consume_item item = {text_bytes(names[i]), 99};
        struct consume_request request = {
            .items = &item, .count = 1, .sticky = true, .id = BYTES("x"), .now_us = T + H + S};
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 1, T);
        pair_move(&pair, &move, &action);
        assert_fault(&pair, ACCOUNT_FAULT_NONE);
        pair_request(&pair, &request);
        assert_fault(&pair, ACCOUNT_FAULT_NONE);
        assert_true(pair.decision.denied && pair.decision.changes.size > 0);
        assert_true(bytes_equal(pair.account->plan->name, BYTES("team")));
        assert_int_equal(limit_of(&pair, names[i], T + H + S), i == 2 ? 10 : 15);
        pair_request(&pair, &request);
        assert_true(pair.decision.replayed);
        pair_end(&pair);
    }
}

static void records_have_a_bound(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    host.records_max = 2;
    pair_request_one(&pair, "a", 1, MODE_ALL, "1", T);
    pair_request_one(&pair, "a", 1, MODE_ALL, "2", T);
    pair_request_one(&pair, "a", 1, MODE_ALL, "3", T + 1);
    assert_fault(&pair, ACCOUNT_FAULT_RECORDS);
    assert_int_equal(used_of(&pair, "a", T), 2);
    pair_request_one(&pair, "a", 1, MODE_ALL, "1", T + 1); /* known ids are answered */
    assert_true(pair.decision.replayed);
    pair_request_one(&pair, "a", 1, MODE_ALL, "3", T + KEPT);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    assert_int_equal(idempotency_count(account_idempotency(pair.account)), 1);
    pair_end(&pair);
    configuration_end();
}

/* ---- batches --------------------------------------------------------------------------------------------- */

/* The grace of `a` passes while the batch waits for `b`, in whatever order they stand: the batch waits for the next
 * cycle of `a`, and is admitted then. */
static void a_batch_waits_for_what_refuses_later(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        int64_t wait_us; /* of the batch */
    } rows[] = {
        {"a LIMIT 10 1h GRACE 10s | b LIMIT 10 1m", H},     /* b fits after a minute: too late for the grace */
        {"a LIMIT 10 1h GRACE 5m | b LIMIT 10 1m", 60 * S}, /* in time */
        {"a LIMIT 10 1h GRACE 10s | b LIMIT 10 1d", D},     /* a fits before b does */
    };
    for (size_t row = 0; row < 2 * COUNT_OF(rows); row++) {
        struct pair pair = {0};
        bool swapped = row % 2 == 1;
        plan_set("pro", rows[row / 2].plan);
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 11, T); /* the grace begins */
        pair_consume(&pair, "b", 10, T);
        struct consume_item items[] = {{text_bytes(swapped ? "b" : "a"), 1}, {text_bytes(swapped ? "a" : "b"), 1}};
        struct consume_request request = {.items = items, .count = 2, .batch = true, .now_us = T};
        pair_request(&pair, &request);
        const struct verdict *verdicts = pair.decision.result.consumed.verdicts;
        assert_true(pair.decision.denied);
        assert_int_equal(max_i64(verdicts[0].wait_us, verdicts[1].wait_us), rows[row / 2].wait_us);
        assert_int_equal(pair.decision.causes_count, 1); /* b alone refused */
        request.now_us = T + rows[row / 2].wait_us - 1;
        pair_request(&pair, &request);
        assert_true(pair.decision.denied);
        request.now_us = T + rows[row / 2].wait_us;
        pair_request(&pair, &request);
        assert_false(pair.decision.denied);
        pair_end(&pair);
    }
}

static void all_rows_or_none(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h | b LIMIT 5 ROLLING 1h | c RATE FIXED 3 1s");
    pair_open(&pair, "pro", T);
    struct consume_item items[] = {{BYTES("a"), 4}, {BYTES("b"), 5}, {BYTES("c"), 3}};
    struct consume_request request = {.items = items, .count = 3, .batch = true, .id = BYTES("x"), .now_us = T};
    pair_request(&pair, &request);
    assert_false(pair.decision.denied);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].granted, 4);
    assert_int_equal(pair.decision.result.consumed.verdicts[1].remaining, 0);
    pair_request(&pair, &request);
    assert_true(pair.decision.replayed);
    assert_int_equal(pair.decision.result.consumed.count, 3);
    request.id = BYTES("y");
    request.now_us = T + S;
    pair_request(&pair, &request); /* b has none left */
    assert_true(pair.decision.denied && pair.decision.changes.size == 0);
    for (int i = 0; i < 3; i++) assert_int_equal(pair.decision.result.consumed.verdicts[i].granted, 0);
    assert_int_equal(used_of(&pair, "a", T + S), 4);
    items[1].resource = BYTES("d");
    pair_request(&pair, &request);
    assert_fault(&pair, ACCOUNT_FAULT_RESOURCE);
    assert_true(bytes_equal(pair.decision.fault_subject, BYTES("d")));
    pair_end(&pair);
}

static void the_first_that_admits(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 1 1h | b LIMIT 2 1h | c LIMIT 3 1h");
    pair_open(&pair, "pro", T);
    struct consume_item items[] = {{BYTES("a"), 2}, {BYTES("b"), 2}, {BYTES("c"), 2}};
    struct consume_request request = {
        .items = items, .count = 3, .batch = true, .any = true, .id = BYTES("x"), .now_us = T};
    pair_request(&pair, &request);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].granted, 0);
    assert_int_equal(pair.decision.result.consumed.verdicts[1].granted, 2);
    assert_int_equal(pair.decision.result.consumed.verdicts[2].granted, 0);
    request.any = false;
    pair_request(&pair, &request);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    request.any = true;
    pair_request(&pair, &request);
    assert_true(pair.decision.replayed);
    assert_int_equal(used_of(&pair, "c", T), 0);
    request.id = BYTES("");
    pair_request(&pair, &request);
    assert_int_equal(pair.decision.result.consumed.verdicts[2].granted, 2);
    pair_request(&pair, &request);
    assert_true(pair.decision.denied);
    pair_refund(&pair, "b", 2, "x", NULL, T);
    assert_int_equal(pair.decision.result.refund.items[0].refunded, 2);
    pair_refund(&pair, "c", 1, "x", NULL, T); /* of it nothing was taken */
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    pair_end(&pair);
}

/* ---- random streams -------------------------------------------------------------------------------------- */

#define REQUESTS_MAX 4000

/* Everything that was granted, with its instant: sums over it are the model. */
struct ledger {
    struct {
        int64_t at_us, units;
    } grants[REQUESTS_MAX];
    int count;
};

static int64_t sum_since(const struct ledger *ledger, int64_t from_us)
{
    int64_t sum = 0;
    for (int i = 0; i < ledger->count; i++) sum += ledger->grants[i].at_us >= from_us ? ledger->grants[i].units : 0;
    return sum;
}

/* LIMIT 20 1m, LIMIT 50 5m, LIMIT 12 ROLLING 20s: what fits now. */
static int64_t room(const struct ledger *ledger, int64_t now_us)
{
    int64_t minute_us = now_us - (now_us - T) % (60 * S), five_us = now_us - (now_us - T) % (300 * S);
    int64_t left = min_i64(20 - sum_since(ledger, minute_us), 50 - sum_since(ledger, five_us));
    return max_i64(min_i64(left, 12 - sum_since(ledger, now_us - 20 * S + 1)), 0);
}

static void grants_are_what_the_sums_allow(void **state)
{
    (void)state;
    static struct ledger ledger;
    plan_set("pro", "a LIMIT 20 1m LIMIT 50 5m LIMIT 12 ROLLING 20s COST 2");
    for (int run = 0; run < 4; run++) {
        struct pair pair = {0};
        int64_t now_us = T, high_us = T;
        ledger.count = 0;
        pair_open(&pair, "pro", T);
        for (int i = 0; i < 400; i++) {
            now_us += random_below(10)  ? random_between(0, 6 * S)
                      : random_below(4) ? -random_between(0, 50 * S)
                                        : 400 * S;
            if (now_us < T) now_us = T;
            int64_t instant_us = max_i64(now_us, high_us); /* a clock that steps back stands still */
            int64_t amount = 1 + random_below(7), left = room(&ledger, instant_us) / 2;
            enum request_mode mode = (enum request_mode)random_below(3);
            int64_t wanted = mode == MODE_UPTO ? min_i64(amount, left) : amount <= left ? amount : 0;
            pair_request_one(&pair, "a", amount, mode, NULL, now_us);
            const struct verdict *got = &pair.decision.result.consumed.verdicts[0];
            assert_int_equal(got->granted, wanted);
            if (got->granted == 0 &&
                got->wait_us != NEVER_US) { /* counted from the true time: not earlier, and then really */
                int64_t units = 2 * (mode == MODE_UPTO ? 1 : amount);
                assert_true(room(&ledger, now_us + got->wait_us) >= units);
                assert_true(room(&ledger, now_us + got->wait_us - 1) < units);
            }
            if (mode == MODE_PEEK || wanted == 0) continue;
            high_us = instant_us;
            ledger.grants[ledger.count].at_us = instant_us;
            ledger.grants[ledger.count++].units = 2 * wanted;
            assert_int_equal(got->remaining, room(&ledger, instant_us));
        }
        pair_end(&pair);
    }
}

/* ---- waits are promises ---------------------------------------------------------------------------------- */

static const char *const mixed_plans[] = {
    "a LIMIT 10 1h LIMIT 15 2h",
    "a LIMIT 10 1h LIMIT 12 ROLLING 50m",
    "a LIMIT 10 1h BURST 50 REPAY RATE FIXED 6 10m",
    "a LIMIT 10 1h BURST 50 REPAY LIMIT 30 3h",
    "a LIMIT 10 1h GRACE 20m RATE FIXED 6 10m",
    "a LIMIT 10 1h GRACE 20m BURST 100 LIMIT 14 ROLLING 90m",
    "a LIMIT 8 1h LIMIT 20 ROLLING 3h RATE GCRA 12 30m BURST 4",
    "a LIMIT 10 2h REPAY RATE TOKEN 10 1h BURST 12",
    "a LIMIT 10 1h GRACE 20m REPAY BURST 100 RATE LOG 5 10m",
    "a LIMIT 20 1h COST 3 RATE LEAKY 30 1h",
};

static bool admits(struct pair *pair, int64_t amount, int64_t at_us)
{
    pair_request_one(pair, "a", amount, MODE_PEEK, NULL, at_us);
    assert_fault(pair, ACCOUNT_FAULT_NONE);
    return pair->decision.result.consumed.verdicts[0].granted > 0;
}

/* If no other request comes the same one is admitted then, and at no time before (within a millisecond). */
static void check_wait(struct pair *pair, int64_t amount, int64_t now_us)
{
    if (admits(pair, amount, now_us)) return;
    int64_t wait_us = pair->decision.result.consumed.verdicts[0].wait_us;
    int64_t latest_us = wait_us == NEVER_US ? 20 * H : wait_us - MS - 1;
    if (wait_us != NEVER_US) assert_true(admits(pair, amount, now_us + wait_us));
    for (int i = 0; i < 6 && latest_us > 0; i++) {
        int64_t before_us = i == 0 ? latest_us : random_between(0, latest_us);
        if (admits(pair, amount, now_us + before_us)) {
            fail_msg("%lld units are admitted after %lld ms, not after %lld", (long long)amount,
                     (long long)(before_us / MS), (long long)(wait_us / MS));
        }
    }
}

static void waits_are_promises(void **state)
{
    (void)state;
    for (int run = 0; run < 2000; run++) {
        struct pair pair = {0};
        int64_t now_us = T;
        char id[3] = "r";
        plan_drop("pro");
        plan_set("pro", mixed_plans[run % COUNT_OF(mixed_plans)]);
        pair_open(&pair, "pro", T);
        for (uint32_t i = random_below(9); i > 0; i--) {
            now_us += random_between(0, 25) * MICROS_PER_MINUTE;
            id[1] = (char)('A' + i);
            int64_t units = random_between(1, 6), ttl_us = random_between(1, 90) * MICROS_PER_MINUTE;
            switch (random_below(4)) {
            case 0: pair_reserve(&pair, id, "a", units, ttl_us, now_us); break;
            case 1: pair_request_one(&pair, "a", units, MODE_FORCE, NULL, now_us); break;
            default: pair_consume(&pair, "a", units, now_us);
            }
        }
        for (int64_t amount = 1; amount < 16; amount++) check_wait(&pair, amount, now_us);
        pair_end(&pair);
    }
}

/* A record whose first item has two parts, as a resource that counts as another one too would have it: the request is
 * answered by items. */
static void a_record_may_have_several_parts_of_an_item(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h | b LIMIT 10 1h | c LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 1, T);
    pair_consume(&pair, "b", 1, T);
    pair_consume(&pair, "c", 1, T);
    const struct record_item parts[] = {
        {.slot = 0, .amount = 3, .cost = 1, .verdict = {.granted = 3, .remaining = 6}},
        {.slot = 2, .amount = 3, .cost = 2, .verdict = {.granted = 3}},
        {.slot = 1, .amount = 4, .cost = 1, .verdict = {.granted = 4, .remaining = 5}, .item = 1}};
    struct record_key key;
    struct sink body = {0}, changes = {0};
    record_items_encode(parts, 3, 0, BYTES(""), &body);
    record_key_make(&key, RECORD_BATCH, RECORD_NO_SLOT, BYTES("x"));
    struct change change = {
        .kind = CHANGE_RECORD, .bytes = record_key_bytes(&key), .body = sink_content(&body), .expires_us = T + KEPT};
    change_encode(&change, &changes);
    const struct account_change made = {
        .applied_at_us = T, .changes = sink_content(&changes), .encoding = ACCOUNT_ENCODING_NEWEST};
    pair.account = account_apply(pair.account, &made);
    pair.twin = account_apply(pair.twin, &made);
    const struct consume_item items[] = {{BYTES("a"), 3}, {BYTES("b"), 4}, {BYTES("c"), 3}};
    struct consume_request request = {.items = items, .count = 2, .batch = true, .id = BYTES("x"), .now_us = T};
    pair_request(&pair, &request);
    assert_true(pair.decision.replayed);
    assert_int_equal(pair.decision.result.consumed.count, 2);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].remaining, 6);
    assert_int_equal(pair.decision.result.consumed.verdicts[1].remaining, 5);
    for (request.count = 1; request.count <= 3; request.count += 2) {
        pair_request(&pair, &request);
        assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    }
    sink_free(&body);
    sink_free(&changes);
    pair_end(&pair);
    plan_drop("pro");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_waits_for_what_refuses_later),
        cmocka_unit_test(exactly_enough_is_allowed),
        cmocka_unit_test(the_tightest_limit_decides),
        cmocka_unit_test(costs_are_units_and_grants_amounts),
        cmocka_unit_test(rolling_windows_know_no_cycles),
        cmocka_unit_test(rates_and_limits_admit_together),
        cmocka_unit_test(burst_repay_and_grace),
        cmocka_unit_test(accounts_that_may_not_consume),
        cmocka_unit_test(nothing_wraps),
        cmocka_unit_test(an_account_opens_itself_where_it_may),
        cmocka_unit_test(denials_have_a_cause),
        cmocka_unit_test(a_grace_is_not_opened_again),
        cmocka_unit_test(a_repeated_request_has_the_same_answer),
        cmocka_unit_test(denials_are_remembered_where_they_stick),
        cmocka_unit_test(denials_stick_where_the_plan_has_changed),
        cmocka_unit_test(records_have_a_bound),
        cmocka_unit_test(all_rows_or_none),
        cmocka_unit_test(the_first_that_admits),
        cmocka_unit_test(grants_are_what_the_sums_allow),
        cmocka_unit_test(waits_are_promises),
        cmocka_unit_test(a_record_may_have_several_parts_of_an_item),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

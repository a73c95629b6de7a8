/* Backdating: which cycles ran at an instant, stored or just closed, and what posting to them leaves. */
#include "account_tools.h"
#include "quota/decide/backdate.h"
#include "quota/view/changeset.h"

#define T at("2025-01-31T15:00:00")

/* LIMIT 10 1h and LIMIT 50 3h; four used in the first hour, five in the fifth; now it is the eighth. Settled before, or
 * only in the view. */
static void story(struct pair *pair, struct look *look, const char *plan, bool settled)
{
    *pair = (struct pair){0};
    plan_set("pro", plan);
    pair_open(pair, "pro", T);
    pair_request_one(pair, "a", 4, MODE_FORCE, NULL, T);
    pair_request_one(pair, "a", 5, MODE_FORCE, NULL, T + 4 * H);
    if (settled) pair_settle(pair, T + 7 * H);
    look_at(look, pair->account, "a", T + 7 * H + S);
}

static void the_cycles_of_an_instant(void **state)
{
    (void)state;
    static const struct {
        int64_t hour;
        uint32_t count;
        int64_t used[2];
    } rows[] = {{0, 2, {4, 4}}, {1, 2, {0, 4}}, {2, 2, {0, 4}}, {3, 2, {0, 5}},
                {4, 2, {5, 5}}, {6, 1, {0, 0}}, {7, 0, {0, 0}}, {-1, 0, {0, 0}}};
    for (int settled = 0; settled < 2; settled++) {
        struct pair pair;
        struct look look;
        struct past_cycle found[SLOT_HISTORIES_MAX];
        story(&pair, &look, "a LIMIT 10 1h LIMIT 50 3h", settled);
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            int64_t at_us = T + rows[i].hour * H + H / 2;
            uint32_t count = past_cycles(&look.account, &look.view, at_us, NULL, &look.changes, found);
            if (count != rows[i].count) fail_msg("row %zu: %u", i, count);
            for (uint32_t k = 0; k < count; k++) {
                uint32_t rule = found[k].period == quota_rule_code(&look.view.entitlement->rules[1]);
                assert_int_equal(found[k].closed.used, rows[i].used[rule]);
                assert_int_equal(found[k].closed.count, 1); /* of an idle run the one cycle */
                assert_true(found[k].closed.start_us <= at_us && at_us < found[k].closed.end_us);
                assert_int_equal(found[k].closed.end_us - found[k].closed.start_us, rule == 1 ? 3 * H : H);
            }
            struct charged only = {.count = 1};
            only.periods[0] = quota_rule_code(&look.view.entitlement->rules[1]);
            assert_int_equal(past_cycles(&look.account, &look.view, at_us, &only, &look.changes, found),
                             rows[i].count == 2);
        }
        look_end(&look);
        pair_end(&pair);
    }
}

static int64_t used_in(const struct pair *pair, uint32_t rule, int64_t at_us, int64_t *refunded)
{
    struct closed_cycle closed;
    uint64_t code = quota_rule_code(&pair->account->plan->entries[0].entitlement.rules[rule]);
    assert_true(history_find(slot_history(&pair->account->slots[0], code), at_us, &closed));
    *refunded = closed.refunded;
    return closed.used;
}

static void what_is_posted_late_corrects_the_history(void **state)
{
    (void)state;
    for (int settled = 0; settled < 2; settled++) {
        struct pair pair;
        struct look look;
        struct charged posted = {.count = 0};
        int64_t refunded;
        story(&pair, &look, "a LIMIT 10 1h LIMIT 50 3h", settled);
        backdate_charge(&look.account, &look.view, T + H, 7, &posted, &look.changes); /* an idle hour */
        assert_int_equal(emit_resource(&look.account, &look.view, &look.changes), ACCOUNT_FAULT_NONE);
        pair_write(&pair, &look);
        assert_int_equal(posted.count, 2);
        assert_int_equal(used_in(&pair, 0, T, &refunded), 4);
        assert_int_equal(used_in(&pair, 0, T + H, &refunded), 7);
        assert_int_equal(used_in(&pair, 0, T + 2 * H, &refunded), 0);
        assert_int_equal(used_in(&pair, 1, T + H, &refunded), 11);
        /* and what comes back late: of each at most what it has; the answer is the most of one */
        look_at(&look, pair.account, "a", T + 7 * H + S);
        assert_int_equal(
            backdate_refund(&look.account, &look.view, 9, &(struct taken_from){.taken_us = T + H}, &look.changes), 9);
        pair_write(&pair, &look);
        assert_int_equal(used_in(&pair, 0, T + H, &refunded), 0);
        assert_int_equal(refunded, 7);
        assert_int_equal(used_in(&pair, 1, T + H, &refunded), 2);
        assert_int_equal(refunded, 9);
        look_at(&look, pair.account, "a", T + 7 * H + S);
        assert_int_equal(
            backdate_refund(&look.account, &look.view, 9, &(struct taken_from){.taken_us = T + 9 * H}, &look.changes),
            0);
        assert_int_equal(look.changes.size, 0);
        look_end(&look);
        pair_end(&pair);
    }
}

/* What a closed cycle is overdrawn by more than it was is the running one's to repay, and the other way round. */
static void overdrafts_are_repaid_by_the_running_cycle(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        int64_t posted, debt, returned, debt_after;
    } rows[] = {
        {"a LIMIT 10 1h REPAY", 6, 0, 3, 0}, /* it had room for six */
        {"a LIMIT 10 1h REPAY", 9, 3, 2, 1}, {"a LIMIT 10 1h REPAY", 9, 3, 9, 0},
        {"a LIMIT 10 1h", 9, 0, 2, 0},       {"a LIMIT -1 1h REPAY", 9, 0, 2, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct look look;
        struct charged posted = {.count = 0};
        plan_set("pro", rows[i].plan);
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 4, T);
        pair_consume(&pair, "a", 1, T + H);
        look_at(&look, pair.account, "a", T + H + S);
        backdate_charge(&look.account, &look.view, T, rows[i].posted, &posted, &look.changes);
        assert_int_equal(emit_resource(&look.account, &look.view, &look.changes), ACCOUNT_FAULT_NONE);
        pair_write(&pair, &look);
        if (window_of(&pair, "a", T + H + S).debt != rows[i].debt) fail_msg("row %zu", i);
        look_at(&look, pair.account, "a", T + H + S);
        backdate_refund(&look.account, &look.view, rows[i].returned, &(struct taken_from){.taken_us = T},
                        &look.changes);
        assert_int_equal(emit_resource(&look.account, &look.view, &look.changes), ACCOUNT_FAULT_NONE);
        pair_write(&pair, &look);
        if (window_of(&pair, "a", T + H + S).debt != rows[i].debt_after) fail_msg("row %zu, after", i);
        pair_end(&pair);
    }
}

/* A LIMIT that had no cycle then has joined since; one whose cycle is closed, runs, or is forgotten has not. */
static void which_limits_have_joined_since(void **state)
{
    (void)state;
    for (int settled = 0; settled < 2; settled++) {
        struct pair pair;
        struct look look;
        story(&pair, &look, "a LIMIT 10 1h LIMIT 50 3h", settled);
        struct period day = {.unit = PERIOD_DAY, .count = 1};
        uint64_t hour = quota_rule_code(&look.view.entitlement->rules[0]), other = period_code(&day);
        assert_false(backdate_has_joined(&look.view, hour, T + 7 * H, &look.changes)); /* it runs */
        assert_false(backdate_has_joined(&look.view, hour, T, &look.changes));         /* it has closed */
        assert_false(backdate_has_joined(&look.view, hour, T + 2 * H, &look.changes)); /* idle, but it was there */
        assert_true(backdate_has_joined(&look.view, hour, T - H, &look.changes));
        assert_true(backdate_has_joined(&look.view, other, T, &look.changes));
        look_end(&look);
        pair_end(&pair);
    }
    struct pair pair = {0};
    struct look look;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    for (int64_t i = 0; i < HISTORY_ENTRIES_MAX + 2; i++) pair_consume(&pair, "a", 1, T + i * H);
    look_at(&look, pair.account, "a", T + (HISTORY_ENTRIES_MAX + 1) * H);
    uint64_t hour = quota_rule_code(&look.view.entitlement->rules[0]);
    assert_false(backdate_has_joined(&look.view, hour, T, &look.changes)); /* it is forgotten */
    look_end(&look);
    pair_end(&pair);
}

/* ---- usage after the fact -------------------------------------------------------------------------------- */

static void used_at(struct pair *pair, int64_t amount, const char *id, int64_t at_us, int64_t now_us)
{
    struct consume_item item = {BYTES("a"), amount};
    pair_request(
        pair,
        &(struct consume_request){
            .items = &item, .count = 1, .mode = MODE_FORCE, .id = {id, strlen(id)}, .at_us = at_us, .now_us = now_us});
}

/* Of story(): four in hour 0, five in hour 4, now it is the eighth; the second LIMIT runs since hour 6. */
static void usage_counts_in_the_cycles_of_its_instant(void **state)
{
    (void)state;
    static const struct {
        int64_t hour;
        enum account_fault fault;
        int64_t of_hour, of_three; /* what the cycles of that hour have then */
    } rows[] = {
        {0, ACCOUNT_FAULT_NONE, 11, 11},    {1, ACCOUNT_FAULT_NONE, 7, 11}, {4, ACCOUNT_FAULT_NONE, 12, 12},
        {6, ACCOUNT_FAULT_NONE, 7, 7},      {7, ACCOUNT_FAULT_NONE, 7, 7},  {-1, ACCOUNT_FAULT_AT, 0, 0},
        {8, ACCOUNT_FAULT_AT_FUTURE, 0, 0},
    };
    for (size_t i = 0; i < 2 * COUNT_OF(rows); i++) {
        struct pair pair;
        struct look look;
        int64_t refunded, at_us = T + rows[i / 2].hour * H, now_us = T + 7 * H + S;
        story(&pair, &look, "a LIMIT 10 1h LIMIT 50 3h", i % 2);
        look_end(&look);
        used_at(&pair, 7, "x", at_us, now_us);
        assert_fault(&pair, rows[i / 2].fault);
        if (rows[i / 2].fault == ACCOUNT_FAULT_NONE) {
            bool runs = rows[i / 2].hour == 7, three_runs = rows[i / 2].hour >= 6;
            int64_t of_hour = runs ? window_of(&pair, "a", now_us).used : used_in(&pair, 0, at_us, &refunded);
            if (of_hour != rows[i / 2].of_hour) fail_msg("row %zu: %lld", i, (long long)of_hour);
            if (!three_runs) assert_int_equal(used_in(&pair, 1, at_us, &refunded), rows[i / 2].of_three);
            used_at(&pair, 7, "x", at_us, now_us + S);
            assert_true(pair.decision.replayed);
            used_at(&pair, 7, "x", at_us + 1, now_us + S);
            assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
            used_at(&pair, 7, "x", 0, now_us + S);
            assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
            pair_refund(&pair, "a", 7, "x", NULL, now_us + 2 * H);
            assert_fault(&pair, ACCOUNT_FAULT_NONE);
            assert_int_equal(pair.decision.result.refund.items[0].refunded, 7);
            assert_int_equal(used_in(&pair, 0, at_us, &refunded), rows[i / 2].of_hour - 7);
            assert_int_equal(refunded, 7);
        }
        pair_end(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cycles_of_an_instant),
        cmocka_unit_test(what_is_posted_late_corrects_the_history),
        cmocka_unit_test(overdrafts_are_repaid_by_the_running_cycle),
        cmocka_unit_test(which_limits_have_joined_since),
        cmocka_unit_test(usage_counts_in_the_cycles_of_its_instant),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

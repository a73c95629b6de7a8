/* Refunds: never more than was taken, to where it was taken from; a random stream against a list of consumptions. */
#include "account_tools.h"
#include "quota/base/checked.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

#define assert_numbers(pair_, refunded_, lost_, remaining_)                                                            \
    do {                                                                                                               \
        assert_fault(pair_, ACCOUNT_FAULT_NONE);                                                                       \
        assert_int_equal((pair_)->decision.result.refund.items[0].refunded, refunded_);                                \
        assert_int_equal((pair_)->decision.result.refund.items[0].lost, lost_);                                        \
        assert_int_equal((pair_)->decision.result.refund.items[0].remaining, remaining_);                              \
    } while (0)

static void never_more_than_was_taken(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 100 1h LIMIT 50 ROLLING 2h COST 2 | b LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", 10, MODE_ALL, "x", T);
    pair_request_one(&pair, "a", 5, MODE_ALL, "y", T + S);
    pair_refund(&pair, "a", 4, "x", NULL, T + S);
    assert_numbers(&pair, 4, 0, 28);
    assert_int_equal(used_of(&pair, "a", T + S), 22);
    pair_refund(&pair, "a", 7, "x", NULL, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_EXCEEDS);
    assert_int_equal(pair.decision.fault_limit, 6);
    pair_refund(&pair, "a", 6, "x", NULL, T + S);
    assert_numbers(&pair, 6, 0, 40);
    pair_refund(&pair, "a", 1, "x", NULL, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_EXCEEDS);
    assert_int_equal(used_of(&pair, "a", T + S), 10);
    assert_int_equal(report_of(pair.account, "a", 1, T + S).used, 10);
    /* what is not there */
    pair_refund(&pair, "a", 1, "z", NULL, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    pair_refund(&pair, "b", 1, "x", NULL, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    pair_refund(&pair, "c", 1, NULL, NULL, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_RESOURCE);
    pair_refund(&pair, "a", 1, "y", NULL, T + KEPT + S);
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    pair_end(&pair);
}

static void without_a_name_at_most_what_is_used_now(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h LIMIT 30 3h LIMIT 9 ROLLING 2h");
    pair_open(&pair, "pro", T);
    pair_refund(&pair, "a", 5, NULL, NULL, T);
    assert_numbers(&pair, 0, 5, 9); /* nothing is used: all is lost */
    assert_int_equal(pair.decision.changes.size, 0);
    pair_consume(&pair, "a", 6, T);
    pair_consume(&pair, "a", 2, T + H);
    pair_refund(&pair, "a", 5, NULL, NULL, T + H); /* the first cycle has two, the second eight */
    assert_numbers(&pair, 2, 3, 3);
    assert_int_equal(report_of(pair.account, "a", 0, T + H).used, 0);
    assert_int_equal(report_of(pair.account, "a", 1, T + H).used, 6);
    assert_int_equal(report_of(pair.account, "a", 2, T + H).used, 6);
    assert_int_equal(report_of(pair.account, "a", 2, T + 2 * H).used, 0); /* the newest returned first */
    pair_end(&pair);
}

static void a_repeated_refund_returns_nothing_more(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", 8, MODE_ALL, "x", T);
    pair_refund(&pair, "a", 3, "x", "refund", T);
    assert_numbers(&pair, 3, 0, 5);
    pair_consume(&pair, "a", 1, T);
    for (int i = 0; i < 3; i++) {
        pair_refund(&pair, "a", 3, "x", "refund", T + i * S);
        assert_true(pair.decision.replayed && pair.decision.changes.size == 0);
        assert_numbers(&pair, 3, 0, 5);
    }
    pair_refund(&pair, "a", 4, "x", "refund", T);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    pair_refund(&pair, "a", 3, NULL, "refund", T);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    assert_int_equal(used_of(&pair, "a", T), 6);
    pair_end(&pair);
}

/* A cycle that has closed takes back what was its own; one that is forgotten cannot. */
static void closed_cycles_take_back(void **state)
{
    (void)state;
    host.kept_us = 200 * H;
    plan_set("pro", "a LIMIT 10 1h");
    for (int touched = 0; touched < 2; touched++) {
        struct pair pair = {0};
        pair_open(&pair, "pro", T);
        pair_request_one(&pair, "a", 8, MODE_ALL, "x", T);
        if (touched) pair_touch(&pair, T + H);
        pair_refund(&pair, "a", 3, "x", NULL, T + H);
        assert_numbers(&pair, 3, 0, 10);
        for (int64_t i = 2; i < 2 + HISTORY_ENTRIES_MAX - 1; i++) pair_consume(&pair, "a", 1, T + i * H);
        pair_refund(&pair, "a", 1, "x", NULL, T + 64 * H);
        assert_numbers(&pair, 1, 0, 9);
        pair_consume(&pair, "a", 1, T + 65 * H); /* the first cycle, an idle one and 63 others: one too many */
        pair_consume(&pair, "a", 1, T + 66 * H);
        pair_refund(&pair, "a", 1, "x", NULL, T + 66 * H);
        assert_numbers(&pair, 0, 1, 9);
        pair_end(&pair);
    }
    configuration_end();
}

static void overdrafts_that_return_are_not_repaid(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h BURST 100 REPAY");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", 18, MODE_ALL, "x", T);
    pair_touch(&pair, T + H);
    assert_int_equal(limit_of(&pair, "a", T + H), 2);
    pair_refund(&pair, "a", 5, "x", NULL, T + H);
    assert_int_equal(limit_of(&pair, "a", T + H), 7);
    pair_refund(&pair, "a", 13, "x", NULL, T + H);
    assert_int_equal(limit_of(&pair, "a", T + H), 10);
    pair_end(&pair);
}

static void refunds_have_bounds(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h REFUNDS MAX 4 | b LIMIT 10 1h REFUNDS WITHIN 10s | c LIMIT 10 1h REFUNDS MAX 0");
    pair_open(&pair, "pro", T);
    const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) pair_request_one(&pair, names[i], 8, MODE_ALL, "x", T);
    /* MAX counts all refunds of a cycle */
    pair_refund(&pair, "a", 5, "x", NULL, T);
    assert_fault(&pair, ACCOUNT_FAULT_REFUNDS);
    assert_int_equal(pair.decision.fault_limit, 4);
    pair_refund(&pair, "a", 3, "x", NULL, T);
    pair_refund(&pair, "a", 2, NULL, NULL, T);
    assert_fault(&pair, ACCOUNT_FAULT_REFUNDS);
    pair_refund(&pair, "a", 1, NULL, NULL, T);
    assert_numbers(&pair, 1, 0, 6);
    pair_refund(&pair, "c", 1, "x", NULL, T);
    assert_fault(&pair, ACCOUNT_FAULT_REFUNDS);
    /* WITHIN counts from the consumption, and needs to know which */
    pair_refund(&pair, "b", 1, NULL, NULL, T);
    assert_fault(&pair, ACCOUNT_FAULT_NEEDS_OF);
    pair_refund(&pair, "b", 1, "x", NULL, T + 10 * S);
    assert_numbers(&pair, 1, 0, 3);
    pair_refund(&pair, "b", 1, "x", NULL, T + 10 * S + 1);
    assert_fault(&pair, ACCOUNT_FAULT_TOO_OLD);
    pair_end(&pair);
}

static void a_limit_that_went_bounds_nothing(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 100 1h LIMIT 100 day REFUNDS MAX 10");
    plan_set("team", "a LIMIT 100 1h REFUNDS MAX 10");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 50, T);
    pair_refund(&pair, "a", 10, NULL, NULL, T);
    pair_switch(&pair, "team", SWITCH_FULL, T);
    pair_consume(&pair, "a", 50, T + H);
    pair_refund(&pair, "a", 5, NULL, NULL, T + H);
    assert_numbers(&pair, 5, 0, 55);
    pair_end(&pair);
}

static void a_warning_that_has_fired_stays(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h WARN 50 80");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", 8, MODE_ALL, "x", T);
    pair_refund(&pair, "a", 8, "x", NULL, T);
    assert_int_equal(window_of(&pair, "a", T).warned_bp, 8000);
    assert_int_equal(window_of(&pair, "a", T + H).warned_bp, 0);
    pair_end(&pair);
}

/* What RESET, SET or a refund without a name has given back cannot be given back again by name. */
static void each_unit_comes_back_once(void **state)
{
    (void)state;
    static const struct {
        char how; /* what is done between the consumption of eight and its refund */
        int64_t units;
        int64_t refunded, lost, remaining;
    } rows[] = {
        {'-', 0, 8, 0, 10}, {'r', 0, 0, 8, 10}, {'s', 5, 0, 8, 5}, {'s', 9, 0, 8, 1},
        {'u', 3, 5, 3, 10}, {'u', 8, 0, 8, 10}, {'c', 2, 8, 0, 8}, /* others consume two */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        plan_set("pro", "a LIMIT 10 1h");
        pair_open(&pair, "pro", T);
        pair_request_one(&pair, "a", 8, MODE_ALL, "x", T);
        if (rows[i].how == 'r') pair_reset(&pair, "a", T);
        if (rows[i].how == 's') pair_set(&pair, "a", rows[i].units, T);
        if (rows[i].how == 'u') pair_refund(&pair, "a", rows[i].units, NULL, NULL, T);
        if (rows[i].how == 'c') pair_consume(&pair, "a", rows[i].units, T);
        assert_fault(&pair, ACCOUNT_FAULT_NONE);
        pair_refund(&pair, "a", 8, "x", NULL, T);
        assert_fault(&pair, ACCOUNT_FAULT_NONE);
        if (pair.decision.result.refund.items[0].refunded != rows[i].refunded) fail_msg("row %zu", i);
        assert_numbers(&pair, rows[i].refunded, rows[i].lost, rows[i].remaining);
        pair_refund(&pair, "a", 1, "x", NULL, T); /* all of it has been refunded */
        assert_fault(&pair, ACCOUNT_FAULT_EXCEEDS);
        pair_end(&pair);
    }
}

/* Rates get back what they still remember. */
static void rates_get_their_units_back(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a RATE FIXED 5 1m LIMIT 100 1h");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", 5, MODE_ALL, "x", T);
    assert_int_equal(pair_consume(&pair, "a", 1, T + S), 0);
    pair_refund(&pair, "a", 2, "x", NULL, T + S);
    assert_numbers(&pair, 2, 0, 97);
    assert_int_equal(pair_consume(&pair, "a", 3, T + S), 0);
    assert_int_equal(pair_consume(&pair, "a", 2, T + S), 2);
    pair_refund(&pair, "a", 1, NULL, NULL, T + S);
    assert_int_equal(pair_consume(&pair, "a", 1, T + S), 1);
    pair_request_one(&pair, "a", 5, MODE_ALL, "y", T + 60 * S);
    pair_refund(&pair, "a", 3, "x", NULL, T + 60 * S); /* the rate has forgotten them, the limit has not */
    assert_numbers(&pair, 3, 0, 93);
    assert_int_equal(pair_consume(&pair, "a", 1, T + 60 * S), 0);
    pair_end(&pair);
}

/* ---- a random stream ------------------------------------------------------------------------------------- */

#define CONSUMPTIONS_MAX 60

/* Consumptions under ids; what each has left to return. */
struct taken {
    int64_t granted, returned, at_us;
};

static int64_t used_in(const struct taken *taken, int count, int64_t cycle)
{
    int64_t sum = 0;
    for (int i = 0; i < count; i++) {
        if ((taken[i].at_us - T) / H == cycle) sum += taken[i].granted - taken[i].returned;
    }
    return sum;
}

static void refunds_agree_with_a_list(void **state)
{
    (void)state;
    host.kept_us = 1000 * D;
    plan_set("pro", "a LIMIT 40 1h");
    for (int run = 0; run < 60; run++) {
        struct taken taken[CONSUMPTIONS_MAX];
        struct pair pair = {0};
        int64_t now_us = T;
        char id[4] = "x";
        pair_open(&pair, "pro", T);
        for (int count = 0; count < CONSUMPTIONS_MAX;) {
            now_us += random_below(6) * 5 * MICROS_PER_MINUTE;
            assert_int_equal(used_of(&pair, "a", now_us), used_in(taken, count, (now_us - T) / H));
            if (count == 0 || random_below(2)) {
                int64_t amount = 1 + random_below(12);
                id[1] = (char)('A' + count);
                pair_request_one(&pair, "a", amount, MODE_UPTO, id, now_us);
                taken[count].granted = pair.decision.result.consumed.verdicts[0].granted;
                taken[count].returned = 0;
                taken[count].at_us = now_us;
                count += taken[count].granted > 0;
                continue;
            }
            int which = (int)random_below((uint32_t)count);
            int64_t amount = 1 + random_below(12), left = taken[which].granted - taken[which].returned;
            id[1] = (char)('A' + which);
            pair_refund(&pair, "a", amount, id, NULL, now_us);
            if (amount > left) {
                assert_fault(&pair, ACCOUNT_FAULT_EXCEEDS);
                assert_int_equal(pair.decision.fault_limit, left);
                continue;
            }
            taken[which].returned += amount;
            assert_numbers(&pair, amount, 0, 40 - used_in(taken, count, (now_us - T) / H));
        }
        pair_end(&pair);
    }
    configuration_end();
}

/* ---- everything ------------------------------------------------------------------------------------------ */

static void consume_batch(struct pair *pair, const char *id)
{
    const struct consume_item items[] = {{BYTES("b"), 3}, {BYTES("a"), 4}};
    struct consume_request request = {.items = items, .count = 2, .batch = true, .id = text_bytes(id), .now_us = T};
    pair_request(pair, &request);
    assert_fault(pair, ACCOUNT_FAULT_NONE);
}

static void all_that_is_left_comes_back(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 20 1h COST 2 RATE FIXED 100 1m | b LIMIT 20 1h LIMIT 30 ROLLING 1h | c LIMIT 20 1h");
    pair_open(&pair, "pro", T);
    consume_batch(&pair, "x");
    pair_refund(&pair, "a", 1, "x", NULL, T);
    pair_refund_all(&pair, "x", NULL, T + S);
    assert_refunded(&pair, "3 0 20 | 3 0 20");
    assert_int_equal(report_of(pair.account, "a", 1, T + S).used, 0);
    assert_int_equal(report_of(pair.account, "b", 1, T + S).used, 0);
    pair_refund_all(&pair, "x", NULL, T + S); /* nothing is left: a retry learns that it is done */
    assert_refunded(&pair, "0 0 20 | 0 0 20");
    assert_int_equal(pair.decision.changes.size, 0);
    pair_refund_all(&pair, "none", NULL, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    pair_request_one(&pair, "c", 5, MODE_ALL, "y", T + S);
    pair_refund_all(&pair, "y", NULL, T + S); /* of one resource */
    assert_refunded(&pair, "5 0 20");
    pair_reserve_all(&pair, "z", "c 6 | a 2", MODE_ALL, H, T + S);
    pair_refund_all(&pair, "z", NULL, T + S); /* it is not committed yet */
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    pair_commit_all(&pair, "z", "6 0", false, T + S);
    pair_refund_all(&pair, "z", NULL, T + 2 * H); /* its cycle has closed */
    assert_refunded(&pair, "6 0 20 | 0 0 20");
    pair_end(&pair);
    configuration_end();
}

static void it_is_remembered_under_its_id(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 20 1h | b LIMIT 20 1h");
    pair_open(&pair, "pro", T);
    consume_batch(&pair, "x");
    consume_batch(&pair, "y");
    for (int again = 0; again < 2; again++) {
        pair_refund_all(&pair, "x", "i", T + S);
        assert_int_equal(pair.decision.replayed, again);
        assert_refunded(&pair, "3 0 17 | 4 0 16");
        pair_consume(&pair, "a", 1, T + S);
    }
    pair_refund_all(&pair, "y", "i", T + S);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    pair_refund(&pair, "a", 1, "y", "i", T + S); /* of one resource an id of its own */
    assert_refunded(&pair, "1 0 15");
    for (int again = 0; again < 2; again++) { /* nothing is left, and that is remembered, too */
        pair_refund_all(&pair, "x", "j", T + 2 * S);
        assert_int_equal(pair.decision.replayed, again);
        assert_refunded(&pair, "0 0 17 | 0 0 15");
    }
    host.records_max = 3;
    pair_refund_all(&pair, "y", "k", T + 2 * S);
    assert_fault(&pair, ACCOUNT_FAULT_RECORDS);
    pair_end(&pair);
    configuration_end();
}

/* If one resource refuses nothing of any comes back. */
static void one_refusal_refuses_all(void **state)
{
    (void)state;
    static const struct {
        const char *rules; /* of a */
        enum account_fault fault;
    } rows[] = {
        {"REFUNDS MAX 4", ACCOUNT_FAULT_NONE},
        {"REFUNDS MAX 3", ACCOUNT_FAULT_REFUNDS},
        {"REFUNDS MAX 9 WITHIN 10s", ACCOUNT_FAULT_TOO_OLD},
        {"REFUNDS MAX 9 WITHIN 11s", ACCOUNT_FAULT_NONE},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        char text[128];
        (void)snprintf(text, sizeof(text), "a LIMIT 20 1h %.64s | b LIMIT 20 1h", rows[i].rules);
        plan_set("pro", text);
        pair_open(&pair, "pro", T);
        consume_batch(&pair, "x");
        pair_refund_all(&pair, "x", NULL, T + 11 * S);
        if (pair.decision.fault != rows[i].fault) fail_msg("row %zu", i);
        bool refused = rows[i].fault != ACCOUNT_FAULT_NONE;
        if (refused) assert_true(bytes_equal(pair.decision.fault_subject, BYTES("a")));
        assert_int_equal(used_of(&pair, "b", T + 11 * S), refused ? 3 : 0);
        pair_end(&pair);
    }
    configuration_end();
}

/* Units of a, b and c under the id x: a batch, or a reservation that is committed in part, or beyond. */
struct mixed {
    int64_t amounts[3], more;
    bool by_hold, refunded, moved;
};

static void use_mixed(struct pair *pair, const struct mixed *mixed)
{
    struct grant_request request = gift("g", 10);
    const long long a = mixed->amounts[0], b = mixed->amounts[1], c = mixed->amounts[2];
    char text[64];
    pair_open(pair, "pro", T);
    pair_grant(pair, &request, T);
    if (mixed->by_hold) {
        (void)snprintf(text, sizeof(text), "a %lld | b %lld | c %lld", a, b, c);
        pair_reserve_all(pair, "x", text, MODE_ALL, 9 * H, T);
        (void)snprintf(text, sizeof(text), "%lld %lld 0", a + mixed->more, b);
        pair_commit_all(pair, "x", text, true, T + S);
    } else {
        const struct consume_item items[] = {{BYTES("a"), a}, {BYTES("b"), b}, {BYTES("c"), c}};
        struct consume_request batch = {.items = items, .count = 3, .batch = true, .id = BYTES("x"), .now_us = T};
        pair_request(pair, &batch);
    }
    if (mixed->refunded) pair_refund(pair, "b", 1, "x", NULL, T + S);
    if (mixed->moved) pair_suspend(pair, S, T + 2 * S);
}

/* Each resource as a refund of its own would do it, whatever time has done since. */
static void it_is_the_sum_of_single_refunds(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    plan_set("pro", "a LIMIT 20 1h COST 2 CREDITS LIMIT 90 ROLLING 1h | b LIMIT 8 1h BURST 50% REPAY | c LIMIT 9 1d");
    for (int run = 0; run < 200; run++) {
        struct pair together = {0}, alone = {0};
        struct mixed mixed = {{1 + random_below(12), 1 + random_below(9), 1 + random_below(4)}};
        int64_t at_us = T + 3 * S + random_below(4) * H / 2;
        mixed.more = random_below(3);
        mixed.by_hold = random_below(2), mixed.refunded = random_below(2), mixed.moved = random_below(4) == 0;
        use_mixed(&together, &mixed);
        use_mixed(&alone, &mixed);
        pair_refund_all(&together, "x", NULL, at_us);
        bool found = together.decision.fault == ACCOUNT_FAULT_NONE;
        for (uint32_t i = 0; found && i < 3; i++) {
            struct refunded one = together.decision.result.refund.items[i];
            if (one.refunded + one.lost == 0) continue;
            pair_refund(&alone, names[i], one.refunded + one.lost, "x", NULL, at_us);
            assert_fault(&alone, ACCOUNT_FAULT_NONE);
            assert_memory_equal(&one, &alone.decision.result.refund.items[0], sizeof(one));
        }
        struct sink left = bytes_of(together.account), right = bytes_of(alone.account);
        if (found) assert_same_bytes(&left, &right);
        sink_free(&left);
        sink_free(&right);
        pair_end(&together);
        pair_end(&alone);
    }
    configuration_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_more_than_was_taken),
        cmocka_unit_test(without_a_name_at_most_what_is_used_now),
        cmocka_unit_test(a_repeated_refund_returns_nothing_more),
        cmocka_unit_test(closed_cycles_take_back),
        cmocka_unit_test(overdrafts_that_return_are_not_repaid),
        cmocka_unit_test(refunds_have_bounds),
        cmocka_unit_test(a_limit_that_went_bounds_nothing),
        cmocka_unit_test(a_warning_that_has_fired_stays),
        cmocka_unit_test(each_unit_comes_back_once),
        cmocka_unit_test(rates_get_their_units_back),
        cmocka_unit_test(refunds_agree_with_a_list),
        cmocka_unit_test(all_that_is_left_comes_back),
        cmocka_unit_test(it_is_remembered_under_its_id),
        cmocka_unit_test(one_refusal_refuses_all),
        cmocka_unit_test(it_is_the_sum_of_single_refunds),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

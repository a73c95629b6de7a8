/* Credits as of now: recurrences, ends, what a grant absorbs when it begins; an account that is touched at each event
 * and one that is not read the same. */
#include "account_tools.h"
#include "quota/view/credits_view.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

static uint64_t code_of(const char *text)
{
    struct period period = {0};
    assert_true(period_parse(text_bytes(text), &period));
    return period_code(&period);
}

/* Set back at each recurrence, never added up; what is held is held beside it. */
static void recurring_grants_are_set_back(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct grant_request request = gift("g", 10);
    plan_set("pro", "a CREDITS");
    pair_open(&pair, "pro", T);
    request.every = code_of("month");
    request.expires = (struct moment){.kind = MOMENT_INSTANT, .at_us = at("2025-06-15T00:00:00")};
    pair_grant(&pair, &request, T);
    assert_int_equal(pair_consume(&pair, "a", 8, T), 8);
    assert_int_equal(credits_left(&pair, at("2025-02-28T14:59:59")), 2);
    assert_int_equal(credits_left(&pair, at("2025-02-28T15:00:00")), 10); /* clamped to the last day */
    assert_int_equal(credits_left(&pair, at("2025-03-31T15:00:00")),
                     10); /* and back to the 31st; two idle ones are one */
    pair_reserve(&pair, "h", "a", 4, 60 * D, at("2025-03-01T00:00:00"));
    assert_int_equal(credits_left(&pair, at("2025-03-31T14:59:59")), 6);
    assert_int_equal(credits_left(&pair, at("2025-03-31T15:00:00")), 10); /* 4 are still held, beside it */
    pair_consume(&pair, "a", 1, at("2025-04-01T00:00:00"));
    pair_release(&pair, "h", at("2025-04-02T00:00:00")); /* of a recurrence that has passed: lost */
    assert_int_equal(credits_left(&pair, at("2025-04-02T00:00:00")), 9);
    assert_int_equal(credits_left(&pair, at("2025-06-14T23:59:59")), 10);
    assert_int_equal(credits_left(&pair, at("2025-06-15T00:00:00")), 0); /* the end is exclusive */
    pair_end(&pair);
    plan_drop("pro");
}

/* The largest used - limit is paid for; it leaves `used` of every running LIMIT. */
static void a_grant_absorbs_when_it_begins(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        int64_t used, amount, left, day, month;
    } rows[] = {
        {"a LIMIT 10 day LIMIT 15 month", 9, 5, 5, 9, 9},    /* nothing is over */
        {"a LIMIT 10 day LIMIT 15 month", 13, 5, 2, 10, 10}, /* 3 over the day */
        {"a LIMIT 10 day LIMIT 15 month", 30, 5, 0, 25, 25}, /* not all of it */
        {"a LIMIT 20 day LIMIT 15 month", 18, 9, 6, 15, 15}, /* 3 over the month */
        {"a LIMIT -1 day LIMIT 15 month", 16, 9, 8, 15, 15}, /* nothing is over what has no end */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int later = 0; later < 2; later++) {
            struct pair pair = {0};
            struct grant_request request = gift("g", rows[i].amount);
            plan_set("pro", rows[i].plan);
            pair_open(&pair, "pro", T);
            pair_request_one(&pair, "a", rows[i].used, MODE_FORCE, NULL, T);
            if (later) request.effective_us = T + H;
            pair_grant(&pair, &request, T);
            if (credits_left(&pair, T + H) != rows[i].left) fail_msg("row %zu, %d: %d left", i, later, 0);
            assert_int_equal(report_of(pair.account, "a", 0, T + H).used, rows[i].day);
            assert_int_equal(report_of(pair.account, "a", 1, T + H).used, rows[i].month);
            pair_end(&pair);
        }
    }
    plan_drop("pro");
}

/* A cycle that ends at the very instant at which a grant begins ends first: the new one is over nothing. */
static void cycles_end_before_grants_begin(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct grant_request request = gift("g", 5);
    plan_set("pro", "a LIMIT 10 day");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", 13, MODE_FORCE, NULL, T);
    request.effective_us = T + D;
    pair_grant(&pair, &request, T);
    assert_int_equal(credits_left(&pair, T + D - 1), 0);
    assert_int_equal(credits_left(&pair, T + D), 5);
    pair_end(&pair);
    plan_drop("pro");
}

/* ---- lazy equals eager ----------------------------------------------------------------------------------- */

static void give_some(struct pair *lazy, struct pair *eager, int number, int64_t now_us)
{
    static char ids[64][16];
    snprintf(ids[number], sizeof(ids[number]), "g%d", number);
    struct grant_request request = gift(ids[number], random_between(1, 20));
    if (random_below(2)) request.effective_us = now_us + random_between(-3, 9) * H;
    if (random_below(2))
        request.expires = (struct moment){.kind = MOMENT_DURATION, .after_us = random_between(4, 99) * H};
    if (random_below(3) == 0) request.every = code_of(random_below(2) ? "hour" : "day");
    request.priority = (uint8_t)random_below(3);
    pair_grant(lazy, &request, now_us);
    pair_grant(eager, &request, now_us);
    assert_int_equal(lazy->decision.fault, eager->decision.fault);
}

static void do_some(struct pair *pair, uint32_t what, int64_t units, const char *id, int64_t now_us)
{
    switch (what) {
    case 0: pair_request_one(pair, "a", units, MODE_FORCE, id, now_us); break;
    case 1: pair_reserve(pair, id, "a", units, 3 * H, now_us); break;
    case 2: pair_commit(pair, "i1", COMMIT_ALL, now_us); break;
    case 3: pair_refund(pair, "a", 1, "i0", NULL, now_us); break;
    case 4: pair_void(pair, "g1", now_us); break;
    default: pair_request_one(pair, "a", units, MODE_UPTO, NULL, now_us);
    }
}

static void assert_same_reports(const struct pair *lazy, const struct pair *eager, int64_t at_us)
{
    uint32_t count = rules_count_of(lazy->account, "a", at_us);
    assert_int_equal(credits_left(lazy, at_us), credits_left(eager, at_us));
    for (uint32_t i = 0; i < count; i++) {
        struct rule_report one = report_of(lazy->account, "a", i, at_us),
                           other = report_of(eager->account, "a", i, at_us);
        assert_memory_equal(&one, &other, sizeof(one));
    }
    struct rule_report one = report_of(lazy->account, "a", count, at_us); /* the credits */
    struct rule_report other = report_of(eager->account, "a", count, at_us);
    assert_memory_equal(&one, &other, sizeof(one));
}

static void touched_or_not_it_reads_the_same(void **state)
{
    (void)state;
    static const char *const plans[] = {"a LIMIT 10 day", "a LIMIT 10 12h BURST 50% REPAY", "a CREDITS",
                                        "a LIMIT 10 day OVERAGE", "a LIMIT 5 6h CREDITS FIRST"};
    static char ids[64][8];
    for (int run = 0; run < 200; run++) {
        struct pair lazy = {0}, eager = {0};
        int64_t now_us = T;
        int given = 0;
        plan_set("pro", plans[run % COUNT_OF(plans)]);
        pair_open(&lazy, "pro", T);
        pair_open(&eager, "pro", T);
        for (int step = 0; step < 30; step++) {
            int64_t hours = random_below(3) == 0 ? random_between(0, 30) : 0;
            for (int64_t k = 0; k < hours; k++) pair_settle(&eager, now_us += H);
            uint32_t what = random_below(6);
            int64_t units = random_between(1, 12);
            snprintf(ids[step], sizeof(ids[step]), "i%d", step);
            if (random_below(4) == 0) give_some(&lazy, &eager, given++, now_us);
            do_some(&lazy, what, units, ids[step], now_us);
            do_some(&eager, what, units, ids[step], now_us);
            if (lazy.decision.fault != eager.decision.fault) fail_msg("run %d step %d what %u", run, step, what);
            assert_int_equal(lazy.decision.fault, eager.decision.fault);
            assert_int_equal(credits_left(&lazy, now_us), credits_left(&eager, now_us));
        }
        for (int64_t hours = 0; hours < 60; hours += 4) assert_same_reports(&lazy, &eager, now_us + hours * H);
        pair_end(&lazy);
        pair_end(&eager);
    }
    plan_drop("pro");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recurring_grants_are_set_back),
        cmocka_unit_test(a_grant_absorbs_when_it_begins),
        cmocka_unit_test(cycles_end_before_grants_begin),
        cmocka_unit_test(touched_or_not_it_reads_the_same),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Reservations: held, posted, released and expired, each at most once; late posts; a random stream against a list. */
#include "account_tools.h"
#include "quota/base/checked.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

static struct closed_cycle past_of(const struct pair *pair, const char *resource, int64_t at_us)
{
    struct closed_cycle closed = {0};
    int32_t slot = account_slot(pair->account, text_bytes(resource));
    const struct slot_optional *optional = pair->account->slots[slot].optional;
    assert_non_null(optional);
    assert_true(history_find(optional->histories[0].history, at_us, &closed));
    return closed;
}

#define assert_numbers(pair_, posted_, released_, remaining_)                                                          \
    do {                                                                                                               \
        assert_fault(pair_, ACCOUNT_FAULT_NONE);                                                                       \
        assert_int_equal((pair_)->decision.result.resolved.items[0].posted, posted_);                                  \
        assert_int_equal((pair_)->decision.result.resolved.items[0].released, released_);                              \
        assert_int_equal((pair_)->decision.result.resolved.items[0].remaining, remaining_);                            \
    } while (0)

/* ---- one reservation ------------------------------------------------------------------------------------- */

static void what_is_reserved_is_gone_until_it_is_resolved(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h COST 2");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "a", 3, 10 * S, T);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].granted, 3);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].remaining, 4);
    assert_int_equal(used_of(&pair, "a", T), 0);
    assert_int_equal(remaining_of(&pair, "a", T), 4);
    assert_int_equal(pair_consume(&pair, "a", 3, T), 0);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].wait_us, 10 * S); /* when it runs out */
    pair_commit(&pair, "r1", 4, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_BEYOND_HOLD);
    assert_int_equal(pair.decision.fault_limit, 3);
    pair_commit(&pair, "r1", 2, T + S);
    assert_numbers(&pair, 2, 1, 6);
    assert_int_equal(used_of(&pair, "a", T + S), 4);
    pair_end(&pair);
}

/* The same command is answered the same, any other one is refused. */
static void it_is_resolved_once(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h COST 2");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "a", 3, 10 * S, T);
    pair_commit(&pair, "r1", 2, T + S);
    pair_consume(&pair, "a", 1, T + S);
    pair_commit(&pair, "r1", 2, T + 2 * S);
    assert_true(pair.decision.replayed && pair.decision.changes.size == 0);
    assert_numbers(&pair, 2, 1, 6);
    assert_int_equal(used_of(&pair, "a", T + 2 * S), 6);
    pair_commit(&pair, "r1", 1, T + 2 * S);
    assert_fault(&pair, ACCOUNT_FAULT_COMMITTED);
    pair_commit(&pair, "r1", -1, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_COMMITTED);
    pair_release(&pair, "r1", T + S);
    assert_fault(&pair, ACCOUNT_FAULT_COMMITTED);
    pair_extend(&pair, "r1", S, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_COMMITTED);
    pair_reserve(&pair, "r1", "a", 3, 10 * S, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_COMMITTED);
    /* and remembered as long as ids are, counted from its end */
    pair_commit(&pair, "r1", -1, T + S + KEPT - 1);
    assert_fault(&pair, ACCOUNT_FAULT_COMMITTED);
    pair_commit(&pair, "r1", -1, T + S + KEPT);
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    pair_reserve(&pair, "r1", "a", 1, 10 * S, T + S + KEPT);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    pair_end(&pair);
}

static void it_is_released_whole(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "a", 10, 10 * S, T);
    pair_release(&pair, "r1", T + S);
    assert_numbers(&pair, 0, 10, 10);
    pair_commit(&pair, "r1", 1, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_RELEASED);
    pair_reserve(&pair, "r2", "a", 10, 10 * S, T + S);
    pair_commit(&pair, "r2", 0, T + S); /* nothing posted is a release */
    assert_numbers(&pair, 0, 10, 10);
    pair_commit(&pair, "r2", 0, T + S);
    assert_true(pair.decision.replayed);
    assert_numbers(&pair, 0, 10, 10);
    pair_commit(&pair, "r2", 1, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_RELEASED);
    pair_commit(&pair, "r3", 0, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    pair_end(&pair);
}

static void pair_force(struct pair *pair, const char *id, int64_t amount, int64_t at_us)
{
    struct commit_request request = {
        .id = text_bytes(id), .amounts = &amount, .count = 1, .force = true, .now_us = at_us};
    pair_resolve(pair, &request);
}

/* COMMIT … FORCE: an estimate becomes what it was, whatever the limits say; an expired one is charged now, once. */
static void more_than_was_held_is_forced(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h LIMIT 50 ROLLING 1h RATE FIXED 20 1m");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "a", 4, 10 * S, T);
    pair_force(&pair, "r1", 13, T + S);
    assert_numbers(&pair, 13, 0, 0);
    static const int64_t used[] = {13, 13, 13};
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(report_of(pair.account, "a", i, T + S).used, used[i]);
    pair_force(&pair, "r1", 13, T + S);
    assert_true(pair.decision.replayed);
    pair_force(&pair, "r1", 14, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_COMMITTED);
    pair_reset(&pair, "a", T + 2 * S);
    pair_reserve(&pair, "r2", "a", 4, 10 * S, T + 2 * S);
    for (int again = 0; again < 2; again++) {
        pair_force(&pair, "r2", 3, T + 13 * S); /* it has expired, and is remembered */
        assert_int_equal(pair.decision.replayed, again);
        assert_numbers(&pair, 3, 0, 7);
        assert_int_equal(used_of(&pair, "a", T + 13 * S), 3);
    }
    pair_refund(&pair, "a", 2, "r2", NULL, T + 14 * S);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    assert_int_equal(used_of(&pair, "a", T + 14 * S), 1);
    pair_end(&pair);
}

/* What is reserved is used of a rate at once; what is not posted goes back to it, unless it expires. */
static void rates_get_back_what_is_not_posted(void **state)
{
    (void)state;
    static const struct {
        int64_t posted, used; /* posted -1: it expires */
    } rows[] = {{0, 0}, {2, 2}, {5, 5}, {-1, 5}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        plan_set("pro", "a RATE FIXED 8 1m LIMIT 100 1h");
        pair_open(&pair, "pro", T);
        pair_reserve(&pair, "r1", "a", 5, 10 * S, T);
        assert_int_equal(used_of(&pair, "a", T), 5);
        if (rows[i].posted >= 0) pair_commit(&pair, "r1", rows[i].posted, T + S);
        if (used_of(&pair, "a", T + 20 * S) != rows[i].used) fail_msg("row %zu", i);
        assert_int_equal(report_of(pair.account, "a", 1, T + 20 * S).remaining, 100 - max_i64(rows[i].posted, 0));
        pair_end(&pair);
    }
}

static void it_expires_exactly_on_every_path(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h LIMIT 10 ROLLING 1h");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "a", 10, 10 * S, T);
    int64_t end_us = T + 10 * S;
    assert_int_equal(report_of(pair.account, "a", 0, end_us - 1).held, 10);
    assert_int_equal(report_of(pair.account, "a", 1, end_us - 1).remaining, 0);
    assert_int_equal(pair_consume(&pair, "a", 1, end_us - 1), 0);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].wait_us, 1);
    assert_int_equal(report_of(pair.account, "a", 0, end_us).held, 0);
    assert_int_equal(report_of(pair.account, "a", 1, end_us).remaining, 10);
    pair_commit(&pair, "r1", 1, end_us);
    assert_fault(&pair, ACCOUNT_FAULT_RAN_OUT);
    pair_extend(&pair, "r1", S, end_us);
    assert_fault(&pair, ACCOUNT_FAULT_RAN_OUT);
    pair_reserve(&pair, "r1", "a", 10, 10 * S, end_us);
    assert_fault(&pair, ACCOUNT_FAULT_RAN_OUT);
    pair_commit(&pair, "r1", 1, end_us + KEPT - 1);
    assert_fault(&pair, ACCOUNT_FAULT_RAN_OUT);
    pair_commit(&pair, "r1", 1, end_us + KEPT);
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    /* swept or not, it is the same */
    assert_int_equal(pair_consume(&pair, "a", 10, end_us), 10);
    assert_null(account_hold(pair.account, BYTES("r1")));
    pair_commit(&pair, "r1", 1, end_us + KEPT - 1);
    assert_fault(&pair, ACCOUNT_FAULT_RAN_OUT);
    pair_commit(&pair, "r1", 1, end_us + KEPT);
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    pair_end(&pair);
}

static void it_is_extended_both_ways(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "a", 4, 10 * S, T);
    pair_reserve(&pair, "r2", "a", 6, 20 * S, T);
    pair_extend(&pair, "r1", 25 * S, T + 5 * S);
    assert_int_equal(pair.decision.result.expires_us, T + 30 * S);
    assert_int_equal(remaining_of(&pair, "a", T + 20 * S - 1), 0);
    assert_int_equal(remaining_of(&pair, "a", T + 20 * S), 6);
    assert_int_equal(remaining_of(&pair, "a", T + 30 * S), 10);
    pair_extend(&pair, "r1", S, T + 6 * S);
    assert_int_equal(remaining_of(&pair, "a", T + 7 * S), 4);
    /* a clock that steps back revives nothing */
    assert_int_equal(pair_consume(&pair, "a", 1, T + 7 * S), 1);
    pair_commit(&pair, "r1", 1, T);
    assert_fault(&pair, ACCOUNT_FAULT_RAN_OUT);
    pair_end(&pair);
}

static void reserving_again_answers_the_same(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h | b LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "a", 4, 10 * S, T);
    pair_consume(&pair, "a", 1, T);
    pair_reserve(&pair, "r1", "a", 4, 99 * S, T + S);
    assert_true(pair.decision.replayed && pair.decision.changes.size == 0);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].granted, 4);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].remaining, 6);
    pair_reserve(&pair, "r1", "a", 5, 10 * S, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    pair_reserve(&pair, "r1", "b", 4, 10 * S, T + S); /* the id is the account's */
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    struct consume_item item = {BYTES("a"), 4};
    struct reserve_request request = {BYTES("r1"), &item, 1, S, MODE_UPTO, .now_us = T + S};
    account_decision_end(&pair.decision);
    reserve_decide(pair.account, &host, &request, &pair.decision);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    request.id = BYTES("r2");
    item.amount = 99;
    account_decision_end(&pair.decision);
    reserve_decide(pair.account, &host, &request, &pair.decision);
    assert_int_equal(pair.decision.result.consumed.verdicts[0].granted, 5);
    pair_end(&pair);
}

static void reservations_have_bounds(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h HOLDS MAX 2 | b LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "a", 11, 10 * S, T);
    assert_true(pair.decision.denied && pair.decision.changes.size == 0);
    pair_reserve(&pair, "r1", "a", 1, 10 * S, T);
    pair_reserve(&pair, "r2", "a", 1, 20 * S, T);
    pair_reserve(&pair, "r3", "a", 1, 10 * S, T + 10 * S - 1);
    assert_fault(&pair, ACCOUNT_FAULT_HOLDS);
    pair_reserve(&pair, "r3", "b", 1, 10 * S, T);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    pair_reserve(&pair, "r4", "a", 1, 10 * S, T + 10 * S);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    host.records_max = 2; /* those of the two that have ended */
    pair_reserve(&pair, "r5", "b", 1, 10 * S, T + 10 * S);
    assert_fault(&pair, ACCOUNT_FAULT_RECORDS);
    pair_state(&pair, ACCOUNT_SUSPENDED, T + 11 * S); /* it may still be resolved */
    pair_release(&pair, "r2", T + 11 * S);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    pair_state(&pair, ACCOUNT_CLOSED, T + 11 * S);
    pair_release(&pair, "r4", T + 11 * S);
    assert_fault(&pair, ACCOUNT_FAULT_CLOSED);
    pair_end(&pair);
    configuration_end();
}

/* What is held fits a number together with what is used, so that it can be posted. */
static void what_is_held_never_wraps(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT -1 1h");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "a", INT64_MAX - 5, H, T);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    pair_reserve(&pair, "r2", "a", 6, H, T);
    assert_fault(&pair, ACCOUNT_FAULT_OVERFLOW);
    pair_reserve(&pair, "r2", "a", 5, H, T);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    pair_request_one(&pair, "a", 1, MODE_ALL, NULL, T);
    assert_fault(&pair, ACCOUNT_FAULT_OVERFLOW);
    pair_commit(&pair, "r1", -1, T);
    pair_commit(&pair, "r2", -1, T);
    assert_int_equal(used_of(&pair, "a", T), INT64_MAX);
    pair_end(&pair);
}

/* ---- several resources ----------------------------------------------------------------------------------- */

static const struct verdict *verdicts_of(const struct pair *pair)
{
    return pair->decision.result.consumed.verdicts;
}

/* a: 10 an hour, COST 2. b: 10 an hour, and 3 at once. c: 8 a minute. */
static void all_are_held_or_none_is(void **state)
{
    (void)state;
    static const struct {
        const char *items;
        enum request_mode mode;
        int64_t granted[3];
        int64_t waits_us[3];
    } rows[] = {
        {"a 5 | b 3 | c 8", MODE_ALL, {5, 3, 8}, {0}},
        {"c 8 | a 1", MODE_ALL, {8, 1}, {0}},
        {"a 5 | b 4 | c 8", MODE_ALL, {0}, {0, NEVER_US, 0}}, /* more than may be held at once */
        {"a 6 | b 4", MODE_ALL, {0}, {NEVER_US, NEVER_US}},
        {"a 9 | b 9 | c 9", MODE_UPTO, {5, 3, 8}, {0}}, /* of each what it can */
        {"a 9 | b 1 | c 3", MODE_UPTO, {5, 1, 3}, {0}},
    };
    plan_set("pro", "a LIMIT 10 1h COST 2 | b LIMIT 10 1h CONCURRENT 3 | c RATE FIXED 8 1m");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        pair_open(&pair, "pro", T);
        pair_reserve_all(&pair, "x", rows[i].items, rows[i].mode, 10 * S, T);
        assert_fault(&pair, ACCOUNT_FAULT_NONE);
        bool denied = rows[i].granted[0] == 0;
        assert_int_equal(pair.decision.denied, denied);
        assert_int_equal(pair.decision.changes.size == 0, denied);
        for (uint32_t k = 0; k < pair.decision.result.consumed.count; k++) {
            const struct verdict *verdict = &verdicts_of(&pair)[k];
            if (verdict->granted != rows[i].granted[k] || verdict->wait_us != rows[i].waits_us[k])
                fail_msg("row %zu, item %u", i, k);
        }
        assert_int_equal(account_live_holds(pair.account, T), denied ? 0 : pair.decision.result.consumed.count);
        pair_end(&pair);
    }
    configuration_end();
}

/* UPTO needs one unit of each at least. A batch that is denied waits for the longest of its resources. */
static void a_denied_batch_waits_for_the_longest(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h GRACE 20s | b LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "b", 10, 30 * S, T);
    pair_consume(&pair, "a", 11, T); /* a grace of 20 s begins: after it a waits for the next hour */
    for (int upto = 0; upto < 2; upto++) {
        pair_reserve_all(&pair, "x", "a 1 | b 1", upto ? MODE_UPTO : MODE_ALL, S, T);
        assert_true(pair.decision.denied);
        assert_int_equal(verdicts_of(&pair)[0].granted, 0);
        assert_int_equal(verdicts_of(&pair)[0].wait_us, H);
        assert_int_equal(verdicts_of(&pair)[1].wait_us, 30 * S);
    }
    pair_reserve_all(&pair, "x", "a 1 | b 1", MODE_ALL, S, T + H);
    assert_false(pair.decision.denied);
    pair_end(&pair);
    configuration_end();
}

static void several_are_reserved_again(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h COST 2 | b LIMIT 10 1h | c LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_reserve_all(&pair, "x", "a 2 | b 3", MODE_ALL, 10 * S, T);
    pair_consume(&pair, "a", 1, T);
    pair_reserve_all(&pair, "x", "a 2 | b 3", MODE_ALL, 99 * S, T + S);
    assert_true(pair.decision.replayed && pair.decision.changes.size == 0);
    assert_int_equal(pair.decision.result.consumed.count, 2);
    assert_int_equal(verdicts_of(&pair)[0].remaining, 6);
    assert_int_equal(verdicts_of(&pair)[1].granted, 3);
    static const char *const others[] = {"a 2", "b 3", "b 3 | a 2", "a 2 | b 4", "a 2 | b 3 | c 1", "a 2 | c 3"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        pair_reserve_all(&pair, "x", others[i], MODE_ALL, 10 * S, T + S);
        assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    }
    pair_reserve_all(&pair, "x", "a 2 | b 3", MODE_UPTO, 10 * S, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    pair_reserve_all(&pair, "y", "a 1 | unknown 1", MODE_ALL, 10 * S, T + S);
    assert_fault(&pair, ACCOUNT_FAULT_RESOURCE);
    assert_true(bytes_equal(pair.decision.fault_subject, BYTES("unknown")));
    /* the id is free again once it is forgotten, also for other resources */
    pair_reserve_all(&pair, "x", "b 3", MODE_ALL, 10 * S, T + 10 * S + KEPT - 1);
    assert_fault(&pair, ACCOUNT_FAULT_RAN_OUT);
    pair_reserve_all(&pair, "x", "c 3 | b 1", MODE_ALL, 10 * S, T + 10 * S + KEPT);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    pair_end(&pair);
    configuration_end();
}

/* Would this be reserved then? Nothing is applied. The longest of the waits where it is denied, 0 where it is not. */
static int64_t wait_then(const struct pair *pair, const struct reserve_request *wanted, int64_t at_us)
{
    struct account_decision decision;
    struct reserve_request request = *wanted;
    int64_t longest_us = 0;
    request.now_us = at_us;
    reserve_decide(pair->account, &host, &request, &decision);
    assert_int_equal(decision.fault, ACCOUNT_FAULT_NONE);
    for (uint32_t i = 0; decision.denied && i < decision.result.consumed.count; i++) {
        int64_t wait_us = decision.result.consumed.verdicts[i].wait_us;
        if (wait_is_longer(wait_us, longest_us)) longest_us = wait_us;
    }
    account_decision_end(&decision);
    return longest_us;
}

/* The longest wait of a denied batch is kept: then it is admitted, and not a moment before. */
static void waits_of_several_are_exact(void **state)
{
    (void)state;
    int denied = 0;
    plan_set("pro", "a LIMIT 12 1h CONCURRENT 6 GRACE 20m | b LIMIT 12 ROLLING 30m LIMIT 30 2h BURST 20% | "
                    "c RATE FIXED 9 10m LIMIT 20 1h COST 2");
    for (int run = 0; run < 300; run++) {
        struct pair pair = {0};
        char id[8] = "r0";
        int64_t now_us = T;
        static const char *const names[] = {"a", "b", "c"};
        pair_open(&pair, "pro", T);
        for (int i = 0; i < 8; i++) {
            const char *name = names[random_below(3)];
            now_us += random_between(0, 6) * MICROS_PER_MINUTE;
            id[1]++;
            int64_t ttl_us = random_between(1, 40) * MICROS_PER_MINUTE;
            if (random_below(2))
                pair_reserve(&pair, id, name, 1 + random_below(4), ttl_us, now_us);
            else
                pair_consume(&pair, name, 1 + random_below(4), now_us);
        }
        const struct consume_item items[] = {
            {BYTES("b"), 1 + random_below(8)}, {BYTES("a"), 1 + random_below(6)}, {BYTES("c"), 1 + random_below(5)}};
        const struct reserve_request request = {.id = BYTES("x"),
                                                .items = items,
                                                .count = 2 + random_below(2),
                                                .ttl_us = H,
                                                .mode = random_below(2) ? MODE_UPTO : MODE_ALL};
        int64_t wait_us = wait_then(&pair, &request, now_us);
        denied += wait_us > 0;
        if (wait_us > 0 && wait_then(&pair, &request, now_us + wait_us) != 0) fail_msg("run %d: too early", run);
        for (int64_t less = 1; wait_us > less && less < wait_us; less *= 7) {
            if (wait_then(&pair, &request, now_us + wait_us - less) == 0) fail_msg("run %d: too late", run);
        }
        pair_end(&pair);
    }
    assert_true(denied > 50);
    configuration_end();
}

/* HOLDS MAX counts each resource's own; the bound of the account counts parts. */
static void several_count_for_each_of_them(void **state)
{
    (void)state;
    struct pair pair = {0};
    char id[16];
    plan_set("pro", "a LIMIT -1 1h | b LIMIT -1 1h HOLDS MAX 5 | c LIMIT -1 1h");
    pair_open(&pair, "pro", T);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(id, sizeof(id), "x%d", i);
        pair_reserve_all(&pair, id, "a 1 | b 1", MODE_ALL, H, T);
        assert_fault(&pair, ACCOUNT_FAULT_NONE);
    }
    pair_reserve_all(&pair, "y", "a 1 | b 1", MODE_ALL, H, T);
    assert_fault(&pair, ACCOUNT_FAULT_HOLDS);
    assert_true(bytes_equal(pair.decision.fault_subject, BYTES("b")));
    pair_reserve_all(&pair, "y", "a 1 | c 1", MODE_ALL, H, T);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    assert_int_equal(account_live_holds(pair.account, T), 12);
    assert_int_equal(account_live_holds(pair.account, T + H), 0);
    pair_end(&pair);
    configuration_end();
}

/* ---- late posts ------------------------------------------------------------------------------------------ */

/* The promise was made in the old cycle: it is kept there, whether that cycle has been written down or not. */
static void late_posts_count_where_they_were_promised(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 10 1h");
    for (int touched = 0; touched < 2; touched++) {
        struct pair pair = {0};
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 2, T);
        pair_reserve(&pair, "r1", "a", 8, 5 * H, T);
        if (touched) pair_touch(&pair, T + H);
        assert_int_equal(remaining_of(&pair, "a", T + H), 10); /* the new cycle is not held */
        assert_int_equal(pair_consume(&pair, "a", 9, T + H), 9);
        if (touched) pair_touch(&pair, T + 2 * H);
        pair_commit(&pair, "r1", 7, T + 2 * H);
        assert_numbers(&pair, 7, 1, 10);
        assert_int_equal(past_of(&pair, "a", T).used, 9);
        assert_int_equal(past_of(&pair, "a", T).peak, 10);
        assert_int_equal(past_of(&pair, "a", T + H).used, 9);
        pair_refund(&pair, "a", 3, "r1", NULL, T + 2 * H);
        assert_numbers(&pair, 3, 0, 10);
        assert_int_equal(past_of(&pair, "a", T).used, 6);
        assert_int_equal(past_of(&pair, "a", T).refunded, 3);
        pair_end(&pair);
    }
}

static void rolling_windows_count_from_the_post_on(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 ROLLING 1h");
    pair_open(&pair, "pro", T);
    pair_reserve(&pair, "r1", "a", 8, 5 * H, T);
    pair_commit(&pair, "r1", 6, T + 2 * H);
    assert_numbers(&pair, 6, 2, 4);
    assert_int_equal(remaining_of(&pair, "a", T + 3 * H - 1), 4);
    pair_refund(&pair, "a", 5, "r1", NULL, T + 2 * H + S); /* it returns to where it was posted */
    assert_numbers(&pair, 5, 0, 9);
    assert_int_equal(remaining_of(&pair, "a", T + 2 * H + S), 9);
    assert_int_equal(remaining_of(&pair, "a", T + 3 * H), 10);
    pair_end(&pair);
}

/* Waiting for room in a rolling window: reservations run out, entries leave, whatever comes first. */
static void waits_of_rolling_windows_are_exact(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 12 ROLLING 30s");
    for (int run = 0; run < 150; run++) {
        struct pair pair = {0};
        char id[8] = "r0";
        int64_t now_us = T;
        pair_open(&pair, "pro", T);
        for (int i = 0; i < 8; i++) {
            now_us += random_between(0, 6) * S;
            id[1]++;
            if (random_below(2))
                pair_reserve(&pair, id, "a", 1 + random_below(3), random_between(1, 40) * S, now_us);
            else
                pair_consume(&pair, "a", 1 + random_below(3), now_us);
        }
        for (int64_t amount = 1; amount <= 13; amount++) {
            int64_t wanted_us = NEVER_US;
            for (int64_t later_us = 0; later_us < 80 * S && wanted_us < 0; later_us += S) {
                if (remaining_of(&pair, "a", now_us + later_us) >= amount) wanted_us = later_us;
            }
            pair_request_one(&pair, "a", amount, MODE_PEEK, NULL, now_us);
            assert_int_equal(pair.decision.result.consumed.verdicts[0].wait_us, wanted_us);
        }
        pair_end(&pair);
    }
}

/* ---- a random stream ------------------------------------------------------------------------------------- */

#define HOLDS_MODELLED 40

/* A list of reservations that recounts everything every time. */
struct promised {
    int64_t amount, made_us, expires_us, resolved_us; /* resolved 0 = not */
    int64_t posted;
};

static int64_t cycle_of(int64_t at_us)
{
    return (at_us - T) / H;
}

/* Of LIMIT 30 1h: what has been posted to the cycle, and what is held of it. */
static int64_t busy(const struct promised *promises, int count, int64_t cycle, int64_t now_us)
{
    int64_t sum = 0;
    for (int i = 0; i < count; i++) {
        const struct promised *promise = &promises[i];
        if (cycle_of(promise->made_us) != cycle) continue;
        bool live = promise->resolved_us == 0 && now_us < promise->expires_us;
        sum += live ? promise->amount : promise->posted;
    }
    return sum;
}

static void reservations_agree_with_a_list(void **state)
{
    (void)state;
    static struct promised promises[HOLDS_MODELLED];
    plan_set("pro", "a LIMIT 30 1h");
    for (int run = 0; run < 60; run++) {
        struct pair pair = {0};
        int count = 0;
        int64_t now_us = T;
        char id[4] = "r";
        pair_open(&pair, "pro", T);
        while (count < HOLDS_MODELLED) {
            now_us += random_below(5) * 10 * MICROS_PER_MINUTE;
            int64_t room = 30 - busy(promises, count, cycle_of(now_us), now_us);
            assert_int_equal(remaining_of(&pair, "a", now_us), room);
            int which = count > 0 ? (int)random_below((uint32_t)count) : 0;
            struct promised *promise = &promises[which];
            bool live = count > 0 && promise->resolved_us == 0 && now_us < promise->expires_us;
            if (random_below(3) == 0 && count > 0) {
                id[1] = (char)('A' + which);
                int64_t posted = random_below(2) ? random_between(0, promise->amount) : 0;
                bool again = promise->resolved_us > 0 && posted == promise->posted;
                pair_commit(&pair, id, posted, now_us);
                assert_int_equal(pair.decision.fault == ACCOUNT_FAULT_NONE, live || again);
                assert_int_equal(pair.decision.replayed, again);
                if (!live) continue;
                promise->posted = posted;
                promise->resolved_us = now_us;
                continue;
            }
            int64_t amount = 1 + random_below(12), ttl_us = random_between(1, 150) * MICROS_PER_MINUTE;
            id[1] = (char)('A' + count);
            pair_reserve(&pair, id, "a", amount, ttl_us, now_us);
            assert_int_equal(pair.decision.denied, amount > room);
            if (pair.decision.denied) continue;
            promises[count++] = (struct promised){amount, now_us, now_us + ttl_us, 0, 0};
        }
        pair_end(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_reserved_is_gone_until_it_is_resolved),
        cmocka_unit_test(it_is_resolved_once),
        cmocka_unit_test(it_is_released_whole),
        cmocka_unit_test(more_than_was_held_is_forced),
        cmocka_unit_test(rates_get_back_what_is_not_posted),
        cmocka_unit_test(it_expires_exactly_on_every_path),
        cmocka_unit_test(it_is_extended_both_ways),
        cmocka_unit_test(reserving_again_answers_the_same),
        cmocka_unit_test(reservations_have_bounds),
        cmocka_unit_test(what_is_held_never_wraps),
        cmocka_unit_test(all_are_held_or_none_is),
        cmocka_unit_test(a_denied_batch_waits_for_the_longest),
        cmocka_unit_test(waits_of_several_are_exact),
        cmocka_unit_test(several_are_reserved_again),
        cmocka_unit_test(several_count_for_each_of_them),
        cmocka_unit_test(late_posts_count_where_they_were_promised),
        cmocka_unit_test(rolling_windows_count_from_the_post_on),
        cmocka_unit_test(waits_of_rolling_windows_are_exact),
        cmocka_unit_test(reservations_agree_with_a_list),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

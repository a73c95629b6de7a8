/* Transfers: which credits go, what they become, and that nothing is made or lost. */
#include "account_tools.h"
#include "quota/base/checked.h"
#include "quota/decide/transfer.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

static void give(struct pair *pair, const char *id, int64_t amount, int64_t expires_us, bool promo, const char *every)
{
    struct period period = {0};
    struct grant_request request = gift(id, amount);
    request.priority = 7;
    request.promo = promo;
    if (expires_us > 0) request.expires = (struct moment){.kind = MOMENT_INSTANT, .at_us = expires_us};
    if (every) assert_true(period_parse(text_bytes(every), &period));
    if (every) request.every = period_code(&period);
    pair_grant(pair, &request, T);
    assert_fault(pair, ACCOUNT_FAULT_NONE);
}

/* Decides and applies to both accounts; the decision of the source stays for the test, of the target its fault. */
static enum account_fault move(struct pair *source, struct pair *target, const char *id, int64_t amount, int64_t at_us)
{
    struct transfer_request request = {
        .id = text_bytes(id), .resource = BYTES("a"), .target = BYTES("target"), .amount = amount};
    struct admin_action action = {.now_us = at_us, .actor = BYTES("ops")};
    struct account_decision to;
    account_decision_end(&source->decision);
    transfer_decide(source->account, target->account, &host, &request, &action, &source->decision, &to);
    struct account_change changes[] = {account_decision_change(&source->decision), account_decision_change(&to)};
    struct pair *pairs[] = {source, target};
    assert_int_equal(changes[0].changes.size > 0, changes[1].changes.size > 0); /* both, or none */
    for (int i = 0; i < 2 && changes[i].changes.size > 0; i++) {
        assert_true(account_accepts(pairs[i]->twin, &changes[i]));
        pairs[i]->account = account_apply(pairs[i]->account, &changes[i]);
        pairs[i]->twin = account_apply(pairs[i]->twin, &changes[i]);
    }
    enum account_fault fault = to.fault;
    account_decision_end(&to);
    return fault;
}

static void begin(struct pair *source, struct pair *target)
{
    plan_set("pro", "a LIMIT 10 day | b LIMIT 1 day");
    pair_open(source, "pro", T);
    pair_open(target, "pro", T);
}

static void end(struct pair *source, struct pair *target)
{
    pair_end(source);
    pair_end(target);
    plan_drop("pro");
}

/* {promo 20, 30 until day 20, 70}: 60 are 30 of each; then only 40 may go. */
static void lots_keep_their_expiry_and_promo_stays(void **state)
{
    (void)state;
    struct pair source = {0}, target = {0};
    begin(&source, &target);
    give(&source, "promo", 20, 0, true, NULL);
    give(&source, "until", 30, T + 20 * D, false, NULL);
    give(&source, "paid", 70, 0, false, NULL);
    assert_int_equal(move(&source, &target, "t", 60, T), ACCOUNT_FAULT_NONE);
    assert_int_equal(source.decision.result.transferred.moved, 60);
    assert_int_equal(source.decision.result.transferred.source, 60);
    assert_int_equal(source.decision.result.transferred.target, 60);
    const struct stored_grant *lot =
        grants_find(account_grants(target.account), BYTES("t/0"), linear_hash(BYTES("t/0")));
    assert_int_equal(lot->grant.amount, 30);
    assert_int_equal(lot->grant.expires_us, T + 20 * D);
    assert_int_equal(lot->grant.priority, 7);
    assert_int_equal(credits_left(&target, T + 20 * D), 30);
    assert_int_equal(move(&source, &target, "u", 50, T), ACCOUNT_FAULT_NONE);
    assert_int_equal(source.decision.result.transferred.moved, 0);
    assert_int_equal(source.decision.result.transferred.source, 60);
    assert_int_equal(move(&source, &target, "u", 40, T), ACCOUNT_FAULT_NONE); /* a denial is forgotten */
    assert_int_equal(source.decision.result.transferred.moved, 40);
    end(&source, &target);
}

static void held_units_stay_and_what_recurs_ends_at_its_recurrence(void **state)
{
    (void)state;
    struct pair source = {0}, target = {0};
    begin(&source, &target);
    give(&source, "daily", 30, 0, false, "day");
    pair_consume(&source, "a", 10, T);
    pair_reserve(&source, "h", "a", 12, H, T);
    assert_int_equal(move(&source, &target, "t", 19, T + S), ACCOUNT_FAULT_NONE);
    assert_int_equal(source.decision.result.transferred.moved, 0); /* 18 are free */
    assert_int_equal(move(&source, &target, "t", 18, T + S), ACCOUNT_FAULT_NONE);
    assert_int_equal(credits_left(&target, T + D - 1), 18);
    assert_int_equal(credits_left(&target, T + D), 0);
    assert_int_equal(credits_left(&source, T + D - 1), 12); /* what the reservation held */
    assert_int_equal(credits_left(&source, T + D), 30);
    end(&source, &target);
}

static void what_arrives_pays_for_what_is_over(void **state)
{
    (void)state;
    struct pair source = {0}, target = {0};
    begin(&source, &target);
    give(&source, "one", 4, T + D, false, NULL);
    give(&source, "two", 9, 0, false, NULL);
    pair_request_one(&target, "a", 16, MODE_FORCE, NULL, T);
    assert_int_equal(move(&source, &target, "t", 13, T), ACCOUNT_FAULT_NONE);
    assert_int_equal(source.decision.result.transferred.target, 7);
    assert_int_equal(used_of(&target, "a", T), 10);
    end(&source, &target);
}

static void ids_answer_the_same_or_conflict(void **state)
{
    (void)state;
    struct pair source = {0}, target = {0};
    begin(&source, &target);
    give(&source, "g", 9, 0, false, NULL);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(move(&source, &target, "t", 5, T + again), ACCOUNT_FAULT_NONE);
        assert_int_equal(source.decision.result.transferred.source, 4);
        assert_int_equal(source.decision.result.transferred.target, 5);
        assert_int_equal(source.decision.replayed, again);
    }
    assert_int_equal(credits_left(&source, T + S), 4);
    move(&source, &target, "t", 4, T);
    assert_fault(&source, ACCOUNT_FAULT_CONFLICT);
    give(&target, "x/0", 1, 0, false, NULL); /* the lot's id is another grant's */
    assert_int_equal(move(&source, &target, "x", 2, T), ACCOUNT_FAULT_CONFLICT);
    assert_int_equal(credits_left(&source, T + S), 4);
    end(&source, &target);
}

static void faults_name_their_side(void **state)
{
    (void)state;
    struct pair source = {0}, target = {0}, none = {0};
    begin(&source, &target);
    give(&source, "g", 9, 0, false, NULL);
    assert_int_equal(move(&source, &none, "t", 1, T), ACCOUNT_FAULT_MISSING);
    move(&none, &target, "t", 1, T);
    assert_fault(&none, ACCOUNT_FAULT_MISSING);
    plan_set("other", "b LIMIT 1 day");
    pair_switch(&target, "other", SWITCH_FULL, T);
    assert_int_equal(move(&source, &target, "t", 1, T), ACCOUNT_FAULT_RESOURCE);
    account_decision_end(&none.decision);
    end(&source, &target);
    plan_drop("other");
}

static void a_cycle_gives_away_so_much(void **state)
{
    (void)state;
    struct pair source = {0}, target = {0};
    begin(&source, &target);
    plan_set("few", "a LIMIT 10 day TRANSFERS MAX 5");
    pair_switch(&source, "few", SWITCH_FULL, T);
    give(&source, "g", 90, 0, false, NULL);
    assert_int_equal(move(&source, &target, "t", 3, T), ACCOUNT_FAULT_NONE);
    move(&source, &target, "u", 3, T);
    assert_fault(&source, ACCOUNT_FAULT_TRANSFERS);
    assert_int_equal(move(&source, &target, "u", 2, T), ACCOUNT_FAULT_NONE);
    assert_int_equal(source.decision.result.transferred.moved, 2);
    assert_int_equal(move(&source, &target, "v", 5, T + D), ACCOUNT_FAULT_NONE); /* the next cycle */
    assert_int_equal(source.decision.result.transferred.moved, 5);
    move(&source, &target, "w", 1, T + D);
    assert_fault(&source, ACCOUNT_FAULT_TRANSFERS);
    plan_set("none", "a CREDITS TRANSFERS MAX 0");
    pair_switch(&source, "none", SWITCH_FULL, T + D);
    move(&source, &target, "x", 1, T + 9 * D);
    assert_fault(&source, ACCOUNT_FAULT_TRANSFERS);
    end(&source, &target);
    plan_drop("few");
    plan_drop("none");
}

/* Whatever is moved, both together have what was given. */
static void nothing_is_made_or_lost(void **state)
{
    (void)state;
    for (int run = 0; run < 40; run++) {
        static char ids[64][8];
        struct pair sides[2] = {{0}, {0}};
        int64_t now_us = T, given = 0;
        begin(&sides[0], &sides[1]);
        for (int step = 0; step < 40; step++) {
            struct pair *from = &sides[random_below(2)], *to = from == &sides[0] ? &sides[1] : &sides[0];
            snprintf(ids[step], sizeof(ids[step]), "i%d", step);
            int64_t amount = random_between(1, 20);
            if (random_below(3) == 0) {
                give(from, ids[step], amount, 0, random_below(3) == 0, NULL);
                given += amount;
            } else {
                move(from, to, ids[step], amount, now_us);
            }
            assert_int_equal(credits_left(&sides[0], now_us) + credits_left(&sides[1], now_us), given);
        }
        end(&sides[0], &sides[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lots_keep_their_expiry_and_promo_stays),
        cmocka_unit_test(held_units_stay_and_what_recurs_ends_at_its_recurrence),
        cmocka_unit_test(what_arrives_pays_for_what_is_over),
        cmocka_unit_test(ids_answer_the_same_or_conflict),
        cmocka_unit_test(faults_name_their_side),
        cmocka_unit_test(a_cycle_gives_away_so_much),
        cmocka_unit_test(nothing_is_made_or_lost),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

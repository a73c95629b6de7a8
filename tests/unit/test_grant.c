/* Grants as they are given, voided and shown: times, ids, bounds, what is absorbed. */
#include "account_tools.h"
#include "quota/base/checked.h"
#include "quota/view/credits_view.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

static struct grant_report shown(const struct pair *pair, const char *id, int64_t at_us)
{
    struct account_view view;
    struct grant_report reports[16], found = {.stored = NULL};
    bool more;
    assert_int_equal(account_view_begin(&view, pair->account, &host, at_us), ACCOUNT_FAULT_NONE);
    uint32_t count = grants_report(&view, BYTES(""), 0, COUNT_OF(reports), reports, &more);
    assert_false(more);
    for (uint32_t i = 0; i < count; i++) {
        if (bytes_equal(grant_id(reports[i].stored), text_bytes(id))) found = reports[i];
    }
    account_view_end(&view);
    return found;
}

/* ---- times ----------------------------------------------------------------------------------------------- */

static struct moment after(int64_t us)
{
    return (struct moment){.kind = MOMENT_DURATION, .after_us = us};
}

static struct moment months(int64_t count)
{
    return (struct moment){.kind = MOMENT_PERIOD, .period = {.unit = PERIOD_MONTH, .count = count}};
}

static void grants_end_when_they_say(void **state)
{
    (void)state;
    const struct {
        const char *effective; /* NULL = now */
        struct moment expires;
        const char *ends; /* NULL = never */
        enum account_fault fault;
    } rows[] = {
        {NULL, {.kind = MOMENT_NONE}, NULL, ACCOUNT_FAULT_NONE},
        {NULL, after(36 * H), "2025-02-02T03:00:00", ACCOUNT_FAULT_NONE},
        /* months are clamped to the last day, and counted from when it begins */
        {NULL, months(1), "2025-02-28T15:00:00", ACCOUNT_FAULT_NONE},
        {NULL, months(3), "2025-04-30T15:00:00", ACCOUNT_FAULT_NONE},
        {"2025-03-15T00:00:00", months(1), "2025-04-15T00:00:00", ACCOUNT_FAULT_NONE},
        {"2025-01-15T00:00:00", months(1), "2025-02-15T00:00:00", ACCOUNT_FAULT_NONE}, /* it has begun before */
        /* the cycle of the longest LIMIT */
        {NULL, {.kind = MOMENT_CYCLE}, "2025-02-28T15:00:00", ACCOUNT_FAULT_NONE},
        /* it would end before it begins, or has ended */
        {"2025-01-10T00:00:00", after(D), NULL, ACCOUNT_FAULT_PAST},
        {"2025-03-15T00:00:00", {.kind = MOMENT_INSTANT, .at_us = 1}, NULL, ACCOUNT_FAULT_PAST},
        {"2025-03-15T00:00:00", {.kind = MOMENT_CYCLE}, NULL, ACCOUNT_FAULT_PAST},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pair pair = {0};
        struct grant_request request = gift("g", 10);
        plan_set("pro", "a LIMIT 10 day LIMIT 100 month");
        pair_open(&pair, "pro", T);
        if (rows[i].effective) request.effective_us = at(rows[i].effective);
        request.expires = rows[i].expires;
        pair_grant(&pair, &request, T);
        if (pair.decision.fault != rows[i].fault) fail_msg("row %zu: fault %d", i, (int)pair.decision.fault);
        if (rows[i].fault == ACCOUNT_FAULT_NONE) {
            int64_t ends_us = rows[i].ends ? at(rows[i].ends) : INSTANT_MAX_US;
            const struct stored_grant *stored = shown(&pair, "g", T).stored;
            if (stored->grant.expires_us != ends_us) fail_msg("row %zu ends elsewhere", i);
        }
        pair_end(&pair);
    }
    plan_drop("pro");
}

/* ---- ids ------------------------------------------------------------------------------------------------- */

static void an_id_answers_the_same_or_is_a_conflict(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct grant_request first = gift("g", 10), other;
    plan_set("pro", "a LIMIT 5 day | b LIMIT 5 day");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", 8, MODE_FORCE, NULL, T);
    first.expires = after(D);
    pair_grant(&pair, &first, T);
    for (int again = 0; again < 2; again++) { /* it pays for the 3 that were over */
        assert_int_equal(pair.decision.result.granted.credits, 7);
        assert_int_equal(pair.decision.result.granted.absorbed, 3);
        pair_grant(&pair, &first, T + 5 * S);
        assert_true(pair.decision.replayed);
    }
    other = first, other.amount = 11;
    pair_grant(&pair, &other, T);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    other = first, other.resource = BYTES("b");
    pair_grant(&pair, &other, T);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    other = first, other.promo = true;
    pair_grant(&pair, &other, T);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    other = first; /* the same end, written otherwise */
    other.expires = (struct moment){.kind = MOMENT_INSTANT, .at_us = T + D};
    pair_grant(&pair, &other, T);
    assert_fault(&pair, ACCOUNT_FAULT_CONFLICT);
    /* after its end the id is known for so long, and then free */
    pair_grant(&pair, &first, T + D + KEPT - 1);
    assert_true(pair.decision.replayed);
    pair_grant(&pair, &first, T + D + KEPT);
    assert_false(pair.decision.replayed);
    assert_int_equal(pair.decision.result.granted.credits, 10);
    pair_end(&pair);
    plan_drop("pro");
}

/* A grant that has begun, ended and been forgotten without being touched: its id is free, for any resource. */
static void an_id_is_free_again_that_nothing_has_touched(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        struct pair pair = {0};
        struct grant_request request = gift("g", 10);
        plan_set("pro", "a LIMIT 5 day | b LIMIT 5 day");
        pair_open(&pair, "pro", T);
        request.effective_us = T + H;
        request.expires = after(D);
        pair_grant(&pair, &request, T);
        if (other) request.resource = BYTES("b");
        pair_grant(&pair, &request, T + H + D + KEPT - 1);
        assert_fault(&pair, other ? ACCOUNT_FAULT_CONFLICT : ACCOUNT_FAULT_NONE);
        request.effective_us = NOT_REQUESTED;
        pair_grant(&pair, &request, T + H + D + KEPT);
        assert_fault(&pair, ACCOUNT_FAULT_NONE);
        assert_false(pair.decision.replayed);
        assert_int_equal(account_grants(pair.account)->count, 1);
        pair_end(&pair);
    }
    plan_drop("pro");
}

/* It begins, pays with all it has, ends and is forgotten before anything is written down: its id is free, and replicas
 * see it so. */
static void an_id_is_free_after_a_life_unseen(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct grant_request request = gift("g", 3);
    plan_set("pro", "a LIMIT 5 day");
    pair_open(&pair, "pro", T);
    pair_request_one(&pair, "a", 8, MODE_FORCE, NULL, T);
    request.effective_us = T + 2 * H;
    pair_grant(&pair, &request, T);
    pair_grant(&pair, &request, T + 2 * H + 2 * KEPT - 1);
    assert_true(pair.decision.replayed);
    pair_grant(&pair, &request, T + 2 * H + 2 * KEPT);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    assert_false(pair.decision.replayed);
    assert_int_equal(pair.decision.result.granted.credits, 3);
    pair_end(&pair);
    plan_drop("pro");
}

static void given_once_is_given_once_for_ever(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct grant_request request = gift("welcome", 10);
    plan_set("pro", "a LIMIT 5 day");
    pair_open(&pair, "pro", T);
    request.once = true;
    request.expires = after(D);
    pair_grant(&pair, &request, T);
    pair_settle(&pair, T + 400 * D);
    pair_consume(&pair, "a", 1, T + 401 * D);
    assert_int_equal(account_grants(pair.account)->count, 0);
    pair_grant(&pair, &request, T + 800 * D);
    assert_true(pair.decision.replayed);
    assert_int_equal(pair.decision.result.granted.credits, 10);
    pair_end(&pair);
    plan_drop("pro");
}

/* ---- voiding --------------------------------------------------------------------------------------------- */

static void voiding_takes_what_is_free(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct grant_request now = gift("now", 10), later = gift("later", 7);
    plan_set("pro", "a CREDITS");
    pair_open(&pair, "pro", T);
    later.effective_us = T + D;
    pair_grant(&pair, &now, T);
    pair_grant(&pair, &later, T);
    assert_int_equal(shown(&pair, "later", T).state, GRANT_STATE_PENDING);
    assert_int_equal(pair_consume(&pair, "a", 2, T), 2);
    pair_reserve(&pair, "h", "a", 3, H, T);
    pair_void(&pair, "now", T + S);
    assert_int_equal(pair.decision.result.voided, 5);
    assert_int_equal(shown(&pair, "now", T + S).state, GRANT_STATE_VOID);
    assert_int_equal(shown(&pair, "now", T + S).held, 3);
    pair_void(&pair, "now", T + S);
    assert_int_equal(pair.decision.result.voided, 0);
    assert_int_equal(pair_consume(&pair, "a", 1, T + S), 0);
    pair_commit(&pair, "h", 1, T + 2 * S); /* what is held can be used; what is released is lost */
    assert_int_equal(pair.decision.result.resolved.items[0].posted, 1);
    assert_int_equal(pair.decision.result.resolved.items[0].released, 2);
    assert_int_equal(pair.decision.result.resolved.items[0].remaining, 0);
    assert_null(shown(&pair, "now", T + 3 * S).stored);
    pair_void(&pair, "later", T + 3 * S);
    assert_int_equal(pair.decision.result.voided, 7);
    assert_int_equal(pair_consume(&pair, "a", 1, T + 2 * D), 0);
    pair_void(&pair, "never", T + 2 * D);
    assert_fault(&pair, ACCOUNT_FAULT_NO_SUCH_ID);
    pair_end(&pair);
    plan_drop("pro");
}

/* ---- bounds ---------------------------------------------------------------------------------------------- */

static void what_has_ended_makes_room(void **state)
{
    (void)state;
    struct pair pair = {0};
    char id[16];
    plan_set("pro", "a LIMIT 5 day");
    pair_open(&pair, "pro", T);
    for (int i = 0; i <= GRANTS_LIVE_MAX; i++) {
        snprintf(id, sizeof(id), "g%d", i);
        struct grant_request request = gift(id, 1);
        request.expires = after(D);
        pair_grant(&pair, &request, T);
        assert_fault(&pair, i < GRANTS_LIVE_MAX ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_GRANTS);
    }
    struct grant_request request = gift("new", 1);
    pair_grant(&pair, &request, T + D);
    assert_fault(&pair, ACCOUNT_FAULT_NONE);
    assert_int_equal(pair.decision.result.granted.credits, 1);
    request.resource = BYTES("none");
    request.id = BYTES("x");
    pair_grant(&pair, &request, T + D);
    assert_fault(&pair, ACCOUNT_FAULT_RESOURCE);
    pair_end(&pair);
    plan_drop("pro");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_end_when_they_say),
        cmocka_unit_test(an_id_answers_the_same_or_is_a_conflict),
        cmocka_unit_test(an_id_is_free_again_that_nothing_has_touched),
        cmocka_unit_test(an_id_is_free_after_a_life_unseen),
        cmocka_unit_test(given_once_is_given_once_for_ever),
        cmocka_unit_test(voiding_takes_what_is_free),
        cmocka_unit_test(what_has_ended_makes_room),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

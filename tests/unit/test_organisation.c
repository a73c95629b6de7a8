/* Who is whose member: joining, leaving, coming back, weights; what cannot be. */
#include "family_tools.h"

#define T (INT64_C(1000000000) * S)

static const struct admin_action by_ops = {.now_us = T + S, .actor = BYTES("ops")};

static bool is_member(const struct pair *pool, const char *name)
{
    const struct member *member = members_find(account_members(pool->account), text_bytes(name));
    return member && !member->has_left;
}

static void accounts_join_leave_and_come_back(void **state)
{
    (void)state;
    struct family family;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 100 day", "a LIMIT 100 day", T);
    assert_true(bytes_equal(account_parent(family.user.account), BYTES("team")));
    assert_true(is_member(&family.team, "user") && is_member(&family.firm, "team"));
    pair_consume(&family.user, "a", 7, T);
    pair_join(&family.user, T); /* again: nothing changes */
    assert_int_equal(family.user.decision.changes.size, 0);
    assert_int_equal(family.team.decision.changes.size, 0);
    pair_leave(&family.user, T);
    assert_int_equal(account_parent(family.user.account).size, 0);
    assert_false(is_member(&family.team, "user"));
    assert_int_equal(pair_used_by(&family.team, "user", "a", T), 7); /* kept for when it comes back */
    pair_leave(&family.user, T);
    assert_int_equal(family.user.decision.changes.size, 0);
    pair_join(&family.user, T);
    assert_true(is_member(&family.team, "user"));
    assert_int_equal(members_live(account_members(family.team.account)), 2);
    assert_int_equal(pair_used_by(&family.team, "user", "a", T), 7);
    family_end(&family);
}

static void parents_have_to_be_there_and_open(void **state)
{
    (void)state;
    struct account_decision decision;
    struct pair pool = {.name = "pool"};
    plan_set("p", "a LIMIT 100 day");
    member_joined_decide(NULL, &host, BYTES("x"), &by_ops, &decision);
    assert_int_equal(decision.fault, ACCOUNT_FAULT_MISSING);
    account_decision_end(&decision);
    member_left_decide(NULL, &host, BYTES("x"), &by_ops, &decision); /* it has no member to lose */
    assert_int_equal(decision.fault, ACCOUNT_FAULT_NONE);
    account_decision_end(&decision);
    parent_decide(NULL, &host, BYTES("pool"), &by_ops, &decision);
    assert_int_equal(decision.fault, ACCOUNT_FAULT_MISSING);
    account_decision_end(&decision);
    pair_open(&pool, "p", T);
    pair_state(&pool, ACCOUNT_CLOSED, T);
    member_joined_decide(pool.account, &host, BYTES("x"), &by_ops, &decision);
    assert_int_equal(decision.fault, ACCOUNT_FAULT_CLOSED);
    account_decision_end(&decision);
    pair_end(&pool);
}

static void members_have_weights(void **state)
{
    (void)state;
    struct family family;
    struct account_decision decision;
    family_begin(&family, "a LIMIT 100 day", "a LIMIT 100 day", "a LIMIT 100 day", T);
    weight_decide(family.team.account, &host, BYTES("user"), 5, &by_ops, &decision);
    assert_int_equal(decision.fault, ACCOUNT_FAULT_NONE);
    struct account_change change = account_decision_change(&decision);
    family.team.account = account_apply(family.team.account, &change);
    assert_int_equal(members_find(account_members(family.team.account), BYTES("user"))->weight, 5);
    account_decision_end(&decision);
    weight_decide(family.team.account, &host, BYTES("user"), 5, &by_ops, &decision);
    assert_int_equal(decision.changes.size, 0);
    account_decision_end(&decision);
    weight_decide(family.team.account, &host, BYTES("none"), 5, &by_ops, &decision);
    assert_int_equal(decision.fault, ACCOUNT_FAULT_NO_MEMBER);
    account_decision_end(&decision);
    family_end(&family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts_join_leave_and_come_back),
        cmocka_unit_test(parents_have_to_be_there_and_open),
        cmocka_unit_test(members_have_weights),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Counting at accounts above: which requests are decided from what is stored at every level, and which need views. What
 * both decide alike consume.c compares, in every test of this folder. */
#include "family_tools.h"
#include "quota/decide/count_above.h"

#define T at("2025-01-31T15:00:00")

/* Makes the family of a row what the row is about. */
typedef void prepare(struct family *family);

struct row {
    const char *firm, *team;
    prepare *prepare; /* NULL = nothing has happened since the user has consumed 1 */
    int64_t amount, later_us;
    bool counts;
    int64_t remaining; /* of the rule of this number, where it counts */
    int32_t rule;
};

static const struct lineage *lineage_of(struct family *family, struct lineage *lineage)
{
    *lineage = (struct lineage){.name = text_bytes(family->user.name), .count = 2};
    lineage->ancestors[0] =
        (struct ancestor){text_bytes(family->team.name), family->team.account, &family->team.decision};
    lineage->ancestors[1] =
        (struct ancestor){text_bytes(family->firm.name), family->firm.account, &family->firm.decision};
    return lineage;
}

static void run(const struct row *row, size_t number)
{
    struct family family;
    struct lineage lineage;
    struct counted_above counted;
    struct verdict_fold fold = {.begun = false};
    family_begin(&family, row->firm, row->team, "a LIMIT 50 1h", T);
    pair_consume(&family.user, "a", 1, T);
    if (row->prepare) row->prepare(&family);
    struct count_request request = {
        .resource = text_bytes("a"), .amount = row->amount, .mode = MODE_ALL, .now_us = T + row->later_us};
    account_decision_end(&family.team.decision);
    account_decision_end(&family.firm.decision);
    bool counts = count_above(lineage_of(&family, &lineage), &host, &request, 1, &fold, &counted);
    if (counts != row->counts) fail_msg("row %zu: %d", number, counts);
    if (counts && (fold.verdict.remaining != row->remaining || fold.verdict.rule != row->rule))
        fail_msg("row %zu: rule %d", number, fold.verdict.rule);
    if (counts) assert_int_equal(counted.rows[1][0].entitlement != NULL, family.firm.decision.changes.size > 0);
    if (!counts) account_decision_begin(&family.team.decision);
    if (!counts) account_decision_begin(&family.firm.decision);
    family_end(&family);
}

static void team_is_suspended(struct family *family)
{
    pair_suspend(&family->team, 2 * H, T);
}

static void firm_is_granted(struct family *family)
{
    struct grant_request request = gift("g", 5);
    pair_grant(&family->firm, &request, T);
}

static void share_is_used(struct family *family)
{
    pair_consume(&family->user, "a", 24, T);
}

static void other_has_used(struct family *family)
{
    pair_consume(&family->other, "a", 20, T);
}

static void levels_are_counted_at_once(void **state)
{
    static const struct row rows[] = {
        /* every level has room: the tightest of them is the rule, 100 x level + index */
        {"a LIMIT 100 day", "a LIMIT 40 day", NULL, 5, S, true, 34, 100},
        {"a LIMIT 30 day", "a LIMIT 40 day", NULL, 5, S, true, 24, 200},
        {"a LIMIT 30 day", "a LIMIT 40 day", other_has_used, 5, S, true, 4, 200},
        {"a LIMIT 30 day", "a LIMIT 40 day", other_has_used, 10, S, false, 0, 0},
        {"a LIMIT 30 day RATE GCRA 9 1h", "a LIMIT 40 day", NULL, 5, 0, true, 3, 201},
        /* one that does not know the resource is passed */
        {"b LIMIT 30 day", "a LIMIT 40 day", NULL, 5, S, true, 34, 100},
        {"a LIMIT 30 day", "b LIMIT 40 day", NULL, 5, S, true, 24, 200},
        /* a member's share: 50 of two members have 25 each */
        {"a LIMIT 100 day", "a LIMIT 50 day SHARE EQUAL", NULL, 5, S, true, 19, 199},
        {"a LIMIT 100 day", "a LIMIT 50 day SHARE EQUAL", share_is_used, 1, S, false, 0, 0},
        {"a LIMIT 100 day", "a LIMIT 50 day SHARE EQUAL", NULL, 5, D, false, 0, 0}, /* shares are made anew */
        {"a LIMIT 100 day", "a LIMIT -1 day SHARE EQUAL", NULL, 5, S, true, 94, 200},
        /* whatever else decides needs a view */
        {"a LIMIT 100 day", "a LIMIT 40 day", team_is_suspended, 5, S, false, 0, 0},
        {"a LIMIT 100 day", "a LIMIT 40 day", firm_is_granted, 5, S, false, 0, 0},
        {"a LIMIT 100 day BURST 10", "a LIMIT 40 day", NULL, 5, S, false, 0, 0},
        {"a LIMIT 100 day", "a AS b | b LIMIT 9 day", NULL, 5, S, false, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) run(&rows[i], i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(levels_are_counted_at_once, account_set_up, account_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Promises: rows of changes from outside that fit an account or do not. What is accepted leaves a value that its own
 * encoding says again. */
#include "account_tools.h"

#define T at("2025-01-31T15:00:00")

static bool survives(const struct sink *value)
{
    struct account *account = account_decode(sink_content(value));
    if (!account) return false;
    struct sink again = bytes_of(account);
    assert_same_bytes(&again, value);
    sink_free(&again);
    account_free(account);
    return true;
}

static bool accepted(const struct account *account, const struct change *changes, size_t count)
{
    struct sink bytes = {0};
    for (size_t i = 0; i < count; i++) change_encode(&changes[i], &bytes);
    struct account_change change = {T, sink_content(&bytes), ACCOUNT_ENCODING_NEWEST};
    bool answer = account_accepts(account, &change);
    if (answer) {
        struct sink value = bytes_of(account);
        struct account *twin = account_decode(sink_content(&value));
        twin = account_apply(twin, &change);
        struct sink after = bytes_of(twin);
        if (!survives(&after)) fail_msg("accepted changes leave a value that is refused");
        sink_free(&after);
        sink_free(&value);
        account_free(twin);
    }
    sink_free(&bytes);
    return answer;
}

struct row {
    struct change change;
    bool fits;
};

static void run_rows(const struct account *account, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (accepted(account, &rows[i].change, 1) != rows[i].fits) fail_msg("row %zu", i);
    }
}

/* A plan with one resource, of which a unit is used and a unit is held. */
static const struct plan *begin(struct pair *pair)
{
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(pair, "pro", T);
    pair_consume(pair, "a", 1, T);
    pair_reserve(pair, "r1", "a", 1, H, T);
    return pair->account->plan;
}

static void plans_lives_and_slots_have_to_fit(void **state)
{
    (void)state;
    struct pair pair = {0};
    const struct plan *plan = begin(&pair);
    const struct row rows[] = {
        {{.kind = CHANGE_PLAN, .bytes = plan->bytes}, true},
        {{.kind = CHANGE_PLAN, .bytes = BYTES("")}, false},
        {{.kind = CHANGE_PLAN, .bytes = BYTES("plan")}, false},
        {{.kind = CHANGE_NEXT, .bytes = plan->bytes, .until_us = 5}, true},
        {{.kind = CHANGE_NEXT, .bytes = BYTES("")}, true},
        {{.kind = CHANGE_NEXT, .bytes = BYTES(""), .until_us = 5}, false},
        {{.kind = CHANGE_NEXT, .bytes = plan->bytes, .until_us = 5, .how = SWITCH_HOW_RESTART}, true},
        {{.kind = CHANGE_NEXT, .bytes = plan->bytes, .until_us = 5, .how = SWITCH_HOWS_COUNT}, false},
        {{.kind = CHANGE_OVERRIDE, .bytes = plan->bytes}, true},
        {{.kind = CHANGE_OVERRIDE, .bytes = plan->bytes, .slot = 1}, false},
        {{.kind = CHANGE_OVERRIDE, .bytes = BYTES(""), .until_us = 5}, false},
        {{.kind = CHANGE_STATUS, .status = {ACCOUNT_LAPSED, 5, 6, 7, 8, false, BYTES("Europe/Berlin"), BYTES("pro")}},
         true},
        {{.kind = CHANGE_STATUS, .status = {ACCOUNT_STATES_COUNT, 5, 6, 7, 8, false, BYTES(""), BYTES("")}}, false},
        {{.kind = CHANGE_STATUS, .status = {ACCOUNT_ACTIVE, 5, 6, 7, 8, false, BYTES("../etc"), BYTES("")}}, false},
        {{.kind = CHANGE_STATUS, .status = {ACCOUNT_ACTIVE, -INSTANT_MAX_US - 1, 6, 7, 8, false, BYTES(""), BYTES("")}},
         false},
        {{.kind = CHANGE_SLOT, .bytes = BYTES("b")}, true},
        {{.kind = CHANGE_SLOT, .bytes = BYTES("a")}, false},
        {{.kind = CHANGE_SLOT, .bytes = BYTES("")}, false},
    };
    run_rows(pair.account, rows, COUNT_OF(rows));
    struct change twice[] = {{.kind = CHANGE_SLOT, .bytes = BYTES("b")}, {.kind = CHANGE_SLOT, .bytes = BYTES("b")}};
    assert_false(accepted(pair.account, twice, 2));
    pair_end(&pair);
    plan_drop("pro");
}

static void what_the_second_encoding_added_has_to_fit(void **state)
{
    (void)state;
    struct pair pair = {0};
    begin(&pair);
    struct plan_entry gone = {.revision = 9, .entitlement = entitlement_none(BYTES("c"))};
    struct sink entry = {0};
    plan_entry_encode(&gone, &entry);
    const struct row rows[] = {
        {{.kind = CHANGE_ENTITLEMENT, .bytes = {entry.data, entry.size}}, true},
        {{.kind = CHANGE_ENTITLEMENT, .bytes = {entry.data, entry.size - 1}}, false},
        {{.kind = CHANGE_ENTITLEMENT, .bytes = BYTES("")}, false},
        {{.kind = CHANGE_GENERATION, .amount = 7}, true},
        {{.kind = CHANGE_GENERATION, .slot = 1, .amount = 7}, false},
        {{.kind = CHANGE_REWOUND, .until_us = 5}, true},
        {{.kind = CHANGE_REWOUND}, false},
        {{.kind = CHANGE_SWEPT}, true},
    };
    run_rows(pair.account, rows, COUNT_OF(rows));
    sink_free(&entry);
    pair_end(&pair);
    plan_drop("pro");
}

static void windows_and_logs_have_to_fit(void **state)
{
    (void)state;
    struct pair pair = {0};
    uint64_t period = period_code(&begin(&pair)->entries[0].entitlement.rules[0].period);
    struct window window = window_of(&pair, "a", T), endless = window;
    struct closed_cycle closed = {.start_us = 5, .end_us = 7, .limit = 10, .count = 2}, crowded = closed;
    endless.start_us = 0;
    endless.end_us = INT64_MAX;
    crowded.count = 3; /* more than it has microseconds */
    const struct row rows[] = {
        {{.kind = CHANGE_WINDOW, .window = window}, true},
        {{.kind = CHANGE_WINDOW, .window = endless}, true},
        {{.kind = CHANGE_WINDOW, .slot = 1, .window = window}, false},
        {{.kind = CHANGE_CLOSED, .period = period, .closed = closed}, true},
        {{.kind = CHANGE_CLOSED, .period = period, .closed = crowded}, false},
        {{.kind = CHANGE_CLOSED, .period = UINT64_C(1) << 62, .closed = closed}, false},
        {{.kind = CHANGE_CYCLE_CORRECTED, .period = period, .closed = closed}, true},
        {{.kind = CHANGE_LOG_APPENDED, .period_us = H, .log = {.when_us = T, .amount = 5}}, true},
        {{.kind = CHANGE_LOG_APPENDED, .period_us = H, .log = {.when_us = 0, .amount = 5}}, false},
        {{.kind = CHANGE_LOG_APPENDED, .period_us = 0, .log = {.when_us = T, .amount = 5}}, false},
        {{.kind = CHANGE_RATES, .bytes = BYTES("rates")}, false},
    };
    run_rows(pair.account, rows, COUNT_OF(rows));
    struct change later[] = {{.kind = CHANGE_SLOT, .bytes = BYTES("b")},
                             {.kind = CHANGE_WINDOW, .slot = 1, .window = window}};
    assert_true(accepted(pair.account, later, 2));
    pair_end(&pair);
    plan_drop("pro");
}

static void reservations_and_records_have_to_fit(void **state)
{
    (void)state;
    struct pair pair = {0};
    begin(&pair);
    struct hold hold = account_hold(pair.account, BYTES("r1"))->hold, elsewhere = hold, immense = hold;
    elsewhere.slot = 1;
    immense.amount = immense.units = immense.requested = INT64_MAX;
    const struct row rows[] = {
        {{.kind = CHANGE_HOLD, .bytes = BYTES("r2"), .hold = hold}, true},
        {{.kind = CHANGE_HOLD, .bytes = BYTES("r2"), .hold = immense}, true},
        {{.kind = CHANGE_HOLD, .bytes = BYTES("r2"), .hold = elsewhere}, false},
        {{.kind = CHANGE_HOLD, .bytes = BYTES("r1"), .hold = hold}, false},
        {{.kind = CHANGE_HOLD_EXTENDED, .bytes = BYTES("r1"), .expires_us = T}, true},
        {{.kind = CHANGE_HOLD_EXTENDED, .bytes = BYTES("r2"), .expires_us = T}, false},
        {{.kind = CHANGE_HOLD_RESOLVED, .bytes = BYTES("r1"), .amount = 0}, true},
        {{.kind = CHANGE_RECORD, .bytes = BYTES("k"), .body = BYTES("b"), .expires_us = 5}, true},
        {{.kind = CHANGE_RECORD, .bytes = BYTES(""), .body = BYTES("b"), .expires_us = 5}, false},
        {{.kind = CHANGE_RECORD_PATCHED, .bytes = BYTES("k"), .body = BYTES("b")}, true},
        {{.kind = CHANGE_AUDIT, .audit = {.at_us = 5, .act = AUDIT_SET}}, true},
        {{.kind = CHANGE_AUDIT, .audit = {.at_us = 5, .act = AUDIT_ACTIONS_END}}, false},
    };
    run_rows(pair.account, rows, COUNT_OF(rows));
    struct change both[] = {{.kind = CHANGE_HOLD, .bytes = BYTES("r2"), .hold = immense},
                            {.kind = CHANGE_HOLD, .bytes = BYTES("r3"), .hold = immense}};
    assert_true(accepted(pair.account, both, 2));
    struct change again[] = {{.kind = CHANGE_HOLD_RESOLVED, .bytes = BYTES("r1")},
                             {.kind = CHANGE_HOLD_RESOLVED, .bytes = BYTES("r1")}};
    assert_false(accepted(pair.account, again, 2)); /* resolved once */
    pair_end(&pair);
    plan_drop("pro");
}

/* Parts of a reservation come one after another, in one step, and end together. */
static void parts_of_reservations_have_to_fit(void **state)
{
    (void)state;
    struct pair pair = {0};
    begin(&pair);
    const struct hold first = account_hold(pair.account, BYTES("r1"))->hold;
    static const struct {
        uint8_t part[2], item[2];
        bool same_id, same_end, fits;
    } rows[] = {
        {{0, 1}, {0, 1}, true, true, true},  /* a second resource */
        {{0, 1}, {0, 0}, true, true, true},  /* another part of the same one */
        {{0, 2}, {0, 1}, true, true, false}, /* one is left out */
        {{0, 1}, {0, 1}, false, true, false}, {{0, 1}, {0, 1}, true, false, false},
        {{1, 2}, {1, 2}, true, true, false}, /* without a first */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct change both[2];
        for (int k = 0; k < 2; k++) {
            both[k] = (struct change){.kind = CHANGE_HOLD, .bytes = BYTES("r2"), .hold = first};
            both[k].hold.part = rows[i].part[k];
            both[k].hold.item = rows[i].item[k];
        }
        if (!rows[i].same_id) both[1].bytes = BYTES("r3");
        if (!rows[i].same_end) both[1].hold.expires_us++;
        if (accepted(pair.account, both, 2) != rows[i].fits) fail_msg("row %zu", i);
    }
    pair_end(&pair);
    plan_drop("pro");
}

static void a_new_account_needs_a_plan(void **state)
{
    (void)state;
    plan_set("pro", "a LIMIT 10 1h");
    const struct plan *plan = plan_history_snapshot(host.find_plan(BYTES("pro")), T, T);
    struct sink bytes = {0};
    struct change life = {.kind = CHANGE_STATUS, .status = {.zone = BYTES(""), .then = BYTES("")}};
    struct change begin = {.kind = CHANGE_PLAN, .bytes = plan->bytes};
    change_encode(&life, &bytes);
    struct account_change change = {T, sink_content(&bytes), ACCOUNT_ENCODING_NEWEST};
    assert_false(account_accepts(NULL, &change));
    change_encode(&begin, &bytes);
    change.changes = sink_content(&bytes);
    assert_true(account_accepts(NULL, &change));
    change.applied_at_us = 0;
    assert_false(account_accepts(NULL, &change));
    sink_free(&bytes);
    plan_release(plan);
    plan_drop("pro");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_lives_and_slots_have_to_fit),
        cmocka_unit_test(what_the_second_encoding_added_has_to_fit),
        cmocka_unit_test(windows_and_logs_have_to_fit),
        cmocka_unit_test(reservations_and_records_have_to_fit),
        cmocka_unit_test(parts_of_reservations_have_to_fit),
        cmocka_unit_test(a_new_account_needs_a_plan),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

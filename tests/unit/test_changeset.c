/* Changesets: what a decision writes down is the difference to what is stored, and no more than that. */
#include "account_tools.h"
#include "quota/account/change_parts.h"
#include "quota/base/checked.h"
#include "quota/view/changeset.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

/* The kinds of the changes, in order, as text: "7 20 ". */
static void kinds_of(const struct sink *changes, char *text, size_t size)
{
    struct cursor cursor = cursor_init(sink_content(changes));
    struct change change;
    size_t at = 0;
    text[0] = '\0';
    while (!cursor_done(&cursor)) {
        change_decode(&cursor, ACCOUNT_ENCODING_NEWEST, &change);
        assert_false(cursor.bad);
        at += (size_t)snprintf(text + at, size - at, "%d ", (int)change.kind);
    }
}

#define assert_kinds(changes_, wanted_)                                                                                \
    do {                                                                                                               \
        char kinds_[200];                                                                                              \
        kinds_of((changes_), kinds_, sizeof(kinds_));                                                                  \
        assert_string_equal(kinds_, (wanted_));                                                                        \
    } while (0)

/* Settled as decisions do it: the account first. */
static void begin(struct look *look, const struct pair *pair, const char *resource, int64_t at_us)
{
    struct bytes name = text_bytes(resource);
    look->changes = (struct sink){0};
    assert_int_equal(account_view_begin(&look->account, pair->account, &host, at_us), ACCOUNT_FAULT_NONE);
    struct resource_names own = {&name, 1};
    assert_int_equal(emit_account(&look->account, own, &look->changes), ACCOUNT_FAULT_NONE);
    resource_view_begin(&look->account, name, &look->view);
    assert_int_equal(resource_view_settle(&look->account, &look->view, &look->changes), ACCOUNT_FAULT_NONE);
}

static void emit(struct look *look)
{
    assert_int_equal(emit_resource(&look->account, &look->view, &look->changes), ACCOUNT_FAULT_NONE);
}

static void most_requests_only_count(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    plan_set("pro", "a LIMIT 10 1h LIMIT 99 day WARN 80 | b LIMIT 5 1h");
    pair_open(&pair, "pro", T);
    /* the first use makes the slot and what is used of it */
    begin(&look, &pair, "a", T);
    window_charge(&look.view.windows[0], 1, 0, T);
    emit(&look);
    assert_kinds(&look.changes, "4 6 "); /* a window in which nothing happened is begun again by the rules */
    pair_write(&pair, &look);
    assert_int_equal(pair.account->slots[0].windows_count, 1);
    /* then a count is all */
    begin(&look, &pair, "a", T + S);
    window_charge(&look.view.windows[0], 1, 0, T + S);
    emit(&look);
    assert_kinds(&look.changes, "20 ");
    pair_write(&pair, &look);
    assert_int_equal(used_of(&pair, "a", T + S), 2);
    /* a warning is more than a count; and nothing is nothing */
    begin(&look, &pair, "a", T + S);
    window_charge(&look.view.windows[0], 6, 0, T + S);
    window_warn(&look.view.windows[0], look.view.entitlement);
    emit(&look);
    assert_kinds(&look.changes, "6 ");
    pair_write(&pair, &look);
    begin(&look, &pair, "a", T + 2 * S);
    emit(&look);
    assert_kinds(&look.changes, "");
    look_end(&look);
    pair_end(&pair);
}

/* Denials that only this server knows are no reason to write, but go with the next count. */
static void denials_go_with_the_next_count(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 4, T);
    struct change denied = {.kind = CHANGE_DENIED, .period = slot_window(&pair.account->slots[0], 0).period};
    account_apply_local(pair.account, &denied);
    begin(&look, &pair, "a", T + S);
    emit(&look);
    assert_kinds(&look.changes, "");
    window_charge(&look.view.windows[0], 1, 0, T + S);
    emit(&look);
    assert_kinds(&look.changes, "6 ");
    pair_write(&pair, &look);
    assert_int_equal(slot_window(&pair.twin->slots[0], 0).denied, 1);
    pair_end(&pair);
}

static void what_time_has_done_is_written_first(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    plan_drop("pro"); /* so that revisions begin anew */
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_override(&pair, "a LIMIT 30 1h", T + H / 2, T);
    pair_consume(&pair, "a", 4, T);
    plan_set_at("pro", "a LIMIT 20 1h", T + 10 * S, APPLY_FULL);
    begin(&look, &pair, "a", T + H);
    window_charge(&look.view.windows[0], 1, 0, T + H);
    emit(&look);
    assert_kinds(&look.changes, "8 21 5 6 "); /* closed, the plan's entry, no override any more, a window */
    pair_write(&pair, &look);
    assert_null(pair.account->slots[0].optional->override);
    assert_int_equal(plan_revision(pair.account->plan), 2);
    assert_int_equal(limit_of(&pair, "a", T + H), 20);
    /* where it is idle the window goes */
    begin(&look, &pair, "a", T + 2 * H);
    emit(&look);
    assert_kinds(&look.changes, "8 6 ");
    pair_write(&pair, &look);
    pair_end(&pair);
}

/* Where the account has moved, every resource is written down, but for the decision's own. */
static void a_move_writes_every_resource(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    plan_set("pro", "a LIMIT 10 2h | b LIMIT 10 2h | c LIMIT 10 2h");
    plan_set("team", "a LIMIT 20 2h | b LIMIT 20 2h | c LIMIT 20 2h | d LIMIT 20 2h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 1, T);
    pair_consume(&pair, "b", 1, T);
    struct switch_request move = {.plan = BYTES("team"), .mode = SWITCH_PRORATE, .at_us = T + H};
    struct admin_action action = {.now_us = T, .actor = BYTES("ops"), .reason = BYTES("")};
    pair_move(&pair, &move, &action);
    begin(&look, &pair, "a", T + H + S);
    /* the plan, no next one, b's window, slots for c and d that begin with a part of their limit */
    assert_kinds(&look.changes, "1 3 6 4 6 4 6 ");
    emit(&look);
    assert_kinds(&look.changes, "1 3 6 4 6 4 6 6 ");
    pair_write(&pair, &look);
    static const char *const names[] = {"a", "b", "c", "d"};
    static const int64_t limits[] = {15, 15, 15, 10};
    for (int i = 0; i < 4; i++) assert_int_equal(limit_of(&pair, names[i], T + H + S), limits[i]);
    pair_end(&pair);
}

static void an_account_begins(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    plan_set("free", "a LIMIT 10 1h");
    host.default_plan = BYTES("free");
    host.auto_open = true;
    begin(&look, &pair, "a", T);
    assert_kinds(&look.changes, "1 2 ");
    pair_write(&pair, &look);
    assert_int_equal(pair.account->anchor_us, T);
    pair_end(&pair);
    configuration_end();
}

static void generations_and_audit_entries(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 1, T);
    begin(&look, &pair, "a", T + S);
    emit_generation(&look.view, &look.changes);
    emit_generation(&look.view, &look.changes);
    assert_int_equal(look.view.generation, 2);
    emit_audit(&look.account, AUDIT_SET, look.view.index, 7, BYTES("ops"), BYTES("because"), &look.changes);
    assert_kinds(&look.changes, "22 22 19 ");
    pair_write(&pair, &look);
    assert_int_equal(pair.account->slots[0].optional->generation, 2);
    const struct account_optional *optional = pair.account->optional;
    const struct stored_audit_entry *newest = optional->audit[optional->audit_count - 1];
    struct cursor cursor = cursor_init((struct bytes){newest->bytes, newest->size});
    struct audit_entry entry;
    audit_entry_decode(&cursor, &entry);
    assert_int_equal(entry.at_us, T + S);
    assert_int_equal(entry.slot, 1); /* its number + 1 */
    assert_int_equal(entry.amount, 7);
    assert_true(bytes_equal(entry.reason, BYTES("because")));
    pair_end(&pair);
}

/* Rates go over to other rules at the instant of these, whenever they are checked. */
static void rates_are_taken_over(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    plan_set("pro", "a RATE GCRA 10 1h");
    pair_open(&pair, "pro", T);
    pair_consume(&pair, "a", 6, T);
    begin(&look, &pair, "a", T);
    emit(&look); /* nothing has changed */
    assert_kinds(&look.changes, "");
    look_end(&look);
    plan_set_at("pro", "a RATE GCRA 20 1h", T, APPLY_FULL);
    begin(&look, &pair, "a", T);
    assert_int_equal(look.view.rates_us, T);
    emit(&look);
    assert_kinds(&look.changes, "21 10 ");
    pair_write(&pair, &look);
    assert_int_equal(remaining_of(&pair, "a", T), 14);
    pair_end(&pair);
}

static void a_resource_more_than_there_may_be(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct look look;
    char name[8];
    plan_set("pro", "a LIMIT 10 1h");
    pair_open(&pair, "pro", T);
    for (int i = 0; i < ACCOUNT_SLOTS_MAX; i++) {
        struct sink bytes = {0};
        struct change change = {.kind = CHANGE_SLOT};
        change.bytes = (struct bytes){name, (size_t)snprintf(name, sizeof(name), "%d", i)};
        change_encode(&change, &bytes);
        struct account_change slot = {T, sink_content(&bytes), ACCOUNT_ENCODING_NEWEST};
        assert_true(account_accepts(pair.account, &slot));
        pair.account = account_apply(pair.account, &slot);
        sink_free(&bytes);
    }
    begin(&look, &pair, "a", T);
    assert_int_equal(emit_slot(&look.account, &look.view, &look.changes), ACCOUNT_FAULT_SLOTS);
    assert_int_equal(emit_resource(&look.account, &look.view, &look.changes), ACCOUNT_FAULT_SLOTS);
    look_end(&look);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(most_requests_only_count),
        cmocka_unit_test(denials_go_with_the_next_count),
        cmocka_unit_test(what_time_has_done_is_written_first),
        cmocka_unit_test(a_move_writes_every_resource),
        cmocka_unit_test(an_account_begins),
        cmocka_unit_test(generations_and_audit_entries),
        cmocka_unit_test(rates_are_taken_over),
        cmocka_unit_test(a_resource_more_than_there_may_be),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

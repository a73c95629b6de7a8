/* The codec of accounts: values after random commands, every truncation and every other byte refused or understood,
 * and effects that strangers write. */
#include "account_tools.h"
#include "quota/rate/limiter_codec.h"

#define T at("2025-01-31T15:00:00")

static const char *const resources[] = {"a", "b", "c"};

static void do_something(struct pair *pair, int64_t now_us)
{
    const char *resource = resources[random_below(3)];
    int64_t amount = 1 + random_below(9);
    char id[3] = {'x', (char)('A' + random_below(6)), '\0'};
    switch (random_below(16)) {
    case 0: pair_request_one(pair, resource, amount, MODE_FORCE, id, now_us); break;
    case 1: pair_request_one(pair, resource, amount, MODE_UPTO, id, now_us); break;
    case 2: pair_reserve(pair, id, resource, amount, amount * 6 * H, now_us); break;
    case 3: pair_commit(pair, id, random_between(-1, 3), now_us); break;
    case 4: pair_release(pair, id, now_us); break;
    case 5: pair_extend(pair, id, amount * H, now_us); break;
    case 6: pair_refund(pair, resource, amount, id, NULL, now_us); break;
    case 7: pair_refund(pair, resource, amount, NULL, id, now_us); break;
    case 8: pair_switch(pair, amount & 1 ? "pro" : "team", (enum switch_mode)(amount % 3), now_us); break;
    case 9: pair_override(pair, "a LIMIT 7 day LIMIT 5 month WARN 50", now_us + amount * D, now_us); break;
    case 10: pair_override(pair, "a", 0, now_us); break;
    case 11: pair_set(pair, resource, amount, now_us); break;
    case 12: pair_reset(pair, amount & 1 ? resource : NULL, now_us); break;
    case 13: pair_touch(pair, now_us); break;
    default: pair_request_one(pair, resource, amount, MODE_ALL, NULL, now_us); break;
    }
}

/* An account that has a bit of everything; what the pair checks after each command is the first test of all. */
static int64_t live(struct pair *pair, int steps)
{
    int64_t now_us = T;
    plan_set("pro",
             "a LIMIT 40 month PRORATE WARN 50 80 LIMIT 6 day | b LIMIT 20 week BURST 50 REPAY LIMIT 9 ROLLING 30h "
             "RATE GCRA 30 1h | c LIMIT 10 day GRACE 5h COST 3");
    plan_set("team", "a LIMIT 33 month | b LIMIT 7 day RATE LOG 5 1h RATE TOKEN 9 1d | d LIMIT 1 day");
    pair_open_with(pair, "pro", T, "Europe/Berlin", T + 400 * D, T);
    for (int i = 0; i < steps; i++) {
        now_us += random_below(5) ? random_between(0, 10 * H) : random_between(0, 9 * D);
        if (random_below(20) == 0) now_us -= H;
        do_something(pair, now_us);
    }
    return now_us;
}

static void values_survive_after_every_command(void **state)
{
    (void)state;
    for (int run = 0; run < 20; run++) {
        struct pair pair = {0};
        live(&pair, 150);
        pair_end(&pair);
    }
    catalogue_end();
}

static bool decodes_to_itself(struct bytes bytes)
{
    struct account *account = account_decode(bytes);
    if (!account) return false;
    struct sink again = bytes_of(account);
    if ((bytes.data[0] & 15) == ACCOUNT_ENCODING_NEWEST) {
        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.data, bytes.data, bytes.size);
    } else { /* what an earlier encoding says is written in the newest */
        assert_true(decodes_to_itself(sink_content(&again)));
    }
    sink_free(&again);
    account_free(account);
    return true;
}

static void mutated_values_are_refused_or_understood(void **state)
{
    (void)state;
    for (int run = 0; run < 3; run++) {
        struct pair pair = {0};
        live(&pair, 12 + 10 * run);
        struct sink bytes = bytes_of(pair.account);
        assert_true(decodes_to_itself(sink_content(&bytes)));
        for (size_t size = 0; size < bytes.size; size++)
            assert_false(decodes_to_itself((struct bytes){bytes.data, size}));
        for (size_t place = 0; place < bytes.size; place++) {
            for (int value = 1; value < 256; value += value < 4 || value > 250 ? 1 : 13) {
                bytes.data[place] = (char)(bytes.data[place] ^ value);
                decodes_to_itself(sink_content(&bytes));
                bytes.data[place] = (char)(bytes.data[place] ^ value);
            }
        }
        sink_byte(&bytes, 0);
        assert_false(decodes_to_itself(sink_content(&bytes)));
        sink_free(&bytes);
        pair_end(&pair);
    }
    catalogue_end();
}

/* Whatever is accepted leaves a value that survives its override encoding. */
static void take_effects(const struct sink *value, struct bytes wire)
{
    struct account_change change;
    struct event_sink events = {.level = EVENTS_USAGE};
    bool no_expire;
    if (!account_effects_decode(wire, &change, &no_expire)) return;
    change.events = &events;
    struct account *account = account_decode(sink_content(value));
    assert_non_null(account);
    if (account_accepts(account, &change)) {
        account = account_apply(account, &change);
        struct sink after = bytes_of(account);
        if (!decodes_to_itself(sink_content(&after))) fail_msg("accepted effects leave a value that is refused");
        sink_free(&after);
    }
    account_free(account);
    sink_free(&events.events);
}

static void mutated_effects_are_refused_or_understood(void **state)
{
    (void)state;
    for (int run = 0; run < 40; run++) {
        struct pair pair = {0};
        int64_t now_us = live(&pair, 10 + 3 * run);
        struct sink value = bytes_of(pair.account), wire = {0};
        for (int tries = 0; tries < 20 && wire.size == 0; tries++) {
            struct consume_item items[] = {{BYTES("a"), 1}, {BYTES("b"), 1}, {BYTES("c"), 1}};
            struct consume_request request = {.items = items,
                                              .count = 3,
                                              .batch = true,
                                              .any = tries > 2,
                                              .id = BYTES("y"),
                                              .now_us = now_us + (1 + tries) * 9 * D};
            account_decision_end(&pair.decision);
            consume_decide(pair.account, &host, &request, &pair.decision);
            struct account_change change = account_decision_change(&pair.decision);
            change.level = EVENTS_ALL;
            if (run % 2) change.first_event = (struct event_id){3, 1000};
            if (change.changes.size > 0) account_effects_encode(&change, false, &wire);
        }
        for (size_t place = 0; place < wire.size; place++) {
            for (int value_of = 1; value_of < 256; value_of += 37) {
                wire.data[place] = (char)(wire.data[place] ^ value_of);
                take_effects(&value, sink_content(&wire));
                wire.data[place] = (char)(wire.data[place] ^ value_of);
            }
            take_effects(&value, (struct bytes){wire.data, place});
        }
        sink_free(&value);
        sink_free(&wire);
        pair_end(&pair);
    }
    catalogue_end();
}

/* The id of the first event stands in front of the changes, and takes few bytes. */
static void effects_carry_the_id_of_their_first_event(void **state)
{
    (void)state;
    static const struct {
        enum event_level level;
        struct event_id id;
        bool fits;
    } rows[] = {{EVENTS_ALL, {1, 1}, true},
                {EVENTS_ADMIN, {7, INT64_C(1) << 34}, true},
                {EVENTS_USAGE, {INT64_MAX, INT64_MAX}, true},
                {EVENTS_NONE, {1, 1}, false},
                {EVENT_LEVELS_COUNT, {1, 1}, false},
                {EVENTS_ALL, {0, 1}, false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct account_change change = {T, BYTES("\x18"), ACCOUNT_ENCODING_NEWEST}, again;
        struct sink plain = {0}, wire = {0};
        bool no_expire;
        account_effects_encode(&change, false, &plain);
        assert_true(account_effects_decode(sink_content(&plain), &again, &no_expire));
        assert_int_equal(again.first_event.sequence, 0);
        change.first_event = rows[i].id;
        change.level = rows[i].level;
        account_effects_encode(&change, false, &wire);
        if (rows[i].id.epoch < 100 && rows[i].id.sequence <= INT64_C(1) << 34)
            assert_in_range(wire.size - plain.size, 4, 10);
        assert_int_equal(account_effects_decode(sink_content(&wire), &again, &no_expire), rows[i].fits);
        if (rows[i].fits) assert_int_equal(event_id_compare(again.first_event, rows[i].id), 0);
        if (rows[i].fits) assert_int_equal(again.level, rows[i].level);
        if (rows[i].fits) assert_true(bytes_equal(again.changes, change.changes));
        wire.data[0] = (char)((wire.data[0] & 0xf0) | ACCOUNT_ENCODING_ROLLOVER); /* was written without any */
        assert_true(!account_effects_decode(sink_content(&wire), &again, &no_expire) ||
                    again.first_event.sequence == 0);
        sink_free(&plain);
        sink_free(&wire);
    }
}

/* ---- what strangers write -------------------------------------------------------------------------------- */

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
        if (!decodes_to_itself(sink_content(&after))) fail_msg("accepted changes leave a value that is refused");
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
        {{.kind = CHANGE_STATUS, .status = {ACCOUNT_LAPSED, 5, 6, 7, 8, BYTES("Europe/Berlin"), BYTES("pro")}}, true},
        {{.kind = CHANGE_STATUS, .status = {ACCOUNT_STATES_COUNT, 5, 6, 7, 8, BYTES(""), BYTES("")}}, false},
        {{.kind = CHANGE_STATUS, .status = {ACCOUNT_ACTIVE, 5, 6, 7, 8, BYTES("../etc"), BYTES("")}}, false},
        {{.kind = CHANGE_STATUS, .status = {ACCOUNT_ACTIVE, -INSTANT_MAX_US - 1, 6, 7, 8, BYTES(""), BYTES("")}},
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

/* applied at 300, suspended, anchor -1, UTC, a nameless plan that has no resource; nothing else. In the first encoding
 * the anchor comes first, and the plan has a revision. */
static void the_bytes_are_these_for_ever(void **state)
{
    (void)state;
    static const char first[] = "\x41\xac\x02\x01\x01\x00\x04\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00";
    static const char second[] = "\x42\xac\x02\x01\x01\x00\x00\x00\x00\x00\x03\x02\x00\x00"
                                 "\x00\x00\x00\x00\x00\x00\x00";
    static const char third[] = "\x43\xac\x02\x01\x01\x00\x00\x00\x00\x00\x03\x02\x00\x00"
                                "\x00\x00\x00\x00\x00\x00\x00\x00";
    static const char fourth[] = "\x44\xac\x02\x01\x01\x00\x00\x00\x00\x00\x03\x02\x00\x00"
                                 "\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    static const char fifth[] = "\x45\xac\x02\x01\x01\x00\x00\x00\x00\x00\x03\x02\x00\x00"
                                "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    static const struct bytes golden[] = {{first, sizeof(first) - 1},
                                          {second, sizeof(second) - 1},
                                          {third, sizeof(third) - 1},
                                          {fourth, sizeof(fourth) - 1},
                                          {fifth, sizeof(fifth) - 1}};
    assert_int_equal(ACCOUNT_ENCODING_NEWEST, COUNT_OF(golden)); /* a new encoding needs a row */
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        struct account *account = account_decode(golden[i]);
        if (!account) fail_msg("row %zu", i);
        assert_int_equal(account->applied_at_us, 300);
        assert_int_equal(account->anchor_us, -1);
        assert_int_equal(account->state, ACCOUNT_SUSPENDED);
        assert_int_equal(account_deadline_us(account), INSTANT_MAX_US);
        struct sink newest = bytes_of(account);
        assert_true(bytes_equal(sink_content(&newest), golden[COUNT_OF(golden) - 1]));
        sink_free(&newest);
        account_free(account);
    }
}

/* An account carries limiters and plans inside. Where one of them is newer than the reader knows, only the account's
 * head can say so: each encoding of accounts has the encodings of these that it may carry. */
static void a_new_encoding_inside_needs_a_new_encoding_of_accounts(void **state)
{
    (void)state;
    static const struct {
        uint8_t limiter, plan;
    } inside[] = {
        [ACCOUNT_ENCODING_FIRST] = {ENCODING_LIMITER, PLAN_ENCODING_PLAN},
        [ACCOUNT_ENCODING_PLAN_HISTORY] = {ENCODING_SLEEPING, PLAN_ENCODING_ENTRIES},
        [ACCOUNT_ENCODING_CREDITS] = {ENCODING_SLEEPING, PLAN_ENCODING_CREDITS},
        [ACCOUNT_ENCODING_ROLLOVER] = {ENCODING_SLEEPING, PLAN_ENCODING_ROLLOVER},
        [ACCOUNT_ENCODING_ORGANISATIONS] = {ENCODING_SLEEPING, PLAN_ENCODING_NEWEST},
    };
    assert_int_equal(ACCOUNT_ENCODING_NEWEST + 1, COUNT_OF(inside));
    assert_int_equal(ENCODING_NEWEST, inside[ACCOUNT_ENCODING_NEWEST].limiter);
    assert_int_equal(PLAN_ENCODING_NEWEST, inside[ACCOUNT_ENCODING_NEWEST].plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_survive_after_every_command),
        cmocka_unit_test(mutated_values_are_refused_or_understood),
        cmocka_unit_test(effects_carry_the_id_of_their_first_event),
        cmocka_unit_test(mutated_effects_are_refused_or_understood),
        cmocka_unit_test(plans_lives_and_slots_have_to_fit),
        cmocka_unit_test(what_the_second_encoding_added_has_to_fit),
        cmocka_unit_test(windows_and_logs_have_to_fit),
        cmocka_unit_test(reservations_and_records_have_to_fit),
        cmocka_unit_test(parts_of_reservations_have_to_fit),
        cmocka_unit_test(a_new_account_needs_a_plan),
        cmocka_unit_test(the_bytes_are_these_for_ever),
        cmocka_unit_test(a_new_encoding_inside_needs_a_new_encoding_of_accounts),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

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
    configuration_end();
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
    configuration_end();
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
    configuration_end();
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
        cmocka_unit_test(the_bytes_are_these_for_ever),
        cmocka_unit_test(a_new_encoding_inside_needs_a_new_encoding_of_accounts),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

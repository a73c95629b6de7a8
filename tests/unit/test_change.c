/* Changes as bytes: every kind reads back, whole or not at all; what is accepted is written to the same bytes; what the
 * first encoding wrote is still read, and a new kind needs a new encoding. */
#include "account_tools.h"
#include "change_tools.h"

static struct api_key full_api_key(void)
{
    return (struct api_key){.digest = BYTES("0123456789abcdef0123456789abcdef"),
                            .name = BYTES("ci"),
                            .scopes = BYTES("\4read"),
                            .rules = BYTES(""),
                            .number = 41,
                            .created_us = 500,
                            .expires_us = 900,
                            .ended_us = 800,
                            .kept_us = 50,
                            .used_us = 600,
                            .end = API_KEY_ROTATED};
}

/* No segment, and a cycle: of the period day, which began at -1, 7 units. */
static const char full_bill[] = {0, 1, 1, 1, 7};

/* One of each kind, with something in each of its fields. */
static struct change change_of(enum change_kind kind)
{
    struct change change = {.kind = kind,
                            .slot = 200,
                            .bytes = BYTES("key"),
                            .body = BYTES("body"),
                            .period = day_code(),
                            .period_us = 77,
                            .expires_us = 900,
                            .until_us = 800,
                            .amount = 700,
                            .peak = 750,
                            .remaining = UNLIMITED,
                            .number = 41,
                            .outcome = HOLD_COMMITTED,
                            .how = SWITCH_HOW_RESTART};
    switch (kind) {
    case CHANGE_STATUS:
        change.status =
            (struct account_status){ACCOUNT_CLOSED, -5, 900, 950, 3, true, BYTES("Europe/Berlin"), BYTES("free")};
        break;
    case CHANGE_WINDOW: change.window = full_window(); break;
    case CHANGE_CLOSED:
    case CHANGE_CYCLE_CORRECTED: change.closed = (struct closed_cycle){-9, 900, UNLIMITED, 4, 3, 2, 5, 1}; break;
    case CHANGE_LOG_APPENDED:
    case CHANGE_LOG_REMOVED: change.log = (struct state){.when_us = 300, .amount = 5, .rest = -2}; break;
    case CHANGE_HOLD: change.hold = (struct hold){3, 4, 12, 500, 600, 50, 1, 0, 0, 6, {4, 10, 2, 0, 5000, 0}}; break;
    case CHANGE_MEMBER_HOLD:
        change.hold = (struct hold){3, 4, 12, 500, 600, 50, 1, 0, 7, 6, {4, 10, 2, 0, 5000, 0}, .of_member = true};
        break;
    case CHANGE_AUDIT: change.audit = (struct audit_entry){500, AUDIT_SET, 4, 9, BYTES("ops"), BYTES("because")}; break;
    case CHANGE_GRANT: change.grant = full_grant(); break;
    case CHANGE_BILL: change.bytes = (struct bytes){full_bill, sizeof(full_bill)}; break;
    case CHANGE_API_KEY: change.api_key = full_api_key(); break;
    default: break;
    }
    return change;
}

static struct sink encoded(const struct change *change)
{
    struct sink bytes = {0};
    change_encode(change, &bytes);
    return bytes;
}

static bool decodes_to_itself(struct bytes bytes, struct change *change)
{
    struct cursor cursor = cursor_init(bytes);
    change_decode(&cursor, ACCOUNT_ENCODING_NEWEST, change);
    if (!cursor_done(&cursor)) return false;
    struct sink again = encoded(change);
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    sink_free(&again);
    return true;
}

static void every_kind_reads_back(void **state)
{
    (void)state;
    struct change again;
    for (int kind = CHANGE_PLAN; kind < CHANGE_KINDS_END; kind++) {
        struct change change = change_of((enum change_kind)kind);
        struct sink bytes = encoded(&change);
        if (!decodes_to_itself(sink_content(&bytes), &again)) fail_msg("kind %d", kind);
        assert_int_equal(again.kind, kind);
        for (size_t size = 0; size < bytes.size; size++) {
            if (decodes_to_itself((struct bytes){bytes.data, size}, &again)) fail_msg("kind %d cut at %zu", kind, size);
        }
        for (size_t place = 0; place < bytes.size; place++) {
            for (int value = 1; value < 256; value++) {
                bytes.data[place] = (char)(bytes.data[place] ^ value);
                decodes_to_itself(sink_content(&bytes), &again);
                bytes.data[place] = (char)(bytes.data[place] ^ value);
            }
        }
        sink_free(&bytes);
    }
}

/* Such a change is refused. */
#define REFUSED(kind_, change_)                                                                                        \
    do {                                                                                                               \
        struct change bad = change_of(kind_);                                                                          \
        bad.change_;                                                                                                   \
        struct sink bytes = encoded(&bad);                                                                             \
        if (decodes_to_itself(sink_content(&bytes), &again)) fail_msg("%s", #change_);                                 \
        sink_free(&bytes);                                                                                             \
    } while (0)

static void numbers_stay_within_their_ranges(void **state)
{
    (void)state;
    struct change again;
    REFUSED(CHANGE_STATUS, status.state = ACCOUNT_STATES_COUNT);
    REFUSED(CHANGE_STATUS, status.anchor_us = INSTANT_MAX_US + 1);
    REFUSED(CHANGE_STATUS, status.expires_us = INSTANT_MAX_US + 1);
    REFUSED(CHANGE_STATUS, status.suspended_until_us = INSTANT_MAX_US + 1);
    REFUSED(CHANGE_STATUS, status.opened_us = INSTANT_MAX_US + 1);
    REFUSED(CHANGE_STATUS, status.zone = BYTES("/etc"));
    REFUSED(CHANGE_OVERRIDE, slot = ACCOUNT_SLOTS_MAX);
    REFUSED(CHANGE_OVERRIDE, bytes = BYTES("")); /* nothing, until */
    REFUSED(CHANGE_NEXT, bytes = BYTES(""));
    REFUSED(CHANGE_NEXT, how = SWITCH_HOWS_COUNT);
}

static void numbers_of_windows_and_cycles_stay_within_their_ranges(void **state)
{
    (void)state;
    struct change again;
    REFUSED(CHANGE_WINDOW, window.start_us = -INSTANT_MAX_US - 1);
    REFUSED(CHANGE_WINDOW, window.allowance.limit = ABSENT - 1);
    REFUSED(CHANGE_WINDOW, window.allowance.past_rest = 920); /* not less than the cycle is long */
    REFUSED(CHANGE_WINDOW, window.allowance.past = 101);      /* more than lies before the running part */
    REFUSED(CHANGE_WINDOW, window.allowance.since = 921);     /* behind the cycle's end */
    REFUSED(CHANGE_WINDOW, window.allowance.past_units = INT64_MIN);
    REFUSED(CHANGE_WINDOW, window.before_us = INSTANT_MAX_US + 1);
    REFUSED(CHANGE_WINDOW, window.warned_bp = ENTITLEMENT_PERCENT_MAX_BP + 1);
    REFUSED(CHANGE_WINDOW, window.over_since_us = INSTANT_MAX_US + 1);
    REFUSED(CHANGE_WINDOW, window.lines.line[1].generation = 3); /* lines ascend */
    REFUSED(CHANGE_WINDOW, window.period = 0x7fffffff);
    REFUSED(CHANGE_CLOSED, closed.limit = -2);
    REFUSED(CHANGE_CLOSED, closed.count = 2); /* not idle */
    REFUSED(CHANGE_CLOSED, period = 0x7fffffff);
}

static void numbers_of_records_and_reservations_stay_within_their_ranges(void **state)
{
    (void)state;
    struct change again;
    REFUSED(CHANGE_LOG_APPENDED, period_us = 0);
    REFUSED(CHANGE_LOG_APPENDED, log.when_us = 0);
    REFUSED(CHANGE_RECORD, bytes = BYTES(""));
    REFUSED(CHANGE_HOLD, hold.units = 3); /* fewer than the amount */
    REFUSED(CHANGE_HOLD, hold.requested = 3);
    REFUSED(CHANGE_HOLD, hold.made_us = 0);
    REFUSED(CHANGE_HOLD, hold.funding = BYTES("\0\5"));                      /* 5 of 12 units */
    REFUSED(CHANGE_HOLD, hold.part = 1; bad.hold.item = 2);                  /* items are numbered one by one */
    REFUSED(CHANGE_HOLD, hold.part = 1; bad.hold.levels = BYTES("\1p\0\0")); /* the first part says them */
    REFUSED(CHANGE_HOLD, hold.levels = BYTES("\2p\0\0"));
    REFUSED(CHANGE_MEMBER_HOLD, bytes = BYTES("m"));
    REFUSED(CHANGE_MEMBER_HOLD, hold.item = BATCH_ITEMS_MAX);
    REFUSED(CHANGE_MEMBER, bytes = BYTES(""));
    REFUSED(CHANGE_MEMBER, amount = 0);
    REFUSED(CHANGE_MEMBER, amount = MEMBER_WEIGHT_MAX + 1);
    REFUSED(CHANGE_MEMBER_LEFT, number = 0);
    REFUSED(CHANGE_HOLDS_RESOLVED, bytes = BYTES(""));
    REFUSED(CHANGE_HOLD_RESOLVED, remaining = UNLIMITED - 1);
    REFUSED(CHANGE_GRANT, grant.number = 0);
    REFUSED(CHANGE_GRANT, grant.amount = 0);
    REFUSED(CHANGE_GRANT, grant.flags = GRANT_FLAGS_ALL + 1);
    REFUSED(CHANGE_GRANT, grant.expiry = GRANT_EXPIRIES_COUNT);
    REFUSED(CHANGE_GRANT, grant.expires_us = 0);
    REFUSED(CHANGE_GRANT, grant.effective_us = INSTANT_MAX_US + 1);
    REFUSED(CHANGE_GRANT, grant.every = 0x7fffffff);
    REFUSED(CHANGE_AUDIT, audit.act = AUDIT_ACTIONS_END);
    REFUSED(CHANGE_API_KEY, api_key.digest.size = 31);
    REFUSED(CHANGE_API_KEY, api_key.scopes = BYTES("\5read"));
    REFUSED(CHANGE_API_KEY, api_key.rules = BYTES("\1"));
    REFUSED(CHANGE_API_KEY, api_key.end = API_KEY_ENDS_COUNT);
    REFUSED(CHANGE_API_KEY, api_key.ended_us = 0); /* it has ended */
    REFUSED(CHANGE_API_KEY, api_key.number = 0);
    REFUSED(CHANGE_API_KEY, api_key.expires_us = INSTANT_MAX_US + 1);
    REFUSED(CHANGE_AUDIT, audit.at_us = 0);
}
#undef REFUSED

/* ---- encodings ------------------------------------------------------------------------------------------- */

/* The highest kind that each encoding knows. What an encoding once knew never changes: a new kind of change gets a new
 * encoding, and a row here. */
static const uint8_t highest_kind_of[] = {
    [ACCOUNT_ENCODING_FIRST] = 20,         /* CHANGE_USED */
    [ACCOUNT_ENCODING_PLAN_HISTORY] = 24,  /* CHANGE_SWEPT */
    [ACCOUNT_ENCODING_CREDITS] = 30,       /* CHANGE_TRANSFERRED */
    [ACCOUNT_ENCODING_ROLLOVER] = 35,      /* CHANGE_API_KEY_RATES */
    [ACCOUNT_ENCODING_ORGANISATIONS] = 46, /* CHANGE_CREDITED */
};

static void a_new_kind_needs_a_new_encoding(void **state)
{
    (void)state;
    if (COUNT_OF(highest_kind_of) != ACCOUNT_ENCODING_NEWEST + 1) fail_msg("the newest encoding has no row");
    if (highest_kind_of[ACCOUNT_ENCODING_NEWEST] != CHANGE_KINDS_END - 1) {
        fail_msg("kinds end at %d now: they need a new ACCOUNT_ENCODING_NEWEST", CHANGE_KINDS_END - 1);
    }
    assert_int_equal(CHANGE_USED, highest_kind_of[ACCOUNT_ENCODING_FIRST]); /* kinds are never renumbered */
    assert_int_equal(CHANGE_SWEPT, highest_kind_of[ACCOUNT_ENCODING_PLAN_HISTORY]);
    assert_int_equal(CHANGE_TRANSFERRED, highest_kind_of[ACCOUNT_ENCODING_CREDITS]);
    for (uint8_t kind = CHANGE_USED + 1; kind < CHANGE_KINDS_END; kind++) {
        struct change change = change_of((enum change_kind)kind), again;
        struct sink bytes = encoded(&change);
        for (uint8_t encoding = ACCOUNT_ENCODING_FIRST; encoding < ACCOUNT_ENCODING_NEWEST; encoding++) {
            struct cursor cursor = cursor_init(sink_content(&bytes));
            change_decode(&cursor, encoding, &again);
            assert_int_equal(cursor.bad, kind > highest_kind_of[encoding]);
        }
        sink_free(&bytes);
    }
}

static void write_numbers(struct sink *sink, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) sink_number(sink, numbers[i]);
}

/* Slot 200 and the code of a day, as so many kinds begin. */
static void write_place(struct sink *sink)
{
    sink_number(sink, 200);
    sink_number(sink, (int64_t)day_code());
}

/* Behind slot and period: start, length, limit, used, what PRORATE has added, which others follow, and those: the
 * fraction of what PRORATE has added, debt, refunded, denied, peak, over since, warned. */
static void write_first_window(struct sink *sink)
{
    static const int64_t rare[] = {7, 7, 2, 1, 6, 400, 8000};
    sink_signed(sink, -9);
    sink_number(sink, 909);
    sink_signed(sink, 10);
    sink_number(sink, 4);
    sink_signed(sink, -3);
    sink_byte(sink, 127);
    write_numbers(sink, rare, COUNT_OF(rare));
}

static void write_closed(struct sink *sink)
{
    static const int64_t numbers[] = {4, 3, 2, 5, 1}; /* used, refunded, denied, peak, count */
    write_place(sink);
    sink_signed(sink, -9);
    sink_number(sink, 909);
    sink_signed(sink, UNLIMITED);
    write_numbers(sink, numbers, COUNT_OF(numbers));
}

static void write_hold(struct sink *sink)
{
    static const int64_t numbers[] = {3, 4, 12, 500, 100, 50}, verdict[] = {10, 2, 0, 5, 0};
    write_numbers(sink, numbers, COUNT_OF(numbers)); /* slot, amount, units, made, lifetime, kept */
    sink_byte(sink, 1);
    sink_number(sink, 6);
    sink_number(sink, 4);
    for (size_t i = 0; i < COUNT_OF(verdict); i++) sink_signed(sink, verdict[i]);
}

static void write_log(struct sink *sink)
{
    static const int64_t numbers[] = {200, 77, 300, 5}; /* slot, length of the window, when, amount */
    write_numbers(sink, numbers, COUNT_OF(numbers));
    sink_signed(sink, -2);
}

static void write_status(struct sink *sink)
{
    sink_byte(sink, ACCOUNT_CLOSED);
    sink_signed(sink, -5);
    sink_number(sink, 900);
    sink_bytes(sink, BYTES("Europe/Berlin"));
}

static void write_audit(struct sink *sink)
{
    sink_number(sink, 500);
    sink_byte(sink, AUDIT_SET);
    sink_number(sink, 4);
    sink_number(sink, 9);
    sink_bytes(sink, BYTES("ops"));
    sink_bytes(sink, BYTES("because"));
}

/* Kinds made of numbers and bytes alone: `n…` the numbers in front, then a key, then a body, then numbers again. */
static void write_simple(struct sink *sink, enum change_kind kind)
{
    static const struct {
        int64_t before[2];
        int before_count;
        bool key, body;
        int64_t after[2];
        int after_count;
    } rows[CHANGE_USED + 1] = {
        [CHANGE_PLAN] = {.key = true},
        [CHANGE_NEXT] = {.before = {800}, .before_count = 1, .key = true},
        [CHANGE_SLOT] = {.key = true},
        [CHANGE_OVERRIDE] = {.before = {200, 800}, .before_count = 2, .key = true},
        [CHANGE_RATES] = {.before = {200}, .before_count = 1, .key = true},
        [CHANGE_RESOURCE_RESET] = {.before = {200}, .before_count = 1},
        [CHANGE_RECORD] = {.before = {900}, .before_count = 1, .key = true, .body = true},
        [CHANGE_RECORD_PATCHED] = {.key = true, .body = true},
        [CHANGE_HOLD_EXTENDED] = {.key = true, .after = {900}, .after_count = 1},
        [CHANGE_HOLD_RESOLVED] = {.key = true, .after = {HOLD_COMMITTED, 700}, .after_count = 2},
    };
    write_numbers(sink, rows[kind].before, (size_t)rows[kind].before_count);
    if (rows[kind].key) sink_bytes(sink, BYTES("key"));
    if (rows[kind].body) sink_bytes(sink, BYTES("body"));
    write_numbers(sink, rows[kind].after, (size_t)rows[kind].after_count);
}

/* The change that change_of makes, as the first encoding wrote it. */
static void write_first(struct sink *sink, enum change_kind kind)
{
    sink_byte(sink, (uint8_t)kind);
    switch (kind) {
    case CHANGE_STATUS: write_status(sink); break;
    case CHANGE_WINDOW:
        write_place(sink);
        write_first_window(sink);
        break;
    case CHANGE_WINDOW_REMOVED: write_place(sink); break;
    case CHANGE_CLOSED:
    case CHANGE_CYCLE_CORRECTED: write_closed(sink); break;
    case CHANGE_LOG_APPENDED:
    case CHANGE_LOG_REMOVED: write_log(sink); break;
    case CHANGE_HOLD:
        sink_bytes(sink, BYTES("key"));
        write_hold(sink);
        break;
    case CHANGE_AUDIT: write_audit(sink); break;
    case CHANGE_USED:
        write_place(sink);
        sink_number(sink, 700);
        sink_number(sink, 750);
        break;
    default: write_simple(sink, kind);
    }
}

/* What the first encoding did not say. */
static struct change without_news(struct change change)
{
    change.how = SWITCH_HOW_FULL;
    change.remaining = 0;
    if (change.kind == CHANGE_STATUS) {
        change.status.suspended_until_us = change.status.opened_us = 0;
        change.status.then = BYTES("");
        change.status.restarted = false;
    }
    if (change.kind == CHANGE_WINDOW) {
        change.window.allowance.since = change.window.allowance.past = 0;
        change.window.lines.count = 0;
        change.window.before_us = 0;
    }
    if (change.kind == CHANGE_HOLD_RESOLVED) change.charged.count = CHARGED_ALL;
    return change;
}

static void the_first_encoding_is_still_read(void **state)
{
    (void)state;
    for (int kind = CHANGE_PLAN; kind <= CHANGE_USED; kind++) {
        struct change wanted = without_news(change_of((enum change_kind)kind)), read;
        struct sink bytes = {0}, newest = encoded(&wanted);
        write_first(&bytes, (enum change_kind)kind);
        struct cursor cursor = cursor_init(sink_content(&bytes));
        change_decode(&cursor, ACCOUNT_ENCODING_FIRST, &read);
        if (!cursor_done(&cursor)) fail_msg("kind %d", kind);
        struct sink again = encoded(&read);
        if (!bytes_equal(sink_content(&again), sink_content(&newest))) fail_msg("kind %d says something else", kind);
        for (size_t size = 0; size < bytes.size; size++) {
            cursor = cursor_init((struct bytes){bytes.data, size});
            change_decode(&cursor, ACCOUNT_ENCODING_FIRST, &read);
            assert_false(cursor_done(&cursor));
        }
        sink_free(&bytes);
        sink_free(&newest);
        sink_free(&again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_reads_back),
        cmocka_unit_test(numbers_stay_within_their_ranges),
        cmocka_unit_test(numbers_of_windows_and_cycles_stay_within_their_ranges),
        cmocka_unit_test(numbers_of_records_and_reservations_stay_within_their_ranges),
        cmocka_unit_test(a_new_kind_needs_a_new_encoding),
        cmocka_unit_test(the_first_encoding_is_still_read),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* Changes as bytes: every kind reads back, whole or not at all; what is accepted is written to the same bytes. */
#include "account_tools.h"

static struct period day_period(void)
{
    return (struct period){.unit = PERIOD_DAY, .count = 1};
}

/* One of each kind, with something in each of its fields. */
static struct change change_of(enum change_kind kind)
{
    struct period period = day_period();
    struct change change = {.kind = kind, .slot = 200, .bytes = BYTES("key"), .body = BYTES("Europe/Berlin")};
    change.period = period_code(&period);
    change.period_us = 77;
    change.anchor_us = -5;
    change.expires_us = 900;
    change.until_us = 800;
    change.amount = 700;
    change.state = ACCOUNT_CLOSED;
    change.outcome = HOLD_EXPIRED;
    switch (kind) {
    case CHANGE_WINDOW:
        change.window = (struct window){change.period, -9, 900, 10, 4, -3, 7, 2, 1, 6, 5, 400, 8000};
        break;
    case CHANGE_CLOSED:
    case CHANGE_CYCLE_CORRECTED: change.closed = (struct closed_cycle){-9, 900, UNLIMITED, 4, 3, 2, 5, 1}; break;
    case CHANGE_LOG_APPENDED:
    case CHANGE_LOG_REMOVED: change.log = (struct state){.when_us = 300, .amount = 5, .rest = -2}; break;
    case CHANGE_HOLD: change.hold = (struct hold){3, 4, 12, 500, 600, 50, 1, 6, {4, 10, 2, 0, 5000, 0}}; break;
    case CHANGE_AUDIT: change.note = (struct audit_entry){500, AUDIT_SET, 4, 9, BYTES("ops"), BYTES("because")}; break;
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
    change_decode(&cursor, change);
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

static void windows_say_only_what_they_have(void **state)
{
    (void)state;
    struct period period = day_period();
    struct window window = {.period = period_code(&period), .end_us = 100, .limit = 10}, again;
    struct sink plain = {0}, full = {0};
    window_encode(&window, &plain);
    assert_int_equal(plain.size, 7);
    window.end_us = INT64_MAX; /* as long as for ever is */
    window.used = 4;
    window.peak = 5;
    window_encode(&window, &full);
    struct cursor cursor = cursor_init(sink_content(&full));
    window_decode(&cursor, &again);
    assert_true(cursor_done(&cursor));
    assert_memory_equal(&again, &window, sizeof(window));
    sink_free(&plain);
    sink_free(&full);
}

static void numbers_stay_within_their_ranges(void **state)
{
    (void)state;
    struct change again;
#define REFUSED(kind_, change_)                                                                                        \
    do {                                                                                                               \
        struct change bad = change_of(kind_);                                                                          \
        bad.change_;                                                                                                   \
        struct sink bytes = encoded(&bad);                                                                             \
        if (decodes_to_itself(sink_content(&bytes), &again)) fail_msg("%s", #change_);                                 \
        sink_free(&bytes);                                                                                             \
    } while (0)
    REFUSED(CHANGE_STATUS, state = ACCOUNT_STATES_COUNT);
    REFUSED(CHANGE_STATUS, anchor_us = INSTANT_MAX_US + 1);
    REFUSED(CHANGE_STATUS, expires_us = INSTANT_MAX_US + 1);
    REFUSED(CHANGE_STATUS, body = BYTES("/etc"));
    REFUSED(CHANGE_OVERRIDE, slot = ACCOUNT_SLOTS_MAX);
    REFUSED(CHANGE_OVERRIDE, bytes = BYTES("")); /* nothing, until */
    REFUSED(CHANGE_NEXT, bytes = BYTES(""));
    REFUSED(CHANGE_WINDOW, window.delta_rest = 909);
    REFUSED(CHANGE_WINDOW, window.start_us = -INSTANT_MAX_US - 1);
    REFUSED(CHANGE_WINDOW, window.limit = -2);
    REFUSED(CHANGE_WINDOW, window.delta = INT64_MIN);
    REFUSED(CHANGE_WINDOW, window.warned_bp = ENTITLEMENT_PERCENT_MAX_BP + 1);
    REFUSED(CHANGE_WINDOW, window.period = 0x7fffffff);
    REFUSED(CHANGE_CLOSED, closed.limit = -2);
    REFUSED(CHANGE_CLOSED, closed.count = 2); /* not idle */
    REFUSED(CHANGE_CLOSED, period = 0x7fffffff);
    REFUSED(CHANGE_LOG_APPENDED, period_us = 0);
    REFUSED(CHANGE_LOG_APPENDED, log.when_us = 0);
    REFUSED(CHANGE_RECORD, bytes = BYTES(""));
    REFUSED(CHANGE_HOLD, hold.units = 3); /* fewer than the amount */
    REFUSED(CHANGE_HOLD, hold.asked = 3);
    REFUSED(CHANGE_HOLD, hold.made_us = 0);
    REFUSED(CHANGE_HOLD_RESOLVED, outcome = 0);
    REFUSED(CHANGE_AUDIT, note.act = AUDIT_ACTIONS_END);
    REFUSED(CHANGE_AUDIT, note.at_us = 0);
#undef REFUSED
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_reads_back),
        cmocka_unit_test(windows_say_only_what_they_have),
        cmocka_unit_test(numbers_stay_within_their_ranges),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

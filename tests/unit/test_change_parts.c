/* Parts of changes and accounts as bytes: each reads back whole or not at all, and says only what it has. */
#include "account_tools.h"
#include "change_tools.h"
#include "quota/account/change_parts.h"

/* A part of any kind, by its two functions. */
struct part {
    union {
        struct window window;
        struct closed_cycle closed;
        struct state log;
        struct hold hold;
        struct grant grant;
        struct audit_entry audit;
        struct account_status status;
    };
};
#define PART(name_, encode_, decode_)                                                                                  \
    static void write_##name_(const struct part *part, struct sink *sink)                                              \
    {                                                                                                                  \
        encode_;                                                                                                       \
    }                                                                                                                  \
    static void read_##name_(struct cursor *cursor, struct part *part)                                                 \
    {                                                                                                                  \
        decode_;                                                                                                       \
    }
PART(window, window_encode(&part->window, sink), window_decode(cursor, ACCOUNT_ENCODING_NEWEST, &part->window))
PART(closed, closed_encode(&part->closed, sink), closed_decode(cursor, &part->closed))
PART(log, log_encode(&part->log, sink), log_decode(cursor, &part->log))
PART(hold, hold_encode(&part->hold, sink), hold_decode(cursor, &part->hold))
PART(grant, grant_encode(&part->grant, sink), grant_decode(cursor, &part->grant))
PART(audit, audit_entry_encode(&part->audit, sink), audit_entry_decode(cursor, &part->audit))
PART(status, account_status_encode(&part->status, sink),
     account_status_decode(cursor, ACCOUNT_ENCODING_NEWEST, &part->status))
#undef PART

struct codec {
    void (*write)(const struct part *part, struct sink *sink);
    void (*read)(struct cursor *cursor, struct part *part);
};
static const struct codec window_codec = {write_window, read_window}, closed_codec = {write_closed, read_closed},
                          log_codec = {write_log, read_log}, hold_codec = {write_hold, read_hold},
                          grant_codec = {write_grant, read_grant}, audit_codec = {write_audit, read_audit},
                          status_codec = {write_status, read_status};

/* Accepted bytes are written again to the very same; answers whether they were. */
static bool reads_back(const struct codec *codec, struct bytes bytes)
{
    struct part part;
    struct cursor cursor = cursor_init(bytes);
    codec->read(&cursor, &part);
    if (!cursor_done(&cursor)) return false;
    struct sink again = {0};
    codec->write(&part, &again);
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    sink_free(&again);
    return true;
}

/* Whole; not when it is cut; with another byte it is refused, or another part. */
static void check(const struct codec *codec, const struct part *part)
{
    struct sink bytes = {0};
    codec->write(part, &bytes);
    assert_true(reads_back(codec, sink_content(&bytes)));
    for (size_t size = 0; size < bytes.size; size++) assert_false(reads_back(codec, (struct bytes){bytes.data, size}));
    for (size_t place = 0; place < bytes.size; place++) {
        for (int value = 1; value < 256; value++) {
            bytes.data[place] = (char)(bytes.data[place] ^ value);
            (void)reads_back(codec, sink_content(&bytes));
            bytes.data[place] = (char)(bytes.data[place] ^ value);
        }
    }
    sink_free(&bytes);
}

static void every_part_reads_back(void **state)
{
    (void)state;
    const struct verdict answered = {4, 10, 2, 0, 5000, 0};
    check(&window_codec, &(struct part){.window = full_window()});
    check(&closed_codec, &(struct part){.closed = {-9, 900, UNLIMITED, 4, 3, 2, 5, 1}});
    check(&closed_codec, &(struct part){.closed = {.start_us = 9, .end_us = 900, .limit = 10, .count = 7}});
    check(&log_codec, &(struct part){.log = {.when_us = 300, .amount = 5, .rest = -2}});
    check(&hold_codec, &(struct part){.hold = {3, 4, 12, 500, 600, 50, 1, 0, 0, 6, answered}});
    check(&hold_codec, &(struct part){.hold = {3, 4, 12, 500, 600, 50, 1, 2, 1, 6, answered}}); /* the third part */
    check(&hold_codec, &(struct part){.hold = {3, 4, 12, 500, 600, 50, 1, 0, 7, 6, answered, .of_member = true}});
    check(&grant_codec, &(struct part){.grant = full_grant()});
    check(&audit_codec, &(struct part){.audit = {500, AUDIT_SET, 4, 9, BYTES("ops"), BYTES("because")}});
    check(&audit_codec, &(struct part){.audit = {500, AUDIT_OPEN, 0, 0, BYTES(""), BYTES("")}});
    check(&status_codec,
          &(struct part){.status = {ACCOUNT_CLOSED, -5, 900, 950, 3, true, BYTES("Europe/Berlin"), BYTES("free")}});
    check(&status_codec, &(struct part){.status = {ACCOUNT_ACTIVE, 5, 0, 0, 0, false, BYTES(""), BYTES("")}});
}

/* Every set of rare parts of a window, and of a grant. */
static void every_mask_reads_back(void **state)
{
    (void)state;
    const struct window full = full_window();
    for (unsigned mask = 0; mask < 512; mask++) {
        struct window window = full;
        if (mask & 1) window.debt = 0;
        if (mask & 2) window.refunded = 0;
        if (mask & 4) window.denied = 0;
        if (mask & 8) window.peak = 0;
        if (mask & 16) window.over_since_us = 0;
        if (mask & 32) window.warned_bp = 0;
        if (mask & 64) window.allowance = (struct allowance){.limit = 10};
        if (mask & 128) window.lines.count = 0;
        if (mask & 256) window.before_us = 0;
        struct sink bytes = {0};
        window_encode(&window, &bytes);
        assert_true(reads_back(&window_codec, sink_content(&bytes)));
        sink_free(&bytes);
    }
    for (unsigned mask = 0; mask < 32; mask++) {
        struct grant grant = full_grant();
        if (mask & 1) grant.expiry = GRANT_EXPIRES_NEVER, grant.expiry_value = 0, grant.expires_us = INSTANT_MAX_US;
        if (mask & 2) grant.given_effective_us = 0, grant.effective_us = grant.since_us = grant.created_us;
        if (mask & 4) grant.every = 0, grant.since_us = grant.effective_us, grant.recurs_us = 0;
        if (mask & 8) grant.used_us = 0;
        if (mask & 16) grant.replied_absorbed = 0;
        struct sink bytes = {0};
        grant_encode(&grant, &bytes);
        assert_true(reads_back(&grant_codec, sink_content(&bytes)));
        sink_free(&bytes);
    }
}

static void windows_say_only_what_they_have(void **state)
{
    (void)state;
    struct window window = {.period = day_code(), .end_us = 100, .allowance = {.limit = 10}, .cover = NOT_COVERED},
                  again;
    struct sink plain = {0}, full = {0};
    window_encode(&window, &plain);
    assert_int_equal(plain.size,
                     6);       /* Behind slot and period: start, length, limit, used, and that nothing else follows */
    window.end_us = INT64_MAX; /* as long as for ever is */
    window.used = 4;
    window.peak = 5;
    window_encode(&window, &full);
    struct cursor cursor = cursor_init(sink_content(&full));
    window_decode(&cursor, ACCOUNT_ENCODING_NEWEST, &again);
    assert_true(cursor_done(&cursor));
    assert_memory_equal(&again, &window, sizeof(window));
    sink_free(&plain);
    sink_free(&full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_reads_back),
        cmocka_unit_test(every_mask_reads_back),
        cmocka_unit_test(windows_say_only_what_they_have),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

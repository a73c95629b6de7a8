/* Durations, instants and their rounding. */
#include "quota/time/duration.h"
#include "scenario.h"

#define REFUSED INT64_MIN

static struct bytes text_bytes(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static void durations_are_read(void **state)
{
    (void)state;
    static const struct row {
        const char *text;
        int64_t duration_us;
    } rows[] = {
        /* every unit, any case, a bare integer is seconds */
        {"1us", 1},
        {"250ms", 250 * MS},
        {"1s", S},
        {"90", 90 * S},
        {"2m", 120 * S},
        {"3h", 3 * H},
        {"7D", 7 * D},
        {"2W", 14 * D},
        {"-5s", -5 * S},
        {"+5s", 5 * S},
        {"0", 0},
        /* the edges */
        {"288230376151711744us", DURATION_MAX_US},
        {"288230376151711745us", REFUSED},
        {"9223372036854775807w", REFUSED},
        /* anything else */
        {"", REFUSED},
        {"s", REFUSED},
        {"-", REFUSED},
        {"1.5s", REFUSED},
        {"1x", REFUSED},
        {"1 s", REFUSED},
        {"1ss", REFUSED},
        {"99999999999999999999s", REFUSED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t duration_us = REFUSED;
        bool read = parse_duration(text_bytes(rows[i].text), &duration_us);
        if (read != (rows[i].duration_us != REFUSED) || duration_us != rows[i].duration_us)
            fail_msg("%s", rows[i].text);
    }
}

static void instants_are_read(void **state)
{
    (void)state;
    static const struct row {
        const char *text;
        int64_t instant_us;
    } rows[] = {
        {"1738335600000", BASE},
        {"1738335600000001us", BASE + 1},
        {"2025-01-31T15:00:00Z", BASE},
        {"2025-01-31T16:00:00.5+01:00", BASE + 500 * MS},
        {"-1", -MS},
        {"0", 0},
        {"4611686018427387904us", INSTANT_MAX_US},
        {"4611686018427387905us", REFUSED},
        {"9223372036854775807", REFUSED},
        {"2025-01-31", REFUSED},
        {"now", REFUSED},
        {"", REFUSED},
        {"1s", REFUSED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t instant_us = REFUSED;
        bool read = parse_instant(text_bytes(rows[i].text), &instant_us);
        if (read != (rows[i].instant_us != REFUSED) || instant_us != rows[i].instant_us) fail_msg("%s", rows[i].text);
    }
}

static void waits_round_up_and_remainders_down(void **state)
{
    (void)state;
    assert_int_equal(millis_ceil(0), 0);
    assert_int_equal(millis_ceil(1), 1);
    assert_int_equal(millis_ceil(1000), 1);
    assert_int_equal(millis_ceil(1001), 2);
    assert_int_equal(millis_ceil(NEVER_US), -1);
    assert_int_equal(millis_floor(999), 0);
    assert_int_equal(millis_floor(-1), -1);
    assert_int_equal(wait_add(NEVER_US, 5), NEVER_US);
    assert_int_equal(wait_add(INSTANT_MAX_US, 1), NEVER_US);
    assert_int_equal(wait_add(INSTANT_MAX_US - 1, 1), INSTANT_MAX_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(instants_are_read),
        cmocka_unit_test(waits_round_up_and_remainders_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

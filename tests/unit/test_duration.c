/* Durations, instants and their rounding. */
#include "quota/time/duration.h"
#include "scenario.h"

#define REFUSED INT64_MIN

static struct bytes text_bytes(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static const struct duration_row {
    const char *text;
    int64_t duration_us;
} durations[] = {
    /* every unit, a bare integer is seconds */
    {"1us", 1},
    {"250ms", 250 * MS},
    {"1s", S},
    {"90", 90 * S},
    {"2m", 120 * S},
    {"3h", 3 * H},
    {"7d", 7 * D},
    {"2w", 14 * D},
    {"-5s", -5 * S},
    {"+5s", 5 * S},
    {"0", 0},
    /* compounds: descending units, each once, one sign for the whole */
    {"1h30m", 90 * 60 * S},
    {"1w2d3h4m5s6ms7us", 9 * D + 3 * H + 245 * S + 6 * MS + 7},
    {"0h0us", 0},
    {"-1h30m", -90 * 60 * S},
    {"1s250ms", 1250 * MS},
    {"1m1m", REFUSED},
    {"30m1h", REFUSED},
    {"1h30", REFUSED},
    {"1h-30m", REFUSED},
    {"1h+30m", REFUSED},
    {"1h 30m", REFUSED},
    {"1h30M", REFUSED},
    {"1hm", REFUSED},
    {"288230376151s711744us", DURATION_MAX_US},
    {"288230376151s711745us", REFUSED},
    /* a unit has one case */
    {"1M", REFUSED},
    {"1S", REFUSED},
    {"1Ms", REFUSED},
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

static void durations_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        int64_t duration_us = REFUSED;
        bool read = parse_duration(text_bytes(durations[i].text), &duration_us);
        if (read != (durations[i].duration_us != REFUSED) || duration_us != durations[i].duration_us)
            fail_msg("%s", durations[i].text);
    }
}

static void durations_in_capitals_get_a_hint(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *hint;
    } rows[] = {
        {"1M", "month"}, {"1H30M", "month"}, {"90S", "lower case"}, {"1US", "lower case"},
        {"1s", NULL},    {"1x", NULL},       {"M", NULL},           {"", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *hint = duration_hint(text_bytes(rows[i].text));
        if (!hint != !rows[i].hint || (hint && !strstr(hint, rows[i].hint))) fail_msg("%s: %s", rows[i].text, hint);
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
        {"1738335600s", BASE},
        {"-1s", -S},
        {"0us", 0},
        /* a bare integer is ms, and as ms it lies behind 1973 */
        {"100000000000", INT64_C(100000000000) * MS},
        {"99999999999", REFUSED},
        {"1738335600", REFUSED},
        {"31", REFUSED},
        {"-1", REFUSED},
        {"0", REFUSED},
        {"4611686018427387904us", INSTANT_MAX_US},
        {"4611686018427387905us", REFUSED},
        {"9223372036854775807", REFUSED},
        {"2025-01-31", REFUSED},
        {"now", REFUSED},
        {"", REFUSED},
        {"1m", REFUSED},
        {"1738335600S", REFUSED},
        {"4611686018428s", REFUSED},
        {"9223372036854775807s", REFUSED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t instant_us = REFUSED;
        bool read = parse_instant(text_bytes(rows[i].text), &instant_us);
        if (read != (rows[i].instant_us != REFUSED) || instant_us != rows[i].instant_us) fail_msg("%s", rows[i].text);
        int64_t number;
        bool bare = bytes_integer(text_bytes(rows[i].text), &number) && number < INSTANT_MILLIS_MIN;
        assert_int_equal(instant_lacks_unit(text_bytes(rows[i].text)), bare);
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
        cmocka_unit_test(durations_in_capitals_get_a_hint),
        cmocka_unit_test(instants_are_read),
        cmocka_unit_test(waits_round_up_and_remainders_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

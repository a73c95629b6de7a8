/* Yearly rules: what is one and what is not, and the stretches they make of time.
 *
 * That they agree with the real zones, and with a slow model, is tested where whole files are read (test_zone.c). */
#include "quota/time/dst.h"
#include "quota/time/duration.h"
#include "scenario.h"
#include "tools.h"

#define HOUR_S     INT64_C(3600)
#define JANUARY_15 (INT64_C(1768435200) * S) /* 2026-01-15T00:00:00Z */
#define JULY_15    (INT64_C(1784073600) * S) /* 2026-07-15T00:00:00Z */

/* A rule that only daylight saving ends leaves its transitions alone: zeros, so that nothing is read by chance. */
static struct dst parsed(const char *text)
{
    struct dst dst = {0};
    if (!dst_parse((struct bytes){text, strlen(text)}, &dst)) fail_msg("refused: %s", text);
    return dst;
}

static int64_t offset_s_at(const struct dst *dst, int64_t instant_us)
{
    if (dst->standard_s == dst->daylight_s) return dst->standard_s; /* no turns: the zone knows that */
    return dst_offset_at(dst, instant_us) / S;
}

static void what_is_no_rule_is_refused(void **state)
{
    (void)state;
    /* clang-format off */
    static const char *const rows[] = {
        /* names: too short, wrong letters, not closed */
        "AB1", "1", "-1", "<AB>1", "<ABC1", "A+B1", "<A B>1", ":America/New_York", " EST5",
        /* offsets: none, out of range, too many digits or parts, empty parts */
        "EST", "EST+", "EST25", "EST-25", "EST005", "EST5:60", "EST5:00:60", "EST5:", "EST5:00:",
        "EST5:00:00:00", "EST5:00:00 ", "EST99999999999999999999",
        /* daylight saving without rules, or with one */
        "EST5EDT", "EST5EDT4", "EST5EDT,", "EST5EDT,M3.2.0", "EST5EDT,M3.2.0,", "EST5,M3.2.0,M11.1.0",
        "EST5ED,M3.2.0,M11.1.0", "EST5EDT25,M3.2.0,M11.1.0",
        /* days that are no days */
        "EST5EDT,M0.2.0,M11.1.0", "EST5EDT,M13.2.0,M11.1.0", "EST5EDT,M3.0.0,M11.1.0",
        "EST5EDT,M3.6.0,M11.1.0", "EST5EDT,M3.2.7,M11.1.0", "EST5EDT,M3.2,M11.1.0",
        "EST5EDT,M3.2.0.0,M11.1.0", "EST5EDT,M-3.2.0,M11.1.0", "EST5EDT,J0,J365", "EST5EDT,J1,J366",
        "EST5EDT,366,1", "EST5EDT,1,0366", "EST5EDT,J,J365", "EST5EDT,-1,5",
        /* times out of range */
        "EST5EDT,M3.2.0/168,M11.1.0", "EST5EDT,M3.2.0/-168,M11.1.0", "EST5EDT,M3.2.0/2:60,M11.1.0",
        "EST5EDT,M3.2.0/,M11.1.0", "EST5EDT,M3.2.0/0002,M11.1.0",
        /* more than there is */
        "EST5EDT,M3.2.0,M11.1.0,", "EST5EDT,M3.2.0,M11.1.0 ", "EST5EDT,M3.2.0,M11.1.0/2/2",
        "EST5EDT,M3.2.0,M11.1.0,M1.1.1",
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct dst dst;
        if (dst_parse((struct bytes){rows[i], strlen(rows[i])}, &dst)) fail_msg("taken: %s", rows[i]);
    }
}

static void the_extremes_are_taken(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *footer;
        int64_t january_s, july_s;
    } rows[] = {
        /* the longest offsets, signs, one digit, all parts */
        {"AAA24:59:59", -89999, -89999},
        {"AAA-24:59:59", 89999, 89999},
        {"AAA+5", -5 * HOUR_S, -5 * HOUR_S},
        {"AAA05:06:07", -18367, -18367},
        {"<-+1>0", 0, 0},
        /* daylight saving an hour ahead of the longest offset */
        {"AAA-24:59:59BBB,M3.1.0,M11.1.0", 89999, 93599},
        {"AAA24BBB-24,M3.1.0,M11.1.0", -24 * HOUR_S, 24 * HOUR_S},
        /* the longest names and times, leading zeros */
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ0<+1234567890>,M03.1.0/167:59:59,M11.1.0/-167:59:59", 0, HOUR_S},
        {"AAA0BBB,000/000,365/0", HOUR_S, HOUR_S},
        /* turns of one year in its neighbours */
        {"AAA0BBB,0/-167,J365/167", HOUR_S, HOUR_S},
        {"AAA0BBB,J365/167,0/-167", 0, 0},
        /* a season that ends at the instant it begins lasts until the next end: all year */
        {"AAA0BBB,J100/0,J100/1", HOUR_S, HOUR_S},
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct dst dst = parsed(rows[i].footer);
        assert_int_equal(offset_s_at(&dst, JANUARY_15), rows[i].january_s);
        assert_int_equal(offset_s_at(&dst, JULY_15), rows[i].july_s);
    }
}

static void stretches_tile_the_years(void **state)
{
    (void)state;
    static const char *const rules[] = {"CET-1CEST,M3.5.0,M10.5.0/3", "AEST-10AEDT,M10.1.0,M4.1.0/3",
                                        "IST-1GMT0,M10.5.0,M3.5.0/1", "AAA0BBB,J60,J300/167"};
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        struct dst dst = parsed(rules[i]);
        struct stretch stretch = dst_stretch_at(&dst, JANUARY_15);
        for (int turn = 0; turn < 400; turn++) {
            struct stretch next = dst_stretch_at(&dst, stretch.until_us);
            assert_true(stretch.since_us < stretch.until_us);
            assert_int_equal(next.since_us, stretch.until_us);
            assert_int_not_equal(next.offset_us, stretch.offset_us);
            assert_int_equal(dst_offset_at(&dst, stretch.until_us - 1), stretch.offset_us);
            stretch = next;
        }
        assert_int_equal((stretch.since_us - JANUARY_15) / (365 * D), 199); /* 200 turns forth and 200 back */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_rule_is_refused),
        cmocka_unit_test(the_extremes_are_taken),
        cmocka_unit_test(stretches_tile_the_years),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

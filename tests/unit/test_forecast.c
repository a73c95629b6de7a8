/* Forecasts: rows computed by hand, the mean of closed cycles, how credits burn. */
#include "account_tools.h"
#include "quota/decide/forecast.h"

#define T at("2025-06-01")

static const struct carried {
    int64_t limit, used, elapsed_us, length_us, mean; /* length -1: for ever */
    int64_t per_day, projected, depletes, trend;      /* depletes: ms from the start; -1 = never */
} carried[] = {
    /* June: ten of thirty days have passed */
    {1000, 700, 10 * D, 30 * D, -1, 70, 2100, 1234285715, -1}, /* ceil(864000000 x 1000 / 700) */
    {1000, 100, 10 * D, 30 * D, -1, 10, 300, -1, -1},
    {1000, 333, 10 * D, 30 * D, 1000, 33, 999, -1, 100},           /* 99.9 % */
    {1000, 334, 10 * D, 30 * D, 1000, 33, 1002, 2586826348, 100},  /* 29 d 22 h: just before the end */
    {1000, 1000, 10 * D, 30 * D, 1500, 100, 3000, 864000000, 200}, /* spent: now */
    {1000, 1700, 10 * D, 30 * D, 700, 170, 5100, 864000000, 729},  /* 728.57 */
    {0, 0, 10 * D, 30 * D, 0, 0, 0, 864000000, -1},                /* a limit of none is spent */
    {1000, 0, 10 * D, 30 * D, 50, 0, 0, -1, 0},
    {UNLIMITED, 700, 10 * D, 30 * D, 1000, 70, 2100, -1, 210},
    {1000, 700, 10 * D, -1, 1000, 70, -1, 1234285715, -1}, /* no end: nothing to project */
    {5, 1, 30 * D, -1, -1, 0, -1, 12960000000, -1},        /* a unit a month is none a day */
    /* halves are rounded up */
    {9, 1, 2 * H, 3 * H, -1, 12, 2, -1, -1},
    {9, 1, 4 * H, 5 * H, -1, 6, 1, -1, -1},
    {100, 1, H, H + 1, 200, 24, 1, -1, 1}, /* 0.5 % */
    {100, 1, H, H + 1, 201, 24, 1, -1, 0},
    /* ms are rounded up, and the end is no part of the cycle */
    {3, 2, 1000001, 2000000, -1, 172799, 4, 1501, -1}, /* 1.5000015 s */
    {2, 1, H, 2 * H, -1, 24, 2, -1, -1},
    {2, 1, H - 1, 2 * H, -1, 24, 2, -1, -1}, /* 2 us before the end, rounded up to it */
    {2, 1, H - S, 2 * H, -1, 24, 2, 7198000, -1},
    /* nothing has passed */
    {10, 4, 0, D, 8, 0, 4, -1, 50},
    {4, 4, 0, D, 8, 0, 4, 0, 50},
    /* what does not fit */
    {INT64_MAX, INT64_MAX - 1, 1, D, 1, INT64_MAX, INT64_MAX, 1, INT64_MAX},
    {INT64_MAX, 1, D, 2 * D, -1, 1, 2, -1, -1},
};

static void a_cycle_goes_on_as_it_began(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(carried); i++) {
        const struct carried *row = &carried[i];
        const struct burn burn = {.start_us = T,
                                  .now_us = T + row->elapsed_us,
                                  .end_us = row->length_us < 0 ? INT64_MAX : T + row->length_us,
                                  .used = row->used,
                                  .limit = row->limit};
        struct forecast forecast = forecast_of(&burn, row->mean);
        int64_t depletes_us = row->depletes < 0 ? NEVER_US : T + row->depletes * MS;
        bool same = forecast.per_day == row->per_day && forecast.projected == row->projected &&
                    forecast.depletes_us == depletes_us && forecast.trend == row->trend;
        if (same) continue;
        fail_msg("row %zu: %ld a day, %ld, in %ld us, %ld %%", i, forecast.per_day, forecast.projected,
                 forecast.depletes_us - T, forecast.trend);
    }
}

static void instants_far_apart_are_no_trouble(void **state)
{
    (void)state;
    const struct burn burn = {.start_us = -INSTANT_MAX_US,
                              .now_us = INSTANT_MAX_US,
                              .end_us = INSTANT_MAX_US,
                              .used = INT64_MAX - 1,
                              .limit = INT64_MAX};
    struct forecast forecast = forecast_of(&burn, INT64_MAX);
    assert_int_equal(forecast.projected, INT64_MAX - 1);
    assert_int_equal(forecast.depletes_us, NEVER_US);
    assert_int_equal(forecast.trend, 100);
}

/* Hours of 4 · 0 · 0 · 5 · …, of which no more than six count; a day beside them. */
static void the_mean_is_of_the_newest_closed_cycles(void **state)
{
    (void)state;
    static const struct {
        int64_t at_us, mean, of_day;
    } rows[] = {
        {0, -1, -1},    {H, 4, -1},     {2 * H, 2, -1}, {3 * H, 1, -1}, {4 * H, 2, -1}, /* (4 + 0 + 0 + 5) / 4 = 2.25 */
        {5 * H, 1, -1}, {6 * H, 1, -1},                                                 /* 9 / 5, 9 / 6 */
        {7 * H, 0, -1}, /* 5 / 6: the first one counts no more */
        {9 * H, 0, -1}, {D, 0, 9},
    };
    for (int settled = 0; settled < 2; settled++) {
        struct pair pair = {0};
        plan_set("pro", "a LIMIT 10 1h LIMIT 30 day");
        pair_open(&pair, "pro", T);
        pair_consume(&pair, "a", 4, T);
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct look look;
            struct cycle_list list;
            if (rows[i].at_us == 4 * H) pair_consume(&pair, "a", 5, T + 4 * H - 1);
            if (settled) pair_settle(&pair, T + rows[i].at_us);
            look_at(&look, pair.account, "a", T + rows[i].at_us);
            cycle_list_begin(&list, &look.view, &look.changes);
            const struct quota_rule *rules = look.view.entitlement->rules;
            int64_t mean = forecast_mean(&list, quota_rule_code(&rules[0]));
            int64_t of_day = forecast_mean(&list, quota_rule_code(&rules[1]));
            if (mean != rows[i].mean || of_day != rows[i].of_day) fail_msg("row %zu: %ld, %ld", i, mean, of_day);
            cycle_list_end(&list);
            look_end(&look);
        }
        pair_end(&pair);
    }
}

static int64_t credits_deplete(const struct pair *pair, int64_t at_us)
{
    struct look look;
    struct burn burn;
    look_at(&look, pair->account, "a", at_us);
    int64_t depletes_us = NEVER_US;
    if (forecast_credits(&look.account, &look.view, &burn)) depletes_us = burn_depletes_us(&burn);
    look_end(&look);
    return depletes_us == NEVER_US ? NEVER_US : depletes_us - T;
}

static void credits_burn_from_when_they_began(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 1h CREDITS FIRST");
    pair_open(&pair, "pro", T);
    assert_int_equal(credits_deplete(&pair, T), NEVER_US); /* there are none */
    struct grant_request first = gift("first", 100);
    pair_grant(&pair, &first, T);
    assert_int_equal(credits_deplete(&pair, T + H), NEVER_US); /* none is used */
    pair_consume(&pair, "a", 20, T + H);
    assert_int_equal(credits_deplete(&pair, T + 2 * H), 10 * H); /* 20 of 100 in two hours */
    assert_int_equal(credits_deplete(&pair, T + 3 * H), 15 * H);
    pair_reserve(&pair, "held", "a", 40, D, T + 3 * H);
    assert_int_equal(credits_deplete(&pair, T + 3 * H), 9 * H); /* 20 of the 60 that are not held */
    struct grant_request second = gift("second", 30);
    second.expires = (struct moment){.kind = MOMENT_INSTANT, .at_us = T + 9 * H};
    pair_grant(&pair, &second, T + 3 * H);
    assert_int_equal(credits_deplete(&pair, T + 4 * H), 18 * H); /* 20 of 90 in four; the first never ends */
    pair_end(&pair);
}

static void credits_end_or_come_anew(void **state)
{
    (void)state;
    static const struct row {
        int64_t ends_us; /* 0 = never */
        bool every_hour;
        int64_t used, at_us, depletes_us;
    } rows[] = {
        {0, false, 10, H, 10 * H},      {11 * H, false, 10, H, 10 * H},      {10 * H, false, 10, H, NEVER_US},
        {0, true, 10, H / 2, NEVER_US}, {0, true, 60, H / 2, H / 2 + H / 3}, /* 60 of 100 in half an hour: in 50 min */
        {0, true, 60, H + 1, NEVER_US},                                      /* it has been set back */
        {0, false, 100, H, H},                                               /* spent: now */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct pair pair = {0};
        plan_set("pro", "a LIMIT 0 1h CREDITS");
        pair_open(&pair, "pro", T);
        struct grant_request grant = gift("g", 100);
        if (row->ends_us > 0) grant.expires = (struct moment){.kind = MOMENT_INSTANT, .at_us = T + row->ends_us};
        struct period hour;
        assert_true(period_parse(text_bytes("1h"), &hour));
        if (row->every_hour) grant.every = period_code(&hour);
        pair_grant(&pair, &grant, T);
        pair_consume(&pair, "a", row->used, T);
        int64_t depletes_us = credits_deplete(&pair, T + row->at_us);
        if (depletes_us != row->depletes_us) fail_msg("row %zu: %ld", i, depletes_us);
        pair_end(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cycle_goes_on_as_it_began),
        cmocka_unit_test(instants_far_apart_are_no_trouble),
        cmocka_unit_test(the_mean_is_of_the_newest_closed_cycles),
        cmocka_unit_test(credits_burn_from_when_they_began),
        cmocka_unit_test(credits_end_or_come_anew),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

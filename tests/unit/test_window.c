/* Windows: rows for limits, bursts, grace and thresholds; proration in fractions. */
#include "account_tools.h"
#include "quota/base/checked.h"

#define LIMIT_MAX INT64_MAX

/* One LIMIT with whatever a row adds to it. */
static struct entitlement entitlement_of(int64_t limit)
{
    struct entitlement entitlement = entitlement_none(BYTES("calls"));
    entitlement.rules_count = 1;
    entitlement.rules[0] =
        (struct quota_rule){.kind = QUOTA_LIMIT, .limit = limit, .period = {.unit = PERIOD_FIXED, .count = H}};
    return entitlement;
}

static struct window window_from(int64_t limit, int64_t start_us, int64_t end_us)
{
    struct quota_rule rule = entitlement_of(limit).rules[0];
    struct cycle cycle = {start_us, end_us, 0};
    return window_begin(&rule, &cycle, start_us);
}

/* ---- the beginning --------------------------------------------------------------------------------------- */

static void the_first_cycle_is_cut_where_prorated(void **state)
{
    (void)state;
    static const struct {
        int64_t limit, start_us, end_us, anchor_us, wanted;
    } rows[] = {
        /* begins before, at, within and after the anchor */
        {100, 0, 100, -5, 100},
        {100, 0, 100, 0, 100},
        {100, 0, 100, 25, 75},
        {100, 0, 100, 99, 1},
        {100, 0, 100, 100, 100},
        /* nearest, halves away from zero */
        {3, 0, 2, 1, 2},
        {1, 0, 2, 1, 1},
        {1, 0, 1000, 501, 0},
        {10, -30, 0, -20, 7},
        /* no number to cut */
        {0, 0, 100, 25, 0},
        {UNLIMITED, 0, 100, 25, UNLIMITED},
        {LIMIT_MAX, 0, INT64_C(1) << 58, INT64_C(1) << 57, (INT64_C(1) << 62)},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct quota_rule rule = entitlement_of(rows[i].limit).rules[0];
        struct cycle cycle = {rows[i].start_us, rows[i].end_us, 0};
        struct window plain = window_begin(&rule, &cycle, rows[i].anchor_us);
        assert_int_equal(window_limit(&plain), rows[i].limit);
        rule.prorate = true;
        struct window window = window_begin(&rule, &cycle, rows[i].anchor_us);
        if (window_limit(&window) != rows[i].wanted) fail_msg("row %zu: %lld", i, (long long)window_limit(&window));
        assert_true(window_is_idle(&window));
    }
}

static const struct {
    int64_t limit, burst_bp, grace_us, over_since_us, debt, now_us, capacity;
    int64_t overage; /* UNLIMITED: without MAX */
} bounds[] = {
    /* the limit; with a burst, which is rounded down */
    {10, 0, 0, 0, 0, 5, 10, 0},
    {10, 5000, 0, 0, 0, 5, 15, 0},
    {3, 5000, 0, 0, 0, 5, 4, 0},
    {1, 9999, 0, 0, 0, 5, 1, 0},
    {10, ENTITLEMENT_PERCENT_MAX_BP, 0, 0, 0, 5, 1010, 0},
    {0, 5000, 0, 0, 0, 5, 0, 0},
    {LIMIT_MAX, 5000, 0, 0, 0, 5, LIMIT_MAX, 0},
    /* a debt cuts the limit and its burst together, never below nothing */
    {10, 5000, 0, 0, 4, 5, 11, 0},
    {10, 5000, 0, 0, 12, 5, 3, 0},
    {10, 5000, 0, 0, 40, 5, 0, 0},
    {10, 0, 0, 0, 40, 5, 0, 0},
    {10, 5000, 100, 50, 4, 150, 6, 0},
    /* a grace that is open bounds nothing, or by the burst; once it has passed the limit holds */
    {10, 0, 100, 0, 0, 5, UNLIMITED, 0},
    {10, 0, 100, 50, 0, 149, UNLIMITED, 0},
    {10, 0, 100, 50, 0, 150, 10, 0},
    {10, 2000, 100, 0, 0, 5, 12, 0},
    {10, 2000, 100, 50, 0, 150, 10, 0},
    {10, 0, DURATION_MAX_US, INSTANT_MAX_US, 0, INSTANT_MAX_US, UNLIMITED, 0},
    /* whatever is included, and what has no limit */
    {10, 2000, 100, 50, 0, 150, UNLIMITED, UNLIMITED},
    {UNLIMITED, 2000, 100, 0, 0, 150, UNLIMITED, 0},
    /* OVERAGE MAX stands beside burst, grace and debt */
    {10, 0, 0, 0, 0, 5, 13, 3},
    {10, 5000, 0, 0, 4, 5, 14, 3},
    {10, 5000, 0, 0, 40, 5, 3, 3},
    {10, 0, 100, 0, 0, 5, UNLIMITED, 3},
    {10, 2000, 100, 50, 0, 149, 15, 3},
    {10, 2000, 100, 50, 0, 150, 13, 3},
    {0, 0, 0, 0, 0, 5, 3, 3},
    {UNLIMITED, 0, 0, 0, 0, 5, UNLIMITED, 3},
    {10, 0, 0, 0, 0, 5, LIMIT_MAX, LIMIT_MAX},
};

/* ---- bounds ---------------------------------------------------------------------------------------------- */

static void bursts_and_grace_bound_what_fits(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bounds); i++) {
        struct entitlement entitlement = entitlement_of(bounds[i].limit);
        struct window window = window_from(bounds[i].limit, 0, H);
        entitlement.burst_bp = bounds[i].burst_bp;
        entitlement.grace_us = bounds[i].grace_us;
        entitlement.overage = bounds[i].overage != 0;
        entitlement.overage_max = bounds[i].overage;
        window.over_since_us = bounds[i].over_since_us;
        window.debt = bounds[i].debt;
        int64_t capacity = window_capacity(&window, &entitlement, bounds[i].now_us);
        if (capacity != bounds[i].capacity) fail_msg("row %zu: %lld", i, (long long)capacity);
    }
}

static void what_is_used_and_held_is_not_available(void **state)
{
    (void)state;
    struct window window = window_from(10, 0, H);
    window.used = 4;
    assert_int_equal(window_available(&window, 10, 0), 6);
    assert_int_equal(window_available(&window, 10, 6), 0);
    assert_int_equal(window_available(&window, 10, 7), 0);
    assert_int_equal(window_available(&window, 10, INT64_MAX), 0);
    assert_int_equal(window_available(&window, INT64_MAX, 0), INT64_MAX - 4);
    assert_int_equal(window_available(&window, UNLIMITED, INT64_MAX), UNLIMITED);
}

/* ---- use ------------------------------------------------------------------------------------------------- */

static void charging_counts_and_begins_the_grace_once(void **state)
{
    (void)state;
    struct window window = window_from(10, 0, H);
    assert_true(window_charge(&window, 10, 0, 7)); /* exactly the limit is not beyond it */
    assert_int_equal(window.used, 10);
    assert_int_equal(window.over_since_us, 0);
    assert_true(window_charge(&window, 1, 0, 8));
    assert_true(window_charge(&window, 1, 0, 9));
    assert_int_equal(window.over_since_us, 8);
    assert_int_equal(window.peak, 12);
    assert_true(window_charge(&window, 0, 20, 10)); /* reserving shows in the peak alone */
    assert_int_equal(window.used, 12);
    assert_int_equal(window.peak, 32);
    struct window before = window;
    assert_false(window_charge(&window, INT64_MAX - 11, 0, 11));
    assert_false(window_charge(&window, INT64_MAX - 12, 1, 11));
    assert_memory_equal(&window, &before, sizeof(window));
    assert_true(window_charge(&window, INT64_MAX - 12, 0, 11));
    assert_int_equal(window.used, INT64_MAX);

    struct window endless = window_from(UNLIMITED, 0, H);
    assert_true(window_charge(&endless, INT64_MAX, 0, 7));
    assert_int_equal(endless.over_since_us, 0);
}

static void counting_begins_no_grace(void **state)
{
    (void)state;
    struct window window = window_from(10, 0, H);
    assert_true(window_count(&window, 12, 3));
    assert_int_equal(window.used, 12);
    assert_int_equal(window.peak, 15);
    assert_int_equal(window.over_since_us, 0);
    assert_false(window_count(&window, INT64_MAX - 11, 0));
    assert_false(window_count(&window, INT64_MAX - 12, 1));
    assert_int_equal(window.used, 12);
    assert_true(window_charge(&window, 1, 0, 7)); /* the first unit that is used while the limit holds */
    assert_int_equal(window.over_since_us, 7);
}

static void refunds_return_at_most_what_was_used(void **state)
{
    (void)state;
    struct window window = window_from(10, 0, H);
    assert_int_equal(window_refund(&window, 5, 0), 0);
    window_charge(&window, 10, 0, 7);
    assert_int_equal(window_refund(&window, 4, 0), 4);
    assert_int_equal(window_refund(&window, 9, 0), 6);
    assert_int_equal(window.used, 0);
    assert_int_equal(window.refunded, 10);
    assert_int_equal(window.peak, 10);
    assert_false(window_is_idle(&window));
}

/* used x 10000 >= limit x bp, exactly, for every number of units. */
static void thresholds_fire_exactly_where_they_are_reached(void **state)
{
    (void)state;
    static const int64_t thresholds_bp[] = {1, 33, 5000, 8000, 9999, 10000, 12345, 20000};
    for (int64_t limit = 0; limit <= 40; limit++) {
        struct entitlement entitlement = entitlement_of(limit);
        entitlement.warnings_count = COUNT_OF(thresholds_bp);
        memcpy(entitlement.warnings_bp, thresholds_bp, sizeof(thresholds_bp));
        struct window window = window_from(limit, 0, H);
        for (int64_t used = 0; used <= 100; used++) {
            int64_t wanted = 0;
            for (size_t i = 0; i < COUNT_OF(thresholds_bp); i++) {
                if (limit > 0 && used * 10000 >= limit * thresholds_bp[i]) wanted = thresholds_bp[i];
            }
            window_warn(&window, &entitlement);
            assert_int_equal(window.warned_bp, wanted);
            window_charge(&window, 1, 0, 1 + used);
        }
        int64_t highest_bp = window.warned_bp;
        window_refund(&window, 1000, 0); /* what has fired stays fired */
        window_warn(&window, &entitlement);
        assert_int_equal(window.warned_bp, highest_bp);
    }
    struct entitlement entitlement = entitlement_of(LIMIT_MAX);
    entitlement.warnings_count = 2;
    entitlement.warnings_bp[0] = 5000;
    entitlement.warnings_bp[1] = ENTITLEMENT_PERCENT_MAX_BP;
    struct window window = window_from(LIMIT_MAX, 0, H);
    window_charge(&window, LIMIT_MAX / 2, 0, 1);
    window_warn(&window, &entitlement);
    assert_int_equal(window.warned_bp, 0);
    window_charge(&window, 1, 0, 1);
    window_warn(&window, &entitlement);
    assert_int_equal(window.warned_bp, 5000);
}

/* ---- refunds --------------------------------------------------------------------------------------------- */

/* Units consumed between two refunds without a name: so many of each are still used. */
#define EPOCHS_MAX 5

struct pools {
    int64_t left[EPOCHS_MAX];
    int epoch;
};

static int64_t sum_of(const struct pools *pools)
{
    int64_t sum = 0;
    for (int i = 0; i <= pools->epoch; i++) sum += pools->left[i];
    return sum;
}

/* Without a name the newest units go back first, and what was consumed until then keeps what is left. */
static int64_t take_newest(struct pools *pools, int64_t units)
{
    int64_t taken = 0;
    for (int i = pools->epoch; i >= 0; i--) {
        int64_t part = min_i64(units - taken, pools->left[i]);
        pools->left[i] -= part;
        taken += part;
    }
    return taken;
}

static void units_come_back_once(void **state)
{
    (void)state;
    for (int run = 0; run < 3000; run++) {
        struct window window = window_from(1000, 0, H);
        struct pools pools = {.epoch = 0};
        struct {
            int64_t left; /* that may still be refunded */
            int64_t generation;
        } consumed[30];
        int count = 0;
        for (int step = 0; step < 30; step++) {
            int which = count > 0 ? (int)random_below((uint32_t)count) : 0;
            int what = count == 0 ? 0 : (int)random_below(8);
            if (what < 4) {
                int64_t units = random_between(1, 9);
                assert_true(window_charge(&window, units, 0, 5));
                consumed[count].left = units;
                consumed[count++].generation = pools.epoch;
                pools.left[pools.epoch] += units;
            } else if (what < 7) {
                int64_t units = random_between(0, consumed[which].left);
                int64_t *left = &pools.left[consumed[which].generation];
                int64_t wanted = min_i64(units, *left);
                assert_int_equal(window_refund(&window, units, consumed[which].generation), wanted);
                consumed[which].left -= units;
                *left -= wanted;
            } else if (pools.epoch < REFUND_LINES_MAX) {
                int64_t units = random_between(1, 20), wanted = take_newest(&pools, units);
                assert_int_equal(window_refund_unnamed(&window, units, pools.epoch), wanted);
                pools.epoch += wanted > 0;
            }
            assert_int_equal(window.used, sum_of(&pools));
        }
    }
}

/* However many lines would be needed: nothing is ever given back that was not used. */
static void lines_are_few_and_still_sound(void **state)
{
    (void)state;
    for (int run = 0; run < 500; run++) {
        struct window window = window_from(1000, 0, H);
        int64_t charged = 0, returned = 0, generation = 0;
        for (int step = 0; step < 60; step++) {
            int64_t units = random_between(1, 9), back = 0;
            switch (random_below(3)) {
            case 0: window_charge(&window, units, 0, 5), charged += units; break;
            case 1: back = window_refund(&window, units, random_between(0, generation)); break;
            default: back = window_refund_unnamed(&window, units, generation), generation += back > 0;
            }
            assert_true(back >= 0 && back <= units);
            returned += back;
            assert_int_equal(window.used, charged - returned);
            assert_true(window.used >= 0 && window.lines.count <= REFUND_LINES_MAX);
        }
        assert_int_equal(window.refunded, returned);
    }
}

static void what_was_corrected_cannot_come_back(void **state)
{
    (void)state;
    struct window window = window_from(10, 0, H);
    window_charge(&window, 8, 0, 7);
    window_set_used(&window, 5, 0, 9);
    assert_int_equal(window.used, 5);
    assert_int_equal(window_refund(&window, 8, 0), 0); /* consumed before */
    window_charge(&window, 3, 0, 10);
    assert_int_equal(window_refund(&window, 3, 1), 3); /* and after */
    assert_int_equal(window_refund_unnamed(&window, 9, 1), 5);
    assert_int_equal(window.used, 0);

    window_charge(&window, 12, 0, 20);
    window.debt = 4;
    window.warned_bp = 5000;
    window_reset(&window, 2);
    assert_int_equal(window_refund(&window, 12, 2), 0);
    assert_true(window_is_idle(&window));
    assert_int_equal(window.debt + window.warned_bp + window.over_since_us, 0);
    struct window beyond = window_from(10, 0, H);
    window_set_used(&beyond, 11, 0, 9); /* the grace begins then */
    assert_int_equal(beyond.over_since_us, 9);
    window_set_used(&beyond, 10, 1, 12);
    assert_int_equal(beyond.over_since_us, 0);
}

/* ---- fresh, asleep, covered ------------------------------------------------------------------------------ */

static void an_override_covers_the_allowance(void **state)
{
    (void)state;
    struct window window = window_from(100, 0, 100);
    struct quota_rule above = entitlement_of(7).rules[0];
    assert_true(window_is_awake(&window));
    window.cover = window_cover_of(&window, &above, 0);
    assert_int_equal(window_limit(&window), 7);
    allowance_change(&window.allowance, 200, 50, 100); /* the plan's goes on underneath */
    assert_int_equal(window_own_limit(&window), 7);
    window.debt = 3;
    assert_int_equal(window_limit(&window), 4);
    window.cover = NOT_COVERED;
    assert_int_equal(window_own_limit(&window), 150);
    assert_int_equal(window_limit(&window), 147);
    /* cut where the account began in the cycle and the rule says so */
    assert_int_equal(window_cover_of(&window, &above, 25), 7);
    above.limit = 8;
    above.prorate = true;
    assert_int_equal(window_cover_of(&window, &above, 25), 6);
    above.limit = UNLIMITED;
    assert_int_equal(window_cover_of(&window, &above, 25), UNLIMITED);
    /* without a LIMIT of the plan it is awake for the override alone */
    window.allowance = allowance_begin(ABSENT, 0, false);
    assert_false(window_is_awake(&window));
    window.cover = 0;
    assert_true(window_is_awake(&window));
}

/* ---- changes of the plan --------------------------------------------------------------------------------- */

/* The plan's limit, that of the running part, becomes another. */
static void change_limit(struct window *window, int64_t limit, enum window_change change, int64_t now_us)
{
    struct quota_rule after = entitlement_of(limit).rules[0];
    window_change_limit(window, limit != ABSENT ? &after : NULL, change, window->start_us, now_us);
}

/* A limit that is in force at once is cut as it would have been from the start. */
static void a_full_change_in_a_cut_cycle(void **state)
{
    (void)state;
    struct quota_rule before = entitlement_of(100).rules[0], after = entitlement_of(1000).rules[0];
    before.prorate = after.prorate = true;
    struct cycle cycle = {.start_us = 0, .end_us = 100};
    struct window window = window_begin(&before, &cycle, 75);
    assert_int_equal(window_limit(&window), 25);
    window_change_limit(&window, &after, WINDOW_FULL, 75, 80);
    assert_int_equal(window_limit(&window), 250);
    after.prorate = false;
    window_change_limit(&window, &after, WINDOW_FULL, 75, 80);
    assert_int_equal(window_limit(&window), 1000);
}

static void a_new_limit_in_a_running_cycle(void **state)
{
    (void)state;
    static const struct {
        int64_t before;
        enum window_change change;
        int64_t after, at_us, wanted;
    } rows[] = {
        {100, WINDOW_FULL, 200, 50, 200},
        {100, WINDOW_PRORATE, 200, 0, 200},
        {100, WINDOW_PRORATE, 200, 50, 150},
        {100, WINDOW_PRORATE, 200, 99, 101},
        {200, WINDOW_PRORATE, 100, 50, 150},
        {0, WINDOW_PRORATE, 1, 50, 1}, /* half a unit: away from zero */
        {1, WINDOW_PRORATE, 0, 50, 1},
        {0, WINDOW_PRORATE, 1, 51, 0},
        {LIMIT_MAX, WINDOW_PRORATE, 0, 50, INT64_C(1) << 62},
        /* an unlimited part counts at the limit that holds now */
        {UNLIMITED, WINDOW_PRORATE, 100, 50, 100},
        {100, WINDOW_PRORATE, UNLIMITED, 50, UNLIMITED},
        /* a LIMIT that goes leaves nothing to count by; one that comes counts from then on, or whole */
        {100, WINDOW_PRORATE, ABSENT, 50, 0},
        {ABSENT, WINDOW_PRORATE, 100, 25, 75},
        {ABSENT, WINDOW_PRORATE, UNLIMITED, 25, UNLIMITED},
        {ABSENT, WINDOW_FULL, 100, 25, 100},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct window window = window_from(rows[i].before, 0, 100);
        change_limit(&window, rows[i].after, rows[i].change, rows[i].at_us);
        if (window_limit(&window) != rows[i].wanted) fail_msg("row %zu: %lld", i, (long long)window_limit(&window));
    }
    struct window forever = window_from(100, 0, INT64_MAX); /* has no share that is left */
    change_limit(&forever, 200, WINDOW_PRORATE, 50);
    assert_int_equal(window_limit(&forever), 200);
}

static void a_limit_joins_a_running_cycle(void **state)
{
    (void)state;
    static const struct {
        int64_t limit, anchor_us, at_us;
        bool prorate;
        int64_t wanted;
    } rows[] = {
        {100, -5, 40, false, 60}, /* the account began before the cycle */
        {100, 20, 40, false, 60}, /* what lies before counts nothing, before the account began as well */
        {100, 20, 40, true, 60},  {100, 60, 60, false, 40},
        {100, 60, 60, true, 40},  {100, 60, 30, false, 40}, /* no part of the account's lies before it begins */
        {100, -5, 0, false, 100}, {UNLIMITED, 20, 40, true, UNLIMITED},
        {0, 20, 40, false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct quota_rule rule = entitlement_of(rows[i].limit).rules[0];
        struct cycle cycle = {.start_us = 0, .end_us = 100};
        rule.prorate = rows[i].prorate;
        struct window window = window_join(&rule, &cycle, rows[i].anchor_us, rows[i].at_us);
        if (window_limit(&window) != rows[i].wanted) fail_msg("row %zu: %lld", i, (long long)window_limit(&window));
    }
}

static void a_full_change_forgets_the_parts(void **state)
{
    (void)state;
    struct window window = window_from(100, 0, 100);
    change_limit(&window, 200, WINDOW_PRORATE, 50);
    assert_int_equal(window_limit(&window), 150);
    change_limit(&window, 230, WINDOW_FULL, 60);
    assert_int_equal(window_limit(&window), 230);
    change_limit(&window, 330, WINDOW_PRORATE, 70);
    assert_int_equal(window_limit(&window), 260);
}

/* Thresholds can fire again once the limit has been lifted above them; the grace begins once in a cycle. */
static void thresholds_follow_the_new_limit(void **state)
{
    (void)state;
    static const struct {
        int64_t limit, warned_bp;
    } rows[] = {{11, 10000}, {12, 10000}, {20, 5000}, {25, 0}, {10, 0}, {UNLIMITED, 0}};
    struct entitlement entitlement = entitlement_of(10);
    entitlement.warnings_count = 2;
    entitlement.warnings_bp[0] = 5000;
    entitlement.warnings_bp[1] = 10000;
    struct window window = window_from(10, 0, 100);
    window_charge(&window, 12, 0, 5);
    window_warn(&window, &entitlement);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        change_limit(&window, rows[i].limit, WINDOW_FULL, 10);
        window_lower_warnings(&window, &entitlement); /* never fires one */
        assert_int_equal(window.warned_bp, rows[i].warned_bp);
        assert_int_equal(window.over_since_us, 5);
    }
}

/* The limit of a cycle as an exact fraction over its length: limit x time of every part. */
struct parts {
    wide ended; /* numerator */
    int64_t limit, since, length;
};

static int64_t round_away(const struct parts *parts)
{
    wide exact = parts->ended + (wide)parts->limit * (parts->length - parts->since);
    wide whole = exact / parts->length, rest = exact % parts->length;
    if (rest * 2 >= parts->length) whole++;
    return whole > INT64_MAX ? INT64_MAX : (int64_t)whole;
}

static void proration_is_exact(void **state)
{
    (void)state;
    for (int run = 0; run < 3000; run++) {
        int64_t length = random_between(1, random_below(3) ? 40 : INT64_C(1) << 50);
        int64_t highest = random_below(3) ? 30 : INT64_C(1) << 60;
        struct parts parts = {.limit = random_between(0, highest), .length = length};
        struct window window = window_from(parts.limit, 1000, 1000 + length);
        for (int step = 0; step < 20; step++) {
            int64_t now = random_between(0, length - 1), next = random_between(0, highest);
            bool prorates = random_below(4) > 0;
            if (prorates && now > parts.since && next != parts.limit) { /* a clock that steps back stands still */
                parts.ended += (wide)parts.limit * (now - parts.since);
                parts.since = now;
            }
            if (!prorates) parts.ended = parts.since = 0;
            parts.limit = next;
            change_limit(&window, next, prorates ? WINDOW_PRORATE : WINDOW_FULL, 1000 + now);
            assert_int_equal(window_limit(&window), round_away(&parts));
        }
    }
}

/* To and fro at one instant is nothing at all, however often and wherever in the cycle; even by way of no LIMIT. */
static void flips_to_and_fro_mint_nothing(void **state)
{
    (void)state;
    for (int run = 0; run < 2000; run++) {
        int64_t length_us = random_between(1, 2 * INT64_C(1000003)), limit = random_between(0, 100000);
        struct window window = window_from(limit, 0, length_us);
        for (int flip = 0; flip < 10; flip++) {
            int64_t now_us = random_between(0, length_us - 1), other = random_between(ABSENT, 100000);
            change_limit(&window, other, WINDOW_PRORATE, now_us);
            change_limit(&window, random_between(ABSENT, 9), WINDOW_PRORATE, now_us);
            change_limit(&window, limit, WINDOW_PRORATE, now_us);
            assert_int_equal(window_limit(&window), limit);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_cycle_is_cut_where_prorated),
        cmocka_unit_test(bursts_and_grace_bound_what_fits),
        cmocka_unit_test(what_is_used_and_held_is_not_available),
        cmocka_unit_test(charging_counts_and_begins_the_grace_once),
        cmocka_unit_test(counting_begins_no_grace),
        cmocka_unit_test(refunds_return_at_most_what_was_used),
        cmocka_unit_test(thresholds_fire_exactly_where_they_are_reached),
        cmocka_unit_test(units_come_back_once),
        cmocka_unit_test(lines_are_few_and_still_sound),
        cmocka_unit_test(what_was_corrected_cannot_come_back),
        cmocka_unit_test(an_override_covers_the_allowance),
        cmocka_unit_test(a_full_change_in_a_cut_cycle),
        cmocka_unit_test(a_new_limit_in_a_running_cycle),
        cmocka_unit_test(a_limit_joins_a_running_cycle),
        cmocka_unit_test(a_full_change_forgets_the_parts),
        cmocka_unit_test(thresholds_follow_the_new_limit),
        cmocka_unit_test(proration_is_exact),
        cmocka_unit_test(flips_to_and_fro_mint_nothing),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

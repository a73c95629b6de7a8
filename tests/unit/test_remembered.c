/* What is remembered of an id: every operation that it was used for, in one order, as long as it counts. */
#include "account_tools.h"
#include "quota/decide/remembered.h"
#include <stdio.h>

#define T at("2025-01-31T15:00:00")

/* Everything as text: `operation state at-until [of] item requested/granted/refunded/lost …`, times in seconds from T,
 * a part that follows another one of its item behind a `+`, with the units that limits and grants gave. */
static void assert_remembered(const struct pair *pair, const char *id, int64_t at_us, const char *wanted)
{
    static struct remembered found; /* large */
    char text[1024] = "";
    struct remembered_walk walk = {0};
    struct account_view view;
    assert_int_equal(account_view_begin(&view, pair->account, &host, at_us), ACCOUNT_FAULT_NONE);
    while (remembered_next(&view, text_bytes(id), &walk, &found)) {
        int64_t until = found.until_us == NEVER_US ? -1 : (found.until_us - T) / S;
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof(text) - used, "%s%d %d %ld-%ld%s%.*s", used > 0 ? " | " : "",
                       (int)found.operation, (int)found.state, (found.at_us - T) / S, until,
                       found.of.size > 0 ? " of " : "", (int)found.of.size, found.of.data);
        for (uint32_t i = 0; i < found.parts_count; i++) {
            const struct remembered_part *part = &found.parts[i];
            int64_t units = part->granted * part->cost;
            int64_t limited = part->counted ? funding_of_limits(part->funding, units) : 0;
            used = strlen(text);
            (void)snprintf(text + used, sizeof(text) - used, " %s%d:%ld/%ld/%ld/%ld=%ld+%ld", part->is_first ? "" : "+",
                           (int)part->slot, part->requested, part->granted, part->refunded, part->lost, limited,
                           part->counted ? units - limited : 0);
        }
    }
    account_view_end(&view);
    if (strcmp(text, wanted) != 0) fail_msg("%s: %s", id, text);
}

static void consumptions_and_refunds(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 day | b COST 3 LIMIT 30 day");
    pair_open(&pair, "pro", T);
    assert_remembered(&pair, "x", T, "");
    pair_request_one(&pair, "a", 4, MODE_ALL, "x", T);
    pair_request_one(&pair, "b", 2, MODE_UPTO, "x", T + S);
    pair_request_one(&pair, "a", 99, MODE_ALL, "denied", T);
    assert_remembered(&pair, "x", T + S, "1 0 0-86400 0:4/4/0/0=4+0 | 1 0 1-86401 1:2/2/0/0=6+0");
    assert_remembered(&pair, "denied", T, ""); /* it was not STICKY */
    pair_refund(&pair, "a", 3, "x", "back", T + 2 * S);
    assert_remembered(&pair, "x", T + 2 * S, "1 0 0-86400 0:4/4/3/0=4+0 | 1 0 1-86401 1:2/2/0/0=6+0");
    assert_remembered(&pair, "back", T + 2 * S, "3 2 2-86402 of x 0:3/0/3/0=0+0");
    pair_refund_all(&pair, "x", "rest", T + 3 * S);
    assert_remembered(&pair, "rest", T + 3 * S, "10 2 3-86403 of x 0:1/0/1/0=0+0 1:2/0/2/0=0+0");
    assert_remembered(&pair, "x", T + KEPT, "1 0 1-86401 1:2/2/2/0=6+0"); /* each expires by itself */
    assert_remembered(&pair, "x", T + KEPT + S, "");
    assert_remembered(&pair, "rest", T + KEPT + S, "10 2 3-86403 of x -1:1/0/1/0=0+0 -1:2/0/2/0=0+0");
    pair_end(&pair);
}

static void batches(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 day | b LIMIT 3 day");
    pair_open(&pair, "pro", T);
    struct consume_item items[] = {{text_bytes("b"), 5}, {text_bytes("a"), 4}};
    struct consume_request request = {
        .items = items, .count = 2, .mode = MODE_ALL, .any = true, .batch = true, .id = text_bytes("x"), .now_us = T};
    pair_request(&pair, &request);
    assert_remembered(&pair, "x", T, "2 0 0-86400 1:5/0/0/0=0+0 0:4/4/0/0=4+0");
    request.any = false;
    request.sticky = true;
    request.id = text_bytes("y");
    pair_request(&pair, &request);
    assert_remembered(&pair, "y", T, "2 1 0-86400 1:5/0/0/0=0+0 0:4/0/0/0=0+0");
    pair_end(&pair);
}

static void reservations_live_and_end(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 day | b LIMIT 10 day");
    pair_open(&pair, "pro", T);
    pair_reserve_all(&pair, "h", "a 3 | b 5", MODE_ALL, H, T);
    pair_reserve(&pair, "i", "a", 2, H, T);
    pair_reserve(&pair, "j", "a", 1, H, T);
    assert_remembered(&pair, "h", T, "4 3 0--1 0:3/3/0/0=3+0 1:5/5/0/0=5+0");
    pair_commit_all(&pair, "h", "2 5", false, T + S);
    pair_release(&pair, "i", T + S);
    assert_remembered(&pair, "h", T + S, "4 4 0-86401 0:3/2/0/0=2+0 1:5/5/0/0=5+0");
    assert_remembered(&pair, "i", T + S, "4 5 0-86401 0:2/0/0/0=0+0");
    pair_refund(&pair, "b", 4, "h", NULL, T + 2 * S);
    assert_remembered(&pair, "h", T + 2 * S, "4 4 0-86401 0:3/2/0/0=2+0 1:5/5/4/0=5+0");
    assert_remembered(&pair, "j", T + H - 1, "4 3 0--1 0:1/1/0/0=1+0");
    assert_remembered(&pair, "j", T + H, "4 6 0-90000 0:1/0/0/0=0+0"); /* before it is swept … */
    pair_settle(&pair, T + H);
    assert_remembered(&pair, "j", T + H, "4 6 0-90000 0:1/0/0/0=0+0"); /* … and after it */
    assert_remembered(&pair, "j", T + H + KEPT, "");
    pair_end(&pair);
}

static void what_paid_and_what_counted(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 10 day CREDITS | c COST 2 AS a");
    pair_open(&pair, "pro", T);
    struct grant_request grant = gift("g", 20);
    pair_grant(&pair, &grant, T);
    assert_remembered(&pair, "g", T, "8 7 0--1 0:20/20/0/0=0+0");
    pair_request_one(&pair, "a", 13, MODE_ALL, "x", T);
    assert_remembered(&pair, "x", T, "1 0 0-86400 0:13/13/0/0=10+3");
    pair_request_one(&pair, "c", 4, MODE_ALL, "y", T); /* eight of `a` */
    assert_remembered(&pair, "y", T, "1 0 0-86400 1:4/4/0/0=4+0 +0:4/4/0/0=0+8");
    pair_void(&pair, "g", T + S);
    pair_settle(&pair, T + 2 * S);
    assert_remembered(&pair, "g", T + 2 * S, "8 7 0-86401 0:20/20/0/0=0+0");
    pair_end(&pair);
}

/* One text, and everything that it can be an id of. */
static void one_id_of_many_operations(void **state)
{
    (void)state;
    struct pair pair = {0};
    plan_set("pro", "a LIMIT 50 day CREDITS");
    pair_open(&pair, "pro", T);
    struct grant_request grant = gift("x", 20);
    pair_request_one(&pair, "a", 4, MODE_ALL, "x", T);
    pair_refund(&pair, "a", 1, NULL, "x", T);
    pair_reserve(&pair, "x", "a", 3, H, T);
    pair_grant(&pair, &grant, T);
    assert_remembered(&pair, "x", T,
                      "1 0 0-86400 0:4/4/0/0=4+0 | 3 2 0-86400 0:1/0/1/0=0+0 | 4 3 0--1 0:3/3/0/0=3+0 | "
                      "8 7 0--1 0:20/20/0/0=0+0");
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(consumptions_and_refunds),  cmocka_unit_test(batches),
        cmocka_unit_test(reservations_live_and_end), cmocka_unit_test(what_paid_and_what_counted),
        cmocka_unit_test(one_id_of_many_operations),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

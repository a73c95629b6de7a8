/* Histories of plans: changes applied one after another against a list, round trips, bytes that are no change. */
#include "account_tools.h"
#include "quota/account/entitlement_codec.h"

#define T at("2025-01-31T15:00:00")

static struct plan_entry entry_of(const char *text, int64_t revision)
{
    return (struct plan_entry){.revision = revision, .granted = true, .entitlement = entitlement_from(text)};
}

static struct sink whole_of(const struct plan_history *history)
{
    struct sink bytes = {0};
    plan_history_write_whole(history, &bytes);
    return bytes;
}

/* Applies a change that fits; its bytes are freed. */
static void apply(struct plan_history **history, struct sink *change)
{
    struct plan_history *after = plan_history_apply(*history, BYTES("pro"), sink_content(change));
    assert_non_null(after);
    *history = after;
    sink_free(change);
}

/* Applies one that does not fit: nothing has happened. */
static void refuse(struct plan_history *history, struct bytes name, struct bytes change)
{
    struct sink before = whole_of(history);
    assert_null(plan_history_apply(history, name, change));
    struct sink after = whole_of(history);
    assert_same_bytes(&before, &after);
    sink_free(&before);
    sink_free(&after);
}

static void set(struct plan_history **history, const char *text, int64_t revision, int64_t at_us, bool immediate)
{
    struct sink change = {0};
    struct plan_entry entry = entry_of(text, revision);
    plan_history_write_revision(0, at_us, immediate, APPLY_FULL, &entry, &change);
    apply(history, &change);
}

static void drop(struct plan_history **history, const char *resource, int64_t revision, int64_t at_us)
{
    struct sink change = {0};
    struct plan_entry entry = {.revision = revision, .entitlement = entitlement_none(text_bytes(resource))};
    plan_history_write_revision(0, at_us, true, APPLY_FULL, &entry, &change);
    apply(history, &change);
}

/* ---- what is in force ------------------------------------------------------------------------------------ */

static int64_t limit_in(const struct plan_history *history, const char *resource, int64_t now_us)
{
    const struct plan_track *track = plan_history_track(history, text_bytes(resource));
    const struct plan_revision *current = track ? plan_track_current(track, now_us) : NULL;
    return current && current->entry.granted ? current->entry.entitlement.rules[0].limit : -9;
}

static void a_revision_is_in_force_from_its_instant_on(void **state)
{
    (void)state;
    struct plan_history *history = NULL;
    set(&history, "a LIMIT 1 day", 1, T, true);
    set(&history, "a LIMIT 2 day", 2, T + H, false);
    set(&history, "b LIMIT 5 day", 3, T + 2 * H, false);
    assert_int_equal(history->newest, 3);
    assert_int_equal(limit_in(history, "a", T - H), 1); /* set without EFFECTIVE: whatever the clock says */
    assert_int_equal(limit_in(history, "a", T + H - 1), 1);
    assert_int_equal(limit_in(history, "a", T + H), 2);
    assert_int_equal(limit_in(history, "b", T + H), -9);
    assert_null(plan_history_track(history, BYTES("c")));
    assert_null(plan_history_track(NULL, BYTES("a")));
    const struct plan_track *track = plan_history_track(history, BYTES("a"));
    assert_int_equal(plan_track_pending(track, T)->entry.revision, 2);
    assert_null(plan_track_pending(track, T + H));
    assert_null(plan_track_pending(NULL, T));
    assert_null(plan_track_current(NULL, T));
    assert_int_equal(plan_history_resources(history, T), 1);
    assert_int_equal(plan_history_resources(history, T + 2 * H), 2);
    assert_int_equal(plan_history_resources(NULL, T), 0);
    plan_history_free(history);
    plan_history_free(NULL);
}

static void snapshots_are_the_plan_of_an_instant(void **state)
{
    (void)state;
    struct plan_history *history = NULL;
    set(&history, "a LIMIT 1 day", 1, T, true);
    set(&history, "a LIMIT 2 day", 2, T + H, true);
    set(&history, "b LIMIT 5 day", 3, T + 2 * H, true);
    drop(&history, "a", 4, T + 3 * H);
    set(&history, "a LIMIT 9 day", 5, T + 9 * H, false);
    static const struct {
        int64_t after_us, a, b;
    } rows[] = {{0, 1, -1}, {H, 2, -1}, {2 * H, 2, 5}, {3 * H, -1, 5}, {9 * H - 1, -1, 5}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) { /* seen from later: as it was then, not as it is */
        const struct plan *plan = plan_history_snapshot(history, T + rows[i].after_us, T + 10 * H);
        const struct entitlement *a = plan_entitlement(plan, BYTES("a")), *b = plan_entitlement(plan, BYTES("b"));
        assert_int_equal(a ? a->rules[0].limit : -1, rows[i].a);
        assert_int_equal(b ? b->rules[0].limit : -1, rows[i].b);
        assert_true(bytes_equal(plan->name, BYTES("pro")));
        plan_release(plan);
    }
    /* at its own instant everything that was set without EFFECTIVE holds, even if the clock stands before it */
    const struct plan *now = plan_history_snapshot(history, T - H, T - H);
    assert_int_equal(plan_revision(now), 4);
    assert_non_null(plan_find(now, BYTES("a")));                /* known to be gone */
    assert_false(plan_history_is_settled(history, now, T - H)); /* one is still to come */
    plan_release(now);
    const struct plan *last = plan_history_snapshot(history, T + 9 * H, T + 9 * H);
    assert_true(plan_history_is_settled(history, last, T + 9 * H));
    assert_false(plan_history_is_settled(history, last, T + 9 * H - 1));
    const struct plan *early = plan_history_snapshot(history, T, T + 9 * H);
    assert_false(plan_history_is_settled(history, early, T + 9 * H));
    plan_release(early);
    plan_release(last);
    plan_history_free(history);
}

/* ---- changes --------------------------------------------------------------------------------------------- */

static void what_is_to_come_is_replaced_or_cancelled(void **state)
{
    (void)state;
    struct plan_history *history = NULL;
    struct sink change = {0};
    set(&history, "a LIMIT 1 day", 1, T, true);
    set(&history, "a LIMIT 2 day", 2, T + H, false);
    struct plan_entry entry = entry_of("a LIMIT 3 day", 3);
    plan_history_write_revision(2, T + 2 * H, false, APPLY_END, &entry, &change);
    apply(&history, &change);
    const struct plan_track *track = plan_history_track(history, BYTES("a"));
    assert_int_equal(track->count, 2);
    assert_int_equal(plan_track_pending(track, T)->entry.revision, 3);
    assert_int_equal(plan_track_pending(track, T)->apply, APPLY_END);
    assert_int_equal(limit_in(history, "a", T + H), 1);

    change = (struct sink){0};
    plan_history_write_cancel(3, &change);
    apply(&history, &change);
    assert_null(plan_track_pending(plan_history_track(history, BYTES("a")), T));
    assert_int_equal(limit_in(history, "a", T + 2 * H), 1);
    assert_int_equal(history->newest, 3); /* a number is given once */

    change = (struct sink){0};
    plan_history_write_cancel(3, &change);
    refuse(history, BYTES("pro"), sink_content(&change));
    sink_free(&change);
    change = (struct sink){0};
    plan_history_write_cancel(1, &change); /* the last of its resource: the plan does not know it any more */
    apply(&history, &change);
    assert_null(plan_history_track(history, BYTES("a")));
    assert_int_equal(history->tracks_count, 0);
    plan_history_free(history);
}

static void a_plan_retires_and_is_revived(void **state)
{
    (void)state;
    struct plan_history *history = NULL;
    struct sink change = {0};
    plan_history_write_retire(T, &change);
    assert_null(plan_history_apply(NULL, BYTES("pro"), sink_content(&change))); /* there is none */
    set(&history, "a LIMIT 1 day", 1, T, true);
    apply(&history, &change);
    assert_true(history->retired);
    assert_int_equal(limit_in(history, "a", T), 1); /* its accounts go on */
    struct sink longer = {0};
    plan_history_write_retire(T, &longer);
    sink_byte(&longer, 0);
    refuse(history, BYTES("pro"), sink_content(&longer));
    sink_free(&longer);
    set(&history, "b LIMIT 2 day", 2, T + H, true);
    assert_false(history->retired);
    plan_history_free(history);
}

/* Nothing that does not fit leaves a trace: not even what it would have replaced is gone. */
static void changes_that_do_not_fit_do_nothing(void **state)
{
    (void)state;
    struct plan_history *history = NULL;
    set(&history, "a LIMIT 1 day", 5, T, true);
    set(&history, "a LIMIT 2 day", 7, T + H, false);
    set(&history, "b LIMIT 2 day", 6, T, true);
    static const struct {
        int64_t replaces, revision, at_us;
        int apply;
    } rows[] = {
        {0, 7, 5, APPLY_FULL},                  /* numbers ascend */
        {0, 3, 5, APPLY_FULL},                  /* likewise */
        {7, 5, 5, APPLY_FULL},                  /* not even without the one it replaces */
        {7, 4, 5, APPLY_FULL},                  /* likewise */
        {6, 7, 5, APPLY_FULL},                  /* replacing that of another resource does not help */
        {99, 8, 5, APPLY_FULL},                 /* there is none to replace */
        {0, 8, INSTANT_MAX_US + 1, APPLY_FULL}, /* no instant */
        {0, 8, 5, APPLY_MODES_COUNT},           /* no mode */
        {0, 0, 5, APPLY_FULL},                  /* no number */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sink change = {0};
        struct plan_entry entry = entry_of("a LIMIT 3 day", rows[i].revision);
        plan_history_write_revision(rows[i].replaces, rows[i].at_us, true, (enum plan_apply)rows[i].apply, &entry,
                                    &change);
        refuse(history, BYTES("pro"), sink_content(&change));
        sink_free(&change);
    }
    struct sink whole = whole_of(history);
    refuse(history, BYTES("team"), sink_content(&whole)); /* of another plan */
    refuse(history, BYTES(""), sink_content(&whole));
    sink_free(&whole);
    plan_history_free(history);
}

/* The last 64 of a resource; of others as many. */
static void the_newest_revisions_are_kept(void **state)
{
    (void)state;
    struct plan_history *history = NULL;
    set(&history, "b LIMIT 1 day", 1, T, true);
    for (int64_t i = 2; i <= 2 * PLAN_REVISIONS_MAX; i++) {
        set(&history, "a LIMIT 1 day", i, T + i, true);
        const struct plan_track *track = plan_history_track(history, BYTES("a"));
        int64_t kept = i - 1 < PLAN_REVISIONS_MAX ? i - 1 : PLAN_REVISIONS_MAX;
        assert_int_equal(track->count, kept);
        assert_int_equal(track->revisions[0]->entry.revision, i - kept + 1);
        assert_int_equal(track->revisions[track->count - 1]->entry.revision, i);
    }
    assert_int_equal(plan_history_track(history, BYTES("b"))->count, 1);
    plan_history_free(history);
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

static struct plan_history *some_history(void)
{
    struct plan_history *history = NULL;
    struct sink change = {0};
    set(&history, "a LIMIT 10 day WARN 80", 1, T, true);
    set(&history, "b LIMIT 5 ROLLING 1h RATE GCRA 1 1s", 2, T + H, false);
    drop(&history, "a", 3, T + 2 * H);
    struct plan_entry entry = entry_of("a LIMIT 7 month COST 2", 4);
    plan_history_write_revision(0, T + 3 * H, false, APPLY_PRORATE, &entry, &change);
    apply(&history, &change);
    return history;
}

static void assert_same_history(const struct plan_history *left, const struct plan_history *right)
{
    struct sink one = whole_of(left), two = whole_of(right);
    assert_same_bytes(&one, &two);
    sink_free(&one);
    sink_free(&two);
}

static void a_whole_history_reads_back(void **state)
{
    (void)state;
    struct plan_history *history = some_history(), *again = NULL;
    for (int retired = 0; retired < 2; retired++) {
        history->retired = retired;
        history->retired_at_us = retired ? T : 0;
        struct sink bytes = whole_of(history);
        apply(&again, &bytes); /* the second time in the place of the first */
        assert_same_history(history, again);
        assert_int_equal(again->retired, retired);
        assert_int_equal(again->newest, 4);
        assert_int_equal(limit_in(again, "a", T + 3 * H), 7);
        assert_int_equal(plan_history_track(again, BYTES("a"))->revisions[2]->apply, APPLY_PRORATE);
    }
    plan_history_free(history);
    plan_history_free(again);
}

/* The history survives its own bytes. */
static void assert_sane(const struct plan_history *history)
{
    struct sink bytes = whole_of(history), more = {0};
    struct plan_history *again = plan_history_apply(NULL, history->name, sink_content(&bytes));
    assert_non_null(again);
    assert_same_history(history, again);
    for (uint32_t i = 0; i < history->tracks_count; i++) {
        const struct plan_track *track = &history->tracks[i];
        assert_true(track->count >= 1 && track->count <= PLAN_REVISIONS_MAX);
        for (uint32_t k = 0; k < track->count; k++) {
            assert_true(bytes_equal(track->revisions[k]->entry.entitlement.resource, track->resource));
            assert_true(k == 0 || track->revisions[k]->entry.revision > track->revisions[k - 1]->entry.revision);
            assert_true(track->revisions[k]->entry.revision <= history->newest);
        }
    }
    plan_release(plan_history_snapshot(history, T + H, T + 5 * H));
    sink_free(&bytes);
    sink_free(&more);
    plan_history_free(again);
}

static void take(const struct sink *before, struct bytes change)
{
    struct plan_history *history = NULL;
    if (before->size > 0) history = plan_history_apply(NULL, BYTES("pro"), sink_content(before));
    struct plan_history *after = plan_history_apply(history, BYTES("pro"), change);
    if (after || history) assert_sane(after ? after : history);
    plan_history_free(after ? after : history);
}

/* Cut anywhere, or with any byte another one: refused, or what is left is sane. */
static void mutate(const struct sink *before, struct sink *change)
{
    for (size_t size = 0; size < change->size; size++) {
        struct plan_history *none = plan_history_apply(NULL, BYTES("pro"), (struct bytes){change->data, size});
        if (none) fail_msg("%zu of %zu bytes are taken", size, change->size);
        take(before, (struct bytes){change->data, size});
    }
    for (size_t place = 0; place < change->size; place++) {
        for (int value = 1; value < 256; value++) {
            change->data[place] = (char)(change->data[place] ^ value);
            take(before, sink_content(change));
            change->data[place] = (char)(change->data[place] ^ value);
        }
    }
}

static void mutated_bytes_are_refused_or_sane(void **state)
{
    (void)state;
    struct plan_history *history = some_history();
    struct sink none = {0}, whole = whole_of(history), change = {0};
    mutate(&none, &whole);
    struct plan_entry entry = entry_of("b LIMIT 3 day", 9);
    plan_history_write_revision(2, T, true, APPLY_END, &entry, &change);
    mutate(&whole, &change);
    change.size = 0;
    plan_history_write_cancel(4, &change);
    mutate(&whole, &change);
    sink_free(&change);
    sink_free(&whole);
    plan_history_free(history);
}

/* A plan of the first encoding was in force at once, and whole. */
static void the_first_encoding_is_read(void **state)
{
    (void)state;
    struct sink bytes = {0};
    struct entitlement one = entitlement_from("a LIMIT 10 day"), two = entitlement_from("b LIMIT 20 month");
    sink_byte(&bytes, PLAN_ENCODING_PLAN);
    sink_bytes(&bytes, BYTES("pro"));
    sink_number(&bytes, 7);
    sink_number(&bytes, 2);
    entitlement_encode(&one, &bytes);
    entitlement_encode(&two, &bytes);
    struct plan_history *history = some_history(); /* it takes the place of what there is */
    for (size_t size = 0; size < bytes.size; size++) {
        refuse(history, BYTES("pro"), (struct bytes){bytes.data, size});
    }
    refuse(history, BYTES("team"), sink_content(&bytes));
    apply(&history, &bytes);
    assert_int_equal(history->newest, 7);
    assert_int_equal(history->tracks_count, 2);
    assert_int_equal(limit_in(history, "a", 1), 10);
    assert_int_equal(limit_in(history, "b", 1), 20);
    assert_sane(history);
    plan_history_free(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_revision_is_in_force_from_its_instant_on),
        cmocka_unit_test(snapshots_are_the_plan_of_an_instant),
        cmocka_unit_test(what_is_to_come_is_replaced_or_cancelled),
        cmocka_unit_test(a_plan_retires_and_is_revived),
        cmocka_unit_test(changes_that_do_not_fit_do_nothing),
        cmocka_unit_test(the_newest_revisions_are_kept),
        cmocka_unit_test(a_whole_history_reads_back),
        cmocka_unit_test(mutated_bytes_are_refused_or_sane),
        cmocka_unit_test(the_first_encoding_is_read),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

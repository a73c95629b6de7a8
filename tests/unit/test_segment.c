/* Segments against a plain list of what they must hold: names of every length, order, split, merge, sweep, carry. */
#include "quota/rate/segment.h"
#include "quota/time/duration.h"
#include "scenario.h"
#include "tools.h"

#define NAMES 200

static const struct siphash_key key = {{7, 11}};

/* Name i: every length from none to the longest, some of them twice with another last byte. */
static struct bytes name_at(uint32_t i, char room[SUBJECT_BYTES_MAX])
{
    size_t size = i < 40 ? i / 2 : (i * 7) % (SUBJECT_BYTES_MAX + 1);
    memset(room, 'a' + (int)(i % 26), SUBJECT_BYTES_MAX);
    if (size >= 4) memcpy(room + size - 4, &i, 4);
    return (struct bytes){room, size};
}

static const struct rule_set *set_of(struct rule rule)
{
    return rule_set_take(&rule, 1, 0, 0);
}

/* Charges a subject, which is put in if it is not there. */
static struct segment *charge(struct segment *segment, struct bytes name, int64_t cost, int64_t now_us)
{
    struct limiter_buffer stack_buffer;
    struct decision decision;
    struct limiter_request request = {.cost = cost, .now_us = now_us, .mode = MODE_FORCE};
    uint64_t hash = siphash(&key, name);
    uint32_t at;
    if (!segment_find(segment, hash, name, &at)) segment = segment_insert(segment, at, hash, name);
    const struct rule_set *set = segment_set(segment);
    limiter_decide(segment_borrow(segment, at, &stack_buffer), (struct rule *)set->rules, set->count, &request,
                   &decision);
    assert_int_equal(decision.fault, FAULT_NONE);
    segment_apply(segment, at, &decision);
    return segment;
}

static bool holds(const struct segment *segment, struct bytes name)
{
    uint32_t at;
    return segment_find(segment, siphash(&key, name), name, &at);
}

/* Ascending by last byte of the hash, then by length, then by bytes. */
static void assert_ordered(const struct segment *segment)
{
    for (uint32_t i = 1; i < segment_count(segment); i++) {
        struct bytes one = segment_name(segment, i - 1), two = segment_name(segment, i);
        uint8_t left = (uint8_t)siphash(&key, one), right = (uint8_t)siphash(&key, two);
        assert_true(left <= right);
        if (left < right) continue;
        assert_true(one.size <= two.size);
        if (one.size == two.size) assert_true(memcmp(one.data, two.data, one.size) < 0);
    }
}

static struct segment *filled(struct rule rule, uint32_t from, uint32_t to)
{
    char room[SUBJECT_BYTES_MAX];
    const struct rule_set *set = set_of(rule);
    struct segment *segment = segment_new(set, 0);
    for (uint32_t i = from; i < to; i++) segment = charge(segment, name_at(i, room), 1 + i % 3, BASE + i * MS);
    rule_set_release(set);
    return segment;
}

static void what_is_put_in_is_found(void **state)
{
    (void)state;
    char room[SUBJECT_BYTES_MAX];
    static const enum rule_algorithm algorithms[] = {RULE_GCRA, RULE_TOKEN, RULE_FIXED, RULE_LOG};
    for (size_t k = 0; k < COUNT_OF(algorithms); k++) {
        struct segment *segment = filled(rule_of(algorithms[k], 5, S, 0), 0, NAMES);
        uint32_t distinct = 0;
        for (uint32_t i = 0; i < NAMES; i++) {
            char other[SUBJECT_BYTES_MAX];
            assert_true(holds(segment, name_at(i, room)));
            bool first = true;
            for (uint32_t j = 0; j < i && first; j++) first = !bytes_equal(name_at(i, room), name_at(j, other));
            distinct += first;
        }
        assert_int_equal(segment_count(segment), distinct);
        assert_false(holds(segment, BYTES("unknown")));
        assert_ordered(segment);
        size_t slots = distinct * 24, bytes = segment_bytes(segment);
        assert_true(bytes > slots);
        segment_free(segment);
    }
}

static void the_order_in_which_they_came_leaves_no_trace(void **state)
{
    (void)state;
    char room[SUBJECT_BYTES_MAX];
    struct segment *one = filled(rule_of(RULE_GCRA, 5, S, 0), 0, NAMES);
    struct segment *two = segment_new(segment_set(one), 0);
    for (uint32_t i = NAMES; i-- > 0;) two = charge(two, name_at(i, room), 1, BASE);
    assert_int_equal(segment_count(one), segment_count(two));
    for (uint32_t i = 0; i < segment_count(one); i++) {
        assert_true(bytes_equal(segment_name(one, i), segment_name(two, i)));
    }
    segment_free(one);
    segment_free(two);
}

static void split_and_merged_it_is_what_it_was(void **state)
{
    (void)state;
    char room[SUBJECT_BYTES_MAX];
    struct limiter_buffer left, right;
    struct segment *kept = filled(rule_of(RULE_LOG, 5, S, 0), 0, NAMES), *halves[2];
    segment_split(filled(rule_of(RULE_LOG, 5, S, 0), 0, NAMES), &key, halves);
    assert_int_equal(segment_depth(halves[0]), 1);
    assert_int_equal(segment_count(halves[0]) + segment_count(halves[1]), segment_count(kept));
    for (uint32_t i = 0; i < NAMES; i++) {
        struct bytes name = name_at(i, room);
        bool high = siphash(&key, name) >> 63;
        assert_true(holds(halves[high], name) && !holds(halves[!high], name));
    }
    assert_ordered(halves[0]);
    assert_ordered(halves[1]);
    struct segment *merged = segment_merge(halves[0], halves[1]);
    assert_int_equal(segment_depth(merged), 0);
    assert_int_equal(segment_count(merged), segment_count(kept));
    for (uint32_t i = 0; i < segment_count(kept); i++) {
        assert_true(bytes_equal(segment_name(merged, i), segment_name(kept, i)));
        struct limiter *one = segment_borrow(merged, i, &left), *two = segment_borrow(kept, i, &right);
        assert_int_equal(limiter_deadline_us(one), limiter_deadline_us(two));
        assert_int_equal(limiter_bytes(one), limiter_bytes(two));
    }
    segment_free(merged);
    segment_free(kept);
}

static void the_idle_go_and_the_others_stay(void **state)
{
    (void)state;
    char room[SUBJECT_BYTES_MAX];
    struct limiter_buffer stack_buffer;
    static const int64_t instants_us[] = {BASE, BASE + 300 * MS, BASE + 500 * MS, BASE + H};
    for (size_t k = 0; k < COUNT_OF(instants_us); k++) {
        bool busy[NAMES];
        struct segment *segment = filled(rule_of(RULE_LOG, 5, 200 * MS, 0), 0, NAMES);
        bool any = false;
        for (uint32_t i = 0; i < NAMES; i++) {
            uint32_t at;
            struct bytes name = name_at(i, room);
            assert_true(segment_find(segment, siphash(&key, name), name, &at));
            busy[i] = limiter_deadline_us(segment_borrow(segment, at, &stack_buffer)) > instants_us[k];
            any = any || !busy[i];
        }
        assert_int_equal(segment_has_idle(segment, instants_us[k]), any);
        segment = segment_sweep(segment, instants_us[k]);
        for (uint32_t i = 0; i < NAMES; i++) assert_int_equal(holds(segment, name_at(i, room)), busy[i]);
        assert_ordered(segment);
        segment_free(segment);
    }
}

static void assert_decide_alike(const struct segment *carried, const struct segment *old, struct bytes name,
                                struct limiter_request request)
{
    struct limiter_buffer left, right;
    struct decision one, two;
    const struct rule_set *set = segment_set(carried);
    struct rule rules[RULES_MAX] = {set->rules[0]};
    uint32_t at;
    assert_true(segment_find(carried, siphash(&key, name), name, &at));
    limiter_decide(segment_borrow(carried, at, &left), (struct rule *)set->rules, 1, &request, &one);
    limiter_decide(segment_borrow(old, at, &right), rules, 1, &request, &two);
    assert_int_equal(one.verdict.granted, two.verdict.granted);
    assert_int_equal(one.verdict.limit, two.verdict.limit);
    assert_int_equal(one.verdict.remaining, two.verdict.remaining);
    assert_int_equal(one.verdict.wait_us, two.verdict.wait_us);
    assert_int_equal(one.verdict.reset_us, two.verdict.reset_us);
    assert_int_equal(one.verdict.rule, two.verdict.rule);
}

/* A state carried to other rules is the state limiter_decide would have gone on with. */
static void carried_states_decide_as_adopted_ones_do(void **state)
{
    (void)state;
    static const struct rule_pair {
        enum rule_algorithm before, after;
        int64_t limit, period_us;
    } pairs[] = {
        /* the same algorithm tighter, looser, over another period */
        {RULE_GCRA, RULE_GCRA, 2, S},
        {RULE_GCRA, RULE_GCRA, 50, S},
        {RULE_TOKEN, RULE_TOKEN, 3, 7 * S},
        {RULE_FIXED, RULE_FIXED, 4, H},
        {RULE_SLIDING, RULE_SLIDING, 9, 2 * S},
        {RULE_LOG, RULE_LOG, 3, 2 * S},
        {RULE_LEAKY, RULE_LEAKY, 7, S},
        {RULE_QUEUE, RULE_QUEUE, 7, S},
        /* another one: it takes over the units */
        {RULE_GCRA, RULE_LOG, 5, S},
        {RULE_LOG, RULE_TOKEN, 5, S},
    };
    char room[SUBJECT_BYTES_MAX];
    for (size_t k = 0; k < COUNT_OF(pairs); k++) {
        struct rule before = rule_of(pairs[k].before, 5, S, 0);
        struct rule after = rule_of(pairs[k].after, pairs[k].limit, pairs[k].period_us, 0);
        struct segment *old = filled(before, 0, NAMES);
        const struct rule_set *set = set_of(after);
        int64_t since_us = BASE + 150 * MS;
        struct segment *carried = segment_carry(filled(before, 0, NAMES), set, since_us);
        assert_ptr_equal(segment_set(carried), set);
        assert_int_equal(segment_count(carried), segment_count(old));
        for (uint32_t i = 0; i < NAMES; i++) {
            struct limiter_request request = {
                .cost = 1 + i % 4, .mode = i % 2 ? MODE_ALL : MODE_UPTO, .rules_us = since_us};
            request.now_us = since_us + i * MS;
            assert_decide_alike(carried, old, name_at(i, room), request);
        }
        segment_free(carried);
        segment_free(old);
        rule_set_release(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_in_is_found),
        cmocka_unit_test(the_order_in_which_they_came_leaves_no_trace),
        cmocka_unit_test(split_and_merged_it_is_what_it_was),
        cmocka_unit_test(the_idle_go_and_the_others_stay),
        cmocka_unit_test(carried_states_decide_as_adopted_ones_do),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

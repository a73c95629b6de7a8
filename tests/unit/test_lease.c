/* Leases: rows per promise, then random streams against a plain list that recounts everything every time.
 *
 * Every step is also held against what must always be true: deciding leaves the value byte for byte as it was, a
 * decision without a change is a denial, a replay or a fault, a change carries over the wire to a twin that ends
 * byte-identical, a value survives its own encoding. */
#include "quota/rate/lease.h"
#include "quota/rate/lease_codec.h"
#include "scenario.h"
#include <stdio.h>
#include <stdlib.h>

#define DAY LEASE_RETENTION_US

/* One key and its twin behind a replication link. */
struct pair {
    struct leases *leases, *twin;
    struct lease_decision decision; /* of the last request */
};

static struct bytes text_bytes(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static struct sink bytes_of(const struct leases *leases)
{
    struct sink bytes = {0};
    if (leases) leases_encode(leases, &bytes);
    return bytes;
}

static void assert_same_bytes(const struct sink *left, const struct sink *right)
{
    assert_int_equal(left->size, right->size);
    if (left->size > 0) assert_memory_equal(left->data, right->data, left->size);
}

static void assert_survives_encoding(const struct leases *leases)
{
    struct sink bytes = bytes_of(leases);
    struct leases *again = leases_decode((struct bytes){bytes.data, bytes.size});
    assert_non_null(again);
    struct sink once_more = bytes_of(again);
    assert_same_bytes(&bytes, &once_more);
    assert_int_equal(leases_bytes(leases) > 0, 1);
    leases_free(again);
    sink_free(&bytes);
    sink_free(&once_more);
}

/* Carries the last decision over the wire and applies it on both sides. */
static void pair_apply(struct pair *pair)
{
    struct sink wire = {0};
    struct lease_decision received;
    bool no_expire;
    lease_effects_encode(&pair->decision, true, &wire);
    assert_true(lease_effects_decode((struct bytes){wire.data, wire.size}, &received, &no_expire));
    assert_true(no_expire);
    assert_true(leases_accepts(pair->twin, &received));
    pair->leases = leases_apply(pair->leases, &pair->decision);
    pair->twin = leases_apply(pair->twin, &received);
    sink_free(&wire);

    struct sink bytes = bytes_of(pair->leases), twin_bytes = bytes_of(pair->twin);
    assert_same_bytes(&bytes, &twin_bytes);
    sink_free(&bytes);
    sink_free(&twin_bytes);
    assert_survives_encoding(pair->leases);
}

/* What `decide` does leaves the value as it was; then the change is applied. */
#define PAIR_DECIDE(pair_, ...)                                                                                        \
    do {                                                                                                               \
        struct sink before_ = bytes_of((pair_)->leases);                                                               \
        __VA_ARGS__;                                                                                                   \
        struct sink after_ = bytes_of((pair_)->leases);                                                                \
        assert_same_bytes(&before_, &after_);                                                                          \
        sink_free(&before_);                                                                                           \
        sink_free(&after_);                                                                                            \
        if ((pair_)->decision.change != LEASE_KEPT) pair_apply(pair_);                                                 \
    } while (0)

static const struct verdict *acquire(struct pair *pair, struct lease_request request)
{
    PAIR_DECIDE(pair, leases_decide_acquire(pair->leases, &request, &pair->decision));
    return &pair->decision.verdict;
}

static enum lease_fault renew(struct pair *pair, const char *id, int64_t ttl_us, int64_t now_us)
{
    PAIR_DECIDE(pair,
                leases_decide_renew(pair->leases, text_bytes(id), LEASE_ANY_TOKEN, ttl_us, now_us, &pair->decision));
    return pair->decision.fault;
}

static bool release(struct pair *pair, const char *id, int64_t now_us)
{
    bool live = false;
    PAIR_DECIDE(pair,
                live = leases_decide_release(pair->leases, text_bytes(id), LEASE_ANY_TOKEN, now_us, &pair->decision));
    return live;
}

static void pair_end(struct pair *pair)
{
    leases_free(pair->leases);
    leases_free(pair->twin);
    *pair = (struct pair){0};
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

enum { ACQUIRE, RENEW, RELEASE };

struct row {
    int what;
    int64_t at_us; /* after BASE */
    const char *id;
    int64_t limit, cost, ttl_us, ahead;
    /* ACQUIRE: the verdict; others: granted = 1 when there was such a lease */
    int64_t granted, remaining, wait_us, reset_us;
    enum lease_fault fault;
};

static struct lease_request request_of(const struct row *row)
{
    return (struct lease_request){.id = text_bytes(row->id),
                                  .limit = row->limit,
                                  .cost = row->cost,
                                  .ttl_us = row->ttl_us,
                                  .now_us = BASE + row->at_us,
                                  .ahead = row->ahead};
}

static void assert_verdict(const struct pair *pair, const struct row *row, size_t number)
{
    const struct verdict *verdict = &pair->decision.verdict;
    if (verdict->remaining != row->remaining || verdict->wait_us != row->wait_us ||
        verdict->reset_us != row->reset_us) {
        fail_msg("row %zu: remaining %lld wait %lld reset %lld", number, (long long)verdict->remaining,
                 (long long)verdict->wait_us, (long long)verdict->reset_us);
    }
    if (row->fault != LEASE_FAULT_NONE) return;
    assert_int_equal(verdict->limit, row->limit);
    assert_int_equal(verdict->rule, 0);
    assert_int_equal(pair->decision.lease.token > 0, verdict->granted > 0);
}

static void run_rows(const struct row *rows, size_t count)
{
    struct pair pair = {0};
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        int64_t now_us = BASE + row->at_us, granted = 0;
        if (row->what == ACQUIRE) {
            granted = acquire(&pair, request_of(row))->granted;
            assert_verdict(&pair, row, i);
        } else if (row->what == RENEW) {
            granted = renew(&pair, row->id, row->ttl_us, now_us) == LEASE_FAULT_NONE;
        } else {
            granted = release(&pair, row->id, now_us);
        }
        if (granted != row->granted || pair.decision.fault != row->fault) {
            fail_msg("row %zu: granted %lld fault %d", i, (long long)granted, (int)pair.decision.fault);
        }
    }
    pair_end(&pair);
}

/* at, id, limit, cost, ttl, ahead ─▶ granted, remaining, wait, reset */
#define TAKE(...)                                                                                                      \
    {                                                                                                                  \
        ACQUIRE, __VA_ARGS__, LEASE_FAULT_NONE                                                                         \
    }
#define FAULTY(fault_, at_, id_, limit_, cost_, ttl_)                                                                  \
    {                                                                                                                  \
        ACQUIRE, at_, id_, limit_, cost_, ttl_, 0, 0, 0, 0, 0, fault_                                                  \
    }
/* at, id, ttl ─▶ fault */
#define MOVE(at_, id_, ttl_, fault_)                                                                                   \
    {                                                                                                                  \
        RENEW, at_, id_, 0, 0, ttl_, 0, (fault_) == LEASE_FAULT_NONE, 0, 0, 0, fault_                                  \
    }
/* at, id ─▶ was there one? */
#define END(at_, id_, was_)                                                                                            \
    {                                                                                                                  \
        RELEASE, at_, id_, 0, 0, 0, 0, was_, 0, 0, 0, LEASE_FAULT_NONE                                                 \
    }
#define RUN_ROWS(...)                                                                                                  \
    run_rows((const struct row[]){__VA_ARGS__}, sizeof((struct row[]){__VA_ARGS__}) / sizeof(struct row))

static void costs_of_live_leases_stay_within_the_limit(void **state)
{
    (void)state;
    RUN_ROWS(
        /* exactly enough is admitted; what does not fit waits for the first that makes room */
        TAKE(0, "a", 5, 3, 10 * S, 0, 3, 2, 0, 10 * S), TAKE(S, "b", 5, 2, 20 * S, 0, 2, 0, 0, 20 * S),
        TAKE(2 * S, "c", 5, 1, S, 0, 0, 0, 8 * S, 19 * S), TAKE(2 * S, "c", 5, 3, S, 0, 0, 0, 8 * S, 19 * S),
        TAKE(2 * S, "c", 5, 4, S, 0, 0, 0, 19 * S, 19 * S),
        /* never */
        TAKE(2 * S, "c", 5, 6, S, 0, 0, 0, NEVER, 19 * S), TAKE(2 * S, "c", 0, 1, S, 0, 0, 0, NEVER, 19 * S),
        /* a lease is live up to its expiry and not at it */
        TAKE(10 * S - 1, "c", 5, 3, S, 0, 0, 0, 1, 11 * S + 1), TAKE(10 * S, "c", 5, 3, S, 0, 3, 0, 0, 11 * S),
        /* another limit applies at once; below what is held nothing remains */
        TAKE(10 * S, "d", 1, 1, S, 0, 0, 0, 11 * S, 11 * S), TAKE(10 * S, "d", 9, 4, S, 0, 4, 0, 0, 11 * S),
        /* unlimited counts too */
        TAKE(10 * S, "e", -1, 7, S, 0, 7, -1, 0, 11 * S), TAKE(10 * S, "f", 20, 5, S, 0, 0, 4, S, 11 * S));
}

static void an_id_is_acquired_again(void **state)
{
    (void)state;
    RUN_ROWS(TAKE(0, "a", 5, 3, 10 * S, 0, 3, 2, 0, 10 * S),
             /* the same answer, however full it is and however many wait */
             TAKE(S, "a", 3, 3, 99 * S, 7, 3, 0, 0, 9 * S), TAKE(S, "a", 1, 3, 99 * S, 0, 3, 0, 0, 9 * S),
             FAULTY(LEASE_FAULT_CONFLICT, S, "a", 5, 2, 9 * S),
             /* not when it has ended */
             TAKE(10 * S, "a", 5, 2, S, 0, 2, 3, 0, S));
    struct pair pair = {0};
    struct lease_request request = {.id = BYTES("a"), .limit = 9, .cost = 1, .ttl_us = S, .now_us = BASE};
    acquire(&pair, request);
    int64_t token = pair.decision.lease.token;
    request.now_us += S / 2;
    acquire(&pair, request);
    assert_int_equal(pair.decision.change, LEASE_KEPT);
    assert_int_equal(pair.decision.lease.token, token);
    assert_int_equal(pair.decision.lease.expires_us, BASE + S); /* not renewed */
    pair_end(&pair);
}

static void leases_are_renewed_and_released(void **state)
{
    (void)state;
    RUN_ROWS(MOVE(0, "a", S, LEASE_FAULT_UNKNOWN), END(0, "a", 0), TAKE(0, "a", 1, 1, 10 * S, 0, 1, 0, 0, 10 * S),
             MOVE(9 * S, "a", 10 * S, LEASE_FAULT_NONE), TAKE(10 * S, "b", 1, 1, S, 0, 0, 0, 9 * S, 9 * S),
             /* sooner is possible too, and so is the same */
             MOVE(10 * S, "a", 2 * S, LEASE_FAULT_NONE), MOVE(10 * S, "a", 2 * S, LEASE_FAULT_NONE),
             TAKE(10 * S, "b", 1, 1, S, 0, 0, 0, 2 * S, 2 * S),
             /* what has ended cannot be renewed or released */
             MOVE(12 * S, "a", S, LEASE_FAULT_UNKNOWN), END(12 * S, "a", 0), TAKE(12 * S, "b", 1, 1, S, 0, 1, 0, 0, S),
             END(12 * S, "b", 1), END(12 * S, "b", 0), TAKE(12 * S, "c", 1, 1, S, 0, 1, 0, 0, S));
}

static void a_token_names_one_holder(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct bytes id = text_bytes("job-7");
    struct lease_request request = {.id = id, .limit = 1, .cost = 1, .ttl_us = S, .now_us = BASE};
    acquire(&pair, request);
    int64_t first = pair.decision.lease.token, now_us = request.now_us = BASE + S;
    acquire(&pair, request); /* the lease has ended; another holder takes it under the same id */
    int64_t second = pair.decision.lease.token;
    assert_true(second > first);
    PAIR_DECIDE(&pair, leases_decide_renew(pair.leases, id, first, H, now_us, &pair.decision));
    assert_int_equal(pair.decision.fault, LEASE_FAULT_UNKNOWN);
    assert_false(leases_decide_release(pair.leases, id, first, now_us, &pair.decision));
    assert_int_equal(pair.decision.change, LEASE_KEPT);
    PAIR_DECIDE(&pair, leases_decide_renew(pair.leases, id, second, H, now_us, &pair.decision));
    assert_int_equal(pair.decision.fault, LEASE_FAULT_NONE);
    assert_int_equal(pair.decision.lease.token, second);
    bool released;
    PAIR_DECIDE(&pair, released = leases_decide_release(pair.leases, id, second, now_us, &pair.decision));
    assert_true(released);
    assert_false(leases_decide_release(pair.leases, id, second, now_us, &pair.decision));
    pair_end(&pair);
}

static void no_request_overtakes_those_that_wait(void **state)
{
    (void)state;
    RUN_ROWS(TAKE(0, "a", 5, 3, 10 * S, 0, 3, 2, 0, 10 * S), TAKE(0, "b", 5, 1, 20 * S, 0, 1, 1, 0, 20 * S),
             /* one would fit, but two units are waited for: all three fit when the first ends */
             TAKE(0, "c", 5, 1, S, 2, 0, 1, 10 * S, 20 * S), TAKE(0, "c", 5, 1, S, 3, 0, 1, 10 * S, 20 * S),
             TAKE(0, "c", 5, 1, S, 4, 0, 1, 20 * S, 20 * S), TAKE(0, "c", 5, 1, S, INT64_MAX, 0, 1, 20 * S, 20 * S),
             TAKE(0, "c", -1, 1, S, 1, 0, -1, 10 * S, 20 * S), TAKE(0, "c", 5, 9, S, 1, 0, 1, NEVER, 20 * S),
             TAKE(20 * S, "c", 5, 1, S, 1, 0, 5, 0, 0));
}

static void a_clock_stepping_back_revives_nothing(void **state)
{
    (void)state;
    RUN_ROWS(TAKE(0, "a", 1, 1, 10 * S, 0, 1, 0, 0, 10 * S), TAKE(10 * S, "b", 1, 1, 5 * S, 0, 1, 0, 0, 5 * S),
             /* back: a stays gone, b stays live, new expiries count from the mark, waits from the clock */
             END(2 * S, "a", 0), MOVE(2 * S, "a", S, LEASE_FAULT_UNKNOWN),
             TAKE(2 * S, "c", 1, 1, S, 0, 0, 0, 13 * S, 13 * S), MOVE(2 * S, "b", 6 * S, LEASE_FAULT_NONE),
             TAKE(2 * S, "c", 1, 1, S, 0, 0, 0, 14 * S, 14 * S), TAKE(2 * S, "c", 2, 1, S, 0, 1, 0, 0, 14 * S),
             TAKE(11 * S, "d", 2, 1, S, 0, 1, 0, 0, 5 * S));
}

static void numbers_at_their_edges(void **state)
{
    (void)state;
    int64_t last_us = INSTANT_MAX_US - BASE;
    RUN_ROWS(TAKE(0, "a", INT64_MAX, INT64_MAX - 1, S, 0, INT64_MAX - 1, 1, 0, S),
             TAKE(0, "b", INT64_MAX, 2, S, 0, 0, 1, S, S), FAULTY(LEASE_FAULT_OVERFLOW, 0, "b", -1, 2, S),
             TAKE(0, "b", -1, 1, 1, 0, 1, -1, 0, S),
             TAKE(1, "b", INT64_MAX, 1, DURATION_MAX_US, 0, 1, 0, 0, DURATION_MAX_US),
             FAULTY(LEASE_FAULT_OVERFLOW, last_us, "c", 1, 1, 1), TAKE(last_us - 1, "c", 1, 1, 1, 0, 1, 0, 0, 1),
             MOVE(last_us - 1, "c", 2, LEASE_FAULT_OVERFLOW),
             /* no token is left: it would be later than the last instant */
             END(last_us - 1, "c", 1), TAKE(last_us - 1, "d", 1, 1, 1, 0, 1, 0, 0, 1), END(last_us - 1, "d", 1),
             FAULTY(LEASE_FAULT_OVERFLOW, last_us - 1, "e", 1, 1, 1));
}

static void tokens_only_grow(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct lease_request request = {.limit = 9, .cost = 1, .ttl_us = S, .now_us = BASE};
    acquire(&pair, request);
    assert_int_equal(pair.decision.lease.token, BASE); /* the time of day: above all that a forgotten key gave */
    acquire(&pair, request);
    assert_int_equal(pair.decision.lease.token, BASE + 1);
    assert_memory_equal(pair.decision.lease.id.data, "L1738335600000001", pair.decision.lease.id.size);
    request.now_us += H;
    acquire(&pair, request);
    assert_int_equal(pair.decision.lease.token, BASE + H);
    assert_true(release(&pair, "L1738339200000000", request.now_us));
    request.now_us -= H; /* nothing is held, the clock is back: the key remembers */
    acquire(&pair, request);
    assert_int_equal(pair.decision.lease.token, BASE + H + 1);
    pair_end(&pair);
}

static void an_id_made_here_is_unused(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct lease_request request = {
        .id = BYTES("L1738335600000001"), .limit = 9, .cost = 1, .ttl_us = S, .now_us = BASE};
    acquire(&pair, request);
    request.id = BYTES("L1738335600000002");
    request.now_us++;
    acquire(&pair, request); /* token …001 */
    request.id = (struct bytes){0};
    acquire(&pair, request); /* would be L…002 */
    assert_int_equal(pair.decision.lease.token, BASE + 3);
    assert_memory_equal(pair.decision.lease.id.data, "L1738335600000003", pair.decision.lease.id.size);
    pair_end(&pair);
}

static void a_key_outlives_what_it_has_promised(void **state)
{
    (void)state;
    struct pair pair = {0};
    struct lease_request request = {.limit = 9, .cost = 1, .ttl_us = H, .now_us = BASE, .id = BYTES("a")};
    acquire(&pair, request);
    assert_int_equal(leases_deadline_us(pair.leases), BASE + H + DAY); /* the last end */
    release(&pair, "a", BASE + S);
    assert_int_equal(leases_deadline_us(pair.leases), BASE + S + DAY); /* the mark */
    struct lease_decision decision = {.change = LEASE_OPEN, .settled_us = BASE + S};
    decision.lease = (struct lease){BYTES("b"), 1, BASE + 2 * H, BASE + S, BASE + H};
    assert_true(leases_accepts(pair.leases, &decision));
    pair.leases = leases_apply(pair.leases, &decision);
    assert_int_equal(leases_deadline_us(pair.leases), BASE + 2 * H + DAY); /* a token ahead of the time */
    pair_end(&pair);
}

static struct leases *full_leases(void)
{
    struct leases *leases = NULL;
    struct lease_decision decision;
    for (int64_t i = 0; i < LEASES_MAX; i++) {
        struct lease_request request = {.limit = -1, .cost = 1, .ttl_us = S + (i * 7919) % H, .now_us = BASE};
        leases_decide_acquire(leases, &request, &decision);
        assert_int_equal(decision.change, LEASE_OPEN);
        leases = leases_apply(leases, &decision);
    }
    return leases;
}

/* A treap whose priorities could be computed from tokens would be one long branch here: every step as many steps as
 * there are leases, and a stack as deep. The mixture is the finalizer of SplitMix64, which they once were. */
static void no_choice_of_expiries_makes_the_tree_deep(void **state)
{
    (void)state;
    struct leases *leases = NULL;
    char id[24];
    for (int64_t token = 1; token <= LEASES_MAX; token++) {
        uint64_t mixed = (uint64_t)token + UINT64_C(0x9e3779b97f4a7c15);
        mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
        mixed ^= mixed >> 31;
        (void)snprintf(id, sizeof(id), "id%lld", (long long)token);
        struct lease_decision made = {.change = LEASE_OPEN, .settled_us = BASE};
        made.lease = (struct lease){text_bytes(id), 1, token, BASE, BASE + 1 + (int64_t)(mixed >> 8)};
        assert_true(leases_accepts(leases, &made));
        leases = leases_apply(leases, &made);
    }
    assert_int_equal(leases_live_count(leases, BASE), LEASES_MAX);
    assert_survives_encoding(leases);
    leases_free(leases);
}

static void a_key_has_a_bound(void **state)
{
    (void)state;
    struct leases *leases = full_leases();
    struct lease_decision decision;
    struct lease_request request = {.limit = -1, .cost = 1, .ttl_us = S, .now_us = BASE};
    leases_decide_acquire(leases, &request, &decision);
    assert_int_equal(decision.fault, LEASE_FAULT_BOUND);
    request.limit = 1;
    leases_decide_acquire(leases, &request, &decision);
    assert_int_equal(decision.fault, LEASE_FAULT_NONE); /* a denial comes first */
    assert_int_equal(leases_live_count(leases, BASE), LEASES_MAX);
    assert_survives_encoding(leases);
    assert_true(leases_bytes(leases) / LEASES_MAX < 140);

    request.limit = -1;
    request.now_us = BASE + S; /* those with the shortest time have ended: there is room, and a sweep */
    leases_decide_acquire(leases, &request, &decision);
    assert_int_equal(decision.change, LEASE_OPEN);
    leases = leases_apply(leases, &decision);
    leases_free(leases);
}

static uint32_t records_of(const struct leases *leases)
{
    uint32_t records = 0;
    for (const struct lease *lease = NULL; (lease = leases_next(leases, lease));) records++;
    return records;
}

/* All of them end at once: no command sees them any more, and each change drops no more than so many. */
static void what_has_ended_goes_bit_by_bit(void **state)
{
    (void)state;
    struct leases *leases = full_leases();
    struct lease_decision decision;
    struct lease_request request = {.limit = -1, .cost = 1, .ttl_us = S, .now_us = BASE + 2 * H};
    for (uint32_t changes = 1; changes <= LEASES_MAX / LEASE_SWEEP_MAX + 1; changes++) {
        uint32_t before = records_of(leases);
        leases_decide_acquire(leases, &request, &decision);
        assert_int_equal(decision.change, LEASE_OPEN);
        leases = leases_apply(leases, &decision);
        assert_int_equal(leases_live_count(leases, request.now_us), changes);
        assert_true(records_of(leases) + LEASE_SWEEP_MAX > before);
        if (changes % 500 == 1) assert_survives_encoding(leases);
    }
    assert_int_equal(records_of(leases), leases_live_count(leases, request.now_us));
    leases_free(leases);
}

/* An id whose lease has ended is free, swept or not. */
static void an_id_that_has_ended_may_come_again_at_once(void **state)
{
    (void)state;
    struct leases *leases = NULL;
    struct lease_decision decision;
    for (int round = 0; round < 3; round++) {
        struct lease_request request = {.limit = -1, .cost = 1, .ttl_us = S, .now_us = BASE + round * H};
        for (int i = 0; i < 3 * LEASE_SWEEP_MAX; i++) {
            char id[8] = {(char)('a' + i / 26), (char)('a' + i % 26)};
            request.id = (struct bytes){id, 2};
            leases_decide_acquire(leases, &request, &decision);
            assert_int_equal(decision.change, LEASE_OPEN);
            leases = leases_apply(leases, &decision);
        }
        assert_int_equal(leases_live_count(leases, request.now_us), 3 * LEASE_SWEEP_MAX);
        assert_int_equal(records_of(leases), 3 * LEASE_SWEEP_MAX);
        assert_survives_encoding(leases);
    }
    leases_free(leases);
}

static char too_long[LEASE_ID_BYTES_MAX + 1];
static const struct {
    enum lease_change change;
    int64_t settled_us;
    struct lease lease;
    bool fits;
} strangers[] = {
    {LEASE_OPEN, BASE, {BYTES("b"), 1, BASE + 1, BASE, BASE + 1}, true},
    {LEASE_OPEN, BASE + 10 * S, {BYTES("a"), 1, BASE + 1, BASE, BASE + 11 * S}, true}, /* the old one is swept */
    {LEASE_OPEN, BASE, {BYTES("a"), 1, BASE + 1, BASE, BASE + 1}, false},
    {LEASE_OPEN, BASE, {BYTES("b"), 1, BASE, BASE, BASE + 1}, false},     /* an old token */
    {LEASE_OPEN, BASE, {BYTES("b"), 0, BASE + 1, BASE, BASE + 1}, false}, /* no cost */
    {LEASE_OPEN, BASE, {BYTES("b"), INT64_MAX - 1, BASE + 1, BASE, BASE + 1}, false},
    {LEASE_OPEN, BASE, {BYTES("b"), 1, BASE + 1, BASE, BASE}, false},         /* ended before it began */
    {LEASE_OPEN, BASE, {BYTES("b"), 1, BASE + 1, BASE + 1, BASE + 1}, false}, /* begun in the future */
    {LEASE_OPEN, BASE, {BYTES("b"), 1, BASE + 1, 0, BASE + 1}, false},
    {LEASE_OPEN, BASE, {BYTES("b"), 1, BASE + 1, BASE, INSTANT_MAX_US + 1}, false},
    {LEASE_OPEN, BASE, {BYTES("b"), 1, LEASE_TOKEN_MAX + 1, BASE, BASE + 1}, false},
    {LEASE_OPEN, BASE, {BYTES(""), 1, BASE + 1, BASE, BASE + 1}, false},
    {LEASE_OPEN, BASE, {{too_long, sizeof(too_long)}, 1, BASE + 1, BASE, BASE + 1}, false},
    {LEASE_OPEN, BASE - 1, {BYTES("b"), 1, BASE + 1, BASE - 1, BASE + 1}, false}, /* behind the mark */
    {LEASE_OPEN, INSTANT_MAX_US + 1, {BYTES("b"), 1, BASE + 1, BASE, INT64_MAX}, false},
    {LEASE_MOVE, BASE, {.id = BYTES("a"), .expires_us = BASE + 1}, true},
    {LEASE_MOVE, BASE, {.id = BYTES("a"), .expires_us = BASE}, false},
    {LEASE_MOVE, BASE + 10 * S, {.id = BYTES("a"), .expires_us = BASE + 11 * S}, false}, /* it has ended by then */
    {LEASE_MOVE, BASE, {.id = BYTES("b"), .expires_us = BASE + 1}, false},
    {LEASE_CLOSE, BASE + S, {.id = BYTES("a")}, true},
    {LEASE_CLOSE, BASE, {.id = BYTES("b")}, false},
    {LEASE_CLOSE, BASE + 10 * S, {.id = BYTES("a")}, false},
    {LEASE_KEPT, BASE, {.id = BYTES("a"), .expires_us = BASE + 1}, false},
};

static void changes_from_outside_must_fit(void **state)
{
    (void)state;
    struct pair pair = {0};
    acquire(&pair, (struct lease_request){BYTES("a"), 9, 2, 10 * S, BASE, 0});
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        struct lease_decision decision = {.change = strangers[i].change, .settled_us = strangers[i].settled_us};
        decision.lease = strangers[i].lease;
        if (leases_accepts(pair.leases, &decision) != strangers[i].fits) fail_msg("row %zu", i);
    }
    pair_end(&pair);
}

/* ---- a list that recounts -------------------------------------------------------------------------------- */

#define LISTED_MAX 64
#define IDS_COUNT  12 /* few, so that they meet again */

struct listed {
    int id; /* -1 = made by the server */
    int64_t cost, token, expires_us;
};

struct list {
    struct listed leases[LISTED_MAX];
    size_t count;
    int64_t seen_us, last_token;
};

static uint64_t random_state;

static int64_t draw(int64_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)(random_state >> 33) % bound;
}

static void list_settle(struct list *list, int64_t now_us)
{
    if (now_us > list->seen_us) list->seen_us = now_us;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->leases[i].expires_us > list->seen_us) list->leases[kept++] = list->leases[i];
    }
    list->count = kept;
}

static int64_t list_units(const struct list *list)
{
    int64_t units = 0;
    for (size_t i = 0; i < list->count; i++) units += list->leases[i].cost;
    return units;
}

static int64_t list_last_end_us(const struct list *list)
{
    int64_t last_us = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->leases[i].expires_us > last_us) last_us = list->leases[i].expires_us;
    }
    return last_us;
}

/* Tries the ends one after the other. */
static int64_t list_wait_us(const struct list *list, const struct lease_request *request)
{
    if (request->limit != UNLIMITED && request->cost > request->limit) return NEVER;
    int64_t best_us = list_last_end_us(list), held = list_units(list);
    if (request->limit != UNLIMITED && held + request->ahead + request->cost <= request->limit)
        return 0; /* it is their turn now */
    for (size_t i = 0; i < list->count; i++) {
        int64_t at_us = list->leases[i].expires_us, left = 0;
        for (size_t k = 0; k < list->count; k++) left += list->leases[k].expires_us > at_us ? list->leases[k].cost : 0;
        bool fits = request->limit == UNLIMITED ? left < held : left + request->ahead + request->cost <= request->limit;
        if (fits && at_us < best_us) best_us = at_us;
    }
    return best_us > request->now_us ? best_us - request->now_us : 0;
}

static struct listed *list_find(struct list *list, int id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->leases[i].id == id) return &list->leases[i];
    }
    return NULL;
}

static const char *id_text(int id)
{
    static char texts[IDS_COUNT][4];
    (void)snprintf(texts[id], sizeof(texts[id]), "i%d", id);
    return texts[id];
}

static void check_acquire(struct pair *pair, struct list *stored, int64_t now_us)
{
    struct list view = *stored;
    list_settle(&view, now_us);
    int id = (int)draw(IDS_COUNT + 6);
    bool named = id < IDS_COUNT;
    struct lease_request request = {
        .limit = draw(20) - 1, .cost = 1 + draw(6), .ttl_us = 1 + draw(60), .now_us = now_us};
    request.ahead = draw(6) == 0 ? 1 + draw(5) : 0;
    if (named) request.id = text_bytes(id_text(id));
    const struct listed *same = named ? list_find(&view, id) : NULL;
    int64_t held = list_units(&view), granted = 0, wait = 0;
    bool conflict = same && same->cost != request.cost, open = false;
    if (same) {
        granted = request.cost;
    } else if (request.ahead > 0 || (request.limit != UNLIMITED && held + request.cost > request.limit)) {
        wait = list_wait_us(&view, &request);
    } else if (view.count < LISTED_MAX) {
        view.last_token = view.last_token + 1 > view.seen_us ? view.last_token + 1 : view.seen_us;
        view.leases[view.count++] =
            (struct listed){named ? id : -1, request.cost, view.last_token, view.seen_us + request.ttl_us};
        granted = request.cost;
        held += request.cost;
        open = true;
    } else {
        return; /* the model is full; the next steps go on */
    }
    const struct verdict *verdict = acquire(pair, request);
    assert_int_equal(pair->decision.fault, conflict ? LEASE_FAULT_CONFLICT : LEASE_FAULT_NONE);
    if (conflict) return;
    assert_int_equal(verdict->granted, granted);
    assert_int_equal(verdict->wait_us, wait);
    assert_int_equal(verdict->remaining, request.limit == UNLIMITED ? -1
                                         : request.limit > held     ? request.limit - held
                                                                    : 0);
    int64_t end_us = list_last_end_us(&view);
    assert_int_equal(verdict->reset_us, end_us > now_us ? end_us - now_us : 0);
    assert_int_equal(pair->decision.lease.token, same ? same->token : open ? view.last_token : 0);
    assert_int_equal(pair->decision.change, open ? LEASE_OPEN : LEASE_KEPT);
    if (open) *stored = view;
}

static void check_renew_or_release(struct pair *pair, struct list *stored, int64_t now_us)
{
    struct list view = *stored;
    list_settle(&view, now_us);
    int id = (int)draw(IDS_COUNT);
    struct listed *listed = list_find(&view, id);
    int64_t ttl_us = 1 + draw(60);
    if (draw(2) == 0) {
        assert_int_equal(renew(pair, id_text(id), ttl_us, now_us), listed ? LEASE_FAULT_NONE : LEASE_FAULT_UNKNOWN);
        if (!listed || listed->expires_us == view.seen_us + ttl_us) return;
        listed->expires_us = view.seen_us + ttl_us;
    } else {
        assert_int_equal(release(pair, id_text(id), now_us), listed != NULL);
        if (!listed) return;
        memmove(listed, listed + 1, (size_t)(view.leases + view.count - (listed + 1)) * sizeof(*listed));
        view.count--;
    }
    *stored = view;
}

static void assert_lists(const struct leases *leases, const struct list *list)
{
    const struct lease *lease = NULL;
    for (size_t i = 0; i < list->count; i++) {
        lease = leases_next(leases, lease);
        assert_non_null(lease);
        assert_int_equal(lease->token, list->leases[i].token);
        assert_int_equal(lease->cost, list->leases[i].cost);
        assert_int_equal(lease->expires_us, list->leases[i].expires_us);
    }
    assert_null(leases_next(leases, lease));
}

static void random_streams_agree_with_a_list(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct pair pair = {0};
        struct list list = {0};
        int64_t now_us = BASE;
        random_state = seed;
        print_message(seed == 1 ? "seeds 1 … 300\n" : "");
        for (int step = 0; step < 200; step++) {
            now_us += draw(4) > 0 ? draw(12) : draw(8) == 0 ? -draw(100) : 0;
            if (draw(3) > 0) {
                check_acquire(&pair, &list, now_us);
            } else {
                check_renew_or_release(&pair, &list, now_us);
            }
            if (pair.leases) assert_lists(pair.leases, &list);
            struct list view = list;
            list_settle(&view, now_us);
            assert_int_equal(leases_live_count(pair.leases, now_us), view.count);
        }
        pair_end(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs_of_live_leases_stay_within_the_limit),
        cmocka_unit_test(an_id_is_acquired_again),
        cmocka_unit_test(leases_are_renewed_and_released),
        cmocka_unit_test(a_token_names_one_holder),
        cmocka_unit_test(no_request_overtakes_those_that_wait),
        cmocka_unit_test(a_clock_stepping_back_revives_nothing),
        cmocka_unit_test(numbers_at_their_edges),
        cmocka_unit_test(tokens_only_grow),
        cmocka_unit_test(an_id_made_here_is_unused),
        cmocka_unit_test(a_key_outlives_what_it_has_promised),
        cmocka_unit_test(no_choice_of_expiries_makes_the_tree_deep),
        cmocka_unit_test(a_key_has_a_bound),
        cmocka_unit_test(what_has_ended_goes_bit_by_bit),
        cmocka_unit_test(an_id_that_has_ended_may_come_again_at_once),
        cmocka_unit_test(changes_from_outside_must_fit),
        cmocka_unit_test(random_streams_agree_with_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Grants: sums and order against a plain sum over all of them, over random streams. */
#include "quota/account/grants.h"
#include "quota/time/duration.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>

/* The sums of the resource's usable grants, added up one by one. */
static void assert_sums(const struct credits *credits, int64_t now_us)
{
    wide amount = 0, left = 0;
    uint32_t usable = 0;
    for (uint32_t i = 0; i < credits->count; i++) {
        const struct stored_grant *stored = credits->order[i];
        assert_int_equal(stored->place, i);
        int64_t is_free = stored->grant.balance - stored->held;
        if (!grant_is_usable(&stored->grant, now_us)) continue;
        usable++;
        amount += stored->grant.amount;
        left += is_free > 0 ? is_free : 0;
        if (i < credits->first) assert_true(is_free <= 0);
    }
    assert_int_equal(credits->usable, usable);
    assert_true(credits->amount == amount);
    assert_true(credits->free == left);
}

/* Does the one burn no later than the other? */
static bool burns_before(const struct stored_grant *left, const struct stored_grant *right)
{
    const struct grant *one = &left->grant, *other = &right->grant;
    if (one->priority != other->priority) return one->priority < other->priority;
    if (one->expires_us != other->expires_us) return one->expires_us < other->expires_us;
    if ((one->flags ^ other->flags) & GRANT_PROMO) return one->flags & GRANT_PROMO;
    if (one->effective_us != other->effective_us) return one->effective_us < other->effective_us;
    return one->created_us <= other->created_us;
}

static void assert_ordered(const struct grants *grants)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < grants->resources_count; i++) {
        const struct credits *credits = &grants->of[i];
        assert_ptr_equal(grants_of(grants, credits->slot), credits);
        if (i > 0) assert_true(grants->of[i - 1].slot < credits->slot);
        for (uint32_t k = 1; k < credits->count; k++)
            assert_true(burns_before(credits->order[k - 1], credits->order[k]));
        count += credits->count;
    }
    assert_int_equal(grants->count, count);
}

static struct grant some_grant(int64_t number, int64_t now_us)
{
    int64_t amount = random_between(1, 100), effective_us = now_us + (random_below(4) == 0 ? random_between(1, 50) : 0);
    struct grant grant = {.number = number,
                          .slot = random_below(3),
                          .priority = (uint8_t)random_below(3),
                          .flags = random_below(2) ? GRANT_PROMO : 0,
                          .amount = amount,
                          .balance = amount,
                          .created_us = now_us,
                          .effective_us = effective_us,
                          .since_us = effective_us,
                          .expires_us = random_below(2) ? INSTANT_MAX_US : effective_us + random_between(1, 90),
                          .kept_us = 30};
    if (effective_us <= now_us) grant.flags |= GRANT_BEGUN;
    if (random_below(3) == 0) grant.every = 1, grant.recurs_us = effective_us + 20;
    return grant;
}

static void forget(void *context, const struct stored_grant *stored)
{
    (void)stored;
    ++*(int *)context;
}

/* One thing happens to a stored grant. */
static void happen(struct grants *grants, int64_t now_us)
{
    const struct stored_grant *stored = grants->by_number[random_below(grants->count)];
    const struct grant *grant = &stored->grant;
    int64_t is_free = grant->balance - stored->held, number = grant->number;
    switch (random_below(6)) {
    case 0:
        if (grant_is_usable(grant, now_us) && is_free > 0)
            grants_spend(grants, number, grant->balance - random_between(1, is_free), now_us);
        break;
    case 1:
        if (grant_is_usable(grant, now_us) && is_free > 0)
            grants_hold(grants, number, random_between(1, is_free), 1, now_us, now_us);
        break;
    case 2:
        if (stored->held > 0) grants_hold(grants, number, random_between(1, stored->held), -1, now_us, now_us);
        break;
    case 3:
        if (grant->effective_us <= now_us && !(grant->flags & GRANT_VOID))
            grants_turn(grants, number, grant->amount + stored->held, now_us, now_us + 20, now_us);
        break;
    case 4:
        if (random_below(8) == 0) grants_void(grants, number, now_us);
        break;
    default:
        if (grant_is_usable(grant, now_us) && grant->balance < grant->amount)
            grants_spend(grants, number, grant->balance + 1, now_us);
    }
    const struct credits *credits = grants_of(grants, grant->slot);
    if (now_us < credits->next_us) assert_sums(credits, now_us);
}

static void random_streams_are_as_the_sums_say(void **state)
{
    (void)state;
    for (int run = 0; run < 60; run++) {
        struct grants grants = {0};
        int64_t now_us = 1000;
        int ended = 0, given = 0;
        for (int step = 0; step < 400; step++) {
            now_us += random_below(3) == 0 ? random_between(0, 15) : 0;
            if (grants.count == 0 || random_below(4) == 0) {
                char id[16];
                int size = snprintf(id, sizeof(id), "g%d", given++);
                struct bytes name = {id, (size_t)size};
                struct grant grant = some_grant(grants.made + 1, now_us);
                grants_add(&grants, name, linear_hash(name), &grant, now_us);
                assert_int_equal(grants_find(&grants, name, linear_hash(name))->grant.number, grant.number);
                assert_int_equal(grants_numbered(&grants, grant.number)->grant.amount, grant.amount);
            } else {
                happen(&grants, now_us);
            }
            if (random_below(5) == 0) grants_sweep(&grants, now_us, forget, &ended);
            assert_ordered(&grants);
        }
        assert_int_equal(grants.count, given - ended);
        grants_free(&grants);
        assert_int_equal(grants.bytes, 0);
    }
}

/* What is gone is gone from every list, and what is held stays until it is held no more. */
static void what_has_ended_goes_once_nothing_is_held(void **state)
{
    (void)state;
    struct grants grants = {0};
    struct grant grant = {.number = 1,
                          .flags = GRANT_BEGUN,
                          .amount = 10,
                          .balance = 10,
                          .created_us = 100,
                          .effective_us = 100,
                          .since_us = 100,
                          .expires_us = 200,
                          .kept_us = 50};
    int ended = 0;
    grants_add(&grants, BYTES("one"), linear_hash(BYTES("one")), &grant, 100);
    grants_hold(&grants, 1, 4, 1, 110, 110);
    grants_sweep(&grants, 199, forget, &ended);
    assert_int_equal(ended, 0);
    grants_sweep(&grants, 200, forget, &ended); /* it has ended, and 4 units are held */
    assert_int_equal(ended, 0);
    grants_hold(&grants, 1, 4, -1, 110, 210);
    assert_false(grant_is_forgotten(&grants.by_number[0]->grant, 249));
    assert_true(grant_is_forgotten(&grants.by_number[0]->grant, 250));
    grants_sweep(&grants, 210, forget, &ended);
    assert_int_equal(ended, 1);
    assert_int_equal(grants.count, 0);
    assert_null(grants_of(&grants, 0));
    assert_int_equal(grants.made, 1); /* no other grant gets its number */
    grants_free(&grants);
}

static void a_spent_grant_ends_some_time_after_its_last_use(void **state)
{
    (void)state;
    struct grant grant = {
        .flags = GRANT_BEGUN, .amount = 10, .balance = 10, .expires_us = INSTANT_MAX_US, .kept_us = 50};
    assert_int_equal(grant_ends_us(&grant), INSTANT_MAX_US);
    grant.balance = 0;
    grant.used_us = 300;
    assert_int_equal(grant_ends_us(&grant), 350);
    grant.expires_us = 320; /* before that */
    assert_int_equal(grant_ends_us(&grant), 320);
    grant.every = 1; /* it recurs: being spent is no end */
    grant.expires_us = INSTANT_MAX_US;
    assert_int_equal(grant_ends_us(&grant), INSTANT_MAX_US);
    grant.flags |= GRANT_VOID;
    assert_int_equal(grant_ends_us(&grant), 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_streams_are_as_the_sums_say),
        cmocka_unit_test(what_has_ended_goes_once_nothing_is_held),
        cmocka_unit_test(a_spent_grant_ends_some_time_after_its_last_use),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

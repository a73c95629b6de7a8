/* Unit tests of src/holds.c: a plain array is the model; every third reservation has three parts. */
#include "quota/account/holds.h"
#include "quota/base/memory.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#define MODEL_MAX 400

struct modelled {
    char id[16];
    int64_t expires_us;
    bool stands;
    uint8_t parts;
};

static struct bytes id_of(const struct modelled *modelled)
{
    return (struct bytes){modelled->id, strlen(modelled->id)};
}

/* Every record of the model is found by its id, and the array is in order of expiry, then of ids. */
static void assert_same(const struct holds *holds, const struct modelled *model, uint32_t count)
{
    uint32_t stands = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct stored_hold *stored = holds_find(holds, id_of(&model[i]), linear_hash(id_of(&model[i])));
        assert_int_equal(stored != NULL, model[i].stands);
        if (stored) assert_int_equal(hold_parts(stored), model[i].parts);
        for (uint8_t part = 0; stored; part++, stored = stored->next) {
            assert_int_equal(stored->hold.part, part);
            assert_int_equal(stored->hold.expires_us, model[i].expires_us);
            stands++;
        }
    }
    assert_int_equal(holds->count, stands);
    for (uint32_t i = 1; i < holds->count; i++) {
        const struct stored_hold *before = holds->by_expiry[i - 1], *after = holds->by_expiry[i];
        assert_true(before->hold.expires_us <= after->hold.expires_us);
        if (before->hold.expires_us < after->hold.expires_us) continue;
        bool together = before->next == after; /* the parts of one stand side by side */
        assert_int_equal(together, after->hold.part > 0);
        assert_true(together || strcmp(before->id, after->id) < 0 || before->id_size != after->id_size);
    }
}

static void add(struct holds *holds, struct modelled *modelled, int64_t expires_us)
{
    struct hold hold = {.amount = 1, .units = 1, .made_us = 1, .expires_us = expires_us};
    modelled->parts = modelled->id[1] % 3 == 0 ? 3 : 1;
    for (; hold.part < modelled->parts; hold.part++)
        holds_add(holds, id_of(modelled), linear_hash(id_of(modelled)), &hold);
    modelled->expires_us = expires_us;
    modelled->stands = true;
}

static const struct stored_hold *find(const struct holds *holds, struct modelled *modelled)
{
    const struct stored_hold *stored = holds_find(holds, id_of(modelled), linear_hash(id_of(modelled)));
    assert_non_null(stored);
    return stored;
}

static void random_streams_are_as_the_model_says(void **state)
{
    (void)state;
    static struct modelled model[MODEL_MAX];
    random_begin(20250131);
    struct holds holds = {0};
    for (int i = 0; i < MODEL_MAX; i++) (void)snprintf(model[i].id, sizeof(model[i].id), "h%d", i);
    for (int step = 0; step < 20000; step++) {
        struct modelled *modelled = &model[random_below(MODEL_MAX)];
        int64_t expires_us = 1 + (int64_t)random_below(50); /* many are equal */
        if (!modelled->stands) {
            assert_null(holds_find(&holds, id_of(modelled), linear_hash(id_of(modelled))));
            add(&holds, modelled, expires_us);
        } else if (random_below(2) == 0) {
            holds_move(&holds, find(&holds, modelled), expires_us);
            modelled->expires_us = expires_us;
        } else {
            hold_free(holds_take(&holds, find(&holds, modelled)));
            modelled->stands = false;
        }
        if (step % 100 == 0) assert_same(&holds, model, MODEL_MAX);
    }
    assert_same(&holds, model, MODEL_MAX);
    holds_free(&holds);
    assert_int_equal(holds.count, 0);
    assert_null(holds_find(&holds, id_of(&model[0]), linear_hash(id_of(&model[0]))));
}

static void bytes_come_and_go(void **state)
{
    (void)state;
    struct modelled one = {.id = "one"};
    static struct modelled model[MODEL_MAX];
    struct holds holds = {0};
    add(&holds, &one, 5);
    size_t with_one = holds.bytes;
    assert_true(with_one >= sizeof(struct stored_hold) + 3 + sizeof(struct stored_hold *));
    assert_true(with_one <= sizeof(struct stored_hold) + 3 + 4 * sizeof(struct stored_hold *));
    for (int i = 0; i < MODEL_MAX; i++) (void)snprintf(model[i].id, sizeof(model[i].id), "h%d", i);
    for (int i = 0; i < MODEL_MAX; i++) add(&holds, &model[i], i);
    assert_true(holds.bytes > MODEL_MAX * (sizeof(struct stored_hold) + 2 + sizeof(struct stored_hold *)));
    for (int i = 0; i < MODEL_MAX; i++) hold_free(holds_take(&holds, find(&holds, &model[i])));
    assert_true(holds.bytes <= with_one + 8 * sizeof(struct stored_hold *)); /* given back on the way */
    hold_free(holds_take(&holds, find(&holds, &one)));
    assert_true(holds.bytes <= 4 * sizeof(struct stored_hold *)); /* what the next one needs */
    add(&holds, &one, 5);
    assert_int_equal(holds.bytes, with_one);
    holds_free(&holds);
    assert_int_equal(holds.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_streams_are_as_the_model_says),
        cmocka_unit_test(bytes_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

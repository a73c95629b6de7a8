/* API keys: finding, ending and forgetting against a plain array, over random streams; lists of scopes; sound bytes. */
#include "quota/account/api_keys.h"
#include "quota/time/duration.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIGESTS 40

static char digests[DIGESTS][API_KEY_DIGEST_BYTES];

static struct bytes digest_of(uint32_t which)
{
    for (uint32_t i = 0; i < API_KEY_DIGEST_BYTES; i++) digests[which][i] = (char)(i == 0 ? which : 7 * which + i);
    return (struct bytes){digests[which], API_KEY_DIGEST_BYTES};
}

static struct api_key some_key(uint32_t which, int64_t number, int64_t now_us)
{
    return (struct api_key){.digest = digest_of(which),
                            .name = BYTES("ci"),
                            .scopes = random_below(2) ? BYTES("\4read\5write") : BYTES(""),
                            .rules = BYTES(""),
                            .number = number,
                            .created_us = now_us,
                            .expires_us = random_below(2) ? INSTANT_MAX_US : now_us + random_between(1, 50),
                            .kept_us = 30};
}

/* ---- against a plain array ------------------------------------------------------------------------------- */

struct model {
    struct api_key key;
    bool is_in;
};

static void model_forget(struct model *model, int64_t now_us)
{
    for (uint32_t i = 0; i < DIGESTS; i++) {
        int64_t ends_us = api_key_ends_us(&model[i].key);
        if (ends_us < now_us && ends_us + model[i].key.kept_us <= now_us) model[i].is_in = false;
    }
}

static void assert_same(const struct api_keys *keys, const struct model *model, int64_t now_us)
{
    uint32_t count = 0, live = 0;
    for (uint32_t i = 0; i < DIGESTS; i++) {
        const struct stored_api_key *found = api_keys_find(keys, digest_of(i));
        assert_int_equal(found != NULL, model[i].is_in);
        if (!found) continue;
        const struct api_key *key = &model[i].key;
        assert_ptr_equal(api_keys_numbered(keys, key->number), found);
        assert_int_equal(api_key_ends_us(&found->key), api_key_ends_us(key));
        assert_int_equal(found->key.used_us, key->used_us);
        assert_true(bytes_equal(found->key.scopes, key->scopes));
        count++;
        live += now_us < api_key_ends_us(key);
    }
    assert_int_equal(keys->count, count);
    assert_int_equal(api_keys_live(keys, now_us), live);
    for (uint32_t i = 1; i < keys->count; i++)
        assert_true(keys->by_number[i - 1]->key.number < keys->by_number[i]->key.number);
}

static void turn(struct api_keys *keys, struct model *model, int64_t now_us)
{
    uint32_t which = random_below(DIGESTS);
    struct model *one = &model[which];
    switch (one->is_in ? random_below(4) : 0) {
    case 0: {
        bool known = one->is_in;
        struct api_key key = some_key(which, known ? one->key.number : keys->made + 1, now_us);
        api_keys_put(keys, &key, now_us);
        if (!known) model_forget(model, now_us);
        *one = (struct model){key, true};
        break;
    }
    case 1:
        one->key.end = random_below(2) ? API_KEY_REVOKED : API_KEY_ROTATED;
        one->key.ended_us = now_us + random_between(0, 9);
        api_keys_end(keys, one->key.number, (enum api_key_end)one->key.end, one->key.ended_us);
        break;
    default: one->key.used_us = now_us; api_keys_use(keys, one->key.number, now_us);
    }
}

static void keys_are_found_until_they_are_forgotten(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 30; round++) {
        struct api_keys keys = {0};
        struct model model[DIGESTS] = {{.is_in = false}};
        heap_count_begin();
        for (int64_t now_us = 100; now_us < 1100; now_us += random_below(3)) {
            turn(&keys, model, now_us);
            assert_same(&keys, model, now_us);
        }
        assert_true(keys.bytes > 0 && keys.bytes <= heap_bytes());
        api_keys_free(&keys);
        assert_int_equal(heap_bytes(), 0);
    }
}

/* Beyond API_KEYS_STORED_MAX the one goes that ended first. */
static void too_many_push_out_the_first_that_ended(void **state)
{
    (void)state;
    struct api_keys keys = {0};
    char digest[API_KEY_DIGEST_BYTES] = {0};
    for (int64_t number = 1; number <= API_KEYS_STORED_MAX + 1; number++) {
        memcpy(digest, &number, sizeof(number));
        struct api_key key = some_key(0, number, 100);
        key.digest = (struct bytes){digest, sizeof(digest)};
        key.expires_us = number == 7 ? 200 : INSTANT_MAX_US;
        api_keys_put(&keys, &key, 100);
    }
    assert_int_equal(keys.count, API_KEYS_STORED_MAX);
    assert_int_equal(keys.made, API_KEYS_STORED_MAX + 1);
    assert_null(api_keys_numbered(&keys, 7));
    assert_non_null(api_keys_numbered(&keys, 8));
    api_keys_free(&keys);
}

/* ---- scopes ---------------------------------------------------------------------------------------------- */

static void a_key_has_the_scopes_it_names(void **state)
{
    (void)state;
    const struct {
        struct bytes scopes, wanted;
        bool fits, has;
    } rows[] = {
        {BYTES(""), BYTES("write"), true, true}, /* none are named: all */
        {BYTES("\4read"), BYTES("read"), true, true},
        {BYTES("\4read\5write"), BYTES("write"), true, true},
        {BYTES("\4read"), BYTES("rea"), true, false},
        {BYTES("\4read"), BYTES("reads"), true, false},
        {BYTES("\4read"), BYTES("READ"), true, false},
        {BYTES("\5read"), BYTES("read"), false, false}, /* a byte is missing */
        {BYTES("\0"), BYTES("read"), false, false},     /* an empty one */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct api_key key = {.scopes = rows[i].scopes};
        if (scopes_fit(rows[i].scopes) != rows[i].fits) fail_msg("row %zu", i);
        if (api_key_has_scope(&key, rows[i].wanted) != rows[i].has) fail_msg("row %zu", i);
    }
}

static void there_are_64_scopes_at_most(void **state)
{
    (void)state;
    char scopes[2 * (API_KEY_SCOPES_MAX + 1)];
    for (size_t i = 0; i < sizeof(scopes); i++) scopes[i] = i % 2 ? 'x' : 1;
    assert_true(scopes_fit((struct bytes){scopes, sizeof(scopes) - 2}));
    assert_false(scopes_fit((struct bytes){scopes, sizeof(scopes)}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_until_they_are_forgotten),
        cmocka_unit_test(too_many_push_out_the_first_that_ended),
        cmocka_unit_test(a_key_has_the_scopes_it_names),
        cmocka_unit_test(there_are_64_scopes_at_most),
    };
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

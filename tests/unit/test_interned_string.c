/* Interned strings: equal bytes are one pointer, which lives as long as it is used. */
#include "account_tools.h"
#include <stdio.h>

static void equal_bytes_are_one_string(void **state)
{
    (void)state;
    char copy[] = "api_calls";
    const struct interned_string *one = interned_string_take(BYTES("api_calls")),
                                 *two = interned_string_take((struct bytes){copy, 9});
    copy[0] = 'x'; /* it has bytes of its own */
    assert_ptr_equal(one, two);
    assert_true(bytes_equal(interned_string_bytes(one), BYTES("api_calls")));
    const struct interned_string *shorter = interned_string_take(BYTES("api_call")),
                                 *empty = interned_string_take(BYTES(""));
    assert_ptr_not_equal(shorter, one);
    assert_int_equal(interned_string_bytes(empty).size, 0);
    interned_string_release(one);
    assert_true(bytes_equal(interned_string_bytes(two), BYTES("api_calls")));
    interned_string_release(two);
    interned_string_release(shorter);
    interned_string_release(empty);
    interned_string_release(NULL);
    assert_int_equal(interned_string_bytes(NULL).size, 0);
}

static void many_strings_stay_apart(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static const struct interned_string *strings[COUNT];
    char name[16];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            const struct interned_string *string =
                interned_string_take((struct bytes){name, (size_t)snprintf(name, sizeof(name), "n%d", i)});
            if (round == 0) strings[i] = string;
            assert_ptr_equal(strings[i], string);
            assert_int_equal(string->interned.users, round + 1);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        assert_true(bytes_equal(interned_string_bytes(strings[i]), text_bytes(name)));
        interned_string_release(strings[i]);
        interned_string_release(strings[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_bytes_are_one_string),
        cmocka_unit_test(many_strings_stay_apart),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

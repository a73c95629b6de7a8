/* Labels: equal bytes are one pointer, which lives as long as somebody uses it. */
#include "account_tools.h"
#include <stdio.h>

static void equal_bytes_are_one_label(void **state)
{
    (void)state;
    char copy[] = "api_calls";
    const struct label *one = label_take(BYTES("api_calls")), *two = label_take((struct bytes){copy, 9});
    copy[0] = 'x'; /* it has bytes of its own */
    assert_ptr_equal(one, two);
    assert_true(bytes_equal(label_bytes(one), BYTES("api_calls")));
    const struct label *shorter = label_take(BYTES("api_call")), *empty = label_take(BYTES(""));
    assert_ptr_not_equal(shorter, one);
    assert_int_equal(label_bytes(empty).size, 0);
    label_release(one);
    assert_true(bytes_equal(label_bytes(two), BYTES("api_calls")));
    label_release(two);
    label_release(shorter);
    label_release(empty);
    label_release(NULL);
    assert_int_equal(label_bytes(NULL).size, 0);
}

static void many_labels_stay_apart(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static const struct label *labels[COUNT];
    char name[16];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            const struct label *label =
                label_take((struct bytes){name, (size_t)snprintf(name, sizeof(name), "n%d", i)});
            if (round == 0) labels[i] = label;
            assert_ptr_equal(labels[i], label);
            assert_int_equal(label->users, round + 1);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        assert_true(bytes_equal(label_bytes(labels[i]), text_bytes(name)));
        label_release(labels[i]);
        label_release(labels[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_bytes_are_one_label),
        cmocka_unit_test(many_labels_stay_apart),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}

/* See idempotency_tools.h. */
#include "idempotency_tools.h"
#include "scenario.h"
#include <stdio.h>

struct idempotency_entry usual_entry(uint32_t number, int64_t stored_us)
{
    static char key[27], body[21];
    snprintf(key, sizeof(key), "c\x01req-%020u", number);
    snprintf(body, sizeof(body), "%020u", number);
    return (struct idempotency_entry){{key, 26}, {body, 20}, stored_us, stored_us + D};
}

void assert_same_entry(const struct idempotency_entry *left, const struct idempotency_entry *right)
{
    assert_true(bytes_equal(left->key, right->key));
    assert_true(bytes_equal(left->body, right->body));
    assert_int_equal(left->stored_us, right->stored_us);
    assert_int_equal(left->expires_us, right->expires_us);
}

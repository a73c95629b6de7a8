/* Interning: one object a key, counted users, keys that are refused, two threads at once. */
#include "quota/base/intern.h"
#include "quota/base/memory.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct number {
    struct interned interned;
    uint64_t number;
};

static struct bytes key_of(const struct hash_link *link)
{
    const struct number *object = HASH_RECORD(link, const struct number, interned.link);
    return (struct bytes){(const char *)&object->number, sizeof(object->number)};
}

static struct intern_table table = INTERN_TABLE(key_of);
static int made;

/* Only keys of eight bytes are numbers. */
static struct interned *number_make(struct bytes key)
{
    if (key.size != sizeof(uint64_t)) return NULL;
    struct number *object = memory_alloc(sizeof(*object));
    memcpy(&object->number, key.data, key.size);
    made++;
    return &object->interned;
}

static struct number *number_take(uint64_t number)
{
    struct bytes key = {(const char *)&number, sizeof(number)};
    return INTERNED_OBJECT(intern_take(&table, key, number_make), struct number, interned);
}

static void number_release(struct number *object)
{
    if (intern_release(&table, &object->interned)) memory_free(object);
}

static void one_object_for_each_key(void **state)
{
    (void)state;
    struct number *one = number_take(1), *two = number_take(2);
    made = 0;
    assert_ptr_equal(number_take(1), one);
    assert_int_equal(made, 0);
    intern_share(&table, &one->interned);
    assert_int_equal(one->interned.users, 3);
    assert_int_equal(intern_count(&table), 2);
    for (int i = 0; i < 3; i++) number_release(one);
    assert_int_equal(intern_count(&table), 1);
    one = number_take(1);
    assert_int_equal(made, 1);
    number_release(one);
    number_release(two);
    assert_int_equal(intern_count(&table), 0);
}

static void a_refused_key_leaves_nothing(void **state)
{
    (void)state;
    assert_null(intern_take(&table, BYTES("no number"), number_make));
    assert_int_equal(intern_count(&table), 0);
}

static void many_objects_stay_apart(void **state)
{
    (void)state;
    enum { COUNT = 60000 };
    static struct number *numbers[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) numbers[i] = number_take(i << 32);
    assert_int_equal(intern_count(&table), COUNT);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_ptr_equal(number_take(i << 32), numbers[i]);
        assert_int_equal(numbers[i]->number, i << 32);
        number_release(numbers[i]);
        number_release(numbers[i]);
    }
    assert_int_equal(intern_count(&table), 0);
}

static uint32_t longest_chain(void)
{
    uint32_t longest = 0;
    for (uint32_t bucket = 0; bucket <= table.objects.last_bucket; bucket++) {
        const struct hash_link *link = *(struct hash_link **)linear_head(
            &table.objects.heads, table.objects.last_bucket, bucket, sizeof(struct hash_link *));
        uint32_t length = 0;
        for (; link; link = link->next) length++;
        if (length > longest) longest = length;
    }
    return longest;
}

/* Rule sets, plans and strings are made from what clients send. Keys that would all meet in one chain can be found only
 * by a client that knows the secret: under another one they are spread like any others. */
static void no_client_can_aim_at_one_chain(void **state)
{
    (void)state;
    enum { COUNT = 4096, SAME_BITS = 0xff };
    static struct number *numbers[COUNT];
    for (int knows_the_secret = 1; knows_the_secret >= 0; knows_the_secret--) {
        uint32_t chosen = 0;
        linear_hash_seed(1);
        for (uint64_t i = 0; chosen < COUNT; i++) {
            if ((linear_hash((struct bytes){(const char *)&i, sizeof(i)}) & SAME_BITS) != 0) continue;
            if (!knows_the_secret) linear_hash_seed(2);
            numbers[chosen++] = number_take(i);
            linear_hash_seed(1);
        }
        if (knows_the_secret) assert_true(longest_chain() > SAME_BITS);
        if (!knows_the_secret) assert_true(longest_chain() < 16); /* 4096 balls in 4096 bins: 8, seldom more */
        for (uint32_t i = 0; i < COUNT; i++) number_release(numbers[i]);
    }
}

static void *take_and_release(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; i < 20000; i++) number_release(number_take(i % 3));
    return NULL;
}

static void two_threads_at_once(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, take_and_release, NULL), 0);
    take_and_release(NULL);
    pthread_join(thread, NULL);
    assert_int_equal(intern_count(&table), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_object_for_each_key),
        cmocka_unit_test(a_refused_key_leaves_nothing),
        cmocka_unit_test(many_objects_stay_apart),
        cmocka_unit_test(no_client_can_aim_at_one_chain),
    };
    const struct CMUnitTest threads[] = {
        cmocka_unit_test(two_threads_at_once)}; /* on libc's heap: the watched one counts for one thread */
    int failed = cmocka_run_group_tests(threads, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

/* Arenas: memory that stays, is zero, and goes all at once. */
#include "quota/base/arena.h"
#include "tools.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void memory_stays_until_the_arena_ends(void **state)
{
    (void)state;
    struct arena arena = {NULL};
    unsigned char *blocks[20];
    arena_free(&arena); /* an empty one may be freed */
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT_OF(blocks); i++) {
            blocks[i] = arena_alloc(&arena, i);
            for (size_t k = 0; k < i; k++) assert_int_equal(blocks[i][k], 0);
            memset(blocks[i], (int)i, i);
        }
        for (size_t i = 0; i < COUNT_OF(blocks); i++) {
            for (size_t k = 0; k < i; k++) assert_int_equal(blocks[i][k], i);
        }
        arena_free(&arena);
        assert_null(arena.blocks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_stays_until_the_arena_ends)};
    return cmocka_run_group_tests(tests, heap_set_up, heap_tear_down);
}

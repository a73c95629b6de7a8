/* Random numbers and a counting heap for the tests; see tools.h. */
#include "tools.h"
#include "quota/memory.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka wants them first */
#include <cmocka.h>

static uint64_t random_state;
static int blocks_alive;

void random_begin(uint64_t seed)
{
    random_state = seed;
    print_message("seed %llu\n", (unsigned long long)seed);
}

/* xorshift64 (Marsaglia 2003). */
uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

uint32_t random_below(uint32_t bound)
{
    return (uint32_t)(random_bits() % bound);
}

int64_t random_between(int64_t lowest, int64_t highest)
{
    return lowest + (int64_t)(random_bits() % ((uint64_t)highest - (uint64_t)lowest + 1));
}

static void *counting_alloc(size_t size)
{
    blocks_alive++;
    return malloc(size);
}

static void *counting_realloc(void *block, size_t size)
{
    if (!block) blocks_alive++;
    return realloc(block, size);
}

static void counting_free(void *block)
{
    blocks_alive--;
    free(block);
}

void heap_watch(void)
{
    memory_use((struct memory_host){counting_alloc, counting_realloc, counting_free});
}

int heap_blocks(void)
{
    return blocks_alive;
}

int heap_set_up(void **state)
{
    (void)state;
    heap_watch();
    random_begin(UINT64_C(20250131));
    return 0;
}

int heap_tear_down(void **state)
{
    (void)state;
    assert_int_equal(heap_blocks(), 0);
    return 0;
}

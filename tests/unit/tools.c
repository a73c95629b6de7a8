/* Random numbers and a counting heap for the tests; see tools.h. */
#include "tools.h"
#include "quota/base/memory.h"
#include "quota/time/calendar.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants them first */
#include <cmocka.h>

#define ROOM 16 /* in front of each block: its size */

static uint64_t random_state;
static struct {
    int blocks;
    size_t bytes, peak, requested;
} heap;

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

static size_t block_size(const void *block)
{
    size_t size;
    memcpy(&size, (const char *)block - ROOM, sizeof(size));
    return size;
}

static void *counting_realloc(void *block, size_t size)
{
    size_t before = block ? block_size(block) : 0;
    char *room = realloc(block ? (char *)block - ROOM : NULL, ROOM + size);
    assert_non_null(room);
    memcpy(room, &size, sizeof(size));
    if (!block) heap.blocks++;
    heap.bytes += size - before;
    heap.requested += size;
    if (heap.bytes > heap.peak) heap.peak = heap.bytes;
    return room + ROOM;
}

static void *counting_alloc(size_t size)
{
    return counting_realloc(NULL, size);
}

static void counting_free(void *block)
{
    heap.blocks--;
    heap.bytes -= block_size(block);
    free((char *)block - ROOM);
}

void heap_watch(void)
{
    memory_use((struct memory_host){counting_alloc, counting_realloc, counting_free});
}

int heap_blocks(void)
{
    return heap.blocks;
}

size_t heap_bytes(void)
{
    return heap.bytes;
}

void heap_count_begin(void)
{
    heap.peak = heap.bytes;
    heap.requested = 0;
}

size_t heap_peak_bytes(void)
{
    return heap.peak;
}

size_t heap_requested_bytes(void)
{
    return heap.requested;
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

const struct zone *zone_installed(const char *name)
{
    static uint8_t bytes[ZONE_FILE_MAX];
    char path[128];
    const struct zone *zone = NULL;
    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    assert_int_equal(zone_parse(bytes, fread(bytes, 1, sizeof(bytes), file), &zone), ZONE_FAULT_NONE);
    fclose(file);
    return zone;
}

int64_t at(const char *text)
{
    char whole[64];
    int64_t us = 0;
    const char *rest = strchr(text, 'Z') ? "" : strchr(text, 'T') ? "Z" : "T00:00:00Z";
    int length = snprintf(whole, sizeof(whole), "%s%s", text, rest);
    if (!instant_from_rfc3339(whole, (size_t)length, &us)) fail_msg("not an instant: %s", text);
    return us;
}

void assert_instant(int64_t got_us, int64_t wanted_us, const char *what)
{
    char got[RFC3339_SIZE], wanted[RFC3339_SIZE];
    if (got_us == wanted_us) return;
    instant_to_rfc3339(got_us, got);
    instant_to_rfc3339(wanted_us, wanted);
    fail_msg("%s: got %s (%lld), expected %s (%lld)", what, got, (long long)got_us, wanted, (long long)wanted_us);
}

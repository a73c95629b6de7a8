/* The only door to the heap for src/: three functions that the host sets once, before anything is allocated.
 *
 *     src/ ── memory_alloc ──▶ host ──▶ RedisModule_Alloc (server: counted in used_memory, aborts on failure)
 *                                   └─▶ libc malloc       (unit tests, fuzzers: seen by the sanitizers)
 *
 * Allocation does not fail here: the server's allocator ends the process itself. Sizes that come from input are
 * bounded by the input's own length before they reach this door. */
#pragma once

#include <stddef.h>

struct memory_host {
    void *(*alloc)(size_t size);
    void *(*realloc)(void *block, size_t size);
    void (*free)(void *block);
};

/* Chooses the heap; call before the first allocation. Default: libc. */
void memory_use(struct memory_host host);

void *memory_alloc(size_t size);
void *memory_realloc(void *block, size_t size);
void memory_free(void *block); /* NULL is allowed */

/* Room for one element more than `count`: for arrays that are short and change rarely. */
void *memory_grow(void *array, size_t count, size_t element_bytes);

/* Forwards allocation to the host's heap (memory.h). libc's own names appear in this file of src/ alone. */
#include "quota/base/memory.h"
#include <stdlib.h>

/* As the server's allocator does: no caller in src/ has an answer to a full heap. */
static void *or_abort(void *block)
{
    if (!block) abort();
    return block;
}

static void *alloc_from_libc(size_t size)
{
    return or_abort(malloc(size ? size : 1));
}

static void *realloc_from_libc(void *block, size_t size)
{
    return or_abort(realloc(block, size ? size : 1));
}

static struct memory_host heap = {alloc_from_libc, realloc_from_libc, free};

void memory_use(struct memory_host host)
{
    heap = host;
}

void *memory_alloc(size_t size)
{
    return heap.alloc(size);
}

void *memory_realloc(void *block, size_t size)
{
    return heap.realloc(block, size);
}

void memory_free(void *block)
{
    if (block) heap.free(block);
}

void *memory_grow(void *array, size_t count, size_t element_bytes)
{
    return memory_realloc(array, (count + 1) * element_bytes);
}

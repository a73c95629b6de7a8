/* An arena: memory for what lives as long as one decision, and is freed all at once.
 *
 *     arena_alloc ─▶ block ─▶ block ─▶ block        arena_free: all of them
 *
 * Views borrow from it what is too large for the stack, so that a view needs no end of its own. */
#pragma once

#include <stddef.h>

struct arena {
    struct arena_block *blocks; /* the newest first; NULL = nothing */
};

/* Memory of this size, all zero; it stays where it is until arena_free. */
void *arena_alloc(struct arena *arena, size_t size);

/* Frees everything; the arena is empty then, and can be used again. */
void arena_free(struct arena *arena);

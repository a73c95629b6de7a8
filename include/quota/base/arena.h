/* An arena: memory for what lives as long as one decision, and is freed all at once.
 *
 *     arena_alloc ─▶ block ─▶ block ─▶ block        arena_free: all of them
 *
 * Views borrow from it what is too large for the stack, so that a view needs no end of its own. */
#pragma once

#include <stddef.h>

struct arena {
    struct arena_block *blocks; /* the newest first; NULL = nothing */
    struct arena_owned *owned;  /* likewise */
};

/* Memory of this size, all zero; it stays where it is until arena_free. */
void *arena_alloc(struct arena *arena, size_t size);

/* The same, and nothing stands in it yet: for what is large, and is written before it is read. */
void *arena_room(struct arena *arena, size_t size);

/* Lets `free` have something that is no memory of the arena when everything is freed. */
void arena_own(struct arena *arena, void *thing, void (*free)(void *thing));

/* Frees everything; the arena is empty then, and can be used again. */
void arena_free(struct arena *arena);

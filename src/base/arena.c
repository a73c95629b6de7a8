/* Blocks in a list; see arena.h. */
#include "quota/base/arena.h"
#include "quota/base/memory.h"
#include <string.h>

struct arena_block {
    struct arena_block *before;
    max_align_t memory[];
};

struct arena_owned {
    struct arena_owned *before;
    void *thing;
    void (*free)(void *thing);
};

void *arena_alloc(struct arena *arena, size_t size)
{
    struct arena_block *block = memory_alloc(sizeof(*block) + size);
    block->before = arena->blocks;
    arena->blocks = block;
    memset(block->memory, 0, size);
    return block->memory;
}

void arena_own(struct arena *arena, void *thing, void (*free)(void *thing))
{
    struct arena_owned *owned = arena_alloc(arena, sizeof(*owned));
    *owned = (struct arena_owned){arena->owned, thing, free};
    arena->owned = owned;
}

void arena_free(struct arena *arena)
{
    for (; arena->owned; arena->owned = arena->owned->before) arena->owned->free(arena->owned->thing);
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->before;
        memory_free(block);
    }
}

/* Blocks in a list; see arena.h. */
#include "quota/base/arena.h"
#include "quota/base/memory.h"
#include <string.h>

/* What is smaller shares a block with others; blocks of this size are the cheapest that allocators keep at hand. */
#define BLOCK_BYTES 14000

struct arena_block {
    struct arena_block *before;
    size_t size, used; /* of the memory */
    max_align_t memory[];
};

struct arena_owned {
    struct arena_owned *before;
    void *thing;
    void (*free)(void *thing);
};

void *arena_room(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->blocks;
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!block || block->size - block->used < size) {
        /* A view that needs little gets little: the next block is larger. */
        size_t least = arena->blocks ? BLOCK_BYTES : 0;
        block = memory_alloc(sizeof(*block) + (size > least ? size : least));
        *block = (struct arena_block){.before = arena->blocks, .size = size > least ? size : least};
        arena->blocks = block;
    }
    void *room = (char *)block->memory + block->used;
    block->used += size;
    return room;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return memset(arena_room(arena, size), 0, size);
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

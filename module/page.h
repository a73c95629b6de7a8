/* Lists by pages: [COUNT n] [AFTER cursor] ─▶ [cursor or null, items]. The cursor is where the page ends; the next page
 * begins behind it, whatever has come or gone meanwhile.
 *
 *     everything there is, in any order ── page_offer ──▶ the first `count` names behind `after`, sorted ──▶ reply
 *
 * A list that is sorted already counts and replies by itself; page_reply_head is the same for all. */
#pragma once

#include "argument.h"

#define PAGE_COUNT_DEFAULT 100
#define PAGE_COUNT_MAX     1000

/* What the rows below read. */
struct page_argument {
    int64_t count;
    struct bytes after; /* no data = from the first on */
};
#define PAGE_ARGUMENT_DEFAULT ((struct page_argument){.count = PAGE_COUNT_DEFAULT})

/* Two rows of a request whose field `field_` is a struct page_argument. */
/* NOLINTBEGIN(bugprone-macro-parentheses): it is the name of a member */
#define PAGE_ROWS(type_, field_)                                                                                       \
    FIELD(ARGUMENT_INTEGER, "count", "COUNT", type_, field_.count, 1, PAGE_COUNT_MAX, ARGUMENT_OPTIONAL,               \
          "How many at most, 1 to 1000 (default 100)."),                                                               \
        FIELD(ARGUMENT_TEXT, "after", "AFTER", type_, field_.after, 0, 0, ARGUMENT_OPTIONAL,                           \
              "The cursor that the page before replied.")
/* NOLINTEND(bugprone-macro-parentheses) */

/* The first names behind a cursor out of many, each with what it names; both are borrowed. */
struct page {
    struct bytes after;
    uint32_t most, count;
    bool more; /* there are names behind the last one */
    struct bytes names[PAGE_COUNT_MAX];
    const void *items[PAGE_COUNT_MAX];
};

/* An empty page of at most `most` names, 0 … PAGE_COUNT_MAX, behind `after`. */
void page_begin(struct page *page, struct bytes after, int64_t most);

/* Takes the name in if it is one of the first. Names are all different. O(log n) where it is, O(1) where it is not. */
void page_offer(struct page *page, struct bytes name, const void *item);

/* The cursor (no data: null, the end) and the length of the array of items, which the caller replies. */
void page_reply_head(RedisModuleCtx *ctx, struct bytes cursor, long count);

/* The cursor of a page: its last name where more follows. */
struct bytes page_cursor(const struct page *page);

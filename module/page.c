/* Collects and replies pages of lists; see page.h. */
#include "page.h"

/* In the order of bytes, a shorter name before those that begin with it. */
static int compare(struct bytes left, struct bytes right)
{
    size_t size = left.size < right.size ? left.size : right.size;
    int order = memcmp(left.data, right.data, size);
    return order != 0 ? order : (left.size > right.size) - (left.size < right.size);
}

void page_begin(struct page *page, struct bytes after, int64_t most)
{
    page->after = after;
    page->most = (uint32_t)most;
    page->count = 0;
    page->more = false;
}

/* Where the name belongs among those that are there. */
static uint32_t place_of(const struct page *page, struct bytes name)
{
    uint32_t low = 0, high = page->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare(page->names[middle], name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void page_offer(struct page *page, struct bytes name, const void *item)
{
    if (page->after.data && compare(name, page->after) <= 0) return;
    bool full = page->count == page->most;
    if (full) page->more = true;
    if (full && (page->most == 0 || compare(page->names[page->count - 1], name) < 0)) return;
    if (full) page->count--; /* the last one belongs to a later page */
    uint32_t place = place_of(page, name), behind = page->count - place;
    memmove(page->names + place + 1, page->names + place, behind * sizeof(*page->names));
    memmove(page->items + place + 1, page->items + place, behind * sizeof(*page->items));
    page->names[place] = name;
    page->items[place] = item;
    page->count++;
}

struct bytes page_cursor(const struct page *page)
{
    return page->more && page->count > 0 ? page->names[page->count - 1] : (struct bytes){NULL, 0};
}

void page_reply_head(RedisModuleCtx *ctx, struct bytes cursor, long count)
{
    RedisModule_ReplyWithArray(ctx, 2);
    if (cursor.data) {
        RedisModule_ReplyWithStringBuffer(ctx, cursor.data, cursor.size);
    } else {
        RedisModule_ReplyWithNull(ctx);
    }
    RedisModule_ReplyWithArray(ctx, count);
}

/* Draws lines and takes units back behind them; drawing in refund_lines.h. */
#include "quota/account/refund_lines.h"
#include "quota/base/checked.h"

/* The line that limits what this generation consumed, or NULL. */
static struct refund_line *line_of(struct refund_lines *lines, int64_t generation)
{
    for (uint32_t i = 0; i < lines->count; i++) {
        if (generation <= lines->line[i].generation) return &lines->line[i];
    }
    return NULL;
}

int64_t refund_lines_return(struct refund_lines *lines, int64_t units, int64_t generation)
{
    struct refund_line *line = line_of(lines, generation);
    if (!line) return units;
    int64_t returned = min_i64(units, line->left);
    line->left -= returned;
    return returned;
}

/* Which two lines become one, of what both leave, where there are too many: the oldest ones. But a first line that
 * leaves nothing stays, and so does what SET may have put behind it: else what was consumed before could come back out
 * of it. */
static uint32_t place_to_join(const struct refund_lines *lines)
{
    return lines->line[0].left == 0 ? 2 : 0;
}

/* One line more behind all others; two that leave nothing are one in any case. */
static void draw(struct refund_lines *lines, int64_t generation, int64_t left)
{
    struct refund_line *line = lines->line;
    if (lines->count > 0 && left == 0 && line[lines->count - 1].left == 0) {
        line[lines->count - 1].generation = generation;
        return;
    }
    if (lines->count == REFUND_LINES_MAX) {
        uint32_t at = place_to_join(lines);
        line[at + 1].left = add_clamped(line[at].left, line[at + 1].left);
        memmove(line + at, line + at + 1, (--lines->count - at) * sizeof(*line));
    }
    line[lines->count++] = (struct refund_line){generation, left};
}

void refund_lines_return_newest(struct refund_lines *lines, int64_t units, int64_t used, int64_t generation)
{
    int64_t newer = used, rest = units;
    if (units == 0) return;
    for (uint32_t i = 0; i < lines->count; i++) newer -= min_i64(newer, lines->line[i].left);
    int64_t of_newer = min_i64(newer, rest);
    rest -= of_newer;
    for (uint32_t i = lines->count; i-- > 0 && rest > 0;) {
        int64_t of_line = min_i64(lines->line[i].left, rest);
        lines->line[i].left -= of_line;
        rest -= of_line;
    }
    draw(lines, generation, newer - of_newer);
}

void refund_lines_seal(struct refund_lines *lines, int64_t generation)
{
    *lines = (struct refund_lines){.count = 1, .line = {{.generation = generation, .left = 0}}};
}

void refund_lines_set(struct refund_lines *lines, int64_t used, int64_t generation)
{
    refund_lines_seal(lines, generation);
    if (used > 0) lines->line[lines->count++] = (struct refund_line){generation + 1, used};
}

bool refund_lines_equal(const struct refund_lines *left, const struct refund_lines *right)
{
    return left->count == right->count && memcmp(left->line, right->line, left->count * sizeof(left->line[0])) == 0;
}

void refund_lines_encode(const struct refund_lines *lines, struct sink *sink)
{
    sink_number(sink, lines->count);
    for (uint32_t i = 0; i < lines->count; i++) {
        sink_number(sink, lines->line[i].generation);
        sink_number(sink, lines->line[i].left);
    }
}

void refund_lines_decode(struct cursor *cursor, struct refund_lines *lines)
{
    int64_t before = -1;
    *lines = (struct refund_lines){.count = (uint32_t)cursor_number_between(cursor, 1, REFUND_LINES_MAX)};
    for (uint32_t i = 0; i < lines->count && !cursor->bad; i++) {
        lines->line[i].generation = cursor_number_between(cursor, before + 1, INT64_MAX - 1);
        lines->line[i].left = cursor_number(cursor);
        before = lines->line[i].generation;
    }
}

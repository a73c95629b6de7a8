/* Refund lines: how much of what a cycle has consumed can still come back, so that no unit comes back twice.
 *
 *     generation   1 ──────────┤ 2 ─────────┤ 3 ────────▶        each RESET, SET and refund without a name begins a new
 *     consumed     ▓▓▓▓▓▓▓▓▓▓  │ ▓▓▓▓▓▓▓▓▓  │ ▓▓▓▓▓              generation of the resource's consumptions, and draws a
 *     can return   left = 4    │ left = 9   │ all of it          line: what is on its left can return `left` at most
 *
 * SET says what is used without anything having been consumed: those units are a line of a generation that no
 * consumption has, so that a refund without a name may take them, and one with a name cannot.
 *
 * Time would not do in place of a generation: everything can happen at one instant. A cycle that has closed keeps its
 * lines, as long as it is remembered. Pure numbers. */
#pragma once

#include "quota/base/buffer.h"

#define REFUND_LINES_MAX 4

/* Of what was consumed in generations up to this one, and after the line before it, `left` units can still come back.
 * */
struct refund_line {
    int64_t generation, left;
};

/* The oldest line first, generations rising; all zero = nothing was limited yet. */
struct refund_lines {
    uint32_t count;
    struct refund_line line[REFUND_LINES_MAX];
};

/* Takes back what this generation consumed: `units`, but no more than its line leaves. Answers how many. */
int64_t refund_lines_return(struct refund_lines *lines, int64_t units, int64_t generation);

/* Takes back `units` of no named consumption, of `used` that are there, the newest first; draws the line behind this
 * generation. */
void refund_lines_return_newest(struct refund_lines *lines, int64_t units, int64_t used, int64_t generation);

/* Nothing that was consumed up to this generation can come back. */
void refund_lines_seal(struct refund_lines *lines, int64_t generation);

/* The same, and `used` units count that were never consumed: the line of generation + 1, which the caller skips. */
void refund_lines_set(struct refund_lines *lines, int64_t used, int64_t generation);

/* Do both leave the same? */
bool refund_lines_equal(const struct refund_lines *left, const struct refund_lines *right);

/* One line or more as bytes; decoding marks the cursor bad where it reads none or their order is wrong. */
void refund_lines_encode(const struct refund_lines *lines, struct sink *sink);
void refund_lines_decode(struct cursor *cursor, struct refund_lines *lines);

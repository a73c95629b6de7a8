/* Patterns as the server's own commands take them (KEYS, SCAN MATCH).
 *
 *     *       any run of bytes, also none          [abc]   one of these       [a-z]   one of this range
 *     ?       one byte                             [^abc]  none of these      \x      x itself
 *
 * What is left open at the end of a pattern counts as closed there, as the server has it. A pattern costs at most its
 * own length times that of the text: after a star only the latest one is tried again. */
#pragma once

#include "quota/base/bytes.h"

/* Does the whole text fit the pattern? Letters differ by case. */
bool glob_matches(struct bytes pattern, struct bytes text);

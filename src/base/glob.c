/* Matches a pattern byte by byte; see glob.h. */
#include "quota/base/glob.h"

/* One set of a pattern, behind its `[`: is the letter in it? `*at` moves to the byte behind the set. */
static bool set_has(struct bytes pattern, size_t *at, unsigned char letter)
{
    size_t i = *at;
    bool negated = i < pattern.size && pattern.data[i] == '^', found = false;
    if (negated) i++;
    for (; i < pattern.size && pattern.data[i] != ']'; i++) {
        if (pattern.data[i] == '\\' && i + 1 < pattern.size) {
            found = found || (unsigned char)pattern.data[++i] == letter;
        } else if (i + 2 < pattern.size && pattern.data[i + 1] == '-') {
            unsigned char first = (unsigned char)pattern.data[i], last = (unsigned char)pattern.data[i + 2];
            bool upwards = first <= last;
            found = found || (upwards ? first <= letter && letter <= last : last <= letter && letter <= first);
            i += 2;
        } else {
            found = found || (unsigned char)pattern.data[i] == letter;
        }
    }
    *at = i < pattern.size ? i + 1 : i;
    return found != negated;
}

/* Does one element of the pattern, which is no star, take this letter? `*at` moves behind it. */
static bool takes(struct bytes pattern, size_t *at, char letter)
{
    char element = pattern.data[(*at)++];
    if (element == '?') return true;
    if (element == '[') return set_has(pattern, at, (unsigned char)letter);
    if (element == '\\' && *at < pattern.size) element = pattern.data[(*at)++];
    return element == letter;
}

bool glob_matches(struct bytes pattern, struct bytes text)
{
    size_t at = 0, read = 0;
    size_t behind_star = 0, star_read = 0; /* 0 = there was no star yet */
    while (read < text.size) {
        bool is_star = at < pattern.size && pattern.data[at] == '*';
        if (is_star) {
            behind_star = ++at;
            star_read = read;
        } else if (at < pattern.size && takes(pattern, &at, text.data[read])) {
            read++;
        } else {
            /* The latest star takes one letter more; earlier ones need not be tried again. */
            if (behind_star == 0) return false;
            at = behind_star;
            read = ++star_read;
        }
    }
    while (at < pattern.size && pattern.data[at] == '*') at++;
    return at == pattern.size;
}

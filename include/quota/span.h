/* A span is a run of borrowed bytes: data that somebody else owns, any values, no terminator.
 *
 *     data ──▶ [ u s e r : 4 2 ]
 *              └──── size ────┘                                                                        */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *data;
    size_t size;
};

/* A span over a string literal. */
#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

static inline bool span_equal(struct span left, struct span right)
{
    return left.size == right.size && (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

/* Of ASCII, whatever the locale. */
static inline bool char_is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

static inline bool char_is_letter(char letter)
{
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
}

/* ASCII letters compare without case, as Redis compares its keywords. `word` is a C string in upper case. */
static inline bool span_is_word(struct span text, const char *word)
{
    for (size_t i = 0; i < text.size; i++) {
        char letter = text.data[i];
        if (letter >= 'a' && letter <= 'z') letter = (char)(letter - 'a' + 'A');
        if (word[i] == '\0' || letter != word[i]) return false;
    }
    return word[text.size] == '\0';
}

/* Decimal integer: optional sign, digits, nothing else; false on anything else or outside int64. */
static inline bool span_integer(struct span text, int64_t *value)
{
    size_t at = 0;
    bool negative = false;
    if (text.size > 0 && (text.data[0] == '-' || text.data[0] == '+')) negative = text.data[at++] == '-';
    if (at == text.size) return false;

    int64_t number = 0; /* kept negative: its range reaches one further than the positive one */
    for (; at < text.size; at++) {
        if (text.data[at] < '0' || text.data[at] > '9') return false;
        if (__builtin_mul_overflow(number, (int64_t)10, &number)) return false;
        if (__builtin_sub_overflow(number, (int64_t)(text.data[at] - '0'), &number)) return false;
    }
    if (!negative && number == INT64_MIN) return false;
    *value = negative ? number : -number;
    return true;
}

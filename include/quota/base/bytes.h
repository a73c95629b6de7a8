/* A run of borrowed bytes: data that another owns, any values, no terminator.
 *
 *     data ──▶ [ u s e r : 4 2 ]
 *              └──── size ────┘                                                                        */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const char *data;
    size_t size;
};

/* The bytes of a string literal. */
#define BYTES(literal) ((struct bytes){(literal), sizeof(literal) - 1})

static inline bool bytes_equal(struct bytes left, struct bytes right)
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
static inline bool bytes_is_word(struct bytes text, const char *word)
{
    for (size_t i = 0; i < text.size; i++) {
        char letter = text.data[i];
        if (letter >= 'a' && letter <= 'z') letter = (char)(letter - 'a' + 'A');
        if (word[i] == '\0' || letter != word[i]) return false;
    }
    return word[text.size] == '\0';
}

/* The decimal integer that a text begins with: optional sign, digits. Answers how many bytes it has; 0, and *value
 * untouched, where there is none or an int64 cannot hold it. */
static inline size_t bytes_leading_integer(struct bytes text, int64_t *value)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    size_t sign = negative || (text.size > 0 && text.data[0] == '+') ? 1 : 0, at = sign;

    int64_t number = 0; /* kept negative: its range reaches one further than the positive one */
    for (; at < text.size; at++) {
        unsigned digit = (unsigned)(text.data[at] - '0'); /* what stands before '0' becomes large */
        if (digit > 9) break;
        if (__builtin_mul_overflow(number, (int64_t)10, &number)) return 0;
        if (__builtin_sub_overflow(number, (int64_t)digit, &number)) return 0;
    }
    if (at == sign || (!negative && number == INT64_MIN)) return 0;
    *value = negative ? number : -number;
    return at;
}

/* An integer and nothing else; false, and *value untouched, on anything else or outside int64. */
static inline bool bytes_integer(struct bytes text, int64_t *value)
{
    int64_t number;
    size_t size = bytes_leading_integer(text, &number);
    if (size == 0 || size != text.size) return false;
    *value = number;
    return true;
}

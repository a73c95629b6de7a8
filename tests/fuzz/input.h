/* What every fuzz target needs: an end for broken promises, and the input once more, as numbers.
 *
 *     input ─▶ how many bytes │ so many bytes │ how many │ …      round and round, however short it is
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The target: libFuzzer calls it once for each input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise that does not hold ends the run, and libFuzzer keeps the input. */
static inline void require(bool holds)
{
    if (!holds) abort();
}

struct numbers {
    const uint8_t *data;
    size_t size, at; /* size > 0 */
};

/* 0 … highest; short numbers are as frequent as long ones. */
static inline int64_t number_upto(struct numbers *numbers, int64_t highest)
{
    uint64_t number = 0;
    int bytes = numbers->data[numbers->at++ % numbers->size] % 9;
    for (int i = 0; i < bytes; i++) number = number << 8 | numbers->data[numbers->at++ % numbers->size];
    return (int64_t)(number % ((uint64_t)highest + 1));
}

/* Arithmetic that cannot lie: 128-bit products, division that names its rounding, sums that report overflow.
 *
 * Every amount is an int64 and every duration is below 2^58 us (duration.h), so
 *
 *     amount x duration      < 2^121
 *     instant x amount       < 2^125        all fit a signed 128-bit `wide` with room for a few additions
 *     sum of four of those   < 2^127
 *
 * Products are therefore plain `wide` multiplications; only the way back to int64 has to be checked.
 * Nothing in this project that decides uses floating point. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef __int128 wide;

/* Quotient rounded towards zero, and what is left over; `divisor` > 0. The processor divides 64 bits by itself, 128
 * bits are a library call of some fifty instructions: most numbers here fit the former. */
static inline wide wide_divide(wide dividend, wide divisor, wide *remainder)
{
    if (dividend == (int64_t)dividend && divisor == (int64_t)divisor) {
        *remainder = (int64_t)dividend % (int64_t)divisor;
        return (int64_t)dividend / (int64_t)divisor;
    }
    *remainder = dividend % divisor;
    return dividend / divisor;
}

/* Quotient rounded towards minus infinity; `divisor` > 0. */
static inline wide wide_div_floor(wide dividend, wide divisor)
{
    wide remainder, quotient = wide_divide(dividend, divisor, &remainder);
    return remainder < 0 ? quotient - 1 : quotient;
}

/* Quotient rounded towards plus infinity; `divisor` > 0. */
static inline wide wide_div_ceil(wide dividend, wide divisor)
{
    wide remainder, quotient = wide_divide(dividend, divisor, &remainder);
    return remainder > 0 ? quotient + 1 : quotient;
}

/* The nearest int64: for answers that may saturate, never for state. */
static inline int64_t wide_clamp(wide value, int64_t lowest, int64_t highest)
{
    return value < lowest ? lowest : value > highest ? highest : (int64_t)value;
}

static inline int64_t min_i64(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

static inline int64_t max_i64(int64_t left, int64_t right)
{
    return left > right ? left : right;
}

/* left + right in *sum; false (and *sum untouched) when an int64 cannot hold it. */
static inline bool add_checked(int64_t left, int64_t right, int64_t *sum)
{
    int64_t total;
    if (__builtin_add_overflow(left, right, &total)) return false;
    *sum = total;
    return true;
}

/* The sum of two amounts, each >= 0, or INT64_MAX where it is more: for answers that may saturate, never for state. */
static inline int64_t add_clamped(int64_t left, int64_t right)
{
    int64_t sum;
    return __builtin_add_overflow(left, right, &sum) ? INT64_MAX : sum;
}

/* left * right in *product; false (and *product untouched) when an int64 cannot hold it. */
static inline bool multiply_checked(int64_t left, int64_t right, int64_t *product)
{
    int64_t total;
    if (__builtin_mul_overflow(left, right, &total)) return false;
    *product = total;
    return true;
}

/* Largest number that divides both (Euclid); greatest_divisor(n, 0) = n. Both >= 0. */
static inline int64_t greatest_divisor(int64_t left, int64_t right)
{
    while (right != 0) {
        int64_t remainder = left % right;
        left = right;
        right = remainder;
    }
    return left;
}

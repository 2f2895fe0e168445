/* fixed.h: the primitives of quern's scalar programs, in C99 that is also C++11 and that every HLS tool takes.
 *
 * All arguments lie in -2^62 <= a < 2^62, so no sum below overflows; a shift n is 0..61 and a width n is 1..63. A right
 * shift of a negative number is implementation-defined in C, so none occurs here: compilers fold q_rsh_floor to the one
 * arithmetic shift it is.
 */
#ifndef QUERN_FIXED_H
#define QUERN_FIXED_H

#include <stdint.h>

/* Labels on loops name them in the reports of HLS tools; to a C compiler they are unused. */
#if defined(__GNUC__) && !defined(__SYNTHESIS__)
#pragma GCC diagnostic ignored "-Wunused-label"
#endif

static inline int64_t q_max(int64_t a, int64_t b)
{
#pragma HLS INLINE
    return a > b ? a : b;
}

static inline int64_t q_min(int64_t a, int64_t b)
{
#pragma HLS INLINE
    return a < b ? a : b;
}

/* a / b for b > 0, rounded towards minus infinity; C itself rounds towards zero. */
static inline int64_t q_div(int64_t a, int64_t b)
{
#pragma HLS INLINE
    return a < 0 ? ~(~a / b) : a / b;
}

/* Half a unit of the last place that stays after a shift by n; 0 for n = 0. */
static inline int64_t q_half(int n)
{
#pragma HLS INLINE
    return n > 0 ? (int64_t)1 << (n - 1) : 0;
}

/* a / 2^n, rounded towards minus infinity (AP_TRN). */
static inline int64_t q_rsh_floor(int64_t a, int n)
{
#pragma HLS INLINE
    return a < 0 ? ~(~a >> n) : a >> n;
}

/* a / 2^n, rounded to nearest, ties towards plus infinity (AP_RND). */
static inline int64_t q_rsh_half_up(int64_t a, int n)
{
#pragma HLS INLINE
    return q_rsh_floor(a + q_half(n), n);
}

/* a / 2^n, rounded to nearest, ties to even (AP_RND_CONV): half less one, and one more where the floor is odd. */
static inline int64_t q_rsh_half_even(int64_t a, int n)
{
#pragma HLS INLINE
    return n > 0 ? q_rsh_floor(a + q_half(n) - 1 + (q_rsh_floor(a, n) & 1), n) : a;
}

/* a / 2^n, rounded to nearest, ties away from zero (AP_RND_INF). */
static inline int64_t q_rsh_half_away(int64_t a, int n)
{
#pragma HLS INLINE
    return q_rsh_floor(a + q_half(n) - (a < 0 && n > 0 ? 1 : 0), n);
}

/* a / 2^n, rounded towards plus infinity. */
static inline int64_t q_rsh_ceil(int64_t a, int n)
{
#pragma HLS INLINE
    return q_rsh_floor(a + (((int64_t)1 << n) - 1), n);
}

/* a / 2^n, rounded away from zero. */
static inline int64_t q_rsh_away(int64_t a, int n)
{
#pragma HLS INLINE
    return a < 0 ? q_rsh_floor(a, n) : q_rsh_ceil(a, n);
}

/* a / 2^n, rounded towards zero (AP_TRN_ZERO). */
static inline int64_t q_rsh_to_zero(int64_t a, int n)
{
#pragma HLS INLINE
    return a < 0 ? q_rsh_ceil(a, n) : q_rsh_floor(a, n);
}

/* a / 2^n, rounded to nearest, ties towards zero (AP_RND_ZERO). */
static inline int64_t q_rsh_half_to_zero(int64_t a, int n)
{
#pragma HLS INLINE
    return q_rsh_floor(a + q_half(n) - (a >= 0 && n > 0 ? 1 : 0), n);
}

/* The low n bits of a as a two's complement number: a register of n bits that wraps around. */
static inline int64_t q_wrap(int64_t a, int n)
{
#pragma HLS INLINE
    const uint64_t sign = (uint64_t)1 << (n - 1);
    const uint64_t low = (uint64_t)a & (2 * sign - 1);
    return (int64_t)(low ^ sign) - (int64_t)sign;
}

#endif
